"""Real nodes killed under load: what was acknowledged is there exactly once, what was unknown gets its first answer, no stream has a gap or a repeat."""
import random
import signal
import time
from collections import defaultdict
from pathlib import Path

import msgspec
import numpy as np
import pytest

from cambist.door.protocol import Role, StreamKind
from cambist.log.disk_shell import RealDisk
from cambist.log.journal import verify
from cambist.log.replay import Replay
from cambist.log.results import ResultsReader
from cambist.messages import COMMAND, EVENT, Event, Kind, Reason

from tests.process.node_forks import Forge
from tests.process.node_process import NodeProcess, Started, cambist, seed_of_this_run
from tests.process.traders import Feeds, Key, Listening, Trader, crowd, echoes, key_of

pytestmark = pytest.mark.process
OURS = {Kind.NEW_ORDER, Kind.CANCEL_ORDER, Kind.TRANSFER, Kind.REQUEST_QUOTE, Kind.ACCEPT_QUOTE, Kind.QUOTE, Kind.DEPOSIT}
FORGETS = {Reason.EXPIRED, Reason.EXPIRY_TOO_FAR, Reason.ANSWER_QUOTA, Reason.NUMBER_GAP, Reason.NUMBER_OLD}      # refused and not remembered


def journaled(directory: Path) -> dict[Key, list[tuple[int, bytes]]]:
    """Every command of ours in the log: its sequences and the bytes it had."""
    found: dict[Key, list[tuple[int, bytes]]] = defaultdict(list)
    for chunk in Replay(RealDisk(), f"{directory}/log", unproven=True).chunks():
        for entry in chunk:
            for i, row in enumerate(np.frombuffer(entry.records, COMMAND)):
                if int(row["kind"]) in OURS:
                    found[key_of(row)].append((entry.first_sequence + i, row.tobytes()))
    return found


def results(directory: Path) -> np.ndarray:
    """Every event, in order."""
    kept = [np.frombuffer(entry.events, EVENT) for entry in ResultsReader(RealDisk(), f"{directory}/results").read(1)]
    return np.concatenate([np.empty(0, EVENT), *kept])


def check_commands(traders: list[Trader], log: dict[Key, list[tuple[int, bytes]]], told: np.ndarray) -> None:
    """Each command counted once, each later one of the same bytes was a DUPLICATE of it, and what its client was answered is what the log says."""
    starts = np.searchsorted(told["sequence"], np.arange(int(told["sequence"][-1]) + 2))

    def events_of(sequence: int) -> np.ndarray:
        return told[starts[sequence]:starts[sequence + 1]]

    for trader in traders:
        for key, answer in trader.answers.items():
            assert key in log, f"{key} was acknowledged and is not in the log"
            assert {data for _, data in log[key]} == {trader.sent[key]}
            first, *again = [sequence for sequence, _ in log[key]]
            said = echoes(events_of(first), key)
            if len(answer):
                assert said.tobytes() == answer.tobytes(), f"{key}: heard {answer}, the log says {said}"
            assert len(said) and (said["kind"][0] != Event.REFUSED or said["reason"][0] not in FORGETS), f"{key} was not remembered: {said}"
            for sequence in again:
                mine = events_of(sequence)
                mine = mine[(mine["command"] == key.kind) & (mine["id_hi"] == key.id_hi) & (mine["id_lo"] == key.id_lo)]
                assert mine["kind"].tolist() == [Event.DUPLICATE] and mine["other"].tolist() == [first], f"{key} counted twice: {mine}"
        assert not set(log) & set(trader.sent) - set(trader.answers) - set(trader.unknown)


def check_streams(listening: list[Listening], told: np.ndarray) -> None:
    """What each heard over all its connections is its stream from the first number on, as the results tell it."""
    for each in listening:
        whole = told if each.stream is StreamKind.ALL else told[told["account"] == each.account].copy()
        if each.stream is not StreamKind.ALL:
            whole["sequence"], whole["other"][whole["kind"] == Event.DUPLICATE] = 0, 0      # the log's own numbers stay inside
        heard = each.all_heard()
        assert heard.tobytes() == whole[:len(heard)].tobytes()


class Following:
    """`cambist follow` beside the node, killed and started again now and then."""
    def __init__(self, directory: Path, rng: random.Random):
        self.directory, self.rng, self.kills = directory, rng, 0
        self.start()

    def start(self) -> None:
        self.process = Started(self.directory.with_name("followed"), "follow", self.directory, "--every", "3")

    def look(self) -> None:
        assert self.process.process.poll() is None, self.process.output()
        if self.rng.random() < 0.1:
            self.process.kill()
            self.kills += 1
            self.start()


