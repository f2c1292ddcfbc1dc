"""The WebSocket server: sockets, tasks and the clock around `websocket.py` and `market_data.py`.

Decides in which order those who listen are served, and for how long at a time, so that a thousand readers of market data do not hold up an order. What is
said is decided elsewhere.
"""
import asyncio
import contextlib
import logging
import secrets
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from typing import Any

import structlog
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener, ws_create_server

from cambist.design import loopback
from cambist.dictionary import Wrong
from cambist.door.client import Code, DoorClosed, Events, RefusedByDoor, StreamKind
from cambist.door.link_shell import Following, Link
from cambist.gateways.api import failure
from cambist.gateways.house_shell import House
from cambist.gateways.market_data import Book, MarketData, Update
from cambist.gateways.market_shell import Market
from cambist.gateways.operations import OPERATIONS
from cambist.gateways.websocket import (
    HIGH, LOW, MAX_MESSAGE, MAX_WAITING, Call, Close, Connection, Effect, Ended, Follow, Join, Leave, Perform, Phase, Ping, Seats, Send, Unfollow, Welcome,
)
from cambist.part_shell import Part

PATH = b"/v1/ws"
TURN = 16                                               # readers served in one turn of the loop
SHARE = 0.1                                             # of the loop's time, at most, goes to market data
TICKS = 10                                              # every connection is looked at once a second, a tenth of them at a time
SOCKET_BYTES = 1 << 16                                  # of the kernel's buffer for each connection, which is not seen as waiting
LAST_WORDS_SECONDS = 2.0                                # for what still waits when a connection is ended
WELCOME_SECONDS = 2.0                                   # for the place of the account's stream
STREAM_CREDIT = 1024                                    # private events pulled ahead for one connection
LOOKS_FIRST = frozenset({"order.amend", "request.new"}) # may ask the house something before the command is sent, and so must not be overtaken

log = structlog.get_logger("websocket")
_QUIET = logging.getLogger("cambist.websocket")         # picows tells every connection at INFO, and every broken peer as an error
_QUIET.setLevel(logging.CRITICAL)


