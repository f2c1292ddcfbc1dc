"""`cambist apply`: the difference between the running design and a file, as logged commands that a second person approves.

Decides what would change and in which order it is asked for. The running design is read from the log (START and every applied change carry the text and
the names of all numbers); the running truth is state. It must not know a socket: a door client is handed in.
"""
import hashlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np

from cambist.configure import Names, configure_diff, names_attachment, read_names
from cambist.design import Design, read_design
from cambist.log.disk import Disk
from cambist.log.entry import SideSection, side_item
from cambist.log.replay import Replay
from cambist.log.results import ResultsReader
from cambist.messages import COMMAND, CONFIGURE, EVENT, Event, Kind, Reason, command, named


CARRIES = [*CONFIGURE, Kind.START, Kind.CHANGE_TERMS, Kind.CHANGE_DIGITS]       # what a design is made of
NO_DIGITS = (Reason.NOT_HALTED, Reason.IN_USE, Reason.OVERFLOW)                   # why a change of digits came to nothing


class Running(NamedTuple):
    """The design in force, where it came into force, and the names of its numbers."""
    text: str
    names: Names
    sequence: int


class UnknownKey(ValueError):
    """No such key in the running design; says which there are."""


class Change(NamedTuple):
    """What an apply did with one command."""
    kind: str
    outcome: str
    held: int


class _Attached(msgspec.Struct):
    design: str
    names: msgspec.Raw


def running_design(disk: Disk, directory: str) -> Running | None:
    """The last design all of whose commands took effect; None where nothing was started yet. One that was denied in part does not run: it can be asked
    for again."""
    designs = Designs(disk, directory)
    try:
        return designs.running()
    finally:
        designs.close()


class Designs:
    """Every design a log carries, and which of them runs. Each call reads on from where the one before stopped, so a log is read once. Not for two threads."""
    def __init__(self, disk: Disk, directory: str):
        self._replay, self._results = Replay(disk, f"{directory}/log", unproven=True), ResultsReader(disk, f"{directory}/results")
        self._running: Running | None = None
        self._together: dict[tuple[int, int], dict[int, int]] = {}      # (actor, upper half of the id) -> lower half -> where it was asked for first
        self._waiting: list[tuple[list[int], _Attached]] = []           # carried after the one that runs, and not (yet) in effect
        self._released: dict[int, bool] = {}                            # held commands that were approved -> whether they were done
        self._heard = 0                                                 # results read for these
        self._digits: dict[int, tuple[int, int, bool | None]] = {}      # of a CHANGE_DIGITS: its asset, results read for it, how it ended

    def running(self) -> Running | None:
        """The last design all of whose commands took effect so far."""
        self._waiting += self._attached()
        for i, (sequences, attached) in reversed(list(enumerate(self._waiting))):
            if all(map(self._took_effect, sequences)):
                self._running = Running(attached.design, read_names(bytes(attached.names)), sequences[-1])
                del self._waiting[:i + 1]               # those before it were overtaken
                break
        return self._running

    def close(self) -> None:
        self._replay.close()

    def _attached(self) -> Iterator[tuple[list[int], _Attached]]:
        """Every further design, with the sequences of the commands that were asked for together to bring it, the one that carries it last."""
        for entry in (entry for chunk in self._replay.chunks() for entry in chunk):
            records = np.frombuffer(entry.records, COMMAND)
            for i in np.nonzero(np.isin(records["kind"], CARRIES))[0].tolist():
                row = records[i]
                asked = self._together.setdefault((int(row["actor"]), int(row["id_hi"])), {}) if row["id_hi"] else {}    # the genesis has no ids
                asked.setdefault(int(row["id_lo"]), entry.first_sequence + i)
                if row["kind"] == Kind.CHANGE_DIGITS:
                    self._digits[entry.first_sequence + i] = named(row)["asset"], entry.first_sequence + i, None
                if row["attachment"]:
                    yield list(asked.values()), msgspec.json.decode(side_item(entry, int(row["attachment"])), type=_Attached)

    def _took_effect(self, sequence: int) -> bool:
        events = self._results.events_of(sequence)
        held = events["id"][events["kind"] == Event.HELD].tolist()
        done = bool((events["kind"] == Event.DONE).any()) or bool(held and self._was_released(held[0]))
        return done and (sequence not in self._digits or self._digits_changed(sequence))

    def _digits_changed(self, sequence: int) -> bool:
        """Whether other digits are in force: it is worked off after it is done, and may still come to nothing. Each is read once."""
        asset, read, ended = self._digits[sequence]
        for kept in self._results.read(read) if ended is None else ():
            events = np.frombuffer(kept.events, EVENT)
            if ((events["kind"] == Event.DIGITS_CHANGED) & (events["id"] == asset)).any():
                ended = True
            elif ((events["kind"] == Event.ALERT) & (events["other"] == asset) & np.isin(events["reason"], NO_DIGITS)).any():
                ended = False
            read = kept.last_sequence + 1
            if ended is not None:
                break
        self._digits[sequence] = asset, read, ended
        return bool(ended)

    def _was_released(self, held: int) -> bool:
        for kept in self._results.read(max(self._heard + 1, min(sequences[0] for sequences, _ in self._waiting))):
            events = np.frombuffer(kept.events, EVENT)
            done = (events["kind"] == Event.DONE) & (events["command"] != Kind.APPROVE)      # that of the approval says only that it was heard
            for sequence, approved in zip(*(events[f][events["kind"] == Event.APPROVED].tolist() for f in ("sequence", "id")), strict=True):
                self._released[approved] = bool(done[events["sequence"] == sequence].any())
            self._heard = kept.last_sequence
        return self._released.get(held, False)


