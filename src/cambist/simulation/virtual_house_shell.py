"""The whole house in one loop: its node on a virtual disk, its parts and everybody outside, and the one who restarts what died.

Decides when a process is started again, what an operator does about a damaged disk, and when the run is over. The node is the production one: `open_node`,
`Running`, `Door`; so are links, follower and whatever else runs here. It must not know what a rule of the market is: that is the auditor's.

Two phases: while commands are wanted, any fault; then none, and everything that waits must come to an end within PATIENCE seconds of virtual time.
"""
from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

import msgspec
import numpy as np
import structlog

from cambist.configure import configure
from cambist.design import Design
from cambist.door.client import Events, StreamKind
from cambist.door.protocol import Unreadable
from cambist.door.server_shell import Door
from cambist.feeds.streams import Batch
from cambist.follower import Follower
from cambist.log import snapshot
from cambist.log.decisions import decisions, skipped
from cambist.log.disk import DiskError, DiskFailed, DiskFull
from cambist.log.entry import Entry
from cambist.log.journal import Finding
from cambist.log.mirror import heal
from cambist.log.pair import Copy
from cambist.log.scrub import Scrub
from cambist.log.segment import Damaged
from cambist.log.times import Times
from cambist.messages import COMMAND, LAYOUT, Kind
from cambist.node import Broken, Node, close_node, open_node
from cambist.node_shell import Running, begin, look_after
from cambist.run import genesis, makers, ticker
from cambist.simulation import remains
from cambist.simulation.brittle import Poisoned, brittle, try_entries
from cambist.desk.quoting import Heard
from cambist.simulation.clock import SECOND, VirtualClock
from cambist.simulation.desk_world_shell import Clerk, Desk, Executor, outside_venues
from cambist.simulation.faults import MS, Death, DiskTrouble, Faults, Wires, stream
from cambist.simulation.gateway_world_shell import OF_THE_API, ApiClient, Gateway, Post, key_of
from cambist.simulation.programs_shell import Office, Program, Reader, Session
from cambist.simulation.virtual_disk import Crash, VirtualDisk
from cambist.simulation.virtual_loop_shell import OUTSIDE, PROCESS, AtOnce, Inline, Process, VirtualLoop, within
from cambist.simulation.onlooker import Violation, Witness
from cambist.simulation.workload import ClientTrader, DealerTrader, Market, Staff, Told

API_KEYS = ("acme-bot", "borea-bot", "b2")
DIRECTORY, DOOR, MIRROR = "house", "house/door.sock", "elsewhere/log"
SEGMENT_BYTES = 1 << 16
PATIENCE = 120 * SECOND                                 # virtual, for everything to come to an end once faults stop
LOOK_SECONDS = 0.25                                     # how often the operator looks around
AFTER_A_START = 40.0                                    # how much more often the machine dies right after a start than after a storage call
DOUBTFUL = 8.0                                          # and how much more again when the start found what was never synced
FULL_SECONDS = 2.0                                      # how long a disk stays full
FOLLOW_SECONDS, SNAPSHOT_SECONDS, SNAPSHOT_ENTRIES, SCRUB_SECONDS = 0.1, 5, 40, 2
# Tables as large as a run needs: memory that is never touched costs nothing, but each start touches the beginning of every table.
CAPACITY = {"accounts": 64, "actors": 64, "positions": 512, "credit": 256, "orders": 4096, "pages": 1024, "requests": 1024, "quotes": 4096, "children": 1024,
            "obligations": 2048, "held": 512, "answers": 16384, "facts": 4096, "events": 4096}
ANSWER_QUOTA = 1024                                     # of an account, at most: all of them fit


# A plain market: no bands, tiers, scopes or protection, so that orders take the kernel's short way, which asks for none of these.
MARKET_RULES = [int(kind) for kind in (Kind.CONFIGURE_BAND, Kind.CONFIGURE_TRADING, Kind.CONFIGURE_TIER, Kind.CONFIGURE_PROTECTION, Kind.CONFIGURE_EXPOSURE,
                                       Kind.CONFIGURE_SCHEDULE)]
