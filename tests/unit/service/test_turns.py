"""When a batch is taken, on an event loop that turns once when told."""

import asyncio
import itertools

import pytest

from service.sessions.turns import Turns

# More turns than `Turns` ever waits for.
MANY = 100


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts what is scheduled for its next turn."""

    num_calls = 0

    def call_soon(self, *args, **kwargs):
        """See `asyncio`."""
        self.num_calls += 1
        return super().call_soon(*args, **kwargs)


class Bench:
    """Turns, and the numbers of those in which they acted."""

    def __init__(self):
        self.loop = CountingLoop()
        self.turns = Turns(self._act)
        self.on_act = lambda: None
        self.number = 0
        self.acted_in = []
        self.task = None

    def open(self):
        """Begin `run`."""
        self.task = self.loop.create_task(self.turns.run())

    def turn(self, num=1, news=False):
        """Turns of the loop, each with news or none."""
        for _ in range(num):
            self.number += 1
            if news:
                self.loop.call_soon(self.turns.call)
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

    def cancel(self):
        """End `run` from outside."""
        self.task.cancel()
        self.turn(2)
        assert self.task.cancelled()

    def _act(self):
        self.acted_in.append(self.number)
        self.on_act()


@pytest.fixture
def closed():
    """Turns that do not run yet."""
    made = Bench()
    yield made
    if made.task is not None and not made.task.done():
        made.cancel()
    made.loop.close()


@pytest.fixture
def bench(closed):
    """Turns that run, and have acted on whatever came before."""
    closed.open()
    closed.turn(MANY)
    closed.acted_in.clear()
    return closed


def test_nothing_acts_before_run(closed):
    """What comes before is acted on once `run` has begun, and not sooner."""
    closed.turn(MANY, news=True)
    assert closed.acted_in == []
    # The news and the end of each turn, and nothing of its own.
    assert closed.loop.num_calls == 2 * MANY
    closed.open()
    closed.turn(MANY)
    assert len(closed.acted_in) == 1


@pytest.mark.parametrize("gap", [0, 1, 2])
@pytest.mark.parametrize("num_news", [1, 2, 8])
def test_what_comes_together_is_acted_on_once(bench, num_news, gap):
    """News with few turns between are one: acted on once, as soon after the last as after a single one."""
    bench.turn(news=True)
    single = bench.number
    bench.turn(MANY)
    for _ in range(num_news):
        bench.turn(news=True)
        last = bench.number
        bench.turn(gap)
    bench.turn(MANY)
    first, second = bench.acted_in
    assert gap < second - last <= first - single + 1


def test_what_comes_alone_again_and_again_is_acted_on_at_once(bench):
    """Until something comes together again: then the next are gathered as before."""

    def turns_until_acted():
        bench.turn(news=True)
        begun = bench.number
        bench.turn(MANY)
        return bench.acted_in[-1] - begun

    gathered = turns_until_acted()
    waits = [turns_until_acted() for _ in range(MANY)]
    assert waits[-1] <= 1 < gathered
    assert waits == sorted(waits, reverse=True)
    bench.turn(num=2, news=True)
    bench.turn(MANY)
    assert turns_until_acted() == gathered


def test_each_of_two_news_far_apart_is_acted_on(bench):
    """What comes after it acted is acted on in its turn."""
    for num_acts in (1, 2, 3):
        bench.turn(news=True)
        bench.turn(MANY)
        assert len(bench.acted_in) == num_acts


def test_steady_news_are_acted_on_after_a_bounded_number_of_turns(bench):
    """News in every turn hold it back for some of them, never for good."""
    begun = bench.number
    bench.turn(10 * MANY, news=True)
    numbers = [begun, *bench.acted_in]
    between = [after - before for before, after in itertools.pairwise(numbers)]
    assert len(between) >= 10
    assert max(between) <= MANY
    # As many turns as that gather what comes in them.
    assert min(between) > 10


def test_news_within_an_act_are_acted_on(bench):
    """An act that leaves something over, and says so, is called again for it."""
    left = [2]

    def act():
        if left[0]:
            left[0] -= 1
            bench.turns.call()

    bench.on_act = act
    bench.turn(news=True)
    bench.turn(4 * MANY)
    assert len(bench.acted_in) == 3


def test_nothing_is_scheduled_while_nothing_comes(bench):
    """A loop without news is left alone, so that an idle server takes no time."""
    bench.turn(news=True)
    bench.turn(MANY)
    before = bench.loop.num_calls
    bench.turn(MANY)
    assert bench.loop.num_calls - before == MANY


def test_an_exception_ends_run(bench):
    """What an act raises is what `run` raises, and nothing acts after it."""

    def act():
        raise ZeroDivisionError

    bench.on_act = act
    bench.turn(news=True)
    bench.turn(MANY)
    assert isinstance(bench.task.exception(), ZeroDivisionError)
    bench.turn(MANY, news=True)
    assert len(bench.acted_in) == 1


def test_an_exception_of_what_is_guarded_ends_run(bench):
    """So does what is called under its guard; where `run` is over already, the caller has it."""
    bench.turns.guard(lambda: None)

    def fail():
        raise ZeroDivisionError

    bench.turns.guard(fail)
    bench.turn(2)
    assert isinstance(bench.task.exception(), ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        bench.turns.guard(fail)
    bench.turn(MANY, news=True)
    assert bench.acted_in == []


@pytest.mark.parametrize("turns_before", range(10))
def test_nothing_acts_after_run_was_cancelled(bench, turns_before):
    """Neither for news that wait when it is cancelled nor for later ones."""
    bench.turn(news=True)
    bench.turn(turns_before)
    bench.cancel()
    num_acts = len(bench.acted_in)
    bench.turn(MANY)
    bench.turn(MANY, news=True)
    assert len(bench.acted_in) == num_acts
    assert num_acts <= 1


@pytest.mark.parametrize("num_turns", [0, MANY])
def test_run_can_begin_again(bench, num_turns):
    """What came before the first was over, or while nothing ran, is acted on by the next."""
    bench.turn(news=True)
    bench.cancel()
    bench.turn(num_turns, news=True)
    bench.open()
    bench.turn(MANY)
    assert len(bench.acted_in) == 1
