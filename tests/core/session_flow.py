"""Random trading around auctions: the market is called, gathers, uncrosses, breaks its band and closes far more often than a real one would."""
from collections import Counter

from cambist.messages import Kind, Session
from tests.core.market import AT_CLOSE, AT_OPEN, AUCTION, DAY, TENTH, at
from tests.core.trading_flow import TradingFlow
from tests.scenarios import ADMIN, BTCUSD, KEY_OF, RISK_ONE, SECOND

K, S = Kind, Session
DAYS = ((0, S.PRE_OPEN, 0, 0), (6, S.AUCTION, S.CONTINUOUS, 5), (30, S.AUCTION, S.CLOSED, 5), (40, S.CANCEL_ONLY, 0, 0))      # offset, session, next, duration


class SessionFlow(TradingFlow):
    def configure(self) -> None:
        super().configure()
        r, m = self.chance, self.m
        m.band(r.choice((0.1, 0.5, 2)), window=r.choice((5, 60)) * SECOND, auction=r.choice((2, 5)) * SECOND, indicative=r.choice((0, 1)) * SECOND)
        for slot, (offset, session, following, duration) in enumerate(DAYS):
            m.configure(K.CONFIGURE_SCHEDULE, instrument=BTCUSD, slot=slot, offset=offset * SECOND, period=50 * SECOND, session=session, next=following,
                        duration=duration * SECOND, enabled=int(r.random() < 0.7))

    def step(self) -> None:
        r, m = self.chance, self.m
        if r.random() < 0.5:
            m.advance(r.choice((0.1, 0.5, 2)))
        if r.random() < 0.25:
            self.calm()
        verbs = {self.gathered: 50, self.order: 15, self.order_list: 3, self.quote: 8, self.change: 6, self.price: 4, self.mass: 3, self.session: 8,
                 self.stop: 2, self.band: 1, m.tick: 4}
        r.choices(list(verbs), list(verbs.values()))[0]()
        self.watch()

    def gathered(self) -> None:
        """An order that may stand while the book is crossed."""
        r, (account, key) = self.chance, self.trader()
        more = {"order_type": 1, "price": 0} if r.random() < 0.1 else {"display": r.choice((0, 0, 0, TENTH))}
        self.m.do(K.NEW_ORDER, key, **{"account": account, "instrument": BTCUSD, "side": r.randint(0, 1), "quantity": r.randint(1, 20) * TENTH,
                                       "price": at(self.dollars()), "self_trade": r.randint(0, 3), "options": int(r.random() < 0.15),
                                       "time_in_force": r.choice((0, 0, DAY, AUCTION, AT_OPEN, AT_CLOSE)), **more})

    def session(self) -> None:
        """Mostly one that may come."""
        r, m = self.chance, self.m
        row = m.row("instruments", instrument=BTCUSD)
        if r.random() < 0.2:
            super().session()
        elif row["session"] in (S.AUCTION, S.VOLATILITY):
            m.session(S(row["next_session"]))
        else:
            m.session(S.AUCTION, r.choice((0, 0, 5)), r.choice((0, 1, 4)) * SECOND)

    def band(self) -> None:
        r = self.chance
        self.m.do(K.CONFIGURE_BAND, ADMIN, instrument=BTCUSD, band_ppm=r.choice((0, 1_000, 10_000)), window=r.choice((5, 60)) * SECOND, auction=2 * SECOND,
                  indicative=r.choice((0, 1)) * SECOND)

    def stop(self) -> None:
        r = self.chance
        self.m.do(K.RESUME if r.random() < 0.5 else K.HALT, RISK_ONE, instrument=BTCUSD)
        if r.random() < 0.3:
            account = self.trader()[0]
            self.m.do(K.KILL, RISK_ONE, account=account)
            self.m.do(K.CANCEL_ALL, KEY_OF[account], account=account)


def drive(seed: int, steps: int) -> Counter:
    """What was met."""
    flow = SessionFlow(seed)
    for _ in range(steps):
        flow.step()
    return flow.seen
