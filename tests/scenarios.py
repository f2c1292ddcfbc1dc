"""A small world for tests: a genesis, and verbs that build records with fresh ids and apply them to any engine.

An engine has `apply(records, time) -> events` and `tables()`, as `cambist.simulation.twin.Twin` and the kernel's cell do, so the same scenario runs on
both. Every verb returns its events as dicts; after every step the auditor's invariants are asserted, and that the public knows the book (`audit=False`
leaves both out).
"""
import hashlib
from collections.abc import Callable

import numpy as np

from cambist.messages import (
    CONFIGURE, COUNTED_ONCE, FACTS, GROUP_MORE, NUMBERED, AccountKind, Event, Kind, OrderType, Reason, Scope, SelfTrade, Settlement, Side, TimeInForce,
    command,
)
from cambist.simulation.invariants import PublicBook, invariants, strangers

K = Kind
SECOND = 1_000_000_000
BTC, USD, XRP = 1, 2, 3
BTCUSD, XRPUSD = 1, 2
HOUSE, FEES, SUSPENSE, DEFICIT, WALLET, KRAKEN, DESK, DEALER_A, DEALER_B, ACME, ACME_TWO, BOLT = range(1, 13)
VENUE = 1
# actors, in the order they are configured
ADMIN, ACME_KEY, ACME_TWO_KEY, BOLT_KEY, DEALER_A_KEY, DEALER_B_KEY, DESK_KEY, RISK_ONE, RISK_TWO, OPERATIONS, SETTLER, CUSTODIAN = range(1, 13)
CLIENT_ROLE, DEALER_ROLE, DESK_ROLE, RISK_ROLE, OPERATIONS_ROLE, SETTLEMENT_ROLE, CUSTODIAN_ROLE, ADMIN_ROLE = range(1, 9)
KEY_OF = {ACME: ACME_KEY, ACME_TWO: ACME_TWO_KEY, BOLT: BOLT_KEY, DEALER_A: DEALER_A_KEY, DEALER_B: DEALER_B_KEY, DESK: DESK_KEY}
ONE_BTC, ONE_USD, ONE_XRP = 10**8, 10**6, 10**6
PRICE = 6_000_000                               # 60,000.00: BTC/USD prices are cents, XRP/USD prices are millionths
XRP_PRICE = 500_000
BUY, SELL, TWO_WAY = int(Side.BUY), int(Side.SELL), int(Side.TWO_WAY)

TRADING = (K.NEW_ORDER, K.CANCEL_ORDER, K.AMEND_ORDER, K.CANCEL_ALL)
ASKING = (K.REQUEST_QUOTE, K.CANCEL_REQUEST, K.ACCEPT_QUOTE)
AUTHORITY: dict[int, dict[Kind, tuple[int, int]]] = {
    CLIENT_ROLE: {k: (Scope.OWN, 0) for k in (*TRADING, *ASKING, K.TRANSFER)},
    DEALER_ROLE: {k: (Scope.OWN, 0) for k in (*TRADING, *ASKING, K.TRANSFER, K.QUOTE, K.WITHDRAW_QUOTE)},
    DESK_ROLE: {k: (Scope.OWN, 0) for k in (*TRADING, *ASKING, K.TRANSFER, K.QUOTE, K.WITHDRAW_QUOTE, K.NEW_CHILD, K.CANCEL_CHILD)},
    RISK_ROLE: {**{k: (Scope.ALL, 0) for k in (K.HALT, K.RESUME, K.KILL, K.REVIVE, K.KILL_ALL, K.REVIVE_ALL, K.CANCEL_ALL, K.APPROVE, K.DENY)},
                K.CONFIGURE_LIMITS: (Scope.ALL, 1), K.CONFIGURE_CREDIT: (Scope.ALL, 1)},
    OPERATIONS_ROLE: {k: (Scope.ALL, 0) for k in (K.NET, K.TRANSFER, K.APPROVE, K.DENY, K.CANCEL_ALL, K.CANCEL_ORDER)},
    SETTLEMENT_ROLE: {k: (Scope.ALL, 0) for k in (K.NET, K.SETTLE)},
    CUSTODIAN_ROLE: {k: (Scope.ALL, 0) for k in FACTS},
    ADMIN_ROLE: {k: (Scope.ALL, 0) for k in CONFIGURE},
}
ACCOUNTS = ((HOUSE, AccountKind.HOUSE, 0, 0), (FEES, AccountKind.FEES, 0, 0), (SUSPENSE, AccountKind.SUSPENSE, 0, 0), (DEFICIT, AccountKind.DEFICIT, 0, 0),
            (WALLET, AccountKind.CUSTODY, 0, 0), (KRAKEN, AccountKind.CUSTODY, 0, 0), (DESK, AccountKind.DESK, 1, 1), (DEALER_A, AccountKind.DEALER, 8, 1),
            (DEALER_B, AccountKind.DEALER, 9, 1), (ACME, AccountKind.CLIENT, 10, 0), (ACME_TWO, AccountKind.CLIENT, 10, 0), (BOLT, AccountKind.CLIENT, 12, 0))
