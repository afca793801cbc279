"""A small server that keeps the contract of the proto, and fails when it is told to.

It has one model, `sum`, and remembers the rows of each session as lists, so a test can see whether each was
applied once and in order. A forecast's step k at level q is the sum of all rows' first values, plus k, plus
q.
"""

import threading
from collections import deque
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc
import numpy as np

from statecast.columns import COUNT, FORECAST, HANDLE, LENGTH, POSITION, TIME_US, VALUE, pack, unpack
from statecast.v1 import (
    forecast_pb2,
    forecast_pb2_grpc,
    model_pb2,
    model_pb2_grpc,
    session_pb2,
    session_pb2_grpc,
)

HORIZON = 3
LEVELS = (0.1, 0.5, 0.9)
MODEL = "sum"

# What a row with this value is answered with: never applied.
REFUSED_VALUE = -1.0
# A frame with a row of this value ends its stream.
FATAL_VALUE = -2.0


@dataclass(frozen=True)
class Fault:
    """What the server does wrong, once.

    Attributes:
        code: the status the call ends with.
        after_commit: whether the rows are applied before.
        trailers: sent with the status.
        message: of the status.
        in_frame: told in the frame's reply, whose stream goes on; otherwise the whole stream ends.
        entry: with `in_frame`, the only entry that is refused; None for all of the frame.
    """

    code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    after_commit: bool = False
    trailers: tuple[tuple[str, str], ...] = ()
    message: str = "told to fail"
    in_frame: bool = False
    entry: int | None = None


LOSE_REPLY = Fault(after_commit=True)


class Refusal(Exception):
    """Rows that the contract does not let in."""

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        field: str,
        committed: int | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.field, self.committed = code, message, field, committed
        self.retry_after_ms = retry_after_ms


@dataclass
class FakeSession:
    """Rows as they were applied, and how many were consumed."""

    rows: list[list[float]] = field(default_factory=list)
    times_us: list[int] = field(default_factory=list)
    position: int = 0


@dataclass(frozen=True)
class Applied:
    """What rows did to a session."""

    position: int
    num_skipped: int
    num_late: int
    forecasts: list[tuple[int, Any]]


class FakeServer:
    """Runs on a free port of this machine; sessions outlive `stop` and `start`.

    Attributes:
        faults: taken one a call or frame, None for none.
        sessions: by session id.
        calls: the names of the calls that came, one a frame for streams.
        streams: how many streams were opened.
    """

    def __init__(self, num_features: int = 1) -> None:
        self.num_features = num_features
        self.faults: deque[Fault | None] = deque()
        self.sessions: dict[str, FakeSession] = {}
        self.calls: list[str] = []
        self.streams = 0
        # Released once for each call and frame that comes.
        self.arrived = threading.Semaphore(0)
        # Closed by a test to keep calls and frames waiting, before they are applied.
        self.gate = threading.Event()
        self.gate.set()
        self.lock = threading.Lock()
        self.port = 0
        self.start()

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        # Without port reuse a port that is taken is an error, not a second server on it.
        options = [("grpc.so_reuseport", 0)]
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=16), options=options)
        forecast_pb2_grpc.add_ForecastServiceServicer_to_server(_Forecasts(self), self._server)
        model_pb2_grpc.add_ModelServiceServicer_to_server(_Models(self), self._server)
        session_pb2_grpc.add_SessionServiceServicer_to_server(_Sessions(self), self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def stop(self) -> None:
        """Drop every connection at once; calls that wait at the gate go on with nobody to answer to."""
        stopped = self._server.stop(grace=None)
        self.gate.set()
        stopped.wait()

    def values(self, session_id: str) -> list[float]:
        """First values of the rows a session was given, in the order they were applied."""
        return [row[0] for row in self.sessions[session_id].rows]

    def enter(self, call: str) -> Fault | None:
        """A call or frame came; returns what to do wrong with it."""
        self.calls.append(call)
        self.arrived.release()
        self.gate.wait()
        return self._take_fault()

    def _take_fault(self) -> Fault | None:
        with self.lock:
            return self.faults.popleft() if self.faults else None

    def apply(
        self, session_id: str, rows: list[list[float]], times_us: list[int] | None, position: int, reply: int
    ) -> Applied:
        """Apply rows as `forecast.proto` says; `position` is -1 for none."""
        with self.lock:
            session = self.sessions.get(session_id, FakeSession())
            skipped = 0 if position < 0 else min(session.position - position, len(rows))
            if skipped < 0:
                message = f"expected position {session.position}, found {position}"
                raise Refusal(grpc.StatusCode.ABORTED, message, "position", session.position)
            for index, row in enumerate(rows):
                if len(row) != self.num_features or row[0] == REFUSED_VALUE:
                    field = f"rows[{index}].values"
                    raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, f"{field}: not {row}", field)
            self.sessions[session_id] = session
            return self._commit(session, rows, times_us, skipped, reply)

    def _commit(
        self, session: FakeSession, rows: list[list[float]], times: list[int] | None, skipped: int, reply: int
    ) -> Applied:
        late, forecasts = 0, []
        for index in range(skipped, len(rows)):
            session.position += 1
            if times is not None and session.times_us and times[index] <= session.times_us[-1]:
                late += 1
                continue
            session.rows.append(rows[index])
            session.times_us += [] if times is None else [times[index]]
            forecasts.append(self._forecast(session))
        if reply == forecast_pb2.REPLY_NONE:
            forecasts = []
        elif reply != forecast_pb2.REPLY_EACH or not forecasts:
            forecasts = [self._forecast(session)]
        return Applied(session.position, skipped, late, forecasts)

    def _forecast(self, session: FakeSession) -> tuple[int, Any]:
        total = sum(row[0] for row in session.rows)
        steps, levels = np.arange(HORIZON)[:, None], np.array(LEVELS)
        return session.position, (total + steps + levels).astype(np.float32)


