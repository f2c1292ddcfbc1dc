"""The auditor's own arithmetic: what is open, what an auction's price is, what a fee is; and whom it takes for the one that rests."""
import numpy as np
import pytest

from cambist.messages import Event as E, Kind as K, Session, Side
from cambist.simulation.audit.auditor import Auditor
from cambist.simulation.audit.figures import Figures, Terms, Wrong, charge
from cambist.simulation.audit.order_states import Order, Standing, auction_price
from cambist.simulation.twin import Twin
from tests.core.market import AT_OPEN, INDEX, STOP, at, market
from tests.scenarios import ACME, BOLT, BTCUSD, KEY_OF, RISK_ONE, SECOND


def terms(**more) -> Terms:
    return Terms(number=1, base=1, quote=2, lot=10, book_tick=5, amount_num=1, amount_den=100, settlement=0, book_last=0, **more)


def test_what_is_open_is_what_was_ordered_less_what_became_of_it():
    order = Order(id=7, ordered=100, leaves=100, shown=100, executed=0, spent=0, prevented=0, cancelled=0, by_quote=0)
    order.takes(executed=30)
    order.takes(prevented=20)
    assert (order.leaves, order.shown) == (50, 50)
    order.takes(cancelled=50)
    assert order.leaves == 0
    order.ordered += 5
    with pytest.raises(Wrong, match="105 ordered less 30 executed, 20 prevented, 50 cancelled"):
        order.takes()
    with pytest.raises(Wrong, match="order 7"):
        order.takes(executed=6)


def test_of_a_quote_sized_order_the_money_is_open():
    order = Order(id=7, ordered=100, leaves=100, shown=100, executed=0, spent=0, prevented=0, cancelled=0, by_quote=1)
    order.takes(executed=3, spent=60)
    assert (order.leaves, order.executed) == (40, 3)


@pytest.mark.parametrize(("amount", "ppm", "minimum", "right"), [(1_000_000, 150, 0, 150), (1_000_000, 150, 200, 200), (100, 150, 200, 100),
                                                                  (1_000_001, -20, 0, -20), (999, 150, 0, 0)])
def test_a_charge(amount, ppm, minimum, right):
    assert charge(amount, ppm, minimum) == right


@pytest.mark.parametrize(("bids", "asks", "reference", "right"), [
    ([(100, 10)], [(105, 10)], 100, (0, 0, 0)),                                     # not crossed
    ([(110, 10)], [(100, 10)], 104, (100, 10, 0)),                                  # the nearest to the reference
    ([(110, 10)], [(100, 10)], 106, (110, 10, 0)),
    ([(110, 10)], [(100, 10)], 0, (100, 10, 0)),                                    # without one the lowest
    ([(110, 30)], [(100, 10)], 100, (110, 10, 20)),                                 # pressure of buyers: the highest
    ([(110, 10)], [(100, 30)], 110, (100, 10, -20)),                                # of sellers: the lowest
    ([(110, 10), (105, 10)], [(100, 10), (105, 10)], 110, (105, 20, 0)),            # the most volume
])
def test_the_price_of_an_auction(bids, asks, reference, right):
    standing, one = Standing(Figures()), terms()
    for side, rows in ((Side.BUY, bids), (Side.SELL, asks)):
        for n, (price, leaves) in enumerate(rows):
            standing.levels.setdefault((1, side), {})[price] = {n: Order(leaves=leaves)}
    assert auction_price(standing, one, reference) == right


def test_lots_are_the_most_that_money_buys():
    one = terms()
    for money in (0, 7, 199, 200, 201, 12345):
        lots = one.lots(money, 20)
        assert lots % 10 == 0 and one.amount(lots, 20) <= money < one.amount(lots + 10, 20)


class Audited:
    """The rules, and the auditor beside them."""
    def __init__(self) -> None:
        self.twin, self.auditor, self.heard = Twin(), Auditor(), 0

    def apply(self, records: np.ndarray, time: int) -> np.ndarray:
        events = self.twin.apply(records, time)
        self.auditor.entry(self.heard + 1, time, records.tobytes(), events)
        self.heard += len(records)
        return events

    def __getattr__(self, name: str):
        return getattr(self.twin, name)


def test_a_triggered_order_does_not_rest_in_a_call():
    """It waits for trading to go on, while orders for the auction rest, at the same price too (seed 201914)."""
    m = market(Audited)
    m.index(60_000)
    stop = m.sell(ACME, 3, 59_000, trigger=STOP, trigger_on=INDEX, trigger_price=at(59_500))
    opening = m.sell(BOLT, 1, 59_000, time_in_force=AT_OPEN)
    m.do(K.HALT, RISK_ONE, instrument=BTCUSD)           # so that the order is triggered before the other one rests
    m.session(Session.AUCTION, Session.CONTINUOUS), m.index(59_400), m.work()
    assert (m.state(stop), m.state(opening)) == ("TRIGGERED", "WAITING")
    m.do(K.RESUME, RISK_ONE, instrument=BTCUSD), m.work()
    assert (m.state(stop), m.state(opening)) == ("TRIGGERED", "BOOK")
    m.session(Session.CONTINUOUS), m.work(4)
    assert (m.state(stop), m.state(opening)) == ("BOOK", "gone")


def test_what_is_made_after_a_dead_mans_time_may_live():
    """It latches in the sixteenth unit of work before an order, and its sweep begins after it (seed 300285)."""
    m = market(Audited)
    for dollars in range(14):
        m.buy(ACME, 1, 50_000 + dollars)
    old = m.sell(BOLT, 1, 61_000)
    m.do(K.DEAD_MAN, KEY_OF[BOLT], account=BOLT, ttl=2 * SECOND)
    m.advance(1)
    m.do(K.CANCEL_ALL, KEY_OF[ACME], account=ACME)
    m.advance(1)
    new = m.sell(BOLT, 1, 60_000)
    assert m.state(old) == "BOOK" and len(m.find(E.ORDER_CANCELLED, ACME)) == 14
    m.buy(ACME, 1, 60_000)
    assert m.fills(ACME) == [(60_000, 1)] and {m.state(old), m.state(new)} == {"gone"}


@pytest.mark.parametrize(("now", "state"), [(60_000, "WAITING"), (59_400, "BOOK")])
def test_a_child_is_reached_by_the_prices_it_waited_for(now, state):
    """What was seen while it slept makes it neither fire nor late; what the price is when it wakes does (seed 400114)."""
    m = market(Audited)
    m.index(60_000)
    stop = {"trigger": STOP, "trigger_on": INDEX, "trigger_price": at(59_500), "link": 3}
    parent, child = m.order_list((ACME, Side.BUY, 2, 60_000, {"link": 2}), (ACME, Side.SELL, 2, 59_000, stop))
    m.sell(BOLT, 1, 60_000)
    m.index(59_400), m.index(now)
    m.cancel(ACME, parent), m.work()
    for _ in range(5):
        m.advance(SECOND), m.work()
    m.engine.auditor.books.overdue(m.now)
    assert m.state(child) == state
