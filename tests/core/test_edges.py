"""Every limit at its edge: the last value that passes and the first that does not, in amounts, prices and times. Both engines."""
from dataclasses import dataclass

import pytest

from cambist.messages import MAX_AMOUNT, AccountKind, Event, Kind, Reason, Scope
from tests.core.engines import ENGINES
from tests.core.market import IOC, TENTH, Market, at, market
from tests.scenarios import (
    ACME, ACME_TWO, ADMIN, BOLT, BTC, BTCUSD, BTCUSD_LIMITS, BTCUSD_MADE, BUY, CELL, DEALER_A, DEFICIT, KRAKEN, ONE_BTC, ONE_USD, ONE_XRP,
    RISK_ONE, SECOND, SELL, SUSPENSE, USD, WALLET, XRP_PRICE, XRPUSD, XRPUSD_LIMITS, Scenario, command, scenario,
)

K, E, R = Kind, Event, Reason


@pytest.fixture(params=sorted(ENGINES))
def m(request) -> Market:
    return market(request.param)


@pytest.fixture(params=sorted(ENGINES))
def s(request) -> Scenario:
    return scenario(ENGINES[request.param])


def answer(s: Scenario) -> Reason | None:
    """Why the last command was refused, None when it was not."""
    return s.refused() if s.find(E.REFUSED) else None


def limits(s: Scenario, instrument: int = BTCUSD, **changed: int) -> None:
    s.do(K.CONFIGURE_LIMITS, ADMIN, instrument=instrument, **{**(BTCUSD_LIMITS if instrument == BTCUSD else XRPUSD_LIMITS), **changed})
    assert s.kinds() == [E.DONE], s.told()


# ----------------------------------------------------------------------------------------------------------------- what an order may be
def test_all_of_an_account_may_be_offered_and_not_a_lot_more(m):
    limits(m, max_quantity=200 * ONE_BTC)
    free, lot = m.balance(ACME, BTC), BTCUSD_MADE["lot"]
    assert not m.order(ACME, SELL, free + lot, at(61_000)) and answer(m) is R.INSUFFICIENT
    assert m.order(ACME, SELL, free, at(61_000)) and m.balance(ACME, BTC) == 0


def test_a_line_may_be_used_up_and_not_a_unit_more(s):
    assert not s.order(BOLT, BUY, 200_001 * ONE_XRP, XRP_PRICE, XRPUSD) and answer(s) is R.CREDIT
    assert s.order(BOLT, BUY, 200_000 * ONE_XRP, XRP_PRICE, XRPUSD) and s.credit(BOLT)["reserved"] == s.credit(BOLT)["limit"]


@pytest.mark.parametrize("side", [BUY, SELL])
def test_what_an_amended_order_counts_for_is_not_counted_twice(m, side):
    m.configure(K.CONFIGURE_POSITION, account=ACME, instrument=BTCUSD, limit=3 * TENTH)
    price = at(59_000 if side == BUY else 61_000)
    order = m.order(ACME, side, 2 * TENTH, price)
    m.amend(ACME, order, price, 4 * TENTH)
    assert answer(m) is R.POSITION
    m.amend(ACME, order, price, 3 * TENTH)
    assert m.one(E.ORDER_AMENDED)["quantity"] == 3 * TENTH


def test_the_largest_quantity(m):
    limits(m, max_quantity=5 * TENTH)
    assert m.buy(ACME, 5, 59_000)
    assert not m.order(ACME, BUY, 5 * TENTH + BTCUSD_MADE["lot"], at(59_000)) and answer(m) is R.MAX_QUANTITY
    for quantity in (0, -TENTH):
        assert not m.order(ACME, BUY, quantity, at(59_000)) and answer(m) is R.BAD_QUANTITY


def test_the_largest_worth_of_an_order_and_of_a_quote(m):
    limits(m, max_notional=59_000 * ONE_USD)
    assert m.buy(ACME, 10, 59_000)
    assert not m.buy(ACME, 10, 59_001) and answer(m) is R.MAX_NOTIONAL
    request = m.request(ACME, BUY, ONE_BTC)
    m.quote(DEALER_A, request, ask=at(59_000) + 1)
    assert answer(m) is R.MAX_NOTIONAL
    assert m.quote(DEALER_A, request, ask=at(59_000))


