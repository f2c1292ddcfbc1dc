"""What may come between asking for a quote and accepting one, each refusal beside what is taken again. Section 3 of docs/rules.md. On every engine of
`engines.ENGINES`."""
import pytest

from cambist.messages import AccountKind, Event, Kind, Reason, Scope, Session
from tests.core.engines import ENGINES
from tests.core.market import Market, market
from tests.core.test_every_reason import account
from tests.scenarios import (
    ACME, ADMIN, BOLT, BTCUSD, BUY, DEALER_A, DEALER_B, HOUSE, ONE_BTC, ONE_USD, PRICE, RISK_ONE, SECOND, TWO_WAY, USD, WALLET,
)

K, E, R = Kind, Event, Reason
STRANGER, STRANGER_KEY = 13, 13                 # a dealer to whom nobody has given a line


@pytest.fixture(params=sorted(ENGINES))
def m(request) -> Market:
    return market(request.param)


def reopen(m: Market) -> None:
    m.session(Session.AUCTION, Session.CONTINUOUS), m.session(Session.CONTINUOUS), m.work()


# What stops it, what it is told, and how it goes on.
STOPS = {
    "halted": (lambda m: m.do(K.HALT, RISK_ONE, instrument=BTCUSD), R.HALTED, lambda m: m.do(K.RESUME, RISK_ONE, instrument=BTCUSD)),
    "closed": (lambda m: m.session(Session.CLOSED), R.SESSION, reopen),
    "restricted": (lambda m: [m.configure(K.CONFIGURE_RESTRICTION, account=one, instrument=BTCUSD, barred=1) for one in (ACME, DEALER_B)], R.RESTRICTED,
                   lambda m: [m.configure(K.CONFIGURE_RESTRICTION, account=one, instrument=BTCUSD, barred=0) for one in (ACME, DEALER_B)]),
}


@pytest.mark.parametrize("stop", sorted(STOPS))
def test_what_stops_trading_stops_quotes_too(m, stop):
    begin, reason, end = STOPS[stop]
    request = m.request(ACME, BUY, ONE_BTC)
    quote = m.quote(DEALER_A, request, ask=PRICE)
    begin(m)
    m.quote(DEALER_B, request, ask=PRICE)
    assert m.refused() is reason
    m.accept(ACME, request, BUY, PRICE, quote)
    assert m.refused() is reason
    m.request(ACME, BUY, ONE_BTC)
    assert m.refused() is reason
    end(m)
    assert m.quote(DEALER_B, request, ask=PRICE) and m.request(ACME, BUY, ONE_BTC)
    m.accept(ACME, request, BUY, PRICE, quote)
    assert m.find(E.FILLED, DEALER_A)


def test_a_request_that_was_filled_is_closed(m):
    request = m.request(ACME, BUY, ONE_BTC)
    m.quote(DEALER_A, request, ask=PRICE), m.accept(ACME, request, BUY, PRICE)
    assert m.find(E.FILLED, ACME)
    before = m.engine.tables()["balances"][2].tobytes()
    for again in (lambda: m.accept(ACME, request, BUY, PRICE), lambda: m.quote(DEALER_B, request, ask=PRICE), lambda: m.cancel_request(ACME, request)):
        again()
        assert m.refused() is R.REQUEST_CLOSED and m.engine.tables()["balances"][2].tobytes() == before


def test_no_more_requests_than_orders_may_be_open(m):
    account(m, BOLT, max_open=1)
    request = m.request(BOLT, BUY, ONE_BTC)
    m.request(BOLT, BUY, ONE_BTC)
    assert m.refused() is R.OPEN_ORDERS
    m.cancel_request(BOLT, request)
    assert m.request(BOLT, BUY, ONE_BTC)


def test_nobody_quotes_without_a_reference(m):
    m.advance(3_601)                                                        # what the sources said is too old
    request = m.request(ACME, TWO_WAY, ONE_BTC)
    m.quote(DEALER_A, request, PRICE, PRICE)
    assert m.refused() is R.NO_REFERENCE
    m.index(60_000)
    assert m.quote(DEALER_A, request, PRICE, PRICE)


def test_nobody_quotes_without_a_line(m):
    m.configure(K.CONFIGURE_ACCOUNT, account=STRANGER, account_kind=AccountKind.DEALER, entity=13, dealer=1, rate_limit=0, max_open=9, answer_quota=9,
                enabled=1)
    m.configure(K.CONFIGURE_ACTOR, account=STRANGER, number=STRANGER_KEY, person=0, role=2, enabled=1)
    request = m.request(ACME, BUY, ONE_BTC)
    offer = {"account": STRANGER, "request": request, "ask": PRICE, "ttl": SECOND}
    m.do(K.QUOTE, STRANGER_KEY, **offer)
    assert m.refused() is R.QUOTING_LINE
    m.configure(K.CONFIGURE_CREDIT, account=STRANGER, giver=HOUSE, asset=USD, limit=0, quoting_limit=60_000 * ONE_USD)
    m.do(K.QUOTE, STRANGER_KEY, **offer)
    assert m.find(E.QUOTED, STRANGER)


def test_a_dealer_beyond_its_position_is_passed_over(m):
    request = m.request(ACME, BUY, ONE_BTC)
    m.quote(DEALER_A, request, ask=PRICE), m.quote(DEALER_B, request, ask=PRICE + 10)
    m.configure(K.CONFIGURE_POSITION, account=DEALER_A, instrument=BTCUSD, limit=ONE_BTC - 1)
    m.accept(ACME, request, BUY, PRICE + 10)
    assert m.told()[0] == f"QUOTE_ENDED>{DEALER_A}:{R.POSITION.name}" and m.find(E.FILLED, DEALER_B)


@pytest.mark.parametrize("whose", [HOUSE, WALLET])
def test_the_house_s_own_accounts_do_not_trade(m, whose):
    """Whoever sends for them, and however allowed."""
    kinds = (K.NEW_ORDER, K.MASS_QUOTE, K.REQUEST_QUOTE)
    for kind in kinds:
        m.configure(K.CONFIGURE_AUTHORITY, role=9, command=kind, scope=Scope.ALL, second_person=0)
    m.do(K.CONFIGURE_ACTOR, ADMIN, account=0, number=13, person=0, role=9, enabled=1)
    fields = {K.NEW_ORDER: {"quantity": ONE_BTC, "price": PRICE}, K.MASS_QUOTE: {"bid": PRICE, "bid_quantity": ONE_BTC},
              K.REQUEST_QUOTE: {"quantity": ONE_BTC, "ttl": SECOND}}
    for kind in kinds:
        m.do(kind, 13, account=whose, instrument=BTCUSD, **fields[kind])
        assert m.refused() is R.NOT_ALLOWED, kind
        m.do(kind, 13, account=BOLT, instrument=BTCUSD, **fields[kind])
        assert m.find(E.REFUSED) == [], kind
