"""Transparency: a Merkle tree over the log, its tiles and signed heads, so that nobody can change what was logged unseen, the house least of all.

Decides when a head may be signed: only over entries that are committed, and only if its tree begins with the tree of the head before. Must not know a clock,
a key's secret half, or what an entry means; it publishes no byte of one.

    transparency/heads.cbh           every head that was signed, and where the log stood (the house's own)
    transparency/public/checkpoint   the newest head            } what is published: serve this folder as it is
    transparency/public/tile/...     the tree                   }
    transparency/public/log.vkey     the key that verifies      }

A leaf's data are the 32 bytes of an entry's hash. A later kind of leaf (a salted commitment) begins with a byte that names its kind and is never 32 bytes long,
so one tree may hold both. Architecture invariant: a head is durable in heads.cbh before anyone is shown it, and its tiles are durable before it is signed.
"""
from collections.abc import Iterable, Iterator

import msgspec

from cambist.log.checkpoint import Checkpoint, Sign, Verify, open_note, verifier_key
from cambist.log.disk import Disk, DiskMissing
from cambist.log.entry import Entry
from cambist.log.heads import Head, Heads, Log, write_whole
from cambist.log.journal import segment_names
from cambist.log.merkle import (
    EMPTY_ROOT, HASH_BYTES, Nodes, Tile, Tree, consistency_proof, edge_tiles, inclusion_proof, leaf_hash, leaf_tiles, nodes_of, verify_consistency,
    verify_inclusion,
)
from cambist.log.replay import Replay
from cambist.log.segment import Damaged, Position, Walk, read_header

FOLDER, PUBLIC, CHECKPOINT, VERIFIER_KEY, LOCK = "transparency", "public", "checkpoint", "log.vkey", "lock"
EVERY_NS = 30_000_000_000                        # a head after so long when there is anything new: the promise is a minute
FORMAT = "cambist-proof-1"


class TransparencyError(Exception):
    """What is asked for cannot be done: nothing is signed yet, another key, a head that is not there. Nothing was changed."""


class Forked(TransparencyError):
    """Log and signed heads do not tell one story. Nothing more is signed."""
    def __init__(self, where: str, what: str):
        super().__init__(f"{where}: {what}. The log is not the one whose heads were signed: restore it, or tell those who hold heads why; nothing was signed")


class Step(msgspec.Struct, frozen=True):
    """What one step did: entries read, and the head that was signed."""
    entries: int
    head: Head | None


