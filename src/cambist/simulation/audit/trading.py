"""The auditor's order books: price and time priority, holds, trades and their postings, from the rules of sections 4, 5, 12 and 13.

Decides whether each event of an order can be, and what it moves. Nothing is predicted that was not told; but what is told must be the one thing that is right.
What an order may be refused for is `order_answers.py`.
"""
from __future__ import annotations

from cambist.messages import (
    CALLS, PEGGED, AccountKind, Event, Kind, Link, Liquidity, OrderState, OrderType, PostOnly, Reason, Session, Side, TimeInForce, Trigger, TriggerOn,
)
from cambist.simulation.audit.figures import Figures, Row, Terms, Wrong, charge, up
from cambist.simulation.audit.order_states import AT_ONCE, AUCTION_ORDERS, ENTERING, Order, Standing, auction_price, crosses
from cambist.simulation.workload import Told

R = Reason
TRADERS = (AccountKind.CLIENT, AccountKind.DEALER, AccountKind.DESK)
LATE_NS = 3_000_000_000                         # at least so long after its time nothing is still waiting for its turn
DYING = (R.DYING, R.CANCEL_ALL)
RISING = {(Trigger.STOP, Side.BUY), (Trigger.TRAILING, Side.BUY), (Trigger.TAKE_PROFIT, Side.SELL)}


