"""The publisher: signs only what extends what it signed, goes on after any crash, and makes every change of the log show."""
import contextlib
import random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cambist.log.checkpoint import NoteError, open_note, verifier_key
from cambist.log.disk import DiskLocked, DiskMissing
from cambist.log.entry import Entry, seal
from cambist.log.heads import NAME, Head, Heads, Log
from cambist.log.merkle import Tile, Tree, leaf_hash, root_of, verify_consistency, verify_inclusion
from cambist.log.segment import SECTOR_BYTES, Damaged, Position
from cambist.log.transparency import EVERY_NS, Forked, Publisher, TransparencyError, audit, differences, prove

from tests.log.crash_disk import Crash, CrashDisk
from tests.log.published import HOUSE, KEY, LOG, PUBLIC, VKEY, batches, heads_over, journal, publisher, tiles, verified

FOLDER = f"{HOUSE}/transparency"
WRITTEN = batches([1, 20, 60, 60, 60, 60, 3, 40])                # 304 entries: over the edge of a tile
ENTRIES = [entry for batch in WRITTEN for entry in batch]
LEAVES = [leaf_hash(entry.own_hash) for entry in ENTRIES]
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))


def signed() -> CrashDisk:
    disk = CrashDisk()
    heads_over(disk, WRITTEN)
    return disk


def shown(disk: CrashDisk) -> str:
    return bytes(disk.names[f"{PUBLIC}/checkpoint"].live).decode()


# ------------------------------------------------------------------------------------------------------------------------------- publishing
def test_each_head_is_over_the_committed_entries_and_is_shown():
    disk = CrashDisk()
    heads = heads_over(disk, WRITTEN)
    assert [head.size for head in heads] == [1, 21, 81, 141, 210, 261, 264, 304]        # a batch counts once a later one, or the end of its segment, says so
    assert all(head.root == root_of(LEAVES[:head.size]) and head.position == Position().after(ENTRIES[head.size - 1]) for head in heads)
    assert all(open_note(head.note(LOG), LOG.origin, LOG.public, verified)[1:] == (head.size, head.root) for head in heads)
    assert shown(disk) == heads[-1].note(LOG) and bytes(disk.names[f"{PUBLIC}/log.vkey"].live).decode() == f"{VKEY}\n"
    kept = Heads.open(disk, FOLDER)
    assert list(kept) == heads and kept.log == LOG and audit(disk, HOUSE, verified) == []


def test_tiles_are_those_of_the_tree_and_hold_no_byte_of_an_entry():
    disk = signed()
    tree, wanted = Tree(), {}
    for leaf in LEAVES:
        wanted.update({tile.path: data for tile, data in tree.append(leaf)})
    wanted.update({tile.path: data for tile, data in tree.edge()})
    found = tiles(disk)
    assert {path: found[path] for path in wanted} == wanted
    older = set(found) - set(wanted)
    assert older == {"tile/0/001.p/5", "tile/0/001.p/8"}                                 # of heads that were signed; those of tile 0 gave way to it
    assert all(data == b"".join(LEAVES)[256 * 32:256 * 32 + len(data)] for path, data in found.items() if path in older)


def test_a_head_comes_once_in_its_time_and_only_for_something_new():
    disk, log = CrashDisk(), None
    log = journal(disk)
    quick = Publisher(disk, HOUSE, LOG, KEY.sign)
    assert quick.step(0).head is None                                                    # nothing there
    log.append_many(WRITTEN[0])
    log.append_many(WRITTEN[1])
    assert quick.step(5).head.size == 1
    log.append_many(WRITTEN[2])
    assert quick.step(6) == quick.step(5 + EVERY_NS - 1).__class__(20, None)
    assert quick.step(5 + EVERY_NS).head.size == 21 and quick.step(5 + 3 * EVERY_NS).head is None and EVERY_NS < 60_000_000_000
    quick.close()


