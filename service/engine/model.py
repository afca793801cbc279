"""A model that is ready to serve: its manifest and its runner."""

from dataclasses import dataclass

import structlog
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph

from models.frequency import Frequency
from models.manifest import Manifest
from service.engine import selfcheck
from service.engine.arena import Arena
from service.engine.graphs import Graphs, split
from service.engine.resident_runner import ResidentRunner
from service.engine.runner import NumpyRunner, Runner
from service.errors import ModelRefused
from service.repository import LoadedModel

_log = structlog.get_logger()

# The self-check's own sessions.
_LEAST_CAPACITY = 6


@dataclass(frozen=True)
class ServedModel:
    """One version of a model, on its device, checked; room for `capacity` sessions."""

    name: str
    version: int
    manifest: Manifest
    frequency: Frequency
    capacity: int
    runner: Runner


def prepare(loaded: LoadedModel, device: str, intra_op_threads: int, capacity: int) -> ServedModel:
    """Put a model on its device and check that it streams.

    Raises:
        DeviceUnavailable: the device is not there.
        ModelRefused: ONNX Runtime does not take the graph, or the self-check failed.
    """
    manifest = loaded.manifest
    try:
        graphs = split(loaded.graph, manifest)
        runner = _runner(graphs, loaded, device, intra_op_threads, max(capacity, _LEAST_CAPACITY))
    except (Fail, InvalidArgument, InvalidGraph) as error:
        raise ModelRefused(loaded.file.path, f"ONNX Runtime refuses the graph: {error}") from error
    except MemoryError as error:
        needed = f"{capacity} sessions of {manifest.state_bytes} bytes (max_sessions)"
        raise ModelRefused(loaded.file.path, f"there is no memory for {needed}") from error
    frequency = Frequency.parse(manifest.frequency)
    return ServedModel(loaded.file.name, loaded.file.version, manifest, frequency, capacity, runner)


def _runner(graphs: Graphs, loaded: LoadedModel, device: str, intra_op_threads: int, capacity: int) -> Runner:
    """The resident runner where it computes what the plain one does, else the plain one."""
    manifest = loaded.manifest
    reference = NumpyRunner(
        graphs, manifest, Arena(manifest.states, _LEAST_CAPACITY), device, intra_op_threads
    )
    if fault := selfcheck.streams(reference, manifest):
        raise ModelRefused(loaded.file.path, fault)
    arena = Arena(manifest.states, capacity)
    if device == "cpu":
        resident = ResidentRunner(graphs, manifest, arena, intra_op_threads)
        if selfcheck.agree(resident, reference, manifest):
            return resident
        _log.warning("states are gathered by numpy: in-place steps differ", model=loaded.file.name)
    return NumpyRunner(graphs, manifest, arena, device, intra_op_threads)
