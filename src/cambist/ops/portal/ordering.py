"""Orders as a client sees them: a form becomes a command, events become an order's life. Without IO.

Decides which kinds of order the portal offers and how one is told. It must not decide what is allowed: the house does, and says why not.
"""
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from cambist.dictionary import Dictionary, Listed, Wrong
from cambist.messages import (
    BY_QUOTE, PEGGED, REDUCE_ONLY, Event, Kind, Link, Liquidity, OrderState, OrderType, PostOnly, Side, TimeInForce, Trigger, TriggerOn,
)
from cambist.ops.portal.sending import reason_words
from cambist.ops.wording import grouped, order_words

Row = Mapping[str, int]
Choices = dict[str, tuple[str, int]]
FIELDS = ("instrument", "side", "type", "quantity", "price", "lasts", "minutes", "trigger", "trigger_price", "trigger_on", "post_only", "display", "minimum",
          "offset", "reduce_only", "size_in")
# What each choice is called, and on the wire. The first of each is what the form begins with.
TYPES: Choices = {"limit": ("Limit", OrderType.LIMIT), "market": ("Market", OrderType.MARKET), "primary": ("Peg to own side", OrderType.PRIMARY),
                  "opposite": ("Peg to other side", OrderType.OPPOSITE), "midpoint": ("Peg to middle", OrderType.MIDPOINT)}
LASTS: Choices = {"gtc": ("Until cancelled", TimeInForce.GTC), "day": ("Today", TimeInForce.DAY), "gtd": ("For minutes", TimeInForce.GTD),
                  "ioc": ("Now or not (IOC)", TimeInForce.IOC), "fok": ("Whole or not (FOK)", TimeInForce.FOK),
                  "auction": ("This auction", TimeInForce.AUCTION),
                  "at_open": ("At the open", TimeInForce.AT_OPEN), "at_close": ("At the close", TimeInForce.AT_CLOSE)}
TRIGGERS: Choices = {"": ("None", Trigger.NONE), "stop": ("Stop", Trigger.STOP), "take_profit": ("Take profit", Trigger.TAKE_PROFIT),
                     "trailing": ("Trailing stop", Trigger.TRAILING)}
TRIGGERS_ON: Choices = {"last": ("Last trade", TriggerOn.LAST), "index": ("Reference", TriggerOn.INDEX), "mark": ("Mark", TriggerOn.MARK)}
POST_ONLY: Choices = {"": ("No", PostOnly.NONE), "reject": ("Or refuse", PostOnly.REJECT), "slide": ("Or slide", PostOnly.SLIDE)}
SIDES: Choices = {"buy": ("Buy", Side.BUY), "sell": ("Sell", Side.SELL)}
BEGIN = {"side": "buy", "type": "limit", "lasts": "gtc", "trigger_on": "last"}
MORE = ("minutes", "trigger", "trigger_price", "post_only", "display", "minimum", "offset", "reduce_only")      # fields that are put away until they are wanted
MINUTE, MOST_MINUTES = 60 * 10**9, 60 * 24 * 366


class Order(NamedTuple):
    """A command that can be sent, with its words."""
    listed: Listed
    fields: dict[str, int]
    words: str


