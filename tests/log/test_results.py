"""The results journal: chained, found by sequence, never on the way of an acknowledgement, cut and rebuilt where its end is torn."""
import random
from itertools import pairwise

import numpy as np
import pytest

from cambist.log.disk import DiskFailed, DiskFull
from cambist.log.disk_shell import RealDisk
from cambist.log.entry import GENESIS, Fault
from cambist.log.results import (
    FRAME_BYTES,
    HEADER,
    INDEX_BYTES,
    MAX_EVENTS,
    READ_BYTES,
    Results,
    ResultsError,
    ResultsReader,
    ResultsTail,
    results_names,
    scan_results,
    seal_results,
    verify_results,
)
from cambist.log.segment import Damaged, Position
from cambist.messages import EVENT, EVENT_BYTES

from tests.log.crash_disk import CrashDisk

DIR, CELL = "log", 7


def answers(n: int, seed: int = 0) -> list[tuple[int, int, int, np.ndarray]]:
    """(first, last, time, events) of n log entries, each command with 0 to 3 events."""
    rng, rows, sequence = random.Random(seed), [], 1
    for i in range(n):
        count = rng.randint(1, 6)
        events = np.zeros(sum(numbers := [rng.randrange(4) for _ in range(count)]), EVENT)
        events["sequence"] = np.repeat(np.arange(sequence, sequence + count), numbers)
        events["id"] = np.arange(len(events)) * 1000 + i
        rows.append((sequence, sequence + count - 1, i * 10, events))
        sequence += count
    return rows


def written(rows, *, disk=None, sync=True, **more) -> CrashDisk:
    disk = disk or CrashDisk()
    results = Results.open(disk, DIR, cell=CELL, **more)
    for row in rows:
        results.append(*row)
    if sync:
        results.close()
    return disk


def read_all(disk, first=1):
    return [(e.first_sequence, e.last_sequence, e.time, bytes(e.events)) for e in ResultsReader(disk, DIR).read(first)]


def plain(rows):
    return [(first, last, time, events.tobytes()) for first, last, time, events in rows]


def paths(disk):
    return [f"{DIR}/{name}" for name in results_names(disk, DIR)]


def test_golden_bytes_of_one_results_entry():
    parts, own_hash = seal_results(7, 3, 4, 55, bytes(range(32)), b"\x11" * 96)
    data = b"".join(parts)
    assert data.hex() == ("43425231" "0100" "0700" "01000000" "00000000" "0300000000000000" "0400000000000000" "3700000000000000"
                          + bytes(range(32)).hex() + "11" * 96 + own_hash.hex())
    assert own_hash.hex() == "2fbc3e44ace40c49cde67d3e4f46fe2ab94e434691a89f1d1e3b5f8aabf91ef3" and HEADER.size == 72


def test_results_come_back_from_any_sequence_over_files_and_restarts(tmp_path):
    rows = answers(300)
    for disk, directory in ((CrashDisk(), DIR), (RealDisk(), str(tmp_path / "r"))):
        for part in (rows[:120], rows[120:121], rows[121:]):
            results = Results.open(disk, directory, cell=CELL, file_bytes=8192)
            for row in part:
                assert results.append(*row) == results.position.hash
            assert results.cut is None
            results.close()
        assert len(results_names(disk, directory)) > 5
        reader = ResultsReader(disk, directory, cell=CELL)
        for first in (1, 2, 77, rows[-1][1]):
            got = [(e.first_sequence, e.last_sequence, e.time, bytes(e.events)) for e in reader.read(first)]
            assert got == [row for row in plain(rows) if row[1] >= first]
        count, last, findings = verify_results(disk, directory)
        assert (count, last.sequence, findings) == (300, rows[-1][1], [])


def test_the_events_of_one_command_are_found():
    rows = answers(200)
    results = Results.open(disk := CrashDisk(), DIR, cell=CELL, file_bytes=8192)
    for row in rows:
        results.append(*row)
    for first, last, _, events in rows:
        for sequence in range(first, last + 1):
            assert results.reader.events_of(sequence).tobytes() == events[events["sequence"] == sequence].tobytes()
    assert results.find(rows[-1][1] + 1) is None and len(results.reader.events_of(10**9)) == 0
    with pytest.raises(Damaged, match="not kept here"):
        results.find(0)
    assert ResultsReader(disk, "nowhere").find(1) is None


def test_the_index_leads_near_the_sequence():
    results = Results.open(CrashDisk(), DIR, cell=CELL)
    for first in range(1, 3000):
        results.append(first, first, 0, bytes(EVENT_BYTES))
    assert results.find(2999).first_sequence == 2999
    (sequences, offsets), = results.reader._index.values()
    assert len(sequences) == (3000 * (FRAME_BYTES + EVENT_BYTES)) // INDEX_BYTES + 1
    assert all(b - a >= INDEX_BYTES for a, b in pairwise(offsets))
    assert results.find(1500).first_sequence == 1500 and results.find(1).first_sequence == 1


