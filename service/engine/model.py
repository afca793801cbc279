"""A model that is ready to serve: its manifest, its arena and its runner."""

from dataclasses import dataclass

from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph

from models.frequency import Frequency
from models.manifest import Manifest
from service.engine.arena import Arena
from service.engine.graphs import split
from service.engine.runner import NumpyRunner, Runner
from service.engine.selfcheck import self_check
from service.errors import ModelRefused
from service.repository import LoadedModel


@dataclass(frozen=True)
class ServedModel:
    """One version of a model, on its device, checked."""

    name: str
    version: int
    manifest: Manifest
    frequency: Frequency
    arena: Arena
    runner: Runner


def prepare(loaded: LoadedModel, device: str, intra_op_threads: int) -> ServedModel:
    """Put a model on its device and check that it streams.

    Raises:
        DeviceUnavailable: the device is not there.
        ModelRefused: ONNX Runtime does not take the graph, or the self-check failed.
    """
    manifest = loaded.manifest
    arena = Arena(manifest.states)
    runner = _runner(loaded, arena, device, intra_op_threads)
    if fault := self_check(runner, arena, manifest):
        raise ModelRefused(loaded.file.path, fault)
    frequency = Frequency.parse(manifest.frequency)
    return ServedModel(loaded.file.name, loaded.file.version, manifest, frequency, arena, runner)


def _runner(loaded: LoadedModel, arena: Arena, device: str, intra_op_threads: int) -> Runner:
    try:
        graphs = split(loaded.graph, loaded.manifest)
        return NumpyRunner(graphs, loaded.manifest, arena, device, intra_op_threads)
    except (Fail, InvalidArgument, InvalidGraph) as error:
        raise ModelRefused(loaded.file.path, f"ONNX Runtime refuses the graph: {error}") from error
