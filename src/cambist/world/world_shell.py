"""The outside as a process: the venues' WebSocket API over one market, and dealers and clients at the public API of the house.

Decides which programs there are, when each is asked what it wants, and how its calls are made. It must not decide what they want (`dealers.py`, `clients.py`)
or what a venue answers. Everything of the house it meets as an outsider would: the design says only which venues and programs to play.
"""
import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from cambist.client import ApiError, AsyncClient, OutcomeUnknown
from cambist.credentials import CredentialError
from cambist.credentials_shell import Secrets
from cambist.messages import Kind
from cambist.part_shell import Part
from cambist.running_design_shell import DesignWatch, RunningDesign, await_design, service_key
from cambist.simulation.house import mid_of
from cambist.venues.noise import Noise
from cambist.venues.recorded import BarPath
from cambist.venues.recorded_shell import detect_format, open_recording
from cambist.venues.remote_venue import declared
from cambist.venues.simulated import SimulatedSettings, SimulatedVenue
from cambist.venues.simulated_exchange import SimulatedExchange, venue_symbols
from cambist.venues.simulated_server_shell import SimulatedServer
from cambist.venues.venue import BookUpdate
from cambist.world.clients import ClientSettings, DemoClient
from cambist.world.dealers import DealerSettings, OutsideMaker
from cambist.world.funding import SIMULATED
from cambist.world.market_feed import made, middle, played
from cambist.world.tradables import Ask, Mids, heard_from, tradables

SEED = 1
LOOK_SECONDS = 0.5
AGAIN_SECONDS = 2.0                             # before a program that could not log on tries again
CALLS_MOST = 16                                 # of one program under way
MIDS_SECONDS = 1.0                              # how often the market's place is kept, so that it goes on there after a fall
DEALER_SPREADS_PPM = (400, 550, 700)            # of the first outside dealer, the second and so on
VENUE_NOISE_PPM = (20, 60)                      # how far each venue's book stands from the market


class Program(Protocol):
    """What plays a dealer or a client."""
    def begin(self, account: Mapping[str, Any], now: int) -> list[Ask]: ...
    def step(self, event: Mapping[str, Any] | None, now: int) -> list[Ask]: ...
    def answered(self, ask: Ask, told: Mapping[str, Any] | None, code: str, now: int) -> list[Ask]: ...
    def next_due(self, now: int) -> int: ...


# ----------------------------------------------------------------------------------------------------------------- the part
async def serve(part: Part) -> None:
    """Until `part.stop`. Raises DesignChanged, RecordedError, and OSError when the address is taken."""
    part.say("waiting for the node")
    running = await await_design(part)
    if running is None:
        return
    world = World(part, running)
    await world.open()
    part.ready(part.url("venues", "ws", "/venues/..."))
    try:
        await world.look_after()
    finally:
        await world.close()


