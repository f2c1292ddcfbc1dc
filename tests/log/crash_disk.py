"""A disk in memory that keeps exactly what the Disk port promises, and nothing more.

Every changing call is counted and may be the last one before the machine dies. What was not synced then survives in any part: each 512-byte sector of
each write, each change of size and each change of names is kept or dropped by a seeded choice.
"""
import random
from itertools import pairwise

from cambist.log.disk import SECTOR_BYTES, DiskFailed, DiskFull, DiskLocked, DiskMissing


class Crash(BaseException):
    """The machine died. Not an Exception, so that no code under test can live through it."""


class Inode:
    def __init__(self):
        self.name, self.live, self.durable, self.pending = "", bytearray(), b"", []      # pending: (offset, bytes) or (None, size)
        self.unreadable: set[int] = set()                                 # sectors that the device cannot read any more
        self.before_last = b""                                            # the whole before the last write

    def copy(self) -> "Inode":
        other = Inode()
        other.name, other.live, other.durable, other.pending = self.name, bytearray(self.live), self.durable, list(self.pending)
        return other

    def survivor(self, rng: random.Random, keep: float) -> bytearray:
        data = bytearray(self.durable)
        for offset, what in self.pending:
            if offset is None:
                if rng.random() < keep:
                    data = data[:what].ljust(what, b"\0")
                continue
            at = 0
            while at < len(what):
                step = min(SECTOR_BYTES - (offset + at) % SECTOR_BYTES, len(what) - at)
                if rng.random() < keep:
                    end = offset + at + step
                    data = data.ljust(end, b"\0")
                    data[offset + at:end] = what[at:at + step]
                at += step
        return data


class CrashDisk:
    """`crash_at=n`: the n-th changing call is done and then Crash is raised, as by all after it. `before_call(disk)` runs before each changing call."""

    def __init__(self, *, capacity: int | None = None, crash_at: int | None = None, fail_sync_at: int | None = None, before_call=None):
        self.capacity, self.crash_at, self.fail_sync_at, self.before_call = capacity, crash_at, fail_sync_at, before_call
        self.calls = self.syncs = 0
        self.names: dict[str, Inode | None] = {}                          # None: a directory
        self.durable_names: dict[str, Inode | None] = {}
        self.pending_names: list[tuple] = []                              # (what, path, more); each happens wholly or not: see apply_change
        self.locks: set[str] = set()
        self.dead = False
        self.keeps_before, self.last_written = False, None                # for `tears`: what a file held before its last write
        self.log: list[str] = []

    # --- the machine ---

    def after_power_loss(self, seed: int) -> "CrashDisk":
        rng = random.Random(seed)
        keep = rng.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        names = dict(self.durable_names)
        for change in self.pending_names:
            if rng.random() < keep:
                apply_change(names, change)
        return self._copy(names, lambda inode: inode.survivor(rng, keep))

    def after_kill(self) -> "CrashDisk":
        """The process died, the operating system lived: everything written is there, and no more durable than it was."""
        disk, copies = CrashDisk(capacity=self.capacity), {}

        def copied(inode: Inode | None) -> Inode | None:
            return inode and copies.setdefault(id(inode), inode.copy())
        disk.names = {name: copied(inode) for name, inode in self.names.items()}
        disk.durable_names = {name: copied(inode) for name, inode in self.durable_names.items()}
        disk.pending_names = [(what, path, copied(more) if what == "add" else more) for what, path, more in self.pending_names]
        return disk

    def tears(self):
        """The disk after a power loss in which everything written survived but the last write, if that was not synced: of it the first sectors, the last
        ones, or all but one, for every number of them."""
        inode = self.last_written
        if inode is None or not inode.pending or inode.pending[-1][0] is None:
            return
        offset, data = inode.pending[-1]
        cuts = [0, *range(SECTOR_BYTES - offset % SECTOR_BYTES, len(data), SECTOR_BYTES), len(data)]
        whole, before = bytes(inode.live), inode.before_last
        pieces = {((0, cut),) for cut in cuts} | {((cut, len(data)),) for cut in cuts} | {((0, low), (high, len(data))) for low, high in pairwise(cuts)}
        for kept in sorted(pieces):
            torn = bytearray(before.ljust(len(whole), b"\0")[:len(whole)])
            for low, high in kept:
                torn[offset + low:offset + high] = data[low:high]
            yield self._copy(self.names, lambda each, torn=torn: bytearray(torn) if each is inode else bytearray(each.live))

    def _copy(self, names, content) -> "CrashDisk":
        disk, copies = CrashDisk(capacity=self.capacity), {}
        for name, inode in names.items():
            if inode is not None and id(inode) not in copies:
                copy = copies[id(inode)] = Inode()
                copy.live = content(inode)
                copy.durable = bytes(copy.live)
            disk.names[name] = copies[id(inode)] if inode is not None else None
        disk.durable_names = dict(disk.names)
        return disk

    def call(self, what: str):
        if self.dead:
            raise Crash
        if self.before_call:
            self.before_call(self)
        self.calls += 1
        self.log.append(what)

    def called(self):
        if self.crash_at is not None and self.calls >= self.crash_at:
            self.dead = True
            raise Crash

    def used(self) -> int:
        return sum(len(inode.live) for inode in set(self.names.values()) if inode is not None)

    def need(self, path: str, more: int):
        free = self.free_bytes(path)
        if more > free:
            raise DiskFull(path, more, free)

    def flip(self, path: str, offset: int, bit: int = 0):
        inode = self.names[path]
        inode.live[offset] ^= 1 << bit
        inode.durable = bytes(inode.live)

    # --- the port ---

    def make_directory(self, path):
        self.call(f"mkdir {path}")
        missing = [p for i in range(path.count("/") + 1) if (p := "/".join(path.split("/")[:i + 1])) and p not in self.names]
        for each in missing:
            self.names[each] = self.durable_names[each] = None            # RealDisk syncs the parents
        self.called()

    def list_directory(self, path):
        if self.names.get(path, 0) is not None:
            raise DiskMissing(path)
        return sorted(name[len(path) + 1:] for name in self.names if name.startswith(path + "/") and "/" not in name[len(path) + 1:])

    def sync_directory(self, path):
        self.call(f"syncdir {path}")
        still = []
        for change in self.pending_names:
            if change[1].rsplit("/", 1)[0] == path:
                apply_change(self.durable_names, change)
            else:
                still.append(change)
        self.pending_names = still
        self.called()

    def remove_directory(self, path):
        self.call(f"rmdir {path}")
        if self.list_directory(path):
            raise DiskFailed("rmdir", path, "not empty")
        self._change(("remove", path, None))
        self.called()

    def create(self, path, size=0):
        self.call(f"create {path} {size}")
        if path in self.names:
            raise DiskFailed("create", path, "exists")
        if path.rsplit("/", 1)[0] not in self.names:
            raise DiskMissing(path)
        self.need(path, size)
        inode = Inode()
        inode.live = bytearray(size)
        inode.pending.append((None, size))
        self._change(("add", path, inode))
        self.called()
        return CrashFile(self, path, inode)

    def open(self, path, *, write=False):
        if self.dead:
            raise Crash
        if self.names.get(path) is None:
            raise DiskMissing(path)
        return CrashFile(self, path, self.names[path])

    def rename(self, old, new):
        self.call(f"rename {old} {new}")
        if old not in self.names:
            raise DiskMissing(old)
        self._change(("rename", old, new))
        self.called()

    def remove(self, path):
        self.call(f"remove {path}")
        if self.names.get(path) is None:
            raise DiskMissing(path)
        self._change(("remove", path, None))
        self.called()

    def free_bytes(self, path):
        return 1 << 40 if self.capacity is None else self.capacity - self.used()

    def lock(self, path):
        if path in self.locks:
            raise DiskLocked(path)
        self.locks.add(path)
        self.names.setdefault(path, Inode())
        return CrashLock(self, path)

    def _change(self, change):
        apply_change(self.names, change)
        self.pending_names.append(change)
        if change[0] == "rename" and self.names[change[2]] is not None:
            self.names[change[2]].name = change[2]