class Proof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That a leaf is under a signed head, and that this head extends an older one. Hashes in hex; no byte of an entry, no sequence, no account."""
    format: str = FORMAT
    index: int
    leaf: str                                    # the leaf's data: the hash of an entry
    inclusion: list[str]
    head: str                                    # a signed note
    since: str = ""                              # an older signed note, or nothing
    consistency: list[str] = []


class Proven(msgspec.Struct, frozen=True):
    """A proof, and what it is of, which stays in the house."""
    proof: Proof
    first_sequence: int
    last_sequence: int


class Publisher:
    """Reads the log beside its writer and publishes; goes on where it stopped. After any error open it anew. Not for two threads at once."""

    def __init__(self, disk: Disk, directory: str, log: Log, sign: Sign, *, every_ns: int = EVERY_NS):
        """Raises DiskLocked, TransparencyError (another key or name), Forked, Damaged."""
        self._disk, self.log, self._sign, self._every_ns = disk, log, sign, every_ns
        self._log_folder, self._folder, self._public = f"{directory}/log", f"{directory}/{FOLDER}", f"{directory}/{FOLDER}/{PUBLIC}"
        disk.make_directory(self._public)
        self._lock = disk.lock(f"{self._folder}/{LOCK}")
        self._heads: Heads | None = None
        self._replay: Replay | None = None
        self._touched: dict[str, None] = {}     # folders with new names, in order
        self._whole: list[Tile] = []            # tiles whose partial ones may go
        self._signed_at: int | None = None
        try:
            self._heads = self._open_heads()
            self.signed = self._heads.last
            self._tree, self._position = self._resume()
            self._replay = Replay(disk, self._log_folder, cell=log.cell, after=self._position if self._tree.size else None)
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        """Leaves, signed or not."""
        return self._tree.size

    def step(self, now: int) -> Step:
        """Takes what the log has more, one chunk, and signs a head if one is due. `now` in ns of a clock that never goes back."""
        assert self._replay
        entries = self._replay.chunk()
        for entry in entries:
            self._take(entry)
        new = self._tree.size > (self.signed.size if self.signed else 0)
        due = self._signed_at is None or now - self._signed_at >= self._every_ns
        if not (new and due):
            return Step(len(entries), None)
        self._signed_at = now
        return Step(len(entries), self.publish())

    def publish(self) -> Head:
        """Tiles, then the signature, then heads.cbh, then the checkpoint; each durable before the next."""
        assert self._heads is not None
        for tile, data in self._tree.edge():
            self._write_tile(tile, data)
        for folder in self._touched:
            self._disk.sync_directory(folder)
        self._touched.clear()
        self._drop_partial_tiles()
        head = Head(self._tree.size, self._tree.root(), b"", self._position)
        self._check_extends(head)
        text = Checkpoint(self.log.origin, head.size, head.root).text
        head = msgspec.structs.replace(head, signature=self._sign(text.encode()))
        self._heads.append(head)
        self.signed = head
        self._show(head)
        return head

    def close(self) -> None:
        for each in (self._replay, self._heads):
            if each is not None:
                each.close()
        self._lock.release()

    # --- the tree --------------------------------------------------------------------------------------------------------------------------------

    def _take(self, entry: Entry) -> None:
        for tile, data in self._tree.append(leaf_hash(entry.own_hash)):
            self._write_tile(tile, data)
            self._whole.append(tile)
        self._position = self._position.after(entry)
        if self.signed and self._tree.size == self.signed.size and (self._tree.root(), self._position) != (self.signed.root, self.signed.position):
            raise Forked(self._log_folder, f"its first {self.signed.size} entries do not have the root that was signed")      # tiles made again from the log

    def _write_tile(self, tile: Tile, data: bytes) -> None:
        """A tile never changes: one that is there already must be the same."""
        path = f"{self._public}/{tile.path}"
        folder = path.rpartition("/")[0]
        try:
            if _read(self._disk, path) != data:
                raise _bad_tiles(path)
        except DiskMissing:
            self._disk.make_directory(folder)
            write_whole(self._disk, path, data)
        self._touched[folder] = None

    def _drop_partial_tiles(self) -> None:
        for tile in self._whole:
            folder = f"{self._public}/{tile.path}.p"
            try:
                names = self._disk.list_directory(folder)
            except DiskMissing:
                continue
            for name in names:
                self._disk.remove(f"{folder}/{name}")
            self._disk.remove_directory(folder)
        self._whole.clear()

    def _check_extends(self, head: Head) -> None:
        """The proof that an outsider would be given, from the tiles that were written, holds."""
        old, old_root = (self.signed.size, self.signed.root) if self.signed else (0, EMPTY_ROOT)
        proof = consistency_proof(old, head.size, published_nodes(self._disk, self._public, head.size))
        if old and not verify_consistency(old, old_root, head.size, head.root, proof):
            raise Forked(self._public, f"the tree of {head.size} leaves does not begin with the {old} that were signed")

    def _show(self, head: Head) -> None:
        write_whole(self._disk, f"{self._public}/{CHECKPOINT}", head.note(self.log).encode())
        self._disk.sync_directory(self._public)

    # --- opening ---------------------------------------------------------------------------------------------------------------------------------

    def _open_heads(self) -> Heads:
        try:
            heads = Heads.open(self._disk, self._folder, write=True)
        except DiskMissing:
            if _checkpoint(self._disk, self._public):
                raise TransparencyError(f"{self._folder} has a checkpoint and no record of signed heads; restore heads.cbh, nothing was signed") from None
            heads = Heads.create(self._disk, self._folder, self.log)
        if heads.log != self.log:
            there, ours = heads.log, self.log
            heads.close()
            raise TransparencyError(f"{self._folder} holds heads of cell {there.cell} by {verifier_key(there.origin, there.public)}; "
                                    f"this is cell {ours.cell} by {verifier_key(ours.origin, ours.public)}; restore the key and the origin, nothing was signed")
        return heads

    def _resume(self) -> tuple[Tree, Position]:
        """The tree of the last head, from its tiles, or an empty one to be made again from the log when they are gone."""
        assert self._heads is not None
        self._check_shown()
        self._heads.settle(self._disk)
        write_whole(self._disk, f"{self._public}/{VERIFIER_KEY}", f"{verifier_key(self.log.origin, self.log.public)}\n".encode())
        if self.signed is None:
            return Tree(), Position()
        self._check_log_holds(self.signed)
        self._show(self.signed)
        try:
            tree = _tree_of(self._disk, self._public, self.signed.size)
        except DiskMissing:
            return Tree(), Position()
        if tree.root() != self.signed.root:
            raise _bad_tiles(f"{self._public}/tile")
        return tree, self.signed.position

    def _check_shown(self) -> None:
        """Nothing that was shown may be missing from heads.cbh. A checkpoint that cannot be read is a copy, and is written again."""
        path = f"{self._public}/{CHECKPOINT}"
        try:
            _, size, root = _checkpoint(self._disk, self._public).decode(errors="replace").split("\n")[:3]
            shown = int(size)
        except ValueError:
            return
        last = self.signed
        if last is None or shown > last.size:
            raise TransparencyError(f"{path} shows {shown} leaves, and heads.cbh ends at {last.size if last else 0}; restore heads.cbh, nothing was signed")
        if shown == last.size and Checkpoint(self.log.origin, last.size, last.root).text.split("\n")[2] != root:
            raise Forked(path, f"it shows another root of {shown} leaves than heads.cbh")

    def _check_log_holds(self, head: Head) -> None:
        at = head.position
        names = segment_names(self._disk, self._log_folder)
        if names and int(names[0][8:28]) == at.sequence + 1:         # the retention rule took the segments before
            return
        entry = entry_of(self._disk, self._log_folder, at.sequence)
        if entry is None:
            raise Forked(self._log_folder, f"a head of {head.size} entries was signed, to sequence {at.sequence}, and the log does not reach it")
        if (entry.last_sequence, entry.own_hash) != (at.sequence, at.hash):
            raise Forked(self._log_folder, f"a head of {head.size} entries was signed, and its last entry, of sequence {at.sequence}, is another now")


# --- reading what is there -----------------------------------------------------------------------------------------------------------------------

def entry_of(disk: Disk, folder: str, sequence: int) -> Entry | None:
    """The entry of a log folder that holds this sequence; None if there is none."""
    names = [name for name in segment_names(disk, folder) if int(name[8:28]) <= sequence]
    if not names:
        return None
    path = f"{folder}/{names[-1]}"
    file = disk.open(path)
    try:
        return next((entry for _, entry in Walk(file, read_header(file, path)) if entry.last_sequence >= sequence), None)
    finally:
        file.close()


def published_nodes(disk: Disk, public: str, size: int) -> Nodes:
    """The nodes of the published tree of so many leaves."""
    return nodes_of(size, lambda tile: _read_tile(disk, public, tile))


def prove(disk: Disk, directory: str, sequence: int, verify: Verify, *, since: int | str = 0) -> Proven:
    """That the entry with this sequence is under the newest head, and that the head extends an older one: `since` is the size of a head that was signed, or
    the note itself. Raises TransparencyError, NoteError, Forked, Damaged; what it returns has been verified."""
    folder = f"{directory}/{FOLDER}"
    try:
        heads = Heads.open(disk, folder)
    except DiskMissing:
        raise TransparencyError(f"{folder} holds no signed head yet; `cambist follow {directory}` signs them") from None
    try:
        head = heads.last
        if head is None or not 1 <= sequence <= head.position.sequence:
            raise TransparencyError(f"sequence {sequence} is under no signed head; right would be 1 to {head.position.sequence if head else 0}")
        entry, index = _find(disk, f"{directory}/log", heads, sequence)
        nodes = published_nodes(disk, f"{folder}/{PUBLIC}", head.size)
        inclusion = inclusion_proof(index, head.size, nodes)
        if not verify_inclusion(leaf_hash(entry.own_hash), index, head.size, inclusion, head.root):
            raise Forked(f"{directory}/log", f"the entry of sequence {entry.first_sequence} is not leaf {index} of what was signed")
        older, consistency = _since(heads, head, since, verify, nodes) if since else ("", [])
        made = Proof(index=index, leaf=entry.own_hash.hex(), inclusion=_hex(inclusion), head=head.note(heads.log), since=older, consistency=_hex(consistency))
        return Proven(made, entry.first_sequence, entry.last_sequence)
    finally:
        heads.close()


def _find(disk: Disk, folder: str, heads: Heads, sequence: int) -> tuple[Entry, int]:
    """The entry and its leaf's number, counted from the head before it."""
    row = heads.first_with(sequence=sequence)
    before = heads[row - 1] if row else None
    index = before.size if before else 0
    replay = Replay(disk, folder, after=before.position if before else None, unproven=True)
    try:
        for chunk in replay.chunks():
            for entry in chunk:
                if entry.last_sequence >= sequence:
                    return entry, index
                index += 1
    finally:
        replay.close()
    raise Forked(folder, f"a head to sequence {heads[row].position.sequence} was signed, and the log does not reach sequence {sequence}")


