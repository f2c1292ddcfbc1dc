"""Every command and event: record layouts, kinds, reason codes. This file is the published wire; `docs/wire.md` is printed from it.

A command is 128 bytes, little-endian, in a fixed head of 56 bytes and 72 bytes of arguments named per kind. An event is 96 bytes. Undefined bits are
zero or the command is refused. Numbers of kinds, reasons and events are stable: they are added, never reused. This file decides shapes only; what
happens is `docs/rules.md`, and nothing here knows the core.
"""
from enum import IntEnum

import numpy as np

RECORD_BYTES, EVENT_BYTES, MAX_GROUP = 128, 96, 64
NUMBERED, GROUP_MORE = 1, 2                     # bits of a command's flags; every other bit is undefined
SKIPPED = 1 << 14                               # set by whoever applies, and in no record: a decision of the log says that it is not applied
MAX_AMOUNT = (1 << 62) - 1                      # the largest quantity of money, price or size on the wire
MAX_WORTH = (1 << 56) - 1                       # the largest worth in the numeraire, so that those of an account's positions add up in 63 bits
ORDINAL_BITS, ACCOUNT_BITS = 32, 24             # an id is cell (8 bits) | account (24) | ordinal (32): opaque outside, unique in all cells
NUMBER_WINDOW = 1024                            # how many numbered answers a key keeps


class Kind(IntEnum):
    """What a command asks or reports. Requests may be refused; facts (marked in FACTS) are never refused once they are well formed."""
    TICK = 1
    CONFIGURE_RESTRICTION = 9
    CONFIGURE_CELL = 10
    CONFIGURE_ASSET = 11
    CONFIGURE_ACCOUNT = 12
    CONFIGURE_ACTOR = 13
    CONFIGURE_AUTHORITY = 14
    CONFIGURE_INSTRUMENT = 15
    CONFIGURE_LIMITS = 16
    CONFIGURE_FEES = 17
    CONFIGURE_VENUE = 18
    CONFIGURE_CREDIT = 19
    CONFIGURE_POSITION = 20
    CONFIGURE_SHORT = 21
    CONFIGURE_SOURCE = 22
    CONFIGURE_TRADING = 23                      # how an account trades: its trade group, self-trade scope, throttles, fee tier
    CONFIGURE_TIER = 24                         # a fee schedule of an instrument
    CONFIGURE_BAND = 25                         # how far an instrument may move before it goes into an auction
    CONFIGURE_SCHEDULE = 26                     # a session that comes by itself
    CONFIGURE_PROTECTION = 27                   # market-maker protection of an account at an instrument
    CONFIGURE_EXPOSURE = 28                     # what an account may risk in all, and lose in a day
    START = 29
    NEW_ORDER = 30
    CANCEL_ORDER = 31
    AMEND_ORDER = 32
    CANCEL_ALL = 33
    CANCEL_SOME = 34                            # by instrument, by side
    MASS_QUOTE = 35                             # both sides of a maker's quote in the book, replaced as a unit
    RESET_PROTECTION = 36
    DEAD_MAN = 37                               # cancel everything unless this comes again in time
    REQUEST_QUOTE = 40
    CANCEL_REQUEST = 41
    QUOTE = 42
    WITHDRAW_QUOTE = 43
    ACCEPT_QUOTE = 44
    DEPOSIT = 50
    REVERSE_DEPOSIT = 51
    MOVE_CUSTODY = 52
    TRANSFER = 53
    MANUAL_CREDIT = 54                          # what was found in SUSPENSE is given to its owner, by hand
    SOURCE_PRICE = 60
    NEW_CHILD = 70
    CANCEL_CHILD = 71
    CHILD_ACKED = 72
    CHILD_FILLED = 73
    CHILD_CLOSED = 74
    CHILD_UNKNOWN = 75
    NET = 80
    SETTLE = 81
    HALT = 90
    RESUME = 91
    KILL = 92
    REVIVE = 93
    KILL_ALL = 94
    REVIVE_ALL = 95
    SESSION = 96
    APPROVE = 97
    DENY = 98
    KILL_TRADER = 99
    REVIVE_TRADER = 100
    CHANGE_TERMS = 101                          # tick, lot and price increment of an instrument
    CHANGE_DIGITS = 102                         # the unit of an asset


