"""What a special order holds and counts wherever it stands, and where that is: in a level, outside the book, nowhere yet. docs/rules.md sections 4 and 12.

A plain order's row says everything; `make_special` gives it extras, so that what is asked here is asked in one place. Decides no outcome.
"""
from cambist.core import layout as at
from cambist.core.accounts import account_of
from cambist.core.agenda import look_later
from cambist.core.arithmetic import fee_up, multiply_divide
from cambist.core.book import leave, price_of, rest
from cambist.core.trading_controls import worth
from cambist.core.flags import flag_instrument
from cambist.core.layout import EXTRA_WORDS, INSTRUMENT, ORDER, ORDER_EXTRA, STATE, as_extra_words
from cambist.core.lists import (
    begin_to_float, come_inside, go_outside, is_peg, join_session_list, join_tree, leave_lists,
)
from cambist.core.memory import cold, hot
from cambist.core.pools import give_order
from cambist.core.risk import amount_up, change_hold
from cambist.core.order_rows import change_open, list_order, unlist
from cambist.core.timers import ORDER_ENDS, start_timer, stop_timer
from cambist.messages import BY_QUOTE, MAX_AMOUNT, REDUCE_ONLY, Link, OrderState, Settlement, Side, TimeInForce

WORDS = EXTRA_WORDS["words"].shape[0]
TOO_MUCH = MAX_AMOUNT + 1


# ---------------------------------------------------------------------------------------------------------------- extras
@cold
def mark_special(state: STATE, i: int, instrument: int, worst: int):
    """Clear an order's extras and mark it, so that they count."""
    words, e, o = as_extra_words(at.order_extra(state, i)), at.order_extra(state, i), at.order(state, i)
    for k in range(WORDS):
        words.words[k] = 0
    o.special = 1
    e.instrument = instrument
    e.worst = worst


@cold
def make_special(state: STATE, b: INSTRUMENT, instrument: int, i: int):
    """A plain order that rests is seen as a special one from now on."""
    o = at.order(state, i)
    if o.special:
        return
    mark_special(state, i, instrument, price_of(b, at.level(state, o.level).tick))
    e = at.order_extra(state, i)
    e.shown = o.leaves
    e.counted = o.leaves
    e.stands = 1


@hot
def executed(o: ORDER):
    return o.quantity - o.leaves


# ----------------------------------------------------------------------------------------------------------------- holds
@cold
def with_fee(a: int, ppm: int, minimum: int):
    """What a buyer holds for a worth; TOO_MUCH beyond the range."""
    held = a + fee_up(a, ppm)
    if held > MAX_AMOUNT or held < 0:
        return TOO_MUCH
    return held + minimum


@cold
def lots(b: INSTRUMENT, a: int, price: int):
    """The largest quantity in whole lots whose amount at this price is at most a; TOO_MUCH beyond the range."""
    most = multiply_divide(a + 1, b.amount_den, price * b.amount_num, 1) - 1
    return most // b.lot * b.lot if most >= 0 else TOO_MUCH


@cold
def full_hold(b: INSTRUMENT, side: int, leaves: int, price: int, ppm: int, minimum: int):
    """What leaves may cost at a price."""
    if b.settlement == Settlement.ON_CREDIT:
        return amount_up(b, leaves, price)
    return leaves + 0 if side == Side.SELL else with_fee(amount_up(b, leaves, price), ppm, minimum)


@cold
def hold_by_quote(b: INSTRUMENT, side: int, leaves: int, price: int, ppm: int, minimum: int):
    """The same of leaves in the quote asset."""
    if b.settlement == Settlement.ON_CREDIT:
        return leaves + 0
    return lots(b, leaves, price) if side == Side.SELL else with_fee(leaves, ppm, minimum)


@cold
def _own_hold(state: STATE, b: INSTRUMENT, i: int):
    """What it would hold on its own."""
    o, e = at.order(state, i), at.order_extra(state, i)
    if o.leaves == 0:
        return 0
    minimum = e.fee_min if o.quantity == o.leaves else 0
    if e.options & BY_QUOTE:
        return hold_by_quote(b, o.side, o.leaves, e.worst, o.fee_ppm, minimum)
    return full_hold(b, o.side, o.leaves, e.worst, o.fee_ppm, minimum)


@hot
def carries(state: STATE, o: ORDER, e: ORDER_EXTRA):
    """Of two linked orders the one of the lower id holds and counts for both."""
    return 1 if e.mate == 0 or o.id < at.order(state, e.mate).id else 0


@cold
def _wanted_hold(state: STATE, b: INSTRUMENT, i: int):
    o, e = at.order(state, i), at.order_extra(state, i)
    if not carries(state, o, e):
        return 0
    if o.leaves and e.parent and o.side == Side.SELL and b.settlement == Settlement.PREFUNDED:
        return executed(at.order(state, e.parent))          # a sleeping child sells what its parent has bought so far
    return max(_own_hold(state, b, i), _own_hold(state, b, e.mate)) if e.mate else _own_hold(state, b, i)


