"""`statecast top`."""

import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from cli.load import Load
    from cli.metrics import Reading

_TIMEOUT_S = 5.0
_NUM_RATES = 60


def top(
    http: Annotated[
        str,
        typer.Option(
            envvar="STATECAST_HTTP_ADDRESS",
            show_envvar=False,
            help="The server's HTTP port: what it has as --http-address.",
        ),
    ] = "localhost:8080",
    interval_s: Annotated[float, typer.Option(min=0.05, help="Seconds between two looks.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Look for one interval, print, and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, an object an interval.")] = False,
) -> None:
    """Watch a server's rows a second, latencies, sessions and versions."""
    from cli.metrics import MetricsError

    try:
        watch = _Watch(http, interval_s)
        if once:
            _print(watch.once(), as_json, http, "")
        elif as_json or not sys.stdout.isatty():
            for load in watch.loads():
                _print(load, as_json, http, watch.trouble)
        else:
            _live(watch)
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # Whoever read our output has had enough. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except MetricsError as error:
        _fail(str(error))
    except ModuleNotFoundError as error:
        _fail(f"{error.name} is not installed; top needs: pip install 'statecast-server[serve]'")


class _Watch:
    """Looks at a server again and again.

    Attributes:
        address: of its HTTP port.
        trouble: why the newest look found nothing; empty where it did.
        history: rows a second, the newest last.
        load: the newest there is.
    """

    def __init__(self, address: str, interval_s: float) -> None:
        self.address, self._interval_s = address, interval_s
        self.trouble = ""
        self.history: deque[float] = deque(maxlen=_NUM_RATES)
        self.load: Load | None = None

    def once(self) -> "Load":
        """The load of one interval.

        Raises:
            MetricsError: the server is not there.
        """
        from cli.load import is_same_process, load_between
        from cli.metrics import MetricsError, read_metrics

        before = read_metrics(self.address, _TIMEOUT_S)
        time.sleep(self._interval_s)
        now = read_metrics(self.address, _TIMEOUT_S)
        if not is_same_process(before, now):
            raise MetricsError(self.address, "the server began anew meanwhile", "look again")
        return load_between(before, now)

    def loads(self) -> "Iterator[Load | None]":
        """After each interval the newest load; while the server is away the last one there was, or None."""
        from cli.load import is_same_process, load_between

        before: Reading | None = None
        while True:
            now = self._read()
            if now is None:
                before = None
                yield self.load
            elif before is not None and is_same_process(before, now):
                self.load = load_between(before, now)
                self.history.append(self.load.rows_per_s)
                before = now
                yield self.load
            else:
                # The counts of a server that began anew say nothing beside those of the one before.
                before = now
            time.sleep(self._interval_s)

    def _read(self) -> "Reading | None":
        from cli.metrics import MetricsError, read_metrics

        try:
            reading = read_metrics(self.address, _TIMEOUT_S)
        except MetricsError as error:
            again = f"trying again every {self._interval_s:g} s"
            self.trouble = f"{error.reason}; {again}; {error.advice}"
            return None
        self.trouble = ""
        return reading


def _live(watch: _Watch) -> None:
    from rich.console import Console
    from rich.live import Live

    from cli.load_screen import screen

    def now() -> object:
        return screen(watch.load, watch.history, watch.address, watch.trouble)

    console = Console(highlight=False)
    with Live(now(), console=console, screen=True, auto_refresh=False) as live, suppress(KeyboardInterrupt):  # type: ignore[arg-type]
        for _ in watch.loads():
            live.update(now(), refresh=True)  # type: ignore[arg-type]


def _print(load: "Load | None", as_json: bool, address: str, trouble: str) -> None:
    if as_json:
        fields = asdict(load) if load is not None and not trouble else {}
        print(json.dumps({"address": address, "trouble": trouble, **fields}, allow_nan=False), flush=True)
        return
    from cli.load_screen import screen

    _console().print(screen(load, [load.rows_per_s] if load else [], address, trouble))
    sys.stdout.flush()


def _console() -> "Console":
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 120, highlight=False)


def _fail(message: str) -> NoReturn:
    print(f"statecast top: {message}", file=sys.stderr)
    raise SystemExit(2) from None
