"""Quoting: which requests the desk answers, at what moment, and when a quote no longer stands.

Decides when a price becomes a QUOTE, when it is replaced or withdrawn, and when a person is asked. It must not know how a price is made (`pricing.py`), who
the client is, a socket or a clock: it hears the events of the desk's own account and the venues' books, and answers with commands.

    invited -> priced -> quoted -> replaced | withdrawn | lapsed -> ended
                 |-> a person is asked -> approved -> quoted

Architecture invariant: nothing is quoted but a price made in the same step, from sources no older than their guard.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import msgspec
import numpy as np

from cambist import design as designs
from cambist.desk.execution import Elapsed
from cambist.desk.inventory import Aim, Inventory, Traded
from cambist.desk.pricing import FIRM_SOURCES_LEAST, Enquiry, Market, Priced, PricingSettings, Source, Volatility, explanation, price
from cambist.door.client import attach
from cambist.messages import NAMES_ACCOUNT, Event, Kind, Liquidity, Reason, Side, command
from cambist.sections import Design
from cambist.venues.venue import PPM, BookUpdate, Terms

OPEN_MOST = 4_096                               # requests being looked at; a further one is left to the other dealers
PARCEL_BYTES = 40_000                           # of explanations in one SUBMIT; the door takes 64 KiB
Told: TypeAlias = np.void | Mapping[str, Any]   # one EVENT row
OVER = {Reason.UNKNOWN_REQUEST, Reason.REQUEST_CLOSED, Reason.OWN_REQUEST, Reason.NOT_A_DEALER, Reason.NOT_ALLOWED}    # no other quote would be taken either


# ------------------------------------------------------------------------------------------------------ what it hears and answers
class Heard(msgspec.Struct, frozen=True):
    """A venue's book, under the name the market knows the source by."""
    source: str
    book: BookUpdate


class Outgoing(NamedTuple):
    """One command, and the bytes that are to be logged with it."""
    record: np.ndarray
    attachment: bytes | None = None


class NeedsPerson(msgspec.Struct, frozen=True):
    """A request above what the engine may quote by itself: its own price, to be approved, changed or passed on before `deadline`. Told anew when it moves."""
    request: int
    instrument: int
    side: Side
    quantity: int
    priced: Priced
    deadline: int


class Unquoted(msgspec.Struct, frozen=True):
    """Why a request has no quote of ours now. It may get one later while it stands."""
    request: int
    reasons: tuple[str, ...]


class RequestOver(msgspec.Struct, frozen=True):
    """A request that a person was asked about needs no answer any more."""
    request: int
    reason: Reason


Effect: TypeAlias = NeedsPerson | Unquoted | RequestOver


class QuoterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the desk answers. By instrument: how it is priced, and the largest amount (quote-asset units) quoted without a person; not named: always a person."""
    pricing: dict[int, PricingSettings]
    auto_most: dict[int, int]
    ttl_ns: int
    requote_ppm: int = 75                       # a quote further than this from today's price is replaced
    overrun_ppm: int = 500                      # what a person was shown, or quoted, is void when the engine's price has gone further than this
    retry_ns: int = 250_000_000                 # after a refusal
    attempts_most: int = 5                      # refusals of one request before it is left alone
    volatility_ns: int = 60_000_000_000


class Sender:
    """Who sends: an account's key, and ids that are never given twice. `session` is another number in every life; `life_ns` lies within the answer window."""

    def __init__(self, actor: int, account: int, session: int, life_ns: int) -> None:
        self.actor, self.account, self.session, self.life_ns = actor, account, session, life_ns
        self.given = 0

    def command(self, kind: Kind, now: int, **fields: int) -> np.ndarray:
        self.given += 1
        named = {"account": self.account} if kind in NAMES_ACCOUNT else {}
        return command(kind, actor=self.actor, id_hi=self.session, id_lo=self.given, expires=now + self.life_ns, **named, **fields)


class _Standing:
    """One request, and what we said to it."""
    __slots__ = ("again", "asked", "asked_until", "ask", "attempts", "bid", "decider", "instrument", "lapses", "passed", "quantity", "quote", "request",
                 "shown", "side", "told")

    def __init__(self, row: Told) -> None:
        self.request, self.instrument, self.quantity, self.lapses = (int(row[name]) for name in ("id", "instrument", "quantity", "other"))
        self.side = Side(int(row["side"]))
        self.quote = self.bid = self.ask = self.decider = self.attempts = self.asked_until = self.again = 0
        self.asked: tuple[int, int] | None = None       # the id of a command not yet answered
        self.shown: Priced | None = None                # what a person was last shown
        self.told: tuple[str, ...] = ()
        self.passed = False


