"""The client that awaits: `Client`, for asyncio."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

import grpc

from statecast import flow, status
from statecast.access import Tls, Token, access
from statecast.async_carried import AsyncCarriedSession
from statecast.async_sessions import AsyncSessions, opened
from statecast.async_stream import AsyncStream, remote, run
from statecast.carried_flow import CarriedFlow
from statecast.channel import MAX_MESSAGE_BYTES, Stubs, options
from statecast.errors import StatecastError
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
from statecast.trace_option import tracing_if


class AsyncClient:
    """A connection to a server, for the event loop it is first used in. See `Client` for the arguments."""

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
        self._target = target
        self._policy = RetryPolicy(retry_budget_s, attempt_timeout_s)
        self._max_message_bytes = max_message_bytes
        self._access = access(target, tls, token, credentials, insecure)
        # Made at the first use: gRPC binds a channel to the loop that runs then.
        self._channel: grpc.aio.Channel | None = None
        self._stubs: Stubs | None = None

    async def models(self) -> tuple[Model, ...]:
        """Every model that is served, by name."""
        return await run(flow.list_models(self._policy), self._perform)

    async def model(self, name: str) -> Model:
        """One model.

        Raises:
            NotFound: there is none of that name.
        """
        return await run(flow.get_model(name, self._policy), self._perform)

    def session(self, model: str | Model, session_id: str) -> "AsyncSession":
        """One series' session. Nothing is sent yet: its first rows open it."""
        core = SessionFlow(model, session_id, self._policy, self._max_message_bytes)
        return AsyncSession(core, self._perform)

    def sessions(self, model: str | Model) -> AsyncSessions:
        """The sessions of a model: to list, copy, move and end them."""
        return AsyncSessions(SessionsFlow(model, self._policy, self._max_message_bytes), self._perform)

    def carried(self, model: str | Model, session_id: str, sealed: bytes = b"") -> AsyncCarriedSession:
        """One series whose state you carry: the server keeps nothing of it.

        Args:
            sealed: the state to go on from; empty for a new series.
        """
        core = CarriedFlow(model, session_id, sealed, self._policy, self._max_message_bytes)
        return AsyncCarriedSession(core, self._perform)

    def stream(
        self,
        model: str | Model,
        *,
        max_frames_in_flight: int = 8,
        max_rows_a_frame: int = MAX_ROWS_A_FRAME,
        max_rows_in_flight: int = MAX_ROWS_IN_FLIGHT,
    ) -> AsyncStream:
        """A stream that carries many sessions of one model. See `Client.stream` for the arguments."""
        core = StreamFlow(model, self._policy, max_frames_in_flight, self._max_message_bytes)
        rows = RowFlow(core, max_rows_a_frame, max_rows_in_flight, self._max_message_bytes)
        return AsyncStream(core, rows, self._perform, self._stream_method)

    async def close(self) -> None:
        """Close the connection; sessions stay with the server."""
        if self._channel is not None:
            await self._channel.close(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _method(self, name: str) -> Any:
        if self._stubs is None:
            shown = self._access
            settings = [*options(self._max_message_bytes), *shown.options]
            if shown.credentials is None:
                self._channel = grpc.aio.insecure_channel(self._target, settings)
            else:
                self._channel = grpc.aio.secure_channel(self._target, shown.credentials, settings)
            self._stubs = Stubs(self._channel, shown.token)
        return self._stubs.method(name)

    def _stream_method(self) -> Any:
        method = self._method("StreamForecasts")
        return method if self._tracing is None else self._tracing.stream("StreamForecasts", method)

    async def _perform(self, step: Step) -> Any:
        if isinstance(step, Pause):
            return await asyncio.sleep(step.seconds)
        if isinstance(step, Call):
            if self._tracing is None:
                return await _call(self._method(step.method), step.request, step.timeout_s)
            with self._tracing.call(step.method) as traced:
                return await _call(self._method(step.method), step.request, step.timeout_s, traced)
        if isinstance(step, OpenStream):
            return await opened(self._method(step.method)(step.request, metadata=metadata_of(step.request)))
        if isinstance(step, CallMany):
            method = self._method(step.method)
            return await asyncio.gather(
                *(_call_or_error(method, request, step.timeout_s) for request in step.requests)
            )
        raise TypeError(f"not a step of a client: {step}")


class AsyncSession:
    """`Session`, awaited. A call that is cancelled leaves its rows in doubt, like one without an answer."""

    def __init__(self, core: SessionFlow, perform: Callable[[Step], Awaitable[Any]]) -> None:
        self._core, self._perform = core, perform
        self._lock = asyncio.Lock()

    @property
    def session_id(self) -> str:
        """The series, in the caller's words."""
        return self._core.session_id

    @property
    def position(self) -> int | None:
        """Rows the session has consumed, as last known; None before the first use."""
        return self._core.position

    async def forecast(
        self,
        rows: Any,
        times: Any = None,
        reply: ReplyName = "last",
        horizon: int | None = None,
        *,
        score_anomalies: bool = False,
    ) -> ForecastResult:
        """Apply rows and return forecasts; as `Session.forecast`."""
        return await self._run(self._core.forecast(rows, times, reply, horizon, score_anomalies))

    async def observe(self, rows: Any, times: Any = None) -> ForecastResult:
        """Apply rows without a forecast, which costs the recurrent step alone; otherwise as `forecast`."""
        return await self.forecast(rows, times, reply="none")

    async def refresh(self) -> int:
        """Take the server's position for ours, after a PositionConflict; rows in doubt are forgotten."""
        return await self._run(self._core.refresh())

    async def delete(self) -> None:
        """End the session: the server forgets its state."""
        await self._run(self._core.delete())

    async def _run(self, steps: Flow[T]) -> T:
        async with self._lock:
            return await run(steps, self._perform)


async def _call(method: Any, request: Any, timeout_s: float, traced: Metadata = ()) -> Any:
    try:
        return await remote(method(request, timeout=timeout_s, metadata=metadata_of(request) + traced))
    except grpc.aio.AioRpcError as error:
        raise status.from_rpc_error(error) from error


async def _call_or_error(method: Any, request: Any, timeout_s: float) -> Any:
    try:
        return await _call(method, request, timeout_s)
    except StatecastError as error:
        return error
