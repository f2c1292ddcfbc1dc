"""The REST side of the gateway: a Litestar application made from the table of operations, served by uvicorn.

Decides how a request is read from path, query, headers and body, and how an answer is written. What an operation does is `house_shell`'s; who may be heard
at all, `guard_shell`'s. Requests of one connection are answered in their order, because the next is read when the one before is answered.
"""
import asyncio
import contextlib
import json
import re
import socket
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qsl

import structlog
import uvicorn
from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.handlers import HTTPRouteHandler

from cambist.design import loopback
from cambist.dictionary import Wrong
from cambist.door.client import DoorClosed, RefusedByDoor
from cambist.gateways import api
from cambist.gateways.api import Answer, failure
from cambist.gateways.auth import may, verify
from cambist.gateways.guard_shell import HEADERS, IDLE_SECONDS, Front, Guarded, encoded
from cambist.gateways.house_shell import House
from cambist.gateways.market_shell import Market
from cambist.gateways.openapi import DUPLICATE, RETRY_AFTER, document
from cambist.gateways.operations import PUBLIC, ROWS, Operation, PublicRead, convert, read_json
from cambist.gateways.throttle import retry_after
from cambist.messages import Session
from cambist.part_shell import Part

MAX_PARAMETERS = 16
LAST_WORDS_SECONDS = 2                                  # for what is under way when the gateway stops
PLAIN = {name.decode(): value.decode() for name, value in HEADERS if name != b"content-type"}
OPENAPI = "/v1/openapi.json"
log = structlog.get_logger("rest")


class Rest:
    """Handlers of one house and its market data."""
    def __init__(self, house: House, market: Market, version: str):
        self.house, self.market = house, market
        self._document = json.dumps(document(version), ensure_ascii=False, separators=(",", ":")).encode()

    # ------------------------------------------------------------------------------------------------------------------------------- private
    async def private(self, operation: Operation, request: Request) -> Answer:
        now, body = time.time_ns(), request.scope["state"]["body"]
        try:
            wait = self.house.throttle.unproven(_peer(request), time.monotonic_ns())
            if wait:
                return _too_much(wait)
            keys, window = self.house.keys()
            signed = verify(operation.method, _target(request), _headers(request), body, now, keys, window)
            may(signed.session, operation)
            asked = read_private(operation, request, body)
        except Wrong as wrong:
            return self.house.not_done(wrong, operation.name)
        return await self.house.perform(operation.name, signed.session, asked, signed.client_id, signed.expires)

    # -------------------------------------------------------------------------------------------------------------------------------- public
    async def public(self, row: PublicRead, request: Request) -> Answer:
        wait = self.house.throttle.public(_peer(request), time.monotonic_ns())
        if wait:
            return _too_much(wait)
        try:
            if request.scope["state"]["body"]:
                raise Wrong("UNEXPECTED_BODY", "$", "this operation has no body")
            asked = convert({**_query(request, row.named), **_named(request, row)}, row.request)
            return Answer(200, await self._PUBLIC[row.name](self, asked))
        except (Wrong, DoorClosed, TimeoutError, RefusedByDoor) as fault:
            return self.house.not_done(fault, row.name)

    async def _status(self, asked: api.Nothing) -> api.Status:
        if not self.house.link.connected or self.house.running is None:
            return api.Status(status="unreachable", time=time.time_ns(), halted=[])
        return await self.house.status()

    async def _instruments(self, asked: api.Nothing) -> api.Instruments:
        rows = await self._rows()
        return api.Instruments(instruments=[self._told(one.symbol, rows) for one in self.house.dictionary.instruments])

    async def _instrument(self, asked: api.InstrumentNamed) -> api.InstrumentTold:
        return self._told(self.house.dictionary.listed(asked.instrument).symbol, await self._rows())

    async def _rows(self) -> dict[int, dict[str, int]]:
        if not self.house.link.connected:
            raise DoorClosed("not connected")
        return await self.house.instruments()

    def _told(self, symbol: str, rows: dict[int, dict[str, int]]) -> api.InstrumentTold:
        """From the design what is fixed, from the house what moves."""
        words = self.house.dictionary
        one = words.listed(symbol)
        declared, terms, row = words.design.instruments[one.name], one.terms, rows.get(one.number, {})
        fixed: Any = {name: words.price_out(getattr(terms, name), one) for name in ("book_tick", "quote_tick", "min_price", "max_price")}
        moving: Any = {name: words.price_out(row[name], one) if row.get(name) else None for name in ("reference", "last")}
        return api.InstrumentTold(
            symbol=one.symbol, name=one.name, base=declared.base, quote=declared.quote, lot=words.quantity_out(terms.lot, one), **fixed, **moving,
            max_quantity=declared.limits.max_quantity if declared.limits else None, max_notional=declared.limits.max_notional if declared.limits else None,
            **self._floor(one.number, row), band_ppm=row.get("band_ppm", 0),
            settlement=declared.settlement, maker_ppm=declared.fees.maker_ppm, taker_ppm=declared.fees.taker_ppm, rfq_ppm=declared.fees.rfq_ppm,
            halted=bool(row.get("halted")))

    def _floor(self, number: int, row: dict[str, int]) -> dict[str, Any]:
        """What is traded now, and how: the session as the house has it, the price of an auction as it was last told."""
        session = Session(row.get("session", Session.CONTINUOUS))
        auction = session in (Session.AUCTION, Session.VOLATILITY)
        told = self.market.data.floors[number].told()["indicative"] if auction and self.market.data is not None else None
        return {"session": session.name.lower(), "next_session": Session(row["next_session"]).name.lower() if auction else None,
                "auction_ends": row.get("auction_ends") or None, "indicative": api.Indicative(**told) if told else None}

    async def _book(self, asked: api.BookRead) -> api.Book:
        one = self.house.dictionary.listed(asked.instrument)
        book = self.market.data.books.get(one.number) if self.market.data is not None else None
        if book is None or not book.live:
            raise Wrong("NOT_READY", "$", f"the book of {one.symbol} is being read; try again in a moment")
        bids, asks = ([list(level) for level in side] for side in book.levels(asked.depth))
        return api.Book(instrument=one.symbol, epoch=book.epoch, sequence=book.sequence, time=book.time, bids=bids, asks=asks, checksum=book.checksum())

    async def _trades(self, asked: api.TradesRead) -> api.Trades:
        one = self.house.dictionary.listed(asked.instrument)
        tape = self.market.data.tapes.get(one.number) if self.market.data is not None else None
        if tape is None:
            raise Wrong("NOT_READY", "$", f"the trades of {one.symbol} are being read; try again in a moment")
        return api.Trades(instrument=one.symbol, trades=[api.Trade(**trade) for trade in reversed(tape.recent[-asked.limit:])])

    _PUBLIC = {"status": _status, "instruments": _instruments, "instrument": _instrument, "book": _book, "trades": _trades}

    # --------------------------------------------------------------------------------------------------------------------------- application
    def application(self) -> Litestar:
        return Litestar(route_handlers=list(self._handlers()), openapi_config=None, logging_config=None, debug=False,
                        exception_handlers={HTTPException: _refused, Exception: _failed})

    def _handlers(self) -> Iterator[HTTPRouteHandler]:
        for row in ROWS:
            yield _handler(row.path, row.method, row.name, lambda request, row=row: self.private(row, request))
        for row in PUBLIC:
            yield _handler(row.path, "GET", row.name, lambda request, row=row: self.public(row, request))

        async def openapi(request: Request) -> Response[bytes]:
            return Response(self._document, media_type="application/json", headers=PLAIN)
        yield HTTPRouteHandler(OPENAPI, http_method=["GET"], name="openapi")(openapi)


