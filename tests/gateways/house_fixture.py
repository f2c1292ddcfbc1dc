"""A house for the gateway's tests: the demo desk on a real node behind a real door, its cell uncompiled, everything in the test's own loop.

Entries are sealed, made durable, applied and told one after the other in the loop, so a test sees the same order each time. `Inside` is the house's own
side: it posts prices, pays in, quotes for a dealer, halts and kills with the keys of the demo design, as other parts of the house would.
"""
import asyncio
import contextlib
import itertools
import time
from pathlib import Path

import httpx
import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cambist.configure import numbered
from cambist.core.cell import Cell
from cambist.design import read_design
from cambist.dictionary import Dictionary
from cambist.door.link_shell import Link
from cambist.door.protocol import Code, Refused, StreamKind, View
from cambist.door.server_shell import Door
from cambist.feeds.views import LOG_VIEWS, BadArgument, UnknownView
from cambist.gateways.auth import logon_text, request_text
from cambist.gateways.house_shell import House
from cambist.gateways.market_shell import Market
from cambist.gateways.rest_shell import serving_rest
from cambist.gateways.throttle import Throttle
from cambist.log.disk_shell import RealDisk
from cambist.messages import COMMAND, COUNTED_ONCE, EVENT, FACTS, Event, Kind, command
from cambist.node import close_node, open_node
from cambist.node_shell import row_of
from cambist.opaque import Opaque
from cambist.part_shell import Part
from cambist.run import genesis, sizes


ROOT = Path(__file__).resolve().parents[2]
SECOND = 1_000_000_000
IDS_KEY = bytes(range(16))
SMALL = {"orders": 2048, "pages": 4096, "words": 65536, "requests": 512, "quotes": 1024, "children": 256, "obligations": 256, "held": 64, "answers": 73_000,
         "facts": 512, "events": 4096, "accounts": 32, "actors": 32, "positions": 128, "credit": 64}
MORE_KEYS = """
[keys.acme-reader]
role = "client"
service = "reads alone"
account = "acme"
scopes = ["read"]

[keys.acme-trader]
role = "client"
service = "trades alone"
account = "acme"
scopes = ["trade"]

[keys.acme-canceller]
role = "client"
service = "cancels alone"
account = "acme"
scopes = ["cancel"]

[keys.acme-killer]
role = "client"
service = "kills alone"
account = "acme"
scopes = ["kill"]

[keys.acme-payer]
role = "client"
service = "pays alone"
account = "acme"
scopes = ["transfer"]

[keys.acme-off]
role = "client"
service = "switched off"
account = "acme"
scopes = ["read", "trade"]
enabled = false

[keys.b2-quoter]
role = "dealer"
service = "quotes alone"
account = "b2"
scopes = ["quote"]

[keys.idle]
role = "client"
service = "acts for no account"
scopes = ["read", "trade"]
"""


def design_text():
    """The demo desk with small tables, more keys, every scope for the bots, and no limit on how often they send."""
    text = (ROOT / "desks" / "demo.toml").read_text()
    head, _, _ = text.partition("[capacity]")
    head = head.replace('quantity = "25", delta = "15", window = "5s"', 'quantity = "5", window = "4s"')      # little enough to be met
    head = head.replace('max_age = "5s"', 'max_age = "1h"').replace("rate_limit = 500", "rate_limit = 0").replace("rate_limit = 2000", "rate_limit = 0")
    return f"{head}\n{MORE_KEYS}\n[capacity]\n" + "".join(f"{name} = {rows}\n" for name, rows in SMALL.items())


