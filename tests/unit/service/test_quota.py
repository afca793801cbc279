"""What a tenant may have and send."""

import pytest

from service.errors import RateLimited, TooManySessions
from service.security.rate import RowRate
from service.sessions.quota import Quota
from service.tenant import own_id, prefix_of, tenant_of
from tests.fakes import HandClock


def test_a_key_is_a_tenant_and_an_id():
    """Taken apart as it was put together; without a tenant it is the id."""
    key = prefix_of("acme") + "series 1"
    assert (tenant_of(key), own_id(key)) == ("acme", "series 1")
    assert (prefix_of(""), tenant_of("series"), own_id("series")) == ("", "", "series")


def test_a_tenant_opens_as_many_sessions_as_it_may():
    """Counted once, then by what is opened and ends; before a refusal counted again, every ten seconds."""
    clock, counts = HandClock(), []
    there = {"acme\x1f": 1, "bolt\x1f": 3}

    def count(prefix):
        counts.append(prefix)
        return there[prefix]

    quota = Quota(3, clock)
    for name in ("a", "b"):
        quota.admit_now(f"acme\x1f{name}", count)
    for _ in range(2):
        with pytest.raises(TooManySessions):
            quota.admit_now("acme\x1fc", count)
    assert counts == ["acme\x1f"]
    quota.ended("acme\x1fa")
    quota.admit_now("acme\x1fc", count)
    there["acme\x1f"] = 2
    clock.now_s = 11.0
    quota.admit_now("acme\x1fd", count)
    with pytest.raises(TooManySessions):
        quota.admit_now("bolt\x1fe", count)


def test_rows_pass_at_their_rate_and_a_large_request_is_paid_for_later():
    """A second's worth at once; whoever waits as told is let through."""
    clock = HandClock()
    rate = RowRate(10.0, clock)
    for _ in range(10):
        rate.take(1)
    with pytest.raises(RateLimited) as caught:
        rate.take(1)
    clock.now_s += caught.value.retry_after_s
    rate.take(101)
    with pytest.raises(RateLimited) as caught:
        rate.take(1)
    assert caught.value.retry_after_s == pytest.approx(10.1)
    clock.now_s += caught.value.retry_after_s
    rate.take(1)
    clock.now_s += 1000
    for _ in range(10):
        rate.take(1)
    with pytest.raises(RateLimited):
        rate.take(1)
