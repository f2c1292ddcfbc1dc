"""The node with a small fake core: what is told is durable, what was told is told again after any crash, and what must not enter stays out."""
import asyncio
import contextlib
import threading

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from cambist.door.client_shell import Client, RefusedByDoor
from cambist.door.protocol import Code, Role, StreamKind, attach
from cambist.feeds.streams import ALL, account_row
from cambist.follower import Follower
from cambist.log import snapshot
from cambist.log.disk import DiskFailed
from cambist.log.disk_shell import RealDisk
from cambist.log.entry import MAX_ENTRY_BYTES, MAX_RECORDS, side_item
from cambist.log.replay import Replay
from cambist.messages import COMMAND, EVENT, GROUP_MORE, Event, Kind, command
from cambist.node import STEP_NS, Broken, Node, close_node, cut, open_node
from cambist.node_shell import serve
from tests.log.crash_disk import Crash, CrashDisk

SECOND = 1_000_000_000
LARGE = 16 << 20                                        # a segment that takes all that may be staged


class Adder:
    """A core that adds up client ids, and answers every command with the sum so far. A duplicate id is answered DUPLICATE."""
    fingerprint = bytes(range(32))

    def __init__(self):
        self.sequence = self.time = self.total = 0
        self.first: dict[tuple[int, int], int] = {}
        self.groups_cut, self.looks = 0, []

    def run(self, records, time):
        assert records.dtype == COMMAND and records.flags.writeable and time >= self.time
        events, self.time = np.zeros(len(records), EVENT), time
        self.groups_cut += bool(records["flags"][-1] & GROUP_MORE)
        for row, event in zip(records, events, strict=True):
            self.sequence += 1
            key = int(row["account"]), int(row["id_lo"])
            again = self.first.get(key) if key[1] else None
            self.first.setdefault(key, self.sequence)
            self.total += 0 if again else key[1]
            event["kind"], event["other"] = (Event.DUPLICATE, again) if again else (Event.DONE, 0)
            event["account"], event["id_lo"], event["command"], event["sequence"], event["amount"] = *key, row["kind"], self.sequence, self.total
        yield events

    def tables(self, names=()):
        self.looks.append(tuple(names))
        answers = np.array([(a, 0, i, s, 0) for (a, i), s in sorted(self.first.items())], np.int64).reshape(-1, 5)
        return {"cell": (1, ("time", "sequence", "total"), np.array([[self.time, self.sequence, self.total]], np.int64)),
                "answers": (1, ("account", "id_hi", "id_lo", "sequence", "accepted_at"), answers)}

    @classmethod
    def load(cls, tables):
        cell = cls()
        (cell.time, cell.sequence, cell.total), = tables["cell"][2].tolist()
        cell.first = {(a, i): s for a, _, i, s, _ in tables["answers"][2].tolist()}
        return cell


def opened(disk, segment_bytes=1 << 14, **wanted) -> Node:
    return open_node(disk, "house", number=3, epoch=1, fresh=Adder, load=Adder.load, segment_bytes=segment_bytes, **wanted)


def orders(*ids, account=1):
    return np.concatenate([command(Kind.CANCEL_ORDER, account=account, actor=1, id_lo=i) for i in ids])


def group(size):
    rows = np.repeat(command(Kind.TRANSFER, account=1, actor=1), size)
    rows["flags"][:-1] = GROUP_MORE
    return rows


def entries_of(disk):
    return [entry for chunk in Replay(disk, "house/log", unproven=True).chunks() for entry in chunk]


def test_one_step_takes_everything_staged_into_one_entry():
    node = opened(CrashDisk())
    assert node.step(5) == []
    assert node.submit(orders(1, 2)) is Code.NONE and node.submit(orders(3, account=2)) is Code.NONE
    [told] = node.step(10)
    assert (told.first, told.last, told.time) == (1, 3, 10) and told.events["amount"].tolist() == [1, 3, 6]
    assert node.streams.read(account_row(2), 1).events["id_lo"].tolist() == [3] and node.staged == 0


def test_nothing_is_applied_before_it_is_durable():
    disk = CrashDisk()
    node = opened(disk)
    node.submit(orders(1))
    disk.fail_sync_at = disk.syncs + 1
    with pytest.raises(DiskFailed):
        node.step(1)
    assert node.cell.sequence == 0 and node.streams.position == 0
    assert node.submit(orders(2)) is Code.STOPPED and "sequence 1" in node.stopped


