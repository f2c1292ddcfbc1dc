"""What happened is written here, field by field; the only writer of events. The buffer is a table of the state; room is checked before work begins."""
from cambist.core.layout import COMMAND, STATE, event
from cambist.core.memory import cold, hot
from cambist.messages import Event


@cold
def put(state: STATE, kind: int, account: int, instrument: int, id: int, other: int):
    """Write a cleared event and return its place; the caller fills what its kind has besides."""
    i = state.written + 0
    e = event(state, i)
    e.kind = kind
    e.reason = 0
    e.side = 0
    e.liquidity = 0
    e.command = 0
    e.account = account
    e.instrument = instrument
    e.sequence = state.sequence
    e.id = id
    e.other = other
    e.price = 0
    e.quantity = 0
    e.leaves = 0
    e.amount = 0
    e.fee = 0
    e.id_hi = 0
    e.id_lo = 0
    state.written = i + 1
    return i


@hot
def echo(state: STATE, i: int):
    """Say which command an event answers."""
    e = event(state, i)
    e.command = state.e_command
    e.id_hi = state.e_id_hi
    e.id_lo = state.e_id_lo


@hot
def begin(state: STATE, c: COMMAND):
    """What the events of this command echo."""
    state.e_command = c.kind
    state.e_id_hi = c.id_hi
    state.e_id_lo = c.id_lo
    state.e_instrument = c.instrument


@cold
def refuse(state: STATE, account: int, reason: int, id: int):
    """REFUSED, to whom, why, and what it named."""
    i = put(state, Event.REFUSED, account, state.e_instrument, id, 0)
    event(state, i).reason = reason
    echo(state, i)


@cold
def done(state: STATE, account: int, id: int):
    i = put(state, Event.DONE, account, state.e_instrument, id, 0)
    echo(state, i)


@cold
def alert(state: STATE, reason: int, instrument: int, id: int, other: int, amount: int):
    """A person is called."""
    i = put(state, Event.ALERT, 0, instrument, id, other)
    e = event(state, i)
    e.reason = reason
    e.amount = amount
