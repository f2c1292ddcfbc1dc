"""What `cambist node` and `cambist follow` start, and the node as a part of `cambist run`: one process each, wired from a design file and a directory.

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
from cambist.follower import Follower
from cambist.log.disk_shell import RealDisk
from cambist.log.entry import SideSection
from cambist.log.journal import RESERVE_BYTES as LOG_RESERVE
from cambist.log.journal import Finding
from cambist.log.mirror_shell import AtOnce, heal_directory, mirror_copy, note_mirror, noted_mirror, on_one_device
from cambist.log.results import RESERVE_BYTES as RESULTS_RESERVE
from cambist.log.scrub import Scrub
from cambist.log.segment import Damaged
from cambist.log.times import Times
from cambist.log.transparency_shell import open_publisher
from cambist.node import close_node, open_node
from cambist.node_shell import SWITCH_SECONDS, run_node, serve
from cambist.part_shell import Part
from cambist.trial_shell import try_out
from cambist.warm import warm

SOCKET = "door.sock"
EPOCH = 1                                       # a release that changes rules or layouts starts the next one from a migrated snapshot
IDLE_SECONDS = 0.2                              # how long a follower waits when the log has nothing new
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


def prepare(design_file: Path, directory: Path, say: Callable[[str], None]) -> Start:
    """The kernel is warm, the directory there and private, and the design is the one in force: the log's own where it has one. Raises DesignError."""
    text = design_file.read_text()
    design = read_design(text, str(design_file))
    mirror = design.redundancy.mirror
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    warm(say)
    _look_at_mirror(design, directory, say)
    running = running_design(RealDisk(), str(directory))
    if running is not None and (difference := state_differs(running, design)):
        say(f"{design_file} is not the design this directory runs by ({difference}); the running one is kept. `cambist apply` changes it.")
        design = read_design(running.text, "the running design")
    return Start(design, *genesis(design, text), mirror)


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
    design, commands, side, mirror = prepare(design_file, directory, say)
    socket = directory / SOCKET

    def opened() -> None:
        say(f"node of cell {design.cell.number} in {directory}")
        say(f"door: unix socket {socket} (native record protocol; docs/wire.md)")
        say(f"look: cambist status {directory}; stop: Ctrl-C or SIGTERM")
    return run_node(str(directory), str(socket), number=design.cell.number, genesis=commands, genesis_attachments=side, epoch=EPOCH,
                    ticker=ticker(design), opened=opened, say=say, **storing(mirror), **makers(design))


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
    disk = RealDisk()
    scrub = Scrub(disk, str(directory), mirror_copy(noted_mirror(directory)))

    def scrubbed(findings: list[Finding]) -> None:
        for finding in findings:
            say(f"{'HEALED' if finding.healed else 'DAMAGED'}: {finding}")

    try:
        running = running_design(disk, str(directory))
    except Damaged:
        scrubbed(scrub.at_once(time.monotonic_ns()))
        running = running_design(disk, str(directory))
    if running is None:
        raise FileNotFoundError(f"{directory} holds no log that was started; run `cambist run --directory {directory}` first")
    design = read_design(running.text, "the running design")
    warm(say)
    publisher = open_publisher(directory, design.cell.number, origin)
    follower = Follower(disk, str(directory), number=design.cell.number, every_ns=int(every_seconds * 1e9), **makers(design))
    stopped: list[int] = []
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda number, _: stopped.append(number))
    say(f"following {directory} as process {os.getpid()}, from sequence {follower.position.sequence}")
    with contextlib.closing(publisher), contextlib.closing(follower):
        while not stopped:
            step, published = follower.step(time.monotonic_ns()), publisher.step(time.monotonic_ns())
            if step.saved:
                say(f"snapshot at sequence {step.saved.sequence}, state {step.saved.state_hash[:16]}")
            if step.unsaved:
                say(f"no snapshot: {step.unsaved}")
            if published.head:
                say(f"signed a head of {published.head.size} entries, to sequence {published.head.position.sequence}")
            scrubbed(scrub.step(time.monotonic_ns()))
            if not step.entries and not published.entries:
                time.sleep(IDLE_SECONDS)
    return 0
