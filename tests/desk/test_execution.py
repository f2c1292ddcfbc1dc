"""The schedule of a parent order: its slices, their limits, and that nothing is ever sent twice."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from cambist.desk import execution
from cambist.desk.execution import (
    Elapsed,
    Execution,
    Parent,
    ParentDone,
    ParentEnded,
    ParentOpened,
    ParentUnfinished,
    Plan,
    Progress,
    Reference,
    Slice,
    Style,
    child_limit,
    schedule,
)
from cambist.messages import Side, TimeInForce
from cambist.venues.venue import Terms

ETH = Terms("ETH/USD", 2, "0.01", "0.0001", book_tick=10, quote_tick=1, lot=5, amount_num=1, amount_den=1, min_price=100, max_price=200_000)
BUY, SELL = Side.BUY, Side.SELL
NOW = Plan(retries=0)
TWAP = Plan(style=Style.TWAP, slices=4, over_ns=400, retries=2, retry_ns=50, reference_guard_ns=10**6)


def parent(quantity: int = 100, side: Side = BUY, limit: int = 150_000, number: int = 1) -> Parent:
    return Parent(number, 2, side, quantity, limit)


# -- slices -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("quantity", "plan", "slices"), [
    (100, NOW, [Slice(0, 100, 100)]),
    (100, TWAP, [Slice(0, 25, 25), Slice(100, 25, 50), Slice(200, 25, 75), Slice(300, 25, 100)]),
    (90, TWAP, [Slice(0, 25, 25), Slice(100, 25, 50), Slice(200, 20, 70), Slice(300, 20, 90)]),
    (10, TWAP, [Slice(0, 5, 5), Slice(200, 5, 10)]),
])
def test_slices_are_whole_lots_over_equal_times(quantity, plan, slices):
    assert list(schedule(parent(quantity), plan, ETH, 0)) == slices


@given(st.integers(1, 5000), st.integers(1, 60), st.integers(1, 10**12))
def test_slices_sum_to_the_parent_and_differ_by_a_lot_at_most(lots, count, over):
    slices = schedule(parent(lots * 5), Plan(style=Style.TWAP, slices=count, over_ns=over), ETH, 7)
    assert sum(one.quantity for one in slices) == slices[-1].target == lots * 5
    assert max(one.quantity for one in slices) - min(one.quantity for one in slices) <= 5
    assert [one.due for one in slices] == sorted(one.due for one in slices) and slices[0].due == 7 and slices[-1].due < 7 + over


@pytest.mark.parametrize("order", [parent(0), parent(-5), parent(7), parent(5, Side.TWO_WAY)])
def test_a_parent_of_no_whole_lots_or_no_side_is_refused(order):
    with pytest.raises(ValueError, match="parent 1 is"):
        schedule(order, NOW, ETH, 0)


@pytest.mark.parametrize("wrong", [
    dict(slices=0), dict(slices=2), dict(style=Style.TWAP, slices=2), dict(over_ns=5), dict(style=Style.TWAP, over_ns=5, slices=10_001),
    dict(limit_offset_ppm=-1), dict(limit_offset_ppm=1_000_000), dict(retry_ns=0), dict(retries=-1), dict(reference_guard_ns=0), dict(tif=TimeInForce.FOK),
])
def test_a_plan_that_can_not_be_worked_is_refused(wrong):
    with pytest.raises(ValueError):
        Plan(**wrong)


@pytest.mark.parametrize(("side", "limit", "reference", "expected"), [
    (BUY, 150_000, 100_000, 100_050), (BUY, 150_000, 100_005, 100_050), (BUY, 100_020, 100_000, 100_020), (BUY, 100_029, 100_000, 100_020),
    (SELL, 100, 100_000, 99_950), (SELL, 100, 100_005, 99_960), (SELL, 99_981, 100_000, 99_990), (SELL, 99_980, 100_000, 99_980),
    (BUY, 10**9, 199_990, 200_000), (SELL, 1, 100, 100),
])
def test_a_childs_limit_is_near_the_reference_and_never_past_the_parents(side, limit, reference, expected):
    assert child_limit(parent(side=side, limit=limit), NOW, ETH, reference) == expected


# -- working a parent -------------------------------------------------------------------------------------------------


def opened(plan: Plan = TWAP, order: Parent | None = None, reference: int | None = 100_000) -> tuple[Execution, list]:
    work = Execution({2: ETH})
    if reference is not None:
        work.step(Reference(2, reference), 0)
    return work, work.step(ParentOpened(order or parent(), plan), 0)[0]


def quantities(answer) -> list[int]:
    return [child.quantity for child in answer[0]]


def test_an_immediate_parent_is_sent_at_once_and_done_when_filled():
    work, sent = opened(NOW)
    assert [(one.child_number, one.quantity, one.limit_price, one.tif) for one in sent] == [(0, 100, 100_050, TimeInForce.IOC)]
    assert work.step(Progress(1, 1, 60, 40), 1) == ([], [])
    assert work.step(Progress(1, 1, 100, 0), 2) == ([], [ParentDone(1)])
    assert work.next_event(3) is None and work.step(Elapsed(), 3) == ([], [])


def test_a_twap_sends_each_slice_when_due_and_not_before():
    work, sent = opened()
    assert [one.quantity for one in sent] == [25] and work.next_event(0) == 100
    assert work.step(Progress(1, 1, 25, 0), 50) == ([], [])
    assert work.step(Elapsed(), 99) == ([], [])
    assert quantities(work.step(Elapsed(), 100)) == [25]
    assert quantities(work.step(Elapsed(), 100)) == []


def test_what_a_slice_did_not_fill_is_caught_up_by_the_next():
    work, _ = opened()
    work.step(Progress(1, 1, 10, 0), 50)
    assert quantities(work.step(Elapsed(), 100)) == [40]


def test_what_is_unknown_or_unanswered_is_never_sent_again():
    work, _ = opened()
    assert quantities(work.step(Elapsed(), 100)) == [25]  # the first is not yet answered, and counted
    work.step(Progress(1, 2, 0, 50), 150)  # both open: perhaps unknown at the venue
    assert quantities(work.step(Elapsed(), 300)) == [50]
    assert quantities(work.step(Elapsed(), 10_000)) == [] and work.next_event(10_000) is None


def test_moments_that_passed_together_are_one_child():
    work, _ = opened()
    assert quantities(work.step(Elapsed(), 250)) == [50]


def test_a_child_the_core_refused_is_tried_again_with_the_next_slice():
    work, _ = opened()
    work.step(Progress(1, 1, 0, 0), 50)
    answer, _ = work.step(Elapsed(), 100)
    assert [(one.child_number, one.quantity) for one in answer] == [(1, 50)]


def test_without_a_fresh_reference_nothing_is_sent_and_it_is_when_one_comes():
    work, sent = opened(reference=None)
    assert sent == [] and quantities(work.step(Reference(2, 100_000), 40)) == [25]
    stale = Plan(reference_guard_ns=10, retries=0)
    work, _ = opened(stale, order=parent(number=2), reference=None)
    work.step(Reference(2, 100_000), 0)
    work.step(ParentOpened(parent(number=3), stale), 11)
    assert quantities(work.step(Reference(2, 100_000), 12)) == [100]


def test_retries_follow_the_last_slice_and_then_the_parent_is_unfinished():
    work, _ = opened()
    for children, now in ((1, 100), (2, 200), (3, 300)):
        work.step(Progress(1, children, 0, 0), now - 1)
        work.step(Elapsed(), now)
    work.step(Progress(1, 4, 90, 0), 310)
    assert quantities(work.step(Elapsed(), 350)) == [10]
    work.step(Progress(1, 5, 95, 0), 360)
    assert quantities(work.step(Elapsed(), 400)) == [5]
    assert work.step(Elapsed(), 450) == ([], [])  # a child is still under way
    assert work.step(Progress(1, 6, 95, 0), 460) == ([], [ParentUnfinished(1, 5)])


def test_an_ended_parent_sends_nothing_more():
    work, _ = opened()
    assert work.step(ParentEnded(1), 50) == ([], []) and work.step(Elapsed(), 500) == ([], [])
    assert work.step(Progress(1, 1, 5, 0), 501) == ([], [])


def test_a_parent_opened_twice_is_worked_once():
    work, _ = opened()
    assert work.step(ParentOpened(parent(), TWAP), 1) == ([], [])


def test_after_a_restart_numbers_go_on_from_the_cores():
    work = Execution({2: ETH})
    work.step(ParentOpened(parent(), TWAP), 0)
    work.step(Progress(1, 3, 20, 30), 0)
    (child,) = work.step(Reference(2, 100_000), 300)[0]
    assert (child.child_number, child.quantity) == (3, 50)


def test_progress_told_out_of_order_is_passed_over():
    work, _ = opened()
    work.step(Progress(1, 1, 25, 0), 50)
    work.step(Progress(1, 1, 10, 15), 60)
    assert quantities(work.step(Elapsed(), 100)) == [25]


def test_an_unknown_instrument_and_one_parent_too_many_are_refused(monkeypatch):
    monkeypatch.setattr(execution, "PARENTS_MAX", 1)
    work, _ = opened()
    with pytest.raises(ValueError, match="instrument 9"):
        work.step(ParentOpened(Parent(2, 9, BUY, 5, 1000), NOW), 1)
    with pytest.raises(OverflowError, match="end some before opening 2"):
        work.step(ParentOpened(parent(number=2), NOW), 1)


@given(st.data())
def test_no_parent_is_ever_oversold(data):
    """A core that fills, refuses and forgets at will: sent and open and filled never pass the quantity."""
    work = Execution({2: ETH})
    work.step(Reference(2, 100_000), 0)
    plan = Plan(style=Style.TWAP, slices=data.draw(st.integers(1, 8)), over_ns=400, retries=4, retry_ns=30, reference_guard_ns=10**6)
    unanswered = [one.quantity for one in work.step(ParentOpened(parent(), plan), 0)[0]]
    children = cum = now = 0
    unsettled: list[int] = []
    for _ in range(data.draw(st.integers(1, 25))):
        now += data.draw(st.integers(0, 60))
        if unanswered and data.draw(st.booleans()):
            children += 1
            quantity = unanswered.pop(0)
            unsettled += [quantity] if data.draw(st.booleans()) else []
        if unsettled and data.draw(st.booleans()):
            cum += data.draw(st.integers(0, unsettled.pop(0)))
        commands, outcomes = work.step(Progress(1, children, cum, sum(unsettled)), now)
        unanswered += [one.quantity for one in commands]
        assert cum + sum(unsettled) + sum(unanswered) <= 100
        assert all(one.quantity % 5 == 0 and one.quantity > 0 for one in commands)
        if outcomes:
            assert outcomes == [ParentDone(1)] if cum == 100 else [ParentUnfinished(1, 100 - cum)]
            return