@settings(max_examples=40)
@given(st.integers(1, 400), st.integers(0, 2**32))
def test_after_any_crash_what_was_told_is_told_again(crash_at, seed):
    disk, told, sent = CrashDisk(crash_at=crash_at), [], 0
    with contextlib.suppress(Crash):
        node = opened(disk)
        for i in range(1, 30):
            sent = i
            node.submit(orders(3 * i, 3 * i + 1, 3 * i + 2, account=i % 3 + 1))
            told += node.step(i * 100)
    for after in (disk.after_power_loss(seed), disk.after_kill()):
        node = opened(after)
        whole = node.streams.read(ALL, 1).events
        known = np.concatenate([np.empty(0, EVENT), *(t.events for t in told)])
        assert whole[:len(known)].tobytes() == known.tobytes()          # all that was told, and of the rest only what had been sent
        assert len(whole) <= 3 * sent and node.cell.sequence == len(whole)
        node.submit(orders(1000))
        [again] = node.step(50)
        assert again.events["amount"].tolist() == [sum(range(3, 3 + len(whole))) + 1000]


def test_results_that_were_lost_are_rebuilt():
    disk = CrashDisk()
    node = opened(disk)
    for i in range(1, 6):
        node.submit(orders(i))
        node.step(i)
    before = node.streams.read(ALL, 1).events.tobytes()
    close_node(node)
    [name] = [n for n in disk.names if n.endswith(".cbr")]
    disk.names[name].live = disk.names[name].live[:-150]
    node = opened(disk)
    assert node.results.cut is not None and node.results.position.sequence == 5 and node.streams.read(ALL, 1).events.tobytes() == before


def test_a_difference_from_what_was_told_refuses_to_start_and_names_the_sequence():
    disk = CrashDisk()
    node = opened(disk)
    node.submit(orders(1, 2, 3))
    node.step(1)
    close_node(node)

    class Other(Adder):
        def run(self, records, time):
            for events in super().run(records, time):
                events["amount"][1] += 1
                yield events

    with pytest.raises(Broken, match="sequence 2"):
        open_node(disk, "house", number=3, epoch=1, fresh=Other, load=Other.load, segment_bytes=1 << 14)
    assert opened(disk).cell.sequence == 3              # and nothing was locked or changed


def test_a_core_that_breaks_stops_the_node():
    node = opened(CrashDisk())
    node.cell.run = lambda records, time: 1 // 0
    node.submit(orders(1))
    with pytest.raises(ZeroDivisionError):
        node.step(1)
    assert node.submit(orders(2)) is Code.STOPPED and "sequence 1" in node.stopped


# -------------------------------------------------------------------------------------------------------------------------------- what enters
def test_groups_are_never_split():
    node = opened(CrashDisk(), LARGE, most=3 * MAX_RECORDS)
    node.submit(orders(*[0] * (MAX_RECORDS - 30)))
    node.submit(group(64))
    node.submit(np.repeat(orders(0), MAX_RECORDS))
    told = node.step(1)
    assert [t.last - t.first + 1 for t in told] == [MAX_RECORDS - 30, MAX_RECORDS, 64] and node.cell.groups_cut == 0


@given(st.lists(st.tuples(st.sampled_from([1, 5, 64, 900, 1024]), st.booleans(), st.integers(0, 4000)), max_size=25))
def test_entries_are_cut_whole_whatever_was_staged(submits):
    node = opened(CrashDisk(), LARGE)
    for i, (size, grouped, attached) in enumerate(submits):
        rows = group(min(size, 64)) if grouped else np.repeat(orders(0), size)
        section, named = attach([bytes([i]) * attached]) if attached else (b"", [0])
        rows["attachment"], rows["received"] = named[0], i
        assert node.submit(rows, section) in (Code.NONE, Code.OVERLOAD)
    entries = node.seal(1)
    for entry in entries:
        rows = np.frombuffer(entry.records, COMMAND)
        assert len(entry.data) <= MAX_ENTRY_BYTES and not rows["flags"][-1] & GROUP_MORE
        for row in rows[rows["attachment"] > 0][::50]:
            item = side_item(entry, int(row["attachment"]))
            assert item == bytes([int(row["received"])]) * submits[int(row["received"])][2]
    if entries:
        node.commit(entries)


