"""One segment: a file that holds a run of entries, and what its bytes may and may not be.

Decides the layout of a segment and tells a torn tail from damage. Must not know who writes, when a segment ends, or what follows from damage.

    header 512 | entry | entry | ... | zeros to the sector | close mark 512 | the same close mark 512

The header says what came before, the close mark what the chain has reached. A mark is synced before its copy is written, so a crash while closing
leaves a mark and zeros, and a flipped bit in either leaves the other to tell. An open segment is zeros from its last entry to its full size.
"""
from collections.abc import Iterator
from hashlib import sha256
from itertools import pairwise
from struct import Struct

import msgspec

from cambist.log.disk import SECTOR_BYTES, Readable
from cambist.log.entry import GENESIS, HASH_BYTES, MAGIC, MAX_ENTRY_BYTES, Entry, Fault, scan

SEGMENT_VERSION = 1
HEADER_MAGIC, MARK_MAGIC = b"CBJOURNL", b"CBCLOSED"
MARK_BYTES = 2 * SECTOR_BYTES
OVERHEAD_BYTES = SECTOR_BYTES + MARK_BYTES                        # what a segment costs beside its entries
WINDOW_BYTES = 4 << 20                                            # read at once; at least one entry of the largest size
#                 magic version cell zero  number  size  sequence epoch zero  time hash
_SECTOR = Struct("<8s     H      H     I     q      q      q        I     I     q    32s")
_BODY_BYTES = SECTOR_BYTES - HASH_BYTES


class Position(msgspec.Struct, frozen=True, gc=False):
    """How far a chain has come: the last entry's last sequence, its own hash, its epoch and time. The default is before the first entry."""
    sequence: int = 0
    hash: bytes = GENESIS
    epoch: int = 0
    time: int = 0

    def after(self, entry: Entry) -> "Position":
        return Position(entry.last_sequence, entry.own_hash, entry.epoch, entry.time)


class Damaged(Exception):
    """The log is not what was written: which file, from which offset, and the first sequence that can no longer be trusted. Nothing was cut."""
    def __init__(self, file: str, offset: int, sequence: int, what: str):
        super().__init__(f"{file} is damaged at offset {offset}, sequence {sequence}: {what}. Restore the file from a mirror or a replica; nothing was changed")
        self.file, self.offset, self.sequence, self.what = file, offset, sequence, what


class TornTail(msgspec.Struct, frozen=True):
    """Bytes at the end of an open segment that a crash left of writes nobody was told about."""
    file: str
    offset: int
    sequence: int          # the first that is not there
    nbytes: int

    def __str__(self) -> str:
        return f"{self.file}: {self.nbytes} bytes from offset {self.offset} were never acknowledged (sequence {self.sequence} on)"


class Header(msgspec.Struct, frozen=True):
    """The first sector: which segment of which cell, how large when open, and where the chain stood before it."""
    cell: int
    number: int
    segment_bytes: int
    before: Position


class Segment(msgspec.Struct, frozen=True):
    """What a segment was found to be. `end` is the offset after its last entry; `torn` is set only if the tail may be cut."""
    path: str
    header: Header
    after: Position
    end: int
    closed: bool
    half_closed: bool = False      # the first mark is there, its copy is not: a crash while closing
    torn: TornTail | None = None


def header_sector(header: Header) -> bytes:
    return seal_sector(HEADER_MAGIC, header.cell, header.number, header.segment_bytes, header.before)


def mark_sector(header: Header, end: int, after: Position) -> bytes:
    return seal_sector(MARK_MAGIC, header.cell, header.number, end, after)


def sector_up(offset: int) -> int:
    return offset + -offset % SECTOR_BYTES


def chain_fault(before: Position, entry: Entry, cell: int) -> str | None:
    """Why `entry` does not follow `before`, or None if it does."""
    if entry.cell != cell:
        return f"the entry is of cell {entry.cell}; right would be cell {cell}"
    if entry.first_sequence != before.sequence + 1:
        return f"the entry begins at sequence {entry.first_sequence}; right would be {before.sequence + 1}"
    if entry.previous_hash != before.hash:
        return f"the entry names {entry.previous_hash.hex()[:16]}… as the hash before it; right would be {before.hash.hex()[:16]}…"
    if entry.epoch < before.epoch:
        return f"the entry is of epoch {entry.epoch}; right would be {before.epoch} or later"
    if entry.time < before.time:
        return f"the entry's time is {entry.time} ns; right would be {before.time} or later"
    return None


