"""`python -m tests.chaos.page FIGURES PAGE`: the figures of `make chaos` at the end of a page."""

import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

_HEADING = "## Figures\n"


def write(figures: Mapping[str, Mapping[str, float]], page: Path) -> None:
    """Replace what stands under the page's last heading, which must be `## Figures`.

    Args:
        figures: by measure, numbers by what they count.
    """
    text, heading, _ = page.read_text("utf-8").partition(_HEADING)
    if not heading:
        raise ValueError(f"{page}: expected the heading {_HEADING.strip()!r}, found none")
    rows = [f"| {name} | {_told(counts)} |" for name, counts in figures.items()]
    table = "\n".join(["| measure | figures |", "|---|---|", *rows])
    where = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    page.write_text(f"{text}{_HEADING}\nThe last run of `make chaos` ({where}):\n\n{table}\n", "utf-8")


def _told(counts: Mapping[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_number(value)}" for name, value in counts.items())


def _number(value: float) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}"


if __name__ == "__main__":
    write(json.loads(Path(sys.argv[1]).read_text("utf-8")), Path(sys.argv[2]))
