"""The native protocol over TCP, as a part of the house: logon, sessions, one connection to the node for all of them.

Decides when a connection is ended, when it is not read from, and what of a stream or view a session is given. It must not know what a command means, nor
which key may do what: that is `admission.py`. The node sees one client that sends large frames, and tells it positions: every event is read from the results
files, where the node keeps it, once for all who are outside.

A session that the node may have heard and whose answer is lost is ended: it comes again, is told the highest number applied, and goes on behind it.
"""
import asyncio
import contextlib
import os
import time
from collections.abc import Coroutine
from typing import Any, ClassVar, cast

import msgspec
import numpy as np
import structlog

from cambist.credentials_shell import Secrets
from cambist.design import read_design
from cambist.door.client import RefusedByDoor
from cambist.door.link_shell import Link
from cambist.door.protocol import (
    Admitted, Challenge, Code, End, Events, Hello, Limits, Logon, ProtocolFault, Read, Received, Refused, Role, StreamKind, Submit, Subscribe, View,
    fit_to_seal,
)
from cambist.door.server_shell import Connection, Door
from cambist.feeds.sorting import PUBLIC
from cambist.feeds.streams import Batch, Streams, account_row
from cambist.log.disk_shell import RealDisk
from cambist.log.results import ResultsReader, ResultsTail
from cambist.loops import settle
from cambist.native.admission import VIEWS, Admission, Keys, Rate, Throttle, admitted
from cambist.native.relay import Gathering
from cambist.messages import EVENT
from cambist.part_shell import Part
from cambist.rows import copied
from cambist.warm import warm_batches

MAX_CONNECTIONS, MAX_STRANGERS, MAX_OF_A_KEY = 256, 64, 8
MAX_SUBSCRIPTIONS, MAX_QUESTIONS = 4, 8                 # of one session
MAX_BEHIND = 1 << 14                                    # events of its account that a session has not been sent: until it has, it is not read from
RING_EVENTS = 1 << 18                                   # kept in memory: 24 MiB
LOGON_SECONDS = 5.0                                     # to prove a key in, from the connection on
AGAIN_SECONDS = 0.001                                   # before what the node refused for the moment is sent again
LOOK_SECONDS = 5.0                                      # how often the running design is asked for: a key that is switched off is let go by then
EACH_KEY, TOGETHER = Rate(500_000, 1_000_000), Rate(4_000_000, 4_000_000)      # records
HIDDEN = ("sequence", "place", "sources")               # of a view: what would tell of others

log = structlog.get_logger("native")


