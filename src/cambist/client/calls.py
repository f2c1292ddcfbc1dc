"""What can be asked of the house: each operation once, with its REST address, and a method with named arguments for each.

Decides how an operation becomes a request, what an answer that is no success means, and when a no is one. It must not know a socket, a clock or chance.
Decimals go out as text; a float is refused here already, because it would lose money.
"""
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote, urlencode

import msgspec

Number = str | Decimal | int
R = TypeVar("R")


class ApiError(Exception):
    """The house said no: `code` is stable and to be acted on, `path` is the field that is wrong, `status` the HTTP status; `duplicate`: it is the first
    answer to this id, which was asked before."""
    def __init__(self, code: str, message: str, path: str | None = None, status: int = 0, retry_after: float = 0, duplicate: bool = False):
        super().__init__(f"{code}: {message}" + (f" (at {path})" if path else ""))
        self.code, self.message, self.path, self.status, self.retry_after, self.duplicate = code, message, path, status, retry_after, duplicate


class OutcomeUnknown(ApiError):
    """No answer came in time: it may have been done or not. Ask again with the same `client_id` and `expires`, which never does it twice."""
    def __init__(self, name: str, client_id: str, expires: int, why: str):
        super().__init__("UNKNOWN", f"{name}: {why}; ask again with client_id {client_id} and expires {expires}", None, 0)
        self.name, self.client_id, self.expires = name, client_id, expires


class Told(dict[str, Any]):
    """The body of an answer; `duplicate`: the first answer to this id, which was asked before."""
    def __init__(self, body: Mapping[str, Any], status: int, client_id: str, duplicate: bool):
        super().__init__(body)
        self.status, self.client_id, self.duplicate = status, client_id, duplicate


class Route(NamedTuple):
    """`{order}` in the path is a field of the body. `changes`: it carries a client id, and a retry gets the first answer."""
    method: str
    path: str
    changes: bool = True


ROUTES: dict[str, Route] = {
    "account.get": Route("GET", "/v1/account", False),
    "order.list": Route("GET", "/v1/orders", False),
    "order.get": Route("GET", "/v1/orders/{order}", False),
    "order.new": Route("POST", "/v1/orders"),
    "order.amend": Route("PATCH", "/v1/orders/{order}"),
    "order.cancel": Route("DELETE", "/v1/orders/{order}"),
    "order.cancel_all": Route("DELETE", "/v1/orders"),
    "list.new": Route("POST", "/v1/order-lists"),
    "dead_man.set": Route("POST", "/v1/dead-man"),
    "quote.mass": Route("POST", "/v1/book-quotes"),
    "protection.reset": Route("POST", "/v1/protection/reset"),
    "request.new": Route("POST", "/v1/requests"),
    "request.list": Route("GET", "/v1/requests", False),
    "request.get": Route("GET", "/v1/requests/{request}", False),
    "request.cancel": Route("DELETE", "/v1/requests/{request}"),
    "request.accept": Route("POST", "/v1/requests/{request}/accept"),
    "invitation.list": Route("GET", "/v1/invitations", False),
    "quote.new": Route("POST", "/v1/invitations/{request}/quotes"),
    "quote.withdraw": Route("DELETE", "/v1/quotes/{quote}"),
    "transfer.new": Route("POST", "/v1/transfers"),
    "kill.new": Route("POST", "/v1/kill"),
    "events.read": Route("GET", "/v1/events", False),
}
AGAIN = frozenset({"UNKNOWN", "UNREACHABLE", "UNAVAILABLE", "CLOSING", "STOPPED", "INTERNAL"})     # sent again after these: whether it was done is unknown
OF_THIS_TRY = frozenset({401, 403, 408, 429})           # and 500 up: statuses of a no that may have been said before the house looked for the id
OF_THE_MOMENT = frozenset({"NO_REFERENCE", "BAD_QUANTITY", "BAD_ANSWER"})       # codes that depend on what may have changed since an earlier try


def route(name: str) -> Route:
    """Raises ValueError for a name that is no operation."""
    if name not in ROUTES:
        raise ValueError(f"no operation {name!r}; there are {', '.join(ROUTES)}")
    return ROUTES[name]


