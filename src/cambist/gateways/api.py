"""What clients send and get: every request and answer of the gateway as a typed struct, the same over REST and WebSocket.

Decides names, shapes and examples only; `openapi.py` prints them. It must not know a key, a socket or a number of the log. Decimals are text, never
floats, because a float loses money; times are whole nanoseconds since 1970; ids are opaque. What a client sends may hold no field that is not here.
"""
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta

MAX_DEPTH, MAX_TRADES, MAX_PAGE, MAX_WAIT_MS, MAX_TTL_MS = 1000, 1000, 1000, 30_000, 86_400_000
DECIMAL = r"^[0-9]{1,40}(\.[0-9]{1,20})?$"
EXAMPLE_TAIL = "k5cfw3zv7q2o4jx6h25n7ypdra"
EXAMPLE_TIME = 1_763_712_000_000_000_000


def _decimal(example: str, about: str) -> Meta:
    """What comes in is read by the dictionary, whose words say more than that a pattern was missed; the pattern is for who reads the description."""
    return Meta(examples=[example], description=about, extra_json_schema={"pattern": DECIMAL})


def _id(prefix: str, what: str) -> Meta:
    return Meta(pattern=rf"^{prefix}_[a-z2-7]{{26}}$", examples=[f"{prefix}_{EXAMPLE_TAIL}"], description=f"The opaque id of {what}.")


def _named(prefix: str, what: str) -> Meta:
    """In a request: a text that is no id of ours and an id of nothing are one to whoever asks, so neither is told apart by its form."""
    return Meta(max_length=64, examples=[f"{prefix}_{EXAMPLE_TAIL}"], description=f"The opaque id of {what}.")


Price = Annotated[str, _decimal("64250.5", "Quote asset per one whole base asset; a whole number of the instrument's tick.")]
Quantity = Annotated[str, _decimal("0.5", "In the base asset; a whole number of the instrument's lot.")]
QuoteQuantity = Annotated[str, _decimal("25000", "In the quote asset.")]
Amount = Annotated[str, _decimal("1000", "In the asset that is named beside it.")]
Signed = Annotated[str, Meta(pattern=r"^-?[0-9]{1,40}(\.[0-9]{1,20})?$", examples=["-12.5"], description="A decimal that may be below zero.")]
Instrument = Annotated[str, Meta(max_length=64, examples=["BTC-USD"], description='The symbol "BTC-USD"; in a request also the name "BTC/USD".')]
AssetName = Annotated[str, Meta(max_length=64, examples=["USD"])]
AccountName = Annotated[str, Meta(max_length=64, examples=["acme"])]
OrderId = Annotated[str, _id("ord", "an order")]
RequestId = Annotated[str, _id("req", "a request for quotes")]
QuoteId = Annotated[str, _id("quo", "a quote")]
MatchId = Annotated[str, _id("mat", "a match")]
ObligationId = Annotated[str, _id("obl", "an obligation to be settled")]
HeldId = Annotated[str, _id("hld", "a command that waits for a second person")]
OrderName = Annotated[str, Meta(max_length=64, examples=[f"ord_{EXAMPLE_TAIL}"],
                                description="The opaque id of an open order of this account, or the client id it was sent with, 32 hex digits.")]
RequestName = Annotated[str, _named("req", "a request for quotes")]
QuoteName = Annotated[str, _named("quo", "a quote")]
Side = Annotated[Literal["buy", "sell"], Meta(examples=["buy"])]
Sides = Annotated[Literal["buy", "sell", "two_way"],
                  Meta(examples=["two_way"], description="two_way: quotes have a bid and an ask, and the side is chosen by accepting.")]
Time = Annotated[int, Meta(ge=0, examples=[EXAMPLE_TIME], description="Nanoseconds since 1970, UTC, by the log's clock.")]
Cursor = Annotated[int, Meta(ge=0, le=1 << 53, examples=[1], description="A number of the account's stream, from 1. Its events have contiguous numbers, "
                                                                         "which never change.")]


