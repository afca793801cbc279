"""A model file written by hand whose forecast says what its graph was given."""

from datetime import UTC, datetime

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.artifact import digest, seal
from models.manifest import FeatureSpec, Manifest, StateSpec, TrainingSummary

HORIZON, LEVELS = 3, (0.1, 0.5, 0.9)
FEATURES = (
    FeatureSpec(name="y"),
    FeatureSpec(name="promo", role="future"),
    FeatureSpec(name="shop", role="static", categories=("Ulm", "Kiel")),
)
HOUR_US = 3_600_000_000
# What is told of a value that was missing.
MISSING = -1.0


def write_echo(repository, name="echo", version=1, *, reads_time=True):
    """Write such a model; another version has another digest.

    The (3, 3) numbers of a forecast are the newest row (y, promo, shop, promo at the three steps to come,
    its time in hours since 1970), how many rows were stepped in all, and how many of them had no time.
    """
    graph = onnx.helper.make_model(_graph(version, reads_time), opset_imports=[helper.make_opsetid("", 20)])
    graph.ir_version = 10
    day = datetime(2024, 1, 1, tzinfo=UTC)
    manifest = Manifest(
        name=name,
        digest=digest(graph),
        cell="echo",
        features=FEATURES,
        reads_time=reads_time,
        frequency="h",
        season_length=24,
        horizon=HORIZON,
        quantile_levels=LEVELS,
        states=(StateSpec(name="row", shape=(9,), dtype="float64"),),
        opset=20,
        training=TrainingSummary(num_series=1, num_rows=1, num_missing=0, first_time=day, last_time=day),
        backtest={},
        parity_error=0.0,
    )
    path = repository / name / str(version) / "model.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(seal(graph, manifest))
    return manifest


def _graph(version, reads_time):
    width = 7 if reads_time else 6
    constants = {
        "scale": np.array([1.0] * 6 + [1 / HOUR_US] * reads_time),
        "missing": np.array(MISSING),
        "zero": np.array(0.0),
        "one": np.array(1.0),
        "time_axis": np.array([1]),
        "first": np.array([-1]),
        "end": np.array([2**31]),
        "counts_from": np.array([7]),
        "values_axis": np.array([2]),
        "state_axis": np.array([1]),
        "cells": np.array([0, 0, 3, 3]),
        "state_cells": np.array([0, 3, 3]),
        "axis": np.array(1),
    }
    node = helper.make_node
    nodes = [
        node("IsNaN", ["x"], ["is_missing"]),
        node("Mul", ["x", "scale"], ["scaled"]),
        node("Where", ["is_missing", "missing", "scaled"], ["told"]),
        node("Slice", ["is_missing", "first", "end", "values_axis"], ["has_no_time"]),
        node("Cast", ["has_no_time"], ["timeless"], to=TensorProto.DOUBLE),
        node("Mul", ["timeless", "zero"], ["nothing"]),
        node("Add", ["nothing", "one"], ["each"]),
        node("Concat", ["each", "timeless"], ["counted"], axis=2),
        node("CumSum", ["counted", "axis"], ["since"]),
        node("Slice", ["row", "counts_from", "end", "state_axis"], ["before"]),
        node("Unsqueeze", ["before", "time_axis"], ["before_all"]),
        node("Add", ["since", "before_all"], ["counts"]),
        node("Concat", ["told", *([] if reads_time else ["nothing"]), "counts"], ["rows"], axis=2),
        node("Reshape", ["rows", "cells"], ["wide"]),
        node("Cast", ["wide"], ["forecast"], to=TensorProto.FLOAT),
        node("Slice", ["rows", "first", "end", "time_axis"], ["newest"]),
        node("Squeeze", ["newest", "time_axis"], ["row_next"]),
        node("Reshape", ["row", "state_cells"], ["standing"]),
        node("Cast", ["standing"], ["read_out"], to=TensorProto.FLOAT),
    ]
    make = helper.make_tensor_value_info
    return helper.make_graph(
        nodes,
        f"echo{version}",
        [
            make("x", TensorProto.DOUBLE, ["batch", "time", width]),
            make("row", TensorProto.DOUBLE, ["batch", 9]),
        ],
        [
            make("forecast", TensorProto.FLOAT, ["batch", "time", 3, 3]),
            make("read_out", TensorProto.FLOAT, ["batch", 3, 3]),
            make("row_next", TensorProto.DOUBLE, ["batch", 9]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
