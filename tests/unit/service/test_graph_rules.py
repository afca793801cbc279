"""Model files from elsewhere: what they may not hold, and that none of it reaches ONNX Runtime."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models import graph_rules
from models.artifact import MANIFEST_KEY, digest, seal, unseal
from service.engine.model import prepare
from service.errors import ModelRefused
from service.repository import latest_versions, load
from tests.model_files import write_model


def written(folder, change):
    """A file that is wrong in one way only: damaged, then sealed again."""
    write_model(folder, "m")
    path = folder / "m" / "1" / "model.onnx"
    model, manifest = unseal(path.read_bytes())
    change(model)
    del model.metadata_props[:]
    path.write_bytes(seal(model, manifest.model_copy(update={"digest": digest(model)})))
    return path


def refusal(folder):
    """Why the only model of a repository is not loaded."""
    (file,) = latest_versions(str(folder))
    with pytest.raises(ModelRefused) as caught:
        prepare(load(str(folder), file), "cpu", 1, 100)
    return caught.value.reason


def outside(tensor, location):
    """Weights that lie in a file."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)


def subgraph(model, node):
    """A node inside an If, inside a function."""
    inside = helper.make_graph(
        [node], "inside", [], [helper.make_tensor_value_info("o", TensorProto.FLOAT, [1])]
    )
    branch = helper.make_node("If", ["c"], ["o"], then_branch=inside, else_branch=inside)
    function = helper.make_function("own", "F", ["c"], ["o"], [branch], [helper.make_opsetid("", 20)])
    model.functions.append(function)


@pytest.mark.parametrize("location", ["../../../etc/passwd", "/etc/passwd", "weights.bin", ""])
def test_weights_in_another_file_are_refused(location, tmp_path):
    """Wherever it lies: a model is one file."""
    written(tmp_path, lambda model: outside(model.graph.initializer[0], location))
    assert f"all weights in model.onnx itself, found them in {location!r}" in refusal(tmp_path)


def test_weights_in_another_file_are_refused_deep_inside(tmp_path):
    """In a constant of a graph inside a function as well."""
    tensor = numpy_helper.from_array(np.zeros(1, np.float32), "w")
    outside(tensor, "/etc/passwd")
    node = helper.make_node("Constant", [], ["o"], value=tensor)
    written(tmp_path, lambda model: subgraph(model, node))
    assert "'/etc/passwd'" in refusal(tmp_path)


@pytest.mark.parametrize("domain", ["com.microsoft", "ai.onnx.contrib", "elsewhere"])
def test_operators_that_are_none_of_onnxs_are_refused(domain, tmp_path):
    """In the graph, and in one inside it."""
    node = helper.make_node("PyOp", ["x"], ["y"], domain=domain, name="evil")

    def add(model):
        model.graph.node.append(node)
        model.opset_import.append(helper.make_opsetid(domain, 1))

    written(tmp_path / "a", add)
    assert f"'evil': expected an operator of ONNX, found {domain}.PyOp" in refusal(tmp_path / "a")
    written(tmp_path / "b", lambda model: subgraph(model, node))
    assert f"found {domain}.PyOp" in refusal(tmp_path / "b")


def test_a_graph_that_makes_much_of_nothing_is_refused(tmp_path):
    """Some bytes that would become terabytes while the graph is loaded."""

    def add(model):
        model.graph.initializer.append(numpy_helper.from_array(np.array([1 << 40]), "many"))
        model.graph.node.append(helper.make_node("ConstantOfShape", ["many"], ["y"], name="bomb"))

    written(tmp_path, add)
    assert f"'bomb': expected at most {graph_rules.MAX_MADE} numbers, found {1 << 40}" in refusal(tmp_path)


def test_oversized_graphs_are_refused(tmp_path):
    """Too many nodes, or graphs inside graphs inside graphs."""

    def nodes(model):
        one = helper.make_node("Identity", ["x"], ["y"])
        model.graph.node.extend([one] * (graph_rules.MAX_NODES + 1))

    def depth(model):
        graph = onnx.GraphProto()
        for _ in range(graph_rules.MAX_DEPTH + 2):
            outer = onnx.GraphProto(name="g")
            outer.node.append(helper.make_node("Loop", [], [], body=graph))
            graph = outer
        model.graph.node.extend(graph.node)

    written(tmp_path / "a", nodes)
    assert "at most 100000 nodes" in refusal(tmp_path / "a")
    written(tmp_path / "b", depth)
    assert "at most 8 graphs inside one another" in refusal(tmp_path / "b")


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    """By its size alone."""
    path = tmp_path / "m" / "1" / "model.onnx"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.truncate(1 << 32)
    assert "expected at most 1073741824 bytes (max_model_bytes), found 4294967296" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"horizon": 1 << 30}, "numbers in a forecast"),
        ({"states": [{"name": "h", "shape": [1 << 40], "dtype": "float32"}]}, "bytes of state"),
        ({"features": [{"name": f"f{n}"} for n in range(5000)]}, "numbers in a row"),
    ],
)
def test_a_manifest_that_would_set_much_aside_is_refused(changes, what, tmp_path):
    """Before anything is set aside: `seal` itself would find the graph to differ."""
    manifest = write_model(tmp_path, "m")
    path = tmp_path / "m" / "1" / "model.onnx"
    model, _ = unseal(path.read_bytes())
    larger = type(manifest).model_validate(manifest.model_dump(mode="json") | changes)
    with pytest.raises(Exception, match=f"expected at most .* {what}, found"):
        graph_rules.check_size(larger)
    del model.metadata_props[:]
    model.metadata_props.add(key=MANIFEST_KEY, value=larger.model_dump_json())
    path.write_bytes(model.SerializeToString())
    assert refusal(tmp_path)


def test_a_graph_that_does_not_hang_together_is_refused_in_words(tmp_path):
    """A node without its input: whatever breaks over it, the file is what is wrong."""

    def cut(model):
        del model.graph.node[len(model.graph.node) // 2]

    written(tmp_path, cut)
    assert refusal(tmp_path)
