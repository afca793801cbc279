"""The live view in a real browser, as it is drawn.

`python -m benchmarks.page_frames ADDRESS MODEL SESSION` says, as JSON, `ready` once the view is open. To each
line of its standard input, a number of seconds, it says what the page did for so long (`WATCH`); to an empty
line, how many rows the page has been told.
"""

import json
import os
import sys
from typing import Any

CHROMIUM = "/usr/bin/chromium"
# Nothing that a browser does of its own accord, and no sandbox within the container's.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
# Frames, the longest time between two of them, and how many of them drew the chart anew.
WATCH = """(seconds) => new Promise((resolve) => {
  let frames = 0, longest_ms = 0, drawings = 0, before;
  const chart = document.querySelector("[data-chart=live]");
  const drawn = new MutationObserver(() => (drawings += 1));
  drawn.observe(chart, { attributeFilter: ["data-drawn-at-ms"] });
  const begun = performance.now();
  const frame = (now) => {
    frames += 1;
    if (before !== undefined) longest_ms = Math.max(longest_ms, now - before);
    before = now;
    const seconds_gone = (performance.now() - begun) / 1000;
    if (seconds_gone < seconds) return requestAnimationFrame(frame);
    drawn.disconnect();
    resolve({ frames: frames / seconds_gone, longest_ms, drawings: drawings / seconds_gone });
  };
  requestAnimationFrame(frame);
})"""
_ROWS = """() => Number(
  document.querySelector("[data-figure=rows] .value").textContent.replaceAll(",", "")
)"""


def main(address: str, model: str, session: str) -> None:
    """Until standard input ends."""
    from playwright.sync_api import sync_playwright

    # A browser has processes that work side by side, and the server does little meanwhile.
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"http://{address}/#live/{model}/{session}")
        page.get_by_text("Waiting for rows").wait_for()
        _say("ready")
        for line in sys.stdin:
            _say(page.evaluate(WATCH, float(line)) if line.strip() else page.evaluate(_ROWS))
        browser.close()


def _say(what: Any) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
