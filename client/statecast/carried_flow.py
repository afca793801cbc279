"""A session whose state its caller carries."""

from typing import Any

from statecast import flow
from statecast.errors import Unsupported
from statecast.flow import Flow
from statecast.forecast import ForecastResult, from_response
from statecast.model import Model
from statecast.retry import RetryPolicy
from statecast.rows import as_chunk, as_horizon, as_reply, as_session_id
from statecast.session_flow import check_size, row_messages
from statecast.v1 import forecast_pb2


class CarriedFlow:
    """What `CarriedSession` and `AsyncCarriedSession` do.

    The server keeps nothing, so a call that was not answered changed nothing: the state is what the last
    answer brought, and any request can be sent again.
    """

    def __init__(
        self,
        model: str | Model,
        session_id: str,
        sealed: bytes,
        policy: RetryPolicy,
        max_message_bytes: int,
    ) -> None:
        self.session_id = as_session_id(session_id)
        self.sealed = sealed
        self.position: int | None = None if sealed else 0
        self._model = model
        self._policy = policy
        self._max_message_bytes = max_message_bytes

    def forecast(self, rows: Any, times: Any, reply: str, horizon: int | None) -> Flow[ForecastResult]:
        """See `CarriedSession.forecast`."""
        wanted = as_reply(reply)
        if isinstance(self._model, str):
            self._model = yield from flow.get_model(self._model, self._policy)
        model = self._model
        request = forecast_pb2.ForecastRequest(
            model=model.name,
            session_id=self.session_id,
            rows=row_messages(as_chunk(rows, times, model)),
            reply=wanted,
            horizon=as_horizon(horizon, model),
            carry_state=True,
            sealed_state=self.sealed,
        )
        check_size("rows", request.ByteSize(), self._max_message_bytes)
        response = yield from flow.call("Forecast", request, self._policy.start())
        if not response.sealed_state:
            raise Unsupported("the server does not seal states: it is older than this client")
        self.sealed, self.position = response.sealed_state, int(response.position)
        return from_response(response, model.labels)
