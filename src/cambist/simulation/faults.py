"""Which faults there are, how often each comes in a run, and how often it came.

Decides when something goes wrong, from a seed alone. It must not know what the fault does: that is the disk's, the loop's, the venues' and the house's.
A run draws which classes it has at all, and how strong each is, so that some runs have one fault many times and some have all of them (swarm testing).
"""
from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

from cambist.log.disk import DiskFailed
from cambist.simulation.clock import VirtualClock
from cambist.simulation.virtual_disk import VirtualDisk

MS = 1_000_000
# name -> (what it is, about how often: for faults of storage calls per call, of messages and requests per piece, of the clock and the house per second)
CLASSES: dict[str, tuple[str, float]] = {
    "kill": ("the process dies after a storage call; what was written stays", 1 / 600),
    "power": ("the machine dies after a storage call; what was not synced survives in any part, torn and reordered sector by sector", 1 / 450),
    "eio": ("a storage call fails", 1 / 1000),
    "full": ("no room is left, for a while", 0.08),
    "slow": ("a storage call takes long, and the node's one thread with it", 1 / 40),
    "lost": ("a write is acknowledged and never reaches the medium", 1 / 1000),
    "misdirected": ("a sector of a write lands where something else was", 1 / 1500),
    "rot": ("a bit of what is stored turns", 0.25),
    "reset": ("a connection breaks, with what was on its way", 0.35),
    "stall": ("a connection carries nothing, for a while or until it is given up", 0.1),
    "late": ("what is sent arrives late", 1 / 40),
    "split": ("what is sent arrives in pieces", 1 / 8),
    "double": ("a client sends the same bytes twice", 1 / 25),
    "reorder": ("messages of different connections overtake one another", 1 / 10),
    "nudge": ("the wall clock is set by less than a second", 0.2),
    "jump": ("the wall clock is set by up to an hour", 0.06),
    "reader": ("a client does not read for a while", 0.2),
    "gateway": ("the gateway's process dies", 0.12),
    "desk": ("the desk's process dies", 0.12),
    "follower": ("the follower's process dies", 0.08),
    "stop": ("the node is stopped in good order, and started again", 0.1),
    "venue-lost": ("a venue's answer never comes", 1 / 12),
    "venue-double": ("a venue says the same twice", 1 / 12),
    "venue-late": ("a venue's answer comes late", 1 / 10),
    "venue-lies": ("a venue contradicts itself", 1 / 60),
    "poison": ("the core dies in a command, each time it is tried", 0.04),
    "overload": ("far more requests at the gateway than it lets in", 0.15),
    "away": ("the process dies when a client's request is durable and nobody was told, and stays away for longer than a gateway waits", 1 / 100),
}
BEFORE_A_SYNC = 6.0                                             # how much more often a process dies between a write to the log and its sync
GENTLE = frozenset({"kill", "away", "slow", "reset", "late", "split", "double", "reorder", "nudge", "reader", "gateway", "desk", "follower", "stop"})
LYING = frozenset({"lost", "misdirected", "rot"})               # only a second copy can tell them in every case


class UnknownFault(ValueError):
    """Says which names there are."""


def chosen(text: str) -> frozenset[str]:
    """`all`, `none`, `gentle`, or names with commas; a minus takes one out: `all,-rot`."""
    names: set[str] = set()
    for word in (word.strip() for word in text.split(",") if word.strip()):
        out, name = word.startswith("-"), word.removeprefix("-")
        some = {"all": set(CLASSES), "none": set(), "gentle": set(GENTLE)}.get(name, {name})
        if unknown := some - set(CLASSES):
            raise UnknownFault(f"no fault {', '.join(sorted(unknown))}; there are all, none, gentle, {', '.join(CLASSES)}")
        names = names - some if out else names | some
    return frozenset(names)


class Faults:
    """The plan of one run. `hits(name)` is asked wherever the fault could happen."""
    def __init__(self, seed: int, allowed: Iterable[str]) -> None:
        self.count: Counter[str] = Counter()
        self.on = True
        draw = stream(seed, "faults")
        drawn = {name: rate * draw.choice((0.3, 1.0, 2.0)) * (draw.random() < 0.6) for name, (_, rate) in CLASSES.items()}
        self.rates = {name: rate for name, rate in drawn.items() if name in allowed and rate}      # the others' do not depend on what is allowed
        self.chances = {name: stream(seed, f"fault {name}") for name in CLASSES}

    def hits(self, name: str, share: float = 1.0) -> bool:
        """Whether it happens now; `share` of a second for those that are counted by time."""
        rate = self.rates.get(name, 0.0)
        if not rate or not self.on or self.chances[name].random() >= rate * share:
            return False
        self.count[name] += 1
        return True

    def between(self, name: str, low: int, high: int) -> int:
        return self.chances[name].randint(low, high)


def stream(seed: int, name: str) -> random.Random:
    """A stream of chance of its own, so that one part drawing more does not change another. The same for every order of Python's hashes."""
    return random.Random(f"{seed} {name}")


POISON = 0xDEAD                                 # as the decider of a command: what the brittle core dies in


class DiskTrouble:
    """What goes wrong with storage, call by call."""
    def __init__(self, faults: Faults, clock: VirtualClock, dies: Death) -> None:
        self._faults, self._clock, self._dies = faults, clock, dies

    def before(self, disk: VirtualDisk, call: str, path: str, nbytes: int) -> None:
        self._dies.check()
        if self._faults.hits("slow"):
            self._clock.advance(self._faults.between("slow", 1, 400) * MS)
        if self._faults.hits("eio"):
            raise DiskFailed(call, path, "input/output error")

    def lies(self, disk: VirtualDisk, path: str, offset: int, nbytes: int) -> str:
        if not path.endswith((".cbj", ".cbr")) or path.endswith("spare.cbj"):
            return ""
        return "lost" if self._faults.hits("lost") else "misdirected" if offset > 1024 and self._faults.hits("misdirected") else ""

    def after(self, disk: VirtualDisk, call: str, path: str) -> None:
        if self._faults.hits("kill", BEFORE_A_SYNC if call == "pwrite" and "/journal-0" in path else 1.0):
            self._dies.by_kill()
        elif self._faults.hits("power"):
            self._dies.by_power()


class Death:
    """Who is told that a process or the machine dies; each raises Crash."""
    def check(self) -> None:
        """Raises Crash in a process that is dead already."""
        raise NotImplementedError

    def by_kill(self) -> None:
        raise NotImplementedError

    def by_power(self) -> None:
        raise NotImplementedError


class Wires:
    """How connections behave: a little latency, and now and then late or in pieces."""
    def __init__(self, faults: Faults, seed: int) -> None:
        self._faults, self._chance = faults, stream(seed, "wires")

    def latency(self) -> int:
        ns = 20_000 + int(self._chance.random() * 60_000)
        if self._faults.hits("late"):
            return ns + self._faults.between("late", 1, 300) * MS
        return ns + self._faults.between("reorder", 0, 3) * MS if self._faults.hits("reorder") else ns

    def split(self, nbytes: int) -> int:
        return self._faults.between("split", 1, nbytes) if nbytes > 1 and self._faults.hits("split") else nbytes
