"""NEW_ORDER, AMEND_ORDER, CANCEL_ORDER, CANCEL_ALL: what is accepted, in the order of docs/rules.md section 4. Matching is elsewhere."""
from cambist.core import layout as at
from cambist.core.accounts import account_of, may_trade, next_id, position_of
from cambist.core.book import leave, may_rest, price_of, tell_level
from cambist.core.control import begin_sweep
from cambist.core.emit import done, echo, of, refuse, say
from cambist.core.layout import INSTRUMENT, ORDER, STATE, TAKER, L
from cambist.core.matching import change_open, crosses, fillable, is_dying, rest_order, withdraw_order, work_taker
from cambist.core.memory import cold, hot
from cambist.core.pools import find_order, room_order, take_order
from cambist.core.risk import (
    amount_up,
    change_hold,
    check_funds,
    check_open,
    check_quantity,
    check_side_collar,
    check_worth,
    hold_of_worth,
    market_limit,
    tick_of,
)
from cambist.messages import Event, Kind, OrderType, Reason, SelfTrade, Side, TimeInForce

NEW, CANCEL, AMEND = L[Kind.NEW_ORDER], L[Kind.CANCEL_ORDER], L[Kind.AMEND_ORDER]


@hot
def _is_plain(c: NEW):
    """A limit order to rest, with nothing special: no more is to be asked of its words."""
    return (c.order_type | c.time_in_force | c.post_only) == 0 and c.side <= Side.SELL and c.self_trade <= SelfTrade.DECREMENT


@cold
def _check_words(c: NEW):
    """The order's own fields, before its numbers."""
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
    if c.order_type == OrderType.MARKET:
        if c.price:
            return Reason.BAD_PRICE
        return Reason.BAD_TIME_IN_FORCE if c.time_in_force == TimeInForce.FOK else Reason.NONE
    return Reason.NONE


@hot
def _check_price(state: STATE, c: NEW, b: INSTRUMENT, t: TAKER):
    """Its limit and its size: kept as the taker's price and tick. A market order's limit is the band's edge."""
    t.price = c.price
    t.tick = 0
    if c.order_type == OrderType.LIMIT:
        tick = tick_of(b, c.price)
        if tick < 0:
            return -tick
        t.tick = tick
    reason = check_quantity(b, c.quantity)
    if reason:
        return reason
    if c.order_type == OrderType.LIMIT:
        return check_side_collar(state, b, c.instrument, c.side, c.price)
    t.price = market_limit(state, b, c.instrument, c.side)
    if t.price == 0:
        return Reason.NO_REFERENCE
    t.tick = tick_of(b, t.price)
    return Reason.NONE


@hot
def _check_new(state: STATE, c: NEW, b: INSTRUMENT, t: TAKER):
    """What may be risked, then what the book allows: price, tick, hold and position are then the taker's."""
    if b.halted:
        return Reason.HALTED
    reason = 0 if _is_plain(c) else _check_words(c)
    if not reason:
        reason = _check_price(state, c, b, t)
    if reason:
        return reason
    worth = amount_up(b, c.quantity, t.price)
    reason = check_worth(b, worth)
    if reason:
        return reason
    owner = at.account(state, c.account)
    if owner.open_orders >= owner.max_open:
        return Reason.OPEN_ORDERS
    t.position = position_of(state, c.account, c.instrument)
    if t.position == 0:
        return Reason.CAPACITY
    p = at.position_row(state, t.position)
    reason = check_open(b, p, c.side, c.quantity, 0)
    if reason:
        return reason
    if not room_order(state) or not may_rest(state, b, t.tick):
        return Reason.CAPACITY
    t.hold = hold_of_worth(b, c.side, c.quantity, worth)
    reason = check_funds(state, b, p, c.side, t.hold)
    if reason:
        return reason
    if c.post_only and crosses(b, c.side, t.tick):
        return Reason.POST_ONLY
    if c.time_in_force == TimeInForce.FOK and not fillable(state, b, c.side, t.tick, c.account, c.self_trade, c.quantity):
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
    t = at.taker(state, 0)
    reason = _check_new(state, c, b, t)
    if reason:
        refuse(state, c.account, reason, 0)
        return
    # hold
    i = take_order(state)
    o = at.order(state, i)
    o.id = next_id(state, c.account)
    o.leaves = c.quantity
    o.quantity = c.quantity
    o.held = t.hold
    o.position = t.position
    o.fee_ppm = b.highest_ppm
    o.side = c.side
    o.self_trade = c.self_trade
    o.post_only = c.post_only
    o.known = 0
    change_hold(state, b, at.position_row(state, t.position), c.side, t.hold)
    t.order = i
    t.instrument = c.instrument
    t.immediate = 1 if c.order_type == OrderType.MARKET or c.time_in_force != TimeInForce.GTC else 0
    # emit
    echo(state, say(state, of(Event.ORDER_ACCEPTED, 0, c.side, 0), c.account, c.instrument, o.id, t.price, c.quantity, c.quantity))
    # match
    if t.immediate or crosses(b, c.side, t.tick):
        work_taker(state)
    else:
        rest_order(state, b, t)


