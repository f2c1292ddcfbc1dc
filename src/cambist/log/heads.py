"""The heads that were signed: one sector each, in the order of signing, never changed and never removed.

Decides the layout of `heads.cbh` and what may be cut from its end. Must not know how a tree is made, when a head is due, or what follows from a fork.

    header 512: cell, origin, public key | head 512 | head 512 | ...

A head is written here and synced before anyone is shown it. A sector is old or new, so a crash leaves a whole head or none.
"""
from collections.abc import Iterator
from hashlib import sha256
from struct import Struct

import msgspec

from cambist.log.checkpoint import KEY_BYTES, MAX_ORIGIN_BYTES, SIGNATURE_BYTES, Checkpoint, check_origin, note
from cambist.log.disk import SECTOR_BYTES, Disk, DiskMissing, File
from cambist.log.merkle import HASH_BYTES
from cambist.log.segment import Damaged, Position

NAME = "heads.cbh"
HEADS_VERSION = 1
_FILE_MAGIC, _HEAD_MAGIC = b"CBHEADS\n", b"CBSIGNED"
_FILE = Struct(f"<8sHHI{KEY_BYTES}s{MAX_ORIGIN_BYTES}s")                           # magic, version, cell, bytes of the origin, key, origin
_HEAD = Struct(f"<8sHHIqqq{HASH_BYTES}s{HASH_BYTES}s{SIGNATURE_BYTES}s")           # magic, version, zero, epoch, size, sequence, time, entry, root, signature
_BODY_BYTES = SECTOR_BYTES - HASH_BYTES


class Log(msgspec.Struct, frozen=True):
    """Whose heads these are."""
    cell: int
    origin: str
    public: bytes


class Head(msgspec.Struct, frozen=True):
    """One signed head: leaves and their root, the signature, and where the log stood, which is nobody's business outside."""
    size: int
    root: bytes
    signature: bytes
    position: Position

    def note(self, log: Log) -> str:
        """As it is published."""
        return note(Checkpoint(log.origin, self.size, self.root), log.public, self.signature)


class Heads:
    """The heads of one log. `Heads.open` reads, `Heads.create` begins them; only the holder of the folder's lock may settle or append."""

    def __init__(self, file: File, path: str):
        """Damaged where the header or the last head is not what was sealed."""
        self._file, self._path = file, path
        self.log = _read_log(file.pread(SECTOR_BYTES, 0), path)
        rows, rest = divmod(file.size() - SECTOR_BYTES, SECTOR_BYTES)
        while rows and not any(file.pread(SECTOR_BYTES, rows * SECTOR_BYTES)):       # room that a crash left without its head
            rows, rest = rows - 1, rest + SECTOR_BYTES
        self._rows, self.torn = rows, rest
        self.last = self[rows - 1] if rows else None

    @classmethod
    def open(cls, disk: Disk, folder: str, *, write: bool = False) -> "Heads":
        """DiskMissing where nothing was signed yet."""
        path = f"{folder}/{NAME}"
        file = disk.open(path, write=write)
        try:
            return cls(file, path)
        except BaseException:
            file.close()
            raise

    @classmethod
    def create(cls, disk: Disk, folder: str, log: Log) -> "Heads":
        """An empty file under this name, wholly or not at all."""
        origin = check_origin(log.origin).encode()
        header = _sealed(_FILE.pack(_FILE_MAGIC, HEADS_VERSION, log.cell, len(origin), log.public, origin))
        write_whole(disk, f"{folder}/{NAME}", header)
        disk.sync_directory(folder)
        return cls.open(disk, folder, write=True)

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, row: int) -> Head:
        """Head number `row`, from 0, the oldest; Damaged where it is not what was sealed."""
        if not 0 <= row < self._rows:
            raise IndexError(f"head {row} of {self._rows}")
        offset = (row + 1) * SECTOR_BYTES
        body = _unsealed(self._file.pread(SECTOR_BYTES, offset))
        if body is None or body[:8] != _HEAD_MAGIC:
            raise Damaged(self._path, offset, 0, "this sector is no signed head")
        _, _, _, epoch, size, sequence, time, entry, root, signature = _HEAD.unpack_from(body)
        return Head(size, root, signature, Position(sequence, entry, epoch, time))

    def __iter__(self) -> Iterator[Head]:
        return (self[row] for row in range(self._rows))

    def first_with(self, *, size: int = 0, sequence: int = 0) -> int:
        """The number of the oldest head of at least so many leaves that reaches at least this sequence; the count of heads if there is none."""
        low, high = 0, self._rows
        while low < high:
            middle = (low + high) // 2
            head = self[middle]
            if head.size >= size and head.position.sequence >= sequence:
                high = middle
            else:
                low = middle + 1
        return low

    def settle(self, disk: Disk) -> None:
        """Takes away what a crash left behind the last head, and makes durable what was found: it may have been only in the operating system's memory."""
        if self.torn:
            self._file.truncate((self._rows + 1) * SECTOR_BYTES)
            self.torn = 0
        self._file.sync()
        disk.sync_directory(self._path.rpartition("/")[0])

    def append(self, head: Head) -> None:
        """Durable when it returns."""
        at = head.position
        sector = _sealed(_HEAD.pack(_HEAD_MAGIC, HEADS_VERSION, 0, at.epoch, head.size, at.sequence, at.time, at.hash, head.root, head.signature))
        self._file.pwrite(sector, (self._rows + 1) * SECTOR_BYTES)
        self._file.sync()
        self._rows, self.last = self._rows + 1, head

    def close(self) -> None:
        self._file.close()


def write_whole(disk: Disk, path: str, data: bytes) -> None:
    """A file that is there wholly or not at all; it survives once its directory is synced."""
    fresh = f"{path}.new"
    try:
        disk.remove(fresh)                       # a crash left it
    except DiskMissing:
        pass
    file = disk.create(fresh)
    try:
        file.pwrite(data, 0)
        file.sync()
    finally:
        file.close()
    disk.rename(fresh, path)


def _read_log(sector: bytes, path: str) -> Log:
    body = _unsealed(sector)
    if body is None or body[:8] != _FILE_MAGIC:
        raise Damaged(path, 0, 0, "the header of the signed heads is not what was sealed")
    _, version, cell, length, public, origin = _FILE.unpack_from(body)
    if version != HEADS_VERSION:
        raise Damaged(path, 0, 0, f"the signed heads are of version {version}; this release reads {HEADS_VERSION}")
    return Log(cell, origin[:length].decode(), public)


def _sealed(fields: bytes) -> bytes:
    body = fields.ljust(_BODY_BYTES, b"\0")
    return body + sha256(body).digest()


def _unsealed(sector: bytes) -> bytes | None:
    body = sector[:_BODY_BYTES]
    return body if len(sector) == SECTOR_BYTES and sha256(body).digest() == sector[_BODY_BYTES:] else None
