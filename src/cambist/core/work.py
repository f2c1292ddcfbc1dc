"""Bounded work before each command: mass actions and timers, at most 16 units, in the order of docs/rules.md section 10.

Latches were set at once by the command that began a mass action; here the rows are worked off by cursors kept in state.
"""
from cambist.core import layout as at
from cambist.core.agenda import AUCTION, ENTER, FIRE, PEG, lowest
from cambist.core.auction import auction_unit, tell_indicative
from cambist.core.book import level_at
from cambist.core.control import free_held
from cambist.core.emit import put
from cambist.core.order_entry import enter_unit
from cambist.core.layout import STATE
from cambist.core.lists import first_outside
from cambist.core.look import look_again
from cambist.core.mass_actions import dead_man_due, partial_unit
from cambist.core.matching import withdraw_order
from cambist.core.meetings import is_dying
from cambist.core.memory import cold, hot
from cambist.core.pegs import peg_unit
from cambist.core.precision import change_unit
from cambist.core.rfq import quote_due, request_due
from cambist.core.routing import forget_child
from cambist.core.schedules import slot_due
from cambist.core.session_sweep import session_unit
from cambist.core.market_sessions import end_called
from cambist.core.timers import (
    AUCTION_ENDS, CHILD_FORGOTTEN, DEAD_MAN_ENDS, HELD_LAPSES, INDICATIVE_DUE, ORDER_ENDS, QUOTE_ENDS, REQUEST_ENDS, SLOT_DUE, due_timer, stop_timer,
)
from cambist.core.triggers import fire, next_to_fire
from cambist.core.traders import leave_account_of_trader, next_of_trader
from cambist.core.trades import net_account
from cambist.messages import AccountKind, Event, Reason

UNITS = 16
FOREVER = (1 << 63) - 1


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
    if i and is_dying(state, i):
        withdraw_order(state, i, owner.sweep_reason, 0)
        return
    state.sweep_first = owner.sweep_next
    if state.sweep_first == 0:
        state.sweep_last = 0
    owner.sweeping = 0
    owner.sweep_reason = 0
    put(state, Event.SWEPT, number, 0, 0, 0)


@cold
def _trader_unit(state: STATE):
    """The head of the queue of traders' sweeps: the next order it may have sent, or the next account, or its end."""
    number = state.trader_first + 0
    i = next_of_trader(state)
    if i == 0:
        if leave_account_of_trader(state):
            put(state, Event.SWEPT, 0, 0, 5, number)
    elif at.origin(state, i).actor == number:
        withdraw_order(state, i, Reason.TRADER_KILLED, 0)


@cold
def _book_unit(state: STATE):
    """The head of the queue of book sweeps: the first order of the best bid, then of the best ask, then its end."""
    number = state.book_sweep_first + 0
    b = at.instrument(state, number)
    if b.bid >= 0 or b.ask < b.ticks:
        side = 0 if b.bid >= 0 else 1
        best = b.ask if side else b.bid
        withdraw_order(state, at.level(state, level_at(state, b, side, best)).head + 0, Reason.HALTED, 0)
        return
    i = first_outside(state, at.instrument_extra(state, number))
    if i:
        withdraw_order(state, i, Reason.HALTED, 0)
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
    elif kind == REQUEST_ENDS:
        request_due(state, row)
    else:
        _market_timer(state, kind, row)


@cold
def _market_timer(state: STATE, kind: int, row: int):
    if kind == AUCTION_ENDS:
        end_called(state, row)
    elif kind == INDICATIVE_DUE:
        tell_indicative(state, row)
    elif kind == ORDER_ENDS:
        withdraw_order(state, row, Reason.EXPIRED, 0)
    elif kind == DEAD_MAN_ENDS:
        dead_man_due(state, row)
    elif kind == SLOT_DUE:
        slot_due(state, row)


@hot
def is_work(state: STATE):
    """Whether there may be anything to do: the common case is two registers."""
    return state.time >= state.quiet_until


@cold
def _rest_until_next(state: STATE):
    """There is nothing to do before the next timer."""
    state.quiet_until = at.timer(state, at.heap(state, 1).timer).time if state.timer_count else FOREVER


@cold
def _market_unit(state: STATE):
    """Lines 9 to 12: what moves the market, of the lowest instrument with such work."""
    if state.agenda >> FIRE & 1:
        fire(state, next_to_fire(state, lowest(state, FIRE)))
    elif state.agenda >> AUCTION & 1:
        auction_unit(state, lowest(state, AUCTION))
    elif state.agenda >> ENTER & 1:
        enter_unit(state, lowest(state, ENTER))
    else:
        peg_unit(state, lowest(state, PEG))


@cold
def _one_unit(state: STATE):
    """The first line of section 10 that has something to do; 0 when none has."""
    if state.kill_sweep:
        _kill_unit(state)
    elif state.sweep_first:
        _account_unit(state)
    elif state.some_first:
        partial_unit(state)
    elif state.trader_first:
        _trader_unit(state)
    elif state.book_sweep_first:
        _book_unit(state)
    elif state.over_first:
        session_unit(state)
    elif state.change_asset:
        change_unit(state)
    elif state.cut_off:
        _cut_off_unit(state)
    elif due_timer(state):
        _timer_unit(state, due_timer(state))
    elif state.agenda:
        _market_unit(state)
    else:
        return 0
    return 1


@cold
def do_work(state: STATE, room: int):
    """What is left of this command's units. It stops (`begun` stays 1) where an order that enters is parked, or where events need an empty buffer."""
    if state.begun == 0:
        state.begun = 1
        state.units = UNITS
    while state.units:
        if state.written > room:
            return
        if not _one_unit(state):
            _rest_until_next(state)
            break
        state.units = state.units - 1
        if at.taker(state, 0).active:
            return
        if state.look_first:
            look_again(state)
    state.begun = 0
