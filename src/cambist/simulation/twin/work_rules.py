"""Section 10 of the rules: the units of mass actions and timers worked off before each command."""
from collections.abc import Callable

from cambist.messages import ChildState, Event, Reason, RequestState, Side, TimeInForce
from cambist.simulation.twin.control_rules import latch_account
from cambist.simulation.twin.model import Instrument, State
from cambist.simulation.twin.peg_rules import look_at_pegs, next_instrument, peg_unit
from cambist.simulation.twin.precision_rules import change_unit
from cambist.simulation.twin.quote_rules import quote_timer, request_timer
from cambist.simulation.twin.session_rules import auction_unit, schedule_timer, session_unit, tell_indicative, to_enter
from cambist.simulation.twin.settlement_rules import net_account, never_netted
from cambist.simulation.twin.standing_rules import best_first, book, cancel, dying, must_live, ordinal
from cambist.simulation.twin.trigger_rules import enter_book, fire, look, next_to_enter, next_to_fire

R = Reason
UNITS = 16


def next_account(t: State, account: int) -> int:
    """The account after this one; 0 when it was the last."""
    return account + 1 if account + 1 in t.accounts else 0


def kill_all_unit(t: State) -> None:
    orders = t.account_orders(t.cell.kill_sweep)
    if orders:
        cancel(t, orders[0], R.KILLED)
        return
    t.cell.kill_sweep = next_account(t, t.cell.kill_sweep)
    if t.cell.kill_sweep == 0:
        t.emit(Event.SWEPT, 0, id=2)


def account_unit(t: State) -> None:
    account = t.account_sweeps[0]
    row, orders = t.accounts[account], t.account_orders(account)
    if orders and dying(t, orders[0]):
        cancel(t, orders[0], row.sweep_reason)
        return
    t.account_sweeps.pop(0)
    row.sweep_reason = 0
    t.emit(Event.SWEPT, account, id=0)


def partial_unit(t: State) -> None:
    account = t.partial_sweeps[0]
    row = t.accounts[account]
    order = next((o for o in t.account_orders(account) if row.some_cursor < ordinal(o.id) < row.some_below), None)
    if order is None:
        t.partial_sweeps.pop(0)
        row.some_instrument = row.some_side = row.some_below = row.some_cursor = 0
        t.emit(Event.SWEPT, account, id=4)
        return
    row.some_cursor = ordinal(order.id)
    if row.some_instrument in (0, order.instrument) and row.some_side in (Side.TWO_WAY, order.side):
        cancel(t, order, R.CANCEL_ALL)


def trader_unit(t: State) -> None:
    """The head goes through the orders of its own account, or of every account when it has sent for others, and cancels those it sent."""
    actor, cell = t.trader_sweeps[0], t.cell
    row = t.actors[actor]
    if cell.trader_account == 0:
        cell.trader_account = 1 if row.roams else row.account
    order = next((o for o in t.account_orders(cell.trader_account) if ordinal(o.id) > cell.trader_cursor), None)
    if order is not None:
        cell.trader_cursor = ordinal(order.id)
        if order.actor == actor:
            cancel(t, order, R.TRADER_KILLED)
        return
    cell.trader_account, cell.trader_cursor = next_account(t, cell.trader_account) if row.roams else 0, 0
    if cell.trader_account == 0:
        t.trader_sweeps.pop(0)
        t.emit(Event.SWEPT, 0, id=5, other=actor)


def instrument_unit(t: State) -> None:
    instrument = t.instrument_sweeps[0]
    for side in (Side.BUY, Side.SELL):
        prices = best_first(t, instrument, side)
        if prices:
            cancel(t, book(t, instrument, side)[prices[0]][0], R.HALTED)
            return
    outside = t.standing(instrument)
    if outside:
        cancel(t, outside[0], R.HALTED)
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


def dead_man_timer(t: State, account: int) -> None:
    t.accounts[account].dead_man = 0
    latch_account(t, account, R.DEAD_MAN)


