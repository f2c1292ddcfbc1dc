"""SHA-256 of a held command against the standard library's, on any 128 bytes."""
import hashlib
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cambist.core import layout as at
from cambist.core.cell import Cell
from cambist.core.digest import K256, START, same_digest
from cambist.core.memory import COMPILED, Row, plan
from cambist.messages import LAYOUT, Event, Kind
from tests.scenarios import BTCUSD, BTCUSD_LIMITS, RISK_ONE, RISK_TWO, Scenario, digests, scenario

SIZES = {"accounts": 32, "actors": 32, "orders": 8, "pages": 2, "words": 1 << 16, "answers": 1 << 15, "facts": 64, "held": 4, "events": 2_048}
APPROVE = LAYOUT[Kind.APPROVE]


def test_constants():
    assert (int(START[0]), int(START[7])) == (0x6A09E667, 0x5BE0CD19)
    assert (int(K256[0]), int(K256[63])) == (0x428A2F98, 0xC67178F2)


@pytest.mark.skipif(COMPILED, reason="Calls the kernel's function by itself, uncompiled.")
@given(st.binary(min_size=128, max_size=128), st.integers(0, 255))
def test_any_128_bytes(data, bit):
    state = Cell(SIZES)._states[0]
    held = at.held(state, 1)
    for i, word in enumerate(np.frombuffer(data, "<i8").tolist()):
        held.words[i] = word
    buffer = bytearray(128)
    approval = Row(memoryview(buffer), 0, plan(APPROVE))
    whole = bytearray(hashlib.sha256(data).digest())
    for wrong in (False, True):
        whole[bit // 8] ^= (1 << bit % 8) * wrong
        for i in range(4):
            setattr(approval, f"digest{i}", int.from_bytes(whole[8 * i:8 * i + 8], "big", signed=True))
        assert same_digest(state, held, approval) == (not wrong)


def held_and_approved(s: Scenario, chance: random.Random) -> None:
    record = s.build(Kind.CONFIGURE_LIMITS, RISK_ONE, instrument=BTCUSD, received=chance.getrandbits(63), id_hi=-chance.getrandbits(62),
                     id_lo=chance.getrandbits(62), attachment=chance.getrandbits(32), **BTCUSD_LIMITS)
    s.apply(record)
    held = s.one(Event.HELD)["id"]
    wrong = digests(record)
    wrong[f"digest{chance.randrange(4)}"] ^= 1 << chance.randrange(63)
    s.approve(held, record, RISK_TWO, **wrong)
    assert len(s.find(Event.REFUSED)) == 1
    s.approve(held, record, RISK_TWO)
    assert s.kinds() == [Event.APPROVED, Event.DONE, Event.DONE]


@pytest.mark.parametrize("seed", range(5))
def test_through_the_whole_cell(seed):
    held_and_approved(scenario(lambda: Cell(SIZES), audit=False), random.Random(seed))


@pytest.mark.compiled
def test_compiled():
    s, chance = scenario(lambda: Cell(SIZES), audit=False), random.Random(1)
    for _ in range(300):
        held_and_approved(s, chance)
