"""A journalled run that dies at every storage call, with every tear of its last write at 512 bytes: nothing told is lost, nothing counts twice."""
import random

import numpy as np
import pytest

from cambist.door.protocol import Code
from cambist.feeds.streams import ALL
from cambist.log.pair import Copy
from cambist.messages import EVENT, Event
from cambist.node import Node

from tests.log.crash_disk import CrashDisk
from tests.test_node import opened, orders

MIRROR = "elsewhere/log"
STEPS = 12


class Run:
    """Steps of a few submits each, some of several entries' size; before each storage call the machine dies in every way, and what is left goes on."""
    def __init__(self, mirrored: bool):
        self.disk, self.second = CrashDisk(), CrashDisk() if mirrored else None
        self.disk.keeps_before = True
        self.disk.before_call = self.look
        if self.second:
            self.second.keeps_before, self.second.before_call = True, self.look
        self.sent: list[list[int]] = []                 # ids of each step
        self.told: list[np.ndarray] = []
        self.deaths = self.found = 0
        self.rng = random.Random(7)

    def node(self, disk: CrashDisk, second: CrashDisk | None) -> Node:
        return opened(disk, 1 << 14, mirror=Copy(second, MIRROR) if second else None)

    def go(self) -> None:
        node, next_id = self.node(self.disk, self.second), 1
        for step in range(STEPS):
            ids = list(range(next_id, next_id + self.rng.choice((1, 3, 12, 30))))
            next_id += len(ids)
            self.sent.append(ids)
            assert node.submit(orders(*ids)) is Code.NONE
            self.told += [told.events for told in node.step(step + 1)]
        node.results.sync()

    def look(self, dying: CrashDisk) -> None:
        other = self.second if dying is self.disk else self.disk
        for torn in [*dying.tears(), dying.after_kill(), dying.after_power_loss(self.deaths)]:
            rest = None if other is None else self.rng.choice((other.after_kill, lambda: other.after_power_loss(self.deaths)))()
            self.check(*((torn, rest) if dying is self.disk else (rest, torn)))

    def check(self, disk: CrashDisk, second: CrashDisk | None) -> None:
        self.deaths += 1
        node = self.node(disk, second)
        known = np.concatenate([np.empty(0, EVENT), *self.told])
        whole = node.streams.read(ALL, 1).events
        assert whole[:len(known)].tobytes() == known.tobytes()              # all that was told is told again, in its place
        asked = [i for ids in self.sent for i in ids]
        assert whole["id_lo"].tolist() == asked[:len(whole)]                # and nothing twice, nothing that was not asked
        self.found += len(whole) > len(known)
        if self.sent:                                                       # what was not answered is asked again, and counts once
            node.submit(orders(*self.sent[-1]))
            node.step(1000)
            counted = node.streams.read(ALL, 1).events
            counted = counted[counted["kind"] == Event.DONE]["id_lo"].tolist()
            assert counted == asked[:len(counted)] and set(self.sent[-1]) <= set(counted)
        node.log._lock.release()


@pytest.mark.parametrize("mirrored", [False, True])
def test_at_every_storage_call_with_every_tear_of_the_last_write(mirrored):
    run = Run(mirrored)
    run.go()
    print(f"{run.deaths} deaths, {run.found} of them after something durable that nobody had been told")
    assert run.deaths > 300 and run.found > 5


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
