"""The twin's state: one dataclass a row, one dict a table, and the exact arithmetic of the rules. Nothing here decides an outcome."""
from dataclasses import dataclass, field

from cambist.messages import (
    MAX_AMOUNT, REDUCE_ONLY, AccountKind, ChildState, Event, Kind, Link, OrderState, OrderType, Reason, RequestState, Settlement, Side, TimeInForce, Trigger,
    identifier,
)

MILLION = 1_000_000


def signed64(value: int) -> int:
    """The same 64 bits read as a signed number, as the int64 columns hold it (ids of cells 128 to 255 are negative)."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def down(a: int, b: int, c: int) -> int:
    return a * b // c


def up(a: int, b: int, c: int) -> int:
    return -(-a * b // c)


def fee(a: int, ppm: int) -> int:
    return down(a, ppm, MILLION)


def fee_up(a: int, ppm: int) -> int:
    return up(a, ppm, MILLION)


@dataclass
class Cell:
    started: int = 0
    cell: int = 0
    answer_window: int = 0
    fact_window: int = 0
    rfq_window: int = 0
    approval_window: int = 0
    max_ttl: int = 0
    cycle: int = 0
    killed_all: int = 0
    kill_sweep: int = 0
    cut_off: int = 0
    matches: int = 0
    ordinal: int = 0
    trader_account: int = 0                     # where the sweep of the head of the traders' queue is, and the ordinal it has looked at
    trader_cursor: int = 0
    change_asset: int = 0                       # whose digits are being changed, to how many; which stage, and its next row
    change_digits: int = 0
    change_stage: int = 0
    change_next: int = 0


@dataclass
class Asset:
    digits: int
    approval_above: int
    enabled: int
    quote_approval_above: int
    rate_num: int = 0
    rate_den: int = 0


@dataclass
class Account:
    number: int
    kind: int
    cycle: int
    entity: int = 0
    dealer: int = 0
    rate_limit: int = 0
    max_open: int = 0
    answer_quota: int = 0
    enabled: int = 0
    killed: int = 0
    ordinal: int = 0
    dying_below: int = 0
    sweep_reason: int = 0
    rate_second: int = 0
    rate_count: int = 0
    failed: int = 0
    rate_cancels: int = 0
    trade_group: int = 0
    self_trade_scope: int = 0
    max_waiting: int = 0
    cancel_reserve: int = 0
    max_executions: int = 0
    execution_window: int = 0
    duplicate_window: int = 0
    tier: int = 0
    fee_instrument: int = 0
    executed_window: int = 0
    executed: int = 0
    dup_instrument: int = 0
    dup_side: int = 0
    dup_price: int = 0
    dup_quantity: int = 0
    dup_at: int = 0
    dead_man: int = 0
    some_instrument: int = 0
    some_side: int = 0
    some_below: int = 0
    some_cursor: int = 0


@dataclass
class Actor:
    account: int = 0
    person: int = 0
    role: int = 0
    enabled: int = 0
    highest: int = 0
    killed: int = 0
    roams: int = 0                              # it has sent an order for another account than its own


@dataclass
class Instrument:
    number: int
    base: int
    quote: int
    lot: int
    book_tick: int
    quote_tick: int
    min_price: int
    max_price: int
    amount_num: int
    amount_den: int
    settlement: int
    max_quantity: int = 0
    max_notional: int = 0
    collar_ppm: int = 0
    max_position: int = 0
    min_sources: int = 0
    max_age: int = 0
    maker_ppm: int = 0
    taker_ppm: int = 0
    rfq_ppm: int = 0
    halted: int = 0
    last: int = 0
    reference: int = 0
    session: int = 0
    next_session: int = 0
    auction_ends: int = 0
    indicative_at: int = 0
    ending: int = 0
    uncross: int = 0
    band_ppm: int = 0
    band_window: int = 0
    auction: int = 0
    indicative: int = 0
    anchor: int = 0
    anchor_window: int = 0
    book_last: int = 0
    last_low: int = 0
    last_high: int = 0
    index_low: int = 0
    index_high: int = 0
    mark_low: int = 0
    mark_high: int = 0
    peg_bid: int = 0
    peg_ask: int = 0
    peg_work: int = 0
    peg_cursor: int = 0

    def amount(self, quantity: int, price: int) -> int:
        return down(quantity, price * self.amount_num, self.amount_den)

    def amount_up(self, quantity: int, price: int) -> int:
        return up(quantity, price * self.amount_num, self.amount_den)

    @property
    def prefunded(self) -> bool:
        return self.settlement == Settlement.PREFUNDED

    def lots(self, amount: int, price: int) -> int:
        """The largest quantity in whole lots whose amount at this price is at most `amount`."""
        most = ((amount + 1) * self.amount_den - 1) // (price * self.amount_num)
        return most // self.lot * self.lot


@dataclass
class Source:
    enabled: int = 0
    price: int = 0                              # 0: never posted
    posted_at: int = 0


@dataclass
class Venue:
    account: int
    enabled: int


@dataclass
class Balance:
    available: int = 0
    held: int = 0
    unsettled: int = 0
    due: int = 0
    short_limit: int = 0


@dataclass
class Position:
    net: int = 0
    open_buy: int = 0
    open_sell: int = 0
    limit: int = 0
    value: int = 0

    def grow_open(self, side: int, quantity: int) -> None:
        if side == Side.BUY:
            self.open_buy += quantity
        else:
            self.open_sell += quantity


@dataclass
class Credit:
    limit: int = 0
    quoting_limit: int = 0
    reserved: int = 0
    traded: int = 0
    netted: int = 0
    quoted: int = 0


@dataclass
class Order:
    id: int
    account: int
    instrument: int
    side: int
    price: int
    quantity: int
    leaves: int
    fee_ppm: int
    self_trade: int
    post_only: int
    held: int = 0
    state: int = OrderState.BOOK
    order_type: int = OrderType.LIMIT
    time_in_force: int = TimeInForce.GTC
    actor: int = 0
    sequence: int = 0
    worst: int = 0
    display: int = 0
    shown: int = 0
    prevented: int = 0
    fee_min: int = 0
    options: int = 0
    trigger: int = Trigger.NONE
    trigger_on: int = 0
    trigger_price: int = 0
    distance: int = 0
    offset: int = 0
    good_till: int = 0
    link: int = Link.NONE
    mate: int = 0
    parent: int = 0
    quoted: int = 0
    value: int = 0
    counted: int = 0                            # of its leaves, in the position's open quantity
    by_quote: bool = False                      # a taker whose quantity is in the quote asset; such an order never stands
    covered: int = 0                            # of a sleeping child: what its parent has bought

    @property
    def arrival(self) -> tuple[int, int]:
        return self.sequence, self.id

    @property
    def executed(self) -> int:
        return self.quantity - self.leaves

    @property
    def reduce_only(self) -> bool:
        return bool(self.options & REDUCE_ONLY)


@dataclass
class Tier:
    maker_ppm: int
    taker_ppm: int
    rfq_ppm: int
    minimum: int


@dataclass
class Schedule:
    offset: int
    period: int
    session: int
    next: int
    duration: int
    enabled: int
    due: int


@dataclass
class Protection:
    quantity: int
    delta: int
    window: int
    frozen: int = 0
    bucket: int = 0
    bought: list[int] = field(default_factory=lambda: [0] * 8)
    sold: list[int] = field(default_factory=lambda: [0] * 8)


@dataclass
class Exposure:
    gross_limit: int = 0
    net_limit: int = 0
    loss_limit: int = 0
    gross: int = 0
    net: int = 0
    open: int = 0
    cash: int = 0
    day: int = 0
    base: int = 0


@dataclass
class Request:
    id: int
    account: int
    instrument: int
    side: int
    quantity: int
    expires: int
    state: int = RequestState.OPEN
    quotes: list[int] = field(default_factory=list)         # ids of its living quotes in order of arrival


@dataclass
class Quote:
    id: int
    request: int
    account: int
    bid: int
    ask: int
    expires: int
    reserve: int


@dataclass
class Child:
    id: int
    account: int
    instrument: int
    venue: int
    side: int
    time_in_force: int
    price: int
    quantity: int
    parent: int
    filled: int = 0
    held: int = 0
    state: int = ChildState.PENDING
    cum: int = 0
    ends: int = 0

    @property
    def open(self) -> int:
        return 0 if self.state == ChildState.DONE else self.quantity - self.filled


@dataclass
class Obligation:
    id: int
    account: int
    asset: int
    amount: int
    cycle: int


@dataclass
class Held:
    id: int
    account: int
    sequence: int
    person: int
    lapse: int
    record: bytes


@dataclass
class Command:
    """One record with its fields by name. `account` is whom it names; `belongs` is whom its answers go to (known after the preamble began)."""
    kind: int
    fields: dict[str, int]
    record: bytes
    sequence: int
    belongs: int = 0
    released: bool = False                      # run by an APPROVE: not held again
    lapse: int = 0                              # until when it was held, if released

    def __getitem__(self, name: str) -> int:
        return self.fields[name]

    @property
    def account(self) -> int:
        return self.fields["account"]

    @property
    def instrument(self) -> int:
        return self.fields["instrument"]

    @property
    def id(self) -> tuple[int, int]:
        return self.fields["id_hi"], self.fields["id_lo"]


class State:
    """All tables, and the few questions every rule asks of them."""

    def __init__(self, answer_capacity: int = 1 << 16) -> None:
        self.answer_capacity = answer_capacity
        self.time = 0
        self.sequence = 0
        self.emitting = 0                       # the sequence events carry now
        self.events: list[dict[str, int]] = []
        self.cell = Cell()
        self.assets: dict[int, Asset] = {}
        self.accounts: dict[int, Account] = {}
        self.dealers: list[int] = []
        self.actors: dict[int, Actor] = {}
        self.numbers: dict[tuple[int, int], int] = {}                       # (actor, number) -> sequence
        self.authority: dict[tuple[int, int], tuple[int, int]] = {}         # (role, kind) -> (scope, second person)
        self.instruments: dict[int, Instrument] = {}
        self.sources: dict[tuple[int, int], Source] = {}                    # (instrument, source)
        self.venues: dict[int, Venue] = {}
        self.stops: set[tuple[int, int]] = set()                            # (venue, instrument)
        self.balances: dict[tuple[int, int], Balance] = {}                  # (account, asset)
        self.positions: dict[tuple[int, int], Position] = {}                # (account, instrument)
        self.credits: dict[tuple[int, int, int], Credit] = {}               # (giver, taker, asset)
        self.orders: dict[int, Order] = {}
        self.orders_of: dict[int, dict[int, Order]] = {}                    # instrument -> the same ones, so that none need look at all
        self.books: dict[tuple[int, int], dict[int, list[Order]]] = {}      # (instrument, side) -> price -> orders in time order
        self.told: dict[tuple[int, int, int], tuple[int, int]] = {}         # (instrument, side, price) -> the last LEVEL
        self.requests: dict[int, Request] = {}
        self.quotes: dict[int, Quote] = {}
        self.children: dict[int, Child] = {}
        self.obligations: dict[int, Obligation] = {}
        self.held: dict[int, Held] = {}
        self.answers: dict[int, dict[tuple[int, int], tuple[int, int]]] = {}    # account -> (id) -> (sequence, accepted at), oldest first
        self.facts: dict[tuple[int, int, int], tuple[int, int]] = {}        # (source, id) -> (sequence, accepted at), oldest first
        self.flows: dict[tuple[int, int], int] = {}                         # (asset, cause)
        self.account_sweeps: list[int] = []
        self.partial_sweeps: list[int] = []
        self.trader_sweeps: list[int] = []
        self.instrument_sweeps: list[int] = []
        self.session_sweeps: list[int] = []
        self.entries: dict[int, list[int]] = {}                             # instrument -> TRIGGERED orders in the order they enter
        self.tiers: dict[tuple[int, int], Tier] = {}                        # (instrument, tier)
        self.schedules: dict[tuple[int, int], Schedule] = {}                # (instrument, slot)
        self.protections: dict[tuple[int, int], Protection] = {}            # (account, instrument)
        self.exposures: dict[int, Exposure] = {}
        self.restrictions: set[tuple[int, int, int]] = set()                # (account, actor, instrument)

    # rows, made when first asked for
    def balance(self, account: int, asset: int) -> Balance:
        return self.balances.setdefault((account, asset), Balance())

    def position(self, account: int, instrument: int) -> Position:
        return self.positions.setdefault((account, instrument), Position())

    def house_credit(self, account: int, asset: int) -> Credit | None:
        return self.credits.get((self.single(AccountKind.HOUSE), account, asset))

    def single(self, kind: int) -> int:
        """The number of the one account of this kind; 0 when there is none yet."""
        return next((a.number for a in self.accounts.values() if a.kind == kind), 0)

    def kind_of(self, account: int) -> int:
        return self.accounts[account].kind if account in self.accounts else 0

    def new_id(self, account: int) -> int:
        if account == 0:
            self.cell.ordinal += 1
            return signed64(identifier(self.cell.cell, 0, self.cell.ordinal))
        self.accounts[account].ordinal += 1
        return signed64(identifier(self.cell.cell, account, self.accounts[account].ordinal))

    def flow(self, asset: int, cause: int, amount: int) -> None:
        self.flows[asset, cause] = self.flows.get((asset, cause), 0) + amount

    def enter(self, order: Order) -> None:
        """Into the table of orders."""
        self.orders[order.id] = self.orders_of.setdefault(order.instrument, {})[order.id] = order

    def leave(self, order: Order) -> None:
        del self.orders[order.id], self.orders_of[order.instrument][order.id]

    def account_orders(self, account: int) -> list[Order]:
        """The account's orders, in whatever state, oldest id first."""
        return sorted((o for o in self.orders.values() if o.account == account), key=lambda o: o.id)

    def standing(self, instrument: int) -> list[Order]:
        """The instrument's orders in order of arrival."""
        return sorted(self.orders_of.get(instrument, {}).values(), key=lambda o: o.arrival)

    def owes_nothing_open(self, account: int) -> bool:
        return not any(o.account == account for o in self.obligations.values())

    # events
    def emit(self, kind: Event, account: int, **fields: int) -> None:
        self.events.append({"kind": kind, "account": account, "sequence": self.emitting, **fields})

    def echo(self, c: Command, kind: Event, account: int, **fields: int) -> None:
        self.emit(kind, account, command=c.kind, id_hi=c["id_hi"], id_lo=c["id_lo"], **fields)

    def alert(self, reason: Reason, **fields: int) -> None:
        self.emit(Event.ALERT, 0, reason=reason, **fields)

    def done(self, c: Command, number: int = 0) -> None:
        told = Kind.KILL, Kind.REVIVE, Kind.CANCEL_ALL, Kind.CANCEL_SOME, Kind.DEAD_MAN, Kind.RESET_PROTECTION
        named = c.account if c.kind in told else 0
        self.echo(c, Event.DONE, named, id=number, instrument=c.instrument)

    # money on its own
    def fits(self, account: int, asset: int, change: int) -> bool:
        """Available stays inside the range of money after this change: a narrower one while it is being looked whether the asset's digits may change."""
        row, most = self.balances.get((account, asset), Balance()), MAX_AMOUNT
        if self.cell.change_asset == asset and self.cell.change_stage <= 2:
            most //= 10 ** (self.cell.change_digits - self.assets[asset].digits)
        return -most <= row.available + change <= most

    # reference price
    def fresh_prices(self, instrument: int) -> list[int]:
        max_age = self.instruments[instrument].max_age
        return sorted(s.price for (number, _), s in self.sources.items()
                      if number == instrument and s.enabled and s.price > 0 and self.time - s.posted_at <= max_age)

    def reference(self, instrument: int) -> int:
        prices = self.fresh_prices(instrument)
        if len(prices) < max(1, self.instruments[instrument].min_sources):
            return 0
        middle = len(prices) // 2
        return prices[middle] if len(prices) % 2 else (prices[middle - 1] + prices[middle]) // 2

    def band(self, ins: Instrument, centre: int = 0) -> tuple[int, int] | None:
        """The collar's lower and upper edge now, or nothing when there is no reference. Only asked when collar_ppm > 0."""
        reference = centre or self.reference(ins.number)
        if reference == 0:
            return None
        width = down(reference, ins.collar_ppm, MILLION)
        return reference - width, reference + width

    # risk questions that orders, quotes and children share
    def collar(self, ins: Instrument, side: int, price: int, centre: int = 0) -> Reason:
        """Around the reference, or around `centre` when one is given."""
        if ins.collar_ppm == 0:
            return Reason.NONE
        band = self.band(ins, centre)
        if band is None:
            return Reason.NO_REFERENCE
        low, high = band
        if (side == Side.BUY and price > high) or (side == Side.SELL and price < low):
            return Reason.COLLAR
        return Reason.NONE

    def breaks_position(self, account: int, ins: Instrument, side: int, quantity: int, own_open: int = 0) -> bool:
        """POSITION: `own_open` is the leaves of the order being replaced, which do not count."""
        row = self.positions.get((account, ins.number), Position())
        limit = row.limit or ins.max_position
        if limit == 0:
            return False
        if side == Side.BUY:
            return row.net + (row.open_buy - own_open) + quantity > limit
        return -(row.net - (row.open_sell - own_open) - quantity) > limit

    def may_trade(self, account: int) -> bool:
        return self.kind_of(account) in (AccountKind.CLIENT, AccountKind.DEALER, AccountKind.DESK)

    def can_spend(self, account: int, asset: int, amount: int) -> bool:
        row = self.balances.get((account, asset), Balance())
        return row.available + row.short_limit >= amount

    def can_use_credit(self, account: int, asset: int, amount: int) -> bool:
        row = self.house_credit(account, asset)
        return row is not None and row.reserved + row.traded + row.netted + amount <= row.limit
