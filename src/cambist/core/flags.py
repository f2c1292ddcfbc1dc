"""The bytes that tell the hot path whether there is more to an account or an instrument than its row says: made from what is configured and what stands."""
from cambist.core import layout as at
from cambist.core.layout import HAS_BAND, HAS_RESTRICTION, PARTIAL_SWEEP, PEGS, SESSION_STANDS, STATE, TRADES_SPECIALLY, WAITS, WATCHED
from cambist.core.memory import cold


@cold
def flag_account(state: STATE, number: int):
    """After anything changed that an order of the account must be asked about."""
    x = at.account_extra(state, number)
    flags = 0
    if x.trade_group or x.self_trade_scope or x.max_executions or x.duplicate_window or x.tier or x.fee_instrument:
        flags |= TRADES_SPECIALLY
    if at.exposure(state, number).given:
        flags |= WATCHED
    if x.some_below:
        flags |= PARTIAL_SWEEP
    owner = at.account(state, number)
    owner.flags = flags
    owner.reserves = 1 if x.cancel_reserve else 0


@cold
def flag_instrument(state: STATE, number: int):
    """After its session, its band, who is barred from it, or what waits or is pegged there changed."""
    x = at.instrument_extra(state, number)
    flags = 0
    if x.waiting[0] or x.waiting[1] or x.waiting[2] or x.floating > x.pegs or x.queue_first:
        flags |= WAITS
    if x.pegs:
        flags |= PEGS
    if x.session or x.ending:
        flags |= SESSION_STANDS
    if x.band_ppm:
        flags |= HAS_BAND
    if x.restrictions:
        flags |= HAS_RESTRICTION
    at.instrument(state, number).flags = flags
