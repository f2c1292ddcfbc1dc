"""The results journal: what the core answered, one results entry per log entry, chained by hash.

Decides how answers are kept and found again. Must not know what an event means beyond the sequence it belongs to, nor how it was computed: the chain
depends on the events, sequences and times of the log's entries only, never on how many were applied at once.

It is off the acknowledgement path: `append` writes, `sync` makes durable. So the end of its last file may be torn, or wrong after a crash; that is cut
and told, and the node rebuilds it by applying the log again from `position`. A file that another follows was synced first: damage there is Damaged.
"""
import re
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from struct import Struct

import msgspec
import numpy as np

from cambist.log.disk import SECTOR_BYTES, Disk, DiskError, DiskFailed, DiskFull, DiskMissing, File
from cambist.log.entry import HASH_BYTES, MAX_SEQUENCE, Fault
from cambist.log.lookup import INDEX_BYTES, Index, hop
from cambist.log.segment import Damaged, Header, Position, TornTail, check_header, open_sector, seal_sector
from cambist.messages import EVENT, EVENT_BYTES

MAGIC, VERSION = b"CBR1", 1
#               magic  version cell count flags first last time previous
HEADER = Struct("<4s    H       H     I     I     q     q    q    32s")
FRAME_BYTES = HEADER.size + HASH_BYTES
MAX_EVENTS = 1 << 18                       # of one results entry: 24 MiB
MAX_RESULTS_BYTES = FRAME_BYTES + MAX_EVENTS * EVENT_BYTES
FILE_BYTES = 256 << 20                     # a file that has reached this is followed by the next
READ_BYTES = 1 << 20
RESERVE_BYTES = 16 << 20                   # of a node: room for what cancels say when there is none for orders
_FILE_MAGIC = b"CBRESULT"
_NAME = re.compile(r"results-\d{20}\.cbr")
_RESERVE_NAME = "results.reserve"


class ResultsError(ValueError):
    """The caller's mistake; nothing was written."""


class ResultsEntry(msgspec.Struct, frozen=True, gc=False):
    """The answers to one log entry. `events` is `count` events of 96 bytes."""
    cell: int
    count: int
    first_sequence: int
    last_sequence: int
    time: int
    previous_hash: bytes
    events: memoryview
    own_hash: bytes
    nbytes: int


def seal_results(cell: int, first_sequence: int, last_sequence: int, time: int, previous_hash: bytes, events) -> tuple[list, bytes]:
    """(its bytes in three parts, own hash) of one results entry; `events` any contiguous buffer, which is not copied."""
    events = memoryview(events)
    count, rest = divmod(events.nbytes, EVENT_BYTES)
    if rest or count > MAX_EVENTS:
        raise ResultsError(f"events: {events.nbytes} bytes; right would be at most {MAX_EVENTS} events of {EVENT_BYTES} bytes")
    if not 1 <= first_sequence <= last_sequence <= MAX_SEQUENCE or time < 0:
        raise ResultsError(f"sequences {first_sequence} to {last_sequence} at time {time}; right would be 1 <= first <= last, time >= 0")
    header = HEADER.pack(MAGIC, VERSION, cell, count, 0, first_sequence, last_sequence, time, previous_hash)
    digest = sha256(header)
    digest.update(events)
    own_hash = digest.digest()
    return [header, events, own_hash], own_hash


def scan_results(view: memoryview, offset: int = 0) -> ResultsEntry | Fault:
    """The results entry at `offset`, or why there is none (faults as for entries)."""
    there = len(view) - offset
    if there < HEADER.size:
        return Fault.MAGIC if there >= 4 and view[offset:offset + 4] != MAGIC else Fault.SHORT
    magic, version, cell, count, flags, first, last, time, previous_hash = HEADER.unpack_from(view, offset)
    if magic != MAGIC:
        return Fault.MAGIC
    if version != VERSION:
        return Fault.VERSION
    if flags:
        return Fault.FLAGS
    length = FRAME_BYTES + count * EVENT_BYTES
    if count > MAX_EVENTS:
        return Fault.LENGTH
    if there < length:
        return Fault.SHORT
    data = view[offset:offset + length]
    own_hash = bytes(data[-HASH_BYTES:])
    if sha256(data[:-HASH_BYTES]).digest() != own_hash:
        return Fault.HASH
    if not 1 <= first <= last or time < 0:
        return Fault.RANGE
    return ResultsEntry(cell, count, first, last, time, previous_hash, data[HEADER.size:-HASH_BYTES], own_hash, length)


