"""What an executor sends, what it makes of what it hears, and what silence means."""
from __future__ import annotations

import hashlib

import numpy as np
import pytest

from cambist.messages import EVENT, ChildState, Event, Kind, Reason, Side, TimeInForce, named
from cambist.venues.executor import OVER_KEPT, WHY, Posting, VenueExecutor, execution_number
from cambist.venues.venue import (
    Acked, AskChild, BookUpdate, CancelChild, Capabilities, Closed, CloseReason, Filled, Liquidity, Missing, PlaceChild, Rejected, RejectReason, Silence, Terms,
)

E, K, R, S = Event, Kind, Reason, ChildState
BTC = Terms("BTC/USD", 1, "0.01", "0.00000001", book_tick=10, quote_tick=2, lot=1, amount_num=1, amount_den=1, min_price=1, max_price=10**9)
ASK_AFTER = 1_000
KESTREL, ACTOR, CHILD = 3, 8, 41
BUY, IOC, GTC = Side.BUY, TimeInForce.IOC, TimeInForce.GTC
ACKED, FILL = Acked(CHILD, "o", 0), Filled(CHILD, "x1", 40, 1000, 4, Liquidity.REMOVED, 0)


def row(kind: Event, **fields: int) -> np.void:
    made = np.zeros(1, EVENT)
    made["kind"] = kind
    for name, value in fields.items():
        made[name] = value
    return made[0]


OPENED = row(E.CHILD_OPENED, id=CHILD, instrument=1, side=BUY, other=KESTREL, price=1010, quantity=100, amount=9)
CANCEL = row(E.CHILD_CANCEL_ASKED, id=CHILD, other=KESTREL)


def closed(cum: int, reason: CloseReason = CloseReason.REMAINDER) -> Closed:
    return Closed(CHILD, reason, cum, 0)


class Case:
    """An executor, and what it was made to say."""

    def __init__(self, *events, tif: TimeInForce = IOC, silence: Silence = Silence.ASK, posting: Posting | None = None, cancels: bool = True) -> None:
        declared = Capabilities(venue="kestrel", ask_after_ns=ASK_AFTER, silence=silence, cancels=cancels)
        self.executor, self.now = VenueExecutor(KESTREL, declared, {1: BTC}, ACTOR, posting, tif), 0
        for event in events:
            self.do(event)

    def do(self, event=None, after: int = 0) -> list[str]:
        self.now += after
        turn = self.executor.step(event, self.now)
        self.facts, self.intents, self.calls = [named(fact) for fact in turn.facts], turn.intents, turn.calls
        return [Kind(fact["kind"]).name for fact in self.facts]


def test_an_opened_child_is_placed_once():
    case = Case()
    case.do(OPENED)
    assert case.intents == [PlaceChild(CHILD, 1, BUY, 100, 1010, IOC)]
    case.do(OPENED)
    assert case.intents == []
    case.do(closed(0))
    case.do(OPENED)
    assert case.intents == []                                                   # not even after it is over


def test_another_venue_s_child_is_none_of_ours():
    other = OPENED.copy()
    other["other"] = KESTREL + 1
    case = Case(other)
    assert case.intents == [] and case.executor.open == []


def test_a_cancel_is_sent_once_and_only_where_there_is_something_to_cancel():
    case = Case(OPENED)
    case.do(CANCEL)
    assert case.intents == [CancelChild(CHILD)]
    case.do(CANCEL)
    assert case.intents == []
    assert Case(CANCEL).intents == [] and Case(OPENED, CANCEL, cancels=False).intents == []


