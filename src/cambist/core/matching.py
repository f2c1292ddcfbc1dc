"""A taker against the book: price, then time. Decides who trades with whom and what a self-trade does; parks the taker when the events have no room.

An order has its row from acceptance on. While it is at work it stands in no level, and what is only needed then is in the row `taker`.
"""
from cambist.core import layout as at
from cambist.core.accounts import ORDINAL_MASK, account_of
from cambist.core.arithmetic import fee
from cambist.core.agenda import touch
from cambist.core.book import crosses, leave, level_at, price_of, rest, tell_level
from cambist.core.emit import answer, of, say, write
from cambist.core.ends import cancel_special
from cambist.core.bands import keep_anchor
from cambist.core.layout import HAS_BAND, INSTRUMENT, ORDER, POSITION, ROOM, STATE, TAKER
from cambist.core.meetings import go_on_specially, is_outside, work_special
from cambist.core.memory import cold, hot
from cambist.core.pools import give_order
from cambist.core.risk import amount, change_hold, hold_of
from cambist.core.order_rows import change_open, drop_order, list_order, unlist
from cambist.core.trades import post_trade
from cambist.messages import Event, Liquidity, Reason, SelfTrade, Side

PARKED, NOT_PLAIN = 1, 2                        # how a sweep may end besides being done


@hot
def is_latched(state: STATE, o: ORDER):
    """Below its account's cancel-all latch: it never trades again. Of a plain order nothing else could end that."""
    return 1 if (o.id & ORDINAL_MASK) < at.account(state, account_of(o)).dying_below else 0


# ------------------------------------------------------------------------------------------------------------ the rows
@hot
def _take_out(state: STATE, b: INSTRUMENT, i: int, o: ORDER):
    """A resting order goes for good: its hold, its queue, its account's list, its id, its row."""
    p = at.position_row(state, o.position)
    change_hold(state, b, p, account_of(o), o.side, -o.held)
    change_open(p, o.side, -o.leaves)
    leave(state, b, o)
    unlist(state, i, o)
    give_order(state, i)


@cold
def remove_order(state: STATE, b: INSTRUMENT, instrument: int, i: int, reason: int):
    """Cancel a maker that a taker has met; its level is told later."""
    o = at.order(state, i)
    price = price_of(b, at.level(state, o.level).tick)
    _take_out(state, b, i, o)
    say(state, of(Event.ORDER_CANCELLED, reason, o.side, 0), account_of(o), instrument, o.id, price, o.leaves, 0)


@hot
def withdraw_plain(state: STATE, i: int, reason: int, answers: int):
    """Cancel a plain order that nobody is trading with now, and tell its level."""
    o = at.order(state, i)
    row = o.level + 0
    l = at.level(state, row)
    instrument = l.instrument + 0
    b = at.instrument(state, instrument)
    price, side, leaves, id = price_of(b, l.tick), o.side + 0, o.leaves + 0, o.id + 0
    _take_out(state, b, i, o)
    if answers:
        answer(state, of(Event.ORDER_CANCELLED, reason, side, 0), account_of(o), instrument, id, price, leaves, 0)
    else:
        say(state, of(Event.ORDER_CANCELLED, reason, side, 0), account_of(o), instrument, id, price, leaves, 0)
    tell_level(state, b, instrument, side, row)
    touch(state, b, instrument)


@cold
def withdraw_order(state: STATE, i: int, reason: int, answers: int):
    """Cancel any order that nobody is trading with now."""
    if at.order(state, i).special:
        cancel_special(state, i, reason, answers, 1)
    else:
        withdraw_plain(state, i, reason, answers)


@cold
def rest_order(state: STATE, b: INSTRUMENT, instrument: int, i: int, tick: int, known: int):
    join_book(state, b, instrument, i, tick, known)


@hot
def join_book(state: STATE, b: INSTRUMENT, instrument: int, i: int, tick: int, known: int):
    """What is left of an order at work joins the book; `known`: it stood there before."""
    o = at.order(state, i)
    rest(state, b, instrument, i, o, tick)
    change_open(at.position_row(state, o.position), o.side, o.leaves)
    if not known:
        list_order(state, i, o)
    tell_level(state, b, instrument, o.side, o.level)
    touch(state, b, instrument)


# ------------------------------------------------------------------------------------------------------------ one match
@hot
def _set_maker_leaves(state: STATE, b: INSTRUMENT, m: ORDER, p: POSITION, price: int, leaves: int):
    """A resting order's leaves fall: its hold, its level and what it has open follow."""
    held = hold_of(b, m.side, leaves, price, m.fee_ppm) if leaves else 0
    change_hold(state, b, p, account_of(m), m.side, held - m.held)
    change_open(p, m.side, leaves - m.leaves)
    l = at.level(state, m.level)
    l.quantity = l.quantity - (m.leaves - leaves)
    m.leaves = leaves
    m.held = held


@hot
def release_taker(state: STATE, b: INSTRUMENT, t: TAKER, o: ORDER):
    """What an order at work holds becomes what its leaves may still cost: once, when matching is done with it."""
    held = hold_of(b, o.side, o.leaves, t.price, o.fee_ppm) if o.leaves else 0
    if held != o.held:
        change_hold(state, b, at.position_row(state, o.position), account_of(o), o.side, held - o.held)
        o.held = held


