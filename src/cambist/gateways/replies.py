"""What the house said, as answers of the API: the events of a command, and the tables of an account.

Decides which status and which words an outcome gets. It must not know a socket or a clock; `now` is handed in. Every id it tells is opaque, every number
of money a decimal as text, and nothing is told of an account that is not the asker's own.
"""
from collections.abc import Mapping, Sequence
from typing import Any

from cambist.dictionary import Dictionary, Listed, Wrong
from cambist.door.client import Code, DoorClosed, RefusedByDoor
from cambist.gateways import api
from cambist.gateways.api import Answer, failure
from cambist.gateways.auth import AuthError
from cambist.gateways.hearing import Asked, Quote
from cambist.gateways.operations import Operation, Session, unknown
from cambist.gateways.reasons import Case, refusal
from cambist.messages import AccountKind, Event, Liquidity, Reason, Side

Row = Mapping[str, int]
E = Event
OWN_DOING = (Reason.IMMEDIATE, Reason.SELF_TRADE)       # why a taker's rest is cancelled by its own command


def answer(operation: Operation, asked: Any, session: Session, words: Dictionary, events: Sequence[Row], client_id: tuple[int, int]) -> Answer:
    """The answer that the events of one command are; they begin anywhere before its first echo and may go on after its last."""
    at = next((i for i, row in enumerate(events) if (row["id_hi"], row["id_lo"]) == client_id), None)
    if at is None:
        return failure(504, "UNKNOWN", UNKNOWN_OUTCOME)
    head, after = events[at], events[at + 1:]
    if head["command"] != operation.kind:
        return failure(409, "ID_USED", "this client id was used for another operation; every new operation has a new id", "$.id")
    listed = words.listed_by_number(head["instrument"])
    if head["kind"] == E.REFUSED:
        listed = listed or _asked_for(asked, words)
        status, code, message, path = refusal(head["reason"], Case(operation, asked, session, words, listed))
        return failure(status, code, message, path, retry_after=1 if status in (429, 503) else 0)
    if head["kind"] == E.HELD:
        return Answer(202, api.Held(held=words.opaque.text("held", head["id"]), lapses=head["other"]))
    return Answer(operation.status, _TOLD[operation.name](head, after, asked, session, words, listed))


UNKNOWN_OUTCOME = ("no answer came in time, so it is unknown whether this was done; send the same request again with the same id, and it counts once: "
                   "the answer is then the first one")

# Codes of what is wrong with a request before it costs a place in the log; what is not here is 404 where something is unknown, else 422.
STATUS = {"MALFORMED": 400, "BAD_ID": 400, "NO_ID": 400, "UNEXPECTED_BODY": 400, "TOO_LARGE": 413, "NOT_JSON": 415, "NO_REFERENCE": 409, "OVERLOAD": 429,
          "UNREACHABLE": 503, "NOT_READY": 503, "UNKNOWN_FIELD": 422}
DOOR_CLOSED = (Code.OVERLOAD, Code.DISK_FULL, Code.CLOSING, Code.STOPPED)


def not_done(fault: Exception) -> Answer:
    """Why nothing was done: what is wrong with the request, or that the house did not take it. Any other exception is raised again."""
    match fault:
        case AuthError():
            return failure(fault.status, fault.code, fault.message)
        case Wrong():
            status = STATUS.get(fault.code, 404 if fault.code.startswith("UNKNOWN_") else 422)
            return failure(status, fault.code, fault.message, fault.path if fault.path != "$" else None, 1 if status in (429, 503) else 0)
        case RefusedByDoor(code=Code.OVERLOAD):
            return failure(429, "OVERLOAD", "the house has as much before it as it takes; nothing was done, send it again later", None, 1)
        case RefusedByDoor():
            code = fault.code.name if fault.code in DOOR_CLOSED else "UNAVAILABLE"
            return failure(503, code, "the house takes no business now; nothing was done, send it again later", None, 5)
        case DoorClosed() | TimeoutError():
            return unreachable()
    raise fault


def unreachable() -> Answer:
    return failure(503, "UNREACHABLE", "the house does not answer now; nothing is known to be done. Send the same request again with the same id", None, 1)


def _asked_for(asked: Any, words: Dictionary) -> Listed | None:
    """A refusal in the preamble names no instrument."""
    named = getattr(asked, "instrument", None)
    return next((one for one in words.instruments if named in (one.symbol, one.name)), None)


