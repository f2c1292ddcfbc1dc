"""The WebSocket server over real sockets: handshake, logon, order of operations, bad frames, channels, and the link's coming and going."""
import asyncio
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cambist.gateways.api import Answer, Done
from cambist.gateways.websocket import MAX_MESSAGE
from cambist.gateways.websocket_shell import serving_websocket
from cambist.part_shell import Part
from tests.gateways.stand_in import BTC, Raw, served, until


def run(test):
    asyncio.run(asyncio.wait_for(test(), 30))


async def first_level(server, link):
    """A bid in the book, known to the gateway."""
    link.level(0, 128_000, 5)
    link.push()
    await until(lambda: server.market.data.books[BTC].levels()[0])


def ident(number):
    return f"{number:032x}"


@pytest.mark.parametrize("headers, path, status", [
    ((), None, 101), (("Origin: http://127.0.0.1:{port}",), None, 101), (("Origin: http://localhost:{port}",), None, 101),
    (("Origin: http://evil.example",), None, 403), (("Origin: null",), None, 403), (("Origin: http://127.0.0.1:1",), None, 403),
    (("Origin: https://127.0.0.1:{port}",), None, 403), ((), "/", 404), ((), "/v1/ws2", 404),
])
def test_only_its_own_pages_and_its_own_path(headers, path, status):
    async def test():
        async with served() as (_, _, _, url):
            port = url.split(":")[2].split("/")[0]
            raw, line = await Raw.open(url, headers=[header.format(port=port) for header in headers], path=path)
            assert f" {status} " in line
            await raw.close()
    run(test)


def test_a_logon_signed_for_another_connection_is_refused():
    async def test():
        async with served() as (server, _, _, url):
            first, _ = await Raw.open(url)
            second, _ = await Raw.open(url)
            challenge = (await first.message())["challenge"]
            assert (await second.message())["challenge"] != challenge
            assert (await second.log_on(challenge=challenge))["code"] == "BAD_SIGNATURE" and await second.message() is None and second.closed == 4001
            assert (await first.log_on(challenge=challenge))["op"] == "welcome"
            third, _ = await Raw.open(url)
            assert (await third.log_on(private_key=Ed25519PrivateKey.generate()))["code"] == "BAD_SIGNATURE"
            fourth, _ = await Raw.open(url)
            assert (await fourth.log_on(key="nobody"))["code"] == "UNKNOWN_KEY"
            await until(lambda: server.seats.taken == 1 and server.seats.of_key == {"acme-bot": 1})
            await first.close()
            await until(lambda: server.seats.taken == 0 and server.seats.of_key == {})
    run(test)


@pytest.mark.parametrize("frames, code", [
    ([(b"x", 2, True)], 1003), ([(b" " * (MAX_MESSAGE + 1), 1, True)], 1009), ([(b" " * 40_000, 1, False), (b" " * 40_000, 0, True)], 1009)])
def test_binary_and_oversized_messages_end_the_connection_and_no_other(frames, code):
    async def test():
        async with served() as (_, _, _, url):
            raw, _ = await Raw.open(url)
            other, _ = await Raw.open(url)
            await raw.message()
            for data, opcode, fin in frames:
                raw.send(data, opcode, fin)
            while await raw.message() is not None:
                pass
            assert raw.closed == code and (await other.log_on())["op"] == "welcome"
    run(test)


def test_a_message_in_fragments_and_a_ping_are_understood():
    async def test():
        async with served() as (_, _, _, url):
            raw, _ = await Raw.open(url)
            await raw.message()
            raw.send(b'{"op":"subscr', 1, False)
            raw.send(b"hello", 9)
            raw.send(b'ibe","channel":"trades","instrument":"BTC-USD"}', 0)
            assert await raw.frame() == (10, b"hello")
            assert (await raw.message())["op"] == "subscribed"
    run(test)


def test_nonsense_is_answered_and_changes_nothing():
    async def test():
        async with served() as (_, _, house, url):
            raw, _ = await Raw.open(url)
            await raw.log_on()
            for nonsense in (b"", b"{", b"\xff", b"[" * 50_000, b'{"op":"order.new","price":1.5}', b'{"op":"order.new","id":"x","expires":1e400}'):
                raw.send(nonsense)
                assert (await raw.message())["op"] == "error"
            raw.say(op="order.new", id=ident(1), body={})
            assert (await raw.message())["status"] == 200 and house.began == [ident(1)]
    run(test)


def test_commands_begin_in_the_order_they_came_and_none_overtakes_one_that_looks_something_up():
    async def test():
        async with served() as (_, _, house, url):
            gate = asyncio.Event()

            async def does(name, body, client_id):
                if name == "order.amend":
                    await gate.wait()
                return Answer(200, Done())

            house.does = does
            raw, _ = await Raw.open(url)
            await raw.log_on()
            for number, name in enumerate(["order.new", "order.cancel", "order.amend", "order.cancel_all", "order.new"]):
                raw.say(op=name, id=ident(number), body={})
            raw.say(op="order.list", id=ident(9))
            told = [(await raw.message())["id"] for _ in range(3)]
            assert set(told) == {ident(0), ident(1), ident(9)} and ident(3) not in house.began
            gate.set()
            assert [(await raw.message())["id"] for _ in range(3)] == [ident(2), ident(3), ident(4)]
            assert [one for one in house.began if one != ident(9)] == [ident(n) for n in range(5)]
    run(test)


