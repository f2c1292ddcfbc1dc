"""The tree of bitmaps over the whole of its range, and queues in their order of time: against sorted lists."""
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cambist.core import book, pools
from cambist.core import layout as at
from cambist.core.cell import Cell
from cambist.core.configuration import open_book
from cambist.core.memory import COMPILED
from cambist.messages import Side

if COMPILED:
    pytest.skip("These call the kernel's functions by themselves, uncompiled.", allow_module_level=True)
MOST = 1 << 24
SIZES = {"accounts": 2, "actors": 2, "instruments": 2, "orders": 300, "pages": 200, "words": 1 << 19, "answers": 16, "facts": 4, "events": 2_048}


class Book:
    """One instrument's book on a cell of its own."""

    def __init__(self, ticks: int = MOST, number: int = 1) -> None:
        self.cell = Cell(SIZES)
        self.state, self.number = self.cell._states[0], number
        self.b = at.instrument(self.state, number)
        self.b.min_price, self.b.book_tick, self.b.max_price = 50, 5, 50 + 5 * (ticks - 1)
        open_book(self.state, number)

    def rest(self, tick: int, side: int, leaves: int = 1) -> int:
        i = pools.take_order(self.state)
        o = at.order(self.state, i)
        o.side, o.leaves = side, leaves
        book.rest(self.state, self.b, self.number, i, o, tick)
        return i

    def leave(self, i: int) -> None:
        book.leave(self.state, self.b, at.order(self.state, i))
        pools.give_order(self.state, i)

    def queue(self, side: int, tick: int) -> list[int]:
        out, i = [], at.level(self.state, book.level_at(self.state, self.b, side, tick)).head
        while i:
            out.append(i)
            i = at.order(self.state, i).next
        return out


EDGES = [0, 1, 62, 63, 64, 65, 4_095, 4_096, 4_097, 262_143, 262_144, 262_145, MOST - 65, MOST - 64, MOST - 2, MOST - 1]
TICKS = st.sampled_from(EDGES) | st.integers(0, MOST - 1)


@settings(max_examples=80)
@given(st.sampled_from((Side.BUY, Side.SELL)), st.sets(TICKS, min_size=1, max_size=40), st.lists(TICKS, max_size=20), st.integers(0, 2**32))
def test_the_next_occupied_price_over_the_whole_range(side, ticks, probes, seed):
    b, chance = Book(), random.Random(seed)
    rows = {tick: b.rest(tick, side) for tick in sorted(ticks, key=lambda _: chance.random())}
    for tick in chance.sample(sorted(rows), len(rows) // 2):
        b.leave(rows.pop(tick))
    for p in {*probes, *ticks}:
        assert book.lowest_above(b.state, b.b, side, p) == min((t for t in rows if t > p), default=MOST)
        assert book.highest_below(b.state, b.b, side, p) == max((t for t in rows if t < p), default=-1)
    assert (b.b.bid, b.b.ask) == ((max(rows, default=-1), MOST) if side == Side.BUY else (-1, min(rows, default=MOST)))


def test_an_empty_book_leaves_no_mark_and_no_page():
    b = Book()
    rows = [b.rest(t, Side.SELL) for t in (0, 63, 64, 5_000, 300_000, MOST - 1)]
    assert b.b.ask == 0
    for i in rows:
        b.leave(i)
    assert b.b.ask == MOST and not b.cell.table["words"]["bits"].any() and not b.cell.table["words"]["page"].any()
    taken = set()
    while i := pools.take_page(b.state):
        taken.add(i)
    assert len(taken) == SIZES["pages"]


def test_two_books_share_words_and_do_not_touch():
    b = Book(ticks=130)
    other = at.instrument(b.state, 2)
    other.min_price, other.book_tick, other.max_price = 1, 1, 70
    open_book(b.state, 2)
    assert (other.ticks, other.l0) == (70, b.b.l3 + 2)
    b.rest(129, Side.BUY)
    i = pools.take_order(b.state)
    o = at.order(b.state, i)
    o.side, o.leaves = Side.SELL, 1
    book.rest(b.state, other, 2, i, o, 0)
    assert (b.b.bid, b.b.ask, other.bid, other.ask) == (129, 130, -1, 0)
    assert book.lowest_above(b.state, b.b, Side.SELL, 129) == 130 and book.highest_below(b.state, other, Side.BUY, 0) == -1


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 120))
def test_queues_keep_time_and_quantity(seed, steps):
    """Also of a crossed book, as it is while orders gather: both sides may stand at one price."""
    chance, b, model = random.Random(seed), Book(200), {}
    for _ in range(steps):
        if model and chance.random() < 0.45:
            key = chance.choice(sorted(model))
            i = chance.choice(model[key])
            model[key].remove(i)
            if not model[key]:
                del model[key]
            b.leave(i)
        else:
            key = chance.choice(list(Side)[:2]), chance.randint(0, 199)
            model.setdefault(key, []).append(b.rest(key[1], key[0], chance.randint(1, 9)))
    assert b.b.bid == max((tick for side, tick in model if side == Side.BUY), default=-1)
    assert b.b.ask == min((tick for side, tick in model if side == Side.SELL), default=200)
    for (side, tick), queue in model.items():
        assert b.queue(side, tick) == queue
        level = at.level(b.state, book.level_at(b.state, b.b, side, tick))
        assert level.quantity == sum(at.order(b.state, i).leaves for i in queue) and level.tail == queue[-1] and level.tick == tick
        assert level.orders == len(queue)
        assert book.price_of(b.b, tick) == 50 + 5 * tick


def test_a_level_needs_a_page_only_where_none_is():
    b = Book(64 * 300)
    for k in range(SIZES["pages"]):
        assert book.may_rest(b.state, b.b, Side.BUY, 64 * k)
        b.rest(64 * k, Side.BUY)
    assert book.may_rest(b.state, b.b, Side.BUY, 63) and not book.may_rest(b.state, b.b, Side.BUY, 64 * SIZES["pages"])
