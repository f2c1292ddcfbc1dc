"""Execution: when a parent order's quantity is sent, in which slices, and at which limits.

Decides the schedule and nothing else. Parent and child orders are rows of the core: it opens them, numbers them, counts their
fills and holds what is unknown as exposure. This file must not know a venue, a fill's details, or a clock; it is told how far
the core has come (`Progress`) and answers with the children now due.

A schedule is a rising target. At each of its moments what is sent is the target less what is filled, working or on its way, so
a lost slice is caught up and no quantity is ever sent twice, however often progress is told.
"""

from __future__ import annotations

import enum
from typing import TypeAlias

import msgspec

from cambist.messages import Side, TimeInForce
from cambist.venues.venue import PPM, Terms

PARENTS_MAX = 10_000
SLICES_MAX = 10_000


class Style(enum.StrEnum):
    IMMEDIATE = "immediate"  # all of it at once
    TWAP = "twap"  # equal slices over equal times


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a parent is worked. What is left after the last slice is tried `retries` times more, `retry_ns` apart."""

    style: Style = Style.IMMEDIATE
    slices: int = 1
    over_ns: int = 0
    limit_offset_ppm: int = 500  # how far past the reference a child may pay
    reference_guard_ns: int = 2_000_000_000  # a reference older than this prices no child: the slice waits
    tif: TimeInForce = TimeInForce.IOC
    retry_ns: int = 1_000_000_000
    retries: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.slices <= SLICES_MAX or (self.style is Style.IMMEDIATE and self.slices != 1):
            raise ValueError(f"a plan {self.style} has {self.slices} slices; immediate has 1, twap 1 to {SLICES_MAX}")
        if self.over_ns < 0 or (self.style is Style.TWAP) != (self.over_ns > 0):
            raise ValueError(f"a plan {self.style} lasts {self.over_ns} ns; immediate lasts 0, twap more")
        if not 0 <= self.limit_offset_ppm < PPM:
            raise ValueError(f"limit_offset_ppm is {self.limit_offset_ppm}; it must be 0 to {PPM - 1}")
        if self.reference_guard_ns <= 0 or self.retry_ns <= 0 or self.retries < 0:
            raise ValueError("reference_guard_ns and retry_ns must be above zero, and retries not negative")
        if self.tif not in (TimeInForce.IOC, TimeInForce.GTC):
            raise ValueError(f"children are sent IOC or GTC, not {self.tif!r}")


class Parent(msgspec.Struct, frozen=True):
    """A parent order as the core opened it."""

    parent_id: int
    instrument: int
    side: Side
    quantity: int
    limit_price: int


class Slice(msgspec.Struct, frozen=True):
    """A slice and the target it completes: by `due`, `target` of the parent should have been sent."""

    due: int
    quantity: int
    target: int


def schedule(parent: Parent, plan: Plan, terms: Terms, start: int) -> tuple[Slice, ...]:
    """The slices of a parent: whole lots, equal but for one lot, the larger first, summing to its quantity exactly."""
    if parent.quantity <= 0 or parent.quantity % terms.lot:
        raise ValueError(f"parent {parent.parent_id} is of {parent.quantity}; {terms.name} trades in lots of {terms.lot}, one or more")
    if parent.side not in (Side.BUY, Side.SELL):
        raise ValueError(f"parent {parent.parent_id} is on side {parent.side!r}; it must buy or sell")
    lots = parent.quantity // terms.lot
    count = min(plan.slices, lots)
    each, larger = divmod(lots, count)
    slices, target = [], 0
    for index in range(count):
        quantity = (each + (index < larger)) * terms.lot
        target += quantity
        slices.append(Slice(start + plan.over_ns * index // count, quantity, target))
    return tuple(slices)


def child_limit(parent: Parent, plan: Plan, terms: Terms, reference: int) -> int:
    """A child's limit: the offset past the reference, rounded back to the tick, never past the parent's own limit or the range."""
    tick, far = terms.book_tick, abs(reference) * plan.limit_offset_ppm
    if parent.side == Side.BUY:
        return min((reference * PPM + far) // PPM, parent.limit_price, terms.max_price) // tick * tick
    return -(-max(-(-(reference * PPM - far) // PPM), parent.limit_price, terms.min_price) // tick) * tick


# -- what it is told, what it answers ---------------------------------------------------------------------------------


class ParentOpened(msgspec.Struct, frozen=True):
    parent: Parent
    plan: Plan


class Progress(msgspec.Struct, frozen=True):
    """How far the core has come with a parent: totals, so that hearing it twice changes nothing.

    `children` counts those the core has answered, opened or refused; `working` is the open quantity of them, unknown included.
    """

    parent_id: int
    children: int
    cum_quantity: int
    working: int


class ParentEnded(msgspec.Struct, frozen=True):
    """Cancelled, or closed by a person: nothing more is sent."""

    parent_id: int


class Reference(msgspec.Struct, frozen=True):
    """The desk's reference for an instrument, in price increments."""

    instrument: int
    price: int


class Elapsed(msgspec.Struct, frozen=True):
    """Nothing but time."""


class SendChild(msgspec.Struct, frozen=True):
    """Ask the core to open this child; its number among the parent's children makes a repeat the same request."""

    parent_id: int
    child_number: int
    instrument: int
    side: Side
    quantity: int
    limit_price: int
    tif: TimeInForce


