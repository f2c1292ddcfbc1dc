"""Requests for quotes: ask, quote, withdraw, accept, end. Best price then time; a dealer that fails at accept is passed over for the cover.

Losers are told, and their reserves freed, together and after the winner's window. A quote uses the dealer's quoting line and holds no balance.
"""
from cambist.core import layout as at
from cambist.core.accounts import balance, credit_of, may_trade, next_id, position_of
from cambist.core.trading_controls import check_exposure, is_barred, note_trade, stop_losses
from cambist.core.emit import echo, put, refuse
from cambist.core.fees import post_fee, quote_fee, tell_charged
from cambist.core.layout import INSTRUMENT, REQUEST, STATE, L
from cambist.core.memory import cold, hot
from cambist.core.pools import (
    QUOTE_TAG,
    REQUEST_TAG,
    find,
    forget,
    give_quote,
    give_request,
    remember,
    room_quote,
    room_request,
    take_quote,
    take_request,
)
from cambist.core.risk import (
    amount,
    amount_up,
    check_collar,
    check_credit,
    check_notional,
    check_position,
    check_price,
    check_quantity,
    short_reason,
)
from cambist.core.market_sessions import takes_no_quotes
from cambist.core.timers import QUOTE_ENDS, REQUEST_ENDS, start_timer, stop_timer
from cambist.core.trades import move_position, post_trade
from cambist.messages import MAX_AMOUNT, AccountKind, Event, Kind, Liquidity, Reason, RequestState, Settlement, Side

ASK, CANCEL, QUOTE, WITHDRAW, ACCEPT = (L[k] for k in (Kind.REQUEST_QUOTE, Kind.CANCEL_REQUEST, Kind.QUOTE, Kind.WITHDRAW_QUOTE, Kind.ACCEPT_QUOTE))


# ------------------------------------------------------------------------------------------------------------------ ask
@cold
def _check_request(state: STATE, c: ASK):
    if not may_trade(at.account(state, c.account).kind):
        return Reason.NOT_ALLOWED
    if c.instrument < 1 or c.instrument > state.instrument_count:
        return Reason.UNKNOWN_INSTRUMENT
    b = at.instrument(state, c.instrument)
    if b.halted:
        return Reason.HALTED
    if takes_no_quotes(state, b, c.instrument):
        return Reason.SESSION
    if is_barred(state, b, c.account, c.actor, c.instrument):
        return Reason.RESTRICTED
    if c.side > Side.TWO_WAY:
        return Reason.BAD_SIDE
    reason = check_quantity(b, c.quantity)
    if reason:
        return reason
    if c.ttl < 1 or c.ttl > state.max_ttl:
        return Reason.BAD_TTL
    owner = at.account(state, c.account)
    if owner.open_requests >= owner.max_open:
        return Reason.OPEN_ORDERS
    return Reason.NONE if room_request(state) else Reason.CAPACITY


@cold
def request_quote(state: STATE, c: ASK):
    # check
    reason = _check_request(state, c)
    if reason:
        refuse(state, c.account, reason, 0)
        return
    # book
    i = take_request(state)
    r = at.request(state, i)
    r.id = next_id(state, c.account)
    r.quantity = c.quantity
    r.expires = state.time + c.ttl
    r.account = c.account
    r.instrument = c.instrument
    r.side = c.side
    r.state = RequestState.OPEN
    r.first = 0
    r.last = 0
    r.timer = start_timer(state, r.expires, r.id, REQUEST_ENDS, i)
    remember(state, REQUEST_TAG, r.id, i)
    owner = at.account(state, c.account)
    owner.open_requests = owner.open_requests + 1
    x = at.instrument_extra(state, c.instrument)
    x.requests = x.requests + 1
    # emit
    echo(state, _tell_request(state, Event.REQUEST_OPENED, r, c.account))
    for k in range(1, state.dealer_count + 1):
        dealer = at.dealer(state, k).account + 0
        d = at.account(state, dealer)
        if d.dealer and d.enabled and not d.killed and dealer != c.account:
            _tell_request(state, Event.REQUEST_INVITED, r, dealer)


@cold
def _tell_request(state: STATE, kind: int, r: REQUEST, account: int):
    i = put(state, kind, account, r.instrument, r.id, r.expires)
    e = at.event(state, i)
    e.side = r.side
    e.quantity = r.quantity
    return i


