"""Two orders meet, of whatever kind: which of them is dying, may not trade, may only reduce, and what a trade is then. docs/rules.md section 4, Matching.

The complete way. The hot path (`matching`) comes here as soon as one of the two orders, one of their accounts or their instrument is not plain; whatever
passes here is made special first, so that everything is asked in one place.
"""
from cambist.core import layout as at
from cambist.core.accounts import ORDINAL_MASK, account_of
from cambist.core.agenda import touch
from cambist.core.bands import band_edge, keep_anchor
from cambist.core.book import crosses, highest_below, level_at, lowest_above, may_rest, price_of, tell_level
from cambist.core.trading_controls import count_execution, note_trade, same_owner, stop_losses
from cambist.core.emit import as_taker_of, of, write
from cambist.core.ends import cancel_special, cover_children, finish, tell_cancelled, tell_linked, tell_reduced
from cambist.core.fees import order_fee, post_fee, tell_charged
from cambist.core.layout import INSTRUMENT, ROOM, STATE, TAKER
from cambist.core.lists import join_queue
from cambist.core.memory import cold, hot
from cambist.core.pools import give_order
from cambist.core.protection import protection_trips
from cambist.core.risk import amount
from cambist.core.market_sessions import call_volatility, gathers
from cambist.core.order_standing import (
    enter_level, executed, follow, leave_level, lose, lots, make_special, mark_special, show_again, stand_in_book, stand_outside,
)
from cambist.core.trades import post_trade
from cambist.messages import BY_QUOTE, REDUCE_ONLY, Event, Liquidity, OrderState, OrderType, Reason, SelfTrade, Session, Side, TimeInForce


# ---------------------------------------------------------------------------------------------------------------- questions
@cold
def is_dying(state: STATE, i: int):
    """It never trades again, and is cancelled as soon as somebody comes to it."""
    o = at.order(state, i)
    account, ordinal = account_of(o), o.id & ORDINAL_MASK
    owner = at.account(state, account)
    if ordinal < owner.dying_below or owner.killed or at.actor(state, at.origin(state, i).actor).killed:
        return 1
    x = at.account_extra(state, account)
    if ordinal < x.some_below:
        here = x.some_instrument == 0 or x.some_instrument == at.position_row(state, o.position).instrument
        if here and (x.some_side == Side.TWO_WAY or x.some_side == o.side):
            return 1
    return _is_over(state, i) if o.special else 0


@cold
def _is_over(state: STATE, i: int):
    """Past its time, or an order of an auction or a day that has ended."""
    e = at.order_extra(state, i)
    if e.time_in_force == TimeInForce.GTD:
        return 1 if e.good_till <= state.time else 0
    x = at.instrument_extra(state, e.instrument)
    if e.time_in_force >= TimeInForce.AUCTION:
        return 1 if e.state == OrderState.BOOK and not gathers(x) else 0
    return 1 if e.time_in_force == TimeInForce.DAY and x.session == Session.CLOSED else 0


@cold
def may_not_trade(state: STATE, i: int, j: int):
    """The same owner, as the wider of the two scopes sees it."""
    return same_owner(state, account_of(at.order(state, i)), account_of(at.order(state, j)))


@cold
def room_to_reduce(state: STATE, position: int, side: int):
    """What a position could be reduced by on a side."""
    net = at.position_row(state, position).net + 0
    return max(0, -net if side == Side.BUY else net)


@cold
def too_much(state: STATE, i: int):
    """It may only reduce, and its position does not leave it so much."""
    o = at.order(state, i)
    if not o.special or not at.order_extra(state, i).options & REDUCE_ONLY:
        return 0
    return 1 if o.leaves > room_to_reduce(state, o.position, o.side) else 0


@cold
def is_outside(state: STATE, b: INSTRUMENT, instrument: int, price: int):
    """Beyond how far the price may move now."""
    return 1 if price > band_edge(state, b, instrument, Side.BUY) or price < band_edge(state, b, instrument, Side.SELL) else 0


@cold
def open_against(state: STATE, account: int, instrument: int, side: int, tick: int, self_trade: int, wanted: int):
    """How much would trade with an order of this account at once; it stops counting at what is wanted."""
    b = at.instrument(state, instrument)
    found, p = 0, b.ask + 0 if side == Side.BUY else b.bid + 0
    stops = self_trade == SelfTrade.CANCEL_NEWEST or self_trade == SelfTrade.CANCEL_BOTH
    while (p <= tick and p < b.ticks) if side == Side.BUY else (p >= tick and p >= 0):
        if is_outside(state, b, instrument, price_of(b, p)):
            return found
        i = at.level(state, level_at(state, b, 1 - side, p)).head + 0
        while i:
            o = at.order(state, i)
            reduces = o.special and at.order_extra(state, i).options & REDUCE_ONLY
            if not reduces and not is_dying(state, i):
                if not same_owner(state, account_of(o), account):
                    found += o.leaves
                    if found >= wanted:
                        return found
                elif stops:
                    return found
            i = o.next + 0
        p = lowest_above(state, b, Side.SELL, p) if side == Side.BUY else highest_below(state, b, Side.BUY, p)
    return found


