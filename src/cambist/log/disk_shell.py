"""The Disk port on a real operating system.

Decides which system calls keep the port's promises, and turns their errors into the port's names. Must not know what is stored.
"""
import errno
import fcntl
import os
from contextlib import contextmanager

from cambist.log.disk import DiskError, DiskFailed, DiskFull, DiskLocked, DiskMissing

_FULL_SYNC = getattr(fcntl, "F_FULLFSYNC", None)       # macOS: fsync there does not reach the medium
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class RealDisk:
    """The machine's file system."""

    def make_directory(self, path: str) -> None:
        missing = []
        while path and not os.path.isdir(path):
            missing.append(path)
            path = os.path.dirname(path)
        if path and os.access(above := os.path.dirname(path) or ".", os.R_OK):
            self.sync_directory(above)                    # who made the lowest that exists may have died before that; where one may not read, it was another
        for each in reversed(missing):
            with _named("mkdir", each):
                os.mkdir(each)
            self.sync_directory(os.path.dirname(each) or ".")

    def list_directory(self, path: str) -> list[str]:
        with _named("listdir", path):
            return sorted(os.listdir(path))

    def sync_directory(self, path: str) -> None:
        with _named("fsync", path):
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def remove_directory(self, path: str) -> None:
        with _named("rmdir", path):
            os.rmdir(path)

    def create(self, path: str, size: int = 0) -> "RealFile":
        with _named("create", path):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        file = RealFile(fd, path)
        try:
            if size:
                _reserve(fd, path, size)
        except DiskError:
            file.close()
            self.remove(path)
            raise
        return file

    def open(self, path: str, *, write: bool = False) -> "RealFile":
        with _named("open", path):
            return RealFile(os.open(path, (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC), path)

    def rename(self, old: str, new: str) -> None:
        with _named("rename", old):
            os.rename(old, new)

    def remove(self, path: str) -> None:
        with _named("unlink", path):
            os.unlink(path)

    def free_bytes(self, path: str) -> int:
        return _free_bytes(path)

    def lock(self, path: str) -> "RealLock":
        with _named("open", path):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise DiskLocked(path) from error
            raise DiskFailed("flock", path, str(error)) from error
        return RealLock(fd)


class RealFile:
    """One open file. `sync` is fdatasync, except after a change of size that fdatasync may leave behind."""
    __slots__ = ("_fd", "_path", "_size_changed")

    def __init__(self, fd: int, path: str):
        self._fd, self._path, self._size_changed = fd, path, False

    def size(self) -> int:
        with _named("fstat", self._path):
            return os.fstat(self._fd).st_size

    def pread(self, length: int, offset: int) -> bytes:
        with _named("pread", self._path):
            data = os.pread(self._fd, length, offset)
            if len(data) == length or not data:
                return data
            parts = [data]                                # one call moves at most 2 GiB, and a signal may shorten it
            got = len(data)
            while got < length and (data := os.pread(self._fd, length - got, offset + got)):
                parts.append(data)
                got += len(data)
            return b"".join(parts)

    def pread_into(self, room: memoryview, offset: int) -> bool:
        with _named("preadv", self._path):
            while len(room):
                if not (got := os.preadv(self._fd, [room], offset)):
                    return False
                room, offset = room[got:], offset + got
        return True

    def pwrite(self, data, offset: int) -> None:
        try:
            if isinstance(data, list):
                written = os.pwritev(self._fd, data, offset)
                if written == sum(memoryview(part).nbytes for part in data):
                    return
                data = b"".join(data)                     # rare: a signal, or the end of what the file system takes
            else:
                written = os.pwrite(self._fd, data, offset)
            if written == memoryview(data).nbytes:
                return
            rest = memoryview(data).cast("B")[written:]
            while rest:
                offset += written
                written = os.pwrite(self._fd, rest, offset)
                rest = rest[written:]
        except OSError as error:
            nbytes = sum(memoryview(part).nbytes for part in (data if isinstance(data, list) else [data]))
            raise _port_error(error, "pwrite", self._path, nbytes) from error

    def truncate(self, size: int) -> None:
        with _named("ftruncate", self._path):
            os.ftruncate(self._fd, size)
            self._size_changed = True

    def sync(self) -> None:
        try:
            if _FULL_SYNC is not None:
                fcntl.fcntl(self._fd, _FULL_SYNC)
            elif self._size_changed:
                os.fsync(self._fd)
            else:
                os.fdatasync(self._fd)
            self._size_changed = False
        except OSError as error:
            raise DiskFailed("fdatasync", self._path, str(error)) from error

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class RealLock:
    """Held by its file descriptor: the kernel drops it when the process ends, however it ends."""
    __slots__ = ("_fd",)

    def __init__(self, fd: int):
        self._fd = fd

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _reserve(fd: int, path: str, size: int) -> None:
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(fd, 0, size)
        elif _free_bytes(path) < size:
            raise DiskFull(path, size, _free_bytes(path))
        else:
            os.ftruncate(fd, size)
    except OSError as error:
        raise _port_error(error, "fallocate", path, size) from error


@contextmanager
def _named(call: str, path: str):
    try:
        yield
    except OSError as error:
        raise _port_error(error, call, path, 0) from error


def _port_error(error: OSError, call: str, path: str, needed: int) -> DiskError:
    if error.errno in _NO_SPACE:
        return DiskFull(path, needed, _free_bytes(path))
    if error.errno == errno.ENOENT:
        return DiskMissing(path)
    return DiskFailed(call, path, str(error))


def _free_bytes(path: str) -> int:
    while path and not os.path.exists(path):
        path = os.path.dirname(path)
    status = os.statvfs(path or ".")
    return status.f_bavail * status.f_frsize
