"""What ONNX Runtime says of a series that passes from one version of a model to another, with no server."""

import numpy as np
import onnxruntime

from models.artifact import FORECAST, ROWS, next_name
from tests.reference import TOLERANCE


class Version:
    """A model file."""

    def __init__(self, content, manifest):
        self._session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        self._states = manifest.states

    def run(self, rows, states=None):
        """The forecast after each row, (T, K, Q), and the states after the last; `states` to begin with."""
        states = states or {
            state.name: np.full((1, *state.shape), state.initial, state.dtype) for state in self._states
        }
        outputs = [FORECAST, *(next_name(state.name) for state in self._states)]
        forecasts, *after = self._session.run(outputs, {ROWS: rows[None], **states})
        return forecasts[0], {state.name: each for state, each in zip(self._states, after, strict=True)}


def upgraded(old, new, policy, rows, at, num_recent):
    """(T, K, Q) forecasts where the first `at` rows were the old version's, and the others the new one's."""
    before, states = old.run(rows[:at])
    if policy == "replay":
        _, states = new.run(rows[max(at - num_recent, 0) : at])
    after, _ = new.run(rows[at:], states)
    return np.concatenate([before, after])


def is_told(told, forecasts):
    """Whether all that was told, by position, are these forecasts."""
    return all(
        np.allclose(
            found,
            forecasts[position - 1],
            rtol=TOLERANCE,
            atol=TOLERANCE * np.abs(forecasts[position - 1]).max(),
        )
        for position, found in told.items()
    )
