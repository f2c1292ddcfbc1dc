"""Which words of a NEW_ORDER go together, and what may be sent in which session: lines 2 to 6 of docs/rules.md section 4. It asks the instrument only."""
from cambist.core.layout import INSTRUMENT, INSTRUMENT_EXTRA, STATE, L
from cambist.core.memory import cold, hot, remainder
from cambist.core.risk import check_quantity, tick_of
from cambist.messages import (
    BY_QUOTE, MAX_AMOUNT, PEGGED, REDUCE_ONLY, Kind, Link, OrderType, PostOnly, Reason, SelfTrade, Session, Side, TimeInForce, Trigger, TriggerOn,
)

NEW = L[Kind.NEW_ORDER]
T = TimeInForce
FIRST_PEG = min(PEGGED)


@hot
def is_lasting(in_force: int):
    return in_force == T.GTC or in_force == T.DAY or in_force == T.GTD


@hot
def is_for_auction(in_force: int):
    return in_force >= T.AUCTION


@hot
def begins_later(c: NEW):
    """It does not enter at once: it has a trigger, a parent or an auction to wait for."""
    return c.trigger != Trigger.NONE or c.link == Link.CHILD or c.time_in_force >= T.AT_OPEN


@cold
def check_words(c: NEW, listed: int):
    """Line 2."""
    if c.side > Side.SELL:
        return Reason.BAD_SIDE
    if c.order_type > OrderType.MIDPOINT:
        return Reason.BAD_TYPE
    if c.time_in_force > T.AT_CLOSE:
        return Reason.BAD_TIME_IN_FORCE
    if c.self_trade > SelfTrade.DECREMENT:
        return Reason.BAD_SELF_TRADE
    if c.post_only > PostOnly.SLIDE:
        return Reason.BAD_VALUE
    if c.post_only and (c.order_type != OrderType.LIMIT or not is_lasting(c.time_in_force) or c.trigger):
        return Reason.BAD_VALUE
    if c.options & ~(REDUCE_ONLY | BY_QUOTE):
        return Reason.BAD_VALUE
    if c.options & BY_QUOTE:
        if c.order_type != OrderType.MARKET or c.time_in_force > T.IOC or c.trigger or c.link:
            return Reason.BAD_VALUE
        if c.options & REDUCE_ONLY or c.self_trade == SelfTrade.DECREMENT:
            return Reason.BAD_VALUE
    if c.offset < 0 or c.offset > MAX_AMOUNT or (c.offset and c.order_type < FIRST_PEG):
        return Reason.BAD_VALUE
    if c.link < Link.NONE or c.link > Link.CHILD:
        return Reason.BAD_LINK
    return Reason.NONE if listed == (1 if c.link else 0) else Reason.BAD_LINK


@cold
def check_price(c: NEW, b: INSTRUMENT):
    """Line 3."""
    if c.order_type == OrderType.MARKET:
        if c.price:
            return Reason.BAD_PRICE
        allowed = c.time_in_force <= T.IOC or is_for_auction(c.time_in_force) or (c.trigger and c.time_in_force != T.FOK)
        return Reason.NONE if allowed else Reason.BAD_TIME_IN_FORCE
    tick = tick_of(b, c.price)
    if tick < 0:
        return -tick
    return Reason.BAD_TIME_IN_FORCE if c.order_type >= FIRST_PEG and not is_lasting(c.time_in_force) else Reason.NONE


@cold
def check_trigger(state: STATE, c: NEW, b: INSTRUMENT):
    """Line 4."""
    if c.trigger > Trigger.TRAILING or c.trigger_on > TriggerOn.MARK:
        return Reason.BAD_TRIGGER
    if c.trigger == Trigger.NONE:
        if c.trigger_on or c.trigger_price:
            return Reason.BAD_TRIGGER
    else:
        if c.order_type >= FIRST_PEG or c.time_in_force == T.FOK or is_for_auction(c.time_in_force):
            return Reason.BAD_TRIGGER
        if c.trigger == Trigger.TRAILING and c.order_type != OrderType.MARKET:
            return Reason.BAD_TRIGGER
        least = 1 if c.trigger == Trigger.TRAILING else b.min_price + 0
        if c.trigger_price < least or c.trigger_price > b.max_price:
            return Reason.BAD_TRIGGER
    good = c.good_till > state.time if c.time_in_force == T.GTD else c.good_till == 0
    return Reason.NONE if good else Reason.BAD_TTL


@cold
def check_quantities(c: NEW, b: INSTRUMENT):
    """Line 5."""
    if c.options & BY_QUOTE:
        if c.quantity < 1 or c.quantity > MAX_AMOUNT:
            return Reason.BAD_QUANTITY
    else:
        reason = check_quantity(b, c.quantity)
        if reason:
            return reason
    if c.display:
        shows = c.order_type == OrderType.LIMIT and (is_lasting(c.time_in_force) or is_for_auction(c.time_in_force))
        if not shows or c.display < 1 or c.display > c.quantity or remainder(c.display, b.lot):
            return Reason.BAD_DISPLAY
    if c.minimum:
        if c.order_type >= FIRST_PEG or is_for_auction(c.time_in_force) or c.trigger or c.post_only or c.options & BY_QUOTE or c.link:
            return Reason.BAD_VALUE
        if c.minimum < 1 or c.minimum > c.quantity or remainder(c.minimum, b.lot):
            return Reason.BAD_VALUE
    return Reason.NONE


@cold
def check_in_session(c: NEW, x: INSTRUMENT_EXTRA):
    """Line 6."""
    if x.session == Session.CONTINUOUS:
        return Reason.SESSION if c.time_in_force == T.AUCTION else Reason.NONE
    at_once = c.order_type == OrderType.MARKET and not c.trigger and not is_for_auction(c.time_in_force)
    if at_once or c.time_in_force == T.IOC or c.time_in_force == T.FOK or c.order_type >= FIRST_PEG or c.post_only or c.minimum:
        return Reason.SESSION
    return Reason.NONE
