"""A command in which the core dies is found in a trial, left out by a decision of the log, and everyone who applies the log leaves it out alike."""
import signal
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from cambist import trial_shell
from cambist.core.cell import Cell
from cambist.follower import Follower
from cambist.inspection import replay, walk
from cambist.log.decisions import Skip, decisions, skipped
from cambist.log.disk import DiskError
from cambist.log.entry import DECIDES, EntryError, decode, seal
from cambist.log.journal import segment_names
from cambist.log.replay import Replay
from cambist.log.segment import Damaged, Walk, read_header
from cambist.log.snapshot import state_hash
from cambist.messages import GROUP_MORE, NUMBERED, SKIPPED, Event, Kind, Reason, command
from cambist.node import Broken, close_node, open_node
from cambist.poison import CannotSkip, Died, commands_of, one_by_one, skip_of
from cambist.run import ticker
from cambist.simulation.twin import Twin
from cambist.trial_shell import in_child, try_out

from tests.log.crash_disk import CrashDisk
from tests.poisoned import POISON, Dead, HangingCell, PoisonedCell, RaisingCell, StubbornCell
from tests.process.house_on_disk import ACCOUNT, ASSET, DESIGN, KEY, SECOND, SEGMENT_BYTES, SIZES, HouseOnDisk

K, R = Kind, Reason
HEADER_FLAGS = 20                                       # byte of an entry


def transfer(house: HouseOnDisk, id_lo: int, **more: int) -> np.ndarray:
    return command(K.TRANSFER, actor=KEY["bo"], account=ACCOUNT["borea"], to=ACCOUNT["acme"], asset=ASSET["USD"], amount=7,
                   **({"id_hi": 1, "id_lo": id_lo, "expires": house.now + 50 * SECOND} | more))


def house(deposits: int = 3) -> HouseOnDisk:
    made = HouseOnDisk()
    for _ in range(deposits):
        made.do(K.DEPOSIT, "custodian", "borea", custody=ACCOUNT["usd-bank"], asset=ASSET["USD"], amount=1000)
    return made


def killed(made: HouseOnDisk, *records: np.ndarray) -> CrashDisk:
    """The log has them, and the process died when it applied them."""
    made.now += 1000
    assert not made.node.submit(np.concatenate(records))
    made.node.commit(made.node.seal(made.now))
    return made.disk.after_kill()


def opened(disk: CrashDisk, cell: type[Cell] = RaisingCell, say: Callable[[str], None] = print, probe=try_out):
    return open_node(disk, "house", number=DESIGN.cell.number, epoch=1, fresh=lambda: cell(SIZES), load=lambda tables: cell.load(tables, SIZES),
                     ticker=ticker(DESIGN), segment_bytes=SEGMENT_BYTES, say=say, probe=probe)


def place_of(disk: CrashDisk, sequence: int) -> tuple[str, int]:
    """File and offset of the entry that begins with a sequence."""
    for name in segment_names(disk, "house/log"):
        path = f"house/log/{name}"
        file = disk.open(path)
        for offset, entry in Walk(file, read_header(file, path)):
            if entry.first_sequence == sequence:
                return path, offset
    raise LookupError(sequence)


def events_at(node, sequence: int) -> np.ndarray:
    return node.results.reader.events_of(sequence)


def checked_by_all(disk: CrashDisk, node) -> None:
    """Replay, verify, follower and twin, each with a core that would die, end where the node stands."""
    assert replay(disk, "house", RaisingCell(SIZES), lambda: 0).state_hash == state_hash(node.cell.tables()).hex()
    assert walk(disk, "house", RaisingCell(SIZES), lambda: 0).findings == ()
    follower = Follower(disk, "house", number=DESIGN.cell.number, fresh=lambda: RaisingCell(SIZES), load=lambda t: RaisingCell.load(t, SIZES), every_entries=1)
    follower.step(0)
    assert follower.checked == node.cell.sequence
    twin, left_out = Twin(), skipped(decisions(disk, "house/log"))
    for chunk in Replay(disk, "house/log", unproven=True).chunks():
        for entry in chunk:
            told = twin.apply(commands_of(entry, left_out), entry.time)
            assert told.tobytes() == bytes(next(iter(node.results.read(entry.first_sequence))).events)
    assert state_hash(twin.tables()) == state_hash(node.cell.tables())


