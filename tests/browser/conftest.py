"""One browser for all of these tests, a fresh context for each test, and servers with small models."""

import contextlib
from pathlib import Path

import pytest

from benchmarks.page_frames import CHROMIUM
from benchmarks.page_frames import FLAGS as BROWSER_FLAGS
from tests.browser.visit import Visit, only_expected
from tests.http_port import FLAGS, address_of
from tests.missing import missing
from tests.model_files import write_model
from tests.server_process import serving
from tests.task_models import write_task_model
from tests.tenants import write_tokens


# Not for longer than these tests: Playwright leaves its event loop running, and no other can run beside it.
@pytest.fixture(scope="package")
def browser():
    if not Path(CHROMIUM).exists():
        missing(f"no {CHROMIUM}: Debian's package chromium has it")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is in the extra dev")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=list(BROWSER_FLAGS))
        yield running
        running.close()


@pytest.fixture(scope="session")
def page_repository(tmp_path_factory):
    """`two`: an LSTM of two features; `quiet`: the same, which no test sends rows.

    `watched`: with anomaly scores, calibrated; `next-symbol`: labels.
    """
    path = tmp_path_factory.mktemp("page-repository")
    write_model(path, "two", "lstm")
    write_model(path, "quiet", "lstm")
    write_task_model(path, "watched")
    write_task_model(path, "next-symbol")
    return path


@pytest.fixture(scope="session")
def page_server(page_repository):
    with serving(page_repository, *FLAGS) as running:
        yield running


@pytest.fixture
def serve():
    """Starts a server for one test: `serve(repository, "--tokens", path)`."""
    with contextlib.ExitStack() as running:
        yield lambda repository, *flags: running.enter_context(serving(repository, *FLAGS, *flags))


@pytest.fixture
def guarded(serve, page_repository, tmp_path):
    """A server that asks who calls."""
    tokens = write_tokens(tmp_path / "tokens.toml")
    return serve(page_repository, "--tokens", str(tokens))


# Pages are closed before the servers of `serve` drain, which a page that is open would complain of.
@pytest.fixture
def visit(browser, page_server, serve):
    """Opens the page: `visit("live/two/a")`; ends with its console read."""
    opened = []

    def open_page(address="", *, server=page_server, path=None, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        opened.append(Visit(context, f"http://{path or address_of(server)}/", address))
        return opened[-1]

    yield open_page
    for each in opened:
        each.context.close()
    for each in opened:
        only_expected(each)


@pytest.fixture(scope="module")
def run(browser, page_server):
    """`run(module, body, argument)`: what a function of the module's names gives."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"http://{address_of(page_server)}/")

    def evaluate(module, body, argument=None):
        return page.evaluate(
            f"async ([module, argument]) => ({body})(await import(module), argument)",
            [f"/assets/{module}", argument],
        )

    yield evaluate
    context.close()
