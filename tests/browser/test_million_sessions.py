"""The view of sessions where there are a million: neither the page nor the server loads them."""

import pytest

from models.artifact import unseal
from tests.browser.test_sessions_view import PAGE_SIZE, ROWS, listed, scroll, status
from tests.http_api import call
from tests.http_port import FLAGS, samples
from tests.server_process import serving
from tests.stored_sessions import write_sessions

NUM_SESSIONS = 1_000_000
NUM_FORWARD = 12
# A million sessions as the page is told of them are 270 MB; states and ids alone 200 MB.
MOST_BYTES, MOST_MEMORY_BYTES = 2_000_000, 100_000_000


@pytest.fixture(scope="module")
def server(page_repository, tmp_path_factory):
    store = tmp_path_factory.mktemp("million") / "sessions.db"
    _, manifest = unseal((page_repository / "two" / "1" / "model.onnx").read_bytes())
    write_sessions(store, manifest, NUM_SESSIONS)
    with serving(page_repository, *FLAGS, "--store", f"sqlite:{store}") as running:
        yield running
    store.unlink()


def memory_bytes(server):
    """What the server has taken, as it says."""
    return call(server, "health")[1]["memory_bytes"]


def received(seen):
    """Bytes of each answer that the page gets from now on."""
    sizes = []
    seen.page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
    return sizes


def first_ids(seen, num=3):
    return seen.page.locator(ROWS).evaluate_all(
        "(rows, num) => rows.slice(0, num).map((row) => row.dataset.session)", num
    )


def test_a_million_sessions_are_looked_through_a_page_at_a_time(visit, server):
    """Forward, back, sorted and searched: some pages are sent, and nothing is brought to memory."""
    seen = visit("about", server=server)
    before, asked, sizes = memory_bytes(server), listed(seen), received(seen)
    seen.go("sessions/two")
    status(seen, f"Sessions 1 to {PAGE_SIZE} are loaded, more follow; there are 1,000,000")
    assert first_ids(seen) == ["meter-0000000", "meter-0000001", "meter-0000002"]
    for num in range(1, NUM_FORWARD + 1):
        scroll(seen, "each.scrollHeight")
        status(seen, f"to {(num + 1) * PAGE_SIZE:,} are loaded, more follow")
    scroll(seen, "each.scrollHeight - each.clientHeight - 1000")
    # Pages before the last ten were let go.
    seen.wait(f"[data-session=meter-{(NUM_FORWARD + 1) * PAGE_SIZE - 20:07d}]")
    status(seen, f"Sessions {(NUM_FORWARD - 9) * PAGE_SIZE + 1:,} to ")
    assert seen.page.locator(ROWS).count() < 60
    seen.page.get_by_role("button", name="Back to the first").click()
    seen.wait("[data-session=meter-0000000]")
    seen.page.get_by_role("button", name="Rows", exact=True).click()
    status(seen, "Sorted are these alone")
    assert first_ids(seen) == ["meter-0000199", "meter-0000198", "meter-0000197"]
    seen.page.get_by_role("button", name="Session", exact=True).click()
    search = seen.page.get_by_label("Id begins with")
    search.fill("meter-07654")
    status(seen, "100 sessions")
    assert first_ids(seen) == ["meter-0765400", "meter-0765401", "meter-0765402"]
    search.fill("meter-09")
    status(seen, f"Sessions 1 to {PAGE_SIZE} are loaded, more follow")
    assert first_ids(seen, 1) == ["meter-0900000"]
    search.fill("meter-0999999")
    status(seen, "1 session")
    seen.page.get_by_role("button", name="Details of meter-0999999").click()
    assert "1,000" in seen.wait("dialog[open] .facts").inner_text()
    assert all(len(answer.get("sessions", ())) <= PAGE_SIZE for _, answer in asked)
    assert len(asked) < NUM_FORWARD + 10
    assert sum(sizes) < MOST_BYTES
    assert memory_bytes(server) - before < MOST_MEMORY_BYTES
    places = [each for each in samples(server) if each.name == "statecast_sessions"]
    assert sum(each.value for each in places if each.labels["place"] == "memory") == 0
