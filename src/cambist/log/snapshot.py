"""The file side of snapshots: a directory with one file per table, and a manifest that says which log position they are the state of.

Decides the layout, and whether a snapshot on disk is what was saved. Must not know what a table means, how its rows are found, or when to snapshot.

`snapshot-<sequence>` is written under another name, each file synced, and renamed when whole: it is there wholly or not at all. Rows are the live rows
in key order, so `state_hash` is equal for two states that mean the same, whatever their history.
"""
import re
from collections.abc import Collection, Mapping
from hashlib import sha256
from struct import Struct
from typing import NamedTuple

import msgspec
import numpy as np

from cambist.log.disk import Disk, DiskError, DiskMissing
from cambist.log.entry import HASH_BYTES
from cambist.log.segment import Position

FORMAT_VERSION = 1
MAX_TABLES, MAX_COLUMNS, MAX_NAME_BYTES = 256, 512, 64
MAX_ROWS = 1 << 32
MAX_MANIFEST_BYTES = 1 << 20
TABLE_MAGIC = b"CBT1"
#                       magic  format name columns version names rows
_TABLE_HEADER = Struct("<4s    H      H    I       I       Q     Q")
_HASHED = Struct("<IIQQ")                   # per table: bytes of the name, version, rows, columns
_SNAPSHOT_NAME = re.compile(r"snapshot-\d{20}")
_TABLE_NAME = re.compile(rf"[a-z][a-z0-9_]{{0,{MAX_NAME_BYTES - 1}}}")
_PARTIAL = ".partial"


class SnapshotDamaged(Exception):
    """A snapshot that is not what was saved: take an older one, and replay further."""
    def __init__(self, path: str, what: str):
        super().__init__(f"{path} is not usable: {what}")
        self.path, self.what = path, what


class SnapshotError(ValueError):
    """The caller's mistake; nothing was written."""


class Table(NamedTuple):
    """Live rows in key order: `rows` is an int64 matrix, a column per name. `version` is that of the row's layout."""
    version: int
    columns: tuple[str, ...]
    rows: np.ndarray


class TableSummary(msgspec.Struct, frozen=True):
    name: str
    version: int
    columns: tuple[str, ...]
    rows: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the tables are the state of. Hashes in hex."""
    format: int = FORMAT_VERSION
    sequence: int
    time: int
    cell: int
    epoch: int
    entry_hash: str
    results_hash: str
    fingerprint: str
    state_hash: str
    tables: tuple[TableSummary, ...]

    @property
    def position(self) -> Position:
        """Where the log stood: what `Journal.open(start=...)` and `Replay(after=...)` take."""
        return Position(self.sequence, bytes.fromhex(self.entry_hash), self.epoch, self.time)

    @property
    def results_position(self) -> Position:
        """Where the results stood: what `Results.open(start=...)` takes."""
        return Position(self.sequence, bytes.fromhex(self.results_hash), 0, self.time)


class Snapshot(NamedTuple):
    path: str
    manifest: Manifest
    tables: dict[str, Table]


def state_hash(tables: Mapping[str, Table | tuple]) -> bytes:
    """sha256 over the tables in the order given: name, version, shape, row bytes (int64, little-endian, row after row). Column names do not count."""
    digest = sha256()
    for name, (version, _, rows) in tables.items():
        digest.update(_HASHED.pack(len(name), version, *rows.shape))
        digest.update(name.encode())
        digest.update(_row_bytes(rows))
    return digest.digest()


def save(disk: Disk, directory: str, tables: Mapping[str, Table | tuple], *,
         position: Position, cell: int, results_hash: bytes, fingerprint: bytes) -> Manifest:
    """Writes `snapshot-<sequence>` and returns its manifest; `position` is the log's, after the last applied entry. One that is already there and whole,
    with the same state, is left as it is; another state at the same sequence is refused."""
    _check_tables(tables)
    for name, value in (("position.hash", position.hash), ("results_hash", results_hash), ("fingerprint", fingerprint)):
        if len(value) != HASH_BYTES:
            raise SnapshotError(f"{name}: {len(value)} bytes; right would be {HASH_BYTES}")
    disk.make_directory(directory)
    final = f"{directory}/snapshot-{position.sequence:020d}"
    hashed = state_hash(tables).hex()
    if (there := _already_there(disk, final, hashed)) is not None:
        disk.sync_directory(directory)              # its name may have been only in the operating system's memory
        return there
    partial = final + _PARTIAL
    _remove_tree(disk, partial)
    disk.make_directory(partial)
    summaries = tuple(_write_table(disk, partial, name, Table(table[0], table[1], table[2])) for name, table in tables.items())
    manifest = Manifest(sequence=position.sequence, time=position.time, cell=cell, epoch=position.epoch, entry_hash=position.hash.hex(),
                        results_hash=results_hash.hex(), fingerprint=fingerprint.hex(), state_hash=hashed, tables=summaries)
    body = msgspec.json.encode(manifest)
    _write_file(disk, f"{partial}/manifest.json", (body, b"\n", sha256(body).hexdigest().encode(), b"\n"))
    disk.sync_directory(partial)
    disk.rename(partial, final)
    disk.sync_directory(directory)
    return manifest


def load(disk: Disk, path: str) -> Snapshot:
    """Reads one snapshot and verifies everything in it, or raises SnapshotDamaged. The tables' rows are read-only."""
    manifest = read_manifest(disk, path)
    tables = {summary.name: _read_table(disk, path, summary) for summary in manifest.tables}
    if state_hash(tables).hex() != manifest.state_hash:
        raise SnapshotDamaged(path, f"state_hash is {state_hash(tables).hex()[:16]}…; its manifest says {manifest.state_hash[:16]}…")
    return Snapshot(path, manifest, tables)


