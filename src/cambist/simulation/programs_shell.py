"""Programs outside the node, in the loop: each has a connection of its own, sends what its trader wants, and keeps account of what it was told.

Decides how a client behaves that does it right: numbered requests in order, the same bytes again when nothing was heard, a stream resumed from its cursor.
It must not know what a command means. What a client may rely on is checked here: each number answered once, nothing told twice, nothing taken back.
"""
from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from cambist.door.client import Code, DoorClosed, Events, Refused, RefusedByDoor, Role, StreamKind
from cambist.door.link_shell import Answer, Link
from cambist.messages import COMMAND, CONFIGURE, COUNTED_ONCE, FACTS, GROUP_MORE, NUMBERED, Event, Kind, Reason
from cambist.rows import joined
from cambist.simulation.clock import VirtualClock
from cambist.simulation.faults import POISON, Faults
from cambist.simulation.workload import Ask, Staff, Told, Trader, record, told

SECOND = 1_000_000_000
AGAIN_SECONDS = 0.05                            # before what the door did not take goes again
LOST_SHARE = 0.01
LOOK_EVENTS = 20                                # that a reader looks at
UNHEARD_SECONDS = 0.5                            # for an answer that goes to another account than the one that was named
WINDOW = 64                                     # numbered requests without an answer
LINK: dict[str, Any] = {"ping": 0.5, "silent": 1.5}             # seconds; a simulated second costs little, waiting for nothing costs something


class World(Protocol):
    """What programs are given of the house: the clock, the faults, whether there is still something to do, and who keeps count."""
    clock: VirtualClock
    faults: Faults
    door: str
    def wanted(self, count: int = 1) -> bool:
        """Whether so many more commands belong to this run."""
        ...
    def sent(self, by: str, records: np.ndarray) -> None: ...
    def heard(self, by: str, stream: tuple[StreamKind, int], batch: Events) -> None: ...
    def wrong(self, what: str) -> None: ...
    @property
    def calm(self) -> bool: ...


class Program:
    """One connection, one stream, one trader."""
    def __init__(self, world: World, name: str, chance: random.Random, stream: tuple[StreamKind, int], hear: Callable[[Told], None]) -> None:
        self.world, self.name, self.chance, self.stream, self._hear = world, name, chance, stream, hear
        self.link: Link
        self._cursor = 1

    async def live(self) -> None:
        """Until its process ends."""
        self.link = Link(self.world.door, Role.SERVICE, **LINK)
        self.link.on_change.append(self.changed)
        self.link.follow(*self.stream, self._cursor, self._batch, self._lost, patient=True)
        while not self.link.connected:
            try:
                await self.link.start(None)
            except DoorClosed:
                await asyncio.sleep(AGAIN_SECONDS)
        while True:
            pause = await self.act()
            await asyncio.sleep(pause)

    def changed(self, connected: bool) -> None:
        """A connection stands, or was lost."""

    async def act(self) -> float:
        """Seconds until it wants to act again."""
        raise NotImplementedError

    def pause(self) -> float:
        """Mostly milliseconds; now and then long enough that something lapses."""
        r = self.chance
        return r.choice((0.2, 0.8, 2.5)) if r.random() < 0.02 else r.random() * 0.1

    def _batch(self, batch: Events) -> None:
        if batch.first != self._cursor:
            self.world.wrong(f"{self.name}: its stream goes on with number {batch.first}; right would be {self._cursor}")
        self._cursor = batch.first + len(batch.events)
        self.world.heard(self.name, self.stream, batch)
        for e in told(batch.events):
            self.event(e)
            self._hear(e)
        if self.world.faults.hits("reader", 0.02):
            self._stop_reading()

    def event(self, e: Told) -> None:
        """Called for each event before the trader hears it."""

    def _stop_reading(self) -> None:
        wire = self.link.wire
        if wire is not None:
            wire.transport.pause_reading()
            asyncio.get_running_loop().call_later(self.world.faults.between("reader", 1, 4000) / 1000, wire.transport.resume_reading)

    def _lost(self, code: Code) -> None:
        self.world.wrong(f"{self.name}: its stream cannot be followed any more from {self._cursor}: {code.name}")


