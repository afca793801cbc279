"""Steps: what the client does, apart from how it waits.

Everything that both clients do is written once, as generators that yield a step and are sent its outcome, or
thrown the StatecastError it ended in. A driver performs steps: `sync_client` by blocking, `async_client` by
awaiting. A flow that is closed early (a cancelled task, an interrupt) ends where it stands; what it left
unanswered is kept by whoever sent it.
"""

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from google.protobuf.message import Message

from statecast.errors import NotFound, StatecastError
from statecast.model import Model, from_message
from statecast.retry import Attempts, RetryPolicy
from statecast.v1 import model_pb2, session_pb2

# GetSession calls in flight at a time when a stream first sees its sessions.
MAX_CALLS_IN_FLIGHT = 64

T = TypeVar("T")


@dataclass(frozen=True)
class Call:
    """A unary call; its outcome is the response."""

    method: str
    request: Message
    timeout_s: float


@dataclass(frozen=True)
class CallMany:
    """Calls of one method side by side; the outcome holds a response or a StatecastError for each."""

    method: str
    requests: Sequence[Message]
    timeout_s: float


@dataclass(frozen=True)
class Pause:
    """Wait."""

    seconds: float


@dataclass(frozen=True)
class OpenStream:
    """A call that is answered by many messages; its outcome is the call, once the server has begun it."""

    method: str
    request: Message


@dataclass(frozen=True)
class Connect:
    """A new stream in place of the one there was."""


@dataclass(frozen=True)
class Send:
    """A message onto the stream; does not wait for the wire."""

    request: Message


@dataclass(frozen=True)
class Receive:
    """The next message from the stream is the outcome; None where there is something else to do first."""

    timeout_s: float


Step: TypeAlias = Call | CallMany | OpenStream | Pause | Connect | Send | Receive
Flow: TypeAlias = Generator[Step, Any, T]


def call(method: str, request: Message, attempts: Attempts) -> Flow[Any]:
    """A unary call, sent again until it is answered or the attempts give up.

    Raises:
        StatecastError: of the last attempt.
    """
    while True:
        try:
            return (yield Call(method, request, attempts.timeout_s))
        except StatecastError as error:
            pause_s = attempts.pause_s(error)
            if pause_s is None:
                raise
        yield Pause(pause_s)


def list_models(policy: RetryPolicy) -> Flow[tuple[Model, ...]]:
    """Every model that is served, by name."""
    response = yield from call("ListModels", model_pb2.ListModelsRequest(), policy.start())
    return tuple(from_message(message) for message in response.models)


def get_model(name: str, policy: RetryPolicy) -> Flow[Model]:
    """One model.

    Raises:
        NotFound: the repository has none of that name.
    """
    response = yield from call("GetModel", model_pb2.GetModelRequest(model=name), policy.start())
    return from_message(response.model)


def get_position(model: str, session_id: str, policy: RetryPolicy) -> Flow[int]:
    """The rows a session has consumed; 0 for one that is not there yet."""
    request = session_pb2.GetSessionRequest(model=model, session_id=session_id)
    try:
        response = yield from call("GetSession", request, policy.start())
    except NotFound:
        return 0
    return int(response.session.position)


def get_positions(model: str, session_ids: Sequence[str], policy: RetryPolicy) -> Flow[list[int]]:
    """`get_position` of many sessions, side by side.

    Raises:
        StatecastError: of the first session whose position could not be had.
    """
    outcomes = yield from ask_positions(model, session_ids, policy)
    positions = []
    for session_id in session_ids:
        outcome = outcomes[session_id]
        if isinstance(outcome, StatecastError):
            raise outcome
        positions.append(outcome)
    return positions


def ask_positions(
    model: str, session_ids: Sequence[str], policy: RetryPolicy
) -> Flow[dict[str, int | StatecastError]]:
    """The position of each session, or why the server refuses to say.

    Raises:
        StatecastError: the budget ran out.
    """
    outcomes: dict[str, int | StatecastError] = {}
    missing = deque(dict.fromkeys(session_ids))
    attempts = policy.start()
    while missing:
        some = [missing.popleft() for _ in range(min(len(missing), MAX_CALLS_IN_FLIGHT))]
        requests = [session_pb2.GetSessionRequest(model=model, session_id=session_id) for session_id in some]
        answers = yield CallMany("GetSession", requests, attempts.timeout_s)
        failed = {}
        for session_id, answer in zip(some, answers, strict=True):
            if isinstance(answer, NotFound):
                outcomes[session_id] = 0
            elif not isinstance(answer, StatecastError):
                outcomes[session_id] = int(answer.session.position)
            elif answer.retryable:
                failed[session_id] = answer
            else:
                outcomes[session_id] = answer
        if not failed:
            attempts = policy.start()
            continue
        missing.extendleft(reversed(failed))
        error = next(iter(failed.values()))
        pause_s = attempts.pause_s(error)
        if pause_s is None:
            raise error
        yield Pause(pause_s)
    return outcomes