def newest(disk: Disk, directory: str) -> tuple[Snapshot | None, list[SnapshotDamaged]]:
    """The newest snapshot that verifies, and what is wrong with those newer than it."""
    problems = []
    for name in reversed(snapshot_names(disk, directory)):
        try:
            return load(disk, f"{directory}/{name}"), problems
        except SnapshotDamaged as damaged:
            problems.append(damaged)
    return None, problems


def keep(disk: Disk, directory: str, n: int, verified: Collection[str] = ()) -> list[str]:
    """Removes the snapshots older than the newest `n` that verify, and parts of unfinished ones; returns the names removed. Those named in `verified` are not
    read again."""
    if n < 1:
        raise SnapshotError(f"keep {n} snapshots; right would be 1 or more")
    good, removed = 0, []
    for name in reversed(snapshot_names(disk, directory)):
        if good >= n:
            disk.rename(f"{directory}/{name}", f"{directory}/{name}{_PARTIAL}")     # gone at once: half removed, it would look damaged
            removed.append(name)
            continue
        try:
            if name not in verified:
                load(disk, f"{directory}/{name}")
            good += 1
        except SnapshotDamaged:
            continue
    if removed:
        disk.sync_directory(directory)
    drop_unfinished(disk, directory)
    return removed


def drop_unfinished(disk: Disk, directory: str) -> None:
    """Removes what a crash, a full disk or `keep` left of snapshots that are none."""
    for name in _names(disk, directory):
        if name.endswith(_PARTIAL) and _SNAPSHOT_NAME.fullmatch(name.removesuffix(_PARTIAL)):
            _remove_tree(disk, f"{directory}/{name}")


def snapshot_names(disk: Disk, directory: str) -> list[str]:
    """Oldest first."""
    return [name for name in _names(disk, directory) if _SNAPSHOT_NAME.fullmatch(name)]


def read_manifest(disk: Disk, path: str) -> Manifest:
    """The manifest alone, verified, or SnapshotDamaged."""
    body, _, rest = _read_file(disk, path, "manifest.json", MAX_MANIFEST_BYTES).partition(b"\n")
    if rest != sha256(body).hexdigest().encode() + b"\n":
        raise SnapshotDamaged(path, "manifest.json does not end in its own sha256")
    try:
        manifest = msgspec.json.decode(body, type=Manifest)
        if not all(len(bytes.fromhex(each)) == HASH_BYTES for each in (manifest.entry_hash, manifest.results_hash, manifest.fingerprint)):
            raise SnapshotDamaged(path, f"manifest.json: a hash in it has not {HASH_BYTES} bytes")
    except (msgspec.DecodeError, ValueError) as error:
        raise SnapshotDamaged(path, f"manifest.json: {error}") from error
    if manifest.format != FORMAT_VERSION:
        raise SnapshotDamaged(path, f"it has format {manifest.format}; this release reads {FORMAT_VERSION}")
    if path.rsplit("/", 1)[-1] != f"snapshot-{manifest.sequence:020d}":
        raise SnapshotDamaged(path, f"its manifest is of sequence {manifest.sequence}; was the directory renamed?")
    return manifest


# --- tables ----------------------------------------------------------------------------------------------------------------------------------------

