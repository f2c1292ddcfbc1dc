"""The follower: replays the log beside the node, checks what was told, and makes the snapshots, so that the node never stalls for one.

Decides when a snapshot is due and that a difference between log and results stops it. It must not know a clock (a time is handed in), nor write anything but
snapshots. `python -m cambist follow` steps it in a process of its own.
"""
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from cambist.log import snapshot
from cambist.log.disk import Disk
from cambist.log.entry import Entry
from cambist.log.replay import Replay
from cambist.log.results import ResultsReader
from cambist.log.segment import Position
from cambist.node import Cell, run, same, told_by

EVERY_NS, EVERY_ENTRIES = 60_000_000_000, 1 << 16       # a snapshot after so long or so many entries, whichever is first
KEEP = 3
MAX_UNCHECKED = 1 << 12                                 # entries applied whose results are not there yet: then it waits for them


class Step(NamedTuple):
    """What one step did."""
    entries: int
    checked: int                                        # the log sequence up to which results were compared
    saved: snapshot.Manifest | None


class Follower:
    """Goes on from the newest snapshot of `directory`, or from the beginning."""
    def __init__(self, disk: Disk, directory: str, *, number: int, fresh: Callable[[], Cell], load: Callable[[Any], Cell], every_ns: int = EVERY_NS,
                 every_entries: int = EVERY_ENTRIES, keep: int = KEEP):
        self._disk, self._snapshots, self._number = disk, f"{directory}/snapshots", number
        self._every_ns, self._every_entries, self._keep = every_ns, every_entries, keep
        found, self.damaged = snapshot.newest(disk, self._snapshots)
        self.cell = load(found.tables) if found else fresh()
        self._replay = Replay(disk, f"{directory}/log", cell=number, after=found.manifest.position if found else None)
        self._results = ResultsReader(disk, f"{directory}/results", cell=number)
        self._unchecked: deque[tuple[Entry, np.ndarray]] = deque()
        self.position: Position = self._replay.position         # applied
        self.checked = self.position.sequence
        self._results_hash = bytes.fromhex(found.manifest.results_hash) if found else Position().hash
        self._since_entries, self._since_ns = 0, -1

    def step(self, now: int) -> Step:
        """What the log has more, one chunk; compared with the results as far as they are; and a snapshot if one is due. Raises Broken, Damaged."""
        self._since_ns = now if self._since_ns < 0 else self._since_ns
        entries = self._replay.chunk() if len(self._unchecked) < MAX_UNCHECKED else []
        for entry in entries:
            self._unchecked.append((entry, run(self.cell, entry)))
            self.position = self.position.after(entry)
        self._since_entries += len(entries)
        self._check()
        due = self._since_entries and (self._since_entries >= self._every_entries or now - self._since_ns >= self._every_ns)
        return Step(len(entries), self.checked, self.save(now) if due and self.checked == self.position.sequence else None)

    def save(self, now: int) -> snapshot.Manifest:
        """A snapshot of what is applied; all of it has been compared."""
        manifest = snapshot.save(self._disk, self._snapshots, self.cell.tables(), position=self.position, cell=self._number, results_hash=self._results_hash,
                                 fingerprint=self.cell.fingerprint)
        snapshot.keep(self._disk, self._snapshots, self._keep)
        self._since_entries, self._since_ns = 0, now
        return manifest

    def close(self) -> None:
        self._replay.close()

    def _check(self) -> None:
        if not self._unchecked:
            return
        for kept in self._results.read(self._unchecked[0][0].first_sequence):
            entry, events = self._unchecked.popleft()
            same(entry, events, next(iter(told_by(_Only(kept))(0))))
            self.checked, self._results_hash = entry.last_sequence, kept.own_hash
            if not self._unchecked:
                return


class _Only:
    """One results entry, read like a journal of it."""
    def __init__(self, kept: Any):
        self._kept = kept

    def read(self, from_sequence: int) -> tuple[Any]:
        return (self._kept,)
