"""The auditor's requests and quotes: who may be traded with, at which price, and what is reserved until when (rules, section 7)."""
from __future__ import annotations

from cambist.messages import Event, Kind, Reason, Session, Side
from cambist.simulation.audit.figures import Figures, Row, Terms, Wrong, charge
from cambist.simulation.audit.trading import TRADERS, Books, move
from cambist.simulation.workload import Told

R = Reason
SHUT = (Session.CANCEL_ONLY, Session.CLOSED)
LATE_NS = 3_000_000_000                         # at least so long after its time nothing is still waiting for its turn


class Dealing:
    """Requests by id, each with its quotes in the order they came."""

    def __init__(self, figures: Figures, books: Books) -> None:
        self.figures, self.books = figures, books
        self.requests: dict[int, Row] = {}
        self.quotes: dict[int, Row] = {}
        self.ended: dict[int, int] = {}                 # quotes that ended in this command: their client may be told, too
        self.client: Told | None = None                 # filled by a quote, and its dealer not yet told
        self.closed: dict[int, int] = {}                # requests that ended in this command: their dealers may be told, too
        self.open_of: dict[int, int] = {}

    # --------------------------------------------------------------------------------------------------------------------- refusals
    def refuses_request(self, c: Row, now: int) -> int:
        f = self.figures
        if f.kind(c.account) not in TRADERS:
            return R.NOT_ALLOWED
        terms = f.instruments.get(c.instrument)
        if terms is None:
            return R.UNKNOWN_INSTRUMENT
        for reason, holds in ((R.HALTED, terms.halted), (R.SESSION, terms.session in SHUT),
                              (R.RESTRICTED, f.is_barred(c.account, c.actor, terms.number)), (R.BAD_SIDE, c.side > 2),
                              (R.BAD_QUANTITY, c.quantity <= 0), (R.OFF_LOT, c.quantity % terms.lot),
                              (R.MAX_QUANTITY, c.quantity > terms.max_quantity), (R.BAD_TTL, not 1 <= c.ttl <= f.cell["max_ttl"]),
                              (R.OPEN_ORDERS, self.open_of.get(c.account, 0) >= f.accounts[c.account].max_open)):
            if holds:
                return reason
        return 0

    def refuses_quote(self, c: Row, now: int) -> int:
        f, request = self.figures, self.requests.get(c.request)
        if request is None:
            return R.UNKNOWN_REQUEST
        if request.filled or request.expires <= now:
            return R.REQUEST_CLOSED
        terms: Terms = request.terms
        if not f.accounts[c.account].dealer:
            return R.NOT_A_DEALER
        if request.account == c.account:
            return R.OWN_REQUEST
        if terms.halted or terms.session in SHUT:
            return R.HALTED if terms.halted else R.SESSION
        if f.is_barred(c.account, c.actor, terms.number):
            return R.RESTRICTED
        if c.bid < 0 or c.ask < 0:
            return R.BAD_PRICE
        if (c.bid > 0, c.ask > 0) != (request.side != Side.BUY, request.side != Side.SELL):
            return R.WRONG_SIDES
        for price in (c.bid, c.ask):
            if price and not terms.min_price <= price <= terms.max_price:
                return R.BAD_PRICE
            if price and price % terms.quote_tick:
                return R.OFF_TICK
        if c.bid and c.ask and c.bid > c.ask:
            return R.CROSSED_QUOTE
        if not 1 <= c.ttl <= f.cell["max_ttl"]:
            return R.BAD_TTL
        for price in (c.bid, c.ask):
            for side in (Side.BUY, Side.SELL):
                if price and (why := self.books.collar(terms, side, price, now)):
                    return why
        reserve = terms.amount_up(request.quantity, max(c.bid, c.ask))
        if reserve > terms.max_notional:
            return R.MAX_NOTIONAL
        for price, side in ((c.bid, Side.BUY), (c.ask, Side.SELL)):
            if price and f.over_position(c.account, terms.number, side, request.quantity):
                return R.POSITION
        line, before = f.line(c.account, terms.quote), self._standing(request, c.account)
        if line is None or line.quoted - (before.reserve if before else 0) + reserve > line.quoting_limit:
            return R.QUOTING_LINE
        return 0

    def _standing(self, request: Row, dealer: int) -> Row | None:
        return next((quote for quote in request.quotes.values() if quote.account == dealer), None)

    # ----------------------------------------------------------------------------------------------------------------------- events
    def opened(self, e: Told, c: Row, now: int) -> None:
        if c.kind != Kind.REQUEST_QUOTE or (e.account, e.instrument, e.side, e.quantity, e.other) != (c.account, c.instrument, c.side, c.quantity, now + c.ttl):
            raise Wrong(f"a request is opened that was not asked for: {e}")
        self.requests[e.id] = Row(id=e.id, account=e.account, terms=self.figures.instruments[e.instrument], side=e.side, quantity=e.quantity, expires=e.other,
                                  filled=False, window=0, quotes={})
        self.open_of[e.account] = self.open_of.get(e.account, 0) + 1

    def invited(self, e: Told) -> None:
        row, request = self.figures.accounts[e.account], self.requests.get(e.id)
        if request is None or not row.dealer or not row.enabled or row.killed or e.account == request.account:
            raise Wrong(f"account {e.account} is invited and should not be: {e}")

    def quoted(self, e: Told, c: Row, now: int, lapse: int = 0) -> None:
        """`lapse`: of a quote that a second person released."""
        request = self.requests.get(e.other)
        if request is None or request.filled or request.expires <= now or c.kind != Kind.QUOTE or (e.price, e.amount, e.account) != (c.bid, c.ask, c.account):
            raise Wrong(f"a quote stands that was not given, or for a request that is closed: {e}")
        expires = min(lapse or now + c.ttl, request.expires)
        if (e.leaves, e.quantity) != (expires, request.quantity):
            raise Wrong(f"quote {e.id} stands until {e.leaves} for {e.quantity}; right would be {expires} for {request.quantity}")
        if self._standing(request, e.account) is not None:
            raise Wrong(f"account {e.account} has two quotes for request {e.other}")
        reserve = request.terms.amount_up(request.quantity, max(e.price, e.amount))
        line = self.figures.line(e.account, request.terms.quote)
        if line is None:
            raise Wrong(f"account {e.account} quotes without a line")
        line.quoted += reserve
        self.quotes[e.id] = request.quotes[e.id] = Row(id=e.id, account=e.account, request=request, bid=e.price, ask=e.amount, expires=expires, reserve=reserve)

    def shown(self, e: Told) -> None:
        quote = self.quotes.get(e.id)
        if quote is None or (e.price, e.amount, e.leaves, e.other, e.account) != (quote.bid, quote.ask, quote.expires, quote.request.id, quote.request.account):
            raise Wrong(f"a quote is shown that is another one, or to somebody else: {e}")

    def quote_ended(self, e: Told, now: int) -> None:
        quote = self.quotes.get(e.id)
        if quote is None:
            if self.ended.get(e.id) != e.reason:
                raise Wrong(f"a quote ends that does not stand: {e}")
            return
        if e.account != quote.account:
            raise Wrong(f"quote {e.id} of account {quote.account} ends, and account {e.account} is told first")
        if e.reason == R.EXPIRED and quote.expires > now and quote.request.expires > now:
            raise Wrong(f"quote {e.id} lapses at {now}; it stands until {quote.expires}")
        if e.reason == R.LOST and quote.request.filled and now < quote.request.window:
            raise Wrong(f"a loser is told at {now}; the window ends at {quote.request.window}")
        self.ended[e.id] = e.reason
        self._free(quote)

    def _free(self, quote: Row) -> None:
        line = self.figures.line(quote.account, quote.request.terms.quote)
        assert line is not None
        line.quoted -= quote.reserve
        del self.quotes[quote.id], quote.request.quotes[quote.id]

    def request_ended(self, e: Told, now: int) -> None:
        request = self.requests.get(e.id)
        if request is None:
            if e.id not in self.closed:
                raise Wrong(f"a request ends that is not open: {e}")
            return
        if e.reason == R.FILLED:
            if not request.filled or e.account != request.account:
                raise Wrong(f"request {e.id} ends as filled and is not")
            return
        if e.reason == R.LOST and request.filled:
            if now < request.window:
                raise Wrong(f"request {e.id} is over for its losers at {now}; its window ends at {request.window}")
        elif e.account != request.account or (e.reason == R.EXPIRED and request.expires > now):
            raise Wrong(f"request {e.id} of account {request.account} ends: {e}")
        if request.quotes:
            raise Wrong(f"request {e.id} has ended, and {len(request.quotes)} quotes still stand")
        if not request.filled:
            self.open_of[request.account] -= 1
        self.closed[e.id] = e.reason
        del self.requests[e.id]

    def filled(self, e: Told, c: Row, now: int) -> None:
        """The client's event first, then the dealer's."""
        if self.client is None:
            self.client = e
            return
        client, self.client = self.client, None
        quote = self.quotes.get(e.id)
        if quote is None or client.id != e.id or (client.other, client.price, client.quantity, client.amount) != (e.other, e.price, e.quantity, e.amount):
            raise Wrong(f"client and dealer of one trade were told different things, or its quote does not stand: {client} {e}")
        request, f = quote.request, self.figures
        if c.kind != Kind.ACCEPT_QUOTE or request.id != c.request or client.account != request.account or e.account != quote.account:
            raise Wrong(f"a quote is traded that nobody accepted: {client}")
        self._right_one(quote, c, now)
        self.books.matches += 1
        price = quote.ask if c.side == Side.BUY else quote.bid
        amount = request.terms.amount(request.quantity, price)
        fees = f.schedule(request.account, request.terms.number)
        due = charge(amount, fees.rfq, fees.minimum)
        if self.books.in_another_asset(client.account, client.id, request.terms, client.fee, due, False, now):
            due = 0
        if (e.price, e.quantity, e.amount, client.fee, e.fee, e.other) != (price, request.quantity, amount, due, 0, self.books.matches):
            raise Wrong(f"a quote of {request.quantity} at {price} trades as {client} {e}; right would be {amount} with a fee of {due}")
        buyer, seller = (request.account, quote.account) if c.side == Side.BUY else (quote.account, request.account)
        move(f, request.terms, buyer, seller, request.quantity, amount, due if c.side == Side.BUY else 0, 0 if c.side == Side.BUY else due)
        request.filled, request.window = True, now + f.cell["rfq_window"]
        self.open_of[request.account] -= 1
        self._free(quote)

    def _right_one(self, winner: Row, c: Row, now: int) -> None:
        """Live, within the limit, and before it nobody better: the named one, then the best price, then the earliest."""
        request = winner.request
        if request.filled or request.expires <= now or request.terms.halted:
            raise Wrong(f"request {request.id} is closed or halted, and a quote of it is traded")
        if winner.expires <= now:
            raise Wrong(f"quote {winner.id} lapsed at {winner.expires} and is traded at {now}")
        buy = c.side == Side.BUY

        def price(quote: Row) -> int:
            return quote.ask if buy else quote.bid
        if not price(winner) or (price(winner) > c.limit_price if buy else price(winner) < c.limit_price):
            raise Wrong(f"quote {winner.id} is traded at {price(winner)}; the limit is {c.limit_price}")
        if self.figures.accounts[winner.account].killed:
            raise Wrong(f"quote {winner.id} is traded, and its account {winner.account} is killed")
        if winner.id == c.quote:
            return
        for quote in request.quotes.values():
            if quote is winner or quote.expires <= now or not price(quote) or (price(quote) > c.limit_price if buy else price(quote) < c.limit_price):
                continue
            better = quote.id == c.quote or (price(quote) < price(winner) if buy else price(quote) > price(winner))
            if better:
                raise Wrong(f"quote {winner.id} at {price(winner)} is traded before quote {quote.id} at {price(quote)}")

    def overdue(self, now: int) -> None:
        """A request or a quote whose time was up long ago is a timer that was forgotten: 16 of them are worked off before each command."""
        for request in self.requests.values():
            end = request.window if request.filled else request.expires
            if end + LATE_NS < now:
                raise Wrong(f"request {request.id} should have ended at {end}; it is {now}")
            for quote in request.quotes.values():
                if not request.filled and quote.expires + LATE_NS < now:
                    raise Wrong(f"quote {quote.id} should have lapsed at {quote.expires}; it is {now}")

    def end(self) -> None:
        if self.client is not None:
            raise Wrong(f"a client was filled by a quote and no dealer: {self.client}")
        self.ended, self.closed = {}, {}


OF_QUOTES = {Event.REQUEST_OPENED, Event.REQUEST_INVITED, Event.QUOTED, Event.QUOTE_SHOWN, Event.QUOTE_ENDED, Event.REQUEST_ENDED}
