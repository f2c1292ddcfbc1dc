"""The journal: acknowledged is on the disk; a torn tail is cut and told; anything else wrong is damage, named by file, offset and sequence."""
import random

import pytest

from cambist.log.disk import SECTOR_BYTES, DiskFailed, DiskLocked
from cambist.log.disk_shell import RealDisk
from cambist.log.entry import FRAME_BYTES, MAX_RECORDS, Entry, scan
from cambist.log.journal import MAX_BATCH_ENTRIES, MIN_SEGMENT_BYTES, Journal, JournalError, verify
from cambist.log.replay import Replay
from cambist.log.segment import MARK_BYTES, OVERHEAD_BYTES, Damaged, Position, examine, segment_name
from cambist.messages import RECORD_BYTES

from tests.log.crash_disk import Crash, CrashDisk
from tests.log.entries import CELL, chain, entry_after

DIR = "log"


def opened(disk, **more) -> Journal:
    return Journal.open(disk, DIR, cell=CELL, **({"segment_bytes": MIN_SEGMENT_BYTES} | more))


def read_all(disk) -> list[Entry]:
    return [entry for chunk in Replay(disk, DIR, cell=CELL, unproven=True).chunks() for entry in chunk]


def written(entries, *, closed=True, **more) -> CrashDisk:
    disk = CrashDisk()
    journal = opened(disk, **more)
    for entry in entries:
        journal.propose(entry)
    if closed:
        journal.close()
        return disk
    return disk.after_kill()


def segments(disk) -> list[str]:
    return [f"{DIR}/{name}" for name in disk.list_directory(DIR) if name.endswith(".cbj") and "spare" not in name]


# --- what is proposed is there ---------------------------------------------------------------------------------------------------------------------

@pytest.fixture(params=["memory", "real"])
def disk_and_dir(request, tmp_path):
    return (CrashDisk(), DIR) if request.param == "memory" else (RealDisk(), str(tmp_path / "a" / "log"))


def test_entries_come_back_in_order_after_rolls_and_reopening(disk_and_dir):
    disk, directory = disk_and_dir
    entries = chain(120)
    for part in (entries[:50], entries[50:51], entries[51:]):
        journal = Journal.open(disk, directory, cell=CELL, segment_bytes=8192)
        assert journal.opening.torn is None
        for entry in part:
            journal.propose(entry)
            assert journal.committed() == entry.last_sequence
        journal.close()
    replayed = [entry for chunk in Replay(disk, directory, cell=CELL).chunks() for entry in chunk]
    assert replayed == entries
    found = verify(disk, directory, cell=CELL)
    assert (found.entries, found.findings, found.closed, found.last.sequence) == (120, (), True, entries[-1].last_sequence)
    assert found.segments > 5 and not any("spare" in name for name in disk.list_directory(directory))


def test_reopening_without_closing_goes_on_in_the_same_segment():
    entries = chain(12)
    disk = written(entries[:5], closed=False, segment_bytes=65536)
    journal = opened(disk, segment_bytes=65536)
    assert journal.opening.torn is None and journal.opening.entries == 5
    journal.append_many(entries[5:])
    journal.close()
    assert read_all(disk) == entries and len(segments(disk)) == 1


def test_a_segment_of_another_size_is_continued_and_followed_by_the_new_size():
    entries = chain(60)
    disk = written(entries[:3], closed=False, segment_bytes=8192)
    journal = opened(disk, segment_bytes=4096)
    for entry in entries[3:]:
        journal.propose(entry)
    journal.close()
    assert read_all(disk) == entries and not verify(disk, DIR).findings


def test_append_many_is_one_write_and_one_sync():
    disk = CrashDisk()
    journal = opened(disk, segment_bytes=1 << 20)
    journal.propose(first := entry_after(Position()))
    disk.log.clear()
    journal.append_many(chain(40, position=Position().after(first), committed=0))
    here = [call for call in disk.log if segment_name(1) in call or ("sync" in call and "spare" not in call)]
    assert len([call for call in disk.log if call.startswith("pwrite") and "spare" not in call]) == 1
    assert len([call for call in here if call.startswith("sync")]) == 1


