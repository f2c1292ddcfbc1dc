"""NEW_ORDER of everything that is not plain: lines 1, 7 to 9 and the change of docs/rules.md section 4. Lines 2 to 6 are `shapes`, what it does next `entry`.

What the order would be is worked out in the one row `draft`, since most of it is asked about before there is an order.
"""
from cambist.core import layout as at
from cambist.core.accounts import may_trade, next_id, position_of
from cambist.core.arithmetic import MILLION, multiply_divide
from cambist.core.book import crosses, may_rest, price_of
from cambist.core.trading_controls import check_exposure, is_duplicate, is_restricted
from cambist.core.emit import as_taker_of, echo, of, write
from cambist.core.fees import hold_minimum, hold_ppm
from cambist.core.layout import DRAFT, INSTRUMENT, STATE, L
from cambist.core.meetings import open_against, room_to_reduce
from cambist.core.memory import cold
from cambist.core.pools import room_order, take_order
from cambist.core.risk import amount_up, asset_of, check_funds, check_open, check_side_collar, collar_limit, reference, tick_of
from cambist.core.market_sessions import gathers, is_closed
from cambist.core.shapes import (
    FIRST_PEG, begins_later, check_in_session, check_price, check_quantities, check_trigger, check_words,
)
from cambist.core.order_standing import follow, full_hold, hold_by_quote, lots, mark_special, stand_outside
from cambist.core.triggers import is_reached, price_seen
from cambist.messages import (
    BY_QUOTE, FLOATING, MAX_AMOUNT, REDUCE_ONLY, Event, Kind, Link, OrderState, OrderType, PostOnly, Reason, Settlement, Side, TimeInForce, Trigger,
)

NEW = L[Kind.NEW_ORDER]


# ------------------------------------------------------------------------------------------------------- who and where
@cold
def check_open_to(state: STATE, account: int, sender: int, instrument: int):
    """Whether the instrument takes orders now, of this account from this sender."""
    b, x = at.instrument(state, instrument), at.instrument_extra(state, instrument)
    if b.halted:
        return Reason.HALTED
    if is_closed(x):
        return Reason.SESSION
    return Reason.RESTRICTED if is_restricted(state, account, sender, instrument) else Reason.NONE


@cold
def check_who_and_where(state: STATE, account: int, sender: int, instrument: int):
    """Line 1; also of MASS_QUOTE."""
    if not may_trade(at.account(state, account).kind):
        return Reason.NOT_ALLOWED
    if instrument < 1 or instrument > state.instrument_count:
        return Reason.UNKNOWN_INSTRUMENT
    return check_open_to(state, account, sender, instrument)


# --------------------------------------------------------------------------------------------- what it may trade at
@cold
def slid_tick(state: STATE, b: INSTRUMENT, instrument: int, post_only: int, side: int, tick: int):
    """Where a post-only order that slides stands: one tick behind the best of the other side, or where it asked; -1: that is out of the range."""
    if post_only != PostOnly.SLIDE or gathers(at.instrument_extra(state, instrument)) or not crosses(b, side, tick):
        return tick + 0
    tick = b.ask - 1 if side == Side.BUY else b.bid + 1
    return tick if tick < b.ticks else -1


@cold
def _check_collar(state: STATE, c: NEW, b: INSTRUMENT, d: DRAFT):
    """Line 7, and with it where the order's trigger stands at first and what its limit is."""
    d.trigger_price = c.trigger_price
    if c.trigger == Trigger.TRAILING:
        p = price_seen(state, b, c.instrument, c.trigger_on)
        if b.collar_ppm == 0 or p == 0:
            return Reason.NO_REFERENCE
        d.trigger_price = p - c.trigger_price if c.side == Side.SELL else p + c.trigger_price
        if d.trigger_price < 1:
            return Reason.BAD_TRIGGER
        d.worst = collar_limit(b, c.side, d.trigger_price)
        return Reason.NONE
    if c.order_type == OrderType.MARKET:
        middle = 0
        if b.collar_ppm:
            middle = c.trigger_price + 0 if c.trigger else reference(state, b, c.instrument)
        if middle == 0:
            return Reason.NO_REFERENCE
        d.worst = collar_limit(b, c.side, middle)
        return Reason.NONE
    d.worst = c.price
    if c.trigger == Trigger.NONE:
        return check_side_collar(state, b, c.instrument, c.side, c.price)
    if b.collar_ppm == 0:
        return Reason.NONE
    band = multiply_divide(c.trigger_price, b.collar_ppm, MILLION, 0)
    beyond = c.price > c.trigger_price + band if c.side == Side.BUY else c.price < c.trigger_price - band
    return Reason.COLLAR if beyond else Reason.NONE