class ParentDone(msgspec.Struct, frozen=True):
    parent_id: int


class ParentUnfinished(msgspec.Struct, frozen=True):
    """The schedule is over and `leaves` could not be traded within its limits: a person or another plan decides."""

    parent_id: int
    leaves: int


Event: TypeAlias = ParentOpened | Progress | ParentEnded | Reference | Elapsed
Outcome: TypeAlias = ParentDone | ParentUnfinished


class _Working:
    """One parent being worked: its schedule, what was sent, and how far the core has come."""

    __slots__ = ("children", "cum", "moment", "parent", "plan", "sent", "slices", "waiting", "working")

    def __init__(self, parent: Parent, plan: Plan, slices: tuple[Slice, ...]) -> None:
        self.parent, self.plan, self.slices = parent, plan, slices
        self.sent: list[int] = []
        self.children = self.cum = self.working = self.moment = 0
        self.waiting = False  # a moment has come and could not be served yet

    @property
    def moments(self) -> int:
        return len(self.slices) + self.plan.retries

    def due(self, moment: int) -> int:
        """When a moment comes: the slices', then the retries', then the end."""
        last = len(self.slices) - 1
        return self.slices[moment].due if moment <= last else self.slices[last].due + (moment - last) * self.plan.retry_ns

    @property
    def target(self) -> int:
        return self.slices[min(self.moment, len(self.slices)) - 1].target if self.moment else 0

    @property
    def under_way(self) -> int:
        """Quantity out of our hands: open at venues or unknown, or asked of the core and not yet answered."""
        return self.working + sum(self.sent[self.children :])


class Execution:
    """Works every parent of the desk. `step` returns the children now due, and the parents whose schedules ended."""

    def __init__(self, terms: dict[int, Terms]) -> None:
        self._terms = terms
        self._parents: dict[int, _Working] = {}
        self._references: dict[int, tuple[int, int]] = {}

    def step(self, event: Event, now: int) -> tuple[list[SendChild], list[Outcome]]:
        match event:
            case ParentOpened():
                self._open(event, now)
            case Progress():
                self._progress(event)
            case ParentEnded():
                self._parents.pop(event.parent_id, None)
            case Reference():
                self._references[event.instrument] = (event.price, now)
        commands: list[SendChild] = []
        outcomes: list[Outcome] = []
        for work in list(self._parents.values()):
            self._work(work, now, commands, outcomes)
        return commands, outcomes

    def next_event(self, now: int) -> int | None:
        """When a moment next comes by itself; None if none is left. A schedule that is over waits for what is under way, not for time."""
        dues = [work.due(work.moment) for work in self._parents.values() if work.moment < work.moments or not work.under_way]
        return max(now, min(dues)) if dues else None

    def _open(self, event: ParentOpened, now: int) -> None:
        parent = event.parent
        terms = self._terms.get(parent.instrument)
        if terms is None:
            raise ValueError(f"parent {parent.parent_id} is in instrument {parent.instrument}; execution knows {sorted(self._terms)}")
        if parent.parent_id in self._parents:
            return
        if len(self._parents) >= PARENTS_MAX:
            raise OverflowError(f"{PARENTS_MAX} parents are being worked: end some before opening {parent.parent_id}")
        self._parents[parent.parent_id] = _Working(parent, event.plan, schedule(parent, event.plan, terms, now))

    def _progress(self, event: Progress) -> None:
        work = self._parents.get(event.parent_id)
        if work is None or event.children < work.children or event.cum_quantity < work.cum:
            return  # of a parent that ended, or told late
        work.sent += [0] * (event.children - len(work.sent))  # children of an earlier life of the desk: their numbers are taken
        work.children, work.cum, work.working = event.children, event.cum_quantity, event.working

    def _work(self, work: _Working, now: int, commands: list[SendChild], outcomes: list[Outcome]) -> None:
        parent = work.parent
        # done
        if work.cum >= parent.quantity:
            outcomes.append(ParentDone(parent.parent_id))
            del self._parents[parent.parent_id]
            return
        # moments that came
        while work.moment < work.moments and work.due(work.moment) <= now:
            work.moment += 1
            work.waiting = True
        # send
        if work.waiting and (price := self._reference(work, now)) is not None:
            work.waiting = False
            self._send(work, price, commands)
        # the end
        if work.moment == work.moments and work.due(work.moments) <= now and not work.under_way:
            outcomes.append(ParentUnfinished(parent.parent_id, parent.quantity - work.cum))
            del self._parents[parent.parent_id]

    def _send(self, work: _Working, reference: int, commands: list[SendChild]) -> None:
        parent, terms = work.parent, self._terms[work.parent.instrument]
        quantity = (work.target - work.cum - work.under_way) // terms.lot * terms.lot
        if quantity > 0:
            limit = child_limit(parent, work.plan, terms, reference)
            commands.append(SendChild(parent.parent_id, len(work.sent), parent.instrument, parent.side, quantity, limit, work.plan.tif))
            work.sent.append(quantity)

    def _reference(self, work: _Working, now: int) -> int | None:
        price, since = self._references.get(work.parent.instrument, (0, None))
        return price if since is not None and now - since <= work.plan.reference_guard_ns else None
