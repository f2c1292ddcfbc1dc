"""`cambist bench restart`: how long a node that was killed takes to be ready again with a million orders at rest, from a snapshot and the log behind it.

Decides what the directory holds: every order rests at a price of its own kind, the tail behind the snapshot trades and cancels. The directory is filled by the
node's own code in this process, and then `cambist node` is started on it as a process, takes orders, and is killed, three times. The floor is what has to be
read from the disk at least: the snapshot's tables.
"""
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import msgspec
import numpy as np

from cambist.core.cell import Cell
from cambist.door.client_shell import Client
from cambist.door.protocol import StreamKind
from cambist.follower import Follower
from cambist.log.disk_shell import RealDisk
from cambist.log.snapshot import newest, state_hash
from cambist.measure.flow import CLIENTS, LOT_UNITS, MID, TICKS, Desk, bench_tables, desk_of, opening
from cambist.measure.served import connected
from cambist.messages import COMMAND, EVENT, LAYOUT, NUMBERED, Event, Kind, SelfTrade, Side
from cambist.node import close_node, open_node
from cambist.run import SOCKET, genesis
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


def written(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> str:
    """Tables as TOML, for a design file."""
    plain = {name: value for name, value in table.items() if not isinstance(value, dict)}
    lines = [f"[{'.'.join(map(_quoted, path))}]"] if path and plain else []
    lines += [f"{_quoted(name)} = {_value(value)}" for name, value in plain.items()]
    return "\n".join((*lines, *(written(value, (*path, name)) for name, value in table.items() if isinstance(value, dict)))) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_quoted(name)} = {_value(each)}' for name, each in value.items())} }}"
    return f"[{', '.join(map(_value, value))}]" if isinstance(value, list) else _quoted(value)


def _quoted(value: Any) -> str:
    return msgspec.json.encode(value).decode()


class Large(NamedTuple):
    """The bench's desk with room for so many orders, and the text of its design."""
    desk: Desk
    text: str


def large_desk(design_file: Path, orders: int) -> Large:
    tables = bench_tables(design_file)
    tables["capacity"]["orders"] = orders + (1 << 18)
    return Large(desk_of(tables), written(tables))


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


class Filled(NamedTuple):
    """What the killed node had told."""
    at_rest: int                                # orders
    sequence: int
    state: bytes                                # hash of its state
    ids: np.ndarray                             # of the orders at rest
    numbers: np.ndarray                         # the last one of each client


def filled(directory: str, large: Large, orders: int, tail: int) -> Filled:
    """A directory whose node was killed with `orders` at rest, `tail` commands behind its newest snapshot, the last of them without results."""
    desk, numbers = large.desk, np.zeros(CLIENTS, np.int64)
    house = House(directory, desk)
    node = house.open()
    commands, attachments = genesis(desk.design, large.text)
    for part, side in ((commands[:-1], b""), (commands[-1:], attachments)):
        node.submit(part, side)
        node.step(house.now)
    refused = sum(house.send(node, each) for each in (opening(desk), resting(desk, orders, numbers)))
    house.send(node, np.zeros(0, COMMAND))
    close_node(node)                            # what is called committed by a close mark is given to the follower whole
    house.snapshot()
    node = house.open()
    refused += house.send(node, resting(desk, tail // 2, numbers)) + house.send(node, taking(desk, tail - tail // 2, numbers))
    node.submit(resting(desk, 64, numbers))
    entries = node.seal(house.now + SECOND)
    node.commit(entries)
    node.results.sync()
    for entry in entries:
        node.run(entry)
    node.log._lock.release()                    # it was killed: nothing is closed, and nobody was told of the last entry
    if refused:
        raise RuntimeError(f"the bench desk refused {refused} of its own commands")
    tables = node.cell.tables()
    _, columns, rows = tables["orders"]
    return Filled(len(rows), node.cell.sequence, state_hash(tables), rows[:, columns.index("id")].copy(), numbers)


class Restarted:
    """`cambist node` on a directory, started now. `ready_s` and `parts` are known once `wait` came back, `busy_s` once it was killed."""
    def __init__(self, design_file: Path, directory: Path):
        self.lines: list[tuple[float, str]] = []
        self.began = time.monotonic()
        self.process = subprocess.Popen([sys.executable, "-m", "cambist", "node", "--design", str(design_file), "--directory", str(directory)],
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        self._path, self._used = str(directory / SOCKET), _used()
        self.ready_s, self.busy_s, self.parts = 0.0, 0.0, {}

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append((time.monotonic(), line))

    def wait(self) -> Client:
        """A connection to it, as soon as it is ready. Raises DoorClosed when it ended or takes too long."""
        client = connected(self._path, self.process)
        ready = time.monotonic()
        opened, found = next((at, found) for at, line in self.lines if (found := re.match(r"open after ([\d.]+) s: (.*)", line)))
        inside = {name: float(seconds) for name, seconds in re.findall(r"(\w+) ([\d.]+)", found[2])}
        self.ready_s = round(ready - self.began, 2)
        self.parts = {"interpreter and imports": round(opened - self.began - float(found[1]), 2), **inside, "door": round(ready - opened, 2)}
        return client

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reading.join()
        self.busy_s = round(_used() - self._used, 2)


def _used() -> float:
    """Processor seconds of children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def answered(client: Client, desk: Desk, records: np.ndarray) -> np.ndarray:
    """Sends numbered commands of one account; the events that answer them, in the account's stream."""
    following, heard = client.subscribe(StreamKind.ACCOUNT, int(records["account"][0]), 0), np.empty(0, EVENT)
    client.submit(records)
    for batch in client.batches(following, 10.0):
        heard = np.concatenate([heard, batch.events])
        if {*records["id_lo"].tolist()} <= {*heard["id_lo"].tolist()}:
            break
    return heard


def bench_restart(design_file: Path, quick: bool) -> dict[str, Any]:
    """Seconds from the start of the process to a node that takes orders, three times, and where they went; and to read the snapshot alone."""
    warm()
    orders, tail = (50_000, 10_000) if quick else (1_000_000, 200_000)
    large, folder = large_desk(design_file, orders), Path(tempfile.mkdtemp(prefix="cambist-bench-"))
    design, directory = folder / "design.toml", folder / "house"
    design.write_text(large.text)
    directory.mkdir()
    try:
        began = time.monotonic()
        full = filled(str(directory), large, orders, tail)
        made, runs, floors = time.monotonic() - began, [], []
        for _ in range(3):
            began = time.monotonic()
            newest(RealDisk(), f"{directory}/snapshots")
            floors.append(round(time.monotonic() - began, 2))
            runs.append(node := Restarted(design, directory))
            with node.wait():
                node.kill()
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and "snapshot-" in file.parent.name)
        return {"bench": "restart", "orders_at_rest": full.at_rest, "commands": full.sequence, "behind_the_snapshot": tail + 64,
                "ready_s": [run.ready_s for run in runs], "of_a_processor_s": [run.busy_s for run in runs],
                "parts_s": {part: median(run.parts[part] for run in runs) for part in runs[0].parts},
                "floor_read_snapshot_s": floors, "snapshots_mib": size >> 20, "making_it_took_s": round(made, 1)}
    finally:
        shutil.rmtree(folder)