def test_it_goes_on_where_it_stopped():
    disk, straight = CrashDisk(), signed()
    log = journal(disk)
    for batch in WRITTEN:
        log.append_many(batch)
        again = publisher(disk)
        again.step(0)
        again.close()
    log.close()
    again = publisher(disk)
    assert again.size == 264 and again.step(0).head.size == 304 and again.step(1).head is None
    again.close()
    assert tiles(disk) == tiles(straight) and shown(disk) == shown(straight)
    assert [head.size for head in Heads.open(disk, FOLDER)] == [head.size for head in Heads.open(straight, FOLDER)]


def test_only_one_publishes():
    disk = signed()
    first = publisher(disk)
    with pytest.raises(DiskLocked):
        publisher(disk)
    first.close()
    publisher(disk).close()


# ------------------------------------------------------------------------------------------------------------------------------- forks
def rechained(entries: list[Entry]) -> list[Entry]:
    """A valid chain out of what somebody would rather have logged: sequences, times and hashes made to fit."""
    position, made = Position(), []
    for entry in entries:
        made.append(sealed_again(entry, entry.records, position))
        position = position.after(made[-1])
    return made


def sealed_again(entry: Entry, records, position: Position) -> Entry:
    return seal(cell=entry.cell, epoch=entry.epoch, first_sequence=position.sequence + 1, time=max(entry.time, position.time), committed=position.sequence,
                previous_hash=position.hash, fingerprint=entry.fingerprint, results_hash=entry.results_hash, records=records, side=entry.side)


def changed(rng: random.Random, entries: list[Entry]) -> list[Entry]:
    """One thing edited, left out, put in or put elsewhere, and everything after made to fit."""
    entries, at = list(entries), rng.randrange(len(entries))
    what = rng.randrange(5)
    if what == 0:
        records = bytearray(entries[at].records)
        records[rng.randrange(len(records))] ^= rng.randrange(1, 256)
        entries[at] = sealed_again(entries[at], records, Position())
    elif what == 1:
        del entries[at:at + rng.randint(1, 5)]
    elif what == 2:
        entries.insert(rng.choice([i for i in range(len(entries)) if i != at]), entries.pop(at))
    elif what == 3:
        entries.insert(at, entries[rng.choice([i for i in range(len(entries)) if i != at])])
    else:
        del entries[at:]
    return rechained(entries)


def rewritten(disk: CrashDisk, entries: list[Entry]) -> CrashDisk:
    """The same house with another log."""
    disk = disk.after_kill()
    for name in [name for name in disk.names if name.startswith(f"{HOUSE}/log/")]:
        del disk.names[name]
    log = journal(disk)
    for at in range(0, len(entries), 32):
        for entry in entries[at:at + 32]:
            log.propose(entry)
    log.close()
    return disk


def test_ten_thousand_changes_of_a_log_are_all_detected():
    """Half by somebody who makes the chain fit again, half by somebody who changes bytes of the file."""
    written = batches([3, 5, 7, 9, 8, 8], count=2)
    entries, disk = rechained([entry for batch in written for entry in batch]), CrashDisk()
    log, publishing, heads = journal(disk), publisher(disk), []
    for now, entry in enumerate(entries):
        log.propose(entry)
        if now % 6 == 5:
            heads.append(publishing.step(now).head)
    log.close()
    heads.append(publishing.step(99).head)
    publishing.close()
    assert list(differences(entries, heads)) == [] == audit(disk, HOUSE, verified)
    rng = random.Random(20)
    missed = [n for n in range(5_000) if not list(differences(changed(rng, entries), heads))]
    assert missed == []

    [name] = [name for name in disk.names if name.endswith(".cbj")]
    file = disk.names[name]
    whole, bounds = bytes(file.live), [SECTOR_BYTES]
    for entry in entries:
        bounds.append(bounds[-1] + len(entry.data))
    for _ in range(5_000):
        data, what = bytearray(whole), rng.randrange(3)
        first, second = sorted(rng.sample(range(len(entries)), 2))
        one, other = slice(bounds[first], bounds[first + 1]), slice(bounds[second], bounds[second + 1])
        if what == 0:
            data[rng.randrange(bounds[0], bounds[-1])] ^= rng.randrange(1, 256)
        elif what == 1:
            del data[one]
        else:
            data[one], data[other] = whole[other], whole[one]
        file.live = data
        assert audit(disk, HOUSE, verified), (what, first, second)
    file.live = bytearray(whole)
    assert audit(disk, HOUSE, verified) == []


