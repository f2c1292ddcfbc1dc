"""What the house decided about the log itself: that a command is not applied, and that a new epoch begins.

Decides how a decision is written and found. A decision is an entry like any other, with the flag DECIDES: its one record is a TICK, and item 1 of its side
section is JSON. It stands behind what it is about, so whoever applies a log looks for decisions first. Must not know why or when one is made.
"""
from collections.abc import Iterator

import msgspec

from cambist.log.disk import SECTOR_BYTES, Disk, File
from cambist.log.entry import DECIDES, FRAME_BYTES, HEADER, MAGIC, MAX_ENTRY_BYTES, Entry, EntryError, SideSection, scan, side_item
from cambist.log.journal import segment_names
from cambist.log.segment import MARK_BYTES, MARK_MAGIC, Damaged, open_sector, sector_up
from cambist.messages import RECORD_BYTES

WINDOW_BYTES = 4 << 20


class Skip(msgspec.Struct, frozen=True, kw_only=True, tag_field="decision", tag="skip", forbid_unknown_fields=True):
    """`count` commands from `sequence` on are not applied: one, or a whole group."""
    sequence: int
    count: int
    digest: str                                 # sha256 of their bytes, in hex
    by: str                                     # who decided
    why: str


class NewEpoch(msgspec.Struct, frozen=True, kw_only=True, tag_field="decision", tag="epoch", forbid_unknown_fields=True):
    """From this entry on another release applies the log, beginning with a migrated state. Hashes in hex."""
    epoch: int
    rules: int                                  # version of the rules it is applied by
    release: str
    state_before: str                           # of the state at the entry before, in the layout of the release that made it
    state_after: str                            # of the same state, migrated
    by: str
    why: str


Decision = Skip | NewEpoch


class Decided(msgspec.Struct, frozen=True):
    """A decision, and where it stands."""
    sequence: int
    decision: Decision


def section(decision: Decision) -> bytes:
    """The side section of the entry that decides."""
    side = SideSection()
    side.add(msgspec.json.encode(decision))
    return bytes(side)


def decision_of(entry: Entry) -> Decision | None:
    """What the entry decides; None for most. EntryError where the flag is set and no decision is there."""
    if not entry.flags & DECIDES:
        return None
    try:
        return msgspec.json.decode(side_item(entry, 1), type=Decision)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise EntryError(f"the entry of sequence {entry.first_sequence} decides something this release cannot read: {error}") from error


def decisions(disk: Disk, directory: str, after: int = 0) -> list[Decided]:
    """All decisions of a log folder in entries behind sequence `after`, in order, also of entries that nothing yet calls committed. Headers are believed, as
    far as they lead; an entry that decides is read whole. Damaged where that is not what was written, and where they do not lead to the end of a segment that
    has a later one: a decision may stand behind."""
    names, found = segment_names(disk, directory), []
    firsts = [int(name[8:28]) for name in names]
    for i, name in enumerate(names):
        if i + 1 < len(names) and firsts[i + 1] <= after + 1:
            continue
        path = f"{directory}/{name}"
        file = disk.open(path)
        try:
            found += [each for each in _in_file(file, path, firsts[i], i + 1 < len(names)) if each.sequence > after]
        finally:
            file.close()
    return found


def _in_file(file: File, path: str, first: int, closed: bool) -> Iterator[Decided]:
    at, base, window = SECTOR_BYTES, 0, memoryview(b"")
    while True:
        if at + HEADER.size > base + len(window):
            base, window = at, memoryview(file.pread(WINDOW_BYTES, at))
            if len(window) < HEADER.size:
                break
        magic, _, _, _, count, side, flags, sequence, *_ = HEADER.unpack_from(window, at - base)
        length = FRAME_BYTES + count * RECORD_BYTES + side
        if magic != MAGIC or sequence != first or not count or length > MAX_ENTRY_BYTES:
            break
        if flags & DECIDES:
            entry = scan(file.pread(length, at))
            if not isinstance(entry, Entry):
                raise Damaged(path, at, sequence, f"the entry decides something and is not whole ({entry.name})")
            decision = decision_of(entry)
            if decision:
                yield Decided(sequence, decision)
        at, first = at + length, first + count
    if closed:
        marks = file.pread(MARK_BYTES, sector_up(at))
        if at not in [found[2] for mark in (marks[:SECTOR_BYTES], marks[SECTOR_BYTES:]) if (found := open_sector(mark, MARK_MAGIC))]:
            raise Damaged(path, at, first, "a later segment follows, and here is neither an entry nor the close mark")


def skipped(found: list[Decided]) -> frozenset[int]:
    """The sequences that are not applied."""
    return frozenset(sequence for each in found if isinstance(each.decision, Skip)
                     for sequence in range(each.decision.sequence, each.decision.sequence + each.decision.count))
