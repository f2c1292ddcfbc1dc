"""`cambist follow` signs heads beside a running node, `cambist prove` proves under them, and the independent verifier agrees."""
import subprocess
import sys

import pytest

from cambist.door.client_shell import Client

from tests.process.node_process import ROOT, NodeProcess, Started, cambist

pytestmark = pytest.mark.process


def verifier(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, ROOT / "tools" / "verify_proof.py", *map(str, words)], capture_output=True, text=True, check=False)


def test_heads_proofs_and_the_verifier_agree_beside_a_running_node(tmp_path):
    directory = tmp_path / "house"
    public, old = directory / "transparency" / "public", tmp_path / "old-head"
    with NodeProcess(directory).wait_open() as node, Client(node.door) as client:
        with Started(tmp_path / "said", "follow", directory, "--origin", "exchange.example/log") as follower:
            follower.wait_for("signed a head of ")
            old.write_bytes((public / "checkpoint").read_bytes())
            second = cambist("follow", directory)
            assert second.returncode == 1 and second.stderr.count("\n") == 1 and "is locked" in second.stderr
            assert client.read("status")[0] > 0
            assert follower.stop() == 0
        node.stop()
    with Started(tmp_path / "said", "follow", directory) as follower:            # goes on, under the same name
        follower.wait_for("signed a head of ")
        assert follower.stop() == 0
    vkey = (public / "log.vkey").read_text().strip()
    assert vkey.startswith("exchange.example/log+") and verifier("tree", vkey, public, "--head", old).returncode == 0
    proven = cambist("prove", directory, 1, "--since", old, "--out", tmp_path / "proof.json")
    assert proven.returncode == 0 and proven.stderr.startswith("leaf 0 is the entry of sequences 1 to ")
    said = verifier("proof", vkey, tmp_path / "proof.json", "--head", old)
    assert said.returncode == 0 and "is leaf 0 of the" in said.stdout, said
    assert cambist("verify", directory).returncode == 0
    far = cambist("prove", directory, 10**9)
    assert far.returncode == 1 and far.stderr.count("\n") == 1 and "is under no signed head" in far.stderr
    checkpoint = public / "checkpoint"
    checkpoint.write_bytes(checkpoint.read_bytes().replace(b"exchange", b"exchangf", 1))
    found = cambist("verify", directory)
    assert found.returncode == 1 and "is not the newest head" in found.stderr
