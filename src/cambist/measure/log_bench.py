"""`cambist bench log`: entries sealed, chained and made durable by the journal, beside a raw write and fdatasync of the same bytes in the same run."""
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from cambist.log.disk_shell import RealDisk
from cambist.log.entry import seal
from cambist.log.journal import Journal
from cambist.log.segment import Position
from cambist.measure.floor import RawFile
from cambist.measure.spread import median_of, percentiles
from cambist.messages import RECORD_BYTES

GROUPS = (1, 64, 1024, 4000)                    # commands in one entry


def _run(folder: Path, group: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Latencies of sealing and appending, and of the raw write, in turn so that both see the same disk."""
    disk = RealDisk()
    log = Journal.open(disk, str(folder / "log"), cell=1)
    raw = RawFile(folder / "raw")
    records, at = np.random.default_rng(group).bytes(group * RECORD_BYTES), Position()
    ours, theirs = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for i in range(count):
        began = time.perf_counter_ns()
        entry = seal(cell=1, epoch=1, first_sequence=at.sequence + 1, time=i + 1, committed=at.sequence, previous_hash=at.hash, fingerprint=bytes(32),
                     results_hash=bytes(32), records=records)
        log.propose(entry)
        ours[i] = time.perf_counter_ns() - began
        at = at.after(entry)
        theirs[i] = raw.write(entry.data)
        log.prepare()                           # what the node does whenever nothing waits
    log.close()
    raw.close()
    return ours, theirs


def bench_log(design_file: Path, quick: bool) -> dict[str, Any]:
    """For each group size: percentiles of ours and of the floor, medians over runs, and commands a second."""
    rows, runs, count = [], 3 if quick else 5, 100 if quick else 300
    for group in GROUPS:
        ours, floor = [], []
        for _ in range(runs):
            folder = Path(tempfile.mkdtemp(prefix="cambist-bench-"))
            try:
                a, b = _run(folder, group, count)
            finally:
                shutil.rmtree(folder)
            ours.append(percentiles(a))
            floor.append(percentiles(b))
        mine, raw = median_of(ours), median_of(floor)
        rows.append({"commands_per_entry": group, "journal": mine, "floor": raw, "p50_over_floor": round(mine["p50_us"] / raw["p50_us"], 2),
                     "p99_over_floor": round(mine["p99_us"] / raw["p99_us"], 2), "million_commands_per_s": round(group / mine["p50_us"], 3)})
    return {"bench": "log", "floor": "pwrite + fdatasync of the same bytes", "runs": runs, "rows": rows}
