"""The resident runner and its arena: the same tests wherever the states lie."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from models.artifact import FORECAST, READ_OUT, ROWS, unseal
from models.manifest import StateSpec
from service.engine.arena import Arena
from service.engine.graphs import split
from service.engine.memory import MEMORIES, Memory
from service.engine.resident import BATCH, resident
from service.engine.resident_arena import ResidentArena
from service.engine.resident_runner import ResidentRunner
from service.engine.runner import NumpyRunner, Reply
from tests.reference import assert_close

# Padding and the rehearsal of captured graphs work alike on a CPU, where a graph is only never captured.
PLACES = {
    "cpu": MEMORIES["cpu"],
    "cpu, padded": Memory("cpu", fixed_sizes=(2, 4, 16)),
    "cpu, rehearsed": Memory("cpu", fixed_sizes=(1, 4), captures=True),
    "cuda": MEMORIES["cuda"],
}
CAPACITY = 40


@pytest.fixture(scope="module", params=PLACES)
def memory(request):
    """Where the states lie."""
    place = PLACES[request.param]
    if place.device == "cuda" and "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has no CUDAExecutionProvider")
    return place


@pytest.fixture(scope="module", params=["lstm_file", "gru_file"])
def model(request):
    """Graphs and manifest."""
    content, manifest = request.getfixturevalue(request.param)
    return split(unseal(content)[0], manifest), manifest


@pytest.fixture(scope="module")
def arena(model, memory):
    """Room for `CAPACITY` sessions."""
    return ResidentArena(model[1], CAPACITY, memory, 1)


@pytest.fixture(scope="module")
def opened(model, arena):
    """A resident runner on that arena; opening its graphs takes most of these tests' time."""
    graphs, manifest = model
    return ResidentRunner(graphs, manifest, arena)


@pytest.fixture
def runner(opened):
    """The same with all sessions in the initial state."""
    opened.reset(np.arange(CAPACITY))
    return opened


@pytest.fixture(scope="module")
def plain(model):
    """The plain runner of the same model."""
    graphs, manifest = model
    return NumpyRunner(graphs, manifest, Arena(manifest.states, CAPACITY), "cpu", 1)


@pytest.fixture
def reference(plain):
    """The same with all sessions in the initial state."""
    plain.reset(np.arange(CAPACITY))
    return plain


def _rows(random, batch, time, num_features=2):
    rows = 100.0 + 10.0 * random.standard_normal((batch, time, num_features))
    rows[random.random(rows.shape) < 0.2] = np.nan
    return rows


def _assert_same_states(found, expected):
    everything = np.arange(CAPACITY)
    states = found.states(everything)
    for name, state in expected.states(everything).items():
        assert_close(states[name], state)


def test_any_batch_does_what_the_plain_runner_does(runner, reference):
    """Batches of every size, of one row and of several, in any order of slots; other slots stay."""
    random = np.random.default_rng(1)
    for batch in [1, 3, 4, 17, 1, 2, CAPACITY, 5, 16, 1]:
        for time, reply in [(1, Reply.LAST), (1, Reply.EACH), (1, Reply.NONE), (3, Reply.LAST)]:
            slots = random.permutation(CAPACITY)[:batch]
            rows = _rows(random, batch, time)
            found, expected = runner.step(slots, rows, reply), reference.step(slots, rows, reply)
            assert (found is None) == (reply is Reply.NONE)
            if found is not None:
                assert found.dtype == np.float32
                assert_close(found, expected)
        assert_close(runner.read_out(slots), reference.read_out(slots))
        _assert_same_states(runner, reference)


def test_each_and_none_of_a_history_do_what_the_plain_runner_does(runner, reference):
    """A forecast after every row of many, or none."""
    random = np.random.default_rng(2)
    slots = np.array([7, 3])
    for reply in (Reply.EACH, Reply.NONE):
        rows = _rows(random, 2, 6)
        found, expected = runner.step(slots, rows, reply), reference.step(slots, rows, reply)
        if reply is Reply.EACH:
            assert found.shape == (2, 6, *expected.shape[2:])
            assert_close(found, expected)
    _assert_same_states(runner, reference)


def test_results_outlive_later_runs(runner):
    """Forecasts and states of a batch are the caller's own: the next batch does not write into them."""
    random = np.random.default_rng(3)
    calls = [
        lambda: runner.step(np.array([5]), _rows(random, 1, 1), Reply.LAST),
        lambda: runner.step(np.array([5, 6, 7]), _rows(random, 3, 1), Reply.EACH),
        lambda: runner.read_out(np.array([5])),
        lambda: next(iter(runner.states(np.array([5])).values())),
    ]
    for call in calls:
        first = call()
        kept = first.copy()
        runner.step(np.array([5]), _rows(random, 1, 1), Reply.LAST)
        second = call()
        assert (second != kept).any()
        assert (first == kept).all()
        first[:] = 0.0
        assert_close(runner.read_out(np.array([5])), runner.read_out(np.array([5])))


