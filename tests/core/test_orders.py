"""Every order type and flag of docs/rules.md sections 4 and 12, each success beside its refusals. On every engine of `engines.ENGINES`."""
import pytest

from cambist.messages import EFFECTIVE_SELF_TRADE, FLOATING, Event, Kind, Liquidity, Reason, SelfTrade, Session
from tests.core.engines import ENGINES
from tests.core.market import (
    AT_CLOSE, AT_OPEN, AUCTION, BY_QUOTE, DAY, FOK, GTD, INDEX, IOC, LAST, LIMIT, MARK, MARKET, MIDPOINT, OPPOSITE, PRIMARY, REDUCE_ONLY, STOP, TAKE_PROFIT,
    TENTH, TRAILING, Market, at, market,
)
from tests.core.test_order_lists import entry, stop_loss, target
from tests.scenarios import ACME, ACME_TWO, BOLT, BTC, BTCUSD, BUY, DEALER_A, DEALER_B, KEY_OF, ONE_BTC, ONE_USD, RISK_ONE, SECOND, SELL, USD

K, E, R = Kind, Event, Reason


@pytest.fixture(params=sorted(ENGINES))
def m(request) -> Market:
    return market(request.param)


# --------------------------------------------------------------------------------------------------------- what does not go together
@pytest.mark.parametrize("fields, reason", [
    ({"order_type": 5}, R.BAD_TYPE), ({"time_in_force": 8}, R.BAD_TIME_IN_FORCE), ({"post_only": 3}, R.BAD_VALUE), ({"options": 4}, R.BAD_VALUE),
    ({"post_only": 1, "time_in_force": IOC}, R.BAD_VALUE), ({"post_only": 2, "trigger": STOP, "trigger_price": at(61_000)}, R.BAD_VALUE),
    ({"options": BY_QUOTE}, R.BAD_VALUE), ({"offset": 100}, R.BAD_VALUE), ({"offset": -1, "order_type": PRIMARY}, R.BAD_VALUE), ({"link": 1}, R.BAD_LINK),
    ({"link": 9}, R.BAD_LINK), ({"order_type": PRIMARY, "time_in_force": IOC}, R.BAD_TIME_IN_FORCE), ({"order_type": MARKET}, R.BAD_PRICE),
    ({"order_type": MARKET, "price": 0, "time_in_force": DAY}, R.BAD_TIME_IN_FORCE), ({"trigger": 4}, R.BAD_TRIGGER), ({"trigger_on": 1}, R.BAD_TRIGGER),
    ({"trigger_price": 1}, R.BAD_TRIGGER), ({"trigger": STOP, "trigger_price": 99}, R.BAD_TRIGGER),
    ({"trigger": STOP, "trigger_price": at(61_000), "time_in_force": FOK}, R.BAD_TRIGGER),
    ({"trigger": TRAILING, "trigger_price": at(100)}, R.BAD_TRIGGER), ({"trigger": STOP, "trigger_price": at(61_000), "order_type": PRIMARY}, R.BAD_TRIGGER),
    ({"good_till": 1}, R.BAD_TTL), ({"time_in_force": GTD}, R.BAD_TTL), ({"time_in_force": GTD, "good_till": SECOND}, R.BAD_TTL),
    ({"display": 1}, R.BAD_DISPLAY), ({"display": 2 * ONE_BTC}, R.BAD_DISPLAY), ({"display": TENTH, "time_in_force": IOC}, R.BAD_DISPLAY),
    ({"minimum": 2 * ONE_BTC}, R.BAD_VALUE), ({"minimum": 1}, R.BAD_VALUE), ({"minimum": TENTH, "post_only": 1}, R.BAD_VALUE),
    ({"time_in_force": AUCTION}, R.SESSION), ({"quantity": -TENTH}, R.BAD_QUANTITY),
    ({"order_type": MARKET, "price": 0, "options": BY_QUOTE, "self_trade": SelfTrade.DECREMENT}, R.BAD_VALUE),
    ({"order_type": MARKET, "price": 0, "options": BY_QUOTE | REDUCE_ONLY}, R.BAD_VALUE),
    ({"order_type": MARKET, "price": 0, "options": BY_QUOTE, "quantity": 0}, R.BAD_QUANTITY),
])
def test_fields_that_do_not_go_together(m, fields, reason):
    m.do(K.NEW_ORDER, KEY_OF[BOLT], **{"account": BOLT, "instrument": BTCUSD, "side": BUY, "quantity": ONE_BTC, "price": at(60_000), **fields})
    assert m.refused() is reason


