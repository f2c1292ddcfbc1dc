"""A disk in memory that keeps what the Disk port promises, and breaks it in named ways when told to.

Decides what survives: of what was not synced each sector of each write, each change of size and of names is kept or dropped by a seeded choice. A `Trouble`
decides, at each call, whether this one is slow, fails, is the last one, or lies. It must not know what is stored.

What was corrupted can be restored (`heal`), as an operator would from a mirror: the disk remembers what should have been there.
"""
from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from cambist.log.disk import SECTOR_BYTES, DiskFailed, DiskFull, DiskLocked, DiskMissing


class Crash(BaseException):
    """The machine or the process died within this storage call. Not an Exception, so that nothing lives through it by accident."""


class Trouble(Protocol):
    """Who decides what goes wrong. Every method is asked once for each call, in order."""
    def before(self, disk: VirtualDisk, call: str, path: str, nbytes: int) -> None:
        """May raise DiskFailed, or take time."""
        ...
    def lies(self, disk: VirtualDisk, path: str, offset: int, nbytes: int) -> str:
        """Of a write: "" it is done; "lost" it never reaches the medium; "misdirected" it lands elsewhere."""
        ...
    def after(self, disk: VirtualDisk, call: str, path: str) -> None:
        """May raise Crash."""
        ...


class NoTrouble:
    """A disk that does what it says."""
    def before(self, disk: VirtualDisk, call: str, path: str, nbytes: int) -> None:
        """Nothing."""

    def lies(self, disk: VirtualDisk, path: str, offset: int, nbytes: int) -> str:
        return ""

    def after(self, disk: VirtualDisk, call: str, path: str) -> None:
        """Nothing."""


class Lie(NamedTuple):
    """Bytes that are not what they should be: where, and what should be there."""
    what: str
    path: str
    inode: Inode
    offset: int
    right: bytes

    @property
    def end(self) -> int:
        return self.offset + len(self.right)

    def stands_in(self, data: bytearray) -> bool:
        """Whether these bytes are there, all of them, and not right."""
        return len(data) >= self.end and data[self.offset:self.end] != self.right


class Inode:
    """A file: what a reader sees, what the medium holds, and the writes between the two: (offset, bytes), or (-1, new size)."""
    __slots__ = ("durable", "live", "name", "pending")

    def __init__(self, size: int = 0) -> None:
        self.name = ""
        self.live, self.durable = bytearray(size), bytearray()
        self.pending: list[tuple[int, Any]] = [(-1, size)] if size else []

    def sync(self) -> None:
        for offset, what in self.pending:
            _put(self.durable, offset, what)
        self.pending.clear()

    def survivor(self, chance: random.Random, keep: float) -> bytearray:
        """What a power loss leaves: any part of what was not synced, sector by sector, in any order."""
        data = bytearray(self.durable)
        for offset, what in self.pending:
            for at, piece in _sectors(offset, what):
                if chance.random() < keep:
                    _put(data, at, piece)
        return data


def _put(data: bytearray, offset: int, what: Any) -> None:
    if offset < 0:
        if what < len(data):
            del data[what:]
        data.extend(bytes(what - len(data)))
        return
    end = offset + len(what)
    if end > len(data):
        data.extend(bytes(end - len(data)))
    data[offset:end] = what


def _sectors(offset: int, what: Any) -> Iterator[tuple[int, Any]]:
    if offset < 0:
        yield offset, what
        return
    at = 0
    while at < len(what):
        step = min(SECTOR_BYTES - (offset + at) % SECTOR_BYTES, len(what) - at)
        yield offset + at, what[at:at + step]
        at += step


