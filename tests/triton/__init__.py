"""Triton's own client and tools, run as processes of their own: `scripts/install-triton.sh` makes them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.missing import missing

_HERE = Path(__file__).parent
_ENVIRONMENT = Path(sys.prefix) / "triton"


def drive(mode: str, **plan: Any) -> Any:
    """What `driver.py` says of a plan."""
    python = _ENVIRONMENT / "bin" / "python"
    _need(python)
    command = [str(python), str(_HERE / "driver.py")]
    done = subprocess.run(
        command, input=json.dumps({"mode": mode, **plan}), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def perf_analyzer(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it; skips where it cannot start."""
    program = _ENVIRONMENT / "perf" / "bin" / "perf_analyzer"
    _need(program)
    libraries = [str(path) for path in (_ENVIRONMENT / "perf" / "nvidia").glob("*/lib")]
    environment = os.environ | {"LD_LIBRARY_PATH": os.pathsep.join(libraries)}
    done = subprocess.run(
        [str(program), *arguments], capture_output=True, text=True, env=environment, timeout=120
    )
    if done.returncode == 127:
        missing(f"perf_analyzer does not start: {done.stderr.strip()}")
    return done


def run(program: str) -> str:
    """What a Python program prints in the environment that has `tritonclient`."""
    python = _ENVIRONMENT / "bin" / "python"
    _need(python)
    done = subprocess.run([str(python), "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _need(file: Path) -> None:
    if not file.is_file():
        missing(f"no {file.name} of Triton's here: make .venv/triton/.installed")
