"""`cambist replay` and `cambist verify` on what a house left: whole, torn, damaged, told otherwise, or not there at all."""
import pytest

from cambist.core.cell import Cell
from cambist.inspection import NoLog, replay, walk
from cambist.log.disk import SECTOR_BYTES
from cambist.log.replay import Replay
from cambist.messages import Kind
from cambist.node import close_node

from tests.log.crash_disk import CrashDisk
from tests.process.house_on_disk import ACCOUNT, ASSET, HouseOnDisk, fresh_cell, opened

K = Kind


def clock():
    clock.now += 1000
    return clock.now


clock.now = 0


def house(deposits: int = 5) -> HouseOnDisk:
    made = HouseOnDisk()
    for _ in range(deposits):
        made.do(K.DEPOSIT, "custodian", "acme", custody=ACCOUNT["btc-wallet"], asset=ASSET["BTC"], amount=5)
    return made


def files(disk: CrashDisk, ending: str) -> list[str]:
    return sorted(name for name in disk.names if name.endswith(ending) and "spare" not in name)


def test_a_whole_log_leads_where_the_house_stands():
    made = house()
    close_node(made.node)
    found = replay(made.disk, "house", fresh_cell(), clock)
    assert found.broken == () and found.sequence == made.node.cell.sequence == made.node.log.position.sequence and found.entries == 6
    assert found.results_hash == found.told_hash == made.node.results.position.hash.hex() and found.log_hash == made.node.log.position.hash.hex()
    assert found.events == len(made.everything()) and found.per_second > 0
    seen = walk(made.disk, "house", fresh_cell(), clock)
    assert seen.findings == () and "(closed)" in seen.lines[0] and found.state_hash in seen.lines[2] and "0 invariants broken" in seen.lines[2]


def test_the_state_is_the_same_from_a_directory_that_was_only_killed():
    made = house()
    before = replay(made.disk, "house", fresh_cell(), clock)
    after = made.disk.after_kill()
    assert replay(after, "house", fresh_cell(), clock)[:-2] == before[:-2]  # but for how long it took
    assert walk(after, "house", fresh_cell(), clock).findings == ()         # open, and nothing wrong with that


@pytest.mark.parametrize("look", [replay, walk])
def test_nothing_there_is_not_whole(look):
    with pytest.raises(NoLog, match=r"house holds no log; `cambist run --directory house` begins one"):
        look(CrashDisk(), "house", fresh_cell(), clock)


def test_a_torn_tail_is_said_to_be_one():
    made = house()
    [log] = files(made.disk, ".cbj")
    entries = [entry for chunk in Replay(made.disk, "house/log", unproven=True).chunks() for entry in chunk]
    end = SECTOR_BYTES + sum(len(entry.data) for entry in entries)
    disk = made.disk.after_kill()
    disk.names[log].live[end:end + 250] = bytes(entries[-1].data[:250])
    seen = walk(disk, "house", fresh_cell(), clock)
    [finding] = seen.findings
    assert finding.startswith(f"{log}: byte {end}, sequence {made.node.log.position.sequence + 1}: ") and "the next start cuts it" in finding
    assert len(seen.lines) == 2                         # and nothing of it is replayed
    opened(disk)
    assert walk(disk, "house", fresh_cell(), clock).findings == ()


def test_damage_is_named_by_file_byte_and_sequence():
    made = house()
    close_node(made.node)
    [log] = files(made.disk, ".cbj")
    first = next(iter(Replay(made.disk, "house/log").chunks()))[0]
    made.disk.flip(log, SECTOR_BYTES + len(first.data) + 200)
    [finding] = walk(made.disk, "house", fresh_cell(), clock).findings
    assert finding.startswith(f"{log}: byte {SECTOR_BYTES + len(first.data)}, sequence {first.last_sequence + 1}: ") and "cuts" not in finding


def test_results_cut_short_are_a_finding_and_no_difference():
    made = house()
    close_node(made.node)
    [results] = files(made.disk, ".cbr")
    del made.disk.names[results].live[-100:]
    [finding] = walk(made.disk, "house", fresh_cell(), clock).findings
    assert finding.startswith(f"{results}: ")
    found = replay(made.disk, "house", fresh_cell(), clock)
    assert found.broken == () and found.told_hash == ""


def test_results_that_another_core_told_are_a_difference():
    made = house()
    close_node(made.node)

    class Other(Cell):
        def run(self, records, time, batch=1 << 30):
            for events in super().run(records, time, batch):
                events["amount"][events["amount"] == 5] = 6
                yield events

    found = replay(made.disk, "house", Other(fresh_cell().sizes), clock)
    first = made.node.log.position.sequence - 4
    assert found.broken == (f"the results told of the entry from sequence {first} are not what the log says",) and found.told_hash != found.results_hash
    assert len(walk(made.disk, "house", Other(fresh_cell().sizes), clock).findings) == 1
