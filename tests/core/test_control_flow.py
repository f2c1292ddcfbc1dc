"""Random trading under every control: exposure and daily loss, duplicates, execution throttles, rates, restrictions, fee tiers and protections that change
while orders of every kind stand. Over all engines of `engines.ENGINES`; what a kernel holds goes on after a restart."""
from collections import Counter

import pytest

from cambist.core.cell import Cell
from cambist.messages import AccountKind, Event, Kind
from tests.core.market import FOK, TENTH, TRADERS
from tests.core.trading_flow import Everyone, TradingFlow
from tests.scenarios import ACME, ADMIN, BOLT, BTC, BTCUSD, KEY_OF, ONE_BTC, ONE_USD, SECOND, USD, XRPUSD

K = Kind
WATCHED = (13, 14)                              # clients whose exposure is watched from their first day; their keys have their numbers
KEYS = {**KEY_OF, **{account: account for account in WATCHED}}
SEEN: Counter = Counter()


class ControlFlow(TradingFlow):
    def configure(self) -> None:
        super().configure()
        r, m = self.chance, self.m
        m.configure(K.CONFIGURE_ASSET, asset=USD, digits=6, approval_above=10**12, quote_approval_above=-1, enabled=1, rate_num=1, rate_den=10**6)
        m.trading(ACME, duplicate_window=9 * SECOND), m.trading(BOLT, max_executions=1, execution_window=60 * SECOND, tier=1)
        for account in WATCHED:
            m.configure(K.CONFIGURE_ACCOUNT, account=account, account_kind=AccountKind.CLIENT, entity=account, dealer=0, rate_limit=0, max_open=30,
                        answer_quota=2_000, enabled=1)
            m.configure(K.CONFIGURE_ACTOR, account=account, number=account, person=0, role=1, enabled=1)
            m.deposit(account, USD, 20_000_000 * ONE_USD), m.deposit(account, BTC, 90 * ONE_BTC)
            m.configure(K.CONFIGURE_EXPOSURE, account=account, gross=r.choice((0, 200_000)), net=r.choice((0, 100_000)), loss=r.choice((5, 50)))

    def step(self) -> None:
        if self.chance.random() < 0.25:
            self.control()
        if self.chance.random() < 0.02:
            self.restart()
        if self.chance.random() < 0.1:
            self.hit()
        super().step()

    def hit(self) -> None:
        """Somebody trades as far as the collar lets him, so that quotes and throttles trip."""
        r, (account, key) = self.chance, self.trader()
        self.quote()
        self.m.do(K.NEW_ORDER, key, account=account, instrument=BTCUSD, side=r.randint(0, 1), order_type=1, time_in_force=1, quantity=r.randint(1, 5) * TENTH)
        self.watch()

    def trader(self) -> tuple[int, int]:
        account = self.chance.choice((*TRADERS, *WATCHED))
        return account, self.chance.choice((KEYS[account],) * 9 + (KEYS[TRADERS[0]],))

    def order(self) -> None:
        """Sometimes the same twice."""
        (account, key), fields = self.trader(), self.fields()
        for _ in range(2 if self.chance.random() < 0.2 else 1):
            self.m.do(K.NEW_ORDER, key, account=account, instrument=BTCUSD, **fields)
            if fields.get("time_in_force") == FOK:
                self.fill_or_kill |= {e["id"] for e in self.m.find(Event.ORDER_ACCEPTED)}

    def change(self) -> None:
        r, orders = self.chance, self.m.rows("orders")
        if not orders:
            return
        o = r.choice(orders)
        more = {"account": o["account"], "order": o["id"]}
        if r.random() < 0.5:
            self.m.do(K.CANCEL_ORDER, KEYS[o["account"]], **more)
        else:
            self.m.do(K.AMEND_ORDER, KEYS[o["account"]], price=o["price"] + 100 * r.randint(-60, 60),
                      quantity=max(TENTH, o["quantity"] + TENTH * r.randint(-9, 9)), **more)

    def control(self) -> None:
        """One of the controls is another one from now on."""
        r, account = self.chance, self.chance.choice((*TRADERS, *WATCHED))
        kind, fields = r.choice((
            lambda: (K.CONFIGURE_TRADING, {
                "account": account, "tier": r.randint(0, 2), "trade_group": r.randint(0, 2), "self_trade_scope": r.randint(0, 2),
                "max_waiting": r.choice((0, 1)), "cancel_reserve": r.choice((0, 2)), "max_executions": r.choice((0, 1, 1)), "execution_window": 60 * SECOND,
                "duplicate_window": r.choice((0, 9 * SECOND)), "fee_instrument": r.choice((0, XRPUSD))}),
            lambda: (K.CONFIGURE_TIER, {"instrument": BTCUSD, "tier": r.randint(1, 2), "maker_ppm": r.randint(-300, 300), "taker_ppm": r.randint(300, 600),
                                        "rfq_ppm": 70, "minimum": r.choice((0, 2 * ONE_USD, 900 * ONE_USD))}),
            lambda: (K.CONFIGURE_FEES, {"instrument": BTCUSD, "maker_ppm": r.randint(0, 300), "taker_ppm": r.randint(300, 600), "rfq_ppm": 100}),
            lambda: (K.CONFIGURE_EXPOSURE, {"account": r.choice(WATCHED), "gross": r.choice((0, 0, 90_000)), "net": r.choice((0, 0, 90_000)),
                                            "loss": r.choice((0, 9))}),
            lambda: (K.CONFIGURE_PROTECTION, {"account": r.choice(TRADERS[-2:]), "instrument": BTCUSD, "quantity": r.choice((0, 2, 3)) * TENTH,
                                              "delta": r.choice((0, 4)) * TENTH, "window": r.choice((8, 16)) * SECOND}),
            lambda: (K.CONFIGURE_RESTRICTION, {**r.choice(({"account": account}, {"number": KEYS[account]})), "instrument": BTCUSD,
                                               "barred": int(r.random() < 0.1)}),
            lambda: (K.CONFIGURE_POSITION, {"account": account, "instrument": BTCUSD, "limit": r.choice((0, 3 * ONE_BTC))}),
            lambda: (K.CONFIGURE_ACCOUNT, {"account": account, "account_kind": self.m.row("accounts", account=account)["kind"],
                                           "entity": self.chance.randint(0, 2), "dealer": self.m.row("accounts", account=account)["dealer"],
                                           "rate_limit": r.choice((0, 1, 1)), "max_open": r.choice((100, 5)), "answer_quota": 2_000, "enabled": 1}),
            lambda: (K.CONFIGURE_ASSET, {"asset": USD, "digits": 6, "approval_above": 10**12, "quote_approval_above": -1, "enabled": 1,
                                         **r.choice(({"rate_num": 0, "rate_den": 0}, {"rate_num": 1, "rate_den": 10**6}, {"rate_num": 3, "rate_den": 10**6}))})
        ))()
        self.m.do(kind, ADMIN, **fields)

    def restart(self) -> None:
        """Kernels go on from their own snapshots."""
        everyone = self.m.engine
        assert isinstance(everyone, Everyone)
        engines = everyone.engines
        for i, engine in enumerate(engines):
            if isinstance(engine, Cell):
                engines[i] = Cell.load(engine.tables())
        everyone.tables()


def drive(seed: int, steps: int) -> None:
    flow = ControlFlow(seed)
    for _ in range(steps):
        flow.step()
    SEEN.update(flow.seen)


@pytest.mark.parametrize("seed", range(5))
def test_random_controls(seed):
    drive(seed, 200)


def test_random_controls_met_what_there_is():
    wanted = {"EXPOSURE", "DAILY_LOSS", "DUPLICATE_ORDER", "EXECUTIONS", "RATE", "RESTRICTED", "PROTECTED", "FROZEN", "WAITING_ORDERS", "POSITION",
              "KILLED", "SELF_TRADE", "NO_RATE"}
    assert {what for what in wanted if not SEEN[what]} == set()


@pytest.mark.hunt
def test_hunt_for_a_difference_under_controls():
    for seed in range(1_000, 1_100):
        drive(seed, 800)
