"""Section 7 of the rules: the life of a request for quotes."""
from cambist.messages import MAX_AMOUNT, AccountKind, Event, Kind, Liquidity, Reason, RequestState, Session, Side
from cambist.simulation.twin.control_rules import check_exposure, restricted, stop_losses, traded
from cambist.simulation.twin.fee_rules import post_fee, quote_fee, tell_charged
from cambist.simulation.twin.model import Command, Instrument, Quote, Request, State
from cambist.simulation.twin.shape_rules import lots, price_and_tick
from cambist.simulation.twin.standing_rules import opposite
from cambist.simulation.twin.trade_rules import post_trade

K, R = Kind, Reason


def is_open(t: State, request: Request) -> bool:
    return request.state == RequestState.OPEN and request.expires > t.time


def live(t: State, quote: Quote) -> bool:
    return quote.expires > t.time


def check_may_quote(t: State, c: Command, ins: Instrument) -> Reason:
    if ins.halted:
        return R.HALTED
    if ins.session in (Session.CANCEL_ONLY, Session.CLOSED):
        return R.SESSION
    return R.RESTRICTED if restricted(t, c.account, c["actor"], ins.number) else R.NONE


def check_ttl(t: State, ttl: int) -> bool:
    return 1 <= ttl <= t.cell.max_ttl


# ------------------------------------------------------------------------------------------------------------- ending things
def drop_quote(t: State, quote: Quote) -> None:
    """Its reserve is free and it is gone."""
    request = t.requests[quote.request]
    t.house_credit(quote.account, t.instruments[request.instrument].quote).quoted -= quote.reserve
    request.quotes.remove(quote.id)
    del t.quotes[quote.id]


def tell_quote_ended(t: State, quote: Quote, account: int, reason: int, c: Command | None = None) -> None:
    fields = {"id": quote.id, "other": quote.request, "instrument": t.requests[quote.request].instrument, "reason": reason}
    if c is None:
        t.emit(Event.QUOTE_ENDED, account, **fields)
    else:
        t.echo(c, Event.QUOTE_ENDED, account, **fields)


def end_request(t: State, request: Request, to_quotes: int, reason: int, tell_client: bool = True, c: Command | None = None) -> None:
    for number in list(request.quotes):
        quote = t.quotes[number]
        tell_quote_ended(t, quote, quote.account, to_quotes)
        drop_quote(t, quote)
    fields = {"id": request.id, "instrument": request.instrument, "reason": reason}
    if tell_client and c is not None:
        t.echo(c, Event.REQUEST_ENDED, request.account, **fields)
    elif tell_client:
        t.emit(Event.REQUEST_ENDED, request.account, **fields)
    for dealer in t.dealers:
        if t.accounts[dealer].dealer and dealer != request.account:
            t.emit(Event.REQUEST_ENDED, dealer, **fields)
    del t.requests[request.id]


def request_timer(t: State, request: Request) -> None:
    if request.state == RequestState.OPEN:
        end_request(t, request, R.EXPIRED, R.EXPIRED)
    else:
        end_request(t, request, R.LOST, R.LOST, tell_client=False)


def quote_timer(t: State, quote: Quote) -> None:
    client = t.requests[quote.request].account
    tell_quote_ended(t, quote, quote.account, R.EXPIRED)
    tell_quote_ended(t, quote, client, R.EXPIRED)
    drop_quote(t, quote)


# ------------------------------------------------------------------------------------------------------------------ requests
def check_request_quote(t: State, c: Command) -> Reason:
    if not t.may_trade(c.account):
        return R.NOT_ALLOWED
    ins = t.instruments.get(c.instrument)
    if ins is None:
        return R.UNKNOWN_INSTRUMENT
    if reason := check_may_quote(t, c, ins):
        return reason
    if c["side"] not in (Side.BUY, Side.SELL, Side.TWO_WAY):
        return R.BAD_SIDE
    if reason := lots(ins, c["quantity"]):
        return reason
    if not check_ttl(t, c["ttl"]):
        return R.BAD_TTL
    if sum(r.account == c.account and r.state == RequestState.OPEN for r in t.requests.values()) >= t.accounts[c.account].max_open:
        return R.OPEN_ORDERS
    return R.NONE


