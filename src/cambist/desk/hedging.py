"""Hedging: how much of the desk's position is traded away outside, at which venue, and when to stop.

Decides parent orders (the excess over the target, once it is worth more than a threshold) and a venue for each child that `execution.py` says is due. It must
not know how a venue is spoken to, what quotes are out, or a clock. It hears the events of the desk's own account and the venues' books.

Architecture invariant: open children, whatever became of them, and children asked for and not yet answered, never exceed the excess on their side. A child
that is UNKNOWN counts whole until the venue's word closes it.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
import numpy as np

from cambist import design as designs
from cambist.desk.execution import (
    Elapsed, Execution, Outcome, Parent, ParentDone, ParentEnded, ParentOpened, Plan, Progress, Reference, SendChild, Style,
)
from cambist.desk.inventory import Aim, Inventory
from cambist.desk.pricing import MICRO, Market, PricingSettings, Source, Use
from cambist.desk.quoting import Heard, Sender, Told, traded
from cambist.messages import ChildState, Event, Kind, Reason, Side
from cambist.sections import Design
from cambist.venues.venue import PPM, BookUpdate, Terms, signed

PAUSE_MOST_NS = 60_000_000_000
BENCHED_BY = {Reason.VENUE_STOPPED, Reason.VENUE_FUNDS, Reason.UNKNOWN_VENUE}


class HedgerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the desk hedges. Amounts by instrument in quote-asset units; venues by name, in the order they are preferred at the same price."""
    venues: dict[str, int]
    pricing: PricingSettings
    hedge_above: dict[int, int] = {}            # an excess worth no more is left alone
    child_most: dict[int, int] = {}             # one child's amount; more is sent in slices
    collar_ppm: dict[int, int] = {}
    slippage_ppm: int = 2_000
    slices_least: int = 1                       # when slicing
    slice_ns: int = 200_000_000
    retries: int = 16
    child_timeout_ns: int = 500_000_000         # then a child is cancelled
    bench_ns: int = 2_000_000_000               # a venue that could not serve is passed over for so long
    pause_ns: int = 500_000_000                 # after a parent that could not be finished, doubled each time
    attempts_most: int = 3                      # unfinished parents in a row before a person is called
    enabled: bool = True


class Unhedged(msgspec.Struct, frozen=True):
    """A person is called: so much of the excess could not be traded away within its limits."""
    instrument: int
    leaves: int


class _Child:
    """An open child order, as the log tells it."""
    __slots__ = ("cancel_asked", "instrument", "leaves", "opened", "parent", "side", "state", "venue")

    def __init__(self, row: Told, now: int) -> None:
        self.instrument, self.venue, self.leaves, self.parent = (int(row[name]) for name in ("instrument", "other", "quantity", "amount"))
        self.side, self.state, self.opened, self.cancel_asked = Side(int(row["side"])), ChildState.PENDING, now, False


class _Asked(msgspec.Struct, frozen=True):
    """A child asked of the core and not yet answered."""
    instrument: int
    side: Side
    quantity: int
    parent: int
    venue: int


class _Working:
    """A parent as far as the log has told."""
    __slots__ = ("answered", "cum", "parent")

    def __init__(self, parent: Parent) -> None:
        self.parent, self.answered, self.cum = parent, 0, 0