def read_order(fields: Mapping[str, str], words: Dictionary, now: int) -> Order:
    """The form's fields, those of FIELDS. `now` in ns, for what lasts so many minutes. Raises Wrong, its path the field's name."""
    listed = words.listed(fields["instrument"], "instrument")
    form = _Form(fields, listed, words)
    kind, trigger = form.chosen("type", TYPES), form.chosen("trigger", TRIGGERS)
    in_quote = fields.get("size_in", "") == "quote"
    quantity = form.spent("quantity") if in_quote else form.size("quantity")
    if not quantity:
        raise Wrong("BAD_QUANTITY", "quantity", "how much?")
    made = {"instrument": listed.number, "side": form.chosen("side", SIDES), "order_type": kind, "quantity": quantity,
            "price": form.limit(kind), "time_in_force": form.chosen("lasts", LASTS), "good_till": form.until(now),
            "post_only": form.chosen("post_only", POST_ONLY), "display": form.size("display"), "minimum": form.size("minimum"),
            "options": (REDUCE_ONLY if fields.get("reduce_only") else 0) | (BY_QUOTE if in_quote else 0)}
    if in_quote and (kind != OrderType.MARKET or trigger or made["options"] & REDUCE_ONLY or made["time_in_force"] not in (TimeInForce.GTC, TimeInForce.IOC)):
        quote, base = words.asset_name(listed.quote), words.asset_name(listed.base)
        raise Wrong("BAD_VALUE", "size_in", f"a size in {quote} is for a market order that trades now, without a trigger: choose {base}, or such an order")
    if trigger:
        made |= {"trigger": trigger, "trigger_on": form.chosen("trigger_on", TRIGGERS_ON), "trigger_price": form.price("trigger_price", on_tick=False)}
        if not made["trigger_price"]:
            raise Wrong("BAD_TRIGGER", "trigger_price", "how far behind the price?" if trigger == Trigger.TRAILING else "at which price?")
    elif fields.get("trigger_price", "").strip():
        raise Wrong("BAD_TRIGGER", "trigger", "choose what kind of trigger this is, or leave its price empty")
    if kind in PEGGED:
        made["offset"] = form.price("offset", on_tick=False)
    elif fields.get("offset", "").strip():
        raise Wrong("BAD_PRICE", "offset", "only a peg stays a distance away")
    return Order(listed, made, f"{Side(made['side']).name.capitalize()} {order_words(dict.fromkeys(KEYS, 0) | made, listed, words)}")


KEYS = ("options", "order_type", "offset", "price", "trigger", "trigger_price", "trigger_on", "post_only", "display", "minimum", "time_in_force",
        "good_till", "link")


