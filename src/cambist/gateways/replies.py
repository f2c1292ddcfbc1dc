"""What the house said, as answers of the API: the events of a command, and the tables of an account.

Decides which status and which words an outcome gets. It must not know a socket or a clock; `now` is handed in. Every id it tells is opaque, every number
of money a decimal as text, and nothing is told of an account that is not the asker's own.
"""
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cambist.dictionary import Dictionary, Listed, Wrong
from cambist.door.client import Code, DoorClosed, RefusedByDoor
from cambist.gateways import api, order_replies
from cambist.gateways.api import Answer, failure
from cambist.gateways.auth import AuthError
from cambist.gateways.fields import unknown
from cambist.gateways.hearing import Asked, Quote
from cambist.gateways.operations import Operation, Session
from cambist.gateways.order_replies import Told, priced, said_side
from cambist.gateways.reasons import Case, refusal
from cambist.messages import AccountKind, Event, Reason

Row = Mapping[str, int]
Ids = Sequence[tuple[int, int]]
E = Event


def size_of(asked: Any) -> int:
    """How many commands a request becomes."""
    return len(_parts(asked)) or 1


def _parts(asked: Any) -> Sequence[Any]:
    """What of a request becomes a command each; nothing where the whole is one."""
    return getattr(asked, "orders", None) or getattr(asked, "quotes", None) or ()


def answer(operation: Operation, asked: Any, session: Session, words: Dictionary, events: Sequence[Row], ids: Ids) -> Answer:
    """The answer that the events of one command, or of one group, are; they begin anywhere before its first echo and may go on after its last."""
    places = [next((i for i, row in enumerate(events) if (row["id_hi"], row["id_lo"]) == each), None) for each in ids]
    if None in places:
        return failure(504, "UNKNOWN", UNKNOWN_OUTCOME)
    heads = [events[place] for place in places if place is not None]
    if any(head["command"] not in operation.kinds for head in heads):
        return failure(409, "ID_USED", "this client id was used for another operation; every new operation has a new id", "$.id")
    refused = _refused(heads)
    if refused and any(head["kind"] != E.REFUSED for head in heads):
        return failure(409, "ID_USED", "this client id was used for another operation; every new operation has a new id", "$.id")
    if refused:
        return _no(refused, heads.index(refused), operation, asked, session, words)
    head, after = heads[0], events[(places[0] or 0) + 1:]
    if head["kind"] == E.HELD:
        return Answer(202, api.Held(held=words.opaque.text("held", head["id"]), lapses=head["other"]))
    listed = words.listed_by_number(head["instrument"])
    return Answer(operation.status, _TOLD[operation.name](Told(head, after, heads, asked, session, words, listed)))


def _refused(heads: Sequence[Row]) -> Row | None:
    """Of a group the one that was the reason for all."""
    refused = [head for head in heads if head["kind"] == E.REFUSED]
    return next((head for head in refused if head["reason"] != Reason.BAD_GROUP), refused[0] if refused else None)


def _no(head: Row, place: int, operation: Operation, asked: Any, session: Session, words: Dictionary) -> Answer:
    """A refusal in words, with the path of what it is about: within the part of the group that was refused, if it is there."""
    parts = order_replies.in_order(asked, words) if _parts(asked) else ()
    listed = words.listed_by_number(head["instrument"]) or _asked_for(asked, words)
    case = Case(operation, asked, session, words, listed)
    status, code, message, path = refusal(head["reason"], case)
    if parts and path is None:
        where, part = parts[place]
        status, code, message, path = refusal(head["reason"], case._replace(asked=part))
        path = f"{where}{path.removeprefix('$')}" if path else where
    return failure(status, code, message, path, retry_after=1 if status in (429, 503) else 0)


UNKNOWN_OUTCOME = ("no answer came in time, so it is unknown whether this was done; send the same request again with the same id, and it counts once: "
                   "the answer is then the first one")

# Codes of what is wrong with a request before it costs a place in the log; what is not here is 404 where something is unknown, else 422.
STATUS = {"MALFORMED": 400, "BAD_ID": 400, "NO_ID": 400, "UNEXPECTED_BODY": 400, "TOO_LARGE": 413, "NOT_JSON": 415, "NO_REFERENCE": 409, "OVERLOAD": 429,
          "UNREACHABLE": 503, "UNREADABLE": 503, "NOT_READY": 503, "UNKNOWN_FIELD": 422}
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
def _request_opened(told: Told) -> api.RequestOpened:
    listed, words, head = told.instrument, told.words, told.head
    return api.RequestOpened(request=words.opaque.text("request", head["id"]), instrument=listed.symbol, side=said_side(head["side"]),
                             quantity=words.quantity_out(head["quantity"], listed), expires=head["other"], quote_quantity=told.asked.quote_quantity)


