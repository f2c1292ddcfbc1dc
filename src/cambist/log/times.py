"""Stage times: when each entry was sealed, durable, applied, and its results written.

Decides where these measures are kept. Must not be believed: they are beside the log, never hashed, never synced, and no state depends on them.
A disk that refuses them loses measures and nothing else, and `lost` counts them.
"""
from collections.abc import Sequence

import numpy as np

from cambist.log.disk import Disk, DiskError, DiskMissing, File

TIMES = np.dtype([("first_sequence", "<i8"), ("count", "<i8"), ("sealed", "<i8"), ("durable", "<i8"), ("applied", "<i8"), ("results", "<i8")])   # ns
ROW_BYTES = TIMES.itemsize                 # 48
MAX_ROWS = 1 << 20                         # in one file; then it becomes the older one, and the one before that is dropped
_NAME, _OLDER = "stage-times.cbt", "stage-times-older.cbt"


class Times:
    """Appends rows of six numbers, batched as the caller likes."""

    def __init__(self, disk: Disk, directory: str, *, max_rows: int = MAX_ROWS):
        self._disk, self._directory, self._max_rows = disk, directory, max_rows
        self._file: File | None = None
        self._rows = 0
        self.lost = 0

    def append(self, rows: np.ndarray | Sequence[tuple[int, int, int, int, int, int]]) -> None:
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
