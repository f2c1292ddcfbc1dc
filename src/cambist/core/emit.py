"""What happened is written here, whole words at a time; the only writer of events. The buffer is a table of the state; room is checked before work begins."""
from cambist.core.layout import COMMAND, STATE, as_wide, event
from cambist.core.memory import cold, hot, wrap
from cambist.messages import BY_QUOTE, Event, Liquidity


@hot
def write(state: STATE, what: int, account: int, instrument: int, id: int, other: int, price: int, quantity: int, leaves: int, amount: int, fee: int):
    """An event that answers nobody; its place. `what` is its kind and, by `of`, what its kind has besides."""
    i = state.written + 0
    e = as_wide(event(state, i))
    e.what = what
    e.who = account | wrap(instrument << 32)
    e.sequence = state.sequence
    e.id = id
    e.other = other
    e.price = price
    e.quantity = quantity
    e.leaves = leaves
    e.amount = amount
    e.fee = fee
    e.id_hi = 0
    e.id_lo = 0
    state.written = i + 1
    return i


@hot
def answer(state: STATE, what: int, account: int, instrument: int, id: int, price: int, quantity: int, leaves: int):
    """The event that answers the command at work: what became of an order."""
    i = state.written + 0
    e = as_wide(event(state, i))
    e.what = what | (state.e_command << 48)
    e.who = account | wrap(instrument << 32)
    e.sequence = state.sequence
    e.id = id
    e.other = 0
    e.price = price
    e.quantity = quantity
    e.leaves = leaves
    e.amount = 0
    e.fee = 0
    e.id_hi = state.e_id_hi
    e.id_lo = state.e_id_lo
    state.written = i + 1


@hot
def of(kind: int, reason: int, side: int, liquidity: int):
    """The first word of an event."""
    return kind | (reason << 16) | (side << 32) | (liquidity << 40)


@cold
def as_taker_of(options: int, liquidity: int):
    """The liquidity that events of an order with these options tell: of one that is BY_QUOTE, that its sizes are of the quote asset."""
    return Liquidity.TAKER_BY_QUOTE + 0 if options & BY_QUOTE else liquidity


@cold
def put(state: STATE, kind: int, account: int, instrument: int, id: int, other: int):
    """Write a cleared event and return its place; the caller fills what its kind has besides."""
    return write(state, kind, account, instrument, id, other, 0, 0, 0, 0, 0)


@cold
def say(state: STATE, what: int, account: int, instrument: int, id: int, price: int, quantity: int, leaves: int):
    """What became of an order or a level; its place."""
    return write(state, what, account, instrument, id, 0, price, quantity, leaves, 0, 0)


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
