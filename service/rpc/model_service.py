"""ModelService: what the server can forecast with, and which versions it serves."""

from service.errors import InvalidRequest
from service.rpc.guard import guarded
from service.rpc.status import Context
from service.security.caller import CALLER, Role
from service.serving import Serving
from service.sessions.catalog import Catalog
from service.sessions.versions import UpgradePolicy
from service.sessions.worker import SessionWorker
from statecast.v1 import model_pb2 as pb
from statecast.v1 import model_pb2_grpc

_POLICIES = {
    pb.UPGRADE_POLICY_UNSPECIFIED: None,
    pb.UPGRADE_POLICY_PIN: UpgradePolicy.PIN,
    pb.UPGRADE_POLICY_CARRY: UpgradePolicy.CARRY,
    pb.UPGRADE_POLICY_REPLAY: UpgradePolicy.REPLAY,
}

_ROLES = {"past": pb.ROLE_PAST, "future": pb.ROLE_FUTURE, "static": pb.ROLE_STATIC}


class ModelService(model_pb2_grpc.ModelServiceServicer):
    """See `model.proto`."""

    def __init__(self, catalog: Catalog, serving: Serving) -> None:
        self._catalog, self._serving = catalog, serving

    @guarded
    async def ListModels(  # noqa: N802 - gRPC's name
        self, _request: pb.ListModelsRequest, _context: Context
    ) -> pb.ListModelsResponse:
        """See `model.proto`."""
        return pb.ListModelsResponse(models=[_model(worker) for worker in self._catalog])

    @guarded
    async def GetModel(  # noqa: N802 - gRPC's name
        self, request: pb.GetModelRequest, _context: Context
    ) -> pb.GetModelResponse:
        """See `model.proto`."""
        return pb.GetModelResponse(model=_model(self._catalog.worker(request.model)))

    @guarded
    async def LoadModel(  # noqa: N802 - gRPC's name
        self, request: pb.LoadModelRequest, _context: Context
    ) -> pb.LoadModelResponse:
        """See `model.proto`."""
        if request.policy not in _POLICIES:
            expected = f"one of {', '.join(pb.UpgradePolicy.keys())}"
            raise InvalidRequest("policy", request.policy, expected)
        await self._serving.load(request.model, request.version, _POLICIES[request.policy])
        return pb.LoadModelResponse(model=_model(self._catalog.worker(request.model)))

    @guarded
    async def UnloadModel(  # noqa: N802 - gRPC's name
        self, request: pb.UnloadModelRequest, _context: Context
    ) -> pb.UnloadModelResponse:
        """See `model.proto`."""
        worker = self._catalog.worker(request.model)
        await worker.unload(request.version)
        return pb.UnloadModelResponse(model=_model(worker))


def _num_sessions(worker: SessionWorker, index: int) -> int:
    """Of all tenants together, so that one alone is not told."""
    caller = CALLER.get()
    return worker.residency.num_sessions(index) if caller.role is Role.OPERATE else 0


def _model(worker: SessionWorker) -> pb.Model:
    served = worker.model
    manifest = served.manifest
    return pb.Model(
        name=served.name,
        version=served.version,
        digest=manifest.digest,
        cell=manifest.cell,
        features=[
            pb.Feature(
                name=feature.name,
                required=feature.required,
                categories=feature.categories,
                role=_ROLES[feature.role],
            )
            for feature in manifest.features
        ],
        task=manifest.task,
        reads_time=manifest.reads_time,
        labels=manifest.labels,
        scores_anomalies=manifest.scores_anomalies,
        calibrated=manifest.calibrated,
        frequency=manifest.frequency,
        season_length=manifest.season_length,
        horizon=manifest.horizon,
        quantile_levels=manifest.quantile_levels,
        manifest_json=manifest.model_dump_json(),
        versions=[
            pb.ModelVersion(
                version=loaded.model.version,
                digest=loaded.model.manifest.digest,
                num_sessions=_num_sessions(worker, loaded.index),
            )
            for loaded in sorted(worker.versions.all(), key=lambda each: each.model.version)
        ],
    )
