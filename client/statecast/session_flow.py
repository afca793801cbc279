"""One session: its position, and rows that were sent but never answered."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from statecast import flow
from statecast.errors import REFUSALS, InvalidRequest, NotFound, PositionConflict, StatecastError
from statecast.flow import Flow
from statecast.forecast import ForecastResult, from_response
from statecast.model import Model
from statecast.retry import RetryPolicy
from statecast.rows import Chunk, as_chunk, as_horizon, as_reply
from statecast.v1 import forecast_pb2, session_pb2


class SessionFlow:
    """What `Session` and `AsyncSession` do.

    Every request carries the session's position, so any of them can be sent again. Where a call ends without
    an answer its rows are in doubt: they stay here, and the next call sends them again first, at their own
    position; a call that brings the very same rows is itself that second sending.
    """

    def __init__(
        self, model: str | Model, session_id: str, policy: RetryPolicy, max_message_bytes: int
    ) -> None:
        self.session_id = session_id
        self.model_name = model if isinstance(model, str) else model.name
        self.position: int | None = None
        self._model = None if isinstance(model, str) else model
        self._policy = policy
        self._max_message_bytes = max_message_bytes
        self._in_doubt: Chunk | None = None

    def forecast(
        self, rows: Any, times: Any, reply: str, horizon: int | None, score_anomalies: bool = False
    ) -> Flow[ForecastResult]:
        """See `Session.forecast`."""
        wanted = as_reply(reply)
        model = yield from self.model()
        chunk = as_chunk(rows, times, model)
        steps = as_horizon(horizon, model)
        if self.position is None:
            yield from self.refresh()
        if self._in_doubt is not None and not self._in_doubt.same_as(chunk):
            yield from self._apply(self._in_doubt, forecast_pb2.REPLY_NONE, 0)
        return (yield from self._apply(chunk, wanted, steps, score_anomalies))

    def model(self) -> Flow[Model]:
        """The session's model, asked for once."""
        if self._model is None:
            self._model = yield from flow.get_model(self.model_name, self._policy)
        return self._model

    def refresh(self) -> Flow[int]:
        """Take the server's position for ours; rows in doubt are forgotten."""
        position = yield from flow.get_position(self.model_name, self.session_id, self._policy)
        self.position, self._in_doubt = position, None
        return position

    def delete(self) -> Flow[None]:
        """End the session; no error where there is none."""
        request = session_pb2.DeleteSessionRequest(model=self.model_name, session_id=self.session_id)
        with contextlib.suppress(NotFound):
            yield from flow.call("DeleteSession", request, self._policy.start())
        self.position, self._in_doubt = 0, None

    def _apply(
        self, chunk: Chunk, reply: forecast_pb2.Reply, horizon: int, score_anomalies: bool = False
    ) -> Flow[ForecastResult]:
        request = forecast_pb2.ForecastRequest(
            model=self.model_name,
            session_id=self.session_id,
            rows=row_messages(chunk),
            position=self.position,
            reply=reply,
            horizon=horizon,
            score_anomalies=score_anomalies,
        )
        check_size("rows", request.ByteSize(), self._max_message_bytes)
        attempts = self._policy.start()
        attempts.in_doubt = self._in_doubt is not None
        # Set before the call: a call that is cancelled never comes back here.
        self._in_doubt = chunk
        try:
            response = yield from flow.call("Forecast", request, attempts)
        except StatecastError as error:
            if not attempts.in_doubt or isinstance(error, (*REFUSALS, PositionConflict)):
                self._in_doubt = None
            raise
        self.position, self._in_doubt = int(response.position), None
        labels = () if self._model is None else self._model.labels
        return from_response(response, labels)


def check_size(field: str, found_bytes: int, max_bytes: int) -> None:
    """Refuse a message that is too large before it is sent.

    Raises:
        InvalidRequest: what was expected and found.
    """
    if found_bytes > max_bytes:
        raise InvalidRequest(
            f"expected a message of at most {max_bytes} bytes, found {found_bytes}; send fewer rows",
            field=field,
        )


def row_messages(chunk: Chunk) -> Iterator[forecast_pb2.Row]:
    """A chunk as a unary request holds it."""
    times = [None] * len(chunk.values) if chunk.times_us is None else chunk.times_us.tolist()
    for values, time_us in zip(np.asarray(chunk.values).tolist(), times, strict=True):
        yield forecast_pb2.Row(values=values, time_us=time_us)
