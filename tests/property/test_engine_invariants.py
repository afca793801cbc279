"""Chunking, batching, recovery and exactly once, through the real engine, against ONNX Runtime alone.

Each test sends rows and settles; the rig's ledger holds every position, forecast and state against the
rows that were sent.
"""

from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.cells import CELLS
from service.engine.runner import Reply
from tests.property.engine_entries import ENTRIES, rows_of
from tests.property.engine_failures import KINDS
from tests.property.engine_process import CAPACITY
from tests.property.engine_rig import Rig
from tests.property.engine_sent import Draft

# Every runner with the two whose states differ in number, and every cell with the runner that serves it.
FULLY = ("lstm", "gru")
EACH = pytest.mark.parametrize(
    ("kind", "cell"),
    [(kind, cell) for kind in KINDS for cell in FULLY]
    + [("resident", cell) for cell in CELLS if cell not in FULLY],
)
NAMES = tuple("abcd")
assert len(NAMES) == CAPACITY
REPLIES = st.sampled_from([Reply.NONE, Reply.LAST, Reply.EACH])
# Four of them fit in the queue.
SERIES = ENTRIES.map(lambda entry: rows_of(entry)[:60])

quick = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@contextmanager
def _rig(kind, cell, device):
    rig = Rig(kind, cell, device)
    try:
        yield rig
        rig.settle()
    finally:
        rig.close()


@EACH
@quick
@given(rows=SERIES, data=st.data())
def test_chunking(cell, kind, device, rows, data):
    """Any split of a series, sent at once or one by one, gives the forecasts and state of the whole."""
    cuts = data.draw(st.lists(st.integers(1, len(rows)), max_size=6).map(sorted))
    with _rig(kind, cell, device) as rig:
        for chunk in filter(len, np.split(rows, cuts)):
            rig.send([Draft("a", chunk)], data.draw(REPLIES))
            if data.draw(st.booleans()):
                rig.settle()
        rig.settle()
        assert rig.ledger.standing("a").position == len(rows)


@EACH
@quick
@given(many=st.lists(SERIES, min_size=CAPACITY, max_size=CAPACITY), data=st.data())
def test_batching(cell, kind, device, many, data):
    """Sessions that share frames, each with as many rows as it likes, are each as if it were alone."""
    left = dict(zip(NAMES, many, strict=True))
    with _rig(kind, cell, device) as rig:
        while left:
            names = data.draw(st.lists(st.sampled_from(sorted(left)), min_size=1, max_size=6))
            drafts = []
            for name in names:
                num_rows = data.draw(st.sampled_from([1, 1, 3, 60]))
                drafts.append(Draft(name, left[name][:num_rows]))
                left[name] = left[name][num_rows:]
            rig.send([draft for draft in drafts if len(draft.values)], data.draw(REPLIES))
            left = {name: rows for name, rows in left.items() if len(rows)}
        rig.settle()
        for name, rows in zip(NAMES, many, strict=True):
            assert rig.ledger.standing(name).position == len(rows)


@EACH
@pytest.mark.parametrize("restored_by", KINDS)
@quick
@given(many=st.lists(SERIES, min_size=1, max_size=CAPACITY), data=st.data())
def test_recovery(cell, kind, device, restored_by, many, data):
    """Sessions exported at any row and imported into another engine go on as if never interrupted."""
    cuts = [data.draw(st.integers(0, len(rows))) for rows in many]
    with _rig(kind, cell, device) as rig:
        for part in (0, 1):
            halves = [np.split(rows, [cut])[part] for rows, cut in zip(many, cuts, strict=True)]
            for name, rows in zip(NAMES, halves, strict=False):
                if len(rows):
                    rig.send([Draft(name, rows)], data.draw(REPLIES))
            rig.move(restored_by)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cell", FULLY)
@pytest.mark.parametrize("within", [0, 1, 2])
def test_whichever_call_fails_a_client_that_resends_loses_nothing_and_doubles_nothing(
    cell, kind, device, within
):
    """Call n of the engine fails, for every n there is, before it runs or within: each row counts once."""
    random = np.random.default_rng(0)
    series = {name: 50 + random.standard_normal((44, 2)).cumsum(axis=0) for name in NAMES[:3]}
    num_failures, failing, seen = 0, 1, Counter()
    while num_failures == failing - 1:
        with _rig(kind, cell, device) as rig:
            rig.fail(failing, within)
            _send_until_all_is_there(rig, series)
            num_failures += rig.process.runner.num_failures
            seen += rig.seen
        failing += 1
    # Within a call there may be no second run of ONNX Runtime.
    assert seen["a history failed between slices"] > 2 or within == 2


def _send_until_all_is_there(rig, series):
    """Each session at its own pace, from where it stands."""
    for turn in range(100):
        frames = {Reply.LAST: [], Reply.EACH: [], Reply.NONE: []}
        for number, (name, rows) in enumerate(series.items()):
            at = rig.ledger.standing(name).position
            length = (1, 3, 40)[(turn + number) % 3]
            # Sometimes from further back, as after a lost reply.
            start = max(at - turn % 3, 0)
            if at < len(rows):
                draft = Draft(name, rows[start : start + length], position=start)
                frames[Reply((turn // 2 + number) % 3)].append(draft)
        if not any(frames.values()):
            return
        for reply, drafts in frames.items():
            if drafts:
                rig.send(drafts, reply)
        rig.settle()
    pytest.fail("a hundred rounds were not enough")