class Line(WSListener):
    """One connection: does what its `Connection` says."""
    def __init__(self, server: "WebSocketServer"):
        self._server, self._parts, self._size, self._text = server, list[bytes](), 0, False
        self.transport: WSTransport | None = None
        self.connection = Connection(secrets.token_hex(32), time.monotonic_ns(), check=server.house.logon, find=server.find, names=OPERATIONS,
                                     seats=server.seats)
        self._following: Following | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._commands: deque[Call] = deque()           # what changes something, in the order it came
        self._looking = False                           # the command sent last looks something up first
        self._sent = 0

    # ------------------------------------------------------------------------------------------------------------------------------ picows
    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        transport.underlying_transport.set_write_buffer_limits(high=HIGH, low=LOW)
        transport.underlying_transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
        if self._server.enter(self):
            self.do(self.connection.opened())
        else:
            self.do(self.connection.end(Ended.TRY_LATER, "TOO_MANY_CONNECTIONS", "this gateway has as many connections as it takes; try again later"))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif kind == WSMsgType.PONG:
            self.connection.alive(time.monotonic_ns())
        elif kind == WSMsgType.BINARY:
            self.do(self.connection.heard_binary())
        elif kind in (WSMsgType.TEXT, WSMsgType.CONTINUATION):
            self._part(frame)

    def _part(self, frame: WSFrame) -> None:
        """A message may come in fragments; together they are bounded like one frame."""
        self._size += frame.payload_size
        if self._size > MAX_MESSAGE:
            self._parts.clear()
            self.do(self.connection.heard_too_much())
            return
        self._parts.append(frame.get_payload_as_bytes())
        if frame.fin:
            data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._parts, self._size = [], 0
            self.do(self.connection.heard(data, time.monotonic_ns()))

    def pause_writing(self) -> None:
        self.connection.pause()
        self._server.paused(self)

    def resume_writing(self) -> None:
        self.do(self.connection.resume())
        self._server.resumed(self)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.connection.phase = Phase.ENDED
        self._unfollow()
        self._server.leave(self)                        # operations on their way are finished: what was sent is not taken back

    # ----------------------------------------------------------------------------------------------------------------------------- effects
    def waiting(self) -> int:
        """Bytes this side still holds because the other does not read."""
        return self.transport.underlying_transport.get_write_buffer_size() if self.transport is not None else 0

    def send(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.send(WSMsgType.TEXT, data)
            self._sent += len(data)
            if self.waiting() > MAX_WAITING:
                self.do(self.connection.slow())

    def tick(self, now: int) -> None:
        waiting = self.waiting()
        self.do(self.connection.tick(now, waiting, self._sent - waiting))

    def do(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(data): self.send(data)
                case Perform(call): self._begin(call)
                case Welcome(): self._start(self._welcome())
                case Follow(cursor): self._follow(cursor)
                case Unfollow(): self._unfollow()
                case Join(channel, number): self._server.join(self, channel, number)
                case Leave(channel, number): self._server.unjoin(self, channel, number)
                case Ping(): self.transport.send_ping() if self.transport is not None else None
                case Close(code, reason): self._close(code, reason)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _close(self, code: Ended, reason: str) -> None:
        transport = self.transport
        if transport is None or transport.is_disconnected:
            return
        self._unfollow()
        transport.send_close(code.value, reason)  # type: ignore[arg-type]  (the private range is open to us)
        transport.disconnect()                          # when the last words are out
        asyncio.get_running_loop().call_later(LAST_WORDS_SECONDS, transport.disconnect, False)

    # ---------------------------------------------------------------------------------------------------------------------------- operations
    def _begin(self, call: Call) -> None:
        """Reads at once. Commands in their order: tasks begin in the order they are made, and one that waits for nothing has then been sent."""
        if not OPERATIONS[call.op].changes:
            self._start(self._perform(call))
            return
        self._commands.append(call)
        self._begin_commands()

    def _begin_commands(self) -> None:
        while self._commands and not self._looking:
            call = self._commands.popleft()
            task = self._start(self._perform(call))
            if call.op in LOOKS_FIRST:
                self._looking = True
                task.add_done_callback(self._looked)

    def _looked(self, task: asyncio.Task[None]) -> None:
        self._looking = False
        self._begin_commands()

    async def _perform(self, call: Call) -> None:
        member = self.connection.member
        assert member is not None, "only a member's call is performed"
        try:
            answer = await self._server.house.perform(call.op, member, bytes(call.body), call.id, call.expires)
        except Exception as fault:
            log.exception("our bug: an operation failed", operation=call.op, why=repr(fault))
            answer = failure(500, "INTERNAL", "the gateway failed; whether it was done is unknown: ask again with the same id")
        self.do(self.connection.answered(call, answer))

    async def _welcome(self) -> None:
        """Where the account's stream stands, if the house can say so soon."""
        member, cursor = self.connection.member, None
        assert member is not None, "whoever is welcomed has logged on"
        if "read" in member.scopes:
            following = self._server.link.follow(StreamKind.ACCOUNT, member.account, 0, lambda batch: None, lambda code: None)
            with contextlib.suppress(TimeoutError, DoorClosed, RefusedByDoor):
                async with asyncio.timeout(WELCOME_SECONDS):
                    await following.started()
                    cursor = following.cursor
            following.close()
        self.do(self.connection.welcomed(member.account_name, cursor, time.time_ns()))

    # ------------------------------------------------------------------------------------------------------------------------ private stream
    def _follow(self, cursor: int) -> None:
        member = self.connection.member
        assert member is not None, "only a member has a private stream"
        self._following = self._server.link.follow(StreamKind.ACCOUNT, member.account, cursor, self._heard, self._not_followed, STREAM_CREDIT)
        self._start(self._announce(self._following))

    async def _announce(self, following: Following) -> None:
        with contextlib.suppress(DoorClosed, RefusedByDoor):
            await following.started()
            if following is self._following:
                self.do(self.connection.followed(following.cursor))

    def _heard(self, batch: Events) -> None:
        self.do(self.connection.followed(batch.first))
        words = self._server.house.dictionary
        bodies = (words.told(row, int(at)) for row, at in zip(batch.events, batch.times, strict=True))
        self.do(self.connection.told(batch.first, bodies, self.waiting))

    def _not_followed(self, code: Code) -> None:
        self._following = None
        far = code is Code.BAD_CURSOR
        self.do(self.connection.not_followed(Wrong("BAD_CURSOR", "$.cursor", "the stream has not come so far: take the cursor of the welcome") if far else
                                             Wrong("UNAVAILABLE", "$.channel", f"the stream cannot be followed now ({code.name}); subscribe again")))

    def _unfollow(self) -> None:
        following, self._following = self._following, None
        if following is not None:
            following.close()


class WebSocketServer:
    """All connections of one gateway, and what goes out to more than one of them."""
    def __init__(self, link: Link, house: House, market: Market):
        self.link, self.house, self.market, self.seats = link, house, market, Seats()
        self.lines: list[dict[Line, None]] = [{} for _ in range(TICKS)]
        self._books: dict[int, dict[Line, None]] = {}   # instrument -> who gets every update of its book
        self._tapes: dict[int, dict[Line, None]] = {}
        self._floors: dict[int, dict[Line, None]] = {}
        self._behind: dict[Line, bool] = {}             # readers of books who are to be shown them first, and whether they missed something
        self._live: dict[int, str] = {}                 # books that are shown as live, and their epochs
        self._round: Iterator[None] | None = None       # what is being sent, a turn of the loop at a time
        self._entered, self._again, self._busy, self._rests_until = 0, False, False, 0.0
        market.listeners.append(self._news)

    def find(self, word: str) -> int:
        """The number of an instrument. Raises Wrong."""
        if self.market.data is None:
            raise Wrong("UNREACHABLE", "$.instrument", "the gateway has not reached the house yet; try again in a moment")
        return self.market.data.dictionary.listed(word).number

    # --------------------------------------------------------------------------------------------------------------------------- who is here
    def enter(self, line: Line) -> bool:
        if not self.seats.enter():
            return False
        self._entered += 1
        self.lines[self._entered % TICKS][line] = None
        return True

    def leave(self, line: Line) -> None:
        for slot in self.lines:
            if slot.pop(line, self) is not self:
                self.seats.leave(line.connection.member.key if line.connection.member is not None else None)
        for readers in (*self._books.values(), *self._tapes.values(), *self._floors.values(), self._behind):
            readers.pop(line, None)

    def join(self, line: Line, channel: str, number: int) -> None:
        if channel == "trades":
            self._tapes.setdefault(number, {})[line] = None
        elif channel == "session":
            self._floors.setdefault(number, {})[line] = None
            data = self.market.data
            if data is not None and data.floors[number].live:       # else it is told when it is read
                line.send(data.floors[number].message())
        elif not line.connection.paused:                # else it joins when it is resumed
            self._show(line, conflated=False)

    def unjoin(self, line: Line, channel: str, number: int) -> None:
        {"book": self._books, "trades": self._tapes}.get(channel, self._floors).get(number, {}).pop(line, None)

    def paused(self, line: Line) -> None:
        """It gets no increments and costs nothing until it is resumed."""
        for number in line.connection.books:
            self._books.get(number, {}).pop(line, None)

    def resumed(self, line: Line) -> None:
        self._show(line, conflated=True)

    def _show(self, line: Line, conflated: bool) -> None:
        """In its turn: a thousand who come at once are shown the books one after the other, like everything else."""
        self._behind[line] = conflated
        self._news()

    def _catch_up(self, line: Line, conflated: bool) -> None:
        """Snapshots of the books of which it missed something, and from now on every update."""
        data = self.market.data
        for number in line.connection.behind(self._stands):
            if data is not None and (book := data.books.get(number)) is not None and book.live:
                line.connection.shown(number, book.epoch, book.sequence)
                line.send(book.snapshot(conflated))
        if not line.connection.paused:
            for number in line.connection.books:
                self._books.setdefault(number, {})[line] = None

    def _stands(self, number: int) -> tuple[str, int]:
        book = self.market.data.books.get(number) if self.market.data is not None else None
        return (book.epoch, book.sequence) if book is not None and book.live else ("", 0)

    # --------------------------------------------------------------------------------------------------------------------------- what is told
    def _news(self) -> None:
        """Something changed. What changes while a round is being sent, or its rest lasts, is told together in the next one."""
        self._again = True
        if not self._busy:
            self._busy = True
            loop = asyncio.get_running_loop()
            loop.call_at(max(loop.time(), self._rests_until), self._begin)

    def _begin(self) -> None:
        self._again, self._round = False, self._tell_all()
        self._turn()

    def _turn(self) -> None:
        """So many readers, then everyone else."""
        loop, began, going = asyncio.get_running_loop(), time.perf_counter(), self._round
        self._round, self._busy = None, False           # as it is after the last, and if this fails
        unfinished = going is not None and all(next(going, self) is not self for _ in range(TURN))
        self._round, self._busy = going if unfinished else None, True
        loop.call_soon(self._rest, began)               # by then what was said is written

    def _rest(self, began: float) -> None:
        """A rest in proportion after each turn, so that market data takes its share of the loop and no more, and never much at once."""
        loop = asyncio.get_running_loop()
        rest = (time.perf_counter() - began) * (1 / SHARE - 1)
        self._rests_until = loop.time() + rest
        if self._round is not None:
            loop.call_later(rest, self._turn)
            return
        self._busy = False
        if self._again:
            self._news()

    def _tell_all(self) -> Iterator[None]:
        """One round: everything that is new."""
        data = self.market.data
        if data is None:
            return
        while self._behind:
            line = next(iter(self._behind))
            self._catch_up(line, self._behind.pop(line))
            yield
        yield from self._tell_lost(data)
        yield from self._tell_found(data)
        for number in data.changed():
            yield from self._tell_changes(data, number)

    def _tell_lost(self, data: MarketData) -> Iterator[None]:
        for number in [number for number in self._live if not self._is_live(data, number)]:
            del self._live[number]
            if (book := data.books.get(number)) is not None:
                told = book.stale()
                yield from self._each(self._books, number, lambda line, told=told: line.send(told))

    def _tell_found(self, data: MarketData) -> Iterator[None]:
        """Books that are live again, or for the first time: everyone who reads them gets a snapshot."""
        for number in [number for number, book in data.books.items() if book.live and self._live.get(number) != book.epoch]:
            self._live[number] = data.books[number].epoch
            yield from self._each(self._books, number, lambda line: self._catch_up(line, conflated=False))

    def _tell_changes(self, data: MarketData, number: int) -> Iterator[None]:
        book, tape, floor = data.books[number], data.tapes[number], data.floors[number]
        if floor.changed and floor.live:
            floor.changed, now = False, floor.message()
            yield from self._each(self._floors, number, lambda line: line.send(now))
        update = book.update()
        if update is not None:
            yield from self._each(self._books, number, lambda line: self._tell_update(line, number, update))
        while (told := tape.message()) is not None:
            yield from self._each(self._tapes, number, lambda line, told=told: line.send(told))

    def _tell_update(self, line: Line, number: int, update: Update) -> None:
        if line.connection.takes(number, update):
            line.send(update.data)
        else:
            self._catch_up(line, conflated=True)

    def _each(self, readers: dict[int, dict[Line, None]], number: int, tell: Callable[[Line], None]) -> Iterator[None]:
        for line in list(readers.get(number, ())):
            if line.connection.phase is not Phase.ENDED:
                tell(line)
            yield

    @staticmethod
    def _is_live(data: MarketData, number: int) -> bool:
        book: Book | None = data.books.get(number)
        return book is not None and book.live

    # ------------------------------------------------------------------------------------------------------------------------------- the server
    def admit(self, request: WSUpgradeRequest, origins: frozenset[str]) -> Line | WSUpgradeResponseWithListener | None:
        """None: 404. A browser says where its page is from; only pages of this very address may open a socket here."""
        if request.path.split(b"?")[0] != PATH:
            return None
        origin = request.headers.get("Origin")
        if origin is not None and origin not in origins:
            body = b'{"error":{"code":"CROSS_SITE","message":"a page of another site may not open this socket","path":null}}'
            return WSUpgradeResponseWithListener(WSUpgradeResponse.create_error_response(403, body, {"Content-Type": "application/json"}), None)
        return Line(self)

    async def tick(self) -> None:
        """Looks at a tenth of the connections each tenth of a second, for good."""
        slot = 0
        while True:
            await asyncio.sleep(1 / TICKS)
            slot = (slot + 1) % TICKS
            now = time.monotonic_ns()
            for line in list(self.lines[slot]):
                line.tick(now)

    def end_all(self) -> None:
        for slot in self.lines:
            for line in list(slot):
                line.do(line.connection.end(Ended.GOING_AWAY, "GOING_AWAY", "this gateway stops; connect again", line.connection.cursor))


def origins_of(part: Part) -> frozenset[str]:
    """What a browser calls this server's own address."""
    host, port = part.address["websocket"]
    names = {"localhost", "127.0.0.1", "[::1]"} if loopback(host) else {f"[{host}]" if ":" in host else host}
    return frozenset(f"{'https' if part.tls else 'http'}://{name}:{port}" for name in names)


@contextlib.asynccontextmanager
async def serving_websocket(part: Part, link: Link, house: House, market: Market) -> AsyncIterator[WebSocketServer]:
    """The server, for as long as the block runs; then everyone is told and disconnected. Raises ValueError beyond loopback without TLS, OSError."""
    host, port = part.address["websocket"]
    if part.tls is None and not loopback(host):
        raise ValueError(f"the WebSocket would listen on {host} without TLS; name a certificate and its private_key in [listen], or stay on 127.0.0.1")
    server, origins = WebSocketServer(link, house, market), origins_of(part)
    listening = await ws_create_server(lambda request: server.admit(request, origins), host, port, ssl=part.server_tls(), max_frame_size=MAX_MESSAGE,
                                       websocket_handshake_timeout=5, enable_auto_ping=False, logger_name=_QUIET, backlog=1024)
    ticking = asyncio.get_running_loop().create_task(server.tick(), name="websocket")
    try:
        yield server
    finally:
        ticking.cancel()
        listening.close()
        server.end_all()
        await asyncio.wait([ticking])