# -------------------------------------------------------------------------------------------------------------------------- from events
def _order(head: Row, after: Sequence[Row], asked: Any, session: Session, words: Dictionary, listed: Listed | None) -> api.OrderAnswer:
    """What its own command did to it: fills as the taker, and why its rest went. What others did comes later, without an echo and as the maker."""
    assert listed is not None
    fills, leaves, reason = [], head["leaves"], None
    for row in after:
        if row["command"]:
            break
        if row["id"] != head["id"]:
            continue
        if row["kind"] == E.FILLED and row["liquidity"] == Liquidity.TAKER:
            fills.append(_fill(row, words, listed))
        elif not (row["kind"] == E.ORDER_REDUCED or (row["kind"] == E.ORDER_CANCELLED and row["reason"] in OWN_DOING)):
            break
        else:
            reason = Reason(row["reason"]).name
        leaves = row["leaves"]
    status = "open" if leaves else "cancelled" if reason else "filled"
    return api.OrderAnswer(order=words.opaque.text("order", head["id"]), instrument=listed.symbol, status=status, side=_side(head["side"]),
                           price=words.price_out(head["price"], listed), quantity=words.quantity_out(head["quantity"], listed),
                           leaves=words.quantity_out(leaves, listed), fills=fills, reason=reason)


def _fill(row: Row, words: Dictionary, listed: Listed) -> api.Fill:
    liquidity: Any = Liquidity(row["liquidity"]).name.lower()
    return api.Fill(match=words.opaque.text("match", row["other"]), price=words.price_out(row["price"], listed),
                    quantity=words.quantity_out(row["quantity"], listed), amount=words.amount_out(row["amount"], listed.quote),
                    fee=words.amount_out(row["fee"], listed.quote), liquidity=liquidity)


def _order_cancelled(head: Row, after: Sequence[Row], asked: Any, session: Session, words: Dictionary, listed: Listed | None) -> api.OrderCancelled:
    assert listed is not None
    return api.OrderCancelled(order=words.opaque.text("order", head["id"]), cancelled=words.quantity_out(head["quantity"], listed))


def _request_opened(head: Row, after: Sequence[Row], asked: Any, session: Session, words: Dictionary, listed: Listed | None) -> api.RequestOpened:
    assert listed is not None
    return api.RequestOpened(request=words.opaque.text("request", head["id"]), instrument=listed.symbol, side=_side(head["side"]),
                             quantity=words.quantity_out(head["quantity"], listed), expires=head["other"], quote_quantity=asked.quote_quantity)


def _accepted(head: Row, after: Sequence[Row], asked: Any, session: Session, words: Dictionary, listed: Listed | None) -> api.Accepted:
    assert listed is not None
    return api.Accepted(request=asked.request, quote=words.opaque.text("quote", head["id"]), match=words.opaque.text("match", head["other"]),
                        instrument=listed.symbol, side=_side(head["side"]), price=words.price_out(head["price"], listed),
                        quantity=words.quantity_out(head["quantity"], listed), amount=words.amount_out(head["amount"], listed.quote),
                        fee=words.amount_out(head["fee"], listed.quote))


def _quoted(head: Row, after: Sequence[Row], asked: Any, session: Session, words: Dictionary, listed: Listed | None) -> api.OwnQuote:
    assert listed is not None
    return own_quote(Quote(head["id"], head["price"], head["amount"], head["quantity"], head["leaves"]), head["other"], listed, words)


def _transferred(head: Row, after: Sequence[Row], asked: Any, session: Session, words: Dictionary, listed: Listed | None) -> api.Transferred:
    asset = head["other"]
    return api.Transferred(to=words.account_name(head["id"]), asset=words.asset_name(asset), amount=words.amount_out(abs(head["amount"]), asset))


_TOLD = {
    "order.new": _order,
    "order.amend": _order,
    "order.cancel": _order_cancelled,
    "order.cancel_all": lambda head, after, asked, session, words, listed: api.Done(),
    "request.new": _request_opened,
    "request.cancel": lambda head, after, asked, session, words, listed: api.RequestCancelled(request=words.opaque.text("request", head["id"])),
    "request.accept": _accepted,
    "quote.new": _quoted,
    "quote.withdraw": lambda head, after, asked, session, words, listed: api.QuoteWithdrawn(quote=words.opaque.text("quote", head["id"])),
    "transfer.new": _transferred,
    "kill.new": lambda head, after, asked, session, words, listed: api.Killed(account=session.account_name),
}


