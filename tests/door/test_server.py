"""The door on a real Unix socket: what strangers, sluggards and the silent get, and that the others do not notice."""
import asyncio
import os
import socket
import stat

import numpy as np
import pytest

from cambist.door import server_shell
from cambist.door.protocol import (
    MAX_CREDIT, MAX_SUBSCRIPTIONS, Bye, Code, End, Events, Hello, Ping, Pong, Pull, Read, Received, Refused, Role, Session, StreamKind, Submit, Subscribe,
    Unreadable, Unsubscribe, View, Welcome, encode,
)
from cambist.door.server_shell import Door
from cambist.log.disk import DiskFailed
from cambist.log.segment import Damaged
from cambist.messages import EVENT, Kind, command

ALL = (StreamKind.ALL, 0)


class House:
    """Takes what it is given; its only stream has the events that a test puts there."""
    def __init__(self):
        self.taken, self.code, self.told, self.results_end, self.lost = [], Code.NONE, np.empty(0, EVENT), 0, None

    def welcome(self):
        return Welcome(1, 2, 3, bytes(32))

    def submit(self, records, attachments):
        if not self.code:
            self.taken.append((records.copy(), attachments))
        return self.code

    def turns_at_once(self):
        return False

    def kept(self):
        return self.results_end

    def last_number(self, stream, account):
        return len(self.told) if (stream, account) == ALL else 0

    def events(self, stream, account, number, limit):
        if self.lost and number <= len(self.told) - 2:
            raise self.lost
        events = self.told[number - 1:number - 1 + limit] if (stream, account) == ALL else self.told[:0]
        return number, 99, events, events["id"].astype(np.int64) * 10, number - 1 + limit < len(self.told)

    def ask(self, question, answer):
        asyncio.get_running_loop().call_soon(answer, View(question.request, 4, question.view.encode()))

    def grow(self, count):
        more = np.zeros(count, EVENT)
        more["id"] = np.arange(len(self.told) + 1, len(self.told) + count + 1)
        self.told = np.concatenate([self.told, more])


class Peer:
    """A client that says exactly what it is told to."""
    def __init__(self, reader, writer):
        self.reader, self.writer, self.session, self.heard = reader, writer, Session(End.CLIENT), []

    @classmethod
    async def at(cls, path, role=Role.GATEWAY):
        peer = cls(*await asyncio.open_unix_connection(path))
        if role:
            peer.say(Hello(role))
            assert isinstance(await peer.hear(), Welcome)
        return peer

    def say(self, *messages):
        self.writer.write(b"".join(map(encode, messages)))

    async def hear(self, seconds=5.0):
        while not self.heard:
            data = await asyncio.wait_for(self.reader.read(1 << 16), seconds)
            if not data:
                return None
            for message in self.session.feed(data):
                self.heard.append(message.kept() if isinstance(message, Events) else message)
        return self.heard.pop(0)


def at_a_door(test, **settings):
    """Runs `test(house, door, path)` in a loop with an open door."""
    def run(tmp_path):
        async def main():
            house = House()
            door = Door(house, str(tmp_path / "door" / "s"), **settings)
            await door.open()
            try:
                await asyncio.wait_for(test(house, door, door.path), 30)
            finally:
                await door.close()
        asyncio.run(main())
    return run


def orders(count):
    return np.repeat(command(Kind.CANCEL_ORDER, account=1, actor=1, id_lo=1), count)


async def _records_are_received(house, door, path):
    peer = await Peer.at(path)
    peer.say(Submit(1, orders(3)), Submit(2, orders(8000)))
    assert await peer.hear() == Received(1, 3)
    assert await peer.hear() == Received(2, 8000)
    assert [len(records) for records, _ in house.taken] == [3, 8000]


async def _a_refusal_has_a_code(house, door, path):
    peer = await Peer.at(path)
    for code in (Code.OVERLOAD, Code.DISK_FULL, Code.TOO_LARGE, Code.MALFORMED, Code.CLOSING):
        house.code = code
        peer.say(Submit(9, orders(2)))
        assert await peer.hear() == Refused(9, code, 2)
    observer = await Peer.at(path, Role.OBSERVER)
    house.code = Code.NONE
    observer.say(Submit(1, orders(1)))
    assert await observer.hear() == Refused(1, Code.NOT_ALLOWED, 1)
    assert house.taken == []


async def _malformed_frames_end_their_connection_only(house, door, path):
    well = await Peer.at(path)
    for data, code in ((b"\xff" * 12, Code.TOO_LARGE), (b"\0" * 12, Code.BAD_LENGTH), (encode(Hello(Role.GATEWAY)), Code.UNEXPECTED)):
        peer = await Peer.at(path)
        peer.say(Submit(1, orders(1)))
        peer.writer.write(data)
        assert await peer.hear() == Received(1, 1)      # what stood before the fault was done
        bye = await peer.hear()
        assert isinstance(bye, Bye) and bye.code is code and bye.text
        assert await peer.hear() is None
    fresh = await Peer.at(path, None)
    fresh.say(Submit(1, orders(1)))
    assert (await fresh.hear()).code is Code.UNEXPECTED
    assert len(house.taken) == 3
    well.say(Ping(7))
    assert await well.hear() == Pong(7)


