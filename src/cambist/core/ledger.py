"""Money that enters, moves and is taken back: deposits and custody moves are facts, transfers are requests. Only a fact moves custody."""
from cambist.core import layout as at
from cambist.core.accounts import balance, is_house_owned, post_flow
from cambist.core.control import facts_crowded
from cambist.core.emit import alert, echo, put, refuse
from cambist.core.layout import BALANCE, STATE, L
from cambist.core.memory import cold, hot
from cambist.core.pools import find_fact, keep_fact
from cambist.messages import MAX_AMOUNT, AccountKind, Cause, Event, Kind, Reason

DEPOSIT, REVERSE, MOVE, TRANSFER = L[Kind.DEPOSIT], L[Kind.REVERSE_DEPOSIT], L[Kind.MOVE_CUSTODY], L[Kind.TRANSFER]


@hot
def is_custody(state: STATE, account: int):
    return 1 <= account <= state.account_count and at.account(state, account).kind == AccountKind.CUSTODY


@hot
def is_asset(state: STATE, asset: int):
    return 1 <= asset <= state.asset_count


@hot
def leaves_range(x: BALANCE, more: int):
    """Whether available would leave the range of money."""
    return x.available + more > MAX_AMOUNT or x.available + more < -MAX_AMOUNT


@cold
def counted_before(state: STATE, account: int, source: int, id_hi: int, id_lo: int):
    """Whether a fact was counted: then it answers DUPLICATE and nothing else happens."""
    i = find_fact(state, source, id_hi, id_lo)
    if i == 0 or at.fact(state, i).accepted_at + state.fact_window <= state.time:
        return 0
    echo(state, put(state, Event.DUPLICATE, account, 0, 0, at.fact(state, i).sequence))
    return 1


@cold
def count_fact(state: STATE, source: int, id_hi: int, id_lo: int):
    if keep_fact(state, source, id_hi, id_lo, state.sequence):
        facts_crowded(state, source)


@hot
def credit_available(state: STATE, account: int, asset: int, amount: int):
    x = balance(state, account, asset)
    x.available = x.available + amount


@cold
def _check_fact(state: STATE, account: int, custody: int, asset: int, amount: int):
    if not is_custody(state, custody):
        return Reason.NOT_CUSTODY
    if not is_asset(state, asset):
        return Reason.UNKNOWN_ASSET
    if amount < 1 or amount > MAX_AMOUNT:
        return Reason.BAD_AMOUNT
    return Reason.NONE


@cold
def _tell(state: STATE, kind: int, account: int, id: int, asset: int, amount: int, fee: int):
    i = put(state, kind, account, 0, id, asset)
    e = at.event(state, i)
    e.amount = amount
    e.fee = fee
    echo(state, i)


@cold
def deposit(state: STATE, c: DEPOSIT):
    # check
    if counted_before(state, c.account, c.custody, c.id_hi, c.id_lo):
        return
    reason = _check_fact(state, c.account, c.custody, c.asset, c.amount)
    owner = c.account + 0
    if not reason:
        named = at.account(state, owner)
        if not named.enabled or named.kind == AccountKind.CUSTODY:
            owner = state.suspense + 0
        if leaves_range(balance(state, c.custody, c.asset), c.amount) or leaves_range(balance(state, owner, c.asset), c.amount):
            reason = Reason.OVERFLOW
    if reason:
        refuse(state, c.account, reason, 0)
        return
    # book
    credit_available(state, c.custody, c.asset, c.amount)
    credit_available(state, owner, c.asset, c.amount)
    kind = at.account(state, owner).kind
    if kind == AccountKind.DESK:
        post_flow(state, c.asset, Cause.FUNDING, c.amount)
    elif kind == AccountKind.SUSPENSE:
        post_flow(state, c.asset, Cause.SUSPENSE, c.amount)
    # emit
    if owner != c.account:
        alert(state, Reason.UNMATCHED, 0, c.account, c.asset, c.amount)
    _tell(state, Event.DEPOSITED, owner, c.custody, c.asset, c.amount, 0)
    count_fact(state, c.custody, c.id_hi, c.id_lo)


