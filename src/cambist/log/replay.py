"""Replay: the entries of a journal directory in order, read-only, also while a writer appends.

Decides which entries a reader may believe. Must not know what they do, and holds no lock: the writer never waits for a reader.

An entry that was written but not yet synced looks like any other. While a writer runs, only what it has told of is committed: a later entry's
`committed`, a close mark, or a later segment says so. Without a writer (the caller holds the lock, or knows) every whole entry that chains counts.
"""
from collections import deque
from collections.abc import Iterator

from cambist.log.disk import SECTOR_BYTES, Disk, File
from cambist.log.entry import MAX_RECORDS, Entry
from cambist.log.journal import first_position, segment_names
from cambist.log.segment import Damaged, Header, Position, Walk, check_header, is_marked, read_header

MAX_CHUNK_RECORDS = 1 << 20
CHUNK_RECORDS = 65_536
READ_BYTES = 1 << 20                       # at once; a reader that polls the end of a live segment reads this much zeros each time


class Replay:
    """A cursor over one journal. `chunk()` gives what is there, an empty list for nothing yet; ask again later. `position` is after the last given."""

    def __init__(self, disk: Disk, directory: str, *, cell: int | None = None, after: Position | None = None, unproven: bool = False):
        """Begins after position `after` (a snapshot's; the chain must pass through it), or at the beginning. `unproven`: also give entries that nothing
        yet calls committed; right when no writer runs. What waits for its proof is at most one segment."""
        self._disk, self._directory, self._cell, self._unproven = disk, directory, cell, unproven
        self._start = after
        self.position = after or Position()
        self._file: File | None = None
        self._path, self._first, self._header = "", 0, Header(0, 0, 0, Position())
        self._opened_again = 0                              # the segment that was
        self._offset, self._walked = 0, Position()          # how far this has read
        self._held: deque[tuple[int, Position, Entry]] = deque()        # read, not yet proven: where it stands, and what it follows
        self._ready: deque[Entry] = deque()                 # proven, not yet given; at most one chunk and one entry
        self._ready_records = 0

    def chunk(self, max_records: int = CHUNK_RECORDS) -> list[Entry]:
        """The next entries, together at most `max_records` records. Damaged where the journal is not what was written."""
        if not MAX_RECORDS <= max_records <= MAX_CHUNK_RECORDS:
            raise ValueError(f"max_records: {max_records}; right would be {MAX_RECORDS} (a single entry may have them) to {MAX_CHUNK_RECORDS}")
        while self._ready_records < max_records and self._read(max_records):
            pass
        taken, room = [], max_records
        while self._ready and self._ready[0].count <= room:
            entry = self._ready.popleft()
            taken.append(entry)
            room -= entry.count
            self._ready_records -= entry.count
            self.position = self.position.after(entry)
        return taken

    def chunks(self, max_records: int = CHUNK_RECORDS) -> Iterator[list[Entry]]:
        """Chunks until nothing more is there now."""
        while taken := self.chunk(max_records):
            yield taken

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def _read(self, max_records: int) -> bool:
        """Reads on in this segment, or goes to the next. False when there is nothing more now, or enough."""
        names = segment_names(self._disk, self._directory)      # before reading: if a later segment is there, this one is whole
        if self._file is None and not self._open_first(names):
            return False
        assert self._file
        walk = Walk(self._file, self._header, self._offset, self._walked, READ_BYTES)
        idle = True
        for at, entry in walk:
            before, idle = self._walked, False
            self._offset, self._walked = walk.offset, walk.after
            self._take(at, before, entry)
            if self._ready_records >= max_records:
                return False
        if (idle or walk.chain_fault) and self._cut():
            return True
        if walk.chain_fault:
            raise Damaged(self._path, self._offset, self._walked.sequence + 1, walk.why())
        later = next((name for name in names if int(name[8:28]) > self._first), None)
        marked = is_marked(self._file, self._header, self._offset, self._walked)
        if later and not marked and self._offset == SECTOR_BYTES and self._first != self._opened_again:
            self._opened_again = self._first                    # empty when it was opened: a start may have removed it and made it anew
            self._open(self._path.rpartition("/")[2], self._header.number, self._walked)
            return True
        if later and not marked:
            raise Damaged(self._path, self._offset, self._walked.sequence + 1, f"a later segment follows, and here is no close mark: {walk.why()}")
        if marked:
            self._prove(self._walked.sequence)
        if later:
            self._open(later, self._header.number + 1, self._walked)
        return later is not None

    def _open_first(self, names: list[str]) -> bool:
        """Opens the segment that holds the entry after the position. False if there is none yet."""
        if not names:
            return False
        wanted = self.position.sequence + 1
        name = max((name for name in names if int(name[8:28]) <= wanted), default=names[0])
        first = int(name[8:28])
        self._open(name, None, first_position(f"{self._directory}/{name}", first, self._start))
        return True

    def _open(self, name: str, number: int | None, before: Position | None) -> None:
        path = f"{self._directory}/{name}"
        file = self._disk.open(path)
        try:
            header = read_header(file, path)
            check_header(header, path, self._cell, number, before)
        except BaseException:
            file.close()
            raise
        self.close()
        self._file, self._path, self._first, self._header, self._cell = file, path, header.before.sequence + 1, header, header.cell
        self._offset, self._walked = SECTOR_BYTES, header.before

    def _cut(self) -> bool:
        """Whether something that was read and not proven stands there no more: a writer that began again has cut it, for nobody was told of it. Then it is
        read from there again."""
        assert self._file
        for i, (at, before, entry) in enumerate(self._held):
            if self._file.pread(len(entry.data), at) != bytes(entry.data):
                self._offset, self._walked = at, before
                while len(self._held) > i:
                    self._held.pop()
                return True
        return False

    def _take(self, at: int, before: Position, entry: Entry) -> None:
        start = self._start
        if start and entry.first_sequence <= start.sequence:
            if entry.last_sequence > start.sequence or (entry.last_sequence == start.sequence and entry.own_hash != start.hash):
                raise Damaged(self._path, at, start.sequence, f"the position {start.hash.hex()[:16]}… to begin after is not the end of an entry of this chain")
            return
        self._held.append((at, before, entry))
        self._prove(entry.last_sequence if self._unproven else entry.committed)

    def _prove(self, sequence: int) -> None:
        while self._held and self._held[0][2].last_sequence <= sequence:
            entry = self._held.popleft()[2]
            self._ready.append(entry)
            self._ready_records += entry.count
