"""What every call passes: who calls, and whether the call is for them. Nothing of it is read before."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, cast

import grpc

from service.errors import AccessWithdrawn, StatecastError, Unauthenticated
from service.rpc import access
from service.rpc.observing import UNKNOWN, call_name
from service.rpc.open_streams import OpenStreams
from service.rpc.status import Context, abort, status_of
from service.security.authenticator import Authenticator
from service.security.caller import CALLER, Caller
from service.telemetry.requests import RequestCounts

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class Gate(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Sets `CALLER` for the task of each call, or ends the call."""

    def __init__(self, authenticator: Authenticator, requests: RequestCounts, *, has_operators: bool) -> None:
        """`has_operators`: whether calls that change what is served may be made at all."""
        self._authenticator, self._requests, self._has_operators = authenticator, requests, has_operators
        self._streams = OpenStreams(authenticator)

    async def intercept_service(  # type: ignore[override]
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]]",
        details: grpc.HandlerCallDetails,
    ) -> "_Handler | None":
        """See `grpc.aio.ServerInterceptor`; runs in the task that runs the handler."""
        method = details.method
        if method in access.OPEN:
            return await continuation(details)
        try:
            caller = await self._authenticator.by_token(_authorization(details))
            if caller is not None:
                self._admit(caller, method)
        except StatecastError as error:
            return self._refusing(error, method)
        handler = await continuation(details)
        if handler is None:
            return None
        if caller is None:
            return self._by_certificate(handler, method)
        if handler.response_streaming and self._authenticator.asks:
            return self._while_valid(handler, _authorization(details), caller)
        return handler

    async def keep_watch(self) -> None:
        """See `OpenStreams.keep_watch`."""
        await self._streams.keep_watch()

    def _admit(self, caller: Caller, method: str) -> None:
        CALLER.set(caller)
        access.check(method, has_operators=self._has_operators)
        if method not in access.COUNTED_BY_ROWS:
            caller.tenant.take(1)

    def _refusing(self, error: StatecastError, method: str) -> _Handler:
        """Ends the call, whatever it is. As a stream, so that not even its first message is read."""
        # Names that somebody made up count as one.
        name = call_name(method) if method in access.KNOWN else UNKNOWN
        self._requests.begin(name)
        self._requests.end(name, status_of(error).code.name)

        async def refuse(_requests: object, context: Context) -> None:
            await abort(context, error)

        return grpc.stream_stream_rpc_method_handler(refuse)

    def _by_certificate(self, handler: _Handler, method: str) -> _Handler:
        """The handler, once the connection has told whose it is: an interceptor cannot ask it."""
        inner = cast("Callable[..., Any]", _behaviour(handler))

        async def behaviour(request: Any, context: Context) -> Any:
            try:
                names = list(context.auth_context().get("x509_common_name", []))
                if len(names) != 1:
                    raise Unauthenticated
                self._admit(self._authenticator.by_certificate(names[0].decode()), method)
            except StatecastError as error:
                await abort(context, error)
            return await _answer(inner, request, context)

        return _like(handler, behaviour)

    def _while_valid(self, handler: _Handler, authorization: str | None, caller: Caller) -> _Handler:
        """The handler of a stream, which ends when its token is not its caller's any more."""
        inner = cast("Callable[..., Any]", _behaviour(handler))

        async def behaviour(request: Any, context: Context) -> Any:
            with self._streams.opened(authorization, caller) as withdrawn:
                answering = asyncio.ensure_future(_answer(inner, request, context))
                try:
                    await asyncio.wait({answering, withdrawn}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    answering.cancel()
                # It gives up what it holds before the call ends.
                await asyncio.wait({answering})
            if answering.cancelled() and withdrawn.done():
                await abort(context, AccessWithdrawn())
            return answering.result()

        return _like(handler, behaviour)


def _authorization(details: grpc.HandlerCallDetails) -> str | None:
    """The header of that name; of two, neither."""
    found = [value for name, value in details.invocation_metadata or () if name == "authorization"]
    if not found:
        return None
    return found[0] if len(found) == 1 and isinstance(found[0], str) else ""


async def _answer(behaviour: "Callable[..., Any]", request: Any, context: Context) -> Any:
    """Whichever way a handler answers."""
    answer = behaviour(request, context)
    if not inspect.isasyncgen(answer):
        return await answer
    async for message in answer:
        await context.write(message)
    return None


def _behaviour(handler: _Handler) -> Any:
    return handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream


def _like(handler: _Handler, behaviour: Any) -> _Handler:
    makers: dict[tuple[bool, bool], Any] = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    make = makers[bool(handler.request_streaming), bool(handler.response_streaming)]
    made: _Handler = make(behaviour, handler.request_deserializer, handler.response_serializer)
    return made