@cold
def reverse_deposit(state: STATE, c: REVERSE):
    # check
    if counted_before(state, c.account, c.custody, c.id_hi, c.id_lo):
        return
    reason = _check_fact(state, c.account, c.custody, c.asset, c.amount)
    owner, taken = c.account + 0, c.amount + 0
    if not reason:
        if at.account(state, owner).kind == AccountKind.CUSTODY:
            owner = state.suspense + 0
        elif at.account(state, owner).kind != AccountKind.DESK:
            taken = min(max(balance(state, owner, c.asset).available + 0, 0), taken)
        if (leaves_range(balance(state, c.custody, c.asset), -c.amount) or leaves_range(balance(state, owner, c.asset), -taken)
                or leaves_range(balance(state, state.deficit, c.asset), taken - c.amount)):
            reason = Reason.OVERFLOW
    if reason:
        refuse(state, c.account, reason, 0)
        return
    # book
    kind = at.account(state, owner).kind
    missing = c.amount - taken
    credit_available(state, c.custody, c.asset, -c.amount)
    credit_available(state, owner, c.asset, -taken)
    credit_available(state, state.deficit, c.asset, -missing)
    if kind == AccountKind.DESK:
        post_flow(state, c.asset, Cause.FUNDING, -taken)
    elif kind == AccountKind.SUSPENSE:
        post_flow(state, c.asset, Cause.SUSPENSE, -taken)
    post_flow(state, c.asset, Cause.DEFICIT, -missing)
    # emit
    if missing:
        alert(state, Reason.INSUFFICIENT, 0, c.account, c.asset, missing)
    _tell(state, Event.DEPOSIT_REVERSED, owner, c.custody, c.asset, c.amount, missing)
    count_fact(state, c.custody, c.id_hi, c.id_lo)


@cold
def move_custody(state: STATE, c: MOVE):
    # check
    if counted_before(state, c.account, c.account, c.id_hi, c.id_lo):
        return
    reason = Reason.NONE + 0
    if not is_custody(state, c.account) or not is_custody(state, c.custody):
        reason = Reason.NOT_CUSTODY + 0
    elif c.account == c.custody:
        reason = Reason.BAD_VALUE + 0
    else:
        reason = _check_fact(state, c.account, c.custody, c.asset, c.amount)
    if not reason and (leaves_range(balance(state, c.account, c.asset), -c.amount) or leaves_range(balance(state, c.custody, c.asset), c.amount)):
        reason = Reason.OVERFLOW
    if reason:
        refuse(state, c.account, reason, 0)
        return
    # book
    credit_available(state, c.account, c.asset, -c.amount)
    credit_available(state, c.custody, c.asset, c.amount)
    # emit
    _tell(state, Event.CUSTODY_MOVED, c.account, c.custody, c.asset, c.amount, 0)
    _tell(state, Event.CUSTODY_MOVED, c.custody, c.custody, c.asset, c.amount, 0)
    count_fact(state, c.account, c.id_hi, c.id_lo)


@cold
def check_transfer(state: STATE, c: TRANSFER):
    if c.to < 1 or c.to > state.account_count:
        return Reason.UNKNOWN_ACCOUNT
    giver, taker = at.account(state, c.account), at.account(state, c.to)
    if giver.kind == AccountKind.CUSTODY or taker.kind == AccountKind.CUSTODY:
        return Reason.NOT_CUSTODY
    if c.to == c.account:
        return Reason.BAD_VALUE
    if not is_asset(state, c.asset) or not at.asset(state, c.asset).enabled:
        return Reason.UNKNOWN_ASSET
    if c.amount < 1 or c.amount > MAX_AMOUNT:
        return Reason.BAD_AMOUNT
    if not taker.enabled:
        return Reason.ACCOUNT_DISABLED
    if balance(state, c.account, c.asset).available < c.amount:
        return Reason.UNCOVERED if giver.kind == AccountKind.DESK else Reason.INSUFFICIENT
    return Reason.OVERFLOW if leaves_range(balance(state, c.to, c.asset), c.amount) else Reason.NONE


@cold
def wants_approval(state: STATE, c: TRANSFER):
    """Above the asset's threshold a second person decides."""
    above = at.asset(state, c.asset).approval_above
    return 1 if 0 <= above < c.amount and not state.releasing else 0


@cold
def post_transfer(state: STATE, account: int, to: int, asset: int, amount: int):
    credit_available(state, account, asset, -amount)
    credit_available(state, to, asset, amount)
    if is_house_owned(at.account(state, account).kind):
        post_flow(state, asset, Cause.TRANSFER, -amount)
    if is_house_owned(at.account(state, to).kind):
        post_flow(state, asset, Cause.TRANSFER, amount)


@cold
def tell_transfer(state: STATE, c: TRANSFER):
    _tell(state, Event.TRANSFERRED, c.account, c.to, c.asset, -c.amount, 0)
    _tell(state, Event.TRANSFERRED, c.to, c.account, c.asset, c.amount, 0)