# ------------------------------------------------------------------------------------------------------------------ end
@cold
def free_quote(state: STATE, i: int):
    """A quote is no more: its reserve, its timer, its place, its id."""
    q = at.quote(state, i)
    r = at.request(state, q.request)
    line = at.credit_row(state, credit_of(state, q.account, at.instrument(state, r.instrument).quote))
    line.quoted = line.quoted - q.reserve
    stop_timer(state, q.timer)
    if q.prev:
        at.quote(state, q.prev).next = q.next
    else:
        r.first = q.next
    if q.next:
        at.quote(state, q.next).prev = q.prev
    else:
        r.last = q.prev
    forget(state, QUOTE_TAG, q.id, i)
    give_quote(state, i)


@cold
def end_quote(state: STATE, i: int, reason: int, account: int):
    """Tell one party that a quote has ended; the place of the event."""
    q = at.quote(state, i)
    r = at.request(state, q.request)
    n = put(state, Event.QUOTE_ENDED, account, r.instrument, q.id, r.id)
    at.event(state, n).reason = reason
    return n


@cold
def end_request(state: STATE, i: int, reason: int, to_quotes: int, answered: int):
    """Everything of a request ends: dealers' quotes in order of arrival, then the client (unless told before), then every dealer."""
    r = at.request(state, i)
    q = r.first + 0
    while q:
        following = at.quote(state, q).next + 0
        end_quote(state, q, to_quotes, at.quote(state, q).account)
        free_quote(state, q)
        q = following
    if r.state == RequestState.OPEN:
        owner = at.account(state, r.account)
        owner.open_requests = owner.open_requests - 1
        n = put(state, Event.REQUEST_ENDED, r.account, r.instrument, r.id, 0)
        at.event(state, n).reason = reason
        if answered:
            echo(state, n)
    for k in range(1, state.dealer_count + 1):
        dealer = at.dealer(state, k).account + 0
        if at.account(state, dealer).dealer and dealer != r.account:
            n = put(state, Event.REQUEST_ENDED, dealer, r.instrument, r.id, 0)
            at.event(state, n).reason = reason
    x = at.instrument_extra(state, r.instrument)
    x.requests = x.requests - 1
    stop_timer(state, r.timer)
    forget(state, REQUEST_TAG, r.id, i)
    give_request(state, i)


@cold
def request_due(state: STATE, i: int):
    """A request's time has come: it expires, or its window is over."""
    if at.request(state, i).state == RequestState.OPEN:
        end_request(state, i, Reason.EXPIRED, Reason.EXPIRED, 0)
    else:
        end_request(state, i, Reason.LOST, Reason.LOST, 0)


@cold
def quote_due(state: STATE, i: int):
    end_quote(state, i, Reason.EXPIRED, at.quote(state, i).account)
    end_quote(state, i, Reason.EXPIRED, at.request(state, at.quote(state, i).request).account)
    free_quote(state, i)


@hot
def _is_open(state: STATE, r: REQUEST):
    return r.state == RequestState.OPEN and r.expires > state.time


@cold
def cancel_request(state: STATE, c: CANCEL):
    i = find(state, REQUEST_TAG, c.request)
    if i == 0 or at.request(state, i).account != c.account:
        refuse(state, c.account, Reason.UNKNOWN_REQUEST, c.request)
    elif not _is_open(state, at.request(state, i)):
        refuse(state, c.account, Reason.REQUEST_CLOSED, c.request)
    else:
        end_request(state, i, Reason.USER, Reason.LOST, 1)


# ---------------------------------------------------------------------------------------------------------------- quote
@cold
def _check_sides(b: INSTRUMENT, side: int, bid: int, ask: int):
    """The sides asked for, each inside the range and on the quote tick."""
    if bid < 0 or ask < 0:
        return Reason.BAD_PRICE
    if (bid > 0) != (side != Side.BUY) or (ask > 0) != (side != Side.SELL):
        return Reason.WRONG_SIDES
    if bid:
        reason = check_price(b, bid, b.quote_tick)
        if reason:
            return reason
    if ask:
        reason = check_price(b, ask, b.quote_tick)
        if reason:
            return reason
    return Reason.CROSSED_QUOTE if bid and ask and bid > ask else Reason.NONE


@cold
def _check_quote_risk(state: STATE, c: QUOTE, r: REQUEST, b: INSTRUMENT):
    if c.ttl < 1 or c.ttl > state.max_ttl:
        return Reason.BAD_TTL
    reason = check_collar(state, b, r.instrument, c.bid, c.bid)
    if not reason and c.ask:
        reason = check_collar(state, b, r.instrument, c.ask, c.ask)
    if not reason:
        reason = check_notional(b, r.quantity, max(c.bid, c.ask))
    if not reason and c.bid:
        reason = check_position(state, b, c.account, r.instrument, Side.BUY, r.quantity, 0)
    if not reason and c.ask:
        reason = check_position(state, b, c.account, r.instrument, Side.SELL, r.quantity, 0)
    reserve = amount_up(b, r.quantity, max(c.bid, c.ask)) if not reason else 0
    if not reason and c.bid:
        reason = check_exposure(state, b, c.account, Side.BUY, reserve, 0)
    if not reason and c.ask:
        reason = check_exposure(state, b, c.account, Side.SELL, reserve, 0)
    return reason


