"""The parts of a price, as they were stored with the quote: what it is made of, from which sources, and how old they were.

Decides how an explanation is shown. It must not know how a price is made: it reads the JSON the desk's engine attached, and an attachment that is none of
those is no price, never an error.
"""
from typing import NamedTuple

import msgspec

from cambist.dictionary import Dictionary, Listed
from cambist.ops.wording import grouped, span
from cambist.units import MAX_DIGITS, decimals, format_units, parse_units

PARTS = {"mid": "mid of the sources", "half_spread": "half spread", "size": "size in the book", "skew": "inventory skew", "hedge": "hedge cost",
         "client": "this client's past", "validity": "time it stands", "rounding": "rounding to the tick"}
MODES = {1: "all sources", 2: "a subset of the sources", 3: "wider", 4: "indicative only", 5: "no price"}
SHOWN_DECIMALS = 2                              # beyond those of a price


class _Parts(msgspec.Struct, frozen=True):
    mid: int
    half_spread: int
    size: int
    skew: int
    hedge: int
    client: int
    validity: int
    rounding: int


class _Input(msgspec.Struct, frozen=True):
    source: str
    price: int
    age_ns: int
    use: str


class _Priced(msgspec.Struct, frozen=True):
    """What this page reads of an explanation; more may be in it."""
    instrument: int
    bid: int
    ask: int
    mode: int
    reasons: tuple[str, ...]
    bid_parts: _Parts | None
    ask_parts: _Parts | None
    inputs: tuple[_Input, ...]
    side: int
    quantity: int
    ttl_ns: int
    volatility: float
    position: int
    version: int
    priced_at: int


class Part(NamedTuple):
    """One line of the sum: its name, what it adds to the bid and to the ask, and basis points of the mid."""
    name: str
    label: str
    bid: str
    ask: str
    bid_points: str
    ask_points: str


class Used(NamedTuple):
    source: str
    price: str
    age: str
    use: str


class PriceParts(NamedTuple):
    """A price with everything that explains it, in words. bid or ask "" where that side was not given."""
    bid: str
    ask: str
    bid_price: int
    ask_price: int
    mode: str
    firm: bool
    reasons: tuple[str, ...]
    parts: tuple[Part, ...]
    inputs: tuple[Used, ...]
    position: str
    volatility: str
    stands: str
    priced_at: int
    version: int


def read_parts(attachment: str | bytes | None, words: Dictionary) -> PriceParts | None:
    """The parts in an attachment, or None where it explains no price of an instrument there is."""
    try:
        priced = msgspec.json.decode(attachment or b"", type=_Priced)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    about = words.listed_by_number(priced.instrument)
    if about is None:
        return None
    bid, ask = priced.bid_parts, priced.ask_parts
    parts = tuple(Part(name, label, *(_micro(getattr(side, name), about, name != "mid") if side else "" for side in (bid, ask)),
                       *(_points(getattr(side, name), side.mid) if side and name != "mid" else "" for side in (bid, ask))) for name, label in PARTS.items())
    inputs = tuple(Used(one.source, _micro(one.price, about) if one.price else "none", span(one.age_ns) if one.use != "silent" else "never heard", one.use)
                   for one in priced.inputs)
    given = [grouped(words.price_out(price, about)) if price else "" for price in (priced.bid, priced.ask)]
    return PriceParts(
        given[0], given[1], priced.bid, priced.ask, MODES.get(priced.mode, str(priced.mode)), priced.mode <= 3,
        tuple(r.replace("_", " ") for r in priced.reasons), parts if bid or ask else (), inputs, words.quantity_out(priced.position, about),
        f"{priced.volatility * 10_000:.2f} bp per root second", span(priced.ttl_ns), priced.priced_at, priced.version)


def _micro(value: int, about: Listed, signed: bool = False) -> str:
    """Micro-increments as a decimal with two decimals more than a price, rounded half away from zero; "+" where it is a charge upward."""
    increment = about.terms.price_increment
    digits = decimals(increment)
    whole = value * parse_units(increment, min(digits, MAX_DIGITS))
    drop = 10 ** (6 - SHOWN_DECIMALS)
    rounded = (abs(whole) + drop // 2) // drop * (-1 if whole < 0 else 1)
    text = grouped(format_units(rounded, digits + SHOWN_DECIMALS))
    return f"+{text}" if signed and rounded > 0 else text


def _points(value: int, mid: int) -> str:
    """Basis points of the mid, to a hundredth."""
    if not mid:
        return ""
    hundredths = (abs(value) * 1_000_000 + abs(mid) // 2) // abs(mid)
    sign = "" if not hundredths else "-" if (value < 0) != (mid < 0) else "+"
    return f"{sign}{format_units(hundredths, 2)}"
