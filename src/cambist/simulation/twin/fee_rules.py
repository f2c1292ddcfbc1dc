"""Section 5 of the rules: which schedule an account pays by, what a trade is charged, and in which asset."""
from cambist.messages import AccountKind, Cause, Event, Liquidity
from cambist.simulation.twin.model import Instrument, Order, State, Tier, fee, up


def schedule(t: State, account: int, ins: Instrument) -> Tier:
    """The account's tier at this instrument, or what the instrument asks of everyone."""
    tier = t.accounts[account].tier
    return t.tiers.get((ins.number, tier), Tier(ins.maker_ppm, ins.taker_ppm, ins.rfq_ppm, 0))


def hold_ppm(t: State, account: int, ins: Instrument) -> int:
    row = schedule(t, account, ins)
    return max(row.maker_ppm, row.taker_ppm)


def charge(a: int, ppm: int, minimum: int) -> int:
    """A fee, never more than the amount itself; below zero it is a rebate."""
    if ppm < 0:
        return -fee(a, -ppm)
    return min(a, max(fee(a, ppm), minimum))


def order_fee(t: State, order: Order, a: int, liquidity: int, first: bool) -> int:
    """Never at a higher ppm, or with a higher minimum, than the order holds for."""
    row = schedule(t, order.account, t.instruments[order.instrument])
    ppm = min(row.maker_ppm if liquidity == Liquidity.MAKER else row.taker_ppm, order.fee_ppm)
    return charge(a, ppm, min(row.minimum, order.fee_min) if first else 0)


def quote_fee(t: State, account: int, ins: Instrument, a: int) -> int:
    row = schedule(t, account, ins)
    return charge(a, row.rfq_ppm, row.minimum)


def chosen_asset(t: State, account: int, ins: Instrument, fee_: int) -> tuple[int, int] | None:
    """(asset, amount) of a fee that can be paid in the account's chosen asset; nothing: it is paid in the quote asset."""
    way = t.instruments.get(t.accounts[account].fee_instrument)
    if way is None or way.quote != ins.quote or not ins.prefunded or fee_ <= 0 or not t.assets[way.base].enabled:
        return None
    reference = t.reference(way.number)
    if reference == 0:
        return None
    amount = up(fee_, way.amount_den, reference * way.amount_num)
    return (way.base, amount) if t.balance(account, way.base).available >= amount else None


def post_fee(t: State, account: int, ins: Instrument, fee_: int, pays_a_rebate: bool = False) -> tuple[int, int] | None:
    """Posts a fee to FEES; (asset, amount) when it was not in the quote asset, which a fee that pays a rebate always is."""
    fees, other = t.single(AccountKind.FEES), None if pays_a_rebate else chosen_asset(t, account, ins, fee_)
    asset, amount = other or (ins.quote, fee_)
    payer, receiver = t.balance(account, asset), t.balance(fees, asset)
    if ins.prefunded:
        payer.available -= amount
        receiver.available += amount
    else:
        payer.unsettled -= amount
        receiver.unsettled += amount
    t.flow(asset, Cause.FEE, amount)
    if t.kind_of(account) == AccountKind.DESK:
        t.flow(asset, Cause.FEE, -amount)
    return other


def tell_charged(t: State, account: int, identity: int, ins: Instrument, liquidity: Liquidity, charged: tuple[int, int] | None) -> None:
    if charged is not None:
        t.emit(Event.FEE_CHARGED, account, id=identity, instrument=ins.number, other=charged[0], amount=charged[1], liquidity=liquidity)
