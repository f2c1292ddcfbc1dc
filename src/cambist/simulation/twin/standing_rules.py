"""Sections 4 and 12 of the rules: what a standing order holds and counts, the book, its levels, how an order ends, and what is linked to it."""
from cambist.messages import CALLS, Event, Link, Liquidity, OrderState, Reason, Session, Side, TimeInForce
from cambist.simulation.twin.control_rules import rated_value
from cambist.simulation.twin.model import Command, Instrument, Order, State, fee_up

R = Reason
AUCTION_ORDERS = (TimeInForce.AUCTION, TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE)


def ordinal(identity: int) -> int:
    return identity & 0xFFFFFFFF


def opposite(side: int) -> int:
    return Side.SELL if side == Side.BUY else Side.BUY


def dying(t: State, order: Order) -> bool:
    """It never trades again, and is cancelled as soon as somebody comes to it."""
    account, number = t.accounts[order.account], ordinal(order.id)
    if number < account.dying_below or account.killed or (order.actor in t.actors and t.actors[order.actor].killed):
        return True
    if number < account.some_below and account.some_instrument in (0, order.instrument) and account.some_side in (Side.TWO_WAY, order.side):
        return True
    return lapsed(t, order) or over(t, order)


def must_live(t: State, order: Order) -> None:
    """Bounded work never moves a dying order: an earlier line of section 10 has cancelled it."""
    if dying(t, order):
        raise AssertionError("a dying order is left when others are worked off: an earlier line of section 10 has not done its work")


def lapsed(t: State, order: Order) -> bool:
    return order.time_in_force == TimeInForce.GTD and order.good_till <= t.time


def over(t: State, order: Order) -> bool:
    """An order of an auction that has ended, or of a day that has."""
    session = t.instruments[order.instrument].session
    if order.time_in_force in AUCTION_ORDERS and order.state == OrderState.BOOK:
        return session not in CALLS
    return order.time_in_force == TimeInForce.DAY and session == Session.CLOSED


# ------------------------------------------------------------------------------------------------------------------ holds
def hold_of(ins: Instrument, side: int, leaves: int, price: int, ppm: int, minimum: int = 0) -> int:
    if not ins.prefunded:
        return ins.amount_up(leaves, price)
    if side == Side.SELL:
        return leaves
    a = ins.amount_up(leaves, price)
    return a + fee_up(a, ppm) + minimum


def hold_by_quote(ins: Instrument, side: int, leaves: int, price: int, ppm: int, minimum: int) -> int:
    """The hold of an order whose leaves are in the quote asset."""
    if not ins.prefunded:
        return leaves
    if side == Side.SELL:
        return ins.lots(leaves, price)
    return leaves + fee_up(leaves, ppm) + minimum


def own_hold(t: State, order: Order) -> int:
    """What it would hold on its own."""
    ins = t.instruments[order.instrument]
    if order.leaves == 0:
        return 0
    minimum = order.fee_min if order.executed == 0 else 0
    if order.by_quote:
        return hold_by_quote(ins, order.side, order.leaves, order.worst, order.fee_ppm, minimum)
    return hold_of(ins, order.side, order.leaves, order.worst, order.fee_ppm, minimum)


def hold_asset(ins: Instrument, side: int) -> int:
    return ins.quote if side == Side.BUY else ins.base


def set_hold(t: State, order: Order, hold: int) -> None:
    """The order's hold becomes this much; the difference comes from, or goes back to, available or the credit row."""
    ins = t.instruments[order.instrument]
    change = hold - order.held
    order.held = hold
    if ins.prefunded:
        row = t.balance(order.account, hold_asset(ins, order.side))
        row.available -= change
        row.held += change
    else:
        t.house_credit(order.account, ins.quote).reserved += change


def mate_of(t: State, order: Order) -> Order | None:
    return t.orders.get(order.mate) if order.mate else None


def carries(order: Order) -> bool:
    """Of two linked orders the one of the lower id holds and counts for both."""
    return order.mate == 0 or order.id < order.mate


def waits_for_base(t: State, order: Order) -> bool:
    """A sleeping child that sells what its parent buys: it holds what the parent has bought so far."""
    return bool(order.parent) and order.side == Side.SELL and t.instruments[order.instrument].prefunded