def test_the_chain_depends_on_events_and_sequences_not_on_files_or_syncs():
    rows, hashes = answers(50), set()
    for file_bytes in (1024, 5000, 1 << 20):
        results = Results.open(CrashDisk(), DIR, cell=CELL, file_bytes=file_bytes)
        for row in rows:
            results.append(*row)
            if file_bytes == 5000:
                results.sync()
        hashes.add(results.position.hash)
    assert len(hashes) == 1
    changed = rows[20][3].copy() if len(rows[20][3]) else np.zeros(1, EVENT)
    changed["id"] += 1
    results = Results.open(CrashDisk(), DIR, cell=CELL)
    for i, row in enumerate(rows):
        results.append(*row[:3], changed if i == 20 else row[3])
    assert results.position.hash not in hashes


def test_append_does_not_sync():
    results = Results.open(disk := CrashDisk(), DIR, cell=CELL)
    results.append(1, 1, 0, b"")
    syncs = disk.syncs
    for n in range(2, 50):
        results.append(n, n, 0, bytes(EVENT_BYTES))
    assert disk.syncs == syncs
    results.sync()
    assert disk.syncs == syncs + 1


def test_the_most_events_fit_and_one_more_is_refused():
    disk = CrashDisk()
    results = Results.open(disk, DIR, cell=CELL)
    results.append(1, 1, 0, b"")
    results.append(2, 9, 0, bytes(MAX_EVENTS * EVENT_BYTES))                    # far over what is read at once
    results.append(10, 10, 0, bytes(96))
    assert MAX_EVENTS * EVENT_BYTES > READ_BYTES and [e.count for e in results.read(1)] == [0, MAX_EVENTS, 1]
    with pytest.raises(ResultsError, match="at most 262144 events"):
        results.append(11, 11, 0, bytes((MAX_EVENTS + 1) * EVENT_BYTES))
    results.close()
    assert Results.open(disk, DIR, cell=CELL).position.sequence == 10


@pytest.mark.parametrize("row, said", [((3, 3, 5, b""), "right would be 2"), ((1, 1, 5, b""), "right would be 2"), ((2, 1, 5, b""), "first <= last"),
                                       ((2, 2, 4, b""), "at 5 or later"), ((2, 2, 5, bytes(95)), "95 bytes")])
def test_results_that_do_not_follow_are_refused(row, said):
    results = Results.open(CrashDisk(), DIR, cell=CELL)
    results.append(1, 1, 5, b"")
    with pytest.raises(ResultsError, match=said):
        results.append(*row)
    results.append(2, 2, 5, b"")


def test_every_flipped_bit_of_an_entry_is_a_fault():
    parts, _ = seal_results(7, 3, 4, 55, GENESIS, bytes(96))
    data = b"".join(parts)
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        assert isinstance(scan_results(memoryview(bytes(changed))), Fault)


def test_a_damaged_end_of_the_last_file_is_cut_told_and_rebuilt():
    rows = answers(60)
    whole = written(rows, file_bytes=8192)
    path = paths(whole)[-1]
    for offset in range(512, len(whole.names[path].live), 97):
        disk = whole.after_kill()
        disk.flip(path, offset, offset % 8)
        results = Results.open(disk, DIR, cell=CELL, file_bytes=8192)
        assert results.cut.file == path and results.cut.offset <= offset and results.cut.sequence == results.position.sequence + 1
        for row in rows:
            if row[0] > results.position.sequence:
                results.append(*row)
        results.close()
        assert read_all(disk) == plain(rows) and not verify_results(disk, DIR)[2]


def test_a_file_whose_header_was_never_synced_is_removed():
    rows = answers(60)
    disk = written(rows, file_bytes=8192)
    last = paths(disk)[-1]
    del disk.names[last].live[100:]
    assert list(ResultsReader(disk, DIR).read(1))[-1].last_sequence + 1 == int(last[-24:-4])
    results = Results.open(disk, DIR, cell=CELL, file_bytes=8192)
    assert results.cut.file == last and results.cut.offset == 0 and last not in paths(disk)
    for row in rows:
        if row[0] > results.position.sequence:
            results.append(*row)
    assert read_all(disk) == plain(rows)


def test_damage_in_a_file_that_another_follows_is_not_cut():
    rows = answers(60)
    whole = written(rows, file_bytes=8192)
    path = paths(whole)[0]
    for offset in range(0, len(whole.names[path].live), 97):
        disk = whole.after_kill()
        disk.flip(path, offset, 3)
        findings = verify_results(disk, DIR)[2]
        assert isinstance(findings[0], Damaged) and findings[0].file == path and findings[0].offset <= offset
        with pytest.raises(Damaged):
            list(ResultsReader(disk, DIR).read(1))
    disk = whole.after_kill()
    del disk.names[paths(disk)[1]]
    with pytest.raises(Damaged, match="continues from"):
        list(ResultsReader(disk, DIR).read(1))
    assert verify_results(disk, DIR)[2]


