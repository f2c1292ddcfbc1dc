"""The executor of one venue: intents of the log become requests to the venue, and the venue's word becomes facts.

Decides when a child order is sent (once, ever), when silence has lasted too long, and what each report is called in the log. It must not know the desk, a
price's meaning, a socket or a clock.

    CHILD_OPENED -> PlaceChild          CHILD_CANCEL_ASKED -> CancelChild          open in the core when we start again -> AskChild, never PlaceChild
    silence -> CHILD_UNKNOWN, AskChild until the truth comes

Architecture invariant: a child id is placed at most once by one executor, and never by one that finds it already open. Only the venue closes a child.
"""
from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import msgspec
import numpy as np

from cambist.messages import ChildState, Event, Kind, Reason, Side, TimeInForce, command
from cambist.sections import Design
from cambist.venues.venue import (
    PPM, Acked, AskChild, BookUpdate, CancelChild, Capabilities, ChildReport, Closed, CloseReason, Filled, Intent, Missing, PlaceChild, Rejected, RejectReason,
    Report, Silence, Terms, book_fault,
)

OPEN_MOST = 10_000                              # children open at this venue; a further one is not sent, and a person is called
OVER_KEPT = 10_000                              # closed children remembered, so that a late report still finds its instrument and side
ASKED_APART_MOST = 32                           # a question unanswered is asked again ever later, at most so many times the first pause
RESTING_ASKED_APART = 64                        # a resting order that says nothing is asked after so many pauses
OF_CHILDREN = frozenset((int(Event.CHILD_OPENED), int(Event.CHILD_CANCEL_ASKED)))      # events that an executor acts on: few of all that it hears
Told: TypeAlias = np.void | Mapping[str, Any]

WHY = {
    CloseReason.FILLED: Reason.FILLED, CloseReason.CANCELLED: Reason.USER, CloseReason.REMAINDER: Reason.IMMEDIATE, CloseReason.BY_VENUE: Reason.HALTED,
    RejectReason.UNKNOWN_INSTRUMENT: Reason.UNKNOWN_INSTRUMENT, RejectReason.UNSUPPORTED: Reason.BAD_TYPE,
    RejectReason.QUANTITY_NOT_POSITIVE: Reason.BAD_QUANTITY, RejectReason.QUANTITY_OFF_LOT: Reason.OFF_LOT, RejectReason.PRICE_OFF_TICK: Reason.OFF_TICK,
    RejectReason.PRICE_OUT_OF_RANGE: Reason.BAD_PRICE, RejectReason.TOO_MANY_ORDERS: Reason.OPEN_ORDERS, RejectReason.BUSY: Reason.RATE,
    RejectReason.OTHER: Reason.NOT_ALLOWED,
}


class Turn(NamedTuple):
    """What one step leads to: fact records for the log, requests to the venue, and words for a person."""
    facts: list[np.ndarray]
    intents: list[Intent]
    calls: list[str]


class Posting(msgspec.Struct, frozen=True):
    """A source's price as the log is told it: for which instruments a book of one speaks, and how seldom. On a move of `move_ppm`, or after `every_ns`."""
    source: int
    speaks_for: dict[int, tuple[int, ...]]
    move_ppm: int = 20
    every_ns: int = 1_000_000_000


def posting(design: Design, names: Mapping[str, Mapping[str, int]], source: str) -> Posting:
    """What the design lets this source post: each book speaks for its own instrument and for others of the same assets and price increment."""
    made: dict[int, tuple[int, ...]] = {}
    for name, row in design.instruments.items():
        same = [other for other, its in design.instruments.items() if source in its.sources and (its.base, its.quote, its.quote_tick, its.price_increment)
                == (row.base, row.quote, row.quote_tick, row.price_increment)]
        made[names["instruments"][name]] = tuple(names["instruments"][other] for other in same)
    return Posting(names["sources"][source], made)


class PricePoster:
    """Mids of a source's books as SOURCE_PRICE facts, throttled."""

    def __init__(self, posting: Posting, terms: Mapping[int, Terms], actor: int) -> None:
        self._posting, self._terms, self._actor = posting, dict(terms), actor
        self._last: dict[int, tuple[int, int]] = {}

    def step(self, book: BookUpdate, now: int) -> list[np.ndarray]:
        if not (book.bids and book.asks) or book_fault(book) is not None:
            return []
        facts = []
        for number in self._posting.speaks_for.get(book.instrument, ()):
            tick = self._terms[number].quote_tick
            mid = (book.bids[0][0] + book.asks[0][0]) // (2 * tick) * tick
            price, at = self._last.get(number, (0, 0))
            due = not price or now - at >= self._posting.every_ns or abs(mid - price) * PPM >= self._posting.move_ppm * price
            if due and 1 <= mid <= self._terms[number].max_price and (mid, now) != (price, at):
                self._last[number] = mid, now
                facts.append(command(Kind.SOURCE_PRICE, actor=self._actor, instrument=number, source=self._posting.source, price=mid, source_time=book.time))
        return facts


