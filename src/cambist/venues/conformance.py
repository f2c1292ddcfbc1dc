"""The conformance suite: what any venue must do before an order of ours is sent to it.

Decides, case by numbered case, whether a venue keeps the port's promises. It must not know which venue it tries: it is handed
trials (a venue with a market on it) by a callable, and sees only intents and reports. A case returns the breaches it found, in
words; an empty list is a pass, None means the trial could not show it (no silence to provoke, no market to move).

Numbers are stable: a case is added, never renumbered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec

from cambist.messages import Side, TimeInForce
from cambist.venues.venue import (
    Acked,
    AskChild,
    BookUpdate,
    CancelChild,
    ChildReport,
    Closed,
    CloseReason,
    Filled,
    Intent,
    Liquidity,
    Missing,
    PlaceChild,
    Rejected,
    Report,
    Terms,
    Venue,
    book_fault,
    signed,
)

EVENTS_MAX = 100_000  # steps a case may take before the venue is said never to come to rest
GTC, IOC = TimeInForce.GTC, TimeInForce.IOC


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A venue at `start` with a two-sided market of several levels, each with at least two lots."""

    venue: Venue
    terms: Terms
    start: int
    patience_ns: int  # after this long without news a venue has said all it will say
    move: Callable[[int, int], None] | None = None  # (now, price increments): the market goes this far from where it began; None if it can not be moved
    may_be_silent: bool = False  # reports may be lost in this trial


class Conditions(msgspec.Struct, frozen=True):
    """What a case asks of the trial it is handed."""

    seed: int
    silent: bool = False  # some reports and requests are lost; None from the maker if it can not be arranged


Maker: TypeAlias = Callable[[Conditions], Trial | None]
Case: TypeAlias = Callable[[Maker, int], "list[str] | None"]


class Verdict(msgspec.Struct, frozen=True):
    number: str
    title: str
    breaches: list[str] | None  # None: not shown

    @property
    def passed(self) -> bool:
        return self.breaches == []


def run_suite(make: Maker, seed: int, only: Sequence[str] = ()) -> list[Verdict]:
    """Every case (or those named) against fresh trials."""
    verdicts = []
    for number, case in CASES.items():
        if not only or number in only:
            verdicts.append(Verdict(number, (case.__doc__ or "").splitlines()[0], case(make, seed)))
    return verdicts


# -- a session with the venue under trial -----------------------------------------------------------------------------


class _Session:
    """Sends intents, lets virtual time pass, keeps every report with the time it was heard."""

    def __init__(self, trial: Trial) -> None:
        self.trial, self.terms, self.venue = trial, trial.terms, trial.venue
        self.now = trial.start
        self.heard: list[tuple[int, Report]] = []
        self.breaches: list[str] = []
        self._ids = trial.start % 1_000_000 * 1_000
        self.rest()

    def send(self, *intents: Intent) -> None:
        """Send, then wait until the venue has said all it will say."""
        self._take(self.venue.step(self.now, intents))
        self.rest()

    def rest(self) -> None:
        deadline = self.now + self.trial.patience_ns
        for _ in range(EVENTS_MAX):
            due = self.venue.next_event(self.now)
            if due is not None and due < self.now:
                self.breaches.append(f"next_event({self.now}) is {due}, in the past")
                return
            if due is None or due > deadline:
                break
            self.now = due
            self._take(self.venue.step(self.now, ()))
        else:
            self.breaches.append(f"the venue did not come to rest within {EVENTS_MAX} events")
        self.now = deadline
        self._take(self.venue.step(self.now, ()))

    def displace(self, ticks: int) -> None:
        """Move the market so far from where it began, where the trial can; then wait."""
        if self.trial.move is not None:
            self.trial.move(self.now, ticks * self.terms.book_tick)
            self.rest()

    def _take(self, reports: list[Report]) -> None:
        self.heard.extend((self.now, report) for report in reports)

    # what to send

    def place(self, side: Side, lots: int, tif: TimeInForce, *, past_touch: int = 0) -> PlaceChild:
        """An order of so many lots, limited to the touch and so many ticks past it (negative: short of it)."""
        book = self.book()
        touch = book.asks[0][0] if side == Side.BUY else book.bids[0][0]
        self._ids += 1
        limit = touch + signed(side, past_touch * self.terms.book_tick)
        return PlaceChild(self._ids, self.terms.number, side, lots * self.terms.lot, limit, tif)

    def depth_lots(self, side: Side) -> int:
        """Lots shown on the side this order would take from."""
        book = self.book()
        return sum(quantity for _, quantity in (book.asks if side == Side.BUY else book.bids)) // self.terms.lot

    def strange(self) -> int:
        """A child id the venue has never heard."""
        self._ids += 1
        return self._ids

    # what was heard

    def book(self) -> BookUpdate:
        for _, report in reversed(self.heard):
            if isinstance(report, BookUpdate) and report.instrument == self.terms.number and report.bids and report.asks:
                return report
        raise ValueError("the trial shows no two-sided book: give it a market before the suite runs")

    def of(self, child_id: int) -> list[ChildReport]:
        return [report for _, report in self.heard if not isinstance(report, BookUpdate) and report.child_id == child_id]

    def fills(self, child_id: int) -> dict[str, Filled]:
        """By execution id: a fill told twice counts once."""
        return {report.execution_id: report for report in self.of(child_id) if isinstance(report, Filled)}

    def filled(self, child_id: int) -> int:
        return sum(fill.quantity for fill in self.fills(child_id).values())

    def closed(self, child_id: int) -> Closed | None:
        return next((report for report in self.of(child_id) if isinstance(report, Closed)), None)

    def say(self, wrong: str) -> None:
        self.breaches.append(wrong)


