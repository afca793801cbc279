"""The view of sessions: as many as there are, found, looked at, moved and ended."""

import json
import re
import signal

import pytest

import statecast
from service.security.caller import Role
from tests.browser.rows import open_sessions
from tests.browser.visit import BROKEN
from tests.http_port import FLAGS
from tests.server_process import serving
from tests.tenants import token_of

NUM_SESSIONS = 3000
PAGE_SIZE = 200
ROWS = "table.sessions tbody tr:not(.spacer)"


@pytest.fixture(scope="module")
def server(page_repository):
    with serving(page_repository, *FLAGS) as running:
        open_sessions(running, "two", [f"meter-{number:04d}" for number in range(NUM_SESSIONS)])
        open_sessions(running, "two", ["busy-1", "busy-2"], num_rows=30)
        yield running


def listed(seen):
    """What the page asks of ListSessions from now on, and what it was given."""
    asked = []

    def heard(response):
        if response.url.endswith("/ListSessions"):
            asked.append((json.loads(response.request.post_data), response.json()))

    seen.page.on("response", heard)
    return asked


def scroll(seen, where):
    seen.page.locator(".table-window").evaluate(f"each => each.scrollTop = {where}")


def status(seen, words):
    """The line below the table, once it says so."""
    return seen.wait(f".table-foot [data-status]:has-text('{words}')")


def test_of_many_sessions_pages_are_asked_as_they_come_into_sight(visit, server):
    """The document holds some rows, the page some pages, and the way back asks for the first again."""
    seen = visit("health", server=server)
    asked = listed(seen)
    seen.go("sessions/two")
    status(seen, f"Sessions 1 to {PAGE_SIZE} are loaded, more follow")
    assert [request["page_token"] for request, _ in asked] == [""]
    assert seen.page.locator(ROWS).count() < 60
    while (num := len(asked)) * PAGE_SIZE < NUM_SESSIONS + 2:
        with seen.page.expect_response(lambda response: response.url.endswith("/ListSessions")):
            scroll(seen, "each.scrollHeight")
        assert len(asked) == num + 1
        assert asked[-1][0]["page_token"] == asked[-2][1]["next_page_token"]
        first = max(0, num + 1 - 10) * PAGE_SIZE
        status(seen, f"Sessions {first + 1:,} to ")
        assert seen.page.locator(ROWS).count() < 60
    assert all(len(answer["sessions"]) <= PAGE_SIZE for _, answer in asked)
    scroll(seen, "each.scrollHeight")
    seen.wait(f"[data-session=meter-{NUM_SESSIONS - 1:04d}]")
    assert seen.page.locator("table.sessions").get_attribute("aria-rowcount") == str(NUM_SESSIONS + 3)
    assert seen.findings() == []
    with seen.page.expect_response(lambda response: response.url.endswith("/ListSessions")):
        scroll(seen, "0")
    assert asked[-1][0]["page_token"] == asked[5][0]["page_token"]
    seen.page.get_by_role("button", name="Back to the first").click()
    seen.wait("[data-session=busy-1]")


def test_a_beginning_is_looked_for_by_the_server(visit, server):
    """Every session whose id begins so, also one that was not loaded; or a word that there is none."""
    seen = visit("sessions/two", server=server)
    seen.wait(ROWS)
    seen.page.get_by_label("Id begins with").fill("meter-29")
    status(seen, "100 sessions")
    assert seen.page.url.endswith("#sessions/two/meter-29")
    seen.page.get_by_label("Id begins with").fill("none")
    seen.wait(".state.empty:has-text('No session of two begins with')")
    assert seen.findings() == []


def test_a_sort_says_that_it_is_of_what_is_loaded(visit, server):
    """The longest come first among the loaded, and the heading says how the table is sorted."""
    seen = visit("sessions/two", server=server)
    seen.page.get_by_role("button", name="Rows").click()
    status(seen, "Sorted are these alone: the server lists by id.")
    assert seen.page.locator(ROWS).first.get_attribute("data-session") in ("busy-1", "busy-2")
    assert seen.page.locator("th[data-column=position]").get_attribute("aria-sort") == "descending"
    seen.page.get_by_role("button", name="Load more").click()
    status(seen, f"Sessions 1 to {2 * PAGE_SIZE} are loaded")
    seen.page.get_by_role("button", name="Session", exact=True).click()
    assert seen.page.locator(ROWS).first.get_attribute("data-session") == "busy-1"


def test_a_session_that_was_exported_and_deleted_comes_back_by_import(visit, server, tmp_path):
    """At its position, under the id that is chosen; deleting asks first."""
    open_sessions(server, "two", ["moved"], num_rows=7)
    seen = visit("sessions/two/moved", server=server)
    seen.page.get_by_role("button", name="Details of moved").press("Enter")
    dialog = seen.wait("dialog[open]")
    assert seen.findings() == []
    with seen.page.expect_download() as download:
        dialog.get_by_role("button", name="Export").click()
    assert download.value.suggested_filename == "moved-7.session"
    download.value.save_as(tmp_path / "moved-7.session")
    seen.page.get_by_role("button", name="Details of moved").click()
    seen.page.get_by_role("button", name="Delete").click()
    seen.wait("dialog:has-text('Delete moved?')")
    seen.page.get_by_role("button", name="Cancel").click()
    seen.page.get_by_role("button", name="Delete").click()
    seen.page.locator("dialog:has-text('Delete moved?')").get_by_role("button", name="Delete").click()
    seen.wait(".state.empty")
    with statecast.Client(server.address) as client:
        assert list(client.sessions("two").list(prefix="moved")) == []
        seen.page.get_by_role("button", name="Import").click()
        seen.page.get_by_label("File, as it was exported").set_input_files(tmp_path / "moved-7.session")
        assert seen.page.get_by_label("Id that the session gets").input_value() == "moved"
        seen.page.locator("dialog").get_by_role("button", name="Import").click()
        seen.wait("[data-session=moved]")
        (found,) = client.sessions("two").list(prefix="moved")
    assert found.position == 7


