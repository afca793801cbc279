"""Requests of one sequence take their turns, also where some are given up."""

import asyncio
import random

import pytest

from service.rpc.oip.order import SequenceOrder


async def _entered(order, ids, log, name, gate=None):
    """A request: its turn, then an entry in the log, then its gate."""
    turn = order.enter(ids, 1)
    try:
        await turn.come()
        log.append(name)
        if gate is not None:
            await gate.wait()
    finally:
        turn.leave()


async def test_requests_of_one_sequence_go_one_after_the_other_and_others_beside_them():
    """The second waits until the first leaves; another sequence does not."""
    order, log, gate = SequenceOrder(), [], asyncio.Event()
    tasks = [
        asyncio.create_task(_entered(order, ["a"], log, "a1", gate)),
        asyncio.create_task(_entered(order, ["a"], log, "a2")),
        asyncio.create_task(_entered(order, ["b"], log, "b1")),
    ]
    await tasks[2]
    assert log == ["a1", "b1"]
    assert order.num_rows == 1
    gate.set()
    await asyncio.gather(*tasks)
    assert log == ["a1", "b1", "a2"]
    assert order.num_rows == 0


async def test_a_request_of_many_waits_for_each_of_its_sequences():
    """It begins when the last of those before it has left, and holds all of its sequences."""
    order, log = SequenceOrder(), []
    gates = {name: asyncio.Event() for name in "ab"}
    tasks = [asyncio.create_task(_entered(order, [name], log, name, gate)) for name, gate in gates.items()]
    tasks.append(asyncio.create_task(_entered(order, ["a", "b"], log, "both")))
    tasks.append(asyncio.create_task(_entered(order, ["b"], log, "after")))
    await asyncio.sleep(0)
    gates["a"].set()
    await tasks[0]
    assert log == ["a", "b"]
    gates["b"].set()
    await asyncio.gather(*tasks)
    assert log == ["a", "b", "both", "after"]


async def test_one_that_gives_up_while_it_waits_lets_nobody_pass_the_one_before():
    """A cancelled request in the middle does not open the way for those behind it."""
    order, log, gate = SequenceOrder(), [], asyncio.Event()
    first = asyncio.create_task(_entered(order, ["a"], log, "first", gate))
    second = asyncio.create_task(_entered(order, ["a"], log, "second"))
    third = asyncio.create_task(_entered(order, ["a"], log, "third"))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    await asyncio.sleep(0)
    assert log == ["first"]
    gate.set()
    await asyncio.gather(first, third)
    assert log == ["first", "third"]


async def test_a_long_line_that_gives_up_leaves_nothing_behind():
    """Thousands of cancelled requests of one sequence are forgotten, without deep calls."""
    order, log, gate = SequenceOrder(), [], asyncio.Event()
    first = asyncio.create_task(_entered(order, ["a"], log, "first", gate))
    line = [asyncio.create_task(_entered(order, ["a"], log, "never")) for _ in range(5000)]
    await asyncio.sleep(0)
    for task in line:
        task.cancel()
    await asyncio.gather(*line, return_exceptions=True)
    gate.set()
    await first
    assert log == ["first"]
    assert not order._last
    assert order.num_rows == 0


async def test_any_mixture_ends_and_keeps_the_order_of_each_sequence():
    """Random requests of one to four of five sequences, some cancelled: none waits for ever."""
    chance = random.Random(7)
    order, log = SequenceOrder(), []
    tasks = []
    for number in range(400):
        ids = chance.sample("abcde", chance.randint(1, 4))
        tasks.append(asyncio.create_task(_entered(order, ids, log, (number, ids))))
        if chance.random() < 0.2:
            chance.choice(tasks).cancel()
        if chance.random() < 0.5:
            await asyncio.sleep(0)
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
    for name in "abcde":
        mine = [number for number, ids in log if name in ids]
        assert mine == sorted(mine)
    assert len(log) > 200
    assert not order._last
