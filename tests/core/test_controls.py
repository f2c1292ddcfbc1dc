"""Controls, fees, the mint guard and precision: docs/rules.md sections 2, 5, 6, 14 and 15. On every engine of `engines.ENGINES`."""
import pytest

from cambist.messages import GROUP_MORE, AccountKind, Cause, Event, Kind, Liquidity, Reason, Session
from cambist.simulation.invariants import invariants
from tests.core.engines import ENGINES
from tests.core.market import BY_QUOTE, IOC, LIMIT, MARKET, REDUCE_ONLY, STOP, TENTH, Market, at, market
from tests.scenarios import (
    ACME, ACME_KEY, ADMIN, BOLT, BTC, BTCUSD, BTCUSD_FEES, BTCUSD_MADE, BUY, DEALER_A, DEALER_B, DESK, FEES, KEY_OF, KRAKEN, ONE_BTC,
    ONE_USD, OPERATIONS, RISK_ONE, RISK_TWO, SECOND, SELL, SUSPENSE, TWO_WAY, USD, WALLET, XRP, XRPUSD, Scope,
)

K, E, R = Kind, Event, Reason
NEW = 13                                        # a client made in a test, who has not done anything yet
NEW_KEY = 13


@pytest.fixture(params=sorted(ENGINES))
def m(request) -> Market:
    return market(request.param)


def newcomer(m: Market) -> None:
    m.configure(K.CONFIGURE_ACCOUNT, account=NEW, account_kind=AccountKind.CLIENT, entity=13, dealer=0, rate_limit=0, max_open=100, answer_quota=500, enabled=1)
    m.configure(K.CONFIGURE_ACTOR, account=NEW, number=NEW_KEY, person=0, role=1, enabled=1)
    for asset, amount in ((USD, 10_000_000 * ONE_USD), (BTC, 90 * ONE_BTC)):
        m.deposit(NEW, asset, amount)
    for asset, digits, above in ((USD, 6, 10**12), (BTC, 8, -1)):
        m.configure(K.CONFIGURE_ASSET, asset=asset, digits=digits, approval_above=above, quote_approval_above=-1, enabled=1,
                    rate_num=int(asset == USD), rate_den=10**6 if asset == USD else 0)              # a unit of the numeraire is a dollar


def by(m: Market, side: int, tenths: float, dollars: float, **more: int) -> int:
    return m.put(NEW, side, tenths, dollars, actor=NEW_KEY, **more)