class Asked(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What a client sends: a field that is not named here is refused."""


class Told(msgspec.Struct, kw_only=True):
    """What a client gets. Fields may be added in a later release: ignore what you do not know."""


# ------------------------------------------------------------------------------------------------------------------------------------- errors
class Error(Told, kw_only=True):
    """What was wrong, and what would be right."""
    code: Annotated[str, Meta(pattern="^[A-Z][A-Z0-9_]*$", examples=["OFF_TICK"], description="Stable; act on this and not on the message.")]
    message: Annotated[str, Meta(examples=["price 64250.3 is not a whole number of 0.5: 64250.0 or 64250.5 is"])]
    path: Annotated[str | None, Meta(examples=["$.price"], description="The field that is wrong, where one is.")] = None


class ErrorBody(Told, kw_only=True):
    """Every answer that is not a success."""
    error: Error


# ------------------------------------------------------------------------------------------------------------------- requests: what is in a body
class Nothing(Asked, kw_only=True):
    """No field at all."""


class RequestNew(Asked, kw_only=True):
    """A request for quotes, sized in base (quantity) or in quote (quote_quantity, turned into base at the reference of now, rounded down to the lot)."""
    instrument: Instrument
    side: Sides
    quantity: Annotated[Quantity | None, Meta(examples=["0.5"], description="In the base asset. Exactly one of quantity and quote_quantity is given.")] = None
    quote_quantity: Annotated[QuoteQuantity | None, Meta(examples=[None], description="In the quote asset.")] = None
    ttl_ms: Annotated[int, Meta(ge=1, le=MAX_TTL_MS, examples=[10_000], description="How long dealers may answer.")] = 10_000


class RequestNamed(Asked, kw_only=True):
    request: RequestName


class AcceptAt(Asked, kw_only=True):
    """The named quote first, then the best of the others within the limit."""
    side: Side
    limit_price: Annotated[Price, Meta(examples=["64250.5"], description="The worst price that may trade.")]
    quote: Annotated[QuoteName | None, Meta(examples=[f"quo_{EXAMPLE_TAIL}"])] = None


class RequestAccept(AcceptAt, kw_only=True):
    request: RequestName


class QuoteTo(Asked, kw_only=True):
    """The sides that were asked for: a client that buys needs an ask, one that sells a bid, a two-way request both. It replaces the dealer's last quote."""
    bid: Annotated[Price | None, Meta(examples=["64240.5"])] = None
    ask: Annotated[Price | None, Meta(examples=["64260.5"])] = None
    ttl_ms: Annotated[int, Meta(ge=1, le=MAX_TTL_MS, examples=[2_000])] = 2_000


class QuoteNew(QuoteTo, kw_only=True):
    request: RequestName


class QuoteNamed(Asked, kw_only=True):
    quote: QuoteName


class TransferNew(Asked, kw_only=True):
    """From the key's own account to another account of this house."""
    to: Annotated[AccountName, Meta(examples=["borea"])]
    asset: AssetName
    amount: Amount


class EventsRead(Asked, kw_only=True):
    """The account's events from number `cursor` on; 0: nothing of the past, only where the stream stands now."""
    cursor: Annotated[Cursor, Meta(examples=[1])] = 1
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE, examples=[100])] = 100
    wait_ms: Annotated[int, Meta(ge=0, le=MAX_WAIT_MS, examples=[0], description="How long to wait for the first event when there is none yet.")] = 0


class BookRead(Asked, kw_only=True):
    instrument: Instrument
    depth: Annotated[int, Meta(ge=1, le=MAX_DEPTH, examples=[20], description="Levels of each side.")] = 50


class InstrumentNamed(Asked, kw_only=True):
    instrument: Instrument


class TradesRead(Asked, kw_only=True):
    instrument: Instrument
    limit: Annotated[int, Meta(ge=1, le=MAX_TRADES, examples=[20])] = 100


# ------------------------------------------------------------------------------------------------------------------------------ the private side
class Balance(Told, kw_only=True):
    """Of one asset. Unsettled: traded on credit and not yet netted; due: netted and not yet settled."""
    asset: AssetName
    available: Annotated[Signed, Meta(examples=["1998000.000000"])]
    held: Annotated[Signed, Meta(examples=["0.000000"])]
    unsettled: Signed
    due: Annotated[Signed, Meta(examples=["0.000000"])]


class Position(Told, kw_only=True):
    """Net is what was bought less what was sold, in the base asset; open_buy and open_sell are what rests."""
    instrument: Instrument
    net: Signed
    open_buy: Quantity
    open_sell: Quantity


class Credit(Told, kw_only=True):
    """A line the house gives in one asset: reserved by open orders, traded and not netted, netted and not settled, standing in quotes."""
    asset: AssetName
    limit: Amount
    reserved: Amount
    traded: Amount
    netted: Amount
    quoting_limit: Amount
    quoted: Amount


class Obligation(Told, kw_only=True):
    """What is to be settled: below zero the account pays, above zero it receives."""
    obligation: ObligationId
    asset: AssetName
    amount: Signed
    cycle: int


