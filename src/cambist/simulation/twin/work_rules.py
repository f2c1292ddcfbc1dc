"""Section 10 of the rules: the units of mass actions and timers worked off before each command."""
from collections.abc import Callable

from cambist.messages import ChildState, Event, Reason, RequestState, Side
from cambist.simulation.twin.model import State
from cambist.simulation.twin.quote_rules import quote_timer, request_timer
from cambist.simulation.twin.settlement_rules import net_account, never_netted
from cambist.simulation.twin.trade_rules import best_first, book, dying, withdraw

R = Reason
UNITS = 16


def next_account(t: State, account: int) -> int:
    """The account after this one; 0 when it was the last."""
    return account + 1 if account + 1 in t.accounts else 0


def kill_all_unit(t: State) -> None:
    orders = t.account_orders(t.cell.kill_sweep)
    if orders:
        withdraw(t, orders[0], R.KILLED)
        return
    t.cell.kill_sweep = next_account(t, t.cell.kill_sweep)
    if t.cell.kill_sweep == 0:
        t.emit(Event.SWEPT, 0, id=2)


def account_unit(t: State) -> None:
    account = t.account_sweeps[0]
    row, orders = t.accounts[account], t.account_orders(account)
    if orders and dying(t, orders[0]):
        withdraw(t, orders[0], row.sweep_reason)
        return
    t.account_sweeps.pop(0)
    row.sweep_reason = 0
    t.emit(Event.SWEPT, account, id=0)


def instrument_unit(t: State) -> None:
    instrument = t.instrument_sweeps[0]
    for side in (Side.BUY, Side.SELL):
        prices = best_first(t, instrument, side)
        if prices:
            withdraw(t, book(t, instrument, side)[prices[0]][0], R.HALTED)
            return
    t.instrument_sweeps.pop(0)
    t.emit(Event.SWEPT, 0, id=1, instrument=instrument)


def cut_off_unit(t: State) -> None:
    account = t.cell.cut_off
    if not never_netted(t, account) and t.accounts[account].cycle < t.cell.cycle:
        net_account(t, account)
    t.cell.cut_off = next_account(t, account)


def held_timer(t: State, identity: int) -> None:
    row = t.held.pop(identity)
    t.emit(Event.HELD_EXPIRED, row.account, id=identity)


def due_timers(t: State) -> list[tuple[int, int, Callable[[], None]]]:
    """(time, id, what it does) of every timer that has come."""
    timers: list[tuple[int, int, Callable[[], None]]] = []
    for request in t.requests.values():
        timers.append((request.expires, request.id, lambda request=request: request_timer(t, request)))
    for quote in t.quotes.values():
        if t.requests[quote.request].state == RequestState.OPEN:
            timers.append((quote.expires, quote.id, lambda quote=quote: quote_timer(t, quote)))
    for row in t.held.values():
        timers.append((row.lapse, row.id, lambda row=row: held_timer(t, row.id)))
    for child in t.children.values():
        if child.state == ChildState.DONE:
            timers.append((child.ends, child.id, lambda child=child: t.children.pop(child.id)))
    return [timer for timer in timers if timer[0] <= t.time]


def one_unit(t: State) -> bool:
    """The first line of section 10 that has something to do; False when none has."""
    if t.cell.kill_sweep:
        kill_all_unit(t)
    elif t.account_sweeps:
        account_unit(t)
    elif t.instrument_sweeps:
        instrument_unit(t)
    elif t.cell.cut_off:
        cut_off_unit(t)
    elif timers := due_timers(t):
        min(timers, key=lambda timer: timer[:2])[2]()
    else:
        return False
    return True


def work(t: State) -> None:
    for _ in range(UNITS):
        if not one_unit(t):
            return
