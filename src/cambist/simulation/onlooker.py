"""Who was told what: a second memory beside the house, of everything sent, applied and heard, to which the house is held.

Decides only whether the house keeps its word about order and durability: what was acknowledged is in the log, once, in its place, unchanged, after any crash;
every reader of a stream hears the same; nothing is in the log that nobody sent. What the market's rules say is the auditor's.
"""
from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cambist.design import Design
from cambist.door.client import Events, StreamKind
from cambist.log.entry import Entry
from cambist.messages import COMMAND, EVENT, RECORD_BYTES, AccountKind, ChildState, Event, Kind, Reason
from cambist.simulation.audit.auditor import CHECKED_TABLES, Auditor
from cambist.simulation.audit.figures import Wrong
from cambist.simulation.invariants import Tables, invariants

COMPARE_EVERY = 64                              # commands between two comparisons of the auditor's books with the tables
NOT_REMEMBERED = {int(r) for r in (Reason.UNKNOWN_KIND, Reason.UNDEFINED_BITS, Reason.NOT_STARTED, Reason.UNKNOWN_ACTOR, Reason.ACTOR_DISABLED,
                                   Reason.NOT_ALLOWED, Reason.UNKNOWN_ACCOUNT, Reason.FOREIGN_ACCOUNT, Reason.ACCOUNT_DISABLED, Reason.NO_ID,
                                   Reason.EXPIRED, Reason.EXPIRY_TOO_FAR, Reason.ANSWER_QUOTA)}       # rules, section 2, lines 1 to 10
FREE = {int(Kind.TICK)}                         # what the node itself may put into the log


_NAMES = {int(kind): kind.name for kind in Event}


class Violation(Exception):
    """The house broke a promise. Not an error of the simulator, unless the promise is."""


def note_answers(answers: dict[tuple[int, int, int], tuple[int, int, int]], events: np.ndarray) -> None:
    """Into `answers` (as `Witness.answers`) the first answer to each 128-bit id that the house remembers; until there is one, the first that it does not."""
    mine = events[(events["id_hi"] != 0) & (events["command"] != 0) & (events["kind"] != Event.DUPLICATE)]
    for account, high, low, *what in zip(*(mine[name].tolist() for name in ("account", "id_hi", "id_lo", "kind", "reason", "id")), strict=True):
        first = answers.get((account, high, low))
        if first is None or (first[0] == Event.REFUSED and first[1] in NOT_REMEMBERED):
            answers[account, high, low] = tuple(what)


