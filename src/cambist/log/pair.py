"""Two places for one directory: what is written under it goes to both, and a sync returns when both are durable.

Decides which call goes where, and that any failure on either side is a failure: a journal on it stops, and the next start compares the two (`mirror.py`).
Must not know what is stored. Reads come from the first. Names are the same on both sides, so the two are equal byte for byte.
"""
from collections.abc import Callable
from typing import NamedTuple

from cambist.log.disk import Disk, DiskError, DiskMissing, File, Lock

Both = Callable[[Callable[[], None], Callable[[], None]], None]


class Copy(NamedTuple):
    """One of two places: a disk, and the directory on it."""
    disk: Disk
    directory: str


def one_after_the_other(first: Callable[[], None], second: Callable[[], None]) -> None:
    first()
    second()


class PairDisk:
    """A disk whose `first.directory` is also written to `second`. Paths are those of the first; nothing outside of it is touched."""

    def __init__(self, first: Copy, second: Copy, both: Both = one_after_the_other):
        """`both` runs two syncs and returns when both have; the shell's runs them at the same time."""
        self._first, self._second, self._both = first, second, both

    def other(self, path: str) -> str:
        """The same path on the second side."""
        here = self._first.directory
        if path != here and not path.startswith(f"{here}/"):
            raise ValueError(f"{path} is not under {here}, the directory that is mirrored")
        return self._second.directory + path[len(here):]

    def make_directory(self, path: str) -> None:
        self._first.disk.make_directory(path)
        self._second.disk.make_directory(self.other(path))

    def list_directory(self, path: str) -> list[str]:
        return self._first.disk.list_directory(path)

    def sync_directory(self, path: str) -> None:
        self._both(lambda: self._first.disk.sync_directory(path), lambda: self._second.disk.sync_directory(self.other(path)))

    def remove_directory(self, path: str) -> None:
        self._first.disk.remove_directory(path)
        self._second.disk.remove_directory(self.other(path))

    def create(self, path: str, size: int = 0) -> "PairFile":
        """On both, or on neither: space that one of them lacks is not taken from the other."""
        other, first = self.other(path), self._first.disk.create(path, size)
        try:
            return PairFile(first, self._second.disk.create(other, size), self._both)
        except DiskError:
            first.close()
            self._first.disk.remove(path)
            raise

    def open(self, path: str, *, write: bool = False) -> "File":
        """For reading the first alone; for writing both."""
        first = self._first.disk.open(path, write=write)
        if not write:
            return first
        try:
            return PairFile(first, self._second.disk.open(self.other(path), write=True), self._both)
        except DiskError:
            first.close()
            raise

    def rename(self, old: str, new: str) -> None:
        self._first.disk.rename(old, new)
        self._second.disk.rename(self.other(old), self.other(new))

    def remove(self, path: str) -> None:
        """What a crash left on one side only is removed there."""
        for disk, name in ((self._first.disk, path), (self._second.disk, self.other(path))):
            try:
                disk.remove(name)
            except DiskMissing:
                continue

    def free_bytes(self, path: str) -> int:
        return min(self._first.disk.free_bytes(path), self._second.disk.free_bytes(self.other(path)))

    def lock(self, path: str) -> "PairLock":
        """Of both: two houses never share a mirror."""
        first = self._first.disk.lock(path)
        try:
            return PairLock(first, self._second.disk.lock(self.other(path)))
        except DiskError:
            first.release()
            raise


class PairFile:
    """One file in two places."""

    def __init__(self, first: File, second: File, both: Both):
        self._first, self._second, self._both = first, second, both

    def size(self) -> int:
        """The lesser: only so much is there twice."""
        return min(self._first.size(), self._second.size())

    def pread(self, length: int, offset: int) -> bytes:
        return self._first.pread(length, offset)

    def pread_into(self, room: memoryview, offset: int) -> bool:
        return self._first.pread_into(room, offset)

    def pwrite(self, data, offset: int) -> None:
        self._first.pwrite(data, offset)
        self._second.pwrite(data, offset)

    def truncate(self, size: int) -> None:
        self._first.truncate(size)
        self._second.truncate(size)

    def sync(self) -> None:
        self._both(self._first.sync, self._second.sync)

    def close(self) -> None:
        self._first.close()
        self._second.close()


class PairLock:
    def __init__(self, first: Lock, second: Lock):
        self._first, self._second = first, second

    def release(self) -> None:
        self._first.release()
        self._second.release()
