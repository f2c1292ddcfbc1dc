"""The operations of the gateway: their names, where REST has them, who may call them, and the command each becomes.

Decides how a request is read and which commands it becomes; their fields are made by `fields.py`. It must not know a socket, a clock or the state of the house:
what an operation needs of it (a reference) is handed in. What the house answers is put into words by `replies.py`.
"""
import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from cambist.dictionary import Wrong, client_id, read_client_id
from cambist.gateways import api, order_api
from cambist.gateways.fields import FIELDS, LISTS, Fields, Known
from cambist.messages import GROUP_MORE, MAX_GROUP, AccountKind, Kind, command

MAX_BODY = 64 << 10                                     # bytes
SCOPES = ("read", "trade", "cancel", "quote", "transfer", "kill")
K = Kind


class Session(NamedTuple):
    """Who asks, once that is proven: a key, and the one account it speaks for."""
    key: str
    actor: int
    account: int
    account_name: str
    account_kind: AccountKind
    scopes: frozenset[str]


class Operation(NamedTuple):
    """`scopes`: any one of them is enough. `request` holds every field; over REST `named` of it is in the path, and the rest is the body or the query.
    `kind` None: nothing is changed, so nothing enters the log. `may_wait`: a second person may have to say yes (202)."""
    name: str
    method: str
    path: str
    scopes: tuple[str, ...]
    request: type[api.Asked]
    answer: type[api.Told]
    summary: str
    kind: Kind | None = None
    named: str = ""
    body: type[api.Asked] | None = None
    status: int = 200
    may_wait: bool = False
    or_kind: Kind | None = None                         # what it becomes instead, by what is asked

    @property
    def changes(self) -> bool:
        return self.kind is not None

    @property
    def kinds(self) -> tuple[Kind | None, ...]:
        return self.kind, self.or_kind


