"""Why the house said no, for whoever asked: an HTTP status, a path, and a sentence that says what was wrong and what would be right.

Decides those words from the request and the design alone. It must not know the state: a limit the design does not name is named without its value.
"""
from typing import Any, NamedTuple

from cambist.design import accounts
from cambist.dictionary import Dictionary, Listed
from cambist.gateways.operations import Operation, Session
from cambist.messages import Reason
from cambist.units import PPM

R = Reason
WRONG_VALUE, STATE, ABSENT, FORBIDDEN, BUSY, UNAVAILABLE, UNPROVEN = 422, 409, 404, 403, 429, 503, 401


class Case(NamedTuple):
    """What a sentence may speak of."""
    operation: Operation
    asked: Any
    session: Session
    words: Dictionary
    listed: Listed | None

    @property
    def symbol(self) -> str:
        return self.listed.symbol if self.listed else "the instrument"

    def limit(self, name: str) -> str:
        """A limit of the instrument as the design writes it."""
        limits = self.words.design.instruments[self.listed.name].limits if self.listed else None
        return str(getattr(limits, name)) if limits else "its limit"

    def term(self, name: str) -> str:
        """A price or the lot of the instrument, as text."""
        if self.listed is None:
            return "its own"
        value = getattr(self.listed.terms, name)
        return self.words.quantity_out(value, self.listed) if name == "lot" else self.words.price_out(value, self.listed)

    def own(self, name: str) -> str:
        """A limit of the account as the design writes it."""
        _, row = accounts(self.words.design).get(self.session.account_name, ("", None))
        return str(getattr(row, name, "its limit"))

    @property
    def base(self) -> str:
        return self.words.asset_name(self.listed.base) if self.listed else "the base asset"

    @property
    def quote(self) -> str:
        return self.words.asset_name(self.listed.quote) if self.listed else "the quote asset"

    @property
    def tick(self) -> str:
        return self.term("quote_tick" if self.operation.name == "quote.new" else "book_tick")


