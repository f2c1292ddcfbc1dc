"""Amounts that leave the range of money, each beside the largest that does not: nothing wraps round, and nothing is rounded into the range. On every engine
of `engines.ENGINES`."""
import pytest

from cambist.messages import MAX_AMOUNT, MAX_WORTH, Event, Kind, Reason, Scope
from tests.core.engines import ENGINES
from tests.core.market import BY_QUOTE, DAY, IOC, MARKET, Market, at, grant_more, market
from tests.core.test_controls import NEW, NEW_KEY, by, newcomer
from tests.core.test_precision import crowd
from tests.scenarios import (
    ACME, BOLT, BTC, BTCUSD, BTCUSD_LIMITS, BTCUSD_MADE, BUY, CUSTODIAN, DEALER_A, DESK, DESK_KEY, HOUSE, KEY_OF, KRAKEN, ONE_BTC, ONE_USD, ONE_XRP,
    RISK_ONE, SELL, USD, XRP_PRICE, XRPUSD,
)

K, E, R = Kind, Event, Reason
MADE = 3                                        # an instrument made in a test


@pytest.fixture(params=sorted(ENGINES))
def m(request) -> Market:
    return market(request.param)


@pytest.fixture(params=sorted(ENGINES))
def fine(request) -> Market:
    """The dollar has twelve digits, and nobody has many of them: 4.6 million are the range, and a hundred bitcoin are worth more."""
    m = Market(ENGINES[request.param]())
    m.genesis(funds=False), grant_more(m)
    for account in (ACME, BOLT, DEALER_A):
        m.deposit(account, USD, 100_000 * ONE_USD), m.deposit(account, BTC, 90 * ONE_BTC)
    m.configure(K.CONFIGURE_LIMITS, instrument=BTCUSD, **{**BTCUSD_LIMITS, "max_notional": 4_000_000 * ONE_USD})
    for instrument in (BTCUSD, XRPUSD):
        m.do(K.HALT, RISK_ONE, instrument=instrument)
    dollar = {"asset": USD, "approval_above": -1, "quote_approval_above": -1}
    m.configure(K.CONFIGURE_ASSET, digits=6, enabled=0, **dollar)
    m.do(K.CHANGE_DIGITS, RISK_ONE, asset=USD, digits=12), m.work()
    assert m.find(E.DIGITS_CHANGED), m.told()
    m.configure(K.CONFIGURE_ASSET, digits=12, enabled=1, **dollar)
    for instrument in (BTCUSD, XRPUSD):
        m.do(K.RESUME, RISK_ONE, instrument=instrument)
    return m


SIZES = ((100 * ONE_BTC, R.OVERFLOW), (76 * ONE_BTC, R.MAX_NOTIONAL), (66 * ONE_BTC, R.INSUFFICIENT), (ONE_BTC, None))


@pytest.mark.parametrize("more", [{}, {"time_in_force": DAY}], ids=["plain", "flagged"])
def test_an_order_worth_more_than_there_is(fine, more):
    for quantity, reason in SIZES:
        order = fine.order(ACME, BUY, quantity, at(60_000), **more)
        assert (fine.refused() if reason else R.NONE) == (reason or R.NONE) and bool(order) is (reason is None), quantity


@pytest.mark.parametrize("more", [{}, {"time_in_force": DAY}], ids=["plain", "flagged"])
def test_an_order_amended_to_more_than_there_is(fine, more):
    order = fine.order(ACME, BUY, ONE_BTC, at(60_000), **more)
    for quantity, reason in SIZES:
        fine.amend(ACME, order, at(60_000), quantity)
        assert (fine.refused() if reason else R.NONE) == (reason or R.NONE) and bool(fine.find(E.ORDER_AMENDED)) is (reason is None), quantity


def test_a_quote_in_the_book_worth_more_than_there_is(fine):
    for quantity, reason in SIZES:
        fine.do(K.MASS_QUOTE, KEY_OF[DEALER_A], account=DEALER_A, instrument=BTCUSD, bid=at(60_000), bid_quantity=quantity)
        assert (fine.refused() if reason else R.NONE) == (reason or R.NONE) and bool(fine.find(E.BOOK_QUOTED)) is (reason is None), quantity


