"""What is to be looked at and which instruments have work: lines 9 to 12 of docs/rules.md section 10. Knows that there is work, never how it is done.

Whoever changes a book, a price, a session or a halt of an instrument that has any flag says `look_later`; after the command, or the unit, the look sees
what prices have become (triggers, pegs) and `review` notes the work there is then. The lowest instrument with work of a line is found in a bitmap tree.
"""
from cambist.core import layout as at
from cambist.core.layout import INSTRUMENT, LOOKED, STATE, instrument_rows
from cambist.core.memory import cold, ctz, hot, wrap
from cambist.messages import Session

FIRE, AUCTION, ENTER, PEG = range(4)


@cold
def look_later(state: STATE, number: int):
    """After this command, or unit: kept in ascending order, since what a look tells is told in that order."""
    x = at.instrument_extra(state, number)
    if x.looked:
        return
    x.looked = 1
    before, after = 0, state.look_first + 0
    while after and after < number:
        before, after = after, at.instrument_extra(state, after).look_next + 0
    x.look_next = after
    if before:
        at.instrument_extra(state, before).look_next = number
    else:
        state.look_first = number


@hot
def touch(state: STATE, b: INSTRUMENT, number: int):
    """Its book or a price of it is not what it was."""
    if b.flags & LOOKED:
        look_later(state, number)


@hot
def _words(state: STATE):
    return (instrument_rows(state) + 63) >> 6


@cold
def _note(state: STATE, line: int, number: int, there: int):
    """Set or clear an instrument's bit of a line, and the bits above it."""
    words = _words(state)
    over = (words + 63) >> 6
    first = line * (words + over + 1)
    low, middle, top = at.agenda(state, first + (number >> 6)), at.agenda(state, first + words + (number >> 12)), at.agenda(state, first + words + over)
    low.bits = low.bits | wrap(1 << (number & 63)) if there else low.bits & ~wrap(1 << (number & 63))
    bit = wrap(1 << (number >> 6 & 63))
    middle.bits = middle.bits | bit if low.bits else middle.bits & ~bit
    bit = wrap(1 << (number >> 12))
    top.bits = top.bits | bit if middle.bits else top.bits & ~bit
    state.agenda = state.agenda | 1 << line if top.bits else state.agenda & ~(1 << line)
    if there:
        state.quiet_until = 0


@cold
def lowest(state: STATE, line: int):
    """The lowest instrument with work of a line that has some."""
    words = _words(state)
    over = (words + 63) >> 6
    first = line * (words + over + 1)
    middle = ctz(at.agenda(state, first + words + over).bits)
    low = middle << 6 | ctz(at.agenda(state, first + words + middle).bits)
    return low << 6 | ctz(at.agenda(state, first + low).bits)


@cold
def review(state: STATE, number: int, reached: int):
    """Note what work the instrument has now; `reached`: an order whose trigger was reached waits to fire."""
    b, x = at.instrument(state, number), at.instrument_extra(state, number)
    free = 1 if x.session == Session.CONTINUOUS and not b.halted else 0
    called = x.session_first[4] if x.next_session == Session.CONTINUOUS else x.session_first[5]
    enters = 1 if x.session == Session.AUCTION and called else 0
    _note(state, FIRE, number, reached)
    _note(state, AUCTION, number, 1 if not b.halted and (x.ending or enters) else 0)
    _note(state, ENTER, number, 1 if free and x.queue_first else 0)
    _note(state, PEG, number, 1 if free and x.peg_work else 0)
