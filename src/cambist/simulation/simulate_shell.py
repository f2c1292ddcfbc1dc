"""`cambist simulate`: one seed or many, in one process or several; what a failing one says, the command that repeats it, and a smaller run that fails alike.

Decides how runs are spread and how a failure is made smaller. It must not know what a run does.
"""
from __future__ import annotations

import gc
import inspect
import multiprocessing
import os
import re
import sys
import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.pool import AsyncResult, Pool
from pathlib import Path
from typing import Any, NamedTuple

from cambist.design import Design, read_design
from cambist.simulation.faults import CLASSES, chosen
from cambist.simulation.planted import BUGS, planted
from cambist.simulation.virtual_house_shell import House, Plan
from cambist.simulation.onlooker import Violation
from cambist.warm import warm

TRAIL = 30                                              # lines of what happened last
SHRINK_RUNS, SHRINK_SECONDS = 60, 90.0
Say = Callable[[str], None]


class Result(NamedTuple):
    """What became of one run. `hash` is a function of the plan alone."""
    plan: Plan
    violation: str
    hash: str
    commands: int
    virtual_ns: int
    faults: Counter[str]
    counts: Counter[str]
    told: Counter[str]                          # events by name
    trail: list[tuple[int, str]]
    seconds: float
    words: int                                  # how words hash in the process that ran it


def simulate(plan: Plan, design: Design, text: str) -> Result:
    """One run, from nothing. Anything that is no promise broken is raised: our bug."""
    warnings.filterwarnings("ignore", "coroutine .* was never awaited")         # of a process that died before its first turn
    collecting = gc.isenabled()
    gc.disable()                                        # a run makes little garbage
    try:
        return _run(plan, design, text)
    finally:
        _bury()
        if collecting:
            gc.enable()


def _run(plan: Plan, design: Design, text: str) -> Result:
    began, violation = time.process_time(), ""
    with planted(plan.bug):
        house = House(plan, design, text)
        try:
            house.run()
        except Violation as fault:
            violation = str(fault)
        except (AssertionError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RuntimeError, OSError) as fault:
            if not plan.bug:
                raise
            violation = f"the house fell over: {fault!r}"       # of a planted bug: found as well
        digest = house.hash()
    return Result(plan, violation, digest, house.commands, house.clock.now, house.faults.count, house.counts, house.witness.told, house.trail,
                  time.process_time() - began, hash("words"))


def _bury() -> None:
    """What a run left. Its coroutines that still wait end here, where their loop does not run any more: that they miss it says nothing of the program."""
    told = sys.unraisablehook

    def tell(what: Any) -> None:
        if not (inspect.iscoroutine(what.object) and isinstance(what.exc_value, RuntimeError) and "no running event loop" in str(what.exc_value)):
            told(what)
    sys.unraisablehook = tell
    try:
        gc.collect()
    finally:
        sys.unraisablehook = told


# ------------------------------------------------------------------------------------------------------------------------- planted bugs
HUNTED = {"core": ("double,reset,late,nudge,jump,desk,venue-double,venue-late", 700),
          "log": ("kill,power,eio,rot,lost,late,slow,stop,nudge,reader,double", 1000),
          "gateways": ("gentle,overload", 1200), "desk": ("gentle,venue-lost,venue-double,venue-late", 2000)}       # faults, commands by area


def seeds_to_find(bug: str, design: Design, text: str, most: int, first: int = 1) -> tuple[int, Result | None]:
    """How many seeds it took, and the run that found it; None when `most` did not."""
    faults, commands = HUNTED[BUGS[bug].area]
    for tried in range(1, most + 1):
        result = simulate(Plan(first + tried - 1, commands, chosen(faults), bug=bug), design, text)
        if result.violation:
            return tried, result
    return most, None


# ------------------------------------------------------------------------------------------------------------------------------ smaller
def sort_of(violation: str) -> str:
    """What stays the same when a failure is made smaller."""
    return re.sub(r"-?\d+|0x[0-9a-f]+", "#", violation)[:80]