async def _events_are_pulled(house, door, path):
    house.grow(10)
    peer = await Peer.at(path)
    peer.say(Subscribe(5, *ALL, 3, 4))
    batch = await peer.hear()
    assert (batch.request, batch.first, batch.position, batch.events["id"].tolist()) == (5, 3, 99, [3, 4, 5, 6])
    assert batch.times.tolist() == [30, 40, 50, 60] and batch.more
    peer.say(Ping(1))
    assert await peer.hear() == Pong(1)                 # without credit nothing comes
    peer.say(Pull(5, 100))
    assert (await peer.hear()).events["id"].tolist() == [7, 8, 9, 10]
    house.grow(2)
    door.told([ALL])
    assert (await peer.hear()).events["id"].tolist() == [11, 12]
    peer.say(Unsubscribe(5), Ping(2))
    assert await peer.hear() == Pong(2)
    house.grow(1)
    door.told([ALL])
    assert door.listeners == {}


async def _a_stream_at_its_end_says_where_it_stands(house, door, path):
    house.grow(2)
    peer = await Peer.at(path)
    for cursor in (0, 3):
        peer.say(Subscribe(cursor + 1, *ALL, cursor, 4))
        batch = await peer.hear()
        assert (batch.first, batch.position, len(batch.events)) == (3, 99, 0)


async def _who_reads_results_is_told_how_far_they_are_kept(house, door, path):
    house.results_end = 5
    peer = await Peer.at(path)
    peer.say(Subscribe(1, StreamKind.KEPT, 0, 0, 1))
    assert (await peer.hear())[:6][4] == 5
    for house.results_end in (5, 9, 12):                # where nothing is new nothing is said
        door.kept()
    said = [await peer.hear(), await peer.hear()]
    assert [(each.stream, each.first, each.position, len(each.events)) for each in said] == [(StreamKind.KEPT, 0, 9, 0), (StreamKind.KEPT, 0, 12, 0)]


async def _what_cannot_be_subscribed_is_refused(house, door, path):
    peer = await Peer.at(path)
    for asked, code in ((Subscribe(1, *ALL, 2, 5), Code.BAD_CURSOR), (Subscribe(1, StreamKind.ALL, 7, 1, 5), Code.UNKNOWN_STREAM),
                        (Subscribe(1, StreamKind.ACCOUNT, 0, 1, 5), Code.UNKNOWN_STREAM), (Subscribe(1, *ALL, 1, 0), Code.BAD_CREDIT),
                        (Subscribe(1, *ALL, 1, MAX_CREDIT + 1), Code.BAD_CREDIT), (Pull(1, 5), Code.UNKNOWN_SUBSCRIPTION)):
        peer.say(asked)
        assert (await peer.hear()).code is code
    peer.say(Subscribe(1, *ALL, 1, 5), Subscribe(1, *ALL, 1, 5), Pull(1, MAX_CREDIT))
    assert isinstance(await peer.hear(), Events)
    assert (await peer.hear()).code is Code.TOO_MANY    # the name is taken
    assert (await peer.hear()).code is Code.BAD_CREDIT


async def _subscriptions_have_a_maximum(house, door, path):
    peer = await Peer.at(path)
    peer.say(*(Subscribe(i + 1, StreamKind.ACCOUNT, i + 1, 1, 1) for i in range(MAX_SUBSCRIPTIONS + 1)))
    heard = [await peer.hear() for _ in range(MAX_SUBSCRIPTIONS + 1)]
    assert heard[-1] == Refused(MAX_SUBSCRIPTIONS + 1, Code.TOO_MANY) and isinstance(heard[-2], Events)


async def _views_are_answered(house, door, path):
    peer = await Peer.at(path)
    peer.say(Read(8, "status"))
    assert await peer.hear() == View(8, 4, b"status")


async def _questions_have_a_maximum(house, door, path):
    kept = []
    house.ask = lambda question, answer: kept.append((question, answer))
    peer = await Peer.at(path)
    peer.say(*(Read(i + 1, "x") for i in range(server_shell.MAX_QUESTIONS + 1)))
    assert await peer.hear() == Refused(server_shell.MAX_QUESTIONS + 1, Code.OVERLOAD)
    for question, answer in kept:
        answer(View(question.request, 0, b""))
    assert door.questions == 0


async def _a_slow_reader_is_ended_and_the_others_go_on(house, door, path):
    house.grow(300_000)
    slow, well = await Peer.at(path), await Peer.at(path)
    slow.say(Subscribe(1, *ALL, 1, MAX_CREDIT))
    slow.writer.transport.pause_reading()
    for _ in range(200):
        if len(door.connections) == 1:
            break
        await asyncio.sleep(0.02)
    assert len(door.connections) == 1 and not door.listeners
    well.say(Submit(1, orders(1)))
    assert await well.hear() == Received(1, 1)


