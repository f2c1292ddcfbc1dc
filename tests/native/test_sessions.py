"""The native listener on real TCP, in front of a house that is made up: strangers, liars, sluggards, and a client that behaves."""
import asyncio
import contextlib
import ssl
import threading

import numpy as np
import pytest

from cambist.door.client import RefusedByDoor, StreamKind
from cambist.door.protocol import (
    HEAD, MAX_FRAME, MAX_STRANGER, Admitted, Bye, Challenge, Code, End, Events, Hello, Logon, Ping, Read, Received, Refused, Role, Session, Submit,
    Subscribe, Verb, View, encode, logon_text,
)
from cambist.door.server_shell import Door
from cambist.messages import EVENT, Kind, command
from cambist.native import native_shell
from cambist.native.admission import KINDS, Rate
from cambist.native.native_shell import Native, own_argument, until_stopped, without
from cambist.node import close_node, open_node
from cambist.node_shell import Running
from cambist.log.disk_shell import RealDisk
from cambist.part_shell import Part

from tests.gateways.test_rest import self_signed
from tests.native.test_admission import KEY, KEYS, MINE, OTHERS
from tests.test_node import Adder

ME = KEYS.find(KEY)
FREE = Rate(1 << 40, 1 << 40)


class Fixed(Native):
    """With the keys of the test, whatever the node runs by."""
    async def look_at_design(self):
        self.keys = KEYS


class House:
    """A node whose core adds numbers up, its Unix door, and the listener before it."""
    def __init__(self, folder, tls=None, **rates):
        self.folder, self.tls, self.rates = folder, tls, {"key": FREE, "together": FREE} | rates

    async def __aenter__(self):
        self.node = open_node(RealDisk(), str(self.folder), number=3, epoch=1, fresh=Adder, load=Adder.load, lock=threading.Lock())
        await self.up()
        part = Part(self.folder, str(self.folder / "door.sock"), {"native": ("127.0.0.1", 0)}, self.tls, asyncio.Event(), print, lambda text: None)
        self.native = Fixed(part, **self.rates)

        async def highest(view, at_least=0, **argument):
            return 0, {"highest": max((number for _, number in self.node.cell.first), default=0)} if view == "numbers" else {"asked": argument, "sequence": 9}
        self.native.link.read = highest
        await self.native.start()
        self.server = await self.native.listen()
        self.place = self.server.sockets[0].getsockname()[:2]
        return self

    async def up(self):
        self.running = Running(self.node)
        self.running.start()
        self.door = self.running.door = Door(self.running, str(self.folder / "door.sock"))
        await self.door.open()

    async def __aexit__(self, *_):
        self.server.close()
        await self.native.leave()
        await self.native.link.close()
        await self.running.stop()
        await self.door.close()
        close_node(self.node)


class Peer:
    """A client that says exactly what it is told to."""
    def __init__(self, reader, writer):
        self.reader, self.writer, self.session, self.heard = reader, writer, Session(End.STRANGER), []

    @classmethod
    async def at(cls, house, logged_on=True, tls=None):
        peer = cls(*await asyncio.open_connection(*house.place, ssl=tls))
        if logged_on:
            peer.say(Hello(Role.CLIENT))
            challenge = await peer.hear()
            peer.say(Logon(KEY, MINE.sign(logon_text(challenge.challenge, KEY))))
            peer.admitted = await peer.hear()
            assert isinstance(peer.admitted, Admitted)
        return peer

    def say(self, *messages):
        self.writer.write(b"".join(each if isinstance(each, bytes) else encode(each) for each in messages))

    async def hear(self, seconds=5.0):
        """The next message; a Bye or None at the end."""
        while not self.heard:
            data = await asyncio.wait_for(self.reader.read(1 << 16), seconds)
            if not data:
                return None
            self.heard += [each.kept() if isinstance(each, Events) else each for each in self.session.feed(data) if not isinstance(each, Ping)]
        return self.heard.pop(0)


