"""How accounts trade, fee tiers, bands, schedules, protection, exposure, restrictions: each kind is checked whole, then changed. docs/rules.md section 3."""
from cambist.core import layout as at
from cambist.core.accounts import position_of
from cambist.core.arithmetic import MILLION
from cambist.core.bands import change_band, check_band
from cambist.core.flags import flag_account, flag_instrument
from cambist.core.layout import COMMAND, STATE, L, seen_as
from cambist.core.memory import cold, hot
from cambist.core.pools import (
    RESTRICTED_ACCOUNT_TAG,
    RESTRICTED_ACTOR_TAG,
    find,
    forget,
    give_restriction,
    remember,
    room_protection,
    room_restriction,
    take_protection,
    take_restriction,
)
from cambist.core.protection import EIGHTHS, clear_counts, protection_of
from cambist.core.schedules import change_schedule, check_schedule
from cambist.messages import MAX_AMOUNT, TIERS, Kind, Reason, SelfTradeScope

LONGEST = 10**18
MAX_COUNT = (1 << 31) - 1
TRADING, TIER, PROTECTION, EXPOSURE, RESTRICTION = (L[k] for k in (
    Kind.CONFIGURE_TRADING, Kind.CONFIGURE_TIER, Kind.CONFIGURE_PROTECTION, Kind.CONFIGURE_EXPOSURE, Kind.CONFIGURE_RESTRICTION))
as_trading, as_tier, as_protection, as_exposure, as_restriction, as_band, as_schedule = (seen_as(k) for k in (
    Kind.CONFIGURE_TRADING, Kind.CONFIGURE_TIER, Kind.CONFIGURE_PROTECTION, Kind.CONFIGURE_EXPOSURE, Kind.CONFIGURE_RESTRICTION, Kind.CONFIGURE_BAND,
    Kind.CONFIGURE_SCHEDULE))


@hot
def _is_amount(x: int):
    return 0 <= x <= MAX_AMOUNT


@hot
def _is_count(x: int):
    return 0 <= x <= MAX_COUNT


@hot
def _is_window(x: int):
    return 0 <= x <= LONGEST


@hot
def _is_ppm(x: int):
    return 0 <= x <= MILLION


@hot
def _is_account(state: STATE, number: int):
    return 1 <= number <= state.account_count


@hot
def _is_instrument(state: STATE, number: int):
    return 1 <= number <= state.instrument_count


# ----------------------------------------------------------------------------------------------------------- check each
@cold
def _check_trading(state: STATE, c: TRADING):
    if not _is_account(state, c.account):
        return Reason.UNKNOWN_ACCOUNT
    if not (_is_count(c.trade_group) and _is_count(c.max_waiting) and _is_count(c.cancel_reserve) and _is_count(c.max_executions)):
        return Reason.BAD_VALUE
    if not 0 <= c.self_trade_scope <= SelfTradeScope.ENTITY or not _is_window(c.execution_window) or not _is_window(c.duplicate_window):
        return Reason.BAD_VALUE
    if not 0 <= c.tier < TIERS or (c.max_executions and c.execution_window == 0):
        return Reason.BAD_VALUE
    return Reason.NONE if c.fee_instrument == 0 or _is_instrument(state, c.fee_instrument) else Reason.UNKNOWN_INSTRUMENT


@cold
def rebate_too_high(state: STATE, instrument: int, number: int, maker_ppm: int, taker_ppm: int):
    """Whether, with this tier (0: what FEES says) as it would be, some maker would be given more than some taker pays."""
    given, paid = -maker_ppm, taker_ppm + 0
    b = at.instrument(state, instrument)
    if number:
        given, paid = max(given, -b.maker_ppm), min(paid, b.taker_ppm)
    for k in range(1, TIERS):
        r = at.tier(state, instrument * TIERS + k)
        if r.given and k != number:
            given, paid = max(given, -r.maker_ppm), min(paid, r.taker_ppm)
    return 1 if given > paid else 0


@cold
def _check_tier(state: STATE, c: TIER):
    if not _is_instrument(state, c.instrument):
        return Reason.UNKNOWN_INSTRUMENT
    if not 1 <= c.tier < TIERS or not -MILLION <= c.maker_ppm <= MILLION or not _is_amount(c.minimum):
        return Reason.BAD_VALUE
    if not _is_ppm(c.taker_ppm) or not _is_ppm(c.rfq_ppm) or rebate_too_high(state, c.instrument, c.tier, c.maker_ppm, c.taker_ppm):
        return Reason.BAD_VALUE
    return Reason.NONE


@cold
def _check_protection(state: STATE, c: PROTECTION):
    if not _is_account(state, c.account):
        return Reason.UNKNOWN_ACCOUNT
    if not _is_instrument(state, c.instrument):
        return Reason.UNKNOWN_INSTRUMENT
    if not _is_amount(c.quantity) or not _is_amount(c.delta) or not _is_window(c.window):
        return Reason.BAD_VALUE
    if (c.quantity or c.delta) and c.window < EIGHTHS:
        return Reason.BAD_VALUE
    if position_of(state, c.account, c.instrument) == 0:
        return Reason.CAPACITY
    return Reason.NONE if protection_of(state, c.account, c.instrument) or room_protection(state) else Reason.CAPACITY


@cold
def _check_exposure(state: STATE, c: EXPOSURE):
    if not _is_account(state, c.account):
        return Reason.UNKNOWN_ACCOUNT
    if not _is_amount(c.gross) or not _is_amount(c.net) or not _is_amount(c.loss):
        return Reason.BAD_VALUE
    return Reason.IN_USE if not at.exposure(state, c.account).given and at.account(state, c.account).ordinal else Reason.NONE


