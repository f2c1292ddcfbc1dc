"""The netting cut-off and the settlement of obligations: the house delivers only what it has received and only to who has paid."""
from cambist.core import layout as at
from cambist.core.accounts import balance
from cambist.core.emit import done, echo, put, refuse
from cambist.core.layout import STATE, L
from cambist.core.memory import cold
from cambist.core.pools import OBLIGATION_TAG, find, forget, give_obligation
from cambist.core.trades import free_netted
from cambist.messages import AccountKind, Event, Kind, Reason

SETTLE = L[Kind.SETTLE]


@cold
def begin_cut_off(state: STATE):
    """A new cycle; the accounts are netted one by one, or when a trade touches them first."""
    state.cycle = state.cycle + 1
    state.cut_off = 1
    state.quiet_until = 0
    echo(state, put(state, Event.CUT_OFF, 0, 0, state.cycle, 0))


@cold
def check_settle(state: STATE, id: int):
    i = find(state, OBLIGATION_TAG, id)
    if i == 0:
        return Reason.UNKNOWN_OBLIGATION
    o = at.obligation(state, i)
    owner = at.account(state, o.account)
    if o.amount < 0:
        if balance(state, o.account, o.asset).available < -o.amount:
            return Reason.UNCOVERED if owner.kind == AccountKind.DESK else Reason.INSUFFICIENT
        return Reason.NONE
    if owner.owing:
        return Reason.UNPAID
    return Reason.HOUSE_UNCOVERED if balance(state, state.house, o.asset).available < o.amount else Reason.NONE


@cold
def settle(state: STATE, c: SETTLE, account: int):
    # check
    reason = check_settle(state, c.obligation)
    if reason:
        refuse(state, account, reason, c.obligation)
        return
    # book
    i = find(state, OBLIGATION_TAG, c.obligation)
    o = at.obligation(state, i)
    x, h = balance(state, o.account, o.asset), balance(state, state.house, o.asset)
    x.available = x.available + o.amount
    x.due = x.due - o.amount
    h.available = h.available - o.amount
    h.due = h.due + o.amount
    owner, a = at.account(state, o.account), at.asset(state, o.asset)
    owner.obligations = owner.obligations - 1
    a.obligations = a.obligations - 1
    if o.amount < 0:
        owner.owing = owner.owing - 1
    if owner.obligations == 0:
        free_netted(state, o.account)
    # emit
    n = put(state, Event.SETTLED, o.account, 0, o.id, o.asset)
    e = at.event(state, n)
    e.amount = o.amount
    e.quantity = o.cycle
    done(state, 0, o.id)
    forget(state, OBLIGATION_TAG, o.id, i)
    give_obligation(state, i)
