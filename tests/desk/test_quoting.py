"""What the desk quotes by itself, what it asks a person, and when a quote no longer stands."""
from __future__ import annotations

import numpy as np
import pytest

from cambist.desk.execution import Elapsed
from cambist.desk.inventory import Aim
from cambist.desk.pricing import PricingSettings, Source, read_explanation
from cambist.desk.quoting import PARCEL_BYTES, Heard, NeedsPerson, Outgoing, Quoter, QuoterSettings, RequestOver, Sender, Unquoted, parcels
from cambist.messages import EVENT, Event, Kind, Liquidity, Reason, Side, named
from cambist.venues.venue import BookUpdate, Terms

E, K, R = Event, Kind, Reason
SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND
GUARD = 2 * SECOND
BTC = Terms("BTC/USD", 1, "0.01", "0.00000001", book_tick=1, quote_tick=1, lot=1, amount_num=1, amount_den=1, min_price=1, max_price=10**9)
SOURCES = [Source("kestrel", GUARD, 0), Source("osprey", GUARD, 0)]
BUY, SELL, TWO_WAY = Side.BUY, Side.SELL, Side.TWO_WAY
REQUEST, QUOTE, PERSON = 700, 800, 7


def row(kind: Event, **fields: int) -> np.void:
    made = np.zeros(1, EVENT)
    made["kind"] = kind
    for name, value in fields.items():
        made[name] = value
    return made[0]


def book(mid: int = 100_000, time: int = T0) -> BookUpdate:
    return BookUpdate(1, time, ((mid - 10, 500),), ((mid + 10, 500),))


