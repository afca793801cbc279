"""The live view: what a session takes is drawn as it comes, beside how good its forecasts were."""

import math
import signal
import socket
import time

import numpy as np
import pytest

import statecast
from tests.browser.visit import BROKEN
from tests.server_process import ServerProcess

LEVELS = (0.1, 0.5, 0.9)
CHART = "[data-chart=live]"
# From the reply of a row to the frame that draws it. Written down beside what was measured.
LIMIT_MS = 500
# Two seconds' worth, and no more than the chart shows.
NUM_BRISK = 100
START = np.datetime64("2026-03-01T00:00:00", "us")


@pytest.fixture(scope="module")
def client(page_server):
    with statecast.Client(page_server.address) as opened:
        yield opened


def hours(first, num=1):
    """Times of rows, an hour apart."""
    return START + np.arange(first, first + num) * np.timedelta64(1, "h")


def drawn(seen, least, name="position"):
    """What the chart says of its last drawing, once a number of it is as great."""
    seen.page.wait_for_function(
        "([chart, name, least]) => Number(document.querySelector(chart)?.dataset[name] ?? -1) >= least",
        arg=[CHART, name, least],
    )
    found = seen.page.evaluate("(chart) => ({...document.querySelector(chart).dataset})", CHART)
    return {key: float(value) for key, value in found.items() if key != "chart"}


def watching(visit, model, name, **options):
    """The view of a session, once its stream is open."""
    seen = visit(f"live/{model}/{name}", **options)
    seen.page.get_by_text("Waiting for rows").wait_for()
    return seen


def figure(seen, name):
    """Value and words of a figure."""
    found = seen.page.locator(f"[data-figure={name}]")
    return found.locator(".value").inner_text().strip(), found.locator(".more").inner_text()


