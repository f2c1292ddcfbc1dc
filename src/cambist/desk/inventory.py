"""The desk's inventory: what it holds of each instrument, what it would like to hold, and how far it is from that.

Decides positions from trades the log has told, and the pull of a position on prices. It must not know prices' other parts,
orders, or accounts: balances are the core's, and this is what the desk remembers of them to price and hedge by.

Each trade comes from the log, which counts it once; the sequence is kept, so that reading on from an old cursor changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from cambist.messages import Side
from cambist.venues.venue import PPM, Terms, signed


class Traded(msgspec.Struct, frozen=True):
    """The desk bought or sold: with a client, or on a venue as a hedge. `side` is the desk's."""

    sequence: int
    instrument: int
    side: Side
    quantity: int
    price: int


class Aim(msgspec.Struct, frozen=True):
    """What the desk wants of an instrument: the position it steers to, and how far from it it may go, either way."""

    instrument: int
    target: int
    limit: int

    def __post_init__(self) -> None:
        if self.limit <= 0:
            raise ValueError(f"the inventory limit of instrument {self.instrument} is {self.limit}; it must be above zero")


class Holding(msgspec.Struct, frozen=True):
    """The desk's position in one instrument, in base units. `paid` is quantity times price of what was bought less what was sold."""

    instrument: int
    position: int
    target: int
    limit: int
    paid: int = 0

    @property
    def excess(self) -> int:
        """What is held above the target; negative below it. This is what a hedge would trade away."""
        return self.position - self.target

    @property
    def deviation_ppm(self) -> int:
        """The excess as a part of the limit, from -1,000,000 to 1,000,000: what skews the price."""
        return max(-PPM, min(PPM, self.excess * PPM // self.limit))

    def room(self, side: Side) -> int:
        """How much more the desk may trade on this side of its own before it passes its limit."""
        return max(0, self.limit - signed(side, self.excess))

    def profit(self, terms: Terms, mark: int) -> int:
        """Quote-asset units made (or lost, negative) since the beginning, with the position valued at `mark`, rounded down."""
        return (self.position * mark - self.paid) * terms.amount_num // terms.amount_den


class Inventory:
    """Every holding of the desk. An instrument without an aim is not the desk's to trade."""

    def __init__(self, aims: Iterable[Aim]) -> None:
        self._holdings: dict[int, Holding] = {}
        self.sequence = 0
        for aim in aims:
            self.steer(aim)

    def steer(self, aim: Aim) -> None:
        """A new aim; the position stays."""
        kept = self._holdings.get(aim.instrument)
        position, paid = (kept.position, kept.paid) if kept else (0, 0)
        self._holdings[aim.instrument] = Holding(aim.instrument, position, aim.target, aim.limit, paid)

    def step(self, event: Traded, now: int) -> Holding | None:
        """Book a trade and return the holding after it; None where the trade is one already booked."""
        if event.sequence <= self.sequence:
            return None
        if event.quantity <= 0:
            raise ValueError(f"trade {event.sequence} has quantity {event.quantity}; it must be above zero")
        before = self.of(event.instrument)
        change = signed(event.side, event.quantity)
        self.sequence = event.sequence
        after = msgspec.structs.replace(before, position=before.position + change, paid=before.paid + change * event.price)
        self._holdings[event.instrument] = after
        return after

    def of(self, instrument: int) -> Holding:
        try:
            return self._holdings[instrument]
        except KeyError:
            known = ", ".join(str(number) for number in sorted(self._holdings)) or "none"
            raise ValueError(f"the desk has no aim in instrument {instrument}; it has aims in {known}") from None

    def all(self) -> list[Holding]:
        """Every holding, by instrument number."""
        return [self._holdings[number] for number in sorted(self._holdings)]