class Quoter:
    """`step` takes one event of the account, a book, or time; `approve` and `pass_` take a person's word. All answer (commands, effects)."""

    def __init__(self, sender: Sender, terms: Mapping[int, Terms], sources: Mapping[int, Iterable[Source]], aims: Iterable[Aim], settings: QuoterSettings):
        self.settings, self.inventory = settings, Inventory(aims)
        self._sender, self._terms = sender, dict(terms)
        self._markets = {number: Market(number, tuple(named)) for number, named in sources.items()}
        self._volatility = {number: Volatility(half_life_ns=settings.volatility_ns) for number in self._markets}
        self._open: dict[int, _Standing] = {}
        self._events = 0

    def step(self, event: Told | Heard | Elapsed, now: int) -> tuple[list[Outgoing], list[Effect]]:
        out: list[Outgoing] = []
        effects: list[Effect] = []
        if isinstance(event, Heard):
            touched = self._hear(event, now)
        elif isinstance(event, Elapsed):
            touched = list(self._open.values())
        else:
            touched = self.learn(event, effects, now)
        for one in touched:
            self._review(one, now, out, effects)
        return out, effects

    def learn(self, row: Told, effects: list[Effect] | None = None, now: int = 0) -> list[_Standing]:
        """What an event says, without acting on it (a desk that starts again reads its stream so). Returns the request to be looked at again, if any."""
        effects = [] if effects is None else effects
        self._events += 1
        if (trade := traded(row, self._events)) and trade.instrument in self._markets:
            self.inventory.step(trade, 0)
        kind, number = int(row["kind"]), int(row["id"])
        if kind == Event.REQUEST_INVITED:
            return self._invited(row, effects)
        if kind == Event.REQUEST_ENDED:
            self._end(number, Reason(int(row["reason"])), effects)
        elif kind == Event.FILLED and row["liquidity"] == Liquidity.QUOTE:
            for one in [one for one in self._open.values() if one.quote == number]:
                self._end(one.request, Reason.FILLED, effects)
        elif kind == Event.REFUSED and row["command"] in (Kind.QUOTE, Kind.WITHDRAW_QUOTE):
            return self._refused(row, effects, now)
        elif kind in (Event.QUOTED, Event.QUOTE_ENDED) and (one := self._open.get(int(row["other"]))):
            return self._quoted(one, row) if kind == Event.QUOTED else self._quote_ended(one, row, effects)
        return []

    def approve(self, request: int, person: int, bid: int | None, ask: int | None, now: int) -> tuple[list[Outgoing], list[Effect]]:
        """A person quotes: these prices, or with None the engine's of this moment. What they were shown must not have moved away meanwhile."""
        one = self._open.get(request)
        if one is None or now >= one.lapses:
            return [], [Unquoted(request, ("request_over",))]
        priced = self._price(one, now)
        if not priced.mode.firm:
            return [], [Unquoted(request, priced.reasons or (priced.mode.name.lower(),))]
        if one.shown is not None and _moved(one.shown.bid, one.shown.ask, priced, self.settings.overrun_ppm):
            return [], [self._show(one, priced)]
        chosen = (priced.bid if bid is None else bid, priced.ask if ask is None else ask)
        if tuple(p > 0 for p in chosen) != (one.side != Side.BUY, one.side != Side.SELL):
            return [], [Unquoted(request, ("wrong_sides",))]
        one.decider, one.passed, one.shown = person, False, priced
        return [self._send(one, *chosen, priced, now)], []

    def pass_(self, request: int, person: int, now: int) -> tuple[list[Outgoing], list[Effect]]:
        """A person leaves this one to others: it is not quoted again, and a live quote is withdrawn in their name."""
        one = self._open.get(request)
        if one is None:
            return [], []
        one.passed, one.decider = True, person
        return ([self._withdraw(one, now)] if one.quote else []), []

    def live(self) -> dict[int, tuple[int, int]]:
        """Bid and ask of our quotes that stand, by request."""
        return {one.request: (one.bid, one.ask) for one in self._open.values() if one.quote}

    # ------------------------------------------------------------------------------------------------------------------ hearing
    def _hear(self, event: Heard, now: int) -> list[_Standing]:
        number = event.book.instrument
        market = self._markets.get(number)
        if market is None or all(source.name != event.source for source in market.sources):
            return []
        if market.hear(event.source, event.book, now) and (mid := market.consolidated(now, self.settings.pricing[number]).mid) > 0:
            self._volatility[number].observe(mid, now)
        return [one for one in self._open.values() if one.instrument == number]

    def _invited(self, row: Told, effects: list[Effect]) -> list[_Standing]:
        one = _Standing(row)
        if one.instrument not in self._markets or len(self._open) >= OPEN_MOST:
            effects.append(Unquoted(one.request, ("no_market" if one.instrument not in self._markets else "too_many_requests",)))
            return []
        return [self._open.setdefault(one.request, one)]

    def _quoted(self, one: _Standing, row: Told) -> list[_Standing]:
        one.quote, one.bid, one.ask, one.asked = int(row["id"]), int(row["price"]), int(row["amount"]), None
        one.told = ()
        return []

    def _quote_ended(self, one: _Standing, row: Told, effects: list[Effect]) -> list[_Standing]:
        if one.quote != row["id"]:
            return []
        one.quote = 0
        if row["reason"] == Reason.LOST:                # its request traded with another, or was taken back
            self._end(one.request, Reason.LOST, effects)
        elif row["reason"] == Reason.WITHDRAWN:
            one.asked = None
        elif row["reason"] != Reason.REPLACED:
            one.decider, one.shown = 0, None            # a person's word was for that quote only
            return [one]
        return []

    def _refused(self, row: Told, effects: list[Effect], now: int) -> list[_Standing]:
        mine = (int(row["id_hi"]), int(row["id_lo"]))
        for one in self._open.values():
            if one.asked == mine:
                reason = Reason(int(row["reason"]))
                one.asked, one.again, one.attempts = None, now + self.settings.retry_ns, one.attempts + 1
                if row["command"] == Kind.QUOTE:
                    one.decider = 0
                    effects.append(Unquoted(one.request, (reason.name.lower(),)))
                if reason in OVER:
                    self._end(one.request, reason, effects)
                break
        return []

    def _end(self, request: int, reason: Reason, effects: list[Effect]) -> None:
        one = self._open.pop(request, None)
        if one is not None and one.shown is not None:
            effects.append(RequestOver(request, reason))

    # ----------------------------------------------------------------------------------------------------------------- answering
    def _review(self, one: _Standing, now: int, out: list[Outgoing], effects: list[Effect]) -> None:
        """Price it again, and quote, replace, withdraw or ask as that price says."""
        if now >= one.lapses:                           # its end is on the way
            return
        if one.asked is not None and now < one.asked_until:
            return
        priced = self._price(one, now)
        # firm or nothing
        if not priced.mode.firm:
            if one.quote:
                out.append(self._withdraw(one, now))
            if one.told != priced.reasons:
                one.told = priced.reasons
                effects.append(Unquoted(one.request, priced.reasons))
            return
        if one.passed or now < one.again or one.attempts >= self.settings.attempts_most:
            return
        # a person's
        if self._terms[one.instrument].amount(one.quantity, max(priced.bid, priced.ask)) > self.settings.auto_most.get(one.instrument, -1):
            if not one.quote and (one.shown is None or _moved(one.shown.bid, one.shown.ask, priced, self.settings.requote_ppm)):
                effects.append(self._show(one, priced))
            elif one.quote and self._worse(one, priced):
                out.append(self._withdraw(one, now))
            return
        # the engine's
        if not one.quote or _moved(one.bid, one.ask, priced, self.settings.requote_ppm):
            out.append(self._send(one, priced.bid, priced.ask, priced, now))

    def _price(self, one: _Standing, now: int) -> Priced:
        number, settings = one.instrument, self.settings.pricing[one.instrument]
        enquiry = Enquiry(one.side, one.quantity, min(self.settings.ttl_ns, max(one.lapses - now, 1)))
        return price(self._markets[number], self._terms[number], self._volatility[number], self.inventory.of(number), enquiry, settings, now)

    def _worse(self, one: _Standing, priced: Priced) -> bool:
        """A person's quote that the market has run over: the engine would now ask more, or bid less, than when it was shown, by too much."""
        ask, bid, ppm = one.ask, one.bid, self.settings.overrun_ppm
        if one.shown is None:
            return False
        moved_ask, moved_bid = priced.ask - one.shown.ask, one.shown.bid - priced.bid
        return bool(ask and moved_ask * PPM > ppm * ask) or bool(bid and moved_bid * PPM > ppm * bid)

    def _show(self, one: _Standing, priced: Priced) -> NeedsPerson:
        one.shown = priced
        return NeedsPerson(one.request, one.instrument, one.side, one.quantity, priced, one.lapses)

    def _send(self, one: _Standing, bid: int, ask: int, priced: Priced, now: int) -> Outgoing:
        record = self._sender.command(Kind.QUOTE, now, request=one.request, bid=bid, ask=ask, ttl=priced.ttl_ns, decider=one.decider)
        self._asked(one, record)
        return Outgoing(record, explanation(priced))

    def _withdraw(self, one: _Standing, now: int) -> Outgoing:
        record = self._sender.command(Kind.WITHDRAW_QUOTE, now, quote=one.quote, decider=one.decider)
        self._asked(one, record)
        return Outgoing(record)

    def _asked(self, one: _Standing, record: np.ndarray) -> None:
        one.asked, one.asked_until = (int(record["id_hi"][0]), int(record["id_lo"][0])), int(record["expires"][0])


