"""The one price of an auction, from the levels of the book alone: largest volume, smallest surplus, market pressure, nearest to the reference.

Two walks over the levels where bids and asks overlap, of each side the AUCTION_LEVELS best at most; no order is read. docs/rules.md section 13.
"""
from cambist.core import layout as at
from cambist.core.book import highest_below, level_at, lowest_above, price_of
from cambist.core.layout import INSTRUMENT, OUTCOME, STATE
from cambist.core.memory import cold, hot
from cambist.core.risk import reference
from cambist.messages import AUCTION_LEVELS, Side


@hot
def _open_at(state: STATE, b: INSTRUMENT, side: int, tick: int):
    """Everything open at an occupied price, hidden too."""
    row = level_at(state, b, side, tick)
    return at.level(state, row).quantity + at.hidden(state, row).quantity


@cold
def _bids_above(state: STATE, b: INSTRUMENT, f: OUTCOME):
    """The best bids that reach the best ask: what they want in all, and the lowest of them."""
    tick, levels = b.bid + 0, 0
    f.demand = 0
    while tick >= b.ask and levels < AUCTION_LEVELS:
        f.demand = f.demand + _open_at(state, b, Side.BUY, tick)
        f.lowest = tick
        levels += 1
        tick = highest_below(state, b, Side.BUY, tick)


@hot
def _weigh(f: OUTCOME, price: int, centre: int):
    """Another candidate, higher than those before it: whether it is better than the best of them, or as good."""
    volume, surplus = min(f.demand, f.supply), f.demand - f.supply
    size = surplus if surplus > 0 else -surplus
    away = 0
    if centre:
        away = price - centre if price > centre else centre - price
    if volume > f.volume or (volume == f.volume and size < f.size):
        f.volume, f.size, f.away = volume, size, away
        f.first, f.first_surplus = price, surplus
        f.near, f.near_surplus = price, surplus
    elif volume < f.volume or size > f.size:
        return
    elif away < f.away:
        f.away = away
        f.near, f.near_surplus = price, surplus
    f.last, f.last_surplus = price, surplus


@cold
def find_price(state: STATE, b: INSTRUMENT, instrument: int) -> OUTCOME:
    """What the auction would be now: price, quantity, surplus (bids less asks); all 0 without a price."""
    f = at.outcome(state, 0)
    f.price, f.quantity, f.surplus = 0, 0, 0
    if b.bid < b.ask:
        return f
    centre = reference(state, b, instrument)
    if centre == 0:
        centre = b.book_last + 0
    _bids_above(state, b, f)
    f.volume, f.size, f.supply = -1, 0, 0
    top, bid, ask, levels = b.bid + 0, f.lowest + 0, b.ask + 0, 0
    while bid <= top:                           # no ask lies above the best bid
        tick = bid + 0
        if ask <= bid and levels < AUCTION_LEVELS:
            tick = ask + 0
            f.supply = f.supply + _open_at(state, b, Side.SELL, ask)
            levels += 1
            ask = lowest_above(state, b, Side.SELL, ask)
        _weigh(f, price_of(b, tick), centre)
        if tick == bid:
            f.demand = f.demand - _open_at(state, b, Side.BUY, bid)
            bid = lowest_above(state, b, Side.BUY, bid)
    _choose(f)
    return f


@hot
def _choose(f: OUTCOME):
    """Of those equally good: where all have buyers to spare the highest, where all have sellers to spare the lowest, else the nearest to the centre."""
    f.quantity = f.volume
    if f.last_surplus > 0:                      # the surplus falls from price to price
        f.price, f.surplus = f.last, f.last_surplus
    elif f.first_surplus < 0:
        f.price, f.surplus = f.first, f.first_surplus
    else:
        f.price, f.surplus = f.near, f.near_surplus
