"""The follower: replays the log beside the node, checks what was told, and makes the snapshots, so that the node never stalls for one.

Decides when a snapshot is due and that a difference between log and results stops it. It must not know a clock (a time is handed in), nor write anything but
snapshots. `python -m cambist follow` steps it in a process of its own.

It applies an entry only when its results are there: then the node has lived through it, or has decided which of its commands are not applied.
"""
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from cambist.epochs import RULES, check_release, current, newest_state
from cambist.log import snapshot
from cambist.log.decisions import decisions, skipped
from cambist.log.disk import Disk, DiskFull
from cambist.log.entry import Entry
from cambist.log.replay import Replay
from cambist.log.results import ResultsReader
from cambist.log.segment import Position
from cambist.log.snapshot import SnapshotDamaged
from cambist.messages import EVENT
from cambist.node import NUMBERS, Broken, Cell, again, numbered, told_by
from cambist.poison import left_out_by
from cambist.rows import copied

EVERY_NS, EVERY_ENTRIES = 45_000_000_000, 1 << 16       # a snapshot after so long or so many entries, whichever is first; written, it is at most a minute old
KEEP = 3
MAX_WAITING = 1 << 12                                   # entries read whose results are not there yet: then it waits for them


class Step(NamedTuple):
    """What one step did."""
    entries: int
    checked: int                                        # the log sequence up to which results were compared
    saved: snapshot.Manifest | None
    unsaved: str = ""                                   # why a snapshot that was due is not there


class Follower:
    """Goes on from the newest snapshot of `directory`, or from the beginning."""
    def __init__(self, disk: Disk, directory: str, *, number: int, fresh: Callable[[], Cell], load: Callable[[Any], Cell], every_ns: int = EVERY_NS,
                 every_entries: int = EVERY_ENTRIES, keep: int = KEEP, rules: int = RULES):
        self._disk, self._snapshots, self._log, self._number = disk, f"{directory}/snapshots", f"{directory}/log", number
        self._numbers = f"{directory}/{NUMBERS}"
        self._every_ns, self._every_entries, self._keep = every_ns, every_entries, keep
        self._epoch = current(disk, directory)
        check_release(self._epoch, rules)
        found, self.damaged = newest_state(disk, directory, self._epoch)
        self.cell = load(found.tables) if found else fresh()
        self._replay = Replay(disk, self._log, cell=number, after=found.manifest.position if found else None)
        self._results = ResultsReader(disk, f"{directory}/results", cell=number)
        self._waiting: deque[Entry] = deque()
        self._skipped: frozenset[int] = frozenset()
        self.position: Position = self._replay.position         # applied, and compared
        self._results_hash = bytes.fromhex(found.manifest.results_hash) if found else Position().hash
        self._since_entries, self._since_ns = 0, -1
        self._told = told_by(self._results)
        self._streams = numbered(disk, directory, self._results, self._told, self.position.sequence)
        self._verified: set[str] = set()                        # snapshots read again after they were written

    @property
    def checked(self) -> int:
        return self.position.sequence

    def step(self, now: int) -> Step:
        """What the log has more, one chunk, as far as its results are there; and a snapshot if one is due. Raises Broken, Damaged."""
        self._since_ns = now if self._since_ns < 0 else self._since_ns
        read = self._replay.chunk() if len(self._waiting) < MAX_WAITING else []
        self._waiting += read
        applied = self._apply()
        self._since_entries += applied
        due = self._since_entries and (self._since_entries >= self._every_entries or now - self._since_ns >= self._every_ns)
        if not due:
            return Step(max(len(read), applied), self.checked, None)
        try:
            return Step(max(len(read), applied), self.checked, self.save(now))
        except (DiskFull, SnapshotDamaged) as fault:            # the log does not need it, and what was written of it is in the way
            for folder in (self._snapshots, self._numbers):
                snapshot.drop_unfinished(self._disk, folder)
            self._since_ns, self._since_entries = now, 1
            return Step(max(len(read), applied), self.checked, None, str(fault))

    def save(self, now: int) -> snapshot.Manifest:
        """A snapshot of what is applied; all of it has been compared. It is read again and verified before an older one goes."""
        manifest = snapshot.save(self._disk, self._snapshots, self.cell.tables(), position=self.position, cell=self._number, results_hash=self._results_hash,
                                 fingerprint=self.cell.fingerprint)
        snapshot.save(self._disk, self._numbers, self._streams.tables(), position=self.position, cell=self._number, results_hash=self._results_hash,
                      fingerprint=self.cell.fingerprint)
        snapshot.keep(self._disk, self._numbers, self._keep)
        name = f"snapshot-{manifest.sequence:020d}"
        snapshot.load(self._disk, f"{self._snapshots}/{name}")
        self._verified.add(name)
        self._verified.difference_update(snapshot.keep(self._disk, self._snapshots, self._keep, self._verified))
        self._since_entries, self._since_ns = 0, now
        return manifest

    def close(self) -> None:
        self._replay.close()

    def _apply(self) -> int:
        """Every waiting entry whose results are there. How many."""
        if not self._waiting:
            return 0
        if self._streams.position < self.position.sequence:     # it began while a node was writing results again that were lost
            self._streams.read_on(self.position.sequence)
            if self._streams.position < self.position.sequence:
                return 0
        applied = 0
        for kept in self._results.read(self._waiting[0].first_sequence):
            entry, events = self._waiting.popleft(), np.frombuffer(kept.events, EVENT)
            if left_out_by(events):
                self._skipped |= skipped(decisions(self._disk, self._log, entry.last_sequence))      # the decision was there before these results
            if entry.epoch != self._epoch.number:
                raise Broken(f"epoch {entry.epoch} begins at sequence {entry.first_sequence}: follow it with the release that began it")
            self._streams.add(kept.first_sequence, kept.last_sequence, kept.time, copied(events))
            again(self.cell, entry, self._skipped, (kept.first_sequence, kept.last_sequence, kept.time, events))
            self.position, self._results_hash, applied = self.position.after(entry), kept.own_hash, applied + 1
            if not self._waiting:
                break
        return applied
