"""A market for the domain tables: the scenarios' world with everything configured that trading knows, and the verbs of a trader.

It runs on any engine; `market` fixtures take those of `engines.ENGINES`. Prices here are whole dollars of BTC/USD around 60,000 (`at`), quantities
tenths of a bitcoin (`lots`), so that a table reads as a trader would say it.
"""
from collections.abc import Callable

from cambist.messages import GROUP_MORE, Event, Kind, OrderState, Session
from tests.core.engines import ENGINES
from tests.scenarios import (
    ACCOUNTS, ACME, ACME_TWO, ACTORS, ADMIN, BOLT, BTC, BTCUSD, BUY, DEALER_A, DEALER_B, KEY_OF, ONE_BTC, ONE_USD, RISK_ONE, SECOND, SELL, USD, Scenario,
    Scope, command,
)

K = Kind
TENTH = ONE_BTC // 10
GTC, IOC, FOK, DAY, GTD, AUCTION, AT_OPEN, AT_CLOSE = range(8)
LIMIT, MARKET, PRIMARY, OPPOSITE, MIDPOINT = range(5)
STOP, TAKE_PROFIT, TRAILING = 1, 2, 3
LAST, INDEX, MARK = 0, 1, 2
REDUCE_ONLY, BY_QUOTE = 1, 2
TRADERS = (ACME, ACME_TWO, BOLT, DEALER_A, DEALER_B)
MORE_FOR_TRADERS = (K.CANCEL_SOME, K.MASS_QUOTE, K.RESET_PROTECTION, K.DEAD_MAN)
MORE_FOR_RISK = (K.SESSION, K.KILL_TRADER, K.REVIVE_TRADER, K.CHANGE_TERMS, K.CHANGE_DIGITS, K.MANUAL_CREDIT)


def at(dollars: float) -> int:
    """A price in cents."""
    return round(dollars * 100)


