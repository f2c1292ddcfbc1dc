"""The words of a running design: numbers inside become names and decimals outside, and back.

Decides how an instrument, a price, a quantity, an amount and an event are written for a person or a program outside, and what is said when a text from
there is wrong. It must not know a socket, who asks, or what is allowed. One dictionary is right for one design; a changed design makes a new one.
"""
from collections.abc import Mapping
from typing import Any, NamedTuple

from cambist.design import Design, terms
from cambist.messages import ChildState, Event, Kind, Liquidity, Reason, Session, Side
from cambist.opaque import BadId, IdKind, Opaque
from cambist.sections import Terms
from cambist.units import DOWN, UP, UnitError, format_price, format_units, parse_price, parse_units
from cambist.units import amount as product

Row = Mapping[str, int]
SIDES = {"buy": Side.BUY, "sell": Side.SELL, "two_way": Side.TWO_WAY}
NAMED: dict[Kind, IdKind] = {                   # what the id of a REFUSED or DONE is, by the command it answers
    Kind.CANCEL_ORDER: "order", Kind.AMEND_ORDER: "order", Kind.NEW_ORDER: "order", Kind.REQUEST_QUOTE: "request", Kind.CANCEL_REQUEST: "request",
    Kind.QUOTE: "request", Kind.ACCEPT_QUOTE: "request", Kind.WITHDRAW_QUOTE: "quote", Kind.NEW_CHILD: "child", Kind.CANCEL_CHILD: "child",
    Kind.SETTLE: "obligation", Kind.APPROVE: "held", Kind.DENY: "held"}
IDS = frozenset(NAMED.values()) | {"match"}

# What each event says, in the order it is told: (name outside, field, how it is written). event_fields.py says what the fields mean.
_ORDER = ("order", "id", "order")
_REQUEST = ("request", "id", "request")
_CHILD = ("child", "id", "child")
_HELD = ("held", "id", "held")
_QUANTITY = ("quantity", "quantity", "quantity")
_LEAVES = ("leaves", "leaves", "quantity")
_PRICE = ("price", "price", "price")
_REASON = ("reason", "reason", "reason")
_QUOTE = (("quote", "id", "quote"), ("request", "other", "request"), ("bid", "price", "price"), ("ask", "amount", "price"), _QUANTITY,
          ("expires", "leaves", "time"))
