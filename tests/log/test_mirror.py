"""The mirror: both copies hold what was acknowledged; what is wrong in one is made right from the other, and what neither knows is refused."""
import random

import pytest

from cambist.log.disk import SECTOR_BYTES, DiskFailed, DiskFull, DiskLocked
from cambist.log.journal import Journal, Witness, segment_names, verify
from cambist.log.mirror import InMemory, merge
from cambist.log.pair import PairDisk
from cambist.log.segment import Damaged, Position, examine

from tests.log.crash_disk import CrashDisk
from tests.log.entries import CELL, chain, entry_after
from tests.log.two_copies import LOG, MIRROR, TwoDisks, written


def path_of(disks: TwoDisks, side: int, n: int) -> str:
    copy = disks.copies[side]
    return f"{copy.directory}/{segment_names(copy.disk, copy.directory)[n]}"


def flip(disks: TwoDisks, side: int, n: int, offset: int, bit: int = 0) -> None:
    disks.copies[side].disk.flip(path_of(disks, side, n), offset, bit)


# --- writing -----------------------------------------------------------------------------------------------------------------------------------------

def test_both_copies_are_equal_byte_for_byte_and_each_is_a_whole_log():
    entries = chain(60)
    disks = written(entries)
    assert disks.equal() and len(disks.files(0)) > 3
    for side in (0, 1):
        copy = disks.copies[side]
        assert disks.entries(side) == entries and not verify(copy.disk, copy.directory).findings
    assert sorted(disks.second.names) == sorted(name.replace(LOG, MIRROR).replace("house", "elsewhere") for name in disks.first.names)


def test_nothing_is_acknowledged_before_both_are_durable():
    disks = TwoDisks()
    journal = disks.opened()
    journal.propose(entry_after(Position()))
    for side in (disks.first, disks.second):
        assert not [inode.pending for name, inode in side.names.items() if inode is not None and "spare" not in name and inode.pending]


@pytest.mark.parametrize("side", [0, 1])
def test_a_side_that_fails_stops_the_journal_at_once(side):
    disks = TwoDisks()
    journal = disks.opened()
    journal.propose(first := entry_after(Position()))
    disk = disks.copies[side].disk
    disk.fail_sync_at = disk.syncs + 1
    with pytest.raises(DiskFailed):
        journal.propose(entry_after(Position().after(first)))
    calls = disks.first.calls, disks.second.calls
    with pytest.raises(DiskFailed):
        journal.propose(entry_after(Position().after(first)))
    journal.close()
    assert (disks.first.calls, disks.second.calls) == calls and not disks.first.locks and not disks.second.locks
    again = disks.copied()
    journal = again.opened()
    assert journal.position.sequence >= first.last_sequence and again.equal()


@pytest.mark.parametrize("side", [0, 1])
def test_a_side_without_room_refuses_new_business_and_takes_nothing_from_the_other(side):
    small = CrashDisk(capacity=3 * 4096 + 2048)
    disks = TwoDisks(small, None) if side == 0 else TwoDisks(None, small)
    journal, position, accepted = disks.opened(), Position(), []
    with pytest.raises(DiskFull):
        while True:
            journal.propose(entry := entry_after(position, 3))
            accepted.append(entry)
            position = position.after(entry)
    assert disks.entries() == accepted and disks.equal()
    assert not any("spare" in name for name in disks.copies[1 - side].disk.names)
    small.capacity += 100_000
    journal.propose(entry_after(position, 3))


def test_two_houses_never_share_a_mirror():
    disks = TwoDisks()
    disks.opened()
    other = TwoDisks(CrashDisk(), disks.second)
    with pytest.raises(DiskLocked, match=MIRROR):
        other.opened()
    assert not other.first.locks


def test_a_path_outside_of_the_directory_is_no_path_of_the_pair():
    with pytest.raises(ValueError, match="is not under house/log"):
        PairDisk(*TwoDisks().copies).create("house/results")


