"""A taker against the book: price, then time. Decides who trades with whom and what a self-trade does; parks the taker when the events have no room."""
from cambist.core import layout as at
from cambist.core.accounts import ORDINAL_MASK
from cambist.core.book import highest_below, leave, level_at, lowest_above, price_of, rest, tell_level
from cambist.core.emit import put
from cambist.core.layout import INSTRUMENT, ORDER, PLACES, ROOM, STATE, TAKER
from cambist.core.memory import cold, hot
from cambist.core.pools import ORDER_TAG, forget, give_order, remember, take_order
from cambist.core.risk import amount, change_hold, hold_of
from cambist.core.arithmetic import fee
from cambist.core.trades import move_position, post_trade
from cambist.messages import Event, Liquidity, Reason, SelfTrade, Side

EVENTS = PLACES["events"]


@hot
def is_dying(state: STATE, o: ORDER):
    """Below its account's cancel-all latch: it never trades again."""
    return 1 if (o.id & ORDINAL_MASK) < at.account(state, o.account).dying_below else 0


@hot
def open_change(side: int, buy: int, quantity: int):
    """`quantity` where the side is `buy`, else 0: for the two open columns of a position."""
    return quantity if side == buy else 0


@cold
def _say(state: STATE, kind: int, account: int, instrument: int, id: int, side: int, price: int, quantity: int, leaves: int, reason: int):
    i = put(state, kind, account, instrument, id, 0)
    e = at.event(state, i)
    e.side = side
    e.price = price
    e.quantity = quantity
    e.leaves = leaves
    e.reason = reason
    return i


@cold
def remove_order(state: STATE, b: INSTRUMENT, instrument: int, i: int, reason: int):
    """Take a resting order out for good: its queue, its hold, its account's list, its id; say so. The place of the event."""
    o = at.order(state, i)
    price = price_of(b, at.level(state, o.level).tick)
    account, side, leaves, id = o.account + 0, o.side + 0, o.leaves + 0, o.id + 0
    change_hold(state, b, account, side, -o.held)
    move_position(state, account, instrument, 0, -open_change(side, Side.BUY, leaves), -open_change(side, Side.SELL, leaves))
    leave(state, b, o)
    drop_order(state, i)
    return _say(state, Event.ORDER_CANCELLED, account, instrument, id, side, price, leaves, 0, reason)


@cold
def withdraw_order(state: STATE, b: INSTRUMENT, instrument: int, i: int, reason: int):
    """Take out an order that nobody is trading with now, and tell its level. The place of ORDER_CANCELLED."""
    o = at.order(state, i)
    side, row = o.side + 0, o.level + 0
    n = remove_order(state, b, instrument, i, reason)
    tell_level(state, b, instrument, side, row)
    return n


@cold
def drop_order(state: STATE, i: int):
    """Forget an order that has left its queue."""
    o = at.order(state, i)
    owner = at.account(state, o.account)
    if o.before:
        at.order(state, o.before).after = o.after
    else:
        owner.first_order = o.after
    if o.after:
        at.order(state, o.after).before = o.before
    else:
        owner.last_order = o.before
    owner.open_orders = owner.open_orders - 1
    forget(state, ORDER_TAG, o.id, i)
    give_order(state, i)


@hot
def _set_leaves(state: STATE, b: INSTRUMENT, o: ORDER, price: int, leaves: int):
    """A resting order's leaves fall: its hold and its level follow."""
    held = hold_of(b, o.side, leaves, price, o.fee_ppm)
    change_hold(state, b, o.account, o.side, held - o.held)
    l = at.level(state, o.level)
    l.quantity = l.quantity - (o.leaves - leaves)
    o.leaves = leaves
    o.held = held


@hot
def _set_taker_leaves(state: STATE, b: INSTRUMENT, t: TAKER, leaves: int):
    held = hold_of(b, t.side, leaves, t.price, t.fee_ppm)
    change_hold(state, b, t.account, t.side, held - t.held)
    t.leaves = leaves
    t.held = held


