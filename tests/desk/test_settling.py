"""The order in which obligations are settled, what is tried again, and when the cut-off comes."""
from __future__ import annotations

import numpy as np
import pytest

from cambist.desk import settling
from cambist.desk.quoting import Sender
from cambist.desk.settling import DAY_NS, SettlementClerk, Unsettled
from cambist.messages import EVENT, Event, Kind, Reason, named

E, K, R = Event, Kind, Reason
T0 = 19_000 * DAY_NS
ACME, DESK, FEES = 6, 5, 2


def row(kind: Event, **fields: int) -> np.void:
    made = np.zeros(1, EVENT)
    made["kind"] = kind
    for name, value in fields.items():
        made[name] = value
    return made[0]


class Case:
    """A clerk, and what it sent and not yet heard about: obligation -> the id it was sent under."""

    def __init__(self, *owed: tuple[int, int, int], cut_offs=()) -> None:
        self.clerk, self.now, self.sent, self.effects = SettlementClerk(Sender(4, 0, 77, 30), cut_offs), T0, {}, []
        for number, account, amount in owed:
            self.clerk.learn(row(E.OBLIGATION, id=number, account=account, amount=amount))
        self.do(None)

    def do(self, event, after: int = 0) -> list[int]:
        self.now += after
        out, effects = self.clerk.step(event, self.now)
        self.effects += effects
        told = [named(record) for record in out]
        self.sent |= {one["obligation"]: (one["id_hi"], one["id_lo"]) for one in told if one["kind"] == K.SETTLE}
        assert all(one["account"] == 0 and one["actor"] == 4 for one in told)
        return [one["obligation"] if one["kind"] == K.SETTLE else K.NET for one in told]

    def settled(self, number: int) -> list[int]:
        return self.do(row(E.SETTLED, id=number, account=ACME))

    def refused(self, number: int, reason: Reason) -> list[int]:
        high, low = self.sent[number]
        return self.do(row(E.REFUSED, id=number, reason=reason, id_hi=high, id_lo=low, command=K.SETTLE))


def test_payers_first_then_receivers():
    case = Case((1, ACME, 50), (2, ACME, -70), (3, DESK, -50), (4, FEES, 20))
    assert list(case.sent) == [2, 3]
    assert case.settled(2) == [] and case.settled(3) == [1, 4]
    assert case.settled(1) == [] and case.settled(4) == [] and case.clerk.open == []


def test_receivers_do_not_wait_for_a_payer_that_cannot():
    case = Case((1, DESK, 50), (2, ACME, -70))
    assert case.refused(2, R.INSUFFICIENT) == [1]


@pytest.mark.parametrize("reason", [R.INSUFFICIENT, R.UNCOVERED])
def test_a_payer_without_money_is_tried_again_when_money_comes_to_it(reason):
    case = Case((1, ACME, -70))
    assert case.refused(1, reason) == [] and case.do(None, 10) == []
    assert case.do(row(E.DEPOSITED, account=DESK)) == []
    assert case.do(row(E.DEPOSITED, account=ACME)) == [1]


@pytest.mark.parametrize("kind", [E.ORDER_CANCELLED, E.ORDER_REDUCED, E.ORDER_AMENDED, E.BOOK_QUOTED])
def test_a_payer_is_tried_again_when_what_its_orders_held_is_free(kind):
    case = Case((1, ACME, -70))
    assert case.refused(1, R.INSUFFICIENT) == [] and case.do(row(kind, account=DESK)) == []
    assert case.do(row(kind, account=ACME)) == [1]


@pytest.mark.parametrize("reason", [R.UNPAID, R.HOUSE_UNCOVERED])
def test_a_receiver_is_tried_again_when_something_was_settled(reason):
    case = Case((1, ACME, 50), (2, FEES, 60))
    assert list(case.sent) == [1, 2]
    assert case.refused(1, reason) == [] and case.do(None, 10) == []
    assert case.settled(2) == [1]
    assert case.refused(1, reason) == [] and case.do(None, 10) == []             # nothing changed since: not again


@pytest.mark.parametrize("reason, stuck", [(R.NOT_ALLOWED, True), (R.UNKNOWN_OBLIGATION, False)])
def test_what_will_not_get_better_is_left_and_told(reason, stuck):
    case = Case((1, ACME, -70))
    assert case.refused(1, reason) == [] and case.do(None, 10**9) == []
    assert case.effects == ([Unsettled(1, ACME, reason)] if stuck else []) and case.clerk.open == ([1] if stuck else [])


def test_a_foreign_refusal_changes_nothing():
    case = Case((1, ACME, -70))
    assert case.do(row(E.REFUSED, id=1, reason=R.INSUFFICIENT, id_hi=1, id_lo=1, command=K.SETTLE)) == [] and case.refused(1, R.INSUFFICIENT) == []


def test_an_answer_that_never_came_is_sent_anew_once_its_id_has_lapsed():
    case = Case((1, ACME, -70))
    assert case.do(None, 29) == [] and case.do(None, 1) == [1]


def test_attempts_and_batches_are_bounded(monkeypatch):
    monkeypatch.setattr(settling, "ATTEMPTS_MOST", 2)
    monkeypatch.setattr(settling, "BATCH_MOST", 3)
    case = Case(*((n, ACME, -n) for n in range(1, 6)))
    assert list(case.sent) == [1, 2, 3] and case.settled(1) == [4]
    case = Case((1, ACME, 50), (2, FEES, 60), (3, FEES, 60))
    case.refused(1, R.UNPAID)
    case.refused(2, R.UNPAID)
    assert case.settled(3) == [1, 2]
    assert case.refused(1, R.UNPAID) == [] and case.effects == [Unsettled(1, ACME, R.UNPAID)]


def test_the_cut_off_comes_at_its_time_once_and_again_when_refused():
    case = Case(cut_offs=(100,))
    assert case.do(None, 99) == [] and case.do(None, 1) == [K.NET] and case.do(None, 1) == []
    assert case.do(row(E.REFUSED, command=K.NET, reason=R.NETTING, id_hi=77, id_lo=1)) == [] and case.do(None, 1) == [K.NET]
    assert case.do(None, DAY_NS) == [K.NET]
    assert [named(record)["kind"] for record in case.clerk.net(case.now)] == [K.NET]


def test_a_clerk_that_starts_after_the_cut_off_waits_for_the_next():
    case = Case(cut_offs=(0,))
    assert case.do(None, 5) == []
