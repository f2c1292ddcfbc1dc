"""Two copies of one journal: what both should be where they differ, and which of them was wrong.

Decides entry by entry, at the same offset of both files: what is whole and follows in either copy is the log; a copy that has something else there is
wrong there. So damage in different places of both is healed too, and the longer of the two is the right one. Two different whole entries in one place are
two histories: neither is taken. Must not know why a copy was lost, nor when to look.

Nothing is written before both files were read and found to lead to one log. What is written is only what the other copy holds, so that a crash in the
middle changes nothing about the next try.
"""
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cambist.log.disk import SECTOR_BYTES, Disk, DiskError, DiskFailed, DiskMissing
from cambist.log.entry import Entry, Fault, scan
from cambist.log.journal import LOCK_NAME, NOBODY, RESERVE_NAME, SPARE_NAME, Finding, Witness, first_position, segment_names
from cambist.log.pair import Copy, PairDisk
from cambist.log.segment import (
    MARK_BYTES, Damaged, Header, Position, chain_fault, check_header, header_sector, is_zero, mark_sector, read_header, read_link,
    refuse_damage_before_valid_bytes, sector_up,
)

HEAL_BYTES = 1 << 20                            # compared and written at once
HEALED_NAME = "journal-heal.cbj"                # a segment being made again


class Compared(NamedTuple):
    """What was found: how far each copy reached by itself, and everything that was wrong with either."""
    reached: tuple[Position, Position]
    findings: tuple[Finding, ...]

    def __str__(self) -> str:
        first, second = (each.sequence for each in self.reached)
        if first == second:
            return f"log and mirror both reached sequence {first}"
        longer, most, least = ("log", first, second) if first > second else ("mirror", second, first)
        return f"the {longer} is the longer: it reached sequence {most}, the other {least}"


_MARK = "what follows the last entry is not the close mark twice"


class InMemory:
    """The bytes of a file, read like one."""
    def __init__(self, data: bytes | memoryview):
        self.data = memoryview(data)

    def size(self) -> int:
        return len(self.data)

    def pread(self, length: int, offset: int) -> bytes:
        return bytes(self.data[offset:offset + length])


class Merged(NamedTuple):
    """What both files of a segment should hold."""
    header: Header
    after: Position
    content: bytes
    reached: tuple[Position | None, ...]        # after which entry each file first differs; None: it does not
    findings: tuple[Finding, ...]


def reconcile(first: Copy, second: Copy, *, cell: int | None, start: Position | None = None, witness: Witness = NOBODY, whole: bool = False,
              write: bool = True) -> Compared:
    """Makes both copies equal. Segments that end before `start` are only looked at by their ends, unless `whole`. Raises Damaged where neither copy, nor
    both together, hold what was committed. Both directories are locked by the caller; `write` off only looks."""
    copies = (first, second)
    names = sorted({name for copy in copies for name in segment_names(copy.disk, copy.directory)})
    firsts = [int(name[8:28]) for name in names]
    if write:
        _clear(copies)
    number, before, reached, findings = None, first_position(f"{first.directory}/{names[0]}", firsts[0], start) if names else start, [None, None], []
    for i, name in enumerate(names):
        last = i + 1 == len(names)
        if start and not whole and not last and firsts[i + 1] <= start.sequence + 1 and (link := _same_ends(copies, name)):
            header, after = link
        else:
            paths = [f"{copy.directory}/{name}" for copy in copies]
            files = [_read(copy.disk, path) for copy, path in zip(copies, paths, strict=True)]
            merged = merge(paths, files, cell=cell, number=number, before=before, last=last, witness=witness)
            header, after = merged.header, merged.after
            reached = [was or now for was, now in zip(reached, merged.reached, strict=True)]
            findings += merged.findings
            if write:
                for copy, path, there in zip(copies, paths, files, strict=True):
                    _make(copy, path, there, merged.content)
        cell, number, before = header.cell, header.number + 1, after
    at = before or Position()
    if at.sequence < witness.sequence:
        raise Damaged(f"{first.directory}/{names[-1]}" if names else first.directory, 0, at.sequence + 1,
                      f"both copies end at sequence {at.sequence}, and {witness.who} knows sequence {witness.sequence} to be committed")
    return Compared((reached[0] or at, reached[1] or at), tuple(findings))


