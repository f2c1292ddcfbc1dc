"""The books, trades and sessions of every instrument as the public is told them: snapshots, updates, and the bytes of each, made once for whoever listens.

Decides what a book message says and when a book may be shown. A book is read once from the house and kept by LEVEL events, each of which is the whole
truth about one level, so an event heard twice does no harm and of those heard while a book is being read only the last of each level is kept. Of a deep
book about the best SHOWN levels of a side are known here, and it is read again when too few or too many are left. It must not know who listens, how fast,
or a clock; the log's sequence stays inside, and each book counts its own updates.
"""
import zlib
from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from cambist.dictionary import Dictionary, Listed
from cambist.messages import CALLS, Event, Liquidity, Reason, Session, Side

CHECKED = 10                                            # levels of a side in the checksum
SHOWN = 500                                             # levels of a side that are read; half as many or twice as many: read again
MAX_RECENT = 1000                                       # trades of an instrument that are kept
MAX_TRADES = 500                                        # in one message
FLOOR_EVENTS = (Event.SESSION_CHANGED, Event.INDICATIVE, Event.UNCROSSED)
FLOOR_FIELDS = ("kind", "id", "other", "price", "quantity", "amount", "reason")

Pair = tuple[str, str]                                  # price and quantity as sent


def checksum(bids: Sequence[Pair], asks: Sequence[Pair]) -> int:
    """CRC-32 of "price:quantity," for the best ten bids and then the best ten asks, best first."""
    return zlib.crc32("".join(f"{price}:{quantity}," for side in (bids[:CHECKED], asks[:CHECKED]) for price, quantity in side).encode())


class Update(NamedTuple):
    """One message about a book, and what it follows."""
    epoch: str
    previous: int
    sequence: int
    data: bytes


class _Side:
    """Levels of one side by price, ascending. `edge`: the worst price that was read, when there are more levels behind it."""
    def __init__(self, side: Side, levels: Sequence[Sequence[int]] = ()):
        self.best_last, self.prices, self.edge = side is Side.BUY, list[int](), levels[SHOWN - 1][0] if len(levels) > SHOWN else None
        self.quantity: dict[int, tuple[int, int]] = {}  # price -> quantity, orders
        self.words: dict[int, Pair] = {}                # price -> what is sent of it: a snapshot spells only what changed since the last
        for price, quantity, orders in levels:
            self.put(price, quantity, orders)

    @property
    def uneven(self) -> bool:
        return len(self.prices) > 2 * SHOWN or (self.edge is not None and 2 * len(self.prices) < SHOWN)

    def put(self, price: int, quantity: int, orders: int) -> bool:
        """Whether that changed anything that is shown."""
        if self.edge is not None and (price < self.edge if self.best_last else price > self.edge):
            return False
        self.words.pop(price, None)
        if quantity == 0:
            if self.quantity.pop(price, None) is None:
                return False
            del self.prices[bisect_left(self.prices, price)]
            return True
        before = self.quantity.get(price)
        if before is None:
            insort(self.prices, price)
        self.quantity[price] = (quantity, orders)
        return before is None or before[0] != quantity

    def best(self, count: int) -> list[int]:
        return self.prices[:-count - 1:-1] if self.best_last else self.prices[:count]