# ------------------------------------------------------------------------------------------------------------------ configuration
@pytest.mark.parametrize("kind, good, changes", [
    (K.CONFIGURE_TRADING, {"account": ACME, "tier": 3, "execution_window": 1, "max_executions": 1},
     [({"account": 99}, R.UNKNOWN_ACCOUNT), ({"tier": 16}, R.BAD_VALUE), ({"self_trade_scope": 3}, R.BAD_VALUE), ({"max_waiting": -1}, R.BAD_VALUE),
      ({"execution_window": 0}, R.BAD_VALUE), ({"fee_instrument": 99}, R.UNKNOWN_INSTRUMENT)]),
    (K.CONFIGURE_TIER, {"instrument": BTCUSD, "tier": 1, "maker_ppm": -100, "taker_ppm": 400},
     [({"instrument": 99}, R.UNKNOWN_INSTRUMENT), ({"tier": 0}, R.BAD_VALUE), ({"tier": 16}, R.BAD_VALUE), ({"taker_ppm": -1}, R.BAD_VALUE),
      ({"minimum": -1}, R.BAD_VALUE), ({"maker_ppm": -401}, R.BAD_VALUE), ({"maker_ppm": -500, "taker_ppm": 600}, R.NONE)]),
    (K.CONFIGURE_PROTECTION, {"account": DEALER_A, "instrument": BTCUSD, "quantity": 1, "window": 8},
     [({"account": 99}, R.UNKNOWN_ACCOUNT), ({"instrument": 99}, R.UNKNOWN_INSTRUMENT), ({"window": 7}, R.BAD_VALUE), ({"delta": -1}, R.BAD_VALUE)]),
    (K.CONFIGURE_RESTRICTION, {"account": ACME, "instrument": BTCUSD, "barred": 1},
     [({"account": 99}, R.UNKNOWN_ACCOUNT), ({"account": 0, "number": 99}, R.UNKNOWN_ACTOR), ({"number": 1}, R.BAD_VALUE), ({"account": 0}, R.BAD_VALUE),
      ({"instrument": 0}, R.UNKNOWN_INSTRUMENT), ({"barred": 2}, R.BAD_VALUE)]),
    (K.CONFIGURE_ASSET, {"asset": USD, "digits": 6, "approval_above": -1, "quote_approval_above": -1, "enabled": 1},
     [({"rate_num": 1}, R.BAD_VALUE), ({"rate_den": 1}, R.BAD_VALUE), ({"rate_num": 1, "rate_den": -1}, R.BAD_VALUE)]),
    (K.CONFIGURE_EXPOSURE, {"account": SUSPENSE, "gross": 5},
     [({"account": 99}, R.UNKNOWN_ACCOUNT), ({"net": -1}, R.BAD_VALUE)]),
    (K.CONFIGURE_VENUE, {"account": KRAKEN, "venue": 1, "enabled": 1},
     [({"account": WALLET}, R.IMMUTABLE), ({"account": ACME}, R.NOT_CUSTODY), ({"venue": 3}, R.BAD_NUMBER), ({"enabled": 2}, R.BAD_VALUE),
      ({"account": WALLET, "venue": 2}, R.NONE)]),
])
def test_what_configuration_refuses(m, kind, good, changes):
    m.do(kind, ADMIN, **good)
    assert m.kinds() == [E.DONE]
    for change, reason in changes:
        m.do(kind, ADMIN, **{**good, **change})
        assert (m.refused() if m.find(E.REFUSED) else R.NONE) is reason, change


def test_a_taker_fee_never_falls_below_a_rebate(m):
    m.configure(K.CONFIGURE_TIER, instrument=BTCUSD, tier=1, maker_ppm=-300, taker_ppm=400, rfq_ppm=0, minimum=0)
    m.do(K.CONFIGURE_FEES, ADMIN, instrument=BTCUSD, **{**BTCUSD_FEES, "taker_ppm": 299})
    assert m.refused() is R.BAD_VALUE


# ------------------------------------------------------------------------------------------------------------------ restrictions
@pytest.mark.parametrize("whom", ["account", "actor"])
def test_a_restricted_account_or_actor(m, whom):
    order = m.buy(ACME, 1, 59_000)
    who = {"account": ACME} if whom == "account" else {"number": ACME_KEY}
    m.configure(K.CONFIGURE_RESTRICTION, instrument=BTCUSD, barred=1, **who)
    m.buy(ACME, 1, 59_000)
    assert m.refused() is R.RESTRICTED
    m.amend(ACME, order, at(58_000), TENTH)
    assert m.refused() is R.RESTRICTED
    m.mass_quote(ACME, 59_000, 1, 61_000, 1)
    assert m.refused() is R.RESTRICTED
    m.request(ACME, TWO_WAY, ONE_BTC)
    assert m.refused() is R.RESTRICTED
    assert m.order(ACME, BUY, 10**6, 500_000, XRPUSD)
    m.cancel(ACME, order)
    assert m.find(E.ORDER_CANCELLED)
    m.configure(K.CONFIGURE_RESTRICTION, instrument=BTCUSD, barred=0, **who)
    assert m.buy(ACME, 1, 59_000)


# ------------------------------------------------------------------------------------------------------------------ duplicates, rates
def test_a_duplicate_order(m):
    m.trading(ACME, duplicate_window=2 * SECOND)
    assert m.buy(ACME, 1, 59_000)
    m.buy(ACME, 1, 59_000)
    assert m.refused() is R.DUPLICATE_ORDER
    assert m.buy(ACME, 1, 59_001) and m.buy(ACME, 1, 59_000)                # another came between
    m.advance(2)
    assert m.buy(ACME, 1, 59_000)