class VirtualDisk:
    """The Disk port. After a killed process it goes on as it is, what was not synced in memory; after a power loss it is dead, and
    `after_power_loss` gives the disk that the next process finds."""

    def __init__(self, capacity: int | None = None) -> None:
        self.capacity = capacity
        self.trouble: Trouble = NoTrouble()
        self.calls = 0
        self.dead = False
        self.names: dict[str, Inode | None] = {}                # None: a directory
        self.lies: list[Lie] = []
        self._given_up: list[Lie] = []                  # written over or cut, which nobody synced: a power loss may bring them back
        self.lost = False                               # whether a write was ever acknowledged and lost: at the end of a log nobody could tell
        self._durable_names: dict[str, Inode | None] = {}
        self._pending_names: list[tuple[Any, ...]] = []
        self._locks: set[str] = set()

    # ---------------------------------------------------------------------------------------------------------------- the machine
    def after_power_loss(self, chance: random.Random) -> VirtualDisk:
        """What was synced, and any part of what was not."""
        keep = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        names = dict(self._durable_names)
        for change in self._pending_names:
            if chance.random() < keep:
                _rename(names, change)
        content = {id(inode): inode.survivor(chance, keep) for inode in names.values() if inode is not None}
        disk, copies = VirtualDisk(self.capacity), dict[int, Inode]()
        disk.trouble, disk.calls, disk.lost = self.trouble, self.calls, self.lost
        for name, inode in names.items():
            if inode is None:
                disk.names[name] = None
                continue
            if (copy := copies.get(id(inode))) is None:
                copy = copies[id(inode)] = Inode()
                copy.live, copy.durable, copy.name = content[id(inode)], bytearray(content[id(inode)]), name
            disk.names[name] = copy
        disk._durable_names = dict(disk.names)
        back = [lie for lie in self._given_up if id(lie.inode) in copies and lie.stands_in(lie.inode.durable) and lie.stands_in(content[id(lie.inode)])]
        disk.lies = [lie._replace(inode=copies[id(lie.inode)]) for lie in (*self.lies, *back) if id(lie.inode) in copies]
        return disk

    def used(self) -> int:
        return sum(len(inode.live) for inode in {id(i): i for i in self.names.values() if i is not None}.values())

    def flip(self, path: str, offset: int, bit: int) -> None:
        """Rot: one bit of what is stored is another one from now on."""
        inode = self.names[path]
        assert inode is not None
        self.lies.append(Lie("rot", path, inode, offset, bytes(inode.live[offset:offset + 1])))
        inode.live[offset] ^= 1 << bit
        self.synced(inode)
        inode.durable[offset:offset + 1] = inode.live[offset:offset + 1]

    def wrong(self, under: str = "", what: str = "") -> list[Lie]:
        """What is stored and should be otherwise, in files that are there."""
        there = {id(inode) for name, inode in self.names.items() if inode is not None and name.startswith(under)}
        self.lies = [lie for lie in self.lies if id(lie.inode) in {id(inode) for inode in self.names.values()}]
        return [lie for lie in self.lies if id(lie.inode) in there and lie.what.startswith(what)]

    def heal(self) -> list[str]:
        """Everything that was corrupted is as it should be, newest last; what was healed, in words."""
        healed = [f"{lie.what} in {lie.path} at {lie.offset}" for lie in self.lies]
        for lie in reversed(self.lies):
            for data in (lie.inode.live, lie.inode.durable):
                _put(data, lie.offset, lie.right)
        self.lies = []
        return healed

    def give_up(self, inode: Inode, start: int, end: int | None = None) -> None:
        """What is written over is no lie any more, nor what is cut off (no `end`): from now on, and for good once it is synced."""
        lies = list[Lie]()
        for lie in self.lies:
            if lie.inode is not inode or lie.end <= start or (end is not None and lie.offset >= end):
                lies.append(lie)
                continue
            self._given_up.append(lie)
            if end is None and lie.offset < start:
                lies.append(lie._replace(right=lie.right[:start - lie.offset]))
        self.lies = lies

    def synced(self, inode: Inode) -> None:
        inode.sync()
        self._given_up = [lie for lie in self._given_up if lie.inode is not inode]

    def begin(self, call: str, path: str, nbytes: int = 0) -> None:
        if self.dead:
            raise Crash
        self.calls += 1
        self.trouble.before(self, call, path, nbytes)

    def end(self, call: str, path: str) -> None:
        self.trouble.after(self, call, path)

    # ------------------------------------------------------------------------------------------------------------------- the port
    def make_directory(self, path: str) -> None:
        self.begin("mkdir", path)
        parts = path.split("/")
        for i in range(len(parts)):
            if (each := "/".join(parts[:i + 1])) and each not in self.names:
                self.names[each] = self._durable_names[each] = None         # a real disk syncs the parents
        self.end("mkdir", path)

    def list_directory(self, path: str) -> list[str]:
        if self.names.get(path, 0) is not None:
            raise DiskMissing(path)
        start = len(path) + 1
        return sorted(name[start:] for name in self.names if name.startswith(path + "/") and "/" not in name[start:])

    def sync_directory(self, path: str) -> None:
        self.begin("syncdir", path)
        still = []
        for change in self._pending_names:
            if change[1].rsplit("/", 1)[0] == path:
                _rename(self._durable_names, change)
            else:
                still.append(change)
        self._pending_names = still
        self.end("syncdir", path)

    def remove_directory(self, path: str) -> None:
        self.begin("rmdir", path)
        if self.list_directory(path):
            raise DiskFailed("rmdir", path, "not empty")
        self._change(("remove", path))
        self.end("rmdir", path)

    def create(self, path: str, size: int = 0) -> VirtualFile:
        self.begin("create", path, size)
        if path in self.names:
            raise DiskFailed("create", path, "exists")
        if path.rsplit("/", 1)[0] not in self.names:
            raise DiskMissing(path)
        self.need(path, size)
        inode = Inode(size)
        self._change(("add", path, inode))
        self.end("create", path)
        return VirtualFile(self, path, inode)

    def open(self, path: str, *, write: bool = False) -> VirtualFile:
        if self.dead:
            raise Crash
        inode = self.names.get(path)
        if inode is None:
            raise DiskMissing(path)
        return VirtualFile(self, path, inode)

    def rename(self, old: str, new: str) -> None:
        self.begin("rename", old)
        if old not in self.names:
            raise DiskMissing(old)
        self._change(("rename", old, new))
        if (inode := self.names[new]) is not None:
            inode.name = new
        self.end("rename", new)

    def remove(self, path: str) -> None:
        self.begin("remove", path)
        if self.names.get(path) is None:
            raise DiskMissing(path)
        self._change(("remove", path))
        self.end("remove", path)

    def free_bytes(self, path: str) -> int:
        return 1 << 40 if self.capacity is None else self.capacity - self.used()

    def lock(self, path: str) -> VirtualLock:
        if path in self._locks:
            raise DiskLocked(path)
        self._locks.add(path)
        self.names.setdefault(path, Inode())
        return VirtualLock(self._locks, path)

    def need(self, path: str, more: int) -> None:
        if self.capacity is not None and more > (free := self.free_bytes(path)):
            raise DiskFull(path, more, max(free, 0))

    def _change(self, change: tuple[Any, ...]) -> None:
        _rename(self.names, change)
        self._pending_names.append(change)