@pytest.mark.parametrize("cell", [RaisingCell, PoisonedCell])
def test_it_is_left_out_and_everything_before_and_after_it_counts(cell):
    made, said = house(), []
    before = made.node.cell.sequence
    disk = killed(made, transfer(made, 50), transfer(made, POISON), transfer(made, 51))
    node = opened(disk, cell, said.append)
    first = before + 1
    assert [int(e["kind"]) for s in (first, first + 2) for e in events_at(node, s)][::2] == [Event.TRANSFERRED] * 2
    (refused,) = events_at(node, first + 1)
    assert (refused["kind"], refused["reason"], refused["account"], refused["id_lo"]) == (Event.REFUSED, R.SKIPPED, ACCOUNT["borea"], POISON)
    (found,) = decisions(disk, "house/log")
    assert found.sequence == first + 3 == node.cell.sequence and found.decision.sequence == first + 1 and found.decision.count == 1
    assert found.decision.by == "the node" and "in each of three trials" in found.decision.why
    assert ("SIGSEGV" in found.decision.why) == (cell is PoisonedCell)
    assert [line for line in said if line.startswith(f"DECIDED: sequence {first + 1} is not applied")]
    again = transfer(made, POISON)                      # asked again it is a duplicate of its refusal, and never reaches the core
    assert not node.submit(again)
    (told,) = node.step(made.now + 1)
    assert told.events["kind"].tolist() == [Event.DUPLICATE] and told.events["other"].tolist() == [first + 1]
    node.results.sync()
    close_node(node)
    checked_by_all(disk, node)
    assert opened(disk.after_kill(), probe=lambda *_: pytest.fail("all of it was survived")).cell.sequence == node.cell.sequence


def test_it_is_found_before_a_replay_from_a_snapshot_reaches_it():
    made = house()
    disk = killed(made, transfer(made, 50), transfer(made, POISON))
    node = opened(disk)
    for i in range(5):
        node.submit(transfer(made, 60 + i))
        node.step(made.now + i)
    close_node(node)
    follower = Follower(disk, "house", number=DESIGN.cell.number, fresh=lambda: RaisingCell(SIZES), load=lambda t: RaisingCell.load(t, SIZES))
    follower.step(0)
    follower.save(0)
    for name in [name for name in disk.names if "snapshot" in name]:
        del disk.names[name]                            # from the beginning then
    assert opened(disk.after_kill()).cell.sequence == node.cell.sequence


def test_a_numbered_request_is_answered_too_and_its_session_goes_on():
    made = house()
    def order(n: int) -> np.ndarray:
        return command(K.CANCEL_ORDER, actor=KEY["acme-bot"], account=ACCOUNT["acme"], order=5, flags=NUMBERED, id_lo=n)

    class Dies(RaisingCell):
        def run(self, records, time, batch=1 << 30):
            if ((records["kind"] == K.CANCEL_ORDER) & (records["id_lo"] == 2) & (records["flags"] & SKIPPED == 0)).any():
                raise Dead
            yield from super().run(records, time, batch)

    node = opened(killed(made, order(1), order(2), order(3)), Dies)
    told = [events_at(node, s)[0] for s in range(node.cell.sequence - 3, node.cell.sequence)]
    assert [int(e["reason"]) for e in told] == [R.UNKNOWN_ORDER, R.SKIPPED, R.UNKNOWN_ORDER]


def test_all_of_a_group_is_left_out():
    made = house()
    group = [transfer(made, 70), transfer(made, POISON), transfer(made, 71)]
    for record in group[:2]:
        record["flags"] |= GROUP_MORE
    before = made.node.cell.tables()["balances"][2].tolist()
    disk = killed(made, *group)
    node = opened(disk)
    (found,) = decisions(disk, "house/log")
    assert found.decision.count == 3 and found.decision.sequence == node.cell.sequence - 3
    assert node.cell.tables()["balances"][2].tolist() == before
    assert [int(events_at(node, s)["reason"][0]) for s in range(found.decision.sequence, found.sequence)] == [R.SKIPPED] * 3
    close_node(node)
    checked_by_all(disk, node)


def test_two_of_them_are_two_decisions():
    made = house()
    disk = killed(made, transfer(made, POISON), transfer(made, 80), transfer(made, POISON, id_hi=2))
    node = opened(disk)
    assert [each.decision.sequence for each in decisions(disk, "house/log")] == [node.cell.sequence - 4, node.cell.sequence - 2]
    close_node(node)
    checked_by_all(disk, node)


def test_where_leaving_it_out_does_not_help_nothing_more_is_decided():
    made = house()
    disk = killed(made, transfer(made, POISON))
    with pytest.raises(CannotSkip, match="the fault is in the state"):
        opened(disk, StubbornCell)
    assert len(decisions(disk, "house/log")) == 1 and not disk.locks


def test_a_core_that_hangs_is_a_core_that_dies(monkeypatch):
    monkeypatch.setattr(trial_shell, "PATIENCE_SECONDS", 0.4)
    made = house()
    disk = killed(made, transfer(made, POISON))
    opened(disk, HangingCell)
    assert "did not end within" in decisions(disk, "house/log")[0].decision.why


def test_a_trial_that_somebody_else_ends_decides_nothing():
    def killed_from_outside(mark):
        mark(1)
        signal.raise_signal(signal.SIGKILL)
    with pytest.raises(CannotSkip, match=r"ended from outside \(SIGKILL\)"):
        in_child(killed_from_outside)
    assert in_child(lambda mark: mark(5)) is None


def test_a_death_that_no_one_command_causes_decides_nothing():
    class OnlyTogether(RaisingCell):
        def run(self, records, time, batch=1 << 30):
            if len(records) > 1 and (records["id_lo"] == POISON).any():
                raise Dead
            yield from Cell.run(self, records, time, batch)
    made = house()
    disk = killed(made, transfer(made, 90), transfer(made, POISON))
    with pytest.raises(CannotSkip, match="not at one command each time"):
        opened(disk, OnlyTogether)
    assert decisions(disk, "house/log") == []


