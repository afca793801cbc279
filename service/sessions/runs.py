"""The runs of one batch: every group on the runner of its sessions' version, and the standing forecasts."""

from collections.abc import Iterator

import numpy as np
import structlog

from models.artifact import NUM_SCORES
from service.clock import Clock
from service.engine.model import ServedModel
from service.engine.runner import Forecasts, Reply, Scores
from service.errors import EngineFailure
from service.sessions.batch import Batch
from service.sessions.frame import Integers
from service.sessions.outcome import Outcome, Outcomes
from service.sessions.plan import BatchPlan, Group
from service.sessions.residency import Residency
from service.sessions.watched import look_ahead, look_back
from service.telemetry.correlation import correlation_id

_log = structlog.get_logger()


def run(batch: Batch, planned: BatchPlan, residency: Residency, clock: Clock) -> Outcomes:
    """Step every group, then read out the standing entries; on any thread, one batch at a time.

    Entries of a run that failed are entered as refused; their sessions stand before its rows.
    """
    planned.began_s = clock.monotonic_s()
    if len(residency.versions) > 1:
        planned.groups = [own for group in planned.groups for own in _by_version(batch, group, residency)]
    if planned.watched:
        look_ahead(planned.watched, planned.groups)
    outcomes = [_step(batch, planned, group, residency) for group in planned.groups]
    if planned.watched:
        look_back(planned.watched, outcomes)
    standing = None
    if len(planned.standing) and (batch.replies[planned.standing] % Reply.SCORED_NONE != Reply.NONE).any():
        try:
            standing = _read_out(batch, planned.standing, residency)
        except Exception as error:
            # Their rows were consumed before; only the answer is lost, and asking again is safe.
            _refuse(planned, planned.standing.tolist(), error, residency.name)
    planned.ended_s = clock.monotonic_s()
    return Outcomes(outcomes, standing)


def engine_failure(model: str, cause: Exception, num_sessions: int) -> EngineFailure:
    """Log why a run failed; the callers learn only its correlation id."""
    failure = EngineFailure(correlation_id())
    _log.error(
        "engine failure",
        model=model,
        num_sessions=num_sessions,
        correlation_id=failure.correlation_id,
        exc_info=cause,
    )
    return failure


def _step(batch: Batch, planned: BatchPlan, group: Group, residency: Residency) -> Outcome:
    slots = batch.slots if group.entries is None else batch.slots[group.entries]
    ((loaded, _),) = residency.placement.by_version(slots)
    try:
        forecasts, scores = _stepped(loaded.model, slots, group)
    except Exception as error:
        entries = range(len(batch)) if group.entries is None else group.entries.tolist()
        _refuse(planned, entries, error, residency.name)
        return Outcome(group, None)
    residency.recent.add(slots, group.rows)
    return Outcome(group, forecasts, scores)


def _stepped(model: ServedModel, slots: Integers, group: Group) -> tuple[Forecasts | None, Scores | None]:
    """Forecasts as the group wants them, and scores (B, S, 2) if it wants any."""
    if not group.reply.is_scored:
        return model.runner.step(slots, group.rows, group.reply), None
    wanted = group.reply.forecasts
    if not model.manifest.scores_anomalies:
        # The newest version has scores, or nobody could have asked; these sessions are on an older one.
        missing = np.full((*group.rows.shape[:2], NUM_SCORES), np.nan, np.float32)
        return model.runner.step(slots, group.rows, wanted), missing
    each, scores = model.runner.score(slots, group.rows)
    return {Reply.NONE: None, Reply.LAST: each[:, -1], Reply.EACH: each}[wanted], scores


def _refuse(planned: BatchPlan, entries: "list[int] | range", cause: Exception, model: str) -> None:
    planned.refused.update(dict.fromkeys(entries, engine_failure(model, cause, len(entries))))


def _by_version(batch: Batch, group: Group, residency: Residency) -> Iterator[Group]:
    """A group whose sessions' states are of several versions, cut into those of one."""
    entries = np.arange(len(batch)) if group.entries is None else group.entries
    versions = residency.table.versions[batch.slots[entries]]
    found = np.unique(versions)
    if len(found) == 1:
        yield group
        return
    for version in found:
        mine = np.flatnonzero(versions == version)
        plans = None if group.plans is None else [group.plans[index] for index in mine.tolist()]
        yield Group(entries[mine], group.rows[mine], group.reply, plans)


def _read_out(batch: Batch, entries: Integers, residency: Residency) -> Forecasts:
    slots = batch.slots[entries]
    parts = list(residency.placement.by_version(slots))
    if len(parts) == 1:
        return parts[0][0].model.runner.read_out(slots)
    manifest = residency.versions.newest.model.manifest
    forecasts = np.empty((len(slots), manifest.horizon, manifest.num_columns), np.float32)
    for loaded, mine in parts:
        forecasts[np.isin(slots, mine)] = loaded.model.runner.read_out(mine)
    return forecasts