def test_rows_may_lie_anyhow(runner, reference):
    """Rows that are a view with gaps give what their copy gives, and are not changed."""
    random = np.random.default_rng(4)
    wide = _rows(random, 6, 5)
    before = wide.copy()
    rows = wide[::2, 1:2]
    slots = np.array([1, 2, 3])
    assert_close(runner.step(slots, rows, Reply.LAST), reference.step(slots, rows.copy(), Reply.LAST))
    assert np.array_equal(wide, before, equal_nan=True)


def test_a_reset_session_begins_anew(runner, reference):
    """Only the slots named go back to the initial state."""
    random = np.random.default_rng(5)
    everything, rows = np.arange(CAPACITY), _rows(random, CAPACITY, 4)
    for one in (runner, reference):
        one.step(everything, rows, Reply.NONE)
        one.reset(np.array([9]))
        one.reset(np.array([30, 2, 11]))
    _assert_same_states(runner, reference)
    for state in runner.states(np.array([2, 9, 11, 30])).values():
        assert not state.any()


def test_padding_steps_no_session(runner, arena):
    """Of slots that hold what no step would make, only those stepped change."""
    everything, stepped = np.arange(CAPACITY), np.array([0, 13, CAPACITY - 1])
    marks = {name: np.full_like(state, 0.25) for name, state in arena.gather(everything).items()}
    arena.scatter(everything, marks)
    runner.step(stepped, np.full((3, 1, 2), 7.0), Reply.LAST)
    untouched = np.setdiff1d(everything, stepped)
    after = arena.gather(everything)
    for name, marked in marks.items():
        assert (after[name][untouched] == marked[untouched]).all()
        assert (after[name][stepped] != marked[stepped]).any()


def test_an_arena_begins_with_the_initial_state(model, memory):
    """Also where that is not zero, for slots that nobody ever reset."""
    _, manifest = model
    specs = (
        StateSpec(name="h", shape=(2, 3), dtype="float32"),
        StateSpec(name="scale", shape=(1,), dtype="float64", initial=1.5),
        StateSpec(name="count", shape=(), dtype="int64", initial=-1),
    )
    arena = ResidentArena(manifest.model_copy(update={"states": specs}), 4, memory, 1)
    for slots in (np.array([0, 3]), np.array([1])):
        fresh = arena.gather(slots)
        assert fresh["h"].shape == (len(slots), 2, 3)
        assert (fresh["scale"] == 1.5).all()
        assert (fresh["count"] == -1).all()
    other = {name: np.ones_like(state) * 3 for name, state in arena.gather(np.array([1, 2])).items()}
    arena.scatter(np.array([1, 2]), other)
    arena.reset(np.array([2]))
    states = arena.gather(np.arange(4))
    assert states["scale"][:, 0].tolist() == [1.5, 3.0, 1.5, 1.5]
    assert states["count"].tolist() == [-1, 3, -1, -1]
    arena.check_integrity()


def _embedding(manifest):
    """A model that counts rows, then looks its row's value up in a table of three."""
    states = (
        StateSpec(name="first", shape=(1,), dtype="float64"),
        # Of another dtype, so that it lies in another record.
        StateSpec(name="second", shape=(1,), dtype="float32"),
    )
    horizon, levels = manifest.horizon, len(manifest.quantile_levels)
    make, node = helper.make_tensor_value_info, helper.make_node
    constants = [
        helper.make_tensor("table", TensorProto.FLOAT, [3], [10.0, 20.0, 30.0]),
        helper.make_tensor("time", TensorProto.INT64, [1], [1]),
        helper.make_tensor("one", TensorProto.DOUBLE, [1], [1.0]),
        helper.make_tensor("shape", TensorProto.INT64, [4], [1, 1, horizon, levels]),
        helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3]),
    ]
    nodes = [
        node("Add", ["first", "one"], ["first_next"]),
        node("Cast", [ROWS], ["keys"], to=TensorProto.INT64),
        node("Gather", ["table", "keys"], ["found"]),
        node("ReduceSum", ["found", "time"], ["total"], keepdims=0),
        node("Add", ["second", "total"], ["second_next"]),
        node("Unsqueeze", ["found", "axes"], ["spread_out"]),
        node("Squeeze", ["spread_out", "axis_4"], ["spread"]),
        node("Expand", ["spread", "shape"], [FORECAST]),
        node("Unsqueeze", ["second", "time"], ["deep"]),
        node("Expand", ["deep", "read_shape"], [READ_OUT]),
    ]
    constants += [
        helper.make_tensor("axis_4", TensorProto.INT64, [1], [4]),
        helper.make_tensor("read_shape", TensorProto.INT64, [3], [1, horizon, levels]),
    ]
    batch, time = "b", "t"
    graph = helper.make_graph(
        nodes,
        "embedding",
        [
            make(ROWS, TensorProto.DOUBLE, [batch, time, 1]),
            make("first", TensorProto.DOUBLE, [batch, 1]),
            make("second", TensorProto.FLOAT, [batch, 1]),
        ],
        [
            make(FORECAST, TensorProto.FLOAT, [batch, time, horizon, levels]),
            make(READ_OUT, TensorProto.FLOAT, [batch, horizon, levels]),
            make("first_next", TensorProto.DOUBLE, [batch, 1]),
            make("second_next", TensorProto.FLOAT, [batch, 1]),
        ],
        constants,
    )
    opset = [helper.make_opsetid("", 20)]
    features = manifest.features[:1]
    return (
        helper.make_model(graph, opset_imports=opset, ir_version=10),
        manifest.model_copy(update={"states": states, "features": features}),
    )


