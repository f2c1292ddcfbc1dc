"""Child orders at outside venues: the intent, then only the venue's word. Facts are never refused for what they say: what does not match goes to
suspense, stops that instrument at that venue and calls a person. The state table is docs/rules.md section 8.
"""
import numpy as np

from cambist.core import layout as at
from cambist.core.agenda import touch
from cambist.core.accounts import balance, next_id, post_flow
from cambist.core.trading_controls import is_barred
from cambist.core.emit import alert, echo, put, refuse
from cambist.core.layout import CHILD, INSTRUMENT, MAX_SOURCES, PLACES, STATE, L
from cambist.core.ledger import count_fact, counted_before
from cambist.core.memory import cold, hot
from cambist.core.pools import CHILD_TAG, find, forget, give_child, remember, room_child, take_child
from cambist.core.precision import ripen, ripen_instrument, surprise
from cambist.core.risk import (
    amount,
    amount_up,
    check_notional,
    check_position,
    check_quantity,
    check_side_collar,
    post_reference,
)
from cambist.core.timers import CHILD_FORGOTTEN, start_timer
from cambist.core.trades import move_position
from cambist.messages import MAX_AMOUNT, AccountKind, Cause, ChildState, Event, Kind, Reason, Side, TimeInForce

NEW, CANCEL, ACKED, FILLED, CLOSED, UNKNOWN, PRICE = (
    L[k] for k in (Kind.NEW_CHILD, Kind.CANCEL_CHILD, Kind.CHILD_ACKED, Kind.CHILD_FILLED, Kind.CHILD_CLOSED, Kind.CHILD_UNKNOWN, Kind.SOURCE_PRICE))
KNOWN_REASONS = np.isin(np.arange(max(Reason) + 1), list(Reason)).astype(np.int64)
INSTRUMENTS = PLACES["instruments"]


@hot
def is_venue(state: STATE, venue: int):
    return 1 <= venue <= state.venue_count


@hot
def stop_row(state: STATE, venue: int, instrument: int):
    """Where the stop of an instrument at a venue is kept."""
    return venue * state.capacity[INSTRUMENTS] + instrument


@cold
def child_hold(b: INSTRUMENT, side: int, open: int, price: int):
    """What a child order's open quantity may take from the venue's custody."""
    return amount_up(b, open, price) if side == Side.BUY else open


# --------------------------------------------------------------------------------------------------------------- intent
@cold
def _check_new(state: STATE, c: NEW):
    if c.instrument < 1 or c.instrument > state.instrument_count:
        return Reason.UNKNOWN_INSTRUMENT
    if at.account(state, c.account).kind != AccountKind.DESK:
        return Reason.NOT_ALLOWED
    if not is_venue(state, c.venue) or not at.venue(state, c.venue).enabled:
        return Reason.UNKNOWN_VENUE
    if at.stop(state, stop_row(state, c.venue, c.instrument)).stopped:
        return Reason.VENUE_STOPPED
    b = at.instrument(state, c.instrument)
    if b.halted:
        return Reason.HALTED
    if is_barred(state, b, c.account, c.actor, c.instrument):
        return Reason.RESTRICTED
    if c.side > Side.SELL:
        return Reason.BAD_SIDE
    if c.time_in_force > TimeInForce.FOK:
        return Reason.BAD_TIME_IN_FORCE
    if c.price < 1 or c.price > b.max_price:
        return Reason.BAD_PRICE
    reason = check_quantity(b, c.quantity)
    if not reason:
        reason = check_side_collar(state, b, c.instrument, c.side, c.price)
    if not reason:
        reason = check_notional(b, c.quantity, c.price)
    if not reason:
        reason = check_position(state, b, c.account, c.instrument, c.side, c.quantity, 0)
    if reason:
        return reason
    if not room_child(state):
        return Reason.CAPACITY
    funds = balance(state, at.venue(state, c.venue).account, b.quote if c.side == Side.BUY else b.base)
    return Reason.VENUE_FUNDS if funds.available < child_hold(b, c.side, c.quantity, c.price) else Reason.NONE


