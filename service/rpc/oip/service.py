"""GRPCInferenceService: the calls of the Open Inference Protocol over the sessions of this server."""

import importlib.metadata
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from service.clock import Clock
from service.errors import InvalidRequest, StatecastError
from service.rpc.deadline import deadline_s
from service.rpc.guard import guarded, surprise
from service.rpc.inference import grpc_service_pb2 as pb
from service.rpc.oip import contract, parameters, statistics
from service.rpc.oip.contract import InferenceLimits
from service.rpc.oip.inference import ModelInference
from service.rpc.oip.response import in_band
from service.rpc.oip.stream import InferStream
from service.rpc.single_rows import SingleRows
from service.rpc.status import Context, abort, status_of
from service.serving import Serving
from service.sessions.catalog import Catalog

_EXTENSIONS = (
    "sequence",
    "model_configuration",
    "model_repository",
    "statistics",
    "parameters",
    # Many sequences in one request: ours, see the documentation.
    "statecast_sequences",
)
_VERSION = "statecast_version"
_PACKAGE = "statecast-server"
_Request = TypeVar("_Request", bound=Message)
_Call = Callable[[_Request, Context], Awaitable[Message]]


class InferenceService:
    """See `inference/grpc_service.proto` and docs/open-inference-protocol.md."""

    def __init__(
        self,
        catalog: Catalog,
        serving: Serving,
        rows: Mapping[str, SingleRows],
        limits: InferenceLimits,
        clock: Clock,
    ) -> None:
        """`rows` are the collectors of single rows, by model, that the other services use too."""
        self._catalog, self._serving, self._rows = catalog, serving, rows
        self._limits, self._clock = limits, clock
        self._models: dict[str, ModelInference] = {}
        self._streams: set[InferStream] = set()
        self._is_draining = False

    def handler(self) -> grpc.GenericRpcHandler:  # type: ignore[type-arg]
        """What to add to a server. Requests come as bytes, so that what is none has an answer too."""
        service = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]
        return grpc.method_handlers_generic_handler(
            service.full_name,
            {
                "ServerLive": self._unary(pb.ServerLiveRequest, self._server_live),
                "ServerReady": self._unary(pb.ServerReadyRequest, self._server_ready),
                "ModelReady": self._unary(pb.ModelReadyRequest, self._model_ready),
                "ServerMetadata": self._unary(pb.ServerMetadataRequest, self._server_metadata),
                "ModelMetadata": self._unary(pb.ModelMetadataRequest, self._model_metadata),
                "ModelConfig": self._unary(pb.ModelConfigRequest, self._model_config),
                "ModelInfer": self._unary(pb.ModelInferRequest, self._model_infer),
                "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(self._model_stream_infer),
                "ModelStatistics": self._unary(pb.ModelStatisticsRequest, self._model_statistics),
                "RepositoryIndex": self._unary(pb.RepositoryIndexRequest, self._repository_index),
                "RepositoryModelLoad": self._unary(pb.RepositoryModelLoadRequest, self._load),
                "RepositoryModelUnload": self._unary(pb.RepositoryModelUnloadRequest, self._unload),
            },
        )

    def drain(self) -> None:
        """Read no more requests: streams answer those they have read, and end with UNAVAILABLE."""
        self._is_draining = True
        for stream in self._streams:
            stream.stop_reading()

    def _unary(self, kind: type[_Request], call: "_Call[_Request]") -> "grpc.RpcMethodHandler[Any, Any]":
        @guarded
        async def handle(_service: object, content: bytes, context: Context) -> bytes:
            answer = await call(_parsed(kind, content), context)
            return answer.SerializeToString()

        async def behaviour(content: bytes, context: Context) -> bytes:
            return await handle(self, content, context)

        return grpc.unary_unary_rpc_method_handler(behaviour)

    async def _server_live(self, _request: pb.ServerLiveRequest, _context: Context) -> pb.ServerLiveResponse:
        return pb.ServerLiveResponse(live=True)

    async def _server_ready(
        self, _request: pb.ServerReadyRequest, _context: Context
    ) -> pb.ServerReadyResponse:
        return pb.ServerReadyResponse(ready=not self._is_draining)

    async def _model_ready(self, request: pb.ModelReadyRequest, _context: Context) -> pb.ModelReadyResponse:
        try:
            contract.check_version(self._catalog.worker(request.name), request.version, "version")
        except StatecastError:
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=not self._is_draining)

    async def _server_metadata(
        self, _request: pb.ServerMetadataRequest, _context: Context
    ) -> pb.ServerMetadataResponse:
        version = importlib.metadata.version(_PACKAGE)
        return pb.ServerMetadataResponse(name="statecast", version=version, extensions=_EXTENSIONS)

    async def _model_metadata(
        self, request: pb.ModelMetadataRequest, _context: Context
    ) -> pb.ModelMetadataResponse:
        worker = self._catalog.worker(request.name)
        contract.check_version(worker, request.version, "version")
        return contract.metadata(worker)

    async def _model_config(
        self, request: pb.ModelConfigRequest, _context: Context
    ) -> pb.ModelConfigResponse:
        worker = self._catalog.worker(request.name)
        contract.check_version(worker, request.version, "version")
        return pb.ModelConfigResponse(config=contract.config(worker, self._limits))

    async def _model_infer(self, request: pb.ModelInferRequest, context: Context) -> pb.ModelInferResponse:
        return await self._model(request.model_name).infer(request, deadline_s(context, self._clock))

    async def _model_stream_infer(self, requests: AsyncIterator[bytes], context: Context) -> None:
        until_s = deadline_s(context, self._clock)
        stream = InferStream(lambda content: self._answer(content, until_s), context)
        self._streams.add(stream)
        try:
            await stream.run(requests)
        except StatecastError as error:
            await abort(context, error)
        finally:
            self._streams.discard(stream)

    async def _answer(self, content: bytes, until_s: float) -> bytes:
        """The answer to one request of a stream: what is wrong with it is no other request's matter."""
        request_id = ""
        try:
            request = _parsed(pb.ModelInferRequest, content)
            request_id = request.id
            answer = await self._model(request.model_name).infer(request, until_s)
        except StatecastError as error:
            return _refusal(request_id, error)
        except Exception as error:
            return _refusal(request_id, surprise(error))
        # One answer each, the last at once.
        answer.parameters[parameters.FINAL].bool_param = True
        return pb.ModelStreamInferResponse(infer_response=answer).SerializeToString()

    async def _model_statistics(
        self, request: pb.ModelStatisticsRequest, _context: Context
    ) -> pb.ModelStatisticsResponse:
        workers = [self._catalog.worker(request.name)] if request.name else list(self._catalog)
        told = []
        for worker in workers:
            versions = contract.loaded_versions(worker)
            if request.version:
                versions = [contract.check_version(worker, request.version, "version")]
            known = self._model(worker.model.name)
            told += [
                statistics.message(worker.model.name, version, known.of(version)) for version in versions
            ]
        return pb.ModelStatisticsResponse(model_stats=told)

    async def _repository_index(
        self, request: pb.RepositoryIndexRequest, _context: Context
    ) -> pb.RepositoryIndexResponse:
        _check_repository(request.repository_name)
        index = pb.RepositoryIndexResponse.ModelIndex
        return pb.RepositoryIndexResponse(
            models=[
                index(name=worker.model.name, version=str(version), state="READY")
                for worker in self._catalog
                for version in contract.loaded_versions(worker)
            ]
        )

    async def _load(
        self, request: pb.RepositoryModelLoadRequest, _context: Context
    ) -> pb.RepositoryModelLoadResponse:
        _check_repository(request.repository_name)
        await self._serving.load(request.model_name, _version(request.parameters), None)
        return pb.RepositoryModelLoadResponse()

    async def _unload(
        self, request: pb.RepositoryModelUnloadRequest, _context: Context
    ) -> pb.RepositoryModelUnloadResponse:
        _check_repository(request.repository_name)
        worker = self._catalog.worker(request.model_name)
        await worker.unload(_version(request.parameters) or worker.model.version)
        return pb.RepositoryModelUnloadResponse()

    def _model(self, name: str) -> ModelInference:
        model = self._models.get(name)
        if model is None:
            worker = self._catalog.worker(name)
            model = ModelInference(worker, self._rows[name], self._limits, self._clock)
            self._models[name] = model
        return model


def _parsed(kind: type[_Request], content: bytes) -> _Request:
    try:
        return kind.FromString(content)
    except DecodeError as error:
        expected = f"a {kind.DESCRIPTOR.name}"
        raise InvalidRequest("message", f"{len(content)} bytes that are none", expected) from error


def _refusal(request_id: str, error: StatecastError) -> bytes:
    return pb.ModelStreamInferResponse(
        error_message=in_band(status_of(error).code.name, str(error)),
        infer_response=pb.ModelInferResponse(id=request_id),
    ).SerializeToString()


def _check_repository(name: str) -> None:
    if name:
        raise InvalidRequest("repository_name", repr(name[:64]), "nothing: there is one repository")


def _version(given: Mapping[str, pb.ModelRepositoryParameter]) -> int:
    """The version that the parameters name, 0 for none."""
    version = 0
    for name, parameter in given.items():
        if name == "unload_dependents" and not parameter.bool_param:
            continue
        if name != _VERSION or not parameter.HasField("int64_param") or parameter.int64_param < 1:
            found = f"{name[:64]!r}: {parameter.WhichOneof('parameter_choice')}"
            raise InvalidRequest("parameters", found, f"{_VERSION} (int64_param, from 1 on) alone")
        version = parameter.int64_param
    return version
