"""`statecast health`: for a container's health check, so it starts fast and imports little."""

import sys
from typing import Annotated

import typer

from cli.connection import Connection, connects

_HERE = Connection()


@connects
def health(
    connection: Connection = _HERE,
    timeout_s: Annotated[float, typer.Option("--timeout-s", help="Seconds to wait for an answer.")] = 3.0,
) -> None:
    """Ask a server whether it is serving; exits 0 or 1."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    server = connection.server
    try:
        opened = connection.channel()
    except (OSError, ValueError) as error:
        print(f"statecast health: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    with opened as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            reply = stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.RpcError as error:
            call: grpc.Call = error  # type: ignore[assignment]
            print(f"statecast health: {server}: {call.code().name}: {call.details()}", file=sys.stderr)
            raise SystemExit(1) from None
    name = health_pb2.HealthCheckResponse.ServingStatus.Name(reply.status)
    print(f"{server}: {name}")
    raise SystemExit(0 if reply.status == health_pb2.HealthCheckResponse.SERVING else 1)
