"""Section 14 of the rules: restrictions, duplicates, exposure and daily loss, executions, market-maker protection."""
from cambist.messages import MAX_AMOUNT, MAX_WORTH, Event, Kind, Reason, Side
from cambist.simulation.twin.model import Command, Exposure, Instrument, Order, State

R = Reason
DAY = 86_400_000_000_000


def latch_account(t: State, account: int, reason: Reason) -> None:
    """All orders made before now are dying, and the account joins the sweeps. A kill is not forgotten by a later cancel-all."""
    row = t.accounts[account]
    row.dying_below = row.ordinal + 1
    if account not in t.account_sweeps:
        t.account_sweeps.append(account)
        row.sweep_reason = reason
    elif reason == R.KILLED:
        row.sweep_reason = reason


def trip(t: State, account: int, reason: Reason, amount: int = 0) -> None:
    """A control that kills: blocked first, cancelled next, and a person is called."""
    t.accounts[account].killed = 1
    latch_account(t, account, R.KILLED)
    t.alert(reason, id=account, amount=amount)


def restricted(t: State, account: int, actor: int, instrument: int) -> bool:
    return (account, 0, instrument) in t.restrictions or (0, actor, instrument) in t.restrictions


# -------------------------------------------------------------------------------------------------------------- duplicates
def is_duplicate(t: State, c: Command) -> bool:
    row = t.accounts[c.account]
    same = (row.dup_instrument, row.dup_side, row.dup_price, row.dup_quantity) == (c.instrument, c["side"], c["price"], c["quantity"])
    return row.duplicate_window > 0 and same and t.time < row.dup_at + row.duplicate_window


def keep_for_duplicates(t: State, c: Command) -> None:
    row = t.accounts[c.account]
    if row.duplicate_window > 0:
        row.dup_instrument, row.dup_side, row.dup_price, row.dup_quantity, row.dup_at = c.instrument, c["side"], c["price"], c["quantity"], t.time


# ---------------------------------------------------------------------------------------------------------------- exposure
def worth(t: State, asset: int, amount: int) -> int:
    """In the numeraire, rounded towards zero; 0 without a rate."""
    row = t.assets[asset]
    if row.rate_den == 0:
        return 0
    size = min(abs(amount) * row.rate_num // row.rate_den, MAX_WORTH)
    return size if amount >= 0 else -size


def rated_value(t: State, order: Order) -> int:
    """What the order's leaves are worth at worst, if its account is watched."""
    ins = t.instruments[order.instrument]
    if order.account not in t.exposures or order.leaves == 0:
        return 0
    return worth(t, ins.quote, order.leaves if order.by_quote else ins.amount_up(order.leaves, order.worst))


def check_exposure(t: State, account: int, ins: Instrument, side: int, amount: int, old: int = 0) -> Reason:
    """`amount` in the quote asset is what would be added; `old` the value of what it replaces."""
    row = t.exposures.get(account)
    if row is None:
        return R.NONE
    if t.assets[ins.quote].rate_den == 0:
        return R.NO_RATE
    rate = t.assets[ins.quote]
    if amount * rate.rate_num // rate.rate_den > MAX_WORTH:
        return R.OVERFLOW
    v = worth(t, ins.quote, amount) - old
    if row.gross_limit and row.gross + row.open + v > row.gross_limit:
        return R.EXPOSURE
    net = row.net if side == Side.BUY else -row.net
    return R.EXPOSURE if row.net_limit and net + row.open + v > row.net_limit else R.NONE


def traded(t: State, account: int, ins: Instrument, side: int, a: int, fee_: int, price: int) -> None:
    """After a trade's postings: what the position is worth now, and what was paid and received."""
    row, position = t.exposures.get(account), t.position(account, ins.number)
    if row is None:
        return
    begin_day(t, row)
    size = worth(t, ins.quote, min(MAX_AMOUNT, ins.amount(abs(position.net), t.reference(ins.number) or price)))
    value = size if position.net >= 0 else -size
    row.gross += abs(value) - abs(position.value)
    row.net += value - position.value
    position.value = value
    row.cash += worth(t, ins.quote, -(a + fee_) if side == Side.BUY else a - fee_)


def begin_day(t: State, row: Exposure) -> None:
    if row.day != t.time // DAY:
        row.day, row.base = t.time // DAY, row.net + row.cash


def stop_losses(t: State, account: int) -> None:
    row = t.exposures.get(account)
    if row is None:
        return
    loss = row.base - (row.net + row.cash)
    if row.loss_limit and loss > row.loss_limit and not t.accounts[account].killed:
        trip(t, account, R.DAILY_LOSS, loss)


# -------------------------------------------------------------------------------------------------------------- executions
def count_execution(t: State, account: int) -> None:
    row = t.accounts[account]
    if row.max_executions == 0:
        return
    window = t.time // row.execution_window
    if row.executed_window != window:
        row.executed_window, row.executed = window, 0
    row.executed += 1
    if row.executed > row.max_executions and not row.killed:
        trip(t, account, R.EXECUTIONS)


# -------------------------------------------------------------------------------------------------------------- protection
def protection_trips(t: State, order: Order, x: int) -> bool:
    """Counts x of a quote's trade; whether this is what the maker wanted to be stopped at."""
    row = t.protections.get((order.account, order.instrument))
    if not order.quoted or row is None or row.frozen or (row.quantity, row.delta) == (0, 0):
        return False
    now = t.time // (row.window // 8)
    for eighth in range(max(row.bucket + 1, now - 7), now + 1):
        row.bought[eighth % 8] = row.sold[eighth % 8] = 0
    row.bucket = now
    counted = row.bought if order.side == Side.BUY else row.sold
    counted[now % 8] += x
    bought, sold = sum(row.bought), sum(row.sold)
    if (row.quantity and bought + sold >= row.quantity) or (row.delta and abs(bought - sold) >= row.delta):
        row.frozen = 1
        t.emit(Event.PROTECTED, order.account, instrument=order.instrument, quantity=bought + sold, amount=bought - sold)
        return True
    return False


def check_reset(t: State, c: Command) -> Reason:
    if c.instrument not in t.instruments:
        return R.UNKNOWN_INSTRUMENT
    return R.NONE if (c.account, c.instrument) in t.protections else R.BAD_VALUE


def reset(t: State, c: Command) -> None:
    row = t.protections[c.account, c.instrument]
    row.frozen, row.bought, row.sold = 0, [0] * 8, [0] * 8
    t.done(c, c.account)


HANDLERS = {Kind.RESET_PROTECTION: (check_reset, reset)}
