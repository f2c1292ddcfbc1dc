"""Sessions of an instrument: where each may lead, and what entering one does. docs/rules.md section 13.

Decides what the session is; how an auction is worked off is `auction`'s, which orders end with a session `session_sweep`'s. The table of moves is the
messages', packed into one number.
"""
from cambist.core import layout as at
from cambist.core.agenda import look_later
from cambist.core.bands import keep_anchor
from cambist.core.emit import done, put
from cambist.core.flags import flag_instrument
from cambist.core.layout import INSTRUMENT, INSTRUMENT_EXTRA, SESSION_STANDS, STATE, L
from cambist.core.memory import cold, hot
from cambist.core.risk import reference
from cambist.core.timers import AUCTION_ENDS, INDICATIVE_DUE, start_timer, stop_timer
from cambist.messages import CALLS, SESSION_MOVES, Event, Kind, Reason, Session

SESSION = L[Kind.SESSION]
LONGEST = 10**18                                # nanoseconds
GATHERING = sum(1 << s for s in CALLS)
AUCTIONS = 1 << Session.AUCTION | 1 << Session.VOLATILITY
MOVES = sum(1 << 8 * session + target for session, targets in SESSION_MOVES.items() for target in targets)


# ---------------------------------------------------------------------------------------------------------------- questions
@hot
def gathers(x: INSTRUMENT_EXTRA):
    """Whether orders rest without matching."""
    return (GATHERING >> x.session) & 1


@hot
def is_closed(x: INSTRUMENT_EXTRA):
    """Whether nothing new is taken; also while an auction is ending, since its price is made of what stands."""
    return 1 if x.session >= Session.CANCEL_ONLY or x.ending else 0


@hot
def takes_no_quotes(state: STATE, b: INSTRUMENT, instrument: int):
    """Whether nobody may ask for a quote, give one or accept one."""
    return b.flags & SESSION_STANDS and at.instrument_extra(state, instrument).session >= Session.CANCEL_ONLY


@hot
def _is_auction(session: int):
    return (AUCTIONS >> session) & 1


@cold
def is_session(session: int, following: int, duration: int):
    """Whether it may be asked for, in this form."""
    if session == Session.AUCTION:
        return (following == Session.CONTINUOUS or following == Session.CLOSED) and 0 <= duration <= LONGEST
    return Session.CONTINUOUS <= session <= Session.CLOSED and session != Session.VOLATILITY and following == 0 and duration == 0


@cold
def is_busy(b: INSTRUMENT, x: INSTRUMENT_EXTRA):
    """Whether something of the last session, or a sweep, is still worked off."""
    return 1 if x.ending or x.over or b.sweeping else 0


@hot
def _ends_auction(x: INSTRUMENT_EXTRA, session: int):
    """Whether this move is the end of an auction, which is worked off first."""
    return (session == Session.CONTINUOUS and _is_auction(x.session)) or (session == Session.CLOSED and x.session == Session.AUCTION)


@cold
def check_move(x: INSTRUMENT_EXTRA, session: int):
    """Whether a way leads there; from an auction only to what it was called for."""
    if not (MOVES >> (8 * x.session + session)) & 1:
        return Reason.BAD_SESSION
    return Reason.BAD_SESSION if x.session == Session.AUCTION and _ends_auction(x, session) and session != x.next_session else Reason.NONE


# ------------------------------------------------------------------------------------------------------------------ entering
@cold
def set_timers(state: STATE, instrument: int):
    """The timers of an auction run while it is called and the instrument is not halted; what falls due meanwhile is due afterwards."""
    b, x = at.instrument(state, instrument), at.instrument_extra(state, instrument)
    stop_timer(state, x.ends_timer)
    stop_timer(state, x.indicative_timer)
    runs = not b.halted and not x.ending
    x.ends_timer = start_timer(state, x.auction_ends, instrument, AUCTION_ENDS, instrument) if runs and x.auction_ends else 0
    x.indicative_timer = start_timer(state, x.indicative_at, instrument, INDICATIVE_DUE, instrument) if runs and x.indicative_at else 0


@cold
def changed(state: STATE, instrument: int):
    """Its session, or whether it is halted or ends, is not what it was: what follows from that."""
    set_timers(state, instrument)
    flag_instrument(state, instrument)
    look_later(state, instrument)


@cold
def end_called(state: STATE, instrument: int):
    """The auction is ending: its price is looked for."""
    at.instrument_extra(state, instrument).ending = 1
    changed(state, instrument)


@cold
def call_again(state: STATE, instrument: int, anchor: int):
    """The price lies outside the band: the band walks to its edge on that side, and the auction goes on."""
    x = at.instrument_extra(state, instrument)
    x.anchor = anchor
    x.auction_ends = state.time + x.auction
    x.ending = 0
    changed(state, instrument)
    _tell(state, instrument, Reason.BAND)


@cold
def _tell(state: STATE, instrument: int, reason: int):
    x = at.instrument_extra(state, instrument)
    e = at.event(state, put(state, Event.SESSION_CHANGED, 0, instrument, x.session, x.next_session))
    e.reason = reason
    e.price = x.anchor
    e.amount = x.auction_ends


@cold
def enter_session(state: STATE, instrument: int, session: int, following: int, ends: int, reason: int):
    """It is the session now; orders that it is the end of will be swept."""
    b, x = at.instrument(state, instrument), at.instrument_extra(state, instrument)
    x.session = session
    x.next_session = following
    x.ending = 0
    x.auction_ends = ends
    x.indicative_at = state.time + x.indicative if _is_auction(session) and x.indicative else 0
    if session == Session.AUCTION:
        anchor = reference(state, b, instrument)
        x.anchor = anchor if anchor else b.book_last
    if not gathers(x) and not x.over:
        _queue_sweep(state, x, instrument)
    changed(state, instrument)
    _tell(state, instrument, reason)


@cold
def call_volatility(state: STATE, b: INSTRUMENT, instrument: int):
    """A taker came to the edge of the band: the market is called."""
    keep_anchor(state, b, instrument, 0)
    enter_session(state, instrument, Session.VOLATILITY, Session.CONTINUOUS, state.time + at.instrument_extra(state, instrument).auction, Reason.BAND)


@cold
def move(state: STATE, instrument: int, session: int, following: int, duration: int):
    """What SESSION and a schedule do once nothing is against it."""
    if _ends_auction(at.instrument_extra(state, instrument), session):
        end_called(state, instrument)
    else:
        enter_session(state, instrument, session, following, state.time + duration if duration else 0, Reason.NONE)


@cold
def check_session(state: STATE, c: SESSION):
    if c.instrument < 1 or c.instrument > state.instrument_count:
        return Reason.UNKNOWN_INSTRUMENT
    x = at.instrument_extra(state, c.instrument)
    if is_busy(at.instrument(state, c.instrument), x):
        return Reason.SWEEPING
    return check_move(x, c.session) if is_session(c.session, c.next, c.duration) else Reason.BAD_VALUE


@cold
def change_session(state: STATE, c: SESSION):
    done(state, 0, c.instrument)
    move(state, c.instrument, c.session, c.next, c.duration)


# --------------------------------------------------------------------------------------------------------------------- sweep
@cold
def _queue_sweep(state: STATE, x: INSTRUMENT_EXTRA, instrument: int):
    x.over = 1
    x.over_next = 0
    if state.over_last:
        at.instrument_extra(state, state.over_last).over_next = instrument
    else:
        state.over_first = instrument
        state.quiet_until = 0
    state.over_last = instrument
