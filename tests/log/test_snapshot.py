"""Snapshots on disk: whole or not there, verified when loaded, and the same state gives the same hash."""
import hashlib
import struct

import numpy as np
import pytest

from cambist.log.disk import DiskFailed, DiskFull
from cambist.log.disk_shell import RealDisk
from cambist.log.segment import Position
from cambist.log.snapshot import (
    MAX_COLUMNS,
    MAX_TABLES,
    SnapshotDamaged,
    SnapshotError,
    Table,
    keep,
    load,
    newest,
    read_manifest,
    save,
    snapshot_names,
    state_hash,
)

from tests.log.crash_disk import CrashDisk

DIR = "snapshots"


def tables(seed: int = 0) -> dict[str, Table]:
    rng = np.random.default_rng(seed)
    return {"accounts": Table(3, ("id", "kind", "balance"), rng.integers(-2**63, 2**63 - 1, (50, 3))),
            "orders": Table(1, ("id", "price"), np.empty((0, 2), np.int64)),
            "clock": Table(1, ("now",), np.array([[seed]]))}


def saved(disk, sequence: int, directory: str = DIR, seed: int | None = None):
    position = Position(sequence, bytes([sequence % 256]) * 32, 2, sequence * 10)
    return save(disk, directory, tables(sequence if seed is None else seed), position=position, cell=7, results_hash=b"\2" * 32, fingerprint=b"\3" * 32)


def test_a_snapshot_comes_back_as_it_was(tmp_path):
    for disk, directory in ((CrashDisk(), DIR), (RealDisk(), str(tmp_path / "s"))):
        manifest = saved(disk, 12, directory)
        found, problems = newest(disk, directory)
        assert not problems and found.manifest == manifest and list(found.tables) == ["accounts", "orders", "clock"]
        for name, table in tables(12).items():
            assert found.tables[name][:2] == table[:2]
            assert found.tables[name].rows.shape == table.rows.shape and np.array_equal(found.tables[name].rows, table.rows)
        assert manifest.position == Position(12, b"\x0c" * 32, 2, 120) and manifest.results_position == Position(12, b"\2" * 32, 0, 120)
        assert (manifest.cell, manifest.epoch, manifest.time, manifest.fingerprint) == (7, 2, 120, "03" * 32)
        assert read_manifest(disk, f"{directory}/snapshot-{12:020d}") == manifest and manifest.state_hash == state_hash(tables(12)).hex()


def test_state_hash_is_what_its_words_say():
    rows = np.array([[1, -2], [3, 4]])
    said = struct.pack("<IIQQ", 6, 5, 2, 2) + b"orders" + struct.pack("<4q", 1, -2, 3, 4) + struct.pack("<IIQQ", 1, 1, 0, 1) + b"x"
    assert state_hash({"orders": (5, ("a", "b"), rows), "x": (1, ("c",), np.empty((0, 1), np.int64))}) == hashlib.sha256(said).digest()


def test_state_hash_sees_rows_order_names_versions_and_not_memory_layout():
    one = tables()
    base = state_hash(one)
    assert state_hash({name: Table(t.version, t.columns, np.asfortranarray(t.rows)) for name, t in one.items()}) == base
    wide = np.zeros((50, 6), np.int64)
    wide[:, ::2] = one["accounts"].rows
    assert state_hash(one | {"accounts": Table(3, one["accounts"].columns, wide[:, ::2])}) == base
    swapped = one["accounts"].rows[::-1]
    for other in (dict(reversed(one.items())), one | {"clock": Table(2, ("now",), one["clock"].rows)},
                  one | {"accounts": Table(3, ("id", "kind", "balance"), swapped)},
                  {("clocks" if name == "clock" else name): table for name, table in one.items()}):
        assert state_hash(other) != base


def test_newest_passes_over_damaged_ones_and_says_so():
    disk = CrashDisk()
    for sequence in (5, 6, 7):
        saved(disk, sequence)
    disk.flip(f"{DIR}/snapshot-{7:020d}/accounts.table", 99)
    del disk.names[f"{DIR}/snapshot-{6:020d}/clock.table"]
    found, problems = newest(disk, DIR)
    assert found.manifest.sequence == 5 and ["accounts.table does not have" in problems[0].what, "does not exist" in problems[1].what] == [True, True]
    assert newest(disk, "nowhere") == (None, [])


def test_every_flipped_byte_is_found():
    disk = CrashDisk()
    saved(disk, 5)
    path = f"{DIR}/snapshot-{5:020d}"
    for name in disk.list_directory(path):
        for offset in range(len(disk.names[f"{path}/{name}"].live)):
            disk.flip(f"{path}/{name}", offset, offset % 8)
            with pytest.raises(SnapshotDamaged):
                load(disk, path)
            disk.flip(f"{path}/{name}", offset, offset % 8)
    load(disk, path)


def test_a_renamed_snapshot_and_swapped_tables_are_found():
    disk = CrashDisk()
    saved(disk, 5)
    saved(disk, 6)
    disk.rename(f"{DIR}/snapshot-{6:020d}", f"{DIR}/snapshot-{9:020d}")
    with pytest.raises(SnapshotDamaged, match="was the directory renamed"):
        load(disk, f"{DIR}/snapshot-{9:020d}")
    disk.names[f"{DIR}/snapshot-{5:020d}/clock.table"] = disk.names[f"{DIR}/snapshot-{9:020d}/clock.table"]
    with pytest.raises(SnapshotDamaged, match="clock"):
        load(disk, f"{DIR}/snapshot-{5:020d}")


