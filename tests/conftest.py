"""How every test runs: compiled or not, with which seeds, on which recordings. Nothing about what a test proves.

Uncompiled is the default, because then rows are checked proxies and a wrong field, width or bound is an exception. Numba reads its switch once,
when it is first imported, so this file decides before any test module is loaded, and it is the only one that decides.
"""
import os
import random
import sys
from pathlib import Path

import pytest

COMPILED = os.environ.get("CAMBIST_COMPILED", "") not in ("", "0")
if "numba" in sys.modules:
    raise pytest.UsageError("Numba was imported before tests/conftest.py could say whether to compile; look for a plugin that imports the kernel.")
os.environ["NUMBA_DISABLE_JIT"] = "0" if COMPILED else "1"

from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "dev")
SLOW_IS_NO_FAULT = [HealthCheck.too_slow, HealthCheck.data_too_large]

# print_blob: a failure prints the line that repeats it. No deadline: the first call may compile, and the machine is shared.
settings.register_profile("dev", deadline=None, print_blob=True, max_examples=50, suppress_health_check=SLOW_IS_NO_FAULT)
settings.register_profile("ci", deadline=None, print_blob=True, max_examples=100, suppress_health_check=SLOW_IS_NO_FAULT)
settings.register_profile("hunt", deadline=None, print_blob=True, max_examples=5_000, stateful_step_count=200, suppress_health_check=SLOW_IS_NO_FAULT)
settings.load_profile(PROFILE)


def pytest_configure(config):
    """Give `ci` and `hunt` a fresh seed, known before the first test; `dev` keeps its example database instead, which a forced seed would switch off."""
    if PROFILE == "dev" or config.getoption("--hypothesis-seed") is not None:
        return
    seed = os.environ.setdefault("CAMBIST_SEED", str(random.SystemRandom().getrandbits(48)))    # pytest-xdist workers inherit it
    from hypothesis import core
    core.global_force_seed = int(seed)


def pytest_terminal_summary(terminalreporter, config):
    """Say last how the tests ran, where -q still shows it and where a failure is read."""
    forced = config.getoption("--hypothesis-seed")
    seed = forced if forced is not None else os.environ.get("CAMBIST_SEED") if PROFILE != "dev" else None
    again = f"seed {seed} (again: --hypothesis-seed={seed})" if seed is not None else "free seeds, failures kept in .hypothesis"
    terminalreporter.write_line(f"cambist: {'compiled by Numba' if COMPILED else 'uncompiled'}; Hypothesis profile {PROFILE}, {again}")


def pytest_collection_modifyitems(items):
    if COMPILED:
        return
    for item in items:
        for mark in ("compiled", "process"):
            if item.get_closest_marker(mark):
                item.add_marker(pytest.mark.skip(reason=f"Marked `{mark}`: it needs the compiled kernel, run it with CAMBIST_COMPILED=1."))


@pytest.fixture(scope="session", autouse=True)
def kernel_is_ready() -> None:
    """Read from the cache once per process: a first call without it compiles for a minute and keeps nothing."""
    if COMPILED:
        from cambist.warm import warm
        warm()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of recorded market data, which is not part of the product: ../shared/data beside the checkout, or CAMBIST_RECORDED."""
    named = os.environ.get("CAMBIST_RECORDED")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("Recorded market data is not on this machine, so this test was left out (set CAMBIST_RECORDED to its folder).")
    return folder
