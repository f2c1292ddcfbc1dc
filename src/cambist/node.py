"""The node: staged commands become entries, entries become durable, durable entries are applied, and what they say is kept. Nothing else.

Decides what goes into one entry and in which order, when a command is refused before it has a place in the order, and when the node must stop. It must not
know a socket, a thread or a clock: times are handed in, the log and the results are ports, and whoever runs it decides what overlaps with what.

    submit ─> staging ─> seal ─> commit ─> apply ─> results, streams

`step` does all of it in one thread, for the simulator and for tests. A shell may run `seal` and `commit` in one thread and `apply` in another: `seal`
touches only staging and the log's position, `apply` only the cell and the results, `tell` only the streams.

Architecture invariant: the cell applies only what `commit` returned from, and nothing of an entry is told to anyone before.
"""
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol

import numpy as np

from cambist.archive import Archive
from cambist.door.checking import is_essential
from cambist.door.protocol import Code, Welcome, fit_to_seal
from cambist.epochs import RULES, check_release, current, newest_state
from cambist.feeds import streams, views
from cambist.feeds.streams import Streams
from cambist.log import snapshot
from cambist.log.decisions import decisions, skipped
from cambist.log.disk import Disk, DiskFull
from cambist.log.entry import FRAME_BYTES, MAX_ENTRY_BYTES, MAX_RECORDS, Entry, seal
from cambist.log.journal import SEGMENT_BYTES, Journal, Witness
from cambist.log.mirror import Compared, reconcile
from cambist.log.pair import Both, Copy, PairDisk, one_after_the_other
from cambist.log.replay import Replay
from cambist.log.results import Results as KeptResults, ResultsReader
from cambist.log.segment import Position
from cambist.log.witness import known
from cambist.messages import COMMAND, EVENT, GROUP_MORE, RECORD_BYTES, Kind, command
from cambist.poison import Probe, Trial, commands_of, left_out_by
from cambist.rows import joined, raw

MAX_STAGED = 1 << 16                                    # records waiting for the log: 8 MiB; more is refused OVERLOAD
MAX_STAGED_SIDE = 1 << 20                               # bytes of attachments waiting
STEP_NS = 1_000_000_000                                 # the wall clock may move this much against the monotonic one between two readings
TICK_PERIOD_NS = 1_000_000_000
NUMBERS = "stream-numbers"                              # snapshots of how far each stream was numbered, beside those of the state
NS_PER_SECOND = 1_000_000_000


class Broken(Exception):
    """The node must not go on: an invariant, the clock, or a difference between what was told and what is so. Says which sequence."""


class Told(NamedTuple):
    """What one entry said."""
    first: int
    last: int
    time: int
    events: np.ndarray


class Cell(Protocol):
    fingerprint: bytes
    sequence: int
    time: int
    def run(self, records: np.ndarray, time: int) -> Iterable[np.ndarray]:
        """Events of these commands, in parts that hold until the next one is asked for."""
        ...
    def tables(self, names: Iterable[str] = ()) -> views.Tables: ...


class Log(Protocol):
    """`cambist.log.journal.Journal` alone; in a cluster something that returns from `append_many` when the cluster has it."""
    position: Position
    full: DiskFull | None
    def append_many(self, entries: Sequence[Entry], *, essential: bool = False) -> None: ...
    def room(self) -> int: ...
    def prepare(self) -> int:
        """Some work on room ahead, when nothing waits; 0 when none is left. Space that was short is asked for again."""
        ...
    def close(self) -> None: ...


class Results(Protocol):
    """`cambist.log.results.Results`."""
    position: Position                                  # of the last entry whose events are kept
    full: DiskFull | None
    def append(self, first_sequence: int, last_sequence: int, time: int, events) -> bytes: ...
    def read(self, from_sequence: int) -> Iterable[Any]: ...
    def prepare(self) -> None:
        """Sets room aside for when the disk is full, where that was used."""
        ...
    def close(self) -> None: ...


