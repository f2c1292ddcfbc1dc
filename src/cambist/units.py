"""Integers with a unit: the only legal products of money outside the compiled kernel, the only rounding, and the only way from text to integer and back.

Decides what a decimal, a price and a duration look like as text, and how quantity, price and fee multiply. It must not know any asset, instrument or
account: digits, increments and fractions are handed in. Nothing here is a float, and whatever leaves +-MAX_AMOUNT is an error, never a wrapped number.

| product | unit |
|---|---|
| quantity x price x num / den | amount, in units of the quote asset |
| amount x ppm / 1,000,000 | fee, in the unit of the amount |
"""
import re
from enum import Enum
from typing import NewType

from cambist.messages import MAX_AMOUNT

Quantity = NewType("Quantity", int)             # base-asset units, 10^-digits
Price = NewType("Price", int)                   # price increments of the instrument
Amount = NewType("Amount", int)                 # units of the asset it is paid in
Nanoseconds = NewType("Nanoseconds", int)

PPM = 1_000_000
MAX_DIGITS = 18
MAX_TEXT = 64                                   # characters of a decimal or a duration; a longer one is no number a person wrote
MAX_DURATION = 10**18                           # 31 years, the longest window a cell takes
DURATIONS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3_600 * 10**9, "d": 86_400 * 10**9}


class Rounding(Enum):
    DOWN = "down"                               # toward minus infinity
    UP = "up"                                   # toward plus infinity


DOWN, UP = Rounding.DOWN, Rounding.UP


class UnitError(ValueError):
    """A text or a product that is no integer of its unit: says what was wrong and what would be right."""


class OutOfRange(UnitError):
    """A result beyond +-MAX_AMOUNT."""