def _since(heads: Heads, head: Head, since: int | str, verify: Verify, nodes: Nodes) -> tuple[str, list[bytes]]:
    """The older head's note and the proof from it to `head`."""
    if isinstance(since, int):
        row = heads.first_with(size=since)
        if row == len(heads) or heads[row].size != since:
            near = [str(heads[i].size) for i in (row - 1, row) if 0 <= i < len(heads)]
            raise TransparencyError(f"no head of {since} leaves was signed; right would be {' or '.join(near)}")
        since = heads[row].note(heads.log)
    old = open_note(since, heads.log.origin, heads.log.public, verify)
    if old.size > head.size:
        raise TransparencyError(f"the older head has {old.size} leaves and the newest {head.size}; it is newer than what is kept here")
    proof = consistency_proof(old.size, head.size, nodes)
    if not verify_consistency(old.size, old.root, head.size, head.root, proof):
        raise Forked("the head that was given", f"it is signed by this log's key over {old.size} leaves, and their root here is another")
    return since, proof


# --- looking at everything -------------------------------------------------------------------------------------------------------------------------

def differences(entries: Iterable[Entry], heads: Iterable[Head]) -> Iterator[str]:
    """In how far these entries, from the first on, are not what the heads were signed over."""
    tree, position = Tree(), Position()
    waiting = iter(heads)
    head = next(waiting, None)
    for entry in entries:
        tree.append(leaf_hash(entry.own_hash))
        position = position.after(entry)
        while head and head.size <= tree.size:
            if head.size != tree.size or head.root != tree.root() or head.position != position:
                yield f"the log's first {head.size} entries are not those of the head that was signed over them"
            head = next(waiting, None)
    if head:
        yield f"a head of {head.size} entries was signed, to sequence {head.position.sequence}; the log has {tree.size}, to sequence {position.sequence}"


