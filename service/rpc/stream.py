"""One stream of frames: its handles, and its answers in the order of its frames."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

import structlog
from google.protobuf.message import DecodeError

from models.rows import RowLayout
from service.errors import Draining, InvalidRequest, StatecastError, TooManyHandles
from service.rpc import frames, validation, wire
from service.rpc.frame_response import PlainResponses
from service.rpc.graph_rows import graph_row, is_width, num_rows_of
from service.rpc.guard import surprise
from service.rpc.handles import MAX_HANDLE, Handles
from service.rpc.row_message import Row, RowShape, RowShapes
from service.rpc.single_rows import SingleRow, SingleRows
from service.rpc.status import Context
from service.security.caller import Tenant
from service.sessions.catalog import Catalog
from service.sessions.frame import COUNTS
from service.sessions.worker import SessionWorker
from service.telemetry.tracing import StreamTrace
from statecast.v1 import forecast_pb2 as pb

_log = structlog.get_logger()

# Frames of one stream that may be under way. Further ones stay unread, so that HTTP/2 flow control
# slows the sender down.
_MAX_FRAMES_UNDER_WAY = 32
_COUNT_FIELDS = [pb.StreamForecastsResponse.DESCRIPTOR.fields_by_name[name].number for name in COUNTS]
_UNKNOWN_POSITION = (-1).to_bytes(8, "little", signed=True)
_NO_FORECASTS = bytes(4)


@dataclass(frozen=True)
class StreamModel:
    """What a stream needs for the sessions it has of one model.

    Attributes:
        num_features: F; 0 where the graph's rows are not the values as they are sent.
        categories: see `validation.categories_of`.
    """

    worker: SessionWorker
    rows: SingleRows
    handles: Handles
    responses: PlainResponses
    num_features: int
    horizon: int
    layout: RowLayout
    categories: tuple[tuple[int, int], ...]


class Stream:
    """Reads frames, submits their rows, and writes what became of them, in order."""

    def __init__(
        self,
        catalog: Catalog,
        limits: frames.FrameLimits,
        rows: Mapping[str, SingleRows],
        context: Context,
        deadline_s: float,
        tenant: Tenant,
    ) -> None:
        self._tenant, self._num_held = tenant, 0
        self._catalog = catalog
        self._limits = limits
        self._rows = rows
        self._context = context
        self._deadline_s = deadline_s
        self._trace = StreamTrace()
        self._shapes = RowShapes()
        self._models: dict[str, StreamModel] = {}
        self._model_by_handle: dict[int, StreamModel] = {}
        self._answers: deque[_RowAnswer | _FrameAnswer] = deque()
        self._reading: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._has_room = asyncio.Event()
        self._has_room.set()

    async def read(self, requests: AsyncIterator[bytes]) -> None:
        """Read until the sender ends the stream; ends itself when all that was read is answered.

        Raises:
            StatecastError: a message cannot be read, or a handle is wrong: the stream cannot go on.
            Draining: `stop_reading` was called.
        """
        self._reading = asyncio.create_task(self._read(requests))
        try:
            await asyncio.wait({self._reading})
        finally:
            self._reading.cancel()
        await self._answer_all()
        if self._reading.cancelled():
            raise Draining
        self._reading.result()

    def stop_reading(self) -> None:
        """What has not been read by now is not taken."""
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self, requests: AsyncIterator[bytes]) -> None:
        async for content in requests:
            known = self._shapes.read(content)
            if known is None or self._trace.is_due or not self._take_row(*known):
                self._take(content)
            if not self._has_room.is_set():
                await self._has_room.wait()

    async def _answer_all(self) -> None:
        if self._answers or self._writer is not None:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    def drop(self) -> None:
        """Nobody reads answers any more: entries whose batch has not begun are not applied."""
        if self._writer is not None:
            self._writer.cancel()
        for answer in self._answers:
            answer.drop()
        self._tenant.num_handles -= self._num_held
        self._num_held = 0

    def pump(self) -> None:
        """Write what is ready, unless that is being done."""
        if self._writer is None and self._answers and self._answers[0].message is not None:
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._answers and (message := self._answers[0].message) is not None:
                self._answers.popleft()
                self._has_room.set()
                await self._context.write(message)
        except Exception:
            # Whoever was to read it is gone; gRPC ends the call, which drops what still waits.
            _log.debug("an answer found nobody", exc_info=True)
            return
        self._writer = None
        if self._drained is not None and not self._answers:
            self._drained.set_result(None)

    def _take_row(self, shape: RowShape, row: Row) -> bool:
        """Submit a message that is a plain row; False where it must go the long way."""
        model = self._model_by_handle.get(row.handle)
        if model is None or model.horizon < shape.horizon:
            return False
        values = row.values
        if model.categories and not validation.are_categories(values, model.categories):
            return False
        if model.num_features != shape.num_features:
            if model.num_features or not is_width(shape.num_features, model.layout):
                return False
            values = graph_row(values, row.time_us, model.layout)
        try:
            model.rows.check_room()
            self._tenant.take(1)
            slot = model.handles.resolve_one(row.handle, model.worker.table)
        except (KeyError, StatecastError):
            return False
        answer = _RowAnswer(slot, row.position, row.time_us, values, shape.reply, self._deadline_s)
        answer.begin(self, model, shape, row.frame_id)
        self._append(answer)
        model.rows.add(answer)
        return True

    def _take(self, content: bytes) -> None:
        try:
            request = pb.StreamForecastsRequest.FromString(content)
        except DecodeError as error:
            raise InvalidRequest("message", f"{len(content)} bytes that are none", "a request") from error
        if request.sessions:
            self._name(request)
        if request.HasField("frame"):
            self._shapes.learn(content, request)
            self._submit(request.frame)

    def _name(self, request: pb.StreamForecastsRequest) -> None:
        for index, session in enumerate(request.sessions):
            handle = session.handle
            field = f"sessions[{index}]"
            if handle >= MAX_HANDLE:
                raise InvalidRequest(f"{field}.handle", handle, f"below {MAX_HANDLE}")
            model = self._models.get(session.model) or self._open(session.model)
            validation.check_session_id(session.session_id, f"{field}.session_id")
            before = self._model_by_handle.get(handle)
            if before is None:
                self._hold_one()
            elif before is not model:
                before.handles.forget(handle)
            self._model_by_handle[handle] = model
            model.handles.name(handle, self._tenant.key(session.session_id))

    def _hold_one(self) -> None:
        """A handle is held until the stream ends."""
        if self._tenant.num_handles >= self._limits.max_handles:
            raise TooManyHandles(self._limits.max_handles)
        self._tenant.num_handles += 1
        self._num_held += 1

    def _open(self, name: str) -> StreamModel:
        worker = self._catalog.worker(name)
        manifest = worker.model.manifest
        responses = PlainResponses(manifest)
        layout = manifest.row_layout
        num_features = layout.num_features if layout.width == layout.num_features else 0
        opened = StreamModel(
            worker,
            self._rows[name],
            Handles(),
            responses,
            num_features,
            manifest.horizon,
            layout,
            validation.categories_of(manifest),
        )
        self._models[name] = opened
        return opened

    def _submit(self, frame: pb.Frame) -> None:
        answer = _FrameAnswer(self)
        self._append(answer)
        try:
            self._accept(frame, answer)
        except StatecastError as error:
            answer.ready(frames.refuse(frame.id, error))
        except Exception as error:
            answer.ready(frames.refuse(frame.id, surprise(error)))

    def _append(self, answer: "_RowAnswer | _FrameAnswer") -> None:
        self._answers.append(answer)
        if len(self._answers) >= _MAX_FRAMES_UNDER_WAY:
            self._has_room.clear()

    def _accept(self, frame: pb.Frame, answer: "_FrameAnswer") -> None:
        if len(frame.handles) < 4:
            raise InvalidRequest("frame.handles", f"{len(frame.handles)} bytes", "at least one uint32")
        # A frame is of one model: that of its first handle.
        first = int.from_bytes(frame.handles[:4], "little")
        model = self._model_by_handle.get(first)
        if model is None:
            expected = "a handle that this stream named in `sessions`"
            raise InvalidRequest("frame.handles", f"{first} first", expected)
        self._tenant.take(num_rows_of(frame, model.layout))
        # Rows that were collected came before this frame.
        model.rows.flush()
        accepted = frames.accept(
            frame, model.handles, model.worker, self._limits, lambda _: answer.encode(), self._deadline_s
        )
        answer.begin(accepted, model)
        if accepted.frame is None:
            answer.encode()
        else:
            accepted.frame.trace = self._trace.take()


class _FrameAnswer:
    """A frame's place in the order of answers."""

    __slots__ = ("_accepted", "_is_dropped", "_model", "_stream", "message")

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._accepted: frames.Accepted | None = None
        self._is_dropped = False
        self.message: bytes | None = None

    def begin(self, accepted: frames.Accepted, model: StreamModel) -> None:
        """Its rows are on their way."""
        self._accepted, self._model = accepted, model

    def encode(self) -> None:
        """Every entry is settled, or left where nobody waits for it."""
        if self._is_dropped:
            return
        assert self._accepted is not None
        self.ready(frames.encode(self._accepted, self._model.worker, self._model.responses))

    def ready(self, message: bytes) -> None:
        """It can be written when its turn comes."""
        self.message = message
        self._stream.pump()

    def drop(self) -> None:
        """Nobody waits for it."""
        self._is_dropped = True
        if self._accepted is not None and self._accepted.frame is not None:
            self._accepted.frame.drop()


