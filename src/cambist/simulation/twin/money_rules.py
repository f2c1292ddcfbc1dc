"""Section 6 of the rules: deposits, their reversal, moves of custody, and transfers."""
from cambist.messages import MAX_AMOUNT, AccountKind, Cause, Event, Kind, Reason
from cambist.simulation.twin.model import Command, State
from cambist.simulation.twin.preamble_rules import count_fact

K, R = Kind, Reason
HOUSE_OWNED = (AccountKind.DESK, AccountKind.HOUSE, AccountKind.FEES, AccountKind.SUSPENSE, AccountKind.DEFICIT)


def is_custody(t: State, account: int) -> bool:
    return t.kind_of(account) == AccountKind.CUSTODY


def check_asset_and_amount(t: State, c: Command) -> Reason:
    if c["asset"] not in t.assets:
        return R.UNKNOWN_ASSET
    return R.NONE if 1 <= c["amount"] <= MAX_AMOUNT else R.BAD_AMOUNT


def receiver(t: State, c: Command) -> int:
    """Who gets a deposit: the owner, or SUSPENSE for one who cannot."""
    misplaced = not t.accounts[c.account].enabled or is_custody(t, c.account)
    return t.single(AccountKind.SUSPENSE) if misplaced else c.account


def check_deposit(t: State, c: Command) -> Reason:
    if t.actors[c["actor"]].person:
        return R.MINT
    if not is_custody(t, c["custody"]):
        return R.NOT_CUSTODY
    if reason := check_asset_and_amount(t, c):
        return reason
    if not t.fits(c["custody"], c["asset"], c["amount"]) or not t.fits(receiver(t, c), c["asset"], c["amount"]):
        return R.OVERFLOW
    return R.NONE


def deposit(t: State, c: Command) -> None:
    count_fact(t, c)
    asset, amount, owner = c["asset"], c["amount"], receiver(t, c)
    t.balance(c["custody"], asset).available += amount
    t.balance(owner, asset).available += amount
    if t.kind_of(owner) == AccountKind.DESK:
        t.flow(asset, Cause.FUNDING, amount)
    if t.kind_of(owner) == AccountKind.SUSPENSE:
        t.flow(asset, Cause.SUSPENSE, amount)
    if owner != c.account:
        t.alert(R.UNMATCHED, id=c.account, other=asset, amount=amount)
    t.echo(c, Event.DEPOSITED, owner, id=c["custody"], other=asset, amount=amount)


def payments(t: State, c: Command) -> tuple[int, int, int]:
    """Who pays a reversal, how much of it, and how much becomes a deficit."""
    asset, amount = c["asset"], c["amount"]
    if is_custody(t, c.account):
        return t.single(AccountKind.SUSPENSE), amount, 0
    if t.kind_of(c.account) == AccountKind.DESK:
        return c.account, amount, 0
    taken = min(max(t.balance(c.account, asset).available, 0), amount)
    return c.account, taken, amount - taken


def check_reverse_deposit(t: State, c: Command) -> Reason:
    if not is_custody(t, c["custody"]):
        return R.NOT_CUSTODY
    if reason := check_asset_and_amount(t, c):
        return reason
    asset = c["asset"]
    payer, taken, deficit = payments(t, c)
    if not t.fits(c["custody"], asset, -c["amount"]) or not t.fits(payer, asset, -taken):
        return R.OVERFLOW
    return R.NONE if t.fits(t.single(AccountKind.DEFICIT), asset, -deficit) else R.OVERFLOW


def reverse_deposit(t: State, c: Command) -> None:
    count_fact(t, c)
    asset = c["asset"]
    payer, taken, deficit = payments(t, c)
    t.balance(c["custody"], asset).available -= c["amount"]
    t.balance(payer, asset).available -= taken
    if t.kind_of(payer) == AccountKind.DESK:
        t.flow(asset, Cause.FUNDING, -taken)
    if t.kind_of(payer) == AccountKind.SUSPENSE:
        t.flow(asset, Cause.SUSPENSE, -taken)
    if deficit:
        t.balance(t.single(AccountKind.DEFICIT), asset).available -= deficit
        t.flow(asset, Cause.DEFICIT, -deficit)
        t.alert(R.INSUFFICIENT, id=c.account, other=asset, amount=deficit)
    t.echo(c, Event.DEPOSIT_REVERSED, payer, id=c["custody"], other=asset, amount=c["amount"], fee=deficit)


