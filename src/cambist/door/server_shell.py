"""The door on a Unix socket: many connections in one asyncio loop, each bounded.

Decides when a connection is too slow, too silent or one too many, and ends it with a reason. It must not know what a command means, when it is durable or
what a view holds: the house behind it (`House`) takes records, gives streams and answers questions.

Nothing here waits for an outcome. A SUBMIT is copied into the house's staging and answered in the same turn of the loop; events go out as the streams grow
and the credit lasts; a connection that does not read is not read from either, and after SLOW_SECONDS ended.
"""
import asyncio
import os
import socket
import stat
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Protocol

import numpy as np
import structlog

from cambist.door.protocol import (
    MAX_CREDIT, MAX_SUBSCRIPTIONS, SOCKET_BYTES, Bye, Code, End, Events, Hello, Message, Ping, Pong, ProtocolFault, Pull, Read, Received, Refused, Role,
    Session, StreamKind, Submit, Subscribe, Unreadable, Unsubscribe, View, Welcome, encode,
)
from cambist.log.disk import DiskError
from cambist.log.segment import Damaged
from cambist.messages import EVENT

log = structlog.get_logger("door")
MAX_CONNECTIONS = 256
MAX_QUESTIONS = 256                                     # reads asked of the house and not yet answered, all connections together
OUTGOING_HIGH = 1 << 20                                 # bytes not yet taken by the socket: above, the connection is neither read nor told events
OUTGOING_MOST = 4 << 20                                 # above, it is ended at once
SLOW_SECONDS = 5.0                                      # above OUTGOING_HIGH for so long: ended
PING_SECONDS, SILENT_SECONDS = 15.0, 45.0               # a PING after so long without a byte; the end after so long
BYE_SECONDS = 1.0                                       # how long a last word may take
BATCH_EVENTS = 4096                                     # one turn of one subscription
NO_EVENTS, NO_TIMES = np.empty(0, EVENT), np.empty(0, np.int64)


class House(Protocol):
    def welcome(self) -> Welcome: ...
    def submit(self, records: np.ndarray, attachments: bytes) -> Code: ...
    def last_number(self, stream: StreamKind, account: int) -> int: ...
    def events(self, stream: StreamKind, account: int, number: int, limit: int) -> tuple[int, int, np.ndarray, np.ndarray, bool]:
        """(first number, position, events, log time of each, whether their entry goes on behind them). Raises Unreadable, Damaged,
        DiskError where what was told cannot be read back."""
        ...
    def kept(self) -> int:
        """The log sequence up to which the results are in their files. `Door.kept` is called when it has grown."""
        ...
    def ask(self, question: Read, answer: Callable[[View | Refused], None]) -> None:
        """Calls `answer` once, in this loop: with the view, or why there is none."""
        ...
    def turns_at_once(self) -> bool:
        """Whether what was submitted is decided in the next turn of this loop, and `Door.flush` called after it: RECEIVED may wait and go with the events."""
        ...


class Listener:
    """One subscription of one connection."""
    __slots__ = ("connection", "request", "stream", "account", "number", "credit", "queued")

    def __init__(self, connection: "Connection", asked: Subscribe, number: int):
        self.connection, self.request, self.stream, self.account = connection, asked.request, asked.stream, asked.account
        self.number, self.credit, self.queued = number, asked.credit, False


