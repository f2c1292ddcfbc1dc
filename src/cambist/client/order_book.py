"""A book of one instrument as a client keeps it: from a snapshot and the updates that follow, checked at every step.

Decides when a book is right: each update names the one before it, and a checksum of the best levels must agree. It must not know a socket, a clock, or
how a broken book is fetched again: it says that it is broken, and whoever holds it asks for a new snapshot.
"""
import zlib
from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

CHECKED = 10                                            # levels of a side in the checksum


class BookBroken(Exception):
    """An update was lost, repeated, out of order or damaged; the text says which. Until the next snapshot the book is not to be traded on."""


class Level(NamedTuple):
    price: Decimal
    quantity: Decimal


def checksum(bids: Iterable[tuple[str, str]], asks: Iterable[tuple[str, str]]) -> int:
    """CRC-32 of "price:quantity," for the best ten bids and then the best ten asks, best first, each written exactly as it was sent."""
    text = "".join(f"{price}:{quantity}," for side in (bids, asks) for price, quantity in list(side)[:CHECKED])
    return zlib.crc32(text.encode())


class _Side:
    """Prices ascending, and what stands at each, as numbers and as sent."""
    def __init__(self, best_last: bool):
        self.best_last, self.prices = best_last, list[Decimal]()
        self.sent: dict[Decimal, tuple[str, str]] = {}

    def put(self, price_text: str, quantity_text: str) -> None:
        price = Decimal(price_text)
        if Decimal(quantity_text) == 0:
            if self.sent.pop(price, None) is not None:
                del self.prices[bisect_left(self.prices, price)]
            return
        if price not in self.sent:
            insort(self.prices, price)
        self.sent[price] = (price_text, quantity_text)

    def best(self, count: int) -> list[tuple[str, str]]:
        prices = self.prices[-count:][::-1] if self.best_last else self.prices[:count]
        return [self.sent[price] for price in prices]

    def levels(self, count: int | None) -> list[Level]:
        return [Level(Decimal(price), Decimal(quantity)) for price, quantity in self.best(len(self.prices) if count is None else count)] if count != 0 else []


class OrderBook:
    """`take` every message of the channel `book` in the order it came. `live` is False before the first snapshot, after a break, and while the house
    itself does not know the book."""
    def __init__(self, instrument: str):
        self.instrument, self.live, self.conflated = instrument, False, False
        self.epoch, self.sequence, self.time = "", 0, 0
        self._bids, self._asks = _Side(best_last=True), _Side(best_last=False)

    @property
    def bids(self) -> list[Level]:
        """Best first."""
        return self._bids.levels(None)

    @property
    def asks(self) -> list[Level]:
        """Best first."""
        return self._asks.levels(None)

    @property
    def best_bid(self) -> Level | None:
        return next(iter(self._bids.levels(1)), None)

    @property
    def best_ask(self) -> Level | None:
        return next(iter(self._asks.levels(1)), None)

    def depth(self, count: int) -> tuple[list[Level], list[Level]]:
        """The best `count` bids and asks."""
        return self._bids.levels(count), self._asks.levels(count)

    def checksum(self) -> int:
        return checksum(self._bids.best(CHECKED), self._asks.best(CHECKED))

    def take(self, message: Mapping[str, Any]) -> None:
        """A snapshot replaces everything, an update changes some levels, stale says that the house lost sight of the book. Raises BookBroken."""
        kind = message.get("type")
        if message.get("instrument") != self.instrument:
            raise self._broken(f"a message about {message.get('instrument')!r}")
        if kind == "stale":
            self.live = False
        elif kind == "snapshot":
            self._bids, self._asks = _Side(best_last=True), _Side(best_last=False)
            self.epoch, self.conflated = message["epoch"], bool(message.get("conflated"))
            self._change(message)
        elif kind != "update":
            raise self._broken(f"a message of type {kind!r}")
        elif self.live:                                 # before a snapshot an update says nothing
            self._follows(message)
            self._change(message)

    def _follows(self, message: Mapping[str, Any]) -> None:
        if message["epoch"] != self.epoch:
            raise self._broken(f"an update of epoch {message['epoch']} on a snapshot of {self.epoch}")
        if message["previous_sequence"] != self.sequence or message["sequence"] <= self.sequence:
            raise self._broken(f"update {message['sequence']} follows {message['previous_sequence']}, and here stands {self.sequence}")

    def _change(self, message: Mapping[str, Any]) -> None:
        for side, name in ((self._bids, "bids"), (self._asks, "asks")):
            for price, quantity in message[name]:
                side.put(price, quantity)
        self.sequence, self.time, self.live = message["sequence"], message["time"], True
        if (ours := self.checksum()) != message["checksum"]:
            raise self._broken(f"checksum {message['checksum']} of {self.sequence}; this book has {ours}")

    def _broken(self, why: str) -> BookBroken:
        self.live = False
        return BookBroken(f"{self.instrument}: {why}")