def test_a_full_or_failing_disk_lets_no_one_skip_without_a_decision():
    made = house()
    disk = killed(made, transfer(made, POISON))
    disk.fail_sync_at = 8
    with pytest.raises((DiskError, CannotSkip)):
        while True:
            opened(disk)
    assert opened(disk.after_kill()).cell.sequence == made.node.cell.sequence + 2


def test_a_crash_between_decision_and_result_leaves_the_decision():
    made = house()
    disk = killed(made, transfer(made, POISON))
    reference = disk.after_kill()
    opened(reference)
    for crash_at in range(1, reference.calls + 1):
        from tests.log.crash_disk import Crash
        torn = disk.after_kill()
        torn.crash_at = crash_at
        with pytest.raises(Crash):
            opened(torn)
        after = torn.after_power_loss(crash_at)
        node = opened(after)
        assert node.cell.sequence == made.node.cell.sequence + 2 and len(decisions(after, "house/log")) == 1


@pytest.mark.parametrize(("byte", "bit"), [(0, 0), (HEADER_FLAGS, 0)], ids=["no entry", "no decision"])
@pytest.mark.parametrize("closed", [False, True])
def test_a_decision_that_rot_hides_is_missed_before_the_core_dies(closed, byte, bit):
    """Found by the simulator, seed 200279: the follower's core died in a command that was left out, for the decision's header had rotted."""
    made = house()
    disk = killed(made, transfer(made, POISON), transfer(made, 51))
    node = opened(disk)
    close_node(node)
    if closed:
        again = opened(disk, probe=None)
        assert not again.submit(transfer(made, 52))
        again.step(made.now + 1)
        again.results.sync()
        close_node(again)
    follower = Follower(disk, "house", number=DESIGN.cell.number, fresh=lambda: RaisingCell(SIZES), load=lambda t: RaisingCell.load(t, SIZES))
    results, follower._results = follower._results, SimpleNamespace(read=lambda sequence: iter(()))
    follower.step(0)                                    # it has read the log, and waits for the results
    follower._results = results
    path, at = place_of(disk, node.cell.sequence)
    disk.flip(path, at + byte, bit)
    broken = pytest.raises(Broken, match=f"left out sequence {node.cell.sequence - 2}, and none can be read")
    with pytest.raises(Damaged, match="neither an entry nor the close mark") if closed and not byte else broken as told:
        follower.step(0)
    if isinstance(told.value, Damaged):
        assert (told.value.file, told.value.offset, told.value.sequence) == (path, at, node.cell.sequence)
    with pytest.raises((Damaged, Broken)):
        replay(disk, "house", RaisingCell(SIZES), lambda: 0)


# --- how it is written -------------------------------------------------------------------------------------------------------------------------------

def test_the_records_of_the_log_stay_what_was_hashed():
    made = house()
    disk = killed(made, transfer(made, POISON))
    opened(disk)
    entries = [entry for chunk in Replay(disk, "house/log", unproven=True).chunks() for entry in chunk]
    skip = decisions(disk, "house/log")[0].decision
    (holding,) = (entry for entry in entries if entry.first_sequence <= skip.sequence <= entry.last_sequence)
    assert not (commands_of(holding)["flags"] & SKIPPED).any() and (commands_of(holding, {skip.sequence})["flags"] & SKIPPED).all()
    assert decode(bytes(holding.data)).own_hash == holding.own_hash


def test_a_decision_that_cannot_be_read_is_no_decision():
    fields = dict(cell=1, epoch=1, first_sequence=1, time=1, committed=0, previous_hash=bytes(32), fingerprint=bytes(32), results_hash=bytes(32),
                  records=bytes(128))
    with pytest.raises(EntryError, match="flags: 0x2"):
        seal(**fields, flags=2)
    from cambist.log.decisions import decision_of
    for side in (b"\2\0\0\0{}\0\0", b""):
        with pytest.raises(EntryError):
            decision_of(seal(**fields, side=side, flags=DECIDES))
    assert decision_of(seal(**fields)) is None


def test_who_is_to_blame_is_named_with_all_of_its_group():
    rows = np.concatenate([command(K.TRANSFER, id_lo=i) for i in range(1, 6)])
    rows["flags"][[1, 2]] = GROUP_MORE
    entry = seal(cell=1, epoch=1, first_sequence=10, time=1, committed=9, previous_hash=bytes(32), fingerprint=bytes(32), results_hash=bytes(32),
                 records=rows.view(np.uint8))
    spans = [(s.sequence, s.count) for at in range(10, 15) if isinstance(s := skip_of(entry, Died(at, "it died")), Skip)]
    assert spans == [(10, 1), (11, 3), (11, 3), (11, 3), (14, 1)]
    seen = []
    class Quiet:
        def run(self, records, time):
            yield from ()
    one_by_one(Quiet(), entry, (), seen.append)
    assert seen == [10, 11, 14]
