"""Section 4 of the rules: the commands about orders, their refusals in order and their changes."""
from cambist.messages import (
    FLOATING, MAX_AMOUNT, Event, Kind, Link, OrderState, PostOnly, Reason, Side, TimeInForce, Trigger,
)
from cambist.simulation.twin import peg_rules
from cambist.simulation.twin.control_rules import check_exposure, count_execution, is_duplicate, keep_for_duplicates, latch_account, restricted
from cambist.simulation.twin.fee_rules import hold_ppm, schedule
from cambist.simulation.twin.model import Command, Instrument, Order, State
from cambist.simulation.twin.session_rules import closed_to_orders, gathers
from cambist.simulation.twin.shape_rules import (
    by_quote, check_in_session, check_price, check_quantities, check_trigger, check_words, is_market, is_peg, lots, price_and_tick,
)
from cambist.simulation.twin.standing_rules import (
    best, cancel, carries, dying, follow, hold_asset, hold_by_quote, hold_of, leave_level, meets_a_level, opposite, rest, stand, tell_level, told_liquidity,
)
from cambist.simulation.twin.trade_rules import open_against, room
from cambist.simulation.twin.trigger_rules import collar_limit, is_reached, price_of, take, worst_of

K, R = Kind, Reason
OUTSIDE = (OrderState.WAITING, OrderState.TRIGGERED, OrderState.ASLEEP)


def begins_later(c: Command) -> bool:
    return bool(c["trigger"]) or c["link"] == Link.CHILD or c["time_in_force"] in (TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE)


# ---------------------------------------------------------------------------------------------------------- what it may trade at
def slides(t: State, ins: Instrument, post_only: int, side: int, price: int) -> bool:
    return post_only == PostOnly.SLIDE and not gathers(ins) and meets_a_level(t, ins, side, price)


def slid_price(t: State, ins: Instrument, side: int) -> int:
    """One tick behind the best of the other side; 0 when that is out of the range."""
    facing = best(t, ins.number, opposite(side))
    price = facing - ins.book_tick if side == Side.BUY else facing + ins.book_tick
    return price if ins.min_price <= price <= ins.max_price else 0


def first_trigger(t: State, c: Command, ins: Instrument) -> int:
    """Where the trigger stands at first: as given, or at the distance from the price now; 0 when there is no such price."""
    if c["trigger"] != Trigger.TRAILING:
        return c["trigger_price"]
    p = price_of(t, ins, c["trigger_on"])
    return 0 if p == 0 else p - c["trigger_price"] if c["side"] == Side.SELL else p + c["trigger_price"]


def order_price(t: State, c: Command, ins: Instrument) -> int:
    """The worst price it can trade at, which is its price in every check."""
    side = c["side"]
    if is_market(c) and c["trigger"]:
        return worst_of(t, ins, side, first_trigger(t, c, ins))
    if is_market(c):
        low, high = t.band(ins)
        return collar_limit(ins, side, low, high)
    return slid_price(t, ins, side) if slides(t, ins, c["post_only"], side, c["price"]) else c["price"]


def base_quantity(t: State, c: Command, ins: Instrument, price: int) -> int:
    """What it can trade at most, in the base asset."""
    if not by_quote(c):
        return c["quantity"]
    at = best(t, ins.number, Side.SELL) if c["side"] == Side.BUY else price
    return ins.lots(c["quantity"], at) if at else 0


def check_collar(t: State, c: Command, ins: Instrument) -> Reason:
    """Line 7."""
    if c["trigger"] == Trigger.TRAILING:
        first = first_trigger(t, c, ins)
        if ins.collar_ppm == 0 or price_of(t, ins, c["trigger_on"]) == 0:
            return R.NO_REFERENCE
        return R.BAD_TRIGGER if first < 1 else R.NONE
    if is_market(c):
        return R.NO_REFERENCE if ins.collar_ppm == 0 or t.band(ins, c["trigger_price"]) is None else R.NONE
    return t.collar(ins, c["side"], c["price"], c["trigger_price"])