def multiply_divide(a: int, b: int, c: int, rounding: Rounding) -> int:
    """a*b/c exactly, rounded once the named way. Raises OutOfRange beyond +-MAX_AMOUNT, UnitError when c < 1."""
    if c < 1:
        raise UnitError(f"cannot divide by {c}: a denominator is at least 1")
    product = a * b
    return in_range(product // c if rounding is DOWN else -(-product // c))


def amount(quantity: int, price: int, num: int, den: int, rounding: Rounding) -> Amount:
    """Quote-asset units of quantity (base units) at price (increments), with the instrument's amount_num/amount_den; rounded once."""
    return Amount(multiply_divide(quantity, price * num, den, rounding))


def fee(amount: int, ppm: int, rounding: Rounding) -> Amount:
    """ppm millionths of an amount, in its unit."""
    if not 0 <= ppm <= PPM:
        raise UnitError(f"a fee of {ppm} ppm is not between 0 and {PPM:,}")
    return Amount(multiply_divide(amount, ppm, PPM, rounding))


def in_range(value: int) -> int:
    """The value itself. Raises OutOfRange beyond +-MAX_AMOUNT."""
    if not -MAX_AMOUNT <= value <= MAX_AMOUNT:
        raise OutOfRange(f"{value} is beyond the largest amount, {MAX_AMOUNT:,}")
    return value


# ------------------------------------------------------------------------------------------------------------ decimals
_DECIMAL = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
_NEGATIVE = re.compile(r"-[0-9]+(?:\.[0-9]+)?")
_NON_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_EXPONENT = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?[eE][+-]?[0-9]+")


def parse_units(text: str, digits: int) -> int:
    """Whole units of 10^-digits in a decimal such as "1.25": exact, 0 to MAX_AMOUNT. Zeros beyond the digits are let through, as nothing is lost."""
    whole, fraction = _parts(text)
    kept = fraction.rstrip("0")
    if len(kept) > digits:
        nearest = whole + (f".{fraction[:digits]}" if digits else "")
        raise UnitError(f"{text} has {len(kept)} decimals and at most {digits} {'is' if digits == 1 else 'are'} possible, as in {nearest}")
    value = int(whole + kept.ljust(digits, "0"))
    if value > MAX_AMOUNT:
        raise OutOfRange(f"{text} is too large: at most {format_units(MAX_AMOUNT, digits)} fits with {digits} decimals")
    return value


def format_units(value: int, digits: int) -> str:
    """The decimal of a whole number of units, with all its digits: format_units(125, 2) is "1.25". parse_units reads it back."""
    if not 0 <= digits <= MAX_DIGITS:
        raise UnitError(f"{digits} digits: a unit has 0 to {MAX_DIGITS}")
    text = str(abs(value)).rjust(digits + 1, "0")
    return ("-" if value < 0 else "") + (f"{text[:-digits]}.{text[-digits:]}" if digits else text)


def decimals(text: str) -> int:
    """How many decimals a decimal needs: "0.50" needs 1."""
    return len(_parts(text)[1].rstrip("0"))


def parse_price(text: str, increment: str) -> Price:
    """How many price increments a decimal price is. Raises UnitError when it is not a whole number of them."""
    digits, step = _step(increment)
    needed = decimals(text)
    value = parse_units(text, max(digits, needed) if needed <= MAX_DIGITS else digits)
    step *= 10 ** max(0, needed - digits)
    if value % step:
        below = value // step
        raise UnitError(f"{text} is not a whole number of {increment}: {format_price(below, increment)} or {format_price(below + 1, increment)} is")
    return Price(value // step)


def format_price(price: int, increment: str) -> str:
    """The decimal of a price in increments, with the decimals of the increment; parse_price reads it back."""
    digits, step = _step(increment)
    return format_units(price * step, digits)


def _step(increment: str) -> tuple[int, int]:
    digits = decimals(increment)
    step = parse_units(increment, min(digits, MAX_DIGITS))
    if step < 1:
        raise UnitError(f"a price increment of {increment} is not above zero")
    return digits, step


def _parts(text: str) -> tuple[str, str]:
    """The digits before and after the point, or a UnitError that names the kind of mistake."""
    if not isinstance(text, str):
        raise UnitError(f'{text!r} is a {type(text).__name__}: a decimal is written as text, as in "1.25", so that no digit is lost')
    if len(text) > MAX_TEXT:
        raise UnitError(f"{text[:16]}... has {len(text)} characters: a decimal has at most {MAX_TEXT}")
    if found := _DECIMAL.fullmatch(text):
        return found[1], found[2] or ""
    if _NEGATIVE.fullmatch(text):
        raise UnitError(f"{text} is negative: it must be 0 or more")
    if _NON_FINITE.fullmatch(text):
        raise UnitError(f'{text} is not finite: write a number such as "1.25"')
    if _EXPONENT.fullmatch(text):
        raise UnitError(f'{text} has an exponent: write all its digits, as in "1250"')
    raise UnitError(f'{text!r} is not a decimal: write digits and at most one point, as in "1.25"')


# ----------------------------------------------------------------------------------------------------------- durations
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)([a-z]+)")


def parse_duration(text: str) -> Nanoseconds:
    """Nanoseconds of a duration such as "250ms", "1.5s", "2m". Raises UnitError, also for a part of a nanosecond."""
    wanted = 'write a number and one of ns, us, ms, s, m, h, d, as in "250ms"'
    if not isinstance(text, str):
        raise UnitError(f"{text!r} has no unit of time: {wanted}")
    found = _DURATION.fullmatch(text) if len(text) <= MAX_TEXT else None
    if found is None or found[2] not in DURATIONS:
        raise UnitError(f"{text[:MAX_TEXT]!r} is {'negative' if text.startswith('-') else 'not a duration'}: {wanted}")
    whole, fraction = _parts(found[1])
    value, rest = divmod(int(whole + fraction) * DURATIONS[found[2]], 10 ** len(fraction))
    if rest:
        raise UnitError(f"{text} is not a whole number of nanoseconds: {value}ns is")
    if value > MAX_DURATION:
        raise OutOfRange(f"{text} is too long: at most {format_duration(MAX_DURATION)}")
    return Nanoseconds(value)


def format_duration(value: int) -> str:
    """A duration in the largest unit that holds it whole: 90_000_000_000 is "90s". parse_duration reads it back."""
    unit = next(u for u in reversed(DURATIONS) if value % DURATIONS[u] == 0 and (value or u == "s"))
    return f"{value // DURATIONS[unit]}{unit}"