def read_header(file: Readable, path: str) -> Header:
    """The header, or Damaged."""
    sector = file.pread(SECTOR_BYTES, 0)
    fields = open_sector(sector, HEADER_MAGIC)
    if fields is None:
        raise Damaged(path, 0, _sequence_in(path), f"the segment header is not what was sealed, or not of version {SEGMENT_VERSION}")
    cell, number, segment_bytes, before = fields
    return Header(cell, number, segment_bytes, before)


class Walk:
    """Iterates over (offset, entry) of one segment while entries are whole and chain; then `offset`, `after`, `fault` say where and why it stopped."""

    def __init__(self, file: Readable, header: Header, offset: int = SECTOR_BYTES, after: Position | None = None, window_bytes: int = WINDOW_BYTES):
        self._file, self._cell, self._window_bytes = file, header.cell, window_bytes
        self.offset, self.after = offset, after or header.before
        self.fault: Fault | None = None
        self.chain_fault: str | None = None

    def __iter__(self) -> Iterator[tuple[int, Entry]]:
        size, base, window = self._file.size(), self.offset, memoryview(b"")
        while True:
            if base + len(window) - self.offset < MAX_ENTRY_BYTES and base + len(window) < size:
                base, window = self.offset, memoryview(self._file.pread(self._window_bytes, self.offset))
                size = size if len(window) else base
            found = scan(window, self.offset - base)
            if isinstance(found, Fault):
                self.fault = found
                return
            self.chain_fault = chain_fault(self.after, found, self._cell)
            if self.chain_fault:
                return
            at, self.offset, self.after = self.offset, self.offset + len(found.data), self.after.after(found)
            yield at, found

    def why(self) -> str:
        return self.chain_fault or (f"no entry ({self.fault.name}): {self.fault.value}" if self.fault else "no fault")


def examine(file: Readable, path: str, *, cell: int | None, number: int | None, before: Position | None, last: bool, visit=None) -> Segment:
    """Reads a whole segment and says what it is, or raises Damaged. None for what is not known yet; `last`: no segment follows; `visit(offset, entry)`."""
    header = read_header(file, path)
    check_header(header, path, cell, number, before)
    walk = Walk(file, header)
    for offset, entry in walk:
        if visit:
            visit(offset, entry)
    end, after, size = walk.offset, walk.after, file.size()
    tail = file.pread(max(size - end, 0), end)
    if (half := _closing(header, path, end, after, tail, last)) is not None:
        return Segment(path, header, after, end, closed=not half, half_closed=half)
    if not last:
        raise Damaged(path, end, after.sequence + 1, f"a later segment follows, and here is neither an entry nor a close mark: {walk.why()}")
    if size != header.segment_bytes:
        raise Damaged(path, min(end, size), after.sequence + 1,
                      f"the file has {size} bytes and no valid close mark; an open segment has {header.segment_bytes}: {walk.why()}")
    if is_zero(tail):
        return Segment(path, header, after, end, closed=False)
    if walk.chain_fault or walk.fault is Fault.VERSION:         # whole, or of another release: a lost write leaves neither
        raise Damaged(path, end, after.sequence + 1, walk.why())
    refuse_damage_before_valid_bytes(header, path, end, after, tail, walk.why())
    nbytes = len(tail.rstrip(b"\0"))
    return Segment(path, header, after, end, closed=False, torn=TornTail(path, end, after.sequence + 1, nbytes))


def check_header(header: Header, path: str, cell: int | None, number: int | None, before: Position | None) -> None:
    """Damaged unless the header is that of the segment expected here."""
    sequence = header.before.sequence + 1
    if _sequence_in(path) != sequence:
        raise Damaged(path, 0, sequence, f"the file name says sequence {_sequence_in(path)}, its header {sequence}; was the file renamed?")
    if cell is not None and header.cell != cell:
        raise Damaged(path, 0, sequence, f"the segment is of cell {header.cell}; right would be cell {cell}")
    if number is not None and header.number != number:
        raise Damaged(path, 0, sequence, f"this is segment {header.number} and {number} should be here; a segment is missing")
    if before is not None and header.before != before:
        raise Damaged(path, 0, before.sequence + 1, f"the segment continues from {header.before}; right would be {before}; a segment is missing or foreign")


def read_link(file: Readable, path: str) -> tuple[Header, Position]:
    """Header and end of a closed segment without reading its entries, or Damaged."""
    header, size = read_header(file, path), file.size()
    marks = file.pread(MARK_BYTES, max(size - MARK_BYTES, 0))
    fields = open_sector(marks[:SECTOR_BYTES], MARK_MAGIC)
    if fields is None or marks[:SECTOR_BYTES] != marks[SECTOR_BYTES:] or fields[:2] != (header.cell, header.number):
        raise Damaged(path, max(size - MARK_BYTES, 0), header.before.sequence + 1, "a later segment follows, and this file does not end in its close mark")
    return header, fields[3]


