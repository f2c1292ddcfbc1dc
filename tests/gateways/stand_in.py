"""A house small enough to hold in the hand, behind the real WebSocket server: a link whose streams and books a test writes itself, and a raw client that
reads only when it is told to. What operations do is tested with a real node elsewhere; here is tested how they are carried.
"""
import asyncio
import base64
import contextlib
import os
import socket
import struct
from pathlib import Path

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cambist.client.signing import logon_text, signed
from cambist.configure import configure
from cambist.design import read_design
from cambist.dictionary import Dictionary
from cambist.door.client import Code, Events, StreamKind
from cambist.gateways.api import Answer, Done
from cambist.gateways.auth import Keys, verify_logon
from cambist.gateways.market_shell import Market
from cambist.gateways.websocket_shell import serving_websocket
from cambist.messages import EVENT, Event, Liquidity
from cambist.opaque import Opaque
from cambist.part_shell import Part

DESIGN = read_design((Path(__file__).parents[2] / "desks" / "demo.toml").read_text())
WORDS = Dictionary(DESIGN, configure(DESIGN).names, Opaque(bytes(16)))
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
BTC = WORDS.listed("BTC-USD").number
ACME = WORDS.names["accounts"]["acme"]


class FollowingStandIn:
    def __init__(self, link, stream, account, cursor, heard, lost, credit):
        self.key, self.heard, self.lost, self.credit = (stream, account), heard, lost, credit
        self.cursor, self.link, self.open = cursor, link, True
        self.first = asyncio.get_running_loop().create_future()

    async def started(self):
        await self.first

    def close(self):
        self.open = False
        self.link.followings.discard(self)

    def push(self):
        """One batch, as much as the credit allows, and the next in a later turn of the loop."""
        if not self.open or not self.link.connected:
            return
        rows = self.link.streams.setdefault(self.key, [])
        if self.cursor > len(rows) + 1:
            self.close()
            self.lost(Code.BAD_CURSOR)
            return
        self.cursor = self.cursor or len(rows) + 1
        batch = rows[self.cursor - 1:self.cursor - 1 + self.credit]
        if batch:
            events = np.concatenate([row for row, _ in batch])
            times = np.array([time for _, time in batch], np.int64)
            first, self.cursor = self.cursor, self.cursor + len(batch)
            self.link.batches += 1
            self.heard(Events(0, *self.key, first, 0, events, times))
            asyncio.get_running_loop().call_soon(self.push)
        if not self.first.done():
            self.first.set_result(None)


class LinkStandIn:
    """`tell` an account, `level` of a book, `trade`: streams from number 1."""
    def __init__(self):
        self.streams, self.followings, self.on_change, self.connected = {}, set(), [], True
        self.levels, self.sequence, self.batches = {}, 0, 0

    def follow(self, stream, account, cursor, heard, lost=None, credit=1 << 13, *, patient=False):
        following = FollowingStandIn(self, stream, account, cursor, heard, lost, credit)
        self.followings.add(following)
        asyncio.get_running_loop().call_soon(following.push)
        return following

    async def read(self, view, at_least=0, **argument):
        await asyncio.sleep(0)
        if view == "status":
            return self.sequence, {"cell": {"time": 0}}
        if view == "instruments":
            return self.sequence, {"instruments": [{"instrument": one.number, "session": 0} for one in WORDS.instruments]}
        assert view == "book"
        side = {0: [], 1: []}
        for (instrument, which, price), quantity in self.levels.items():
            if instrument == argument["instrument"] and quantity:
                side[which].append([price, quantity, 1])
        return self.sequence, {"bids": sorted(side[0], reverse=True), "asks": sorted(side[1])}

    def _add(self, stream, whose, **fields):
        row = np.zeros(1, EVENT)
        for name, value in fields.items():
            row[name] = value
        rows = self.streams.setdefault((stream, whose), [])
        rows.append((row, 1_000 + len(rows)))

    def push(self):
        for following in list(self.followings):
            following.push()

    def level(self, side, price, quantity, instrument=BTC):
        self.sequence += 1
        self.levels[instrument, side, price] = quantity
        self._add(StreamKind.ALL, 0, kind=Event.LEVEL, sequence=self.sequence, instrument=instrument, side=side, price=price, quantity=quantity,
                  leaves=1 if quantity else 0)

    def trade(self, match, instrument=BTC):
        self._add(StreamKind.PUBLIC, 0, kind=Event.FILLED, liquidity=Liquidity.TAKER, instrument=instrument, other=match, price=128_000, quantity=5)

    def session(self, session, price=0, instrument=BTC):
        """A session, and with a price the indicative one of its auction."""
        self._add(StreamKind.PUBLIC, 0, kind=Event.SESSION_CHANGED, instrument=instrument, id=session)
        if price:
            self._add(StreamKind.PUBLIC, 0, kind=Event.INDICATIVE, instrument=instrument, price=price, quantity=10**8, amount=-5)

    def tell(self, count, account=ACME):
        for _ in range(count):
            at = len(self.streams.get((StreamKind.ACCOUNT, account), [])) + 1
            self._add(StreamKind.ACCOUNT, account, kind=Event.ORDER_CANCELLED, account=account, instrument=BTC, id=at, price=128_000, quantity=5)

    def change(self, connected):
        self.connected = connected
        for each in list(self.on_change):
            each(connected)
        if connected:
            self.push()


