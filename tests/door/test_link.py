"""The link against real doors: a node of the twin behind a socket, cut off, restarted, silent; and a house that answers as a test says."""
import asyncio
import contextlib
import socket
import threading

import numpy as np
import pytest
import uvloop

from cambist.door import link_shell
from cambist.door.client import Code, DoorClosed, Outcome, Refused, RefusedByDoor, StreamKind
from cambist.door.link_shell import Link, write_down
from cambist.door.protocol import Hello, Unreadable, View, Welcome, encode
from cambist.door.server_shell import Door
from cambist.feeds import views
from cambist.feeds.streams import ALL, Streams, account_row
from cambist.log.disk_shell import RealDisk
from cambist.messages import NUMBERED, Event, Kind, command
from cambist.log.journal import Witness
from cambist.log.witness import known
from cambist.node import close_node, open_node
from cambist.node_shell import Running, row_of

from tests.test_node import Adder

PATIENCE = 30.0
LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


def order(number, account=1, **fields):
    return command(Kind.CANCEL_ORDER, account=account, actor=1, id_lo=number, **fields)


class AtOnce:
    """A house in the loop: what is submitted is applied at once, unless a test holds it back; every answer is DONE, or DUPLICATE."""
    def __init__(self):
        self.cell, self.code, self.holding, self.submits, self.door = Adder(), Code.NONE, False, [], None
        self.entries, self.streams = [], Streams(lambda sequence: (each for each in self.entries if each[1] >= sequence))
        self.questions = []

    def welcome(self):
        return Welcome(1, 1, self.streams.position, bytes(32))

    def submit(self, records, attachments):
        if not self.code:
            self.submits.append(records.copy())
            if not self.holding:
                self.apply()
        return self.code

    def apply(self):
        """What was held back, as one entry."""
        if self.submits:
            records, self.submits = np.concatenate(self.submits), []
            first = self.cell.sequence + 1
            self.entries.append((first, first + len(records) - 1, 1000 * first, np.concatenate(list(self.cell.run(np.array(records), 1000 * first)))))
            self.streams.add(*self.entries[-1])
            asyncio.get_running_loop().call_soon(lambda: self.door.told(list(self.door.listeners)))

    def turns_at_once(self):
        return False

    def last_number(self, stream, account):
        return self.streams.last_number(row_of(stream, account))

    def events(self, stream, account, number, limit):
        return self.streams.read(row_of(stream, account), number, limit)

    def ask(self, question, answer):
        self.questions.append(question)
        if self.code:
            told = Refused(question.request, self.code)
        else:
            told = View(question.request, self.streams.position, views.answer(question.view, question.argument, self.cell.tables(),
                        lambda sequence: (each for each in self.entries if each[1] >= sequence)))
        asyncio.get_running_loop().call_soon(answer, told)


class Served:
    """A house behind a door that can be shut and opened again, and a link to it."""
    def __init__(self, path):
        self.house, self.path = AtOnce(), str(path / "door" / "s")
        self.link = Link(self.path, ping=0.1, silent=0.4, patience=2.0)

    async def open(self):
        self.house.door = Door(self.house, self.path)
        await self.house.door.open()

    async def shut(self):
        await self.house.door.close()

    def cut(self):
        """Every connection is gone, in the middle of whatever it was doing."""
        for connection in list(self.house.door.connections):
            connection.transport.abort()


def linked(test):
    """Runs `test(served)` in a loop of each kind, with an open door and a link that stands."""
    @pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])
    def run(tmp_path, loop):
        async def main():
            served = Served(tmp_path)
            await served.open()
            await served.link.start(5.0)
            try:
                await asyncio.wait_for(test(served), PATIENCE)
            finally:
                await served.link.close()
                await served.shut()
            assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(main())
    run.__name__ = test.__name__.replace("_", "test_", 1)
    return run


async def until(holds):
    while not holds():
        await asyncio.sleep(0.005)