# --- which is the right one --------------------------------------------------------------------------------------------------------------------------

def test_a_new_mirror_gets_everything_and_a_lost_log_comes_back_from_the_mirror():
    entries = chain(60)
    for lost in (0, 1):
        disks = written(entries, closed=False)
        if lost:
            disks.second = CrashDisk()
        else:
            disks.first = CrashDisk()
        journal = disks.opened()
        assert disks.entries() == entries and disks.equal() and journal.opening.torn is None
        assert disks.compared and len(disks.compared.findings) == len(disks.files(0))
        assert str(disks.compared).startswith(f"the {('mirror', 'log')[lost]} is the longer: it reached sequence {entries[-1].last_sequence}, the other 0")


@pytest.mark.parametrize("behind", [0, 1])
@pytest.mark.parametrize("there", [0, 1, 30, 59])
def test_the_longer_copy_is_the_right_one(behind, there):
    entries = chain(60)
    long, short = written(entries, closed=False), written(entries[:there], closed=False)
    disks = TwoDisks(short.first, long.second) if behind == 0 else TwoDisks(long.first, short.second)
    journal = disks.opened()
    assert journal.position.sequence == entries[-1].last_sequence and disks.entries() == entries and disks.equal()
    first, second = (position.sequence for position in disks.compared.reached)
    assert (first, second)[1 - behind] == entries[-1].last_sequence and (first, second)[behind] == (entries[there - 1].last_sequence if there else 0)


def test_two_histories_are_refused_and_nothing_is_written():
    entries, other = chain(8), chain(5) + chain(3, seed=4, position=Position().after(chain(5)[0]))[:0]
    position = Position()
    for entry in other:
        position = position.after(entry)
    other = [*other, entry_after(position, 4, fill=b"\7" * 512)]
    disks = TwoDisks(written(entries, closed=False, segment_bytes=65536).first, written(other, closed=False, segment_bytes=65536).second)
    before = disks.files(0), disks.files(1)
    with pytest.raises(Damaged, match="two histories") as caught:
        disks.opened(segment_bytes=65536)
    assert caught.value.sequence == other[-1].first_sequence and (disks.files(0), disks.files(1)) == before and not disks.first.locks
    closed = TwoDisks(written(entries[:5], segment_bytes=65536).first, written(entries, closed=False, segment_bytes=65536).second)
    with pytest.raises(Damaged, match="closed here, and the other copy goes on"):
        closed.opened(segment_bytes=65536)


def test_damage_in_different_places_of_both_is_healed_and_named():
    entries = chain(8)
    disks = written(entries, closed=False, segment_bytes=65536)
    offsets = [SECTOR_BYTES + sum(len(e.data) for e in entries[:n]) for n in range(9)]
    flip(disks, 0, 0, offsets[2] + 100)
    flip(disks, 1, 0, offsets[5] + 30)
    journal = disks.opened(segment_bytes=65536)
    assert disks.entries() == entries and disks.equal() and journal.opening.torn is None
    told = [(f.file, f.offset, f.sequence, f.torn, f.healed) for f in disks.compared.findings]
    assert told == [(path_of(disks, 0, 0), offsets[2], entries[2].first_sequence, False, True),
                    (path_of(disks, 1, 0), offsets[5], entries[5].first_sequence, False, True)]
    assert all("rot" in str(f) and str(f).endswith("(healed)") for f in disks.compared.findings)


def test_damage_in_the_same_place_of_both_is_refused():
    entries = chain(8)
    disks = written(entries, closed=False, segment_bytes=65536)
    at = SECTOR_BYTES + sum(len(e.data) for e in entries[:3]) + 160
    flip(disks, 0, 0, at)
    flip(disks, 1, 0, at + 8, 3)
    before = disks.files(0), disks.files(1)
    with pytest.raises(Damaged) as caught:
        disks.opened(segment_bytes=65536)
    assert caught.value.sequence == entries[3].first_sequence and (disks.files(0), disks.files(1)) == before


