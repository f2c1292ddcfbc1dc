"""Requests for quotes as a client sees them: what is asked, the quotes that stand, which is best, what came of it. Without IO.

Decides how a form becomes a request, how an amount of the quote asset becomes a size, and how the told events of a request become a page. It must not know
who quotes: a client is not told. Quotes keep their line: a new one takes the line of one that has ended, so nothing jumps under the finger.
"""
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from cambist.dictionary import Dictionary, Listed, Wrong
from cambist.messages import Event, Reason, Side
from cambist.ops.portal.ordering import check_lot
from cambist.ops.portal.sending import reason_words

SECOND = 10**9
STANDS_S = (10, 15, 20, 30, 45, 60)                     # seconds a request may stand, as far as the design lets it
SIDES = {"buy": Side.BUY, "sell": Side.SELL, "two_way": Side.TWO_WAY}
Row = Mapping[str, int]


class Wanted(NamedTuple):
    """A request that can be sent. `worth`: what it comes to at `reference`, in the quote asset's units, 0 without one. `given`: the amount typed, or 0."""
    listed: Listed
    side: Side
    quantity: int
    ttl: int
    reference: int
    worth: int
    given: int


def lives(words: Dictionary) -> list[int]:
    """Seconds a request may stand here."""
    most = words.design.cell.max_ttl
    return [s for s in STANDS_S if s * SECOND <= most] or [max(1, most // SECOND)]


def nearest_life(words: Dictionary, ttl: int) -> int:
    """The choice of `lives` nearest to a request's ttl in ns; of two as near, the shorter."""
    return min(lives(words), key=lambda s: abs(s * SECOND - ttl))


def read_request(fields: Mapping[str, str], words: Dictionary, reference_of: Mapping[int, int]) -> Wanted:
    """The form's fields instrument, side, size, size_in ("base" or "quote"), stands (seconds). Raises Wrong, its path the field's name."""
    listed = words.listed(fields["instrument"], "instrument")
    side = SIDES.get(fields["side"])
    if side is None:
        raise Wrong("BAD_SIDE", "side", "choose buy, sell or two-way")
    if fields["stands"] not in {str(s) for s in lives(words)}:
        raise Wrong("BAD_TTL", "stands", f"choose how long it stands: {', '.join(map(str, lives(words)))} s")
    reference, text = reference_of.get(listed.number, 0), fields["size"].replace(",", "").strip()
    if not text:
        raise Wrong("BAD_QUANTITY", "size", "how much?")
    given = 0
    if fields["size_in"] == "quote":
        given = words.amount_in(text, listed.quote, "size")
        if not reference:
            raise Wrong("NO_REFERENCE", "size", "there is no reference price now to turn this amount into a size; give the size itself")
        quantity = words.quantity_for(given, reference, listed)
        if not quantity:
            lot = words.quantity_out(listed.terms.lot, listed)
            raise Wrong("OFF_LOT", "size", f"that is less than one lot, {lot} {words.asset_name(listed.base)}")
    elif fields["size_in"] == "base":
        quantity = words.quantity_in(text, listed, "size")
        if not quantity:
            raise Wrong("BAD_QUANTITY", "size", "more than 0")
        check_lot(quantity, listed, words, "size")
    else:
        raise Wrong("BAD_SIZE_IN", "size_in", "a size is in base or in quote")
    worth = words.amount_of(quantity, reference, listed) if reference else 0
    return Wanted(listed, side, quantity, int(fields["stands"]) * SECOND, reference, worth, given)


# ---------------------------------------------------------------------------------------------------------------------------------- one request
class Offer(NamedTuple):
    """One quote as told to the client; prices 0 where that side is not quoted. `ended`: why it is over, or ""."""
    number: int
    place: int                                          # how many came before it
    bid: int
    ask: int
    quantity: int
    until: int
    ended: str

    def live(self, now: int) -> bool:
        return not self.ended and self.until > now


class Done(NamedTuple):
    """The trade that came of it."""
    time: int
    side: Side
    price: int
    quantity: int
    amount: int
    fee: int
    match: int
    quote: int


class Asked(NamedTuple):
    """One request from its events. `state`: open, filled, cancelled, lapsed or ended. `refusals`: (time, code, words) of what was refused about it."""
    number: int
    listed: Listed
    side: Side
    quantity: int
    opened: int
    until: int
    state: str
    closed: int
    lines: tuple[Offer, ...]
    done: Done | None
    refusals: tuple[tuple[int, str, str], ...]

    def is_open(self, now: int) -> bool:
        return self.state == "open" and self.until > now

    def best(self, side: Side, now: int) -> Offer | None:
        """The live quote a client who buys (or sells) trades at, the earliest of those with the same price."""
        if side is Side.BUY:
            return min((o for o in self.lines if o.live(now) and o.ask), key=lambda o: (o.ask, o.place), default=None)
        return max((o for o in self.lines if o.live(now) and o.bid), key=lambda o: (o.bid, -o.place), default=None)

    @property
    def sides(self) -> tuple[Side, ...]:
        return (Side.SELL, Side.BUY) if self.side is Side.TWO_WAY else (self.side,)


STATES = {Reason.FILLED: "filled", Reason.USER: "cancelled", Reason.EXPIRED: "lapsed"}


def asked(events: Iterable[Row], words: Dictionary, account: int) -> Asked | None:
    """A request from every event that names it or one of its quotes, in order; None when none opened it for this account."""
    made: Asked | None = None
    lines: list[Offer] = []
    refusals: list[tuple[int, str, str]] = []
    for row in events:
        if row["account"] != account:
            continue
        kind = row["kind"]
        if kind == Event.REQUEST_OPENED:
            listed = words.listed_by_number(row["instrument"])
            if listed is not None:
                made = Asked(row["id"], listed, Side(row["side"]), row["quantity"], row["time"], row["other"], "open", 0, (), None, ())
        elif made is None:
            continue
        elif kind == Event.QUOTE_SHOWN:
            _put(lines, Offer(row["id"], 0, row["price"], row["amount"], row["quantity"], row["leaves"], ""), row["time"])
        elif kind == Event.QUOTE_ENDED:
            lines[:] = [o._replace(ended=reason_words(row["reason"])[0]) if o.number == row["id"] else o for o in lines]
        elif kind == Event.FILLED:
            made = made._replace(done=Done(row["time"], Side(row["side"]), row["price"], row["quantity"], row["amount"], row["fee"], row["other"], row["id"]))
        elif kind == Event.REQUEST_ENDED:
            made = made._replace(state=STATES.get(Reason(row["reason"]), "ended"), closed=row["time"])
        elif kind == Event.REFUSED:
            refusals.append((row["time"], *reason_words(row["reason"])))
    return made._replace(lines=tuple(lines), refusals=tuple(refusals)) if made else None


def _put(lines: list[Offer], offer: Offer, now: int) -> None:
    """Into the line of the first quote that is over, else a new line."""
    offer = offer._replace(place=max((o.place for o in lines), default=0) + 1)
    for at, old in enumerate(lines):
        if not old.live(now):
            lines[at] = offer
            return
    lines.append(offer)
