"""The fast runner: the arena is bound to the graph as input and output, and updated in place."""

from models.manifest import Manifest
from service.engine.arena import Slots, States
from service.engine.graphs import Graphs
from service.engine.resident import resident
from service.engine.resident_arena import ResidentArena
from service.engine.runner import Forecasts, Reply, Rows, Scores
from service.engine.step_graph import StepGraph


class ResidentRunner:
    """Steps states where they lie. A batch of B moves B slots, its rows and its forecasts.

    ScatterND copies nothing where its output is its input's own memory. That is no promise of ONNX
    Runtime's, so the self-check at load compares this runner with the numpy one before it serves.
    Every step is one run of one graph, which writes states when all else is computed: one that fails
    writes none.
    """

    def __init__(self, graphs: Graphs, manifest: Manifest, arena: ResidentArena) -> None:
        self._arena = arena
        self._advance = StepGraph(graphs.advance, manifest, arena)
        self._forecast = StepGraph(graphs.forecast, manifest, arena)
        # The last of many rows is cheaper to read out of the state than to pick from them all.
        self._last = arena.open(resident(graphs.last, manifest), plans_memory=False)
        self._read_out = arena.open(resident(graphs.read_out, manifest))
        self._scored = StepGraph(graphs.scored, manifest, arena) if graphs.scored else None

    def step(self, slots: Slots, rows: Rows, reply: Reply) -> Forecasts | None:
        """See `Runner.step`."""
        if reply is Reply.NONE:
            self._advance.run(slots, rows)
            return None
        if reply is Reply.LAST and rows.shape[1] > 1:
            last: Forecasts = self._last.run(slots, rows)[0]
            return last
        each: Forecasts = self._forecast.run(slots, rows)[0]
        return each if reply is Reply.EACH else each[:, 0]

    def score(self, slots: Slots, rows: Rows) -> tuple[Forecasts, Scores]:
        """See `Runner.score`."""
        assert self._scored is not None
        forecasts, scores = self._scored.run(slots, rows)
        return forecasts, scores

    def read_out(self, slots: Slots) -> Forecasts:
        """See `Runner.read_out`."""
        forecasts: Forecasts = self._read_out.run(slots)[0]
        return forecasts

    def reset(self, slots: Slots) -> None:
        """See `Runner.reset`."""
        self._arena.reset(slots)

    def states(self, slots: Slots) -> States:
        """See `Runner.states`."""
        return self._arena.gather(slots)

    def restore(self, slots: Slots, states: States) -> None:
        """See `Runner.restore`."""
        self._arena.scatter(slots, states)
