"""Which calls are open, and which are an operator's: every other call wants a caller who is known."""

from grpc_health.v1 import health

from service.rpc.inference import grpc_service_pb2
from service.security.caller import CALLER, check_operator
from statecast.v1 import forecast_pb2, model_pb2, session_pb2

_OURS, _INFERENCE = "/statecast.v1.", "/inference.GRPCInferenceService/"

# Whether the server is up is no secret, and probes have no tokens.
OPEN = frozenset({f"/{health.SERVICE_NAME}/Check", f"{_INFERENCE}ServerLive", f"{_INFERENCE}ServerReady"})
OPERATE = frozenset(
    {
        f"{_OURS}ModelService/LoadModel",
        f"{_OURS}ModelService/UnloadModel",
        f"{_INFERENCE}RepositoryModelLoad",
        f"{_INFERENCE}RepositoryModelUnload",
    }
)
KNOWN = frozenset(
    f"/{service.full_name}/{method.name}"
    for file in (forecast_pb2, session_pb2, model_pb2, grpc_service_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
)
# Calls that bring rows are counted where the rows are read; each of the others counts as one row.
COUNTED_BY_ROWS = frozenset(
    {
        f"{_OURS}ForecastService/Forecast",
        f"{_OURS}ForecastService/StreamForecasts",
        f"{_INFERENCE}ModelInfer",
        f"{_INFERENCE}ModelStreamInfer",
    }
)


def check(method: str, *, has_operators: bool) -> None:
    """Whether the caller of this task may make a call.

    Args:
        method: its whole name.
        has_operators: whether anybody may.

    Raises:
        PermissionDenied: not this one.
    """
    if method in OPERATE:
        check_operator(CALLER.get(), has_operators=has_operators)