def test_cancels_have_a_reserve(m):
    m.configure(K.CONFIGURE_ACCOUNT, account=ACME, account_kind=AccountKind.CLIENT, entity=10, dealer=0, rate_limit=2, max_open=100, answer_quota=2_000,
                enabled=1)
    orders = [m.buy(ACME, 1, 59_000 + i) for i in range(3)]
    assert orders[:2] == [o for o in orders if o] and m.refused() is R.RATE
    for _ in range(9):
        m.cancel(ACME, 1)
        assert m.refused() is R.UNKNOWN_ORDER                               # without a reserve cancels are not counted
    m.advance(1), m.trading(ACME, cancel_reserve=1)
    for _ in range(3):
        m.cancel(ACME, 1)
        assert m.refused() is R.UNKNOWN_ORDER
    m.cancel(ACME, 1)
    assert m.refused() is R.RATE
    assert m.buy(ACME, 1, 59_500)                                           # orders have their own count


def test_waiting_orders_have_a_limit_of_their_own(m):
    m.trade(60_000), m.trading(ACME, max_waiting=2)
    for _ in range(2):
        assert m.sell(ACME, 1, 0, trigger=STOP, trigger_price=at(59_000))
    m.sell(ACME, 1, 0, trigger=STOP, trigger_price=at(59_000))
    assert m.refused() is R.WAITING_ORDERS
    assert m.sell(ACME, 1, 61_000)


# ------------------------------------------------------------------------------------------------------------------ exposure, loss, executions
def test_exposure_gross_and_net(m):
    newcomer(m)
    m.configure(K.CONFIGURE_EXPOSURE, account=NEW, gross=20_000, net=15_000, loss=0)
    assert by(m, BUY, 2, 60_000)                                            # 12,000 of 15,000
    by(m, BUY, 1, 60_000)
    assert m.refused() is R.EXPOSURE
    m.sell(BOLT, 2, 60_000)
    row = m.row("exposures")
    assert (row["gross"], row["net"], row["open"], row["cash"]) == (12_000, 12_000, 0, -12_001)     # with the maker's fee
    by(m, BUY, 1, 60_000)
    assert m.refused() is R.EXPOSURE
    assert by(m, SELL, 1, 60_000)                                           # -12,000 + 6,000: it reduces
    by(m, SELL, 1, 60_000)
    assert m.refused() is R.EXPOSURE                                        # 12,000 + 12,000 open is beyond the gross limit
    assert by(m, SELL, 1, 60_000, options=REDUCE_ONLY)                      # what can only reduce is not asked
    m.do(K.CONFIGURE_EXPOSURE, ADMIN, account=ACME, gross=1, net=0, loss=0)
    assert m.kinds() == [E.DONE]
    m.buy(BOLT, 1, 58_000), m.do(K.CONFIGURE_EXPOSURE, ADMIN, account=BOLT, gross=1, net=0, loss=0)
    assert m.refused() is R.IN_USE                                          # it has orders nobody counted


def test_a_childs_value_follows_the_rate_when_its_parent_trades(m):
    """Kernel and twin differed: the rules did not say when (control flow, seed 1041)."""
    newcomer(m)
    m.configure(K.CONFIGURE_EXPOSURE, account=NEW, gross=0, net=0, loss=0)
    m.apply(*(m.build(K.NEW_ORDER, NEW_KEY, account=NEW, instrument=BTCUSD, side=side, order_type=LIMIT, quantity=2 * TENTH, price=at(dollars), link=link,
                      flags=more) for side, dollars, link, more in ((SELL, 60_000, 2, GROUP_MORE), (BUY, 59_000, 3, 0))))
    assert sorted(row["value"] for row in m.rows("orders", account=NEW)) == [11_800, 12_000] and m.row("exposures")["open"] == 23_800
    m.configure(K.CONFIGURE_ASSET, asset=USD, digits=6, approval_above=10**12, quote_approval_above=-1, enabled=1, rate_num=3, rate_den=10**6)
    assert m.row("exposures")["open"] == 23_800
    m.buy(BOLT, 1, 60_000)
    assert sorted(row["value"] for row in m.rows("orders", account=NEW)) == [18_000, 35_400] and m.row("exposures")["open"] == 53_400


