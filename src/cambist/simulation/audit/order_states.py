"""The auditor's orders: every one that stands, in whatever state, what it holds and counts, and where it rests (rules, sections 4 and 12).

Decides what an order holds at any moment and which order is first. It must not know which event came when: `trading.py` does.
"""
from __future__ import annotations

from collections.abc import Iterator

from cambist.messages import BY_QUOTE, CALLS, PEGGED, OrderState, OrderType, Side, TimeInForce
from cambist.simulation.audit.figures import Figures, Row, Terms, Wrong

ENTERING = -1                                   # not yet at rest: it meets what rests
AUCTION_ORDERS = (TimeInForce.AUCTION, TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE)
AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK)


class Order(Row):
    """An order that stands. `price`: where it rests; `worst`: what it holds for. `ordered` less executed, prevented and cancelled is open, at all times."""

    def takes(self, executed: int = 0, prevented: int = 0, cancelled: int = 0, spent: int = 0) -> None:
        """What is open falls; of a BY_QUOTE order by what it `spent`."""
        self.executed += executed
        self.spent += spent
        self.prevented += prevented
        self.cancelled += cancelled
        self.leaves -= (spent if self.by_quote else executed) + prevented + cancelled
        self.shown = min(self.shown, self.leaves)
        done = (self.spent if self.by_quote else self.executed) + self.prevented + self.cancelled
        if self.leaves < 0 or self.ordered - done != self.leaves:
            raise Wrong(f"order {self.id}: {self.ordered} ordered less {self.executed} executed, {self.prevented} prevented, {self.cancelled} cancelled is not "
                        f"the {self.leaves} open")


