"""`cambist bench door`: real node and listener processes; flat out, and open-loop at fixed rates, through the house's Unix socket and over TCP with 1, 10 and
100 clients, beside fdatasync and an echo of the same bytes in the same run.

Latency runs from when a part was due (no coordinated omission) to when the event that answers its last command was read by whoever sent it.
"""
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from cambist.door.client import StreamKind
from cambist.door.client_shell import Client
from cambist.measure.core_bench import NOW
from cambist.measure.floor import echo_seconds, paced_syncs
from cambist.measure.flow import Desk, order_flow
from cambist.measure.outside import WINDOW, Crowd
from cambist.measure.served import KEY_OF_ALL, in_parts, served, served_outside
from cambist.measure.spread import median_of, percentiles, spread
from cambist.messages import RECORD_BYTES
from cambist.warm import warm

CLIENTS = (1, 10, 100)
PART = 8_000                                    # commands of one SUBMIT when flat out
RATES = (50_000, 100_000, 250_000, 500_000)
EVERY_NS = 1_000_000                            # open-loop: so much time's commands are one SUBMIT, of each client in turn
SPREAD_NS = 100_000                             # with many clients: the least time between two SUBMITs
SILENCE_SECONDS = 3.0


# ------------------------------------------------------------------------------------------------------------------------------- the house's own socket
class _Reader(threading.Thread):
    """Hears every event of the house and notes when so many commands were answered."""
    def __init__(self, path: str, first: int, ends: np.ndarray):
        super().__init__(daemon=True)
        self.client, self.ends, self.came = Client(path), first + ends, np.zeros(len(ends), np.int64)
        self.subscription = self.client.subscribe(StreamKind.ALL, cursor=0, credit=1 << 16)

    def run(self) -> None:
        done = 0
        for batch in self.client.batches(self.subscription, SILENCE_SECONDS):
            reached = int(np.searchsorted(self.ends, int(batch.events["sequence"][-1]) + (not batch.more), "right"))
            if reached > done:
                self.came[done:reached] = time.perf_counter_ns()
                done = reached
            if done == len(self.ends):
                return


def _inside(path: str, parts: list[np.ndarray], due: np.ndarray | None) -> np.ndarray:
    """One client in the house: when each part was answered; 0 where it was not heard."""
    with Client(path) as client:
        first = client.read("status")[1]["applied"] + 1
        ends = np.cumsum([len(part) for part in parts])
        reader = _Reader(path, first, ends)
        reader.start()
        for i, part in enumerate(parts):
            while due is not None and (left := int(due[i]) - time.perf_counter_ns()) > 0:
                time.sleep(left / 1e9)
            while due is None and i and int(ends[i - 1]) - int(ends[int((reader.came > 0).sum()) - 1] if reader.came[0] else 0) > WINDOW:
                time.sleep(0.0002)
            client.submit(part)
        reader.join(60)
        reader.client.close()
    return reader.came


# ----------------------------------------------------------------------------------------------------------------------------------------------- a run
def _dealt(desk: Desk, flow: np.ndarray, clients: int, size: int) -> tuple[list[np.ndarray], list[int]]:
    """Each client's commands in its own order, in parts that take turns."""
    mine = [list(in_parts(np.ascontiguousarray(flow[flow["account"] == account]), size)) for account in desk.accounts[:clients].tolist()]
    turns = [(part, k) for turn in range(max(map(len, mine))) for k, own in enumerate(mine) for part in own[turn:turn + 1]]
    return [part for part, _ in turns], [k for _, k in turns]


def _run(design_file: Path, clients: int, count: int, rate: int, seed: int) -> dict[str, Any]:
    """One run in a house of its own: `clients` 0 means the Unix socket, `rate` 0 flat out."""
    with served(design_file) as (desk, path):
        flow = order_flow(desk, count, seed, NOW, clients=clients or 100)
        size = max(1, rate * max(EVERY_NS, clients * SPREAD_NS) // max(clients, 1) // 10**9) if rate else PART
        parts, whose = _dealt(desk, flow, clients, size) if clients else (list(in_parts(flow, size)), [])
        counts = np.array([len(part) for part in parts])
        with served_outside(design_file, path) if clients else nullcontext() as place:      # who is not needed takes no time
            crowd = Crowd(place, [f"m{i}" for i in range(clients)], KEY_OF_ALL) if place else None
            began = time.perf_counter_ns() + 20_000_000
            due = began + np.concatenate(([0], np.cumsum(counts[:-1]))) * 10**9 // rate if rate else None
            came = crowd.run(parts, whose, due) if crowd else _inside(path, parts, due)
            if crowd:
                crowd.close()
    heard = came > 0
    row: dict[str, Any] = {"not_heard": int(counts[~heard].sum()), "refused": crowd.refused if crowd else 0}
    if due is None:
        return row | {"million_per_s": round(count / max(int(came.max()) - began + 20_000_000, 1) * 1e3, 3)}
    return row | {"latency": percentiles((came - due)[heard])}


def _names(clients: int) -> str:
    return f"tcp_{clients}" if clients else "unix_socket"


def _flat_out(design_file: Path, quick: bool) -> Iterator[dict[str, Any]]:
    for clients in (0, *CLIENTS):
        runs = [_run(design_file, clients, 100_000 if quick else 400_000, 0, 11 + i) for i in range(1 if quick else 3)]
        yield {"clients": _names(clients), "million_per_s": spread([run["million_per_s"] for run in runs]), "refused": sum(run["refused"] for run in runs),
               "not_heard": sum(run["not_heard"] for run in runs)}


def _open_loop(design_file: Path, folder: Path, quick: bool) -> Iterator[dict[str, Any]]:
    seconds = 1.0 if quick else 4.0
    for rate in RATES:
        floors, rows = [], {clients: list[dict[str, Any]]() for clients in (0, *CLIENTS)}
        for i in range(1 if quick else 3):
            for clients, runs in rows.items():
                runs.append(_run(design_file, clients, int(rate * seconds), rate, 23 + i))
            data = bytes(rate * EVERY_NS // 10**9 * RECORD_BYTES)
            floors.append(percentiles(paced_syncs(folder / f"floor-{rate}-{i}", data, 1e9 / EVERY_NS, int(seconds * 500))))
        floor = median_of(floors)
        for clients, runs in rows.items():
            mine = median_of([run["latency"] for run in runs])
            yield {"rate_per_s": rate, "clients": _names(clients), "latency": mine, "floor": floor, "runs": len(runs),
                   "not_heard": sum(run["not_heard"] for run in runs), "p99_over_floor": round(mine["p99_us"] / max(floor["p99_us"], 0.1), 1)}


def bench_door(design_file: Path, quick: bool) -> dict[str, Any]:
    """Flat out, then open-loop at each rate with its floor; medians of runs that take turns."""
    warm()
    with tempfile.TemporaryDirectory(prefix="cambist-bench-") as folder:
        echoed = PART / (echo_seconds(Path(folder) / "echo.sock", bytes(PART * RECORD_BYTES), 100) / 100) / 1e6
        return {"bench": "door", "floor": "write + fdatasync of the same bytes at the same rate", "echo_floor_million_per_s": round(echoed, 2),
                "flat_out": list(_flat_out(design_file, quick)), "open_loop": list(_open_loop(design_file, Path(folder), quick))}
