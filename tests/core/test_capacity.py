"""Every table full: what would need one more row is refused CAPACITY, changes nothing, and goes well again when a row is free."""
import numpy as np
import pytest

from cambist.core.cell import Cell
from cambist.core.layout import MAX_INSTRUMENTS, MIN_EVENTS
from cambist.messages import GROUP_MORE, Event, Kind, Reason, Session, command
from cambist.simulation.invariants import invariants
from cambist.simulation.twin import Twin
from tests.core.market import AT_OPEN, DAY, INDEX, PRIMARY, STOP, Market, market
from tests.core.test_bad_input import differing
from tests.scenarios import (
    ACME, ADMIN, BOLT, BTC, BTCUSD, BTCUSD_LIMITS, BTCUSD_MADE, BUY, DEALER_A, DEALER_B, DESK, HOUSE, KEY_OF, ONE_BTC, ONE_XRP, PRICE, RISK_ONE, SELL, USD,
    WALLET, XRP, XRP_PRICE, XRPUSD, Scenario, Scope, scenario,
)

K, R = Kind, Reason
ROOMY = {"accounts": 32, "actors": 32, "orders": 64, "pages": 64, "words": 1 << 16, "requests": 32, "quotes": 32, "children": 32, "obligations": 32, "held": 32,
         "answers": 1 << 15, "facts": 64, "positions": 64, "credit": 32, "assets": 8, "instruments": 4, "venues": 4, "events": MIN_EVENTS}


def world(**sizes: int) -> Scenario:
    return scenario(lambda: Cell({**ROOMY, **sizes}), audit=False)


def refused_whole(s: Scenario, act) -> None:
    """The act is refused for want of room and nothing else happens."""
    before = s.engine.tables()
    act()
    assert s.kinds() == [Event.REFUSED] and s.refused() is R.CAPACITY
    assert differing(before, s.engine.tables()) == []


def test_orders():
    s = world(orders=3)
    ids = [s.order(ACME, BUY, 1_000, PRICE - 100 * i) for i in range(3)]
    refused_whole(s, lambda: s.order(BOLT, BUY, 1_000, PRICE))
    refused_whole(s, lambda: s.order(BOLT, BUY, 1_000, PRICE, post_only=1))
    s.cancel(ACME, ids[1])
    assert s.order(BOLT, BUY, 1_000, PRICE)


def test_pages_of_price_levels():
    s = world(pages=2)
    far = [PRICE + 6_400 * i for i in range(3)]
    first = s.order(ACME, SELL, 1_000, far[0])
    s.order(ACME, SELL, 1_000, far[1])
    refused_whole(s, lambda: s.order(ACME, SELL, 1_000, far[2]))
    refused_whole(s, lambda: s.amend(ACME, first, far[2], 1_000))
    assert s.order(ACME, SELL, 1_000, far[1])
    s.cancel(ACME, first)
    assert s.order(ACME, SELL, 1_000, far[2])


def bids(m: Market, account: int, *sides: tuple[int, int]) -> None:
    """A quote in the book: (price, quantity) of its bid and its ask."""
    (bid, bid_quantity), (ask, ask_quantity) = sides
    m.do(K.MASS_QUOTE, KEY_OF[account], account=account, instrument=BTCUSD, bid=bid, bid_quantity=bid_quantity, ask=ask, ask_quantity=ask_quantity)


def test_pages_of_orders_with_a_flag_and_of_quotes():
    s = market(lambda: Cell({**ROOMY, "pages": 2}), audit=False)
    far = [PRICE + 6_400 * i for i in range(3)]
    first = s.order(ACME, SELL, 1_000, far[0], time_in_force=DAY)
    s.order(ACME, SELL, 1_000, far[1])
    refused_whole(s, lambda: s.order(ACME, SELL, 1_000, far[2], time_in_force=DAY))
    refused_whole(s, lambda: s.amend(ACME, first, far[2], 1_000))
    refused_whole(s, lambda: bids(s, DEALER_A, (0, 0), (far[2], 1_000)))
    bids(s, DEALER_A, (0, 0), (far[1], 1_000))
    assert s.find(Event.BOOK_QUOTED)
    s.cancel(ACME, first)
    bids(s, DEALER_A, (0, 0), (far[2], 1_000))
    assert s.find(Event.BOOK_QUOTED) and not s.order(ACME, SELL, 1_000, far[0], time_in_force=DAY)