class Outside(Connection):
    """One session: strange until it has signed its challenge, then bound to one key and one account."""
    END = End.GUARD

    def __init__(self, door: "Native"):
        super().__init__(door)
        self.native, self.admission, self.challenge, self.questions = door, None, b"", 0
        self.resting = False                            # its buffer holds frames that are not read yet

    admission: Admission | None

    # -------------------------------------------------------------------------------------------------------------- called by the transport
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made = asyncio.get_running_loop().time()
        super().connection_made(transport)
        if not self.ended and sum(each.admission is None for each in self.native.sessions()) > MAX_STRANGERS:
            self.end(Code.TOO_MANY, f"{MAX_STRANGERS} connections are waiting to log on already")

    def buffer_updated(self, nbytes: int) -> None:
        self.session.filled(nbytes)
        if not self.ended:
            self.heard, self.pinged = asyncio.get_running_loop().time(), 0.0
            self.read_on()

    def read_on(self) -> None:
        """Frame by frame what has come, until nothing whole is left or nothing more may be taken."""
        self.resting = False
        try:
            if self.native.gathering.full:
                self._tire()
            elif self._behind():
                self._rest(AGAIN_SECONDS)
            for message in () if self.resting else self.session.messages():
                self.HANDLERS[type(message)](self, message)
                if self.ended or self.resting:
                    break
        except ProtocolFault as fault:
            self.end(fault.code, fault.text)
            return
        if self.resting:
            self.transport.pause_reading()
        self.flush()

    def _behind(self) -> bool:
        """Whether it has far more to hear than it hears: what came of what it sent is to be read before more is sent. Whoever gave no credit is read on, for
        the PULL may stand behind what it sent."""
        return any(each.stream is StreamKind.ACCOUNT and each.credit > 0 and self.native.last_number(each.stream, each.account) - each.number > MAX_BEHIND
                   for each in self.listeners.values())

    def _rest(self, seconds: float) -> None:
        """Reads no more for so long."""
        self.resting = True
        asyncio.get_running_loop().call_later(seconds, self.wake)

    def _tire(self) -> None:
        """Reads no more until there is room for what it sends."""
        self.resting = True
        self.native.tired.add(self)

    def wake(self) -> None:
        if self.resting and not self.ended:
            self.read_on()
            if not self.resting and not self.full_since and not self.ended:
                self.transport.resume_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.resting and not self.ended:
            self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.native.tired.discard(self)

    def check(self, now: float) -> None:
        if self.admission is None and not self.ended and now - self.made > LOGON_SECONDS:
            self.end(Code.SILENT, f"nobody logged on within {LOGON_SECONDS:g} s")
        else:
            super().check(now)

    # ----------------------------------------------------------------------------------------------------------------------------- messages
    def on_hello(self, hello: Hello) -> None:
        if hello.role is not Role.CLIENT:
            self.end(Code.BAD_ROLE, f"from outside the role is CLIENT ({Role.CLIENT:d})")
            return
        self.challenge = os.urandom(32)
        self.answer(Challenge(self.challenge))

    def on_logon(self, logon: Logon) -> None:
        if not self.native.open_for_business:
            self.end(Code.CLOSING, "the node does not answer; come again")
            return
        found = admitted(logon, self.challenge, self.native.keys)
        if found is None:
            self.end(Code.BAD_LOGON, "no key of that name acts for an account here, or the signature does not fit it and this challenge")
        elif self.native.sessions_of(found.key) >= MAX_OF_A_KEY:
            self.end(Code.TOO_MANY, f"{MAX_OF_A_KEY} sessions of one key are the most")
        else:
            self.native.ask(self._admit(found))

    async def _admit(self, found: Admission) -> None:
        try:
            _, told = await self.native.link.read("numbers", actor=found.actor)
        except (OSError, RefusedByDoor):
            self.end(Code.CLOSING, "the node does not answer; come again")
            return
        if self.ended:
            return
        self.session.admit()
        self.admission, self.role = found, Role.CLIENT
        limits = Limits(subscriptions=MAX_SUBSCRIPTIONS, attachments=0)
        self.send(Admitted(found.account, found.actor, told["highest"], self.native.last_number(StreamKind.ACCOUNT, found.account), time.time_ns(), limits))

    def on_submit(self, submit: Submit) -> None:
        assert self.admission
        native, count = self.native, len(submit.records)
        code = Code.NOT_ALLOWED if submit.attachments else fit_to_seal(submit.records)
        if code:
            self.answer(Refused(submit.request, code, count, "attachments are not taken from outside" if submit.attachments else ""))
            return
        now = time.time_ns()
        if refusal := native.gathering.put(self, submit.request, submit.records, self.admission, now):
            self.answer(Refused(submit.request, refusal.code, count, refusal.text))
        else:
            native.push_soon()
        if wait := native.throttle.spend(self.admission.key, count, now):
            self._rest(wait / 1e9)
        elif native.gathering.full:
            self._tire()

    def on_subscribe(self, asked: Subscribe) -> None:
        assert self.admission
        mine = self.admission.account
        if asked.stream in (StreamKind.ALL, StreamKind.KEPT) or (asked.stream is StreamKind.ACCOUNT and asked.account not in (0, mine)):
            self.answer(Refused(asked.request, Code.NOT_ALLOWED, 0, f"this session hears account {mine} and the public stream"))
        elif len(self.listeners) >= MAX_SUBSCRIPTIONS:
            self.answer(Refused(asked.request, Code.TOO_MANY))
        else:
            super().on_subscribe(asked._replace(account=mine) if asked.stream is StreamKind.ACCOUNT else asked)

    def on_read(self, question: Read) -> None:
        assert self.admission
        argument = own_argument(question, self.admission)
        if argument is None or "read" not in self.admission.scopes:
            self.answer(Refused(question.request, Code.NOT_ALLOWED, 0, f"with the scope read: {', '.join(sorted(VIEWS))}, of this session's own account"))
        elif self.questions >= MAX_QUESTIONS:
            self.answer(Refused(question.request, Code.OVERLOAD))
        else:
            self.questions += 1
            self.native.ask(self._look(question, argument))

    async def _look(self, question: Read, argument: dict[str, int]) -> None:
        try:
            _, told = await self.native.link.read(question.view, **argument)
            answer = View(question.request, 0, msgspec.json.encode(without(told)))
        except RefusedByDoor as refused:
            answer = Refused(question.request, refused.code, 0, str(refused))
        except OSError as fault:
            answer = Refused(question.request, Code.CLOSING, 0, str(fault))
        self.questions -= 1
        if not self.ended:
            self.send(answer)

    HANDLERS: ClassVar[dict[type, Any]] = {**Connection.HANDLERS, Hello: on_hello, Logon: on_logon, Submit: on_submit, Subscribe: on_subscribe, Read: on_read}


