"""The client in asyncio, over one WebSocket that comes back by itself.

Decides when to connect again, how long a call waits, and how much is kept for a reader that is slow. What is said and what it means is
`conversation.py`'s. It must not decide what an operation does.
"""
import asyncio
import logging
import ssl
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Mapping
from os import PathLike
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from cambist.client.calls import ApiError, Operations, OutcomeUnknown, Told, frame, route, settles
from cambist.client.conversation import Answered, Changed, Complaint, Conversation, Happening, Over, Private, Ready, Session, Trades
from cambist.client.order_book import OrderBook
from cambist.client.signing import logon_text, signed
from cambist.client.surroundings_shell import expiry, new_client_id, pause_before, private_key_of

TIMEOUT = 15.0
MAX_FRAME = 1 << 24
MAX_KEPT = 10_000                                       # private events or trades that wait for their reader
IDLE, REPLY = 15.0, 15.0                                # seconds without a word before a ping, and for its answer
_QUIET = logging.getLogger("cambist.client")
_QUIET.addHandler(logging.NullHandler())                # picows tells every connection at INFO: who wants that sets a level


class LiveBook(OrderBook):
    """A book that is kept. `await book` waits until it is live, `await book.changed()` until the next change of any kind."""
    def __init__(self, instrument: str):
        super().__init__(instrument)
        self._next: asyncio.Future[None] | None = None
        self._fault: ApiError | None = None

    async def changed(self) -> None:
        if self._fault is not None:
            raise self._fault
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._next)

    def tell(self, fault: ApiError | None = None) -> None:
        """Wakes whoever waits."""
        self._fault = fault
        waiting, self._next = self._next, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(fault) if fault else waiting.set_result(None)

    def __await__(self) -> Generator[Any, None, "LiveBook"]:
        while not self.live:
            yield from self.changed().__await__()
        return self


