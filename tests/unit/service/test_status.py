"""Every error of the tree, through a live gRPC server."""

import inspect

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from service import errors
from service.rpc.guard import guarded
from statecast.v1 import model_pb2, model_pb2_grpc

EXAMPLES = {
    errors.InvalidRequest: (errors.InvalidRequest("rows[2].values", "3 values", "2"), "INVALID_ARGUMENT"),
    errors.UnknownModel: (errors.UnknownModel("m", ["a", "b"]), "NOT_FOUND"),
    errors.UnknownSession: (errors.UnknownSession("m", "s"), "NOT_FOUND"),
    errors.PositionConflict: (errors.PositionConflict(5, 7), "ABORTED"),
    errors.QueueFull: (errors.QueueFull(10, 0.25), "RESOURCE_EXHAUSTED"),
    errors.TooManySessions: (errors.TooManySessions(3), "RESOURCE_EXHAUSTED"),
    errors.TooManyHandles: (errors.TooManyHandles(12), "RESOURCE_EXHAUSTED"),
    errors.TooManyWatches: (errors.TooManyWatches(64), "RESOURCE_EXHAUSTED"),
    errors.RateLimited: (errors.RateLimited(100.0, 2.5), "RESOURCE_EXHAUSTED"),
    errors.Unauthenticated: (errors.Unauthenticated(), "UNAUTHENTICATED"),
    errors.AccessWithdrawn: (errors.AccessWithdrawn(), "UNAVAILABLE"),
    errors.PermissionDenied: (errors.PermissionDenied("not for you"), "PERMISSION_DENIED"),
    errors.DeadlinePassed: (errors.DeadlinePassed(), "DEADLINE_EXCEEDED"),
    errors.StoreUnavailable: (errors.StoreUnavailable("disk full"), "UNAVAILABLE"),
    errors.TokenLost: (errors.TokenLost(["a"]), "ABORTED"),
    errors.SessionExists: (errors.SessionExists("m", "s"), "ALREADY_EXISTS"),
    errors.ForeignState: (errors.ForeignState("m", "sha256:aa", ["sha256:bb"]), "FAILED_PRECONDITION"),
    errors.DamagedState: (errors.DamagedState("session 's'", "its checksum is wrong"), "DATA_LOSS"),
    errors.SealRefused: (errors.SealRefused("it was changed"), "DATA_LOSS"),
    errors.UpgradeRefused: (errors.UpgradeRefused("m", 2, "its states differ"), "FAILED_PRECONDITION"),
    errors.UnknownVersion: (errors.UnknownVersion("m", 3, [1, 2]), "NOT_FOUND"),
    errors.Draining: (errors.Draining(), "UNAVAILABLE"),
    errors.EngineFailure: (errors.EngineFailure("c0ffee"), "INTERNAL"),
}
DETAILS = {
    errors.InvalidRequest: error_details_pb2.BadRequest,
    errors.UnknownModel: error_details_pb2.ResourceInfo,
    errors.UnknownSession: error_details_pb2.ResourceInfo,
    errors.PositionConflict: error_details_pb2.ErrorInfo,
    errors.TokenLost: error_details_pb2.ErrorInfo,
    errors.QueueFull: error_details_pb2.RetryInfo,
    errors.TooManySessions: error_details_pb2.QuotaFailure,
    errors.TooManyHandles: error_details_pb2.QuotaFailure,
    errors.RateLimited: error_details_pb2.RetryInfo,
    errors.SessionExists: error_details_pb2.ResourceInfo,
    errors.ForeignState: error_details_pb2.ErrorInfo,
    errors.EngineFailure: error_details_pb2.RequestInfo,
}


class _Raises(model_pb2_grpc.ModelServiceServicer):
    def __init__(self):
        self.error = None

    @guarded
    async def ListModels(self, _request, _context):  # noqa: N802
        raise self.error


@pytest.fixture
async def served():
    """A server whose only call raises what it is told to, and a stub for it."""
    servicer, server = _Raises(), grpc.aio.server()
    model_pb2_grpc.add_ModelServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield servicer, model_pb2_grpc.ModelServiceStub(channel)
    await server.stop(0)


def _subclasses(root):
    for child in root.__subclasses__():
        yield child
        yield from _subclasses(child)


def test_the_tree_at_the_top_of_the_file_is_complete():
    """Every error class is drawn there, and every request error has an example here."""
    tree = errors.__doc__
    drawn = [
        name for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)
    ]
    assert all(name in tree for name in drawn)
    assert set(EXAMPLES) == set(_subclasses(errors.StatecastError))


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
async def test_every_error_travels_with_its_status_and_details(kind, served):
    """The caller sees the code, the message, google.rpc details and the plain trailers."""
    servicer, stub = served
    servicer.error, code = EXAMPLES[kind]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ListModels(model_pb2.ListModelsRequest())
    assert caught.value.code().name == code
    assert caught.value.details() == str(servicer.error)
    rich = rpc_status.from_call(caught.value)
    if kind in DETAILS:
        (detail,) = rich.details
        assert detail.Is(DETAILS[kind].DESCRIPTOR)
    else:
        assert not rich.details


async def test_fields_travel_as_plain_trailers(served):
    """A client without google.rpc reads the field, the committed position and the correlation id."""
    servicer, stub = served
    trailers = {}
    for kind in (errors.InvalidRequest, errors.PositionConflict, errors.EngineFailure):
        servicer.error, _ = EXAMPLES[kind]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.ListModels(model_pb2.ListModelsRequest())
        trailers |= {
            key: value for key, value in caught.value.trailing_metadata() if key != "grpc-status-details-bin"
        }
    assert trailers == {
        "statecast-field": "position",
        "statecast-committed-position": "5",
        "statecast-correlation-id": "c0ffee",
    }


async def test_a_surprise_tells_the_caller_nothing_but_its_correlation_id(served, capsys):
    """The traceback goes to the log, under the id that the caller was given."""
    servicer, stub = served
    servicer.error = KeyError("secret path")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ListModels(model_pb2.ListModelsRequest())
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in caught.value.details()
    correlation_id = dict(caught.value.trailing_metadata())["statecast-correlation-id"]
    log = "".join(capsys.readouterr())
    assert correlation_id in log
    assert "secret path" in log
