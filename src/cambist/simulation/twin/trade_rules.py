"""Sections 4 (matching) and 5 of the rules: holds, the book, self-trade, and the postings of a trade."""
from cambist.messages import AccountKind, Cause, Event, Liquidity, Reason, SelfTrade, Side
from cambist.simulation.twin.model import Command, Instrument, Order, State, fee, fee_up
from cambist.simulation.twin.settlement_rules import net_if_behind

R = Reason


def ordinal(identity: int) -> int:
    return identity & 0xFFFFFFFF


def opposite(side: int) -> int:
    return Side.SELL if side == Side.BUY else Side.BUY


def dying(t: State, order: Order) -> bool:
    account = t.accounts[order.account]
    return ordinal(order.id) < account.dying_below or bool(account.killed)


# ------------------------------------------------------------------------------------------------------------------ holds
def hold_of(ins: Instrument, side: int, leaves: int, price: int, ppm: int) -> int:
    if not ins.prefunded:
        return ins.amount_up(leaves, price)
    if side == Side.SELL:
        return leaves
    a = ins.amount_up(leaves, price)
    return a + fee_up(a, ppm)


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


def follow_hold(t: State, order: Order) -> None:
    """The hold of what the order still has open, at its own ppm."""
    set_hold(t, order, hold_of(t.instruments[order.instrument], order.side, order.leaves, order.price, order.fee_ppm) if order.leaves else 0)


# ------------------------------------------------------------------------------------------------------------------- book
def book(t: State, instrument: int, side: int) -> dict[int, list[Order]]:
    return t.books.setdefault((instrument, side), {})


def best_first(t: State, instrument: int, side: int) -> list[int]:
    return sorted(book(t, instrument, side), reverse=side == Side.BUY)


def crosses(side: int, limit: int, price: int) -> bool:
    return price <= limit if side == Side.BUY else price >= limit


def rest(t: State, order: Order) -> None:
    book(t, order.instrument, order.side).setdefault(order.price, []).append(order)
    t.orders[order.id] = order
    t.position(order.account, order.instrument).grow_open(order.side, order.leaves)


def leave_book(t: State, order: Order) -> None:
    """Out of the table and its level; what is still open no longer counts in the position."""
    level = book(t, order.instrument, order.side)[order.price]
    level.remove(order)
    if not level:
        del book(t, order.instrument, order.side)[order.price]
    del t.orders[order.id]
    t.position(order.account, order.instrument).grow_open(order.side, -order.leaves)


def level_now(t: State, instrument: int, side: int, price: int) -> tuple[int, int]:
    """The quantity open at a price, and in how many orders."""
    level = book(t, instrument, side).get(price, [])
    return sum(order.leaves for order in level), len(level)


def tell_level(t: State, instrument: int, side: int, price: int) -> None:
    quantity, orders = level_now(t, instrument, side, price)
    t.emit(Event.LEVEL, 0, instrument=instrument, side=side, price=price, quantity=quantity, leaves=orders)


def first_against(t: State, taker: Order) -> Order | None:
    side = opposite(taker.side)
    prices = best_first(t, taker.instrument, side)
    if not prices or not crosses(taker.side, taker.price, prices[0]):
        return None
    return book(t, taker.instrument, side)[prices[0]][0]


def meets_a_level(t: State, ins: Instrument, side: int, limit: int) -> bool:
    prices = best_first(t, ins.number, opposite(side))
    return bool(prices) and crosses(side, limit, prices[0])


def open_against(t: State, account: int, ins: Instrument, side: int, limit: int, self_trade: int) -> int:
    """The quantity that would trade with an order of this account at once."""
    total = 0
    for price in best_first(t, ins.number, opposite(side)):
        if not crosses(side, limit, price):
            break
        for order in book(t, ins.number, opposite(side))[price]:
            if dying(t, order):
                continue
            if order.account == account:
                if self_trade in (SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_BOTH):
                    return total
                continue
            total += order.leaves
    return total


# -------------------------------------------------------------------------------------------------------------- cancelling
def tell_cancelled(t: State, order: Order, reason: int, c: Command | None = None) -> None:
    fields = {"id": order.id, "instrument": order.instrument, "side": order.side, "price": order.price, "quantity": order.leaves, "reason": reason}
    if c is None:
        t.emit(Event.ORDER_CANCELLED, order.account, **fields)
    else:
        t.echo(c, Event.ORDER_CANCELLED, order.account, **fields)


def cancel_resting(t: State, order: Order, reason: int, c: Command | None = None) -> None:
    leave_book(t, order)
    set_hold(t, order, 0)
    tell_cancelled(t, order, reason, c)
    order.leaves = 0


def withdraw(t: State, order: Order, reason: int, c: Command | None = None) -> None:
    """Cancel an order that nobody is trading with now."""
    cancel_resting(t, order, reason, c)
    tell_level(t, order.instrument, order.side, order.price)


def cancel_taker(t: State, taker: Order, reason: int) -> None:
    set_hold(t, taker, 0)
    tell_cancelled(t, taker, reason)
    taker.leaves = 0