class Hedger:
    """`step` takes one event of the account, a book, or time, and answers (commands, effects)."""

    def __init__(self, sender: Sender, terms: Mapping[int, Terms], sources: Mapping[int, Iterable[Source]], aims: Iterable[Aim], settings: HedgerSettings):
        self.settings, self._sender, self._terms = settings, sender, dict(terms)
        self.inventory = Inventory(aims)
        self._markets = {number: Market(number, tuple(named)) for number, named in sources.items()}
        self._execution = Execution(self._terms)
        self._parents: dict[int, _Working] = {}         # by instrument: one at a time
        self._children: dict[int, _Child] = {}
        self._asked: dict[tuple[int, int], _Asked] = {}
        self._references: dict[int, int] = {}           # the core's: what collars are measured from
        self._benched: dict[tuple[int, int], int] = {}
        self._chasing: set[int] = set()                 # hedging has begun and goes on until less than a lot is left
        self._failures: dict[int, int] = {}
        self._paused: dict[int, int] = {}
        self._events = self._opened = 0

    def step(self, event: Told | Heard | Elapsed, now: int) -> tuple[list[np.ndarray], list[Unhedged]]:
        out: list[np.ndarray] = []
        effects: list[Unhedged] = []
        if isinstance(event, Heard):
            self._hear(event, now, out, effects)
        elif not isinstance(event, Elapsed):
            self.learn(event, now)
        for number in sorted(self._markets):
            self._progress(number, now, out, effects)
            if self.settings.enabled:
                self._decide(number, now, out, effects)
        self._run(Elapsed(), now, out, effects)
        self._cancel_late(now, out)
        return out, effects

    def next_event(self, now: int) -> int | None:
        """When something here next comes due by itself."""
        late = [child.opened + self.settings.child_timeout_ns for child in self._children.values() if not child.cancel_asked]
        pauses = [until for until in self._paused.values() if until > now]
        dues = [*late, *pauses, *(due for due in [self._execution.next_event(now)] if due is not None)]
        return max(now, min(dues)) if dues else None

    def exposure(self, instrument: int, side: Side) -> int:
        """What may still be traded on this side by what is out: open children, unknown ones whole, and those not yet answered."""
        out = sum(child.leaves for child in self._children.values() if (child.instrument, child.side) == (instrument, side))
        return out + sum(one.quantity for one in self._asked.values() if (one.instrument, one.side) == (instrument, side))

    # ------------------------------------------------------------------------------------------------------------------ hearing
    def learn(self, row: Told, now: int) -> None:
        """What an event says, without acting on it (a desk that starts again reads its stream so)."""
        self._events += 1
        kind, number = int(row["kind"]), int(row["id"])
        if (trade := traded(row, self._events)) and trade.instrument in self._markets:
            self.inventory.step(trade, now)
            self._failures.pop(trade.instrument, None)
            if kind == Event.FILLED:
                self._paused.pop(trade.instrument, None)
        if kind == Event.REFERENCE:
            self._references[int(row["instrument"])] = int(row["price"])
        elif kind == Event.CHILD_OPENED:
            self._children[number] = _Child(row, now)
            self._answered(row)
        elif kind == Event.REFUSED and row["command"] == Kind.NEW_CHILD:
            asked = self._answered(row)
            if asked is not None and row["reason"] in BENCHED_BY:
                self._benched[asked.venue, asked.instrument] = now + self.settings.bench_ns
        elif child := self._children.get(number):
            self._child_told(child, row, now)

    def _child_told(self, child: _Child, row: Told, now: int) -> None:
        if row["kind"] == Event.CHILD_FILL:
            child.leaves = int(row["leaves"])
            work = self._parents.get(child.instrument)
            if work is not None and work.parent.parent_id == child.parent:
                work.cum += int(row["quantity"])
        elif row["kind"] == Event.CHILD_CHANGED:
            child.state, left = ChildState(int(row["other"])), child.leaves
            child.leaves = int(row["leaves"])
            if child.state is ChildState.UNKNOWN or (child.state is ChildState.DONE and left and row["reason"]):
                self._benched[child.venue, child.instrument] = now + self.settings.bench_ns
            if child.state is ChildState.DONE:
                del self._children[int(row["id"])]
        elif row["kind"] == Event.CHILD_CANCEL_ASKED:
            child.cancel_asked = True

    def _answered(self, row: Told) -> _Asked | None:
        asked = self._asked.pop((int(row["id_hi"]), int(row["id_lo"])), None)
        if asked is not None and (work := self._parents.get(asked.instrument)) and work.parent.parent_id == asked.parent:
            work.answered += 1
        return asked

    def _hear(self, event: Heard, now: int, out: list[np.ndarray], effects: list[Unhedged]) -> None:
        number = event.book.instrument
        market = self._markets.get(number)
        if market is None or all(source.name != event.source for source in market.sources) or not market.hear(event.source, event.book, now):
            return
        if (mid := market.consolidated(now, self.settings.pricing).mid) >= MICRO:
            self._run(Reference(number, mid // MICRO), now, out, effects)

    # ----------------------------------------------------------------------------------------------------------------- deciding
    def _decide(self, number: int, now: int, out: list[np.ndarray], effects: list[Unhedged]) -> None:
        """Open, keep or end the instrument's parent, so that what it may yet trade is the excess and no more."""
        terms, excess = self._terms[number], self.inventory.of(number).excess
        side = Side.SELL if excess > 0 else Side.BUY
        free = abs(excess) - self.exposure(number, side)        # what nothing out there may yet trade
        mid = self._markets[number].consolidated(now, self.settings.pricing).mid // MICRO
        work = self._parents.get(number)
        # keep or end
        if work is not None:
            unsent = work.parent.quantity - work.cum - self._out_for(work)
            beyond = terms.amount(max(free - unsent, 0), mid) > self.settings.hedge_above.get(number, 0)
            if work.parent.side == side and unsent <= free and not beyond:
                return
            self._end(number, now)
        # open
        lots = max(free, 0) // terms.lot * terms.lot
        if not lots:
            if abs(excess) < terms.lot:
                self._chasing.discard(number)
            return
        if mid <= 0 or now < self._paused.get(number, 0):
            return
        if number in self._chasing or terms.amount(lots, mid) > self.settings.hedge_above.get(number, 0):
            self._chasing.add(number)
            self._open(number, side, lots, mid, now, out, effects)

    def _open(self, number: int, side: Side, quantity: int, mid: int, now: int, out: list[np.ndarray], effects: list[Unhedged]) -> None:
        s, terms = self.settings, self._terms[number]
        self._opened += 1
        parent = Parent(self._sender.session + self._opened, number, side, quantity, self._collar(number, side))
        most, amount = s.child_most.get(number, 0), terms.amount(quantity, mid)
        sliced = most > 0 and amount > most
        count = max(s.slices_least, -(-amount // most), 2) if sliced else 1
        plan = Plan(style=Style.TWAP if sliced else Style.IMMEDIATE, slices=count, over_ns=count * s.slice_ns if sliced else 0,
                    limit_offset_ppm=s.slippage_ppm, retry_ns=s.slice_ns, retries=s.retries)
        self._parents[number] = _Working(parent)
        self._run(ParentOpened(parent, plan), now, out, effects)

    def _end(self, number: int, now: int) -> None:
        """Its open children stay exposure; those that rest are cancelled."""
        work = self._parents.pop(number)
        self._execution.step(ParentEnded(work.parent.parent_id), now)
        for child in self._children.values():
            if child.parent == work.parent.parent_id:
                child.opened = min(child.opened, now - self.settings.child_timeout_ns)

    def _collar(self, number: int, side: Side) -> int:
        """How far a child may pay at most: inside the core's band around its reference, where both are known."""
        terms, reference, ppm = self._terms[number], self._references.get(number, 0), self.settings.collar_ppm.get(number, 0)
        band = reference * ppm // PPM
        if side == Side.BUY:
            return min(terms.max_price, reference + band) if band else terms.max_price
        return max(terms.min_price, reference - band) if band else terms.min_price

    def _out_for(self, work: _Working) -> int:
        mine = work.parent.parent_id
        return sum(child.leaves for child in self._children.values() if child.parent == mine) + \
            sum(one.quantity for one in self._asked.values() if one.parent == mine)

    def _progress(self, number: int, now: int, out: list[np.ndarray], effects: list[Unhedged]) -> None:
        if work := self._parents.get(number):
            working = sum(child.leaves for child in self._children.values() if child.parent == work.parent.parent_id)
            self._run(Progress(work.parent.parent_id, work.answered, work.cum, working), now, out, effects)

    # ------------------------------------------------------------------------------------------------------------------ sending
    def _run(self, event: Elapsed | ParentOpened | Progress | Reference, now: int, out: list[np.ndarray], effects: list[Unhedged]) -> None:
        sends, outcomes = self._execution.step(event, now)
        for send in sends:
            self._send(send, now, out)
        for outcome in outcomes:
            self._over(outcome, now, effects)

    def _over(self, outcome: Outcome, now: int, effects: list[Unhedged]) -> None:
        number = next((n for n, work in self._parents.items() if work.parent.parent_id == outcome.parent_id), None)
        if number is None:
            return
        del self._parents[number]
        if isinstance(outcome, ParentDone):
            self._failures.pop(number, None)
            return
        failures = self._failures[number] = self._failures.get(number, 0) + 1
        self._paused[number] = now + min(self.settings.pause_ns << min(failures - 1, 20), PAUSE_MOST_NS)
        if failures >= self.settings.attempts_most:
            effects.append(Unhedged(number, outcome.leaves))

    def _send(self, send: SendChild, now: int, out: list[np.ndarray]) -> None:
        """A child, cut to what is still free; one that no venue can take, or for which nothing is left, counts as answered with nothing."""
        number, terms = send.instrument, self._terms[send.instrument]
        excess = -signed(send.side, self.inventory.of(number).excess)
        quantity = min(send.quantity, excess - self.exposure(number, send.side)) // terms.lot * terms.lot
        work = self._parents[number]
        venue = self._venue(send, quantity, now) if quantity > 0 else 0
        if not venue:
            work.answered += 1
            return
        record = self._sender.command(Kind.NEW_CHILD, now, instrument=number, side=send.side, time_in_force=send.tif, venue=venue, price=send.limit_price,
                                      quantity=quantity, parent=send.parent_id)
        self._asked[int(record["id_hi"][0]), int(record["id_lo"][0])] = _Asked(number, send.side, quantity, send.parent_id, venue)
        out.append(record)

    def _venue(self, send: SendChild, quantity: int, now: int) -> int:
        """The venue where this child costs least after fees, taking what its fresh book does not show at the limit. 0: none has anything within it."""
        market = self._markets[send.instrument]
        seen = market.consolidated(now, self.settings.pricing)
        fresh = dict(zip((one.source for one in seen.inputs if one.use is Use.USED), seen.used, strict=True))
        best, chosen = None, 0
        for name, venue in self.settings.venues.items():
            if name not in fresh or now < self._benched.get((venue, send.instrument), 0):
                continue
            cost = _cost(*fresh[name], send.side, quantity, send.limit_price)
            if cost is not None and (best is None or cost < best):
                best, chosen = cost, venue
        return chosen

    def _cancel_late(self, now: int, out: list[np.ndarray]) -> None:
        for number, child in self._children.items():
            over = child.cancel_asked or child.state is ChildState.CLOSING
            if not over and now >= child.opened + self.settings.child_timeout_ns:
                child.cancel_asked = True
                out.append(self._sender.command(Kind.CANCEL_CHILD, now, child=number))


def _cost(book: BookUpdate, fee_ppm: int, side: Side, quantity: int, limit: int) -> int | None:
    """What taking this costs (for sales: less what it brings), in price increments times units times a million."""
    left, total = quantity, 0
    for level, available in book.asks if side == Side.BUY else book.bids:
        if (level > limit if side == Side.BUY else level < limit) or not left:
            break
        taken = min(left, available)
        left, total = left - taken, total + taken * (signed(side, level) * PPM + level * fee_ppm)
    return None if left == quantity else total + left * (signed(side, limit) * PPM + limit * fee_ppm)


def hedger_settings(design: Design, names: Mapping[str, Mapping[str, int]], pricing: PricingSettings) -> HedgerSettings:
    """The design's hedging. Every amount is by the instrument's quote asset."""
    h = design.hedging
    numbers = names["instruments"]

    def amounts(table: Mapping[str, str]) -> dict[int, int]:
        return {numbers[name]: designs.units_of(design, row.quote, table[row.quote]) for name, row in design.instruments.items() if row.quote in table}

    return HedgerSettings(
        venues={name: names["venues"][name] for name in h.venues or design.venues if design.venues[name].enabled}, pricing=pricing, enabled=h.enabled,
        hedge_above=amounts(h.hedge_above), child_most=amounts(h.max_child_notional), slippage_ppm=h.max_slippage_ppm, slices_least=h.slices,
        slice_ns=h.slice_interval, retries=h.max_children, child_timeout_ns=h.child_timeout,
        collar_ppm={numbers[name]: row.limits.collar_ppm for name, row in design.instruments.items() if row.limits})
