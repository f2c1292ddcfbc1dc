"""The journal: entries appended to segment files, one write and one sync for all that is handed over together.

Decides what is durable, in which file, and what may be cut at the start. Must not know what an entry means, who waits for it, or the time.

Architecture invariant: what `propose` returned from is on the disk; what was never returned from may be cut; anything else that is missing or wrong
raises Damaged. Architecture invariant: a segment that has its close mark is never written again.
"""
import re
from collections.abc import Callable, Sequence

import msgspec

from cambist.log.disk import SECTOR_BYTES, Disk, DiskError, DiskFailed, DiskFull, DiskMissing, File, Lock
from cambist.log.entry import MAX_ENTRY_BYTES, Entry
from cambist.log.segment import (
    MARK_BYTES,
    OVERHEAD_BYTES,
    Damaged,
    Header,
    Position,
    Segment,
    TornTail,
    chain_fault,
    check_header,
    examine,
    header_sector,
    mark_sector,
    read_header,
    read_link,
    sector_up,
    segment_name,
)

SEGMENT_BYTES = 64 << 20
MIN_SEGMENT_BYTES = 4096
MAX_BATCH_ENTRIES = 64                     # in one append_many: at 512 KiB each they fit into a segment of the default size with its frame to spare
SPARE_SLICE_BYTES = 64 << 10               # zeros written at once into the next segment
SPARE_SYNC_BYTES = 1 << 20                 # and synced so often, so that no sync has much to do
_ZEROS = bytes(SPARE_SLICE_BYTES)
_SEGMENT_NAME = re.compile(r"journal-\d{20}\.cbj")
SPARE_NAME, RESERVE_NAME, LOCK_NAME = "journal-spare.cbj", "journal-reserve.cbj", "journal.lock"
RESERVE_BYTES = 4 << 20                    # of a node: room for some 13,000 cancels, each in an entry of its own, when there is none for orders


class JournalError(Exception):
    """The caller's mistake: an entry that does not follow, is too large, or a journal that is closed. Nothing was written."""


class Witness(msgspec.Struct, frozen=True):
    """Up to which sequence entries are known to have been committed, and who knows it. What is missing or bad below is rot and never a torn tail."""
    sequence: int = 0
    who: str = "nobody"


NOBODY = Witness()


class Opening(msgspec.Struct, frozen=True):
    """What opening found and did."""
    segments: int
    entries: int                           # read and checked
    last: Position
    torn: TornTail | None                  # what was cut, if anything
    finished_closing: str | None           # the file whose close mark a crash had interrupted