def test_a_bad_last_entry_is_rot_when_the_mirror_has_it_and_somebody_knows_it_was_committed():
    entries = chain(6)
    last = SECTOR_BYTES + sum(len(e.data) for e in entries[:-1])
    for known in (0, entries[-1].last_sequence):
        disks = written(entries, closed=False, segment_bytes=65536)
        flip(disks, 0, 0, last + 200)
        journal = disks.opened(segment_bytes=65536, witness=Witness(known, "the results"))
        assert journal.position.sequence == entries[-1].last_sequence and disks.equal()
        (finding,) = disks.compared.findings
        assert (finding.offset, finding.sequence, finding.torn) == (last, entries[-1].first_sequence, not known)
        assert ("rot" in finding.what) == bool(known)


def test_a_bad_last_entry_on_both_is_torn_unless_somebody_knows_it_was_committed():
    entries = chain(6)
    last = SECTOR_BYTES + sum(len(e.data) for e in entries[:-1])
    disks = written(entries, closed=False, segment_bytes=65536)
    for side in (0, 1):
        flip(disks, side, 0, last + 200 + side)
    before = disks.files(0), disks.files(1)
    with pytest.raises(Damaged, match=r"the results knows sequence .* rot and no torn tail") as caught:
        disks.opened(segment_bytes=65536, witness=Witness(entries[-1].first_sequence, "the results"))
    assert (caught.value.offset, caught.value.sequence) == (last, entries[-1].first_sequence) and (disks.files(0), disks.files(1)) == before
    disks.opened(segment_bytes=65536)
    assert disks.entries() == entries[:-1] and disks.equal() and all(f.torn for f in disks.compared.findings)


def test_a_bad_last_entry_without_a_mirror_is_torn_unless_somebody_knows_it_was_committed():
    entries = chain(6)
    disk = written(entries, closed=False, segment_bytes=65536).first
    path = f"{LOG}/{segment_names(disk, LOG)[0]}"
    last = SECTOR_BYTES + sum(len(e.data) for e in entries[:-1])
    disk.flip(path, last + 200)
    before = bytes(disk.names[path].live)
    for sequence in (entries[-1].first_sequence, entries[-1].last_sequence):
        with pytest.raises(Damaged, match="rot and no torn tail") as caught:
            Journal.open(disk, LOG, cell=CELL, segment_bytes=65536, first=lambda sequence=sequence: Witness(sequence, "the newest signed head"))
        assert (caught.value.offset, caught.value.sequence) == (last, entries[-1].first_sequence) and not disk.locks
        assert bytes(disk.names[path].live) == before
    journal = Journal.open(disk, LOG, cell=CELL, segment_bytes=65536, first=lambda: Witness(entries[-2].last_sequence, "the newest signed head"))
    assert journal.opening.torn and journal.opening.torn.offset == last


def test_a_log_that_ends_before_what_is_known_is_refused_also_when_it_was_closed_cleanly():
    entries = chain(6)
    for closed in (True, False):
        disks = written(entries, closed=closed)
        with pytest.raises(Damaged, match="the snapshot knows sequence"):
            disks.opened(witness=Witness(entries[-1].last_sequence + 1, "the snapshot"))


def test_a_shortened_a_missing_and_a_grown_file_come_back():
    entries = chain(60)
    whole = written(entries)
    for side in (0, 1):
        for n in range(len(whole.files(0))):
            for size in (None, 0, 100, 512, 700, 4000, 6000):
                disks = whole.copied()
                path = path_of(disks, side, n)
                if size is None:
                    del disks.copies[side].disk.names[path]
                else:
                    live = disks.copies[side].disk.names[path].live
                    changed = bytes(live[:size]).ljust(size, b"\1")
                    if changed == bytes(live):
                        continue
                    live[:] = changed
                told = disks.reconciled()
                assert disks.equal() and disks.entries() == entries and [f.file for f in told.findings] == [path]