def test_the_lowest_and_the_highest_price(m):
    limits(m, collar_ppm=0)
    low, high, tick = BTCUSD_MADE["min_price"], BTCUSD_MADE["max_price"], BTCUSD_MADE["book_tick"]
    for price, wanted in ((low, None), (low - tick, R.BAD_PRICE), (high, None), (high + tick, R.BAD_PRICE)):
        m.order(ACME, BUY if price < high else SELL, TENTH, price)
        assert answer(m) is wanted, price
    request = m.request(ACME, BUY, TENTH)
    for price, wanted in ((high + 1, R.BAD_PRICE), (low - 1, R.BAD_PRICE), (high, None), (low, None)):
        m.quote(DEALER_A, request, ask=price)
        assert answer(m) is wanted, price


def test_a_quote_stands_on_its_tick(s):
    request = s.request(BOLT, BUY, 10 * ONE_XRP, XRPUSD)
    s.quote(DEALER_A, request, ask=XRP_PRICE + 1)
    assert answer(s) is R.OFF_TICK
    assert s.quote(DEALER_A, request, ask=XRP_PRICE + 10)


# --------------------------------------------------------------------------------------------------------------------------- references
@dataclass
class Edge:
    """Around this reference the band of a tenth is no whole number; the bounds that follow."""
    reference: int
    buy: int                                    # the highest tick that may be paid
    sell: int                                   # the lowest that may be taken


EDGES = [Edge(6_000_181, 6_600_100, 5_400_200), Edge(6_000_091, 6_600_100, 5_400_100), Edge(6_000_001, 6_600_000, 5_400_100),
         Edge(6_000_111, 6_600_100, 5_400_100)]


@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: str(edge.reference))
def test_the_band_around_a_reference_is_rounded_down(m, edge):
    for source in (1, 2, 3):
        m.price(BTCUSD, source, edge.reference)
    for side, last, beyond in ((BUY, edge.buy, 100), (SELL, edge.sell, -100)):
        assert m.order(ACME, side, TENTH, last), m.told()
        m.cancel_all(ACME), m.work(1)
        assert not m.order(ACME, side, TENTH, last + beyond) and answer(m) is R.COLLAR


@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: str(edge.reference))
def test_a_market_order_goes_as_far_as_the_band(m, edge):
    for source in (1, 2, 3):
        m.price(BTCUSD, source, edge.reference)
    for side, last, beyond in ((BUY, edge.buy, 100), (SELL, edge.sell, -100)):
        for price, trades in ((last + beyond, False), (last, True)):
            m.order(BOLT, 1 - side, TENTH, price)
            m.order(ACME, side, TENTH, 0, order_type=1, time_in_force=IOC)
            assert bool(m.find(E.FILLED)) is trades, (price, m.told())
            m.cancel_all(BOLT), m.work(1)


@pytest.mark.parametrize(("reference", "price", "wanted"), [
    (6_000_001, 6_600_001, None), (6_000_001, 6_600_002, R.COLLAR), (6_000_009, 5_400_009, None), (6_000_009, 5_400_008, R.COLLAR)])
def test_a_quote_inside_the_band_to_the_unit(m, reference, price, wanted):
    for source in (1, 2, 3):
        m.price(BTCUSD, source, reference)
    m.quote(DEALER_A, m.request(ACME, BUY, TENTH), ask=price)
    assert answer(m) is wanted