K = Kind
CONFIGURE = frozenset(k for k in K if 9 <= k <= 28)
FACTS = frozenset({K.DEPOSIT, K.REVERSE_DEPOSIT, K.MOVE_CUSTODY, K.SOURCE_PRICE, K.CHILD_ACKED, K.CHILD_FILLED, K.CHILD_CLOSED, K.CHILD_UNKNOWN})
COUNTED_ONCE = frozenset({K.DEPOSIT, K.REVERSE_DEPOSIT, K.MOVE_CUSTODY, K.CHILD_FILLED})      # facts whose (source, id) makes them count once
REQUESTS = frozenset(k for k in K if k not in FACTS and k is not K.TICK)
RATED = frozenset({K.NEW_ORDER, K.AMEND_ORDER, K.MASS_QUOTE, K.REQUEST_QUOTE, K.QUOTE, K.ACCEPT_QUOTE, K.TRANSFER})      # count against the message rate
RATED_CANCELS = frozenset({K.CANCEL_ORDER, K.CANCEL_ALL, K.CANCEL_SOME})                      # count against the rate and its reserve, where there is one
RISKY = RATED | {K.NEW_CHILD}                                                                 # a kill switch blocks them
GROUPED = frozenset({K.TRANSFER, K.NEW_ORDER, K.MASS_QUOTE})                                  # may stand in a group, each with its own kind
MAX_KIND, MAX_ROLE = 127, 15


class Side(IntEnum):
    BUY = 0
    SELL = 1
    TWO_WAY = 2                                 # only in a request for quotes


class OrderType(IntEnum):
    LIMIT = 0
    MARKET = 1                                  # immediate-or-cancel at the collar
    PRIMARY = 2                                 # pegged to the best price of its own side
    OPPOSITE = 3                                # pegged to the best price of the other side
    MIDPOINT = 4                                # pegged to the middle of both


PEGGED = frozenset({OrderType.PRIMARY, OrderType.OPPOSITE, OrderType.MIDPOINT})


class TimeInForce(IntEnum):                     # FIX 4.4 tag 59 has the same meanings under other numbers
    GTC = 0
    IOC = 1
    FOK = 2
    DAY = 3                                     # until its instrument closes
    GTD = 4                                     # until good_till
    AUCTION = 5                                 # in the auction that is being called, and no longer
    AT_OPEN = 6                                 # waits for the auction that opens, and lives as long as that
    AT_CLOSE = 7                                # waits for the auction that closes


class SelfTrade(IntEnum):
    """What happens when a taker meets an order it may not trade with."""
    CANCEL_NEWEST = 0
    CANCEL_OLDEST = 1
    CANCEL_BOTH = 2
    DECREMENT = 3


# (mode of the maker, mode of the taker) -> what happens: the taker decides
EFFECTIVE_SELF_TRADE: dict[SelfTrade, dict[SelfTrade, SelfTrade]] = {maker: {taker: taker for taker in SelfTrade} for maker in SelfTrade}


class SelfTradeScope(IntEnum):
    """With whom an account's orders may not trade; of two accounts the wider scope holds."""
    ACCOUNT = 0                                 # itself
    GROUP = 1                                   # and its trade group
    ENTITY = 2                                  # and its legal entity


class PostOnly(IntEnum):
    NONE = 0
    REJECT = 1                                  # refused if it would trade at once
    SLIDE = 2                                   # moved one tick behind the best price of the other side instead


class Trigger(IntEnum):
    """What an order waits for before it enters the book."""
    NONE = 0
    STOP = 1
    TAKE_PROFIT = 2
    TRAILING = 3                                # a stop that follows the price at a distance


class TriggerOn(IntEnum):
    LAST = 0                                    # the last trade of the own book
    INDEX = 1                                   # the reference
    MARK = 2                                    # the median of reference, best bid and best ask


REDUCE_ONLY, BY_QUOTE = 1, 2                    # bits of an order's options; every other bit is BAD_VALUE


