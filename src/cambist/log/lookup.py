"""Where in the log a sequence is: one entry found by the names of the segments and by hops from header to header, without reading what lies before it.

Decides which bytes are looked at. Must not know what an entry means. A hop believes a header's lengths and nothing else; what is found at the end of it
is an entry only if it is whole, hashed and of the sequence asked for. What a walk learns is kept in a sparse index, so that it is learned once.
"""
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from cambist.log.disk import SECTOR_BYTES, Disk, File
from cambist.log.entry import FRAME_BYTES, HEADER, MAGIC, MAX_ENTRY_BYTES, Entry, Fault, scan
from cambist.log.journal import segment_names
from cambist.log.segment import Damaged
from cambist.messages import RECORD_BYTES

INDEX_BYTES = 64 << 10                     # one index row per so many bytes of a file
MAX_INDEXED = 256                          # files whose index is kept: 16 GiB of segments, 4 MiB of index
WINDOW_BYTES = 1 << 20

Index = tuple[list[int], list[int]]                                     # first sequences and offsets of some entries of a file, ascending
Framed = Callable[[memoryview, int], tuple[int, int, int] | None]       # a header at an offset -> (first sequence, last sequence, length), or not one


def hop(file: File, header_bytes: int, framed: Framed, sequence: int, index: Index) -> tuple[int, int]:
    """Offset and first sequence of the entry that holds `sequence`, or of the first place where no header follows; the index is filled on the way."""
    sequences, offsets = index
    row = max(bisect_right(sequences, sequence) - 1, 0)
    at, expected = offsets[row], sequences[row]
    base, window = at, memoryview(file.pread(WINDOW_BYTES, at))
    while True:
        if at + header_bytes > base + len(window):
            base, window = at, memoryview(file.pread(WINDOW_BYTES, at))
            if len(window) < header_bytes:
                return at, expected
        found = framed(window, at - base)
        if found is None or found[0] != expected:
            return at, expected
        first, last, length = found
        if at - offsets[-1] >= INDEX_BYTES:
            sequences.append(first)
            offsets.append(at)
        if last >= sequence:
            return at, expected
        at, expected = at + length, last + 1


def _framed(view: memoryview, offset: int) -> tuple[int, int, int] | None:
    magic, _, _, _, count, side, _, first, *_ = HEADER.unpack_from(view, offset)
    length = FRAME_BYTES + count * RECORD_BYTES + side
    return (first, first + count - 1, length) if magic == MAGIC and count and length <= MAX_ENTRY_BYTES else None


class Lookup:
    """Finds entries of one journal, also beside its writer. One thread at a time."""
    def __init__(self, disk: Disk, directory: str, *, cell: int | None = None):
        self._disk, self._directory, self._cell = disk, directory, cell
        self._indexes: OrderedDict[str, Index] = OrderedDict()

    def find(self, sequence: int) -> Entry | None:
        """The entry that holds `sequence`; None if there is none yet or it is not kept here. Damaged where it should be and is not what was written."""
        name = max((name for name in segment_names(self._disk, self._directory) if int(name[8:28]) <= sequence), default=None)
        if name is None or sequence < 1:
            return None
        path = f"{self._directory}/{name}"
        index = self._indexes.setdefault(path, ([int(name[8:28])], [SECTOR_BYTES]))
        self._indexes.move_to_end(path)
        if len(self._indexes) > MAX_INDEXED:
            self._indexes.popitem(last=False)
        file = self._disk.open(path)
        try:
            return self._read(file, path, hop(file, HEADER.size, _framed, sequence, index)[0], sequence)
        finally:
            file.close()

    def _read(self, file: File, path: str, at: int, sequence: int) -> Entry | None:
        found: Any = scan(file.pread(MAX_ENTRY_BYTES, at))
        if found is Fault.MAGIC or found is Fault.SHORT:
            return None                                                 # the end of what is written
        if isinstance(found, Fault) or not found.first_sequence <= sequence <= found.last_sequence or self._cell not in (None, found.cell):
            raise Damaged(path, at, sequence, f"the entry of this sequence should be here ({found.name if isinstance(found, Fault) else 'another is'})")
        return found
