"""The desk in the loop: production engine, executors and settlement clerk, each over a link of its own, and outside venues that answer badly.

Decides what `desk_shell` and `venue_shell` decide for threads, for one loop: learn first, act when what stood in the log is read, send again what nothing
echoed, begin anew after a lost connection. It checks that no child is ever placed twice by the executors, whatever the venues say.
"""
from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import numpy as np

from cambist.design import Design
from cambist.desk.engine import Engine, Unanswered
from cambist.desk.quoting import Heard, Outgoing, Sender, desk_terms, parcels
from cambist.desk.settling import SettlementClerk
from cambist.door.client import DoorClosed, Events, Refused, RefusedByDoor, Role, StreamKind
from cambist.door.link_shell import Answer, Following, Link
from cambist.messages import COMMAND, Event
from cambist.rows import joined
from cambist.simulation.clock import START_NS
from cambist.simulation.faults import MS, stream
from cambist.simulation.programs_shell import LINK, World
from cambist.simulation.virtual_loop_shell import PROCESS, VirtualLoop, within
from cambist.simulation.workload import Market
from cambist.venues.executor import VenueExecutor, posting
from cambist.venues.simulated import SimulatedSettings, SimulatedVenue
from cambist.venues.venue import Acked, BookUpdate, Closed, Filled, Intent, PlaceChild, Report

STEP_SECONDS = 0.04
BOOK_EVERY_NS = 400 * MS
AGAIN_SECONDS = 0.2
Names = Mapping[str, Mapping[str, int]]


class DeskWorld(World, Protocol):
    """What the desk is given of the house."""
    loop: VirtualLoop


class Line:
    """A link, the streams read over it, and what to do about a command without an answer."""
    def __init__(self, world: World, streams: Sequence[tuple[StreamKind, int]]) -> None:
        self.world = world
        self.link = Link(world.door, Role.SERVICE, **LINK)
        self.rows: list[np.void] = []
        self.unanswered = Unanswered()
        self.lost = False                               # a connection was lost since somebody last looked
        self._reached = 0
        self.link.on_change.append(self._changed)
        self._followings: list[Following] = [self.link.follow(*each, 1, self._heard, patient=True) for each in streams]

    async def start(self) -> None:
        """Until it is known where the log stands."""
        while not self._reached:
            try:
                await self.link.start(None)
                self._reached = max((await self.link.read("status"))[0], 1)
            except (DoorClosed, RefusedByDoor):
                await asyncio.sleep(AGAIN_SECONDS)

    @property
    def behind(self) -> bool:
        return any(each.position < self._reached for each in self._followings)

    def take(self) -> list[np.void]:
        rows, self.rows = self.rows, []
        return rows

    def send(self, outgoing: list[Outgoing]) -> None:
        self.unanswered.sent(outgoing)
        self._put(outgoing)

    def _heard(self, batch: Events) -> None:
        self.rows += list(batch.events)
        self.unanswered.heard(batch.events)

    def _changed(self, connected: bool) -> None:
        self.lost |= not connected
        if connected:
            self._put(self.unanswered.all())

    def _put(self, outgoing: Iterable[Outgoing]) -> None:
        for records, attachments in parcels(outgoing):
            self.put(records, attachments)

    def put(self, records: np.ndarray, attachments: bytes = b"") -> None:
        """What the node has no room for goes again; what was lost with a connection goes again with the next."""
        def answered(answer: Answer) -> None:
            if isinstance(answer, Refused):
                asyncio.get_running_loop().call_later(AGAIN_SECONDS, self.put, records, attachments)
        if self.link.connected:
            self.world.sent("desk", records)
            self.link.post(records, attachments, answered)


class Desk:
    """The engine of one desk, for one life of its process."""
    def __init__(self, world: World, design: Design, names: Names, key: str) -> None:
        self.world, self.engine = world, Engine(design, names, key, world.clock.wall())
        self.books: list[Heard] = []

    async def live(self) -> None:
        line, now, acting = Line(self.world, ((StreamKind.ACCOUNT, self.engine.account), (StreamKind.PUBLIC, 0))), 0, False
        await line.start()
        while True:
            await asyncio.sleep(STEP_SECONDS)
            now = max(now, self.world.clock.wall())
            rows = [row for row in line.take() if row["account"] or row["kind"] == Event.REFERENCE]
            if not acting:
                self.engine.learn(rows, now)
                acting = not line.behind
                continue
            books, self.books = self.books, []
            out, _ = self.engine.turn(rows, books, now)
            line.send(out)


