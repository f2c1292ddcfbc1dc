"""Sessions, auctions and bands: docs/rules.md section 13. On every engine of `engines.ENGINES`."""
import pytest

from cambist.messages import SESSION_MOVES, Event, Kind, Liquidity, Reason, Session
from tests.core.engines import ENGINES
from tests.core.market import AUCTION, DAY, FOK, IOC, MARKET, PRIMARY, STOP, TENTH, Market, at, market
from tests.scenarios import ACME, ACME_TWO, ADMIN, BOLT, BTCUSD, BUY, DEALER_A, DEALER_B, KEY_OF, ONE_BTC, RISK_ONE, SECOND, SELL, TWO_WAY

K, E, R, S = Kind, Event, Reason, Session


@pytest.fixture(params=sorted(ENGINES))
def m(request) -> Market:
    return market(request.param)


def bring_to(m: Market, session: Session) -> None:
    if session is S.VOLATILITY:
        m.band(1), m.trade(60_000), m.buy(DEALER_A, 1, 59_000), m.sell(BOLT, 1, 59_000)
    elif session is not S.CONTINUOUS:
        m.session(session, S.CONTINUOUS if session is S.AUCTION else 0)
        m.work()
    assert m.session_now() == session.name


# ---------------------------------------------------------------------------------------------------------------- the table
@pytest.mark.parametrize("session", list(S), ids=lambda s: s.name)
def test_what_may_be_sent_in_each_session(m, session):
    resting = m.sell(ACME, 1, 65_000)
    bring_to(m, session)
    gathers, closed = session in (S.PRE_OPEN, S.AUCTION, S.VOLATILITY), session in (S.CANCEL_ONLY, S.CLOSED)
    m.buy(ACME_TWO, 1, 59_100)
    assert (m.refused() if closed else m.find(E.ORDER_ACCEPTED)) == (R.SESSION if closed else m.find(E.ORDER_ACCEPTED))
    for fields in ({"time_in_force": IOC}, {"time_in_force": FOK}, {"post_only": 1}, {"order_type": PRIMARY}, {"minimum": TENTH},
                   {"order_type": MARKET, "price": 0}) if session is not S.CONTINUOUS else ():
        m.do(K.NEW_ORDER, KEY_OF[ACME_TWO], **{"account": ACME_TWO, "instrument": BTCUSD, "side": BUY, "quantity": TENTH, "price": at(59_100), **fields})
        assert m.refused() is R.SESSION
    m.buy(ACME_TWO, 1, 59_000, time_in_force=AUCTION)
    assert bool(m.find(E.ORDER_ACCEPTED)) is gathers
    m.amend(ACME, resting, at(65_000), TENTH)
    assert bool(m.find(E.ORDER_AMENDED)) is not closed
    m.mass_quote(DEALER_B, 58_000, 1, 65_000, 1)
    assert bool(m.find(E.BOOK_QUOTED)) is not closed
    request = m.request(ACME, TWO_WAY, ONE_BTC)
    assert bool(request) is not closed
    m.cancel(ACME, resting)
    assert m.one(E.ORDER_CANCELLED)["reason"] == R.USER


@pytest.mark.parametrize("session", list(S), ids=lambda s: s.name)
@pytest.mark.parametrize("wanted", list(S), ids=lambda s: s.name)
def test_where_a_session_may_lead(m, session, wanted):
    bring_to(m, session)
    m.session(wanted, S.CONTINUOUS if wanted is S.AUCTION else 0)
    if wanted is S.VOLATILITY:
        assert m.refused() is R.BAD_VALUE
    elif wanted not in SESSION_MOVES[session] or (session is S.AUCTION and wanted is S.CLOSED):
        assert m.refused() is R.BAD_SESSION
    else:
        assert m.find(E.DONE)
        for _ in range(3):                                                  # a band may walk, and the auction be called again
            m.work(), m.advance(60)
        m.work()
        assert m.session_now() == wanted.name


@pytest.mark.parametrize("fields, reason", [
    ({"instrument": 99, "session": S.CLOSED}, R.UNKNOWN_INSTRUMENT), ({"session": 6}, R.BAD_VALUE),
    ({"session": S.AUCTION}, R.NONE),
    ({"session": S.CLOSED, "next": 5}, R.BAD_VALUE), ({"session": S.CLOSED, "duration": 5}, R.BAD_VALUE),
    ({"session": S.AUCTION, "next": S.CANCEL_ONLY}, R.BAD_VALUE), ({"session": S.AUCTION, "duration": -1}, R.BAD_VALUE),
    ({"session": S.CONTINUOUS}, R.BAD_SESSION),
])
def test_sessions_that_are_none(m, fields, reason):
    m.do(K.SESSION, RISK_ONE, **{"instrument": BTCUSD, "next": 0, "duration": 0, **fields})
    if fields == {"session": S.AUCTION}:                                     # next 0 is CONTINUOUS: an opening auction
        assert m.session_now() == "AUCTION"
    else:
        assert m.refused() is reason