class Protection(Told, kw_only=True):
    """Mass quotes of this account in this instrument are withdrawn when so much of them trades, or is bought less sold, within the window: then it is frozen
    until it is reset."""
    instrument: Instrument
    quantity: Annotated[Quantity | None, Meta(examples=["5"])]
    delta: Annotated[Quantity | None, Meta(examples=["2"])]
    window_ms: Annotated[int, Meta(examples=[4_000])]
    frozen: bool


class Account(Told, kw_only=True):
    """Everything of the key's account but its orders and requests."""
    account: AccountName
    kind: Annotated[Literal["client", "dealer", "desk", "house", "fees", "suspense", "deficit", "custody"], Meta(examples=["client"])]
    enabled: bool
    killed: Annotated[bool, Meta(description="The kill switch was pulled: nothing new may be sent until it is revived by the house.")]
    balances: list[Balance]
    positions: list[Position]
    credit: list[Credit]
    obligations: list[Obligation]
    open_orders: int
    max_open: int
    protections: list[Protection]
    restricted: Annotated[list[str], Meta(examples=[[]], description="Symbols of instruments that this account may not trade.")]
    dead_man: Annotated[Time | None, Meta(examples=[None], description="When all orders are cancelled, unless the dead man is heard of before.")] = None


class Done(Told, kw_only=True):
    """The latch is set: nothing of it trades any more. Each cancelled order is told by an event of its own."""
    done: Literal[True] = True


class RequestOpened(Told, kw_only=True):
    """Dealers are asked; their quotes are told by events and by the request itself."""
    request: RequestId
    instrument: Instrument
    side: Sides
    quantity: Quantity
    expires: Time
    quote_quantity: Annotated[QuoteQuantity | None, Meta(examples=[None], description="What was asked for, if that was in the quote asset.")] = None


class ShownQuote(Told, kw_only=True):
    """A dealer's answer. Who the dealer is is not told."""
    quote: QuoteId
    bid: Annotated[Price | None, Meta(examples=["64240.5"])]
    ask: Annotated[Price | None, Meta(examples=["64260.5"])]
    quantity: Quantity
    expires: Time


class Request(Told, kw_only=True):
    """A request of this account, and while it is open the quotes that live. One that is over is told for a while."""
    request: RequestId
    instrument: Instrument
    side: Sides
    quantity: Quantity
    status: Annotated[Literal["open", "filled", "cancelled", "expired"], Meta(examples=["open"])]
    expires: Time
    quotes: list[ShownQuote]


class Requests(Told, kw_only=True):
    """Those that are open."""
    requests: list[Request]


class RequestCancelled(Told, kw_only=True):
    """Its quotes are over too."""
    request: RequestId


class Accepted(Told, kw_only=True):
    """The trade."""
    request: RequestId
    quote: QuoteId
    match: MatchId
    instrument: Instrument
    side: Side
    price: Price
    quantity: Quantity
    amount: Annotated[Amount, Meta(description="In the quote asset.")]
    fee: Annotated[Signed, Meta(examples=["1.6062"])]
    fee_asset: AssetName


class OwnQuote(Told, kw_only=True):
    """A quote of this dealer."""
    quote: QuoteId
    request: RequestId
    instrument: Instrument
    bid: Annotated[Price | None, Meta(examples=["64240.5"])]
    ask: Annotated[Price | None, Meta(examples=["64260.5"])]
    quantity: Quantity
    expires: Time


class Invitation(Told, kw_only=True):
    """A request that this dealer may quote. Who asks is not told."""
    request: RequestId
    instrument: Instrument
    side: Sides
    quantity: Quantity
    expires: Time
    quote: OwnQuote | None = None


class Invitations(Told, kw_only=True):
    """Those that are open."""
    invitations: list[Invitation]


class QuoteWithdrawn(Told, kw_only=True):
    """It can be taken no more."""
    quote: QuoteId


class Transferred(Told, kw_only=True):
    """It is there at once."""
    to: AccountName
    asset: AssetName
    amount: Amount


class Killed(Told, kw_only=True):
    """Every open order is being cancelled, and nothing new is taken from this account until the house revives it."""
    account: AccountName
    killed: Literal[True] = True


class Held(Told, kw_only=True):
    """Not done yet: it waits for a second person of the house. An event says what became of it."""
    held: HeldId
    lapses: Time


class EventsPage(Told, kw_only=True):
    """`cursor` is what to ask with next."""
    events: Annotated[list[dict[str, Any]], Meta(examples=[[{
        "cursor": 7, "event": "order_cancelled", "time": EXAMPLE_TIME, "instrument": "BTC-USD", "side": "buy",
        "order": f"ord_{EXAMPLE_TAIL}", "reason": "USER", "price": "64250.5", "cancelled": "0.50000000"}]])]
    cursor: Cursor
    more: Annotated[bool, Meta(description="There are more already.")] = False