def test_a_quote_on_request_worth_more_than_there_is(fine):
    fine.configure(K.CONFIGURE_CREDIT, account=DEALER_A, giver=HOUSE, asset=USD, limit=0, quoting_limit=10**18)
    for quantity, reason in ((100 * ONE_BTC, R.OVERFLOW), (76 * ONE_BTC, R.MAX_NOTIONAL), (66 * ONE_BTC, R.QUOTING_LINE), (ONE_BTC, None)):
        request = fine.request(ACME, SELL, quantity)
        quote = fine.quote(DEALER_A, request, bid=at(60_000))
        assert (fine.refused() if reason else R.NONE) == (reason or R.NONE) and bool(quote) is (reason is None), quantity


@pytest.mark.parametrize("kind", ["order", "amend", "quote"])
def test_a_hold_with_its_fee_beyond_the_range(fine, kind):
    """The amount alone is inside: 76.8 bitcoin, at a fee of a tenth, are not."""
    fine.configure(K.CONFIGURE_FEES, instrument=BTCUSD, maker_ppm=0, taker_ppm=100_000, rfq_ppm=0)
    order = fine.order(ACME, BUY, ONE_BTC, at(60_000), time_in_force=DAY)
    for tenths, reason in ((768, R.OVERFLOW), (690, R.MAX_NOTIONAL), (10, None)):
        quantity = tenths * ONE_BTC // 10
        if kind == "order":
            fine.order(BOLT, BUY, quantity, at(60_000), time_in_force=DAY)
        elif kind == "amend":
            fine.amend(ACME, order, at(60_000), quantity)
        else:
            fine.do(K.MASS_QUOTE, KEY_OF[DEALER_A], account=DEALER_A, instrument=BTCUSD, bid=at(60_000), bid_quantity=quantity)
        assert (fine.refused() if reason else R.NONE) == (reason or R.NONE), (tenths, fine.told())
        assert reason or fine.find(E.REFUSED) == []


