"""Precision: what a price increment and an asset's unit are, changed at one sequence. docs/rules.md section 15. On every engine of `engines.ENGINES`."""
import pytest

from cambist.messages import AccountKind, Cause, Event, Kind, Reason
from cambist.simulation.invariants import invariants
from tests.core.engines import ENGINES
from tests.core.market import IOC, STOP, TENTH, Market, at, market
from tests.scenarios import (
    ACME, ADMIN, BOLT, BTC, BTCUSD, BTCUSD_LIMITS, BTCUSD_MADE, BUY, DEALER_A, DEALER_B, DESK, HOUSE, KRAKEN, ONE_BTC, ONE_USD, OPERATIONS, RISK_ONE, SECOND,
    SELL, SUSPENSE, USD, WALLET, XRPUSD,
)

K, E, R = Kind, Event, Reason


@pytest.fixture(params=sorted(ENGINES))
def m(request) -> Market:
    return market(request.param)


def totals(m: Market) -> dict[int, int]:
    """What everyone owns, by asset."""
    kinds = {r["account"]: r["kind"] for r in m.rows("accounts")}
    out: dict[int, int] = {}
    for r in m.rows("balances"):
        if kinds[r["account"]] != AccountKind.CUSTODY:
            out[r["asset"]] = out.get(r["asset"], 0) + r["available"] + r["held"]
    return out


def quiet(m: Market) -> None:
    """Halted, and nothing stands."""
    for instrument in (BTCUSD, XRPUSD):
        m.do(K.HALT, RISK_ONE, instrument=instrument, cancel=1)
    m.work(3)


TERMS = {"price_factor": 10, "lot": 100, "book_tick": 100, "quote_tick": 1, "min_price": 1_000_000, "max_price": 200_000_000}


def test_a_change_of_terms_is_exact(m):
    m.trade(60_000), m.trade(60_000)
    before, deal = totals(m), m.row("positions", account=DEALER_B)
    quiet(m)
    m.do(K.CHANGE_TERMS, RISK_ONE, instrument=BTCUSD, **TERMS)
    assert m.kinds() == [E.TERMS_CHANGED, E.DONE] and totals(m) == before and m.row("positions", account=DEALER_B) == deal
    row = m.row("instruments", instrument=BTCUSD)
    assert (row["amount_num"], row["amount_den"], row["lot"], row["last"], row["book_last"]) == (1, 100_000, 100, 60_000_000, 60_000_000)
    m.do(K.RESUME, RISK_ONE, instrument=BTCUSD)
    m.order(ACME, SELL, ONE_BTC, 60_000_100), m.order(BOLT, BUY, ONE_BTC, 60_000_100)
    assert m.find(E.FILLED)[0]["amount"] == 60_000_100_000                  # 60,000.10 dollars: a price the old terms had no name for
    assert sum(totals(m).values()) == sum(before.values())


@pytest.mark.parametrize("change, reason", [
    ({"instrument": 99}, R.UNKNOWN_INSTRUMENT), ({"price_factor": 0}, R.BAD_VALUE), ({"price_factor": 10**9 + 1}, R.BAD_VALUE), ({"lot": 0}, R.BAD_VALUE),
    ({"book_tick": 3, "quote_tick": 2}, R.BAD_VALUE), ({"min_price": 1_000_001}, R.BAD_VALUE), ({"max_price": 10}, R.BAD_VALUE),
    ({"max_price": 4 * 10**18, "book_tick": 10**15, "min_price": 10**15}, R.OVERFLOW),
])
def test_a_change_of_terms_that_is_none(m, change, reason):
    quiet(m)
    m.do(K.CHANGE_TERMS, RISK_ONE, **{"instrument": BTCUSD, **TERMS, **change})
    assert m.refused() is reason


def test_terms_change_only_when_nothing_stands(m):
    m.trade(60_000), m.sell(ACME, 1, 0, trigger=STOP, trigger_price=at(59_000))
    m.do(K.CHANGE_TERMS, RISK_ONE, instrument=BTCUSD, **TERMS)
    assert m.refused() is R.NOT_HALTED
    m.do(K.HALT, RISK_ONE, instrument=BTCUSD), m.do(K.CHANGE_TERMS, RISK_ONE, instrument=BTCUSD, **TERMS)
    assert m.refused() is R.IN_USE                                          # a waiting order
    quiet(m)
    m.do(K.CHANGE_TERMS, RISK_ONE, instrument=BTCUSD, **TERMS)
    assert m.find(E.TERMS_CHANGED)


def asset(m: Market, enabled: int) -> None:
    m.configure(K.CONFIGURE_ASSET, asset=USD, digits=m.row("assets", asset=USD)["digits"], approval_above=10**12, quote_approval_above=-1, enabled=enabled)