class Journal:
    """One cell's log on one disk; `Journal.open` makes one. Not for two threads at once."""

    def __init__(self, disk: Disk, directory: str, cell: int, segment_bytes: int, reserve_bytes: int, lock: Lock):
        self._disk, self._directory, self._cell, self._segment_bytes, self._lock = disk, directory, cell, segment_bytes, lock
        self._reserve_bytes = reserve_bytes
        self.position = Position()
        self.opening: Opening
        self.full: DiskFull | None = None               # why new business is refused
        self._failed: DiskError | None = None
        self._closed = False
        self._file: File | None = None                  # the open segment; None until the first entry after a clean close
        self._header: Header
        self._end = self._limit = 0                     # where the next entry goes in it, and what entries may reach; no room without a segment
        self._next_number = 0
        self._spare: File | None = None
        self._spare_bytes = self._spare_synced = 0      # how far the spare is zeroed, and durably so
        self._reserve: File | None = None               # a small segment that takes the spare's place when the disk is full

    @classmethod
    def open(cls, disk: Disk, directory: str, *, cell: int, segment_bytes: int = SEGMENT_BYTES, reserve_bytes: int = 0,
             start: Position | None = None, first: Callable[[], Witness] = Witness) -> "Journal":
        """Locks the directory, checks the chain (all of it, or from `start`, a snapshot's position), cuts a torn tail. DiskLocked, Damaged, DiskError.

        In an empty directory the first entry must follow `start`. `first` is called when the lock is held and nothing has been looked at or cut: it makes
        two copies equal, and says what is known to be committed. `reserve_bytes`: of a last segment for what is essential; 0 for none.
        """
        for name, size in (("segment_bytes", segment_bytes), ("reserve_bytes", reserve_bytes or segment_bytes)):
            if size < MIN_SEGMENT_BYTES or size % SECTOR_BYTES:
                raise JournalError(f"{name}: {size}; right would be a multiple of {SECTOR_BYTES}, {MIN_SEGMENT_BYTES} at least")
        disk.make_directory(directory)
        journal = cls(disk, directory, cell, segment_bytes, reserve_bytes, disk.lock(f"{directory}/{LOCK_NAME}"))
        try:
            journal._recover(start, first())
        except BaseException:
            journal._release()
            raise
        return journal

    # --- the log port ----------------------------------------------------------------------------------------------------------------------------

    def propose(self, entry: Entry, *, essential: bool = False) -> None:
        """Returns when the entry is durable. `essential` may use the last room when the disk is full; everything else is refused with DiskFull then."""
        self.append_many((entry,), essential=essential)

    def committed(self) -> int:
        """The last sequence that is durable."""
        return self.position.sequence

    def append_many(self, entries: Sequence[Entry], *, essential: bool = False) -> None:
        """Several entries by one write and one sync, in order. An entry that calls an earlier one of them committed starts a write of its own, so that
        whatever a crash leaves shows which entries nobody was told about."""
        self._check_usable()
        positions = self._check_batch(entries)
        try:
            self._make_spare()                          # after a refusal: somebody may have freed space
            self._check_room(entries, essential)
            run: list[Entry] = []
            before, end = self.position, self._end
            for entry, position in zip(entries, positions, strict=True):
                fits = end + len(entry.data) <= self._limit
                if run and (not fits or entry.committed > self.position.sequence):
                    self._write(run, before)
                    run = []
                if not fits:
                    self._roll()
                    end = self._end
                run.append(entry)
                before, end = position, end + len(entry.data)
            self._write(run, before)
            self._make_spare()
        except DiskError as error:
            self._fatal(error)
            raise

    def room(self) -> int:
        """How many bytes of entries are sure to be accepted, in any sizes, without more disk space."""
        self._check_usable()
        here = self._limit - self._end
        following = max(self._following_bytes() - OVERHEAD_BYTES, 0)
        return max(here, following, here + following - MAX_ENTRY_BYTES + 8)

    def prepare(self, budget: int = SPARE_SLICE_BYTES) -> int:
        """Zeroes up to `budget` bytes of the next segment and returns how many it did, 0 when nothing is left to do. Call it when nothing waits.

        Space is reserved without it. But a sync into blocks that were never written also waits for the file system's own journal (measured on ext4:
        p50 0.17-0.24 ms against 0.11), so a quiet node gets the quicker sync for free and a busy one does not write everything twice."""
        self._check_usable()
        try:
            self._make_spare()
            return self._zero_spare(budget)
        except DiskError as error:
            self._fatal(error)
            raise

    def close(self) -> None:
        """Seals the open segment with its close mark and gives up the lock. After a DiskFailed only the lock."""
        if self._closed:
            return
        try:
            if not self._failed:
                if self._file and self._end == SECTOR_BYTES:
                    self._file.close()                  # it holds nothing: as if it had never been begun
                    self._file = None
                    self._disk.remove(self._path(segment_name(self.position.sequence + 1)))
                    self._disk.sync_directory(self._directory)
                elif self._file:
                    self._close_segment()
                self._drop_spare()
        finally:
            self._release()

    # --- append ----------------------------------------------------------------------------------------------------------------------------------

    def _check_usable(self) -> None:
        if self._closed:
            raise JournalError(f"the journal in {self._directory} is closed; open it again")
        if self._failed:
            raise self._failed

    def _check_batch(self, entries: Sequence[Entry]) -> list[Position]:
        """The position after each entry, if all follow and each fits into a segment."""
        if not 1 <= len(entries) <= MAX_BATCH_ENTRIES:
            raise JournalError(f"{len(entries)} entries at once; right would be 1 to {MAX_BATCH_ENTRIES}")
        position, positions = self.position, []
        for entry in entries:
            if why := chain_fault(position, entry, self._cell):
                raise JournalError(f"entry of sequence {entry.first_sequence} refused: {why}")
            if len(entry.data) > self._segment_bytes - OVERHEAD_BYTES:
                raise JournalError(f"entry of sequence {entry.first_sequence} has {len(entry.data)} bytes; "
                                   f"a segment of {self._segment_bytes} takes {self._segment_bytes - OVERHEAD_BYTES}")
            position = position.after(entry)
            positions.append(position)
        return positions

    def _check_room(self, entries: Sequence[Entry], essential: bool) -> None:
        """One batch may go into the open segment and the spare, no further; that both are there is seen before anything is written."""
        if self.full and not essential:
            raise self.full
        rolled, end, limit, following = False, self._end, self._limit, self._following_bytes()
        for entry in entries:
            end += len(entry.data)
            if end > limit:
                if rolled and self.full:
                    raise self.full
                if rolled:
                    raise JournalError(f"{len(entries)} entries of together {sum(len(e.data) for e in entries)} bytes at once need more than one new segment "
                                       f"of {self._segment_bytes}; hand over fewer at once")
                rolled, end, limit = True, SECTOR_BYTES + len(entry.data), following - MARK_BYTES
                if self.full and end > limit:
                    raise self.full

    def _write(self, run: list[Entry], position: Position) -> None:
        """One pwrite and one sync; the only place where entries become durable. `position` is after the last of the run."""
        assert self._file
        self._file.pwrite(run[0].data if len(run) == 1 else [entry.data for entry in run], self._end)
        self._file.sync()
        self._end += sum(len(entry.data) for entry in run)
        self.position = position

    def _fatal(self, error: DiskError) -> None:
        """A storage call that fails leaves unknown what is durable: the journal is unusable from then on. DiskFull is harmless only before a write."""
        if error is self.full:
            return
        if isinstance(error, DiskFull):
            self._failed = DiskFailed("write", self._directory, f"refused in space that was reserved: {error}")
            raise self._failed from error
        self._failed = error

    # --- segments --------------------------------------------------------------------------------------------------------------------------------

    def _roll(self) -> None:
        """Closes the open segment and starts the spare as the next. The spare gets its header before its name, so no segment is ever without one."""
        if self._file:
            self._close_segment()
        size, file, name = self._following_bytes(), self._spare or self._reserve, SPARE_NAME if self._spare else RESERVE_NAME
        assert file
        header = Header(self._cell, self._next_number, size, self.position)
        file.pwrite(header_sector(header), 0)
        file.sync()
        self._disk.rename(self._path(name), self._path(segment_name(self.position.sequence + 1)))
        self._disk.sync_directory(self._directory)
        if self._spare:
            self._spare = None
        else:
            self._reserve = None
        self._file, self._header = file, header
        self._end, self._limit = SECTOR_BYTES, size - MARK_BYTES
        self._next_number += 1

    def _following_bytes(self) -> int:
        """How large the segment after this one can be now: the spare, or else the reserve, or none."""
        return self._segment_bytes if self._spare else self._reserve_bytes if self._reserve else 0

    def _close_segment(self) -> None:
        assert self._file
        finish_closing(self._file, self._header, self._end, self.position)
        self._file.close()
        self._file, self._end, self._limit = None, 0, 0

    def _make_spare(self) -> None:
        """Takes the space of the next segment, whole, and of the reserve; what fails is remembered in `full` and tried again at the next call."""
        if self._spare and (self._reserve or not self._reserve_bytes):
            return
        try:
            if not self._reserve and self._reserve_bytes:
                self._reserve = self._disk.create(self._path(RESERVE_NAME), self._reserve_bytes)
            if not self._spare:
                self._spare = self._disk.create(self._path(SPARE_NAME), self._segment_bytes)
                self._spare_bytes = self._spare_synced = 0
            self.full = None
        except DiskFull as error:
            self.full = error

    def _take_reserve(self) -> None:
        """The reserve of an earlier life, if it is what it should be: on a full disk there would be no other."""
        path = self._path(RESERVE_NAME)
        if RESERVE_NAME not in self._disk.list_directory(self._directory):
            return
        try:
            file = self._disk.open(path, write=True)
            if file.size() == self._reserve_bytes:
                self._reserve = file
                return
            file.close()
        except DiskMissing:                                     # one of two copies has none
            pass
        self._disk.remove(path)

    def _zero_spare(self, budget: int) -> int:
        if self._spare is None:
            return 0
        done, target = 0, min(self._segment_bytes, self._spare_bytes + sector_up(max(budget, 0)))
        while self._spare_bytes < target:
            step = min(SPARE_SLICE_BYTES, target - self._spare_bytes)
            try:
                self._spare.pwrite(_ZEROS[:step], self._spare_bytes)
            except DiskFull as error:                           # a file system that copies on write
                self.full = error
                self._drop_spare()
                break
            self._spare_bytes += step
            done += step
            if self._spare_bytes - self._spare_synced >= SPARE_SYNC_BYTES or self._spare_bytes == self._segment_bytes:
                self._spare.sync()
                self._spare_synced = self._spare_bytes
        return done

    def _drop_spare(self) -> None:
        if self._spare:
            self._spare.close()
            self._spare = None
            self._disk.remove(self._path(SPARE_NAME))

    def _release(self) -> None:
        self._closed = True
        for file in (self._file, self._spare, self._reserve):
            if file:
                file.close()
        self._lock.release()

    def _path(self, name: str) -> str:
        return f"{self._directory}/{name}"

    # --- opening ---------------------------------------------------------------------------------------------------------------------------------

    def _recover(self, start: Position | None, witness: Witness) -> None:
        names = segment_names(self._disk, self._directory)
        entries = 0

        def count(_offset: int, _entry: Entry) -> None:
            nonlocal entries
            entries += 1

        last = examine_all(self._disk, self._directory, names, self._cell, start, count)
        torn = last.torn if last else None
        check_witness(self._directory, last, start, witness)
        if last:
            self.position, self._next_number = last.after, last.header.number + 1
            self._resume(last)
        elif start:
            self.position = start
        if SPARE_NAME in self._disk.list_directory(self._directory):
            self._disk.remove(self._path(SPARE_NAME))          # of whatever a crash left in it, nothing was acknowledged
        self._take_reserve()
        self._make_spare()
        if self._file is None:
            self._zero_spare(self._segment_bytes)               # it is needed at once
        self.opening = Opening(len(names), entries, self.position, torn, last.path if last and last.half_closed else None)

    def _resume(self, last: Segment) -> None:
        """Makes durable what was found, and goes on in the last segment unless it is closed."""
        file = self._disk.open(last.path, write=True)
        if last.torn:
            file.pwrite(bytes(last.torn.nbytes), last.torn.offset)
        file.sync()                                             # valid entries may have been only in the operating system's memory
        self._disk.sync_directory(self._directory)              # and so may the name of the segment
        if last.half_closed or (last.closed and file.size() > sector_up(last.end) + MARK_BYTES):
            finish_closing(file, last.header, last.end, last.after)
        if last.closed or last.half_closed:
            file.close()
            return
        self._file, self._header, self._end, self._limit = file, last.header, last.end, last.header.segment_bytes - MARK_BYTES


