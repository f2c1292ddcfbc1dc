"""Section 13 of the rules: sessions, how an auction is called, what its price is, and how it is worked off."""
from typing import NamedTuple

from cambist.messages import AUCTION_LEVELS, CALLS, SESSION_MOVES, Event, Kind, Liquidity, OrderState, Reason, Session, Side, TimeInForce
from cambist.simulation.twin.band_rules import edges, keep_anchor, outside, window_now
from cambist.simulation.twin.model import Command, Instrument, Order, Schedule, State
from cambist.simulation.twin.standing_rules import best, best_first, book, cancel, may_not_trade, must_live, rest, tell_level
from cambist.simulation.twin.trade_rules import fit, meet_self, too_much, trade

R = Reason
AUCTIONS = (Session.AUCTION, Session.VOLATILITY)


# ---------------------------------------------------------------------------------------------------------------- sessions
def gathers(ins: Instrument) -> bool:
    return ins.session in CALLS


def closed_to_orders(ins: Instrument) -> bool:
    return ins.session in (Session.CANCEL_ONLY, Session.CLOSED) or bool(ins.ending)


def well_formed(session: int, following: int, duration: int) -> bool:
    if session == Session.AUCTION:
        return following in (Session.CONTINUOUS, Session.CLOSED) and 0 <= duration <= 10**18
    return 0 <= session <= max(Session) and session != Session.VOLATILITY and following == 0 and duration == 0


def check_move(t: State, ins: Instrument, session: int) -> Reason:
    if session not in SESSION_MOVES[Session(ins.session)]:
        return R.BAD_SESSION
    if ins.session == Session.AUCTION and session in (Session.CONTINUOUS, Session.CLOSED) and session != ins.next_session:
        return R.BAD_SESSION
    return R.NONE


def busy(t: State, ins: Instrument) -> bool:
    return bool(ins.ending) or ins.number in t.session_sweeps or ins.number in t.instrument_sweeps


def check_session(t: State, c: Command) -> Reason:
    ins = t.instruments.get(c.instrument)
    if ins is None:
        return R.UNKNOWN_INSTRUMENT
    if busy(t, ins):
        return R.SWEEPING
    if not well_formed(c["session"], c["next"], c["duration"]):
        return R.BAD_VALUE
    return check_move(t, ins, c["session"])


def change_session(t: State, c: Command) -> None:
    t.done(c, c.instrument)
    move(t, t.instruments[c.instrument], c["session"], c["next"], c["duration"])


def move(t: State, ins: Instrument, session: int, following: int, duration: int) -> None:
    ends_an_auction = (ins.session in AUCTIONS and session == Session.CONTINUOUS) or (ins.session == Session.AUCTION and session == Session.CLOSED)
    if ends_an_auction:
        ins.ending = 1
    else:
        enter_session(t, ins, session, following, t.time + duration if duration else 0)


def enter_session(t: State, ins: Instrument, session: int, following: int = 0, ends: int = 0, reason: int = R.NONE) -> None:
    ins.session, ins.next_session, ins.auction_ends = session, following, ends
    ins.indicative_at = t.time + ins.indicative if session in AUCTIONS and ins.indicative else 0
    if session == Session.AUCTION:
        ins.anchor = t.reference(ins.number) or ins.book_last
    if not gathers(ins) and ins.number not in t.session_sweeps:
        t.session_sweeps.append(ins.number)
    tell_session(t, ins, reason)


def tell_session(t: State, ins: Instrument, reason: int = R.NONE) -> None:
    t.emit(Event.SESSION_CHANGED, 0, instrument=ins.number, id=ins.session, other=ins.next_session, price=ins.anchor, amount=ins.auction_ends, reason=reason)


def call_volatility(t: State, ins: Instrument) -> None:
    """A taker came to the edge of the band."""
    keep_anchor(t, ins)
    enter_session(t, ins, Session.VOLATILITY, Session.CONTINUOUS, t.time + ins.auction, R.BAND)


def ended_with_session(ins: Instrument, order: Order) -> Reason:
    """Why the session that was entered is the end of this order."""
    if order.time_in_force == TimeInForce.DAY and ins.session == Session.CLOSED:
        return R.EXPIRED
    gathered = order.state == OrderState.BOOK and order.time_in_force in (TimeInForce.AUCTION, TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE)
    return R.AUCTION_OVER if gathered and not gathers(ins) else R.NONE


def session_unit(t: State) -> None:
    ins = t.instruments[t.session_sweeps[0]]
    for order in t.standing(ins.number):
        if reason := ended_with_session(ins, order):
            cancel(t, order, reason)
            return
    t.session_sweeps.pop(0)
    t.emit(Event.SWEPT, 0, id=3, instrument=ins.number)


# ---------------------------------------------------------------------------------------------------------------- schedule
def due_after(now: int, offset: int, period: int) -> int:
    return now + period - (now - offset) % period


