"""NEW_ORDER, AMEND_ORDER, CANCEL_ORDER, CANCEL_ALL: what is accepted, in the order of docs/rules.md section 4. Matching is elsewhere."""
from cambist.core import layout as at
from cambist.core.accounts import may_trade, next_id
from cambist.core.book import leave, may_rest, price_of, tell_level
from cambist.core.control import begin_sweep
from cambist.core.emit import done, echo, put, refuse
from cambist.core.layout import INSTRUMENT, STATE, TAKER, L
from cambist.core.matching import crosses, drop_order, fillable, finish_taker, is_dying, open_change, sweep, withdraw_order
from cambist.core.memory import cold, hot
from cambist.core.pools import ORDER_TAG, find, room_order
from cambist.core.risk import (
    change_hold,
    check_funds,
    check_notional,
    check_position,
    check_price,
    check_quantity,
    check_side_collar,
    hold_of,
    market_limit,
)
from cambist.core.trades import move_position
from cambist.messages import Event, Kind, OrderType, Reason, SelfTrade, Side, TimeInForce

NEW, CANCEL, AMEND = L[Kind.NEW_ORDER], L[Kind.CANCEL_ORDER], L[Kind.AMEND_ORDER]


@hot
def highest_fee(b: INSTRUMENT):
    return max(b.maker_ppm, b.taker_ppm)


@cold
def _check_words(b: INSTRUMENT, c: NEW):
    """The order's own fields, before its numbers."""
    if b.halted:
        return Reason.HALTED
    if c.side > Side.SELL:
        return Reason.BAD_SIDE
    if c.order_type > OrderType.MARKET:
        return Reason.BAD_TYPE
    if c.time_in_force > TimeInForce.FOK:
        return Reason.BAD_TIME_IN_FORCE
    if c.self_trade > SelfTrade.DECREMENT:
        return Reason.BAD_SELF_TRADE
    if c.post_only > 1 or (c.post_only and (c.time_in_force != TimeInForce.GTC or c.order_type == OrderType.MARKET)):
        return Reason.BAD_VALUE
    if c.order_type == OrderType.LIMIT:
        return check_price(b, c.price, b.book_tick)
    if c.price:
        return Reason.BAD_PRICE
    return Reason.BAD_TIME_IN_FORCE if c.time_in_force == TimeInForce.FOK else Reason.NONE


@cold
def _check_new(state: STATE, c: NEW, b: INSTRUMENT, price: int):
    """What may be risked, then what the book allows."""
    if c.order_type == OrderType.LIMIT:
        reason = check_side_collar(state, b, c.instrument, c.side, price)
        if reason:
            return reason
    reason = check_notional(b, c.quantity, price)
    if reason:
        return reason
    owner = at.account(state, c.account)
    if owner.open_orders >= owner.max_open:
        return Reason.OPEN_ORDERS
    reason = check_position(state, b, c.account, c.instrument, c.side, c.quantity, 0)
    if reason:
        return reason
    tick = (price - b.min_price) // b.book_tick
    if not room_order(state) or not may_rest(state, b, tick):
        return Reason.CAPACITY
    reason = check_funds(state, b, c.account, c.side, hold_of(b, c.side, c.quantity, price, highest_fee(b)))
    if reason:
        return reason
    if c.post_only and crosses(b, c.side, tick):
        return Reason.POST_ONLY
    if c.time_in_force == TimeInForce.FOK and not fillable(state, b, c.side, tick, c.account, c.self_trade, c.quantity):
        return Reason.UNFILLABLE
    return Reason.NONE


@cold
def new_order(state: STATE, c: NEW):
    # check
    if not may_trade(at.account(state, c.account).kind):
        refuse(state, c.account, Reason.NOT_ALLOWED, 0)
        return
    if c.instrument < 1 or c.instrument > state.instrument_count:
        refuse(state, c.account, Reason.UNKNOWN_INSTRUMENT, 0)
        return
    b = at.instrument(state, c.instrument)
    reason = _check_words(b, c)
    if not reason:
        reason = check_quantity(b, c.quantity)
    price = c.price + 0
    if not reason and c.order_type == OrderType.MARKET:
        price = market_limit(state, b, c.instrument, c.side)
        if price == 0:
            reason = Reason.NO_REFERENCE
    if not reason:
        reason = _check_new(state, c, b, price)
    if reason:
        refuse(state, c.account, reason, 0)
        return
    # hold
    t = at.taker(state, 0)
    t.id = next_id(state, c.account)
    t.account = c.account
    t.instrument = c.instrument
    t.side = c.side
    t.immediate = 1 if c.order_type == OrderType.MARKET or c.time_in_force != TimeInForce.GTC else 0
    t.self_trade = c.self_trade
    t.post_only = c.post_only
    t.quantity = c.quantity
    t.held = 0
    _hold_taker(state, b, t, price, c.quantity)
    # emit
    i = put(state, Event.ORDER_ACCEPTED, c.account, c.instrument, t.id, 0)
    e = at.event(state, i)
    e.side = c.side
    e.price = price
    e.quantity = c.quantity
    e.leaves = c.quantity
    echo(state, i)
    # match
    work_taker(state)


