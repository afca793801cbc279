"""A model that is ready to serve: its manifest and its runner."""

from dataclasses import dataclass

import structlog
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NotImplemented,
    RuntimeException,
)

from models.frequency import Frequency
from models.manifest import Manifest
from service.engine import selfcheck, threads
from service.engine.arena import Arena
from service.engine.graphs import Graphs, split
from service.engine.memory import MEMORIES
from service.engine.resident_arena import ResidentArena
from service.engine.resident_runner import ResidentRunner
from service.engine.runner import NumpyRunner, Runner
from service.errors import ModelRefused
from service.repository import LoadedModel

_log = structlog.get_logger()

# What ONNX Runtime says of a graph that it cannot run.
_REFUSALS = (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NotImplemented, RuntimeException)


@dataclass(frozen=True)
class ServedModel:
    """One version of a model, on its device, checked; room for `capacity` sessions."""

    name: str
    version: int
    manifest: Manifest
    frequency: Frequency
    capacity: int
    runner: Runner
    intra_op_threads: int = 1


def prepare(loaded: LoadedModel, device: str, intra_op_threads: int, capacity: int) -> ServedModel:
    """Put a model on its device and check that it streams.

    Args:
        loaded: as it came from the repository.
        device: cpu or cuda.
        intra_op_threads: of an operator on the CPU; 0 measures how many are fastest.
        capacity: sessions that there is to be room for.

    Raises:
        DeviceUnavailable: the device is not there.
        ModelRefused: ONNX Runtime does not take the graph, or the self-check failed.
    """
    manifest = loaded.manifest
    try:
        graphs = _split(loaded)
        num_threads = intra_op_threads or (
            threads.choose(graphs.forecast, manifest) if device == "cpu" else 1
        )
        runner = _runner(graphs, loaded, device, num_threads, capacity)
    except _REFUSALS as error:
        raise ModelRefused(loaded.file.path, f"ONNX Runtime refuses the graph: {error}") from error
    except MemoryError as error:
        needed = f"{capacity} sessions of {manifest.state_bytes} bytes (max_sessions)"
        raise ModelRefused(loaded.file.path, f"there is no memory for {needed}") from error
    frequency = Frequency.parse(manifest.frequency)
    name, version = loaded.file.name, loaded.file.version
    return ServedModel(name, version, manifest, frequency, capacity, runner, num_threads)


def _split(loaded: LoadedModel) -> Graphs:
    try:
        return split(loaded.graph, loaded.manifest)
    except Exception as error:  # a graph from elsewhere breaks onnx's tools in ways of its own
        raise ModelRefused(loaded.file.path, f"its graph cannot be cut: {error}") from error


def _runner(graphs: Graphs, loaded: LoadedModel, device: str, intra_op_threads: int, capacity: int) -> Runner:
    """The resident runner where it computes what the plain one does, else the plain one."""
    manifest, memory = loaded.manifest, MEMORIES[device]
    num_checked = selfcheck.num_sessions(memory.fixed_sizes)
    reference = NumpyRunner(graphs, manifest, Arena(manifest.states, num_checked), device, intra_op_threads)
    if fault := selfcheck.streams(reference, manifest):
        raise ModelRefused(loaded.file.path, fault)
    capacity = max(capacity, num_checked)
    arena = ResidentArena(manifest, capacity, memory, intra_op_threads)
    resident = ResidentRunner(graphs, manifest, arena)
    if selfcheck.agree(resident, reference, manifest, memory.fixed_sizes):
        return resident
    _log.warning("states are gathered by numpy: in-place steps differ", model=loaded.file.name)
    return NumpyRunner(graphs, manifest, Arena(manifest.states, capacity), device, intra_op_threads)
