"""The tree of errors, and how statuses become them."""

import inspect
import re

import grpc
import pytest

import statecast
from statecast import errors, status
from statecast.errors import (
    InternalError,
    InvalidRequest,
    Overloaded,
    PositionConflict,
    StatecastError,
    TakenOver,
    Unavailable,
)
from statecast.v1 import forecast_pb2


def _tree(kind=StatecastError, depth=0):
    yield kind, depth
    for child in kind.__subclasses__():
        yield from _tree(child, depth + 1)


def test_the_drawing_shows_the_whole_tree_and_nothing_else():
    """The tree at the top of the module has every class, each below its parent, in the order of the code."""
    drawn = re.findall(r"^([│├└─ ]*)([A-Z]\w+)", errors.__doc__.split("\n\n")[1], re.MULTILINE)
    assert [(name, len(branches) // 4) for branches, name in drawn] == [
        (kind.__name__, depth) for kind, depth in _tree()
    ]


def test_every_error_is_public():
    """Whoever catches an error finds it in the package."""
    assert {kind.__name__ for kind, _ in _tree()} <= set(statecast.__all__)


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_status_becomes_one_class(code):
    """Each gRPC status is some leaf's own, or a fault of the server; its name is kept."""
    owners = [kind for kind, _ in _tree() if code.name in kind.codes]
    assert len(owners) <= 1
    error = status.from_status(code.name, "why")
    assert type(error) is (owners[0] if owners else InternalError)
    assert (error.code, error.message) == (code.name, "why")


@pytest.mark.parametrize("kind", [kind for kind, _ in _tree()])
def test_each_class_says_what_it_is(kind):
    """Every class has a docstring of its own and takes a message alone."""
    assert inspect.getdoc(kind)
    assert str(kind("why")) == "why"


def test_fields_come_from_the_trailers():
    """Trailers are percent-encoded ASCII; what they say lands in the fields."""
    error = status.from_status("INVALID_ARGUMENT", "expected 2", {"statecast-field": "rows%5B3%5D"})
    assert isinstance(error, InvalidRequest)
    assert error.field == "rows[3]"
    assert str(error) == "rows[3]: expected 2"
    error = status.from_status("ABORTED", "moved", {"statecast-committed-position": "7"})
    assert isinstance(error, PositionConflict)
    assert error.committed_position == 7
    error = status.from_status("ABORTED", "another replica", {"grpc-retry-pushback-ms": "0"})
    assert isinstance(error, TakenOver)
    assert error.retryable
    error = status.from_status("RESOURCE_EXHAUSTED", "full", {"grpc-retry-pushback-ms": "250"})
    assert isinstance(error, Overloaded)
    assert error.retry_after_s == 0.25
    error = status.from_status("INTERNAL", "sorry", {"statecast-correlation-id": "ab12"})
    assert isinstance(error, InternalError)
    assert str(error) == "sorry (correlation id ab12)"


def test_nonsense_in_a_trailer_is_no_error_of_its_own():
    """A number that cannot be read is a number that was not given."""
    error = status.from_status("ABORTED", "moved", {"statecast-committed-position": "soon"})
    assert isinstance(error, PositionConflict)
    assert error.committed_position is None


def test_a_message_too_large_is_not_an_overload():
    """gRPC has one status for both, but the same message will never fit."""
    error = status.from_status("RESOURCE_EXHAUSTED", "Received message larger than max (9 vs. 4)")
    assert isinstance(error, InvalidRequest)
    assert not error.retryable


def test_a_broken_connection_under_another_status_is_one():
    """Proxies and gRPC's core report a reset as INTERNAL; a server's own INTERNAL has a correlation id."""
    reset = "Received RST_STREAM with error code 2"
    assert isinstance(status.from_status("INTERNAL", reset), Unavailable)
    own = status.from_status("INTERNAL", reset, {"statecast-correlation-id": "ab12"})
    assert isinstance(own, InternalError)


def test_entry_errors_carry_the_same_fields():
    """A refused entry of a frame is told like a refused call."""
    message = forecast_pb2.EntryError(code=10, message="moved", field="position", committed_position=0)
    error = status.from_entry_error(message)
    assert isinstance(error, PositionConflict)
    assert (error.committed_position, error.field) == (0, "position")
    message = forecast_pb2.EntryError(code=10, message="another replica", retry_after_ms=0)
    assert isinstance(status.from_entry_error(message), TakenOver)
