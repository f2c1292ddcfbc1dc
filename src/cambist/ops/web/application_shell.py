"""One app as a server: every request through the guards, then to its page; refusals as pages; served by uvicorn until told to stop.

Decides the order of the checks (host, site, size, form, session, proof, sign-in) and that a page is closed to whoever is not signed in unless its path is
OPEN. It must not know what a page does. A slow or half-open connection is given up; an error of ours is said to the operator, and the browser gets its number.
"""
import asyncio
import contextlib
import ipaddress
import secrets
import socket
import ssl
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import uvicorn
from cryptography import x509
from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cambist.ops.web.assets_shell import Assets
from cambist.ops.web.guards import (
    CSRF_FIELD, CSRF_HEADER, HEADERS, MAX_BODY, SAFE, Ask, Fault, Reply, check_host, check_site, cookie_header, own_path, read_cookies, read_form, read_query,
    see_other,
)
from cambist.ops.web.pages import Pages
from cambist.ops.web.sessions import form_proof, proves
from cambist.ops.web.sessions_shell import Sessions
from cambist.ops.web.sign_in_shell import SignIn

BODY_SECONDS, HEAD_SECONDS, SEND_SECONDS, IDLE_SECONDS = 10.0, 10.0, 20.0, 10
MAX_HEAD, MAX_CONNECTIONS = 32 * 1024, 1000
OPEN = ("/login", "/static/")
ONCE = frozenset({"host", "origin", "cookie", "content-type", "content-length", "sec-fetch-site", "x-cambist-proof"})
Do = Callable[[Ask], Awaitable[Reply]]


class Route(NamedTuple):
    """A page: a path such as /orders/{id:str}, and what answers. Closed to whoever is not signed in unless its path begins as one of OPEN."""
    method: Literal["GET", "POST"]
    path: str
    do: Do


class Site(NamedTuple):
    """All that one app is made of. `say`: where the operator hears of errors."""
    name: str
    sessions: Sessions
    sign_in: SignIn
    pages: Pages
    assets: Assets
    secure: bool
    hosts: frozenset[str]
    say: Callable[[str], None]

    @property
    def cookie(self) -> str:
        return f"cambist_{self.name}"

    @property
    def origins(self) -> frozenset[str]:
        return frozenset(f"{'https' if self.secure else 'http'}://{host}" for host in self.hosts)


def application(site: Site, routes: Sequence[Route]) -> "Gate":
    """The ASGI app of a site: its pages and those every app has."""
    sign_in = site.sign_in
    own = (Route("GET", "/login", sign_in.form), Route("POST", "/login", sign_in.enter), Route("POST", "/logout", sign_in.leave),
           Route("GET", "/again", sign_in.again_form), Route("POST", "/again", sign_in.again), Route("GET", "/static/{name:str}", site.assets.serve))

    def told(request: Request, error: Exception) -> Response:
        reply = _fault_reply(site, request.scope["cambist"], error)  # type: ignore[typeddict-item]
        return Response(reply.body, status_code=reply.status, headers=dict(reply.headers), media_type=reply.media_type)
    faults: dict[int | type[Exception], Any] = {Exception: told, HTTPException: told}
    inner = Litestar([_handler(site, route) for route in (*own, *routes)], openapi_config=None, exception_handlers=faults, logging_config=None,
                     request_max_body_size=MAX_BODY)
    return Gate(site, inner)


def _handler(site: Site, route: Route) -> HTTPRouteHandler:
    async def handle(request: Request) -> ASGIApp:
        ask = request.scope["cambist"]._replace(  # type: ignore[typeddict-item]
            values={name: str(value) for name, value in request.path_params.items()})
        return _response(site, ask, await route.do(ask))
    return HTTPRouteHandler(route.path, http_method=[route.method], name=f"{route.method} {route.path}")(handle)


def _fault_reply(site: Site, ask: Ask, error: Exception) -> Reply:
    """A refusal as page, as part of one, or as the way to the sign-in; an error of ours with a number that the operator finds."""
    if isinstance(error, HTTPException) and not isinstance(error, Fault):
        known = {404: Fault(404, "NOT_FOUND", "There is no such page."), 405: Fault(405, "BAD_METHOD", "This address does not take that method.")}
        fault = known.get(error.status_code) or Fault(error.status_code, "BAD_REQUEST", "This request cannot be read.")
    elif isinstance(error, Fault):
        fault = error
    else:
        mark = secrets.token_hex(4)
        site.say(f"{site.name}: error {mark} at {ask.method} {ask.path}\n{''.join(traceback.format_exception(error))}")
        fault = Fault(500, "INTERNAL", f"Something went wrong here. It is written down as {mark}; what you sent last may have been done: look it up.")
    headers = {"Retry-After": str(fault.again)} if fault.again else {}
    if fault.code == "SIGN_IN" and ask.headers.get("accept", "").startswith("text/event-stream"):
        return Reply(status=204)                        # tells an event stream not to come back
    if fault.code == "SIGN_IN" and not ask.partial:
        back = own_path(ask.path + (f"?{ask.query_text}" if ask.query_text else "")) if ask.method in SAFE else "/"
        return see_other("/login" if back == "/" else f"/login?next={back.replace('?', '%3F').replace('&', '%26')}")
    if fault.code == "SIGN_IN":
        headers["HX-Redirect"] = "/login"
    if ask.partial:
        headers |= {"HX-Retarget": "#toasts", "HX-Reswap": "beforeend"}
    return Reply(site.pages.fault(ask, fault), fault.status, headers)