def shrunk(failed: Result, design: Design, text: str) -> Result:
    """A run with fewer faults and fewer commands that fails alike, found within SHRINK_SECONDS."""
    best, began, runs = failed, time.monotonic(), 0

    def tried(plan: Plan) -> bool:
        nonlocal best, runs
        if runs >= SHRINK_RUNS or time.monotonic() - began > SHRINK_SECONDS:
            return False
        runs += 1
        result = simulate(plan, design, text)
        if result.violation and sort_of(result.violation) == sort_of(failed.violation):
            best = result
            return True
        return False

    tried(best.plan._replace(faults=frozenset(best.faults)))
    for name in CLASSES:
        if name in best.plan.faults:
            tried(best.plan._replace(faults=best.plan.faults - {name}))
    low, high = 0, min(best.plan.commands, best.commands)
    while high - low > max(8, high // 50):
        middle = (low + high) // 2
        if tried(best.plan._replace(commands=middle)):
            high = middle
        else:
            low = middle
    return best


def command_of(plan: Plan, design_file: Path) -> str:
    """What repeats it."""
    faults = "all" if plan.faults == frozenset(CLASSES) else ",".join(sorted(plan.faults)) or "none"
    return f"cambist simulate --seed {plan.seed} --commands {plan.commands} --faults {faults}" + (f" --bug {plan.bug}" if plan.bug else "") + \
        (f" --design {design_file}" if design_file != Path("desks/demo.toml") else "")


def tell(failed: Result, design_file: Path, say: Say) -> None:
    """A failure for a person."""
    say(f"seed {failed.plan.seed}: {failed.violation}")
    say(f"  again: {command_of(failed.plan, design_file)}")
    for at, what in failed.trail[-TRAIL:]:
        say(f"  {at / 1e9:10.6f} s  {what}")


# ---------------------------------------------------------------------------------------------------------------------------- many runs
_WORK: tuple[Design, str] | None = None


def _begin(design_file: str) -> None:
    global _WORK
    warm()
    text = Path(design_file).read_text()
    _WORK = read_design(text, design_file), text
    gc.freeze()                                         # what is there now stays: nobody need look at it again


def _one(plan: Plan) -> Result:
    assert _WORK is not None
    try:
        return simulate(plan, *_WORK)
    except Exception as fault:  # noqa: BLE001  a bug of the simulator must name its seed, too
        return Result(plan, f"the simulator fell over: {fault!r}", "", 0, 0, Counter(), Counter(), Counter(), [], 0.0, 0)


def spread(plans: Iterable[Plan], design_file: Path, jobs: int) -> Iterator[Result]:
    """Results as they come, of `jobs` processes."""
    if jobs <= 1:
        _begin(str(design_file))
        yield from map(_one, plans)
        return
    room = threading.Semaphore(2 * jobs)                # so that plans are made when there is somebody for them, not all at once

    def paced() -> Iterator[Plan]:
        for plan in plans:
            room.acquire()
            yield plan
    with _pool(jobs, design_file) as pool:
        for result in pool.imap_unordered(_one, paced()):
            room.release()
            yield result


def _pool(jobs: int, design_file: Path) -> Pool:
    return multiprocessing.get_context("spawn").Pool(jobs, _begin, (str(design_file),), maxtasksperchild=100)


class Again:
    """Every so many-th seed once more, in another process, where words hash otherwise: it must end in the same hash."""

    def __init__(self, every: int, jobs: int, design_file: Path) -> None:
        self.every, self.compared = every, 0
        self._pool = _pool(jobs, design_file) if every else None
        self._most = 2 * jobs
        self._waiting: deque[tuple[Result, AsyncResult[Result]]] = deque()

    def of(self, result: Result) -> Iterator[Result]:
        """Runs once more what is its turn; what had been begun and ended otherwise."""
        if self._pool and result.plan.seed % self.every == 0 and result.hash:
            self._waiting.append((result, self._pool.apply_async(_one, (result.plan,))))
        yield from self._differing(self._most)

    def rest(self) -> Iterator[Result]:
        """What was still on its way."""
        yield from self._differing(0)
        if self._pool:
            self._pool.terminate()

    def _differing(self, most: int) -> Iterator[Result]:
        while len(self._waiting) > most:
            one, coming = self._waiting.popleft()
            other, self.compared = coming.get(), self.compared + 1
            if other.words == one.words:
                yield one._replace(violation="run twice where words hash alike, which shows nothing; right would be PYTHONHASHSEED not set", hash="")
            elif other.hash != one.hash:
                yield one._replace(violation=f"it ends in {one.hash}, and in another process, where words hash otherwise, in {other.hash or other.violation}",
                                   hash="")


def run_simulate(design_file: Path, *, seed: int, seeds: int, commands: int, faults: str, jobs: int, seconds: float, bug: str, say: Say, least: int = 0,
                 again: int = 0) -> int:
    """0 when no seed broke a promise and `least` were run; else 1, after the first was told with the command that repeats it and its smallest like."""
    if bug == "list":
        for name, row in BUGS.items():
            say(f"{name:28} {row.area:9} {row.about}")
        return 0
    warm(say)
    if again:
        os.environ.pop("PYTHONHASHSEED", None)          # each process its own
    allowed, began = chosen(faults), time.monotonic()
    plans = (Plan(number, commands, allowed, bug=bug) for number in range(seed, seed + seeds) if number < seed + least or time.monotonic() - began < seconds)
    done, total, counts, failed = 0, Counter[str](), Counter[str](), list[Result]()
    spent, many = 0.0, 0
    twice = Again(again, jobs, design_file)

    def wrong(result: Result) -> None:
        failed.append(result)
        tell(result, design_file, say)
        if len(failed) == 1 and result.hash:
            text = design_file.read_text()
            small = shrunk(result, read_design(text, str(design_file)), text)
            say(f"smaller: {command_of(small.plan, design_file)}")
            tell(small, design_file, say)
    for result in spread(plans, design_file, jobs):
        done, many, spent = done + 1, many + result.commands, spent + result.seconds
        total.update(result.faults)
        counts.update(result.counts)
        if result.violation:
            wrong(result)
        elif seeds == 1:
            say(f"seed {seed}: {result.commands:,} commands in {result.virtual_ns / 1e9:.1f} s of virtual time, {result.seconds:.2f} s here")
            say(f"hash {result.hash}")
        for other in twice.of(result):
            wrong(other)
    for other in twice.rest():
        wrong(other)
    elapsed = time.monotonic() - began
    say(f"{done} seeds, {many:,} commands, {elapsed:.0f} s with {jobs} processes ({done / max(elapsed, 1e-9):.2f} seeds/s, "
        f"{many / max(spent, 1e-9):,.0f} commands/s of one processor): "
        f"{len(failed)} broke a promise" + (f": {' '.join(str(one.plan.seed) for one in failed[:20])}" if failed else ""))
    if again:
        say(f"{twice.compared} of them ran again in other processes, with another PYTHONHASHSEED")
    say("faults: " + (", ".join(f"{name} {total[name]:,}" for name in CLASSES if total[name]) or "none"))
    say("what came of it: " + (", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "nothing"))
    if done < least:
        say(f"{done} seeds in {elapsed:.0f} s; right would be {least} at least")
    return 1 if failed or done < least else 0