def check_move_custody(t: State, c: Command) -> Reason:
    if not is_custody(t, c.account) or not is_custody(t, c["custody"]):
        return R.NOT_CUSTODY
    if c.account == c["custody"]:
        return R.BAD_VALUE
    if reason := check_asset_and_amount(t, c):
        return reason
    if not t.fits(c.account, c["asset"], -c["amount"]) or not t.fits(c["custody"], c["asset"], c["amount"]):
        return R.OVERFLOW
    return R.NONE


def move_custody(t: State, c: Command) -> None:
    count_fact(t, c)
    t.balance(c.account, c["asset"]).available -= c["amount"]
    t.balance(c["custody"], c["asset"]).available += c["amount"]
    for account in (c.account, c["custody"]):
        t.echo(c, Event.CUSTODY_MOVED, account, id=c["custody"], other=c["asset"], amount=c["amount"])


def check_transfer(t: State, c: Command) -> Reason:
    to, asset, amount = c["to"], c["asset"], c["amount"]
    if to not in t.accounts:
        return R.UNKNOWN_ACCOUNT
    if is_custody(t, c.account) or is_custody(t, to):
        return R.NOT_CUSTODY
    if to == c.account:
        return R.BAD_VALUE
    if asset not in t.assets or not t.assets[asset].enabled:
        return R.UNKNOWN_ASSET
    if not 1 <= amount <= MAX_AMOUNT:
        return R.BAD_AMOUNT
    if not t.accounts[to].enabled:
        return R.ACCOUNT_DISABLED
    if t.balance(c.account, asset).available < amount:
        return R.UNCOVERED if t.kind_of(c.account) == AccountKind.DESK else R.INSUFFICIENT
    return R.NONE if t.fits(to, asset, amount) else R.OVERFLOW


def needs_approval(t: State, c: Command) -> bool:
    above = t.assets[c["asset"]].approval_above
    return above >= 0 and c["amount"] > above


def transfer(t: State, c: Command) -> None:
    move(t, c, c.account, c["to"])


def move(t: State, c: Command, sender: int, receiver_: int) -> None:
    asset, amount = c["asset"], c["amount"]
    for account, other, change in ((sender, receiver_, -amount), (receiver_, sender, amount)):
        t.balance(account, asset).available += change
        if t.kind_of(account) in HOUSE_OWNED:
            t.flow(asset, Cause.TRANSFER, change)
        told = {"account": account, "id": other, "other": asset, "amount": change}
        if account == c.account:
            t.echo(c, Event.TRANSFERRED, **told)
        else:
            t.emit(Event.TRANSFERRED, **told)


def check_manual_credit(t: State, c: Command) -> Reason:
    suspense, asset, amount = t.single(AccountKind.SUSPENSE), c["asset"], c["amount"]
    if is_custody(t, c.account):
        return R.NOT_CUSTODY
    if c.account == suspense:
        return R.BAD_VALUE
    if asset not in t.assets or not t.assets[asset].enabled:
        return R.UNKNOWN_ASSET
    if not 1 <= amount <= MAX_AMOUNT:
        return R.BAD_AMOUNT
    if t.balance(suspense, asset).available < amount:
        return R.MINT
    return R.NONE if t.fits(c.account, asset, amount) else R.OVERFLOW


def manual_credit(t: State, c: Command) -> None:
    move(t, c, t.single(AccountKind.SUSPENSE), c.account)


HANDLERS = {
    K.DEPOSIT: (check_deposit, deposit), K.REVERSE_DEPOSIT: (check_reverse_deposit, reverse_deposit),
    K.MOVE_CUSTODY: (check_move_custody, move_custody), K.TRANSFER: (check_transfer, transfer),
    K.MANUAL_CREDIT: (check_manual_credit, manual_credit),
}
