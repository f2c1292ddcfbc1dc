"""How much is let in, and how long everyone else waits."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cambist.gateways.throttle import Buckets, Limits, Rate, Throttle, retry_after

SECOND = 1_000_000_000


def test_a_burst_goes_through_and_the_rest_waits_for_its_token():
    buckets = Buckets(Rate(10, 3), 8)
    assert [buckets.take("a", 0) for _ in range(4)] == [0, 0, 0, SECOND // 10]
    assert buckets.take("a", SECOND // 10 - 1) == 1
    assert buckets.take("a", SECOND // 10) == 0
    assert buckets.take("a", 100 * SECOND) == 0
    assert [buckets.take("a", 100 * SECOND) for _ in range(3)] == [0, 0, SECOND // 10]


def test_a_clock_that_stands_or_goes_back_gives_nothing():
    buckets = Buckets(Rate(10, 1), 8)
    assert buckets.take("a", 5 * SECOND) == 0
    assert buckets.take("a", 5 * SECOND) > 0
    assert buckets.take("a", 4 * SECOND) > 0


def test_one_does_not_wait_for_another():
    buckets = Buckets(Rate(1, 1), 8)
    assert buckets.take("a", 0) == 0 and buckets.take("b", 0) == 0
    assert buckets.take("a", 0) > 0 and buckets.take("b", 0) > 0


def test_memory_is_bounded_and_the_longest_unseen_is_forgotten():
    buckets = Buckets(Rate(1, 1), 100)
    for number in range(10_000):
        buckets.take(f"{number}", number)
    assert len(buckets) == 100
    assert buckets.take("9999", 10_000) > 0            # remembered
    assert buckets.take("1", 10_000) == 0               # forgotten, so full again


def test_cancels_reads_and_business_have_buckets_of_their_own():
    throttle = Throttle(Limits(business=Rate(1, 1), cancels=Rate(1, 1), reads=Rate(1, 1)))
    assert throttle.business("a", 0) == 0 and throttle.business("a", 0) > 0
    assert throttle.cancel("a", 0) == 0 and throttle.cancel("a", 0) > 0
    assert throttle.read("a", 0) == 0 and throttle.read("a", 0) > 0
    assert throttle.business("b", 0) == 0


def test_all_together_have_one_too_and_cancels_are_not_in_it():
    throttle = Throttle(Limits(business=Rate(10, 10), all_business=Rate(1, 2)))
    assert [throttle.business(key, 0) for key in "abc"] == [0, 0, SECOND]
    assert throttle.cancel("c", 0) == 0


def test_whoever_sends_too_much_takes_nothing_from_all():
    throttle = Throttle(Limits(business=Rate(1, 1), all_business=Rate(1, 3)))
    assert throttle.business("a", 0) == 0
    assert all(throttle.business("a", 0) > 0 for _ in range(50))
    assert throttle.business("b", 0) == 0 and throttle.business("c", 0) == 0


def test_waiting_for_all_costs_none_of_its_own():
    throttle = Throttle(Limits(business=Rate(1, 2), all_business=Rate(1, 1)))
    assert throttle.business("a", 0) == 0
    assert throttle.business("b", 0) > 0
    assert throttle.business("b", SECOND) == 0
    assert throttle.business("b", 2 * SECOND) == 0


@pytest.mark.parametrize("kind", ["unproven", "public"])
def test_addresses_have_theirs(kind):
    throttle = Throttle(Limits(unproven=Rate(1, 1), public=Rate(1, 1)))
    take = getattr(throttle, kind)
    assert take("10.0.0.1", 0) == 0 and take("10.0.0.1", 0) > 0 and take("10.0.0.2", 0) == 0


@pytest.mark.parametrize("wait, seconds", [(0, 1), (1, 1), (SECOND, 1), (SECOND + 1, 2), (5 * SECOND, 5)])
def test_retry_after_is_whole_seconds_and_never_too_short(wait, seconds):
    assert retry_after(wait) == seconds


@given(st.integers(1, 1000), st.integers(1, 1000), st.lists(st.integers(0, SECOND), min_size=1, max_size=200))
def test_never_more_than_burst_and_rate_and_a_wait_is_enough(per_second, burst, gaps):
    buckets, now = Buckets(Rate(per_second, burst), 4), 0
    for let_in, gap in enumerate(gaps, 1):
        now += gap
        wait = buckets.take("a", now)
        if wait:
            now += wait
            assert buckets.take("a", now) == 0
        assert let_in <= burst + now * per_second // SECOND