def test_an_entry_that_calls_an_earlier_one_committed_is_not_in_its_write():
    disk = CrashDisk()
    journal = opened(disk, segment_bytes=1 << 20)
    journal.append_many(chain(4))                                     # each says the one before is committed
    assert len([call for call in disk.log if call.startswith("pwrite") and "spare" not in call]) == 4 and read_all(disk) == chain(4)


def test_a_batch_may_roll_once():
    entries = chain(14, max_count=1, committed=0)
    disk = CrashDisk()
    journal = opened(disk)
    journal.append_many(entries[:6])
    journal.append_many(entries[6:12])
    journal.close()
    assert len(segments(disk)) >= 2 and read_all(disk) == entries[:12]


def test_limits_are_reached_and_named():
    disk = CrashDisk()
    journal = opened(disk, segment_bytes=1 << 20)
    entries = chain(MAX_BATCH_ENTRIES + 1, max_count=1, committed=0)
    with pytest.raises(JournalError, match=f"1 to {MAX_BATCH_ENTRIES}"):
        journal.append_many(entries)
    with pytest.raises(JournalError, match="0 entries"):
        journal.append_many([])
    journal.append_many(entries[:-1])
    journal.close()
    with pytest.raises(JournalError, match="multiple of 512, 4096 at least"):
        opened(disk, segment_bytes=2048)
    small = opened(CrashDisk())
    with pytest.raises(JournalError, match="takes 2560"):
        small.propose(entry_after(Position(), 19))
    with pytest.raises(JournalError, match="more than one new segment"):
        small.append_many(chain(30, committed=0))
    assert small.committed() == 0


def test_the_largest_entry_fills_a_segment_exactly():
    count = (MIN_SEGMENT_BYTES - OVERHEAD_BYTES - FRAME_BYTES) // RECORD_BYTES
    first = entry_after(Position(), count, side=bytes(MIN_SEGMENT_BYTES - OVERHEAD_BYTES - FRAME_BYTES - count * RECORD_BYTES))
    disk = CrashDisk()
    journal = opened(disk)
    journal.propose(first)
    assert len(first.data) == MIN_SEGMENT_BYTES - OVERHEAD_BYTES
    journal.close()
    assert read_all(disk) == [first] and opened(disk).opening.torn is None


def test_an_entry_of_the_largest_count_goes_through(tmp_path):
    journal = Journal.open(RealDisk(), str(tmp_path), cell=CELL, segment_bytes=1 << 20)
    entry = entry_after(Position(), MAX_RECORDS)
    journal.propose(entry)
    journal.close()
    assert verify(RealDisk(), str(tmp_path)).last.hash == entry.own_hash


@pytest.mark.parametrize("wrong, said", [
    (dict(cell=8), "cell 8; right would be cell 7"), (dict(epoch=0), "epoch 0; right would be 2 or later"), (dict(time=5), "time is 5 ns"),
])
def test_an_entry_that_does_not_follow_is_refused(wrong, said):
    journal = opened(CrashDisk())
    first = entry_after(Position(), epoch=2)
    journal.propose(first)
    with pytest.raises(JournalError, match=said):
        journal.propose(entry_after(Position().after(first), **wrong))
    with pytest.raises(JournalError, match="begins at sequence 1; right would be 2"):
        journal.propose(first)
    with pytest.raises(JournalError, match="as the hash before it"):
        journal.propose(entry_after(Position(1, bytes(32), 2, 0)))
    journal.propose(entry_after(Position().after(first)))
    assert journal.committed() == 2


def test_a_second_writer_is_refused(disk_and_dir):
    disk, directory = disk_and_dir
    journal = Journal.open(disk, directory, cell=CELL, segment_bytes=4096)
    with pytest.raises(DiskLocked, match="another process writes here"):
        Journal.open(disk, directory, cell=CELL, segment_bytes=4096)
    journal.close()
    Journal.open(disk, directory, cell=CELL, segment_bytes=4096).close()