def heal(first: Copy, second: Copy, witness: Witness = NOBODY) -> Compared:
    """Every segment of both, while nobody writes. Raises DiskLocked, Damaged."""
    lock = PairDisk(first, second)
    for copy in (first, second):
        copy.disk.make_directory(copy.directory)
    held = lock.lock(f"{first.directory}/{LOCK_NAME}")
    try:
        return reconcile(first, second, cell=None, witness=witness, whole=True)
    finally:
        held.release()


def mend(first: Copy, second: Copy, name: str, *, cell: int | None, number: int | None, before: Position | None) -> tuple[Merged, int]:
    """Makes one closed segment equal in both, also while the log goes on behind it; and how many bytes were read. Raises Damaged."""
    copies = (first, second)
    paths = [f"{copy.directory}/{name}" for copy in copies]
    files = [_read(copy.disk, path) for copy, path in zip(copies, paths, strict=True)]
    merged = merge(paths, files, cell=cell, number=number, before=before, last=False)
    for copy, path, there in zip(copies, paths, files, strict=True):
        _make(copy, path, there, merged.content)
    return merged, sum(len(there) for there in files if there is not None)


def merge(paths: Sequence[str], files: Sequence[bytes | None], *, cell: int | None, number: int | None, before: Position | None, last: bool,
          witness: Witness = NOBODY) -> Merged:
    """One segment out of two files, None for one that is missing. Damaged where they tell different stories, or neither has what must be there."""
    if len(paths) > 1 and files[0] == files[1]:
        one = merge(paths[:1], files[:1], cell=cell, number=number, before=before, last=last, witness=witness)
        return one._replace(reached=one.reached * 2)
    side = _Sides(paths, files, cell, number, before, last and before is not None and witness.sequence <= before.sequence)
    entries = side.walk()
    end, after = side.offset, side.after
    mark, pad, closed = mark_sector(side.header, end, after), sector_up(end), side.marked()
    if closed:
        content = b"".join((side.head, *(entry.data for entry in entries), bytes(pad - end), mark, mark))
    elif not last:
        raise Damaged(paths[0], end, after.sequence + 1, f"a later segment follows, and neither copy has an entry or a close mark here: {side.why}")
    else:
        side.check_tails(witness)
        content = b"".join((side.head, *(entry.data for entry in entries))).ljust(side.header.segment_bytes, b"\0")
    proven = max(witness.sequence, after.sequence if closed else max((entry.committed for entry in entries), default=0))
    return Merged(side.header, after, content, tuple(side.reached), tuple(side.told(content, proven, last)))