def _check_tables(tables: Mapping[str, Table | tuple]) -> None:
    if len(tables) > MAX_TABLES:
        raise SnapshotError(f"{len(tables)} tables; the most is {MAX_TABLES}")
    for name, (version, columns, rows) in tables.items():
        if not _TABLE_NAME.fullmatch(name):
            raise SnapshotError(f"table {name!r}: a name is a-z, 0-9 and _, begins with a letter and has at most {MAX_NAME_BYTES} characters")
        if not 0 <= version < 1 << 32:
            raise SnapshotError(f"table {name}: version {version}; right would be 0 to {(1 << 32) - 1}")
        if rows.dtype != np.int64 or rows.ndim != 2:
            raise SnapshotError(f"table {name}: rows of {rows.dtype} with {rows.ndim} dimensions; right would be int64 with 2")
        if rows.shape[1] != len(columns) or len(set(columns)) != len(columns) or not 1 <= len(columns) <= MAX_COLUMNS:
            raise SnapshotError(f"table {name}: {len(columns)} column names for {rows.shape[1]} columns; right would be 1 to {MAX_COLUMNS}, all different")
        if any(not column or "\n" in column for column in columns) or len(rows) > MAX_ROWS:
            raise SnapshotError(f"table {name}: a column without a name, or with a line break in it, or over {MAX_ROWS} rows")


def _write_table(disk: Disk, directory: str, name: str, table: Table) -> TableSummary:
    names = "\n".join(table.columns).encode()
    head = _TABLE_HEADER.pack(TABLE_MAGIC, FORMAT_VERSION, len(name), len(table.columns), table.version, len(names), len(table.rows)) + name.encode() + names
    head, rows = head + bytes(-len(head) % 8), _row_bytes(table.rows)
    digest = sha256(head)
    digest.update(rows)
    _write_file(disk, f"{directory}/{name}.table", (head, rows, digest.digest()))
    return TableSummary(name, table.version, tuple(table.columns), len(table.rows), digest.hexdigest())


def _read_table(disk: Disk, path: str, summary: TableSummary) -> Table:
    data = memoryview(_read_file(disk, path, f"{summary.name}.table"))
    own_hash = sha256(data[:-HASH_BYTES]).digest()
    if own_hash != data[-HASH_BYTES:] or own_hash.hex() != summary.sha256:
        raise SnapshotDamaged(path, f"{summary.name}.table does not have the sha256 that it and the manifest say")
    magic, form, name_length, columns, version, names_length, rows = _TABLE_HEADER.unpack_from(data)
    start = _TABLE_HEADER.size + name_length + names_length
    start += -start % 8
    said = (magic, form, columns, version, rows, bytes(data[_TABLE_HEADER.size:_TABLE_HEADER.size + name_length]))
    expected = (TABLE_MAGIC, FORMAT_VERSION, len(summary.columns), summary.version, summary.rows, summary.name.encode())
    if said != expected or len(data) - HASH_BYTES - start != rows * columns * 8:
        raise SnapshotDamaged(path, f"{summary.name}.table says it is {said}; the manifest says {expected}")
    matrix = np.frombuffer(data[start:-HASH_BYTES], "<i8").reshape(rows, columns)
    return Table(version, summary.columns, matrix)


def _row_bytes(rows: np.ndarray) -> memoryview:
    return memoryview(np.ascontiguousarray(rows, "<i8")).cast("B") if rows.size else memoryview(b"")


# --- files -----------------------------------------------------------------------------------------------------------------------------------------

def _already_there(disk: Disk, path: str, hashed: str) -> Manifest | None:
    """The manifest of a whole snapshot of the same state at this place. A damaged one is moved out of the way."""
    if path.rsplit("/", 1)[-1] not in _names(disk, path.rsplit("/", 1)[0]):
        return None
    try:
        manifest = load(disk, path).manifest
    except SnapshotDamaged:
        _remove_tree(disk, path + _PARTIAL)
        disk.rename(path, path + _PARTIAL)
        return None
    if manifest.state_hash != hashed:
        raise SnapshotError(f"{path} holds another state ({manifest.state_hash[:16]}…) than this ({hashed[:16]}…): two states at one sequence means that "
                            "a replay differed; find out why before removing either")
    return manifest


def _write_file(disk: Disk, path: str, parts: tuple) -> None:
    file = disk.create(path)
    try:
        offset = 0
        for part in parts:
            if len(part):
                file.pwrite(part, offset)
                offset += len(part)
        file.sync()
    finally:
        file.close()


def _read_file(disk: Disk, path: str, name: str, most: int | None = None) -> bytes:
    try:
        file = disk.open(f"{path}/{name}")
        try:
            size = file.size()
            if most is not None and size > most:
                raise SnapshotDamaged(path, f"{name} has {size} bytes; the most is {most}")
            return file.pread(size, 0)
        finally:
            file.close()
    except DiskError as error:
        raise SnapshotDamaged(path, str(error)) from error


def _names(disk: Disk, directory: str) -> list[str]:
    try:
        return disk.list_directory(directory)
    except DiskMissing:
        return []


def _remove_tree(disk: Disk, path: str) -> None:
    try:
        names = disk.list_directory(path)
    except DiskMissing:
        return
    for name in names:
        disk.remove(f"{path}/{name}")
    disk.remove_directory(path)
