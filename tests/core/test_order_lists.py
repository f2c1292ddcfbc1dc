"""Orders that belong together (docs/rules.md section 12): one cancels the other, one triggers the other, brackets. On every engine of `engines.ENGINES`."""
import pytest

from cambist.messages import Event, Kind, Reason
from tests.core.engines import ENGINES
from tests.core.market import IOC, STOP, TENTH, Market, at, market
from tests.scenarios import ACME, BOLT, BTC, BUY, DEALER_A, SELL, USD

K, E, R = Kind, Event, Reason


@pytest.fixture(params=sorted(ENGINES))
def m(request) -> Market:
    return market(request.param)


def stop_loss(tenths=2, **more):
    return (ACME, SELL, tenths, 0, {"trigger": STOP, "trigger_price": at(59_000), **more})


def target(tenths=2, **more):
    return (ACME, SELL, tenths, 61_000, more)


def test_one_cancels_the_other_when_it_trades_whole(m):
    m.trade(60_000)
    free = m.balance(ACME, BTC)
    profit, loss = m.order_list(target(link=1), stop_loss(link=1))
    assert free - m.balance(ACME, BTC) == 2 * TENTH                         # held once
    assert m.row("positions", account=ACME)["open_sell"] == 2 * TENTH
    m.buy(BOLT, 2, 61_000)
    assert m.fills(ACME) == [(61_000, 2)] and (m.state(profit), m.state(loss)) == ("gone", "gone")
    assert [(e["id"], e["reason"], e["quantity"]) for e in m.find(E.ORDER_CANCELLED)] == [(loss, R.LINKED, 0)]
    assert free - m.balance(ACME, BTC) == 2 * TENTH and m.balance(ACME, BTC, "held") == 0


def test_what_one_trades_is_taken_from_the_other(m):
    m.trade(60_000)
    profit, loss = m.order_list(stop_loss(link=1), target(link=1))[::-1]
    m.buy(BOLT, 1.5, 61_000)
    assert m.one(E.ORDER_REDUCED)["id"] == loss and m.row("orders", id=loss)["leaves"] == m.row("orders", id=profit)["leaves"] == TENTH // 2
    m.buy(DEALER_A, 3, 58_990), m.trade(58_995), m.work()
    assert m.fills(ACME) == [(58_990, 0.5)] and m.rows("orders", account=ACME) == [] and m.balance(ACME, BTC, "held") == 0


def test_one_that_fires_or_is_cancelled_ends_the_other(m):
    m.trade(60_000)
    profit, loss = m.order_list(target(link=1), stop_loss(link=1))
    m.amend(ACME, profit, at(61_500), 2 * TENTH)
    assert m.refused() is R.UNAMENDABLE
    m.trade(58_990), m.work()
    assert m.state(profit) == "gone" and [e["reason"] for e in m.find(E.ORDER_CANCELLED)] == [R.LINKED, R.IMMEDIATE]
    m.trade(60_000)
    profit, loss = m.order_list(target(link=1), stop_loss(link=1))
    m.cancel(ACME, loss)
    assert [(e["id"], e["reason"]) for e in m.find(E.ORDER_CANCELLED)] == [(loss, R.USER), (profit, R.LINKED)]
    assert m.book()[1] == [] and m.balance(ACME, BTC, "held") == 0


def entry(tenths=2, dollars=60_000, **more):
    return (ACME, BUY, tenths, dollars, {"link": 2, **more})


def test_a_bracket_sells_what_its_parent_bought(m):
    m.trade(60_000)
    m.do(K.TRANSFER, 10, account=ACME, to=BOLT, asset=BTC, amount=m.balance(ACME, BTC))      # nothing to sell but what it will buy
    parent, profit, loss = m.order_list(entry(), target(link=3), stop_loss(link=3))
    assert [m.state(o) for o in (parent, profit, loss)] == ["BOOK", "ASLEEP", "ASLEEP"]
    m.sell(BOLT, 1, 60_000)
    assert m.balance(ACME, BTC, "held") == TENTH and m.balance(ACME, BTC) == 0               # what was bought is kept for the exit
    m.cancel(ACME, parent), m.work()
    assert [m.state(o) for o in (profit, loss)] == ["BOOK", "WAITING"]
    assert m.row("orders", id=profit)["leaves"] == m.row("orders", id=loss)["leaves"] == TENTH and m.balance(ACME, BTC, "held") == TENTH
    m.buy(BOLT, 1, 61_000)
    assert m.fills(ACME) == [(61_000, 1)] and m.rows("orders", account=ACME) == [] and m.balance(ACME, BTC) == m.balance(ACME, BTC, "held") == 0