def follow(t: State, order: Order, taker: bool = False) -> None:
    """Hold, open quantity and value of what the order still has open, wherever it stands; a taker does not count as open yet."""
    mate = mate_of(t, order)
    alone = carries(order)
    wanted = own_hold(t, order) if alone else 0
    if alone and mate is not None:
        wanted = max(wanted, own_hold(t, mate))
    if alone and order.leaves and waits_for_base(t, order):
        wanted = order.covered
    set_hold(t, order, wanted)
    counted = order.leaves if alone and not taker and order.id in t.orders else 0
    t.position(order.account, order.instrument).grow_open(order.side, counted - order.counted)
    order.counted = counted
    value = rated_value(t, order) if alone else 0
    if value != order.value:
        t.exposures[order.account].open += value - order.value
        order.value = value


def lose(t: State, order: Order, x: int, prevented: bool = False, taker: bool = False) -> None:
    """x less is open, of the order and of what it is linked to."""
    order.leaves -= x
    if prevented:
        order.quantity -= x
        order.prevented += x
    order.shown = min(order.shown, order.leaves)
    mate = mate_of(t, order)
    if mate is not None:
        mate.leaves -= x
        mate.quantity -= x
        mate.prevented += x
        mate.shown = min(mate.shown, mate.leaves)
    for one in sorted((o for o in (order, mate) if o is not None), key=lambda o: o.id):
        follow(t, one, taker=taker and one is order)


# ------------------------------------------------------------------------------------------------------------------- book
def book(t: State, instrument: int, side: int) -> dict[int, list[Order]]:
    return t.books.setdefault((instrument, side), {})


def best_first(t: State, instrument: int, side: int) -> list[int]:
    return sorted(book(t, instrument, side), reverse=side == Side.BUY)


def best(t: State, instrument: int, side: int) -> int:
    """The best price of a side; 0 when nothing stands there."""
    prices = best_first(t, instrument, side)
    return prices[0] if prices else 0


def crosses(side: int, limit: int, price: int) -> bool:
    return price <= limit if side == Side.BUY else price >= limit


def meets_a_level(t: State, ins: Instrument, side: int, limit: int) -> bool:
    price = best(t, ins.number, opposite(side))
    return price > 0 and crosses(side, limit, price)


def stand(t: State, order: Order, state: int) -> None:
    """Into the table, in this state; in the book at the end of the level of its price."""
    order.state = state
    t.enter(order)
    if state == OrderState.BOOK:
        order.shown = min(order.display or order.leaves, order.leaves)
        book(t, order.instrument, order.side).setdefault(order.price, []).append(order)
    follow(t, order)


def rest(t: State, order: Order) -> None:
    stand(t, order, OrderState.BOOK)
    tell_level(t, order.instrument, order.side, order.price)


def leave_level(t: State, order: Order) -> None:
    level = book(t, order.instrument, order.side)[order.price]
    level.remove(order)
    if not level:
        del book(t, order.instrument, order.side)[order.price]


def depart(t: State, order: Order) -> None:
    """Out of the table and of wherever it stands. Its hold stays, its open quantity does not."""
    if order.id not in t.orders:
        return
    if order.state == OrderState.BOOK:
        leave_level(t, order)
    if order.state == OrderState.TRIGGERED:
        t.entries[order.instrument].remove(order.id)
    t.leave(order)
    t.position(order.account, order.instrument).grow_open(order.side, -order.counted)
    order.counted = 0


def level_now(t: State, instrument: int, side: int, price: int) -> tuple[int, int]:
    """The quantity shown at a price, and in how many orders."""
    level = book(t, instrument, side).get(price, [])
    return sum(order.shown for order in level), len(level)


def tell_level(t: State, instrument: int, side: int, price: int) -> None:
    """Only what differs from what was told before."""
    now = level_now(t, instrument, side, price)
    if now != t.told.get((instrument, side, price), (0, 0)):
        t.told[instrument, side, price] = now
        t.emit(Event.LEVEL, 0, instrument=instrument, side=side, price=price, quantity=now[0], leaves=now[1])


# ------------------------------------------------------------------------------------------------------------ ending an order
def told_liquidity(order: Order, liquidity: Liquidity = Liquidity.NONE) -> Liquidity:
    """Of an order BY_QUOTE every event says that its sizes are of the quote asset."""
    return Liquidity.TAKER_BY_QUOTE if order.by_quote else liquidity