def orders(count, first=1, **fields):
    rows = np.repeat(command(Kind.NEW_ORDER, **({"account": ME.account, "actor": ME.actor} | fields)), count)
    rows["id_lo"] = first + np.arange(count)
    return rows


def at_a_house(test, **rates):
    def run(tmp_path):
        async def main():
            async with House(tmp_path, **rates) as house:
                await asyncio.wait_for(test(house), 30)
        asyncio.run(main())
    return run


async def _ends_with(peer, code):
    said = await peer.hear()
    assert isinstance(said, Bye) and said.code is code, said
    assert await peer.hear() is None


async def _what_is_sent_is_received_and_its_events_are_its_own(house):
    peer = await Peer.at(house)
    assert peer.admitted[:4] == (ME.account, ME.actor, 0, 0) and peer.admitted.limits.attachments == 0
    peer.say(Subscribe(1, StreamKind.ACCOUNT, 0, 1, 100), Submit(2, orders(3)), Submit(3, orders(2, 4)))
    said = [await peer.hear() for _ in range(4)]
    assert Received(2, 3) in said and Received(3, 2) in said
    numbers = []
    for each in said:
        if isinstance(each, Events):
            assert each.position == 0 and not each.events["sequence"].any() and (each.events["account"] == ME.account).all()
            numbers += each.events["id_lo"].tolist()
    while len(numbers) < 5:
        numbers += (await peer.hear()).events["id_lo"].tolist()
    assert numbers == [1, 2, 3, 4, 5]
    again = await Peer.at(house)
    assert again.admitted.highest == 5 and again.admitted.events == 5


async def _what_names_others_never_reaches_the_log(house):
    peer = await Peer.at(house)
    for fields in ({"account": ME.account + 1}, {"actor": ME.actor + 1}, {"account": 0}):
        peer.say(Submit(7, orders(2, **fields)))
        refused = await peer.hear()
        assert isinstance(refused, Refused) and (refused.code, refused.count) == (Code.FOREIGN, 2) and "this session speaks for" in refused.text
    outside = next(kind for kind in Kind if not any(kind in kinds for kinds in KINDS.values()) and kind > Kind.START)
    rows = orders(1)
    rows["kind"] = outside
    peer.say(Submit(8, rows), Submit(9, orders(1), b"\0" * 8), Subscribe(10, StreamKind.ALL, 0, 1, 5), Subscribe(11, StreamKind.ACCOUNT, ME.account + 1, 1, 5))
    assert [(await peer.hear())[:2] for _ in range(4)] == [(request, Code.NOT_ALLOWED) for request in (8, 9, 10, 11)]
    rows = orders(1)
    rows["flags"] = 2
    peer.say(Submit(12, rows))
    assert (await peer.hear())[:2] == (12, Code.MALFORMED)
    assert house.node.cell.sequence == 0 and house.node.staged == 0


async def _strangers_are_let_go(house):
    async def said(*messages):
        peer = await Peer.at(house, logged_on=False)
        peer.say(*messages)
        return peer
    await _ends_with(await said(Submit(1, orders(1))), Code.UNEXPECTED)
    await _ends_with(await said(Hello(Role.GATEWAY)), Code.BAD_ROLE)
    await _ends_with(await said(HEAD.pack(MAX_STRANGER + 1, Verb.HELLO, 0, 0, 0)), Code.TOO_LARGE)
    for wrong in (lambda c: Logon(KEY, OTHERS.sign(logon_text(c, KEY))), lambda c: Logon(KEY, MINE.sign(logon_text(bytes(32), KEY))),
                  lambda c: Logon("nobody", MINE.sign(logon_text(c, "nobody")))):
        peer = await said(Hello(Role.CLIENT))
        peer.say(wrong((await peer.hear()).challenge))
        await _ends_with(peer, Code.BAD_LOGON)
    for before in (Submit(1, orders(1)), Subscribe(1, StreamKind.PUBLIC, 0, 1, 1), Read(1, "book"), Hello(Role.CLIENT)):
        peer = await said(Hello(Role.CLIENT))
        assert isinstance(await peer.hear(), Challenge)
        peer.say(before)
        await _ends_with(peer, Code.UNEXPECTED if HEAD.size + 132 > MAX_STRANGER or len(encode(before)) <= MAX_STRANGER else Code.TOO_LARGE)
    assert house.node.cell.sequence == 0


