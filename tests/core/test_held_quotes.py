"""Large quotes of our own desk wait for a second person: sections 7 and 9 of the rules, on every engine."""
import pytest

from cambist.core.cell import Cell
from cambist.messages import Event, Kind, Reason
from cambist.simulation.twin import Twin
from tests.scenarios import (
    ACME, ADMIN, BUY, DEALER_A, DESK, DESK_KEY, ONE_BTC, ONE_USD, PRICE, RISK_ONE, SECOND, TWO_WAY, USD, Scenario, scenario,
)

K, E, R = Kind, Event, Reason
AMOUNT = 60_000 * ONE_USD                       # of one bitcoin at PRICE
RHEA, TOMAS = 13, 14                            # people's keys of the desk


@pytest.fixture(params=[Cell, Twin], ids=["kernel", "twin"])
def s(request) -> Scenario:
    return scenario(request.param)


def large_quotes(s: Scenario, above: int = AMOUNT) -> None:
    """From now on a larger quote of the desk waits for a second person."""
    s.do(K.CONFIGURE_ASSET, ADMIN, asset=USD, digits=6, approval_above=-1, quote_approval_above=above, enabled=1)


def held_quote(s: Scenario, quantity: int = 2 * ONE_BTC, ttl: int = 8 * SECOND, actor: int = DESK_KEY, lasts: int = 10 * SECOND):
    """A request, and the desk's quote for it as it was sent; it is held."""
    request = s.request(ACME, BUY, quantity, ttl=lasts)
    record = s.build(K.QUOTE, actor, account=DESK, request=request, ask=PRICE, ttl=ttl)
    s.apply(record)
    return request, record, s.one(E.HELD)


def test_a_large_quote_of_the_desk_waits_and_stands_no_longer_than_was_asked(s):
    large_quotes(s)
    request, record, told = held_quote(s)
    lapse = s.now + 8 * SECOND
    assert s.kinds() == [E.HELD] and (told["account"], told["other"], told["command"], told["id_lo"]) == (DESK, lapse, K.QUOTE, int(record["id_lo"][0]))
    assert s.rows("quotes") == [] and s.credit(DESK)["quoted"] == 0
    s.advance(5)
    s.approve(told["id"], record)
    assert s.kinds() == [E.APPROVED, E.DONE, E.QUOTED, E.QUOTE_SHOWN]
    quoted = s.one(E.QUOTED)
    assert (quoted["account"], quoted["leaves"], quoted["command"], quoted["id_lo"]) == (DESK, lapse, K.QUOTE, int(record["id_lo"][0]))
    assert s.row("quotes", id=quoted["id"])["expires"] == lapse == s.one(E.QUOTE_SHOWN)["leaves"]
    s.tick(3)
    assert [e["reason"] for e in s.find(E.QUOTE_ENDED)] == [R.EXPIRED] * 2
    assert s.row("requests", id=request)["expires"] > s.now


@pytest.mark.parametrize("account, quantity, above", [(DESK, ONE_BTC, AMOUNT), (DESK, 2 * ONE_BTC, -1), (DEALER_A, 2 * ONE_BTC, 0), (DESK, 1_000, 6 * 10**5)])
def test_only_the_desk_s_and_only_above_the_size(s, account, quantity, above):
    large_quotes(s, above)
    assert s.quote(account, s.request(ACME, BUY, quantity), ask=PRICE)


def test_a_held_quote_lapses_with_its_request_at_the_latest(s):
    large_quotes(s, 0)
    _, record, told = held_quote(s, ttl=20 * SECOND)
    assert told["other"] == s.now + 10 * SECOND == s.row("held", id=told["id"])["lapse"]
    s.tick(10)
    assert s.one(E.HELD_EXPIRED)["account"] == DESK
    s.approve(told["id"], record)
    assert s.refused() == R.UNKNOWN_HELD


def test_a_larger_side_is_what_counts_and_the_checks_come_first(s):
    large_quotes(s)
    request = s.request(ACME, TWO_WAY, ONE_BTC)
    s.quote(DESK, request, bid=PRICE, ask=PRICE + 1)
    assert s.kinds() == [E.HELD]
    s.quote(DESK, request, bid=PRICE + 2, ask=PRICE + 1)
    assert s.refused() == R.CROSSED_QUOTE
    s.quote(DESK, request, bid=PRICE, ask=PRICE + 1, ttl=31 * SECOND)
    assert s.refused() == R.BAD_TTL


def test_a_denied_quote_is_told_to_the_desk(s):
    large_quotes(s)
    _, _, told = held_quote(s)
    s.deny(told["id"])
    assert s.kinds() == [E.DENIED, E.DONE] and s.one(E.DENIED)["account"] == DESK and s.rows("held") == s.rows("quotes") == []


def test_a_held_quote_is_checked_again(s):
    large_quotes(s)
    request, record, told = held_quote(s)
    s.cancel_request(ACME, request)
    s.approve(told["id"], record)
    assert s.kinds() == [E.APPROVED, E.DONE, E.REFUSED] and s.refused() == R.UNKNOWN_REQUEST and s.one(E.REFUSED)["account"] == DESK
    _, record, told = held_quote(s)
    s.do(K.KILL, RISK_ONE, account=DESK)
    s.approve(told["id"], record)
    assert s.refused() == R.KILLED


def test_nobody_approves_a_large_quote_of_their_own(s):
    large_quotes(s)
    for number, person in ((RHEA, 301), (TOMAS, 302)):
        s.do(K.CONFIGURE_ACTOR, ADMIN, account=DESK, number=number, person=person, role=3, enabled=1)
    for kind in (K.APPROVE, K.DENY):
        s.do(K.CONFIGURE_AUTHORITY, ADMIN, role=3, command=kind, scope=3)
    _, record, told = held_quote(s, actor=RHEA)
    s.approve(told["id"], record, RHEA)
    assert s.refused() == R.SAME_PERSON
    s.approve(told["id"], record, TOMAS)
    assert s.one(E.QUOTED)["account"] == DESK


def test_a_quote_stands_until_the_held_one_takes_its_place(s):
    large_quotes(s, -1)
    request = s.request(ACME, BUY, 2 * ONE_BTC)
    first = s.quote(DESK, request, ask=PRICE + 1_000)
    large_quotes(s)
    record = s.build(K.QUOTE, DESK_KEY, account=DESK, request=request, ask=PRICE, ttl=SECOND)
    s.apply(record)
    assert s.kinds() == [E.HELD] and s.row("quotes")["id"] == first
    s.approve(s.one(E.HELD)["id"], record)
    ended = s.one(E.QUOTE_ENDED, DESK)
    assert ended["id"] == first and ended["reason"] == R.REPLACED and s.row("quotes")["ask"] == PRICE