async def _who_submits_and_never_reads_is_not_read_for_ever(house, door, path):
    raw = socket.socket(socket.AF_UNIX)
    raw.connect(path)
    raw.setblocking(False)
    raw.send(encode(Hello(Role.GATEWAY)))
    loop, frame = asyncio.get_running_loop(), encode(Submit(1, orders(1))) * 500
    with pytest.raises(OSError):
        for _ in range(2000):
            await asyncio.wait_for(loop.sock_sendall(raw, frame), 10)
    assert not door.connections
    raw.close()


async def _half_open_connections_are_asked_and_then_ended(house, door, path):
    peer = await Peer.at(path)
    assert isinstance(await peer.hear(), Ping)
    assert (await peer.hear()).code is Code.SILENT
    assert await peer.hear() is None
    alive = await Peer.at(path)
    for _ in range(6):
        assert isinstance(await alive.hear(), Ping)
        alive.say(Pong(0))
    closed = await Peer.at(path)
    closed.writer.write_eof()                           # half a connection is none
    assert await closed.hear() is None


async def _a_stream_that_cannot_be_read_back_ends_and_nothing_else(house, door, path):
    """Found by the simulator, seed 201260: such a reader was forgotten, or, at the next event, stopped the node."""
    house.grow(6)
    peer = await Peer.at(path)
    peer.say(Subscribe(1, StreamKind.ALL, 0, 0, 100))
    assert not len((await peer.hear()).events)
    for i, house.lost in enumerate((Unreadable("gone"), Damaged("house/results/x", 5, 1, "rot"), DiskFailed("read", "house/results/x", "input/output error"))):
        peer.say(Subscribe(2, StreamKind.ALL, 0, 1, 100))
        refused = await peer.hear()
        assert (refused.request, refused.code) == (2, Code.UNREADABLE) and "number 1 on" in refused.text and "house/" not in refused.text
        house.grow(1)
        door.told([ALL])
        told = await peer.hear()
        assert (told.request, told.first, len(told.events)) == (1, 7 + i, 1)
    house.lost = None
    peer.say(Subscribe(2, StreamKind.ALL, 0, 1, 1))     # it has credit for one, and the rest is damaged when it asks for more
    assert len((await peer.hear()).events) == 1
    house.lost = Unreadable("gone")
    peer.say(Pull(2, 100), Pull(2, 100), Submit(3, orders(1)))
    assert [(each.request, each.code) for each in (await peer.hear(), await peer.hear())] == [(2, Code.UNREADABLE), (2, Code.UNKNOWN_SUBSCRIPTION)]
    assert await peer.hear() == Received(3, 1)


async def _connections_have_a_maximum(house, door, path):
    peers = [await Peer.at(path) for _ in range(2)]
    third = await Peer.at(path, None)
    assert (await third.hear()).code is Code.TOO_MANY
    peers[0].say(Bye())
    assert await peers[0].hear() is None
    assert isinstance(await Peer.at(path), Peer)


async def _only_the_owner_may_open_it(house, door, path):
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600 and stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700


async def _closing_says_so(house, door, path):
    peer = await Peer.at(path)
    await door.close()
    assert (await peer.hear()).code is Code.CLOSING
    assert not os.path.exists(path)


test_records_are_received = at_a_door(_records_are_received)
test_a_refusal_has_a_code = at_a_door(_a_refusal_has_a_code)
test_malformed_frames_end_their_connection_only = at_a_door(_malformed_frames_end_their_connection_only)
test_events_are_pulled = at_a_door(_events_are_pulled)
test_a_stream_at_its_end_says_where_it_stands = at_a_door(_a_stream_at_its_end_says_where_it_stands)
test_who_reads_results_is_told_how_far_they_are_kept = at_a_door(_who_reads_results_is_told_how_far_they_are_kept)
test_what_cannot_be_subscribed_is_refused = at_a_door(_what_cannot_be_subscribed_is_refused)
test_subscriptions_have_a_maximum = at_a_door(_subscriptions_have_a_maximum)
test_views_are_answered = at_a_door(_views_are_answered)
test_questions_have_a_maximum = at_a_door(_questions_have_a_maximum)
test_a_slow_reader_is_ended_and_the_others_go_on = at_a_door(_a_slow_reader_is_ended_and_the_others_go_on, slow=0.3)
test_who_submits_and_never_reads_is_not_read_for_ever = at_a_door(_who_submits_and_never_reads_is_not_read_for_ever, slow=0.3)
test_half_open_connections_are_asked_and_then_ended = at_a_door(_half_open_connections_are_asked_and_then_ended, ping=0.1, silent=0.4)
test_a_stream_that_cannot_be_read_back_ends_and_nothing_else = at_a_door(_a_stream_that_cannot_be_read_back_ends_and_nothing_else)
test_connections_have_a_maximum = at_a_door(_connections_have_a_maximum, connections=2)
test_only_the_owner_may_open_it = at_a_door(_only_the_owner_may_open_it)
test_closing_says_so = at_a_door(_closing_says_so)
