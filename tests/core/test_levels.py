"""LEVEL, what everyone may know of a book: section 4 of the rules, on every engine. Scenario keeps a public book of it and compares after every step."""
import pytest

from cambist.core.cell import Cell
from cambist.messages import Event, Kind, Reason, SelfTrade, TimeInForce
from cambist.simulation.invariants import PublicBook
from cambist.simulation.twin import Twin
from tests.scenarios import (
    ACME, ACME_TWO, BOLT, BTCUSD, BUY, DEALER_A, ONE_BTC, ONE_XRP, PRICE, RISK_ONE, SELL, XRP_PRICE, XRPUSD, Scenario, scenario,
)

K, E = Kind, Event


@pytest.fixture(params=[Cell, Twin], ids=["kernel", "twin"])
def s(request) -> Scenario:
    return scenario(request.param)


def levels(s: Scenario) -> list[tuple[int, int, int, int]]:
    """(side, price, quantity, orders) of the last step."""
    return [(e["side"], e["price"], e["quantity"], e["leaves"]) for e in s.find(E.LEVEL)]


def test_a_level_says_what_it_is_and_nothing_of_anybody(s):
    s.order(ACME, SELL, ONE_XRP, XRP_PRICE, XRPUSD)
    s.order(BOLT, SELL, 2 * ONE_XRP, XRP_PRICE, XRPUSD)
    told = s.one(E.LEVEL)
    assert s.kinds() == [E.ORDER_ACCEPTED, E.LEVEL] and told.pop("sequence") == s.events[0]["sequence"]
    assert {name: value for name, value in told.items() if value} == {
        "kind": E.LEVEL, "instrument": XRPUSD, "side": SELL, "price": XRP_PRICE, "quantity": 3 * ONE_XRP, "leaves": 2}


def test_a_cancelled_order_leaves_a_level_smaller_and_then_gone(s):
    first, second = (s.order(account, BUY, ONE_BTC, PRICE) for account in (BOLT, ACME))
    s.cancel(BOLT, first)
    assert s.kinds() == [E.ORDER_CANCELLED, E.LEVEL] and levels(s) == [(BUY, PRICE, ONE_BTC, 1)]
    s.cancel(ACME, second)
    assert levels(s) == [(BUY, PRICE, 0, 0)]


def test_a_taker_tells_each_level_once_when_it_is_done_with_it(s):
    for price, account in ((PRICE, ACME), (PRICE, ACME_TWO), (PRICE + 100, ACME), (PRICE + 200, ACME), (PRICE + 200, DEALER_A)):
        s.order(account, SELL, ONE_BTC, price)
    s.order(BOLT, BUY, 3 * ONE_BTC + ONE_BTC // 2, PRICE + 200)
    fills = [E.FILLED, E.FILLED]
    assert s.kinds() == [E.ORDER_ACCEPTED, *fills, *fills, E.LEVEL, *fills, E.LEVEL, *fills, E.LEVEL]
    assert levels(s) == [(SELL, PRICE, 0, 0), (SELL, PRICE + 100, 0, 0), (SELL, PRICE + 200, 3 * ONE_BTC // 2, 2)]


@pytest.mark.parametrize("time_in_force, last", [(TimeInForce.GTC, [(BUY, PRICE, ONE_BTC, 1)]), (TimeInForce.IOC, [])])
def test_what_is_left_of_a_taker_rests_or_goes(s, time_in_force, last):
    s.order(ACME, SELL, ONE_BTC, PRICE)
    s.order(BOLT, BUY, 2 * ONE_BTC, PRICE, time_in_force=time_in_force)
    assert levels(s) == [(SELL, PRICE, 0, 0), *last]


@pytest.mark.parametrize("mode, told", [
    (SelfTrade.CANCEL_NEWEST, [(SELL, PRICE, 3 * ONE_BTC, 2)]),
    (SelfTrade.CANCEL_OLDEST, [(SELL, PRICE, ONE_BTC, 1)]),
    (SelfTrade.CANCEL_BOTH, [(SELL, PRICE, 2 * ONE_BTC, 1)]),
    (SelfTrade.DECREMENT, [(SELL, PRICE, 2 * ONE_BTC, 1)]),
])
def test_a_taker_that_ends_at_its_own_order(s, mode, told):
    for account, quantity in ((ACME, 1), (BOLT, 1), (ACME, 2)):
        s.order(account, SELL, quantity * ONE_BTC, PRICE)
    s.order(BOLT, BUY, 2 * ONE_BTC, PRICE, self_trade=mode)
    assert levels(s) == told


def test_a_taker_that_changed_nothing_tells_nothing(s):
    s.order(BOLT, SELL, ONE_BTC, PRICE)
    s.order(BOLT, BUY, ONE_BTC, PRICE, self_trade=SelfTrade.CANCEL_NEWEST)
    assert s.kinds() == [E.ORDER_ACCEPTED, E.ORDER_CANCELLED]


@pytest.mark.parametrize("price, quantity, told", [
    (PRICE, 2, []), (PRICE, 1, [(SELL, PRICE, 2 * ONE_BTC, 2)]), (PRICE, 3, [(SELL, PRICE, ONE_BTC, 1), (SELL, PRICE, 4 * ONE_BTC, 2)]),
    (PRICE + 100, 2, [(SELL, PRICE, ONE_BTC, 1), (SELL, PRICE + 100, 2 * ONE_BTC, 1)]), (PRICE - 100, 2, [(SELL, PRICE, ONE_BTC, 1), (BUY, PRICE - 100, 0, 0)]),
])
def test_an_amended_order_tells_where_it_was_and_where_it_is(s, price, quantity, told):
    order = s.order(ACME, SELL, 2 * ONE_BTC, PRICE)
    s.order(ACME_TWO, SELL, ONE_BTC, PRICE), s.order(BOLT, BUY, 2 * ONE_BTC, PRICE - 100)
    s.amend(ACME, order, price, quantity * ONE_BTC)
    assert s.kinds()[0] == E.ORDER_AMENDED and levels(s) == told


def test_orders_worked_off_tell_their_levels_one_by_one(s):
    for i in range(20):
        s.order(ACME, SELL, ONE_BTC // 10, PRICE + 100 * (i // 4))
    s.cancel_all(ACME)
    s.order(BOLT, BUY, ONE_BTC // 10, PRICE + 1_000)                            # 16 are worked off before it, and it meets the dying four
    assert s.kinds() == [*[E.ORDER_CANCELLED, E.LEVEL] * 16, E.ORDER_ACCEPTED, *[E.ORDER_CANCELLED] * 4, E.LEVEL, E.LEVEL]
    assert [e["reason"] for e in s.find(E.ORDER_CANCELLED)][-4:] == [Reason.DYING] * 4
    s.do(K.HALT, RISK_ONE, instrument=BTCUSD, cancel=1)
    s.tick()
    assert s.kinds() == [E.ORDER_CANCELLED, E.LEVEL, E.SWEPT] and s.rows("orders") == []


def test_a_reader_is_told_wrong_by_a_level_that_is_not_there():
    s = scenario(Twin)
    s.order(ACME, SELL, ONE_BTC, PRICE)
    [level] = s.public.levels
    s.public.levels[level] = ONE_BTC, 2
    assert "the public was told" in next(iter(s.public.differs(s.engine.tables())))
    assert list(PublicBook().differs(s.engine.tables())) != []