def test_a_closed_journal_refuses():
    journal = opened(CrashDisk())
    journal.close()
    journal.close()
    for call in (journal.room, lambda: journal.propose(entry_after(Position())), lambda: journal.prepare(1)):
        with pytest.raises(JournalError, match="closed; open it again"):
            call()


def test_opening_and_closing_without_entries_leaves_nothing_behind():
    entries = chain(3)
    disk = written(entries)
    before = {name: bytes(disk.names[name].live) for name in segments(disk)}
    for _ in range(3):
        opened(disk).close()
    assert {name: bytes(disk.names[name].live) for name in segments(disk)} == before


def test_a_new_journal_may_begin_after_a_snapshot():
    start = Position(500, b"\7" * 32, 4, 1_000_000)
    disk, entries = CrashDisk(), chain(9, position=start)
    journal = opened(disk, start=start)
    for entry in entries:
        journal.propose(entry)
    journal.close()
    assert opened(disk, start=start).committed() == entries[-1].last_sequence
    with pytest.raises(Damaged, match="begins at sequence 501; right would be 1"):
        opened(disk.after_kill())
    assert verify(disk, DIR).findings[0].what.startswith("the first segment begins at") and not verify(disk, DIR, start=start).findings


# --- opening from a snapshot -----------------------------------------------------------------------------------------------------------------------

def test_opening_from_a_snapshot_reads_only_what_follows():
    entries = chain(200)
    disk = written(entries)
    position = Position()
    for i, entry in enumerate(entries):
        position = position.after(entry)
        if i % 37 == 0 or i == len(entries) - 1:
            journal = opened(disk, start=position)
            assert journal.position.sequence == entries[-1].last_sequence and journal.opening.entries < 200 - i + 15
            journal.close()
            with pytest.raises(Damaged, match="the snapshot"):
                opened(disk, start=Position(position.sequence, b"\1" * 32, position.epoch, position.time))
    with pytest.raises(Damaged, match="the journal ends before the snapshot"):
        opened(disk, start=Position(position.sequence + 1, b"\1" * 32))
    inside = next(e for e in entries[100:] if e.count > 1)
    with pytest.raises(Damaged, match="not the end of an entry"):
        opened(disk, start=Position(inside.first_sequence, inside.own_hash))


def test_a_broken_link_between_skipped_segments_is_damage():
    entries = chain(200)
    disk, last = written(entries), Position()
    for entry in entries:
        last = last.after(entry)
    path = segments(disk)[2]
    disk.flip(path, len(disk.names[path].live) - 3)
    with pytest.raises(Damaged, match="does not end in its close mark"):
        opened(disk, start=last)


# --- torn or damaged -------------------------------------------------------------------------------------------------------------------------------

def open_segment(entries, tail: bytes = b"") -> tuple[CrashDisk, int]:
    """A disk with an unclosed segment of these entries and then `tail`; and the offset of the tail."""
    disk = written(entries, closed=False, segment_bytes=65536)
    live, end = disk.names[segments(disk)[0]].live, SECTOR_BYTES + sum(len(e.data) for e in entries)
    live[end:end + len(tail)] = tail
    return disk, end


@pytest.mark.parametrize("tail", [
    b"\1", b"garbage" * 100, bytes(600) + b"\1", b"CBE1\1\0" * 64, b"CBCLOSED" * 64, bytes(chain(6)[5].data)[:-1], bytes(chain(6)[5].data)[:5]])
def test_a_torn_tail_is_cut_and_told(tail):
    entries = chain(8)
    disk, end = open_segment(entries[:5], tail)
    found = verify(disk, DIR)
    assert [(f.torn, f.offset, f.sequence) for f in found.findings] == [(True, end, entries[5].first_sequence)]
    journal = opened(disk)
    torn = journal.opening.torn
    assert (torn.file, torn.offset, torn.sequence, torn.nbytes) == (segments(disk)[0], end, entries[5].first_sequence, len(tail.rstrip(b"\0")))
    for entry in entries[5:]:
        journal.propose(entry)
    journal.close()
    assert read_all(disk) == entries and not verify(disk, DIR).findings


