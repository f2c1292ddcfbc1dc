"""A demo house in the loop of a test, behind what looks like a Link: the real core on a disk in memory, wall-clock time, and a hand on what happens.

The portal reaches it as it reaches a node; the test posts prices, quotes as the dealers, funds accounts, and takes the house away and gives it back.
"""
import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from cambist.door.client import Asked, Code, DoorClosed, Events, Outcome, StreamKind
from cambist.feeds.streams import ALL
from cambist.messages import Kind, Side, command

from tests.log.crash_disk import CrashDisk
from tests.process.house_on_disk import ACCOUNT, ASSET, DESIGN, INSTRUMENT, KEY, NAMES, TEXT, begun

SECOND = 10**9
BTC_USD, XRP_USD = INSTRUMENT["BTC/USD"], INSTRUMENT["XRP/USD"]


class Following:
    def __init__(self, house: "HouseInHand", cursor: int, heard: Callable[[Events], None]) -> None:
        self.house, self.cursor, self.heard = house, cursor, heard

    def hear(self) -> None:
        while self.house.connected and self.cursor <= self.house.node.streams.last_number(ALL):
            batch = self.house.node.streams.read(ALL, self.cursor)
            self.cursor += len(batch.events)
            self.heard(Events(1, StreamKind.ALL, 0, batch.first, batch.position, batch.events.copy(), batch.times.copy()))

    def close(self) -> None:
        if self in self.house.followings:
            self.house.followings.remove(self)