class Results:
    """The writer; `Results.open` makes one. The journal's lock guards it too. `position` is the last results entry's sequence and hash."""

    def __init__(self, disk: Disk, directory: str, cell: int, file_bytes: int, reserve_bytes: int = 0):
        self._disk, self._directory, self._cell, self._file_bytes, self._reserve_bytes = disk, directory, cell, file_bytes, reserve_bytes
        self.full: DiskFull | None = None              # why new business is refused: what was set aside is being used, or could not be
        self.position: Position = Position()
        self.cut: TornTail | None = None               # what opening cut
        self._file: File | None = None
        self._end = self._number = 0
        self._failed: DiskError | None = None
        self.reader = ResultsReader(disk, directory, cell=cell)

    @classmethod
    def open(cls, disk: Disk, directory: str, *, cell: int, file_bytes: int = FILE_BYTES, reserve_bytes: int = 0,
             start: Position | None = None) -> "Results":
        """Checks the last file whole and cuts its torn or damaged tail (see `cut`). In an empty directory results begin after `start`. `reserve_bytes`: set
        aside for when the disk is full; 0 for none."""
        if file_bytes < 2 * SECTOR_BYTES:
            raise ResultsError(f"file_bytes: {file_bytes}; right would be {2 * SECTOR_BYTES} at least")
        disk.make_directory(directory)
        results = cls(disk, directory, cell, file_bytes, reserve_bytes)
        results._recover(Position(start.sequence, start.hash, 0, start.time) if start else Position())
        results.prepare()
        return results

    def append(self, first_sequence: int, last_sequence: int, time: int, events) -> bytes:
        """Writes the answers to the log entry of these sequences and time; returns the new results hash. Durable after `sync`, or never."""
        if self._failed:
            raise self._failed
        if first_sequence != self.position.sequence + 1 or time < self.position.time:
            raise ResultsError(f"results of sequence {first_sequence} at time {time}; "
                               f"right would be {self.position.sequence + 1} at {self.position.time} or later")
        parts, own_hash = seal_results(self._cell, first_sequence, last_sequence, time, self.position.hash, events)
        try:
            self._write(parts)
        except DiskFull as error:
            if not self._use_reserve(error):
                raise
            self._write(parts)
        self._end += sum(memoryview(part).nbytes for part in parts)
        self.position = Position(last_sequence, own_hash, 0, time)
        return own_hash

    def _write(self, parts: list) -> None:
        """Wholly or not at all, as far as a full disk goes."""
        if self._file is None or self._end >= self._file_bytes:
            self.roll()
        assert self._file
        with self._fatal():
            try:
                self._file.pwrite(parts, self._end)
            except DiskFull:
                self._file.truncate(self._end)         # whatever part was written
                raise

    def prepare(self) -> None:
        """Sets aside what is to be set aside, if there is room; else `full` says why there is not."""
        if not self._reserve_bytes or self._failed:
            return
        path = f"{self._directory}/{_RESERVE_NAME}"
        with self._fatal():
            if _RESERVE_NAME in self._disk.list_directory(self._directory):
                if _size(self._disk, path) == self._reserve_bytes:
                    return
                self._disk.remove(path)
            try:
                self._disk.create(path, self._reserve_bytes).close()
                self.full = None
            except DiskFull as error:
                self.full = error

    def _use_reserve(self, error: DiskFull) -> bool:
        """Gives the disk what was set aside; False when that is gone already."""
        self.full = error
        if not self._reserve_bytes or _RESERVE_NAME not in self._disk.list_directory(self._directory):
            return False
        with self._fatal():
            self._disk.remove(f"{self._directory}/{_RESERVE_NAME}")
        return True

    def sync(self) -> None:
        """Makes durable all that was appended. Never tried again once it failed."""
        if self._failed:
            raise self._failed
        with self._fatal():
            if self._file:
                self._file.sync()

    def roll(self) -> None:
        """Begins the next file. Also for a new epoch: what another file follows is never cut, so answers of an older kernel stay as they were given."""
        if self._file and self._end == SECTOR_BYTES:
            return
        self.sync()
        with self._fatal():
            path = f"{self._directory}/results-{self.position.sequence + 1:020d}.cbr"
            file = self._disk.create(path)
            try:
                file.pwrite(seal_sector(_FILE_MAGIC, self._cell, self._number, self._file_bytes, self.position), 0)
            except DiskFull:
                file.close()
                self._disk.remove(path)
                raise
            file.sync()
            self._disk.sync_directory(self._directory)
        if self._file:
            self._file.close()
        self._file, self._end, self._number = file, SECTOR_BYTES, self._number + 1

    def close(self) -> None:
        """Syncs, unless the disk failed, and closes."""
        try:
            if not self._failed:
                self.sync()
        finally:
            if self._file:
                self._file.close()
                self._file = None

    @contextmanager
    def _fatal(self):
        """After a failed storage call nobody knows what is durable: no further one is made."""
        try:
            yield
        except DiskFailed as error:
            self._failed = error
            raise

    def read(self, from_sequence: int) -> Iterator[ResultsEntry]:
        return self.reader.read(from_sequence)

    def find(self, sequence: int) -> ResultsEntry | None:
        return self.reader.find(sequence)

    def _recover(self, start: Position) -> None:
        names = results_names(self._disk, self._directory)
        while names and _header_of(self._disk, self._directory, names[-1]) is None:       # a crash while the file was begun
            path = f"{self._directory}/{names.pop()}"
            self.cut = TornTail(path, 0, int(path[-24:-4]), _size(self._disk, path))
            self._disk.remove(path)
            self._disk.sync_directory(self._directory)
        if not names:
            self.position = start
            return
        path = f"{self._directory}/{names[-1]}"
        header = _header_of(self._disk, self._directory, names[-1])
        assert header
        check_header(header, path, self._cell, None, None)
        if int(names[0][8:28]) > start.sequence + 1:
            raise Damaged(f"{self._directory}/{names[0]}", 0, start.sequence + 1,
                          f"the first results file begins later; right would be {start.sequence + 1} or before")
        file = self._disk.open(path, write=True)
        walk = ResultsWalk(file, header, SECTOR_BYTES, header.before)
        for _ in walk:
            pass
        if (nbytes := file.size() - walk.offset) > 0:
            self.cut = TornTail(path, walk.offset, walk.after.sequence + 1, nbytes)
            file.truncate(walk.offset)
            file.sync()
        self._disk.sync_directory(self._directory)                                        # the file's name may have been only in the operating system's memory
        self._file, self._end, self._number, self.position = file, walk.offset, header.number + 1, walk.after


