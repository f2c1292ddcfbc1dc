"""Random flows: records of every kind, built by one seeded generator that sees the tables, so that most of them reach what they mean to reach.

A flow never asks an engine anything but its tables. The same seed, weights and tables give the same records.
"""
import random
from collections.abc import Mapping

import numpy as np

from cambist.messages import (
    ARGUMENTS, COMMAND, CONFIGURE, COUNTED_ONCE, FACTS, GROUP_MORE, LAYOUT, MAX_AMOUNT, NUMBERED, AccountKind, Kind, identifier,
)
from tests.core.market_flow import MarketFlow
from tests.core.rare_flow import RareFlow
from tests.core.world import (
    ACME_GROUP, ALL_ACTORS, BANK, BOLT_BOT, BTCXRP, CAREFUL, MINER, MINER_KEY, NOBODY, QUIET, QUOTES_ABOVE, ROOT, ROOT_TWO, SECOND_DESK, SECOND_DESK_KEY,
    SIZES, TOY,
)
from tests.scenarios import (
    ACME, ADMIN, BOLT, BTC, BTCUSD, BTCUSD_LIMITS, CELL, CUSTODIAN, DEALER_A, DEALER_B, DEFICIT, DESK, DESK_KEY, FEES, HOUSE, KEY_OF, KRAKEN, ONE_BTC, ONE_USD,
    ONE_XRP, OPERATIONS, PRICE, RISK_ONE, RISK_TWO, SECOND, SETTLER, SUSPENSE, USD, WALLET, XRP, XRP_PRICE, XRPUSD, digests,
)

