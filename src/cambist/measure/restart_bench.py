"""`cambist bench restart`: how long a node that was killed takes to be ready again with a million orders at rest, from a snapshot and the log behind it.

Decides what the directory holds: every order rests at a price of its own kind, the tail behind the snapshot trades and cancels. The floor is what has to be
read from the disk at least: the snapshot's tables.
"""
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from cambist.core.cell import Cell
from cambist.follower import Follower
from cambist.log.disk_shell import RealDisk
from cambist.log.snapshot import newest
from cambist.measure.flow import CLIENTS, LOT_UNITS, MID, TICKS, Desk, bench_desk, opening
from cambist.messages import COMMAND, LAYOUT, NUMBERED, Event, Kind, SelfTrade, Side
from cambist.node import close_node, open_node
from cambist.trial_shell import try_out
from cambist.warm import warm

TOGETHER = 50_000                               # commands handed to the node at once
SECOND = 1_000_000_000
LEVELS = 2_000                                  # prices on each side
EPOCH = 1
NOW = 1_700_000_000_000_000_000


def resting(desk: Desk, count: int, numbers: np.ndarray) -> np.ndarray:
    """`count` numbered orders of all clients in turn that meet nothing: bids below the middle, offers above. `numbers` are counted on."""
    rows = np.zeros(count, COMMAND)
    order, i = rows.view(LAYOUT[Kind.NEW_ORDER]), np.arange(count)
    who, side = i % CLIENTS, (i // CLIENTS) % 2
    away = (1 + (i * 7919) % LEVELS) * TICKS
    rows["kind"], rows["flags"], rows["account"], rows["actor"] = Kind.NEW_ORDER, NUMBERED, desk.accounts[who], desk.keys[who]
    rows["instrument"] = desk.instrument
    rows["id_lo"] = numbers[who] + 1 + i // CLIENTS
    order["side"], order["quantity"], order["self_trade"] = side, LOT_UNITS, SelfTrade.CANCEL_OLDEST
    order["price"] = MID + np.where(side == int(Side.BUY), -away, away)
    numbers += np.bincount(who, minlength=CLIENTS)
    return rows


def taking(desk: Desk, count: int, numbers: np.ndarray) -> np.ndarray:
    """Orders that trade with what rests: offers into the bids."""
    rows = resting(desk, count, numbers)
    order = rows.view(LAYOUT[Kind.NEW_ORDER])
    order["side"], order["price"] = int(Side.SELL), MID - 100 * TICKS
    return rows


def large_desk(design_file: Path, orders: int) -> Desk:
    """The bench's desk with room for so many orders."""
    desk = bench_desk(design_file)
    capacity = msgspec.structs.replace(desk.design.capacity, orders=orders + (1 << 18))
    return desk._replace(design=msgspec.structs.replace(desk.design, capacity=capacity))


class House:
    """A directory and how its node is opened, as `cambist node` does."""
    def __init__(self, directory: str, desk: Desk):
        self.directory, self.desk, self.disk, self.now = directory, desk, RealDisk(), NOW
        self._sizes = msgspec.structs.asdict(desk.design.capacity)
        self.makers: dict[str, Any] = {"fresh": lambda: Cell(self._sizes), "load": lambda tables: Cell.load(tables, self._sizes)}

    def open(self, **more: Any) -> Any:
        return open_node(self.disk, self.directory, number=self.desk.design.cell.number, epoch=EPOCH, probe=try_out, **self.makers, **more)

    def send(self, node: Any, records: np.ndarray) -> int:
        """How many were refused."""
        refused = 0
        for start in range(0, len(records), TOGETHER):
            self.now += SECOND // 10
            if code := node.submit(records[start:start + TOGETHER]):
                raise RuntimeError(f"the node refused a submit: {code.name}")
            refused += sum(int((told.events["kind"] == Event.REFUSED).sum()) for told in node.step(self.now))
        return refused

    def snapshot(self) -> int:
        """As `cambist follow` makes one; the sequence it is of."""
        follower = Follower(self.disk, self.directory, number=self.desk.design.cell.number, **self.makers)
        while follower.step(0).entries:
            continue
        saved = follower.save(0)
        follower.close()
        return saved.sequence


def filled(directory: str, desk: Desk, orders: int, tail: int) -> int:
    """A directory whose node was killed with `orders` at rest, `tail` commands behind its newest snapshot, the last of them without results. How many rest."""
    house, numbers = House(directory, desk), np.zeros(CLIENTS, np.int64)
    node = house.open()
    refused = sum(house.send(node, each) for each in (desk.records, opening(desk), resting(desk, orders, numbers)))
    house.send(node, np.zeros(0, COMMAND))
    close_node(node)                            # what is called committed by a close mark is given to the follower whole
    house.snapshot()
    node = house.open()
    refused += house.send(node, resting(desk, tail // 2, numbers)) + house.send(node, taking(desk, tail - tail // 2, numbers))
    node.submit(resting(desk, 64, numbers))
    node.commit(node.seal(house.now + SECOND))
    node.log._lock.release()                    # it was killed: nothing is closed
    node.results.sync()
    if refused:
        raise RuntimeError(f"the bench desk refused {refused} of its own commands")
    return len(node.cell.tables(("orders",))["orders"][2])


def bench_restart(design_file: Path, quick: bool) -> dict[str, Any]:
    """Seconds from the call to a node that takes orders, three times; and to read the snapshot alone."""
    warm()
    orders, tail = (50_000, 10_000) if quick else (1_000_000, 200_000)
    desk, folder = large_desk(design_file, orders), Path(tempfile.mkdtemp(prefix="cambist-bench-"))
    try:
        began = time.monotonic()
        rest = filled(str(folder), desk, orders, tail)
        made, times, floors, applied = time.monotonic() - began, [], [], 0
        for _ in range(3):
            house = House(str(folder), desk)
            began = time.monotonic()
            newest(house.disk, f"{folder}/snapshots")
            floors.append(round(time.monotonic() - began, 2))
            began = time.monotonic()
            node = house.open()
            if node.submit(resting(desk, 1, np.full(CLIENTS, 1 << 20))):
                raise RuntimeError("the node is not ready")
            times.append(round(time.monotonic() - began, 2))
            applied = node.cell.sequence
            node.results.sync()
            node.log._lock.release()
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and "snapshot-" in file.parent.name)
        return {"bench": "restart", "orders_at_rest": rest, "commands": applied, "behind_the_snapshot": tail + 64, "ready_s": times,
                "floor_read_snapshot_s": floors, "snapshots_mib": size >> 20, "making_it_took_s": round(made, 1)}
    finally:
        shutil.rmtree(folder)