# ---------------------------------------------------------------------------------------------------------------- the price of an auction
@pytest.mark.parametrize("bids, asks, price, volume, surplus", [
    ([(60_000, 5)], [(60_000, 3)], 60_000, 3, 2),                           # one price
    ([(60_200, 5), (60_000, 5)], [(59_900, 5), (60_100, 5)], 60_000, 5, 5),          # equal volumes and surpluses of both signs: the nearest to the reference
    ([(60_300, 4)], [(59_700, 4)], 59_700, 4, 0),                           # balanced and equally near: the lower
    ([(60_300, 6)], [(59_700, 4)], 60_300, 4, 2),                           # buyers press: the highest
    ([(60_300, 4)], [(59_700, 6)], 59_700, 4, -2),                          # sellers press: the lowest
    ([(60_300, 3), (60_100, 2)], [(59_700, 3), (59_900, 4)], 59_900, 5, -2),         # volume before anything else
    ([(60_400, 4)], [(59_900, 4)], 59_900, 4, 0),                           # the nearest to the reference
])
def test_the_price_of_an_auction(m, bids, asks, price, volume, surplus):
    m.session(S.AUCTION, S.CONTINUOUS)
    for i, (dollars, tenths) in enumerate(bids):
        m.buy((ACME, BOLT)[i], tenths, dollars)
    for i, (dollars, tenths) in enumerate(asks):
        m.sell((DEALER_A, DEALER_B)[i], tenths, dollars)
    m.session(S.CONTINUOUS), m.work()
    told = m.one(E.UNCROSSED)
    assert (told["price"], told["quantity"], told["amount"]) == (at(price), round(volume * TENTH), round(surplus * TENTH))
    fills = m.find(E.FILLED)
    assert {e["price"] for e in fills} == {at(price)} and sum(e["quantity"] for e in fills) == 2 * round(volume * TENTH)
    assert {e["liquidity"] for e in fills} == {Liquidity.AUCTION} and m.session_now() == "CONTINUOUS"


def test_nothing_to_trade_is_no_price(m):
    m.session(S.AUCTION, S.CONTINUOUS), m.buy(ACME, 1, 59_000), m.sell(BOLT, 1, 61_000)
    m.session(S.CONTINUOUS), m.work()
    assert m.find(E.UNCROSSED) == [] and m.session_now() == "CONTINUOUS" and m.book() == ([(59_000, 1)], [(61_000, 1)])


def test_an_auction_is_worked_off_in_steps_and_takes_nothing_meanwhile(m):
    m.session(S.AUCTION, S.CONTINUOUS)
    bids = [m.buy(ACME, 1, 60_000) for _ in range(60)]
    for _ in range(60):
        m.sell(BOLT, 1, 60_000)
    m.session(S.CONTINUOUS)
    m.buy(DEALER_A, 1, 60_000)
    assert m.refused() is R.SESSION
    m.cancel(ACME, bids[-1])
    assert m.refused() is R.SESSION                                         # the price is made of what stands
    m.session(S.CLOSED)
    assert m.refused() is R.SWEEPING
    m.work(4)
    assert m.session_now() == "CONTINUOUS" and m.rows("orders") == []


def test_the_indicative_price_is_told_while_it_is_called(m):
    m.band(10, indicative=5 * SECOND)
    m.session(S.AUCTION, S.CONTINUOUS, 60 * SECOND)
    m.buy(ACME, 3, 60_100), m.sell(BOLT, 2, 60_000)
    m.tick(5)
    told = m.one(E.INDICATIVE)
    assert (told["account"], told["price"], told["quantity"], told["amount"]) == (0, at(60_100), 2 * TENTH, TENTH)
    m.tick(1)
    assert m.find(E.INDICATIVE) == []
    m.tick(4)
    assert m.find(E.INDICATIVE)
    m.advance(60), m.work()
    assert m.session_now() == "CONTINUOUS" and m.find(E.UNCROSSED)


