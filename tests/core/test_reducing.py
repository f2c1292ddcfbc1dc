"""Orders that may only reduce a position, wherever they meet it: linked, waiting, in an auction, as the other side. Section 4 of docs/rules.md. On every engine
of `engines.ENGINES`."""
import pytest

from cambist.messages import Event, Kind, Reason, Session
from tests.core.engines import ENGINES
from tests.core.market import FOK, INDEX, REDUCE_ONLY, STOP, TENTH, Market, at, market
from tests.scenarios import ACME, BOLT, BUY, DEALER_A, DEALER_B, SELL

K, E, R = Kind, Event, Reason
ONLY = {"options": REDUCE_ONLY}


@pytest.fixture(params=sorted(ENGINES))
def m(request) -> Market:
    """Acme has bought three tenths."""
    m = market(request.param)
    m.sell(DEALER_A, 3, 60_000), m.buy(ACME, 3, 60_000)
    return m


def exits(m: Market, tenths: float) -> list[int]:
    return m.order_list((ACME, SELL, tenths, 61_000, {"link": 1, **ONLY}),
                        (ACME, SELL, tenths, 0, {"link": 1, "trigger": STOP, "trigger_price": at(59_000), **ONLY}))


def test_of_two_linked_orders_one_counts(m):
    """Each may take the whole position, since only one of them will; a second pair may take what the first one leaves."""
    assert exits(m, 4) == [] and [e["reason"] for e in m.find(E.REFUSED)] == [R.REDUCE_ONLY, R.BAD_GROUP]
    assert len(exits(m, 2)) == 2
    assert exits(m, 2) == [] and [e["reason"] for e in m.find(E.REFUSED)] == [R.REDUCE_ONLY, R.BAD_GROUP]
    assert len(exits(m, 1)) == 2
    m.buy(BOLT, 3, 61_000)
    assert sum(tenths for _, tenths in m.fills(ACME)) == pytest.approx(3) and m.rows("orders", account=ACME) == [] and m.rows("positions", account=ACME) == []


def test_a_stop_that_enters_falls_to_what_is_left(m):
    stop = m.sell(ACME, 3, 58_000, trigger=STOP, trigger_on=INDEX, trigger_price=at(59_500), **ONLY)
    m.buy(DEALER_B, 2, 59_900), m.sell(ACME, 2, 59_900)                     # the position falls to one by other means
    m.buy(BOLT, 5, 59_000)
    m.history.clear(), m.index(59_000), m.work()
    m.events = m.history
    reduced = m.one(E.ORDER_REDUCED)
    assert (reduced["id"], reduced["quantity"], reduced["reason"]) == (stop, 2 * TENTH, R.REDUCE_ONLY) and m.fills(ACME) == [(59_000, 1)]
    assert m.state(stop) == "gone" and m.rows("positions", account=ACME) == []


@pytest.mark.parametrize("opens", [BUY, SELL], ids=["long", "short"])
def test_an_auction_trades_no_more_than_reduces(m, opens):
    """The same account's better order takes of the position first."""
    exit_, other = 1 - opens, opens
    if opens == SELL:
        m.buy(DEALER_B, 6, 60_000), m.sell(ACME, 6, 60_000)                 # from three bought to three sold
    m.session(Session.AUCTION, Session.CONTINUOUS)
    better, worse = (60_000, 60_010) if exit_ == SELL else (60_010, 60_000)
    m.put(ACME, exit_, 2, better), m.put(ACME, exit_, 3, worse, **ONLY)
    m.put(BOLT, other, 9, 60_020 if other == BUY else 59_990)
    m.history.clear(), m.session(Session.CONTINUOUS), m.work()
    m.events = m.history
    assert [e["quantity"] for e in m.find(E.FILLED, ACME)] == [2 * TENTH, TENTH]
    assert [(e["quantity"], e["reason"]) for e in m.find(E.ORDER_REDUCED, ACME)] == [(2 * TENTH, R.REDUCE_ONLY)]
    assert m.rows("positions", account=ACME) == [] and m.rows("orders", account=ACME) == []


def test_what_only_reduces_is_not_counted_on(m):
    """Whoever wants all or nothing cannot know what it will still be when it is met."""
    m.sell(ACME, 3, 60_100, **ONLY), m.sell(DEALER_A, 2, 60_100)
    m.buy(BOLT, 3, 60_100, time_in_force=FOK)
    assert m.refused() is R.UNFILLABLE
    m.buy(BOLT, 2, 60_100, time_in_force=FOK)
    assert sum(tenths for _, tenths in m.fills(BOLT)) == pytest.approx(2)


def test_what_is_dying_is_not_counted_on(m):
    for _ in range(60):                                                     # more than are worked off at once
        m.sell(DEALER_B, 0.1, 60_100)
    m.sell(DEALER_A, 2, 60_100), m.cancel_all(DEALER_B)
    assert m.rows("orders", account=DEALER_B)
    m.buy(BOLT, 2.1, 60_100, time_in_force=FOK)
    assert m.refused() is R.UNFILLABLE
    m.buy(BOLT, 2, 60_100, time_in_force=FOK)
    assert m.fills(BOLT) == [(60_100, 2)]
