"""What a watch of rows tells, to readers who keep up and to those who do not."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest

from service.errors import Draining
from service.rpc.row_watcher import MAX_WAITING, RowWatcher
from service.sessions.info import SessionEvent, SessionInfo
from service.sessions.row_watch import ToldRow
from statecast.v1 import session_pb2 as pb


def _row(position, version=1, num_skipped=0, num_missing=0, score=None, time_us=None):
    manifest = SimpleNamespace(quantile_levels=(0.1, 0.9), labels=())
    model = SimpleNamespace(version=version, manifest=manifest)
    forecast = np.full((2, 2), position, np.float32)
    return ToldRow(
        position, time_us, np.array([position, np.nan]), forecast, score, num_skipped, num_missing, model
    )


async def test_a_row_is_told_whole():
    """Levels with the first row and with another version's, a time and a score where there are any."""
    watcher = RowWatcher()
    watcher.row(_row(3, num_skipped=2, num_missing=1))
    watcher.row(_row(4, time_us=0, score=(0.5, 0.25)))
    watcher.row(_row(5, version=2))
    told, third = [await watcher.next() for _ in range(2)]
    first, second = told.rows
    assert list(told.quantile_levels) == [0.1, 0.9]
    assert (first.position, first.num_skipped, first.num_missing_steps) == (3, 2, 1)
    assert first.values[0] == 3
    assert np.isnan(first.values[1])
    assert (first.forecast.position, list(first.forecast.values)) == (3, [3.0] * 4)
    assert not first.HasField("time_us")
    assert not first.HasField("anomaly_score")
    assert second.HasField("time_us")
    assert second.anomaly_score.tail_probability == 0.25
    assert (third.model_version, list(third.quantile_levels)) == (2, [0.1, 0.9])


@pytest.mark.parametrize("event", SessionEvent)
async def test_an_event_stands_for_itself(event):
    """With the version that the session was on, and no row."""
    watcher = RowWatcher()
    watcher.event(event, SessionInfo("a", 3, "", 7, None, 1.5, in_memory=True))
    told = await watcher.next()
    assert pb.SessionEvent.Name(told.event) == f"SESSION_EVENT_{event.name}"
    assert (told.model_version, len(told.rows)) == (3, 0)


async def test_a_slow_reader_is_told_what_it_missed():
    """The oldest rows make room and are counted with the next one that is told, each once."""
    watcher = RowWatcher()
    for position in range(1, MAX_WAITING + 4):
        watcher.row(_row(position, num_skipped=1, num_missing=1))
    rows = (await watcher.next()).rows
    assert [row.position for row in rows] == list(range(4, MAX_WAITING + 4))
    assert [row.num_skipped for row in rows] == [7] + [1] * (MAX_WAITING - 1)
    assert rows[0].num_missing_steps == 4


async def test_rows_that_come_close_together_are_told_together():
    """An event stands between them; after a while without rows one is told by itself."""
    watcher = RowWatcher()
    watcher.row(_row(1))
    assert len((await watcher.next()).rows) == 1
    telling = asyncio.create_task(watcher.next())
    for position in (2, 3):
        watcher.row(_row(position))
        await asyncio.sleep(0)
    assert [row.position for row in (await telling).rows] == [2, 3]
    watcher.row(_row(4))
    watcher.event(SessionEvent.RESET, SessionInfo("a", 3, "", 0, None, 1.5, in_memory=True))
    watcher.row(_row(1))
    told = [await watcher.next() for _ in range(3)]
    assert [[row.position for row in each.rows] for each in told] == [[4], [], [1]]


async def test_what_waits_is_told_before_the_end():
    """Whoever waits for more learns that the server goes away."""
    watcher = RowWatcher()
    watcher.row(_row(1))
    watcher.end()
    assert [row.position for row in (await watcher.next()).rows] == [1]
    waiting = asyncio.create_task(watcher.next())
    with pytest.raises(Draining):
        await waiting
