"""The tree against published vectors, and against the recursive definitions of RFC 6962 written down as they stand there."""
from hashlib import sha256

import pytest
from hypothesis import given, strategies as st

from cambist.log.merkle import (
    EMPTY_ROOT, TILE_WIDTH, Tile, Tree, consistency_proof, edge_tiles, inclusion_proof, leaf_hash, leaf_tiles, node_hash, nodes_of, root_of,
    verify_consistency, verify_inclusion,
)

# The eight leaves, roots and proofs that implementations of Certificate Transparency share.
LEAVES = [bytes.fromhex(each) for each in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")]
ROOTS = ["6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
         "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
         "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
         "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"]
INCLUSION = {(0, 1): [],
             (0, 8): ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7", "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                      "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"],
             (5, 8): ["bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b", "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"],
             (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
             (1, 5): ["6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d", "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
                      "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"]}
CONSISTENCY = {(1, 1): [], (1, 8): INCLUSION[0, 8],
               (6, 8): ["0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
                        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"],
               (2, 5): ["5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e", "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"]}


def mth(leaves):
    """RFC 6962, 2.1, over leaf hashes."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def split(n):
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def path(m, leaves):
    """RFC 6962, 2.1.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    return path(m, leaves[:k]) + [mth(leaves[k:])] if m < k else path(m - k, leaves[k:]) + [mth(leaves[:k])]


def subproof(m, leaves, whole):
    """RFC 6962, 2.1.2."""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return subproof(m, leaves[:k], whole) + [mth(leaves[k:])]
    return subproof(m - k, leaves[k:], False) + [mth(leaves[:k])]


def made(size, seed=0):
    return [leaf_hash(b"%d %d" % (seed, i)) for i in range(size)]


def over(leaves):
    """Nodes straight from the leaves."""
    return lambda level, index: mth(leaves[index << level:(index + 1) << level])


def published(leaves):
    """Every tile of a tree, by path, as they are written while it grows."""
    tree, tiles = Tree(), {}
    for leaf in leaves:
        tiles.update({tile.path: data for tile, data in tree.append(leaf)})
    tiles.update({tile.path: data for tile, data in tree.edge()})
    return tree, tiles


def test_roots_are_the_published_ones():
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" == Tree().root().hex() == root_of([]).hex()
    tree = Tree()
    for leaf, root in zip(LEAVES, ROOTS, strict=True):
        tree.append(leaf_hash(leaf))
        assert tree.root().hex() == root


def test_proofs_are_the_published_ones():
    hashes = [leaf_hash(leaf) for leaf in LEAVES]
    for (index, size), wanted in INCLUSION.items():
        assert [each.hex() for each in inclusion_proof(index, size, over(hashes))] == wanted
        assert verify_inclusion(hashes[index], index, size, [bytes.fromhex(each) for each in wanted], bytes.fromhex(ROOTS[size - 1]))
    for (old, size), wanted in CONSISTENCY.items():
        assert [each.hex() for each in consistency_proof(old, size, over(hashes))] == wanted
        assert verify_consistency(old, bytes.fromhex(ROOTS[old - 1]), size, bytes.fromhex(ROOTS[size - 1]), [bytes.fromhex(each) for each in wanted])


def test_every_small_tree_is_as_the_definitions_say():
    leaves = made(70)
    for size in range(71):
        here = leaves[:size]
        tree = Tree()
        for leaf in here:
            tree.append(leaf)
        assert tree.root() == mth(here) == root_of(here) and tree.size == size
        for index in range(size):
            proof = inclusion_proof(index, size, over(here))
            assert proof == path(index, here) and verify_inclusion(here[index], index, size, proof, mth(here))
        for old in range(1, size + 1):
            proof = consistency_proof(old, size, over(here))
            assert proof == subproof(old, here, True) and verify_consistency(old, mth(here[:old]), size, mth(here), proof)


@given(size=st.integers(1, 1500), seed=st.integers(0, 3), data=st.data())
def test_large_trees_from_their_tiles_are_as_the_definitions_say(size, seed, data):
    leaves = made(size, seed)
    tree, tiles = published(leaves)
    nodes = nodes_of(size, lambda tile: tiles[tile.path])
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    assert tree.root() == mth(leaves)
    assert inclusion_proof(index, size, nodes) == path(index, leaves) and consistency_proof(old, size, nodes) == subproof(old, leaves, True)


@given(size=st.integers(2, 300), data=st.data())
def test_a_changed_proof_is_refused(size, data):
    leaves = made(size)
    root, index, old = mth(leaves), data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size - 1))
    proof = path(index, leaves)
    assert not verify_inclusion(leaves[index], index, size, proof[:-1], root) and not verify_inclusion(leaves[index], index, size, [*proof, root], root)
    assert not verify_inclusion(node_hash(root, root), index, size, proof, root) and not verify_inclusion(leaves[index], size, size, proof, root)
    at = data.draw(st.integers(0, len(proof) - 1))
    assert not verify_inclusion(leaves[index], index, size, [*proof[:at], root, *proof[at + 1:]], root)
    other = data.draw(st.integers(0, size - 1).filter(lambda each: each != index))
    assert not verify_inclusion(leaves[index], other, size, proof, root)
    proof, before = subproof(old, leaves, True), mth(leaves[:old])
    assert not verify_consistency(old, root, size, root, proof) and not verify_consistency(old, before, size, before, proof)
    assert not verify_consistency(old, before, size, root, proof[:-1]) and not verify_consistency(old, before, size, root, [*proof, root])
    at = data.draw(st.integers(0, len(proof) - 1))
    assert not verify_consistency(old, before, size, root, [*proof[:at], root, *proof[at + 1:]])
    assert not verify_consistency(size + 1, before, size, root, proof) and not verify_consistency(0, before, size, root, [])