def _handler(path: str, method: Any, name: str, perform: Any) -> HTTPRouteHandler:
    async def handle(request: Request) -> Response[bytes]:
        return _response(await perform(request))
    return HTTPRouteHandler(_PLACE.sub("{named:str}", path), http_method=[method], name=name, status_code=200)(handle)


_PLACE = re.compile(r"\{\w+\}")                        # the framework keeps some names, `request` among them, to itself


# ------------------------------------------------------------------------------------------------------------------------------ reading
def read_private(operation: Operation, request: Request, body: bytes) -> api.Asked:
    """Path, query and body as one request. Raises Wrong."""
    if operation.body is None:
        if body:
            raise Wrong("UNEXPECTED_BODY", "$", "this operation has no body")
        return convert({**_query(request, operation.named), **_named(request, operation)}, operation.request)
    if request.scope["query_string"]:
        raise Wrong("UNKNOWN_FIELD", "$", "this operation has no query: its fields are in the body")
    if body and not _is_json(request.headers.get("content-type", ""), request.headers.get("content-encoding", "identity")):
        raise Wrong("NOT_JSON", "$", "send application/json in UTF-8, neither compressed nor in another form")
    part = read_json(body, operation.body)
    if not operation.named:
        return part
    return convert({name: getattr(part, name) for name in part.__struct_fields__} | _named(request, operation), operation.request)


def _named(request: Request, row: Operation | PublicRead) -> dict[str, str]:
    """What the path names."""
    return {row.named: request.path_params["named"]} if row.named else {}


def _is_json(content_type: str, encoding: str) -> bool:
    kind, _, rest = content_type.partition(";")
    return kind.strip().lower() == "application/json" and rest.strip().lower().replace('"', "") in ("", "charset=utf-8") and encoding.lower() == "identity"


def _query(request: Request, named: str) -> dict[str, str]:
    """Each parameter once. What the path names cannot be named again."""
    text = request.scope["query_string"].decode("ascii", "replace")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise Wrong("BAD_FIELD", "$", f"a query has at most {MAX_PARAMETERS} parameters") from None
    given = dict(pairs)
    if len(given) != len(pairs):
        raise Wrong("BAD_FIELD", "$", "a parameter is given more than once")
    if named in given:
        raise Wrong("UNKNOWN_FIELD", f"$.{named}", "is named in the path already")
    return given