def schedule_timer(t: State, instrument: int, slot: int, row: Schedule) -> None:
    ins = t.instruments[instrument]
    row.due = due_after(t.time, row.offset, row.period)
    reason = R.SWEEPING if busy(t, ins) else check_move(t, ins, row.session)
    if reason:
        t.alert(reason, id=instrument, other=slot)
    else:
        move(t, ins, row.session, row.next, row.duration)


# ---------------------------------------------------------------------------------------------------------------- auctions
class Outcome(NamedTuple):
    price: int
    quantity: int
    surplus: int


def side_levels(t: State, ins: Instrument, side: int) -> list[tuple[int, int]]:
    """(price, everything open there, hidden too) of the best levels."""
    levels = book(t, ins.number, side)
    return [(price, sum(order.leaves for order in levels[price])) for price in best_first(t, ins.number, side)[:AUCTION_LEVELS]]


def auction_price(t: State, ins: Instrument) -> Outcome | None:
    bids, asks = side_levels(t, ins, Side.BUY), side_levels(t, ins, Side.SELL)
    if not bids or not asks or bids[0][0] < asks[0][0]:
        return None
    outcomes = []
    for price in sorted({price for price, _ in bids + asks if asks[0][0] <= price <= bids[0][0]}):
        demand, supply = sum(q for p, q in bids if p >= price), sum(q for p, q in asks if p <= price)
        outcomes.append(Outcome(price, min(demand, supply), demand - supply))
    largest = max(o.quantity for o in outcomes)
    outcomes = [o for o in outcomes if o.quantity == largest]
    smallest = min(abs(o.surplus) for o in outcomes)
    outcomes = [o for o in outcomes if abs(o.surplus) == smallest]
    if all(o.surplus > 0 for o in outcomes):
        return outcomes[-1]
    if all(o.surplus < 0 for o in outcomes):
        return outcomes[0]
    centre = t.reference(ins.number) or ins.book_last
    return min(outcomes, key=lambda o: (abs(o.price - centre) if centre else 0, o.price))


def tell_indicative(t: State, ins: Instrument) -> None:
    found = auction_price(t, ins) or Outcome(0, 0, 0)
    ins.indicative_at = t.time + ins.indicative if ins.indicative else 0
    t.emit(Event.INDICATIVE, 0, instrument=ins.number, price=found.price, quantity=found.quantity, amount=found.surplus)


def to_enter(t: State, ins: Instrument) -> Order | None:
    """The next order that waited for this auction."""
    if ins.session != Session.AUCTION:
        return None
    wanted = TimeInForce.AT_OPEN if ins.next_session == Session.CONTINUOUS else TimeInForce.AT_CLOSE
    return next((o for o in t.standing(ins.number) if o.state == OrderState.WAITING and o.time_in_force == wanted), None)


def auction_unit(t: State, ins: Instrument) -> None:
    if order := to_enter(t, ins):
        rest(t, order)
    elif ins.uncross:
        step(t, ins)
    else:
        find_price(t, ins)


def find_price(t: State, ins: Instrument) -> None:
    found = auction_price(t, ins)
    if found is None:
        end_auction(t, ins)
    elif outside(t, ins, found.price):
        low, high = edges(t, ins)
        ins.anchor = low if found.price < low else high
        ins.auction_ends, ins.ending = t.time + ins.auction, 0
        tell_session(t, ins, R.BAND)
    else:
        ins.uncross = found.price
        t.emit(Event.UNCROSSED, 0, instrument=ins.number, price=found.price, quantity=found.quantity, amount=found.surplus)


def end_auction(t: State, ins: Instrument) -> None:
    ins.ending = 0
    enter_session(t, ins, ins.next_session)


def step(t: State, ins: Instrument) -> None:
    """One meeting of the best bid and the best ask at the auction's price."""
    bid, ask = (first_of(t, ins, side) for side in (Side.BUY, Side.SELL))
    if bid is None or ask is None or bid.price < ins.uncross or ask.price > ins.uncross:
        ins.uncross = 0
        if not (bid and ask and bid.price >= ask.price):
            end_auction(t, ins)
        return
    must_live(t, bid)
    must_live(t, ask)
    if may_not_trade(t, bid, ask):
        maker, taker = sorted((bid, ask), key=lambda order: order.arrival)
        meet_self(t, maker, taker, both_rest=True)
    elif too_much(t, bid) or too_much(t, ask):
        fit(t, bid if too_much(t, bid) else ask)
    else:
        x = min(bid.leaves, ask.leaves)
        trade(t, (bid, Liquidity.AUCTION), (ask, Liquidity.AUCTION), x, ins.uncross)
        ins.anchor, ins.anchor_window = ins.uncross, window_now(t, ins)
    for order in (bid, ask):
        tell_level(t, ins.number, order.side, order.price)


def first_of(t: State, ins: Instrument, side: int) -> Order | None:
    price = best(t, ins.number, side)
    return book(t, ins.number, side)[price][0] if price else None


HANDLERS = {Kind.SESSION: (check_session, change_session)}
