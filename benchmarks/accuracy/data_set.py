"""One way for all data sets: train, stream, score; the naive forecasts and the peers by the same scorer."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.accuracy.measured import OURS, Context, Measured, Run, Scores
from benchmarks.accuracy.ours import Trained, options_of, train_ours
from benchmarks.accuracy.peers import run_peer
from benchmarks.accuracy.problem import Batch, Problem, seasonal_naive
from benchmarks.accuracy.stream import streamed


@dataclass(frozen=True)
class DataSet:
    """How one is read and judged.

    Attributes:
        name: of its settings file.
        problem: reads a folder.
        score: of forecasts in the test part, or in the validation part.
        choose: from the scores in the validation part, how the scores of the test part are read.
        baselines: more forecasts, beside the seasonal naive and the naive ones.
        peers_stride: of the origins, by peer: every how many-th one a peer is scored that is slow to sample.
    """

    name: str
    problem: Callable[[Path], Problem]
    score: Callable[[Problem, Iterable[Batch]], Scores]
    choose: Callable[[Scores], Callable[[Scores], Scores]] = lambda _: dict
    baselines: Mapping[str, Callable[[Problem], Iterator[Batch]]] = field(default_factory=dict)
    peers_stride: Mapping[str, int] = field(default_factory=dict)

    def measure(self, context: Context) -> Measured:
        """Ours, trained and streamed, and forecasts that need no training."""
        problem = self.problem(context.folder)
        trained = train_ours(problem, self.name, context.directory, context.given, quick=context.quick)
        found = {OURS: self._ours(problem, trained)}
        naive = {"seasonal naive": problem.season, "naive": 1}
        for name, season in naive.items():
            found[name] = self._other(problem, seasonal_naive(problem, season))
        for name, baseline in self.baselines.items():
            found[name] = self._other(problem, baseline(problem))
        return Measured(found, {OURS: trained.took()}, options_of(trained.settings))

    def peer(self, context: Context, method: str, budget_s: float) -> Measured:
        """One peer, trained on the same rows for at most `budget_s` of the processor and scored alike.

        Of a choice that ours makes on the validation part, a peer gets what is better on the test part.
        """
        assert context.peers is not None
        problem = self.problem(context.folder)
        stride = self.peers_stride.get(method, 1)
        made = run_peer(context, method, problem, budget_s=budget_s, stride=stride)
        return Measured({method: self._other(problem, made.batches)}, {method: made.took})

    def _ours(self, problem: Problem, trained: Trained) -> Scores:
        content = trained.content
        validation = self.score(problem, streamed(content, problem, problem.validation_origins))
        return self.choose(validation)(self.score(problem, streamed(content, problem, problem.test_origins)))

    def _other(self, problem: Problem, batches: Iterable[Batch]) -> Scores:
        found = self.score(problem, batches)
        return self.choose(found)(found)


def run_of(
    data_set: DataSet,
    title: str,
    metrics: Mapping[str, str],
    finish: Callable[[dict[str, Scores]], dict[str, Scores]] = dict,
) -> Run:
    """A data set as a part of the benchmark."""
    return Run(title, metrics, data_set.measure, data_set.peer, finish)