async def _an_ask_is_answered_with_the_time_and_position_of_its_answer(served):
    outcome = await served.link.ask(order(5))
    assert outcome[1:] == (1, 1000, 1) and outcome.events["amount"].tolist() == [5] and outcome.events["kind"].tolist() == [Event.DONE]
    again = await served.link.ask(order(5))
    assert again.events.tobytes() == outcome.events.tobytes() and again.time == 1000 and again.position == 2
    assert (await served.link.read("answer", at_least=2, sequence=1))[1]["time"] == 1000


async def _thousands_of_asks_of_many_accounts_wait_at_once(served):
    outcomes = await asyncio.gather(*(served.link.ask(order(i, account=i % 50 + 1), 60.0) for i in range(1, 2001)))
    assert [outcome.events["id_lo"].tolist() for outcome in outcomes] == [[i] for i in range(1, 2001)]
    assert served.house.cell.total == sum(range(1, 2001)) and all(outcome.asked >= 1 for outcome in outcomes)
    assert not any(private.asks for private in served.link._private.values())
    await until(lambda: not served.link._waiting)


async def _an_ask_survives_a_connection_lost_between_submit_and_answer(served):
    for lost_first in (True, False):                    # before and after the command took effect
        served.house.holding = True
        asks = [asyncio.ensure_future(served.link.ask(order(10 * lost_first + i), 10.0)) for i in range(1, 4)]
        await until(lambda: len(served.house.submits) >= 3)
        served.cut()
        if lost_first:
            served.house.submits = []
        served.house.holding = False
        served.house.apply()
        outcomes = await asyncio.gather(*asks)
        assert [outcome.events["kind"].tolist() for outcome in outcomes] == [[Event.DONE]] * 3
    assert served.house.cell.total == sum(range(1, 4)) + sum(range(11, 14))


async def _the_same_bytes_asked_twice_at_once_are_answered_twice_and_count_once(served):
    first, second = await asyncio.gather(served.link.ask(order(7)), served.link.ask(order(7)))
    assert first.events.tobytes() == second.events.tobytes() and served.house.cell.total == 7


async def _a_duplicate_gets_the_first_answer_after_the_door_was_shut(served):
    served.house.holding = True
    ask = asyncio.ensure_future(served.link.ask(order(9), 10.0))
    await until(lambda: served.house.submits)
    await served.shut()
    assert not served.link.connected
    served.house.apply()                                # told while nobody listened
    served.house.holding = False
    await served.open()
    outcome = await ask
    assert outcome.events["kind"].tolist() == [Event.DONE] and served.house.cell.total == 9


async def _numbered_commands_are_answered_by_the_view(served):
    served.house.cell.tables = lambda names=(): {"numbers": (1, ("actor", "number", "sequence"), np.array([[1, 3, 1]], np.int64))}
    outcome = await served.link.ask(order(3, flags=NUMBERED))
    assert outcome.events["id_lo"].tolist() == [3] and served.house.questions[0].view == "answer"


async def _what_the_door_refuses_for_good_is_raised_and_for_the_moment_is_asked_again(served):
    served.house.code = Code.TOO_LARGE
    with pytest.raises(RefusedByDoor, match="TOO_LARGE"):
        await served.link.ask(order(1))
    with pytest.raises(RefusedByDoor, match="TOO_LARGE"):
        await served.link.submit(order(1))
    served.house.code = Code.OVERLOAD
    ask = asyncio.ensure_future(served.link.ask(order(2), 10.0))
    reading = asyncio.ensure_future(served.link.read("answer", sequence=1))
    await asyncio.sleep(0.2)
    assert not ask.done() and not reading.done() and len(served.house.questions) > 1
    served.house.code = Code.NONE
    assert (await ask).asked == 1 and (await reading)[1]["known"]