class HouseInHand:
    """`link` for the portal is this itself. `asked` is every record that went in from there; `deaf` lets records in and answers nothing."""

    def __init__(self) -> None:
        self.node = begun(CrashDisk(), time.time_ns())
        self.connected, self.deaf, self.lost = True, False, False
        self.on_change: list[Callable[[bool], None]] = []
        self.followings: list[Following] = []
        self.asked: list[np.ndarray] = []
        self._ids, self._posted = 0, 0
        self._prices: dict[int, int] = {}
        for instrument, price in ((BTC_USD, 631_205), (XRP_USD, 52_340), (INSTRUMENT["BTC/USD-PF"], 631_205)):
            self.price(instrument, price)

    # ------------------------------------------------------------------------------------------------------------------ as a link
    async def start(self, timeout: float | None = None) -> None:
        while not self.connected:
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        self.followings.clear()

    async def read(self, view: str, at_least: int = 0, **argument: int) -> tuple[int, dict[str, Any]]:
        await asyncio.sleep(0)
        if not self.connected:
            raise DoorClosed("the test took the house away")
        if view == "design":
            return self.node.cell.sequence, {"text": TEXT, "names": NAMES, "sequence": 1}
        if view == "book":
            return self.node.cell.sequence, self._book(argument["instrument"])
        position, body = self.node.view(view, msgspec.json.encode(argument))
        return position, msgspec.json.decode(body)

    async def ask(self, record: np.ndarray, timeout: float = 5.0, attachments: bytes = b"") -> Outcome:
        if not self.connected:
            return Outcome(None, 0)
        self.asked.append(record.copy())
        self._keep_fresh()
        if self.lost:
            await asyncio.sleep(0.01)
            return Outcome(None, 1)
        asked = Asked(record)
        first = self.node.streams.last_number(ALL) + 1
        events = self._put(record)
        await asyncio.sleep(0)
        batch = Events(1, StreamKind.ALL, 0, first, self.node.cell.sequence, events, np.full(len(events), time.time_ns()))
        if self.deaf or not asked.hear(batch):
            return Outcome(None, 1)
        if asked.duplicate:
            _, told = await self.read("answer", **asked.question())
            return Outcome(asked.found(told), 1, time.time_ns())
        return Outcome(asked.answer, 1, time.time_ns())

    def follow(self, stream: StreamKind, account: int, cursor: int, heard: Callable[[Events], None], lost: Callable[[Code], None] | None = None,
               credit: int = 0, *, patient: bool = False) -> Following:
        following = Following(self, cursor or self.node.streams.last_number(ALL) + 1, heard)
        self.followings.append(following)
        following.hear()
        return following

    def take_away(self) -> None:
        self.connected = False
        for changed in self.on_change:
            changed(False)

    def give_back(self) -> None:
        self.connected = True
        for changed in self.on_change:
            changed(True)
        self._tell()

    def _book(self, instrument: int) -> dict[str, Any]:
        _, columns, rows = self.node.cell.tables()["orders"]
        told: dict[str, dict[int, list[int]]] = {"bids": {}, "asks": {}}
        for row in (dict(zip(columns, each, strict=True)) for each in rows.tolist()):
            if row["instrument"] == instrument:
                level = told["asks" if row["side"] else "bids"].setdefault(row["price"], [0, 0])
                level[0] += row["leaves"]
                level[1] += 1
        return {side: [[price, *level] for price, level in sorted(levels.items(), reverse=side == "bids")] for side, levels in told.items()}

    # ------------------------------------------------------------------------------------------------------------- what the test does
    def _put(self, record: np.ndarray) -> np.ndarray:
        assert not self.node.submit(record, b"")
        told = self.node.step(time.time_ns())
        self._tell()
        return np.concatenate([each.events for each in told]) if told else np.zeros(0, record.dtype)

    def _tell(self) -> None:
        for following in list(self.followings):
            following.hear()

    def do(self, kind: Kind, key: str, account: str = "", **fields: int) -> np.ndarray:
        """A request under a fresh id; its events."""
        self._keep_fresh()
        self._ids += 1
        return self._put(command(kind, actor=KEY[key], account=ACCOUNT[account] if account else 0, id_hi=99, id_lo=self._ids,
                                 expires=time.time_ns() + 30 * SECOND, **fields))

    def price(self, instrument: int, price: int) -> None:
        """Every source of the instrument posts this price."""
        self._prices[instrument], self._posted = price, time.time_ns()
        for source in NAMES["sources"]:
            if instrument == XRP_USD or source in DESIGN.instruments["BTC/USD"].sources:
                self._put(command(Kind.SOURCE_PRICE, actor=KEY[f"feed-{source}"], instrument=instrument, source=NAMES["sources"][source], price=price,
                                  source_time=time.time_ns()))

    def _keep_fresh(self) -> None:
        """The same prices again when they are about to be too old to trade on, as on a slow machine they soon are."""
        if time.time_ns() - self._posted > SECOND:
            for instrument, price in self._prices.items():
                self.price(instrument, price)

    def fund(self, account: str, asset: str, amount: int) -> None:
        self._ids += 1
        custody = {"BTC": "btc-wallet", "USD": "usd-bank", "XRP": "xrp-wallet"}[asset]
        self._put(command(Kind.DEPOSIT, actor=KEY["custodian"], account=ACCOUNT[account], id_hi=98, id_lo=self._ids, custody=ACCOUNT[custody],
                          asset=ASSET[asset], amount=amount))

    def quote(self, dealer: str, request: int, bid: int = 0, ask: int = 0, ttl: int = 20 * SECOND) -> np.ndarray:
        key = "desk-engine" if dealer == "desk" else dealer
        return self.do(Kind.QUOTE, key, dealer, request=request, bid=bid, ask=ask, ttl=ttl)

    def newest_request(self) -> int:
        _, columns, rows = self.node.cell.tables()["requests"]
        return max(int(row[columns.index("id")]) for row in rows)

    def order(self, key: str, account: str, side: Side, price: int, quantity: int, instrument: int = BTC_USD, **more: int) -> np.ndarray:
        return self.do(Kind.NEW_ORDER, key, account, instrument=instrument, side=side, price=price, quantity=quantity, **more)

    def tick(self) -> None:
        """Log time moves to now: what has lapsed is told."""
        self._put(command(Kind.TICK, actor=KEY["clock"]))