@cold
def _own_quote(state: STATE, r: REQUEST, account: int):
    """The dealer's living row on a request, or 0."""
    q = r.first + 0
    while q and at.quote(state, q).account != account:
        q = at.quote(state, q).next + 0
    return q


@cold
def _check_line(state: STATE, account: int, asset: int, reserve: int, replaced: int):
    i = credit_of(state, account, asset)
    if i == 0:
        return Reason.QUOTING_LINE
    line = at.credit_row(state, i)
    before = at.quote(state, replaced).reserve if replaced else 0
    return Reason.QUOTING_LINE if line.quoted - before + reserve > line.quoting_limit else Reason.NONE


@cold
def _check_quote(state: STATE, c: QUOTE, i: int):
    if i == 0:
        return Reason.UNKNOWN_REQUEST
    r = at.request(state, i)
    if not _is_open(state, r):
        return Reason.REQUEST_CLOSED
    if not at.account(state, c.account).dealer:
        return Reason.NOT_A_DEALER
    if r.account == c.account:
        return Reason.OWN_REQUEST
    b = at.instrument(state, r.instrument)
    if b.halted:
        return Reason.HALTED
    if takes_no_quotes(state, b, r.instrument):
        return Reason.SESSION
    if is_barred(state, b, c.account, c.actor, r.instrument):
        return Reason.RESTRICTED
    reason = _check_sides(b, r.side, c.bid, c.ask)
    if not reason:
        reason = _check_quote_risk(state, c, r, b)
    if not reason:
        replaced = _own_quote(state, r, c.account)
        reason = _check_line(state, c.account, b.quote, amount_up(b, r.quantity, max(c.bid, c.ask)), replaced)
        if not reason and not replaced and not room_quote(state):
            reason = Reason.CAPACITY
    return reason


@hot
def _waits(state: STATE, account: int, b: INSTRUMENT, reserve: int):
    """Our own desk's quote above the size that a second person decides."""
    above = at.asset(state, b.quote).quote_approval_above
    return 1 if 0 <= above < reserve and not state.releasing and at.account(state, account).kind == AccountKind.DESK else 0


@cold
def quote(state: STATE, c: QUOTE):
    """0; or, when a second person decides, the lapse with which it is to be held: nothing was changed."""
    # check
    i = find(state, REQUEST_TAG, c.request)
    reason = _check_quote(state, c, i)
    if reason:
        refuse(state, c.account, reason, c.request)
        return 0
    r = at.request(state, i)
    b = at.instrument(state, r.instrument)
    reserve = amount_up(b, r.quantity, max(c.bid, c.ask))
    expires = min(state.releasing + 0 if state.releasing else state.time + c.ttl, r.expires)
    if _waits(state, c.account, b, reserve):
        return expires
    # book
    replaced = _own_quote(state, r, c.account)
    if replaced:
        end_quote(state, replaced, Reason.REPLACED, c.account)
        end_quote(state, replaced, Reason.REPLACED, r.account)
        free_quote(state, replaced)
    k = take_quote(state)
    q = at.quote(state, k)
    q.id = next_id(state, c.account)
    q.bid = c.bid
    q.ask = c.ask
    q.expires = expires
    q.reserve = reserve
    q.account = c.account
    q.request = i
    q.next = 0
    q.prev = r.last
    if r.last:
        at.quote(state, r.last).next = k
    else:
        r.first = k
    r.last = k
    q.timer = start_timer(state, q.expires, q.id, QUOTE_ENDS, k)
    remember(state, QUOTE_TAG, q.id, k)
    line = at.credit_row(state, credit_of(state, c.account, b.quote))
    line.quoted = line.quoted + q.reserve
    # emit
    echo(state, _tell_quote(state, Event.QUOTED, k, c.account))
    _tell_quote(state, Event.QUOTE_SHOWN, k, r.account)
    return 0


@cold
def _tell_quote(state: STATE, kind: int, k: int, account: int):
    q = at.quote(state, k)
    r = at.request(state, q.request)
    i = put(state, kind, account, r.instrument, q.id, r.id)
    e = at.event(state, i)
    e.price = q.bid
    e.amount = q.ask
    e.quantity = r.quantity
    e.leaves = q.expires
    return i