class InLoop:
    """The house behind the door: what is submitted is an entry of the next turn of the loop."""
    def __init__(self, node):
        self.node, self.door, self.due = node, None, False
        self.deaf = False                               # commands are received and never sealed

    def welcome(self):
        return self.node.welcome()

    def submit(self, records, attachments):
        if self.deaf:
            return Code.NONE
        code = self.node.submit(records, attachments)
        if not code and not self.due:
            self.due = True
            asyncio.get_running_loop().call_soon(self.step)
        return code

    def step(self):
        self.due = False
        self.node.step(time.time_ns())
        self.door.told(list(self.door.listeners))

    def turns_at_once(self):
        return False

    def last_number(self, stream, account):
        return self.node.streams.last_number(row_of(stream, account))

    def events(self, stream, account, number, limit):
        return self.node.streams.read(row_of(stream, account), number, limit)

    def ask(self, question, answer):
        asyncio.get_running_loop().call_soon(lambda: answer(self.view(question)))

    def view(self, question):
        try:
            position, body = (self.node.recall if question.view in LOG_VIEWS else self.node.view)(question.view, question.argument)
        except (BadArgument, UnknownView) as fault:
            return Refused(question.request, Code.BAD_ARGUMENT, 0, str(fault))
        return View(question.request, position, body)


class Inside:
    """What the other parts of the house do, straight into the node."""
    def __init__(self, behind, design, names):
        self.behind, self.design, self.names, self.ids = behind, design, names, itertools.count(1)
        self.words = Dictionary(design, names, Opaque(IDS_KEY))

    def do(self, kind, key, account=None, **fields):
        """One command of a key; its events as dicts."""
        number = next(self.ids)
        ids = {"id_hi": 77, "id_lo": number} if kind not in FACTS or kind in COUNTED_ONCE else {}
        times = {} if kind in FACTS or kind is Kind.TICK else {"expires": time.time_ns() + 30 * SECOND}
        named = {"account": self.names["accounts"][account]} if account else {}
        record = command(kind, actor=self.names["actors"][key], **ids, **times, **named, **fields)
        assert self.behind.node.submit(np.ascontiguousarray(record).view(COMMAND)) is Code.NONE
        told = self.behind.node.step(time.time_ns())
        if self.behind.door is not None:
            self.behind.door.told(list(self.behind.door.listeners))
        return [dict(zip(EVENT.names, row, strict=True)) for each in told for row in each.events.tolist()]

    def price(self, instrument, text):
        one = self.words.listed(instrument)
        for source, key in (("kestrel", "feed-kestrel"), ("osprey", "feed-osprey"), ("recorded", "feed-recorded")):
            self.do(Kind.SOURCE_PRICE, key, instrument=one.number, source=self.names["sources"][source], price=self.words.price_in(text, one))

    def pay_in(self, account, asset, text, custody):
        number = self.names["assets"][asset]
        self.do(Kind.DEPOSIT, "custodian", account, custody=self.names["accounts"][custody], asset=number, amount=self.words.amount_in(text, number))

    def quote(self, key, account, request, bid="", ask="", ttl=20 * SECOND, instrument="BTC-USD"):
        one = self.words.listed(instrument)
        prices = {side: self.words.price_in(text, one) if text else 0 for side, text in (("bid", bid), ("ask", ask))}
        return self.do(Kind.QUOTE, key, account, request=self.words.opaque.number("request", request), ttl=ttl, **prices)

    def account(self, name):
        return self.names["accounts"][name]


