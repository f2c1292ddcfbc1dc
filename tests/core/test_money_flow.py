"""Money, controls and precision at random, over every engine of `engines.ENGINES` at once: deposits and fills of venues, quotes that are paid by tier and
in a chosen asset, exposure, credit and its netting, restrictions, kills of traders, terms and digits that change under all of it.

What the engines tell and hold must be equal, the auditor is content, and a kernel that goes on from its own snapshot goes on as if it had not stopped.
"""
import random
from collections import Counter

import pytest

from cambist.core.cell import Cell
from cambist.messages import AccountKind, ChildState, Event, Kind, Reason, RequestState, Scope
from cambist.simulation.invariants import invariants, strangers
from tests.core.engines import ENGINES
from tests.core.market import TRADERS, Market, market
from tests.core.trading_flow import Everyone
from tests.scenarios import (
    ADMIN, BOLT, BTC, BTCUSD, BTCUSD_LIMITS, DEALER_A, DEALER_B, DESK, DESK_KEY, HOUSE, KEY_OF, KRAKEN, ONE_USD, RISK_ONE, SECOND, SETTLER,
    SUSPENSE, USD, WALLET, XRP, XRPUSD, XRPUSD_LIMITS,
)

K, E, R = Kind, Event, Reason
WATCHED, WATCHED_KEY = 13, 13                   # a client whose exposure is watched from its first day
LIMITS = {BTCUSD: BTCUSD_LIMITS, XRPUSD: XRPUSD_LIMITS}
SEEN: dict[int, Counter] = {}                   # by seed, of those that this process has run


class Watched(Everyone):
    """No account is told another one's ids."""
    def apply(self, records, time):
        told = super().apply(records, time)
        assert [*strangers(self.engines[0].tables(), records, told)] == []
        return told


