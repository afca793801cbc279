"""`statecast health`: for a container's health check, so it starts fast and imports little."""

import json
import os
import sys
from typing import Annotated

import typer

from cli.connection import Connection, connects

_HERE = Connection()
_HTTP_VARIABLE = "STATECAST_HTTP_ADDRESS"
_TLS_VARIABLE = "STATECAST_HTTP_TLS"
# A server that listens everywhere is asked where only this machine can.
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


@connects
def health(
    connection: Connection = _HERE,
    timeout_s: Annotated[float, typer.Option("--timeout-s", help="Seconds to wait for an answer.")] = 3.0,
    http: Annotated[
        bool,
        typer.Option(
            "--http",
            help=f"Ask /readyz, which asks for no certificate or token, at {_HTTP_VARIABLE} if that is set.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Ask a server whether it is serving; exits 0 or 1."""
    address = os.environ.get(_HTTP_VARIABLE, "") if http else ""
    try:
        found, is_serving = _ask_http(address, timeout_s) if address else _ask(connection, timeout_s)
    except (OSError, ValueError) as error:
        print(f"statecast health: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    if as_json:
        asked, _, status = found.rpartition(": ")
        print(json.dumps({"server": asked, "status": status, "is_serving": is_serving}))
    else:
        print(found)
    raise SystemExit(0 if is_serving else 1)


def _ask(connection: Connection, timeout_s: float) -> tuple[str, bool]:
    """What gRPC's health service says, and whether that is serving.

    Raises:
        OSError, ValueError: it cannot be asked.
    """
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    server = connection.server
    with connection.channel() as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            reply = stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.RpcError as error:
            call: grpc.Call = error  # type: ignore[assignment]
            next_step = "is `statecast serve` running there? --server names another"
            raise OSError(f"{server}: {call.code().name}: {call.details()}; {next_step}") from error
    name = health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status)
    return f"{server}: {name}", reply.status == health_pb2.HealthCheckResponse.SERVING


def _ask_http(address: str, timeout_s: float) -> tuple[str, bool]:
    """What `/readyz` says, and whether that is ready.

    Raises:
        OSError, ValueError: it cannot be asked.
    """
    import ssl
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal():
        raise ValueError(f"{_HTTP_VARIABLE} {address!r}: expected host:port")
    asked = _EVERYWHERE.get(host, host)
    connection = HTTPConnection(asked, int(port), timeout=timeout_s)
    if os.environ.get(_TLS_VARIABLE, "").lower() in ("1", "true", "yes", "on", "t", "y"):
        # Its certificate is for the name that others know it by, and nothing secret is said.
        context = ssl._create_unverified_context()
        connection = HTTPSConnection(asked, int(port), timeout=timeout_s, context=context)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return f"{address}: {answer.read(100).decode(errors='replace').strip()}", answer.status == 200
    except HTTPException as error:
        raise OSError(f"{address}: no answer in HTTP: {error!r}") from error
    except OSError as error:
        raise OSError(f"{address}: {error}; is the server running, with that --http-address?") from error
    finally:
        connection.close()
