"""A first-order Markov chain over labels: which follows which."""

from collections.abc import Sequence

import numpy as np

from training.scores import Floats


def label_transitions(histories: Sequence[Floats], frequencies: Floats) -> Floats:
    """(C, C), a row for each label that was: how often each followed it in the training parts.

    One more count is shared out by `frequencies` (C,), so that nothing is impossible.
    """
    counts = np.zeros((len(frequencies), len(frequencies)))
    for history in histories:
        known = ~np.isnan(history[:-1]) & ~np.isnan(history[1:])
        pairs = history[:-1][known].astype(np.int64), history[1:][known].astype(np.int64)
        np.add.at(counts, pairs, 1)
    shared: Floats = (counts + frequencies) / (counts.sum(axis=1, keepdims=True) + 1)
    return shared


def label_forecasts(transitions: Floats, labels: Floats, horizon: int, frequencies: Floats) -> Floats:
    """(T, K, C) probabilities of the K labels after each of (T,); after a missing one, `frequencies`."""
    powers = [transitions]
    for _ in range(horizon - 1):
        powers.append(powers[-1] @ transitions)
    ahead = np.stack(powers, axis=1)  # (C, K, C)
    known = ~np.isnan(labels)
    found = ahead[np.where(known, labels, 0).astype(np.int64)]
    return np.where(known[:, None, None], found, frequencies)
