"""Market-maker protection: how much of a maker's quotes traded in the last eight eighths of a window, and when that is what it wanted to be stopped at.

Decides when a row freezes and when it is reset; the quote is withdrawn elsewhere. Section 14 of docs/rules.md.
"""
from cambist.core import layout as at
from cambist.core.accounts import position_of
from cambist.core.emit import done, put, refuse
from cambist.core.layout import PROTECTION, STATE, L
from cambist.core.memory import cold
from cambist.messages import Event, Kind, Reason, Side

RESET = L[Kind.RESET_PROTECTION]
EIGHTHS = 8


@cold
def clear_counts(r: PROTECTION):
    for k in range(EIGHTHS):
        r.bought[k] = 0
        r.sold[k] = 0


@cold
def protection_of(state: STATE, account: int, instrument: int):
    """Row of the protection of an account at an instrument, 0 when it has none. A protection has a position row, which is never given back."""
    i = position_of(state, account, instrument)
    return at.position_extra(state, i).protection + 0 if i else 0


@cold
def is_frozen(state: STATE, account: int, instrument: int):
    return at.protection(state, protection_of(state, account, instrument)).frozen + 0


@cold
def protection_trips(state: STATE, position: int, side: int, quantity: int):
    """Count what traded of a quote's order; 1 when it is time to withdraw the quote: frozen from now on, and told."""
    i = at.position_extra(state, position).protection + 0
    r = at.protection(state, i)
    if i == 0 or r.frozen or (r.quantity == 0 and r.delta == 0):
        return 0
    now = state.time // (r.window // EIGHTHS)
    first = max(r.bucket + 1, now - EIGHTHS + 1)
    for eighth in range(first, now + 1):
        r.bought[eighth % EIGHTHS] = 0
        r.sold[eighth % EIGHTHS] = 0
    r.bucket = now
    if side == Side.BUY:
        r.bought[now % EIGHTHS] = r.bought[now % EIGHTHS] + quantity
    else:
        r.sold[now % EIGHTHS] = r.sold[now % EIGHTHS] + quantity
    bought, sold = 0, 0
    for k in range(EIGHTHS):
        bought += r.bought[k]
        sold += r.sold[k]
    if not ((r.quantity and bought + sold >= r.quantity) or (r.delta and abs(bought - sold) >= r.delta)):
        return 0
    r.frozen = 1
    e = at.event(state, put(state, Event.PROTECTED, r.account, r.instrument, 0, 0))
    e.quantity = bought + sold
    e.amount = bought - sold
    return 1


@cold
def reset_protection(state: STATE, c: RESET):
    # check
    i = 0
    reason = Reason.UNKNOWN_INSTRUMENT + 0
    if 1 <= c.instrument <= state.instrument_count:
        i = protection_of(state, c.account, c.instrument)
        reason = Reason.NONE + 0 if i else Reason.BAD_VALUE + 0
    if reason:
        refuse(state, c.account, reason, 0)
        return
    # book
    r = at.protection(state, i)
    r.frozen = 0
    clear_counts(r)
    # emit
    done(state, c.account, c.account)
