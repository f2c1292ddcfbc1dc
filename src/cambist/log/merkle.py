"""The Merkle tree of RFC 6962 over SHA-256: roots, proofs, and the tiles it is published in (C2SP tlog-tiles).

Decides hashes and shapes. Must not know what a leaf says, where tiles are kept, or who signs a root.

A leaf's hash is SHA-256(0x00 || data), an inner node's SHA-256(0x01 || left || right). A tile of level L holds up to 256 consecutive roots of whole subtrees
of 256**L leaves; the nodes between two levels are hashed again from it. Proofs are read from `Nodes`: (level, index) to the root of leaves index * 2**level on.
"""
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

HASH_BYTES = 32
TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
MAX_LEVEL = 63                                   # of a tile, as the format says
EMPTY_ROOT = sha256(b"").digest()
Nodes = Callable[[int, int], bytes]


def leaf_hash(data: bytes) -> bytes:
    return sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over these, each taken as a leaf's hash: neighbours are paired, and one without a neighbour goes up as it is."""
    if not hashes:
        return EMPTY_ROOT
    row = list(hashes)
    while len(row) > 1:
        odd = row[-1:] if len(row) % 2 else []
        row = [node_hash(left, right) for left, right in zip(row[::2], row[1::2], strict=False)] + odd
    return row[0]


# --- tiles ---------------------------------------------------------------------------------------------------------------------------------------

class Tile(NamedTuple):
    """One tile: its level, its index within the level, and how many hashes it holds, 1 to 256."""
    level: int
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """tile/<L>/<N>, N in groups of three digits of which all but the last begin with x; a partial tile ends in .p/<W>."""
        digits = f"{self.index % 1000:03}"
        rest = self.index // 1000
        while rest:
            digits, rest = f"x{rest % 1000:03}/{digits}", rest // 1000
        return f"tile/{self.level}/{digits}" + (f".p/{self.width}" if self.width < TILE_WIDTH else "")

    @property
    def whole(self) -> "Tile":
        return self._replace(width=TILE_WIDTH)


