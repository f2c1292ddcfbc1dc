"""A log of many commands, read again from the disk: its chain checked, every command applied to a fresh core. Part of `cambist bench core`.

Decides what the log holds: the desk's own flow of orders in entries of the size that a full pipe makes. What is timed is `log.replay.Replay` and `apply`,
as `cambist replay` does it, reading ahead in a second thread; results are neither kept nor compared.
"""
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from cambist.core.cell import Cell
from cambist.log.ahead_shell import ahead
from cambist.log.disk_shell import RealDisk
from cambist.log.entry import seal
from cambist.log.journal import Journal
from cambist.log.replay import Replay
from cambist.log.segment import Position
from cambist.measure.flow import Desk, fresh_cell, order_flow
from cambist.poison import commands_of

TOGETHER = 4_000                                # commands of one entry
STEP = 400_000_000                              # nanoseconds of log time between entries


def _written(folder: Path, flow: np.ndarray, now: int) -> None:
    """The flow as a journal, every entry durable."""
    log, at = Journal.open(RealDisk(), str(folder), cell=1), Position()
    for start in range(0, len(flow), TOGETHER):
        entry = seal(cell=1, epoch=1, first_sequence=at.sequence + 1, time=now, committed=at.sequence, previous_hash=at.hash, fingerprint=bytes(32),
                     results_hash=bytes(32), records=flow[start:start + TOGETHER].tobytes())
        log.propose(entry)
        log.prepare()
        at, now = at.after(entry), now + STEP
    log.close()


def _read(folder: Path, cell: Cell | None) -> float:
    """Seconds to read the whole log, and to apply it unless there is no cell."""
    began, log = time.perf_counter(), Replay(RealDisk(), str(folder), unproven=True)
    for chunk in ahead(log.chunks()):
        for entry in chunk:
            for _ in cell.run(commands_of(entry), entry.time) if cell else ():
                continue
    log.close()
    return time.perf_counter() - began


def replay_from_disk(desk: Desk, count: int, seed: int, now: int) -> dict[str, Any]:
    """M commands a second from the files to the state; beside it the same without applying, which is reading and checking the chain."""
    folder = Path(tempfile.mkdtemp(prefix="cambist-bench-"))
    try:
        _written(folder, order_flow(desk, count, seed, now), now)
        cell = fresh_cell(desk, now)
        before, seconds = cell.sequence, _read(folder, cell)
        if cell.sequence - before != count:
            raise RuntimeError(f"the replay applied {cell.sequence - before} of {count} commands")
        reading = _read(folder, None)
    finally:
        shutil.rmtree(folder)
    return {"commands": count, "million_per_s": round(count / seconds / 1e6, 3), "ns_per_command": round(seconds / count * 1e9, 1),
            "of_it_reading_and_checking_ns": round(reading / count * 1e9, 1)}