def _plain(make: Maker, seed: int) -> _Session | None:
    trial = make(Conditions(seed))
    return None if trial is None else _Session(trial)


def _both_sides(make: Maker, seed: int, tif: TimeInForce, past_touch: int, lots: int = 1) -> tuple[_Session, list[PlaceChild]] | None:
    """A session in which one such order a side was sent and answered."""
    session = _plain(make, seed)
    if session is None:
        return None
    orders = []
    for side in (Side.BUY, Side.SELL):
        orders.append(session.place(side, lots, tif, past_touch=past_touch))
        session.send(orders[-1])
    return session, orders


# -- the cases --------------------------------------------------------------------------------------------------------


def v01_ack_before_fill(make: Maker, seed: int) -> list[str] | None:
    """An order is acknowledged before its first fill, and closed last."""
    if (found := _both_sides(make, seed, IOC, 3)) is None:
        return None
    session, orders = found
    for order in orders:
        told = session.of(order.child_id)
        if not any(isinstance(report, Filled) for report in told):
            session.say(f"child {order.child_id} crossed the market and was told no fill: {told}")
        if not told or not isinstance(told[0], Acked):
            session.say(f"child {order.child_id} was first told {told[:1]}, not acknowledged")
        if not told or not isinstance(told[-1], Closed):
            session.say(f"child {order.child_id} was last told {told[-1:]}, not closed")
    return session.breaches


def v02_execution_ids_are_unique(make: Maker, seed: int) -> list[str] | None:
    """An execution id names one fill for ever: of one child, told the same whenever it is told."""
    if (found := _both_sides(make, seed, IOC, 3, lots=2)) is None:
        return None
    session, orders = found
    session.send(session.place(Side.BUY, 1, IOC, past_touch=3), *(AskChild(order.child_id) for order in orders))
    known: dict[str, Filled] = {}
    for _, report in session.heard:
        if isinstance(report, Filled) and known.setdefault(report.execution_id, report) != report:
            session.say(f"execution {report.execution_id} is both {known[report.execution_id]} and {report}")
    for order in orders:
        first, again = _twice_told(session.of(order.child_id))
        if first != again:
            session.say(f"child {order.child_id} was told fills {first}, then, asked, {again}")
    return session.breaches


