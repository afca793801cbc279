"""Which forecasts are judged: the rows that they are made after, and how far they are followed."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from models.manifest import Manifest
from training.dataset import SeriesData
from training.settings import SettingsError


@dataclass(frozen=True)
class Judging:
    """How a backtest is made; what is None follows from the model and the series.

    Attributes:
        start: where the judged part of each series begins: a time, or the share of rows before it. Without
            it, the series' own `validation_start`.
        stride: rows from one origin to the next.
        horizon: steps ahead to judge, at most those that the model forecasts.
        season_length: of the seasonal naive forecast and of MASE's scale.
        interval: levels (lower, upper) of the interval whose coverage and MSIS head the scores; without it
            the outermost.
    """

    start: np.datetime64 | float | None = None
    stride: int = 1
    horizon: int | None = None
    season_length: int | None = None
    interval: tuple[float, float] | None = None

    def start_row(self, one: SeriesData) -> int:
        """The first row of the judged part."""
        if self.start is None:
            return one.validation_start
        if isinstance(self.start, float):
            return round(len(one.times) * self.start)
        return int(np.searchsorted(one.times, self.start))

    def num_steps(self, manifest: Manifest) -> int:
        """K: a forecast that lags has seen its first steps, and only the others are judged.

        Raises:
            SettingsError: more than the model forecasts.
        """
        most = manifest.horizon - manifest.look_ahead
        if self.horizon is not None and not 1 <= self.horizon <= most:
            raise SettingsError(
                f"horizon: expected 1 to {most}, which the model forecasts, found {self.horizon}"
            )
        return self.horizon or most

    def origins(self, one: SeriesData, manifest: Manifest) -> npt.NDArray[np.intp]:
        """(N,) the rows after which a forecast is judged: all its steps lie in the judged part, and came."""
        first = max(self.start_row(one) - 1 + manifest.look_ahead, 0)
        return np.arange(first, len(one.times) - self.num_steps(manifest), self.stride)

    def interval_column(self, manifest: Manifest) -> int | None:
        """Which of the central intervals heads the scores; None where the model has one level alone.

        Raises:
            SettingsError: the levels are none of the model's pairs.
        """
        levels = manifest.quantile_levels
        pairs = [(levels[at], levels[-1 - at]) for at in range(len(levels) // 2)]
        if self.interval is None:
            return 0 if pairs else None
        for column, pair in enumerate(pairs):
            if np.allclose(pair, self.interval):
                return column
        known = " or ".join(f"{lower:g},{upper:g}" for lower, upper in pairs) or "none, as it has one level"
        found = ",".join(f"{level:g}" for level in self.interval)
        raise SettingsError(f"levels: expected {known}, the model's own, found {found}")


def parse_start(text: str) -> np.datetime64 | float:
    """A share of rows such as 0.8, or a time.

    Raises:
        SettingsError: neither.
    """
    try:
        share = float(text)
    except ValueError:
        return _time(text)
    if not 0 < share < 1:
        raise SettingsError(f"start: expected a share between 0 and 1, or a time, found {text!r}")
    return share


def _time(text: str) -> np.datetime64:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        expected = "a time such as 2024-01-31 or a share of rows such as 0.8"
        raise SettingsError(f"start: expected {expected}, found {text!r}") from None
    utc = time.astimezone(UTC) if time.tzinfo else time
    return np.datetime64(utc.replace(tzinfo=None), "us")


def parse_interval(text: str) -> tuple[float, float]:
    """Two levels, as 0.1,0.9.

    Raises:
        SettingsError: anything else.
    """
    try:
        lower, upper = map(float, text.split(","))
    except ValueError:
        raise SettingsError(f"levels: expected two such as 0.1,0.9, found {text!r}") from None
    return lower, upper
