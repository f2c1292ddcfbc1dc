"""Random trading: seeded commands of everything that sections 4 and 12 to 14 of the rules know, over any number of engines at once.

The same records go to every engine; what they say and hold must be equal. With one engine it is still watched: the auditor's invariants hold, the public
knows the book, nothing trades outside its band, a fill-or-kill order is whole, and what is linked stands together.
"""
import random
from collections import Counter
from collections.abc import Callable

import numpy as np

from cambist.messages import GROUP_MORE, Event, Kind, OrderState, Reason, Session
from tests.core.engines import ENGINES
from tests.core.market import FOK, TENTH, TRADERS, Market, at, market
from tests.scenarios import BOLT, BTCUSD, DEALER_A, DEALER_B, KEY_OF, ONE_USD, RISK_ONE, SECOND, XRP

K, E, R = Kind, Event, Reason
MIDDLE, STEP = 60_000, 25                       # dollars


class Everyone:
    """All engines of a run behind one face: the records go to each, the first one's answer is compared with the others'."""

    def __init__(self, engines: list[object]) -> None:
        self.engines = engines

    def apply(self, records: np.ndarray, time: int) -> np.ndarray:
        first, *others = [engine.apply(records, time) for engine in self.engines]     # type: ignore[attr-defined]
        assert all(first.tobytes() == other.tobytes() for other in others), "the engines tell different events"
        return first

    def tables(self) -> dict:
        first, *others = [engine.tables() for engine in self.engines]                 # type: ignore[attr-defined]
        for other in others:
            assert list(first) == list(other), "the engines have different tables"
            assert all(np.array_equal(first[name][2], other[name][2]) for name in first), "the engines hold different rows"
        return first