def test_rows_of_quotes_in_the_book():
    """The two orders of the quote that stands come free first."""
    s = market(lambda: Cell({**ROOMY, "orders": 3}), audit=False)
    s.order(ACME, BUY, 1_000, PRICE - 1_000), s.order(ACME, BUY, 1_000, PRICE - 2_000)
    refused_whole(s, lambda: bids(s, DEALER_A, (PRICE, 1_000), (PRICE + 100, 1_000)))       # there is one row
    bids(s, DEALER_A, (PRICE, 1_000), (0, 0))
    assert s.find(Event.BOOK_QUOTED)
    refused_whole(s, lambda: bids(s, DEALER_A, (PRICE, 1_000), (PRICE + 100, 1_000)))
    bids(s, DEALER_A, (0, 0), (0, 0))
    assert s.find(Event.BOOK_QUOTED) and len(s.rows("orders")) == 2         # a full table never keeps a quote in the book
    s.cancel(ACME, s.rows("orders")[0]["id"])
    for _ in range(2):
        bids(s, DEALER_A, (PRICE, 1_000), (PRICE + 100, 1_000))
        assert s.find(Event.BOOK_QUOTED) and len(s.rows("orders")) == 3, s.told()


@pytest.mark.parametrize("table, most", [("orders", 3), ("pages", 3)])
def test_a_group_of_quotes_wants_room_for_all_of_them(table, most):
    """Each side of each is an order, and here a page of its own; what one is checked for is not given to the next."""
    s = market(lambda: Cell({**ROOMY, table: most}), audit=False)

    def group(*sides: tuple[int, int]) -> None:
        s.apply(*[s.build(K.MASS_QUOTE, KEY_OF[DEALER_A], account=DEALER_A, instrument=instrument, bid=middle - 10_000 if bid else 0, bid_quantity=bid,
                          ask=middle + 10_000 if ask else 0, ask_quantity=ask, flags=0 if instrument == XRPUSD else GROUP_MORE)
                  for (bid, ask), instrument, middle in zip(sides, (BTCUSD, XRPUSD), (PRICE, XRP_PRICE), strict=True)])

    before = s.engine.tables()
    group((1_000, 1_000), (ONE_XRP, ONE_XRP))
    assert [e["reason"] for e in s.find(Event.REFUSED)] == [R.BAD_GROUP, R.CAPACITY] and differing(before, s.engine.tables()) == []
    group((1_000, 1_000), (ONE_XRP, 0))
    assert len(s.find(Event.BOOK_QUOTED)) == 2 and len(s.rows("orders")) == 3
    group((2_000, 2_000), (ONE_XRP, 0))                                     # again, in their own places
    assert len(s.find(Event.BOOK_QUOTED)) == 2 and len(s.rows("orders")) == 3
    before = s.engine.tables()
    group((1_000, 1_000), (ONE_XRP, ONE_XRP))
    assert [e["reason"] for e in s.find(Event.REFUSED)] == [R.BAD_GROUP, R.CAPACITY] and differing(before, s.engine.tables()) == []
    assert invariants(s.engine.tables()) == []


def test_a_peg_that_finds_no_page_sleeps():
    m = market(lambda: Cell({**ROOMY, "pages": 2}), audit=False)
    m.buy(DEALER_A, 1, 59_900)
    ask = m.sell(DEALER_A, 1, 65_000)
    peg = m.buy(ACME, 1, 59_910, order_type=PRIMARY, offset=10_000)         # a hundred dollars lower: another page
    assert m.state(peg) == "ASLEEP" and m.row("balances", account=ACME, asset=USD)["held"]
    m.cancel(DEALER_A, ask), m.buy(DEALER_B, 1, 59_901), m.work()
    assert m.state(peg) == "BOOK" and m.row("orders", id=peg)["price"] == 5_980_100
    m.cancel(ACME, peg), m.sell(DEALER_A, 1, 65_000)
    peg = m.buy(ACME, 1, 59_910, order_type=PRIMARY)
    assert m.state(peg) == "BOOK"
    m.cancel_all(DEALER_B), m.work()
    assert m.row("orders", id=peg)["price"] == 5_990_000


