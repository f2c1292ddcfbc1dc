"""A house in a folder for the console's tests: a real node behind its door in this loop, and hands that act for clients, dealers, desk, venues and clerks."""
import asyncio
import contextlib
import itertools
import os
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from cambist.credentials_shell import Secrets
from cambist.design import read_design, units_of
from cambist.desk.inventory import Holding
from cambist.desk.pricing import Enquiry, Market, Volatility, explanation, price
from cambist.desk.quoting import desk_sources, desk_terms, pricing_settings
from cambist.door.client import attach
from cambist.door.link_shell import Link
from cambist.log.disk_shell import RealDisk
from cambist.log.times import Times
from cambist.messages import EVENT, NAMES_ACCOUNT, NAMES_INSTRUMENT, Event, Kind, Side, command
from cambist.node import close_node, open_node
from cambist.node_shell import serve
from cambist.part_shell import Part
from cambist.run import genesis, makers
from cambist.venues.venue import BookUpdate
from cambist.warm import warm


ROOT = Path(__file__).resolve().parents[3]
DESIGN = ROOT / "desks" / "demo.toml"
SECOND, MILLI = 10**9, 10**6


class LittleHouse:
    """`ask` sends a command as a key and returns its events as dicts."""

    def __init__(self, folder: Path, text: str | None = None) -> None:
        self.folder, self.text = folder, text or DESIGN.read_text()
        self.design = read_design(self.text, "the test's design")
        self.socket = str(folder / "door.sock")
        self.link = Link(self.socket)
        self._ids = itertools.count(1)
        self._life = time.time_ns()
        commands, self._side = genesis(self.design, self.text)
        self._genesis, self.names = commands, msgspec.json.decode(self._attachment(commands), type=dict[str, Any])["names"]
        self.secrets = Secrets.create(folder, self.design)
        self.passwords = {line.split()[1]: line.split()[2] for line in self.secrets.first_logins().splitlines() if line.startswith("password")}

    def _attachment(self, commands: np.ndarray) -> bytes:
        length = int.from_bytes(self._side[:4], "little")
        return self._side[4:4 + length]

    # -------------------------------------------------------------------------------------------------------------------- serving
    @contextlib.asynccontextmanager
    async def node(self) -> AsyncIterator[None]:
        """The node, until the block ends; it can be started again after."""
        if os.environ.get("NUMBA_DISABLE_JIT") != "1":
            warm(None)                                  # compiling takes longer than a question waits
        node = open_node(RealDisk(), str(self.folder), number=self.design.cell.number, epoch=1, segment_bytes=8 << 20, **makers(self.design))
        times, stop = Times(RealDisk(), str(self.folder)), asyncio.Event()
        serving = asyncio.create_task(serve(node, self.socket, genesis=self._genesis, genesis_attachments=self._side, times=times, stop=stop))
        try:
            await self.link.start(20)
            while not (await self.link.read("status"))[1]["cell"]["started"]:
                await asyncio.sleep(0.02)
            yield
        finally:
            stop.set()
            await serving
            times.close()
            close_node(node)

    @contextlib.asynccontextmanager
    async def console(self) -> AsyncIterator[str]:
        """The console on a port of its own; its address."""
        from cambist.ops.console.console_shell import serve as serve_console
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        stop, opened = asyncio.Event(), asyncio.get_running_loop().create_future()
        self.said: list[str] = []
        part = Part(self.folder, self.socket, {"console": ("127.0.0.1", port)}, None, stop, opened.set_result, self.said.append, DESIGN)
        serving = asyncio.create_task(serve_console(part))
        try:
            await asyncio.wait({serving, opened}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
            yield opened.result()
        finally:
            stop.set()
            await asyncio.wait_for(serving, 10)

    # --------------------------------------------------------------------------------------------------------------------- acting
    async def ask(self, kind: Kind, key: str, account: str = "", instrument: str = "", attachment: bytes = b"", **fields: int) -> list[dict[str, int]]:
        now = time.time_ns()
        named = {"account": self.names["accounts"][account]} if account and kind in NAMES_ACCOUNT else {}
        named |= {"instrument": self.names["instruments"][instrument]} if instrument and kind in NAMES_INSTRUMENT else {}
        fact = kind in (Kind.DEPOSIT, Kind.CHILD_FILLED)
        plain = kind in (Kind.SOURCE_PRICE, Kind.CHILD_ACKED, Kind.CHILD_CLOSED, Kind.CHILD_UNKNOWN)
        ids = {} if plain else {"id_hi": self._life, "id_lo": next(self._ids)}
        expires = {} if fact or plain else {"expires": now + 20 * SECOND}
        record = command(kind, actor=self.names["actors"][key], received=now, **ids, **expires, **named, **fields)
        side = b""
        if attachment:
            side, numbers = attach([attachment])
            record["attachment"] = numbers[0]
        if plain:
            await self.link.submit(record, side)
            return []
        outcome = await self.link.ask(record, 10.0, side)
        assert outcome.events is not None, f"{kind.name} was never answered"
        return [dict(zip(EVENT.names or (), row, strict=True)) for row in outcome.events.tolist()]

    def units(self, instrument: str, text: str) -> int:
        return units_of(self.design, self.design.instruments[instrument].base, text)

    async def prices(self, prices: dict[str, int]) -> None:
        """Every source of these instruments says this price (increments)."""
        keys = {"kestrel": "feed-kestrel", "osprey": "feed-osprey", "recorded": "feed-recorded"}
        for instrument, at in prices.items():
            for source in self.design.instruments[instrument].sources:
                await self.ask(Kind.SOURCE_PRICE, keys[source], instrument=instrument, source=self.names["sources"][source], price=at,
                               source_time=time.time_ns())

    async def fund(self) -> None:
        """Everyone has something of every asset; the desk has it at the venues."""
        accounts = self.names["accounts"]
        for asset, wallet in (("BTC", "btc-wallet"), ("USD", "usd-bank"), ("XRP", "xrp-wallet")):
            whole = 10 ** self.design.assets[asset].digits * {"BTC": 100, "USD": 20_000_000, "XRP": 5_000_000}[asset]
            for owner, custody in (("desk", "at-kestrel"), ("desk", "at-osprey"), ("acme", wallet), ("borea", wallet), ("b2", wallet), ("c3", wallet)):
                await self.ask(Kind.DEPOSIT, "custodian", owner, custody=accounts[custody], asset=self.names["assets"][asset], amount=whole)

    def priced(self, instrument: str, mid: int, side: Side, quantity: int) -> tuple[int, int, bytes]:
        """The desk's own engine on made books: bid, ask and the explanation."""
        number, now = self.names["instruments"][instrument], time.time_ns()
        terms = desk_terms(self.design, self.names)[number]
        sources = desk_sources(self.design, self.names)[number]
        market = Market(number, tuple(sources))
        for i, source in enumerate(sources):
            near, tick, deep = mid // terms.book_tick * terms.book_tick, terms.book_tick, max(quantity // 4 // terms.lot * terms.lot, terms.lot)
            bids = tuple((near - tick * (1 + k), deep) for k in range(8))
            asks = tuple((near + tick * (1 + k), deep) for k in range(8))
            market.hear(source.name, BookUpdate(number, now - (40 + 30 * i) * MILLI, bids, asks), now)
        settings = pricing_settings(self.design, 2)
        found = price(market, terms, Volatility(), Holding(number, 0, 0, 200 * 10**8), Enquiry(side, quantity, 10 * SECOND), settings, now)
        return found.bid, found.ask, explanation(found)

    async def request(self, client: str, instrument: str, side: Side, size: str, ttl_s: int = 25) -> int:
        key = {"acme": "acme-bot", "borea": "borea-bot"}[client]
        events = await self.ask(Kind.REQUEST_QUOTE, key, client, instrument, side=side, quantity=self.units(instrument, size), ttl=ttl_s * SECOND)
        assert events[0]["kind"] == Event.REQUEST_OPENED, events
        return events[0]["id"]

    async def quote(self, request: int, instrument: str, mid: int, side: Side, size: str, ttl_s: int = 20) -> list[dict[str, int]]:
        """The engine's quote, with its parts."""
        bid, ask, parts = self.priced(instrument, mid, side, self.units(instrument, size))
        return await self.ask(Kind.QUOTE, "desk-engine", "desk", attachment=parts, request=request, bid=bid, ask=ask, ttl=ttl_s * SECOND)

    async def trade(self, client: str, instrument: str, side: Side, size: str, mid: int, hedged: bool = True) -> int:
        """A whole trade with the desk, hedged at kestrel; the request."""
        await self.prices({instrument: mid})
        request = await self.request(client, instrument, side, size)
        quoted = (await self.quote(request, instrument, mid, side, size))[0]
        assert quoted["kind"] == Event.QUOTED, quoted
        at = quoted["amount"] if side == Side.BUY else quoted["price"]
        key = {"acme": "acme-bot", "borea": "borea-bot"}[client]
        filled = await self.ask(Kind.ACCEPT_QUOTE, key, client, side=side, request=request, quote=quoted["id"], limit_price=at)
        assert filled[0]["kind"] == Event.FILLED, filled
        if hedged:
            await self.hedge(instrument, side, size, mid)
        return request

    async def hedge(self, instrument: str, side: Side, size: str, mid: int, unknown: bool = False) -> int:
        quantity, venue = self.units(instrument, size), self.names["venues"]["kestrel"]
        opened = (await self.ask(Kind.NEW_CHILD, "desk-engine", "desk", instrument, side=side, time_in_force=1, venue=venue, price=mid // 10 * 10,
                                 quantity=quantity, parent=self._life))[0]
        assert opened["kind"] == Event.CHILD_OPENED, opened
        if unknown:
            await self.ask(Kind.CHILD_UNKNOWN, "feed-kestrel", child=opened["id"], venue=venue)
            return opened["id"]
        await self.ask(Kind.CHILD_ACKED, "feed-kestrel", child=opened["id"], venue=venue)
        half = quantity // 2
        for part in (half, quantity - half):
            await self.ask(Kind.CHILD_FILLED, "feed-kestrel", instrument=instrument, side=side, child=opened["id"], venue=venue, price=mid // 10 * 10,
                           quantity=part, fee=1000)
        return opened["id"]

    async def settle(self) -> None:
        """The cut-off, and every obligation until none is left."""
        await self.ask(Kind.NET, "settlement")
        for _ in range(200):
            await self.ask(Kind.CANCEL_ALL, "mara", "b2")       # any command works the cut-off on
            due = (await self.link.read("obligations"))[1]["obligations"]
            if not due and not (await self.link.read("status"))[1]["cell"]["cut_off"]:
                return
            for row in sorted(due, key=lambda row: row["amount"]):
                await self.ask(Kind.SETTLE, "settlement", obligation=row["id"])