class HouseStandIn:
    """`does(name, body, id)` is awaited for each operation; `began` holds ids in the order they reached it."""
    def __init__(self, link):
        self.link, self.dictionary, self.began = link, WORDS, []
        self.keys = Keys(WORDS, {name: KEY.public_key() for name in ("acme-bot", "b2")})

    def logon(self, key, signature, challenge):
        return verify_logon(key, signature, challenge, self.keys)

    async def does(self, name, body, client_id):
        await asyncio.sleep(0)
        return Answer(200, Done())

    async def perform(self, name, session, body, client_id=None, expires=None):
        self.began.append(client_id)
        return await self.does(name, body, client_id)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.asynccontextmanager
async def served(port=None):
    """(server, link, house, url) of a running WebSocket server."""
    link = LinkStandIn()
    house, market = HouseStandIn(link), Market(link)
    port = port or free_port()
    part = Part(Path(), "", {"websocket": ("127.0.0.1", port)}, None, asyncio.Event(), lambda text: None, lambda text: None)
    market.use(WORDS)
    async with serving_websocket(part, link, house, market) as server:
        yield server, link, house, f"ws://127.0.0.1:{port}/v1/ws"
    await market.close()


class Raw:
    """A WebSocket by hand. It takes from the network only what it is asked to read, and `closed` is the code it was ended with."""
    def __init__(self, reader, writer):
        self.reader, self.writer, self.closed, self._mask = reader, writer, None, os.urandom(4)

    @classmethod
    async def open(cls, url, receive=4096, headers=(), path=None):
        """(raw, status line). `receive`: bytes of the kernel's buffer on this side."""
        address = url.removeprefix("ws://").split("/")[0]
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        sock.setblocking(False)
        host, port = address.split(":")
        await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
        reader, writer = await asyncio.open_connection(sock=sock, limit=2048)
        asked = [f"GET {path or '/v1/ws'} HTTP/1.1", f"Host: {address}", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                 f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}", *headers, "", ""]
        writer.write("\r\n".join(asked).encode())
        status = (await reader.readuntil(b"\r\n")).decode().strip()
        if "101" in status:
            await reader.readuntil(b"\r\n\r\n")
        return cls(reader, writer), status

    def send(self, data, opcode=1, fin=True):
        size = struct.pack("!B", 0x80 | len(data)) if len(data) < 126 else struct.pack("!BH", 0xFE, len(data)) if len(data) < 65_536 else \
            struct.pack("!BQ", 0xFF, len(data))
        masked = bytes(byte ^ self._mask[i & 3] for i, byte in enumerate(data))
        self.writer.write(bytes([(0x80 if fin else 0) | opcode]) + size + self._mask + masked)

    def say(self, **message):
        self.send(msgspec.json.encode(message))

    async def frame(self):
        """(opcode, payload) of the next frame."""
        first, size = await self.reader.readexactly(2)
        if size >= 126:
            size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
        return first & 15, await self.reader.readexactly(size)

    async def message(self, seconds=5.0):
        """The next message as an object; None at the end."""
        async with asyncio.timeout(seconds):
            while True:
                try:
                    opcode, data = await self.frame()
                except (asyncio.IncompleteReadError, ConnectionError):
                    return None
                if opcode == 1:
                    return msgspec.json.decode(data)
                if opcode == 8:
                    self.closed = int.from_bytes(data[:2], "big")
                    return None
                if opcode == 9:
                    self.send(data, 10)

    async def log_on(self, key="acme-bot", private_key=KEY, challenge=None):
        challenge = challenge or (await self.message())["challenge"]
        self.say(op="logon", key=key, signature=signed(private_key, logon_text(challenge, key)))
        return await self.message()

    async def close(self):
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


async def until(holds, seconds=5.0):
    """Waits for something that is checked again and again."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.01)