# -------------------------------------------------------------------------------------------------------------------------- from the view `account`
def account(view: Mapping[str, Any], words: Dictionary, session: Session) -> api.Account:
    row = view["account"]
    kind: Any = AccountKind(row["kind"]).name.lower()
    return api.Account(
        account=session.account_name, kind=kind, enabled=bool(row["enabled"]), killed=bool(row["killed"]),
        balances=[api.Balance(asset=words.asset_name(b["asset"]), **{name: words.amount_out(b[name], b["asset"])
                                                                     for name in ("available", "held", "unsettled", "due")}) for b in view["balances"]],
        positions=[api.Position(instrument=one.symbol, **{name: words.quantity_out(p[name], one) for name in ("net", "open_buy", "open_sell")})
                   for p in view["positions"] if (one := words.listed_by_number(p["instrument"])) is not None],
        credit=[api.Credit(asset=words.asset_name(c["asset"]), **{name: words.amount_out(c[name], c["asset"])
                                                                  for name in ("limit", "reserved", "traded", "netted", "quoting_limit", "quoted")})
                for c in view["credit"]],
        obligations=[api.Obligation(obligation=words.opaque.text("obligation", o["id"]), asset=words.asset_name(o["asset"]),
                                    amount=words.amount_out(o["amount"], o["asset"]), cycle=o["cycle"]) for o in view["obligations"]],
        open_orders=len(view["orders"]), max_open=row["max_open"])


def orders(view: Mapping[str, Any], words: Dictionary, instrument: Listed | None) -> api.Orders:
    """Of one instrument, or of all."""
    told = [order(row, words, one) for row in view["orders"] if (one := words.listed_by_number(row["instrument"])) is not None
            and (instrument is None or instrument.number == one.number)]
    return api.Orders(orders=told, more=bool(view["more"]))


def order(row: Row, words: Dictionary, listed: Listed) -> api.Order:
    return api.Order(order=words.opaque.text("order", row["id"]), instrument=listed.symbol, side=_side(row["side"]),
                     price=words.price_out(row["price"], listed), quantity=words.quantity_out(row["quantity"], listed),
                     filled=words.quantity_out(row["quantity"] - row["leaves"], listed), leaves=words.quantity_out(row["leaves"], listed),
                     post_only=bool(row["post_only"]))


# -------------------------------------------------------------------------------------------------------------------------- from what was heard
def request(asked: Asked, words: Dictionary, now: int) -> api.Request:
    """With the quotes that live at `now` (log time, ns). Raises Wrong where its instrument is listed no more."""
    listed = _listed(asked, words)
    quotes = [api.ShownQuote(quote=words.opaque.text("quote", q.id), bid=_price(q.bid, listed, words), ask=_price(q.ask, listed, words),
                             quantity=words.quantity_out(q.quantity, listed), expires=q.expires) for q in asked.quotes.values() if q.expires > now]
    return api.Request(request=words.opaque.text("request", asked.id), instrument=listed.symbol, side=_side(asked.side), status=_status(asked, now),
                       quantity=words.quantity_out(asked.quantity, listed), expires=asked.expires, quotes=quotes)


def invitation(asked: Asked, words: Dictionary, now: int) -> api.Invitation:
    """With the dealer's own quote, while that lives."""
    listed = _listed(asked, words)
    own = next((own_quote(q, asked.id, listed, words) for q in asked.quotes.values() if q.expires > now), None)
    return api.Invitation(request=words.opaque.text("request", asked.id), instrument=listed.symbol, side=_side(asked.side),
                          quantity=words.quantity_out(asked.quantity, listed), expires=asked.expires, quote=own)


def own_quote(quote: Quote, request: int, listed: Listed, words: Dictionary) -> api.OwnQuote:
    return api.OwnQuote(quote=words.opaque.text("quote", quote.id), request=words.opaque.text("request", request), instrument=listed.symbol,
                        bid=_price(quote.bid, listed, words), ask=_price(quote.ask, listed, words), quantity=words.quantity_out(quote.quantity, listed),
                        expires=quote.expires)


def _status(asked: Asked, now: int) -> Any:
    if asked.ended:
        return {Reason.FILLED: "filled", Reason.EXPIRED: "expired"}.get(Reason(asked.ended), "cancelled")
    return "open" if asked.expires > now else "expired"


def _listed(asked: Asked, words: Dictionary) -> Listed:
    listed = words.listed_by_number(asked.instrument)
    if listed is None:
        raise unknown("request")
    return listed


def _price(price: int, listed: Listed, words: Dictionary) -> str | None:
    return words.price_out(price, listed) if price else None


def _side(side: int) -> Any:
    return Side(side).name.lower()
