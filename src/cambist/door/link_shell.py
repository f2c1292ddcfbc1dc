"""An asyncio client of the door that comes back by itself: one Unix socket, any number of commands, questions and streams at once.

Decides when to connect again, when the same bytes go again and when to give up waiting. It must not decide what an answer means: that is `client.py`.

A lost connection is nobody's error here: streams go on from their cursor, reads are asked again, and a command that was asked for is sent again with the
same bytes, which the core counts once. Everything is bounded: asks, reads and the streams of asks by number; events by credit, pulled when the follower has
returned; what goes out by the socket, and while that is full all wait. It lives in the loop that `start` is called in, asyncio's or uvloop's.
"""
import asyncio
import contextlib
import socket
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import structlog

from cambist.door.client import (
    CREDIT, Asked, Bye, ClientSession, Code, DoorClosed, Events, Message, Outcome, ProtocolFault, Refused, RefusedByDoor, Role, StreamKind, Subscription,
    View, Welcome,
)
from cambist.door.protocol import SOCKET_BYTES
from cambist.log.disk_shell import RealDisk
from cambist.log.witness import Acknowledged

MAX_ASKS = 1 << 14                                      # commands asked for and not yet answered
MAX_READS = 64                                          # reads on their way at once; the others wait for them
MAX_PRIVATE = 1024                                      # streams kept for asks; the one used longest ago ends first
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0                  # seconds between two tries to connect, doubled each time
AGAIN_SECONDS = 2.0                                     # on a connection that stands the same bytes go again after so long, doubled each time
REFUSED_SECONDS = 0.02                                  # before what was refused for the moment is sent again; doubled up to LONGEST_PAUSE
ASK_SECONDS, RECEIVE_SECONDS = 5.0, 10.0                # how long an outcome, and an answer of the door itself, may take
UNREADABLE_SECONDS = 5.0                                # until a stream that could not be read is asked for again
PING_SECONDS, SILENT_SECONDS = 2.0, 6.0                 # a PING after so long without a byte; a new connection after so long
WRITE_DOWN_SECONDS = 1.0
BYE_SECONDS = 1.0                                       # how long a last word may take
FLUSH_BYTES = 1 << 16                                   # written at once, not at the end of the loop's turn
OUTGOING_HIGH = 1 << 20                                 # bytes not yet taken by the socket: above, nobody sends
FOR_THE_MOMENT = (Code.OVERLOAD, Code.CLOSING)          # an ask refused so is sent again

Heard = Callable[[Events], None]
Lost = Callable[[Code], None]
Answer = Message | None                                 # None: it did not come in time, or the connection was lost before
Turn = asyncio.Future[Answer]

log = structlog.get_logger("link")