@cold
def _value_of(state: STATE, b: INSTRUMENT, i: int):
    """What its leaves are worth at worst, for an account that is watched."""
    o, e = at.order(state, i), at.order_extra(state, i)
    if o.leaves == 0 or not at.exposure(state, account_of(o)).given or not carries(state, o, e):
        return 0
    return worth(state, b.quote, o.leaves if e.options & BY_QUOTE else amount_up(b, o.leaves, e.worst))


@cold
def follow(state: STATE, i: int, taking: int):
    """Hold, open quantity, what it may reduce and value become those of its leaves. A taker does not count as open yet."""
    o, e = at.order(state, i), at.order_extra(state, i)
    b, p = at.instrument(state, e.instrument), at.position_row(state, o.position)
    held = _wanted_hold(state, b, i)
    if held != o.held:
        change_hold(state, b, p, account_of(o), o.side, held - o.held)
        o.held = held
    counted = o.leaves if not taking and carries(state, o, e) else 0
    change_open(p, o.side, counted - e.counted)
    e.counted = counted
    _count_reducing(state, o, e, counted if e.options & REDUCE_ONLY and e.parent == 0 else 0)
    value = _value_of(state, b, i)
    if value != e.value:
        x = at.exposure(state, account_of(o))
        x.open = x.open + value - e.value
        e.value = value


@hot
def _count_reducing(state: STATE, o: ORDER, e: ORDER_EXTRA, reduces: int):
    """What the account's REDUCE_ONLY orders may still take from its position on this side."""
    if reduces != e.reduces:
        x = at.position_extra(state, o.position)
        if o.side == Side.BUY:
            x.reducing_buy = x.reducing_buy + reduces - e.reduces
        else:
            x.reducing_sell = x.reducing_sell + reduces - e.reduces
        e.reduces = reduces


# ---------------------------------------------------------------------------------------------------------------- leaves
@hot
def _show(state: STATE, o: ORDER, e: ORDER_EXTRA, leaves: int, shown: int):
    """Leaves and what is shown of them change where it stands; its level follows."""
    if o.level:
        l, h = at.level(state, o.level), at.hidden(state, o.level)
        l.quantity = l.quantity + shown - e.shown
        h.quantity = h.quantity + (leaves - shown) - (o.leaves - e.shown)
    o.leaves = leaves
    e.shown = shown


@cold
def show_again(state: STATE, i: int, shown: int):
    """An iceberg, or an amended order that keeps its place, shows this much."""
    o, e = at.order(state, i), at.order_extra(state, i)
    _show(state, o, e, o.leaves, shown)


@cold
def set_leaves(state: STATE, i: int, leaves: int):
    """Of one order alone; nothing follows."""
    o, e = at.order(state, i), at.order_extra(state, i)
    _show(state, o, e, leaves, min(e.shown, leaves))


@cold
def lose(state: STATE, i: int, x: int, prevented: int, taking: int):
    """x less is open, of the order and of what it is linked to."""
    o, e = at.order(state, i), at.order_extra(state, i)
    set_leaves(state, i, o.leaves - x)
    if prevented:
        o.quantity = o.quantity - x
        e.prevented = e.prevented + x
    j = e.mate + 0
    if j == 0:
        follow(state, i, taking)
        return
    m, f = at.order(state, j), at.order_extra(state, j)
    set_leaves(state, j, m.leaves - x)
    m.quantity = m.quantity - x
    f.prevented = f.prevented + x
    if o.id < m.id:
        follow(state, i, taking)
        follow(state, j, 0)
    else:
        follow(state, j, 0)
        follow(state, i, taking)


# ---------------------------------------------------------------------------------------------------------------- places
@cold
def stand(state: STATE, i: int):
    """Known from now on, outside the book: to its account, by its id, and to whatever must find it."""
    o, e = at.order(state, i), at.order_extra(state, i)
    if not e.stands:
        e.stands = 1
        list_order(state, i, o)
        if e.time_in_force == TimeInForce.GTD:
            e.timer = start_timer(state, e.good_till, o.id, ORDER_ENDS, i)
        if e.parent:
            _adopt(state, e.parent, i)
        begin_to_float(state, i)
    o.level = 0 if e.state != OrderState.BOOK else o.level
    if e.state != OrderState.BOOK:
        go_outside(state, i)
    join_session_list(state, i)
    if e.state == OrderState.WAITING:
        join_tree(state, i)


@hot
def _adopt(state: STATE, parent: int, i: int):
    e = at.order_extra(state, parent)
    if e.first_child == 0:
        e.first_child = i
    else:
        e.second_child = i


