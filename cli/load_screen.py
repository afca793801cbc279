"""A server's load as a screen of tables."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from cli.load import CallLoad, Load, ModelLoad, Spread

_BARS = "▁▂▃▄▅▆▇█"
_SHOWN_S = 60


def screen(load: "Load | None", history: Iterable[float], address: str, trouble: str) -> RenderableType:
    """Everything there is to see.

    Args:
        load: the newest; None where there has not been any.
        history: rows a second of late, the newest last.
        trouble: why there is nothing newer; empty where there is.
    """
    lines: list[RenderableType] = [_head(load, address, trouble)]
    if trouble:
        lines.append(Text(trouble, style="bold red"))
    if load is not None:
        style = "dim" if trouble else ""
        lines += [
            _machine(load, list(history)),
            _models(load.models, style),
            *_notes(load.models),
            _calls(load.calls, style),
        ]
    return Group(*lines)


def _head(load: "Load | None", address: str, trouble: str) -> Text:
    head = Text(f"statecast {load.server_version if load else ''}".rstrip(), style="bold")
    head.append(f" at {address}  ", style="not bold")
    if trouble:
        return head.append("disconnected", style="bold red")
    if load is None:
        return head.append("connecting", style="yellow")
    head.append("ready" if load.is_ready else "not ready", style="green" if load.is_ready else "bold red")
    return head.append(f", up {_age(load.up_s)}", style="not bold")


def _machine(load: "Load", history: list[float]) -> Text:
    newest = history[-_SHOWN_S:]
    highest = max([*newest, 1e-9])
    bars = "".join(_BARS[min(int(rate / highest * len(_BARS)), len(_BARS) - 1)] for rate in newest)
    return Text(
        f"{load.rows_per_s:,.0f} rows a second   {load.cpu:.2f} cores   "
        f"{load.memory_bytes / 2**20:,.0f} MiB\n{bars}"
    )


def _models(models: "list[ModelLoad]", style: str) -> Table:
    table = _table(style)
    table.add_column("model", overflow="fold", min_width=8)
    # No wider than a terminal of 80 columns.
    heads = "v", "rows/s", "a\nbatch", "queue\np99", "step\np50 p99", "store\np99", "sessions", "stored"
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for one in models:
        table.add_row(
            Text(one.model),
            str(one.version),
            _rate(one.rows_per_s),
            "-" if one.rows_per_batch is None else f"{one.rows_per_batch:,.1f}",
            _time(one.queue.p99_s),
            _both(one.step),
            _time(one.store.p99_s),
            f"{one.sessions_in_memory:,}",
            f"{one.sessions_in_store:,}",
        )
    return table


def _notes(models: "list[ModelLoad]") -> list[RenderableType]:
    """What is rare and worth a look, a line each."""
    return [
        Text(f"{one.model}: {number:,.0f} {what}", style="yellow")
        for one in models
        for number, what in (
            (one.rows_waiting, "rows wait for a batch"),
            (one.rows_refused_per_s, "rows a second refused"),
            (one.rows_late_per_s, "rows a second too late to count"),
            (one.store_failures_per_s, "batches a second that the store did not take"),
        )
        if number
    ]


def _calls(calls: "list[CallLoad]", style: str) -> Table:
    table = _table(style)
    table.add_column("call", overflow="fold")
    for head in ("open", "calls/s", "failed/s", "p50 p99"):
        table.add_column(head, justify="right", no_wrap=True)
    for one in calls:
        failed = Text(_rate(one.failures_per_s), style="yellow" if one.failures_per_s else "")
        took = _both(one.took) if one.took else "-"
        table.add_row(Text(one.method), f"{one.open:,}", _rate(one.calls_per_s), failed, took)
    return table


def _table(style: str) -> Table:
    return Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
        style=style,
        row_styles=[style],
    )


def _both(spread: "Spread") -> str:
    return "-" if spread.p50_s is None else f"{_time(spread.p50_s)} {_time(spread.p99_s)}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f}us"
    return f"{seconds * 1000:.3g}ms" if seconds < 1 else f"{seconds:.3g}s"


def _rate(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s >= 100 or not per_s else f"{per_s:.1f}"


def _age(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