class World:
    """A house, a gateway's view of it, and keys to sign with."""
    def __init__(self, inside, behind, link, house, market, secrets):
        self.inside, self.behind, self.link, self.house, self.market, self.secrets = inside, behind, link, house, market, secrets
        self.port, self._ids = 0, itertools.count(1)

    def session(self, key):
        return self.house.keys()[0].find(key).session

    async def settled(self):
        """Until every ear has heard what the node told."""
        ears = {account: await opening for account, opening in self.house._ears.items()}
        async with asyncio.timeout(10):
            while any(ear.hearing.next <= self.behind.last_number(StreamKind.ACCOUNT, account) for account, ear in ears.items()):
                await asyncio.sleep(0.001)

    def new_id(self):
        return f"{next(self._ids):032x}"

    async def perform(self, name, key, body=None, client_id=None, expires=None):
        """(status, body as dicts, duplicate) of an operation, as over a WebSocket."""
        changes = name.rpartition(".")[2] not in ("get", "list", "read")
        answer = await self.house.perform(name, self.session(key), msgspec.json.encode(body or {}), client_id or (self.new_id() if changes else None), expires)
        return answer.status, msgspec.to_builtins(answer.body), answer.duplicate

    def sign(self, key, method, target, body=b"", client_id="", expires=None, private=None):
        """The headers of a signed request."""
        expires = time.time_ns() + 20 * SECOND if expires is None else expires
        signature = (private or self.secrets[key]).sign(request_text(method, target, body, expires, client_id)).hex()
        headers = {"Cambist-Key": key, "Cambist-Expires": str(expires), "Cambist-Signature": signature}
        return headers | ({"Cambist-Id": client_id} if client_id else {})

    def logon(self, key, challenge):
        return self.secrets[key].sign(logon_text(challenge, key)).hex()

    async def call(self, client, key, method, target, body=None, client_id=None, **more):
        """One signed request over HTTP. What changes something gets a fresh id, unless one is given; "" sends none."""
        data = b"" if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body)
        if client_id is None:
            client_id = "" if method == "GET" else self.new_id()
        headers = self.sign(key, method, target, data, client_id, **more) | ({"Content-Type": "application/json"} if data else {})
        return await client.request(method, target, content=data, headers=headers)

    def client(self):
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=30, verify=False)    # nothing is encrypted here


@contextlib.asynccontextmanager
async def a_world(folder, limits=None, rest=False):
    """Started, priced and funded."""
    text = design_text()
    design = read_design(text, "demo")
    names = numbered(design)
    commands, side = genesis(design, text)
    node = open_node(RealDisk(), str(folder / "house"), number=design.cell.number, epoch=1, segment_bytes=8 << 20, fresh=lambda: Cell(sizes(design)),
                     load=lambda tables: Cell.load(tables, sizes(design)))
    behind = InLoop(node)
    inside = Inside(behind, design, names)
    assert node.submit(commands, side) is Code.NONE
    refused = [row for told in node.step(time.time_ns()) for row in told.events if row["kind"] == Event.REFUSED]
    assert not refused, f"the design does not fit: {refused[0]}"
    inside.price("BTC-USD", "64000")
    inside.price("BTC-USD-PF", "64000")
    inside.price("XRP-USD", "0.5")
    for account in ("acme", "borea", "b2"):
        inside.pay_in(account, "USD", "2000000", "usd-bank")
        inside.pay_in(account, "BTC", "50", "btc-wallet")
    door = behind.door = Door(behind, str(folder / "door" / "s"))
    await door.open()
    secrets = {name: Ed25519PrivateKey.from_private_bytes((name * 32).encode()[:32]) for name in design.keys}
    link = Link(door.path, patience=3.0)
    public = {name: key.public_key() for name, key in secrets.items() if name != "rhea"}
    house = House(link, IDS_KEY, lambda design: public, Throttle(limits) if limits else None)
    market = Market(link)
    house.on_design.append(market.use)
    world = World(inside, behind, link, house, market, secrets)
    try:
        async with asyncio.timeout(20):
            await house.start()
        async with contextlib.AsyncExitStack() as stack:
            if rest:
                part = Part(folder, door.path, {"rest": ("127.0.0.1", 0)}, None, asyncio.Event(), lambda address: None, lambda line: None)
                server = await stack.enter_async_context(serving_rest(part, house, market, "0"))
                world.port = server.servers[0].sockets[0].getsockname()[1]
            yield world
    finally:
        await market.close()
        await house.close()
        await link.close()
        await door.close()
        close_node(node)


def in_a_world(test, **settings):
    """Runs `async test(world)` in a loop of its own."""
    def run(tmp_path):
        async def main():
            async with a_world(tmp_path, **settings) as world, asyncio.timeout(120):
                await test(world)
        asyncio.run(main())
    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run
