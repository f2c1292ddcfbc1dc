"""The node with the real core on a disk that dies at any of its calls and keeps any part of what was not synced: a house that crashed, was asked again and
went on is in the end the house that never crashed."""
import contextlib
import random
from typing import NamedTuple

import msgspec
import numpy as np
import pytest

from cambist.core.cell import Cell
from cambist.door.protocol import Code
from cambist.feeds.streams import ALL
from cambist.follower import Follower
from cambist.log.journal import verify
from cambist.messages import COUNTED_ONCE, EVENT, NUMBERED, Event, Kind, OrderType, Side, command, identifier
from cambist.node import Node, close_node
from cambist.node_shell import _started
from cambist.run import genesis
from cambist.simulation.invariants import invariants

from tests.log.crash_disk import Crash, CrashDisk
from tests.process.house_on_disk import (
    ACCOUNT, ASSET, DESIGN, INSTRUMENT, KEY, SECOND, SIZES, START_TIME, TEXT, account_stream, begun, fresh_cell, kinds, opened, whole_stream,
)

K = Kind
PRICE, LOT = 600_000, 10_000
STEPS = 30
SEES_TIME_OR_PLACE = {"cell", "numbers", "answers", "facts", "sources"}     # of these, asking again may move times and sequences, and nothing else


class Step(NamedTuple):
    """What is handed over together, and when."""
    now: int
    records: np.ndarray


def day() -> list[Step]:
    """Deposits, prices, numbered and other orders that trade and are cancelled, transfers, quotes asked for, given and taken. The same every time."""
    rng, steps, numbers = random.Random(11), [], {"acme": 0, "borea": 0}

    def stamp(now: int, i: int, j: int) -> dict[str, int]:
        return {"id_hi": 7, "id_lo": 1000 * i + j, "expires": now + 50 * SECOND}

    def numbered(account: str) -> dict[str, int]:
        numbers[account] += 1
        return {"flags": NUMBERED, "id_lo": numbers[account]}

    for i in range(1, STEPS + 1):
        now = START_TIME + i * SECOND // 4
        rows = [command(K.SOURCE_PRICE, actor=KEY[f"feed-{name}"], instrument=INSTRUMENT[pair], source=source, price=PRICE, source_time=now)
                for source, name in ((1, "kestrel"), (2, "osprey")) for pair in ("BTC/USD", "BTC/USD-PF")]
        for account, asset, custody, amount in (("acme", "BTC", "btc-wallet", 10**8), ("borea", "USD", "usd-bank", 10**11)):
            rows.append(command(K.DEPOSIT, actor=KEY["custodian"], account=ACCOUNT[account], custody=ACCOUNT[custody], asset=ASSET[asset], amount=amount,
                                id_hi=9, id_lo=i))
        for j in range(4):
            key, account, side = (("acme-bot", "acme", Side.SELL), ("borea-bot", "borea", Side.BUY))[j % 2]
            rows.append(command(K.NEW_ORDER, actor=KEY[key], account=ACCOUNT[account], instrument=INSTRUMENT["BTC/USD-PF" if j < 2 else "BTC/USD"], side=side,
                                order_type=OrderType.LIMIT, price=PRICE + 5 * rng.randint(-9, 9), quantity=LOT * rng.randint(1, 9), **numbered(account)))
        rows.append(command(K.CANCEL_ORDER, actor=KEY["acme-bot"], account=ACCOUNT["acme"], order=identifier(1, ACCOUNT["acme"], rng.randint(1, 2 * i)),
                            **numbered("acme")))
        rows.append(command(K.TRANSFER, actor=KEY["bo"], account=ACCOUNT["borea"], to=ACCOUNT["acme"], asset=ASSET["USD"], amount=i, **stamp(now, i, 1)))
        if i % 3 == 0:                                  # ada asks; b2 answers in the next step, and she takes it in the one after
            rows.append(command(K.REQUEST_QUOTE, actor=KEY["ada"], account=ACCOUNT["acme"], instrument=INSTRUMENT["BTC/USD"], side=Side.BUY, quantity=LOT,
                                ttl=20 * SECOND, **stamp(now, i, 2)))
        steps.append(Step(now, np.concatenate(rows)))
    return with_quotes(steps)