def test_what_no_proof_is_for_is_refused():
    nodes = over(made(5))
    for index, size in ((5, 5), (-1, 5), (0, 0)):
        with pytest.raises(ValueError, match="right would be"):
            inclusion_proof(index, size, nodes)
    with pytest.raises(ValueError, match="right would be"):
        consistency_proof(6, 5, nodes)
    assert consistency_proof(0, 5, nodes) == consistency_proof(5, 5, nodes) == []
    assert verify_consistency(0, EMPTY_ROOT, 5, mth(made(5)), []) and verify_consistency(5, mth(made(5)), 5, mth(made(5)), [])


def test_paths_of_tiles_are_those_of_the_format():
    assert Tile(0, 1234067).path == "tile/0/x001/x234/067" and Tile(2, 0, 1).path == "tile/2/000.p/1" and Tile(63, 999, 255).path == "tile/63/999.p/255"
    assert Tile(1, 1000).path == "tile/1/x001/000" and Tile(0, 3, 7).whole.path == "tile/0/003"


def test_a_tree_of_70_000_has_the_tiles_that_the_format_counts():
    assert list(edge_tiles(70_000)) == [Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1)] and len(list(leaf_tiles(70_000))) == 274
    assert list(edge_tiles(256)) == [Tile(1, 0, 1)] and list(edge_tiles(0)) == []
    leaves = made(70_000)
    tree, tiles = published(leaves)
    assert sum(path.startswith("tile/0/") and ".p/" not in path for path in tiles) == 273 and len(tiles) == 273 + 1 + 1 + 1 + 1
    assert tiles["tile/0/010"] == b"".join(leaves[2560:2816]) and tiles["tile/1/001.p/17"][:32] == mth(leaves[65_536:65_792])
    assert tiles["tile/2/000.p/1"] == mth(leaves[:65_536]) and tree.root() == root_of(leaves)


@given(size=st.integers(0, 1200), more=st.integers(0, 600))
def test_a_tree_goes_on_from_its_edge(size, more):
    leaves = made(size + more)
    whole, tiles = published(leaves)
    tree, _ = published(leaves[:size])
    rows: list[list[bytes]] = []
    for tile, data in tree.edge():
        rows += [[] for _ in range(tile.level - len(rows))] + [[data[at:at + 32] for at in range(0, len(data), 32)]]
    again = Tree(rows)
    assert again.size == size and again.root() == tree.root()
    for leaf in leaves[size:]:
        for tile, data in again.append(leaf):
            assert tiles[tile.path] == data
    assert again.root() == whole.root() and again.edge() == whole.edge()
    assert all(tile.width < TILE_WIDTH for tile, _ in again.edge())
