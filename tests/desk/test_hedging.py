"""How much the desk hedges, where, and what it never does: more than the excess."""
from __future__ import annotations

import msgspec
import numpy as np
import pytest

from cambist.desk.execution import Elapsed
from cambist.desk.hedging import Hedger, HedgerSettings, Unhedged
from cambist.desk.inventory import Aim
from cambist.desk.pricing import PricingSettings, Source
from cambist.desk.quoting import Heard, Sender
from cambist.messages import EVENT, ChildState, Event, Kind, Liquidity, Reason, Side, TimeInForce, named
from cambist.venues.noise import Noise
from cambist.venues.venue import BookUpdate, Terms, signed

E, K, R, S = Event, Kind, Reason, ChildState
SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND
BTC = Terms("BTC/USD", 1, "0.01", "0.00000001", book_tick=5, quote_tick=1, lot=10, amount_num=1, amount_den=1, min_price=5, max_price=10**9)
KESTREL, OSPREY = 1, 2
BUY, SELL = Side.BUY, Side.SELL
PLAIN = HedgerSettings(venues={"kestrel": KESTREL, "osprey": OSPREY}, pricing=PricingSettings(), hedge_above={1: 100 * 100_000}, retries=2)


def row(kind: Event, **fields: int) -> np.void:
    made = np.zeros(1, EVENT)
    made["kind"] = kind
    for name, value in fields.items():
        made[name] = value
    return made[0]


class Case:
    """A hedger that has heard both venues at the same price; osprey charges more unless told otherwise."""

    def __init__(self, fees: tuple[int, int] = (100, 150), target: int = 0, **changed) -> None:
        sources = [Source("kestrel", 2 * SECOND, fees[0]), Source("osprey", 2 * SECOND, fees[1])]
        self.hedger = Hedger(Sender(3, 5, 1000, SECOND), {1: BTC}, {1: sources}, [Aim(1, target, 10**6)], msgspec.structs.replace(PLAIN, **changed))
        self.now, self.children, self.effects = T0, 0, []
        for source in ("kestrel", "osprey"):
            self.book(source)

    def do(self, event, after: int = 0) -> list[dict[str, int]]:
        self.now += after
        out, effects = self.hedger.step(event, self.now)
        self.effects += effects
        return [named(record) for record in out]

    def book(self, source: str, mid: int = 100_000, size: int = 10_000, after: int = 0) -> list[dict[str, int]]:
        return self.do(Heard(source, BookUpdate(1, self.now + after, ((mid - 10, size),), ((mid + 10, size),))), after)

    def filled(self, side: Side, quantity: int) -> list[dict[str, int]]:
        """The desk traded with a client, on this side of its own."""
        return self.do(row(E.FILLED, id=8, instrument=1, side=side, liquidity=Liquidity.QUOTE, quantity=quantity, price=100_000))

    def opened(self, told: dict[str, int]) -> int:
        self.children += 1
        self.do(row(E.CHILD_OPENED, id=self.children, instrument=1, side=told["side"], other=told["venue"], price=told["price"], quantity=told["quantity"],
                    amount=told["parent"], id_hi=told["id_hi"], id_lo=told["id_lo"], command=K.NEW_CHILD))
        return self.children

    def fill(self, child: int, side: Side, quantity: int, leaves: int) -> list[dict[str, int]]:
        return self.do(row(E.CHILD_FILL, id=child, instrument=1, side=side, quantity=quantity, leaves=leaves, price=100_000))

    def changed(self, child: int, state: ChildState, leaves: int = 0, reason: int = 0) -> list[dict[str, int]]:
        return self.do(row(E.CHILD_CHANGED, id=child, instrument=1, other=state, leaves=leaves, reason=reason))


