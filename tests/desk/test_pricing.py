"""The desk's price: its parts, its refusals to be firm, and what must hold of any price."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given, strategies as st

from cambist.desk.inventory import Holding
from cambist.desk.pricing import (
    EXPLANATION_BYTES_MAX,
    MICRO,
    RULE_VERSION,
    SECOND,
    SOURCES_MAX,
    Enquiry,
    Input,
    Market,
    Mode,
    Priced,
    PricingSettings,
    Source,
    Use,
    Volatility,
    explanation,
    price,
    read_explanation,
)
from cambist.messages import Side
from cambist.venues.venue import BookUpdate, Terms

BTC = Terms("BTC/USD", 1, "0.01", "0.00000001", book_tick=1, quote_tick=1, lot=1, amount_num=1, amount_den=1, min_price=1, max_price=10**9)
COARSE = msgspec.structs.replace(BTC, quote_tick=25)
BUY, SELL, TWO_WAY = Side.BUY, Side.SELL, Side.TWO_WAY
T0 = 1_700_000_000 * SECOND
GUARD = 2 * SECOND
SOURCES = [Source("alpha", GUARD, 0), Source("beta", GUARD, 0), Source("gamma", GUARD, 0)]
FLAT = Holding(1, 0, 0, 1000)
STILL = PricingSettings(base_half_spread_ppm=0, volatility_multiple=0, validity_multiple=0, skew_ppm=0)  # only the book speaks
QUIET = Volatility(prior=0.0, floor=0.0, samples_least=1)
for tick in range(3):
    QUIET.observe(100, T0 + tick * SECOND)


def book(mid: int = 100_000, time: int = T0, half: int = 10, size: int = 50, depth: int = 3, step: int = 10) -> BookUpdate:
    bids = tuple((mid - half - step * level, size) for level in range(depth))
    asks = tuple((mid + half + step * level, size) for level in range(depth))
    return BookUpdate(1, time, bids, asks)


def market(*books: BookUpdate | None, sources=SOURCES, now: int = T0) -> Market:
    made = Market(1, sources)
    for source, update in zip(sources, books, strict=False):
        if update is not None:
            made.hear(source.name, update, now)
    return made


def priced(made: Market, *, side=TWO_WAY, quantity=10, ttl_ns=0, client_ppm=0, settings=STILL, volatility=QUIET, holding=FLAT, terms=BTC, now=T0) -> Priced:
    return price(made, terms, volatility, holding, Enquiry(side, quantity, ttl_ns, client_ppm), settings, now)


def three(**changed) -> Market:
    return market(book(**changed), book(**changed), book(**changed))


# -- each part by itself ----------------------------------------------------------------------------------------------


def test_with_nothing_charged_the_price_is_the_real_book():
    quote = priced(three())
    assert (quote.bid, quote.ask, quote.mode, quote.reasons) == (99_990, 100_010, Mode.ALL, ())
    assert quote.ask_parts.mid == 100_000 * MICRO and quote.ask_parts.size == 10 * MICRO and quote.bid_parts.size == -10 * MICRO


def test_size_walks_the_consolidated_book():
    assert priced(three(), quantity=150).ask == 100_010  # fifty at each of three sources
    deeper = priced(three(), quantity=300)
    assert (deeper.ask, deeper.bid) == (100_015, 99_985)  # half at 100 010, half at 100 020
    one_is_better = market(book(), book(), book(half=4))
    assert priced(one_is_better, quantity=50).ask == 100_004


def test_size_beyond_the_book_costs_the_worst_level_and_more():
    settings = msgspec.structs.replace(STILL, beyond_book_ppm=1000)
    quote = priced(three(), quantity=900, settings=settings, side=BUY)
    inside, beyond = 150 * (100_010 + 100_020 + 100_030), 450 * (100_030 + 100.03)
    assert quote.ask == math.ceil((inside + beyond) / 900)
    assert quote.mode is Mode.WIDER and quote.reasons == ("sell_size_beyond_book",)
    assert priced(three(), quantity=901, settings=settings, side=BUY).mode is Mode.INDICATIVE


def test_half_spread_is_a_base_and_the_volatility_over_the_hedge_horizon():
    wild = Volatility(prior=0.000_4, samples_least=1)
    wild.observe(100, T0), wild.observe(100, T0 + 1)
    settings = msgspec.structs.replace(STILL, base_half_spread_ppm=100, volatility_multiple=2.0, hedge_horizon_ns=4 * SECOND)
    quote = priced(three(), settings=settings, volatility=wild)
    assert quote.mode is Mode.WIDER and quote.reasons == ("volatility_unknown",)
    assert quote.ask_parts.half_spread == -quote.bid_parts.half_spread == pytest.approx(2 * (10 + 100_000 * 0.0004 * 2 * 2) * MICRO, abs=4)


def test_validity_charges_the_square_root_of_the_time_a_quote_stands():
    wild = Volatility(prior=0.000_4, samples_least=1)
    settings = msgspec.structs.replace(STILL, validity_multiple=0.5)
    charges = [priced(three(), settings=settings, volatility=wild, ttl_ns=seconds * SECOND).ask_parts.validity for seconds in (0, 1, 4)]
    assert charges == [0, pytest.approx(20 * MICRO, abs=1), pytest.approx(40 * MICRO, abs=1)]


@pytest.mark.parametrize(("position", "shift"), [(0, 0), (500, -50), (-500, 50), (1000, -100), (5000, -100), (-5000, 100)])
def test_skew_shifts_both_sides_against_the_position_and_no_further_than_at_the_limit(position, shift):
    settings = msgspec.structs.replace(STILL, skew_ppm=1000)
    quote = priced(three(), settings=settings, holding=Holding(1, position, 0, 1000))
    assert (quote.bid, quote.ask) == (99_990 + shift, 100_010 + shift)
    assert quote.bid_parts.skew == quote.ask_parts.skew == shift * MICRO


def test_hedge_cost_is_the_venues_fee_and_the_walk_counts_it():
    sources = [Source("dear", GUARD, 1000), Source("cheap", GUARD, 100), Source("third", GUARD, 1000)]
    quote = priced(market(book(), book(half=20), book(), sources=sources), quantity=50, side=BUY)
    assert quote.ask_parts.hedge == 100_020 * 100  # the cheap venue, though its price is worse
    assert quote.ask_parts.size == 20 * MICRO and quote.ask == math.ceil(100_020 * 1.0001)


def test_what_the_client_cost_us_is_charged_on_either_side():
    quote = priced(three(), client_ppm=200)
    assert (quote.bid, quote.ask) == (99_990 - 20, 100_010 + 20)
    assert quote.ask_parts.client == -quote.bid_parts.client == 20 * MICRO


def test_prices_are_rounded_outward_to_the_quote_tick():
    quote = priced(three(mid=100_003), terms=COARSE)
    assert (quote.bid, quote.ask) == (99_975, 100_025)
    assert quote.ask_parts.rounding == 12 * MICRO and quote.bid_parts.rounding == -18 * MICRO
    assert priced(three(mid=100_015), terms=COARSE).ask_parts.rounding == 0


@pytest.mark.parametrize(("side", "bid", "ask"), [(BUY, 0, 100_010), (SELL, 99_990, 0), (TWO_WAY, 99_990, 100_010)])
def test_only_the_side_asked_for_is_priced(side, bid, ask):
    quote = priced(three(), side=side)
    assert (quote.bid, quote.ask) == (bid, ask)
    assert (quote.bid_parts is None) == (bid == 0) and (quote.ask_parts is None) == (ask == 0)


def test_sources_that_cross_one_another_give_nothing_away():
    quote = priced(market(book(99_900), book(100_000), book(100_100)), quantity=50)
    assert quote.ask >= 100_000 > quote.bid or quote.ask > 100_000 >= quote.bid
    assert quote.ask_parts.size == 0 and quote.bid_parts.size == 0


def test_a_locked_price_is_opened_by_a_tick():
    quote = priced(market(book(99_900), book(100_000), book(100_100)), quantity=50, terms=COARSE)
    assert (quote.bid, quote.ask) == (100_000, 100_025) and quote.ask_parts.rounding == 25 * MICRO


# -- how a price degrades ---------------------------------------------------------------------------------------------

WIDE = msgspec.structs.replace(STILL, base_half_spread_ppm=100)


@pytest.mark.parametrize(("ages", "mode", "reasons"), [
    ((0, 0, 0), Mode.ALL, ()),
    ((GUARD, 0, 0), Mode.ALL, ()),
    ((GUARD + 1, 0, 0), Mode.SUBSET, ("sources_left_out",)),
    ((GUARD + 1, GUARD + 1, 0), Mode.INDICATIVE, ("too_few_sources", "sources_left_out")),
    ((GUARD + 1,) * 3, Mode.NONE, ("no_usable_source", "sources_left_out")),
    ((None, 0, 0), Mode.SUBSET, ("sources_left_out",)),
    ((None, None, None), Mode.NONE, ("no_usable_source", "sources_left_out")),
])
def test_stale_and_silent_sources_degrade_the_price_in_declared_steps(ages, mode, reasons):
    made = Market(1, SOURCES)
    for age, source in sorted(((age, source) for age, source in zip(ages, SOURCES, strict=True) if age is not None), key=lambda one: -one[0]):
        made.hear(source.name, book(time=T0 - age), T0 - age)
    quote = priced(made, settings=msgspec.structs.replace(WIDE, wider_below_sources=0))
    assert (quote.mode, quote.reasons) == (mode, reasons)
    assert mode.firm == (mode <= Mode.WIDER)
    if mode is Mode.NONE:
        assert quote.bid == quote.ask == 0 and quote.bid_parts is quote.ask_parts is None
    else:
        assert quote.ask - quote.bid == (60 if mode is Mode.INDICATIVE else 40)


@pytest.mark.parametrize(("made", "changed", "reason"), [
    (lambda: market(book(), book()), {}, "few_sources"),
    (lambda: market(book(), book(), book(100_200)), {"wider_disagreement_ppm": 1000}, "sources_disagree"),
    (three, {"wider_volatility": 0.0}, None),
])
def test_settings_say_when_the_price_is_wider(made, changed, reason):
    quote = priced(made(), settings=msgspec.structs.replace(WIDE, **changed))
    if reason is None:
        assert quote.mode is Mode.ALL and quote.ask_parts.half_spread == 10 * MICRO
    else:
        assert quote.mode is Mode.WIDER and reason in quote.reasons and quote.mode.firm
        assert quote.ask_parts.half_spread == 2 * quote.ask_parts.mid * 100 // 10**6


def test_a_volatile_market_is_wider():
    wild = Volatility(prior=0.0, floor=0.0, samples_least=1)
    for second, reference in enumerate((100, 101, 99, 102)):
        wild.observe(reference, T0 + second * 100 * SECOND)
    assert wild.ready and priced(three(), settings=WIDE, volatility=wild).reasons == ("volatile",)


def test_a_source_far_from_the_others_is_not_believed():
    quote = priced(market(book(), book(), book(110_000)))
    assert quote.mode is Mode.WIDER and [one.use for one in quote.inputs] == [Use.USED, Use.USED, Use.OUTLIER]
    assert quote.ask == 100_010


def test_two_sources_that_contradict_one_another_are_not_firm():
    quote = priced(market(book(), book(110_000)))
    assert quote.mode is Mode.INDICATIVE and "sources_contradict" in quote.reasons
    assert priced(market(book(), book(100_400))).mode is Mode.WIDER


@pytest.mark.parametrize("bad", [
    BookUpdate(1, T0, (), ((100_010, 5),)), BookUpdate(1, T0, ((99_990, 5),), ()), BookUpdate(1, T0, ((100_010, 5),), ((100_010, 5),)),
    BookUpdate(1, T0, ((99_990, 0),), ((100_010, 5),)), BookUpdate(1, T0, ((99_990, 5), (99_991, 5)), ((100_010, 5),)),
])
def test_a_one_sided_crossed_or_disordered_book_is_no_source(bad):
    quote = priced(market(bad, book(), book()))
    assert quote.inputs[0] == Input("alpha", 0, 0, Use.FAULTY) and quote.mode is not Mode.ALL and quote.ask == 100_010


def test_a_price_outside_the_instruments_range_is_none():
    low = msgspec.structs.replace(BTC, max_price=100_009)
    quote = priced(three(), terms=low)
    assert (quote.mode, quote.bid, quote.ask, quote.reasons) == (Mode.NONE, 0, 0, ("sell_out_of_range",))
    assert priced(three(), terms=msgspec.structs.replace(BTC, max_price=100_010)).mode is Mode.ALL
    assert priced(three(), terms=msgspec.structs.replace(BTC, min_price=99_991)).reasons == ("buy_out_of_range",)


def test_a_reference_that_is_not_positive_is_no_price():
    assert priced(three(mid=-100)).reasons[0] == "reference_not_positive"


# -- what may be heard ------------------------------------------------------------------------------------------------


def test_a_venues_own_time_ages_its_price_and_a_clock_ahead_does_not_freshen_it():
    made = Market(1, SOURCES)
    made.hear("alpha", book(time=T0 - SECOND), T0)
    made.hear("beta", book(time=T0 + 100 * SECOND), T0)
    quote = priced(made, now=T0 + SECOND)
    assert [one.age_ns for one in quote.inputs] == [2 * SECOND, SECOND, 0]


def test_a_book_that_came_late_is_passed_over():
    made = Market(1, SOURCES)
    assert made.hear("alpha", book(time=T0), T0)
    assert not made.hear("alpha", book(50_000, time=T0 - 1), T0)
    assert priced(made).inputs[0].price == 100_000 * MICRO


def test_books_from_elsewhere_and_time_running_back_are_refused():
    made = three()
    with pytest.raises(ValueError, match="from 'delta' is not of this market"):
        made.hear("delta", book(), T0)
    with pytest.raises(ValueError, match="book of instrument 2"):
        made.hear("alpha", msgspec.structs.replace(book(), instrument=2), T0)
    with pytest.raises(ValueError, match="never runs backwards"):
        priced(made, now=T0 - 1)
    with pytest.raises(ValueError, match="not of one instrument"):
        priced(made, holding=Holding(2, 0, 0, 10))


@pytest.mark.parametrize("sources", [
    [], [SOURCES[0]] * 2, [Source("a", 0, 0)], [Source("a", 1, 10**6)], [Source(str(number), 1, 0) for number in range(SOURCES_MAX + 1)],
])
def test_a_market_without_sound_sources_is_refused(sources):
    with pytest.raises(ValueError):
        Market(1, sources)
    Market(1, [Source(str(number), 1, 0) for number in range(SOURCES_MAX)])


@pytest.mark.parametrize("wrong", [
    {"firm_sources_least": 1}, {"base_half_spread_ppm": -1}, {"volatility_multiple": math.nan}, {"wider_factor_ppm": 999_999}, {"skew_ppm": 1_000_001},
    {"beyond_book_ppm": 1_000_001}, {"validity_multiple": math.inf},
])
def test_settings_that_can_not_be_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PricingSettings(**wrong)


@pytest.mark.parametrize("wrong", [(BUY, 0, 0, 0), (BUY, -1, 0, 0), (BUY, 1, -1, 0), (BUY, 1, 0, -1)])
def test_an_enquiry_that_has_no_price_is_refused(wrong):
    with pytest.raises(ValueError):
        Enquiry(*wrong)


# -- properties -------------------------------------------------------------------------------------------------------

BOOKS = st.builds(book, mid=st.integers(99_000, 101_000), time=st.integers(T0 - 2 * GUARD, T0 + GUARD), half=st.integers(1, 60),
                  size=st.integers(1, 80), depth=st.integers(1, 50), step=st.integers(1, 20))
MARKETS = st.tuples(st.lists(st.one_of(st.none(), BOOKS), min_size=1, max_size=6), st.lists(st.integers(-500, 2500), min_size=6, max_size=6))
SETTINGS = st.builds(
    PricingSettings, base_half_spread_ppm=st.integers(0, 3000), volatility_multiple=st.floats(0, 5), validity_multiple=st.floats(0, 2),
    skew_ppm=st.integers(0, 20_000), beyond_book_ppm=st.integers(0, 10_000), outlier_ppm=st.integers(0, 20_000), wider_factor_ppm=st.integers(10**6, 4 * 10**6),
)
HOLDINGS = st.builds(Holding, st.just(1), st.integers(-2000, 2000), st.integers(-500, 500), st.integers(1, 2000))


def drawn(case) -> Market:
    books, fees = case
    return market(*books, sources=[Source(f"s{index}", GUARD, fees[index]) for index in range(len(books))])


@given(MARKETS, SETTINGS, HOLDINGS, st.sampled_from([BUY, SELL, TWO_WAY]), st.integers(1, 20_000), st.integers(0, 10**11), st.integers(0, 5000),
       st.floats(0, 0.002), st.sampled_from([1, 7, 25, 1000]))
def test_parts_sum_to_the_price_and_it_is_never_crossed_nor_firm_on_one_source(case, settings, holding, side, quantity, ttl, client, sigma, tick):
    terms = msgspec.structs.replace(BTC, quote_tick=tick)
    volatility = Volatility(prior=sigma, floor=0.0)
    asked_with = {"side": side, "quantity": quantity, "ttl_ns": ttl, "client_ppm": client}
    quote = priced(drawn(case), **asked_with, settings=settings, volatility=volatility, holding=holding, terms=terms)
    fresh = [one for one in quote.inputs if one.use is Use.USED]
    assert quote == read_explanation(explanation(quote))
    for value, parts, asked in ((quote.bid, quote.bid_parts, side != BUY), (quote.ask, quote.ask_parts, side != SELL)):
        if quote.mode is Mode.NONE or not asked:
            assert value == 0 and parts is None
        else:
            assert value > 0 and value % tick == 0 and sum(msgspec.structs.astuple(parts)) == value * MICRO
    if quote.bid and quote.ask:
        assert quote.bid < quote.ask
        assert quote.bid_parts.rounding <= 0 <= quote.ask_parts.rounding
    if len(fresh) < 2:
        assert not quote.mode.firm
    if not fresh:
        assert quote.mode is Mode.NONE
    assert all(one.age_ns <= GUARD for one in fresh) and (quote.mode is Mode.ALL) <= (len(fresh) == len(quote.inputs))


@given(MARKETS, SETTINGS, st.integers(1, 20_000), st.integers(1, 20_000))
def test_more_size_is_never_a_better_price(case, settings, one, other):
    less, more = sorted((one, other))
    small, large = (priced(drawn(case), quantity=quantity, settings=settings) for quantity in (less, more))
    if Mode.NONE not in (small.mode, large.mode):
        assert large.ask >= small.ask and large.bid <= small.bid and large.mode >= small.mode


@given(MARKETS, SETTINGS, st.integers(0, 10**11), st.integers(0, 10**11), st.integers(-3000, 3000), st.integers(-3000, 3000))
def test_a_longer_quote_is_wider_and_a_longer_position_is_lower(case, settings, ttl, other_ttl, position, other_position):
    volatility = Volatility(prior=0.0003)
    short, long = (priced(drawn(case), ttl_ns=span, settings=settings, volatility=volatility) for span in sorted((ttl, other_ttl)))
    if Mode.NONE not in (short.mode, long.mode):
        assert long.ask >= short.ask and long.bid <= short.bid
    low, high = (priced(drawn(case), settings=settings, holding=Holding(1, held, 0, 1000)) for held in sorted((position, other_position)))
    if Mode.NONE not in (low.mode, high.mode):
        assert high.ask <= low.ask and high.bid <= low.bid


@given(MARKETS, st.integers(-(10**6), 10**6), st.data())
def test_a_price_older_than_its_guard_changes_nothing_whatever_it_says(case, far, data):
    books, fees = case
    sources = [Source(f"s{index}", GUARD, fees[index]) for index in range(len(books))]
    old = data.draw(st.integers(0, len(books) - 1))
    stale = book(100_000, time=T0 - GUARD - 1 - data.draw(st.integers(0, 10**12)))
    other = msgspec.structs.replace(book(2_000_000 + far, size=7), time=stale.time)
    one, two = (priced(market(*[*books[:old], changed, *books[old + 1 :]], sources=sources)) for changed in (stale, other))
    assert (one.bid, one.ask, one.mode, one.bid_parts, one.ask_parts) == (two.bid, two.ask, two.mode, two.bid_parts, two.ask_parts)
    assert one.inputs[old].use is Use.STALE


@given(MARKETS, SETTINGS)
def test_the_order_of_sources_does_not_move_the_price(case, settings):
    books, fees = case
    sources = [Source(f"s{index}", GUARD, fees[index]) for index in range(len(books))]
    turned = market(*reversed(books), sources=list(reversed(sources)))
    one, two = priced(market(*books, sources=sources), settings=settings), priced(turned, settings=settings)
    assert (one.bid, one.ask, one.mode, one.reasons) == (two.bid, two.ask, two.mode, two.reasons)


# -- volatility -------------------------------------------------------------------------------------------------------


def test_a_steady_zigzag_is_measured_per_square_root_of_a_second():
    for span in (1, 4):
        volatility = Volatility(half_life_ns=10 * SECOND, sample_ns=SECOND, prior=0.0, floor=0.0, samples_least=10)
        for step in range(400):
            volatility.observe(100_000 if step % 2 else 100_100, T0 + step * span * SECOND)
        assert volatility.sigma == pytest.approx(math.log(100_100 / 100_000) / math.sqrt(span), rel=1e-6)


def test_a_calm_market_halves_its_variance_each_half_life():
    volatility = Volatility(half_life_ns=10 * SECOND, prior=0.001, floor=0.0, samples_least=1)
    for step in range(11):
        volatility.observe(100_000, T0 + step * SECOND)
    assert volatility.sigma == pytest.approx(0.001 / math.sqrt(2))


def test_samples_are_taken_in_log_time_however_often_prices_come():
    seldom, often = Volatility(samples_least=1), Volatility(samples_least=1)
    for step in range(1000):
        now = T0 + step * SECOND // 10
        often.observe(100_000 + step % 7, now)
        if step % 10 == 0:
            seldom.observe(100_000 + step % 7, now)
    assert often.sigma == seldom.sigma


def test_until_enough_is_known_the_prior_stands_and_the_floor_ever_after():
    volatility = Volatility(prior=0.001, floor=0.0005, samples_least=3, half_life_ns=SECOND)
    taken = [volatility.observe(100, T0 + step * SECOND) for step in range(4)]
    assert taken == [False, True, True, True] and volatility.ready
    assert volatility.sigma == 0.0005
    fresh = Volatility(prior=0.001, floor=0.0005, samples_least=3, half_life_ns=SECOND)
    fresh.observe(100, T0), fresh.observe(100, T0 + SECOND)
    assert not fresh.ready and fresh.sigma == 0.001


def test_prices_without_logarithm_time_running_back_and_bad_settings_are_refused():
    volatility = Volatility()
    volatility.observe(100, T0)
    for reference, now in ((0, T0 + 1), (-5, T0 + 1), (100, T0 - 1)):
        with pytest.raises(ValueError):
            volatility.observe(reference, now)
    for wrong in ({"half_life_ns": 0}, {"sample_ns": 0}, {"samples_least": 0}, {"prior": math.nan}, {"floor": 1.0}, {"floor": -1.0}):
        with pytest.raises(ValueError):
            Volatility(**wrong)


# -- the explanation --------------------------------------------------------------------------------------------------


def test_an_explanation_says_inputs_ages_rule_and_time():
    made = market(book(time=T0 - 5), book(), None)
    told = msgspec.json.decode(explanation(priced(made)))
    assert told["version"] == RULE_VERSION and told["priced_at"] == T0 and told["quantity"] == 10
    assert told["inputs"][0] == {"source": "alpha", "price": 100_000 * MICRO, "age_ns": 5, "use": "used"}
    assert [one["use"] for one in told["inputs"]] == ["used", "used", "silent"]
    assert sum(told["ask_parts"].values()) == told["ask"] * MICRO


@pytest.mark.parametrize("spoil", [
    lambda text: b"", lambda text: b"{}", lambda text: text[:-1], lambda text: text.replace(b'"ask":100010', b'"ask":100011'),
    lambda text: text.replace(b'"ask":100010', b'"ask":0'), lambda text: text.replace(b'"mode":1', b'"mode":9'),
])
def test_a_spoilt_explanation_is_refused(spoil):
    text = explanation(priced(three()))
    assert read_explanation(text).ask == 100_010
    with pytest.raises(ValueError):
        read_explanation(spoil(text))


def test_an_explanation_has_a_greatest_size():
    sources = [Source(f"{number}" * 20, GUARD, 0) for number in range(10, 10 + SOURCES_MAX)]
    quote = priced(market(*[book()] * SOURCES_MAX, sources=sources))
    assert len(explanation(quote)) < EXPLANATION_BYTES_MAX
    with pytest.raises(ValueError, match="may be stored"):
        explanation(msgspec.structs.replace(quote, reasons=("x" * EXPLANATION_BYTES_MAX,)))
