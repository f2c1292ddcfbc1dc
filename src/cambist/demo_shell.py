"""`cambist demo`: one institutional trade from request to settlement, on a temporary directory, in one thread, every command through the door.

Decides the story: a client asks, two outside dealers and the desk quote, the client takes the desk's quote, the desk hedges on a simulated venue that
follows the feed, the cut-off nets, everything settles. What is printed is read back from the log, its results and the stage stamps.
"""
import itertools
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from cambist.changes import running_design
from cambist.core.cell import Cell
from cambist.design import Design, read_design
from cambist.inspection import replay, walk
from cambist.log.disk_shell import RealDisk
from cambist.log.replay import Replay
from cambist.log.results import ResultsReader
from cambist.messages import EVENT, ChildState, Side
from cambist.node import close_node, open_node
from cambist.run import EPOCH, genesis, makers, sizes
from cambist.simulation.invariants import invariants
from cambist.simulation.house import MS, SECOND, START, House, Request
from cambist.simulation.journey import Recorded, Stage, books, find_trip, proof, stages
from cambist.simulation.through_door import ThroughDoor
from cambist.units import format_units
from cambist.venues.recorded import BarPath, RecordedError
from cambist.venues.recorded_shell import detect_format, open_recording
from cambist.venues.venue import BookUpdate, Terms
from cambist.warm import warm

WARM_UP, PATIENCE = 2 * SECOND, 30 * SECOND
PACE = 250 * MS                                 # a slower recording is replayed faster, so that its prices are never stale
WIDTH = 110
LOOKED_AT = 64                                  # books whose gaps say how slow a recording is
WORTH = {"XRP/USD": 200_000, "BTC/USD": 2}      # what the client asks for, in whole units of the base asset


class Found(NamedTuple):
    """What the demo found out; `checks` by name, all of them must hold."""
    stages: list[Stage]
    checks: dict[str, bool]
    before: list[dict[str, Any]]
    after: list[dict[str, Any]]
    proof: list[dict[str, Any]]
    facts: dict[str, Any]


def run_demo(design_file: Path, feed: Path | None, *, seed: int, as_json: bool, keep: Path | None) -> int:
    """0 when every check holds; 1 otherwise, saying which did not."""
    warm(None if as_json else print)
    folder = Path(keep) if keep else Path(tempfile.mkdtemp(prefix="cambist-demo-"))
    if keep and folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; --keep wants a new directory")
    try:
        found = trade(design_file, feed, seed, folder)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        print(msgspec.json.encode({**found._asdict(), "stages": [s._asdict() for s in found.stages], "ok": all(found.checks.values())}).decode())
    else:
        show(found)
    return 0 if all(found.checks.values()) else 1


# ---------------------------------------------------------------------------------------------------------------- feed
def _instrument(design: Design, feed: Path | None) -> str:
    """Which listed instrument a recording is of: the one whose base asset its name says; without a recording the first of WORTH."""
    listed = [name for name in WORTH if name in design.instruments]
    if feed is None:
        return listed[0]
    for name in listed:
        if design.instruments[name].base.lower() in feed.name.lower():
            return name
    bases = ", ".join(design.instruments[n].base for n in listed)
    raise RecordedError("no_asset", feed.name, 0, "the file's name says none of the assets traded here", f"name it after one of {bases}")


def _recording(feed: Path, terms: Terms) -> Iterator[BookUpdate]:
    """The recorded books, in the demo's log time: shifted to its start, and faster where the recording is slower than PACE."""
    path = BarPath(spread=4 * terms.book_tick, size=10**4 * terms.lot) if detect_format(feed) == "bars" else None
    books_ = open_recording(feed, terms, path_of_bars=path, round_to_tick=True)
    first = list(itertools.islice(books_, LOOKED_AT))
    if len(first) < 3:
        raise RecordedError("too_short", feed.name, 0, f"{len(first)} books", "at least 3")
    gap = statistics.median(b.time - a.time for a, b in itertools.pairwise(first))
    speed = max(1.0, gap / PACE)
    origin = first[0].time
    for book in itertools.chain(first, books_):
        yield msgspec.structs.replace(book, time=START + 1 + int((book.time - origin) / speed))