def test_exposure_without_a_rate(m):
    newcomer(m)
    m.configure(K.CONFIGURE_EXPOSURE, account=NEW, gross=20_000, net=0, loss=0)
    m.configure(K.CONFIGURE_ASSET, asset=USD, digits=6, approval_above=-1, quote_approval_above=-1, enabled=1, rate_num=0, rate_den=0)
    by(m, BUY, 1, 60_000)
    assert m.refused() is R.NO_RATE


def test_a_daily_loss_kills(m):
    newcomer(m)
    m.configure(K.CONFIGURE_EXPOSURE, account=NEW, gross=0, net=0, loss=500)
    waiting = by(m, BUY, 1, 55_000)
    m.sell(BOLT, 10, 60_000), by(m, BUY, 10, 60_000)
    m.index(59_400), m.buy(BOLT, 2, 59_500), by(m, SELL, 1, 59_500)
    alert = m.one(E.ALERT)
    assert (alert["reason"], alert["id"]) == (R.DAILY_LOSS, NEW) and alert["amount"] == 623
    by(m, BUY, 1, 55_000)
    assert m.refused() is R.KILLED and m.state(waiting) == "gone"


def test_a_new_day_begins_at_nothing(m):
    newcomer(m)
    m.configure(K.CONFIGURE_EXPOSURE, account=NEW, gross=0, net=0, loss=500)
    m.sell(BOLT, 10, 60_000), by(m, BUY, 10, 60_000)
    m.index(59_800), m.buy(BOLT, 1, 59_800), by(m, SELL, 1, 59_800)         # 230 or so lost
    assert m.find(E.ALERT) == []
    m.advance(86_400), m.index(59_800)
    m.buy(BOLT, 1, 59_400), by(m, SELL, 1, 59_400)
    assert m.find(E.ALERT) == [] and m.row("exposures")["day"] == m.now // (86_400 * SECOND)


def test_repeated_executions_stop_the_account(m):
    m.trading(ACME, max_executions=2, execution_window=10 * SECOND)
    m.sell(BOLT, 9, 60_000)
    for i in range(3):
        m.buy(ACME, 1, 60_000 + i)
    assert m.one(E.ALERT)["reason"] == R.EXECUTIONS
    m.buy(ACME, 1, 60_000)
    assert m.refused() is R.KILLED
    m.work(), m.do(K.REVIVE, RISK_ONE, account=ACME)
    m.advance(10)
    assert m.buy(ACME, 1, 60_000) and m.buy(ACME, 1, 59_000)                # one that rests is no execution


# ------------------------------------------------------------------------------------------------------------------ protection
@pytest.mark.parametrize("limits, hits, trips", [
    ({"quantity": 3 * TENTH}, [(SELL, 1), (BUY, 1)], False), ({"quantity": 3 * TENTH}, [(SELL, 1), (BUY, 2)], True),
    ({"delta": 2 * TENTH}, [(SELL, 1), (BUY, 1), (SELL, 1)], False), ({"delta": 2 * TENTH}, [(SELL, 1), (SELL, 1)], True),
])
def test_market_maker_protection(m, limits, hits, trips):
    m.configure(K.CONFIGURE_PROTECTION, account=DEALER_A, instrument=BTCUSD, **{"quantity": 0, "delta": 0, "window": 8 * SECOND, **limits})
    m.mass_quote(DEALER_A, 59_900, 5, 60_100, 5)
    for side, tenths in hits:
        m.put(BOLT, side, tenths, 59_900 if side == SELL else 60_100, time_in_force=IOC)
    assert bool(m.find(E.PROTECTED)) is trips and bool(m.rows("orders")) is not trips
    m.mass_quote(DEALER_A, 59_900, 5, 60_100, 5)
    if not trips:
        assert m.find(E.BOOK_QUOTED)
        return
    assert m.refused() is R.FROZEN and [e["reason"] for e in m.history if e["kind"] == E.ORDER_CANCELLED] == [R.PROTECTED, R.PROTECTED]
    m.do(K.RESET_PROTECTION, KEY_OF[DEALER_A], account=DEALER_A, instrument=BTCUSD)
    assert m.find(E.DONE)
    m.mass_quote(DEALER_A, 59_900, 5, 60_100, 5)
    assert m.find(E.BOOK_QUOTED)
    m.do(K.RESET_PROTECTION, KEY_OF[DEALER_B], account=DEALER_B, instrument=BTCUSD)
    assert m.refused() is R.BAD_VALUE


