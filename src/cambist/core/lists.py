"""The lists of an instrument that special orders are in: outside the book, by session, floating, waiting for a trigger, and the queue to enter.

Each is in order of arrival but the queue, which is in the order of firing, and the trees of triggers, which are in the order of firing to come. Knows
where an order is listed, never why. Rows of `order_extras` hold the links, rows of `instrument_extras` the ends.
"""
from cambist.core import layout as at
from cambist.core.layout import (
    AUCTION_LIST, CLOSE_LIST, CLOSE_WAITS, DAY_LIST, INSTRUMENT_EXTRA, OPEN_LIST, OPEN_WAITS, ORDER_EXTRA, STATE,
)
from cambist.core.memory import cold, hot
from cambist.core.pools import mark_of
from cambist.messages import OrderState, OrderType, Side, TimeInForce, Trigger


@hot
def comes_before(state: STATE, i: int, j: int):
    """Order of arrival."""
    a, b = at.origin(state, i).sequence + 0, at.origin(state, j).sequence + 0
    return a < b or (a == b and at.order(state, i).id < at.order(state, j).id)


@hot
def is_peg(e: ORDER_EXTRA):
    return e.order_type >= OrderType.PRIMARY


@hot
def floats(e: ORDER_EXTRA):
    """Somebody must look at it whenever a price moves."""
    return is_peg(e) or e.trigger == Trigger.TRAILING


# -------------------------------------------------------------------------------------------------------------- outside
@cold
def go_outside(state: STATE, i: int):
    """Begin to stand outside the book: at the end, or for a peg, which may have been inside, where its arrival puts it."""
    e = at.order_extra(state, i)
    if e.outside or is_peg(e):                  # pegs that sleep are found among the floating ones
        return
    x = at.instrument_extra(state, e.instrument)
    e.outside = 1
    e.outside_next = 0
    e.outside_prev = x.outside_last
    if x.outside_last:
        at.order_extra(state, x.outside_last).outside_next = i
    else:
        x.outside_first = i
    x.outside_last = i
    p = at.position_extra(state, at.order(state, i).position)
    p.waiting = p.waiting + 1


@cold
def come_inside(state: STATE, i: int):
    e = at.order_extra(state, i)
    if not e.outside:
        return
    x = at.instrument_extra(state, e.instrument)
    before, after = e.outside_prev + 0, e.outside_next + 0
    if before:
        at.order_extra(state, before).outside_next = after
    else:
        x.outside_first = after
    if after:
        at.order_extra(state, after).outside_prev = before
    else:
        x.outside_last = before
    e.outside = 0
    p = at.position_extra(state, at.order(state, i).position)
    p.waiting = p.waiting - 1


@cold
def first_outside(state: STATE, x: INSTRUMENT_EXTRA):
    """The first in order of arrival of all that stand outside the book, sleeping pegs too; 0: none."""
    i, j = x.outside_first + 0, x.float_first + 0
    while j and (at.order_extra(state, j).state == OrderState.BOOK or at.order_extra(state, j).outside):
        j = at.order_extra(state, j).float_next + 0
    if i == 0 or j == 0:
        return i | j
    return i if comes_before(state, i, j) else j


# ------------------------------------------------------------------------------------------------------------ by session
@cold
def session_list_of(e: ORDER_EXTRA):
    """Which list of orders that end with a session, or wait for one, it belongs to; -1: none."""
    if e.time_in_force == TimeInForce.DAY:
        return DAY_LIST
    if e.time_in_force == TimeInForce.AUCTION:
        return AUCTION_LIST
    if e.time_in_force == TimeInForce.AT_OPEN:
        return OPEN_LIST if e.state == OrderState.BOOK else OPEN_WAITS
    if e.time_in_force == TimeInForce.AT_CLOSE:
        return CLOSE_LIST if e.state == OrderState.BOOK else CLOSE_WAITS
    return -1


