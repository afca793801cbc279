"""The reference for transport: a bare grpc.aio server that answers each message with bytes of a given size.

`/echo/stream/N` and `/echo/unary/N` answer N bytes. Nothing is parsed, nothing is computed: what a
server can do beyond this, it can only do outside grpc.aio.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc

_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
]


class _Echo(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Handlers without serialisers: bytes come, bytes go."""

    def service(self, handler_call_details: Any) -> Any:
        _, _, kind, size = handler_call_details.method.split("/")
        reply = bytes(int(size))

        async def unary(_request: bytes, _context: Any) -> bytes:
            return reply

        async def stream(requests: AsyncIterator[bytes], _context: Any) -> AsyncIterator[bytes]:
            async for _ in requests:
                yield reply

        if kind == "unary":
            return grpc.unary_unary_rpc_method_handler(unary)
        return grpc.stream_stream_rpc_method_handler(stream)


async def _serve() -> None:
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers((_Echo(),))
    port = server.add_insecure_port("127.0.0.1:0")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await server.start()
    print(json.dumps({"event": "serving", "address": f"127.0.0.1:{port}"}), file=sys.stderr, flush=True)
    await stop.wait()
    await server.stop(0)


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--uvloop", action="store_true", help="run on uvloop, as the server under test does")
    if parser.parse_args().uvloop:
        import uvloop  # type: ignore[import-not-found, unused-ignore]

        uvloop.run(_serve())
    else:
        asyncio.run(_serve())


if __name__ == "__main__":
    main()