# ------------------------------------------------------------------------------------------------------------------------------- the public side
class Status(Told, kw_only=True):
    """Whether the house takes orders, and its clock."""
    status: Annotated[Literal["open", "halted", "unreachable"],
                      Meta(examples=["open"], description="unreachable: the gateway is up and the house behind it is not, for now.")]
    time: Time
    halted: Annotated[list[str], Meta(examples=[[]], description="Symbols of halted instruments.")]


SessionName = Literal["continuous", "pre_open", "auction", "volatility", "cancel_only", "closed"]


class Indicative(Told, kw_only=True):
    """The price at which an auction would end now, what would trade, and what of it would be left: above zero bought, below zero sold."""
    price: Annotated[Price | None, Meta(examples=["64250.5"], description="null: nothing would trade.")]
    quantity: Quantity
    surplus: Signed


class InstrumentTold(Told, kw_only=True):
    """An instrument and what an order of it may be."""
    symbol: Instrument
    name: Annotated[str, Meta(examples=["BTC/USD"])]
    base: Annotated[AssetName, Meta(examples=["BTC"])]
    quote: AssetName
    lot: Annotated[Quantity, Meta(examples=["0.00010000"])]
    book_tick: Annotated[Price, Meta(examples=["0.5"])]
    quote_tick: Annotated[Price, Meta(examples=["0.1"])]
    min_price: Annotated[Price, Meta(examples=["0.5"])]
    max_price: Annotated[Price, Meta(examples=["250000.0"])]
    max_quantity: Annotated[Quantity | None, Meta(examples=["100"])]
    max_notional: Annotated[Amount | None, Meta(examples=["6000000"])]
    settlement: Annotated[Literal["prefunded", "on_credit"], Meta(examples=["on_credit"])]
    maker_ppm: int
    taker_ppm: int
    rfq_ppm: int
    halted: bool
    session: Annotated[SessionName, Meta(examples=["continuous"])]
    next_session: Annotated[SessionName | None, Meta(examples=[None], description="What an auction is called for.")] = None
    auction_ends: Annotated[Time | None, Meta(examples=[None], description="null: nobody said.")] = None
    indicative: Annotated[Indicative | None, Meta(examples=[None], description="The auction as it stands, where its price is told.")] = None
    band_ppm: Annotated[int, Meta(examples=[20_000], description="How far the book may move from the anchor of its window before an auction is called; 0: no "
                                                                 "band.")]
    reference: Annotated[Price | None, Meta(examples=["64250.0"], description="The median of fresh sources; null when there are too few.")]
    last: Annotated[Price | None, Meta(examples=["64250.5"], description="The last price traded here.")]


class Instruments(Told, kw_only=True):
    """All of them."""
    instruments: list[InstrumentTold]


Level = Annotated[list[str], Meta(min_length=2, max_length=2, examples=[["64250.5", "1.25"]], description="Price and quantity.")]


class Book(Told, kw_only=True):
    """Best first. The checksum is the CRC-32 of "price:qty," of the best 10 bids, then of the best 10 asks, as sent."""
    instrument: Instrument
    epoch: Annotated[str, Meta(examples=["6a1f-0"], description="Sequences of different epochs do not follow one another.")]
    sequence: int
    time: Time
    bids: list[Level]
    asks: list[Level]
    checksum: Annotated[int, Meta(ge=0, le=0xFFFF_FFFF, examples=[2_596_996_162])]


class Trade(Told, kw_only=True):
    """Side is the taker's, or that of the client who accepted a quote; null: a trade of an auction, which has none."""
    match: MatchId
    time: Time
    side: Annotated[Side | None, Meta(examples=["buy"])]
    price: Price
    quantity: Quantity


class Trades(Told, kw_only=True):
    """Newest first."""
    instrument: Instrument
    trades: list[Trade]


# ------------------------------------------------------------------------------------------------------------------------------ between the parts
class Answer(NamedTuple):
    """What a transport sends: an HTTP status, a body (a Told, ErrorBody among them), whether it is the first answer to a retry, seconds for Retry-After."""
    status: int
    body: Told
    duplicate: bool = False
    retry_after: int = 0


def failure(status: int, code: str, message: str, path: str | None = None, retry_after: int = 0) -> Answer:
    """An answer that is not a success."""
    return Answer(status, ErrorBody(error=Error(code=code, message=message, path=path)), False, retry_after)
