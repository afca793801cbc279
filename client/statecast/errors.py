"""Everything that can go wrong, by what the caller can do about it.

StatecastError
├── InvalidRequest      fix the request; `field` names what was wrong
├── NotFound            no such model or session
├── AlreadyExists       the id is taken
├── PositionConflict    the session is elsewhere; read its position again and decide
├── TakenOver           another replica has the session now; nothing was applied, sending again is right
├── SessionMismatch     the session, or a state that was sent, belongs to another version of the model
├── AccessDenied        credentials are missing or do not suffice
│   ├── Unauthenticated     the server does not know who calls: no token, or none that is valid
│   └── PermissionDenied    it does, and the call is not for this caller
├── Unsupported         the server is older than this client
├── Overloaded          back off; nothing was applied
├── Unanswered          no answer came: the rows may have been applied, sending them again is safe
│   ├── Unavailable     the server could not be reached, or the connection broke
│   └── Unacknowledged  the deadline passed, or the call was cancelled
├── DataLoss            a state is damaged: the one the server holds, or the one that was sent
└── InternalError       a fault of the server; `correlation_id` finds it in its log

Wrong arguments that need no server to be seen raise ValueError before anything is sent.
"""


class StatecastError(Exception):
    """A call that the server refused or never answered.

    Attributes:
        code: the gRPC status, such as `INVALID_ARGUMENT`.
        message: what was wrong and what was expected, in the server's words.
        field: the field of the request at fault, or empty.
    """

    # The statuses that raise this class; the first is its own where none is given.
    codes: tuple[str, ...] = ()
    # Whether the client may send the request again by itself, unchanged.
    retryable = False

    def __init__(self, message: str, *, code: str = "", field: str = "") -> None:
        self.message = message
        self.code = code or next(iter(self.codes), "UNKNOWN")
        self.field = field
        super().__init__(message)

    def __str__(self) -> str:
        # The server's sentence often names the field already.
        named = self.field and not self.message.startswith(self.field)
        return f"{self.field}: {self.message}" if named else self.message


class InvalidRequest(StatecastError):
    """The request is wrong as it stands and was not applied."""

    codes = ("INVALID_ARGUMENT", "OUT_OF_RANGE")


class NotFound(StatecastError):
    """No such model or session."""

    codes = ("NOT_FOUND",)


class AlreadyExists(StatecastError):
    """A session has the id already; it stands as before."""

    codes = ("ALREADY_EXISTS",)


class PositionConflict(StatecastError):
    """Rows sent for a position that the session has not reached; nothing was applied.

    Another writer moved the session, or the server lost it. `committed_position` is the number of rows the
    session has consumed, None where the server did not say.
    """

    codes = ("ABORTED",)

    def __init__(
        self, message: str, *, code: str = "", field: str = "", committed_position: int | None = None
    ) -> None:
        super().__init__(message, code=code, field=field)
        self.committed_position = committed_position


class TakenOver(StatecastError):
    """Another replica took the session over while this one had rows for it; they were not applied."""

    retryable = True


class SessionMismatch(StatecastError):
    """The session, or a state that was sent, belongs to a version of the model that is not served."""

    codes = ("FAILED_PRECONDITION",)


class AccessDenied(StatecastError):
    """Credentials are missing or do not suffice."""


class Unauthenticated(AccessDenied):
    """The server does not know who calls: there was no token, or none that is valid."""

    codes = ("UNAUTHENTICATED",)


class PermissionDenied(AccessDenied):
    """The caller is known, and the call is not for it."""

    codes = ("PERMISSION_DENIED",)


class Unsupported(StatecastError):
    """The server has no such call: it is older than this client, or not a statecast server."""

    codes = ("UNIMPLEMENTED",)


class Overloaded(StatecastError):
    """The server's queue is full; nothing was applied.

    `retry_after_s` is the delay the server asked for, None where it did not say; negative means never.
    """

    codes = ("RESOURCE_EXHAUSTED",)
    retryable = True

    def __init__(
        self, message: str, *, code: str = "", field: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, code=code, field=field)
        self.retry_after_s = retry_after_s
        self.retryable = retry_after_s is None or retry_after_s >= 0


class Unanswered(StatecastError):
    """No answer came. The rows may have been applied; sending them again at their position is safe."""

    retryable = True


class Unavailable(Unanswered):
    """The server could not be reached, or the connection broke."""

    codes = ("UNAVAILABLE",)


class Unacknowledged(Unanswered):
    """The deadline passed or the call was cancelled before the answer came."""

    codes = ("DEADLINE_EXCEEDED", "CANCELLED")


class DataLoss(StatecastError):
    """A state is not as it was written: the one the server holds, or the one that was sent."""

    codes = ("DATA_LOSS",)


class InternalError(StatecastError):
    """A fault of the server. `correlation_id` finds it in the server's log; empty where it gave none."""

    codes = ("INTERNAL", "UNKNOWN")

    def __init__(self, message: str, *, code: str = "", field: str = "", correlation_id: str = "") -> None:
        super().__init__(message, code=code, field=field)
        self.correlation_id = correlation_id

    def __str__(self) -> str:
        text = super().__str__()
        unnamed = self.correlation_id and self.correlation_id not in text
        return f"{text} (correlation id {self.correlation_id})" if unnamed else text


# Answers which prove that rows sent at a position were not applied, now or at an earlier attempt: the
# request is what is wrong, and it was the same then.
REFUSALS = (InvalidRequest, NotFound, SessionMismatch, Unsupported)