ACTORS = ((ADMIN, 0, 100, ADMIN_ROLE), (ACME_KEY, ACME, 0, CLIENT_ROLE), (ACME_TWO_KEY, ACME_TWO, 0, CLIENT_ROLE), (BOLT_KEY, BOLT, 0, CLIENT_ROLE),
          (DEALER_A_KEY, DEALER_A, 0, DEALER_ROLE), (DEALER_B_KEY, DEALER_B, 0, DEALER_ROLE), (DESK_KEY, DESK, 0, DESK_ROLE),
          (RISK_ONE, 0, 101, RISK_ROLE), (RISK_TWO, 0, 102, RISK_ROLE), (OPERATIONS, 0, 103, OPERATIONS_ROLE), (SETTLER, 0, 104, SETTLEMENT_ROLE),
          (CUSTODIAN, 0, 0, CUSTODIAN_ROLE))
CELL = {"cell": 1, "answer_window": 60 * SECOND, "fact_window": 3_600 * SECOND, "rfq_window": 5 * SECOND, "approval_window": 600 * SECOND,
        "max_ttl": 30 * SECOND}
BTCUSD_MADE = {"base": BTC, "quote": USD, "lot": 1_000, "book_tick": 100, "quote_tick": 1, "min_price": 100_000, "max_price": 20_000_000, "amount_num": 1,
               "amount_den": 10_000, "settlement": Settlement.PREFUNDED}
XRPUSD_MADE = {"base": XRP, "quote": USD, "lot": ONE_XRP, "book_tick": 100, "quote_tick": 10, "min_price": 10_000, "max_price": 10_000_000, "amount_num": 1,
               "amount_den": 1_000_000, "settlement": Settlement.ON_CREDIT}
BTCUSD_LIMITS = {"max_quantity": 100 * ONE_BTC, "max_notional": 10_000_000 * ONE_USD, "collar_ppm": 100_000, "max_position": 0, "min_sources": 2,
                 "max_age": 3_600 * SECOND}
XRPUSD_LIMITS = {"max_quantity": 1_000_000 * ONE_XRP, "max_notional": 1_000_000 * ONE_USD, "collar_ppm": 100_000, "max_position": 0, "min_sources": 1,
                 "max_age": 3_600 * SECOND}
BTCUSD_FEES = {"maker_ppm": 100, "taker_ppm": 500, "rfq_ppm": 200}
XRPUSD_FEES = {"maker_ppm": 100, "taker_ppm": 300, "rfq_ppm": 100}


def genesis_records() -> list[np.ndarray]:
    """Everything up to and with START, by the administrator."""
    out = [command(K.CONFIGURE_CELL, **CELL)]
    for asset, digits in ((BTC, 8), (USD, 6), (XRP, 6)):
        out.append(command(K.CONFIGURE_ASSET, asset=asset, digits=digits, approval_above=1_000_000 * ONE_USD if asset == USD else -1,
                           quote_approval_above=-1, enabled=1))
    for number, kind, entity, dealer in ACCOUNTS:
        out.append(command(K.CONFIGURE_ACCOUNT, account=number, account_kind=kind, entity=entity, dealer=dealer, rate_limit=0, max_open=100,
                           answer_quota=2_000, enabled=1))
    for number, account, person, role in ACTORS:
        out.append(command(K.CONFIGURE_ACTOR, account=account, number=number, person=person, role=role, enabled=1))
    for role, kinds in AUTHORITY.items():
        for kind, (scope, second) in sorted(kinds.items()):
            out.append(command(K.CONFIGURE_AUTHORITY, role=role, command=kind, scope=scope, second_person=second))
    for number, made, limits, fees in ((BTCUSD, BTCUSD_MADE, BTCUSD_LIMITS, BTCUSD_FEES), (XRPUSD, XRPUSD_MADE, XRPUSD_LIMITS, XRPUSD_FEES)):
        out.append(command(K.CONFIGURE_INSTRUMENT, instrument=number, **made))
        out.append(command(K.CONFIGURE_LIMITS, instrument=number, **limits))
        out.append(command(K.CONFIGURE_FEES, instrument=number, **fees))
        for source in (1, 2, 3):
            out.append(command(K.CONFIGURE_SOURCE, instrument=number, source=source, enabled=1))
    out.append(command(K.CONFIGURE_VENUE, account=KRAKEN, venue=VENUE, enabled=1))
    for account in (DESK, DEALER_A, DEALER_B, ACME, ACME_TWO, BOLT):
        out.append(command(K.CONFIGURE_CREDIT, account=account, giver=HOUSE, asset=USD, limit=100_000 * ONE_USD, quoting_limit=1_000_000 * ONE_USD))
    out.append(command(K.CONFIGURE_SHORT, account=DESK, asset=BTC, limit=5 * ONE_BTC))
    out.append(command(K.START))
    for record in out:
        record["actor"] = ADMIN
    return out


