"""How many threads an operator gets."""

import itertools

import pytest
from structlog.testing import capture_logs

from models.artifact import unseal
from service.engine import threads
from service.engine.graphs import split


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({1: [1.0, 8.0]}, 1),
        # As fast, or faster by less than a tenth: not worth a core.
        ({1: [1.0, 8.0], 2: [1.0, 8.0], 4: [1.0, 7.0]}, 1),
        ({1: [1.0, 8.0], 2: [1.0, 4.0]}, 2),
        # Four are compared with one, two having gained nothing.
        ({1: [1.0, 8.0], 2: [1.0, 7.9], 4: [0.9, 4.0]}, 4),
        # Four gain less than a tenth over two.
        ({1: [1.0, 8.0], 2: [0.7, 4.0], 4: [0.7, 3.9]}, 2),
        # Half the time in large batches does not make up for thrice the time in small ones.
        ({1: [1.0, 8.0], 2: [3.0, 4.0]}, 1),
    ],
)
def test_more_threads_are_used_where_they_are_worth_it(seconds, chosen):
    """They must be a tenth faster than fewer."""
    assert threads.fastest(seconds) == chosen


def test_measuring_stops_when_its_time_is_over():
    """A slow model is measured with few threads only, but with one at least."""
    seconds = {count: [float(count)] for count in (1, 2, 4, 8)}
    clock = iter([0.0, 0.3, 0.6])
    assert list(threads.measured(seconds.__getitem__, [1, 2, 4, 8], lambda: next(clock))) == [1, 2]
    late = itertools.chain([0.0], itertools.repeat(9.0))
    assert list(threads.measured(seconds.__getitem__, [1, 2], lambda: next(late))) == [1]


@pytest.mark.parametrize(
    ("cores", "counts"), [(1, [1]), (2, [1, 2]), (3, [1, 2]), (4, [1, 2, 4]), (6, [1, 2, 4])]
)
def test_no_more_threads_are_tried_than_the_process_may_use(cores, counts, monkeypatch):
    """A process that is pinned to some cores gets threads for those."""
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    assert threads.candidates() == counts


def test_all_cores_are_tried_where_processes_are_not_pinned(monkeypatch):
    """Not every system knows of it."""
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    assert threads.candidates() == [1, 2, 4]


def test_what_was_measured_is_logged(lstm_file, monkeypatch):
    """A real model is timed with each count, and the figures are on record."""
    monkeypatch.setattr(threads, "candidates", lambda: [1, 2])
    content, manifest = lstm_file
    with capture_logs() as logs:
        chosen = threads.choose(split(unseal(content)[0], manifest).forecast, manifest)
    (entry,) = logs
    assert chosen in (1, 2)
    assert entry["chosen"] == chosen
    assert entry["model"] == manifest.name
    assert list(entry["step_us"]) == [1, 2]
    assert all(len(figures) == 2 and min(figures) > 0 for figures in entry["step_us"].values())


def test_on_one_core_nothing_is_measured(lstm_file, monkeypatch):
    """There is nothing to choose."""
    monkeypatch.setattr(threads, "candidates", lambda: [1])
    with capture_logs() as logs:
        assert threads.choose(b"no graph at all", lstm_file[1]) == 1
    assert not logs
