"""What is due when: a binary heap by (time, class, id) over everything that ends by itself. Knows which row, not what ending it means."""
from cambist.core.layout import STATE, heap, timer
from cambist.core.memory import cold, hot
from cambist.core.pools import give_timer, take_timer

REQUEST_ENDS, QUOTE_ENDS, HELD_LAPSES, CHILD_FORGOTTEN, ORDER_ENDS, DEAD_MAN_ENDS, AUCTION_ENDS, INDICATIVE_DUE, SLOT_DUE = range(1, 10)


@hot
def _earlier(state: STATE, a: int, b: int):
    """Whether timer a is due before timer b."""
    x, y = timer(state, a), timer(state, b)
    if x.time != y.time:
        return x.time < y.time
    one, other = max(x.kind, ORDER_ENDS), max(y.kind, ORDER_ENDS)       # kinds up to this one are class 0, each of the others is a class of its own
    return one < other or (one == other and x.id < y.id)


@hot
def _put(state: STATE, place: int, t: int):
    heap(state, place).timer = t
    timer(state, t).place = place


@cold
def _settle(state: STATE, place: int):
    """Bring the timer at a place to where the order wants it."""
    t = heap(state, place).timer + 0
    while place > 1 and _earlier(state, t, heap(state, place >> 1).timer + 0):
        _put(state, place, heap(state, place >> 1).timer + 0)
        place = place >> 1
    while 2 * place <= state.timer_count:
        lower = 2 * place
        if lower < state.timer_count and _earlier(state, heap(state, lower + 1).timer + 0, heap(state, lower).timer + 0):
            lower += 1
        if not _earlier(state, heap(state, lower).timer + 0, t):
            break
        _put(state, place, heap(state, lower).timer + 0)
        place = lower
    _put(state, place, t)


@cold
def start_timer(state: STATE, time: int, id: int, kind: int, row: int):
    """A timer's number; there is one row for everything that may have one, so there is always room."""
    t = take_timer(state)
    x = timer(state, t)
    x.time = time
    x.id = id
    x.kind = kind
    x.row = row
    state.timer_count = state.timer_count + 1
    state.quiet_until = min(state.quiet_until, time)
    _put(state, state.timer_count, t)
    _settle(state, state.timer_count)
    return t


@cold
def stop_timer(state: STATE, t: int):
    """Take a timer out of the heap; 0 is no timer."""
    if t == 0:
        return
    place = timer(state, t).place + 0
    last = heap(state, state.timer_count).timer + 0
    state.timer_count = state.timer_count - 1
    if last != t:
        _put(state, place, last)
        _settle(state, place)
    give_timer(state, t)


@hot
def due_timer(state: STATE):
    """The first timer that is due now, or 0."""
    if state.timer_count == 0:
        return 0
    t = heap(state, 1).timer + 0
    return t if timer(state, t).time <= state.time else 0
