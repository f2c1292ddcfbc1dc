"""Keeps the books, tapes and floors of a gateway: follows the node's streams, reads each book once, and again whenever the house was out of sight.

Decides when a book is read and when listeners hear of a change. What a message says is `market_data.py`'s; who it goes to is the WebSocket's.
"""
import asyncio
import time
from collections.abc import Callable

import structlog

from cambist.dictionary import Dictionary
from cambist.door.client import Code, DoorClosed, Events, RefusedByDoor, StreamKind
from cambist.door.link_shell import Following, Link
from cambist.gateways.market_data import MarketData

PAST = 5_000                                            # public events looked through for recent trades when a gateway starts
AGAIN_SECONDS = 1.0

log = structlog.get_logger("market")


class Market:
    """`data` is None until the first dictionary. Each of `listeners` is called after anything changed, in the loop, and must not wait."""
    def __init__(self, link: Link):
        self.data: MarketData | None = None
        self.listeners: list[Callable[[], None]] = []
        self.on_terms: list[Callable[[], None]] = []    # called when digits, ticks or lots have changed: the design is to be read again
        self._link, self._times = link, 0
        self._keeping: asyncio.Task[None] | None = None
        self._followings: list[Following] = []
        link.on_change.append(self._changed)

    def use(self, dictionary: Dictionary) -> None:
        """Begins, or begins anew with a changed design: every book gets another epoch."""
        if self.data is not None and self.data.dictionary is dictionary:
            return
        self._stop()
        self._times += 1
        self.data = MarketData(dictionary, f"{time.time_ns() // 1_000_000:x}-{self._times}")
        self._keeping = asyncio.get_running_loop().create_task(self._keep(self.data), name="market")

    async def close(self) -> None:
        keeping = self._keeping
        self._stop()
        self._link.on_change.remove(self._changed)
        if keeping is not None:
            await asyncio.wait([keeping])

    def _stop(self) -> None:
        for following in self._followings:
            following.close()
        self._followings.clear()
        if self._keeping is not None:
            self._keeping.cancel()
            self._keeping = None

    def _tell(self) -> None:
        for listener in self.listeners:
            listener()

    def _changed(self, connected: bool) -> None:
        """The link was lost or stands again."""
        if self.data is not None and not connected:
            self.data.lose()
            self._tell()

    async def _keep(self, data: MarketData) -> None:
        """Follows both streams, then sees to it that every book is live, for good."""
        while True:
            try:
                await self._follow(data)
                while True:
                    await self._read_books(data)
                    await asyncio.sleep(AGAIN_SECONDS / 10)
            except (DoorClosed, RefusedByDoor) as fault:
                log.warning("market data waits for the house", why=str(fault))
            await asyncio.sleep(AGAIN_SECONDS)

    async def _follow(self, data: MarketData) -> None:
        for following in self._followings:
            following.close()
        self._followings = [self._link.follow(StreamKind.ALL, 0, 0, lambda batch: self._levels(data, batch), self._lost)]
        now = self._link.follow(StreamKind.PUBLIC, 0, 0, lambda batch: None, self._lost)
        await now.started()
        end, first = now.cursor, max(1, now.cursor - PAST)
        now.close()
        self._followings.append(self._link.follow(StreamKind.PUBLIC, 0, first, lambda batch: self._trades(data, batch, end), self._lost, patient=True))
        await self._followings[0].started()             # before a book is read, so that nothing after it goes unheard

    async def _read_books(self, data: MarketData) -> None:
        """Those that are not live, or too deep or too shallow; and the sessions, after the house was out of sight."""
        if self._link.connected and not all(floor.live for floor in data.floors.values()):
            _, status = await self._link.read("status")
            _, view = await self._link.read("instruments")
            data.load_floors(view["instruments"], status["cell"]["time"])
            self._tell()
        for number in data.due():
            if self._link.connected:
                position, view = await self._link.read("book", at_least=data.newest, instrument=number)
                if self._link.connected:
                    data.load(number, position, view)
                    self._tell()

    def _levels(self, data: MarketData, batch: Events) -> None:
        data.hear_levels(batch.events, batch.times)
        self._tell()

    def _trades(self, data: MarketData, batch: Events, end: int) -> None:
        past = max(0, min(len(batch.events), end - batch.first))
        data.hear_trades(batch.events[:past], batch.times[:past], tell=False)
        data.hear_trades(batch.events[past:], batch.times[past:])
        data.hear_floors(batch.events, batch.times)
        if data.terms_changed and past < len(batch.events):
            data.terms_changed = False
            for each in self.on_terms:
                each()
        self._tell()

    def _lost(self, code: Code) -> None:
        """A stream cannot be followed: another log stands behind the door than before. Everything is begun anew."""
        log.warning("a public stream ended", code=code.name)
        if self.data is not None:
            dictionary, self.data = self.data.dictionary, None
            self.use(dictionary)
