"""Which calls about sessions the page makes for operators alone.

Over gRPC a program that streams rows owns its tenant's sessions, and may end them. A person at the page looks
at the sessions of such programs, and one who may only look must not take one from them.
"""

import re

from google.protobuf.message import Message

from service.security.caller import Caller, check_operator
from statecast.v1 import session_pb2 as pb

_OPERATE = (
    pb.DeleteSessionRequest,
    pb.ExportSessionRequest,
    pb.ImportSessionRequest,
    pb.ResetSessionRequest,
)
# What the page opened itself, it ends: copies of "what if" (page/fork.js) and tries (page/try/run.js).
_OWN_ID = re.compile(r"(.*~what-if-[0-9a-f]{8}(\.1)?|try-[0-9a-f]{8})", re.DOTALL)


def check(caller: Caller, asked: Message, *, has_operators: bool) -> None:
    """Whether the page makes a call for a caller. Nothing is looked up for it.

    Args:
        has_operators: whether anybody may do what operators may.

    Raises:
        PermissionDenied: not for this one.
    """
    if not isinstance(asked, _OPERATE):
        return
    if isinstance(asked, pb.DeleteSessionRequest) and _OWN_ID.fullmatch(asked.session_id):
        return
    check_operator(caller, has_operators=has_operators)