def test_a_row_is_in_the_fan_soon_after_its_reply(visit, client, record_property):
    """Within half a second of it, row after row."""
    session = client.session("two", "prompt")
    session.forecast([[1.0, 2.0]] * 3)
    seen = watching(visit, "two", "prompt")
    latencies_ms = []
    for row in range(10):
        session.forecast([[float(row), 2.0]])
        replied_ms = time.time() * 1000
        shown = drawn(seen, 4 + row)
        latencies_ms.append(shown["drawnAtMs"] - replied_ms)
        assert shown["steps"] == 4
    record_property("latencies_ms", latencies_ms)
    print("from reply to frame, ms:", [round(each, 1) for each in latencies_ms])
    assert sorted(latencies_ms)[len(latencies_ms) // 2] < LIMIT_MS


def test_the_forecast_is_shown_before_the_first_row(visit, client):
    """As the session stands, which asking does not change."""
    client.session("two", "standing").forecast([[1.0, 2.0]] * 5)
    before = client.sessions("two").export("standing")
    seen = visit("live/two/standing")
    shown = drawn(seen, 5)
    assert (shown["rows"], shown["steps"]) == (0, 4)
    assert client.sessions("two").export("standing") == before


def test_missing_rows_are_gaps(visit, client):
    """A value that is missing, and hours that never came, are counted and stand apart."""
    session = client.session("watched", "gaps")
    session.forecast([[1.0, 2.0]], hours(0))
    seen = watching(visit, "watched", "gaps")
    for at, value in ((1, 1.0), (2, math.nan), (3, 2.0), (6, 1.0)):
        session.forecast([[value, 2.0]], hours(at))
    shown = drawn(seen, 5)
    assert (shown["rows"], shown["spans"]) == (4, 2)
    seen.page.locator("[data-figure=rows] .more", has_text="3 missing").wait_for()


def test_anomalies_are_marked(visit, client):
    """Rows whose tail probability is low enough, and no others; the figure counts the same."""
    session = client.session("watched", "odd")
    rng = np.random.default_rng(0)
    session.forecast(rng.normal(size=(300, 2)), hours(0, 300))
    seen = watching(visit, "watched", "odd")
    tails = []
    for row in range(12):
        values = [[100.0 + 40 * row, 0.0]] if row > 3 else rng.normal(size=(1, 2))
        result = session.forecast(values, hours(300 + row), score_anomalies=True)
        tails.append(float(result.anomalies[0][1]))
    num = sum(tail <= 1e-4 for tail in tails)
    assert 0 < num < 12
    # They follow one another: one thing happened.
    shown = drawn(seen, 312)
    assert (shown["odd"], shown["anomalies"]) == (num, 1)
    rows = "row" if num == 1 else "rows"
    words = f"{num} {rows} of tail probability"
    seen.page.locator("[data-figure=anomalies] .more", has_text=words).wait_for()
    assert figure(seen, "anomalies")[0] == "1"


def test_coverage_and_error_are_those_of_the_rows_that_were_seen(visit, client):
    """Each against the forecast before it; nothing from before the page was opened."""
    session = client.session("two", "judged")
    rng = np.random.default_rng(1)
    session.forecast(rng.normal(size=(30, 2)))
    seen = watching(visit, "two", "judged")
    rows = rng.normal(size=(20, 2)) * 3
    forecasts = []
    for number, row in enumerate(rows):
        forecasts.append(session.forecast([row]).forecasts[-1].values[0])
        # One by one: none is left out of the stream.
        drawn(seen, 31 + number)
    pairs = list(zip(rows[1:, 0], forecasts[:-1], strict=True))
    share = np.mean([low <= value <= high for value, (low, _, high) in pairs])
    error = np.mean([abs(value - middle) for value, (_, middle, _) in pairs])
    seen.page.locator("[data-figure=coverage] .more", has_text="of 19 rows").wait_for()
    told = seen.page.locator("[data-figure=coverage] dd.number").inner_text()
    assert told == f"{share * 100:.0f} %"
    assert float(figure(seen, "error")[0]) == pytest.approx(error, rel=6e-3)
    assert "since the page was opened" in seen.page.locator("[data-since]").inner_text()


def test_a_fast_stream_is_thinned_and_says_so(visit, client):
    """As many rows as are not shown are counted; nothing is taken for missing."""
    session = client.session("two", "fast")
    session.forecast([[1.0, 2.0]], hours(0))
    seen = watching(visit, "two", "fast")
    for at in range(1, 41, 10):
        session.forecast([[1.0, 2.0]] * 10, hours(at, 10))
    shown = drawn(seen, 41)
    assert shown["spans"] == 0
    words = seen.wait("[data-thinned]").inner_text()
    assert words.startswith("Thinned: ")
    assert words.endswith("rows/s are shown")
    seen.page.locator("[data-figure=rows] .more", has_text="36 more not shown").wait_for()
    assert figure(seen, "rows") == ("4", "36 more not shown")


def test_fifty_rows_a_second_are_all_shown(visit, client):
    """None is left out, and nothing is said of thinning at any time."""
    session = client.session("two", "brisk")
    session.forecast([[1.0, 2.0]], hours(0))
    seen = watching(visit, "two", "brisk")
    seen.page.evaluate("""() => {
      window.said = [];
      const chip = document.querySelector("[data-thinned]");
      const note = () => chip.hidden || window.said.push(chip.textContent);
      new MutationObserver(note).observe(chip, { attributes: true, childList: true });
    }""")
    for at in range(1, NUM_BRISK + 1):
        session.forecast([[float(at % 7), 2.0]], hours(at))
        # The pace of the stream: no row comes sooner after the one before it.
        time.sleep(1 / 50)
    assert drawn(seen, NUM_BRISK + 1)["rows"] == NUM_BRISK
    seen.page.locator("[data-figure=rows] .value", has_text=str(NUM_BRISK)).wait_for()
    assert figure(seen, "rows") == (str(NUM_BRISK), "none missing")
    assert seen.page.evaluate("window.said") == []


def test_a_session_that_is_reset_begins_anew(visit, client, page_server):
    """The line goes with its rows."""
    session = client.session("two", "again")
    session.forecast([[1.0, 2.0]] * 5)
    seen = watching(visit, "two", "again")
    session.forecast([[1.0, 2.0]])
    drawn(seen, 6)
    client.sessions("two").reset("again")
    assert "was reset" in seen.wait(".toast").inner_text()
    client.session("two", "again").forecast([[3.0, 2.0]])
    seen.page.wait_for_function(
        "(chart) => document.querySelector(chart).dataset.position === '1'", arg=CHART
    )
    assert drawn(seen, 1)["rows"] == 1


def test_labels_have_their_share_of_each_step(visit, client):
    """Their probabilities at the next step are those of the reply; those that came are marked and counted."""
    session = client.session("next-symbol", "symbols")
    session.forecast([["a"], ["b"], ["c"]])
    seen = watching(visit, "next-symbol", "symbols")
    for symbol in "abcab":
        result = session.forecast([[symbol]])
    shown = drawn(seen, 8)
    assert (shown["rows"], shown["labels"], shown["steps"]) == (5, 4, 1)
    expected = [f"{100 * chance:.1f} %" for chance in result.forecasts[-1].probabilities[0]]
    bars = seen.page.locator("[data-figure=labels] dd.number")
    bars.nth(0).get_by_text(expected[0]).wait_for()
    assert bars.all_inner_texts() == expected
    assert figure(seen, "accuracy")[1] == "of 4 rows"
    assert seen.findings() == []


def test_rows_are_read_by_keys(visit, client):
    """The arrows move from row to row, and say each in words."""
    session = client.session("two", "read")
    session.forecast([[1.0, 2.0]] * 3)
    seen = watching(visit, "two", "read")
    for value in (5.0, 6.0):
        session.forecast([[value, 2.0]])
    drawn(seen, 5)
    seen.page.locator(CHART).focus()
    seen.page.keyboard.press("Home")
    seen.page.locator(".readout", has_text="row 4").wait_for()
    assert "y 5" in seen.page.locator(".readout").inner_text()
    seen.page.keyboard.press("ArrowRight")
    seen.page.locator(".readout", has_text="y 6").wait_for()
    seen.page.keyboard.press("ArrowRight")
    seen.page.locator(".readout", has_text="1 step ahead").wait_for()


def test_a_pause_holds_the_drawing_and_loses_nothing(visit, client):
    """What came meanwhile is there when it ends."""
    session = client.session("two", "held")
    session.forecast([[1.0, 2.0]] * 3)
    seen = watching(visit, "two", "held")
    session.forecast([[1.0, 2.0]])
    drawn(seen, 4)
    seen.page.get_by_role("button", name="Pause").click()
    session.forecast([[1.0, 2.0]])
    seen.page.locator("[data-figure=rows] .value", has_text="2").wait_for()
    assert drawn(seen, 4)["position"] == 4
    seen.page.get_by_role("button", name="Go on").click()
    assert drawn(seen, 5)["rows"] == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_view_is_accessible(visit, client, scheme):
    """Nothing serious is found."""
    session = client.session("watched", f"seen-{scheme}")
    session.forecast([[1.0, 2.0]] * 3)
    seen = watching(visit, "watched", f"seen-{scheme}", color_scheme=scheme)
    session.forecast([[1.0, 2.0]])
    drawn(seen, 4)
    assert seen.findings() == []


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def test_a_killed_server_shows_and_comes_back(visit, page_repository, tmp_path):
    """The chart stays, the page says that nobody answers, and goes on by itself once somebody does."""
    flags = ("--http-address", f"127.0.0.1:{_free_port()}", "--data-dir", str(tmp_path))
    address = f"127.0.0.1:{_free_port()}"
    row = [[1.0, 2.0]]
    with (
        ServerProcess(page_repository, *flags, address=address) as server,
        statecast.Client(address) as client,
    ):
        client.session("two", "broken").forecast(row * 3)
        seen = watching(visit, "two", "broken", server=server)
        seen.expected.append(BROKEN)
        client.session("two", "broken").forecast(row)
        drawn(seen, 4)
        server.stop(signal.SIGKILL)
        assert "Disconnected" in seen.wait("#connection[data-state=disconnected]").inner_text()
        assert "reconnects by itself" in seen.wait("#banner").inner_text()
        assert drawn(seen, 4)["rows"] == 1
        assert seen.findings() == []
    with ServerProcess(page_repository, *flags, address=address), statecast.Client(address) as client:
        seen.wait("#connection[data-state=connected]")
        seen.page.locator("#banner").wait_for(state="hidden")
        seen.page.get_by_text("Waiting for rows").wait_for()
        client.session("two", "broken").forecast(row)
        shown = drawn(seen, 5)
        assert (shown["rows"], shown["spans"]) == (2, 0)
        # Before the server drains, which the page would complain of.
        seen.page.close()
