"""The rows of orders: in their account's list and in the index, and what a position has open. Knows neither book nor money."""
from cambist.core import layout as at
from cambist.core.accounts import account_of
from cambist.core.layout import ORDER, PARTIAL_SWEEP, POSITION, STATE
from cambist.core.memory import cold, hot
from cambist.core.pools import forget_order, give_order, remember_order
from cambist.messages import Side


@hot
def change_open(p: POSITION, side: int, more: int):
    """What stands for a position, on one side."""
    if side == Side.BUY:
        p.open_buy = p.open_buy + more
    else:
        p.open_sell = p.open_sell + more


@hot
def list_order(state: STATE, i: int, o: ORDER):
    """Known from now on: to its account, whose list is in the order of ids as they are given, and by its id."""
    owner = at.account(state, account_of(o))
    before = owner.last_order + 0
    o.before = before
    o.after = 0
    if before:
        at.order(state, before).after = i
    else:
        owner.first_order = i
    owner.last_order = i
    owner.open_orders = owner.open_orders + 1
    remember_order(state, o.id, i)


@hot
def unlist(state: STATE, i: int, o: ORDER):
    """The reverse of `list_order`."""
    owner = at.account(state, account_of(o))
    before, after = o.before + 0, o.after + 0
    if before:
        at.order(state, before).after = after
    else:
        owner.first_order = after
    if after:
        at.order(state, after).before = before
    else:
        owner.last_order = before
    owner.open_orders = owner.open_orders - 1
    if i == state.trader_row:                   # what a trader's sweep looked at last: it goes on after the one before it
        state.trader_row = before
    if owner.flags & PARTIAL_SWEEP:
        _pass_over(state, account_of(o), i, after)
    forget_order(state, o.id, i)


@cold
def _pass_over(state: STATE, account: int, i: int, after: int):
    """The order that a partial sweep would have looked at next is gone: the one after it is next."""
    x = at.account_extra(state, account)
    if x.some_row == i:
        x.some_row = after


@cold
def drop_order(state: STATE, i: int):
    """Forget a plain order that has left its queue."""
    unlist(state, i, at.order(state, i))
    give_order(state, i)
