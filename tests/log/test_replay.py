"""Replay: every committed entry once, in order, in bounded chunks, also behind a running writer."""
import random

import pytest

from cambist.log.disk import SECTOR_BYTES
from cambist.log.disk_shell import RealDisk
from cambist.log.entry import MAX_RECORDS
from cambist.log.journal import Journal
from cambist.log.replay import MAX_CHUNK_RECORDS, Replay
from cambist.log.segment import Damaged, Position

from tests.log.crash_disk import CrashDisk
from tests.log.entries import CELL, chain, entry_after

DIR = "log"


def written(entries, *, disk=None, close=True, segment_bytes=4096, directory=DIR):
    disk = disk or CrashDisk()
    journal = Journal.open(disk, directory, cell=CELL, segment_bytes=segment_bytes)
    for entry in entries:
        journal.propose(entry)
    if close:
        journal.close()
    return disk, journal


def test_chunks_hold_at_most_so_many_records_and_every_entry_once():
    position, entries, rng = Position(), [], random.Random(1)
    for _ in range(40):
        entries.append(entry_after(position, rng.choice((1, 7, 900, 2000, MAX_RECORDS))))
        position = position.after(entries[-1])
    disk, _ = written(entries, segment_bytes=4 << 20)
    for most in (MAX_RECORDS, 5000, 65_536):
        chunks = list(Replay(disk, DIR, cell=CELL).chunks(most))
        assert [entry for chunk in chunks for entry in chunk] == entries
        sizes = [sum(entry.count for entry in chunk) for chunk in chunks]
        assert max(sizes) <= most and all(a + b[0].count > most for a, b in zip(sizes, chunks[1:], strict=False))
    for wrong in (0, MAX_RECORDS - 1, MAX_CHUNK_RECORDS + 1):
        with pytest.raises(ValueError, match="right would be 4094"):
            Replay(disk, DIR).chunk(wrong)


def test_replay_from_every_position():
    entries = chain(80)
    disk, _ = written(entries)
    position = Position()
    for i in range(len(entries) + 1):
        replay = Replay(disk, DIR, cell=CELL, after=position if i else None)
        assert [entry for chunk in replay.chunks() for entry in chunk] == entries[i:]
        position = position.after(entries[i]) if i < len(entries) else position


def test_a_position_that_is_not_of_this_chain_is_refused():
    entries = chain(80)
    disk, _ = written(entries)
    for i in (0, 30, 31, 32, 33, 34, 79):
        with pytest.raises(Damaged):
            Replay(disk, DIR, after=Position(entries[i].last_sequence, b"\1" * 32, 0, entries[i].time)).chunk()
    inside = next(e for e in entries if e.count > 2)
    with pytest.raises(Damaged, match="not the end of an entry"):
        Replay(disk, DIR, after=Position(inside.first_sequence, bytes(32))).chunk()


def test_a_reader_behind_a_writer_gets_what_is_committed_and_nothing_else():
    entries, got = chain(150), []
    disk = CrashDisk()
    replay = Replay(disk, DIR, cell=CELL)
    assert replay.chunk() == []
    journal = Journal.open(disk, DIR, cell=CELL, segment_bytes=4096)
    for i, entry in enumerate(entries):
        journal.propose(entry)
        got += replay.chunk()
        assert got == entries[:len(got)] and len(got) >= i               # each says that the one before it is committed
        assert replay.position.sequence == (got[-1].last_sequence if got else 0)
    journal.close()
    got += replay.chunk()
    assert got == entries and replay.chunk() == []
    replay.close()


def test_a_reader_never_sees_what_a_crash_takes_back():
    entries = chain(60)
    for seed in range(3):
        seen = []

        def look(disk):
            seen.extend(replay.chunk())                                  # noqa: B023
            survivor = disk.after_power_loss(seed * 1000 + disk.calls)   # noqa: B023
            left = [e for c in Replay(survivor, DIR, unproven=True).chunks() for e in c]
            assert left[:len(seen)] == seen                              # noqa: B023

        disk = CrashDisk()
        disk.names[DIR] = disk.durable_names[DIR] = None
        replay = Replay(disk, DIR, cell=CELL)
        disk.before_call = look
        written(entries, disk=disk)
        seen += replay.chunk()
        assert seen == entries


def test_unproven_entries_are_given_when_asked_for():
    entries = chain(5)
    disk, _ = written(entries, close=False, segment_bytes=65536)
    assert [e for c in Replay(disk, DIR).chunks() for e in c] == entries[:4]
    assert [e for c in Replay(disk, DIR, unproven=True).chunks() for e in c] == entries


