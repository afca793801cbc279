"""Triton's perf_analyzer drives sequences, as it is: sync, async and streaming."""

import itertools
import json
import re

import numpy as np
import onnxruntime
import pytest

from models.artifact import FORECAST, ROWS, next_name, unseal
from tests.triton import perf_analyzer

NUM_SEQUENCES, NUM_STEPS = 8, 5
_first_ids = itertools.count(1, 1000)


@pytest.mark.parametrize("mode", ["--sync", "--async", "--streaming"])
def test_every_mode_of_sequences_runs(server, repository, tmp_path, mode):
    """Every request is answered and counted, and the tool finds each position to be the expected one."""
    report = _run(server, repository, tmp_path, mode, "4", _positions)
    assert _number(report, "Request count") == 200
    assert _number(report, "Sequence count") >= 200 // NUM_STEPS
    # It asks for the server's counts while its first and last requests may be under way.
    assert _number(report, "Successful request count") >= 180
    assert _number(report, "Inference count") >= 180


def test_replies_are_those_of_onnx_runtime_to_the_last_bit_where_steps_go_alone(server, repository, tmp_path):
    """The tool compares bytes; a step that shares no batch is computed as ONNX Runtime alone does it."""
    assert _number(_run(server, repository, tmp_path, "--streaming", "1", _forecasts), "Request count") == 200


def _run(server, repository, tmp_path, mode, concurrency, expected):
    """The tool's report of 200 requests."""
    content = (repository / "gru" / "1" / "model.onnx").read_bytes()
    # Whole numbers: the tool reads its file as text.
    series = np.random.default_rng(0).integers(-20, 20, (NUM_SEQUENCES, NUM_STEPS, 1)).astype(np.float64)
    steps = [[{"x": {"content": row.tolist(), "shape": [1, 1]}} for row in rows] for rows in series]
    file = tmp_path / "series.json"
    file.write_text(
        json.dumps({"data": steps, "validation_data": [expected(content, rows) for rows in series]})
    )
    first = next(_first_ids)
    done = perf_analyzer(
        *("-m", "gru", "-u", server.address, "-i", "grpc", mode, "--shape", "x:1,1"),
        *("--input-data", str(file), "--sequence-id-range", f"{first}:{first + 900}"),
        *("--concurrency-range", concurrency, "--request-count", "200"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _positions(_content, rows):
    return [{"positions": [step + 1]} for step in range(len(rows))]


def _forecasts(content, rows):
    """After each row, the session stepped row by row."""
    manifest = unseal(content)[1]
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    states = {state.name: np.full((1, *state.shape), state.initial, state.dtype) for state in manifest.states}
    expected = []
    for row in rows:
        forecast, *after = session.run([FORECAST, *map(next_name, states)], {ROWS: row[None, None], **states})
        states = dict(zip(states, after, strict=True))
        values = np.asarray(forecast[0, 0], np.float64)
        expected.append({"forecast": {"content": values.ravel().tolist(), "shape": list(values.shape)}})
    return expected


def _number(report, name):
    found = re.search(rf"{name}: (\d+)", report)
    assert found, report
    return int(found[1])