def _response(site: Site, ask: Ask, reply: Reply) -> ASGIApp:
    headers = [*reply.headers.items(), *(("Set-Cookie", cookie_header(name, value, site.secure)) for name, value in reply.cookies.items())]
    if reply.stream is not None:
        return Streamed(headers, reply.media_type, reply.stream)
    body = b"" if ask.method == "HEAD" or reply.status in (204, 304) else reply.body.encode()
    return ASGIResponse(body=body, status_code=reply.status, headers=headers, media_type=reply.media_type)


class Streamed:
    """Server-sent events until they end or the browser is gone."""

    def __init__(self, headers: list[tuple[str, str]], media_type: str, chunks: AsyncIterator[bytes]) -> None:
        self._headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        self._headers += [(b"content-type", media_type.encode()), (b"x-accel-buffering", b"no")]
        self._chunks = chunks

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        pump, gone = asyncio.ensure_future(self._pump(send)), asyncio.ensure_future(self._gone(receive))
        try:
            await asyncio.wait({pump, gone}, return_when=asyncio.FIRST_COMPLETED)
            if pump.done():
                await pump
        finally:
            for task in (pump, gone):
                task.cancel()
            await asyncio.gather(pump, gone, return_exceptions=True)

    async def _pump(self, send: Any) -> None:
        async with contextlib.aclosing(self._chunks) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    @staticmethod
    async def _gone(receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            continue


class Gate:
    """What stands before every page, as one ASGI app around the pages."""

    def __init__(self, site: Site, inner: ASGIApp, clock: Callable[[], int] = time.time_ns) -> None:
        self._site, self._inner, self._clock, self._origins = site, inner, clock, site.origins

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"{scope['type']} is not served here")
        ask = self._ask(scope)
        visit: list[str] = []
        guarded = self._guarded(send, visit)
        try:
            ask = await self._checked(ask, scope, receive, visit)
        except Fault as fault:
            reply = _fault_reply(self._site, ask, fault)
            await _response(self._site, ask, reply._replace(headers={**reply.headers, "Connection": "close"}))(scope, receive, guarded)
            return
        scope["cambist"] = ask
        await self._inner(scope, receive, guarded)

    def _ask(self, scope: Any) -> Ask:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        return Ask(scope["method"], scope["path"], {}, {}, {}, headers, read_cookies(headers.get("cookie", "")), (scope["client"] or ("local", 0))[0],
                   self._clock(), None, "", scope["query_string"].decode("latin-1"))

    async def _checked(self, ask: Ask, scope: Any, receive: Any, visit: list[str]) -> Ask:
        """The request when nothing is wrong with it. Raises Fault."""
        site = self._site
        names = [name.decode("latin-1") for name, _ in scope["headers"]]
        if any(names.count(name) > 1 for name in ONCE):
            raise Fault(400, "HEADER_TWICE", "A header that may stand once stands twice.")
        check_host(ask.headers.get("host", ""), site.hosts)
        check_site(ask.method, ask.headers, self._origins)
        ask = ask._replace(query=read_query(ask.query_text))
        token = ask.cookies.get(site.cookie, "")
        streams = ask.headers.get("accept", "").startswith("text/event-stream")
        session = site.sessions.find(token, ask.now, touch=not streams) if 20 <= len(token) <= 100 else None
        ask = ask._replace(session=session, proof=self._proof(ask, session, visit))
        if ask.method not in SAFE:
            ask = ask._replace(form=read_form(ask.headers.get("content-type", ""), await self._body(ask, receive)))
            told = ask.form.get(CSRF_FIELD) or ask.headers.get(CSRF_HEADER, "")
            if session is None and not ask.path.startswith(OPEN):
                raise Fault(401, "SIGN_IN", "You are not signed in any more; nothing was sent.")
            if visit or not proves(site.sessions.key, session.digest if session else f"visit {ask.cookies[self._visit_cookie]}", told):
                raise Fault(403, "BAD_PROOF", "This form is from an earlier sign-in. Nothing was done; load the page again.")
        elif session is None and not ask.path.startswith(OPEN):
            raise Fault(401, "SIGN_IN", "You are not signed in.")
        return ask

    @property
    def _visit_cookie(self) -> str:
        return f"{self._site.cookie}_visit"

    def _proof(self, ask: Ask, session: Any, visit: list[str]) -> str:
        """The proof for forms of the answer. A visitor without session gets a nonce in a cookie of its own, put into `visit`."""
        if session is not None:
            return form_proof(self._site.sessions.key, session.digest)
        nonce = ask.cookies.get(self._visit_cookie, "")
        if not 20 <= len(nonce) <= 100:
            nonce = secrets.token_urlsafe(24)
            visit.append(nonce)
        return form_proof(self._site.sessions.key, f"visit {nonce}")

    async def _body(self, ask: Ask, receive: Any) -> bytes:
        length = ask.headers.get("content-length", "")
        if length.isascii() and length.isdigit() and (len(length) > 9 or int(length) > MAX_BODY):
            raise Fault(413, "TOO_LARGE", f"At most {MAX_BODY:,} bytes are taken.")
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Fault(400, "GONE", "The other end is gone.")
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > MAX_BODY:
                        raise Fault(413, "TOO_LARGE", f"At most {MAX_BODY:,} bytes are taken.")
        except TimeoutError:
            raise Fault(408, "TOO_SLOW", f"The form did not arrive within {BODY_SECONDS:g} s.") from None
        return bytes(body)

    def _guarded(self, send: Any, visit: list[str]) -> Any:
        """`send` with our headers on every answer, and an end to whoever does not read."""
        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                given = {name.lower() for name, _ in headers}
                headers += [(name.lower().encode(), value.encode()) for name, value in HEADERS.items() if name.lower().encode() not in given]
                if visit:
                    headers.append((b"set-cookie", cookie_header(self._visit_cookie, visit[0], self._site.secure).encode()))
                message = {**message, "headers": headers}
            async with asyncio.timeout(SEND_SECONDS):
                await send(message)
        return guarded


