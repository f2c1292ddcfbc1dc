"""Kernel and twin driven together by Hypothesis: after every entry the same events, the same tables, and the auditor content.

Every rule is one flow of up to 200 commands; Hypothesis draws the seed of its records and shrinks to the few rules that matter. The counts at the end
say what was met: every kind accepted and refused, every event, and every reason but those explained below.
"""
import random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from cambist.messages import Event, Kind, Reason
from cambist.warm import warm
from tests.core.engines import BOTH_COMPLETE, KINDS_OF_BOTH
from tests.core.flows import CALM, CONTROLS, FLOWS, LATCH, MARKET, MIXED, MONEY, PEOPLE, QUOTES, ROUTE, SETTLE, SHAPE, TRADE
from tests.core.pair import SEEN, Pair
from tests.scenarios import SECOND

pytestmark = pytest.mark.compiled

WANTED, EXAMPLES = 300_000, 30                  # commands in all; examples of Hypothesis, of up to 50 entries each
HUNT = 10                                       # times as many of both
PLAIN = 24                                      # runs of plain seeds: they alone meet nearly everything, in every run alike
NEVER = {
    Reason.CAPACITY: "rare: only the quotas of answers can be used up here; every table is filled in test_capacity",
    Reason.FACT_REPEATED_LATE: "the table of facts is never full here (test_capacity)",
    Reason.DENIED: "an event of its own says so; nothing carries the reason",
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


def drive(seed: int, steps: int) -> None:
    """The same without Hypothesis: repeatable coverage, and what is missing in the number."""
    chance, pair = random.Random(seed), Pair()
    for _ in range(steps):
        weights = MIXED if chance.random() < 0.4 else chance.choice(list(FLOWS.values()))
        pair.flow(chance.getrandbits(32), weights, chance.randint(20, 160), chance.choice((0, 0, SECOND // 100, SECOND, 8 * SECOND, 61 * SECOND)))
        if chance.random() < 0.1:
            pair.restart()


def search(times: int) -> int:
    """Hypothesis, then plain seeds until enough were compared; how many runs of those."""
    warm()
    run_state_machine_as_test(KernelAndTwin, settings=settings(max_examples=EXAMPLES * times, stateful_step_count=50, deadline=None, print_blob=True,
                                                               suppress_health_check=list(HealthCheck)))
    seed = 0
    while SEEN.commands < WANTED * times or seed < PLAIN:
        drive(seed, 40)
        seed += 1
    return seed


def test_kernel_and_twin_are_one(capsys):
    runs = search(1)
    with capsys.disabled():
        print(f"\n{SEEN.table()}\nof these by plain seeds: {runs} runs")
    assert {k.name for k in KINDS_OF_BOTH} <= {k.name for k in Kind if SEEN.accepted[k] and SEEN.refused[k]}
    assert not BOTH_COMPLETE or {e.name for e in Event if SEEN.events[e]} == {e.name for e in Event}
    assert not BOTH_COMPLETE or {r.name for r in Reason if not SEEN.reasons[r]} <= {r.name for r in NEVER}


@pytest.mark.hunt
def test_hunt_for_a_difference():
    search(HUNT)