@cold
def _base_quantity(b: INSTRUMENT, c: NEW, d: DRAFT):
    """What it can trade at most, in the base asset."""
    if not c.options & BY_QUOTE:
        return c.quantity + 0
    if c.side == Side.SELL:
        return lots(b, c.quantity, d.worst)
    return lots(b, c.quantity, price_of(b, b.ask)) if b.ask < b.ticks else 0


# ------------------------------------------------------------------------------------------------------------- what it costs
@cold
def check_line(state: STATE, b: INSTRUMENT, position: int, side: int, more: int):
    """Whether the account can hold `more`."""
    p = at.position_row(state, position)
    return check_funds(state, b, p, p.account, side, more)


@cold
def _check_hold(state: STATE, c: NEW, b: INSTRUMENT, d: DRAFT):
    """OVERFLOW and MAX_NOTIONAL; what it would hold is known then."""
    d.fee_ppm = hold_ppm(state, b, c.account, c.instrument)
    d.fee_min = hold_minimum(state, c.account, c.instrument)
    if c.options & BY_QUOTE:
        d.amount = c.quantity
        d.hold = hold_by_quote(b, c.side, c.quantity, d.worst, d.fee_ppm, d.fee_min)
    else:
        d.amount = amount_up(b, c.quantity, d.worst)
        if d.amount < 0:
            return Reason.OVERFLOW
        d.hold = full_hold(b, c.side, c.quantity, d.worst, d.fee_ppm, d.fee_min)
    if d.amount < 0 or d.hold > MAX_AMOUNT:
        return Reason.OVERFLOW
    return Reason.MAX_NOTIONAL if d.amount > b.max_notional else Reason.NONE


@cold
def _check_counts(state: STATE, c: NEW, d: DRAFT):
    """How many stand already."""
    owner, x = at.account(state, c.account), at.account_extra(state, c.account)
    if owner.open_orders >= owner.max_open:
        return Reason.OPEN_ORDERS
    d.position = position_of(state, c.account, c.instrument)
    if d.position == 0:
        return Reason.CAPACITY
    if begins_later(c) and x.max_waiting and at.position_extra(state, d.position).waiting >= x.max_waiting:
        return Reason.WAITING_ORDERS
    float_too = c.order_type >= FIRST_PEG or c.trigger == Trigger.TRAILING
    return Reason.FLOATING if float_too and at.instrument_extra(state, c.instrument).floating >= FLOATING else Reason.NONE


@cold
def reducing(state: STATE, position: int, side: int):
    """What the account's orders that only reduce may still take from the position on a side."""
    x = at.position_extra(state, position)
    return x.reducing_buy + 0 if side == Side.BUY else x.reducing_sell + 0


@cold
def _check_controls(state: STATE, c: NEW, b: INSTRUMENT, d: DRAFT):
    """POSITION to EXPOSURE. A linked order's mate counts for both already."""
    if d.mate == 0:
        reason = check_open(b, at.position_row(state, d.position), c.side, d.base, 0)
        if reason:
            return reason
    if c.options & REDUCE_ONLY and c.link != Link.CHILD:
        others = reducing(state, d.position, c.side)
        if d.mate:
            others -= at.order_extra(state, d.mate).reduces
        if c.quantity > room_to_reduce(state, d.position, c.side) - others:
            return Reason.REDUCE_ONLY
    if c.link == Link.NONE and is_duplicate(state, c.account, c.instrument, c.side, c.price, c.quantity):
        return Reason.DUPLICATE_ORDER
    if d.mate == 0 and not c.options & REDUCE_ONLY:
        return check_exposure(state, b, c.account, c.side, d.amount, 0)
    return Reason.NONE


@cold
def _check_funds(state: STATE, c: NEW, b: INSTRUMENT, d: DRAFT):
    """CAPACITY and the hold, less what is held already for the order it is linked to."""
    if not room_order(state) or not may_rest(state, b, c.side, d.tick):
        return Reason.CAPACITY
    more = d.hold + 0
    if d.parent and c.side == Side.SELL and b.settlement == Settlement.PREFUNDED:
        more = 0
    elif d.mate:
        more = max(0, more - at.order(state, d.mate).held)
    return check_line(state, b, d.position, c.side, more)