@pytest.mark.parametrize("reply", list(Reply))
@pytest.mark.parametrize(("batch", "time"), [(1, 1), (3, 1), (1, 4), (3, 4)])
def test_a_run_that_fails_half_way_writes_nothing(lstm_file, memory, reply, batch, time):
    """One state is computed before the row is looked up, and still does not change when that fails."""
    if memory.captures:
        pytest.skip("what could fail so is not captured: on cuda kernels do not check indices")
    model, manifest = _embedding(lstm_file[1])
    arena = ResidentArena(manifest, CAPACITY, memory, 1)
    runner = ResidentRunner(split(model, manifest), manifest, arena)
    slots, rows = np.arange(batch), np.ones((batch, time, 1))
    runner.step(slots, rows, reply)
    before = arena.gather(slots)
    assert (before["first"] == 1.0).all()
    assert (before["second"] == 20.0 * time).all()
    rows[-1, -1] = 99.0
    with pytest.raises(Exception, match="indices"):
        runner.step(slots, rows, reply)
    for name, state in arena.gather(slots).items():
        assert (state == before[name]).all(), name


def test_buffers_are_kept_for_a_bounded_number_of_sizes(runner):
    """However many sizes batches have, and none for a very large one."""
    graph = runner._read_out
    for size in range(1, 100):
        graph._bind_kept(size)
    assert len(graph._kept) == 64
    graph._bind_kept(100_000)
    assert 100_000 not in graph._kept


def test_the_integrity_check_sees_a_run_that_wrote_elsewhere(model, memory):
    """An output that is not the arena's memory is reported with both addresses."""
    graphs, manifest = model
    arena = ResidentArena(manifest, CAPACITY, memory, 1)
    runner = ResidentRunner(graphs, manifest, arena)
    runner.step(np.arange(3), np.ones((3, 1, 2)), Reply.LAST)
    runner.step(np.arange(1), np.ones((1, 1, 2)), Reply.NONE)
    arena.check_integrity()
    arena._arenas["float32_arena_next"] = memory.buffer((CAPACITY + 1, 1), np.float32)
    with pytest.raises(AssertionError, match=r"float32_arena_next .* lies at 0x\w+, its arena at 0x\w+"):
        arena.check_integrity()


def test_the_integrity_check_sees_an_arena_of_another_size(model, memory):
    """One that does not fit its slots is reported with both shapes."""
    arena = ResidentArena(model[1], CAPACITY, memory, 1)
    arena.check_integrity()
    arena.capacity += 1
    with pytest.raises(AssertionError, match=r"float32_arena is \[41, \d+\], .* \[42, \d+\]"):
        arena.check_integrity()


@pytest.mark.parametrize("graph", ["advance", "forecast", "last"])
def test_the_batch_occurs_an_odd_number_of_times_among_the_inputs(model, graph):
    """Else ONNX Runtime takes all batch sizes for one shape, and plans memory for the first only."""
    graphs, manifest = model
    wrapped = onnx.load_model_from_string(resident(getattr(graphs, graph), manifest))
    axes = [axis.dim_param for tensor in wrapped.graph.input for axis in tensor.type.tensor_type.shape.dim]
    assert axes.count(BATCH) % 2 == 1


class _NeverCaptures(ResidentArena):
    """On a device that cannot capture, as onnxruntime says when it opens a graph or when it runs it."""

    def open(self, graph, *, captured=False, **options):
        """See `ResidentArena.open`."""
        if captured:
            raise RuntimeError("this session cannot use the graph capture feature")
        return super().open(graph, **options)


def test_where_nothing_is_captured_graphs_of_fixed_shapes_run_as_they_are(lstm_file):
    """A device that cannot capture serves all the same."""
    content, manifest = lstm_file
    graphs = split(unseal(content)[0], manifest)
    arena = _NeverCaptures(manifest, CAPACITY, PLACES["cpu, rehearsed"], 1)
    reference = NumpyRunner(graphs, manifest, Arena(manifest.states, CAPACITY), "cpu", 1)
    runner = ResidentRunner(graphs, manifest, arena)
    slots, rows = np.array([4, 2, 9]), _rows(np.random.default_rng(6), 3, 1)
    assert_close(runner.step(slots, rows, Reply.LAST), reference.step(slots, rows, Reply.LAST))


def test_rehearsals_step_no_session(model, memory):
    """What a graph runs while it is opened leaves every slot as it was."""
    graphs, manifest = model
    arena = ResidentArena(manifest, CAPACITY, memory, 1)
    ResidentRunner(graphs, manifest, arena)
    for state in arena.gather(np.arange(CAPACITY)).values():
        assert not state.any()
