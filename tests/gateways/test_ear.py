"""One account as a gateway hears it: the tail of a command is cut from the stream by its echo, whatever else a batch holds."""
import asyncio

import numpy as np
import pytest

from cambist.door.protocol import Events, StreamKind
from cambist.gateways.house_shell import Ear
from cambist.messages import EVENT, Event, Kind


def batch(first, *rows, more=False):
    events = np.zeros(len(rows), EVENT)
    for event, row in zip(events, rows, strict=True):
        for name, value in row.items():
            event[name] = value
    return Events(1, StreamKind.ACCOUNT, 7, first, first, events, np.full(len(rows), first), more)


ACCEPTED = dict(kind=Event.ORDER_ACCEPTED, command=Kind.NEW_ORDER, id_hi=1, id_lo=2, id=50)
FILL = dict(kind=Event.FILLED, id=50)
OTHER = dict(kind=Event.REFUSED, command=Kind.NEW_ORDER, id_hi=3, id_lo=4)
SHOWN = dict(kind=Event.QUOTE_SHOWN, id=9)


@pytest.mark.parametrize(("heard", "tail"), [
    ([batch(1, SHOWN), batch(2, ACCEPTED, FILL)], [Event.ORDER_ACCEPTED, Event.FILLED]),      # a batch that echoes nothing is not for us
    ([batch(1, SHOWN, ACCEPTED, FILL, OTHER)], [Event.ORDER_ACCEPTED, Event.FILLED]),
    ([batch(1, OTHER, ACCEPTED)], [Event.ORDER_ACCEPTED]),
    ([batch(1, ACCEPTED, FILL, more=True)], None),                                              # its rest is in the next batch
])
def test_the_tail_of_a_command_is_what_follows_its_echo(heard, tail):
    async def listen():
        ear = Ear(None, 7)
        with ear.expecting((1, 2)) as found:
            for each in heard:
                ear._heard(each)
            return found.result()

    told = asyncio.run(listen())
    assert (told if told is None else [row["kind"] for row in told]) == tail