@cold
def _trade(state: STATE, b: INSTRUMENT, t: TAKER, i: int, price: int):
    """Fill the smaller leaves at the maker's price: holds fall, both legs are posted, both sides are told."""
    # hold
    o = at.order(state, i)
    x = min(o.leaves, t.leaves)
    _set_leaves(state, b, o, price, o.leaves - x)
    _set_taker_leaves(state, b, t, t.leaves - x)
    # book
    worth = amount(b, x, price)
    maker_fee, taker_fee = fee(worth, min(b.maker_ppm, o.fee_ppm)), fee(worth, b.taker_ppm)
    if t.side == Side.BUY:
        post_trade(state, b, t.account, o.account, x, worth, taker_fee, maker_fee)
        move_position(state, t.account, t.instrument, x, 0, 0)
        move_position(state, o.account, t.instrument, -x, 0, -x)
    else:
        post_trade(state, b, o.account, t.account, x, worth, maker_fee, taker_fee)
        move_position(state, t.account, t.instrument, -x, 0, 0)
        move_position(state, o.account, t.instrument, x, -x, 0)
    b.last = price
    state.matches = state.matches + 1
    # emit
    n = _say(state, Event.FILLED, o.account, t.instrument, o.id, o.side, price, x, o.leaves, 0)
    e = at.event(state, n)
    e.liquidity = Liquidity.MAKER
    e.other = state.matches
    e.amount = worth
    e.fee = maker_fee
    n = _say(state, Event.FILLED, t.account, t.instrument, t.id, t.side, price, x, t.leaves, 0)
    e = at.event(state, n)
    e.liquidity = Liquidity.TAKER
    e.other = state.matches
    e.amount = worth
    e.fee = taker_fee
    if o.leaves == 0:
        leave(state, b, o)
        drop_order(state, i)


@cold
def _decrement(state: STATE, b: INSTRUMENT, t: TAKER, i: int, price: int):
    """Both lose the smaller leaves without a trade."""
    o = at.order(state, i)
    x = min(o.leaves, t.leaves)
    _set_leaves(state, b, o, price, o.leaves - x)
    o.quantity = o.quantity - x
    move_position(state, o.account, t.instrument, 0, -open_change(o.side, Side.BUY, x), -open_change(o.side, Side.SELL, x))
    _set_taker_leaves(state, b, t, t.leaves - x)
    t.quantity = t.quantity - x
    _say(state, Event.ORDER_REDUCED, o.account, t.instrument, o.id, o.side, price, x, o.leaves, Reason.SELF_TRADE)
    if o.leaves == 0:
        _say(state, Event.ORDER_CANCELLED, o.account, t.instrument, o.id, o.side, price, 0, 0, Reason.SELF_TRADE)
        leave(state, b, o)
        drop_order(state, i)
    _say(state, Event.ORDER_REDUCED, t.account, t.instrument, t.id, t.side, t.price, x, t.leaves, Reason.SELF_TRADE)
    if t.leaves == 0:
        _say(state, Event.ORDER_CANCELLED, t.account, t.instrument, t.id, t.side, t.price, 0, 0, Reason.SELF_TRADE)


@cold
def cancel_taker(state: STATE, b: INSTRUMENT, t: TAKER, reason: int):
    """What is left of a taker goes."""
    leaves = t.leaves + 0
    _set_taker_leaves(state, b, t, 0)
    _say(state, Event.ORDER_CANCELLED, t.account, t.instrument, t.id, t.side, t.price, leaves, 0, reason)


@cold
def _meet_self(state: STATE, b: INSTRUMENT, t: TAKER, i: int, price: int):
    """The taker's mode decides (CME and Binance publish the same four)."""
    if t.self_trade == SelfTrade.DECREMENT:
        _decrement(state, b, t, i, price)
        t.touched = 1
        return
    if t.self_trade != SelfTrade.CANCEL_NEWEST:
        t.touched = 1
        remove_order(state, b, t.instrument, i, Reason.SELF_TRADE)
    if t.self_trade != SelfTrade.CANCEL_OLDEST:
        cancel_taker(state, b, t, Reason.SELF_TRADE)