_READ, _TRADE, _CANCEL = ("read",), ("trade",), ("trade", "cancel")
ROWS = (
    Operation("account.get", "GET", "/v1/account", _READ, api.Nothing, api.Account, "Balances, positions, credit and obligations of the key's account"),
    Operation("order.list", "GET", "/v1/orders", _READ, order_api.OrderList, order_api.Orders, "Orders that stand, in the book or waiting"),
    Operation("order.get", "GET", "/v1/orders/{order}", _READ, order_api.OrderNamed, order_api.Order, "One order that stands", named="order"),
    Operation("order.new", "POST", "/v1/orders", _TRADE, order_api.OrderNew, order_api.OrderAnswer, "Send an order", K.NEW_ORDER, body=order_api.OrderNew,
              status=201),
    Operation("order.amend", "PATCH", "/v1/orders/{order}", _TRADE, order_api.OrderAmend, order_api.OrderAnswer,
              "Change the price and quantity of an order in the book", K.AMEND_ORDER, "order", order_api.AmendTo),
    Operation("order.cancel", "DELETE", "/v1/orders/{order}", _CANCEL, order_api.OrderNamed, order_api.OrderCancelled, "Cancel an order", K.CANCEL_ORDER,
              "order"),
    Operation("order.cancel_all", "DELETE", "/v1/orders", _CANCEL, order_api.CancelMany, api.Done,
              "Cancel all orders of the account, or those of an instrument or side", K.CANCEL_ALL, or_kind=K.CANCEL_SOME),
    Operation("list.new", "POST", "/v1/order-lists", _TRADE, order_api.ListNew, order_api.ListAnswer, "Send orders that belong together: oco, oto, bracket",
              K.NEW_ORDER, body=order_api.ListNew, status=201),
    Operation("dead_man.set", "POST", "/v1/dead-man", _CANCEL, order_api.DeadMan, order_api.DeadManSet, "Have everything cancelled unless this comes again",
              K.DEAD_MAN, body=order_api.DeadMan),
    Operation("quote.mass", "POST", "/v1/book-quotes", ("quote",), order_api.MassQuote, order_api.MassQuoted, "Quote in the books of instruments",
              K.MASS_QUOTE, body=order_api.MassQuote, status=201),
    Operation("protection.reset", "POST", "/v1/protection/reset", ("quote",), order_api.ProtectionReset, api.Done,
              "Quote again after protection withdrew the quotes", K.RESET_PROTECTION, body=order_api.ProtectionReset),
    Operation("request.new", "POST", "/v1/requests", _TRADE, api.RequestNew, api.RequestOpened, "Ask all dealers for quotes", K.REQUEST_QUOTE,
              body=api.RequestNew, status=201),
    Operation("request.list", "GET", "/v1/requests", _READ, api.Nothing, api.Requests, "Open requests for quotes, with the quotes that live"),
    Operation("request.get", "GET", "/v1/requests/{request}", _READ, api.RequestNamed, api.Request, "One request, with the quotes that live", named="request"),
    Operation("request.cancel", "DELETE", "/v1/requests/{request}", _CANCEL, api.RequestNamed, api.RequestCancelled, "Withdraw a request",
              K.CANCEL_REQUEST, "request"),
    Operation("request.accept", "POST", "/v1/requests/{request}/accept", _TRADE, api.RequestAccept, api.Accepted, "Trade at a quote",
              K.ACCEPT_QUOTE, "request", api.AcceptAt),
    Operation("invitation.list", "GET", "/v1/invitations", _READ, api.Nothing, api.Invitations, "Requests that this dealer is asked to quote"),
    Operation("quote.new", "POST", "/v1/invitations/{request}/quotes", ("quote",), api.QuoteNew, api.OwnQuote, "Quote a request",
              K.QUOTE, "request", api.QuoteTo, 201, True),
    Operation("quote.withdraw", "DELETE", "/v1/quotes/{quote}", ("quote", "cancel"), api.QuoteNamed, api.QuoteWithdrawn, "Withdraw a quote",
              K.WITHDRAW_QUOTE, "quote"),
    Operation("transfer.new", "POST", "/v1/transfers", ("transfer",), api.TransferNew, api.Transferred, "Pay another account of this house",
              K.TRANSFER, body=api.TransferNew, status=201, may_wait=True),
    Operation("kill.new", "POST", "/v1/kill", ("kill",), api.Nothing, api.Killed, "Pull the kill switch of the key's account",
              K.KILL, body=api.Nothing, may_wait=True),
    Operation("events.read", "GET", "/v1/events", _READ, api.EventsRead, api.EventsPage, "What happened to the account, by cursor"),
)
class PublicRead(NamedTuple):
    """What anyone may ask, over REST alone; over WebSocket the same is a channel."""
    name: str
    path: str
    request: type[api.Asked]
    answer: type[api.Told]
    summary: str
    named: str = ""


PUBLIC = (
    PublicRead("status", "/v1/status", api.Nothing, api.Status, "Whether the house is open"),
    PublicRead("instruments", "/v1/instruments", api.Nothing, api.Instruments, "Every instrument and what an order of it may be"),
    PublicRead("instrument", "/v1/instruments/{instrument}", api.InstrumentNamed, api.InstrumentTold, "One instrument", "instrument"),
    PublicRead("book", "/v1/instruments/{instrument}/book", api.BookRead, api.Book, "The order book", "instrument"),
    PublicRead("trades", "/v1/instruments/{instrument}/trades", api.TradesRead, api.Trades, "Recent trades", "instrument"),
)
OPERATIONS: Mapping[str, Operation] = {row.name: row for row in ROWS}
CANCELS = frozenset({K.CANCEL_ORDER, K.CANCEL_ALL, K.CANCEL_REQUEST, K.WITHDRAW_QUOTE, K.KILL, K.DEAD_MAN})      # these have a budget of their own
_DECODERS = {type_: msgspec.json.Decoder(type_) for row in ROWS for type_ in (row.request, row.body) if type_ is not None}


def statuses(row: Operation | PublicRead) -> tuple[int, ...]:
    """Every status this may answer with but its success: 400 malformed, 401 not proven, 403 not allowed, 404 not there, 408 too slow, 409 not now, 413 too
    long, 415 no JSON, 421 another host, 422 does not fit, 429 too much, 503 the house does not answer, 504 unknown what became of it."""
    found = {400, 403, 408, 413, 421, 422, 429, 503}
    if row.named or "instrument" in row.request.__struct_fields__:
        found.add(404)
    if isinstance(row, Operation):
        found |= {401} | ({404, 409, 504} if row.changes else set()) | ({415} if row.body is not None else set())
    return tuple(sorted(found))


