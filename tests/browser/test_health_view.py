"""The view of the server's health: what it counts, once a second while somebody looks."""

import pytest

import statecast
from service.security.caller import Role
from tests.browser.rows import open_sessions
from tests.http_port import FLAGS
from tests.server_process import serving
from tests.tenants import token_of

NONE = "\N{EN DASH}"


@pytest.fixture(scope="module")
def server(page_repository):
    with serving(page_repository, *FLAGS) as running:
        yield running


def asks(seen):
    """Waits for the next answer about the server's health."""
    return seen.page.expect_response(lambda response: response.url.endswith("/api/health"))


def test_rows_calls_and_errors_are_seen_as_they_come(visit, server):
    """Rates, batches and failures move with the server, without a reload."""
    seen = visit("health", server=server)
    seen.wait("[data-figure=rows]")
    open_sessions(server, "two", [f"seen-{number}" for number in range(50)], num_rows=4)
    seen.wait("[data-figure=rows] .more:has-text('200 since the start')")
    seen.wait(f"[data-figure=rows] .value:not(:has-text('{NONE}'))")
    assert "50" in seen.page.locator("[data-figure=sessions] .value").inner_text()
    seen.wait("[data-histogram=batch_rows] tbody tr")
    assert "of 1" in seen.page.locator("[data-histogram=batch_rows] .summary").inner_text()
    assert seen.page.locator("[data-panel=models] tr[data-model=two]").inner_text().split("\t")[3] == "200"
    seen.wait(".chart canvas")
    assert "None since" in seen.page.locator("[data-panel=errors]").inner_text()
    with statecast.Client(server.address) as client, pytest.raises(statecast.StatecastError):
        client.sessions("two").delete("nobody")
    row = seen.wait("[data-panel=errors] tr[data-status=NOT_FOUND]").inner_text()
    assert row.split("\t") == ["NOT_FOUND", "SessionService/DeleteSession", "1", "1"]
    assert seen.findings() == []
    seen.page.get_by_role("button", name="Since the start").click()
    seen.wait("[data-histogram=batch_rows] tbody tr")


def test_nothing_is_asked_once_the_view_is_left(visit, server):
    """Nor before it is shown; it costs nothing then."""
    seen = visit("models", server=server)
    asked = []
    seen.page.on(
        "request", lambda request: asked.append(request.url) if "/api/health" in request.url else None
    )
    seen.wait(".model-list")
    assert asked == []
    with asks(seen):
        seen.go("health")
    with asks(seen):
        pass
    seen.go("models")
    seen.wait(".model-list")
    num = len(asked)
    with seen.page.expect_response(lambda response: response.url.endswith("/livez"), timeout=30_000):
        pass
    assert len(asked) <= num


def test_nobody_but_operators_is_told(visit, guarded):
    """They are told why, and nothing is refused in the console."""
    seen = visit("health", server=guarded)
    seen.expected.append("status of 401")
    seen.page.get_by_label("Token").fill(token_of("acme", Role.PREDICT))
    seen.page.get_by_role("button", name="Sign in").click()
    seen.wait(".state.empty:has-text('told to operators')")


def test_a_server_that_cannot_say_is_asked_again(visit, server):
    """The view says what failed, and goes on when somebody asks it to."""
    seen = visit("models", server=server)
    seen.expected.append("status of 500")
    seen.page.route(
        "**/api/health",
        lambda route: route.fulfill(status=500, json={"code": "INTERNAL", "message": "broken"}),
    )
    seen.go("health")
    assert "broken" in seen.wait(".state.error").inner_text()
    seen.page.unroute("**/api/health")
    seen.page.get_by_role("button", name="Try again").click()
    seen.wait("[data-figure=rows]")


def test_a_narrow_screen_shows_health_without_scrolling_aside(visit, server):
    """In the dark, too."""
    seen = visit("health", server=server, viewport={"width": 390, "height": 844}, color_scheme="dark")
    seen.wait("[data-figure=memory] .value:has-text('MB')")
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 390
    assert seen.findings() == []


def histogram(*counts, total=0.0):
    return {"bounds": [1, 2, 4], "counts": list(counts), "sum": total}


def test_rates_are_differences_and_begin_anew_with_the_process(run):
    """A histogram of the last minute is what came in it; a count that fell is of another process."""
    snapshots = [
        {
            "at_s": at_s, "uptime_s": 100 + at_s, "requests": [],
            "models": [{"rows_applied": rows, "batch_rows": counted}],
        }
        for at_s, rows, counted in [
            (0, 0, histogram(5, 0, 0, 0, total=5)), (60, 600, histogram(5, 2, 0, 0, total=9)),
            (65, 1100, histogram(5, 2, 4, 1, total=40)),
        ]
    ]  # fmt: skip
    told = run(
        "health/history.js",
        """(m, snapshots) => {
          const history = new m.History();
          const rows = (snapshot) => snapshot.models[0].rows_applied;
          const counted = (snapshot) => snapshot.models[0].batch_rows;
          history.add(snapshots[0]);
          const alone = history.rate(rows);
          for (const each of snapshots.slice(1)) history.add(each);
          const told = {
            alone: Number.isNaN(alone), rate: history.rate(rows), growth: history.growth(rows),
            series: history.series(rows).map(({ value }) => value), recent: history.recent(counted),
            half: m.quantile(counted(history.latest), 0.5), most: m.quantile(counted(history.latest), 0.99),
          };
          history.add({ ...snapshots[0], at_s: 70, uptime_s: 1 });
          return { ...told, anew: Number.isNaN(history.rate(rows)) };
        }""",
        snapshots,
    )
    assert (told["alone"], told["anew"]) == (True, True)
    assert (told["rate"], told["growth"]) == (100, 1100)
    assert told["series"] == [10, 100]
    assert told["recent"] == histogram(0, 2, 4, 1, total=35)
    assert told["half"] == 2
    assert told["most"] == float("inf")