# ------------------------------------------------------------------------------------------------------------------ market by quote
def test_a_market_order_by_quote_spends_at_most_its_quantity(m):
    m.sell(ACME, 5, 60_000), m.sell(ACME, 5, 60_100)
    before = m.balance(BOLT, USD)
    m.do(K.NEW_ORDER, KEY_OF[BOLT], account=BOLT, instrument=BTCUSD, side=BUY, order_type=MARKET, options=BY_QUOTE, quantity=45_000 * ONE_USD)
    first, rest = m.find(E.FILLED, BOLT)
    assert (first["quantity"], rest["quantity"]) == (5 * TENTH, 24_958_000)        # 15,000 at 60,100, in whole lots of 0.00001
    assert m.one(E.ORDER_CANCELLED, BOLT)["reason"] == R.IMMEDIATE and 0 < m.one(E.ORDER_CANCELLED, BOLT)["quantity"] < ONE_USD
    spent = first["amount"] + rest["amount"]
    assert [(e["kind"], e["liquidity"]) for e in m.events if e["account"] == BOLT] == [
        (kind, Liquidity.TAKER_BY_QUOTE) for kind in (E.ORDER_ACCEPTED, E.FILLED, E.FILLED, E.ORDER_CANCELLED)]
    assert first["leaves"] == 15_000 * ONE_USD and {e["liquidity"] for e in m.events if e["account"] == ACME} == {Liquidity.MAKER}
    assert spent <= 45_000 * ONE_USD and before - m.balance(BOLT, USD) == spent + first["fee"] + rest["fee"] and m.balance(BOLT, USD, "held") == 0


def test_a_market_order_by_quote_sells_for_at_most_its_quantity(m):
    m.buy(ACME, 10, 60_000)
    m.do(K.NEW_ORDER, KEY_OF[BOLT], account=BOLT, instrument=BTCUSD, side=SELL, order_type=MARKET, options=BY_QUOTE, quantity=12_000 * ONE_USD)
    assert m.find(E.ORDER_CANCELLED, BOLT) == [] and m.balance(BOLT, BTC, "held") == 0


def test_an_order_by_base_quantity_says_nothing_of_the_quote(m):
    m.buy(ACME, 1, 60_000)
    m.sell(BOLT, 2, 60_000, time_in_force=IOC)
    assert [(e["kind"], e["liquidity"]) for e in m.events if e["account"] == BOLT] == [
        (E.ORDER_ACCEPTED, Liquidity.NONE), (E.FILLED, Liquidity.TAKER), (E.ORDER_CANCELLED, Liquidity.NONE)]
    m.sell(BOLT, 2, 60_000, options=BY_QUOTE)                               # a limit cannot be by quote
    assert m.refused() is R.BAD_VALUE and m.one(E.REFUSED)["liquidity"] == Liquidity.NONE


def test_a_market_order_by_quote_that_is_too_large_in_base(m):
    m.sell(ACME, 10, 60_000)
    m.do(K.NEW_ORDER, KEY_OF[BOLT], account=BOLT, instrument=BTCUSD, side=BUY, order_type=MARKET, options=BY_QUOTE, quantity=6_100_000 * ONE_USD)
    assert m.refused() is R.MAX_QUANTITY


# ------------------------------------------------------------------------------------------------------------------ post-only, slide
def test_post_only_slides_one_tick_behind_the_other_side(m):
    m.sell(ACME, 1, 60_000)
    slid = m.buy(BOLT, 1, 60_500, post_only=2)
    assert m.one(E.ORDER_ACCEPTED)["price"] == at(59_999) and m.state(slid) == "BOOK"
    m.buy(BOLT, 1, 60_500, post_only=1)
    assert m.refused() is R.POST_ONLY
    m.amend(BOLT, slid, at(60_700), TENTH)
    assert m.one(E.ORDER_AMENDED)["price"] == at(59_999)


@pytest.mark.parametrize("edge, inside, maker, slider", [(1_000, 1_001, SELL, BUY), (200_000, 199_999, BUY, SELL)])
def test_post_only_never_slides_out_of_the_range(m, edge, inside, maker, slider):
    """Where the other side stands at the last price there is, there is no tick behind it."""
    m.index(edge)
    far = m.put(ACME, maker, 1, inside)
    assert m.put(BOLT, slider, 1, inside, post_only=2) and m.one(E.ORDER_ACCEPTED)["price"] == at(edge)
    m.cancel_all(BOLT), m.cancel(ACME, far), m.work()
    m.put(ACME, maker, 1, edge)
    m.put(BOLT, slider, 1, edge, post_only=2)
    assert m.refused() is R.POST_ONLY and len(m.rows("orders")) == 1