@pytest.mark.parametrize("others_wait", [False, True])
def test_a_child_that_begins_to_wait_is_reached_by_what_the_range_holds(m, others_wait):
    """Where nobody waited the source has no range: only the price now counts. Else the price before, at which its parent traded, is in it still."""
    m.trade(60_000)
    if others_wait:
        m.sell(BOLT, 1, 49_000, trigger=STOP, trigger_price=at(50_000))
    m.sell(DEALER_A, 1, 59_400)
    parent, child = m.order_list(entry(), (ACME, SELL, 2, 58_000, {"trigger": STOP, "trigger_price": at(59_500), "link": 3}))
    m.sell(DEALER_A, 1, 60_000)
    assert m.fills(ACME) == [(60_000, 1)] and m.state(parent) == "gone" and m.state(child) == "WAITING"
    m.work()
    assert m.state(child) == ("BOOK" if others_wait else "WAITING")


def test_children_of_a_parent_that_never_traded_are_cancelled(m):
    m.trade(60_000)
    parent, profit, loss = m.order_list(entry(dollars=59_000), target(link=3), stop_loss(link=3))
    m.cancel(ACME, parent)
    assert [(e["id"], e["reason"]) for e in m.find(E.ORDER_CANCELLED)] == [(parent, R.USER), (profit, R.LINKED), (loss, R.LINKED)]
    assert m.balance(ACME, USD, "held") == m.balance(ACME, BTC, "held") == 0


def test_one_triggers_the_other_that_enters_at_once(m):
    m.buy(BOLT, 2, 60_500)
    m.sell(DEALER_A, 2, 60_400, post_only=1)
    assert m.refused() is R.POST_ONLY
    m.sell(DEALER_A, 2, 60_600)
    _, child = m.order_list((ACME, BUY, 2, 60_600, {"link": 2}), (ACME, SELL, 2, 60_500, {"link": 3}))
    m.work()
    assert m.fills(ACME) == [(60_500, 2)] and m.state(child) == "gone"


@pytest.mark.parametrize("orders", [
    (target(link=1),), (target(link=1), target(link=1)), (target(link=1), stop_loss(3, link=1)), (target(link=1), (BOLT, *stop_loss(link=1)[1:])),
    (target(link=1), (ACME, BUY, 2, 0, {"trigger": STOP, "trigger_price": at(62_000), "link": 1})), (target(link=0), stop_loss(link=0)),
    (entry(), target(link=1)), (entry(), (ACME, BUY, 2, 59_000, {"link": 3})), (entry(), target(link=3), target(link=3)),
    (target(link=1, display=TENTH), stop_loss(link=1)), (target(link=1, time_in_force=IOC), stop_loss(link=1)),
    ((ACME, SELL, 2, 0, {"link": 1}), stop_loss(link=1)), (entry(), target(link=3, post_only=1)),
])
def test_groups_that_are_no_order_list(m, orders):
    m.trade(60_000)
    assert m.order_list(*orders) == []
    assert m.find(E.REFUSED)[0]["reason"] == R.BAD_LINK and {e["reason"] for e in m.find(E.REFUSED)[1:]} <= {R.BAD_GROUP}
    assert m.rows("orders") == []


def test_a_list_is_accepted_whole_or_not_at_all(m):
    m.trade(60_000)
    m.order_list(target(link=1), stop_loss(link=1, trigger_price=at(60_000)))
    assert [e["reason"] for e in m.find(E.REFUSED)] == [R.BAD_GROUP, R.BAD_TRIGGER] and m.rows("orders") == [] and m.balance(ACME, BTC, "held") == 0
