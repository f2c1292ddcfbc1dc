"""The simulator finds what was planted: a sample in every run, all of it in a hunt; and the check that guards the seeds fails while a bug is left on."""
import os
import shlex
import subprocess
import sys
from statistics import median

import pytest

from cambist.core.memory import COMPILED
from cambist.simulation.planted import BUGS, CANARY, MisplacedBug, UnknownBug, changed, planted
from cambist.simulation.simulate_shell import run_simulate, seeds_to_find
from cambist.warm import warm

from tests.simulation.test_simulate import DESIGN, ROOT, TEXT

SAMPLE = ("hold-not-released", "taker-priced-trade", "double-credit", "lost-fifo-neighbour", "position-not-moved", "book-crossed")
SAMPLE_COMPILED = ("acknowledged-before-sync", "found-but-not-synced", "told-before-durable", "gateway-wrong-side", "gateway-tenfold", "any-signature",
                   "no-scopes", "open-children-forgotten")
SEEDS, HUNT_SEEDS = 12, 200


def test_there_are_enough_of_them_in_every_part_and_all_are_in_place():
    assert len(BUGS) >= 40 and {bug.area for bug in BUGS.values()} == {"core", "log", "gateways", "desk"}
    for name, bug in BUGS.items():
        for each in (bug, *bug.also):
            where, attribute, right, wrong = changed(each)
            assert getattr(where, attribute) is right is not wrong, name


def test_a_bug_is_there_only_as_long_as_it_is_planted():
    from cambist.desk import pricing
    right = pricing._parts
    with planted("spread-forgotten"):
        assert pricing._parts is not right
    assert pricing._parts is right
    with pytest.raises(UnknownBug), planted("no such"):
        pass
    with pytest.raises(MisplacedBug):
        changed(BUGS["spread-forgotten"]._replace(right="words that are not there"))


@pytest.mark.skipif(COMPILED, reason="the core's are planted in its source: these run uncompiled, with the unit tests")
@pytest.mark.parametrize("name", SAMPLE)
def test_a_bug_of_the_core_is_found(name):
    tried, found = seeds_to_find(name, DESIGN, TEXT, SEEDS)
    assert found is not None, f"{name} was not found in {tried} seeds"
    print(f"{name}: {tried} seeds: {found.violation[:150]}")


@pytest.mark.compiled
@pytest.mark.parametrize("name", SAMPLE_COMPILED)
def test_a_bug_around_the_core_is_found(name):
    tried, found = seeds_to_find(name, DESIGN, TEXT, 2 * SEEDS)
    assert found is not None, f"{name} was not found in {tried} seeds"
    print(f"{name}: {tried} seeds: {found.violation[:150]}")


@pytest.mark.compiled
def test_a_canary_left_on_fails_what_the_continuous_checks_run():
    """The command is the Makefile's own, so it cannot come to guard less."""
    asked = ["make", "-n", "-o", ".venv/.warmed", "simulate", "SEEDS=6", "LEAST=1", f"BUG={CANARY}"]
    printed = subprocess.run(asked, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    words = shlex.split(next(line for line in printed.splitlines() if " simulate " in line))
    assert words[0].endswith("cambist") and "step simulate" in (ROOT / ".ci" / "run").read_text()
    env = {**os.environ, "CAMBIST_COMPILED": "1", "NUMBA_DISABLE_JIT": "0", "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, "-m", "cambist", *words[1:]], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "again: cambist simulate --seed" in done.stdout and "smaller: cambist simulate" in done.stdout and "broke a promise" in done.stdout


def test_too_few_seeds_are_no_proof():
    said: list[str] = []
    assert run_simulate(ROOT / "desks" / "demo.toml", seed=1, seeds=1, commands=60, faults="none", jobs=1, seconds=600, bug="", say=said.append, least=2) == 1
    assert "right would be 2 at least" in said[-1]


@pytest.mark.hunt
@pytest.mark.parametrize("area", ["core", "log", "gateways", "desk"])
def test_every_planted_bug_is_found(area, capsys):
    """In a process of its own, for the core is planted uncompiled."""
    script = f"from tests.simulation.test_planted import hunt; hunt({area!r})"
    env = {**os.environ, "CAMBIST_COMPILED": "0" if area == "core" else "1", "NUMBA_DISABLE_JIT": "1" if area == "core" else "0",
           "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=env, capture_output=True, text=True)
    with capsys.disabled():
        print(f"\n{done.stdout}")
    assert done.returncode == 0, done.stdout + done.stderr


def hunt(area: str, most: int = HUNT_SEEDS, only: tuple[str, ...] = ()) -> None:
    """Prints how many seeds each took; exits with 1 when one was not found."""
    warm()
    tries, missed = [], []
    for name in only or [name for name, bug in BUGS.items() if bug.area == area]:
        tried, found = seeds_to_find(name, DESIGN, TEXT, most)
        tries.append(tried)
        if found is None:
            missed.append(name)
        print(f"{name:28} {tried if found else 'NOT FOUND':>9}  {found.violation[:110] if found else ''}", flush=True)
    print(f"{area}: {len(tries)} bugs, {len(missed)} not found, median {median(tries):g} seeds, most {max(tries)}", flush=True)
    sys.exit(1 if missed else 0)
