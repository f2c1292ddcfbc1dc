"""AMEND_ORDER, of a plain order and of one with a flag: what is refused leaves it as it was, beside what is taken. Section 4 of docs/rules.md. On every
engine of `engines.ENGINES`."""
import pytest

from cambist.messages import Event, Kind, Reason
from tests.core.engines import ENGINES
from tests.core.market import DAY, REDUCE_ONLY, TENTH, Market, at, market
from tests.core.test_controls import NEW, NEW_KEY, by, newcomer
from tests.scenarios import ACME, ADMIN, BOLT, BTCUSD, BTCUSD_LIMITS, BUY, DEALER_A, ONE_BTC, ONE_USD, RISK_ONE

K, E, R = Kind, Event, Reason
PLAIN, FLAGGED = {}, {"time_in_force": DAY}


@pytest.fixture(params=sorted(ENGINES))
def m(request) -> Market:
    return market(request.param)


def is_refused(m: Market, order: int, price: int, quantity: int, reason: Reason) -> None:
    """And the order, what is held for it and where it stands are as before."""
    before = {table: m.rows(table) for table in ("orders", "balances", "positions")}
    m.amend(ACME, order, price, quantity)
    assert m.refused() is reason and {table: m.rows(table) for table in before} == before


@pytest.mark.parametrize("more", [PLAIN, FLAGGED], ids=["plain", "flagged"])
@pytest.mark.parametrize("price, quantity, reason", [
    (at(999), TENTH, R.BAD_PRICE), (at(59_000) + 1, TENTH, R.OFF_TICK), (at(59_000), 0, R.BAD_QUANTITY), (at(59_000), -TENTH, R.BAD_QUANTITY),
    (at(59_000), TENTH + 1, R.OFF_LOT), (at(59_000), 101 * ONE_BTC, R.MAX_QUANTITY), (at(66_001), TENTH, R.COLLAR),
])
def test_a_price_or_a_size_that_is_none(m, more, price, quantity, reason):
    order = m.buy(ACME, 2, 59_000, **more)
    is_refused(m, order, price, quantity, reason)
    m.amend(ACME, order, at(66_000), TENTH)
    assert m.one(E.ORDER_AMENDED)["price"] == at(66_000) and m.row("orders")["leaves"] == TENTH


@pytest.mark.parametrize("more", [PLAIN, FLAGGED], ids=["plain", "flagged"])
def test_no_more_than_may_be_risked(m, more):
    order = m.buy(ACME, 2, 59_000, **more)
    m.configure(K.CONFIGURE_POSITION, account=ACME, instrument=BTCUSD, limit=3 * TENTH)
    is_refused(m, order, at(59_000), 4 * TENTH, R.POSITION)
    m.amend(ACME, order, at(59_000), 3 * TENTH)                             # its own old quantity does not count
    assert m.one(E.ORDER_AMENDED)["quantity"] == 3 * TENTH
    m.configure(K.CONFIGURE_POSITION, account=ACME, instrument=BTCUSD, limit=0)
    m.configure(K.CONFIGURE_LIMITS, instrument=BTCUSD, **{**BTCUSD_LIMITS, "max_notional": 60_000 * ONE_USD})
    is_refused(m, order, at(60_000), ONE_BTC + TENTH, R.MAX_NOTIONAL)
    m.amend(ACME, order, at(60_000), ONE_BTC)
    assert m.one(E.ORDER_AMENDED)["quantity"] == ONE_BTC
    m.configure(K.CONFIGURE_LIMITS, instrument=BTCUSD, **BTCUSD_LIMITS)
    for _ in range(3):                                                      # of twenty-one million dollars, 18 and more are held
        assert m.buy(ACME, 1_000, 60_000)
    is_refused(m, order, at(60_000), 60 * ONE_BTC, R.INSUFFICIENT)
    m.amend(ACME, order, at(60_000), 40 * ONE_BTC)
    assert m.one(E.ORDER_AMENDED)["quantity"] == 40 * ONE_BTC


@pytest.mark.parametrize("more", [PLAIN, FLAGGED], ids=["plain", "flagged"])
def test_nothing_is_amended_while_halted_or_dying(m, more):
    order = m.buy(ACME, 2, 59_000, **more)
    m.do(K.HALT, RISK_ONE, instrument=BTCUSD)
    is_refused(m, order, at(59_000), TENTH, R.HALTED)
    m.do(K.RESUME, RISK_ONE, instrument=BTCUSD)
    m.amend(ACME, order, at(59_000), TENTH)
    assert m.one(E.ORDER_AMENDED)["quantity"] == TENTH
    for _ in range(60):                                                     # more than are worked off at once
        last = m.buy(ACME, 1, 58_000, **more)
    m.cancel_all(ACME)
    m.amend(ACME, last, at(58_000), TENTH // 10)
    assert m.find(E.REFUSED)[0]["reason"] == R.DYING
    m.work(5)
    assert m.rows("orders") == []


def test_an_order_that_only_reduces_is_amended_up_to_its_position(m):
    m.sell(DEALER_A, 3, 60_000), m.buy(ACME, 3, 60_000)
    order = m.sell(ACME, 1, 61_000, options=REDUCE_ONLY)
    assert m.sell(ACME, 1, 62_000, options=REDUCE_ONLY)
    is_refused(m, order, at(61_000), 3 * TENTH, R.REDUCE_ONLY)              # the other one may take a tenth of the three
    m.amend(ACME, order, at(61_000), 2 * TENTH)
    assert m.one(E.ORDER_AMENDED)["quantity"] == 2 * TENTH


def test_a_post_only_order_is_not_amended_into_the_other_side(m):
    m.sell(BOLT, 1, 60_000)
    order = m.buy(ACME, 1, 59_000, post_only=1)
    is_refused(m, order, at(60_000), TENTH, R.POST_ONLY)
    m.amend(ACME, order, at(59_999), TENTH)
    assert m.one(E.ORDER_AMENDED)["price"] == at(59_999)


def test_exposure_counts_what_an_order_becomes(m):
    newcomer(m)
    m.configure(K.CONFIGURE_EXPOSURE, account=NEW, gross=20_000, net=15_000, loss=0)
    order = by(m, BUY, 2, 60_000)
    for tenths, taken in ((3, False), (2.5, True)):                         # 18,000 and 15,000 of 15,000
        m.do(K.AMEND_ORDER, NEW_KEY, account=NEW, order=order, price=at(60_000), quantity=round(tenths * TENTH))
        assert bool(m.find(E.ORDER_AMENDED)) is taken and (taken or m.refused() is R.EXPOSURE)
    assert m.row("exposures")["open"] == 15_000


def test_an_order_is_amended_by_the_terms_of_its_tier(m):
    """A minimum that was not asked for when it was made is held for from now on."""
    order = m.buy(ACME, 1, 59_000)
    held = m.row("orders")["held"]
    m.do(K.CONFIGURE_TIER, ADMIN, instrument=BTCUSD, tier=1, maker_ppm=0, taker_ppm=500, rfq_ppm=0, minimum=7 * ONE_USD)
    m.trading(ACME, tier=1)
    m.amend(ACME, order, at(59_000), TENTH)
    assert m.row("orders")["held"] == held + 7 * ONE_USD
