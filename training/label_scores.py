"""Scores of a classifier's probabilities, beside those of how frequent labels are and how they follow."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.manifest import Manifest
from training.baselines.label_chain import label_forecasts, label_transitions
from training.dataset import SeriesData
from training.segments import targets_of

# float32 rounds a probability below 1e-45 to nothing, which would cost an infinity.
_LEAST = 1e-12


def label_scores(
    manifest: Manifest, series: Sequence[SeriesData], streamed: Sequence[npt.NDArray[np.float32]]
) -> dict[str, float]:
    """Of the held-out rows; where a series has one label, of the last row of each held-out series.

    Args:
        streamed: of each series the probabilities after each row, (T, K, C).

    Returns:
        accuracy (the share of likeliest labels that came), log_loss (the mean of -log p of the label that
        came, in nats: for symbols, exp of it is the perplexity), and both of the most frequent label of
        the training part, most_frequent_accuracy and most_frequent_log_loss; of labels to come those of a
        first-order Markov chain too, markov_chain_accuracy and so on. Empty without a held-out label.
    """
    lead, frequencies = manifest.lead, _frequencies(manifest, series)
    transitions = transitions_of(manifest, series)
    actual, found, chained = [], [], []
    for one, probabilities in zip(series, streamed, strict=True):
        first = max(one.validation_start - lead, 0)
        rows = slice(-1, None) if manifest.predicts == "series" else slice(first, None)
        if len(probabilities):
            actual.append(targets_of(one.target, manifest.horizon, lead)[rows].ravel())
            found.append(probabilities[rows].reshape(-1, len(manifest.labels)))
            if transitions is not None:
                ahead = label_forecasts(transitions, one.target[rows], manifest.horizon, frequencies)
                chained.append(ahead.reshape(-1, len(manifest.labels)))
    came = np.concatenate(actual)
    scores = _scores(came, np.concatenate(found), frequencies)
    if chained and scores:
        accuracy, log_loss = _of(came, np.concatenate(chained))
        scores |= {"markov_chain_accuracy": accuracy, "markov_chain_log_loss": log_loss}
    return scores


def transitions_of(manifest: Manifest, series: Sequence[SeriesData]) -> npt.NDArray[np.float64] | None:
    """(C, C) of the training parts' labels; None where the label before is not known by then."""
    if manifest.lead != 1:
        return None
    histories = [one.target[: one.validation_start] for one in series]
    return label_transitions(histories, _frequencies(manifest, series))


def _frequencies(manifest: Manifest, series: Sequence[SeriesData]) -> npt.NDArray[np.float64]:
    """(C,) share of each label in the training part; a label that did not occur there counts once."""
    seen = np.concatenate([one.target[: one.validation_start] for one in series])
    counts = np.bincount(seen[~np.isnan(seen)].astype(np.int64), minlength=len(manifest.labels))
    shares: npt.NDArray[np.float64] = np.maximum(counts, 1) / np.maximum(counts, 1).sum()
    return shares


def _scores(
    actual: npt.NDArray[np.float64],
    probabilities: npt.NDArray[np.float32],
    frequencies: npt.NDArray[np.float64],
) -> dict[str, float]:
    labels = actual[~np.isnan(actual)].astype(np.int64)
    if not len(labels):
        return {}
    accuracy, log_loss = _of(actual, probabilities)
    return {
        "accuracy": accuracy,
        "log_loss": log_loss,
        "most_frequent_accuracy": float((labels == frequencies.argmax()).mean()),
        "most_frequent_log_loss": float(-np.log(frequencies[labels]).mean()),
    }


def _of(
    actual: npt.NDArray[np.float64], probabilities: npt.NDArray[np.float32] | npt.NDArray[np.float64]
) -> tuple[float, float]:
    """Accuracy and log loss of probabilities (N, C) where a label came."""
    known = ~np.isnan(actual)
    labels, given = actual[known].astype(np.int64), probabilities[known]
    chosen = given[np.arange(len(labels)), labels].astype(np.float64)
    return float((given.argmax(axis=1) == labels).mean()), float(-np.log(np.maximum(chosen, _LEAST)).mean())