class Link(IntEnum):
    """An order's part in a group of orders."""
    NONE = 0
    OCO = 1                                     # one of two: what one does is taken from the other
    PARENT = 2
    CHILD = 3                                   # sleeps until its parent has ended; two of them are one OCO


class OrderState(IntEnum):
    BOOK = 0
    WAITING = 1                                 # for its trigger, or for its auction
    TRIGGERED = 2                               # in the queue to enter the book
    ASLEEP = 3                                  # a child whose parent lives, or a peg with nothing to be pegged to


class Session(IntEnum):
    """What is traded now, and how. HALTED stands over all of them."""
    CONTINUOUS = 0
    PRE_OPEN = 1                                # orders gather
    AUCTION = 2                                 # orders gather, the indicative price is told; ends in one price
    VOLATILITY = 3                              # the same, called by a broken band
    CANCEL_ONLY = 4
    CLOSED = 5


SESSION_MOVES: dict[Session, frozenset[Session]] = {
    Session.CONTINUOUS: frozenset({Session.PRE_OPEN, Session.AUCTION, Session.CANCEL_ONLY, Session.CLOSED}),
    Session.PRE_OPEN: frozenset({Session.AUCTION, Session.CANCEL_ONLY, Session.CLOSED}),
    Session.AUCTION: frozenset({Session.PRE_OPEN, Session.CONTINUOUS, Session.CANCEL_ONLY, Session.CLOSED}),
    Session.VOLATILITY: frozenset({Session.PRE_OPEN, Session.AUCTION, Session.CONTINUOUS, Session.CANCEL_ONLY, Session.CLOSED}),
    Session.CANCEL_ONLY: frozenset({Session.PRE_OPEN, Session.AUCTION, Session.CLOSED}),
    Session.CLOSED: frozenset({Session.PRE_OPEN, Session.AUCTION, Session.CANCEL_ONLY}),
}
CALLS = frozenset({Session.PRE_OPEN, Session.AUCTION, Session.VOLATILITY})              # orders gather and nothing matches
FLOATING = 64                                   # pegged and trailing orders that an instrument has at most
AUCTION_LEVELS = 4096                           # levels of each side that the price of an auction looks at
TIERS = 16


class Scope(IntEnum):
    """Whose account a role may name in a kind of command."""
    NONE = 0
    OWN = 1
    ENTITY = 2
    ALL = 3


class AccountKind(IntEnum):
    CLIENT = 1
    DEALER = 2                                  # an outside dealer
    DESK = 3                                    # our own trading; may go short to its inventory limit
    HOUSE = 4                                   # the clearing account between both sides; one per cell
    FEES = 5                                    # one per cell
    SUSPENSE = 6                                # facts that match nothing; one per cell
    DEFICIT = 7                                 # named shortfalls; one per cell
    CUSTODY = 8                                 # a wallet, an account at a venue, a bank: the other side of the ledger


SINGLE_ACCOUNTS = (AccountKind.HOUSE, AccountKind.FEES, AccountKind.SUSPENSE, AccountKind.DEFICIT)


class Settlement(IntEnum):
    PREFUNDED = 0                               # both legs move in the command that trades
    ON_CREDIT = 1                               # unsettled until the netting cut-off


class Cause(IntEnum):
    """Why an amount was posted to the house's own accounts; profit and loss is their sum."""
    TRADE = 0
    FEE = 1
    HEDGE = 2
    HEDGE_FEE = 3
    FUNDING = 4
    TRANSFER = 5
    SUSPENSE = 6
    DEFICIT = 7


class RequestState(IntEnum):
    OPEN = 1
    FILLED = 2                                  # traded; the losers' window runs


class ChildState(IntEnum):
    PENDING = 1                                 # intent logged, the venue has said nothing
    WORKING = 2
    UNKNOWN = 3                                 # an answer never came: full exposure
    CLOSING = 4                                 # the venue closed it and owes us fills
    DONE = 5


class ObligationState(IntEnum):
    DUE = 1