# ---------------------------------------------------------------------------------------------------------------- prevented
@cold
def _prevent(state: STATE, i: int, x: int, reason: int):
    """Tell that x of it will not trade, already gone from its leaves."""
    tell_reduced(state, i, x, reason)
    o, e = at.order(state, i), at.order_extra(state, i)
    if o.leaves == 0:
        b = at.instrument(state, e.instrument)
        price = price_of(b, at.level(state, o.level).tick) if o.level else e.worst + 0
        tell_cancelled(state, i, reason, 0, price)
    tell_linked(state, i, x)
    if o.leaves == 0:
        finish(state, i)


@cold
def fit(state: STATE, i: int, taking: int):
    """A REDUCE_ONLY order falls to what its position leaves it."""
    o = at.order(state, i)
    x = o.leaves - room_to_reduce(state, o.position, o.side)
    lose(state, i, x, 1, taking)
    _prevent(state, i, x, Reason.REDUCE_ONLY)


@cold
def meet_self(state: STATE, i: int, j: int, taking: int):
    """A maker and a taker that may not trade: the taker's mode decides. `taking` 0: both rest, in an auction."""
    m, o = at.order(state, i), at.order(state, j)
    mode = o.self_trade + 0
    if mode == SelfTrade.DECREMENT:
        x = min(m.leaves, o.leaves)
        lose(state, i, x, 1, 0)
        lose(state, j, x, 1, taking)
        _prevent(state, i, x, Reason.SELF_TRADE)
        _prevent(state, j, x, Reason.SELF_TRADE)
        return
    if mode != SelfTrade.CANCEL_NEWEST:
        cancel_special(state, i, Reason.SELF_TRADE, 0, 0)
    if mode != SelfTrade.CANCEL_OLDEST:
        cancel_special(state, j, Reason.SELF_TRADE, 0, 0)


# ------------------------------------------------------------------------------------------------------------------ a trade
@cold
def _fee_of(state: STATE, b: INSTRUMENT, i: int, worth: int, liquidity: int):
    """What an order pays of a trade: its minimum only at its first."""
    o, e = at.order(state, i), at.order_extra(state, i)
    least = e.fee_min + 0 if executed(o) == 0 else 0
    return order_fee(state, b, account_of(o), e.instrument, worth, 1 if liquidity == Liquidity.MAKER else 0, o.fee_ppm, least)


@hot
def _lose_traded(state: STATE, i: int, x: int, worth: int, liquidity: int):
    lose(state, i, worth if at.order_extra(state, i).options & BY_QUOTE else x, 0, 1 if liquidity == Liquidity.TAKER else 0)


@hot
def _tell_filled(state: STATE, i: int, liquidity: int, match: int, price: int, x: int, worth: int, paid: int):
    o, e = at.order(state, i), at.order_extra(state, i)
    write(state, of(Event.FILLED, 0, o.side, as_taker_of(e.options, liquidity)), account_of(o), e.instrument, o.id, match, price, x, o.leaves, worth, paid)


@cold
def _after_trade(state: STATE, i: int, x: int):
    tell_linked(state, i, x)
    if at.order(state, i).leaves == 0:
        finish(state, i)


@cold
def _protect(state: STATE, i: int, x: int):
    """A quote's order traded: when that was too much, the quote goes. Whoever works in the level of the order that traded tells that level."""
    o = at.order(state, i)
    if not at.order_extra(state, i).quoted or not protection_trips(state, o.position, o.side, x):
        return
    p = at.position_extra(state, o.position)
    bid, ask = p.bid + 0, p.ask + 0
    if bid:
        cancel_special(state, bid, Reason.PROTECTED, 0, 0 if bid == i else 1)
    if ask:
        cancel_special(state, ask, Reason.PROTECTED, 0, 0 if ask == i else 1)


