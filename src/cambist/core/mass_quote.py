"""MASS_QUOTE: both sides of a maker's quote in the book, replaced as a unit. Section 12 of docs/rules.md.

In its checks the orders of the quote that stands do not count. In a group each is checked with what the earlier ones would hold (`reserve`), and nothing is
changed before all have passed.
"""
from cambist.core import layout as at
from cambist.core.accept import check_who_and_where
from cambist.core.accounts import next_id, position_of
from cambist.core.book import highest_below, level_at, lowest_above, may_rest, price_of, word_of
from cambist.core.trading_controls import check_exposure, count_value, value_of
from cambist.core.emit import echo, of, refuse, write
from cambist.core.fees import hold_minimum, hold_ppm
from cambist.core.layout import INSTRUMENT, STATE, L
from cambist.core.memory import cold, hot
from cambist.core.pools import give_order, room_order, take_order
from cambist.core.protection import is_frozen
from cambist.core.risk import amount_up, asset_of, change_hold, check_funds, check_open, check_quantity, check_side_collar, check_worth, tick_of
from cambist.core.market_sessions import gathers
from cambist.core.order_standing import depart, follow, full_hold, mark_special, set_leaves, stand_in_book
from cambist.messages import MAX_AMOUNT, Event, Kind, Reason, SelfTrade, Settlement, Side

QUOTE = L[Kind.MASS_QUOTE]


@hot
def _price(c: QUOTE, side: int):
    return c.bid + 0 if side == Side.BUY else c.ask + 0


@hot
def _quantity(c: QUOTE, side: int):
    return c.bid_quantity + 0 if side == Side.BUY else c.ask_quantity + 0


@hot
def _is_given(c: QUOTE, side: int):
    return 1 if _price(c, side) or _quantity(c, side) else 0


@hot
def _standing(state: STATE, position: int, side: int):
    """Row of the order of the quote that stands, on one side; 0: none."""
    x = at.position_extra(state, position)
    return x.bid + 0 if side == Side.BUY else x.ask + 0


@hot
def _level_quantity(state: STATE, b: INSTRUMENT, side: int, tick: int):
    """What is shown at a tick, occupied or not."""
    bits = at.word(state, word_of(b, side, tick)).bits
    return at.level(state, level_at(state, b, side, tick)).quantity + 0 if (bits >> (tick & 63)) & 1 else 0


@hot
def _level_orders(state: STATE, b: INSTRUMENT, side: int, tick: int):
    bits = at.word(state, word_of(b, side, tick)).bits
    return at.level(state, level_at(state, b, side, tick)).orders + 0 if (bits >> (tick & 63)) & 1 else 0


# ----------------------------------------------------------------------------------------------------------------- check
@cold
def _check_side(state: STATE, c: QUOTE, b: INSTRUMENT, side: int):
    """Price, size and worth of one side; what it would hold is known then."""
    m = at.mass(state, side)
    m.given = _is_given(c, side)
    m.hold = 0
    m.value = 0
    if not m.given:
        return Reason.NONE
    m.tick = tick_of(b, _price(c, side))
    if m.tick < 0:
        return -m.tick
    reason = check_quantity(b, _quantity(c, side))
    if not reason:
        reason = check_side_collar(state, b, c.instrument, side, _price(c, side))
    if reason:
        return reason
    m.worth = amount_up(b, _quantity(c, side), _price(c, side))
    if m.worth < 0:
        return Reason.OVERFLOW
    m.hold = full_hold(b, side, _quantity(c, side), _price(c, side), hold_ppm(state, b, c.account, c.instrument),
                       hold_minimum(state, c.account, c.instrument))
    if m.hold > MAX_AMOUNT:
        return Reason.OVERFLOW
    m.value = value_of(state, c.account, b.quote, m.worth)
    return check_worth(b, m.worth)


@cold
def _old_leaves(state: STATE, position: int, side: int):
    i = _standing(state, position, side)
    return at.order(state, i).leaves + 0 if i else 0


@cold
def _old_hold(state: STATE, position: int, side: int):
    i = _standing(state, position, side)
    return at.order(state, i).held + 0 if i else 0


@cold
def _old_value(state: STATE, position: int, side: int):
    i = _standing(state, position, side)
    return at.order_extra(state, i).value + 0 if i else 0


@hot
def _old_count(state: STATE, position: int):
    return (1 if _standing(state, position, Side.BUY) else 0) + (1 if _standing(state, position, Side.SELL) else 0)


