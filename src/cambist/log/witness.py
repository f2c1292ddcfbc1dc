"""Who knows how far the log was committed: snapshots, results, signed heads, and what clients' gateways were answered.

Decides whose word counts. Each of these is made only after the entry it names was durable, so a log that ends before it has lost something, and a bad last
entry that one of them names is rot and no torn tail. Must not know what is done about it.

`acknowledged/NAME.cba` is how a gateway keeps the highest sequence it was told: two sectors, written in turn, so that a torn one leaves the other.
"""
import re
from collections.abc import Iterator

from cambist.log.disk import SECTOR_BYTES, Disk, DiskMissing, File
from cambist.log.heads import Heads
from cambist.log.journal import NOBODY, Witness
from cambist.log.segment import Damaged, Position, open_sector, seal_sector
from cambist.log.transparency import FOLDER

ACKNOWLEDGED = "acknowledged"
_MAGIC = b"CBACKNOW"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}\.cba")


class Acknowledged:
    """The highest sequence one client of the node was told of. `note` is cheap and may be lost with the machine; what it keeps is never too high."""

    def __init__(self, disk: Disk, directory: str, name: str, *, cell: int = 0):
        """Goes on from what is there. Only one process may use a name."""
        folder = f"{directory}/{ACKNOWLEDGED}"
        if not _NAME.fullmatch(f"{name}.cba"):
            raise ValueError(f"name {name!r}; right would be up to 32 of a-z, 0-9 and -, beginning with a letter")
        disk.make_directory(folder)
        path = f"{folder}/{name}.cba"
        try:
            self._file = disk.open(path, write=True)
        except DiskMissing:
            self._file = disk.create(path, 2 * SECTOR_BYTES)
            disk.sync_directory(folder)
        self._cell = cell
        self._turn, self.sequence = max(_sectors(self._file), default=(0, 0))

    def note(self, sequence: int) -> bool:
        """Keeps it if it is higher than what is kept; True if it was."""
        if sequence <= self.sequence:
            return False
        self._turn, self.sequence = self._turn + 1, sequence
        self._file.pwrite(seal_sector(_MAGIC, self._cell, self._turn, 0, Position(sequence)), self._turn % 2 * SECTOR_BYTES)
        return True

    def close(self) -> None:
        self._file.close()


def known(disk: Disk, directory: str, *, snapshot: int, results: int) -> Witness:
    """The highest of all: `snapshot` and `results` are the sequences those stand at."""
    found = [Witness(snapshot, "the newest snapshot"), Witness(results, "the results"), *_signed(disk, directory), *_acknowledged(disk, directory)]
    return max(found, key=lambda witness: witness.sequence, default=NOBODY)


def _signed(disk: Disk, directory: str) -> Iterator[Witness]:
    try:
        heads = Heads.open(disk, f"{directory}/{FOLDER}")
    except (DiskMissing, Damaged):                      # whoever publishes heads says what is wrong with them
        return
    last = heads.last
    heads.close()
    if last:
        yield Witness(last.position.sequence, "the newest signed head")


def _acknowledged(disk: Disk, directory: str) -> Iterator[Witness]:
    folder = f"{directory}/{ACKNOWLEDGED}"
    try:
        names = disk.list_directory(folder)
    except DiskMissing:
        return
    for name in names:
        if _NAME.fullmatch(name):
            file = disk.open(f"{folder}/{name}")
            try:
                if found := max(_sectors(file), default=None):
                    yield Witness(found[1], f"the {name.removesuffix('.cba')}, which was told so,")
            finally:
                file.close()


def _sectors(file: File) -> Iterator[tuple[int, int]]:
    """(turn, sequence) of each whole sector."""
    for at in (0, SECTOR_BYTES):
        if fields := open_sector(file.pread(SECTOR_BYTES, at), _MAGIC):
            yield fields[1], fields[3].sequence