def test_a_group_left_open_is_refused_whole():
    node = opened(CrashDisk())
    assert node.submit(group(3)[:2]) is Code.MALFORMED and node.staged == 0


def test_staging_has_a_maximum():
    node = opened(CrashDisk(), most=10)
    assert node.submit(orders(*range(1, 9))) is Code.NONE
    assert node.submit(orders(1, 2, 3)) is Code.OVERLOAD and node.staged == 8
    assert node.submit(orders(1, 2)) is Code.NONE
    node.step(1)
    assert node.submit(orders(1, 2, 3)) is Code.NONE


def test_a_full_disk_refuses_new_business_and_takes_what_was_let_in():
    disk = CrashDisk(capacity=1 << 20)
    node = opened(disk, 1 << 18)
    sent, code = 0, Code.NONE
    while code is Code.NONE and sent < 30_000:
        code = node.submit(np.repeat(orders(0), 200))
        sent += 200 if code is Code.NONE else 0
        if node.staged >= 600 or code:
            entries = node.seal(1)
            if entries:
                node.commit(entries)
    assert code is Code.DISK_FULL and node.log.position.sequence == sent and not node.stopped


def test_a_question_looks_at_its_own_tables_and_once_until_the_cell_moves_on():
    node = opened(CrashDisk())
    for i in (1, 2):
        node.submit(orders(i))
        node.step(i)
        for _ in range(3):
            node.view("answer", b'{"account": 1, "id_hi": 0, "id_lo": 1}')
        assert node.cell.looks == [("answers",)] * i
    assert b'"answers":2' in node.view("rows", b"")[1] and node.cell.looks[2:] == [()]


def test_a_closing_node_says_so():
    node = opened(CrashDisk())
    node.closing = True
    assert node.submit(orders(1)) is Code.CLOSING


def test_a_cut_of_nothing_is_nothing():
    assert list(cut(np.zeros(0, COMMAND))) == []


# ----------------------------------------------------------------------------------------------------------------------------------- the time
def test_time_never_goes_back():
    node = opened(CrashDisk())
    times = []
    for wall in (100, 90, 110, 50):
        node.submit(orders(1))
        times += [t.time for t in node.step(wall)]
    assert times == [100, 100, 110, 110]


@pytest.mark.parametrize("step", [-STEP_NS - 1, STEP_NS + 1])
def test_a_clock_that_steps_stops_sealing_and_says_so(step):
    node = opened(CrashDisk())
    node.submit(orders(1))
    node.step(100 * SECOND, 0)
    node.submit(orders(2))
    with pytest.raises(Broken, match="clock stepped"):
        node.step(101 * SECOND + step, SECOND)
    assert node.submit(orders(3)) is Code.STOPPED and "clock" in node.stopped
    with pytest.raises(Broken):
        node.step(101 * SECOND, SECOND)


def test_a_clock_that_is_slewed_does_not():
    node = opened(CrashDisk())
    for i in range(1, 10):
        node.submit(orders(i))
        assert node.step(100 * SECOND * i + i * STEP_NS, 100 * SECOND * i)


def test_a_tick_moves_time_when_nothing_else_does():
    node = opened(CrashDisk(), ticker=7)
    assert node.tick_if_idle(2 * SECOND) and not node.tick_if_idle(2 * SECOND)
    node.step(2 * SECOND)
    assert not node.tick_if_idle(3 * SECOND - 1) and node.tick_if_idle(3 * SECOND)
    node.step(3 * SECOND)
    assert [(int(r["kind"]), int(r["actor"])) for e in entries_of(node.log._disk) for r in np.frombuffer(e.records, COMMAND)] == [(Kind.TICK, 7)] * 2


# ------------------------------------------------------------------------------------------------------------------------------- the follower
def eleven_and_a_follower(disk: CrashDisk) -> tuple[Node, Follower]:
    """A node that has applied eleven entries, and a follower that has looked at none."""
    node = opened(disk)
    follower = Follower(disk, "house", number=3, fresh=Adder, load=Adder.load, every_entries=4)
    for i in range(1, 12):
        node.submit(orders(i))
        node.step(i)
    return node, follower


