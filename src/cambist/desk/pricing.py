"""The desk's price: what we would buy and sell at, and why.

Decides bid, ask, how firm they are, and the parts that explain them. It must not know who asks, how a
quote is sent, or a clock: books, holding, volatility and the time of pricing are handed in.

    price = reference ± half spread ± size + skew ± hedge ± client ± validity, rounded outward to the quote tick

Every part is a whole number of micro-increments (a millionth of a price increment), and the parts of a side sum exactly to its
price. A source is used only while its price is no older than its guard; fewer than two such sources are never firm.
"""

from __future__ import annotations

import enum
import heapq
import math
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import msgspec

from cambist.desk.inventory import Holding
from cambist.messages import Side
from cambist.venues.venue import PPM, BookUpdate, Terms, book_fault

RULE_VERSION = 1  # of the formula below; a stored explanation names the one it was made by
MICRO = 1_000_000  # micro-increments in a price increment
SECOND = 1_000_000_000
SOURCES_MAX = 32
EXPLANATION_BYTES_MAX = 16_384
FIRM_SOURCES_LEAST = 2  # Architecture invariant: no setting makes one source firm


class Mode(enum.IntEnum):
    """The declared steps by which a price degrades. ALL, SUBSET and WIDER are firm."""

    ALL = 1  # every source is fresh and agrees
    SUBSET = 2  # some are not
    WIDER = 3  # firm, at a wider spread
    INDICATIVE = 4  # a view, not an offer
    NONE = 5  # no price

    @property
    def firm(self) -> bool:
        return self <= Mode.WIDER


class Use(enum.StrEnum):
    """What became of a source's price."""

    USED = "used"
    SILENT = "silent"  # nothing was ever heard
    STALE = "stale"  # older than its guard
    FAULTY = "faulty"  # crossed, disordered, or without one side
    OUTLIER = "outlier"  # too far from what most say


class Source(msgspec.Struct, frozen=True):
    """A venue the desk prices from and hedges on. `fee_ppm` is what taking there costs."""

    name: str
    guard_ns: int
    fee_ppm: int


class PricingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the desk prices. Rates in parts per million of the reference, volatility in fractions per square root of a second."""

    base_half_spread_ppm: int = 50
    volatility_multiple: float = 1.0  # half spread in standard deviations over the hedge horizon
    hedge_horizon_ns: int = 1 * SECOND
    validity_multiple: float = 0.4  # a quote that stands is an option given away: at the money its worth is 0.4 sigma sqrt(ttl)
    skew_ppm: int = 100  # shift at a full inventory limit
    beyond_book_ppm: int = 1_000  # what size beyond the visible book costs over its worst level
    covered_least_ppm: int = 500_000  # with less of the size than this in the visible book, the price is indicative
    outlier_ppm: int = 5_000  # a source this far from the median is not believed
    firm_sources_least: int = 2
    wider_below_sources: int = 3  # firm with fewer than this, but wider
    wider_disagreement_ppm: int = 1_000
    wider_volatility: float = 0.000_5
    wider_factor_ppm: int = 2_000_000  # what the half spread is multiplied by when WIDER or INDICATIVE

    def __post_init__(self) -> None:
        for field in self.__struct_fields__:
            value = getattr(self, field)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{field} is {value}; it must be a finite number, not negative")
        if self.firm_sources_least < FIRM_SOURCES_LEAST:
            raise ValueError(f"firm_sources_least is {self.firm_sources_least}; it must be {FIRM_SOURCES_LEAST} or more")
        if self.wider_factor_ppm < PPM:
            raise ValueError(f"wider_factor_ppm is {self.wider_factor_ppm}; wider means {PPM} or more")
        if self.beyond_book_ppm > PPM or self.skew_ppm > PPM:
            raise ValueError(f"beyond_book_ppm {self.beyond_book_ppm} and skew_ppm {self.skew_ppm} must be at most {PPM}")


class Enquiry(msgspec.Struct, frozen=True):
    """What is asked: the client's side (BUY wants our ask, SELL our bid, TWO_WAY both), its size, how long the quote is to stand."""

    side: Side
    quantity: int
    ttl_ns: int
    client_ppm: int = 0  # what this client's past trades cost us

    def __post_init__(self) -> None:
        if self.quantity <= 0:
            raise ValueError(f"an enquiry for {self.quantity} units has no price; its quantity must be above zero")
        if self.ttl_ns < 0 or self.client_ppm < 0:
            raise ValueError(f"ttl_ns is {self.ttl_ns} and client_ppm {self.client_ppm}; neither may be negative")