def test_a_changed_log_stops_the_publisher_and_is_told_by_audit():
    disk, rng = signed(), random.Random(3)
    for _ in range(25):
        other = rewritten(disk, changed(rng, ENTRIES))
        before = shown(other), len(Heads.open(other, FOLDER))
        with pytest.raises(Forked, match="nothing was signed"):
            publisher(other)
        assert (shown(other), len(Heads.open(other, FOLDER))) == before and audit(other, HOUSE, verified)
    publisher(rewritten(disk, ENTRIES)).close()


def test_a_log_that_ends_early_or_is_gone_stops_it():
    disk = signed()
    for entries in (ENTRIES[:-1], ENTRIES[:1]):
        with pytest.raises(Forked, match="does not reach it"):
            publisher(rewritten(disk, entries))
    gone = disk.after_kill()
    for name in [name for name in gone.names if name.startswith(f"{HOUSE}/log/")]:
        del gone.names[name]
    with pytest.raises(Forked, match="does not reach it"):
        publisher(gone)


def test_another_key_or_name_signs_nothing():
    disk = signed()
    other = Log(LOG.cell, LOG.origin, OTHER.public_key().public_bytes_raw())
    for log, key in ((other, OTHER), (Log(LOG.cell, "elsewhere.example", LOG.public), KEY), (Log(8, LOG.origin, LOG.public), KEY)):
        with pytest.raises(TransparencyError, match="restore the key and the origin"):
            publisher(disk, log, key)
    with pytest.raises(NoteError):
        publisher(CrashDisk(), Log(7, "two words", LOG.public))
    publisher(disk).close()                                     # and each gave the lock back


def test_heads_that_were_shown_and_are_not_kept_stop_it():
    disk = signed()
    lost = disk.after_kill()
    del lost.names[f"{FOLDER}/{NAME}"]
    with pytest.raises(TransparencyError, match="no record of signed heads"):
        publisher(lost)
    assert audit(lost, HOUSE, verified)
    short = disk.after_kill()
    del short.names[f"{FOLDER}/{NAME}"].live[-SECTOR_BYTES:]
    with pytest.raises(TransparencyError, match=r"shows 304 leaves, and heads.cbh ends at 264"):
        publisher(short)
    other = disk.after_kill()
    file = other.names[f"{PUBLIC}/checkpoint"].live
    file[file.index(b"\n304\n") + 5] ^= 1
    with pytest.raises(Forked, match="another root"):
        publisher(other)
    for offset in (SECTOR_BYTES - 1, len(disk.names[f"{FOLDER}/{NAME}"].live) - 40):
        rot = disk.after_kill()
        rot.flip(f"{FOLDER}/{NAME}", offset)
        with pytest.raises(Damaged):
            publisher(rot)
        assert audit(rot, HOUSE, verified)


def test_every_tile_that_is_not_what_it_was_is_told_and_one_at_the_edge_stops_it():
    disk = signed()
    for path in tiles(disk):
        rot = disk.after_kill()
        rot.flip(f"{PUBLIC}/{path}", 3)
        needed = path in ("tile/0/001.p/48", "tile/1/000.p/1") or path == "tile/0/000"
        assert bool(audit(rot, HOUSE, verified)) == needed                               # the others are of older heads
        if path.endswith(("001.p/48", "000.p/1")):
            with pytest.raises(Damaged, match="remove the folder `tile`"):
                publisher(rot)
    hurt = disk.after_kill()
    hurt.flip(f"{FOLDER}/{NAME}", SECTOR_BYTES + 100)
    assert audit(hurt, HOUSE, verified)


