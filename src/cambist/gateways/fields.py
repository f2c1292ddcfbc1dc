"""What an operation's request becomes: the fields of its command, or of each command of its group.

Decides how words and decimals become the wire's numbers, and what is wrong with them before a command costs a place in the log. What goes together in an order
is the house's to say. It must not know a socket, a clock or the state of the house: what a request needs of it is handed in as `Known`.
"""
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cambist.dictionary import Dictionary, Listed, Wrong, read_client_id
from cambist.gateways import api, order_api
from cambist.messages import BY_QUOTE, REDUCE_ONLY, Link, OrderType, PostOnly, SelfTrade, Side, TimeInForce, Trigger, TriggerOn
from cambist.opaque import IdKind

MILLISECOND = 1_000_000
Fields = dict[str, int]


class Known(NamedTuple):
    """What building a command needs to know of the house: the instrument of an order or request by its id, an instrument's price now, 0: none, and the order
    that was sent with a client id, 0: none that stands is known."""
    dictionary: Dictionary
    instrument_of: Callable[[int], int]
    reference: Callable[[int], int]
    order_of: Callable[[int, int], int] = lambda id_hi, id_lo: 0

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

    def order(self, text: str) -> int:
        """By its own id, or by the client id it was sent with. Raises Wrong UNKNOWN_ORDER."""
        try:
            found = self.order_of(*read_client_id(text))
        except Wrong:
            return self.id("order", text)
        if not found:
            raise unknown("order")
        return found


def unknown(kind: str) -> Wrong:
    """Said alike of an id that never was, of another's, and of one that is over."""
    return Wrong(f"UNKNOWN_{kind.upper()}", f"$.{kind}", UNKNOWN[kind])


UNKNOWN = {"order": "this account has no open order of that id; what became of it, if it was yours, is told by its events",
           "request": "this account knows no request of that id that is open; what became of it, if it was yours, is told by its events",
           "quote": "there is no live quote of that id for this account"}


# ----------------------------------------------------------------------------------------------------------------------------------------- orders
def _leg(asked: order_api.Leg, listed: Listed, words: Dictionary, path: str = "$") -> Fields:
    """What an order says of itself beside its side and size. Refused here is only what would be lost on the way: a field that its kind does not have."""
    _belongs(asked, path)
    trigger_price = asked.distance if asked.trigger == "trailing" else asked.trigger_price
    trigger_path = f"{path}.distance" if asked.trigger == "trailing" else f"{path}.trigger_price"
    return {"order_type": OrderType[asked.type.upper()], "price": words.price_in(asked.price, listed, f"{path}.price") if asked.price is not None else 0,
            "time_in_force": TimeInForce[asked.time_in_force.upper()], "good_till": asked.good_till or 0, "self_trade": SelfTrade[asked.self_trade.upper()],
            "post_only": POST_ONLY[asked.post_only], "trigger": Trigger[(asked.trigger or "none").upper()],
            "trigger_on": TriggerOn[asked.trigger_on.upper()] if asked.trigger else 0,
            "trigger_price": words.price_in(trigger_price, listed, trigger_path) if trigger_price is not None else 0,
            "options": REDUCE_ONLY if asked.reduce_only else 0}


POST_ONLY = {"no": PostOnly.NONE, "reject": PostOnly.REJECT, "slide": PostOnly.SLIDE}


def _belongs(asked: order_api.Leg, path: str) -> None:
    """Raises Wrong for what is given and not meant, or meant and not given."""
    if (asked.price is None) != (asked.type == "market"):
        missing = "a limit order names its limit" if asked.type == "limit" else "a peg names the worst price it may have"
        raise Wrong("BAD_PRICE", f"{path}.price", missing if asked.price is None else "a market order has no price: leave it out, or send a limit order")
    if (asked.time_in_force == "gtd") != (asked.good_till is not None):
        raise Wrong("BAD_TTL", f"{path}.good_till", "gtd, and nothing else, says until when: nanoseconds since 1970")
    trailing, waits = asked.trigger == "trailing", asked.trigger is not None
    if (asked.distance is not None) != trailing:
        raise Wrong("BAD_TRIGGER", f"{path}.distance", "a trailing order, and no other, says how far its trigger stays from the price")
    if (asked.trigger_price is not None) != (waits and not trailing):
        raise Wrong("BAD_TRIGGER", f"{path}.trigger_price", "a stop or take_profit, and no other order, says at which price it enters the book")
    if asked.trigger_on != "last" and not waits:
        raise Wrong("BAD_TRIGGER", f"{path}.trigger_on", "an order without a trigger waits for no price")


