"""ForecastService: unary forecasts, and streams of frames."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import grpc

from service.errors import Draining, InvalidRequest, StatecastError
from service.rpc import frames, unary, validation
from service.rpc.guard import guarded, surprise
from service.rpc.status import Context, abort
from service.sessions.catalog import Catalog
from service.sessions.chunk import Applied, Chunk
from service.sessions.worker import SessionWorker
from statecast.v1 import forecast_pb2 as pb
from statecast.v1 import forecast_pb2_grpc

# Frames of one stream that may be under way. Further ones stay unread, so that HTTP/2 flow control
# slows the sender down.
_MAX_FRAMES_UNDER_WAY = 32


class ForecastService(forecast_pb2_grpc.ForecastServiceServicer):
    """Applies rows to sessions; see `forecast.proto`."""

    def __init__(self, catalog: Catalog, limits: frames.FrameLimits, draining: asyncio.Event) -> None:
        self._catalog = catalog
        self._limits = limits
        self._draining = draining

    @guarded
    async def Forecast(  # noqa: N802 - gRPC's name
        self, request: pb.ForecastRequest, _context: Context
    ) -> pb.ForecastResponse:
        """See `forecast.proto`."""
        worker = self._catalog.worker(request.model)
        manifest = worker.model.manifest
        chunk = unary.decode(
            request, manifest, self._limits.max_rows_per_chunk, self._limits.max_message_bytes
        )
        worker.check_room(len(chunk.values))
        applied = await worker.submit(chunk)
        assert isinstance(applied, Applied)
        return unary.encode(applied, worker, validation.horizon_of(request.horizon, manifest))

    async def StreamForecasts(  # noqa: N802 - gRPC's name
        self,
        requests: "AsyncIterator[pb.StreamForecastsRequest]",
        context: Context,
    ) -> AsyncIterator[pb.StreamForecastsResponse]:
        """See `forecast.proto`. While draining, frames read are answered, then the stream ends."""
        stream = _Stream(self._catalog, self._limits)
        reader = asyncio.create_task(stream.read(requests, self._draining))
        try:
            async with contextlib.aclosing(stream.responses()) as responses:
                async for response in responses:
                    yield response
            await reader
        except StatecastError as error:
            await abort(context, error)
        except Exception as error:
            if isinstance(error, grpc.aio.AbortError):
                raise
            await abort(context, surprise(error))
        finally:
            reader.cancel()


class _Stream:
    """One stream: its handles, and its frames in order."""

    def __init__(self, catalog: Catalog, limits: frames.FrameLimits) -> None:
        self._catalog = catalog
        self._limits = limits
        self._model_by_handle: dict[int, str] = {}
        self._session_by_handle: dict[str, dict[int, str]] = {}
        self._under_way: asyncio.Queue[asyncio.Task[pb.StreamForecastsResponse] | None] = asyncio.Queue(
            _MAX_FRAMES_UNDER_WAY
        )

    async def responses(self) -> AsyncGenerator[pb.StreamForecastsResponse, None]:
        """In the order of the frames, until `read` ends."""
        task = None
        try:
            while (task := await self._under_way.get()) is not None:
                yield await task
        finally:
            self._drop(task)

    async def read(
        self, requests: "AsyncIterator[pb.StreamForecastsRequest]", draining: asyncio.Event
    ) -> None:
        """Read until the sender ends the stream.

        Raises:
            Draining: the server is going away; every frame read so far is still answered.
            StatecastError: a handle is wrong; the stream cannot go on without it.
        """
        wait_for_drain = asyncio.create_task(draining.wait())
        try:
            while (request := await _next(requests, wait_for_drain)) is not None:
                self._open(request)
                if request.HasField("frame"):
                    # Frames are queued here, in order of arrival; only their replies are awaited elsewhere.
                    await self._under_way.put(self._submit(request.frame))
        finally:
            wait_for_drain.cancel()
            await self._under_way.put(None)

    def _open(self, request: pb.StreamForecastsRequest) -> None:
        for index, session in enumerate(request.sessions):
            field = f"sessions[{index}]"
            if session.handle >= frames.MAX_HANDLE:
                raise InvalidRequest(f"{field}.handle", session.handle, f"below {frames.MAX_HANDLE}")
            self._catalog.worker(session.model)
            validation.check_session_id(session.session_id, f"{field}.session_id")
            before = self._model_by_handle.get(session.handle)
            if before is not None:
                del self._session_by_handle[before][session.handle]
            self._model_by_handle[session.handle] = session.model
            self._session_by_handle.setdefault(session.model, {})[session.handle] = session.session_id

    def _submit(self, frame: pb.Frame) -> "asyncio.Task[pb.StreamForecastsResponse]":
        try:
            worker, sessions = self._addressed(frame)
            decoded = frames.decode(frame, sessions, worker.model.manifest, self._limits)
            worker.check_room(decoded.num_rows)
        except StatecastError as error:
            return asyncio.ensure_future(_refused(frame.id, error))
        waiting = [worker.submit(entry) if isinstance(entry, Chunk) else entry for entry in decoded.entries]
        return asyncio.ensure_future(_answer(decoded, waiting, worker))

    def _addressed(self, frame: pb.Frame) -> tuple[SessionWorker, dict[int, str]]:
        """The model of a frame's sessions, by its first handle, and that model's handles."""
        if len(frame.handles) < 4:
            raise InvalidRequest("frame.handles", f"{len(frame.handles)} bytes", "at least one uint32")
        first = int.from_bytes(frame.handles[:4], "little")
        model = self._model_by_handle.get(first)
        if model is None:
            raise InvalidRequest(
                "frame.handles", f"{first} first", "a handle that this stream named in `sessions`"
            )
        return self._catalog.worker(model), self._session_by_handle[model]

    def _drop(self, current: "asyncio.Task[pb.StreamForecastsResponse] | None") -> None:
        """Nobody reads further responses: chunks whose batch has not begun are not applied."""
        if current is not None:
            current.cancel()
        while not self._under_way.empty():
            task = self._under_way.get_nowait()
            if task is not None:
                task.cancel()


async def _next(
    requests: "AsyncIterator[pb.StreamForecastsRequest]", wait_for_drain: "asyncio.Task[Any]"
) -> pb.StreamForecastsRequest | None:
    """The next request, or None at the end of the stream.

    Raises:
        Draining: the server is going away.
    """
    reading: asyncio.Task[pb.StreamForecastsRequest | None] = asyncio.create_task(_anext(requests))
    try:
        await asyncio.wait({reading, wait_for_drain}, return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            return reading.result()
        raise Draining
    finally:
        reading.cancel()


async def _anext(requests: "AsyncIterator[pb.StreamForecastsRequest]") -> pb.StreamForecastsRequest | None:
    return await anext(requests, None)


async def _answer(
    decoded: frames.DecodedFrame, waiting: list["StatecastError | asyncio.Future[Any]"], worker: SessionWorker
) -> pb.StreamForecastsResponse:
    futures = [entry for entry in waiting if isinstance(entry, asyncio.Future)]
    settled = iter(await asyncio.gather(*futures, return_exceptions=True))
    outcomes: list[Any] = [next(settled) if isinstance(entry, asyncio.Future) else entry for entry in waiting]
    return frames.encode(decoded, outcomes, worker)


async def _refused(frame_id: int, error: StatecastError) -> pb.StreamForecastsResponse:
    return frames.refuse(frame_id, error)