# Reason -> status, the field it is about, the sentence. A field "price" is the operation's own (limit_price, bid or ask elsewhere).
REASONS: dict[Reason, tuple[int, str, str]] = {
    R.UNKNOWN_ACTOR: (FORBIDDEN, "", "the house does not know this key; it may have been made a moment ago: try again"),
    R.ACTOR_DISABLED: (FORBIDDEN, "", "this key is switched off"),
    R.NOT_ALLOWED: (FORBIDDEN, "", "the role of this key, or the kind of its account, may not do {c.operation.name}"),
    R.FOREIGN_ACCOUNT: (FORBIDDEN, "", "this key may act for its own account alone"),
    R.ACCOUNT_DISABLED: (FORBIDDEN, "", "the account, or the one to be paid, is switched off; open orders can still be cancelled"),
    R.EXPIRED: (UNPROVEN, "", "the request reached the log after Cambist-Expires, so nothing was done; send it anew with a later expiry and a new id"),
    R.EXPIRY_TOO_FAR: (UNPROVEN, "", "Cambist-Expires is further ahead than the house remembers answers; at most the answer window from now"),
    R.ANSWER_QUOTA: (BUSY, "", "this account has {quota} answers that are still remembered, and no more; wait until the oldest is forgotten"),
    R.RATE: (BUSY, "", "the account sent more than {rate} such requests in one second; cancels are not counted"),
    R.KILLED: (FORBIDDEN, "", "the kill switch of this account was pulled; the house revives it"),
    R.KILLED_ALL: (FORBIDDEN, "", "the house stopped all trading; nothing new is taken until it is revived"),
    R.TRADER_KILLED: (FORBIDDEN, "", "the kill switch of this key was pulled; the house revives it"),
    R.HALTED: (STATE, "instrument", "{c.symbol} is halted; cancels are taken"),
    R.SESSION: (STATE, "instrument", "{c.symbol} does not take this in the session it is in; GET /v1/instruments tells which, and cancels are taken"),
    R.SWEEPING: (STATE, "", "the last mass cancel of this account is still being worked off; send it again in a moment"),
    R.FROZEN: (STATE, "instrument", "protection withdrew the quotes in {c.symbol}; protection.reset lets this account quote again"),
    R.RESTRICTED: (FORBIDDEN, "instrument", "this account, or this key, may not trade {c.symbol}"),
    R.UNKNOWN_INSTRUMENT: (ABSENT, "instrument", "there is no such instrument"),
    R.UNKNOWN_ASSET: (ABSENT, "asset", "there is no such asset, or it is switched off"),
    R.UNKNOWN_ACCOUNT: (ABSENT, "to", "there is no such account"),
    R.BAD_SIDE: (WRONG_VALUE, "side", "the side is not one the request asks for"),
    R.BAD_TYPE: (WRONG_VALUE, "type", "there is no such type of order"),
    R.BAD_TIME_IN_FORCE: (WRONG_VALUE, "time_in_force", "a market order is gtc or ioc, unless it has a trigger or is for an auction; a peg lasts"),
    R.BAD_TRIGGER: (WRONG_VALUE, "{trigger}", "the trigger is out of range, the price has reached it already, or this order can have none: pegs, fok and "
                                              "auction orders cannot, and a trailing order is a market order"),
    R.BAD_DISPLAY: (WRONG_VALUE, "display", "what is shown is of a limit order that lasts: whole lots of {lot} {c.base}, and no more than all of it"),
    R.BAD_LINK: (WRONG_VALUE, "orders", "orders of a list are limit or market orders that last, neither pegged, shown in part nor with a minimum; of an oco at "
                                        "least one has a trigger, and one without is a limit order; a child is not post-only"),
    R.BAD_GROUP: (WRONG_VALUE, "", "these commands do not belong together"),
    R.UNAMENDABLE: (STATE, "order", "an order that waits, is pegged, linked or a side of a mass quote is not amended: cancel it and send another"),
    R.BAD_VALUE: (WRONG_VALUE, "", "{bad_value}"),
    R.BAD_PRICE: (WRONG_VALUE, "price", "a price of {c.symbol} is {low} to {high} {c.quote}"),
    R.OFF_TICK: (WRONG_VALUE, "price", "the price is not a whole number of {c.tick} {c.quote}, the tick of {c.symbol} here"),
    R.BAD_QUANTITY: (WRONG_VALUE, "quantity", "a quantity is above zero; an amended one is above what has been filled"),
    R.OFF_LOT: (WRONG_VALUE, "quantity", "the quantity is not a whole number of {lot} {c.base}, the lot of {c.symbol}"),
    R.BAD_TTL: (WRONG_VALUE, "{ttl_field}", "{bad_ttl}"),
    R.BAD_AMOUNT: (WRONG_VALUE, "amount", "an amount is above zero"),
    R.OVERFLOW: (WRONG_VALUE, "", "price times quantity is more than the house can count"),
    R.MAX_QUANTITY: (WRONG_VALUE, "quantity", "at most {max_quantity} {c.base} of {c.symbol} in one order or request"),
    R.MAX_NOTIONAL: (WRONG_VALUE, "quantity", "at most {max_notional} {c.quote} of {c.symbol} in one order or quote"),
    R.NO_REFERENCE: (STATE, "instrument", "{c.symbol} has no reference price now, as too few sources are fresh; try again in a moment"),
    R.COLLAR: (WRONG_VALUE, "price", "the price is more than {collar} % from the reference of {c.symbol}"),
    R.DUPLICATE_ORDER: (STATE, "", "the same order was sent a moment ago; wait, or send another"),
    R.WAITING_ORDERS: (STATE, "", "this account has {max_waiting} orders waiting in {c.symbol} already, the most it may have"),
    R.FLOATING: (STATE, "", "{c.symbol} has as many pegged and trailing orders as it takes"),
    R.REDUCE_ONLY: (STATE, "quantity", "it would do more than reduce the position in {c.symbol}, with what is reduce-only already"),
    R.EXPOSURE: (STATE, "quantity", "the exposure of this account, with what is open, would go beyond its limit"),
    R.NO_RATE: (STATE, "instrument", "{c.quote} has no rate in the house's numeraire, so the exposure of this account cannot be known"),
    R.OPEN_ORDERS: (STATE, "", "this account has {max_open} open already, the most it may have"),
    R.POSITION: (STATE, "quantity", "the position in {c.symbol}, with what is open, would go beyond the limit"),
    R.INSUFFICIENT: (STATE, "", "not enough is available; GET /v1/account tells what is"),
    R.UNCOVERED: (STATE, "amount", "the desk may not pay out what it is short of"),
    R.CREDIT: (STATE, "", "the credit line would be exceeded; GET /v1/account tells what is used"),
    R.QUOTING_LINE: (STATE, "", "the quoting line would be exceeded; withdraw quotes, or wait until some lapse"),
    R.INVENTORY: (STATE, "", "the inventory limit would be exceeded"),
    R.CAPACITY: (UNAVAILABLE, "", "a table of the house is full; nothing was done, try again later"),
    R.UNKNOWN_ORDER: (ABSENT, "order", "this account has no open order of that id; what became of it, if it was yours, is told by its events"),
    R.POST_ONLY: (STATE, "price", "a post-only order would have traded at once; send a limit that does not cross the book"),
    R.UNFILLABLE: (STATE, "quantity", "it could not be filled at once, whole or to its minimum, at its price; nothing traded"),
    R.DYING: (STATE, "order", "the order is being cancelled and takes no change any more"),
    R.UNKNOWN_REQUEST: (ABSENT, "request", "this account knows no request of that id that is open; what became of it, if it was yours, is told by its events"),
    R.REQUEST_CLOSED: (STATE, "request", "the request has traded, was cancelled or has lapsed"),
    R.NOT_A_DEALER: (FORBIDDEN, "", "this account is not one of the dealers of the house"),
    R.OWN_REQUEST: (STATE, "request", "a dealer does not quote its own request"),
    R.CROSSED_QUOTE: (WRONG_VALUE, "bid", "the bid is above the ask"),
    R.WRONG_SIDES: (WRONG_VALUE, "", "a client that buys needs an ask and no bid, one that sells a bid and no ask, a two-way request both"),
    R.UNKNOWN_QUOTE: (ABSENT, "quote", "there is no live quote of that id for this account"),
    R.NO_QUOTE: (STATE, "limit_price", "no live quote within the limit could be traded; nothing was done"),
    R.NOT_CUSTODY: (WRONG_VALUE, "to", "a custody account is paid by facts from outside, not by a transfer"),
}
_PRICE_FIELD = {"request.accept": "limit_price", "quote.new": "bid", "quote.mass": "bid"}
_UNEXPECTED = (STATE, "", "the house refused it")