PLAIN_SHARE, MIRRORED_SHARE = 0.4, 0.6


class Plan(NamedTuple):
    """What one run is: everything that follows is a function of it."""
    seed: int
    commands: int
    faults: frozenset[str]
    until: int = 0                                      # ns; a shrunk run is cut there, 0: to the end
    bug: str = ""                                       # a planted one


class Lost(Exception):
    """What was told is gone, and so is everything that could tell: no promise holds from here on, and none is broken."""


class House(Death):
    """`run()` once."""
    door = DOOR

    def __init__(self, plan: Plan, design: Design, text: str) -> None:
        design = msgspec.structs.replace(design, capacity=msgspec.structs.replace(design.capacity, **CAPACITY))
        self.plan, self.design, self.text = plan, design, text
        self.clock = VirtualClock()
        self.faults = Faults(plan.seed, plan.faults)
        self.loop = VirtualLoop(self.clock, Wires(self.faults, plan.seed))
        self.disk, self.mirror = VirtualDisk(), VirtualDisk()
        self.disk.trouble = self.mirror.trouble = DiskTrouble(self.faults, self.clock, self)
        self.chance = stream(plan.seed, "house")
        self.mirrored = self.chance.random() < MIRRORED_SHARE
        self._cut_at = 0                                # what the next log may be shorter by: the first sequence that every copy lost
        self.noted = 0                                  # the highest sequence that the gateway wrote down
        self.commands = 0
        self.calm = self._away = False
        self.counts: Counter[str] = Counter()
        self.trail: list[tuple[int, str]] = []          # what happened, for a person
        self.node: Node | None = None
        self.running: Running | None = None
        self._node_process = self._follower_process = Process("node")
        self._node_process.alive = False
        self._makers = brittle(makers(design)) if "poison" in self.faults.rates else makers(design)
        self._genesis, self._side = genesis(design, text)
        self.names = configure(design).names
        self.plain = self.chance.random() < PLAIN_SHARE
        rows = self._genesis.view(LAYOUT[Kind.CONFIGURE_ACCOUNT])
        accounts = rows["kind"] == Kind.CONFIGURE_ACCOUNT
        rows["answer_quota"][accounts] = np.minimum(rows["answer_quota"][accounts], ANSWER_QUOTA)
        self._genesis = self._genesis[~np.isin(self._genesis["kind"], MARKET_RULES)] if self.plain else self._narrow(self._genesis)
        self.witness = Witness(design, self.names, self._genesis, self.wrong)
        self._market = Market(design, self.names, stream(plan.seed, "market"), self.plain)
        self._overlap = self.chance.choice((8, 64, 2048))
        self._programs: list[Program] = []
        self._keys = {name: key_of(name) for name in API_KEYS}
        self._venues = outside_venues(self, design, self.names, self._market, plan.seed)
        self._desk: Desk | None = None
        self._desk_processes: dict[str, Process] = {}
        self._post, self._api = Post(self, stream(plan.seed, "post")), list[ApiClient]()

    def _narrow(self, genesis: np.ndarray) -> np.ndarray:
        """In some runs a price moves little before the market is called, and a client pays fees in bitcoin."""
        if self.chance.random() < 0.5:
            rows = genesis.view(LAYOUT[Kind.CONFIGURE_BAND])
            bands = rows["kind"] == Kind.CONFIGURE_BAND
            rows["band_ppm"][bands], rows["window"][bands], rows["auction"][bands] = self.chance.choice((40, 150, 1000)), 20 * SECOND, SECOND
        rows = genesis.view(LAYOUT[Kind.CONFIGURE_TRADING])
        mine = (rows["kind"] == Kind.CONFIGURE_TRADING) & (rows["account"] == self.names["accounts"]["acme"])
        rows["fee_instrument"][mine] = self.chance.choice((0, self.names["instruments"]["BTC/USD-PF"]))
        return genesis

    # ------------------------------------------------------------------------------------------------------------------ what programs see
    def wanted(self, count: int = 1) -> bool:
        return not self.calm and self.commands + count <= self.plan.commands

    def sent(self, by: str, records: np.ndarray) -> None:
        self.commands += len(records)
        self.witness.sent(records)

    def heard(self, by: str, stream: tuple[StreamKind, int], batch: Events) -> None:
        self.witness.heard(by, stream, batch)

    def wrong(self, what: str) -> None:
        self.loop.halt = self.loop.halt or Violation(what)
        raise self.loop.halt

    def told_of(self, account: int, client_id: tuple[int, int]) -> tuple[int, int, int] | None:
        return self.witness.answers.get((account, *client_id))

    def asked_with(self, kind: int, client_id: tuple[int, int]) -> bytes | None:
        return self.witness.bytes_of(kind, *client_id)

    def kind_told(self, account: int, number: int) -> int:
        return self.witness.kind_told(account, number)

    def note(self, what: str) -> None:
        self.trail.append((self.clock.now, what))

    # ------------------------------------------------------------------------------------------------------------------------------- death
    def check(self) -> None:
        if not PROCESS.get().alive:
            raise Crash

    def by_kill(self) -> None:
        process = PROCESS.get()
        self.note(f"{process.name} is killed")
        if process is self._node_process:
            self._unlock()
        self.loop.kill(process)
        raise Crash

    def by_power(self) -> None:
        self.note("the machine loses power")
        self.disk.dead = self.mirror.dead = True
        self.disk, self.mirror = (disk.after_power_loss(self.faults.chances["power"]) for disk in (self.disk, self.mirror))
        for process in (self._node_process, self._follower_process):
            self.loop.kill(process, silent=True)
        raise Crash

    # -------------------------------------------------------------------------------------------------------------------------------- node
    def start_node(self) -> None:
        process = self._node_process = Process("node")
        process.died = self._node_died
        self.loop.spawn(process, self._node_life(process))

    def _node_died(self) -> None:
        self.node = self.running = None
        self.counts["node starts again"] += 1
        soon = not self._away and self.chance.random() < 0.95
        self._away = False
        pause = (self.chance.randint(10, 500) if soon else self.chance.randint(5_000, 8_000)) * MS
        self.loop.call_at_ns(self.clock.now + pause, self.start_node, context=within(OUTSIDE))

    def _unsynced(self) -> bool:
        """Whether the log on the disk has bytes that a power loss may take."""
        return any(inode is not None and inode.pending and name.startswith(f"{DIRECTORY}/log/journal-0") for name, inode in self.disk.names.items())

    async def _node_life(self, process: Process) -> None:
        doubtful = self._unsynced()
        try:
            node = self._open()
        except (Damaged, Broken, DiskError) as fault:
            self._refused(fault)
            self.loop.kill(process)
            return
        self.node = node
        running = self.running = Running(node, Times(self.disk, DIRECTORY), self.clock.wall, self.clock.monotonic, Inline, AtOnce(), self._overlap)
        running.events = functools.partial(self._read_back, running.events)
        running.start()
        try:
            begin(running, self._genesis, self._side)
        except (Broken, DiskError) as fault:
            await running.stop()
            self._close(node)
            self._refused(fault)
            self.loop.kill(process)
            return
        door = running.door = Door(running, DOOR, slow=1.0, ping=0.5, silent=1.5)
        await door.listen()
        looking = asyncio.get_running_loop().create_task(look_after(running))
        if self.faults.hits("power", AFTER_A_START * (DOUBTFUL if doubtful else 1.0)):    # what a start found and told must be as durable as anything
            await asyncio.sleep(self.faults.between("power", 10, 1500 if doubtful else 40_000) / 1e6)         # before the next sync makes all of it durable
            self.by_power()
        while not running.failed.is_set():
            await asyncio.sleep(LOOK_SECONDS)
            if node.stopped and not running.failure:
                self.note(f"a person looks: {node.stopped}")
                break
            if self.faults.hits("stop", LOOK_SECONDS):
                self.note("the node is stopped in good order")
                break
        looking.cancel()
        await running.stop()
        await door.close()
        closing = self._close(node)
        if (failure := running.failure or closing) is not None:
            self._failed(failure)
        self.loop.kill(process)

    def _read_back(self, events: Callable[[StreamKind, int, int, int], Batch], stream: StreamKind, account: int, number: int, limit: int) -> Batch:
        """What a reader asks for. Where it cannot be read, an operator puts the disk right, a while later."""
        try:
            return events(stream, account, number, limit)
        except (Unreadable, Damaged, DiskError) as fault:
            self.note(f"what was told cannot be read back: {fault}")
            self.counts["unreadable"] += 1
            if not isinstance(fault, DiskError) and not self.disk.wrong():
                self.wrong(f"what was told cannot be read back, and the disk did nothing wrong: {fault}")
            self.loop.call_at_ns(self.clock.now + 2 * SECOND, self._restore, context=within(OUTSIDE))
            raise

    def _close(self, node: Node) -> DiskError | None:
        """What went wrong when it was closed."""
        try:
            close_node(node)
        except DiskError as fault:
            return fault
        finally:
            self._unlock()
        return None

    def _unlock(self) -> None:
        """The locks of a process that is no more."""
        for disk in (self.disk, self.mirror):
            disk._locks.clear()

    def _said(self, line: str) -> None:
        """What a start tells a person."""
        self.note(line)
        self.counts["healed at a start"] += ": rot" in line

    def _copies(self) -> tuple[Copy, Copy]:
        return Copy(self.disk, f"{DIRECTORY}/log"), Copy(self.mirror, MIRROR)

    def _open(self) -> Node:
        lost_now = remains.lost_by_all(self.disk, DIRECTORY, ((self.mirror, MIRROR),) if self.mirrored else ())
        self._cut_at = excused = lost_now or self._cut_at               # of a start, too, that cut the log and then was refused
        known = remains.newest_snapshot(self.disk, DIRECTORY)
        node = open_node(self.disk, DIRECTORY, number=self.design.cell.number, ticker=ticker(self.design), segment_bytes=SEGMENT_BYTES, say=self._said,
                         mirror=self._copies()[1] if self.mirrored else None, probe=try_entries, **self._makers)
        if node.log.position.sequence < known:
            self.wrong(f"the log ends at sequence {node.log.position.sequence}, and a snapshot is there of sequence {known}")
        try:
            entries, results = remains.stored(self.disk, DIRECTORY, node)
        except Damaged as damage:                       # before the snapshot it began with, where it does not look
            close_node(node)
            if not self.mirrored or "/log/" not in damage.file:
                raise
            self.note(f"healed from the other copy: {heal(*self._copies())}")
            self.counts["healed from the mirror"] += 1
            return self._open()
        self.witness.skipped = skipped(decisions(self.disk, f"{DIRECTORY}/log"))
        before = self.witness.position
        lost = self.witness.reopened(entries, results, excused)
        self._cut_at = 0
        if lost:
            self.counts["lost with every witness" + (", mirror and all" if self.mirrored else "") + ("" if lost_now else ", cut by a refused start")] += 1
            self.note(f"the log was cut at sequence {excused}, and nothing is left that tells of the rest up to {before}: the house's people must")
            self.loop.halt = Lost()
            raise self.loop.halt
        original = node.run

        def run(entry: Entry) -> np.ndarray:
            if (np.frombuffer(entry.records, COMMAND)["id_hi"] >> 16 == OF_THE_API).any() and self.faults.hits("away"):
                self._away = True
                self.by_kill()
            events = original(entry)
            self.witness.applied(entry, events)
            return events
        self.witness.tables = lambda names: dict(node.cell.tables(names))
        node.run = run                                  # the witness sees what went in and what comes out, before anyone is told
        return node

    def _refused(self, fault: Exception) -> None:
        """The node did not start. Right if the disk was damaged or is in trouble; then an operator puts it right."""
        self.counts[f"refused: {type(fault).__name__}"] += 1
        self.note(f"the node does not start: {fault}")
        if isinstance(fault, DiskFull):
            self._room_again()
        elif isinstance(fault, DiskFailed):
            return
        elif self.mirrored and isinstance(fault, Damaged) and "/log/" in fault.file and not self.mirror.wrong(MIRROR):
            self.wrong(f"the node refuses to start, and the mirror was right: {fault}")
        elif not self._restore():
            self.wrong(f"the node refuses to start, and the disk did nothing wrong: {fault}")

    def _restore(self) -> bool:
        """What an operator does with a copy of the disk."""
        there = [lie for disk in (self.disk, self.mirror) for lie in disk.wrong()]
        healed = [*self.disk.heal(), *self.mirror.heal()] if there else []
        if healed:
            self.note(f"the operator restores {len(healed)} places from a copy: {healed[-1]}")
            self.counts["healed"] += 1
        return bool(healed)

    def _failed(self, fault: BaseException) -> None:
        self.note(f"the node stopped: {fault}")
        self.counts[f"stopped: {type(fault).__name__}"] += 1
        if not isinstance(fault, DiskError | Crash | Poisoned) and not self.disk.wrong() and not self.mirror.wrong():
            self.wrong(f"the node stopped: {fault!r}")

    # ---------------------------------------------------------------------------------------------------------------------------- follower
    def start_follower(self) -> None:
        process = self._follower_process = Process("follower")
        process.died = lambda: self._again(self.start_follower)
        self.loop.spawn(process, self._follower_life(process))

    def _again(self, start: Callable[[], None]) -> None:
        self.loop.call_at_ns(self.clock.now + self.chance.randint(50, 1500) * MS, start, context=within(OUTSIDE))

    async def _follower_life(self, process: Process) -> None:
        disk = self.disk
        while self.node is None or not self.node.cell.sequence:
            await asyncio.sleep(LOOK_SECONDS)
        scrub = Scrub(disk, DIRECTORY, self._copies()[1] if self.mirrored else None, cell=self.design.cell.number, every_ns=SCRUB_SECONDS * SECOND)
        try:
            follower = Follower(disk, DIRECTORY, number=self.design.cell.number, every_ns=SNAPSHOT_SECONDS * SECOND, every_entries=SNAPSHOT_ENTRIES,
                                **self._makers)
            while True:
                step = follower.step(self.clock.now)
                self.counts["snapshots"] += step.saved is not None
                for finding in scrub.step(self.clock.now):
                    self._scrubbed(finding)
                if self.faults.hits("follower", FOLLOW_SECONDS):
                    break
                await asyncio.sleep(FOLLOW_SECONDS)
        except (Damaged, Broken, DiskError, snapshot.SnapshotError, snapshot.SnapshotDamaged) as fault:
            self.note(f"the follower stops: {fault}")
            self.counts[f"follower stopped: {type(fault).__name__}"] += 1
            if not isinstance(fault, DiskError) and not disk.lies and disk is self.disk and self._node_process.alive:
                self.wrong(f"the follower finds a difference, and the disk did nothing wrong: {fault}")
            findings = scrub.at_once(self.clock.now) if scrub.heals and isinstance(fault, Damaged | Broken) else []
            for finding in findings:
                self._scrubbed(finding)
            if isinstance(fault, Damaged) and disk is self.disk and not any(finding.healed for finding in findings):
                self._restore()
        self.loop.kill(process)

    def _scrubbed(self, finding: Finding) -> None:
        """What a scrub says: healed, or right to complain."""
        self.note(str(finding))
        self.counts["healed by a scrub" if finding.healed else "found by a scrub"] += 1
        damaged, other = self.disk.wrong(), self.mirror.wrong()
        if not finding.healed and not damaged and not other and not self.disk.dead and self.faults.count["eio"] == 0:
            self.wrong(f"a scrub complains, and the disk did nothing wrong: {finding}")

    # ---------------------------------------------------------------------------------------------------------------------------- programs
    def start_program(self, make: Callable[[], Program]) -> None:
        process = Process("program")

        def start() -> None:
            program = make()
            process.name = program.name
            self._programs.append(program)
            self.loop.spawn(process, program.live())
        within(process).run(start)

    def _find(self, e: Told) -> bytes | None:
        return self.witness.bytes_of(e.command, e.id_hi, e.id_lo)

    def _people(self) -> None:
        market, seed = self._market, self.plan.seed
        for account, key in (("acme", "acme-bot"), ("borea", "borea-bot")):
            self.start_program(lambda account=account, key=key: Session(self, ClientTrader(market, account, key, stream(seed, f"trader {account}")),
                                                                       stream(seed, f"session {account}")))
        for account in self.design.dealers:
            self.start_program(lambda account=account: Session(self, DealerTrader(market, account, account, stream(seed, f"trader {account}")),
                                                              stream(seed, f"session {account}")))
        self.start_program(lambda: Reader(self, stream(seed, "reader")))
        self.start_program(lambda: Office(self, Staff(market, stream(seed, "staff"), self._find), stream(seed, "office")))

    # ----------------------------------------------------------------------------------------------------------------------------- gateway
    def start_gateway(self) -> None:
        process = Process("gateway")
        process.died = lambda: self._again(self.start_gateway)
        self._post.gateway = gateway = Gateway(self, self._keys, process)
        self.loop.spawn(process, gateway.live())

    def _clients_of_the_gateway(self) -> None:
        for key in API_KEYS:
            client = ApiClient(self, self._market, key, stream(self.plan.seed, f"api {key}"), self._keys[key], self._post.call)
            self._api.append(client)
            self.loop.spawn(Process(client.name), client.live())

    # -------------------------------------------------------------------------------------------------------------------------------- desk
    def _start_desk(self) -> None:
        """Engine, executors and clerk, each a process that dies and comes back; the venues never do."""
        design, names = self.design, self.names
        for venue in self._venues.values():
            self.loop.spawn(Process(venue.name), venue.live())
        self._keep_alive("desk", lambda: self._new_desk().live())
        self._keep_alive("clerk", lambda: Clerk(self, design, names, "settlement").live())
        for name, venue in self._venues.items():
            self._keep_alive(f"executor {name}", lambda name=name, venue=venue: Executor(self, design, names, venue, f"feed-{name}", self._show).live())

    def _new_desk(self) -> Desk:
        self._desk = Desk(self, self.design, self.names, "desk-engine")
        return self._desk

    def _show(self, heard: Heard) -> None:
        if self._desk is not None and len(self._desk.books) < 64:
            self._desk.books.append(heard)

    def _keep_alive(self, name: str, life: Callable[[], Coroutine[Any, Any, None]]) -> None:
        process = Process(name)
        process.died = lambda: self._again(lambda: self._keep_alive(name, life))
        self._desk_processes[name] = process
        self.loop.call_soon(lambda: self.loop.spawn(process, life()), context=within(process))

    # --------------------------------------------------------------------------------------------------------------------------------- run
    def run(self) -> None:
        """Both phases. Raises Violation."""
        structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), processors=[lambda logger, name, event: ""])
        if not self.mirrored:
            self.counts["runs without a mirror"] += 1
        self.start_node()
        self._people()
        self.start_follower()
        self.start_gateway()
        self._clients_of_the_gateway()
        self._start_desk()
        over = self.loop.spawn(OUTSIDE, self._look_on())
        with contextlib.suppress(Lost):
            if self.loop.run(over, self.plan.until or None):
                over.result()
                self._end()

    async def _look_on(self) -> None:
        """The world: its own troubles while they last, then patience."""
        sent, since = 0, self.clock.now
        while self.commands < self.plan.commands:
            await asyncio.sleep(LOOK_SECONDS / 5)
            if self.commands > sent:
                sent, since = self.commands, self.clock.now
            elif self.clock.now - since > 5 * PATIENCE:
                self.wrong(f"nobody has sent a command for {5 * PATIENCE // SECOND} s")
            self._trouble(LOOK_SECONDS / 5)
        self.calm, self.faults.on = True, False
        self.note("faults stop")
        self._room_again()
        self.clock.offset = max(self.clock.offset, VirtualClock().offset)
        for transport in list(self.loop.connections):
            if transport.stopped_until > self.clock.now or transport.peer.stopped_until > self.clock.now:
                transport.break_off()
        until = self.clock.now + PATIENCE
        while (waiting := self._waiting()):
            if self.clock.now > until:
                self.wrong(f"{PATIENCE // SECOND} s after the last fault: {waiting}")
            await asyncio.sleep(LOOK_SECONDS)

    def _waiting(self) -> str:
        if self.node is None or self.running is None or self.running.failure or self.node.stopped:
            return "the node does not run"
        for program in self._programs:
            if isinstance(program, Session) and program.open:
                return f"{program.name} has {len(program.open)} requests without an answer, from number {next(iter(program.open))}"
            if isinstance(program, Office) and program.asking:
                return f"{program.asking} commands of the office have no answer"
        if not self.faults.count["venue-lies"] and (child := self.witness.open_child()):
            return f"child {child} is still open"
        for client in self._api:
            if client.waiting:
                return f"{client.waiting} requests of {client.name} have no answer"
        return ""

    def _trouble(self, seconds: float) -> None:
        """What happens to connections, clock and room by itself."""
        hits, between = self.faults.hits, self.faults.between
        connections = list(self.loop.connections)
        if connections and hits("reset", seconds):
            connections[between("reset", 0, len(connections) - 1)].break_off()
        if connections and hits("stall", seconds):
            one = connections[between("stall", 0, len(connections) - 1)]
            for side in (one, one.peer):
                side.stopped_until = self.clock.now + between("stall", 100, 4000) * MS
        if hits("desk", seconds):
            names = sorted(self._desk_processes)
            self.loop.kill(self._desk_processes[names[between("desk", 0, len(names) - 1)]])
        if hits("nudge", seconds):
            self.clock.jump(between("nudge", -900, 900) * MS)
        if hits("jump", seconds):
            self.clock.jump(between("jump", -3600, 3600) * SECOND // between("jump", 1, 60))
        if hits("full", seconds):
            self.note("the disk is full")
            disk = self.mirror if self.mirrored and between("full", 0, 1) else self.disk
            disk.capacity = disk.used() + between("full", 0, 20_000)
            self.loop.call_later(FULL_SECONDS, self._room_again)
        if self.faults.rates.get("rot") and hits("rot", seconds):
            self._rot(between)

    def _room_again(self) -> None:
        self.disk.capacity = self.mirror.capacity = None

    def _rot(self, between: Callable[[str, int, int], int]) -> None:
        """One bit of something that was written long ago."""
        files = [(disk, name, inode) for disk in (self.disk, self.mirror) for name, inode in disk.names.items()
                 if inode is not None and inode.live and name.endswith((".cbj", ".cbr")) and not name.endswith("spare.cbj")]
        if files:
            newest = [max(log, key=lambda each: each[1]) for disk in (self.disk, self.mirror) if (log := [each for each in files if each[0] is disk
                                                                                                        and "log/" in each[1]])]
            files = newest if newest and between("rot", 0, 1) else files
            disk, name, inode = files[between("rot", 0, len(files) - 1)]
            end = len(bytes(inode.live).rstrip(b"\0"))
            if end > 16:
                disk.flip(name, between("rot", 0, end - 1), between("rot", 0, 7))
                if self.faults.rates.get("power") and between("rot", 0, 1):
                    self.loop.call_later(0.01, self._power_goes)

    def _power_goes(self) -> None:
        """By itself, not in a storage call."""
        with contextlib.suppress(Crash):
            if self.faults.on:
                self.by_power()

    def _end(self) -> None:
        """Every account of what happened must agree."""
        assert self.node is not None
        if not self.faults.count["venue-lies"]:
            self.witness.nothing_stranded()
        for client in self._api:
            client.finished()
        self.witness.finished(dict(self.node.cell.tables()))

    def hash(self) -> str:
        """One number for everything that happened: the same seed has the same one."""
        whole = hashlib.sha256(self.witness.chain)
        whole.update(repr((self.clock.now, self.commands, sorted(self.faults.count.items()), sorted(self.counts.items()))).encode())
        if self.node is not None:
            whole.update(str(snapshot.state_hash(self.node.cell.tables())).encode())
        return whole.hexdigest()
