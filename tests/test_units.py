"""Products of money are exact and rounded once; text and integers are two forms of one number."""
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given, strategies as st

from cambist.messages import MAX_AMOUNT
from cambist.units import (
    DOWN, DURATIONS, MAX_DIGITS, MAX_DURATION, MAX_TEXT, PPM, UP, OutOfRange, UnitError, amount, decimals, fee, format_duration, format_price, format_units,
    multiply_divide, parse_duration, parse_price, parse_units,
)

signed = st.integers(-MAX_AMOUNT, MAX_AMOUNT)
money = st.integers(0, MAX_AMOUNT)
digits = st.integers(0, MAX_DIGITS)


@given(signed, signed, st.integers(1, MAX_AMOUNT), st.sampled_from([DOWN, UP]))
def test_a_product_is_exact_rounded_the_named_way_or_out_of_range(a, b, c, rounding):
    exact = (floor if rounding is DOWN else ceil)(Fraction(a * b, c))
    if abs(exact) <= MAX_AMOUNT:
        assert multiply_divide(a, b, c, rounding) == exact
    else:
        with pytest.raises(OutOfRange):
            multiply_divide(a, b, c, rounding)


@given(signed, signed, st.integers(-3, 0))
def test_a_denominator_below_one_is_refused(a, b, c):
    with pytest.raises(UnitError, match="denominator"):
        multiply_divide(a, b, c, DOWN)


@given(st.integers(0, 10**12), st.integers(0, 10**9), st.integers(1, 100), st.integers(1, 10**12))
def test_up_and_down_differ_by_at_most_one_unit(quantity, price, num, den):
    try:
        low, high = amount(quantity, price, num, den, DOWN), amount(quantity, price, num, den, UP)
    except OutOfRange:
        return
    assert 0 <= high - low <= 1 and low * den <= quantity * price * num <= high * den


def test_an_amount_is_rounded_once():
    assert amount(3, 1, 1, 2, DOWN) == 1 and amount(3, 1, 1, 2, UP) == 2
    assert amount(10_000, 460_000, 1, 1_000, UP) == 4_600_000           # 0.0001 BTC at 46,000.0 is 4.60 USD


@given(money, st.integers(0, PPM))
def test_a_fee_never_exceeds_its_amount(value, ppm):
    assert 0 <= fee(value, ppm, DOWN) <= fee(value, ppm, UP) <= value


@pytest.mark.parametrize("ppm", [-1, PPM + 1])
def test_a_fee_outside_its_range_is_refused(ppm):
    with pytest.raises(UnitError, match="ppm"):
        fee(1, ppm, DOWN)


@given(money, digits)
def test_units_survive_text(value, places):
    assert parse_units(format_units(value, places), places) == value


@given(signed, digits)
def test_formatting_is_exact_also_below_zero(value, places):
    assert Fraction(format_units(value, places)) == Fraction(value, 10**places)


def test_zeros_beyond_the_digits_are_let_through():
    assert parse_units("1.2500", 2) == 125 and parse_units("0.0", 0) == 0 and parse_units("007", 0) == 7


@pytest.mark.parametrize(("text", "places", "told"), [
    ("1.255", 2, r"3 decimals and at most 2 are possible, as in 1\.25"), ("0.5", 0, "at most 0 are possible, as in 0"), ("1.25", 1, "at most 1 is possible"),
    ("-1", 2, "negative: it must be 0 or more"), ("-0.1", 2, "negative"), ("nan", 2, "not finite"), ("-inf", 2, "not finite"), ("Infinity", 2, "not finite"),
    ("1e3", 2, "exponent"), ("", 2, "not a decimal"), (".5", 2, "not a decimal"), ("5.", 2, "not a decimal"), ("1,000", 2, "not a decimal"),
    (" 1", 2, "not a decimal"),
    ("1_000", 2, "not a decimal"), ("١", 2, "not a decimal"), ("1\n", 2, "not a decimal"), ("+1", 2, "not a decimal"), ("0x10", 2, "not a decimal"),
    ("--1", 2, "not a decimal"),
    (str(MAX_AMOUNT + 1), 0, "too large: at most"), ("5000000000000", 6, "too large"), ("1" * (MAX_TEXT + 1), 0, "characters"),
    (1.25, 2, "float: a decimal is written as text"),
    (None, 2, "NoneType"),
])
def test_what_is_no_decimal_is_refused_by_name(text, places, told):
    with pytest.raises(UnitError, match=told):
        parse_units(text, places)


def test_the_largest_amount_is_read():
    assert parse_units(str(MAX_AMOUNT), 0) == MAX_AMOUNT and parse_units(format_units(MAX_AMOUNT, 18), 18) == MAX_AMOUNT


@given(st.text(max_size=80), digits)
def test_any_text_is_a_number_or_a_unit_error(text, places):
    for parse in (lambda: parse_units(text, places), lambda: parse_price(text, "0.5"), lambda: parse_price("1.5", text), lambda: parse_duration(text)):
        try:
            assert 0 <= parse()
        except UnitError as error:
            assert str(error)


@given(st.integers(0, 10**12), st.sampled_from(["1", "0.5", "0.0001", "0.25", "5", "0.10", "10"]))
def test_prices_survive_text(price, increment):
    assert parse_price(format_price(price, increment), increment) == price


def test_a_price_off_its_increment_names_its_neighbours():
    with pytest.raises(UnitError, match=r"46000\.3 is not a whole number of 0\.5: 46000\.0 or 46000\.5 is"):
        parse_price("46000.3", "0.5")
    with pytest.raises(UnitError, match=r"1\.23456 is not a whole number of 0\.0001: 1\.2345 or 1\.2346 is"):
        parse_price("1.23456", "0.0001")
    with pytest.raises(UnitError, match="not above zero"):
        parse_price("1", "0.0")
    assert decimals("0.50") == 1


@given(st.integers(0, MAX_DURATION))
def test_durations_survive_text(value):
    assert parse_duration(format_duration(value)) == value


@pytest.mark.parametrize(("text", "value"), [
    ("250ms", 250_000_000), ("5s", 5 * 10**9), ("2m", 120 * 10**9), ("1.5s", 1_500_000_000), ("0s", 0), ("1d", 86_400 * 10**9), ("0.5us", 500)])
def test_durations_are_read(text, value):
    assert parse_duration(text) == value


@pytest.mark.parametrize(("text", "told"), [
    ("250", "not a duration"), ("ms", "not a duration"), ("-5s", "negative"), ("5 s", "not a duration"), ("5w", "not a duration"),
    ("0.5ns", "whole number of nanoseconds"),
    ("400000d", "too long"), (5, "no unit of time"), ("9" * 70 + "s", "not a duration"),
])
def test_what_is_no_duration_is_refused_by_name(text, told):
    with pytest.raises(UnitError, match=told):
        parse_duration(text)


def test_every_unit_of_time_is_formatted_with_itself():
    assert [format_duration(v) for v in DURATIONS.values()] == [f"1{u}" for u in DURATIONS] and format_duration(0) == "0s"


def test_a_unit_with_too_many_digits_is_refused():
    with pytest.raises(UnitError, match="0 to 18"):
        format_units(1, MAX_DIGITS + 1)