class _Form:
    """One form, read field by field. Each method raises Wrong with the field's name as its path."""

    def __init__(self, fields: Mapping[str, str], listed: Listed, words: Dictionary) -> None:
        self._fields, self._listed, self._words = fields, listed, words

    def _text(self, name: str) -> str:
        return self._fields.get(name, "").replace(",", "").strip()

    def chosen(self, name: str, of: Choices) -> int:
        found = of.get(self._fields.get(name, "") or (BEGIN.get(name, "") if name not in ("side", "type") else ""))
        if found is None:
            code = {"side": "BAD_SIDE", "type": "BAD_TYPE", "lasts": "BAD_TIME_IN_FORCE"}.get(name, "BAD_VALUE")
            raise Wrong(code, name, f"choose one of {', '.join(told for told, _ in of.values())}")
        return found[1]

    def size(self, name: str) -> int:
        """In whole lots; 0 where nothing is said."""
        quantity = self._words.quantity_in(self._text(name) or "0", self._listed, name)
        check_lot(quantity, self._listed, self._words, name)
        return quantity

    def spent(self, name: str) -> int:
        """In units of the quote asset; 0 where nothing is said."""
        return self._words.amount_in(self._text(name) or "0", self._listed.quote, name)

    def price(self, name: str, on_tick: bool) -> int:
        """0 where nothing is said."""
        if not (text := self._text(name)):
            return 0
        price, tick = self._words.price_in(text, self._listed, name), self._listed.terms.book_tick
        if on_tick and price % tick:
            near = " or ".join(self._words.price_out(n, self._listed) for n in (price // tick * tick, price // tick * tick + tick) if n)
            raise Wrong("OFF_TICK", name, f"the book has prices every {trimmed(self._words.price_out(tick, self._listed))}: {near}")
        return price

    def limit(self, kind: int) -> int:
        price = self.price("price", on_tick=True)
        if kind == OrderType.MARKET and self._text("price"):
            raise Wrong("BAD_PRICE", "price", "a market order has no price: leave it empty, or choose a limit order")
        if kind != OrderType.MARKET and not self._text("price"):
            raise Wrong("BAD_PRICE", "price", "a limit order has a price" if kind == OrderType.LIMIT else "a peg has a worst price it may have")
        return price

    def until(self, now: int) -> int:
        """When it ends, of what lasts so many minutes; else 0."""
        text = self._text("minutes")
        if self._fields.get("lasts") != "gtd":
            if text:
                raise Wrong("BAD_TTL", "minutes", "choose that it lasts for minutes, or leave them empty")
            return 0
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_MINUTES):
            raise Wrong("BAD_TTL", "minutes", "for how many minutes? A whole number")
        return now + int(text) * MINUTE


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
    """An order from its events, in units; `amount` and `fee` of all fills in the quote asset. `state`: waiting (for its trigger), open, filled, part filled
    (the rest is cancelled), cancelled. `by_quote`: its quantity is what to spend or receive of the quote asset. `trigger`: its price, 0 without one; `linked`:
    the order it was linked to when it was accepted, or 0."""
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
    by_quote: bool = False
    trigger: int = 0
    linked: int = 0

    @property
    def leaves(self) -> int:
        """In base; one by quote leaves nothing that stands."""
        return self.quantity - self.filled if self.stands and not self.by_quote else 0

    @property
    def stands(self) -> bool:
        return self.state in ("open", "waiting")

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
                made = Life(row["id"], listed, Side(row["side"]), row["price"], row["quantity"], 0, 0, 0, row["time"], row["time"],
                            "waiting" if row["other"] else "open", "", row["liquidity"] == Liquidity.TAKER_BY_QUOTE, row["other"], row["amount"])
        elif made is not None and row["id"] == made.number:
            made = _changed(made, row)
    return made


def _changed(made: Life, row: Row) -> Life:
    made = made._replace(changed=row["time"])
    match row["kind"]:
        case Event.FILLED:
            made = made._replace(filled=made.filled + row["quantity"], amount=made.amount + row["amount"], fee=made.fee + row["fee"])
            return made._replace(state="filled") if not row["leaves"] else made
        case Event.ORDER_TRIGGERED:
            return made._replace(state="open", price=row["price"], trigger=row["other"] or made.trigger)
        case Event.ORDER_MOVED:
            return made._replace(price=row["price"] or made.price)
        case Event.ORDER_AMENDED:
            return made._replace(price=row["price"], quantity=row["quantity"])
        case Event.ORDER_REDUCED:
            return made._replace(quantity=made.quantity - row["quantity"])
        case Event.ORDER_CANCELLED:
            return made._replace(state="part filled" if made.filled else "cancelled", reason=reason_words(row["reason"])[0])
    return made


def open_orders(account: Mapping[str, Any], words: Dictionary) -> list[dict[str, Any]]:
    """The orders of the view `account` that stand, in the book or waiting, newest first."""
    rows = []
    for row in sorted(account["orders"], key=lambda each: -each["id"]):
        listed = words.listed_by_number(row["instrument"])
        if listed is not None:
            rows.append({"number": row["id"], "id": words.opaque.text("order", row["id"]), "instrument": listed.name, "side": Side(row["side"]).name.lower(),
                         "price": words.price_out(row["price"] or row.get("worst", 0), listed), "quantity": words.quantity_out(row["quantity"], listed),
                         "leaves": words.quantity_out(row["leaves"], listed), "filled": words.quantity_out(row["quantity"] - row["leaves"], listed),
                         "part": row["quantity"] != row["leaves"],
                         "state": STATES[row.get("state", OrderState.BOOK)], "type": _kind(row), "trigger": _trigger(row, listed, words),
                         "marks": _marks(row, listed, words)})
    return rows


STATES = {OrderState.BOOK: "in the book", OrderState.WAITING: "waiting", OrderState.TRIGGERED: "triggered", OrderState.ASLEEP: "asleep"}
_SHORT = {OrderType.LIMIT: "limit", OrderType.MARKET: "market", OrderType.PRIMARY: "peg, own side", OrderType.OPPOSITE: "peg, other side",
          OrderType.MIDPOINT: "peg, middle"}


def _kind(row: Row) -> str:
    """Its type, and when it ends unless that is only by cancelling it."""
    lasts = TimeInForce(row.get("time_in_force", TimeInForce.GTC))
    return _SHORT[OrderType(row.get("order_type", OrderType.LIMIT))] + (f", {lasts.name.lower().replace('_', ' ')}" if lasts else "")


def _trigger(row: Row, listed: Listed, words: Dictionary) -> str:
    """What it waits for: "stop 59,500.0 on mark"; nothing where it waits for no price."""
    if not row.get("trigger"):
        return ""
    at, behind = grouped(words.price_out(row["trigger_price"], listed)), row.get("distance", 0)
    follows = f", {grouped(trimmed(words.price_out(behind, listed)))} behind" if behind else ""
    return f"{Trigger(row['trigger']).name.lower().replace('_', ' ')} {at} on {TriggerOn(row['trigger_on']).name.lower()}{follows}"


def _marks(row: Row, listed: Listed, words: Dictionary) -> list[str]:
    """What else is special about it."""
    found = [word for word, so in (("post only", row["post_only"]), ("reduce only", row.get("options", 0) & REDUCE_ONLY),
                                   ("quote", row.get("quoted", 0))) if so]
    if row.get("link"):
        found.append(LINKS[Link(row["link"])])
    if row.get("display"):
        found.append(f"shows {trimmed(words.quantity_out(row['display'], listed))}")
    if row.get("offset"):
        found.append(f"{trimmed(words.price_out(row['offset'], listed))} away")
    return found


LINKS = {Link.OCO: "one of two", Link.PARENT: "parent", Link.CHILD: "child"}


def facts(row: Row, words: Dictionary) -> list[tuple[str, str, str]]:
    """Everything a row of the view `account` says of an order that its sizes and prices do not: name, value, and the id of another order it speaks of."""
    listed = words.listed_by_number(row["instrument"])
    assert listed is not None, "an order that stands is of an instrument that is listed"
    kind, base, quote = OrderType(row.get("order_type", OrderType.LIMIT)), words.asset_name(listed.base), words.asset_name(listed.quote)
    other = row.get("mate") or row.get("parent") or 0
    linked = words.opaque.text("order", other) if other else ""
    of = {Link.OCO: "one of two: when one goes, so does the other", Link.PARENT: "parent: its children sleep until it has ended",
          Link.CHILD: "child: sleeps until its parent has ended"}
    found = [("Type", _kind(row), ""), ("Trigger", _trigger(row, listed, words), ""),
             ("Lasts until", f"{datetime.fromtimestamp(row['good_till'] / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC" if row.get("good_till") else "", ""),
             ("Shows", f"{trimmed(words.quantity_out(row['display'], listed))} {base} at a time, {trimmed(words.quantity_out(row.get('shown', 0), listed))} now"
              if row.get("display") else "", ""),
             ("Worst price", f"{grouped(words.price_out(row['worst'], listed))} {quote}" if kind in PEGGED and row.get("worst") else "", ""),
             ("Away from the peg", f"{grouped(words.price_out(row['offset'], listed))} {quote}" if row.get("offset") else "", ""),
             ("Post only", ("", "or refused", "or slides")[row["post_only"]], ""),
             ("Reduce only", "yes" if row.get("options", 0) & REDUCE_ONLY else "", ""),
             ("Prevented", f"{trimmed(words.quantity_out(row['prevented'], listed))} {base}" if row.get("prevented") else "", ""),
             ("Group", of.get(Link(row.get("link", 0)), ""), linked)]
    return [each for each in found if each[1]]


ORDER_KINDS = frozenset({Kind.NEW_ORDER, Kind.CANCEL_ORDER, Kind.CANCEL_ALL, Kind.CANCEL_SOME, Kind.AMEND_ORDER, Kind.KILL})
