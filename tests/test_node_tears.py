"""A journalled run that dies at every storage call, with every tear of its last write at 512 bytes: nothing told is lost, nothing counts twice.

The run has several lives: it rolls segments, follows its own log with snapshots, closes, opens again, dies in the middle of a write, recovers from the torn
disk. Before each changing call, of recovery and of the follower too, the machine dies: with the last write torn in every way while all before it is there, with
any part of what was not synced, and with only the process killed.
"""
import contextlib
import random

import numpy as np
import pytest

from cambist.door.protocol import Code
from cambist.feeds.streams import ALL
from cambist.follower import Follower
from cambist.log.journal import segment_names
from cambist.log.pair import Copy
from cambist.messages import EVENT, Event
from cambist.node import Node, close_node

from tests.log.crash_disk import Crash, CrashDisk
from tests.test_node import Adder, opened, orders

MIRROR = "elsewhere/log"
SEGMENT_BYTES = 1 << 13


def told_by(node: Node) -> np.ndarray:
    """Every event that the node can tell, in order."""
    parts, number = [np.empty(0, EVENT)], 1
    while number <= node.streams.last_number(ALL):
        parts.append(node.streams.read(ALL, number).events)
        number += len(parts[-1])
    return np.concatenate(parts)


class Run:
    """Steps of a few submits each, some of several entries' size. `each`: of all deaths, one in so many is looked at."""
    def __init__(self, mirrored: bool, seed: int = 7, each: int = 1):
        self.rng, self.each = random.Random(seed), each
        self.asked: list[int] = []                      # ids in the order in which they are in the log
        self.under_way: list[int] = []                  # and those whose step has not come back
        self.told = np.empty(0, EVENT)
        self.next_id = 1
        self.calls = self.deaths = self.looked_at = self.found = self.segments = 0
        self.take(CrashDisk(), CrashDisk() if mirrored else None)

    def take(self, disk: CrashDisk, second: CrashDisk | None) -> None:
        self.disk, self.second = disk, second
        for each in (disk, second):
            if each:
                each.keeps_before, each.before_call = True, self.look

    def node(self, disk: CrashDisk, second: CrashDisk | None) -> Node:
        return opened(disk, SEGMENT_BYTES, reserves=(4096, 4096), mirror=Copy(second, MIRROR) if second else None)

    def go(self, steps: int) -> None:
        """A life that ends well, one that does not, and one that has to recover."""
        close_node(self.live(self.node(self.disk, self.second), steps))
        node = self.live(self.node(self.disk, self.second), steps)
        self.disk.crash_at = self.disk.calls + 1
        with contextlib.suppress(Crash):
            self.step(node, self.fresh(30))
        torn = [*self.disk.tears(), self.disk.after_power_loss(1)]
        self.take(torn[len(torn) // 2], self.second.after_power_loss(1) if self.second else None)
        node = self.node(self.disk, self.second)
        there = told_by(node)
        assert there[:len(self.told)].tobytes() == self.told.tobytes()
        self.told, self.asked = there, there["id_lo"].tolist()
        self.step(node, self.under_way)                 # whoever was not answered asks again
        close_node(self.live(node, steps))
        for disk in (self.disk, self.second):           # after the very last call
            if disk:
                self.look(disk)
        self.segments = len(segment_names(self.disk, "house/log"))

    def live(self, node: Node, steps: int) -> Node:
        follower = Follower(self.disk, "house", number=3, fresh=Adder, load=Adder.load, every_entries=5)
        for _ in range(steps):
            self.step(node, self.fresh(self.rng.choice((1, 3, 12, 30))))
            while follower.step(0).entries:
                continue
        node.results.sync()
        follower.close()
        return node

    def fresh(self, count: int) -> list[int]:
        self.next_id += count
        return list(range(self.next_id - count, self.next_id))

    def step(self, node: Node, ids: list[int]) -> None:
        self.under_way = ids
        assert node.submit(orders(*ids)) is Code.NONE
        self.told = np.concatenate([self.told, *(told.events for told in node.step(node.clockwork.last + 1))])
        self.asked += ids
        self.under_way = []

    def look(self, dying: CrashDisk) -> None:
        self.calls += 1
        other = self.second if dying is self.disk else self.disk
        for torn in (*dying.tears(), dying.after_kill(), dying.after_power_loss(self.deaths)):
            self.deaths += 1
            if self.rng.randrange(self.each):
                continue
            rest = None if other is None else self.rng.choice((other.after_kill, lambda: other.after_power_loss(self.deaths)))()
            self.check(*((torn, rest) if dying is self.disk else (rest, torn)))

    def check(self, disk: CrashDisk, second: CrashDisk | None) -> None:
        self.looked_at += 1
        node = self.node(disk, second)
        whole, ids = told_by(node), [*self.asked, *self.under_way]
        assert whole[:len(self.told)].tobytes() == self.told.tobytes()      # all that was told is told again, in its place
        assert whole["id_lo"].tolist() == ids[:len(whole)]                  # and nothing twice, nothing that was not asked
        self.found += len(whole) > len(self.told)
        if ids:                                                             # what was not answered is asked again, and counts once
            again = self.under_way or ids[-1:]
            node.submit(orders(*again))
            node.step(node.clockwork.last + 1)
            events = told_by(node)
            counted = events[events["kind"] == Event.DONE]["id_lo"].tolist()
            assert counted == list(dict.fromkeys(ids))[:len(counted)] and set(again) <= set(counted)
        node.log._lock.release()

    def said(self) -> str:
        return (f"{self.calls} calls, {self.deaths} deaths, {self.looked_at} looked at, {self.found} after something durable that nobody had been told; "
                f"{self.segments} segments")


@pytest.mark.parametrize(("mirrored", "each"), [(False, 1), (True, 5)])
def test_at_every_storage_call_with_every_tear_of_the_last_write(mirrored, each):
    run = Run(mirrored, each=each)
    run.go(4)
    print(run.said())
    assert run.calls > 150 and run.looked_at > 300 and run.found > 50 and run.segments > 2


@pytest.mark.hunt
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_longer_runs_at_every_storage_call_with_every_tear(mirrored, seed):
    run = Run(mirrored, seed)
    run.go(14)
    print(run.said())
    assert run.looked_at == run.deaths > 2000


def test_a_tear_is_what_it_says():
    disk = CrashDisk()
    disk.keeps_before = True
    disk.make_directory("d")
    file = disk.create("d/f", 4096)
    file.sync()
    file.pwrite(b"\1" * 1200, 300)
    seen = {bytes(each.names["d/f"].live)[300:1500] for each in disk.tears()}
    ones, zeros = (lambda n: b"\1" * n), bytes
    sizes = (212, 512, 476)
    assert {zeros(1200), ones(1200), ones(212) + zeros(988), ones(724) + zeros(476), zeros(212) + ones(988), zeros(724) + ones(476),
            ones(212) + zeros(512) + ones(476)} == seen and sum(sizes) == 1200
    file.sync()
    assert list(disk.tears()) == []