def own_argument(question: Read, whose: Admission) -> dict[str, int] | None:
    """What is asked of the house for this session; None where it may not ask that."""
    try:
        given = msgspec.json.decode(question.argument, type=dict[str, int]) if question.argument else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    names = set(given)
    if question.view == "account" and not names:
        return {"account": whose.account}
    if question.view == "numbers" and not names:
        return {"actor": whose.actor}
    if question.view == "answer" and names == {"number"}:
        return given | {"actor": whose.actor, "account": whose.account}
    if question.view == "answer" and names == {"id_hi", "id_lo"}:
        return given | {"account": whose.account}
    return given if (question.view, names) in (("book", {"instrument"}), ("instruments", set())) else None


def without(told: Any) -> Any:
    """A view without what would tell of others."""
    if isinstance(told, dict):
        return {name: without(value) for name, value in told.items() if name not in HIDDEN}
    return [without(value) for value in told] if isinstance(told, list) else told


class Native(Door):
    """The listener, its sessions, and the one way to the node that they share. It is the `House` behind itself."""
    def __init__(self, part: Part, *, key: Rate = EACH_KEY, together: Rate = TOGETHER):
        super().__init__(cast(Any, self), "", connections=MAX_CONNECTIONS)
        self.part, self.link, self.secrets = part, Link(part.socket, role=Role.GATEWAY), Secrets(part.directory)
        self.gathering, self.throttle, self.tired = Gathering(), Throttle(key, together), set[Outside]()
        self.keys: Keys
        self.streams: Streams
        self.open_for_business = False
        self._pushing = self._on_way = self._telling = False
        self._grown: list[np.ndarray] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._design = -1
        self.deaf: asyncio.Future[None] = asyncio.get_running_loop().create_future()        # fails when nothing more can be heard
        self.link.on_change.append(self._changed)

    async def start(self) -> None:
        """Waits for the node, numbers the streams as it does, and listens to everything it says from there on."""
        await self.link.start(None)
        await self.look_at_design()
        self.streams = await asyncio.to_thread(self._numbered)
        self._tail = ResultsTail(RealDisk(), f"{self.part.directory}/results", self.streams.position)
        await self.link.follow(StreamKind.KEPT, 0, 0, self._heard, self._deaf).started()
        self.open_for_business = self.link.connected

    def _numbered(self) -> Streams:
        reader = ResultsReader(RealDisk(), f"{self.part.directory}/results")

        def told(sequence: int):
            return ((kept.first_sequence, kept.last_sequence, kept.time, np.frombuffer(kept.events, EVENT)) for kept in reader.read(sequence))

        streams = Streams(told, ring_events=RING_EVENTS)
        for first, last, moment, events in told(1):
            streams.add(first, last, moment, copied(events))
        return streams

    async def listen(self) -> asyncio.Server:
        host, port = self.part.address["native"]
        server = await asyncio.get_running_loop().create_server(lambda: Outside(self), host, port, ssl=self.part.server_tls(), backlog=MAX_STRANGERS)
        self._look_around()
        return server

    async def look_at_design(self) -> None:
        """The keys of the design in force; sessions whose key is no longer what it was are ended."""
        while True:
            try:
                _, told = await self.link.read("design")
                break
            except RefusedByDoor:                       # nothing was started yet
                await asyncio.sleep(0.1)
        if told["sequence"] == self._design:
            return
        design = read_design(told["text"], "the running design")
        self.keys, self._design = Keys(design, told["names"], self.secrets.public_keys(design)), told["sequence"]
        for session in self.sessions():
            if session.admission is not None and not self.keys.still(session.admission):
                session.end(Code.NOT_ALLOWED, f"key {session.admission.key} is no longer what it was")

    def sessions(self) -> list[Outside]:
        return [each for each in self.connections if isinstance(each, Outside)]

    def sessions_of(self, key: str) -> int:
        return sum(each.admission is not None and each.admission.key == key for each in self.sessions())

    def ask(self, asking: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(asking)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ----------------------------------------------------------------------------------------------------------------------------- the node
    def push_soon(self) -> None:
        """Once this turn has read what there is."""
        if not self._pushing and not self._on_way:
            self._pushing = True
            asyncio.get_running_loop().call_soon(self._push)

    def _push(self) -> None:
        self._pushing = False
        if not self._on_way and self.open_for_business and self.link.connected and (frame := self.gathering.frame()) is not None:
            self._on_way = True
            self.link.post(frame, b"", self._answered)
            self._stir()

    def _answered(self, answer: Any) -> None:
        if answer is None:
            return                                      # the connection was lost: `_changed` hears of it too
        self._on_way = False
        if isinstance(answer, Refused) and answer.code is Code.OVERLOAD:
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._push)
            return
        full = isinstance(answer, Refused) and answer.code is Code.DISK_FULL
        for sender, request, count in self.gathering.unstopped() if full else self.gathering.done():
            if not sender.ended:
                sender.answer(Refused(request, answer.code, count, answer.text) if isinstance(answer, Refused) else Received(request, count))
                self.held[sender] = None
        self._tell_soon()
        self._push()

    def _stir(self) -> None:
        """There is room: who was not read from is read on."""
        if self.tired and not self.gathering.full:
            tired, self.tired = self.tired, set()
            for each in tired:
                each.wake()

    def _changed(self, connected: bool) -> None:
        """What was on its way to a node that is gone is unknown; every session ends, and goes on where the next ADMITTED says."""
        self.open_for_business = connected and hasattr(self, "streams")
        if not connected:
            for session in self.sessions():
                session.end(Code.STOPPED, "the node went away; log on again and go on behind the highest number")
            self.gathering, self._on_way = Gathering(), False
        self.part.say("" if connected else "the node does not answer")

    def _heard(self, batch: Events) -> None:
        """The house has kept so much: it is read where it was kept, so that the node sends nothing of it."""
        for first, last, moment, events in self._tail.read(batch.position):
            self._grown.append(self.streams.add(first, last, moment, events))
        self._tell_soon()

    def _deaf(self, code: Code) -> None:
        """The house cannot be followed any more: whoever is outside would wait for events that never come, so the part ends and is started anew."""
        self.deaf.set_exception(RefusedByDoor(Refused(0, code, 0, "the stream of the house")))

    def _tell_soon(self) -> None:
        """Once this turn has heard what there is: RECEIVED goes together with what came of it."""
        if not self._telling:
            self._telling = True
            asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._telling, grown = False, self._grown
        self._grown = []
        if grown:
            self.grown(_row, np.concatenate(grown))
        self.flush()

    # ------------------------------------------------------------------------------------------------------------------ the house, for itself
    def last_number(self, stream: StreamKind, account: int) -> int:
        return self.streams.last_number(_row(stream, account))

    def events(self, stream: StreamKind, account: int, number: int, limit: int) -> Batch:
        """As the node tells them, but for the position, which is the log's."""
        return self.streams.read(_row(stream, account), number, limit)._replace(position=0)


