"""What can go wrong, in the domain's words; `rpc.status` says how each travels.

    StatecastError
    ├── InvalidRequest        a field of the request is wrong: fix it
    ├── UnknownModel          the repository has no model of that name
    ├── UnknownSession        there is no such session
    ├── PositionConflict      rows would be lost: send from the committed position
    ├── QueueFull             too many rows wait: back off
    ├── TooManySessions       no room for another session
    ├── TooManyHandles        the tenant's streams name too many sessions
    ├── TooManyWatches        too many sessions are watched row by row
    ├── RateLimited           the tenant has sent more rows than it may: back off
    ├── Unauthenticated       nobody knows who calls: show a token that is valid
    ├── AccessWithdrawn       the token that opened a stream is not valid any more: open another
    ├── PermissionDenied      the caller is known, and the call is not for it
    ├── DeadlinePassed        the caller's deadline came before the rows' turn
    ├── Draining              the server is going away and took nothing of this
    ├── StoreUnavailable      the store cannot be reached or written: send again later
    ├── TokenLost             another process has taken the sessions over: send again
    ├── UpgradeRefused        live sessions cannot go over to that version
    ├── UnknownVersion        the repository, or the server, has no such version
    ├── SessionExists         the id is taken: take another, or say that it may be replaced
    ├── ForeignState          a state of another model than those served
    ├── DamagedState          a state that cannot be read: the store's, or exported bytes
    ├── SealRefused           a sealed state does not open
    └── EngineFailure         the model failed; the session stands before some row of these
    StartupError
    ├── InvalidSettings       a setting is wrong
    ├── ModelRefused          a model file is damaged or is not what it says
    ├── StoreRefused          the store's file or server cannot be had
    └── DeviceUnavailable     the device that was asked for is not there

Errors hold fields and never import grpc.
"""

import re
from collections.abc import Sequence

from service.tenant import own_id


class StatecastError(Exception):
    """A request that was not done. Nothing of what it names was applied."""


class InvalidRequest(StatecastError):
    """A field of the request is wrong."""

    def __init__(self, field: str, found: object, expected: str) -> None:
        self.field, self.found, self.expected = field, found, expected
        super().__init__(f"{field}: expected {expected}, found {found}")


class UnknownModel(StatecastError):
    """The repository has no model of that name."""

    def __init__(self, model: str, known: list[str]) -> None:
        self.model, self.known = model, known
        super().__init__(f"model {model!r} is not served; served are: {', '.join(known) or 'none'}")


class UnknownSession(StatecastError):
    """There is no such session."""

    def __init__(self, model: str, session_id: str) -> None:
        self.model, self.session_id = model, own_id(session_id)
        super().__init__(f"model {model!r} has no session {self.session_id!r}")


class PositionConflict(StatecastError):
    """The rows start after the committed position: some before them would be lost."""

    def __init__(self, committed: int, found: int) -> None:
        self.committed, self.found = committed, found
        super().__init__(
            f"position {found}: the session has consumed {committed} rows; send from {committed}"
        )


class QueueFull(StatecastError):
    """Too many rows wait for the engine."""

    def __init__(self, limit: int, retry_after_s: float) -> None:
        self.limit, self.retry_after_s = limit, retry_after_s
        super().__init__(f"{limit} rows wait already (max_queued_rows); retry in {retry_after_s:g} s")


class TooManySessions(StatecastError):
    """There is no room for another session."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"{limit} sessions are open already (max_sessions); delete some or raise the limit")


class TooManyHandles(StatecastError):
    """The streams of a tenant name more sessions than they may, all together."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"streams name {limit} sessions already, four times max_sessions; end some of them")