@cold
def _check_risk(state: STATE, c: QUOTE, b: INSTRUMENT, position: int):
    """OPEN_ORDERS to EXPOSURE, as if the quote that stands were gone."""
    owner, p = at.account(state, c.account), at.position_row(state, position)
    given = at.mass(state, Side.BUY).given + at.mass(state, Side.SELL).given
    if given and owner.open_orders - _old_count(state, position) + given > owner.max_open:
        return Reason.OPEN_ORDERS
    for side in range(2):
        if at.mass(state, side).given:
            reason = check_open(b, p, side, _quantity(c, side), _old_leaves(state, position, side))
            if reason:
                return reason
    old = _old_value(state, position, Side.BUY) + _old_value(state, position, Side.SELL)
    for side in range(2):
        if at.mass(state, side).given:
            reason = check_exposure(state, b, c.account, side, at.mass(state, side).worth, old)
            if reason:
                return reason
    return Reason.NONE


@cold
def _check_funds(state: STATE, c: QUOTE, b: INSTRUMENT, position: int):
    p = at.position_row(state, position)
    if not (at.mass(state, Side.BUY).given or at.mass(state, Side.SELL).given):
        return Reason.NONE
    if b.settlement == Settlement.ON_CREDIT:
        more = at.mass(state, Side.BUY).hold + at.mass(state, Side.SELL).hold
        return check_funds(state, b, p, p.account, Side.BUY, more - _old_hold(state, position, Side.BUY) - _old_hold(state, position, Side.SELL))
    for side in range(2):
        m = at.mass(state, side)
        if m.given:
            reason = check_funds(state, b, p, p.account, side, m.hold - _old_hold(state, position, side))
            if reason:
                return reason
    return Reason.NONE


@cold
def _best_without(state: STATE, b: INSTRUMENT, position: int, side: int):
    """The best tick of a side as it would be without the quote that stands."""
    tick = b.bid + 0 if side == Side.BUY else b.ask + 0
    i = _standing(state, position, side)
    if i and at.level(state, at.order(state, i).level).tick == tick and at.level(state, at.order(state, i).level).orders == 1:
        return highest_below(state, b, side, tick) if side == Side.BUY else lowest_above(state, b, side, tick)
    return tick


@cold
def _takes(state: STATE, c: QUOTE, b: INSTRUMENT, position: int):
    """Whether a side crosses the best of the other side."""
    bid, ask = at.mass(state, Side.BUY), at.mass(state, Side.SELL)
    if bid.given and bid.tick >= _best_without(state, b, position, Side.SELL):
        return 1
    return 1 if ask.given and ask.tick <= _best_without(state, b, position, Side.BUY) else 0


@cold
def _room(state: STATE, b: INSTRUMENT, position: int):
    """Whether there are rows and levels for what is given; those of the quote that stands come free first."""
    for side in range(2):
        m = at.mass(state, side)
        if m.given and not may_rest(state, b, side, m.tick):
            return 0
    return 1 if room_order(state) or _old_count(state, position) == 2 else 0


@cold
def check_mass_quote(state: STATE, c: QUOTE):
    reason = check_who_and_where(state, c.account, c.actor, c.instrument)
    if reason:
        return reason
    if is_frozen(state, c.account, c.instrument):
        return Reason.FROZEN
    if c.self_trade > SelfTrade.DECREMENT:
        return Reason.BAD_SELF_TRADE
    b, position = at.instrument(state, c.instrument), position_of(state, c.account, c.instrument)
    reason = _check_side(state, c, b, Side.BUY)
    if not reason:
        reason = _check_side(state, c, b, Side.SELL)
    if reason:
        return reason
    if at.mass(state, Side.BUY).given and at.mass(state, Side.SELL).given and c.bid >= c.ask:
        return Reason.CROSSED_QUOTE
    if position == 0:
        return Reason.CAPACITY
    reason = _check_risk(state, c, b, position)
    if not reason and not _room(state, b, position):
        reason = Reason.CAPACITY + 0
    if not reason:
        reason = _check_funds(state, c, b, position)
    if reason:
        return reason
    if not gathers(at.instrument_extra(state, c.instrument)) and _takes(state, c, b, position):
        return Reason.POST_ONLY
    return Reason.NONE


