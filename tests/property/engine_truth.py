"""What a session must be: the steps it has taken, by rows alone, and what ONNX Runtime says of those.

Written from the words of `forecast.proto`, a row at a time, and sharing nothing with the service.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from tests.property import forecasters
from tests.property.engine_sent import Sent
from tests.property.forecasters import Array, State
from tests.reference import assert_close

NUM_FEATURES = 2
HOUR_US = 3_600_000_000
MAX_GAP_STEPS = 3
# A float32 recurrence whose products are summed in another order (another batch, another chunk, another
# graph) drifts by some 1e-6 a step and forgets it; float64 sums differ by their last digits.
STATE_TOLERANCE = {"float32": 2e-5, "float64": 1e-9}


@dataclass(frozen=True)
class Mark:
    """A forecast that must come: of which life of a session, after how many steps, at which position."""

    life: object
    num_steps: int
    position: int


@dataclass(frozen=True)
class Progress:
    """How far an entry has come.

    Attributes:
        num_rows: rows consumed or skipped.
        counts: rows skipped, late rows and missing steps.
        marks: for each applied row.
        last: the session as it stands after them; None before any.
    """

    num_rows: int = 0
    counts: tuple[int, int, int] = (0, 0, 0)
    marks: tuple[Mark, ...] = ()
    last: Mark | None = None


class Conflict(Exception):
    """The rows start after the session's position."""


@dataclass(frozen=True)
class Series:
    """One life of a session, from its first committed row to its end.

    Attributes:
        steps: (S, F) rows that stepped the model, missing steps as rows of NaN.
        used_in: in which of the clock's epochs it was last used.
        life: stands for this life and no other.
    """

    steps: Array = field(default_factory=lambda: np.empty((0, NUM_FEATURES)))
    position: int = 0
    last_time_us: int | None = None
    is_open: bool = False
    used_in: int = 0
    life: object = field(default_factory=object)

    @property
    def stands(self) -> tuple[int, int | None]:
        """Position and last time, as the session's table has them."""
        return self.position, self.last_time_us

    @property
    def mark(self) -> Mark:
        """The forecast of the session as it stands."""
        return Mark(self.life, len(self.steps), self.position)

    def consume(self, sent: Sent, done: Progress, stop: int, epoch: int) -> tuple["Series", Progress]:
        """The rows of an entry up to `stop`, after those that are done.

        Raises:
            Conflict: some row between the session's last and these is missing.
        """
        if sent.position is not None and sent.position + done.num_rows > self.position:
            raise Conflict
        position, last, steps = self.position, self.last_time_us, []
        skipped, late, missing = done.counts
        marks = list(done.marks)
        for row in range(done.num_rows, stop):
            if sent.position is not None and sent.position + row < position:
                skipped += 1
                continue
            position += 1
            if sent.times_us is not None:
                time = int(sent.times_us[row])
                if last is not None and time <= last:
                    late += 1
                    continue
                gap = 0 if last is None else _missing_between(last, time)
                steps += [np.full(NUM_FEATURES, np.nan)] * gap
                missing += gap
                last = time
            steps.append(sent.values[row])
            marks.append(Mark(self.life, len(self.steps) + len(steps), position))
        after = replace(
            self,
            steps=np.concatenate([self.steps, np.reshape(steps, (-1, NUM_FEATURES))]),
            position=position,
            last_time_us=last,
            is_open=self.is_open or stop > done.num_rows,
            used_in=epoch if stop > done.num_rows else self.used_in,
        )
        return after, Progress(stop, (skipped, late, missing), tuple(marks), after.mark)


def _missing_between(last_us: int, time_us: int) -> int:
    steps = max((time_us - last_us + HOUR_US // 2) // HOUR_US, 1)
    return min(steps - 1, MAX_GAP_STEPS)


class Truth:
    """ONNX Runtime alone over the whole list of a session's steps."""

    def __init__(self, cell: str) -> None:
        self._onnx = forecasters.runner("onnxruntime", cell)

    def replay(self, steps: Array) -> tuple[Array, State]:
        """The forecast after each step, (S, K, Q), and the state after the last, each (*shape)."""
        forecasts, _, after = self._onnx.run(steps[None], self._onnx.initial(1))
        return forecasts[0], {name: value[0] for name, value in after.items()}

    def check_forecasts(self, steps: Array, found: list[tuple[Mark, Array]]) -> None:
        """Hold a life's forecasts (K, Q), as they were answered, against those of its steps (S, F)."""
        forecasts, _ = self.replay(steps)
        for mark, forecast in found:
            assert_close(forecast, forecasts[mark.num_steps - 1])

    def check_state(self, steps: Array, found: State) -> None:
        """Hold a session's state, each (*shape), against that after its steps (S, F)."""
        _, expected = self.replay(steps)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            tolerance = STATE_TOLERANCE[str(value.dtype)]
            np.testing.assert_allclose(found[name], value, rtol=tolerance, atol=tolerance, err_msg=name)
