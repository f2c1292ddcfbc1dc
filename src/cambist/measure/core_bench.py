"""`cambist bench core`: the shipped kernel in process, beside the floor of the same loop over commands that ask for nothing."""
import time
from pathlib import Path
from typing import Any

import numpy as np

from cambist.core.cell import Cell
from cambist.measure.flow import Desk, bench_desk, fresh_cell, order_flow, request_flow
from cambist.measure.spread import percentiles, spread
from cambist.messages import COMMAND, Event, Kind
from cambist.warm import warm

NOW = 1_700_000_000_000_000_000
BATCH = 4096                                    # commands of one entry


def _timed(cell: Cell, flow: np.ndarray) -> tuple[float, dict[str, int]]:
    """Seconds in `apply` over the flow in entries of BATCH, and what came out."""
    counts = np.zeros(128, np.int64)
    spent, now = 0, NOW
    for start in range(0, len(flow), BATCH):
        part = flow[start:start + BATCH]
        began = time.perf_counter_ns()
        for events in cell.run(part, now):
            spent += time.perf_counter_ns() - began
            counts += np.bincount(events["kind"], minlength=128)
            began = time.perf_counter_ns()
        spent += time.perf_counter_ns() - began
        now += 400_000_000                      # log time moves on, so that windows end as on a busy day
    return spent / 1e9, {e.name.lower(): int(counts[e]) for e in Event if counts[e]}


def _alone(cell: Cell, flow: np.ndarray) -> dict[str, float]:
    """One command submitted by itself: submit to applied, in Python."""
    times = np.zeros(len(flow), np.int64)
    for i in range(len(flow)):
        one = flow[i:i + 1]
        began = time.perf_counter_ns()
        cell.apply(one, NOW)
        times[i] = time.perf_counter_ns() - began
    return percentiles(times)


def _scenario(name: str, desk: Desk, flow: np.ndarray, runs: int) -> dict[str, Any]:
    rates, outcome = [], {}
    for _ in range(runs):
        seconds, outcome = _timed(fresh_cell(desk, NOW), flow)
        rates.append(len(flow) / seconds / 1e6)
    per = spread(rates)
    return {"flow": name, "commands": len(flow), "million_per_s": per, "ns_per_command": round(1e3 / per["median"], 1), "events": outcome}


def bench_core(design_file: Path, quick: bool) -> dict[str, Any]:
    """Orders, requests and the floor; medians of `runs`."""
    began = time.monotonic()
    was_ready = warm()
    start_up = time.monotonic() - began
    desk, count, runs = bench_desk(design_file), 200_000 if quick else 1_000_000, 3 if quick else 5
    orders = order_flow(desk, count, 7, NOW)
    ticks = np.zeros(count, COMMAND)
    ticks["kind"], ticks["actor"] = Kind.TICK, desk.names["actors"]["clock"]
    floor = _scenario("floor: the same loop over TICKs (no account, no answer)", desk, ticks, runs)
    rows = [_scenario("orders: about half new, the rest cancels and amends; numbered, every limit checked", desk, orders, runs),
            _scenario("requests: ask, two quotes, accept; on credit", desk, request_flow(desk, count // 10), runs)]
    for row in rows:
        row["times_the_floor"] = round(floor["million_per_s"]["median"] / row["million_per_s"]["median"], 2)
    alone = _alone(fresh_cell(desk, NOW), orders[:5_000])
    empty = _alone(fresh_cell(desk, NOW), ticks[:5_000])
    return {"bench": "core", "kernel_was_ready": was_ready, "ready_after_s": round(start_up, 2), "floor": floor, "flows": rows,
            "one_command_alone": {"order": alone, "tick": empty}}