class Link:
    """`link = Link(path)`, `await link.start()`, and in the end `await link.close()`."""
    def __init__(self, path: str, role: Role = Role.GATEWAY, *, ping: float = PING_SECONDS, silent: float = SILENT_SECONDS, patience: float = RECEIVE_SECONDS):
        self.path, self.role, self.ping, self.silent, self.patience = path, role, ping, silent, patience
        self.on_change: list[Callable[[bool], None]] = []       # called in the loop when a connection stands (True) and when it is lost (False)
        self.welcome: Welcome | None = None             # of the connection that stands, or stood last
        self.connected = False
        self.told = 0                                   # the highest log sequence the node ever told of: its log never ends before that again
        self.why = "it was not started"                 # why there is no connection
        self.wire: Wire | None = None
        self._usable = asyncio.Event()                  # connected, and the socket takes bytes
        self._waiting: dict[int, Callable[[Answer], None]] = {}     # request -> who hears its answer
        self._followings: dict[int, Following] = {}     # request of a subscription -> who hears the stream
        self._dormant: dict[Following, None] = {}       # to be subscribed as soon as there is a connection
        self._private: OrderedDict[tuple[StreamKind, int], _Private] = OrderedDict()
        self._asks, self._reads = 0, asyncio.Semaphore(MAX_READS)
        self._keeping: asyncio.Task[None] | None = None
        self._closing = False

    async def start(self, timeout: float | None = RECEIVE_SECONDS) -> None:
        """Connects, and again after each loss, until `close`. Raises DoorClosed when no node has answered after `timeout` seconds (None: waits for it); the
        link goes on trying, and `start` may be called again to wait longer."""
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep(), name="link")
        if not await self._ready(timeout):
            raise DoorClosed(f"no node answers at {self.path} ({self.why}); `cambist run` starts one")

    async def close(self) -> None:
        """The last word. Whoever still waits gets DoorClosed; no stream is heard any more."""
        self._closing, self.why = True, "the link was closed"
        if self._keeping is not None:
            self._keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeping
        for following in (*self._followings.values(), *self._dormant):
            following.close()
        if (wire := self.wire) is not None:
            wire.leave()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(wire.ended), BYE_SECONDS)
            wire.abort(self.why)
        self._lost()
        self._usable.set()                              # nobody waits any longer: everyone looks at `_closing` next

    # ------------------------------------------------------------------------------------------------------------------------------ requests
    async def submit(self, records: np.ndarray, attachments: bytes = b"") -> int:
        """How many records are queued for the log: all. Their outcomes are events. Raises RefusedByDoor when none is, DoorClosed when that is unknown."""
        if not await self._ready(self.patience):
            raise DoorClosed(f"nothing was sent: {self.why}")
        turn = _turn()
        self.post(records, attachments, lambda answer: _end(turn, answer))
        answer = await _within(turn, self.patience)
        if answer is None:
            raise DoorClosed("the door did not answer; whether the records are queued is unknown")
        if isinstance(answer, Refused):
            raise RefusedByDoor(answer)
        return len(records)

    async def read(self, view: str, at_least: int = 0, **argument: int) -> tuple[int, dict[str, Any]]:
        """(position, answer) of a view no older than `at_least`. Asked again after a lost connection. Raises RefusedByDoor, DoorClosed."""
        deadline, pause = _time() + self.patience, REFUSED_SECONDS
        async with self._reads:
            while (left := deadline - _time()) > 0 and await self._ready(left):
                turn = _turn()
                self._waiting[self._session.read(view, at_least, **argument)] = lambda answer, turn=turn: _end(turn, answer)
                self.send()
                answer = await _within(turn, deadline - _time())
                if isinstance(answer, View):
                    return answer.position, msgspec.json.decode(answer.body)
                if isinstance(answer, Refused):
                    if answer.code is not Code.OVERLOAD:
                        raise RefusedByDoor(answer)
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)
        raise DoorClosed(f"the view {view} was not answered within {self.patience:g} s{f': {self.why}' if self.why else ''}")

    def follow(self, stream: StreamKind, account: int, cursor: int, heard: Heard, lost: Lost | None = None, credit: int = CREDIT,
               *, patient: bool = False) -> "Following":
        """`heard(batch)` for every batch from number `cursor` on (0: from now on), in order, nothing lost or told twice, over any number of connections. It
        must not wait; more is pulled when it has returned, and the batch is its own. `lost(code)` once, when the stream cannot be followed: BAD_CURSOR (this
        node has not told so much), TOO_MANY, UNKNOWN_STREAM, UNREADABLE (the house's files are damaged there; who is `patient` asks again until they are
        healed), or STOPPED when `heard` raised."""
        following = Following(self, stream, account, cursor, heard, lost, credit, patient)
        self.subscribe(following)
        return following

    async def ask(self, record: np.ndarray, timeout: float = ASK_SECONDS, attachments: bytes = b"") -> Outcome:
        """Sends one command, or one group, and waits for its answer, of a group for that of the first; hearing none, or after a lost connection, sends the same
        bytes again. `events` is None when `timeout` seconds have passed: unknown. Raises RefusedByDoor when the door did not take it, DoorClosed when the link
        is closed meanwhile."""
        if self._asks >= MAX_ASKS:
            raise RefusedByDoor(Refused(0, Code.OVERLOAD, 1, f"{MAX_ASKS} commands wait for their answers already"))
        ask = _Ask(record)
        private = self._private_stream(*ask.stream())
        private.add(ask)
        self._asks += 1
        try:
            return await self._asking(ask, private, attachments, _time() + timeout)
        finally:
            self._asks -= 1
            private.forget(ask)

    async def _asking(self, ask: "_Ask", private: "_Private", attachments: bytes, deadline: float) -> Outcome:
        sent, unknown, pause, refused_pause = 0, False, AGAIN_SECONDS, REFUSED_SECONDS
        while (left := deadline - _time()) > 0 and await self._ready(left):
            self.post(ask.record, attachments, ask.submitted)
            sent += 1
            events = await self._answered(ask, min(pause, deadline - _time()))
            if events is None and (refused := ask.refused) is not None:
                if refused.code not in FOR_THE_MOMENT and not unknown:
                    raise RefusedByDoor(refused)        # what may have been let in before is not undone by a refusal now
                sent -= 1
                events = await self._answered(ask, min(refused_pause, deadline - _time()))
                refused_pause = min(2 * refused_pause, LONGEST_PAUSE)
            elif events is None:
                unknown, pause = True, 2 * pause
            if events is not None:
                return Outcome(events, sent, ask.time, ask.position)
            if private.ended:
                break
        if self._closing or private.ended:
            raise DoorClosed(f"{self.why or f'the stream that would tell the answer ended ({private.code.name})'}: the outcome is unknown")
        return Outcome(None, sent)

    async def _answered(self, ask: "_Ask", seconds: float) -> np.ndarray | None:
        """The answer; None when it was refused, the connection lost, or nothing heard for so long."""
        end = _time() + seconds
        while (left := end - _time()) > 0:
            await ask.something(left)
            if not ask.heard:
                break
            if (events := await self._settled(ask)) is not None:
                return events
        return None

    async def _settled(self, ask: "_Ask") -> np.ndarray | None:
        """The answer that was heard; where only that there is one, as a DUPLICATE says, it is read."""
        ask.heard = False
        if not ask.duplicate:
            return ask.answer
        try:
            ask.position, told = await self.read("answer", **ask.question())
        except (DoorClosed, RefusedByDoor) as fault:
            log.warning("an answer could not be read", why=str(fault))
            return None
        return ask.found(told)

    def post(self, records: np.ndarray, attachments: bytes, answered: Callable[[Answer], None]) -> None:
        """Sends them now, while connected; `answered` hears RECEIVED or REFUSED, or None when the connection was lost before."""
        self._waiting[self._session.submit(records, attachments)] = answered
        self.send(records.nbytes + len(attachments))

    def _private_stream(self, stream: StreamKind, account: int) -> "_Private":
        """Where the answers to one account's commands are told. It was subscribed before whatever is sent after this."""
        private = self._private.get((stream, account))
        if private is None:
            if len(self._private) >= MAX_PRIVATE:
                idle = next((each for each in self._private.values() if not each.asks), None)
                if idle is None:
                    raise RefusedByDoor(Refused(0, Code.OVERLOAD, 1, f"commands of {MAX_PRIVATE} accounts wait for their answers already"))
                idle.close()
            private = self._private[stream, account] = _Private(self, stream, account)
            self.subscribe(private)
        self._private.move_to_end((stream, account))
        return private

    # ------------------------------------------------------------------------------------------------------- called by streams and by the wire
    def subscribe(self, following: "Following") -> None:
        """Now, or as soon as there is a connection."""
        if not self.connected:
            self._dormant[following] = None
            return
        following.subscription = self._session.subscribe(following.stream, following.account, following.cursor, following.credit)
        self._followings[following.subscription.request] = following
        self.send()

    def unsubscribe(self, following: "Following") -> None:
        self._dormant.pop(following, None)
        subscription, following.subscription = following.subscription, None
        if subscription is not None and self._followings.pop(subscription.request, None) and self.connected:
            self._session.unsubscribe(subscription)
            self.send()

    def refill(self, subscription: Subscription) -> None:
        self._session.refill(subscription)
        self.send()

    def send(self, size: int = 0) -> None:
        """What the session has to say; `size`: about how many bytes of it are new."""
        if self.wire is not None:
            self.wire.send(size)

    def hear(self, message: Message) -> None:
        if isinstance(message, Events | View | Welcome):
            self.told = max(self.told, message.sequence if isinstance(message, Welcome) else message.position)
        if isinstance(message, Events):
            if (following := self._followings.get(message.request)) is not None:
                following.hear(message)
        elif isinstance(message, Welcome):
            self._welcomed(message)
        elif isinstance(message, Bye):
            raise ProtocolFault(message.code, message.text or "the door closed the connection")
        elif isinstance(message, Refused) and (following := self._followings.pop(message.request, None)) is not None:
            following.refuse(message)
        elif (answered := self._waiting.pop(getattr(message, "request", 0), None)) is not None:
            answered(message)

    def lost(self, wire: "Wire", why: str) -> None:
        if wire is self.wire:
            self.why = self.why if self._closing else why
            self._lost()

    def writable(self, writable: bool) -> None:
        if writable and self.connected:
            self._usable.set()
        else:
            self._usable.clear()

    # ------------------------------------------------------------------------------------------------------------------------ the connection
    @property
    def _session(self) -> ClientSession:
        assert self.wire is not None, "who sends has first waited for `_ready`"
        return self.wire.session

    async def _keep(self) -> None:
        """One connection after the other."""
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE
        while not self._closing:
            wire = Wire(self)
            try:
                await loop.create_unix_connection(lambda wire=wire: wire, self.path)
                await asyncio.shield(wire.ended)
            except OSError as fault:
                self.why = fault.strerror or str(fault)
            if wire.session.welcome is not None:
                pause = FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _welcomed(self, welcome: Welcome) -> None:
        self.welcome, self.connected, self.why = welcome, True, ""
        dormant, self._dormant = self._dormant, {}
        for following in dormant:                       # before anyone who waits can send: so an answer finds its stream
            self.subscribe(following)
        self._usable.set()
        self._changed()

    def _lost(self) -> None:
        """Whoever waits for the door hears it; streams wait for the next connection."""
        was, self.connected, self.wire = self.connected, False, None
        self._usable.clear()
        self._dormant.update(dict.fromkeys(self._followings.values()))
        self._followings = {}
        waiting, self._waiting = self._waiting, {}
        for answered in waiting.values():
            answered(None)
        for private in tuple(self._private.values()):
            if private.asks:
                private.wake()                          # RECEIVED or not, the same bytes go again
            else:
                private.close()
        if was:
            self._changed()

    def _changed(self) -> None:
        for each in self.on_change:
            asyncio.get_running_loop().call_soon(each, self.connected)

    async def _ready(self, seconds: float | None) -> bool:
        """Whether a request may be sent; waits for that."""
        if not self._usable.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while not self._usable.is_set():    # all who wait are woken at once, and the first of them may fill the socket again
                        await self._usable.wait()
        return self._usable.is_set() and not self._closing