def test_entries_that_say_nothing_is_committed_wait_for_the_mark_or_the_next_segment():
    entries = chain(60, committed=0)
    disk, journal = written(entries, close=False, segment_bytes=8192)
    replay = Replay(disk, DIR)
    got = [e for c in replay.chunks() for e in c]
    assert 0 < len(got) < 60 and got == entries[:len(got)]
    journal.close()
    assert got + replay.chunk() == entries


def test_a_reader_stops_before_a_torn_tail_and_raises_at_damage():
    entries = chain(60)
    disk, _ = written(entries[:30], close=False, segment_bytes=65536)
    path = next(f"{DIR}/{name}" for name in disk.list_directory(DIR) if "0001" in name)
    end = 512 + sum(len(e.data) for e in entries[:30])
    disk.names[path].live[end:end + 200] = bytes(entries[30].data)[:200]
    replay = Replay(disk, DIR, unproven=True)
    assert replay.chunk() == entries[:30] and replay.chunk() == []
    disk, _ = written(entries)
    damaged = [f"{DIR}/{name}" for name in disk.list_directory(DIR) if name.startswith("journal-0")][2]
    disk.flip(damaged, 900)
    with pytest.raises(Damaged) as caught:
        list(Replay(disk, DIR).chunks())
    assert caught.value.file == damaged
    with pytest.raises(Damaged, match="cell"):
        Replay(disk, DIR, cell=CELL + 1).chunk()


def test_replay_on_a_real_disk(tmp_path):
    entries = chain(50)
    written(entries, disk=RealDisk(), directory=str(tmp_path))
    replay = Replay(RealDisk(), str(tmp_path))
    assert [e for c in replay.chunks() for e in c] == entries
    replay.close()


@pytest.mark.parametrize("same_size", [True, False])
@pytest.mark.parametrize("more", [1, 40])
def test_what_nobody_was_told_of_may_be_cut_under_a_reader_that_had_read_it(same_size, more):
    """Found by the simulator: the last entry was read and not yet proven, the writer died, a bit of it turned, and the next writer rightly cut it."""
    entries = chain(9)
    disk, writer = written(entries, close=False, segment_bytes=16_384)
    reader = Replay(disk, DIR, cell=CELL)
    assert [entry for chunk in reader.chunks() for entry in chunk] == entries[:-1]
    path = next(name for name in disk.names if "journal-0" in name)
    live = disk.names[path].live
    live[len(bytes(live).rstrip(b"\0")) - 40] ^= 1
    disk.locks.clear()                                                      # the writer was killed
    writer = Journal.open(disk, DIR, cell=CELL, segment_bytes=16_384)
    assert writer.opening.torn and writer.position.sequence == entries[-2].last_sequence
    fresh = []
    for i in range(more):
        count = entries[-1].count if same_size and not i else 3
        fresh.append(entry_after(writer.position, count, fill=bytes([i + 1]) * 128 * count))
        writer.propose(fresh[-1])
    writer.close()
    assert [entry for chunk in reader.chunks() for entry in chunk] == fresh
    assert reader.position == writer.position


def test_an_empty_segment_may_be_removed_and_made_anew_under_a_reader():
    """Found by the simulator: the reader had opened the newest segment before anything was in it, and kept the removed file."""
    entries = chain(80)
    whole, _ = written(entries)
    names = sorted(name for name in whole.names if "journal-0" in name)
    disk, last = CrashDisk(), names[2]
    for name in names[:2]:
        disk.names[name] = whole.names[name]
    disk.names[DIR] = None
    empty = disk.create(last, 4096)
    empty.pwrite(bytes(whole.names[last].live[:SECTOR_BYTES]), 0)
    empty.close()
    reader = Replay(disk, DIR, cell=CELL)
    before = [entry for chunk in reader.chunks() for entry in chunk]
    assert before and before == entries[:len(before)] and reader.position.sequence == int(last[-24:-4]) - 1
    disk.remove(last)
    for name in names[2:]:
        disk.names[name] = whole.names[name]
    assert [entry for chunk in reader.chunks() for entry in chunk] == entries[len(before):]
    disk.remove(names[-2])
    broken = disk.create(names[-2], 4096)
    broken.pwrite(bytes(whole.names[names[-2]].live[:SECTOR_BYTES]), 0)
    with pytest.raises(Damaged, match="a later segment follows"):
        list(Replay(disk, DIR, cell=CELL).chunks())
