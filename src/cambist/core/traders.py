"""A trader (a key) killed apart from its account: the latch, whose orders must be gone through, and where that sweep is. Sections 9 and 10 of docs/rules.md.

Nothing lists the orders of a key: that would cost every order. Instead a key remembers whether it ever sent for another account than its own, and the sweep
passes over what others sent. Cancelling is elsewhere.
"""
from cambist.core import layout as at
from cambist.core.accounts import ORDINAL_MASK
from cambist.core.layout import STATE
from cambist.core.memory import cold
from cambist.messages import Kind, Reason


@cold
def check_trader(state: STATE, kind: int, number: int):
    if number < 1 or number > state.actor_count:
        return Reason.UNKNOWN_ACTOR
    return Reason.SWEEPING if kind == Kind.REVIVE_TRADER and at.actor(state, number).sweeping else Reason.NONE


@cold
def kill_trader(state: STATE, number: int):
    """The key may send nothing risky, and its orders are dying, whoever's they are; queue it for the sweep, once."""
    a = at.actor(state, number)
    state.traders_killed = state.traders_killed + 1 - a.killed
    a.killed = 1
    if a.sweeping:
        return
    a.sweeping = 1
    a.sweep_next = 0
    if state.trader_last:
        at.actor(state, state.trader_last).sweep_next = number
    else:
        state.trader_first = number
        state.quiet_until = 0
    state.trader_last = number


@cold
def revive_trader(state: STATE, number: int):
    a = at.actor(state, number)
    state.traders_killed = state.traders_killed - a.killed
    a.killed = 0


@cold
def next_of_trader(state: STATE):
    """The order that the sweep of the head looks at now, which the cursor moves to; 0 when its account has none left."""
    if state.trader_account == 0:
        a = at.actor(state, state.trader_first)
        state.trader_account = 1 if a.roams else a.account
    if state.trader_account == 0:
        return 0
    i = at.order(state, state.trader_row).after + 0 if state.trader_row else at.account(state, state.trader_account).first_order + 0
    if i:
        state.trader_row = i
        state.trader_cursor = at.order(state, i).id & ORDINAL_MASK
    return i


@cold
def leave_account_of_trader(state: STATE):
    """On to the next account that the head may have sent for; 1 when there is none, and the head has left the queue."""
    a = at.actor(state, state.trader_first)
    state.trader_row = 0
    state.trader_cursor = 0
    state.trader_account = state.trader_account + 1 if a.roams and state.trader_account < state.account_count else 0
    if state.trader_account:
        return 0
    a.sweeping = 0
    state.trader_first = a.sweep_next
    if state.trader_first == 0:
        state.trader_last = 0
    return 1


@cold
def find_trader(state: STATE):
    """Of a restored state: the last order that the sweep has looked at and that still stands."""
    state.trader_row = 0
    i = at.account(state, state.trader_account).first_order + 0 if state.trader_account else 0
    while i and (at.order(state, i).id & ORDINAL_MASK) <= state.trader_cursor:
        state.trader_row = i
        i = at.order(state, i).after + 0