def test_a_peg_that_moves_and_finds_no_page_falls_asleep():
    m = market(lambda: Cell({**ROOMY, "pages": 3}), audit=False)
    m.buy(DEALER_A, 1, 59_900), m.buy(DEALER_B, 1, 59_000)
    peg = m.buy(ACME, 1, 59_910, order_type=PRIMARY, offset=10_000)
    assert m.row("orders", id=peg)["price"] == 5_980_000                    # the third page
    m.buy(BOLT, 1, 59_930), m.work()                                        # beside the best bid; it would follow to 59,830, on a fourth
    assert m.state(peg) == "ASLEEP" and m.row("balances", account=ACME, asset=USD)["held"]
    m.buy(BOLT, 1, 59_931), m.work()                                        # its own page is free now
    assert m.state(peg) == "BOOK" and m.row("orders", id=peg)["price"] == 5_983_100


def test_a_stop_that_fires_and_finds_no_page():
    """Accepted while there was room, it enters when there is none: it is cancelled, and holds nothing."""
    m = market(lambda: Cell({**ROOMY, "pages": 2}), audit=False)
    stops = [m.sell(ACME, 1, 58_000, trigger=STOP, trigger_on=INDEX, trigger_price=5_950_000) for _ in range(2)]
    m.buy(BOLT, 1, 50_000), m.buy(BOLT, 1, 40_000)
    m.do(K.HALT, RISK_ONE, instrument=BTCUSD), m.index(59_000), m.do(K.RESUME, RISK_ONE, instrument=BTCUSD), m.work()
    assert [(e["id"], e["reason"]) for e in m.history if e["kind"] == Event.ORDER_CANCELLED] == [(stop, R.CAPACITY) for stop in stops]
    assert m.row("balances", account=ACME, asset=BTC)["held"] == 0 and len(m.rows("orders")) == 2


def test_an_order_that_waited_for_an_auction_and_finds_no_page():
    """It was accepted while there was room; others took it. It is cancelled, and holds nothing."""
    m = market(lambda: Cell({**ROOMY, "pages": 2}), audit=False)
    m.buy(ACME, 1, 50_000, time_in_force=AT_OPEN)
    m.buy(BOLT, 1, 40_000), m.buy(BOLT, 1, 30_000)
    m.session(Session.AUCTION, Session.CONTINUOUS), m.tick()
    assert m.one(Event.ORDER_CANCELLED, ACME)["reason"] == R.CAPACITY
    assert m.row("balances", account=ACME, asset=USD)["held"] == 0 and len(m.rows("orders")) == 2


def test_positions():
    s = world(positions=2)
    s.order(ACME, BUY, 1_000, PRICE), s.order(BOLT, BUY, 1_000, PRICE)
    refused_whole(s, lambda: s.order(DEALER_A, BUY, 1_000, PRICE))
    refused_whole(s, lambda: s.order(DEALER_A, BUY, 1_000, PRICE, time_in_force=DAY))
    request = s.request(ACME, BUY, ONE_BTC)
    refused_whole(s, lambda: s.quote(DEALER_A, request, ask=PRICE))
    refused_whole(s, lambda: s.do(K.CONFIGURE_POSITION, ADMIN, account=DEALER_A, instrument=BTCUSD, limit=1))
    assert s.order(ACME, BUY, 1_000, PRICE)


def test_positions_of_quotes_in_the_book():
    s = market(lambda: Cell({**ROOMY, "positions": 1}), audit=False)
    s.order(ACME, BUY, 1_000, PRICE)
    refused_whole(s, lambda: bids(s, DEALER_A, (PRICE - 100, 1_000), (0, 0)))
    bids(s, ACME, (PRICE - 100, 1_000), (0, 0))
    assert s.find(Event.BOOK_QUOTED)


def test_credit():
    s = world(credit=6)                          # the genesis gives six lines
    refused_whole(s, lambda: s.do(K.CONFIGURE_CREDIT, ADMIN, account=ACME, giver=HOUSE, asset=XRP, limit=1, quoting_limit=1))
    s.do(K.CONFIGURE_CREDIT, ADMIN, account=ACME, giver=HOUSE, asset=USD, limit=1, quoting_limit=1)
    assert s.kinds() == [Event.DONE]