@hot
def crosses(b: INSTRUMENT, side: int, tick: int):
    """Whether an order at a tick would trade now."""
    return b.ask <= tick if side == Side.BUY else b.bid >= tick


@cold
def sweep(state: STATE, b: INSTRUMENT, t: TAKER):
    """Match until nothing crosses or nothing is left. 1: parked for want of room; call again with an empty buffer."""
    while t.leaves and crosses(b, t.side, t.tick):
        if state.written + ROOM > state.capacity[EVENTS]:
            return 1
        best = b.ask if t.side == Side.BUY else b.bid
        row = level_at(state, b, best)
        i = at.level(state, row).head + 0
        o = at.order(state, i)
        if is_dying(state, o):
            remove_order(state, b, t.instrument, i, Reason.DYING)
            t.touched = 1
        elif o.account == t.account:
            _meet_self(state, b, t, i, price_of(b, best))
        else:
            _trade(state, b, t, i, price_of(b, best))
            t.touched = 1
        if t.touched and (at.level(state, row).head == 0 or t.leaves == 0):
            tell_level(state, b, t.instrument, 1 - t.side, row)
            t.touched = 0
    return 0


@cold
def finish_taker(state: STATE, b: INSTRUMENT, t: TAKER):
    """After the sweep: the rest is cancelled (immediate) or joins the book."""
    if t.leaves == 0:
        return
    if t.immediate:
        cancel_taker(state, b, t, Reason.IMMEDIATE)
        return
    i = take_order(state)
    o = at.order(state, i)
    o.id = t.id
    o.leaves = t.leaves
    o.quantity = t.quantity
    o.held = t.held
    o.account = t.account
    o.fee_ppm = t.fee_ppm
    o.side = t.side
    o.self_trade = t.self_trade
    o.post_only = t.post_only
    rest(state, b, t.instrument, i, o, t.tick)
    tell_level(state, b, t.instrument, t.side, o.level)
    list_order(state, i, o)
    move_position(state, t.account, t.instrument, 0, open_change(t.side, Side.BUY, t.leaves), open_change(t.side, Side.SELL, t.leaves))
    remember(state, ORDER_TAG, t.id, i)


@cold
def list_order(state: STATE, i: int, o: ORDER):
    """Into its account's list, which is in the order of ids: only an amended order has to look for its place."""
    owner = at.account(state, o.account)
    before = owner.last_order + 0
    while before and at.order(state, before).id > o.id:
        before = at.order(state, before).before + 0
    o.before = before
    if before:
        o.after = at.order(state, before).after
        at.order(state, before).after = i
    else:
        o.after = owner.first_order
        owner.first_order = i
    if o.after:
        at.order(state, o.after).before = i
    else:
        owner.last_order = i
    owner.open_orders = owner.open_orders + 1


@cold
def fillable(state: STATE, b: INSTRUMENT, side: int, tick: int, account: int, self_trade: int, wanted: int):
    """Whether fill-or-kill finds its whole quantity: dying orders do not count, own ones end the search or are passed over by mode."""
    p = b.ask if side == Side.BUY else b.bid
    while (p <= tick and p < b.ticks) if side == Side.BUY else (p >= tick and p >= 0):
        i = at.level(state, level_at(state, b, p)).head + 0
        while i:
            o = at.order(state, i)
            if not is_dying(state, o):
                if o.account != account:
                    wanted -= o.leaves
                    if wanted <= 0:
                        return 1
                elif self_trade == SelfTrade.CANCEL_NEWEST or self_trade == SelfTrade.CANCEL_BOTH:
                    return 0
            i = o.next + 0
        p = _next_price(state, b, side, p)
    return 0


@cold
def _next_price(state: STATE, b: INSTRUMENT, side: int, p: int):
    from_ask = side == Side.BUY
    return lowest_above(state, b, p) if from_ask else highest_below(state, b, p)
