"""Section 9 of the rules, the first part: the cut-off, netting, and settling an obligation."""
from cambist.messages import AccountKind, Event, Kind, Reason
from cambist.simulation.twin.model import Command, Obligation, State

K, R = Kind, Reason


def never_netted(t: State, account: int) -> bool:
    return t.accounts[account].kind in (AccountKind.HOUSE, AccountKind.CUSTODY)


def clear_netted(t: State, account: int) -> None:
    """With no obligation left open, nothing is netted on the account's credit rows any more."""
    if t.owes_nothing_open(account):
        for (_, taker, _), row in t.credits.items():
            if taker == account:
                row.netted = 0


def net_account(t: State, account: int) -> None:
    house, cycle = t.single(AccountKind.HOUSE), t.cell.cycle
    for asset in sorted(t.assets):
        row = t.balance(account, asset)
        u = row.unsettled
        if u == 0:
            continue
        obligation = Obligation(t.new_id(account), account, asset, u, cycle)
        t.obligations[obligation.id] = obligation
        row.unsettled = 0
        row.due += u
        t.balance(house, asset).unsettled += u
        t.balance(house, asset).due -= u
        t.emit(Event.OBLIGATION, account, id=obligation.id, other=asset, amount=u, quantity=cycle)
    for (_, taker, _), credit in t.credits.items():
        if taker == account:
            credit.netted += credit.traded
            credit.traded = 0
    clear_netted(t, account)
    t.accounts[account].cycle = cycle


def net_if_behind(t: State, account: int) -> None:
    if t.accounts[account].cycle < t.cell.cycle and not never_netted(t, account):
        net_account(t, account)


def check_net(t: State, c: Command) -> Reason:
    return R.NETTING if t.cell.cut_off else R.NONE


def net(t: State, c: Command) -> None:
    t.cell.cycle += 1
    t.cell.cut_off = 1
    t.echo(c, Event.CUT_OFF, 0, id=t.cell.cycle)


def check_settle(t: State, c: Command) -> Reason:
    obligation = t.obligations.get(c["obligation"])
    if obligation is None:
        return R.UNKNOWN_OBLIGATION
    account, asset, amount = obligation.account, obligation.asset, obligation.amount
    if amount < 0:
        if t.balance(account, asset).available < -amount:
            return R.UNCOVERED if t.kind_of(account) == AccountKind.DESK else R.INSUFFICIENT
        return R.NONE
    if any(o.account == account and o.amount < 0 for o in t.obligations.values()):
        return R.UNPAID
    return R.HOUSE_UNCOVERED if t.balance(t.single(AccountKind.HOUSE), asset).available < amount else R.NONE


def settle(t: State, c: Command) -> None:
    obligation = t.obligations.pop(c["obligation"])
    amount = obligation.amount
    account, house = t.balance(obligation.account, obligation.asset), t.balance(t.single(AccountKind.HOUSE), obligation.asset)
    account.available += amount
    account.due -= amount
    house.available -= amount
    house.due += amount
    t.emit(Event.SETTLED, obligation.account, id=obligation.id, other=obligation.asset, amount=amount, quantity=obligation.cycle)
    t.done(c, obligation.id)
    clear_netted(t, obligation.account)


HANDLERS = {K.NET: (check_net, net), K.SETTLE: (check_settle, settle)}