async def _a_logon_cannot_be_replayed(house):
    first = await Peer.at(house, logged_on=False)
    first.say(Hello(Role.CLIENT))
    overheard = Logon(KEY, MINE.sign(logon_text((await first.hear()).challenge, KEY)))
    first.say(overheard)
    assert isinstance(await first.hear(), Admitted)
    second = await Peer.at(house, logged_on=False)
    second.say(Hello(Role.CLIENT))
    assert isinstance(await second.hear(), Challenge)
    second.say(overheard)
    await _ends_with(second, Code.BAD_LOGON)
    first.say(overheard)
    await _ends_with(first, Code.UNEXPECTED)


async def _whoever_says_nothing_is_let_go(house):
    native_shell_seconds, native_shell.LOGON_SECONDS = native_shell.LOGON_SECONDS, 0.05
    try:
        peers = [await Peer.at(house, logged_on=False) for _ in range(5)]
        peers[1].say(Hello(Role.CLIENT))
        peers[2].say(encode(Hello(Role.CLIENT))[:7])
        assert isinstance(await peers[1].hear(), Challenge)
        for peer in peers:
            await _ends_with(peer, Code.SILENT)
    finally:
        native_shell.LOGON_SECONDS = native_shell_seconds


async def _a_key_has_so_many_sessions(house):
    peers = [await Peer.at(house) for _ in range(native_shell.MAX_OF_A_KEY)]
    more = await Peer.at(house, logged_on=False)
    more.say(Hello(Role.CLIENT))
    more.say(Logon(KEY, MINE.sign(logon_text((await more.hear()).challenge, KEY))))
    await _ends_with(more, Code.TOO_MANY)
    assert len(peers) == native_shell.MAX_OF_A_KEY


async def _a_frame_too_large_ends_an_open_session(house):
    peer = await Peer.at(house)
    peer.say(HEAD.pack(MAX_FRAME + 1, Verb.SUBMIT, 0, 0, 1))
    await _ends_with(peer, Code.TOO_LARGE)


async def _views_are_of_ones_own(house):
    peer = await Peer.at(house)
    peer.say(Read(1, "account"), Read(2, "account", 0, b'{"account": 9}'), Read(3, "custody"), Read(4, "book", 0, b'{"instrument": 1}'), Read(5, "status"))
    said = {each.request: each for each in [await peer.hear() for _ in range(5)]}
    assert said[1] == View(1, 0, b'{"asked":{"account":%d}}' % ME.account) and said[4].body == b'{"asked":{"instrument":1}}'
    assert {said[i].code for i in (2, 3, 5)} == {Code.NOT_ALLOWED}


async def _throttled_is_read_more_slowly_and_nothing_is_lost(house):
    peer = await Peer.at(house)
    peer.say(Subscribe(1, StreamKind.ACCOUNT, 0, 1, 1000))
    began = asyncio.get_running_loop().time()
    for i in range(10):
        peer.say(Submit(2 + i, orders(20, 1 + 20 * i)))
    numbers = []
    while len(numbers) < 200:
        said = await peer.hear()
        numbers += said.events["id_lo"].tolist() if isinstance(said, Events) else []
    assert numbers == list(range(1, 201)) and asyncio.get_running_loop().time() - began > 0.25