class Book:
    """One instrument's levels, those changed since the last update, and how many updates there were. Not live: read again before it is shown."""
    def __init__(self, listed: Listed, dictionary: Dictionary):
        self.listed, self.live, self.epoch, self.sequence, self.time = listed, False, "", 0, 0
        self._dictionary = dictionary
        self._sides = {Side.BUY: _Side(Side.BUY), Side.SELL: _Side(Side.SELL)}
        self._changed: dict[tuple[Side, int], None] = {}
        self._heard: dict[tuple[Side, int], tuple[int, int, int]] = {}      # while it is not live: level -> sequence, quantity, orders
        self._floor, self._version, self._snapshots = 0, 0, dict[bool, tuple[int, bytes]]()

    def lose(self) -> None:
        """What is shown may no longer be true: nothing more of this epoch is told."""
        self.live = False
        self._changed.clear()
        self._heard.clear()

    def load(self, epoch: str, position: int, view: Mapping[str, Sequence[Sequence[int]]]) -> None:
        """The book as it stood at a log sequence; what was heard of later ones comes on top."""
        self.epoch, self.sequence, self.live, self._floor = epoch, 1, True, position
        for side, name in ((Side.BUY, "bids"), (Side.SELL, "asks")):
            self._sides[side] = _Side(side, view[name])
        for (side, price), (sequence, quantity, orders) in self._heard.items():
            if sequence > position:
                self._sides[side].put(price, quantity, orders)
        self._heard.clear()
        self._changed.clear()
        self._version += 1

    def hear(self, sequence: int, time: int, side: Side, price: int, quantity: int, orders: int) -> None:
        """One LEVEL event. Quantities are all that is shown, so a change of the number of orders alone makes no update."""
        self.time = max(self.time, time)
        if not self.live:
            self._heard[side, price] = (sequence, quantity, orders)
        elif sequence > self._floor and self._sides[side].put(price, quantity, orders):
            self._changed[side, price] = None
            self._version += 1

    @property
    def uneven(self) -> bool:
        """It is to be read again."""
        return any(side.uneven for side in self._sides.values())

    @property
    def changed(self) -> bool:
        return bool(self._changed)

    def update(self) -> Update | None:
        """Everything that changed since the last one, each level as it is now; None when nothing did."""
        if not self._changed:
            return None
        told: dict[str, Any] = self._head("update")
        previous, self.sequence = self.sequence, self.sequence + 1
        told |= {"sequence": self.sequence, "previous_sequence": previous}
        for side, name in ((Side.BUY, "bids"), (Side.SELL, "asks")):
            told[name] = [self._pair(side, price) for changed, price in self._changed if changed is side]
        self._changed.clear()
        self._version += 1
        return Update(self.epoch, previous, self.sequence, msgspec.json.encode(told | self._tail()))

    def snapshot(self, conflated: bool = False) -> bytes:
        """The whole book; the same bytes for everyone who asks before it changes."""
        made = self._snapshots.get(conflated)
        if made is None or made[0] != self._version:
            bids, asks = self.levels()
            told = self._head("snapshot") | {"sequence": self.sequence, "bids": bids, "asks": asks} | ({"conflated": True} if conflated else {})
            made = self._snapshots[conflated] = (self._version, msgspec.json.encode(told | self._tail()))
        return made[1]

    def stale(self) -> bytes:
        """What those who follow a book hear when the house lost sight of it."""
        return msgspec.json.encode(self._head("stale"))

    def levels(self, depth: int | None = None) -> tuple[list[Pair], list[Pair]]:
        """Price and quantity, best first, as sent."""
        bids, asks = ([self._pair(side, price) for price in self._sides[side].best(len(self._sides[side].prices) if depth is None else depth)]
                      for side in (Side.BUY, Side.SELL))
        return bids, asks

    def checksum(self) -> int:
        return checksum(*self.levels(CHECKED))

    def _pair(self, side: Side, price: int) -> Pair:
        levels = self._sides[side]
        pair = levels.words.get(price)
        if pair is None:
            quantity = levels.quantity.get(price, (0, 0))[0]
            pair = self._dictionary.price_out(price, self.listed), self._dictionary.quantity_out(quantity, self.listed)
            if quantity:
                levels.words[price] = pair
        return pair

    def _head(self, kind: str) -> dict[str, Any]:
        return {"op": "book", "type": kind, "instrument": self.listed.symbol, "epoch": self.epoch}

    def _tail(self) -> dict[str, Any]:
        return {"checksum": self.checksum(), "time": self.time}