class Standing:
    """Orders by id; books by instrument, side and price; queues of what waits."""

    def __init__(self, figures: Figures) -> None:
        self.figures = figures
        self.orders: dict[int, Order] = {}
        self.levels: dict[tuple[int, int], dict[int, dict[int, Order]]] = {}       # (instrument, side) -> price -> id -> order, first in first
        self.entering: dict[int, Order] = {}
        self.queues: dict[int, list[int]] = {}          # instrument -> triggered orders, by their turn
        self.waiting: dict[int, dict[int, Order]] = {}  # instrument -> orders outside the book, in the order they came
        self.quotes: dict[tuple[int, int], list[int]] = {}              # (account, instrument) -> orders of its mass quote
        self.open_of: dict[int, int] = {}               # account -> orders that stand
        self.floating: dict[int, int] = {}              # instrument -> pegs and trailing orders
        self.changed: dict[int, Order] = {}             # since the last comparison with the tables
        self.woken: dict[int, None] = {}                # instruments where in this command a child began to wait for its trigger

    # ----------------------------------------------------------------------------------------------------------------------- coming
    def add(self, order: Order) -> None:
        if order.id in self.orders:
            raise Wrong(f"order {order.id} is accepted twice")
        self.orders[order.id] = order
        self.open_of[order.account] = self.open_of.get(order.account, 0) + 1
        self.settle(order)

    def made(self, number: int, account: int, terms: Terms, side: int, price: int, quantity: int, **more: int) -> Order:
        fees = self.figures.schedule(account, terms.number)
        given = {"self_trade": 0, "post_only": 0, "options": 0, "tif": TimeInForce.GTC, "type": OrderType.LIMIT, "display": 0, "trigger": 0, "trigger_on": 0,
                 "trigger_price": 0, "distance": 0, "offset": 0, "good_till": 0, "link": 0, "actor": 0, "sequence": 0, "quoted": 0, "queued": 0, **more}
        display = given["display"]
        return Order(id=number, account=account, instrument=terms.number, terms=terms, side=side, price=price, worst=price, quantity=quantity, ordered=quantity,
                     leaves=quantity, shown=min(display or quantity, quantity), executed=0, spent=0, prevented=0, cancelled=0, hold=0, counted=0,
                     ppm=max(fees.maker, fees.taker), fee_min=fees.minimum, by_quote=int(bool(given["options"] & BY_QUOTE)), state=ENTERING, mate=None,
                     parent=None, seen=False, reached_at=0, **given)

    # ------------------------------------------------------------------------------------------------------------------------ holds
    def settle(self, order: Order) -> None:
        """Holds and counts as it must now, and so does the one it is linked with."""
        for each in (order, order.mate):
            if each is not None:
                self._hold(each)
                self._count(each)

    def _carries(self, order: Order) -> bool:
        return order.mate is None or order.id < order.mate.id

    def needs(self, order: Order) -> int:
        """What it holds by itself."""
        if not order.leaves:
            return 0
        parent = order.parent
        if parent is not None and order.side == Side.SELL and parent.side == Side.BUY and order.terms.prefunded:
            return parent.executed
        return order.terms.hold(order.side, order.leaves, order.worst, order.ppm, 0 if order.executed else order.fee_min, order.by_quote)

    def _hold(self, order: Order) -> None:
        wanted = max(self.needs(order), self.needs(order.mate) if order.mate is not None else 0) if self._carries(order) else 0
        change, order.hold = wanted - order.hold, wanted
        self.changed[order.id] = order
        asset = order.terms.held_asset(order.side)
        if order.terms.prefunded:
            if change:
                self.figures.post(order.account, asset, available=-change, held=change)
            return
        line = self.figures.line(order.account, asset)
        if line is None:
            raise Wrong(f"order {order.id} of account {order.account} is on credit, and there is no line")
        line.reserved += change

    def _count(self, order: Order) -> None:
        wanted = order.leaves if self._carries(order) and not order.by_quote else 0
        if wanted != order.counted:
            self.figures.rest(order.account, order.instrument, order.side, wanted - order.counted)
            order.counted = wanted

    # ------------------------------------------------------------------------------------------------------------------------ places
    def rest(self, order: Order, price: int) -> None:
        """At the end of its level."""
        self.outside(order)
        order.state, order.price = OrderState.BOOK, price
        order.shown = min(order.display or order.leaves, order.leaves)
        self.levels.setdefault((order.instrument, order.side), {}).setdefault(price, {})[order.id] = order

    def outside(self, order: Order) -> None:
        """It is in no level, queue or list."""
        if order.state == OrderState.BOOK:
            side = self.levels[order.instrument, order.side]
            del side[order.price][order.id]
            if not side[order.price]:
                del side[order.price]
        self.entering.pop(order.id, None)
        self.waiting.get(order.instrument, {}).pop(order.id, None)
        queue = self.queues.get(order.instrument)
        if queue and order.id in queue:
            queue.remove(order.id)

    def put(self, order: Order, state: int) -> None:
        """Somewhere outside the book."""
        self.outside(order)
        order.state = state
        if state == ENTERING:
            self.entering[order.id] = order
        elif state == OrderState.TRIGGERED:
            self.queues.setdefault(order.instrument, []).append(order.id)
        else:
            self.waiting.setdefault(order.instrument, {})[order.id] = order

    def gone(self, order: Order) -> None:
        """It stands no more: what it held is free, and who was linked to it stands alone."""
        self.outside(order)
        order.state = None
        mate, order.mate = order.mate, None
        self.settle(order)
        del self.orders[order.id]
        self.open_of[order.account] -= 1
        if mate is not None:
            mate.mate = None
            self.settle(mate)
        for child in self.children(order):
            child.parent = None
            if order.executed and child.trigger:
                self.put(child, OrderState.WAITING)
                self.woken[child.instrument] = None
            self.settle(child)
        if order.quoted:
            quote = self.quotes.get((order.account, order.instrument), [])
            if order.id in quote:
                quote.remove(order.id)

    def children(self, parent: Order) -> list[Order]:
        if not parent.link:
            return []
        return [order for order in self.waiting.get(parent.instrument, {}).values() if order.parent is parent]

    # ------------------------------------------------------------------------------------------------------------------------- looks
    def best(self, instrument: int, side: int) -> int:
        """The best price there, 0 for none."""
        levels = self.levels.get((instrument, side))
        return 0 if not levels else max(levels) if side == Side.BUY else min(levels)

    def first(self, instrument: int, side: int) -> Order | None:
        price = self.best(instrument, side)
        return next(iter(self.levels[instrument, side][price].values())) if price else None

    def better(self, instrument: int, side: int) -> Iterator[Order]:
        """The orders of a side as a taker would meet them."""
        levels = self.levels.get((instrument, side), {})
        for price in sorted(levels, reverse=side == Side.BUY):
            yield from list(levels[price].values())

    def level(self, instrument: int, side: int, price: int) -> tuple[int, int]:
        level = self.levels.get((instrument, side), {}).get(price, {})
        return sum(order.shown for order in level.values()), len(level)

    def is_dying(self, order: Order, now: int) -> bool:
        """Whether something has been said that ends it, which is not worked off yet."""
        row, ordinal = self.figures.accounts[order.account], order.id & 0xFFFF_FFFF
        if ordinal < row.dying_below or row.killed or (order.good_till and order.good_till <= now):
            return True
        if order.tif in AUCTION_ORDERS and order.terms.session not in CALLS and order.state == OrderState.BOOK:
            return True
        if row.some is not None:
            instrument, side, below = row.some
            if ordinal < below and instrument in (0, order.instrument) and side in (2, order.side):
                return True
        actor = self.figures.actors.get(order.actor)
        return bool(actor and actor.killed)

    def may_die(self, order: Order, now: int) -> bool:
        """Whether a dead man has latched, and before or after it was made, nobody is told until the sweep is over."""
        row = self.figures.accounts[order.account]
        return 0 < row.dead_man <= now or row.dead_lapsed > 0 or order.id & 0xFFFF_FFFF < row.may_die_below

    def peg_price(self, order: Order) -> int:
        """Where a peg should stand now; 0: nowhere."""
        terms, side = order.terms, order.side
        best = {}
        for each in (Side.BUY, Side.SELL):
            best[each] = next((o.price for o in self.better(terms.number, each) if o.type not in PEGGED), 0)
        if order.type == OrderType.MIDPOINT:
            reference = (best[Side.BUY] + best[Side.SELL]) // 2 if best[Side.BUY] and best[Side.SELL] else 0
        else:
            reference = best[side if order.type == OrderType.PRIMARY else 1 - side]
        if not reference:
            return 0
        tick, other = terms.book_tick, self.best(terms.number, 1 - side)
        if side == Side.BUY:
            price = min((reference - order.offset) // tick * tick, order.worst)
            price = other - tick if other and price >= other else price
            return price if price >= terms.min_price else 0
        price = max(-(-(reference + order.offset) // tick) * tick, order.worst)
        price = other + tick if other and price <= other else price
        return price if price <= terms.max_price else 0


def crosses(side: int, limit: int, price: int) -> bool:
    """Whether an order of this side and limit meets that price."""
    return price <= limit if side == Side.BUY else price >= limit


def auction_price(standing: Standing, terms: Terms, reference: int) -> tuple[int, int, int]:
    """(price, what trades at it, bought less sold that is left) of an auction as it stands; zeros for none."""
    bids, asks = (standing.levels.get((terms.number, side), {}) for side in (Side.BUY, Side.SELL))
    if not bids or not asks or max(bids) < min(asks):
        return 0, 0, 0
    low, high = min(asks), max(bids)
    rows = []
    for price in sorted({p for p in (*bids, *asks) if low <= p <= high}):
        demand = sum(o.leaves for p, level in bids.items() if p >= price for o in level.values())
        supply = sum(o.leaves for p, level in asks.items() if p <= price for o in level.values())
        rows.append((price, min(demand, supply), demand - supply))
    most = max(row[1] for row in rows)
    rows = [row for row in rows if row[1] == most]
    least = min(abs(row[2]) for row in rows)
    rows = [row for row in rows if abs(row[2]) == least]
    if all(row[2] > 0 for row in rows):
        return rows[-1]
    if all(row[2] < 0 for row in rows):
        return rows[0]
    near = reference or terms.book_last
    return min(rows, key=lambda row: (abs(row[0] - near) if near else 0, row[0]))