async def _more_than_there_is_room_for_is_taken_bit_by_bit(house):
    peers = [await Peer.at(house) for _ in range(3)]
    peers[0].say(Subscribe(1, StreamKind.ACCOUNT, 0, 1, 60_000))
    for k, peer in enumerate(peers):
        for i in range(4):
            peer.say(Submit(10 + i, orders(400, 1 + 400 * (4 * k + i))))
    numbers = []
    while len(numbers) < 4_800:
        said = await peers[0].hear(20.0)
        numbers += said.events["id_lo"].tolist() if isinstance(said, Events) else []
    for k in range(3):                                  # order within a session never changes
        own = [number for number in numbers if 1600 * k < number <= 1600 * (k + 1)]
        assert own == list(range(1600 * k + 1, 1600 * (k + 1) + 1))


async def _a_node_that_goes_away_ends_every_session_and_the_next_one_goes_on(house):
    peer = await Peer.at(house)
    peer.say(Submit(1, orders(5)))
    assert await peer.hear() == Received(1, 5)
    while house.node.cell.sequence < 5:
        await asyncio.sleep(0.01)
    for connection in list(house.door.connections):
        connection.transport.abort()
    await _ends_with(peer, Code.STOPPED)
    while not house.native.open_for_business:
        await asyncio.sleep(0.01)
    again = await Peer.at(house)
    assert again.admitted.highest == 5
    again.say(Subscribe(1, StreamKind.ACCOUNT, 0, 3, 100), Submit(2, orders(2, 6)))
    numbers = []
    while len(numbers) < 5:
        said = await again.hear()
        numbers += said.events["id_lo"].tolist() if isinstance(said, Events) else []
    assert numbers == [3, 4, 5, 6, 7]


async def _on_a_full_disk_a_cancel_is_received_beside_orders_that_are_refused(house):
    peers = [await Peer.at(house) for _ in range(2)]
    house.node._full, house.node._see_room = True, lambda: None
    for i in range(5):                                  # whatever meets in one frame
        cancel = orders(1, 900 + i)
        cancel["kind"] = Kind.CANCEL_ALL
        peers[0].say(Submit(2 * i, orders(3, 1 + 3 * i)), Submit(2 * i + 1, cancel))
        peers[1].say(Submit(i, orders(2, 500 + 2 * i)))
    said = [await peers[0].hear() for _ in range(10)]
    assert {(each.request, each.code) for each in said if isinstance(each, Refused)} == {(2 * i, Code.DISK_FULL) for i in range(5)}
    assert {each for each in said if isinstance(each, Received)} == {Received(2 * i + 1, 1) for i in range(5)}
    assert [(await peers[1].hear())[:2] for _ in range(5)] == [(i, Code.DISK_FULL) for i in range(5)]
    del house.node._see_room
    house.node._see_room()
    peers[0].say(Submit(99, orders(1, 100)))
    assert await peers[0].hear() == Received(99, 1)


test_on_a_full_disk_a_cancel_is_received = at_a_house(_on_a_full_disk_a_cancel_is_received_beside_orders_that_are_refused)
test_what_is_sent_is_received_and_its_events_are_its_own = at_a_house(_what_is_sent_is_received_and_its_events_are_its_own)
test_what_names_others_never_reaches_the_log = at_a_house(_what_names_others_never_reaches_the_log)
test_strangers_are_let_go = at_a_house(_strangers_are_let_go)
test_a_logon_cannot_be_replayed = at_a_house(_a_logon_cannot_be_replayed)
test_whoever_says_nothing_is_let_go = at_a_house(_whoever_says_nothing_is_let_go)
test_a_key_has_so_many_sessions = at_a_house(_a_key_has_so_many_sessions)
test_a_frame_too_large_ends_an_open_session = at_a_house(_a_frame_too_large_ends_an_open_session)
test_views_are_of_ones_own = at_a_house(_views_are_of_ones_own)
test_throttled_is_read_more_slowly_and_nothing_is_lost = at_a_house(_throttled_is_read_more_slowly_and_nothing_is_lost, key=Rate(400, 60))
test_more_than_there_is_room_for_is_taken_bit_by_bit = at_a_house(_more_than_there_is_room_for_is_taken_bit_by_bit)
test_a_node_that_goes_away_ends_every_session = at_a_house(_a_node_that_goes_away_ends_every_session_and_the_next_one_goes_on)