def _row(stream: StreamKind, account: int) -> int:
    return PUBLIC if stream is StreamKind.PUBLIC else account_row(account)


async def serve(part: Part) -> None:
    """Until `part.stop`. It listens when the node is there; without one it ends every session and lets nobody in. Raises ValueError beyond loopback without
    TLS, OSError."""
    await asyncio.to_thread(warm_batches)
    await serve_native(Native(part))


async def serve_native(native: Native) -> None:
    part = native.part
    starting = asyncio.create_task(native.start())
    stopping = asyncio.create_task(part.stop.wait())
    try:
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if part.stop.is_set():
            return
        starting.result()
        settle()
        server = await native.listen()
        part.ready(part.url("native", "tcp"))
        await until_stopped(native)
        server.close()
        await native.leave()
    finally:
        for task in (starting, stopping):
            task.cancel()
        await native.link.close()


async def until_stopped(native: Native) -> None:
    """Looks at the running design now and then. Raises RefusedByDoor when the house cannot be heard any more, after every session was told."""
    stopping = asyncio.create_task(native.part.stop.wait())
    try:
        while not native.part.stop.is_set():
            await asyncio.wait((stopping, native.deaf), timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if native.deaf.done():
                await native.leave(Code.STOPPED, "log on again and go on behind the highest number")
                native.deaf.result()
            if not native.part.stop.is_set():
                with contextlib.suppress(OSError):      # asked again later
                    await native.look_at_design()
    finally:
        stopping.cancel()
