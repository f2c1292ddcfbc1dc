"""Sections 4 (matching) and 5 of the rules: how two orders meet, and the postings of a trade."""
from cambist.messages import EFFECTIVE_SELF_TRADE, AccountKind, Cause, Event, Liquidity, Reason, SelfTrade, Side
from cambist.simulation.twin.band_rules import keep_anchor, outside
from cambist.simulation.twin.control_rules import protection_trips, stop_losses, traded
from cambist.simulation.twin.fee_rules import order_fee, post_fee, tell_charged
from cambist.simulation.twin.model import Instrument, Order, State
from cambist.simulation.twin.settlement_rules import net_if_behind
from cambist.simulation.twin.standing_rules import (
    best_first, book, cancel, cover_children, crosses, dying, finish, leave_level, lose, may_not_trade, opposite, tell_cancelled, tell_level, tell_linked,
    tell_reduced, told_liquidity,
)

R = Reason


def first_against(t: State, taker: Order) -> Order | None:
    side = opposite(taker.side)
    prices = best_first(t, taker.instrument, side)
    if not prices or not crosses(taker.side, taker.worst, prices[0]):
        return None
    return book(t, taker.instrument, side)[prices[0]][0]


def open_against(t: State, account: int, ins: Instrument, side: int, limit: int, self_trade: int) -> int:
    """The quantity that would trade with an order of this account at once."""
    total = 0
    mine = Order(0, account, ins.number, side, limit, 0, 0, 0, self_trade, 0)
    for price in best_first(t, ins.number, opposite(side)):
        if not crosses(side, limit, price) or outside(t, ins, price):
            break
        for order in book(t, ins.number, opposite(side))[price]:
            if dying(t, order) or order.reduce_only:
                continue
            if may_not_trade(t, order, mine):
                if effective(order, mine) in (SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_BOTH):
                    return total
                continue
            total += order.leaves
    return total


# ---------------------------------------------------------------------------------------------------------------- matching
def match(t: State, taker: Order) -> bool:
    """Until nothing is left of it or nothing it can trade with; whether it was the band that stopped it."""
    while taker.leaves > 0:
        maker = first_against(t, taker)
        if maker is None:
            return False
        if outside(t, t.instruments[taker.instrument], maker.price):
            return True
        meet(t, maker, taker)
        if taker.leaves == 0 or maker.price not in book(t, maker.instrument, maker.side):
            tell_level(t, maker.instrument, maker.side, maker.price)
    return False


def meet(t: State, maker: Order, taker: Order) -> None:
    if dying(t, maker):
        cancel(t, maker, R.DYING, tell=False)
    elif may_not_trade(t, maker, taker):
        meet_self(t, maker, taker)
    elif too_much(t, maker):
        fit(t, maker)
    elif too_much(t, taker):
        fit(t, taker, taker=True)
    else:
        x = tradable(t, maker, taker)
        if x == 0:
            cancel(t, taker, R.IMMEDIATE)
        else:
            fill(t, maker, taker, x)


def tradable(t: State, maker: Order, taker: Order) -> int:
    mine = t.instruments[taker.instrument].lots(taker.leaves, maker.price) if taker.by_quote else taker.leaves
    return min(mine, maker.shown)


def effective(maker: Order, taker: Order) -> SelfTrade:
    return EFFECTIVE_SELF_TRADE[SelfTrade(maker.self_trade)][SelfTrade(taker.self_trade)]


def meet_self(t: State, maker: Order, taker: Order, both_rest: bool = False) -> None:
    mode = effective(maker, taker)
    if mode in (SelfTrade.CANCEL_OLDEST, SelfTrade.CANCEL_BOTH):
        cancel(t, maker, R.SELF_TRADE, tell=False)
    if mode in (SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_BOTH):
        cancel(t, taker, R.SELF_TRADE, tell=False)
    if mode == SelfTrade.DECREMENT:
        x = min(maker.leaves, taker.leaves)
        lose(t, maker, x, prevented=True)
        lose(t, taker, x, prevented=True, taker=not both_rest)
        tell_prevented(t, maker, x, R.SELF_TRADE)
        tell_prevented(t, taker, x, R.SELF_TRADE)


def tell_prevented(t: State, order: Order, x: int, reason: int) -> None:
    """x of it will not trade, already gone from its leaves."""
    tell_reduced(t, order, x, reason)
    if order.leaves == 0:
        tell_cancelled(t, order, reason)
    tell_linked(t, order, x)
    if order.leaves == 0:
        finish(t, order)


def room(t: State, order: Order) -> int:
    """What the position could be reduced by on the order's side."""
    net = t.position(order.account, order.instrument).net
    return max(0, -net if order.side == Side.BUY else net)