def _target(request: Request) -> str:
    """Path and query as they were sent."""
    path = request.scope["raw_path"].decode("latin-1")
    query = request.scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path


def _headers(request: Request) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in request.scope["headers"]}


def _peer(request: Request) -> str:
    return request.client.host if request.client is not None else ""


# ------------------------------------------------------------------------------------------------------------------------------ writing
def _response(answer: Answer) -> Response[bytes]:
    headers = dict(PLAIN)
    if answer.duplicate:
        headers[DUPLICATE] = "true"
    if answer.retry_after:
        headers[RETRY_AFTER] = str(answer.retry_after)
    return Response(encoded(answer), status_code=answer.status, media_type="application/json", headers=headers)


def _too_much(wait: int) -> Answer:
    return failure(429, "RATE", "too much was sent from this address; wait as long as Retry-After says", None, retry_after(wait))


def _refused(request: Request, fault: HTTPException) -> Response[bytes]:
    """What the framework says no to."""
    if isinstance(fault, NotFoundException):
        return _response(failure(404, "NOT_FOUND", f"there is nothing at this path; {OPENAPI} tells what there is"))
    if isinstance(fault, MethodNotAllowedException):
        response = _response(failure(405, "METHOD_NOT_ALLOWED", f"{request.method} is nothing this path takes"))
        response.headers["Allow"] = ", ".join(allowed(request.scope["path"]))
        return response
    return _response(failure(400, "MALFORMED", "this request could not be read"))


def _failed(request: Request, fault: Exception) -> Response[bytes]:
    """A bug of ours: it is told here and never to the client."""
    log.error("a request failed", method=request.method, path=request.scope["path"], why="".join(traceback.format_exception(fault)))
    return _response(failure(500, "INTERNAL", "the gateway failed; if this was to change something, send the same request again with the same id"))


def allowed(path: str) -> list[str]:
    """The methods of a path."""
    parts = path.rstrip("/").split("/")
    known = [(row.path, row.method) for row in ROWS] + [(row.path, "GET") for row in PUBLIC] + [(OPENAPI, "GET")]
    return sorted({method for template, method in known
                   if len(pattern := template.split("/")) == len(parts) and all(a == b or a.startswith("{") for a, b in zip(pattern, parts, strict=True))})


# ------------------------------------------------------------------------------------------------------------------------------ serving
class Server(uvicorn.Server):
    """Signals are the worker's, not the server's."""
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def names_of(host: str, port: int, tls: bool, more: tuple[str, ...] = ()) -> tuple[frozenset[str], frozenset[str]]:
    """The Host headers this address answers to, and the origins of its own pages. On loopback every other name leads here by somebody's trick."""
    names = {host, *more} | ({"localhost", "127.0.0.1", "::1"} if loopback(host) else set())
    shown = {f"[{name}]" if ":" in name else name for name in names}
    hosts = {f"{name}:{port}" for name in shown} | (shown if port == (443 if tls else 80) else set())
    return frozenset(hosts), frozenset(f"{'https' if tls else 'http'}://{host}" for host in hosts)


def listen(host: str, port: int) -> socket.socket:
    """Raises OSError when the address is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=1024, reuse_port=False)
    listening.setblocking(False)
    return listening


@contextlib.asynccontextmanager
async def serving_rest(part: Part, house: House, market: Market, version: str) -> AsyncIterator[Server]:
    """Serves for as long as the block runs; then what is under way has LAST_WORDS_SECONDS. Raises ValueError beyond loopback without TLS, OSError."""
    host, port = part.address["rest"]
    if part.tls is None and not loopback(host):
        raise ValueError(f"REST is to listen at {host}:{port}, beyond this machine, without TLS: give certificate and private_key under [listen]")
    listening = listen(host, port)
    hosts, origins = names_of(host, listening.getsockname()[1], part.tls is not None)
    front = Front(Rest(house, market, version).application(), hosts, origins)  # type: ignore[arg-type]
    # Whoever calls is who the socket says: a header that names another address would let everyone out of their own bucket.
    config = uvicorn.Config(front, http=Guarded, ws="none", lifespan="off", log_config=None, log_level="critical", access_log=False,  # type: ignore[arg-type]
                            server_header=False, proxy_headers=False, timeout_keep_alive=IDLE_SECONDS, timeout_graceful_shutdown=LAST_WORDS_SECONDS)
    config.load()
    config.ssl = part.server_tls()
    server = Server(config)
    running = asyncio.create_task(server.serve(sockets=[listening]), name="rest")
    try:
        while not server.started and not running.done():
            await asyncio.sleep(0.005)
        if running.done():
            running.result()
        yield server
    finally:
        server.should_exit = True
        await asyncio.wait([running])
        listening.close()
