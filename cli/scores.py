"""A backtest's scores as people read them: a line for the model, and one for each baseline."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from training.score_names import METRICS
from training.titles import head_of, title_of

# Of a table, whose other columns say much the same; the manifest, JSON and the page have them.
_LEFT_OUT = ("mse", "crps")

if TYPE_CHECKING:
    from rich.table import Table


def by_forecaster(backtest: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Scores by metric, by who forecast: of `drift_mae`, the drift's mae. The model comes first."""
    found: dict[str, dict[str, float]] = {}
    for name, value in backtest.items():
        metric = next((metric for metric in METRICS if name == metric or name.endswith(f"_{metric}")), name)
        prefix = name.removesuffix(metric).rstrip("_")
        found.setdefault(title_of(prefix), {})[metric] = value
    return found


def score_table(backtest: Mapping[str, float], title: str) -> "Table":
    """The model, and each baseline with the scores that it has; as narrow as a terminal."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
    metrics = [metric for metric in METRICS if metric in backtest and metric not in _LEFT_OUT]
    table.add_column(no_wrap=True)
    for metric in metrics:
        table.add_column(head_of(metric), justify="right", no_wrap=True)
    for forecaster, scores in by_forecaster(backtest).items():
        cells = [f"{scores[metric]:.4g}" if metric in scores else "" for metric in metrics]
        table.add_row(forecaster, *cells)
    return table


def matrix_lines(matrix: Sequence[Sequence[float]]) -> list[str]:
    """A transition matrix in whole percent, a line for each state that is left."""
    return ["".join(f"{share:>5.0%}" for share in row) for row in matrix]