class Reason(IntEnum):
    """Why a request was refused, an order cancelled, a quote ended or a person called. Stable numbers."""
    NONE = 0
    # the shape of a command
    UNKNOWN_KIND = 1
    UNDEFINED_BITS = 2
    BAD_GROUP = 3                               # too long, broken off, or a kind that may not stand in a group
    NOT_STARTED = 4                             # only configuration before START
    ALREADY_STARTED = 5
    SKIPPED = 6                                 # a decision of the log: this command stopped the core, and is not applied
    # who
    UNKNOWN_ACTOR = 10
    ACTOR_DISABLED = 11
    NOT_ALLOWED = 12                            # the role may not send this kind
    UNKNOWN_ACCOUNT = 13
    FOREIGN_ACCOUNT = 14
    ACCOUNT_DISABLED = 15
    # again
    NO_ID = 20
    EXPIRED = 21
    EXPIRY_TOO_FAR = 22
    NUMBER_GAP = 23
    NUMBER_OLD = 24                             # older than the window of numbered answers
    ANSWER_QUOTA = 25
    # latches and rates
    RATE = 30
    KILLED = 31
    KILLED_ALL = 32
    HALTED = 33
    SWEEPING = 34                               # a mass action is still being worked off
    SESSION = 35                                # not in this session of the instrument
    FROZEN = 36                                 # market-maker protection has tripped and was not reset
    NOT_HALTED = 37                             # precision changes only while nothing trades
    IN_USE = 38                                 # something still stands that the change would concern
    BAD_SESSION = 39                            # no way leads there from the session there is
    # fields
    UNKNOWN_INSTRUMENT = 40
    UNKNOWN_ASSET = 41
    BAD_SIDE = 42
    BAD_TYPE = 43
    BAD_TIME_IN_FORCE = 44
    BAD_SELF_TRADE = 45
    BAD_PRICE = 46                              # not positive, or outside the instrument's range
    OFF_TICK = 47
    BAD_QUANTITY = 48                           # not positive
    OFF_LOT = 49
    BAD_TTL = 50
    BAD_AMOUNT = 51
    OVERFLOW = 52
    BAD_NUMBER = 53                             # a configured number that is neither known nor the next
    BAD_VALUE = 54                              # a configured value outside its range
    IMMUTABLE = 55                              # a field that may not change once given
    BAD_TRIGGER = 56                            # not in range, reached already, or of a kind of order that has none
    BAD_DISPLAY = 57
    BAD_LINK = 58                               # not one of the groups there are
    UNAMENDABLE = 59                            # waiting, pegged, linked or quoted: cancel it and send another
    # risk
    MAX_QUANTITY = 60
    MAX_NOTIONAL = 61
    NO_REFERENCE = 62
    COLLAR = 63
    OPEN_ORDERS = 64
    POSITION = 65
    INSUFFICIENT = 66
    CREDIT = 67
    QUOTING_LINE = 68
    UNCOVERED = 69                              # the desk may not pay out what it is short of
    INVENTORY = 70
    CAPACITY = 71                               # a table of the cell is full
    DUPLICATE_ORDER = 72                        # the same as the one before, too soon after it
    RESTRICTED = 73
    EXPOSURE = 74
    DAILY_LOSS = 75
    EXECUTIONS = 76                             # executed more often than it may: the account was killed
    WAITING_ORDERS = 77
    FLOATING = 78                               # too many pegged and trailing orders at this instrument
    REDUCE_ONLY = 79                            # it would not only reduce the position
    # orders
    UNKNOWN_ORDER = 80
    POST_ONLY = 81
    UNFILLABLE = 82                             # fill-or-kill
    IMMEDIATE = 83                              # the rest of an immediate-or-cancel order
    SELF_TRADE = 84
    USER = 85                                   # cancelled by its owner
    CANCEL_ALL = 86
    DYING = 87                                  # below a cancel-all's latch, not yet worked off
    BAND = 88                                   # beyond how far the price may move without an auction
    LINKED = 89                                 # what happened to the other one of its group
    # quotes
    UNKNOWN_REQUEST = 90
    REQUEST_CLOSED = 91
    NOT_A_DEALER = 92
    OWN_REQUEST = 93
    CROSSED_QUOTE = 94
    WRONG_SIDES = 95                            # a side not asked for, or one missing
    UNKNOWN_QUOTE = 96
    NO_QUOTE = 97                               # no live quote within the client's limit could be traded
    REPLACED = 98
    WITHDRAWN = 99
    LOST = 100
    FILLED = 101
    # orders, continued
    AUCTION_OVER = 102
    DEAD_MAN = 103
    PROTECTED = 104                             # withdrawn by market-maker protection
    TRADER_KILLED = 105
    NO_RATE = 106                               # the quote asset has no rate in the numeraire
    # routing and facts
    UNKNOWN_VENUE = 110
    VENUE_FUNDS = 111
    VENUE_STOPPED = 112
    UNKNOWN_CHILD = 113
    CHILD_OVER = 114                            # the child order is closed
    OVERFILL = 115
    UNKNOWN_SOURCE = 116
    UNMATCHED = 117
    FACT_REPEATED_LATE = 118                    # the table of facts let go of a young one: it is too small
    NOT_CUSTODY = 119
    MINT = 120                                  # more than custody has brought and nobody owns
    # settlement
    NETTING = 130                               # the last cut-off is still being worked off
    UNKNOWN_OBLIGATION = 131
    HOUSE_UNCOVERED = 132                       # the house has not yet received what it must deliver
    UNPAID = 133                                # the receiver still owes
    # people
    UNKNOWN_HELD = 140
    SAME_PERSON = 141
    NOT_A_PERSON = 142
    WRONG_DIGEST = 143
    DENIED = 144