class Input(msgspec.Struct, frozen=True):
    """A source as it was when priced: its mid in micro-increments (0 if it had none) and age."""

    source: str
    price: int
    age_ns: int
    use: Use


class Parts(msgspec.Struct, frozen=True):
    """What a side's price is made of, in micro-increments, each with the sign it has in the sum."""

    mid: int
    half_spread: int
    size: int
    skew: int
    hedge: int
    client: int
    validity: int
    rounding: int

    @property
    def total(self) -> int:
        return self.mid + self.half_spread + self.size + self.skew + self.hedge + self.client + self.validity + self.rounding


class Priced(msgspec.Struct, frozen=True, kw_only=True):
    """A price with everything that explains it. A side not asked for, or not to be had, is 0 and has no parts."""

    instrument: int
    bid: int
    ask: int
    mode: Mode
    reasons: tuple[str, ...]  # why the mode is not ALL, or a side is missing
    bid_parts: Parts | None
    ask_parts: Parts | None
    inputs: tuple[Input, ...]
    side: Side
    quantity: int
    ttl_ns: int
    volatility: float
    position: int
    version: int
    priced_at: int


# -- the price --------------------------------------------------------------------------------------------------------


def price(
    market: Market, terms: Terms, volatility: Volatility, holding: Holding, enquiry: Enquiry, settings: PricingSettings, now: int
) -> Priced:
    """The desk's price at `now`. It always answers: where no price is to be had the mode says NONE and the reasons why."""
    if not market.instrument == terms.number == holding.instrument:
        named = f"market {market.instrument}, terms {terms.number} and holding {holding.instrument}"
        raise ValueError(f"{named} are not of one instrument: a price needs all three of the same")
    seen = market.consolidated(now, settings)
    sigma = volatility.sigma
    walks = {side: _walk(seen.levels(side), enquiry.quantity, side, settings) for side in _sides_given(enquiry.side)} if seen.mid > 0 else {}
    mode, reasons = _mode(seen, volatility, walks, enquiry.quantity, settings)
    parts: dict[Side, Parts] = {}
    if mode is not Mode.NONE:
        parts = {side: _parts(side, seen.mid, walk, sigma, holding, enquiry, settings, mode, terms) for side, walk in walks.items()}
        parts = _uncrossed(parts, terms)
    if out := [f"{side.name.lower()}_out_of_range" for side, one in parts.items() if not _in_range(one.total // MICRO, terms)]:
        mode, reasons, parts = Mode.NONE, (*reasons, *out), {}
    bid, ask = parts.get(Side.BUY), parts.get(Side.SELL)
    return Priced(
        instrument=terms.number, bid=bid.total // MICRO if bid else 0, ask=ask.total // MICRO if ask else 0, mode=mode, reasons=reasons,
        bid_parts=bid, ask_parts=ask, inputs=seen.inputs, side=enquiry.side, quantity=enquiry.quantity, ttl_ns=enquiry.ttl_ns,
        volatility=sigma, position=holding.position, version=RULE_VERSION, priced_at=now,
    )


def _sides_given(asked: Side) -> tuple[Side, ...]:
    """Our sides for the client's: who wants to buy is given our ask, the price we SELL at."""
    return {Side.BUY: (Side.SELL,), Side.SELL: (Side.BUY,), Side.TWO_WAY: (Side.BUY, Side.SELL)}[asked]


def _mode(seen: Consolidated, volatility: Volatility, walks: dict[Side, _Walk], quantity: int, settings: PricingSettings) -> tuple[Mode, tuple[str, ...]]:
    """The first declared step that no reason forbids, with every reason against a better one."""
    used = len(seen.used)
    found: list[tuple[Mode, str]] = []
    if seen.mid <= 0:
        found.append((Mode.NONE, "no_usable_source" if not used else "reference_not_positive"))
    if 0 < used < settings.firm_sources_least: found.append((Mode.INDICATIVE, "too_few_sources"))
    if seen.contradicted: found.append((Mode.INDICATIVE, "sources_contradict"))
    for side, walk in walks.items():
        if walk.covered * PPM < quantity * settings.covered_least_ppm: found.append((Mode.INDICATIVE, f"{side.name.lower()}_size_beyond_book"))
        elif walk.covered < quantity: found.append((Mode.WIDER, f"{side.name.lower()}_size_beyond_book"))
    if used < settings.wider_below_sources: found.append((Mode.WIDER, "few_sources"))
    if seen.disagreement_ppm > settings.wider_disagreement_ppm: found.append((Mode.WIDER, "sources_disagree"))
    if volatility.sigma > settings.wider_volatility: found.append((Mode.WIDER, "volatile"))
    if not volatility.ready: found.append((Mode.WIDER, "volatility_unknown"))
    if used < len(seen.inputs): found.append((Mode.SUBSET, "sources_left_out"))
    return max((mode for mode, _ in found), default=Mode.ALL), tuple(dict.fromkeys(reason for _, reason in found))


def _parts(
    side: Side, mid: int, walk: _Walk, sigma: float, holding: Holding, enquiry: Enquiry, settings: PricingSettings, mode: Mode, terms: Terms
) -> Parts:
    """One side of ours. Charges are amounts with the sign that is against the client.

    Walking the book costs no less than nothing: where sources cross one another, the gain goes to `size` up to what offsets
    the fees, and the rest is not given away.
    """
    away = 1 if side == Side.SELL else -1
    widened = settings.wider_factor_ppm if mode >= Mode.WIDER else PPM
    spread = _ceil_div(mid * settings.base_half_spread_ppm, PPM) + _risk(mid, sigma, settings.volatility_multiple, settings.hedge_horizon_ns)
    parts = Parts(
        mid=mid,
        half_spread=away * _ceil_div(spread * widened, PPM),
        size=away * (max(0, away * (walk.paid - mid)) - walk.fee),
        skew=-mid * settings.skew_ppm * holding.deviation_ppm // (PPM * PPM),
        hedge=away * walk.fee,
        client=away * _ceil_div(mid * enquiry.client_ppm, PPM),
        validity=away * _risk(mid, sigma, settings.validity_multiple, enquiry.ttl_ns),
        rounding=0,
    )
    tick = terms.quote_tick * MICRO
    outward = away * _ceil_div(away * parts.total, tick) * tick
    return msgspec.structs.replace(parts, rounding=outward - parts.total)


def _risk(mid: int, sigma: float, multiple: float, span_ns: int) -> int:
    """So many standard deviations over a span, in micro-increments, rounded up."""
    return math.ceil(mid * sigma * multiple * math.sqrt(span_ns / SECOND))


def _uncrossed(parts: dict[Side, Parts], terms: Terms) -> dict[Side, Parts]:
    """Bid below ask: where every charge is zero and the reference on the tick they would meet, and the ask goes up a tick."""
    if len(parts) == 2 and parts[Side.BUY].total >= parts[Side.SELL].total:
        ask = parts[Side.SELL]
        up = parts[Side.BUY].total - ask.total + terms.quote_tick * MICRO
        parts = parts | {Side.SELL: msgspec.structs.replace(ask, rounding=ask.rounding + up)}
    return parts


def _in_range(price_: int, terms: Terms) -> bool:
    return price_ > 0 and terms.min_price <= price_ <= terms.max_price


def _ceil_div(number: int, by: int) -> int:
    return -(-number // by)


# -- walking the real book --------------------------------------------------------------------------------------------


class _Walk(msgspec.Struct, frozen=True):
    """What hedging the whole size would cost a unit, fees included (`paid`), the fees in it, and how much the book covered."""

    paid: int
    fee: int
    covered: int


def _walk(levels: Iterator[_Level], quantity: int, side: Side, settings: PricingSettings) -> _Walk:
    """Hedge a trade on our `side` through the levels it would be hedged on, cheapest first; what they lack costs the worst and more."""
    away = 1 if side == Side.SELL else -1
    left, paid, fees, cost, fee = quantity, 0, 0, 0, 0
    for rank, fee, available in levels:
        taken, cost = min(left, available), away * rank
        left, paid, fees = left - taken, paid + taken * cost, fees + taken * fee
        if not left:
            break
    if left:
        beyond = _ceil_div(abs(cost) * settings.beyond_book_ppm, PPM)
        paid, fees = paid + left * (cost + away * beyond), fees + left * fee
    return _Walk(paid=away * _ceil_div(away * paid, quantity), fee=_ceil_div(fees, quantity), covered=quantity - left)


# -- the market: what the sources say ---------------------------------------------------------------------------------


class _Heard(msgspec.Struct):
    book: BookUpdate
    sound: bool  # two sides, in order, not crossed
    since: int  # when its price was true: the venue's time, or when we heard it if the venue's clock is ahead


class Consolidated(msgspec.Struct, frozen=True):
    """The sources at one moment: which are used, their median mid (0 if none), their books and fees."""

    inputs: tuple[Input, ...]
    used: tuple[tuple[BookUpdate, int], ...]
    mid: int
    disagreement_ppm: int
    contradicted: bool

    def levels(self, side: Side) -> Iterator[_Level]:
        """Where a trade on our `side` would be hedged, cheapest first: what we sell is bought from the asks, what we buy sold to the bids."""
        return heapq.merge(*(_net_levels(book, fee_ppm, side) for book, fee_ppm in self.used))


_Level: TypeAlias = tuple[int, int, int]  # a unit's cost after fees (negated for our buys, so that cheaper sorts first), the fee in it, quantity


def _net_levels(book: BookUpdate, fee_ppm: int, side: Side) -> Iterator[_Level]:
    away = 1 if side == Side.SELL else -1
    for price_, quantity in book.asks if side == Side.SELL else book.bids:
        fee = abs(price_) * fee_ppm
        yield away * price_ * MICRO + fee, fee, quantity


class Market:
    """The newest book of each source of one instrument. A price older than its guard is never used."""

    def __init__(self, instrument: int, sources: Sequence[Source]) -> None:
        if not 1 <= len(sources) <= SOURCES_MAX or len({source.name for source in sources}) != len(sources):
            raise ValueError(f"instrument {instrument} has {len(sources)} sources; name 1 to {SOURCES_MAX}, each once")
        for source in sources:
            if source.guard_ns <= 0:
                raise ValueError(f"source {source.name} has a guard of {source.guard_ns} ns; it must be above zero")
            if abs(source.fee_ppm) >= PPM:
                raise ValueError(f"source {source.name} has a fee of {source.fee_ppm} ppm; it must be less than {PPM} either way")
        self.instrument = instrument
        self.sources = tuple(sources)
        self._heard: dict[str, _Heard] = {}
        self._names = frozenset(source.name for source in sources)
        self._now = 0

    def hear(self, source: str, update: BookUpdate, now: int) -> bool:
        """Keep a source's book. False if it is older than the one kept (it came late) and was passed over."""
        if source not in self._names or update.instrument != self.instrument:
            wrong = f"a book of instrument {update.instrument} from {source!r}"
            raise ValueError(f"{wrong} is not of this market: instrument {self.instrument} from {', '.join(sorted(self._names))}")
        self._advance(now)
        kept = self._heard.get(source)
        if kept is not None and update.time < kept.book.time:
            return False
        self._heard[source] = _Heard(update, bool(update.bids and update.asks) and book_fault(update) is None, min(update.time, now))
        return True

    def consolidated(self, now: int, settings: PricingSettings) -> Consolidated:
        self._advance(now)
        inputs, usable = [], []
        for source in self.sources:
            one, book = self._input(source, now)
            inputs.append(one)
            if book is not None:
                usable.append((one, book, source.fee_ppm))
        mid = _median([one.price for one, _, _ in usable])
        if len(usable) > 2:
            far = {one.source for one, _, _ in usable if abs(one.price - mid) * PPM > settings.outlier_ppm * abs(mid)}
            inputs = [msgspec.structs.replace(one, use=Use.OUTLIER) if one.source in far else one for one in inputs]
            usable = [each for each in usable if each[0].source not in far]
            mid = _median([one.price for one, _, _ in usable])
        mids = [one.price for one, _, _ in usable]
        apart = _ceil_div((max(mids) - min(mids)) * PPM, abs(mid)) if mids and mid else 0
        used = tuple((book, fee_ppm) for _, book, fee_ppm in usable)
        return Consolidated(tuple(inputs), used, mid, apart, contradicted=len(used) > 1 and apart > 2 * settings.outlier_ppm)

    def _input(self, source: Source, now: int) -> tuple[Input, BookUpdate | None]:
        heard = self._heard.get(source.name)
        if heard is None:
            return Input(source.name, 0, 0, Use.SILENT), None
        age, book = now - heard.since, heard.book
        if not heard.sound:
            return Input(source.name, 0, age, Use.FAULTY), None
        mid = (book.bids[0][0] + book.asks[0][0]) * MICRO // 2
        if age > source.guard_ns:
            return Input(source.name, mid, age, Use.STALE), None
        return Input(source.name, mid, age, Use.USED), book

    def _advance(self, now: int) -> None:
        if now < self._now:
            raise ValueError(f"the market of instrument {self.instrument} was taken back to {now} from {self._now}: log time never runs backwards")
        self._now = now


def _median(mids: Sequence[int]) -> int:
    if not mids:
        return 0
    ordered = sorted(mids)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) // 2


# -- realised volatility ----------------------------------------------------------------------------------------------


class Volatility:
    """Exponentially weighted squared log returns per second, sampled in log time.

    Until `samples_least` returns are known the greater of the estimate and the `prior` stands. `sigma` is a fraction per square
    root of a second: 0.0001 is about 56 % a year.
    """

    def __init__(self, *, half_life_ns: int = 300 * SECOND, sample_ns: int = SECOND, prior: float = 0.000_1, floor: float = 0.000_01,
                 samples_least: int = 30) -> None:
        if half_life_ns <= 0 or sample_ns <= 0 or samples_least < 1:
            raise ValueError(f"half_life_ns {half_life_ns}, sample_ns {sample_ns} and samples_least {samples_least} must be above zero")
        if not (math.isfinite(prior) and math.isfinite(floor) and prior >= floor >= 0):
            raise ValueError(f"prior {prior} and floor {floor} must be finite, the floor not negative and the prior not below it")
        self._half_life_ns, self._sample_ns, self._least = half_life_ns, sample_ns, samples_least
        self._prior, self._floor = prior, floor
        self._variance = prior * prior
        self._price = self._at = self._samples = 0

    @property
    def ready(self) -> bool:
        return self._samples >= self._least

    @property
    def sigma(self) -> float:
        known = math.sqrt(self._variance)
        return max(known, self._floor) if self.ready else max(known, self._prior)

    def observe(self, reference: int, now: int) -> bool:
        """Take a reference price (any unit, always the same). True if it became a sample: one is taken each `sample_ns`."""
        if reference <= 0:
            raise ValueError(f"a reference of {reference} has no logarithm; observe only prices above zero")
        if self._price == 0:
            self._price, self._at = reference, now
            return False
        span = now - self._at
        if span < 0:
            raise ValueError(f"volatility was taken back to {now} from {self._at}: log time never runs backwards")
        if span < self._sample_ns:
            return False
        change = math.log(reference / self._price)
        weight = 1.0 - math.exp(-math.log(2.0) * span / self._half_life_ns)
        self._variance += weight * (change * change * SECOND / span - self._variance)
        self._price, self._at, self._samples = reference, now, self._samples + 1
        return True


# -- the explanation --------------------------------------------------------------------------------------------------


def explanation(priced: Priced) -> bytes:
    """The price with its inputs and parts, as JSON to be stored with the quote."""
    text = msgspec.json.encode(priced)
    if len(text) > EXPLANATION_BYTES_MAX:
        raise ValueError(f"an explanation of {len(text)} bytes is above the {EXPLANATION_BYTES_MAX} that may be stored")
    return text


def read_explanation(text: bytes) -> Priced:
    """The price an explanation is of. Raises ValueError where it is not one, or its parts do not sum to its price."""
    try:
        priced = msgspec.json.decode(text, type=Priced)
    except msgspec.DecodeError as wrong:
        raise ValueError(f"this is not an explanation of a price: {wrong}") from None
    for word, price_, parts in (("bid", priced.bid, priced.bid_parts), ("ask", priced.ask, priced.ask_parts)):
        if price_ * MICRO != (parts.total if parts else 0):
            raise ValueError(f"the parts of the {word} sum to {parts.total if parts else 0}, not to its price {price_} x {MICRO}")
    return priced
