"""The page's calls: JSON over HTTP becomes the same call of the gRPC API, by a connection of its own.

So that tenants, roles, rates, counts and the words of errors are those of gRPC: there is no second way in.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import unquote

import grpc
from google.protobuf import message_factory
from google.protobuf.message import Message
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from service.errors import Draining, PermissionDenied, StatecastError
from service.web import browsers, json_message, session_rights
from service.web.admission import HEADERS, Admission, failure
from statecast.v1 import forecast_pb2, model_pb2, session_pb2

# What the page sends is small; reading JSON takes time of the loop that serves everybody.
MAX_BODY_BYTES = 1 << 20
# Larger ones are read and written by another thread.
_INLINE_BYTES = 1 << 14
_LAST_WORDS_S = 1.0
# Of gRPC's codes what HTTP calls them (google/rpc/code.proto); others are 500.
_STATUS = {
    "CANCELLED": 499,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
# Headers of a call that the API reads.
_FORWARDED = ("authorization", "x-request-id", "traceparent")
# Trailers of an error, by the name that they have in JSON.
_TRAILERS = {
    "statecast-field": "field",
    "statecast-committed-position": "committed_position",
    "statecast-correlation-id": "correlation_id",
    "grpc-retry-pushback-ms": "retry_after_ms",
}
# grpc-stubs leave it out.
_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]
_Error: TypeAlias = dict[str, str]


@dataclass(frozen=True)
class Method:
    """A call of the API that the page can make.

    Attributes:
        path: its name in gRPC.
    """

    path: str
    request: type[Message]
    response: type[Message]
    is_stream: bool


def methods() -> dict[str, Method]:
    """By `service/Method`: every call of our own three services whose request is one message."""
    return {
        f"{service.full_name}/{method.name}": Method(
            f"/{service.full_name}/{method.name}",
            message_factory.GetMessageClass(method.input_type),
            message_factory.GetMessageClass(method.output_type),
            method.server_streaming,
        )
        for file in (forecast_pb2, session_pb2, model_pb2)
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
        if not method.client_streaming
    }


class Gateway:
    """Answers `POST /api/<service>/<Method>`; made within the event loop that serves gRPC."""

    def __init__(
        self,
        target: str,
        admission: Admission,
        is_ready: Callable[[], bool],
        *,
        has_operators: bool,
        max_message_bytes: int,
        keep_alive_s: float = 10.0,
    ) -> None:
        """Args:
        target: where the server itself listens for us alone.
        has_operators: whether anybody may make calls that are an operator's.
        keep_alive_s: between comments on a stream that has nothing to say.
        """
        self._admission, self._is_ready = admission, is_ready
        self._has_operators, self._keep_alive_s = has_operators, keep_alive_s
        self._methods = methods()
        self._channel = grpc.aio.insecure_channel(
            target,
            options=[
                ("grpc.max_receive_message_length", max_message_bytes),
                ("grpc.max_send_message_length", max_message_bytes),
                # It is there again before anybody has waited.
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 1_000),
                ("grpc.enable_http_proxy", 0),
            ],
        )

    def routes(self) -> list[Route]:
        """The one route of all calls."""
        return [Route("/api/{name:path}", self._call, methods=["POST"])]

    async def close(self) -> None:
        """End the connection; calls under way that are not over within a second are cancelled."""
        # What the server said last may not have been read.
        await self._channel.close(_LAST_WORDS_S)

    async def _call(self, request: Request) -> Response:
        try:
            caller = await self._admission.admit(request)
        except (browsers.Refused, StatecastError) as error:
            return self._admission.refusal(error)
        method = self._methods.get(request.path_params["name"])
        if method is None:
            return failure(404, {"code": "UNIMPLEMENTED", "message": "no such call here"})
        if not self._is_ready():
            return failure(503, {"code": "UNAVAILABLE", "message": "the server takes no calls now"})
        body = await _body(request)
        if body is None:
            message = f"the request's body: expected at most {MAX_BODY_BYTES} bytes"
            return failure(413, {"code": "RESOURCE_EXHAUSTED", "message": message})
        try:
            asked = await _maybe_aside(len(body), lambda: json_message.parse(body, method.request))
        except json_message.BadJson as error:
            return failure(400, {"code": "INVALID_ARGUMENT", "message": str(error)})
        try:
            session_rights.check(caller, asked, has_operators=self._has_operators)
        except PermissionDenied as error:
            return self._admission.refusal(error)
        metadata = [(key, value) for key in _FORWARDED for value in request.headers.getlist(key)]
        if method.is_stream:
            events = self._events(method, asked, metadata)
            return StreamingResponse(events, media_type="text/event-stream", headers=HEADERS)
        try:
            answer = await self._unary(method)(asked, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            return failure(_STATUS.get(error.code().name, 500), _told(error))
        text = await _maybe_aside(answer.ByteSize(), lambda: json_message.render(answer))
        return Response(text, media_type="application/json", headers=HEADERS)

    def _unary(self, method: Method) -> Callable[..., Awaitable[Message]]:
        call: Any = self._channel.unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        return call  # type: ignore[no-any-return]

    async def _events(
        self, method: Method, asked: Message, metadata: list[tuple[str, str]]
    ) -> AsyncIterator[str]:
        """The text of a stream. Ends the call when nobody reads it any more."""
        call: Any = self._channel.unary_stream(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )(asked, metadata=metadata)
        try:
            # Comes when the server has begun, or when the call is over: what happens from now on is told.
            await call.initial_metadata()
            yield ": open\n\n"
            reading = asyncio.ensure_future(call.read())
            while True:
                done, _ = await asyncio.wait((reading,), timeout=self._keep_alive_s)
                if not done:
                    yield ": still here\n\n"
                    continue
                if reading.cancelled():
                    # By `close`.
                    yield _error_event({"code": "UNAVAILABLE", "message": str(Draining())})
                    return
                message = reading.result()
                if message is _EOF:
                    return
                reading = asyncio.ensure_future(call.read())
                yield f"data: {json_message.render(message)}\n\n"
        except grpc.aio.AioRpcError as error:
            yield _error_event(_told(error))
        finally:
            call.cancel()


def _told(error: grpc.aio.AioRpcError) -> _Error:
    told = {"code": error.code().name, "message": error.details() or ""}
    trailers: Any = error.trailing_metadata() or ()
    for key, value in trailers:
        if key in _TRAILERS:
            told[_TRAILERS[key]] = unquote(str(value))
    return told


def _error_event(error: _Error) -> str:
    return f"event: error\ndata: {bytes(JSONResponse(error).body).decode()}\n\n"


async def _body(request: Request) -> bytes | None:
    """None where it is too large, of which no more is read."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)


async def _maybe_aside(num_bytes: int, act: Callable[[], Any]) -> Any:
    if num_bytes <= _INLINE_BYTES:
        return act()
    return await asyncio.to_thread(act)