def test_saving_the_same_state_again_changes_nothing_and_another_is_refused():
    disk = CrashDisk()
    first = saved(disk, 5)
    calls = disk.calls
    assert saved(disk, 5) == first and disk.calls == calls + 2                  # mkdir, and its name made durable
    with pytest.raises(SnapshotError, match="two states at one sequence"):
        saved(disk, 5, seed=99)
    disk.flip(f"{DIR}/snapshot-{5:020d}/clock.table", 3)
    saved(disk, 5)
    assert newest(disk, DIR)[1] == [] and disk.list_directory(DIR) == [f"snapshot-{5:020d}"]


def test_keep_removes_the_older_and_counts_only_whole_ones():
    disk = CrashDisk()
    for sequence in range(1, 8):
        saved(disk, sequence)
    disk.flip(f"{DIR}/snapshot-{7:020d}/clock.table", 3)
    disk.make_directory(f"{DIR}/snapshot-{9:020d}.partial")
    assert keep(disk, DIR, 2) == [f"snapshot-{n:020d}" for n in (4, 3, 2, 1)]
    assert disk.list_directory(DIR) == snapshot_names(disk, DIR) == [f"snapshot-{n:020d}" for n in (5, 6, 7)]
    assert keep(disk, DIR, 2) == [] and newest(disk, DIR)[0].manifest.sequence == 6
    with pytest.raises(SnapshotError, match="1 or more"):
        keep(disk, DIR, 0)


@pytest.mark.parametrize("bad, said", [
    ({"Accounts": (1, ("a",), np.zeros((1, 1), np.int64))}, "a-z"), ({"../x": (1, ("a",), np.zeros((1, 1), np.int64))}, "a-z"),
    ({"a" * 65: (1, ("a",), np.zeros((1, 1), np.int64))}, "at most 64"), ({"a": (-1, ("a",), np.zeros((1, 1), np.int64))}, "version"),
    ({"a": (1, ("a",), np.zeros((1, 1)))}, "float64"), ({"a": (1, ("a",), np.zeros(1, np.int64))}, "1 dimensions"),
    ({"a": (1, ("a", "b"), np.zeros((1, 1), np.int64))}, "2 column names for 1"), ({"a": (1, ("a", "a"), np.zeros((1, 2), np.int64))}, "all different"),
    ({"a": (1, tuple(f"c{n}" for n in range(MAX_COLUMNS + 1)), np.zeros((1, MAX_COLUMNS + 1), np.int64))}, f"1 to {MAX_COLUMNS}"),
    ({f"t{n}": (1, ("a",), np.zeros((0, 1), np.int64)) for n in range(MAX_TABLES + 1)}, f"the most is {MAX_TABLES}"),
    ({"a": (1, ("a\nb",), np.zeros((1, 1), np.int64))}, "line break"),
])
def test_tables_that_cannot_be_saved_are_refused(bad, said):
    disk = CrashDisk()
    with pytest.raises(SnapshotError, match=said):
        save(disk, DIR, bad, position=Position(1), cell=1, results_hash=bytes(32), fingerprint=bytes(32))
    with pytest.raises(SnapshotError, match="results_hash: 1 bytes"):
        save(disk, DIR, {}, position=Position(1), cell=1, results_hash=b"x", fingerprint=bytes(32))
    assert disk.calls == 0


def test_the_most_tables_and_columns_go_through():
    disk = CrashDisk()
    most = {f"t{n}": Table(1, tuple(f"c{c}" for c in range(MAX_COLUMNS)), np.full((1, MAX_COLUMNS), n)) for n in range(MAX_TABLES)}
    save(disk, DIR, most, position=Position(1), cell=1, results_hash=bytes(32), fingerprint=bytes(32))
    assert len(newest(disk, DIR)[0].tables) == MAX_TABLES


def test_a_crash_at_every_storage_call_leaves_the_old_or_the_new():
    done = [0]

    def look(disk):
        for survivor in (disk.after_kill(), *(disk.after_power_loss(disk.calls + 1000 * seed) for seed in range(6))):
            found, problems = newest(survivor, DIR)
            assert not problems and (found.manifest.sequence if found else 0) >= done[0]
            if found:                                                            # saved again, it is durable: a power loss takes it no more
                saved(survivor, found.manifest.sequence)
                assert all(newest(survivor.after_power_loss(seed), DIR)[0] for seed in range(4))
            saved(survivor, 50)
            keep(survivor, DIR, 1)
            assert survivor.list_directory(DIR) == [f"snapshot-{50:020d}"]

    disk = CrashDisk(before_call=look)
    for sequence in range(1, 5):
        saved(disk, sequence)
        done[0] = sequence
        keep(disk, DIR, 2)
    look(disk)


def test_a_full_or_failing_disk_is_told_and_leaves_no_snapshot():
    with pytest.raises(DiskFull):
        saved(disk := CrashDisk(capacity=1000), 5)
    disk.capacity = None
    assert newest(disk, DIR) == (None, [])
    saved(disk, 5)
    with pytest.raises(DiskFailed):
        saved(disk := CrashDisk(fail_sync_at=2), 5)
    assert newest(disk.after_kill(), DIR) == (None, [])
