"""Who may not, not again, not so much, not so often: restrictions, duplicates, exposure, daily loss, repeated executions. Section 14 of docs/rules.md.

Answers with a reason before an order, and after a trade keeps what it was worth; a control that kills blocks first, and calls a person. What accounts
have nothing of this configured never comes here: a flag of the account, or of the instrument, says so.
"""
from cambist.core import layout as at
from cambist.core.arithmetic import multiply_divide
from cambist.core.control import begin_sweep
from cambist.core.emit import alert
from cambist.core.layout import EXPOSURE, HAS_RESTRICTION, INSTRUMENT, POSITION, STATE
from cambist.core.memory import cold, hot
from cambist.core.pools import RESTRICTED_ACCOUNT_TAG, RESTRICTED_ACTOR_TAG, find
from cambist.core.risk import amount, reference
from cambist.messages import MAX_AMOUNT, MAX_WORTH, Reason, Side

DAY = 86_400_000_000_000


@cold
def trip(state: STATE, account: int, reason: int, size: int):
    """A control that kills: blocked first, cancelled next, and a person is called."""
    at.account(state, account).killed = 1
    begin_sweep(state, account, Reason.KILLED)
    alert(state, reason, 0, account, 0, size)


# --------------------------------------------------------------------------------------------------------- restrictions
@cold
def is_restricted(state: STATE, account: int, sender: int, instrument: int):
    """Whether the account, or who sends for it, is barred from the instrument."""
    if find(state, RESTRICTED_ACCOUNT_TAG, (account << 32) | instrument):
        return 1
    return 1 if find(state, RESTRICTED_ACTOR_TAG, (sender << 32) | instrument) else 0


@hot
def is_barred(state: STATE, b: INSTRUMENT, account: int, sender: int, instrument: int):
    """The same where most instruments bar nobody."""
    return is_restricted(state, account, sender, instrument) if b.flags & HAS_RESTRICTION else 0


# ----------------------------------------------------------------------------------------------------------- duplicates
@cold
def is_duplicate(state: STATE, account: int, instrument: int, side: int, price: int, quantity: int):
    """Whether this is the account's last order once more, too soon after it. The price is the one that was sent."""
    x = at.account_extra(state, account)
    same = x.dup_instrument == instrument and x.dup_side == side and x.dup_price == price and x.dup_quantity == quantity
    return 1 if x.duplicate_window and same and state.time - x.dup_at < x.duplicate_window else 0


@cold
def keep_for_duplicates(state: STATE, account: int, instrument: int, side: int, price: int, quantity: int):
    x = at.account_extra(state, account)
    if x.duplicate_window:
        x.dup_instrument = instrument
        x.dup_side = side
        x.dup_price = price
        x.dup_quantity = quantity
        x.dup_at = state.time


# ------------------------------------------------------------------------------------------------------------- exposure
@cold
def worth(state: STATE, asset: int, size: int):
    """In the numeraire, rounded towards zero, at most MAX_WORTH either way; 0 without a rate."""
    a = at.asset(state, asset)
    if a.rate_den == 0:
        return 0
    found = multiply_divide(abs(size), a.rate_num, a.rate_den, 0)
    if found < 0 or found > MAX_WORTH:
        found = MAX_WORTH + 0
    return found if size >= 0 else -found


@cold
def value_of(state: STATE, account: int, asset: int, size: int):
    """What leaves that may cost `size` of an asset count in the exposure of their account: nothing, when nobody watches it."""
    return worth(state, asset, size) if size and at.exposure(state, account).given else 0


@cold
def count_value(state: STATE, account: int, more: int):
    """The values of an account's orders that stand changed by so much."""
    x = at.exposure(state, account)
    x.open = x.open + more


@cold
def check_exposure(state: STATE, b: INSTRUMENT, account: int, side: int, size: int, old: int):
    """Of an order or quote that may cost `size` in the quote asset; `old` is the value of what it replaces."""
    x = at.exposure(state, account)
    if not x.given:
        return Reason.NONE
    a = at.asset(state, b.quote)
    if a.rate_den == 0:
        return Reason.NO_RATE
    found = multiply_divide(size, a.rate_num, a.rate_den, 0)
    if found < 0 or found > MAX_WORTH:
        return Reason.OVERFLOW
    v = found - old
    if x.gross_limit and x.gross + x.open + v > x.gross_limit:
        return Reason.EXPOSURE
    net = x.net + 0 if side == Side.BUY else -x.net
    return Reason.EXPOSURE if x.net_limit and net + x.open + v > x.net_limit else Reason.NONE


@cold
def note_trade(state: STATE, b: INSTRUMENT, p: POSITION, side: int, size: int, paid: int, price: int):
    """After a trade's postings: what the position is worth now, and what was paid (`size` and the fee `paid`) or received."""
    x = at.exposure(state, p.account)
    if not x.given:
        return
    _begin_day(state, x)
    middle = reference(state, b, p.instrument)
    whole = amount(b, abs(p.net), middle if middle else price)
    now = worth(state, b.quote, MAX_AMOUNT if whole < 0 else whole)
    value = now if p.net >= 0 else -now
    x.gross = x.gross + abs(value) - abs(p.value)
    x.net = x.net + value - p.value
    p.value = value
    x.cash = x.cash + worth(state, b.quote, -(size + paid) if side == Side.BUY else size - paid)


@cold
def _begin_day(state: STATE, x: EXPOSURE):
    """The first trade of a day forgets what was lost before it."""
    day = state.time // DAY
    if x.day != day:
        x.day = day
        x.base = x.net + x.cash


@cold
def stop_losses(state: STATE, account: int):
    """Killed when it lost more in a day than it may."""
    x = at.exposure(state, account)
    lost = x.base - (x.net + x.cash)
    if x.given and x.loss_limit and lost > x.loss_limit and not at.account(state, account).killed:
        trip(state, account, Reason.DAILY_LOSS, lost)


# ----------------------------------------------------------------------------------------------------------- executions
@cold
def count_execution(state: STATE, account: int):
    """One command that traded as a taker; too many in a window kill the account."""
    x = at.account_extra(state, account)
    if x.max_executions == 0:
        return
    window = state.time // x.execution_window
    if x.executed_window != window:
        x.executed_window = window
        x.executed = 0
    x.executed = x.executed + 1
    if x.executed > x.max_executions and not at.account(state, account).killed:
        trip(state, account, Reason.EXECUTIONS, 0)


# ----------------------------------------------------------------------------------------------------------- self-trade
@hot
def same_owner(state: STATE, one: int, other: int):
    """Whether two accounts may not trade with each other, as the wider of their scopes sees it."""
    if one == other:
        return 1
    x, y = at.account_extra(state, one), at.account_extra(state, other)
    scope = max(x.self_trade_scope, y.self_trade_scope)
    if scope and x.trade_group and x.trade_group == y.trade_group:
        return 1
    entity = at.account(state, one).entity + 0
    return 1 if scope == 2 and entity and entity == at.account(state, other).entity else 0
