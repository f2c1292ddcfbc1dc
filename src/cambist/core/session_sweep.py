"""The orders that ended with a session, cancelled one by one: line 6 of docs/rules.md section 10."""
from cambist.core import layout as at
from cambist.core.emit import put
from cambist.core.layout import AUCTION_LIST, CLOSE_LIST, DAY_LIST, OPEN_LIST, STATE
from cambist.core.lists import comes_before
from cambist.core.matching import withdraw_order
from cambist.core.memory import cold, hot
from cambist.core.market_sessions import gathers
from cambist.messages import Event, Reason, Session


@hot
def _earlier(state: STATE, i: int, j: int):
    """Of two orders, or none, the first in order of arrival."""
    if i == 0 or j == 0:
        return i | j
    return i if comes_before(state, i, j) else j


@cold
def session_unit(state: STATE):
    """The head of the queue of sessions' sweeps: the next order that ended with the session, or its end."""
    instrument = state.over_first + 0
    x = at.instrument_extra(state, instrument)
    day = x.session_first[DAY_LIST] + 0 if x.session == Session.CLOSED else 0
    i = day
    if not gathers(x):
        i = _earlier(state, i, _earlier(state, x.session_first[AUCTION_LIST] + 0,
                                        _earlier(state, x.session_first[OPEN_LIST] + 0, x.session_first[CLOSE_LIST] + 0)))
    if i:
        withdraw_order(state, i, Reason.EXPIRED if i == day else Reason.AUCTION_OVER, 0)
        return
    state.over_first = x.over_next
    if state.over_first == 0:
        state.over_last = 0
    x.over = 0
    put(state, Event.SWEPT, 0, instrument, 3, 0)