class Clerk:
    """The settlement clerk, for one life of its process."""
    def __init__(self, world: World, design: Design, names: Names, key: str) -> None:
        self.world = world
        self.clerk = SettlementClerk(Sender(names["actors"][key], 0, world.clock.wall(), design.cell.answer_window // 2))

    async def live(self) -> None:
        line, now, acting = Line(self.world, ((StreamKind.ALL, 0),)), 0, False
        await line.start()
        while True:
            await asyncio.sleep(2 * STEP_SECONDS)
            now = max(now, self.world.clock.wall())
            rows = line.take()
            if not acting:
                for row in rows:
                    self.clerk.learn(row)
                acting = not line.behind
                continue
            out: list[np.ndarray] = []
            for event in (*rows, None):
                out += self.clerk.step(event, now)[0]
            line.send([Outgoing(record) for record in out])


class OutsideVenue:
    """A simulated market behind a way that loses, doubles, delays and contradicts. It is outside: it never dies."""
    def __init__(self, world: DeskWorld, name: str, market: SimulatedVenue, wander: Market, chance: random.Random) -> None:
        self.world, self.name, self.market, self.chance, self._wander = world, name, market, chance, wander
        self.terms = market._terms
        self.placed: Counter[int] = Counter()
        self.hear: Callable[[Report], None] = lambda report: None
        self._intents: list[Intent] = []
        self._last = 0

    def ask(self, intents: Iterable[Intent]) -> None:
        """What an executor wants, on its way."""
        faults, loop = self.world.faults, self.world.loop
        for intent in intents:
            if isinstance(intent, PlaceChild):
                self.placed[intent.child_id] += 1
                if self.placed[intent.child_id] > 1:
                    self.world.wrong(f"{self.name}: child {intent.child_id} is placed {self.placed[intent.child_id]} times")
            if faults.hits("venue-lost", 0.5):
                continue
            for _ in range(2 if faults.hits("venue-double", 0.5) else 1):
                late = faults.between("venue-late", 1, 300) if faults.hits("venue-late") else 0
                self._last = max(self._last, loop.clock.now + late * MS)        # requests keep their order, as the port says
                loop.call_at_ns(self._last, self._arrived, intent)

    def _arrived(self, intent: Intent) -> None:
        self._intents.append(intent)

    async def live(self) -> None:
        """The market moves; what it says is on its way."""
        moved = 0
        while True:
            await asyncio.sleep(STEP_SECONDS)
            now = START_NS + self.world.clock.now
            if now - moved >= BOOK_EVERY_NS:
                moved = now
                for number, terms in self.terms.items():
                    self.market.follow(book_of(terms, self._wander.mids[number], now, self.chance))
            intents, self._intents = self._intents, []
            for report in self.market.step(now, intents):
                self._tell(report)

    def _tell(self, report: Report) -> None:
        faults, loop = self.world.faults, self.world.loop
        if isinstance(report, BookUpdate):
            self.hear(msgspec.structs.replace(report, time=self.world.clock.wall()))
            return
        if faults.hits("venue-lost"):
            return
        told = [report, *([report] if faults.hits("venue-double") else []), *([lie] if (lie := self._lie(report)) is not None else [])]
        for each in told:
            late = faults.between("venue-late", 1, 600) if faults.hits("venue-late") else 0
            loop.call_at_ns(loop.clock.now + late * MS, lambda each=each: self.hear(each))

    def _lie(self, report: Report) -> Report | None:
        """What a venue may say that cannot be."""
        if not self.world.faults.hits("venue-lies"):
            return None
        if isinstance(report, Filled):
            return msgspec.structs.replace(report, execution_id=report.execution_id + "-again")
        if isinstance(report, Closed):
            return msgspec.structs.replace(report, cum_quantity=report.cum_quantity + 1)
        return None if isinstance(report, BookUpdate | Acked) else Acked(report.child_id, "again", report.time)


class Executor:
    """The executor of one venue, for one life of its process."""
    def __init__(self, world: World, design: Design, names: Names, venue: OutsideVenue, key: str, show: Callable[[Heard], None]) -> None:
        self.world, self.design, self.names, self.venue, self.key, self.show = world, design, names, venue, key, show
        self.terms = desk_terms(design, names)
        self._reports: list[Report] = []

    async def live(self) -> None:
        home = within(PROCESS.get())
        loop = asyncio.get_running_loop()

        def hear(report: Report) -> None:
            loop.call_soon(self._arrived, report, context=home)
        self.venue.hear = hear
        line = Line(self.world, ())
        await line.start()
        while True:
            line.lost = False
            rows: list[np.void] = []

            def heard(batch: Events, rows: list[np.void] = rows) -> None:
                kinds = batch.events["kind"]
                rows.extend(batch.events[(kinds == Event.CHILD_OPENED) | (kinds == Event.CHILD_CANCEL_ASKED)])      # all that an executor acts on
            following = line.link.follow(StreamKind.ALL, 0, 0, heard)
            try:
                await line.link.start(None)
                await following.started()
                executor = self._made()
                known = await self._open_children(line, executor)
                while not line.lost:
                    await asyncio.sleep(STEP_SECONDS)
                    self._turn(line, executor, rows, known)
            except (DoorClosed, RefusedByDoor):
                await asyncio.sleep(AGAIN_SECONDS)
            following.close()

    def _arrived(self, report: Report) -> None:
        self._reports.append(report)

    def _made(self) -> VenueExecutor:
        name = self.venue.name
        source = next((source for source, row in self.design.sources.items() if row.kind == "venue" and row.venue == name), None)
        posts = posting(self.design, self.names, source) if source is not None else None
        return VenueExecutor(self.names["venues"][name], self.venue.market.capabilities, self.terms, self.names["actors"][self.key], posts)

    async def _open_children(self, line: Line, executor: VenueExecutor) -> int:
        position, _ = await line.link.read("status")
        whole = [position]
        for desk in self.design.house.desks:
            at, told = await line.link.read("account", at_least=position, account=self.names["accounts"][desk])
            executor.resume(told["children"], self.world.clock.wall())
            whole.append(at)
        return min(whole[1:], default=position)

    def _turn(self, line: Line, executor: VenueExecutor, rows: list[np.void], known: int) -> None:
        reports, self._reports = self._reports, []
        events: list[Any] = [None, *reports, *(row for row in rows if row["sequence"] > known)]
        rows.clear()
        for report in reports:
            if isinstance(report, BookUpdate):
                self.show(Heard(self.venue.name, report))
        facts, intents, _ = executor.turn(events, self.world.clock.wall())
        if facts:
            line.put(joined(facts, COMMAND))
        self.venue.ask(intents)


def book_of(terms: Any, mid: int, now: int, chance: random.Random) -> BookUpdate:
    """Five levels a side around a mid."""
    tick, centre = terms.book_tick, mid // terms.book_tick * terms.book_tick
    sides = [tuple((centre + towards * tick * (1 + level), terms.lot * chance.randint(500, 20_000)) for level in range(5)) for towards in (-1, 1)]
    return BookUpdate(terms.number, now, sides[0], sides[1])


def outside_venues(world: DeskWorld, design: Design, names: Names, market: Market, seed: int) -> dict[str, OutsideVenue]:
    """Every venue of the design."""
    terms, made = desk_terms(design, names), {}
    for name, row in design.venues.items():
        mine = [terms[names["instruments"][listed]] for listed in row.symbols]
        settings = SimulatedSettings(fee_ppm=row.taker_ppm, maker_fee_ppm=row.maker_ppm, partial_fill_ppm=200_000, reject_ppm=20_000)
        simulated = SimulatedVenue(name, mine, settings, stream(seed, f"venue {name}").getrandbits(60))
        made[name] = OutsideVenue(world, name, simulated, market, stream(seed, f"outside {name}"))
    return made
