"""The price of an auction from levels alone, against the rules taken word by word: docs/rules.md section 13."""
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cambist.core import auction_price, book, pools
from cambist.core import layout as at
from cambist.core.cell import Cell
from cambist.core.configuration import open_book
from cambist.core.memory import COMPILED
from cambist.messages import AUCTION_LEVELS, Side

if COMPILED:
    pytest.skip("These call the kernel's functions by themselves, uncompiled.", allow_module_level=True)
SIZES = {"accounts": 2, "actors": 2, "instruments": 1, "orders": 12_000, "pages": 400, "words": 1 << 12, "answers": 16, "facts": 4, "events": 2_048}
Levels = dict[int, int]                         # price -> quantity


def on_kernel(bids: Levels, asks: Levels, centre: int, hidden: int = 0) -> tuple[int, int, int]:
    cell = Cell(SIZES)
    state = cell._states[0]
    b = at.instrument(state, 1)
    b.min_price, b.book_tick, b.max_price, b.book_last, b.reference_until = 1, 1, 20_000, centre, 0
    open_book(state, 1)
    b.reference_until, b.book_last = 1 << 60, centre
    for side, levels in ((Side.BUY, bids), (Side.SELL, asks)):
        for price, quantity in levels.items():
            i = pools.take_order(state)
            o = at.order(state, i)
            o.side, o.leaves = side, quantity
            book.rest(state, b, 1, i, o, price - 1)
            at.level(state, o.level).quantity -= hidden
            at.hidden(state, o.level).quantity += hidden
    f = auction_price.find_price(state, b, 1)
    return f.price, f.quantity, f.surplus


def by_the_rules(bids: Levels, asks: Levels, centre: int) -> tuple[int, int, int]:
    bids = dict(sorted(bids.items(), reverse=True)[:AUCTION_LEVELS])
    asks = dict(sorted(asks.items())[:AUCTION_LEVELS])
    if not bids or not asks:
        return 0, 0, 0
    found = []
    for p in sorted(p for p in {*bids, *asks} if min(asks) <= p <= max(bids)):
        d, s = sum(q for price, q in bids.items() if price >= p), sum(q for price, q in asks.items() if price <= p)
        found.append((p, min(d, s), d - s))
    if not found:
        return 0, 0, 0
    found = [x for x in found if x[1] == max(y[1] for y in found)]
    found = [x for x in found if abs(x[2]) == min(abs(y[2]) for y in found)]
    if all(x[2] > 0 for x in found):
        return found[-1]
    if all(x[2] < 0 for x in found):
        return found[0]
    return min(found, key=lambda x: (abs(x[0] - centre) if centre else 0, x[0]))


LEVELS = st.dictionaries(st.integers(80, 120), st.integers(1, 6), max_size=12)


@settings(max_examples=300)
@given(LEVELS, LEVELS, st.sampled_from((0, 90, 100, 101, 115)))
def test_the_price_is_that_of_the_rules(bids, asks, centre):
    assert on_kernel(bids, asks, centre) == by_the_rules(bids, asks, centre)


def test_what_is_not_shown_counts():
    assert on_kernel({100: 9}, {100: 5}, 0, hidden=4) == (100, 5, 4)


@pytest.mark.parametrize("bids, asks", [({p: 1 for p in range(1, 4_200)}, {p: 1 for p in range(1, 4_200)}),
                                        ({p: 1 for p in range(5_000, 9_500)}, {1: 7}), ({9_999: 7}, {p: 1 for p in range(1_000, 5_500)})])
def test_of_each_side_the_best_levels_are_looked_at(bids, asks):
    best = on_kernel(bids, asks, 0)
    bids = dict(sorted(bids.items(), reverse=True)[:AUCTION_LEVELS])
    asks = dict(sorted(asks.items())[:AUCTION_LEVELS])
    assert best[0] in {*bids, *asks}
    assert best[1] == min(sum(q for p, q in bids.items() if p >= best[0]), sum(q for p, q in asks.items() if p <= best[0]))