class _Sides:
    """The files of one segment, walked together."""

    def __init__(self, paths: Sequence[str], files: Sequence[bytes | None], cell: int | None, number: int | None, before: Position | None,
                 newest: bool = False):
        """`newest`: no segment follows, and nobody knows of anything committed in it."""
        self.paths, self.files = paths, files
        self.views = {i: memoryview(data) for i, data in enumerate(files) if data is not None}
        self.reached: list[Position | None] = [None] * len(files)
        self.wrong: dict[int, tuple[int, int, str]] = {}            # file -> offset, sequence and what, of the first thing wrong
        self.why = "nothing is there"
        bad: dict[int, Damaged] = {}
        headers: dict[int, Header] = {}
        for i, data in self.views.items():
            try:
                header = read_header(InMemory(data), paths[i])
                check_header(header, paths[i], cell, number, before)
                headers[i] = header
            except Damaged as damage:
                bad[i] = damage
        self.header = next(iter(headers.values()), None) or self._unbegun(cell, number, before, newest, bad)
        self.head = header_sector(self.header)
        self.offset, self.after = SECTOR_BYTES, self.header.before
        if any(header != self.header for header in headers.values()):
            raise Damaged(paths[0], 0, self.after.sequence + 1, f"{' and '.join(paths)} begin differently, and each is whole: two histories")
        for i, data in enumerate(files):
            if data is None:
                self._miss(i, 0, self.after.sequence + 1, "the file is missing")
            elif i in bad:
                self._miss(i, 0, self.after.sequence + 1, bad[i].what)

    def _unbegun(self, cell: int | None, number: int | None, before: Position | None, newest: bool, bad: dict[int, Damaged]) -> Header:
        """What the newest segment must begin with where a copy never had it, and the other has no header and nothing behind it: nobody was told of anything
        in it. It is begun again in its place, for somebody may be reading there. Else Damaged."""
        view = next(iter(self.views.values()))
        if len(self.views) == len(self.files) or not newest or cell is None or number is None or before is None or not is_zero(bytes(view[SECTOR_BYTES:])):
            raise next(iter(bad.values()))
        return Header(cell, number, len(view), before)

    def walk(self) -> list[Entry]:
        """The entries that either has, in order; then `offset` and `after` are where both end."""
        entries = []
        while found := self._here():
            entry = next(iter(found.values()))
            if any(each.own_hash != entry.own_hash for each in found.values()):
                raise Damaged(self.paths[0], self.offset, entry.first_sequence,
                              f"{' and '.join(self.paths)} hold different whole entries here: two histories, and neither is taken")
            for i, view in self.views.items():
                if i in found:
                    continue
                if self._mark_at(view):
                    raise Damaged(self.paths[i], self.offset, entry.first_sequence, "it was closed here, and the other copy goes on: two histories")
                there = view[self.offset:self.offset + len(entry.data)]
                self._miss(i, self.offset, entry.first_sequence, "it ends here" if is_zero(bytes(there)) else "it has other bytes")
            entries.append(entry)
            self.offset, self.after = self.offset + len(entry.data), self.after.after(entry)
        return entries

    def marked(self) -> bool:
        """Whether a copy was closed, or nearly, where both end."""
        return any(self._mark_at(view) for view in self.views.values())

    def check_tails(self, witness: Witness) -> None:
        """Damaged unless what follows the last entry is nothing, or a torn tail that nobody knows to be committed."""
        end, after = self.offset, self.after
        for i, view in self.views.items():
            tail = bytes(view[end:])
            if is_zero(tail):
                continue
            if self._damaged_here(view):
                raise Damaged(self.paths[i], end, after.sequence + 1, self.why)
            refuse_damage_before_valid_bytes(self.header, self.paths[i], end, after, tail, self.why)
            if after.sequence < witness.sequence:
                raise Damaged(self.paths[i], end, after.sequence + 1,
                              f"no copy has this entry whole, and {witness.who} knows sequence {witness.sequence} to be committed: this is rot and no torn "
                              f"tail ({self.why})")
            self._miss(i, end, after.sequence + 1, "")

    def told(self, content: bytes, proven: int, last: bool) -> Iterator[Finding]:
        """Everything wrong with each file, now that it is known what it should hold, and what was committed."""
        for i, there in enumerate(self.files):
            if there == content:
                continue
            offset, sequence, what = self.wrong.get(i) or (_first_difference(there or b"", content), self.after.sequence, _MARK)
            if what is _MARK and last:
                yield Finding(self.paths[i], offset, sequence, "closing was interrupted", torn=True, healed=True)
            elif not what:
                yield Finding(self.paths[i], offset, sequence, "bytes that a crash left of a write nobody was told about", torn=True, healed=True)
            elif sequence > proven:
                yield Finding(self.paths[i], offset, sequence, f"behind the other copy, by what nobody was told was committed: {what}", torn=True, healed=True)
            else:
                yield Finding(self.paths[i], offset, sequence, f"rot: {what}, and the other copy has what was committed", healed=True)

    def _miss(self, i: int, offset: int, sequence: int, what: str) -> None:
        self.wrong.setdefault(i, (offset, sequence, what))
        if self.reached[i] is None:
            self.reached[i] = self.after

    def _here(self) -> dict[int, Entry]:
        found = {}
        for i, view in self.views.items():
            entry = scan(view, min(self.offset, len(view)))
            fault = f"no entry ({entry.name}): {entry.value}" if isinstance(entry, Fault) else chain_fault(self.after, entry, self.header.cell)
            if fault or isinstance(entry, Fault):
                self.why = fault or ""
            else:
                found[i] = entry
        return found

    def _damaged_here(self, view: memoryview) -> bool:
        """Whether a whole entry that does not follow, or one of another release, stands where both end: a lost write leaves neither."""
        entry = scan(view, min(self.offset, len(view)))
        if isinstance(entry, Entry):
            self.why = chain_fault(self.after, entry, self.header.cell) or ""
        return isinstance(entry, Entry) or entry is Fault.VERSION

    def _mark_at(self, view: memoryview) -> bool:
        at = sector_up(self.offset)
        mark = mark_sector(self.header, self.offset, self.after)
        return mark in (view[at:at + SECTOR_BYTES], view[at + SECTOR_BYTES:at + MARK_BYTES])


