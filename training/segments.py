"""Truncated back-propagation through time: lanes that walk along series, segment after segment.

Axes: B lanes, T the segment's length, W columns of a row, K horizon.
"""

import itertools
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.rows import RowLayout
from training.dataset import WARM_UP, SeriesData
from training.rows import SeriesRows
from training.windows import Windows

# Fewer steps than this say little; a small data set is walked several times an epoch.
MIN_STEPS = 20
# A long series is cut, so that it fills the lanes; a piece still shows a state many segments old.
MIN_PIECE_SEGMENTS = 6
_VALIDATION_LENGTH = 512


class Segment(NamedTuple):
    """One step of every lane.

    Attributes:
        x: (B, T, W) float64 by `models.rows.RowLayout`, raw units, NaN where missing.
        targets: (B, T, K) float64, raw units: the K values after each row, NaN where not to be learned.
        fresh: (B,) bool, lanes that start here from the initial state; the others carry theirs on.
        history: (B, L) float64, of fresh lanes the target's values before the first row, NaN where there
            is none; None for a model that does not look back.
    """

    x: Tensor
    targets: Tensor
    fresh: Tensor
    history: Tensor | None = None


@dataclass(frozen=True)
class _Piece:
    """Rows [start, stop) of a series."""

    rows: SeriesRows
    targets: Windows
    start: int
    stop: int


def targets_of(target: npt.NDArray[np.float64], horizon: int, lead: int = 1) -> npt.NDArray[np.float64]:
    """(N, K): row t holds target[t + lead : t + lead + K], NaN before and past the ends of `target` (N,)."""
    padded = np.concatenate([np.full(max(-lead, 0), np.nan), target, np.full(horizon + max(lead, 0), np.nan)])
    return np.lib.stride_tricks.sliding_window_view(padded[max(lead, 0) :], horizon)[: len(target)]


class TrainingSegments:
    """One epoch of training. Made anew from (seed, epoch): an epoch can be replayed or resumed.

    No row and no target lies in any series' validation part. A forecast's first step is `lead` rows after
    the row that it is made at: 1, or 0 for a label of the row itself.
    """

    def __init__(
        self,
        series: Sequence[SeriesData],
        *,
        horizon: int,
        batch_size: int,
        segment_length: int,
        seed: int,
        epoch: int,
        lead: int = 1,
        layout: RowLayout | None = None,
        window: int = 0,
    ) -> None:
        """`window`: values before a piece of a series that are told with it."""
        trained = [one for one in series if one.validation_start]
        layout = layout or _features_alone(series)
        self._series = [SeriesRows(one, layout, one.validation_start) for one in trained]
        self._targets = [Windows(one.target[: one.validation_start], horizon, lead) for one in trained]
        # A forecast of what comes needs a scale, a label of the row at hand does not.
        self._fewest_rows = WARM_UP + 1 if lead else 1
        total = sum(len(rows) for rows in self._series)
        # No more lanes than there are pieces for, or most of them would stand idle.
        shortest = MIN_PIECE_SEGMENTS * segment_length
        most = sum(math.ceil(len(rows) / shortest) for rows in self._series)
        self._num_lanes = min(batch_size, most)
        self._piece_length = max(shortest, math.ceil(total / self._num_lanes))
        self._length = segment_length
        self._window = window
        self._key = [seed, epoch]
        self._passes = math.ceil(MIN_STEPS * segment_length * self._num_lanes / total)

    def __iter__(self) -> Iterator[Segment]:
        random = np.random.default_rng(self._key)
        pieces = [piece for _ in range(self._passes) for piece in self._shuffled(random)]
        return _walk(deque(pieces), self._num_lanes, self._length, self._window)

    def _shuffled(self, random: np.random.Generator) -> list[_Piece]:
        pieces = [piece for index in range(len(self._series)) for piece in self._cut(index, random)]
        return [pieces[i] for i in random.permutation(len(pieces))]

    def _cut(self, index: int, random: np.random.Generator) -> Iterator[_Piece]:
        """Cut at a random offset, so that no row is always the first of its piece."""
        rows, targets = self._series[index], self._targets[index]
        num = len(rows)
        offset = int(random.integers(self._piece_length)) if num > self._piece_length else 0
        cuts = [0, *range(offset, num, self._piece_length), num]
        for start, stop in itertools.pairwise(cuts):
            if stop - start >= self._fewest_rows:
                yield _Piece(rows, targets, start, stop)


class ValidationSegments:
    """Every series from its first row on, judged only at origins whose every target is held out."""

    def __init__(
        self,
        series: Sequence[SeriesData],
        *,
        horizon: int,
        batch_size: int,
        lead: int = 1,
        layout: RowLayout | None = None,
    ) -> None:
        layout = layout or _features_alone(series)
        self._pieces = []
        judged = [one for one in series if one.validation_start < len(one.times)]
        # Series of like length walk together, so that few lanes wait for the longest.
        for one in sorted(judged, key=lambda one: len(one.times)):
            targets = Windows(one.target, horizon, lead, judged_from=one.validation_start - lead)
            self._pieces.append(_Piece(SeriesRows(one, layout), targets, 0, len(one.times)))
        self._batch_size = batch_size

    def __iter__(self) -> Iterator[Segment]:
        for first in range(0, len(self._pieces), self._batch_size):
            group = self._pieces[first : first + self._batch_size]
            yield from _walk(deque(group), len(group), _VALIDATION_LENGTH)


def _features_alone(series: Sequence[SeriesData]) -> RowLayout:
    return RowLayout(series[0].values.shape[1])


def _walk(waiting: deque[_Piece], num_lanes: int, length: int, window: int = 0) -> Iterator[Segment]:
    """Each lane takes the next piece when its own is at its end; a lane without one sees missing rows."""
    if not waiting:
        return
    width, horizon = waiting[0].rows.width, waiting[0].targets.horizon
    lanes: list[_Piece | None] = [None] * num_lanes
    at = [0] * num_lanes
    while True:
        x = np.full((num_lanes, length, width), np.nan)
        targets = np.full((num_lanes, length, horizon), np.nan)
        fresh = np.zeros(num_lanes, dtype=bool)
        history = np.full((num_lanes, window), np.nan)
        for lane in range(num_lanes):
            piece = lanes[lane]
            if piece is None or at[lane] >= piece.stop:
                piece = lanes[lane] = waiting.popleft() if waiting else None
                fresh[lane] = True
                at[lane] = piece.start if piece else 0
                if piece is not None and window:
                    before = piece.rows[max(piece.start - window, 0) : piece.start][:, 0]
                    history[lane, window - len(before) :] = before
            if piece is None:
                continue
            stop = min(at[lane] + length, piece.stop)
            x[lane, : stop - at[lane]] = piece.rows[at[lane] : stop]
            targets[lane, : stop - at[lane]] = piece.targets[at[lane] : stop]
            at[lane] = stop
        if all(piece is None for piece in lanes):
            return
        tensors = map(torch.from_numpy, (x, targets, fresh, history))
        yield Segment(*tensors) if window else Segment(*tensors)._replace(history=None)
