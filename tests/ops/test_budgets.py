"""Stages beside budgets: what each is the time between, what is unmeasured and why, ranks and alarms over many."""
from pathlib import Path

import pytest

from cambist.design import read_design
from cambist.messages import Kind
from cambist.ops.budgets import MEASURED, Measured, Trip, summary, targets, waterfall
from cambist.ops.story import Record

DESIGN = read_design((Path(__file__).resolve().parents[2] / "desks" / "demo.toml").read_text())
MS, T = 10**6, 1_800_000_000 * 10**9
BOOT = 777 * 10**9                                      # the monotonic clock has another zero
NOTHING = Trip(*[None] * 8)


def record(sequence, at, *, took=1 * MS, logged=2 * MS, told=4 * MS, stamps=True):
    """A command received `took` before it was sealed at log time T + at; durable, applied and told after its stamps."""
    marks = {"sealed": BOOT + at, "durable": BOOT + at + logged, "applied": BOOT + at + logged + MS // 2, "told": BOOT + at + told}
    return Record(sequence, T + at, Kind.TICK, {"received": T + at - took if took else 0}, None, marks if stamps else None, [])


WHOLE = Trip(record(1, 0), record(2, 20 * MS), record(2, 20 * MS), record(3, 1000 * MS, told=5 * MS), record(4, 1100 * MS), record(5, 2000 * MS),
             record(6, 2010 * MS), record(7, 9000 * MS))


def test_every_stage_is_the_time_between_its_two_moments():
    by = {s.stage: s for s in waterfall(WHOLE, DESIGN)}
    assert tuple(by) == MEASURED
    assert {name: s.ns for name, s in by.items()} == {
        "received": MS, "logged": 2 * MS, "risk-checked": MS // 2, "priced": 20 * MS - MS - 4 * MS, "quoted": 4 * MS + MS, "accepted": 980 * MS,
        "executed": 6 * MS, "hedged": 100 * MS, "netted": 2010 * MS + 4 * MS - 2000 * MS + MS, "settled": 7000 * MS}
    assert by["priced"].sequence == 2 and by["executed"].clock == "wall clock" and by["logged"].clock == "monotonic" and by["settled"].clock == "log time"


@pytest.mark.parametrize(("trip", "stage", "why"), [
    (NOTHING, "received", "it has not come to a request"),
    (NOTHING, "settled", "it has not come to the settlement of all its obligations"),
    (WHOLE._replace(request=record(1, 0, took=0)), "received", "the sender of @1 did not tell when it was received"),
    (WHOLE._replace(request=record(1, 0, stamps=False)), "logged", "the stamps of @1 are not kept any more"),
    (WHOLE._replace(request=record(1, 0, stamps=False)), "priced", "the stamps of @1 are not kept any more"),
    (WHOLE._replace(request=record(1, 0, took=-5 * MS)), "received", "the two clocks differ by more than it took"),
    (WHOLE._replace(quote=None), "quoted", "it has not come to a quote of the desk"),
    (WHOLE._replace(hedge=None), "hedged", "it has not come to a hedge"),
])
def test_what_was_not_recorded_is_unmeasured_with_its_reason(trip, stage, why):
    found = next(s for s in waterfall(trip, DESIGN) if s.stage == stage)
    assert found.ns is None and why in found.why and not found.over


def test_netting_falls_back_to_log_time_where_the_cut_off_tells_no_reception():
    found = next(s for s in waterfall(WHOLE._replace(cut_off=record(5, 2000 * MS, took=0)), DESIGN) if s.stage == "netted")
    assert found.ns == 10 * MS and found.clock == "log time"


def test_targets_are_the_sum_of_their_stages_or_unmeasured():
    stages = waterfall(WHOLE, DESIGN)
    by = {t.name: t for t in targets(stages, DESIGN)}
    assert by["first-quote"].ns == sum(s.ns for s in stages[:5]) and not by["first-quote"].over
    assert next(t for t in targets(waterfall(WHOLE._replace(hedge=None), DESIGN), DESIGN) if t.name == "trade").ns is None


def many(values, stage="logged"):
    return [[Measured(s.name, value if s.name == stage else None, s.budget, "", 0, "") for s in DESIGN.stages] for value in values]


def test_ranks_shares_and_alarms_over_many():
    stages, _ = summary(many([MS] * 98 + [11 * MS, 12 * MS]), DESIGN)
    logged = next(s for s in stages if s.name == "logged")
    assert (logged.p50, logged.p99, logged.over, logged.over_ppm, logged.measured, logged.unmeasured) == (MS, 11 * MS, 2, 20_000, 100, 0) and logged.calls
    assert next(s for s in stages if s.name == "priced") == ("priced", 20 * MS, 0, 100, None, None, 0, 0, False)


def test_one_in_a_hundred_over_its_budget_is_still_let_pass():
    stages, reached = summary(many([MS] * 99 + [11 * MS]), DESIGN)
    assert next(s for s in stages if s.name == "logged").over == 1 and not next(s for s in stages if s.name == "logged").calls
    assert all(t.measured == 0 and t.p50 is None for t in reached)


def test_a_stage_nobody_measures_says_so():
    import msgspec
    odd = msgspec.structs.replace(DESIGN, stages=(msgspec.structs.replace(DESIGN.stages[0], name="blessed"),))
    found = waterfall(WHOLE, odd)
    assert found[0].ns is None and "nothing measures a stage of this name" in found[0].why
