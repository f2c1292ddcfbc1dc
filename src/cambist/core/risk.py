"""What may be risked: amounts and holds, the reference price, the collar, positions, credit. Answers with a reason; changes only holds.

Rules: SEC 15c3-5(c)(1)(i) credit thresholds, (ii) price and size; RTS 6 article 15(1): price collars, maximum order value and volume.
"""
from cambist.core import layout as at
from cambist.core.accounts import balance, credit_of, line_of, position_of
from cambist.core.arithmetic import MILLION, divide, fee_up, multiply_divide, multiply_divide_by
from cambist.core.layout import INSTRUMENT, MAX_SOURCES, POSITION, STATE
from cambist.core.memory import cold, hot, remainder
from cambist.messages import MAX_AMOUNT, AccountKind, Reason, Settlement, Side


@hot
def amount(b: INSTRUMENT, quantity: int, price: int):
    """What a trade is worth in the quote asset, rounded down: one figure for both sides."""
    return multiply_divide_by(quantity, price * b.amount_num, b.amount_den, b.den_inverse, 0)


@hot
def amount_up(b: INSTRUMENT, quantity: int, price: int):
    return multiply_divide_by(quantity, price * b.amount_num, b.amount_den, b.den_inverse, 1)


@hot
def hold_of(b: INSTRUMENT, side: int, leaves: int, price: int, fee_ppm: int):
    """What an order's leaves may cost; never less than the payments its fills take from it."""
    if b.settlement == Settlement.PREFUNDED and side == Side.SELL:
        return leaves
    return _hold_of_worth(b, amount_up(b, leaves, price), fee_ppm)


@hot
def _hold_of_worth(b: INSTRUMENT, worth: int, fee_ppm: int):
    return worth if b.settlement == Settlement.ON_CREDIT else worth + fee_up(worth, fee_ppm)


@hot
def hold_of_worth(b: INSTRUMENT, side: int, leaves: int, worth: int):
    """The hold of a new order, whose worth (rounded up) was needed before."""
    return leaves if b.settlement == Settlement.PREFUNDED and side == Side.SELL else _hold_of_worth(b, worth, b.highest_ppm)


@hot
def asset_of(b: INSTRUMENT, side: int):
    """What an order holds: the asset it pays with, or the quote asset's line."""
    return b.quote + 0 if side == Side.BUY or b.settlement == Settlement.ON_CREDIT else b.base + 0


@hot
def change_hold(state: STATE, b: INSTRUMENT, p: POSITION, account: int, side: int, more: int):
    """Move between free and held (prefunded), or in the credit row's reserve. `account`: the position's, which who asks knows without reading its row."""
    if b.settlement == Settlement.ON_CREDIT:
        c = at.credit_row(state, line_of(state, p, b.quote))
        c.reserved = c.reserved + more
    else:
        x = balance(state, account, b.quote if side == Side.BUY else b.base)
        x.available = x.available - more
        x.held = x.held + more


@hot
def check_funds(state: STATE, b: INSTRUMENT, p: POSITION, account: int, side: int, more: int):
    """Whether a position's account can hold `more`."""
    if b.settlement == Settlement.ON_CREDIT:
        return _check_line(state, line_of(state, p, b.quote), more)
    x = balance(state, account, b.quote if side == Side.BUY else b.base)
    return Reason.INSUFFICIENT if x.available + x.short_limit < more else Reason.NONE


@cold
def check_credit(state: STATE, account: int, asset: int, more: int):
    return _check_line(state, credit_of(state, account, asset), more)


@cold
def _check_line(state: STATE, i: int, more: int):
    if i == 0:
        return Reason.CREDIT
    c = at.credit_row(state, i)
    return Reason.CREDIT if c.reserved + c.traded + c.netted + more > c.limit else Reason.NONE


@cold
def check_position(state: STATE, b: INSTRUMENT, account: int, instrument: int, side: int, quantity: int, own_open: int):
    """Whether the worst case of one more order stays inside the limit; `own_open` is what an amended order already counts."""
    i = position_of(state, account, instrument)
    if i == 0:
        return Reason.CAPACITY
    return check_open(b, at.position_row(state, i), side, quantity, own_open)


@hot
def check_open(b: INSTRUMENT, p: POSITION, side: int, quantity: int, own_open: int):
    """The same of a position that is there."""
    limit = p.limit if p.limit else b.max_position
    if limit == 0:
        return Reason.NONE
    worst = p.net + p.open_buy - own_open + quantity if side == Side.BUY else p.open_sell - own_open + quantity - p.net
    return Reason.POSITION if worst > limit else Reason.NONE


