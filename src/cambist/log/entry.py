"""The entry: one batch of commands as the bytes that are journaled, sent and hashed.

Decides the layout of those bytes and whether some bytes are an entry. Must not know what a record means, where entries are kept, or who sends them.

    header 144 | records, 128 bytes each | side section, a multiple of 8 | sha256 of everything before, 32

Architecture invariant: the bytes of an entry are the same in the journal, on the wire and under the hash; nothing re-encodes them.
"""
from enum import Enum
from hashlib import sha256
from struct import Struct

import msgspec

from cambist.messages import RECORD_BYTES

MAGIC, VERSION = b"CBE1", 1
#               magic  version cell  epoch count side flags  first time committed  previous fingerprint results
HEADER = Struct("<4s    H       H     I     I     I    I      q     q    q          32s      32s         32s")
DECIDES = 1                                                      # the only flag: side item 1 says what the house decided about the log itself
HASH_BYTES = 32
FRAME_BYTES = HEADER.size + HASH_BYTES                           # what an entry costs beside its records and side section
MAX_ENTRY_BYTES = 512 * 1024
MAX_RECORDS = (MAX_ENTRY_BYTES - FRAME_BYTES) // RECORD_BYTES    # 4,094
MAX_SIDE_BYTES = MAX_ENTRY_BYTES - FRAME_BYTES - RECORD_BYTES    # beside at least one record
MAX_SEQUENCE = MAX_TIME = (1 << 63) - 1
GENESIS = bytes(HASH_BYTES)                                      # the previous hash of the first entry
_SIDE_LENGTH = Struct("<I")


class Fault(Enum):
    """Why bytes are not an entry, and what would be right."""
    SHORT = f"the bytes end before the entry does; an entry has at least {FRAME_BYTES + RECORD_BYTES} bytes and all its header promises"
    MAGIC = "the first four bytes are not 'CBE1'"
    VERSION = f"the version is not {VERSION}, the only one this release reads"
    FLAGS = "undefined flags are set; all but DECIDES must be zero"
    LENGTH = f"count must be 1 to {MAX_RECORDS}, side_length a multiple of 8, and the whole at most {MAX_ENTRY_BYTES} bytes"
    HASH = "the last 32 bytes are not the sha256 of those before"
    RANGE = "first_sequence must be 1 or more, last sequence within int64, time 0 or more, committed from 0 to first_sequence - 1"


