"""Forecasts to look at: of the best, the median and the worst series, from several origins."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.backtesting.result import Backtest
from training.dataset import SeriesData
from training.rows import SeriesRows
from training.scores import Floats, seasonal_naive
from training.segments import targets_of
from training.streaming import session_of, stream_chunks

_NUM_ORIGINS = 3
# Shown before an origin: as long as the forecast, and no less than this.
_FEWEST_BEFORE = 12


@dataclass(frozen=True)
class Fan:
    """A forecast from one origin beside what came; H rows before, K steps ahead, Q levels.

    Attributes:
        id: of the series.
        rank: what the series stands for: best, median, worst; or nothing, of a single one.
        score: the series' MASE, or its MAE where it has none.
        before, observed: (H,) times and values up to the origin.
        times, came: (K,) of the steps ahead; NaN where missing.
        quantiles: (K, Q).
        naive: (K,) seasonal naive.
    """

    id: str
    rank: str
    score: str
    before: npt.NDArray[np.datetime64]
    observed: Floats
    times: npt.NDArray[np.datetime64]
    came: Floats
    quantiles: Floats
    naive: Floats


def fans_of(content: bytes, series: Sequence[SeriesData], found: Backtest) -> list[Fan]:
    """Streams the chosen series again: a backtest keeps no forecasts.

    Args:
        content: the sealed file that `found` is of.
        series: those that it was made on.
    """
    by_id = {one.id: one for one in series}
    metric = "mase" if "mase" in found.scores else "mae"
    ranked = sorted(
        (one for one in found.by_series if np.isfinite(one.scores[metric])),
        key=lambda one: one.scores[metric],
    )
    if not ranked:
        return []
    # Of two series, the median is one of the others.
    chosen = {(len(ranked) - 1) // 2: "median"} | {0: "best", len(ranked) - 1: "worst"}
    names = {at: name if len(ranked) > 1 else "" for at, name in chosen.items()}
    session = session_of(content)
    made = []
    for place, rank in sorted(names.items()):
        one, score = by_id[ranked[place].id], f"{metric.upper()} {ranked[place].scores[metric]:.3g}"
        every = found.judging.origins(one, found.manifest)
        origins = np.unique(every[np.linspace(0, len(every) - 1, _NUM_ORIGINS).round().astype(int)])
        rows = SeriesRows(one, found.manifest.row_layout)
        fans = _forecasts(stream_chunks(session, found.manifest, rows), origins, found)
        made += [_fan(one, rank, score, at, fan, found) for at, fan in zip(origins, fans, strict=True)]
    return made


def _forecasts(
    chunks: Iterator[npt.NDArray[np.float32]], origins: npt.NDArray[np.intp], found: Backtest
) -> list[Floats]:
    made: list[Floats] = []
    row, seen = 0, found.manifest.look_ahead
    for forecasts in chunks:
        here = origins[(origins >= row) & (origins < row + len(forecasts))]
        made += [forecasts[at - row, seen : seen + found.num_steps].astype(np.float64) for at in here]
        row += len(forecasts)
        if row > origins[-1]:
            break
    return made


def _fan(one: SeriesData, rank: str, score: str, origin: int, quantiles: Floats, found: Backtest) -> Fan:
    num_steps = found.num_steps
    before = slice(max(origin + 1 - max(num_steps, _FEWEST_BEFORE), 0), origin + 1)
    naive = seasonal_naive(one.target[: origin + 1], num_steps, found.season_length)
    return Fan(
        id=one.id,
        rank=rank,
        score=score,
        before=one.times[before],
        observed=one.target[before],
        times=one.times[origin + 1 : origin + 1 + num_steps],
        came=targets_of(one.target, num_steps)[origin],
        quantiles=quantiles,
        naive=naive[-1],
    )
