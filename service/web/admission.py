"""Whether a call of the page's is answered, before anything of its body is read."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service.errors import PermissionDenied, StatecastError, Unauthenticated
from service.security.authenticator import Authenticator
from service.security.caller import Caller
from service.web import browsers

HEADERS = {**browsers.HEADERS, "cache-control": "no-store"}


class Admission:
    """Turns away what is not the page's own, and callers whom nobody knows."""

    def __init__(self, authenticator: Authenticator, hosts: browsers.Hosts) -> None:
        self._authenticator, self._hosts = authenticator, hosts

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


def refusal(error: browsers.Refused | StatecastError) -> Response:
    """The answer to a call that was not admitted, or is not for its caller."""
    if isinstance(error, browsers.Refused | PermissionDenied):
        status = error.status if isinstance(error, browsers.Refused) else 403
        return failure(status, {"code": "PERMISSION_DENIED", "message": str(error)})
    return failure(401, {"code": "UNAUTHENTICATED", "message": str(error)})


def failure(status: int, error: dict[str, str]) -> Response:
    """An error as the page reads it."""
    return JSONResponse(error, status, HEADERS)