# ---------------------------------------------------------------------------------------------------------------- matching
def match(t: State, taker: Order) -> None:
    met: dict[int, tuple[int, int]] = {}        # price -> what its level was when the taker came to it
    while taker.leaves > 0:
        maker = first_against(t, taker)
        if maker is None:
            return
        level = maker.instrument, maker.side, maker.price
        before = met.setdefault(maker.price, level_now(t, *level))
        if dying(t, maker):
            cancel_resting(t, maker, R.DYING)
        elif maker.account == taker.account:
            meet_self(t, maker, taker)
        else:
            fill(t, maker, taker)
        after = level_now(t, *level)
        if after != before and (after == (0, 0) or taker.leaves == 0):
            tell_level(t, *level)


def meet_self(t: State, maker: Order, taker: Order) -> None:
    if taker.self_trade == SelfTrade.CANCEL_NEWEST:
        cancel_taker(t, taker, R.SELF_TRADE)
    elif taker.self_trade == SelfTrade.CANCEL_OLDEST:
        cancel_resting(t, maker, R.SELF_TRADE)
    elif taker.self_trade == SelfTrade.CANCEL_BOTH:
        cancel_resting(t, maker, R.SELF_TRADE)
        cancel_taker(t, taker, R.SELF_TRADE)
    else:
        decrement(t, maker, taker)


def decrement(t: State, maker: Order, taker: Order) -> None:
    x = min(maker.leaves, taker.leaves)
    for order in (maker, taker):
        order.leaves -= x
        order.quantity -= x
        follow_hold(t, order)
    t.position(maker.account, maker.instrument).grow_open(maker.side, -x)
    for order in (maker, taker):
        t.emit(Event.ORDER_REDUCED, order.account, id=order.id, instrument=order.instrument, side=order.side, price=order.price, quantity=x,
               leaves=order.leaves, reason=R.SELF_TRADE)
        if order.leaves == 0:
            if order is maker:
                leave_book(t, order)
            tell_cancelled(t, order, R.SELF_TRADE)


def fill(t: State, maker: Order, taker: Order) -> None:
    ins = t.instruments[taker.instrument]
    x, price = min(maker.leaves, taker.leaves), maker.price
    a = ins.amount(x, price)
    fees = {maker.id: fee(a, min(ins.maker_ppm, maker.fee_ppm)), taker.id: fee(a, ins.taker_ppm)}
    buyer, seller = (taker, maker) if taker.side == Side.BUY else (maker, taker)
    for order in (maker, taker):
        order.leaves -= x
        follow_hold(t, order)
    t.position(maker.account, ins.number).grow_open(maker.side, -x)
    number = post_trade(t, ins, buyer.account, seller.account, x, price, fees[buyer.id], fees[seller.id])
    for order, liquidity in ((maker, Liquidity.MAKER), (taker, Liquidity.TAKER)):
        t.emit(Event.FILLED, order.account, id=order.id, other=number, instrument=ins.number, side=order.side, price=price, quantity=x,
               leaves=order.leaves, amount=a, fee=fees[order.id], liquidity=liquidity)
    if maker.leaves == 0:
        leave_book(t, maker)


# ---------------------------------------------------------------------------------------------------------------- postings
def post_trade(t: State, ins: Instrument, buyer: int, seller: int, x: int, price: int, buyer_fee: int, seller_fee: int) -> int:
    """Everything a trade posts, holds already reduced; the number of the match."""
    a = ins.amount(x, price)
    fees = t.single(AccountKind.FEES)
    if ins.prefunded:
        t.balance(buyer, ins.quote).available -= a + buyer_fee
        t.balance(buyer, ins.base).available += x
        t.balance(seller, ins.base).available -= x
        t.balance(seller, ins.quote).available += a - seller_fee
        t.balance(fees, ins.quote).available += buyer_fee + seller_fee
    else:
        for account in (buyer, seller, fees):
            net_if_behind(t, account)
        t.balance(buyer, ins.quote).unsettled -= a + buyer_fee
        t.balance(buyer, ins.base).unsettled += x
        t.balance(seller, ins.base).unsettled -= x
        t.balance(seller, ins.quote).unsettled += a - seller_fee
        t.balance(fees, ins.quote).unsettled += buyer_fee + seller_fee
        for account in (buyer, seller):
            t.house_credit(account, ins.quote).traded += a
    t.position(buyer, ins.number).net += x
    t.position(seller, ins.number).net -= x
    t.flow(ins.quote, Cause.FEE, buyer_fee + seller_fee)
    if t.kind_of(buyer) == AccountKind.DESK:
        t.flow(ins.base, Cause.TRADE, x)
        t.flow(ins.quote, Cause.TRADE, -a)
        t.flow(ins.quote, Cause.FEE, -buyer_fee)
    if t.kind_of(seller) == AccountKind.DESK:
        t.flow(ins.base, Cause.TRADE, -x)
        t.flow(ins.quote, Cause.TRADE, a)
        t.flow(ins.quote, Cause.FEE, -seller_fee)
    ins.last = price
    t.cell.matches += 1
    return t.cell.matches