def check_witness(directory: str, last: Segment | None, start: Position | None, witness: Witness) -> None:
    """Damaged where the log ends, torn or not, before what is known to be committed."""
    reached = last.after.sequence if last else start.sequence if start else 0
    if reached < witness.sequence:
        raise Damaged(last.path if last else directory, last.end if last else 0, reached + 1,
                      f"the log ends here, and {witness.who} knows sequence {witness.sequence} to be committed: this is rot and no torn tail")


def finish_closing(file: File, header: Header, end: int, after: Position) -> None:
    """Writes the close mark, its copy, and gives back the space behind; each durable before the next. Done again after a crash, it changes nothing."""
    mark, at = mark_sector(header, end, after), sector_up(end)
    file.pwrite(mark, at)
    file.sync()
    file.pwrite(mark, at + SECTOR_BYTES)
    file.sync()
    file.truncate(at + MARK_BYTES)
    file.sync()


def segment_names(disk: Disk, directory: str) -> list[str]:
    """Names of the segment files in the order of their first sequence; none if the directory does not exist."""
    try:
        return [name for name in disk.list_directory(directory) if _SEGMENT_NAME.fullmatch(name)]
    except DiskMissing:
        return []


def examine_all(disk: Disk, directory: str, names: list[str], cell: int | None, start: Position | None, visit=None) -> Segment | None:
    """Checks every segment, and only the links of those that end at or before `start`; returns the last one. Damaged, at the first thing wrong."""
    number, before, last = None, None, None
    firsts = [int(name[8:28]) for name in names]
    if names:
        before = first_position(f"{directory}/{names[0]}", firsts[0], start)
    for i, name in enumerate(names):
        path, is_last = f"{directory}/{name}", i + 1 == len(names)
        skip = bool(start and not is_last and firsts[i + 1] <= start.sequence + 1)
        file = disk.open(path)
        try:
            if skip:
                header, after = read_link(file, path)
                check_header(header, path, cell, number, before)
            else:
                last = examine(file, path, cell=cell, number=number, before=before, last=is_last, visit=_at_start(visit, path, start))
                header, after = last.header, last.after
        finally:
            file.close()
        if start and after.sequence == start.sequence and after != start:
            raise Damaged(path, 0, start.sequence, f"the chain is at {after.hash.hex()[:16]}… there; the snapshot says {start.hash.hex()[:16]}…")
        cell, number, before = header.cell, header.number + 1, after
    if start and before and before.sequence < start.sequence:
        raise Damaged(f"{directory}/{names[-1]}", last.end if last else 0, before.sequence + 1,
                      f"the journal ends before the snapshot, which is at {start.sequence}")
    return last