def state_differs(running: Running, design: Design) -> str:
    """How a file differs from what runs: empty when applying it would change nothing."""
    before = read_design(running.text, "the running design")
    records = configure_diff(running.names, before, design, actor=1, id_hi=1, id_lo=1, expires=1).records
    kinds = sorted({Kind(int(r["kind"][0])).name.lower() for r in records})
    return f"{len(records)} commands: {', '.join(kinds)}" if records else ""


def plan(running: Running, text: str, name: str, *, key: str, first_id: int, expires: int) -> tuple[list[np.ndarray], bytes]:
    """The commands that make `text` the running design, the last one carrying it; empty when it already is. Raises DesignError, UnknownKey."""
    design = read_design(text, name)
    before = read_design(running.text, "the running design")
    records, names = configure_diff(running.names, before, design, actor=key_number(running, key), id_hi=first_id, id_lo=1, expires=expires)
    if not records:
        return [], b""
    side = SideSection()
    records[-1]["attachment"] = side.add(msgspec.json.encode({"design": text, "names": msgspec.Raw(names_attachment(names))}))
    return records, bytes(side)


def key_number(running: Running, key: str) -> int:
    keys = running.names["actors"]
    if key not in keys:
        raise UnknownKey(f"no key {key!r} in the running design; there are {', '.join(keys)}")
    return keys[key]


def send(records: list[np.ndarray], side: bytes, ask: Callable[..., Any]) -> list[Change]:
    """Ask for each command in turn; `ask(record, attachments) -> events or None`. Stops at the first refusal."""
    changes = []
    for record in records:
        events = ask(record, side if record["attachment"][0] else b"")
        changes.append(_outcome(record, events))
        if not changes[-1].outcome.startswith(("done", "held")):
            break
    return changes


def _outcome(record: np.ndarray, events: np.ndarray | None) -> Change:
    kind = Kind(int(record["kind"][0])).name.lower()
    if events is None:
        return Change(kind, "unknown: nothing was heard; run the same again", 0)
    for e in events:
        if e["kind"] == Event.REFUSED:
            return Change(kind, f"refused {Reason(int(e['reason'])).name}", 0)
        if e["kind"] == Event.HELD:
            return Change(kind, f"held {int(e['id'])}: waits for a second person", int(e["id"]))
    return Change(kind, "done", 0)


def approval(held: int, record_bytes: bytes, *, actor: int, id_hi: int, id_lo: int, expires: int) -> np.ndarray:
    """APPROVE of the very bytes shown: it carries their SHA-256 as four big-endian words."""
    digest = hashlib.sha256(record_bytes).digest()
    words = {f"digest{i}": int.from_bytes(digest[8 * i:8 * i + 8], "big", signed=True) for i in range(4)}
    return command(Kind.APPROVE, actor=actor, id_hi=id_hi, id_lo=id_lo, expires=expires, held=held, **words)
