"""A real node that dies of SIGSEGV in one command: started again it trades within ten seconds, and everyone who reads its log afterwards agrees."""
import contextlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cambist.door.client_shell import Client
from cambist.log.decisions import decisions
from cambist.log.disk_shell import RealDisk
from cambist.messages import Event, Kind, Reason, command

from tests.poisoned import POISON
from tests.process.node_process import ACCOUNT, ASSET, DEMO, KEY, ROOT, NodeProcess, Started, cambist
from tests.process.test_directory import deposit

pytestmark = pytest.mark.process
PATIENCE = 60.0                                 # seconds; promised are 10 (the figure is printed), but this machine may be busy with something else


class PoisonedNode(NodeProcess):
    def __init__(self, directory: Path):
        self.directory, self.door = directory, str(directory / "door.sock")
        self.said = directory.with_name(f"{directory.name}.said")
        with self.said.open("ab") as out:
            self.began = out.tell()
            self.process = subprocess.Popen([sys.executable, "-m", "tests.process.poisoned_node", str(DEMO), str(directory)], stdout=out,
                                            stderr=subprocess.STDOUT, cwd=ROOT)


def transfer(id_lo: int):
    return command(Kind.TRANSFER, actor=KEY["bo"], account=ACCOUNT["borea"], to=ACCOUNT["acme"], asset=ASSET["USD"], amount=1, id_hi=4, id_lo=id_lo,
                   expires=time.time_ns() + 50 * 10**9)


def test_it_trades_again_without_the_command(tmp_path):
    directory = tmp_path / "house"
    with PoisonedNode(directory).wait_open() as node:
        with Client(node.door) as client:
            for n in range(1, 4):
                deposit(client, n)
            poison = transfer(POISON)
            with contextlib.suppress(OSError):          # it may die before it has said RECEIVED
                client.submit(poison)
            died = time.monotonic()
            assert node.process.wait(PATIENCE) == -11
    with PoisonedNode(directory).wait_open() as node:
        with Client(node.door) as client:
            assert deposit(client, 4) == 4000
            took = time.monotonic() - died
            print(f"{took:.2f} s from the death to the next trade")
            (heard,) = client.submit_and_wait(poison, 20.0).events
            assert (heard["kind"], heard["reason"]) == (Event.REFUSED, Reason.SKIPPED)     # the first answer, by way of a DUPLICATE
        assert took < PATIENCE and "DECIDED: sequence " in node.output() and "SIGSEGV, in each of three trials" in node.output()
        (found,) = decisions(RealDisk(), f"{directory}/log")
        with Started(tmp_path / "said", "follow", directory) as follower:
            follower.wait_for("following ")
            follower.wait_for("signed a head of ")
            assert follower.stop() == 0
        assert node.stop() == 0
    with PoisonedNode(directory).wait_open() as node:      # everything was survived: nothing is tried and nothing decided any more
        assert "DECIDED" not in node.output() and node.stop() == 0
    told = cambist("explain", directory, f"@{found.decision.sequence}")
    assert "left out" in told.stdout or Reason.SKIPPED.name in told.stdout or "decided not to apply it" in told.stdout, told
    for verb in ("verify", "replay"):                   # by the shipped core, which would not have died: the log decides
        done = cambist(verb, directory)
        assert done.returncode == 0, done