@cold
def withdraw_quote(state: STATE, c: WITHDRAW):
    i = find(state, QUOTE_TAG, c.quote)
    if i == 0 or at.quote(state, i).account != c.account:
        refuse(state, c.account, Reason.UNKNOWN_QUOTE, c.quote)
        return
    r = at.request(state, at.quote(state, i).request)
    if not _is_open(state, r):
        refuse(state, c.account, Reason.REQUEST_CLOSED, c.quote)
        return
    echo(state, end_quote(state, i, Reason.WITHDRAWN, c.account))
    end_quote(state, i, Reason.WITHDRAWN, r.account)
    free_quote(state, i)


# --------------------------------------------------------------------------------------------------------------- accept
@hot
def price_for(state: STATE, q: int, side: int):
    """What a client pays or gets from a quote on a side; 0: not quoted."""
    return at.quote(state, q).ask + 0 if side == Side.BUY else at.quote(state, q).bid + 0


@cold
def _next_candidate(state: STATE, r: REQUEST, c: ACCEPT, named: int):
    """The best living quote within the limit that has not failed yet: the named one, then best price, then earliest."""
    best, best_price = 0, 0
    q = r.first + 0
    while q:
        x = at.quote(state, q)
        price = price_for(state, q, c.side)
        within = price > 0 and (price <= c.limit_price if c.side == Side.BUY else price >= c.limit_price)
        if within and x.expires > state.time and x.failure == Reason.NONE:
            if q == named:
                return q
            if best == 0 or (price < best_price if c.side == Side.BUY else price > best_price):
                best, best_price = q, price
        q = x.next + 0
    return best


@cold
def _check_party(state: STATE, b: INSTRUMENT, account: int, side: int, quantity: int, worth: int, charge: int):
    """Whether a party can pay its side now: from balance, or from its line."""
    if b.settlement == Settlement.ON_CREDIT:
        return check_credit(state, account, b.quote, worth)
    if side == Side.BUY:
        x = balance(state, account, b.quote)
        return Reason.INSUFFICIENT if x.available + x.short_limit < worth + charge else Reason.NONE
    x = balance(state, account, b.base)
    return Reason.INSUFFICIENT if x.available + x.short_limit < quantity else Reason.NONE


@cold
def _check_dealer(state: STATE, b: INSTRUMENT, r: REQUEST, q: int, side: int, worth: int):
    dealer = at.quote(state, q).account + 0
    d = at.account(state, dealer)
    if d.killed:
        return Reason.KILLED
    if not d.enabled:
        return Reason.ACCOUNT_DISABLED
    reason = check_position(state, b, dealer, r.instrument, 1 - side, r.quantity, 0)
    if not reason:
        reason = _check_party(state, b, dealer, 1 - side, r.quantity, worth, 0)
    return short_reason(state, dealer) if reason == Reason.INSUFFICIENT else reason


@cold
def _check_accept(state: STATE, c: ACCEPT, i: int):
    if i == 0 or at.request(state, i).account != c.account:
        return Reason.UNKNOWN_REQUEST
    r = at.request(state, i)
    if not _is_open(state, r):
        return Reason.REQUEST_CLOSED
    b = at.instrument(state, r.instrument)
    if b.halted:
        return Reason.HALTED
    if takes_no_quotes(state, b, r.instrument):
        return Reason.SESSION
    if is_barred(state, b, c.account, c.actor, r.instrument):
        return Reason.RESTRICTED
    if c.side > Side.SELL or (r.side != Side.TWO_WAY and c.side != r.side):
        return Reason.BAD_SIDE
    if c.limit_price < 1 or c.limit_price > MAX_AMOUNT:
        return Reason.BAD_PRICE
    if c.quote:
        k = find(state, QUOTE_TAG, c.quote)
        if k == 0 or at.quote(state, k).request != i:
            return Reason.UNKNOWN_QUOTE
    return check_position(state, b, c.account, r.instrument, c.side, r.quantity, 0)


@cold
def _find_winner(state: STATE, c: ACCEPT, i: int):
    """The first candidate whose dealer honours it, or 0; the ones passed over are marked with their reason."""
    r = at.request(state, i)
    b = at.instrument(state, r.instrument)
    q = r.first + 0
    while q:
        at.quote(state, q).failure = Reason.NONE
        q = at.quote(state, q).next + 0
    named = find(state, QUOTE_TAG, c.quote) if c.quote else 0
    while True:
        q = _next_candidate(state, r, c, named)
        if q == 0:
            return 0
        reason = _check_dealer(state, b, r, q, c.side, amount(b, r.quantity, price_for(state, q, c.side)))
        if reason == Reason.NONE:
            return q
        at.quote(state, q).failure = reason


