"""The desk as a process of the house: its engines, an executor for each venue, the settlement clerk, the recorded sources, the opening deposits.

Decides which thread runs what, and with which key. It must not decide what is quoted, hedged or settled. Everything it knows of the design it reads through
the door, so it runs by the same design as the node; when that changes, the process ends and is started again with the new one.

Each engine and executor is a thread with a connection of its own; the event loop holds the lines to the venues. A thread that fails ends the process.
"""
import asyncio
import functools
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from cambist.desk.desk_shell import run_desk, run_settlement
from cambist.desk.quoting import Heard
from cambist.door.client_shell import Client, RefusedByDoor
from cambist.door.protocol import Code, ProtocolFault, Role
from cambist.messages import Kind
from cambist.part_shell import Part
from cambist.running_design_shell import DesignWatch, RunningDesign, await_design, service_key
from cambist.venues.executor import PricePoster, posting
from cambist.venues.remote_venue import RemoteVenue, declared
from cambist.venues.remote_venue_shell import ConnectedVenue
from cambist.venues.simulated_exchange import Symbols, venue_symbols
from cambist.venues.venue import BookUpdate, Capabilities
from cambist.venues.venue_shell import run_venue
from cambist.world.funding import SIMULATED, opening_deposits

DAY_NS, MINUTE_NS = 86_400_000_000_000, 60_000_000_000
CUT_OFF_EVERY_NS = 5 * MINUTE_NS                # so often the day is netted, by log time; a house with banks that settle daily would have one a day
LOOK_SECONDS, AGAIN_SECONDS = 0.5, 0.5
SWITCH_SECONDS = 0.0002                         # between threads: Python's own 5 ms would be most of a quote's budget
POST_SECONDS = 0.02                             # between two looks at a recorded source's books
UNHEARD_MOST = 256                              # books waiting for one engine; older ones are let go of, newer ones say more
WORDS_MOST, WORDS_SECONDS = 20, 10.0            # of what the engines tell a person, in the log of this process


# ----------------------------------------------------------------------------------------------------------------- the part
async def serve(part: Part) -> None:
    """Until `part.stop`. Raises DesignChanged, and whatever a thread failed with."""
    part.say("waiting for the node")
    running = await await_design(part)
    if running is None:
        return
    funded = await asyncio.to_thread(fund, part, running)
    desk = DeskPart(part, running)
    desk.start()
    part.ready(f"desk {', '.join(desk.desks)}")
    if funded:
        print(f"{funded} opening deposits", flush=True)
    try:
        await desk.look_after()
    finally:
        await desk.end()


def fund(part: Part, running: RunningDesign) -> int:
    """Sends the opening deposits that are still missing; how many."""
    design, names = running.design, running.names
    key = service_key(design, Kind.DEPOSIT)
    if key is None:
        return 0
    while not part.stop.is_set():
        try:
            with Client(part.socket, Role.SERVICE) as client:
                touched = {(row["account"], row["asset"]) for number in names["accounts"].values()
                           for row in client.read("account", account=number)[1]["balances"]}
                records = opening_deposits(design, names, names["actors"][key], touched)
                if records:
                    client.submit(np.concatenate(records))
                return len(records)
        except RefusedByDoor as refused:
            if refused.code not in (Code.NOT_YET, Code.OVERLOAD, Code.CLOSING):
                raise
        except (OSError, ProtocolFault):
            pass                                        # the node went away: what it kept of them is seen the next time
        time.sleep(AGAIN_SECONDS)
    return 0