def with_quotes(steps: list[Step]) -> list[Step]:
    """The day again, with the dealer's quotes and ada's acceptances where a first run shows which ids they have to name."""
    disk = CrashDisk()
    node, out = begun(disk), []
    for i, step in enumerate(steps, 1):
        rows = [step.records]
        for event in account_stream(node, ACCOUNT["b2"])[-3:]:
            if event["kind"] == Event.REQUEST_INVITED:
                rows.append(command(K.QUOTE, actor=KEY["b2"], account=ACCOUNT["b2"], request=int(event["id"]), ask=PRICE + 3, ttl=10 * SECOND, id_hi=7,
                                    id_lo=1000 * i + 3, expires=step.now + 50 * SECOND))
        for event in account_stream(node, ACCOUNT["acme"])[-40:]:
            if event["kind"] == Event.QUOTE_SHOWN and i % 3 == 2:
                rows.append(command(K.ACCEPT_QUOTE, actor=KEY["ada"], account=ACCOUNT["acme"], side=Side.BUY, request=int(event["other"]),
                                    limit_price=PRICE + 3, id_hi=7, id_lo=1000 * i + 4, expires=step.now + 50 * SECOND))
        out.append(Step(step.now, np.concatenate(rows)))
        assert node.submit(out[-1].records) is Code.NONE
        node.step(step.now)
    return out


@pytest.fixture(scope="module")
def the_day() -> list[Step]:
    return day()


def lived_through(disk: CrashDisk, steps: list[Step], told: list[np.ndarray], begin: int = 0, snapshots: bool = True) -> Node:
    """Runs the steps from number `begin` on; what was told is appended to `told`, step by step."""
    node = begun(disk)
    follower = Follower(disk, "house", number=DESIGN.cell.number, fresh=fresh_cell, load=lambda tables: Cell.load(tables, SIZES), every_entries=8)
    for step in steps[begin:]:
        code = node.submit(step.records)
        assert code is Code.NONE, code
        told.append(np.concatenate([each.events for each in node.step(step.now)]))
        if snapshots:
            follower.step(0)
    follower.close()
    return node


def business(node: Node) -> dict[str, bytes]:
    """State, but for times and places in the log."""
    return {name: rows[:, [column != "sequence" for column in columns]].tobytes()
            for name, (_, columns, rows) in node.cell.tables().items() if name not in SEES_TIME_OR_PLACE}


@pytest.fixture(scope="module")
def without_a_crash(the_day) -> tuple[dict[str, bytes], list[np.ndarray], int]:
    disk, told = CrashDisk(), []
    node = lived_through(disk, the_day, told)
    seen = set(kinds(np.concatenate(told)))
    assert {Event.FILLED, Event.ORDER_CANCELLED, Event.TRANSFERRED, Event.DEPOSITED, Event.QUOTE_SHOWN, Event.REQUEST_ENDED} <= seen
    close_node(node)
    return business(node), told, disk.calls


def answers(events: np.ndarray, record: np.void) -> np.ndarray:
    mine = events[(events["command"] == record["kind"]) & (events["id_hi"] == record["id_hi"]) & (events["id_lo"] == record["id_lo"])
                  & ((events["account"] == record["account"]) | (events["account"] == 0))].copy()
    mine["sequence"] = 0
    return mine


def check_first_answers(node: Node, step: Step, again: np.ndarray) -> int:
    """Each command of the step is answered: newly, or by a DUPLICATE whose first answer the house still tells. How many were DUPLICATEs."""
    duplicates = 0
    for record in step.records:
        if not record["id_lo"]:
            continue                                    # a price: asking again is another price
        heard = answers(again, record)
        assert len(heard)
        if heard["kind"][0] != Event.DUPLICATE:
            continue
        duplicates += 1
        if int(record["kind"]) in COUNTED_ONCE:
            continue
        question = {"actor": int(record["actor"]), "number": int(record["id_lo"])} if record["flags"] & NUMBERED else \
            {name: int(record[name]) for name in ("account", "id_hi", "id_lo")}
        first = msgspec.json.decode(node.view("answer", msgspec.json.encode(question))[1])
        assert first["known"] and first["events"] and first["events"][0]["kind"] != Event.DUPLICATE
    return duplicates