class Witness:
    """`sent`, `applied`, `heard` as it happens; `reopened` after a crash; `finished` in the end. Each raises through `wrong`."""
    def __init__(self, design: Design, names: Mapping[str, Mapping[str, int]], genesis: np.ndarray, wrong: Callable[[str], None]) -> None:
        self._wrong = wrong
        self._desks, self._half_spread_ppm = [names["accounts"][desk] for desk in design.house.desks], design.pricing.min_half_spread_ppm
        self.chain = bytes(32)
        self.position = 0                               # the last sequence that was applied under our eyes
        self._entries: list[tuple[int, int, bytes, bytes]] = []         # first, last, hash of the entry, digest of its events
        self.answers: dict[tuple[int, int, int], tuple[int, int, int]] = {}     # (account, id) -> kind, reason, id of its first answer
        self._kept: list[tuple[int, int, bytes, np.ndarray]] = []       # first, time, records, events
        self._sent: dict[bytes, int] = {}               # bytes of a command -> how often it is in the log
        self._by_id: dict[tuple[int, int, int], bytes] = {}
        self._streams: dict[tuple[StreamKind, int], list[bytes]] = {}   # digest of each event that was heard, by number
        self._auditor = Auditor()
        self._compared = 0
        self.told: Counter[str] = Counter()             # events by name
        self.skipped: frozenset[int] = frozenset()      # sequences that decisions of the log leave out
        self.tables: Callable[[Sequence[str]], Tables] | None = None    # what the node that runs now would tell of its tables
        self.sent(genesis)

    # ------------------------------------------------------------------------------------------------------------------------ what went in
    def sent(self, records: np.ndarray) -> None:
        data = records.tobytes()
        for i, (kind, high, low) in enumerate(zip(records["kind"].tolist(), records["id_hi"].tolist(), records["id_lo"].tolist(), strict=True)):
            row = data[i * RECORD_BYTES:(i + 1) * RECORD_BYTES]
            self._sent.setdefault(plain(row), 0)
            if high:
                self._by_id[kind, high, low] = row

    def bytes_of(self, kind: int, high: int, low: int) -> bytes | None:
        """The command that was sent with this id."""
        return self._by_id.get((kind, high, low))

    # --------------------------------------------------------------------------------------------------------------------- what became of it
    def applied(self, entry: Entry, events: np.ndarray) -> None:
        """An entry that the node calls durable, and what the core says of it."""
        if entry.first_sequence != self.position + 1:
            self._wrong(f"an entry begins at sequence {entry.first_sequence}; right would be {self.position + 1}")
        if self._entries and entry.previous_hash != self._entries[-1][2]:
            self._wrong(f"the chain is broken at sequence {entry.first_sequence}")
        self._look_at(entry)
        self._audit(entry, events)
        note_answers(self.answers, events)
        self._look_at_quotes(events)
        self.told.update(_NAMES.get(kind, "") for kind in events["kind"].tolist())
        digest = hashlib.sha256(events.tobytes()).digest()
        self._entries.append((entry.first_sequence, entry.last_sequence, entry.own_hash, digest))
        self._kept.append((entry.first_sequence, entry.time, bytes(entry.records), events.copy()))
        self.position = entry.last_sequence
        self.chain = hashlib.sha256(self.chain + entry.own_hash + digest).digest()

    def _audit(self, entry: Entry, events: np.ndarray) -> None:
        try:
            self._auditor.entry(entry.first_sequence, entry.time, bytes(entry.records), events, self.skipped)
            if self.tables is not None and self._auditor.commands - self._compared >= COMPARE_EVERY:
                self._compared = self._auditor.commands
                self._auditor.compare(self.tables(CHECKED_TABLES))
        except Wrong as fault:
            self._wrong(str(fault))

    def _look_at_quotes(self, events: np.ndarray) -> None:
        """Our desk's two-way quotes are as wide as the design says, at least."""
        if not (events["kind"] == Event.QUOTED).any():
            return
        mine = events[(events["kind"] == Event.QUOTED) & np.isin(events["account"], self._desks) & (events["price"] > 0) & (events["amount"] > 0)]
        for bid, ask in zip(mine["price"].tolist(), mine["amount"].tolist(), strict=True):
            least = (bid + ask) // 2 * 2 * self._half_spread_ppm // 1_000_000
            if ask - bid < least:
                self._wrong(f"the desk quotes {bid} to {ask}; the design's least spread is {least}")

    def _look_at(self, entry: Entry) -> None:
        data = bytes(entry.records)
        rows = np.frombuffer(data, COMMAND)
        for i, (kind, high, low) in enumerate(zip(rows["kind"].tolist(), rows["id_hi"].tolist(), rows["id_lo"].tolist(), strict=True)):
            logged = data[i * RECORD_BYTES:(i + 1) * RECORD_BYTES]
            row = plain(logged)
            if high and (kind, high, low) in self._by_id:
                self._by_id[kind, high, low] = logged
            if row in self._sent:
                self._sent[row] += 1
            elif kind not in FREE:
                name = Kind(kind).name if kind in Kind._value2member_map_ else kind
                self._wrong(f"sequence {entry.first_sequence + i} is a command that nobody sent: {name}")

    def reopened(self, entries: Sequence[Entry], results: Sequence[tuple[int, int, bytes]], excused: int) -> bool:
        """The log and the results as a node found them at its start; whether something that was durable is not there, and that is excused. `excused`: the first
        sequence that every copy had acknowledged and lost, so that nothing of the log could tell; 0 for none. From there on a shorter log, or another one in
        its place (what a start decides, it writes at once), is not the house's fault."""
        alike = next((i for i, (known, entry) in enumerate(zip(self._entries, entries, strict=False))
                      if known[:3] != (entry.first_sequence, entry.last_sequence, entry.own_hash)), min(len(self._entries), len(entries)))
        lost = alike < len(self._entries)
        if lost:
            kept = self._entries[alike - 1][1] if alike else 0
            if not excused or kept < excused - 1:
                what = f"the entry of sequence {kept + 1} is not the one that was durable" if alike < len(entries) else \
                    f"the log ends at sequence {kept}; {self.position} was durable, applied and told"
                self._wrong(what + (f", and only what came from {excused} on was lost by every copy" if excused else ""))
            self._forget(kept)
        for known, (first, end, events) in zip(self._entries, results, strict=False):
            if (first, end, hashlib.sha256(events).digest()) != (known[0], known[1], known[3]):
                self._wrong(f"the results of sequence {known[0]} are not what was told")
        if len(results) != len(entries):
            self._wrong(f"the node is open with {len(entries)} entries and {len(results)} results")
        self.tables = None
        for entry, (_, _, events) in list(zip(entries, results, strict=True))[len(self._entries):]:
            self.applied(entry, np.frombuffer(events, EVENT))
        return lost

    def _forget(self, last: int) -> None:
        while self._entries and self._entries[-1][1] > last:
            self._entries.pop()
        self.position = last
        self._again()
        for key in self._streams:
            self._streams[key] = []                     # what was heard of the lost part cannot be held against what comes in its place

    def _again(self) -> None:
        """What was lost never was: the auditor reads the rest once more."""
        self._auditor, self._compared, self.answers, kept = Auditor(), 0, {}, self._kept[:len(self._entries)]
        self._kept = kept
        for first, time, records, events in kept:
            self._auditor.entry(first, time, records, events, self.skipped)
            note_answers(self.answers, events)

    def heard(self, by: str, stream: tuple[StreamKind, int], batch: Events) -> None:
        """Every reader of a stream hears the same event under the same number, also after a crash."""
        known, data, size = self._streams.setdefault(stream, []), batch.events.tobytes(), batch.events.dtype.itemsize
        for i in range(len(batch.events)):
            number, event = batch.first + i, data[i * size:(i + 1) * size]
            if number <= len(known):
                if known[number - 1] != event:
                    self._wrong(f"{by} hears another event as number {number} of {stream[0].name} {stream[1]} than was told before")
            elif number == len(known) + 1:
                known.append(event)
            elif known:
                self._wrong(f"{by} hears number {number} of {stream[0].name} {stream[1]}, and {len(known) + 1} was told to nobody")
        if stream[0] is StreamKind.ALL and len(batch.events) and int(batch.events["sequence"][-1]) > self.position:
            self._wrong(f"{by} is told of sequence {int(batch.events['sequence'][-1])}, and {self.position} is the last that is durable")

    def kind_told(self, account: int, number: int) -> int:
        """Which kind of event an account's stream has under a number; 0 if nobody heard it yet."""
        known = self._streams.get((StreamKind.ACCOUNT, account), [])
        return int.from_bytes(known[number - 1][:2], "little") if number <= len(known) else 0

    # ------------------------------------------------------------------------------------------------------------------------------- states
    def open_child(self) -> int:
        """A child order whose end nobody has told; 0 for none."""
        return next((number for number, child in self._auditor.affairs.children.items() if child.state != ChildState.DONE), 0)

    def nothing_stranded(self) -> None:
        """No venue said what it did not do, so nothing may be in suspense."""
        figures = self._auditor.figures
        suspense = figures.single.get(AccountKind.SUSPENSE, 0)
        for (account, asset), balance in figures.balances.items():
            if account == suspense and balance.available:
                self._wrong(f"{balance.available} of asset {asset} are in suspense, and no venue lied")

    def finished(self, tables: Tables) -> None:
        for broken in invariants(tables, desk_forced=True):
            self._wrong(broken)
        try:
            self._auditor.compare(tables)
        except Wrong as fault:
            self._wrong(str(fault))


def plain(row: bytes) -> bytes:
    """A command's bytes without the place of its attachment, which the node writes anew."""
    return row[:20] + bytes(4) + row[24:]