async def _a_refusal_does_not_settle_what_may_have_been_let_in_before(served):
    served.house.holding = True
    ask = asyncio.ensure_future(served.link.ask(order(4), 2.0))
    await until(lambda: served.house.submits)
    served.house.code = Code.STOPPED                    # what comes again is refused for good, and the first is still on its way
    served.cut()
    await asyncio.sleep(0.5)
    assert not ask.done()
    served.house.apply()
    assert (await ask).events["amount"].tolist() == [4]


async def _an_ask_that_nobody_answers_is_unknown_and_its_bytes_were_sent_again(served):
    served.house.holding = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(link_shell, "AGAIN_SECONDS", 0.1)
        outcome = await served.link.ask(order(1), 0.25)
    assert outcome == Outcome(None, 2) and len(served.house.submits) == 2
    assert served.house.submits[0].tobytes() == served.house.submits[1].tobytes()


async def _a_cancelled_ask_leaves_nothing_behind(served):
    served.house.holding = True
    asks = [asyncio.ensure_future(served.link.ask(order(i), 10.0)) for i in range(1, 101)]
    await until(lambda: len(served.house.submits) == 100)
    for ask in asks:
        ask.cancel()
    await asyncio.gather(*asks, return_exceptions=True)
    assert served.link._asks == 0 and not any(private.asks for private in served.link._private.values())
    served.house.holding = False
    served.house.apply()                                # their answers concern nobody
    assert (await served.link.ask(order(200))).events["amount"].tolist() == [sum(range(1, 101)) + 200]


async def _closing_ends_all_that_waits(served):
    served.house.holding = True
    served.house.ask = lambda question, answer: None
    waiting = [asyncio.ensure_future(each) for each in (served.link.ask(order(1), 10.0), served.link.read("status"), served.link.ask(order(2, 2), 10.0))]
    following = served.link.follow(StreamKind.ALL, 0, 1, lambda batch: None)
    await until(lambda: len(served.house.submits) == 2)
    await served.link.close()
    for each in waiting:
        with pytest.raises(DoorClosed):
            await each
    assert following.ended and not served.link.connected
    for late in (served.link.ask(order(3)), served.link.read("status"), served.link.submit(order(4)), served.link.start(1.0)):
        with pytest.raises(DoorClosed, match="closed"):
            await late


async def _a_stream_is_told_once_and_whole_over_many_connections(served):
    heard, times = [], []

    def hear(batch):
        assert batch.events.flags.owndata and batch.times.flags.owndata
        heard.extend(batch.events["id_lo"].tolist())
        times.extend(batch.times.tolist())

    following = served.link.follow(StreamKind.ACCOUNT, 1, 1, hear, credit=64)
    await following.started()
    for i in range(40):
        with contextlib.suppress(DoorClosed):
            await served.link.submit(np.concatenate([order(100 * i + j) for j in range(1, 51)]))
        if i % 3 == 0:
            served.cut()
    last = served.house.streams.last_number(account_row(1))
    await until(lambda: following.cursor == last + 1)
    whole = np.concatenate([events for *_, events in served.house.entries])
    assert heard == whole["id_lo"].tolist() and times == sorted(times) and len(times) == len(heard) >= 1000


async def _from_now_on_is_from_when_it_started(served):
    await served.link.submit(order(1))
    heard = []
    following = served.link.follow(StreamKind.ALL, 0, 0, heard.append)
    await following.started()
    assert following.cursor == 2 and following.position == 1
    await served.link.submit(order(2))
    await until(lambda: heard)
    assert heard[0].events["id_lo"].tolist() == [2] and following.position == 2
    following.close()
    await served.link.submit(order(3))
    assert (await served.link.ask(order(4))).events is not None and len(heard) == 1


async def _a_slow_follower_gets_no_more_than_its_credit_ahead(served):
    await served.link.submit(np.concatenate([order(i) for i in range(1, 1001)]))
    sizes, counted = [], []

    def slow(batch):
        sizes.append(len(batch.events))
        counted.append(sum(listener.credit for listeners in served.house.door.listeners.values() for listener in listeners))

    following = served.link.follow(StreamKind.ALL, 0, 1, slow, credit=100)
    await until(lambda: following.cursor == 1001)
    assert max(sizes) <= 100 and max(counted) <= 100 and sum(sizes) == 1000