# ------------------------------------------------------------------------------------------------------------------ iceberg
def test_an_iceberg_shows_a_part_and_loses_its_place_when_it_shows_the_next(m):
    iceberg = m.sell(ACME, 5, 60_000, display=2 * TENTH)
    other = m.sell(DEALER_A, 3, 60_000)
    assert m.book()[1] == [(60_000, 5)]                                     # 2 shown of the iceberg, 3 of the other
    m.buy(BOLT, 3, 60_000)
    assert [(e["id"], e["quantity"]) for e in m.find(E.FILLED) if e["liquidity"] == Liquidity.MAKER] == [(iceberg, 2 * TENTH), (other, TENTH)]
    assert [(r["id"], r["shown"], r["leaves"]) for r in m.rows("orders")] == [(other, 2 * TENTH, 2 * TENTH), (iceberg, 2 * TENTH, 3 * TENTH)]
    m.buy(BOLT, 5, 60_000, time_in_force=FOK)                               # hidden quantity can be taken
    assert len(m.find(E.FILLED, BOLT)) == 3 and m.book() == ([], [])


def test_amending_an_iceberg(m):
    iceberg = m.sell(ACME, 5, 60_000, display=2 * TENTH)
    m.amend(ACME, iceberg, at(60_000), TENTH)
    assert m.row("orders")["shown"] == TENTH
    m.amend(ACME, iceberg, at(60_000), 6 * TENTH)
    assert m.row("orders")["shown"] == 2 * TENTH


# ------------------------------------------------------------------------------------------------------------------ minimum quantity
def test_a_minimum_is_traded_at_once_or_the_order_is_refused(m):
    m.sell(ACME, 2, 60_000)
    m.buy(BOLT, 5, 60_000, minimum=3 * TENTH)
    assert m.refused() is R.UNFILLABLE
    rest = m.buy(BOLT, 5, 60_000, minimum=2 * TENTH)
    assert m.fills(BOLT) == [(60_000, 2)] and m.row("orders", id=rest)["leaves"] == 3 * TENTH


def test_a_minimum_does_not_count_what_it_may_not_trade_with(m):
    m.sell(BOLT, 2, 60_000), m.sell(ACME, 2, 60_000)
    m.buy(BOLT, 5, 60_000, minimum=2 * TENTH)                               # CANCEL_NEWEST: stops at its own
    assert m.refused() is R.UNFILLABLE
    m.buy(BOLT, 5, 60_000, minimum=2 * TENTH, self_trade=SelfTrade.CANCEL_OLDEST)
    assert m.fills(BOLT) == [(60_000, 2)]


# ------------------------------------------------------------------------------------------------------------------ reduce-only
def test_reduce_only_never_turns_a_position(m):
    m.sell(ACME, 3, 60_000, options=REDUCE_ONLY)
    assert m.refused() is R.REDUCE_ONLY                                     # no position
    m.sell(DEALER_A, 5, 60_000), m.buy(ACME, 5, 60_000)
    m.buy(ACME, 1, 59_000, options=REDUCE_ONLY)
    assert m.refused() is R.REDUCE_ONLY                                     # a long position is not reduced by buying
    first, second = m.sell(ACME, 3, 61_000, options=REDUCE_ONLY), m.sell(ACME, 2, 61_100, options=REDUCE_ONLY)
    m.sell(ACME, 1, 61_200, options=REDUCE_ONLY)
    assert m.refused() is R.REDUCE_ONLY                                     # several together never exceed the position
    m.buy(DEALER_B, 4, 59_900), m.sell(ACME, 4, 59_900)                     # the position falls to 1 by other means
    m.buy(BOLT, 5, 61_100)
    assert m.fills(ACME) == [(61_000, 1)] and [e["quantity"] for e in m.find(E.ORDER_REDUCED, ACME)] == [2 * TENTH, 2 * TENTH]
    assert m.state(first) == m.state(second) == "gone" and m.rows("positions", account=ACME) == []