# ------------------------------------------------------------------------------------------------------------------ by quote
def test_a_market_order_by_quote_of_all_the_money_there_is(m):
    """Nobody sells, so it is small in base; but no hold for it is in the range."""
    for quantity, reason in ((MAX_AMOUNT, R.OVERFLOW), (MAX_AMOUNT // 2, R.MAX_NOTIONAL), (10_000_000 * ONE_USD + 1, R.MAX_NOTIONAL), (ONE_USD, None)):
        m.do(K.NEW_ORDER, KEY_OF[BOLT], account=BOLT, instrument=BTCUSD, side=BUY, order_type=MARKET, options=BY_QUOTE, quantity=quantity)
        assert (m.refused() if reason else R.NONE) == (reason or R.NONE), quantity
    assert m.one(E.ORDER_CANCELLED)["reason"] == R.IMMEDIATE and m.balance(BOLT, USD, "held") == 0


def test_a_market_order_by_quote_on_credit(m):
    m.order(ACME, SELL, 300_000 * ONE_XRP, XRP_PRICE, XRPUSD, time_in_force=DAY)
    assert m.refused() is R.CREDIT                                          # 150,000 of 100,000
    assert m.order(ACME, SELL, 150_000 * ONE_XRP, XRP_PRICE, XRPUSD)
    fields = {"account": BOLT, "instrument": XRPUSD, "side": BUY, "order_type": MARKET, "time_in_force": IOC, "options": BY_QUOTE}
    m.do(K.NEW_ORDER, KEY_OF[BOLT], quantity=100_000 * ONE_USD + 1, **fields)
    assert m.refused() is R.CREDIT
    m.do(K.NEW_ORDER, KEY_OF[BOLT], quantity=20 * ONE_USD, **fields)
    assert m.find(E.FILLED, BOLT)[0]["quantity"] == 40 * ONE_XRP and m.credit(BOLT)["reserved"] == 0


# ------------------------------------------------------------------------------------------------------------------ exposure
def test_a_worth_in_the_numeraire_beyond_its_range(m):
    """Each order may be worth MAX_WORTH; together they count as no more than that."""
    newcomer(m)
    rate = MAX_WORTH // (120_000 * ONE_USD)                                 # two bitcoin are all there is
    m.configure(K.CONFIGURE_ASSET, asset=USD, digits=6, approval_above=-1, quote_approval_above=-1, enabled=1, rate_num=rate, rate_den=1)
    m.configure(K.CONFIGURE_EXPOSURE, account=NEW, gross=0, net=0, loss=0)
    by(m, BUY, 21, 60_000)
    assert m.refused() is R.OVERFLOW
    for _ in range(2):
        assert by(m, BUY, 15, 60_000)
    m.sell(BOLT, 30, 60_000)
    assert m.find(E.FILLED, NEW) and m.row("exposures")["gross"] == m.row("exposures")["net"] == MAX_WORTH
    m.do(K.AMEND_ORDER, NEW_KEY, account=NEW, order=by(m, BUY, 1, 60_000), price=at(60_000), quantity=21 * ONE_BTC // 10)
    assert m.refused() is R.OVERFLOW


# ------------------------------------------------------------------------------------------------------------------ terms
def made(m: Market, **more: int) -> None:
    m.configure(K.CONFIGURE_INSTRUMENT, instrument=MADE, **{**BTCUSD_MADE, **more})
    m.do(K.HALT, RISK_ONE, instrument=MADE)


@pytest.mark.parametrize("more, change, reason", [
    ({"amount_den": MAX_AMOUNT}, {"price_factor": 10}, R.OVERFLOW), ({"amount_den": MAX_AMOUNT}, {"price_factor": 1}, None),
    ({"amount_den": MAX_AMOUNT // 10}, {"price_factor": 10}, None),
    ({"amount_num": 10**9 + 7}, {"max_price": 10**13}, R.OVERFLOW), ({"amount_num": 10**9 + 7}, {"max_price": 10**9}, None),
])
def test_terms_whose_products_leave_the_range(m, more, change, reason):
    """The denominator of what a price is worth, and the largest price itself."""
    made(m, **more)
    terms = {"price_factor": 1, "lot": 1_000, "book_tick": 10**5, "quote_tick": 1, "min_price": 10**5, "max_price": 2 * 10**7, **change}
    if change.get("max_price") == 10**13:
        terms |= {"book_tick": 10**9, "min_price": 10**9}
    m.do(K.CHANGE_TERMS, RISK_ONE, instrument=MADE, **terms)
    assert (m.refused() if reason else R.NONE) == (reason or R.NONE) and bool(m.find(E.TERMS_CHANGED)) is (reason is None)


def test_a_fill_of_a_venue_whose_price_leaves_the_range(m):
    made(m, amount_num=10**9)
    fill = {"child": 7, "side": BUY, "quantity": 1, "instrument": MADE, "venue": 1}
    m.do(K.CHILD_FILLED, CUSTODIAN, price=MAX_AMOUNT // 10**9 + 1, id_lo=901, **fill)
    assert m.refused() is R.OVERFLOW
    m.do(K.CHILD_FILLED, CUSTODIAN, price=MAX_AMOUNT // 10**9, id_lo=902, **fill)
    assert m.one(E.ALERT)["reason"] == R.UNMATCHED


def test_the_desk_is_barred_from_an_instrument_at_its_venues_too(m):
    m.deposit(DESK, USD, 10**12, custody=KRAKEN)
    for barred in (1, 0):
        m.configure(K.CONFIGURE_RESTRICTION, account=DESK, instrument=BTCUSD, barred=barred)
        child = m.child(BUY, ONE_BTC // 10, at(60_000))
        assert bool(child) is not barred and (child or m.refused() is R.RESTRICTED)
    m.configure(K.CONFIGURE_RESTRICTION, number=DESK_KEY, instrument=BTCUSD, barred=1)
    m.child(BUY, ONE_BTC // 10, at(60_000))
    assert m.refused() is R.RESTRICTED


def test_digits_do_not_change_where_a_sum_of_the_house_would_leave_the_range(m):
    """What came in and went out again stands in no balance; but the sums say it, at the command or when something came meanwhile."""
    m.configure(K.CONFIGURE_AUTHORITY, role=5, command=K.TRANSFER, scope=Scope.ALL, second_person=0)
    most = MAX_AMOUNT // 10**7
    amount = most - 30 * ONE_BTC                                            # the desk has brought twenty
    for instrument in (BTCUSD, XRPUSD):
        m.do(K.HALT, RISK_ONE, instrument=instrument, cancel=1)
    m.work()
    m.deposit(DESK, BTC, amount), m.transfer(DESK, BOLT, BTC, amount), m.reverse(BOLT, BTC, amount)
    assert m.find(E.ALERT) == [] and m.find(E.DEPOSIT_REVERSED)
    crowd(m)
    m.configure(K.CONFIGURE_ASSET, asset=BTC, digits=8, approval_above=-1, quote_approval_above=-1, enabled=0)
    m.do(K.CHANGE_DIGITS, RISK_ONE, asset=BTC, digits=16)
    assert m.refused() is R.OVERFLOW
    for more, gives_up in ((20 * ONE_BTC, True), (0, False)):
        m.do(K.CHANGE_DIGITS, RISK_ONE, asset=BTC, digits=15)
        assert m.kinds() == [E.DONE], m.told()
        if more:
            m.deposit(DESK, BTC, more)
        m.work(9)
        assert [(e["reason"], e["id"], e["other"]) for e in m.find(E.ALERT)] == ([(R.OVERFLOW, 0, BTC)] if gives_up else []), m.told()
        assert bool(m.find(E.DIGITS_CHANGED)) is not gives_up
        if more:
            m.reverse(DESK, BTC, more)
    assert m.row("assets", asset=BTC)["digits"] == 15


@pytest.mark.parametrize("digits, reason", [(14, None), (15, R.OVERFLOW)])
def test_digits_do_not_change_where_what_a_maker_traded_would_leave_the_range(m, digits, reason):
    """Six thousand bitcoin went to and fro inside its window; none of them stayed."""
    m.configure(K.CONFIGURE_LIMITS, instrument=BTCUSD, **{**BTCUSD_LIMITS, "max_quantity": 2_000 * ONE_BTC, "max_notional": 10**15})
    m.configure(K.CONFIGURE_PROTECTION, account=DEALER_A, instrument=BTCUSD, quantity=0, delta=1_600 * ONE_BTC, window=8_000 * 10**9)
    for account in (DEALER_A, BOLT):
        m.deposit(account, BTC, 1_500 * ONE_BTC), m.deposit(account, USD, 200_000_000 * ONE_USD)
    for _ in range(4):
        m.mass_quote(DEALER_A, 59_900, 15_000, 60_100, 15_000)
        m.sell(BOLT, 15_000, 59_900, time_in_force=IOC), m.buy(BOLT, 15_000, 60_100, time_in_force=IOC)
        assert m.find(E.FILLED), m.told()
    for instrument in (BTCUSD, XRPUSD):
        m.do(K.HALT, RISK_ONE, instrument=instrument, cancel=1)
    m.work()
    m.configure(K.CONFIGURE_ASSET, asset=BTC, digits=8, approval_above=-1, quote_approval_above=-1, enabled=0)
    m.do(K.CHANGE_DIGITS, RISK_ONE, asset=BTC, digits=digits)
    assert m.kinds() == [E.DONE], m.told()
    m.work(4)
    assert [(e["reason"], e["id"]) for e in m.find(E.ALERT)] == ([(reason, DEALER_A)] if reason else [])
    assert m.row("assets", asset=BTC)["digits"] == (8 if reason else digits)