@cold
def _set_hold(state: STATE, b: INSTRUMENT, h: CHILD, held: int):
    """Move between free and held in the venue's custody account."""
    x = balance(state, at.venue(state, h.venue).account, b.quote if h.side == Side.BUY else b.base)
    x.available = x.available - (held - h.held)
    x.held = x.held + (held - h.held)
    h.held = held


@cold
def _set_open(state: STATE, h: CHILD, change: int):
    """The desk's position counts what is open at a venue."""
    move_position(state, h.account, h.instrument, 0, change if h.side == Side.BUY else 0, change if h.side == Side.SELL else 0)


@cold
def new_child(state: STATE, c: NEW):
    # check
    reason = _check_new(state, c)
    if reason:
        refuse(state, c.account, reason, 0)
        return
    # hold
    b = at.instrument(state, c.instrument)
    i = take_child(state)
    h = at.child(state, i)
    h.id = next_id(state, c.account)
    h.price = c.price
    h.quantity = c.quantity
    h.filled = 0
    h.held = 0
    h.cum = 0
    h.parent = c.parent
    h.ends = 0
    h.account = c.account
    h.instrument = c.instrument
    h.venue = c.venue
    h.timer = 0
    h.side = c.side
    h.time_in_force = c.time_in_force
    h.state = ChildState.PENDING
    remember(state, CHILD_TAG, h.id, i)
    _set_hold(state, b, h, child_hold(b, c.side, c.quantity, c.price))
    _set_open(state, h, c.quantity)
    x = at.instrument_extra(state, c.instrument)
    x.children = x.children + 1
    # emit
    n = put(state, Event.CHILD_OPENED, c.account, c.instrument, h.id, c.venue)
    e = at.event(state, n)
    e.side = c.side
    e.price = c.price
    e.quantity = c.quantity
    e.amount = c.parent
    echo(state, n)


@cold
def cancel_child(state: STATE, c: CANCEL):
    i = find(state, CHILD_TAG, c.child)
    if i == 0 or at.child(state, i).account != c.account:
        refuse(state, c.account, Reason.UNKNOWN_CHILD, c.child)
        return
    h = at.child(state, i)
    if h.state == ChildState.CLOSING or h.state == ChildState.DONE:
        refuse(state, c.account, Reason.CHILD_OVER, c.child)
        return
    echo(state, put(state, Event.CHILD_CANCEL_ASKED, h.account, h.instrument, h.id, h.venue))


# ----------------------------------------------------------------------------------------------------------------- fact
@cold
def _change(state: STATE, i: int, to: int, reason: int):
    """The child takes a new state and its desk is told."""
    h = at.child(state, i)
    h.state = to
    n = put(state, Event.CHILD_CHANGED, h.account, h.instrument, h.id, to)
    e = at.event(state, n)
    e.side = h.side
    e.leaves = 0 if to == ChildState.DONE else h.quantity - h.filled
    e.reason = reason


@cold
def _end(state: STATE, i: int, reason: int):
    """Done: what was held and open is free; the row stays for late fills until its window is past."""
    h = at.child(state, i)
    _set_hold(state, at.instrument(state, h.instrument), h, 0)
    _set_open(state, h, h.filled - h.quantity)
    x = at.instrument_extra(state, h.instrument)
    x.children = x.children - 1
    h.ends = state.time + state.fact_window
    h.timer = start_timer(state, h.ends, h.id, CHILD_FORGOTTEN, i)
    _change(state, i, ChildState.DONE, reason)


@cold
def forget_child(state: STATE, i: int):
    forget(state, CHILD_TAG, at.child(state, i).id, i)
    give_child(state, i)


@cold
def _child_at(state: STATE, id: int, venue: int):
    """Row of a child at this venue, or 0."""
    i = find(state, CHILD_TAG, id)
    return i if i and at.child(state, i).venue == venue else 0