def too_much(t: State, order: Order) -> bool:
    return order.reduce_only and order.leaves > room(t, order)


def fit(t: State, order: Order, taker: bool = False) -> None:
    x = order.leaves - room(t, order)
    lose(t, order, x, prevented=True, taker=taker)
    tell_prevented(t, order, x, R.REDUCE_ONLY)


def fill(t: State, maker: Order, taker: Order, x: int) -> None:
    """A trade in the book at the maker's price."""
    if maker.display:
        maker.shown -= x
    trade(t, (maker, Liquidity.MAKER), (taker, Liquidity.TAKER), x, maker.price)
    if maker.leaves and maker.display and maker.shown == 0 and maker.id in t.orders:
        leave_level(t, maker)
        maker.shown = min(maker.display, maker.leaves)
        book(t, maker.instrument, maker.side).setdefault(maker.price, []).append(maker)


def trade(t: State, one: tuple[Order, Liquidity], other: tuple[Order, Liquidity], x: int, price: int) -> None:
    """x changes hands; told in the order the two are given."""
    ins = t.instruments[one[0].instrument]
    a = ins.amount(x, price)
    both = (one, other)
    fees = {order.id: order_fee(t, order, a, liquidity, order.executed == 0) for order, liquidity in both}
    for order, liquidity in both:
        lose(t, order, a if order.by_quote else x, taker=liquidity == Liquidity.TAKER)
    buyer, seller = sorted((order for order, _ in both), key=lambda order: order.side)
    keep_anchor(t, ins, price)
    number = post_trade(t, ins, buyer.account, seller.account, x, price)
    ins.book_last = price
    for order in (buyer, seller):
        cover_children(t, order, x)
    rebate = min(fees.values()) < 0
    charged = {order.id: post_fee(t, order.account, ins, fees[order.id], rebate) for order in (buyer, seller)}
    for order in (buyer, seller):
        traded(t, order.account, ins, order.side, a, fees[order.id], price)
    for order, liquidity in both:
        t.emit(Event.FILLED, order.account, id=order.id, other=number, instrument=ins.number, side=order.side, price=price, quantity=x,
               leaves=order.leaves, amount=a, fee=0 if charged[order.id] else fees[order.id], liquidity=told_liquidity(order, liquidity))
    for order, liquidity in both:
        tell_charged(t, order.account, order.id, ins, told_liquidity(order, liquidity), charged[order.id])
    for order, _ in both:
        tell_linked(t, order, x)
        if order.leaves == 0:
            finish(t, order)
    for order, _ in both:
        if protection_trips(t, order, x):
            withdraw_quote(t, order)
    for order in (buyer, seller):
        stop_losses(t, order.account)


def quote_orders(t: State, account: int, instrument: int) -> list[Order]:
    """The account's MASS_QUOTE in the book: bid, then ask."""
    found = (o for o in t.standing(instrument) if o.quoted and o.account == account)
    return sorted(found, key=lambda o: o.side)


def withdraw_quote(t: State, traded_one: Order) -> None:
    """By protection, in the middle of a trade: whoever works in the level of the order that traded tells that level."""
    for order in quote_orders(t, traded_one.account, traded_one.instrument):
        cancel(t, order, R.PROTECTED, tell=order is not traded_one)


# ---------------------------------------------------------------------------------------------------------------- postings
def post_trade(t: State, ins: Instrument, buyer: int, seller: int, x: int, price: int) -> int:
    """What a trade posts but its fees, holds already reduced; the number of the match."""
    a = ins.amount(x, price)
    if ins.prefunded:
        t.balance(buyer, ins.quote).available -= a
        t.balance(buyer, ins.base).available += x
        t.balance(seller, ins.base).available -= x
        t.balance(seller, ins.quote).available += a
    else:
        for account in (buyer, seller, t.single(AccountKind.FEES)):
            net_if_behind(t, account)
        t.balance(buyer, ins.quote).unsettled -= a
        t.balance(buyer, ins.base).unsettled += x
        t.balance(seller, ins.base).unsettled -= x
        t.balance(seller, ins.quote).unsettled += a
        for account in (buyer, seller):
            t.house_credit(account, ins.quote).traded += a
    t.position(buyer, ins.number).net += x
    t.position(seller, ins.number).net -= x
    for account, sign in ((buyer, 1), (seller, -1)):
        if t.kind_of(account) == AccountKind.DESK:
            t.flow(ins.base, Cause.TRADE, sign * x)
            t.flow(ins.quote, Cause.TRADE, -sign * a)
    ins.last = price
    t.cell.matches += 1
    return t.cell.matches