def apply_change(names, change):
    """One change of names, on the live or on the durable ones: a renamed directory takes along only the names that are in it there."""
    what, path, more = change
    if what == "add":
        names[path] = more
    elif what == "remove":
        names.pop(path, None)
    else:
        for name in [name for name in names if name == path or name.startswith(path + "/")]:
            names[more + name[len(path):]] = names.pop(name)


class CrashLock:
    def __init__(self, disk, path):
        self.disk, self.path = disk, path

    def release(self):
        self.disk.locks.discard(self.path)


class CrashFile:
    def __init__(self, disk: CrashDisk, path: str, inode: Inode):
        self.disk, self.inode = disk, inode
        inode.name = path

    @property
    def path(self):
        return self.inode.name                                            # after a rename the new one

    def size(self):
        return len(self.inode.live)

    def pread(self, length, offset):
        if self.inode.unreadable and not self.inode.unreadable.isdisjoint(range(offset // SECTOR_BYTES, -(-(offset + length) // SECTOR_BYTES))):
            raise DiskFailed("pread", self.path, "input/output error")
        return bytes(self.inode.live[offset:offset + length])

    def pread_into(self, room, offset):
        data = self.pread(len(room), offset)
        room[:len(data)] = data
        return len(data) == len(room)

    def pwrite(self, data, offset):
        data = b"".join(data) if isinstance(data, list) else bytes(data)
        self.disk.call(f"pwrite {self.path} {offset} {len(data)}")
        end = offset + len(data)
        if self.disk.keeps_before:
            self.inode.before_last = bytes(self.inode.live)
        if end > len(self.inode.live):
            self.disk.need(self.path, end - len(self.inode.live))
            self.inode.live.extend(bytes(end - len(self.inode.live)))
        self.inode.live[offset:end] = data
        self.inode.pending.append((offset, data))
        self.disk.last_written = self.inode
        self.disk.called()

    def truncate(self, size):
        self.disk.call(f"truncate {self.path} {size}")
        del self.inode.live[size:]
        self.inode.live.extend(bytes(size - len(self.inode.live)))
        self.inode.pending.append((None, size))
        self.disk.called()

    def sync(self):
        self.disk.call(f"sync {self.path}")
        self.disk.syncs += 1
        if self.disk.fail_sync_at is not None and self.disk.syncs >= self.disk.fail_sync_at:
            raise DiskFailed("fdatasync", self.path, "input/output error")
        self.inode.durable, self.inode.pending = bytes(self.inode.live), []
        self.disk.called()

    def close(self):
        pass