def first_position(path: str, first: int, start: Position | None) -> Position | None:
    """Where the chain stands before the first segment, if that is known. Damaged if entries before it are missing."""
    wanted = start.sequence + 1 if start else 1
    if first == wanted:
        return start or Position()
    if first > wanted:
        raise Damaged(path, 0, wanted, f"the first segment begins at sequence {first}; right would be {wanted} or before (a later snapshot would also do)")
    return None


def _at_start(visit, path: str, start: Position | None):
    """`visit`, and a check that the chain passes through `start`."""
    if not start:
        return visit

    def checked(offset: int, entry: Entry) -> None:
        inside = entry.first_sequence <= start.sequence < entry.last_sequence
        if inside or (entry.last_sequence == start.sequence and entry.own_hash != start.hash):
            raise Damaged(path, offset, start.sequence, f"the snapshot's position {start.hash.hex()[:16]}… is not the end of an entry of this chain")
        if visit:
            visit(offset, entry)
    return checked


class Finding(msgspec.Struct, frozen=True):
    """One thing wrong: `torn` for a tail that opening would cut, otherwise damage; `healed` when it was made right from another copy."""
    file: str
    offset: int
    sequence: int
    what: str
    torn: bool = False
    healed: bool = False

    def __str__(self) -> str:
        return f"{self.file}: byte {self.offset}, sequence {self.sequence}: {self.what}{' (healed)' if self.healed else ''}"