class Event(IntEnum):
    """What happened. `event_fields.py` says what each field of each kind holds."""
    REFUSED = 1
    DUPLICATE = 2
    HELD = 3
    DONE = 4
    ALERT = 5                                   # a person is called
    ORDER_ACCEPTED = 10
    FILLED = 11
    ORDER_CANCELLED = 12
    ORDER_AMENDED = 13
    ORDER_REDUCED = 14
    ORDER_MOVED = 15                            # a peg stands elsewhere, or nowhere
    LEVEL = 16                                  # public: what a level of the book has become
    ORDER_TRIGGERED = 17
    BOOK_QUOTED = 18
    FEE_CHARGED = 19                            # a fee in another asset than the quote asset
    REQUEST_OPENED = 20
    REQUEST_INVITED = 21
    QUOTED = 22
    QUOTE_SHOWN = 23
    QUOTE_ENDED = 24
    REQUEST_ENDED = 25
    PROTECTED = 26                              # market-maker protection has tripped
    DEPOSITED = 30
    DEPOSIT_REVERSED = 31
    CUSTODY_MOVED = 32
    TRANSFERRED = 33
    REFERENCE = 40
    SESSION_CHANGED = 41                        # public
    INDICATIVE = 42                             # public: what an auction's price would be now
    UNCROSSED = 43                              # public: an auction has its price
    TERMS_CHANGED = 44                          # public
    DIGITS_CHANGED = 45                         # public
    CHILD_OPENED = 50
    CHILD_CHANGED = 51
    CHILD_FILL = 52
    CHILD_CANCEL_ASKED = 53
    CUT_OFF = 60
    OBLIGATION = 61
    SETTLED = 62
    SWEPT = 70
    APPROVED = 80
    DENIED = 81
    HELD_EXPIRED = 82


class Liquidity(IntEnum):
    NONE = 0
    MAKER = 1
    TAKER = 2
    QUOTE = 3                                   # filled through a request for quotes
    AUCTION = 4
    TAKER_BY_QUOTE = 5                          # a BY_QUOTE order, also where it is accepted and cancelled: its quantity and leaves are of the quote asset


# ---------------------------------------------------------------------------------------------------------------- layouts
HEAD = (("kind", "<u2"), ("flags", "<u2"), ("instrument", "<u4"), ("account", "<u4"), ("actor", "<u4"), ("decider", "<u4"), ("attachment", "<u4"),
        ("id_hi", "<i8"), ("id_lo", "<i8"), ("received", "<i8"), ("expires", "<i8"))
