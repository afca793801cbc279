"""The client that blocks."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import grpc

from statecast import flow, status
from statecast.access import Tls, Token, access
from statecast.carried_flow import CarriedFlow
from statecast.channel import MAX_MESSAGE_BYTES, Stubs, options
from statecast.flow import Call, CallMany, Flow, OpenStream, Pause, Step, T
from statecast.forecast import ForecastResult
from statecast.model import Model
from statecast.retry import RetryPolicy
from statecast.routing import Metadata, metadata_of
from statecast.row_flow import MAX_ROWS_A_FRAME, MAX_ROWS_IN_FLIGHT, RowFlow
from statecast.rows import ReplyName
from statecast.session_flow import SessionFlow
from statecast.sessions_flow import SessionsFlow
from statecast.stream_flow import StreamFlow
from statecast.sync_carried import CarriedSession
from statecast.sync_sessions import Sessions, opened
from statecast.sync_stream import Stream, run
from statecast.trace_option import tracing_if


class Client:
    """A connection to a server; safe to share between threads.

    Args:
        target: such as `localhost:50051`.
        retry_budget_s: how long a call goes on trying when the server is away or overloaded.
        attempt_timeout_s: how long one attempt may take before it is tried again.
        max_message_bytes: the largest message to send or take.
        tls: True, a file of authorities' certificates, or `Tls` for more; False is clear text.
        token: shown with each call, or what gives it; see `statecast.token_file`.
        credentials: gRPC's own, in place of `tls`.
        insecure: send the token in clear text to another machine as well.
        trace: make an OpenTelemetry span of each call, in which the server goes on; needs the extra `trace`.

    Raises:
        ValueError: the token would travel in clear text.
        OSError: a file cannot be read.
    """

    def __init__(
        self,
        target: str,
        *,
        retry_budget_s: float = 30.0,
        attempt_timeout_s: float = 10.0,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        tls: bool | str | Path | Tls = False,
        token: Token | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        insecure: bool = False,
        trace: bool = False,
    ) -> None:
        self._tracing = tracing_if(trace)
        self._policy = RetryPolicy(retry_budget_s, attempt_timeout_s)
        self._max_message_bytes = max_message_bytes
        shown = access(target, tls, token, credentials, insecure)
        settings = [*options(max_message_bytes), *shown.options]
        if shown.credentials is None:
            self._channel = grpc.insecure_channel(target, settings)
        else:
            self._channel = grpc.secure_channel(target, shown.credentials, settings)
        self._stubs = Stubs(self._channel, shown.token)

    def models(self) -> tuple[Model, ...]:
        """Every model that is served, by name."""
        return run(flow.list_models(self._policy), self._perform)

    def model(self, name: str) -> Model:
        """One model.

        Raises:
            NotFound: there is none of that name.
        """
        return run(flow.get_model(name, self._policy), self._perform)

    def session(self, model: str | Model, session_id: str) -> "Session":
        """One series' session. Nothing is sent yet: its first rows open it."""
        core = SessionFlow(model, session_id, self._policy, self._max_message_bytes)
        return Session(core, self._perform)

    def sessions(self, model: str | Model) -> Sessions:
        """The sessions of a model: to list, copy, move and end them."""
        return Sessions(SessionsFlow(model, self._policy, self._max_message_bytes), self._perform)

    def carried(self, model: str | Model, session_id: str, sealed: bytes = b"") -> CarriedSession:
        """One series whose state you carry: the server keeps nothing of it.

        Args:
            sealed: the state to go on from; empty for a new series.
        """
        core = CarriedFlow(model, session_id, sealed, self._policy, self._max_message_bytes)
        return CarriedSession(core, self._perform)

    def stream(
        self,
        model: str | Model,
        *,
        max_frames_in_flight: int = 8,
        max_rows_a_frame: int = MAX_ROWS_A_FRAME,
        max_rows_in_flight: int = MAX_ROWS_IN_FLIGHT,
    ) -> Stream:
        """A stream that carries many sessions of one model.

        Args:
            max_frames_in_flight: frames without an answer.
            max_rows_a_frame: of those that the stream packs from single calls.
            max_rows_in_flight: rows of single calls without an answer; a further call waits.
        """
        core = StreamFlow(model, self._policy, max_frames_in_flight, self._max_message_bytes)
        rows = RowFlow(core, max_rows_a_frame, max_rows_in_flight, self._max_message_bytes)
        method = self._stubs.method("StreamForecasts")
        if self._tracing is not None:
            method = self._tracing.stream("StreamForecasts", method)
        return Stream(core, rows, self._perform, method)

    def close(self) -> None:
        """Close the connection; sessions stay with the server."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _perform(self, step: Step) -> Any:
        if isinstance(step, Pause):
            return time.sleep(step.seconds)
        if isinstance(step, Call):
            if self._tracing is None:
                return _call(self._stubs.method(step.method), step.request, step.timeout_s)
            with self._tracing.call(step.method) as traced:
                return _call(self._stubs.method(step.method), step.request, step.timeout_s, traced)
        if isinstance(step, OpenStream):
            return opened(self._stubs.method(step.method)(step.request, metadata=metadata_of(step.request)))
        if isinstance(step, CallMany):
            method = self._stubs.method(step.method)
            calls = [
                method.future(request, timeout=step.timeout_s, metadata=metadata_of(request))
                for request in step.requests
            ]
            return [_answer(call) for call in calls]
        raise TypeError(f"not a step of a client: {step}")


class Session:
    """One series: rows in, forecasts out, each row applied exactly once. Safe to share between threads.

    The session asks for its position at its first use, sends it with every request, and sends a request
    again by itself when the server is away, the connection breaks, the deadline passes or the server is
    overloaded. Where the budget runs out, the rows of the failed call stay in doubt: call again with the
    same rows, or go on with the next ones, and those in doubt are sent first. Give a series one writer at a
    time.
    """

    def __init__(self, core: SessionFlow, perform: Callable[[Step], Any]) -> None:
        self._core, self._perform = core, perform
        self._lock = threading.Lock()

    @property
    def session_id(self) -> str:
        """The series, in the caller's words."""
        return self._core.session_id

    @property
    def position(self) -> int | None:
        """Rows the session has consumed, as last known; None before the first use."""
        return self._core.position

    def forecast(
        self,
        rows: Any,
        times: Any = None,
        reply: ReplyName = "last",
        horizon: int | None = None,
        *,
        score_anomalies: bool = False,
    ) -> ForecastResult:
        """Apply rows and return forecasts.

        Args:
            rows: (T, F) numbers; with one feature also a number or (T,); with several also (F,), one row.
                NaN is missing.
            times: one datetime64 or datetime a row, UTC where they name no zone; or None.
            reply: the forecast after the `last` row, after `each`, or `none`.
            horizon: steps ahead to return; None for the model's whole.
            score_anomalies: whether to score each row by the forecast made before it, if the model can.

        Raises:
            ValueError: rows or times of the wrong kind or shape; nothing was sent.
            StatecastError: what the server said. Unanswered (Unavailable, Unacknowledged) leaves the rows in
                doubt, any other left the session as it was.
        """
        return self._run(self._core.forecast(rows, times, reply, horizon, score_anomalies))

    def observe(self, rows: Any, times: Any = None) -> ForecastResult:
        """Apply rows without a forecast, which costs the recurrent step alone; otherwise as `forecast`."""
        return self.forecast(rows, times, reply="none")

    def refresh(self) -> int:
        """Take the server's position for ours, after a PositionConflict; rows in doubt are forgotten."""
        return self._run(self._core.refresh())

    def delete(self) -> None:
        """End the session: the server forgets its state."""
        self._run(self._core.delete())

    def _run(self, steps: Flow[T]) -> T:
        with self._lock:
            return run(steps, self._perform)


def _call(method: Any, request: Any, timeout_s: float, traced: Metadata = ()) -> Any:
    try:
        return method(request, timeout=timeout_s, metadata=metadata_of(request) + traced)
    except grpc.RpcError as error:
        raise status.from_rpc_error(error) from error


def _answer(call: Any) -> Any:
    """The response of a call that was started, or its error."""
    try:
        return call.result()
    except grpc.RpcError as error:
        return status.from_rpc_error(error)
    except grpc.FutureCancelledError:
        return status.cancelled()
