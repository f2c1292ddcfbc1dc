"""Readers that do not read: books are conflated, private events wait in the house, and nobody else is held up. Memory of a connection has an end."""
import asyncio

from cambist.client import OrderBook
from cambist.gateways import websocket, websocket_shell
from cambist.gateways.websocket import HIGH, MAX_WAITING
from tests.gateways.stand_in import BTC, Raw, served, until

WIDE = 400                                              # levels changed in one batch: an update of about 16 KB


def run(test):
    asyncio.run(asyncio.wait_for(test(), 60))


def the_line(server):
    line, = [line for slot in server.lines for line in slot]
    return line


def shake(link, step):
    """Every level changes."""
    for level in range(WIDE):
        link.level(0, 100_000 + level, 1_000 + step)
    link.push()


async def reads_book(raw, book, enough):
    """Feeds the book until it holds `enough`; the types of the messages."""
    types = []
    while not enough():
        message = await raw.message()
        if message["op"] == "book":
            book.take(message)
            types.append((message["type"], message.get("conflated", False)))
    return types


def test_a_book_reader_that_stops_is_conflated_and_the_other_hears_every_update():
    async def test():
        async with served() as (server, link, _, url):
            slow, _ = await Raw.open(url)
            await slow.message()
            slow.say(op="subscribe", channel="book", instrument="BTC-USD")
            await until(lambda: any(line.connection.books for slot in server.lines for line in slot))
            line, fast = the_line(server), (await Raw.open(url, receive=1 << 20))[0]
            fast.say(op="subscribe", channel="book", instrument="BTC-USD")
            fast_book, slow_book = OrderBook("BTC-USD"), OrderBook("BTC-USD")
            most = 0
            for step in range(60):
                shake(link, step)
                seen = await reads_book(fast, fast_book, lambda step=step: fast_book.live and fast_book.bids and
                                        str(fast_book.bids[0].quantity) == f"0.{1_000 + step:08}")
                assert all(not conflated for _, conflated in seen)
                most = max(most, line.waiting())
            assert line.connection.paused and HIGH < most < HIGH + 64 * WIDE * 2
            types = await reads_book(slow, slow_book, lambda: slow_book.live and slow_book.bids and slow_book.bids == fast_book.bids)
            assert ("snapshot", True) in types and len(types) < 40 and slow_book.checksum() == fast_book.checksum()
            shake(link, 99)
            await reads_book(slow, slow_book, lambda: str(slow_book.bids[0].quantity) == "0.00001099")
    run(test)


def test_private_events_wait_in_the_house_for_a_reader_that_stops_and_none_is_lost():
    async def test():
        async with served() as (server, link, _, url):
            count = 8_000
            link.tell(count)
            raw, _ = await Raw.open(url)
            await raw.log_on()
            raw.say(op="subscribe", channel="private", cursor=1)
            line = the_line(server)
            await until(lambda: line.connection.paused)
            for _ in range(20):
                await asyncio.sleep(0.01)
            pulled = link.batches
            await asyncio.sleep(0.1)
            assert link.batches == pulled and HIGH < line.waiting() < HIGH + 4_096 and line.connection.cursor < count
            assert (await raw.message())["op"] == "subscribed"
            assert [(await raw.message())["cursor"] for _ in range(count)] == list(range(1, count + 1))
            link.tell(1)
            link.push()
            assert (await raw.message())["cursor"] == count + 1
    run(test)


def test_a_private_reader_that_takes_nothing_is_ended_and_goes_on_from_its_cursor(monkeypatch):
    monkeypatch.setattr(websocket, "STUCK_FOR", 300_000_000)

    async def test():
        async with served() as (server, link, _, url):
            link.tell(8_000)
            raw, _ = await Raw.open(url)
            await raw.log_on()
            raw.say(op="subscribe", channel="private", cursor=1)
            line = the_line(server)
            await until(lambda: line.connection.phase is websocket.Phase.ENDED)
            heard = []
            while (message := await raw.message()) is not None:
                heard.append(message)
            bye = heard.pop()
            assert (bye["op"], bye["code"], raw.closed) == ("bye", "SLOW", 4008)
            assert [message["cursor"] for message in heard[1:]] == list(range(1, bye["cursor"]))
            again, _ = await Raw.open(url, receive=1 << 20)
            await again.log_on()
            again.say(op="subscribe", channel="private", cursor=bye["cursor"])
            await again.message()
            assert (await again.message())["cursor"] == bye["cursor"]
    run(test)


