"""What a model says when ONNX Runtime runs its whole file over a whole series, with no server."""

import numpy as np
import numpy.typing as npt
import onnxruntime

from models.artifact import FORECAST, ROWS
from models.manifest import Manifest

# The server cuts rows into other chunks and batches than the reference, and float32 sums depend on
# the order of their terms: a few units in the last place of a forecast, relative to its size.
TOLERANCE = 1e-5


def reference_forecasts(
    content: bytes, manifest: Manifest, rows: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """The forecast after each row of one series.

    Args:
        content: the model file.
        manifest: its manifest.
        rows: (T, F) float64.

    Returns:
        (T, K, Q) float32.
    """
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    states = {state.name: np.full((1, *state.shape), state.initial, state.dtype) for state in manifest.states}
    (forecasts,) = session.run([FORECAST], {ROWS: rows[None], **states})
    return np.asarray(forecasts[0], np.float32)


def assert_close(found: npt.ArrayLike, expected: npt.ArrayLike) -> None:
    """Equal within `TOLERANCE` of the expected values' size."""
    expected = np.asarray(expected)
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE * np.abs(expected).max())
