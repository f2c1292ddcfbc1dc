"""The stages of the design measured from what was recorded, beside their budgets.

Decides which two recorded moments each stage is the time between, for one trade and over many. It must not know how a story was read, nor judge a design. What
was not recorded is unmeasured, with the reason, and never 0.

Three clocks meet here. Log time is the sealing node's wall clock; a command's `received` is the wall clock of whoever took it in; stamps are the node's
monotonic clock, of one host. A stamp becomes wall time by its distance from the sealing stamp: wall(x) = log time + (x - sealed).
"""
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from cambist.messages import Event
from cambist.ops.story import Record, Row, Story
from cambist.sections import Design
from cambist.units import PPM

MEASURED = ("received", "logged", "risk-checked", "priced", "quoted", "accepted", "executed", "hedged", "netted", "settled")
WALL, STAMPS, LOG = "wall clock", "monotonic", "log time"
SAMPLES_MOST = 10_000                           # trades of one summary


class Measured(NamedTuple):
    """One stage of one trade. `ns` None: unmeasured, and `why` says what is missing. `sequence`: where in the log it ended."""
    stage: str
    ns: int | None
    budget: int
    clock: str
    sequence: int
    why: str

    @property
    def over(self) -> bool:
        return self.ns is not None and self.ns > self.budget


class Target(NamedTuple):
    """A target of the design for one trade: what its stages took together; None when one of them is unmeasured."""
    name: str
    first: str
    last: str
    ns: int | None
    budget: int

    @property
    def over(self) -> bool:
        return self.ns is not None and self.ns > self.budget


class Trip(NamedTuple):
    """One request's way: the record of each turn, None where it has not come to that."""
    request: Record | None
    quote: Record | None
    shown: Record | None
    accept: Record | None
    hedge: Record | None
    cut_off: Record | None
    obligation: Record | None
    settled: Record | None


class Summed(NamedTuple):
    """One stage, or a target, over many trades. p50 and p99 in ns, None when nothing was measured. `calls`: over budget more often than is let pass."""
    name: str
    budget: int
    measured: int
    unmeasured: int
    p50: int | None
    p99: int | None
    over: int
    over_ppm: int
    calls: bool


class _Missing(Exception):
    """A moment that was not recorded."""


def trip_of(story: Story, desks: Iterable[int]) -> Trip:
    """The turns of a request's story. The quote is the first that one of our desks gave."""
    ours, rows, records = set(desks), story.told, story.records

    def turn(rows: Sequence[Row], last: bool = False) -> Record | None:
        return records.get(rows[-1 if last else 0]["sequence"]) if rows else None

    def told(kind: Event, *, of: set[int] | None = None) -> list[Row]:
        return [row for row in rows if row["kind"] == kind and (of is None or row["account"] in of)]

    fills = [row for row in told(Event.FILLED) if row["command"]]
    return Trip(turn(told(Event.REQUEST_OPENED)), turn(told(Event.QUOTED, of=ours)), turn(told(Event.QUOTE_SHOWN)), turn(fills),
                turn(told(Event.CHILD_FILL), last=True), turn(told(Event.CUT_OFF)), turn(told(Event.OBLIGATION), last=True),
                turn(told(Event.SETTLED), last=True) if _all_settled(rows) else None)


def _all_settled(rows: Sequence[Row]) -> bool:
    due = {row["id"] for row in rows if row["kind"] == Event.OBLIGATION}
    return bool(due) and due <= {row["id"] for row in rows if row["kind"] == Event.SETTLED}


def waterfall(trip: Trip, design: Design) -> list[Measured]:
    """Every stage of the design for one trade, in the design's order. A stage this file has no measure for is unmeasured by name."""
    return [_measure(stage.name, stage.budget, trip) for stage in design.stages]


def _measure(name: str, budget: int, trip: Trip) -> Measured:
    rule = _RULES.get(name)
    if rule is None:
        return Measured(name, None, budget, "", 0, f"nothing measures a stage of this name; {', '.join(MEASURED)} are")
    clock, ends, how = rule
    end = getattr(trip, ends)
    try:
        ns, clock = how(trip), clock(trip) if callable(clock) else clock
        if ns < 0:
            raise _Missing("the two clocks differ by more than it took")
    except _Missing as missing:
        return Measured(name, None, budget, "", end.sequence if end else 0, str(missing))
    return Measured(name, ns, budget, clock, end.sequence if end else 0, "")


# ---------------------------------------------------------------------------------------------------------------- moments
def _turn(record: Record | None, what: str) -> Record:
    if record is None:
        raise _Missing(f"it has not come to {what}, or none is recorded")
    return record


def _stamp(record: Record, name: str) -> int:
    if not record.stamps or name not in record.stamps:
        raise _Missing(f"the stamps of @{record.sequence} are not kept any more")
    return record.stamps[name]


def _wall(record: Record, name: str) -> int:
    return record.time + _stamp(record, name) - _stamp(record, "sealed")