def begun(holds: bool) -> tuple[TwoDisks, list]:
    """A log whose last segment has its header and nothing else, or `holds` entries as well; and the entries before it."""
    entries = chain(60)
    disks = written(entries, closed=False)
    for side in (0, 1):
        live = disks.copies[side].disk.names[path_of(disks, side, -1)].live
        if not holds:
            live[SECTOR_BYTES:] = bytes(len(live) - SECTOR_BYTES)
    return disks, [entry for entry in entries if entry.last_sequence < int(path_of(disks, 0, -1)[-24:-4])]


@pytest.mark.parametrize("lacks", [0, 1])
def test_a_segment_that_one_copy_never_had_and_the_other_has_without_a_header_was_never_begun(lacks):
    """Found by the simulator: a header lost by the device, and then the other device would not name its file. Nobody can have been told of anything in it."""
    disks, entries = begun(holds=False)
    flip(disks, 1 - lacks, -1, 9)
    paths = [path_of(disks, side, -1) for side in (0, 1)]
    del disks.copies[lacks].disk.names[paths[lacks]]
    looked = disks.reconciled(write=False)
    assert [(f.file, f.torn) for f in looked.findings] == [(path, True) for path in paths] and paths[lacks] not in disks.copies[lacks].disk.names
    journal = disks.opened()
    assert disks.compared and disks.compared.findings == looked.findings
    journal.propose(entry_after(journal.position))
    assert disks.entries()[:-1] == entries and disks.equal()


@pytest.mark.parametrize("lacks", [0, 1])
@pytest.mark.parametrize("holds", [True, False])
def test_a_segment_without_a_header_that_may_hold_something_is_refused(lacks, holds):
    """For it does, or somebody knows that it did."""
    disks, entries = begun(holds)
    flip(disks, 1 - lacks, -1, 9)
    del disks.copies[lacks].disk.names[path_of(disks, lacks, -1)]
    before = disks.files(0), disks.files(1)
    with pytest.raises(Damaged, match="segment header"):
        disks.opened(witness=Witness(0 if holds else entries[-1].last_sequence + 1, "the snapshot"))
    assert (disks.files(0), disks.files(1)) == before


def test_a_sector_that_cannot_be_read_is_made_again():
    entries = chain(12)
    disks = written(entries, segment_bytes=65536)
    path = path_of(disks, 0, 0)
    disks.first.names[path].unreadable = {3}
    assert disks.reconciled().findings[0].file == path
    disks.first.names[path].unreadable = set()
    assert disks.equal() and disks.entries() == entries


def test_looking_alone_writes_nothing():
    disks = written(chain(12), segment_bytes=65536)
    flip(disks, 1, 0, 900)
    before, calls = disks.files(1), (disks.first.calls, disks.second.calls)
    assert disks.reconciled(write=False).findings and disks.files(1) == before and (disks.first.calls, disks.second.calls) == calls


def test_segments_before_the_snapshot_are_not_read_again():
    entries, position = chain(60), Position()
    for entry in entries[:40]:
        position = position.after(entry)
    disks = written(entries)
    flip(disks, 0, 0, 900)
    journal = disks.opened(start=position)
    assert not disks.compared.findings and journal.position.sequence == entries[-1].last_sequence and not disks.equal()
    journal.close()
    assert len(disks.reconciled().findings) == 1 and disks.equal()         # the scrub finds it


# --- every bit ---------------------------------------------------------------------------------------------------------------------------------------

def closed_64_kib() -> TwoDisks:
    position, entries = Position(), []
    for n in range(26):
        entries.append(entry_after(position, 15, side=bytes(8 * (n % 5))))
        position = position.after(entries[-1])
    disks = written(entries, segment_bytes=8192)
    assert sum(map(len, disks.files(0).values())) >= 64 << 10 and len(disks.files(0)) == 9
    return disks