class ResultsReader:
    """Reads results, also from another process while the node writes: what is not whole yet is not there yet."""

    def __init__(self, disk: Disk, directory: str, *, cell: int | None = None, known: "ResultsReader | None" = None):
        """`known`: a reader of the same directory in another thread; what it has learned of where things are is copied."""
        self._disk, self._directory, self._cell = disk, directory, cell
        self._index: dict[str, Index] = {path: (list(rows[0]), list(rows[1])) for path, rows in known._index.items()} if known else {}

    def read(self, from_sequence: int) -> Iterator[ResultsEntry]:
        """Results entries in order, from the one that holds `from_sequence`, to the last whole one. Damaged where a file is not what was written."""
        names = results_names(self._disk, self._directory)
        at = bisect_right([int(name[8:28]) for name in names], from_sequence) - 1
        if names and at < 0:
            raise Damaged(f"{self._directory}/{names[0]}", 0, from_sequence, f"results before sequence {int(names[0][8:28])} are not kept here")
        before = None
        for i in range(max(at, 0), len(names)):
            path, header = f"{self._directory}/{names[i]}", _header_of(self._disk, self._directory, names[i])
            if header is None:
                if i + 1 < len(names):
                    raise Damaged(path, 0, int(names[i][8:28]), "the file header is not what was sealed")
                return                                             # only just begun
            check_header(header, path, self._cell, None, before)
            file = self._disk.open(path)
            try:
                before = yield from self._read_file(file, path, header, from_sequence, last=i + 1 == len(names))
            finally:
                file.close()

    def _read_file(self, file: File, path: str, header: Header, from_sequence: int, last: bool):
        """Yields what one file holds from `from_sequence` on and returns the position at its end; fills the index on the way."""
        sequences, offsets = index = self._index.setdefault(path, ([header.before.sequence + 1], [SECTOR_BYTES]))
        at, first = hop(file, HEADER.size, _framed, from_sequence, index)
        walk = ResultsWalk(file, header, at, header.before if at == SECTOR_BYTES else Position(first - 1, b""))
        for offset, entry in walk:
            if offset - offsets[-1] >= INDEX_BYTES:
                sequences.append(entry.first_sequence)
                offsets.append(offset)
            if entry.last_sequence >= from_sequence:
                yield entry
        if walk.chain_broken or (not last and walk.offset < file.size()):
            raise Damaged(path, walk.offset, walk.after.sequence + 1, walk.why())
        return walk.after

    def find(self, sequence: int) -> ResultsEntry | None:
        """The results entry of the log entry that holds `sequence`; None if it is not there yet."""
        return next(self.read(sequence), None)

    def events_of(self, sequence: int) -> np.ndarray:
        """The events (dtype EVENT) of one command's sequence, in order; none if it is not there yet."""
        found = self.find(sequence)
        rows = np.frombuffer(found.events if found else b"", EVENT)
        return rows[rows["sequence"] == sequence]