# ------------------------------------------------------------------------------------------------------------------ triggers
@pytest.mark.parametrize("side, trigger, trigger_price, before, reaches", [
    (SELL, STOP, 59_000, 59_100, 59_000), (BUY, STOP, 61_000, 60_900, 61_000), (SELL, TAKE_PROFIT, 61_000, 60_900, 61_050),
    (BUY, TAKE_PROFIT, 59_000, 59_100, 58_950),
])
@pytest.mark.parametrize("source", (LAST, INDEX))
def test_a_trigger_waits_for_its_price(m, side, trigger, trigger_price, before, reaches, source):
    def moves(dollars):
        m.trade(dollars) if source == LAST else m.index(dollars)
    moves(60_000)
    limit = {"order_type": LIMIT, "price": at(59_500 if side == SELL else 60_500)}
    for fields in ({"order_type": MARKET, "price": 0}, limit):
        m.do(K.NEW_ORDER, KEY_OF[ACME], account=ACME, instrument=BTCUSD, side=side, quantity=TENTH, trigger=trigger, trigger_on=source,
             trigger_price=at(trigger_price), **fields)
        assert m.one(E.ORDER_ACCEPTED)["other"] == at(trigger_price)
    waiting = sorted(r["id"] for r in m.rows("orders"))
    moves(before), m.work()
    assert [m.state(o) for o in waiting] == ["WAITING", "WAITING"]
    m.history.clear(), moves(reaches), m.work()
    m.events = m.history
    assert [e["id"] for e in m.find(E.ORDER_TRIGGERED)] == waiting
    assert m.find(E.ORDER_CANCELLED)[0]["reason"] == R.IMMEDIATE             # the market order met nobody
    assert m.state(waiting[0]) == "gone" and m.state(waiting[1]) == "BOOK"


def test_a_trigger_that_was_reached_already_is_refused(m):
    m.trade(60_000)
    for side, trigger, price in ((SELL, STOP, 60_000), (BUY, STOP, 60_000), (SELL, TAKE_PROFIT, 59_900), (BUY, TAKE_PROFIT, 60_100)):
        m.put(ACME, side, 1, 0, order_type=MARKET, trigger=trigger, trigger_price=at(price))
        assert m.refused() is R.BAD_TRIGGER


def test_a_trigger_on_the_mark_sees_the_median_of_index_and_book(m):
    m.buy(DEALER_A, 1, 59_000), m.sell(DEALER_B, 1, 59_200)                 # index 60,000: the median is the ask
    stop = m.sell(ACME, 1, 0, trigger=STOP, trigger_on=MARK, trigger_price=at(59_150))
    m.work()
    assert m.state(stop) == "WAITING"
    m.sell(DEALER_B, 1, 59_140), m.work()
    assert m.fills(ACME) == [(59_000, 1)]


def test_a_waiting_order_holds_its_worst_case_and_pays_nothing_more(m):
    m.trade(60_000)
    free = m.balance(BOLT, USD)
    m.buy(BOLT, 10, 0, trigger=STOP, trigger_price=at(61_000))
    worst = 67_100 * ONE_USD                                                # the trigger and the collar of a tenth
    assert free - m.balance(BOLT, USD) == worst + worst * 500 // 10**6
    for _ in range(3):
        m.buy(BOLT, 990, 0, trigger=STOP, trigger_price=at(61_000))
    m.buy(BOLT, 990, 0, trigger=STOP, trigger_price=at(61_000))
    assert m.refused() is R.INSUFFICIENT


def test_a_price_that_came_and_went_is_not_forgotten(m):
    """More stops than a command works off: all fire, though the price is back before the last of them."""
    m.trade(60_000)
    stops = [m.sell(ACME, 1, 59_000, trigger=STOP, trigger_price=at(59_500), time_in_force=IOC) for _ in range(80)]
    m.trade(59_400), m.trade(60_000)
    m.sell(ACME, 1, 59_000, trigger=STOP, trigger_price=at(59_450))
    assert m.refused() is R.BAD_TRIGGER                                     # reached by what the others still wait to be fired by
    assert "WAITING" in {m.state(o) for o in stops}
    m.work(10)
    assert {m.state(o) for o in stops} == {"gone"}
    assert m.sell(ACME, 1, 59_000, trigger=STOP, trigger_price=at(59_450))


def test_stops_fire_in_the_order_the_price_comes_to_them(m):
    m.trade(60_000)
    far = m.sell(ACME, 1, 58_000, trigger=STOP, trigger_price=at(59_000))
    near = m.sell(BOLT, 1, 58_000, trigger=STOP, trigger_price=at(59_500))
    m.trade(58_900), m.work()
    assert [e["id"] for e in m.find(E.ORDER_TRIGGERED)] == [near, far]


