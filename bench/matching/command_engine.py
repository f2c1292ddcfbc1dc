"""The whole of cambist's kernel behind the harness' messages: every message becomes a command that passes preamble, limits, holds, matching and double entry.

A new order is an order of one of two accounts, one that buys and one that sells, so that the check for self-trades is made and never fires. The kernel gives
orders their ids; what the harness calls them is kept beside, in flat tables. Commands are made a few messages ahead, for the kernel to look at as it does in
an entry; the order that one names is put in when its turn has come, so nothing is decided early.
"""
import numpy as np

from bench.matching.contract import CANCEL, CANCEL_ACK, CANCEL_REJECT, MESSAGE, MODIFY, MODIFY_ACK, MODIFY_REJECT, NEW, ORDER_ACK
from bench.matching.matching_house import BOOK, BUYER, SELLER, TRADER
from bench.matching.ring import CONTROL, publish, put, put_trade, rows_at
from cambist.core import kernel
from cambist.core import layout as at
from cambist.core.accounts import ACCOUNT_MASK
from cambist.core.authority import pass_time
from cambist.core.layout import COMMAND, EVENT, MIN_EVENTS, STATE
from cambist.core.matching import work_taker
from cambist.core.memory import address, cold, hot, prefetch, told_apart, wrap
from cambist.core.pools import find_order
from cambist.core.work import do_work, is_work
from cambist.messages import NUMBERED, ORDINAL_BITS, Event, Kind, Liquidity, Side, TimeInForce

IDS = 1 << 22                                   # ids of the harness, and ordinals of ours, that have a place
SEEN = 64                                       # messages after which the reader sees what was written
NOW = 2_000_000_000                             # log time of everything
NAMED = 2 * kernel.FAR                          # messages ahead whose name is asked for
AHEAD = kernel.AIMS + 1                         # commands that are kept while they are looked at
NOTES = np.dtype([("sent", "<i8"), ("maker", "<i8"), ("spare", "<i8", 6)])       # commands numbered so far; the maker of the fill that is being told
NAME = np.dtype([("id", "<i8")])                # our order of their id (IDS of them), then their id of our order (of buyer and seller in turn)
COMMANDS_AT = NOTES.itemsize
NAMES_AT = COMMANDS_AT + AHEAD * COMMAND.itemsize
NOTES_BYTES = NAMES_AT + 3 * IDS * NAME.itemsize
told_apart(NOTES, "notes")
told_apart(NAME, "name")
notes_at, message_at = rows_at(NOTES), rows_at(MESSAGE)
command_at, name_at = rows_at(COMMAND, COMMANDS_AT), rows_at(NAME, NAMES_AT)


@hot
def _their_place(id: int):
    """Where the harness' name of one of our orders stands."""
    return IDS + 2 * (id & IDS - 1) + ((id >> ORDINAL_BITS) & 1)


@hot
def _name(c: COMMAND, notes: int, m: MESSAGE):
    """The order that a cancel or modify names, and whose it is, as far as is known now. (What is right already is not written again: the kernel reads a
    command's words together, which has to wait for what was written last.)"""
    order = name_at(notes, m.order).id + 0 if 0 <= m.order < IDS else 0
    if c.a0 != order:
        c.account = (order >> ORDINAL_BITS) & ACCOUNT_MASK if order else BUYER
        c.a0 = order


@hot
def _prepare(c: COMMAND, notes: int, m: MESSAGE, number: int):
    """The command of a message; the rest of its record stays zero."""
    c.actor = TRADER
    c.flags = NUMBERED
    c.id_lo = number
    if m.type == NEW:
        n = kernel.as_new_order(c)
        c.kind = Kind.NEW_ORDER
        c.instrument = BOOK
        c.account = BUYER if m.side == Side.BUY else SELLER
        c.a0 = 0
        n.side = m.side
        n.time_in_force = TimeInForce.IOC if m.ioc else TimeInForce.GTC
        n.price = m.price
        n.quantity = m.quantity
        return
    c.instrument = 0
    c.account = BUYER
    c.a0 = 0
    _name(c, notes, m)
    c.kind = Kind.CANCEL_ORDER if m.type == CANCEL else Kind.AMEND_ORDER
    c.a1 = 0 if m.type == CANCEL else m.price
    c.a2 = 0