class Door:
    """The listening socket, its connections, and who listens to which stream."""
    def __init__(self, house: House, path: str, *, slow: float = SLOW_SECONDS, ping: float = PING_SECONDS, silent: float = SILENT_SECONDS,
                 connections: int = MAX_CONNECTIONS):
        self.house, self.path = house, path
        self.slow, self.ping, self.silent, self.most = slow, ping, silent, connections
        # Kept in the order they came, not in sets, whose order is that of addresses: so the same bytes at the same times are served the same way again.
        self.connections: dict[Connection, None] = {}
        self.listeners: dict[tuple[StreamKind, int], dict[Listener, None]] = {}
        self.questions = 0
        self.held: dict[Connection, None] = {}          # whose answers wait for the end of the turn
        self._server: asyncio.Server | None = None
        self._watch: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Listens. The directory becomes 0700 and the socket 0600: who may open it is the operating system's answer."""
        folder = os.path.dirname(self.path) or "."
        os.makedirs(folder, 0o700, exist_ok=True)
        os.chmod(folder, 0o700)
        if os.path.exists(self.path) and stat.S_ISSOCK(os.stat(self.path).st_mode):
            os.unlink(self.path)                        # left by a killed process: the directory's lock says that none is running
        before = os.umask(0o177)
        try:
            await self.listen()
        finally:
            os.umask(before)

    async def listen(self) -> None:
        """The socket alone, in a folder that is made and closed to others."""
        self._server = await asyncio.get_running_loop().create_unix_server(lambda: Connection(self), self.path)
        self._look_around()

    async def close(self, code: Code = Code.CLOSING, text: str = "the node is going down") -> None:
        if self._watch:
            self._watch.cancel()
        if self._server:
            self._server.close()
        await self.leave(code, text)
        if os.path.exists(self.path):
            os.unlink(self.path)

    async def leave(self, code: Code = Code.CLOSING, text: str = "the house is going down") -> None:
        """Ends every connection, each with a moment to read why."""
        if self._watch:
            self._watch.cancel()
        for connection in list(self.connections):
            connection.end(code, text)
        for _ in range(int(BYE_SECONDS * 100)):
            if not self.connections:
                break
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.transport.abort()

    def told(self, grown: Iterable[tuple[StreamKind, int]]) -> None:
        """These streams have grown: whoever listens and has credit is told in this turn."""
        for key in grown:
            for listener in tuple(self.listeners.get(key, ())):
                listener.connection.tell(listener)

    def grown(self, row_of: Callable[[StreamKind, int], int], rows: np.ndarray) -> None:
        """The streams of these rows have grown. Most of them have no listener, so it is the listeners that are looked through."""
        grown = set(rows.tolist())
        self.told([key for key in self.listeners if key[0] is not StreamKind.KEPT and row_of(*key) in grown])

    def kept(self) -> None:
        """The results files have grown: whoever reads them is told how far."""
        self.told(((StreamKind.KEPT, 0),))

    def flush(self) -> None:
        """Sends the answers that were held back for the turn that is now over."""
        while self.held:
            self.held.popitem()[0].flush()

    def _look_around(self) -> None:
        loop = asyncio.get_running_loop()
        for connection in list(self.connections):
            connection.check(loop.time())
        self._watch = loop.call_later(min(self.slow, self.ping, self.silent) / 4, self._look_around)


