"""The simulated venues as one WebSocket server: /venues/NAME, one exchange each.

Decides when an exchange is stepped, what goes to a slow reader, and where the memory of a venue lies. It must not decide what is said: that is
`simulated_exchange.py`. One event loop; all of it is called from there.
"""
import asyncio
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from cambist.venues.simulated_api import FRAME_BYTES_MOST
from cambist.venues.simulated_exchange import Hang, Keep, Out, Send, SimulatedExchange
from cambist.venues.venue import BookUpdate

PREFIX = "/venues/"
SLOW_BYTES = 1 << 18                            # unsent to one reader: books are left out until it has caught up, and orders end the connection


class _Connection(WSListener):
    def __init__(self, server: "SimulatedServer", name: str, number: int) -> None:
        self._server, self._name, self._number = server, name, number
        self.transport: WSTransport | None = None
        self.slow = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        transport.underlying_transport.set_write_buffer_limits(high=SLOW_BYTES)
        self._server.connected(self._name, self._number, self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT and frame.fin:
            self._server.heard(self._name, self._number, frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif frame.msg_type != WSMsgType.PONG:
            transport.send_close(WSCloseCode.UNSUPPORTED_DATA, b"JSON in whole text frames")
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.transport = None
        self._server.gone(self._name, self._number)

    def pause_writing(self) -> None:
        self.slow = True

    def resume_writing(self) -> None:
        self.slow = False
        self._server.caught_up(self._name, self._number)


class SimulatedServer:
    """`open` listens; `follow` moves a venue's market; both in the same loop. `folder`: where each venue's memory lies, or None for a venue without one."""

    def __init__(self, exchanges: dict[str, SimulatedExchange], folder: Path | None = None, clock: Callable[[], int] = time.time_ns) -> None:
        self._exchanges, self._clock = exchanges, clock
        self._connections: dict[int, _Connection] = {}
        self._count = self._last = 0
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._files: dict[str, BinaryIO] = {}
        self._server: asyncio.Server | None = None
        if folder is not None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name, exchange in exchanges.items():
                self._files[name] = self._remember(exchange, folder / f"{name}.jsonl")

    def _remember(self, exchange: SimulatedExchange, path: Path) -> BinaryIO:
        lines = path.read_bytes().splitlines() if path.exists() else []
        fresh = path.with_suffix(".new")
        fresh.write_bytes(b"".join(exchange.remember(lines, self._now())))
        fresh.replace(path)
        return path.open("ab", buffering=0)

    async def open(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """The port it listens at. Raises OSError."""
        self._server = await ws_create_server(self._listener, host, port, max_frame_size=FRAME_BYTES_MOST, ssl=tls, enable_auto_ping=True,
                                              reuse_address=True)
        return self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        if self._server is not None:
            self._server.close()
        for each in list(self._connections.values()):
            if each.transport is not None:
                each.transport.send_close(WSCloseCode.GOING_AWAY)
                each.transport.disconnect()
        await asyncio.sleep(0)
        for file in self._files.values():
            file.close()

    def follow(self, name: str, update: BookUpdate) -> None:
        self._exchanges[name].follow(update)
        self._step(name)

    @property
    def connections(self) -> int:
        return len(self._connections)

    # ----------------------------------------------------------------------------------------------------------- connections
    def _listener(self, request: WSUpgradeRequest) -> WSListener | None:
        path = request.path.decode("ascii", "replace")
        name = path.removeprefix(PREFIX)
        if not path.startswith(PREFIX) or name not in self._exchanges:
            return None                                 # 404
        self._count += 1
        return _Connection(self, name, self._count)

    def connected(self, name: str, number: int, connection: _Connection) -> None:
        self._connections[number] = connection
        self._perform(name, self._exchanges[name].connect(number, self._now()))

    def heard(self, name: str, number: int, text: bytes) -> None:
        self._perform(name, self._exchanges[name].hear(number, text, self._now()))
        self._wake_later(name)

    def gone(self, name: str, number: int) -> None:
        self._connections.pop(number, None)
        self._exchanges[name].disconnect(number)

    def caught_up(self, name: str, number: int) -> None:
        self._perform(name, self._exchanges[name].caught_up(number))

    # ------------------------------------------------------------------------------------------------------------------ time
    def _now(self) -> int:
        self._last = max(self._last, self._clock())     # a market's time never runs backwards
        return self._last

    def _step(self, name: str) -> None:
        self._perform(name, self._exchanges[name].step(self._now()))
        self._wake_later(name)

    def _wake_later(self, name: str) -> None:
        if (timer := self._timers.pop(name, None)) is not None:
            timer.cancel()
        now = self._now()
        if (due := self._exchanges[name].next_event(now)) is not None:
            self._timers[name] = asyncio.get_running_loop().call_later((due - now) / 1e9, self._step, name)

    def _perform(self, name: str, out: list[Out]) -> None:
        for each in out:
            match each:
                case Keep(line) if name in self._files:
                    self._files[name].write(line)
                case Send(number, text, book):
                    self._send(number, text, book)
                case Hang(number, why):
                    self._hang(number, why)

    def _send(self, number: int, text: bytes, book: bool) -> None:
        connection = self._connections.get(number)
        if connection is None or connection.transport is None:
            return
        if not connection.slow:
            connection.transport.send(WSMsgType.TEXT, text)
        elif not book:
            self._hang(number, "too slow a reader of its own orders")

    def _hang(self, number: int, why: str) -> None:
        connection = self._connections.get(number)
        if connection is not None and connection.transport is not None:
            connection.transport.send_close(WSCloseCode.POLICY_VIOLATION, why.encode()[:120])
            connection.transport.disconnect()
