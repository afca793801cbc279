"""Pictures of the page for the documentation: `make screenshots`; look at them before they are committed."""

import contextlib
import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import statecast
from tests.browser import pictured
from tests.http_port import FLAGS
from tests.server_process import serving

# Where the model of the pictures is kept between runs.
REPOSITORY = os.environ.get("SCREENSHOTS")
IMAGES = Path(__file__).parents[2] / "docs" / "images"
SIZES = {"phone": (390, 844), "tablet": (820, 1100), "desktop": (1440, 900)}
NAME = "meter-17"
THEMES = ("light", "dark")
# Enough before the page is opened for scores, and as many as the window holds while it is.
NUM_BEFORE, NUM_SEEN = 24 * 7 * 30, 110

SITES = ("bakery", "depot", "library", "mill", "pool", "school", "station")

pytestmark = [
    pytest.mark.skipif(not REPOSITORY, reason="pictures are made on request: make screenshots"),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def pictured_server():
    pictured.train(Path(REPOSITORY))
    with serving(Path(REPOSITORY), *FLAGS) as running:
        yield running


@pytest.fixture(params=[(size, theme) for theme in THEMES for size in SIZES], ids="-".join)
def picture(request, visit, pictured_server):
    """`picture(address)` opens a view; what it returns has `take(name)`."""
    size, theme = request.param
    width, height = SIZES[size]

    def open_view(address):
        viewport = {"width": width, "height": height}
        seen = visit(address, server=pictured_server, viewport=viewport, color_scheme=theme)

        def take(name):
            taken = Image.open(io.BytesIO(seen.page.screenshot(full_page=size != "desktop")))
            # The same picture in fewer bytes.
            taken.convert("RGB").save(IMAGES / f"page-{name}-{size}-{theme}.png", optimize=True)

        seen.take = take
        return seen

    return open_view


@pytest.fixture
def client(pictured_server):
    with statecast.Client(pictured_server.address) as opened:
        yield opened


def stream(seen, client):
    """Rows of a session while its view is open: with hours that are missing and one that is odd."""
    times, values = pictured.series()
    with contextlib.suppress(statecast.NotFound):
        client.sessions(pictured.MODEL).delete(NAME)
    session = client.session(pictured.MODEL, NAME)
    session.forecast(values[:NUM_BEFORE, None], times[:NUM_BEFORE])
    seen.go(f"live/{pictured.MODEL}/{NAME}")
    seen.page.get_by_text("Waiting for rows").wait_for()
    for number in range(NUM_SEEN):
        at = NUM_BEFORE + number
        value = values[at] + 28 * (number == 52)
        if number in (30, 31, 32, 33):
            continue
        session.forecast(np.array([[np.nan if number == 71 else value]]), times[at : at + 1])
        # One by one: a picture of a thinned stream is not what is wanted.
        seen.page.wait_for_function(
            "(position) => document.querySelector('[data-chart=live]').dataset.position === String(position)",
            arg=client.sessions(pictured.MODEL).get(NAME).position,
        )


def open_sessions(client):
    """Forty meters, each a few days further on than the one before."""
    times, values = pictured.series()
    for number in range(1, 41):
        name, num_rows = f"meter-{number:02}", 24 + 31 * number
        with contextlib.suppress(statecast.NotFound):
            client.sessions(pictured.MODEL).delete(name)
        client.session(pictured.MODEL, name).forecast(values[:num_rows, None], times[:num_rows])


def test_the_live_view_is_pictured(picture, client):
    """A stream, and what if its next rows were others."""
    seen = picture("about:blank")
    stream(seen, client)
    seen.page.locator("[data-figure=rows] .value", has_text=str(NUM_SEEN - 4)).wait_for()
    seen.take("live")
    seen.page.get_by_role("link", name="What if").click()
    seen.wait("[data-chart=whatif][data-answers]")
    for value in (57, 61, 60):
        seen.page.get_by_role("button", name="Add a step").click()
        seen.page.get_by_role("spinbutton").last.fill(str(value))
    seen.wait("[data-chart=whatif][data-steps='4'][data-pending=no]")
    seen.page.evaluate("() => document.activeElement.blur()")
    seen.take("whatif")


def test_the_sessions_are_pictured(picture, client):
    """Of a model that many series use, each as far as it has come."""
    open_sessions(client)
    seen = picture(f"sessions/{pictured.MODEL}")
    seen.wait("[data-session=meter-01]")
    seen.take("sessions")


def test_the_models_are_pictured(picture):
    """What was published, and how good it was."""
    seen = picture(f"models/{pictured.MODEL}")
    seen.wait("table[data-metric=mase]")
    seen.take("models")


def test_the_health_is_pictured(picture, client):
    """While rows come."""
    seen = picture("health")
    seen.wait("[data-figure=rows]")
    _, values = pictured.series()
    with client.stream(pictured.MODEL) as stream:
        for number in range(NUM_SEEN):
            stream.forecast(
                {f"{name}-{number % 7}": value for name, value in zip(SITES, values, strict=False)}
            )
            if number % 20 == 0:
                with seen.page.expect_response(lambda response: response.url.endswith("/api/health")):
                    pass
    seen.wait("[data-histogram=batch_rows] tbody tr")
    seen.wait(".chart canvas")
    seen.take("health")


def test_trying_it_is_pictured(picture):
    """A series of the page's own, half a minute after its start."""
    seen = picture(f"try/{pictured.MODEL}")
    seen.wait("[data-panel=series] [data-summary]")
    seen.page.get_by_role("button", name="Start").click()
    seen.wait("[data-status]:has-text('Streaming')")
    seen.page.get_by_role("button", name="50").click()
    seen.wait("[data-figure=error] .value:not(:has-text('\\N{EN DASH}'))")
    seen.wait("[data-chart=try][data-rows]")
    seen.page.get_by_role("button", name="Stop").click()
    seen.page.evaluate("() => document.activeElement.blur()")
    seen.take("try")
    seen.page.get_by_role("button", name="Delete the session").click()
    seen.wait("[data-panel=series]")