def _accepted(told: Told) -> api.Accepted:
    listed, words, head = told.instrument, told.words, told.head
    fee, fee_asset = order_replies.fee_of(head, told.after, words, listed)
    return api.Accepted(request=told.asked.request, quote=words.opaque.text("quote", head["id"]), match=words.opaque.text("match", head["other"]),
                        instrument=listed.symbol, side=said_side(head["side"]), price=words.price_out(head["price"], listed),
                        quantity=words.quantity_out(head["quantity"], listed), amount=words.amount_out(head["amount"], listed.quote), fee=fee,
                        fee_asset=fee_asset)


def _quoted(told: Told) -> api.OwnQuote:
    head = told.head
    return own_quote(Quote(head["id"], head["price"], head["amount"], head["quantity"], head["leaves"]), head["other"], told.instrument, told.words)


def _transferred(told: Told) -> api.Transferred:
    asset, words = told.head["other"], told.words
    return api.Transferred(to=words.account_name(told.head["id"]), asset=words.asset_name(asset), amount=words.amount_out(abs(told.head["amount"]), asset))


_TOLD: dict[str, Callable[[Told], api.Told]] = {
    **order_replies.TOLD,
    "request.new": _request_opened,
    "request.cancel": lambda told: api.RequestCancelled(request=told.words.opaque.text("request", told.head["id"])),
    "request.accept": _accepted,
    "quote.new": _quoted,
    "quote.withdraw": lambda told: api.QuoteWithdrawn(quote=told.words.opaque.text("quote", told.head["id"])),
    "transfer.new": _transferred,
    "kill.new": lambda told: api.Killed(account=told.session.account_name),
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
        open_orders=len(view["orders"]), max_open=row["max_open"],
        protections=[_protection(p, words, one) for p in view["protections"] if (one := words.listed_by_number(p["instrument"])) is not None],
        restricted=[one.symbol for r in view["restrictions"] if (one := words.listed_by_number(r["instrument"])) is not None],
        dead_man=row.get("dead_man") or None)


def _protection(row: Row, words: Dictionary, listed: Listed) -> api.Protection:
    limits = {name: words.quantity_out(row[name], listed) if row[name] else None for name in ("quantity", "delta")}
    return api.Protection(instrument=listed.symbol, **limits, window_ms=row["window"] // 1_000_000, frozen=bool(row["frozen"]))


# -------------------------------------------------------------------------------------------------------------------------- from what was heard
def request(asked: Asked, words: Dictionary, now: int) -> api.Request:
    """With the quotes that live at `now` (log time, ns). Raises Wrong where its instrument is listed no more."""
    listed = _listed(asked, words)
    quotes = [api.ShownQuote(quote=words.opaque.text("quote", q.id), bid=priced(q.bid, listed, words), ask=priced(q.ask, listed, words),
                             quantity=words.quantity_out(q.quantity, listed), expires=q.expires) for q in asked.quotes.values() if q.expires > now]
    return api.Request(request=words.opaque.text("request", asked.id), instrument=listed.symbol, side=said_side(asked.side), status=_status(asked, now),
                       quantity=words.quantity_out(asked.quantity, listed), expires=asked.expires, quotes=quotes)


def invitation(asked: Asked, words: Dictionary, now: int) -> api.Invitation:
    """With the dealer's own quote, while that lives."""
    listed = _listed(asked, words)
    own = next((own_quote(q, asked.id, listed, words) for q in asked.quotes.values() if q.expires > now), None)
    return api.Invitation(request=words.opaque.text("request", asked.id), instrument=listed.symbol, side=said_side(asked.side),
                          quantity=words.quantity_out(asked.quantity, listed), expires=asked.expires, quote=own)


def own_quote(quote: Quote, request: int, listed: Listed, words: Dictionary) -> api.OwnQuote:
    return api.OwnQuote(quote=words.opaque.text("quote", quote.id), request=words.opaque.text("request", request), instrument=listed.symbol,
                        bid=priced(quote.bid, listed, words), ask=priced(quote.ask, listed, words), quantity=words.quantity_out(quote.quantity, listed),
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
