"""A visit of the page: what it shows, and what the browser says against it."""

import re
from typing import Any

# So long the slowest of these machines may take to show what is there at once elsewhere.
PATIENCE_MS = 15_000
# What Chromium itself writes where nobody listens, or a connection breaks.
BROKEN = (
    r"net::ERR_(CONNECTION_(REFUSED|RESET)|SOCKET_NOT_CONNECTED|EMPTY_RESPONSE|"
    r"INCOMPLETE_CHUNKED_ENCODING|CONTENT_LENGTH_MISMATCH)"
)


class Visit:
    """One tab in a context of its own.

    Attributes:
        page: Playwright's.
        complaints: errors and warnings of the console, its reports on the policy among them, and exceptions.
        expected: patterns of complaints that the test brings about itself.
    """

    def __init__(self, context: Any, url: str, address: str = "") -> None:
        self.context, self.url = context, url
        self.complaints: list[str] = []
        self.expected: list[str] = []
        context.set_default_timeout(PATIENCE_MS)
        self.page = context.new_page()
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        self.go(address)

    def go(self, address: str) -> None:
        """Open a view, by its address after the hash."""
        self.page.goto(f"{self.url}#{address}" if address else self.url)

    def wait(self, selector: str, **options: Any) -> Any:
        """The element, once it is there and seen."""
        found = self.page.locator(selector).first
        found.wait_for(**options)
        return found

    def findings(self) -> list[str]:
        """What axe finds serious or critical."""
        from axe_playwright_python.sync_playwright import Axe

        result = Axe().run(self.page).response
        return [
            f"{found['impact']}: {found['id']}: {node['html']} ({node.get('failureSummary', '')})"
            for found in result["violations"]
            if found["impact"] in ("serious", "critical")
            for node in found["nodes"]
        ]

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")


def only_expected(visit: Visit) -> None:
    """Raises AssertionError: the browser complained of something that the test did not bring about."""
    unexpected = [
        complaint
        for complaint in visit.complaints
        if not any(re.search(pattern, complaint) for pattern in visit.expected)
    ]
    assert not unexpected, unexpected