def test_requests_and_quotes():
    s = world(requests=2, quotes=2)
    one, two = (s.request(ACME, BUY, ONE_BTC) for _ in range(2))
    refused_whole(s, lambda: s.request(BOLT, BUY, ONE_BTC))
    s.quote(DEALER_A, one, ask=PRICE), s.quote(DEALER_B, one, ask=PRICE)
    refused_whole(s, lambda: s.quote(DEALER_A, two, ask=PRICE))
    assert s.quote(DEALER_A, one, ask=PRICE + 1)             # it takes the place of the one it replaces
    s.cancel_request(ACME, one)
    assert s.quote(DEALER_A, two, ask=PRICE) and s.request(BOLT, BUY, ONE_BTC)


def test_children():
    s = world(children=2)
    one = s.child(BUY, 1_000, PRICE)
    s.child(BUY, 1_000, PRICE)
    refused_whole(s, lambda: s.child(BUY, 1_000, PRICE))
    s.closed(one, 0)
    refused_whole(s, lambda: s.child(BUY, 1_000, PRICE))     # done, and kept for late fills
    s.tick(3_601)
    s.price(BTCUSD, 1, PRICE), s.price(BTCUSD, 2, PRICE)
    assert s.child(BUY, 1_000, PRICE)


def test_held():
    s = world(held=1)
    limits = {"instrument": BTCUSD, **BTCUSD_LIMITS}
    s.do(K.CONFIGURE_LIMITS, RISK_ONE, **limits)
    held = s.one(Event.HELD)["id"]
    refused_whole(s, lambda: s.do(K.CONFIGURE_LIMITS, RISK_ONE, **limits))
    s.deny(held)
    s.do(K.CONFIGURE_LIMITS, RISK_ONE, **limits)
    assert s.kinds() == [Event.HELD]
    s.do(K.CONFIGURE_ASSET, ADMIN, asset=USD, digits=6, approval_above=-1, quote_approval_above=0, enabled=1)
    request = s.request(ACME, BUY, ONE_BTC)
    refused_whole(s, lambda: s.quote(DESK, request, ask=PRICE))
    assert s.one(Event.REFUSED)["id"] == request


def test_obligations_are_all_or_none():
    """A cut-off that lacks room leaves the account as it is and calls a person; the next cycle does it."""
    s = world(obligations=4)                     # fees one, seller two; the buyer needs two more
    s.order(ACME, SELL, 100 * ONE_XRP, XRP_PRICE, XRPUSD), s.order(BOLT, BUY, 100 * ONE_XRP, XRP_PRICE, XRPUSD)
    s.net()
    s.tick(), s.tick()
    alerts = [e for e in s.history if e["kind"] == Event.ALERT]
    assert [(e["reason"], e["id"]) for e in alerts] == [(R.CAPACITY, BOLT)]
    assert s.balance(BOLT, XRP, "unsettled") == 100 * ONE_XRP and s.row("accounts", account=BOLT)["cycle"] == 1
    assert invariants(s.engine.tables()) == []
    paid = next(r["id"] for r in s.rows("obligations", account=ACME, asset=XRP))
    s.deposit(ACME, XRP, 100 * ONE_XRP)
    s.settle(paid)
    s.net()
    s.tick(), s.tick()
    assert len(s.rows("obligations", account=BOLT)) == 2 and s.balance(BOLT, XRP, "unsettled") == 0


@pytest.mark.parametrize("table, kind, fields", [
    ("assets", K.CONFIGURE_ASSET, {"asset": 4, "digits": 1, "enabled": 1}),
    ("accounts", K.CONFIGURE_ACCOUNT, {"account": 13, "account_kind": 1, "enabled": 1}),
    ("actors", K.CONFIGURE_ACTOR, {"number": 13, "role": 1, "enabled": 1}),
    ("instruments", K.CONFIGURE_INSTRUMENT, {"instrument": 3, **BTCUSD_MADE}),
    ("venues", K.CONFIGURE_VENUE, {"account": WALLET, "venue": 2, "enabled": 1}),
])
def test_configured_tables(table, kind, fields):
    full = {"assets": 3, "accounts": 12, "actors": 12, "instruments": 2, "venues": 1}[table]
    s = world(**{table: full})
    refused_whole(s, lambda: s.do(kind, ADMIN, **fields))
    s = world(**{table: full + 1})
    s.do(kind, ADMIN, **fields)
    assert s.kinds() == [Event.DONE]


