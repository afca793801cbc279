"""The machine that was measured, and whether it was ours alone."""

import os
import platform
import resource
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("grpcio", "onnxruntime", "numpy", "uvloop")
# Above this the tails are those of whoever else was running.
_QUIET_CORES = 0.1


class Others:
    """Processor time of other processes since it was made; ask once our own have ended."""

    def __init__(self) -> None:
        self._began_s = time.perf_counter()
        self._before_s = _busy_s() - _ours_s()

    def describe(self) -> str:
        """As a number of cores, and what follows from it."""
        cores = (_busy_s() - _ours_s() - self._before_s) / (time.perf_counter() - self._began_s)
        found = f"took {max(0.0, cores):.2f} cores"
        return found if cores < _QUIET_CORES else f"{found}, so the p99 rows are not to be trusted"


def describe() -> dict[str, str]:
    """Processor, cores and versions."""
    return {"CPU": _cpu(), "cores": str(os.cpu_count()), "Python": platform.python_version()} | {
        name: found for name in _PACKAGES if (found := _version(name))
    }


def revision(code: Path) -> str:
    """The commit of a checkout, marked where files differ from it."""
    command = ["git", "describe", "--always", "--dirty=, changed", "--exclude=*"]
    found = subprocess.run(command, cwd=code, capture_output=True, text=True)
    return found.stdout.strip() or "unknown"


def _busy_s() -> float:
    fields = [int(field) for field in Path("/proc/stat").read_text("utf-8").splitlines()[0].split()[1:]]
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = fields[:8]
    return (user + nice + system + interrupts + soft_interrupts + stolen) / os.sysconf("SC_CLK_TCK")


def _ours_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
