"""The simulated venue: what it answers, from a seed and the books it follows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from cambist.messages import Side, TimeInForce
from cambist.venues import simulated
from cambist.venues.noise import Noise
from cambist.venues.simulated import SimulatedSettings, SimulatedVenue
from cambist.venues.venue import (
    Acked,
    AskChild,
    BookUpdate,
    CancelChild,
    Closed,
    CloseReason,
    Filled,
    Liquidity,
    Missing,
    PlaceChild,
    Rejected,
    RejectReason,
    Terms,
    book_fault,
)

BTC = Terms("BTC/USD", 1, "0.01", "0.00000001", book_tick=1, quote_tick=1, lot=1, amount_num=1, amount_den=1, min_price=0, max_price=10**9)
COARSE = Terms("ETH/USD", 2, "0.01", "0.0001", book_tick=10, quote_tick=1, lot=5, amount_num=1, amount_den=1, min_price=100, max_price=10_000)
EXACT = SimulatedSettings(latency_ns=0, latency_jitter_ns=0, fee_ppm=1000, maker_fee_ppm=100, levels=3)
BUY, SELL, GTC, IOC = Side.BUY, Side.SELL, TimeInForce.GTC, TimeInForce.IOC
BOOK = BookUpdate(1, 0, ((990, 5), (980, 5), (970, 5)), ((1000, 5), (1010, 5), (1020, 5)))


def venue(seed: int = 1, book: BookUpdate = BOOK, **changed: int) -> SimulatedVenue:
    chosen = {name: getattr(EXACT, name) for name in EXACT.__struct_fields__} | changed
    made = SimulatedVenue("sim", [BTC, COARSE], SimulatedSettings(**chosen), seed)
    made.follow(book)
    return made


def place(child_id: int, side: Side, quantity: int, limit: int, tif: TimeInForce = IOC, instrument: int = 1) -> PlaceChild:
    return PlaceChild(child_id, instrument, side, quantity, limit, tif)


def told(reports, child_id=None):
    return [report for report in reports if not isinstance(report, BookUpdate) and child_id in (None, report.child_id)]


# (side, quantity, limit, tif) -> (quantity, price) of each fill, and how it closes; None rests
WALKS = [
    (BUY, 3, 1000, IOC, [(3, 1000)], CloseReason.FILLED),
    (BUY, 8, 1010, IOC, [(5, 1000), (3, 1010)], CloseReason.FILLED),
    (BUY, 8, 1000, IOC, [(5, 1000)], CloseReason.REMAINDER),
    (BUY, 8, 999, IOC, [], CloseReason.REMAINDER),
    (BUY, 99, 5000, IOC, [(5, 1000), (5, 1010), (5, 1020)], CloseReason.REMAINDER),
    (SELL, 7, 980, IOC, [(5, 990), (2, 980)], CloseReason.FILLED),
    (SELL, 7, 991, IOC, [], CloseReason.REMAINDER),
    (BUY, 8, 1000, GTC, [(5, 1000)], None),
    (SELL, 2, 991, GTC, [], None),
]


@pytest.mark.parametrize(("side", "quantity", "limit", "tif", "fills", "end"), WALKS)
def test_a_child_walks_the_book_within_its_limit(side, quantity, limit, tif, fills, end):
    reports = told(venue().step(1, [place(1, side, quantity, limit, tif)]))
    assert isinstance(reports[0], Acked)
    assert [(one.quantity, one.price) for one in reports if isinstance(one, Filled)] == fills
    closes = [one.reason for one in reports if isinstance(one, Closed)]
    assert closes == ([] if end is None else [end])


def test_what_was_taken_is_gone_until_the_market_comes_again():
    sim = venue()
    assert sim.step(1, [place(1, BUY, 7, 1010)])[-1].asks == ((1010, 3), (1020, 5))
    sim.follow(BookUpdate(1, 5, BOOK.bids, BOOK.asks))
    assert sim.step(5, [])[-1].asks == BOOK.asks


def test_a_rested_remainder_fills_as_maker_at_its_own_price_when_the_market_crosses():
    sim = venue()
    sim.step(1, [place(1, BUY, 4, 995, GTC)])
    sim.follow(BookUpdate(1, 10, ((900, 5),), ((995, 3), (1000, 9))))
    first = told(sim.step(10, []))
    assert [(one.quantity, one.price, one.liquidity) for one in first] == [(3, 995, Liquidity.ADDED)]
    sim.follow(BookUpdate(1, 20, ((900, 5),), ((940, 9),)))
    assert [type(one) for one in told(sim.step(20, []))] == [Filled, Closed]
    sim.follow(BookUpdate(1, 30, ((800, 5),), ((840, 9),)))
    assert told(sim.step(30, [])) == []


def test_resting_orders_fill_best_price_first_then_oldest_first():
    sim = venue()
    sim.step(1, [place(1, BUY, 4, 994, GTC), place(2, BUY, 4, 995, GTC), place(3, BUY, 4, 995, GTC)])
    sim.follow(BookUpdate(1, 10, ((900, 5),), ((990, 6), (1000, 9))))
    fills = [(one.child_id, one.quantity) for one in told(sim.step(10, [])) if isinstance(one, Filled)]
    assert fills == [(2, 4), (3, 2)]


def test_a_fee_is_the_declared_rate_rounded_up():
    taken = [one for one in told(venue().step(1, [place(1, BUY, 3, 1000)])) if isinstance(one, Filled)]
    assert taken[0].fee == 3  # 3 x 1000 x 0.1 %
    assert [one.fee for one in told(venue(fee_ppm=1).step(1, [place(1, BUY, 3, 1000)])) if isinstance(one, Filled)] == [1]
    assert [one.fee for one in told(venue(fee_ppm=0).step(1, [place(1, BUY, 3, 1000)])) if isinstance(one, Filled)] == [0]


REFUSALS = [
    (place(1, BUY, 5, 1000, instrument=9), RejectReason.UNKNOWN_INSTRUMENT),
    (place(1, Side.TWO_WAY, 5, 1000), RejectReason.UNSUPPORTED),
    (place(1, BUY, 5, 1000, TimeInForce.FOK), RejectReason.UNSUPPORTED),
    (place(1, BUY, 0, 1000), RejectReason.QUANTITY_NOT_POSITIVE),
    (place(1, BUY, 7, 1000, instrument=2), RejectReason.QUANTITY_OFF_LOT),
    (place(1, BUY, 5, 1001, instrument=2), RejectReason.PRICE_OFF_TICK),
    (place(1, BUY, 5, 10_010, instrument=2), RejectReason.PRICE_OUT_OF_RANGE),
]


@pytest.mark.parametrize(("order", "reason"), REFUSALS)
def test_an_order_the_venue_can_not_take_is_rejected(order, reason):
    sim = venue()
    assert told(sim.step(1, [order])) == [Rejected(1, reason, 1)]
    assert told(sim.step(2, [CancelChild(1), AskChild(1)])) == [Rejected(1, reason, 1)] * 2


def test_a_busy_venue_rejects_at_its_rate():
    sim = venue(reject_ppm=250_000)
    reports = told(sim.step(1, [place(number, BUY, 1, 1) for number in range(2000)]))
    rejected = [one for one in reports if isinstance(one, Rejected)]
    assert 400 < len(rejected) < 600 and {one.reason for one in rejected} == {RejectReason.BUSY}
    assert not any(isinstance(one, Rejected) for one in told(venue().step(1, [place(number, BUY, 1, 1) for number in range(2000)])))


def test_someone_faster_leaves_a_partial_fill():
    outcomes = set()
    for seed in range(40):
        reports = told(venue(seed, partial_fill_ppm=1_000_000).step(1, [place(1, BUY, 8, 1010)]))
        assert reports[-1].reason == CloseReason.REMAINDER
        outcomes.add(reports[-1].cum_quantity)
    assert outcomes == set(range(8))


def test_a_partially_filled_gtc_never_rests_across_the_book():
    for seed in range(40):
        book = venue(seed, partial_fill_ppm=1_000_000).step(1, [place(1, BUY, 8, 1010, GTC)])[-1]
        assert all(price > 1010 for price, _ in book.asks)


def test_silence_loses_the_telling_and_not_the_deed():
    plain, silent = venue(3), venue(3, silence_ppm=1_000_000)
    order = place(1, BUY, 8, 1010)
    truth = told(plain.step(1, [order]))
    assert told(silent.step(1, [order])) == []
    assert told(silent.step(2, [AskChild(1)])) == truth


def test_a_lost_request_is_missing_when_asked_for():
    sim = venue(request_loss_ppm=1_000_000)
    assert told(sim.step(1, [place(1, BUY, 1, 1000), CancelChild(1)])) == []
    heard = venue().step(2, [AskChild(1)])
    assert told(heard) == [Missing(1, 2)]


@pytest.mark.parametrize(("intent", "answer"), [(CancelChild(5), Missing(5, 1)), (AskChild(5), Missing(5, 1))])
def test_an_unknown_child_is_missing(intent, answer):
    assert told(venue().step(1, [intent])) == [answer]


def test_latency_holds_requests_and_reports_and_keeps_their_order():
    sim = venue(latency_ns=100, latency_jitter_ns=50)
    assert sim.step(0, [place(1, BUY, 1, 1000), CancelChild(1), AskChild(1)]) == []
    heard, now = [], 0
    while (due := sim.next_event(now)) is not None:
        assert due >= now
        now = due
        heard += told(sim.step(now, []))
    assert 200 <= now <= 300
    assert [type(one) for one in heard] == [Acked, Filled, Closed, Closed, Acked, Filled, Closed]
    assert all(100 <= one.time <= 150 for one in heard)


def test_the_book_comes_later_and_shifted_as_declared():
    sim = venue(book=BookUpdate(1, 0, ((99_990, 5),), ((100_010, 5),)), delay_ns=70, noise_ppm=10_000, levels=1)
    assert sim.step(69, []) == [] and sim.next_event(69) == 70
    (book,) = sim.step(70, [])
    assert book.time == 70 and 20 == book.asks[0][0] - book.bids[0][0]
    mids = set()
    for seed in range(50):
        (book,) = venue(seed, book=BookUpdate(1, 0, ((99_990, 5),), ((100_010, 5),)), noise_ppm=10_000, levels=1).step(0, [])
        assert abs(book.bids[0][0] - 99_990) <= 1001
        mids.add(book.bids[0][0])
    assert len(mids) > 40


def test_a_shallow_feed_is_made_up_to_the_declared_depth_on_tick_and_lot():
    sim = venue(levels=3, level_spacing=2)
    sim.follow(BookUpdate(2, 0, ((994, 12), (993, 8)), ((1001, 12), (1009, 4), (1012, 5))))
    book = next(one for one in sim.step(0, []) if one.instrument == 2)
    assert book.bids == ((990, 15), (970, 15), (950, 15))
    assert book.asks == ((1010, 10), (1020, 5), (1040, 10))


def test_levels_outside_the_price_range_are_not_shown():
    sim = venue(levels=5, level_spacing=1)
    sim.follow(BookUpdate(2, 0, ((110, 10),), ((9990, 10), (10_020, 10))))
    book = next(one for one in sim.step(0, []) if one.instrument == 2)
    assert book.bids == ((110, 10), (100, 10)) and book.asks == ((9990, 10), (10_000, 10))


def test_an_order_never_moves_the_noise_of_prices():
    def path(orders):
        sim = venue(9, noise_ppm=100_000, partial_fill_ppm=500_000, silence_ppm=300_000, latency_jitter_ns=0)
        touches = []
        for now in range(1, 30):
            sim.follow(BookUpdate(1, now, BOOK.bids, BOOK.asks))
            touches.append(next(one.bids[0][0] for one in sim.step(now, []) if isinstance(one, BookUpdate)))
            sim.step(now, [place(now, BUY, 2, 900)] if orders else [])
        return touches

    assert path(orders=True) == path(orders=False)


@given(st.integers(0, 2**64 - 1), st.lists(st.tuples(st.sampled_from([BUY, SELL]), st.integers(1, 30), st.integers(950, 1050), st.sampled_from([GTC, IOC]),
                                                     st.integers(0, 40)), max_size=25))
@hypothesis_settings(max_examples=60, deadline=None)
def test_the_same_seed_and_intents_give_the_same_venue_and_no_promise_is_broken(seed, orders):
    def life():
        sim = venue(seed, latency_ns=10, latency_jitter_ns=5, partial_fill_ppm=300_000, reject_ppm=100_000, noise_ppm=20_000)
        heard, now = [], 0
        for number, (side, quantity, limit, tif, wait) in enumerate(orders):
            now += wait
            sim.follow(BookUpdate(1, now, BOOK.bids, BOOK.asks))
            heard += sim.step(now, [place(number, side, quantity, limit, tif), CancelChild(number - 3)])
        return heard + sim.step(now + 10_000, [])

    heard = life()
    assert heard == life()
    times = [one.time for one in dict.fromkeys(heard)]  # a cancel of what is closed is told its end again
    assert times == sorted(times)
    for number, (side, quantity, limit, _, _) in enumerate(orders):
        fills = {one.execution_id: one for one in heard if isinstance(one, Filled) and one.child_id == number}.values()
        assert sum(one.quantity for one in fills) <= quantity
        assert all(one.price <= limit if side == BUY else one.price >= limit for one in fills)
    assert all(book_fault(one) is None for one in heard if isinstance(one, BookUpdate))


# -- what is refused --------------------------------------------------------------------------------------------------


def test_time_running_backwards_is_refused():
    sim = venue()
    sim.step(5, [])
    with pytest.raises(ValueError, match="never runs backwards"):
        sim.step(4, [])


@pytest.mark.parametrize(("book", "wrong"), [
    (BookUpdate(9, 0, (), ()), "instrument 9"),
    (BookUpdate(1, 0, ((10, 1),), ((10, 1),)), "not below ask"),
    (BookUpdate(1, 0, ((9, 1), (10, 1)), ()), "best first"),
    (BookUpdate(1, 0, ((9, 0),), ()), "quantity 0"),
])
def test_a_book_that_can_not_be_is_not_followed(book, wrong):
    with pytest.raises(ValueError, match=wrong):
        venue().follow(book)


@pytest.mark.parametrize("changed", [
    {"reject_ppm": -1}, {"silence_ppm": 1_000_001}, {"latency_ns": -1}, {"levels": 0}, {"levels": 51}, {"level_spacing": 0}, {"children_max": 0},
])
def test_settings_out_of_range_are_refused(changed):
    with pytest.raises(ValueError, match=next(iter(changed))):
        SimulatedSettings(**changed)


def test_more_children_than_can_be_remembered_are_rejected_and_not_forgotten():
    sim = venue(children_max=2)
    reports = told(sim.step(1, [place(number, BUY, 1, 1) for number in (1, 2, 3)]))
    assert reports[-1] == Rejected(3, RejectReason.TOO_MANY_ORDERS, 1)
    assert told(sim.step(2, [AskChild(1)]))[0] == reports[0]


def test_more_books_or_requests_than_can_wait_are_refused(monkeypatch):
    monkeypatch.setattr(simulated, "FOLLOWED_MAX", 2)
    monkeypatch.setattr(simulated, "INTENTS_MAX", 2)
    sim = venue(latency_ns=10, delay_ns=10)
    sim.follow(BOOK)
    with pytest.raises(OverflowError, match="2 books"):
        sim.follow(BOOK)
    with pytest.raises(OverflowError, match="2 requests"):
        sim.step(0, [AskChild(1), AskChild(2), AskChild(3)])
    sim.step(100, [])
    sim.follow(BOOK)


# -- noise ------------------------------------------------------------------------------------------------------------


def test_noise_is_splitmix64():
    stream = Noise(0)
    assert [hex(stream.word()) for _ in range(3)] == ["0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4", "0x6c45d188009454f"]


def test_branches_are_fixed_by_the_seed_and_differ():
    stream = Noise(5)
    before = stream.branch(1).word()
    stream.word()
    assert stream.branch(1).word() == before != stream.branch(2).word()


@given(st.integers(0, 2**64 - 1), st.integers(-50, 50), st.integers(0, 50))
def test_draws_stay_between_their_bounds(seed, low, width):
    assert low <= Noise(seed).between(low, low + width) <= low + width


def test_draws_from_nothing_are_refused():
    with pytest.raises(ValueError, match="below 0"):
        Noise(1).below(0)
    with pytest.raises(ValueError, match="between 2 and 1"):
        Noise(1).between(2, 1)
    assert Noise(1).happens(1_000_000) and not Noise(1).happens(0)
