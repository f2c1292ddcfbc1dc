"""Kernel and twin driven together by Hypothesis: after every entry the same events, the same tables, and the auditor content.

Every rule is one flow of up to 200 commands; Hypothesis draws the seed of its records and shrinks to the few rules that matter. Then plain seeds, in
several processes, until enough commands were compared (hunt.py). The counts at the end say what was met: every kind accepted and refused, every event,
every value of a field, and every reason but those explained below.

The long one alone: `CAMBIST_COMPILED=1 pytest -m hunt tests/core/test_state_machine.py`, or without Hypothesis `python -m tests.core.hunt`.
"""
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.core.flows import CALM, CONTROLS, LATCH, MARKET, MIXED, MONEY, PEOPLE, QUOTES, RARE, ROUTE, SETTLE, SHAPE, TRADE
from tests.core.hunt import COMMANDS, hunt, processors
from tests.core.pair import SEEN, Pair
from tests.core.seen import Seen
from tests.scenarios import SECOND

pytestmark = pytest.mark.compiled

WANTED, EXAMPLES = 500_000, 30                  # commands in all in CI; examples of Hypothesis, of up to 50 entries each
HUNT_EXAMPLES = 100
NEVER = {
    "reason CAPACITY": "rare: only the quotas of answers can be used up here; every table is filled in test_capacity",
    "reason FACT_REPEATED_LATE": "the table of facts is never full here (test_capacity)",
    "reason DENIED": "an event of its own says so; nothing carries the reason",
}
SEEDS, COUNTS = st.integers(0, 2**32 - 1), st.integers(1, 200)
JUMPS = st.sampled_from([0] * 8 + [1, SECOND // 100, SECOND // 100, SECOND // 2, SECOND // 2, SECOND, SECOND, 2 * SECOND, 5 * SECOND, 8 * SECOND, 31 * SECOND,
                                   61 * SECOND, 601 * SECOND, 3_601 * SECOND])


class KernelAndTwin(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair()
        self.at = self.pair.now

    @rule(seed=SEEDS, count=COUNTS, jump=JUMPS)
    def trade(self, seed, count, jump):
        self.pair.flow(seed, TRADE, count, jump)

    @rule(seed=SEEDS, count=COUNTS, jump=JUMPS)
    def quotes(self, seed, count, jump):
        self.pair.flow(seed, QUOTES, count, jump)

    @rule(seed=SEEDS, count=COUNTS, jump=JUMPS)
    def route(self, seed, count, jump):
        self.pair.flow(seed, ROUTE, count, jump)

    @rule(seed=SEEDS, count=COUNTS, jump=JUMPS)
    def money(self, seed, count, jump):
        self.pair.flow(seed, MONEY, count, jump)

    @rule(seed=SEEDS, count=COUNTS, jump=JUMPS)
    def settlement(self, seed, count, jump):
        self.pair.flow(seed, SETTLE, count, jump)

    @rule(seed=SEEDS, count=COUNTS, jump=JUMPS)
    def latches(self, seed, count, jump):
        self.pair.flow(seed, LATCH, count, jump)

    @rule(seed=SEEDS, count=COUNTS, jump=JUMPS)
    def people(self, seed, count, jump):
        self.pair.flow(seed, PEOPLE, count, jump)

    @rule(seed=SEEDS, count=COUNTS, jump=JUMPS)
    def market(self, seed, count, jump):
        self.pair.flow(seed, MARKET, count, jump)

    @rule(seed=SEEDS, count=COUNTS, jump=JUMPS)
    def controls(self, seed, count, jump):
        self.pair.flow(seed, CONTROLS, count, jump)

    @rule(seed=SEEDS, count=COUNTS, jump=JUMPS)
    def rare(self, seed, count, jump):
        self.pair.flow(seed, RARE, count, jump)

    @rule(seed=SEEDS, count=COUNTS, jump=JUMPS, edges=st.lists(st.integers(-2**63, 2**63 - 1), max_size=4))
    def shape(self, seed, count, jump, edges):
        """Bad records, with edge values that Hypothesis chooses besides our own."""
        kept = self.pair.source.edges
        self.pair.source.edges = (*kept, *edges)
        self.pair.flow(seed, SHAPE, count, jump)
        self.pair.source.edges = kept

    @rule(seed=SEEDS, count=COUNTS, jump=JUMPS)
    def mixed(self, seed, count, jump):
        self.pair.flow(seed, MIXED, count, jump)

    @rule(seed=SEEDS, count=st.integers(1, 30))
    def calm(self, seed, count):
        """What was latched is lifted, prices are fresh, work is worked off."""
        self.pair.flow(seed, CALM, count)

    @rule()
    def restart(self):
        self.pair.restart()

    @invariant()
    def time_never_runs_back(self):
        assert self.at <= self.pair.kernel.time <= self.pair.now
        self.at = self.pair.kernel.time


def search(commands: int, examples: int, progress: Path | None = None) -> Seen:
    """Hypothesis, then plain seeds until so many were compared; what both have met."""
    run_state_machine_as_test(KernelAndTwin, settings=settings(max_examples=examples, stateful_step_count=50, deadline=None, print_blob=True,
                                                               suppress_health_check=list(HealthCheck)))
    by_hypothesis = SEEN.taken()
    print(f"\nhunt: {by_hypothesis['commands']:,} commands by Hypothesis without a difference")
    seen = hunt(commands - by_hypothesis["commands"], processors(), progress=progress)
    seen.add(by_hypothesis)
    print(seen.table())
    missing = seen.missing(frozenset(NEVER))
    print("not reached: " + (", ".join(missing) or "nothing") + "; never by random flows: " + ", ".join(NEVER))
    assert not missing
    return seen


def test_kernel_and_twin_are_one(capsys):
    with capsys.disabled():
        seen = search(WANTED, EXAMPLES)
    assert seen.commands >= WANTED


@pytest.mark.hunt
def test_hunt_for_a_difference(capsys):
    """Goes on from CAMBIST_HUNT_PROGRESS, a file, when that is set; CAMBIST_HUNT_COMMANDS says how many in all."""
    progress = os.environ.get("CAMBIST_HUNT_PROGRESS")
    wanted = int(os.environ.get("CAMBIST_HUNT_COMMANDS", COMMANDS))
    with capsys.disabled():
        seen = search(wanted, HUNT_EXAMPLES, Path(progress) if progress else None)
    assert seen.commands >= wanted
