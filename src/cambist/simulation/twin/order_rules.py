"""Section 4 of the rules: the commands about orders, their refusals in order and their changes."""
from cambist.messages import MAX_AMOUNT, Event, Kind, OrderType, Reason, SelfTrade, Side, TimeInForce
from cambist.simulation.twin.model import Command, Instrument, Order, State
from cambist.simulation.twin.trade_rules import (
    cancel_taker, dying, follow_hold, hold_asset, hold_of, leave_book, match, meets_a_level, open_against, rest, set_hold, tell_level, withdraw,
)

K, R = Kind, Reason


def market_limit(t: State, ins: Instrument, side: int) -> int:
    """The band's edge, brought inward to the tick and into the range of prices."""
    low, high = t.band(ins)
    tick = ins.book_tick
    edge = high // tick * tick if side == Side.BUY else -(-low // tick) * tick
    return min(max(edge, ins.min_price), ins.max_price // tick * tick)


def order_price(t: State, c: Command) -> int:
    return market_limit(t, t.instruments[c.instrument], c["side"]) if c["order_type"] == OrderType.MARKET else c["price"]


def price_and_tick(ins: Instrument, price: int, tick: int) -> Reason:
    if not ins.min_price <= price <= ins.max_price:
        return R.BAD_PRICE
    return R.OFF_TICK if price % tick else R.NONE


def lots(ins: Instrument, quantity: int) -> Reason:
    if quantity <= 0:
        return R.BAD_QUANTITY
    if quantity % ins.lot:
        return R.OFF_LOT
    return R.MAX_QUANTITY if quantity > ins.max_quantity else R.NONE


def check_new_order(t: State, c: Command) -> Reason:
    if not t.may_trade(c.account):
        return R.NOT_ALLOWED
    ins = t.instruments.get(c.instrument)
    if ins is None:
        return R.UNKNOWN_INSTRUMENT
    if ins.halted:
        return R.HALTED
    market = c["order_type"] == OrderType.MARKET
    if c["side"] not in (Side.BUY, Side.SELL):
        return R.BAD_SIDE
    if c["order_type"] not in (OrderType.LIMIT, OrderType.MARKET):
        return R.BAD_TYPE
    if c["time_in_force"] not in (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK):
        return R.BAD_TIME_IN_FORCE
    if c["self_trade"] > SelfTrade.DECREMENT:
        return R.BAD_SELF_TRADE
    if c["post_only"] not in (0, 1) or (c["post_only"] and (market or c["time_in_force"] != TimeInForce.GTC)):
        return R.BAD_VALUE
    if market:
        if c["price"] != 0:
            return R.BAD_PRICE
        if c["time_in_force"] == TimeInForce.FOK:
            return R.BAD_TIME_IN_FORCE
    elif reason := price_and_tick(ins, c["price"], ins.book_tick):
        return reason
    if reason := lots(ins, c["quantity"]):
        return reason
    if market:
        if ins.collar_ppm == 0 or t.band(ins) is None:
            return R.NO_REFERENCE
    elif reason := t.collar(ins, c["side"], c["price"]):
        return reason
    price, quantity, side, account = order_price(t, c), c["quantity"], c["side"], c.account
    amount, hold = ins.amount_up(quantity, price), hold_of(ins, side, quantity, price, ins.hold_ppm)
    if amount > MAX_AMOUNT or hold > MAX_AMOUNT:
        return R.OVERFLOW
    if amount > ins.max_notional:
        return R.MAX_NOTIONAL
    if len(t.account_orders(account)) >= t.accounts[account].max_open:
        return R.OPEN_ORDERS
    if t.breaks_position(account, ins, side, quantity):
        return R.POSITION
    if reason := funds(t, account, ins, side, hold):
        return reason
    if c["post_only"] and meets_a_level(t, ins, side, price):
        return R.POST_ONLY
    if c["time_in_force"] == TimeInForce.FOK and open_against(t, account, ins, side, price, c["self_trade"]) < quantity:
        return R.UNFILLABLE
    return R.NONE


def funds(t: State, account: int, ins: Instrument, side: int, needed: int) -> Reason:
    if ins.prefunded:
        return R.NONE if t.can_spend(account, hold_asset(ins, side), needed) else R.INSUFFICIENT
    return R.NONE if t.can_use_credit(account, ins.quote, needed) else R.CREDIT


def new_order(t: State, c: Command) -> None:
    ins = t.instruments[c.instrument]
    order = Order(t.new_id(c.account), c.account, ins.number, c["side"], order_price(t, c), c["quantity"], c["quantity"], ins.hold_ppm, c["self_trade"],
                  c["post_only"])
    follow_hold(t, order)
    t.echo(c, Event.ORDER_ACCEPTED, order.account, id=order.id, instrument=ins.number, side=order.side, price=order.price, quantity=order.quantity,
           leaves=order.leaves)
    match(t, order)
    if order.leaves > 0:
        if c["order_type"] == OrderType.MARKET or c["time_in_force"] != TimeInForce.GTC:
            cancel_taker(t, order, R.IMMEDIATE)
        else:
            rest(t, order)
            tell_level(t, ins.number, order.side, order.price)


def own_order(t: State, c: Command) -> Order | None:
    order = t.orders.get(c["order"])
    return order if order is not None and order.account == c.account else None


def check_cancel_order(t: State, c: Command) -> Reason:
    return R.NONE if own_order(t, c) else R.UNKNOWN_ORDER


def cancel_order(t: State, c: Command) -> None:
    withdraw(t, own_order(t, c), R.USER, c)


def check_amend_order(t: State, c: Command) -> Reason:
    order = own_order(t, c)
    if order is None:
        return R.UNKNOWN_ORDER
    ins = t.instruments[order.instrument]
    if dying(t, order):
        return R.DYING
    if ins.halted:
        return R.HALTED
    price, side = c["price"], order.side
    if reason := price_and_tick(ins, price, ins.book_tick):
        return reason
    leaves = c["quantity"] - (order.quantity - order.leaves)
    if c["quantity"] <= 0 or leaves <= 0:
        return R.BAD_QUANTITY
    if reason := lots(ins, c["quantity"]):
        return reason
    if reason := t.collar(ins, side, price):
        return reason
    hold = hold_of(ins, side, leaves, price, ins.hold_ppm)
    if ins.amount_up(leaves, price) > MAX_AMOUNT or hold > MAX_AMOUNT:
        return R.OVERFLOW
    if ins.amount_up(leaves, price) > ins.max_notional:
        return R.MAX_NOTIONAL
    if t.breaks_position(order.account, ins, side, leaves, own_open=order.leaves):
        return R.POSITION
    if hold > order.held and (reason := funds(t, order.account, ins, side, hold - order.held)):
        return reason
    if order.post_only and meets_a_level(t, ins, side, price):
        return R.POST_ONLY
    return R.NONE


def amend_order(t: State, c: Command) -> None:
    order = own_order(t, c)
    ins = t.instruments[order.instrument]
    leaves = c["quantity"] - (order.quantity - order.leaves)
    keeps_place = c["price"] == order.price and leaves <= order.leaves
    stood, unchanged = order.price, keeps_place and leaves == order.leaves
    if keeps_place:
        t.position(order.account, ins.number).grow_open(order.side, leaves - order.leaves)
    else:
        leave_book(t, order)
    order.price, order.quantity, order.leaves, order.fee_ppm = c["price"], c["quantity"], leaves, ins.hold_ppm
    set_hold(t, order, hold_of(ins, order.side, leaves, order.price, order.fee_ppm))
    t.echo(c, Event.ORDER_AMENDED, order.account, id=order.id, instrument=ins.number, side=order.side, price=order.price, quantity=order.quantity,
           leaves=order.leaves)
    if not unchanged:
        tell_level(t, ins.number, order.side, stood)
    if not keeps_place:
        match(t, order)
        if order.leaves > 0:
            rest(t, order)
            tell_level(t, ins.number, order.side, order.price)


def accept(t: State, c: Command) -> Reason:
    return R.NONE


def latch_account(t: State, account: int, reason: Reason) -> None:
    """All orders made before now are dying, and the account joins the sweeps. A kill is not forgotten by a later cancel-all."""
    row = t.accounts[account]
    row.dying_below = row.ordinal + 1
    if account not in t.account_sweeps:
        t.account_sweeps.append(account)
        row.sweep_reason = reason
    elif reason == R.KILLED:
        row.sweep_reason = reason


def cancel_all(t: State, c: Command) -> None:
    latch_account(t, c.account, R.CANCEL_ALL)
    t.done(c, c.account)


HANDLERS = {
    K.NEW_ORDER: (check_new_order, new_order), K.CANCEL_ORDER: (check_cancel_order, cancel_order), K.AMEND_ORDER: (check_amend_order, amend_order),
    K.CANCEL_ALL: (accept, cancel_all),
}