HEAD_BYTES, ARGUMENT_WORDS = 56, (RECORD_BYTES - 56) // 8
I, U4, U2, U1 = "<i8", "<u4", "<u2", "u1"
ARGUMENTS: dict[Kind, tuple[tuple[str, str], ...]] = {
    K.TICK: (),
    K.CONFIGURE_CELL: (("cell", I), ("answer_window", I), ("fact_window", I), ("rfq_window", I), ("approval_window", I), ("max_ttl", I)),
    K.CONFIGURE_ASSET: (("asset", I), ("digits", I), ("approval_above", I), ("enabled", I), ("quote_approval_above", I), ("rate_num", I), ("rate_den", I)),
    K.CONFIGURE_ACCOUNT: (("account_kind", I), ("entity", I), ("dealer", I), ("rate_limit", I), ("max_open", I), ("answer_quota", I), ("enabled", I)),
    K.CONFIGURE_ACTOR: (("number", I), ("person", I), ("role", I), ("enabled", I)),
    K.CONFIGURE_AUTHORITY: (("role", I), ("command", I), ("scope", I), ("second_person", I)),
    K.CONFIGURE_INSTRUMENT: (("base", U4), ("quote", U4), ("lot", I), ("book_tick", I), ("quote_tick", I), ("min_price", I), ("max_price", I),
                             ("amount_num", I), ("amount_den", I), ("settlement", I)),
    K.CONFIGURE_LIMITS: (("max_quantity", I), ("max_notional", I), ("collar_ppm", I), ("max_position", I), ("min_sources", I), ("max_age", I)),
    K.CONFIGURE_FEES: (("maker_ppm", I), ("taker_ppm", I), ("rfq_ppm", I)),
    K.CONFIGURE_VENUE: (("venue", I), ("enabled", I)),
    K.CONFIGURE_CREDIT: (("giver", I), ("asset", I), ("limit", I), ("quoting_limit", I)),
    K.CONFIGURE_POSITION: (("limit", I),),
    K.CONFIGURE_SHORT: (("asset", I), ("limit", I)),
    K.CONFIGURE_SOURCE: (("source", I), ("enabled", I)),
    K.CONFIGURE_TRADING: (("trade_group", I), ("self_trade_scope", I), ("max_waiting", I), ("cancel_reserve", I), ("max_executions", I),
                          ("execution_window", I), ("duplicate_window", I), ("tier", I), ("fee_instrument", I)),
    K.CONFIGURE_TIER: (("tier", I), ("maker_ppm", I), ("taker_ppm", I), ("rfq_ppm", I), ("minimum", I)),
    K.CONFIGURE_BAND: (("band_ppm", I), ("window", I), ("auction", I), ("indicative", I)),
    K.CONFIGURE_SCHEDULE: (("slot", I), ("offset", I), ("period", I), ("session", I), ("next", I), ("duration", I), ("enabled", I)),
    K.CONFIGURE_PROTECTION: (("quantity", I), ("delta", I), ("window", I)),
    K.CONFIGURE_EXPOSURE: (("gross", I), ("net", I), ("loss", I)),
    K.CONFIGURE_RESTRICTION: (("number", I), ("barred", I)),
    K.START: (),
    K.NEW_ORDER: (("side", U1), ("order_type", U1), ("time_in_force", U1), ("self_trade", U1), ("post_only", U1), ("trigger", U1), ("trigger_on", U1),
                  ("options", U1), ("price", I), ("quantity", I), ("trigger_price", I), ("display", I), ("minimum", I), ("good_till", I), ("offset", I),
                  ("link", I)),
    K.CANCEL_ORDER: (("order", I),),
    K.AMEND_ORDER: (("order", I), ("price", I), ("quantity", I)),
    K.CANCEL_ALL: (),
    K.CANCEL_SOME: (("side", U1),),
    K.MASS_QUOTE: (("self_trade", U1), ("bid", I), ("bid_quantity", I), ("ask", I), ("ask_quantity", I)),
    K.RESET_PROTECTION: (),
    K.DEAD_MAN: (("ttl", I),),
    K.REQUEST_QUOTE: (("side", U1), ("quantity", I), ("ttl", I)),
    K.CANCEL_REQUEST: (("request", I),),
    K.QUOTE: (("request", I), ("bid", I), ("ask", I), ("ttl", I)),
    K.WITHDRAW_QUOTE: (("quote", I),),
    K.ACCEPT_QUOTE: (("side", U1), ("request", I), ("quote", I), ("limit_price", I)),
    K.DEPOSIT: (("custody", I), ("asset", I), ("amount", I)),
    K.REVERSE_DEPOSIT: (("custody", I), ("asset", I), ("amount", I)),
    K.MOVE_CUSTODY: (("custody", I), ("asset", I), ("amount", I)),
    K.TRANSFER: (("to", I), ("asset", I), ("amount", I)),
    K.MANUAL_CREDIT: (("asset", I), ("amount", I)),
    K.SOURCE_PRICE: (("source", I), ("price", I), ("source_time", I)),
    K.NEW_CHILD: (("side", U1), ("time_in_force", U1), ("venue", I), ("price", I), ("quantity", I), ("parent", I)),
    K.CANCEL_CHILD: (("child", I),),
    K.CHILD_ACKED: (("child", I), ("venue", I)),
    K.CHILD_FILLED: (("side", U1), ("child", I), ("venue", I), ("price", I), ("quantity", I), ("fee", I)),
    K.CHILD_CLOSED: (("child", I), ("venue", I), ("cum_quantity", I), ("why", I)),
    K.CHILD_UNKNOWN: (("child", I), ("venue", I)),
    K.NET: (),
    K.SETTLE: (("obligation", I),),
    K.HALT: (("cancel", I),),
    K.RESUME: (),
    K.KILL: (),
    K.REVIVE: (),
    K.KILL_ALL: (),
    K.REVIVE_ALL: (),
    K.APPROVE: (("held", I), ("digest0", I), ("digest1", I), ("digest2", I), ("digest3", I)),
    K.DENY: (("held", I),),
    K.SESSION: (("session", I), ("next", I), ("duration", I)),
    K.KILL_TRADER: (("number", I),),
    K.REVIVE_TRADER: (("number", I),),
    K.CHANGE_TERMS: (("price_factor", I), ("lot", I), ("book_tick", I), ("quote_tick", I), ("min_price", I), ("max_price", I)),
    K.CHANGE_DIGITS: (("asset", I), ("digits", I)),
}