# what came before -> a report -> the facts, and the number of children still open
@pytest.mark.parametrize("before, report, facts, left", [
    ([], ACKED, ["CHILD_ACKED"], 1),
    ([ACKED], ACKED, [], 1),
    ([], FILL, ["CHILD_FILLED"], 1),
    ([FILL], FILL, [], 1),                                                      # told again: the same execution
    ([FILL], Filled(CHILD, "x2", 60, 999, 0, Liquidity.ADDED, 0), ["CHILD_FILLED"], 1),
    ([FILL], closed(40), ["CHILD_CLOSED"], 0),
    ([], closed(40), ["CHILD_CLOSED"], 1),                                      # a fill is owed
    ([closed(40)], FILL, ["CHILD_FILLED"], 0),
    ([], Rejected(CHILD, RejectReason.BUSY, 0), ["CHILD_CLOSED"], 0),
    ([], Missing(CHILD, 0), ["CHILD_CLOSED"], 0),
    ([closed(0)], closed(0), [], 0),
    ([closed(0)], FILL, ["CHILD_FILLED"], 0),                                   # late, and the core's to judge
    ([ACKED], Missing(CHILD, 0), [], 1),                                        # a contradiction closes nothing
    ([FILL], Rejected(CHILD, RejectReason.OTHER, 0), [], 1),
])
def test_reports_become_facts(before, report, facts, left):
    case = Case(OPENED, *before)
    assert case.do(report) == facts and len(case.executor.open) == left
    assert all(fact["actor"] == ACTOR and fact["child"] == CHILD and fact["venue"] == KESTREL for fact in case.facts)
    assert bool(case.calls) == (facts == [] and left == 1 and isinstance(report, Missing | Rejected))


def test_a_fill_carries_what_the_venue_said_and_counts_once_by_its_id():
    case = Case(OPENED)
    case.do(FILL)
    fact, = case.facts
    assert [fact[f] for f in ("instrument", "side", "price", "quantity", "fee")] == [1, BUY, 1000, 40, 4]
    digest = hashlib.sha256(b"kestrel\nx1").digest()
    assert (fact["id_hi"], fact["id_lo"]) == execution_number("kestrel", "x1") == tuple(
        int.from_bytes(digest[i:i + 8], "big", signed=True) for i in (0, 8))
    assert execution_number("osprey", "x1") != execution_number("kestrel", "x1") != (0, 0)


@pytest.mark.parametrize("report, why", [
    (closed(0, CloseReason.CANCELLED), R.USER), (closed(0), R.IMMEDIATE), (closed(0, CloseReason.BY_VENUE), R.HALTED),
    (Rejected(CHILD, RejectReason.PRICE_OFF_TICK, 0), R.OFF_TICK), (Missing(CHILD, 0), R.UNKNOWN_CHILD)])
def test_why_a_child_closed(report, why):
    case = Case(OPENED)
    case.do(report)
    assert (case.facts[0]["why"], case.facts[0]["cum_quantity"]) == (why, 0)


def test_every_reason_of_the_port_has_a_code():
    assert {*WHY} == {*CloseReason, *RejectReason}


def test_a_rebate_and_a_stranger_call_a_person():
    case = Case(OPENED)
    case.do(Filled(CHILD, "x", 1, 1000, -5, Liquidity.ADDED, 0))
    assert case.facts[0]["fee"] == 0 and "rebate" in case.calls[0]
    assert case.do(Acked(99, "o", 0)) == [] and "knows nothing" in case.calls[0]


# ------------------------------------------------------------------------------------------------------------------- silence
def test_silence_makes_a_child_unknown_once_and_asks_ever_more_slowly():
    case = Case(OPENED)
    assert case.do(None, ASK_AFTER - 1) == [] and case.intents == []
    assert case.do(None, 1) == ["CHILD_UNKNOWN"] and case.intents == [AskChild(CHILD)]
    asked = []
    for at in range(100):
        assert case.do(None, ASK_AFTER) == []
        asked += [at + 1] * len(case.intents)
    assert asked == [2, 6, 14, 30, 62, 94]


@pytest.mark.parametrize("answer, facts, left", [
    (ACKED, ["CHILD_ACKED"], 1), (FILL, ["CHILD_FILLED"], 1), (closed(0), ["CHILD_CLOSED"], 0), (Missing(CHILD, 0), ["CHILD_CLOSED"], 0)])
def test_the_truth_ends_it(answer, facts, left):
    case = Case(OPENED)
    case.do(None, ASK_AFTER)
    assert case.do(answer) == facts and len(case.executor.open) == left