def edge_tiles(size: int) -> Iterator[Tile]:
    """The partial tiles at the right edge of a tree of so many leaves, lowest level first."""
    level = 0
    while hashes := size >> TILE_HEIGHT * level:
        if hashes % TILE_WIDTH:
            yield Tile(level, hashes // TILE_WIDTH, hashes % TILE_WIDTH)
        level += 1


def leaf_tiles(size: int) -> Iterator[Tile]:
    """The tiles that hold the leaves of a tree of so many, in order."""
    whole, rest = divmod(size, TILE_WIDTH)
    yield from (Tile(0, index) for index in range(whole))
    if rest:
        yield Tile(0, whole, rest)


def nodes_of(size: int, read: Callable[[Tile], bytes]) -> Nodes:
    """The nodes of a tree of so many leaves out of its tiles; `read` gives a tile's hashes, one after the other."""
    def node(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, TILE_HEIGHT)
        first, number = index << height, 1 << height
        at = first % TILE_WIDTH
        tile = Tile(tile_level, first // TILE_WIDTH, min(TILE_WIDTH, (size >> TILE_HEIGHT * tile_level) - first // TILE_WIDTH * TILE_WIDTH))
        data = read(tile)
        return root_of([data[i * HASH_BYTES:(i + 1) * HASH_BYTES] for i in range(at, at + number)])
    return node


class Tree:
    """A tree that only grows, kept as its right edge: at most 255 hashes per level of tiles."""

    def __init__(self, edge: Sequence[Sequence[bytes]] = ()):
        """Begins empty, or from what the partial tiles of a tree hold, one row per level."""
        self._rows = [list(row) for row in edge]
        self.size = sum(len(row) << TILE_HEIGHT * level for level, row in enumerate(self._rows))

    def append(self, leaf: bytes) -> list[tuple[Tile, bytes]]:
        """Takes a leaf's hash; returns the tiles that are whole by it, with their bytes."""
        whole, level = [], 0
        while True:
            if level == len(self._rows):
                self._rows.append([])
            row = self._rows[level]
            row.append(leaf)
            if len(row) < TILE_WIDTH:
                break
            whole.append((Tile(level, self.size >> TILE_HEIGHT * (level + 1)), b"".join(row)))
            leaf = root_of(row)
            row.clear()
            level += 1
        self.size += 1
        return whole

    def root(self) -> bytes:
        """What follows a row's last whole subtree stands beside it as one node."""
        rest: list[bytes] = []
        for row in self._rows:
            if row or rest:
                rest = [root_of(row + rest)]
        return rest[0] if rest else EMPTY_ROOT

    def edge(self) -> list[tuple[Tile, bytes]]:
        """The partial tiles, with their bytes."""
        return [(tile, b"".join(self._rows[tile.level])) for tile in edge_tiles(self.size)]


# --- proofs --------------------------------------------------------------------------------------------------------------------------------------

def inclusion_proof(index: int, size: int, node: Nodes) -> list[bytes]:
    """That leaf `index` is in the tree of `size` leaves (RFC 6962, 2.1.1), the leaf's neighbour first."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} of {size}; right would be 0 to {size - 1}")
    begin, end, proof = 0, size, []
    while end - begin > 1:
        split = begin + _split(end - begin)
        if index < split:
            proof.append(_range_root(split, end, node))
            end = split
        else:
            proof.append(_range_root(begin, split, node))
            begin = split
    return proof[::-1]


def consistency_proof(old: int, size: int, node: Nodes) -> list[bytes]:
    """That the tree of `old` leaves is the beginning of the one of `size` leaves (RFC 6962, 2.1.2); nothing to prove for 0 or for the same size."""
    if not 0 <= old <= size:
        raise ValueError(f"a tree of {old} leaves before one of {size}; right would be 0 to {size}")
    if old in (0, size):
        return []
    begin, end, proof, from_start = 0, size, [], True
    while old != end:
        split = begin + _split(end - begin)
        if old <= split:
            proof.append(_range_root(split, end, node))
            end = split
        else:
            proof.append(_range_root(begin, split, node))
            begin, from_start = split, False
    if not from_start:
        proof.append(_range_root(begin, end, node))
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof leads from the leaf's hash to this root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, hashed = index, size - 1, leaf
    for other in proof:
        if last == 0:
            return False
        if at % 2 or at == last:
            hashed = node_hash(other, hashed)
            while at and not at % 2:
                at, last = at >> 1, last >> 1
        else:
            hashed = node_hash(hashed, other)
        at, last = at >> 1, last >> 1
    return last == 0 and hashed == root


def verify_consistency(old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof leads to both roots (RFC 9162, 2.1.4.2)."""
    if not 0 <= old <= size:
        return False
    if old in (0, size):
        return not proof and old_root == (root if old else EMPTY_ROOT)
    hashes = [old_root, *proof] if not old & (old - 1) else list(proof)
    if not hashes:
        return False
    at, last = old - 1, size - 1
    while at % 2:
        at, last = at >> 1, last >> 1
    before = after = hashes[0]
    for other in hashes[1:]:
        if last == 0:
            return False
        if at % 2 or at == last:
            before, after = node_hash(other, before), node_hash(other, after)
            while at and not at % 2:
                at, last = at >> 1, last >> 1
        else:
            after = node_hash(after, other)
        at, last = at >> 1, last >> 1
    return last == 0 and before == old_root and after == root


def _split(width: int) -> int:
    """The largest power of two below `width`, which is 2 or more."""
    return 1 << (width - 1).bit_length() - 1


def _range_root(begin: int, end: int, node: Nodes) -> bytes:
    """The root over the leaves from `begin` to before `end`; `begin` is where a subtree at least as wide begins, as it is in every proof."""
    peaks = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        peaks.append(node(level, begin >> level))
        begin += 1 << level
    root = peaks.pop()
    while peaks:
        root = node_hash(peaks.pop(), root)
    return root