_OBLIGATION = (("obligation", "id", "obligation"), ("asset", "other", "asset"), ("amount", "amount", "of_asset"), ("cycle", "quantity", "count"))
_AT_CUSTODY = (("custody", "id", "account"), ("asset", "other", "asset"), ("amount", "amount", "of_asset"))
E = Event
TOLD: dict[Event, tuple[tuple[str, str, str], ...]] = {
    E.REFUSED: (_REASON, ("named", "id", "named")),
    E.DUPLICATE: (),
    E.HELD: (_HELD, ("lapses", "other", "time")),
    E.DONE: (("named", "id", "named"),),
    E.ALERT: (_REASON, ("about", "id", "count"), ("other", "other", "count"), ("amount", "amount", "count")),
    E.ORDER_ACCEPTED: (_ORDER, _PRICE, _QUANTITY, _LEAVES, ("trigger", "other", "price"), ("linked_to", "amount", "linked")),
    E.ORDER_MOVED: (_ORDER, _PRICE, _LEAVES),
    E.ORDER_TRIGGERED: (_ORDER, _PRICE, _LEAVES, ("trigger", "other", "price")),
    E.BOOK_QUOTED: (("bid_order", "id", "linked"), ("ask_order", "other", "linked"), ("bid", "price", "price"), ("ask", "amount", "price"),
                    ("bid_quantity", "quantity", "quantity"), ("ask_quantity", "leaves", "quantity")),
    E.FEE_CHARGED: (("charged", "id", "order_or_quote"), ("asset", "other", "asset"), ("amount", "amount", "of_asset"),
                    ("liquidity", "liquidity", "liquidity")),
    E.PROTECTED: (_QUANTITY, ("delta", "amount", "quantity")),
    E.SESSION_CHANGED: (("session", "id", "session"), ("next", "other", "session"), ("anchor", "price", "price"), ("ends", "amount", "time_or_none"),
                        _REASON),
    E.INDICATIVE: (_PRICE, _QUANTITY, ("surplus", "amount", "quantity")),
    E.UNCROSSED: (_PRICE, _QUANTITY, ("surplus", "amount", "quantity")),
    E.TERMS_CHANGED: (("price_factor", "id", "count"), ("lot", "quantity", "quantity"), ("book_tick", "price", "count"), ("quote_tick", "other", "count")),
    E.DIGITS_CHANGED: (("asset", "id", "asset"), ("digits", "other", "count")),
    E.FILLED: (("filled", "id", "order_or_quote"), ("match", "other", "match"), _PRICE, _QUANTITY,
               _LEAVES, ("amount", "amount", "of_quote"), ("fee", "fee", "of_quote"), ("liquidity", "liquidity", "liquidity")),
    E.ORDER_CANCELLED: (_ORDER, _REASON, _PRICE, ("cancelled", "quantity", "quantity")),
    E.ORDER_AMENDED: (_ORDER, _PRICE, _QUANTITY, _LEAVES),
    E.LEVEL: (_PRICE, _QUANTITY, ("orders", "leaves", "count")),
    E.ORDER_REDUCED: (_ORDER, _REASON, _PRICE, ("prevented", "quantity", "quantity"), _LEAVES),
    E.REQUEST_OPENED: (_REQUEST, _QUANTITY, ("expires", "other", "time")),
    E.REQUEST_INVITED: (_REQUEST, _QUANTITY, ("expires", "other", "time")),
    E.QUOTED: _QUOTE,
    E.QUOTE_SHOWN: _QUOTE,
    E.QUOTE_ENDED: (("quote", "id", "quote"), ("request", "other", "request"), _REASON),
    E.REQUEST_ENDED: (_REQUEST, _REASON),
    E.DEPOSITED: _AT_CUSTODY,
    E.DEPOSIT_REVERSED: (*_AT_CUSTODY, ("deficit", "fee", "of_asset")),
    E.CUSTODY_MOVED: _AT_CUSTODY,
    E.TRANSFERRED: (("with", "id", "account"), ("asset", "other", "asset"), ("amount", "amount", "of_asset")),
    E.REFERENCE: (_PRICE, ("sources", "other", "count")),
    E.CHILD_OPENED: (_CHILD, ("venue", "other", "venue"), _PRICE, _QUANTITY, ("parent", "amount", "count")),
    E.CHILD_CHANGED: (_CHILD, ("state", "other", "child_state"), _LEAVES, _REASON),
    E.CHILD_FILL: (_CHILD, ("venue", "other", "venue"), _PRICE, _QUANTITY, _LEAVES,
                   ("amount", "amount", "of_quote"), ("fee", "fee", "of_quote")),
    E.CHILD_CANCEL_ASKED: (_CHILD, ("venue", "other", "venue")),
    E.CUT_OFF: (("cycle", "id", "count"),),
    E.OBLIGATION: _OBLIGATION,
    E.SETTLED: _OBLIGATION,
    E.SWEPT: (("swept", "id", "swept"), ("whose", "other", "swept_other")),
    E.APPROVED: (_HELD, ("by", "other", "person")),
    E.DENIED: (_HELD, ("by", "other", "person")),
    E.HELD_EXPIRED: (_HELD,),
}
SPENT = frozenset({(E.ORDER_ACCEPTED, "quantity"), (E.ORDER_ACCEPTED, "leaves"), (E.FILLED, "leaves"), (E.ORDER_CANCELLED, "cancelled")})  # BY_QUOTE
SWEPT = ("account", "instrument", "all", "session", "some", "trader", "digits")      # which mass action has ended
NULLABLE = frozenset({"swept_other", "price", "reason", "order", "request", "quote", "match", "child", "obligation", "held", "named", "order_or_quote",
                      "linked", "time_or_none"})    # 0 says "none"


