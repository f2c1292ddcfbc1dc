"""How an order ends, whatever its state, and what is linked to it: cancelled, done, its mate's losses, its parent's end. docs/rules.md sections 4 and 12.

Every cancellation has one form: release, ORDER_CANCELLED, LEVEL if it stood in the book, links. Links are never deeper than parent, child, its mate, so
nothing here calls itself.
"""
from cambist.core import layout as at
from cambist.core.accounts import account_of
from cambist.core.book import price_of, tell_level
from cambist.core.emit import answer, as_taker_of, of, say, write
from cambist.core.layout import INSTRUMENT, ORDER, ORDER_EXTRA, STATE
from cambist.core.lists import join_queue, join_tree
from cambist.core.memory import cold, hot
from cambist.core.order_standing import depart, executed, follow, give_back, look_at_instrument, set_leaves, unlink
from cambist.messages import Event, Link, OrderState, Reason


@hot
def price_now(state: STATE, b: INSTRUMENT, o: ORDER, e: ORDER_EXTRA):
    """Where it stands, or, outside the book, the worst it may trade at."""
    return price_of(b, at.level(state, o.level).tick) if o.level else e.worst + 0


@cold
def tell_reduced(state: STATE, i: int, x: int, reason: int):
    """x of it will not trade, already gone from its leaves."""
    o, e = at.order(state, i), at.order_extra(state, i)
    price = price_now(state, at.instrument(state, e.instrument), o, e)
    say(state, of(Event.ORDER_REDUCED, reason, o.side, 0), account_of(o), e.instrument, o.id, price, x, o.leaves)


@cold
def tell_cancelled(state: STATE, i: int, reason: int, answers: int, price: int):
    o, e = at.order(state, i), at.order_extra(state, i)
    what = of(Event.ORDER_CANCELLED, reason, o.side, as_taker_of(e.options, 0))
    if answers:
        answer(state, what, account_of(o), e.instrument, o.id, price, o.leaves, 0)
    else:
        say(state, what, account_of(o), e.instrument, o.id, price, o.leaves, 0)


@cold
def _end(state: STATE, i: int, reason: int, answers: int, tell: int):
    """One order alone. Its row is given back unless it is at work."""
    o, e = at.order(state, i), at.order_extra(state, i)
    b, instrument, side = at.instrument(state, e.instrument), e.instrument + 0, o.side + 0
    row, price = o.level + 0, price_now(state, b, o, e)
    depart(state, i)
    tell_cancelled(state, i, reason, answers, price)
    o.leaves = 0
    follow(state, i, 0)
    if row and tell:
        tell_level(state, b, instrument, side, row)
    give_back(state, i)


@cold
def cancel_special(state: STATE, i: int, reason: int, answers: int, tell: int):
    """A special order, in whatever state, and what is linked to it. `tell` 0: whoever works in its level tells the level."""
    traded = executed(at.order(state, i))
    j = unlink(state, i)
    _end(state, i, reason, answers, tell)
    if j:
        _end(state, j, Reason.LINKED, 0, 1)
    end_parent(state, i, traded)


@cold
def finish(state: STATE, i: int):
    """Nothing of it is open any more, because it traded or was prevented from it."""
    depart(state, i)
    end_parent(state, i, executed(at.order(state, i)))
    give_back(state, i)


@cold
def tell_linked(state: STATE, i: int, x: int):
    """What x of the order's took from its mate, already gone from its leaves."""
    j = at.order_extra(state, i).mate + 0
    if j == 0:
        return
    tell_reduced(state, j, x, Reason.LINKED)
    if at.order(state, j).leaves == 0:
        unlink(state, j)
        depart(state, j)
        tell_cancelled(state, j, Reason.LINKED, 0, at.order_extra(state, j).worst)
        give_back(state, j)


@cold
def cover_children(state: STATE, i: int):
    """What the order has bought just now is what its children will sell: the one that carries for both holds it."""
    e = at.order_extra(state, i)
    if e.first_child:
        follow(state, e.first_child, 0)
    if e.second_child:
        follow(state, e.second_child, 0)


# ----------------------------------------------------------------------------------------------------------- its children
@cold
def end_parent(state: STATE, i: int, traded: int):
    """Its children wake with what it traded, or end with it. (Its row may be given back already: what it says of its children still stands.)"""
    e = at.order_extra(state, i)
    first, second = e.first_child + 0, e.second_child + 0
    if first == 0:
        return
    e.first_child = 0
    e.second_child = 0
    if traded == 0:
        unlink(state, first)
        _end(state, first, Reason.LINKED, 0, 1)
        if second:
            _end(state, second, Reason.LINKED, 0, 1)
        return
    fell = at.order(state, first).leaves - traded
    _shrink(state, first, fell)
    if second:
        _shrink(state, second, fell)
    _wake(state, first, fell)
    if second:
        _wake(state, second, fell)


@cold
def _shrink(state: STATE, i: int, fell: int):
    """A child is its parent's no more, and as large as what that traded."""
    o, e = at.order(state, i), at.order_extra(state, i)
    e.parent = 0
    set_leaves(state, i, o.leaves - fell)
    o.quantity = o.quantity - fell
    e.prevented = e.prevented + fell
    e.link = Link.OCO if e.mate else Link.NONE


@cold
def _wake(state: STATE, i: int, fell: int):
    e = at.order_extra(state, i)
    follow(state, i, 0)
    if fell:
        tell_reduced(state, i, fell, Reason.LINKED)
    if e.trigger:
        e.state = OrderState.WAITING
        join_tree(state, i)
        look_at_instrument(state, i)
    else:
        queue_to_enter(state, i)


@cold
def queue_to_enter(state: STATE, i: int):
    """At the end of its instrument's queue, and told."""
    o, e = at.order(state, i), at.order_extra(state, i)
    e.state = OrderState.TRIGGERED
    join_queue(state, i, 0)
    look_at_instrument(state, i)
    write(state, of(Event.ORDER_TRIGGERED, 0, o.side, 0), account_of(o), e.instrument, o.id, e.trigger_price, e.worst, 0, o.leaves, 0, 0)