@hot
def _own_order(state: STATE, account: int, id: int):
    """Row of an order that is there and belongs to the account, or 0."""
    i = find_order(state, id)
    return i if i and account_of(at.order(state, i)) == account else 0


@cold
def cancel_order(state: STATE, c: CANCEL):
    i = _own_order(state, c.account, c.order)
    if i == 0:
        refuse(state, c.account, Reason.UNKNOWN_ORDER, c.order)
        return
    instrument = at.level(state, at.order(state, i).level).instrument + 0
    echo(state, withdraw_order(state, at.instrument(state, instrument), instrument, i, Reason.USER))


@hot
def _check_amend(state: STATE, c: AMEND, o: ORDER, b: INSTRUMENT, t: TAKER):
    """Price, tick and hold are then the taker's."""
    if is_dying(state, o):
        return Reason.DYING
    if b.halted:
        return Reason.HALTED
    t.price = c.price
    t.tick = tick_of(b, c.price)
    if t.tick < 0:
        return -t.tick
    leaves = c.quantity - (o.quantity - o.leaves)
    if c.quantity < 1 or leaves < 1:
        return Reason.BAD_QUANTITY
    reason = check_quantity(b, c.quantity)
    if not reason:
        reason = check_side_collar(state, b, t.instrument, o.side, c.price)
    worth = amount_up(b, leaves, c.price) if not reason else 0
    if not reason:
        reason = check_worth(b, worth)
    p = at.position_row(state, o.position)
    if not reason:
        reason = check_open(b, p, o.side, leaves, o.leaves)
    if reason:
        return reason
    if not may_rest(state, b, t.tick):
        return Reason.CAPACITY
    t.hold = hold_of_worth(b, o.side, leaves, worth)
    if t.hold > o.held:
        reason = check_funds(state, b, p, o.side, t.hold - o.held)
        if reason:
            return reason
    return Reason.POST_ONLY if o.post_only and crosses(b, o.side, t.tick) else Reason.NONE


@cold
def amend_order(state: STATE, c: AMEND):
    # check
    i = _own_order(state, c.account, c.order)
    if i == 0:
        refuse(state, c.account, Reason.UNKNOWN_ORDER, c.order)
        return
    o = at.order(state, i)
    row = o.level + 0
    l = at.level(state, row)
    b = at.instrument(state, l.instrument)
    t = at.taker(state, 0)
    t.instrument = l.instrument
    reason = _check_amend(state, c, o, b, t)
    if reason:
        refuse(state, c.account, reason, c.order)
        return
    # hold
    leaves = c.quantity - (o.quantity - o.leaves)
    p = at.position_row(state, o.position)
    stays = c.price == price_of(b, l.tick) and leaves <= o.leaves
    changes = not stays or leaves != o.leaves
    change_hold(state, b, p, o.side, t.hold - o.held)
    if stays:
        change_open(p, o.side, leaves - o.leaves)
        l.quantity = l.quantity - (o.leaves - leaves)
    else:
        change_open(p, o.side, -o.leaves)
        leave(state, b, o)
    o.quantity = c.quantity
    o.leaves = leaves
    o.held = t.hold
    o.fee_ppm = b.highest_ppm
    # emit
    echo(state, say(state, of(Event.ORDER_AMENDED, 0, o.side, 0), c.account, t.instrument, c.order, c.price, c.quantity, leaves))
    if changes:
        tell_level(state, b, t.instrument, o.side, row)
    # match
    if not stays:
        t.order = i
        t.immediate = 0
        if crosses(b, o.side, t.tick):
            work_taker(state)
        else:
            rest_order(state, b, t)


@cold
def cancel_all(state: STATE, account: int):
    begin_sweep(state, account, Reason.CANCEL_ALL)
    done(state, account, account)