async def _a_stream_that_cannot_be_read_ends_or_waits_until_it_can(served):
    """And nothing else of the connection is touched."""
    damaged, read = True, served.house.events

    def events(stream, account, number, limit):
        if damaged and number < 3:
            raise Unreadable("gone")
        return read(stream, account, number, limit)
    served.house.events = events
    await served.link.submit(np.concatenate([order(1), order(2), order(3)]))
    codes, heard, wires = [], [], set(served.house.door.connections)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(link_shell, "UNREADABLE_SECONDS", 0.02)
        ending = served.link.follow(StreamKind.ALL, 0, 1, heard.append, codes.append)
        with pytest.raises(RefusedByDoor, match="UNREADABLE"):
            await ending.started()
        waiting = served.link.follow(StreamKind.ALL, 0, 1, heard.append, codes.append, patient=True)
        over = served.link.follow(StreamKind.ALL, 0, 1, heard.append, codes.append, patient=True)
        await asyncio.sleep(0.1)
        over.close()
        assert codes == [Code.UNREADABLE] and ending.ended and not heard and not waiting.ended
        assert (await served.link.ask(order(4))).events["id_lo"].tolist() == [4]
        damaged = False
        await waiting.started()
        await until(lambda: waiting.cursor == 5)
    assert heard[0].first == 1 and sum(len(batch.events) for batch in heard) == 4
    assert codes == [Code.UNREADABLE] and set(served.house.door.connections) == wires


async def _who_waits_for_a_stream_and_gives_up_takes_no_other_with_it(served):
    """Numbers of requests begin anew with each connection."""
    read = served.house.events

    def events(stream, account, number, limit):
        if number == 1:
            raise Unreadable("gone")
        return read(stream, account, number, limit)
    served.house.submit(np.ascontiguousarray(order(1)).reshape(-1), b"")
    served.house.events = events
    waiting = served.link.follow(StreamKind.ALL, 0, 1, lambda batch: None, patient=True)
    other = served.link.follow(StreamKind.ALL, 0, 2, lambda batch: None)
    await other.started()                               # so the refusal was heard
    served.cut()
    await until(lambda: not served.link.connected)
    await until(lambda: served.link.connected)
    waiting.close()
    await served.link.submit(order(2))
    await until(lambda: other.cursor == 3)


async def _a_cursor_that_the_node_has_not_told_ends_the_stream(served):
    codes = []
    following = served.link.follow(StreamKind.ALL, 0, 77, lambda batch: None, codes.append)
    with pytest.raises(RefusedByDoor, match="BAD_CURSOR"):
        await following.started()
    assert codes == [Code.BAD_CURSOR] and following.ended