# --------------------------------------------------------------------------------------------------------------- trade
def trade(design_file: Path, feed: Path | None, seed: int, folder: Path) -> Found:
    """The trade, then everything read back from the disk."""
    text = design_file.read_text()
    design = read_design(text, str(design_file))
    instrument = _instrument(design, feed)
    disk = RealDisk()
    node = open_node(disk, str(folder), number=design.cell.number, epoch=EPOCH, segment_bytes=8 << 20, **makers(design))
    try:
        door = ThroughDoor(node, time.perf_counter_ns)
        records, side = genesis(design, text)
        house = House(door, design, seed, _feeds(design, instrument, feed), audit=False, genesis=(records, side))
        before = books(door.tables(), house.names["accounts"], house.names["assets"])
        request, settled = _story(house, instrument)
        tables = door.tables()
        after = books(tables, house.names["accounts"], house.names["assets"])
        proven = proof(tables, house.names["assets"])
        facts = _facts(house, instrument, request)
        children_done = all(row["state"] == ChildState.DONE for row in house.rows("children"))
        flat = abs(house.position(house.desk, request.instrument)) < house.terms[request.instrument].lot
        checks = {"the client traded with the desk": request.filled is not None, "the desk is hedged": flat and children_done,
                  "every obligation is settled": settled and not house.rows("obligations"), "custody equals ownership": all(p["holds"] for p in proven),
                  "no invariant is broken": not invariants(tables), "nothing is in suspense": not house.stranded()}
    finally:
        close_node(node)
    return _read_back(disk, folder, design, request, house, door, checks, Found([], checks, before, after, proven, facts))


def _feeds(design: Design, instrument: str, feed: Path | None) -> dict[int, Iterator[BookUpdate]] | None:
    if feed is None:
        return None
    from cambist.configure import numbered
    from cambist.desk.quoting import desk_terms
    names = numbered(design)
    number = names["instruments"][instrument]
    return {number: _recording(feed, desk_terms(design, names)[number])}


def _story(house: House, instrument: str) -> tuple[Request, bool]:
    """Prices warm up; the client asks and takes the desk's quote; the hedge fills; the cut-off nets; all is settled."""
    house.run(house.now + WARM_UP)
    base = house.design.instruments[instrument].base
    quantity = WORTH[instrument] * 10 ** house.design.assets[base].digits
    request = house.request(next(iter(house.clients)), instrument, Side.BUY, quantity, choose=house.by_desk)
    house.run(house.now + PATIENCE, lambda: request.filled is not None)

    def hedged() -> bool:
        open_ones = [row for row in house.rows("children") if row["state"] != ChildState.DONE]
        return not open_ones and abs(house.position(house.desk, request.instrument)) < house.terms[request.instrument].lot

    house.run(house.now + PATIENCE, hedged)
    house.net()

    def all_settled() -> bool:
        cell = house.rows("cell")[0]
        return bool(cell["cycle"]) and not cell["cut_off"] and not house.rows("obligations")

    return request, house.run(house.now + PATIENCE, all_settled)


def _facts(house: House, instrument: str, request: Request) -> dict[str, Any]:
    filled = request.filled or {}
    return {"instrument": instrument, "quantity": request.quantity, "price": int(filled.get("price", 0)),
            "dealers_quoting": len({q >> 32 for q in request.quotes}),
            "digits": {name: row.digits for name, row in house.design.assets.items()},
            "commands": house.sequence, "log_time_ns": house.now - START}


