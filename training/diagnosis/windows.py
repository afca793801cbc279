"""The rows that a diagnosis walks, and one walk of a forecaster along them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from models.forecaster import Forecaster
from models.state import State, initial_state
from training.dataset import Dataset
from training.diagnosis.anatomy import Anatomy, layers_of
from training.errors import DataError
from training.rows import SeriesRows, layout_of
from training.segments import targets_of
from training.settings import TrainSettings

# Rows before those that are looked at: a state and a scale of many rows, as a served one.
_WARM_UP = 50
_NUM_WINDOWS = 8


@dataclass(frozen=True)
class Windows:
    """Rows of B places in the data, and what is to be forecast at the last of them.

    Attributes:
        x: (B, T, width) float64.
        targets: (B, 1, K) float64.
        num_warm_up: rows before those that are looked at.
    """

    x: Tensor
    targets: Tensor
    num_warm_up: int

    @property
    def steps(self) -> int:
        """Rows from the first that is looked at to the last."""
        return self.x.shape[1] - self.num_warm_up - 1


@dataclass(frozen=True)
class Call:
    """What a layer was called with: rows (T, B, I), and the states before them, (B, H) each."""

    layer: nn.Module
    anatomy: Anatomy
    x: Tensor
    states: tuple[Tensor, ...]


def windows_of(dataset: Dataset, settings: TrainSettings, steps: int) -> Windows:
    """Places evenly over the data whose last row has a known target; shorter where the series are.

    Raises:
        DataError: no series has two rows and a target at the last of them.
    """
    known = []
    for one in dataset.series:
        targets = targets_of(one.target, settings.horizon, settings.lead)
        ends = np.flatnonzero(~np.isnan(targets).all(axis=1))
        known.append((one, targets, ends[ends > 0]))
    longest = max((int(ends[-1]) + 1 for _, _, ends in known if len(ends)), default=0)
    if longest < 2:
        raise DataError(settings.data, expected="a series of two rows with a target after them", found="none")
    length = min(_WARM_UP + steps + 1, longest)
    places = [(one, targets, int(end)) for one, targets, ends in known for end in ends[ends + 1 >= length]]
    chosen = [places[at] for at in np.unique(np.linspace(0, len(places) - 1, _NUM_WINDOWS).astype(int))]
    layout = layout_of(dataset, settings)
    rows = [SeriesRows(one, layout)[end + 1 - length : end + 1] for one, _, end in chosen]
    return Windows(
        torch.from_numpy(np.stack(rows)),
        torch.from_numpy(np.stack([targets[end][None] for _, targets, end in chosen])),
        _WARM_UP if length == _WARM_UP + steps + 1 else min(_WARM_UP, length // 3),
    )


def warmed_up(forecaster: Forecaster, windows: Windows) -> State:
    """The state after the warm-up, without a gradient."""
    state = initial_state(forecaster.state_init(), len(windows.x))
    if not windows.num_warm_up:
        return state
    with torch.no_grad():
        return forecaster.scaled(windows.x[:, : windows.num_warm_up], state)[2]


def calls_along(forecaster: Forecaster, windows: Windows) -> dict[str, list[Call]]:
    """What each layer reads along the rows after the warm-up, by the layer's name."""
    state = warmed_up(forecaster, windows)
    with torch.no_grad(), _listening(forecaster) as calls:
        forecaster.scaled(windows.x[:, windows.num_warm_up :], state)
    return calls


@contextmanager
def _listening(forecaster: Forecaster) -> Iterator[dict[str, list[Call]]]:
    calls: dict[str, list[Call]] = {}
    hooks = []
    for name, layer, anatomy in layers_of(forecaster.cell):

        def note(layer: nn.Module, arguments: Any, name: str = name, anatomy: Anatomy = anatomy) -> None:
            x, *states = arguments
            if len(states) == 1 and isinstance(states[0], tuple):  # as torch's LSTM takes them
                states = list(states[0])
            flat = tuple(state.reshape(x.shape[1], -1) for state in cast(list[Tensor], states))
            calls.setdefault(name, []).append(Call(layer, anatomy, x, flat))

        hooks.append(layer.register_forward_pre_hook(note))
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()
