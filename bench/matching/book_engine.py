"""The matching of cambist by itself, as the engines of the public harness are: messages in, reports out; no accounts, no money, no log.

The book is the kernel's own: order rows, the index of ids, queues, levels under the tree of bitmaps, best prices. What is here is the harness' contract: which
report answers what, and that a modify is a cancel and a new order. A message is done, reports and all, before the next is looked at; of those to come only
cache lines are asked for.
"""
from bench.matching.contract import (
    CANCEL,
    CANCEL_ACK,
    CANCEL_REJECT,
    MESSAGE,
    MODIFY_ACK,
    MODIFY_REJECT,
    NEW,
    ORDER_ACK,
)
from bench.matching.ring import CONTROL, publish, put, put_trade, rows_at
from cambist.core import layout
from cambist.core import layout as at
from cambist.core.book import crosses, leave, level_at, may_rest, price_of, rest
from cambist.core.layout import INSTRUMENT, ORDER, STATE
from cambist.core.memory import address, cold, hot, prefetch, told_apart, wrap
from cambist.core.pools import ROW_MASK, find_order, forget_order, give_order, mark_of, order_home, remember_order, room_order, take_order
from cambist.core.risk import tick_of
from cambist.messages import Side

BOOK = 1                                        # the instrument
AIMS = layout.AIMS - 1
FAR, NEAR = 15, 8                               # how many messages ahead lines are asked for: the index, the row it names
SEEN = 64                                       # messages after which the reader sees what was written
told_apart(MESSAGE, "message")
message_at = rows_at(MESSAGE)


@hot
def _report(queue: CONTROL, rows: int, kind: int, m: MESSAGE, side: int, price: int, quantity: int):
    put(queue, rows, kind | (side << 8) | wrap(quantity << 32), m.sequence, m.order, price)


@hot
def _take_out(state: STATE, b: INSTRUMENT, i: int, o: ORDER, id: int):
    """A resting order goes for good."""
    leave(state, b, o)
    forget_order(state, id, i)
    give_order(state, i)


@cold
def _sweep(state: STATE, b: INSTRUMENT, queue: CONTROL, rows: int, m: MESSAGE, side: int, tick: int, leaves: int):
    """Trade until nothing crosses or nothing is left; what is left."""
    while leaves and crosses(b, side, tick):
        best = b.ask if side == Side.BUY else b.bid
        l = at.level(state, level_at(state, b, Side.SELL - side, best))
        i = l.head + 0
        o = at.order(state, i)
        x = min(o.leaves, leaves)
        put_trade(queue, rows, x, m.sequence, m.order, o.id, price_of(b, best))
        leaves -= x
        if x == o.leaves:
            _take_out(state, b, i, o, o.id + 0)
        else:
            o.leaves = o.leaves - x
            l.quantity = l.quantity - x
    return leaves


@hot
def _enter(state: STATE, b: INSTRUMENT, queue: CONTROL, rows: int, m: MESSAGE, tick: int, ioc: int):
    """Trade with what crosses; the rest joins the book, or is cancelled."""
    side, leaves = m.side + 0, m.quantity + 0
    if crosses(b, side, tick):
        leaves = _sweep(state, b, queue, rows, m, side, tick, leaves)
        if leaves == 0:
            return
    if ioc or not room_order(state) or not may_rest(state, b, side, tick):
        _report(queue, rows, CANCEL_ACK, m, side, m.price, 0)
        return
    i = take_order(state)
    o = at.order(state, i)
    o.id = m.order
    o.side = side
    o.leaves = leaves
    rest(state, b, BOOK, i, o, tick)
    remember_order(state, m.order, i)


@hot
def _new(state: STATE, b: INSTRUMENT, queue: CONTROL, rows: int, m: MESSAGE):
    tick = tick_of(b, m.price)
    if tick < 0 or m.quantity == 0 or m.side > 1:                # the contract has no report for it
        return
    _report(queue, rows, ORDER_ACK, m, m.side, m.price, m.quantity)
    _enter(state, b, queue, rows, m, tick, m.ioc)


@hot
def _change(state: STATE, b: INSTRUMENT, queue: CONTROL, rows: int, m: MESSAGE):
    """A cancel or a modify of an order at rest."""
    i = find_order(state, m.order)
    if i == 0:
        put(queue, rows, CANCEL_REJECT if m.type == CANCEL else MODIFY_REJECT, m.sequence, m.order, 0)
        return
    o = at.order(state, i)
    if m.type == CANCEL:
        _report(queue, rows, CANCEL_ACK, m, o.side, price_of(b, at.level(state, o.level).tick), 0)
        _take_out(state, b, i, o, m.order + 0)
        return
    tick = tick_of(b, m.price)
    if tick < 0 or m.quantity == 0 or m.side != o.side:
        put(queue, rows, MODIFY_REJECT, m.sequence, m.order, 0)
        return
    _take_out(state, b, i, o, m.order + 0)
    _report(queue, rows, MODIFY_ACK, m, m.side, m.price, m.quantity)
    _enter(state, b, queue, rows, m, tick, 0)


# --------------------------------------------------------------------------------------------------------------- ahead
@hot
def _look_ahead(state: STATE, messages: int, i: int):
    """What three messages to come will read; what it holds decides nothing here."""
    x = at.aim(state, (i + FAR) & AIMS)
    x.order = order_home(state, mark_of(message_at(messages, i + FAR).order))
    prefetch(address(at.order_slot(state, x.order)))
    prefetch(address(at.order(state, at.order_slot(state, at.aim(state, (i + NEAR) & AIMS).order).word & ROW_MASK)))


@hot
def run(state: STATE, queue: CONTROL, rows: int, messages: int, count: int):
    """All messages of a run, in their order."""
    b = at.instrument(state, BOOK)
    for i in range(count):
        if i + FAR < count:
            _look_ahead(state, messages, i)
        m = message_at(messages, i)
        if m.type == NEW:
            _new(state, b, queue, rows, m)
        else:
            _change(state, b, queue, rows, m)
        if i & SEEN - 1 == 0:
            publish(queue)
    publish(queue)