@cold
def _restriction_row(state: STATE, c: RESTRICTION):
    """Row of the restriction a command names; 0 when there is none."""
    if c.account:
        return find(state, RESTRICTED_ACCOUNT_TAG, (c.account << 32) | c.instrument)
    return find(state, RESTRICTED_ACTOR_TAG, (c.number << 32) | c.instrument)


@cold
def _check_restriction(state: STATE, c: RESTRICTION):
    if (c.account == 0) == (c.number == 0) or c.barred < 0 or c.barred > 1:
        return Reason.BAD_VALUE
    if c.account and not _is_account(state, c.account):
        return Reason.UNKNOWN_ACCOUNT
    if c.number and not 1 <= c.number <= state.actor_count:
        return Reason.UNKNOWN_ACTOR
    if not _is_instrument(state, c.instrument):
        return Reason.UNKNOWN_INSTRUMENT
    return Reason.CAPACITY if c.barred and _restriction_row(state, c) == 0 and not room_restriction(state) else Reason.NONE


@cold
def check_trading_configuration(state: STATE, c: COMMAND):
    kind = c.kind
    if kind == Kind.CONFIGURE_TRADING:
        return _check_trading(state, as_trading(c))
    if kind == Kind.CONFIGURE_TIER:
        return _check_tier(state, as_tier(c))
    if kind == Kind.CONFIGURE_PROTECTION:
        return _check_protection(state, as_protection(c))
    if kind == Kind.CONFIGURE_EXPOSURE:
        return _check_exposure(state, as_exposure(c))
    if kind == Kind.CONFIGURE_BAND:
        return check_band(state, as_band(c))
    if kind == Kind.CONFIGURE_SCHEDULE:
        return check_schedule(state, as_schedule(c))
    return _check_restriction(state, as_restriction(c))


# ---------------------------------------------------------------------------------------------------------- change each
@cold
def _change_trading(state: STATE, c: TRADING):
    x = at.account_extra(state, c.account)
    x.trade_group = c.trade_group
    x.self_trade_scope = c.self_trade_scope
    x.max_waiting = c.max_waiting
    x.cancel_reserve = c.cancel_reserve
    x.max_executions = c.max_executions
    x.execution_window = c.execution_window
    x.duplicate_window = c.duplicate_window
    x.tier = c.tier
    x.fee_instrument = c.fee_instrument
    flag_account(state, c.account)
    return c.account + 0


@cold
def _change_tier(state: STATE, c: TIER):
    r = at.tier(state, c.instrument * TIERS + c.tier)
    r.given = 1
    r.maker_ppm = c.maker_ppm
    r.taker_ppm = c.taker_ppm
    r.rfq_ppm = c.rfq_ppm
    r.minimum = c.minimum
    return c.instrument + 0


@cold
def _change_protection(state: STATE, c: PROTECTION):
    i = protection_of(state, c.account, c.instrument)
    if i == 0:
        i = take_protection(state)
        at.position_extra(state, position_of(state, c.account, c.instrument)).protection = i
        r = at.protection(state, i)
        r.account = c.account
        r.instrument = c.instrument
    r = at.protection(state, i)
    if r.window != c.window:                    # the eighths are others now
        r.bucket = 0
        clear_counts(r)
    r.quantity = c.quantity
    r.delta = c.delta
    r.window = c.window
    return c.account + 0


@cold
def _change_exposure(state: STATE, c: EXPOSURE):
    x = at.exposure(state, c.account)
    x.given = 1
    x.gross_limit = c.gross
    x.net_limit = c.net
    x.loss_limit = c.loss
    flag_account(state, c.account)
    return c.account + 0


@cold
def _change_restriction(state: STATE, c: RESTRICTION):
    i = _restriction_row(state, c)
    x = at.instrument_extra(state, c.instrument)
    tag = RESTRICTED_ACCOUNT_TAG if c.account else RESTRICTED_ACTOR_TAG
    key = ((c.account if c.account else c.number) << 32) | c.instrument
    if c.barred and i == 0:
        i = take_restriction(state)
        r = at.restriction(state, i)
        r.account = c.account
        r.actor = c.number
        r.instrument = c.instrument
        remember(state, tag, key, i)
        x.restrictions = x.restrictions + 1
    elif i and not c.barred:
        forget(state, tag, key, i)
        give_restriction(state, i)
        x.restrictions = x.restrictions - 1
    flag_instrument(state, c.instrument)
    return c.account + 0 if c.account else c.number + 0


@cold
def change_trading_configuration(state: STATE, c: COMMAND):
    """The number it concerned."""
    kind = c.kind
    if kind == Kind.CONFIGURE_TRADING:
        return _change_trading(state, as_trading(c))
    if kind == Kind.CONFIGURE_TIER:
        return _change_tier(state, as_tier(c))
    if kind == Kind.CONFIGURE_PROTECTION:
        return _change_protection(state, as_protection(c))
    if kind == Kind.CONFIGURE_EXPOSURE:
        return _change_exposure(state, as_exposure(c))
    if kind == Kind.CONFIGURE_BAND:
        return change_band(state, as_band(c))
    if kind == Kind.CONFIGURE_SCHEDULE:
        return change_schedule(state, as_schedule(c))
    return _change_restriction(state, as_restriction(c))