def test_a_market_order_holds_no_more_than_the_highest_price_costs(m):
    """The band ends above the range of prices: then its top is the worst price."""
    for source in (1, 2, 3):
        m.price(BTCUSD, source, 19_500_000)
    assert m.buy(BOLT, 10, 200_000) and m.balance(BOLT, USD, "held")
    held = m.balance(BOLT, USD, "held")
    m.cancel_all(BOLT), m.work(1)
    m.do(K.CONFIGURE_ASSET, ADMIN, asset=USD, digits=6, approval_above=-1, quote_approval_above=-1, enabled=1)
    m.transfer(BOLT, ACME, USD, m.balance(BOLT, USD) - held + 1)
    m.buy(BOLT, 10, 0, time_in_force=IOC)
    assert answer(m) is R.INSUFFICIENT
    m.transfer(ACME, BOLT, USD, 1)
    m.buy(BOLT, 10, 0, time_in_force=IOC)
    assert answer(m) is None


def test_each_of_eight_sources_counts_and_those_of_another_instrument_do_not(m):
    for instrument in (BTCUSD, XRPUSD):
        for source in range(1, 9):
            m.configure(K.CONFIGURE_SOURCE, instrument=instrument, source=source, enabled=1)
    m.advance(2 * 3_600)                                                    # what was posted before is old
    for instrument, base in ((BTCUSD, 6_000_000), (XRPUSD, 500_000)):
        limits(m, instrument, min_sources=1)
        for posted in range(1, 9):
            m.price(instrument, posted, base + 10 * posted)
            prices = [base + 10 * each for each in range(1, posted + 1)]
            half = posted // 2
            right = prices[half] if posted % 2 else (prices[half - 1] + prices[half]) // 2
            assert m.one(E.REFERENCE)["price"] == right and m.one(E.REFERENCE)["other"] == posted


def test_a_price_is_fresh_until_its_age_and_no_longer(m):
    m.index(60_000)
    age = BTCUSD_LIMITS["max_age"] // SECOND
    m.advance(age)
    assert m.buy(ACME, 1, 59_000)
    request = m.request(ACME, BUY, TENTH)
    assert m.quote(DEALER_A, request, ask=at(60_000))
    m.price(BTCUSD, 1, at(60_010))                                          # of the other two it is the last moment, and they count
    assert m.row("instruments", instrument=BTCUSD)["reference"] == at(60_000)
    m.price(BTCUSD, 2, at(60_010))
    assert m.one(E.REFERENCE)["price"] == at(60_010) and m.one(E.REFERENCE)["other"] == 3
    m.now += BTCUSD_LIMITS["max_age"] + 1
    assert not m.buy(ACME, 1, 59_000) and answer(m) is R.NO_REFERENCE
    m.quote(DEALER_A, m.request(BOLT, BUY, TENTH), ask=at(60_000))
    assert answer(m) is R.NO_REFERENCE
    assert not m.buy(ACME, 1, 0, time_in_force=IOC) and answer(m) is R.NO_REFERENCE


def test_without_a_collar_prices_need_no_reference(m):
    limits(m, collar_ppm=0, min_sources=0)
    m.advance(2 * 3_600)
    assert m.buy(ACME, 1, 2_000) and m.sell(ACME, 1, 199_000)
    assert m.quote(DEALER_A, m.request(ACME, BUY, TENTH), ask=at(150_000))
    m.index(60_000)
    assert m.quote(DEALER_A, m.request(BOLT, BUY, TENTH), ask=at(150_000)), m.told()


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_without_a_reference_not_even_one_is_paid(engine):
    s = Scenario(ENGINES[engine]())
    s.genesis(prices=False)
    s.do(K.CONFIGURE_INSTRUMENT, ADMIN, instrument=3, **{**BTCUSD_MADE, "book_tick": 1, "min_price": 1, "max_price": 1_000})
    s.do(K.CONFIGURE_LIMITS, ADMIN, instrument=3, **BTCUSD_LIMITS)
    s.do(K.CONFIGURE_FEES, ADMIN, instrument=3, maker_ppm=0, taker_ppm=0, rfq_ppm=0)
    for side, price in ((BUY, 1), (SELL, 1_000)):
        assert not s.order(BOLT, side, ONE_BTC, price, 3) and answer(s) is R.NO_REFERENCE