class Market(Scenario):
    """Everyone has money; `seen` maps the ids of orders to the names they were given."""

    # ------------------------------------------------------------------------------------------------------------- configuration
    def configure(self, kind: Kind, **fields: int) -> None:
        self.do(kind, ADMIN, **fields)
        assert self.kinds() == [Event.DONE], self.told()

    def band(self, percent: float = 10, window: int = 3_600 * SECOND, auction: int = 60 * SECOND, indicative: int = 0) -> None:
        self.configure(K.CONFIGURE_BAND, instrument=BTCUSD, band_ppm=int(percent * 10_000), window=window, auction=auction, indicative=indicative)

    def collar(self, percent: float) -> None:
        from tests.scenarios import BTCUSD_LIMITS
        self.configure(K.CONFIGURE_LIMITS, instrument=BTCUSD, **{**BTCUSD_LIMITS, "collar_ppm": int(percent * 10_000)})

    def trading(self, account: int, **fields: int) -> None:
        names = ("trade_group", "self_trade_scope", "max_waiting", "cancel_reserve", "max_executions", "execution_window", "duplicate_window", "tier",
                 "fee_instrument")
        self.configure(K.CONFIGURE_TRADING, account=account, **{**dict.fromkeys(names, 0), **fields})

    def session(self, session: Session, following: int = 0, duration: int = 0) -> None:
        self.do(K.SESSION, RISK_ONE, instrument=BTCUSD, session=session, next=following, duration=duration)

    # --------------------------------------------------------------------------------------------------------------------- verbs
    def put(self, account: int, side: int, tenths: float, dollars: float, **more: int) -> int:
        """An order of so many tenths of a bitcoin; its id, or 0."""
        return self.order(account, side, round(tenths * TENTH), at(dollars) if dollars else 0, **more)

    def buy(self, account: int, tenths: float, dollars: float = 0, **more: int) -> int:
        return self.put(account, BUY, tenths, dollars, **({"order_type": MARKET} if not dollars else {}) | more)

    def sell(self, account: int, tenths: float, dollars: float = 0, **more: int) -> int:
        return self.put(account, SELL, tenths, dollars, **({"order_type": MARKET} if not dollars else {}) | more)

    def trade(self, dollars: float, tenths: float = 1) -> None:
        """Two others trade at this price, so that it is the last one."""
        self.sell(DEALER_A, tenths, dollars)
        self.buy(DEALER_B, tenths, dollars, time_in_force=IOC)
        assert self.find(Event.FILLED), self.told()

    def index(self, dollars: float) -> list[dict[str, int]]:
        """All three sources post this price."""
        heard = []
        for source in (1, 2, 3):
            heard += self.price(BTCUSD, source, at(dollars))
        return heard

    def order_list(self, *orders: tuple[int, int, float, float, dict[str, int]]) -> list[int]:
        """Orders (account, side, tenths, dollars, more) as a group; the ids of those accepted."""
        records = []
        for i, (account, side, tenths, dollars, more) in enumerate(orders):
            fields = {"order_type": LIMIT if dollars else MARKET, **more}
            records.append(self.build(K.NEW_ORDER, KEY_OF[account], account=account, instrument=BTCUSD, side=side, quantity=round(tenths * TENTH),
                                      price=at(dollars) if dollars else 0, flags=GROUP_MORE if i + 1 < len(orders) else 0, **fields))
        self.apply(*records)
        return [e["id"] for e in self.find(Event.ORDER_ACCEPTED)]

    def mass_quote(self, account: int, bid: float, bid_tenths: float, ask: float, ask_tenths: float, instrument: int = BTCUSD) -> list[dict[str, int]]:
        return self.do(K.MASS_QUOTE, KEY_OF[account], account=account, instrument=instrument, bid=at(bid), bid_quantity=round(bid_tenths * TENTH), ask=at(ask),
                       ask_quantity=round(ask_tenths * TENTH))

    def work(self, ticks: int = 3) -> list[dict[str, int]]:
        """A few ticks, so that what is to be worked off is; all their events."""
        heard: list[dict[str, int]] = []
        for _ in range(ticks):
            heard += self.tick()
        self.events = heard
        return heard

    # --------------------------------------------------------------------------------------------------------------------- looks
    def book(self) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """(dollars, tenths shown) of each level, bids then asks, best first."""
        sides: tuple[dict[float, float], dict[float, float]] = ({}, {})
        for r in self.rows("orders", instrument=BTCUSD, state=OrderState.BOOK):
            level = sides[r["side"]]
            level[r["price"] / 100] = level.get(r["price"] / 100, 0) + r["shown"] / TENTH
        return sorted(sides[0].items(), reverse=True), sorted(sides[1].items())

    def state(self, order: int) -> str:
        """BOOK, WAITING, TRIGGERED, ASLEEP, or gone."""
        found = self.rows("orders", id=order)
        return OrderState(found[0]["state"]).name if found else "gone"

    def fills(self, account: int | None = None) -> list[tuple[float, float]]:
        """(dollars, tenths) of each fill of the last step, of an account or of the taker."""
        return [(e["price"] / 100, e["quantity"] / TENTH) for e in self.find(Event.FILLED, account)]

    def session_now(self) -> str:
        return Session(self.row("instruments", instrument=BTCUSD)["session"]).name


def grant_more(s: Scenario) -> None:
    """Traders and risk may send what only a market knows."""
    records = []
    for _, account, _, role in ACTORS:
        kinds = MORE_FOR_TRADERS if account else MORE_FOR_RISK if role == 4 else ()
        records += [command(K.CONFIGURE_AUTHORITY, role=role, command=kind, scope=Scope.OWN if account else Scope.ALL) for kind in kinds]
    for record in records:
        record["actor"], record["expires"] = ADMIN, s.now + 30 * SECOND
        s.ids += 1
        record["id_lo"] = s.ids
    s.apply(*records)
    assert len(ACCOUNTS) == 12 and all(e["kind"] == Event.DONE for e in s.events)


def market(engine: str | Callable[[], object] = "twin", audit: bool = True) -> Market:
    """A started market on a fresh engine, named or made."""
    s = Market(ENGINES[engine]() if isinstance(engine, str) else engine(), audit)
    s.genesis()
    grant_more(s)
    for account in TRADERS:
        s.deposit(account, USD, 20_000_000 * ONE_USD)
        s.deposit(account, BTC, 90 * ONE_BTC)
    return s