def test_a_bad_entry_before_a_valid_one_is_damage():
    entries = chain(8)
    disk, _ = open_segment(entries)
    bad = SECTOR_BYTES + sum(len(e.data) for e in entries[:3])
    disk.flip(segments(disk)[0], bad + 150)
    with pytest.raises(Damaged) as caught:
        opened(disk)
    assert (caught.value.file, caught.value.offset, caught.value.sequence) == (segments(disk)[0], bad, entries[3].first_sequence)
    assert [(f.offset, f.sequence, f.torn) for f in verify(disk, DIR).findings] == [(bad, entries[3].first_sequence, False)]
    assert disk.locks == set()


def test_zeroed_sectors_before_an_entry_that_calls_them_committed_are_damage():
    entries = chain(8, max_count=9)
    disk, _ = open_segment(entries)
    bad = SECTOR_BYTES + sum(len(e.data) for e in entries[:3])
    disk.names[segments(disk)[0]].live[bad:bad + len(entries[3].data)] = bytes(len(entries[3].data))
    with pytest.raises(Damaged, match=f"valid entry of sequence {entries[4].first_sequence} follows"):
        opened(disk)


def test_a_lost_sector_in_a_batch_nobody_called_committed_is_torn():
    first = chain(2)
    position = Position().after(first[0]).after(first[1])
    batch = chain(6, position=position, max_count=9, committed=position.sequence)
    disk, _ = open_segment(first + batch)
    lost = (SECTOR_BYTES + sum(len(e.data) for e in first + batch[:1])) // 512 * 512 + 512
    disk.names[segments(disk)[0]].live[lost:lost + 512] = bytes(512)
    journal = opened(disk)
    assert journal.opening.torn and journal.opening.torn.sequence in (batch[0].first_sequence, batch[1].first_sequence)
    for entry in chain(4, position=journal.position, seed=9):
        journal.propose(entry)
    journal.close()
    assert not verify(disk, DIR).findings


def test_a_flipped_bit_in_such_a_batch_with_every_sector_written_is_damage():
    first = chain(2)
    position = Position().after(first[0]).after(first[1])
    batch = chain(6, position=position, max_count=9, committed=position.sequence)
    disk, _ = open_segment(first + batch)
    disk.flip(segments(disk)[0], SECTOR_BYTES + sum(len(e.data) for e in first + batch[:2]) + 170)
    with pytest.raises(Damaged, match=f"valid entry of sequence {batch[3].first_sequence} follows"):
        opened(disk)


def test_an_entry_of_another_release_is_not_cut():
    entries = chain(3)
    data = bytearray(entries[2].data)
    data[4] = 2
    disk, _ = open_segment(entries[:2], bytes(data))
    with pytest.raises(Damaged, match="VERSION"):
        opened(disk)


def test_a_valid_entry_that_does_not_chain_is_damage():
    entries = chain(3)
    disk, end = open_segment(entries[:2], bytes(entry_after(Position(entries[1].last_sequence, b"\5" * 32, 0, 10**9)).data))
    with pytest.raises(Damaged, match="as the hash before it") as caught:
        opened(disk)
    assert caught.value.offset == end
    with pytest.raises(Damaged, match="as the hash before it"):
        read_all(disk)