def test_protection_forgets_what_is_older_than_its_window(m):
    m.configure(K.CONFIGURE_PROTECTION, account=DEALER_A, instrument=BTCUSD, quantity=2 * TENTH, delta=0, window=8 * SECOND)
    m.mass_quote(DEALER_A, 59_900, 9, 60_100, 9)
    for _ in range(4):
        m.sell(BOLT, 1, 59_900, time_in_force=IOC), m.advance(8)
    assert m.find(E.PROTECTED) == [] and m.find(E.FILLED)
    m.sell(BOLT, 1, 59_900, time_in_force=IOC), m.advance(6), m.sell(ACME, 1, 59_900, time_in_force=IOC)
    assert m.find(E.PROTECTED)


# ------------------------------------------------------------------------------------------------------------------ kill switches
def test_a_trader_is_killed_apart_from_the_account(m):
    m.configure(K.CONFIGURE_ACTOR, account=ACME, number=13, person=0, role=1, enabled=1)
    mine, other = m.buy(ACME, 1, 59_000), m.buy(ACME, 1, 59_100, actor=13)
    m.do(K.KILL_TRADER, RISK_ONE, number=13)
    assert m.find(E.DONE)
    m.sell(BOLT, 1, 59_100, time_in_force=IOC)
    assert m.fills() == [] and (m.state(mine), m.state(other)) == ("BOOK", "gone")
    assert [e["reason"] for e in m.find(E.ORDER_CANCELLED, ACME)] == [R.TRADER_KILLED]
    m.buy(ACME, 1, 59_000, actor=13)
    assert m.refused() is R.TRADER_KILLED
    assert m.buy(ACME, 1, 59_000)
    m.work(), m.do(K.REVIVE_TRADER, RISK_ONE, number=13)
    assert m.buy(ACME, 1, 59_000, actor=13)
    for kind in (K.KILL_TRADER, K.REVIVE_TRADER):
        m.do(kind, RISK_ONE, number=99)
        assert m.refused() is R.UNKNOWN_ACTOR


def test_traders_are_swept_one_after_the_other(m):
    first, second = [m.buy(ACME, 1, 59_000 + i) for i in range(40)], m.buy(BOLT, 1, 59_000)
    for number in (ACME_KEY, KEY_OF[BOLT], ACME_KEY):
        m.do(K.KILL_TRADER, RISK_ONE, number=number)
    m.work(6)
    assert {m.state(o) for o in (*first, second)} == {"gone"}
    assert [e["other"] for e in m.history if e["kind"] == E.SWEPT and e["id"] == 5] == [ACME_KEY, KEY_OF[BOLT]]


def test_a_kill_of_a_trader_for_many_accounts(m):
    """The sweep goes through every account, passes over what others sent, and ends."""
    m.configure(K.CONFIGURE_AUTHORITY, role=9, command=K.NEW_ORDER, scope=Scope.ALL, second_person=0)
    m.configure(K.CONFIGURE_ACTOR, account=ACME, number=13, person=0, role=9, enabled=1)
    kept = [m.buy(account, 1, 59_000) for account in (ACME, BOLT)]
    gone = [m.buy(account, 1, 59_100 + i, actor=13) for i in range(20) for account in (ACME, BOLT)]
    m.do(K.KILL_TRADER, RISK_ONE, number=13)
    m.do(K.REVIVE_TRADER, RISK_ONE, number=13)
    assert m.refused() is R.SWEEPING
    m.work(6)
    assert [m.state(o) for o in kept] == ["BOOK"] * 2 and {m.state(o) for o in gone} == {"gone"}
    assert (m.one(E.SWEPT)["id"], m.one(E.SWEPT)["other"]) == (5, 13) and len(m.find(E.ORDER_CANCELLED)) > 20