def _framed(view: memoryview, offset: int) -> tuple[int, int, int] | None:
    magic, _, _, count, _, first, last, *_ = HEADER.unpack_from(view, offset)
    return (first, last, FRAME_BYTES + count * EVENT_BYTES) if magic == MAGIC and first <= last and count <= MAX_EVENTS else None


class ResultsWalk:
    """Iterates over (offset, results entry) of one file while they are whole and chain; then `offset` and `after` say where it stopped.
    An empty hash in `after` is one not known."""

    def __init__(self, file: File, header: Header, offset: int, after: Position):
        self._file, self._cell, self.offset, self.after = file, header.cell, offset, after
        self.fault: Fault | None = None
        self.chain_broken = False

    def __iter__(self) -> Iterator[tuple[int, ResultsEntry]]:
        base, window = self.offset, memoryview(self._file.pread(READ_BYTES, self.offset))
        while True:
            found = scan_results(window, self.offset - base)
            if found is Fault.SHORT:
                want = max(READ_BYTES, self._length(window, self.offset - base))
                base, window = self.offset, memoryview(self._file.pread(want, self.offset))
                found = scan_results(window)
            if isinstance(found, Fault):
                self.fault = found
                return
            follows = found.first_sequence == self.after.sequence + 1 and self.after.hash in (found.previous_hash, b"")
            if not follows or found.cell != self._cell:
                self.chain_broken = True
                return
            at, self.offset = self.offset, self.offset + found.nbytes
            self.after = Position(found.last_sequence, found.own_hash, 0, found.time)
            yield at, found

    def why(self) -> str:
        if self.fault is None:
            return "the results entry does not follow the one before it"
        return f"no whole results entry ({self.fault.name})"

    def _length(self, window: memoryview, at: int) -> int:
        """How long the entry at `at` says it is."""
        header = window[at:at + HEADER.size] if len(window) - at >= HEADER.size else self._file.pread(HEADER.size, self.offset)
        return FRAME_BYTES + min(HEADER.unpack_from(header)[3], MAX_EVENTS) * EVENT_BYTES if len(header) == HEADER.size else 0


