"""A house with a mirror, as a person runs it: both copies equal, damage healed at the start, by `cambist heal`, and by the scrub beside a running node."""
import shutil
from pathlib import Path

import pytest

from cambist.door.client_shell import Client
from cambist.log.disk_shell import RealDisk
from cambist.log.journal import verify

from tests.process.node_process import DEMO, NodeProcess, Started, cambist
from tests.process.test_directory import deposit, log_file, made

pytestmark = pytest.mark.process


def design_with_mirror(folder: Path, mirror: Path) -> Path:
    design = folder / "desk.toml"
    design.write_text(DEMO.read_text().replace("[redundancy]\n", f'[redundancy]\nmirror = "{mirror}"\n', 1))
    return design


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 16
    path.write_bytes(data)


def last_entry(path: Path) -> int:
    return path.read_bytes().rfind(b"CBE1")


def test_damage_and_loss_are_healed_from_the_mirror(tmp_path):
    directory, mirror = tmp_path / "house", tmp_path / "elsewhere" / "log"
    design = design_with_mirror(tmp_path, mirror)
    with NodeProcess(directory, design).wait_open() as node:
        with Client(node.door) as client:
            for n in range(1, 6):
                deposit(client, n)
        assert "is on the same device" in node.output()
        node.kill()
    flip(log_file(directory), last_entry(log_file(directory)) + 200)    # acknowledged, and rotten
    with NodeProcess(directory, design).wait_open() as node:
        assert "the mirror is the longer" in node.output() and ": rot: " in node.output() and "(healed)" in node.output()
        with Client(node.door) as client:
            assert deposit(client, 6) == 6000
        node.kill()
    flip(log_file(mirror.parent), 700)                                  # the genesis, in the mirror
    looked = cambist("verify", directory)
    assert looked.returncode == 1 and str(mirror) in looked.stderr and "sequence 1: rot" in looked.stderr
    healed = cambist("heal", directory)
    assert healed.returncode == 0 and "1 findings, all healed" in healed.stdout, healed
    shutil.rmtree(directory / "log")                                    # the disk is gone, and a new one is there
    with NodeProcess(directory, design).wait_open() as node, Client(node.door) as client:
        assert deposit(client, 7) == 7000
        assert cambist("heal", directory).returncode == 1               # locked: never beside a node
        assert node.stop() == 0
    assert log_file(directory).read_bytes() == log_file(mirror.parent).read_bytes() and not verify(RealDisk(), str(mirror)).findings
    assert cambist("verify", directory).returncode == 0
    assert cambist("heal", directory).stdout.endswith("whole, twice\n")


def test_the_follower_heals_a_closed_segment_beside_the_node(tmp_path):
    directory, mirror = tmp_path / "house", tmp_path / "elsewhere" / "log"
    design = design_with_mirror(tmp_path, mirror)
    for n in (1, 2):
        with NodeProcess(directory, design).wait_open() as node, Client(node.door) as client:
            deposit(client, n)
            assert node.stop() == 0
    with NodeProcess(directory, design).wait_open() as node, Client(node.door) as client:
        deposit(client, 3)
        oldest = min((directory / "log").glob("journal-0*.cbj"))
        good = oldest.read_bytes()
        flip(oldest, 700)
        with Started(tmp_path / "said", "follow", directory) as follower:
            follower.wait_for("HEALED: ")
            follower.wait_for("following ")
            assert str(oldest) in follower.output() and follower.stop() == 0
        assert oldest.read_bytes() == good and node.stop() == 0


def test_without_a_mirror_there_is_nothing_to_heal_from(tmp_path):
    made(tmp_path / "house", 1)
    said = cambist("heal", tmp_path / "house")
    assert said.returncode == 1 and said.stderr.count("\n") == 1 and "has no mirror that is known here" in said.stderr
