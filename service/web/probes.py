"""Whether the server lives, whether it takes requests, and what it counts."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


def routes(registry: CollectorRegistry | None, is_ready: Callable[[], bool]) -> list[Route]:
    """`/livez`, `/readyz` and `/metrics`; each is answered on the event loop that serves gRPC.

    Args:
        registry: None where the port is open to others and counts were not said to be theirs to read.
    """

    async def livez(_request: Request) -> Response:
        """The event loop turns: that this is answered says it."""
        return PlainTextResponse("alive\n")

    async def readyz(_request: Request) -> Response:
        """Not before sessions are recovered, and not from the first moment of a drain on.

        A store that is away does not count: what replicas share would take all of them out at once, and
        their clients, which are told to send again, would be told nothing.
        """
        ready = is_ready()
        return PlainTextResponse("ready\n" if ready else "not ready\n", 200 if ready else 503)

    async def metrics(request: Request) -> Response:
        if registry is None:
            return PlainTextResponse("not told where others can ask, unless --metrics says so\n", 403)
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), media_type=media_type)

    return [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]