def test_stops_cancelled_in_any_order_leave_the_others_waiting_in_theirs(m):
    m.trade(60_000)
    stops = {59_000 - 10 * (7 * i % 40): 0 for i in range(40)}
    for price in stops:
        stops[price] = m.sell(ACME, 1, 0, trigger=STOP, trigger_price=at(price))
    assert all(stops.values())
    for price in sorted(stops, key=lambda price: price * 37 % 401)[:25]:
        m.cancel(ACME, stops.pop(price))
    m.history.clear(), m.trade(58_000), m.work(6)
    assert [e["id"] for e in m.history if e["kind"] == E.ORDER_TRIGGERED] == [stops[price] for price in sorted(stops, reverse=True)]


# ------------------------------------------------------------------------------------------------------------------ trailing
def test_a_trailing_stop_follows_and_does_not_come_back(m):
    m.sell(ACME, 1, 0, trigger=TRAILING, trigger_price=at(500))
    assert m.refused() is R.NO_REFERENCE                                    # nobody has traded
    m.trade(60_000)
    stop = m.sell(ACME, 1, 0, trigger=TRAILING, trigger_price=at(500))
    assert m.row("orders", id=stop)["trigger_price"] == at(59_500)
    m.trade(60_400), m.trade(60_100)
    assert m.row("orders", id=stop)["trigger_price"] == at(59_900)
    m.buy(BOLT, 1, 59_800), m.trade(59_900), m.work()
    assert m.fills(ACME) == [(59_800, 1)]


def test_a_trailing_stop_no_further_away_than_there_are_prices(m):
    m.trade(60_000)
    m.sell(ACME, 1, 0, trigger=TRAILING, trigger_price=at(60_000))
    assert m.refused() is R.BAD_TRIGGER                                     # it would wait for nothing at all
    assert m.sell(ACME, 1, 0, trigger=TRAILING, trigger_price=at(60_000) - 1) and m.row("orders")["trigger_price"] == 1


def test_of_two_linked_trailing_stops_that_a_price_reaches_at_once_one_fires(m):
    m.trade(60_000)
    near, far = m.order_list((ACME, SELL, 1, 0, {"trigger": TRAILING, "trigger_price": at(300), "link": 1}),
                             (ACME, SELL, 1, 0, {"trigger": TRAILING, "trigger_price": at(500), "link": 1}))
    m.history.clear(), m.trade(59_000), m.work()
    m.events = m.history
    assert [e["id"] for e in m.find(E.ORDER_TRIGGERED)] == [near] and m.rows("orders", account=ACME) == []
    assert [(e["id"], e["reason"]) for e in m.find(E.ORDER_CANCELLED)] == [(far, R.LINKED), (near, R.IMMEDIATE)]


def test_a_trailing_stop_of_a_buyer_never_costs_more_than_it_held(m):
    m.trade(60_000)
    stop = m.buy(ACME, 1, 0, trigger=TRAILING, trigger_price=at(500))
    held = m.row("orders", id=stop)["held"]
    m.trade(59_000)
    row = m.row("orders", id=stop)
    assert row["trigger_price"] == at(59_500) and row["held"] == held
    m.do(K.HALT, RISK_ONE, instrument=BTCUSD)
    m.tick()
    assert m.state(stop) == "WAITING"                                       # halted: it waits like the others


def test_a_trailing_stop_fires_while_halted_and_enters_later(m):
    m.trade(60_000)
    stop = m.sell(ACME, 1, 0, trigger=TRAILING, trigger_on=INDEX, trigger_price=at(500))
    m.do(K.HALT, RISK_ONE, instrument=BTCUSD)
    m.index(59_000)
    assert m.state(stop) == "TRIGGERED"
    m.do(K.RESUME, RISK_ONE, instrument=BTCUSD), m.work()
    assert m.state(stop) == "gone"


