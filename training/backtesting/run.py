"""Stream every series through the file and judge what it forecast: never a separate path."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import onnxruntime

from models.artifact import unseal
from models.manifest import Manifest
from training import scores
from training.backtesting.judged import Months, Pooled
from training.backtesting.judging import Judging
from training.backtesting.result import Backtest, SeriesScores
from training.backtesting.tally import Tally, inside_intervals
from training.baselines import CHAIN, FITTED, QUICK, Baseline, MarkovChain
from training.dataset import SeriesData
from training.label_scores import label_scores
from training.progress_bar import progress_bar
from training.rows import SeriesRows
from training.scores import Floats
from training.segments import targets_of
from training.settings import SettingsError
from training.streaming import session_of, stream, stream_chunks

# Forecasts of a baseline that are looked at together.
_BLOCK = 512


def held_out_scores(
    content: bytes, series: Sequence[SeriesData], *, fitted: bool = False, progress: bool = False
) -> dict[str, float]:
    """What a manifest says of a file: its scores on the validation parts, a forecast after every row.

    Early stopping chose the weights on the same part, so the scores lean a little to the good side.

    Args:
        content: a sealed file.
        series: as it was trained on.
        fitted: also score the baselines that statsmodels fits, which takes seconds for each series.
        progress: show a bar on standard error.

    Returns:
        `Backtest.scores`; of a classifier, what `label_scores` gives.
    """
    _, manifest = unseal(content)
    if not manifest.labels:
        return backtest(content, series, fitted=fitted, progress=progress).scores
    session = session_of(content)
    return label_scores(manifest, series, [_probabilities(session, manifest, one) for one in series])


def backtest(
    content: bytes,
    series: Sequence[SeriesData],
    judging: Judging | None = None,
    *,
    fitted: bool = False,
    progress: bool = False,
) -> Backtest:
    """Each series is streamed from its first row; forecasts from the judged part's start on are scored.

    Some hundred forecasts of the model are held at a time, and of a baseline those of one series.

    Args:
        content: a sealed file of a regression.
        series: `series_for` reads them from a file.
        judging: which forecasts; by default every one that lies in the validation parts.
        fitted: also score the baselines that statsmodels fits, which takes seconds for each series.
        progress: show a bar on standard error.

    Raises:
        SettingsError: a classifier's file, or `judging` that does not fit the model.
    """
    _, manifest = unseal(content)
    if manifest.labels:
        raise SettingsError(f"{manifest.name} gives probabilities of labels: expected a model of quantities")
    run = _Run(manifest, judging or Judging(), session_of(content))
    run.baselines = _baselines(series, run.judging, fitted)
    with progress_bar("backtest", len(series), "series", is_shown=progress) as advance:
        for one in series:
            run.judge(one)
            advance(1)
    return run.result()


def chain_of(series: Iterable[SeriesData], judging: Judging | None = None) -> MarkovChain:
    """The Markov chain over the binned values before the judged parts."""
    judging = judging or Judging()
    return MarkovChain.fit([one.target[: judging.start_row(one)] for one in series])


def _probabilities(
    session: onnxruntime.InferenceSession, manifest: Manifest, one: SeriesData
) -> npt.NDArray[np.float32]:
    """Of a series that nothing is held out of, nothing is forecast."""
    if one.validation_start < len(one.times):
        return stream(session, manifest, SeriesRows(one, manifest.row_layout))
    return np.zeros((0, manifest.horizon, manifest.num_columns), np.float32)


def _baselines(series: Sequence[SeriesData], judging: Judging, fitted: bool) -> Mapping[str, Baseline]:
    return {**QUICK, CHAIN: chain_of(series, judging).forecasts, **(FITTED if fitted else {})}


class _Run:
    """Sums as they grow, series by series."""

    def __init__(self, manifest: Manifest, judging: Judging, session: onnxruntime.InferenceSession) -> None:
        self.manifest, self.judging, self.session = manifest, judging, session
        self.num_steps = judging.num_steps(manifest)
        self.season_length = judging.season_length or manifest.season_length
        self.interval = judging.interval_column(manifest)
        self.levels: Floats = np.array(manifest.quantile_levels)
        self.baselines: Mapping[str, Baseline] = {}
        self._pooled = {"": self._new_pooled(is_point=False)}
        # Baselines that some series gave nothing to fit: they would be scored on other rows than the model.
        self._dropped: set[str] = set()
        self._by_series: list[SeriesScores] = []
        self._unjudged: list[str] = []
        self._months = Months()
        self._times: list[np.datetime64] = []

    def judge(self, one: SeriesData) -> None:
        origins = self.judging.origins(one, self.manifest)
        if not len(origins):
            self._unjudged.append(one.id)
            return
        start = self.judging.start_row(one)
        scale = scores.seasonal_scale(one.target[:start], self.season_length)
        found = self._pooled[""].add(self._stream(one, origins), scale)
        for name, baseline in self.baselines.items():
            if (tally := self._baseline(baseline, one, start, origins)) is None:
                self._dropped.add(name)
            else:
                pooled = self._pooled.setdefault(name, self._new_pooled(is_point=True))
                found |= {f"{name}_{metric}": value for metric, value in pooled.add(tally, scale).items()}
        self._by_series.append(SeriesScores(one.id, len(origins), found))
        self._times += [one.times[origins[0] + 1], one.times[origins[-1] + self.num_steps]]

    def result(self) -> Backtest:
        return Backtest(
            manifest=self.manifest,
            judging=self.judging,
            num_steps=self.num_steps,
            season_length=self.season_length,
            interval=self.interval,
            first_time=min(self._times, default=None),
            last_time=max(self._times, default=None),
            pooled={name: pooled for name, pooled in self._pooled.items() if name not in self._dropped},
            by_series=self._by_series,
            unjudged=self._unjudged,
            months=self._months,
        )

    def _new_pooled(self, *, is_point: bool) -> Pooled:
        return Pooled(Tally.empty(self.num_steps, len(self.levels)), self.levels, is_point, self.interval)

    def _stream(self, one: SeriesData, origins: npt.NDArray[np.intp]) -> Tally:
        """Sums of the model's forecasts after the rows `origins`; the months' besides."""
        tally = Tally.empty(self.num_steps, len(self.levels))
        ahead, seen = targets_of(one.target, self.num_steps), self.manifest.look_ahead
        steps, row = np.arange(1, self.num_steps + 1), 0
        rows = SeriesRows(one, self.manifest.row_layout)
        for forecasts in stream_chunks(self.session, self.manifest, rows):
            here = origins[(origins >= row) & (origins < row + len(forecasts))]
            fans = forecasts[here - row, seen : seen + self.num_steps].astype(np.float64)
            actual = ahead[here]
            tally.add(actual, fans, self.levels)
            if len(here):
                known = ~np.isnan(actual)
                inside = inside_intervals(actual, fans, known)
                self._months.add(one.times[here[:, None] + steps], known, inside)
            row += len(forecasts)
            if row > origins[-1]:
                break
        return tally

    def _baseline(
        self, baseline: Baseline, one: SeriesData, start: int, origins: npt.NDArray[np.intp]
    ) -> Tally | None:
        points = baseline(one.target, start, self.num_steps, self.season_length)
        if points is None:
            return None
        tally, ahead = Tally.empty(self.num_steps, len(self.levels)), targets_of(one.target, self.num_steps)
        for first in range(0, len(origins), _BLOCK):
            rows = origins[first : first + _BLOCK]
            fans = np.broadcast_to(points[rows, :, None], (len(rows), self.num_steps, len(self.levels)))
            tally.add(ahead[rows], fans, self.levels)
        return tally
