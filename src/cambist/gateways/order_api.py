"""What clients send and get about orders: every kind of order, lists of orders, quotes in the book, and what protects them.

Decides names, shapes and examples only, as `api.py` does for the rest. An order says four things, each on its own: what it may trade at, when it begins, how
it trades, when it ends; docs/orders.md tells what each does. What does not go together is refused by the house, with its reason.
"""
from typing import Annotated, Literal

from msgspec import Meta, to_builtins

from cambist.gateways.api import (
    EXAMPLE_TAIL, MAX_TTL_MS, Amount, Asked, AssetName, Instrument, MatchId, OrderId, OrderName, Price, Quantity, QuoteQuantity, Side, Signed, Time, Told,
)

MAX_QUOTES = 64                                         # of one mass quote: as long as a group of the log may be
ORDER = f"ord_{EXAMPLE_TAIL}"

OrderType = Annotated[Literal["limit", "market", "primary", "opposite", "midpoint"], Meta(
    examples=["limit"], description="primary, opposite, midpoint: pegged to the best price of its own side, of the other side, or to the middle of both.")]
TimeInForce = Annotated[Literal["gtc", "ioc", "fok", "day", "gtd", "auction", "at_open", "at_close"], Meta(
    examples=["gtc"], description="day: until the instrument closes; gtd: until good_till; auction: in the one being called now; at_open, at_close: waits for "
                                  "the auction that opens or closes.")]
SelfTrade = Annotated[Literal["cancel_newest", "cancel_oldest", "cancel_both", "decrement"], Meta(
    examples=["cancel_newest"], description="What happens when it meets an order that it may not trade with.")]
PostOnly = Annotated[Literal["no", "reject", "slide"], Meta(
    examples=["no"], description="reject: refused if it would trade at once; slide: moved one tick behind the other side instead.")]
Trigger = Annotated[Literal["stop", "take_profit", "trailing"], Meta(examples=["stop"])]
TriggerOn = Annotated[Literal["last", "index", "mark"], Meta(
    examples=["last"], description="last: this book's last trade; index: the reference; mark: the median of the reference, best bid and best ask.")]
State = Annotated[Literal["book", "waiting", "triggered", "asleep"], Meta(
    examples=["book"], description="waiting: for its trigger or its auction; triggered: about to enter the book; asleep: a child whose parent stands, or a peg "
                                   "with nothing to be pegged to.")]


# ------------------------------------------------------------------------------------------------------------------- requests: what is in a body
class Leg(Asked, kw_only=True):
    """What an order says of itself beside its side and size."""
    type: OrderType = "limit"
    price: Annotated[Price | None, Meta(examples=["64250.5"], description="The limit, of a peg the worst price it may have; none of a market order.")] = None
    time_in_force: TimeInForce = "gtc"
    good_till: Annotated[Time | None, Meta(examples=[None], description="Until when, for gtd and nothing else.")] = None
    post_only: PostOnly = "no"
    self_trade: SelfTrade = "cancel_newest"
    trigger: Annotated[Trigger | None, Meta(examples=[None], description="What it waits for before it enters the book.")] = None
    trigger_price: Annotated[Price | None, Meta(examples=[None], description="Of stop and take_profit.")] = None
    distance: Annotated[Price | None, Meta(examples=[None], description="Of trailing: how far its trigger stays from the price.")] = None
    trigger_on: TriggerOn = "last"
    reduce_only: Annotated[bool, Meta(examples=[False], description="Never makes a position larger or turns it.")] = False


class OrderNew(Leg, kw_only=True):
    """One order. Exactly one of quantity and quote_quantity is given; the second is for market orders: what to spend, or to receive, fees apart."""
    instrument: Instrument
    side: Side
    quantity: Annotated[Quantity | None, Meta(examples=["0.5"])] = None
    quote_quantity: Annotated[QuoteQuantity | None, Meta(examples=[None])] = None
    offset: Annotated[Price | None, Meta(examples=[None], description="Of a peg: how far it stays away from what it is pegged to.")] = None
    display: Annotated[Quantity | None, Meta(examples=[None], description="How much of it is shown at a time; all of it when left out.")] = None
    minimum: Annotated[Quantity | None, Meta(examples=[None], description="At least so much trades at once, or it is refused.")] = None


