"""The house as a gateway sees it: one link to the door, the words of the running design, the keys, and an ear on each account that is asked about.

Decides in which order things are asked of the house and how long to wait. What a request becomes, what an answer says and who may ask are decided by
`operations`, `replies`, `auth` and `throttle`. Nothing here outlives the process: after a restart accounts are heard back far enough to answer as before.
"""
import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cambist.design import DesignError, read_design
from cambist.dictionary import Dictionary, Wrong, read_client_id
from cambist.door.client import Code, DoorClosed, Events, RefusedByDoor, StreamKind
from cambist.door.link_shell import Following, Link
from cambist.gateways import api, order_api, order_replies, replies
from cambist.gateways.api import Answer, failure
from cambist.gateways.auth import NO_ID, AuthError, Keys, may, verify_logon
from cambist.gateways.hearing import Hearing, Page, rows
from cambist.gateways.fields import Fields, Known, unknown
from cambist.gateways.operations import CANCELS, OPERATIONS, Operation, Session, build, id_after, read_json, records
from cambist.gateways.throttle import Throttle, retry_after
from cambist.messages import MAX_AMOUNT, AccountKind, BadRecord, Event, Kind
from cambist.opaque import Opaque
from cambist.sections import Design

ASK_SECONDS = 5.0                                       # for the house's answer; then the outcome is unknown
HEAR_SECONDS = 1.0                                      # for an answer to come round to our own ear
OPEN_SECONDS = 5.0                                      # for hearing an account back
DESIGN_SECONDS = 5.0                                    # between two looks at the running design
SEEN_SECONDS = 0.25                                     # how old references and halts may be
LOOK_BACK_EVENTS = 1024                                 # of an account, at first; eight times more while that is not far enough back
MAX_WAITING_POLLS = 1024
SECOND = 1_000_000_000
UNREADABLE = "events from here on were told and cannot be read back now; read on from a later cursor, or from here when the house has healed its files"
log = structlog.get_logger("gateway")
Rows = list[dict[str, Any]]
Clock = Callable[[], int]
PublicKeys = Callable[[Design], Mapping[str, Ed25519PublicKey]]


class Running(NamedTuple):
    """The design in force, as this gateway needs it."""
    sequence: int
    words: Dictionary
    keys: Keys
    window: int                                         # ns that the house remembers answers


class Seen(NamedTuple):
    """What everyone may know of the house, as it was `at` (monotonic seconds)."""
    at: float
    instruments: dict[int, dict[str, int]]              # rows of that table by number
    time: int                                           # log time, ns
    killed_all: bool


class Ear:
    """One account heard in this process; `wait` for its next batch."""
    def __init__(self, link: Link, account: int, wall: Clock = time.time_ns):
        self.hearing = Hearing(1)
        self._link, self._account, self._wall = link, account, wall
        self._following: Following | None = None
        self._waiting: dict[asyncio.Future[None], None] = {}
        self._tails: dict[tuple[int, int], list[asyncio.Future[Rows | None]]] = {}
        self.lost = False

    async def open(self, look_back: int) -> None:
        """Hears the account back until its oldest event heard is `look_back` ns old, or its first. Raises DoorClosed, RefusedByDoor, TimeoutError."""
        async with asyncio.timeout(OPEN_SECONDS):
            now = self._link.follow(StreamKind.ACCOUNT, self._account, 0, lambda batch: None, lambda code: None, credit=1)
            await now.started()
            newest, far = now.cursor, LOOK_BACK_EVENTS
            now.close()
            while True:
                start = max(1, newest - far)
                self.hearing = Hearing(start)
                self._following = self._link.follow(StreamKind.ACCOUNT, self._account, start, self._heard, self._lost)
                await self._following.started()
                while self.hearing.next < newest:
                    await self.wait()
                if start == 1 or self.hearing.oldest < self._wall() - look_back:
                    return
                self._following.close()
                far *= 8

    def close(self) -> None:
        if self._following is not None:
            self._following.close()

    @contextlib.contextmanager
    def expecting(self, client_id: tuple[int, int]) -> Iterator["asyncio.Future[Rows | None]"]:
        """The events of the command that is answered with this id, when they are heard; None when they were cut."""
        found: asyncio.Future[Rows | None] = asyncio.get_running_loop().create_future()
        waiting = self._tails.setdefault(client_id, [])
        waiting.append(found)
        try:
            yield found
        finally:
            waiting.remove(found)
            if not waiting:
                self._tails.pop(client_id, None)

    async def wait(self) -> None:
        """Until something more was heard."""
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[waiting] = None
        try:
            await waiting
        finally:
            self._waiting.pop(waiting, None)

    def _heard(self, batch: Events) -> None:
        self.hearing.hear(batch.first, batch.events, batch.times)
        if self._tails:
            self._tell_tails(batch)
        for waiting in self._waiting:                   # in the order they came
            if not waiting.done():
                waiting.set_result(None)

    def _tell_tails(self, batch: Events) -> None:
        """From each echo that someone waits for to the next one."""
        echoes = np.flatnonzero(batch.events["command"]).tolist()
        for at, end in pairwise([*echoes, len(batch.events)]):
            for found in self._tails.get((int(batch.events["id_hi"][at]), int(batch.events["id_lo"][at])), ()):
                if not found.done():
                    cut = batch.more and end == len(batch.events)
                    found.set_result(None if cut else list(rows(batch.events[at:end])))

    def _lost(self, code: Code) -> None:
        """The stream cannot be followed any more: this ear is thrown away, and the next question makes another."""
        self.lost = True
        log.warning("an account is heard no more", account=self._account, code=code.name)


