"""Section 4 of the rules, lines 2 to 6 of NEW_ORDER: which fields go together, and what may be sent in which session. It asks the instrument only."""
from cambist.messages import (
    BY_QUOTE, MAX_AMOUNT, PEGGED, REDUCE_ONLY, Link, OrderType, PostOnly, Reason, SelfTrade, Session, Side, TimeInForce, Trigger, TriggerOn,
)
from cambist.simulation.twin.model import Command, Instrument

R = Reason
T = TimeInForce
LASTING = (T.GTC, T.DAY, T.GTD)
AUCTION_ORDERS = (T.AUCTION, T.AT_OPEN, T.AT_CLOSE)


def is_market(c: Command) -> bool:
    return c["order_type"] == OrderType.MARKET


def is_peg(c: Command) -> bool:
    return c["order_type"] in PEGGED


def by_quote(c: Command) -> bool:
    return bool(c["options"] & BY_QUOTE)


def check_words(c: Command, listed: bool) -> Reason:
    """Line 2."""
    if c["side"] not in (Side.BUY, Side.SELL):
        return R.BAD_SIDE
    if c["order_type"] > max(OrderType):
        return R.BAD_TYPE
    if c["time_in_force"] > max(TimeInForce):
        return R.BAD_TIME_IN_FORCE
    if c["self_trade"] > max(SelfTrade):
        return R.BAD_SELF_TRADE
    limit = c["order_type"] == OrderType.LIMIT
    if c["post_only"] > max(PostOnly) or (c["post_only"] and (not limit or c["time_in_force"] not in LASTING or c["trigger"])):
        return R.BAD_VALUE
    if c["options"] & ~(REDUCE_ONLY | BY_QUOTE):
        return R.BAD_VALUE
    if by_quote(c):
        plain = is_market(c) and c["time_in_force"] in (T.GTC, T.IOC) and not c["trigger"] and not c["link"]
        if not plain or c["options"] & REDUCE_ONLY or c["self_trade"] == SelfTrade.DECREMENT:
            return R.BAD_VALUE
    if not 0 <= c["offset"] <= MAX_AMOUNT or (c["offset"] and not is_peg(c)):
        return R.BAD_VALUE
    return R.NONE if (c["link"] in tuple(Link) and listed == (c["link"] != Link.NONE)) else R.BAD_LINK


def check_price(c: Command, ins: Instrument) -> Reason:
    """Line 3."""
    in_force = c["time_in_force"]
    if is_market(c):
        if c["price"] != 0:
            return R.BAD_PRICE
        allowed = (T.GTC, T.IOC, T.DAY, T.GTD) if c["trigger"] else (T.GTC, T.IOC)
        return R.NONE if in_force in allowed + AUCTION_ORDERS else R.BAD_TIME_IN_FORCE
    if reason := price_and_tick(ins, c["price"], ins.book_tick):
        return reason
    return R.BAD_TIME_IN_FORCE if is_peg(c) and in_force not in LASTING else R.NONE


def check_trigger(c: Command, ins: Instrument, now: int) -> Reason:
    """Line 4."""
    trigger, in_force = c["trigger"], c["time_in_force"]
    if trigger > max(Trigger) or c["trigger_on"] > max(TriggerOn):
        return R.BAD_TRIGGER
    if trigger == Trigger.NONE:
        if c["trigger_on"] or c["trigger_price"]:
            return R.BAD_TRIGGER
    elif is_peg(c) or in_force == T.FOK or in_force in AUCTION_ORDERS or (trigger == Trigger.TRAILING and not is_market(c)):
        return R.BAD_TRIGGER
    elif not (1 if trigger == Trigger.TRAILING else ins.min_price) <= c["trigger_price"] <= ins.max_price:
        return R.BAD_TRIGGER
    good = c["good_till"] > now if in_force == T.GTD else c["good_till"] == 0
    return R.NONE if good else R.BAD_TTL


def check_quantities(c: Command, ins: Instrument) -> Reason:
    """Line 5."""
    if by_quote(c):
        if not 1 <= c["quantity"] <= MAX_AMOUNT:
            return R.BAD_QUANTITY
    elif reason := lots(ins, c["quantity"]):
        return reason
    if c["display"]:
        shows = c["order_type"] == OrderType.LIMIT and c["time_in_force"] in LASTING + AUCTION_ORDERS
        if not shows or c["display"] % ins.lot or not 1 <= c["display"] <= c["quantity"]:
            return R.BAD_DISPLAY
    if c["minimum"]:
        takes = not is_peg(c) and c["time_in_force"] not in AUCTION_ORDERS and not (c["trigger"] or c["post_only"] or by_quote(c) or c["link"])
        if not takes or c["minimum"] % ins.lot or not 1 <= c["minimum"] <= c["quantity"]:
            return R.BAD_VALUE
    return R.NONE


def check_in_session(c: Command, ins: Instrument) -> Reason:
    """Line 6."""
    if ins.session == Session.CONTINUOUS:
        return R.SESSION if c["time_in_force"] == T.AUCTION else R.NONE
    at_once = is_market(c) and not c["trigger"] and c["time_in_force"] not in AUCTION_ORDERS
    if at_once or c["time_in_force"] in (T.IOC, T.FOK) or is_peg(c) or c["post_only"] or c["minimum"]:
        return R.SESSION
    return R.NONE


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
