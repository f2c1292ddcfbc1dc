"""What `cambist node` and `cambist follow` start, and both as parts of `cambist run`: one process each, wired from a design file and a directory.

Decides which cell, which directory, which socket. The other parts of a house are wired in `desk_part_shell.py` and the gateways' own packages.
"""
import asyncio
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from cambist.changes import running_design, state_differs
from cambist.configure import configure, names_attachment
from cambist.core.cell import Cell
from cambist.design import Design, read_design
from cambist.door.client_shell import Client
from cambist.door.protocol import Role
from cambist.follower import EVERY_NS, Follower
from cambist.log.disk import DiskLocked
from cambist.log.disk_shell import RealDisk
from cambist.log.entry import SideSection
from cambist.log.journal import RESERVE_BYTES as LOG_RESERVE
from cambist.log.journal import Finding
from cambist.log.mirror_shell import AtOnce, heal_directory, mirror_copy, note_mirror, noted_mirror, on_one_device
from cambist.log.results import RESERVE_BYTES as RESULTS_RESERVE
from cambist.log.scrub import Scrub
from cambist.log.segment import Damaged
from cambist.log.times import Times
from cambist.log.transparency import Publisher
from cambist.log.transparency_shell import open_publisher
from cambist.node import Broken, close_node, open_node
from cambist.node_shell import SWITCH_SECONDS, run_node, serve
from cambist.part_shell import Part
from cambist.trial_shell import try_out
from cambist.warm import warm

SOCKET = "door.sock"
EPOCH = 1                                       # a release that changes rules or layouts starts the next one from a migrated snapshot
IDLE_SECONDS = 0.2                              # how long a follower waits when the log has nothing new
NICENESS = 10                                   # of a follower beside the house, on machines with few processors
DOOR_SECONDS = 5.0                              # an answer of our own door


def sizes(design: Design) -> dict[str, int]:
    """Rows of the cell's tables, as the design's [capacity] says."""
    return msgspec.structs.asdict(design.capacity)


def makers(design: Design) -> dict[str, Any]:
    """How a node or a follower gets its cell: fresh, or from a snapshot's tables."""
    wanted = sizes(design)
    return {"fresh": lambda: Cell(wanted), "load": lambda tables: Cell.load(tables, wanted)}


def genesis(design: Design, text: str) -> tuple[np.ndarray, bytes]:
    """The design's commands, and the attachment of START: the names of all numbers and the design's own text."""
    records, names = configure(design)
    commands = np.concatenate(records)
    side = SideSection()
    commands["attachment"][-1] = side.add(msgspec.json.encode({"design": text, "names": msgspec.Raw(names_attachment(names))}))
    return commands, bytes(side)


def ticker(design: Design) -> int:
    """The key that moves log time when nothing else does: the first one, in the design's order, whose role may `tick`."""
    for number, key in enumerate(design.keys.values(), 1):
        role = design.roles[key.role]
        if any("tick" in words for words in (role.own, role.entity, role.all)):
            return number
    return 0


class Start(NamedTuple):
    """A design ready to be started with, or gone on with, in a directory."""
    design: Design
    commands: np.ndarray
    attachments: bytes
    mirror: str                                 # as the file says: where things are is not the log's to know


class Stopwatch:
    """What a start spends its time on: called with the name of each part when it is done."""
    def __init__(self) -> None:
        self._began = self._last = time.monotonic()
        self.seconds: dict[str, float] = {}

    def __call__(self, part: str) -> None:
        now = time.monotonic()
        self.seconds[part], self._last = self.seconds.get(part, 0.0) + now - self._last, now

    def __str__(self) -> str:
        return f"open after {self._last - self._began:.2f} s: {', '.join(f'{part} {seconds:.2f}' for part, seconds in self.seconds.items())}"


