"""Bounded work before each command: mass actions and timers, at most 16 units, in the order of docs/rules.md section 10.

Latches were set at once by the command that began a mass action; here the rows are worked off by cursors kept in state.
"""
from cambist.core import layout as at
from cambist.core.accounts import ORDINAL_MASK
from cambist.core.book import level_at
from cambist.core.control import free_held
from cambist.core.emit import put
from cambist.core.layout import STATE
from cambist.core.matching import withdraw_order
from cambist.core.memory import cold, hot
from cambist.core.rfq import quote_due, request_due
from cambist.core.routing import forget_child
from cambist.core.timers import CHILD_FORGOTTEN, HELD_LAPSES, QUOTE_ENDS, due_timer, stop_timer
from cambist.core.trades import net_account
from cambist.messages import AccountKind, Event, Reason

UNITS = 16


@cold
def _kill_unit(state: STATE):
    """The sweep of all accounts: its next order, or the next account."""
    i = at.account(state, state.kill_sweep).first_order + 0
    if i:
        withdraw_order(state, i, Reason.KILLED, 0)
        return
    state.kill_sweep = state.kill_sweep + 1
    if state.kill_sweep > state.account_count:
        state.kill_sweep = 0
        put(state, Event.SWEPT, 0, 0, 2, 0)


@cold
def _account_unit(state: STATE):
    """The head of the queue of sweeps: its next dying order, or its end."""
    number = state.sweep_first + 0
    owner = at.account(state, number)
    i = owner.first_order + 0
    if i and (at.order(state, i).id & ORDINAL_MASK) < owner.dying_below:
        withdraw_order(state, i, owner.sweep_reason, 0)
        return
    state.sweep_first = owner.sweep_next
    if state.sweep_first == 0:
        state.sweep_last = 0
    owner.sweeping = 0
    owner.sweep_reason = 0
    put(state, Event.SWEPT, number, 0, 0, 0)


@cold
def _book_unit(state: STATE):
    """The head of the queue of book sweeps: the first order of the best bid, then of the best ask, then its end."""
    number = state.book_sweep_first + 0
    b = at.instrument(state, number)
    if b.bid >= 0 or b.ask < b.ticks:
        best = b.bid if b.bid >= 0 else b.ask
        withdraw_order(state, at.level(state, level_at(state, b, best)).head + 0, Reason.HALTED, 0)
        return
    state.book_sweep_first = b.sweep_next
    if state.book_sweep_first == 0:
        state.book_sweep_last = 0
    b.sweeping = 0
    put(state, Event.SWEPT, 0, number, 1, 0)


@cold
def _cut_off_unit(state: STATE):
    """The next account of a running cut-off."""
    number = state.cut_off + 0
    owner = at.account(state, number)
    if owner.kind != AccountKind.HOUSE and owner.kind != AccountKind.CUSTODY and owner.cycle < state.cycle:
        net_account(state, number)
    state.cut_off = number + 1
    if state.cut_off > state.account_count:
        state.cut_off = 0


@cold
def _timer_unit(state: STATE, t: int):
    x = at.timer(state, t)
    row, kind = x.row + 0, x.kind + 0
    if kind == QUOTE_ENDS:
        quote_due(state, row)
    elif kind == HELD_LAPSES:
        h = at.held(state, row)
        put(state, Event.HELD_EXPIRED, h.account, 0, h.id, 0)
        free_held(state, row)
    elif kind == CHILD_FORGOTTEN:
        stop_timer(state, t)
        forget_child(state, row)
    else:
        request_due(state, row)


@hot
def is_work(state: STATE):
    """Whether there is anything to do: the common case is a few registers and one timer."""
    return state.kill_sweep or state.sweep_first or state.book_sweep_first or state.cut_off or due_timer(state)


@cold
def do_work(state: STATE):
    units = UNITS
    while units:
        t = due_timer(state)
        if state.kill_sweep:
            _kill_unit(state)
        elif state.sweep_first:
            _account_unit(state)
        elif state.book_sweep_first:
            _book_unit(state)
        elif state.cut_off:
            _cut_off_unit(state)
        elif t:
            _timer_unit(state, t)
        else:
            return
        units -= 1