class Scenario:
    """One engine, its clock, and the verbs of the house."""

    def __init__(self, engine: object, audit: bool = True) -> None:
        self.engine, self.audit = engine, audit
        self.desk_forced = False                # set when the scenario's facts take the desk beyond its short limit
        self.now = 1_000 * SECOND
        self.ids = 0
        self.public = PublicBook()
        self.events: list[dict[str, int]] = []  # of the last step
        self.history: list[dict[str, int]] = []

    # ------------------------------------------------------------------------------------------------------------- the engine
    def apply(self, *records: np.ndarray) -> list[dict[str, int]]:
        """All records as one entry at the scenario's time."""
        asked = np.concatenate(records)
        out = self.engine.apply(asked, self.now)
        self.events = [{name: int(row[name]) for name in out.dtype.names} for row in out]
        self.history += self.events
        if self.audit:
            tables = self.engine.tables()
            found = [*invariants(tables, self.desk_forced), *strangers(tables, asked, out)]
            assert found == [], found
            assert [*self.public.hear(out), *self.public.differs(tables)] == []
        return self.events

    def advance(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)

    def build(self, kind: Kind, actor: int, **fields: int) -> np.ndarray:
        """A record with a fresh id and a lapse inside the window, unless the fields say otherwise."""
        if kind in COUNTED_ONCE or (kind not in FACTS and kind is not K.TICK and not fields.get("flags", 0) & NUMBERED):
            if "id_lo" not in fields and "id_hi" not in fields:
                self.ids += 1
                fields["id_lo"] = self.ids
        if kind not in FACTS and kind is not K.TICK and not fields.get("flags", 0) & NUMBERED:
            fields.setdefault("expires", self.now + 30 * SECOND)
        return command(kind, actor=actor, **fields)

    def do(self, kind: Kind, actor: int, **fields: int) -> list[dict[str, int]]:
        return self.apply(self.build(kind, actor, **fields))

    # -------------------------------------------------------------------------------------------------------- what came of it
    def find(self, kind: Event, account: int | None = None) -> list[dict[str, int]]:
        return [e for e in self.events if e["kind"] == kind and (account is None or e["account"] == account)]

    def one(self, kind: Event, account: int | None = None) -> dict[str, int]:
        found = self.find(kind, account)
        assert len(found) == 1, f"{len(found)} of {kind.name}: {self.told()}"
        return found[0]

    def refused(self) -> Reason:
        return Reason(self.one(Event.REFUSED)["reason"])

    def told(self) -> list[str]:
        return [f"{Event(e['kind']).name}>{e['account']}" + (f":{Reason(e['reason']).name}" if e["reason"] else "") for e in self.events]

    def kinds(self) -> list[Event]:
        return [Event(e["kind"]) for e in self.events]

    def rows(self, table: str, **where: int) -> list[dict[str, int]]:
        _, columns, matrix = self.engine.tables()[table]
        found = [dict(zip(columns, (int(v) for v in row), strict=True)) for row in matrix]
        return [r for r in found if all(r[name] == value for name, value in where.items())]

    def row(self, table: str, **where: int) -> dict[str, int]:
        found = self.rows(table, **where)
        assert len(found) == 1, f"{len(found)} rows of {table} where {where}"
        return found[0]

    def balance(self, account: int, asset: int, bucket: str = "available") -> int:
        return sum(r[bucket] for r in self.rows("balances", account=account, asset=asset))

    def credit(self, account: int, asset: int = USD) -> dict[str, int]:
        return self.row("credit", taker=account, asset=asset)

    def flow(self, asset: int, cause: int) -> int:
        return sum(r["amount"] for r in self.rows("flows", asset=asset, cause=cause))

    # ------------------------------------------------------------------------------------------------------------- the genesis
    def genesis(self, prices: bool = True, funds: bool = True) -> "Scenario":
        self.apply(*genesis_records())
        assert all(e["kind"] == Event.DONE for e in self.events), self.told()
        if prices:
            for source in (1, 2, 3):
                self.price(BTCUSD, source, PRICE)
                self.price(XRPUSD, source, XRP_PRICE)
        if funds:
            for account in (ACME, ACME_TWO, BOLT, DEALER_A, DEALER_B, DESK):
                self.deposit(account, BTC, 10 * ONE_BTC)
                self.deposit(account, USD, 1_000_000 * ONE_USD)
            self.deposit(DESK, USD, 1_000_000 * ONE_USD, custody=KRAKEN)
            self.deposit(DESK, BTC, 10 * ONE_BTC, custody=KRAKEN)
        return self

    # ------------------------------------------------------------------------------------------------------------------- verbs
    def tick(self, seconds: float = 0, actor: int = OPERATIONS) -> list[dict[str, int]]:
        self.advance(seconds)
        return self.apply(self.build(K.TICK, actor))

    def price(self, instrument: int, source: int, price: int) -> list[dict[str, int]]:
        return self.do(K.SOURCE_PRICE, CUSTODIAN, instrument=instrument, source=source, price=price, source_time=self.now)

    def deposit(self, account: int, asset: int, amount: int, custody: int = WALLET, **more: int) -> list[dict[str, int]]:
        return self.do(K.DEPOSIT, CUSTODIAN, account=account, custody=custody, asset=asset, amount=amount, **more)

    def reverse(self, account: int, asset: int, amount: int, custody: int = WALLET, **more: int) -> list[dict[str, int]]:
        return self.do(K.REVERSE_DEPOSIT, CUSTODIAN, account=account, custody=custody, asset=asset, amount=amount, **more)

    def move_custody(self, account: int, custody: int, asset: int, amount: int, **more: int) -> list[dict[str, int]]:
        return self.do(K.MOVE_CUSTODY, CUSTODIAN, account=account, custody=custody, asset=asset, amount=amount, **more)

    def transfer(self, account: int, to: int, asset: int, amount: int, actor: int = OPERATIONS, **more: int) -> list[dict[str, int]]:
        return self.do(K.TRANSFER, actor, account=account, to=to, asset=asset, amount=amount, **more)

    def group(self, *transfers: tuple[int, int, int, int], actor: int = OPERATIONS) -> list[dict[str, int]]:
        """Transfers (account, to, asset, amount), all or none."""
        records = [self.build(K.TRANSFER, actor, account=a, to=to, asset=asset, amount=amount, flags=GROUP_MORE if i + 1 < len(transfers) else 0)
                   for i, (a, to, asset, amount) in enumerate(transfers)]
        return self.apply(*records)

    def order(self, account: int, side: int, quantity: int, price: int, instrument: int = BTCUSD, **more: int) -> int:
        """The order's id; 0 when it was refused (see `refused()`)."""
        fields = {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC, "self_trade": SelfTrade.CANCEL_NEWEST, "post_only": 0, **more}
        actor = fields.pop("actor", 0) or KEY_OF[account]
        self.do(K.NEW_ORDER, actor, account=account, instrument=instrument, side=side, quantity=quantity, price=price, **fields)
        accepted = self.find(Event.ORDER_ACCEPTED, account)
        return accepted[0]["id"] if accepted else 0

    def cancel(self, account: int, order: int, **more: int) -> list[dict[str, int]]:
        return self.do(K.CANCEL_ORDER, KEY_OF[account], account=account, order=order, **more)

    def amend(self, account: int, order: int, price: int, quantity: int, **more: int) -> list[dict[str, int]]:
        return self.do(K.AMEND_ORDER, KEY_OF[account], account=account, order=order, price=price, quantity=quantity, **more)

    def cancel_all(self, account: int, **more: int) -> list[dict[str, int]]:
        return self.do(K.CANCEL_ALL, KEY_OF[account], account=account, **more)

    def request(self, account: int, side: int, quantity: int, instrument: int = BTCUSD, ttl: int = 10 * SECOND, **more: int) -> int:
        self.do(K.REQUEST_QUOTE, KEY_OF[account], account=account, instrument=instrument, side=side, quantity=quantity, ttl=ttl, **more)
        opened = self.find(Event.REQUEST_OPENED, account)
        return opened[0]["id"] if opened else 0

    def cancel_request(self, account: int, request: int, **more: int) -> list[dict[str, int]]:
        return self.do(K.CANCEL_REQUEST, KEY_OF[account], account=account, request=request, **more)

    def quote(self, account: int, request: int, bid: int = 0, ask: int = 0, ttl: int = 10 * SECOND, **more: int) -> int:
        self.do(K.QUOTE, KEY_OF[account], account=account, request=request, bid=bid, ask=ask, ttl=ttl, **more)
        quoted = self.find(Event.QUOTED, account)
        return quoted[0]["id"] if quoted else 0

    def withdraw(self, account: int, quote: int, **more: int) -> list[dict[str, int]]:
        return self.do(K.WITHDRAW_QUOTE, KEY_OF[account], account=account, quote=quote, **more)

    def accept(self, account: int, request: int, side: int, limit_price: int, quote: int = 0, **more: int) -> list[dict[str, int]]:
        return self.do(K.ACCEPT_QUOTE, KEY_OF[account], account=account, request=request, side=side, limit_price=limit_price, quote=quote, **more)

    def child(self, side: int, quantity: int, price: int, instrument: int = BTCUSD, venue: int = VENUE, **more: int) -> int:
        fields = {"time_in_force": TimeInForce.GTC, "parent": 0, **more}
        self.do(K.NEW_CHILD, DESK_KEY, account=DESK, instrument=instrument, side=side, quantity=quantity, price=price, venue=venue, **fields)
        opened = self.find(Event.CHILD_OPENED)
        return opened[0]["id"] if opened else 0

    def cancel_child(self, child: int, **more: int) -> list[dict[str, int]]:
        return self.do(K.CANCEL_CHILD, DESK_KEY, account=DESK, child=child, **more)

    def acked(self, child: int, venue: int = VENUE) -> list[dict[str, int]]:
        return self.do(K.CHILD_ACKED, CUSTODIAN, child=child, venue=venue)

    def unknown(self, child: int, venue: int = VENUE) -> list[dict[str, int]]:
        return self.do(K.CHILD_UNKNOWN, CUSTODIAN, child=child, venue=venue)

    def closed(self, child: int, cum_quantity: int, why: int = 0, venue: int = VENUE) -> list[dict[str, int]]:
        return self.do(K.CHILD_CLOSED, CUSTODIAN, child=child, venue=venue, cum_quantity=cum_quantity, why=why)

    def child_filled(self, child: int, side: int, quantity: int, price: int, fee: int = 0, instrument: int = BTCUSD, venue: int = VENUE,
                     **more: int) -> list[dict[str, int]]:
        return self.do(K.CHILD_FILLED, CUSTODIAN, child=child, side=side, quantity=quantity, price=price, fee=fee, instrument=instrument, venue=venue, **more)

    def net(self, **more: int) -> list[dict[str, int]]:
        return self.do(K.NET, SETTLER, **more)

    def settle(self, obligation: int, **more: int) -> list[dict[str, int]]:
        return self.do(K.SETTLE, SETTLER, obligation=obligation, **more)

    def approve(self, held: int, record: np.ndarray, actor: int = RISK_TWO, **more: int) -> list[dict[str, int]]:
        """Approve exactly these bytes."""
        return self.do(K.APPROVE, actor, held=held, **{**digests(record), **more})

    def deny(self, held: int, actor: int = RISK_TWO, **more: int) -> list[dict[str, int]]:
        return self.do(K.DENY, actor, held=held, **more)


def digests(record: np.ndarray) -> dict[str, int]:
    whole = hashlib.sha256(record.tobytes()).digest()
    return {f"digest{i}": int.from_bytes(whole[8 * i:8 * i + 8], "big", signed=True) for i in range(4)}


def scenario(make: Callable[[], object], audit: bool = True) -> Scenario:
    """A started world on a fresh engine."""
    return Scenario(make(), audit).genesis()