class Verification(msgspec.Struct, frozen=True):
    """What a read-only walk over everything found."""
    segments: int
    entries: int
    records: int
    last: Position
    closed: bool
    findings: tuple[Finding, ...]


def verify(disk: Disk, directory: str, *, cell: int | None = None, start: Position | None = None) -> Verification:
    """Walks every segment read-only; the first thing wrong in each is a finding, with the offset of the first bad entry or sector.

    `start`: the oldest snapshot's position, where segments before it were removed by the retention rule.
    """
    names, findings, number, before, last = segment_names(disk, directory), [], None, None, None
    entries = records = 0

    def count(_offset: int, entry: Entry) -> None:
        nonlocal entries, records
        entries, records = entries + 1, records + entry.count

    for i, name in enumerate(names):
        path = f"{directory}/{name}"
        file = disk.open(path)
        try:
            before = first_position(path, int(name[8:28]), start) if i == 0 else before
            last = examine(file, path, cell=cell, number=number, before=before, last=i + 1 == len(names), visit=count)
            cell, number, before = last.header.cell, last.header.number + 1, last.after
            if last.torn:
                findings.append(Finding(path, last.torn.offset, last.torn.sequence, str(last.torn), torn=True))
        except Damaged as damage:
            findings.append(Finding(path, damage.offset, damage.sequence, damage.what))
            number = before = last = None
            try:
                number = read_header(file, path).number + 1
            except Damaged:
                pass
        finally:
            file.close()
    return Verification(len(names), entries, records, before or Position(), bool(last and last.closed), tuple(findings))
