"""A simulated venue: a market of its own, with latency, fees, rejects, partial fills and silence.

Decides what a venue would answer, from a seed and from the books it is told to follow. It must not know a clock, the core, or
whether anyone is watching: the same seed, books and intents give the same reports, byte for byte.

The book is the followed feed, later (`delay_ns`) and shifted (`noise_ppm`), snapped to the instrument's tick and lot. Our own
resting orders are not shown in it, so a desk can not mistake its own price for the market's. Requests and reports each keep
their order, as on one connection. What the venue did and what it managed to say are two things: a lost report (`silence_ppm`)
happened all the same, and `AskChild` tells the whole truth again, under the same execution ids.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from cambist.messages import Side, TimeInForce
from cambist.venues.noise import PPM, Noise
from cambist.venues.venue import (
    BOOK_DEPTH_MAX,
    Acked,
    AskChild,
    BookUpdate,
    CancelChild,
    Capabilities,
    ChildReport,
    Closed,
    CloseReason,
    Filled,
    Intent,
    Liquidity,
    Missing,
    PlaceChild,
    Rejected,
    RejectReason,
    Report,
    Terms,
    book_fault,
)

FOLLOWED_MAX = 100_000  # books told but not yet due
INTENTS_MAX = 100_000  # requests on their way

_LATENCY, _PRICE, _REJECT, _PARTIAL, _SILENCE, _LOSS = range(6)  # labels of the streams of noise, so one cause never moves another


class SimulatedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How this venue behaves. Times in ns; rates in parts per million of prices, amounts or occasions."""

    latency_ns: int = 2_000_000  # one way
    latency_jitter_ns: int = 500_000  # up to this much more
    fee_ppm: int = 400  # for taking
    maker_fee_ppm: int = 200  # for resting
    partial_fill_ppm: int = 0  # how often someone faster takes most of what we aimed at
    reject_ppm: int = 0
    silence_ppm: int = 0  # how often a report is lost though it happened
    request_loss_ppm: int = 0  # how often a request never arrives
    noise_ppm: int = 0  # how far the book may stand from the feed
    delay_ns: int = 0  # how far it lags behind
    levels: int = 10  # depth shown, a side
    level_spacing: int = 1  # book ticks between the levels made up where the feed has fewer
    children_max: int = 100_000  # children remembered, open and closed; more are rejected, never forgotten

    def __post_init__(self) -> None:
        for field in ("partial_fill_ppm", "reject_ppm", "silence_ppm", "request_loss_ppm", "noise_ppm"):
            if not 0 <= getattr(self, field) <= PPM:
                raise ValueError(f"{field} is {getattr(self, field)}; it must be 0 to {PPM}")
        for field in ("latency_ns", "latency_jitter_ns", "delay_ns"):
            if getattr(self, field) < 0:
                raise ValueError(f"{field} is {getattr(self, field)}; it must not be negative")
        if not 1 <= self.levels <= BOOK_DEPTH_MAX:
            raise ValueError(f"levels is {self.levels}; it must be 1 to {BOOK_DEPTH_MAX}")
        if self.level_spacing < 1 or self.children_max < 1:
            raise ValueError(f"level_spacing is {self.level_spacing} and children_max {self.children_max}; both must be 1 or more")


class _Child:
    """A child order as the venue knows it. `told` is its whole truth, in order, whether or not it was heard."""

    __slots__ = ("cum", "open", "order", "told")

    def __init__(self, order: PlaceChild) -> None:
        self.order = order
        self.cum = 0
        self.open = False
        self.told: list[ChildReport] = []

    @property
    def leaves(self) -> int:
        return self.order.quantity - self.cum