def test_precision_change_is_exact_across(m):
    """The dollar gets two more digits between two trades: every amount is a hundredfold, and the same trade moves the same money."""
    m.sell(ACME, 1, 60_000), m.buy(BOLT, 1, 60_000)
    old = m.find(E.FILLED)[0]["amount"]
    before, flows, credit = totals(m), m.flow(USD, Cause.FEE), m.credit(BOLT)
    m.do(K.CHANGE_DIGITS, RISK_ONE, asset=USD, digits=8)
    assert m.refused() is R.IN_USE                                          # it is enabled
    asset(m, 0)
    for digits, reason in ((6, R.BAD_VALUE), (5, R.BAD_VALUE), (19, R.BAD_VALUE), (18, R.OVERFLOW)):
        m.do(K.CHANGE_DIGITS, RISK_ONE, asset=USD, digits=digits)
        assert m.refused() is reason
    m.do(K.CHANGE_DIGITS, RISK_ONE, asset=99, digits=8)
    assert m.refused() is R.UNKNOWN_ASSET
    m.do(K.CHANGE_DIGITS, RISK_ONE, asset=USD, digits=8), m.work()
    assert m.one(E.ALERT)["reason"] == R.NOT_HALTED and totals(m) == before
    quiet(m)
    m.do(K.CHANGE_DIGITS, RISK_ONE, asset=USD, digits=8)
    assert m.kinds() == [E.DONE] and totals(m) == before                    # nothing has changed until all was looked at
    m.work()
    assert m.find(E.DIGITS_CHANGED) and m.one(E.SWEPT)["id"] == 6
    assert totals(m) == {**before, USD: before[USD] * 100} and m.flow(USD, Cause.FEE) == flows * 100
    assert {k: v for k, v in m.credit(BOLT).items() if k in ("limit", "quoting_limit")} == {k: credit[k] * 100 for k in ("limit", "quoting_limit")}
    asset(m, 1)
    for instrument in (BTCUSD, XRPUSD):
        m.do(K.RESUME, RISK_ONE, instrument=instrument)
    m.sell(ACME, 1, 60_000), m.buy(BOLT, 1, 60_000)
    assert m.find(E.FILLED)[0]["amount"] == old * 100 and invariants(m.engine.tables()) == []


def crowd(m: Market) -> None:
    """More accounts than one command's work reaches."""
    for number in range(13, 50):
        m.configure(K.CONFIGURE_ACCOUNT, account=number, account_kind=AccountKind.CLIENT, entity=0, dealer=0, rate_limit=0, max_open=0, answer_quota=0,
                    enabled=1)


def changing(m: Market) -> None:
    """The dollar's digits are being changed, and the pass that looks has begun."""
    crowd(m), asset(m, 0), quiet(m)
    m.do(K.CHANGE_DIGITS, RISK_ONE, asset=USD, digits=8)
    assert m.kinds() == [E.DONE]


@pytest.mark.parametrize("number, digits, kind, fields, whose", [
    (USD, 8, K.CONFIGURE_CREDIT, {"account": BOLT, "giver": HOUSE, "asset": USD, "limit": 1 << 60}, BOLT),
    (USD, 8, K.CONFIGURE_LIMITS, {"instrument": BTCUSD, **BTCUSD_LIMITS, "max_notional": 1 << 60}, 0),
    (USD, 8, K.CONFIGURE_TIER, {"instrument": BTCUSD, "tier": 3, "minimum": 1 << 60}, 0),
    (BTC, 10, K.CONFIGURE_LIMITS, {"instrument": BTCUSD, **BTCUSD_LIMITS, "max_position": 1 << 60}, 0),
    (BTC, 10, K.CONFIGURE_POSITION, {"account": BOLT, "instrument": BTCUSD, "limit": 1 << 60}, BOLT),
    (BTC, 10, K.CONFIGURE_PROTECTION, {"account": BOLT, "instrument": BTCUSD, "quantity": 1 << 60, "window": 8}, BOLT),
    (BTC, 10, K.CONFIGURE_SHORT, {"account": DESK, "asset": BTC, "limit": 1 << 60}, DESK),
])
def test_digits_do_not_change_where_an_amount_would_leave_the_range(m, number, digits, kind, fields, whose):
    m.do(kind, ADMIN, **fields), quiet(m)
    m.configure(K.CONFIGURE_ASSET, asset=number, digits=digits - 2, approval_above=-1, quote_approval_above=-1, enabled=0)
    m.do(K.CHANGE_DIGITS, RISK_ONE, asset=number, digits=digits), m.work()
    alert = m.one(E.ALERT)
    assert (alert["reason"], alert["id"], alert["instrument"], alert["other"]) == (R.OVERFLOW, whose, 0 if whose else BTCUSD, number)
    assert m.row("assets", asset=number)["digits"] == digits - 2 and m.find(E.DIGITS_CHANGED) == []


