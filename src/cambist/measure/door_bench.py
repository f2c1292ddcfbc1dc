"""`cambist bench door`: a real node process behind its Unix socket; flat out, and open-loop at fixed rates, beside fdatasync and an echo in the same run.

Latency runs from when a batch was due (no coordinated omission) to when the event of its last new order was read by a subscriber.
"""
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from cambist.door.client import Code, StreamKind
from cambist.door.client_shell import Client, RefusedByDoor
from cambist.measure.core_bench import NOW
from cambist.measure.flow import order_flow
from cambist.measure.floor import echo_seconds, paced_syncs
from cambist.measure.served import in_parts, served
from cambist.measure.spread import percentiles, spread
from cambist.messages import RECORD_BYTES, Kind
from cambist.warm import warm

PART = 4_000                                    # commands of one SUBMIT when flat out
RATES = (50_000, 100_000, 250_000, 500_000)
EVERY_NS = 1_000_000                            # open-loop: one SUBMIT a millisecond
SILENCE_SECONDS = 3.0


def _submit(client: Client, part: np.ndarray) -> int:
    """Send until taken: how often the door refused for overload."""
    refused = 0
    while True:
        try:
            client.submit(part)
            return refused
        except RefusedByDoor as fault:
            if fault.code != Code.OVERLOAD:
                raise
            refused += 1
            time.sleep(0.0005)


def _key(rows: np.ndarray) -> np.ndarray:
    return (rows["account"].astype(np.int64) << 40) | rows["id_lo"]


class _Reader(threading.Thread):
    """Reads every event of the house and notes when the probes came."""

    def __init__(self, path: str, probes: np.ndarray):
        super().__init__(daemon=True)
        self.client = Client(path)
        self.subscription = self.client.subscribe(StreamKind.ALL, cursor=0)
        self.probes, self.came, self.events = np.sort(probes), np.zeros(len(probes), np.int64), 0

    def run(self) -> None:
        left = len(self.probes)
        for batch in self.client.batches(self.subscription, SILENCE_SECONDS):
            now = time.perf_counter_ns()
            self.events += len(batch.events)
            keys = _key(batch.events)[batch.events["command"] == Kind.NEW_ORDER]
            place = np.searchsorted(self.probes, keys)
            place = place[(place < len(self.probes)) & (self.probes[np.minimum(place, len(self.probes) - 1)] == keys)]
            self.came[place] = now
            left -= len(place)
            if left <= 0:
                return


def _probes(parts: list[np.ndarray]) -> np.ndarray:
    """The key of the last new order of each part."""
    return np.array([_key(part[part["kind"] == Kind.NEW_ORDER][-1:])[0] for part in parts])


def _flat_out(path: str, flow: np.ndarray) -> dict[str, float]:
    parts = list(in_parts(flow, PART))
    reader = _Reader(path, _probes(parts[-1:]))
    reader.start()
    began, refused = time.perf_counter_ns(), 0
    with Client(path) as client:
        for part in parts:
            refused += _submit(client, part)
        reader.join(60)
    reader.client.close()
    seconds = (int(reader.came[0]) - began) / 1e9
    return {"million_per_s": round(len(flow) / seconds / 1e6, 3) if seconds > 0 else 0.0, "overload_refusals": refused, "events": reader.events}


def _paced(path: str, flow: np.ndarray, rate: int) -> dict[str, Any]:
    size = rate * EVERY_NS // 10**9
    parts = [part for part in in_parts(flow, size) if len(part) == size and (part["kind"] == Kind.NEW_ORDER).any()]
    probes = _probes(parts)
    reader, due = _Reader(path, probes), np.zeros(len(parts), np.int64)
    reader.start()
    refused, began = 0, time.perf_counter_ns() + 5_000_000
    with Client(path) as client:
        for i, part in enumerate(parts):
            due[i] = began + i * EVERY_NS
            while (left := int(due[i]) - time.perf_counter_ns()) > 0:
                time.sleep(left / 1e9)
            refused += _submit(client, part)
        sent_seconds = (time.perf_counter_ns() - began) / 1e9
        reader.join(60)
    reader.client.close()
    came = reader.came[np.searchsorted(reader.probes, probes)]
    lost = int((came == 0).sum())
    return {"rate_per_s": rate, "sent_per_s": round(len(parts) * size / sent_seconds), "latency": percentiles((came - due)[came > 0]), "not_heard": lost,
            "overload_refusals": refused}


def bench_door(design_file: Path, quick: bool) -> dict[str, Any]:
    """Flat out (medians of runs), then open-loop at each rate with its floor; one client."""
    warm()
    runs, seconds = 3, 1.0 if quick else 4.0
    rows, flat = [], []
    with tempfile.TemporaryDirectory(prefix="cambist-bench-") as folder:
        for run in range(runs):
            with served(design_file) as (desk, path):
                flat.append(_flat_out(path, order_flow(desk, 100_000 if quick else 400_000, 11 + run, NOW)))
        echo = PART / (echo_seconds(Path(folder) / "echo.sock", bytes(PART * RECORD_BYTES), 100) / 100) / 1e6
        for rate in RATES:
            with served(design_file) as (desk, path):
                row = _paced(path, order_flow(desk, int(rate * seconds), 23, NOW), rate)
            floor = percentiles(paced_syncs(Path(folder) / f"floor-{rate}", bytes(rate * EVERY_NS // 10**9 * RECORD_BYTES), 1e9 / EVERY_NS, int(seconds * 500)))
            row |= {"floor": floor, "p99_over_floor": round(row["latency"]["p99_us"] / max(floor["p99_us"], 0.1), 1)}
            rows.append(row)
    return {"bench": "door", "floor": "write + fdatasync of the same bytes at the same rate", "clients": 1,
            "flat_out": {"million_per_s": spread([f["million_per_s"] for f in flat]), "overload_refusals": sum(int(f["overload_refusals"]) for f in flat),
                         "echo_floor_million_per_s": round(echo, 2)}, "open_loop": rows}