def v03_fills_stay_within_quantity(make: Maker, seed: int) -> list[str] | None:
    """Distinct fills never sum above the quantity, and the close says their sum."""
    session = _plain(make, seed)
    if session is None:
        return None
    for side, lots, past in ((Side.BUY, 1, 3), (Side.SELL, 3, 3), (Side.BUY, session.depth_lots(Side.BUY) + 1, 1000)):
        order = session.place(side, lots, IOC, past_touch=past)
        session.send(order)
        filled, closed = session.filled(order.child_id), session.closed(order.child_id)
        if filled > order.quantity:
            session.say(f"child {order.child_id} of {order.quantity} filled {filled}")
        if closed is None or closed.cum_quantity != filled:
            session.say(f"child {order.child_id} filled {filled}, and its close says {closed}")
    return session.breaches


def v04_ioc_remainder_closes(make: Maker, seed: int) -> list[str] | None:
    """What an IOC can not fill at once is closed at once, and the close says how much was filled."""
    session = _plain(make, seed)
    if session is None:
        return None
    for lots, past in ((session.depth_lots(Side.BUY) + 5, 1000), (1, -1)):
        order = session.place(Side.BUY, lots, IOC, past_touch=past)
        session.send(order)
        closed = session.closed(order.child_id)
        if closed is None or closed.reason != CloseReason.REMAINDER or closed.cum_quantity >= order.quantity:
            session.say(f"IOC child {order.child_id} of {order.quantity}, more than the market had, ended with {closed}")
    return session.breaches


def v05_unknown_child_is_missing(make: Maker, seed: int) -> list[str] | None:
    """To cancel, or ask for, what the venue never heard of is answered Missing."""
    session = _plain(make, seed)
    if session is None:
        return None
    for intent in (CancelChild(session.strange()), AskChild(session.strange())):
        session.send(intent)
        told = session.of(intent.child_id)
        if len(told) != 1 or not isinstance(told[0], Missing):
            session.say(f"{intent} was answered {told}")
    return session.breaches


def v06_cancel_ends_a_resting_order(make: Maker, seed: int) -> list[str] | None:
    """A cancelled order closes once as cancelled, again says the same, and never fills afterwards."""
    if (found := _both_sides(make, seed, GTC, -1)) is None:
        return None
    session, orders = found
    for order in orders:
        session.send(CancelChild(order.child_id))
        filled = session.filled(order.child_id)
        session.send(CancelChild(order.child_id))
        session.displace(signed(order.side, -50))
        closes = {report for report in session.of(order.child_id) if isinstance(report, Closed)}
        if len(closes) != 1 or next(iter(closes)).reason != CloseReason.CANCELLED:
            session.say(f"child {order.child_id}, cancelled twice, was told the ends {closes}")
        if session.filled(order.child_id) != filled:
            session.say(f"child {order.child_id} filled after its close")
    return session.breaches


def v07_same_child_acts_once(make: Maker, seed: int) -> list[str] | None:
    """The same child id placed again, at once or later, acts once."""
    session = _plain(make, seed)
    if session is None:
        return None
    order = session.place(Side.BUY, 2, IOC, past_touch=3)
    session.send(order, order)
    session.send(order)
    told = session.of(order.child_id)
    venue_ids = {report.venue_order_id for report in told if isinstance(report, Acked)}
    if len(venue_ids) != 1:
        session.say(f"child {order.child_id}, placed three times, became the venue's orders {sorted(venue_ids)}")
    if session.filled(order.child_id) > order.quantity:
        session.say(f"child {order.child_id} of {order.quantity}, placed three times, filled {session.filled(order.child_id)}")
    if len({report for report in told if isinstance(report, Closed)}) != 1:
        session.say(f"child {order.child_id}, placed three times, did not end once: {told}")
    return session.breaches


def v08_asking_ends_silence(make: Maker, seed: int) -> list[str] | None:
    """After silence AskChild tells the whole truth: nothing heard is taken back, and an end agrees with its fills."""
    trial = make(Conditions(seed, silent=True))
    if trial is None:
        return None
    session = _Session(trial)
    orders = []
    for index in range(12):
        orders.append(session.place((Side.BUY, Side.SELL)[index % 2], 1 + index % 3, IOC, past_touch=3))
        session.send(orders[-1])
    for order in orders:
        before = session.of(order.child_id)
        answer = _asked_until_answered(session, order.child_id)
        if not answer:
            session.say(f"child {order.child_id} was asked for ten times and never answered")
        for report in before:
            if report not in answer:
                session.say(f"child {order.child_id} was told {report}, which the answer {answer} leaves out")
        _check_whole(session, order, answer)
        again = _asked_until_answered(session, order.child_id)
        never = all(isinstance(report, Missing) for report in (*answer, *again))  # said anew each time, as of that time
        if again != answer and not never:
            session.say(f"child {order.child_id}, asked twice, was answered {answer}, then {again}")
    return session.breaches


