"""The suite passes the simulated venue over many seeds, and fails every venue broken in the way a case is there to find."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from cambist.venues.conformance import CASES, Conditions, Trial, run_suite
from cambist.venues.noise import Noise
from cambist.venues.simulated import SimulatedSettings, SimulatedVenue
from cambist.venues.venue import (
    Acked,
    AskChild,
    BookUpdate,
    Closed,
    CloseReason,
    Filled,
    Liquidity,
    Missing,
    Rejected,
    Terms,
)

TERMS = Terms("XRP/USD", 7, "0.01", "0.0001", book_tick=5, quote_tick=1, lot=10, amount_num=3, amount_den=7, min_price=0, max_price=10**7)
START = 1_700_000_000_000_000_000
SEEDS = range(60)


def book_at(now: int, far: int) -> BookUpdate:
    mid = 100_000 + far
    bids = tuple((mid - 10 - 5 * index, 40 + 10 * index) for index in range(8))
    asks = tuple((mid + 10 + 5 * index, 40 + 10 * index) for index in range(8))
    return BookUpdate(TERMS.number, now, bids, asks)


def settings_for(conditions: Conditions, **changed: int) -> SimulatedSettings:
    draw = Noise(conditions.seed)
    chosen = {
        "latency_ns": draw.between(0, 3) * 1_000_000, "latency_jitter_ns": draw.between(0, 1) * 700_000,
        "fee_ppm": draw.between(0, 2000), "maker_fee_ppm": draw.between(0, 500),
        "noise_ppm": draw.between(0, 1) * 100, "delay_ns": draw.between(0, 2) * 1_000_000, "levels": draw.between(3, 20),
    }
    if conditions.silent:
        chosen |= {"silence_ppm": 400_000, "request_loss_ppm": 200_000}
    return SimulatedSettings(**(chosen | changed))


def maker(wrap: Callable[[SimulatedVenue], object] = lambda venue: venue, **changed: int):
    def make(conditions: Conditions) -> Trial:
        venue = SimulatedVenue("sim", [TERMS], settings_for(conditions, **changed), conditions.seed)
        venue.follow(book_at(START, 0))

        def move(now: int, far: int) -> None:
            venue.follow(book_at(now, far))

        return Trial(venue=wrap(venue), terms=TERMS, start=START, patience_ns=50_000_000, move=move, may_be_silent=conditions.silent)

    return make


@pytest.mark.parametrize("number", CASES)
def test_the_simulated_venue_conforms(number):
    for seed in SEEDS:
        (verdict,) = run_suite(maker(), seed, only=(number,))
        assert verdict.passed, f"seed {seed}, {number} {verdict.title}: {verdict.breaches}"


@pytest.mark.parametrize("number", ["V02", "V03", "V07", "V09", "V12"])
def test_safety_holds_where_others_are_faster_and_orders_are_refused(number):
    for seed in SEEDS:
        for rates in ({"partial_fill_ppm": 500_000}, {"partial_fill_ppm": 1_000_000}):
            (verdict,) = run_suite(maker(**rates), seed, only=(number,))
            assert verdict.passed, f"seed {seed}, {number} with {rates}: {verdict.breaches}"


def test_every_case_has_its_number_and_a_title():
    assert list(CASES) == [f"V{number:02}" for number in range(1, len(CASES) + 1)]
    for verdict in run_suite(maker(), 1):
        assert verdict.title.endswith(".")


def test_a_case_that_can_not_be_shown_is_neither_pass_nor_breach():
    def make(conditions):
        return None if conditions.silent else maker()(conditions)

    verdicts = {one.number: one for one in run_suite(make, 1)}
    assert verdicts["V08"].breaches is None and not verdicts["V08"].passed
    assert verdicts["V01"].passed

    still = {one.number: one for one in run_suite(lambda conditions: replace(maker()(conditions), move=None), 1)}
    assert still["V14"].breaches is None and still["V09"].passed


class Broken:
    """A venue that alters what it hears (`ears`) or says (`mouth`)."""

    def __init__(self, venue, mouth=lambda reports: reports, ears=lambda intents: intents):
        self.venue, self.mouth, self.ears = venue, mouth, ears
        self.capabilities = venue.capabilities
        self.next_event = venue.next_event

    def step(self, now, intents):
        return self.mouth(self.venue.step(now, self.ears(intents)))


def each(kind, change):
    """A mouth that says something else wherever it would say a report of this kind; None says nothing."""
    def mouth(reports):
        said = [change(report) if isinstance(report, kind) else report for report in reports]
        return [report for report in said if report is not None]
    return mouth


def counting(kind, field):
    numbers = itertools.count()
    return each(kind, lambda report: replace(report, **{field: f"X{next(numbers)}"}))


BREAKS = {
    "V01": lambda: {"mouth": each(Acked, lambda report: None)},
    "V02": lambda: {"mouth": counting(Filled, "execution_id")},
    "V03": lambda: {"mouth": each(Filled, lambda report: replace(report, quantity=report.quantity + 10))},
    "V04": lambda: {"mouth": each(Closed, lambda report: None if report.reason == CloseReason.REMAINDER else report)},
    "V05": lambda: {"mouth": each(Missing, lambda report: None)},
    "V06": lambda: {"mouth": each(Closed, lambda report: replace(report, reason=CloseReason.BY_VENUE))},
    "V07": lambda: {"mouth": counting(Acked, "venue_order_id")},
    "V08": lambda: {"ears": lambda intents: [intent for intent in intents if not isinstance(intent, AskChild)]},
    "V09": lambda: {"mouth": each(Filled, lambda report: replace(report, price=report.price + 5_000))},
    "V10": lambda: {"mouth": each(Filled, lambda report: replace(report, fee=report.fee + 1))},
    "V11": lambda: {"mouth": each(BookUpdate, lambda report: replace(report, bids=report.bids[:1] * 2 + report.bids[2:]))},
    "V12": lambda: {"mouth": each(Filled, lambda report: replace(report, time=report.time - 10**9))},
    "V13": lambda: {"mouth": each(Rejected, lambda report: Acked(report.child_id, "X", report.time))},
    "V14": lambda: {"mouth": each(Filled, lambda report: replace(report, liquidity=Liquidity.REMOVED))},
}


@pytest.mark.parametrize("number", CASES)
def test_a_broken_venue_is_found(number):
    found = run_suite(maker(lambda venue: Broken(venue, **BREAKS[number]())), 3, only=(number,))[0]
    assert found.breaches, f"{number} passed a venue broken for it"


def test_an_answer_that_forgets_a_fill_is_found():
    told: set[str] = set()

    def once(report):
        if report.execution_id in told:
            return None
        told.add(report.execution_id)
        return report

    found = run_suite(maker(lambda venue: Broken(venue, mouth=each(Filled, once))), 3, only=("V08",))[0]
    assert found.breaches


def test_a_venue_that_never_rests_is_found():
    def restless(venue):
        broken = Broken(venue)
        broken.next_event = lambda now: now
        return broken

    found = run_suite(maker(restless), 3, only=("V05",))[0]
    assert any("come to rest" in breach for breach in found.breaches)


def test_a_trial_without_a_market_is_refused():
    def make(conditions):
        venue = SimulatedVenue("sim", [TERMS], SimulatedSettings(), conditions.seed)
        return Trial(venue=venue, terms=TERMS, start=START, patience_ns=10**7)

    with pytest.raises(ValueError, match="two-sided book"):
        run_suite(make, 1, only=("V01",))
