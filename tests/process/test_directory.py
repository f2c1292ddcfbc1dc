"""What a directory may have become: locked, torn, damaged, followed, or told something else. Each is one line a person can act on."""
import json
import time
from pathlib import Path

import numpy as np
import pytest

from cambist.door.client_shell import Client
from cambist.log.disk import SECTOR_BYTES
from cambist.log.disk_shell import RealDisk
from cambist.log.journal import verify
from cambist.log.replay import Replay
from cambist.log.results import ResultsReader, results_names, seal_results
from cambist.messages import EVENT, Kind, command

from tests.process.node_process import ACCOUNT, ASSET, DEMO, KEY, NodeProcess, Started, cambist

pytestmark = pytest.mark.process
K = Kind


def deposit(client: Client, number: int) -> int:
    """A fact, and how many dollars acme has after it."""
    record = command(K.DEPOSIT, actor=KEY["custodian"], account=ACCOUNT["acme"], custody=ACCOUNT["usd-bank"], asset=ASSET["USD"], amount=1000, id_hi=5,
                     id_lo=number)
    assert client.submit_and_wait(record, 20.0).events is not None
    rows = client.read("account", account=ACCOUNT["acme"])[1]["balances"]
    return sum(row["available"] for row in rows if row["asset"] == ASSET["USD"])


def made(directory: Path, deposits: int = 5, killed: bool = False) -> None:
    """A directory with some business in it, closed cleanly or not."""
    with NodeProcess(directory).wait_open() as node:
        with Client(node.door) as client:
            assert [deposit(client, n) for n in range(1, deposits + 1)] == [1000 * n for n in range(1, deposits + 1)]
        if killed:
            node.kill()
        else:
            assert node.stop() == 0


def log_file(directory: Path) -> Path:
    return max((directory / "log").glob("journal-0*.cbj"))


def test_a_second_writer_is_refused_with_one_line(tmp_path):
    with NodeProcess(tmp_path / "house").wait_open() as node:
        second = cambist("node", "--design", DEMO, "--directory", tmp_path / "house")
        assert second.returncode == 1 and second.stdout == "" and second.stderr.count("\n") == 1 and "is locked" in second.stderr
        with Client(node.door) as client:               # and the first one still has its door
            assert deposit(client, 1) == 1000


def test_a_flipped_byte_in_a_closed_segment_refuses_to_start_and_is_named(tmp_path):
    directory = tmp_path / "house"
    made(directory)
    entries = [entry for chunk in Replay(RealDisk(), f"{directory}/log").chunks() for entry in chunk]
    at = SECTOR_BYTES + sum(len(entry.data) for entry in entries[:-2])
    file, whole = log_file(directory), log_file(directory).read_bytes()
    file.write_bytes(whole[:at + 200] + bytes([whole[at + 200] ^ 1]) + whole[at + 201:])
    damaged = file.read_bytes()
    started, looked = cambist("node", "--design", DEMO, "--directory", directory), cambist("verify", directory)
    for said in (started, looked):
        assert said.returncode == 1 and said.stderr.count("\n") == 1
        assert str(file) in said.stderr and str(at) in said.stderr and f"sequence {entries[-2].first_sequence}" in said.stderr
    assert file.read_bytes() == damaged and "1 findings" in looked.stdout
    file.write_bytes(whole)                             # restored, it starts
    with NodeProcess(directory).wait_open() as node, Client(node.door) as client:
        assert deposit(client, 6) == 6000


def test_torn_tails_are_cut_and_said(tmp_path):
    directory = tmp_path / "house"
    made(directory, killed=True)
    log, results = log_file(directory), max((directory / "results").glob("*.cbr"))
    found = verify(RealDisk(), f"{directory}/log")
    entries = [entry for chunk in Replay(RealDisk(), f"{directory}/log", unproven=True).chunks() for entry in chunk]
    end = SECTOR_BYTES + sum(len(entry.data) for entry in entries)
    assert not found.closed and not found.findings
    with log.open("r+b") as file:                       # the beginning of an entry that was never finished
        file.seek(end)
        file.write(bytes(entries[-1].data[:250]))
    results.write_bytes(results.read_bytes()[:-40])
    with NodeProcess(directory).wait_open() as node:
        said = node.output()
        assert f"cut: {log}: " in said and f" bytes from offset {end} were never acknowledged" in said
        assert f"cut: {results}: " in said and "written again from the log" in said
        with Client(node.door) as client:
            assert deposit(client, 6) == 6000
        assert node.stop() == 0
    looked = cambist("verify", directory)
    assert looked.returncode == 0 and looked.stdout.endswith("whole\n"), looked


def test_a_design_that_is_not_the_running_one_is_said_and_not_acted_on(tmp_path):
    made(tmp_path / "house", 1)
    other = tmp_path / "other.toml"
    other.write_text(DEMO.read_text().replace("max_ttl = \"60s\"", "max_ttl = \"20s\""))
    with NodeProcess(tmp_path / "house", other).wait_open() as node:
        assert "is not the design this directory runs by (1 commands: configure_cell)" in node.output()
        with Client(node.door) as client:
            assert client.read("status")[1]["cell"]["max_ttl"] == 60 * 10**9


# ------------------------------------------------------------------------------------------------------------------------------- the follower
def test_the_follower_saves_beside_the_running_node_and_the_node_begins_there(tmp_path):
    directory = tmp_path / "house"
    with NodeProcess(directory).wait_open() as node, Client(node.door) as client:
        assert deposit(client, 1) == 1000
        with Started(tmp_path / "follower.said", "follow", directory, "--every", "0.1") as follower:
            follower.wait_for("snapshot at sequence")
            for number in range(2, 12):
                assert deposit(client, number) == 1000 * number
            before = len(list((directory / "snapshots").iterdir()))
            time.sleep(0.5)
            assert follower.stop() == 0 and 1 <= before <= 3 and "following" in follower.output()
        node.kill()
    with NodeProcess(directory).wait_open() as node, Client(node.door) as client:
        assert "began with the snapshot at sequence" in node.output()
        assert deposit(client, 11) == 11_000 and deposit(client, 12) == 12_000          # the eleventh was counted before
        assert node.stop() == 0
    again = json.loads(cambist("replay", directory, "--json").stdout)
    assert again["broken"] == [] and again["results_hash"] == again["told_hash"]        # from the first entry, without the snapshot


def test_the_follower_notices_that_another_answer_was_told(tmp_path):
    directory = tmp_path / "house"
    made(directory)
    [name] = results_names(RealDisk(), f"{directory}/results")
    kept = list(ResultsReader(RealDisk(), f"{directory}/results").read(1))
    changed, sequence, last = bytearray((directory / "results" / name).read_bytes()[:SECTOR_BYTES]), 0, kept[0].previous_hash
    for entry in kept:                                  # one amount is another, and every hash is right again
        events = np.frombuffer(bytearray(entry.events), EVENT)
        if not sequence and (events["amount"] == 1000).any():
            at = int(np.nonzero(events["amount"] == 1000)[0][0])
            events["amount"][at], sequence = 1001, int(events["sequence"][at])
        parts, last = seal_results(entry.cell, entry.first_sequence, entry.last_sequence, entry.time, last, events)
        data = b"".join(parts)
        changed += data
    (directory / "results" / name).write_bytes(changed)
    for words in (("follow", directory), ("node", "--design", DEMO, "--directory", directory)):
        said = cambist(*words)
        assert said.returncode == 1 and said.stderr.count("\n") == 1 and f"differ at sequence {sequence}" in said.stderr, said
    again = cambist("replay", directory)
    assert again.returncode == 1 and "are not what the log says" in again.stdout