def http_request(name: str, body: Mapping[str, Any]) -> tuple[str, str, bytes]:
    """Method, path with query, and body of an operation over REST."""
    method, path, _ = route(name)
    rest = dict(body)
    for field in [part[1:-1] for part in path.split("/") if part.startswith("{")]:
        if not rest.get(field):
            raise ValueError(f"{name} needs {field!r}")
        path = path.replace(f"{{{field}}}", quote(str(rest.pop(field)), safe=""))
    if method in ("GET", "DELETE"):
        query = urlencode({key: value for key, value in rest.items() if value is not None})
        return method, f"{path}?{query}" if query else path, b""
    return method, path, msgspec.json.encode(rest)


def frame(name: str, body: Mapping[str, Any], client_id: str, expires: int) -> bytes:
    """The same over WebSocket."""
    return msgspec.json.encode({"op": name, "id": client_id, "body": body} | ({"expires": expires} if route(name).changes else {}))


def settles(said: ApiError, unsure: bool) -> bool:
    """Whether a no is one. `unsure`: an earlier try of the same request may have been done. Then a throttle, an expiry or a key that was switched off since
    tell of the last try alone, and so the request is sent again: what the house then repeats as its first answer counts, whatever it is."""
    if said.code in AGAIN:
        return False
    return not unsure or said.duplicate or not (said.status in OF_THIS_TRY or said.status >= 500 or said.code in OF_THE_MOMENT)


def fault(status: int, body: Any, retry_after: float = 0, duplicate: bool = False) -> ApiError:
    """The error in an answer that is no success, whatever its shape."""
    told = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(told, Mapping):
        code = "BAD_ANSWER" if 400 <= status < 500 else "UNAVAILABLE"      # a success that cannot be read says nothing either
        return ApiError(code, f"HTTP status {status} with a body that is none of the house", None, status, retry_after)
    return ApiError(str(told.get("code")), str(told.get("message")), told.get("path"), status, retry_after, duplicate)


