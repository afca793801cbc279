"""Renders a folder with kustomize itself, as a program: `python -m tests.kustomize FOLDER` prints YAML.

The library, of .venv/kustomize, brings a runtime of its own: it is not loaded into the tests' process.
"""

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.missing import missing

_ROOT = Path(__file__).parents[1]
# The bindings' defaults.
_OPTIONS = {"load_restrictions": 0, "reorder": "unspecified", "add_managedby_label": False}


def render(folder: Path) -> str:
    """What `kustomize build FOLDER` prints; without the library the test is skipped, or fails in CI."""
    if _library() is None:
        missing("no .venv/kustomize here: make test installs it")
    command = [sys.executable, "-m", "tests.kustomize", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, cwd=_ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _library() -> Path | None:
    places = (_ROOT / ".venv" / "kustomize", Path(sys.prefix) / "kustomize")
    return next((found for place in places for found in place.glob("pykustomize/_lib/*/*.so")), None)


def _build(folder: str) -> str:
    library = ctypes.CDLL(str(_library()))
    library.pykustomize_last_error.restype = ctypes.c_char_p
    result = ctypes.c_char_p()
    options = json.dumps(_OPTIONS).encode()
    if library.pykustomize_build(folder.encode(), options, ctypes.byref(result)) != 0:
        raise SystemExit((library.pykustomize_last_error() or b"it says nothing").decode())
    assert result.value is not None
    return result.value.decode()


if __name__ == "__main__":
    print(_build(sys.argv[1]))
