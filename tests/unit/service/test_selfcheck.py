"""The check at load: what two runners must agree on."""

import numpy as np
import pytest

from models.artifact import unseal
from service.engine import selfcheck
from service.engine.arena import Arena
from service.engine.graphs import split
from service.engine.runner import NumpyRunner, Reply

SIZES = (1, 4)


class _Wrong:
    """A runner that goes wrong in one way, at batches of one size."""

    def __init__(self, runner, way, size):
        self._runner = runner
        self._way = way
        self._size = size

    def step(self, slots, rows, reply):
        """See `Runner.step`."""
        if len(slots) == self._size and self._way == "forgets":
            self._runner.reset(slots[:1])
        if len(slots) == self._size and self._way == "steps another":
            self._runner.step(slots[:1] - 1, rows[:1], Reply.NONE)
        forecasts = self._runner.step(slots, rows, reply)
        if len(slots) == self._size and forecasts is not None:
            if self._way == "is not finite":
                forecasts[0] = np.nan
            if self._way == "is wrong for each" and reply is Reply.EACH:
                forecasts = forecasts * 1.01
        return forecasts

    def __getattr__(self, name):
        return getattr(self._runner, name)


@pytest.fixture
def runners(lstm_file):
    """Two of the same."""
    content, manifest = lstm_file
    graphs = split(unseal(content)[0], manifest)
    capacity = selfcheck.num_sessions(SIZES)
    return [NumpyRunner(graphs, manifest, Arena(manifest.states, capacity), "cpu", 1) for _ in range(2)]


def test_runners_that_do_the_same_agree(runners, lstm_file):
    """And hold nothing afterwards."""
    assert selfcheck.agree(*runners, lstm_file[1], SIZES)
    for runner in runners:
        for state in runner.states(np.arange(selfcheck.num_sessions(SIZES))).values():
            assert not state.any()


@pytest.mark.parametrize("size", [*SIZES, 3])
@pytest.mark.parametrize("way", ["forgets", "steps another", "is not finite", "is wrong for each"])
def test_a_runner_that_is_wrong_at_one_size_does_not_agree(runners, lstm_file, way, size):
    """Every size that has a graph of its own is tried, and one that has none."""
    wrong = _Wrong(runners[0], way, size)
    assert not selfcheck.agree(wrong, runners[1], lstm_file[1], SIZES)


@pytest.mark.parametrize("way", ["forgets", "is not finite"])
def test_a_runner_whose_rows_one_by_one_differ_does_not_stream(runners, lstm_file, way):
    """Not a number is no agreement either."""
    calls = iter(range(100))

    class LaterWrong(_Wrong):
        def step(self, slots, rows, reply):
            self._size = 0 if next(calls) == 0 else len(slots)
            return super().step(slots, rows, reply)

    assert selfcheck.streams(runners[0], lstm_file[1]) is None
    assert "one by one" in selfcheck.streams(LaterWrong(runners[0], way, 0), lstm_file[1])