def _rename(names: dict[str, Inode | None], change: tuple[Any, ...]) -> None:
    """One change of names: a renamed directory takes along only the names that are in it there."""
    what, path, *more = change
    if what == "add":
        names[path] = more[0]
    elif what == "remove":
        names.pop(path, None)
    else:
        for name in [name for name in names if name == path or name.startswith(path + "/")]:
            names[more[0] + name[len(path):]] = names.pop(name)


class VirtualLock:
    """Held until released, or until the disk that gave it is no more."""
    def __init__(self, locks: set[str], path: str) -> None:
        self._locks, self._path = locks, path

    def release(self) -> None:
        self._locks.discard(self._path)


class VirtualFile:
    """One open file."""
    __slots__ = ("_disk", "_inode")

    def __init__(self, disk: VirtualDisk, path: str, inode: Inode) -> None:
        self._disk, self._inode = disk, inode
        inode.name = path

    def size(self) -> int:
        return len(self._inode.live)

    def pread(self, length: int, offset: int) -> bytes:
        if self._disk.dead:
            raise Crash
        return bytes(self._inode.live[offset:offset + length])

    def pread_into(self, room: memoryview, offset: int) -> bool:
        data = self.pread(len(room), offset)
        room[:len(data)] = data
        return len(data) == len(room)

    def pwrite(self, data: Any, offset: int) -> None:
        disk, inode, data = self._disk, self._inode, b"".join(data) if isinstance(data, list) else bytes(data)
        disk.begin("pwrite", inode.name, len(data))
        end = offset + len(data)
        if end > len(inode.live):
            disk.need(inode.name, end - len(inode.live))
        lie = disk.trouble.lies(disk, inode.name, offset, len(data))
        if lie:
            self._lie(lie, data, offset)
        else:
            _put(inode.live, offset, data)
            inode.pending.append((offset, data))
            disk.give_up(inode, offset, end)
        disk.end("pwrite", inode.name)

    def _lie(self, lie: str, data: bytes, offset: int) -> None:
        """The operating system's memory has it until a power loss; the medium does not."""
        inode, disk = self._inode, self._disk
        disk.lies.append(Lie(lie, inode.name, inode, offset, data))
        disk.lost |= lie == "lost"
        _put(inode.live, offset, data)
        if len(inode.durable) < offset + len(data):
            inode.pending.append((-1, len(inode.live)))
        if lie == "misdirected":                        # a sector of it lands where something else was
            at = max(0, offset - SECTOR_BYTES * 2) // SECTOR_BYTES * SECTOR_BYTES
            piece = data[:SECTOR_BYTES]
            disk.lies.append(Lie(lie, inode.name, inode, at, bytes(inode.live[at:at + len(piece)])))
            inode.pending.append((at, piece))

    def truncate(self, size: int) -> None:
        self._disk.begin("truncate", self._inode.name, size)
        self._disk.give_up(self._inode, size)
        _put(self._inode.live, -1, size)
        self._inode.pending.append((-1, size))
        self._disk.end("truncate", self._inode.name)

    def sync(self) -> None:
        self._disk.begin("sync", self._inode.name)
        self._disk.synced(self._inode)
        self._disk.end("sync", self._inode.name)

    def close(self) -> None:
        """Nothing is lost by it."""
