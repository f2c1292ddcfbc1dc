"""The house as the portal reaches it: one link, the stream of everything kept as history and market, accounts read when they changed, commands asked for.

Decides when something is read again, and that a command is written down before it goes out and goes out once. What events and views mean is the files beside
it. While the node is gone pages still show what was heard; only sending is refused, or its outcome unknown until it is looked up.
"""
import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import structlog

from cambist.design import read_design
from cambist.dictionary import Dictionary, Wrong, read_client_id
from cambist.door.client import Code, DoorClosed, Events, Outcome, RefusedByDoor, StreamKind
from cambist.messages import CONFIGURE, Event, Kind, Side, command
from cambist.opaque import Opaque
from cambist.ops.history_shell import History
from cambist.ops.portal.market import TRADES, Market
from cambist.ops.portal.ordering import trimmed
from cambist.ops.portal.sending import ANSWERED, SENT, UNSENT, VALID_NS, Sent, became, looked_up
from cambist.ops.portal.sent_shell import SentBook
from cambist.ops.web.guards import Fault
from cambist.ops.web.live_shell import Hub
from cambist.ops.web.sessions import command_id

CHANGES = (Event.SESSION_CHANGED, Event.TERMS_CHANGED, Event.DIGITS_CHANGED)
LATCHES = frozenset({Kind.HALT, Kind.RESUME, Kind.KILL, Kind.REVIVE, Kind.KILL_ALL, Kind.REVIVE_ALL})
ANSWER_SECONDS, HEARD_SECONDS = 5.0, 1.0                # for an outcome; for it to be in our history too
ACCOUNT_SECONDS = 0.4                                   # an account that changes all the time is read at most this often
LATCH_SECONDS, LOOK_UP_SECONDS = 10.0, 1.0
MAX_ATTEMPTS = 50                                       # of one act, such as cancelling one order
OWN_ORDERS = 5_000                                      # orders sent from here whose fills are announced
RECENT_NS = 15 * 10**9

log = structlog.get_logger("portal")


class LinkLike(Protocol):
    """What is used of door.link_shell.Link."""
    connected: bool
    on_change: list[Callable[[bool], None]]

    async def start(self, timeout: float | None = ...) -> None: ...
    async def close(self) -> None: ...
    async def read(self, view: str, at_least: int = 0, **argument: int) -> tuple[int, dict[str, Any]]: ...
    async def ask(self, record: np.ndarray, timeout: float = ..., attachments: bytes = b"") -> Outcome: ...
    def follow(self, stream: StreamKind, account: int, cursor: int, heard: Callable[[Events], None], lost: Callable[[Code], None] | None = ...,
               *, patient: bool = ...) -> Any: ...


class Trader(NamedTuple):
    """A person of a client: who, with which key, for which account."""
    person: str
    actor: int
    account: int
    account_name: str
    about: str


class Latches(NamedTuple):
    """What is stopped: everything, instruments by number, accounts by number."""
    killed_all: bool = False
    halted: frozenset[int] = frozenset()