def test_a_halt_with_cancel_takes_what_stands_outside_the_book_too(m):
    m.trade(60_000), m.sell(ACME, 1, 0, trigger=STOP, trigger_price=at(59_000)), m.buy(ACME, 1, 59_000)
    m.do(K.HALT, RISK_ONE, instrument=BTCUSD, cancel=1), m.work()
    assert m.rows("orders") == [] and m.one(E.SWEPT)["id"] == 1


# ------------------------------------------------------------------------------------------------------------------ fees
@pytest.mark.parametrize("maker_ppm, taker_ppm, minimum, maker_fee, taker_fee", [
    (100, 500, 0, 600_000, 3_000_000), (-200, 500, 0, -1_200_000, 3_000_000), (0, 0, 0, 0, 0), (100, 500, 5 * ONE_USD, 5_000_000, 5_000_000),
    (-200, 500, 5 * ONE_USD, -1_200_000, 5_000_000), (0, 1_000_000, 0, 0, 6_000_000_000), (100, 100, 7_000 * ONE_USD, 6_000_000_000, 6_000_000_000),
])
def test_fee_tiers(m, maker_ppm, taker_ppm, minimum, maker_fee, taker_fee):
    m.configure(K.CONFIGURE_TIER, instrument=BTCUSD, tier=2, maker_ppm=maker_ppm, taker_ppm=taker_ppm, rfq_ppm=0, minimum=minimum)
    m.trading(ACME, tier=2), m.trading(BOLT, tier=2)
    before = {a: m.balance(a, USD) for a in (ACME, BOLT, FEES)}
    m.sell(ACME, 1, 60_000), m.buy(BOLT, 1, 60_000)
    maker, taker = m.find(E.FILLED)
    amount = 6_000 * ONE_USD
    assert (maker["fee"], taker["fee"]) == (maker_fee, taker_fee)
    assert m.balance(ACME, USD) - before[ACME] == amount - maker_fee and before[BOLT] - m.balance(BOLT, USD) == amount + taker_fee
    assert m.balance(FEES, USD) - before[FEES] == maker_fee + taker_fee == m.flow(USD, Cause.FEE)


def test_a_minimum_fee_is_paid_once_an_order(m):
    m.configure(K.CONFIGURE_TIER, instrument=BTCUSD, tier=2, maker_ppm=0, taker_ppm=100, rfq_ppm=0, minimum=5 * ONE_USD)
    m.trading(BOLT, tier=2)
    m.sell(ACME, 1, 60_000), m.sell(DEALER_A, 1, 60_000)
    order = m.buy(BOLT, 3, 60_000)
    assert [e["fee"] for e in m.find(E.FILLED, BOLT)] == [5_000_000, 600_000]
    m.sell(ACME, 1, 60_000)
    assert m.find(E.FILLED, BOLT)[0]["fee"] == 0 and m.state(order) == "gone" and m.balance(BOLT, USD, "held") == 0


