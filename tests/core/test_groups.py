"""Groups sent again: every record of one is told what became of it the first time. Section 1 of docs/rules.md. On every engine of `engines.ENGINES`."""
import pytest

from cambist.messages import GROUP_MORE, Event, Kind, Reason
from tests.core.engines import ENGINES
from tests.core.market import STOP, TENTH, Market, at, market
from tests.scenarios import ACME, BOLT, BTC, BTCUSD, DEALER_A, KEY_OF, ONE_BTC, ONE_XRP, OPERATIONS, SELL, USD, XRP_PRICE, XRPUSD

K, E, R = Kind, Event, Reason


@pytest.fixture(params=sorted(ENGINES))
def m(request) -> Market:
    return market(request.param)


def transfers(m: Market) -> list:
    return [m.build(K.TRANSFER, OPERATIONS, account=one, to=other, asset=asset, amount=5, flags=more)
            for one, other, asset, more in ((ACME, BOLT, USD, GROUP_MORE), (BOLT, ACME, BTC, 0))]


def quotes(m: Market) -> list:
    return [m.build(K.MASS_QUOTE, KEY_OF[DEALER_A], account=DEALER_A, instrument=instrument, bid=bid, bid_quantity=quantity, flags=more)
            for instrument, bid, quantity, more in ((BTCUSD, at(59_000), ONE_BTC, GROUP_MORE), (XRPUSD, XRP_PRICE, ONE_XRP, 0))]


def orders(m: Market) -> list:
    fields = {"account": ACME, "instrument": BTCUSD, "side": SELL, "quantity": TENTH, "link": 1}
    return [m.build(K.NEW_ORDER, KEY_OF[ACME], price=at(61_000), flags=GROUP_MORE, **fields),
            m.build(K.NEW_ORDER, KEY_OF[ACME], order_type=1, trigger=STOP, trigger_price=at(59_000), **fields)]


@pytest.mark.parametrize("make, done", [(transfers, E.TRANSFERRED), (quotes, E.BOOK_QUOTED), (orders, E.ORDER_ACCEPTED)], ids=["transfers", "quotes", "orders"])
def test_a_group_sent_again_is_not_done_again(m, make, done):
    m.trade(60_000)
    records = make(m)
    m.apply(*records)
    first = [e["sequence"] for e in m.events if e["kind"] == done][-1]
    assert m.find(E.REFUSED) == [] and m.find(done)
    before = {table: m.rows(table) for table in ("balances", "orders", "positions")}
    m.apply(*records)
    assert m.kinds() == [E.DUPLICATE] * 2 and m.events[-1]["other"] == first, m.told()
    assert {table: m.rows(table) for table in before} == before


def test_a_new_record_in_a_group_that_was_sent_before_falls_with_it(m):
    old, new = transfers(m)
    m.apply(*transfers(m)), m.apply(m.build(K.TRANSFER, OPERATIONS, account=ACME, to=BOLT, asset=USD, amount=5, id_lo=int(old["id_lo"][0])))
    m.apply(old, new)
    assert m.kinds() == [E.DUPLICATE, E.REFUSED] and m.refused() is R.BAD_GROUP