class Reach:
    """`words` is None until the node was reached once. `make_history(identity)` opens our copy of the stream."""

    def __init__(self, link: LinkLike, opaque: Opaque, make_history: Callable[[str], History], sent: SentBook, hub: Hub, say: Callable[[str], None],
                 clock: Callable[[], int] = time.time_ns) -> None:
        self.link, self.sent, self.hub, self.market = link, sent, hub, Market()
        self.words: Dictionary | None = None
        self._design_text = ""
        self.latches, self.clock = Latches(), clock
        self._opaque, self._make_history, self._say = opaque, make_history, say
        self._history: History | None = None
        self._following: Any = None
        self._accounts: dict[int, tuple[float, dict[str, Any]]] = {}
        self._dirty: set[int] = set()
        self._reading: dict[int, asyncio.Lock] = {}
        self._own_orders: OrderedDict[int, None] = OrderedDict()
        self._stale = asyncio.Event()                   # the design or a latch may have changed
        self._tasks: list[asyncio.Task[None]] = []

    # -------------------------------------------------------------------------------------------------------------------------------- the house
    async def run(self) -> None:
        """Reaches the node, however long that takes, and follows it from then on."""
        self.link.on_change.append(self._changed)
        await self.link.start(None)
        while self._history is None:
            try:
                await self._learn()
                await self._begin()
            except (RefusedByDoor, DoorClosed) as fault:
                self._say(f"waiting for the house: {fault}")
                await asyncio.sleep(0.5)
        self._tasks = [asyncio.create_task(self._keep_learning()), asyncio.create_task(self._keep_looking_up())]
        self.hub.tell("house")

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._following is not None:
            self._following.close()
        await self.link.close()
        if self._history is not None:
            self._history.close()

    async def _learn(self) -> None:
        _, told = await self.link.read("design")
        _, state = await self.link.read("instruments")
        _, status = await self.link.read("status")
        self.latches = Latches(bool(status["cell"]["killed_all"]), frozenset(row["instrument"] for row in state["instruments"] if row["halted"]))
        for row in state["instruments"]:
            tape = self.market.tape(row["instrument"])
            tape.call(row.get("session", 0), row.get("next_session", 0), row.get("auction_ends", 0))
            if row["reference"] and not tape.reference:
                tape.refer(row["reference"], 0, status["cell"]["time"])
        if self._design_text != told["text"]:
            self._design_text, self.words = told["text"], Dictionary(read_design(told["text"], "the running design"), told["names"], self._opaque)

    async def _begin(self) -> None:
        """The books first, then the stream from where our history stands: levels told before a book was read change nothing in it."""
        words = self.dictionary
        self.market.put_books({one.number: await self.link.read("book", instrument=one.number) for one in words.instruments})
        _, status = await self.link.read("status")
        self._history = self._make_history(f"cell {status['cell']['cell']}")
        for one in words.instruments:
            self.market.tape(one.number).remember(self._history.events(kinds=(Event.FILLED,), instrument=one.number, limit=2 * TRADES))
        self._follow()

    def _follow(self) -> None:
        self._following = self.link.follow(StreamKind.ALL, 0, self.history.cursor, self._hear, self._unfollowed, patient=True)

    def _unfollowed(self, code: Code) -> None:
        """The node has told less than we have: it is another house's log, or an older one. Our copy is made again."""
        self._say(f"the stream ended ({code.name}); history is read again from the beginning")
        log.warning("history is read again", code=code.name)
        self.history.clear()
        asyncio.get_running_loop().call_later(1.0, self._follow)

    @property
    def history(self) -> History:
        """Raises Fault HOUSE_UNREACHABLE before the node was reached once."""
        if self._history is None:
            raise unreachable()
        return self._history

    @property
    def dictionary(self) -> Dictionary:
        if self.words is None:
            raise unreachable()
        return self.words

    def trader(self, person: str) -> Trader | None:
        """The client account a person trades for, by the first enabled key of theirs that has one."""
        words = self.dictionary
        for name, key in words.design.keys.items():
            if key.person == person and key.enabled and key.account in words.design.clients and name in words.names["actors"]:
                return Trader(person, words.names["actors"][name], words.names["accounts"][key.account], key.account, words.design.people[person].about)
        return None

    def references(self) -> dict[int, int]:
        """The reference price of each instrument that has one."""
        return {one.number: price for one in self.dictionary.instruments if (price := self.market.tape(one.number).reference)}

    # ---------------------------------------------------------------------------------------------------------------------------------- hearing
    def _changed(self, connected: bool) -> None:
        self._say("following the house" if connected else "the house is not reachable; waiting for it")
        if connected:
            self._stale.set()
        self.hub.tell("house")

    def _hear(self, batch: Events) -> None:
        self.history.add(batch)
        events = batch.events
        topics = {f"market:{number}" for number in self.market.hear(events, batch.times)}
        accounts = {int(each) for each in np.unique(events["account"]) if each}
        self._dirty |= accounts
        topics |= {f"account:{each}" for each in accounts}
        if len(events) and (np.isin(events["command"], [*CONFIGURE, *LATCHES]).any() or np.isin(events["kind"], CHANGES).any()):
            self._stale.set()
        if len(events) and int(batch.times[-1]) > self.clock() - RECENT_NS:
            self._announce(events)
        self.hub.tell(*topics)

    def _announce(self, events: np.ndarray) -> None:
        """A toast for what an order that was sent from here filled, one for a batch."""
        filled: dict[tuple[int, int, int, int], tuple[int, int]] = {}       # account, order, instrument, side -> quantity, amount
        for row in events[np.isin(events["kind"], (Event.ORDER_ACCEPTED, Event.FILLED))]:
            if row["kind"] == Event.ORDER_ACCEPTED:
                if self.sent.find(int(row["account"]), int(row["id_hi"]), int(row["id_lo"])) is not None:
                    self._own_orders[int(row["id"])] = None
                    while len(self._own_orders) > OWN_ORDERS:
                        self._own_orders.popitem(last=False)
            elif int(row["id"]) in self._own_orders:
                about = int(row["account"]), int(row["id"]), int(row["instrument"]), int(row["side"])
                quantity, amount = filled.get(about, (0, 0))
                filled[about] = quantity + int(row["quantity"]), amount + int(row["amount"])
        words = self.dictionary
        for (account, _, instrument, side), (quantity, amount) in filled.items():
            if (one := words.listed_by_number(instrument)) is not None:
                price = words.price_out(amount * one.terms.amount_den // (quantity * one.terms.amount_num), one)
                did, size = "Bought" if side == Side.BUY else "Sold", trimmed(words.quantity_out(quantity, one))
                self.hub.note(f"account:{account}", "good", f"{did} {size} {words.asset_name(one.base)} at {trimmed(price)}", "/history?list=fills")

    async def _keep_learning(self) -> None:
        while True:
            try:
                async with asyncio.timeout(LATCH_SECONDS):
                    await self._stale.wait()
            except TimeoutError:
                if not self.link.connected:
                    continue
            self._stale.clear()
            before = self.latches, self.words
            try:
                await self._learn()
            except (RefusedByDoor, DoorClosed) as fault:
                log.info("the design could not be read", why=str(fault))
            if before != (self.latches, self.words):
                self.hub.tell("house")

    # --------------------------------------------------------------------------------------------------------------------------------- accounts
    def killed(self, number: int) -> bool:
        """Whether the account was stopped by a kill switch, when it was last read."""
        kept = self._accounts.get(number)
        return bool(kept and kept[1]["account"]["killed"])

    async def account(self, number: int, at_once: bool = False) -> dict[str, Any]:
        """The view of one account, as new as what was heard of it; while it changes all the time, ACCOUNT_SECONDS old. Raises Fault HOUSE_UNREACHABLE."""
        async with self._reading.setdefault(number, asyncio.Lock()):
            read, kept = self._accounts.get(number, (0.0, None))
            if kept is not None and number not in self._dirty:
                return kept
            age = time.monotonic() - read
            if kept is not None and (not self.link.connected or (age < ACCOUNT_SECONDS and not at_once)):
                asyncio.get_running_loop().call_later(ACCOUNT_SECONDS, self.hub.tell, f"account:{number}")
                return kept
            self._dirty.discard(number)
            try:
                _, told = await self.link.read("account", account=number)
            except (RefusedByDoor, DoorClosed):
                self._dirty.add(number)
                raise unreachable() from None
            self._accounts[number] = time.monotonic(), told
            return told

    # ---------------------------------------------------------------------------------------------------------------------------------- sending
    async def send(self, trader: Trader, kind: Kind, id_text: str, words: str, **fields: int) -> Sent:
        """One command under the id its form carries. What was sent before under it is not sent again; its state is returned. Raises Fault."""
        try:
            id_hi, id_lo = read_client_id(id_text, "id")
        except Wrong as wrong:
            raise Fault(422, wrong.code, "This form has lost its id. Nothing was sent; load the page again.") from None
        now = self.clock()
        sent = Sent(trader.account, id_hi, id_lo, int(kind), words, now, now + VALID_NS, SENT)
        if not self.link.connected:
            raise Fault(503, "HOUSE_UNREACHABLE", "The house is not reachable. Nothing was sent.", again=2)
        if (before := self.sent.add(sent)) is not None:
            return before
        record = command(kind, account=trader.account, actor=trader.actor, id_hi=id_hi, id_lo=id_lo, received=now, expires=sent.expires, **fields)
        try:
            outcome = await self.link.ask(record, timeout=ANSWER_SECONDS)
        except RefusedByDoor as refused:
            self.sent.close_with(sent, UNSENT)
            raise Fault(503, f"DOOR_{refused.code.name}", "The house takes nothing at this moment. Nothing was done.", again=2) from None
        except DoorClosed:
            return sent
        if outcome.events is None:
            return sent
        sent = self.sent.close_with(sent, ANSWERED)
        if trader.account in self._accounts:
            self._dirty.add(trader.account)
            self._accounts[trader.account] = 0.0, self._accounts[trader.account][1]     # whoever acted sees what it did at once
        await self._in_history(sent)
        return sent

    async def _in_history(self, sent: Sent) -> None:
        """Until our history has the answer too, so that the next page shows it; at most HEARD_SECONDS."""
        until = time.monotonic() + HEARD_SECONDS
        while time.monotonic() < until and not self.answer(sent):
            await asyncio.sleep(0.01)

    def answer(self, sent: Sent) -> list[dict[str, int]]:
        """The events that echo its id, oldest first."""
        return self.history.of_client_id(sent.account, sent.id_hi, sent.id_lo)

    def form_id(self, key: bytes, account: int, *about: object) -> str:
        """The id a form carries that is drawn again and again: the same until what was sent under it was refused or never done, then the next."""
        for attempt in range(MAX_ATTEMPTS):
            made = command_id(key, account, *about, attempt)
            sent = self.sent.find(account, *read_client_id(made))
            if sent is None or sent.state == SENT:
                return made
            if sent.state == ANSWERED and not ((told := self.answer(sent)) and told[0]["kind"] == Event.REFUSED):
                return made
        raise Fault(409, "TOO_OFTEN", f"This was tried {MAX_ATTEMPTS} times; look at why it is refused.")

    def find(self, trader: Trader, id_text: str) -> Sent | None:
        """What this account sent under an id."""
        return self.sent.find(trader.account, *read_client_id(id_text, "told")) if id_text else None

    async def _keep_looking_up(self) -> None:
        """What has no outcome is looked up, never sent again."""
        while True:
            await asyncio.sleep(LOOK_UP_SECONDS)
            waiting = [sent for sent in self.sent.unknown() if self.clock() - sent.at > ANSWER_SECONDS * 10**9]
            if waiting and self.link.connected:
                try:
                    await self._look_up(waiting)
                except (RefusedByDoor, DoorClosed) as fault:
                    log.info("what was sent could not be looked up", why=str(fault))

    async def _look_up(self, waiting: list[Sent]) -> None:
        _, status = await self.link.read("status")
        log_time = status["cell"]["time"]
        for sent in waiting:
            _, told = await self.link.read("answer", account=sent.account, id_hi=sent.id_hi, id_lo=sent.id_lo)
            state = looked_up(sent, told["known"] or bool(self.answer(sent)), log_time)
            if state != SENT:
                outcome = became(self.sent.close_with(sent, state), told["events"] or self.answer(sent), self.dictionary)
                self.hub.note(f"account:{sent.account}", outcome.tone, f"{outcome.headline}: {outcome.words}", f"/sent/{sent.id}")
                self.hub.tell(f"account:{sent.account}")


def unreachable() -> Fault:
    return Fault(503, "HOUSE_UNREACHABLE", "The house is not reachable. What you sent last, if it shows no outcome, is unknown: it will be looked up.", again=2)
