"""What the desk quotes by itself, what it proposes to a person, and when a quote no longer stands."""
from __future__ import annotations

import numpy as np
import pytest

from cambist.desk.execution import Elapsed
from cambist.desk.inventory import Aim
from cambist.desk.pricing import PricingSettings, Source, read_explanation
from cambist.desk.quoting import PARCEL_BYTES, Heard, Outgoing, Quoter, QuoterSettings, Sender, Unquoted, parcels
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

    def __init__(self, *heard: str, auto: int = 10**9, held: int | None = None) -> None:
        settings = QuoterSettings(pricing={1: PricingSettings(wider_below_sources=2)}, auto_most={1: auto}, held_above={} if held is None else {1: held},
                                  ttl_ns=2 * SECOND, overrun_ppm=75)
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

    def held(self, told: dict[str, int], number: int = 900) -> list[dict[str, int]]:
        """The core holds a QUOTE for a second person."""
        return self.do(row(E.HELD, account=5, id=number, other=self.now + told["ttl"], id_hi=told["id_hi"], id_lo=told["id_lo"], command=K.QUOTE))

    def approved(self, told: dict[str, int], number: int = 900) -> list[dict[str, int]]:
        """A second person says yes; the events of one command."""
        first = self.do(row(E.APPROVED, account=5, id=number, other=PERSON))
        return first + self.do(row(E.QUOTED, id=QUOTE, other=told["request"], price=told["bid"], amount=told["ask"], leaves=self.now + SECOND,
                                   id_hi=told["id_hi"], id_lo=told["id_lo"], command=K.QUOTE))

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
def large(**more) -> Case:
    """A desk that may quote nothing by itself, in a core that holds all of it."""
    return Case(auto=0, held=0, **more)


def test_above_the_automatic_size_the_quote_is_a_proposal_with_the_charge_for_all_its_time():
    case, small = large(), Case()
    told, = case.invited(lapses=60 * SECOND)
    quick, = small.invited(lapses=60 * SECOND)
    assert (told["kind"], told["decider"], told["ttl"], told["received"]) == (K.QUOTE, 0, 20 * SECOND, T0) and told["ask"] > quick["ask"]
    assert read_explanation(case.out[0].attachment).ask == told["ask"]
    assert large().invited(lapses=7 * SECOND)[0]["ttl"] == 7 * SECOND


@pytest.mark.parametrize("auto, held, kinds", [
    (100 * 100_500, 100 * 100_500, [K.QUOTE]),          # automatic
    (100 * 99_000, 100 * 99_000, [K.QUOTE]),            # held, and so a proposal
    (100 * 99_000, 100 * 100_500, []),                  # no gate would hold it
    (100 * 99_000, None, []),
])
def test_what_no_gate_would_hold_is_left_to_a_person(auto, held, kinds):
    case = Case(auto=auto, held=held)
    assert [told["kind"] for told in case.invited()] == kinds
    assert case.effects == ([] if kinds else [Unquoted(REQUEST, ("above_automatic_size",))])
    assert kinds or (case.do(Elapsed(), SECOND) == [] and case.effects == [])   # said once


def test_a_proposal_stands_until_it_lapses_or_the_market_has_moved():
    case = large()
    first, = case.invited(lapses=60 * SECOND)
    assert case.moved(100_500) == []                                            # its answer is still on the way
    case.moved(100_000), case.held(first)
    assert case.moved(100_200, SECOND) == []                                    # a person is still reading the last one
    second, = case.moved(100_200, 4 * SECOND)
    assert second["kind"] == K.QUOTE and second["ask"] > first["ask"] and second["id_lo"] != first["id_lo"]
    case.held(second, 901)
    assert case.do(row(E.HELD_EXPIRED, id=900)) == [] and case.moved(100_200) == []
    third, = case.do(row(E.HELD_EXPIRED, id=901), SECOND)
    assert (third["kind"], third["request"]) == (K.QUOTE, REQUEST)


def test_an_approved_proposal_stands_until_the_market_has_run_it_over():
    case = large()
    told, = case.invited(lapses=60 * SECOND)
    case.held(told)
    assert case.approved(told) == [] and case.quoter.live() == {REQUEST: (0, told["ask"])}
    assert case.moved(100_004) == case.moved(99_950) == []
    over, = case.moved(100_200)
    assert (over["kind"], over["quote"]) == (K.WITHDRAW_QUOTE, QUOTE)
    case.do(row(E.QUOTE_ENDED, id=QUOTE, other=REQUEST, reason=R.WITHDRAWN, id_hi=over["id_hi"], id_lo=over["id_lo"]))
    assert [t["kind"] for t in case.moved(100_200)] == [K.QUOTE]                # and proposed anew