# --- files -----------------------------------------------------------------------------------------------------------------------------------------

def _read(disk: Disk, path: str) -> bytes | None:
    """The whole file; zeros where the device cannot read a sector; None if it is missing."""
    try:
        file = disk.open(path)
    except DiskMissing:
        return None
    try:
        size = file.size()
        try:
            return file.pread(size, 0)
        except DiskFailed:
            return b"".join(_sector(file, at, size) for at in range(0, size, SECTOR_BYTES))
    finally:
        file.close()


def _sector(file, at: int, size: int) -> bytes:
    length = min(SECTOR_BYTES, size - at)
    try:
        return file.pread(length, at)
    except DiskFailed:
        return bytes(length)


def _make(copy: Copy, path: str, there: bytes | None, content: bytes) -> None:
    """The file holds this, durably; what is right already is not written."""
    disk = copy.disk
    if there == content:
        return
    if there is None:
        healed = f"{copy.directory}/{HEALED_NAME}"
        file = disk.create(healed, len(content))
    else:
        healed, file = "", disk.open(path, write=True)
    try:
        was = there if there is not None else bytes(len(content))
        for at in range(0, len(content), HEAL_BYTES):
            if content[at:at + HEAL_BYTES] != was[at:at + HEAL_BYTES]:
                file.pwrite(content[at:at + HEAL_BYTES], at)
        if len(was) > len(content):
            file.truncate(len(content))
        file.sync()
    finally:
        file.close()
    if healed:
        disk.rename(healed, path)
        disk.sync_directory(copy.directory)


def _clear(copies: Sequence[Copy]) -> None:
    """Both directories are there, without what is made anew at each start, nor a reserve that one of them lacks."""
    for copy in copies:
        copy.disk.make_directory(copy.directory)
    names = [copy.disk.list_directory(copy.directory) for copy in copies]
    lone = {RESERVE_NAME} if not all(RESERVE_NAME in each for each in names) else set()
    for copy, there in zip(copies, names, strict=True):
        for name in lone.union((SPARE_NAME, HEALED_NAME)).intersection(there):
            copy.disk.remove(f"{copy.directory}/{name}")


def _same_ends(copies: Sequence[Copy], name: str) -> tuple[Header, Position] | None:
    """Header and end of a closed segment where both copies say the same of it; else None, and it must be read whole."""
    found = []
    for copy in copies:
        path = f"{copy.directory}/{name}"
        try:
            file = copy.disk.open(path)
            try:
                found.append((read_link(file, path), file.size()))
            finally:
                file.close()
        except (DiskError, Damaged):
            return None
    return found[0][0] if found[0] == found[1] else None


def _first_difference(there: bytes, content: bytes) -> int:
    low, high = 0, min(len(there), len(content))
    if there[:high] == content[:high]:
        return high
    while low < high:
        middle = (low + high) // 2
        if there[:middle + 1] == content[:middle + 1]:
            low = middle + 1
        else:
            high = middle
    return low