def test_digits_do_not_change_during_a_cut_off(m):
    crowd(m), asset(m, 0), quiet(m)
    m.do(K.NET, OPERATIONS), m.do(K.CHANGE_DIGITS, RISK_ONE, asset=USD, digits=8)
    assert m.refused() is R.NETTING


def test_what_a_maker_wants_to_be_stopped_at_grows_with_the_digits(m):
    m.configure(K.CONFIGURE_PROTECTION, account=DEALER_A, instrument=BTCUSD, quantity=3 * TENTH, delta=0, window=8_000 * SECOND)
    m.mass_quote(DEALER_A, 59_900, 5, 60_100, 5), m.sell(BOLT, 1, 59_900, time_in_force=IOC)
    quiet(m)
    m.configure(K.CONFIGURE_ASSET, asset=BTC, digits=8, approval_above=-1, quote_approval_above=-1, enabled=0)
    m.do(K.CHANGE_DIGITS, RISK_ONE, asset=BTC, digits=9), m.work()
    row = m.row("protections")
    assert row["quantity"] == 30 * TENTH and sum(row[f"b{i}"] for i in range(8)) == 10 * TENTH


def test_terms_change_only_after_the_sweep(m):
    for i in range(20):
        m.buy(ACME, 1, 59_000 - i)
    m.do(K.HALT, RISK_ONE, instrument=BTCUSD, cancel=1), m.do(K.CHANGE_TERMS, RISK_ONE, instrument=BTCUSD, **TERMS)
    assert m.refused() is R.SWEEPING


@pytest.mark.parametrize("kind, key, fields", [
    (K.CONFIGURE_ASSET, ADMIN, {"asset": USD, "digits": 6, "approval_above": -1, "quote_approval_above": -1, "enabled": 1}),
    (K.CONFIGURE_CREDIT, ADMIN, {"account": BOLT, "giver": HOUSE, "asset": USD, "limit": 1}), (K.CONFIGURE_SHORT, ADMIN, {"account": DESK, "asset": USD}),
    (K.CONFIGURE_LIMITS, ADMIN, {"instrument": BTCUSD, **BTCUSD_LIMITS}), (K.CONFIGURE_TIER, ADMIN, {"instrument": BTCUSD, "tier": 1}),
    (K.CONFIGURE_POSITION, ADMIN, {"account": BOLT, "instrument": BTCUSD, "limit": 1}),
    (K.CONFIGURE_PROTECTION, ADMIN, {"account": BOLT, "instrument": BTCUSD}), (K.CONFIGURE_INSTRUMENT, ADMIN, {"instrument": BTCUSD, **BTCUSD_MADE}),
    (K.RESUME, RISK_ONE, {"instrument": BTCUSD}), (K.NET, OPERATIONS, {}), (K.CHANGE_DIGITS, RISK_ONE, {"asset": USD, "digits": 9}),
    (K.CHANGE_TERMS, RISK_ONE, {"instrument": BTCUSD, **TERMS}),
])
def test_what_a_change_of_digits_keeps_out(m, kind, key, fields):
    changing(m)
    m.do(kind, key, **fields)
    assert m.refused() is R.SWEEPING
    m.work(9)
    if kind not in (K.CONFIGURE_ASSET, K.CONFIGURE_INSTRUMENT, K.CHANGE_TERMS):                     # these would be wrong now
        m.do(kind, key, **fields)
        assert m.find(E.REFUSED) == [], m.told()


def test_facts_of_custody_while_digits_change(m):
    """One that comes before everybody was looked at speaks the old unit, one that comes after it the new one."""
    before = m.balance(ACME, USD)
    changing(m)
    m.deposit(ACME, USD, ONE_USD)
    assert m.balance(ACME, USD) == before + ONE_USD and not m.find(E.DIGITS_CHANGED)
    m.deposit(ACME, USD, 1 << 60)
    assert m.refused() is R.OVERFLOW                                        # the range is narrower now
    while not m.find(E.DIGITS_CHANGED):
        m.tick()
    m.deposit(ACME, USD, ONE_USD)
    assert m.balance(ACME, USD) == (before + ONE_USD) * 100 + ONE_USD
    m.work(9)
    assert m.find(E.SWEPT) and m.balance(ACME, USD) == (before + ONE_USD) * 100 + ONE_USD and invariants(m.engine.tables()) == []


