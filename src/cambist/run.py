"""What `cambist run` and `cambist follow` start: one process each, wired from a design file and a directory.

Decides which cell, which directory, which socket. Next to come: the supervisor of gateways, desk and venues, which reach the node by the same door.
"""
import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from cambist.changes import running_design, state_differs
from cambist.configure import configure, names_attachment
from cambist.core.cell import Cell
from cambist.design import Design, read_design
from cambist.follower import Follower
from cambist.log.disk_shell import RealDisk
from cambist.log.entry import SideSection
from cambist.node_shell import run_node
from cambist.warm import warm

SOCKET = "door.sock"
EPOCH = 1                                       # a release that changes rules or layouts starts the next one from a migrated snapshot
IDLE_SECONDS = 0.2                              # how long a follower waits when the log has nothing new


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


def start_node(design_file: Path, directory: Path, say: Callable[[str], None]) -> int:
    """Serve the directory's node until SIGTERM or SIGINT. 0, or 1 when it could not start or had to stop."""
    text = design_file.read_text()
    design = read_design(text, str(design_file))
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    warm(say)
    running = running_design(RealDisk(), str(directory))
    if running is not None and (difference := state_differs(running, design)):
        say(f"{design_file} is not the design this directory runs by ({difference}); the running one is kept. `cambist apply` changes it.")
        design = read_design(running.text, "the running design")
    commands, side = genesis(design, text)
    socket = directory / SOCKET

    def opened() -> None:
        say(f"node of cell {design.cell.number} in {directory}")
        say(f"door: unix socket {socket} (native record protocol; docs/wire.md)")
        say(f"look: cambist status {directory}; stop: Ctrl-C or SIGTERM")
    return run_node(str(directory), str(socket), number=design.cell.number, genesis=commands, genesis_attachments=side, epoch=EPOCH,
                    ticker=ticker(design), opened=opened, say=say, **makers(design))


def follow(directory: Path, every_seconds: float, say: Callable[[str], None]) -> int:
    """Replay the log beside the node, compare results, write a snapshot now and then; until SIGTERM or SIGINT."""
    disk = RealDisk()
    running = running_design(disk, str(directory))
    if running is None:
        raise FileNotFoundError(f"{directory} holds no log that was started; run `cambist run --directory {directory}` first")
    design = read_design(running.text, "the running design")
    warm(say)
    follower = Follower(disk, str(directory), number=design.cell.number, every_ns=int(every_seconds * 1e9), **makers(design))
    stopped: list[int] = []
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda number, _: stopped.append(number))
    say(f"following {directory} as process {os.getpid()}, from sequence {follower.position.sequence}")
    with contextlib.closing(follower):
        while not stopped:
            step = follower.step(time.monotonic_ns())
            if step.saved:
                say(f"snapshot at sequence {step.saved.sequence}, state {step.saved.state_hash[:16]}")
            if not step.entries:
                time.sleep(IDLE_SECONDS)
    return 0
