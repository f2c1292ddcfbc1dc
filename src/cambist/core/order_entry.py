"""Where an accepted order goes: to sleep, to wait, to where it is pegged, to rest, or to work. docs/rules.md section 4, the change of NEW_ORDER; section 12."""
from cambist.core import layout as at
from cambist.core.accept import accept_order, check_new_order
from cambist.core.trading_controls import keep_for_duplicates
from cambist.core.emit import refuse
from cambist.core.layout import STATE, L
from cambist.core.lists import is_peg, leave_queue
from cambist.core.meetings import begin_taking, rest_waiting
from cambist.core.memory import cold
from cambist.core.pegs import put_peg
from cambist.core.market_sessions import gathers
from cambist.core.order_standing import follow, stand_outside
from cambist.messages import Kind, OrderState, Reason, TimeInForce, Trigger

NEW = L[Kind.NEW_ORDER]


@cold
def new_special(state: STATE, c: NEW):
    """Whatever is not plain, or comes from, or to, where something is not."""
    # check
    d = at.draft(state, 0)
    d.mate = 0
    d.parent = 0
    reason = check_new_order(state, c, 0)
    if reason:
        refuse(state, c.account, reason, 0)
        return
    # hold, emit
    i = accept_order(state, c)
    keep_for_duplicates(state, c.account, c.instrument, c.side, c.price, c.quantity)
    # match
    begin_order(state, i, 1)


@cold
def begins_outside(state: STATE, i: int):
    """It sleeps, or waits for something."""
    e = at.order_extra(state, i)
    return 1 if e.parent or e.trigger != Trigger.NONE or e.time_in_force >= TimeInForce.AT_OPEN else 0


@cold
def begin_order(state: STATE, i: int, counts: int):
    """`counts`: what it trades now is an execution of its account."""
    e = at.order_extra(state, i)
    b = at.instrument(state, e.instrument)
    if begins_outside(state, i):
        stand_outside(state, i, OrderState.ASLEEP if e.parent else OrderState.WAITING)
    elif is_peg(e):
        put_peg(state, b, i)
    elif gathers(at.instrument_extra(state, e.instrument)):
        rest_waiting(state, i)
    else:
        follow(state, i, 1)
        begin_taking(state, i, 0, counts)


@cold
def enter_unit(state: STATE, instrument: int):
    """The head of the queue of those that have fired enters the book. It is not dying: what makes an order die is worked off before."""
    x = at.instrument_extra(state, instrument)
    i = x.queue_first + 0
    leave_queue(state, i)
    at.order_extra(state, i).state = OrderState.ASLEEP      # at work now; it stays known for what is linked to it
    follow(state, i, 1)
    begin_taking(state, i, 1, 0)


@cold
def check_cancel(state: STATE, i: int):
    """What stands in the book may not leave it while its auction is ending."""
    o = at.order(state, i)
    ending = at.instrument_extra(state, at.position_row(state, o.position).instrument).ending
    return Reason.SESSION if o.level and ending else Reason.NONE
