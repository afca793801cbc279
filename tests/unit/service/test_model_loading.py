"""The repository, and the files that must not load."""

import numpy as np
import onnx
import pytest
from onnx import helper

from models.artifact import MANIFEST_KEY, digest, seal, unseal
from service.engine.model import prepare
from service.engine.providers import open_session
from service.engine.resident_runner import ResidentRunner
from service.engine.runner import NumpyRunner
from service.errors import DeviceUnavailable, ModelRefused, StartupError
from service.repository import latest_versions, load
from tests.model_files import write_model


def _prepare(repository):
    return [prepare(load(str(repository), file), "cpu", 1, 100) for file in latest_versions(str(repository))]


def _rewrite(path, change):
    """Damage a file and seal it again, so that only the damage is wrong with it."""
    model, manifest = unseal(path.read_bytes())
    change(model)
    del model.metadata_props[:]
    path.write_bytes(seal(model, manifest.model_copy(update={"digest": digest(model)})))


def test_the_highest_version_is_served(tmp_path):
    """Versions are numbers: 10 comes after 9; folders that are no versions are left alone."""
    for version in (9, 10):
        write_model(tmp_path, "m", version=version)
    (tmp_path / "m" / "draft").mkdir()
    (tmp_path / "m" / "draft" / "model.onnx").write_bytes(b"not yet")
    assert [(model.name, model.version) for model in _prepare(tmp_path)] == [("m", 10)]


def test_a_repository_may_be_a_url(tmp_path):
    """Any fsspec address works, not only a path."""
    write_model(tmp_path, "m")
    (file,) = latest_versions(f"file://{tmp_path}")
    assert load(f"file://{tmp_path}", file).manifest.name == "m"


@pytest.mark.parametrize("make", [lambda path: path / "absent", lambda path: path])
def test_a_repository_without_models_is_refused(make, tmp_path):
    """The message names the repository."""
    with pytest.raises(StartupError, match=str(tmp_path)):
        latest_versions(str(make(tmp_path)))


def test_a_loaded_model_starts_from_the_initial_state(tmp_path):
    """The self-check's sessions are gone when the first caller comes."""
    manifest = write_model(tmp_path, "m")
    (model,) = _prepare(tmp_path)
    states = model.runner.states(np.arange(10))
    for spec in manifest.states:
        assert (states[spec.name] == spec.initial).all()


def test_more_sessions_than_there_is_memory_for_are_refused(tmp_path):
    """The arena is laid out at load, so a wrong bound shows there, with the setting's name."""
    write_model(tmp_path, "m")
    (file,) = latest_versions(str(tmp_path))
    with pytest.raises(ModelRefused, match=r"1000000000000000 sessions of \d+ bytes \(max_sessions\)"):
        prepare(load(str(tmp_path), file), "cpu", 1, 10**15)


def test_the_resident_runner_serves_where_it_agrees_with_the_plain_one(tmp_path):
    """On the CPU states are stepped in place."""
    write_model(tmp_path, "m")
    (model,) = _prepare(tmp_path)
    assert isinstance(model.runner, ResidentRunner)


def test_where_in_place_steps_differ_numpy_serves(tmp_path, monkeypatch):
    """A runtime that copied the arena would lose states: the check at load sees it."""

    def forgets(self, slots, rows, reply):
        before = self.states(slots)
        forecasts = ResidentRunner.step(self, slots, rows, reply)
        self._arena.scatter(slots, before)
        return forecasts

    class Forgetful(ResidentRunner):
        step = forgets

    monkeypatch.setattr("service.engine.model.ResidentRunner", Forgetful)
    write_model(tmp_path, "m")
    (model,) = _prepare(tmp_path)
    assert isinstance(model.runner, NumpyRunner)


def _swap_states(model: onnx.ModelProto) -> None:
    """The next hidden is the cell and the next cell the hidden: shapes and names agree, meanings do not."""
    for node in model.graph.node:
        swap = {"hidden_0_next": "cell_0_next", "cell_0_next": "hidden_0_next"}
        node.output[:] = [swap.get(name, name) for name in node.output]


def _scale_read_out(model: onnx.ModelProto) -> None:
    """The read-out says twice what the forecast says."""
    for node in model.graph.node:
        node.output[:] = ["halved" if name == "read_out" else name for name in node.output]
    model.graph.node.append(helper.make_node("Add", ["halved", "halved"], ["read_out"]))


def _drop_operator(model: onnx.ModelProto) -> None:
    """An operator that no runtime knows."""
    next(node for node in model.graph.node if node.op_type == "LSTM").op_type = "LSTN"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_swap_states, "self-check"),
        (_scale_read_out, "self-check: the read-out"),
        (_drop_operator, "ONNX Runtime refuses the graph"),
    ],
)
def test_a_graph_that_does_not_stream_is_refused(change, reason, tmp_path):
    """A file that is whole but wrong does not load, and the message names the file and why."""
    write_model(tmp_path, "m")
    _rewrite(tmp_path / "m" / "1" / "model.onnx", change)
    with pytest.raises(ModelRefused, match=reason) as caught:
        _prepare(tmp_path)
    assert caught.value.path.endswith("m/1/model.onnx")


def _without_manifest(content):
    model = onnx.load_model_from_string(content)
    del model.metadata_props[:]
    return model.SerializeToString()


def _with_manifest(content, old, new):
    model = onnx.load_model_from_string(content)
    (prop,) = model.metadata_props
    assert prop.key == MANIFEST_KEY
    assert old in prop.value
    prop.value = prop.value.replace(old, new)
    return model.SerializeToString()


def _with_other_weights(content):
    model = onnx.load_model_from_string(content)
    weights = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    weights.raw_data = bytes(len(weights.raw_data))
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: b"PK\x03\x04 not onnx", "not an ONNX file|no manifest"),
        (lambda content: content[: len(content) // 2], "not an ONNX file"),
        (_without_manifest, "no manifest"),
        (_with_other_weights, "digest: manifest says"),
        (lambda content: _with_manifest(content, '"horizon":4', '"horizon":5'), "output forecast: expected"),
        (lambda content: _with_manifest(content, '"horizon":4', '"horizon":0'), "manifest field horizon"),
        (lambda content: _with_manifest(content, '"name":"hidden_0"', '"name":"hidden_9"'), "graph inputs"),
    ],
)
def test_a_damaged_file_is_refused(damage, reason, tmp_path):
    """The message names the file and the first thing that is wrong."""
    write_model(tmp_path, "m")
    path = tmp_path / "m" / "1" / "model.onnx"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelRefused, match=reason):
        _prepare(tmp_path)


def test_a_device_that_is_not_there_is_never_replaced(lstm_file):
    """Asked for CUDA without it, the server stops and says what to install."""
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has the CUDA provider")
    with pytest.raises(DeviceUnavailable, match="serve-cuda"):
        open_session(lstm_file[0], "cuda", 1)
