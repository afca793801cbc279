"""How good the forecasts of a demonstration were, beside seasonal naive."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from training.picture import Streamed


@dataclass(frozen=True)
class DemoScore:
    """Of all forecasts of the whole horizon whose steps all came.

    Attributes:
        coverage: share of what came that lay within the outermost levels; `coverage_wanted` should.
    """

    num_forecasts: int
    horizon: int
    mean_absolute_error: float
    seasonal_naive_mean_absolute_error: float
    coverage: float
    coverage_wanted: float

    @property
    def title(self) -> str:
        """Of a picture."""
        ours, theirs = self.mean_absolute_error, self.seasonal_naive_mean_absolute_error
        return f"MAE {ours:.3g}, seasonal naive {theirs:.3g}"


def score_of(streamed: "Iterable[Streamed]", horizon: int) -> DemoScore:
    """The score over all series together."""
    import numpy as np

    from training import scores
    from training.segments import targets_of

    all_series = list(streamed)
    levels = np.array(all_series[0].levels)
    actual, forecast, naive = [], [], []
    for one in all_series:
        scored = slice(0, max(len(one.times) - one.start - horizon, 0))
        actual.append(targets_of(one.observed, horizon)[one.start :][scored])
        forecast.append(one.forecasts[scored])
        naive.append(one.naive[scored])
    came, fans = np.concatenate(actual), np.concatenate(forecast)
    median = fans[..., scores.median_column(levels)]
    return DemoScore(
        num_forecasts=len(came),
        horizon=horizon,
        mean_absolute_error=float(scores.mean_absolute_error(came, median)),
        seasonal_naive_mean_absolute_error=float(scores.mean_absolute_error(came, np.concatenate(naive))),
        coverage=float(scores.coverage(came, fans[..., 0], fans[..., -1])),
        coverage_wanted=float(levels[-1] - levels[0]),
    )


def print_score(score: DemoScore, cell: str, console: "Console") -> None:
    """As a table."""
    from rich.table import Table

    ours, theirs = score.mean_absolute_error, score.seasonal_naive_mean_absolute_error
    table = Table(title=f"{score.num_forecasts} forecasts of {score.horizon} steps, all held out")
    for column in ("", "mean absolute error", "relative"):
        table.add_column(column)
    table.add_row(f"statecast ({cell})", f"{ours:.4g}", f"{ours / theirs:.2f}")
    table.add_row("seasonal naive", f"{theirs:.4g}", "1.00")
    console.print(table)
    console.print(
        f"{score.coverage:.0%} of what came lay inside the band that should hold {score.coverage_wanted:.0%}"
    )