# -------------------------------------------------------------------------------------------------------------- new orders
def make_order(t: State, c: Command, ins: Instrument) -> Order:
    """The order a command asks for, without an id; made to ask what it would hold, too."""
    price = order_price(t, c, ins)
    return Order(0, c.account, ins.number, c["side"], price, c["quantity"], c["quantity"], hold_ppm(t, c.account, ins), c["self_trade"], c["post_only"],
                 order_type=c["order_type"], time_in_force=c["time_in_force"], actor=c["actor"], sequence=c.sequence, worst=price, display=c["display"],
                 fee_min=schedule(t, c.account, ins).minimum, options=c["options"], trigger=c["trigger"], trigger_on=c["trigger_on"],
                 trigger_price=first_trigger(t, c, ins), distance=c["trigger_price"] if c["trigger"] == Trigger.TRAILING else 0, offset=c["offset"],
                 good_till=c["good_till"], link=c["link"], by_quote=by_quote(c))


def check_who_and_where(t: State, c: Command) -> Reason:
    """Line 1; also of MASS_QUOTE."""
    if not t.may_trade(c.account):
        return R.NOT_ALLOWED
    ins = t.instruments.get(c.instrument)
    if ins is None:
        return R.UNKNOWN_INSTRUMENT
    return check_open(t, c, ins)


def check_open(t: State, c: Command, ins: Instrument) -> Reason:
    if ins.halted:
        return R.HALTED
    if closed_to_orders(ins):
        return R.SESSION
    return R.RESTRICTED if restricted(t, c.account, c["actor"], ins.number) else R.NONE


def check_new_order(t: State, c: Command, listed: bool = False, mate: Order | None = None, parent: Order | None = None) -> Reason:
    """`listed`: in an order list; `mate` or `parent`: what of its list it is linked to and stands already."""
    if reason := check_who_and_where(t, c):
        return reason
    ins = t.instruments[c.instrument]
    reason = (check_words(c, listed) or check_price(c, ins) or check_trigger(c, ins, t.time) or check_quantities(c, ins) or check_in_session(c, ins)
              or check_collar(t, c, ins))
    if reason:
        return reason
    order = make_order(t, c, ins)
    if order.trigger and is_reached(t, ins, order):
        return R.BAD_TRIGGER
    base = base_quantity(t, c, ins, order.worst)
    if base > ins.max_quantity:
        return R.MAX_QUANTITY
    if order.worst == 0:
        return R.POST_ONLY
    return check_risk(t, c, ins, order, base, mate, parent) or check_entry(t, c, ins, order)


def check_risk(t: State, c: Command, ins: Instrument, order: Order, base: int, mate: Order | None, parent: Order | None) -> Reason:
    """Line 8 from OVERFLOW on."""
    account, side = c.account, order.side
    amount = order.quantity if order.by_quote else ins.amount_up(order.quantity, order.worst)
    hold = full_hold(ins, order)
    if amount > MAX_AMOUNT or hold > MAX_AMOUNT:
        return R.OVERFLOW
    if amount > ins.max_notional:
        return R.MAX_NOTIONAL
    if len(t.account_orders(account)) >= t.accounts[account].max_open:
        return R.OPEN_ORDERS
    if begins_later(c) and 0 < t.accounts[account].max_waiting <= outside_the_book(t, account, ins):
        return R.WAITING_ORDERS
    if (is_peg(c) or order.trigger == Trigger.TRAILING) and floating(t, ins) >= FLOATING:
        return R.FLOATING
    if mate is None and t.breaks_position(account, ins, side, base):
        return R.POSITION
    if order.reduce_only and order.link != Link.CHILD and order.quantity > room(t, order) - reducing(t, order, mate):
        return R.REDUCE_ONLY
    if not order.link and is_duplicate(t, c):
        return R.DUPLICATE_ORDER
    if mate is None and not order.reduce_only and (reason := check_exposure(t, account, ins, side, amount)):
        return reason
    if parent is not None and side == Side.SELL and ins.prefunded:
        hold = 0
    elif mate is not None:
        hold = max(0, hold - mate.held)
    return funds(t, account, ins, side, hold)


def full_hold(ins: Instrument, order: Order) -> int:
    if order.by_quote:
        return hold_by_quote(ins, order.side, order.quantity, order.worst, order.fee_ppm, order.fee_min)
    return hold_of(ins, order.side, order.quantity, order.worst, order.fee_ppm, order.fee_min)


def outside_the_book(t: State, account: int, ins: Instrument) -> int:
    return sum(o.account == account and o.state in OUTSIDE and not peg_rules.is_peg(o) for o in t.standing(ins.number))


def floating(t: State, ins: Instrument) -> int:
    return sum(peg_rules.is_peg(o) or o.trigger == Trigger.TRAILING for o in t.standing(ins.number))


