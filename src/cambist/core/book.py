"""The central book: price levels of each side under a 64-ary tree of bitmaps, orders in a queue per level. Decides where an order stands, and tells what
a level has become; knows no money.

Any price in the instrument's range costs memory only where something rests: a word of the tree covers 64 ticks of one side and names the page of their
levels, which is taken when the first order comes and given back when the last goes. Both sides have a tree, word beside word, since while orders gather for
an auction bids and asks stand at the same prices. Best prices are tick numbers: bid -1 and ask `ticks` mean none.
"""
from cambist.core import layout as at
from cambist.core.emit import of, write
from cambist.core.layout import INSTRUMENT, ORDER, STATE
from cambist.core.memory import clz, cold, ctz, hot, wrap
from cambist.core.pools import give_page, room_page, take_page
from cambist.messages import Event, Side


@cold
def lowest_above(state: STATE, b: INSTRUMENT, side: int, p: int):
    """The lowest occupied tick of a side above p, or `ticks`."""
    w = p >> 6
    m = at.word(state, b.l0 + 2 * w + side).bits & wrap(-2 << (p & 63))
    if m:
        return (w << 6) + ctz(m)
    v = w >> 6
    m = at.word(state, b.l1 + 2 * v + side).bits & wrap(-2 << (w & 63))
    if m == 0:
        u = v >> 6
        m = at.word(state, b.l2 + 2 * u + side).bits & wrap(-2 << (v & 63))
        if m == 0:
            m = at.word(state, b.l3 + side).bits & wrap(-2 << (u & 63))
            if m == 0:
                return b.ticks + 0
            u = ctz(m)
            m = at.word(state, b.l2 + 2 * u + side).bits + 0
        v = (u << 6) + ctz(m)
        m = at.word(state, b.l1 + 2 * v + side).bits + 0
    w = (v << 6) + ctz(m)
    return (w << 6) + ctz(at.word(state, b.l0 + 2 * w + side).bits)


@cold
def highest_below(state: STATE, b: INSTRUMENT, side: int, p: int):
    """The highest occupied tick of a side below p, or -1."""
    w = p >> 6
    m = at.word(state, b.l0 + 2 * w + side).bits & wrap((1 << (p & 63)) - 1)
    if m:
        return (w << 6) + 63 - clz(m)
    v = w >> 6
    m = at.word(state, b.l1 + 2 * v + side).bits & wrap((1 << (w & 63)) - 1)
    if m == 0:
        u = v >> 6
        m = at.word(state, b.l2 + 2 * u + side).bits & wrap((1 << (v & 63)) - 1)
        if m == 0:
            m = at.word(state, b.l3 + side).bits & wrap((1 << (u & 63)) - 1)
            if m == 0:
                return -1
            u = 63 - clz(m)
            m = at.word(state, b.l2 + 2 * u + side).bits + 0
        v = (u << 6) + 63 - clz(m)
        m = at.word(state, b.l1 + 2 * v + side).bits + 0
    w = (v << 6) + 63 - clz(m)
    return (w << 6) + 63 - clz(at.word(state, b.l0 + 2 * w + side).bits)


@hot
def _set(state: STATE, word: int, bit: int):
    """Set a bit of a word; 1 when the word was empty."""
    x = at.word(state, word)
    before = x.bits + 0
    x.bits = before | wrap(1 << (bit & 63))
    return 1 if before == 0 else 0


@hot
def _clear(state: STATE, word: int, bit: int):
    """Clear a bit of a word; 1 when the word is now empty."""
    x = at.word(state, word)
    x.bits = x.bits & ~wrap(1 << (bit & 63))
    return 1 if x.bits == 0 else 0


@hot
def word_of(b: INSTRUMENT, side: int, p: int):
    """Where the word of tick p is, of one side."""
    return b.l0 + (p >> 6 << 1 | side)


@cold
def _mark(state: STATE, b: INSTRUMENT, side: int, p: int):
    w, v, u = p >> 6, p >> 12, p >> 18
    if _set(state, b.l0 + 2 * w + side, p) and _set(state, b.l1 + 2 * v + side, w) and _set(state, b.l2 + 2 * u + side, v):
        _set(state, b.l3 + side, u)


@cold
def _unmark(state: STATE, b: INSTRUMENT, side: int, p: int):
    w, v, u = p >> 6, p >> 12, p >> 18
    if _clear(state, b.l0 + 2 * w + side, p):
        x = at.word(state, b.l0 + 2 * w + side)
        give_page(state, x.page)
        x.page = 0
        if _clear(state, b.l1 + 2 * v + side, w) and _clear(state, b.l2 + 2 * u + side, v):
            _clear(state, b.l3 + side, u)


@hot
def level_at(state: STATE, b: INSTRUMENT, side: int, p: int):
    """Row of the level of an occupied tick of a side."""
    return at.word(state, word_of(b, side, p)).page * 64 + (p & 63)


@hot
def may_rest(state: STATE, b: INSTRUMENT, side: int, p: int):
    """Whether a level at tick p can be had."""
    return 1 if at.word(state, word_of(b, side, p)).page or room_page(state) else 0


@hot
def price_of(b: INSTRUMENT, tick: int):
    return b.min_price + tick * b.book_tick


@hot
def crosses(b: INSTRUMENT, side: int, tick: int):
    """Whether an order at a tick would trade now."""
    return b.ask <= tick if side == Side.BUY else b.bid >= tick


@hot
def rest(state: STATE, b: INSTRUMENT, instrument: int, i: int, o: ORDER, p: int):
    """Put an order at the end of the queue of tick p."""
    x = at.word(state, word_of(b, o.side, p))
    if x.page == 0:
        x.page = take_page(state)
    row = x.page * 64 + (p & 63)
    l = at.level(state, row)
    o.level = row
    o.next = 0
    if (x.bits >> (p & 63)) & 1 == 0:
        l.head = i
        l.tail = i
        l.quantity = o.leaves
        l.orders = 1
        l.tick = p
        l.instrument = instrument
        o.prev = 0
        _mark(state, b, o.side, p)
        if o.side == Side.BUY:
            b.bid = max(b.bid, p)
        else:
            b.ask = min(b.ask, p)
    else:
        o.prev = l.tail
        at.order(state, l.tail).next = i
        l.tail = i
        l.quantity = l.quantity + o.leaves
        l.orders = l.orders + 1


@hot
def leave(state: STATE, b: INSTRUMENT, o: ORDER):
    """Take an order out of its queue; an empty level goes, and the best price moves on."""
    l = at.level(state, o.level)
    before, after = o.prev + 0, o.next + 0
    if before:
        at.order(state, before).next = after
    else:
        l.head = after
    if after:
        at.order(state, after).prev = before
    else:
        l.tail = before
    l.quantity = l.quantity - o.leaves
    l.orders = l.orders - 1
    if before == 0 and after == 0:
        _level_gone(state, b, o.side, l.tick)


@cold
def _level_gone(state: STATE, b: INSTRUMENT, side: int, p: int):
    _unmark(state, b, side, p)
    if side == Side.BUY:
        if p == b.bid:
            b.bid = highest_below(state, b, side, p)
    elif p == b.ask:
        b.ask = lowest_above(state, b, side, p)


@hot
def tell_level(state: STATE, b: INSTRUMENT, instrument: int, side: int, row: int):
    """What a level is now, for everyone; the row of one that is gone still holds its tick, and nothing else."""
    l = at.level(state, row)
    write(state, of(Event.LEVEL, 0, side, 0), 0, instrument, 0, 0, price_of(b, l.tick), l.quantity, l.orders, 0, 0)