def _fail(context: grpc.ServicerContext, fault: Fault) -> NoReturn:
    context.set_trailing_metadata(fault.trailers)
    context.abort(fault.code, fault.message)
    raise AssertionError


class _Forecasts(forecast_pb2_grpc.ForecastServiceServicer):
    def __init__(self, server: FakeServer) -> None:
        self._server = server

    def Forecast(self, request: Any, context: Any) -> Any:  # noqa: N802
        fault = self._server.enter("Forecast")
        if fault and not fault.after_commit:
            _fail(context, fault)
        times = [row.time_us for row in request.rows] if request.rows[0].HasField("time_us") else None
        position = request.position if request.HasField("position") else -1
        try:
            applied = self._server.apply(
                request.session_id, [list(row.values) for row in request.rows], times, position, request.reply
            )
        except Refusal as refusal:
            trailers = [("statecast-field", refusal.field)]
            if refusal.committed is not None:
                trailers.append(("statecast-committed-position", str(refusal.committed)))
            _fail(context, Fault(refusal.code, trailers=tuple(trailers), message=refusal.message))
        if fault:
            _fail(context, fault)
        horizon = request.horizon or HORIZON
        return forecast_pb2.ForecastResponse(
            position=applied.position,
            num_skipped=applied.num_skipped,
            num_late=applied.num_late,
            forecasts=[
                forecast_pb2.Forecast(position=position, values=values[:horizon].ravel())
                for position, values in applied.forecasts
            ],
            quantile_levels=LEVELS,
            model_version=1,
        )

    def StreamForecasts(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:  # noqa: N802
        self._server.streams += 1
        names: dict[int, str] = {}
        for request in requests:
            names |= {session.handle: session.session_id for session in request.sessions}
            if not request.HasField("frame"):
                continue
            fault = self._server.enter("frame")
            if fault and not fault.after_commit and not fault.in_frame:
                _fail(context, fault)
            if FATAL_VALUE in unpack(request.frame.values, VALUE, "values"):
                _fail(context, Fault(grpc.StatusCode.INVALID_ARGUMENT, message="wrong"))
            response = self._frame(request.frame, names, fault)
            if fault and fault.after_commit:
                _fail(context, fault)
            yield response

    def _frame(self, frame: Any, names: dict[int, str], fault: Fault | None) -> Any:
        response = forecast_pb2.StreamForecastsResponse(frame_id=frame.id, model_version=1)
        if fault and fault.in_frame and fault.entry is None:
            response.frame_error.code = fault.code.value[0]
            response.frame_error.message = fault.message
            return response
        handles = unpack(frame.handles, HANDLE, "handles").tolist()
        lengths = unpack(frame.lengths, LENGTH, "lengths").tolist() or [1] * len(handles)
        positions = unpack(frame.positions, POSITION, "positions").tolist() or [-1] * len(handles)
        times = unpack(frame.times_us, TIME_US, "times_us").tolist() or None
        rows = unpack(frame.values, VALUE, "values").reshape(-1, self._server.num_features).tolist()
        outcomes: list[Applied | Refusal] = []
        for entry, (handle, length, position) in enumerate(zip(handles, lengths, positions, strict=True)):
            mine, rows = rows[:length], rows[length:]
            when, times = (times[:length], times[length:]) if times else (None, None)
            try:
                if fault and fault.entry == entry:
                    delay = dict(fault.trailers).get("grpc-retry-pushback-ms")
                    raise Refusal(fault.code, fault.message, "", None, delay and int(delay))
                outcomes.append(self._server.apply(names[handle], mine, when, position, frame.reply))
            except Refusal as refusal:
                outcomes.append(refusal)
        _fill(response, outcomes, frame.horizon or HORIZON)
        return response


def _fill(response: Any, outcomes: list[Applied | Refusal], horizon: int) -> None:
    made = [[] if isinstance(outcome, Refusal) else outcome.forecasts for outcome in outcomes]
    flat = [forecast for forecasts in made for forecast in forecasts]
    applied = [None if isinstance(outcome, Refusal) else outcome for outcome in outcomes]
    response.positions = pack([-1 if one is None else one.position for one in applied], POSITION)
    response.num_skipped = pack([0 if one is None else one.num_skipped for one in applied], COUNT)
    response.num_late = pack([0 if one is None else one.num_late for one in applied], COUNT)
    response.num_forecasts = pack([len(forecasts) for forecasts in made], COUNT)
    response.forecast_positions = pack([position for position, _ in flat], POSITION)
    response.forecasts = pack([values[:horizon] for _, values in flat], FORECAST)
    response.horizon, response.num_quantile_levels = horizon, len(LEVELS)
    for entry, outcome in enumerate(outcomes):
        if isinstance(outcome, Refusal):
            response.entry_errors.add(
                entry=entry,
                code=outcome.code.value[0],
                message=outcome.message,
                field=outcome.field,
                committed_position=outcome.committed,
                retry_after_ms=outcome.retry_after_ms,
            )


class _Models(model_pb2_grpc.ModelServiceServicer):
    def __init__(self, server: FakeServer) -> None:
        self._server = server
        names = ["y", *(f"x{index}" for index in range(1, server.num_features))]
        self._model = model_pb2.Model(
            name=MODEL,
            version=1,
            digest="sha256:0",
            cell="lstm",
            features=[model_pb2.Feature(name=name) for name in names],
            frequency="D",
            season_length=7,
            horizon=HORIZON,
            quantile_levels=LEVELS,
            manifest_json="{}",
        )

    def ListModels(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        return model_pb2.ListModelsResponse(models=[self._model])

    def GetModel(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.model != MODEL:
            fault = Fault(
                grpc.StatusCode.NOT_FOUND, trailers=(("statecast-field", "model"),), message="no such model"
            )
            _fail(context, fault)
        return model_pb2.GetModelResponse(model=self._model)


class _Sessions(session_pb2_grpc.SessionServiceServicer):
    def __init__(self, server: FakeServer) -> None:
        self._server = server

    def GetSession(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._server.calls.append("GetSession")
        return session_pb2.GetSessionResponse(session=self._session(request, context))

    def DeleteSession(self, request: Any, context: Any) -> Any:  # noqa: N802
        fault = self._server.enter("DeleteSession")
        if fault and not fault.after_commit:
            _fail(context, fault)
        session = self._session(request, context)
        del self._server.sessions[request.session_id]
        if fault:
            _fail(context, fault)
        return session_pb2.DeleteSessionResponse(session=session)

    def _session(self, request: Any, context: Any) -> Any:
        session = self._server.sessions.get(request.session_id)
        if session is None:
            _fail(context, Fault(grpc.StatusCode.NOT_FOUND, message="no such session"))
        return session_pb2.Session(
            model=MODEL, session_id=request.session_id, model_version=1, position=session.position
        )