class _Waiting:
    """What came for one reader and was not taken yet. `full`: more came than is kept; the oldest is let go, or whoever fills it stops."""
    def __init__(self) -> None:
        self.rows: deque[dict[str, Any]] = deque()
        self.fault: ApiError | None = None
        self._some = asyncio.Event()

    @property
    def full(self) -> bool:
        return len(self.rows) >= MAX_KEPT

    def put(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        self._some.set()

    def fail(self, fault: ApiError) -> None:
        self.fault = fault
        self._some.set()

    async def take(self) -> dict[str, Any]:
        while not self.rows:
            if self.fault is not None:
                raise self.fault
            self._some.clear()
            await self._some.wait()
        return self.rows.popleft()


class _Listener(WSListener):
    def __init__(self, client: "AsyncClient"):
        self._client, self._parts = client, bytearray()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
        elif frame.msg_type in (WSMsgType.TEXT, WSMsgType.CONTINUATION):
            self._parts += frame.get_payload_as_memoryview()
            if frame.fin:
                data, self._parts = bytes(self._parts), bytearray()
                self._client._heard(transport, data)

    def pause_writing(self) -> None:
        """Said by the transport; calls are bounded by whoever makes them."""

    def resume_writing(self) -> None:
        """The same."""


class AsyncClient(Operations[Coroutine[Any, Any, Told]]):
    """`async with AsyncClient(url, key, private_key) as client:` - `private_key` an Ed25519PrivateKey, PEM bytes or the path of a PEM file; without a key
    the public channels only. Every call raises ApiError for a no, and OutcomeUnknown where something may have been done and no answer came in time.
    """
    def __init__(self, websocket_url: str, key: str = "", private_key: Ed25519PrivateKey | bytes | str | PathLike[str] | None = None, *,
                 timeout: float = TIMEOUT, tls: ssl.SSLContext | None = None):
        self._url, self._timeout, self._tls = websocket_url, timeout, tls
        self._key, self._private_key = key, private_key_of(private_key) if private_key is not None else None
        self._talk = Conversation(self._logon if self._private_key is not None else None)
        self._transport: WSTransport | None = None
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._fatal: ApiError | None = None
        self._calls: dict[str, asyncio.Future[Told | ApiError]] = {}
        self._events: _Waiting | None = None
        self._tapes: dict[str, list[_Waiting]] = {}
        self._floors: dict[str, list[_Waiting]] = {}

    @property
    def connected(self) -> bool:
        return self._talk.ready

    @property
    def welcome(self) -> dict[str, Any]:
        """What the house said at the last logon: `account`, `scopes`, `cursor` and `time`."""
        return self._talk.welcome

    async def __aenter__(self) -> "AsyncClient":
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Connects and logs on; raises ApiError when that is refused, or impossible for `timeout` seconds."""
        self._task = asyncio.get_running_loop().create_task(self._stay())
        try:
            async with asyncio.timeout(self._timeout):
                await self._ready.wait()
        except TimeoutError:
            await self.close()
            raise ApiError("UNAVAILABLE", f"no connection to {self._url} within {self._timeout:g} s") from None
        if self._fatal is not None:
            await self.close()
            raise self._fatal

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        self._fail(ApiError("CLOSED", "this client was closed"))

    # ------------------------------------------------------------------------------------------------------------------------------- calls
    async def call(self, name: str, body: Mapping[str, Any] | None = None, *, client_id: str | None = None, expires: int | None = None,
                   again: bool | None = None, timeout: float | None = None) -> Told:
        """Any operation by its name. To ask again about an unknown outcome, give the `client_id` and `expires` it had; whoever chooses an expiry for what was
        never sent yet says so by `again=False`."""
        changes, unsure = route(name).changes, expires is not None if again is None else again
        client_id, expires = client_id or new_client_id(), expires or expiry()
        if client_id in self._calls:
            raise ValueError(f"{client_id} is being asked already")
        if self._private_key is None:
            raise ApiError("NO_KEY", f"{name} is private: this client was made without a key")
        self._talk.call(client_id, frame(name, body or {}, client_id, expires))
        try:
            async with asyncio.timeout(self._timeout if timeout is None else timeout):
                return await self._insist(client_id, unsure and changes, changes)
        except TimeoutError as silence:
            why = str(silence) or "no answer in time"
            if changes:
                raise OutcomeUnknown(name, client_id, expires, why) from silence.__cause__
            raise ApiError("UNAVAILABLE", f"{name}: {why}") from silence.__cause__
        finally:
            self._talk.forget(client_id)
            self._calls.pop(client_id, None)

    async def _insist(self, client_id: str, unsure: bool, changes: bool) -> Told:
        """Until an answer says what became of it. Connections that are lost meanwhile are the conversation's to make up for. Raises ApiError for a no, and
        TimeoutError where this client ended before it was known."""
        attempt = 0
        while True:
            if self._fatal is not None:
                if unsure or (changes and self._talk.tries[client_id]):
                    raise TimeoutError(self._fatal.message) from self._fatal
                raise self._fatal
            self._calls[client_id] = asyncio.get_running_loop().create_future()
            self._flush()
            answer = await self._calls[client_id]
            if isinstance(answer, Told):
                return answer
            if answer is not self._fatal:
                if settles(answer, unsure or (changes and self._talk.tries[client_id] > 1)):
                    raise answer
                await asyncio.sleep(pause_before(attempt))
                attempt += 1
                self._talk.again(client_id)

    # ---------------------------------------------------------------------------------------------------------------------------- channels
    async def events(self, cursor: int = 0) -> AsyncGenerator[dict[str, Any], None]:
        """The account's events from number `cursor` on (0: from now), without end, over any number of connections; each has its `cursor`. Go on later
        with that of the last plus one. One iterator at a time."""
        if self._events is not None:
            raise RuntimeError("this client's events are being read already")
        waiting = self._events = _Waiting()
        self._talk.want_private(cursor)
        self._flush()
        try:
            while True:
                row = await waiting.take()
                yield row
                if not waiting.rows and not self._talk.private:     # it was full, and has been read
                    self._talk.want_private(row["cursor"] + 1)
                    self._flush()
        finally:
            self._events = None
            self._talk.drop_private()
            self._flush()

    async def trades(self, instrument: str) -> AsyncGenerator[dict[str, Any], None]:
        """Every trade from now on. A reader that is more than 10,000 trades behind loses the oldest, and so does one whose connection is lost."""
        async for trade in self._told_of(self._tapes, instrument, self._talk.want_trades, self._talk.drop_trades):
            yield trade

    async def sessions(self, instrument: str) -> AsyncGenerator[dict[str, Any], None]:
        """The instrument's session now and whenever it changes, with the price of an auction while one is called. Each message is all there is to know."""
        async for told in self._told_of(self._floors, instrument, self._talk.want_session, self._talk.drop_session):
            yield told

    async def _told_of(self, of: dict[str, list[_Waiting]], instrument: str, want: Callable[[str], None], drop: Callable[[str], None]) \
            -> AsyncGenerator[dict[str, Any], None]:
        waiting = _Waiting()
        readers = of.setdefault(instrument, [])
        readers.append(waiting)
        want(instrument)
        self._flush()
        try:
            while True:
                yield await waiting.take()
        finally:
            readers.remove(waiting)
            if not readers:
                drop(instrument)
                self._flush()

    def book(self, instrument: str) -> LiveBook:
        """The book, kept from now on; `await` it for the moment it is live."""
        known = self._talk.books.get(instrument)
        if isinstance(known, LiveBook):
            return known
        book = LiveBook(instrument)
        self._talk.want_book(book)
        self._flush()
        return book

    def drop_book(self, instrument: str) -> None:
        self._talk.drop_book(instrument)
        self._flush()

    # ---------------------------------------------------------------------------------------------------------------------------- connection
    def _logon(self, challenge: str) -> dict[str, str]:
        assert self._private_key is not None
        return {"key": self._key, "signature": signed(self._private_key, logon_text(challenge, self._key))}

    async def _stay(self) -> None:
        """Connected, again and again, until closed or refused for good."""
        attempt = 0
        while self._fatal is None:
            try:
                self._transport, _ = await ws_connect(lambda: _Listener(self), self._url, ssl_context=self._tls, max_frame_size=MAX_FRAME, logger_name=_QUIET,
                                                      enable_auto_ping=True, auto_ping_idle_timeout=IDLE, auto_ping_reply_timeout=REPLY)
                await self._transport.wait_disconnected()
            except (OSError, WSError, TimeoutError, msgspec.DecodeError, LookupError, TypeError) as fault:
                _QUIET.debug("connection to %s: %r", self._url, fault)
            finally:
                attempt = 0 if self._talk.ready else attempt + 1
                self._lost()
            if self._fatal is None:
                await asyncio.sleep(pause_before(attempt))
        self._ready.set()

    def _lost(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None and not transport.is_disconnected:
            transport.send_close()
            transport.disconnect()
        for changed in self._talk.disconnected():
            self._happened(changed)

    def _heard(self, transport: WSTransport, data: bytes) -> None:
        if self._transport is None:
            self._transport = transport                 # the first message may come before ws_connect returns
        for happening in self._talk.heard(data):
            self._happened(happening)
        self._flush()

    def _flush(self) -> None:
        if self._transport is not None:
            for message in self._talk.outgoing():
                self._transport.send(WSMsgType.TEXT, message)

    def _happened(self, happening: Happening) -> None:
        match happening:
            case Answered(client_id, told):
                future = self._calls.get(client_id)
                if future is not None and not future.done():
                    future.set_result(told)
            case Private(cursor, body):
                self._keep({"cursor": cursor, **body})
            case Trades(instrument, trades):
                for waiting in self._tapes.get(instrument, ()):
                    for trade in trades:
                        if waiting.full:
                            waiting.rows.popleft()
                        waiting.put(trade)
            case Session(instrument, told):
                for waiting in self._floors.get(instrument, ()):
                    if waiting.full:
                        waiting.rows.popleft()
                    waiting.put(told)
            case Changed(book) if isinstance(book, LiveBook):
                book.tell()
            case Ready():
                self._ready.set()
            case Over(fault, fatal) if fatal:
                self._fail(fault)
            case Complaint():
                self._complain(happening)

    def _keep(self, row: dict[str, Any]) -> None:
        if self._events is not None:
            self._events.put(row)
            if self._events.full:
                self._talk.pause_private()

    def _complain(self, said: Complaint) -> None:
        """A subscription was refused."""
        if said.channel == "private" and self._events is not None:
            self._events.fail(said.fault)
        elif said.channel in ("trades", "session"):
            for waiting in (self._tapes if said.channel == "trades" else self._floors).get(said.instrument, ()):
                waiting.fail(said.fault)
        elif isinstance(said.book, LiveBook):
            said.book.tell(said.fault)

    def _fail(self, fault: ApiError) -> None:
        """Nothing more will come: everyone who waits is told."""
        self._fatal = self._fatal or fault
        for future in self._calls.values():
            if not future.done():
                future.set_result(self._fatal)
        for waiting in [self._events, *(one for of in (self._tapes, self._floors) for readers in of.values() for one in readers)]:
            if waiting is not None:
                waiting.fail(fault)
        for book in self._talk.books.values():
            if isinstance(book, LiveBook):
                book.live = False
                book.tell(fault)