class Connection(asyncio.BufferedProtocol):
    """One connection: bytes into the session, messages to the house, answers out."""
    END = End.SERVER

    def __init__(self, door: Door):
        self.door, self.session = door, Session(self.END)
        self.transport: asyncio.Transport
        self.role: Role | None = None
        self.listeners: dict[int, Listener] = {}
        self.heard = self.pinged = 0.0
        self.full_since = 0.0                           # since when it does not read; 0 while it does
        self.ended = False
        self._answers: list[bytes] = []

    HANDLERS: ClassVar[dict[type, Callable[[Any, Any], None]]]

    # -------------------------------------------------------------------------------------------------------------- called by the transport
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.transport.set_write_buffer_limits(high=OUTGOING_HIGH)
        if (made := transport.get_extra_info("socket")).family == socket.AF_UNIX:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
        self.heard = asyncio.get_running_loop().time()
        self.door.connections[self] = None
        if len(self.door.connections) > self.door.most:
            self.end(Code.TOO_MANY, f"{self.door.most} connections are the most")

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.session.room()

    def buffer_updated(self, nbytes: int) -> None:
        self.session.filled(nbytes)
        if self.ended:
            return
        self.heard, self.pinged = asyncio.get_running_loop().time(), 0.0
        try:
            for message in self.session.messages():
                self.HANDLERS[type(message)](self, message)
        except ProtocolFault as fault:
            self.end(fault.code, fault.text)
            return
        if self._answers and self.door.house.turns_at_once():
            self.door.held[self] = None                    # one write, and the reader is woken once
        else:
            self.flush()

    def eof_received(self) -> bool:
        return False                                    # half a connection is none

    def pause_writing(self) -> None:
        self.full_since = asyncio.get_running_loop().time()
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.full_since = 0.0
        if not self.ended:
            self.transport.resume_reading()
            for listener in list(self.listeners.values()):
                self.tell(listener)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        self.door.connections.pop(self, None)
        self.door.held.pop(self, None)
        for listener in list(self.listeners.values()):
            self._forget(listener)

    # ---------------------------------------------------------------------------------------------------------------------------- outwards
    def answer(self, message: Message) -> None:
        """Sent with everything else of this turn."""
        self._answers.append(encode(message))

    def send(self, message: Message) -> None:
        self.answer(message)
        self.flush()

    def flush(self) -> None:
        answers, self._answers = self._answers, []
        if answers and not self.transport.is_closing():
            self.transport.write(b"".join(answers))
            if self.transport.get_write_buffer_size() > OUTGOING_MOST:
                self.end(Code.SLOW, "it does not read")

    def end(self, code: Code, text: str) -> None:
        """The last word, and a moment to read it."""
        if self.ended:
            return
        self.flush()
        self.ended = True
        self.transport.pause_reading()
        for listener in list(self.listeners.values()):
            self._forget(listener)
        self.transport.write(encode(Bye(code, text)))
        self.transport.close()
        asyncio.get_running_loop().call_later(BYE_SECONDS, self.transport.abort)

    def check(self, now: float) -> None:
        """Slow, silent, or fine."""
        if self.full_since and now - self.full_since > self.door.slow:
            self.end(Code.SLOW, f"it did not read for {self.door.slow:g} s")
            self.transport.abort()                      # what it would have to read first stands before the last word
        elif not self.full_since and now - self.heard > self.door.silent:
            self.end(Code.SILENT, f"nothing heard for {self.door.silent:g} s")
        elif not self.pinged and self.role and now - self.heard > self.door.ping:
            self.pinged = now
            self.send(Ping(0))

    def tell(self, listener: Listener) -> None:
        """One batch; the rest in later turns, so that no subscription keeps the loop."""
        if self.ended or self.full_since or listener.credit <= 0 or listener.queued:
            return
        if listener.stream is StreamKind.KEPT:
            self._tell_kept(listener)
            return
        try:
            batch = self.door.house.events(listener.stream, listener.account, listener.number, min(listener.credit, BATCH_EVENTS))
        except (Unreadable, Damaged, DiskError) as fault:
            log.error("what was told cannot be read back", stream=listener.stream.name, account=listener.account, number=listener.number, why=str(fault))
            self._forget(listener)
            self.send(Refused(listener.request, Code.UNREADABLE, 0, f"from number {listener.number} on it cannot be read back; the house must heal its files"))
            return
        first, position, events, times, more = batch
        if not len(events):
            return
        listener.number, listener.credit = first + len(events), listener.credit - len(events)
        self.send(Events(listener.request, listener.stream, listener.account, first, position, events, times, more))
        if listener.credit > 0:
            listener.queued = True
            asyncio.get_running_loop().call_soon(self._tell_on, listener)

    def _tell_kept(self, listener: Listener) -> None:
        """Where nothing is new nothing is said; who was slow hears the newest position alone."""
        if (position := self.door.house.kept()) > listener.number:
            listener.number = position
            self.send(Events(listener.request, listener.stream, 0, 0, position, NO_EVENTS, NO_TIMES))

    def _tell_on(self, listener: Listener) -> None:
        listener.queued = False
        if self.listeners.get(listener.request) is listener:
            self.tell(listener)

    def _forget(self, listener: Listener) -> None:
        self.listeners.pop(listener.request, None)
        heard = self.door.listeners.get((listener.stream, listener.account))
        if heard is not None:
            heard.pop(listener, None)
            if not heard:
                del self.door.listeners[listener.stream, listener.account]

    # ---------------------------------------------------------------------------------------------------------------------------- messages
    def on_hello(self, hello: Hello) -> None:
        self.role = hello.role
        self.answer(self.door.house.welcome())

    def on_submit(self, submit: Submit) -> None:
        code = Code.NOT_ALLOWED if self.role is Role.OBSERVER else self.door.house.submit(submit.records, submit.attachments)
        count = len(submit.records)
        self.answer(Refused(submit.request, code, count) if code else Received(submit.request, count))

    def on_subscribe(self, asked: Subscribe) -> None:
        house, code = self.door.house, Code.NONE
        if (asked.stream is StreamKind.ACCOUNT) != (asked.account > 0):
            code = Code.UNKNOWN_STREAM
        elif not 0 < asked.credit <= MAX_CREDIT:
            code = Code.BAD_CREDIT
        elif len(self.listeners) >= MAX_SUBSCRIPTIONS or asked.request in self.listeners:
            code = Code.TOO_MANY
        elif asked.stream is StreamKind.KEPT:
            self._listen(Listener(self, asked, -1))
            return
        elif not 0 <= asked.cursor <= (last := house.last_number(asked.stream, asked.account)) + 1:
            code = Code.BAD_CURSOR
        if code:
            self.answer(Refused(asked.request, code))
            return
        listener = Listener(self, asked, asked.cursor or last + 1)
        if listener.number == last + 1:                 # it is up to date, and should know where it stands
            first, position, events, times, _ = house.events(asked.stream, asked.account, listener.number, 1)
            self.answer(Events(asked.request, asked.stream, asked.account, first, position, events[:0], times[:0]))
        self._listen(listener)

    def _listen(self, listener: Listener) -> None:
        self.listeners[listener.request] = listener
        self.door.listeners.setdefault((listener.stream, listener.account), {})[listener] = None
        self.tell(listener)

    def on_pull(self, pull: Pull) -> None:
        listener = self.listeners.get(pull.request)
        if listener is None or not 0 < pull.credit <= MAX_CREDIT - listener.credit:
            self.answer(Refused(pull.request, Code.UNKNOWN_SUBSCRIPTION if listener is None else Code.BAD_CREDIT))
            return
        listener.credit += pull.credit
        self.tell(listener)

    def on_unsubscribe(self, asked: Unsubscribe) -> None:
        if asked.request in self.listeners:
            self._forget(self.listeners[asked.request])

    def on_read(self, question: Read) -> None:
        if self.door.questions >= MAX_QUESTIONS:
            self.answer(Refused(question.request, Code.OVERLOAD))
            return
        self.door.questions += 1
        self.door.house.ask(question, self._answered)

    def _answered(self, told: View | Refused) -> None:
        self.door.questions -= 1
        if not self.ended:
            self.send(told)

    def on_ping(self, ping: Ping) -> None:
        self.answer(Pong(ping.token))

    def on_pong(self, pong: Pong) -> None:
        """That it was heard is enough."""

    def on_bye(self, bye: Bye) -> None:
        self.ended = True
        self.transport.close()


Connection.HANDLERS = {
    Hello: Connection.on_hello, Submit: Connection.on_submit, Subscribe: Connection.on_subscribe, Pull: Connection.on_pull, Read: Connection.on_read,
    Unsubscribe: Connection.on_unsubscribe, Ping: Connection.on_ping, Pong: Connection.on_pong, Bye: Connection.on_bye,
}