def test_an_indicative_price_that_is_no_longer_wanted_is_told_once(m):
    m.band(10, indicative=5 * SECOND)
    m.session(S.AUCTION, S.CONTINUOUS)
    m.band(10, indicative=0)
    m.tick(5)
    assert m.one(E.INDICATIVE)
    m.tick(5)
    assert m.find(E.INDICATIVE) == []


def test_an_iceberg_takes_part_with_all_it_has(m):
    iceberg = m.sell(ACME, 5, 60_000, display=TENTH)
    m.session(S.AUCTION, S.CONTINUOUS)
    m.buy(BOLT, 4, 60_000)
    m.session(S.CONTINUOUS), m.work()
    assert m.fills(BOLT) == [(60_000, 4)] and m.row("orders", id=iceberg)["shown"] == TENTH and m.book()[1] == [(60_000, 1)]


def test_self_trade_and_dying_orders_in_an_auction(m):
    m.session(S.AUCTION, S.CONTINUOUS)
    m.sell(ACME, 1, 60_000), m.buy(ACME, 1, 60_000), m.buy(BOLT, 1, 60_000), m.buy(DEALER_A, 1, 60_000)
    m.do(K.KILL, RISK_ONE, account=DEALER_A)
    m.session(S.CONTINUOUS), m.work()
    assert [(e["account"], e["reason"]) for e in m.history if e["kind"] == E.ORDER_CANCELLED] == [(DEALER_A, R.KILLED), (ACME, R.SELF_TRADE)]
    assert m.fills(BOLT) == [(60_000, 1)]