def reducing(t: State, order: Order, but: Order | None = None) -> int:
    """What the account's orders that only reduce may still take from the position on this side; a linked one of the same list counts once."""
    mine = (o for o in t.standing(order.instrument) if o.account == order.account and o.side == order.side and o.reduce_only and o is not but)
    return sum(o.leaves for o in mine if carries(o) and not o.parent)


def check_entry(t: State, c: Command, ins: Instrument, order: Order) -> Reason:
    """Line 9."""
    if gathers(ins) or begins_later(c) or is_peg(c):
        return R.NONE
    if order.post_only == PostOnly.REJECT and meets_a_level(t, ins, order.side, order.worst):
        return R.POST_ONLY
    wanted = order.quantity if order.time_in_force == TimeInForce.FOK else c["minimum"]
    if wanted and open_against(t, order.account, ins, order.side, order.worst, order.self_trade) < wanted:
        return R.UNFILLABLE
    return R.NONE


def funds(t: State, account: int, ins: Instrument, side: int, needed: int) -> Reason:
    if ins.prefunded:
        return R.NONE if t.can_spend(account, hold_asset(ins, side), needed) else R.INSUFFICIENT
    return R.NONE if t.can_use_credit(account, ins.quote, needed) else R.CREDIT


def new_order(t: State, c: Command) -> None:
    before, killed = t.cell.matches, t.accounts[c.account].killed
    order = accept_order(t, c)
    keep_for_duplicates(t, c)
    begin(t, order)
    if t.cell.matches > before and not killed:
        count_execution(t, c.account)


def accept_order(t: State, c: Command, mate: Order | None = None, parent: Order | None = None) -> Order:
    """It has its id and its hold. What is linked to another stands from here on, so that both count once."""
    order = make_order(t, c, t.instruments[c.instrument])
    order.id = t.new_id(c.account)
    if mate is not None:
        order.mate, mate.mate = mate.id, order.id
    order.parent = parent.id if parent is not None else 0
    if order.link:
        stand(t, order, OrderState.ASLEEP)
    else:
        follow(t, order, taker=True)
    if mate is not None:
        follow(t, mate)
    t.echo(c, Event.ORDER_ACCEPTED, order.account, id=order.id, instrument=order.instrument, side=order.side, price=order.worst, quantity=order.quantity,
           leaves=order.leaves, other=order.trigger_price, amount=mate.id if mate is not None else order.parent, liquidity=told_liquidity(order))
    return order


def begin(t: State, order: Order) -> None:
    """Where an accepted order goes."""
    ins = t.instruments[order.instrument]
    if order.parent:
        stand(t, order, OrderState.ASLEEP)
    elif order.trigger or order.time_in_force in (TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE):
        stand(t, order, OrderState.WAITING)
    elif peg_rules.is_peg(order):
        peg_rules.put(t, order, peg_rules.place_of(t, order))
    elif gathers(ins):
        rest(t, order)
    else:
        follow(t, order, taker=True)
        take(t, order)


# ------------------------------------------------------------------------------------------------------------ cancel, amend
def own_order(t: State, c: Command) -> Order | None:
    order = t.orders.get(c["order"])
    return order if order is not None and order.account == c.account else None


def check_cancel_order(t: State, c: Command) -> Reason:
    order = own_order(t, c)
    if order is None:
        return R.UNKNOWN_ORDER
    return R.SESSION if order.state == OrderState.BOOK and t.instruments[order.instrument].ending else R.NONE


def cancel_order(t: State, c: Command) -> None:
    cancel(t, own_order(t, c), R.USER, c)


def amended_price(t: State, c: Command, order: Order) -> int:
    """0 when it would have to slide out of the range."""
    ins = t.instruments[order.instrument]
    return slid_price(t, ins, order.side) if slides(t, ins, order.post_only, order.side, c["price"]) else c["price"]


def check_amend_order(t: State, c: Command) -> Reason:
    order = own_order(t, c)
    if order is None:
        return R.UNKNOWN_ORDER
    ins = t.instruments[order.instrument]
    if dying(t, order):
        return R.DYING
    if reason := check_open(t, c, ins):
        return reason
    if order.state != OrderState.BOOK or peg_rules.is_peg(order) or order.link or order.quoted:
        return R.UNAMENDABLE
    if reason := price_and_tick(ins, c["price"], ins.book_tick):
        return reason
    leaves = c["quantity"] - (order.quantity - order.leaves)
    if c["quantity"] <= 0 or leaves <= 0:
        return R.BAD_QUANTITY
    return lots(ins, c["quantity"]) or t.collar(ins, order.side, c["price"]) or check_amended(t, c, ins, order, leaves)


