"""An auction that is ending, worked off unit by unit: who waited for it enters, its price is found, and the best bid meets the best ask at that price until
none are left. docs/rules.md section 13, line 11 of section 10.

Decides who trades with whom at the one price; what a trade posts and what a self-trade does is `meetings`'s, and what the price is `auction_price`'s.
"""
from cambist.core import layout as at
from cambist.core.agenda import look_later
from cambist.core.auction_price import find_price
from cambist.core.bands import band_edge, set_anchor
from cambist.core.book import level_at, price_of
from cambist.core.emit import put
from cambist.core.layout import CLOSE_WAITS, INSTRUMENT, INSTRUMENT_EXTRA, OPEN_WAITS, STATE
from cambist.core.lists import comes_before
from cambist.core.meetings import fit_resting, may_not_trade, meet_resting, rest_waiting, tell_if_changed, too_much, trade_resting
from cambist.core.memory import cold, hot
from cambist.core.market_sessions import call_again, enter_session
from cambist.core.timers import INDICATIVE_DUE, start_timer, stop_timer
from cambist.messages import Event, Reason, Session, Side


@cold
def tell_indicative(state: STATE, instrument: int):
    """The timer while an auction is called: what its price would be now."""
    b, x = at.instrument(state, instrument), at.instrument_extra(state, instrument)
    f = find_price(state, b, instrument)
    x.indicative_at = state.time + x.indicative if x.indicative else 0
    stop_timer(state, x.indicative_timer)
    x.indicative_timer = start_timer(state, x.indicative_at, instrument, INDICATIVE_DUE, instrument) if x.indicative_at else 0
    e = at.event(state, put(state, Event.INDICATIVE, 0, instrument, 0, 0))
    e.price = f.price
    e.quantity = f.quantity
    e.amount = f.surplus


@hot
def _to_enter(x: INSTRUMENT_EXTRA):
    """The first order that waited for this auction; 0: none."""
    if x.session != Session.AUCTION:
        return 0
    return x.session_first[OPEN_WAITS] + 0 if x.next_session == Session.CONTINUOUS else x.session_first[CLOSE_WAITS] + 0


@cold
def auction_unit(state: STATE, instrument: int):
    x = at.instrument_extra(state, instrument)
    i = _to_enter(x)
    if i:
        rest_waiting(state, i)
    elif x.uncross:
        _step(state, instrument)
    else:
        _settle_price(state, instrument)
    look_later(state, instrument)


@cold
def _settle_price(state: STATE, instrument: int):
    """The auction has its price; or none, and is over; or one outside the band, and is called again."""
    b, x = at.instrument(state, instrument), at.instrument_extra(state, instrument)
    f = find_price(state, b, instrument)
    if f.price == 0:
        enter_session(state, instrument, x.next_session, 0, 0, Reason.NONE)
        return
    low, high = band_edge(state, b, instrument, Side.SELL), band_edge(state, b, instrument, Side.BUY)
    if f.price < low or f.price > high:
        call_again(state, instrument, low if f.price < low else high)
        return
    x.uncross = f.price
    e = at.event(state, put(state, Event.UNCROSSED, 0, instrument, 0, 0))
    e.price = f.price
    e.quantity = f.quantity
    e.amount = f.surplus


# ---------------------------------------------------------------------------------------------------------------------- steps
@cold
def _step(state: STATE, instrument: int):
    """One meeting of the best bid and the best ask at the auction's price; or there are no more, and the auction is over unless the book is still crossed."""
    b, x = at.instrument(state, instrument), at.instrument_extra(state, instrument)
    if b.bid < 0 or b.ask >= b.ticks or price_of(b, b.bid) < x.uncross or price_of(b, b.ask) > x.uncross:
        x.uncross = 0
        if b.bid < b.ask:
            enter_session(state, instrument, x.next_session, 0, 0, Reason.NONE)
        return
    row, other = level_at(state, b, Side.BUY, b.bid), level_at(state, b, Side.SELL, b.ask)
    bids, asks = at.level(state, row), at.level(state, other)
    bid_shown, bid_orders, ask_shown, ask_orders = bids.quantity + 0, bids.orders + 0, asks.quantity + 0, asks.orders + 0
    _meet(state, b, instrument, bids.head + 0, asks.head + 0)
    tell_if_changed(state, b, instrument, Side.BUY, row, bid_shown, bid_orders)
    tell_if_changed(state, b, instrument, Side.SELL, other, ask_shown, ask_orders)


@cold
def _meet(state: STATE, b: INSTRUMENT, instrument: int, buyer: int, seller: int):
    """The first of the best bid and the first of the best ask; their levels are told afterwards."""
    if may_not_trade(state, buyer, seller):
        if comes_before(state, buyer, seller):
            meet_resting(state, b, instrument, buyer, seller)
        else:
            meet_resting(state, b, instrument, seller, buyer)
    elif too_much(state, buyer):
        fit_resting(state, b, instrument, buyer)
    elif too_much(state, seller):
        fit_resting(state, b, instrument, seller)
    else:
        price = at.instrument_extra(state, instrument).uncross + 0
        trade_resting(state, b, instrument, buyer, seller, price)
        set_anchor(state, instrument, price)