def request_quote(t: State, c: Command) -> None:
    request = Request(t.new_id(c.account), c.account, c.instrument, c["side"], c["quantity"], t.time + c["ttl"])
    t.requests[request.id] = request
    fields = {"id": request.id, "instrument": request.instrument, "side": request.side, "quantity": request.quantity, "other": request.expires}
    t.echo(c, Event.REQUEST_OPENED, request.account, **fields)
    for dealer in t.dealers:
        row = t.accounts[dealer]
        if row.dealer and row.enabled and not row.killed and dealer != request.account:
            t.emit(Event.REQUEST_INVITED, dealer, **fields)


def own_request(t: State, c: Command) -> Request | None:
    request = t.requests.get(c["request"])
    return request if request is not None and request.account == c.account else None


def check_cancel_request(t: State, c: Command) -> Reason:
    request = own_request(t, c)
    if request is None:
        return R.UNKNOWN_REQUEST
    return R.NONE if is_open(t, request) else R.REQUEST_CLOSED


def cancel_request(t: State, c: Command) -> None:
    end_request(t, own_request(t, c), R.LOST, R.USER, c=c)


# -------------------------------------------------------------------------------------------------------------------- quotes
def replaced_quote(t: State, c: Command) -> Quote | None:
    """The dealer's quote still in the table for this request, lapsed or not."""
    for number in t.requests[c["request"]].quotes:
        quote = t.quotes[number]
        if quote.account == c.account:
            return quote
    return None


def reserve_of(ins: Instrument, quantity: int, bid: int, ask: int) -> int:
    return ins.amount_up(quantity, max(bid, ask))


def check_quote(t: State, c: Command) -> Reason:
    request = t.requests.get(c["request"])
    if request is None:
        return R.UNKNOWN_REQUEST
    if not is_open(t, request):
        return R.REQUEST_CLOSED
    if not t.accounts[c.account].dealer:
        return R.NOT_A_DEALER
    if request.account == c.account:
        return R.OWN_REQUEST
    ins = t.instruments[request.instrument]
    if reason := check_may_quote(t, c, ins):
        return reason
    bid, ask = c["bid"], c["ask"]
    if bid < 0 or ask < 0:
        return R.BAD_PRICE
    wanted = {Side.BUY: (False, True), Side.SELL: (True, False), Side.TWO_WAY: (True, True)}[Side(request.side)]
    if (bid > 0, ask > 0) != wanted:
        return R.WRONG_SIDES
    given = [(side, price) for side, price in ((Side.BUY, bid), (Side.SELL, ask)) if price > 0]
    for _, price in given:
        if reason := price_and_tick(ins, price, ins.quote_tick):
            return reason
    if bid > 0 and ask > 0 and bid > ask:
        return R.CROSSED_QUOTE
    if not check_ttl(t, c["ttl"]):
        return R.BAD_TTL
    for side, price in given:
        if reason := t.collar(ins, side, price) or t.collar(ins, opposite(side), price):
            return reason
    reserve = reserve_of(ins, request.quantity, bid, ask)
    if reserve > MAX_AMOUNT:
        return R.OVERFLOW
    if reserve > ins.max_notional:
        return R.MAX_NOTIONAL
    for side, _ in given:
        if t.breaks_position(c.account, ins, side, request.quantity):
            return R.POSITION
    for side, _ in given:
        if reason := check_exposure(t, c.account, ins, side, reserve):
            return reason
    line, replaced = t.house_credit(c.account, ins.quote), replaced_quote(t, c)
    if line is None or line.quoted - (replaced.reserve if replaced else 0) + reserve > line.quoting_limit:
        return R.QUOTING_LINE
    return R.NONE


