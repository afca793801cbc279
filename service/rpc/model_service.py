"""ModelService: what the server can forecast with."""

from service.engine.model import ServedModel
from service.rpc.guard import guarded
from service.rpc.status import Context
from service.sessions.catalog import Catalog
from statecast.v1 import model_pb2 as pb
from statecast.v1 import model_pb2_grpc


class ModelService(model_pb2_grpc.ModelServiceServicer):
    """See `model.proto`."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    @guarded
    async def ListModels(  # noqa: N802 - gRPC's name
        self, _request: pb.ListModelsRequest, _context: Context
    ) -> pb.ListModelsResponse:
        """See `model.proto`."""
        return pb.ListModelsResponse(models=[_model(worker.model) for worker in self._catalog])

    @guarded
    async def GetModel(  # noqa: N802 - gRPC's name
        self, request: pb.GetModelRequest, _context: Context
    ) -> pb.GetModelResponse:
        """See `model.proto`."""
        return pb.GetModelResponse(model=_model(self._catalog.worker(request.model).model))


def _model(served: ServedModel) -> pb.Model:
    manifest = served.manifest
    return pb.Model(
        name=served.name,
        version=served.version,
        digest=manifest.digest,
        cell=manifest.cell,
        features=[pb.Feature(name=feature.name, required=feature.required) for feature in manifest.features],
        frequency=manifest.frequency,
        season_length=manifest.season_length,
        horizon=manifest.horizon,
        quantile_levels=manifest.quantile_levels,
        manifest_json=manifest.model_dump_json(),
    )
