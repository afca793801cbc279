"""ForecastService: unary forecasts, and streams of frames."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import grpc

from service.errors import Draining, InvalidRequest, StatecastError
from service.rpc import frames, unary, validation
from service.rpc.guard import guarded, surprise
from service.rpc.handles import MAX_HANDLE, Handles
from service.rpc.status import Context, abort
from service.sessions.catalog import Catalog
from service.sessions.frame import Frame
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
        limits = self._limits
        return await unary.forecast(request, worker, limits.max_rows_per_chunk, limits.max_message_bytes)

    async def StreamForecasts(  # noqa: N802 - gRPC's name
        self, requests: "AsyncIterator[pb.StreamForecastsRequest]", context: Context
    ) -> None:
        """See `forecast.proto`. While draining, frames read are answered, then the stream ends."""
        stream = _Stream(self._catalog, self._limits)
        reader = asyncio.create_task(stream.read(requests))
        writer = asyncio.create_task(stream.write(context))
        draining = asyncio.create_task(self._draining.wait())
        try:
            await asyncio.wait({reader, draining, writer}, return_when=asyncio.FIRST_COMPLETED)
            is_draining = not reader.done()
            if is_draining:
                reader.cancel()
            stream.end()
            await writer
            if is_draining:
                raise Draining
            await reader
        except StatecastError as error:
            await abort(context, error)
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await abort(context, surprise(error))
        finally:
            for task in (reader, writer, draining):
                task.cancel()
            stream.drop()


class _Answer:
    """A frame's place in the order of answers."""

    __slots__ = ("accepted", "is_ready", "response", "worker")

    def __init__(self) -> None:
        self.is_ready = False
        self.response: pb.StreamForecastsResponse | None = None
        self.accepted: frames.Accepted | None = None
        self.worker: SessionWorker | None = None

    def encode(self) -> pb.StreamForecastsResponse:
        """The message, once ready."""
        if self.response is not None:
            return self.response
        assert self.accepted is not None
        assert self.worker is not None
        return frames.encode(self.accepted, self.worker)


class _Stream:
    """One stream: its handles, and its answers in the order of its frames."""

    def __init__(self, catalog: Catalog, limits: frames.FrameLimits) -> None:
        self._catalog = catalog
        self._limits = limits
        self._model_by_handle: dict[int, str] = {}
        self._handles: dict[str, Handles] = {}
        self._answers: deque[_Answer] = deque()
        self._is_ended = False
        self._changed = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()

    async def read(self, requests: "AsyncIterator[pb.StreamForecastsRequest]") -> None:
        """Read until the sender ends the stream.

        Raises:
            StatecastError: a handle is wrong; the stream cannot go on without it.
        """
        async for request in requests:
            if request.sessions:
                self._name(request)
            if request.HasField("frame"):
                self._submit(request.frame)
                if not self._has_room.is_set():
                    await self._has_room.wait()

    async def write(self, context: Context) -> None:
        """Write answers in order until the stream has ended and nothing is left."""
        while True:
            while self._answers and self._answers[0].is_ready:
                message = self._answers.popleft().encode()
                self._has_room.set()
                await context.write(message)
            if self._is_ended and not self._answers:
                return
            self._changed.clear()
            await self._changed.wait()

    def end(self) -> None:
        """No more frames come; `write` ends after the last answer."""
        self._is_ended = True
        self._changed.set()

    def drop(self) -> None:
        """Nobody reads answers any more: entries whose batch has not begun are not applied."""
        for answer in self._answers:
            if answer.accepted is not None and answer.accepted.frame is not None:
                answer.accepted.frame.drop()

    def _name(self, request: pb.StreamForecastsRequest) -> None:
        for index, session in enumerate(request.sessions):
            handle, model = session.handle, session.model
            field = f"sessions[{index}]"
            if handle >= MAX_HANDLE:
                raise InvalidRequest(f"{field}.handle", handle, f"below {MAX_HANDLE}")
            if model not in self._handles:
                self._catalog.worker(model)
                self._handles[model] = Handles()
            validation.check_session_id(session.session_id, f"{field}.session_id")
            before = self._model_by_handle.get(handle, model)
            if before != model:
                self._handles[before].forget(handle)
            self._model_by_handle[handle] = model
            self._handles[model].name(handle, session.session_id)

    def _submit(self, message: pb.Frame) -> None:
        answer = _Answer()
        self._answers.append(answer)
        if len(self._answers) >= _MAX_FRAMES_UNDER_WAY:
            self._has_room.clear()

        def ready(_frame: Frame | None) -> None:
            answer.is_ready = True
            self._changed.set()

        try:
            model = self._model_of(message)
            answer.worker = self._catalog.worker(model)
            answer.accepted = frames.accept(message, self._handles[model], answer.worker, self._limits, ready)
        except StatecastError as error:
            answer.response = frames.refuse(message.id, error)
        except Exception as error:
            answer.response = frames.refuse(message.id, surprise(error))
        if answer.accepted is None or answer.accepted.frame is None:
            ready(None)

    def _model_of(self, frame: pb.Frame) -> str:
        """The model of a frame's sessions, by its first handle."""
        if len(frame.handles) < 4:
            raise InvalidRequest("frame.handles", f"{len(frame.handles)} bytes", "at least one uint32")
        first = int.from_bytes(frame.handles[:4], "little")
        model = self._model_by_handle.get(first)
        if model is None:
            expected = "a handle that this stream named in `sessions`"
            raise InvalidRequest("frame.handles", f"{first} first", expected)
        return model