class DeskPart:
    """The threads of the desk and the lines to its venues."""

    def __init__(self, part: Part, running: RunningDesign) -> None:
        self.part, self.running, self.desks = part, running, list(running.design.house.desks)
        self._stop, self._lines_stop = threading.Event(), asyncio.Event()
        self._threads: list[threading.Thread] = []
        self._failure: BaseException | None = None
        self._lines: list[asyncio.Task[None]] = []
        self._venues: dict[str, ConnectedVenue] = {}
        self._feeds: list[deque[Heard]] = []
        self._words, self._words_since = 0, 0.0
        self._seen: dict[str, float] = {}               # when each venue last showed a book

    def start(self) -> None:
        design, names, door = self.running.design, self.running.names, self.part.socket
        sys.setswitchinterval(SWITCH_SECONDS)
        for name in design.house.desks:
            self._start_desk(name)
        key = service_key(design, Kind.SETTLE)
        if key is not None:
            self._run("settlement", functools.partial(run_settlement, door, design, names, key, self._stop, tuple(range(0, DAY_NS, CUT_OFF_EVERY_NS)),
                                                      functools.partial(self._tell, "settlement")))
        simulated = {name: row for name, row in design.venues.items() if row.kind == SIMULATED and row.enabled}
        for name, row in simulated.items():
            key = service_key(design, Kind.CHILD_ACKED, near=name)
            if key is not None:
                line = self._line(name, RemoteVenue(declared(name, row), self._symbols(row.symbols)))
                self._run(f"venue {name}", functools.partial(run_venue, door, design, names, name, key, self.running.terms, line, self._stop,
                                                             show=self._show, tell=functools.partial(self._tell, name)))
        for name, row in design.sources.items():
            key = service_key(design, Kind.SOURCE_PRICE, near=name)
            if row.kind == "recorded" and key is not None:
                listed = {symbol: symbol for venue in simulated.values() for symbol in venue.symbols}
                line = self._line(name, RemoteVenue(Capabilities(venue=name), self._symbols(listed), trading=False))
                self._run(f"source {name}", functools.partial(post_source, self.part, self.running, name, key, line, self._stop))

    def _start_desk(self, name: str) -> None:
        key = service_key(self.running.design, Kind.QUOTE, name)
        if key is None:
            print(f"no service key may quote for {name}: it is people's alone", flush=True)
            return
        feed: deque[Heard] = deque(maxlen=UNHEARD_MOST)
        self._feeds.append(feed)
        self._run(f"desk {name}", functools.partial(run_desk, self.part.socket, self.running.design, self.running.names, key,
                                                    lambda: [feed.popleft() for _ in range(len(feed))], self._stop, functools.partial(self._tell, name)))

    def _symbols(self, listed: dict[str, str]) -> Symbols:
        return venue_symbols(self.running.design, self.running.names, self.running.terms, listed)

    def _line(self, name: str, venue: RemoteVenue) -> ConnectedVenue:
        part = self.part
        line = ConnectedVenue(venue, part.url("venues", "ws", f"/venues/{name}"), part.client_tls(), functools.partial(self._tell, name))
        self._lines.append(asyncio.ensure_future(line.keep(self._lines_stop)))
        self._venues[name] = line
        return line

    # --------------------------------------------------------------------------------------------------------------- threads
    def _run(self, name: str, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except BaseException as fault:  # noqa: BLE001  the loop ends the process with it
                self._failure = self._failure or fault
        thread = threading.Thread(target=guarded, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _show(self, venue: str, book: BookUpdate) -> None:
        self._seen[venue] = time.monotonic()
        for feed in self._feeds:
            feed.append(Heard(venue, book))

    def _tell(self, by: str, effect: Any) -> None:
        """What an engine would tell a person, in this process's log, as long as it is not too much."""
        if time.monotonic() - self._words_since > WORDS_SECONDS:
            self._words, self._words_since = 0, time.monotonic()
        self._words += 1
        if self._words <= WORDS_MOST:
            print(f"{by}: {str(effect)[:400]}", flush=True)

    # -------------------------------------------------------------------------------------------------------------- watching
    async def look_after(self) -> None:
        stop, watch = asyncio.ensure_future(self.part.stop.wait()), DesignWatch(self.part, self.running)
        try:
            while not stop.done():
                await asyncio.wait((stop,), timeout=LOOK_SECONDS)
                if self._failure is not None:
                    raise self._failure
                self.part.say(self._line_of_status())
                await watch.look()
        finally:
            stop.cancel()

    def _line_of_status(self) -> str:
        trading = [name for name in self._venues if name in self.running.design.venues]
        live = [name for name in trading if time.monotonic() - self._seen.get(name, 0.0) < self.running.design.pricing.fresh_for / 1e9]
        if not live:
            return f"no venue shows a price ({', '.join(trading) or 'none in the design'}): nothing is quoted"
        return f"{', '.join(live)} live" + (f"; silent: {', '.join(name for name in trading if name not in live)}" if len(live) < len(trading) else "")

    async def end(self) -> None:
        self._stop.set()
        self._lines_stop.set()
        await asyncio.gather(*self._lines, return_exceptions=True)
        while any(thread.is_alive() for thread in self._threads):
            await asyncio.sleep(0.01)


def post_source(part: Part, running: RunningDesign, name: str, key: str, line: ConnectedVenue, stop: threading.Event) -> None:
    """The prices of a recorded source as facts, until `stop` is set. What the node could not take is let go of: the next price says more."""
    design, names = running.design, running.names
    poster = PricePoster(posting(design, names, name), running.terms, names["actors"][key])
    client: Client | None = None
    while not stop.is_set():
        now = time.time_ns()
        facts = [fact for report in line.step(now, ()) if isinstance(report, BookUpdate) for fact in poster.step(report, now)]
        try:
            if facts:
                client = client or Client(part.socket, Role.SERVICE)
                client.submit(np.concatenate(facts))
        except RefusedByDoor as refused:
            if refused.code not in (Code.NOT_YET, Code.OVERLOAD, Code.CLOSING):
                raise
        except (OSError, ProtocolFault):
            client = None
            stop.wait(AGAIN_SECONDS)
        stop.wait(POST_SECONDS)
    if client is not None:
        client.close()