def test_no_more_than_so_many_floating_orders_stand_in_an_instrument(m):
    m.trade(60_000)
    for account in (ACME, BOLT):
        for _ in range(FLOATING // 2):
            assert m.sell(account, 1, 0, trigger=TRAILING, trigger_price=at(500))
    m.sell(DEALER_A, 1, 0, trigger=TRAILING, trigger_price=at(500))
    assert m.refused() is R.FLOATING
    m.buy(DEALER_A, 1, 60_000, order_type=PRIMARY)
    assert m.refused() is R.FLOATING


# ------------------------------------------------------------------------------------------------------------------ pegs
@pytest.mark.parametrize("kind, side, offset, price", [
    (PRIMARY, BUY, 0, 59_900), (PRIMARY, BUY, 50, 59_850), (PRIMARY, SELL, 0, 60_100), (OPPOSITE, BUY, 0, 60_099), (OPPOSITE, BUY, 150, 59_950),
    (OPPOSITE, SELL, 0, 59_901), (MIDPOINT, BUY, 0, 60_000), (MIDPOINT, SELL, 20, 60_020),
])
def test_where_a_peg_stands(m, kind, side, offset, price):
    m.buy(DEALER_A, 1, 59_900), m.sell(DEALER_B, 1, 60_100)
    limit = 61_000 if side == BUY else 59_000
    peg = m.put(ACME, side, 1, limit, order_type=kind, offset=at(offset))
    assert m.one(E.ORDER_ACCEPTED)["price"] == at(limit) and m.row("orders", id=peg)["price"] == at(price)
    assert m.fills() == []


def test_a_peg_follows_and_falls_asleep_when_its_side_is_gone(m):
    bid = m.buy(DEALER_A, 1, 59_900)
    peg = m.buy(ACME, 1, 59_950, order_type=PRIMARY)
    m.buy(DEALER_B, 1, 59_920), m.work()
    assert m.row("orders", id=peg)["price"] == at(59_920) and m.one(E.ORDER_MOVED)["price"] == at(59_920)
    m.buy(DEALER_B, 1, 59_990), m.work()
    assert m.row("orders", id=peg)["price"] == at(59_950)                   # its limit
    m.cancel(DEALER_A, bid)
    for row in m.rows("orders", account=DEALER_B):
        m.cancel(DEALER_B, row["id"])
    m.work()
    assert m.state(peg) == "ASLEEP" and m.one(E.ORDER_MOVED)["price"] == 0 and m.book() == ([], [])
    m.buy(DEALER_A, 1, 59_000), m.work()
    assert m.state(peg) == "BOOK" and m.book()[0] == [(59_000, 2)]
    m.amend(ACME, peg, at(59_000), TENTH)
    assert m.refused() is R.UNAMENDABLE
    m.cancel(ACME, peg)
    assert m.one(E.ORDER_CANCELLED)["reason"] == R.USER


def test_pegs_follow_when_a_taker_ends_at_its_own_order(m):
    """Found by the random flows: the kernel did not look at what such a taker had filled before."""
    m.sell(DEALER_A, 1, 60_000), m.sell(ACME, 1, 60_050, time_in_force=DAY)
    peg = m.buy(BOLT, 1, 61_000, order_type=OPPOSITE, offset=at(100))
    assert m.row("orders", id=peg)["price"] == at(59_900)
    m.buy(ACME, 2, 60_050, self_trade=SelfTrade.CANCEL_NEWEST)
    assert m.fills(ACME) == [(60_000, 1)] and m.one(E.ORDER_CANCELLED)["reason"] == R.SELF_TRADE
    m.work()
    assert m.row("orders", id=peg)["price"] == at(59_950)


def test_two_pegs_never_lean_on_one_another(m):
    m.buy(ACME, 1, 59_000, order_type=PRIMARY)
    m.buy(BOLT, 1, 59_000, order_type=PRIMARY), m.work()
    assert m.book() == ([], [])


# ------------------------------------------------------------------------------------------------------------------ time in force
def test_good_till_date_and_day(m):
    till, day = m.buy(ACME, 1, 59_000, time_in_force=GTD, good_till=m.now + 10 * SECOND), m.buy(ACME, 1, 59_100, time_in_force=DAY)
    m.tick(10)
    assert (m.one(E.ORDER_CANCELLED)["id"], m.one(E.ORDER_CANCELLED)["reason"]) == (till, R.EXPIRED)
    m.session(Session.CLOSED), m.work()
    assert (m.one(E.ORDER_CANCELLED)["id"], m.one(E.ORDER_CANCELLED)["reason"]) == (day, R.EXPIRED)


def test_an_order_past_its_time_does_not_trade_even_before_its_timer_is_worked(m):
    for _ in range(40):
        m.sell(ACME, 1, 60_000, time_in_force=GTD, good_till=m.now + SECOND)
    m.advance(1)
    m.buy(BOLT, 40, 60_000)
    assert m.fills() == [] and {e["reason"] for e in m.find(E.ORDER_CANCELLED)} == {R.EXPIRED, R.DYING}


@pytest.mark.parametrize("in_force, following", [(AT_OPEN, Session.CONTINUOUS), (AT_CLOSE, Session.CLOSED)])
def test_orders_for_an_auction_wait_for_it_and_live_as_long(m, in_force, following):
    order = m.buy(ACME, 2, 60_000, time_in_force=in_force)
    assert m.state(order) == "WAITING" and m.balance(ACME, USD, "held") > 0
    m.sell(BOLT, 1, 59_000), m.work()
    assert m.fills() == [] and m.state(order) == "WAITING"
    m.session(Session.AUCTION, Session.CLOSED if following is Session.CONTINUOUS else Session.CONTINUOUS), m.work()
    assert m.state(order) == "WAITING"                                      # another auction
    m.session(Session.PRE_OPEN), m.session(Session.AUCTION, following), m.work()
    assert m.state(order) == "BOOK"
    m.session(following), m.work(4)
    assert m.fills(ACME) == [(59_000, 1)] or m.fills(ACME) == [(60_000, 1)]
    assert m.find(E.ORDER_CANCELLED, ACME)[0]["reason"] == R.AUCTION_OVER and m.state(order) == "gone"


# ------------------------------------------------------------------------------------------------------------------ mass quote
def test_a_mass_quote_is_replaced_as_a_unit(m):
    m.mass_quote(DEALER_A, 59_900, 2, 60_100, 3)
    told = m.one(E.BOOK_QUOTED)
    assert m.book() == ([(59_900, 2)], [(60_100, 3)]) and (told["quantity"], told["leaves"]) == (2 * TENTH, 3 * TENTH)
    m.mass_quote(DEALER_A, 59_950, 1, 60_050, 1)
    assert m.kinds() == [E.BOOK_QUOTED, E.LEVEL, E.LEVEL, E.LEVEL, E.LEVEL] and m.book() == ([(59_950, 1)], [(60_050, 1)])
    m.mass_quote(DEALER_A, 60_060, 1, 60_070, 1)                            # where the old ask stood: that one does not count
    assert m.book() == ([(60_060, 1)], [(60_070, 1)])
    m.sell(BOLT, 1, 60_065), m.mass_quote(DEALER_A, 60_065, 1, 60_070, 1)
    assert m.refused() is R.POST_ONLY and m.book()[0] == [(60_060, 1)]
    m.mass_quote(DEALER_A, 60_060, 1, 60_060, 1)
    assert m.refused() is R.CROSSED_QUOTE
    m.mass_quote(DEALER_A, 60_060, 1, 0, 0)
    assert m.book() == ([(60_060, 1)], [(60_065, 1)])
    m.amend(DEALER_A, m.row("orders", account=DEALER_A)["id"], at(60_000), TENTH)
    assert m.refused() is R.UNAMENDABLE
    m.mass_quote(DEALER_A, 0, 0, 0, 0)
    assert m.book()[0] == [] and m.balance(DEALER_A, USD, "held") == m.balance(DEALER_A, BTC, "held") == 0


def test_a_group_of_mass_quotes_is_taken_whole(m):
    def records(*quotes):
        return [m.build(K.MASS_QUOTE, KEY_OF[DEALER_A], account=DEALER_A, instrument=i, bid=bid, bid_quantity=q, ask=ask, ask_quantity=q,
                        flags=2 if n + 1 < len(quotes) else 0) for n, (i, bid, ask, q) in enumerate(quotes)]
    good = (BTCUSD, at(59_900), at(60_100), TENTH)
    m.apply(*records(good, (2, 490_000, 510_000, 10**6)))
    assert len(m.find(E.BOOK_QUOTED)) == 2 and len(m.rows("orders")) == 4
    before = m.rows("orders")
    m.apply(*records((BTCUSD, at(59_800), at(60_200), TENTH), (2, 490_000, 490_000, 10**6)))
    assert [e["reason"] for e in m.find(E.REFUSED)] == [R.BAD_GROUP, R.CROSSED_QUOTE] and m.rows("orders") == before
    m.apply(*records((2, 490_000, 510_000, 10**6), good))
    assert [e["reason"] for e in m.find(E.REFUSED)] == [R.BAD_GROUP, R.BAD_GROUP] and m.rows("orders") == before


# ------------------------------------------------------------------------------------------------------------------ self-trade
@pytest.mark.parametrize("maker", list(SelfTrade), ids=lambda x: x.name)
@pytest.mark.parametrize("taker", list(SelfTrade), ids=lambda x: x.name)
def test_the_effective_self_trade_mode(m, maker, taker):
    m.sell(ACME, 1, 60_000, self_trade=maker)
    m.buy(ACME, 3, 60_000, self_trade=taker)
    effective = EFFECTIVE_SELF_TRADE[maker][taker]
    left = {SelfTrade.CANCEL_NEWEST: ([], [(60_000, 1)]), SelfTrade.CANCEL_OLDEST: ([(60_000, 3)], []), SelfTrade.CANCEL_BOTH: ([], []),
            SelfTrade.DECREMENT: ([(60_000, 2)], [])}[effective]
    assert m.book() == left and m.fills() == []
    for r in m.rows("orders"):
        assert r["prevented"] == (TENTH if effective is SelfTrade.DECREMENT else 0)      # ordered 3, executed 0, prevented 1, open 2


@pytest.mark.parametrize("scopes, groups, other, trades", [
    ((0, 0), (5, 5), BOLT, True), ((1, 0), (5, 5), BOLT, False), ((0, 1), (5, 5), BOLT, False), ((1, 1), (5, 6), BOLT, True), ((1, 1), (0, 0), BOLT, True),
    ((0, 0), (0, 0), ACME_TWO, True), ((2, 0), (0, 0), ACME_TWO, False), ((0, 2), (0, 0), ACME_TWO, False), ((2, 2), (0, 0), BOLT, True),
])
def test_with_whom_an_account_does_not_trade(m, scopes, groups, other, trades):
    for account, scope, group in zip((ACME, other), scopes, groups, strict=True):
        m.trading(account, self_trade_scope=scope, trade_group=group)
    m.sell(other, 1, 60_000)
    m.buy(ACME, 1, 60_000)
    assert bool(m.fills()) is trades and bool(m.find(E.ORDER_CANCELLED)) is not trades


# ------------------------------------------------------------------------------------------------------------------ mass cancels
def test_cancel_some_by_instrument_and_side(m):
    bids, asks = [m.buy(ACME, 1, 59_000 + i) for i in range(60)], [m.sell(ACME, 1, 61_000 + i) for i in range(3)]
    m.do(K.CANCEL_SOME, KEY_OF[ACME], account=ACME, instrument=BTCUSD, side=BUY)
    late = m.buy(ACME, 1, 59_500)
    m.do(K.CANCEL_SOME, KEY_OF[ACME], account=ACME, side=2)
    assert m.refused() is R.SWEEPING
    m.sell(BOLT, 30, 59_000, time_in_force=IOC)
    assert m.fills(ACME) == [(59_500, 1)]                                   # what was sent after it lives; what is dying never trades
    m.work(4)
    assert [m.state(o) for o in bids] == ["gone"] * 60 and [m.state(o) for o in asks] == ["BOOK"] * 3 and m.state(late) == "gone"
    assert m.one(E.SWEPT)["id"] == 4
    m.do(K.CANCEL_SOME, KEY_OF[ACME], account=ACME, side=3)
    assert m.refused() is R.BAD_SIDE
    m.do(K.CANCEL_SOME, KEY_OF[ACME], account=ACME, instrument=99, side=2)
    assert m.refused() is R.UNKNOWN_INSTRUMENT


def test_the_dead_man_cancels_unless_it_is_heard_of(m):
    m.buy(ACME, 1, 59_000), m.sell(ACME, 1, 0, trigger=STOP, trigger_price=at(55_000))
    m.do(K.DEAD_MAN, KEY_OF[ACME], account=ACME, ttl=5 * SECOND)
    m.advance(4)
    m.do(K.DEAD_MAN, KEY_OF[ACME], account=ACME, ttl=5 * SECOND)
    m.tick(4)
    assert len(m.rows("orders")) == 2
    m.tick(1), m.work()
    assert m.rows("orders") == []
    m.do(K.DEAD_MAN, KEY_OF[ACME], account=ACME, ttl=-1)
    assert m.refused() is R.BAD_TTL
    m.buy(ACME, 1, 59_000), m.do(K.DEAD_MAN, KEY_OF[ACME], account=ACME, ttl=SECOND), m.do(K.DEAD_MAN, KEY_OF[ACME], account=ACME, ttl=0)
    m.tick(5)
    assert len(m.rows("orders")) == 1


def test_the_dead_man_says_why(m):
    m.buy(ACME, 1, 59_000), m.do(K.DEAD_MAN, KEY_OF[ACME], account=ACME, ttl=SECOND)
    m.advance(1), m.work()
    assert m.one(E.ORDER_CANCELLED)["reason"] == R.DEAD_MAN


def test_a_kill_of_all_kinds_of_orders(m):
    m.trade(60_000)
    m.sell(ACME, 1, 0, trigger=STOP, trigger_price=at(59_000)), m.buy(ACME, 1, 59_000, order_type=PRIMARY), m.buy(ACME, 1, 59_000, time_in_force=AT_OPEN)
    m.order_list(target(link=1), stop_loss(link=1)), m.order_list(entry(dollars=58_000), target(link=3))
    m.do(K.KILL, RISK_ONE, account=ACME), m.work()
    assert m.rows("orders", account=ACME) == [] and m.balance(ACME, USD, "held") == m.balance(ACME, BTC, "held") == 0
