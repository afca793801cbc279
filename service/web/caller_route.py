"""Who calls the page, by which it knows what to offer; each call is asked for its own right all the same."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.errors import StatecastError
from service.security.caller import Role
from service.web.admission import HEADERS, Admission
from service.web.browsers import Refused


def routes(admission: Admission, *, has_operators: bool) -> list[Route]:
    """`POST /api/caller`: `tenant`, `role`, and whether calls that change what is served are the caller's.

    Args:
        has_operators: whether anybody may make them.
    """

    async def caller(request: Request) -> Response:
        try:
            found = await admission.admit(request)
        except (Refused, StatecastError) as error:
            return admission.refusal(error)
        told = {
            "tenant": found.tenant.name,
            "role": found.role.value,
            "operates": has_operators and found.role is Role.OPERATE,
        }
        return JSONResponse(told, headers=HEADERS)

    return [Route("/api/caller", caller, methods=["POST"])]