# Which of the head's account and instrument a kind names; a kind that does not name one must leave it zero.
NAMES_ACCOUNT = frozenset({K.CONFIGURE_ACCOUNT, K.CONFIGURE_ACTOR, K.CONFIGURE_VENUE, K.CONFIGURE_CREDIT, K.CONFIGURE_POSITION, K.CONFIGURE_SHORT,
                           K.CONFIGURE_TRADING, K.CONFIGURE_PROTECTION, K.CONFIGURE_EXPOSURE, K.CONFIGURE_RESTRICTION,
                           K.NEW_ORDER, K.CANCEL_ORDER, K.AMEND_ORDER, K.CANCEL_ALL, K.CANCEL_SOME, K.MASS_QUOTE, K.RESET_PROTECTION, K.DEAD_MAN,
                           K.MANUAL_CREDIT, K.REQUEST_QUOTE, K.CANCEL_REQUEST, K.QUOTE, K.WITHDRAW_QUOTE,
                           K.ACCEPT_QUOTE, K.DEPOSIT, K.REVERSE_DEPOSIT, K.MOVE_CUSTODY, K.TRANSFER, K.NEW_CHILD, K.CANCEL_CHILD, K.KILL, K.REVIVE})
NAMES_INSTRUMENT = frozenset({K.CONFIGURE_INSTRUMENT, K.CONFIGURE_LIMITS, K.CONFIGURE_FEES, K.CONFIGURE_POSITION, K.CONFIGURE_SOURCE,
                              K.CONFIGURE_TIER, K.CONFIGURE_BAND, K.CONFIGURE_SCHEDULE, K.CONFIGURE_PROTECTION, K.CONFIGURE_RESTRICTION, K.NEW_ORDER,
                              K.CANCEL_SOME, K.MASS_QUOTE, K.RESET_PROTECTION, K.SESSION, K.CHANGE_TERMS, K.REQUEST_QUOTE, K.SOURCE_PRICE, K.NEW_CHILD,
                              K.CHILD_FILLED, K.HALT, K.RESUME})

