"""The WebSocket to a venue, and the port an executor's thread steps.

Decides when to connect again and which thread touches what: the line lives in an event loop, `RemoteVenue` in the thread that steps it, and between the two
are queues. It must not decide what a message means: that is `remote_venue.py`.
"""
import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from cambist.venues.remote_venue import RemoteVenue
from cambist.venues.simulated_api import FRAME_BYTES_MOST
from cambist.venues.venue import Intent, Report

AGAIN_SECONDS, AGAIN_SECONDS_MOST = 0.1, 2.0    # between two attempts to connect: doubled
IDLE_SECONDS = 5.0                              # of silence before a ping, and again until the line is given up
UNREAD_MOST = 10_000                            # frames nobody stepped for; then the line is begun anew


class Heard(NamedTuple):
    """What the line did: `text` came, or with None it is connected (`connection` above 0) or lost (0)."""
    connection: int
    text: bytes | None


class _Line(WSListener):
    def __init__(self, owner: "ConnectedVenue", connection: int) -> None:
        self._owner, self._connection = owner, connection
        self.lost = asyncio.get_running_loop().create_future()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._owner.transport = transport               # before anyone hears of it: the answer may be written before ws_connect returns
        self._owner.heard.append(Heard(self._connection, None))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self._owner.heard.append(Heard(self._connection, frame.get_payload_as_bytes()))
            if len(self._owner.heard) > UNREAD_MOST:
                transport.disconnect()
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if len(self._owner.heard) > UNREAD_MOST:
            self._owner.heard.clear()
        self._owner.heard.append(Heard(0, None))
        if not self.lost.done():
            self.lost.set_result(None)


class ConnectedVenue:
    """The port `Venue` over a socket that comes back. `keep` runs in a loop; everything of the port in one other thread."""

    def __init__(self, venue: RemoteVenue, url: str, tls: ssl.SSLContext | None = None, tell: Callable[[str], None] = lambda call: None) -> None:
        self.capabilities, self._venue, self._url, self._tls, self._tell = venue.capabilities, venue, url, tls, tell
        self.heard: deque[Heard] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.transport: WSTransport | None = None
        self._connection = self._speaking = 0           # the line's newest connection; the one the venue's side of us has heard of

    async def keep(self, stop: asyncio.Event) -> None:
        """Connects, again and again, until `stop`."""
        self._loop, pause = asyncio.get_running_loop(), AGAIN_SECONDS
        ended = asyncio.ensure_future(stop.wait())
        while not stop.is_set():
            try:
                self._connection += 1
                number = self._connection
                transport, line = await ws_connect(
                    lambda: _Line(self, number), self._url, ssl_context=self._tls, max_frame_size=FRAME_BYTES_MOST, enable_auto_ping=True,  # noqa: B023
                    auto_ping_idle_timeout=IDLE_SECONDS, auto_ping_reply_timeout=IDLE_SECONDS)
            except (OSError, WSError, TimeoutError):
                await asyncio.wait((ended,), timeout=pause)
                pause = min(2 * pause, AGAIN_SECONDS_MOST)
                continue
            pause = AGAIN_SECONDS
            assert isinstance(line, _Line)
            await asyncio.wait((ended, line.lost), return_when=asyncio.FIRST_COMPLETED)
            if not line.lost.done():
                transport.disconnect()
            self.transport = None
            await asyncio.wait((ended,), timeout=AGAIN_SECONDS)
        ended.cancel()

    # ------------------------------------------------------------------------------------------------- in the stepping thread
    def step(self, now: int, intents: Sequence[Intent]) -> list[Report]:
        self._take()
        reports = self._venue.step(now, intents)
        out = self._venue.outgoing()
        if out and self._loop is not None:
            self._loop.call_soon_threadsafe(self._send, self._speaking, out)
        for call in self._venue.calls:
            self._tell(call)
        self._venue.calls = []
        return reports

    def next_event(self, now: int) -> int | None:
        return self._venue.next_event(now)

    def _take(self) -> None:
        while self.heard:
            connection, text = self.heard.popleft()
            if text is not None:
                if connection == self._speaking:
                    self._venue.hear(text)
            elif connection:
                self._speaking = connection
                self._venue.connected(time.time_ns())   # sessions count up over all lives
            else:
                self._venue.lost()

    def _send(self, connection: int, out: list[bytes]) -> None:
        """In the loop. What was meant for a line that is gone is let go of."""
        if connection == self._connection and self.transport is not None and not self.transport.is_disconnected:
            for text in out:
                self.transport.send(WSMsgType.TEXT, text)
