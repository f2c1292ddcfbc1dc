"""What the shared library is made of: compiled functions over addresses, each an entry of its own. shared_object.py gives them their C names.

Uncompiled they take memoryviews instead, which is how they are tested without a compiler.
"""
from bench.matching import book_engine, command_engine
from bench.matching.contract import NO_ASK, NO_BID
from bench.matching.ring import CONTROL, rows_at, take
from cambist.core import layout as at
from cambist.core.book import level_at, price_of, word_of
from cambist.core.layout import STATE
from cambist.core.memory import COMPILED, entry
from cambist.core.risk import tick_of
from cambist.messages import Side

state_at, queue_at = rows_at(STATE), rows_at(CONTROL)


def match_book(state, queue, rows, notes, messages, count):
    """A run of messages, by the book alone."""
    book_engine.run(state_at(state, 0), queue_at(queue, 0), rows, messages, count)
    return count


def match_whole(state, queue, rows, notes, messages, count):
    """A run of messages, by the whole kernel."""
    command_engine.run(state_at(state, 0), queue_at(queue, 0), rows, notes, messages, count)
    return count


def drain_reports(queue, rows, out, most):
    """Up to `most` reports, for the thread that publishes them; how many."""
    return take(queue_at(queue, 0), rows, out, most)


def best_bid(state):
    b = at.instrument(state_at(state, 0), book_engine.BOOK)
    return price_of(b, b.bid) if b.bid >= 0 else NO_BID


def best_ask(state):
    b = at.instrument(state_at(state, 0), book_engine.BOOK)
    return price_of(b, b.ask) if b.ask < b.ticks else NO_ASK


def depth_at(state, price, side):
    """What rests at a price on a side."""
    s = state_at(state, 0)
    b = at.instrument(s, book_engine.BOOK)
    tick = tick_of(b, price)
    if tick < 0 or (tick > b.bid if side == Side.BUY else tick < b.ask):
        return 0
    word = at.word(s, word_of(b, side, tick))
    return at.level(s, level_at(s, b, side, tick)).quantity + 0 if (word.bits >> (tick & 63)) & 1 else 0


# name -> the function, and how many words it takes
ENTRIES = {"match_book": (match_book, 6), "match_whole": (match_whole, 6), "drain_reports": (drain_reports, 4), "best_bid": (best_bid, 1),
           "best_ask": (best_ask, 1), "depth_at": (depth_at, 3)}


def compiled(name: str):
    """The entry of a name as a dispatcher over addresses (uncompiled: the function itself)."""
    from numba import types
    function, words = ENTRIES[name]
    dispatcher = entry(function)
    if COMPILED:
        dispatcher.compile((types.int64,) * words)
        dispatcher.disable_compile()
    return dispatcher
