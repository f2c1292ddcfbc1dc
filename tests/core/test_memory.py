"""The uncompiled view of a row: what a compiled kernel would do to the wrong memory is an exception here."""
import itertools

import numpy as np
import pytest

from cambist.core import layout as at
from cambist.core.cell import Cell
from cambist.core.layout import STATE, TABLES
from cambist.core.memory import COMPILED, Row, Rows, plan
from cambist.messages import COMMAND

if COMPILED:
    pytest.skip("The proxies are what runs uncompiled.", allow_module_level=True)
SIZES = {"accounts": 4, "actors": 4, "orders": 8, "pages": 2, "words": 64, "answers": 64, "facts": 8, "events": 2_048}
SMALL = np.dtype([("a", "<i8"), ("b", "<i4"), ("c", "i1"), ("d", "<u2"), ("e", "<i8", 3)])


@pytest.fixture
def row() -> Row:
    return Row(memoryview(bytearray(SMALL.itemsize)), 0, plan(SMALL))


@pytest.mark.parametrize("field, low, high", [("a", -2**63, 2**63 - 1), ("b", -2**31, 2**31 - 1), ("c", -128, 127), ("d", 0, 65_535)])
def test_a_field_keeps_its_range_and_nothing_more(row, field, low, high):
    for value in (low, high, 0):
        setattr(row, field, value)
        assert getattr(row, field) == value
    for value in (low - 1, high + 1):
        with pytest.raises(OverflowError):
            setattr(row, field, value)


def test_fields_do_not_touch_one_another(row):
    row.a, row.b, row.c, row.d = -1, -1, -1, 65_535
    row.b = 0
    assert (row.a, row.b, row.c, row.d) == (-1, 0, -1, 65_535)
    assert [row.e[i] for i in range(3)] == [0, 0, 0]


def test_a_field_that_is_not_there(row):
    with pytest.raises(KeyError):
        row.z  # noqa: B018
    with pytest.raises(KeyError):
        row.z = 1


@pytest.mark.parametrize("place", [-1, 3, 1 << 40])
def test_an_array_in_a_row_has_bounds(row, place):
    with pytest.raises(IndexError):
        row.e[place]
    with pytest.raises(IndexError):
        row.e[place] = 1
    row.e[2] = 7
    assert row.e[2] == 7


@pytest.mark.parametrize("name", sorted(TABLES))
def test_rows_of_a_table_have_bounds(name):
    cell = Cell(SIZES)
    state = cell._states[0]
    accessor = {"balances": "balance_row", "positions": "position_row", "credit": "credit_row", "authority": "authority", "stops": "stop", "words": "word",
                "pages": "page", "taker": "taker", "numbers": "number", "children": "child", "held": "held", "heap": "heap", "agenda": "agenda",
                "draft": "draft", "hidden": "hidden", "mass": "mass", "outcome": "outcome"}.get(name, name[:-1])
    row = getattr(at, accessor)
    rows = len(cell.table[name])
    row(state, 0), row(state, rows - 1)
    for place in (-1, rows):
        with pytest.raises(IndexError):
            row(state, place)


def test_tables_do_not_overlap():
    cell = Cell(SIZES)
    spans = sorted((int(start), int(start) + rows * dtype.itemsize) for start, rows, dtype in
                   zip(cell.state["at"][0], cell.state["capacity"][0], TABLES.values(), strict=True))
    assert spans[0][0] >= STATE.itemsize
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans)) and spans[-1][1] <= len(cell.block)


def test_bits_in_common_are_seen_in_every_word():
    cell, records = Cell(SIZES), np.zeros(2, COMMAND)
    words = records.view(np.int64).reshape(2, 16)
    shape = cell.table["shapes"]["words"]
    for k in range(16):
        words[:], shape[3] = 0, 0
        words[1, k], shape[3, k] = -1 << 63, -1
        row = at.shape(cell._states[0], 3)
        assert (at.strays(Rows(records)[0], row), at.strays(Rows(records)[1], row)) == (0, 1)
        shape[3, k] = 1
        assert not at.strays(Rows(records)[1], row)


def test_commands_are_seen_row_by_row():
    records = np.zeros(2, COMMAND)
    records["kind"] = (3, 4)
    rows = Rows(records)
    assert (rows[0].kind, rows[1].kind, rows.shape) == (3, 4, (2,))
    for place in (-1, 2):
        with pytest.raises(IndexError):
            rows[place]