def audit(disk: Disk, directory: str, verify: Verify) -> list[str]:
    """Everything that is wrong between the log, the signed heads and what is published; nothing where no head was ever signed. Reads all of it."""
    folder = f"{directory}/{FOLDER}"
    shown = _checkpoint(disk, f"{folder}/{PUBLIC}")         # first: a head is signed before it is shown
    try:
        heads = Heads.open(disk, folder)
    except DiskMissing:
        return [f"{folder} shows a checkpoint and has no record of signed heads"] if shown else []
    except Damaged as damage:
        return [str(damage)]
    replay, findings = Replay(disk, f"{directory}/log", unproven=True), []
    try:
        signed = list(heads)
        findings += [f"{folder}/heads.cbh: the signature over {head.size} leaves is not one of the log's key" for head in signed
                     if not verify(heads.log.public, head.signature, Checkpoint(heads.log.origin, head.size, head.root).text.encode())]
        findings += differences((entry for chunk in replay.chunks() for entry in chunk), signed)
        if signed:
            findings += _tile_findings(disk, f"{folder}/{PUBLIC}", signed[-1])
            if shown not in [head.note(heads.log).encode() for head in signed[-2:]]:      # a publisher at work may be about to show the last
                findings.append(f"{folder}/{PUBLIC}/{CHECKPOINT} is not the newest head that was signed")
    except Damaged as damage:
        findings.append(str(damage))
    finally:
        replay.close()
        heads.close()
    return findings