def _received(record: Record) -> int:
    if not record.fields.get("received", 0):
        raise _Missing(f"the sender of @{record.sequence} did not tell when it was received")
    return record.fields["received"]


def _taken_in(t: Trip) -> int:
    request = _turn(t.request, "a request")
    return request.time - _received(request)


def _logged(t: Trip) -> int:
    request = _turn(t.request, "a request")
    return _stamp(request, "durable") - _stamp(request, "sealed")


def _checked(t: Trip) -> int:
    request = _turn(t.request, "a request")
    return _stamp(request, "applied") - _stamp(request, "durable")


def _priced(t: Trip) -> int:
    return _received(_turn(t.quote, "a quote of the desk")) - _wall(_turn(t.request, "a request"), "told")


def _quoted(t: Trip) -> int:
    quote = _turn(t.quote, "a quote of the desk")
    return _wall(quote, "told") - _received(quote)


def _accepted(t: Trip) -> int:
    return _turn(t.accept, "a trade").time - _turn(t.shown, "a quote shown").time


def _executed(t: Trip) -> int:
    accept = _turn(t.accept, "a trade")
    return _wall(accept, "told") - _received(accept)


def _hedged(t: Trip) -> int:
    return _turn(t.hedge, "a hedge").time - _turn(t.accept, "a trade").time


def _netted(t: Trip) -> int:
    """By the host's clocks where the cut-off says when it was asked for; else by log time."""
    cut, last = _turn(t.cut_off, "a cut-off"), _turn(t.obligation, "an obligation")
    return _wall(last, "told") - _received(cut) if _tells(cut, last) else last.time - cut.time


def _tells(cut: Record, last: Record) -> bool:
    return bool(cut.fields.get("received", 0) and last.stamps)


def _netted_clock(t: Trip) -> str:
    return WALL if t.cut_off and t.obligation and _tells(t.cut_off, t.obligation) else LOG


def _settled(t: Trip) -> int:
    return _turn(t.settled, "the settlement of all its obligations").time - _turn(t.cut_off, "a cut-off").time


_Rule: TypeAlias = tuple[str | Callable[[Trip], str], str, Callable[[Trip], int]]      # clock, the turn that ends it, how long
_RULES: Mapping[str, _Rule] = {
    "received": (WALL, "request", _taken_in), "logged": (STAMPS, "request", _logged), "risk-checked": (STAMPS, "request", _checked),
    "priced": (WALL, "quote", _priced), "quoted": (WALL, "quote", _quoted), "accepted": (LOG, "accept", _accepted), "executed": (WALL, "accept", _executed),
    "hedged": (LOG, "hedge", _hedged), "netted": (_netted_clock, "obligation", _netted), "settled": (LOG, "settled", _settled)}
assert tuple(_RULES) == MEASURED


# ----------------------------------------------------------------------------------------------------------------- targets
def targets(stages: Sequence[Measured], design: Design) -> list[Target]:
    """What the stages of each target took together."""
    order = [s.stage for s in stages]
    made = []
    for name, target in design.targets.items():
        within = stages[order.index(target.first):order.index(target.last) + 1]
        known = [s.ns for s in within if s.ns is not None]
        made.append(Target(name, target.first, target.last, sum(known) if len(known) == len(within) else None, target.budget))
    return made


def summary(trades: Sequence[Sequence[Measured]], design: Design) -> tuple[list[Summed], list[Summed]]:
    """(stages, targets) over many trades, at most SAMPLES_MOST, each beside its budget."""
    trades, calls = trades[-SAMPLES_MOST:], design.oversight.call_when_over_budget_ppm
    stages = [_sum(stage.name, stage.budget, [trade[i].ns for trade in trades], calls) for i, stage in enumerate(design.stages)]
    found = [targets(trade, design) for trade in trades]
    return stages, [_sum(name, target.budget, [trade[i].ns for trade in found], calls) for i, (name, target) in enumerate(design.targets.items())]


def _sum(name: str, budget: int, values: Sequence[int | None], calls_ppm: int) -> Summed:
    known = sorted(v for v in values if v is not None)
    over = sum(v > budget for v in known)
    share = over * PPM // len(known) if known else 0
    return Summed(name, budget, len(known), len(values) - len(known), _rank(known, 50), _rank(known, 99), over, share, share > calls_ppm)


def _rank(ordered: Sequence[int], percent: int) -> int | None:
    """The nearest-rank percentile: of 100 values p99 is the 99th."""
    return ordered[max(-(-len(ordered) * percent // 100), 1) - 1] if ordered else None


def in_plain_data(stages: Sequence[Measured], reached: Sequence[Target]) -> dict[str, Any]:
    """As JSON may carry it."""
    return {"stages": [{**s._asdict(), "over": s.over} for s in stages], "targets": [{**t._asdict(), "over": t.over} for t in reached]}
