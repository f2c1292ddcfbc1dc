"""Orders as a client sees them: a form becomes a command, events become an order's life. Without IO.

Decides which kinds of order the portal offers and how one is told. It must not decide what is allowed: the house does, and says why not.
"""
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from cambist.dictionary import Dictionary, Listed, Wrong
from cambist.messages import Event, Kind, OrderType, Side, TimeInForce
from cambist.ops.portal.sending import reason_words

Row = Mapping[str, int]
# name -> (words, type, time in force, post only)
TYPES: dict[str, tuple[str, OrderType, TimeInForce, int]] = {
    "limit": ("Limit", OrderType.LIMIT, TimeInForce.GTC, 0), "market": ("Market", OrderType.MARKET, TimeInForce.IOC, 0),
    "ioc": ("Limit, now or not (IOC)", OrderType.LIMIT, TimeInForce.IOC, 0), "fok": ("Limit, whole or not (FOK)", OrderType.LIMIT, TimeInForce.FOK, 0),
    "post_only": ("Post only", OrderType.LIMIT, TimeInForce.GTC, 1)}
SIDES = {"buy": Side.BUY, "sell": Side.SELL}


class Order(NamedTuple):
    """A command that can be sent, with its words."""
    listed: Listed
    fields: dict[str, int]
    words: str


def read_order(fields: Mapping[str, str], words: Dictionary) -> Order:
    """The form's instrument, side, type, quantity, price. Raises Wrong, its path the field's name."""
    listed = words.listed(fields["instrument"], "instrument")
    side, kind = SIDES.get(fields["side"]), TYPES.get(fields["type"])
    if side is None:
        raise Wrong("BAD_SIDE", "side", "choose buy or sell")
    if kind is None:
        raise Wrong("BAD_TYPE", "type", f"choose one of {', '.join(TYPES)}")
    quantity = words.quantity_in(fields["quantity"].replace(",", "").strip() or "0", listed, "quantity")
    if not quantity:
        raise Wrong("BAD_QUANTITY", "quantity", "how much?")
    check_lot(quantity, listed, words, "quantity")
    told, order_type, in_force, post_only = kind
    price = 0
    if order_type is OrderType.LIMIT:
        if not fields["price"].strip():
            raise Wrong("BAD_PRICE", "price", "a limit order has a price")
        price = words.price_in(fields["price"].replace(",", "").strip(), listed, "price")
        if price % (tick := listed.terms.book_tick):
            near = " or ".join(words.price_out(n, listed) for n in (price // tick * tick, price // tick * tick + tick) if n)
            raise Wrong("OFF_TICK", "price", f"the book has prices every {trimmed(words.price_out(tick, listed))}: {near}")
    elif fields["price"].strip():
        raise Wrong("BAD_PRICE", "price", "a market order has no price: leave it empty, or choose a limit order")
    base, quote = words.asset_name(listed.base), words.asset_name(listed.quote)
    said = f"{side.name.capitalize()} {trimmed(words.quantity_out(quantity, listed))} {base}" + (
        f" at {trimmed(words.price_out(price, listed))} {quote}, {told.lower()}" if price else " at market")
    return Order(listed, {"instrument": listed.number, "side": side, "order_type": order_type, "time_in_force": in_force, "post_only": post_only,
                          "price": price, "quantity": quantity}, said)


def check_lot(quantity: int, listed: Listed, words: Dictionary, path: str) -> None:
    """Raises Wrong OFF_LOT, saying which sizes near it are whole lots."""
    lot = listed.terms.lot
    if quantity % lot:
        near = " or ".join(trimmed(words.quantity_out(n, listed)) for n in (quantity // lot * lot, quantity // lot * lot + lot) if n)
        raise Wrong("OFF_LOT", path, f"not a whole number of lots of {trimmed(words.quantity_out(lot, listed))}: {near} is")


def trimmed(decimal: str) -> str:
    """Without the zeros at its end that say nothing."""
    return decimal.rstrip("0").rstrip(".") if "." in decimal else decimal


# ---------------------------------------------------------------------------------------------------------------------------------- one order
class Life(NamedTuple):
    """An order from its events, in units; `amount` and `fee` of all fills in the quote asset. `state`: open, filled, part filled (the rest is cancelled),
    cancelled."""
    number: int
    listed: Listed
    side: Side
    price: int
    quantity: int
    filled: int
    amount: int
    fee: int
    opened: int
    changed: int
    state: str
    reason: str

    @property
    def leaves(self) -> int:
        return self.quantity - self.filled if self.state == "open" else 0

    @property
    def average(self) -> int:
        """Of all fills, in price increments, rounded down; 0 without fills."""
        t = self.listed.terms
        return self.amount * t.amount_den // (self.filled * t.amount_num) if self.filled else 0


def life(events: Iterable[Row], words: Dictionary, account: int) -> Life | None:
    """One order from every event that names it, oldest first; None when none opened it for this account."""
    made: Life | None = None
    for row in events:
        if row["account"] != account:
            continue
        if row["kind"] == Event.ORDER_ACCEPTED:
            listed = words.listed_by_number(row["instrument"])
            if listed is not None:
                made = Life(row["id"], listed, Side(row["side"]), row["price"], row["quantity"], 0, 0, 0, row["time"], row["time"], "open", "")
        elif made is not None and row["id"] == made.number:
            made = _changed(made, row)
    return made


def _changed(made: Life, row: Row) -> Life:
    made = made._replace(changed=row["time"])
    match row["kind"]:
        case Event.FILLED:
            made = made._replace(filled=made.filled + row["quantity"], amount=made.amount + row["amount"], fee=made.fee + row["fee"])
            return made._replace(state="filled") if not row["leaves"] else made
        case Event.ORDER_AMENDED:
            return made._replace(price=row["price"], quantity=row["quantity"])
        case Event.ORDER_REDUCED:
            return made._replace(quantity=made.quantity - row["quantity"])
        case Event.ORDER_CANCELLED:
            return made._replace(state="part filled" if made.filled else "cancelled", reason=reason_words(row["reason"])[0])
    return made


def open_orders(account: Mapping[str, Any], words: Dictionary) -> list[dict[str, Any]]:
    """The open orders of the view `account`, newest first."""
    rows = []
    for row in sorted(account["orders"], key=lambda each: -each["id"]):
        listed = words.listed_by_number(row["instrument"])
        if listed is not None:
            rows.append({"number": row["id"], "id": words.opaque.text("order", row["id"]), "instrument": listed.name, "side": Side(row["side"]).name.lower(),
                         "price": words.price_out(row["price"], listed), "quantity": words.quantity_out(row["quantity"], listed),
                         "leaves": words.quantity_out(row["leaves"], listed), "filled": words.quantity_out(row["quantity"] - row["leaves"], listed),
                         "post_only": bool(row["post_only"])})
    return rows


ORDER_KINDS = frozenset({Kind.NEW_ORDER, Kind.CANCEL_ORDER, Kind.CANCEL_ALL, Kind.AMEND_ORDER, Kind.KILL})
