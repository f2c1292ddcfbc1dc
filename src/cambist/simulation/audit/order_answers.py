"""Why an order may not be: the auditor's word on NEW_ORDER, AMEND_ORDER and MASS_QUOTE after the preamble (rules, sections 4, 12 to 14).

Decides the reason, 0 for none, or None where it says nothing: of what is more than a plain order it judges shape and session only, for what becomes of it is
checked event by event. It never looks at exposure and daily loss.
"""
from __future__ import annotations

from collections.abc import Iterable

from cambist.messages import (
    BY_QUOTE, CALLS, PEGGED, REDUCE_ONLY, OrderState, OrderType, PostOnly, Reason, SelfTrade, Session, Side, TimeInForce, Trigger,
)
from cambist.simulation.audit.figures import Figures, Row, Terms
from cambist.simulation.audit.order_states import AUCTION_ORDERS, Order, crosses
from cambist.simulation.audit.trading import TRADERS, Books

R = Reason
LASTING = (TimeInForce.GTC, TimeInForce.DAY, TimeInForce.GTD)
SHUT = (Session.CANCEL_ONLY, Session.CLOSED)
MOST = (1 << 62) - 1


def first(rules: Iterable[tuple[int, object]]) -> int:
    return next((reason for reason, holds in rules if holds), 0)


