"""One flow has one outcome: whatever the batches, the room for events, the seed of Python's hashes, and whether the kernel is compiled."""
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cambist.core.cell import Cell
from cambist.core.layout import MIN_EVENTS
from cambist.messages import COMMAND, Kind, SelfTrade, TimeInForce, command
from tests.core.flows import FLOWS, MIXED, Flow
from tests.core.world import SIZES, world_records
from tests.scenarios import ACME, ADMIN, BOLT, BTC, BTCUSD, BUY, CUSTODIAN, KEY_OF, ONE_BTC, ONE_USD, PRICE, SECOND, SELL, USD, WALLET

pytestmark = pytest.mark.compiled
MAKERS = 3_000
ROOT = Path(__file__).parents[2]


def sweep_records(now: int) -> list[np.ndarray]:
    """Thousands of small orders, and one that takes them all: more events than the smallest buffer holds."""
    number = iter(range(10**6, 10**7))

    def build(kind: Kind, actor: int, **fields: int) -> np.ndarray:
        return command(kind, actor=actor, id_hi=7, id_lo=next(number), expires=0 if kind in (Kind.DEPOSIT, Kind.SOURCE_PRICE) else now + SECOND, **fields)

    out = [build(Kind.CONFIGURE_ACCOUNT, ADMIN, account=a, account_kind=1, entity=10, max_open=10_000, answer_quota=10_000, enabled=1) for a in (ACME, BOLT)]
    out += [build(Kind.DEPOSIT, CUSTODIAN, account=account, custody=WALLET, asset=asset, amount=amount)
            for account, asset, amount in ((ACME, BTC, 100 * ONE_BTC), (BOLT, USD, 9_000_000 * ONE_USD))]
    out += [command(Kind.SOURCE_PRICE, actor=CUSTODIAN, instrument=BTCUSD, source=s, price=PRICE, source_time=now) for s in (1, 2, 3)]
    order = {"instrument": BTCUSD, "self_trade": SelfTrade.CANCEL_NEWEST}
    out += [build(Kind.NEW_ORDER, KEY_OF[ACME], account=ACME, side=SELL, price=PRICE + 100 * (i % 40), quantity=1_000 * (1 + i % 9),
                  **order) for i in range(MAKERS)]
    out.append(build(Kind.NEW_ORDER, KEY_OF[BOLT], account=BOLT, side=BUY, price=PRICE + 100 * 39, quantity=ONE_BTC, time_in_force=TimeInForce.IOC, **order))
    out.append(build(Kind.NEW_ORDER, KEY_OF[BOLT], account=BOLT, side=BUY, price=PRICE, quantity=1_000, **order))
    return out


def record(folder: Path) -> int:
    """Entries and their times, made by one run of the compiled kernel; the number of commands."""
    chance, flow, cell, now, times, count = random.Random(7), Flow(7), Cell(SIZES), 1_000 * SECOND, [], 0

    def keep(records: np.ndarray) -> None:
        nonlocal count
        np.save(folder / f"{len(times)}.npy", np.ascontiguousarray(records).view(np.uint8).reshape(-1))
        times.append(now)
        count += len(records)
        cell.apply(records.view(COMMAND), now)

    keep(np.concatenate([*world_records(), *sweep_records(now)]))
    for _ in range(60):
        now += chance.choice((0, 1, SECOND // 100, SECOND, 8 * SECOND, 61 * SECOND))
        flow.random.seed(chance.getrandbits(32))
        weights = MIXED if chance.random() < 0.5 else chance.choice(list(FLOWS.values()))
        keep(flow.entry(weights, chance.randint(1, 120), now, cell.tables()))
    np.save(folder / "times.npy", np.array(times, np.int64))
    return count


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("flow")
    assert record(folder) > 3_000
    return folder


def outcome(folder: Path, batch: int, events: int, compiled: bool = True, hash_seed: int = 0) -> list[str]:
    """The same in a fresh process."""
    env = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "NUMBA_DISABLE_JIT": "0" if compiled else "1"}
    done = subprocess.run([sys.executable, "-m", "tests.core.replay_one", str(folder), str(batch), str(events)], cwd=ROOT, env=env, capture_output=True,
                          text=True, check=True, timeout=600)
    return done.stdout.split()


@pytest.fixture(scope="module")
def expected(recorded) -> list[str]:
    return outcome(recorded, 8_192, 1 << 16)


def test_the_whole_buffer_never_parks_and_the_smallest_does(recorded, expected):
    assert int(expected[2]) == 0
    assert int(outcome(recorded, 8_192, MIN_EVENTS)[2]) >= 3


@pytest.mark.parametrize("batch", [1, 7, 8_192])
@pytest.mark.parametrize("events", [MIN_EVENTS, 5_000])
def test_batches_and_room_do_not_matter(recorded, expected, batch, events):
    assert outcome(recorded, batch, events)[:2] == expected[:2]


@pytest.mark.parametrize("hash_seed", [1, 4_242])
def test_the_seed_of_hashes_does_not_matter(recorded, expected, hash_seed):
    assert outcome(recorded, 7, MIN_EVENTS, hash_seed=hash_seed)[:2] == expected[:2]


@pytest.mark.parametrize("batch", [7, 8_192])
def test_compiled_and_uncompiled_are_one(recorded, expected, batch):
    assert outcome(recorded, batch, MIN_EVENTS, compiled=False)[:2] == expected[:2]
