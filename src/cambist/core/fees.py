"""What a trade is charged, by which schedule, and in which asset. An order never pays a higher rate, or a higher minimum, than it holds for.

Decides fees only: tiers, rebates, minimums, the chosen asset. docs/rules.md section 5. Accounts that configure none of this never come here.
"""
from cambist.core import layout as at
from cambist.core.accounts import balance, post_flow
from cambist.core.arithmetic import fee, multiply_divide
from cambist.core.emit import put
from cambist.core.layout import INSTRUMENT, STATE
from cambist.core.memory import cold, hot
from cambist.core.risk import reference
from cambist.messages import TIERS, AccountKind, Cause, Event, Settlement


# ------------------------------------------------------------------------------------------------------------- schedule
@hot
def tier_of(state: STATE, account: int, instrument: int):
    """Row of the account's tier at an instrument; 0: it pays what the instrument asks of everyone."""
    number = at.account_extra(state, account).tier
    row = instrument * TIERS + number
    return row if number and at.tier(state, row).given else 0


@hot
def maker_ppm(state: STATE, b: INSTRUMENT, row: int):
    return at.tier(state, row).maker_ppm + 0 if row else b.maker_ppm + 0


@hot
def taker_ppm(state: STATE, b: INSTRUMENT, row: int):
    return at.tier(state, row).taker_ppm + 0 if row else b.taker_ppm + 0


@hot
def minimum(state: STATE, row: int):
    """The least that an order pays once; nobody pays one who is in no tier."""
    return at.tier(state, row).minimum + 0 if row else 0


@cold
def hold_ppm(state: STATE, b: INSTRUMENT, account: int, instrument: int):
    """The rate an order holds for: the higher of its account's two."""
    row = tier_of(state, account, instrument)
    return max(maker_ppm(state, b, row), taker_ppm(state, b, row))


@cold
def hold_minimum(state: STATE, account: int, instrument: int):
    """The minimum an order holds for while nothing of it has traded."""
    return minimum(state, tier_of(state, account, instrument))


# --------------------------------------------------------------------------------------------------------------- charge
@hot
def charge(worth: int, ppm: int, least: int):
    """A fee, never more than the amount itself; below zero it is a rebate."""
    return -fee(worth, -ppm) if ppm < 0 else min(worth, max(fee(worth, ppm), least))


@cold
def order_fee(state: STATE, b: INSTRUMENT, account: int, instrument: int, worth: int, makes: int, held_ppm: int, held_minimum: int):
    """Of an order that traded for `worth`; `held_minimum` is 0 when it has paid its minimum before."""
    row = tier_of(state, account, instrument)
    ppm = maker_ppm(state, b, row) if makes else taker_ppm(state, b, row)
    return charge(worth, min(ppm, held_ppm), min(minimum(state, row), held_minimum))


@cold
def quote_fee(state: STATE, b: INSTRUMENT, account: int, instrument: int, worth: int):
    """Of the client of a quote; its dealer pays nothing."""
    row = tier_of(state, account, instrument)
    return charge(worth, at.tier(state, row).rfq_ppm + 0 if row else b.rfq_ppm + 0, minimum(state, row))


# ----------------------------------------------------------------------------------------------------------------- post
@cold
def _in_chosen_asset(state: STATE, b: INSTRUMENT, account: int, owed: int):
    """How much of the base asset of its fee instrument the account pays instead, rounded up; 0: it pays in the quote asset."""
    number = at.account_extra(state, account).fee_instrument + 0
    if number == 0 or owed <= 0 or b.settlement != Settlement.PREFUNDED:
        return 0
    way = at.instrument(state, number)
    if way.quote != b.quote or not at.asset(state, way.base).enabled:
        return 0
    price = reference(state, way, number)
    if price == 0:
        return 0
    more = multiply_divide(owed, way.amount_den, price * way.amount_num, 1)
    return more if 0 < more <= balance(state, account, way.base).available else 0


@cold
def _post(state: STATE, account: int, settlement: int, asset: int, owed: int):
    payer, receiver = balance(state, account, asset), balance(state, state.fees, asset)
    if settlement == Settlement.PREFUNDED:
        payer.available = payer.available - owed
        receiver.available = receiver.available + owed
    else:
        payer.unsettled = payer.unsettled - owed
        receiver.unsettled = receiver.unsettled + owed
    post_flow(state, asset, Cause.FEE, owed)
    if at.account(state, account).kind == AccountKind.DESK:
        post_flow(state, asset, Cause.FEE, -owed)


@cold
def post_fee(state: STATE, b: INSTRUMENT, account: int, owed: int, rebates: int):
    """The payer's leg and the house's. How much was paid of the chosen asset: 0 when it was the quote asset, as in a trade that pays a rebate."""
    instead = 0 if rebates else _in_chosen_asset(state, b, account, owed)
    if instead:
        _post(state, account, Settlement.PREFUNDED, at.instrument(state, at.account_extra(state, account).fee_instrument).base, instead)
    else:
        _post(state, account, b.settlement, b.quote, owed)
    return instead


@cold
def tell_charged(state: STATE, account: int, instrument: int, id: int, liquidity: int, instead: int):
    """FEE_CHARGED, when a fee was paid in the chosen asset."""
    if instead:
        asset = at.instrument(state, at.account_extra(state, account).fee_instrument).base + 0
        e = at.event(state, put(state, Event.FEE_CHARGED, account, instrument, id, asset))
        e.liquidity = liquidity
        e.amount = instead