def test_both_sides_of_an_auction_pay_as_takers(m):
    m.session(S.AUCTION, S.CONTINUOUS), m.buy(ACME, 1, 60_000), m.sell(BOLT, 1, 60_000), m.session(S.CONTINUOUS), m.work()
    assert [e["fee"] for e in m.find(E.FILLED)] == [6_000 * 10**6 * 500 // 10**6] * 2


# ---------------------------------------------------------------------------------------------------------------- schedules
def test_a_schedule_opens_and_closes_by_itself(m):
    day = 100 * SECOND
    for slot, (offset, session, following, duration) in enumerate(((10, S.PRE_OPEN, 0, 0), (20, S.AUCTION, S.CONTINUOUS, 10), (80, S.CLOSED, 0, 0))):
        m.configure(K.CONFIGURE_SCHEDULE, instrument=BTCUSD, slot=slot, offset=offset * SECOND, period=day, session=session, next=following,
                    duration=duration * SECOND, enabled=1)
    order = m.buy(ACME, 1, 59_000, time_in_force=DAY)
    seen = []
    for _ in range(30):
        m.tick(10), m.tick()
        seen.append(m.session_now())
    changes = [b for a, b in zip(["", *seen], seen, strict=False) if a != b]
    assert changes[-5:] in (["CLOSED", "PRE_OPEN", "AUCTION", "CONTINUOUS", "CLOSED"], ["PRE_OPEN", "AUCTION", "CONTINUOUS", "CLOSED", "PRE_OPEN"],
                            ["AUCTION", "CONTINUOUS", "CLOSED", "PRE_OPEN", "AUCTION"], ["CONTINUOUS", "CLOSED", "PRE_OPEN", "AUCTION", "CONTINUOUS"])
    assert m.state(order) == "gone"
    for fields in ({"slot": 8}, {"period": 0}, {"offset": day}, {"session": S.VOLATILITY}, {"enabled": 2}):
        m.do(K.CONFIGURE_SCHEDULE, ADMIN, **{"instrument": BTCUSD, "slot": 0, "offset": 0, "period": day, "session": S.CLOSED, "next": 0, "duration": 0,
                                             "enabled": 1, **fields})
        assert m.refused() is R.BAD_VALUE


def test_a_schedule_that_cannot_calls_a_person(m):
    m.configure(K.CONFIGURE_SCHEDULE, instrument=BTCUSD, slot=3, offset=0, period=10 * SECOND, session=S.CONTINUOUS, next=0, duration=0, enabled=1)
    m.tick(10)
    alert = m.one(E.ALERT)
    assert (alert["reason"], alert["id"], alert["other"]) == (R.BAD_SESSION, BTCUSD, 3)


# ---------------------------------------------------------------------------------------------------------------- bands
def test_a_taker_stops_at_the_band_and_the_market_is_called(m):
    m.band(1), m.trade(60_000)                                              # 59,400 to 60,600
    m.buy(DEALER_A, 1, 59_500), m.buy(DEALER_A, 1, 59_300)
    m.sell(BOLT, 3)
    assert m.fills(BOLT) == [(59_500, 1)] and m.one(E.ORDER_CANCELLED, BOLT)["reason"] == R.BAND
    told = m.one(E.SESSION_CHANGED)
    assert (told["id"], told["other"], told["reason"], told["price"], told["amount"]) == (S.VOLATILITY, S.CONTINUOUS, R.BAND, at(60_000), m.now + 60 * SECOND)
    m.advance(60), m.work()
    assert m.session_now() == "CONTINUOUS"


def test_a_limit_order_that_meets_the_band_rests_in_the_auction(m):
    m.band(1), m.trade(60_000)
    m.buy(DEALER_A, 1, 59_300)
    m.sell(BOLT, 1, 59_000, time_in_force=FOK)
    assert m.refused() is R.UNFILLABLE                                      # what lies outside the band does not count
    order = m.sell(BOLT, 1, 59_000)
    assert m.state(order) == "BOOK" and m.session_now() == "VOLATILITY"
    m.advance(60), m.work()
    assert m.fills() == [] and m.session_now() == "VOLATILITY"              # the price lies outside: the band walks, and it is called again
    assert m.row("instruments", instrument=BTCUSD)["anchor"] == at(59_400)
    m.advance(60), m.work()
    assert m.fills(BOLT) in ([(59_000, 1)], [(59_300, 1)]) and m.session_now() == "CONTINUOUS"


def test_a_band_follows_the_window(m):
    m.band(1, window=100 * SECOND), m.trade(60_000), m.trade(60_500)
    m.sell(DEALER_A, 1, 61_000), m.advance(100)
    m.buy(BOLT, 1, 61_000)
    assert m.fills(BOLT) == [(61_000, 1)]                                   # a new window: the band lies around 60,500
    m.sell(DEALER_A, 1, 61_200), m.buy(BOLT, 1, 61_200)
    assert m.session_now() == "VOLATILITY"


@pytest.mark.parametrize("fields", [{"band_ppm": -1}, {"band_ppm": 1_000_001}, {"window": 0}, {"auction": 0}, {"indicative": -1}])
def test_bands_that_are_none(m, fields):
    m.do(K.CONFIGURE_BAND, ADMIN, **{"instrument": BTCUSD, "band_ppm": 10_000, "window": SECOND, "auction": SECOND, "indicative": 0, **fields})
    assert m.refused() is R.BAD_VALUE


def flash_crash(m: Market, banded: bool) -> list[tuple[int, int, int]]:
    """A thin book from 317 down to 10, stops all the way down it, and one market sell (prices of then times 100). (time, price, anchor) of each trade in
    the seven minutes after it."""
    m.collar(100), m.index(31_700)
    if banded:
        m.band(10, window=60 * SECOND, auction=30 * SECOND)
    m.trade(31_700)
    for account in (ACME, ACME_TWO, BOLT):
        for i in range(24):
            assert m.sell(account, 3, 0, trigger=STOP, trigger_price=at(31_600 - 1_200 * i)), m.told()
    for i in range(30):
        m.buy(DEALER_A, 2, 31_500 - 1_000 * i)
    m.buy(DEALER_A, 2, 1_000)
    start, found = m.now, []
    m.sell(DEALER_B, 60, 0)
    for _ in range(42):
        anchor = m.row("instruments", instrument=BTCUSD)["anchor"]
        found += [(m.now - start, e["price"], anchor) for e in m.find(E.FILLED)]
        m.tick(10)
    return found


def test_21_june_2017_is_no_cascade_to_zero(m):
    """One market sell moved a book from 317 to 0.10 through stops. Here every trade lies inside the band, and each band is an auction apart from the next."""
    trades = flash_crash(m, banded=True)
    assert all(abs(price - anchor) <= anchor // 10 for _, price, anchor in trades)
    calls = [e for e in m.history if e["kind"] == E.SESSION_CHANGED and e["reason"] == R.BAND]
    assert len(calls) >= 7
    lowest = {minute: min(price for time, price, _ in trades if time <= minute * 60 * SECOND) for minute in range(1, 8)}
    assert all(price >= at(31_700) * 9 ** (minute + 1) // 10 ** (minute + 1) for minute, price in lowest.items())     # a band a minute: it can be met
    assert m.rows("orders", side=SELL)                                      # stops still wait


def test_21_june_2017_without_a_band(m):
    """What the band is for: the same sell without one reaches the bottom of the book as soon as its stops are worked off."""
    trades = flash_crash(m, banded=False)
    assert min(price for time, price, _ in trades if time <= 60 * SECOND) == at(1_000)