# ------------------------------------------------------------------------------------------------------------------------------- the ledger
@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_custody_may_be_the_first_account_and_the_last(engine):
    """Numbers say nothing about kinds."""
    s = Scenario(ENGINES[engine]())
    kinds = (AccountKind.CUSTODY, AccountKind.HOUSE, AccountKind.FEES, AccountKind.SUSPENSE, AccountKind.DEFICIT, AccountKind.CLIENT, AccountKind.CUSTODY)
    records = [command(K.CONFIGURE_CELL, **CELL),
               command(K.CONFIGURE_ASSET, asset=1, digits=8, approval_above=-1, quote_approval_above=-1, enabled=1)]
    records += [command(K.CONFIGURE_ACCOUNT, account=number, account_kind=kind, entity=number, dealer=0, rate_limit=0, max_open=9, answer_quota=9, enabled=1)
                for number, kind in enumerate(kinds, 1)]
    records.append(command(K.CONFIGURE_ACTOR, number=1, account=0, person=0, role=8, enabled=1))
    records += [command(K.CONFIGURE_AUTHORITY, role=8, command=kind, scope=Scope.ALL, second_person=0) for kind in (K.DEPOSIT, K.MOVE_CUSTODY)]
    records.append(command(K.START))
    for record in records:
        record["actor"] = 1
    for record in records:
        s.apply(record)
    last = len(kinds)
    assert s.do(K.DEPOSIT, 1, account=6, custody=1, asset=1, amount=5) and s.find(E.DEPOSITED), s.told()
    s.do(K.MOVE_CUSTODY, 1, account=1, custody=last, asset=1, amount=2)
    assert s.kinds() == [E.CUSTODY_MOVED] * 2 and (s.balance(1, 1), s.balance(last, 1)) == (3, 2)
    for custody, wanted in ((0, R.NOT_CUSTODY), (2, R.NOT_CUSTODY), (last + 1, R.NOT_CUSTODY)):
        s.do(K.DEPOSIT, 1, account=6, custody=custody, asset=1, amount=5)
        assert answer(s) is wanted
    for asset, wanted in ((0, R.UNKNOWN_ASSET), (2, R.UNKNOWN_ASSET)):
        s.do(K.DEPOSIT, 1, account=6, custody=1, asset=asset, amount=5)
        assert answer(s) is wanted


def test_custody_goes_as_low_as_money_goes(s):
    """Everything is moved out of the wallet, and then taken back from whoever has it, until it lacks the largest amount there is."""
    s.move_custody(WALLET, KRAKEN, BTC, MAX_AMOUNT - s.balance(KRAKEN, BTC))
    for row in s.rows("balances", asset=BTC):
        if row["account"] not in (WALLET, KRAKEN) and row["available"] > 0:
            s.reverse(row["account"], BTC, row["available"])
            assert s.one(E.DEPOSIT_REVERSED)["fee"] == 0                    # nothing was missing
    assert s.balance(WALLET, BTC) == -MAX_AMOUNT
    before = s.rows("balances", asset=BTC)
    s.reverse(BOLT, BTC, 1)
    assert answer(s) is R.OVERFLOW and s.rows("balances", asset=BTC) == before


def test_most_of_all_money_comes_and_goes(s):
    much = MAX_AMOUNT // 4 * 3
    s.deposit(ACME, BTC, much, custody=KRAKEN)
    s.reverse(ACME, BTC, much, custody=KRAKEN)
    assert s.one(E.DEPOSIT_REVERSED)["amount"] == much and s.one(E.DEPOSIT_REVERSED)["fee"] == 0


def test_a_fact_named_twice_counts_once_and_again_after_its_window(s):
    there = s.balance(ACME, BTC)
    told = {"id_hi": 7, "id_lo": 7}
    for wait, kind, change in ((0, E.DEPOSITED, 5), (0, E.DUPLICATE, 5), (3_600 * SECOND - 1, E.DUPLICATE, 5), (1, E.DEPOSITED, 10)):
        s.now += wait
        s.deposit(ACME, BTC, 5, **told)
        assert s.kinds() == [kind] and s.balance(ACME, BTC) == there + change


