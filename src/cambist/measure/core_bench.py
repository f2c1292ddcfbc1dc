"""`cambist bench core`: how many commands a second `apply` gets through, in process and with every check on, beside a floor of commands that ask for nothing.

The demo desk's own flow, the public five scenarios, and a mixed flow over houses from one instrument to ten thousand. No log, no socket, no Python a command.
"""
import time
from pathlib import Path
from typing import Any

import numpy as np

from cambist.core import kernel
from cambist.core.cell import Cell
from cambist.core.layout import TABLES
from cambist.measure.five_scenarios import SCENARIOS, five_flow
from cambist.measure.flow import Desk, bench_desk, fresh_cell, order_flow, request_flow
from cambist.measure.bench_house import BenchHouse, Size
from cambist.measure.mixed_flow import Mix
from cambist.measure.replay_bench import replay_from_disk
from cambist.measure.served import seconds_until_ready
from cambist.measure.spread import percentiles, spread
from cambist.messages import COMMAND, Event, Kind
from cambist.warm import warm

NOW = 1_700_000_000_000_000_000
BOUND = ("instructions while a house's rows stay in the caches (up to about 1,000 accounts), then reads of far memory: an order, its neighbours, its level, "
         "its position and its balances are lines of their own, asked for 8 to 24 commands ahead")
BATCH = 4096                                    # commands of one entry
SHAPED_SEED, FIVE_ACCOUNTS = 59, 1_000            # a path whose fills and standing orders are near the published ones in all five
SIZES = (Size(1, 1_000, 1_000), Size(1, 1_000, 100_000), Size(100, 1_000, 1_000_000), Size(100, 1_000_000, 1_000_000), Size(10_000, 1_000_000, 1_000_000),
         Size(10_000, 1_000_000, 10_000_000))
FEW, MIDDLE, LARGEST = SIZES[2], SIZES[3], SIZES[-1]     # the end of the curve is compared with 100 instruments, a million orders
QUICK_SIZES = (Size(1, 1_000, 1_000), Size(100, 1_000, 100_000))


def _timed(cell: Cell, flow: np.ndarray, now: int = NOW, step: int = 400_000_000) -> tuple[float, dict[str, int]]:
    """Seconds in `apply` over the flow in entries of BATCH, and what came out. Log time moves on, so that windows end as on a busy day."""
    counts = np.zeros(128, np.int64)
    spent = 0
    for start in range(0, len(flow), BATCH):
        part = flow[start:start + BATCH]
        began = time.perf_counter_ns()
        for events in cell.run(part, now):
            spent += time.perf_counter_ns() - began
            counts += np.bincount(events["kind"], minlength=128)
            began = time.perf_counter_ns()
        spent += time.perf_counter_ns() - began
        now += step
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


def _empty_calls(cell: Cell, records: np.ndarray, count: int) -> dict[str, float]:
    """The floor of the above: the compiled function called for no command."""
    times = np.zeros(count, np.int64)
    for i in range(count):
        began = time.perf_counter_ns()
        kernel.apply(cell.state, records, 0, 0, NOW)
        times[i] = time.perf_counter_ns() - began
    return percentiles(times)


def _figures(name: str, commands: int, rates: list[float], outcome: dict[str, int]) -> dict[str, Any]:
    per = spread(rates)
    return {"flow": name, "commands": commands, "million_per_s": per, "ns_per_command": round(1e3 / per["median"], 1), "events": outcome}


def _scenario(name: str, desk: Desk, flow: np.ndarray, runs: int) -> dict[str, Any]:
    rates, outcome = [], {}
    for _ in range(runs):
        seconds, outcome = _timed(fresh_cell(desk, NOW), flow)
        rates.append(len(flow) / seconds / 1e6)
    return _figures(name, len(flow), rates, outcome)


def _five(name: str, count: int, runs: int) -> dict[str, Any]:
    """One scenario of the public workload's shape, over one instrument; a fresh house a run."""
    rates, outcome, flow = [], {}, np.zeros(0, COMMAND)
    for _ in range(runs):
        house = BenchHouse(Size(1, FIVE_ACCOUNTS, count), NOW)
        house.cell.touch()
        flow = five_flow(house, name, count, SHAPED_SEED)
        seconds, outcome = _timed(house.cell, flow, house.now, 4_096_000)
        rates.append(len(flow) / seconds / 1e6)
    return _figures(name, len(flow), rates, outcome)


def _resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def _mixed(size: Size, count: int, runs: int) -> dict[str, Any]:
    """The mixed flow over a house of a size; as many orders rest after each run as before."""
    house = BenchHouse(size, NOW)
    before = _resident()
    mix = Mix(house, 11)
    grown = _resident() - before - mix.ids.nbytes - mix.prices.nbytes
    rates, outcome, done = [], {}, 0
    for _ in range(runs):
        flow = mix.flow(count)
        seconds, outcome = _timed(house.cell, flow, house.now, 1_000_000)
        house.now += 1_000_000 * (len(flow) // BATCH + 1)
        rates.append(len(flow) / seconds / 1e6)
        done = len(flow)
    row = TABLES["orders"].itemsize
    if outcome.get("refused"):
        raise RuntimeError(f"the mixed flow is not what it says: {outcome['refused']} of {done} commands were refused")
    return {"instruments": size.instruments, "accounts": size.accounts, "resting": size.resting, "bytes_of_an_order_row": row,
            "bytes_per_resting_order": round(grown / size.resting), **_figures("mixed", done, rates, outcome)}


def bench_core(design_file: Path, quick: bool) -> dict[str, Any]:
    """The desk's flows, the five scenarios, the curve over sizes, and the floor; medians of `runs`."""
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
    five = [_five(name, count // 2 if quick else count, runs) for name in SCENARIOS]
    curve = [_mixed(size, count // 4 if quick else count // 2, runs) for size in (QUICK_SIZES if quick else SIZES)]
    first = curve[0]["ns_per_command"]
    for row in curve:
        row["times_the_smallest"] = round(row["ns_per_command"] / first, 2)
    ns = {size: row["ns_per_command"] for size, row in zip(SIZES, curve, strict=False)} if not quick else {}
    return {"bench": "core", "kernel_was_ready": was_ready, "ready_after_s": round(start_up, 2),
            "a_process_is_ready_after_s": seconds_until_ready(), **({} if quick else {"compiled_after_s": seconds_until_ready(compiled=False)}),
            "floor": floor, "flows": rows,
            "five_scenarios": five, "worst_of_five": min(row["million_per_s"]["median"] for row in five), "sizes": curve,
            **({"largest_over_a_hundred_instruments": {"as_many_accounts": round(ns[LARGEST] / ns[MIDDLE], 2),
                                                       "a_thousand_accounts": round(ns[LARGEST] / ns[FEW], 2)}} if ns else {}), "bounded_by": BOUND,
            "replay_from_disk": replay_from_disk(desk, count if quick else 10 * count, 7, NOW),
            "one_command_alone": {"order": alone, "tick": empty, "empty_call": _empty_calls(fresh_cell(desk, NOW), orders, 5_000)}}
