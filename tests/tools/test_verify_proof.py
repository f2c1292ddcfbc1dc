"""The independent verifier: it agrees with the program on what is whole, and refuses everything that was touched. It shares no code with the program."""
import ast
import importlib.util
import json
import random
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cambist.log.checkpoint import Checkpoint, note, verifier_key
from cambist.log.merkle import Tile
from cambist.log.transparency import prove

from tests.log.crash_disk import CrashDisk
from tests.log.published import HOUSE, KEY, LOG, VKEY, batches, heads_over, saved, verified

TOOL = Path(__file__).resolve().parents[2] / "tools" / "verify_proof.py"
REFUSALS = (ValueError, TypeError, AttributeError, InvalidSignature, OSError)


def load():
    spec = importlib.util.spec_from_file_location("verify_proof", TOOL)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOLS = load()
DISK = CrashDisk()
HEADS = heads_over(DISK, batches([1, 6, 60, 60, 60, 60, 30, 5]))
OTHERS = CrashDisk()                                            # another history under the same key
OTHER_HEADS = heads_over(OTHERS, batches([1, 6, 60, 60, 60, 60, 30, 5], count=2))


def proof_of(sequence: int, since: int | str = 0) -> dict:
    return msgspec.to_builtins(prove(DISK, HOUSE, sequence, verified, since=since).proof)


def refused(proof, **more) -> bool:
    try:
        TOOLS.verify_proof(proof if isinstance(proof, str) else json.dumps(proof), VKEY, **more)
    except REFUSALS:
        return True
    return False


def test_it_is_short_and_shares_nothing():
    text = TOOL.read_text()
    assert len(text.splitlines()) < 150
    modules = {alias.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)}
    assert modules == {"argparse", "base64", "hashlib", "json", "pathlib", "re", "sys", "cryptography.exceptions",
                       "cryptography.hazmat.primitives.asymmetric.ed25519"}


def test_it_agrees_on_every_proof():
    for number, sequence in enumerate([1, 2, 3, *range(4, HEADS[-1].size, 7), 255, 256, 257, 258, HEADS[-1].size]):
        old = HEADS[number % len(HEADS)]
        proof = proof_of(sequence, old.size)
        [line] = TOOLS.verify_proof(json.dumps(proof), VKEY, entry_hash=proof["leaf"], head=old.note(LOG))
        assert line.startswith(f"entry {proof['leaf']} is leaf {sequence - 1} of the {HEADS[-1].size} ") and line.endswith(f"the head of {old.size}")
        assert TOOLS.verify_proof(json.dumps(proof_of(sequence)), VKEY)


def changes(proof: dict):
    """Every field of a proof changed in every way that is one step away, and some that are larger."""
    other = proof_of(9, HEADS[2].size)
    for name, value in proof.items():
        yield {key: each for key, each in proof.items() if key != name}
        for odd in (None, 0, 1, -1, True, "", "0", [], [[]], {}, 1.5, [value], str(value) + " ", other[name]):
            if odd != value or type(odd) is not type(value):
                yield {**proof, name: odd}
    for name in ("leaf", "head", "since"):
        text = proof[name]
        for at in range(len(text)):
            for char in {text[at].swapcase(), chr(ord(text[at]) ^ 1), "A", "0", "\n"} - {text[at]}:
                yield {**proof, name: text[:at] + char + text[at + 1:]}
            yield {**proof, name: text[:at] + text[at + 1:]}
    for name in ("inclusion", "consistency"):
        for at, each in enumerate(proof[name]):
            for place in (0, 31, 63):
                yield {**proof, name: [*proof[name][:at], each[:place] + ("1" if each[place] != "1" else "2") + each[place + 1:], *proof[name][at + 1:]]}
            yield {**proof, name: proof[name][:at] + proof[name][at + 1:]}
            yield {**proof, name: [*proof[name][:at], each.upper(), *proof[name][at + 1:]]}
        yield {**proof, name: [*proof[name], proof["leaf"]]}
        yield {**proof, name: proof[name][::-1]}
    for step in (-2, -1, 1, 2, 256):
        yield {**proof, "index": proof["index"] + step}
    yield {**proof, "more": 1}


def test_every_field_that_was_touched_is_refused():
    proof = proof_of(200, HEADS[3].size)
    assert not refused(proof) and len(proof["inclusion"]) > 3 < len(proof["consistency"])
    tried, passed = 0, []
    for changed in changes(proof):
        if changed != proof or json.dumps(changed) != json.dumps(proof):
            tried += 1
            passed += [] if refused(changed) else [changed]
    assert passed == [] and tried > 2_000


def test_a_field_that_is_there_twice_is_refused():
    text = json.dumps(proof_of(5))
    assert not refused(text) and refused(text[:-1] + ', "index": 4}') and refused("[]") and refused("{}") and refused(text[:-1]) and refused("3")