class TooManyWatches(StatecastError):
    """Too many sessions of the model are watched row by row."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"{limit} sessions of the model are watched already; end some of the watches")


class RateLimited(StatecastError):
    """The tenant has sent more rows than it may."""

    def __init__(self, rows_per_s: float, retry_after_s: float) -> None:
        self.rows_per_s, self.retry_after_s = rows_per_s, retry_after_s
        super().__init__(
            f"more than {rows_per_s:g} rows a second (tenant_rows_per_s); retry in {retry_after_s:.3g} s"
        )


class Unauthenticated(StatecastError):
    """Nobody knows who calls."""

    def __init__(self, reason: str = "expected a valid token, authorization: Bearer ...") -> None:
        self.reason = reason
        super().__init__(reason)


class AccessWithdrawn(StatecastError):
    """The token that a stream was opened with is not valid any more; what was not answered was not taken."""

    def __init__(self) -> None:
        super().__init__("the token that this stream was opened with is not valid any more; open another")


class PermissionDenied(StatecastError):
    """The caller is known, and the call is not for it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class DeadlinePassed(StatecastError):
    """The caller's deadline came before the turn of its rows, or of some of a history's."""

    def __init__(self) -> None:
        super().__init__("the deadline passed while rows waited; send them again from the same position")


class Draining(StatecastError):
    """The server is going away; what it had not answered by now it did not take."""

    def __init__(self) -> None:
        super().__init__("the server is draining; send again, to this address or another")


class StoreUnavailable(StatecastError):
    """The store cannot be reached, or cannot write."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the session store is unavailable: {reason}")


class TokenLost(StatecastError):
    """Another process has taken these sessions over."""

    def __init__(self, session_ids: list[str]) -> None:
        self.session_ids = session_ids
        named = ", ".join(repr(own_id(key)) for key in session_ids[:3])
        super().__init__(f"another replica has taken over {named}; send again")


class UpgradeRefused(StatecastError):
    """Live sessions cannot go over to that version of the model, or one that they need cannot be let go."""

    def __init__(self, model: str, version: int, reason: str) -> None:
        self.model, self.version, self.reason = model, version, reason
        super().__init__(f"version {version} of model {model!r}: {reason}")


class UnknownVersion(StatecastError):
    """There is no such version of the model."""

    def __init__(self, model: str, version: int, known: list[int]) -> None:
        self.model, self.version, self.known = model, version, known
        super().__init__(
            f"model {model!r} has no version {version}; it has {', '.join(map(str, known)) or 'none'}"
        )


class SessionExists(StatecastError):
    """A session has the id already; it stands as before."""

    def __init__(self, model: str, session_id: str) -> None:
        self.model, self.session_id = model, own_id(session_id)
        super().__init__(f"model {model!r} has a session {self.session_id!r} already")


class ForeignState(StatecastError):
    """A state belongs to a model version that is not served."""

    def __init__(self, model: str, found: str, served: Sequence[str]) -> None:
        self.model, self.found, self.served = model, found, tuple(served)
        known = ", ".join(served) or "none"
        super().__init__(f"the state belongs to the model file {found}; served as {model!r}: {known}")


class DamagedState(StatecastError):
    """A session's state, in the store or as exported bytes, is not as it was written."""

    def __init__(self, what: str, reason: str) -> None:
        self.what, self.reason = what, reason
        super().__init__(f"{what} is damaged: {reason}")


class SealRefused(StatecastError):
    """A sealed state does not open: changed, of another session or position, or by a key that is gone."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"sealed_state does not open: {reason}")


class EngineFailure(StatecastError):
    """The model failed. The session stands before some row of the request; the log has the cause."""

    def __init__(self, correlation_id: str) -> None:
        self.correlation_id = correlation_id
        super().__init__(f"internal error; correlation id {correlation_id}")


class StartupError(Exception):
    """The server cannot start as it was told to."""


class InvalidSettings(StartupError):
    """A setting is unknown or has a wrong value."""


class ModelRefused(StartupError):
    """A model file is damaged, or its graph is not what its manifest says."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path}: {reason}")


class StoreRefused(StartupError):
    """The store cannot be had: its file is damaged, foreign or another process's, its server is not there."""

    def __init__(self, store: str, reason: str) -> None:
        # A password in the URL is nobody's to read in a log.
        self.store, self.reason = re.sub("//[^@/]*@", "//...@", store), reason
        super().__init__(f"store {self.store}: {reason}")


class DeviceUnavailable(StartupError):
    """The device that was asked for cannot be used here; another is never taken in silence."""