class Case:
    """A desk that has heard both venues, and what it last answered."""

    def __init__(self, *heard: str, auto: int = 10**9) -> None:
        settings = QuoterSettings(pricing={1: PricingSettings(wider_below_sources=2)}, auto_most={1: auto}, ttl_ns=2 * SECOND, overrun_ppm=75)
        self.quoter = Quoter(Sender(3, 5, 99, 30 * SECOND), {1: BTC}, {1: SOURCES}, [Aim(1, 0, 10**6)], settings)
        self.now = T0
        for source in heard or ("kestrel", "osprey"):
            self.do(Heard(source, book()))

    def do(self, event, after: int = 0) -> list[dict[str, int]]:
        self.now += after
        return self.keep(self.quoter.step(event, self.now))

    def keep(self, answer) -> list[dict[str, int]]:
        self.out, self.effects = answer
        self.said = [named(one.record) for one in self.out]
        return self.said

    def invited(self, side: Side = BUY, quantity: int = 100, lapses: int = 10 * SECOND, request: int = REQUEST) -> list[dict[str, int]]:
        return self.do(row(E.REQUEST_INVITED, account=5, instrument=1, side=side, id=request, quantity=quantity, other=self.now + lapses))

    def taken(self, quote: int = QUOTE) -> None:
        """The core takes the last QUOTE."""
        told = self.said[-1]
        self.do(row(E.QUOTED, id=quote, other=told["request"], price=told["bid"], amount=told["ask"], leaves=self.now + told["ttl"], id_hi=told["id_hi"],
                    id_lo=told["id_lo"], command=K.QUOTE))

    def moved(self, mid: int, after: int = SECOND // 10) -> list[dict[str, int]]:
        """Both venues move; what is said after the second."""
        self.do(Heard("kestrel", book(mid, self.now + after)), after)
        first = self.said
        return first + self.do(Heard("osprey", book(mid, self.now)))


@pytest.mark.parametrize("side, bid, ask", [(BUY, False, True), (SELL, True, False), (TWO_WAY, True, True)])
def test_an_invitation_is_answered_at_once_on_the_sides_asked_for(side, bid, ask):
    case = Case()
    told, = case.invited(side)
    assert (told["kind"], told["account"], told["actor"], told["decider"], told["request"]) == (K.QUOTE, 5, 3, 0, REQUEST)
    assert (told["bid"] > 0, told["ask"] > 0) == (bid, ask) and told["ttl"] == 2 * SECOND
    assert not bid or told["bid"] < 100_000
    assert not ask or told["ask"] > 100_000
    assert T0 < told["expires"] <= T0 + 30 * SECOND
    priced = read_explanation(case.out[0].attachment)
    assert (priced.bid, priced.ask) == (told["bid"], told["ask"])


@pytest.mark.parametrize("heard, later, reason", [
    (("kestrel",), 0, "too_few_sources"),
    (("kestrel", "osprey"), GUARD + 1, "no_usable_source"),
])
def test_too_few_or_too_old_sources_are_never_quoted(heard, later, reason):
    case = Case(*heard)
    case.now += later
    assert case.invited() == []
    assert isinstance(case.effects[0], Unquoted) and reason in case.effects[0].reasons
    assert [told["kind"] for told in case.moved(100_000)] == [K.QUOTE]          # it may get one later, while it stands


@pytest.mark.parametrize("instrument, lapses, reasons", [(2, SECOND, ("no_market",)), (1, 0, None)])
def test_what_is_not_ours_or_already_over_is_left_alone(instrument, lapses, reasons):
    case = Case()
    case.do(row(E.REQUEST_INVITED, instrument=instrument, side=BUY, id=REQUEST, quantity=1, other=T0 + lapses))
    assert case.said == [] and [e.reasons for e in case.effects] == ([reasons] if reasons else [])


def test_a_quote_is_replaced_when_the_market_moved_and_kept_when_it_hardly_did():
    case = Case()
    case.invited()
    case.taken()
    assert case.moved(100_004) == []
    told, = case.moved(100_200)
    assert (told["kind"], told["request"]) == (K.QUOTE, REQUEST)
    assert case.moved(100_900) == []                                            # its answer is still on the way
    case.do(row(E.QUOTE_ENDED, id=QUOTE, other=REQUEST, reason=R.REPLACED))
    case.said = [told]
    case.taken(801)
    assert case.quoter.live() == {REQUEST: (0, told["ask"])}


def test_a_quote_is_withdrawn_when_the_price_is_no_longer_firm():
    case = Case()
    case.invited()
    case.taken()
    assert case.do(Elapsed(), GUARD) == []
    told, = case.do(Elapsed(), 1)
    assert (told["kind"], told["quote"]) == (K.WITHDRAW_QUOTE, QUOTE)
    assert case.do(Elapsed(), 1) == []
    case.do(row(E.QUOTE_ENDED, id=QUOTE, other=REQUEST, reason=R.WITHDRAWN, id_hi=told["id_hi"], id_lo=told["id_lo"]))
    assert case.quoter.live() == {}
    assert [t["kind"] for t in case.moved(100_000)] == [K.QUOTE]


def test_a_lapsed_quote_of_a_standing_request_is_given_again():
    case = Case()
    case.invited()
    case.taken()
    assert [t["kind"] for t in case.do(row(E.QUOTE_ENDED, id=QUOTE, other=REQUEST, reason=R.EXPIRED), SECOND)] == [K.QUOTE]


@pytest.mark.parametrize("event", [
    row(E.REQUEST_ENDED, id=REQUEST, reason=R.EXPIRED), row(E.QUOTE_ENDED, id=QUOTE, other=REQUEST, reason=R.LOST),
    row(E.FILLED, id=QUOTE, instrument=1, side=SELL, liquidity=Liquidity.QUOTE, quantity=100, price=100_030),
])
def test_nothing_more_is_said_once_it_is_over(event):
    case = Case()
    case.invited()
    case.taken()
    assert case.do(event) == [] and case.moved(101_000) == [] and case.quoter.live() == {}


def test_a_trade_moves_the_position_that_the_next_price_leans_on():
    flat, short = Case(), Case()
    short.do(row(E.FILLED, id=1, instrument=1, side=SELL, liquidity=Liquidity.QUOTE, quantity=500_000, price=100_030))
    assert short.quoter.inventory.of(1).position == -500_000
    assert short.invited()[0]["ask"] > flat.invited()[0]["ask"]


@pytest.mark.parametrize("reason, again", [(R.RATE, True), (R.POSITION, True), (R.REQUEST_CLOSED, False)])
def test_a_refused_quote_is_tried_again_a_bounded_number_of_times(reason, again):
    case = Case()
    told, = case.invited(lapses=100 * SECOND)
    tries = 1
    for _ in range(20):
        refused = case.do(row(E.REFUSED, command=K.QUOTE, id=REQUEST, reason=reason, id_hi=told["id_hi"], id_lo=told["id_lo"]))
        assert refused == [] and case.effects[0].reasons == (reason.name.lower(),)
        if not (said := case.moved(100_000, SECOND // 2)):
            break
        told, tries = said[0], tries + 1
    assert tries == (5 if again else 1)


# ------------------------------------------------------------------------------------------------------------------- a person
def test_above_the_automatic_size_a_person_is_asked_and_their_word_is_quoted():
    case = Case(auto=100 * 100_000)
    assert case.invited(quantity=101) == []
    asked, = case.effects
    assert isinstance(asked, NeedsPerson) and asked.deadline == T0 + 10 * SECOND and asked.priced.ask_parts is not None
    told, = case.keep(case.quoter.approve(REQUEST, PERSON, None, None, T0))
    assert (told["decider"], told["ask"]) == (PERSON, asked.priced.ask)
    case.taken()
    told, = case.keep(case.quoter.approve(REQUEST, PERSON, 0, 100_500, T0))
    assert (told["decider"], told["ask"]) == (PERSON, 100_500)


@pytest.mark.parametrize("bid, ask", [(0, 0), (99_000, 0), (99_000, 101_000)])
def test_a_person_cannot_quote_the_wrong_sides(bid, ask):
    case = Case(auto=0)
    case.invited()
    assert case.keep(case.quoter.approve(REQUEST, PERSON, bid, ask, T0)) == [] and case.effects == [Unquoted(REQUEST, ("wrong_sides",))]


@pytest.mark.parametrize("mid, said", [(100_005, []), (99_950, []), (100_100, [Kind.WITHDRAW_QUOTE])])
def test_a_person_s_quote_stands_until_the_market_has_run_it_over(mid, said):
    case = Case(auto=0)
    case.invited()
    case.keep(case.quoter.approve(REQUEST, PERSON, None, None, T0))
    case.taken()
    assert [t["kind"] for t in case.moved(mid)] == said


def test_an_approval_of_a_picture_that_has_moved_shows_the_new_one():
    case = Case(auto=0)
    case.invited()
    first, = case.effects
    case.do(Heard("kestrel", book(100_010, T0 + 1)), 1)
    assert case.effects == []                                                   # hardly moved: what was shown still stands
    case.quoter.learn(row(E.FILLED, instrument=1, side=SELL, quantity=900_000, price=100_030))      # the desk is short now, and asks more
    assert case.keep(case.quoter.approve(REQUEST, PERSON, None, None, case.now)) == []
    shown, = case.effects
    assert isinstance(shown, NeedsPerson) and shown.priced.ask > first.priced.ask
    assert [t["ask"] for t in case.keep(case.quoter.approve(REQUEST, PERSON, None, None, case.now))] == [shown.priced.ask]


@pytest.mark.parametrize("later, reason", [(GUARD + 1, "no_usable_source"), (10 * SECOND, "request_over")])
def test_an_approval_too_late_quotes_nothing(later, reason):
    case = Case(auto=0)
    case.invited()
    assert case.keep(case.quoter.approve(REQUEST, PERSON, None, None, T0 + later)) == [] and reason in case.effects[0].reasons


def test_who_passes_is_not_asked_again_and_hears_when_it_is_over():
    case = Case(auto=0)
    case.invited()
    assert case.keep(case.quoter.pass_(REQUEST, PERSON, T0)) == [] and case.moved(110_000) == [] and case.effects == []
    case.do(row(E.REQUEST_ENDED, id=REQUEST, reason=R.USER))
    assert case.effects == [RequestOver(REQUEST, R.USER)]


def test_learning_says_nothing_and_the_next_moment_acts():
    case = Case()
    case.quoter.learn(row(E.REQUEST_INVITED, instrument=1, side=BUY, id=REQUEST, quantity=1, other=T0 + SECOND))
    assert [t["kind"] for t in case.do(Elapsed())] == [K.QUOTE]


def test_parcels_keep_order_and_fit_the_door():
    case = Case()
    record = case.quoter._sender.command(K.QUOTE, T0, request=1)
    made = parcels([Outgoing(record, bytes(PARCEL_BYTES // 2)), Outgoing(record), Outgoing(record, b"why"), Outgoing(record, bytes(PARCEL_BYTES // 2))])
    assert [len(records) for records, _ in made] == [3, 1] and all(len(section) < 1 << 16 for _, section in made)
    assert made[0][0]["attachment"][1] == 0 and len(set(made[0][0]["attachment"].tolist())) == 3
    assert parcels([]) == []