def test_words_of_books():
    s = world(words=8_000)
    refused_whole(s, lambda: s.do(K.CONFIGURE_INSTRUMENT, ADMIN, instrument=3, **{**BTCUSD_MADE, "max_price": 10**8}))
    s.do(K.CONFIGURE_INSTRUMENT, ADMIN, instrument=3, **{**BTCUSD_MADE, "max_price": 10**6})
    assert s.kinds() == [Event.DONE]


def test_quotas_of_answers_never_exceed_the_table():
    s = world(answers=4_096 + 12 * 2_000 + 500)
    account = {"account": ACME, "account_kind": 1, "entity": 10, "max_open": 100, "enabled": 1}
    refused_whole(s, lambda: s.do(K.CONFIGURE_ACCOUNT, ADMIN, answer_quota=2_501, **account))
    s.do(K.CONFIGURE_ACCOUNT, ADMIN, answer_quota=2_500, **account)
    assert s.kinds() == [Event.DONE]


def test_sixteen_dealers_ever():
    s = world()
    for n in range(13, 27):
        s.do(K.CONFIGURE_ACCOUNT, ADMIN, account=n, account_kind=2, dealer=1, answer_quota=1, enabled=1)
        if n < 26:
            assert s.kinds() == [Event.DONE]
    assert s.refused() is R.CAPACITY
    s.do(K.CONFIGURE_ACCOUNT, ADMIN, account=25, account_kind=2, dealer=0, answer_quota=1, enabled=1)
    refused_whole(s, lambda: s.do(K.CONFIGURE_ACCOUNT, ADMIN, account=26, account_kind=2, dealer=1, answer_quota=1, enabled=1))


def test_a_full_table_of_facts_counts_on_and_calls_a_person():
    s = world(facts=8)                           # the genesis posted more deposits than that
    s.deposit(ACME, BTC, 1)
    assert s.kinds() == [Event.DEPOSITED, Event.ALERT] and s.one(Event.ALERT)["reason"] == R.FACT_REPEATED_LATE


def test_more_events_than_the_buffer_holds():
    """One entry, however many events: they come in parts, all of them."""
    s = world(accounts=64)
    records = np.repeat(command(K.TICK, actor=999), 3 * MIN_EVENTS)
    assert len(s.engine.apply(records, s.now)) == 3 * MIN_EVENTS
    assert [len(p) <= MIN_EVENTS for p in s.engine.run(records, s.now)].count(False) == 0


def test_sizes_are_checked():
    for sizes, word in (({"order": 1}, "order"), ({"orders": 0}, "at least 1"), ({"events": MIN_EVENTS - 1}, str(MIN_EVENTS)), ({"assets": 65}, "64"),
                        ({"dealers": 17}, "16"), ({"instruments": MAX_INSTRUMENTS}, f"{MAX_INSTRUMENTS - 1}")):
        with pytest.raises(ValueError, match=word):
            Cell(sizes)


def test_restrictions():
    s = world(restrictions=1)
    bar = {"instrument": BTCUSD, "barred": 1}
    s.do(K.CONFIGURE_RESTRICTION, ADMIN, account=ACME, **bar)
    refused_whole(s, lambda: s.do(K.CONFIGURE_RESTRICTION, ADMIN, account=BOLT, **bar))
    s.do(K.CONFIGURE_RESTRICTION, ADMIN, account=ACME, **bar)               # it is barred already
    assert s.kinds() == [Event.DONE]
    s.do(K.CONFIGURE_RESTRICTION, ADMIN, account=ACME, instrument=BTCUSD, barred=0)
    s.do(K.CONFIGURE_RESTRICTION, ADMIN, account=BOLT, **bar)
    assert s.kinds() == [Event.DONE] and not s.order(BOLT, BUY, 1_000, PRICE) and s.order(ACME, BUY, 1_000, PRICE)