async def _a_follower_that_fails_ends_alone(served):
    codes, heard = [], []
    served.link.follow(StreamKind.ALL, 0, 1, lambda batch: 1 // 0, codes.append)
    served.link.follow(StreamKind.ALL, 0, 1, heard.append)
    assert (await served.link.ask(order(1))).asked == 1
    await until(lambda: heard)
    assert codes == [Code.STOPPED] and served.link.connected


async def _whoever_wants_to_know_is_told_of_each_change(served):
    told = []
    served.link.on_change.append(told.append)
    await served.shut()
    await until(lambda: told == [False])
    with pytest.raises(DoorClosed, match="no node answers"):
        await served.link.start(0.1)
    await served.open()
    await served.link.start(5.0)
    await until(lambda: told == [False, True])
    assert served.link.welcome.cell == 1 and served.link.why == ""


async def _asks_and_streams_of_asks_have_a_maximum(served):
    served.house.holding = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(link_shell, "MAX_ASKS", 3)
        patch.setattr(link_shell, "MAX_PRIVATE", 2)
        asks = [asyncio.ensure_future(served.link.ask(order(i, account=i), 10.0)) for i in (1, 2)]
        await until(lambda: len(served.house.submits) == 2)
        with pytest.raises(RefusedByDoor, match="2 accounts"):
            await served.link.ask(order(3, account=3))
        asks.append(asyncio.ensure_future(served.link.ask(order(4, account=1), 10.0)))
        await until(lambda: len(served.house.submits) == 3)
        with pytest.raises(RefusedByDoor, match="3 commands"):
            await served.link.ask(order(5, account=2))
        served.house.holding = False
        served.house.apply()
        await asyncio.gather(*asks)
        assert (await served.link.ask(order(3, account=3))).events is not None      # the stream used longest ago made room
        assert [account for _, account in served.link._private] == [1, 3] and len(served.house.door.listeners) == 2


async def _reads_wait_for_one_another_and_are_asked_again_after_a_loss(served):
    answers, ask = [], served.house.ask
    served.house.ask = lambda question, answer: answers.append((question, answer))
    await served.link.submit(order(1))
    reads = [asyncio.ensure_future(served.link.read("answer", sequence=1)) for _ in range(100)]
    await until(lambda: len(answers) == link_shell.MAX_READS)
    served.house.ask = ask
    served.cut()
    assert all(told["known"] for _, told in await asyncio.gather(*reads))


test_an_ask_is_answered_with_the_time_and_position_of_its_answer = linked(_an_ask_is_answered_with_the_time_and_position_of_its_answer)
test_thousands_of_asks_of_many_accounts_wait_at_once = linked(_thousands_of_asks_of_many_accounts_wait_at_once)
test_an_ask_survives_a_connection_lost_between_submit_and_answer = linked(_an_ask_survives_a_connection_lost_between_submit_and_answer)
test_the_same_bytes_asked_twice_at_once = linked(_the_same_bytes_asked_twice_at_once_are_answered_twice_and_count_once)
test_a_duplicate_gets_the_first_answer_after_the_door_was_shut = linked(_a_duplicate_gets_the_first_answer_after_the_door_was_shut)
test_numbered_commands_are_answered_by_the_view = linked(_numbered_commands_are_answered_by_the_view)
test_what_the_door_refuses = linked(_what_the_door_refuses_for_good_is_raised_and_for_the_moment_is_asked_again)
test_a_refusal_does_not_settle_what_may_have_been_let_in_before = linked(_a_refusal_does_not_settle_what_may_have_been_let_in_before)
test_an_ask_that_nobody_answers_is_unknown = linked(_an_ask_that_nobody_answers_is_unknown_and_its_bytes_were_sent_again)
test_a_cancelled_ask_leaves_nothing_behind = linked(_a_cancelled_ask_leaves_nothing_behind)
test_closing_ends_all_that_waits = linked(_closing_ends_all_that_waits)
test_a_stream_is_told_once_and_whole_over_many_connections = linked(_a_stream_is_told_once_and_whole_over_many_connections)
test_from_now_on_is_from_when_it_started = linked(_from_now_on_is_from_when_it_started)
test_a_slow_follower_gets_no_more_than_its_credit_ahead = linked(_a_slow_follower_gets_no_more_than_its_credit_ahead)
test_a_stream_that_cannot_be_read_ends_or_waits_until_it_can = linked(_a_stream_that_cannot_be_read_ends_or_waits_until_it_can)
test_who_waits_for_a_stream_and_gives_up_takes_no_other_with_it = linked(_who_waits_for_a_stream_and_gives_up_takes_no_other_with_it)
test_a_cursor_that_the_node_has_not_told_ends_the_stream = linked(_a_cursor_that_the_node_has_not_told_ends_the_stream)
test_a_follower_that_fails_ends_alone = linked(_a_follower_that_fails_ends_alone)
test_whoever_wants_to_know_is_told_of_each_change = linked(_whoever_wants_to_know_is_told_of_each_change)
test_asks_and_streams_of_asks_have_a_maximum = linked(_asks_and_streams_of_asks_have_a_maximum)
test_reads_wait_for_one_another_and_are_asked_again_after_a_loss = linked(_reads_wait_for_one_another_and_are_asked_again_after_a_loss)


@pytest.mark.parametrize("loop", LOOPS, ids=["asyncio", "uvloop"])
def test_a_node_that_falls_silent_is_left_and_found_again(tmp_path, loop):
    path = str(tmp_path / "s")

    async def main():
        deaf, connections = socket.socket(socket.AF_UNIX), []
        deaf.bind(path)
        deaf.listen()
        deaf.setblocking(False)

        async def welcome_and_fall_silent():
            while True:
                connection, _ = await asyncio.get_running_loop().sock_accept(deaf)
                connections.append(connection)
                await asyncio.get_running_loop().sock_sendall(connection, encode(Welcome(1, 1, 0, bytes(32))))

        serving = asyncio.ensure_future(welcome_and_fall_silent())
        link = Link(path, ping=0.05, silent=0.2)
        changes = []
        link.on_change.append(changes.append)
        await link.start(5.0)
        await asyncio.wait_for(until(lambda: changes[:3] == [True, False, True]), 5)
        said = connections[0].recv(1 << 16)
        assert said.startswith(encode(Hello(link.role))) and len(said) > len(encode(Hello(link.role)))      # it was asked before it was left
        serving.cancel()
        await link.close()
        for each in (deaf, *connections):
            each.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(main(), PATIENCE))