@cold
def _matched(state: STATE, account: int, id: int, venue: int):
    """The child a fact is about; without one the fact is refused (no such venue) or a person is called."""
    if not is_venue(state, venue):
        refuse(state, account, Reason.UNKNOWN_VENUE, id)
        return 0
    i = _child_at(state, id, venue)
    if i == 0:
        alert(state, Reason.UNMATCHED, 0, id, venue, 0)
    return i


@cold
def child_acked(state: STATE, c: ACKED, account: int):
    i = _matched(state, account, c.child, c.venue)
    if i:
        now = at.child(state, i).state
        if now == ChildState.PENDING or now == ChildState.UNKNOWN:
            _change(state, i, ChildState.WORKING, Reason.NONE)


@cold
def child_unknown(state: STATE, c: UNKNOWN, account: int):
    i = _matched(state, account, c.child, c.venue)
    if i:
        h = at.child(state, i)
        if h.state == ChildState.PENDING or h.state == ChildState.WORKING:
            _change(state, i, ChildState.UNKNOWN, Reason.NONE)
            alert(state, Reason.UNMATCHED, h.instrument, h.id, h.venue, 0)


@cold
def child_closed(state: STATE, c: CLOSED, account: int):
    i = _matched(state, account, c.child, c.venue)
    if i == 0 or at.child(state, i).state == ChildState.DONE:
        return
    h = at.child(state, i)
    why = c.why if 0 <= c.why < len(KNOWN_REASONS) and KNOWN_REASONS[c.why] else 0
    cum = c.cum_quantity + 0
    if cum < h.filled or cum > h.quantity:
        alert(state, Reason.OVERFILL, h.instrument, h.id, h.venue, 0)
        cum = h.filled + 0
    h.cum = cum
    if cum == h.filled:
        _end(state, i, why)
    else:
        _change(state, i, ChildState.CLOSING, why)


@cold
def _check_fill(state: STATE, c: FILLED):
    if not is_venue(state, c.venue):
        return Reason.UNKNOWN_VENUE
    if c.instrument < 1 or c.instrument > state.instrument_count:
        return Reason.UNKNOWN_INSTRUMENT
    if c.side > Side.SELL:
        return Reason.BAD_SIDE
    if c.price < 1 or c.price > MAX_AMOUNT:
        return Reason.BAD_PRICE
    if c.quantity < 1 or c.quantity > MAX_AMOUNT:
        return Reason.BAD_QUANTITY
    if c.fee < 0 or c.fee > MAX_AMOUNT:
        return Reason.BAD_AMOUNT
    ripen_instrument(state, c.instrument)
    b = at.instrument(state, c.instrument)
    if c.price > MAX_AMOUNT // b.amount_num:
        return Reason.OVERFLOW
    a = amount(b, c.quantity, c.price)
    return Reason.OVERFLOW if a < 0 else Reason.NONE


@cold
def _post_fill(state: STATE, c: FILLED, owner: int, quantity: int, worth: int, charge: int):
    """The venue's word moves custody and its owner alike."""
    b = at.instrument(state, c.instrument)
    base, quote = quantity, -worth
    if c.side == Side.SELL:
        base, quote = -quantity, worth
    for account in (at.venue(state, c.venue).account + 0, owner):
        x = balance(state, account, b.base)
        x.available = x.available + base
        y = balance(state, account, b.quote)
        y.available = y.available + quote - charge
    cause = Cause.SUSPENSE + 0 if owner == state.suspense else Cause.HEDGE + 0
    post_flow(state, b.base, cause, base)
    post_flow(state, b.quote, cause, quote)
    post_flow(state, b.quote, Cause.SUSPENSE if owner == state.suspense else Cause.HEDGE_FEE, -charge)


