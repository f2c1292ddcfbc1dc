"""A journal on a disk that is full or fails: what was acknowledged is there, what is essential has room of its own, a failed sync is never tried again."""
import random

import pytest

from cambist.log.disk import DiskFailed, DiskFull
from cambist.log.entry import FRAME_BYTES
from cambist.log.journal import MIN_SEGMENT_BYTES, SPARE_SLICE_BYTES, SPARE_SYNC_BYTES
from cambist.log.segment import OVERHEAD_BYTES, Position

from tests.log.crash_disk import CrashDisk
from tests.log.entries import chain, entry_after

from tests.log.test_journal import opened, read_all, segments


def test_a_full_disk_refuses_new_business_and_keeps_what_was_acknowledged():
    disk = CrashDisk(capacity=3 * 4096 + 2048)
    journal, position, accepted = opened(disk), Position(), []
    with pytest.raises(DiskFull, match="needs 4,096 bytes") as caught:
        while True:
            journal.propose(entry := entry_after(position, 3))
            accepted.append(entry)
            position = position.after(entry)
    assert caught.value.needed == journal.full.needed == 4096 and journal.room() > 0
    while journal.room() >= 560:                                     # what must be said still can be
        journal.propose(entry := entry_after(position, 3), essential=True)
        accepted.append(entry)
        position = position.after(entry)
    with pytest.raises(DiskFull):
        while True:
            journal.propose(entry := entry_after(position, 3), essential=True)
            accepted.append(entry)
            position = position.after(entry)
    disk.capacity += 100_000                                         # somebody made room
    journal.propose(entry := entry_after(position, 3))
    assert journal.full is None
    journal.close()
    assert read_all(disk) == [*accepted, entry]


def test_the_reserve_takes_what_is_essential_and_comes_back_when_there_is_room():
    disk = CrashDisk(capacity=4 * 4096 + 2048)
    journal, position, accepted = opened(disk, reserve_bytes=MIN_SEGMENT_BYTES), Position(), []

    def propose(essential: bool) -> None:
        nonlocal position
        journal.propose(entry := entry_after(position, 3), essential=essential)
        accepted.append(entry)
        position = position.after(entry)

    with pytest.raises(DiskFull):
        while True:
            propose(False)
    room = journal.room()
    while journal.room() >= 560:
        propose(True)
    with pytest.raises(DiskFull):
        while True:
            propose(True)
    sizes = {len(disk.names[path].live) for path in segments(disk)}
    assert room >= MIN_SEGMENT_BYTES - OVERHEAD_BYTES and not any("reserve" in name for name in disk.names) and sizes <= {2048, 2560, 3072, 3584, 4096}
    disk.capacity += 100_000
    propose(False)
    assert journal.full is None and any("reserve" in name for name in disk.names)
    journal.close()
    assert read_all(disk) == accepted and any("reserve" in name for name in disk.names)     # kept: on a full disk there would be no other
    calls = len(disk.log)
    opened(disk, reserve_bytes=MIN_SEGMENT_BYTES)
    assert not [call for call in disk.log[calls:] if "reserve" in call]
    disk = disk.after_kill()
    opened(disk, reserve_bytes=2 * MIN_SEGMENT_BYTES)
    assert [call.split()[0] for call in disk.log if "reserve" in call] == ["remove", "create"]


def test_a_journal_on_a_disk_full_from_the_start_opens_and_refuses():
    disk = CrashDisk(capacity=1000)
    journal = opened(disk)
    assert journal.room() == 0
    for essential in (False, True):
        with pytest.raises(DiskFull):
            journal.propose(entry_after(Position()), essential=essential)
    journal.close()


def test_room_is_a_promise():
    for seed in range(20):
        rng, disk = random.Random(seed), CrashDisk()
        journal, position = opened(disk, segment_bytes=8192), Position()
        for _ in range(rng.randrange(30)):
            journal.propose(entry := entry_after(position, rng.randint(1, 9)))
            position = position.after(entry)
        disk.capacity = disk.used()                                  # not a byte more
        room = journal.room()
        while room >= 304:
            entry = entry_after(position, rng.randint(1, max(1, min(9, (room - FRAME_BYTES) // 128))))
            journal.propose(entry, essential=True)
            room, position = room - len(entry.data), position.after(entry)


def test_a_failed_sync_is_fatal_and_never_tried_again():
    reference = CrashDisk()
    journal = opened(reference)
    for entry in chain(40):
        journal.propose(entry)
    for n in range(1, reference.syncs + 1):
        disk, acknowledged = CrashDisk(fail_sync_at=n), []
        try:
            journal = opened(disk)
        except DiskFailed:
            continue
        with pytest.raises(DiskFailed, match="input/output error"):
            for entry in chain(40):
                journal.propose(entry)
                acknowledged.append(entry)
        calls = disk.calls
        for again, arguments in ((journal.propose, chain(40)[len(acknowledged):][:1]), (journal.room, ()), (journal.prepare, (1,))):
            with pytest.raises(DiskFailed):
                again(*arguments)
        journal.close()
        assert disk.calls == calls and disk.locks == set()
        survivors = read_all(disk.after_power_loss(n))
        assert survivors[:len(acknowledged)] == acknowledged


def test_the_spare_is_zeroed_in_slices_ahead_of_need():
    disk = CrashDisk()
    journal = opened(disk, segment_bytes=2 * SPARE_SYNC_BYTES)
    journal.propose(entry := entry_after(Position()))
    assert journal.prepare(SPARE_SLICE_BYTES + 1) == SPARE_SLICE_BYTES + 512
    disk.log.clear()
    while journal.prepare():
        pass
    assert sum(call.startswith("sync") for call in disk.log) == 2
    assert all(int(call.split()[-1]) <= SPARE_SLICE_BYTES for call in disk.log if call.startswith("pwrite"))
    disk.log.clear()
    journal.propose(entry_after(Position().after(entry)))
    assert [call.split()[0] for call in disk.log] == ["pwrite", "sync"]
