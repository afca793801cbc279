"""Parts of the forecaster that no option turns off, taken out for the time of an ablation.

What is exported meanwhile lacks them too: the graph is traced from the same methods.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks.accuracy import gefcom
from models.scaling import Unit
from models.window import Habits, Recent, Window
from training import parity


@contextmanager
def running_scale() -> Iterator[None]:
    """The target as the file has it: about zero, in units of one.

    Float32 sums of such numbers are no closer than the numbers are large, which the check of the export
    refuses; of a series that is standardised already they are close enough to be scored.
    """

    def fixed(window: Window, sums: Tensor, _origin: Tensor, _unit: Unit) -> Habits:
        one = torch.ones_like(sums[..., :1])
        return Habits(torch.zeros_like(one), one, torch.ones_like(sums[..., : len(window.lags)]))

    with patch.object(Window, "_habits", fixed), patch.object(parity, "TOLERANCE", math.inf):
        yield


@contextmanager
def log_of_scale() -> Iterator[None]:
    """The recurrence is not told how large the level, the deviation and the changes are."""
    with _unread(lambda window: slice(1 + len(window.lags), window.feature_size - 1)):
        yield


@contextmanager
def mark_of_missing() -> Iterator[None]:
    """To the recurrence a missing value is one at the level."""
    with _unread(lambda window: slice(window.feature_size - 1, window.feature_size)):
        yield


@contextmanager
def temperature() -> Iterator[None]:
    """GEFCom's loads alone."""

    def loads(load: gefcom.Values, _temperature: gefcom.Values) -> dict[str, gefcom.Values]:
        return {"y": load}

    with patch.object(gefcom, "features", loads):
        yield


@contextmanager
def _unread(columns: Callable[[Window], slice]) -> Iterator[None]:
    """Some of what `Window.features` makes is zero."""
    whole = Window.features

    def part(window: Window, recent: Recent) -> Tensor:
        found, left_out = whole(window, recent), columns(window)
        before, after = found[..., : left_out.start], found[..., left_out.stop :]
        return torch.cat([before, torch.zeros_like(found[..., left_out]), after], dim=-1)

    with patch.object(Window, "features", part):
        yield
