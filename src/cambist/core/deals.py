"""What happens when two orders meet that are not both plain: prevented, fitted to a position, or traded, with all that follows a trade. docs/rules.md sections
4, 5 and 14.

Both are marked special. Decides who may trade with whom and in which order a trade's parts are done and told; which orders meet, at which price, and when
their levels are told is decided by whoever brings them together. `taking`: the order is at work and stands nowhere.
"""
import numpy as np

from cambist.core import layout as at
from cambist.core.accounts import account_of
from cambist.core.bands import keep_anchor
from cambist.core.controls import note_trade, same_owner, stop_losses
from cambist.core.emit import of, write
from cambist.core.ends import cancel_special, cover_children, finish, price_now, tell_cancelled, tell_linked, tell_reduced
from cambist.core.fees import order_fee, post_fee, tell_charged
from cambist.core.layout import INSTRUMENT, STATE
from cambist.core.memory import cold, hot
from cambist.core.protection import protection_trips
from cambist.core.risk import amount
from cambist.core.standing import enter_level, leave_level, lose, show_again
from cambist.core.trades import post_trade
from cambist.messages import BY_QUOTE, EFFECTIVE_SELF_TRADE, REDUCE_ONLY, Event, Liquidity, Reason, SelfTrade, Side

MODES = np.array([EFFECTIVE_SELF_TRADE[maker][taker] for maker in SelfTrade for taker in SelfTrade], np.int64)


# ------------------------------------------------------------------------------------------------------------ may they
@hot
def may_not_trade(state: STATE, i: int, j: int):
    """Whether their owners are the same, as the wider of the two scopes sees it."""
    return same_owner(state, account_of(at.order(state, i)), account_of(at.order(state, j)))


@hot
def effective_mode(maker: int, taker: int):
    """What happens to two that may not trade, by the mode of each: the published table."""
    return MODES[maker * len(SelfTrade) + taker]


@cold
def meet_self(state: STATE, maker: int, taker: int, taking: int):
    """Neither trades with the other; the later in order of arrival is the taker."""
    mode = effective_mode(at.order(state, maker).self_trade, at.order(state, taker).self_trade)
    if mode == SelfTrade.DECREMENT:
        x = min(at.order(state, maker).leaves, at.order(state, taker).leaves)
        lose(state, maker, x, 1, 0)
        lose(state, taker, x, 1, taking)
        _tell_prevented(state, maker, x, Reason.SELF_TRADE)
        _tell_prevented(state, taker, x, Reason.SELF_TRADE)
        return
    if mode != SelfTrade.CANCEL_NEWEST:
        cancel_special(state, maker, Reason.SELF_TRADE, 0, 0)
    if mode != SelfTrade.CANCEL_OLDEST:
        cancel_special(state, taker, Reason.SELF_TRADE, 0, 0)


@cold
def _tell_prevented(state: STATE, i: int, x: int, reason: int):
    """x of it will not trade, already gone from its leaves."""
    o, e = at.order(state, i), at.order_extra(state, i)
    ended = o.leaves == 0
    tell_reduced(state, i, x, reason)
    if ended:
        tell_cancelled(state, i, reason, 0, price_now(state, at.instrument(state, e.instrument), o, e))
    tell_linked(state, i, x)
    if ended:
        finish(state, i)


# ----------------------------------------------------------------------------------------------------------- reduce only
@hot
def _room(state: STATE, i: int):
    """What its position could be reduced by on its side."""
    o = at.order(state, i)
    net = at.position_row(state, o.position).net + 0
    return max(0, -net if o.side == Side.BUY else net)


@hot
def is_too_much(state: STATE, i: int):
    """Whether an order that only reduces has more leaves than there is to reduce."""
    return 1 if at.order_extra(state, i).options & REDUCE_ONLY and at.order(state, i).leaves > _room(state, i) else 0


@cold
def fit(state: STATE, i: int, taking: int):
    x = at.order(state, i).leaves - _room(state, i)
    lose(state, i, x, 1, taking)
    _tell_prevented(state, i, x, Reason.REDUCE_ONLY)


# ----------------------------------------------------------------------------------------------------------------- trade
@cold
def _fee(state: STATE, b: INSTRUMENT, instrument: int, i: int, worth: int, liquidity: int):
    """What an order owes for a trade that has not changed it yet."""
    o, e = at.order(state, i), at.order_extra(state, i)
    least = e.fee_min if o.quantity == o.leaves else 0
    return order_fee(state, b, account_of(o), instrument, worth, liquidity == Liquidity.MAKER, o.fee_ppm, least)


@cold
def _take_leaves(state: STATE, i: int, x: int, worth: int, liquidity: int):
    lose(state, i, worth if at.order_extra(state, i).options & BY_QUOTE else x, 0, liquidity == Liquidity.TAKER)


