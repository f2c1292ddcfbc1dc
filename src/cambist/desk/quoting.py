"""Quoting: which requests the desk answers, at what moment, and when a quote no longer stands.

Decides when a price becomes a QUOTE, when it is replaced or withdrawn, and when it is a proposal. It must not know how a price is made (`pricing.py`), who
the client is, a socket or a clock: it hears the events of the desk's own account and the venues' books, and answers with commands.

    invited -> priced -> quoted -> replaced | withdrawn | lapsed -> ended
                 |-> proposed -> approved -> quoted
                        |-> lapsed, or the market moved -> proposed anew
                        |-> denied: left alone, as is what a person has priced by hand

A proposal is the QUOTE itself: above the design's `quotes_above` the core holds it until a second person decides. So nobody acts inside this process.

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

PROPOSALS = 4                                   # made at most while one of them lasts: a person needs the time to read it
OPEN_MOST = 4_096                               # requests being looked at; a further one is left to the other dealers
PARCEL_BYTES = 40_000                           # of explanations in one SUBMIT; the door takes 64 KiB
Told: TypeAlias = np.void | Mapping[str, Any]   # one EVENT row
ENGINE, APPROVED, PERSON = "engine", "approved", "person"      # whose word a quote is
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


class Unquoted(msgspec.Struct, frozen=True):
    """Why a request has no quote of ours now. It may get one later while it stands."""
    request: int
    reasons: tuple[str, ...]


class QuoterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the desk answers. By instrument, in units of the quote asset: the largest amount quoted without a person (not named: nothing), and the amount
    above which the core holds a quote for one (not named: it holds none). What lies between is never sent: a person prices it by hand."""
    pricing: dict[int, PricingSettings]
    auto_most: dict[int, int]
    held_above: dict[int, int]
    ttl_ns: int
    proposal_ttl_ns: int = 20_000_000_000       # how long a proposal waits, and stands once approved
    requote_ppm: int = 75                       # a quote further than this from today's price is replaced
    overrun_ppm: int = 500                      # a proposal, or what a person has priced, is void when the engine's price has gone further than this
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
        return command(kind, actor=self.actor, id_hi=self.session, id_lo=self.given, received=now, expires=now + self.life_ns, **named, **fields)


class _Offer(NamedTuple):
    """A proposal that the core holds: whose it is, the id it was sent under, and the price it offers."""
    request: int
    given: tuple[int, int]
    priced: Priced


class _Standing:
    """One request, and what we said to it. `shown`: the engine's price when a person decided, where a person did."""
    __slots__ = ("again", "ask", "asked", "asked_until", "attempts", "bid", "instrument", "lapses", "left", "offered", "proposal", "quantity", "quote",
                 "request", "sent", "shown", "side", "told", "whose")

    def __init__(self, row: Told) -> None:
        self.request, self.instrument, self.quantity, self.lapses = (int(row[name]) for name in ("id", "instrument", "quantity", "other"))
        self.side = Side(int(row["side"]))
        self.quote = self.bid = self.ask = self.attempts = self.asked_until = self.again = 0
        self.asked: tuple[int, int] | None = None       # the id of a command not yet answered
        self.sent: Priced | None = None                 # what the last QUOTE was made of
        self.proposal = 0                               # held, and not yet decided
        self.offered: Priced | None = None              # what the proposal offers
        self.whose = ENGINE                             # whose word the live quote is
        self.shown: Priced | None = None
        self.told: tuple[str, ...] = ()
        self.left = False                               # a person priced it by hand, or denied a proposal: it is theirs


