"""Reasons that no other table meets, each refusal beside what is accepted; and that every reason is met by some table. On every engine of `engines.ENGINES`."""
import re
from pathlib import Path

import pytest

from cambist.messages import NUMBERED, Event, Kind, Reason, Scope
from tests.core.engines import ENGINES
from tests.core.market import TENTH, Market, market
from tests.scenarios import (
    ACME, ACME_KEY, BOLT, BTC, BTCUSD, BTCUSD_LIMITS, BUY, CUSTODIAN, CUSTODIAN_ROLE, DEALER_A, DEALER_B, DESK, HOUSE, ONE_BTC, ONE_USD,
    OPERATIONS, PRICE, RISK_TWO, SELL, TWO_WAY, USD,
)

K, E, R = Kind, Event, Reason
# What a table cannot meet, or what says no: each with its reason.
ELSEWHERE = {
    R.NONE: "no reason", R.SKIPPED: "a decision of the log: tests/core/test_skipped.py", R.CAPACITY: "a limit of the machine: tests/core/test_capacity.py",
    R.FACT_REPEATED_LATE: "a limit of the machine: tests/core/test_capacity.py", R.DENIED: "an event of its own says so; nothing carries the reason",
}


@pytest.fixture(params=sorted(ENGINES))
def m(request) -> Market:
    return market(request.param)


def account(m: Market, number: int, **fields: int) -> None:
    """The account as it was made, but for these."""
    made = m.row("accounts", account=number)
    m.configure(K.CONFIGURE_ACCOUNT, account=number, account_kind=made["kind"],
                **{**{name: made[name] for name in ("entity", "rate_limit", "max_open", "answer_quota", "enabled")}, "dealer": 0, **fields})


# ------------------------------------------------------------------------------------------------------------------ accounts
def test_a_disabled_account_may_only_take_away(m):
    order = m.buy(BOLT, 1, 59_000)
    account(m, BOLT, enabled=0)
    m.buy(BOLT, 1, 59_000)
    assert m.refused() is R.ACCOUNT_DISABLED
    m.transfer(ACME, BOLT, USD, 5)
    assert m.refused() is R.ACCOUNT_DISABLED
    m.cancel(BOLT, order)
    assert m.one(E.ORDER_CANCELLED)["reason"] == R.USER
    account(m, BOLT, enabled=1)
    assert m.buy(BOLT, 1, 59_000)
    m.transfer(ACME, BOLT, USD, 5)
    assert m.find(E.TRANSFERRED, BOLT)


def test_a_disabled_dealer_is_passed_over(m):
    request = m.request(ACME, BUY, ONE_BTC)
    m.quote(DEALER_A, request, ask=PRICE), m.quote(DEALER_B, request, ask=PRICE + 10)
    account(m, DEALER_A, enabled=0, dealer=1)
    m.accept(ACME, request, BUY, PRICE + 10)
    assert m.told()[0] == f"QUOTE_ENDED>{DEALER_A}:{R.ACCOUNT_DISABLED.name}" and m.find(E.FILLED, DEALER_B)


def test_so_many_answers_are_kept_and_no_more(m):
    account(m, BOLT, answer_quota=2)
    assert m.buy(BOLT, 1, 59_000) and m.buy(BOLT, 1, 59_000)
    m.buy(BOLT, 1, 59_000)
    assert m.refused() is R.ANSWER_QUOTA
    m.advance(61)
    assert m.buy(BOLT, 1, 59_000)


def test_a_number_too_old_to_be_known(m):
    def cancel(number):
        return m.build(K.CANCEL_ALL, ACME_KEY, account=ACME, flags=NUMBERED, id_lo=number)
    m.apply(*(cancel(number) for number in range(1, 1_031)))
    m.apply(cancel(6))
    assert m.refused() is R.NUMBER_OLD
    m.apply(cancel(7))
    assert m.one(E.DUPLICATE)["id_lo"] == 7


# ------------------------------------------------------------------------------------------------------------------ sizes
def test_no_more_than_the_largest_notional(m):
    m.configure(K.CONFIGURE_LIMITS, instrument=BTCUSD, **{**BTCUSD_LIMITS, "max_notional": 60_000 * ONE_USD})
    assert m.buy(BOLT, 10, 60_000)
    m.buy(BOLT, 10.0001, 60_000)
    assert m.refused() is R.MAX_NOTIONAL
    request = m.request(ACME, TWO_WAY, ONE_BTC)
    m.quote(DEALER_A, request, PRICE - 1, PRICE + 1)
    assert m.refused() is R.MAX_NOTIONAL                                    # the larger side
    assert m.quote(DEALER_A, request, PRICE - 1, PRICE)


# ------------------------------------------------------------------------------------------------------------------ quotes
def test_no_more_is_quoted_than_the_line(m):
    request = m.request(ACME, BUY, 17 * ONE_BTC)
    m.quote(DEALER_A, request, ask=PRICE)
    assert m.refused() is R.QUOTING_LINE                                    # 1,020,000 of 1,000,000
    assert m.quote(DEALER_A, m.request(ACME, BUY, 16 * ONE_BTC), ask=PRICE)


