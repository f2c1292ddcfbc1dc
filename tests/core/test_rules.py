"""The rules in the words of the domain. Each test runs on every engine listed here; they must agree with docs/rules.md and so with each other."""
import pytest

from cambist.messages import NUMBERED, Cause, ChildState, Event, Kind, Liquidity, OrderType, Reason, RequestState, SelfTrade, TimeInForce
from cambist.simulation.invariants import invariants
from cambist.simulation.twin import Twin
from tests.core.engines import ENGINES
from tests.scenarios import (
    ACME, ACME_KEY, ACME_TWO, ACME_TWO_KEY, ADMIN, BOLT, BTC, BTCUSD, BTCUSD_LIMITS, BUY, DEALER_A, DEALER_B, DEFICIT, DESK, FEES, HOUSE, KRAKEN, ONE_BTC,
    ONE_USD, ONE_XRP, OPERATIONS, PRICE, RISK_ONE, RISK_TWO, SECOND, SELL, SUSPENSE, TWO_WAY, USD, VENUE, WALLET, XRP, XRP_PRICE, XRPUSD, Scenario, digests,
    scenario,
)

K, E, R = Kind, Event, Reason
AMOUNT = 60_000 * ONE_USD                       # of one bitcoin at PRICE
MILLION_USD = 1_000_000 * ONE_USD
HOLD = AMOUNT + 30 * ONE_USD                    # a bid for one bitcoin, with the taker's 500 ppm


@pytest.fixture(params=sorted(ENGINES))
def s(request) -> Scenario:
    return scenario(ENGINES[request.param])


@pytest.fixture(params=sorted(ENGINES))
def bare(request) -> Scenario:
    return Scenario(ENGINES[request.param]())


# ---------------------------------------------------------------------------------------------------------------- starting
def test_before_start_only_configuration(bare):
    bare.do(K.HALT, RISK_ONE, instrument=BTCUSD)
    assert bare.refused() == R.NOT_STARTED
    bare.do(K.START, ADMIN)
    assert bare.refused() == R.BAD_VALUE
    bare.genesis()
    bare.do(K.START, ADMIN)
    assert bare.refused() == R.ALREADY_STARTED


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_tables_are_those_of_the_rules(engine):
    from pathlib import Path
    s = scenario(ENGINES[engine])
    text = (Path(__file__).parents[2] / "docs" / "rules.md").read_text().split("## 11.")[1]
    import re
    for line in text.splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")]
        if len(cells) == 3 and cells[0] in s.engine.tables():
            words = re.sub(r"\([^)]*\)", "", cells[1]).replace("w0..w15", ", ".join(f"w{i}" for i in range(16)))
            for letter in "bs":
                words = words.replace(f"{letter}0..{letter}7", ", ".join(f"{letter}{i}" for i in range(8)))
            assert s.engine.tables()[cells[0]][1] == tuple(w.strip() for w in words.split(",")), cells[0]


# ------------------------------------------------------------------------------------------------------------------- orders
def test_a_prefunded_match_with_fees(s):
    sell = s.order(ACME, SELL, ONE_BTC, PRICE)
    assert s.balance(ACME, BTC, "held") == ONE_BTC
    buy = s.order(BOLT, BUY, ONE_BTC, PRICE)
    maker, taker = s.find(E.FILLED)
    assert s.kinds() == [E.ORDER_ACCEPTED, E.FILLED, E.FILLED, E.LEVEL]
    assert (maker["account"], maker["id"], maker["liquidity"], maker["fee"], maker["side"]) == (ACME, sell, Liquidity.MAKER, 6 * ONE_USD, SELL)
    assert (taker["account"], taker["id"], taker["liquidity"], taker["fee"], taker["side"]) == (BOLT, buy, Liquidity.TAKER, 30 * ONE_USD, BUY)
    assert maker["other"] == taker["other"] == 1 and taker["amount"] == AMOUNT and taker["leaves"] == 0
    assert s.balance(BOLT, USD) == MILLION_USD - AMOUNT - 30 * ONE_USD and s.balance(BOLT, BTC) == 11 * ONE_BTC
    assert s.balance(ACME, USD) == MILLION_USD + AMOUNT - 6 * ONE_USD and s.balance(ACME, BTC) == 9 * ONE_BTC
    assert s.balance(FEES, USD) == s.flow(USD, Cause.FEE) == 36 * ONE_USD
    assert s.rows("orders") == [] and s.row("instruments", instrument=BTCUSD)["last"] == PRICE
    assert s.row("positions", account=BOLT)["net"] == ONE_BTC and s.row("positions", account=ACME)["net"] == -ONE_BTC


def test_price_improvement_is_released(s):
    s.order(ACME, SELL, ONE_BTC, PRICE - 10_000)
    s.order(BOLT, BUY, 2 * ONE_BTC, PRICE)
    assert s.find(E.FILLED)[1]["price"] == PRICE - 10_000
    paid = AMOUNT - 100 * ONE_USD
    assert s.balance(BOLT, USD, "held") == HOLD                                 # of the one bitcoin that rests
    assert s.balance(BOLT, USD) == MILLION_USD - HOLD - paid - paid * 500 // 10**6


