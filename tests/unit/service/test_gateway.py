"""What the page's streams are told when their server goes away, in front of a gRPC server that says when."""

import asyncio
import contextlib
import json

import grpc
import pytest

from service.clock import SystemClock
from service.security.authenticator import Authenticator
from service.settings import Settings
from service.telemetry.requests import RequestCounts
from service.web import browsers
from service.web.admission import Admission
from service.web.gateway import Gateway
from service.web.http_server import HttpServer
from statecast.v1 import session_pb2_grpc

NAME = "statecast.v1.SessionService/WatchSessions"


class Sessions(session_pb2_grpc.SessionServiceServicer):
    """Watches that end with UNAVAILABLE once `end` is set."""

    def __init__(self):
        self.end = asyncio.Event()

    async def WatchSessions(self, _request, context):  # noqa: N802 - gRPC's name
        await context.send_initial_metadata(())
        await self.end.wait()
        await context.abort(grpc.StatusCode.UNAVAILABLE, "come again")


@contextlib.asynccontextmanager
async def watched(tmp_path):
    """A gateway, its server, and a stream of the page that was begun."""
    sessions, server = Sessions(), grpc.aio.server()
    session_pb2_grpc.add_SessionServiceServicer_to_server(sessions, server)
    target = f"unix:{tmp_path / 'page'}"
    server.add_insecure_port(target)
    await server.start()
    settings = Settings(repository=str(tmp_path))
    authenticator, hosts = Authenticator(settings, SystemClock()), browsers.Hosts("127.0.0.1:0", asks=False)
    admission = Admission(authenticator, hosts, RequestCounts())
    gateway = Gateway(target, admission, lambda: True, has_operators=True, max_message_bytes=1 << 20)
    http = HttpServer("127.0.0.1:0", gateway.routes())
    reader, writer = await asyncio.open_connection(*http.address.split(":"))
    body = json.dumps({"model": "m"})
    writer.write(
        f"POST /api/{NAME} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    await reader.readuntil(b": open\n\n")
    try:
        yield gateway, sessions, http, reader
    finally:
        writer.close()
        await server.stop(None)


@pytest.mark.parametrize("has_ended", [True, False])
async def test_a_stream_is_told_that_its_server_goes_away(tmp_path, has_ended):
    """By the server's own words where it said some at the last moment, before the connection is closed."""
    async with watched(tmp_path) as (gateway, sessions, http, reader):
        if has_ended:
            sessions.end.set()
        await gateway.close()
        await http.close()
        rest = (await reader.read()).decode()
    (event,) = (line for line in rest.splitlines() if line.startswith("event"))
    (data,) = (line.removeprefix("data: ") for line in rest.splitlines() if line.startswith("data"))
    assert event == "event: error"
    told = json.loads(data)
    assert told["code"] == "UNAVAILABLE"
    assert ("come again" in told["message"]) == has_ended