def test_a_reversal_and_a_move_named_twice_count_once(s):
    there, wallet = s.balance(ACME, BTC), s.balance(WALLET, BTC)
    for kind in (E.DEPOSIT_REVERSED, E.DUPLICATE):
        s.reverse(ACME, BTC, 5, id_hi=7, id_lo=8)
        assert s.kinds() == [kind] and (s.balance(ACME, BTC), s.balance(WALLET, BTC)) == (there - 5, wallet - 5)
    for kinds in ([E.CUSTODY_MOVED] * 2, [E.DUPLICATE]):
        s.move_custody(WALLET, KRAKEN, BTC, 5, id_hi=7, id_lo=9)
        assert s.kinds() == kinds and s.balance(WALLET, BTC) == wallet - 10


def test_from_what_is_owed_nothing_is_taken_back(s):
    s.reverse(ACME, BTC, s.balance(ACME, BTC) + 3)
    assert s.balance(DEFICIT, BTC) == -3
    s.reverse(DEFICIT, BTC, 2)
    assert s.one(E.DEPOSIT_REVERSED)["fee"] == 2 and s.balance(DEFICIT, BTC) == -5


def test_the_amounts_of_a_transfer(s):
    have = s.balance(ACME, BTC)
    for amount, wanted in ((0, R.BAD_AMOUNT), (-1, R.BAD_AMOUNT), (MAX_AMOUNT + 1, R.BAD_AMOUNT), (MAX_AMOUNT, R.INSUFFICIENT), (have + 1, R.INSUFFICIENT),
                           (have, None)):
        s.transfer(ACME, BOLT, BTC, amount)
        assert answer(s) is wanted, amount
    s.transfer(BOLT, ACME, BTC, 1)
    assert answer(s) is None
    for to, wanted in ((0, R.UNKNOWN_ACCOUNT), (13, R.UNKNOWN_ACCOUNT)):
        s.transfer(ACME, to, BTC, 1)
        assert answer(s) is wanted
    s.deposit(BOLT, BTC, MAX_AMOUNT - s.balance(BOLT, BTC), custody=KRAKEN)
    s.transfer(ACME, BOLT, BTC, 1)
    assert answer(s) is R.OVERFLOW and s.balance(ACME, BTC) == 1


def test_the_amounts_of_a_credit_by_hand(m):
    m.deposit(WALLET, BTC, 5)                                               # whose owner is not known yet
    m.deposit(ACME_TWO, BTC, MAX_AMOUNT - m.balance(ACME_TWO, BTC), custody=KRAKEN)
    for fields, wanted in (({"amount": 0}, R.BAD_AMOUNT), ({"amount": -1}, R.BAD_AMOUNT), ({"amount": MAX_AMOUNT + 1}, R.BAD_AMOUNT),
                           ({"amount": MAX_AMOUNT}, R.MINT), ({"amount": 6}, R.MINT), ({"account": WALLET}, R.NOT_CUSTODY),
                           ({"account": SUSPENSE}, R.BAD_VALUE), ({"asset": 9}, R.UNKNOWN_ASSET), ({"asset": 0}, R.UNKNOWN_ASSET),
                           ({"account": ACME_TWO}, R.OVERFLOW), ({"amount": 5}, None)):
        m.do(K.MANUAL_CREDIT, RISK_ONE, **{"account": ACME, "asset": BTC, "amount": 1, **fields})
        assert answer(m) is wanted, fields
    assert m.balance(SUSPENSE, BTC) == 0
    m.deposit(WALLET, BTC, 5)
    m.do(K.CONFIGURE_ASSET, ADMIN, asset=BTC, digits=8, approval_above=-1, quote_approval_above=-1, enabled=0)
    m.do(K.MANUAL_CREDIT, RISK_ONE, account=ACME, asset=BTC, amount=1)
    assert answer(m) is R.UNKNOWN_ASSET
    m.transfer(ACME, BOLT, BTC, 1)
    assert answer(m) is R.UNKNOWN_ASSET