K = Kind
Tables = Mapping[str, tuple[int, tuple[str, ...], np.ndarray]]
TRADERS = {**KEY_OF, MINER: MINER_KEY, SECOND_DESK: SECOND_DESK_KEY, QUIET: ROOT}
CUSTODY = (WALLET, KRAKEN, BANK)
MIDDLE = {BTCUSD: PRICE, XRPUSD: XRP_PRICE, BTCXRP: 120_000}
TICK = {BTCUSD: 100, XRPUSD: 100, BTCXRP: 50}
LOT = {BTCUSD: 1_000, XRPUSD: ONE_XRP, BTCXRP: ONE_BTC // 100}
LOTS = {BTCUSD: 30_000, XRPUSD: 8_000, BTCXRP: 300}            # a large order, in lots
BASE = {BTCUSD: BTC, XRPUSD: XRP, BTCXRP: BTC}
QUOTE = {BTCUSD: USD, XRPUSD: USD, BTCXRP: XRP}
ONE = {BTC: ONE_BTC, USD: ONE_USD, XRP: ONE_XRP, TOY: 1}
EDGES = (0, 1, -1, 2, 3, 99, MAX_AMOUNT, MAX_AMOUNT + 1, (1 << 63) - 1, -(1 << 63), 10**18, 10**18 + 1, (1 << 24) - 1, 1 << 31)


class Flow(MarketFlow, RareFlow):
    """Makes entries of records. `weights`: how often each verb is chosen; the verbs are the methods named by VERBS."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.ids = 0
        self.past: list[np.ndarray] = []        # records to send again
        self.rows: dict[str, np.ndarray] = {}
        self.now = 0
        self.edges = EDGES

    # ------------------------------------------------------------------------------------------------------------- entries
    def entry(self, weights: Mapping[str, float], count: int, now: int, tables: Tables) -> np.ndarray:
        """About `count` records for one entry at `now`, after a state with these tables."""
        self.now = now
        self.rows = {name: matrix for name, (_, _, matrix) in tables.items()}
        self.columns = {name: {c: i for i, c in enumerate(columns)} for name, (_, columns, _) in tables.items()}
        for name in ("requests", "quotes") if self.random.random() < 0.8 else ():      # mostly nothing of what has lapsed by now
            self.rows[name] = self.rows[name][self.rows[name][:, self.columns[name]["expires"]] > now]
        self.session = {int(a[0]): int(a[5]) for a in self.rows["actors"]}
        self.ordinals = {int(a[0]): int(a[9]) for a in self.rows["accounts"]}
        self.fresh = 0                          # at most a few new configured numbers an entry
        out: list[np.ndarray] = self.prices() if self.random.random() < 0.5 else []
        verbs, shares = list(weights), list(weights.values())
        while len(out) < count:
            made = getattr(self, self.random.choices(verbs, shares)[0])()
            out += made if isinstance(made, list) else [made] if made is not None else []
        return np.frombuffer(bytearray(b"".join(record.tobytes() for record in out)), COMMAND)

    def build(self, kind: Kind, actor: int, **fields: int) -> np.ndarray:
        """A record with a fresh id or number, now and then spoiled or remembered to be sent again."""
        r = self.random
        if kind in COUNTED_ONCE or (kind not in FACTS and kind is not K.TICK):
            self.ids += 1
            fields.setdefault("id_lo", self.ids)
            if r.random() < 0.1:
                fields.setdefault("id_hi", r.choice((1, -5)))
        if kind not in FACTS and kind is not K.TICK:
            fields.setdefault("expires", self._expiry())
            if r.random() < 0.12 and "flags" not in fields:
                self._number(actor, fields)
        row = np.zeros(1, LAYOUT[kind])
        row["kind"], row["actor"] = kind, actor
        for name, value in fields.items():
            row[name] = value
        record = row.view(COMMAND)
        if r.random() < 0.03:
            record = self.spoil(record)
        if r.random() < 0.1:
            self.past.append(record)
            del self.past[:-60]
        return record

    def _expiry(self) -> int:
        r = self.random
        if r.random() < 0.97:
            return self.now + r.randint(1, CELL["answer_window"])
        return max(0, self.now + r.choice((0, -1, 1, CELL["answer_window"], CELL["answer_window"] + 1, -self.now)))

    def _number(self, actor: int, fields: dict[str, int]) -> None:
        r = self.random
        following = self.numbers_of(actor)
        fields["flags"] = NUMBERED
        fields["id_hi"] = 0
        fields["id_lo"] = following if r.random() < 0.9 else max(0, following + r.choice((-1, -2, 1, -1024, -1025)))
        if fields["id_lo"] == following:
            self.session[actor] = following
        if r.random() < 0.5:
            fields["expires"] = 0

    def spoil(self, record: np.ndarray) -> np.ndarray:
        """One field at an edge of its range."""
        r = self.random
        kind = Kind(int(record["kind"][0]))
        names = [name for name, _ in ARGUMENTS[kind]] * 3 + ["account", "instrument", "actor", "flags", "id_lo", "expires"]
        name = r.choice(names)
        row = record.copy().view(LAYOUT[kind])
        limits = np.iinfo(LAYOUT[kind][name])
        value = r.choice(self.edges) if r.random() < 0.7 else int(row[name][0]) + r.choice((1, -1, 7))
        row[name] = min(max(value, int(limits.min)), int(limits.max))
        return row.view(COMMAND)

    # -------------------------------------------------------------------------------------------------------------- choosing
    def pick(self, table: str) -> dict[str, int] | None:
        matrix = self.rows[table]
        if not len(matrix):
            return None
        row = matrix[self.random.randrange(len(matrix))]
        return {name: int(row[i]) for name, i in self.columns[table].items()}

    def take(self, table: str) -> dict[str, int] | None:
        """The same, and mostly not again in this entry."""
        row = self.pick(table)
        if row is not None and self.random.random() < 0.7:
            matrix = self.rows[table]
            key = self.columns[table]["id"]
            self.rows[table] = matrix[matrix[:, key] != row["id"]]
        return row

    def trader(self) -> int:
        return self.random.choice(list(TRADERS)) if self.random.random() < 0.95 else self.random.choice((ACME, BOLT))

    def key(self, account: int) -> int:
        r = self.random
        return TRADERS.get(account, ROOT) if r.random() < 0.93 else r.choice((*ALL_ACTORS, ACME_GROUP, ROOT, BOLT_BOT))

    def instrument(self) -> int:
        return self.random.choice((BTCUSD, BTCUSD, XRPUSD, XRPUSD, BTCXRP))

    def asset(self) -> int:
        return self.random.choice((BTC, USD, XRP))

    def guess(self, account: int) -> int:
        """An id the account may be given in this entry."""
        return identifier(CELL["cell"], account, max(1, self.ordinals.get(account, 0) + self.random.randint(-3, 6)))

    def price(self, instrument: int, spread: int = 12) -> int:
        r = self.random
        price = MIDDLE.get(instrument, 100) + TICK.get(instrument, 1) * r.randint(-spread, spread)
        return price if r.random() < 0.98 else price + r.choice((1, 33, PRICE, -PRICE))

    def middle(self, instrument: int) -> int:
        return MIDDLE.get(instrument, 100)

    def lot(self, instrument: int) -> int:
        return LOT.get(instrument, 1)

    def tick_of(self, instrument: int) -> int:
        return TICK.get(instrument, 1)

    def quantity(self, instrument: int) -> int:
        r = self.random
        lots = r.choice((r.randint(1, 20), r.randint(1, LOTS.get(instrument, 10)), 10))
        return lots * LOT.get(instrument, 1) + (r.choice((1, -7)) if r.random() < 0.01 else 0)

    # ---------------------------------------------------------------------------------------------------------------- orders
    def order(self):
        r, account, instrument = self.random, self.trader(), self.instrument()
        market = r.random() < 0.07
        tif = r.choice((0, 0, 0, 0, 1, 2))
        return self.build(K.NEW_ORDER, self.key(account), account=account, instrument=instrument, side=r.randint(0, 1), order_type=int(market),
                          time_in_force=min(tif, 1) if market else tif, self_trade=r.randint(0, 3), post_only=int(r.random() < 0.08 and not tif),
                          price=0 if market else self.price(instrument), quantity=self.quantity(instrument))

    def cancel(self):
        o = self.take("orders")
        if o is None or self.random.random() < 0.2:
            account = self.trader()
            return self.build(K.CANCEL_ORDER, self.key(account), account=account, order=self.guess(account))
        return self.build(K.CANCEL_ORDER, self.key(o["account"]), account=o["account"], order=o["id"])

    def amend(self):
        r, o = self.random, self.take("orders")
        if o is None:
            return None
        step = LOT.get(o["instrument"], 1)
        price = o["price"] + TICK.get(o["instrument"], 1) * r.choice((0, 0, 1, -1, 3, -3, 9))
        return self.build(K.AMEND_ORDER, self.key(o["account"]), account=o["account"], order=o["id"], price=price,
                          quantity=o["quantity"] + step * r.randint(-30, 20))

    def crowd(self):
        """Many orders of one account that meet nobody: what mass actions need several commands for."""
        account, instrument, side = self.trader(), self.instrument(), self.random.randint(0, 1)
        away = (1 if side else -1) * TICK[instrument]
        return [self.build(K.NEW_ORDER, self.key(account), account=account, instrument=instrument, side=side, flags=0, self_trade=self.random.randint(0, 3),
                           price=MIDDLE[instrument] + away * self.random.randint(5, 40), quantity=LOT[instrument]) for _ in range(25)]

    def latch(self):
        """All of an account's orders begin to die, and one of them is amended before it is dead; or its book is halted and resumed too early."""
        o = self.pick("orders")
        if o is None:
            return None
        mine = self.rows["orders"][self.rows["orders"][:, 5] == o["account"]]
        last = int(mine[:, 4].max())
        amend = self.build(K.AMEND_ORDER, self.key(o["account"]), account=o["account"], order=last, price=o["price"], quantity=o["quantity"])
        if self.random.random() < 0.7:
            return [self.build(K.CANCEL_ALL, self.key(o["account"]), account=o["account"]), amend, self.order()]
        return [self.build(kind, RISK_ONE, instrument=o["instrument"], **more) for kind, more in ((K.HALT, {"cancel": 1}), (K.RESUME, {}))]

    def cancel_all(self):
        account = self.trader()
        return self.build(K.CANCEL_ALL, self.key(account), account=account)

    # ---------------------------------------------------------------------------------------------------------------- quotes
    def request(self):
        account, instrument = self.trader(), self.instrument()
        return self.build(K.REQUEST_QUOTE, self.key(account), account=account, instrument=instrument, side=self.random.randint(0, 2),
                          quantity=self.quantity(instrument), ttl=self.random.choice((1, 5, 20, 30, 30)) * SECOND)

    def cancel_request(self):
        o = self.pick("requests")
        return o and self.build(K.CANCEL_REQUEST, self.key(o["account"]), account=o["account"], request=o["id"])

    def quote(self):
        r, o = self.random, self.pick("requests")
        if o is None:
            return None
        account = r.choice((DESK, DEALER_A, DEALER_B, DESK, DEALER_A, DEALER_B, SECOND_DESK, SECOND_DESK, BOLT))
        middle = MIDDLE.get(o["instrument"], 100)
        tick = 10
        bid, ask = middle - tick * r.randint(0, 8), middle + tick * r.randint(0, 8)
        if r.random() < 0.03:
            bid, ask = ask, bid
        side = o["side"] if r.random() < 0.97 else r.randint(0, 2)
        return self.build(K.QUOTE, ROOT if account == BOLT else self.key(account), account=account, request=o["id"], bid=0 if side == 0 else bid,
                          ask=0 if side == 1 else ask, ttl=r.choice((1, 5, 20, 30)) * SECOND)

    def withdraw(self):
        o = self.take("quotes")
        return o and self.build(K.WITHDRAW_QUOTE, self.key(o["account"]), account=o["account"], quote=o["id"])

    def accept(self):
        r, q = self.random, self.take("quotes")
        matrix = self.rows["requests"]
        if q is not None and r.random() < 0.9:
            self.rows["requests"] = matrix[matrix[:, 0] == q["request"]]
        o = self.pick("requests")
        self.rows["requests"] = matrix if o is None or r.random() < 0.3 else matrix[matrix[:, 0] != o["id"]]
        if o is None:
            return None
        side = o["side"] if o["side"] < 2 and r.random() < 0.97 else r.randint(0, 1)
        limit = MAX_AMOUNT if side == 0 else 1
        limit = self.price(o["instrument"]) if r.random() < 0.3 else limit
        named = q["id"] if q is not None and r.random() < 0.5 else 0
        return self.build(K.ACCEPT_QUOTE, self.key(o["account"]), account=o["account"], request=o["id"], side=side, quote=named, limit_price=limit)

    def empty_desk(self):
        """The desk loses what it quotes from."""
        asset = self.random.choice((BTC, USD))
        row = next((b for b in self.rows["balances"] if b[0] == DESK and b[1] == asset), None)
        more = max(1, int(row[2])) if row is not None else 1
        return [self.build(K.CONFIGURE_SHORT, ADMIN, account=DESK, asset=asset, limit=0),
                self.build(K.REVERSE_DEPOSIT, CUSTODIAN, account=DESK, custody=WALLET, asset=asset, amount=more)]

    # ----------------------------------------------------------------------------------------------------------------- money
    def deposit(self):
        r, asset = self.random, self.asset()
        return self.build(K.DEPOSIT, CUSTODIAN, account=r.choice((*TRADERS, *TRADERS, WALLET, SUSPENSE, HOUSE, FEES)), custody=r.choice((*CUSTODY, ACME)),
                          asset=asset, amount=ONE[asset] * r.randint(1, 100_000 if asset != BTC else 20))

    def edge_money(self):
        """The asset nobody trades, near the end of the range."""
        r = self.random
        kind = r.choice((K.DEPOSIT, K.REVERSE_DEPOSIT, K.TRANSFER, K.MOVE_CUSTODY))
        amount = r.choice((1, 999, 1_000, 1_001, MAX_AMOUNT, MAX_AMOUNT - 1, MAX_AMOUNT + 1, MAX_AMOUNT // 2))
        if kind is K.TRANSFER:
            return self.build(kind, r.choice((OPERATIONS, ROOT)), account=r.choice((ACME, BOLT)), to=r.choice((BOLT, ACME)), asset=TOY, amount=amount)
        account, custody = (WALLET, KRAKEN) if kind is K.MOVE_CUSTODY else (r.choice((ACME, BOLT)), WALLET)
        return self.build(kind, CUSTODIAN, account=account, custody=custody, asset=TOY, amount=amount)

    def reverse(self):
        r, asset = self.random, self.asset()
        return self.build(K.REVERSE_DEPOSIT, CUSTODIAN, account=r.choice((*TRADERS, SUSPENSE, WALLET, DEFICIT)), custody=r.choice(CUSTODY), asset=asset,
                          amount=ONE[asset] * r.randint(1, 3_000 if asset != BTC else 2))

    def move(self):
        r, asset = self.random, self.asset()
        return self.build(K.MOVE_CUSTODY, CUSTODIAN, account=r.choice((*CUSTODY, WALLET, ACME)), custody=r.choice((*CUSTODY, KRAKEN, BOLT)), asset=asset,
                          amount=ONE[asset] * r.randint(1, 1_000 if asset != BTC else 3))

    def _transfer(self, account: int, asset: int, **more: int) -> np.ndarray:
        r = self.random
        to = r.choice((*TRADERS, FEES, HOUSE, HOUSE, SUSPENSE, DEFICIT, WALLET) if r.random() < 0.9 else (account, 0, 77))
        actor = r.choice((OPERATIONS, TRADERS.get(account, ROOT), ROOT))
        return self.build(K.TRANSFER, actor, account=account, to=to, asset=asset, amount=max(1, int(ONE.get(asset, 1) * 10 ** r.uniform(-3, 2.5))), **more)

    def transfer(self):
        account = self.random.choice((*TRADERS, FEES, HOUSE, WALLET))
        return self._transfer(account, self.asset() if self.random.random() < 0.97 else self.random.choice((TOY, 0, 90)))

    def large_transfer(self):
        """Above what one person may move."""
        r, account = self.random, self.random.choice((ACME, BOLT, DEALER_A))
        return self.build(K.TRANSFER, OPERATIONS, account=account, to=r.choice((HOUSE, BOLT)), asset=USD, amount=r.randint(1_000_001, 1_500_000) * ONE_USD)

    def group(self):
        r = self.random
        size = r.choice((2, 2, 2, 3, 3, 3, 5, 8, 64)) if r.random() < 0.97 else r.choice((65, 66))
        accounts = [r.choice((*TRADERS, FEES)) for _ in range(size)]
        out = [self._transfer(a, r.choice((USD, USD, XRP)), flags=GROUP_MORE) for a in accounts]
        for record in out:
            if size > 3:                        # otherwise a long group would nearly never pass
                record.view(LAYOUT[K.TRANSFER])["amount"] = r.randint(1, 1_000)
                record.view(LAYOUT[K.TRANSFER])["to"] = r.choice((HOUSE, SUSPENSE))
                record["actor"] = OPERATIONS
            record["flags"] |= GROUP_MORE
        if r.random() < 0.93:
            out[-1]["flags"] = 0
        if r.random() < 0.05:
            other = self.cancel_all()
            other["flags"] |= GROUP_MORE
            out.insert(r.randrange(len(out)), other)
        return out

    # --------------------------------------------------------------------------------------------------------------- routing
    def source_price(self):
        r, instrument = self.random, self.instrument()
        price = MIDDLE[instrument] + TICK[instrument] * r.randint(-4, 4) if r.random() < 0.95 else r.choice((0, -1, MIDDLE[instrument] * 2, 1 << 60))
        return self.build(K.SOURCE_PRICE, CUSTODIAN, instrument=instrument, source=r.choice((1, 2, 3) * 5 + (9,)) if instrument != BTCXRP else 2, price=price,
                          source_time=self.now)

    def prices(self) -> list[np.ndarray]:
        """Every source speaks, so that there are references."""
        return [self.build(K.SOURCE_PRICE, CUSTODIAN, instrument=i, source=s, price=MIDDLE[i] + TICK[i] * self.random.randint(-2, 2), source_time=self.now)
                for i in MIDDLE for s in ((2,) if i == BTCXRP else (1, 2, 3))]

    def child(self):
        r, account, instrument = self.random, self.random.choice((DESK, DESK, SECOND_DESK, ACME)), self.instrument()
        return self.build(K.NEW_CHILD, {DESK: DESK_KEY, SECOND_DESK: SECOND_DESK_KEY}.get(account, ROOT), account=account, instrument=instrument,
                          side=r.randint(0, 1), time_in_force=r.randint(0, 2), venue=r.choice((1, 1, 1, 2, 2, 9)), price=self.price(instrument),
                          quantity=self.quantity(instrument), parent=r.randint(0, 5))

    def child_fact(self):
        r, o = self.random, self.pick("children")
        if o is None or r.random() < 0.05:
            child, venue = self.guess(DESK), r.choice((1, 2, 9))
        else:
            child, venue = o["id"], o["venue"] if r.random() < 0.95 else r.choice((1, 2, 9))
        kind = r.choice((K.CHILD_ACKED, K.CHILD_CLOSED, K.CHILD_UNKNOWN))
        more = {} if kind is not K.CHILD_CLOSED else {
            "cum_quantity": r.choice((o["filled"], o["quantity"], o["filled"] + LOT.get(o["instrument"], 1), o["quantity"] + 1, 0)) if o else 5,
            "why": r.choice((0, 50, 85, 6, 144, 145, 9_999, -1))}
        return self.build(kind, CUSTODIAN, child=child, venue=venue, **more)

    def child_fill(self):
        r, o = self.random, self.pick("children")
        if o is None:
            return None
        quantity = max(1, r.choice((o["quantity"], o["quantity"] - o["filled"], o["quantity"] // 2, o["quantity"] * 2, LOT.get(o["instrument"], 1))))
        side = o["side"] if r.random() < 0.97 else 1 - o["side"]
        venue = o["venue"] if r.random() < 0.97 else r.choice((1, 2, 9))
        instrument = o["instrument"] if r.random() < 0.98 else self.instrument()
        return self.build(K.CHILD_FILLED, CUSTODIAN, child=o["id"] if r.random() < 0.97 else r.randint(0, 9), side=side, venue=venue, instrument=instrument,
                          quantity=quantity, price=self.price(instrument), fee=r.choice((0, 5, 900)))

    def cancel_child(self):
        o = self.pick("children")
        return o and self.build(K.CANCEL_CHILD, self.key(o["account"]), account=o["account"], child=o["id"])

    # ------------------------------------------------------------------------------------------------------------ settlement
    def net(self):
        return [self.build(K.NET, self.random.choice((SETTLER, OPERATIONS, ROOT, CAREFUL))) for _ in range(self.random.choice((1, 1, 2)))]

    def settle(self):
        o = self.take("obligations")
        return o and self.build(K.SETTLE, self.random.choice((SETTLER, SETTLER, ROOT, CAREFUL)), obligation=o["id"])

    # ----------------------------------------------------------------------------------------------------------------- people
    def halt(self):
        r = self.random
        kind = r.choice((K.HALT, K.RESUME, K.RESUME, K.RESUME))
        more = {"cancel": r.randint(0, 1)} if kind is K.HALT else {}
        return self.build(kind, r.choice((RISK_ONE, RISK_ONE, ROOT, CAREFUL)), instrument=self.instrument(), **more)

    def kill(self):
        kind = self.random.choice((K.KILL, K.REVIVE, K.REVIVE, K.REVIVE))
        return self.build(kind, self.random.choice((RISK_ONE, RISK_ONE, ROOT, CAREFUL)), account=self.trader())

    def revive(self):
        """Whoever is killed, or all."""
        killed = [int(a[0]) for a in self.rows["accounts"] if a[8]]
        if int(self.rows["cell"][0][10]):
            return self.build(K.REVIVE_ALL, self.random.choice((RISK_ONE, ROOT)))
        if killed:
            return self.build(K.REVIVE, RISK_ONE, account=self.random.choice(killed))
        killed = [int(a[0]) for a in self.rows["actors"] if a[self.columns["actors"]["killed"]]]
        if killed and self.random.random() < 0.5:
            return self.build(K.REVIVE_TRADER, ROOT, number=self.random.choice(killed))
        off = [n for n in TRADERS if n <= len(self.rows["accounts"]) and not self.rows["accounts"][n - 1][7]]
        if off and self.random.random() < 0.5:
            return self.build(K.CONFIGURE_ACCOUNT, ADMIN, **self.known_account(self.random.choice(off), enabled=1))
        halted = [int(a[0]) for a in self.rows["instruments"] if a[20]]
        return self.build(K.RESUME, RISK_ONE, instrument=self.random.choice(halted)) if halted else None

    def kill_all(self):
        kinds = self.random.choice(((K.KILL_ALL,), (K.REVIVE_ALL,), (K.REVIVE_ALL,), (K.KILL_ALL, K.REVIVE_ALL)))
        return [self.build(kind, self.random.choice((RISK_ONE, ROOT, CAREFUL))) for kind in kinds]

    def decide(self):
        """Approve or deny something held: mostly right, sometimes with wrong bytes or as the one who asked."""
        r, h = self.random, self.take("held")
        if h is None:
            return None if r.random() < 0.9 else self.build(K.DENY, RISK_ONE, held=self.guess(ACME))
        actor = r.choice((RISK_ONE, RISK_TWO, ROOT, ROOT_TWO, OPERATIONS, CAREFUL if r.random() < 0.5 else NOBODY))
        if r.random() < 0.2:
            return self.build(K.DENY, actor, held=h["id"])
        words = digests(np.array([h[f"w{i}"] for i in range(16)], "<i8"))
        if r.random() < 0.1:
            words["digest2"] ^= 1
        return self.build(K.APPROVE, actor, held=h["id"], **words)

    # ---------------------------------------------------------------------------------------------------------------- the rest
    def tick(self):
        return self.build(K.TICK, self.random.choice((OPERATIONS, ACME, ROOT)))

    def again(self):
        return self.random.choice(self.past) if self.past else None

    def garbage(self):
        """Any bits, or a good record with one of them turned."""
        r = self.random
        if r.random() < 0.3 or not self.past:
            row = np.frombuffer(r.randbytes(128), COMMAND).copy()
            row["kind"] = r.choice((int(row["kind"][0]), r.randrange(128), r.choice(list(Kind))))
            if r.random() < 0.5:
                row["flags"] &= NUMBERED
                row["actor"] = r.choice(ALL_ACTORS)
            return row
        raw = bytearray(r.choice(self.past).tobytes())
        raw[r.randrange(len(raw))] ^= 1 << r.randrange(8)
        return np.frombuffer(bytes(raw), COMMAND).copy()

    def numbers(self):
        """A long numbered session at once, so that the window of numbered answers moves on; once in a world is enough."""
        if self.numbers_of(OPERATIONS) > 1_100 and self.random.random() < 0.9:
            return None
        first = self.build(K.CANCEL_ORDER, OPERATIONS, account=ACME, order=1, flags=NUMBERED, id_hi=0, expires=0)
        out = np.repeat(first, 1_100)
        out["id_lo"] = self.numbers_of(OPERATIONS) + np.arange(1_100)
        self.session[OPERATIONS] = int(out["id_lo"][-1])
        return [out, self.build(K.CANCEL_ORDER, OPERATIONS, account=ACME, order=1, flags=NUMBERED, expires=0,
                                id_lo=max(1, int(out["id_lo"][-1]) - self.random.choice((1_023, 1_024, 1_025))))]

    def numbers_of(self, actor: int) -> int:
        """The next number of a key."""
        return self.session.get(actor, 0) + 1

    def refused_role(self):
        """Any kind by anybody, mostly empty."""
        r, kind = self.random, self.random.choice([k for k in Kind if k not in CONFIGURE])
        return self.build(kind, r.choice((*ALL_ACTORS, 0, 99)), flags=0)

    # ---------------------------------------------------------------------------------------------------------- configuration
    def configure(self):
        r = self.random
        kind = r.choice(sorted(CONFIGURE))
        actor = r.choice((ADMIN, ADMIN, ADMIN, ROOT, CAREFUL, RISK_ONE, ACME_GROUP))
        fields = getattr(self, f"_{kind.name.lower()}")()
        return self.build(kind, actor, **fields)

    def _known_or_next(self, table: str) -> int:
        r, count = self.random, len(self.rows[table])
        if self.fresh < 3 and count < SIZES[table] - 6 and r.random() < 0.1:
            self.fresh += 1
            return count + r.choice((1, 1, 2))
        return r.randint(1, count)

    def configure_venue(self):
        """A person looks at a venue and lifts its stops."""
        return self.build(K.CONFIGURE_VENUE, ADMIN, account=KRAKEN, venue=1, enabled=1)

    def _configure_cell(self):
        r = self.random
        return {**CELL, "rfq_window": r.choice((1, 5)) * SECOND, "max_ttl": r.choice((30, 30, 10)) * SECOND, "cell": r.choice((1, 1, 1, 2)),
                "fact_window": r.choice((3_600, 3_600, 600)) * SECOND, "approval_window": r.choice((600, 60)) * SECOND}

    def _configure_asset(self):
        r, asset = self.random, self._known_or_next("assets")
        known = self.rows["assets"]
        digits = int(known[asset - 1][1]) if asset <= len(known) and r.random() < 0.95 else r.randint(0, 19)
        above = {USD: 1_000_000 * ONE_USD, TOY: 1_000}.get(asset, -1)
        quotes = QUOTES_ABOVE.get(asset, -1)
        return {"asset": asset, "digits": digits, "approval_above": above if r.random() < 0.9 else 10**9, "enabled": int(r.random() < 0.9),
                "quote_approval_above": quotes if r.random() < 0.9 else r.choice((-1, 0, 10**9, MAX_AMOUNT)), **self.rated(asset)}

    def _configure_account(self):
        r, account = self.random, self._known_or_next("accounts")
        known = self.rows["accounts"]
        row = known[account - 1] if account <= len(known) else (0, r.randint(1, 8), r.randint(0, 20), 0, 0, 10, 20, 1)
        kind = int(row[1]) if r.random() < 0.97 else r.randint(0, 9)
        dealer = int(kind in (AccountKind.DEALER, AccountKind.DESK) and r.random() < 0.9)
        return {"account": account, "account_kind": kind, "entity": int(row[2]), "dealer": dealer, "rate_limit": int(row[4]) if r.random() < 0.9 else 3,
                "max_open": r.choice((int(row[5]), 20)), "answer_quota": int(row[6]) if r.random() < 0.98 else 70_000, "enabled": int(r.random() < 0.95)}

    def _configure_actor(self):
        r, number = self.random, self._known_or_next("actors")
        known = self.rows["actors"]
        row = known[number - 1] if number <= len(known) else (0, r.randint(1, 16), r.choice((0, 7, 201)), r.randint(1, 12))
        enabled = 1 if number <= 12 or r.random() < 0.8 else 0
        return {"number": number, "account": int(row[1]) if r.random() < 0.98 else 95, "person": int(row[2]), "role": int(row[3]), "enabled": enabled}

    def _configure_authority(self):
        r, row = self.random, self.pick("authority")
        if r.random() < 0.1:
            return {"role": 11, "command": r.choice((*K, 5, 0)), "scope": r.randint(0, 4), "second_person": r.randint(0, 1)}
        return {"role": row["role"], "command": row["command"], "scope": row["scope"], "second_person": row["second_person"]}

    def _configure_instrument(self):
        r, number = self.random, self._known_or_next("instruments")
        known = self.rows["instruments"]
        names = [n for n, _ in ARGUMENTS[K.CONFIGURE_INSTRUMENT]]
        row = known[number - 1] if number <= len(known) else known[r.randint(0, 2)]
        return {"instrument": number, **{n: int(row[self.columns["instruments"][n]]) for n in names}}

    def _configure_limits(self):
        r, instrument = self.random, self._known("instruments")
        return {"instrument": instrument, **BTCUSD_LIMITS, "max_quantity": r.choice((100, 100, 100, 1)) * (ONE_BTC if instrument != XRPUSD else 10**10),
                "max_notional": r.choice((10**13, 10**15, 10**15, 10**15, 10**10)), "collar_ppm": r.choice((100_000, 100_000, 100_000, 0, 100)),
                "max_position": r.choice((0, 0, 20 * ONE_BTC)), "min_sources": r.choice((0, 1, 1, 2)), "max_age": r.choice((7_200, 7_200, 7_200, 20)) * SECOND}

    def _known(self, table: str) -> int:
        return self.random.randint(1, min(4, len(self.rows[table])))

    def _configure_fees(self):
        r = self.random
        return {"instrument": self._known("instruments"), "maker_ppm": r.choice((0, 100, 900)), "taker_ppm": r.choice((0, 500, 5_000)),
                "rfq_ppm": r.choice((0, 200))}

    def _configure_venue(self):
        r, venue = self.random, self._known_or_next("venues")
        known = self.rows["venues"]
        return {"venue": venue, "account": int(known[venue - 1][1]) if venue <= len(known) else r.choice((*CUSTODY, ACME)), "enabled": int(r.random() < 0.95)}

    def _configure_credit(self):
        r = self.random
        return {"account": r.choice(list(TRADERS)), "giver": HOUSE if r.random() < 0.95 else ACME, "asset": r.choice((USD, USD, XRP)),
                "limit": r.choice((10**11, 10**11, 10**13, 0)), "quoting_limit": r.choice((10**12, 10**12, 10**10))}

    def _configure_position(self):
        r = self.random
        return {"account": r.choice(list(TRADERS)), "instrument": self.instrument(), "limit": r.choice((0, 0, 0, 10**11, 10**7))}

    def _configure_short(self):
        r = self.random
        return {"account": r.choice((DESK, SECOND_DESK, DESK, SECOND_DESK, ACME)), "asset": self.asset(), "limit": r.choice((0, 5 * ONE_BTC, 10**12))}

    def _configure_source(self):
        return {"instrument": self._known("instruments"), "source": self.random.randint(1, 3), "enabled": int(self.random.random() < 0.9)}


TRADE = {"order": 20, "cancel": 4, "amend": 6, "source_price": 3, "deposit": 3, "revive": 0.7}
QUOTES = {"request": 5, "quote": 12, "accept": 4, "withdraw": 1, "cancel_request": 0.3, "empty_desk": 0.4, "decide": 1.5, "source_price": 2, "deposit": 1,
          "revive": 0.5}
ROUTE = {"child": 5, "child_fill": 4, "child_fact": 3, "cancel_child": 1, "source_price": 2, "deposit": 2, "move": 1, "configure_venue": 0.7, "revive": 0.5}
MONEY = {"deposit": 4, "reverse": 1.5, "move": 1, "transfer": 5, "large_transfer": 0.5, "group": 0.3, "decide": 1}
SETTLE = {"net": 0.4, "settle": 8, "order": 6, "quote": 2, "accept": 2, "deposit": 1, "transfer": 2, "tick": 3, "source_price": 1, "revive": 0.5}
LATCH = {"halt": 1, "kill": 1, "kill_all": 0.3, "cancel_all": 1, "order": 8, "cancel": 2, "amend": 2, "revive": 3, "crowd": 0.5, "latch": 1.5, "decide": 1,
         "request": 1, "tick": 3}
PEOPLE = {"configure": 6, "decide": 6, "large_transfer": 1, "halt": 1, "kill": 0.5, "revive": 1, "order": 3, "net": 0.1}
SHAPE = {"garbage": 4, "refused_role": 4, "again": 4, "order": 2, "numbers": 0.025, "edge_money": 2, "tick": 1}
MARKET = {"special": 16, "order_list": 3, "book_quote": 5, "some": 1, "session_move": 0.5, "open_market": 2, "trader_latch": 0.7, "order": 6, "cancel": 2,
          "amend": 4, "source_price": 3, "deposit": 2, "revive": 1, "tick": 3}
CONTROLS = {"watched": 1, "floating_crowd": 0.4,
            "configure": 8, "manual_credit": 1, "terms": 1, "digits": 1, "special": 6, "order": 6, "book_quote": 4, "open_market": 2, "trader_latch": 0.5,
            "some": 1, "revive": 2, "source_price": 2, "accept": 1, "quote": 2, "tick": 2}
RARE = {"switched_off": 2, "emptied_desk": 2, "tight_exposure": 2, "many_waiting": 1, "twice": 1, "own_approval": 2, "foreign_child": 0.5, "missed_auction": 1,
        "rebate": 2, "request": 3, "quote": 9, "special": 4, "order": 6, "child": 1, "large_transfer": 0.5, "open_market": 2, "source_price": 2, "deposit": 3,
        "revive": 2, "decide": 1, "tick": 3}
CALM = {"open_market": 4, "revive": 4, "tick": 4, "source_price": 4, "deposit": 2}
FLOWS = {"trade": TRADE, "quotes": QUOTES, "route": ROUTE, "money": MONEY, "settle": SETTLE, "latch": LATCH, "people": PEOPLE, "shape": SHAPE, "market": MARKET,
         "controls": CONTROLS, "rare": RARE, "calm": CALM}
MIXED = {verb: sum(flow.get(verb, 0) for name, flow in FLOWS.items() if name != "shape") for name, flow in FLOWS.items() for verb in flow if name != "shape"}
MIXED = {**MIXED, "kill_all": 0.05, "crowd": 0.1, "group": 0.1, "kill": 0.4, "halt": 0.4, "net": 0.2, "configure": 2, "again": 2, "garbage": 0.5}