def needs_approval(t: State, c: Command) -> bool:
    """Our own desk's quote above the size that a second person decides."""
    request = t.requests[c["request"]]
    ins = t.instruments[request.instrument]
    above = t.assets[ins.quote].quote_approval_above
    return t.kind_of(c.account) == AccountKind.DESK and 0 <= above < reserve_of(ins, request.quantity, c["bid"], c["ask"])


def stands_until(t: State, c: Command) -> int:
    """When the quote lapses: after its ttl, and with its request; of a released one, when it would have lapsed while held."""
    return min(c.lapse if c.released else t.time + c["ttl"], t.requests[c["request"]].expires)


def quote(t: State, c: Command) -> None:
    request = t.requests[c["request"]]
    ins = t.instruments[request.instrument]
    if replaced := replaced_quote(t, c):
        tell_quote_ended(t, replaced, replaced.account, R.REPLACED)
        tell_quote_ended(t, replaced, request.account, R.REPLACED)
        drop_quote(t, replaced)
    new = Quote(t.new_id(c.account), request.id, c.account, c["bid"], c["ask"], stands_until(t, c),
                reserve_of(ins, request.quantity, c["bid"], c["ask"]))
    t.quotes[new.id] = new
    request.quotes.append(new.id)
    t.house_credit(c.account, ins.quote).quoted += new.reserve
    fields = {"id": new.id, "other": request.id, "instrument": ins.number, "price": new.bid, "amount": new.ask, "quantity": request.quantity,
              "leaves": new.expires}
    t.echo(c, Event.QUOTED, new.account, **fields)
    t.emit(Event.QUOTE_SHOWN, request.account, **fields)


def check_withdraw_quote(t: State, c: Command) -> Reason:
    found = t.quotes.get(c["quote"])
    if found is None or found.account != c.account:
        return R.UNKNOWN_QUOTE
    return R.NONE if is_open(t, t.requests[found.request]) else R.REQUEST_CLOSED


def withdraw_quote(t: State, c: Command) -> None:
    found = t.quotes[c["quote"]]
    tell_quote_ended(t, found, found.account, R.WITHDRAWN, c)
    tell_quote_ended(t, found, t.requests[found.request].account, R.WITHDRAWN)
    drop_quote(t, found)


# -------------------------------------------------------------------------------------------------------------------- accept
def price_on(found: Quote, client_side: int) -> int:
    return found.ask if client_side == Side.BUY else found.bid


def candidates(t: State, request: Request, c: Command) -> list[Quote]:
    """Live quotes within the client's limit: the named one first, then the best price, then the earliest."""
    side, limit = c["side"], c["limit_price"]
    within = []
    for place, number in enumerate(request.quotes):
        found = t.quotes[number]
        price = price_on(found, side)
        if live(t, found) and price > 0 and (price <= limit if side == Side.BUY else price >= limit):
            within.append((found.id != c["quote"], price if side == Side.BUY else -price, place, found))
    return [row[-1] for row in sorted(within, key=lambda row: row[:-1])]


def side_funds(t: State, account: int, ins: Instrument, side: int, quantity: int, a: int, pays: int) -> Reason:
    """One side of a quote's trade: `a` is the trade's amount, `pays` what a buyer pays with its fee."""
    if not ins.prefunded:
        return R.NONE if t.can_use_credit(account, ins.quote, a) else R.CREDIT
    enough = t.can_spend(account, ins.quote, pays) if side == Side.BUY else t.can_spend(account, ins.base, quantity)
    return R.NONE if enough else R.INSUFFICIENT


def dealer_fails(t: State, ins: Instrument, request: Request, found: Quote, client_side: int) -> Reason:
    dealer, side = t.accounts[found.account], opposite(client_side)
    if dealer.killed:
        return R.KILLED
    if not dealer.enabled:
        return R.ACCOUNT_DISABLED
    if t.breaks_position(dealer.number, ins, side, request.quantity):
        return R.POSITION
    a = ins.amount(request.quantity, price_on(found, client_side))
    reason = side_funds(t, dealer.number, ins, side, request.quantity, a, a)
    return R.INVENTORY if reason == R.INSUFFICIENT and dealer.kind == AccountKind.DESK else reason