# ------------------------------------------------------------------------------------------------------------------------------------------ serving
class PatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol with an end to patience: a head of more than MAX_HEAD bytes or HEAD_SECONDS is given up, from the first byte of the connection on."""
    _waits: asyncio.TimerHandle | None = None
    _head = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._waits is None and self.timeout_keep_alive_task is None and (self.cycle is None or self.cycle.response_complete):
            self._wait()                                # bytes that begin nothing, such as an empty line

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0
        if self._waits is None:
            self._wait()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._arrived()
        super().on_headers_complete()

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > MAX_HEAD:
            raise ValueError(f"a head of more than {MAX_HEAD} bytes")

    def _wait(self) -> None:
        self._waits = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _arrived(self) -> None:
        if self._waits is not None:
            self._waits.cancel()
            self._waits = None


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield                                           # the process has its own ways with signals


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def own_hosts(host: str, port: int, certificate: Path | None) -> frozenset[str]:
    """What a browser may call us: the address itself, other names of loopback, the names of the certificate."""
    names = {host, *(("localhost", "127.0.0.1", "::1") if is_loopback(host) else ())}
    if certificate is not None:
        loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
        with contextlib.suppress(x509.ExtensionNotFound):
            told = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            names |= {*told.get_values_for_type(x509.DNSName), *map(str, told.get_values_for_type(x509.IPAddress))}
    bare = {f"[{name}]" if ":" in name else name.lower() for name in names}
    usual = 443 if certificate is not None else 80
    return frozenset({f"{name}:{port}" for name in bare} | (bare if port == usual else set()))


def bind(host: str, port: int) -> socket.socket:
    """Raises OSError with the address in its text."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise OSError(error.errno, f"{host}:{port} cannot be listened on: {error.strerror}") from error


async def serve_site(gate: Callable[..., Any], listening: socket.socket, tls: tuple[Path, Path] | None, stop: asyncio.Event, opened: Callable[[str], None],
                     closing: Callable[[], None] = lambda: None) -> None:
    """Serve until `stop`; then `closing` is called and what is under way has 2 s. `opened` hears the address. Raises ValueError without TLS beyond loopback."""
    host, port = listening.getsockname()[:2]
    if tls is None and not is_loopback(host):
        listening.close()
        raise ValueError(f"{host} is not loopback: beyond it TLS is needed, [listen] certificate and private_key")
    config = uvicorn.Config(gate, http=PatientProtocol, ws="none", lifespan="off", loop="none", log_config=None, access_log=False, server_header=False,
                            proxy_headers=False, timeout_keep_alive=IDLE_SECONDS, limit_concurrency=MAX_CONNECTIONS, timeout_graceful_shutdown=2,
                            ssl_certfile=str(tls[0]) if tls else None, ssl_keyfile=str(tls[1]) if tls else None)
    config.load()
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_3
    server = _Server(config)
    serving = asyncio.ensure_future(server.serve(sockets=[listening]))
    stopping = asyncio.ensure_future(stop.wait())
    try:
        while not server.started and not serving.done():
            await asyncio.sleep(0.01)
        opened(f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}")
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        closing()
        server.should_exit = True
        await serving
    finally:
        stopping.cancel()
        listening.close()


def fragments(drawn: Mapping[str, str]) -> str:
    """Several parts of a page in one answer to htmx, each to the element of its id."""
    return "".join(f'<hx-partial hx-target="#{name}" hx-swap="innerMorph">{html}</hx-partial>' for name, html in drawn.items())
