"""Traders from outside, through the public client alone: each asks under ids it knows, keeps its own ledger of what it was told, and asks again under the
same id whatever it does not know. Its private stream it follows by cursor, over every break.

A `Ledger` and a `Mind` know no socket; `SocketTrader` lives in an event loop of its own thread, `RestTrader` in plain threads.
"""
import asyncio
import contextlib
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from cambist.client import ApiError, AsyncClient, Client, OutcomeUnknown

SYMBOL = "BTC-USD"
TICK, FAR = Decimal("0.5"), Decimal("0.03")             # of the book; how far from the reference an order stands, inside the collar of 5 %
LIVES_NS = 55_000_000_000                               # an id may be asked again for so long: within the answer window of 60 s
PATIENCE = 2.0                                          # seconds for an answer, then its outcome is unknown
MOST_OPEN, MOST_UNKNOWN, MOST_SHOWN = 40, 24, 64
RESUMES_EVERY = 400                                     # events after which a follower leaves and comes back by cursor, broken or not
Ask = tuple[str, dict[str, Any]]


class Asked(NamedTuple):
    name: str
    body: dict[str, Any]
    expires: int


class Answer(NamedTuple):
    """`code` of a no, or empty; `duplicate`: the house said that this is the first answer to an id asked before."""
    code: str
    body: Mapping[str, Any]
    duplicate: bool


class Ledger:
    """Every id that was asked, and what became of it. `unknown` are those without a definite answer, oldest first."""
    def __init__(self, rng: random.Random):
        self._half = rng.getrandbits(64)
        self.asked: dict[str, Asked] = {}
        self.answers: dict[str, Answer] = {}
        self.unknown: deque[str] = deque()
        self.asked_again: Counter[str] = Counter()
        self.done = 0                                   # answers that were a yes; read by other threads

    def ask(self, name: str, body: dict[str, Any]) -> str:
        """Written down before it is sent. Its 128-bit id in hex."""
        client_id = f"{self._half:016x}{len(self.asked) + 1:016x}"
        self.asked[client_id] = Asked(name, body, time.time_ns() + LIVES_NS)
        return client_id

    def settle(self, client_id: str, answer: Answer) -> None:
        assert client_id not in self.answers, f"{client_id} was answered twice"
        self.answers[client_id] = answer
        self.done += not answer.code


class Market(threading.Thread):
    """The reference price, read in public now and then."""
    def __init__(self, rest_url: str):
        super().__init__(daemon=True)
        self.reference, self.ending = Decimal(0), threading.Event()
        self._url = rest_url

    def run(self) -> None:
        with Client(self._url, timeout=PATIENCE) as client:
            while not self.ending.is_set():
                with contextlib.suppress(ApiError):
                    self.reference = Decimal(client.instrument(SYMBOL)["reference"] or self.reference)
                self.ending.wait(1.0 if self.reference else 0.1)


