"""NEW_ORDER, AMEND_ORDER, CANCEL_ORDER, CANCEL_ALL: what is accepted, in the order of docs/rules.md section 4. Matching is elsewhere."""
from cambist.core import layout as at
from cambist.core.accounts import account_of, may_trade, next_id, position_of
from cambist.core.amend import amend_special
from cambist.core.book import crosses, leave, may_rest, price_of, tell_level
from cambist.core.emit import answer, of, refuse
from cambist.core.ends import cancel_special
from cambist.core.order_entry import check_cancel, new_special
from cambist.core.layout import ACCOUNT, COMMAND, INSTRUMENT, ORDER, SESSION_STANDS, SLOW, STATE, TAKER, L
from cambist.core.matching import is_latched, join_book, rest_order, withdraw_plain, work_taker
from cambist.core.memory import cold, hot, reinterpret
from cambist.core.pools import find_order, room_order, take_order
from cambist.core.risk import (
    amount_up,
    asset_of,
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
from cambist.core.order_rows import change_open
from cambist.messages import Event, Kind, OrderType, Reason

as_plain_words = reinterpret(COMMAND, L[Kind.NEW_ORDER], "command")
NEW, CANCEL, AMEND = L[Kind.NEW_ORDER], L[Kind.CANCEL_ORDER], L[Kind.AMEND_ORDER]


# The bits that the first argument of a plain order may have: its side, LIMIT or MARKET, GTC or IOC, its self-trade mode.
PLAIN = sum(bits << 8 * NEW.fields[name][1] - 8 * NEW.fields["side"][1]
            for name, bits in (("side", 1), ("order_type", 1), ("time_in_force", 1), ("self_trade", 3)))


@hot
def _is_plain(c: NEW):
    """A limit or market order that rests or ends at once, with nothing special: no more is to be asked of its words."""
    w = as_plain_words(c)
    if w.a0 & ~PLAIN or w.a3 | w.a4 | w.a5 | w.a6 | w.a7 | w.a8:
        return 0
    return 1 if c.order_type == OrderType.LIMIT or c.price == 0 else 0


@hot
def _limit_of(state: STATE, c: NEW, b: INSTRUMENT):
    """An order's limit: its own, or of a market order the band's edge (0: there is none)."""
    return c.price + 0 if c.order_type == OrderType.LIMIT else market_limit(state, b, c.instrument, c.side)


@hot
def _check_size(state: STATE, c: NEW, b: INSTRUMENT, price: int, quantity: int, tick: int):
    """Limit and size by themselves. `tick` of the limit, or the negative of what is wrong with it."""
    if c.order_type == OrderType.LIMIT:
        if tick < 0:
            return -tick
        reason = check_quantity(b, quantity)
        return reason if reason else check_side_collar(state, b, c.instrument, c.side, price)
    reason = check_quantity(b, quantity)
    return Reason.NO_REFERENCE if not reason and price == 0 else reason


@hot
def _check_risk(state: STATE, b: INSTRUMENT, account: int, owner: ACCOUNT, position: int, side: int, quantity: int, worth: int, hold: int, tick: int):
    """What may be risked; `worth` of the whole order, rounded up, and what it would hold."""
    reason = check_worth(b, worth)
    if reason:
        return reason
    if owner.open_orders >= owner.max_open:
        return Reason.OPEN_ORDERS
    if position == 0:
        return Reason.CAPACITY
    p = at.position_row(state, position)
    reason = check_open(b, p, side, quantity, 0)
    if reason:
        return reason
    if not room_order(state) or not may_rest(state, b, side, tick):
        return Reason.CAPACITY
    return check_funds(state, b, p, account, side, hold)


@cold
def new_order(state: STATE, c: NEW):
    # check
    account, instrument, side, quantity = c.account + 0, c.instrument + 0, c.side + 0, c.quantity + 0
    owner = at.account(state, account)
    reason = Reason.NONE + 0
    if not may_trade(owner.kind):
        reason = Reason.NOT_ALLOWED + 0
    elif instrument < 1 or instrument > state.instrument_count:
        reason = Reason.UNKNOWN_INSTRUMENT + 0
    b = at.instrument(state, 0 if reason else instrument)
    if not reason and (owner.flags or b.flags & SLOW or not _is_plain(c)):
        new_special(state, c)
        return
    price, tick, hold, position = 0, 0, 0, 0
    if not reason and b.halted:
        reason = Reason.HALTED + 0
    if not reason:
        price = _limit_of(state, c, b)
        tick = tick_of(b, price)
        reason = _check_size(state, c, b, price, quantity, tick)
    if not reason:
        worth = amount_up(b, quantity, price)
        position = position_of(state, account, instrument) if owner.open_orders < owner.max_open else 0
        hold = hold_of_worth(b, side, quantity, worth)
        reason = _check_risk(state, b, account, owner, position, side, quantity, worth, hold, tick)
    if reason:
        refuse(state, account, reason, 0)
        return
    # hold
    i = take_order(state)
    o = at.order(state, i)
    id = next_id(state, account)
    o.id = id
    o.leaves = quantity
    o.quantity = quantity
    o.held = hold
    o.position = position
    o.fee_ppm = b.highest_ppm
    o.side = side
    o.self_trade = c.self_trade
    o.special = 0
    origin = at.origin(state, i)
    origin.sequence = state.sequence
    origin.actor = c.actor
    o.asset = asset_of(b, side)
    change_hold(state, b, at.position_row(state, position), account, side, hold)
    # emit
    answer(state, of(Event.ORDER_ACCEPTED, 0, side, 0), account, instrument, id, price, quantity, quantity)
    # match
    if c.order_type | c.time_in_force or crosses(b, side, tick):
        t = at.taker(state, 0)
        t.order = i
        t.instrument = instrument
        t.known = 0
        t.price = price
        t.tick = tick
        t.immediate = c.order_type | c.time_in_force
        work_taker(state)
    else:
        join_book(state, b, instrument, i, tick, 0)


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
    if at.order(state, i).special:
        reason = check_cancel(state, i)
        if reason:
            refuse(state, c.account, reason, c.order)
        else:
            cancel_special(state, i, Reason.USER, 1, 1)
        return
    b = at.instrument(state, at.level(state, at.order(state, i).level).instrument)
    if b.flags & SESSION_STANDS and check_cancel(state, i):
        refuse(state, c.account, Reason.SESSION, c.order)
        return
    withdraw_plain(state, i, Reason.USER, 1)


@hot
def _check_amend(state: STATE, c: AMEND, o: ORDER, b: INSTRUMENT, t: TAKER):
    """Price, tick and hold are then the taker's."""
    if is_latched(state, o):
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
    if not may_rest(state, b, o.side, t.tick):
        return Reason.CAPACITY
    t.hold = hold_of_worth(b, o.side, leaves, worth)
    if t.hold > o.held:
        reason = check_funds(state, b, p, account_of(o), o.side, t.hold - o.held)
        if reason:
            return reason
    return Reason.NONE


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
    if o.special or b.flags & SLOW or at.account(state, c.account).flags or state.traders_killed:
        amend_special(state, c, i)
        return
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
    change_hold(state, b, p, c.account, o.side, t.hold - o.held)
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
    answer(state, of(Event.ORDER_AMENDED, 0, o.side, 0), c.account, t.instrument, c.order, c.price, c.quantity, leaves)
    if changes:
        tell_level(state, b, t.instrument, o.side, row)
    # match
    if not stays:
        if crosses(b, o.side, t.tick):
            t.order = i
            t.immediate = 0
            t.known = 1
            t.touched = 0
            work_taker(state)
        else:
            rest_order(state, b, t.instrument, i, t.tick, 1)