@cold
def join_session_list(state: STATE, i: int):
    """At the end of the list that is its own now, out of the one it was in."""
    e = at.order_extra(state, i)
    wanted = session_list_of(e) + 1
    if e.session_list == wanted:
        return
    leave_session_list(state, i)
    if wanted == 0:
        return
    x = at.instrument_extra(state, e.instrument)
    last = x.session_last[wanted - 1] + 0
    e.session_list = wanted
    e.session_next = 0
    e.session_prev = last
    if last:
        at.order_extra(state, last).session_next = i
    else:
        x.session_first[wanted - 1] = i
    x.session_last[wanted - 1] = i


@cold
def leave_session_list(state: STATE, i: int):
    e = at.order_extra(state, i)
    if e.session_list == 0:
        return
    x, k = at.instrument_extra(state, e.instrument), e.session_list - 1
    before, after = e.session_prev + 0, e.session_next + 0
    if before:
        at.order_extra(state, before).session_next = after
    else:
        x.session_first[k] = after
    if after:
        at.order_extra(state, after).session_prev = before
    else:
        x.session_last[k] = before
    e.session_list = 0


# -------------------------------------------------------------------------------------------------------------- floating
@cold
def begin_to_float(state: STATE, i: int):
    e = at.order_extra(state, i)
    if e.floats or not floats(e):
        return
    x = at.instrument_extra(state, e.instrument)
    e.floats = 1
    e.float_next = 0
    e.float_prev = x.float_last
    if x.float_last:
        at.order_extra(state, x.float_last).float_next = i
    else:
        x.float_first = i
    x.float_last = i
    x.floating = x.floating + 1
    x.pegs = x.pegs + is_peg(e)


@cold
def stop_floating(state: STATE, i: int):
    e = at.order_extra(state, i)
    if not e.floats:
        return
    x = at.instrument_extra(state, e.instrument)
    before, after = e.float_prev + 0, e.float_next + 0
    if before:
        at.order_extra(state, before).float_next = after
    else:
        x.float_first = after
    if after:
        at.order_extra(state, after).float_prev = before
    else:
        x.float_last = before
    e.floats = 0
    x.floating = x.floating - 1
    x.pegs = x.pegs - is_peg(e)


# ------------------------------------------------------------------------------------------------------- queue to enter
@cold
def join_queue(state: STATE, i: int, at_head: int):
    """The queue of those that have fired; `at_head`: it comes back, since the band stopped it."""
    o, x = at.order(state, i), at.instrument_extra(state, at.order_extra(state, i).instrument)
    if at_head:
        o.prev = 0
        o.next = x.queue_first
        if x.queue_first:
            at.order(state, x.queue_first).prev = i
        else:
            x.queue_last = i
        x.queue_first = i
        return
    o.next = 0
    o.prev = x.queue_last
    if x.queue_last:
        at.order(state, x.queue_last).next = i
    else:
        x.queue_first = i
    x.queue_last = i


@cold
def leave_queue(state: STATE, i: int):
    o, x = at.order(state, i), at.instrument_extra(state, at.order_extra(state, i).instrument)
    before, after = o.prev + 0, o.next + 0
    if before:
        at.order(state, before).next = after
    else:
        x.queue_first = after
    if after:
        at.order(state, after).prev = before
    else:
        x.queue_last = before


# ------------------------------------------------------------------------------------------------------ trees of triggers
# A treap for each source and direction: sorted by the order of firing, and a heap by a mix of the order's id, which keeps it as flat as a random one.
@hot
def is_rising(side: int, e: ORDER_EXTRA):
    """Whether it waits for the price to come from below."""
    return 1 if (side == Side.BUY) == (e.trigger != Trigger.TAKE_PROFIT) else 0


@hot
def _fires_before(state: STATE, i: int, j: int, rising: int):
    a, b = at.order_extra(state, i).trigger_price + 0, at.order_extra(state, j).trigger_price + 0
    if a != b:
        return a < b if rising else a > b
    return comes_before(state, i, j)