class Mind:
    """What a trader asks next: orders that rest far away, their changes and cancels, small requests for quotes, and the quotes it takes."""
    def __init__(self, market: Market, rng: random.Random):
        self._market, self._rng = market, rng
        self._open, self._gone = dict[str, str](), ""   # order -> side
        self._requests: deque[tuple[str, str]] = deque(maxlen=MOST_SHOWN)
        self._shown: dict[str, tuple[str, str | None, str | None]] = {}     # request -> the last quote of it, its bid and its ask

    def next(self) -> Ask | None:
        for request, side in self._requests:
            if request in self._shown:
                quote, bid, ask = self._shown.pop(request)
                self._requests.remove((request, side))
                limit = ask if side == "buy" else bid
                return ("request.accept", {"request": request, "side": side, "limit_price": limit, "quote": quote}) if limit else None
        reference, drawn = self._market.reference, self._rng.random()
        if not reference:
            return None
        side = self._rng.choice(("buy", "sell"))
        if drawn < 0.08:
            size = {"quantity": f"0.00{self._rng.randint(10, 50)}"} if drawn < 0.04 else {"quote_quantity": str(self._rng.randint(100, 400))}
            return "request.new", {"instrument": SYMBOL, "side": side, "ttl_ms": 5_000, **size}
        if self._gone and drawn < 0.12:                 # a no: it was cancelled before
            return "order.cancel", {"order": self._gone}
        if self._open and (drawn > 0.55 or len(self._open) >= MOST_OPEN):
            order = self._rng.choice(list(self._open))
            del self._open[order]
            return "order.cancel", {"order": order}
        if self._open and drawn > 0.45:
            order, side = self._rng.choice(list(self._open.items()))
            return "order.amend", {"order": order, **self._far(side, reference)}
        return "order.new", {"instrument": SYMBOL, "side": side, **self._far(side, reference), "type": "limit", "post_only": "reject"}

    def _far(self, side: str, reference: Decimal) -> dict[str, str]:
        """A price at which nobody trades, and a small quantity."""
        away = reference * (1 - FAR if side == "buy" else 1 + FAR)
        return {"price": format(away // TICK * TICK, "f"), "quantity": f"0.00{self._rng.randint(10, 99)}"}

    def answered(self, name: str, body: Mapping[str, Any]) -> None:
        if name == "order.new" and body["status"] == "open":
            self._open[body["order"]] = body["side"]
        elif name == "request.new":
            self._requests.append((body["request"], body["side"]))
        elif name == "order.cancel":
            self._gone = body["order"]

    def heard(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "quote_shown":
            self._shown[event["request"]] = (event["quote"], event.get("bid"), event.get("ask"))
            if len(self._shown) > MOST_SHOWN:
                del self._shown[next(iter(self._shown))]


class Trader(threading.Thread):
    """What both kinds share. `quiet`: nothing new is asked, only what is unknown; `ending`: nothing at all."""
    def __init__(self, key: str, account: str, pem: Path, market: Market, rng: random.Random, per_second: float):
        super().__init__(daemon=True, name=f"{type(self).__name__} {key}")
        self.key, self.account, self.pem, self.rng = key, account, pem, rng
        self.ledger, self.mind, self.pause = Ledger(rng), Mind(market, rng), 1.0 / per_second
        self.quiet, self.ending = threading.Event(), threading.Event()
        self.cursor, self.heard, self.breaks = 1, list[Mapping[str, Any]](), 0
        self.fault: BaseException | None = None

    def run(self) -> None:
        try:
            self.trade()
        except BaseException as fault:  # noqa: BLE001  looked at by the test
            self.fault = fault

    def trade(self) -> None:
        raise NotImplementedError

    def hear(self, event: Mapping[str, Any]) -> None:
        assert event["cursor"] == self.cursor, f"{self.name} heard number {event['cursor']} where {self.cursor} is next"
        self.cursor += 1
        self.heard.append(event)
        self.mind.heard(event)

    def settle(self, client_id: str, told: Mapping[str, Any], duplicate: bool) -> None:
        self.ledger.settle(client_id, Answer("", told, duplicate))
        self.mind.answered(self.ledger.asked[client_id].name, told)

    def refuse(self, client_id: str, fault: ApiError) -> None:
        """A no, or no word. Which of them it is the client must know; the log will tell whether it was right."""
        if isinstance(fault, OutcomeUnknown):
            self.ledger.unknown.append(client_id)
        else:
            self.ledger.settle(client_id, Answer(fault.code, {}, False))

    def next_ask(self) -> tuple[str, Asked] | None:
        """Something new, unless it is to be quiet or knows too little of what it asked."""
        made = None if self.quiet.is_set() or len(self.ledger.unknown) >= MOST_UNKNOWN else self.mind.next()
        if made is None:
            return None
        client_id = self.ledger.ask(*made)
        return client_id, self.ledger.asked[client_id]

    def options(self, client_id: str, asked: Asked) -> dict[str, Any]:
        """How it is asked: its id and expiry were chosen before the first time."""
        return {"client_id": client_id, "expires": asked.expires, "again": client_id in self.ledger.asked_again}

    def next_unknown(self) -> tuple[str, Asked] | None:
        if not self.ledger.unknown:
            return None
        client_id = self.ledger.unknown.popleft()
        self.ledger.asked_again[client_id] += 1
        return client_id, self.ledger.asked[client_id]

    @property
    def settled(self) -> bool:
        """Everything it asked has a definite answer."""
        return len(self.ledger.answers) == len(self.ledger.asked)


class SocketTrader(Trader):
    """AsyncClient: several calls under way at once, and the private channel."""
    def __init__(self, url: str, *more: Any, at_once: int = 4):
        super().__init__(*more)
        self.url, self.at_once = url, at_once

    def trade(self) -> None:
        asyncio.run(self._trade())

    async def _trade(self) -> None:
        async with AsyncClient(self.url, self.key, self.pem, timeout=60.0) as client, asyncio.TaskGroup() as group:
            working = [group.create_task(self._work(client)) for _ in range(self.at_once)]
            working += [group.create_task(self._ask_again(client)), group.create_task(self._follow(client))]
            while not self.ending.is_set():
                await asyncio.sleep(0.05)
            for task in working:
                task.cancel()

    async def _work(self, client: AsyncClient) -> None:
        while True:
            made = self.next_ask()
            if made is not None:
                await self._ask(client, *made)
            await asyncio.sleep(self.rng.uniform(0.5, 1.5) * self.pause * self.at_once)

    async def _ask_again(self, client: AsyncClient) -> None:
        while True:
            made = self.next_unknown()
            if made is not None:
                await self._ask(client, *made)
            await asyncio.sleep(0.01 if self.ledger.unknown else 0.1)

    async def _ask(self, client: AsyncClient, client_id: str, asked: Asked) -> None:
        try:
            told = await client.call(asked.name, asked.body, timeout=PATIENCE, **self.options(client_id, asked))
        except ApiError as fault:
            self.refuse(client_id, fault)
        else:
            self.settle(client_id, told, told.duplicate)

    async def _follow(self, client: AsyncClient) -> None:
        while True:
            try:
                async with contextlib.aclosing(client.events(self.cursor)) as events:
                    async for event in events:
                        self.hear(event)
                        if len(self.heard) % RESUMES_EVERY == 0:
                            break
            except ApiError:
                self.breaks += 1
                await asyncio.sleep(0.1)


class RestTrader(Trader):
    """The plain client: one call after the other, and pages of events."""
    def __init__(self, url: str, *more: Any):
        super().__init__(*more)
        self.url = url

    def trade(self) -> None:
        following = threading.Thread(target=self._follow_to_the_end, daemon=True)
        following.start()
        with Client(self.url, self.key, self.pem, timeout=PATIENCE) as client:
            while not self.ending.is_set():
                made = self.next_unknown() or self.next_ask()
                if made is not None:
                    self._ask(client, *made)
                time.sleep(self.rng.uniform(0.5, 1.5) * self.pause)
        following.join(10)

    def _ask(self, client: Client, client_id: str, asked: Asked) -> None:
        try:
            told = client.call(asked.name, asked.body, **self.options(client_id, asked))
        except ApiError as fault:
            self.refuse(client_id, fault)
        else:
            self.settle(client_id, told, told.duplicate)

    def _follow_to_the_end(self) -> None:
        try:
            with Client(self.url, self.key, self.pem, timeout=PATIENCE) as client:
                while not self.ending.is_set():
                    try:
                        page = client.read_events(self.cursor, limit=200, wait_ms=500)
                    except ApiError:
                        self.breaks += 1
                        continue
                    for event in page["events"]:
                        self.hear(event)
        except BaseException as fault:  # noqa: BLE001  looked at by the test
            self.fault = fault