def test_a_fee_in_a_chosen_asset(m):
    m.do(K.CONFIGURE_TRADING, ADMIN, account=BOLT, fee_instrument=XRPUSD)
    m.sell(ACME, 2, 60_000)
    m.buy(BOLT, 1, 60_000)
    assert m.find(E.FEE_CHARGED) == [] and m.find(E.FILLED, BOLT)[0]["fee"] == 3_000_000           # no XRP: in dollars
    m.deposit(BOLT, XRP, 100 * 10**6)
    before = m.balance(BOLT, USD)
    m.buy(BOLT, 1, 60_000)
    charged = m.one(E.FEE_CHARGED)
    assert m.find(E.FILLED, BOLT)[0]["fee"] == 0 and before - m.balance(BOLT, USD) == 6_000 * ONE_USD
    assert (charged["other"], charged["amount"]) == (XRP, 6_000_000) and m.balance(FEES, XRP) == m.flow(XRP, Cause.FEE) == 6_000_000   # 3 USD at 0.50
    m.advance(3_601), m.price(BTCUSD, 1, at(60_000)), m.price(BTCUSD, 2, at(60_000))
    m.sell(ACME, 1, 60_000), m.buy(BOLT, 1, 60_000)
    assert m.find(E.FEE_CHARGED) == []                                      # no fresh reference: in dollars


def test_a_chosen_asset_that_cannot_be_paid_in(m):
    """One that nobody may use now, or whose price is in another asset: the fee is in dollars, as if nothing had been chosen."""
    m.deposit(BOLT, XRP, 100 * 10**6), m.sell(ACME, 9, 60_000)
    m.configure(K.CONFIGURE_INSTRUMENT, instrument=3, **{**BTCUSD_MADE, "base": XRP, "quote": BTC})
    xrp = {"asset": XRP, "digits": 6, "approval_above": -1, "quote_approval_above": -1}
    for instrument, enabled, in_xrp in ((XRPUSD, 0, False), (3, 1, False), (XRPUSD, 1, True)):
        m.configure(K.CONFIGURE_ASSET, enabled=enabled, **xrp), m.trading(BOLT, fee_instrument=instrument)
        m.buy(BOLT, 1, 60_000)
        assert bool(m.find(E.FEE_CHARGED)) is in_xrp and m.find(E.FILLED, BOLT)[0]["fee"] == (0 if in_xrp else 3_000_000)


def test_a_fee_in_a_chosen_asset_says_how_it_traded(m):
    m.do(K.CONFIGURE_TRADING, ADMIN, account=BOLT, fee_instrument=XRPUSD)
    m.deposit(BOLT, XRP, 1_000 * 10**6)
    m.sell(ACME, 2, 60_000)

    def charged():
        return Liquidity(m.one(E.FEE_CHARGED, BOLT)["liquidity"]), Liquidity(m.find(E.FILLED, BOLT)[0]["liquidity"])

    m.buy(BOLT, 1, 60_000)
    assert charged() == (Liquidity.TAKER, Liquidity.TAKER)
    m.do(K.NEW_ORDER, KEY_OF[BOLT], account=BOLT, instrument=BTCUSD, order_type=MARKET, options=BY_QUOTE, quantity=6_000 * ONE_USD)
    assert charged() == (Liquidity.TAKER_BY_QUOTE, Liquidity.TAKER_BY_QUOTE)
    m.buy(BOLT, 1, 60_000), m.sell(ACME, 1, 60_000)
    assert charged() == (Liquidity.MAKER, Liquidity.MAKER)
    request = m.request(BOLT, BUY, ONE_BTC)
    m.quote(DEALER_A, request, ask=at(60_000)), m.accept(BOLT, request, BUY, at(60_000))
    assert charged() == (Liquidity.QUOTE, Liquidity.QUOTE)
    m.session(Session.AUCTION, Session.CONTINUOUS), m.buy(BOLT, 1, 60_000), m.sell(ACME, 1, 60_000), m.session(Session.CONTINUOUS), m.work()
    assert charged() == (Liquidity.AUCTION, Liquidity.AUCTION)


def test_the_client_of_a_quote_pays_by_its_tier(m):
    m.configure(K.CONFIGURE_TIER, instrument=BTCUSD, tier=2, maker_ppm=0, taker_ppm=0, rfq_ppm=50, minimum=4 * ONE_USD)
    m.trading(ACME, tier=2)
    for quantity, fee in ((ONE_BTC, 4_000_000), (10 * ONE_BTC, 30_000_000)):
        request = m.request(ACME, BUY, quantity)
        m.quote(DEALER_A, request, ask=at(60_000)), m.accept(ACME, request, BUY, at(60_000))
        assert m.find(E.FILLED, ACME)[0]["fee"] == fee