@hot
def _hold_taker(state: STATE, b: INSTRUMENT, t: TAKER, price: int, leaves: int):
    t.price = price
    t.tick = (price - b.min_price) // b.book_tick
    t.leaves = leaves
    t.fee_ppm = highest_fee(b)
    held = hold_of(b, t.side, leaves, price, t.fee_ppm)
    change_hold(state, b, t.account, t.side, held - t.held)
    t.held = held


@cold
def work_taker(state: STATE):
    """Match the taker on and let its rest rest; it stays active while it is parked."""
    t = at.taker(state, 0)
    b = at.instrument(state, t.instrument)
    t.active = sweep(state, b, t)
    if not t.active:
        finish_taker(state, b, t)


@hot
def _own_order(state: STATE, account: int, id: int):
    """Row of an order that is there and belongs to the account, or 0."""
    i = find(state, ORDER_TAG, id)
    return i if i and at.order(state, i).account == account else 0


@cold
def cancel_order(state: STATE, c: CANCEL):
    i = _own_order(state, c.account, c.order)
    if i == 0:
        refuse(state, c.account, Reason.UNKNOWN_ORDER, c.order)
        return
    instrument = at.level(state, at.order(state, i).level).instrument + 0
    echo(state, withdraw_order(state, at.instrument(state, instrument), instrument, i, Reason.USER))


@cold
def _check_amend(state: STATE, c: AMEND, i: int, b: INSTRUMENT, instrument: int):
    o = at.order(state, i)
    if is_dying(state, o):
        return Reason.DYING
    if b.halted:
        return Reason.HALTED
    reason = check_price(b, c.price, b.book_tick)
    if reason:
        return reason
    leaves = c.quantity - (o.quantity - o.leaves)
    if c.quantity < 1 or leaves < 1:
        return Reason.BAD_QUANTITY
    reason = check_quantity(b, c.quantity)
    if not reason:
        reason = check_side_collar(state, b, instrument, o.side, c.price)
    if not reason:
        reason = check_notional(b, leaves, c.price)
    if not reason:
        reason = check_position(state, b, c.account, instrument, o.side, leaves, o.leaves)
    if reason:
        return reason
    tick = (c.price - b.min_price) // b.book_tick
    if not may_rest(state, b, tick):
        return Reason.CAPACITY
    more = hold_of(b, o.side, leaves, c.price, highest_fee(b)) - o.held
    if more > 0:
        reason = check_funds(state, b, c.account, o.side, more)
        if reason:
            return reason
    if o.post_only and crosses(b, o.side, tick):
        return Reason.POST_ONLY
    return Reason.NONE


@cold
def amend_order(state: STATE, c: AMEND):
    # check
    i = _own_order(state, c.account, c.order)
    if i == 0:
        refuse(state, c.account, Reason.UNKNOWN_ORDER, c.order)
        return
    o = at.order(state, i)
    l = at.level(state, o.level)
    instrument = l.instrument + 0
    b = at.instrument(state, instrument)
    reason = _check_amend(state, c, i, b, instrument)
    if reason:
        refuse(state, c.account, reason, c.order)
        return
    # hold
    leaves = c.quantity - (o.quantity - o.leaves)
    stays = c.price == price_of(b, l.tick) and leaves <= o.leaves
    side, row = o.side + 0, o.level + 0
    changes = not stays or leaves != o.leaves
    if stays:
        held = hold_of(b, side, leaves, c.price, highest_fee(b))
        change_hold(state, b, c.account, side, held - o.held)
        move_position(state, c.account, instrument, 0, open_change(side, Side.BUY, leaves - o.leaves), open_change(side, Side.SELL, leaves - o.leaves))
        l.quantity = l.quantity - (o.leaves - leaves)
        o.quantity = c.quantity
        o.leaves = leaves
        o.held = held
        o.fee_ppm = highest_fee(b)
    else:
        t = at.taker(state, 0)
        t.id = o.id
        t.account = c.account
        t.instrument = instrument
        t.side = side
        t.immediate = 0
        t.self_trade = o.self_trade
        t.post_only = o.post_only
        t.quantity = c.quantity
        t.held = o.held
        move_position(state, c.account, instrument, 0, -open_change(side, Side.BUY, o.leaves), -open_change(side, Side.SELL, o.leaves))
        leave(state, b, o)
        drop_order(state, i)
        _hold_taker(state, b, t, c.price, leaves)
    # emit
    n = put(state, Event.ORDER_AMENDED, c.account, instrument, c.order, 0)
    e = at.event(state, n)
    e.side = side
    e.price = c.price
    e.quantity = c.quantity
    e.leaves = leaves
    echo(state, n)
    if changes:
        tell_level(state, b, instrument, side, row)
    # match
    if not stays:
        work_taker(state)


@cold
def cancel_all(state: STATE, account: int):
    begin_sweep(state, account, Reason.CANCEL_ALL)
    done(state, account, account)
