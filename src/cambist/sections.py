"""The tables of a design file as typed, frozen structs: which keys there are, what each may hold, what holds when it is left out.

Decides shapes and defaults only. How text becomes these structs, and which names must exist, is `design.py`; it must not know a path, a number given
to a name, or a running cell. Decimals stay text until the digits of their asset are known; durations are nanoseconds.
"""
from typing import Annotated, Literal, NewType

import msgspec

from cambist.units import PPM, Nanoseconds

MAX_SOURCES, MAX_DEALERS = 8, 16
DecimalText = NewType("DecimalText", str)       # "1.25": exact, 0 or more
Reference = NewType("Reference", str)           # "env:NAME": where a secret is, never the secret
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Ppm = Annotated[int, msgspec.Meta(ge=0, le=PPM)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the design."""


class Cell(Section, kw_only=True):
    """One log and one core. Windows in log time: answers kept, facts counted once, losers of a request told, approvals lapse."""
    number: Annotated[int, msgspec.Meta(ge=0, le=255)]
    answer_window: Nanoseconds
    fact_window: Nanoseconds
    rfq_window: Nanoseconds
    approval_window: Nanoseconds
    max_ttl: Nanoseconds
    numeraire_digits: Annotated[int, msgspec.Meta(ge=0, le=18)] = 2     # of what exposure and loss are counted in


class Capacity(Section, kw_only=True):
    """Rows of the tables of state. Names and defaults are those of core/layout.py CAPACITY."""
    assets: Count = 16
    accounts: Count = 256
    actors: Count = 256
    dealers: Annotated[int, msgspec.Meta(ge=1, le=MAX_DEALERS)] = MAX_DEALERS
    instruments: Count = 16
    venues: Count = 16
    positions: Count = 4096
    credit: Count = 1024
    orders: Count = 1 << 16
    pages: Count = 1 << 13
    words: Count = 1 << 17
    requests: Count = 4096
    quotes: Count = 1 << 14
    children: Count = 4096
    obligations: Count = 4096
    held: Count = 1024
    answers: Count = 1 << 17
    facts: Count = 1 << 14
    protections: Count = 256
    restrictions: Count = 256
    events: Count = 1 << 14


class Asset(Section, kw_only=True):
    """What money is counted in: units of 10^-digits. chain and finality, or bank, are its way in and out of the house."""
    digits: Annotated[int, msgspec.Meta(ge=0, le=18)]
    transfers_above: DecimalText | None = None  # a larger transfer waits for a second person; none: never
    chain: str = ""
    finality: str = ""                          # one of the chain's
    bank: str = ""
    rate: DecimalText | None = None             # what one is worth in the numeraire; none: accounts with exposure limits do not trade against it
    enabled: bool = True


class Limits(Section, kw_only=True):
    """What an order, a quote or a child order may be. max_quantity and max_position in base, max_notional in quote; max_position "0": none."""
    max_quantity: DecimalText
    max_notional: DecimalText
    collar_ppm: Ppm                             # either side of the reference; 0: no collar
    max_position: DecimalText
    min_sources: Annotated[int, msgspec.Meta(ge=0, le=MAX_SOURCES)]
    max_age: Nanoseconds                        # of a source's price


class Fees(Section, kw_only=True):
    maker_ppm: Ppm = 0
    taker_ppm: Ppm = 0
    rfq_ppm: Ppm = 0


class Tier(Section, kw_only=True):
    """A fee schedule beside the instrument's own. A maker_ppm below zero is a rebate; minimum, in quote, is paid once an order."""
    maker_ppm: Annotated[int, msgspec.Meta(ge=-PPM, le=PPM)] = 0
    taker_ppm: Ppm = 0
    rfq_ppm: Ppm = 0
    minimum: DecimalText = DecimalText("0")


class Band(Section, kw_only=True):
    """How far either side of its window's anchor the book may trade, and how long the auction is that follows. indicative: how often its price is told."""
    band_ppm: Ppm
    window: Nanoseconds
    auction: Nanoseconds
    indicative: Nanoseconds = Nanoseconds(0)


class Slot(Section, kw_only=True):
    """A session that comes by itself: `at` after the beginning of each period. An auction says what it is for, and may say how long it lasts."""
    at: Nanoseconds
    every: Nanoseconds = Nanoseconds(24 * 3600 * 10**9)
    session: Literal["continuous", "pre_open", "auction", "cancel_only", "closed"]
    next: Literal["", "continuous", "closed"] = ""
    duration: Nanoseconds = Nanoseconds(0)


class Instrument(Section, kw_only=True):
    """base traded for quote. Prices are decimals of quote per one whole base; on the wire, whole numbers of price_increment (by default the quote tick)."""
    base: str
    quote: str
    lot: DecimalText
    book_tick: DecimalText
    quote_tick: DecimalText
    price_increment: DecimalText | None = None
    min_price: DecimalText
    max_price: DecimalText
    settlement: Literal["prefunded", "on_credit"]
    sources: tuple[str, ...] = ()
    limits: Limits | None = None
    fees: Fees = Fees()
    tiers: dict[str, Tier] = {}                 # by number, "1" to "15"
    band: Band | None = None
    schedule: tuple[Slot, ...] = ()


class Source(Section, kw_only=True):
    """Who posts a price of its own: a venue, a recording, a dealer."""
    kind: Literal["venue", "recorded", "dealer"]
    venue: str = ""
    about: str = ""


class Entity(Section, kw_only=True):
    """A legal entity; scope "entity" reaches all its accounts."""
    name: str
    lei: str = ""
    jurisdiction: str = ""


class Person(Section, kw_only=True):
    """A human being, under a name that is not theirs: who it is stands in an encrypted record elsewhere. An approval is a person's, whatever the key."""
    roles: tuple[str, ...]
    about: str = ""


class Role(Section, kw_only=True):
    """Kinds of command by lower-case name ("configure_*" for all that begin so), by whose account they may name; and which wait for a second person."""
    own: tuple[str, ...] = ()
    entity: tuple[str, ...] = ()
    all: tuple[str, ...] = ()
    second_person: tuple[str, ...] = ()


class Key(Section, kw_only=True):
    """An actor: what signs commands. It belongs to one person or to one service, in one role, for one account or for none."""
    role: str
    person: str = ""
    service: str = ""
    account: str = ""
    public_key: str = ""                        # Ed25519, 64 hex digits; none: the house makes a pair when it starts
    restricted: tuple[str, ...] = ()            # instruments it may not trade
    scopes: tuple[Literal["read", "trade", "cancel", "quote", "transfer", "kill"], ...] = ("read",)     # what a gateway lets it ask; the role limits it further
    enabled: bool = True


class Exposure(Section, kw_only=True):
    """In the numeraire, "0": no limit. Of all positions and open orders together; loss: since the day began."""
    gross: DecimalText = DecimalText("0")
    net: DecimalText = DecimalText("0")
    loss: DecimalText = DecimalText("0")


class Protection(Section, kw_only=True):
    """When a maker's quotes are withdrawn: what of them trades, or bought less sold, in base within a rolling window. "0": not watched."""
    quantity: DecimalText = DecimalText("0")
    delta: DecimalText = DecimalText("0")
    window: Nanoseconds


class Account(Section, kw_only=True):
    """Limits of whoever trades. rate_limit per second, 0: none; credit by asset, from the house; positions by instrument, in base. self_trade: with whom
    its orders do not trade; tier: its fee schedule; fee_instrument: fees are paid in the base of this one."""
    entity: str
    rate_limit: Count = 0
    max_open: Count
    answer_quota: Count
    credit: dict[str, DecimalText] = {}
    positions: dict[str, DecimalText] = {}
    trade_group: Count = 0
    self_trade: Literal["account", "group", "entity"] = "account"
    max_waiting: Count = 0                      # orders that wait in one instrument; 0: max_open alone holds
    cancel_reserve: Count = 0                   # cancels per second beyond rate_limit; 0: cancels are not counted
    max_executions: Count = 0                   # in execution_window, then it is killed; 0: not watched
    execution_window: Nanoseconds = Nanoseconds(0)
    duplicate_window: Nanoseconds = Nanoseconds(0)
    tier: Annotated[int, msgspec.Meta(ge=0, le=15)] = 0
    fee_instrument: str = ""
    exposure: Exposure | None = None
    protection: dict[str, Protection] = {}
    restricted: tuple[str, ...] = ()            # instruments it may not trade
    enabled: bool = True


class Client(Account, kw_only=True):
    pass


class Dealer(Account, kw_only=True):
    """An outside dealer. quoting by asset: what its live quotes may come to."""
    quoting: dict[str, DecimalText] = {}


class Desk(Dealer, kw_only=True):
    """Our own trading. shorts by asset: how far below zero it may go; dealer: whether it is invited to quote."""
    shorts: dict[str, DecimalText] = {}
    dealer: bool = True


class Custody(Section, kw_only=True):
    """Where value is: a wallet on a chain, an account at a venue, a bank."""
    kind: Literal["wallet", "venue", "bank"]
    at: str                                     # the chain, venue or bank
    assets: tuple[str, ...]
    enabled: bool = True


class House(Section, kw_only=True):
    entity: str
    answer_quota: Count = 1024                  # of each of the house's own accounts: house, fees, suspense, deficit
    desks: dict[str, Desk] = {}
    custody: dict[str, Custody] = {}


class VenueCapabilities(Section, kw_only=True):
    """What the venue can do; its adapter declares the same and is held to it."""
    times_in_force: tuple[Literal["gtc", "ioc"], ...] = ("gtc", "ioc")
    cancels: bool = True
    client_ids: bool = True
    book_depth: Annotated[int, msgspec.Meta(ge=1, le=50)] = 50
    silence: Literal["ask", "reconcile"] = "ask"
    ask_after: Nanoseconds = Nanoseconds(1_000_000_000)


class Venue(Section, kw_only=True):
    """Another market. account is the custody account we keep there; symbols are its names of our instruments."""
    kind: Literal["simulated", "recorded", "ccxt", "amm"]
    account: str
    maker_ppm: Ppm = 0
    taker_ppm: Ppm = 0
    symbols: dict[str, str] = {}
    capabilities: VenueCapabilities = VenueCapabilities()
    credentials: Reference | None = None
    enabled: bool = True


class Chain(Section, kw_only=True):
    kind: Literal["evm", "bitcoin", "simulated"]
    finality: tuple[str, ...]                   # the rules an asset may choose from, weakest first
    chain_id: Count = 0
    endpoint: Reference | None = None
    signer: Reference | None = None


class Bank(Section, kw_only=True):
    kind: Literal["simulated", "statement"]
    about: str = ""
    credentials: Reference | None = None


class Stage(Section, kw_only=True):
    """A step of the workflow: an event, a command or a measured moment starts and ends it; someone acts, within a budget, or the fallback holds."""
    name: str
    starts: str
    ends: str
    who: Literal["engine", "person", "venue", "chain", "bank"]
    role: str = ""                              # whose gate it is, when a person acts
    budget: Nanoseconds
    fallback: str = ""


class Target(Section, kw_only=True):
    """What all stages from first to last may take together."""
    first: str
    last: str
    budget: Nanoseconds


class Oversight(Section, kw_only=True):
    """second_person: kinds that wait for a second person in every role. A stage beyond its budget more often than this calls a person."""
    second_person: tuple[str, ...] = ()
    quotes_above: dict[str, DecimalText] = {}   # by quote asset: a larger quote of a desk waits for a second person; an asset not named: never
    call_when_over_budget_ppm: Ppm = 10_000


class Redundancy(Section, kw_only=True):
    replicas: Annotated[int, msgspec.Meta(ge=1, le=15)] = 1
    log: Literal["journal", "jetstream"] = "journal"
    failure_domains: tuple[str, ...] = ()       # one per replica
    mirror: str = ""                            # a directory on another disk for a second copy of the journal, absolute; none: one copy
    recovery_time: Nanoseconds = Nanoseconds(60 * 10**9)
    recovery_point: Nanoseconds = Nanoseconds(0)


class Listen(Section, kw_only=True):
    """Where each part of the house is reached, host:port. Beyond loopback a certificate and its private key are needed, both by reference."""
    rest: str = "127.0.0.1:8600"
    websocket: str = "127.0.0.1:8601"
    portal: str = "127.0.0.1:8602"
    console: str = "127.0.0.1:8603"
    venues: str = "127.0.0.1:8604"              # the simulated venues' own API
    native: str = "127.0.0.1:8605"              # the native record protocol over TCP
    certificate: Reference | None = None
    private_key: Reference | None = None


class Pricing(Section, kw_only=True):
    """Settings of the pricing engine, read by the desk. Half spreads in ppm of the reference; ages of the newest price of a source."""
    min_half_spread_ppm: Ppm = 100
    max_half_spread_ppm: Ppm = 20_000
    volatility_window: Nanoseconds = Nanoseconds(60 * 10**9)
    volatility_share_ppm: Count = 500_000       # of the volatility over the time a quote stands, added to the half spread
    inventory_skew_ppm: Ppm = 500               # at the full position limit
    hedge_cost_share_ppm: Count = PPM           # of the walked book's cost and the venue's fee
    client_markout_share_ppm: Count = 500_000   # of what this client's past trades cost us
    standing_ppm_per_second: Ppm = 5            # for the time the quote stands
    markout_after: Nanoseconds = Nanoseconds(5 * 10**9)
    fresh_for: Nanoseconds = Nanoseconds(2 * 10**9)             # older: the source is left out
    indicative_after: Nanoseconds = Nanoseconds(10 * 10**9)     # no firm quote when all are older
    none_after: Nanoseconds = Nanoseconds(60 * 10**9)
    min_sources: Annotated[int, msgspec.Meta(ge=1, le=MAX_SOURCES)] = 1
    wider_ppm: Ppm = 500                        # added when fewer than all sources are fresh
    max_source_gap_ppm: Ppm = 10_000            # a source further from the median is left out
    quote_ttl: Nanoseconds = Nanoseconds(2 * 10**9)
    proposal_ttl: Nanoseconds = Nanoseconds(20 * 10**9)         # how long a price waits for a person, and stands once approved
    auto_quote_max_notional: dict[str, DecimalText] = {}        # by quote asset; a larger request goes to a person, and so does an asset not named


class Hedging(Section, kw_only=True):
    """Settings of the hedger, read by the desk. Notionals by quote asset."""
    enabled: bool = True
    venues: tuple[str, ...] = ()                # in the order they are preferred at the same price; none: all
    hedge_above: dict[str, DecimalText] = {}    # inventory that is left alone
    max_child_notional: dict[str, DecimalText] = {}
    slices: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    slice_interval: Nanoseconds = Nanoseconds(200_000_000)
    child_timeout: Nanoseconds = Nanoseconds(500_000_000)       # then it is cancelled and sent elsewhere
    max_slippage_ppm: Ppm = 2_000
    max_children: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 16


class Design(Section, kw_only=True):
    """The whole desk. Order of appearance in the file is the order of numbers."""
    cell: Cell
    assets: dict[str, Asset]
    instruments: dict[str, Instrument]
    legal_entities: dict[str, Entity]
    people: dict[str, Person]
    roles: dict[str, Role]
    keys: dict[str, Key]
    house: House
    stages: tuple[Stage, ...]
    targets: dict[str, Target]
    clients: dict[str, Client] = {}
    dealers: dict[str, Dealer] = {}
    sources: dict[str, Source] = {}
    venues: dict[str, Venue] = {}
    chains: dict[str, Chain] = {}
    banks: dict[str, Bank] = {}
    oversight: Oversight = Oversight()
    redundancy: Redundancy = Redundancy()
    pricing: Pricing = Pricing()
    hedging: Hedging = Hedging()
    capacity: Capacity = Capacity()
    listen: Listen = Listen()


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument in integers: lot in base units, ticks and prices in price increments; amount = quantity * price * amount_num / amount_den."""
    name: str
    base: str
    quote: str
    base_digits: int
    quote_digits: int
    price_increment: str
    lot: int
    book_tick: int
    quote_tick: int
    min_price: int
    max_price: int
    amount_num: int
    amount_den: int
