"""Our engines beside others in the public harness, in turn, several times: medians, spread, ratios; and whether what ours say is what it should be.

    python -m bench.matching.compare HARNESS [PEER.so ...] [--runs 5] [--cores 0,1] [--gate] [--realtime] [--json]

HARNESS is a folder of the public harness (repository flash1-dev/matching-engine-benchmark) in which the reader has built it, and PEER.so are adapters of other
engines, built there in the same way, by that project's own instructions. Nothing of either is here. docs/matching.md says what is compared.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.matching.contract import SCENARIOS
from bench.matching.shared_object import ENGINES, build
from cambist.measure.spread import spread

SEED, COUNT = 23, 1_000_000                     # of the published hashes
RUN_SECONDS_MOST = 600


class Run(NamedTuple):
    """What the harness said of one run."""
    million_per_s: float
    hash: str
    verdict: str


class Harness:
    """The reader's own build of the harness."""

    def __init__(self, folder: Path, cores: tuple[int, int], realtime: bool):
        self.folder, self.cores, self.realtime = folder.resolve(), cores, realtime
        if not (self.folder / "harness").is_file():
            raise SystemExit(f"{folder} has no built harness: build it there, by that project's own instructions, and name its folder")

    def _ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        urgent: Callable[[], None] | None = (lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))) if self.realtime else None
        return subprocess.run(words, cwd=self.folder, capture_output=True, text=True, timeout=RUN_SECONDS_MOST, preexec_fn=urgent, check=False)

    def run(self, adapter: Path, scenario: str, mode: str = "perf") -> Run:
        """One fresh process."""
        matcher, drainer = (str(core) for core in self.cores)
        said = self._ask("./harness", "--engine", str(adapter), "--scenario", scenario, "--mode", mode, "--matcher-core", matcher, "--drainer-core", drainer)
        return heard(said.stdout) if "Verdict" in said.stdout else Run(0.0, "", (said.stderr or "no verdict").strip().splitlines()[-1])

    def published(self) -> dict[str, str]:
        """Scenario -> hash, as that project publishes them."""
        lines = (self.folder / "reference" / "correctness_hash.txt").read_text().splitlines()
        pairs = [line.split() for line in lines if line.strip()]
        return {tag.removesuffix(f"_seed{SEED}_count{COUNT}_reports.txt"): value for value, tag in pairs}

    def gate(self, adapter: Path) -> str:
        """The verdict of its conformance gate."""
        said = self._ask(sys.executable, "scripts/conformance_check.py", str(adapter))
        found = [line for line in said.stdout.splitlines() if line.startswith("VERDICT")]
        return found[-1] if found else (said.stderr.strip().splitlines() or ["no verdict"])[-1]


def heard(text: str) -> Run:
    """What a run printed, as figures."""
    def after(label: str, pattern: str) -> str:
        found = re.search(rf"{label}:\s+({pattern})", text)
        return found[1] if found else ""
    return Run(float(after("Throughput", r"[\d.]+") or 0), after("Computed hash", "[0-9a-f]{64}"), after("Verdict", r"\w+"))


def measured(harness: Harness, adapters: dict[str, Path], scenarios: tuple[str, ...], runs: int, say: Callable[[str], None]) -> dict[str, dict[str, list[Run]]]:
    """engine -> scenario -> runs. The engines take turns, so that what else the machine does meets all of them."""
    found: dict[str, dict[str, list[Run]]] = {name: {s: [] for s in scenarios} for name in adapters}
    for scenario in scenarios:
        for _ in range(runs):
            for name, adapter in adapters.items():
                found[name][scenario].append(harness.run(adapter, scenario))
        say(f"{scenario}: " + ", ".join(f"{name} {max(r.million_per_s for r in found[name][scenario]):.1f}" for name in adapters) + " M/s at best")
    return found


def figures(found: dict[str, dict[str, list[Run]]], ours: tuple[str, ...], published: dict[str, str]) -> dict:
    """Medians, spread, the worst scenario of each engine, and how many times every peer ours are; which hashes are the published ones."""
    rates = {name: {s: spread([r.million_per_s for r in runs]) for s, runs in of.items()} for name, of in found.items()}
    worst = {name: min(row["median"] for row in of.values()) for name, of in rates.items()}
    times = {mine: {peer: {"by_scenario": {s: round(rates[mine][s]["median"] / row["median"], 2) for s, row in of.items() if row["median"]},
                           "worst_to_worst": round(worst[mine] / worst[peer], 2) if worst[peer] else None}
                    for peer, of in rates.items() if peer not in ours} for mine in ours}
    right = {name: {s: all(r.hash == published.get(s, "?") for r in runs) for s, runs in of.items()} for name, of in found.items()}
    valid = {name: {s: all(r.verdict == "VALID" for r in runs) for s, runs in of.items()} for name, of in found.items()}
    return {"million_per_s": rates, "worst": worst, "times": times, "published_hash": right, "valid": valid}