class ListNew(Asked, kw_only=True):
    """Orders accepted whole or not at all, of one size. oco: one cancels the other, both on `side`. oto: a parent on `side`, and a child on the other side that
    sleeps until the parent has ended, for what it traded. bracket: a parent and two children that are an oco. The first order has the client id of the request;
    that of order n, from 0, is the first 32 digits of the SHA-256, in hex, of the text "{id}-{n}"."""
    instrument: Instrument
    kind: Annotated[Literal["oco", "oto", "bracket"], Meta(examples=["oco"])]
    side: Side
    quantity: Quantity
    orders: Annotated[list[Leg], Meta(min_length=2, max_length=3, examples=[to_builtins([
        Leg(price="66000"), Leg(type="market", trigger="stop", trigger_price="62000")])])]


class AmendTo(Asked, kw_only=True):
    """Both are the order's new values; quantity counts what has been filled already. Only what rests in the book is amended."""
    price: Price
    quantity: Quantity


class OrderAmend(AmendTo, kw_only=True):
    order: OrderName


class OrderNamed(Asked, kw_only=True):
    order: OrderName


class OrderList(Asked, kw_only=True):
    instrument: Annotated[Instrument | None, Meta(examples=["BTC-USD"])] = None


class CancelMany(Asked, kw_only=True):
    """All of the account, or those of an instrument, of a side, or both."""
    instrument: Annotated[Instrument | None, Meta(examples=["BTC-USD"])] = None
    side: Annotated[Side | None, Meta(examples=["sell"])] = None


class DeadMan(Asked, kw_only=True):
    """Everything is cancelled unless this comes again in time; 0 takes it back."""
    ttl_ms: Annotated[int, Meta(ge=0, le=MAX_TTL_MS, examples=[10_000])]


class BookQuote(Asked, kw_only=True):
    """Both sides of a quote in the book, replaced as a unit. A side that is left out is withdrawn."""
    instrument: Instrument
    bid: Annotated[Price | None, Meta(examples=["64240.5"])] = None
    bid_quantity: Annotated[Quantity | None, Meta(examples=["0.5"])] = None
    ask: Annotated[Price | None, Meta(examples=["64260.5"])] = None
    ask_quantity: Annotated[Quantity | None, Meta(examples=["0.5"])] = None


class MassQuote(Asked, kw_only=True):
    """Of up to 64 instruments, each once: all of them or none. Quotes never take. Client ids are as for lists of orders, in the order of the answer."""
    quotes: Annotated[list[BookQuote], Meta(min_length=1, max_length=MAX_QUOTES, examples=[[
        {"instrument": "BTC-USD", "bid": "64240.5", "bid_quantity": "0.5", "ask": "64260.5", "ask_quantity": "0.5"}]])]
    self_trade: SelfTrade = "cancel_newest"


class ProtectionReset(Asked, kw_only=True):
    """What was counted is forgotten, and quotes are taken again."""
    instrument: Instrument


