"""Two disks in memory under one journal, and what a crash or rot leaves of both."""
from cambist.log.disk import SECTOR_BYTES
from cambist.log.entry import Entry
from cambist.log.journal import MIN_SEGMENT_BYTES, NOBODY, Journal, Witness, segment_names
from cambist.log.mirror import Compared, reconcile
from cambist.log.pair import Copy, PairDisk
from cambist.log.replay import Replay

from tests.log.crash_disk import CrashDisk
from tests.log.entries import CELL

LOG, MIRROR = "house/log", "elsewhere/log"


class TwoDisks:
    def __init__(self, first: CrashDisk | None = None, second: CrashDisk | None = None):
        self.first, self.second = first or CrashDisk(), second or CrashDisk()
        self.compared: Compared | None = None

    @property
    def copies(self) -> tuple[Copy, Copy]:
        return Copy(self.first, LOG), Copy(self.second, MIRROR)

    def opened(self, *, segment_bytes: int = MIN_SEGMENT_BYTES, witness: Witness = NOBODY, start=None) -> Journal:
        def first() -> Witness:
            self.compared = reconcile(*self.copies, cell=CELL, start=start, witness=witness)
            return witness
        return Journal.open(PairDisk(*self.copies), LOG, cell=CELL, segment_bytes=segment_bytes, start=start, first=first)

    def reconciled(self, **more) -> Compared:
        return reconcile(*self.copies, cell=CELL, whole=True, **more)

    def entries(self, i: int = 0) -> list[Entry]:
        copy = self.copies[i]
        return [entry for chunk in Replay(copy.disk, copy.directory, cell=CELL, unproven=True).chunks() for entry in chunk]

    def files(self, i: int) -> dict[str, bytes]:
        copy = self.copies[i]
        return {name: bytes(copy.disk.names[f"{copy.directory}/{name}"].live) for name in segment_names(copy.disk, copy.directory)}

    def equal(self) -> bool:
        return self.files(0) == self.files(1)

    def copied(self) -> "TwoDisks":
        return TwoDisks(self.first.after_kill(), self.second.after_kill())


def written(entries, *, closed: bool = True, segment_bytes: int = MIN_SEGMENT_BYTES) -> TwoDisks:
    disks = TwoDisks()
    journal = disks.opened(segment_bytes=segment_bytes)
    for entry in entries:
        journal.propose(entry)
    if closed:
        journal.close()
        return disks
    return disks.copied()


__all__ = ["LOG", "MIRROR", "SECTOR_BYTES", "TwoDisks", "written"]