def test_what_the_server_refuses_is_shown_where_it_was_asked(visit, server, tmp_path):
    """The form stays, with the server's words in it."""
    (tmp_path / "broken.session").write_bytes(b"no session")
    seen = visit("sessions/two", server=server)
    seen.expected.append("status of 500")
    seen.page.get_by_role("button", name="Import").click()
    assert seen.findings() == []
    seen.page.get_by_label("File, as it was exported").set_input_files(tmp_path / "broken.session")
    seen.page.locator("dialog").get_by_role("button", name="Import").click()
    assert seen.wait("dialog .field-error").inner_text() != ""
    seen.page.keyboard.press("Escape")
    seen.wait("dialog", state="detached")


def test_a_reset_puts_a_session_back_to_its_beginning(visit, server):
    """Once it was confirmed; the table says so, and the focus goes back to where it was."""
    open_sessions(server, "two", ["anew"], num_rows=9)
    seen = visit("sessions/two/anew", server=server)
    assert seen.wait("[data-session=anew] td").inner_text() == "9"
    seen.page.get_by_role("button", name="Details of anew").press("Enter")
    seen.page.get_by_role("button", name="Reset").click()
    seen.page.locator("dialog:has-text('back to its beginning?')").get_by_role("button", name="Reset").click()
    seen.wait("[data-session=anew] td:has-text('0')")
    with statecast.Client(server.address) as client:
        (found,) = client.sessions("two").list(prefix="anew")
    assert found.position == 0


def test_a_model_without_sessions_says_how_one_begins(visit, server):
    """And offers to try it."""
    seen = visit("sessions/watched", server=server)
    seen.wait(".state.empty:has-text('watched has no sessions')")
    assert seen.page.get_by_role("link", name="Try it").count() == 2


@pytest.mark.parametrize(("role", "is_offered"), [(Role.OPERATE, True), (Role.PREDICT, False)])
def test_what_changes_sessions_is_offered_to_operators(visit, guarded, role, is_offered):
    """Others look at them."""
    with statecast.Client(guarded.address, token=token_of("acme", role)) as client:
        client.session("two", "mine").forecast([[1.0, 2.0]])
    seen = visit("sessions/two", server=guarded)
    seen.expected.append("status of 401")
    seen.page.get_by_label("Token").fill(token_of("acme", role))
    seen.page.get_by_role("button", name="Sign in").click()
    seen.page.get_by_role("button", name="Details of mine").click()
    dialog = seen.wait("dialog[open]")
    found = {
        name: dialog.get_by_role("button", name=name).count() == 1 for name in ("Export", "Reset", "Delete")
    }
    assert found == dict.fromkeys(found, is_offered)
    assert (seen.page.get_by_role("button", name="Import").count() == 1) == is_offered
    assert bool(re.search("offered to callers with the role operate", dialog.inner_text())) != is_offered


def test_who_may_not_end_sessions_ends_those_that_the_page_opened(visit, guarded):
    """The copies of "what if", each time it is asked, and a try."""
    who = token_of("acme")

    def ids():
        with statecast.Client(guarded.address, token=who) as client:
            return {each.session_id for each in client.sessions("two").list()}

    with statecast.Client(guarded.address, token=who) as client:
        client.session("two", "mine").forecast([[1.0, 2.0]] * 20)
    seen = visit("whatif/two/mine", server=guarded)
    seen.expected.append("status of 401")
    seen.page.get_by_label("Token").fill(who)
    seen.page.get_by_role("button", name="Sign in").click()
    for num in (1, 2):
        seen.wait(f"[data-chart=whatif][data-answers='{num}']")
        (first,) = (each for each in ids() if each.endswith(".1") or "~what-if-" in each)
        assert first.startswith("mine~what-if-")
        seen.page.get_by_role("spinbutton").first.fill(f"{num}")
    seen.go("try/two")
    seen.page.get_by_role("button", name="Start").click()
    seen.wait("[data-status]:has-text('Streaming')")
    assert any(each.startswith("try-") for each in ids())
    with seen.page.expect_response(lambda response: response.url.endswith("/DeleteSession")) as ended:
        seen.go("live/two")
    assert ended.value.status == 200
    while ids() != {"mine"}:
        pass


def test_a_narrow_screen_shows_sessions_without_scrolling_aside(visit, server):
    """What does not fit is in the details."""
    seen = visit("sessions/two", server=server, viewport={"width": 390, "height": 844})
    seen.wait(ROWS)
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 390
    assert seen.findings() == []


def test_what_was_loaded_stays_while_the_server_is_away(visit, serve, page_repository):
    """The page says that it is disconnected, and the table that no more can be loaded."""
    server = serve(page_repository)
    open_sessions(server, "two", [f"kept-{number:03d}" for number in range(PAGE_SIZE + 50)])
    seen = visit("sessions/two", server=server)
    status(seen, f"Sessions 1 to {PAGE_SIZE} are loaded")
    seen.expected.append(BROKEN)
    server.send(signal.SIGKILL)
    server.wait()
    seen.page.get_by_role("button", name="Load more").click()
    status(seen, "More could not be loaded")
    seen.wait("#connection[data-state=disconnected]")
    assert seen.page.locator("[data-session=kept-000]").is_visible()
    assert seen.findings() == []