def v09_limit_is_never_traded_through(make: Maker, seed: int) -> list[str] | None:
    """No fill is worse than the order's limit, resting or taking."""
    session = _plain(make, seed)
    if session is None:
        return None
    orders = [session.place(side, lots, tif, past_touch=past) for side in (Side.BUY, Side.SELL)
              for lots, tif, past in ((1, IOC, 0), (6, IOC, 1), (2, GTC, -2), (9, GTC, 2))]
    for order in orders:
        session.send(order)
    for ticks in (-20, 20, 0):
        session.displace(ticks)
    for order in orders:
        for fill in session.fills(order.child_id).values():
            if signed(order.side, fill.price - order.limit_price) > 0:
                session.say(f"child {order.child_id}, limit {order.limit_price}, filled at {fill.price}")
    return session.breaches


def v10_fees_are_as_declared(make: Maker, seed: int) -> list[str] | None:
    """Each fill's fee is the declared rate of its liquidity, and orders that take are charged for taking."""
    if (found := _both_sides(make, seed, IOC, 3, lots=2)) is None:
        return None
    session, orders = found
    declared = session.venue.capabilities
    for order in orders:
        for fill in session.fills(order.child_id).values():
            if fill.liquidity != Liquidity.REMOVED:
                session.say(f"IOC child {order.child_id} is said to have {fill.liquidity.name.lower()} liquidity")
            ppm = declared.taker_fee_ppm if fill.liquidity == Liquidity.REMOVED else declared.maker_fee_ppm
            fee = session.terms.fee(fill.quantity, fill.price, ppm)
            if fill.fee != fee:
                session.say(f"fill {fill.execution_id} was charged {fill.fee}, where {ppm} ppm is {fee}")
    return session.breaches


def v11_book_is_sorted_and_uncrossed(make: Maker, seed: int) -> list[str] | None:
    """Every book shown is sorted, uncrossed, on tick, and no deeper than declared."""
    if (found := _both_sides(make, seed, IOC, 3, lots=3)) is None:
        return None
    session, _ = found
    for ticks in (7, -13, 3):
        session.displace(ticks)
    depth, tick = session.venue.capabilities.book_depth, session.terms.book_tick
    for _, report in session.heard:
        if isinstance(report, BookUpdate):
            if (fault := book_fault(report, depth)) is not None:
                session.say(f"the book at {report.time}: {fault}")
            if off := [price for price, _ in (*report.bids, *report.asks) if price % tick]:
                session.say(f"the book at {report.time} has prices {off[:3]} off the tick of {tick}")
    return session.breaches


def v12_time_never_runs_backwards(make: Maker, seed: int) -> list[str] | None:
    """First tellings come in the order of their times, and none is from the future."""
    if (found := _both_sides(make, seed, IOC, 3, lots=2)) is None:
        return None
    session, _ = found
    last = 0
    for heard_at, report in session.heard:
        if report.time > heard_at:
            session.say(f"{report} was heard at {heard_at}, before it happened")
        if report.time < last:
            session.say(f"{report} was told after one of {last}")
        last = max(last, report.time)
    return session.breaches