def test_a_proposal_approved_too_late_is_withdrawn_at_once():
    case = large()
    first, = case.invited(lapses=60 * SECOND)
    case.held(first)
    second, = case.moved(100_200, 5 * SECOND)
    case.held(second, 901)
    assert [t["kind"] for t in case.approved(first)] == [K.WITHDRAW_QUOTE]


def test_an_approved_quote_without_a_firm_market_is_withdrawn():
    case = large()
    told, = case.invited(lapses=60 * SECOND)
    case.held(told)
    case.approved(told)
    assert [t["kind"] for t in case.do(Elapsed(), GUARD + 1)] == [K.WITHDRAW_QUOTE]


def test_an_approval_that_the_core_refuses_after_all_is_tried_again():
    case = large()
    told, = case.invited(lapses=60 * SECOND)
    case.held(told)
    case.do(row(E.APPROVED, id=900, other=PERSON))
    assert case.do(row(E.REFUSED, command=K.QUOTE, id=REQUEST, reason=R.QUOTING_LINE, id_hi=told["id_hi"], id_lo=told["id_lo"])) == []
    assert case.effects == [Unquoted(REQUEST, ("quoting_line",))] and [t["kind"] for t in case.do(Elapsed(), SECOND)] == [K.QUOTE]


def test_a_denied_request_is_left_alone():
    case = large()
    told, = case.invited(lapses=60 * SECOND)
    case.held(told)
    assert case.do(row(E.DENIED, id=900, other=PERSON)) == [] and case.effects == [Unquoted(REQUEST, ("denied",))]
    assert case.moved(110_000) == case.do(Elapsed(), GUARD) == case.do(Elapsed(), 1) == [] and case.effects == []


@pytest.mark.parametrize("proposed", [False, True])
def test_what_a_person_prices_is_theirs_until_the_market_has_run_it_over(proposed):
    case = large() if proposed else Case()
    told, = case.invited(lapses=60 * SECOND)
    if proposed:
        case.held(told)                                                         # and goes on waiting
    else:
        case.taken()
        case.do(row(E.QUOTE_ENDED, id=QUOTE, other=REQUEST, reason=R.REPLACED))
    case.do(row(E.QUOTED, id=801, other=REQUEST, price=0, amount=100_500, leaves=case.now + 30 * SECOND, id_hi=-7, id_lo=1, command=K.QUOTE))
    assert case.do(Elapsed(), GUARD + 1) == []                                  # also when nothing is firm: it is a person's word
    assert case.moved(100_000) == case.moved(100_004) == case.moved(99_950) == []
    over, = case.moved(100_200)
    assert (over["kind"], over["quote"]) == (K.WITHDRAW_QUOTE, 801)
    case.do(row(E.QUOTE_ENDED, id=801, other=REQUEST, reason=R.WITHDRAWN, id_hi=over["id_hi"], id_lo=over["id_lo"]))
    assert case.moved(100_000) == [] and case.quoter.live() == {}


def test_a_quote_grown_above_the_automatic_size_is_withdrawn_and_proposed():
    case = Case(auto=100 * 100_100, held=100 * 100_100)
    case.invited(lapses=60 * SECOND)
    case.taken()
    over, = case.moved(100_200)
    assert over["kind"] == K.WITHDRAW_QUOTE
    case.do(row(E.QUOTE_ENDED, id=QUOTE, other=REQUEST, reason=R.WITHDRAWN, id_hi=over["id_hi"], id_lo=over["id_lo"]))
    told, = case.moved(100_200)
    assert (told["kind"], told["ttl"] > 19 * SECOND) == (K.QUOTE, True)


def test_an_automatic_quote_that_is_held_all_the_same_is_not_sent_again_and_again():
    case = Case(held=0)
    told, = case.invited(lapses=60 * SECOND)
    case.held(told)
    assert case.moved(100_004, 5 * SECOND) == []
    assert [t["kind"] for t in case.moved(100_200, SECOND)] == [K.QUOTE]


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