class Quoter:
    """`step` takes one event of the account, a book, or time, and answers (commands, effects)."""

    def __init__(self, sender: Sender, terms: Mapping[int, Terms], sources: Mapping[int, Iterable[Source]], aims: Iterable[Aim], settings: QuoterSettings):
        self.settings, self.inventory = settings, Inventory(aims)
        self._sender, self._terms = sender, dict(terms)
        self._markets = {number: Market(number, tuple(named)) for number, named in sources.items()}
        self._volatility = {number: Volatility(half_life_ns=settings.volatility_ns) for number in self._markets}
        self._open: dict[int, _Standing] = {}
        self._held: dict[int, _Offer] = {}              # by held command; each of them ends: approved, denied or lapsed
        self._approved: dict[tuple[int, int], _Offer] = {}      # by its id, between APPROVED and what came of it
        self._events = 0

    def step(self, event: Told | Heard | Elapsed, now: int) -> tuple[list[Outgoing], list[Unquoted]]:
        out: list[Outgoing] = []
        effects: list[Unquoted] = []
        if isinstance(event, Heard):
            touched = self._hear(event, now)
        elif isinstance(event, Elapsed):
            touched = list(self._open.values())
        else:
            touched = self.learn(event, effects, now)
        for one in touched:
            self._review(one, now, out, effects)
        return out, effects

    def learn(self, row: Told, effects: list[Unquoted] | None = None, now: int = 0) -> list[_Standing]:
        """What an event says, without acting on it (a desk that starts again reads its stream so). Returns the request to be looked at again, if any."""
        effects = [] if effects is None else effects
        self._events += 1
        if (trade := traded(row, self._events)) and trade.instrument in self._markets:
            self.inventory.step(trade, 0)
        kind, number = int(row["kind"]), int(row["id"])
        if kind == Event.REQUEST_INVITED:
            return self._invited(row, effects)
        if kind == Event.REQUEST_ENDED:
            self._open.pop(number, None)
        elif kind == Event.FILLED and row["liquidity"] == Liquidity.QUOTE:
            for one in [one for one in self._open.values() if one.quote == number]:
                del self._open[one.request]
        elif kind == Event.REFUSED and row["command"] in (Kind.QUOTE, Kind.WITHDRAW_QUOTE):
            return self._refused(row, effects, now)
        elif kind == Event.QUOTED:
            return self._quoted(row)
        elif kind == Event.QUOTE_ENDED and (one := self._open.get(int(row["other"]))):
            return self._quote_ended(one, row)
        elif kind == Event.HELD and row["command"] == Kind.QUOTE:
            self._proposed(row, now)
        elif kind in (Event.APPROVED, Event.DENIED, Event.HELD_EXPIRED) and number in self._held:
            return self._decided(kind, number, effects)
        return []

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

    def _invited(self, row: Told, effects: list[Unquoted]) -> list[_Standing]:
        one = _Standing(row)
        if one.instrument not in self._markets or len(self._open) >= OPEN_MOST:
            effects.append(Unquoted(one.request, ("no_market" if one.instrument not in self._markets else "too_many_requests",)))
            return []
        return [self._open.setdefault(one.request, one)]

    def _quoted(self, row: Told) -> list[_Standing]:
        given = (int(row["id_hi"]), int(row["id_lo"]))
        approved, one = self._approved.pop(given, None), self._open.get(int(row["other"]))
        if one is None:
            return []
        one.quote, one.bid, one.ask, one.told = int(row["id"]), int(row["price"]), int(row["amount"]), ()
        one.shown = approved.priced if approved else None
        one.whose = APPROVED if approved else ENGINE if given[0] == self._sender.session else PERSON
        if one.asked == given:
            one.asked = None
        if one.whose == PERSON:
            one.left = True
        return [one] if approved else []                # it waited: the market may have run over it

    def _quote_ended(self, one: _Standing, row: Told) -> list[_Standing]:
        if one.quote != row["id"]:
            return []
        one.quote, one.whose, one.shown = 0, ENGINE, None
        if row["reason"] == Reason.LOST:                # its request traded with another, or was taken back
            self._open.pop(one.request)
        elif row["reason"] == Reason.WITHDRAWN:
            one.asked = None
        elif row["reason"] != Reason.REPLACED:
            return [one]
        return []

    def _proposed(self, row: Told, now: int) -> None:
        given = (int(row["id_hi"]), int(row["id_lo"]))
        for one in self._open.values():
            if one.asked == given and one.sent is not None:
                one.asked, one.proposal, one.offered, one.again = None, int(row["id"]), one.sent, now + self.settings.proposal_ttl_ns // PROPOSALS
                self._held[one.proposal] = _Offer(one.request, given, one.sent)
                break

    def _decided(self, kind: int, number: int, effects: list[Unquoted]) -> list[_Standing]:
        """A proposal waits no longer. One that another took the place of may still be approved, or denied: a person's word is for the request."""
        offer = self._held.pop(number)
        if kind == Event.APPROVED:
            self._approved[offer.given] = offer         # QUOTED follows, or REFUSED
        one = self._open.get(offer.request)
        if one is None:
            return []
        if one.proposal == number:
            one.proposal, one.offered, one.again = 0, None, 0
        if kind == Event.DENIED:
            one.left = True
            effects.append(Unquoted(one.request, ("denied",)))
        return [one] if kind == Event.HELD_EXPIRED else []

    def _refused(self, row: Told, effects: list[Unquoted], now: int) -> list[_Standing]:
        given = (int(row["id_hi"]), int(row["id_lo"]))
        approved = self._approved.pop(given, None)
        for one in self._open.values():
            if one.asked == given or (approved and approved.request == one.request):
                reason = Reason(int(row["reason"]))
                one.again, one.attempts = now + self.settings.retry_ns, one.attempts + 1
                one.asked = None if one.asked == given else one.asked
                if row["command"] == Kind.QUOTE:
                    effects.append(Unquoted(one.request, (reason.name.lower(),)))
                if reason in OVER:
                    del self._open[one.request]
                break
        return []

    # ----------------------------------------------------------------------------------------------------------------- answering
    def _review(self, one: _Standing, now: int, out: list[Outgoing], effects: list[Unquoted]) -> None:
        """Price it again, and quote, replace, withdraw or ask as that price says."""
        if now >= one.lapses:                           # its end is on the way
            return
        if one.asked is not None and now < one.asked_until:
            return
        priced = self._price(one, now, self.settings.ttl_ns)
        # firm or nothing, but for a person's own price
        if not priced.mode.firm:
            if one.quote and one.whose != PERSON:
                out.append(self._withdraw(one, now))
            if not one.left:
                self._say(one, priced.reasons, effects)
            return
        # a person's
        if one.left or one.whose != ENGINE:
            self._watch(one, self._price(one, now, self.settings.proposal_ttl_ns) if one.whose == APPROVED else priced, now, out)
            return
        if now < one.again or one.attempts >= self.settings.attempts_most:
            return
        worth = _worth(self._terms[one.instrument], one.quantity, max(priced.bid, priced.ask))
        if worth > self.settings.auto_most.get(one.instrument, -1):
            self._propose(one, priced, worth, now, out, effects)
        elif one.offered is not None:                   # proposed when it was worth more, or held though it is worth so little
            if _moved(one.offered.bid, one.offered.ask, priced, self.settings.overrun_ppm):
                out.append(self._send(one, priced, now))
        # the engine's
        elif not one.quote or _moved(one.bid, one.ask, priced, self.settings.requote_ppm):
            out.append(self._send(one, priced, now))

    def _propose(self, one: _Standing, priced: Priced, worth: int, now: int, out: list[Outgoing], effects: list[Unquoted]) -> None:
        """A price that waits for a person, with the charge for all the time it may stand; a new one when the last no longer is what we would ask."""
        if one.quote:                                   # the engine's own, of when it was worth less: it may not be replaced
            out += [self._withdraw(one, now)] if _moved(one.bid, one.ask, priced, self.settings.requote_ppm) else []
        elif worth <= self.settings.held_above.get(one.instrument, worth):
            self._say(one, ("above_automatic_size",), effects)
        else:
            priced = self._price(one, now, self.settings.proposal_ttl_ns)
            if one.offered is None or _moved(one.offered.bid, one.offered.ask, priced, self.settings.overrun_ppm):
                out.append(self._send(one, priced, now))

    def _watch(self, one: _Standing, priced: Priced, now: int, out: list[Outgoing]) -> None:
        """A quote that is a person's word stands until the market has run it over: the engine would now ask more, or bid less, than then, by too much."""
        if not one.quote:
            return
        if one.shown is None:
            one.shown = priced
        moved_ask, moved_bid, ppm = priced.ask - one.shown.ask, one.shown.bid - priced.bid, self.settings.overrun_ppm
        if (one.ask and moved_ask * PPM > ppm * one.ask) or (one.bid and moved_bid * PPM > ppm * one.bid):
            out.append(self._withdraw(one, now))

    def _say(self, one: _Standing, reasons: tuple[str, ...], effects: list[Unquoted]) -> None:
        """Once, until something else is to be said."""
        if one.told != reasons:
            one.told = reasons
            effects.append(Unquoted(one.request, reasons))

    def _price(self, one: _Standing, now: int, ttl_ns: int) -> Priced:
        number, settings = one.instrument, self.settings.pricing[one.instrument]
        enquiry = Enquiry(one.side, one.quantity, min(ttl_ns, max(one.lapses - now, 1)))
        return price(self._markets[number], self._terms[number], self._volatility[number], self.inventory.of(number), enquiry, settings, now)

    def _send(self, one: _Standing, priced: Priced, now: int) -> Outgoing:
        record = self._sender.command(Kind.QUOTE, now, request=one.request, bid=priced.bid, ask=priced.ask, ttl=priced.ttl_ns)
        self._asked(one, record)
        one.sent, one.told = priced, ()
        return Outgoing(record, explanation(priced))

    def _withdraw(self, one: _Standing, now: int) -> Outgoing:
        record = self._sender.command(Kind.WITHDRAW_QUOTE, now, quote=one.quote)
        self._asked(one, record)
        return Outgoing(record)

    def _asked(self, one: _Standing, record: np.ndarray) -> None:
        one.asked, one.asked_until = (int(record["id_hi"][0]), int(record["id_lo"][0])), int(record["expires"][0])


def _worth(terms: Terms, quantity: int, price: int) -> int:
    """Units of the quote asset, rounded up, as the core looks at a quote's size."""
    return -(-quantity * price * terms.amount_num // terms.amount_den)


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
    auto, held = ({names["instruments"][name]: designs.units_of(design, row.quote, sizes[row.quote]) for name, row in design.instruments.items()
                   if row.quote in sizes} for sizes in (design.pricing.auto_quote_max_notional, design.oversight.quotes_above))
    return QuoterSettings(pricing={number: pricing_settings(design, len(named)) for number, named in desk_sources(design, names).items()},
                          auto_most=auto, held_above=held, ttl_ns=design.pricing.quote_ttl,
                          proposal_ttl_ns=min(design.pricing.proposal_ttl, design.cell.max_ttl), requote_ppm=max(design.pricing.min_half_spread_ppm // 2, 1),
                          overrun_ppm=max(design.pricing.wider_ppm, 1), volatility_ns=design.pricing.volatility_window)
