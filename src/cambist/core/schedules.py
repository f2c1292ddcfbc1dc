"""Sessions that come by themselves: CONFIGURE_SCHEDULE and its timers. docs/rules.md sections 3 and 13."""
from cambist.core import layout as at
from cambist.core.emit import alert
from cambist.core.layout import SLOTS, STATE, L
from cambist.core.memory import cold, remainder
from cambist.core.market_sessions import LONGEST, check_move, is_busy, is_session, move
from cambist.core.timers import SLOT_DUE, start_timer, stop_timer
from cambist.messages import Kind, Reason

SCHEDULE = L[Kind.CONFIGURE_SCHEDULE]


@cold
def check_schedule(state: STATE, c: SCHEDULE):
    if c.instrument < 1 or c.instrument > state.instrument_count:
        return Reason.UNKNOWN_INSTRUMENT
    if not (0 <= c.slot < SLOTS and 1 <= c.period <= LONGEST and 0 <= c.offset < c.period and 0 <= c.enabled <= 1):
        return Reason.BAD_VALUE
    return Reason.NONE if is_session(c.session, c.next, c.duration) else Reason.BAD_VALUE


@cold
def _due_after(now: int, offset: int, period: int):
    """The first time after now that lies `offset` after a multiple of the period."""
    past = remainder(now, period) - offset
    return now + period - past if past >= 0 else now - past


@cold
def change_schedule(state: STATE, c: SCHEDULE):
    row = c.instrument * SLOTS + c.slot
    s = at.schedule(state, row)
    s.given = 1
    s.offset = c.offset
    s.period = c.period
    s.session = c.session
    s.next = c.next
    s.duration = c.duration
    s.enabled = c.enabled
    s.due = _due_after(state.time, c.offset, c.period)
    start_slot(state, row)
    return c.instrument + 0


@cold
def start_slot(state: STATE, row: int):
    """Its timer runs while it is enabled."""
    s = at.schedule(state, row)
    stop_timer(state, s.timer)
    s.timer = start_timer(state, s.due, row, SLOT_DUE, row) if s.enabled else 0


@cold
def slot_due(state: STATE, row: int):
    """Its session is asked for as SESSION would; what would be refused calls a person."""
    s = at.schedule(state, row)
    instrument, slot = row // SLOTS, row % SLOTS
    s.due = _due_after(state.time, s.offset, s.period)
    start_slot(state, row)
    b, x = at.instrument(state, instrument), at.instrument_extra(state, instrument)
    reason = Reason.SWEEPING + 0 if is_busy(b, x) else check_move(x, s.session) + 0
    if reason:
        alert(state, reason, 0, instrument, slot, 0)
    else:
        move(state, instrument, s.session, s.next, s.duration)
