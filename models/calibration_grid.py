"""Which steps of a horizon are judged, and how their forecasts wait in one ring. No torch here."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

# Up to so many steps, each is judged.
_FEW = 4
# Forecasts of one step that wait at most; of a step further ahead only every second, fourth ... waits.
_MOST_WAITING = 32


@dataclass(frozen=True)
class Grid:
    """Steps 1, 2, 4 ... and the last; between them what holds for a step follows by straight lines.

    Further steps' forecasts are thinned: errors of forecasts made a row apart for the same hundredth step are
    all but the same error, and a session's memory is not to grow with the horizon.

    Attributes:
        horizon: K.
        strides: for each step, how many rows lie between two forecasts that wait; a power of two.
    """

    horizon: int
    steps: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def of(cls, horizon: int) -> Self:
        """All steps of a short horizon, else powers of two and the last step that a stride divides."""
        if horizon <= _FEW:
            wanted = set(range(1, horizon + 1))
        else:
            wanted = {1 << power for power in range(horizon.bit_length())} | {horizon}
        strides = {step: _stride(step) for step in wanted}
        steps = sorted({step - step % strides[step] for step in wanted})
        return cls(horizon, tuple(steps), tuple(_stride(step) for step in steps))

    @property
    def counts(self) -> list[int]:
        """Forecasts that wait, of each step."""
        return [step // stride for step, stride in zip(self.steps, self.strides, strict=True)]

    @property
    def num_entries(self) -> int:
        """E, the forecasts that wait in all; they lie step by step, the newest of each first."""
        return sum(self.counts)

    @property
    def is_thinned(self) -> bool:
        """Whether some forecasts do not wait."""
        return max(self.strides) > 1

    @property
    def oldest(self) -> npt.NDArray[np.int64]:
        """Where in the ring each step's oldest forecast is, (G,)."""
        return np.cumsum(self.counts) - 1

    @property
    def owner(self) -> npt.NDArray[np.int64]:
        """Which step each place of the ring belongs to, (E,)."""
        return np.repeat(np.arange(len(self.steps)), self.counts)

    @property
    def pushed(self) -> npt.NDArray[np.int64]:
        """The next ring (E,), as places of the new forecasts and, behind these, of the ring as it was."""
        num = len(self.steps)
        places = np.arange(self.num_entries) + num - 1
        places[self.oldest - np.array(self.counts) + 1] = np.arange(num)
        return places

    @property
    def weights(self) -> npt.NDArray[np.float64]:
        """(K, G): what each step of the grid weighs in each step of the horizon, by lines in log k."""
        known, asked = np.log2(self.steps), np.log2(np.arange(1, self.horizon + 1))
        return np.stack([np.interp(asked, known, row) for row in np.eye(len(known))], axis=1)


def _stride(step: int) -> int:
    """The least power of two that leaves few enough waiting."""
    return 1 << max(0, (-(-step // _MOST_WAITING) - 1).bit_length())
