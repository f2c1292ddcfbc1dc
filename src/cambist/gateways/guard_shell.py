"""What stands before the REST application: how many connections there are, how long each may take, how much it may send, and for whom it is meant.

Decides when a connection is ended before anyone is asked who it is. It must not know what is served. A connection that sends nothing, or a little now and
then, costs a few kilobytes for HEAD_SECONDS or BODY_SECONDS; a reader that does not read, for SEND_SECONDS.
"""
import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from cambist.gateways.api import Answer, failure
from cambist.gateways.operations import MAX_BODY

MAX_CONNECTIONS = 4096
MAX_HEAD = 32 << 10                                     # bytes of request line and headers
HEAD_SECONDS, BODY_SECONDS, SEND_SECONDS, IDLE_SECONDS = 10.0, 10.0, 30.0, 75
HEADERS = ((b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"),
           (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"), (b"referrer-policy", b"no-referrer"),
           (b"cross-origin-resource-policy", b"same-origin"))
log = structlog.get_logger("rest")
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


class Guarded(HttpToolsProtocol):
    """A connection with a time for its head, a size for it, and an answer of ours for what is no HTTP."""
    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._head, self._in_head = 0, True
        self._late: asyncio.TimerHandle | None = None   # its head must be here by then
        self._unread: asyncio.TimerHandle | None = None  # it must have read something by then

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self._end(503, "TOO_MANY_CONNECTIONS", "this gateway has as many connections as it takes; try again later")
        else:
            self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(SEND_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._in_head:
            self._head += len(data)
            self._arm()
        super().data_received(data)
        if self._in_head and self._head > MAX_HEAD and not self.transport.is_closing():
            self._end(431, "TOO_LARGE", f"the request line and headers have more than {MAX_HEAD:,} bytes")

    def on_message_begin(self) -> None:
        self._in_head, self._head = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head, self._head = False, 0
        self._disarm()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._end(400, "MALFORMED", "this is no HTTP/1.1 request")

    def _arm(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(HEAD_SECONDS, self._too_late)

    def _disarm(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _too_late(self) -> None:
        self._late = None
        if not self.transport.is_closing():
            self._end(408, "SLOW_HEAD", f"the request line and headers did not come within {HEAD_SECONDS:g} s")

    def _end(self, status: int, code: str, message: str) -> None:
        body = encoded(failure(status, code, message))
        lines = [STATUS_LINE[status], *(b"%b: %b\r\n" % header for header in HEADERS), b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body), body]
        self.transport.write(b"".join(lines))
        self.transport.close()


class Front:
    """The application behind it hears a request only when all of its body is here; `hosts` are the names it answers to, `origins` those of its own pages."""
    def __init__(self, application: Application, hosts: frozenset[str], origins: frozenset[str]):
        self._application, self._hosts, self._origins = application, hosts, origins

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        refused = self._stranger(scope)
        body = b""
        if refused is None:
            try:
                body = await _body(scope, receive)
            except _Gone:
                return
            except _Refused as fault:
                refused = fault.answer
        if refused is not None:
            await self._refuse(refused, send)
            return
        scope["state"]["body"] = body
        await self._application(scope, _replayed(body, receive), send)

    def _stranger(self, scope: Message) -> Answer | None:
        """A page elsewhere may have made this machine's browser call us: by a name that leads here, or across sites."""
        host, origin, site = b"", None, b""
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"origin":
                origin = value
            elif name == b"sec-fetch-site":
                site = value
        if host.decode("latin-1").lower() not in self._hosts:
            return failure(421, "WRONG_HOST", f"this server is not called {host.decode('latin-1')[:80]!r}")
        if (origin is not None and origin.decode("latin-1") not in self._origins) or site == b"cross-site":
            return failure(403, "CROSS_SITE", "a page of another site may not call this")
        return None

    @staticmethod
    async def _refuse(answer: Answer, send: Send) -> None:
        """What is left of the body is not read: the connection ends."""
        body = encoded(answer)
        await send({"type": "http.response.start", "status": answer.status,
                    "headers": [*HEADERS, (b"content-length", str(len(body)).encode()), (b"connection", b"close")]})
        await send({"type": "http.response.body", "body": body})


class _Gone(Exception):
    """The client went away."""


class _Refused(Exception):
    def __init__(self, answer: Answer):
        super().__init__(answer)
        self.answer = answer


async def _body(scope: Message, receive: Receive) -> bytes:
    """All of it, or why not: what says it is too long is not read at all."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > MAX_BODY:
            raise _Refused(_too_large())
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Gone
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > MAX_BODY:
                    raise _Refused(_too_large())
                if not message.get("more_body"):
                    return b"".join(parts)
    except TimeoutError:
        raise _Refused(failure(408, "SLOW_BODY", f"the body did not come within {BODY_SECONDS:g} s")) from None


def _too_large() -> Answer:
    return failure(413, "TOO_LARGE", f"a body has at most {MAX_BODY:,} bytes")


def _replayed(body: bytes, receive: Receive) -> Receive:
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}
    return again


def encoded(answer: Answer) -> bytes:
    return msgspec.json.encode(answer.body)