@cold
def stand_outside(state: STATE, i: int, at_state: int):
    """Outside the book, in this state."""
    at.order_extra(state, i).state = at_state
    stand(state, i)
    follow(state, i, 0)
    look_at_instrument(state, i)


@cold
def look_at_instrument(state: STATE, i: int):
    """Its instrument has something that the next look must see."""
    e = at.order_extra(state, i)
    flag_instrument(state, e.instrument)
    look_later(state, e.instrument)


@cold
def enter_level(state: STATE, b: INSTRUMENT, i: int, tick: int):
    """At the end of the level of a tick; the level is not told."""
    o, e = at.order(state, i), at.order_extra(state, i)
    come_inside(state, i)
    e.state = OrderState.BOOK
    rest(state, b, e.instrument, i, o, tick)
    l, h = at.level(state, o.level), at.hidden(state, o.level)
    e.shown = min(e.display, o.leaves) if e.display else o.leaves
    l.quantity = l.quantity - (o.leaves - e.shown)
    h.quantity = h.quantity + (o.leaves - e.shown)
    l.pegs = l.pegs + is_peg(e)


@cold
def leave_level(state: STATE, b: INSTRUMENT, i: int):
    """Out of its level, which is not told."""
    o, e = at.order(state, i), at.order_extra(state, i)
    l, h = at.level(state, o.level), at.hidden(state, o.level)
    l.quantity = l.quantity + (o.leaves - e.shown)
    h.quantity = h.quantity - (o.leaves - e.shown)
    l.pegs = l.pegs - is_peg(e)
    leave(state, b, o)
    o.level = 0


@cold
def stand_in_book(state: STATE, b: INSTRUMENT, i: int, tick: int):
    """In the book, at the end of its level, and known. The level is not told."""
    enter_level(state, b, i, tick)
    stand(state, i)
    follow(state, i, 0)
    look_at_instrument(state, i)


@cold
def depart(state: STATE, i: int):
    """Out of the table and of wherever it stands; its hold stays. (The row of an order at work is given back by whoever works it.)"""
    o, e = at.order(state, i), at.order_extra(state, i)
    if not e.stands:
        return
    if o.level:
        leave_level(state, at.instrument(state, e.instrument), i)
    leave_lists(state, i)
    stop_timer(state, e.timer)
    e.timer = 0
    unlist(state, i, o)
    e.stands = 0
    change_open(at.position_row(state, o.position), o.side, -e.counted)
    e.counted = 0
    _count_reducing(state, o, e, 0)
    if e.parent:
        _forsake(state, e.parent, i)
    if e.quoted:
        x = at.position_extra(state, o.position)
        if o.side == Side.BUY:
            x.bid = 0
        else:
            x.ask = 0
    look_at_instrument(state, i)


@hot
def _forsake(state: STATE, parent: int, i: int):
    e = at.order_extra(state, parent)
    if e.first_child == i:
        e.first_child = e.second_child
    e.second_child = 0


@cold
def give_back(state: STATE, i: int):
    """Its row, unless it is at work."""
    if at.taker(state, 0).order != i:
        give_order(state, i)


@cold
def unlink(state: STATE, i: int):
    """Neither of an OCO has a link any more; each stands for itself. The other one, or 0."""
    e = at.order_extra(state, i)
    j = e.mate + 0
    e.mate = 0
    if e.link == Link.OCO:
        e.link = Link.NONE
    if j:
        f = at.order_extra(state, j)
        f.mate = 0
        if f.link == Link.OCO:
            f.link = Link.NONE
    return j


# --------------------------------------------------------------------------------------------------------------- rebuilt
@cold
def relist(state: STATE, i: int):
    """A restored special order, in order of arrival: whatever is derived of it. Its account has it already."""
    o, e = at.order(state, i), at.order_extra(state, i)
    e.stands = 1
    counted = o.leaves if carries(state, o, e) else 0
    e.counted = counted
    _count_reducing(state, o, e, counted if e.options & REDUCE_ONLY and e.parent == 0 else 0)
    if o.level:
        l, h = at.level(state, o.level), at.hidden(state, o.level)
        l.quantity = l.quantity - (o.leaves - e.shown)
        h.quantity = h.quantity + (o.leaves - e.shown)
        l.pegs = l.pegs + is_peg(e)
    if e.time_in_force == TimeInForce.GTD:
        e.timer = start_timer(state, e.good_till, o.id, ORDER_ENDS, i)
    if e.parent:
        _adopt(state, e.parent, i)
    if e.quoted:
        x = at.position_extra(state, o.position)
        if o.side == Side.BUY:
            x.bid = i
        else:
            x.ask = i
    begin_to_float(state, i)
    stand(state, i)