def test_a_tree_that_does_not_extend_what_was_signed_is_not_signed():
    """Whatever made it so: a file changed while it runs, or a fault of ours."""
    for spoil in ("tile", "tree"):
        disk = CrashDisk()
        log, publishing = journal(disk), publisher(disk)
        for batch in WRITTEN[:7]:
            log.append_many(batch)
            publishing.step(0)
        before = shown(disk)
        if spoil == "tile":
            disk.flip(f"{PUBLIC}/tile/1/000.p/1", 3)
        else:
            publishing._tree = Tree()
            for leaf in [LEAVES[1], LEAVES[0], *LEAVES[2:publishing.signed.size]]:
                publishing._tree.append(leaf)
            for name in [name for name in disk.names if name.startswith(f"{PUBLIC}/tile")]:
                del disk.names[name]
            for index in range(publishing.size // 256):
                publishing._write_tile(Tile(0, index), b"".join([LEAVES[1], LEAVES[0], *LEAVES[2:256]]))
        log.append_many(WRITTEN[7])
        with pytest.raises((Forked, Damaged)):
            publishing.step(1)
        assert shown(disk) == before == Heads.open(disk, FOLDER).last.note(LOG)


def test_tiles_that_are_gone_are_made_again_from_the_log():
    disk = signed()
    wanted = {path: data for path, data in tiles(disk).items() if path not in ("tile/0/001.p/5", "tile/0/001.p/8")}
    for name in [name for name in disk.names if name.startswith(f"{PUBLIC}/tile")]:
        del disk.names[name]
    assert audit(disk, HOUSE, verified)
    again = publisher(disk)
    assert again.size == 0 and again.step(0).head is None and again.size == 304          # nothing new to sign
    again.publish()
    again.close()
    assert tiles(disk) == wanted and audit(disk, HOUSE, verified) == []


def test_tiles_are_not_made_again_from_another_log():
    disk = signed()
    forged = rechained([ENTRIES[1], ENTRIES[0], *ENTRIES[2:]])
    other = rewritten(disk, forged)
    for name in [name for name in other.names if name.startswith(f"{PUBLIC}/tile")]:
        del other.names[name]
    with pytest.raises(Forked, match="is another now"):
        publisher(other)
    odd = disk.after_kill()                                     # a head with the right position and a root that is not the log's
    heads = Heads.open(odd, FOLDER, write=True)
    heads.append(Head(304, bytes(32), heads.last.signature, heads.last.position))
    for name in [name for name in odd.names if name.startswith((f"{PUBLIC}/tile", f"{PUBLIC}/checkpoint"))]:
        del odd.names[name]
    again = publisher(odd)
    with pytest.raises(Forked, match="do not have the root that was signed"):
        again.step(0)


# ------------------------------------------------------------------------------------------------------------------------------- crashes
def run(disk: CrashDisk, seen: list[str]) -> None:
    """A writer and its publisher from wherever they are to the end. `seen`: every checkpoint that a reader could have seen."""
    log = journal(disk)
    publishing = publisher(disk)
    look(disk, seen)
    for number, batch in enumerate(WRITTEN):
        rest = [entry for entry in batch if entry.first_sequence > log.position.sequence]
        if rest:
            log.append_many(rest)
        if number not in (0, 2, 3):                              # several batches under one head
            publishing.step(0)
            look(disk, seen)
    log.close()
    publishing.step(0)
    look(disk, seen)
    publishing.close()


def look(disk: CrashDisk, seen: list[str]) -> None:
    inode = disk.names.get(f"{PUBLIC}/checkpoint")
    if inode and (text := bytes(inode.live).decode()) not in seen:
        seen.append(text)


def check_heads(disk: CrashDisk, seen: list[str]) -> None:
    """Every head that was ever seen is kept, and of the one tree."""
    kept = [head.note(LOG) for head in Heads.open(disk, FOLDER)] if f"{FOLDER}/{NAME}" in disk.names else []
    assert not [text for text in seen if text not in kept]
    for text in seen:
        found = open_note(text, LOG.origin, LOG.public, verified)
        assert found.root == root_of(LEAVES[:found.size])


def test_a_crash_at_any_storage_call_loses_no_consistency():
    counted = CrashDisk()
    run(counted, [])
    final = shown(counted)
    rng = random.Random(11)
    for crash_at in range(1, counted.calls + 1):
        again = [crash_at, rng.randrange(1, 40)]                # also while it recovers
        for plan in ([crash_at], again) if crash_at % 3 == 0 else ([crash_at],):
            disk, seen = CrashDisk(), []
            for at in plan:
                disk.crash_at, disk.before_call = at, lambda disk, seen=seen: look(disk, seen)
                with contextlib.suppress(Crash):
                    run(disk, seen)
                look(disk, seen)
                disk = disk.after_power_loss(rng.getrandbits(30)) if rng.random() < 0.7 else disk.after_kill()
                check_heads(disk, seen)
                assert [finding for finding in audit(disk, HOUSE, verified) if "is not the newest head" not in finding] == [], plan
            run(disk, seen)
            check_heads(disk, seen)
            assert shown(disk) == final and audit(disk, HOUSE, verified) == [], plan


# ------------------------------------------------------------------------------------------------------------------------------- proofs
def test_every_sequence_is_proven():
    disk, written = CrashDisk(), batches([2, 30, 30, 11], count=3)
    heads = heads_over(disk, written)
    entries = [entry for batch in written for entry in batch]
    for index, entry in enumerate(entries):
        for sequence in range(entry.first_sequence, entry.last_sequence + 1):
            found = prove(disk, HOUSE, sequence, verified, since=heads[index % 4].size)
            proof = found.proof
            assert (proof.index, proof.leaf) == (index, entry.own_hash.hex())
            assert (found.first_sequence, found.last_sequence) == (entry.first_sequence, entry.last_sequence)
            assert verify_inclusion(leaf_hash(entry.own_hash), index, 73, [bytes.fromhex(each) for each in proof.inclusion], heads[-1].root)
            assert proof.head == heads[-1].note(LOG) and proof.since == heads[index % 4].note(LOG)
            old = heads[index % 4]
            assert verify_consistency(old.size, old.root, 73, heads[-1].root, [bytes.fromhex(each) for each in proof.consistency])
    assert prove(disk, HOUSE, 5, verified).proof.since == ""
    assert prove(disk, HOUSE, 5, verified, since=heads[0].note(LOG)).proof.since == heads[0].note(LOG)


def test_what_cannot_be_proven_is_said():
    disk = signed()
    with pytest.raises(TransparencyError, match="holds no signed head yet"):
        prove(CrashDisk(), HOUSE, 1, verified)
    for sequence in (0, 305):
        with pytest.raises(TransparencyError, match="right would be 1 to 304"):
            prove(disk, HOUSE, sequence, verified)
    with pytest.raises(TransparencyError, match="right would be 21 or 81"):
        prove(disk, HOUSE, 5, verified, since=22)
    with pytest.raises(TransparencyError, match="right would be 304"):
        prove(disk, HOUSE, 5, verified, since=305)
    with pytest.raises(NoteError):
        prove(disk, HOUSE, 5, verified, since=shown(disk).replace("304", "305"))


def test_an_older_head_of_another_tree_is_a_fork():
    disk, forged = signed(), CrashDisk()
    heads_over(forged, batches([1, 20], count=2))
    with pytest.raises(Forked, match="their root here is another"):
        prove(disk, HOUSE, 5, verified, since=shown(forged))
    for index in (0, 100, 255, 256, 303):
        other = rewritten(disk, rechained([*ENTRIES[:index], ENTRIES[(index + 7) % 304], *ENTRIES[index + 1:]]))
        with pytest.raises((Forked, Damaged)):
            prove(other, HOUSE, index + 1, verified)


def test_heads_are_found_by_size_and_sequence():
    disk = signed()
    heads = Heads.open(disk, FOLDER)
    assert [heads.first_with(size=size) for size in (1, 2, 21, 22, 304, 305)] == [0, 1, 1, 2, 7, 8]
    assert [heads.first_with(sequence=each.position.sequence) for each in heads] == list(range(8))
    with pytest.raises(IndexError):
        heads[8]
    with pytest.raises(DiskMissing):
        Heads.open(disk, HOUSE)
    assert verifier_key(LOG.origin, LOG.public) == VKEY