@cold
def _fill_child(state: STATE, c: FILLED, i: int, x: int):
    """The desk's part of a fill."""
    h = at.child(state, i)
    b = at.instrument(state, h.instrument)
    worth = amount(b, x, c.price)
    # hold
    h.filled = h.filled + x
    _set_hold(state, b, h, child_hold(b, h.side, h.quantity - h.filled, h.price))
    # book
    _post_fill(state, c, h.account, x, worth, c.fee)
    move_position(state, h.account, h.instrument, x if h.side == Side.BUY else -x, 0, 0)
    _set_open(state, h, -x)
    # emit
    n = put(state, Event.CHILD_FILL, h.account, h.instrument, h.id, h.venue)
    e = at.event(state, n)
    e.side = h.side
    e.price = c.price
    e.quantity = x
    e.leaves = h.quantity - h.filled
    e.amount = worth
    e.fee = c.fee
    echo(state, n)


@cold
def _after_fill(state: STATE, i: int):
    """What a fill makes of the child's state."""
    h = at.child(state, i)
    if h.filled == h.quantity or (h.state == ChildState.CLOSING and h.filled >= h.cum):
        _end(state, i, Reason.NONE)
    elif h.state == ChildState.PENDING or h.state == ChildState.UNKNOWN:
        _change(state, i, ChildState.WORKING, Reason.NONE)


@cold
def _suspend(state: STATE, c: FILLED, x: int, reason: int):
    """What no child of ours explains: posted, stopped, a person called."""
    b = at.instrument(state, c.instrument)
    worth = amount(b, c.quantity, c.price) - (amount(b, x, c.price) if x else 0)
    _post_fill(state, c, state.suspense, c.quantity - x, worth, 0 if x else c.fee)
    at.stop(state, stop_row(state, c.venue, c.instrument)).stopped = 1
    alert(state, reason, c.instrument, c.child, c.venue, c.quantity - x)


@cold
def child_filled(state: STATE, c: FILLED, account: int):
    # check
    source = at.venue(state, c.venue).account + 0 if is_venue(state, c.venue) else 0
    if source and counted_before(state, account, source, c.id_hi, c.id_lo):
        return
    reason = _check_fill(state, c)
    if reason:
        refuse(state, account, reason, c.child)
        return
    # book and emit
    for account in (source, state.suspense + 0):
        ripen(state, account, at.instrument(state, c.instrument).base)
        ripen(state, account, at.instrument(state, c.instrument).quote)
    i = _child_at(state, c.child, c.venue)
    if i and (at.child(state, i).instrument != c.instrument or at.child(state, i).side != c.side):
        i = 0
    x = 0
    if i and at.child(state, i).state != ChildState.DONE:
        x = min(c.quantity, at.child(state, i).quantity - at.child(state, i).filled)
    if x:
        _fill_child(state, c, i, x)
    if x < c.quantity:
        _suspend(state, c, x, Reason.OVERFILL if i else Reason.UNMATCHED)
    if x:
        _after_fill(state, i)
    surprise(state, c.instrument)
    count_fact(state, source, c.id_hi, c.id_lo)


# --------------------------------------------------------------------------------------------------------------- prices
@cold
def source_price(state: STATE, c: PRICE, account: int):
    """One source's price is a fact; the reference is the median of the fresh ones."""
    # check
    if c.instrument < 1 or c.instrument > state.instrument_count:
        refuse(state, account, Reason.UNKNOWN_INSTRUMENT, 0)
        return
    b = at.instrument(state, c.instrument)
    if c.source < 1 or c.source > MAX_SOURCES or not at.source(state, c.instrument * (MAX_SOURCES + 1) + c.source).enabled:
        refuse(state, account, Reason.UNKNOWN_SOURCE, 0)
        return
    if c.price < 1 or c.price > b.max_price:
        refuse(state, account, Reason.BAD_PRICE, 0)
        return
    # change
    s = at.source(state, c.instrument * (MAX_SOURCES + 1) + c.source)
    s.price = c.price
    s.posted_at = state.time
    fresh = post_reference(state, b, c.instrument)
    # emit
    if b.reference != b.emitted:
        b.emitted = b.reference
        i = put(state, Event.REFERENCE, 0, c.instrument, 0, fresh)
        at.event(state, i).price = b.reference
        touch(state, b, c.instrument)
