"""CANCEL_SOME: a partial latch of an account, and the sweep that works it off. docs/rules.md sections 4 and 10, line 3."""
from cambist.core import layout as at
from cambist.core.accounts import ORDINAL_MASK
from cambist.core.layout import STATE
from cambist.core.memory import cold


@cold
def find_partial(state: STATE, account: int):
    """Of a restored account: the order that its partial sweep looks at next."""
    x = at.account_extra(state, account)
    if x.some_below == 0:
        return
    i = at.account(state, account).first_order + 0
    while i and (at.order(state, i).id & ORDINAL_MASK) <= x.some_cursor:
        i = at.order(state, i).after + 0
    x.some_row = i