# ------------------------------------------------------------------------------------------------------------- in a group
@cold
def reserve(state: STATE, c: QUOTE, sign: int):
    """Hold, count and value as the quote would, after its check; or (-1) take that back. The orders of the quote that stands are where they were."""
    b, position, owner = at.instrument(state, c.instrument), position_of(state, c.account, c.instrument), at.account(state, c.account)
    p = at.position_row(state, position)
    for side in range(2):
        if sign < 0:
            _check_side(state, c, b, side)
        m = at.mass(state, side)
        change_hold(state, b, p, p.account, side, sign * (m.hold - _old_hold(state, position, side)))
        owner.open_orders = owner.open_orders + sign * (m.given - (1 if _standing(state, position, side) else 0))
        count_value(state, c.account, sign * (m.value - _old_value(state, position, side)))


# ---------------------------------------------------------------------------------------------------------------- change
@cold
def _take_out(state: STATE, position: int, side: int):
    """The order of the quote that stands goes, without a word."""
    i = _standing(state, position, side)
    if i:
        depart(state, i)
        set_leaves(state, i, 0)
        follow(state, i, 0)
        give_order(state, i)


@cold
def _put_in(state: STATE, c: QUOTE, b: INSTRUMENT, position: int, side: int):
    """A new order of one side; its id."""
    i = take_order(state)
    o, origin = at.order(state, i), at.origin(state, i)
    mark_special(state, i, c.instrument, _price(c, side))
    e = at.order_extra(state, i)
    o.id = next_id(state, c.account)
    o.quantity = _quantity(c, side)
    o.leaves = o.quantity
    o.held = 0
    o.level = 0
    o.position = position
    o.fee_ppm = hold_ppm(state, b, c.account, c.instrument)
    o.side = side
    o.self_trade = c.self_trade
    o.asset = asset_of(b, side)
    origin.sequence = state.sequence
    origin.actor = c.actor
    e.quoted = 1
    e.fee_min = hold_minimum(state, c.account, c.instrument)
    x = at.position_extra(state, position)
    if side == Side.BUY:
        x.bid = i
    else:
        x.ask = i
    stand_in_book(state, b, i, tick_of(b, _price(c, side)))
    return o.id + 0


@cold
def _note_levels(state: STATE, b: INSTRUMENT, c: QUOTE, position: int, side: int):
    """What the old and the new order's levels are before anything is changed."""
    m, i = at.mass(state, side), _standing(state, position, side)
    m.given = _is_given(c, side)
    m.old_tick = at.level(state, at.order(state, i).level).tick if i else -1
    m.tick = tick_of(b, _price(c, side)) if m.given else -1
    m.old_quantity = _level_quantity(state, b, side, m.old_tick) if i else 0
    m.old_orders = _level_orders(state, b, side, m.old_tick) if i else 0
    m.new_quantity = _level_quantity(state, b, side, m.tick) if m.given else 0
    m.new_orders = _level_orders(state, b, side, m.tick) if m.given else 0


@cold
def _tell_tick(state: STATE, b: INSTRUMENT, instrument: int, side: int, tick: int, quantity: int, orders: int):
    """A level, where it is not what it was."""
    now, count = _level_quantity(state, b, side, tick), _level_orders(state, b, side, tick)
    if now != quantity or count != orders:
        write(state, of(Event.LEVEL, 0, side, 0), 0, instrument, 0, 0, price_of(b, tick), now, count, 0, 0)


@cold
def change_mass_quote(state: STATE, c: QUOTE):
    b, position = at.instrument(state, c.instrument), position_of(state, c.account, c.instrument)
    _note_levels(state, b, c, position, Side.BUY)
    _note_levels(state, b, c, position, Side.SELL)
    # hold, book
    _take_out(state, position, Side.BUY)
    _take_out(state, position, Side.SELL)
    bid = _put_in(state, c, b, position, Side.BUY) if at.mass(state, Side.BUY).given else 0
    ask = _put_in(state, c, b, position, Side.SELL) if at.mass(state, Side.SELL).given else 0
    # emit
    n = write(state, of(Event.BOOK_QUOTED, 0, 0, 0), c.account, c.instrument, bid, ask, c.bid, c.bid_quantity, c.ask_quantity, c.ask, 0)
    echo(state, n)
    for side in range(2):
        m = at.mass(state, side)
        if m.old_tick >= 0:
            _tell_tick(state, b, c.instrument, side, m.old_tick, m.old_quantity, m.old_orders)
        if m.given and m.tick != m.old_tick:
            _tell_tick(state, b, c.instrument, side, m.tick, m.new_quantity, m.new_orders)


@cold
def mass_quote(state: STATE, c: QUOTE):
    reason = check_mass_quote(state, c)
    if reason:
        refuse(state, c.account, reason, 0)
    else:
        change_mass_quote(state, c)