# ----------------------------------------------------------------------------------------------------------------------------- what was sent
def read_json(body: bytes, wanted: type[api.Asked]) -> Any:
    """A request from JSON: strict, no unknown field, no number where text belongs. Nothing at all is {}. Raises Wrong."""
    if len(body) > MAX_BODY:
        raise Wrong("TOO_LARGE", "$", f"a body of {len(body):,} bytes; at most {MAX_BODY:,} are read")
    try:
        return _DECODERS[wanted].decode(body or b"{}")
    except msgspec.ValidationError as fault:
        raise misfit(fault) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise Wrong("MALFORMED", "$", f"the body is not JSON in UTF-8: {fault}") from None
    except RecursionError:
        raise Wrong("MALFORMED", "$", "the body is nested too deeply") from None


def convert(given: Mapping[str, Any], wanted: type[api.Asked]) -> Any:
    """A request from text fields; whole numbers may be decimal digits. Raises Wrong."""
    try:
        return msgspec.convert(given, wanted, strict=False)
    except msgspec.ValidationError as fault:
        raise misfit(fault) from None


def misfit(fault: msgspec.ValidationError) -> Wrong:
    """What does not fit, where, and what would: the words of msgspec, by their kind."""
    text, _, rest = str(fault).partition(" - at `")
    path = rest.removesuffix("`") or "$"
    if text.startswith("Object contains unknown field"):
        field = text.split("`")[1]
        return Wrong("UNKNOWN_FIELD", f"{path}.{field}", f"there is no field {field[:40]!r} here")
    if text.startswith("Object missing required field"):
        field = text.split("`")[1]
        return Wrong("MISSING_FIELD", f"{path}.{field}", f"the field {field!r} is missing")
    if "`str" in text and ("got `float`" in text or "got `int`" in text):
        return Wrong("BAD_FIELD", path, 'a decimal is written as text, as in "1.25", so that no digit is lost')
    return Wrong("BAD_FIELD", path, text[:300].replace("`", ""))


# --------------------------------------------------------------------------------------------------------------------------- what it becomes
def build(name: str, asked: Any, session: Session, known: Known) -> list[tuple[Kind, Fields]]:
    """The commands an operation becomes, without their ids and times: one, or a group that is done whole or not at all. Raises Wrong."""
    operation, who = OPERATIONS[name], {"account": session.account, "actor": session.actor}
    if operation.kind is None:
        raise ValueError(f"{name} changes nothing")
    if name in LISTS:
        return [(operation.kind, who | fields) for fields in LISTS[name](asked, known)]
    fields = FIELDS[name](asked, known)
    kind = operation.or_kind if operation.or_kind is not None and fields else operation.kind
    return [(kind, who | fields)]


def records(commands: list[tuple[Kind, Fields]], id_hi: int, id_lo: int, expires: int, received: int) -> np.ndarray:
    """The commands as their 128 bytes each; times in ns since 1970. The first has the client id, the others ids made of it."""
    assert 1 <= len(commands) <= MAX_GROUP
    made = []
    for place, (kind, fields) in enumerate(commands):
        hi, lo = id_after(id_hi, id_lo, place)
        more = GROUP_MORE if place < len(commands) - 1 else 0
        made.append(command(kind, flags=more, id_hi=hi, id_lo=lo, expires=expires, received=received, **fields))
    return np.concatenate(made)


def id_after(id_hi: int, id_lo: int, place: int) -> tuple[int, int]:
    """The client id of a later command of a group: the first 32 digits of the SHA-256 of "{id}-{place}", so that it meets no other id of the account."""
    return read_client_id(hashlib.sha256(f"{client_id(id_hi, id_lo)}-{place}".encode()).hexdigest()[:32]) if place else (id_hi, id_lo)