@hot
def _complete(state: STATE, c: COMMAND, notes: int, m: MESSAGE):
    """Just before its turn: the order named, and of a modify, whose quantity is what is to be open, what was filled before."""
    if m.type == NEW:
        return
    _name(c, notes, m)
    if m.type == MODIFY:
        i = find_order(state, c.a0)
        o = at.order(state, i)
        c.a2 = m.quantity + (o.quantity - o.leaves if i else 0)


# -------------------------------------------------------------------------------------------------------------- reports
@hot
def _tell(queue: CONTROL, rows: int, notes: int, m: MESSAGE, e: EVENT):
    """The report that an event becomes, if any."""
    kind = e.kind + 0
    if kind == Event.ORDER_ACCEPTED:
        if 0 <= m.order < IDS:
            name_at(notes, m.order).id = e.id
        name_at(notes, _their_place(e.id)).id = m.order
        put(queue, rows, ORDER_ACK | (e.side << 8) | wrap(e.quantity << 32), m.sequence, m.order, e.price)
    elif kind == Event.ORDER_CANCELLED:
        put(queue, rows, CANCEL_ACK | (e.side << 8), m.sequence, m.order, e.price)
    elif kind == Event.FILLED:
        if e.liquidity == Liquidity.MAKER:
            notes_at(notes, 0).maker = name_at(notes, _their_place(e.id)).id
        else:
            put_trade(queue, rows, e.quantity, m.sequence, m.order, notes_at(notes, 0).maker, e.price)
    elif kind == Event.ORDER_AMENDED:
        put(queue, rows, MODIFY_ACK | (e.side << 8) | wrap(e.leaves << 32), m.sequence, m.order, e.price)
    elif kind == Event.REFUSED and m.type != NEW:
        put(queue, rows, CANCEL_REJECT if m.type == CANCEL else MODIFY_REJECT, m.sequence, m.order, 0)


@hot
def _tell_all(state: STATE, queue: CONTROL, rows: int, notes: int, m: MESSAGE):
    for k in range(state.written):
        _tell(queue, rows, notes, m, at.event(state, k))
    state.written = 0


@cold
def _go_on(state: STATE, queue: CONTROL, rows: int, notes: int, m: MESSAGE):
    """A sweep that filled the table of events is worked on."""
    while at.taker(state, 0).active:
        work_taker(state)
        _tell_all(state, queue, rows, notes, m)


@hot
def _look_ahead(state: STATE, notes: int, messages: int, i: int, count: int, number: int):
    """The kernel's own look at what is to come; the name of what is named further on."""
    if i + NAMED < count:
        prefetch(address(name_at(notes, message_at(messages, i + NAMED).order & IDS - 1)))
    far, near, here = (i + kernel.FAR) & kernel.AIMS, (i + kernel.NEAR) & kernel.AIMS, (i + kernel.HERE) & kernel.AIMS
    _prepare(command_at(notes, far), notes, message_at(messages, i + kernel.FAR), number + kernel.FAR)
    kernel._look_far(state, command_at(notes, far), far)
    kernel._look_near(state, command_at(notes, near), near)
    kernel._look_here(state, here)


@hot
def run(state: STATE, queue: CONTROL, rows: int, notes: int, messages: int, count: int):
    """All messages of a run, in their order."""
    head = notes_at(notes, 0)
    first, room = head.sent + 1, at.event_room(state) - MIN_EVENTS
    for k in range(min(kernel.FAR, count)):
        _prepare(command_at(notes, k), notes, message_at(messages, k), first + k)
    for i in range(count):
        if i + kernel.FAR < count:
            _look_ahead(state, notes, messages, i, count, first + i)
        m, c = message_at(messages, i), command_at(notes, i & kernel.AIMS)
        _complete(state, c, notes, m)
        pass_time(state, NOW)
        state.sequence = state.sequence + 1
        if is_work(state):
            do_work(state, room)
        kernel._one(state, c)
        _tell_all(state, queue, rows, notes, m)
        if at.taker(state, 0).active:
            _go_on(state, queue, rows, notes, m)
        if i & SEEN - 1 == 0:
            publish(queue)
    head.sent = head.sent + count
    publish(queue)
