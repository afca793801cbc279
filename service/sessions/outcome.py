"""From what the runs of a batch gave to the results of its frames."""

from dataclasses import dataclass

import numpy as np

from service.engine.runner import Forecasts, Reply, Scores
from service.sessions.batch import Batch, Part
from service.sessions.frame import Integers
from service.sessions.plan import BatchPlan, Group


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a group's run gave; no forecasts or scores where none were asked for, or it failed."""

    group: Group
    forecasts: Forecasts | None
    scores: Scores | None = None


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What a batch's runs gave.

    Attributes:
        standing: (M, K, Q) forecasts of the plan's standing entries, or None.
    """

    groups: list[Outcome]
    standing: Forecasts | None


def fill_results(batch: Batch, planned: BatchPlan, outcomes: Outcomes) -> None:
    """Write positions, counts, refusals and forecasts of a committed batch into its frames' results."""
    dense = _dense(batch, planned, outcomes.groups, outcomes.standing)
    for part, span in batch.spans():
        _fill(part, span, planned, dense)
    for outcome in outcomes.groups:
        if outcome.scores is not None:
            _fill_scores(batch, outcome.group, outcome.scores)
        if outcome.group.reply.forecasts is Reply.EACH and outcome.forecasts is not None:
            _fill_each(batch, planned, outcome.group, outcome.forecasts)


def _dense(
    batch: Batch, planned: BatchPlan, outcomes: list[Outcome], standing: Forecasts | None
) -> Forecasts | None:
    """(N, K, Q): the last forecast of each entry that has one, rows of others undefined; None for no one."""
    last = [o for o in outcomes if o.group.reply.forecasts is Reply.LAST and o.forecasts is not None]
    if len(last) == 1 and last[0].group.entries is None:
        return last[0].forecasts
    shape = next((o.forecasts.shape[1:] for o in last if o.forecasts is not None), None)
    if standing is not None:
        shape = standing.shape[1:]
    if shape is None:
        return None
    dense = np.empty((len(batch), *shape), np.float32)
    for outcome in last:
        assert outcome.forecasts is not None
        assert outcome.group.entries is not None
        dense[outcome.group.entries] = outcome.forecasts
    if standing is not None:
        dense[planned.standing] = standing
    return dense


def _fill(part: Part, span: slice, planned: BatchPlan, dense: Forecasts | None) -> None:
    """A part's share of what the batch did, into its frame's result."""
    result, reply = part.frame.result, part.frame.reply
    entries = slice(None) if part.entries is None else part.entries
    result.positions[entries] = planned.positions[span]
    if planned.counts is not None:
        result.has_counts = True
        result.counts[:, entries] += planned.counts[:, span]
    for entry in planned.refused:
        if span.start <= entry < span.stop:
            result.errors[part.entry(entry - span.start)] = planned.refused[entry]
    if dense is None or not part.is_last:
        return
    if reply is Reply.LAST:
        if part.entries is None:
            result.dense = dense[span]
            return
        if result.dense is None:
            result.dense = np.empty((result.num_entries, *dense.shape[1:]), np.float32)
        result.dense[entries] = dense[span]
    elif reply is Reply.EACH:
        _fill_standing(part, span, planned, dense)


def _fill_standing(part: Part, span: slice, planned: BatchPlan, dense: Forecasts) -> None:
    """EACH: an entry of which no row was applied gets the forecast of its session as it stands."""
    for entry in planned.standing.tolist():
        if not span.start <= entry < span.stop or entry in planned.refused:
            continue
        own = part.entry(entry - span.start)
        if own not in part.frame.result.forecasts:
            part.frame.result.add(own, dense[entry : entry + 1], planned.positions[entry : entry + 1])


def _fill_scores(batch: Batch, group: Group, scores: Scores) -> None:
    """The scores (B, S, 2) of applied rows into the frames' results; missing steps have no row to tell of."""
    entries = np.arange(len(batch)) if group.entries is None else group.entries
    numbers = np.searchsorted(batch.bounds, entries, side="right") - 1
    for index, (entry, number) in enumerate(zip(entries.tolist(), numbers.tolist(), strict=True)):
        part = batch.parts[number]
        rows = slice(None) if group.plans is None else group.plans[index].observed
        own = part.frame.result.scores.setdefault(part.entry(entry - int(batch.bounds[number])), [])
        own.append(scores[index][rows])


def _fill_each(batch: Batch, planned: BatchPlan, group: Group, forecasts: Forecasts) -> None:
    """A forecast after each applied row, (B, S, K, Q), into the frames' results."""
    entries = np.arange(len(batch)) if group.entries is None else group.entries
    numbers = np.searchsorted(batch.bounds, entries, side="right") - 1
    for index, (entry, number) in enumerate(zip(entries.tolist(), numbers.tolist(), strict=True)):
        part = batch.parts[number]
        own = part.entry(entry - int(batch.bounds[number]))
        if group.plans is None:
            made_at: Integers = np.arange(-len(forecasts[index]), 0) + 1 + planned.positions[entry]
            part.frame.result.add(own, forecasts[index], made_at)
        else:
            chosen = group.plans[index]
            part.frame.result.add(own, forecasts[index][chosen.observed], chosen.positions)
