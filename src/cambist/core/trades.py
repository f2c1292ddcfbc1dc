"""What a trade moves: a trade is two trades with the house. Postings of both settlement kinds, the fee, positions, and netting of an account.

Decides nothing about whether to trade; everything was checked, and every hold was released to available, before this file is reached.
"""
from cambist.core import layout as at
from cambist.core.accounts import balance, credit_of, next_id, position_of, post_flow
from cambist.core.emit import alert, put
from cambist.core.layout import INSTRUMENT, STATE
from cambist.core.memory import cold, hot
from cambist.core.pools import OBLIGATION_TAG, remember, room_obligations, take_obligation
from cambist.messages import AccountKind, Cause, Event, Reason, Settlement


@cold
def net_account(state: STATE, account: int):
    """Turn what is unsettled into obligations with the house: all of the account's, or none when the table lacks room."""
    owner = at.account(state, account)
    owner.cycle = state.cycle
    wanted = 0
    for asset in range(1, state.asset_count + 1):
        if balance(state, account, asset).unsettled:
            wanted += 1
    if not room_obligations(state, wanted):
        alert(state, Reason.CAPACITY, 0, account, 0, 0)
        return
    for asset in range(1, state.asset_count + 1):
        x = balance(state, account, asset)
        if x.unsettled:
            _oblige(state, account, asset, x.unsettled + 0)
    for asset in range(1, state.asset_count + 1):
        i = credit_of(state, account, asset)
        if i:
            c = at.credit_row(state, i)
            c.netted = c.netted + c.traded
            c.traded = 0
    if owner.obligations == 0:
        free_netted(state, account)


@cold
def _oblige(state: STATE, account: int, asset: int, amount: int):
    x = balance(state, account, asset)
    x.unsettled = 0
    x.due = x.due + amount
    h = balance(state, state.house, asset)
    h.unsettled = h.unsettled + amount
    h.due = h.due - amount
    i = take_obligation(state)
    o = at.obligation(state, i)
    o.id = next_id(state, account)
    o.amount = amount
    o.cycle = state.cycle
    o.account = account
    o.asset = asset
    remember(state, OBLIGATION_TAG, o.id, i)
    owner = at.account(state, account)
    owner.obligations = owner.obligations + 1
    a = at.asset(state, asset)
    a.obligations = a.obligations + 1
    if amount < 0:
        owner.owing = owner.owing + 1
    i = put(state, Event.OBLIGATION, account, 0, o.id, asset)
    e = at.event(state, i)
    e.amount = amount
    e.quantity = state.cycle


@cold
def free_netted(state: STATE, account: int):
    """An account that owes nothing and is owed nothing uses no line for past cycles."""
    for asset in range(1, state.asset_count + 1):
        i = credit_of(state, account, asset)
        if i:
            at.credit_row(state, i).netted = 0


@hot
def reach(state: STATE, account: int):
    """Before an on-credit trade touches an account that the last cut-off has not: net it first."""
    if at.account(state, account).cycle < state.cycle:
        net_account(state, account)


@cold
def move_position(state: STATE, account: int, instrument: int, bought: int, open_buy: int, open_sell: int):
    """Change net by `bought` (signed) and the open sides by what is given."""
    p = at.position_row(state, position_of(state, account, instrument))
    p.net = p.net + bought
    p.open_buy = p.open_buy + open_buy
    p.open_sell = p.open_sell + open_sell


@cold
def _post_credit(state: STATE, b: INSTRUMENT, account: int, base: int, quote: int, traded: int):
    x = balance(state, account, b.base)
    x.unsettled = x.unsettled + base
    y = balance(state, account, b.quote)
    y.unsettled = y.unsettled + quote
    c = at.credit_row(state, credit_of(state, account, b.quote))
    c.traded = c.traded + traded


@cold
def post_trade(state: STATE, b: INSTRUMENT, buyer: int, seller: int, quantity: int, amount: int, buyer_fee: int, seller_fee: int):
    """Move both legs: at once (prefunded, from available) or into the unsettled buckets (on credit)."""
    if b.settlement == Settlement.ON_CREDIT:
        reach(state, buyer)
        reach(state, seller)
        reach(state, state.fees)
        _post_credit(state, b, buyer, quantity, -(amount + buyer_fee), amount)
        _post_credit(state, b, seller, -quantity, amount - seller_fee, amount)
        f = balance(state, state.fees, b.quote)
        f.unsettled = f.unsettled + buyer_fee + seller_fee
    else:
        x = balance(state, buyer, b.quote)
        x.available = x.available - (amount + buyer_fee)
        x = balance(state, buyer, b.base)
        x.available = x.available + quantity
        x = balance(state, seller, b.base)
        x.available = x.available - quantity
        x = balance(state, seller, b.quote)
        x.available = x.available + (amount - seller_fee)
        f = balance(state, state.fees, b.quote)
        f.available = f.available + buyer_fee + seller_fee
    post_flow(state, b.quote, Cause.FEE, buyer_fee + seller_fee)
    if at.account(state, buyer).kind == AccountKind.DESK:
        post_flow(state, b.base, Cause.TRADE, quantity)
        post_flow(state, b.quote, Cause.TRADE, -amount)
        post_flow(state, b.quote, Cause.FEE, -buyer_fee)
    if at.account(state, seller).kind == AccountKind.DESK:
        post_flow(state, b.base, Cause.TRADE, -quantity)
        post_flow(state, b.quote, Cause.TRADE, amount)
        post_flow(state, b.quote, Cause.FEE, -seller_fee)
