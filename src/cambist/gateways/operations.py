"""The operations of the gateway: their names, where REST has them, who may call them, and the command each becomes.

Decides which fields of which request become which command, and what is wrong with a request before it costs a place in the log. It must not know a socket,
a clock or the state of the house: what an operation needs of it (a reference) is handed in. What the house answers is put into words by `replies.py`.
"""
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from cambist.dictionary import Dictionary, Listed, Wrong
from cambist.gateways import api
from cambist.messages import AccountKind, Kind, OrderType, SelfTrade, Side, TimeInForce, command
from cambist.opaque import IdKind

MAX_BODY = 64 << 10                                     # bytes
MILLISECOND = 1_000_000
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

    @property
    def changes(self) -> bool:
        return self.kind is not None


_READ, _TRADE, _CANCEL = ("read",), ("trade",), ("trade", "cancel")
ROWS = (
    Operation("account.get", "GET", "/v1/account", _READ, api.Nothing, api.Account, "Balances, positions, credit and obligations of the key's account"),
    Operation("order.list", "GET", "/v1/orders", _READ, api.OrderList, api.Orders, "Open orders"),
    Operation("order.get", "GET", "/v1/orders/{order}", _READ, api.OrderNamed, api.Order, "One open order", named="order"),
    Operation("order.new", "POST", "/v1/orders", _TRADE, api.OrderNew, api.OrderAnswer, "Send an order", K.NEW_ORDER, body=api.OrderNew, status=201),
    Operation("order.amend", "PATCH", "/v1/orders/{order}", _TRADE, api.OrderAmend, api.OrderAnswer, "Change the price and quantity of an open order",
              K.AMEND_ORDER, "order", api.AmendTo),
    Operation("order.cancel", "DELETE", "/v1/orders/{order}", _CANCEL, api.OrderNamed, api.OrderCancelled, "Cancel an open order", K.CANCEL_ORDER, "order"),
    Operation("order.cancel_all", "DELETE", "/v1/orders", _CANCEL, api.Nothing, api.Done, "Cancel all open orders of the account", K.CANCEL_ALL),
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
CANCELS = frozenset({K.CANCEL_ORDER, K.CANCEL_ALL, K.CANCEL_REQUEST, K.WITHDRAW_QUOTE, K.KILL})      # these have a budget of their own
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
class Known(NamedTuple):
    """What building a command needs to know of the house: the instrument of an order or request by its id, and an instrument's price now; 0: none."""
    dictionary: Dictionary
    instrument_of: Callable[[int], int]
    reference: Callable[[int], int]

    def listed(self, id: int, kind: str) -> Listed:
        """What an order or request is of, so that its prices can be read. Raises Wrong UNKNOWN_ORDER or UNKNOWN_REQUEST."""
        found = self.dictionary.listed_by_number(self.instrument_of(id))
        if found is None:
            raise unknown(kind)
        return found

    def id(self, kind: IdKind, text: str) -> int:
        try:
            return self.dictionary.id_in(kind, text)
        except Wrong:
            raise unknown(kind) from None


def unknown(kind: str) -> Wrong:
    """Said alike of an id that never was, of another's, and of one that is over."""
    return Wrong(f"UNKNOWN_{kind.upper()}", f"$.{kind}", UNKNOWN[kind])


UNKNOWN = {"order": "this account has no open order of that id; what became of it, if it was yours, is told by its events",
           "request": "this account knows no request of that id that is open; what became of it, if it was yours, is told by its events",
           "quote": "there is no live quote of that id for this account"}
Fields = dict[str, int]


def build(name: str, asked: Any, session: Session, known: Known) -> tuple[Kind, Fields]:
    """The command an operation becomes, without its ids and times. Raises Wrong."""
    kind = OPERATIONS[name].kind
    if kind is None:
        raise ValueError(f"{name} changes nothing")
    return kind, {"account": session.account, "actor": session.actor, **_FIELDS[name](asked, known)}


def record(kind: Kind, fields: Fields, id_hi: int, id_lo: int, expires: int, received: int) -> np.ndarray:
    """The command as its 128 bytes; times in ns since 1970."""
    return command(kind, id_hi=id_hi, id_lo=id_lo, expires=expires, received=received, **fields)


def _order_new(asked: api.OrderNew, known: Known) -> Fields:
    words = known.dictionary
    listed = words.listed(asked.instrument)
    if (asked.price is None) == (asked.type == "limit"):
        right = "a limit order names its limit" if asked.price is None else "a market order has no price: leave it out, or send a limit order"
        raise Wrong("BAD_PRICE", "$.price", right)
    return {"instrument": listed.number, "side": Side[asked.side.upper()], "order_type": OrderType[asked.type.upper()],
            "time_in_force": TimeInForce[asked.time_in_force.upper()], "self_trade": SelfTrade[asked.self_trade.upper()], "post_only": int(asked.post_only),
            "price": words.price_in(asked.price, listed) if asked.price is not None else 0, "quantity": words.quantity_in(asked.quantity, listed)}


def _order_amend(asked: api.OrderAmend, known: Known) -> Fields:
    order = known.id("order", asked.order)
    listed = known.listed(order, "order")
    return {"order": order, "price": known.dictionary.price_in(asked.price, listed), "quantity": known.dictionary.quantity_in(asked.quantity, listed)}


def _request_new(asked: api.RequestNew, known: Known) -> Fields:
    words = known.dictionary
    listed = words.listed(asked.instrument)
    if (asked.quantity is None) == (asked.quote_quantity is None):
        raise Wrong("BAD_QUANTITY", "$.quantity", "exactly one of quantity (base asset) and quote_quantity (quote asset) is given")
    if asked.quantity is not None:
        quantity = words.quantity_in(asked.quantity, listed)
    else:
        quantity = _quantity_for(asked.quote_quantity or "", listed, known)
    return {"instrument": listed.number, "side": Side[asked.side.upper()], "quantity": quantity, "ttl": asked.ttl_ms * MILLISECOND}


def _quantity_for(text: str, listed: Listed, known: Known) -> int:
    """Whole lots that so much of the quote asset buys at the reference of now."""
    amount = known.dictionary.amount_in(text, listed.quote, "$.quote_quantity")
    reference = known.reference(listed.number)
    if reference < 1:
        raise Wrong("NO_REFERENCE", "$.quote_quantity", f"{listed.symbol} has no reference price now, so a size in {known.dictionary.asset_name(listed.quote)} "
                                                        "cannot be turned into one in base; send quantity instead")
    quantity = known.dictionary.quantity_for(amount, reference, listed)
    if quantity < 1:
        raise Wrong("BAD_QUANTITY", "$.quote_quantity", f"{text} buys less than one lot, {known.dictionary.quantity_out(listed.terms.lot, listed)}, at "
                                                        f"{known.dictionary.price_out(reference, listed)}")
    return quantity


def _accept(asked: api.RequestAccept, known: Known) -> Fields:
    request = known.id("request", asked.request)
    listed = known.listed(request, "request")
    return {"request": request, "side": Side[asked.side.upper()], "quote": known.id("quote", asked.quote) if asked.quote is not None else 0,
            "limit_price": known.dictionary.price_in(asked.limit_price, listed, "$.limit_price")}


def _quote_new(asked: api.QuoteNew, known: Known) -> Fields:
    request = known.id("request", asked.request)
    listed = known.listed(request, "request")
    if asked.bid is None and asked.ask is None:
        raise Wrong("WRONG_SIDES", "$", "a quote has a bid, an ask or both: the sides that the request asks for")
    price = {side: known.dictionary.price_in(text, listed, f"$.{side}") if text is not None else 0 for side, text in (("bid", asked.bid), ("ask", asked.ask))}
    for side, text in (("bid", asked.bid), ("ask", asked.ask)):
        if text is not None and price[side] == 0:
            raise Wrong("BAD_PRICE", f"$.{side}", "a price is above zero; leave out the side that was not asked for")
    return {"request": request, **price, "ttl": asked.ttl_ms * MILLISECOND}


def _transfer(asked: api.TransferNew, known: Known) -> Fields:
    asset = known.dictionary.number("assets", asked.asset, "$.asset")
    return {"to": known.dictionary.number("accounts", asked.to, "$.to"), "asset": asset, "amount": known.dictionary.amount_in(asked.amount, asset)}


_FIELDS: dict[str, Callable[[Any, Known], Fields]] = {
    "order.new": _order_new,
    "order.amend": _order_amend,
    "order.cancel": lambda asked, known: {"order": known.id("order", asked.order)},
    "order.cancel_all": lambda asked, known: {},
    "request.new": _request_new,
    "request.cancel": lambda asked, known: {"request": known.id("request", asked.request)},
    "request.accept": _accept,
    "quote.new": _quote_new,
    "quote.withdraw": lambda asked, known: {"quote": known.id("quote", asked.quote)},
    "transfer.new": _transfer,
    "kill.new": lambda asked, known: {},
}