@hot
def root_of(x: INSTRUMENT_EXTRA, source: int, rising: int):
    return x.rising[source] + 0 if rising else x.falling[source] + 0


@hot
def _set_root(x: INSTRUMENT_EXTRA, source: int, rising: int, i: int):
    if rising:
        x.rising[source] = i
    else:
        x.falling[source] = i


@cold
def _rotate_up(state: STATE, x: INSTRUMENT_EXTRA, source: int, rising: int, i: int):
    """A node takes the place of the one above it."""
    e = at.order_extra(state, i)
    p = e.up + 0
    above = at.order_extra(state, p)
    g = above.up + 0
    if above.left == i:
        above.left = e.right
        if e.right:
            at.order_extra(state, e.right).up = p
        e.right = p
    else:
        above.right = e.left
        if e.left:
            at.order_extra(state, e.left).up = p
        e.left = p
    above.up = i
    e.up = g
    if g == 0:
        _set_root(x, source, rising, i)
    elif at.order_extra(state, g).left == p:
        at.order_extra(state, g).left = i
    else:
        at.order_extra(state, g).right = i


@cold
def join_tree(state: STATE, i: int):
    """Begin to wait for a price; trailing ones are looked at one by one and are in no tree."""
    o, e = at.order(state, i), at.order_extra(state, i)
    if e.waits or e.trigger == Trigger.NONE or e.trigger == Trigger.TRAILING:
        return
    x, rising, source = at.instrument_extra(state, e.instrument), is_rising(o.side, e), e.trigger_on + 0
    e.waits = 1
    x.waiting[source] = x.waiting[source] + 1
    e.left = 0
    e.right = 0
    e.up = 0
    place, j = 0, root_of(x, source, rising)
    left = 0
    while j:
        place = j
        left = 1 if _fires_before(state, i, j, rising) else 0
        j = at.order_extra(state, j).left + 0 if left else at.order_extra(state, j).right + 0
    if place == 0:
        _set_root(x, source, rising, i)
        return
    e.up = place
    if left:
        at.order_extra(state, place).left = i
    else:
        at.order_extra(state, place).right = i
    while e.up and mark_of(o.id) > mark_of(at.order(state, e.up).id):
        _rotate_up(state, x, source, rising, i)


@cold
def leave_tree(state: STATE, i: int):
    o, e = at.order(state, i), at.order_extra(state, i)
    if not e.waits:
        return
    x, rising, source = at.instrument_extra(state, e.instrument), is_rising(o.side, e), e.trigger_on + 0
    e.waits = 0
    x.waiting[source] = x.waiting[source] - 1
    while e.left and e.right:
        larger = mark_of(at.order(state, e.left).id) > mark_of(at.order(state, e.right).id)
        _rotate_up(state, x, source, rising, e.left if larger else e.right)
    below, above = e.left | e.right, e.up + 0
    if below:
        at.order_extra(state, below).up = above
    if above == 0:
        _set_root(x, source, rising, below)
    elif at.order_extra(state, above).left == i:
        at.order_extra(state, above).left = below
    else:
        at.order_extra(state, above).right = below


@cold
def first_waiting(state: STATE, x: INSTRUMENT_EXTRA, source: int, rising: int):
    """The one that would fire first of a source and direction; 0: none."""
    i = root_of(x, source, rising)
    while i and at.order_extra(state, i).left:
        i = at.order_extra(state, i).left + 0
    return i


@cold
def leave_lists(state: STATE, i: int):
    """A special order is going for good: out of everything but its level and its account's list."""
    e = at.order_extra(state, i)
    if e.state == OrderState.TRIGGERED:
        leave_queue(state, i)
    leave_tree(state, i)
    come_inside(state, i)
    leave_session_list(state, i)
    stop_floating(state, i)