def test_it_may_start_before_the_node_and_outlive_its_restart(tmp_path):
    """A real node with its threads, killed off between a command and its answer, and opened again on the same directory."""
    path = str(tmp_path / "door" / "s")

    def opened():
        return open_node(RealDisk(), str(tmp_path / "house"), number=3, epoch=1, fresh=Adder, load=Adder.load, lock=threading.Lock())

    async def up():
        node = opened()
        running = Running(node)
        running.start()
        running.door = Door(running, path)
        await running.door.open()
        return node, running

    async def down(node, running):
        for connection in list(running.door.connections):
            connection.transport.abort()
        await running.stop()
        await running.door.close()
        close_node(node)

    async def main():
        link, heard = Link(path, silent=1.0), []
        with pytest.raises(DoorClosed):
            await link.start(0.1)
        following = link.follow(StreamKind.ALL, 0, 1, heard.append)
        writing = asyncio.ensure_future(write_down(link, str(tmp_path / "house"), "gateway"))
        asks = [asyncio.ensure_future(link.ask(order(i), 20.0)) for i in range(1, 21)]
        node, running = await up()
        first = await asyncio.gather(*asks)
        assert sorted(outcome.events["amount"].tolist()[0] for outcome in first)[-1] == sum(range(1, 21))
        asks = [asyncio.ensure_future(link.ask(order(i, account=2), 20.0)) for i in range(100, 120)]
        await asyncio.sleep(0)
        await down(node, running)
        node, running = await up()
        second = await asyncio.gather(*asks)
        assert all(outcome.events["kind"].tolist() == [Event.DONE] for outcome in second) and node.cell.total == sum(range(1, 21)) + sum(range(100, 120))
        await until(lambda: following.position >= node.streams.position)
        numbers = np.concatenate([batch.events for batch in heard])["sequence"].tolist()
        assert numbers == list(range(1, node.streams.last_number(ALL) + 1))
        times = np.concatenate([batch.times for batch in heard])
        assert (np.diff(times) >= 0).all() and {outcome.time for outcome in (*first, *second)} == set(times.tolist())
        writing.cancel()
        await asyncio.wait([writing])
        assert link.told == node.streams.position       # a log that ends before is not this node's any more
        assert known(RealDisk(), str(tmp_path / "house"), snapshot=0, results=0) == Witness(link.told, "the gateway, which was told so,")
        await link.close()
        await down(node, running)

    asyncio.run(asyncio.wait_for(main(), PATIENCE))