async def write_down(link: Link, directory: str, name: str) -> None:
    """Keeps the highest sequence that `link` was told of under `name`, about once a second, until it is cancelled: at its next start the node knows by it
    that nothing up to there may be missing."""
    kept = Acknowledged(RealDisk(), directory, name)
    try:
        while True:
            await asyncio.sleep(WRITE_DOWN_SECONDS)
            kept.note(link.told)
    finally:
        kept.note(link.told)
        kept.close()


def _time() -> float:
    return asyncio.get_running_loop().time()


def _turn() -> Turn:
    return asyncio.get_running_loop().create_future()


def _end(turn: asyncio.Future[Any], answer: Any) -> None:
    if not turn.done():
        turn.set_result(answer)


async def _within(turn: Turn, seconds: float) -> Answer:
    """What it ends with; None when that takes longer than `seconds`."""
    end = asyncio.get_running_loop().call_later(max(seconds, 0.0), _end, turn, None)
    try:
        return await turn
    finally:
        end.cancel()


class Following:
    """One stream, over any number of connections. `cursor` is the next number wanted."""
    def __init__(self, link: Link, stream: StreamKind, account: int, cursor: int, heard: Heard, lost: Lost | None, credit: int = CREDIT,
                 patient: bool = False):
        self.stream, self.account, self.cursor, self.credit = stream, account, cursor, credit
        self.position = 0                               # the log sequence up to which everything of it was heard
        self.ended, self.code = False, Code.NONE        # and why
        self.subscription: Subscription | None = None   # of the connection that stands
        self._link, self._heard, self._lost, self._patient = link, heard, lost, patient
        self._first: asyncio.Future[Refused | bool] = asyncio.get_running_loop().create_future()

    async def started(self) -> None:
        """Until the node has answered, and `cursor` is a number of the stream. Raises RefusedByDoor, DoorClosed."""
        answer = await asyncio.shield(self._first)
        if isinstance(answer, Refused):
            raise RefusedByDoor(answer)
        if not answer:
            raise DoorClosed("it was closed before the node answered")

    def close(self) -> None:
        """Nothing is heard any more."""
        self.ended = True
        self._link.unsubscribe(self)
        _end(self._first, False)

    def hear(self, batch: Events) -> None:
        """Called by the link alone."""
        number, position = batch.first + len(batch.events), batch.position
        if len(batch.events) or self.stream is StreamKind.KEPT:
            try:
                self._tell(batch)
            except Exception as fault:  # noqa: BLE001  the follower's bug: it must not cost all the others their connection
                log.error("a follower failed", stream=self.stream.name, account=self.account, number=batch.first, why=repr(fault))
                self._give_up(Code.STOPPED)
                return
        self.cursor, self.position = number, position
        _end(self._first, True)
        if self.subscription is not None:               # not closed meanwhile
            self._link.refill(self.subscription)

    def refuse(self, refused: Refused) -> None:
        """Called by the link alone."""
        if refused.code is Code.UNREADABLE and self._patient:
            log.error("a stream waits until it can be read", stream=self.stream.name, account=self.account, cursor=self.cursor, why=refused.text)
            self.subscription = None                    # its number may be another's on the next connection
            asyncio.get_running_loop().call_later(UNREADABLE_SECONDS, self._again)
            return
        _end(self._first, refused)
        self._give_up(refused.code)

    def _again(self) -> None:
        if not self.ended:
            self._link.subscribe(self)

    def _tell(self, batch: Events) -> None:
        self._heard(batch.kept())

    def _give_up(self, code: Code) -> None:
        self.code = code
        self.close()
        if self._lost is not None:
            self._lost(code)
        else:
            log.error("a stream is followed no more", stream=self.stream.name, account=self.account, cursor=self.cursor, code=code.name)