def test_the_follower_checks_and_saves_and_the_node_starts_from_it():
    disk = CrashDisk()
    node, follower = eleven_and_a_follower(disk)
    step = follower.step(0)
    assert (step.entries, step.checked) == (10, 10) and step.saved.sequence == 10       # the last is not yet called committed by anyone
    close_node(node)
    node = opened(disk)
    assert node.cell.sequence == 11 and node.cell.total == sum(range(1, 12))
    assert snapshot.newest(disk, "house/snapshots")[0].manifest.sequence == 10


def test_a_follower_that_begins_while_lost_results_are_written_again_waits_for_them():
    """Found by the simulator: its snapshot was ahead of the results there were, and the streams it numbers met a gap."""
    disk = CrashDisk()
    node, follower = eleven_and_a_follower(disk)
    assert follower.step(0).saved
    close_node(node)
    for name in [name for name in disk.names if name.startswith(("house/results/", "house/stream-numbers/snapshot"))]:
        del disk.names[name]
    late = Follower(disk, "house", number=3, fresh=Adder, load=Adder.load, every_entries=4)
    assert late.checked == 10 and late.step(0).checked == 10
    node = opened(disk)
    for i in range(12, 16):
        node.submit(orders(i))
        node.step(i)
    assert late.step(1).checked == 14 and late.cell.total == sum(range(1, 15))
    close_node(node)


def test_the_follower_stops_at_a_difference():
    disk = CrashDisk()
    node = opened(disk)
    follower = Follower(disk, "house", number=3, fresh=Adder, load=Adder.load)
    for i in range(1, 4):
        node.submit(orders(i))
        node.step(i)
    follower.cell.total = 1
    with pytest.raises(Broken, match="sequence 1"):
        follower.step(0)


# --------------------------------------------------------------------------------------------------------------------- threads and a real socket
@contextlib.contextmanager
def running(tmp_path, **wanted):
    """A node with its threads behind a real socket; yields the path."""
    node = open_node(RealDisk(), str(tmp_path / "house"), number=3, epoch=1, fresh=Adder, load=Adder.load, lock=threading.Lock(), **wanted)
    path, ready, ended = str(tmp_path / "door" / "s"), threading.Event(), []

    async def main():
        stop = asyncio.Event()
        ended.append((asyncio.get_running_loop(), stop))
        serving = asyncio.ensure_future(serve(node, path, stop=stop))
        while not (tmp_path / "door" / "s").exists() and not serving.done():
            await asyncio.sleep(0.005)
        ready.set()
        await serving

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    ready.wait(10)
    try:
        yield path
    finally:
        loop, stop = ended[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        close_node(node)
    assert not thread.is_alive()


def test_a_client_submits_hears_asks_again_and_reads(tmp_path):
    with running(tmp_path) as path, Client(path, Role.SERVICE) as client:
        assert client.welcome.cell == 3
        first = client.submit_and_wait(orders(5))       # asked again where the machine is slow: then it is counted once all the same
        assert first.events["amount"].tolist() == [5] and first.events["sequence"].tolist() == [0]
        again = client.submit_and_wait(orders(5))       # the same bytes get the first answer
        assert again.events["amount"].tolist() == [5]
        assert client.submit(orders(7)) == 1
        assert client.read("answer", 3, sequence=1)[0] >= 3         # waits until it is there
        assert client.submit(np.repeat(orders(0, account=2), 5000)) == 5000
        heard = 0
        for batch in client.batches(client.subscribe(StreamKind.ALL), 20.0):
            heard += len(batch.events)
            if heard >= 5003:
                break
        assert heard >= 5003 and client.read("answer", 5003, sequence=1)[0] >= 5003          # what was told is there for whoever asks
        with pytest.raises(RefusedByDoor, match="UNKNOWN_VIEW"):
            client.read("nothing")
        with pytest.raises(RefusedByDoor, match="NOT_YET"):
            client.read("answer", 10**9, sequence=1)
    with running(tmp_path) as path, Client(path, Role.SERVICE) as client:
        assert client.submit_and_wait(orders(6)).events["amount"].tolist() == [18]


def test_a_client_whose_node_went_away_holds_an_unknown(tmp_path):
    with running(tmp_path) as path:
        client = Client(path)
    assert client.submit_and_wait(orders(5), timeout=0.3).events is None