@pytest.mark.parametrize("mode, told, left", [
    (SelfTrade.CANCEL_NEWEST, [E.ORDER_ACCEPTED, E.ORDER_CANCELLED], (SELL,)),
    (SelfTrade.CANCEL_OLDEST, [E.ORDER_ACCEPTED, E.ORDER_CANCELLED, E.LEVEL, E.LEVEL], (BUY,)),
    (SelfTrade.CANCEL_BOTH, [E.ORDER_ACCEPTED, E.ORDER_CANCELLED, E.ORDER_CANCELLED, E.LEVEL], ()),
    (SelfTrade.DECREMENT, [E.ORDER_ACCEPTED, E.ORDER_REDUCED, E.ORDER_CANCELLED, E.ORDER_REDUCED, E.LEVEL, E.LEVEL], (BUY,)),
])
def test_self_trade(s, mode, told, left):
    s.order(ACME, SELL, ONE_BTC, PRICE)
    s.order(ACME, BUY, 3 * ONE_BTC, PRICE, self_trade=mode)
    assert s.kinds() == told
    assert tuple(r["side"] for r in s.rows("orders")) == left
    if mode == SelfTrade.DECREMENT:
        assert [(e["quantity"], e["leaves"]) for e in s.find(E.ORDER_REDUCED)] == [(ONE_BTC, 0), (ONE_BTC, 2 * ONE_BTC)]
        assert s.one(E.ORDER_CANCELLED)["quantity"] == 0
        assert s.row("orders")["quantity"] == 2 * ONE_BTC
    assert all(e["reason"] == R.SELF_TRADE for e in s.events[1:] if e["kind"] != E.LEVEL)


def test_two_accounts_of_one_entity_do_trade(s):
    s.order(ACME, SELL, ONE_BTC, PRICE)
    s.order(ACME_TWO, BUY, ONE_BTC, PRICE)
    assert len(s.find(E.FILLED)) == 2


def test_fill_or_kill_immediate_and_post_only(s):
    s.order(ACME, SELL, ONE_BTC, PRICE)
    s.order(BOLT, BUY, 2 * ONE_BTC, PRICE, time_in_force=TimeInForce.FOK)
    assert s.refused() == R.UNFILLABLE
    s.order(BOLT, BUY, ONE_BTC, PRICE, post_only=1)
    assert s.refused() == R.POST_ONLY
    s.order(BOLT, BUY, ONE_BTC, PRICE, post_only=1, time_in_force=TimeInForce.IOC)
    assert s.refused() == R.BAD_VALUE
    s.order(BOLT, BUY, 3 * ONE_BTC, PRICE, time_in_force=TimeInForce.IOC)
    assert (s.one(E.ORDER_CANCELLED)["reason"], s.one(E.ORDER_CANCELLED)["quantity"]) == (R.IMMEDIATE, 2 * ONE_BTC)
    assert s.balance(BOLT, USD, "held") == 0 and s.rows("orders") == []
    s.order(ACME, SELL, ONE_BTC, PRICE)
    s.order(BOLT, BUY, ONE_BTC, PRICE, time_in_force=TimeInForce.FOK)
    assert len(s.find(E.FILLED)) == 2


def test_fill_or_kill_sees_its_own_order_as_the_mode_says(s):
    s.order(ACME, SELL, ONE_BTC, PRICE)
    s.order(BOLT, SELL, ONE_BTC, PRICE)
    s.order(ACME, BUY, ONE_BTC, PRICE, time_in_force=TimeInForce.FOK)
    assert s.refused() == R.UNFILLABLE
    s.order(ACME, BUY, ONE_BTC, PRICE, time_in_force=TimeInForce.FOK, self_trade=SelfTrade.CANCEL_OLDEST)
    assert s.kinds() == [E.ORDER_ACCEPTED, E.ORDER_CANCELLED, E.FILLED, E.FILLED, E.LEVEL]


def test_market_orders_stop_at_the_collar(s):
    s.order(ACME, SELL, ONE_BTC, PRICE + 590_000)
    s.order(BOLT, BUY, 2 * ONE_BTC, 0, order_type=OrderType.MARKET)
    assert s.one(E.ORDER_ACCEPTED)["price"] == 6_600_000
    assert s.one(E.ORDER_CANCELLED)["quantity"] == ONE_BTC
    s.order(BOLT, BUY, ONE_BTC, 6_600_100)
    assert s.refused() == R.COLLAR
    s.advance(3_601)
    s.order(BOLT, BUY, ONE_BTC, PRICE)
    assert s.refused() == R.NO_REFERENCE