class Session(Program):
    """A program that numbers its requests: it may have many on their way, and sends all that is not answered again, in order, when in doubt."""

    def __init__(self, world: World, trader: Trader, chance: random.Random) -> None:
        super().__init__(world, trader.name, chance, (StreamKind.ACCOUNT, trader.account), trader.hear)
        self.trader = trader
        self.open: dict[int, np.ndarray] = {}                           # number -> record, in order
        self.asked = self.answered = self.again = 0
        self._due = False

    async def act(self) -> float:
        if not self.link.connected:
            return AGAIN_SECONDS
        if self.world.calm and self.open:
            self.resend()
        fresh: list[np.ndarray] = []
        for _ in range(self.chance.choice((1, 1, 2, 4, 8, 16, 32))):
            if len(self.open) + len(fresh) >= WINDOW or not self.world.wanted(len(fresh) + 1):
                break
            self.trader.calm = self.world.calm
            ask = self.trader.next(self.world.clock.wall())
            if ask is not None:
                fresh += self._numbered(ask if isinstance(ask, list) else [ask])
        if fresh:
            records = joined(fresh, COMMAND)
            self.world.sent(self.name, records)
            if self.chance.random() > LOST_SHARE:
                self._post(records)                     # else it went missing on its way, and the next one shows it
            if self.world.faults.hits("double"):
                self._post(records)
        if self.trader.stopped:
            self.trader.stopped = False
            return 0.1 + self.chance.random() * 0.2
        return self.pause()

    def _numbered(self, group: list[Ask]) -> list[np.ndarray]:
        """One record, or a group; of a transfer now and then several."""
        if group[0][0] is Kind.TRANSFER and self.chance.random() < 0.2:
            group = group * self.chance.randint(2, 4)
        out = []
        for i, (kind, fields) in enumerate(group):
            self.asked += 1
            flags = NUMBERED | (GROUP_MORE if i < len(group) - 1 else 0)
            more = {"decider": POISON} if self.world.faults.hits("poison", 0.03) else {}
            self.open[self.asked] = record(kind, {**fields, **more, "flags": flags, "id_lo": self.asked})
            out.append(self.open[self.asked])
        return out

    def _post(self, records: np.ndarray) -> None:
        if self.link.connected:
            self.link.post(records, b"", self._received)

    def _received(self, answer: Answer) -> None:
        if isinstance(answer, Refused):
            self.resend()

    def changed(self, connected: bool) -> None:
        if connected:
            self.resend(0.0)

    def resend(self, after: float = AGAIN_SECONDS) -> None:
        """Everything without an answer, in order, in a moment."""
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_later(after, self._resend)

    def _resend(self) -> None:
        self._due = False
        if self.open and self.link.connected:
            self.again += len(self.open)
            self._post(joined(self.open.values(), COMMAND))

    def event(self, e: Told) -> None:
        if e.kind == Event.TRANSFERRED and e.amount > 0:
            return                                      # another's transfer, which echoes the other's number
        if e.id_hi or not e.command or e.id_lo not in self.open:
            if not e.id_hi and e.command and e.id_lo > self.asked:
                self.world.wrong(f"{self.name}: number {e.id_lo} is answered and was never asked: {e}")
            return
        if e.kind == Event.REFUSED and e.reason == Reason.NUMBER_GAP:
            self.resend()                               # what went missing before it, and it, in order
        elif e.kind == Event.DUPLICATE:
            self.world.wrong(f"{self.name}: number {e.id_lo} is a duplicate, and its first answer was never told")
        elif e.command != int(self.open[e.id_lo]["kind"][0]):
            self.world.wrong(f"{self.name}: number {e.id_lo} asked for a {Kind(int(self.open[e.id_lo]['kind'][0])).name} and is answered as {e.command}")
        else:
            del self.open[e.id_lo]
            self.answered += 1