class Staging:
    """Records in the order they came, and which of them brought attachments. Bounded; two of them take turns."""
    def __init__(self, most: int = MAX_STAGED):
        self.rows = np.zeros(most, COMMAND)
        self._raw = raw(self.rows)
        self.count = self.side_bytes = 0
        self.sections: list[tuple[int, int, bytes]] = []        # first and end of the records that came with it

    def put(self, records: np.ndarray, attachments: bytes) -> Code:
        end = self.count + len(records)
        if end > len(self.rows) or self.side_bytes + len(attachments) > MAX_STAGED_SIDE:
            return Code.OVERLOAD
        self._raw[self.count * RECORD_BYTES:end * RECORD_BYTES] = raw(np.ascontiguousarray(records))
        if attachments:
            self.sections.append((self.count, end, attachments))
            self.side_bytes += len(attachments)
        self.count = end
        return Code.NONE

    def clear(self) -> None:
        self.count = self.side_bytes = 0
        self.sections = []

    def bytes_at_most(self, records: int, side: int) -> int:
        """What this and so much more takes in the log. Cutting at groups and sections leaves an entry at least half full."""
        total = (self.count + records) * RECORD_BYTES + self.side_bytes + side
        return total + (2 * total // MAX_ENTRY_BYTES + 2) * FRAME_BYTES


def cut(rows: np.ndarray, sections: Sequence[tuple[int, int, bytes]] = ()) -> Iterable[tuple[np.ndarray, bytes]]:
    """Entries of at most MAX_ENTRY_BYTES: records and side section. No group is split, nor what came with attachments; `attachment` is rewritten in place."""
    start, waiting = 0, list(sections)
    while start < len(rows):
        end, side = min(start + MAX_RECORDS, len(rows)), bytearray()
        while waiting and waiting[0][0] < end:
            first, last, section = waiting[0]
            room = (MAX_ENTRY_BYTES - FRAME_BYTES - len(side) - len(section)) // RECORD_BYTES
            if last - start > room or last > end:
                end = first                             # it goes first into the next entry; fit_to_seal sees to it that it fits
                break
            end = min(end, start + room)
            if side:
                named = rows["attachment"][first:last]
                named[named > 0] += len(side) // 8
            side += section
            waiting.pop(0)
        while end < len(rows) and rows["flags"][end - 1] & GROUP_MORE:
            end -= 1
        yield rows[start:end], bytes(side)
        start = end


class Clockwork:
    """The sealing time: never before the last entry's. A wall clock that steps against the monotonic one stops the node, for every expiry hangs on it."""
    def __init__(self, last: int):
        self.last = last
        self._before: tuple[int, int] | None = None

    def read(self, wall: int, monotonic: int | None = None) -> int:
        if monotonic is not None:
            if self._before is not None:
                step = (wall - self._before[0]) - (monotonic - self._before[1])
                if abs(step) > STEP_NS:
                    raise Broken(f"the clock stepped by {step / NS_PER_SECOND:+.3f} s against the monotonic clock; nothing is sealed until a person looks")
            self._before = wall, monotonic
        self.last = max(self.last, wall)
        return self.last


class Tables(Mapping[str, Any]):
    """A cell's tables, each exported when a view first looks at it and kept until the cell moves on. Whoever counts them all has them all."""
    def __init__(self, cell: Cell):
        self._cell, self._sequence, self._kept = cell, -1, {}
        self._whole = False

    def __getitem__(self, name: str) -> tuple[int, tuple[str, ...], np.ndarray]:
        self._now()
        if name not in self._kept:
            self._kept[name] = self._cell.tables((name,))[name]
        return self._kept[name]

    def __iter__(self) -> Iterator[str]:
        self._now()
        if not self._whole:
            self._kept, self._whole = dict(self._cell.tables()), True
        return iter(self._kept)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _now(self) -> None:
        if self._sequence != self._cell.sequence:
            self._sequence, self._kept, self._whole = self._cell.sequence, {}, False


class Node:
    """One cell: its log, its core, its results. `lock` guards staging when submit and seal are called from different threads."""
    def __init__(self, cell: Cell, log: Log, results: Results, numbered: Streams, *, number: int, epoch: int, ticker: int = 0,
                 tick_period: int = TICK_PERIOD_NS, lock: AbstractContextManager | None = None, most: int = MAX_STAGED):
        self.cell, self.log, self.results, self.streams = cell, log, results, numbered
        self.number, self.epoch, self.tick_period = number, epoch, tick_period
        self.closing, self.stopped = False, ""          # no new business any more; why nothing is sealed any more
        self.clockwork = Clockwork(log.position.time)
        self._lock = lock or nullcontext()
        self._staging, self._spare = Staging(most), Staging(most)
        self._in_flight = 0                             # bytes taken out of staging that the log has not yet answered for
        self._see_room()
        self._tick = command(Kind.TICK, actor=ticker)
        self._tables = Tables(cell)
        self.archive: Archive | None = None             # answers about the log, where it is kept in a directory

    # ------------------------------------------------------------------------------------------------------------------------------ the door
    def submit(self, records: np.ndarray, attachments: bytes = b"", *, essential: bool = False) -> Code:
        """Queues them whole for the log, in order; or says why none of them is. `records` is copied. `essential`: also while the disk is full, as long as
        what was set aside before lasts; so is a submit of nothing but what makes risk less."""
        if self.closing or self.stopped:
            return Code.CLOSING if self.closing else Code.STOPPED
        if code := fit_to_seal(records, attachments):
            return code
        with self._lock:
            # Whoever was told RECEIVED must find room: what is staged and what is under way has its bytes set aside before more is let in.
            needed = self._in_flight + self._staging.bytes_at_most(len(records), len(attachments))
            if needed > self._room or (self._full and not (essential or is_essential(records))):
                return Code.DISK_FULL
            return self._staging.put(records, attachments)

    @property
    def staged(self) -> int:
        return self._staging.count

    def tick_if_idle(self, wall: int) -> bool:
        """Stages a TICK when nothing else has moved the log's time for a period. True if it did."""
        if self._staging.count or wall - self.clockwork.last < self.tick_period:
            return False
        return self.submit(self._tick, essential=True) is Code.NONE         # a full disk stops business, not the time by which quotes and holds end

    def welcome(self) -> Welcome:
        return Welcome(self.number, self.epoch, self.streams.position, self.cell.fingerprint)

    # ------------------------------------------------------------------------------------------------------------------------------ the step
    def step(self, wall: int, monotonic: int | None = None) -> list[Told]:
        """Everything staged, through to the streams, in this thread."""
        entries = self.seal(wall, monotonic)
        if not entries:
            return []
        self.commit(entries)
        told = [self.apply(entry) for entry in entries]
        for each in told:
            self.tell(each)
        return told

    def seal(self, wall: int, monotonic: int | None = None) -> list[Entry]:
        """What was staged, as entries that follow the log's last. Raises Broken when the clock stepped."""
        if self.stopped:
            raise Broken(self.stopped)
        try:
            time = self.clockwork.read(wall, monotonic)
        except Broken as fault:
            self.stopped = str(fault)
            raise
        with self._lock:
            if not self._staging.count:
                return []
            taken, self._staging = self._staging, self._spare
            self._spare = taken
            self._in_flight = taken.bytes_at_most(0, 0)
        position, committed, entries = self.log.position, self.log.position.sequence, []
        for rows, side in cut(taken.rows[:taken.count], taken.sections):
            entry = seal(cell=self.number, epoch=self.epoch, first_sequence=position.sequence + 1, time=time, committed=committed, side=side,
                         previous_hash=position.hash, fingerprint=self.cell.fingerprint, results_hash=self.results.position.hash, records=rows.view(np.uint8))
            entries.append(entry)
            position = position.after(entry)
        taken.clear()                                   # an entry has its own bytes
        return entries

    def commit(self, entries: Sequence[Entry]) -> None:
        """Returns when they are durable. Their room was set aside when they were let in, so a full disk does not stop them."""
        try:
            self.log.append_many(entries, essential=True)
        except Exception as fault:
            self.stopped = f"the log did not take sequence {entries[0].first_sequence}: {fault}"
            raise
        with self._lock:
            self._in_flight = 0
            self._see_room()

    def prepare(self) -> bool:
        """Room ahead, a little at a time, while nothing waits: the log's next segment, or a full disk asked again. True while there is more to do."""
        try:
            done = self.log.prepare()
            if self.results.full:
                self.results.prepare()
        except Exception as fault:
            self.stopped = f"the log could not make room after sequence {self.log.position.sequence}: {fault}"
            raise
        with self._lock:
            self._see_room()
        return done > 0

    @property
    def full(self) -> DiskFull | None:
        """Why new business is refused."""
        return self.log.full or self.results.full

    def _see_room(self) -> None:
        self._room, self._full = self.log.room(), self.full is not None

    def apply(self, entry: Entry) -> Told:
        """One committed entry; its events are kept before they are given back."""
        return self.keep(entry, self.run(entry))

    def keep(self, entry: Entry, events: np.ndarray) -> Told:
        try:
            self.results.append(entry.first_sequence, entry.last_sequence, entry.time, events)
        except Exception as fault:
            self.stopped = self.stopped or f"the results of sequence {entry.first_sequence} were not kept: {fault}"
            raise
        self._full = self._full or self.results.full is not None
        if self.archive is not None:
            self.archive.applied(entry)
        return Told(entry.first_sequence, entry.last_sequence, entry.time, events)

    def tell(self, told: Told) -> np.ndarray:
        """To the streams; the rows of those that grew."""
        return self.streams.add(*told)

    def run(self, entry: Entry) -> np.ndarray:
        """The events of one entry, from the cell and nothing else."""
        try:
            events = run(self.cell, entry)
        except Exception as fault:
            self.stopped = self.stopped or f"the core stopped in the entry of sequence {entry.first_sequence}: {fault}"
            raise
        return events

    # --------------------------------------------------------------------------------------------------------------------------------- views
    def view(self, name: str, argument: bytes) -> tuple[int, bytes]:
        """Position and JSON of a view of the state. Only between entries: it reads the cell."""
        return self.cell.sequence, views.answer(name, argument, self._tables, told_by(self.results), self.facts())

    def recall(self, name: str, argument: bytes) -> tuple[int, bytes]:
        """Position and JSON of a view of the log (views.LOG_VIEWS). At any time, also while an entry is applied, but by one thread alone."""
        position = self.streams.position
        if self.archive is None:
            raise views.UnknownView(f"{name} is a view of the log, and this node keeps none in a directory")
        return position, self.archive.view(name, argument, position)

    def facts(self) -> Mapping[str, Any]:
        return {"cell_number": self.number, "epoch": self.epoch, "committed": self.log.position.sequence, "applied": self.cell.sequence, "staged": self.staged,
                "room_bytes": self._room, "full": self._full, "stopped": self.stopped, "closing": self.closing, "fingerprint": self.cell.fingerprint.hex(),
                "log_time_ns": self.clockwork.last}


def run(cell: Cell, entry: Entry, skipped: Collection[int] = ()) -> np.ndarray:
    """Applies an entry whole, but for the commands that are `skipped`, and checks that the cell took all of it."""
    if cell.sequence + 1 != entry.first_sequence:
        raise Broken(f"the cell stands at sequence {cell.sequence}; the entry begins at {entry.first_sequence}")
    events = joined(cell.run(commands_of(entry, skipped), entry.time), EVENT)
    if cell.sequence != entry.last_sequence:
        raise Broken(f"the cell took {cell.sequence - entry.first_sequence + 1} of the {entry.count} commands from sequence {entry.first_sequence}")
    return events


def told_by(results: Any) -> streams.Results:
    """What streams and views read: a writer or a reader of results as (first, last, time, events)."""
    return lambda sequence: ((kept.first_sequence, kept.last_sequence, kept.time, np.frombuffer(kept.events, EVENT)) for kept in results.read(sequence))


def catch_up(cell: Cell, chunks: Iterable[Sequence[Entry]], results: Results, skipped: Collection[int] = (), trial: Trial | None = None) -> int:
    """Applies what the log has beyond the cell. What the results already tell must come out again to the byte, what they lack is tried before and then
    appended: returns how many entries that was. Raises Broken at the first difference."""
    rebuilt, reach = 0, results.position.sequence
    told = iter(told_by(results)(cell.sequence + 1) if reach > cell.sequence else ())
    for chunk in chunks:
        known = [entry for entry in chunk if entry.last_sequence <= reach]
        for entry in known:
            again(cell, entry, skipped, next(told, (0, 0, 0, np.empty(0, EVENT))))
        if trial is not None:                           # nobody knows that anyone lived through these
            trial.look(cell, chunk[len(known):])
            skipped = trial.skipped
        for entry in chunk[len(known):]:
            results.append(entry.first_sequence, entry.last_sequence, entry.time, run(cell, entry, skipped))
            rebuilt += 1
    return rebuilt


def again(cell: Cell, entry: Entry, skipped: Collection[int], told: tuple[int, int, int, np.ndarray]) -> None:
    """Applies an entry that was told before. Raises Broken unless what was told is what the cell says of it now; names the first sequence that differs."""
    first, last, _, kept = told
    if (first, last) != (entry.first_sequence, entry.last_sequence):
        raise Broken(f"the results hold {first} to {last} where the log has the entry {entry.first_sequence} to {entry.last_sequence}")
    check_decided(kept, skipped)
    events = run(cell, entry, skipped)
    if kept.tobytes() != events.tobytes():
        raise Broken(f"what was told and what the log says differ at sequence {_first_difference(kept, events)}; this release is not the one that told it, "
                     "or the results were changed")


def check_decided(told: np.ndarray, skipped: Collection[int]) -> None:
    """Raises Broken where results say that a command was left out and no decision does: the core would die in it."""
    if undecided := left_out_by(told).difference(skipped):
        raise Broken(f"the results say that a decision left out sequence {min(undecided)}, and none can be read behind it: the log is damaged there; "
                     "`cambist verify` says where")


def _first_difference(kept: np.ndarray, events: np.ndarray) -> int:
    for a, b in zip(kept, events, strict=False):
        if a.tobytes() != b.tobytes():
            return int(min(a["sequence"], b["sequence"]))
    return int(max(kept, events, key=len)[min(len(kept), len(events))]["sequence"])


def start(cell: Cell, log: Log, results: Results, tail: Iterable[Sequence[Entry]], reader: Any = None, skipped: Collection[int] = (),
          trial: Trial | None = None, streams: Streams | None = None, **settings: Any) -> Node:
    """A node that goes on where it stood: `cell` as of a snapshot that the results reach, or a fresh one; `tail` the log's entries after it, in chunks.
    `reader` reads the results for the streams where another thread writes them."""
    catch_up(cell, tail, results, skipped, trial)
    if not cell.sequence == log.position.sequence == results.position.sequence:
        raise Broken(f"the log ends at sequence {log.position.sequence}, the cell stands at {cell.sequence}, the results at {results.position.sequence}")
    streams = streams or Streams(told_by(reader or results))
    streams.read_on()
    return Node(cell, log, results, streams, **settings)


def numbered(disk: Disk, directory: str, results: Any, told: streams.Results, reach: int) -> Streams:
    """The streams as they stood at sequence `reach`: from the newest snapshot of their numbers that is of these results, and what was told since."""
    kept, folder = Streams(told), f"{directory}/{NUMBERS}"
    for name in reversed(snapshot.snapshot_names(disk, folder)):
        try:
            if int(name[-20:]) <= reach and _of_these(results, (found := snapshot.load(disk, f"{folder}/{name}")).manifest):
                kept.resume(found.tables)
                break
        except (snapshot.SnapshotDamaged, ValueError):
            continue                                    # an older one will do, or none: then they are counted again
    kept.read_on(reach)
    return kept


def _of_these(results: Any, manifest: snapshot.Manifest) -> bool:
    entry = results.find(manifest.sequence)
    return entry is not None and entry.last_sequence == manifest.sequence and entry.own_hash.hex() == manifest.results_hash


def open_node(disk: Disk, directory: str, *, number: int, fresh: Callable[[], Cell], load: Callable[[Any], Cell], segment_bytes: int = SEGMENT_BYTES,
              reserves: tuple[int, int] = (0, 0), say: Callable[[str], None] = lambda line: None, mirror: Copy | None = None,
              both: Both = one_after_the_other, probe: Probe | None = None, rules: int = RULES, passed: Callable[[str], None] = lambda part: None,
              **settings: Any) -> Node:
    """The node of a directory: its log is opened and locked, made equal with its mirror, its results cut where torn, the newest snapshot that the results
    reach loaded, the tail applied and compared. `reserves`: bytes set aside for what is essential on a full disk, in the log and in the results. `probe`:
    how entries are tried whose results nobody kept. `say` is told what a crash had left and what became of it, `passed` which part of the work is done.
    Raises Broken, Damaged, DiskError."""
    log_reserve, results_reserve = reserves
    now = current(disk, directory)
    check_release(now, rules)
    newest, damaged = newest_state(disk, directory, now)
    passed("snapshot")
    settings["epoch"] = now.number
    here, begin = Copy(disk, f"{directory}/log"), newest.manifest.position if newest else None
    kept: list[KeptResults] = []
    compared: list[Compared] = []

    def first() -> Witness:
        kept.append(KeptResults.open(disk, f"{directory}/results", cell=number, reserve_bytes=results_reserve))
        reach = kept[0].position.sequence
        witness = known(disk, directory, snapshot=begin.sequence if begin else 0, results=reach)
        if mirror:
            base = newest if newest is None or newest.manifest.sequence <= reach else newest_state(disk, directory, now, reach)[0]
            compared.append(reconcile(here, mirror, cell=number, start=base.manifest.position if base else None, witness=witness))     # all that is read below
        return witness

    log = Journal.open(PairDisk(here, mirror, both) if mirror else disk, here.directory, cell=number, segment_bytes=segment_bytes,
                       reserve_bytes=log_reserve, start=begin, first=first)
    passed("log")
    try:
        (results,) = kept
        reach = min(results.position.sequence, log.position.sequence)       # from a later snapshot the results could not be rebuilt
        found = newest if newest is None or newest.manifest.sequence <= reach else newest_state(disk, directory, now, reach)[0]
        cell = load(found.tables) if found else fresh()
        passed("state")
        replay = Replay(disk, here.directory, cell=number, after=found.manifest.position if found else None, unproven=True)
        left_out = skipped(decisions(disk, here.directory, found.manifest.sequence if found else 0))
        trial = Trial(probe, log, results, left_out, number=number, epoch=settings["epoch"], ticker=settings.get("ticker", 0), say=say) if probe else None
        reach = results.position.sequence
        reader = ResultsReader(disk, f"{directory}/results", cell=number)
        node = start(cell, log, results, replay.chunks(), reader, left_out, trial, numbered(disk, directory, reader, told_by(reader), reach), number=number,
                     **settings)
        node.archive = Archive(disk, directory, cell=number, known=reader)
        replay.close()
        passed("tail")
    except BaseException:
        log.close()
        raise
    for line in (*_healed(compared), *_found(log, results, reach, found, damaged)):
        say(line)
    return node


def _healed(compared: Iterable[Compared]) -> Iterable[str]:
    """What was not equal between log and mirror, and which of them was right."""
    for each in compared:
        if each.findings:
            yield str(each)
        yield from map(str, each.findings)


def _found(log: Journal, results: KeptResults, reach: int, found: snapshot.Snapshot | None, damaged: Iterable[snapshot.SnapshotDamaged]) -> Iterable[str]:
    """What opening had to cut, finish, write again or pass over, and where it began."""
    if log.opening.torn:
        yield f"cut: {log.opening.torn}"
    if log.opening.finished_closing:
        yield f"finished closing {log.opening.finished_closing}"
    if results.cut:
        yield f"cut: {results.cut.file}: {results.cut.nbytes} bytes from offset {results.cut.offset} were no whole results"
    if results.position.sequence > reach:
        yield f"results of sequence {reach + 1} to {results.position.sequence} written again from the log"
    for each in damaged:
        yield f"passed over: {each}"
    if found:
        yield f"began with the snapshot at sequence {found.manifest.sequence}, {log.position.sequence - found.manifest.sequence} commands after it"


def close_node(node: Node) -> None:
    """Makes the results durable and gives the log back, closed."""
    if node.archive is not None:
        node.archive.close()
    try:
        node.results.close()
    finally:
        node.log.close()
