"""A first-order Markov chain over binned values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from training.scores import Floats

NUM_BINS = 8


@dataclass(frozen=True)
class MarkovChain:
    """How likely each bin follows each: one matrix for all series, whose bins are each one's own.

    Bins are filled equally in a series' training part, so that bin 3 is as high for one as for another.

    Attributes:
        transitions: (B, B), a row for each bin that was, summing to one.
    """

    transitions: Floats

    @classmethod
    def fit(cls, histories: Sequence[Floats], num_bins: int = NUM_BINS) -> Self:
        """Count the transitions between neighbouring rows; a bin never left is followed by itself."""
        counts = np.zeros((num_bins, num_bins))
        for history in histories:
            edges = _edges(history, num_bins)
            if edges is not None:
                bins, known = _binned(history, edges), ~np.isnan(history)
                both = known[:-1] & known[1:]
                np.add.at(counts, (bins[:-1][both], bins[1:][both]), 1)
        never = counts.sum(axis=1) == 0
        counts[never] = np.eye(num_bins)[never]
        return cls(counts / counts.sum(axis=1, keepdims=True))

    def forecasts(self, target: Floats, num_fitted: int, horizon: int, _season_length: int) -> Floats | None:
        """The bins' means, weighed by their probabilities k steps on; see `training.baselines.Baseline`."""
        history, num_bins = target[:num_fitted], len(self.transitions)
        edges = _edges(history, num_bins)
        if edges is None:
            return None
        means = _means(history, edges, num_bins)
        bins, known = _binned(target, edges), ~np.isnan(target)
        shares = np.full(num_bins, 1 / num_bins)
        powers = [means]
        for _ in range(horizon):
            powers.append(self.transitions @ powers[-1])
        ahead = np.stack(powers[1:], axis=1)  # (B, K)
        found = np.empty((len(target), horizon))
        for row, bin_now in enumerate(bins):
            shares = np.eye(num_bins)[bin_now] if known[row] else shares @ self.transitions
            found[row] = shares @ ahead
        return found


def _edges(history: Floats, num_bins: int) -> Floats | None:
    """(B - 1,) between the bins; None where nothing was observed."""
    known = history[~np.isnan(history)]
    if not len(known):
        return None
    edges: Floats = np.quantile(known, np.arange(1, num_bins) / num_bins)
    return edges


def _binned(values: Floats, edges: Floats) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """(T,) index of each value's bin; that of a missing one means nothing."""
    return np.searchsorted(edges, np.nan_to_num(values), side="right")


def _means(history: Floats, edges: Floats, num_bins: int) -> Floats:
    """(B,) of the values in each bin; of an empty one, between its neighbours."""
    known = history[~np.isnan(history)]
    bins = _binned(known, edges)
    counts = np.bincount(bins, minlength=num_bins)
    sums = np.bincount(bins, weights=known, minlength=num_bins)
    filled = np.flatnonzero(counts)
    return np.interp(np.arange(num_bins), filled, sums[filled] / counts[filled])