@cold
def _refresh(state: STATE, b: INSTRUMENT, instrument: int):
    """Sort what is fresh, take the median, and note how long that stays true."""
    fresh = 0
    until = MAX_AMOUNT
    for s in range(1, MAX_SOURCES + 1):
        x = at.source(state, instrument * (MAX_SOURCES + 1) + s)
        if x.enabled and x.price and state.time - x.posted_at <= b.max_age:
            until = min(until, x.posted_at + b.max_age)
            i = fresh
            while i > 0 and state.scratch[i - 1] > x.price:
                state.scratch[i] = state.scratch[i - 1]
                i -= 1
            state.scratch[i] = x.price
            fresh += 1
    b.reference_until = until
    b.reference = 0
    if fresh >= max(1, b.min_sources):
        half = fresh // 2
        b.reference = state.scratch[half] if fresh & 1 else (state.scratch[half - 1] + state.scratch[half]) // 2
    if b.collar_ppm == 0:
        b.lowest_sell, b.highest_buy = 0, MAX_AMOUNT
    elif b.reference == 0:
        b.lowest_sell, b.highest_buy = MAX_AMOUNT + 1, 0
    else:
        band = multiply_divide(b.reference, b.collar_ppm, MILLION, 0)
        b.lowest_sell, b.highest_buy = b.reference - band, b.reference + band
    return fresh


@hot
def reference(state: STATE, b: INSTRUMENT, instrument: int):
    """The median of the fresh sources now, or 0."""
    if state.time > b.reference_until:
        _refresh(state, b, instrument)
    return b.reference + 0


@cold
def post_reference(state: STATE, b: INSTRUMENT, instrument: int):
    """Recompute after a source spoke; how many are fresh."""
    return _refresh(state, b, instrument)


@cold
def check_collar(state: STATE, b: INSTRUMENT, instrument: int, low: int, high: int):
    """Whether low is not below and high not above the band around the reference (0: that bound is not checked)."""
    if b.collar_ppm == 0:
        return Reason.NONE
    middle = reference(state, b, instrument)
    if middle == 0:
        return Reason.NO_REFERENCE
    band = multiply_divide(middle, b.collar_ppm, MILLION, 0)
    if (low and low < middle - band) or (high and high > middle + band):
        return Reason.COLLAR
    return Reason.NONE


@hot
def check_side_collar(state: STATE, b: INSTRUMENT, instrument: int, side: int, price: int):
    """A buyer may not pay too much, a seller not take too little. The bounds are kept with the reference they come from."""
    if state.time > b.reference_until:
        _refresh(state, b, instrument)
    if price <= b.highest_buy if side == Side.BUY else price >= b.lowest_sell:
        return Reason.NONE
    return Reason.COLLAR if b.reference else Reason.NO_REFERENCE


@cold
def collar_limit(b: INSTRUMENT, side: int, middle: int):
    """The collar's edge around a centre, brought inward to the tick and into the range of prices."""
    band = multiply_divide(middle, b.collar_ppm, MILLION, 0)
    if side == Side.BUY:
        edge = (middle + band) // b.book_tick * b.book_tick
    else:
        edge = (middle - band + b.book_tick - 1) // b.book_tick * b.book_tick
    return min(max(edge, b.min_price), b.min_price + (b.ticks - 1) * b.book_tick)


@cold
def market_limit(state: STATE, b: INSTRUMENT, instrument: int, side: int):
    """The worst price a market order may trade at: the collar's edge; 0 without a reference."""
    middle = reference(state, b, instrument) if b.collar_ppm else 0
    return collar_limit(b, side, middle) if middle else 0


@hot
def tick_of(b: INSTRUMENT, price: int):
    """The book tick of a price, or the negative of what is wrong with it."""
    if price < b.min_price or price > b.max_price:
        return -Reason.BAD_PRICE
    above = price - b.min_price
    tick = divide(above, b.book_tick, b.tick_inverse)
    return tick if tick * b.book_tick == above else -Reason.OFF_TICK


@cold
def check_price(b: INSTRUMENT, price: int, tick: int):
    if price < b.min_price or price > b.max_price:
        return Reason.BAD_PRICE
    return Reason.OFF_TICK if remainder(price, tick) else Reason.NONE


@hot
def check_quantity(b: INSTRUMENT, quantity: int):
    if quantity < 1:
        return Reason.BAD_QUANTITY
    if divide(quantity, b.lot, b.lot_inverse) * b.lot != quantity:
        return Reason.OFF_LOT
    return Reason.MAX_QUANTITY if quantity > b.max_quantity else Reason.NONE


@cold
def check_notional(b: INSTRUMENT, quantity: int, price: int):
    return check_worth(b, amount_up(b, quantity, price))


@hot
def check_worth(b: INSTRUMENT, a: int):
    if a < 0:
        return Reason.OVERFLOW
    return Reason.MAX_NOTIONAL if a > b.max_notional else Reason.NONE


@hot
def short_reason(state: STATE, account: int):
    """A desk out of funds is out of inventory."""
    return Reason.INVENTORY if at.account(state, account).kind == AccountKind.DESK else Reason.INSUFFICIENT