def crash_and_go_on(crash_at: int, seed: int, steps: list[Step], unhurt: dict[str, bytes]) -> int:
    """Dies at a call, comes back twice (power lost; only the process killed), asks again and goes on. How many commands were there already."""
    disk, told, known = CrashDisk(crash_at=crash_at), [], 0
    with contextlib.suppress(Crash):
        lived_through(disk, steps, told)
    for after in (disk.after_power_loss(seed), disk.after_kill()):
        assert all(finding.torn for finding in verify(after, "house/log").findings)
        node = begun(after)
        heard = np.concatenate([np.empty(0, EVENT), *told])
        whole = whole_stream(node, ALL)
        start = int(np.searchsorted(whole["sequence"], heard["sequence"][0])) if len(heard) else 0
        assert whole[start:start + len(heard)].tobytes() == heard.tobytes()             # everything that was told, to the byte, in its place
        if len(told) < len(steps):
            unknown = steps[len(told)]
            node.submit(unknown.records)
            again = np.concatenate([each.events for each in node.step(unknown.now)])
            known += check_first_answers(node, unknown, again)
        close_node(node)
        rest: list[np.ndarray] = []
        node = lived_through(after, steps, rest, min(len(told) + 1, len(steps)), snapshots=False)
        assert invariants(node.cell.tables()) == []
        assert {name for name, rows in business(node).items() if rows != unhurt[name]} == set()
        close_node(node)
    return known


def sweep(calls, steps, unhurt, seed):
    print(f"seed {seed}")
    known = sum(crash_and_go_on(crash_at, seed + crash_at, steps, unhurt) for crash_at in calls)
    print(f"{len(calls)} crashes, {known} commands asked again that were there already")
    return known


def test_whatever_call_the_disk_dies_at_the_house_goes_on_as_if_it_had_not(the_day, without_a_crash):
    unhurt, _, calls = without_a_crash
    seed = random.SystemRandom().getrandbits(32)
    rng = random.Random(seed)
    sweep(sorted(rng.sample(range(1, calls + 1), 12)), the_day, unhurt, seed)


@pytest.mark.compiled
def test_at_one_call_in_four(the_day, without_a_crash):
    unhurt, _, calls = without_a_crash
    seed = random.SystemRandom().getrandbits(32)
    assert sweep(range(1 + seed % 4, calls + 1, 4), the_day, unhurt, seed) > 0


@pytest.mark.hunt
@pytest.mark.compiled
@pytest.mark.parametrize("times", range(5))
def test_at_every_single_call(the_day, without_a_crash, times):
    """Each time what was not synced survives in another part."""
    unhurt, _, calls = without_a_crash
    assert calls > 500 and sweep(range(1, calls + 1), the_day, unhurt, random.SystemRandom().getrandbits(32)) > 0


# -------------------------------------------------------------------------------------------------------------------------- a disk that fills up
def test_a_full_disk_asked_again_has_room_when_somebody_made_some():
    disk = CrashDisk()
    node = begun(disk)
    disk.capacity = disk.used()                         # somebody else took the rest
    order = np.repeat(command(K.NET, actor=KEY["settlement"]), 100)
    code = Code.NONE
    for _ in range(40):
        if code := node.submit(order):
            break
        node.commit(node.seal(START_TIME))
    assert code is Code.DISK_FULL and not node.stopped
    assert node.prepare() is False and node.submit(order) is Code.DISK_FULL
    disk.capacity = None
    while node.prepare():                               # nobody has to send anything for it
        pass
    assert node.submit(order) is Code.NONE


def test_time_goes_on_while_the_disk_is_full():
    disk = CrashDisk()
    node = begun(disk)
    before = node.log.position.sequence
    disk.capacity, node._full = disk.used() + (1 << 16), True
    assert node.submit(command(K.NET, actor=KEY["settlement"])) is Code.DISK_FULL
    assert node.tick_if_idle(START_TIME + 2 * SECOND)
    node.step(START_TIME + 2 * SECOND)
    assert node.cell.time == START_TIME + 2 * SECOND and node.log.position.sequence == before + 1


def test_a_genesis_that_was_cut_off_is_begun_again():
    disk = CrashDisk()
    node = opened(disk)
    node.submit(genesis(DESIGN, TEXT)[0][:50])
    node.step(START_TIME)
    assert not _started(node)
    close_node(node)
    node = begun(disk)                                  # the whole design once more: what is there already is configured again
    assert _started(node) and not [e for e in whole_stream(node, ALL) if e["kind"] == Event.REFUSED]