class Tape:
    """The trades of one instrument: recent ones, and those not yet told."""
    def __init__(self, listed: Listed, dictionary: Dictionary):
        self.listed, self._dictionary = listed, dictionary
        self.recent: list[dict[str, Any]] = []          # oldest first
        self._fresh: list[dict[str, Any]] = []

    def hear(self, time: int, match: int, side: int | None, price: int, quantity: int, tell: bool) -> None:
        """`side` None: a trade of an auction, which has no taker."""
        trade = {"match": self._dictionary.opaque.text("match", match), "time": time, "side": Side(side).name.lower() if side is not None else None,
                 "price": self._dictionary.price_out(price, self.listed), "quantity": self._dictionary.quantity_out(quantity, self.listed)}
        self.recent.append(trade)
        del self.recent[:-MAX_RECENT]
        if tell:
            self._fresh.append(trade)

    @property
    def changed(self) -> bool:
        return bool(self._fresh)

    def message(self) -> bytes | None:
        """The next trades to be told, oldest first; None when there is none."""
        if not self._fresh:
            return None
        told, self._fresh = self._fresh[:MAX_TRADES], self._fresh[MAX_TRADES:]
        return msgspec.json.encode({"op": "trades", "instrument": self.listed.symbol, "trades": told})


class Floor:
    """What is traded now in one instrument, and how: its session, and while an auction is called the price it would end at. Told as a whole, so that the newest
    message is all there is to know. Not live: not read since the house was out of sight."""
    def __init__(self, listed: Listed, dictionary: Dictionary):
        self.listed, self.live, self.changed, self.time = listed, False, False, 0
        self.session, self.next, self.ends, self.reason = Session.CONTINUOUS, None, 0, 0
        self.indicative: tuple[int, int, int] | None = None     # price, quantity, surplus
        self.uncrossed: tuple[int, int, int] | None = None      # of the last auction heard
        self._dictionary, self._heard = dictionary, 0           # log time of what was heard last

    def load(self, row: Mapping[str, int], time: int) -> None:
        """As the table of instruments has it at a log time, unless something later was heard."""
        self.live = True
        if time >= self._heard:
            session = Session(row.get("session", Session.CONTINUOUS))
            self._set(session, row.get("next_session", 0), row.get("auction_ends", 0), 0, time)
        self.changed = True

    def hear(self, event: Mapping[str, int], time: int) -> None:
        """SESSION_CHANGED, INDICATIVE or UNCROSSED."""
        told = event["price"], event["quantity"], event["amount"]
        match event["kind"]:
            case Event.SESSION_CHANGED: self._set(Session(event["id"]), event["other"], event["amount"], event["reason"], time)
            case Event.INDICATIVE: self.indicative = told
            case Event.UNCROSSED: self.uncrossed = told
        self.time, self._heard, self.changed = max(self.time, time), max(self._heard, time), True

    def _set(self, session: Session, next_session: int, ends: int, reason: int, time: int) -> None:
        if session not in CALLS:
            self.indicative = None
        elif session is not self.session:
            self.indicative = self.uncrossed = None
        self.session, self.ends, self.reason, self.time = session, ends, reason, max(self.time, time)
        self.next = Session(next_session) if session in (Session.AUCTION, Session.VOLATILITY) else None

    def lose(self) -> None:
        self.live = False

    def told(self) -> dict[str, Any]:
        """Its words, as they are also told by REST."""
        return {"session": self.session.name.lower(), "next_session": self.next.name.lower() if self.next is not None else None,
                "auction_ends": self.ends or None, "indicative": self._auction(self.indicative)}

    def _auction(self, of: tuple[int, int, int] | None) -> dict[str, Any] | None:
        if of is None:
            return None
        price, quantity, surplus = of
        words, listed = self._dictionary, self.listed
        return {"price": words.price_out(price, listed) if price else None, "quantity": words.quantity_out(quantity, listed),
                "surplus": words.quantity_out(surplus, listed)}

    def message(self) -> bytes:
        """All of it, for who listens."""
        return msgspec.json.encode({"op": "session", "instrument": self.listed.symbol, **self.told(), "uncrossed": self._auction(self.uncrossed),
                                    "reason": Reason(self.reason).name if self.reason else None, "time": self.time})