def test_who_is_no_dealer_and_whose_request_it_is(m):
    account(m, DEALER_A, dealer=0)
    request = m.request(DEALER_B, BUY, ONE_BTC)
    m.quote(DEALER_A, request, ask=PRICE)
    assert m.refused() is R.NOT_A_DEALER
    m.quote(DEALER_B, request, ask=PRICE)
    assert m.refused() is R.OWN_REQUEST
    account(m, DEALER_A, dealer=1)
    assert m.quote(DEALER_A, request, ask=PRICE)


def test_the_desk_sells_no_more_than_it_may_be_short(m):
    m.transfer(DESK, HOUSE, BTC, m.balance(DESK, BTC))
    m.deposit(ACME, USD, 1_000_000 * ONE_USD)
    request = m.request(ACME, BUY, 6 * ONE_BTC)
    m.quote(DESK, request, ask=PRICE), m.quote(DEALER_A, request, ask=PRICE + 10)
    m.accept(ACME, request, BUY, PRICE + 10)
    assert m.told()[0] == f"QUOTE_ENDED>{DESK}:{R.INVENTORY.name}" and m.find(E.FILLED, DEALER_A)
    request = m.request(ACME, BUY, 5 * ONE_BTC)
    m.quote(DESK, request, ask=PRICE)
    m.accept(ACME, request, BUY, PRICE)
    assert m.one(E.REQUEST_ENDED, ACME)["reason"] == R.FILLED
    assert m.find(E.FILLED, DESK) and m.balance(DESK, BTC) == -5 * ONE_BTC


def test_exposure_of_quotes_in_the_book_and_on_request(m):
    """15,000 dollars each way: what a quote reserves, each side of a mass quote alone, and what a client takes."""
    m.configure(K.CONFIGURE_ASSET, asset=USD, digits=6, approval_above=-1, quote_approval_above=-1, enabled=1, rate_num=1, rate_den=10**6)
    for one in (DEALER_A, BOLT):
        m.configure(K.CONFIGURE_EXPOSURE, account=one, gross=0, net=15_000, loss=0)
    for quantity, refused in ((3 * TENTH, True), (2 * TENTH, False)):
        request = m.request(ACME, BUY, quantity)
        m.quote(DEALER_A, request, ask=PRICE)
        assert (m.find(E.REFUSED) != []) == refused and (not refused or m.refused() is R.EXPOSURE)
    for tenths, refused in ((3, True), (2, False)):
        m.mass_quote(DEALER_A, 59_000, 1, 61_000, tenths)
        assert (m.find(E.REFUSED) != []) == refused and (not refused or m.refused() is R.EXPOSURE)
    for quantity, refused in ((3 * TENTH, True), (2 * TENTH, False)):
        request = m.request(BOLT, SELL, quantity)
        m.quote(DEALER_B, request, bid=PRICE), m.accept(BOLT, request, SELL, PRICE)
        assert (m.find(E.FILLED) == []) == refused and (not refused or m.refused() is R.EXPOSURE)


# ------------------------------------------------------------------------------------------------------------------ venues, people
def test_a_child_needs_funds_at_its_venue(m):
    for side, too_much, enough in ((BUY, 17, 16), (SELL, 11, 10)):
        m.child(side, too_much * ONE_BTC, PRICE)
        assert m.refused() is R.VENUE_FUNDS
        assert m.child(side, enough * ONE_BTC, PRICE)


def test_a_venue_that_fills_more_than_was_asked(m):
    child = m.child(BUY, ONE_BTC, PRICE)
    m.child_filled(child, BUY, ONE_BTC, PRICE)
    assert m.find(E.ALERT) == []
    child = m.child(BUY, ONE_BTC, PRICE)
    m.child_filled(child, BUY, 2 * ONE_BTC, PRICE)
    assert m.one(E.ALERT)["reason"] == R.OVERFILL and m.one(E.CHILD_FILL)["quantity"] == ONE_BTC
    m.child(BUY, ONE_BTC, PRICE)
    assert m.refused() is R.VENUE_STOPPED


def test_a_program_approves_and_denies_nothing(m):
    for kind in (K.APPROVE, K.DENY):
        m.configure(K.CONFIGURE_AUTHORITY, role=CUSTODIAN_ROLE, command=kind, scope=Scope.ALL, second_person=0)
    record = m.build(K.TRANSFER, OPERATIONS, account=ACME, to=BOLT, asset=USD, amount=1_000_000 * ONE_USD + 1)
    m.deposit(ACME, USD, 1_000_000 * ONE_USD), m.apply(record)
    held = m.one(E.HELD)["id"]
    m.approve(held, record, actor=CUSTODIAN)
    assert m.refused() is R.NOT_A_PERSON
    m.deny(held, actor=CUSTODIAN)
    assert m.refused() is R.NOT_A_PERSON
    m.approve(held, record, actor=RISK_TWO)
    assert m.find(E.TRANSFERRED, BOLT)


# ------------------------------------------------------------------------------------------------------------------ all of them
def test_every_reason_is_met_by_a_table():
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    missing = [r.name for r in Reason if r not in ELSEWHERE and not re.search(rf"\b(?:R|Reason)\.{r.name}\b|:{r.name}\b", text)]
    assert missing == []