def test_refusals_of_an_order_in_their_order(s):
    cases = [({"instrument": 9}, R.UNKNOWN_INSTRUMENT), ({"side": 2}, R.BAD_SIDE), ({"order_type": 5}, R.BAD_TYPE), ({"time_in_force": 8}, R.BAD_TIME_IN_FORCE),
             ({"self_trade": 4}, R.BAD_SELF_TRADE), ({"post_only": 3}, R.BAD_VALUE), ({"price": 99_900}, R.BAD_PRICE), ({"price": PRICE + 1}, R.OFF_TICK),
             ({"quantity": 0}, R.BAD_QUANTITY), ({"quantity": 1_500}, R.OFF_LOT), ({"quantity": 101 * ONE_BTC}, R.MAX_QUANTITY),
             ({"price": 19_000_000}, R.COLLAR), ({"quantity": 100 * ONE_BTC, "price": 6_600_000, "instrument": BTCUSD}, R.INSUFFICIENT)]
    for change, reason in cases:
        fields = {"side": BUY, "quantity": ONE_BTC, "price": PRICE, **change}
        s.order(BOLT, fields.pop("side"), fields.pop("quantity"), fields.pop("price"), **fields)
        assert s.refused() == reason, change


def test_position_limit_and_open_orders(s):
    s.do(K.CONFIGURE_POSITION, ADMIN, account=BOLT, instrument=BTCUSD, limit=3 * ONE_BTC)
    s.order(BOLT, BUY, 2 * ONE_BTC, PRICE)
    s.order(BOLT, BUY, 2 * ONE_BTC, PRICE)
    assert s.refused() == R.POSITION
    assert s.order(BOLT, SELL, 3 * ONE_BTC, PRICE + 100)
    s.do(K.CONFIGURE_ACCOUNT, ADMIN, account=BOLT, account_kind=1, entity=12, max_open=2, answer_quota=2_000, enabled=1)
    s.order(BOLT, BUY, ONE_BTC, PRICE)
    assert s.refused() == R.OPEN_ORDERS


def test_amending_keeps_place_only_when_it_takes_nothing_more(s):
    first, second = s.order(ACME, SELL, 2 * ONE_BTC, PRICE), s.order(BOLT, SELL, 2 * ONE_BTC, PRICE)
    s.amend(ACME, first, PRICE, ONE_BTC)
    assert [r["id"] for r in s.rows("orders")] == [first, second] and s.balance(ACME, BTC, "held") == ONE_BTC
    s.amend(ACME, first, PRICE, 2 * ONE_BTC)
    assert [r["id"] for r in s.rows("orders")] == [second, first] and s.balance(ACME, BTC, "held") == 2 * ONE_BTC
    s.order(DEALER_A, BUY, ONE_BTC, PRICE)
    assert s.find(E.FILLED, BOLT)[0]["leaves"] == ONE_BTC
    s.amend(BOLT, second, PRICE, ONE_BTC)
    assert s.refused() == R.BAD_QUANTITY
    s.amend(BOLT, second, PRICE - 100, 3 * ONE_BTC)
    assert s.row("orders", id=second)["leaves"] == 2 * ONE_BTC and s.row("positions", account=BOLT)["open_sell"] == 2 * ONE_BTC


def test_amending_into_the_other_side_trades(s):
    bid = s.order(BOLT, BUY, ONE_BTC, PRICE - 1_000)
    s.order(ACME, SELL, ONE_BTC, PRICE)
    s.amend(BOLT, bid, PRICE, ONE_BTC)
    assert s.kinds() == [E.ORDER_AMENDED, E.LEVEL, E.FILLED, E.FILLED, E.LEVEL]
    assert s.find(E.FILLED, BOLT)[0]["liquidity"] == Liquidity.TAKER and s.balance(BOLT, USD, "held") == 0


def test_cancel(s):
    order = s.order(ACME, BUY, ONE_BTC, PRICE)
    s.cancel(BOLT, order)
    assert s.refused() == R.UNKNOWN_ORDER and s.one(E.REFUSED)["id"] == order
    s.cancel(ACME, order)
    assert s.one(E.ORDER_CANCELLED)["reason"] == R.USER and s.one(E.ORDER_CANCELLED)["id_lo"] == s.ids
    assert s.balance(ACME, USD) == MILLION_USD


