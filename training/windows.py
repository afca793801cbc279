"""What comes after each row of a series, made as it is asked for."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Windows:
    """(T, K) of a series of T numbers: row t holds those at t + lead to t + lead + K - 1, NaN outside of it.

    Nothing is copied until a slice is taken: the numbers may lie in a file.
    """

    def __init__(
        self,
        numbers: Floats,
        horizon: int,
        lead: int = 1,
        *,
        judged_from: int = 0,
        after: Floats | None = None,
    ) -> None:
        """`numbers` (T,), `after` what follows them; windows of rows before `judged_from` are NaN."""
        self.horizon = horizon
        self._numbers = numbers
        self._after = np.empty(0) if after is None else after
        self._lead = lead
        self._judged_from = judged_from

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, rows: slice) -> Floats:
        """(N, K) of a slice without a step; a copy."""
        start, stop, _ = rows.indices(len(self))
        num_rows = max(stop - start, 0)
        first = start + self._lead
        padded = np.full(num_rows + self.horizon, np.nan)
        for begin, numbers in ((0, self._numbers), (len(self), self._after)):
            low, high = max(first, begin), min(first + len(padded), begin + len(numbers))
            if low < high:
                padded[low - first : high - first] = numbers[low - begin : high - begin]
        made: Floats = padded[np.arange(num_rows)[:, None] + np.arange(self.horizon)]
        made[: max(self._judged_from - start, 0)] = np.nan
        return made
