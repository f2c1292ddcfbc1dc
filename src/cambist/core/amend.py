"""AMEND_ORDER where the order, its account or its instrument is not plain. It keeps its place only when nothing but its quantity falls. Section 4."""
from cambist.core import layout as at
from cambist.core.accept import check_line, check_open_to, reducing, slid_tick
from cambist.core.book import crosses, may_rest, price_of
from cambist.core.trading_controls import check_exposure
from cambist.core.emit import answer, of, refuse
from cambist.core.fees import hold_minimum, hold_ppm
from cambist.core.layout import DRAFT, INSTRUMENT, STATE, L
from cambist.core.lists import is_peg
from cambist.core.meetings import begin_taking, is_dying, rest_waiting, room_to_reduce, tell_if_changed
from cambist.core.memory import cold
from cambist.core.risk import amount_up, check_open, check_quantity, check_side_collar, tick_of
from cambist.core.market_sessions import gathers
from cambist.core.order_standing import executed, follow, full_hold, leave_level, make_special, set_leaves, show_again
from cambist.messages import MAX_AMOUNT, REDUCE_ONLY, Event, Kind, Link, OrderState, PostOnly, Reason

AMEND = L[Kind.AMEND_ORDER]


@cold
def _check_order(state: STATE, c: AMEND, i: int, instrument: int):
    """Whether this order may be amended now."""
    if is_dying(state, i):
        return Reason.DYING
    reason = check_open_to(state, c.account, c.actor, instrument)
    if reason:
        return reason
    if not at.order(state, i).special:
        return Reason.NONE
    e = at.order_extra(state, i)
    return Reason.UNAMENDABLE if e.state != OrderState.BOOK or is_peg(e) or e.link != Link.NONE or e.quoted else Reason.NONE


@cold
def _check_numbers(state: STATE, c: AMEND, i: int, instrument: int, b: INSTRUMENT, d: DRAFT):
    """Price and size by themselves; the draft is then what it would become."""
    o = at.order(state, i)
    tick = tick_of(b, c.price)
    if tick < 0:
        return -tick
    d.base = c.quantity - executed(o)
    if c.quantity < 1 or d.base < 1:
        return Reason.BAD_QUANTITY
    reason = check_quantity(b, c.quantity)
    if not reason:
        reason = check_side_collar(state, b, instrument, o.side, c.price)
    if reason:
        return reason
    d.tick = slid_tick(state, b, instrument, at.order_extra(state, i).post_only if o.special else 0, o.side, tick)
    if d.tick < 0:
        return Reason.POST_ONLY
    d.worst = price_of(b, d.tick)
    d.amount = amount_up(b, d.base, d.worst)
    if d.amount < 0:
        return Reason.OVERFLOW
    d.fee_ppm = hold_ppm(state, b, c.account, instrument)
    d.fee_min = hold_minimum(state, c.account, instrument)
    d.hold = full_hold(b, o.side, d.base, d.worst, d.fee_ppm, d.fee_min if executed(o) == 0 else 0)
    if d.hold > MAX_AMOUNT:
        return Reason.OVERFLOW
    return Reason.MAX_NOTIONAL if d.amount > b.max_notional else Reason.NONE


@cold
def _check_risk(state: STATE, c: AMEND, i: int, instrument: int, b: INSTRUMENT, d: DRAFT):
    """As a new order of the new leaves, its own old ones not counted."""
    o = at.order(state, i)
    reason = check_open(b, at.position_row(state, o.position), o.side, d.base, o.leaves)
    if reason:
        return reason
    value, reduces, post_only = 0, 0, 0
    if o.special:
        e = at.order_extra(state, i)
        value, reduces, post_only = e.value + 0, e.options & REDUCE_ONLY, e.post_only + 0
        if reduces and d.base > room_to_reduce(state, o.position, o.side) - (reducing(state, o.position, o.side) - e.reduces):
            return Reason.REDUCE_ONLY
    if not reduces:
        reason = check_exposure(state, b, c.account, o.side, d.amount, value)
        if reason:
            return reason
    if not may_rest(state, b, o.side, d.tick):
        return Reason.CAPACITY
    if d.hold > o.held:
        reason = check_line(state, b, o.position, o.side, d.hold - o.held)
        if reason:
            return reason
    taking = post_only == PostOnly.REJECT and not gathers(at.instrument_extra(state, instrument)) and crosses(b, o.side, d.tick)
    return Reason.POST_ONLY if taking else Reason.NONE


@cold
def amend_special(state: STATE, c: AMEND, i: int):
    # check
    o, d = at.order(state, i), at.draft(state, 0)
    instrument = at.position_row(state, o.position).instrument + 0
    b = at.instrument(state, instrument)
    reason = _check_order(state, c, i, instrument)
    if not reason:
        reason = _check_numbers(state, c, i, instrument, b, d)
    if not reason:
        reason = _check_risk(state, c, i, instrument, b, d)
    if reason:
        refuse(state, c.account, reason, c.order)
        return
    # hold
    make_special(state, b, instrument, i)
    e, row = at.order_extra(state, i), o.level + 0
    l = at.level(state, row)
    quantity, orders = l.quantity + 0, l.orders + 0
    stays = d.tick == l.tick and d.base <= o.leaves
    if stays:
        set_leaves(state, i, d.base)
        if not e.display:
            show_again(state, i, d.base)
    else:
        leave_level(state, b, i)
        set_leaves(state, i, d.base)
        e.shown = min(e.shown, d.base) if e.display else d.base
    o.quantity = c.quantity
    e.worst = d.worst
    o.fee_ppm = d.fee_ppm
    e.fee_min = d.fee_min
    follow(state, i, 0 if stays else 1)
    # emit
    answer(state, of(Event.ORDER_AMENDED, 0, o.side, 0), c.account, instrument, c.order, d.worst, c.quantity, d.base)
    tell_if_changed(state, b, instrument, o.side, row, quantity, orders)
    # match
    if not stays:
        if gathers(at.instrument_extra(state, instrument)):
            rest_waiting(state, i)
        else:
            begin_taking(state, i, 0, 1)