def v13_bad_orders_are_rejected(make: Maker, seed: int) -> list[str] | None:
    """An order the venue can not take is rejected, with no acknowledgement and no fill, and stays rejected."""
    session = _plain(make, seed)
    if session is None:
        return None
    replace, terms = msgspec.structs.replace, session.terms
    bad = [replace(session.place(Side.BUY, 1, IOC), quantity=0), replace(session.place(Side.BUY, 1, IOC), quantity=-terms.lot),
           replace(session.place(Side.BUY, 1, IOC), limit_price=terms.max_price // terms.book_tick * terms.book_tick + terms.book_tick),
           replace(session.place(Side.BUY, 1, IOC), instrument=terms.number + 1_000_000)]
    if terms.lot > 1:
        bad.append(replace(session.place(Side.BUY, 1, IOC), quantity=terms.lot + 1))
    if terms.book_tick > 1:
        bad.append(replace(session.place(Side.BUY, 1, IOC, past_touch=3), limit_price=session.book().asks[0][0] + 1))
    for order in bad:
        session.send(order)
        session.send(AskChild(order.child_id))
        told = session.of(order.child_id)
        if not told or not all(isinstance(report, Rejected) for report in told):
            session.say(f"{order} was answered {told}")
    return session.breaches


def v14_resting_order_fills_when_the_market_comes(make: Maker, seed: int) -> list[str] | None:
    """A resting order fills at its own price, as liquidity added, once the market crosses it."""
    found = _both_sides(make, seed, GTC, -1)
    if found is None or found[0].trial.move is None:
        return None
    session, orders = found
    for order in orders:
        if session.filled(order.child_id):
            session.say(f"child {order.child_id} was to rest, and filled at once")
        session.displace(signed(order.side, -200))
        fills = session.fills(order.child_id).values()
        if session.filled(order.child_id) != order.quantity or session.closed(order.child_id) is None:
            session.say(f"child {order.child_id} rested where the market came, and was told {session.of(order.child_id)}")
        if any(fill.price != order.limit_price or fill.liquidity != Liquidity.ADDED for fill in fills):
            session.say(f"child {order.child_id} rested at {order.limit_price}, and filled as a taker: {list(fills)}")
    return session.breaches


CASES: dict[str, Case] = {case.__name__[:3].upper(): case for case in (
    v01_ack_before_fill, v02_execution_ids_are_unique, v03_fills_stay_within_quantity, v04_ioc_remainder_closes, v05_unknown_child_is_missing,
    v06_cancel_ends_a_resting_order, v07_same_child_acts_once, v08_asking_ends_silence, v09_limit_is_never_traded_through,
    v10_fees_are_as_declared, v11_book_is_sorted_and_uncrossed, v12_time_never_runs_backwards, v13_bad_orders_are_rejected,
    v14_resting_order_fills_when_the_market_comes,
)}  # fmt: skip


# -- below the cases --------------------------------------------------------------------------------------------------


def _twice_told(told: list[ChildReport]) -> tuple[list[Filled], list[Filled]]:
    """Fills told before the second acknowledgement, and after it."""
    acks = [index for index, report in enumerate(told) if isinstance(report, Acked)]
    cut = acks[1] if len(acks) > 1 else len(told)
    return [one for one in told[:cut] if isinstance(one, Filled)], [one for one in told[cut:] if isinstance(one, Filled)]


def _asked_until_answered(session: _Session, child_id: int) -> list[ChildReport]:
    """The reports that answered an AskChild; the question itself may be lost, so it is asked up to ten times."""
    for _ in range(10):
        before = len(session.of(child_id))
        session.send(AskChild(child_id))
        if answer := session.of(child_id)[before:]:
            return answer
    return []


def _check_whole(session: _Session, order: PlaceChild, answer: list[ChildReport]) -> None:
    """An answer about an IOC child is Missing, Rejected, or a whole life from Acked to Closed."""
    if not answer or isinstance(answer[0], Missing | Rejected):
        if len(answer) > 1:
            session.say(f"child {order.child_id} was answered {answer}: that which never was has no life to tell")
        return
    fills = {report.execution_id: report.quantity for report in answer if isinstance(report, Filled)}
    if not isinstance(answer[0], Acked) or not isinstance(answer[-1], Closed):
        session.say(f"IOC child {order.child_id} was answered {answer}, which does not run from Acked to Closed")
    elif answer[-1].cum_quantity != sum(fills.values()) or answer[-1].cum_quantity > order.quantity:
        session.say(f"child {order.child_id} of {order.quantity} was answered fills {fills} and {answer[-1]}")
