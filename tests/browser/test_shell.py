"""The page's frame: views, connection, theme, sign-in, keys."""

import pytest

import statecast
from service.security.caller import Role
from tests.browser.visit import PATIENCE_MS
from tests.tenants import token_of

REFUSED = "status of 401"


def test_the_page_says_what_it_is_connected_to(visit):
    """And shows its views, the first of them open."""
    seen = visit()
    seen.wait("#connection[data-state=connected]")
    assert seen.url.split("/")[2] in seen.page.locator("#connection").inner_text()
    assert seen.page.locator("#nav a[aria-current=page]").inner_text() == "Live"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_without_a_session_the_page_says_how_one_begins(visit, scheme):
    """An empty view names the command that fills it."""
    seen = visit("live/quiet", color_scheme=scheme)
    assert "statecast stream" in seen.wait(".state.empty pre").inner_text()
    assert seen.findings() == []


def test_a_model_that_is_not_served_is_told(visit):
    """With the others to choose from."""
    seen = visit("live/none/s")
    assert "No model none is served" in seen.wait(".state.error").inner_text()
    assert seen.page.locator("select option").all_inner_texts() == ["next-symbol", "quiet", "two", "watched"]


def test_the_theme_is_chosen_and_remembered(visit):
    """As the system has it, light, dark."""
    seen = visit("live/quiet", color_scheme="light")
    html, button = seen.page.locator("html"), seen.page.locator("#theme")
    ground = "getComputedStyle(document.body).backgroundColor"
    seen.wait("#connection[data-state=connected]")
    light = seen.page.evaluate(ground)
    assert (html.get_attribute("data-theme"), button.get_attribute("aria-label")) == (
        "auto",
        "Theme: as the system has it",
    )
    button.click()
    assert (html.get_attribute("data-theme"), seen.page.evaluate(ground)) == ("light", light)
    button.click()
    dark = seen.page.evaluate(ground)
    assert (html.get_attribute("data-theme"), dark != light) == ("dark", True)
    seen.page.reload()
    seen.wait("#connection[data-state=connected]")
    assert seen.page.evaluate(ground) == dark


def test_the_page_is_used_by_keys_alone(visit):
    """First the way past the navigation, then each view in order; a view that is opened is told."""
    seen = visit("live/quiet")
    seen.wait(".state.empty")
    focused = "document.activeElement.innerText || document.activeElement.id"
    order = []
    for _ in range(4):
        seen.page.keyboard.press("Tab")
        order.append(seen.page.evaluate(focused).strip())
    assert order == ["Skip to the content", "statecast", "Live", "Sessions"]
    seen.page.keyboard.press("Shift+Tab")
    seen.page.keyboard.press("Enter")
    seen.wait("h1:focus", state="attached")
    assert seen.page.evaluate(focused) == "Live"


def test_a_phone_shows_the_page_without_scrolling_sideways(visit):
    """390 points are enough."""
    seen = visit("live/quiet", viewport={"width": 390, "height": 800})
    seen.wait(".state.empty")
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 390


def test_charts_that_are_not_installed_are_said_to_be_missing(visit):
    """With the extra that has them."""
    seen = visit("about:blank")
    seen.expected.append("status of 404")
    seen.page.route("**/assets/vendor/*", lambda route: route.fulfill(status=404))
    seen.go("live/two/session")
    assert "statecast-server[page]" in seen.wait(".state.error").inner_text()


def test_a_server_that_wants_tokens_is_signed_in_to(visit, guarded):
    """A wrong token is told, a right one kept for the tab alone, and forgotten by signing out."""
    seen = visit("live/quiet", server=guarded)
    seen.expected.append(REFUSED)
    seen.wait("form.sign-in")
    assert seen.findings() == []
    seen.page.fill("#token", "wrong")
    seen.page.keyboard.press("Enter")
    assert "does not know this token" in seen.wait("#token-error:not(:empty)").inner_text()
    right = token_of("acme", Role.PREDICT)
    seen.page.fill("#token", right)
    seen.page.keyboard.press("Enter")
    seen.wait(".state.empty")
    assert seen.page.evaluate("Object.values(sessionStorage)") == [right]
    assert right not in str(seen.page.evaluate("Object.values(localStorage)"))
    assert seen.context.cookies() == []
    seen.page.reload()
    seen.wait(".state.empty")
    other = seen.context.new_page()
    other.goto(seen.url)
    other.wait_for_selector("form.sign-in", timeout=PATIENCE_MS)
    seen.page.click("#sign-out")
    seen.wait("form.sign-in")
    assert seen.page.evaluate("sessionStorage.length") == 0


def test_what_a_server_says_is_never_run(visit, page_server):
    """A session whose id is markup is shown as it is written."""
    name = "<img src=x onerror=alert(1)>"
    with statecast.Client(page_server.address) as client:
        client.session("two", name).forecast([[1.0, 2.0]])
    seen = visit("live/two")
    assert name in seen.wait(".pick").inner_text()
    assert seen.page.locator("main img").count() == 0