class World:
    """The market, the venues and the programs of one house."""

    def __init__(self, part: Part, running: RunningDesign) -> None:
        self.part, self.running, self.folder = part, running, part.directory / "world"
        design = running.design
        self._tradables, self._mids = tradables(design, running.terms), Mids()
        self._venues = {name: row for name, row in design.venues.items() if row.kind == SIMULATED and row.enabled}
        self._listed = {name: running.names["instruments"][name] for row in self._venues.values() for name in row.symbols}
        self._exchanges = {name: self._exchange(name, i) for i, name in enumerate(self._venues)}
        self._recorded = [name for name, row in design.sources.items() if row.kind == "recorded"]
        self._exchanges |= {name: self._price_source(name) for name in self._recorded}
        self._server = SimulatedServer(self._exchanges, self.folder)
        self._tasks: list[asyncio.Task[None]] = []
        self._connected: dict[str, bool] = {}

    def _exchange(self, name: str, i: int) -> SimulatedExchange:
        row, numbers = self._venues[name], self.running.names["instruments"]
        settings = SimulatedSettings(fee_ppm=row.taker_ppm, maker_fee_ppm=row.maker_ppm, noise_ppm=VENUE_NOISE_PPM[i % len(VENUE_NOISE_PPM)])
        life = f"{name}-{time.time_ns() // 1_000_000:x}"        # order and execution ids begin with it: never the same in two lives
        market = SimulatedVenue(life, [self.running.terms[numbers[listed]] for listed in row.symbols], settings, Noise(SEED).branch(i).word())
        market.capabilities = msgspec.structs.replace(market.capabilities, times_in_force=declared(name, row).times_in_force)
        return SimulatedExchange(name, market, venue_symbols(self.running.design, self.running.names, self.running.terms, row.symbols))

    def _price_source(self, name: str) -> SimulatedExchange:
        """A recorded source shows the market as it is, and takes no orders."""
        settings = SimulatedSettings(latency_ns=0, latency_jitter_ns=0)
        market = SimulatedVenue(name, [self.running.terms[number] for number in self._listed.values()], settings, Noise(SEED).branch(100).word())
        listed = {instrument: instrument for instrument in self._listed}
        return SimulatedExchange(name, market, venue_symbols(self.running.design, self.running.names, self.running.terms, listed), trading=False)

    async def open(self) -> None:
        await self._server.open(*self.part.address["venues"], self.part.server_tls())
        self._tasks = [asyncio.ensure_future(self._market(name, books)) for name, books in self._markets().items()]
        self._tasks.append(asyncio.ensure_future(self._keep_mids()))
        self._tasks += [asyncio.ensure_future(self._play(key, program)) for key, program in self._programs().items()]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.close()

    async def look_after(self) -> None:
        stop, watch = asyncio.ensure_future(self.part.stop.wait()), DesignWatch(self.part, self.running)
        try:
            while not stop.done():
                await asyncio.wait((stop, *self._tasks), timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                for task in self._tasks:
                    if task.done():
                        task.result()                   # none of them ends by itself: this raises why
                there = sum(self._connected.values())
                self.part.say(f"{', '.join(self._venues)}: {self._server.connections} connections; {there} of {len(self._connected)} programs at the API")
                await watch.look()
        finally:
            stop.cancel()

    # ---------------------------------------------------------------------------------------------------------------- market
    def _markets(self) -> dict[str, Iterator[BookUpdate]]:
        """A market for each instrument any venue lists: the recording, if its name says an asset of it, else a made one that goes on where it stood."""
        start, stood = time.time_ns(), self._kept_mids()
        found: dict[str, Iterator[BookUpdate]] = {}
        for i, (name, number) in enumerate(self._listed.items()):
            terms, feed = self.running.terms[number], self.part.feed
            if feed is not None and self.running.design.instruments[name].base.lower() in feed.name.lower():
                bars = BarPath(spread=4 * terms.book_tick, size=10**4 * terms.lot) if detect_format(feed) == "bars" else None
                found[name] = played(lambda feed=feed, terms=terms, bars=bars: open_recording(feed, terms, path_of_bars=bars, round_to_tick=True), start)
            else:
                found[name] = made(terms, stood.get(name) or mid_of(self.running.design, terms), Noise(start).branch(i).word(), start)
        return found

    async def _market(self, name: str, books: Iterator[BookUpdate]) -> None:
        symbols = heard_from(self.running.design, name)
        showing = [venue for venue, row in self._venues.items() if name in row.symbols] + self._recorded
        for book in books:
            await asyncio.sleep(max(book.time - time.time_ns(), 0) / 1e9)
            for venue in showing:
                self._server.follow(venue, book)
            if mid := middle(book):
                self._mids.update(dict.fromkeys(symbols, mid))

    def _kept_mids(self) -> dict[str, int]:
        path = self.folder / "market.json"
        with contextlib.suppress(FileNotFoundError, ValueError):
            return {name: int(mid) for name, mid in json.loads(path.read_text()).items()}
        return {}

    async def _keep_mids(self) -> None:
        path: Path = self.folder / "market.json"
        while True:
            await asyncio.sleep(MIDS_SECONDS)
            mids = {name: mid for name in self._listed if (mid := self._mids.get(name.replace("/", "-")))}
            fresh = path.with_suffix(".new")
            fresh.write_text(json.dumps(mids))
            fresh.replace(path)

    # -------------------------------------------------------------------------------------------------------------- programs
    def _programs(self) -> dict[str, Program]:
        """A program for each service key of an outside dealer or client, but not for one that brought its own public key. Clients ask for quotes in what the
        venues list; limit orders are for the last instrument on each of those markets (the prefunded one, where there are two)."""
        design, found = self.running.design, dict[str, Program]()
        quoted = tuple(name.replace("/", "-") for name in self._listed)
        books = tuple(dict.fromkeys(heard_from(design, name)[-1] for name in self._listed))
        for i, name in enumerate(design.dealers):
            key = service_key(design, Kind.QUOTE, name)
            if key is not None and not design.keys[key].public_key:
                spread = DEALER_SPREADS_PPM[i % len(DEALER_SPREADS_PPM)]
                found[key] = OutsideMaker(self._tradables, self._mids, DealerSettings(spread_ppm=spread, order_spread_ppm=spread + 200, books=books))
        for i, name in enumerate(design.clients):
            key = service_key(design, Kind.REQUEST_QUOTE, name)
            if key is not None and not design.keys[key].public_key:
                found[key] = DemoClient(self._tradables, self._mids, ClientSettings(requests=quoted, orders=books), Noise(time.time_ns()).branch(i).word())
        return found

    async def _play(self, key: str, program: Program) -> None:
        """A program at the API, logged on again and again."""
        self._connected[key] = False
        while True:
            try:
                private_key = Secrets(self.part.directory).private_key(key)
                async with AsyncClient(self.part.url("websocket", "ws", "/v1/ws"), key, private_key, tls=self.part.client_tls()) as client:
                    self._connected[key] = True
                    await Player(client, program).play()
            except (ApiError, CredentialError, OSError) as fault:
                print(f"{key}: {fault}", flush=True)
            finally:
                self._connected[key] = False
            await asyncio.sleep(AGAIN_SECONDS)


class Player:
    """A program, its events and its calls, over one client that comes back by itself. Ends only by raising."""

    def __init__(self, client: AsyncClient, program: Program) -> None:
        self._client, self._program = client, program
        self._calls: set[asyncio.Task[tuple[Ask, dict[str, Any] | None, str]]] = set()

    async def play(self) -> None:
        events = self._client.events()
        heard = asyncio.ensure_future(anext(events))
        try:
            await asyncio.sleep(0)                      # subscribed before it begins, so that nothing of what it asks goes by
            self._perform(self._program.begin(await self._client.account(), time.time_ns()))
            while True:
                pause = max(self._program.next_due(time.time_ns()) - time.time_ns(), 0) / 1e9
                await asyncio.wait((heard, *self._calls), timeout=min(pause, LOOK_SECONDS), return_when=asyncio.FIRST_COMPLETED)
                now = time.time_ns()
                for call in [call for call in self._calls if call.done()]:
                    self._calls.discard(call)
                    ask, told, code = call.result()
                    self._perform(self._program.answered(ask, told, code, now))
                event = None
                if heard.done():
                    event = heard.result()
                    heard = asyncio.ensure_future(anext(events))
                self._perform(self._program.step(event, now))
        finally:
            for task in (heard, *self._calls):
                task.cancel()
            await asyncio.gather(heard, *self._calls, return_exceptions=True)
            await close_events(events)

    def _perform(self, asks: list[Ask]) -> None:
        for ask in asks:
            if len(self._calls) >= CALLS_MOST:
                self._perform(self._program.answered(ask, None, "BUSY", time.time_ns()))
            else:
                self._calls.add(asyncio.ensure_future(self._call(ask)))

    async def _call(self, ask: Ask) -> tuple[Ask, dict[str, Any] | None, str]:
        try:
            return ask, await self._client.call(ask.operation, ask.body), ""
        except OutcomeUnknown:
            return ask, None, "UNKNOWN"
        except ApiError as refused:
            return ask, None, refused.code


async def close_events(events: AsyncIterator[dict[str, Any]]) -> None:
    closing = getattr(events, "aclose", None)
    if closing is not None:
        await closing()
