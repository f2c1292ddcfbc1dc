"""Stage times: when each entry was sealed, durable, applied, and told.

Decides where these measures are kept. Must not be believed: they are beside the log, never hashed, never synced, and no state depends on them.
A disk that refuses them loses measures and nothing else, and `lost` counts them. The newest are in memory as well.
"""
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from cambist.log.disk import Disk, DiskError, DiskMissing, File

# ns: `time` is log time, what follows it are monotonic stamps of one host
TIMES = np.dtype([("first_sequence", "<i8"), ("count", "<i8"), ("time", "<i8"), ("sealed", "<i8"), ("durable", "<i8"), ("applied", "<i8"), ("told", "<i8")])
ROW_BYTES = TIMES.itemsize                 # 56
MAX_ROWS = 1 << 20                         # in one file; then it becomes the older one, and the one before that is dropped
RING_ROWS = 1 << 16                        # the newest, in memory
_NAME, _OLDER = "stage-times-2.cbt", "stage-times-2-older.cbt"     # the layout's number is in the name: what another release measured is left alone

Row = tuple[int, int, int, int, int, int, int]


class Stamps:
    """The newest rows. One thread adds; another may read at the same time: what was written over meanwhile is not given."""
    def __init__(self, most: int = RING_ROWS):
        self._rows, self._most, self._next = np.zeros(most, TIMES), most, 0

    def add(self, row: Row) -> None:
        self._rows[self._next % self._most] = row
        self._next += 1

    def newest(self, count: int) -> np.ndarray:
        """At most so many, oldest first."""
        end = self._next
        return self._given(max(end - count, end - self._most + 1, 0), end)

    def since(self, sequence: int, count: int) -> np.ndarray | None:
        """At most `count` rows from the entry on that holds `sequence`; None when they do not reach back so far."""
        end = self._next
        start = max(end - self._most + 1, 0)            # the row at `end - most` may be written over at this moment
        firsts = self._rows["first_sequence"]
        at = bisect_right(range(start, end), sequence, key=lambda i: int(firsts[i % self._most])) - 1 + start
        if at < start:
            return None
        rows = self._given(at, min(at + count, end))
        return rows if len(rows) and rows[0]["first_sequence"] <= sequence else None

    def _given(self, start: int, end: int) -> np.ndarray:
        rows = self._rows[np.arange(start, end) % self._most]
        return rows[max(self._next - self._most + 1 - start, 0):]


class Times:
    """Appends rows of seven numbers, batched as the caller likes."""

    def __init__(self, disk: Disk, directory: str, *, max_rows: int = MAX_ROWS):
        self._disk, self._directory, self._max_rows = disk, directory, max_rows
        self._file: File | None = None
        self._rows = 0
        self.lost = 0

    def append(self, rows: np.ndarray | Sequence[Row]) -> None:
        """Rows in the order of TIMES. Never raises for the disk's sake."""
        data = rows if isinstance(rows, np.ndarray) else np.array([tuple(row) for row in rows], TIMES)
        if data.dtype != TIMES:
            raise ValueError(f"rows of {data.dtype}; right would be TIMES, {ROW_BYTES} bytes each")
        if len(data) > self._max_rows:
            raise ValueError(f"{len(data)} rows at once; a file takes {self._max_rows}")
        if not len(data):
            return
        try:
            if self._file is None:
                self._begin()
            if self._rows + len(data) > self._max_rows:
                self._turn()
            assert self._file
            self._file.pwrite(data.tobytes(), self._rows * ROW_BYTES)
            self._rows += len(data)
        except DiskError:
            self.lost += len(data)

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        path = f"{self._directory}/{_NAME}"
        try:
            self._file = self._disk.open(path, write=True)
        except DiskMissing:
            self._file = self._disk.create(path)
        self._rows = self._file.size() // ROW_BYTES          # over half a row, if a crash left one

    def _turn(self) -> None:
        self.close()
        self._disk.rename(f"{self._directory}/{_NAME}", f"{self._directory}/{_OLDER}")
        self._begin()


def read_times(disk: Disk, directory: str) -> np.ndarray:
    """All rows that are kept, oldest first (dtype TIMES); none if nothing was measured."""
    parts = []
    for name in (_OLDER, _NAME):
        try:
            file = disk.open(f"{directory}/{name}")
        except DiskMissing:
            continue
        size = file.size()
        parts.append(np.frombuffer(file.pread(size - size % ROW_BYTES, 0), TIMES))
        file.close()
    return np.concatenate(parts) if parts else np.empty(0, TIMES)


def find_times(disk: Disk, directory: str, sequence: int, count: int) -> np.ndarray:
    """At most `count` kept rows from the entry on that holds `sequence`; from the next one kept when its own is not. Reads little more than those."""
    for name in (_OLDER, _NAME):
        try:
            file = disk.open(f"{directory}/{name}")
        except DiskMissing:
            continue
        try:
            rows = file.size() // ROW_BYTES
            at = max(bisect_right(range(rows), sequence, key=lambda i, file=file: int(_read(file, i, 1)["first_sequence"][0])) - 1, 0)
            found = _read(file, at, min(count + 1, rows - at))
        finally:
            file.close()
        found = found[found["first_sequence"] + found["count"] > sequence][:count]
        if len(found):
            return found
    return np.empty(0, TIMES)


def _read(file: File, row: int, count: int) -> np.ndarray:
    data = file.pread(count * ROW_BYTES, row * ROW_BYTES)
    return np.frombuffer(data[:len(data) - len(data) % ROW_BYTES], TIMES)
