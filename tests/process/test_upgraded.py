"""A release goes on with the log of the one before, under load: nothing that was acknowledged is lost, and nothing counts twice."""
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cambist.epochs import RULES, current
from cambist.log.disk_shell import RealDisk
from cambist.log.journal import verify

from tests.process.node_process import DEMO, ROOT, NodeProcess, cambist, seed_of_this_run
from tests.process.test_kill import check_commands, check_streams, journaled, results
from tests.process.traders import Feeds, Listening, crowd
from cambist.door.protocol import Role, StreamKind

pytestmark = pytest.mark.process


class NextNode(NodeProcess):
    """The next release's node in the same directory."""
    def __init__(self, directory: Path):
        self.directory, self.door = directory, str(directory / "door.sock")
        self.said = directory.with_name(f"{directory.name}.said")
        with self.said.open("ab") as out:
            self.began = out.tell()
            self.process = subprocess.Popen([sys.executable, "-m", "tests.process.next_release", "node", str(directory)], stdout=out,
                                            stderr=subprocess.STDOUT, cwd=ROOT)


def next_upgrade(directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tests.process.next_release", "upgrade", str(directory)], capture_output=True, text=True, cwd=ROOT,
                          timeout=300)


def test_an_upgrade_under_load_loses_nothing(tmp_path):
    directory, rng = tmp_path / "house", random.Random(seed_of_this_run())
    node = NodeProcess(directory, DEMO).wait_open()
    feeds, house = Feeds(node.door), Listening(node.door, StreamKind.ALL, role=Role.OBSERVER)
    traders = crowd(node.door, rng)
    everyone = [house, *traders]
    for each in (feeds, *everyone):
        each.start()
    try:
        time.sleep(2.0)
        assert node.stop() == 0
        early = next_upgrade(directory)                 # before the old release has made its end
        assert early.returncode == 1 and "by the release of rules 1 first" in early.stderr, early
        began = time.monotonic()
        settled, upgraded = cambist("upgrade", directory), next_upgrade(directory)
        assert settled.returncode == upgraded.returncode == 0, (settled, upgraded)
        assert "epoch 2 begins at sequence" in upgraded.stdout
        refused = cambist("node", "--design", DEMO, "--directory", directory)
        assert refused.returncode == 1 and "by rules 2 since epoch 2" in refused.stderr + refused.stdout
        node = NextNode(directory).wait_open()
        print(f"{time.monotonic() - began:.1f} s without a node")
        before = {id(trader): len(trader.answers) for trader in traders}
        deadline = time.monotonic() + 60
        while any(len(trader.answers) < before[id(trader)] + 5 for trader in traders) and time.monotonic() < deadline:
            time.sleep(0.1)
        for trader in traders:
            trader.quiet.set()
        while any(trader.unknown for trader in traders) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        for each in (feeds, *everyone):
            each.ending.set()
        for each in (feeds, *everyone):
            each.join(15)
        code = node.stop() if node.process.poll() is None else node.process.returncode
    assert [each.fault for each in everyone] == [None] * len(everyone) and code == 0, node.output()
    assert [trader.unknown for trader in traders] == [{}] * len(traders)
    assert all(len(trader.answers) > before[id(trader)] for trader in traders)
    check_commands(traders, journaled(directory), results(directory))
    check_streams(everyone, results(directory))
    assert current(RealDisk(), str(directory))[:2] == (2, RULES + 1) and not verify(RealDisk(), f"{directory}/log").findings