class EntryError(ValueError):
    """Fields that cannot be sealed, or bytes that are no entry. `fault` is set for the latter."""
    def __init__(self, text: str, fault: Fault | None = None):
        super().__init__(text)
        self.fault = fault


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One entry: its fields, and views of its bytes. `time` in ns, as sealed; `data` is the whole entry. The views share the buffer it came from."""
    cell: int
    epoch: int
    count: int
    first_sequence: int
    time: int
    committed: int
    previous_hash: bytes
    fingerprint: bytes
    results_hash: bytes
    records: memoryview
    side: memoryview
    own_hash: bytes
    data: memoryview
    flags: int = 0

    @property
    def last_sequence(self) -> int:
        return self.first_sequence + self.count - 1


def seal(*, cell: int, epoch: int, first_sequence: int, time: int, committed: int, previous_hash: bytes, fingerprint: bytes, results_hash: bytes,
         records, side=b"", flags: int = 0) -> Entry:
    """Seals a batch: `records` any contiguous buffer of 128-byte records, `side` the bytes of a SideSection. Each is copied once."""
    records, side = memoryview(records), memoryview(side)       # once: NumPy describes its layout again for every reader
    record_bytes, side_length = records.nbytes, side.nbytes
    count, rest = divmod(record_bytes, RECORD_BYTES)
    if rest or not 1 <= count <= MAX_RECORDS:
        raise EntryError(f"records: {record_bytes} bytes; right would be 1 to {MAX_RECORDS} records of {RECORD_BYTES} bytes")
    if side_length % 8:
        raise EntryError(f"side: {side_length} bytes; right would be a multiple of 8, as SideSection makes it")
    if FRAME_BYTES + record_bytes + side_length > MAX_ENTRY_BYTES:
        raise EntryError(f"entry: {FRAME_BYTES + record_bytes + side_length} bytes with {count} records; the most is {MAX_ENTRY_BYTES}")
    if flags & ~DECIDES:
        raise EntryError(f"flags: {flags:#x}; right would be 0 or {DECIDES}")
    _check_fields(cell, epoch, first_sequence, count, time, committed)
    for name, value in (("previous_hash", previous_hash), ("fingerprint", fingerprint), ("results_hash", results_hash)):
        if len(value) != HASH_BYTES:
            raise EntryError(f"{name}: {len(value)} bytes; right would be {HASH_BYTES}")
    header = HEADER.pack(MAGIC, VERSION, cell, epoch, count, side_length, flags, first_sequence, time, committed, previous_hash, fingerprint, results_hash)
    digest = sha256(header)
    digest.update(records)
    if side_length:
        digest.update(side)
    own_hash = digest.digest()
    data = memoryview(bytearray().join((header, records, side, own_hash)))
    records_end = HEADER.size + record_bytes
    return Entry(cell, epoch, count, first_sequence, time, committed, previous_hash, fingerprint, results_hash,
                 data[HEADER.size:records_end], data[records_end:records_end + side_length], own_hash, data, flags)


def _check_fields(cell: int, epoch: int, first_sequence: int, count: int, time: int, committed: int) -> None:
    for name, value, low, high in (("cell", cell, 0, 0xFFFF), ("epoch", epoch, 0, 0xFFFF_FFFF), ("first_sequence", first_sequence, 1, MAX_SEQUENCE - count + 1),
                                   ("time", time, 0, MAX_TIME), ("committed", committed, 0, first_sequence - 1)):
        if not low <= value <= high:
            raise EntryError(f"{name}: {value}; right would be {low} to {high}")


def decode(buffer) -> Entry:
    """The entry that these bytes are, whole and nothing more, or EntryError. `buffer` must not change afterwards."""
    found = scan(buffer)
    if isinstance(found, Fault):
        raise EntryError(f"not an entry ({found.name}): {found.value}", found)
    if (rest := memoryview(buffer).nbytes - found.data.nbytes):
        raise EntryError(f"{rest} bytes follow the entry of {found.data.nbytes} bytes; right would be none", Fault.LENGTH)
    return found


def scan(buffer, offset: int = 0) -> Entry | Fault:
    """The entry that starts at `offset` of `buffer` (bytes or a view of bytes; more may follow), or the first fault that tells it is none."""
    if offset < 0:
        raise ValueError(f"offset: {offset}; right would be 0 or more")
    view = memoryview(buffer)
    there = len(view) - offset
    if there < HEADER.size:
        return Fault.MAGIC if there >= 4 and view[offset:offset + 4] != MAGIC else Fault.SHORT
    (magic, version, cell, epoch, count, side_length, flags, first_sequence, time, committed,
     previous_hash, fingerprint, results_hash) = HEADER.unpack_from(view, offset)
    if magic != MAGIC:
        return Fault.MAGIC
    if version != VERSION:
        return Fault.VERSION
    if flags & ~DECIDES:
        return Fault.FLAGS
    length = FRAME_BYTES + count * RECORD_BYTES + side_length
    if not count or side_length % 8 or length > MAX_ENTRY_BYTES:
        return Fault.LENGTH
    if there < length:
        return Fault.SHORT
    data = view[offset:offset + length].toreadonly()
    own_hash = bytes(data[-HASH_BYTES:])
    if sha256(data[:-HASH_BYTES]).digest() != own_hash:
        return Fault.HASH
    if not (1 <= first_sequence <= MAX_SEQUENCE - count + 1 and time >= 0 and 0 <= committed < first_sequence):
        return Fault.RANGE
    records_end = HEADER.size + count * RECORD_BYTES
    return Entry(cell, epoch, count, first_sequence, time, committed, previous_hash, fingerprint, results_hash,
                 data[HEADER.size:records_end], data[records_end:-HASH_BYTES], own_hash, data, flags)


class SideSection:
    """Builds the side section of one entry. An item is a u4 length and its bytes, padded to 8; a record names it by 1 + its offset / 8, and 0 is none."""
    __slots__ = ("_parts", "nbytes")

    def __init__(self):
        self._parts: list[bytes] = []
        self.nbytes = 0

    def add(self, item: bytes) -> int:
        """Takes one item and returns its side number; EntryError when it cannot fit in any entry."""
        size = _SIDE_LENGTH.size + len(item)
        padded = size + -size % 8
        if self.nbytes + padded > MAX_SIDE_BYTES:
            raise EntryError(f"side item of {len(item)} bytes: the section would have {self.nbytes + padded} bytes; the most is {MAX_SIDE_BYTES}")
        number = 1 + self.nbytes // 8
        self._parts += (_SIDE_LENGTH.pack(len(item)), bytes(item), bytes(padded - size))
        self.nbytes += padded
        return number

    def __bytes__(self) -> bytes:
        return b"".join(self._parts)


def side_item(entry: Entry, side: int) -> bytes:
    """The bytes that a record's `side` number names; EntryError when the section holds no such item."""
    offset, section = (side - 1) * 8, entry.side
    if side < 1 or offset + _SIDE_LENGTH.size > len(section):
        raise EntryError(f"side number {side} in the entry of sequence {entry.first_sequence}; right would be 1 to {len(section) // 8}")
    (length,) = _SIDE_LENGTH.unpack_from(section, offset)
    start = offset + _SIDE_LENGTH.size
    padded_end = start + length + -(start + length) % 8
    if padded_end > len(section) or any(section[start + length:padded_end]):
        raise EntryError(f"side number {side} in the entry of sequence {entry.first_sequence} names {length} bytes that are no whole, zero-padded item")
    return bytes(section[start:start + length])