@cold
def _check_entry(state: STATE, c: NEW, b: INSTRUMENT, d: DRAFT):
    """Line 9: what the book says to an order that enters at once."""
    if gathers(at.instrument_extra(state, c.instrument)) or begins_later(c) or c.order_type >= FIRST_PEG:
        return Reason.NONE
    if c.post_only == PostOnly.REJECT and crosses(b, c.side, d.tick):
        return Reason.POST_ONLY
    wanted = c.quantity if c.time_in_force == TimeInForce.FOK else c.minimum
    if wanted and open_against(state, c.account, c.instrument, c.side, d.tick, c.self_trade, wanted) < wanted:
        return Reason.UNFILLABLE
    return Reason.NONE


@cold
def check_new_order(state: STATE, c: NEW, listed: int):
    """All of it. `listed`: in an order list, whose earlier orders the draft names."""
    reason = check_who_and_where(state, c.account, c.actor, c.instrument)
    if reason:
        return reason
    b, d = at.instrument(state, c.instrument), at.draft(state, 0)
    reason = check_words(c, listed)
    if not reason:
        reason = check_price(c, b)
    if not reason:
        reason = check_trigger(state, c, b)
    if not reason:
        reason = check_quantities(c, b)
    if not reason:
        reason = check_in_session(c, at.instrument_extra(state, c.instrument))
    if not reason:
        reason = _check_collar(state, c, b, d)
    if reason:
        return reason
    if c.trigger and is_reached(state, c.instrument, c.side, c.trigger, c.trigger_on, d.trigger_price):
        return Reason.BAD_TRIGGER
    d.base = _base_quantity(b, c, d)
    if d.base > b.max_quantity:
        return Reason.MAX_QUANTITY
    d.tick = slid_tick(state, b, c.instrument, c.post_only, c.side, tick_of(b, d.worst))
    if d.tick < 0:
        return Reason.POST_ONLY
    d.worst = price_of(b, d.tick)
    reason = _check_hold(state, c, b, d)
    if not reason:
        reason = _check_counts(state, c, d)
    if not reason:
        reason = _check_controls(state, c, b, d)
    if not reason:
        reason = _check_funds(state, c, b, d)
    return reason if reason else _check_entry(state, c, b, d)


# --------------------------------------------------------------------------------------------------------------- accepted
@cold
def accept_order(state: STATE, c: NEW):
    """The order of the draft: its row, its id, its hold, and that it is told. A linked one stands from here on, so that both count once."""
    d, b = at.draft(state, 0), at.instrument(state, c.instrument)
    i = take_order(state)
    o = at.order(state, i)
    mark_special(state, i, c.instrument, d.worst)
    e, origin = at.order_extra(state, i), at.origin(state, i)
    o.id = next_id(state, c.account)
    o.leaves = c.quantity
    o.quantity = c.quantity
    o.held = 0
    o.level = 0
    o.position = d.position
    o.fee_ppm = d.fee_ppm
    o.side = c.side
    o.self_trade = c.self_trade
    o.asset = asset_of(b, c.side)
    origin.sequence = state.sequence
    origin.actor = c.actor
    e.order_type = c.order_type
    e.time_in_force = c.time_in_force
    e.post_only = c.post_only
    e.options = c.options
    e.trigger = c.trigger
    e.trigger_on = c.trigger_on
    e.trigger_price = d.trigger_price
    e.distance = c.trigger_price if c.trigger == Trigger.TRAILING else 0
    e.display = c.display
    e.offset = c.offset
    e.good_till = c.good_till
    e.link = c.link
    e.fee_min = d.fee_min
    other = _link(state, i, d)
    if c.link:
        stand_outside(state, i, OrderState.ASLEEP)
        if d.mate:
            follow(state, d.mate, 0)
    else:
        follow(state, i, 1)
    _tell_accepted(state, i, c, d, other)
    return i


@cold
def _link(state: STATE, i: int, d: DRAFT):
    """Tie it to what of its list stands already; the id that is told."""
    e = at.order_extra(state, i)
    e.parent = d.parent
    if d.mate:
        e.mate = d.mate
        at.order_extra(state, d.mate).mate = i
        return at.order(state, d.mate).id + 0
    return at.order(state, d.parent).id + 0 if d.parent else 0


@cold
def _tell_accepted(state: STATE, i: int, c: NEW, d: DRAFT, other: int):
    n = write(state, of(Event.ORDER_ACCEPTED, 0, c.side, as_taker_of(c.options, 0)), c.account, c.instrument, at.order(state, i).id, d.trigger_price, d.worst,
              c.quantity, c.quantity, other, 0)
    echo(state, n)
