"""Order lists: a group of NEW_ORDERs that is an OCO, a parent with its child, or a bracket, accepted whole or not at all. Section 12 of docs/rules.md."""
from cambist.core import layout as at
from cambist.core.accept import accept_order, check_new_order
from cambist.core.accounts import account_of
from cambist.core.emit import begin
from cambist.core.order_entry import begin_order, begins_outside
from cambist.core.layout import COMMAND, STATE, L, seen_as
from cambist.core.memory import Several, cold
from cambist.core.pools import give_order
from cambist.core.shapes import is_lasting
from cambist.core.order_standing import depart, follow, set_leaves
from cambist.messages import Kind, Link, OrderType, TimeInForce

COMMANDS = Several(COMMAND)
NEW = L[Kind.NEW_ORDER]
as_new = seen_as(Kind.NEW_ORDER)


# ------------------------------------------------------------------------------------------------------------------ shape
@cold
def _fits(c: NEW):
    """Whether the order may stand in a list at all."""
    lasts = is_lasting(c.time_in_force) or (c.order_type == OrderType.MARKET and c.time_in_force == TimeInForce.IOC)
    if c.order_type > OrderType.MARKET or not lasts or c.display or c.minimum:
        return 0
    return 0 if c.post_only and c.link == Link.CHILD else 1


@cold
def _may_be_oco(c: NEW, other: NEW):
    """At least one waits for a price, and one that does not is a limit order."""
    if c.trigger and other.trigger:
        return 1
    if c.trigger:
        return 0 if other.order_type == OrderType.MARKET else 1
    return 1 if other.trigger and c.order_type != OrderType.MARKET else 0


@cold
def _is_like(c: NEW, first: NEW, same_side: int):
    """One account, instrument and quantity; on its side, or the other one."""
    if c.account != first.account or c.instrument != first.instrument or c.quantity != first.quantity:
        return 0
    return 1 if (1 if c.side == first.side else 0) == same_side else 0


@cold
def is_list(commands: COMMANDS, first: int, length: int):
    """OCO, OCO; PARENT, CHILD; or PARENT, CHILD, CHILD."""
    head = as_new(commands[first])
    if length < 2 or length > 3 or not _fits(head):
        return 0
    oco = 1 if head.link == Link.OCO else 0
    if (oco and length != 2) or (not oco and head.link != Link.PARENT):
        return 0
    for k in range(1, length):
        c = as_new(commands[first + k])
        if c.link != (Link.OCO if oco else Link.CHILD) or not _fits(c) or not _is_like(c, head, oco):
            return 0
    if oco:
        return _may_be_oco(head, as_new(commands[first + 1]))
    return _may_be_oco(as_new(commands[first + 1]), as_new(commands[first + 2])) if length == 3 else 1


# ----------------------------------------------------------------------------------------------------------------- accept
@cold
def accept_list(state: STATE, commands: COMMANDS, first: int, length: int, sequence: int):
    """Each in turn, with what the earlier ones hold; the number accepted: below `length` the next one was refused, for `state.list_reason`."""
    d, written = at.draft(state, 0), state.written + 0
    for k in range(length):
        state.sequence = sequence + k
        begin(state, commands[first + k])
        c = as_new(commands[first + k])
        d.parent = 0
        d.mate = 0
        if c.link == Link.CHILD:
            d.parent = state.list_rows[0]
            d.mate = state.list_rows[1] if k == 2 else 0
        elif k == 1:
            d.mate = state.list_rows[0]
        reason = check_new_order(state, c, 1)
        if reason:
            state.list_reason = reason
            state.written = written
            _take_back(state, k)
            return k
        state.list_rows[k] = accept_order(state, c)
    return length


@cold
def _take_back(state: STATE, accepted: int):
    """What was accepted before the refusal is as if it had never been."""
    for k in range(accepted - 1, -1, -1):
        i = state.list_rows[k] + 0
        o, e = at.order(state, i), at.order_extra(state, i)
        owner = at.account(state, account_of(o))
        if e.mate:
            at.order_extra(state, e.mate).mate = 0
        depart(state, i)
        set_leaves(state, i, 0)
        follow(state, i, 0)
        if e.mate:
            follow(state, e.mate, 0)
        owner.ordinal = owner.ordinal - 1
        give_order(state, i)


@cold
def begin_list(state: STATE, length: int, sequence: int):
    """Those that wait begin to; the one that enters, if there is one, does so last, so that it may park."""
    entering = -1
    for k in range(length):
        i = state.list_rows[k] + 0
        if begins_outside(state, i):
            state.sequence = sequence + k
            begin_order(state, i, 0)
        else:
            entering = k
    if entering >= 0:
        state.sequence = sequence + entering
        begin_order(state, state.list_rows[entering], 0)
    state.sequence = sequence + length - 1
