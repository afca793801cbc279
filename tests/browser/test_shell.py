"""The page's frame: views, connection, theme, sign-in."""


def test_the_page_says_what_it_is_connected_to(visit):
    """And shows its views, the first of them open."""
    seen = visit()
    seen.wait("#connection[data-state=connected]")
    host = seen.url.split("/")[2]
    assert host in seen.page.locator("#connection").inner_text()
    assert seen.page.locator("#nav a[aria-current=page]").inner_text() == "Live"


def test_without_a_session_the_page_says_how_one_begins(visit):
    """An empty view names the command that fills it."""
    seen = visit("live/two")
    assert "statecast stream" in seen.wait(".state.empty pre").inner_text()
    assert seen.findings() == []