def walk(t: State, request: Request, c: Command) -> tuple[list[tuple[Quote, Reason]], Quote | None]:
    """The dealers passed over, each with its reason, and the first that honours."""
    passed: list[tuple[Quote, Reason]] = []
    for found in candidates(t, request, c):
        reason = dealer_fails(t, t.instruments[request.instrument], request, found, c["side"])
        if reason == R.NONE:
            return passed, found
        passed.append((found, reason))
    return passed, None


def check_accept_quote(t: State, c: Command) -> Reason:
    request = own_request(t, c)
    if request is None:
        return R.UNKNOWN_REQUEST
    if not is_open(t, request):
        return R.REQUEST_CLOSED
    ins = t.instruments[request.instrument]
    if reason := check_may_quote(t, c, ins):
        return reason
    if c["side"] not in (Side.BUY, Side.SELL) or request.side not in (Side.TWO_WAY, c["side"]):
        return R.BAD_SIDE
    if not 1 <= c["limit_price"] <= MAX_AMOUNT:
        return R.BAD_PRICE
    if c["quote"] != 0 and c["quote"] not in request.quotes:
        return R.UNKNOWN_QUOTE
    if t.breaks_position(c.account, ins, c["side"], request.quantity):
        return R.POSITION
    _, winner = walk(t, request, c)
    if winner is None:
        return R.NO_QUOTE
    a = ins.amount(request.quantity, price_on(winner, c["side"]))
    if reason := side_funds(t, c.account, ins, c["side"], request.quantity, a, a + quote_fee(t, c.account, ins, a)):
        return reason
    return check_exposure(t, c.account, ins, c["side"], a)


def accept_quote(t: State, c: Command) -> None:
    request = own_request(t, c)
    ins, side = t.instruments[request.instrument], c["side"]
    passed, winner = walk(t, request, c)
    for found, reason in sorted(passed, key=lambda row: request.quotes.index(row[0].id)):
        tell_quote_ended(t, found, found.account, reason)
        t.accounts[found.account].failed += 1
        drop_quote(t, found)
    price, x = price_on(winner, side), request.quantity
    a = ins.amount(x, price)
    client_fee = quote_fee(t, c.account, ins, a)
    buyer, seller = (c.account, winner.account) if side == Side.BUY else (winner.account, c.account)
    number = post_trade(t, ins, buyer, seller, x, price)
    charged = post_fee(t, c.account, ins, client_fee)
    for account, its in ((buyer, Side.BUY), (seller, Side.SELL)):
        traded(t, account, ins, its, a, client_fee if account == c.account else 0, price)
    fields = {"id": winner.id, "other": number, "instrument": ins.number, "price": price, "quantity": x, "amount": a, "liquidity": Liquidity.QUOTE}
    t.echo(c, Event.FILLED, c.account, side=side, fee=0 if charged else client_fee, **fields)
    t.emit(Event.FILLED, winner.account, side=opposite(side), **fields)
    tell_charged(t, c.account, winner.id, ins, Liquidity.QUOTE, charged)
    t.emit(Event.REQUEST_ENDED, c.account, id=request.id, instrument=ins.number, reason=R.FILLED)
    drop_quote(t, winner)
    request.state, request.expires = RequestState.FILLED, t.time + t.cell.rfq_window
    for account in (buyer, seller):
        stop_losses(t, account)


HANDLERS = {
    K.REQUEST_QUOTE: (check_request_quote, request_quote), K.CANCEL_REQUEST: (check_cancel_request, cancel_request), K.QUOTE: (check_quote, quote),
    K.WITHDRAW_QUOTE: (check_withdraw_quote, withdraw_quote), K.ACCEPT_QUOTE: (check_accept_quote, accept_quote),
}
