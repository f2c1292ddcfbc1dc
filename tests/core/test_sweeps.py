"""Work that takes more than one command, begun again, for two at once, or overtaken by something stronger: section 10 of docs/rules.md. On every engine of
`engines.ENGINES`."""
import pytest

from cambist.messages import Event, Kind, Reason, Session
from tests.core.engines import ENGINES
from tests.core.market import DAY, PRIMARY, STOP, Market, at, market
from tests.scenarios import ACME, BOLT, BTCUSD, BUY, CUSTODIAN, DEALER_A, DEALER_B, KEY_OF, ONE_XRP, RISK_ONE, SELL, XRP_PRICE, XRPUSD

K, E, R = Kind, Event, Reason
MANY = 40                                       # more than three commands work off


@pytest.fixture(params=sorted(ENGINES))
def m(request) -> Market:
    return market(request.param)


def fill_both(m: Market, **more: int) -> None:
    """Many orders of two accounts in two instruments."""
    for i in range(MANY):
        m.buy(ACME, 0.1, 59_000 - i, **more)
        m.order(BOLT, BUY, ONE_XRP, XRP_PRICE - 100 * i, XRPUSD, **more)
    assert len(m.rows("orders")) == 2 * MANY
    m.history.clear()


def told(m: Market, kind: Event) -> list[dict[str, int]]:
    return [e for e in m.history if e["kind"] == kind]


def test_a_kill_overtakes_a_mass_cancel(m):
    """What is left to be cancelled is cancelled for the kill; a mass cancel after it changes nothing."""
    fill_both(m)
    m.cancel_all(ACME)
    assert m.rows("orders", account=ACME)
    m.do(K.KILL, RISK_ONE, account=ACME), m.cancel_all(ACME), m.work(6)
    reasons = [e["reason"] for e in told(m, E.ORDER_CANCELLED)]
    first = reasons.index(R.KILLED)
    assert set(reasons[:first]) == {R.CANCEL_ALL} and set(reasons[first:]) == {R.KILLED} and len(reasons) == MANY
    assert [e["account"] for e in told(m, E.SWEPT)] == [ACME] and len(m.rows("orders", account=BOLT)) == MANY


def test_a_mass_cancel_sent_twice_is_worked_off_once(m):
    fill_both(m)
    m.cancel_all(ACME), m.cancel_all(ACME), m.work(6)
    assert {e["reason"] for e in told(m, E.ORDER_CANCELLED)} == {R.CANCEL_ALL} and len(told(m, E.SWEPT)) == 1
    assert m.rows("orders", account=ACME) == [] and m.buy(ACME, 1, 59_000)


def test_two_halts_are_worked_off_one_after_the_other(m):
    fill_both(m)
    for instrument in (BTCUSD, XRPUSD, BTCUSD):
        m.do(K.HALT, RISK_ONE, instrument=instrument, cancel=1)
    m.do(K.RESUME, RISK_ONE, instrument=XRPUSD)
    assert m.refused() is R.SWEEPING
    m.work(8)
    assert m.rows("orders") == [] and [(e["instrument"], e["id"]) for e in told(m, E.SWEPT)] == [(BTCUSD, 1), (XRPUSD, 1)]
    m.do(K.RESUME, RISK_ONE, instrument=XRPUSD)
    assert m.find(E.DONE)


def test_two_partial_cancels_are_worked_off_one_after_the_other(m):
    fill_both(m)
    for account in (ACME, BOLT):
        m.do(K.CANCEL_SOME, KEY_OF[account], account=account, side=BUY)
    m.work(8)
    assert m.rows("orders") == [] and [(e["account"], e["id"]) for e in told(m, E.SWEPT)] == [(ACME, 4), (BOLT, 4)]


def test_the_ends_of_two_sessions_are_worked_off_one_after_the_other(m):
    fill_both(m, time_in_force=DAY)
    kept = m.buy(ACME, 0.1, 58_000)
    for instrument in (BTCUSD, XRPUSD):
        m.do(K.SESSION, RISK_ONE, instrument=instrument, session=Session.CLOSED, next=0, duration=0)
    m.work(8)
    assert [e["instrument"] for e in told(m, E.SWEPT)] == [BTCUSD, XRPUSD] and {e["reason"] for e in told(m, E.ORDER_CANCELLED)} == {R.EXPIRED}
    assert [row["id"] for row in m.rows("orders")] == [kept]


def test_what_a_partial_cancel_does_not_mean_goes_on_trading(m):
    """The asks of an account whose bids are being cancelled; and what is dying stands, but never trades."""
    fill_both(m)
    ask = m.sell(ACME, 2, 61_000, time_in_force=DAY)
    m.do(K.CANCEL_SOME, KEY_OF[ACME], account=ACME, instrument=BTCUSD, side=BUY)
    assert m.rows("orders", account=ACME, side=BUY)
    m.buy(DEALER_A, 1, 61_000)
    assert m.fills(ACME) == [(61_000, 1)] and m.state(ask) == "BOOK"
    m.sell(DEALER_A, 1, 58_950)
    assert m.fills(ACME) == []
    m.work(5)
    assert m.rows("orders", account=ACME, side=BUY) == [] and m.state(ask) == "BOOK"


def test_a_halt_takes_what_waits_and_what_sleeps_in_the_order_of_arrival(m):
    m.trade(60_000)
    ids = [m.sell(ACME, 1, 0, trigger=STOP, trigger_price=at(59_000)), m.buy(ACME, 1, 59_000, order_type=PRIMARY),
           m.sell(BOLT, 1, 0, trigger=STOP, trigger_price=at(59_000)), m.buy(BOLT, 1, 59_000, order_type=PRIMARY)]
    assert [m.state(order) for order in ids] == ["WAITING", "ASLEEP"] * 2
    m.history.clear(), m.do(K.HALT, RISK_ONE, instrument=BTCUSD, cancel=1), m.work()
    assert [(e["id"], e["reason"]) for e in told(m, E.ORDER_CANCELLED)] == [(order, R.HALTED) for order in ids]


def test_a_key_without_an_account_has_no_orders_to_cancel(m):
    m.buy(ACME, 1, 59_000)
    m.do(K.KILL_TRADER, RISK_ONE, number=CUSTODIAN), m.work()
    assert [(e["id"], e["other"]) for e in told(m, E.SWEPT)] == [(5, CUSTODIAN)] and told(m, E.ORDER_CANCELLED) == []
    m.price(BTCUSD, 1, at(60_000))
    assert m.find(E.REFUSED) == []                                          # facts are taken from it all the same
    m.do(K.REVIVE_TRADER, RISK_ONE, number=CUSTODIAN)
    assert m.find(E.DONE)


def test_what_is_sold_in_the_sweep_of_another_side(m):
    """A taker's own level is told whoever of it was dying."""
    for i in range(MANY):
        m.sell(ACME, 0.1, 60_000 + i // 8)
    m.sell(DEALER_B, 1, 60_000)
    m.cancel_all(ACME)
    m.buy(BOLT, 1, 60_004)
    assert m.fills(BOLT) == [(60_000, 1)] and m.rows("orders", account=BOLT, side=SELL) == []
