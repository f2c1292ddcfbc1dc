"""Stage times: kept beside the log, bounded, and no reason to stop anything."""
import numpy as np
import pytest

from cambist.log.disk_shell import RealDisk
from cambist.log.times import ROW_BYTES, TIMES, Stamps, Times, find_times, read_times

from tests.log.crash_disk import CrashDisk

DIR = "log"


def rows(first: int, n: int) -> list[tuple]:
    return [(i, 1, i, i * 10, i * 10 + 1, i * 10 + 2, i * 10 + 3) for i in range(first, first + n)]


def test_rows_come_back_over_restarts_and_are_never_synced(tmp_path):
    crash_disk = CrashDisk()
    crash_disk.make_directory(DIR)
    for disk, directory in ((crash_disk, DIR), (RealDisk(), str(tmp_path))):
        for first in (1, 6):
            times = Times(disk, directory)
            times.append(rows(first, 5))
            times.close()
        assert read_times(disk, directory).tolist() == rows(1, 10) and ROW_BYTES == 56
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
    disk.create(f"{DIR}/stage-times-2.cbt").pwrite(np.array(rows(1, 2), TIMES).tobytes()[:60], 0)
    assert len(read_times(disk, DIR)) == 1
    Times(disk, DIR).append(rows(2, 1))
    assert read_times(disk, DIR).tolist() == rows(1, 2)


def test_a_disk_that_refuses_loses_only_measures():
    disk = CrashDisk(capacity=120)
    disk.make_directory(DIR)
    times = Times(disk, DIR)
    times.append(rows(1, 2))
    times.append(rows(3, 3))
    assert times.lost == 3 and len(read_times(disk, DIR)) == 2
    assert len(read_times(disk, "nowhere")) == 0


def test_rows_are_found_by_the_sequence_they_hold():
    disk = CrashDisk()
    disk.make_directory(DIR)
    times = Times(disk, DIR, max_rows=10)
    for first in range(1, 26):
        times.append([(10 * first, 5, 0, 0, 0, 0, 0)])      # five of every ten sequences were measured
    kept = read_times(disk, DIR)["first_sequence"].tolist()
    assert kept == list(range(110, 260, 10))
    for sequence, found in ((110, 110), (114, 110), (115, 120), (5, 110), (204, 200), (205, 210), (253, 250)):
        assert find_times(disk, DIR, sequence, 2)["first_sequence"].tolist() == kept[kept.index(found):][:2 if found != 200 else 1], sequence
    assert len(find_times(disk, DIR, 255, 9)) == len(find_times(disk, "nowhere", 1, 9)) == 0


def test_the_newest_rows_are_in_memory_and_bounded():
    stamps = Stamps(most=8)
    assert len(stamps.newest(5)) == 0 and stamps.since(1, 5) is None
    for i in range(1, 21):
        stamps.add((10 * i, 5, i, 0, 0, 0, 0))
    assert stamps.newest(3)["first_sequence"].tolist() == [180, 190, 200] and len(stamps.newest(100)) == 7
    assert stamps.since(163, 3)["first_sequence"].tolist() == [160, 170, 180] and stamps.since(204, 3)["time"].tolist() == [20]
    assert stamps.since(139, 3) is None
