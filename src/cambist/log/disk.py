"""The Disk port: the few things the log asks of storage, and the names of what can go wrong.

Decides the contract. Must not know an operating system (`disk_shell.py` does) nor what is stored. The promises every disk keeps:
what was written before `sync` returns survives a crash; what was not may survive in any part, sector by sector (512 bytes), in any order;
a sector is old or new, never a mixture; `rename` happens wholly or not at all, and a change of names survives once `sync_directory` returned.
"""
from typing import Protocol

SECTOR_BYTES = 512


class DiskError(Exception):
    """Something about storage; the subclasses are the only ones a disk raises."""


class DiskFull(DiskError):
    """No room. Nothing was changed, and everything acknowledged is safe."""
    def __init__(self, path: str, needed: int, free: int):
        super().__init__(f"disk full: {path} needs {needed:,} bytes and {free:,} are free; free at least {max(needed - free, 1):,} bytes there")
        self.path, self.needed, self.free = path, needed, free


class DiskFailed(DiskError):
    """A storage call failed. What it was to make durable is unknown, so whoever wrote must stop; it is never tried again."""
    def __init__(self, call: str, path: str, reason: str):
        super().__init__(f"disk failed: {call} on {path}: {reason}; check the device, then start again from what it still holds")
        self.call, self.path, self.reason = call, path, reason


class DiskLocked(DiskError):
    """Another writer holds the lock."""
    def __init__(self, path: str):
        super().__init__(f"{path} is locked: another process writes here; stop it first, or choose another directory")
        self.path = path


class DiskMissing(DiskError):
    """No such file or directory."""
    def __init__(self, path: str):
        super().__init__(f"{path} does not exist")
        self.path = path


class Readable(Protocol):
    def size(self) -> int: ...
    def pread(self, length: int, offset: int) -> bytes:
        """Fewer bytes than asked only at the end of the file."""
        ...


class File(Readable, Protocol):
    def pread_into(self, room: memoryview, offset: int) -> bool:
        """Fills the bytes of `room`; False where the file ends before."""
        ...
    def pwrite(self, data, offset: int) -> None:
        """All of `data` (any contiguous buffer, or a list of them, one after the other) or an error; extends the file where it must."""
        ...
    def truncate(self, size: int) -> None: ...
    def sync(self) -> None:
        """Makes data and size durable."""
        ...
    def close(self) -> None: ...


class Lock(Protocol):
    def release(self) -> None: ...


class Disk(Protocol):
    def make_directory(self, path: str) -> None:
        """Also its parents; one that exists is left as it is."""
        ...
    def list_directory(self, path: str) -> list[str]:
        """Sorted names; DiskMissing without the directory."""
        ...
    def sync_directory(self, path: str) -> None: ...
    def remove_directory(self, path: str) -> None:
        """An empty one."""
        ...
    def create(self, path: str, size: int = 0) -> File:
        """A new file of `size` zero bytes whose space is reserved (DiskFull if it cannot be); refused if the name exists."""
        ...
    def open(self, path: str, *, write: bool = False) -> File: ...
    def rename(self, old: str, new: str) -> None:
        """Of a file or directory; an open file stays open under its new name."""
        ...
    def remove(self, path: str) -> None: ...
    def free_bytes(self, path: str) -> int: ...
    def lock(self, path: str) -> Lock:
        """Exclusive until released or the process ends; DiskLocked at once if another holds it."""
        ...
