"""The simulated venue behind its own WebSocket passes the conformance suite, and a broken line costs silence and nothing else."""
import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from cambist.messages import Side, TimeInForce
from cambist.venues.conformance import CASES, Conditions, Trial, run_suite
from cambist.venues.remote_venue import RemoteVenue
from cambist.venues.remote_venue_shell import ConnectedVenue
from cambist.venues.simulated import SimulatedSettings, SimulatedVenue
from cambist.venues.simulated_exchange import SimulatedExchange, Symbols
from cambist.venues.simulated_server_shell import SimulatedServer
from cambist.venues.venue import Acked, AskChild, BookUpdate, Closed, CloseReason, Filled, Missing, PlaceChild

from tests.venues.test_conformance import TERMS, book_at

PATIENCE_NS = 40_000_000
HOST = "127.0.0.1"
SYMBOLS = Symbols({TERMS.number: TERMS}, {"XRPUSD": TERMS.number}, {TERMS.number: "1"})
SEED = 7


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work) -> object:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def call(self, function: Callable, *given) -> object:
        done: Future = Future()
        self.loop.call_soon_threadsafe(lambda: done.set_result(function(*given)))
        return done.result(10)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


class Outside:
    """A server with one venue, and our end of a line to it."""

    def __init__(self, loop: Loop, seed: int = SEED, folder=None, port: int = 0, market: bool = True, **settings: int) -> None:
        self.loop, self.folder, self.settings, self.seed = loop, folder, SimulatedSettings(**settings), seed
        self.lines: list[tuple[asyncio.Event, Future]] = []
        self.open(port, market)

    def open(self, port: int, market: bool) -> None:
        self.market = SimulatedVenue(f"sim-{time.time_ns()}", [TERMS], self.settings, self.seed)
        self.server = SimulatedServer({"sim": SimulatedExchange("sim", self.market, SYMBOLS)}, self.folder)
        self.port = self.loop.run(self.server.open(HOST, port))
        if market:
            self.move(time.time_ns(), 0)

    def move(self, now: int, far: int) -> None:
        self.loop.call(self.server.follow, "sim", book_at(max(now, time.time_ns()), far))

    def line(self) -> "Waiting":
        venue = ConnectedVenue(RemoteVenue(self.market.capabilities, SYMBOLS), f"ws://{HOST}:{self.port}/venues/sim")
        stop = asyncio.Event()
        self.lines.append((stop, asyncio.run_coroutine_threadsafe(venue.keep(stop), self.loop.loop)))
        return Waiting(venue, self)

    def settle(self) -> None:
        """Until everything that was sent has been answered: both ends and the market live in this loop, so a few turns of it are enough once it is quiet."""
        turns = asyncio.sleep
        self.loop.run(turns(0.002))
        while self.market.next_event(0) is not None:
            self.loop.run(turns(0.002))
        self.loop.run(turns(0.002))

    def restart(self) -> None:
        self.loop.run(self.server.close())
        self.open(self.port, market=True)

    def close(self) -> None:
        for stop, kept in self.lines:
            self.loop.loop.call_soon_threadsafe(stop.set)
            kept.result(10)
        self.loop.run(self.server.close())


class Waiting:
    """The port as the suite steps it: a step at a later time first waits until it is that late, and until all is said, however slow this machine is."""

    def __init__(self, venue: ConnectedVenue, outside: Outside) -> None:
        self.venue, self.outside, self.capabilities = venue, outside, venue.capabilities

    def step(self, now, intents):
        while (left := now - time.time_ns()) > 0:
            time.sleep(left / 1e9)
        if not intents:
            self.outside.settle()
        return self.venue.step(now, intents)

    def next_event(self, now):
        return self.venue.next_event(now)

    def until(self, enough: Callable[[list], bool], *intents) -> list:
        """Reports, until they are enough."""
        heard, deadline = self.venue.step(time.time_ns(), intents), time.monotonic() + 10
        while not enough(heard):
            assert time.monotonic() < deadline, heard
            time.sleep(0.002)
            heard += self.venue.step(time.time_ns(), ())
        return heard


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


@pytest.mark.parametrize("number", CASES)
def test_the_venue_behind_its_socket_conforms(loop, number):
    made = []

    def make(conditions: Conditions) -> Trial:
        silent = {"silence_ppm": 400_000, "request_loss_ppm": 200_000} if conditions.silent else {}
        outside = Outside(loop, conditions.seed, latency_ns=500_000, latency_jitter_ns=200_000, fee_ppm=150, maker_fee_ppm=60, levels=12, **silent)
        made.append(outside)
        line = outside.line()
        line.until(lambda heard: any(isinstance(each, BookUpdate) for each in heard))
        outside.move(time.time_ns(), 0)                 # once more, for the suite to hear
        return Trial(venue=line, terms=TERMS, start=time.time_ns(), patience_ns=PATIENCE_NS, move=outside.move, may_be_silent=conditions.silent)

    try:
        (verdict,) = run_suite(make, SEED, only=(number,))
    finally:
        for outside in made:
            outside.close()
    assert verdict.passed, f"{number} {verdict.title}: {verdict.breaches}"


def ioc(child: int, lots: int = 2) -> PlaceChild:
    return PlaceChild(child, TERMS.number, Side.BUY, lots * TERMS.lot, 101_000, TimeInForce.IOC)