# ------------------------------------------------------------------------------------------------------------------ the mint guard
def credit_role(m: Market) -> None:
    """Risk may credit by hand, with a second person."""
    m.configure(K.CONFIGURE_AUTHORITY, role=4, command=K.MANUAL_CREDIT, scope=Scope.ALL, second_person=1)


def test_mint_guard_620_000_by_hand_against_46_000_in_custody(m):
    """Whoever approves: what custody has not brought is not credited."""
    m.configure(K.CONFIGURE_ASSET, asset=4, digits=0, approval_above=-1, quote_approval_above=-1, enabled=1)
    credit_role(m)
    m.deposit(WALLET, 4, 46_000)                                            # custody holds 46,000 that nobody owns yet
    assert m.balance(SUSPENSE, 4) == m.balance(WALLET, 4) == 46_000
    big = m.build(K.MANUAL_CREDIT, RISK_ONE, account=ACME, asset=4, amount=620_000)
    m.apply(big)
    assert m.refused() is R.MINT
    held = m.build(K.MANUAL_CREDIT, RISK_ONE, account=ACME, asset=4, amount=46_000)
    m.apply(held)
    identity = m.one(E.HELD)["id"]
    m.do(K.TRANSFER, OPERATIONS, account=SUSPENSE, to=BOLT, asset=4, amount=1)      # while it waits, one unit finds its owner
    m.approve(identity, held, RISK_TWO)
    assert m.refused() is R.MINT                                            # approved, and checked again
    rest = m.build(K.MANUAL_CREDIT, RISK_ONE, account=ACME, asset=4, amount=45_999)
    m.apply(rest)
    m.approve(m.one(E.HELD)["id"], rest, RISK_TWO)
    assert m.balance(ACME, 4) == 45_999 and m.balance(SUSPENSE, 4) == 0
    m.apply(m.build(K.MANUAL_CREDIT, RISK_ONE, account=ACME, asset=4, amount=1))
    assert m.refused() is R.MINT
    m.do(K.TRANSFER, OPERATIONS, account=DESK, to=ACME, asset=4, amount=620_000)
    assert m.refused() is R.UNCOVERED                                       # nor out of the desk's short limit
    assert invariants(m.engine.tables()) == []


def test_a_person_does_not_speak_for_custody(m):
    m.configure(K.CONFIGURE_AUTHORITY, role=5, command=K.DEPOSIT, scope=Scope.ALL, second_person=0)
    m.do(K.DEPOSIT, OPERATIONS, account=ACME, custody=WALLET, asset=BTC, amount=620_000)
    assert m.refused() is R.MINT
    assert m.deposit(ACME, BTC, 620_000) and m.find(E.DEPOSITED)


@pytest.mark.parametrize("fields, reason", [
    ({"account": WALLET}, R.NOT_CUSTODY), ({"account": SUSPENSE}, R.BAD_VALUE), ({"asset": 99}, R.UNKNOWN_ASSET), ({"amount": 0}, R.BAD_AMOUNT),
    ({"amount": 2}, R.MINT),
])
def test_a_manual_credit_that_is_none(m, fields, reason):
    m.deposit(KRAKEN, USD, 1)
    m.do(K.MANUAL_CREDIT, RISK_ONE, **{"account": ACME, "asset": USD, "amount": 1, **fields})
    assert m.refused() is reason


# ------------------------------------------------------------------------------------------------------------------ people
def test_sessions_bind_people_too(m):
    m.configure(K.CONFIGURE_AUTHORITY, role=4, command=K.SESSION, scope=Scope.ALL, second_person=1)
    record = m.build(K.SESSION, RISK_ONE, instrument=BTCUSD, session=Session.CLOSED, next=0, duration=0)
    m.apply(record)
    m.approve(m.one(E.HELD)["id"], record, RISK_TWO)
    assert m.session_now() == "CLOSED"