class SimulatedVenue:
    """Follows the `Venue` port. `follow` tells it where the world's market is; `step` does everything else."""

    def __init__(self, name: str, terms: Iterable[Terms], settings: SimulatedSettings, seed: int) -> None:
        self.name = name
        self.settings = settings
        self.capabilities = Capabilities(
            venue=name,
            book_depth=settings.levels,
            ask_after_ns=4 * (settings.latency_ns + settings.latency_jitter_ns) + 1,
            taker_fee_ppm=settings.fee_ppm,
            maker_fee_ppm=settings.maker_fee_ppm,
        )
        self._terms = {one.number: one for one in terms}
        self._streams = [Noise(seed).branch(label) for label in range(_LOSS + 1)]
        self._books: dict[int, tuple[list[list[int]], list[list[int]]]] = {}
        self._children: dict[int, _Child] = {}
        self._resting: dict[int, list[_Child]] = {number: [] for number in self._terms}
        self._agenda: list[tuple[int, int, BookUpdate | Intent]] = []  # heap: due, order, what
        self._outbox: deque[tuple[int, Report]] = deque()
        self._counted = self._followed = self._requested = self._orders = self._executions = 0
        self._now = self._last_arrival = self._last_delivery = 0

    # -- the step --------------------------------------------------------------------------------------------------

    def follow(self, update: BookUpdate) -> None:
        """The world's market moved at `update.time`; this venue shows it `delay_ns` later."""
        if update.instrument not in self._terms:
            raise ValueError(f"venue {self.name} was told of instrument {update.instrument}; it lists {sorted(self._terms)}")
        if (fault := book_fault(update, depth_max=1 << 30)) is not None:
            raise ValueError(f"venue {self.name} was told a book that can not be: {fault}")
        if self._followed >= FOLLOWED_MAX:
            raise OverflowError(f"venue {self.name} holds {FOLLOWED_MAX} books not yet due: step it before telling it more")
        self._followed += 1
        self._expect(update.time + self.settings.delay_ns, update)

    def step(self, now: int, intents: Sequence[Intent]) -> list[Report]:
        if now < self._now:
            raise ValueError(f"venue {self.name} was stepped back to {now} from {self._now}: time never runs backwards")
        for intent in intents:
            self._send(now, intent)
        while self._agenda and self._agenda[0][0] <= now:
            due, _, what = heapq.heappop(self._agenda)
            self._now = max(self._now, due)
            self._perform(self._now, what)
        self._now = now
        arrived = []
        while self._outbox and self._outbox[0][0] <= now:
            arrived.append(self._outbox.popleft()[1])
        return arrived

    def next_event(self, now: int) -> int | None:
        dues = [queue[0][0] for queue in (self._agenda, self._outbox) if queue]
        return max(now, min(dues)) if dues else None

    def _send(self, now: int, intent: Intent) -> None:
        arrival = self._last_arrival = max(self._last_arrival, now + self._latency())
        if self._streams[_LOSS].happens(self.settings.request_loss_ppm):
            return
        if self._requested >= INTENTS_MAX:
            raise OverflowError(f"venue {self.name} holds {INTENTS_MAX} requests not yet arrived: step it before sending more")
        self._requested += 1
        self._expect(arrival, intent)

    def _expect(self, due: int, what: BookUpdate | Intent) -> None:
        self._counted += 1
        heapq.heappush(self._agenda, (due, self._counted, what))

    def _perform(self, at: int, what: BookUpdate | Intent) -> None:
        match what:
            case BookUpdate():
                self._followed -= 1
                self._move(at, what)
            case PlaceChild():
                self._requested -= 1
                self._place(at, what)
            case CancelChild():
                self._requested -= 1
                self._cancel(at, what.child_id)
            case AskChild():
                self._requested -= 1
                self._answer(at, what.child_id)

    # -- child orders ----------------------------------------------------------------------------------------------

    def _place(self, at: int, order: PlaceChild) -> None:
        # check
        if order.child_id in self._children:
            self._answer(at, order.child_id)
            return
        if len(self._children) >= self.settings.children_max:
            self._deliver(at, Rejected(order.child_id, RejectReason.TOO_MANY_ORDERS, at))
            return
        child = self._children[order.child_id] = _Child(order)
        busy = self._streams[_REJECT].happens(self.settings.reject_ppm)
        reason = self._refusal(order) or (RejectReason.BUSY if busy else None)
        if reason is not None:
            self._tell(at, child, Rejected(order.child_id, reason, at))
            return
        # acknowledge
        self._orders += 1
        child.open = True
        self._tell(at, child, Acked(order.child_id, f"{self.name}-O{self._orders}", at))
        # match
        took = self._take(at, child)
        # rest or close
        if child.leaves == 0:
            self._close(at, child, CloseReason.FILLED)
        elif order.tif == TimeInForce.IOC:
            self._close(at, child, CloseReason.REMAINDER)
        else:
            self._resting[order.instrument].append(child)
        if took:
            self._publish(at, order.instrument)

    def _refusal(self, order: PlaceChild) -> RejectReason | None:
        terms = self._terms.get(order.instrument)
        if terms is None: return RejectReason.UNKNOWN_INSTRUMENT
        if order.side not in (Side.BUY, Side.SELL): return RejectReason.UNSUPPORTED
        if order.tif not in self.capabilities.times_in_force: return RejectReason.UNSUPPORTED
        if order.quantity <= 0: return RejectReason.QUANTITY_NOT_POSITIVE
        if order.quantity % terms.lot: return RejectReason.QUANTITY_OFF_LOT
        if order.limit_price % terms.book_tick: return RejectReason.PRICE_OFF_TICK
        if not terms.min_price <= order.limit_price <= terms.max_price: return RejectReason.PRICE_OUT_OF_RANGE
        return None

    def _cancel(self, at: int, child_id: int) -> None:
        child = self._children.get(child_id)
        if child is None:
            self._deliver(at, Missing(child_id, at))
        elif child.open:
            self._resting[child.order.instrument].remove(child)
            self._close(at, child, CloseReason.CANCELLED)
        else:
            self._deliver(at, child.told[-1])

    def _answer(self, at: int, child_id: int) -> None:
        child = self._children.get(child_id)
        for report in child.told if child else [Missing(child_id, at)]:
            self._deliver(at, report)

    def _close(self, at: int, child: _Child, reason: CloseReason) -> None:
        child.open = False
        self._tell(at, child, Closed(child.order.child_id, reason, child.cum, at))

    # -- matching --------------------------------------------------------------------------------------------------

    def _take(self, at: int, child: _Child) -> bool:
        """Walk the other side of the book within the limit. True if the book changed."""
        order, terms = child.order, self._terms[child.order.instrument]
        levels = self._opposite(order)
        reach = child.leaves
        if outrun := self._streams[_PARTIAL].happens(self.settings.partial_fill_ppm):
            reach = self._streams[_PARTIAL].below(child.leaves // terms.lot) * terms.lot
        taken = self._walk(at, child, levels, reach, Liquidity.REMOVED)
        while outrun and levels and self._within(order, levels[0][0]):
            levels.pop(0)  # the faster one took the rest of what we could have had
            taken = True
        return taken

    def _walk(self, at: int, child: _Child, levels: list[list[int]], reach: int, liquidity: Liquidity) -> bool:
        """Fill up to `reach` from these levels: a taker at each level's price, a maker at its own."""
        before = child.cum
        while reach > 0 and levels and self._within(child.order, levels[0][0]):
            price, available = levels[0]
            quantity = min(reach, available)
            reach -= quantity
            levels[0][1] -= quantity
            if levels[0][1] == 0:
                levels.pop(0)
            self._fill(at, child, quantity, price if liquidity is Liquidity.REMOVED else child.order.limit_price, liquidity)
        return child.cum > before

    def _fill(self, at: int, child: _Child, quantity: int, price: int, liquidity: Liquidity) -> None:
        set_, order = self.settings, child.order
        fee_ppm = set_.fee_ppm if liquidity is Liquidity.REMOVED else set_.maker_fee_ppm
        fee = self._terms[order.instrument].fee(quantity, price, fee_ppm)
        child.cum += quantity
        self._executions += 1
        self._tell(at, child, Filled(order.child_id, f"{self.name}-E{self._executions}", quantity, price, fee, liquidity, at))

    def _opposite(self, order: PlaceChild) -> list[list[int]]:
        bids, asks = self._books.get(order.instrument, ([], []))
        return asks if order.side == Side.BUY else bids

    @staticmethod
    def _within(order: PlaceChild, price: int) -> bool:
        return price <= order.limit_price if order.side == Side.BUY else price >= order.limit_price

    # -- the market ------------------------------------------------------------------------------------------------

    def _move(self, at: int, update: BookUpdate) -> None:
        terms = self._terms[update.instrument]
        draw = self._streams[_PRICE].between(-PPM, PPM)
        touch = [side[0][0] for side in (update.bids, update.asks) if side]
        far = sum(touch) // len(touch) * self.settings.noise_ppm * draw // PPM**2 if touch else 0
        shift = far // terms.book_tick * terms.book_tick
        self._books[update.instrument] = (
            _shaped(update.bids, shift, terms, self.settings, towards=-1),
            _shaped(update.asks, shift, terms, self.settings, towards=1),
        )
        self._meet_resting(at, update.instrument)
        self._publish(at, update.instrument)

    def _meet_resting(self, at: int, instrument: int) -> None:
        """Fill what rests where the market came to it: best price first, then oldest first."""
        waiting = self._resting[instrument]
        if not waiting:
            return
        for child in sorted(waiting, key=lambda one: -one.order.limit_price if one.order.side == Side.BUY else one.order.limit_price):
            self._walk(at, child, self._opposite(child.order), child.leaves, Liquidity.ADDED)
            if child.leaves == 0:
                self._close(at, child, CloseReason.FILLED)
        self._resting[instrument] = [child for child in waiting if child.open]

    def _publish(self, at: int, instrument: int) -> None:
        bids, asks = (tuple((price, quantity) for price, quantity in side) for side in self._books[instrument])
        self._deliver(at, BookUpdate(instrument, at, bids, asks))

    # -- saying so -------------------------------------------------------------------------------------------------

    def _tell(self, at: int, child: _Child, report: ChildReport) -> None:
        child.told.append(report)
        if not self._streams[_SILENCE].happens(self.settings.silence_ppm):
            self._deliver(at, report)

    def _deliver(self, at: int, report: Report) -> None:
        self._last_delivery = max(self._last_delivery, at + self._latency())
        self._outbox.append((self._last_delivery, report))

    def _latency(self) -> int:
        return self.settings.latency_ns + self._streams[_LATENCY].between(0, self.settings.latency_jitter_ns)


def _shaped(levels: Sequence[tuple[int, int]], shift: int, terms: Terms, settings: SimulatedSettings, towards: int) -> list[list[int]]:
    """One side as this venue shows it: shifted, snapped outward to the tick and down to the lot, cut or made up to `levels`."""
    shown: list[list[int]] = []
    for price, quantity in levels:
        snapped = -(-towards * (price + shift) // terms.book_tick) * terms.book_tick * towards
        whole = quantity // terms.lot * terms.lot
        if whole <= 0 or not terms.min_price <= snapped <= terms.max_price:
            continue
        if shown and shown[-1][0] == snapped:
            shown[-1][1] += whole
        elif len(shown) < settings.levels:
            shown.append([snapped, whole])
        else:
            break
    while shown and len(shown) < settings.levels:
        further = shown[-1][0] + towards * settings.level_spacing * terms.book_tick
        if not terms.min_price <= further <= terms.max_price:
            break
        shown.append([further, shown[0][1]])
    return shown
