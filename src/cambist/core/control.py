"""Latches and people: halt, kill, mass cancels begun, commands held for a second person. Block first; the work of cancelling is elsewhere."""
from cambist.core import layout as at
from cambist.core.accounts import next_id
from cambist.core.digest import same_digest
from cambist.core.emit import alert, begin, done, echo, put, refuse
from cambist.core.layout import COMMAND, STATE, L, as_command, as_words
from cambist.core.memory import cold
from cambist.core.pools import HELD_TAG, find, forget, give_held, remember, room_held, take_held
from cambist.core.market_sessions import changed
from cambist.core.timers import HELD_LAPSES, start_timer, stop_timer
from cambist.core.traders import check_trader, kill_trader, revive_trader
from cambist.messages import Event, Kind, Reason

APPROVE, DENY, HALT = L[Kind.APPROVE], L[Kind.DENY], L[Kind.HALT]


@cold
def begin_sweep(state: STATE, account: int, reason: int):
    """Latch: every order made before now is dying. Then queue the account for the sweep, once."""
    owner = at.account(state, account)
    owner.dying_below = owner.ordinal + 1
    if owner.sweeping:
        if reason == Reason.KILLED:
            owner.sweep_reason = reason
        return
    owner.sweeping = 1
    owner.sweep_reason = reason
    owner.sweep_next = 0
    if state.sweep_last:
        at.account(state, state.sweep_last).sweep_next = account
    else:
        state.sweep_first = account
        state.quiet_until = 0
    state.sweep_last = account


@cold
def begin_book_sweep(state: STATE, instrument: int):
    b = at.instrument(state, instrument)
    if b.sweeping:
        return
    b.sweeping = 1
    b.sweep_next = 0
    if state.book_sweep_last:
        at.instrument(state, state.book_sweep_last).sweep_next = instrument
    else:
        state.book_sweep_first = instrument
        state.quiet_until = 0
    state.book_sweep_last = instrument


@cold
def check_control(state: STATE, c: COMMAND, word: int):
    """Why a HALT, RESUME, KILL, REVIVE, KILL_ALL, REVIVE_ALL, KILL_TRADER or REVIVE_TRADER is refused. `word`: its first argument."""
    if c.kind == Kind.KILL_TRADER or c.kind == Kind.REVIVE_TRADER:
        return check_trader(state, c.kind, word)
    if c.kind == Kind.HALT or c.kind == Kind.RESUME:
        if c.instrument < 1 or c.instrument > state.instrument_count:
            return Reason.UNKNOWN_INSTRUMENT
        if c.kind == Kind.HALT and (word < 0 or word > 1):
            return Reason.BAD_VALUE
        if c.kind == Kind.RESUME and at.instrument(state, c.instrument).sweeping:
            return Reason.SWEEPING
    if c.kind == Kind.REVIVE_ALL and state.kill_sweep:
        return Reason.SWEEPING
    return Reason.NONE


@cold
def change_control(state: STATE, c: COMMAND, word: int):
    """Latch first."""
    if c.kind == Kind.HALT:
        at.instrument(state, c.instrument).halted = 1
        changed(state, c.instrument)
        if word:
            begin_book_sweep(state, c.instrument)
        done(state, 0, c.instrument)
    elif c.kind == Kind.RESUME:
        at.instrument(state, c.instrument).halted = 0
        changed(state, c.instrument)
        done(state, 0, c.instrument)
    elif c.kind == Kind.KILL:
        at.account(state, c.account).killed = 1
        begin_sweep(state, c.account, Reason.KILLED)
        done(state, c.account, c.account)
    elif c.kind == Kind.REVIVE:
        at.account(state, c.account).killed = 0
        done(state, c.account, c.account)
    elif c.kind == Kind.KILL_ALL:
        state.killed_all = 1
        state.kill_sweep = 1
        state.quiet_until = 0
        done(state, 0, 0)
    elif c.kind == Kind.KILL_TRADER:
        kill_trader(state, word)
        done(state, 0, word)
    elif c.kind == Kind.REVIVE_TRADER:
        revive_trader(state, word)
        done(state, 0, word)
    else:
        state.killed_all = 0
        done(state, 0, 0)


# --------------------------------------------------------------------------------------------------------------- people
@cold
def hold_command(state: STATE, c: COMMAND, account: int, named: int, lapse: int):
    """Keep the command's very bytes until another person approves or denies it, or it lapses. `named`: what a refusal says it named."""
    if not room_held(state):
        refuse(state, account, Reason.CAPACITY, named)
        return
    i = take_held(state)
    state.held_count = state.held_count + 1
    h = at.held(state, i)
    words = as_words(c)
    for k in range(16):
        h.words[k] = words.words[k]
    h.id = next_id(state, account)
    h.sequence = state.sequence
    h.lapse = lapse
    h.account = account
    h.person = at.actor(state, c.actor).person
    h.timer = start_timer(state, h.lapse, h.id, HELD_LAPSES, i)
    remember(state, HELD_TAG, h.id, i)
    n = put(state, Event.HELD, account, 0, h.id, h.lapse)
    echo(state, n)


@cold
def free_held(state: STATE, i: int):
    h = at.held(state, i)
    stop_timer(state, h.timer)
    forget(state, HELD_TAG, h.id, i)
    give_held(state, i)
    state.held_count = state.held_count - 1


@cold
def living_held(state: STATE, id: int):
    """Row of a held command that has not lapsed, or 0."""
    i = find(state, HELD_TAG, id)
    return i if i and at.held(state, i).lapse > state.time else 0


@cold
def check_approval(state: STATE, c: APPROVE):
    """Why an approval does not count; it names a person and the bytes that person saw."""
    i = living_held(state, c.held)
    if i == 0:
        return Reason.UNKNOWN_HELD
    person = at.actor(state, c.actor).person
    if person == 0:
        return Reason.NOT_A_PERSON
    h = at.held(state, i)
    if person == h.person:
        return Reason.SAME_PERSON
    return Reason.NONE if same_digest(state, h, c) else Reason.WRONG_DIGEST


@cold
def approve(state: STATE, c: APPROVE, account: int):
    """Free the held command and begin to run it; its row, or 0 when the approval is refused."""
    reason = check_approval(state, c)
    if reason:
        refuse(state, account, reason, c.held)
        return 0
    i = find(state, HELD_TAG, c.held)
    h = at.held(state, i)
    person = at.actor(state, c.actor).person
    free_held(state, i)
    put(state, Event.APPROVED, h.account, 0, h.id, person)
    done(state, account, c.held)
    begin(state, as_command(h))
    return i


@cold
def deny(state: STATE, c: DENY, account: int):
    i = living_held(state, c.held)
    person = at.actor(state, c.actor).person
    if i == 0:
        refuse(state, account, Reason.UNKNOWN_HELD, c.held)
    elif person == 0:
        refuse(state, account, Reason.NOT_A_PERSON, c.held)
    else:
        h = at.held(state, i)
        free_held(state, i)
        put(state, Event.DENIED, h.account, 0, h.id, person)
        done(state, account, c.held)


@cold
def facts_crowded(state: STATE, source: int):
    """A young fact had to be forgotten: a person must enlarge the table."""
    alert(state, Reason.FACT_REPEATED_LATE, 0, 0, source, 0)