class MoneyFlow:
    def __init__(self, seed: int) -> None:
        self.chance, self.seen = random.Random(seed), Counter()
        self.m: Market = market(audit=False)
        self.all = self.m.engine = Watched([market(name).engine for name in ENGINES])
        self.configure()

    def configure(self) -> None:
        m = self.m
        m.configure(K.CONFIGURE_ASSET, asset=USD, digits=6, approval_above=10**14, quote_approval_above=-1, enabled=1, rate_num=1, rate_den=10**6)
        m.configure(K.CONFIGURE_ACCOUNT, account=WATCHED, account_kind=AccountKind.CLIENT, entity=13, dealer=0, rate_limit=0, max_open=100, answer_quota=500,
                    enabled=1)
        m.configure(K.CONFIGURE_ACTOR, account=WATCHED, number=WATCHED_KEY, person=0, role=1, enabled=1)
        for number in range(14, 30):            # so many that a change of digits takes more than one command
            m.configure(K.CONFIGURE_ACCOUNT, account=number, account_kind=AccountKind.CLIENT, entity=0, dealer=0, rate_limit=0, max_open=9, answer_quota=9,
                        enabled=1)
        for account in (*TRADERS, WATCHED):
            m.configure(K.CONFIGURE_CREDIT, account=account, giver=HOUSE, asset=USD, limit=10**13, quoting_limit=10**13)
            for asset in (USD, BTC, XRP):
                m.deposit(account, asset, 10**12)
        m.configure(K.CONFIGURE_EXPOSURE, account=WATCHED, gross=10**6, net=10**6, loss=0)
        m.configure(K.CONFIGURE_AUTHORITY, role=1, command=K.TRANSFER, scope=Scope.ENTITY, second_person=0)
        for instrument in (BTCUSD, XRPUSD):
            self.price(instrument, 3)

    # ------------------------------------------------------------------------------------------------------------------ looks
    def digits(self, asset: int) -> int:
        return self.m.row("assets", asset=asset)["digits"]

    def unit(self, asset: int) -> int:
        """One of the asset, in what its unit is now."""
        return 10 ** self.digits(asset)

    def middle(self, instrument: int) -> int:
        """Sixty thousand dollars, or half a dollar, in the increment of the instrument."""
        row = self.m.row("instruments", instrument=instrument)
        whole = row["max_price"] * (60_000 if instrument == BTCUSD else 50) // (200_000 if instrument == BTCUSD else 1_000)
        return whole // row["book_tick"] * row["book_tick"]

    def party(self) -> tuple[int, int]:
        account = self.chance.choice((*TRADERS, WATCHED, WATCHED))
        return account, KEY_OF.get(account, WATCHED_KEY)

    # ------------------------------------------------------------------------------------------------------------------ verbs
    def step(self) -> None:
        r, m = self.chance, self.m
        m.history = []
        if r.random() < 0.2:
            m.advance(r.choice((0.1, 1, 6)))
        verbs = {self.ask: 30, self.fact: 14, self.venue: 8, self.transfer: 8, self.control: 18, self.price: 8, self.precision: 9, self.settle: 5,
                 self.stop: 8, m.tick: 12, self.restart: 2}
        r.choices(list(verbs), list(verbs.values()))[0]()
        assert invariants(self.all.tables(), desk_forced=True) == []
        for e in m.history:
            self.seen[E(e["kind"]).name] += 1
            self.seen[R(e["reason"]).name] += 1

    def ask(self) -> None:
        """A request, quotes for it, and mostly an acceptance."""
        r, m, instrument, (account, key) = self.chance, self.m, self.chance.choice((BTCUSD, XRPUSD)), self.party()
        row, side = m.row("instruments", instrument=instrument), self.chance.randint(0, 1)
        quantity = max(1, self.unit(row["base"]) // (100 if instrument == BTCUSD else 1) // row["lot"] * r.randint(1, 300)) * row["lot"]
        m.do(K.REQUEST_QUOTE, key, account=account, instrument=instrument, side=side, quantity=quantity, ttl=10 * SECOND)
        request = m.rows("requests", account=account, state=RequestState.OPEN)
        if not request:
            return
        price = self.middle(instrument) + r.randint(-5, 5) * row["book_tick"]
        for dealer in (DEALER_A, DEALER_B, DESK):
            m.do(K.QUOTE, KEY_OF[dealer], account=dealer, request=request[-1]["id"], ttl=9 * SECOND, **{"bid" if side else "ask": price})
        if r.random() < 0.8:
            m.do(K.ACCEPT_QUOTE, key, account=account, request=request[-1]["id"], side=side, quote=0, limit_price=1 if side else 10**12)

    def fact(self) -> None:
        r, m, asset, account = self.chance, self.m, self.chance.choice((USD, BTC, XRP)), self.chance.choice((*TRADERS, WATCHED, DESK, SUSPENSE, WALLET))
        amount = r.choice((1, self.unit(asset) * r.randint(1, 9_000)))
        choice = r.random()
        if choice < 0.7:
            m.deposit(account, asset, amount)
        elif choice < 0.85:
            m.reverse(account, asset, amount)
        else:
            m.move_custody(WALLET, KRAKEN, asset, amount)

    def venue(self) -> None:
        """A child order, or what the venue says of one, true or not."""
        r, m, instrument = self.chance, self.m, self.chance.choice((BTCUSD, XRPUSD))
        row, price = m.row("instruments", instrument=instrument), self.middle(instrument)
        quantity = row["lot"] * r.randint(1, 2_000)
        living = [c for c in m.rows("children") if c["state"] != ChildState.DONE]
        choice = r.random()
        if choice < 0.4:
            m.do(K.NEW_CHILD, DESK_KEY, account=DESK, instrument=instrument, side=r.randint(0, 1), quantity=quantity, price=price, venue=1, time_in_force=0)
        elif living and choice < 0.9:
            child = r.choice(living)
            if r.random() < 0.6:
                m.child_filled(child["id"], child["side"], child["quantity"], child["price"], instrument=child["instrument"])
            else:
                m.closed(child["id"], child["filled"])
        else:
            m.child_filled(r.choice([c["id"] for c in m.rows("children")] or [7]), r.randint(0, 1), quantity, price, fee=r.randint(0, 9), instrument=instrument)

    def transfer(self) -> None:
        r, m, (account, key) = self.chance, self.m, self.party()
        asset = r.choice((USD, BTC, XRP))
        if r.random() < 0.3:
            m.do(K.MANUAL_CREDIT, RISK_ONE, account=account, asset=asset, amount=r.choice((1, self.unit(asset), 10**15)))
        else:
            m.do(K.TRANSFER, key, account=account, to=r.choice(TRADERS), asset=asset, amount=r.choice((1, self.unit(asset) * 5, 10**15)))

    def control(self) -> None:
        """Some configuration of controls and fees; refused where it is wrong."""
        r, account = self.chance, self.chance.choice((*TRADERS, WATCHED))
        instrument = r.choice((BTCUSD, XRPUSD))
        fields = r.choice((
            lambda: (K.CONFIGURE_TRADING, {"account": account, "tier": r.randint(0, 3), "fee_instrument": r.choice((0, BTCUSD, XRPUSD)),
                                           "trade_group": r.randint(0, 1), "self_trade_scope": r.randint(0, 2), "cancel_reserve": r.randint(0, 1)}),
            lambda: (K.CONFIGURE_TIER, {"instrument": instrument, "tier": r.randint(1, 3), "maker_ppm": r.randint(-300, 300), "taker_ppm": r.randint(0, 600),
                                        "rfq_ppm": r.choice((0, 70, 1_000_000)), "minimum": r.choice((0, 2 * ONE_USD))}),
            lambda: (K.CONFIGURE_FEES, {"instrument": instrument, "maker_ppm": r.randint(0, 300), "taker_ppm": r.randint(100, 600), "rfq_ppm": 100}),
            lambda: (K.CONFIGURE_EXPOSURE, {"account": WATCHED, "gross": r.choice((0, 10**5, 10**7)), "net": r.choice((0, 10**6)), "loss": r.choice((0, 10))}),
            lambda: (K.CONFIGURE_PROTECTION, {"account": account, "instrument": instrument, "quantity": r.randint(0, 10**9), "window": r.choice((0, 80))}),
            lambda: (K.CONFIGURE_RESTRICTION, {**r.choice(({"account": account}, {"number": KEY_OF.get(account, WATCHED_KEY)})), "instrument": instrument,
                                               "barred": int(r.random() < 0.6)}),
            lambda: (K.CONFIGURE_POSITION, {"account": account, "instrument": instrument, "limit": r.choice((0, 10**13))}),
            lambda: (K.CONFIGURE_ASSET, {"asset": USD, "digits": self.digits(USD), "approval_above": r.choice((-1, 10**14)), "quote_approval_above": -1,
                                         "enabled": 1, "rate_num": 1, "rate_den": self.unit(USD)})))()
        self.m.do(fields[0], ADMIN, **fields[1])

    def price(self, instrument: int = 0, times: int = 1) -> None:
        instrument = instrument or self.chance.choice((BTCUSD, XRPUSD))
        for source in range(1, times + 1):
            self.m.price(instrument, source if times > 1 else self.chance.randint(1, 3), self.middle(instrument))

    def settle(self) -> None:
        m, owed = self.m, self.m.rows("obligations")
        if owed and self.chance.random() < 0.9:
            for o in sorted(owed, key=lambda o: o["amount"]):
                m.settle(o["id"])
        else:
            m.do(K.NET, SETTLER)

    def stop(self) -> None:
        r, m = self.chance, self.m
        kind = r.choice((K.KILL_TRADER, K.REVIVE_TRADER, K.HALT, K.RESUME, K.KILL, K.REVIVE))
        fields = {"number": r.choice((*KEY_OF.values(), WATCHED_KEY))} if kind in (K.KILL_TRADER, K.REVIVE_TRADER) else (
            {"instrument": r.choice((BTCUSD, XRPUSD))} if kind in (K.HALT, K.RESUME) else {"account": r.choice((BOLT, WATCHED))})
        m.do(kind, RISK_ONE, **fields)

    # -------------------------------------------------------------------------------------------------------------- precision
    def precision(self) -> None:
        """Everything is made quiet for a change, which may still be refused or given up; then all goes on."""
        r, m = self.chance, self.m
        asset = r.choice((USD, BTC, XRP))
        for instrument in (BTCUSD, XRPUSD):
            if r.random() < 0.9:
                m.do(K.HALT, RISK_ONE, instrument=instrument, cancel=1)
        if r.random() < 0.8:
            self.drain()
        if r.random() < 0.4:
            self.terms(r.choice((BTCUSD, XRPUSD)))
        elif self.digits(asset) < 10:
            self.enable(asset, 0)
            m.do(K.CHANGE_DIGITS, RISK_ONE, asset=asset, digits=self.digits(asset) + r.choice((1, 1, 2, 18)))
            for _ in range(6):
                r.choice((self.fact, self.fact, self.venue, self.control, m.tick, self.transfer, self.stop, self.restart))()
            m.work(8)
            self.enable(asset, 1)
        if r.random() < 0.9:
            for instrument in (BTCUSD, XRPUSD):
                m.do(K.RESUME, RISK_ONE, instrument=instrument)
                self.price(instrument, 3)

    def drain(self) -> None:
        """Requests are over, children closed, what is owed is settled."""
        m = self.m
        m.advance(40), m.work(3)
        for c in m.rows("children"):
            if c["state"] != ChildState.DONE:
                m.closed(c["id"], c["filled"])
        m.do(K.NET, SETTLER), m.work(4)
        for o in sorted(m.rows("obligations"), key=lambda o: o["amount"]):
            m.settle(o["id"])

    def terms(self, instrument: int) -> None:
        row, factor = self.m.row("instruments", instrument=instrument), self.chance.choice((1, 10))
        fields = {name: row[name] * factor for name in ("book_tick", "quote_tick", "min_price", "max_price")}
        if factor == 10 and self.chance.random() < 0.5:
            fields["quote_tick"] = row["quote_tick"]
        self.m.do(K.CHANGE_TERMS, RISK_ONE, instrument=instrument, price_factor=factor, lot=row["lot"] * self.chance.choice((1, 2)), **fields)

    def enable(self, asset: int, enabled: int) -> None:
        row = self.m.row("assets", asset=asset)
        self.m.do(K.CONFIGURE_ASSET, ADMIN, **{**row, "enabled": enabled})

    def restart(self) -> None:
        """Kernels go on from their own snapshots."""
        engines = self.all.engines
        for i, engine in enumerate(engines):
            if isinstance(engine, Cell):
                engines[i] = Cell.load(engine.tables())
        self.all.tables()


def drive(seed: int, steps: int) -> Counter:
    """What was met."""
    flow = MoneyFlow(seed)
    for _ in range(steps):
        flow.step()
    return flow.seen


@pytest.mark.parametrize("seed", range(5))
def test_random_money(seed):
    SEEN[seed] = drive(seed, 150)


def test_random_money_met_what_there_is():
    wanted = {"FILLED", "FEE_CHARGED", "DIGITS_CHANGED", "TERMS_CHANGED", "SWEPT", "ALERT", "IN_USE", "NOT_HALTED", "SWEEPING", "EXPOSURE", "RESTRICTED",
              "MINT", "TRADER_KILLED", "CHILD_FILL", "OBLIGATION", "SETTLED", "TRANSFERRED", "DEPOSIT_REVERSED"}
    seen = sum((SEEN.get(seed) or drive(seed, 150) for seed in range(5)), Counter())
    assert {what for what in wanted if not seen[what]} == set()


@pytest.mark.hunt
def test_hunt_for_a_difference_in_money():
    for seed in range(1_000, 1_100):
        drive(seed, 600)