def test_a_reader_of_trades_that_leaves_a_mebibyte_unread_is_ended():
    async def test():
        async with served() as (server, link, _, url):
            raw, _ = await Raw.open(url)
            await raw.message()
            raw.say(op="subscribe", channel="trades", instrument="BTC-USD")
            await until(lambda: any(line.connection.trades for slot in server.lines for line in slot))
            line, most, trades = the_line(server), 0, 0
            while line.connection.phase is not websocket.Phase.ENDED:
                for _ in range(500):
                    trades += 1
                    link.trade(trades)
                assert trades < 50_000, "it is not ended"
                link.push()
                await asyncio.sleep(0.02)
                most = max(most, line.waiting())
            assert MAX_WAITING < most < MAX_WAITING + (1 << 17)
            last = None
            while (message := await raw.message()) is not None:
                last = message
            assert last["code"] == "SLOW" and raw.closed == 4008
    run(test)


def test_one_that_never_reads_again_is_cut_off(monkeypatch):
    monkeypatch.setattr(websocket, "STUCK_FOR", 200_000_000)
    monkeypatch.setattr(websocket_shell, "LAST_WORDS_SECONDS", 0.2)

    async def test():
        async with served() as (server, link, _, url):
            link.tell(8_000)
            raw, _ = await Raw.open(url)
            await raw.log_on()
            raw.say(op="subscribe", channel="private", cursor=1)
            await until(lambda: server.seats.taken == 0)
            assert not link.followings or all(following.key[1] == 0 for following in link.followings)
            await raw.close()
    run(test)


def test_readers_are_served_a_few_in_each_turn_of_the_loop():
    async def test():
        async with served() as (server, link, _, _):
            await until(lambda: server.market.data.books[BTC].live)

            class Reader:
                def __init__(self):
                    self.heard, self.connection = 0, websocket.Connection("", 0, check=None, find=lambda word: BTC, names=(), seats=None)
                    self.connection.books[BTC] = server._stands(BTC)

                def send(self, data):
                    self.heard += 1

            readers = [Reader() for _ in range(5 * websocket_shell.TURN)]
            server._books[BTC] = dict.fromkeys(readers)
            link.level(0, 100_000, 1)
            link.push()
            turns = []
            while not turns or turns[-1] < len(readers):
                await asyncio.sleep(0)
                turns.append(sum(reader.heard for reader in readers))
            steps = [after - before for before, after in zip([0, *turns], turns, strict=False)]
            assert max(steps) <= websocket_shell.TURN and len([step for step in steps if step]) >= 5
            server._books[BTC] = {}
    run(test)


def test_many_readers_that_do_not_read_leave_operations_alone():
    count = 300

    async def test():
        async with served() as (server, link, _, url):
            slow = [(await Raw.open(url))[0] for _ in range(count)]
            for raw in slow:
                raw.say(op="subscribe", channel="book", instrument="BTC-USD")
            await until(lambda: sum(bool(line.connection.books) for slot in server.lines for line in slot) == count)
            step = 0
            while not all(line.connection.paused for slot in server.lines for line in slot):
                step += 1
                assert step < 1_000, "they do not stop"
                shake(link, step)
                await asyncio.sleep(0.02)
            assert server._books[BTC] == {}, "whoever does not read costs nothing"
            raw, _ = await Raw.open(url, receive=1 << 20)
            await raw.log_on()
            for number in range(20):
                shake(link, 200 + number)
                raw.say(op="order.list", id=f"{number:032x}")
                assert (await raw.message())["id"] == f"{number:032x}"
            assert sum(line.waiting() for slot in server.lines for line in slot) < count * (HIGH + 64 * WIDE * 2)
            for each in slow:
                each.writer.transport.abort()
    run(test)
