"""What a run of `make chaos` measured: printed, and kept where CHAOS_FIGURES names a file."""

import json
import os
from pathlib import Path


def report(capsys, measure, **figures):
    """Print a test's figures, and add them to the file."""
    with capsys.disabled():
        print(f"\n{measure}: " + ", ".join(f"{name} {value}" for name, value in figures.items()))
    named = os.environ.get("CHAOS_FIGURES")
    if named:
        path = Path(named)
        kept = json.loads(path.read_text("utf-8")) if path.exists() else {}
        path.write_text(json.dumps({**kept, measure: figures}, indent=2) + "\n", "utf-8")
