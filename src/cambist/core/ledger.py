"""Money that enters, moves and is taken back: deposits and custody moves are facts, transfers and credits by hand are requests. Only a fact moves custody,
and nobody is credited with what custody has not brought."""
from cambist.core import layout as at
from cambist.core.accounts import balance, is_house_owned, post_flow
from cambist.core.control import facts_crowded
from cambist.core.emit import alert, echo, put, refuse
from cambist.core.layout import STATE, L
from cambist.core.memory import cold, hot
from cambist.core.pools import find_fact, keep_fact
from cambist.core.precision import most_of, ripen
from cambist.messages import MAX_AMOUNT, AccountKind, Cause, Event, Kind, Reason

DEPOSIT, REVERSE, MOVE, TRANSFER, CREDIT = (L[k] for k in (
    Kind.DEPOSIT, Kind.REVERSE_DEPOSIT, Kind.MOVE_CUSTODY, Kind.TRANSFER, Kind.MANUAL_CREDIT))


@hot
def is_custody(state: STATE, account: int):
    return 1 <= account <= state.account_count and at.account(state, account).kind == AccountKind.CUSTODY


@hot
def is_asset(state: STATE, asset: int):
    return 1 <= asset <= state.asset_count


@cold
def leaves_range(state: STATE, account: int, asset: int, more: int):
    """Whether available would leave the range of money."""
    ripen(state, account, asset)
    most, after = most_of(state, asset), balance(state, account, asset).available + more
    return 1 if after > most or after < -most else 0


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
def _inform(state: STATE, kind: int, account: int, id: int, asset: int, amount: int, fee: int):
    """The event; its place."""
    i = put(state, kind, account, 0, id, asset)
    e = at.event(state, i)
    e.amount = amount
    e.fee = fee
    return i


@cold
def _tell(state: STATE, kind: int, account: int, id: int, asset: int, amount: int, fee: int):
    """The same to whom the command belongs, or of a fact."""
    echo(state, _inform(state, kind, account, id, asset, amount, fee))


@cold
def deposit(state: STATE, c: DEPOSIT):
    # check
    if counted_before(state, c.account, c.custody, c.id_hi, c.id_lo):
        return
    reason = Reason.MINT + 0 if at.actor(state, c.actor).person else _check_fact(state, c.account, c.custody, c.asset, c.amount)
    owner = c.account + 0
    if not reason:
        named = at.account(state, owner)
        if not named.enabled or named.kind == AccountKind.CUSTODY:
            owner = state.suspense + 0
        if leaves_range(state, c.custody, c.asset, c.amount) or leaves_range(state, owner, c.asset, c.amount):
            reason = Reason.OVERFLOW + 0
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
            ripen(state, owner, c.asset)
            taken = min(max(balance(state, owner, c.asset).available + 0, 0), taken)
        if (leaves_range(state, c.custody, c.asset, -c.amount) or leaves_range(state, owner, c.asset, -taken)
                or leaves_range(state, state.deficit, c.asset, taken - c.amount)):
            reason = Reason.OVERFLOW + 0
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
    if not reason and (leaves_range(state, c.account, c.asset, -c.amount) or leaves_range(state, c.custody, c.asset, c.amount)):
        reason = Reason.OVERFLOW + 0
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
    return Reason.OVERFLOW if leaves_range(state, c.to, c.asset, c.amount) else Reason.NONE


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
    _inform(state, Event.TRANSFERRED, c.to, c.account, c.asset, c.amount, 0)


# -------------------------------------------------------------------------------------------------------------- by hand
@cold
def check_manual_credit(state: STATE, c: CREDIT):
    """The mint guard: there must be as much that custody has brought and nobody owns."""
    if at.account(state, c.account).kind == AccountKind.CUSTODY:
        return Reason.NOT_CUSTODY
    if c.account == state.suspense:
        return Reason.BAD_VALUE
    if not is_asset(state, c.asset) or not at.asset(state, c.asset).enabled:
        return Reason.UNKNOWN_ASSET
    if c.amount < 1 or c.amount > MAX_AMOUNT:
        return Reason.BAD_AMOUNT
    if balance(state, state.suspense, c.asset).available < c.amount:
        return Reason.MINT
    return Reason.OVERFLOW if leaves_range(state, c.account, c.asset, c.amount) else Reason.NONE


@cold
def manual_credit(state: STATE, c: CREDIT):
    post_transfer(state, state.suspense, c.account, c.asset, c.amount)
    _inform(state, Event.TRANSFERRED, state.suspense, c.account, c.asset, -c.amount, 0)
    _tell(state, Event.TRANSFERRED, c.account, state.suspense, c.asset, c.amount, 0)