def test_protections():
    s = world(protections=1)
    limits = {"instrument": BTCUSD, "quantity": 1, "window": 8}
    s.do(K.CONFIGURE_PROTECTION, ADMIN, account=DEALER_A, **limits)
    refused_whole(s, lambda: s.do(K.CONFIGURE_PROTECTION, ADMIN, account=DEALER_B, **limits))
    s.do(K.CONFIGURE_PROTECTION, ADMIN, account=DEALER_A, **{**limits, "window": 16})
    assert s.kinds() == [Event.DONE]


def test_positions_of_protections():
    s = world(positions=1)
    s.order(ACME, BUY, 1_000, PRICE)
    refused_whole(s, lambda: s.do(K.CONFIGURE_PROTECTION, ADMIN, account=DEALER_A, instrument=BTCUSD, quantity=1, window=8))


def test_words_of_new_terms():
    """A finer tick wants more words: beside the others, or in the place the book has."""
    s = world(words=8_000)
    s.do(K.CONFIGURE_AUTHORITY, ADMIN, role=4, command=K.CHANGE_TERMS, scope=Scope.ALL)
    s.do(K.HALT, RISK_ONE, instrument=BTCUSD, cancel=0)
    terms = {"instrument": BTCUSD, "price_factor": 1, "lot": 1_000, "quote_tick": 1, "min_price": 100_000, "max_price": 20_000_000}
    refused_whole(s, lambda: s.do(K.CHANGE_TERMS, RISK_ONE, book_tick=5, **terms))
    used = int(s.engine.state["word_count"][0])
    s.do(K.CHANGE_TERMS, RISK_ONE, book_tick=200, **terms)
    assert s.find(Event.TERMS_CHANGED) and int(s.engine.state["word_count"][0]) == used
    s.do(K.RESUME, RISK_ONE, instrument=BTCUSD)
    assert s.order(ACME, BUY, 1_000, PRICE) and not s.order(ACME, BUY, 1_000, PRICE + 100)
    s.do(K.HALT, RISK_ONE, instrument=BTCUSD, cancel=1), s.tick(), s.tick()
    s.do(K.CHANGE_TERMS, RISK_ONE, book_tick=125, **terms)
    assert s.find(Event.TERMS_CHANGED) and int(s.engine.state["word_count"][0]) > used
    s.do(K.RESUME, RISK_ONE, instrument=BTCUSD)
    assert s.order(ACME, BUY, 1_000, PRICE + 125) and s.order(BOLT, SELL, 1_000, PRICE + 125)
    assert invariants(s.engine.tables()) == []


@pytest.mark.parametrize("make", [lambda: Cell({**ROOMY, "instruments": 70}), Twin])
def test_digits_of_the_base_of_many_instruments(make):
    """What an account has of an asset is looked at in one unit: only so many instruments may be on it. The twin knows this one too."""
    s = scenario(make, audit=False)
    s.do(K.CONFIGURE_AUTHORITY, ADMIN, role=4, command=K.CHANGE_DIGITS, scope=Scope.ALL)
    made = {**BTCUSD_MADE, "max_price": 100_000}
    for number in range(3, 66):
        s.do(K.CONFIGURE_INSTRUMENT, ADMIN, instrument=number, **made), s.do(K.HALT, RISK_ONE, instrument=number, cancel=0)
    s.do(K.HALT, RISK_ONE, instrument=BTCUSD, cancel=0)
    s.do(K.CONFIGURE_ASSET, ADMIN, asset=BTC, digits=8, approval_above=-1, quote_approval_above=-1, enabled=0)
    s.deposit(ACME, BTC, ONE_BTC)
    before = s.row("balances", account=ACME, asset=BTC)["available"]
    s.do(K.CHANGE_DIGITS, RISK_ONE, asset=BTC, digits=9)
    assert s.kinds() == [Event.DONE]
    while not s.find(Event.SWEPT):
        s.tick()
    assert s.row("balances", account=ACME, asset=BTC)["available"] == 10 * before
    s.do(K.CONFIGURE_INSTRUMENT, ADMIN, instrument=66, **made)
    s.do(K.CHANGE_DIGITS, RISK_ONE, asset=BTC, digits=10)
    assert s.refused() is R.CAPACITY
