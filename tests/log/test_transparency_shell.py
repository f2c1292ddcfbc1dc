"""The key's file, and a publisher and its proofs on the real disk."""
import json
import stat
from pathlib import Path

import pytest

from cambist.log.disk_shell import RealDisk
from cambist.log.journal import Journal
from cambist.log.transparency import TransparencyError, audit
from cambist.log.transparency_shell import open_publisher, verify_signature, write_proof

from tests.log.entries import CELL, chain


def house(directory: Path) -> list:
    """A closed log of 300 entries, with a head over all of it and one over part of it."""
    entries = chain(300, max_count=2)
    log = Journal.open(RealDisk(), f"{directory}/log", cell=CELL, segment_bytes=1 << 20)
    for entry in entries[:150]:
        log.propose(entry)
    publishing = open_publisher(directory, CELL, "exchange.example/log")
    assert publishing.step(0).head.size == 149
    for entry in entries[150:]:
        log.propose(entry)
    log.close()
    publishing.close()
    again = open_publisher(directory, CELL)                     # the name is kept
    assert again.log.origin == "exchange.example/log" and again.step(0).head.size == 300
    again.close()
    return entries


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path):
    house(tmp_path)
    key = tmp_path / "secrets" / "log-key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600 and stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert [path.name for path in key.parent.iterdir()] == ["log-key"]
    pem = key.read_bytes()
    open_publisher(tmp_path, CELL).close()
    assert key.read_bytes() == pem and audit(RealDisk(), str(tmp_path), verify_signature) == []
    assert not any(pem[30:90] in path.read_bytes() for path in (tmp_path / "transparency").rglob("*") if path.is_file())


def test_a_key_that_has_signed_is_not_replaced(tmp_path):
    house(tmp_path)
    key = tmp_path / "secrets" / "log-key"
    pem = key.read_bytes()
    key.unlink()
    with pytest.raises(TransparencyError, match="log-key is missing"):
        open_publisher(tmp_path, CELL)
    assert not key.exists()
    key.write_text("no key")
    with pytest.raises(TransparencyError, match="holds no Ed25519 private key"):
        open_publisher(tmp_path, CELL)
    key.write_bytes(pem)
    with pytest.raises(TransparencyError, match="restore the key and the origin"):
        open_publisher(tmp_path, CELL, "another.example/log")
    open_publisher(tmp_path, CELL).close()


def test_a_proof_is_a_small_file_that_holds_nothing_of_an_entry(tmp_path):
    entries = house(tmp_path)
    said: list[str] = []
    assert write_proof(tmp_path, entries[200].last_sequence, "", None, said.append, said.append) == 0
    proof, remark = said
    assert len(proof) < 2500 and remark == f"leaf 200 is the entry of sequences {entries[200].first_sequence} to {entries[200].last_sequence}"
    assert json.loads(proof)["leaf"] == entries[200].own_hash.hex() and "sequence" not in proof
    assert not any(bytes(entries[200].records[at:at + 16]).hex() in proof for at in range(0, 128, 16))
    for since in ("149", str(tmp_path / "head")):
        (tmp_path / "head").write_text(json.loads(proof)["head"])
        assert write_proof(tmp_path, entries[200].last_sequence, since, tmp_path / "out.json", said.append, said.append) == 0
        assert json.loads((tmp_path / "out.json").read_text())["since"] == ((tmp_path / "head").read_text() if since != "149" else said_head(tmp_path, 149))
    with pytest.raises(TransparencyError, match="right would be 149 or 300"):
        write_proof(tmp_path, 5, "150", None, said.append, said.append)


def said_head(directory: Path, size: int) -> str:
    from cambist.log.heads import Heads
    heads = Heads.open(RealDisk(), f"{directory}/transparency")
    return next(head.note(heads.log) for head in heads if head.size == size)
