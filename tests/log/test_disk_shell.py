"""The real disk: it keeps the port's promises that can be seen without pulling the plug, and its errors have the port's names."""
import os

import pytest

from cambist.log.disk import DiskFailed, DiskFull, DiskLocked, DiskMissing
from cambist.log.disk_shell import RealDisk


def test_a_created_file_has_its_size_in_zeros_and_its_space(tmp_path):
    disk, path = RealDisk(), str(tmp_path / "f")
    file = disk.create(path, 1 << 20)
    assert file.size() == 1 << 20 and file.pread(1 << 21, 0) == bytes(1 << 20)
    assert os.stat(path).st_blocks * 512 >= 1 << 20 or os.uname().sysname == "Darwin"
    file.pwrite(memoryview(b"abc"), 10)
    file.truncate(12)
    file.sync()
    assert (file.pread(100, 9), file.size()) == (b"\0ab", 12)
    file.close()
    file.close()
    assert disk.open(path).pread(3, 10) == b"ab"


def test_names_change_as_asked(tmp_path):
    disk, at = RealDisk(), str(tmp_path / "a" / "b")
    disk.make_directory(at)
    disk.make_directory(at)
    for name in ("z", "y"):
        disk.create(f"{at}/{name}").close()
    disk.rename(f"{at}/z", f"{at}/x")
    disk.remove(f"{at}/y")
    disk.sync_directory(at)
    assert disk.list_directory(at) == ["x"]
    disk.rename(at, at + "2")
    disk.remove(f"{at}2/x")
    disk.remove_directory(at + "2")
    assert disk.list_directory(str(tmp_path / "a")) == [] and disk.free_bytes(at) > 0


def test_a_directory_that_another_made_and_died_is_durable_once_it_is_asked_for(tmp_path):
    class Told(RealDisk):
        def sync_directory(self, path):
            super().sync_directory(path)
            synced.append(path)
    a, synced = str(tmp_path / "a"), []
    Told().make_directory(f"{a}/b/c")
    assert synced == [str(tmp_path.parent), str(tmp_path), a, f"{a}/b"]
    synced.clear()
    Told().make_directory(f"{a}/b")
    Told().make_directory(f"{a}/b/d")
    assert synced == [a, a, f"{a}/b"]


def test_errors_have_the_ports_names(tmp_path):
    disk, missing = RealDisk(), str(tmp_path / "none" / "f")
    for call in (disk.open, disk.remove, disk.list_directory, disk.create, disk.sync_directory):
        with pytest.raises(DiskMissing, match="does not exist"):
            call(missing)
    with pytest.raises(DiskMissing):
        disk.rename(missing, missing + "2")
    disk.create(str(tmp_path / "f")).close()
    with pytest.raises(DiskFailed, match=r"create on .*exists"):
        disk.create(str(tmp_path / "f"))
    with pytest.raises(DiskFailed, match="rmdir"):
        disk.remove_directory(str(tmp_path))
    with pytest.raises(DiskFailed, match="pwrite"):
        disk.open(str(tmp_path / "f")).pwrite(b"x", 0)                   # not opened to be written


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="This system has no /dev/full.")
def test_no_space_is_disk_full():
    with pytest.raises(DiskFull, match="needs 3 bytes"):
        RealDisk().open("/dev/full", write=True).pwrite(b"abc", 0)


def test_more_space_than_there_is_cannot_be_reserved(tmp_path):
    disk, path = RealDisk(), str(tmp_path / "f")
    with pytest.raises((DiskFull, DiskFailed)):                          # a file system may call so much too large a file
        disk.create(path, disk.free_bytes(path) + (1 << 40))
    assert disk.list_directory(str(tmp_path)) == []


def test_a_lock_is_exclusive_until_released(tmp_path):
    disk, path = RealDisk(), str(tmp_path / "lock")
    lock = disk.lock(path)
    with pytest.raises(DiskLocked):
        disk.lock(path)
    lock.release()
    lock.release()
    disk.lock(path).release()
