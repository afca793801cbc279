"""The Markov chain that a manifest shows."""

from collections.abc import Sequence

from models.manifest import Manifest
from training.backtesting.run import chain_of
from training.dataset import SeriesData
from training.label_scores import transitions_of

# Labels of a chain whose matrix is shown.
_MOST_SHOWN = 16


def transition_matrix(manifest: Manifest, series: Sequence[SeriesData]) -> tuple[tuple[float, ...], ...]:
    """Of the training parts; nothing of more labels than a reader takes in."""
    if len(manifest.labels) > _MOST_SHOWN:
        return ()
    matrix = transitions_of(manifest, series) if manifest.labels else chain_of(series).transitions
    return () if matrix is None else tuple(map(tuple, matrix.round(4).tolist()))