def test_what_is_taken_back_while_digits_change_is_what_the_account_has_in_the_new_unit(m):
    """Of an account that the work has not reached: all it has can be taken, and nothing is missing."""
    changing(m)
    m.deposit(49, USD, ONE_USD)
    while not m.find(E.DIGITS_CHANGED):
        m.tick()
    m.reverse(49, USD, 100 * ONE_USD)
    assert m.find(E.ALERT) == [] and m.one(E.DEPOSIT_REVERSED)["fee"] == 0 and m.balance(49, USD) == 0
    m.work(9)
    assert m.balance(49, USD) == 0 and invariants(m.engine.tables()) == []


def test_what_comes_in_while_digits_change_joins_what_the_account_has_in_the_new_unit(m):
    """Of an account that the work has not reached; then it is not reached once more."""
    changing(m)
    m.deposit(49, USD, ONE_USD)
    while not m.find(E.DIGITS_CHANGED):
        m.tick()
    m.deposit(49, USD, 7)
    assert m.balance(49, USD) == 100 * ONE_USD + 7
    m.work(9)
    assert m.find(E.SWEPT) and m.balance(49, USD) == 100 * ONE_USD + 7 and invariants(m.engine.tables()) == []


def test_digits_do_not_change_where_somebody_owns_too_much(m):
    m.deposit(ACME, USD, 1 << 60)
    before = totals(m)
    changing(m), m.work(9)
    alert = m.one(E.ALERT)
    assert (alert["reason"], alert["id"], alert["other"]) == (R.OVERFLOW, WALLET, USD) and totals(m) == before and m.find(E.SWEPT) == []
    m.do(K.RESUME, RISK_ONE, instrument=BTCUSD)
    assert m.kinds() == [E.DONE]                                            # it is over


def test_digits_do_not_change_while_something_stands(m):
    m.buy(ACME, 1, 59_000), asset(m, 0)
    for instrument in (BTCUSD, XRPUSD):
        m.do(K.HALT, RISK_ONE, instrument=instrument, cancel=0)
    m.do(K.CHANGE_DIGITS, RISK_ONE, asset=USD, digits=8), m.work()
    assert (m.one(E.ALERT)["reason"], m.one(E.ALERT)["instrument"]) == (R.IN_USE, BTCUSD)


def test_a_fill_of_a_venue_gives_a_change_of_digits_up(m):
    m.price(BTCUSD, 1, at(60_000)), m.deposit(DESK, USD, 10**12, custody=KRAKEN)
    changing(m)
    m.child_filled(7, BUY, 1_000, at(60_000))
    assert [e["reason"] for e in m.find(E.ALERT)] == [R.UNMATCHED, R.IN_USE] and m.row("cell")["change_asset"] == 0
    m.do(K.RESUME, RISK_ONE, instrument=BTCUSD)
    assert m.kinds() == [E.DONE]


def test_a_fill_of_a_venue_after_the_digits_have_changed(m):
    """Nothing of ours explains it: it goes to suspense, in the new unit, whether or not its rows were passed again."""
    m.deposit(DESK, USD, 10**12, custody=KRAKEN)
    before = m.balance(KRAKEN, USD)
    changing(m)
    while not m.find(E.DIGITS_CHANGED):
        m.tick()
    m.child_filled(7, BUY, ONE_BTC, at(60_000))
    assert m.one(E.ALERT)["reason"] == R.UNMATCHED and m.balance(KRAKEN, USD) == before * 100 - 60_000 * ONE_USD * 100
    m.work(9)
    assert m.balance(KRAKEN, USD) == before * 100 - 60_000 * ONE_USD * 100 and m.balance(SUSPENSE, USD) == -60_000 * ONE_USD * 100
    assert invariants(m.engine.tables()) == []


def test_precision_change_of_the_base_asset(m):
    m.sell(ACME, 1, 60_000), m.buy(BOLT, 1, 60_000)
    before = totals(m)
    quiet(m)
    m.configure(K.CONFIGURE_ASSET, asset=BTC, digits=8, approval_above=-1, quote_approval_above=-1, enabled=0)
    m.do(K.CHANGE_DIGITS, RISK_ONE, asset=BTC, digits=9), m.work()
    assert totals(m) == {**before, BTC: before[BTC] * 10} and m.row("positions", account=BOLT)["net"] == ONE_BTC
    m.configure(K.CONFIGURE_ASSET, asset=BTC, digits=9, approval_above=-1, quote_approval_above=-1, enabled=1)
    m.do(K.RESUME, RISK_ONE, instrument=BTCUSD)
    m.order(ACME, SELL, ONE_BTC, at(60_000)), m.order(BOLT, BUY, ONE_BTC, at(60_000))       # a tenth of a bitcoin in the new unit
    assert m.find(E.FILLED)[0]["amount"] == 6_000 * ONE_USD