def is_marked(file: Readable, header: Header, end: int, after: Position) -> bool:
    """Whether the close mark of this segment stands behind `end`, once or twice."""
    mark = mark_sector(header, end, after)
    marks = file.pread(MARK_BYTES, sector_up(end))
    return mark in (marks[:SECTOR_BYTES], marks[SECTOR_BYTES:])


def _closing(header: Header, path: str, end: int, after: Position, tail: bytes, last: bool) -> bool | None:
    """None if no mark of this segment stands after `end`; else whether it is only half closed. Damaged if a mark is there and anything else is wrong."""
    pad = sector_up(end) - end
    mark = mark_sector(header, end, after)
    first, copy, rest = tail[pad:pad + SECTOR_BYTES], tail[pad + SECTOR_BYTES:pad + MARK_BYTES], tail[pad + MARK_BYTES:]
    if mark not in (first, copy):
        return None
    sequence = after.sequence + 1
    if not is_zero(tail[:pad]):
        raise Damaged(path, end, sequence, "the padding before the close mark is not zero")
    if first != mark:
        raise Damaged(path, end + pad, sequence, "the close mark differs from its copy")
    if not is_zero(rest) or (rest and not last):
        raise Damaged(path, end + pad + MARK_BYTES, sequence, "something follows the close mark; nothing may")
    if copy == mark:
        return False
    if last and len(copy) == SECTOR_BYTES and is_zero(copy):
        return True
    raise Damaged(path, end + pad + SECTOR_BYTES, sequence, "the copy of the close mark differs from it")


def refuse_damage_before_valid_bytes(header: Header, path: str, end: int, after: Position, tail: bytes, why: str) -> None:
    """A torn tail holds nothing valid, except later entries of the same lost write. Those say so: no later entry calls the torn one committed, and
    where a write is missing the sectors still hold the zeros they were made of. Anything else valid after a bad entry means the bad one was good once."""
    sequence = after.sequence + 1
    at = tail.find(MARK_MAGIC)
    while at >= 0:
        fields = open_sector(tail[at:at + SECTOR_BYTES], MARK_MAGIC) if (end + at) % SECTOR_BYTES == 0 else None
        if fields is not None and fields[:2] == (header.cell, header.number):
            raise Damaged(path, end, sequence, f"the segment was closed with a mark at offset {end + at}, and before it: {why}")
        at = tail.find(MARK_MAGIC, at + 1)
    view = memoryview(tail)
    at = tail.find(MAGIC)
    while at >= 0:
        if at % 8 == 0 and isinstance(later := scan(view, at), Entry) and (later.committed >= sequence or not misses_a_sector(tail[:at], end)):
            raise Damaged(path, end, sequence, f"a valid entry of sequence {later.first_sequence} follows at offset {end + at}, and before it: {why}")
        at = tail.find(MAGIC, at + 1)


def misses_a_sector(region: bytes, offset: int) -> bool:
    """Whether some sector (or the part of one) within these bytes of the file was never written."""
    cuts = sorted({0, *range(-offset % SECTOR_BYTES, len(region), SECTOR_BYTES), len(region)})
    return any(is_zero(region[low:high]) for low, high in pairwise(cuts))


def seal_sector(magic: bytes, cell: int, number: int, size: int, position: Position) -> bytes:
    fields = _SECTOR.pack(magic, SEGMENT_VERSION, cell, 0, number, size, position.sequence, position.epoch, 0, position.time, position.hash)
    body = fields.ljust(_BODY_BYTES, b"\0")
    return body + sha256(body).digest()


def open_sector(sector: bytes, magic: bytes) -> tuple[int, int, int, Position] | None:
    """(cell, number, size, position) of a sealed sector of this kind, or None."""
    if len(sector) != SECTOR_BYTES or sector[:8] != magic or sha256(sector[:_BODY_BYTES]).digest() != sector[_BODY_BYTES:]:
        return None
    _, version, cell, _, number, size, sequence, epoch, _, time, own_hash = _SECTOR.unpack_from(sector)
    return (cell, number, size, Position(sequence, own_hash, epoch, time)) if version == SEGMENT_VERSION else None


def is_zero(data: bytes) -> bool:
    return data == bytes(len(data))


def segment_name(first_sequence: int) -> str:
    return f"journal-{first_sequence:020d}.cbj"


def _sequence_in(path: str) -> int:
    return int(path.rsplit("-", 1)[-1].split(".", 1)[0])