class Entry:
    """What each command about orders is refused for."""

    def __init__(self, figures: Figures, books: Books) -> None:
        self.figures, self.books, self.standing = figures, books, books.standing

    def _doubtful(self, terms: Terms, now: int) -> bool:
        """Whether an auction may be ending, which nobody is told."""
        return terms.session in CALLS and (terms.ending or bool(terms.uncross) or bool(terms.ends and terms.ends <= now))

    def _open(self, c: Row, terms: Terms) -> int:
        return first(((R.HALTED, terms.halted), (R.SESSION, terms.session in SHUT), (R.RESTRICTED, self.figures.is_barred(c.account, c.actor, terms.number))))

    # --------------------------------------------------------------------------------------------------------------------- NEW_ORDER
    def new_order(self, c: Row, now: int) -> int | None:
        f = self.figures
        if f.kind(c.account) not in TRADERS:
            return R.NOT_ALLOWED
        terms = f.instruments.get(c.instrument)
        if terms is None:
            return R.UNKNOWN_INSTRUMENT
        if self._doubtful(terms, now) and not terms.halted:
            return None
        if why := self._open(c, terms) or self._words(c, terms, now) or self._sizes(c, terms) or self._gathers(c, terms):
            return why
        if c.trigger or c.order_type in PEGGED or c.options or c.display or c.minimum or c.post_only == PostOnly.SLIDE or terms.session != Session.CONTINUOUS \
                or c.time_in_force in AUCTION_ORDERS:
            return None
        return self._plain(c, terms, now)

    def _words(self, c: Row, terms: Terms, now: int) -> int:
        """Lines 2 to 4."""
        market, lasting, auction, peg = c.order_type == OrderType.MARKET, c.time_in_force in LASTING, c.time_in_force in AUCTION_ORDERS, c.order_type in PEGGED
        quoted = c.options & BY_QUOTE
        return first((
            (R.BAD_SIDE, c.side > 1), (R.BAD_TYPE, c.order_type > 4), (R.BAD_TIME_IN_FORCE, c.time_in_force > 7), (R.BAD_SELF_TRADE, c.self_trade > 3),
            (R.BAD_VALUE, c.post_only > 2 or (c.post_only and (c.order_type != OrderType.LIMIT or not lasting or c.trigger))),
            (R.BAD_VALUE, c.options & ~(REDUCE_ONLY | BY_QUOTE)),
            (R.BAD_VALUE, quoted and (not market or c.time_in_force > 1 or c.trigger or c.options & REDUCE_ONLY or c.link or
                                      c.self_trade == SelfTrade.DECREMENT)),
            (R.BAD_VALUE, not 0 <= c.offset <= MOST or (c.offset and not peg)), (R.BAD_LINK, c.link),
            (R.BAD_PRICE, c.price != 0 if market else not terms.min_price <= c.price <= terms.max_price),
            (R.BAD_TIME_IN_FORCE, market and not (c.time_in_force <= 1 or auction or (c.trigger and lasting))),
            (R.OFF_TICK, not market and c.price % terms.book_tick), (R.BAD_TIME_IN_FORCE, peg and not lasting),
            (R.BAD_TRIGGER, self._bad_trigger(c, terms)),
            (R.BAD_TTL, c.good_till <= now if c.time_in_force == TimeInForce.GTD else c.good_till)))

    def _bad_trigger(self, c: Row, terms: Terms) -> bool:
        if c.trigger > 3 or c.trigger_on > 2:
            return True
        if not c.trigger:
            return bool(c.trigger_on or c.trigger_price)
        trailing = c.trigger == Trigger.TRAILING
        if c.order_type in PEGGED or c.time_in_force == TimeInForce.FOK or c.time_in_force in AUCTION_ORDERS or (trailing and c.order_type != OrderType.MARKET):
            return True
        return not (1 if trailing else terms.min_price) <= c.trigger_price <= terms.max_price

    def _sizes(self, c: Row, terms: Terms) -> int:
        """Line 5."""
        quoted, limit = c.options & BY_QUOTE, c.order_type == OrderType.LIMIT
        lasts = c.time_in_force in LASTING or c.time_in_force in AUCTION_ORDERS
        whole = c.minimum % terms.lot == 0 and 1 <= c.minimum <= c.quantity
        plain = (limit or (c.order_type == OrderType.MARKET)) and c.time_in_force not in AUCTION_ORDERS and not (c.trigger or c.post_only or quoted or c.link)
        return first(((R.BAD_QUANTITY, c.quantity < 1 or (quoted and c.quantity > MOST)), (R.OFF_LOT, not quoted and c.quantity % terms.lot),
                      (R.MAX_QUANTITY, not quoted and c.quantity > terms.max_quantity),
                      (R.BAD_DISPLAY, c.display and not (limit and lasts and c.display % terms.lot == 0 and 1 <= c.display <= c.quantity)),
                      (R.BAD_VALUE, c.minimum and not (whole and plain))))

    def _gathers(self, c: Row, terms: Terms) -> int:
        """Line 6."""
        if terms.session == Session.CONTINUOUS:
            return R.SESSION if c.time_in_force == TimeInForce.AUCTION else 0
        at_once = c.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)
        market = c.order_type == OrderType.MARKET and not c.trigger and c.time_in_force not in AUCTION_ORDERS
        return R.SESSION if at_once or market or c.order_type in PEGGED or c.post_only or c.minimum else 0

    def _plain(self, c: Row, terms: Terms, now: int) -> int | None:
        """Lines 7 to 9, of an order that enters at once and is nothing but a limit or a market order."""
        f, market, price = self.figures, c.order_type == OrderType.MARKET, c.price
        if market:
            price = self.books.collar_edge(terms, c.side, f.reference(terms.number, now))
            if not price:
                return R.NO_REFERENCE
        elif why := self.books.collar(terms, c.side, price, now):
            return why
        fees = f.schedule(c.account, terms.number)
        wanted = terms.hold(c.side, c.quantity, price, max(fees.maker, fees.taker), fees.minimum)
        why = first(((R.MAX_NOTIONAL, terms.amount_up(c.quantity, price) > terms.max_notional),
                     (R.OPEN_ORDERS, self.standing.open_of.get(c.account, 0) >= f.accounts[c.account].max_open),
                     (R.POSITION, f.over_position(c.account, c.instrument, c.side, c.quantity))))
        if why := why or self._funds(terms, c.account, c.side, wanted):
            return why
        best = self.standing.best(c.instrument, 1 - c.side)
        if c.post_only and best and crosses(c.side, price, best):
            return R.POST_ONLY
        within = self._within(c, terms, price, now) if c.time_in_force == TimeInForce.FOK else c.quantity
        return None if within is None else R.UNFILLABLE if within < c.quantity else 0

    def _funds(self, terms: Terms, account: int, side: int, more: int) -> int:
        asset = terms.held_asset(side)
        if terms.prefunded:
            return R.INSUFFICIENT if more > 0 and self.figures.free(account, asset) < more else 0
        line = self.figures.line(account, asset)
        return R.CREDIT if line is None or (more > 0 and more > self.figures.room(account, asset)) else 0

    def _within(self, c: Row, terms: Terms, price: int, now: int) -> int | None:
        """What a fill-or-kill order would find; None where nobody can say."""
        found, anchor = 0, self._anchor(terms, now)
        band = anchor * terms.band_ppm // 1_000_000
        for maker in self.standing.better(c.instrument, 1 - c.side):
            if not crosses(c.side, price, maker.price) or (anchor and abs(maker.price - anchor) > band):
                break
            if self.standing.is_dying(maker, now) or maker.options & REDUCE_ONLY:
                continue
            if self.standing.may_die(maker, now):
                return None
            if not self.figures.strangers(maker.account, c.account):
                if c.self_trade in (SelfTrade.CANCEL_NEWEST, SelfTrade.CANCEL_BOTH):
                    break
                continue
            found += maker.leaves
        return found

    def _anchor(self, terms: Terms, now: int) -> int:
        """What the band is around, of an order that comes now; 0: no band."""
        if not terms.band_ppm:
            return 0
        kept = terms.anchor if terms.anchor_window == now // terms.window else 0
        return kept or terms.book_last or self.figures.reference(terms.number, now)

    # ------------------------------------------------------------------------------------------------------------------ AMEND_ORDER
    def amend(self, c: Row, now: int) -> int | None:
        order = self.books.orders.get(c.order)
        if order is None or order.account != c.account:
            return R.UNKNOWN_ORDER
        terms = order.terms
        if self.standing.is_dying(order, now):
            return R.DYING
        if order.link or self.standing.may_die(order, now) or (self._doubtful(terms, now) and not terms.halted):
            return None
        leaves = c.quantity - (order.quantity - order.leaves)
        moves = order.state != OrderState.BOOK or order.type in PEGGED or order.quoted
        if why := self._open(c, terms) or first(((R.UNAMENDABLE, moves), (R.BAD_PRICE, not terms.min_price <= c.price <= terms.max_price),
                                                 (R.OFF_TICK, c.price % terms.book_tick), (R.BAD_QUANTITY, c.quantity <= 0 or leaves <= 0),
                                                 (R.OFF_LOT, c.quantity % terms.lot), (R.MAX_QUANTITY, c.quantity > terms.max_quantity))):
            return why
        if why := self.books.collar(terms, order.side, c.price, now):
            return why
        return None if order.options or order.post_only == PostOnly.SLIDE else self._amend_risk(order, terms, c, leaves)

    def _amend_risk(self, order: Order, terms: Terms, c: Row, leaves: int) -> int:
        f = self.figures
        fees = f.schedule(c.account, terms.number)
        wanted = terms.hold(order.side, leaves, c.price, max(fees.maker, fees.taker), 0 if order.executed else fees.minimum)
        why = first(((R.MAX_NOTIONAL, terms.amount_up(leaves, c.price) > terms.max_notional),
                     (R.POSITION, f.over_position(c.account, terms.number, order.side, leaves, order.leaves))))
        if why := why or self._funds(terms, c.account, order.side, max(wanted - order.hold, 0)):
            return why
        best = self.standing.best(terms.number, 1 - order.side)
        crossed = terms.session == Session.CONTINUOUS and best and crosses(order.side, c.price, best)
        return R.POST_ONLY if order.post_only and crossed else 0

    # ------------------------------------------------------------------------------------------------------------------- the others
    def mass_quote(self, c: Row, now: int) -> int | None:
        """Shape, session and latches; what the sides are refused for is not said here."""
        f = self.figures
        if f.kind(c.account) not in TRADERS:
            return R.NOT_ALLOWED
        terms = f.instruments.get(c.instrument)
        if terms is None:
            return R.UNKNOWN_INSTRUMENT
        if self._doubtful(terms, now) and not terms.halted:
            return None
        sides = [(Side.BUY, c.bid, c.bid_quantity), (Side.SELL, c.ask, c.ask_quantity)]
        rules = [(R.FROZEN, f.frozen.get((c.account, c.instrument), 0)), (R.BAD_SELF_TRADE, c.self_trade > 3)]
        for side, price, quantity in sides:
            if price or quantity:
                rules += [(R.BAD_PRICE, not terms.min_price <= price <= terms.max_price), (R.OFF_TICK, price % terms.book_tick), (R.BAD_QUANTITY, quantity < 1),
                          (R.OFF_LOT, quantity % terms.lot), (R.MAX_QUANTITY, quantity > terms.max_quantity)]
                if why := self._open(c, terms) or first(rules) or self.books.collar(terms, side, price, now):
                    return why
        if why := self._open(c, terms) or first(rules):
            return why
        return R.CROSSED_QUOTE if c.bid and c.ask and c.bid >= c.ask else None

    def cancel(self, c: Row, now: int) -> int | None:
        order = self.books.orders.get(c.order)
        if order is None or order.account != c.account:
            return R.UNKNOWN_ORDER
        return None if order.state == OrderState.BOOK and self._doubtful(order.terms, now) else 0

    def cancel_some(self, c: Row, now: int) -> int | None:
        row = self.figures.accounts[c.account]
        return first(((R.BAD_SIDE, c.side > 2), (R.UNKNOWN_INSTRUMENT, c.instrument and c.instrument not in self.figures.instruments))) or \
            (None if row.some is not None else 0)

    def session(self, c: Row, now: int) -> int | None:
        return None if c.instrument in self.figures.instruments else R.UNKNOWN_INSTRUMENT
