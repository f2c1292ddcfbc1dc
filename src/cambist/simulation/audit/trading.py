"""The auditor's order books: price and time priority, holds, trades and their postings, from the rules of sections 4 and 5.

Decides whether each event of an order can be, and what it moves. Nothing is predicted that was not told; but what is told must be the one thing that is right.
"""
from __future__ import annotations

from cambist.messages import AccountKind, Kind, Liquidity, OrderType, Reason, SelfTrade, Side, TimeInForce
from cambist.simulation.audit.figures import Figures, Row, Terms, Wrong, fee
from cambist.simulation.workload import Told

R = Reason
TRADERS = (AccountKind.CLIENT, AccountKind.DEALER, AccountKind.DESK)


class Order(Row):
    """An order that lives: at rest, or the taker of this moment."""


class Books:
    """Every order that rests, and the taker of the command at work."""

    def __init__(self, figures: Figures) -> None:
        self.figures = figures
        self.orders: dict[int, Order] = {}
        self.levels: dict[tuple[int, int], dict[int, dict[int, Order]]] = {}       # (instrument, side) -> price -> id -> order, first in first
        self.taker: Order | None = None
        self.maker: tuple[Order, Told] | None = None    # filled, and its taker not yet told
        self.left = False                               # an amended order has left its level, whose LEVEL comes first
        self.matches = 0
        self.open_of: dict[int, int] = {}               # account -> orders at rest

    # --------------------------------------------------------------------------------------------------------------------- refusals
    def collar(self, terms: Terms, side: int, price: int, now: int) -> int:
        """0, or why a price may not be (on its own side)."""
        if not terms.collar_ppm:
            return 0
        reference = self.figures.reference(terms.number, now)
        if not reference:
            return R.NO_REFERENCE
        band = reference * terms.collar_ppm // 1_000_000
        return R.COLLAR if (price > reference + band if side == Side.BUY else price < reference - band) else 0

    def market_price(self, terms: Terms, side: int, now: int) -> int:
        """The limit of a market order: the band's edge, inward to the tick and the range; 0 without a reference."""
        reference = self.figures.reference(terms.number, now)
        if not terms.collar_ppm or not reference:
            return 0
        band = reference * terms.collar_ppm // 1_000_000
        highest = terms.max_price - (terms.max_price - terms.min_price) % terms.book_tick
        if side == Side.BUY:
            return max(min((reference + band) // terms.book_tick * terms.book_tick, highest), terms.min_price)
        return min(max(-(-(reference - band) // terms.book_tick) * terms.book_tick, terms.min_price), highest)

    def refuses(self, c: Row, now: int) -> int:
        """Why a NEW_ORDER is refused after the preamble; 0 if it is not."""
        f = self.figures
        if f.kind(c.account) not in TRADERS:
            return R.NOT_ALLOWED
        terms = f.instruments.get(c.instrument)
        if terms is None:
            return R.UNKNOWN_INSTRUMENT
        market, price = c.order_type == OrderType.MARKET, c.price
        shape = [(R.HALTED, terms.halted), (R.BAD_SIDE, c.side > 1), (R.BAD_TYPE, c.order_type > 1), (R.BAD_TIME_IN_FORCE, c.time_in_force > 2),
                 (R.BAD_SELF_TRADE, c.self_trade > 3), (R.BAD_VALUE, c.post_only > 1 or (c.post_only and (market or c.time_in_force))),
                 (R.BAD_PRICE, price != 0 if market else not terms.min_price <= price <= terms.max_price),
                 (R.BAD_TIME_IN_FORCE, market and c.time_in_force == TimeInForce.FOK), (R.OFF_TICK, not market and price % terms.book_tick)]
        for reason, holds in (*shape, *self._sizes(terms, c.quantity)):
            if holds:
                return reason
        if market:
            price = self.market_price(terms, c.side, now)
            if not price:
                return R.NO_REFERENCE
        elif why := self.collar(terms, c.side, price, now):
            return why
        if terms.amount_up(c.quantity, price) > terms.max_notional:
            return R.MAX_NOTIONAL
        if self.open_of.get(c.account, 0) >= f.accounts[c.account].max_open:
            return R.OPEN_ORDERS
        if f.over_position(c.account, c.instrument, c.side, c.quantity):
            return R.POSITION
        if why := self._funds(terms, c.account, c.side, c.quantity, price, max(terms.maker_ppm, terms.taker_ppm)):
            return why
        best = self.best(c.instrument, 1 - c.side)
        if c.post_only and best and crosses(c.side, price, best):
            return R.POST_ONLY
        if c.time_in_force == TimeInForce.FOK and self._within(c, price) < c.quantity:
            return R.UNFILLABLE
        return 0

    def _sizes(self, terms: Terms, quantity: int) -> list[tuple[int, bool]]:
        return [(R.BAD_QUANTITY, quantity <= 0), (R.OFF_LOT, quantity % terms.lot != 0), (R.MAX_QUANTITY, quantity > terms.max_quantity)]

    def _funds(self, terms: Terms, account: int, side: int, leaves: int, price: int, ppm: int, had: int = 0) -> int:
        asset, wanted = terms.hold(side, leaves, price, ppm)
        more = max(wanted - had, 0)
        if terms.prefunded:
            return R.INSUFFICIENT if more > 0 and self.figures.free(account, asset) < more else 0
        room = self.figures.room(account, asset)
        line = self.figures.line(account, asset)
        return R.CREDIT if line is None or (more > 0 and more > room) else 0

    def _within(self, c: Row, price: int) -> int:
        """What a fill-or-kill order would find."""
        found = 0
        side = self.levels.get((c.instrument, 1 - c.side), {})
        for level in sorted(side, reverse=c.side == Side.SELL):
            if not crosses(c.side, price, level):
                break
            for maker in side[level].values():
                if self.is_dying(maker):
                    continue
                if maker.account == c.account:
                    if c.self_trade in (SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_BOTH):
                        return found
                    continue
                found += maker.leaves
        return found

    def refuses_amend(self, c: Row, now: int) -> int:
        order = self.orders.get(c.order)
        if order is None or order.account != c.account:
            return R.UNKNOWN_ORDER
        terms, f = order.terms, self.figures
        leaves = c.quantity - (order.quantity - order.leaves)
        for reason, holds in ((R.DYING, self.is_dying(order)), (R.HALTED, terms.halted), (R.BAD_PRICE, not terms.min_price <= c.price <= terms.max_price),
                              (R.OFF_TICK, c.price % terms.book_tick), (R.BAD_QUANTITY, c.quantity <= 0 or leaves <= 0), (R.OFF_LOT, c.quantity % terms.lot),
                              (R.MAX_QUANTITY, c.quantity > terms.max_quantity)):
            if holds:
                return reason
        if why := self.collar(terms, order.side, c.price, now):
            return why
        if terms.amount_up(leaves, c.price) > terms.max_notional:
            return R.MAX_NOTIONAL
        if f.over_position(c.account, terms.number, order.side, leaves, order.leaves):
            return R.POSITION
        if why := self._funds(terms, c.account, order.side, leaves, c.price, max(terms.maker_ppm, terms.taker_ppm), order.hold):
            return why
        best = self.best(terms.number, 1 - order.side)
        return R.POST_ONLY if order.post_only and best and crosses(order.side, c.price, best) else 0

    # ---------------------------------------------------------------------------------------------------------------------- events
    def accepted(self, e: Told, c: Row, now: int) -> None:
        if c.kind != Kind.NEW_ORDER or (e.instrument, e.account, e.side, e.quantity, e.leaves) != (c.instrument, c.account, c.side, c.quantity, c.quantity):
            raise Wrong(f"an order is accepted that was not asked for: {e}")
        terms = self.figures.instruments[e.instrument]
        price = self.market_price(terms, c.side, now) if c.order_type == OrderType.MARKET else c.price
        if e.price != price:
            raise Wrong(f"order {e.id} is accepted at {e.price}; its limit is {price}")
        if e.id in self.orders:
            raise Wrong(f"order {e.id} is accepted twice")
        order = Order(id=e.id, account=e.account, instrument=e.instrument, side=e.side, price=e.price, quantity=e.quantity, leaves=e.quantity, hold=0,
                      ppm=max(terms.maker_ppm, terms.taker_ppm), self_trade=c.self_trade, post_only=c.post_only, terms=terms, resting=False,
                      immediate=c.order_type == OrderType.MARKET or c.time_in_force != TimeInForce.GTC)
        self._hold(order)
        self.taker, self.left = order, False

    def _hold(self, order: Order) -> None:
        """Brings what is held to what the leaves may cost; gives back what is not needed any more."""
        asset, wanted = order.terms.hold(order.side, order.leaves, order.price, order.ppm)
        self._move_hold(order, asset, wanted)

    def _move_hold(self, order: Order, asset: int, wanted: int) -> None:
        change = wanted - order.hold
        if order.terms.prefunded:
            self.figures.post(order.account, asset, available=-change, held=change)
        else:
            line = self.figures.line(order.account, asset)
            if line is None:
                raise Wrong(f"order {order.id} of account {order.account} is on credit, and there is no line")
            line.reserved += change
        order.hold = wanted

    def filled(self, e: Told, now: int) -> None:
        """The maker's event first, then the taker's; both of one match."""
        if e.liquidity == Liquidity.MAKER:
            if self.maker is not None:
                raise Wrong(f"two makers are filled before a taker: {e}")
            self.maker = self._first(e), e
            return
        if self.maker is None or self.taker is None or e.id != self.taker.id:
            raise Wrong(f"a taker is filled and no maker before it, or it is another order: {e}")
        (maker, m), taker, self.maker = self.maker, self.taker, None
        if (m.other, m.price, m.quantity, m.amount, m.instrument) != (e.other, e.price, e.quantity, e.amount, e.instrument) or m.side == e.side:
            raise Wrong(f"maker and taker of one match were told different things: {m} {e}")
        self.matches += 1
        if e.other != self.matches:
            raise Wrong(f"match number {e.other}; right would be {self.matches}")
        if maker.account == taker.account:
            raise Wrong(f"account {maker.account} trades with itself: {e}")
        if e.price != maker.price or not crosses(taker.side, taker.price, e.price):
            raise Wrong(f"a trade at {e.price}; the maker's price is {maker.price}, the taker's limit {taker.price}")
        if e.quantity != min(maker.leaves, taker.leaves):
            raise Wrong(f"{e.quantity} are traded; right would be {min(maker.leaves, taker.leaves)}")
        if e.instrument != maker.instrument or taker.terms.halted:
            raise Wrong(f"a trade in instrument {e.instrument}, of which the maker is not, or which is halted")
        self._trade(maker, taker, m, e)

    def _first(self, e: Told) -> Order:
        """The maker must be the first of the best price."""
        taker, maker = self.taker, self.orders.get(e.id)
        if taker is None or maker is None:
            raise Wrong(f"order {e.id} is filled as a maker and does not rest, or meets nobody")
        side = self.levels.get((maker.instrument, maker.side), {})
        best = self.best(maker.instrument, maker.side)
        if maker.price != best or next(iter(side[best])) != maker.id:
            raise Wrong(f"order {e.id} at {maker.price} is filled before order {next(iter(side[best]))} at {best}, which was first")
        if self.is_dying(maker) or self.figures.accounts[maker.account].killed:
            raise Wrong(f"order {e.id} is filled, and it is dying or its account was killed")
        return maker

    def _trade(self, maker: Order, taker: Order, m: Told, e: Told) -> None:
        terms = maker.terms
        amount = terms.amount(e.quantity, e.price)
        fees = fee(amount, min(terms.maker_ppm, maker.ppm)), fee(amount, terms.taker_ppm)
        if e.amount != amount or (m.fee, e.fee) != fees:
            raise Wrong(f"{e.quantity} at {e.price} is {e.amount} with fees {m.fee} and {e.fee}; right would be {amount} with {fees[0]} and {fees[1]}")
        for order, told in ((maker, m), (taker, e)):
            order.leaves -= e.quantity
            if told.leaves != order.leaves:
                raise Wrong(f"order {order.id} has {told.leaves} left; right would be {order.leaves}")
            if order.resting:
                self.figures.rest(order.account, order.instrument, order.side, -e.quantity)
            self._hold(order)
        buyer, seller = (maker, taker) if maker.side == Side.BUY else (taker, maker)
        fee_of = {maker.id: fees[0], taker.id: fees[1]}
        move(self.figures, terms, buyer.account, seller.account, e.quantity, amount, fee_of[buyer.id], fee_of[seller.id])
        if not maker.leaves:
            self._gone(maker)

    def reduced(self, e: Told) -> None:
        """A self-trade that both avoid: maker, then taker."""
        order = self.taker if self.taker is not None and self.taker.id == e.id else self.orders.get(e.id)
        if order is None or e.reason != R.SELF_TRADE or e.leaves != order.leaves - e.quantity or e.leaves < 0:
            raise Wrong(f"an order is reduced that is not there, or wrongly: {e}")
        order.leaves -= e.quantity
        order.quantity -= e.quantity
        if order.resting:
            self.figures.rest(order.account, order.instrument, order.side, -e.quantity)
        self._hold(order)

    def cancelled(self, e: Told) -> None:
        taker = self.taker
        order = taker if taker is not None and taker.id == e.id else self.orders.get(e.id)
        if order is None or (e.account, e.quantity) != (order.account, order.leaves):
            raise Wrong(f"an order is cancelled that is not there, or not with its leaves {order and order.leaves}: {e}")
        if e.reason == R.IMMEDIATE and not (order is taker and order.immediate):
            raise Wrong(f"order {e.id} is cancelled as immediate and is not")
        if e.reason in (R.DYING, R.CANCEL_ALL) and not self.is_dying(order) and not self.figures.accounts[order.account].killed:
            raise Wrong(f"order {e.id} is cancelled as dying and is not")
        if order.resting:
            self.figures.rest(order.account, order.instrument, order.side, -order.leaves)
            self._gone(order)
        order.leaves = 0
        self._hold(order)
        if order is taker:
            self.taker = None

    def amended(self, e: Told, c: Row) -> None:
        order = self.orders.get(e.id)
        if order is None or c.kind != Kind.AMEND_ORDER or e.id != c.order or (e.price, e.quantity) != (c.price, c.quantity):
            raise Wrong(f"an order is amended that was not asked for: {e}")
        leaves = c.quantity - (order.quantity - order.leaves)
        if e.leaves != leaves:
            raise Wrong(f"amended order {e.id} has {e.leaves} left; right would be {leaves}")
        keeps = e.price == order.price and leaves <= order.leaves
        terms = order.terms
        self.figures.rest(order.account, order.instrument, order.side, (leaves if keeps else 0) - order.leaves)
        order.quantity, order.ppm, self.left = c.quantity, max(terms.maker_ppm, terms.taker_ppm), False
        if keeps:
            order.leaves = leaves
        else:
            self._gone(order)
            order.resting, order.leaves, order.price = False, leaves, e.price
            self.taker, self.left = order, True
        self._hold(order)

    def level(self, e: Told) -> None:
        """What the public is told of a level is what it is."""
        taker = self.taker
        if taker is not None and e.side == taker.side and e.instrument == taker.instrument:
            if self.left:
                self.left = False                       # of the level it left
            else:
                self._rest(taker)
        level = self.levels.get((e.instrument, e.side), {}).get(e.price, {})
        right = sum(order.leaves for order in level.values()), len(level)
        if (e.quantity, e.leaves) != right or e.account:
            raise Wrong(f"level {e.price} of instrument {e.instrument} side {e.side} is told as {e.quantity} in {e.leaves} orders; right would be {right}")

    def _rest(self, order: Order) -> None:
        if order.immediate or not order.leaves:
            raise Wrong(f"order {order.id} rests with {order.leaves} left and may not")
        order.resting, self.taker = True, None
        self.orders[order.id] = order
        self.levels.setdefault((order.instrument, order.side), {}).setdefault(order.price, {})[order.id] = order
        self.figures.rest(order.account, order.instrument, order.side, order.leaves)
        self.open_of[order.account] = self.open_of.get(order.account, 0) + 1
        best = self.best(order.instrument, 1 - order.side)
        if best and crosses(order.side, order.price, best):
            raise Wrong(f"order {order.id} rests at {order.price} against {best}: the book of instrument {order.instrument} is crossed")

    def _gone(self, order: Order) -> None:
        side = self.levels[order.instrument, order.side]
        del side[order.price][order.id]
        if not side[order.price]:
            del side[order.price]
        del self.orders[order.id]
        self.open_of[order.account] -= 1

    def best(self, instrument: int, side: int) -> int:
        """The best price there, 0 for none."""
        levels = self.levels.get((instrument, side))
        return 0 if not levels else max(levels) if side == Side.BUY else min(levels)

    def is_dying(self, order: Order) -> bool:
        return (order.id & 0xFFFF_FFFF) < self.figures.accounts[order.account].dying_below

    def end(self) -> None:
        """After a command nothing is left half done."""
        if self.maker is not None:
            raise Wrong(f"a maker was filled and no taker: {self.maker[1]}")
        if self.taker is not None and self.taker.leaves:
            raise Wrong(f"order {self.taker.id} has {self.taker.leaves} left, and neither rests nor was cancelled")
        self.taker = None


def crosses(side: int, limit: int, price: int) -> bool:
    """Whether an order of this side and limit meets that price."""
    return price <= limit if side == Side.BUY else price >= limit


def move(f: Figures, terms: Terms, buyer: int, seller: int, quantity: int, amount: int, buyer_fee: int, seller_fee: int) -> None:
    """The postings of one trade (section 5)."""
    fees = f.single_account(AccountKind.FEES)
    bucket = "available" if terms.prefunded else "unsettled"
    for account, base, quote in ((buyer, quantity, -(amount + buyer_fee)), (seller, -quantity, amount - seller_fee), (fees, 0, buyer_fee + seller_fee)):
        if base:
            f.post(account, terms.base, **{bucket: base})
        if quote:
            f.post(account, terms.quote, **{bucket: quote})
    if not terms.prefunded:
        for account in (buyer, seller):
            line = f.line(account, terms.quote)
            if line is None:
                raise Wrong(f"account {account} trades on credit, and there is no line")
            line.traded += amount
    f.net[buyer, terms.number] += quantity
    f.net[seller, terms.number] -= quantity
