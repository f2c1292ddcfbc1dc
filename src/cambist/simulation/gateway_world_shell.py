"""The gateway in the loop: the production `House` behind an imitated HTTP, where each message may be lost, doubled, late or overtaken, and its clients.

Decides how a client of the API behaves that does it right: one id for one wish, the same bytes again while the outcome is unknown. It checks what such a
client may rely on: the first definite answer is the answer, it is what the log says, and nothing of a request is changed on its way in.

Real are throttles, signatures (of a share of the requests), scopes, words and ids, what is asked of the house and how long it waits. Not here: the HTTP and
WebSocket servers.
"""
from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cambist.client.signing import request_headers
from cambist.door.client import DoorClosed
from cambist.door.link_shell import Answer as DoorAnswer, Link
from cambist.gateways.api import Answer
from cambist.gateways.auth import AuthError, verify
from cambist.gateways.house_shell import House
from cambist.gateways.operations import OPERATIONS
from cambist.gateways.throttle import Limits, Rate, Throttle
from cambist.messages import Event
from cambist.opaque import Opaque
from cambist.simulation.audit.auditor import read
from cambist.simulation.faults import MS
from cambist.simulation.programs_shell import LINK, World
from cambist.simulation.virtual_loop_shell import PROCESS, Process, VirtualLoop, within
from cambist.simulation.workload import Market

IDS_KEY = bytes(range(16))
OF_THE_API = 0x0ABC                                     # how the ids of the API's clients begin
LIMITS = Limits(business=Rate(150, 40), cancels=Rate(150, 40), reads=Rate(40, 20), all_business=Rate(400, 100), all_cancels=Rate(400, 100),
                all_reads=Rate(80, 40))
PATIENCE_SECONDS = 7.0                                  # for a reply; then the same again
TRIES = 12
SIGNED_SHARE = 0.15
NOT_DONE = (429, 503, 504)                              # say nothing of the outcome
SYMBOLS = ("BTC-USD", "XRP-USD", "BTC-USD-PF")


class GatewayWorld(World, Protocol):
    """What the gateway and its clients are given."""
    loop: VirtualLoop
    def told_of(self, account: int, client_id: tuple[int, int]) -> tuple[int, int, int] | None:
        """(kind, reason, id) of the first answer that the log has for this id."""
        ...
    def kind_told(self, account: int, number: int) -> int:
        """Which kind of event the account's stream has under this number; 0 if nobody heard it yet."""
        ...
    def asked_with(self, kind: int, client_id: tuple[int, int]) -> bytes | None:
        """The command that went in with this id."""
        ...


class Request(NamedTuple):
    """One message to the gateway."""
    operation: str
    body: bytes
    client_id: str
    expires: int
    headers: Mapping[str, str]
    key: str


class Gateway:
    """The process of the gateway: `live` in it; `receive` is called there for each message."""
    def __init__(self, world: GatewayWorld, keys: Mapping[str, Ed25519PrivateKey], process: Process) -> None:
        self.world, self.keys, self.process = world, keys, process
        self.house: House | None = None

    async def live(self) -> None:
        world = self.world
        link = Link(world.door, **LINK)
        forward = link.post

        def post(records: np.ndarray, attachments: bytes, answered: Callable[[DoorAnswer], None]) -> None:
            world.sent("gateway", records)
            forward(records, attachments, answered)
        link.post = post
        public = {name: key.public_key() for name, key in self.keys.items()}
        house = House(link, IDS_KEY, lambda design: public, Throttle(LIMITS), world.clock.wall, world.clock.monotonic)
        while True:
            try:
                await house.start()
                break
            except DoorClosed:
                await asyncio.sleep(0.1)
        self.house = house
        while not world.faults.hits("gateway", 0.2):
            await asyncio.sleep(0.2)
        world.loop.kill(self.process)

    def receive(self, request: Request, reply: Callable[[Answer], None]) -> None:
        asyncio.get_running_loop().create_task(self._perform(request, reply))

    async def _perform(self, request: Request, reply: Callable[[Answer], None]) -> None:
        if self.house is None or self.house.running is None:
            return                                      # nobody listens yet: the client hears nothing
        house, operation = self.house, OPERATIONS[request.operation]
        keys, window = house.keys()
        client_id: Any = request.client_id
        expires: int | None = request.expires
        try:
            if request.headers:
                headers = {name.lower(): value for name, value in request.headers.items()}
                signed = verify(operation.method, operation.path, headers, request.body, self.world.clock.wall(), keys, window)
                session, client_id, expires = signed.session, signed.client_id, signed.expires
            else:
                found = keys.find(request.key)
                assert found is not None
                session = found.session
        except AuthError as fault:
            reply(house.not_done(fault, request.operation))
            return
        reply(await house.perform(request.operation, session, request.body, client_id, expires))


