"""What changed copies of the core have shown that no other test would notice (tools/mutate.py). Both engines."""
import pytest

from cambist.messages import MAX_AMOUNT, Event, Kind, Reason
from tests.core.engines import ENGINES
from tests.core.market import Market, at, market
from tests.scenarios import ACME, ADMIN, BOLT, BTC, BUY, DEALER_A, KRAKEN, ONE_BTC, ONE_USD, RISK_ONE, USD, WALLET, Scenario, scenario

K, E, R = Kind, Event, Reason


@pytest.fixture(params=sorted(ENGINES))
def s(request) -> Scenario:
    return scenario(ENGINES[request.param])


def test_a_threshold_of_nothing_asks_a_second_person_about_everything(s):
    """Zero is a threshold; only below zero there is none."""
    for above, wanted in ((0, [E.HELD]), (-1, [E.TRANSFERRED] * 2)):
        s.do(K.CONFIGURE_ASSET, ADMIN, asset=USD, digits=6, approval_above=above, quote_approval_above=-1, enabled=1)
        s.transfer(ACME, BOLT, USD, 1)
        assert s.kinds() == wanted, s.told()


def test_the_threshold_itself_needs_nobody(s):
    s.do(K.CONFIGURE_ASSET, ADMIN, asset=USD, digits=6, approval_above=ONE_USD, quote_approval_above=-1, enabled=1)
    s.transfer(ACME, BOLT, USD, ONE_USD)
    assert s.kinds() == [E.TRANSFERRED] * 2
    s.transfer(ACME, BOLT, USD, ONE_USD + 1)
    assert s.kinds() == [E.HELD]


@pytest.fixture(params=sorted(ENGINES))
def m(request) -> Market:
    return market(request.param)


def test_a_quote_at_the_edge_of_the_collar_is_inside(m):
    m.index(60_000), m.collar(10)
    request = m.request(ACME, BUY, ONE_BTC)
    for ask, wanted in ((54_000, None), (53_999.5, R.COLLAR), (66_000, None), (66_000.5, R.COLLAR)):
        m.quote(DEALER_A, request, ask=at(ask))
        assert (m.refused() if m.find(E.REFUSED) else None) is wanted, (ask, m.told())


def test_what_dies_before_a_taker_leaves_its_level_told(m):
    """More orders than a command's work: the taker meets those that are left, and the public hears that the level is gone."""
    m.index(60_000)
    for _ in range(60):
        m.sell(ACME, 0.1, 60_000)
    m.cancel_all(ACME)
    assert m.rows("orders", account=ACME)
    m.buy(BOLT, 1, 60_000)
    left = [e["quantity"] for e in m.history if e["kind"] == E.LEVEL and e["price"] == at(60_000) and e["side"] == 1][-1:]
    assert left == [sum(r["leaves"] for r in m.rows("orders", account=ACME))] and not m.find(E.FILLED)


def test_custody_moves_only_where_both_stay_in_range(s):
    """One beyond the largest amount on the side that takes; the side that gives would not notice."""
    s.deposit(ACME, BTC, 10)
    held = {c: s.row("balances", account=c, asset=BTC)["available"] for c in (WALLET, KRAKEN) if s.rows("balances", account=c, asset=BTC)}
    giver, taker = max((WALLET, KRAKEN), key=lambda c: held.get(c, 0)), min((WALLET, KRAKEN), key=lambda c: held.get(c, 0))
    s.move_custody(giver, taker, BTC, MAX_AMOUNT - max(0, held.get(taker, 0)))
    before = s.rows("balances", asset=BTC)
    s.move_custody(giver, taker, BTC, 1 + max(0, -held.get(taker, 0)))
    assert s.refused() is R.OVERFLOW and s.rows("balances", asset=BTC) == before


def test_the_smallest_credit_by_hand_is_one(m):
    m.deposit(WALLET, USD, 5)                                                # whose owner is not known yet
    for amount, wanted in ((0, R.BAD_AMOUNT), (1, None)):
        m.do(K.MANUAL_CREDIT, RISK_ONE, account=ACME, asset=USD, amount=amount)
        assert (m.refused() if m.find(E.REFUSED) else None) is wanted, m.told()
