"""Pegged orders: where one stands, and when that is looked at again. They are never priced by one another, and never take. docs/rules.md section 12."""
from cambist.core import layout as at
from cambist.core.accounts import account_of
from cambist.core.agenda import look_later
from cambist.core.book import highest_below, level_at, lowest_above, may_rest, price_of, tell_level
from cambist.core.emit import of, say
from cambist.core.layout import INSTRUMENT, ORDER, ORDER_EXTRA, STATE
from cambist.core.lists import is_peg
from cambist.core.memory import cold, hot
from cambist.core.order_standing import enter_level, follow, leave_level, look_at_instrument, stand_in_book, stand_outside
from cambist.messages import Event, OrderState, OrderType, Session, Side

NOWHERE = -1


@cold
def best_unpegged(state: STATE, b: INSTRUMENT, side: int):
    """The best tick of a side at which somebody stands who is not pegged; -1: none. At most 64 levels have none but pegs."""
    tick = b.bid + 0 if side == Side.BUY else b.ask + 0
    while 0 <= tick < b.ticks:
        l = at.level(state, level_at(state, b, side, tick))
        if l.orders > l.pegs:
            return tick
        tick = highest_below(state, b, side, tick) if side == Side.BUY else lowest_above(state, b, side, tick)
    return NOWHERE


@hot
def _price_at(b: INSTRUMENT, tick: int):
    """0 for no tick."""
    return price_of(b, tick) if tick >= 0 else 0


@cold
def _reference_of(state: STATE, b: INSTRUMENT, o: ORDER, e: ORDER_EXTRA):
    own, other = _price_at(b, best_unpegged(state, b, o.side)), _price_at(b, best_unpegged(state, b, 1 - o.side))
    if e.order_type == OrderType.PRIMARY:
        return own
    if e.order_type == OrderType.OPPOSITE:
        return other
    return (own + other) // 2 if own and other else 0


@cold
def place_of(state: STATE, b: INSTRUMENT, i: int):
    """The tick where it should stand now, or NOWHERE."""
    o, e = at.order(state, i), at.order_extra(state, i)
    middle = _reference_of(state, b, o, e)
    if middle == 0 or e.offset > b.max_price:
        return NOWHERE
    if o.side == Side.BUY:
        price = min((middle - e.offset) // b.book_tick * b.book_tick, e.worst)
        if b.ask < b.ticks:
            price = min(price, price_of(b, b.ask) - b.book_tick)
        return (price - b.min_price) // b.book_tick if price >= b.min_price else NOWHERE
    price = max((middle + e.offset + b.book_tick - 1) // b.book_tick * b.book_tick, e.worst)
    if b.bid >= 0:
        price = max(price, price_of(b, b.bid) + b.book_tick)
    return (price - b.min_price) // b.book_tick if price <= b.max_price else NOWHERE


@cold
def put_peg(state: STATE, b: INSTRUMENT, i: int):
    """A new one stands where it should, or sleeps."""
    tick = place_of(state, b, i)
    if tick < 0 or not may_rest(state, b, at.order(state, i).side, tick):
        stand_outside(state, i, OrderState.ASLEEP)
        return
    stand_in_book(state, b, i, tick)
    o = at.order(state, i)
    tell_level(state, b, at.order_extra(state, i).instrument, o.side, o.level)


@cold
def look_at_pegs(state: STATE, instrument: int):
    """When the best of what is not pegged has moved, every peg is to be looked at."""
    b, x = at.instrument(state, instrument), at.instrument_extra(state, instrument)
    if x.session != Session.CONTINUOUS or b.halted or x.pegs == 0:
        return
    bid, ask = _price_at(b, best_unpegged(state, b, Side.BUY)), _price_at(b, best_unpegged(state, b, Side.SELL))
    if bid != x.peg_bid or ask != x.peg_ask:
        x.peg_bid = bid
        x.peg_ask = ask
        x.peg_cursor = 0
        x.peg_work = 1


@cold
def peg_unit(state: STATE, instrument: int):
    """The next peg after the cursor. It is not dying, as no order is that enters."""
    x = at.instrument_extra(state, instrument)
    look_later(state, instrument)
    i = x.float_first + 0
    while i and not (is_peg(at.order_extra(state, i)) and at.origin(state, i).sequence > x.peg_cursor):
        i = at.order_extra(state, i).float_next + 0
    if i == 0:
        x.peg_work = 0
        return
    x.peg_cursor = at.origin(state, i).sequence
    _move(state, at.instrument(state, instrument), instrument, i)


@cold
def _move(state: STATE, b: INSTRUMENT, instrument: int, i: int):
    """Elsewhere than it stands: out of its level, and to the end of another, or asleep."""
    o, e = at.order(state, i), at.order_extra(state, i)
    row = o.level + 0
    tick = place_of(state, b, i)
    if tick >= 0 and not may_rest(state, b, o.side, tick):
        tick = NOWHERE
    if tick == (at.level(state, row).tick if row else NOWHERE):
        return
    if row:
        leave_level(state, b, i)
        tell_level(state, b, instrument, o.side, row)
    say(state, of(Event.ORDER_MOVED, 0, o.side, 0), account_of(o), instrument, o.id, _price_at(b, tick), 0, o.leaves)
    if tick < 0:
        e.state = OrderState.ASLEEP
    else:
        enter_level(state, b, i, tick)
        tell_level(state, b, instrument, o.side, o.level)
    follow(state, i, 0)
    look_at_instrument(state, i)