def check_amended(t: State, c: Command, ins: Instrument, order: Order, leaves: int) -> Reason:
    price, side = amended_price(t, c, order), order.side
    if price == 0:
        return R.POST_ONLY
    amount = ins.amount_up(leaves, price)
    hold = amended_hold(t, ins, order, leaves, price)
    if amount > MAX_AMOUNT or hold > MAX_AMOUNT:
        return R.OVERFLOW
    if amount > ins.max_notional:
        return R.MAX_NOTIONAL
    if t.breaks_position(order.account, ins, side, leaves, own_open=order.leaves):
        return R.POSITION
    if order.reduce_only:
        if leaves > room(t, order) - reducing(t, order, but=order):
            return R.REDUCE_ONLY
    elif reason := check_exposure(t, order.account, ins, side, amount, order.value):
        return reason
    if hold > order.held and (reason := funds(t, order.account, ins, side, hold - order.held)):
        return reason
    if order.post_only == PostOnly.REJECT and not gathers(ins) and meets_a_level(t, ins, side, price):
        return R.POST_ONLY
    return R.NONE


def amended_hold(t: State, ins: Instrument, order: Order, leaves: int, price: int) -> int:
    minimum = schedule(t, order.account, ins).minimum if order.executed == 0 else 0
    return hold_of(ins, order.side, leaves, price, hold_ppm(t, order.account, ins), minimum)


def amend_order(t: State, c: Command) -> None:
    order, before, killed = own_order(t, c), t.cell.matches, t.accounts[c.account].killed
    ins = t.instruments[order.instrument]
    price = amended_price(t, c, order)
    leaves = c["quantity"] - (order.quantity - order.leaves)
    keeps_place = price == order.price and leaves <= order.leaves
    stood = order.price
    if not keeps_place:
        leave_level(t, order)
        t.leave(order)
    order.price = order.worst = price
    order.quantity, order.leaves, order.shown = c["quantity"], leaves, min(order.shown, leaves) if order.display else leaves
    order.fee_ppm, order.fee_min = hold_ppm(t, order.account, ins), schedule(t, order.account, ins).minimum
    follow(t, order, taker=not keeps_place)
    t.echo(c, Event.ORDER_AMENDED, order.account, id=order.id, instrument=ins.number, side=order.side, price=order.price, quantity=order.quantity,
           leaves=order.leaves)
    tell_level(t, ins.number, order.side, stood)
    if not keeps_place and gathers(ins):
        rest(t, order)
    elif not keeps_place:
        take(t, order)
    if t.cell.matches > before and not killed:
        count_execution(t, c.account)


# ------------------------------------------------------------------------------------------------------------- mass actions
def accept(t: State, c: Command) -> Reason:
    return R.NONE


def cancel_all(t: State, c: Command) -> None:
    latch_account(t, c.account, R.CANCEL_ALL)
    t.done(c, c.account)


def check_cancel_some(t: State, c: Command) -> Reason:
    if c["side"] not in (Side.BUY, Side.SELL, Side.TWO_WAY):
        return R.BAD_SIDE
    if c.instrument and c.instrument not in t.instruments:
        return R.UNKNOWN_INSTRUMENT
    return R.SWEEPING if c.account in t.partial_sweeps else R.NONE


def cancel_some(t: State, c: Command) -> None:
    row = t.accounts[c.account]
    row.some_instrument, row.some_side, row.some_below, row.some_cursor = c.instrument, c["side"], row.ordinal + 1, 0
    t.partial_sweeps.append(c.account)
    t.done(c, c.account)


def check_dead_man(t: State, c: Command) -> Reason:
    return R.NONE if 0 <= c["ttl"] <= 10**18 else R.BAD_TTL


def dead_man(t: State, c: Command) -> None:
    t.accounts[c.account].dead_man = t.time + c["ttl"] if c["ttl"] else 0
    t.done(c, c.account)


HANDLERS = {
    K.NEW_ORDER: (check_new_order, new_order), K.CANCEL_ORDER: (check_cancel_order, cancel_order), K.AMEND_ORDER: (check_amend_order, amend_order),
    K.CANCEL_ALL: (accept, cancel_all), K.CANCEL_SOME: (check_cancel_some, cancel_some), K.DEAD_MAN: (check_dead_man, dead_man),
}