# the desk's trade -> the child's side and quantity
@pytest.mark.parametrize("side, quantity, wanted", [
    (SELL, 500, (BUY, 500)),
    (BUY, 500, (SELL, 500)),
    (BUY, 505, (SELL, 500)),                    # what is less than a lot stays
    (SELL, 100, None),                          # worth exactly the threshold: left alone
    (SELL, 110, (BUY, 110)),
])
def test_the_excess_beyond_the_threshold_is_hedged_at_once_and_whole(side, quantity, wanted):
    told = Case().filled(side, quantity)
    assert [(t["side"], t["quantity"]) for t in told] == ([wanted] if wanted else [])
    assert all((t["kind"], t["time_in_force"], t["account"]) == (K.NEW_CHILD, TimeInForce.IOC, 5) for t in told)


def test_it_is_the_target_that_is_steered_to():
    case = Case(target=90)                      # worth less than the threshold
    assert case.filled(BUY, 90) == []
    assert [(t["side"], t["quantity"]) for t in case.filled(BUY, 500)] == [(SELL, 500)]


def test_nothing_is_hedged_where_the_design_says_no():
    assert Case(enabled=False).filled(SELL, 5_000) == []


@pytest.mark.parametrize("fees, kestrel, osprey, venue", [
    ((100, 150), {}, {}, KESTREL), ((150, 100), {}, {}, OSPREY), ((100, 100), {}, {}, KESTREL),
    ((100, 150), {"mid": 100_100}, {}, OSPREY),                 # cheaper there, fee and all
    ((100, 150), {"size": 20}, {}, OSPREY),                     # the rest would cost the limit
])
def test_the_venue_is_the_cheapest_after_fees(fees, kestrel, osprey, venue):
    case = Case(fees)
    case.book("kestrel", after=1, **kestrel)
    case.book("osprey", **osprey)
    assert case.filled(SELL, 500)[0]["venue"] == venue


def test_a_stale_book_is_no_venue():
    case = Case()
    case.book("osprey", after=2 * SECOND + 1)
    assert case.filled(SELL, 500)[0]["venue"] == OSPREY
    case = Case()
    case.now += 2 * SECOND + 1
    assert case.filled(SELL, 500) == []


@pytest.mark.parametrize("side, reference, limit", [
    (SELL, 0, 100_200), (BUY, 0, 99_800),
    (SELL, 95_300, 100_065), (SELL, 100_000, 100_200),          # inside the core's band, on the tick
    (BUY, 105_000, 99_800), (BUY, 105_100, 99_845),
])
def test_the_limit_is_the_offset_within_the_collar(side, reference, limit):
    case = Case(collar_ppm={1: 50_000})
    if reference:
        case.do(row(E.REFERENCE, instrument=1, price=reference))
    assert case.filled(side, 500)[0]["price"] == limit


def test_a_partial_fill_is_followed_by_the_rest_and_no_more():
    case = Case()
    child = case.opened(case.filled(SELL, 500)[0])
    assert case.fill(child, BUY, 200, 300) == []
    assert case.changed(child, S.DONE, 300) == []
    case.book("kestrel", after=1)
    told, = case.do(Elapsed(), PLAIN.slice_ns)
    assert (told["kind"], told["quantity"]) == (K.NEW_CHILD, 300)
    child = case.opened(told)
    case.fill(child, BUY, 300, 0)
    case.changed(child, S.DONE)
    assert case.hedger.inventory.of(1).position == 0 and case.do(Elapsed(), 10 * SECOND) == []


def test_an_unknown_child_counts_whole_until_the_venue_closes_it():
    case = Case()
    child = case.opened(case.filled(SELL, 500)[0])
    case.changed(child, S.UNKNOWN, 500)
    for _ in range(20):
        case.book("kestrel", after=SECOND)
        told = case.book("osprey")
        assert all(t["kind"] == K.CANCEL_CHILD for t in told)
    assert case.hedger.exposure(1, BUY) == 500
    told = case.changed(child, S.DONE, 0, R.UNKNOWN_CHILD) + case.do(Elapsed(), SECOND) + case.book("kestrel", after=SECOND) + case.do(Elapsed(), SECOND)
    assert [(t["kind"], t["quantity"]) for t in told] == [(K.NEW_CHILD, 500)]


def test_an_unanswered_child_counts_whole():
    case = Case()
    case.filled(SELL, 500)
    for _ in range(10):
        case.book("kestrel", after=SECOND)
        assert case.book("osprey") == []
    assert case.hedger.exposure(1, BUY) == 500