class ResultsTail:
    """Takes what a writer in another process appends, up to where that writer has said that it is whole: so nothing is hashed again. Whoever checks what was
    kept reads with `ResultsReader`."""
    def __init__(self, disk: Disk, directory: str, after: int):
        self.position = after                          # the sequence up to which everything was given
        self._disk, self._directory = disk, directory
        self._file: File | None = None
        self._path, self._at = "", 0

    def read(self, until: int) -> Iterator[tuple[int, int, int, np.ndarray]]:
        """(first, last, time, events) of each entry behind `position` to the one that ends at `until`; the events are a copy. Damaged where they are not."""
        while self.position < until:
            if self._file is None:
                self._open()
            count, first, last, time = self._header() or self._next_file()
            events = np.empty(count, EVENT)
            if count and not self._read_into(memoryview(events.view(np.uint8)), self._at + HEADER.size):
                raise self._damaged()
            self._at += FRAME_BYTES + count * EVENT_BYTES
            self.position = last
            yield first, last, time, events

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> None:
        """The file that holds the next sequence, and where."""
        name = max((name for name in results_names(self._disk, self._directory) if int(name[8:28]) <= self.position + 1), default=None)
        if name is None:
            raise self._damaged()
        self._path = f"{self._directory}/{name}"
        self._file = self._disk.open(self._path)
        self._at, _ = hop(self._file, HEADER.size, _framed, self.position + 1, ([int(name[8:28])], [SECTOR_BYTES]))

    def _header(self) -> tuple[int, int, int, int] | None:
        """(events, first, last, time) of the next entry; None where this file has no more."""
        room = bytearray(HEADER.size)
        if not self._read_into(memoryview(room), self._at):
            return None
        magic, _, _, count, _, first, last, time, _ = HEADER.unpack(room)
        return (count, first, last, time) if magic == MAGIC and first == self.position + 1 <= last and count <= MAX_EVENTS else None

    def _next_file(self) -> tuple[int, int, int, int]:
        self.close()
        self._open()
        if (found := self._header()) is None:
            raise self._damaged()
        return found

    def _read_into(self, room: memoryview, offset: int) -> bool:
        assert self._file
        return self._file.pread_into(room, offset)

    def _damaged(self) -> Damaged:
        return Damaged(self._path or self._directory, self._at, self.position + 1, "there is no results entry where its writer said that there is one")


def verify_results(disk: Disk, directory: str, *, cell: int | None = None) -> tuple[int, Position, list[Damaged | TornTail]]:
    """(entries, last position, findings): every file read, the first thing wrong in each told."""
    entries, before, findings = 0, None, []
    names = results_names(disk, directory)
    for i, name in enumerate(names):
        path, header = f"{directory}/{name}", _header_of(disk, directory, name)
        if header is None:
            findings.append(Damaged(path, 0, int(name[8:28]), "the file header is not what was sealed"))
            before = None
            continue
        file = disk.open(path)
        try:
            check_header(header, path, cell, None, before)
        except Damaged as damage:
            findings.append(damage)
        walk = ResultsWalk(file, header, SECTOR_BYTES, header.before)
        entries += sum(1 for _ in walk)
        rest, before = file.size() - walk.offset, walk.after
        file.close()
        if rest and i + 1 < len(names):
            findings.append(Damaged(path, walk.offset, walk.after.sequence + 1, walk.why()))
        elif rest:
            findings.append(TornTail(path, walk.offset, walk.after.sequence + 1, rest))
    return entries, before or Position(), findings


def check_results_file(disk: Disk, path: str, *, cell: int | None = None) -> int:
    """Reads a file that another follows, and gives its size. Raises Damaged, DiskError."""
    directory, _, name = path.rpartition("/")
    header = _header_of(disk, directory, name)
    if header is None:
        raise Damaged(path, 0, int(name[8:28]), "the file header is not what was sealed")
    check_header(header, path, cell, None, None)
    file = disk.open(path)
    try:
        walk, size = ResultsWalk(file, header, SECTOR_BYTES, header.before), file.size()
        for _ in walk:
            pass
    finally:
        file.close()
    if walk.offset < size:
        raise Damaged(path, walk.offset, walk.after.sequence + 1, walk.why())
    return size


def results_names(disk: Disk, directory: str) -> list[str]:
    try:
        return [name for name in disk.list_directory(directory) if _NAME.fullmatch(name)]
    except DiskMissing:
        return []


def _header_of(disk: Disk, directory: str, name: str) -> Header | None:
    file = disk.open(f"{directory}/{name}")
    try:
        fields = open_sector(file.pread(SECTOR_BYTES, 0), _FILE_MAGIC)
        return Header(*fields) if fields else None
    finally:
        file.close()


def _size(disk: Disk, path: str) -> int:
    file = disk.open(path)
    try:
        return file.size()
    finally:
        file.close()