def gtc(child: int) -> PlaceChild:
    return PlaceChild(child, TERMS.number, Side.BUY, TERMS.lot, 99_000, TimeInForce.GTC)


def ends(child: int) -> Callable[[list], bool]:
    return lambda heard: any(isinstance(each, Closed) and each.child_id == child for each in heard)


def kinds(heard: list, child: int) -> list[type]:
    return [type(each) for each in heard if not isinstance(each, BookUpdate) and each.child_id == child]


def test_a_venue_that_starts_again_keeps_its_word_and_closes_what_was_open(loop, tmp_path):
    outside = Outside(loop, folder=tmp_path / "venues")
    try:
        line = outside.line()
        line.until(lambda heard: heard)
        before = line.until(ends(11), ioc(11))
        line.until(lambda heard: Acked in kinds(heard, 12), gtc(12))
        outside.restart()
        line.until(lambda heard: heard)                 # connected again: a book
        again = line.until(ends(11), AskChild(11))
        assert [each for each in again if getattr(each, "child_id", 0) == 11] == [each for each in before if getattr(each, "child_id", 0) == 11]
        closed = line.until(ends(12), AskChild(12))[-1]
        assert isinstance(closed, Closed) and (closed.reason, closed.cum_quantity) == (CloseReason.BY_VENUE, 0)
        repeated = line.until(ends(11), ioc(11))        # the same id acts once, also over lives
        assert kinds(repeated, 11) == kinds(before, 11)
        fresh = line.until(ends(13), ioc(13))
        executions = {each.execution_id for each in (*before, *fresh) if isinstance(each, Filled)}
        assert len(executions) == 2                     # never given twice
    finally:
        outside.close()


def test_what_is_sent_while_the_line_is_broken_is_silence_and_then_missing(loop):
    outside = Outside(loop)
    try:
        line = outside.line()
        line.until(lambda heard: heard)
        loop.run(outside.server.close())
        deadline = time.monotonic() + 10
        while line.venue._venue.open:
            assert time.monotonic() < deadline
            line.venue.step(time.time_ns(), ())
            time.sleep(0.002)
        assert line.venue.step(time.time_ns(), [ioc(21)]) == []
        outside.open(outside.port, market=True)
        line.until(lambda heard: heard)
        assert kinds(line.until(lambda heard: Missing in kinds(heard, 21), AskChild(21)), 21) == [Missing]
    finally:
        outside.close()


class Raw(WSListener):
    """A line without an adapter."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[bytes | None] = asyncio.Queue()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self.heard.put_nowait(frame.get_payload_as_bytes())

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.heard.put_nowait(None)


@pytest.mark.parametrize(("frame", "answer"), [
    (b"{", b'"BAD_MESSAGE"'), (b"[]", b'"BAD_MESSAGE"'), (b"\xff", b'"BAD_MESSAGE"'), (b'{"op":"order.new"}', b'"BAD_MESSAGE"'),
    (b'{"op":"ping","id":4,"colour":"red"}', b'"BAD_MESSAGE"'), (b'{"op":"ping","id":4}', b'"pong"'),
    (b'{"op":"subscribe","symbols":["NOPE"]}', b'"UNKNOWN_SYMBOL"'),
    (b'{"op":"order.query","client_order_id":"1"}', b'"NOT_LOGGED_ON"'), (b'{"op":"order.query","client_order_id":"1x"}', b'"BAD_MESSAGE"'),
])
def test_a_message_that_is_wrong_is_answered_and_the_line_goes_on(loop, frame, answer):
    outside = Outside(loop)

    async def ask() -> list[bytes | None]:
        transport, line = await ws_connect(Raw, f"ws://{HOST}:{outside.port}/venues/sim")
        assert isinstance(line, Raw)
        for text in (frame, b'{"op":"ping","id":99}'):
            transport.send(WSMsgType.TEXT, text)
        heard = [await asyncio.wait_for(line.heard.get(), 5) for _ in range(3)]
        transport.disconnect()
        return heard
    try:
        hello, told, pong = loop.run(ask())             # type: ignore[misc]
        assert b'"hello"' in hello and answer in told and b'"id":99' in pong
    finally:
        outside.close()


def test_a_frame_too_large_or_not_of_text_ends_its_line_alone(loop):
    outside = Outside(loop)

    async def ask(kind: WSMsgType, data: bytes) -> bytes | None:
        transport, line = await ws_connect(Raw, f"ws://{HOST}:{outside.port}/venues/sim")
        assert isinstance(line, Raw)
        await line.heard.get()
        transport.send(kind, data)
        return await asyncio.wait_for(line.heard.get(), 5)
    try:
        assert loop.run(ask(WSMsgType.BINARY, b"{}")) is None
        assert loop.run(ask(WSMsgType.TEXT, b" " * 70_000)) is None
        assert b'"pong"' in (loop.run(ask(WSMsgType.TEXT, b'{"op":"ping"}')) or b"")    # type: ignore[operator]
    finally:
        outside.close()


def test_a_path_that_is_no_venue_is_not_found(loop):
    outside = Outside(loop)
    try:
        for path in ("/", "/venues/", "/venues/other", "/venues/sim/x"):
            with pytest.raises(Exception, match="404"):
                loop.run(ws_connect(Raw, f"ws://{HOST}:{outside.port}{path}"))
    finally:
        outside.close()
