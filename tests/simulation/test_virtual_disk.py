"""The disk in memory: what it corrupted and an operator can restore, also where the file was written again or cut since."""
import random

import pytest

from cambist.simulation.virtual_disk import NoTrouble, VirtualDisk, VirtualFile


class Misdirects(NoTrouble):
    """The write at 2048, of letters b, comes to lie a kilobyte before its place."""
    def lies(self, disk, path, offset, nbytes):
        return "misdirected" if offset == 2048 else ""


def written() -> tuple[VirtualDisk, VirtualFile]:
    """a a a a b b c c, in sectors, on the medium: b and what it came to lie on are wrong after a power loss."""
    disk = VirtualDisk()
    disk.trouble = Misdirects()
    disk.make_directory("house")
    file = disk.create("house/log")
    disk.sync_directory("house")
    for offset, data in ((0, b"a" * 2048), (2048, b"b" * 1024), (3072, b"c" * 1024)):
        file.pwrite(data, offset)
        file.sync()
    return disk, file


def all_of(disk: VirtualDisk) -> bytes:
    file = disk.open("house/log")
    return file.pread(file.size(), 0)


class KeepsNothing(random.Random):
    """Of what was not synced nothing survives."""
    def choice(self, seq):
        return min(seq)


RIGHT = b"a" * 2048 + b"b" * 1024 + b"c" * 1024


def test_what_was_misdirected_is_restored():
    disk, _ = written()
    assert all_of(disk) == RIGHT                                        # the machine's memory has it
    disk = disk.after_power_loss(random.Random(1))
    assert all_of(disk) == b"a" * 1024 + b"b" * 512 + b"a" * 512 + bytes(1024) + b"c" * 1024
    assert {lie.what for lie in disk.wrong()} == {"misdirected"}
    disk.heal()
    assert all_of(disk) == RIGHT and disk.wrong() == []


@pytest.mark.parametrize(("cut", "left"), [(1024, 0), (1280, 1), (2048, 1), (2560, 2)])
def test_what_was_cut_is_nothing_to_restore(cut, left):
    """A restore that put it back would lengthen the file (seed 400118)."""
    disk, _ = written()
    disk = disk.after_power_loss(random.Random(1))
    file = disk.open("house/log", write=True)
    file.truncate(cut)
    file.sync()
    assert len(disk.wrong()) == left
    disk.heal()
    assert all_of(disk) == RIGHT[:cut]
    file.truncate(4096)
    disk.heal()
    assert all_of(disk) == RIGHT[:cut] + bytes(4096 - cut)


@pytest.mark.parametrize("change", [lambda file: file.truncate(512), lambda file: file.pwrite(b"d" * 2048, 1024)])
def test_what_was_cut_or_written_over_is_wrong_again_when_a_power_loss_took_that(change):
    disk, _ = written()
    disk = disk.after_power_loss(random.Random(1))
    change(disk.open("house/log", write=True))
    assert disk.wrong() == []
    disk = disk.after_power_loss(KeepsNothing())
    assert len(disk.wrong()) == 2
    disk.heal()
    assert all_of(disk) == RIGHT