def end_of_auction(ins: Instrument) -> None:
    ins.ending = 1


def due_timers(t: State) -> list[tuple[int, int, int, Callable[[], None]]]:
    """(time, class, id, what it does) of every timer that has come."""
    timers: list[tuple[int, int, int, Callable[[], None]]] = []
    for request in (r for r in t.requests.values() if r.expires <= t.time):
        timers.append((request.expires, 0, request.id, lambda request=request: request_timer(t, request)))
    for quote in (q for q in t.quotes.values() if q.expires <= t.time):
        if t.requests[quote.request].state == RequestState.OPEN:
            timers.append((quote.expires, 0, quote.id, lambda quote=quote: quote_timer(t, quote)))
    for row in t.held.values():
        timers.append((row.lapse, 0, row.id, lambda row=row: held_timer(t, row.id)))
    for child in t.children.values():
        if child.state == ChildState.DONE:
            timers.append((child.ends, 0, child.id, lambda child=child: t.children.pop(child.id)))
    for order in t.orders.values():
        if order.time_in_force == TimeInForce.GTD and order.good_till <= t.time:
            timers.append((order.good_till, 0, order.id, lambda order=order: cancel(t, order, R.EXPIRED)))
    return [timer for timer in timers + trading_timers(t) if timer[0] <= t.time]


def trading_timers(t: State) -> list[tuple[int, int, int, Callable[[], None]]]:
    timers: list[tuple[int, int, int, Callable[[], None]]] = []
    for account in t.accounts.values():
        if account.dead_man:
            timers.append((account.dead_man, 1, account.number, lambda n=account.number: dead_man_timer(t, n)))
    for ins in t.instruments.values():
        if ins.auction_ends and not ins.ending and not ins.halted:
            timers.append((ins.auction_ends, 2, ins.number, lambda ins=ins: end_of_auction(ins)))
        if ins.indicative_at and not ins.ending and not ins.halted:
            timers.append((ins.indicative_at, 3, ins.number, lambda ins=ins: tell_indicative(t, ins)))
    for (instrument, slot), schedule in t.schedules.items():
        if schedule.enabled:
            timers.append((schedule.due, 4, 8 * instrument + slot, lambda i=instrument, n=slot, r=schedule: schedule_timer(t, i, n, r)))
    return timers


def next_auction(t: State) -> Instrument | None:
    """The lowest instrument with something to work off in its auction."""
    found = (t.instruments[n] for n in sorted(t.instruments))
    return next((i for i in found if not i.halted and (i.ending or to_enter(t, i))), None)


def one_unit(t: State) -> bool:
    """The first line of section 10 that has something to do; False when none has."""
    if t.cell.kill_sweep:
        kill_all_unit(t)
    elif t.account_sweeps:
        account_unit(t)
    elif t.partial_sweeps:
        partial_unit(t)
    elif t.trader_sweeps:
        trader_unit(t)
    elif t.instrument_sweeps:
        instrument_unit(t)
    elif t.session_sweeps:
        session_unit(t)
    elif t.cell.change_asset:
        change_unit(t)
    elif t.cell.cut_off:
        cut_off_unit(t)
    elif timers := due_timers(t):
        min(timers, key=lambda timer: timer[:3])[3]()
    else:
        return market_unit(t)
    return True


def market_unit(t: State) -> bool:
    """Lines 9 to 12: what moves the market."""
    if order := next_to_fire(t):
        must_live(t, order)
        fire(t, order)
    elif ins := next_auction(t):
        auction_unit(t, ins)
    elif order := next_to_enter(t):
        enter_book(t, order)
    elif ins := next_instrument(t):
        peg_unit(t, ins)
    else:
        return False
    return True


def look_again(t: State) -> None:
    """After every command and every unit: what prices have become, for triggers and for pegs."""
    look(t)
    for number in sorted(t.instruments):
        look_at_pegs(t, t.instruments[number])


def work(t: State) -> None:
    for _ in range(UNITS):
        if not one_unit(t):
            return
        look_again(t)