@cold
def _trade(state: STATE, b: INSTRUMENT, t: TAKER, o: ORDER, i: int, price: int):
    """Fill the smaller leaves at the maker's price: holds fall, both legs are posted, both sides are told."""
    m = at.order(state, i)
    maker, taker = at.position_row(state, m.position), at.position_row(state, o.position)
    x = min(m.leaves, o.leaves)
    # hold
    _set_maker_leaves(state, b, m, maker, price, m.leaves - x)
    o.leaves = o.leaves - x
    # book
    worth = amount(b, x, price)
    maker_fee, taker_fee = fee(worth, min(b.maker_ppm, m.fee_ppm)), fee(worth, b.taker_ppm)
    if o.side == Side.BUY:
        post_trade(state, b, taker.account, maker.account, x, worth, taker_fee, maker_fee)
        taker.net, maker.net = taker.net + x, maker.net - x
    else:
        post_trade(state, b, maker.account, taker.account, x, worth, maker_fee, taker_fee)
        taker.net, maker.net = taker.net - x, maker.net + x
    if b.flags & HAS_BAND:
        keep_anchor(state, b, t.instrument, price)
    b.last = price
    b.book_last = price
    match = state.matches + 1
    state.matches = match
    # emit
    write(state, of(Event.FILLED, 0, m.side, Liquidity.MAKER), maker.account, t.instrument, m.id, match, price, x, m.leaves, worth, maker_fee)
    write(state, of(Event.FILLED, 0, o.side, Liquidity.TAKER), taker.account, t.instrument, o.id, match, price, x, o.leaves, worth, taker_fee)
    if m.leaves == 0:
        leave(state, b, m)
        drop_order(state, i)


@cold
def _cancel_taker(state: STATE, t: TAKER, o: ORDER, reason: int):
    """What is left of a taker goes."""
    say(state, of(Event.ORDER_CANCELLED, reason, o.side, 0), account_of(o), t.instrument, o.id, t.price, o.leaves, 0)
    o.leaves = 0


@cold
def _meet_self(state: STATE, b: INSTRUMENT, t: TAKER, o: ORDER, i: int):
    """The taker's mode decides (CME and Binance publish the same four); DECREMENT is no plain order's."""
    if o.self_trade != SelfTrade.CANCEL_NEWEST:
        t.touched = 1
        remove_order(state, b, t.instrument, i, Reason.SELF_TRADE)
    if o.self_trade != SelfTrade.CANCEL_OLDEST:
        _cancel_taker(state, t, o, Reason.SELF_TRADE)


# ------------------------------------------------------------------------------------------------------------ the sweep
@cold
def _sweep(state: STATE, b: INSTRUMENT, t: TAKER, o: ORDER):
    """Match until nothing crosses or nothing is left. PARKED for want of room: call again with an empty buffer; NOT_PLAIN: what it has met is,
    or it has come to the edge of the band."""
    account = account_of(o)
    while o.leaves and crosses(b, o.side, t.tick):
        if state.written + ROOM > at.event_room(state):
            return PARKED
        best = b.ask if o.side == Side.BUY else b.bid
        if b.flags & HAS_BAND and is_outside(state, b, t.instrument, price_of(b, best)):
            return NOT_PLAIN
        row = level_at(state, b, 1 - o.side, best)
        i = at.level(state, row).head + 0
        m = at.order(state, i)
        if m.special | at.account(state, account_of(m)).flags:
            return NOT_PLAIN
        if is_latched(state, m):
            remove_order(state, b, t.instrument, i, Reason.DYING)
            t.touched = 1
        elif account_of(m) == account:
            if o.self_trade == SelfTrade.DECREMENT:
                return NOT_PLAIN                # what is prevented is in no plain row
            _meet_self(state, b, t, o, i)
        else:
            _trade(state, b, t, o, i, price_of(b, best))
            t.touched = 1
        if t.touched and (at.level(state, row).head == 0 or o.leaves == 0):
            tell_level(state, b, t.instrument, 1 - o.side, row)
            t.touched = 0
    return 0


@cold
def work_taker(state: STATE):
    """Match the order at work on; what is left is cancelled (immediate) or joins the book. It stays active while it is parked."""
    t = at.taker(state, 0)
    if t.complete:
        work_special(state)
        return
    b = at.instrument(state, t.instrument)
    o = at.order(state, t.order)
    t.active = NOT_PLAIN if state.traders_killed else _sweep(state, b, t, o)
    if t.active == PARKED:
        return
    if t.active == NOT_PLAIN:
        t.active = 0
        touch(state, b, t.instrument)           # what it has done so far may have moved the best price, whatever it does now
        go_on_specially(state, t)
        work_special(state)
        return
    if o.leaves and t.immediate:
        _cancel_taker(state, t, o, Reason.IMMEDIATE)
    release_taker(state, b, t, o)
    if o.leaves:
        rest_order(state, b, t.instrument, t.order, t.tick, t.known)
    elif t.known:
        drop_order(state, t.order)
    else:
        give_order(state, t.order)
    t.order = 0
    touch(state, b, t.instrument)