def _tile_findings(disk: Disk, public: str, head: Head) -> list[str]:
    """The tiles, made again from those of the leaves."""
    findings, tree = [], Tree()

    def look(tile: Tile, wanted: bytes) -> None:
        if tile.level and _read_tile(disk, public, tile) != wanted:
            findings.append(f"{public}/{tile.path} does not hold the roots of the tiles below it")

    try:
        for tile in leaf_tiles(head.size):
            for leaf in _hashes(_read_tile(disk, public, tile)):
                for whole, data in tree.append(leaf):
                    look(whole, data)
        for partial, data in tree.edge():
            look(partial, data)
        if tree.root() != head.root:
            findings.append(f"{public}/tile does not have the root that was signed over {head.size} leaves")
    except (DiskMissing, Damaged) as fault:
        findings.append(str(fault))
    return findings


# --- files -----------------------------------------------------------------------------------------------------------------------------------------

def _tree_of(disk: Disk, public: str, size: int) -> Tree:
    """The tree out of its partial tiles; DiskMissing when one is gone."""
    rows: list[list[bytes]] = []
    for tile in edge_tiles(size):
        data = _read_tile(disk, public, tile)
        rows += [[] for _ in range(tile.level - len(rows))]
        rows.append(_hashes(data))
    return Tree(rows)


def _read_tile(disk: Disk, public: str, tile: Tile) -> bytes:
    """The tile's hashes; those of a partial one also from the whole one that took its place. DiskMissing, or Damaged where hashes are missing."""
    wanted = tile.width * HASH_BYTES
    try:
        path = f"{public}/{tile.path}"
        data = _read(disk, path)
    except DiskMissing:
        path = f"{public}/{tile.whole.path}"
        data = _read(disk, path)[:wanted]
    if len(data) != wanted:
        raise _bad_tiles(path)
    return data


def _read(disk: Disk, path: str) -> bytes:
    file = disk.open(path)
    try:
        return file.pread(file.size(), 0)
    finally:
        file.close()


def _checkpoint(disk: Disk, public: str) -> bytes:
    """What is shown, or nothing."""
    try:
        return _read(disk, f"{public}/{CHECKPOINT}")
    except DiskMissing:
        return b""


def _bad_tiles(path: str) -> Damaged:
    return Damaged(path, 0, 0, "it is not what the log and the signed heads say; remove the folder `tile` whole and it is made again from the log")


def _hashes(data: bytes) -> list[bytes]:
    return [data[at:at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def _hex(hashes: Iterable[bytes]) -> list[str]:
    return [each.hex() for each in hashes]