class _RowAnswer(SingleRow):
    """A message of one row, and its place in the order of answers."""

    __slots__ = ("_frame_id", "_model", "_shape", "_stream", "message")

    def begin(self, stream: Stream, model: StreamModel, shape: RowShape, frame_id: bytes) -> None:
        """Where it came from."""
        self._stream, self._model, self._shape, self._frame_id = stream, model, shape, frame_id
        self.message: bytes | None = None

    def settled(self, position: int, forecast: bytes | None, counts: Sequence[int]) -> None:
        """See `SingleRow.settled`."""
        horizon = self._shape.horizon or self._model.horizon
        if forecast is not None and horizon < self._model.horizon:
            forecast = forecast[: len(forecast) // self._model.horizon * horizon]
        version = self._model.worker.model_of(self.slot).version
        message = self._model.responses.write(
            self._frame_id, position.to_bytes(8, "little"), forecast, 1, horizon, version
        )
        # Fields may come in any order.
        for field, count in zip(_COUNT_FIELDS, counts, strict=True):
            if count:
                message += wire.head(field, 4) + count.to_bytes(4, "little")
        self.message = message
        self._stream.pump()

    def refused(self, error: StatecastError) -> None:
        """See `SingleRow.refused`."""
        response = pb.StreamForecastsResponse(
            positions=_UNKNOWN_POSITION,
            num_forecasts=_NO_FORECASTS,
            horizon=self._shape.horizon or self._model.horizon,
            num_quantile_levels=self._model.worker.model.manifest.num_columns,
            model_version=self._model.worker.model_of(self.slot).version,
        )
        response.entry_errors.append(frames.entry_error(0, error))
        own_id = b"\x08" + self._frame_id if self._frame_id else b""
        self.message = own_id + response.SerializeToString()
        self._stream.pump()
