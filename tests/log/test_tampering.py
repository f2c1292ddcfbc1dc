"""Ten thousand edits, deletions and reorderings of a log, each found: what was not sealed again by its chain, what was sealed again by the signed heads."""
import random

import pytest

from cambist.log.entry import HEADER, Entry, scan, seal
from cambist.log.journal import Journal, segment_names, verify
from cambist.log.replay import Replay
from cambist.log.segment import SECTOR_BYTES, Damaged, Position
from cambist.log.transparency import differences
from cambist.messages import RECORD_BYTES

from tests.log.crash_disk import CrashDisk
from tests.log.published import HOUSE, batches, heads_over, journal

FOLDER = f"{HOUSE}/log"
TRIALS, PARTS = 10_000, 4


def made():
    """A closed log of one segment, its entries, and the heads that were signed over it."""
    disk, written = CrashDisk(), batches([1, 3, 2, 4, 1, 3], count=2)
    heads = heads_over(disk, written)
    return disk, [entry for batch in written for entry in batch], heads


def spans(entries: list[Entry]) -> list[tuple[int, int]]:
    at, found = SECTOR_BYTES, []
    for entry in entries:
        found.append((at, at + len(entry.data)))
        at += len(entry.data)
    return found


def edited(rng: random.Random, data: bytes, entries: list[Entry]) -> tuple[str, bytes]:
    """The file after somebody changed it with an editor: what was done, and the bytes."""
    places = spans(entries)
    i, j = sorted(rng.sample(range(len(places)), 2))
    (a, b), (c, d) = places[i], places[j]
    out, what = bytearray(data), rng.choice(("bit", "bytes", "record", "records swapped", "deleted", "swapped", "doubled", "moved", "cut", "zeros", "field"))
    if what == "bit":
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    elif what == "bytes":
        at = rng.randrange(len(out) - 40)
        out[at:at + rng.randint(1, 40)] = rng.randbytes(rng.randint(1, 40))
    elif what == "record":
        at = a + HEADER.size + RECORD_BYTES * rng.randrange(entries[i].count)
        out[at + 56:at + 64] = rng.randbytes(8)
    elif what == "records swapped":
        at = a + HEADER.size
        out[at:at + 2 * RECORD_BYTES] = out[at + RECORD_BYTES:at + 2 * RECORD_BYTES] + out[at:at + RECORD_BYTES]
    elif what == "deleted":
        del out[a:b]
    elif what == "swapped":
        out[a:d] = out[c:d] + out[b:c] + out[a:b]
    elif what == "doubled":
        out[d:d] = out[a:b]
    elif what == "moved":
        moved = bytes(out[a:b])
        out[d:d] = moved
        del out[a:b]
    elif what == "cut":
        del out[rng.randrange(SECTOR_BYTES, len(out)):]
    elif what == "zeros":
        at = rng.randrange(0, len(out) // SECTOR_BYTES) * SECTOR_BYTES
        out[at:at + SECTOR_BYTES] = bytes(SECTOR_BYTES)
    else:
        at = a + rng.choice((0, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 80, 112))
        out[at:at + 4] = rng.randbytes(4)
    return what, bytes(out)


def resealed(rng: random.Random, entries: list[Entry]) -> tuple[str, list[Entry]]:
    """The log after somebody who can write entries changed it and sealed everything behind again."""
    rows = [bytearray(entry.records) for entry in entries]
    what, i, j = rng.choice(("edited", "deleted", "swapped", "put in", "cut", "time")), *sorted(rng.sample(range(len(rows)), 2))
    times = [entry.time for entry in entries]
    if what == "edited":
        rows[i][rng.randrange(len(rows[i]))] ^= 1 << rng.randrange(8)
    elif what == "deleted":
        del rows[i], times[i]
    elif what == "swapped":
        rows[i], rows[j] = rows[j], rows[i]
    elif what == "put in":
        rows.insert(i, bytearray(rng.randbytes(RECORD_BYTES)))
        times.insert(i, times[i])
    elif what == "cut":
        del rows[j:], times[j:]
    else:
        times[i:] = [time + 1 for time in times[i:]]
    position, out = Position(), []
    for row, time, like in zip(rows, times, [*entries, entries[-1]], strict=False):
        out.append(seal(cell=like.cell, epoch=like.epoch, first_sequence=position.sequence + 1, time=time, committed=position.sequence,
                        previous_hash=position.hash, fingerprint=like.fingerprint, results_hash=like.results_hash, records=row))
        position = position.after(out[-1])
    return what, out


def found_by_its_chain(disk: CrashDisk) -> bool:
    try:
        looked = verify(disk, FOLDER)
    except Damaged:
        return True
    return bool(looked.findings) or not looked.closed


@pytest.mark.parametrize("part", range(PARTS))
def test_every_change_is_found(part):
    rng, (disk, entries, heads) = random.Random(part), made()
    (name,) = segment_names(disk, FOLDER)
    file, seen = disk.names[f"{FOLDER}/{name}"], {}
    data = bytes(file.live)
    assert not found_by_its_chain(disk) and list(differences(entries, heads)) == []
    while sum(seen.values()) < TRIALS // PARTS:
        if rng.random() < 0.7:
            what, changed = edited(rng, data, entries)
            if changed == data:
                continue
            file.live[:] = changed
            assert found_by_its_chain(disk), what
        else:
            what, sealed = resealed(rng, entries)
            assert list(differences(sealed, heads)), what
        seen[what] = seen.get(what, 0) + 1
    print(seen)
    assert len(seen) == 14 and sum(seen.values()) == TRIALS // PARTS and min(seen.values()) > 50


def test_what_was_sealed_again_is_a_whole_log_by_itself():
    """So the heads are needed: a chain alone shows only that nobody changed it without sealing it again."""
    _, entries, heads = made()
    _, sealed = resealed(random.Random(3), entries)
    disk = CrashDisk()
    log: Journal = journal(disk)
    for entry in sealed:
        log.propose(entry)
    log.close()
    there = [entry for chunk in Replay(disk, FOLDER).chunks() for entry in chunk]
    assert not found_by_its_chain(disk) and there == sealed and list(differences(there, heads))
    assert isinstance(scan(bytes(there[0].data)), Entry)