def heal_every_flip(n: int, step: int) -> None:
    disks = closed_64_kib()
    names, before = sorted(disks.files(0)), Position()
    for name in names[:n]:
        before = examine(InMemory(disks.files(0)[name]), name, cell=CELL, number=None, before=before, last=False).after
    good, last = disks.files(0)[names[n]], n + 1 == len(names)
    for offset in range(0, len(good), step):
        for bit in range(8):
            bad = bytearray(good)
            bad[offset] ^= 1 << bit
            files = (bytes(bad), good) if (offset + bit) % 2 else (good, bytes(bad))
            merged = merge((names[n], f"mirror/{names[n]}"), files, cell=CELL, number=n, before=before, last=last)
            assert merged.content == good and len(merged.findings) == 1 and merged.findings[0].offset <= offset


@pytest.mark.parametrize("n", range(9))
def test_flipped_bits_of_a_closed_journal_are_healed(n):
    heal_every_flip(n, 37)


@pytest.mark.hunt
@pytest.mark.parametrize("n", range(9))
def test_every_flipped_bit_of_a_closed_journal_is_healed(n):
    heal_every_flip(n, 1)


# --- crashes -----------------------------------------------------------------------------------------------------------------------------------------

class Recorder:
    """Before each storage call of either disk both die, each in a way of its own, and what survived is looked at."""
    def __init__(self, entries, segment_bytes):
        self.entries, self.segment_bytes, self.acknowledged, self.checked, self.behind = entries, segment_bytes, 0, 0, 0
        self.disks = TwoDisks()

    def look(self, _disk=None):
        rng = random.Random(self.checked)
        for _ in range(2):
            first, second = (rng.choice((lambda d: d.after_kill(), lambda d: d.after_power_loss(rng.randrange(1 << 30))))(disk)
                             for disk in (self.disks.first, self.disks.second))
            self.check(TwoDisks(first, second))

    def check(self, disks):
        self.checked += 1
        acknowledged = self.entries[self.acknowledged - 1].last_sequence if self.acknowledged else 0
        journal = disks.opened(segment_bytes=self.segment_bytes, witness=Witness(acknowledged, "who was answered"))
        there = disks.entries()
        assert there == self.entries[:len(there)] and len(there) >= self.acknowledged and disks.equal()
        self.behind += disks.compared.reached[0] != disks.compared.reached[1]
        for entry in self.entries[len(there):len(there) + 2]:
            journal.propose(entry)
        journal.close()
        assert disks.equal() and not verify(disks.second, MIRROR, cell=CELL).findings


@pytest.mark.parametrize("batch", [1, 5])
def test_after_a_crash_at_every_storage_call_of_either_side_all_acknowledged_is_there_once(batch):
    entries = chain(60, seed=batch, committed=0 if batch > 1 else None)
    recorder = Recorder(entries, 8192)
    recorder.disks.first.before_call = recorder.disks.second.before_call = recorder.look
    for part in (0, 30):
        journal = recorder.disks.opened(segment_bytes=8192)
        for i in range(part, part + 30, batch):
            journal.append_many(entries[i:i + batch])
            recorder.acknowledged = i + batch
        journal.close()
    recorder.look()
    assert recorder.disks.entries() == entries and recorder.checked > 200 and recorder.behind > 20


def test_a_crash_while_healing_loses_nothing_either():
    entries = chain(30, max_count=9)
    for seed in range(4):
        disks = written(entries, closed=bool(seed % 2), segment_bytes=8192)
        flip(disks, 0, 0, 900)
        flip(disks, 1, 1, 900)
        del disks.second.names[path_of(disks, 1, 2)]
        recorder = Recorder(entries, 8192)
        recorder.disks, recorder.acknowledged = disks, len(entries)
        disks.first.before_call = disks.second.before_call = recorder.look
        disks.opened(segment_bytes=8192).close()
        assert recorder.checked > 10 and disks.equal()
