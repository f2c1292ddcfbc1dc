"""Two orders meet, at least one of which is not plain, or both of which rest: what a trade moves and tells, what a self-trade or too much of a reduction
prevents. docs/rules.md sections 4 (matching) and 5.

Decides neither who meets whom nor whether they may: that is `matching` for a taker and `auction` where both rest. Both orders are special
(`standing.make_special`). `taking`: the second of the two is at work and not in the book.
"""
from cambist.core import layout as at
from cambist.core.accounts import account_of
from cambist.core.bands import keep_anchor
from cambist.core.controls import note_trade, same_owner, stop_losses
from cambist.core.emit import of, write
from cambist.core.ends import cancel_special, cover_children, finish, price_now, tell_cancelled, tell_linked, tell_reduced
from cambist.core.fees import order_fee, post_fee, tell_charged
from cambist.core.layout import INSTRUMENT, STATE
from cambist.core.memory import cold
from cambist.core.protection import protection_trips
from cambist.core.risk import amount
from cambist.core.standing import lose
from cambist.core.trades import post_trade
from cambist.messages import BY_QUOTE, REDUCE_ONLY, Event, Liquidity, Reason, SelfTrade, Side


# --------------------------------------------------------------------------------------------------------------- prevented
@cold
def may_not_trade(state: STATE, i: int, j: int):
    """The same owner, as the wider of the two scopes sees it."""
    return same_owner(state, account_of(at.order(state, i)), account_of(at.order(state, j)))


@cold
def room_to_reduce(state: STATE, i: int):
    """What its position could be reduced by on the order's side."""
    o = at.order(state, i)
    net = at.position_row(state, o.position).net + 0
    return max(0, -net if o.side == Side.BUY else net)


@cold
def is_too_much(state: STATE, i: int):
    """Whether it would do more than reduce the position."""
    o = at.order(state, i)
    return 1 if o.special and at.order_extra(state, i).options & REDUCE_ONLY and o.leaves > room_to_reduce(state, i) else 0


@cold
def fit(state: STATE, i: int, taking: int):
    """It falls to what its position leaves."""
    x = at.order(state, i).leaves - room_to_reduce(state, i)
    lose(state, i, x, 1, taking)
    _tell_prevented(state, i, x, Reason.REDUCE_ONLY)


@cold
def _tell_prevented(state: STATE, i: int, x: int, reason: int):
    """x of it will not trade, already gone from its leaves; with nothing left it is gone."""
    o, e = at.order(state, i), at.order_extra(state, i)
    tell_reduced(state, i, x, reason)
    if o.leaves == 0:
        tell_cancelled(state, i, reason, 0, price_now(state, at.instrument(state, e.instrument), o, e))
    tell_linked(state, i, x)
    if o.leaves == 0:
        finish(state, i)


@cold
def meet_self(state: STATE, i: int, j: int, taking: int):
    """Two that may not trade together, i the earlier: what happens is j's mode. Their levels are told by whoever works there."""
    mode = at.order(state, j).self_trade + 0
    if mode == SelfTrade.DECREMENT:
        x = min(at.order(state, i).leaves, at.order(state, j).leaves)
        lose(state, i, x, 1, 0)
        lose(state, j, x, 1, taking)
        _tell_prevented(state, i, x, Reason.SELF_TRADE)
        _tell_prevented(state, j, x, Reason.SELF_TRADE)
        return
    if mode != SelfTrade.CANCEL_NEWEST:
        cancel_special(state, i, Reason.SELF_TRADE, 0, 0)
    if mode != SelfTrade.CANCEL_OLDEST:
        cancel_special(state, j, Reason.SELF_TRADE, 0, 0)


# ------------------------------------------------------------------------------------------------------------------- trade
@cold
def _fee_of(state: STATE, b: INSTRUMENT, instrument: int, i: int, worth: int, liquidity: int):
    """What an order is charged of a trade; its minimum once."""
    o = at.order(state, i)
    least = at.order_extra(state, i).fee_min + 0 if o.quantity == o.leaves else 0
    return order_fee(state, b, account_of(o), instrument, worth, liquidity == Liquidity.MAKER, o.fee_ppm, least)


@cold
def trade(state: STATE, b: INSTRUMENT, instrument: int, i: int, j: int, x: int, price: int, first: int, second: int):
    """x changes hands at a price between i, which is told first, and j; `first` and `second` are their liquidity: a TAKER is at work."""
    m, o = at.order(state, i), at.order(state, j)
    # hold
    worth = amount(b, x, price)
    fee, other_fee = _fee_of(state, b, instrument, i, worth, first), _fee_of(state, b, instrument, j, worth, second)
    lose(state, i, x, 0, 0)
    lose(state, j, worth if at.order_extra(state, j).options & BY_QUOTE else x, 0, second == Liquidity.TAKER)
    # book
    keep_anchor(state, b, instrument, price)
    buys = m.side == Side.BUY
    buyer, seller = i if buys else j, j if buys else i
    buyer_fee, seller_fee = fee if buys else other_fee, other_fee if buys else fee
    p, s = at.position_row(state, at.order(state, buyer).position), at.position_row(state, at.order(state, seller).position)
    post_trade(state, b, p.account, s.account, x, worth, 0, 0)
    p.net = p.net + x
    s.net = s.net - x
    b.last = price
    b.book_last = price
    match = state.matches + 1
    state.matches = match
    cover_children(state, buyer)
    cover_children(state, seller)
    rebates = 1 if buyer_fee < 0 or seller_fee < 0 else 0
    bought_for, sold_for = post_fee(state, b, p.account, buyer_fee, rebates), post_fee(state, b, s.account, seller_fee, rebates)
    note_trade(state, b, p, Side.BUY, worth, buyer_fee, price)
    note_trade(state, b, s, Side.SELL, worth, seller_fee, price)
    # emit
    instead, other_instead = bought_for if buys else sold_for, sold_for if buys else bought_for
    write(state, of(Event.FILLED, 0, m.side, first), account_of(m), instrument, m.id, match, price, x, m.leaves, worth, 0 if instead else fee)
    write(state, of(Event.FILLED, 0, o.side, second), account_of(o), instrument, o.id, match, price, x, o.leaves, worth, 0 if other_instead else other_fee)
    tell_charged(state, account_of(m), instrument, m.id, instead)
    tell_charged(state, account_of(o), instrument, o.id, other_instead)
    _close(state, i, x)
    _close(state, j, x)
    _protect(state, i, x)
    _protect(state, j, x)
    stop_losses(state, p.account)
    stop_losses(state, s.account)


@cold
def _close(state: STATE, i: int, x: int):
    """What is linked to it loses as much; with nothing left it is done."""
    tell_linked(state, i, x)
    if at.order(state, i).leaves == 0:
        finish(state, i)


@cold
def _protect(state: STATE, i: int, x: int):
    """Market-maker protection: the quote that traded too much is withdrawn, bid then ask. (The row of one that is gone still says whose it was.)"""
    o = at.order(state, i)
    if not at.order_extra(state, i).quoted or not protection_trips(state, o.position, o.side, x):
        return
    quote = at.position_extra(state, o.position)
    bid, ask = quote.bid + 0, quote.ask + 0
    if bid:
        cancel_special(state, bid, Reason.PROTECTED, 0, bid != i)
    if ask:
        cancel_special(state, ask, Reason.PROTECTED, 0, ask != i)