def test_what_one_holds_is_compared():
    proof = proof_of(200, HEADS[3].size)
    assert refused(proof, entry_hash=proof_of(201)["leaf"]) and refused(proof, head=HEADS[2].note(LOG)) and refused(proof_of(200), head=HEADS[3].note(LOG))
    assert refused(proof, head=OTHER_HEADS[3].note(LOG))


def test_another_key_or_name_is_refused():
    text, public = json.dumps(proof_of(5)), Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
    name, identity, key = VKEY.split("+", 2)
    for vkey in (verifier_key(LOG.origin, public), verifier_key("other.example", LOG.public), f"{name}+00000000+{key}", f"{name}+{identity}", ""):
        with pytest.raises(REFUSALS):
            TOOLS.verify_proof(text, vkey)


def test_a_house_that_rewrites_its_log_is_found_by_who_holds_a_head():
    """The key signs the other history as well; whoever kept one head of the first sees it."""
    for old in HEADS[:-1]:
        forged = {**msgspec.to_builtins(prove(OTHERS, HOUSE, 5, verified, since=OTHER_HEADS[0].size).proof), "since": old.note(LOG)}
        assert refused(forged, head=old.note(LOG))
    empty = Checkpoint(LOG.origin, 0, TOOLS.sha(b""))
    assert refused({**proof_of(5), "since": note(empty, LOG.public, KEY.sign(empty.text.encode()))})


def test_a_tree_holds_and_every_byte_of_it_counts(tmp_path):
    folder = saved(DISK, tmp_path)
    vkey = (folder / "log.vkey").read_text().strip()
    assert vkey == VKEY
    for old in [None, *HEADS]:
        assert TOOLS.verify_tree(folder, vkey, old.note(LOG) if old else None)[0].startswith(f"{HEADS[-1].size} leaves in 2 levels")
    with pytest.raises(REFUSALS):
        TOOLS.verify_tree(folder, vkey, OTHER_HEADS[2].note(LOG))
    rng = random.Random(1)
    last = HEADS[-1].size - 256
    needed = [folder / "checkpoint", folder / "tile/0/000", folder / f"tile/0/001.p/{last}", folder / "tile/1/000.p/1"]
    for path in needed:
        whole = path.read_bytes()
        for at in {0, len(whole) - 1, *(rng.randrange(len(whole)) for _ in range(60))}:
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1:])
            with pytest.raises(REFUSALS):
                TOOLS.verify_tree(folder, vkey)
        path.write_bytes(whole[:-1])
        with pytest.raises(REFUSALS):
            TOOLS.verify_tree(folder, vkey)
        path.unlink()
        with pytest.raises(REFUSALS):
            TOOLS.verify_tree(folder, vkey)
        path.write_bytes(whole)
    assert TOOLS.verify_tree(folder, vkey)


def test_it_finds_tiles_of_any_number(tmp_path):
    for number in range(1002):
        path = tmp_path / Tile(0, number).path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(number.to_bytes(32, "big") * 256)
    assert TOOLS.row(tmp_path, 0, 1002 * 256) == [number.to_bytes(32, "big") for number in range(1002) for _ in range(256)]


def test_it_says_so_and_ends_so(tmp_path):
    def ask(*words: str) -> tuple[int, str]:
        told = subprocess.run([sys.executable, TOOL, *words], capture_output=True, text=True, check=False, env={"PYTHONIOENCODING": "utf-8"})
        return told.returncode, told.stdout + told.stderr
    saved(DISK, tmp_path / "public")
    (tmp_path / "good.json").write_text(json.dumps(proof_of(7, HEADS[1].size)))
    (tmp_path / "bad.json").write_text(json.dumps({**proof_of(7), "index": 7}))
    (tmp_path / "old").write_text(HEADS[1].note(LOG))
    assert ask("proof", VKEY, str(tmp_path / "good.json"), "--head", str(tmp_path / "old"))[0] == 0
    assert ask("tree", VKEY, str(tmp_path / "public"), "--head", str(tmp_path / "old"))[0] == 0
    code, said = ask("proof", VKEY, str(tmp_path / "bad.json"))
    assert code == 1 and said == "refused: the leaf is not under the head\n"
    text = (tmp_path / "good.json").read_text()
    (tmp_path / "bad.json").write_text(text.replace("\\n81\\n", "\\n82\\n").replace(f"\\n{HEADS[-1].size}\\n", f"\\n{HEADS[-1].size + 1}\\n"))
    assert ask("proof", VKEY, str(tmp_path / "bad.json")) == (1, "refused: the signature is not one of this key over this text\n")
    assert ask("tree", VKEY, str(tmp_path / "nothing"))[0] == 1