def test_rolling_protects_what_an_older_kernel_answered():
    rows = answers(10)
    disk = CrashDisk()
    results = Results.open(disk, DIR, cell=CELL)
    for row in rows[:5]:
        results.append(*row)
    results.roll()
    results.roll()                                                              # an empty file is not followed by another
    for row in rows[5:]:
        results.append(*row)
    assert len(paths(disk)) == 2 and read_all(disk) == plain(rows)
    for seed in range(10):
        after = disk.after_power_loss(seed)
        assert Results.open(after, DIR, cell=CELL).position.sequence >= rows[4][1] and len(paths(after)) == 2


def test_results_may_begin_after_a_snapshot():
    start = Position(100, b"\3" * 32, 9, 77)
    disk = CrashDisk()
    results = Results.open(disk, DIR, cell=CELL, start=start)
    results.append(101, 103, 78, b"")
    results.close()
    assert Results.open(disk, DIR, cell=CELL, start=start).position.sequence == 103
    assert next(ResultsReader(disk, DIR).read(101)).previous_hash == start.hash
    with pytest.raises(Damaged, match="begins later"):
        Results.open(disk, DIR, cell=CELL)
    with pytest.raises(Damaged, match="cell"):
        Results.open(disk, DIR, cell=8, start=start)


def test_a_full_disk_refuses_and_leaves_the_results_whole():
    disk = CrashDisk(capacity=3000)
    results, rows = Results.open(disk, DIR, cell=CELL, file_bytes=1024), answers(40)
    accepted = []
    with pytest.raises(DiskFull):
        for row in rows:
            results.append(*row)
            accepted.append(row)
    with pytest.raises(DiskFull):
        results.append(*rows[len(accepted)])
    disk.capacity = 1 << 20
    for row in rows[len(accepted):]:
        results.append(*row)
    assert read_all(disk) == plain(rows)


def test_a_failed_sync_is_fatal():
    disk = CrashDisk()
    results = Results.open(disk, DIR, cell=CELL)
    results.append(1, 1, 0, b"")
    disk.fail_sync_at = 1
    for call in (results.sync, results.sync, lambda: results.append(2, 2, 0, b""), results.roll):
        with pytest.raises(DiskFailed):
            call()
    syncs = disk.syncs
    results.close()
    assert disk.syncs == syncs


def test_after_a_crash_at_every_storage_call_results_are_rebuilt_the_same():
    rows, cuts = answers(150), 0
    synced = [0]

    def look(disk):
        nonlocal cuts
        for survivor in (disk.after_kill(), *(disk.after_power_loss(seed * 100_003 + disk.calls) for seed in range(2))):
            results = Results.open(survivor, DIR, cell=CELL, file_bytes=4096)
            assert results.position.sequence >= synced[0]
            cuts += results.cut is not None
            for row in rows:
                if row[0] > results.position.sequence and row[0] < results.position.sequence + 40:
                    results.append(*row)
            assert read_all(survivor) == plain(rows)[:len(read_all(survivor))] and not verify_results(survivor, DIR)[2]
            results.sync()                                      # what another process began is durable with it
            assert read_all(survivor.after_power_loss(disk.calls)) == read_all(survivor)

    disk = CrashDisk(before_call=look)
    disk.names[DIR] = disk.durable_names[DIR] = None
    results = Results.open(disk, DIR, cell=CELL, file_bytes=4096)
    for i, row in enumerate(rows):
        results.append(*row)
        if i % 20 == 0:
            results.sync()
            synced[0] = results.position.sequence
    results.close()
    look(disk)
    assert cuts > 20


@pytest.mark.parametrize("every", [1, 7])
def test_a_tail_takes_what_another_appends_once_and_in_every_file(every):
    rows, disk, taken = answers(300, 3), CrashDisk(), []
    results, tail = Results.open(disk, DIR, cell=CELL, file_bytes=8192), ResultsTail(disk, DIR, 0)
    for i, row in enumerate(rows):
        results.append(*row)
        if i % every == 0 or row is rows[-1]:
            taken += tail.read(row[1])
            assert tail.position == row[1] and list(tail.read(row[1])) == []
    assert plain(taken) == plain(rows) and len(results_names(disk, DIR)) > 3
    later = ResultsTail(disk, DIR, rows[99][1])
    assert plain(later.read(rows[-1][1])) == plain(rows[100:])
    later.close()


def test_a_tail_says_where_there_is_nothing_of_what_was_promised():
    rows = answers(5)
    disk = written(rows)
    tail = ResultsTail(disk, DIR, 0)
    with pytest.raises(Damaged, match="its writer said"):
        list(tail.read(rows[-1][1] + 1))
    assert tail.position == rows[-1][1]
    with pytest.raises(Damaged):
        list(ResultsTail(disk, "nowhere", 0).read(1))


def test_a_tail_copies_so_that_whoever_takes_it_may_write(tmp_path):
    rows = answers(20)
    results = Results.open(RealDisk(), str(tmp_path), cell=CELL)
    for row in rows:
        results.append(*row)
    results.close()
    taken = list(ResultsTail(RealDisk(), str(tmp_path), 0).read(rows[-1][1]))
    assert plain(taken) == plain(rows) and all(events.flags.writeable and events.flags.owndata for *_, events in taken)
