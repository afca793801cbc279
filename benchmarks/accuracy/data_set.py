"""One way for all data sets: train, stream, score; the naive forecasts and the peers by the same scorer."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
        also: more rows of ours, by name the options in which they differ.
        baselines: more forecasts, beside the seasonal naive and the naive ones.
        peers_stride: of the origins, by peer: every how many-th one a peer is scored that is slow to sample.
    """

    name: str
    problem: Callable[[Path], Problem]
    score: Callable[[Problem, Iterable[Batch]], Scores]
    choose: Callable[[Scores], Callable[[Scores], Scores]] = lambda _: dict
    also: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    baselines: Mapping[str, Callable[[Problem], Iterator[Batch]]] = field(default_factory=dict)
    peers_stride: Mapping[str, int] = field(default_factory=dict)

    def measure(self, context: Context) -> Measured:
        """Ours, trained and streamed, and forecasts that need no training."""
        problem = self.problem(context.folder)
        trained = self._trained(problem, context, {})
        reading = self.choose(
            self.score(problem, streamed(trained.content, problem, problem.validation_origins))
        )
        found, took = {OURS: reading(self._tested(problem, trained))}, {OURS: trained.took()}
        # An ablation is of one row.
        for name, options in ({} if context.given else self.also).items():
            other = self._trained(problem, context, options)
            found[name], took[name] = reading(self._tested(problem, other)), other.took()
        naive = {"seasonal naive": problem.season, "naive": 1}
        for name, season in naive.items():
            found[name] = self._other(problem, seasonal_naive(problem, season))
        for name, baseline in self.baselines.items():
            found[name] = self._other(problem, baseline(problem))
        return Measured(found, took, options_of(trained.settings))

    def peer(self, context: Context, method: str, budget_s: float) -> Measured:
        """One peer, trained on the same rows for at most `budget_s` of the processor and scored alike.

        Of a choice that ours makes on the validation part, a peer gets what is better on the test part.
        """
        assert context.peers is not None
        problem = self.problem(context.folder)
        stride = self.peers_stride.get(method, 1)
        made = run_peer(context, method, problem, budget_s=budget_s, stride=stride)
        return Measured({method: self._other(problem, made.batches)}, {method: made.took})

    def _trained(self, problem: Problem, context: Context, options: Mapping[str, Any]) -> Trained:
        given = {**context.given, **options}
        return train_ours(problem, self.name, context.directory, given, quick=context.quick)

    def _tested(self, problem: Problem, trained: Trained) -> Scores:
        return self.score(problem, streamed(trained.content, problem, problem.test_origins))

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