def test_over_tls_it_is_the_same(tmp_path):
    certificate, private_key = self_signed(tmp_path)

    async def main():
        async with House(tmp_path / "house", (certificate, private_key), key=Rate(100_000, 2_000)) as house:
            peer = await Peer.at(house, tls=ssl.create_default_context(cafile=str(certificate)))
            assert peer.writer.get_extra_info("ssl_object").version() == "TLSv1.3"
            peer.say(Subscribe(1, StreamKind.ACCOUNT, 0, 1, 60_000))
            for i in range(10):
                peer.say(Submit(2 + i, orders(500, 1 + 500 * i)))
            numbers = []
            while len(numbers) < 5_000:
                said = await peer.hear()
                numbers += said.events["id_lo"].tolist() if isinstance(said, Events) else []
            assert numbers == list(range(1, 5_001))
            plain = await Peer.at(house, logged_on=False)
            plain.say(Hello(Role.CLIENT), Hello(Role.CLIENT))
            with contextlib.suppress(ConnectionError):
                assert not isinstance(await plain.hear(), Challenge)
    asyncio.run(main())


def test_whoever_cannot_hear_the_house_any_more_ends_every_session_and_itself(tmp_path):
    async def main():
        async with House(tmp_path) as house:
            peer, serving = await Peer.at(house), asyncio.create_task(until_stopped(house.native))
            house.native.streams.add(1, 1, 1, np.zeros(1, EVENT))          # so that what comes is not the next
            peer.say(Submit(1, orders(1)))
            said = [await peer.hear() for _ in range(2)]
            assert said[0] == Received(1, 1) and said[1].code is Code.STOPPED
            with pytest.raises(RefusedByDoor):
                await asyncio.wait_for(serving, 5.0)
    asyncio.run(main())


@pytest.mark.parametrize("view, argument, asked", [
    ("account", b"", {"account": ME.account}), ("numbers", b"", {"actor": ME.actor}),
    ("answer", b'{"number": 3}', {"number": 3, "actor": ME.actor, "account": ME.account}),
    ("answer", b'{"id_hi": 1, "id_lo": 2}', {"id_hi": 1, "id_lo": 2, "account": ME.account}), ("answer", b'{"sequence": 1}', None), ("answer", b"[[", None),
    ("answer", b'{"number": 3, "actor": 1}', None), ("book", b'{"instrument": 1}', {"instrument": 1}), ("book", b"", None),
    ("record", b'{"sequence": 1}', None),
    ("account", b"\xff", None), ("account", b'{"account": 1}', None), ("instruments", b"", {}), ("held", b"", None)])
def test_only_these_questions_are_asked_for_a_session(view, argument, asked):
    assert own_argument(Read(1, view, 0, argument), ME) == asked


def test_a_view_says_nothing_of_the_log_nor_of_the_queue():
    assert without({"orders": [{"id": 1, "place": 4}], "sequence": 3, "sources": [{}]}) == {"orders": [{"id": 1}]}


def test_beyond_loopback_it_needs_tls(tmp_path):
    from cambist.supervisor import PARTS
    from cambist.worker_shell import check_listeners
    row = next(row for row in PARTS if row.name == "native")
    with pytest.raises(ValueError, match="without TLS"):
        check_listeners(row, {"native": ("0.0.0.0", 8605)}, None)
    check_listeners(row, {"native": ("0.0.0.0", 8605)}, (tmp_path / "a", tmp_path / "b"))
    assert ssl.TLSVersion.TLSv1_3
