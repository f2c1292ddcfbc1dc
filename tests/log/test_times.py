"""Stage times: kept beside the log, bounded, and no reason to stop anything."""
import numpy as np
import pytest

from cambist.log.disk_shell import RealDisk
from cambist.log.times import ROW_BYTES, TIMES, Times, read_times

from tests.log.crash_disk import CrashDisk

DIR = "log"


def rows(first: int, n: int) -> list[tuple]:
    return [(i, 1, i * 10, i * 10 + 1, i * 10 + 2, i * 10 + 3) for i in range(first, first + n)]


def test_rows_come_back_over_restarts_and_are_never_synced(tmp_path):
    crash_disk = CrashDisk()
    crash_disk.make_directory(DIR)
    for disk, directory in ((crash_disk, DIR), (RealDisk(), str(tmp_path))):
        for first in (1, 6):
            times = Times(disk, directory)
            times.append(rows(first, 5))
            times.close()
        assert read_times(disk, directory).tolist() == rows(1, 10) and ROW_BYTES == 48
    assert crash_disk.syncs == 0


def test_a_full_file_becomes_the_older_one():
    disk = CrashDisk()
    disk.make_directory(DIR)
    times = Times(disk, DIR, max_rows=10)
    for first in range(1, 36):
        times.append(np.array(rows(first, 1), TIMES))
    assert read_times(disk, DIR)["first_sequence"].tolist() == list(range(21, 36))
    with pytest.raises(ValueError, match="a file takes 10"):
        times.append(rows(1, 11))
    with pytest.raises(ValueError, match="right would be TIMES"):
        times.append(np.zeros(3))
    times.append([])


def test_half_a_row_is_written_over():
    disk = CrashDisk()
    disk.make_directory(DIR)
    disk.create(f"{DIR}/stage-times.cbt").pwrite(np.array(rows(1, 2), TIMES).tobytes()[:60], 0)
    assert len(read_times(disk, DIR)) == 1
    Times(disk, DIR).append(rows(2, 1))
    assert read_times(disk, DIR).tolist() == rows(1, 2)


def test_a_disk_that_refuses_loses_only_measures():
    disk = CrashDisk(capacity=100)
    disk.make_directory(DIR)
    times = Times(disk, DIR)
    times.append(rows(1, 2))
    times.append(rows(3, 3))
    assert times.lost == 3 and len(read_times(disk, DIR)) == 2
    assert len(read_times(disk, "nowhere")) == 0
