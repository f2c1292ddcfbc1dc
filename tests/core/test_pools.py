"""Rows taken and given back, the index under collisions, the rings of what was answered, and the heap of timers: against plain Python."""
import random
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cambist.core import layout as at
from cambist.core import pools, timers
from cambist.core.cell import Cell
from cambist.core.layout import PLACES
from cambist.core.memory import COMPILED

if COMPILED:
    pytest.skip("These call the kernel's functions by themselves, uncompiled.", allow_module_level=True)
SIZES = {"assets": 2, "accounts": 2, "actors": 2, "instruments": 1, "venues": 1, "positions": 4, "credit": 2, "orders": 6, "pages": 1, "words": 16,
         "requests": 2, "quotes": 2, "children": 2, "obligations": 5, "held": 2, "answers": 12, "facts": 5, "events": 2_048}
TAGS = (pools.REQUEST_TAG, pools.QUOTE_TAG, pools.POSITION_TAG)


@pytest.fixture
def cell() -> Cell:
    return Cell(SIZES)


def test_a_pool_gives_every_row_once_and_takes_them_back(cell):
    state = cell._states[0]
    taken = [pools.take_order(state) for _ in range(6)]
    assert sorted(taken) == [1, 2, 3, 4, 5, 6] and not pools.room_order(state) and pools.take_order(state) == 0
    for i in (3, 5):
        pools.give_order(state, i)
    assert pools.room_order(state)
    assert {pools.take_order(state), pools.take_order(state)} == {3, 5} and pools.take_order(state) == 0


def test_room_for_several_obligations(cell):
    state = cell._states[0]
    taken = [pools.take_obligation(state) for _ in range(4)]
    assert [pools.room_obligations(state, n) for n in range(4)] == [1, 1, 0, 0]
    for i in taken[:3]:
        pools.give_obligation(state, i)
    assert [pools.room_obligations(state, n) for n in range(6)] == [1, 1, 1, 1, 1, 0]


def colliding_keys(state, tag: int, wanted: int, count: int) -> list[int]:
    """Keys that all want one slot."""
    out, key = [], 0
    while len(out) < count:
        key += 1
        if pools.home(state, tag, key) == wanted:
            out.append(key)
    return out


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("gone", range(6))
def test_a_gap_in_a_run_of_collisions_is_closed(cell, gone, at_end):
    """Backward shift, also over the end of the table: whichever goes, the others are found, and no slot stays marked."""
    state = cell._states[0]
    last = state.slot_mask
    keys = colliding_keys(state, TAGS[0], last - 1 if at_end else 5, 4) + colliding_keys(state, TAGS[0], last if at_end else 6, 2)
    for row, key in enumerate(keys, 1):
        pools.remember(state, TAGS[0], key, row)
    pools.forget(state, TAGS[0], keys[gone], gone + 1)
    assert [pools.find(state, TAGS[0], key) for key in keys] == [0 if i == gone else i + 1 for i in range(6)]
    for row, key in enumerate(keys, 1):
        if row != gone + 1:
            pools.forget(state, TAGS[0], key, row)
    assert not cell.table["slots"]["row"].any()


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 400))
def test_the_index_is_a_dict(seed, steps):
    chance, cell = random.Random(seed), Cell(SIZES)
    state, model = cell._states[0], {}
    half = (state.slot_mask + 1) // 2
    keys = [chance.choice((chance.randint(0, 50), chance.getrandbits(64) - 2**63)) for _ in range(60)]
    for _ in range(steps):
        tag, key = chance.choice(TAGS), chance.choice(keys)
        if (tag, key) in model and chance.random() < 0.6:
            pools.forget(state, tag, key, model.pop((tag, key)))
        elif (tag, key) not in model and len(model) < half:
            model[tag, key] = chance.randint(1, 2**31 - 1)
            pools.remember(state, tag, key, model[tag, key])
        assert pools.find(state, tag, key) == model.get((tag, key), 0)
    assert all(pools.find(state, tag, key) == model.get((tag, key), 0) for tag in TAGS for key in keys)
    assert int((cell.table["slots"]["row"] != 0).sum()) == len(model)


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 60), st.booleans())
def test_the_index_of_orders_is_a_dict(seed, steps, crowded):
    """Ids of few accounts, side by side or all wanting one place; an id that is not there is not found, though its mark may be."""
    chance, cell = random.Random(seed), Cell(SIZES)
    state, model = cell._states[0], {}
    for _ in range(steps):
        id_ = chance.choice((0, 1 << 56, -1 << 56)) + ((1 << 32) | (chance.randint(1, 6) if crowded else chance.getrandbits(24)))
        if id_ in model:
            pools.forget_order(state, id_, model[id_])
            pools.give_order(state, model.pop(id_))
        elif row := pools.take_order(state):
            at.order(state, row).id = id_
            pools.remember_order(state, id_, row)
            model[id_] = row
        else:
            gone = chance.choice(list(model))
            pools.forget_order(state, gone, model[gone])
            pools.give_order(state, model.pop(gone))
        assert all(pools.find_order(state, known) == row for known, row in model.items())
        assert pools.find_order(state, id_ + 7) == model.get(id_ + 7, 0)
    assert int((cell.table["order_slots"]["word"] != 0).sum()) == len(model)


