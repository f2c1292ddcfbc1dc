"""The venue port: what the desk may ask of an outside market, and what that market may say.

Decides the shapes of intents (what we want done) and reports (the outside's word), and how decimal text becomes whole
increments. It must not know any particular venue, a socket, a clock, or what the core does with a report.

Units: price in the instrument's price increments, quantity in base-asset units, fee in quote-asset units, time in ns since
1970-01-01 UTC. A venue that says nothing has not said no: silence leaves a child order unknown until `AskChild` is answered.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Protocol, TypeAlias

import msgspec

from cambist.messages import Side, TimeInForce

BOOK_DEPTH_MAX = 50
PPM = 1_000_000


class Liquidity(enum.IntEnum):
    """FIX 4.4 tag 851: whether a fill added liquidity (we rested) or removed it (we took)."""

    ADDED = 1
    REMOVED = 2


class OrderKind(enum.StrEnum):
    LIMIT = "limit"


class Silence(enum.StrEnum):
    """What an answer that never came means at this venue, and what ends it."""

    ASK = "ask"  # the venue remembers our child id: AskChild gives the whole truth
    RECONCILE = "reconcile"  # the venue cannot be asked by our id: a person or a statement must close it


class CloseReason(enum.StrEnum):
    FILLED = "filled"
    CANCELLED = "cancelled"
    REMAINDER = "remainder"  # an IOC's quantity that found no price within its limit
    BY_VENUE = "by_venue"


class RejectReason(enum.StrEnum):
    UNKNOWN_INSTRUMENT = "unknown_instrument"
    UNSUPPORTED = "unsupported"  # side, time in force or order kind outside the declared capabilities
    QUANTITY_NOT_POSITIVE = "quantity_not_positive"
    QUANTITY_OFF_LOT = "quantity_off_lot"
    PRICE_OFF_TICK = "price_off_tick"
    PRICE_OUT_OF_RANGE = "price_out_of_range"
    TOO_MANY_ORDERS = "too_many_orders"
    BUSY = "busy"
    OTHER = "other"


def signed(side: Side, quantity: int) -> int:
    """What a trade on this side does to a position: buying adds, selling takes away."""
    if side not in (Side.BUY, Side.SELL):
        raise ValueError(f"side {side!r} is neither BUY nor SELL, so it has no sign")
    return quantity if side == Side.BUY else -quantity


# -- what an instrument is, to a venue and to the desk ----------------------------------------------------------------


class Terms(msgspec.Struct, frozen=True):
    """An instrument's terms. `price_increment` and `base_unit` are decimal text; the rest is in those increments and units."""

    name: str
    number: int
    price_increment: str
    base_unit: str
    book_tick: int
    quote_tick: int
    lot: int
    amount_num: int
    amount_den: int
    min_price: int
    max_price: int

    def __post_init__(self) -> None:
        Grid(self.price_increment)
        Grid(self.base_unit)
        for field in ("book_tick", "quote_tick", "lot", "amount_num", "amount_den"):
            if getattr(self, field) < 1:
                raise ValueError(f"terms of {self.name}: {field} is {getattr(self, field)}; it must be 1 or more")
        if self.min_price > self.max_price:
            raise ValueError(f"terms of {self.name}: min_price {self.min_price} is above max_price {self.max_price}")

    def amount(self, quantity: int, price: int) -> int:
        """Quote-asset units that `quantity` is worth at `price`, rounded down."""
        return quantity * price * self.amount_num // self.amount_den

    def fee(self, quantity: int, price: int, fee_ppm: int) -> int:
        """The fee on a fill in quote-asset units, rounded up (against us; a rebate is rounded towards zero)."""
        return -(-quantity * abs(price) * self.amount_num * fee_ppm // (self.amount_den * PPM))


class DecimalError(ValueError):
    """Decimal text that is not a whole number of increments. `code` is stable; the text says what is wrong and what is right."""

    def __init__(self, code: str, wrong: str, right: str) -> None:
        super().__init__(f"{wrong}; {right}")
        self.code, self.wrong, self.right = code, wrong, right


class Grid:
    """Decimal text to whole increments and back, exactly: integers only, never a float.

    `count("39433.62")` on `Grid("0.01")` is 3943362. Text off the grid is refused, unless a rounding (-1 down, 0 nearest with
    ties up, +1 up) is asked for.
    """

    __slots__ = ("_num", "_places", "_text")

    _PLAIN = re.compile(r"([+-]?)(\d{1,40})(?:\.(\d{0,40}))?", re.ASCII)
    _WRITTEN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
    _ENDLESS = frozenset({"nan", "inf", "infinity"})

    def __init__(self, increment: str) -> None:
        num, places = self._parsed(increment)
        if num <= 0:
            raise DecimalError("not_positive", f"the increment {increment!r} is not above zero", "give one such as '0.01'")
        self._num, self._places, self._text = num, places, increment

    def count(self, text: str, rounding: int | None = None) -> int:
        value, places = self._parsed(text)
        if places < self._places:
            value *= 10 ** (self._places - places)
            whole = self._num
        else:
            whole = self._num * 10 ** (places - self._places)
        increments, left = divmod(value, whole)
        if left == 0 or rounding == -1:
            return increments
        if rounding is None:
            raise DecimalError("off_grid", f"{text} is not a multiple of {self._text}", "declare a finer increment, or ask for rounding")
        return increments + (1 if rounding > 0 or 2 * left >= whole else 0)

    def text(self, increments: int) -> str:
        sign = "-" if increments < 0 else ""
        digits = str(abs(increments) * self._num)
        if not self._places:
            return sign + digits
        digits = digits.rjust(self._places + 1, "0")
        return f"{sign}{digits[: -self._places]}.{digits[-self._places :]}"

    @classmethod
    def _parsed(cls, text: str) -> tuple[int, int]:
        """Value and decimal places: '-1.50' is (-150, 2)."""
        found = cls._PLAIN.fullmatch(text)
        if found is None:
            if text.strip().lstrip("+-").lower() in cls._ENDLESS:
                raise DecimalError("not_finite", f"{text!r} is not a finite number", "give a decimal number")
            if not cls._WRITTEN.fullmatch(text) or len(text) > 80:
                raise DecimalError("not_a_number", f"{text!r} is not a number", "give a decimal number such as '39433.62'")
            found = cls._PLAIN.fullmatch(format(Decimal(text), "f"))
            if found is None:
                raise DecimalError("not_a_number", f"{text!r} has too many digits", "give at most 40 digits either side of the point")
        sign, whole, fraction = found[1], found[2], found[3] or ""
        value = int(whole + fraction)
        return (-value if sign == "-" else value), len(fraction)


# -- what a venue can do ----------------------------------------------------------------------------------------------


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue declares it can do. The conformance suite holds it to this; the core routes by it."""

    venue: str
    order_kinds: tuple[OrderKind, ...] = (OrderKind.LIMIT,)
    times_in_force: tuple[TimeInForce, ...] = (TimeInForce.GTC, TimeInForce.IOC)
    cancels: bool = True
    client_ids: bool = True  # the venue keeps our child id, and the same id acts once
    book_depth: int = BOOK_DEPTH_MAX
    silence: Silence = Silence.ASK
    ask_after_ns: int = 1_000_000_000  # silence longer than this is worth an AskChild
    taker_fee_ppm: int = 0
    maker_fee_ppm: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.book_depth <= BOOK_DEPTH_MAX:
            raise ValueError(f"venue {self.venue}: book_depth is {self.book_depth}; it must be 1 to {BOOK_DEPTH_MAX}")


# -- intents: what we want done ---------------------------------------------------------------------------------------


class PlaceChild(msgspec.Struct, frozen=True, tag="place_child"):
    """`child_id` is unique for ever (the log's sequence), so that performing this twice is performing it once."""

    child_id: int
    instrument: int
    side: Side
    quantity: int
    limit_price: int
    tif: TimeInForce


class CancelChild(msgspec.Struct, frozen=True, tag="cancel_child"):
    child_id: int


class AskChild(msgspec.Struct, frozen=True, tag="ask_child"):
    """After silence: tell all you know of this child, from the beginning."""

    child_id: int


# -- reports: the outside's word --------------------------------------------------------------------------------------
# `time` is when it happened at the venue. A report told again, as the answer to an AskChild, is the same report: same
# identifiers, same time. The receiver counts an execution id once.


class Acked(msgspec.Struct, frozen=True, tag="acked"):
    child_id: int
    venue_order_id: str
    time: int


class Filled(msgspec.Struct, frozen=True, tag="filled"):
    child_id: int
    execution_id: str
    quantity: int
    price: int
    fee: int
    liquidity: Liquidity
    time: int


class Closed(msgspec.Struct, frozen=True, tag="closed"):
    """Nothing more will happen to this child; `cum_quantity` is all it ever filled, so a lost fill shows."""

    child_id: int
    reason: CloseReason
    cum_quantity: int
    time: int


class Rejected(msgspec.Struct, frozen=True, tag="rejected"):
    """The child never existed at the venue and never will."""

    child_id: int
    reason: RejectReason
    time: int


class Missing(msgspec.Struct, frozen=True, tag="missing"):
    """The venue has never heard of this child. Requests keep their order, so one sent before the question cannot still arrive."""

    child_id: int
    time: int


class BookUpdate(msgspec.Struct, frozen=True, tag="book_update"):
    """A venue's book after a change: (price, quantity) best first, no price twice, at most BOOK_DEPTH_MAX a side."""

    instrument: int
    time: int
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


Intent: TypeAlias = PlaceChild | CancelChild | AskChild
ChildReport: TypeAlias = Acked | Filled | Closed | Rejected | Missing
Report: TypeAlias = ChildReport | BookUpdate


class Venue(Protocol):
    """One outside market, as a step: no clock of its own, no waiting, nothing returned that has not arrived by `now`."""

    @property
    def capabilities(self) -> Capabilities: ...

    def step(self, now: int, intents: Sequence[Intent]) -> list[Report]:
        """Take these intents at `now` and return every report that has arrived by `now`, in the order of arrival."""
        ...

    def next_event(self, now: int) -> int | None:
        """For virtual clocks: when something next happens here by itself, never before `now`; None if nothing is under way."""
        ...


def book_fault(update: BookUpdate, depth_max: int = BOOK_DEPTH_MAX) -> str | None:
    """What is wrong with this book, or None: empty sides are allowed, disorder, a crossing and a bad quantity are not."""
    for word, levels, towards in (("bid", update.bids, -1), ("ask", update.asks, 1)):
        if len(levels) > depth_max:
            return f"{len(levels)} {word} levels are more than the {depth_max} declared"
        for price, quantity in levels:
            if quantity <= 0:
                return f"{word} {price} has quantity {quantity}, which must be above zero"
        for (better, _), (worse, _) in pairwise(levels):
            if (worse - better) * towards <= 0:
                return f"{word}s are not best first: {better} stands before {worse}"
    if update.bids and update.asks and update.bids[0][0] >= update.asks[0][0]:
        return f"bid {update.bids[0][0]} is not below ask {update.asks[0][0]}"
    return None