def kill_again_and_again(directory: Path, cycles: int, followed: bool = False) -> None:
    """One start in five is as a person's, the others are forks that are at work at once."""
    rng = random.Random(seed_of_this_run())
    with Forge(directory) as forge:
        _kill_again_and_again(directory, cycles, followed, rng, forge)


def _kill_again_and_again(directory: Path, cycles: int, followed: bool, rng: random.Random, forge: Forge) -> None:
    node = NodeProcess(directory).wait_open()
    following = Following(directory, rng) if followed else None
    feeds, house = Feeds(node.door), Listening(node.door, StreamKind.ALL, role=Role.OBSERVER)
    traders = crowd(node.door, rng)
    everyone = [house, *traders]
    for each in (feeds, *everyone):
        each.start()
    cuts = early = from_snapshots = 0
    try:
        for _ in range(cycles):
            time.sleep(rng.uniform(0.1, 1.2))
            node.kill()
            findings = verify(RealDisk(), f"{directory}/log").findings
            assert all(finding.torn for finding in findings), findings
            if rng.random() < 0.25:                     # and once more while it starts
                node = forge.node()
                time.sleep(rng.uniform(0.0, 0.4))
                node.kill()
                early += 1
            node = (NodeProcess(directory) if rng.random() < 0.2 else forge.node()).wait_open()
            cuts += "cut: " in node.output()
            from_snapshots += "began with the snapshot" in node.output()
            if following:
                following.look()
            assert [each.fault for each in everyone] == [None] * len(everyone)
        for trader in traders:
            trader.quiet.set()
        deadline = time.monotonic() + 30
        while any(trader.unknown for trader in traders) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        for each in (feeds, *everyone):
            each.ending.set()
        for each in (feeds, *everyone):
            each.join(15)
        code = node.stop() if node.process.poll() is None else node.process.returncode
        if following:
            following.process.kill()
    assert [each.fault for each in everyone] == [None] * len(everyone)
    assert [trader.unknown for trader in traders] == [{}] * len(traders)
    assert code == 0, node.output()
    log, told = journaled(directory), results(directory)
    check_commands(traders, log, told)
    check_streams(everyone, told)
    looked = cambist("verify", directory)
    assert looked.returncode == 0 and looked.stdout.endswith("whole\n"), looked.stdout + looked.stderr
    again = msgspec.json.decode(cambist("replay", directory, "--json").stdout)
    assert again["broken"] == [] and again["results_hash"] == again["told_hash"]
    known, asked_again = sum(len(t.answers) for t in traders), sum(len(t.asked_again) for t in traders)
    doubled = sum(len(sequences) > 1 for sequences in log.values())
    kinds = {Event(int(kind)).name: int(count) for kind, count in zip(*np.unique(told["kind"], return_counts=True), strict=True)}
    print(f"{cycles} kills under load and {early} at the start, {cuts} tails cut, {from_snapshots} starts from a snapshot"
          f"{f' ({following.kills} kills of the follower)' if following else ''}; {known} commands acknowledged, {asked_again} unknown and asked again, "
          f"{doubled} of them were in the log already; {kinds}")
    assert known > 10 * cycles and asked_again and all(trader.answers for trader in traders)


def test_killed_under_load_nothing_acknowledged_is_lost_and_nothing_counts_twice(tmp_path):
    kill_again_and_again(tmp_path / "house", 20)


@pytest.mark.hunt
def test_killed_three_hundred_times(tmp_path):
    kill_again_and_again(tmp_path / "house", 300, followed=True)


def test_sigterm_closes_cleanly_and_the_next_start_finds_nothing_to_cut(tmp_path):
    directory = tmp_path / "house"
    with NodeProcess(directory).wait_open() as node:
        rng = random.Random(seed_of_this_run())
        traders = [Feeds(node.door), *crowd(node.door, rng)]
        for trader in traders:
            trader.start()
        time.sleep(1.0)
        assert node.stop() == 0, node.output()          # under load: what was let in becomes durable and is told first
        for trader in traders:
            trader.ending.set()
        for trader in traders:
            trader.join(15)
    found = verify(RealDisk(), f"{directory}/log")
    assert found.closed and not found.findings and "closed" in node.output() and not (directory / "door.sock").exists()
    check_commands(traders[1:], journaled(directory), results(directory))
    with NodeProcess(directory).wait_open() as node:
        assert "cut: " not in node.output() and "written again" not in node.output()
        assert node.stop(signal.SIGINT) == 0