class TradingFlow:
    def __init__(self, seed: int, also: tuple[Callable[[], object], ...] = ()) -> None:
        self.chance, self.seen = random.Random(seed), Counter()
        self.m: Market = market()
        self.m.engine = Everyone([market(make).engine for make in (*ENGINES.values(), *also)])
        self.fill_or_kill: set[int] = set()
        self.configure()

    def configure(self) -> None:
        r, m = self.chance, self.m
        m.configure(K.CONFIGURE_TIER, instrument=BTCUSD, tier=1, maker_ppm=-100, taker_ppm=400, rfq_ppm=50, minimum=2 * ONE_USD)
        for account in TRADERS:
            m.trading(account, tier=r.randint(0, 1), trade_group=r.randint(0, 2), self_trade_scope=r.randint(0, 2), max_waiting=r.choice((0, 9)),
                      fee_instrument=r.choice((0, 2)))
        m.deposit(BOLT, XRP, 10**9)
        m.configure(K.CONFIGURE_PROTECTION, account=DEALER_A, instrument=BTCUSD, quantity=5 * TENTH, delta=3 * TENTH, window=8 * SECOND)
        if r.random() < 0.7:
            m.band(r.choice((0.3, 1, 3)), window=20 * SECOND, auction=r.choice((3, 8)) * SECOND, indicative=r.choice((0, 2)) * SECOND)

    # ------------------------------------------------------------------------------------------------------------------ one step
    def step(self) -> None:
        r, m = self.chance, self.m
        if r.random() < 0.3:
            m.advance(r.choice((0.1, 1, 4)))
        if r.random() < 0.3:
            self.calm()
        verbs = {self.order: 55, self.order_list: 7, self.quote: 10, self.change: 8, self.price: 4, self.mass: 4, self.session: 2, self.stop: 3, m.tick: 3}
        r.choices(list(verbs), list(verbs.values()))[0]()
        self.watch()

    def calm(self) -> None:
        """What stops trading is lifted, one thing after the other."""
        m = self.m
        row = m.row("instruments", instrument=BTCUSD)
        if row["halted"]:
            m.do(K.RESUME, RISK_ONE, instrument=BTCUSD)
        if row["session"] in (Session.PRE_OPEN, Session.CANCEL_ONLY, Session.CLOSED):
            m.session(Session.AUCTION, 0, 3 * SECOND)
        elif row["session"] != Session.CONTINUOUS:
            m.session(row["next_session"])
        for r in m.rows("accounts", killed=1):
            m.do(K.REVIVE, RISK_ONE, account=r["account"])
        for r in m.rows("actors", killed=1):
            m.do(K.REVIVE_TRADER, RISK_ONE, number=r["actor"])

    def trader(self) -> tuple[int, int]:
        account = self.chance.choice(TRADERS)
        return account, KEY_OF[account]

    def dollars(self) -> int:
        return MIDDLE + self.chance.randint(-12, 12) * STEP

    # -------------------------------------------------------------------------------------------------------------------- verbs
    def fields(self) -> dict[str, int]:
        """The arguments of an order; mostly they go together."""
        r = self.chance
        f = {"side": r.randint(0, 1), "quantity": r.randint(1, 30) * TENTH // r.choice((1, 10)), "price": at(self.dollars()), "self_trade": r.randint(0, 3)}
        if r.random() < 0.25:
            f["time_in_force"] = r.randint(0, 7)
            f["good_till"] = self.m.now + r.randint(1, 20) * SECOND if f["time_in_force"] == 4 else 0
        if r.random() < 0.1:
            f["post_only"] = r.randint(1, 2)
        if r.random() < 0.1:
            f["display"] = r.choice((1, 2, 5)) * TENTH
        if r.random() < 0.05:
            f["minimum"] = TENTH
        if r.random() < 0.1:
            f["options"] = r.choice((1, 2))
        return f | self.kind_of_order(f)

    def kind_of_order(self, f: dict[str, int]) -> dict[str, int]:
        r, choice = self.chance, self.chance.random()
        more: dict[str, int] = {}
        if choice < 0.12:
            more = {"order_type": 1, "price": 0}
        elif choice < 0.25:
            more = {"order_type": r.randint(2, 4), "offset": r.choice((0, at(50)))}
        elif choice < 0.55:
            trigger = r.randint(1, 3)
            more = {"trigger": trigger, "trigger_on": r.randint(0, 2), "trigger_price": at(r.choice((25, 100)) if trigger == 3 else self.dollars())}
            more |= {"order_type": 1, "price": 0} if r.random() < 0.5 or trigger == 3 else {}
        return more | ({"quantity": r.randint(1, 40_000) * ONE_USD} if f.get("options") == 2 else {})

    def order(self) -> None:
        account, key = self.trader()
        fields = self.fields()
        self.m.do(K.NEW_ORDER, key, account=account, instrument=BTCUSD, **fields)
        if fields.get("time_in_force") == FOK:
            self.fill_or_kill |= {e["id"] for e in self.m.find(E.ORDER_ACCEPTED)}

    def order_list(self) -> None:
        r, (account, key) = self.chance, self.trader()
        side, quantity, away = r.randint(0, 1), r.randint(1, 9) * TENTH, r.randint(1, 12) * STEP
        up, down = at(MIDDLE + away), at(MIDDLE - away)
        stop = {"side": side, "order_type": 1, "trigger": r.choice((1, 1, 3)), "trigger_on": r.randint(0, 2), "trigger_price": down if side else up}
        stop |= {"trigger_price": at(50)} if stop["trigger"] == 3 else {}
        target, entry = {"side": side, "price": up if side else down}, {"side": 1 - side, "price": at(self.dollars())}
        orders = r.choice(([(target, 1), (stop, 1)], [(stop, 1), (target, 1)], [(entry, 2), (stop, 3)], [(entry, 2), (target, 3)],
                           [(entry, 2), (target, 3), (stop, 3)]))
        self.m.apply(*[self.m.build(K.NEW_ORDER, key, account=account, instrument=BTCUSD, quantity=quantity, link=link,
                                    flags=GROUP_MORE if i + 1 < len(orders) else 0, **fields) for i, (fields, link) in enumerate(orders)])

    def quote(self) -> None:
        r, bid = self.chance, self.dollars()
        if r.random() < 0.1:
            self.m.mass_quote(r.choice((DEALER_A, DEALER_B)), 0, 0, 0, 0)
        else:
            self.m.mass_quote(r.choice((DEALER_A, DEALER_B)), bid, r.choice((0, 1, 2)), bid + STEP * r.randint(1, 3), 1)

    def change(self) -> None:
        r, orders = self.chance, self.m.rows("orders")
        if not orders:
            return
        o = r.choice(orders)
        if r.random() < 0.5:
            self.m.cancel(o["account"], o["id"])
        else:
            self.m.amend(o["account"], o["id"], o["price"] + 100 * r.randint(-60, 60), max(TENTH, o["quantity"] + TENTH * r.randint(-9, 9)))

    def price(self) -> None:
        self.m.price(BTCUSD, self.chance.randint(1, 3), at(self.dollars()))

    def mass(self) -> None:
        r, (account, key) = self.chance, self.trader()
        kind = r.choice((K.CANCEL_SOME, K.CANCEL_SOME, K.CANCEL_ALL, K.DEAD_MAN, K.RESET_PROTECTION))
        fields = {K.CANCEL_SOME: {"instrument": r.choice((0, BTCUSD)), "side": r.randint(0, 2)}, K.DEAD_MAN: {"ttl": r.choice((0, 2 * SECOND))},
                  K.RESET_PROTECTION: {"instrument": BTCUSD}}.get(kind, {})
        if kind is K.RESET_PROTECTION:
            account, key = DEALER_A, KEY_OF[DEALER_A]
        self.m.do(kind, key, account=account, **fields)

    def session(self) -> None:
        r, session = self.chance, self.chance.choice(list(Session))
        self.m.session(session, r.choice((0, 5)) if session is Session.AUCTION else 0, r.choice((0, 3 * SECOND)) if session is Session.AUCTION else 0)

    def stop(self) -> None:
        r, (account, key) = self.chance, self.trader()
        kind = r.choice((K.HALT, K.KILL_TRADER, K.KILL))
        fields = {K.HALT: {"instrument": BTCUSD, "cancel": int(r.random() < 0.2)}, K.KILL_TRADER: {"number": key}, K.KILL: {"account": account}}[kind]
        self.m.do(kind, RISK_ONE, **fields)

    # -------------------------------------------------------------------------------------------------------------------- watching
    def watch(self) -> None:
        m = self.m
        for e in m.events:
            self.seen[Event(e["kind"]).name] += 1
            self.seen[Reason(e["reason"]).name] += 1
            assert e["kind"] != E.ORDER_CANCELLED or e["reason"] != R.IMMEDIATE or e["id"] not in self.fill_or_kill
        row = m.row("instruments", instrument=BTCUSD)
        width = row["anchor"] * row["band_ppm"] // 10**6
        for e in m.find(E.FILLED) if row["band_ppm"] and not m.find(E.SESSION_CHANGED) else ():
            assert abs(e["price"] - row["anchor"]) <= width, (e["price"], row["anchor"])
        orders = {o["id"]: o for o in m.rows("orders")}
        for o in orders.values():
            assert all(other == 0 or other in orders for other in (o["mate"], o["parent"])), o
            assert not o["mate"] or (orders[o["mate"]]["mate"] == o["id"] and orders[o["mate"]]["leaves"] == o["leaves"]), o
            assert o["state"] == OrderState.TRIGGERED or o["state"] == OrderState.BOOK or o["place"] == 0, o


def drive(seed: int, steps: int) -> Counter:
    """What was met."""
    flow = TradingFlow(seed)
    for _ in range(steps):
        flow.step()
    return flow.seen