def _moved(bid: int, ask: int, priced: Priced, ppm: int) -> bool:
    return any(abs(new - old) * PPM > ppm * old for old, new in ((bid, priced.bid), (ask, priced.ask)))


def traded(row: Told, number: int) -> Traded | None:
    """The desk's trade in an event, if it is one. `number` counts the events of the account's stream."""
    if row["kind"] not in (Event.FILLED, Event.CHILD_FILL):
        return None
    return Traded(number, int(row["instrument"]), Side(int(row["side"])), int(row["quantity"]), int(row["price"]))


def parcels(outgoing: Iterable[Outgoing]) -> list[tuple[np.ndarray, bytes]]:
    """SUBMITs that carry these commands in their order, each with its attachments section."""
    made: list[tuple[np.ndarray, bytes]] = []
    kept: list[Outgoing] = []
    size = 0
    for one in outgoing:
        if kept and size + len(one.attachment or b"") > PARCEL_BYTES:
            made.append(_parcel(kept))
            kept, size = [], 0
        kept.append(one)
        size += len(one.attachment or b"")
    return [*made, _parcel(kept)] if kept else made


def _parcel(outgoing: list[Outgoing]) -> tuple[np.ndarray, bytes]:
    records = np.concatenate([one.record for one in outgoing])
    section, numbers = attach([one.attachment for one in outgoing if one.attachment])
    records["attachment"][[i for i, one in enumerate(outgoing) if one.attachment]] = numbers
    return records, section


