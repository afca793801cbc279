"""The three graphs that one model file holds, each cut to what it is asked for."""

from dataclasses import dataclass

import onnx
from onnx.utils import Extractor

from models.artifact import FORECAST, READ_OUT, ROWS, next_name
from models.manifest import Manifest


@dataclass(frozen=True)
class Graphs:
    """Serialised ONNX models, cut from one file by the names of their inputs and outputs.

    Attributes:
        advance: rows, states -> next states. Observing pays for the recurrent step alone.
        forecast: rows, states -> a forecast after each row, next states.
        read_out: states -> the forecast of the state as it stands.
    """

    advance: bytes
    forecast: bytes
    read_out: bytes


def split(graph: onnx.ModelProto, manifest: Manifest) -> Graphs:
    """Cut the graph of a model file into the three that a server runs."""
    states = [state.name for state in manifest.states]
    next_states = [next_name(name) for name in states]
    cut = Extractor(graph)
    return Graphs(
        advance=cut.extract_model([ROWS, *states], next_states).SerializeToString(),
        forecast=cut.extract_model([ROWS, *states], [FORECAST, *next_states]).SerializeToString(),
        read_out=cut.extract_model(states, [READ_OUT]).SerializeToString(),
    )
