"""Section 12 of the rules, pegs: where a pegged order stands, and when that is looked at again."""
from cambist.messages import PEGGED, Event, OrderState, OrderType, Session, Side
from cambist.simulation.twin.model import Instrument, Order, State
from cambist.simulation.twin.standing_rules import best, best_first, book, depart, must_live, opposite, stand, tell_level


def is_peg(order: Order) -> bool:
    return order.order_type in PEGGED


def pegs(t: State, instrument: int) -> list[Order]:
    return sorted((o for o in t.orders_of.get(instrument, {}).values() if is_peg(o)), key=lambda o: o.arrival)


def best_unpegged(t: State, instrument: int, side: int) -> int:
    """The best price at which somebody stands who is not pegged; 0 for none."""
    levels = book(t, instrument, side)
    return next((p for p in best_first(t, instrument, side) if any(not is_peg(o) for o in levels[p])), 0)


def reference_of(t: State, order: Order) -> int:
    own, other = (best_unpegged(t, order.instrument, side) for side in (order.side, opposite(order.side)))
    if order.order_type == OrderType.PRIMARY:
        return own
    if order.order_type == OrderType.OPPOSITE:
        return other
    return (own + other) // 2 if own and other else 0


def place_of(t: State, order: Order) -> int:
    """Where it should stand now; 0: nowhere."""
    ins, reference = t.instruments[order.instrument], reference_of(t, order)
    if reference == 0:
        return 0
    tick, facing = ins.book_tick, best(t, order.instrument, opposite(order.side))
    if order.side == Side.BUY:
        price = min((reference - order.offset) // tick * tick, order.worst)
        price = min(price, facing - tick) if facing else price
        return price if price >= ins.min_price else 0
    price = max(-(-(reference + order.offset) // tick) * tick, order.worst)
    price = max(price, facing + tick) if facing else price
    return price if price <= ins.max_price else 0


def put(t: State, order: Order, price: int) -> None:
    order.price = price or order.worst
    stand(t, order, OrderState.BOOK if price else OrderState.ASLEEP)
    if price:
        tell_level(t, order.instrument, order.side, order.price)


def look_at_pegs(t: State, ins: Instrument) -> None:
    if ins.session != Session.CONTINUOUS or ins.halted or not any(is_peg(o) for o in t.orders_of.get(ins.number, {}).values()):
        return
    now = best_unpegged(t, ins.number, Side.BUY), best_unpegged(t, ins.number, Side.SELL)
    if now != (ins.peg_bid, ins.peg_ask):
        (ins.peg_bid, ins.peg_ask), ins.peg_cursor, ins.peg_work = now, 0, 1


def next_instrument(t: State) -> Instrument | None:
    found = (t.instruments[n] for n in sorted(t.instruments))
    return next((i for i in found if i.peg_work and i.session == Session.CONTINUOUS and not i.halted), None)


def peg_unit(t: State, ins: Instrument) -> None:
    order = next((o for o in pegs(t, ins.number) if o.sequence > ins.peg_cursor), None)
    if order is None:
        ins.peg_work = 0
        return
    ins.peg_cursor = order.sequence
    must_live(t, order)
    stood = order.price if order.state == OrderState.BOOK else 0
    price = place_of(t, order)
    if price == stood:
        return
    depart(t, order)
    if stood:
        tell_level(t, ins.number, order.side, stood)
    t.emit(Event.ORDER_MOVED, order.account, id=order.id, instrument=ins.number, side=order.side, price=price, leaves=order.leaves)
    put(t, order, price)
