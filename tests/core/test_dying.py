"""What dies never trades, enters or moves again; what is looked at when a plain order ends at a special one. On every engine of `engines.ENGINES`."""
import pytest

from cambist.messages import Event, Kind, Reason
from tests.core.engines import ENGINES
from tests.core.market import GTD, PRIMARY, STOP, Market, at, market
from tests.scenarios import ACME, BOLT, BTCUSD, DEALER_A, DEALER_B, KEY_OF, RISK_ONE, SECOND

K, E, R = Kind, Event, Reason


@pytest.fixture(params=sorted(ENGINES))
def m(request) -> Market:
    return market(request.param)


# What makes an order die is worked off before anything fires, enters or moves (section 10), so nothing that dies is ever met there.
DIES = {
    "cancel all": (lambda m: m.cancel_all(ACME), R.CANCEL_ALL),
    "cancel some": (lambda m: m.do(K.CANCEL_SOME, KEY_OF[ACME], account=ACME, instrument=BTCUSD, side=2), R.CANCEL_ALL),
    "kill": (lambda m: m.do(K.KILL, RISK_ONE, account=ACME), R.KILLED),
    "kill trader": (lambda m: m.do(K.KILL_TRADER, RISK_ONE, number=KEY_OF[ACME]), R.TRADER_KILLED),
    "good till": (lambda m: m.advance(30), R.EXPIRED),
    "dead man": (lambda m: (m.do(K.DEAD_MAN, KEY_OF[ACME], account=ACME, ttl=SECOND), m.advance(30)), R.DEAD_MAN),
}


@pytest.mark.parametrize("cause", sorted(DIES))
def test_what_dies_in_the_queue_never_enters(m, cause):
    """More orders than one command's work, all due to enter when they die."""
    m.trade(60_000), m.buy(DEALER_A, 5, 58_000)
    till = {"time_in_force": GTD, "good_till": m.now + 20 * SECOND} if cause == "good till" else {}
    stops = [m.sell(ACME, 0.1, 58_000, trigger=STOP, trigger_price=at(59_500), **till) for _ in range(20)]
    m.do(K.HALT, RISK_ONE, instrument=BTCUSD)
    m.index(60_000), m.do(K.RESUME, RISK_ONE, instrument=BTCUSD)
    m.buy(DEALER_B, 0.1, 59_400), m.do(K.HALT, RISK_ONE, instrument=BTCUSD), m.sell(DEALER_A, 0.1, 59_400)
    assert m.refused() is R.HALTED
    m.do(K.RESUME, RISK_ONE, instrument=BTCUSD)
    m.sell(DEALER_A, 0.1, 59_400)                                           # the last price, which all of them wait for
    m.do(K.HALT, RISK_ONE, instrument=BTCUSD), m.work()
    assert {m.state(stop) for stop in stops} == {"TRIGGERED"}
    kill, reason = DIES[cause]
    kill(m)
    m.do(K.RESUME, RISK_ONE, instrument=BTCUSD)
    told = m.events + m.work()
    assert [e["reason"] for e in m.history if e["kind"] == E.ORDER_CANCELLED and e["id"] in stops] == [reason] * 20
    assert not [e for e in told if e["kind"] == E.FILLED] and {m.state(stop) for stop in stops} == {"gone"}


@pytest.mark.parametrize("cause", sorted(DIES))
def test_a_peg_that_dies_never_moves(m, cause):
    m.buy(DEALER_A, 1, 59_900), m.sell(DEALER_B, 1, 60_100)
    till = {"time_in_force": GTD, "good_till": m.now + 20 * SECOND} if cause == "good till" else {}
    pegs = [m.buy(ACME, 0.1, 60_000, order_type=PRIMARY, **till) for _ in range(20)]
    kill, reason = DIES[cause]
    m.do(K.HALT, RISK_ONE, instrument=BTCUSD), kill(m), m.cancel_all(DEALER_A), m.do(K.RESUME, RISK_ONE, instrument=BTCUSD)
    m.buy(DEALER_A, 1, 59_950), m.work()
    assert [e["reason"] for e in m.history if e["kind"] == E.ORDER_CANCELLED and e["id"] in pegs] == [reason] * 20
    assert not [e for e in m.history if e["kind"] == E.ORDER_MOVED]


def test_pegs_are_looked_at_after_a_plain_order_that_ends_at_one(m):
    """It traded with what is not pegged, then met its own peg and was cancelled: the best of what is not pegged is another."""
    m.sell(BOLT, 1, 60_000)
    peg = m.sell(ACME, 1, 59_000, order_type=PRIMARY, offset=at(100))
    assert m.row("orders", id=peg)["price"] == at(60_100)
    m.buy(ACME, 3, 60_500)
    assert m.fills(ACME) == [(60_000, 1)] and m.one(E.ORDER_CANCELLED)["reason"] == R.SELF_TRADE
    m.work()
    assert m.one(E.ORDER_MOVED)["id"] == peg and m.state(peg) == "ASLEEP"