class _Child:
    """A child as this executor knows it."""
    __slots__ = ("acked", "asked", "cancel", "closed_at_cum", "executions", "filled", "heard", "instrument", "over", "quantity", "side", "tif", "unknown")

    def __init__(self, instrument: int, side: Side, quantity: int, tif: TimeInForce, now: int) -> None:
        self.instrument, self.side, self.quantity, self.tif, self.heard = instrument, side, quantity, tif, now
        self.filled = self.asked = 0
        self.acked = self.unknown = self.cancel = self.over = False
        self.closed_at_cum: int | None = None
        self.executions: set[str] = set()


class VenueExecutor:
    """`step` takes an event of the house's whole stream, a report of the venue, or None for time alone. `resume` comes first after a restart."""

    def __init__(self, venue: int, capabilities: Capabilities, terms: Mapping[int, Terms], actor: int, posting: Posting | None = None,
                 tif: TimeInForce = TimeInForce.IOC) -> None:
        self.venue, self.capabilities, self._actor = venue, capabilities, actor
        self._poster = PricePoster(posting, terms, actor) if posting is not None else None
        self._tif = tif                                 # CHILD_OPENED does not tell it: the one that leaves nothing behind
        self._open: dict[int, _Child] = {}
        self._over: dict[int, _Child] = {}              # oldest first

    def resume(self, children: Iterable[Mapping[str, int]], now: int) -> None:
        """The core's rows of children at this venue, all that are not done. What became of them is asked for, after a pause in which a request still on its
        way arrives. Never sent again."""
        for row in children:
            if row["venue"] == self.venue and row["state"] != ChildState.DONE and row["id"] not in self._open:
                child = _Child(row["instrument"], Side(row["side"]), row["quantity"], TimeInForce(row["time_in_force"]), now)
                child.filled, child.acked = row["filled"], row["state"] == ChildState.WORKING
                child.unknown = row["state"] == ChildState.UNKNOWN
                child.closed_at_cum = row["cum"] if row["state"] == ChildState.CLOSING else None
                child.cancel = True                     # whether one was asked for is not in the row: ask as if it were
                self._open[row["id"]] = child

    def step(self, event: Told | Report | None, now: int) -> Turn:
        turn = Turn([], [], [])
        if isinstance(event, BookUpdate):
            if self._poster is not None:
                turn.facts.extend(self._poster.step(event, now))
        elif isinstance(event, Acked | Filled | Closed | Rejected | Missing):
            self._report(event, now, turn)
        elif event is not None:
            self._told(event, now, turn)
        self._silent(now, turn)
        return turn

    def turn(self, events: Iterable[Told | Report | None], now: int) -> Turn:
        """Several, one after the other."""
        whole = Turn([], [], [])
        for event in events:
            one = self.step(event, now)
            whole.facts.extend(one.facts)
            whole.intents.extend(one.intents)
            whole.calls.extend(one.calls)
        return whole

    def next_event(self, now: int) -> int | None:
        """When silence next becomes too long."""
        dues = [self._due(child) for child in self._open.values()]
        return max(now, min(dues)) if dues else None

    @property
    def open(self) -> list[int]:
        """Children of whose end the venue has not told."""
        return list(self._open)

    # ------------------------------------------------------------------------------------------------------------------- intents
    def _told(self, row: Told, now: int, turn: Turn) -> None:
        kind = int(row["kind"])
        if kind not in OF_CHILDREN:
            return
        number = int(row["id"])
        if kind == Event.CHILD_OPENED and row["other"] == self.venue:
            if number in self._open or number in self._over:
                return
            if len(self._open) >= OPEN_MOST:
                turn.calls.append(f"child {number} was not sent: {OPEN_MOST} are open at {self.capabilities.venue}")
                self._close(number, _Child(int(row["instrument"]), Side(int(row["side"])), int(row["quantity"]), self._tif, now), 0, Reason.OPEN_ORDERS, turn)
                return
            child = self._open[number] = _Child(int(row["instrument"]), Side(int(row["side"])), int(row["quantity"]), self._tif, now)
            turn.intents.append(PlaceChild(number, child.instrument, child.side, child.quantity, int(row["price"]), child.tif))
        elif kind == Event.CHILD_CANCEL_ASKED and row["other"] == self.venue and (child := self._open.get(number)):
            if self.capabilities.cancels and not child.cancel:
                child.cancel, child.heard = True, now
                turn.intents.append(CancelChild(number))

    # ------------------------------------------------------------------------------------------------------------------- reports
    def _report(self, report: ChildReport, now: int, turn: Turn) -> None:
        number = report.child_id
        child = self._open.get(number) or self._over.get(number)
        if child is None:
            turn.calls.append(f"{self.capabilities.venue} speaks of child {number}, of which this executor knows nothing: {report}")
            return
        child.heard, child.asked = now, 0
        match report:
            case Acked():
                if (not child.acked or child.unknown) and not child.over:
                    turn.facts.append(command(Kind.CHILD_ACKED, actor=self._actor, child=number, venue=self.venue))
                child.acked, child.unknown = True, False
            case Filled():
                self._filled(child, report, turn)
            case Closed():
                if not child.over and child.closed_at_cum is None:
                    self._close(number, child, report.cum_quantity, WHY[report.reason], turn)
                    if child.filled < report.cum_quantity and self.capabilities.silence is Silence.ASK:
                        turn.intents.append(AskChild(number))       # a fill was lost on the way
            case Rejected() | Missing():
                if child.filled or (child.acked and isinstance(report, Missing)):
                    turn.calls.append(f"{self.capabilities.venue} takes back child {number}, which it had acknowledged: {report}")
                elif not child.over:
                    self._close(number, child, 0, WHY[report.reason] if isinstance(report, Rejected) else Reason.UNKNOWN_CHILD, turn)

    def _filled(self, child: _Child, report: Filled, turn: Turn) -> None:
        if report.execution_id in child.executions:
            return
        child.executions.add(report.execution_id)
        child.filled += report.quantity
        child.acked, child.unknown = True, False
        if report.fee < 0:
            turn.calls.append(f"{self.capabilities.venue} paid a rebate of {-report.fee} on child {report.child_id}, which a fill cannot carry")
        high, low = execution_number(self.capabilities.venue, report.execution_id)
        turn.facts.append(command(Kind.CHILD_FILLED, actor=self._actor, instrument=child.instrument, id_hi=high, id_lo=low, side=child.side,
                                  child=report.child_id, venue=self.venue, price=report.price, quantity=report.quantity, fee=max(report.fee, 0)))
        self._settle(report.child_id, child)

    def _close(self, number: int, child: _Child, cum: int, why: Reason, turn: Turn) -> None:
        child.closed_at_cum = cum
        turn.facts.append(command(Kind.CHILD_CLOSED, actor=self._actor, child=number, venue=self.venue, cum_quantity=cum, why=why))
        self._settle(number, child)

    def _settle(self, number: int, child: _Child) -> None:
        """Over once it is closed and every fill of it was heard."""
        if child.closed_at_cum is not None and child.filled >= child.closed_at_cum and not child.over:
            child.over = True
            self._open.pop(number, None)
            self._over[number] = child
            if len(self._over) > OVER_KEPT:
                del self._over[next(iter(self._over))]

    # ------------------------------------------------------------------------------------------------------------------- silence
    def _due(self, child: _Child) -> int:
        pause = self.capabilities.ask_after_ns
        resting = child.acked and not child.cancel and not child.unknown and child.tif == TimeInForce.GTC and child.closed_at_cum is None
        return child.heard + pause * (RESTING_ASKED_APART if resting else min(1 << child.asked, ASKED_APART_MOST))

    def _silent(self, now: int, turn: Turn) -> None:
        for number, child in self._open.items():
            if now < self._due(child):
                continue
            resting = child.acked and child.tif == TimeInForce.GTC and not child.cancel
            if not child.unknown and child.closed_at_cum is None and not resting:
                child.unknown = True
                turn.facts.append(command(Kind.CHILD_UNKNOWN, actor=self._actor, child=number, venue=self.venue))
                if self.capabilities.silence is Silence.RECONCILE:
                    turn.calls.append(f"child {number} is unknown at {self.capabilities.venue}, which cannot be asked: its statement must close it")
            child.heard, child.asked = now, min(child.asked + 1, 16)
            if self.capabilities.silence is Silence.ASK:
                turn.intents.append(AskChild(number))


def execution_number(venue: str, execution_id: str) -> tuple[int, int]:
    """The 128 bits that make an execution count once: the same id always gives the same, and never 0."""
    digest = hashlib.sha256(f"{venue}\n{execution_id}".encode()).digest()
    high, low = (int.from_bytes(digest[at:at + 8], "big", signed=True) for at in (0, 8))
    return (high, low) if (high, low) != (0, 0) else (0, 1)