def prepare(design_file: Path, directory: Path, say: Callable[[str], None], passed: Callable[[str], None] = lambda part: None) -> Start:
    """The kernel is warm, the directory there and private, and the design is the one in force: the log's own where it has one. `passed` is told which part
    of that is done. Raises DesignError."""
    text = design_file.read_text()
    design = read_design(text, str(design_file))
    mirror = design.redundancy.mirror
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    passed("design")
    warm(say)
    passed("kernel")
    _look_at_mirror(design, directory, say)
    running = running_design(RealDisk(), str(directory))
    if running is not None and (difference := state_differs(running, design)):
        say(f"{design_file} is not the design this directory runs by ({difference}); the running one is kept. `cambist apply` changes it.")
        design = read_design(running.text, "the running design")
    start = Start(design, *genesis(design, text), mirror)
    passed("design")
    return start


def _look_at_mirror(design: Design, directory: Path, say: Callable[[str], None]) -> None:
    """A log that cannot be read is healed before its design is looked for in it."""
    mirror = design.redundancy.mirror
    note_mirror(directory, mirror)
    if not mirror:
        return
    if on_one_device(str(directory), mirror):
        say(f"the mirror {mirror} is on the same device as {directory}: both may be lost together")
    try:
        running_design(RealDisk(), str(directory))
    except Damaged as damage:
        say(str(damage))
        compared = heal_directory(directory, mirror)
        for each in (compared, *compared.findings):
            say(str(each))


def storing(mirror: str) -> dict[str, Any]:
    """What `open_node` is given by a process of its own: what is set aside, where the second copy is, how entries are tried."""
    settings: dict[str, Any] = {"reserves": (LOG_RESERVE, RESULTS_RESERVE), "probe": try_out}
    return settings | {"mirror": mirror_copy(mirror), "both": AtOnce()} if mirror else settings


def start_node(design_file: Path, directory: Path, say: Callable[[str], None]) -> int:
    """Serve the directory's node in the foreground until SIGTERM or SIGINT. 0, or 1 when it could not start or had to stop."""
    passed = Stopwatch()
    design, commands, side, mirror = prepare(design_file, directory, say, passed)
    socket = directory / SOCKET

    def opened() -> None:
        say(str(passed))
        say(f"node of cell {design.cell.number} in {directory}")
        say(f"door: unix socket {socket} (native record protocol; docs/wire.md)")
        say(f"look: cambist status {directory}; stop: Ctrl-C or SIGTERM")
    return run_node(str(directory), str(socket), number=design.cell.number, genesis=commands, genesis_attachments=side, epoch=EPOCH,
                    ticker=ticker(design), opened=opened, say=say, passed=passed, **storing(mirror), **makers(design))


async def serve_node(part: Part) -> None:
    """The same as a part: until `part.stop`; ready when the door answers. Raises when it could not start or had to stop."""
    sys.setswitchinterval(SWITCH_SECONDS)
    disk, directory = RealDisk(), str(part.directory)
    part.say("opening the log")
    design, commands, side, mirror = await asyncio.to_thread(prepare, part.design, part.directory, part.say)
    node = await asyncio.to_thread(open_node, disk, directory, number=design.cell.number, epoch=EPOCH, ticker=ticker(design), lock=threading.Lock(),
                                   say=part.say, **storing(mirror), **makers(design))
    times = Times(disk, directory)
    waiting = threading.Thread(target=_wait_for_door, args=(part, asyncio.get_running_loop()), daemon=True)
    try:
        waiting.start()
        await serve(node, part.socket, genesis=commands, genesis_attachments=side, times=times, stop=part.stop)
    finally:
        times.close()
        close_node(node)


def _wait_for_door(part: Part, loop: asyncio.AbstractEventLoop) -> None:
    """Asks at the door as any client would; the part is ready when it is answered."""
    while not part.stop.is_set():
        try:
            Client(part.socket, Role.OBSERVER, timeout=DOOR_SECONDS).close()
        except OSError:
            time.sleep(IDLE_SECONDS / 4)
            continue
        loop.call_soon_threadsafe(part.ready, part.socket)
        loop.call_soon_threadsafe(part.say, "")
        return