def _order_new(asked: order_api.OrderNew, known: Known) -> Fields:
    words = known.dictionary
    listed = words.listed(asked.instrument)
    fields = _leg(asked, listed, words) | {"instrument": listed.number, "side": Side[asked.side.upper()]}
    if (asked.quantity is None) == (asked.quote_quantity is None):
        raise Wrong("BAD_QUANTITY", "$.quantity", "exactly one of quantity (base asset) and quote_quantity (quote asset, market orders) is given")
    if asked.quantity is not None:
        fields["quantity"] = words.quantity_in(asked.quantity, listed)
    elif asked.type != "market":
        raise Wrong("BAD_QUANTITY", "$.quote_quantity", "only a market order is sized in the quote asset")
    else:
        fields["quantity"] = words.amount_in(asked.quote_quantity or "", listed.quote, "$.quote_quantity")
        fields["options"] |= BY_QUOTE
    if asked.offset is not None:
        fields["offset"] = words.price_in(asked.offset, listed, "$.offset")
    for name in ("display", "minimum"):
        if (text := getattr(asked, name)) is not None:
            fields[name] = _above_zero(words.quantity_in(text, listed, f"$.{name}"), name)
    return fields


def _above_zero(quantity: int, name: str) -> int:
    """On the wire zero says that it was not given."""
    if not quantity:
        raise Wrong("BAD_QUANTITY", f"$.{name}", f"{name} is above zero; leave it out where there is none")
    return quantity


SHAPES = {"oco": (Link.OCO, Link.OCO), "oto": (Link.PARENT, Link.CHILD), "bracket": (Link.PARENT, Link.CHILD, Link.CHILD)}


def _list_new(asked: order_api.ListNew, known: Known) -> list[Fields]:
    words = known.dictionary
    listed, shape = words.listed(asked.instrument), SHAPES[asked.kind]
    if len(asked.orders) != len(shape):
        raise Wrong("BAD_LINK", "$.orders", f"{asked.kind} is of {len(shape)} orders: {SAID[asked.kind]}")
    first = Side[asked.side.upper()]
    about = {"instrument": listed.number, "quantity": words.quantity_in(asked.quantity, listed)}
    return [_leg(leg, listed, words, f"$.orders[{place}]") | about | {"link": link, "side": Side(1 - first) if link is Link.CHILD else first}
            for place, (leg, link) in enumerate(zip(asked.orders, shape, strict=True))]


SAID = {"oco": "one and the other", "oto": "the parent and its child", "bracket": "the parent and its two children"}


def _order_amend(asked: order_api.OrderAmend, known: Known) -> Fields:
    order = known.order(asked.order)
    listed = known.listed(order, "order")
    return {"order": order, "price": known.dictionary.price_in(asked.price, listed), "quantity": known.dictionary.quantity_in(asked.quantity, listed)}


def _cancel_many(asked: order_api.CancelMany, known: Known) -> Fields:
    """Nothing named: everything."""
    if asked.instrument is None and asked.side is None:
        return {}
    return {"instrument": known.dictionary.listed(asked.instrument).number if asked.instrument is not None else 0,
            "side": Side[(asked.side or "two_way").upper()]}


def _mass_quote(asked: order_api.MassQuote, known: Known) -> list[Fields]:
    """In the order of the instruments' numbers, as the house wants them."""
    words, found = known.dictionary, dict[int, Fields]()
    for place, quote in enumerate(asked.quotes):
        path = f"$.quotes[{place}]"
        listed = words.listed(quote.instrument, f"{path}.instrument")
        if listed.number in found:
            raise Wrong("BAD_GROUP", f"{path}.instrument", f"{listed.symbol} is quoted twice: each instrument once")
        fields = {"instrument": listed.number, "self_trade": SelfTrade[asked.self_trade.upper()]}
        for side in ("bid", "ask"):
            price, size = getattr(quote, side), getattr(quote, f"{side}_quantity")
            if (price is None) != (size is None):
                raise Wrong("BAD_QUANTITY", f"{path}.{side}_quantity", f"a side has a price and a quantity, or neither: then the {side} is withdrawn")
            fields[side] = words.price_in(price, listed, f"{path}.{side}") if price is not None else 0
            fields[f"{side}_quantity"] = words.quantity_in(size, listed, f"{path}.{side}_quantity") if size is not None else 0
        found[listed.number] = fields
    return [found[number] for number in sorted(found)]


# ----------------------------------------------------------------------------------------------------------------------------------- the others
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


def _reset(asked: order_api.ProtectionReset, known: Known) -> Fields:
    return {"instrument": known.dictionary.listed(asked.instrument).number}


FIELDS: dict[str, Callable[[Any, Known], Fields]] = {
    "order.new": _order_new,
    "order.amend": _order_amend,
    "order.cancel": lambda asked, known: {"order": known.order(asked.order)},
    "order.cancel_all": _cancel_many,
    "dead_man.set": lambda asked, known: {"ttl": asked.ttl_ms * MILLISECOND},
    "protection.reset": _reset,
    "request.new": _request_new,
    "request.cancel": lambda asked, known: {"request": known.id("request", asked.request)},
    "request.accept": _accept,
    "quote.new": _quote_new,
    "quote.withdraw": lambda asked, known: {"quote": known.id("quote", asked.quote)},
    "transfer.new": _transfer,
    "kill.new": lambda asked, known: {},
}
LISTS: dict[str, Callable[[Any, Known], Sequence[Fields]]] = {"list.new": _list_new, "quote.mass": _mass_quote}
