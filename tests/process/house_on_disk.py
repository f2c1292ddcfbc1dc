"""A demo house with the real core on a disk in memory, one thread, a made-up clock: what the shells run, without the shells."""
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cambist.configure import configure
from cambist.core.cell import Cell
from cambist.design import read_design
from cambist.feeds.streams import ALL, account_row
from cambist.messages import EVENT, Event, Kind, command
from cambist.node import Node, open_node
from cambist.run import genesis, sizes, ticker

from tests.log.crash_disk import CrashDisk

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "desks" / "demo.toml").read_text()
DESIGN = read_design(TEXT, "demo")
NAMES = configure(DESIGN).names
ACCOUNT, KEY, ASSET, INSTRUMENT = (NAMES[table] for table in ("accounts", "actors", "assets", "instruments"))
SIZES = sizes(DESIGN)
SECOND = 1_000_000_000
START_TIME = 1_000 * SECOND
SEGMENT_BYTES = 1 << 16


def fresh_cell() -> Cell:
    return Cell(SIZES)


def opened(disk: CrashDisk, cell: Callable[[], Cell] = fresh_cell) -> Node:
    return open_node(disk, "house", number=DESIGN.cell.number, epoch=1, fresh=cell, load=lambda tables: Cell.load(tables, SIZES), ticker=ticker(DESIGN),
                     segment_bytes=SEGMENT_BYTES)


def begun(disk: CrashDisk, now: int = START_TIME) -> Node:
    """Opened, and started where it was not: the genesis is the log's first entry."""
    node = opened(disk)
    if not node.cell.tables()["cell"][2][0, 2]:
        commands, side = genesis(DESIGN, TEXT)
        assert not node.submit(commands, side)
        node.step(now)
    return node


class HouseOnDisk:
    """Asks one command at a time, each a microsecond later."""
    def __init__(self, disk: CrashDisk | None = None):
        self.disk = disk or CrashDisk()
        self.node, self.now, self.ids = begun(self.disk), START_TIME, 0

    def ask(self, record: np.ndarray, attachments: bytes = b"") -> np.ndarray:
        """All events of the command."""
        self.now += 1000
        code = self.node.submit(record, attachments)
        assert not code, code
        told = self.node.step(self.now)
        return np.concatenate([np.empty(0, EVENT), *(each.events for each in told)])

    def do(self, kind: Kind, key: str, account: str = "", **fields: int) -> np.ndarray:
        """A request with a fresh id, or a fact with one."""
        self.ids += 1
        stamp = {} if kind in (Kind.DEPOSIT, Kind.SOURCE_PRICE) else {"expires": self.now + 30 * SECOND}
        stamp |= {} if kind is Kind.SOURCE_PRICE else {"id_hi": 1, "id_lo": self.ids}
        return self.ask(command(kind, actor=KEY[key], account=ACCOUNT[account] if account else 0, **stamp, **fields))

    def everything(self) -> np.ndarray:
        return whole_stream(self.node, ALL)


def whole_stream(node: Node, row: int) -> np.ndarray:
    parts, number = [np.empty(0, EVENT)], 1
    while number <= node.streams.last_number(row):
        parts.append(node.streams.read(row, number).events)
        number += len(parts[-1])
    return np.concatenate(parts)


def account_stream(node: Node, account: int) -> np.ndarray:
    return whole_stream(node, account_row(account))


def kinds(events: np.ndarray) -> list[Event]:
    return [Event(int(kind)) for kind in events["kind"]]