def refusal(reason: int, case: Case) -> tuple[int, str, str, str | None]:
    """Status, code, message and path of a REFUSED."""
    known = Reason(reason) if reason in Reason._value2member_map_ else Reason.NONE
    status, field, sentence = REASONS.get(known, _UNEXPECTED)
    return status, known.name if known else f"REASON_{reason}", _said(sentence, case), _path(field, case)


def _path(field: str, case: Case) -> str | None:
    """The field as the request has it; none where it has no such field."""
    if field == "{trigger}":
        field = "distance" if getattr(case.asked, "trigger", None) == "trailing" else "trigger_price" if getattr(case.asked, "trigger", None) else "trigger"
    if field == "{ttl_field}":
        field = "good_till" if "good_till" in type(case.asked).__struct_fields__ else "ttl_ms"
    if field == "price":
        field = _PRICE_FIELD.get(case.operation.name, "price")
        if field == "bid" and getattr(case.asked, "bid", None) is None:
            field = "ask"
        elif field == "bid" and getattr(case.asked, "bid_quantity", None) is not None and getattr(case.asked, "ask", None) is not None:
            field = ""                                  # which of its sides, only the house knows
    if field == "quantity" and getattr(case.asked, "quote_quantity", None) is not None:
        field = "quote_quantity"
    return f"$.{field}" if field and field in type(case.asked).__struct_fields__ else None


def _said(sentence: str, c: Case) -> str:
    """The sentence with its numbers; only those it names are looked up."""
    numbers = {
        "rate": lambda: c.own("rate_limit"), "max_open": lambda: c.own("max_open"), "quota": lambda: c.own("answer_quota"),
        "max_waiting": lambda: c.own("max_waiting"), "bad_ttl": lambda: _standing(c),
        "low": lambda: c.term("min_price"), "high": lambda: c.term("max_price"), "lot": lambda: c.term("lot"),
        "max_quantity": lambda: c.limit("max_quantity"), "max_notional": lambda: c.limit("max_notional"),
        "collar": lambda: _percent(c.limit("collar_ppm")),
        "bad_value": lambda: _BAD_VALUE.get(c.operation.name, DO_NOT_GO_TOGETHER),
    }
    return sentence.format(c=c, **{name: tell() for name, tell in numbers.items() if f"{{{name}}}" in sentence})


DO_NOT_GO_TOGETHER = ("the fields of this order do not go together: post-only is of limit orders that last, a minimum of orders that trade at once and have no "
                      "trigger, a size in quote of market orders that neither wait nor only reduce")
_BAD_VALUE = {"transfer.new": "a transfer goes to another account", "protection.reset": "this account has no protection in that instrument"}


def _standing(c: Case) -> str:
    if "good_till" in type(c.asked).__struct_fields__:
        return "good_till is later than now, by the clock of the house"
    return f"it stands for 1 ms to {c.words.design.cell.max_ttl // 1_000_000} ms"


def _percent(ppm: str) -> str:
    """50000 as "5"."""
    if not ppm.isdigit():
        return ppm
    whole, part = divmod(int(ppm) * 100, PPM)
    return f"{whole}{f'.{part:06}'.rstrip('0') if part else ''}"