class Wrong(ValueError):
    """A text from outside that cannot be used: a stable code, the path of what is wrong, and words that say what would be right."""

    def __init__(self, code: str, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.code, self.path, self.message = code, path, message


class Listed(NamedTuple):
    """An instrument: `name` as in the design (BTC/USD), `symbol` where a slash would be in the way (BTC-USD), and the numbers of its assets."""
    number: int
    name: str
    symbol: str
    base: int
    quote: int
    terms: Terms


class Dictionary:
    """`names`: numbers by name, as the view `design` tells them."""

    def __init__(self, design: Design, names: Mapping[str, Mapping[str, int]], opaque: Opaque) -> None:
        self.design, self.names, self.opaque = design, names, opaque
        self._words = {table: {number: name for name, number in rows.items()} for table, rows in names.items()}
        self.instruments = [self._list(name, number) for name, number in names["instruments"].items() if name in design.instruments]
        self._by_number = {one.number: one for one in self.instruments}
        self._by_word = {word: one for one in self.instruments for word in (one.symbol, one.name)}
        self._digits = {number: design.assets[name].digits for name, number in names["assets"].items() if name in design.assets}
        if len(self._by_word) != sum(2 if one.symbol != one.name else 1 for one in self.instruments):
            raise ValueError("two instruments have one symbol once their slashes are dashes: rename one")

    def _list(self, name: str, number: int) -> Listed:
        row = self.design.instruments[name]
        return Listed(number, name, name.replace("/", "-"), self.names["assets"][row.base], self.names["assets"][row.quote], terms(self.design, name))

    # ------------------------------------------------------------------------------------------------------------------ names
    def listed(self, word: str, path: str = "$.instrument") -> Listed:
        """By symbol or name. Raises Wrong UNKNOWN_INSTRUMENT."""
        found = self._by_word.get(word)
        if found is None:
            raise Wrong("UNKNOWN_INSTRUMENT", path, f"no instrument {word[:40]!r}; there are {', '.join(one.symbol for one in self.instruments)}")
        return found

    def listed_by_number(self, number: int) -> Listed | None:
        return self._by_number.get(number)

    def name(self, table: str, number: int) -> str:
        """The name of a number in a table of the design; `#7` where it has none any more."""
        return self._words.get(table, {}).get(number, f"#{number}")

    def account_name(self, number: int) -> str:
        return self.name("accounts", number)

    def actor_name(self, number: int) -> str:
        return self.name("actors", number)

    def asset_name(self, number: int) -> str:
        return self.name("assets", number)

    def venue_name(self, number: int) -> str:
        return self.name("venues", number)

    def source_name(self, number: int) -> str:
        return self.name("sources", number)

    def person_name(self, number: int) -> str:
        return self.name("people", number)

    def number(self, table: str, name: str, path: str) -> int:
        """The number of a name. Raises Wrong UNKNOWN_NAME."""
        found = self.names[table].get(name)
        if found is None:
            raise Wrong("UNKNOWN_NAME", path, f"no {table.removesuffix('s')} {name[:40]!r}")
        return found

    # ---------------------------------------------------------------------------------------------------------------- numbers
    def price_in(self, text: str, listed: Listed, path: str = "$.price") -> int:
        """Price increments. Raises Wrong BAD_PRICE."""
        try:
            return parse_price(text, listed.terms.price_increment)
        except UnitError as error:
            raise Wrong("BAD_PRICE", path, str(error)) from None

    def price_out(self, price: int, listed: Listed) -> str:
        return ("-" if price < 0 else "") + format_price(abs(price), listed.terms.price_increment)

    def quantity_in(self, text: str, listed: Listed, path: str = "$.quantity") -> int:
        """Units of the base asset. Raises Wrong BAD_QUANTITY."""
        try:
            return parse_units(text, listed.terms.base_digits)
        except UnitError as error:
            raise Wrong("BAD_QUANTITY", path, str(error)) from None

    def quantity_out(self, quantity: int, listed: Listed) -> str:
        return format_units(quantity, listed.terms.base_digits)

    def amount_in(self, text: str, asset: int, path: str = "$.amount") -> int:
        """Units of an asset. Raises Wrong BAD_AMOUNT."""
        try:
            return parse_units(text, self._digits[asset])
        except UnitError as error:
            raise Wrong("BAD_AMOUNT", path, str(error)) from None

    def amount_out(self, amount: int, asset: int) -> str:
        return format_units(amount, self._digits.get(asset, 0))

    def amount_of(self, quantity: int, price: int, listed: Listed, up: bool = False) -> int:
        """Quote-asset units of a quantity at a price, rounded down unless up."""
        return product(quantity, price, listed.terms.amount_num, listed.terms.amount_den, UP if up else DOWN)

    def quantity_for(self, amount: int, price: int, listed: Listed) -> int:
        """The largest quantity, in whole lots, that an amount of the quote asset buys at a price; 0 when not even one lot."""
        t = listed.terms
        return amount * t.amount_den // (price * t.amount_num) // t.lot * t.lot if price > 0 else 0

    def id_in(self, kind: IdKind, text: str, path: str = "$.id") -> int:
        """Raises Wrong UNKNOWN_ORDER, UNKNOWN_REQUEST and so on: a text that is no id of ours and an id of nothing are one to whoever asks."""
        try:
            return self.opaque.number(kind, text)
        except BadId as error:
            raise Wrong(f"UNKNOWN_{kind.upper()}", path, str(error)) from None

    # ----------------------------------------------------------------------------------------------------------------- events
    def told(self, row: Row, time: int) -> dict[str, Any]:
        """One event for the account it concerns: decimals as text, ids opaque, names by name; `time` is log time in ns. What says nothing is left out."""
        kind = int(row["kind"])
        if kind not in Event._value2member_map_:
            return {"event": f"#{kind}", "time": time}
        event, listed = Event(kind), self._by_number.get(int(row["instrument"]))
        told: dict[str, Any] = {"event": event.name.lower(), "time": time}
        if row["command"]:
            told["command"] = _word(Kind, int(row["command"]))
            told["client_id"] = client_id(int(row["id_hi"]), int(row["id_lo"]))
        if listed is not None:
            told["instrument"] = listed.symbol
        if event in SIDED:
            told["side"] = Side(int(row["side"])).name.lower()
        by_quote = row["liquidity"] == Liquidity.TAKER_BY_QUOTE
        for name, field, how in TOLD[event]:
            if by_quote and (event, name) in SPENT:
                name, how = f"quote_{name}", "of_quote"
            name, value = self._told_field(name, how, int(row[field]), row, listed)
            if value is not None:
                told[name] = value
        return told

    def told_to_staff(self, row: Row, time: int) -> dict[str, Any]:
        """The same with whose it is and where in the log."""
        return {**self.told(row, time), "account": self.account_name(int(row["account"])) if row["account"] else "", "sequence": int(row["sequence"])}

    def liquidity_name(self, value: int) -> str:
        """A taker is one whatever its sizes are of."""
        return "taker" if value == Liquidity.TAKER_BY_QUOTE else _word(Liquidity, value)

    def _told_field(self, name: str, how: str, value: int, row: Row, listed: Listed | None) -> tuple[str, Any]:
        if not value and how in NULLABLE:
            return name, None
        if how == "named":
            named = NAMED.get(Kind(int(row["command"]))) if row["command"] in Kind._value2member_map_ else None
            return (named, self.opaque.text(named, value)) if named else (name, None)
        if how == "order_or_quote":
            kind = "quote" if row["liquidity"] == Liquidity.QUOTE else "order"
            return kind, self.opaque.text(kind, value)
        if how == "linked":
            return name, self.opaque.text("order", value)
        if how == "swept_other":
            return ("trader", self.actor_name(value)) if row["id"] == SWEPT.index("trader") else ("asset", self.asset_name(value))
        if how in IDS:
            return name, self.opaque.text(how, value)  # type: ignore[arg-type]
        return name, self._plain(how, value, row, listed)

    def _plain(self, how: str, value: int, row: Row, listed: Listed | None) -> Any:
        match how:
            case "price": return self.price_out(value, listed) if listed else None
            case "quantity": return self.quantity_out(value, listed) if listed else None
            case "of_quote": return self.amount_out(value, listed.quote) if listed else None
            case "of_asset": return self.amount_out(value, int(row["other"]))
            case "asset": return self.asset_name(value)
            case "account": return self.account_name(value)
            case "person": return self.person_name(value)
            case "swept": return SWEPT[value] if 0 <= value < len(SWEPT) else f"#{value}"
            case "venue": return self.venue_name(value)
            case "reason": return _word(Reason, value).upper()
            case "liquidity": return self.liquidity_name(value)
            case "child_state": return _word(ChildState, value)
            case "session": return _word(Session, value)
            case _: return value                        # a time or a count


SIDED = frozenset({E.ORDER_ACCEPTED, E.FILLED, E.ORDER_CANCELLED, E.ORDER_AMENDED, E.ORDER_REDUCED, E.REQUEST_OPENED, E.REQUEST_INVITED, E.CHILD_OPENED,
                   E.CHILD_CHANGED, E.CHILD_FILL, E.LEVEL, E.ORDER_MOVED, E.ORDER_TRIGGERED})


def _word(names: Any, value: int) -> str:
    return names(value).name.lower() if value in names._value2member_map_ else f"#{value}"


def client_id(id_hi: int, id_lo: int) -> str:
    """The 128-bit client id as 32 lower hex digits."""
    return f"{id_hi & (1 << 64) - 1:016x}{id_lo & (1 << 64) - 1:016x}"


def read_client_id(text: str, path: str = "$.id") -> tuple[int, int]:
    """id_hi, id_lo of 32 lower hex digits. Raises Wrong BAD_ID; all zeros is no id."""
    if len(text) != 32 or any(c not in "0123456789abcdef" for c in text) or not text.strip("0"):
        raise Wrong("BAD_ID", path, "a client id is 32 hex digits 0-9a-f, 128 bits of your own choice, never all zero and never used before")
    hi, lo = int(text[:16], 16), int(text[16:], 16)
    return (hi - (1 << 64) if hi >> 63 else hi), (lo - (1 << 64) if lo >> 63 else lo)
