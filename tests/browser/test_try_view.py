"""The view that streams a file, or a series of its own, through a model."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import statecast
from tests.browser.visit import BROKEN
from tests.cuttable_proxy import CuttableProxy
from tests.http_port import FLAGS, address_of
from tests.server_process import serving

SERIES = Path(__file__).parents[2] / "service/web/page/series/mauna-loa-co2.csv"
LONG = "unique_id,ds,y,temperature\n" + "".join(
    f"{name},2024-01-01 {hour:02}:00,{hour * scale},{'' if hour == 3 else hour}\n"
    for name, scale in (("shop", 1), ("mill", 10))
    for hour in range(20)
)
READ = """async (csv, [text, info]) => {
  const { guess, seriesOf } = await import("/assets/try/series.js");
  try {
    const table = csv.readTable(text);
    return { series: seriesOf(table, guess(table, info), info) };
  } catch (error) {
    return { name: error.name, message: error.message };
  }
}"""
INFO = {
    "features": [
        {"name": "y", "categories": [], "required": True},
        {"name": "kind", "categories": ["calm", "storm"], "required": False},
    ]
}


@pytest.fixture(scope="module")
def server(page_repository):
    with serving(page_repository, *FLAGS) as running:
        yield running


def sessions_of(server, model="two"):
    with statecast.Client(server.address) as client:
        return {each.session_id: each for each in client.sessions(model).list()}


def test_the_demonstration_series_is_the_one_that_is_shipped():
    """Row by row, so that the page needs nothing of the packages that train."""
    pytest.importorskip("statsmodels")
    printed = subprocess.run([sys.executable, "-m", "cli", "demo-data"], capture_output=True, check=True)
    assert SERIES.read_bytes() == printed.stdout


def test_a_series_of_the_page_streams_into_a_new_session(visit, server):
    """Its name is shown, its fan is drawn; it can be stopped, and is then deleted."""
    seen = visit("try/two", server=server)
    seen.wait("[data-panel=series] [data-summary]")
    assert seen.findings() == []
    seen.page.get_by_role("button", name="Start").click()
    seen.wait("[data-chart=try][data-rows]")
    seen.wait("[data-status]:has-text('Streaming')")
    name = seen.page.locator("[data-session]").inner_text()
    assert sessions_of(server)[name].position >= 300
    seen.page.get_by_role("button", name="50").click()
    seen.wait("[data-figure=error] .value:not(:has-text('\N{EN DASH}'))")
    assert seen.findings() == []
    seen.page.get_by_role("button", name="Stop").click()
    seen.page.get_by_role("button", name="Delete the session").click()
    seen.wait("[data-panel=series]")
    assert name not in sessions_of(server)


def test_a_file_of_several_series_streams_the_one_that_is_chosen(visit, server, tmp_path):
    """All its rows with their times, once each; kept, it is looked at live."""
    (tmp_path / "long.csv").write_text(LONG)
    seen = visit("try/two", server=server)
    seen.page.get_by_role("button", name="A file of yours").click()
    seen.page.get_by_label("CSV file").set_input_files(tmp_path / "long.csv")
    seen.page.get_by_label("One of 2 series").select_option("mill")
    assert (
        "20 rows, 2024-01-01 00:00 UTC to 2024-01-01 19:00 UTC"
        in seen.page.locator("[data-summary]").inner_text()
    )
    assert seen.page.get_by_label("temperature").input_value() == "temperature"
    assert seen.findings() == []
    seen.page.get_by_label("Pace").select_option("50")
    seen.page.get_by_role("button", name="Start").click()
    seen.wait("[data-status]:has-text('All rows are sent')")
    name = seen.page.locator("[data-session]").inner_text()
    found = sessions_of(server)[name]
    assert found.position == 20
    assert str(found.last_time).startswith("2024-01-01 19:00")
    with statecast.Client(server.address) as client:
        rows = [[hour * 10.0, float("nan") if hour == 3 else float(hour)] for hour in range(20)]
        by_hand = client.session("two", "by-hand")
        by_hand.forecast(rows)
        expected, found = (each.forecast([[200.0, 20.0]]) for each in (by_hand, client.session("two", name)))
    np.testing.assert_array_equal(found.forecast.values, expected.forecast.values)
    seen.page.get_by_role("button", name="Keep it, and look at it live").click()
    seen.wait(f".view-live h2:has-text('{name}')")
    assert name in sessions_of(server)


def test_whoever_leaves_takes_the_session_along(visit, server):
    """A session that nobody kept is deleted."""
    seen = visit("try/two", server=server)
    seen.page.get_by_role("button", name="Start").click()
    seen.wait("[data-status]:has-text('Streaming')")
    name = seen.page.locator("[data-session]").inner_text()
    assert name in sessions_of(server)
    with seen.page.expect_response(lambda response: response.url.endswith("/DeleteSession")):
        seen.page.get_by_role("link", name="Health").click()
    assert name not in sessions_of(server)


def test_a_stream_whose_server_goes_away_says_so(visit, serve, page_repository):
    """What was drawn stays to be looked at."""
    server = serve(page_repository)
    seen = visit("try/two", server=server)
    seen.page.get_by_role("button", name="Start").click()
    seen.wait("[data-status]:has-text('Streaming')")
    seen.expected.append(BROKEN)
    server.send(signal.SIGKILL)
    server.wait()
    seen.wait("[data-status]:has-text('Disconnected')")
    assert int(seen.page.locator("[data-chart=try]").get_attribute("data-rows")) >= 100


def test_an_answer_that_breaks_off_is_a_lost_connection(visit, server):
    """Not a row that was refused: what the server took of it nobody knows."""
    with CuttableProxy(address_of(server)) as proxy:
        seen = visit("try/two", path=proxy.address)
        seen.page.get_by_role("button", name="Start").click()
        seen.wait("[data-status]:has-text('Streaming')")
        seen.expected.append(BROKEN)
        proxy.cut_after(b'"num_skipped"')
        seen.wait("[data-status]:has-text('Disconnected')")
        assert "the connection to the server broke" in seen.wait(".toast.error").inner_text()


def test_a_file_that_is_wrong_is_told_by_line_and_column(visit, server, tmp_path):
    """Nothing can be started; a right one takes its place."""
    (tmp_path / "wrong.csv").write_text("ds,y\n2024-01-01,1\n2024-01-02,one\n")
    (tmp_path / "right.csv").write_text("1\n2\n3\n")
    seen = visit("try/two", server=server, viewport={"width": 390, "height": 844})
    seen.page.get_by_role("button", name="A file of yours").click()
    seen.page.get_by_label("CSV file").set_input_files(tmp_path / "wrong.csv")
    wrong = seen.wait("[data-wrong]:not(:empty)").inner_text()
    assert wrong == "line 3, column y: found “one”: expected a number"
    assert seen.page.get_by_role("button", name="Start").is_disabled()
    assert seen.findings() == []
    seen.page.get_by_label("CSV file").set_input_files(tmp_path / "right.csv")
    assert "3 rows, without times" in seen.wait("[data-summary]").inner_text()
    assert seen.page.get_by_role("button", name="Start").is_enabled()
    assert seen.wait("[data-panel=series]").evaluate("each => each.scrollWidth <= each.clientWidth")


def test_times_that_are_not_the_models_are_left_out_unless_somebody_says_so(visit, server):
    """Weekly rows of an hourly model would be followed by missing steps."""
    seen = visit("try/two", server=server)
    seen.page.get_by_label("Series", exact=True).select_option("co2")
    seen.wait("[data-summary]:has-text('2,284 rows')")
    assert "59 without a target" in seen.page.locator("[data-summary]").inner_text()
    assert "hourly" in seen.wait(".notice").inner_text()
    assert not seen.page.get_by_label("Send the rows' times").is_checked()


def test_labels_stream_as_well(visit, server):
    """At phone width, in the dark."""
    seen = visit(
        "try/next-symbol", server=server, viewport={"width": 390, "height": 844}, color_scheme="dark"
    )
    seen.page.get_by_role("button", name="Start").click()
    seen.wait("[data-chart=try][data-rows]")
    seen.wait("[data-figure=accuracy] .value:has-text('%')")
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 390
    assert seen.findings() == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The file is empty"),
        ("ds,y\n", "found a heading alone"),
        ("y\n1\n2,3\n", "line 3: found 2 values: expected 1"),
        ("y,y\n1,2\n", "line 1: found the column y twice"),
        ('y\n"1\n', "line 2: found a quote that is not closed"),
        ("y;kind\n1,5;calm\n", "line 2, column y: found “1,5”: expected a number, with a point"),
        ("y\n1\nNaN\n", "line 3, column y: found no value of y: the model wants one in each row"),
        ("y,kind\n1,rain\n", "line 2, column kind: found “rain”: expected a category of kind: calm, storm"),
        ("y,kind\n1,2\n", "line 2, column kind: found “2”: expected a category"),
        ("ds,y\n2024-02-30,1\n", "line 2, column ds: found “2024-02-30”: expected a time such as"),
        ("ds,y\n2024-01-02,1\n2024-01-02,1\n", "line 3, column ds: found “2024-01-02”, which is not after"),
        ("ds,other\n", "found a heading alone"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said(run, text, message):
    """By line and column, with what was found and what was expected."""
    found = run("try/csv.js", READ, [text, INFO])
    assert found["name"] == "FileError"
    assert message in found["message"]


def test_files_are_read_as_they_come(run):
    """Quotes, separators, line ends, zones, missing values, series mixed with one another."""
    lines = (
        "\ufeffunique_id;ds;y;kind",
        '"a;1";2024-01-01T01:00+01:00;1;storm',
        "b;2024-01-01;2;0",
        '"a;1";2024-01-01 00:00:00.5;3;',
    )
    text = "\r\n".join(lines)
    one, other = run("try/csv.js", READ, [text, INFO])["series"]
    assert (one["id"], other["id"]) == ("a;1", "b")
    start = 1704067200000000
    assert one["times_us"] == [start, start + 500_000]
    assert one["rows"][0] == [1, 1]
    assert other["rows"] == [[2, 0]]
    (plain,) = run("try/csv.js", READ, ["5\n6\n", INFO])["series"]
    assert (plain["times_us"], [row[0] for row in plain["rows"]]) == (None, [5, 6])
    (counted,) = run("try/csv.js", READ, ["ds,y\n1,5\n2,6\n", INFO])["series"]
    assert counted["times_us"] is None