def test_a_missing_a_foreign_and_a_renamed_segment_are_damage():
    entries = chain(150)
    for n in (0, 1, 3):
        disk = written(entries)
        gone = segments(disk)[n]
        after = segments(disk)[n + 1]
        del disk.names[gone]
        with pytest.raises(Damaged) as caught:
            opened(disk)
        assert caught.value.file == after and verify(disk, DIR).findings[0].file == after
        with pytest.raises(Damaged):
            read_all(disk)
    disk = written(entries)
    disk.names[f"{DIR}/{segment_name(77_777)}"] = disk.names.pop(segments(disk)[2])
    with pytest.raises(Damaged, match=r"renamed|missing"):
        opened(disk)
    disk, foreign = written(entries), written(chain(150, seed=5, max_count=1))
    disk.names[segments(disk)[0]] = foreign.names[segments(foreign)[0]]
    assert verify(disk, DIR).findings


def test_a_shortened_file_is_damage():
    entries = chain(40)
    for closed in (True, False):
        whole = written(entries, closed=closed)
        path = segments(whole)[-1]
        for size in (0, 100, 512, 700, 2000, len(whole.names[path].live) - 1):
            disk = whole.after_kill()
            del disk.names[path].live[size:]
            with pytest.raises(Damaged):
                opened(disk)
            assert verify(disk, DIR).findings


def test_appended_bytes_after_the_close_mark_are_damage():
    disk = written(chain(10), segment_bytes=65536)
    disk.names[segments(disk)[0]].live += bytes(300) + b"\1"
    with pytest.raises(Damaged, match="follows the close mark"):
        opened(disk)


class OneSegment:
    """A file over a bytearray, for verifying one segment many times."""
    def __init__(self, data):
        self.data = data

    def size(self):
        return len(self.data)

    def pread(self, length, offset):
        return bytes(memoryview(self.data)[offset:offset + length])


def closed_64_kib() -> tuple[CrashDisk, list[str]]:
    """A closed journal of 64 KiB and more: segments of 8 KiB, of entries with records, side sections and padding before the marks."""
    position, entries = Position(), []
    for n in range(26):
        entries.append(entry_after(position, 15, side=bytes(8 * (n % 5))))
        position = position.after(entries[-1])
    disk = written(entries, segment_bytes=8192)
    assert sum(len(disk.names[path].live) for path in segments(disk)) >= 64 << 10 and len(segments(disk)) == 9
    return disk, segments(disk)


@pytest.mark.parametrize("n", range(9))
def test_every_flipped_bit_of_a_closed_journal_is_found(n):
    """One segment in each test, checked as opening and verifying check it: knowing what came before, and whether another follows."""
    disk, paths = closed_64_kib()
    path, data, before, last = paths[n], disk.names[paths[n]].live, Position(), n + 1 == len(paths)
    for earlier in paths[:n]:
        before = examine(OneSegment(disk.names[earlier].live), earlier, cell=CELL, number=None, before=before, last=False).after
    file = OneSegment(data)
    assert examine(file, path, cell=CELL, number=n, before=before, last=last).closed
    for offset in range(len(data)):
        for bit in range(8):
            data[offset] ^= 1 << bit
            try:
                examine(file, path, cell=CELL, number=n, before=before, last=last)
            except Damaged as damage:
                assert damage.offset <= offset
            else:
                raise AssertionError(f"bit {bit} of byte {offset} was flipped and not found")
            data[offset] ^= 1 << bit


def test_flipped_bits_are_found_by_verify_and_open_in_every_segment():
    entries = chain(60)
    whole, rng = written(entries), random.Random(4)
    for path in segments(whole):
        size = len(whole.names[path].live)
        for offset in [*range(0, size, 61), *range(size - MARK_BYTES - 16, size, 7)]:
            disk = whole.after_kill()
            disk.flip(path, offset, rng.randrange(8))
            findings = verify(disk, DIR, cell=CELL).findings
            assert findings and findings[0].file == path and findings[0].offset <= offset and not findings[0].torn
            with pytest.raises(Damaged) as caught:
                opened(disk)
            assert caught.value.file == path


# --- crashes ---------------------------------------------------------------------------------------------------------------------------------------

