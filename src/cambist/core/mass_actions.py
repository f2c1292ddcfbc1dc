"""Cancels of many: CANCEL_ALL, CANCEL_SOME and its sweep, DEAD_MAN. Block first, by a latch; the rows are worked off. docs/rules.md sections 4 and 10."""
from cambist.core import layout as at
from cambist.core.accounts import ORDINAL_MASK
from cambist.core.control import begin_sweep
from cambist.core.emit import done, put, refuse
from cambist.core.flags import flag_account
from cambist.core.layout import STATE, L
from cambist.core.matching import withdraw_order
from cambist.core.memory import cold
from cambist.core.timers import DEAD_MAN_ENDS, start_timer, stop_timer
from cambist.messages import Event, Kind, Reason, Side

SOME, DEAD_MAN = L[Kind.CANCEL_SOME], L[Kind.DEAD_MAN]
LONGEST = 10**18                                # nanoseconds


@cold
def cancel_all(state: STATE, account: int):
    begin_sweep(state, account, Reason.CANCEL_ALL)
    done(state, account, account)


# ------------------------------------------------------------------------------------------------------------------ some
@cold
def _check_some(state: STATE, c: SOME):
    if c.side > Side.TWO_WAY:
        return Reason.BAD_SIDE
    if c.instrument > state.instrument_count:
        return Reason.UNKNOWN_INSTRUMENT
    return Reason.SWEEPING if at.account_extra(state, c.account).some_below else Reason.NONE


@cold
def cancel_some(state: STATE, c: SOME):
    """Latch what matches of the orders made before now, and queue the account for the partial sweep."""
    # check
    reason = _check_some(state, c)
    if reason:
        refuse(state, c.account, reason, 0)
        return
    # book
    owner, x = at.account(state, c.account), at.account_extra(state, c.account)
    x.some_instrument = c.instrument
    x.some_side = c.side
    x.some_below = owner.ordinal + 1
    x.some_cursor = 0
    x.some_row = owner.first_order
    x.some_next = 0
    if state.some_last:
        at.account_extra(state, state.some_last).some_next = c.account
    else:
        state.some_first = c.account
        state.quiet_until = 0
    state.some_last = c.account
    flag_account(state, c.account)
    # emit
    done(state, c.account, c.account)


@cold
def partial_unit(state: STATE):
    """The head of the queue of partial sweeps: its next order, cancelled if it matches and passed over if not, or its end."""
    account = state.some_first + 0
    x = at.account_extra(state, account)
    i = x.some_row + 0
    if i and (at.order(state, i).id & ORDINAL_MASK) < x.some_below:
        o = at.order(state, i)
        x.some_cursor = o.id & ORDINAL_MASK
        x.some_row = o.after
        here = x.some_instrument == 0 or x.some_instrument == at.position_row(state, o.position).instrument
        if here and (x.some_side == Side.TWO_WAY or x.some_side == o.side):
            withdraw_order(state, i, Reason.CANCEL_ALL, 0)
        return
    state.some_first = x.some_next
    if state.some_first == 0:
        state.some_last = 0
    x.some_instrument = 0
    x.some_side = 0
    x.some_below = 0
    x.some_cursor = 0
    x.some_row = 0
    flag_account(state, account)
    put(state, Event.SWEPT, account, 0, 4, 0)


@cold
def find_partial(state: STATE, account: int):
    """Of a restored account: the order that its partial sweep looks at next."""
    x = at.account_extra(state, account)
    if x.some_below == 0:
        return
    i = at.account(state, account).first_order + 0
    while i and (at.order(state, i).id & ORDINAL_MASK) <= x.some_cursor:
        i = at.order(state, i).after + 0
    x.some_row = i


# -------------------------------------------------------------------------------------------------------------- dead man
@cold
def watch_dead_man(state: STATE, account: int):
    """Its timer runs to where it is set, or not at all."""
    x = at.account_extra(state, account)
    stop_timer(state, x.dead_man_timer)
    x.dead_man_timer = start_timer(state, x.dead_man, account, DEAD_MAN_ENDS, account) if x.dead_man else 0


@cold
def set_dead_man(state: STATE, c: DEAD_MAN):
    if c.ttl < 0 or c.ttl > LONGEST:
        refuse(state, c.account, Reason.BAD_TTL, 0)
        return
    at.account_extra(state, c.account).dead_man = state.time + c.ttl if c.ttl else 0
    watch_dead_man(state, c.account)
    done(state, c.account, c.account)


@cold
def dead_man_due(state: STATE, account: int):
    """Nobody said in time that all is well: as CANCEL_ALL."""
    at.account_extra(state, account).dead_man = 0
    watch_dead_man(state, account)
    begin_sweep(state, account, Reason.DEAD_MAN)