def test_a_late_child_is_cancelled_once():
    case = Case()
    child = case.opened(case.filled(SELL, 500)[0])
    assert [(t["kind"], t["child"]) for t in case.do(Elapsed(), PLAIN.child_timeout_ns)] == [(K.CANCEL_CHILD, child)]
    assert case.do(Elapsed(), PLAIN.child_timeout_ns) == []


def test_a_trade_the_other_way_ends_the_hedge():
    case = Case()
    case.opened(case.filled(SELL, 500)[0])
    told = case.filled(BUY, 1_000)
    assert [(t["kind"], t.get("side"), t.get("quantity")) for t in told] == [(K.NEW_CHILD, SELL, 500), (K.CANCEL_CHILD, None, None)]


@pytest.mark.parametrize("reason", [R.VENUE_FUNDS, R.VENUE_STOPPED, R.UNKNOWN_VENUE])
def test_a_venue_that_cannot_is_passed_over(reason):
    case = Case()
    told, = case.filled(SELL, 500)
    case.do(row(E.REFUSED, command=K.NEW_CHILD, reason=reason, id_hi=told["id_hi"], id_lo=told["id_lo"]))
    again, = case.do(Elapsed(), PLAIN.slice_ns)
    assert (told["venue"], again["venue"]) == (KESTREL, OSPREY)


def test_what_cannot_be_hedged_calls_a_person_again_and_again_but_ever_more_slowly():
    case = Case(attempts_most=2)
    told = case.filled(SELL, 500)
    sent = 0
    for _ in range(600):
        for one in told:
            sent += 1
            case.do(row(E.REFUSED, command=K.NEW_CHILD, reason=R.POSITION, id_hi=one["id_hi"], id_lo=one["id_lo"]))
        told = case.book("kestrel", after=SECOND // 10)
    assert case.effects and set(case.effects) == {Unhedged(1, 500)} and sent < 40


def test_large_excess_is_sent_in_slices():
    case = Case(child_most={1: 200 * 100_000})
    told = case.filled(SELL, 1_000)
    assert [t["quantity"] for t in told] == [200]
    for _ in range(4):
        case.opened(told[0])
        told = case.book("kestrel", after=PLAIN.slice_ns)
    assert case.hedger.exposure(1, BUY) == 1_000


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_never_more_than_the_excess_is_out(seed):
    """Random trades, fills, silences and refusals: after each step, what is out on the hedging side is covered by the excess when it was sent."""
    noise, case = Noise(seed), Case()
    living: dict[int, list] = {}
    for _ in range(150):
        told = []
        match noise.below(6):
            case 0:
                told = case.filled(Side(noise.below(2)), noise.between(1, 400))
            case 1 | 2:
                told = case.book(("kestrel", "osprey")[noise.below(2)], noise.between(99_900, 100_100), after=noise.between(1, SECOND // 4))
            case 3 if living:
                child = list(living)[noise.below(len(living))]
                side, leaves = living[child]
                took = noise.between(1, leaves)
                living[child][1] -= took
                told = case.fill(child, side, took, leaves - took)
                if took == leaves:
                    del living[child]
                    told += case.changed(child, S.DONE)
            case 4 if living:
                child = list(living)[noise.below(len(living))]
                told = case.changed(child, S.UNKNOWN, living[child][1]) if noise.happens(500_000) else case.changed(child, S.DONE, living.pop(child)[1] * 0)
            case _:
                told = case.do(Elapsed(), noise.between(1, SECOND))
        for one in [one for one in told if one["kind"] == K.NEW_CHILD]:
            excess = -signed(Side(one["side"]), case.hedger.inventory.of(1).excess)
            assert 0 < one["quantity"] and case.hedger.exposure(1, Side(one["side"])) <= excess, f"seed {seed}"
            if noise.happens(200_000):
                case.do(row(E.REFUSED, command=K.NEW_CHILD, reason=R.RATE, id_hi=one["id_hi"], id_lo=one["id_lo"]))
            else:
                living[case.opened(one)] = [Side(one["side"]), one["quantity"]]