class Wish:
    """One thing a client wants done once."""
    def __init__(self, operation: str, body: dict[str, Any], number: int, account: int) -> None:
        self.operation, self.body, self.account = operation, msgspec.json.encode(body), account
        self.words, self.client_id = body, ((OF_THE_API << 16) + account, number)
        self.text = f"{self.client_id[0]:016x}{number:016x}"
        self.expires = 0
        self.answer: Answer | None = None


class ApiClient:
    """A program of a client at the API. `call` is how its messages reach the gateway, if they do."""

    def __init__(self, world: GatewayWorld, market: Market, key: str, chance: random.Random, signer: Ed25519PrivateKey,
                 call: Callable[[Request, Callable[[Answer], None]], None]) -> None:
        self.world, self.market, self.key, self.chance, self._signer, self._call = world, market, key, chance, signer, call
        self.account = market.accounts[market.design.keys[key].account]
        self.name = f"api {key}"
        self.orders: list[str] = []
        self.requests: dict[str, dict[str, Any]] = {}
        self.waiting = self.definite = self.unknown = 0
        self.refused: dict[tuple[int, int], str] = {}                   # what was told not to be done, and why
        self._number = 0
        self._cursor = 1
        self._opaque = Opaque(IDS_KEY)

    async def live(self) -> None:
        while True:
            await asyncio.sleep(self.chance.random() * 0.25)
            if self.waiting >= 6 or not self.world.wanted():
                continue
            if self.world.faults.hits("overload", 0.12):
                self._flood()
            if self.chance.random() < 0.05:
                asyncio.get_running_loop().create_task(self._forbidden())
            act = self.chance.choices((self._order, self._change, self._ask, self._accept, self._pay, self._look), (8, 6, 2, 3, 0.7, 2))[0]
            if (made := act()) is not None:
                asyncio.get_running_loop().create_task(self._carry_out(made))

    # ------------------------------------------------------------------------------------------------------------------- wishes
    def _wish(self, operation: str, **body: Any) -> Wish:
        self._number += 1
        return Wish(operation, body, self._number, self.account)

    def _symbol(self) -> tuple[str, int]:
        at = self.chance.randrange(len(SYMBOLS))
        return SYMBOLS[at], at + 1

    def _price(self, number: int) -> str:
        one = self.market.listings[number]
        return _decimal(max(self.market.mids[number] // one.tick * one.tick + one.tick * self.chance.randint(-10, 10), one.tick), 5 if number == 2 else 1)

    def _size(self, number: int) -> str:
        one = self.market.listings[number]
        return _decimal(one.lot * self.chance.randint(1, 400), 6 if number == 2 else 8)

    def _order(self) -> Wish:
        symbol, number = self._symbol()
        return self._wish("order.new", instrument=symbol, side=self.chance.choice(("buy", "sell")), quantity=self._size(number), price=self._price(number),
                          time_in_force=self.chance.choice(("gtc", "gtc", "ioc", "fok")), self_trade=self.chance.choice(("cancel_oldest", "decrement")))

    def _change(self) -> Wish | None:
        if not self.orders:
            return None
        order = self.orders.pop(self.chance.randrange(len(self.orders)))
        if self.chance.random() < 0.7:
            return self._wish("order.cancel", order=order)
        _, number = self._symbol()
        return self._wish("order.amend", order=order, price=self._price(number), quantity=self._size(number))

    def _ask(self) -> Wish | None:
        if "trade" not in self.market.design.keys[self.key].scopes or self.market.design.keys[self.key].account in self.market.design.dealers:
            return None
        symbol, number = self._symbol()
        return self._wish("request.new", instrument=symbol, side=self.chance.choice(("buy", "sell", "both")), quantity=self._size(number), ttl_ms=5000)

    def _accept(self) -> Wish | None:
        """Of a request that shows a quote; first it is looked at."""
        for request, seen in list(self.requests.items()):
            quotes = [quote for quote in seen.get("quotes", ()) if quote.get("ask") or quote.get("bid")]
            if quotes:
                quote = self.chance.choice(quotes)
                side = "buy" if quote.get("ask") else "sell"
                del self.requests[request]
                return self._wish("request.accept", request=request, side=side, quote=quote["quote"], limit_price=quote["ask"] or quote["bid"])
            return self._wish("request.get", request=request)
        return None

    def _pay(self) -> Wish | None:
        if "transfer" not in self.market.design.keys[self.key].scopes:
            return None
        return self._wish("transfer.new", to="borea" if self.key.startswith("acme") else "acme", asset="USD", amount=_decimal(self.chance.randint(1, 10**9), 6))

    def _look(self) -> Wish:
        if self.chance.random() < 0.5:
            return self._wish("events.read", cursor=self._cursor, limit=50)
        return self._wish(self.chance.choice(("account.get", "order.list")))

    def _flood(self) -> None:
        """Far more than is let in, at once."""
        for _ in range(60):
            wish = self._wish("account.get")
            asyncio.get_running_loop().create_task(self._once(wish))

    async def _forbidden(self) -> None:
        """What must not be let in: another key's signature, or an operation without its scope."""
        forged = self.chance.random() < 0.5
        if forged:
            wish = self._wish("order.cancel_all")
        elif "transfer" not in self.market.design.keys[self.key].scopes:
            wish = self._wish("transfer.new", to="acme" if not self.key.startswith("acme") else "borea", asset="USD", amount="1.000000")
        else:
            return
        row, signer = OPERATIONS[wish.operation], key_of("a stranger") if forged else self._signer
        expires = self.world.clock.wall() + 5000 * MS
        headers = request_headers(signer, self.key, row.method, row.path, wish.body, expires, wish.text)

        def reply(answer: Answer) -> None:
            if answer.status not in (401, 403, 503, 504):
                why = "its signature was forged" if forged else "its key has no scope"
                self.world.wrong(f"{self.name}: {wish.operation} is answered with {answer.status}, and {why}")
        self._call(Request(wish.operation, wish.body, wish.text, expires, headers, self.key), reply)

    # ------------------------------------------------------------------------------------------------------------------ messages
    async def _carry_out(self, wish: Wish) -> None:
        """Until the outcome is definite, or the id is worth nothing any more."""
        self.waiting += 1
        try:
            wish.expires = self.world.clock.wall() + 25_000 * MS
            for attempt in range(TRIES):
                if self.world.faults.hits("double"):
                    asyncio.get_running_loop().create_task(self._once(wish))
                answer = await self._once(wish)
                if answer is not None and answer.status not in NOT_DONE:
                    self._learn(wish, answer)
                    return
                if self.world.clock.wall() > wish.expires:
                    break
                await asyncio.sleep(0.1 * (attempt + 1))
            self.unknown += 1
        finally:
            self.waiting -= 1

    async def _once(self, wish: Wish) -> Answer | None:
        """One try: the message may be lost on its way there or back; None then."""
        heard: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def reply(answer: Answer) -> None:
            if not heard.done():
                heard.set_result(answer)
        headers: dict[str, str] = {}
        if self.chance.random() < SIGNED_SHARE:
            row = OPERATIONS[wish.operation]
            headers = request_headers(self._signer, self.key, row.method, row.path, wish.body, max(wish.expires, self.world.clock.wall() + 1000 * MS),
                                      wish.text if row.changes else "")
        self._call(Request(wish.operation, wish.body, wish.text, wish.expires or self.world.clock.wall() + 25_000 * MS, headers, self.key), reply)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                answer = await heard
        except TimeoutError:
            return None
        self._check(wish, answer)
        return answer

    # ---------------------------------------------------------------------------------------------------------------- what it may rely on
    def _check(self, wish: Wish, answer: Answer) -> None:
        if not OPERATIONS[wish.operation].changes or answer.status in NOT_DONE:
            return
        body = msgspec.to_builtins(answer.body)
        code = body.get("error", {}).get("code", "")
        first = self.world.told_of(self.account, wish.client_id)
        if answer.status >= 400:
            if first is not None and first[0] not in (Event.REFUSED, Event.DUPLICATE) and code not in ("EXPIRED", "EXPIRES_TOO_LATE", "ID_USED"):
                self.world.wrong(f"{self.name}: {wish.operation} {wish.text} is refused as {code}, and the log says {Event(first[0]).name}")
            if wish.operation in ("order.new", "transfer.new") or code == "UNKNOWN":        # of the others a copy may be refused for what its like has done
                self.refused.setdefault(wish.client_id, code)
            return
        if first is None or first[0] == Event.REFUSED:
            self.world.wrong(f"{self.name}: {wish.operation} {wish.text} is answered with {answer.status}, and the log says "
                             f"{'nothing of it' if first is None else 'REFUSED'}")
        elif wish.operation == "order.new" and first[0] == Event.ORDER_ACCEPTED and self._opaque.number("order", body["order"]) != first[2]:
            self.world.wrong(f"{self.name}: {wish.text} is answered with another order than the log has")
        self._unchanged(wish)
        if wish.answer is not None and wish.answer.status != answer.status:
            self.world.wrong(f"{self.name}: {wish.operation} {wish.text} was answered with {wish.answer.status} and is now answered with {answer.status}")
        wish.answer = wish.answer or answer

    def finished(self) -> None:
        """What was told not to be done was never done, later either."""
        for client_id, code in self.refused.items():
            first = self.world.told_of(self.account, client_id)
            if first is not None and first[0] not in (Event.REFUSED, Event.DUPLICATE) and code not in ("EXPIRED", "EXPIRES_TOO_LATE", "ID_USED"):
                self.world.wrong(f"{self.name}: {client_id[1]} was refused as {code}, and in the end the log says {Event(first[0]).name}")

    def _unchanged(self, wish: Wish) -> None:
        """What went into the log is what was asked for."""
        data = self.world.asked_with(int(OPERATIONS[wish.operation].kind or 0), wish.client_id)
        if data is None or wish.operation not in ("order.new", "transfer.new", "request.accept"):
            return
        c, words = read(data, 0), wish.words
        right = {"account": self.account}
        if wish.operation == "order.new":
            number = SYMBOLS.index(words["instrument"]) + 1
            right |= {"side": int(words["side"] == "sell"), "instrument": number, "price": _number(words["price"], 5 if number == 2 else 1),
                      "quantity": _number(words["quantity"], 6 if number == 2 else 8),
                      "time_in_force": ("gtc", "ioc", "fok").index(words["time_in_force"])}
        elif wish.operation == "transfer.new":
            right |= {"to": self.market.accounts[words["to"]], "amount": _number(words["amount"], 6)}
        else:
            right |= {"side": int(words["side"] == "sell")}
        for name, value in right.items():
            if getattr(c, name) != value:
                self.world.wrong(f"{self.name}: {wish.operation} {wish.text} went into the log with {name} {getattr(c, name)}; {value} was asked for")

    def _learn(self, wish: Wish, answer: Answer) -> None:
        self.definite += 1
        if answer.status >= 400:
            return
        body = msgspec.to_builtins(answer.body)
        if wish.operation in ("order.new", "order.amend") and body.get("status") == "open":
            self.orders = [*self.orders[-30:], body["order"]]
        elif wish.operation in ("request.new", "request.get") and "request" in body:
            if wish.operation == "request.get" and not body.get("quotes"):
                self.requests.pop(body["request"], None)
            else:
                self.requests[body["request"]] = body
        elif wish.operation == "events.read":
            asked = wish.words["cursor"]
            for number, each in enumerate(body["events"], asked):
                if each["cursor"] != number:
                    self.world.wrong(f"{self.name}: event {each['cursor']} is read where {number} is next")
                kind = self.world.kind_told(self.account, number)
                if kind and each["event"] != Event(kind).name.lower():
                    self.world.wrong(f"{self.name}: event {number} is read as {each['event']}; its stream has {Event(kind).name.lower()} there")
            if body["cursor"] != asked + len(body["events"]):
                self.world.wrong(f"{self.name}: the next cursor is told as {body['cursor']}; right would be {asked + len(body['events'])}")
            self._cursor = max(self._cursor, body["cursor"])


def _decimal(value: int, digits: int) -> str:
    text = str(value).rjust(digits + 1, "0")
    return f"{text[:-digits]}.{text[-digits:]}"


def _number(text: str, digits: int) -> int:
    whole, _, part = text.partition(".")
    return int(whole + part.ljust(digits, "0")[:digits])


def key_of(name: str) -> Ed25519PrivateKey:
    """A key that is the same every time."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())


class Post:
    """The way between API clients and the gateway: each message by itself, lost, doubled, late or overtaken."""
    def __init__(self, world: GatewayWorld, chance: random.Random) -> None:
        self.world, self.chance = world, chance
        self.gateway: Gateway | None = None

    def call(self, request: Request, reply: Callable[[Answer], None]) -> None:
        home, gateway = within(PROCESS.get()), self.gateway

        def answered(answer: Answer) -> None:
            self._carry(reply, answer, context=home)
        if gateway is not None and gateway.process.alive:
            self._carry(gateway.receive, request, answered, context=within(gateway.process))

    def _carry(self, deliver: Callable[..., None], *what: Any, context: Any) -> None:
        faults, loop = self.world.faults, self.world.loop
        if faults.hits("reset", 0.05):
            return                                      # lost
        for _ in range(2 if faults.hits("double", 0.3) else 1):
            loop.call_at_ns(loop.clock.now + loop.wires.latency() + int(self.chance.random() * MS), deliver, *what, context=context)