def test_more_than_may_wait_is_refused_at_once():
    async def test():
        async with served() as (_, _, house, url):
            gate = asyncio.Event()

            async def does(name, body, client_id):
                await gate.wait()
                return Answer(200, Done())

            house.does = does
            raw, _ = await Raw.open(url, receive=1 << 16)
            await raw.log_on()
            for number in range(300):
                raw.say(op="order.new", id=ident(number), body={})
            refused = [await raw.message() for _ in range(44)]
            assert {told["body"]["error"]["code"] for told in refused} == {"OVERLOAD"} and refused[0]["id"] == ident(256)
            gate.set()
            assert len({(await raw.message())["id"] for _ in range(256)}) == 256
    run(test)


def test_our_own_bug_costs_one_answer():
    async def test():
        async with served() as (_, _, house, url):
            async def does(name, body, client_id):
                raise KeyError("ours")

            house.does = does
            raw, _ = await Raw.open(url)
            await raw.log_on()
            raw.say(op="order.new", id=ident(1), body={})
            told = await raw.message()
            assert told["status"] == 500 and told["body"]["error"]["code"] == "INTERNAL"
    run(test)


def test_the_private_stream_goes_on_from_any_cursor():
    async def test():
        async with served() as (_, link, _, url):
            link.tell(5)
            raw, _ = await Raw.open(url)
            assert (await raw.log_on())["cursor"] == 6
            raw.say(op="subscribe", channel="private", cursor=4)
            assert await raw.message() == {"op": "subscribed", "channel": "private", "cursor": 4}
            assert [(await raw.message())["cursor"] for _ in range(2)] == [4, 5]
            link.tell(1)
            link.push()
            told = await raw.message()
            assert told["cursor"] == 6 and told["body"]["event"] == "order_cancelled" and "sequence" not in told["body"] and "account" not in told["body"]
            raw.say(op="unsubscribe", channel="private")
            assert (await raw.message())["cursor"] == 7
            raw.say(op="subscribe", channel="private", cursor=99)
            assert (await raw.message())["error"]["code"] == "BAD_CURSOR"
    run(test)


def test_a_book_its_updates_and_trades_need_no_logon():
    async def test():
        async with served() as (server, link, _, url):
            await first_level(server, link)
            raw, _ = await Raw.open(url)
            await raw.message()
            for channel in ("book", "trades"):
                raw.say(op="subscribe", channel=channel, instrument="BTC-USD")
            told = [await raw.message() for _ in range(3)]
            snapshot = next(message for message in told if message["op"] == "book")
            assert snapshot["type"] == "snapshot" and len(snapshot["bids"]) == 1
            link.level(0, 128_001, 5)
            link.trade(7)
            link.push()
            book, trades = sorted([await raw.message() for _ in range(2)], key=lambda message: message["op"])
            assert (book["type"], book["previous_sequence"], book["sequence"]) == ("update", snapshot["sequence"], snapshot["sequence"] + 1)
            assert len(trades["trades"]) == 1
            raw.say(op="unsubscribe", channel="book", instrument="BTC-USD")
            await raw.message()
            link.level(0, 128_002, 5)
            link.trade(8)
            link.push()
            assert (await raw.message())["op"] == "trades"
    run(test)


def test_a_book_is_stale_while_the_house_is_out_of_sight_and_then_of_a_new_epoch():
    async def test():
        async with served() as (server, link, _, url):
            await first_level(server, link)
            raw, _ = await Raw.open(url)
            await raw.message()
            raw.say(op="subscribe", channel="book", instrument="BTC-USD")
            await raw.message()
            first = await raw.message()
            link.change(False)
            assert (await raw.message())["type"] == "stale"
            link.level(0, 128_000, 0)
            link.level(0, 128_003, 7)
            link.change(True)
            again = await raw.message()
            assert again["type"] == "snapshot" and again["epoch"] != first["epoch"] and [price for price, _ in again["bids"]] != [p for p, _ in first["bids"]]
    run(test)


def test_everyone_is_told_when_the_gateway_stops():
    async def test():
        async with served() as (_, _, _, url):
            raw, _ = await Raw.open(url)
            await raw.log_on()
        assert (await raw.message())["code"] == "GOING_AWAY" and await raw.message() is None and raw.closed == 1001
    run(test)


def test_an_operation_outlives_the_connection_that_asked_for_it():
    async def test():
        async with served() as (_, _, house, url):
            gate, done = asyncio.Event(), []

            async def does(name, body, client_id):
                await gate.wait()
                done.append(client_id)
                return Answer(200, Done())

            house.does = does
            raw, _ = await Raw.open(url)
            await raw.log_on()
            raw.say(op="order.new", id=ident(1), body={})
            await until(lambda: house.began)
            await raw.close()
            await asyncio.sleep(0.05)
            gate.set()
            await until(lambda: done == [ident(1)])
    run(test)




@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org"])
def test_beyond_loopback_it_does_not_start_without_tls(host):
    async def test():
        part = Part(Path(), "", {"websocket": (host, 1)}, None, asyncio.Event(), lambda text: None, lambda text: None)
        with pytest.raises(ValueError, match="without TLS"):
            async with serving_websocket(part, None, None, None):
                raise AssertionError("it served")
    run(test)
