"""The one product of money against Python's exact integers: every path, uncompiled and, through a small wrapper, compiled."""
import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from cambist.core.arithmetic import MILLION, TOO_LARGE, fee, fee_up, multiply_divide, multiply_divide_by
from cambist.core.memory import COMPILED, clz, ctz, entry, inverse, wrap
from cambist.messages import MAX_AMOUNT

EDGES = [0, 1, 2, 3, 999_999, MILLION, 2**31 - 1, 2**31, 2**32, 2**53, 2**61 - 1, 2**61, MAX_AMOUNT - 1, MAX_AMOUNT]
AMOUNTS = st.integers(0, MAX_AMOUNT) | st.integers(0, 2**32) | st.sampled_from(EDGES)
DIVISORS = AMOUNTS.filter(bool)


def _many(a, b, c, up, out):
    for i in range(len(a)):
        out[i, 0] = multiply_divide(a[i], b[i], c[i], up[i])
        out[i, 1] = fee(a[i], min(b[i], MILLION))
        out[i, 2] = fee_up(a[i], min(b[i], MILLION))
        out[i, 3] = wrap(a[i] * 2 + b[i])
        out[i, 4] = clz(c[i])
        out[i, 5] = ctz(c[i])
        out[i, 6] = multiply_divide_by(a[i], b[i], c[i], inverse(c[i]), up[i])


many = entry(_many)                          # as the kernel is: helpers are linked, whole, into what Python calls, and into nothing else


def exact(a: int, b: int, c: int, up: int) -> int:
    result = -(-a * b // c) if up else a * b // c
    return result if result <= MAX_AMOUNT else TOO_LARGE


def expected(a: int, b: int, c: int, up: int) -> tuple[int, ...]:
    ppm, wide = min(b, MILLION), (a * 2 + b) & (2**64 - 1)
    return (exact(a, b, c, up), exact(a, ppm, MILLION, 0), exact(a, ppm, MILLION, 1), wide - 2**64 if wide >> 63 else wide, 64 - c.bit_length(),
            (c & -c).bit_length() - 1, exact(a, b, c, up))


def found(rows: list[tuple[int, int, int, int]]) -> list[tuple[int, ...]]:
    """What the kernel's arithmetic says of each row, whole rows in one call."""
    columns = list(zip(*rows, strict=True))
    if not COMPILED:
        out = [[0] * 7 for _ in rows]

        class Table:
            def __setitem__(self, at, value):
                out[at[0]][at[1]] = value
        _many(*columns, Table())
        return [tuple(row) for row in out]
    out = np.zeros((len(rows), 7), np.int64)
    many(*(np.array(column, np.int64) for column in columns), out)
    return [tuple(row) for row in out.tolist()]


def check(rows: list[tuple[int, int, int, int]]) -> None:
    assert found(rows) == [expected(*row) for row in rows]


ROWS = st.lists(st.tuples(AMOUNTS, AMOUNTS, DIVISORS, st.integers(0, 1)), min_size=1, max_size=50)


@given(ROWS)
@example([(MAX_AMOUNT, MAX_AMOUNT, MAX_AMOUNT, 1), (MAX_AMOUNT, MAX_AMOUNT, 1, 0), (MAX_AMOUNT, 2, 2, 1), (1, 1, MAX_AMOUNT, 1), (0, MAX_AMOUNT, 1, 1)])
def test_products_uncompiled_or_compiled_as_the_run_is(rows):
    check(rows)


@pytest.mark.compiled
@given(ROWS)
def test_products_compiled(rows):
    check(rows)


@pytest.mark.compiled
def test_every_pair_of_edges_compiled():
    check([(a, b, c, up) for a in EDGES for b in EDGES for c in EDGES if c for up in (0, 1)])


@pytest.mark.skipif(COMPILED, reason="Calls the kernel's functions by themselves, uncompiled.")
@given(st.lists(st.integers(1, 10**15), min_size=1, max_size=20), st.integers(0, MILLION))
def test_fees_of_the_parts_never_exceed_what_was_held_for_the_whole(parts, ppm):
    assert sum(fee(part, ppm) for part in parts) <= fee_up(sum(parts), ppm)


@given(st.integers(1, 10**12), st.integers(1, 10**9), st.integers(1, 10**4), st.integers(1, 10**8), st.lists(st.integers(0, 10**12), max_size=30))
def test_amounts_of_fills_never_exceed_the_amount_held(quantity, price, numerator, denominator, fills):
    """amount rounds down, amount_up rounds up: any split of an order costs no more than its hold."""
    unit = price * numerator
    rest, paid, held = quantity, 0, exact(quantity, unit, denominator, 1)
    assume(held >= 0)                           # else it does not fit, and is refused
    for fill in [*fills, quantity - 1]:                                 # the last takes what is left
        x = min(1 + fill % quantity, rest)
        paid, rest = paid + exact(x, unit, denominator, 0), rest - x
        assert paid + exact(rest, unit, denominator, 1) <= held