def decimal(value: Number | None) -> str | None:
    """As the house reads it: plain digits. Raises TypeError for a float."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, Decimal | int):
        raise TypeError(f"{value!r} is a {type(value).__name__}: give decimals as text or Decimal, because a float loses money")
    return format(Decimal(value), "f")


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def leg(price: Number | None = None, *, type: str | None = None, post_only: bool | str | None = None, trigger_price: Number | None = None,
        distance: Number | None = None, time_in_force: str | None = None, good_till: int | None = None, self_trade: str | None = None,
        trigger: str | None = None, trigger_on: str | None = None, reduce_only: bool | None = None) -> dict[str, Any]:
    """What an order says of itself beside its instrument, side and size. Without a price it is a market order; post_only True is "reject"."""
    if isinstance(post_only, bool):
        post_only = "reject" if post_only else None
    return _given(type=type or ("limit" if price is not None else "market"), price=decimal(price), post_only=post_only, trigger_price=decimal(trigger_price),
                  distance=decimal(distance), time_in_force=time_in_force, good_till=good_till, self_trade=self_trade, trigger=trigger, trigger_on=trigger_on,
                  reduce_only=reduce_only)


class Operations(Generic[R]):
    """One method for each operation. `options`: client_id, expires, again and timeout, as `call` takes them."""
    def call(self, name: str, body: Mapping[str, Any] | None = None, **options: Any) -> R:
        raise NotImplementedError

    def account(self) -> R:
        """Balances, positions, credit and obligations of the key's account."""
        return self.call("account.get")

    def orders(self, instrument: str | None = None) -> R:
        return self.call("order.list", _given(instrument=instrument))

    def order(self, order: str) -> R:
        return self.call("order.get", {"order": order})

    def new_order(self, instrument: str, side: str, quantity: Number | None = None, price: Number | None = None, *, quote_quantity: Number | None = None,
                  offset: Number | None = None, display: Number | None = None, minimum: Number | None = None, client_id: str | None = None,
                  expires: int | None = None, again: bool | None = None, timeout: float | None = None, **said: Any) -> R:
        """A limit order, or without a price a market order, in base or by `quote_quantity`. `said`: whatever else an order says of itself, as `leg` has it."""
        options = _given(client_id=client_id, expires=expires, again=again, timeout=timeout)
        sizes = _given(quantity=decimal(quantity), quote_quantity=decimal(quote_quantity), offset=decimal(offset), display=decimal(display),
                       minimum=decimal(minimum))
        return self.call("order.new", {"instrument": instrument, "side": side, **sizes, **leg(price, **said)}, **options)

    def new_list(self, kind: str, instrument: str, side: str, quantity: Number, orders: Sequence[Mapping[str, Any]], **options: Any) -> R:
        """Orders accepted whole or not at all: `oco`, `oto` or `bracket`, each made by `leg`. `side` is that of the first; children stand on the other."""
        return self.call("list.new", {"kind": kind, "instrument": instrument, "side": side, "quantity": decimal(quantity), "orders": list(orders)}, **options)

    def quote_in_books(self, quotes: Sequence[Mapping[str, Any]], *, self_trade: str | None = None, **options: Any) -> R:
        """For dealers: `quotes` are dicts of instrument, bid, bid_quantity, ask and ask_quantity, in decimals; all stand or none."""
        told = [{name: value if name == "instrument" else decimal(value) for name, value in quote.items()} for quote in quotes]
        return self.call("quote.mass", _given(quotes=told, self_trade=self_trade), **options)

    def reset_protection(self, instrument: str, **options: Any) -> R:
        """For dealers: quotes are taken again after protection withdrew them."""
        return self.call("protection.reset", {"instrument": instrument}, **options)

    def dead_man(self, ttl_ms: int, **options: Any) -> R:
        """Has everything cancelled unless this is called again in time; 0 takes it back."""
        return self.call("dead_man.set", {"ttl_ms": ttl_ms}, **options)

    def amend(self, order: str, price: Number, quantity: Number, **options: Any) -> R:
        """The order's new values; quantity counts what has been filled already."""
        return self.call("order.amend", {"order": order, "price": decimal(price), "quantity": decimal(quantity)}, **options)

    def cancel(self, order: str, **options: Any) -> R:
        """By its id, or by the client id it was sent with."""
        return self.call("order.cancel", {"order": order}, **options)

    def cancel_all(self, instrument: str | None = None, side: str | None = None, **options: Any) -> R:
        """Everything, or what is of an instrument, of a side, or both."""
        return self.call("order.cancel_all", _given(instrument=instrument, side=side), **options)

    def request_quote(self, instrument: str, side: str, quantity: Number | None = None, *, quote_quantity: Number | None = None, ttl_ms: int | None = None,
                      **options: Any) -> R:
        """Asks the dealers; `side` buy, sell or two_way. Sized in base, or in quote by `quote_quantity`."""
        return self.call("request.new", _given(instrument=instrument, side=side, quantity=decimal(quantity), quote_quantity=decimal(quote_quantity),
                                               ttl_ms=ttl_ms), **options)

    def requests(self) -> R:
        return self.call("request.list")

    def request(self, request: str) -> R:
        """One request with the quotes that live."""
        return self.call("request.get", {"request": request})

    def cancel_request(self, request: str, **options: Any) -> R:
        return self.call("request.cancel", {"request": request}, **options)

    def accept(self, request: str, side: str, limit_price: Number, *, quote: str | None = None, **options: Any) -> R:
        """Trades the named quote, or the best, at the limit or better."""
        return self.call("request.accept", _given(request=request, side=side, limit_price=decimal(limit_price), quote=quote), **options)

    def invitations(self) -> R:
        """For dealers: requests that wait for a quote."""
        return self.call("invitation.list")

    def quote(self, request: str, *, bid: Number | None = None, ask: Number | None = None, ttl_ms: int | None = None, **options: Any) -> R:
        """For dealers: answers a request, and replaces an earlier answer."""
        return self.call("quote.new", _given(request=request, bid=decimal(bid), ask=decimal(ask), ttl_ms=ttl_ms), **options)

    def withdraw(self, quote: str, **options: Any) -> R:
        return self.call("quote.withdraw", {"quote": quote}, **options)

    def transfer(self, to: str, asset: str, amount: Number, **options: Any) -> R:
        return self.call("transfer.new", {"to": to, "asset": asset, "amount": decimal(amount)}, **options)

    def kill(self, **options: Any) -> R:
        """The account's own kill switch: cancels everything and blocks what is new until the house revives it."""
        return self.call("kill.new", {}, **options)

    def read_events(self, cursor: int = 1, *, limit: int | None = None, wait_ms: int | None = None) -> R:
        """A page of the account's events from number `cursor` on."""
        return self.call("events.read", _given(cursor=cursor, limit=limit, wait_ms=wait_ms))