def test_a_lost_fill_is_asked_for_at_once():
    case = Case(OPENED)
    case.do(closed(40))
    assert case.intents == [AskChild(CHILD)]
    assert case.do(None, ASK_AFTER) == [] and case.intents == [AskChild(CHILD)]   # and again: the core knows it as closing, not as unknown


def test_a_resting_order_may_be_silent_but_is_asked_now_and_then():
    case = Case(OPENED, ACKED, tif=GTC)
    assert case.do(None, 63 * ASK_AFTER) == [] and case.intents == []
    assert case.do(None, ASK_AFTER) == [] and case.intents == [AskChild(CHILD)]
    case.do(CANCEL)
    assert case.do(None, 2 * ASK_AFTER) == ["CHILD_UNKNOWN"]                       # a cancel that nobody answers


def test_where_nobody_can_be_asked_a_person_is_called():
    case = Case(OPENED, silence=Silence.RECONCILE)
    assert case.do(None, ASK_AFTER) == ["CHILD_UNKNOWN"] and case.intents == [] and "statement" in case.calls[0]


@pytest.mark.parametrize("state, asked, unknown", [(S.PENDING, True, True), (S.WORKING, True, True), (S.UNKNOWN, True, False), (S.CLOSING, True, False),
                                                   (S.DONE, False, False)])
def test_after_a_restart_open_children_are_asked_for_and_never_placed(state, asked, unknown):
    case = Case()
    case.executor.resume([{"id": CHILD, "venue": KESTREL, "state": state, "instrument": 1, "side": BUY, "quantity": 100, "time_in_force": IOC, "filled": 0,
                           "cum": 40}, {"id": 42, "venue": KESTREL + 1, "state": S.PENDING}], 0)
    if asked:
        assert case.do(OPENED) == [] and case.intents == []                     # told again by the stream
    assert case.do(None, ASK_AFTER) == (["CHILD_UNKNOWN"] if unknown else []) and case.intents == ([AskChild(CHILD)] if asked else [])


def test_what_is_over_is_forgotten_in_time(monkeypatch):
    from cambist.venues import executor
    monkeypatch.setattr(executor, "OVER_KEPT", 2)
    case = Case()
    for child in range(5):
        opened = OPENED.copy()
        opened["id"] = child
        case.do(opened)
        case.do(Missing(child, 0))
    assert OVER_KEPT == 10_000 and list(case.executor._over) == [3, 4]


def test_too_many_open_children_are_closed_unsent(monkeypatch):
    from cambist.venues import executor
    monkeypatch.setattr(executor, "OPEN_MOST", 1)
    case = Case(OPENED)
    other = OPENED.copy()
    other["id"] = 42
    assert case.do(other) == ["CHILD_CLOSED"] and case.intents == [] and case.calls and case.executor.open == [CHILD]


# -------------------------------------------------------------------------------------------------------------------- prices
def book(mid: int, time: int = 0, half: int = 10) -> BookUpdate:
    return BookUpdate(1, time, ((mid - half, 5),), ((mid + half, 5),))


def test_prices_are_posted_on_a_move_or_after_a_while():
    case = Case(posting=Posting(2, {1: (1,)}, move_ppm=1000, every_ns=500))
    posted = []
    for at, mid in ((0, 100_001), (10, 100_050), (20, 100_101), (30, 100_101), (519, 100_101), (520, 100_101)):
        case.now = at
        case.do(book(mid, at))
        posted += [(at, fact["price"], fact["source"], fact["source_time"]) for fact in case.facts]
    assert posted == [(0, 100_000, 2, 0), (20, 100_100, 2, 20), (520, 100_100, 2, 520)]


@pytest.mark.parametrize("bad", [BookUpdate(1, 0, (), ((5, 1),)), BookUpdate(1, 0, ((9, 1),), ((5, 1),)), BookUpdate(2, 0, ((4, 1),), ((5, 1),))])
def test_a_one_sided_crossed_or_foreign_book_posts_nothing(bad):
    assert Case(posting=Posting(2, {1: (1,)})).do(bad) == []
