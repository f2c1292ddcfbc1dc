"""Kernel and twin over millions of random commands, in several processes: `python -m tests.core.hunt` (`--help` says more).

Every seed is a world of its own, so a run is a set of seeds: any process takes the next one, a finished one is a line of the progress file, and a run
that was stopped goes on where it was when it is called again with the same file. A difference names its seed; `--only SEED` repeats that world.
"""
import argparse
import gc
import json
import os
import random
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import count
from multiprocessing import active_children, get_context
from pathlib import Path

from cambist.warm import warm
from tests.core.flows import FLOWS, MIXED
from tests.core.pair import SEEN, Pair
from tests.core.seen import Seen
from tests.scenarios import SECOND

COMMANDS, STEPS, LONG, EVERY = 20_000_000, 40, 400, 16      # every so many seeds a world lives longer
PATIENCE = 1_200                                            # seconds without any finished seed: something hangs
JUMPS = (0, 0, SECOND // 100, SECOND, 8 * SECOND, 61 * SECOND)


class Difference(AssertionError):
    """Kernel and twin disagree, or the auditor does not."""


def drive(seed: int, steps: int = STEPS) -> None:
    """A world and its flows, wholly decided by the seed."""
    chance, pair = random.Random(seed), Pair()
    for _ in range(steps):
        weights = MIXED if chance.random() < 0.4 else chance.choice(list(FLOWS.values()))
        pair.flow(chance.getrandbits(32), weights, chance.randint(20, 240), chance.choice(JUMPS))
        if chance.random() < 0.1:
            pair.restart()


def steps_of(seed: int) -> int:
    return LONG if seed % EVERY == EVERY - 1 else STEPS


def one(seed: int) -> dict:
    """What a seed has met, or what it found."""
    began = time.process_time()
    try:
        drive(seed, steps_of(seed))
    except Exception as wrong:                  # whatever it is: the seed must be told with it
        raise Difference(f"seed {seed}, after {SEEN.commands:,} commands of its world:\n{traceback.format_exc()}"
                         f"again: python -m tests.core.hunt --only {seed}") from wrong
    return {"seed": seed, "seconds": round(time.process_time() - began, 3), **SEEN.taken()}


def known(progress: Path | None, first: int) -> dict[int, dict]:
    """The finished seeds of a progress file. Its last line may be half of one."""
    lines = progress.read_text().splitlines() if progress and progress.exists() else []
    rows = [json.loads(line) for line in lines if line.endswith("}}")]
    return {row["seed"]: row for row in rows if row["seed"] >= first}


def ready() -> None:
    """A process that will make millions of small objects, few of them in cycles: looking for cycles rarely saves a fifth of its time."""
    gc.set_threshold(50_000, 20, 50)
    warm()


def results(seeds: Iterator[int], processes: int) -> Iterator[dict]:
    """Finished seeds in whatever order, without an end. Raises Difference."""
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=ready) as pool:
        at_work: dict[Future, int] = {}
        try:
            while True:
                while len(at_work) < 2 * processes:
                    seed = next(seeds)
                    at_work[pool.submit(one, seed)] = seed
                done, _ = wait(at_work, timeout=PATIENCE, return_when=FIRST_COMPLETED)
                if not done:
                    raise Difference(f"no seed of {sorted(at_work.values())} has ended in {PATIENCE} s")
                for future in done:
                    found = future.result()
                    del at_work[future]
                    yield found
        except BrokenProcessPool as wrong:
            raise Difference(f"a process died under one of the seeds {sorted(at_work.values())}") from wrong
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in active_children():   # nobody waits for seeds that are not wanted any more
                process.kill()


def hunt(commands: int, processes: int, first: int = 0, progress: Path | None = None, every: float = 60, say=print) -> Seen:
    """Compare at least this many commands; what was met. Raises Difference."""
    seen, began, done, cpu = Seen(), time.monotonic(), known(progress, first), 0.0
    for row in done.values():
        seen.add(row)
    kept, told = seen.commands, began
    say(f"hunt: {commands:,} commands, {processes} processes, seeds from {first}" + (f"; {len(done)} seeds of {progress} are done" if done else ""))
    if seen.commands >= commands:
        return seen
    for row in results((seed for seed in count(first) if seed not in done), processes):
        seen.add(row)
        cpu += row["seconds"]
        done[row["seed"]] = row
        if progress:
            with progress.open("a") as file:
                file.write(json.dumps(row) + "\n")
        now, here = time.monotonic(), seen.commands - kept
        if (over := seen.commands >= commands) or now - told >= every:
            told, rate = now, here / (now - began)
            say(f"hunt: {seen.commands:,} commands, {len(done)} seeds up to {max(done)}, no difference; {rate:,.0f}/s, {here / cpu:,.0f}/s of a processor, "
                f"{max(0, commands - seen.commands) / rate / 60:.0f} min to go")
        if over:
            break
    return seen


def processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main() -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.core.hunt", description=__doc__)
    asked.add_argument("--commands", type=int, default=COMMANDS)
    asked.add_argument("--processes", type=int, default=processors())
    asked.add_argument("--first", type=int, default=0, help="the first seed")
    asked.add_argument("--progress", type=Path, default=None, help="a file of finished seeds, to go on from")
    asked.add_argument("--only", type=int, default=None, help="this seed, here, and nothing else")
    given = asked.parse_args()
    if given.only is not None:
        ready()
        print(json.dumps(one(given.only)))
        return 0
    try:
        seen = hunt(given.commands, given.processes, given.first, given.progress)
    except Difference as wrong:
        print(wrong, file=sys.stderr)
        return 1
    print(seen.table())
    print("not reached: " + (", ".join(seen.missing()) or "nothing"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
