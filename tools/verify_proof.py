"""Verify what cambist publishes, with nothing of cambist: a proof (`cambist prove`), or a published tree (transparency/public).

    verify_proof.py proof VKEY FILE [--entry-hash HEX] [--head FILE]     the log's key as name+id+base64; what you hold: an entry's hash, an older head
    verify_proof.py tree  VKEY FOLDER [--head FILE]                      the newest head, every tile under it, and that it extends the older head

Formats: RFC 6962, c2sp.org/signed-note, tlog-checkpoint, tlog-tiles. Needs Python 3.11 and `cryptography`. Says what holds and ends with 0, or what does not
and ends with 1.
"""
import argparse
import base64
import hashlib
import json
import pathlib
import re
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


FIELDS = ("format", "index", "leaf", "inclusion", "head", "since", "consistency")


def demand(holds, what):
    if not holds:
        raise ValueError(what)


def unbase64(text):
    demand(base64.b64encode(base64.b64decode(text, validate=True)).decode() == text, "base64 that is not written in its one way")
    return base64.b64decode(text)


def unhex(texts):
    demand(isinstance(texts, list) and all(isinstance(each, str) and re.fullmatch("[0-9a-f]{64}", each) for each in texts), "hashes that are not 64 hex digits")
    return [bytes.fromhex(each) for each in texts]


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def read_head(note, vkey):
    """(size, root) of a note that the key signed."""
    name, key_id, encoded = vkey.split("+", 2)
    typed = unbase64(encoded)
    demand(len(typed) == 33 and typed[0] == 1 and sha(name.encode(), b"\n", typed)[:4].hex() == key_id, "the verifier key is not an Ed25519 key of this name")
    body, gap, tail = note.rpartition("\n\n")
    demand(gap and tail.endswith("\n"), "this is no signed note")
    signed = 0
    for line in tail[:-1].split("\n"):
        dash, signer, blob = (line.split(" ") + ["", ""])[:3]
        demand(dash == "—" and line.count(" ") == 2, "this is no signature line")
        if signer == name and (raw := unbase64(blob))[:4].hex() == key_id:
            Ed25519PublicKey.from_public_bytes(typed[1:]).verify(raw[4:], f"{body}\n".encode())
            signed += 1
    demand(signed, f"the head is not signed by {name}+{key_id}")
    origin, size, root = body.split("\n")[:3]
    demand(origin == name and re.fullmatch("0|[1-9][0-9]{0,18}", size) and len(unbase64(root)) == 32, "the head is not this log's name, a size and a root")
    return int(size), unbase64(root)


def audit_path(hashed, index, size, path):
    """The root that a leaf hash and its path lead to, by recursion on RFC 6962 2.1.1."""
    if size == 1:
        demand(not path, "the inclusion proof is too long")
        return hashed
    demand(path, "the inclusion proof is too short")
    split = 1 << (size - 1).bit_length() - 1
    if index < split:
        return sha(b"\1", audit_path(hashed, index, split, path[:-1]), path[-1])
    return sha(b"\1", path[-1], audit_path(hashed, index - split, size - split, path[:-1]))


def grown(old, size, path, old_root, known):
    """(root of the first `old` leaves, root of all `size`) that a consistency proof leads to, by recursion on RFC 6962 2.1.2."""
    if old == size:
        demand(len(path) == (0 if known else 1), "the consistency proof has the wrong length")
        return (old_root, old_root) if known else (path[0], path[0])
    demand(path, "the consistency proof is too short")
    split = 1 << (size - 1).bit_length() - 1
    if old <= split:
        before, after = grown(old, split, path[:-1], old_root, known)
        return before, sha(b"\1", after, path[-1])
    before, after = grown(old - split, size - split, path[:-1], old_root, False)
    return sha(b"\1", path[-1], before), sha(b"\1", path[-1], after)


def verify_proof(text, vkey, entry_hash=None, head=None):
    """What the proof shows, in lines."""
    fields = json.loads(text, object_pairs_hook=list)
    demand(sorted(name for name, _ in fields) == sorted(FIELDS), f"the fields of a proof are {', '.join(FIELDS)}")
    proof = dict(fields)
    index, since, [leaf], path, older = proof["index"], proof["since"], unhex([proof["leaf"]]), unhex(proof["inclusion"]), unhex(proof["consistency"])
    size, root = read_head(proof["head"], vkey)
    demand(proof["format"] == "cambist-proof-1" and type(index) is int and 0 <= index < size, "the format is another, or the leaf is not under the head")
    demand(audit_path(sha(b"\0", leaf), index, size, path) == root, "the leaf is not under the head")
    demand(entry_hash in (None, proof["leaf"]), "the proof is of another entry than yours")
    old, old_root = read_head(since, vkey) if since != "" else (size, root)
    demand(head is None or (since != "" and read_head(head, vkey) == (old, old_root)), "the proof does not say that it extends your head")
    demand(1 <= old <= size and grown(old, size, older, old_root, True) == (old_root, root), "the head does not extend the older one")
    return [f"entry {proof['leaf']} is leaf {index} of the {size} under the head that {vkey.split('+')[0]} signed, which extends the head of {old}"]


def row(folder, level, size):
    """All hashes of one level of tiles; those of a partial tile may by now be the beginning of the whole one."""
    hashes = []
    for index in range(-(-size // 256)):
        width, groups = min(256, size - index * 256), re.findall("...", str(index).zfill(-(-len(str(index)) // 3) * 3))
        whole = folder.joinpath("tile", str(level), *(f"x{group}" for group in groups[:-1]), groups[-1])
        part = whole.with_name(f"{whole.name}.p") / str(width)
        data = (part if width < 256 and part.exists() else whole).read_bytes()
        hashes += [data[at:at + 32] for at in range(0, 32 * width, 32)]
    return hashes


def fold(hashes):
    while len(hashes) > 1:
        hashes = [sha(b"\1", *hashes[i:i + 2]) if i + 1 < len(hashes) else hashes[i] for i in range(0, len(hashes), 2)]
    return hashes[0] if hashes else sha(b"")


def verify_tree(folder, vkey, head=None):
    """What the published folder shows, in lines."""
    size, root = read_head((folder / "checkpoint").read_text(), vkey)
    leaves = below = row(folder, 0, size)
    demand(fold(leaves) == root, "the leaves do not have the root that was signed")
    level = 1
    while len(below) >= 256:
        below = [fold(below[at:at + 256]) for at in range(0, len(below) - 255, 256)]
        demand(row(folder, level, len(below)) == below, f"the tiles of level {level} are not the roots of those below")
        level += 1
    old, old_root = read_head(head, vkey) if head is not None else (size, root)
    demand(old <= size and fold(leaves[:old]) == old_root, "the tree does not extend your head")
    return [f"{size} leaves in {level} levels of tiles have the root that {vkey.split('+')[0]} signed, and extend the head of {old}"]


if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, more in {"what": {"choices": ["proof", "tree"]}, "vkey": {}, "path": {"type": pathlib.Path}, "--entry-hash": {}, "--head": {}}.items():
        ask.add_argument(name, **more)
    given = ask.parse_args()
    try:
        mine = pathlib.Path(given.head).read_text() if given.head else None
        shown = verify_tree(given.path, given.vkey, mine) if given.what == "tree" else verify_proof(given.path.read_text(), given.vkey, given.entry_hash, mine)
        print(*shown, sep="\n")
    except (InvalidSignature, ValueError, TypeError, AttributeError, OSError) as fault:
        sys.exit(f"refused: {str(fault) or 'the signature is not one of this key over this text'}")