@cold
def trade(state: STATE, b: INSTRUMENT, instrument: int, i: int, liquidity: int, j: int, other_liquidity: int, x: int, price: int):
    """x changes hands between two special orders; told in the order the two are given."""
    one, other = at.order(state, i), at.order(state, j)
    worth = amount(b, x, price)
    # hold
    paid, other_paid = _fee_of(state, b, i, worth, liquidity), _fee_of(state, b, j, worth, other_liquidity)
    _lose_traded(state, i, x, worth, liquidity)
    _lose_traded(state, j, x, worth, other_liquidity)
    # book
    keep_anchor(state, b, instrument, price)
    buyer, seller = (i, j) if one.side == Side.BUY else (j, i)
    buys, sells = at.position_row(state, at.order(state, buyer).position), at.position_row(state, at.order(state, seller).position)
    buyer_paid, seller_paid = (paid, other_paid) if one.side == Side.BUY else (other_paid, paid)
    post_trade(state, b, buys.account, sells.account, x, worth, 0, 0)
    buys.net = buys.net + x
    sells.net = sells.net - x
    b.last = price
    b.book_last = price
    match = state.matches + 1
    state.matches = match
    cover_children(state, buyer)
    cover_children(state, seller)
    rebates = 1 if paid < 0 or other_paid < 0 else 0
    buyer_instead = post_fee(state, b, buys.account, buyer_paid, rebates)
    seller_instead = post_fee(state, b, sells.account, seller_paid, rebates)
    note_trade(state, b, buys, Side.BUY, worth, buyer_paid, price)
    note_trade(state, b, sells, Side.SELL, worth, seller_paid, price)
    instead, other_instead = (buyer_instead, seller_instead) if one.side == Side.BUY else (seller_instead, buyer_instead)
    # emit
    _tell_filled(state, i, liquidity, match, price, x, worth, 0 if instead else paid)
    _tell_filled(state, j, other_liquidity, match, price, x, worth, 0 if other_instead else other_paid)
    tell_charged(state, account_of(one), instrument, one.id, as_taker_of(at.order_extra(state, i).options, liquidity), instead)
    tell_charged(state, account_of(other), instrument, other.id, as_taker_of(at.order_extra(state, j).options, other_liquidity), other_instead)
    touch(state, b, instrument)
    _after_trade(state, i, x)
    _after_trade(state, j, x)
    _protect(state, i, x)
    _protect(state, j, x)
    stop_losses(state, buys.account)
    stop_losses(state, sells.account)


@cold
def _fill(state: STATE, b: INSTRUMENT, instrument: int, i: int, j: int, x: int):
    """A trade in the book at the maker's price. An iceberg that shows nothing any more shows again, at the end of its level."""
    o, e = at.order(state, i), at.order_extra(state, i)
    tick = at.level(state, o.level).tick + 0
    if e.display:
        show_again(state, i, e.shown - x)
    trade(state, b, instrument, i, Liquidity.MAKER, j, Liquidity.TAKER, x, price_of(b, tick))
    if e.stands and o.leaves and e.display and e.shown == 0:
        if o.next:
            leave_level(state, b, i)
            enter_level(state, b, i, tick)
        else:
            show_again(state, i, min(e.display, o.leaves))


@cold
def meet(state: STATE, b: INSTRUMENT, instrument: int, i: int, j: int):
    """The first order of the best level, and the taker."""
    make_special(state, b, instrument, i)
    if is_dying(state, i):
        cancel_special(state, i, Reason.DYING, 0, 0)
    elif may_not_trade(state, i, j):
        meet_self(state, i, j, 1)
    elif too_much(state, i):
        fit(state, i, 0)
    elif too_much(state, j):
        fit(state, j, 1)
    else:
        m, o = at.order(state, i), at.order(state, j)
        x = o.leaves + 0
        if at.order_extra(state, j).options & BY_QUOTE:
            x = lots(b, o.leaves, price_of(b, at.level(state, m.level).tick))
        x = min(x, at.order_extra(state, i).shown)
        if x:
            _fill(state, b, instrument, i, j, x)
        else:
            cancel_special(state, j, Reason.IMMEDIATE, 0, 0)


# ------------------------------------------------------------------------------------------------------------------ the sweep
@cold
def tell_if_changed(state: STATE, b: INSTRUMENT, instrument: int, side: int, row: int, quantity: int, orders: int):
    """A level is told when it is not what it was."""
    l = at.level(state, row)
    if l.quantity != quantity or l.orders != orders:
        tell_level(state, b, instrument, side, row)


@cold
def _tell_met(state: STATE, b: INSTRUMENT, t: TAKER, side: int, row: int):
    """The level that the taker is done with. Touched 1: a plain order of it was filled, so it is another for sure."""
    if t.touched == 1:
        tell_level(state, b, t.instrument, side, row)
    elif t.touched:
        tell_if_changed(state, b, t.instrument, side, row, t.met_quantity, t.met_orders)
    t.touched = 0


@cold
def _sweep(state: STATE, b: INSTRUMENT, t: TAKER):
    """Match until nothing crosses, nothing is left or the band stops it. 1: parked for want of room; call again with an empty buffer."""
    o = at.order(state, t.order)
    while o.leaves and crosses(b, o.side, t.tick):
        if state.written + ROOM > at.event_room(state):
            return 1
        best = b.ask + 0 if o.side == Side.BUY else b.bid + 0
        if is_outside(state, b, t.instrument, price_of(b, best)):
            t.broken = 1
            return 0
        row = level_at(state, b, 1 - o.side, best)
        l = at.level(state, row)
        if t.touched == 0:
            t.touched = 2
            t.met_quantity = l.quantity
            t.met_orders = l.orders
        meet(state, b, t.instrument, l.head + 0, t.order)
        if at.level(state, row).head == 0 or o.leaves == 0:
            _tell_met(state, b, t, 1 - o.side, row)
    return 0