def _made(commands: list[tuple[Kind, Fields]], id_hi: int, id_lo: int, expires: int, received: int) -> np.ndarray:
    """Raises Wrong OVERFLOW where a number is too large for its field."""
    try:
        return records(commands, id_hi, id_lo, expires, received)
    except BadRecord:
        raise Wrong("OVERFLOW", "$", f"a number of this request is larger than the house can count, {MAX_AMOUNT:,} of its smallest units") from None


class House:
    """`await house.start()`, then `perform` and `public`. `public_keys` tells the public key of each key of a design. The clocks, in ns, are handed in."""
    def __init__(self, link: Link, ids_key: bytes, public_keys: PublicKeys, throttle: Throttle | None = None, wall: Clock = time.time_ns,
                 monotonic: Clock = time.monotonic_ns):
        self.link, self.throttle = link, throttle or Throttle()
        self._wall, self._monotonic = wall, monotonic
        self.running: Running | None = None
        self.on_design: list[Callable[[Dictionary], None]] = []
        self._ids_key, self._public_keys = ids_key, public_keys
        self._ears: dict[int, asyncio.Task[Ear]] = {}
        self._last, self._looking = Seen(-SEEN_SECONDS, {}, 0, False), asyncio.Lock()
        self._polls = 0
        self._unread = ""                               # why the design could not be read the last time
        self._watching: asyncio.Task[None] | None = None
        self._sooner = asyncio.Event()

    # ------------------------------------------------------------------------------------------------------------------------ the running design
    @property
    def dictionary(self) -> Dictionary:
        """The words of the running design. Raises Wrong UNREACHABLE before the house was heard for the first time."""
        return self._now().words

    def _now(self) -> Running:
        if self.running is None:
            raise Wrong("UNREACHABLE", "$", "the gateway has not reached the house yet; try again in a moment")
        return self.running

    async def start(self) -> None:
        """Reads the running design, however long it takes for the house to answer, and looks at it again from then on."""
        while self.running is None:
            with contextlib.suppress(DoorClosed):
                await self.link.start(None)
            await self._look()
            if self.running is None:
                await asyncio.sleep(0.2)
        self._watching = asyncio.create_task(self._watch(), name="design")

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        for opening in self._ears.values():
            if opening.done() and not opening.cancelled() and opening.exception() is None:
                opening.result().close()
            opening.cancel()

    def look_soon(self) -> None:
        """Digits, ticks or lots have changed: the words of the last design are not right any more."""
        self._sooner.set()

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DESIGN_SECONDS):
                    await self._sooner.wait()
            self._sooner.clear()
            await self._look()

    async def _look(self) -> None:
        """A changed design, or a changed key of the same one, counts from here on; what cannot be read leaves the last one in force."""
        try:
            _, view = await self.link.read("design")
            if self.running is None or view["sequence"] != self.running.sequence:
                words = Dictionary(read_design(view["text"]), view["names"], Opaque(self._ids_key))
            else:
                words = self.running.words
            keys = Keys(words, await asyncio.to_thread(self._public_keys, words.design))
        except (DoorClosed, RefusedByDoor, DesignError, ValueError, KeyError) as fault:
            if str(fault) != self._unread:
                log.warning("the running design could not be read", why=str(fault))
            self._unread = str(fault)
            return
        self._unread = ""
        changed = self.running is None or words is not self.running.words
        self.running = Running(view["sequence"], words, keys, words.design.cell.answer_window)
        if changed:
            for each in self.on_design:
                each(words)

    # ------------------------------------------------------------------------------------------------------------------------------- operations
    def logon(self, key: str, signature: str, challenge: str) -> Session:
        """Who signed a socket's challenge. Raises Wrong, and AuthError of it."""
        return verify_logon(key, signature, challenge, self._now().keys)

    async def perform(self, name: str, session: Session, body: "bytes | api.Asked", client_id: str | tuple[int, int] | None = None,
                      expires: int | None = None) -> Answer:
        """One operation for a proven session: the request as JSON or as its struct, its client id (32 hex digits, or as two int64), and until when it may
        count (ns; None: as long as the house remembers answers). Never raises but for a bug of ours."""
        operation = OPERATIONS[name]
        try:
            may(session, operation)
            wait = self._throttled(operation, session)
            if wait:
                return failure(429, "RATE", "this key, or all together, sent too much; wait as long as Retry-After says", None, retry_after(wait))
            asked = read_json(body, operation.request) if isinstance(body, bytes) else body
            if not self.link.connected:
                return replies.unreachable()
            if operation.changes:
                return await self._command(operation, session, asked, client_id or NO_ID, expires)
            return Answer(operation.status, await self._READS[name](self, session, asked))
        except (Wrong, DoorClosed, TimeoutError, RefusedByDoor) as fault:
            return self.not_done(fault, name)

    def not_done(self, fault: Exception, name: str) -> Answer:
        """Why nothing was done of an operation."""
        if isinstance(fault, RefusedByDoor) and fault.code not in replies.DOOR_CLOSED:
            log.error("the door refused what the gateway asked", operation=name, why=str(fault))
        return replies.not_done(fault)

    def _throttled(self, operation: Operation, session: Session) -> int:
        now = self._monotonic()
        if not operation.changes:
            return self.throttle.read(session.key, now)
        return self.throttle.cancel(session.key, now) if operation.kind in CANCELS else self.throttle.business(session.key, now)

    async def _command(self, operation: Operation, session: Session, asked: Any, client_id: str | tuple[int, int], expires: int | None) -> Answer:
        received, running = self._wall(), self._now()
        id_hi, id_lo = read_client_id(client_id) if isinstance(client_id, str) else client_id
        if not (id_hi or id_lo):
            raise Wrong("NO_ID", "$.id", "what changes something has a client id of its own: 32 hex digits (Cambist-Id over REST, id over WebSocket)")
        expires = self._expires(expires, received, running.window)
        ear, ids = await self._ear(session.account), [id_after(id_hi, id_lo, place) for place in range(replies.size_of(asked))]
        try:
            known = await self._known(operation, session, asked, ear, running.words)
            made = _made(build(operation.name, asked, session, known), id_hi, id_lo, expires, received)
        except Wrong:
            first = await self._first_answers(session, ids)
            if not first:
                raise
            return replies.answer(operation, asked, session, running.words, first, ids)._replace(duplicate=True)
        with contextlib.ExitStack() as stack:
            tails = [stack.enter_context(ear.expecting(each)) for each in ids]
            outcome = await self.link.ask(made, ASK_SECONDS)
            if outcome.events is None:
                return failure(504, "UNKNOWN", replies.UNKNOWN_OUTCOME) if outcome.asked else replies.unreachable()
            duplicate = outcome.time < received         # the first answer was given before this was asked
            events = await self._whole(session, tails, list(rows(outcome.events)), ids, duplicate)
        return replies.answer(operation, asked, session, running.words, events, ids)._replace(duplicate=duplicate)

    @staticmethod
    def _expires(expires: int | None, now: int, window: int) -> int:
        if expires is None:
            return now + window - SECOND                # the house's clock may be a little behind ours
        if expires <= now:
            raise AuthError("EXPIRED", f"expires is in the past by the clock of the house ({now}); send it anew with a later one")
        if expires > now + window:
            raise AuthError("EXPIRES_TOO_LATE", f"expires is further ahead than the {window // SECOND} s that the house remembers answers")
        return expires

    async def _known(self, operation: Operation, session: Session, asked: Any, ear: Ear, words: Dictionary) -> Known:
        """What building this command needs to know: looked up before, so that building it waits for nothing."""
        instruments: dict[int, dict[str, int]] = {}
        if operation.name == "request.new" and asked.quote_quantity is not None:
            instruments = await self.instruments()
        elif operation.name == "order.amend":
            with contextlib.suppress(Wrong):
                order = words.id_in("order", asked.order)
                if not ear.hearing.instrument_of(order):
                    for row in (await self._account(session))["orders"]:
                        ear.hearing.learn(row["id"], row["instrument"])
        return Known(words, ear.hearing.instrument_of, lambda number: instruments.get(number, {}).get("reference", 0), ear.hearing.order_of)

    async def _whole(self, session: Session, tails: "Sequence[asyncio.Future[Rows | None]]", events: Rows, ids: list[tuple[int, int]],
                     duplicate: bool) -> Rows:
        """All events of the command, or of the group, for this account. The door's answer has those that name the command; what an order did then is in the
        stream. To have heard it ourselves also means that a client's next question is answered from after its command."""
        heard: list[Rows | None] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEAR_SECONDS):
                heard = [await tail for tail in tails]
        traded = events and events[0]["kind"] in (Event.ORDER_ACCEPTED, Event.ORDER_AMENDED)
        if len(ids) == 1 and (duplicate or not traded):
            return events
        whole = [row for each in heard for row in each or ()]
        if len(heard) == len(ids) and all(heard) and not duplicate and whole[0]["kind"] == events[0]["kind"]:
            return whole
        return await self._first_answers(session, ids) or events

    async def _first_answers(self, session: Session, ids: list[tuple[int, int]]) -> Rows:
        """Of each of a group in turn."""
        return [row for each in ids for row in await self._first_answer(session, each)]

    async def _first_answer(self, session: Session, client_id: tuple[int, int]) -> Rows:
        """What this id was answered with, whatever was asked; empty if it was not, or too long ago. A retry may come when its order, its request or the
        price it was made with is gone, and so cannot be made again: it is no less answered for that."""
        _, view = await self.link.read("answer", account=session.account, id_hi=client_id[0], id_lo=client_id[1])
        return view["events"] if view["known"] else []

    # ------------------------------------------------------------------------------------------------------------------------------------ ears
    async def _ear(self, account: int) -> Ear:
        """The ear on an account, opened for the first who asks. Raises DoorClosed, RefusedByDoor, TimeoutError."""
        opening = self._ears.get(account)
        if opening is None or (opening.done() and (opening.cancelled() or opening.exception() is not None or opening.result().lost)):
            opening = self._ears[account] = asyncio.create_task(self._open(account), name=f"ear {account}")
        return await asyncio.shield(opening)

    async def _open(self, account: int) -> Ear:
        cell = self._now().words.design.cell
        ear = Ear(self.link, account, self._wall)
        try:
            await ear.open(max(cell.max_ttl, cell.answer_window))
        except BaseException:
            ear.close()
            raise
        return ear

    # ----------------------------------------------------------------------------------------------------------------------------------- reads
    async def _account(self, session: Session) -> dict[str, Any]:
        return (await self.link.read("account", account=session.account))[1]

    async def _account_get(self, session: Session, asked: api.Nothing) -> api.Account:
        return replies.account(await self._account(session), self.dictionary, session)

    async def _order_list(self, session: Session, asked: order_api.OrderList) -> order_api.Orders:
        listed = self.dictionary.listed(asked.instrument) if asked.instrument is not None else None
        return order_replies.orders(await self._account(session), self.dictionary, listed)

    async def _order_get(self, session: Session, asked: order_api.OrderNamed) -> order_api.Order:
        words, ear = self.dictionary, await self._ear(session.account)
        with contextlib.suppress(Wrong):
            number = Known(words, ear.hearing.instrument_of, lambda number: 0, ear.hearing.order_of).order(asked.order)
            for row in (await self._account(session))["orders"]:
                if row["id"] == number and (listed := words.listed_by_number(row["instrument"])) is not None:
                    return order_replies.order(row, words, listed)
        raise unknown("order")

    async def _request_list(self, session: Session, asked: api.Nothing) -> api.Requests:
        now, ear = self._wall(), await self._ear(session.account)
        return api.Requests(requests=[replies.request(each, self.dictionary, now) for each in ear.hearing.open_requests(now)])

    async def _request_get(self, session: Session, asked: api.RequestNamed) -> api.Request:
        ear = await self._ear(session.account)
        with contextlib.suppress(Wrong):
            found = ear.hearing.requests.get(self.dictionary.id_in("request", asked.request))
            if found is not None:
                return replies.request(found, self.dictionary, self._wall())
        raise unknown("request")

    async def _invitation_list(self, session: Session, asked: api.Nothing) -> api.Invitations:
        if session.account_kind not in (AccountKind.DEALER, AccountKind.DESK):
            raise AuthError("NOT_A_DEALER", f"{session.account_name} is not one of the dealers of the house", 403)
        now, ear = self._wall(), await self._ear(session.account)
        return api.Invitations(invitations=[replies.invitation(each, self.dictionary, now) for each in ear.hearing.open_invitations(now)])

    async def _events_read(self, session: Session, asked: api.EventsRead) -> api.EventsPage:
        ear, words = await self._ear(session.account), self.dictionary
        cursor = asked.cursor or ear.hearing.next
        if cursor > ear.hearing.next:
            raise Wrong("BAD_CURSOR", "$.cursor", f"the stream has not come so far: the next number is {ear.hearing.next}")
        if cursor == ear.hearing.next and asked.wait_ms:
            await self._poll(ear, asked.wait_ms)
        page = ear.hearing.page(cursor, asked.limit)
        if page is None:
            page = await self._older(session.account, cursor, asked.limit)
        told = [{"cursor": number, **words.told(row, when)} for number, (row, when)
                in enumerate(zip(rows(page.events), page.times.tolist(), strict=True), cursor)]
        return api.EventsPage(events=told, cursor=cursor + len(told), more=cursor + len(told) < ear.hearing.next)

    async def _poll(self, ear: Ear, wait_ms: int) -> None:
        if self._polls >= MAX_WAITING_POLLS:
            raise Wrong("OVERLOAD", "$.wait_ms", f"{MAX_WAITING_POLLS} questions wait for events already; ask without wait_ms, or use the WebSocket")
        self._polls += 1
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_ms / 1000):
                    await ear.wait()
        finally:
            self._polls -= 1

    async def _older(self, account: int, cursor: int, limit: int) -> Page:
        """Events that are not kept here, read from the house."""
        heard: asyncio.Future[Page] = asyncio.get_running_loop().create_future()

        def hear(batch: Events) -> None:
            if not heard.done():
                heard.set_result(Page(batch.first, batch.events[:limit], batch.times[:limit]))

        def lost(code: Code) -> None:
            if not heard.done():
                heard.set_exception(Wrong("UNREADABLE", "$.cursor", UNREADABLE) if code is Code.UNREADABLE else DoorClosed(code.name))

        following = self.link.follow(StreamKind.ACCOUNT, account, cursor, hear, lost, credit=limit)
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                return await heard
        finally:
            following.close()

    _READS: Mapping[str, Callable[..., Any]] = {
        "account.get": _account_get, "order.list": _order_list, "order.get": _order_get, "request.list": _request_list, "request.get": _request_get,
        "invitation.list": _invitation_list, "events.read": _events_read}

    # ----------------------------------------------------------------------------------------------------------------------------- the public side
    def keys(self) -> tuple[Keys, int]:
        """The keys that count now, and for how long an answer is remembered, ns. Raises Wrong UNREACHABLE."""
        running = self._now()
        return running.keys, running.window

    async def instruments(self) -> dict[int, dict[str, int]]:
        """Rows of the instruments by number, at most SEEN_SECONDS old; read once for all who ask. Raises DoorClosed, RefusedByDoor."""
        return (await self._seen()).instruments

    async def status(self) -> api.Status:
        """Raises DoorClosed, RefusedByDoor."""
        seen, words = await self._seen(), self.dictionary
        halted = [one.symbol for one in words.instruments if seen.instruments.get(one.number, {}).get("halted")]
        return api.Status(status="halted" if seen.killed_all else "open", time=seen.time, halted=halted)

    async def _seen(self) -> Seen:
        async with self._looking:
            if self._monotonic() / SECOND - self._last.at > SEEN_SECONDS:
                _, instruments = await self.link.read("instruments")
                _, status = await self.link.read("status")
                cell = status["cell"]
                rows_by_number = {row["instrument"]: row for row in instruments["instruments"]}
                self._last = Seen(self._monotonic() / SECOND, rows_by_number, cell["time"], bool(cell["killed_all"]))
            return self._last