class Recorder:
    """Runs a workload once, and before each storage call lets the machine die, in one of several ways, and looks at what survived."""
    def __init__(self, entries, seeds, segment_bytes):
        self.entries, self.seeds, self.segment_bytes = entries, seeds, segment_bytes
        self.acknowledged = self.checked = self.cuts = 0

    def look(self, disk):
        for seed in self.seeds:
            self.check(disk.after_power_loss(seed * 100_003 + disk.calls))
        self.check(disk.after_kill())

    def check(self, disk):
        self.checked += 1
        journal = Journal.open(disk, DIR, cell=CELL, segment_bytes=self.segment_bytes)       # raises Damaged if a crash is taken for damage
        there = read_all(disk)
        assert there == self.entries[:len(there)] and len(there) >= self.acknowledged
        assert journal.committed() == (there[-1].last_sequence if there else 0)
        self.cuts += journal.opening.torn is not None
        for entry in self.entries[len(there):len(there) + 3]:
            journal.propose(entry)
        journal.close()
        assert read_all(disk) == self.entries[:max(len(there), min(len(there) + 3, len(self.entries)))]
        assert not verify(disk, DIR, cell=CELL).findings


@pytest.mark.parametrize("batch", [1, 5])
def test_after_a_crash_at_every_storage_call_all_acknowledged_is_there_once(batch):
    entries = chain(200, seed=batch, committed=0 if batch > 1 else None)
    recorder = Recorder(entries, seeds=range(2), segment_bytes=16384)
    disk = CrashDisk(before_call=recorder.look)
    disk.names[DIR] = disk.durable_names[DIR] = None
    for part in range(0, 200, 100):                                   # with a clean close and a new start between
        journal = Journal.open(disk, DIR, cell=CELL, segment_bytes=16384)
        for i in range(part, part + 100, batch):
            journal.append_many(entries[i:i + batch])
            recorder.acknowledged = i + batch
        journal.close()
    recorder.look(disk)
    assert read_all(disk) == entries and recorder.checked > 600 and recorder.cuts > 20


def test_a_crash_during_recovery_loses_nothing_either():
    entries = chain(30, committed=0, max_count=9)
    for seed in range(6):
        disk = CrashDisk()
        journal = opened(disk, segment_bytes=16384)
        journal.append_many(entries[:5])
        disk.crash_at = disk.calls + 1                                # dies after the write, before its sync
        with pytest.raises(Crash):
            journal.append_many(entries[5:12])
        torn = disk.after_power_loss(seed)
        recorder = Recorder(entries, seeds=range(3), segment_bytes=16384)
        recorder.acknowledged = 5
        torn.before_call = recorder.look
        opened(torn, segment_bytes=16384).close()
        recorder.look(torn)


@pytest.mark.parametrize("what", ["the process is killed", "the device fails once"])
def test_the_name_of_a_segment_that_a_start_goes_on_in_is_durable(what, monkeypatch):
    """Found by the simulator: the directory's sync failed, the next process went on in the segment it found, and a power loss took its name with all that was
    acknowledged in it. The disk stays the same one, for a kill makes nothing durable."""
    accepted = chain(20)
    disk = written(accepted, closed=False)                                  # with all that a log keeps beside its segments
    journal = opened(disk)
    position = journal.position

    def fails(path: str) -> None:
        raise DiskFailed("syncdir", path, "input/output error")
    with monkeypatch.context() as patched, pytest.raises(DiskFailed):
        patched.setattr(disk, "sync_directory", fails)
        while True:
            journal.propose(entry := entry_after(position, 3))
            accepted.append(entry)
            position = position.after(entry)
    if what == "the device fails once":
        journal.close()
    disk.locks.clear()
    journal = opened(disk)
    for _ in range(3):
        accepted.append(entry_after(journal.position, 3))
        journal.propose(accepted[-1])
    for seed in range(40):
        assert read_all(disk.after_power_loss(seed))[:len(accepted)] == accepted


def test_scanning_inside_entries_finds_none():
    data = bytes(chain(1, max_count=9)[0].data)
    assert not any(isinstance(scan(data, at), Entry) for at in range(8, len(data), 8))