@cold
def _book(state: STATE, b: INSTRUMENT, instrument: int, buyer: int, seller: int, x: int, worth: int, price: int):
    """Both legs, both positions, and what the instrument has seen."""
    p, q = at.position_row(state, at.order(state, buyer).position), at.position_row(state, at.order(state, seller).position)
    keep_anchor(state, b, instrument, price)
    post_trade(state, b, p.account, q.account, x, worth, 0, 0)
    p.net = p.net + x
    q.net = q.net - x
    b.last = price
    b.book_last = price
    state.matches = state.matches + 1
    cover_children(state, buyer)
    cover_children(state, seller)


@cold
def _tell_fill(state: STATE, instrument: int, i: int, x: int, price: int, worth: int, paid: int, liquidity: int):
    o = at.order(state, i)
    write(state, of(Event.FILLED, 0, o.side, liquidity), account_of(o), instrument, o.id, state.matches, price, x, o.leaves, worth, paid)


@cold
def _settle_leaves(state: STATE, i: int, x: int):
    """What a trade took from what the order is linked to, and its end when nothing is left."""
    ended = at.order(state, i).leaves == 0
    tell_linked(state, i, x)
    if ended:
        finish(state, i)


@cold
def _protect(state: STATE, i: int, position: int, side: int, x: int):
    """A quote's trade counts; when it trips, bid and ask are withdrawn. Whoever works in the level of the order that traded tells that level."""
    if protection_trips(state, position, side, x):
        r = at.position_extra(state, position)
        bid, ask = r.bid + 0, r.ask + 0
        if bid:
            cancel_special(state, bid, Reason.PROTECTED, 0, bid != i)
        if ask:
            cancel_special(state, ask, Reason.PROTECTED, 0, ask != i)


@cold
def trade(state: STATE, b: INSTRUMENT, instrument: int, i: int, j: int, x: int, price: int, one: int, other: int):
    """x changes hands between orders i and j, of liquidity `one` and `other`; i is told first."""
    first, second = at.order(state, i), at.order(state, j)
    worth = amount(b, x, price)
    i_buys = first.side == Side.BUY
    # hold
    i_fee, j_fee = _fee(state, b, instrument, i, worth, one), _fee(state, b, instrument, j, worth, other)
    _take_leaves(state, i, x, worth, one)
    _take_leaves(state, j, x, worth, other)
    # book
    buyer, seller = i if i_buys else j, j if i_buys else i
    buyer_fee, seller_fee = i_fee if i_buys else j_fee, j_fee if i_buys else i_fee
    buying, selling = account_of(at.order(state, buyer)), account_of(at.order(state, seller))
    _book(state, b, instrument, buyer, seller, x, worth, price)
    rebates = i_fee < 0 or j_fee < 0
    bought = post_fee(state, b, buying, buyer_fee, rebates)
    sold = post_fee(state, b, selling, seller_fee, rebates)
    note_trade(state, b, at.position_row(state, at.order(state, buyer).position), Side.BUY, worth, buyer_fee, price)
    note_trade(state, b, at.position_row(state, at.order(state, seller).position), Side.SELL, worth, seller_fee, price)
    # emit
    i_instead, j_instead = bought if i_buys else sold, sold if i_buys else bought
    _tell_fill(state, instrument, i, x, price, worth, 0 if i_instead else i_fee, one)
    _tell_fill(state, instrument, j, x, price, worth, 0 if j_instead else j_fee, other)
    tell_charged(state, account_of(first), instrument, first.id, i_instead)
    tell_charged(state, account_of(second), instrument, second.id, j_instead)
    # what follows
    i_position, i_quoted, i_side = first.position + 0, at.order_extra(state, i).quoted + 0, first.side + 0
    j_position, j_quoted, j_side = second.position + 0, at.order_extra(state, j).quoted + 0, second.side + 0
    _settle_leaves(state, i, x)
    _settle_leaves(state, j, x)
    if i_quoted:
        _protect(state, i, i_position, i_side, x)
    if j_quoted:
        _protect(state, j, j_position, j_side, x)
    stop_losses(state, buying)
    stop_losses(state, selling)


@cold
def fill(state: STATE, b: INSTRUMENT, instrument: int, maker: int, taker: int, x: int, price: int):
    """A trade with an order in the book at its price. An iceberg with nothing left to show shows again, at the end of its level."""
    e = at.order_extra(state, maker)
    if e.display:
        show_again(state, maker, e.shown - x)
    trade(state, b, instrument, maker, taker, x, price, Liquidity.MAKER, Liquidity.TAKER)
    if e.stands and e.display and e.shown == 0:
        tick = at.level(state, at.order(state, maker).level).tick + 0
        leave_level(state, b, maker)
        enter_level(state, b, maker, tick)