COMMAND = np.dtype([*HEAD, *((f"a{i}", I) for i in range(ARGUMENT_WORDS))])

EVENT = np.dtype([("kind", U2), ("reason", U2), ("side", U1), ("liquidity", U1), ("command", U2), ("account", U4), ("instrument", U4),
                  ("sequence", I), ("id", I), ("other", I), ("price", I), ("quantity", I), ("leaves", I), ("amount", I), ("fee", I),
                  ("id_hi", I), ("id_lo", I)])


def _place(arguments: tuple[tuple[str, str], ...]) -> tuple[list[str], list[str], list[int], list[int]]:
    """Names, codes, offsets and the nine masks of defined bits: small fields fill the first word in order, every int64 starts its own word."""
    names, codes, offsets, masks = [n for n, _ in HEAD], [c for _, c in HEAD], [], [0] * ARGUMENT_WORDS
    offsets += [sum(np.dtype(c).itemsize for c in codes[:i]) for i in range(len(HEAD))]
    at = HEAD_BYTES
    for name, code in arguments:
        size = np.dtype(code).itemsize
        at = (at + size - 1) // size * size
        names.append(name); codes.append(code); offsets.append(at)
        word, shift = divmod(at - HEAD_BYTES, 8)
        mask = ((1 << 8 * size) - 1) << 8 * shift
        masks[word] |= mask - (1 << 64) if mask >> 63 else mask
        at += size
    return names, codes, offsets, masks


LAYOUT: dict[Kind, np.dtype] = {}               # the command record of each kind, arguments by name; all 128 bytes
MASKS = np.zeros((MAX_KIND + 1, ARGUMENT_WORDS), np.int64)    # defined bits of each kind's argument words
for _kind, _arguments in ARGUMENTS.items():
    _names, _codes, _offsets, _masks = _place(_arguments)
    LAYOUT[_kind] = np.dtype({"names": _names, "formats": _codes, "offsets": _offsets, "itemsize": RECORD_BYTES})
    MASKS[_kind] = _masks


FIELDS: dict[Kind, tuple[str, ...]] = {kind: tuple(layout.names or ()) for kind, layout in LAYOUT.items()}
BOUNDS: dict[Kind, dict[str, tuple[int, int]]] = {      # the least and the most of every field
    kind: {name: (int(np.iinfo(layout[name]).min), int(np.iinfo(layout[name]).max)) for name in layout.names or ()} for kind, layout in LAYOUT.items()}


class BadRecord(ValueError):
    """A command that cannot be written down: says which field of which kind, and what would fit."""


def command(kind: Kind, **fields: int) -> np.ndarray:
    """One command record, shape (1,), dtype COMMAND. Raises BadRecord for an unknown field or a value that does not fit it."""
    record, bounds = np.zeros(1, LAYOUT[kind]), BOUNDS[kind]
    record["kind"] = kind
    for name, value in fields.items():
        if name not in bounds:
            raise BadRecord(f"{kind.name} has no field {name!r}; it has {', '.join(n for n in FIELDS[kind] if n != 'kind')}")
        low, high = bounds[name]
        if not low <= int(value) <= high:
            raise BadRecord(f"{kind.name}.{name} = {value} does not fit: {low} to {high}")
        record[name] = int(value)
    return record.view(COMMAND)


def named(record: np.ndarray) -> dict[str, int]:
    """The fields of one command by the names of its kind; an unknown kind gives the head and a0..a8."""
    kind = int(record["kind"].reshape(-1)[0])
    layout = LAYOUT[Kind(kind)] if kind in Kind._value2member_map_ else COMMAND
    row = np.ascontiguousarray(record.reshape(-1)[:1]).view(layout)
    return dict(zip(layout.names or (), row[0].item(), strict=True))


def identifier(cell: int, account: int, ordinal: int) -> int:
    """The id of the ordinal-th thing an account made in a cell."""
    return (cell << (ORDINAL_BITS + ACCOUNT_BITS)) | (account << ORDINAL_BITS) | ordinal
