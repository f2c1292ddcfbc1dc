"""Section 12 of the rules: what prices waiting orders look at, which of them fire, and how they enter the book. Also how any taker ends."""
from cambist.messages import OrderState, OrderType, Reason, Session, Side, TimeInForce, Trigger, TriggerOn
from cambist.simulation.twin.model import Instrument, Order, State
from cambist.simulation.twin.session_rules import call_volatility
from cambist.simulation.twin.standing_rules import best, cancel, follow, mate_of, must_live, queue_to_enter, rest, stand, unlink
from cambist.simulation.twin.trade_rules import match

R = Reason
SOURCES = tuple(TriggerOn)
RANGES = {TriggerOn.LAST: ("last_low", "last_high"), TriggerOn.INDEX: ("index_low", "index_high"), TriggerOn.MARK: ("mark_low", "mark_high")}


# ------------------------------------------------------------------------------------------------------------------ taking
def ends_at_once(order: Order) -> bool:
    return order.order_type == OrderType.MARKET or order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)


def take(t: State, order: Order, from_queue: bool = False) -> None:
    """A taker matches; what is left of it is cancelled, rests, or waits for the auction it has caused."""
    broken = match(t, order)
    if order.leaves > 0:
        if broken and from_queue:
            stand(t, order, OrderState.TRIGGERED)
            t.entries[order.instrument].insert(0, order.id)
        elif ends_at_once(order):
            cancel(t, order, R.BAND if broken else R.IMMEDIATE)
        else:
            rest(t, order)
    if broken:
        call_volatility(t, t.instruments[order.instrument])


# ------------------------------------------------------------------------------------------------------------------ prices
def price_of(t: State, ins: Instrument, source: int) -> int:
    """What a trigger looks at; 0 when there is nothing to see."""
    if source == TriggerOn.LAST:
        return ins.book_last
    if source == TriggerOn.INDEX or ins.reference == 0 or ins.session != Session.CONTINUOUS:
        return ins.reference
    bid, ask = best(t, ins.number, Side.BUY), best(t, ins.number, Side.SELL)
    return sorted((ins.reference, bid, ask))[1] if bid and ask else ins.reference


def rising(order: Order) -> bool:
    """Whether it waits for the price to come from below."""
    return (order.side == Side.BUY) == (order.trigger in (Trigger.STOP, Trigger.TRAILING))


def reached_by(order: Order, low: int, high: int) -> bool:
    return high >= order.trigger_price if rising(order) else low <= order.trigger_price


def waiting(t: State, ins: Instrument, source: int) -> list[Order]:
    found = [o for o in t.orders_of.get(ins.number, {}).values() if o.state == OrderState.WAITING and o.trigger and o.trigger_on == source]
    return sorted(found, key=lambda o: o.arrival)


def plain(orders: list[Order]) -> list[Order]:
    """Those whose trigger stays where it is."""
    return [o for o in orders if o.trigger != Trigger.TRAILING]


def range_of(ins: Instrument, source: int) -> tuple[int, int]:
    low, high = RANGES[source]
    return getattr(ins, low), getattr(ins, high)


def set_range(ins: Instrument, source: int, low: int, high: int) -> None:
    lowest, highest = RANGES[source]
    setattr(ins, lowest, low)
    setattr(ins, highest, high)


def reached_orders(t: State, ins: Instrument, source: int) -> list[Order]:
    """Rising ones from the lowest trigger upwards, then falling ones from the highest downwards."""
    low, high = range_of(ins, source)
    if high == 0:
        return []
    found = [o for o in plain(waiting(t, ins, source)) if reached_by(o, low, high)]
    return sorted(found, key=lambda o: (not rising(o), o.trigger_price if rising(o) else -o.trigger_price, o.arrival))


def is_reached(t: State, ins: Instrument, order: Order) -> bool:
    """Before it is accepted: by the price now, or by one that others still wait to be fired by."""
    p = price_of(t, ins, order.trigger_on)
    low, high = range_of(ins, order.trigger_on)
    return (p > 0 and reached_by(order, p, p)) or (high > 0 and reached_by(order, low, high))


# -------------------------------------------------------------------------------------------------------------------- look
def look(t: State) -> None:
    for ins in sorted(t.instruments.values(), key=lambda i: i.number):
        watched = {o.trigger_on for o in t.orders_of.get(ins.number, {}).values() if o.state == OrderState.WAITING and o.trigger}
        for source in SOURCES:
            if source in watched:
                look_at(t, ins, source)
            else:
                set_range(ins, source, 0, 0)


def look_at(t: State, ins: Instrument, source: int) -> None:
    p = price_of(t, ins, source)
    orders = waiting(t, ins, source)
    for order in orders if p > 0 else ():
        if order.trigger == Trigger.TRAILING and order.state == OrderState.WAITING and order.id in t.orders:
            if reached_by(order, p, p):
                fire(t, order)
            else:
                trail(order, p)
    if not plain(waiting(t, ins, source)):
        set_range(ins, source, 0, 0)
    elif p > 0:
        low, high = range_of(ins, source)
        set_range(ins, source, min(low or p, p), max(high, p))
        if not reached_orders(t, ins, source):
            set_range(ins, source, p, p)


def trail(order: Order, p: int) -> None:
    if order.side == Side.SELL:
        order.trigger_price = max(order.trigger_price, p - order.distance)
    else:
        order.trigger_price = min(order.trigger_price, p + order.distance)


# ----------------------------------------------------------------------------------------------------------------- fire, enter
def collar_limit(ins: Instrument, side: int, low: int, high: int) -> int:
    """The band's edge, brought inward to the tick and into the range of prices."""
    tick = ins.book_tick
    edge = high // tick * tick if side == Side.BUY else -(-low // tick) * tick
    return min(max(edge, ins.min_price), ins.max_price // tick * tick)


def worst_of(t: State, ins: Instrument, side: int, trigger_price: int) -> int:
    low, high = t.band(ins, trigger_price)
    return collar_limit(ins, side, low, high)


def fire(t: State, order: Order) -> None:
    mate = mate_of(t, order)
    if mate is not None:
        unlink(t, order)
        cancel(t, mate, R.LINKED)
    ins = t.instruments[order.instrument]
    if order.trigger == Trigger.TRAILING and ins.collar_ppm:
        worst = worst_of(t, ins, order.side, order.trigger_price)
        order.worst = order.price = min(order.worst, worst) if order.side == Side.BUY else max(order.worst, worst)
    follow(t, order)
    queue_to_enter(t, order)


def next_to_fire(t: State) -> Order | None:
    for number in sorted(t.instruments):
        for source in SOURCES:
            if found := reached_orders(t, t.instruments[number], source):
                return found[0]
    return None


def next_to_enter(t: State) -> Order | None:
    for number in sorted(t.instruments):
        ins = t.instruments[number]
        if ins.session == Session.CONTINUOUS and not ins.halted and t.entries.get(number):
            return t.orders[t.entries[number][0]]
    return None


def enter_book(t: State, order: Order) -> None:
    must_live(t, order)
    t.entries[order.instrument].remove(order.id)
    order.state, order.price = OrderState.ASLEEP, order.worst           # a taker now; it stays in the table for what is linked to it
    follow(t, order, taker=True)
    take(t, order, from_queue=True)