class Reader(Program):
    """Looks into a stream anywhere, a few events at a time: what was told under a number is told again the same."""
    def __init__(self, world: World, chance: random.Random) -> None:
        super().__init__(world, "reader", chance, (StreamKind.PUBLIC, 0), lambda e: None)
        self._looks = 0

    async def act(self) -> float:
        if self.link.connected and self._cursor > 2 and self.world.wanted():
            self._looks += 1
            seen = 0

            def heard(batch: Events) -> None:
                nonlocal seen
                seen += len(batch.events)
                self.world.heard(self.name, self.stream, batch)
                if seen >= LOOK_EVENTS:
                    looking.close()
            looking = self.link.follow(*self.stream, self.chance.randint(1, self._cursor - 1), heard)
            await asyncio.sleep(0.05)
            looking.close()
        return 0.1 + self.chance.random() * 0.3


class Office(Program):
    """Staff, feeds and custodian: each command has an id of its own and is asked for until its outcome is known; facts are told once, or again."""

    def __init__(self, world: World, staff: Staff, chance: random.Random) -> None:
        super().__init__(world, "office", chance, (StreamKind.ALL, 0), staff.hear)
        self.staff = staff
        self.ids = self.asking = self.unknown = 0
        self._prices_at = 0
        self._restarted = self._funded = False

    async def act(self) -> float:
        now = self.world.clock.wall()
        if not self.link.connected:
            return AGAIN_SECONDS
        if not self._funded:
            self._funded = True
            self._tell([record(kind, fields) for kind, fields in self.staff.funds()])
        if abs(now - self._prices_at) > SECOND * 3 // 2:
            self._prices_at = now
            self._tell([record(kind, fields) for kind, fields in self.staff.prices(now)])
        if self.world.calm and not self._restarted:
            self._restarted = True
            for ask in self.staff.restart(now):
                self._begin(ask)
        self.staff.calm = self.world.calm
        if self.asking < 8 and (self.world.wanted() or self.world.calm):
            ask = self.staff.next(now)
            if ask is not None and not (self.world.calm and ask[0] not in (Kind.APPROVE, Kind.DENY, Kind.RESUME, Kind.REVIVE, Kind.REVIVE_ALL, Kind.SETTLE)):
                self._begin(ask)
        return self.pause() * 0.7

    def _begin(self, ask: Ask) -> None:
        kind, fields = ask
        if kind in FACTS:
            self._tell([record(kind, fields)] * (2 if self.world.faults.hits("double") else 1))
            return
        self.ids += 1
        lives = 20 * SECOND if self.chance.random() < 0.97 else self.chance.choice((-SECOND, 70 * SECOND))
        made = record(kind, {**fields, "id_hi": 5, "id_lo": self.ids, "expires": self.world.clock.wall() + lives})
        self.world.sent(self.name, made)
        asyncio.get_running_loop().create_task(self._ask(made))
        if self.world.faults.hits("double"):
            asyncio.get_running_loop().create_task(self._ask(made))

    def _tell(self, facts: list[np.ndarray]) -> None:
        if not facts:
            return
        records = joined(facts, COMMAND)
        self.world.sent(self.name, records)
        counted = records[np.isin(records["kind"], [int(kind) for kind in COUNTED_ONCE])]

        def heard(answer: Any) -> None:
            if (answer is None or isinstance(answer, Refused)) and len(counted):
                asyncio.get_running_loop().call_later(0.3, again)

        def again() -> None:
            if self.link.connected:
                self.link.post(counted, b"", heard)
            else:
                asyncio.get_running_loop().call_later(0.3, again)
        self.link.post(records, b"", heard)

    async def _ask(self, made: np.ndarray) -> None:
        self.asking += 1
        try:
            outcome = await self.link.ask(made, UNHEARD_SECONDS if int(made["kind"][0]) in CONFIGURE or int(made["actor"][0]) in self.staff.strangers else 8.0)
            self.unknown += outcome.events is None
        except (RefusedByDoor, DoorClosed):
            self.unknown += 1
        finally:
            self.asking -= 1
