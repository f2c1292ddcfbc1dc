"""What the market looks like as it was heard: reference prices, the ladder of the central book, last trades. Without IO.

Decides what is kept of the stream of the whole house for people to look at, and how a ladder is laid out. It must not know an account: who traded is left out.
"""
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from cambist.messages import Event, Liquidity, Session, Side

SECOND = 10**9
SERIES, TRADES, LADDER = 600, 40, 10                    # points of the chart, one a second at most; trades; levels a side
LEVEL = Event.__members__.get("LEVEL", -1)


class Trade(NamedTuple):
    """One trade: time in ns, price in increments, quantity in base units, the side of the taker or of who asked."""
    time: int
    price: int
    quantity: int
    side: int | None                                    # None: a trade of an auction


class Level(NamedTuple):
    """One line of the ladder; `total` is the quantity from the best price to here, `share` its tenth of the largest total, 0 to 10."""
    price: int
    quantity: int
    orders: int
    total: int
    share: int


class Tape:
    """One instrument."""

    def __init__(self) -> None:
        self.reference, self.referred = 0, 0            # 0: none; when it was last told
        self.sources = 0
        self.series: deque[tuple[int, int]] = deque(maxlen=SERIES)      # (second, price)
        self.trades: deque[Trade] = deque(maxlen=TRADES)
        self.match = 0
        self.session, self.next, self.ends = Session.CONTINUOUS, Session.CONTINUOUS, 0      # what is traded now; an auction: what follows and when, 0: unsaid
        self.indicative: tuple[int, int, int] | None = None     # price, quantity, surplus of the auction as it stands
        self._sides: tuple[dict[int, tuple[int, int]], dict[int, tuple[int, int]]] = {}, {}     # price -> quantity, orders; bids, asks
        self._read_at = 0                               # log sequence of the view the ladder began with

    def refer(self, price: int, sources: int, time: int) -> None:
        self.reference, self.sources, self.referred = price, sources, time
        second = time // SECOND
        if price and (not self.series or self.series[-1][0] < second):
            self.series.append((second, price))
        elif price and self.series[-1][0] == second:
            self.series[-1] = second, price

    def put_book(self, bids: Iterable[Iterable[int]], asks: Iterable[Iterable[int]], sequence: int) -> None:
        """The whole book as a view told it at a log sequence; levels of earlier events change nothing after."""
        for side, rows in zip(self._sides, (bids, asks), strict=True):
            side.clear()
            side.update({price: (quantity, orders) for price, quantity, orders in rows})
        self._read_at = sequence

    def level(self, side: int, price: int, quantity: int, orders: int, sequence: int) -> None:
        if sequence <= self._read_at:
            return
        if quantity:
            self._sides[side][price] = quantity, orders
        else:
            self._sides[side].pop(price, None)

    def remember(self, rows: Iterable[Mapping[str, int]]) -> None:
        """Fills of before, newest first as history gives them, so that a portal that starts again shows trades at once."""
        for row in reversed(list(rows)):
            self.trade(row, row["time"])

    def trade(self, row: Any, time: int) -> None:
        """A trade is told to both sides: the taker's counts, and of a quote the one told first, which is who asked."""
        match = int(row["other"])
        if match > self.match and row["liquidity"] in (Liquidity.TAKER, Liquidity.TAKER_BY_QUOTE, Liquidity.QUOTE, Liquidity.AUCTION):
            self.match = match
            side = int(row["side"]) if row["liquidity"] != Liquidity.AUCTION else None
            self.trades.appendleft(Trade(time, int(row["price"]), int(row["quantity"]), side))

    def call(self, session: int, following: int, ends: int) -> None:
        """The session it is in now."""
        if session != self.session:
            self.indicative = None
        self.session, self.next, self.ends = Session(session), Session(following), ends

    def ladder(self, depth: int = LADDER) -> tuple[list[Level], list[Level]]:
        """(bids best first, asks best first), at most `depth` each."""
        bids = sorted(self._sides[Side.BUY].items(), reverse=True)[:depth]
        asks = sorted(self._sides[Side.SELL].items())[:depth]
        most = max((sum(quantity for _, (quantity, _) in rows) for rows in (bids, asks)), default=0)
        return _levels(bids, most), _levels(asks, most)

    @property
    def best(self) -> tuple[int, int]:
        """Best bid and ask, 0 where there is none."""
        return max(self._sides[Side.BUY], default=0), min(self._sides[Side.SELL], default=0)


def _levels(rows: list[tuple[int, tuple[int, int]]], most: int) -> list[Level]:
    total, made = 0, []
    for price, (quantity, orders) in rows:
        total += quantity
        made.append(Level(price, quantity, orders, total, -(-10 * total // most) if most else 0))
    return made


class Market:
    """Every instrument by its number, as told by the stream of the whole house."""

    def __init__(self) -> None:
        self._tapes: dict[int, Tape] = {}

    def tape(self, instrument: int) -> Tape:
        return self._tapes.setdefault(instrument, Tape())

    def hear(self, events: np.ndarray, times: np.ndarray) -> set[int]:
        """The instruments of which something changed."""
        kinds = events["kind"]
        wanted = np.flatnonzero((kinds == Event.REFERENCE) | (kinds == Event.FILLED) | (kinds == LEVEL) | (kinds == Event.SESSION_CHANGED)
                                | (kinds == Event.INDICATIVE))
        changed = set()
        for row, time in zip(events[wanted], times[wanted].tolist(), strict=True):
            tape = self.tape(int(row["instrument"]))
            changed.add(int(row["instrument"]))
            if row["kind"] == Event.REFERENCE:
                tape.refer(int(row["price"]), int(row["other"]), time)
            elif row["kind"] == LEVEL:
                tape.level(int(row["side"]), int(row["price"]), int(row["quantity"]), int(row["leaves"]), int(row["sequence"]))
            elif row["kind"] == Event.SESSION_CHANGED:
                tape.call(int(row["id"]), int(row["other"]), int(row["amount"]))
            elif row["kind"] == Event.INDICATIVE:
                tape.indicative = int(row["price"]), int(row["quantity"]), int(row["amount"])
            else:
                tape.trade(row, time)
        return changed

    def put_books(self, books: Mapping[int, tuple[int, Mapping[str, Any]]]) -> None:
        """instrument -> (log sequence, {"bids", "asks"}), as the view `book` tells them."""
        for instrument, (sequence, book) in books.items():
            self.tape(instrument).put_book(book["bids"], book["asks"], sequence)