@cold
def begin_taking(state: STATE, i: int, from_queue: int, counts: int):
    """A special order that nothing stands of in the book is at work now."""
    o, e, t = at.order(state, i), at.order_extra(state, i), at.taker(state, 0)
    b = at.instrument(state, e.instrument)
    t.order = i
    t.instrument = e.instrument
    t.price = e.worst
    t.tick = (e.worst - b.min_price) // b.book_tick
    t.immediate = 1 if e.order_type == OrderType.MARKET or e.time_in_force == TimeInForce.IOC or e.time_in_force == TimeInForce.FOK else 0
    t.known = e.stands
    t.touched = 0
    t.sequence = state.sequence
    t.from_queue = from_queue
    t.complete = 1
    t.matches = state.matches
    t.counts = counts
    t.broken = 0
    o.level = 0
    work_special(state)


@cold
def go_on_specially(state: STATE, t: TAKER):
    """A plain taker has met what is not plain: it goes on as a special one."""
    mark_special(state, t.order, t.instrument, t.price)
    at.order(state, t.order).level = 0
    at.order_extra(state, t.order).stands = t.known
    t.sequence = state.sequence
    t.from_queue = 0
    t.complete = 1
    t.matches = state.matches
    t.counts = 0
    t.broken = 0
    follow(state, t.order, 1)


@cold
def work_special(state: STATE):
    """Match the special order at work; what is left is cancelled, waits for the auction it has caused, or joins the book. Active while it is parked."""
    t = at.taker(state, 0)
    b, o, e = at.instrument(state, t.instrument), at.order(state, t.order), at.order_extra(state, t.order)
    i, now = t.order + 0, state.sequence + 0
    state.sequence = t.sequence
    t.active = _sweep(state, b, t)
    if not t.active:
        if o.leaves:
            _place_rest(state, b, t, i)
        t.order = 0
        t.complete = 0
        if not e.stands:
            give_order(state, i)
        if t.broken:
            call_volatility(state, b, t.instrument)
        if t.counts and state.matches > t.matches:
            count_execution(state, account_of(o))
    state.sequence = now


@cold
def _place_rest(state: STATE, b: INSTRUMENT, t: TAKER, i: int):
    """What is left of a taker."""
    o = at.order(state, i)
    if t.broken and t.from_queue:
        join_queue(state, i, 1)
        stand_outside(state, i, OrderState.TRIGGERED)
    elif t.immediate:
        cancel_special(state, i, Reason.BAND if t.broken else Reason.IMMEDIATE, 0, 1)
    elif may_rest(state, b, o.side, t.tick):
        stand_in_book(state, b, i, t.tick)
        tell_level(state, b, t.instrument, o.side, o.level)
    else:
        cancel_special(state, i, Reason.CAPACITY, 0, 1)


# ------------------------------------------------------------------------------------------------- both rest, in an auction
@cold
def rest_waiting(state: STATE, i: int):
    """An order that waited for its auction rests in the book, and its level is told."""
    o, e = at.order(state, i), at.order_extra(state, i)
    b = at.instrument(state, e.instrument)
    tick = (e.worst - b.min_price) // b.book_tick
    if not may_rest(state, b, o.side, tick):
        cancel_special(state, i, Reason.CAPACITY, 0, 1)
        return
    stand_in_book(state, b, i, tick)
    tell_level(state, b, e.instrument, o.side, o.level)


@cold
def make_both_special(state: STATE, b: INSTRUMENT, instrument: int, i: int, j: int):
    make_special(state, b, instrument, i)
    make_special(state, b, instrument, j)


@cold
def trade_resting(state: STATE, b: INSTRUMENT, instrument: int, buyer: int, seller: int, price: int):
    """The smaller leaves, hidden quantity too, at one price."""
    make_both_special(state, b, instrument, buyer, seller)
    x = min(at.order(state, buyer).leaves, at.order(state, seller).leaves)
    trade(state, b, instrument, buyer, Liquidity.AUCTION, seller, Liquidity.AUCTION, x, price)


@cold
def meet_resting(state: STATE, b: INSTRUMENT, instrument: int, maker: int, taker: int):
    """Two orders at rest that may not trade; the later in order of arrival is the taker."""
    make_both_special(state, b, instrument, maker, taker)
    meet_self(state, maker, taker, 0)


@cold
def fit_resting(state: STATE, b: INSTRUMENT, instrument: int, i: int):
    fit(state, i, 0)
