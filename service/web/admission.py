"""Whether a call of the page's is answered, before anything of its body is read."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service.errors import PermissionDenied, StatecastError, Unauthenticated
from service.security.authenticator import Authenticator
from service.security.caller import Caller
from service.telemetry.requests import RequestCounts
from service.web import browsers

HEADERS = {**browsers.HEADERS, "cache-control": "no-store"}
# For a method: what was asked for is the caller's word, of which there may be any number.
_COUNTED_AS = "page"


class Admission:
    """Turns away what is not the page's own, and callers whom nobody knows; counts whom it turned away."""

    def __init__(self, authenticator: Authenticator, hosts: browsers.Hosts, requests: RequestCounts) -> None:
        self._authenticator, self._hosts, self._requests = authenticator, hosts, requests

    async def admit(self, request: Request) -> Caller:
        """Who calls.

        Raises:
            Refused: what `browsers` refuses.
            StatecastError: the caller is not known.
        """
        self._hosts.check(request)
        browsers.check_call(request)
        shown = request.headers.getlist("authorization")
        # Of two, neither.
        authorization = None if not shown else shown[0] if len(shown) == 1 else ""
        caller = await self._authenticator.by_token(authorization)
        if caller is None:
            # A certificate would have to be shown to this port.
            raise Unauthenticated
        return caller

    def refusal(self, error: browsers.Refused | StatecastError) -> Response:
        """The answer to a call that was not admitted, or is not for its caller. gRPC never saw it."""
        status, code = 401, "UNAUTHENTICATED"
        if isinstance(error, browsers.Refused | PermissionDenied):
            status = error.status if isinstance(error, browsers.Refused) else 403
            code = "PERMISSION_DENIED"
        self._requests.begin(_COUNTED_AS)
        self._requests.end(_COUNTED_AS, code)
        return failure(status, {"code": code, "message": str(error)})


def failure(status: int, error: dict[str, str]) -> Response:
    """An error as the page reads it."""
    return JSONResponse(error, status, HEADERS)