def test_answers_go_around_the_ring(cell):
    """Kept for the window in log time, whatever place of the ring they lie in."""
    state = cell._states[0]
    state.answer_window = 10
    for n in range(1, 60):
        state.time = n
        pools.drop_old_answers(state)
        assert pools.find_answer(state, 1, 0, n) == 0
        pools.keep_answer(state, 1, 0, n, 1_000 + n)
        found = {k: pools.find_answer(state, 1, 0, k) for k in range(1, n + 1)}
        assert {k for k, i in found.items() if i} == set(range(max(1, n - 9), n + 1))
        assert all(at.answer(state, i).sequence == 1_000 + k for k, i in found.items() if i)
    assert at.account(state, 1).answers == 10 and pools.find_answer(state, 2, 0, 59) == 0 and pools.find_answer(state, 1, 1, 59) == 0


def test_ids_with_one_key_are_told_apart(cell, monkeypatch):
    """The 128-bit id is found by a 64-bit key; when all keys are equal, only the rows decide."""
    monkeypatch.setattr(pools, "_mixed", lambda account, hi, lo: 77)
    state: ModuleType = cell._states[0]
    state.answer_window = 100
    for n in range(1, 7):
        pools.keep_answer(state, 1, n, 5, n)
    assert [at.answer(state, pools.find_answer(state, 1, n, 5)).sequence for n in range(1, 7)] == list(range(1, 7))
    state.time = 200
    pools.drop_old_answers(state)
    assert not any(pools.find_answer(state, 1, n, 5) for n in range(1, 7)) and not cell.table["slots"]["row"].any()


def test_a_full_ring_of_facts_lets_its_oldest_go_and_says_so(cell):
    state = cell._states[0]
    state.fact_window = 1_000
    assert [pools.keep_fact(state, 1, 0, n, n) for n in range(1, 8)] == [0, 0, 0, 0, 0, 1, 1]
    assert [bool(pools.find_fact(state, 1, 0, n)) for n in range(1, 8)] == [False, False, True, True, True, True, True]
    state.time = 1_000
    pools.drop_old_facts(state)
    assert not any(pools.find_fact(state, 1, 0, n) for n in range(1, 8))
    assert pools.keep_fact(state, 1, 0, 9, 9) == 0


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(-5, 5)), max_size=11), st.integers(0, 2**32))
def test_timers_come_in_the_order_of_time_and_id(wanted, seed):
    chance, cell = random.Random(seed), Cell(SIZES)
    state = cell._states[0]
    living = {}
    for n, (time, id_) in enumerate(wanted):
        living[timers.start_timer(state, time, id_ * 100 + n, timers.QUOTE_ENDS, n)] = (time, id_ * 100 + n)
        if living and chance.random() < 0.3:
            gone = chance.choice(list(living))
            timers.stop_timer(state, gone)
            del living[gone]
    timers.stop_timer(state, 0)
    state.time, order = 3, []
    while t := timers.due_timer(state):
        order.append(living[t])
        timers.stop_timer(state, t)
    assert order == sorted(x for x in living.values() if x[0] <= 3)
    assert state.timer_count == len(living) - len(order)
    assert PLACES["timers"] != PLACES["heap"]
