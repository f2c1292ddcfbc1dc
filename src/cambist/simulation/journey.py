"""The trip of one request, read from what was recorded: which command and which event is each stage, when it passed, and what the books say afterwards.

Decides nothing about trading. Engine stages are measured by the stamps of the host (monotonic), stages of people, venues and banks by log time.
"""
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from cambist.log.entry import Entry
from cambist.messages import COMMAND, LAYOUT, AccountKind, Event, Kind
from cambist.simulation.through_door import Stamp

STAGES = ("received", "logged", "risk-checked", "priced", "quoted", "accepted", "executed", "hedged", "netted", "settled")


class Stage(NamedTuple):
    """One stage of the trip. `clock`: what `ns` was measured with."""
    stage: str
    ns: int
    budget_ns: int
    seq: int
    event: str
    clock: str


class Trip(NamedTuple):
    """Where in the log the trip passed."""
    request: int
    quote: int
    accept: int
    hedge: int
    net: int
    last_obligation: int
    settled: int


class Recorded:
    """A whole log in memory: commands and events by sequence, times of entries."""

    def __init__(self, entries: Iterable[Entry], events: np.ndarray):
        commands, times = [], []
        for entry in entries:
            rows = np.frombuffer(entry.records, COMMAND)
            commands.append(rows)
            times.append(np.full(len(rows), entry.time, np.int64))
        self.commands, self.times, self.events = np.concatenate(commands), np.concatenate(times), events

    def kind(self, sequence: int) -> Kind:
        return Kind(int(self.commands["kind"][sequence - 1]))

    def time(self, sequence: int) -> int:
        return int(self.times[sequence - 1])

    def said(self, sequence: int) -> list[str]:
        """The kinds of event that carry a sequence."""
        return [Event(int(k)).name for k in self.events["kind"][self.events["sequence"] == sequence]]

    def arguments(self, sequence: int) -> np.void:
        return self.commands[sequence - 1:sequence].view(LAYOUT[self.kind(sequence)])[0]


def find_trip(recorded: Recorded, request: int, desk: int, client: int) -> Trip:
    """Follow a request by the ids in the events. Raises LookupError naming the step that never came."""
    e = recorded.events

    def last(what: str, *where: np.ndarray) -> int:
        found = e["sequence"][np.logical_and.reduce(where)]
        if not len(found):
            raise LookupError(f"the trip of request {request} ends before {what}: no such event in the results")
        return int(found[-1])

    opened = last("it was opened", e["kind"] == Event.REQUEST_OPENED, e["id"] == request)
    filled = last("it was executed", e["kind"] == Event.FILLED, e["account"] == client, e["sequence"] > opened)
    quotes = e["sequence"][(e["kind"] == Event.QUOTED) & (e["account"] == desk) & (e["other"] == request)]
    if not len(quotes):
        raise LookupError(f"the trip of request {request} ends before it was quoted: the desk gave no quote")
    quote = int(quotes[0])
    hedge = last("it was hedged", e["kind"] == Event.CHILD_FILL, e["account"] == desk, e["sequence"] > filled)
    net = last("the cut-off", e["kind"] == Event.CUT_OFF, e["sequence"] > filled)
    return Trip(opened, quote, filled, hedge, net, last("it was netted", e["kind"] == Event.OBLIGATION, e["sequence"] > filled),
                last("it was settled", e["kind"] == Event.SETTLED, e["sequence"] > filled))


def stages(recorded: Recorded, trip: Trip, stamps: Iterable[Stamp], budgets: Mapping[str, int]) -> list[Stage]:
    """What each stage took, beside its budget."""
    by_sequence = {first + i: stamp for stamp in stamps for first in (stamp.first,) for i in range(stamp.count)}
    at = by_sequence.__getitem__
    ask, quote, accept, net, last = (at(s) for s in (trip.request, trip.quote, trip.accept, trip.net, trip.last_obligation))
    log = recorded.time
    rows = (("received", ask.sealed - ask.arrived, trip.request, "REQUEST_OPENED", "monotonic"),
            ("logged", ask.durable - ask.sealed, trip.request, "REQUEST_OPENED", "monotonic"),
            ("risk-checked", ask.applied - ask.durable, trip.request, "REQUEST_OPENED", "monotonic"),
            ("priced", quote.arrived - ask.told, trip.quote, "QUOTED", "monotonic"),
            ("quoted", quote.told - quote.arrived, trip.quote, "QUOTED", "monotonic"),
            ("accepted", log(trip.accept) - log(trip.quote), trip.accept, "FILLED", "log time"),
            ("executed", accept.told - accept.arrived, trip.accept, "FILLED", "monotonic"),
            ("hedged", log(trip.hedge) - log(trip.accept), trip.hedge, "CHILD_FILL", "log time"),
            ("netted", last.told - net.arrived, trip.last_obligation, "OBLIGATION", "monotonic"),
            ("settled", log(trip.settled) - log(trip.net), trip.settled, "SETTLED", "log time"))
    return [Stage(name, ns, budgets[name], sequence, event, clock) for name, ns, sequence, event, clock in rows]


def books(tables: Mapping[str, Any], accounts: Mapping[str, int], assets: Mapping[str, int]) -> list[dict[str, Any]]:
    """Every balance by name: what a person compares before and after."""
    _, columns, rows = tables["balances"]
    by = {n: i for i, n in enumerate(columns)}
    account_of, asset_of = {n: name for name, n in accounts.items()}, {n: name for name, n in assets.items()}
    return [{"account": account_of[int(r[by["account"]])], "asset": asset_of[int(r[by["asset"]])],
             **{n: int(r[by[n]]) for n in ("available", "held", "unsettled", "due")}} for r in rows]


def proof(tables: Mapping[str, Any], assets: Mapping[str, int]) -> list[dict[str, Any]]:
    """Custody against ownership, asset by asset."""
    _, columns, kinds = tables["accounts"]
    custody = set(kinds[kinds[:, columns.index("kind")] == AccountKind.CUSTODY][:, 0].tolist())
    _, columns, rows = tables["balances"]
    held = rows[:, columns.index("available")] + rows[:, columns.index("held")]
    outside = np.isin(rows[:, 0], sorted(custody))
    lines = []
    for name, number in assets.items():
        its = rows[:, 1] == number
        line = {"asset": name, "custody": int(held[its & outside].sum()), "ownership": int(held[its & ~outside].sum()),
                "unsettled": int(rows[its, columns.index("unsettled")].sum()), "due": int(rows[its, columns.index("due")].sum())}
        lines.append({**line, "holds": line["custody"] == line["ownership"] and line["unsettled"] == line["due"] == 0})
    return lines


