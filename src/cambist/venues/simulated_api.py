"""The WebSocket API of a simulated venue: every message either side may send, as a real venue would publish them.

Decides shapes only: JSON objects told apart by `op`, decimals as text, the venue's own symbols, times in ns since 1970-01-01 UTC. It must not know a socket,
a number of ours or what a message leads to: the venue's side is `simulated_exchange.py`, ours is `remote_venue.py`.

A connection says `logon` with a session number before it orders. A newer session takes the place of an older one: what the older one still had on its way is
refused, so an order sent before a connection broke can not arrive after the answer that it is unknown. The same `client_order_id` acts once, for ever.
"""
from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

FRAME_BYTES_MOST = 1 << 16
SYMBOLS_MOST = 64
Symbol = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
Decimal = Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
OrderId = Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]{1,19}$")]
Level: TypeAlias = tuple[str, str]              # price, quantity


class Message(msgspec.Struct, frozen=True, tag_field="op", omit_defaults=True):
    """`op` is the tag."""


class Strict(Message, forbid_unknown_fields=True, kw_only=True):
    """What the venue takes: a field it does not know is refused, for it might have mattered."""


# ------------------------------------------------------------------------------------------------------------ to the venue
class Logon(Strict, tag="logon"):
    session: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class NewOrder(Strict, tag="order.new"):
    client_order_id: OrderId
    symbol: Symbol
    side: Literal["buy", "sell"]
    quantity: Decimal
    price: Decimal
    time_in_force: Literal["gtc", "ioc", "fok"]


class CancelOrder(Strict, tag="order.cancel"):
    client_order_id: OrderId


class QueryOrder(Strict, tag="order.query"):
    """Answered by all the venue ever said of this order, from the beginning; or by status "unknown"."""
    client_order_id: OrderId


class SubscribeBook(Strict, tag="subscribe"):
    """Answered by a snapshot of each symbol, then updates. Again: a new snapshot."""
    symbols: Annotated[list[Symbol], msgspec.Meta(min_length=1, max_length=SYMBOLS_MOST)]


class PingVenue(Strict, tag="ping"):
    id: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0


Request: TypeAlias = Logon | NewOrder | CancelOrder | QueryOrder | SubscribeBook | PingVenue


# ---------------------------------------------------------------------------------------------------------- from the venue
class Hello(Message, tag="hello"):
    venue: str
    symbols: list[str]
    time: int


class LoggedOn(Message, tag="logged_on"):
    session: int


class OrderWord(Message, tag="order"):
    """The state of an order. new: `order_id`. rejected, closed: `reason`. closed: `filled_quantity`, all it ever filled. unknown: the venue never had it."""
    client_order_id: str
    status: Literal["new", "rejected", "closed", "unknown"]
    time: int
    symbol: str = ""
    order_id: str = ""
    reason: str = ""
    filled_quantity: str = ""


class FillWord(Message, tag="fill"):
    """`execution_id` names one fill for ever; the fee is in the quote asset."""
    client_order_id: str
    symbol: str
    execution_id: str
    quantity: str
    price: str
    fee: str
    liquidity: Literal["maker", "taker"]
    time: int


class BookWord(Message, tag="book"):
    """snapshot: the whole book, best first. update: levels with their new quantity, "0" for one that is gone; to be put on `previous_sequence` alone."""
    type: Literal["snapshot", "update"]
    symbol: str
    sequence: int
    time: int
    bids: list[Level]
    asks: list[Level]
    previous_sequence: int = 0


class Pong(Message, tag="pong"):
    id: int
    time: int


class Fault(Message, tag="error"):
    """Nothing was done. `code` is stable."""
    code: Literal["BAD_MESSAGE", "NOT_LOGGED_ON", "OLD_SESSION", "BAD_NUMBER", "NO_TRADING", "UNKNOWN_SYMBOL"]
    message: str
    client_order_id: str = ""


Word: TypeAlias = Hello | LoggedOn | OrderWord | FillWord | BookWord | Pong | Fault

encode = msgspec.json.Encoder().encode
read_request = msgspec.json.Decoder(Request).decode      # raises msgspec.MsgspecError
read_word = msgspec.json.Decoder(Word).decode