def tell_cancelled(t: State, order: Order, reason: int, c: Command | None = None) -> None:
    fields = {"id": order.id, "instrument": order.instrument, "side": order.side, "price": order.price, "quantity": order.leaves, "reason": reason,
              "liquidity": told_liquidity(order)}
    if c is None:
        t.emit(Event.ORDER_CANCELLED, order.account, **fields)
    else:
        t.echo(c, Event.ORDER_CANCELLED, order.account, **fields)


def tell_reduced(t: State, order: Order, x: int, reason: int) -> None:
    t.emit(Event.ORDER_REDUCED, order.account, id=order.id, instrument=order.instrument, side=order.side, price=order.price, quantity=x, leaves=order.leaves,
           reason=reason)


def cancel(t: State, order: Order, reason: int, c: Command | None = None, tell: bool = True) -> None:
    """Whatever its state. `tell` False: whoever works in its level tells the level."""
    in_book = order.id in t.orders and order.state == OrderState.BOOK
    depart(t, order)
    mate, executed = unlink(t, order), order.executed
    tell_cancelled(t, order, reason, c)
    order.leaves = 0
    follow(t, order)
    if in_book and tell:
        tell_level(t, order.instrument, order.side, order.price)
    if mate is not None:
        cancel(t, mate, R.LINKED)
    parent_ended(t, order, executed)


def unlink(t: State, order: Order) -> Order | None:
    """Neither of an OCO has a link any more; each stands for itself. The other one, if there was one."""
    mate = mate_of(t, order)
    order.mate = 0
    if order.link == Link.OCO:
        order.link = Link.NONE
    if mate is not None:
        mate.mate = 0
        if mate.link == Link.OCO:
            mate.link = Link.NONE
    return mate


def tell_linked(t: State, order: Order, x: int) -> None:
    """What x of the order's took from its mate, already gone from its leaves."""
    mate = mate_of(t, order)
    if mate is None:
        return
    tell_reduced(t, mate, x, R.LINKED)
    if mate.leaves == 0:
        unlink(t, mate)
        depart(t, mate)
        tell_cancelled(t, mate, R.LINKED)


def finish(t: State, order: Order) -> None:
    """Nothing of it is open any more, because it traded or was prevented from it."""
    depart(t, order)
    parent_ended(t, order, order.executed)


def cover_children(t: State, order: Order, x: int) -> None:
    """What the order bought just now is what its children will sell: the one that carries for both holds it. Their value is that of now."""
    for child in children_of(t, order):
        if waits_for_base(t, child):
            child.covered += x
        follow(t, child)


def children_of(t: State, order: Order) -> list[Order]:
    return sorted((o for o in t.orders.values() if o.parent == order.id), key=lambda o: o.id) if order.link == Link.PARENT else []


def parent_ended(t: State, order: Order, executed: int) -> None:
    children = children_of(t, order)
    if executed == 0:
        for child in children:
            if child.id in t.orders:
                cancel(t, child, R.LINKED)
        return
    fell = children[0].leaves - executed if children else 0
    for child in children:
        child.parent = 0
        child.leaves -= fell
        child.quantity -= fell
        child.prevented += fell
        child.link = Link.OCO if child.mate else Link.NONE
    for child in children:
        follow(t, child)
        if fell:
            tell_reduced(t, child, fell, R.LINKED)
        if child.trigger:
            child.state = OrderState.WAITING
        else:
            queue_to_enter(t, child)


def queue_to_enter(t: State, order: Order) -> None:
    """At the end of its instrument's queue, and told."""
    order.state = OrderState.TRIGGERED
    t.entries.setdefault(order.instrument, []).append(order.id)
    t.emit(Event.ORDER_TRIGGERED, order.account, id=order.id, instrument=order.instrument, side=order.side, price=order.worst, leaves=order.leaves,
           other=order.trigger_price)


def may_not_trade(t: State, one: Order, other: Order) -> bool:
    """The same owner, as the wider of the two scopes sees it."""
    a, b = t.accounts[one.account], t.accounts[other.account]
    scope = max(a.self_trade_scope, b.self_trade_scope)
    return (a.number == b.number or (scope >= 1 and a.trade_group == b.trade_group != 0) or (scope >= 2 and a.entity == b.entity != 0))