# ----------------------------------------------------------------------------------------------------------------------------------------- answers
class Order(Told, kw_only=True):
    """An order that stands: in the book, or outside of it and waiting."""
    order: OrderId
    instrument: Instrument
    side: Side
    type: OrderType
    state: State
    price: Annotated[Price, Meta(description="Where it rests; of one that is not in the book, the worst price it may trade at.")]
    limit: Annotated[Price | None, Meta(examples=[None], description="Of a peg: the worst price it may have.")] = None
    quantity: Quantity
    filled: Annotated[Quantity, Meta(examples=["0.25"])]
    leaves: Annotated[Quantity, Meta(examples=["0.25"], description="Still open.")]
    prevented: Annotated[Quantity, Meta(examples=["0"], description="Taken from it so that it would not trade with its own side, or because it is linked.")]
    time_in_force: TimeInForce
    good_till: Annotated[Time | None, Meta(examples=[None])] = None
    post_only: PostOnly
    self_trade: SelfTrade
    display: Annotated[Quantity | None, Meta(examples=[None])] = None
    reduce_only: bool = False
    trigger: Annotated[Trigger | None, Meta(examples=[None])] = None
    trigger_on: Annotated[TriggerOn | None, Meta(examples=[None])] = None
    trigger_price: Annotated[Price | None, Meta(examples=[None], description="As it is now: that of a trailing order follows the price.")] = None
    distance: Annotated[Price | None, Meta(examples=[None])] = None
    offset: Annotated[Price | None, Meta(examples=[None])] = None
    link: Annotated[Literal["oco", "parent", "child"] | None, Meta(examples=[None])] = None
    linked_to: Annotated[OrderId | None, Meta(examples=[None], description="The other of its oco, or the parent of a child.")] = None
    quoted: Annotated[bool, Meta(examples=[False], description="It is a side of a mass quote.")] = False


class Orders(Told, kw_only=True):
    """Orders that stand, of one instrument or of all."""
    orders: list[Order]
    more: Annotated[bool, Meta(description="There are more than fit in one answer.")] = False


class Fill(Told, kw_only=True):
    """A part of an order that traded."""
    match: MatchId
    price: Price
    quantity: Quantity
    amount: Annotated[Amount, Meta(description="In the quote asset.")]
    fee: Annotated[Signed, Meta(examples=["1.6062"], description="Below zero: a rebate.")]
    fee_asset: AssetName
    liquidity: Annotated[Literal["maker", "taker", "quote", "auction"], Meta(examples=["taker"])]


class OrderAnswer(Told, kw_only=True):
    """The order as it stood when the command ended. What happens to it later is told by events."""
    order: OrderId
    instrument: Instrument
    status: Annotated[Literal["open", "waiting", "filled", "cancelled"], Meta(
        examples=["open"], description="waiting: it is not in the book yet.")]
    side: Side
    price: Annotated[Price | None, Meta(examples=["64250.5"], description="Its limit, after sliding; of a market order the worst price there is for it.")]
    quantity: Annotated[Quantity | None, Meta(examples=["0.5"])]
    leaves: Annotated[Quantity | None, Meta(examples=["0.25"], description="Still open.")]
    quote_quantity: Annotated[QuoteQuantity | None, Meta(examples=[None], description="What was to be spent or received, if it was sized so; quantity and "
                                                                                      "leaves are null then.")] = None
    trigger_price: Annotated[Price | None, Meta(examples=[None])] = None
    fills: Annotated[list[Fill], Meta(description="Of this command.")]
    reason: Annotated[str | None, Meta(examples=[None], description="Why its rest was cancelled, such as IMMEDIATE or SELF_TRADE.")] = None


class ListAnswer(Told, kw_only=True):
    """The orders of the list, in their order."""
    orders: list[OrderAnswer]


class OrderCancelled(Told, kw_only=True):
    """What was still open and is not any more."""
    order: OrderId
    cancelled: Annotated[Quantity | None, Meta(examples=["0.25"])]


class DeadManSet(Told, kw_only=True):
    """`cancels_after_ms` from when it was taken; 0: no more."""
    cancels_after_ms: Annotated[int, Meta(examples=[10_000])]


class BookQuoted(Told, kw_only=True):
    """The orders that the quote is now."""
    instrument: Instrument
    bid_order: Annotated[OrderId | None, Meta(examples=[ORDER])]
    ask_order: Annotated[OrderId | None, Meta(examples=[ORDER])]
    bid: Annotated[Price | None, Meta(examples=["64240.5"])]
    bid_quantity: Annotated[Quantity | None, Meta(examples=["0.5"])]
    ask: Annotated[Price | None, Meta(examples=["64260.5"])]
    ask_quantity: Annotated[Quantity | None, Meta(examples=["0.5"])]


class MassQuoted(Told, kw_only=True):
    """By the numbers of their instruments."""
    quotes: list[BookQuoted]
