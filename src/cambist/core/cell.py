"""One cell's core as a Python object: the block of memory, `apply` over whole entries, and the tables that are hashed and kept in snapshots.

Knows no file, clock or socket. The state is moved, copied and shared as one block.
"""
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from cambist.core import authority, kernel, pools, tables
from cambist.core.layout import PLACES, STATE, TABLES, sizes
from cambist.core.memory import COMPILED, Row, Rows, block, plan
from cambist.messages import COMMAND, EVENT

PAGE_BYTES = 4096


class _States:
    """What `apply` takes when it is not compiled."""

    def __init__(self, buffer: memoryview):
        self.row = Row(buffer, 0, plan(STATE))

    def __getitem__(self, i: int) -> Row:
        return self.row


class Cell:
    """The truth of one cell: apply(records, time) -> events; tables(); load(tables).

    records: array of COMMAND; time: the entry's, nanoseconds; events: array of EVENT, every event of the entry in order.
    """
    fingerprint = kernel.FINGERPRINT

    def __init__(self, wanted: Mapping[str, int] | None = None):
        self.sizes = dict(wanted or {})
        rows = sizes(**self.sizes)
        offsets, end = [], -(-STATE.itemsize // PAGE_BYTES) * PAGE_BYTES
        for name, dtype in TABLES.items():
            offsets.append(end)
            end += -(-rows[name] * dtype.itemsize // PAGE_BYTES) * PAGE_BYTES
        self.block = block(end)                 # untouched pages are never mapped
        memory = np.frombuffer(self.block, np.uint8)
        self.state = memory[:STATE.itemsize].view(STATE)
        self.state["at"][0], self.state["capacity"][0] = offsets, [rows[name] for name in TABLES]
        self.state["slot_mask"] = rows["slots"] - 1
        self.state["slot_shift"] = 64 - (rows["slots"].bit_length() - 1)
        self.state["order_mask"] = rows["order_slots"] - 1
        self.state["mark_shift"] = pools.MARK_BITS - (rows["order_slots"].bit_length() - 1)
        self.table = {name: memory[offsets[i]:offsets[i] + rows[name] * dtype.itemsize].view(dtype) for i, (name, dtype) in enumerate(TABLES.items())}
        self.table["shapes"]["words"] = authority.shapes()
        self._written, self._active = self.state["written"], self.table["taker"]["active"]
        self._states = self.state if COMPILED else _States(memoryview(self.block))

    def touch(self) -> None:
        """Have every page mapped now, so that no command waits for the operating system later."""
        np.frombuffer(self.block, np.uint8)[::PAGE_BYTES] |= 0

    @property
    def sequence(self) -> int:
        """The last command applied."""
        return int(self.state["sequence"][0])

    @property
    def time(self) -> int:
        return int(self.state["time"][0])

    def apply(self, records: np.ndarray, time: int, batch: int = 1 << 30) -> np.ndarray:
        """Apply one entry's commands, about `batch` at a time, and give all their events. The result does not depend on `batch`."""
        parts = [part.copy() for part in self.run(records, time, batch)]
        return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, EVENT), *parts])

    def run(self, records: np.ndarray, time: int, batch: int = 1 << 30) -> Iterator[np.ndarray]:
        """The same, yielding views of the event buffer that are good until the next step."""
        if not (records.dtype is COMMAND or records.dtype == COMMAND) or records.ndim != 1:
            raise TypeError(f"records must be a one-dimensional array of COMMAND, not {records.dtype} of shape {records.shape}")
        if not records.flags.c_contiguous:
            records = np.ascontiguousarray(records)
        commands = records if COMPILED else Rows(records)
        done, total, events = 0, len(records), self.table["events"]
        while done < total or self._active[0]:
            done += kernel.apply(self._states, commands, done, batch, time)
            yield events[:self._written[0]]

    def tables(self, names: Iterable[str] = ()) -> dict[str, tuple[int, tuple[str, ...], np.ndarray]]:
        """The logical rows of docs/rules.md section 11: name -> (version, columns, int64 rows in ascending order). Of all tables, or of the named ones."""
        return tables.export(self, names)

    @classmethod
    def load(cls, rows: Mapping[str, tuple[int, tuple[str, ...], np.ndarray]], wanted: Mapping[str, int] | None = None) -> "Cell":
        """A cell with the given logical rows; indexes, free lists, queues and bitmaps are rebuilt."""
        cell = cls(wanted)
        tables.restore(cell, rows)
        return cell

    def row(self, name: str, i: int) -> np.void:
        """One row of a table, for tests and views."""
        if name not in PLACES:
            raise KeyError(f"no table {name!r}; there are {', '.join(PLACES)}")
        return self.table[name][i]
