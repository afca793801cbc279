"""ForecastService: unary forecasts, and streams of frames."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import grpc

from service.errors import Draining, InvalidRequest, StatecastError
from service.rpc import frames, unary, validation
from service.rpc.guard import guarded, surprise
from service.rpc.handles import MAX_HANDLE, Handles
from service.rpc.single_frame import SingleFrames
from service.rpc.single_rows import SingleRows
from service.rpc.status import Context, abort
from service.sessions.catalog import Catalog
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
        self._rows = {worker.model.name: SingleRows(worker) for worker in catalog}

    @guarded
    async def Forecast(  # noqa: N802 - gRPC's name
        self, request: pb.ForecastRequest, _context: Context
    ) -> pb.ForecastResponse:
        """See `forecast.proto`."""
        worker = self._catalog.worker(request.model)
        limits = self._limits
        rows = self._rows[worker.model.name]
        return await unary.forecast(
            request, worker, rows, limits.max_rows_per_chunk, limits.max_message_bytes
        )

    async def StreamForecasts(  # noqa: N802 - gRPC's name
        self, requests: "AsyncIterator[pb.StreamForecastsRequest]", context: Context
    ) -> None:
        """See `forecast.proto`. While draining, frames read are answered, then the stream ends."""
        stream = _Stream(self._catalog, self._limits, self._rows)
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

    __slots__ = ("_wake", "drop", "encode", "is_ready")

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self.is_ready = False
        self.encode: Callable[[], pb.StreamForecastsResponse]
        self.drop: Callable[[], None] | None = None

    def ready(self, _frame: object = None) -> None:
        """It can be encoded and written when its turn comes."""
        self.is_ready = True
        self._wake()


@dataclass(frozen=True)
class _Model:
    """What a stream needs for the sessions it has of one model."""

    worker: SessionWorker
    handles: Handles
    singles: SingleFrames


class _Stream:
    """One stream: its handles, and its answers in the order of its frames."""

    def __init__(self, catalog: Catalog, limits: frames.FrameLimits, rows: dict[str, SingleRows]) -> None:
        self._catalog = catalog
        self._limits = limits
        self._rows = rows
        self._models: dict[str, _Model] = {}
        self._model_by_handle: dict[int, _Model] = {}
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
            if answer.drop is not None:
                answer.drop()

    def _name(self, request: pb.StreamForecastsRequest) -> None:
        for index, session in enumerate(request.sessions):
            handle = session.handle
            field = f"sessions[{index}]"
            if handle >= MAX_HANDLE:
                raise InvalidRequest(f"{field}.handle", handle, f"below {MAX_HANDLE}")
            model = self._models.get(session.model) or self._open(session.model)
            validation.check_session_id(session.session_id, f"{field}.session_id")
            before = self._model_by_handle.get(handle, model)
            if before is not model:
                before.handles.forget(handle)
            self._model_by_handle[handle] = model
            model.handles.name(handle, session.session_id)

    def _open(self, name: str) -> _Model:
        worker = self._catalog.worker(name)
        model = _Model(worker, Handles(), SingleFrames(worker, self._rows[name]))
        self._models[name] = model
        return model

    def _submit(self, frame: pb.Frame) -> None:
        answer = _Answer(self._changed.set)
        self._answers.append(answer)
        if len(self._answers) >= _MAX_FRAMES_UNDER_WAY:
            self._has_room.clear()
        try:
            self._accept(frame, answer)
        except StatecastError as error:
            response = frames.refuse(frame.id, error)
            answer.encode = lambda: response
            answer.ready()
        except Exception as error:
            response = frames.refuse(frame.id, surprise(error))
            answer.encode = lambda: response
            answer.ready()

    def _accept(self, frame: pb.Frame, answer: _Answer) -> None:
        if len(frame.handles) < 4:
            raise InvalidRequest("frame.handles", f"{len(frame.handles)} bytes", "at least one uint32")
        # A frame is of one model: that of its first handle.
        first = int.from_bytes(frame.handles[:4], "little")
        model = self._model_by_handle.get(first)
        if model is None:
            expected = "a handle that this stream named in `sessions`"
            raise InvalidRequest("frame.handles", f"{first} first", expected)
        row = model.singles.take(frame, first, model.handles, answer.ready)
        if row is not None:
            frame_id, horizon, reply = frame.id, frame.horizon, frame.reply
            answer.encode = lambda: model.singles.encode(row, frame_id, horizon, reply)
            answer.drop = row.drop
            return
        # Rows that were collected came before this frame.
        self._rows[model.worker.model.name].flush()
        accepted = frames.accept(frame, model.handles, model.worker, self._limits, answer.ready)
        answer.encode = lambda: frames.encode(accepted, model.worker)
        if accepted.frame is None:
            answer.ready()
        else:
            answer.drop = accepted.frame.drop
