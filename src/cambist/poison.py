"""Commands in which the core dies: found before a replay reaches them, left out by a decision that the log keeps, so that everyone who applies it leaves
the same ones out.

Decides which command is to blame, what is written about it, and when that is not enough and a person must look. Must not know a process: `Trial` is handed a
probe that applies entries where nothing can be harmed (`trial_shell.py`), and answers where it died.
"""
from collections.abc import Callable, Collection, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np

from cambist.log.decisions import Decision, Skip, section
from cambist.log.entry import DECIDES, Entry, seal
from cambist.messages import COMMAND, GROUP_MORE, RECORD_BYTES, SKIPPED, Event, Kind, Reason, command

NODE = "the node"


class Died(NamedTuple):
    """Where the core died when it was tried, and how."""
    sequence: int
    how: str


Probe = Callable[[Any, Sequence[Entry], Collection[int]], Died | None]


class CannotSkip(Exception):
    """The core dies, and leaving a command out would not help or would be a guess. Nothing was decided."""


def commands_of(entry: Entry, skipped: Collection[int] = ()) -> np.ndarray:
    """The records of an entry as the core takes them: those that are not applied have SKIPPED set."""
    data = entry.records if not entry.records.readonly else bytearray(entry.records)     # the kernel takes writable rows only
    records = np.frombuffer(data, COMMAND)
    left_out = [sequence - entry.first_sequence for sequence in skipped if entry.first_sequence <= sequence <= entry.last_sequence]
    if left_out:
        records = records.copy()                        # the entry's own bytes stay what was hashed
        records["flags"][left_out] |= SKIPPED
    return records


def left_out_by(events: np.ndarray) -> frozenset[int]:
    """The sequences that results say a decision left out."""
    skipped = events["reason"] == Reason.SKIPPED
    return frozenset(events["sequence"][skipped & (events["kind"] == Event.REFUSED)].tolist()) if skipped.any() else frozenset()


def one_by_one(cell: Any, entry: Entry, skipped: Collection[int], mark: Callable[[int], None]) -> None:
    """Applies an entry command by command, a group at once; `mark` is told the sequence before each."""
    records = commands_of(entry, skipped)
    start = 0
    while start < len(records):
        end = group_end(records, start)
        mark(entry.first_sequence + start)
        for _ in cell.run(records[start:end], entry.time):
            pass
        start = end


def group_end(records: np.ndarray, start: int) -> int:
    """Behind the group that begins at `start`, or the lone record there."""
    end = start + 1
    while end < len(records) and records["flags"][end - 1] & GROUP_MORE:
        end += 1
    return end


def skip_of(entry: Entry, died: Died, by: str = NODE) -> Skip:
    """The decision to leave out the command, with all of its group."""
    records, at = np.frombuffer(entry.records, COMMAND), died.sequence - entry.first_sequence
    start = at
    while start and records["flags"][start - 1] & GROUP_MORE:
        start -= 1
    end = group_end(records, start)
    data = bytes(entry.records[start * RECORD_BYTES:end * RECORD_BYTES])
    return Skip(sequence=entry.first_sequence + start, count=end - start, digest=sha256(data).hexdigest(), by=by, why=died.how)


def decided(decision: Decision, *, cell: int, epoch: int, position: Any, results_hash: bytes, fingerprint: bytes, ticker: int) -> Entry:
    """The entry that says so: a tick behind everything that is there."""
    tick = command(Kind.TICK, actor=ticker)
    tick["attachment"] = 1
    return seal(cell=cell, epoch=epoch, first_sequence=position.sequence + 1, time=position.time, committed=position.sequence, previous_hash=position.hash,
                fingerprint=fingerprint, results_hash=results_hash, records=tick.view(np.uint8), side=section(decision), flags=DECIDES)


class Trial:
    """Entries that nothing tells to have been survived are tried before they are applied; what the core dies in is left out, durably first."""

    def __init__(self, probe: Probe, log: Any, results: Any, skipped: Collection[int], *, number: int, epoch: int, ticker: int,
                 say: Callable[[str], None]):
        self._probe, self._log, self._results, self._say = probe, log, results, say
        self._number, self._epoch, self._ticker = number, epoch, ticker
        self.skipped = frozenset(skipped)

    def look(self, cell: Any, entries: Sequence[Entry]) -> None:
        """`cell` stands right before the first of them and is not changed. Raises CannotSkip."""
        while entries and (died := self._probe(cell, entries, self.skipped)) is not None:
            if died.sequence in self.skipped:
                raise CannotSkip(f"the core dies at sequence {died.sequence} also when the command is left out ({died.how}): the fault is in the state and not "
                                 "in the command; a person must look")
            entry = next(each for each in entries if each.first_sequence <= died.sequence <= each.last_sequence)
            decision = skip_of(entry, died)
            position = self._log.position
            self._log.append_many((decided(decision, cell=self._number, epoch=self._epoch, position=position, results_hash=self._results.position.hash,
                                           fingerprint=cell.fingerprint, ticker=self._ticker),), essential=True)
            self.skipped = self.skipped.union(range(decision.sequence, decision.sequence + decision.count))
            self._say(f"DECIDED: sequence {decision.sequence}{f' to {decision.sequence + decision.count - 1}' if decision.count > 1 else ''} is not applied: "
                      f"{decision.why}; written as sequence {position.sequence + 1}. A person must look at why")