def _read_back(disk: RealDisk, folder: Path, design: Design, request: Request, house: House, door: ThroughDoor, checks: dict[str, bool], found: Found) -> Found:
    """From the closed files alone: chains whole, replay equal, each stage's sequence in the journal with its event."""
    directory = str(folder)
    log = Replay(disk, f"{directory}/log", unproven=True)
    entries = [entry for chunk in log.chunks() for entry in chunk]
    log.close()
    events = np.concatenate([np.frombuffer(kept.events, EVENT) for kept in ResultsReader(disk, f"{directory}/results").read(1)])
    recorded = Recorded(entries, events)
    trip = find_trip(recorded, request.number, house.desk, next(iter(house.clients.values())).account)
    rows = stages(recorded, trip, door.stamps, {s.name: s.budget for s in design.stages})
    checks["every stage is in the journal with its event"] = all(row.event in recorded.said(row.seq) for row in rows)
    walked = walk(disk, directory, None, time.perf_counter_ns)
    checks["every chain is whole"] = not walked.findings
    again = replay(disk, directory, Cell(sizes(design)), time.perf_counter_ns)
    checks["a replay tells the same"] = not again.broken and again.results_hash == again.told_hash
    running = running_design(disk, directory)
    checks["the log carries its design"] = running is not None
    facts = {**found.facts, "log_hash": again.log_hash, "results_hash": again.results_hash, "state_hash": again.state_hash, "findings": list(walked.findings)}
    return found._replace(stages=rows, checks=checks, facts=facts)


# ---------------------------------------------------------------------------------------------------------------- show
def show(found: Found) -> None:
    """The trip, the books before and after, the proof and the checks."""
    console = Console(width=WIDTH)
    trip = Table(title=f"one trade: {found.facts['instrument']}, {found.facts['commands']} commands in the log")
    for name, justify in (("stage", "left"), ("took", "right"), ("budget", "right"), ("", "left"), ("seq", "right"), ("event", "left"), ("clock", "left")):
        trip.add_column(name, justify=justify)                              # type: ignore[arg-type]
    for s in found.stages:
        trip.add_row(s.stage, _ms(s.ns), _ms(s.budget_ns), "" if s.ns <= s.budget_ns else "over", str(s.seq), s.event, s.clock)
    console.print(trip)
    console.print(_books_table(found))
    evidence = Table(title="custody equals ownership")
    for name in ("asset", "custody", "ownership", "unsettled", "due", "holds"):
        evidence.add_column(name, justify="right")
    for line in found.proof:
        digits = found.facts["digits"][line["asset"]]
        evidence.add_row(line["asset"], *(_money(line[n], digits) for n in ("custody", "ownership", "unsettled", "due")), "yes" if line["holds"] else "NO")
    console.print(evidence)
    for name, holds in found.checks.items():
        console.print(f"  {'ok  ' if holds else 'FAIL'} {name}", highlight=False)


def _books_table(found: Found) -> Table:
    """Accounts whose balance the trade changed."""
    table = Table(title="accounts before and after")
    for name in ("account", "asset", "before", "after", "change"):
        table.add_column(name, justify="left" if name in ("account", "asset") else "right")
    old = {(r["account"], r["asset"]): r["available"] + r["held"] for r in found.before}
    for row in found.after:
        was, now = old.get((row["account"], row["asset"]), 0), row["available"] + row["held"]
        if was != now:
            digits = found.facts["digits"][row["asset"]]
            table.add_row(row["account"], row["asset"], _money(was, digits), _money(now, digits), _money(now - was, digits))
    return table


def _ms(ns: int) -> str:
    return f"{format_units(max(ns, 0) // 1000, 3)} ms" if ns < 60 * SECOND else f"{ns // SECOND} s"


def _money(amount: int, digits: int) -> str:
    """With its decimal point, thousands apart."""
    whole, _, part = format_units(abs(amount), digits).partition(".")
    return f"{'-' if amount < 0 else ''}{int(whole):,}{'.' if part else ''}{part}"