class _Ask(Asked):
    """One command on its way."""
    def __init__(self, record: np.ndarray):
        super().__init__(record)
        self.key = self.id_hi, self.id_lo, self.kind
        self.heard = False
        self.refused: Refused | None = None
        self._turn: Turn | None = None

    async def something(self, seconds: float) -> None:
        """Until it was answered or refused, the connection was lost, or so long."""
        self.refused = None
        if not self.heard:
            self._turn = _turn()
            await _within(self._turn, seconds)

    def submitted(self, answer: Answer) -> None:
        """What the door says: RECEIVED is no outcome."""
        if answer is None or isinstance(answer, Refused):
            self.refused = answer
            self.wake()

    def told(self, batch: Events, at: list[int]) -> None:
        """What the stream says, by these events."""
        if self.take(batch, at):
            self.heard = True
            self.wake()

    def wake(self) -> None:
        if self._turn is not None:
            _end(self._turn, None)


class _Private(Following):
    """The stream of one account, for all commands of it that wait for an answer."""
    def __init__(self, link: Link, stream: StreamKind, account: int):
        super().__init__(link, stream, account, 0, lambda batch: None, lambda code: None)
        self.asks: dict[tuple[int, int, int], list[_Ask]] = {}      # by id and kind; more than one where the same bytes are asked for twice at once

    def add(self, ask: _Ask) -> None:
        self.asks.setdefault(ask.key, []).append(ask)

    def forget(self, ask: _Ask) -> None:
        same = self.asks[ask.key]
        same.remove(ask)
        if not same:
            del self.asks[ask.key]

    def close(self) -> None:
        super().close()
        if self._link._private.get((self.stream, self.account)) is self:
            del self._link._private[self.stream, self.account]
        self.wake()

    def wake(self) -> None:
        for same in self.asks.values():
            for ask in same:
                ask.wake()

    def refuse(self, refused: Refused) -> None:
        if refused.code is Code.BAD_CURSOR:             # another house's log than before: what was asked is asked again, from here on
            self.cursor = 0
            self._link.subscribe(self)
            self.wake()
        else:
            super().refuse(refused)

    def _tell(self, batch: Events) -> None:
        """One look at each event, however many wait; the arrays are the receive buffer's, and what is kept is copied."""
        if not self.asks:
            return
        found: dict[tuple[int, int, int], list[int]] = {}
        for i, key in enumerate(zip(*(batch.events[name].tolist() for name in ("id_hi", "id_lo", "command")), strict=True)):
            if key in self.asks:
                found.setdefault(key, []).append(i)
        for key, at in found.items():
            for ask in self.asks[key]:
                ask.told(batch, at)


