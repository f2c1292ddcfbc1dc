"""`cambist replay` and `cambist verify`: a directory read again from its first entry, and walked byte by byte.

Decides what is compared: the chain of the log, the results as they were told, the state they lead to, and the invariants of the books,
and the heads that were signed over the log. Writes nothing.
"""
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from cambist.epochs import RULES, check_release, current
from cambist.log.decisions import decisions, skipped
from cambist.log.disk import Disk, DiskError
from cambist.log.entry import Entry
from cambist.log.journal import segment_names, verify
from cambist.log.mirror import reconcile
from cambist.log.pair import Copy
from cambist.log.replay import Replay
from cambist.log.results import ResultsReader, seal_results, verify_results
from cambist.log.segment import Damaged, Position
from cambist.log.snapshot import load, state_hash
from cambist.log.transparency import audit
from cambist.log.transparency_shell import verify_signature
from cambist.messages import EVENT
from cambist.node import check_decided, run
from cambist.simulation.invariants import invariants


Chunks = Iterator[list[Entry]]


class NoLog(DiskError):
    """Nothing to look at: a wrong directory must not pass for a whole one."""
    def __init__(self, directory: str):
        super().__init__(f"{directory} holds no log; `cambist run --directory {directory}` begins one")


class Replayed(NamedTuple):
    """Where a log ends, what it leads to, and how fast."""
    sequence: int
    entries: int
    log_hash: str
    results_hash: str
    told_hash: str                              # the results journal's own; empty when it is shorter than the log
    state_hash: str
    events: int
    seconds: float
    broken: tuple[str, ...]

    @property
    def per_second(self) -> float:
        return self.sequence / self.seconds if self.seconds else 0.0


def replay(disk: Disk, directory: str, cell: Any, clock: Callable[[], int], rules: int = RULES,
           ahead: Callable[[Chunks], Chunks] = iter) -> Replayed:
    """Apply the whole log to a fresh cell, or the newest epoch to its base, and compare each entry's events with what was told. `ahead` may read the log beside
    the applying. Raises NoLog, Damaged, Broken, WrongRelease."""
    _check_there(disk, directory)
    epoch = current(disk, directory)
    check_release(epoch, rules)
    base = load(disk, epoch.base) if epoch.base else None       # older epochs are their releases' to apply again
    if base:
        cell = type(cell).load(base.tables, cell.sizes)
    start = base.manifest.position if base else Position()
    log, left_out = Replay(disk, f"{directory}/log", after=start if base else None, unproven=True), skipped(decisions(disk, f"{directory}/log", start.sequence))
    told = ResultsReader(disk, f"{directory}/results").read(start.sequence + 1)
    hashed, events_seen, entries, began = base.manifest.results_position.hash if base else Position().hash, 0, 0, clock()
    last_told, differences = "", []
    for chunk in ahead(log.chunks()):
        for entry in chunk:
            kept = next(told, None)
            if kept is not None:
                check_decided(np.frombuffer(kept.events, EVENT), left_out)
            events = run(cell, entry, left_out)
            _, hashed = seal_results(entry.cell, entry.first_sequence, entry.last_sequence, entry.time, hashed, events)
            if kept is not None and kept.own_hash != hashed and not differences:
                differences.append(f"the results told of the entry from sequence {entry.first_sequence} are not what the log says")
            last_told = kept.own_hash.hex() if kept is not None else ""
            entries, events_seen = entries + 1, events_seen + len(events)
    position = log.position
    log.close()
    seconds = (clock() - began) / 1e9
    tables = cell.tables()
    return Replayed(position.sequence, entries, position.hash.hex(), hashed.hex(), last_told, state_hash(tables).hex(), events_seen, seconds,
                    (*differences, *invariants(tables)))


class Walked(NamedTuple):
    """What a walk over every byte found."""
    lines: tuple[str, ...]
    findings: tuple[str, ...]


def walk(disk: Disk, directory: str, cell: Any | None, clock: Callable[[], int], mirror: Copy | None = None) -> Walked:
    """Chains first, of the mirror too: damage is named by file, offset and sequence. Only a whole log is replayed, for its invariants. Raises NoLog."""
    _check_there(disk, directory)
    log = verify(disk, f"{directory}/log")
    findings = [f"{f.file}: byte {f.offset}, sequence {f.sequence}: {f.what}{' (a torn tail: the next start cuts it)' if f.torn else ''}" for f in log.findings]
    if mirror:
        findings += _differences(Copy(disk, f"{directory}/log"), mirror)
    entries, last, faults = verify_results(disk, f"{directory}/results")
    findings += [str(fault) for fault in faults]
    findings += audit(disk, directory, verify_signature)
    lines = [f"log: {log.segments} segments, {log.entries} entries, {log.records} commands, to sequence {log.last.sequence} "
             f"({'closed' if log.closed else 'open'})",
             f"results: {entries} entries, to sequence {last.sequence}"]
    if not findings and cell is not None:
        found = replay(disk, directory, cell, clock)
        findings += found.broken
        lines.append(f"state: {found.state_hash} after {found.sequence} commands, {len(found.broken)} invariants broken")
    return Walked(tuple(lines), tuple(findings))


def _differences(log: Copy, mirror: Copy) -> list[str]:
    """How log and mirror are not one log. What a node at work may be writing at this moment is none."""
    try:
        compared = reconcile(log, mirror, cell=None, whole=True, write=False)
    except Damaged as damage:
        return [str(damage)]
    return [f"{f.file}: byte {f.offset}, sequence {f.sequence}: {f.what}; `cambist heal` makes it right" for f in compared.findings if not f.torn]


def _check_there(disk: Disk, directory: str) -> None:
    if not segment_names(disk, f"{directory}/log"):
        raise NoLog(directory)