@cold
def accept_quote(state: STATE, c: ACCEPT):
    # check
    i = find(state, REQUEST_TAG, c.request)
    reason = _check_accept(state, c, i)
    if reason:
        refuse(state, c.account, reason, c.request)
        return
    r = at.request(state, i)
    b = at.instrument(state, r.instrument)
    winner = _find_winner(state, c, i)
    if winner == 0:
        refuse(state, c.account, Reason.NO_QUOTE, c.request)
        return
    price = price_for(state, winner, c.side)
    worth = amount(b, r.quantity, price)
    charge = quote_fee(state, b, c.account, r.instrument, worth)
    reason = _check_party(state, b, c.account, c.side, r.quantity, worth, charge)
    if not reason:
        reason = check_exposure(state, b, c.account, c.side, worth, 0)
    if reason:
        refuse(state, c.account, reason, c.request)
        return
    dealer = at.quote(state, winner).account + 0
    _pass_over(state, r)
    _execute(state, c, i, winner, price, worth, charge)
    _close_filled(state, i, winner)
    stop_losses(state, c.account if c.side == Side.BUY else dealer)
    stop_losses(state, dealer if c.side == Side.BUY else c.account)


@cold
def _pass_over(state: STATE, r: REQUEST):
    """Quotes whose dealers failed end now, and it is recorded against them."""
    q = r.first + 0
    while q:
        x = at.quote(state, q)
        following = x.next + 0
        if x.failure:
            end_quote(state, q, x.failure, x.account)
            d = at.account(state, x.account)
            d.failed = d.failed + 1
            free_quote(state, q)
        q = following


@cold
def _execute(state: STATE, c: ACCEPT, i: int, winner: int, price: int, worth: int, charge: int):
    """Both legs, both positions, both told."""
    r = at.request(state, i)
    b = at.instrument(state, r.instrument)
    q = at.quote(state, winner)
    dealer, size = q.account + 0, r.quantity + 0
    # book
    if c.side == Side.BUY:
        post_trade(state, b, c.account, dealer, size, worth, 0, 0)
    else:
        post_trade(state, b, dealer, c.account, size, worth, 0, 0)
    instead = post_fee(state, b, c.account, charge, 0)
    bought = size if c.side == Side.BUY else -size
    move_position(state, c.account, r.instrument, bought, 0, 0)
    move_position(state, dealer, r.instrument, -bought, 0, 0)
    b.last = price
    state.matches = state.matches + 1
    _note(state, b, c.account, r.instrument, c.side, worth, charge, price)
    _note(state, b, dealer, r.instrument, 1 - c.side, worth, 0, price)
    # emit
    n = _tell_fill(state, c.account, r.instrument, q.id, c.side, price, size, worth)
    at.event(state, n).fee = 0 if instead else charge
    echo(state, n)
    _tell_fill(state, dealer, r.instrument, q.id, 1 - c.side, price, size, worth)
    tell_charged(state, c.account, r.instrument, q.id, Liquidity.QUOTE, instead)


@cold
def _note(state: STATE, b: INSTRUMENT, account: int, instrument: int, side: int, worth: int, charge: int, price: int):
    """What the trade was to the exposure of an account that is watched."""
    note_trade(state, b, at.position_row(state, position_of(state, account, instrument)), side, worth, charge, price)


@cold
def _tell_fill(state: STATE, account: int, instrument: int, id: int, side: int, price: int, quantity: int, worth: int):
    n = put(state, Event.FILLED, account, instrument, id, state.matches)
    e = at.event(state, n)
    e.side = side
    e.liquidity = Liquidity.QUOTE
    e.price = price
    e.quantity = quantity
    e.amount = worth
    return n


@cold
def _close_filled(state: STATE, i: int, winner: int):
    """The client is told at once, the losers after the winner's window; until then their reserves stay."""
    r = at.request(state, i)
    n = put(state, Event.REQUEST_ENDED, r.account, r.instrument, r.id, 0)
    at.event(state, n).reason = Reason.FILLED
    free_quote(state, winner)
    owner = at.account(state, r.account)
    owner.open_requests = owner.open_requests - 1
    r.state = RequestState.FILLED
    r.expires = state.time + state.rfq_window
    q = r.first + 0
    while q:
        x = at.quote(state, q)
        stop_timer(state, x.timer)
        x.timer = 0
        q = x.next + 0
    stop_timer(state, r.timer)
    r.timer = start_timer(state, r.expires, r.id, REQUEST_ENDS, i)
