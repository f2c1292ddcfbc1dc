"""Triggers: what prices waiting orders look at, when they are reached, and the one that fires next. docs/rules.md section 12.

The range of a source holds every price seen while somebody waits on it, so nothing is forgotten however much work lies before it. Trees keep those whose
trigger stays where it is in the order of firing; trailing ones, at most 64 with the pegs, are looked at one by one.
"""
from cambist.core import layout as at
from cambist.core.book import price_of
from cambist.core.ends import cancel_special, queue_to_enter
from cambist.core.layout import INSTRUMENT, INSTRUMENT_EXTRA, STATE
from cambist.core.lists import first_waiting, leave_tree
from cambist.core.memory import cold, hot
from cambist.core.risk import collar_limit
from cambist.core.order_standing import follow, unlink
from cambist.messages import OrderState, Reason, Session, Side, Trigger, TriggerOn

SOURCES = len(TriggerOn)


@cold
def price_seen(state: STATE, b: INSTRUMENT, instrument: int, source: int):
    """What a trigger looks at; 0 when there is nothing to see."""
    if source == TriggerOn.LAST:
        return b.book_last + 0
    index = b.emitted + 0
    if source == TriggerOn.INDEX or index == 0 or at.instrument_extra(state, instrument).session != Session.CONTINUOUS:
        return index
    if b.bid < 0 or b.ask >= b.ticks:
        return index
    bid, ask = price_of(b, b.bid), price_of(b, b.ask)
    return max(min(bid, ask), min(max(bid, ask), index))


@hot
def _rises(side: int, trigger: int):
    """Whether it waits for the price to come from below."""
    return 1 if (side == Side.BUY) == (trigger != Trigger.TAKE_PROFIT) else 0


@hot
def _reached_by(rises: int, trigger_price: int, low: int, high: int):
    return high >= trigger_price if rises else low <= trigger_price


@cold
def is_reached(state: STATE, instrument: int, side: int, trigger: int, source: int, trigger_price: int):
    """Before it is accepted: by the price now, or by one that others still wait to be fired by."""
    b, x = at.instrument(state, instrument), at.instrument_extra(state, instrument)
    p, rises = price_seen(state, b, instrument, source), _rises(side, trigger)
    if p > 0 and _reached_by(rises, trigger_price, p, p):
        return 1
    return 1 if x.high[source] > 0 and _reached_by(rises, trigger_price, x.low[source] + 0, x.high[source] + 0) else 0


@cold
def reached_order(state: STATE, x: INSTRUMENT_EXTRA, source: int):
    """The first that the range of a source has reached: rising ones upwards, then falling ones downwards; 0: none."""
    if x.high[source] == 0:
        return 0
    i = first_waiting(state, x, source, 1)
    if i and at.order_extra(state, i).trigger_price <= x.high[source]:
        return i
    i = first_waiting(state, x, source, 0)
    return i if i and at.order_extra(state, i).trigger_price >= x.low[source] else 0


@cold
def next_to_fire(state: STATE, instrument: int):
    """LAST, then INDEX, then MARK; 0: none."""
    x = at.instrument_extra(state, instrument)
    for source in range(SOURCES):
        i = reached_order(state, x, source)
        if i:
            return i
    return 0


# ------------------------------------------------------------------------------------------------------------------ look
@cold
def look_at_prices(state: STATE, instrument: int):
    """What its prices are now: trailing orders follow or fire, ranges are extended."""
    for source in range(SOURCES):
        _look_at(state, instrument, source)


@cold
def _look_at(state: STATE, instrument: int, source: int):
    b, x = at.instrument(state, instrument), at.instrument_extra(state, instrument)
    p = price_seen(state, b, instrument, source)
    if p > 0 and x.floating > x.pegs:
        _look_at_trailing(state, x, source, p)
    if x.waiting[source] == 0:
        x.low[source] = 0
        x.high[source] = 0
    elif p > 0:
        x.low[source] = min(x.low[source], p) if x.low[source] else p
        x.high[source] = max(x.high[source], p)
        if reached_order(state, x, source) == 0:
            x.low[source] = p
            x.high[source] = p


@cold
def _look_at_trailing(state: STATE, x: INSTRUMENT_EXTRA, source: int, p: int):
    """In order of arrival. One that fires stays in the list; what it cancels leaves it, so the next one is asked for afterwards."""
    i = x.float_first + 0
    while i:
        o, e = at.order(state, i), at.order_extra(state, i)
        if e.trigger == Trigger.TRAILING and e.state == OrderState.WAITING and e.trigger_on == source:
            if _reached_by(_rises(o.side, e.trigger), e.trigger_price, p, p):
                fire(state, i)
            elif o.side == Side.SELL:
                e.trigger_price = max(e.trigger_price, p - e.distance)
            else:
                e.trigger_price = min(e.trigger_price, p + e.distance)
        i = e.float_next + 0


# ------------------------------------------------------------------------------------------------------------------ fire
@cold
def fire(state: STATE, i: int):
    """Its mate goes, its worst price is that of its trigger now, and it is in the queue to enter."""
    o, e = at.order(state, i), at.order_extra(state, i)
    j = unlink(state, i)
    if j:
        cancel_special(state, j, Reason.LINKED, 0, 1)
    b = at.instrument(state, e.instrument)
    if e.trigger == Trigger.TRAILING and b.collar_ppm:
        worst = collar_limit(b, o.side, e.trigger_price)
        e.worst = min(e.worst, worst) if o.side == Side.BUY else max(e.worst, worst)
    leave_tree(state, i)
    follow(state, i, 0)
    queue_to_enter(state, i)