# ------------------------------------------------------------------------------------------------------------------- quotes
def test_the_whole_life_of_a_request(s):
    request = s.request(ACME, TWO_WAY, ONE_BTC)
    assert [e["account"] for e in s.find(E.REQUEST_INVITED)] == [DESK, DEALER_A, DEALER_B]
    a = s.quote(DEALER_A, request, PRICE - 50, PRICE + 50)
    assert s.kinds() == [E.QUOTED, E.QUOTE_SHOWN] and s.credit(DEALER_A)["quoted"] == AMOUNT + ONE_USD // 2
    b = s.quote(DEALER_B, request, PRICE - 40, PRICE + 40)
    s.accept(ACME, request, BUY, PRICE + 10)
    assert s.refused() == R.NO_QUOTE
    s.accept(ACME, request, BUY, PRICE + 60)
    assert s.kinds() == [E.FILLED, E.FILLED, E.REQUEST_ENDED]
    client, dealer = s.find(E.FILLED)
    assert (client["account"], client["id"], client["price"], client["fee"], client["side"]) == (ACME, b, PRICE + 40, client["amount"] * 200 // 10**6, BUY)
    assert (dealer["account"], dealer["fee"], dealer["side"], dealer["liquidity"]) == (DEALER_B, 0, SELL, Liquidity.QUOTE)
    assert s.credit(DEALER_B)["quoted"] == 0 and s.credit(DEALER_A)["quoted"] > 0
    assert s.row("requests")["state"] == RequestState.FILLED
    s.withdraw(DEALER_A, a)
    assert s.refused() == R.REQUEST_CLOSED
    s.tick(5)
    assert s.told() == [f"QUOTE_ENDED>{DEALER_A}:LOST", f"REQUEST_ENDED>{DESK}:LOST", f"REQUEST_ENDED>{DEALER_A}:LOST", f"REQUEST_ENDED>{DEALER_B}:LOST"]
    assert s.rows("requests") == s.rows("quotes") == [] and s.credit(DEALER_A)["quoted"] == 0


def test_the_cover_honours_when_the_best_cannot(s):
    request = s.request(ACME, SELL, ONE_BTC)
    best = s.quote(DEALER_A, request, bid=PRICE + 10)
    cover = s.quote(DEALER_B, request, bid=PRICE)
    s.transfer(DEALER_A, HOUSE, USD, MILLION_USD - 100 * ONE_USD)
    s.accept(ACME, request, SELL, PRICE - 100)
    assert s.told()[0] == f"QUOTE_ENDED>{DEALER_A}:INSUFFICIENT" and s.events[0]["id"] == best
    assert s.find(E.FILLED, ACME)[0]["id"] == cover
    assert s.row("accounts", account=DEALER_A)["failed"] == 1 and s.credit(DEALER_A)["quoted"] == 0


def test_a_named_quote_comes_first_and_a_client_without_money_changes_nothing(s):
    request = s.request(ACME, BUY, ONE_BTC)
    s.quote(DEALER_A, request, ask=PRICE)
    named = s.quote(DEALER_B, request, ask=PRICE + 5)
    s.transfer(ACME, BOLT, USD, MILLION_USD)
    before = s.rows("quotes")
    s.accept(ACME, request, BUY, PRICE + 5, named)
    assert s.refused() == R.INSUFFICIENT and s.rows("quotes") == before
    s.transfer(BOLT, ACME, USD, MILLION_USD)
    s.accept(ACME, request, BUY, PRICE + 5, named)
    assert s.find(E.FILLED, DEALER_B)


def test_replacing_withdrawing_and_lapsing_quotes(s):
    request = s.request(ACME, BUY, ONE_BTC)
    s.quote(DEALER_A, request, ask=PRICE)
    again = s.quote(DEALER_A, request, ask=PRICE - 1)
    assert s.told() == [f"QUOTE_ENDED>{DEALER_A}:REPLACED", f"QUOTE_ENDED>{ACME}:REPLACED", f"QUOTED>{DEALER_A}", f"QUOTE_SHOWN>{ACME}"]
    s.withdraw(DEALER_A, again)
    assert s.told() == [f"QUOTE_ENDED>{DEALER_A}:WITHDRAWN", f"QUOTE_ENDED>{ACME}:WITHDRAWN"]
    s.quote(DEALER_A, request, ask=PRICE, ttl=SECOND)
    s.tick(1)
    assert s.told() == [f"QUOTE_ENDED>{DEALER_A}:EXPIRED", f"QUOTE_ENDED>{ACME}:EXPIRED"]
    s.quote(DEALER_B, request, ask=PRICE)
    s.tick(9)
    assert s.told()[:3] == [f"QUOTE_ENDED>{DEALER_B}:EXPIRED", f"QUOTE_ENDED>{ACME}:EXPIRED", f"REQUEST_ENDED>{ACME}:EXPIRED"]    # by (time, id)
    assert s.rows("requests") == []
    assert s.credit(DEALER_B)["quoted"] == 0


def test_cancelling_a_request_loses_its_quotes(s):
    request = s.request(ACME, BUY, ONE_BTC)
    s.quote(DEALER_A, request, ask=PRICE)
    s.cancel_request(ACME, request)
    assert s.told() == [f"QUOTE_ENDED>{DEALER_A}:LOST", f"REQUEST_ENDED>{ACME}:USER", *(f"REQUEST_ENDED>{d}:USER" for d in (DESK, DEALER_A, DEALER_B))]
    s.cancel_request(ACME, request)
    assert s.refused() == R.UNKNOWN_REQUEST


@pytest.mark.parametrize("account, bid, ask, reason", [
    (DEALER_A, -1, PRICE, R.BAD_PRICE), (DEALER_A, PRICE, PRICE, R.WRONG_SIDES), (DEALER_A, 0, 0, R.WRONG_SIDES), (DEALER_A, 0, 20_000_001, R.BAD_PRICE),
    (DEALER_A, 0, PRICE * 2, R.COLLAR), (DEALER_A, 0, PRICE // 2, R.COLLAR),
])
def test_refused_quotes(s, account, bid, ask, reason):
    request = s.request(ACME, BUY, ONE_BTC)
    s.quote(account, request, bid, ask)
    assert s.refused() == reason


# --------------------------------------------------------------------------------------------------------------- settlement
def test_trade_on_credit_then_net_and_settle_both_ways(s):
    s.deposit(ACME, XRP, 1_000 * ONE_XRP)
    request = s.request(BOLT, BUY, 1_000 * ONE_XRP, XRPUSD)
    s.quote(DEALER_A, request, ask=XRP_PRICE)
    s.accept(BOLT, request, BUY, XRP_PRICE)
    a = 500 * ONE_USD
    client_fee = a * 100 // 10**6
    assert s.balance(BOLT, XRP, "unsettled") == 1_000 * ONE_XRP and s.balance(BOLT, USD, "unsettled") == -a - client_fee
    assert s.balance(FEES, USD, "unsettled") == client_fee and s.credit(BOLT)["traded"] == s.credit(DEALER_A)["traded"] == a
    s.net()
    assert s.one(E.CUT_OFF)["id"] == 1
    s.tick()
    obligations = s.find(E.OBLIGATION)
    assert [(e["account"], e["other"], e["amount"]) for e in obligations] == [
        (FEES, USD, client_fee), (DEALER_A, USD, a), (DEALER_A, XRP, -1_000 * ONE_XRP), (BOLT, USD, -a - client_fee), (BOLT, XRP, 1_000 * ONE_XRP)]
    assert (s.credit(BOLT)["traded"], s.credit(BOLT)["netted"]) == (0, a)
    fees_in, dealer_in, dealer_out, bolt_out, bolt_in = (e["id"] for e in obligations)
    s.settle(bolt_in)
    assert s.refused() == R.UNPAID
    s.settle(dealer_out)
    assert s.refused() == R.INSUFFICIENT
    s.deposit(DEALER_A, XRP, 1_000 * ONE_XRP)
    s.settle(dealer_out)
    s.settle(dealer_in)
    assert s.refused() == R.HOUSE_UNCOVERED
    s.settle(bolt_out)
    assert s.one(E.SETTLED)["amount"] == -a - client_fee and s.balance(HOUSE, USD) == a + client_fee
    assert s.credit(BOLT)["netted"] == a
    for obligation in (bolt_in, dealer_in, fees_in):
        s.settle(obligation)
        s.one(E.SETTLED)
    assert s.credit(BOLT)["netted"] == s.credit(DEALER_A)["netted"] == 0 and s.rows("obligations") == []
    assert all(r["due"] == r["unsettled"] == 0 for r in s.rows("balances")) and s.balance(BOLT, XRP) == 1_000 * ONE_XRP
    s.settle(bolt_in)
    assert s.refused() == R.UNKNOWN_OBLIGATION


def test_an_account_behind_the_cut_off_is_netted_before_it_trades(s):
    for quantity in (10, 10):
        s.order(ACME, SELL, quantity * ONE_XRP, XRP_PRICE, XRPUSD)
        assert s.order(BOLT, BUY, 10 * ONE_XRP, XRP_PRICE, XRPUSD)
    s.order(ACME, SELL, 10 * ONE_XRP, XRP_PRICE, XRPUSD)
    dying = [s.order(DEALER_A, BUY, 1_000, PRICE - 100_000) for _ in range(40)]
    s.cancel_all(DEALER_A)                                                      # its sweep is worked before the cut-off
    s.net()
    s.order(BOLT, BUY, 10 * ONE_XRP, XRP_PRICE, XRPUSD)
    told = [t for t in s.told() if not t.startswith(("ORDER_CANCELLED", "LEVEL"))]
    assert told == [f"ORDER_ACCEPTED>{BOLT}", *[f"OBLIGATION>{BOLT}"] * 2, *[f"OBLIGATION>{ACME}"] * 2, f"OBLIGATION>{FEES}",
                    f"FILLED>{ACME}", f"FILLED>{BOLT}"]
    assert len(dying) == 40 and s.row("accounts", account=BOLT)["cycle"] == 1 and s.row("accounts", account=DEALER_A)["cycle"] == 0
    assert s.credit(BOLT)["netted"] == 10 * ONE_USD and s.credit(BOLT)["traded"] == 5 * ONE_USD
    s.net()
    assert s.refused() == R.NETTING


def test_orders_on_credit_hold_the_line(s):
    s.order(BOLT, BUY, 199_000 * ONE_XRP, XRP_PRICE, XRPUSD)
    assert s.credit(BOLT)["reserved"] == 99_500 * ONE_USD
    s.order(BOLT, BUY, 1_001 * ONE_XRP, XRP_PRICE, XRPUSD)
    assert s.refused() == R.CREDIT


# --------------------------------------------------------------------------------------------------------------------- held
def test_a_held_command_is_released_by_another_person(s):
    record = s.build(K.CONFIGURE_LIMITS, RISK_ONE, instrument=BTCUSD, **{**BTCUSD_LIMITS, "max_quantity": 5 * ONE_BTC})
    s.apply(record)
    held = s.one(E.HELD)["id"]
    assert s.row("instruments", instrument=BTCUSD)["max_quantity"] == 100 * ONE_BTC
    s.approve(held, record, RISK_ONE)
    assert s.refused() == R.SAME_PERSON
    s.approve(held, record, digest3=digests(record)["digest3"] ^ 1)
    assert s.refused() == R.WRONG_DIGEST and s.one(E.REFUSED)["id"] == held
    s.approve(held, record)
    assert s.kinds() == [E.APPROVED, E.DONE, E.DONE]                    # to whom asked, to who approved, and the command itself
    told, done = s.find(E.DONE)
    assert told["command"] == K.APPROVE and told["id"] == held and done["id_lo"] == int(record["id_lo"][0])
    assert s.row("instruments", instrument=BTCUSD)["max_quantity"] == 5 * ONE_BTC and s.rows("held") == []
    s.approve(held, record)
    assert s.refused() == R.UNKNOWN_HELD


def test_large_transfers_are_held_denied_and_lapse(s):
    s.deposit(ACME, USD, 2 * MILLION_USD)
    record = s.build(K.TRANSFER, ACME_KEY, account=ACME, to=BOLT, asset=USD, amount=MILLION_USD + 1)
    s.apply(record)
    held = s.one(E.HELD)["id"]
    s.deny(held)
    assert s.one(E.DENIED)["account"] == ACME and s.one(E.DONE)["command"] == K.DENY
    s.transfer(ACME, BOLT, USD, MILLION_USD + 1, ACME_KEY)
    held = s.one(E.HELD)["id"]
    s.tick(600)
    assert s.one(E.HELD_EXPIRED)["id"] == held
    record = s.build(K.TRANSFER, ACME_KEY, account=ACME, to=BOLT, asset=USD, amount=MILLION_USD + 1)
    s.apply(record)
    held = s.one(E.HELD)["id"]
    s.do(K.KILL, RISK_ONE, account=ACME)
    s.approve(held, record)
    assert s.kinds()[-3:] == [E.APPROVED, E.DONE, E.REFUSED] and s.refused() == R.KILLED
    assert s.balance(ACME, USD) == 3 * MILLION_USD


# ----------------------------------------------------------------------------------------------------------------- children
def test_a_child_fills_in_parts(s):
    child = s.child(BUY, 2 * ONE_BTC, PRICE)
    assert s.balance(KRAKEN, USD, "held") == 2 * AMOUNT and s.row("positions", account=DESK)["open_buy"] == 2 * ONE_BTC
    s.child_filled(child, BUY, ONE_BTC, PRICE - 100, 7)
    assert s.kinds() == [E.CHILD_FILL, E.CHILD_CHANGED] and s.one(E.CHILD_CHANGED)["other"] == ChildState.WORKING
    assert s.balance(KRAKEN, USD, "held") == AMOUNT
    assert s.balance(DESK, BTC) == 21 * ONE_BTC and s.flow(USD, Cause.HEDGE_FEE) == -7 and s.flow(BTC, Cause.HEDGE) == ONE_BTC
    s.apply(s.build(K.CHILD_FILLED, 12, child=child, side=BUY, quantity=ONE_BTC, price=PRICE - 100, fee=7, instrument=BTCUSD, venue=VENUE, id_lo=s.ids))
    assert s.kinds() == [E.DUPLICATE]
    s.child_filled(child, BUY, ONE_BTC + 1_000, PRICE, 5)
    assert s.told() == [f"CHILD_FILL>{DESK}", "ALERT>0:OVERFILL", f"CHILD_CHANGED>{DESK}"]
    assert s.balance(SUSPENSE, BTC) == 1_000 and s.one(E.ALERT)["amount"] == 1_000 and s.one(E.CHILD_FILL)["quantity"] == ONE_BTC
    assert s.rows("stops") == [{"venue": VENUE, "instrument": BTCUSD}]
    s.child(BUY, ONE_BTC, PRICE)
    assert s.refused() == R.VENUE_STOPPED
    s.child_filled(child, BUY, 1_000, PRICE, 5)
    assert s.told() == ["ALERT>0:OVERFILL"] and s.balance(SUSPENSE, USD) < 0
    s.do(K.CONFIGURE_VENUE, ADMIN, account=KRAKEN, venue=VENUE, enabled=1)
    assert s.child(BUY, ONE_BTC, PRICE)
    s.tick(3_600)
    assert [r["state"] for r in s.rows("children")] == [ChildState.PENDING]
    assert s.balance(KRAKEN, USD, "held") == AMOUNT


def test_a_child_closed_before_its_fills_arrive(s):
    child = s.child(SELL, 2 * ONE_BTC, PRICE)
    s.acked(child)
    s.acked(child)
    assert s.events == []
    s.unknown(child)
    assert s.told() == [f"CHILD_CHANGED>{DESK}", "ALERT>0:UNMATCHED"]
    s.closed(child, ONE_BTC, R.USER)
    assert (s.one(E.CHILD_CHANGED)["other"], s.one(E.CHILD_CHANGED)["reason"]) == (ChildState.CLOSING, R.USER)
    s.cancel_child(child)
    assert s.refused() == R.CHILD_OVER
    s.child_filled(child, SELL, ONE_BTC, PRICE)
    assert s.one(E.CHILD_CHANGED)["other"] == ChildState.DONE and s.balance(KRAKEN, BTC, "held") == 0
    assert s.row("positions", account=DESK)["open_sell"] == 0
    s.closed(12345, 0)
    assert s.told() == ["ALERT>0:UNMATCHED"]


# -------------------------------------------------------------------------------------------------------------------- money
def test_a_reversal_that_cannot_be_paid_is_a_deficit(s):
    s.transfer(ACME, BOLT, USD, 999_990 * ONE_USD)
    s.reverse(ACME, USD, 100 * ONE_USD)
    assert s.kinds() == [E.ALERT, E.DEPOSIT_REVERSED]
    assert s.one(E.DEPOSIT_REVERSED)["fee"] == 90 * ONE_USD and s.balance(ACME, USD) == 0
    assert s.balance(DEFICIT, USD) == s.flow(USD, Cause.DEFICIT) == -90 * ONE_USD
    s.desk_forced = True
    s.reverse(DESK, XRP, ONE_XRP)
    assert s.find(E.ALERT) == [] and s.balance(DESK, XRP) == -ONE_XRP


def test_deposits_count_once_and_may_be_misplaced():
    s = scenario(Twin)
    s.deposit(ACME, USD, 5, id_hi=9, id_lo=9)
    first = s.events[0]["sequence"]
    s.deposit(ACME, USD, 5, id_hi=9, id_lo=9)
    assert s.one(E.DUPLICATE)["other"] == first and s.balance(ACME, USD) == MILLION_USD + 5
    s.deposit(ACME, USD, 5, custody=KRAKEN, id_hi=9, id_lo=9)
    s.one(E.DEPOSITED)
    s.deposit(WALLET, USD, 5)
    assert s.one(E.DEPOSITED)["account"] == SUSPENSE and s.find(E.ALERT)
    s.deposit(ACME, USD, 5, custody=BOLT)
    assert s.refused() == R.NOT_CUSTODY
    s.move_custody(WALLET, KRAKEN, USD, 7)
    assert [e["account"] for e in s.find(E.CUSTODY_MOVED)] == [WALLET, KRAKEN]


def test_a_group_of_transfers_is_all_or_nothing(s):
    s.group((ACME, BOLT, USD, 10), (BOLT, DEALER_A, USD, 20))
    assert len(s.find(E.TRANSFERRED)) == 4 and s.balance(BOLT, USD) == MILLION_USD - 10
    s.group((ACME, BOLT, USD, 10), (BOLT, DEALER_A, USD, 2 * MILLION_USD), (ACME, BOLT, USD, 1))
    assert [e["reason"] for e in s.events] == [R.BAD_GROUP, R.INSUFFICIENT, R.BAD_GROUP] and s.balance(BOLT, USD) == MILLION_USD - 10
    s.deposit(ACME, USD, 2 * MILLION_USD)
    s.group((ACME, BOLT, USD, MILLION_USD + 1), (BOLT, ACME, USD, 1))
    assert [e["reason"] for e in s.events] == [R.NOT_ALLOWED, R.BAD_GROUP]
    record = s.build(K.TRANSFER, OPERATIONS, account=ACME, to=BOLT, asset=USD, amount=1, flags=2)
    s.apply(record)
    assert s.refused() == R.BAD_GROUP
    record["flags"] = 0
    s.apply(record)
    assert len(s.find(E.TRANSFERRED)) == 2


# ---------------------------------------------------------------------------------------------------------------- preamble
def test_the_same_id_gets_the_first_answer(s):
    s.order(ACME, BUY, ONE_BTC, PRICE, id_lo=77_777)
    first = s.events[0]["sequence"]
    s.order(ACME, BUY, ONE_BTC, PRICE, id_lo=77_777)
    assert s.one(E.DUPLICATE)["other"] == first and s.one(E.DUPLICATE)["command"] == K.NEW_ORDER and len(s.rows("orders")) == 1
    s.order(BOLT, BUY, ONE_BTC, PRICE, id_lo=77_777)
    s.one(E.ORDER_ACCEPTED)
    s.order(ACME, BUY, ONE_BTC, PRICE, expires=s.now)
    assert s.refused() == R.EXPIRED
    s.order(ACME, BUY, ONE_BTC, PRICE, expires=s.now + 61 * SECOND)
    assert s.refused() == R.EXPIRY_TOO_FAR
    s.order(ACME, BUY, ONE_BTC, PRICE, id_lo=0)
    assert s.refused() == R.NO_ID
    s.advance(60)
    s.order(ACME, BUY, ONE_BTC, PRICE, id_lo=77_777)
    s.one(E.ORDER_ACCEPTED)


def test_numbered_requests(s):
    def numbered(number: int, **more: int) -> None:
        s.order(ACME, BUY, 1_000, PRICE - 1_000, flags=NUMBERED, id_lo=number, **more)
    numbered(2)
    assert s.refused() == R.NUMBER_GAP
    numbered(1, expires=s.now)
    assert s.refused() == R.EXPIRED
    numbered(1)
    first = s.one(E.ORDER_ACCEPTED)["sequence"]
    numbered(1)
    assert s.one(E.DUPLICATE)["other"] == first
    numbered(0)
    assert s.refused() == R.NO_ID
    numbered(2, actor=ACME_TWO_KEY)
    assert s.refused() == R.FOREIGN_ACCOUNT
    numbered(2, id_hi=1)
    assert s.refused() == R.NO_ID


def test_message_rate(s):
    s.do(K.CONFIGURE_ACCOUNT, ADMIN, account=BOLT, account_kind=1, entity=12, rate_limit=2, max_open=100, answer_quota=2_000, enabled=1)
    assert s.order(BOLT, BUY, 1_000, PRICE) and s.order(BOLT, BUY, 1_000, PRICE)
    s.order(BOLT, BUY, 1_000, PRICE)
    assert s.refused() == R.RATE
    s.advance(1)
    assert s.order(BOLT, BUY, 1_000, PRICE)


# -------------------------------------------------------------------------------------------------------------- mass actions
def test_cancel_all_latches_at_once(s):
    old = [s.order(ACME, SELL, ONE_BTC // 10, PRICE + 100 * i) for i in range(20)]
    s.cancel_all(ACME)
    assert s.kinds() == [E.DONE] and len(s.rows("orders")) == 20
    new = s.order(ACME, SELL, ONE_BTC // 10, PRICE + 100_000)
    assert len(s.find(E.ORDER_CANCELLED)) == 16 and {e["reason"] for e in s.find(E.ORDER_CANCELLED)} == {R.CANCEL_ALL}
    s.tick()
    assert [e["id"] for e in s.find(E.ORDER_CANCELLED)] == old[16:] and s.kinds()[-1] == E.SWEPT
    assert [r["id"] for r in s.rows("orders")] == [new]


def test_a_dying_order_never_trades_and_a_kill_blocks(s):
    for i in range(40):
        s.order(ACME, SELL, ONE_BTC // 10, PRICE + 100 * (40 - i))
    s.do(K.KILL, RISK_ONE, account=ACME)
    s.order(BOLT, BUY, ONE_BTC // 10, PRICE + 100_000)
    assert s.find(E.FILLED) == [] and {e["reason"] for e in s.find(E.ORDER_CANCELLED)} == {R.KILLED, R.DYING}
    s.order(ACME, SELL, ONE_BTC, PRICE)
    assert s.refused() == R.KILLED
    s.do(K.REVIVE, RISK_ONE, account=ACME)
    s.tick()
    assert s.order(ACME, SELL, ONE_BTC, PRICE + 200_000)


def test_kill_all_and_revive(s):
    orders = [s.order(account, BUY, 1_000, PRICE - 1_000) for account in (ACME, BOLT, DEALER_A)]
    s.do(K.KILL_ALL, RISK_ONE)
    s.do(K.REVIVE_ALL, RISK_ONE)
    assert s.one(E.SWEPT)["id"] == 2 and {e["id"] for e in s.find(E.ORDER_CANCELLED)} == set(orders)
    s.one(E.DONE)
    s.do(K.KILL_ALL, RISK_ONE)
    s.order(ACME, BUY, 1_000, PRICE)
    assert s.refused() == R.KILLED_ALL


def test_halt_sweeps_an_instrument(s):
    for i in range(18):
        s.order(ACME, BUY, 1_000, PRICE - 100 * i)
    s.do(K.HALT, RISK_ONE, instrument=BTCUSD, cancel=1)
    s.do(K.RESUME, RISK_ONE, instrument=BTCUSD)
    assert s.refused() == R.SWEEPING and len(s.find(E.ORDER_CANCELLED)) == 16
    s.order(ACME, BUY, 1_000, PRICE)
    assert s.refused() == R.HALTED and s.one(E.SWEPT)["instrument"] == BTCUSD
    s.do(K.RESUME, RISK_TWO, instrument=BTCUSD)
    assert s.order(ACME, BUY, 1_000, PRICE)


# ------------------------------------------------------------------------------------------------------------------- auditor
def test_the_auditor_sees_what_is_wrong():
    s = scenario(Twin)
    s.order(ACME, BUY, ONE_BTC, PRICE)
    s.engine.balance(ACME, USD).available += 1
    s.engine.balance(ACME, USD).held -= 2
    found = "\n".join(invariants(s.engine.tables()))
    assert "custody less ownership" in found and "not the sum of its reasons" in found


def test_batches_do_not_matter():
    one, many = scenario(Twin), scenario(Twin)
    def world(s: Scenario) -> list:
        return [s.build(K.NEW_ORDER, key, account=account, instrument=BTCUSD, side=side, quantity=ONE_BTC, price=PRICE)
                for key, account, side in ((2, ACME, SELL), (4, BOLT, BUY), (4, BOLT, BUY), (2, ACME, SELL))]
    together = one.apply(*world(one))
    apart = [e for record in world(many) for e in many.apply(record)]
    assert together == apart
    for name, (_, _, matrix) in one.engine.tables().items():
        assert (matrix == many.engine.tables()[name][2]).all(), name


def test_a_raised_fee_never_costs_more_than_was_held(s):
    s.order(ACME, BUY, ONE_BTC, PRICE)
    s.do(K.CONFIGURE_FEES, ADMIN, instrument=BTCUSD, maker_ppm=10_000, taker_ppm=20_000, rfq_ppm=0)
    s.order(BOLT, SELL, ONE_BTC, PRICE)
    assert s.find(E.FILLED, ACME)[0]["fee"] == AMOUNT * 500 // 10**6 and s.find(E.FILLED, BOLT)[0]["fee"] == AMOUNT * 20_000 // 10**6