# ------------------------------------------------------------------------------------------------------------ from the design
def desk_terms(design: Design, names: Mapping[str, Mapping[str, int]]) -> dict[int, Terms]:
    """Every instrument's terms by number, as venues and the desk read them."""
    made = {}
    for name, number in names["instruments"].items():
        t = designs.terms(design, name)
        made[number] = Terms(name, number, t.price_increment, format(10 ** -t.base_digits, f".{t.base_digits}f") if t.base_digits else "1", t.book_tick,
                             t.quote_tick, t.lot, t.amount_num, t.amount_den, t.min_price, t.max_price)
    return made


def desk_sources(design: Design, names: Mapping[str, Mapping[str, int]]) -> dict[int, list[Source]]:
    """The venues each instrument is priced from: those that list it and that are among its sources. One without any is not the desk's."""
    made: dict[int, list[Source]] = {}
    for name, row in design.instruments.items():
        for source in row.sources:
            venue = design.venues.get(design.sources[source].venue)
            if venue is not None and name in venue.symbols:
                made.setdefault(names["instruments"][name], []).append(Source(design.sources[source].venue, design.pricing.fresh_for, venue.taker_ppm))
    return made


def desk_aims(design: Design, names: Mapping[str, Mapping[str, int]], desk: str) -> list[Aim]:
    """Flat, within the desk's position limit, or else the instrument's."""
    aims = []
    for name, row in design.instruments.items():
        text = design.house.desks[desk].positions.get(name) or (row.limits.max_position if row.limits else "0")
        aims.append(Aim(names["instruments"][name], 0, max(designs.units_of(design, row.base, text), 1)))
    return aims


def pricing_settings(design: Design, sources: int) -> PricingSettings:
    """The design's pricing as the engine takes it, for an instrument with so many sources."""
    p = design.pricing
    spread = max(p.min_half_spread_ppm, 1)
    return PricingSettings(
        base_half_spread_ppm=spread, volatility_multiple=p.volatility_share_ppm / PPM, hedge_horizon_ns=p.quote_ttl,
        validity_multiple=0.4 if p.standing_ppm_per_second else 0.0, skew_ppm=p.inventory_skew_ppm, outlier_ppm=p.max_source_gap_ppm,
        firm_sources_least=max(FIRM_SOURCES_LEAST, p.min_sources), wider_below_sources=sources, wider_factor_ppm=PPM + PPM * p.wider_ppm // spread)


def quoter_settings(design: Design, names: Mapping[str, Mapping[str, int]]) -> QuoterSettings:
    auto = {names["instruments"][name]: designs.units_of(design, row.quote, design.pricing.auto_quote_max_notional[row.quote])
            for name, row in design.instruments.items() if row.quote in design.pricing.auto_quote_max_notional}
    return QuoterSettings(pricing={number: pricing_settings(design, len(named)) for number, named in desk_sources(design, names).items()}, auto_most=auto,
                          ttl_ns=design.pricing.quote_ttl, requote_ppm=max(design.pricing.min_half_spread_ppm // 2, 1),
                          overrun_ppm=max(design.pricing.wider_ppm, 1),
                          volatility_ns=design.pricing.volatility_window)
