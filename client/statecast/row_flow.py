"""Rows one by one, carried in frames: what the sessions of a stream do, apart from how they wait."""

from collections import deque
from collections.abc import Iterable
from copy import copy
from functools import partial
from typing import Any

from statecast.coalescer import Coalescer, RowCall, columns_of
from statecast.errors import InvalidRequest, Overloaded, StatecastError, Unacknowledged, Unanswered
from statecast.flow import Flow, T
from statecast.forecast import ForecastResult
from statecast.model import Model
from statecast.rows import as_reply
from statecast.stream_flow import StreamFlow

# A frame of as many rows fills a batch of the server; larger ones gain little and wait longer.
MAX_ROWS_A_FRAME = 1024
MAX_ROWS_IN_FLIGHT = 16_384


class RowFlow:
    """Calls collected for a stream, until each has its answer.

    A driver takes `turn` after `turn` while a call `is_waiting`, and hands out what came with `deliver`. A
    frame is whatever was collected by the time the one before it was sent, as long as there is room for
    another in flight; nothing waits for time to pass.

    Where the budget runs out, every call that waits is told, but its rows stay with the stream: those in
    flight may have been applied, and those behind them keep their order. The next turn goes on with them.
    """

    def __init__(
        self, stream: StreamFlow, max_rows_a_frame: int, max_rows_in_flight: int, max_message_bytes: int
    ) -> None:
        bounds = {"max_rows_a_frame": max_rows_a_frame, "max_rows_in_flight": max_rows_in_flight}
        for name, bound in bounds.items():
            if bound < 1:
                raise ValueError(f"{name}: expected at least 1, found {bound}")
        self._stream = stream
        self._max_rows_in_flight = max_rows_in_flight
        self._collected = Coalescer(max_rows_a_frame, max_message_bytes)
        self._in_flight: set[RowCall] = set()
        self._num_rows_in_flight = 0
        # Answers that wait for `deliver`.
        self._answers: deque[tuple[Any, ForecastResult | Exception]] = deque()
        # Counts that only grow, each written by one side: whoever collects, or whoever takes turns.
        self._num_calls, self._num_rows = 0, 0
        self._num_calls_told, self._num_rows_gone = 0, 0
        self.num_failures = 0

    def collect(
        self, session_id: str, rows: Any, times: Any, reply: str, horizon: int | None, answer: Any
    ) -> bool:
        """Take a call; returns whether nothing else is collected, so that a turn that waits should end.

        Args:
            answer: a future, which `deliver` sets.

        Raises:
            ValueError: rows, times, reply or horizon are wrong; nothing was taken. Where the model is not
                known yet, all but a wrong reply is told to `answer` instead.
        """
        model = self._stream.known_model
        call = RowCall(self._num_calls, session_id, rows, times, as_reply(reply), horizon, answer, model)
        is_first = not self._collected
        self._num_calls += 1
        self._num_rows += call.num_rows
        self._collected.add(call)
        return is_first

    @property
    def is_waiting(self) -> bool:
        """Whether a call has not been told its answer."""
        return self._num_calls_told < self._num_calls

    @property
    def can_send(self) -> bool:
        """Whether the next turn makes a frame."""
        return bool(self._collected) and self._stream.has_room and self._room > 0

    @property
    def is_full(self) -> bool:
        """Whether as many rows as may be are collected or in flight."""
        return self._num_rows - self._num_rows_gone >= self._max_rows_in_flight

    @property
    def is_idle(self) -> bool:
        """Whether nothing is collected, and nothing of the whole stream in flight."""
        return not self._collected and not self._stream.num_in_flight

    def no_room(self) -> Overloaded:
        """Why a call was not taken."""
        return Overloaded(
            f"expected fewer than {self._max_rows_in_flight} rows without an answer (max_rows_in_flight); "
            "this one was not taken"
        )

    def turn(self) -> Flow[None]:
        """A frame of what was collected, where there is room for it; else a reply, or a step of recovery.

        Raises:
            StatecastError: the budget ran out; everything stays.
        """
        if self.can_send:
            yield from self._send()
        elif self._stream.num_in_flight:
            yield from self._stream.advance()

    def behind(self, steps: Flow[T]) -> Flow[T]:
        """`steps`, once all that was collected before them is in flight."""
        number = self._num_calls
        while self._collected.has_any_before(number):
            yield from self.turn()
        return (yield from steps)

    def fail(self, reason: Exception) -> None:
        """Tell every call that waits; its rows stay, but those beyond the bound, which were never sent."""
        self.num_failures += 1
        words = f"{reason}; the row stays with the stream, whose next use sends it again"
        if isinstance(reason, Unanswered):
            error: Unanswered = type(reason)(words, code=reason.code)
        else:
            error = Unacknowledged(words)
        error.__cause__ = reason
        for call in self._in_flight:
            self._tell(call, error)
        room, kept = self._room, []
        for call in self._collected.take_all():
            if room > 0:
                kept.append(call)
                self._tell(call, error)
            else:
                self._settle(call, self.no_room())
            room -= call.num_rows
        self._collected.put_back(kept)

    def deliver(self) -> None:
        """Set the futures of the calls that were told; between turns, for whatever waits may run at once."""
        while self._answers:
            try:
                answer, outcome = self._answers.popleft()
            except IndexError:
                return  # another thread took the last
            if answer.done():
                continue  # its caller gave up
            if isinstance(outcome, Exception):
                answer.set_exception(_copy(outcome))
            else:
                answer.set_result(outcome)

    @property
    def _room(self) -> int:
        return self._max_rows_in_flight - self._num_rows_in_flight

    def _send(self) -> Flow[None]:
        try:
            model = yield from self._stream.model()
        except Unanswered:
            raise
        except StatecastError as error:
            self._refuse(self._collected.take_all(), error)
            return
        calls = self._fitting(self._collected.take(model, self._room), model)
        try:
            unknown = yield from self._stream.introduce(
                list(dict.fromkeys(call.session_id for call in calls))
            )
        except BaseException as error:
            if isinstance(error, StatecastError) and not isinstance(error, Unanswered):
                self._refuse(calls, error)
                return
            self._collected.put_back(calls)
            raise
        for call in calls:
            if call.session_id in unknown:
                self._settle(call, unknown[call.session_id])
        calls = [call for call in calls if call.session_id not in unknown]
        if calls:
            yield from self._enter(calls, model)

    def _enter(self, calls: list[RowCall], model: Model) -> Flow[None]:
        handles = self._stream.handles([call.session_id for call in calls])
        told = [partial(self._settle, call) for call in calls]
        try:
            frame = self._stream.enter(columns_of(calls, handles, model), told)
        except InvalidRequest as error:
            self._refuse(calls, error)
            return
        self._in_flight.update(calls)
        self._num_rows_in_flight += sum(call.num_rows for call in calls)
        yield from self._stream.dispatch(frame)

    def _fitting(self, calls: Iterable[RowCall], model: Model) -> list[RowCall]:
        fitting = []
        for call in calls:
            try:
                call.chunk(model)
            except ValueError as error:
                self._settle(call, error)
            else:
                fitting.append(call)
        return fitting

    def _refuse(self, calls: Iterable[RowCall], error: StatecastError) -> None:
        for call in calls:
            self._settle(call, error)

    def _settle(self, call: RowCall, outcome: ForecastResult | Exception) -> None:
        """That is the end of it: its rows were consumed, or refused."""
        if call in self._in_flight:
            self._in_flight.remove(call)
            self._num_rows_in_flight -= call.num_rows
        self._num_rows_gone += call.num_rows
        self._tell(call, outcome)

    def _tell(self, call: RowCall, outcome: ForecastResult | Exception) -> None:
        if call.answer is not None:
            self._answers.append((call.answer, outcome))
            call.answer = None
            self._num_calls_told += 1


def _copy(error: Exception) -> Exception:
    """An error of the caller's own: raising it adds to its traceback, and several may be told the same."""
    own = copy(error)
    own.__cause__ = error.__cause__
    return own