class MarketData:
    """Books, tapes and floors of every instrument of one dictionary. `started` makes the epochs of this gateway its own."""
    def __init__(self, dictionary: Dictionary, started: str):
        self.dictionary, self.newest = dictionary, 0    # the log sequence heard last
        self.books = {one.number: Book(one, dictionary) for one in dictionary.instruments}
        self.tapes = {one.number: Tape(one, dictionary) for one in dictionary.instruments}
        self.floors = {one.number: Floor(one, dictionary) for one in dictionary.instruments}
        self.terms_changed = False                      # digits, ticks or lots are not those of the dictionary any more
        self._started, self._times = started, 0

    @property
    def epoch(self) -> str:
        return f"{self._started}-{self._times}"

    def lose(self) -> list[int]:
        """The house is out of sight: every book is to be read again, under a new epoch. Returns those that were live."""
        self._times += 1
        lost = [number for number, book in self.books.items() if book.live]
        for book in self.books.values():
            book.lose()
        for floor in self.floors.values():
            floor.lose()
        return lost

    def due(self) -> list[int]:
        """Books that are to be read; uneven ones are live no more."""
        for book in self.books.values():
            if book.live and book.uneven:
                self._times += 1
                book.lose()
        return [number for number, book in self.books.items() if not book.live]

    def load(self, number: int, position: int, view: Mapping[str, Sequence[Sequence[int]]]) -> None:
        self.books[number].load(self.epoch, position, view)

    def hear_levels(self, events: np.ndarray, times: np.ndarray) -> None:
        """Events of the stream of everything, in order, with the log time of each."""
        if not len(events):
            return
        self.newest = max(self.newest, int(events["sequence"][-1]))
        mine = events["kind"] == Event.LEVEL
        if mine.any():
            rows = events[mine]
            columns = [rows[name].tolist() for name in ("instrument", "sequence", "side", "price", "quantity", "leaves")]
            for number, sequence, side, price, quantity, orders, time in zip(*columns, times[mine].tolist(), strict=True):
                if (book := self.books.get(number)) is not None:
                    book.hear(sequence, time, Side(side), price, quantity, orders)

    def hear_trades(self, events: np.ndarray, times: np.ndarray, tell: bool = True) -> None:
        """Events of the public stream, which holds each trade once; `tell` False: they are of the past."""
        mine = events["kind"] == Event.FILLED
        if mine.any():
            rows = events[mine]
            columns = [rows[name].tolist() for name in ("instrument", "other", "side", "price", "quantity", "liquidity")]
            for number, match, side, price, quantity, how, time in zip(*columns, times[mine].tolist(), strict=True):
                if (tape := self.tapes.get(number)) is not None:
                    tape.hear(time, match, side if how != Liquidity.AUCTION else None, price, quantity, tell)

    def load_floors(self, rows: Iterable[Mapping[str, int]], time: int) -> None:
        """The table of instruments at a log time."""
        for row in rows:
            if (floor := self.floors.get(row["instrument"])) is not None:
                floor.load(row, time)

    def hear_floors(self, events: np.ndarray, times: np.ndarray) -> None:
        """Events of the public stream: sessions and auctions, and that a unit or a tick has changed."""
        kind = events["kind"]
        if (kind == Event.TERMS_CHANGED).any() or (kind == Event.DIGITS_CHANGED).any():
            self.terms_changed = True
        for row, time in zip(events[np.isin(kind, FLOOR_EVENTS)], times[np.isin(kind, FLOOR_EVENTS)].tolist(), strict=True):
            if (floor := self.floors.get(int(row["instrument"]))) is not None:
                floor.hear({name: int(row[name]) for name in FLOOR_FIELDS}, time)

    def changed(self) -> list[int]:
        """Instruments with something to be told."""
        return [number for number, book in self.books.items()
                if book.changed or self.tapes[number].changed or (self.floors[number].changed and self.floors[number].live)]
