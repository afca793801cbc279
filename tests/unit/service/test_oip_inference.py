"""Sequences over a worker and a store: what a start and an end do where the store is in the way."""

import dataclasses
import math

import pytest

from service.errors import InvalidRequest, StoreUnavailable
from service.rpc.oip.contract import InferenceLimits
from service.rpc.oip.inference import ModelInference
from service.rpc.single_rows import SingleRows
from service.store.contract import StoreFault
from tests.durable_store import DurableStore
from tests.oip import infer_request
from tests.unit.service.test_worker_with_store import serving

LIMITS = InferenceLimits(8, 100, 2**20, 1000, 100.0)


def sequences(bench):
    """Answers with a sequence's position."""
    model = ModelInference(bench.worker, SingleRows(bench.worker), LIMITS, bench.clock)

    async def infer(*values, **parameters):
        request = infer_request([[value] for value in values], "a", model="sum", **parameters)
        answer = await model.infer(request, math.inf)
        return answer.parameters["statecast_position"].int64_param

    return infer


@pytest.mark.parametrize(
    "damaged",
    [lambda record: dataclasses.replace(record, states=b"short"), lambda _: StoreFault("a", "its checksum")],
)
async def test_a_start_begins_a_sequence_that_cannot_be_read(damaged):
    """Its state, or its whole record, is damaged in the store."""
    store = DurableStore()
    async with serving(store) as bench:
        assert await sequences(bench)(1.0, 2.0, start=True) == 2
    store.records["a"] = damaged(store.records["a"])
    async with serving(store) as bench:
        infer = sequences(bench)
        assert await infer(5.0, start=True) == 1
        assert await infer(6.0) == 2


async def test_a_store_that_is_away_is_not_an_unknown_sequence():
    """Whether it is open cannot be told: the client is to come again."""
    store = DurableStore()
    async with serving(store) as bench:
        infer = sequences(bench)
        store.failing.add("peek")
        with pytest.raises(StoreUnavailable):
            await infer(1.0)
        store.failing.clear()
        with pytest.raises(InvalidRequest):
            await infer(1.0)


async def test_an_end_that_the_store_does_not_take_leaves_the_rows_answered():
    """The sequence stays open; a start begins it anew."""
    store = DurableStore()
    async with serving(store) as bench:
        infer = sequences(bench)
        await infer(1.0, start=True)
        store.failing.add("delete")
        assert await infer(2.0, end=True) == 2
        store.failing.clear()
        assert await infer(3.0) == 3
        assert await infer(3.0, start=True) == 1
