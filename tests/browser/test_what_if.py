"""What if: a copy is asked, and the original stays as it was."""

import pytest

import statecast
from tests.http_api import SESSIONS, call

LEVELS = 3


@pytest.fixture(scope="module")
def client(page_server):
    with statecast.Client(page_server.address) as opened:
        yield opened


def begin(client, name, num_rows=20):
    """A session of the model `two`, some rows in."""
    session = client.session("two", name)
    session.forecast([[float(row % 5), 10.0] for row in range(num_rows)])
    return session


def ids(server):
    """Every session of the model, as the page would list them."""
    _, answer = call(server, f"{SESSIONS}ListSessions", {"model": "two", "page_size": 1000})
    return {each["session_id"] for each in answer["sessions"]}


def asked(seen, at_least=1):
    """The number of answers that the chart has shown, once there are so many."""
    chart = seen.page.locator("[data-chart=whatif]")
    seen.page.wait_for_function(
        "([least]) => Number(document.querySelector('[data-chart=whatif]')?.dataset.answers ?? 0) >= least",
        arg=[at_least],
    )
    return int(chart.get_attribute("data-answers"))


def test_what_is_supposed_never_touches_the_original(visit, client, page_server):
    """Its state before and after is equal to the byte, and no copy is left behind."""
    begin(client, "original")
    sessions = client.sessions("two")
    before = sessions.export("original")
    seen = visit("whatif/two/original")
    num = asked(seen)
    seen.page.get_by_role("spinbutton").first.fill("25")
    num = asked(seen, num + 1)
    seen.page.get_by_role("button", name="Add a step").click()
    asked(seen, num + 1)
    assert any(name.startswith("original~what-if") for name in ids(page_server))
    assert sessions.export("original") == before
    seen.go("live/two")
    while any("what-if" in name for name in ids(page_server)):
        pass
    assert sessions.export("original") == before


def test_the_copy_is_expected_what_a_session_with_these_rows_is(visit, client):
    """The figure beside the chart is that of a fork that was asked without the page."""
    begin(client, "compared")
    sessions = client.sessions("two")
    sessions.fork("compared", "by-hand")
    by_hand = client.session("two", "by-hand").forecast([[25.0, float("nan")]])
    seen = visit("whatif/two/compared")
    num = asked(seen)
    seen.page.get_by_role("spinbutton", name="y, row 21").fill("25")
    # Left empty: missing, as above.
    seen.page.get_by_role("spinbutton", name="temperature, row 21").fill("")
    asked(seen, num + 1)
    # The last step that the original speaks of is the copy's last but one.
    expected = float(by_hand.forecasts[-1].values[-2][LEVELS // 2])
    shown = seen.page.locator("[data-figure=effect] .value").inner_text()
    assert float(shown.replace(",", "")) == pytest.approx(expected, rel=1e-3)


def test_a_step_is_dragged(visit, client):
    """Up is more; clicking right of the last adds one."""
    begin(client, "dragged")
    seen = visit("whatif/two/dragged")
    num = asked(seen)
    fields = seen.page.get_by_role("spinbutton", name="y, row")
    before = float(fields.first.input_value())
    canvas = seen.page.locator("[data-chart=whatif] .u-over").bounding_box()
    # Rows before the copy take 4 of the axis' 4 + 4 + 1 steps.
    step = canvas["width"] / 9
    x, y = canvas["x"] + 5 * step, canvas["y"] + canvas["height"] / 2
    seen.page.mouse.move(x, y)
    seen.page.mouse.down()
    seen.page.mouse.move(x, canvas["y"] + 5, steps=4)
    seen.page.mouse.up()
    num = asked(seen, num + 1)
    assert float(fields.first.input_value()) > before
    seen.page.mouse.click(x + step, y)
    asked(seen, num + 1)
    assert fields.count() == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_view_is_accessible(visit, client, scheme):
    """Nothing serious is found."""
    begin(client, f"read-{scheme}")
    seen = visit(f"whatif/two/read-{scheme}", color_scheme=scheme)
    asked(seen)
    assert seen.findings() == []


def test_leaving_the_page_ends_the_copies(visit, client, page_server):
    """Also where it is left for another."""
    begin(client, "left")
    seen = visit("whatif/two/left")
    asked(seen)
    assert any(name.startswith("left~") for name in ids(page_server))
    seen.page.goto("about:blank")
    while any(name.startswith("left~") for name in ids(page_server)):
        pass


def test_a_session_that_is_not_there_cannot_be_copied(visit):
    """And is not begun by asking."""
    seen = visit("about:blank")
    seen.expected.append("status of 404")
    seen.go("whatif/two/absent")
    assert "could not be copied" in seen.wait(".state.error").inner_text()
