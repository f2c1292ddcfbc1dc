"""A sweep that fills the buffer of events is parked and goes on: what comes of it, its auctions and its triggers never depend on the room there was."""
import pytest

from cambist.core.cell import Cell
from cambist.core.layout import MIN_EVENTS
from cambist.messages import Event, Kind, Session
from tests.core.market import STOP, TENTH, Market, at, market
from tests.core.trading_flow import Everyone
from tests.scenarios import ACME, BOLT, BTCUSD, BUY, DEALER_A, DEALER_B, KEY_OF, SECOND, SELL

E, K = Event, Kind
ORDERS, SHOWN = 60, TENTH // 20                 # icebergs of twenty parts: a sweep of all of them is 2,400 events and more


@pytest.fixture
def m() -> Market:
    wanted = market(audit=False)                # tables are compared where a test ends
    wanted.engine = Everyone([market(lambda room=room: Cell({"events": room}), audit=False).engine for room in (MIN_EVENTS, 8 * MIN_EVENTS)])
    return wanted


def icebergs(m: Market, account: int, side: int, first: int, step: int) -> None:
    m.apply(*[m.build(K.NEW_ORDER, KEY_OF[account], account=account, instrument=BTCUSD, side=side, quantity=TENTH, price=at(first + step * (i // 20)),
                      display=SHOWN) for i in range(ORDERS)])
    assert len(m.find(E.ORDER_ACCEPTED)) == ORDERS


def fills(events: list[dict[str, int]]) -> int:
    return len([e for e in events if e["kind"] == E.FILLED])


def test_a_parked_taker_fills_the_same(m):
    icebergs(m, DEALER_A, SELL, 60_000, 10)
    m.buy(BOLT, ORDERS, 60_100)
    assert fills(m.events) == 2 * 20 * ORDERS > MIN_EVENTS and m.book() == ([], [])


def test_a_parked_taker_that_breaks_the_band(m):
    m.band(0.05, auction=5 * SECOND), m.trade(60_000)                       # up to 60,030
    icebergs(m, DEALER_A, SELL, 60_028, 1), icebergs(m, ACME, SELL, 60_040, 1)
    order = m.buy(BOLT, ORDERS + 10, 60_100)
    assert fills(m.events) == 2 * 20 * ORDERS > MIN_EVENTS and m.session_now() == "VOLATILITY" and m.state(order) == "BOOK"
    for _ in range(2):                                                      # the price lies outside the band at first
        m.advance(5), m.work()
    assert m.session_now() == "CONTINUOUS" and m.state(order) == "gone"


def test_a_parked_stop(m):
    m.trade(60_000)
    m.sell(ACME, ORDERS, 0, trigger=STOP, trigger_price=at(59_990))
    m.sell(BOLT, 1, 59_970, trigger=STOP, trigger_price=at(59_980))
    icebergs(m, DEALER_A, BUY, 59_990, -10)
    m.sell(DEALER_B, 1, 59_990), m.tick(), m.work()
    assert fills(m.history) > MIN_EVENTS and m.rows("orders", account=ACME) == []


def test_an_auction_of_many_steps(m):
    m.session(Session.AUCTION, Session.CONTINUOUS)
    icebergs(m, DEALER_A, SELL, 60_000, 10), icebergs(m, BOLT, BUY, 60_000, 10)
    m.session(Session.CONTINUOUS)
    m.work(20)
    assert fills(m.history) >= ORDERS and m.session_now() == "CONTINUOUS"