class Wire(asyncio.BufferedProtocol):
    """One connection: bytes between the socket and a session, and a look at the clock."""
    def __init__(self, link: Link):
        self.link, self.session, self.ended = link, ClientSession(link.role), asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self._heard = self._due = 0.0
        self._size, self._turning, self._why = 0, False, ""
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.link.wire = transport, self  # type: ignore[assignment]
        self.transport.set_write_buffer_limits(high=OUTGOING_HIGH)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
        self._heard = _time()
        self._flush()
        self._look_later()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.session.room()

    def buffer_updated(self, nbytes: int) -> None:
        self.session.filled(nbytes)
        self._heard = _time()
        try:
            for message in self.session.messages():
                self.link.hear(message)
        except ProtocolFault as fault:
            self.abort(str(fault))
            return
        self._flush()                                   # a PONG

    def pause_writing(self) -> None:
        self.link.writable(False)

    def resume_writing(self) -> None:
        self.link.writable(True)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self.link.lost(self, self._why or (str(exc) if exc else "the door closed the connection"))
        if not self.ended.done():
            self.ended.set_result(None)

    def send(self, size: int) -> None:
        """The first in a turn of the loop goes out at once, the others together at the end of it, or when they are much."""
        self._size += size
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turned)
            self._flush()
        elif self._size >= FLUSH_BYTES:
            self._flush()

    def leave(self) -> None:
        self.session.bye()
        self._flush()
        self.transport.close()

    def abort(self, why: str) -> None:
        self._why = self._why or why
        self.transport.abort()

    def _turned(self) -> None:
        self._turning = False
        self._flush()

    def _flush(self) -> None:
        self._size = 0
        if (data := self.session.outgoing()) and not self.transport.is_closing():
            self.transport.write(data)

    def _look_later(self) -> None:
        period = self.link.ping / 2
        self._due = _time() + period
        self._watch = asyncio.get_running_loop().call_later(period, self._look)

    def _look(self) -> None:
        """Half open, quiet, or fine. Where the loop itself was late, what has come was not read yet and nothing is concluded."""
        now = _time()
        if now - self._due < self.link.ping:
            if now - self._heard > self.link.silent:
                self.abort(f"nothing heard for {self.link.silent:g} s")
                return
            if now - self._heard > self.link.ping and self.session.welcome is not None:
                self.session.ping()
                self._flush()
        self._look_later()