def follow(directory: Path, every_seconds: float, origin: str, say: Callable[[str], None]) -> int:
    """Replay the log beside the node, compare results, write a snapshot now and then, sign heads of the log; until SIGTERM or SIGINT."""
    stopped: list[int] = []
    following = open_following(directory, int(every_seconds * 1e9), origin, say)
    if following is None:
        raise FileNotFoundError(f"{directory} holds no log that was started; run `cambist run --directory {directory}` first")
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda number, _: stopped.append(number))
    say(f"following {directory} as process {os.getpid()}, from sequence {following.follower.position.sequence}")
    with contextlib.closing(following):
        while not stopped:
            if not following.step(time.monotonic_ns()):
                time.sleep(IDLE_SECONDS)
    return 0


class Following(NamedTuple):
    """A second reader beside the node, with all it does there."""
    follower: Follower
    publisher: Publisher
    scrub: Scrub
    say: Callable[[str], None]

    def step(self, now: int) -> bool:
        """Whether there was anything new. Raises Damaged, Broken: then all was scrubbed that a mirror could heal, so that who begins again finds it whole."""
        try:
            step, published = self.follower.step(now), self.publisher.step(now)
        except (Damaged, Broken):
            if self.scrub.heals:
                _tell_scrubbed(self.scrub.at_once(now), self.say)
            raise
        if step.saved:
            self.say(f"snapshot at sequence {step.saved.sequence}, state {step.saved.state_hash[:16]}")
        if step.unsaved:
            self.say(f"no snapshot: {step.unsaved}")
        if published.head:
            self.say(f"signed a head of {published.head.size} entries, to sequence {published.head.position.sequence}")
        _tell_scrubbed(self.scrub.step(now), self.say)
        return bool(step.entries or published.entries)

    def close(self) -> None:
        self.follower.close()
        self.publisher.close()


def _tell_scrubbed(findings: list[Finding], say: Callable[[str], None]) -> None:
    for finding in findings:
        say(f"{'HEALED' if finding.healed else 'DAMAGED'}: {finding}")


def open_following(directory: Path, every_ns: int, origin: str, say: Callable[[str], None]) -> Following | None:
    """None where no log was started yet. Raises DiskLocked where another process follows."""
    disk = RealDisk()
    scrub = Scrub(disk, str(directory), mirror_copy(noted_mirror(directory)))
    try:
        running = running_design(disk, str(directory))
    except Damaged:
        _tell_scrubbed(scrub.at_once(time.monotonic_ns()), say)
        running = running_design(disk, str(directory))
    if running is None:
        return None
    design = read_design(running.text, "the running design")
    warm(say)
    publisher = open_publisher(directory, design.cell.number, origin)
    try:
        follower = Follower(disk, str(directory), number=design.cell.number, every_ns=every_ns, **makers(design))
    except BaseException as fault:
        publisher.close()
        if scrub.heals and isinstance(fault, Damaged | Broken):
            _tell_scrubbed(scrub.at_once(time.monotonic_ns()), say)
        raise
    return Following(follower, publisher, scrub, say)


async def serve_follower(part: Part) -> None:
    """The same as a part: until `part.stop`; ready once it follows. Raises Broken, Damaged."""
    os.nice(NICENESS)                                   # never in the way of what it looks after
    await asyncio.to_thread(_follow_as_part, part)


def _follow_as_part(part: Part) -> None:
    def say(line: str) -> None:
        if not line.startswith("DAMAGED") and said[0].startswith("DAMAGED"):
            print(line, flush=True)                     # what a person must look at stays in the table
            return
        said[0] = line
        part.say(line)

    said, following = [""], None
    while following is None and not part.stop.is_set():
        try:
            following = open_following(part.directory, EVERY_NS, part.origin, say)
        except DiskLocked:
            part.say("another process follows this directory already: waiting for it to end")
        if following is None:
            time.sleep(IDLE_SECONDS)
    if following is None:
        return
    with contextlib.closing(following):
        part.ready(str(part.directory / "transparency" / "public"))
        say(f"following from sequence {following.follower.position.sequence}")
        while not part.stop.is_set():
            if not following.step(time.monotonic_ns()):
                time.sleep(IDLE_SECONDS)