class Books:
    """Every order that stands, and those that enter in the command at work."""

    def __init__(self, figures: Figures) -> None:
        self.figures = figures
        self.standing = Standing(figures)
        self.following: Told | None = None              # the event after the one that is read
        self.maker: Told | None = None                  # filled, and its taker not yet told
        self.bought: Told | None = None                 # of an auction's trade, and its seller not yet told
        self.charges: dict[tuple[int, int], tuple[int, int]] = {}       # (account, order) -> (asset, amount) that must be charged next
        self.listed: list[Order] = []                   # of the order list that is being accepted
        self.moving: dict[int, None] = {}               # instruments with another price than when the command began
        self.rested: dict[int, None] = {}               # instruments whose book must not be crossed when the command ends
        self.left: tuple[int, int, int] | None = None   # the level that an amended order has just left
        self.matches = 0

    @property
    def orders(self) -> dict[int, Order]:
        return self.standing.orders

    # ------------------------------------------------------------------------------------------------------------------- acceptance
    def collar_edge(self, terms: Terms, side: int, centre: int) -> int:
        """The limit of a market order: the band's edge, inward to the tick and the range; 0 without a centre."""
        if not terms.collar_ppm or not centre:
            return 0
        band = centre * terms.collar_ppm // 1_000_000
        highest = terms.max_price - (terms.max_price - terms.min_price) % terms.book_tick
        if side == Side.BUY:
            return max(min((centre + band) // terms.book_tick * terms.book_tick, highest), terms.min_price)
        return min(max(-(-(centre - band) // terms.book_tick) * terms.book_tick, terms.min_price), highest)

    def collar(self, terms: Terms, side: int, price: int, now: int, centre: int = 0) -> int:
        """0, or why a price may not be (on its own side). `centre`: of a stop its trigger price, else the reference."""
        if not terms.collar_ppm:
            return 0
        centre = centre or self.figures.reference(terms.number, now)
        if not centre:
            return R.NO_REFERENCE
        band = centre * terms.collar_ppm // 1_000_000
        return R.COLLAR if (price > centre + band if side == Side.BUY else price < centre - band) else 0

    def limit_of(self, terms: Terms, c: Row, trigger_price: int, now: int) -> int:
        """The price that a new order is accepted at."""
        if c.order_type == OrderType.MARKET:
            return self.collar_edge(terms, c.side, trigger_price or self.figures.reference(terms.number, now))
        best = self.standing.best(terms.number, 1 - c.side)
        if c.post_only == PostOnly.SLIDE and terms.session == Session.CONTINUOUS and best and crosses(c.side, c.price, best):
            return best - terms.book_tick if c.side == Side.BUY else best + terms.book_tick
        return c.price

    def accepted(self, e: Told, c: Row, now: int) -> None:
        if c.kind != Kind.NEW_ORDER or (e.instrument, e.account, e.side, e.quantity, e.leaves) != (c.instrument, c.account, c.side, c.quantity, c.quantity):
            raise Wrong(f"an order is accepted that was not asked for: {e}")
        terms, standing = self.figures.instruments[e.instrument], self.standing
        if (price := self.limit_of(terms, c, e.other, now)) != e.price:
            raise Wrong(f"order {e.id} is accepted at {e.price}; its limit is {price}")
        if c.trigger and e.other != (right := self._trigger_price(terms, c, now) or e.other):
            raise Wrong(f"order {e.id} waits for {e.other}; right would be {right}")
        order = standing.made(e.id, e.account, terms, e.side, e.price, e.quantity, self_trade=c.self_trade, post_only=c.post_only, options=c.options,
                              tif=c.time_in_force, type=c.order_type, display=c.display, trigger=c.trigger, trigger_on=c.trigger_on, trigger_price=e.other,
                              distance=c.trigger_price if c.trigger == Trigger.TRAILING else 0, offset=c.offset, good_till=c.good_till, link=c.link,
                              actor=c.actor, sequence=e.sequence)
        if c.link:
            self._link(order)
        standing.add(order)
        if c.link == Link.CHILD:
            standing.put(order, OrderState.ASLEEP)
        elif c.trigger or c.time_in_force in (TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE):
            standing.put(order, OrderState.WAITING)
        else:
            standing.put(order, ENTERING)

    def _trigger_price(self, terms: Terms, c: Row, now: int) -> int:
        if c.trigger != Trigger.TRAILING:
            return c.trigger_price
        price = {TriggerOn.LAST: terms.book_last, TriggerOn.INDEX: terms.told}.get(c.trigger_on, 0)
        return 0 if not price else price - c.trigger_price if c.side == Side.SELL else price + c.trigger_price

    def _link(self, order: Order) -> None:
        """To the orders of its list that came before it."""
        first = self.listed[0] if self.listed else None
        if first is not None and first.link == Link.PARENT and order.link == Link.CHILD:
            order.parent = first
        before = self.listed[-1] if self.listed else None
        if before is not None and before.link == order.link and order.link in (Link.OCO, Link.CHILD):
            order.mate, before.mate = before, order
        self.listed.append(order)

    def quoted(self, e: Told, c: Row) -> None:
        """Both sides of a mass quote stand in the place of the old ones."""
        asked = (c.account, c.instrument, c.bid, c.ask, c.bid_quantity, c.ask_quantity)
        if c.kind != Kind.MASS_QUOTE or (e.account, e.instrument, e.price, e.amount, e.quantity, e.leaves) != asked:
            raise Wrong(f"a quote stands in the book that was not given: {e}")
        terms, standing, key = self.figures.instruments[e.instrument], self.standing, (e.account, e.instrument)
        for number in list(standing.quotes.get(key, ())):
            old = standing.orders[number]
            old.takes(cancelled=old.leaves)
            standing.gone(old)
        standing.quotes[key] = []
        for number, side, price, quantity in ((e.id, Side.BUY, e.price, e.quantity), (e.other, Side.SELL, e.amount, e.leaves)):
            if bool(number) != bool(quantity):
                raise Wrong(f"a side of a quote is given and does not stand, or stands and is not given: {e}")
            if number:
                order = standing.made(number, e.account, terms, side, price, quantity, self_trade=c.self_trade, actor=c.actor, sequence=e.sequence, quoted=1)
                standing.add(order)
                standing.rest(order, price)
                standing.quotes[key].append(number)
                self.rested[e.instrument] = None

    # ------------------------------------------------------------------------------------------------------------------------ trades
    def _entered(self, number: int) -> Order:
        """The order that meets those at rest: just accepted, amended, or the first of its queue."""
        order = self.standing.entering.get(number)
        if order is None:
            order = self.orders.get(number)
            if order is None or order.state != OrderState.TRIGGERED or self.standing.queues[order.instrument][0] != number:
                raise Wrong(f"order {number} takes, and neither enters nor is the first that waits to")
            self._enter(order)
        return order

    def _enter(self, order: Order) -> None:
        self.standing.put(order, ENTERING)
        order.queued = 1

    def filled(self, e: Told, now: int) -> None:
        """The maker's event first, then the taker's; of an auction the buyer's, then the seller's; both of one match."""
        if e.liquidity == Liquidity.AUCTION:
            if self.bought is None:
                self.bought = e
                return
            buyer, self.bought = self.bought, None
            self._auction_trade(buyer, e, now)
        elif e.liquidity == Liquidity.MAKER:
            if self.maker is not None:
                raise Wrong(f"two makers are filled before a taker: {e}")
            self.maker = e
        elif self.maker is None:
            raise Wrong(f"a taker is filled and no maker before it: {e}")
        else:
            m, self.maker = self.maker, None
            self._meet(m, e, now)

    def _meet(self, m: Told, e: Told, now: int) -> None:
        taker, maker = self._entered(e.id), self.orders.get(m.id)
        if maker is None or maker.state != OrderState.BOOK:
            raise Wrong(f"order {m.id} is filled as a maker and does not rest")
        self._same_match(m, e)
        terms, first = taker.terms, self.standing.first(maker.instrument, maker.side)
        if first is not maker:
            raise Wrong(f"order {m.id} at {maker.price} is filled before order {first and first.id} at {first and first.price}, which was first")
        if self.standing.is_dying(maker, now):
            raise Wrong(f"order {m.id} is filled, and it is dying or its account was killed")
        if not self.figures.strangers(maker.account, taker.account):
            raise Wrong(f"accounts {maker.account} and {taker.account} may not trade together: {e}")
        if e.price != maker.price or not crosses(taker.side, taker.worst, e.price):
            raise Wrong(f"a trade at {e.price}; the maker's price is {maker.price}, the taker's limit {taker.worst}")
        right = min(maker.shown, terms.lots(taker.leaves, e.price) if taker.by_quote else taker.leaves)
        if e.quantity != right:
            raise Wrong(f"{e.quantity} are traded; right would be {right}")
        if e.instrument != maker.instrument or taker.instrument != maker.instrument or terms.halted or terms.session != Session.CONTINUOUS:
            raise Wrong(f"a trade in instrument {e.instrument}, of which the maker is not, or which does not trade now")
        self._inside_the_band(terms, e.price, now)
        self._trade(maker, taker, m, e, False, now)

    def _same_match(self, one: Told, other: Told) -> None:
        if (one.other, one.price, one.quantity, one.amount, one.instrument) != (other.other, other.price, other.quantity, other.amount, other.instrument) \
                or one.side == other.side:
            raise Wrong(f"both sides of one match were told different things: {one} {other}")
        self.matches += 1
        if other.other != self.matches:
            raise Wrong(f"match number {other.other}; right would be {self.matches}")

    def _auction_trade(self, b: Told, s: Told, now: int) -> None:
        """At the one price, the first of the best bid with the first of the best ask."""
        self._same_match(b, s)
        terms = self.figures.instruments[b.instrument]
        bid, ask = (self.standing.first(b.instrument, side) for side in (Side.BUY, Side.SELL))
        if bid is None or ask is None or (bid.id, ask.id) != (b.id, s.id):
            raise Wrong(f"orders {b.id} and {s.id} trade in an auction; the first are {bid and bid.id} and {ask and ask.id}")
        if not terms.uncross or b.price != terms.uncross or bid.price < b.price or ask.price > b.price:
            raise Wrong(f"an auction trades at {b.price}; its price is {terms.uncross}, the limits {bid.price} and {ask.price}")
        if b.quantity != min(bid.leaves, ask.leaves) or terms.session not in CALLS or terms.halted:
            raise Wrong(f"an auction trades {b.quantity}; right would be {min(bid.leaves, ask.leaves)}, in a session that calls")
        if not self.figures.strangers(bid.account, ask.account) or self.standing.is_dying(bid, now) or self.standing.is_dying(ask, now):
            raise Wrong(f"orders {bid.id} and {ask.id} trade in an auction, and may not, or one of them is dying")
        terms.anchor, terms.anchor_window = b.price, now // terms.window if terms.window else 0
        self._trade(bid, ask, b, s, True, now)

    def _inside_the_band(self, terms: Terms, price: int, now: int) -> None:
        """No trade is further from the anchor than the band; the trade keeps the anchor it was judged by."""
        if not terms.band_ppm:
            return
        window = now // terms.window
        anchor = terms.anchor if terms.anchor and terms.anchor_window == window else terms.book_last or self.figures.reference(terms.number, now)
        if anchor and abs(price - anchor) > anchor * terms.band_ppm // 1_000_000:
            raise Wrong(f"a trade at {price} is outside the band around {anchor}")
        terms.anchor, terms.anchor_window = anchor or price, window

    def _trade(self, one: Order, two: Order, a: Told, b: Told, auction: bool, now: int) -> None:
        """`one`: the maker, or the buyer of an auction."""
        terms, f = one.terms, self.figures
        amount = terms.amount(b.quantity, b.price)
        fees = []
        for order, makes in ((one, not auction), (two, False)):
            row = f.schedule(order.account, terms.number)
            fees.append(charge(amount, min(row.maker if makes else row.taker, order.ppm), 0 if order.executed else min(row.minimum, order.fee_min)))
        chosen = [self.in_another_asset(order.account, order.id, terms, told.fee, due, min(fees) < 0, now)
                  for order, told, due in ((one, a, fees[0]), (two, b, fees[1]))]
        right = [0 if other else due for other, due in zip(chosen, fees, strict=True)]
        if b.amount != amount or [a.fee, b.fee] != right:
            raise Wrong(f"{b.quantity} at {b.price} is {b.amount} with fees {a.fee} and {b.fee}; right would be {amount} with {right[0]} and {right[1]}")
        shown = one.shown - b.quantity
        for order, told in ((one, a), (two, b)):
            order.takes(executed=b.quantity, spent=amount)
            if told.leaves != order.leaves:
                raise Wrong(f"order {order.id} has {told.leaves} left; right would be {order.leaves}")
        if not auction:
            one.shown = shown
            if not shown and one.leaves:                # an iceberg shows its next slice, at the end of its level
                self.standing.rest(one, one.price)
        for order in (one, two):
            self.standing.settle(order)
            for child in self.standing.children(order):
                self.standing.settle(child)
        buyer, seller = (one, two) if one.side == Side.BUY else (two, one)
        paid = {one.id: right[0], two.id: right[1]}
        move(f, terms, buyer.account, seller.account, b.quantity, amount, paid[buyer.id], paid[seller.id])
        self._last(terms, b.price)
        for order in (one, two):
            if not order.leaves:
                self.standing.gone(order)

    def in_another_asset(self, account: int, number: int, terms: Terms, told: int, due: int, rebates: bool, now: int) -> bool:
        """Whether the fee is charged in the asset that the account chose; it says so right after."""
        f = self.figures
        listed = f.instruments.get(f.accounts[account].fee_instrument)
        if told or due <= 0 or rebates or listed is None or listed.quote != terms.quote or not terms.prefunded:
            return False
        if not (price := f.reference(listed.number, now)):
            return False
        self.charges[account, number] = listed.base, up(due * listed.amount_den, price * listed.amount_num)
        return True

    def charged(self, e: Told) -> None:
        if self.charges.pop((e.account, e.id), None) != (e.other, e.amount):
            raise Wrong(f"a fee is charged that is not due, or another one: {e}")
        self.figures.post(e.account, e.other, available=-e.amount)
        self.figures.post(self.figures.single_account(AccountKind.FEES), e.other, available=e.amount)

    # ---------------------------------------------------------------------------------------------------------------------- changes
    def reduced(self, e: Told) -> None:
        """A self-trade that both avoid (maker, then taker), what a link took, or what would not reduce a position."""
        order = self.orders.get(e.id)
        if order is None or e.reason not in (R.SELF_TRADE, R.LINKED, R.REDUCE_ONLY) or e.leaves != order.leaves - e.quantity or e.quantity < 1:
            raise Wrong(f"an order is reduced that is not there, or wrongly: {e}")
        if order.state == OrderState.TRIGGERED and e.reason != R.LINKED:
            self._entered(e.id)
        order.takes(prevented=e.quantity)
        order.quantity -= e.quantity
        self.standing.settle(order)

    def cancelled(self, e: Told, now: int) -> None:
        order = self.orders.get(e.id)
        if order is None or (e.account, e.quantity) != (order.account, order.leaves):
            raise Wrong(f"an order is cancelled that is not there, or not with its leaves {order and order.leaves}: {e}")
        self._why(order, e, now)
        order.takes(cancelled=order.leaves)
        self.standing.gone(order)

    def _why(self, order: Order, e: Told, now: int) -> None:
        row, standing = self.figures.accounts[order.account], self.standing
        if e.reason == R.IMMEDIATE and not (order.state in (ENTERING, OrderState.TRIGGERED) and (order.type == OrderType.MARKET or order.tif in AT_ONCE)):
            raise Wrong(f"order {e.id} is cancelled as immediate and is not")
        if e.reason == R.DEAD_MAN:
            self._dead(row, now)
        if e.reason in DYING and not standing.is_dying(order, now) and not standing.may_die(order, now) and not self.figures.cell.get("killed_all"):
            raise Wrong(f"order {e.id} is cancelled as dying and is not")
        if e.reason == R.EXPIRED and not (order.good_till and order.good_till <= now) and not (order.tif == TimeInForce.DAY and
                                                                                             order.terms.session == Session.CLOSED):
            raise Wrong(f"order {e.id} has lapsed at {now} and stands until {order.good_till}")
        if e.reason == R.AUCTION_OVER and order.tif not in AUCTION_ORDERS:
            raise Wrong(f"order {e.id} ends with an auction and is not of one")

    @staticmethod
    def _dead(row: Row, now: int) -> None:
        """A dead man's time has come, how long ago nobody is told: what was made before that time is dying, what was made since may be."""
        below = row.dead_lapsed
        if row.dead_man and row.dead_man <= now:
            below, row.dead_man, row.dead_below = row.dead_below or row.ordinal + 1, 0, 0
        if below:
            row.dying_below, row.may_die_below, row.dead_lapsed = max(row.dying_below, below), row.ordinal + 1, 0

    def amended(self, e: Told, c: Row) -> None:
        order = self.orders.get(e.id)
        if order is None or c.kind != Kind.AMEND_ORDER or e.id != c.order or e.quantity != c.quantity:
            raise Wrong(f"an order is amended that was not asked for: {e}")
        terms, leaves = order.terms, c.quantity - (order.quantity - order.leaves)
        price = self.limit_of(terms, Row(order_type=OrderType.LIMIT, side=order.side, price=c.price, post_only=order.post_only), 0, 0)
        if (e.price, e.leaves) != (price, leaves):
            raise Wrong(f"amended order {e.id} has {e.leaves} left at {e.price}; right would be {leaves} at {price}")
        keeps = e.price == order.price and leaves <= order.leaves
        fees = self.figures.schedule(order.account, terms.number)
        order.ordered += c.quantity - order.quantity
        order.quantity, order.leaves = c.quantity, leaves
        order.ppm, order.fee_min = max(fees.maker, fees.taker), fees.minimum
        order.takes()
        if not keeps:
            self.left = e.instrument, order.side, order.price
            self.standing.put(order, ENTERING)
            order.price = order.worst = e.price
            order.shown = min(order.display or leaves, leaves)
        self.standing.settle(order)

    def triggered(self, e: Told, now: int) -> None:
        """What it waited for has come: it stands in the queue."""
        order = self.orders.get(e.id)
        if order is None or order.state not in (OrderState.WAITING, OrderState.ASLEEP) or e.leaves != order.leaves:
            raise Wrong(f"an order is triggered that does not wait, or with other leaves: {e}")
        if order.trigger:
            order.trigger_price = e.other if order.trigger == Trigger.TRAILING else order.trigger_price
            if e.other != order.trigger_price or not self._reached(order):
                raise Wrong(f"order {e.id} is triggered at {e.other}; it waits for {order.trigger_price}, which no price has reached")
        if order.trigger == Trigger.TRAILING:
            edge = self.collar_edge(order.terms, order.side, e.other)
            right = (min if order.side == Side.BUY else max)(edge, order.worst)
            if e.price != right:
                raise Wrong(f"trailing order {e.id} enters with {e.price}; right would be {right}")
            order.price = order.worst = e.price
            self.standing.settle(order)
        self.standing.put(order, OrderState.TRIGGERED)

    def _reached(self, order: Order) -> bool:
        """Whether a price was seen that it waits for; a price of MARK, and what a trailing order follows, is not looked into."""
        return order.seen or bool(order.reached_at) or order.trigger == Trigger.TRAILING or order.trigger_on == TriggerOn.MARK

    def priced(self, terms: Terms, source: int, price: int, stays: int = 0) -> None:
        """LAST or INDEX has become this: who waits for it may fire; must, if it is so still when the command ends, at `stays`. A child that sleeps
        may fire by it when it wakes (the range remembers), and need not."""
        for order in self.standing.waiting.get(terms.number, {}).values():
            if order.trigger in (Trigger.STOP, Trigger.TAKE_PROFIT) and order.trigger_on == source and not order.reached_at and price:
                rising = (order.trigger, order.side) in RISING
                if price >= order.trigger_price if rising else price <= order.trigger_price:
                    order.seen, order.reached_at = True, stays if order.state == OrderState.WAITING else 0

    def _last(self, terms: Terms, price: int) -> None:
        terms.book_last = price
        self.moving[terms.number] = None
        self.priced(terms, TriggerOn.LAST, price)

    def moved(self, e: Told) -> None:
        """A peg has left its level, which was told, and stands elsewhere or nowhere."""
        order = self.orders.get(e.id)
        if order is None or order.type not in PEGGED or e.leaves != order.leaves:
            raise Wrong(f"an order is moved that is no peg: {e}")
        if order.state == OrderState.BOOK:
            self.standing.outside(order)
        right = self.standing.peg_price(order)
        if e.price != right:
            raise Wrong(f"peg {e.id} moves to {e.price}; right would be {right}")
        order.state = OrderState.ASLEEP
        if e.price:
            self.standing.rest(order, e.price)
        else:
            self.standing.put(order, OrderState.ASLEEP)

    # ---------------------------------------------------------------------------------------------------------------------- sessions
    def session_changed(self, e: Told, now: int) -> None:
        terms = self.figures.instruments[e.instrument]
        if e.reason == R.BAND and terms.session == Session.CONTINUOUS and terms.window:
            terms.anchor_window = now // terms.window
        if e.id == Session.CONTINUOUS and terms.session not in (Session.AUCTION, Session.VOLATILITY):
            raise Wrong(f"instrument {e.instrument} trades again without an auction: {e}")
        terms.session, terms.next, terms.ends, terms.ending, terms.uncross = e.id, e.other, e.amount, False, 0
        if terms.band_ppm or e.id == Session.AUCTION:
            terms.anchor = e.price
        if e.id == Session.CONTINUOUS:
            self.rested[e.instrument] = None

    def uncrossed(self, e: Told, now: int) -> None:
        """The price of an auction is the one that trades most, leaves least, and is nearest to the reference."""
        terms = self.figures.instruments[e.instrument]
        right = auction_price(self.standing, terms, self.figures.reference(terms.number, now))
        if (e.price, e.quantity, e.amount) != right or terms.session not in CALLS:
            raise Wrong(f"an auction has the price {e.price} for {e.quantity}, {e.amount} left; right would be {right}")
        terms.uncross = e.price

    def indicative(self, e: Told, now: int) -> None:
        terms = self.figures.instruments[e.instrument]
        right = auction_price(self.standing, terms, self.figures.reference(terms.number, now))
        if (e.price, e.quantity, e.amount) != right:
            raise Wrong(f"an auction stands at {e.price} for {e.quantity}, {e.amount} left; right would be {right}")

    # ------------------------------------------------------------------------------------------------------------------------ levels
    def level(self, e: Told) -> None:
        """What the public is told of a level is what it is, once an order rests that could only rest now."""
        standing, place, told = self.standing, (e.instrument, e.side, e.price), (e.quantity, e.leaves)
        if standing.level(*place) != told and place != self.left:
            self._explain(e)
        self.left = None                                # the level that an amended order left is told first, and without it
        if (right := standing.level(*place)) != told or e.account:
            raise Wrong(f"level {e.price} of instrument {e.instrument} side {e.side} is told as {e.quantity} in {e.leaves} orders; right would be {right}")

    def _explain(self, e: Told) -> None:
        standing, after = self.standing, self.following
        moved = standing.orders.get(after.id) if after is not None and after.kind == Event.ORDER_MOVED else None
        if moved is not None and moved.state == OrderState.BOOK and (moved.instrument, moved.side, moved.price) == (e.instrument, e.side, e.price):
            standing.outside(moved)
            moved.state = OrderState.ASLEEP
            return
        order = self._who_rests(e)
        if order is not None:
            self._rest(order, e.price)

    def _who_rests(self, e: Told) -> Order | None:
        standing = self.standing
        terms = self.figures.instruments[e.instrument]
        queue = standing.queues.get(e.instrument, []) if terms.session == Session.CONTINUOUS else []        # else it waits for that
        candidates = [*standing.entering.values(), *(standing.orders[number] for number in queue[:1])]
        for order in candidates:
            if (order.instrument, order.side) == (e.instrument, e.side) and (order.price == e.price or order.type in PEGGED):
                return order
        wanted = TimeInForce.AT_OPEN if terms.next == Session.CONTINUOUS else TimeInForce.AT_CLOSE
        gathers = [order for order in standing.waiting.get(e.instrument, {}).values() if order.tif == wanted and order.state == OrderState.WAITING]
        return min(gathers, key=lambda order: (order.sequence, order.id), default=None) if terms.session == Session.AUCTION else None

    def _rest(self, order: Order, price: int) -> None:
        lasting = order.type != OrderType.MARKET and order.tif not in AT_ONCE
        if not order.leaves or (not lasting and order.terms.session not in CALLS):
            raise Wrong(f"order {order.id} rests with {order.leaves} left and may not")
        if order.type in PEGGED and price != (right := self.standing.peg_price(order)):
            raise Wrong(f"peg {order.id} stands at {price}; right would be {right}")
        self.standing.rest(order, price)
        self.rested[order.instrument] = None

    def _not_crossed(self, instrument: int) -> None:
        bid, ask = (self.standing.best(instrument, side) for side in (Side.BUY, Side.SELL))
        if bid and ask and bid >= ask and self.figures.instruments[instrument].session == Session.CONTINUOUS:
            raise Wrong(f"the book of instrument {instrument} is crossed: {bid} and {ask}")

    def overdue(self, now: int) -> None:
        """A reached order that does not fire, and an order past its day: 16 of such are worked off before each command."""
        for waiting in self.standing.waiting.values():
            for order in waiting.values():
                if order.reached_at and order.reached_at + LATE_NS < now and order.state == OrderState.WAITING:
                    raise Wrong(f"order {order.id} waits for {order.trigger_price}, which was reached at {order.reached_at}; it is {now}")
        for order in self.orders.values():
            if order.good_till and order.good_till + LATE_NS < now:
                raise Wrong(f"order {order.id} stands at {now}; it was good until {order.good_till}")

    def end(self, now: int) -> None:
        """After a command nothing is left half done."""
        for instrument in self.moving | self.standing.woken:
            terms = self.figures.instruments[instrument]
            for source, price in ((TriggerOn.LAST, terms.book_last), (TriggerOn.INDEX, terms.told)):
                self.priced(terms, source, price, now)
        self.moving.clear()
        self.standing.woken.clear()
        if self.maker is not None or self.bought is not None:
            raise Wrong(f"one side of a match was told and not the other: {self.maker or self.bought}")
        if self.charges:
            raise Wrong(f"a fee was not charged: {self.charges}")
        for order in list(self.standing.entering.values()):
            if order.type in PEGGED and not self.standing.peg_price(order):
                self.standing.put(order, OrderState.ASLEEP)
            elif order.leaves and order.queued and order.terms.session != Session.CONTINUOUS:
                self.standing.put(order, OrderState.TRIGGERED)          # the band broke: it enters again, and first
                queue = self.standing.queues[order.instrument]
                queue.insert(0, queue.pop())
            else:
                raise Wrong(f"order {order.id} has {order.leaves} left, and neither rests nor was cancelled")
        for instrument in self.rested:
            self._not_crossed(instrument)
        self.listed, self.rested, self.left = [], {}, None


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