def table(told: dict) -> str:
    """The figures for a person: M messages/s, median and the spread of all runs."""
    scenarios = tuple(next(iter(told["million_per_s"].values())))
    lines = ["| M messages/s | " + " | ".join(scenarios) + " | worst | hash |", "|---|" + "---:|" * (len(scenarios) + 1) + "---|"]
    for name, of in told["million_per_s"].items():
        cells = [f"{of[s]['median']:.1f} ({of[s]['min']:.1f}-{of[s]['max']:.1f})" for s in scenarios]
        right = sum(told["published_hash"][name].values())
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {told['worst'][name]:.1f} | {right} of {len(scenarios)} |")
    for mine, peers in told["times"].items():
        lines += [f"{mine} is {row['worst_to_worst']} times {peer}, worst to worst; by scenario " + ", ".join(f"{s} {x}" for s, x in row["by_scenario"].items())
                  for peer, row in peers.items()]
    return "\n".join(lines)


def _words() -> argparse.Namespace:
    words = argparse.ArgumentParser(description="Run cambist's engines beside others in a built copy of the public harness.")
    words.add_argument("harness", type=Path)
    words.add_argument("peers", type=Path, nargs="*")
    words.add_argument("--runs", type=int, default=5)
    words.add_argument("--cores", default="0,1", help="of the matcher and of the thread that takes the reports")
    words.add_argument("--scenario", action="append", choices=SCENARIOS)
    words.add_argument("--engine", action="append", choices=ENGINES)
    words.add_argument("--gate", action="store_true", help="run the conformance gate and the state audit on ours as well")
    words.add_argument("--realtime", action="store_true", help="measured runs go before everything else on the machine (needs the right to)")
    words.add_argument("--linker", default="cc")
    words.add_argument("--built", type=Path, help="a folder of cambist-*_adapter.so made before; what is not in it is compiled into it")
    words.add_argument("--json", action="store_true")
    return words.parse_args()


def main() -> int:
    """0 when every hash of ours is the published one, every run of ours valid, and the gate, if asked, passed."""
    chosen = _words()
    matcher, drainer = (int(core) for core in chosen.cores.split(","))
    harness, scenarios = Harness(chosen.harness, (matcher, drainer), chosen.realtime), tuple(chosen.scenario or SCENARIOS)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        place = (chosen.built or Path(folder)).resolve()
        place.mkdir(parents=True, exist_ok=True)
        ours = {f"cambist-{engine}": place / f"cambist-{engine}_adapter.so" for engine in chosen.engine or ENGINES}
        for name, adapter in ours.items():
            if not adapter.is_file():
                say(f"compiling {name}")
                build(adapter, name.removeprefix("cambist-"), chosen.linker)
        peers = {peer.stem.removesuffix("_adapter"): peer.resolve() for peer in chosen.peers}
        told = figures(measured(harness, {**ours, **peers}, scenarios, chosen.runs, say), tuple(ours), harness.published())
        if chosen.gate:
            told["audit"] = {name: {s: harness.run(adapter, s, "audit").verdict for s in scenarios} for name, adapter in ours.items()}
            told["gate"] = {name: harness.gate(adapter) for name, adapter in ours.items()}
    print(json.dumps(told, indent=1) if chosen.json else table(told))
    if chosen.gate and not chosen.json:
        print("\n".join([*(f"audit of {name}: {of}" for name, of in told["audit"].items()), *told["gate"].values()]))
    right = all(all(told[what][name].values()) for what in ("published_hash", "valid") for name in ours)
    passed = not chosen.gate or (all("CONFORMANT (" in verdict and "NON-" not in verdict for verdict in told["gate"].values())
                                 and all(v == "VALID" for of in told["audit"].values() for v in of.values()))
    return 0 if right and passed else 1


if __name__ == "__main__":
    sys.exit(main())
