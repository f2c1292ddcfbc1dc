"""The asyncio client against the real WebSocket server: calls, events, books and trades live through lost connections, and nothing is done twice."""
import asyncio
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cambist.client import ApiError, AsyncClient, OutcomeUnknown
from cambist.client import async_client_shell as shell
from cambist.gateways.api import Answer, Done, failure
from tests.gateways.stand_in import BTC, KEY, free_port, served, until


def run(test):
    asyncio.run(asyncio.wait_for(test(), 30))


def client(url, **options):
    return AsyncClient(url, "acme-bot", KEY, **options)


def test_importing_the_client_brings_nothing_of_the_house():
    names = "import sys, cambist.client; print(*sorted(name for name in sys.modules if '.' not in name or name.startswith('cambist')))"
    told = subprocess.run([sys.executable, "-c", names], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "numba", "llvmlite", "litestar", "uvicorn", "structlog"} & set(told)
    assert [name for name in told if name.startswith("cambist") and name != "cambist" and not name.startswith("cambist.client")] == []


def test_a_call_is_answered_and_a_no_is_an_error():
    async def test():
        async with served() as (_, _, house, url), client(url) as mine:
            assert mine.welcome["account"] == "acme" and mine.connected
            told = await mine.cancel_all()
            assert told == {"done": True} and told.status == 200 and not told.duplicate and len(told.client_id) == 32

            async def does(name, body, client_id):
                return failure(422, "OFF_TICK", "no", "$.price")

            house.does = does
            with pytest.raises(ApiError) as no:
                await mine.new_order("BTC-USD", "buy", "1", "2")
            assert (no.value.code, no.value.path, no.value.status) == ("OFF_TICK", "$.price", 422)
            with pytest.raises(TypeError, match="float"):
                await mine.new_order("BTC-USD", "buy", 1.5, "2")
            with pytest.raises(ValueError, match="no operation"):
                await mine.call("order.steal")
    run(test)


@pytest.mark.parametrize("key, private_key, code", [("acme-bot", Ed25519PrivateKey.generate(), "BAD_SIGNATURE"), ("nobody", KEY, "UNKNOWN_KEY")])
def test_a_refused_logon_is_said_at_once(key, private_key, code):
    async def test():
        async with served() as (_, _, _, url):
            with pytest.raises(ApiError) as no:
                async with AsyncClient(url, key, private_key):
                    raise AssertionError("it was let in")
            assert no.value.code == code
    run(test)


def test_no_server_is_an_error_after_the_time_that_was_given():
    async def test():
        with pytest.raises(ApiError) as no:
            async with client(f"ws://127.0.0.1:{free_port()}/v1/ws", timeout=0.3):
                raise AssertionError("nobody was there")
        assert no.value.code == "UNAVAILABLE"
    run(test)


def test_calls_of_before_a_lost_connection_are_sent_again_with_the_same_id():
    async def test():
        port, asked = free_port(), []

        async def silent(name, body, client_id):
            await asyncio.sleep(60)

        async def first_answer(name, body, client_id):
            return Answer(200, Done(), True)

        async with served(port) as (_, _, house, url):
            house.does = silent
            mine = client(url)
            await mine.start()
            calls = [asyncio.create_task(mine.cancel_all()) for _ in range(3)]
            await until(lambda: len(house.began) == 3)
            asked += house.began
        assert not mine.connected
        async with served(port) as (_, _, house, _):
            house.does = first_answer
            told = await asyncio.gather(*calls)
            assert [one.duplicate for one in told] == [True] * 3 and [one.client_id for one in told] == asked == house.began
            await mine.close()
    run(test)


def test_an_unknown_outcome_is_asked_again_with_the_same_bytes_until_it_is_known():
    async def test():
        async with served() as (_, _, house, url), client(url) as mine:
            answers = [failure(504, "UNKNOWN", "no answer"), failure(503, "UNREACHABLE", "away"), Answer(201, Done(), True)]

            async def does(name, body, client_id):
                return answers.pop(0)

            house.does = does
            told = await mine.new_order("BTC-USD", "buy", "1", "2")
            assert told.status == 201 and len(house.began) == 3 and len(set(house.began)) == 1
    run(test)


def test_a_no_to_a_retry_says_nothing_of_the_try_before_it():
    """Throttled, expired or switched off since: it may have been done before. A first answer settles it, and so does a no about the request itself."""
    async def test():
        async with served() as (_, _, house, url), client(url) as mine:
            unknown, rate, expired = failure(504, "UNKNOWN", "no answer"), failure(429, "RATE", "too much"), failure(401, "EXPIRED", "too late")
            answers = []

            async def does(name, body, client_id):
                return answers.pop(0) if len(answers) > 1 else answers[0]

            house.does = does
            for said, code in (([unknown, rate, rate, Answer(201, Done(), True)], ""), ([unknown, rate, rate._replace(duplicate=True)], "RATE"),
                               ([unknown, failure(422, "OFF_TICK", "no")], "OFF_TICK"), ([rate], "RATE"), ([unknown, expired], "UNKNOWN"),
                               ([failure(500, "INTERNAL", "our bug")], "UNKNOWN")):
                answers[:] = said
                told, = await asyncio.gather(mine.cancel_all(timeout=0.5), return_exceptions=True)
                assert getattr(told, "code", "") == code and isinstance(told, OutcomeUnknown) == (code == "UNKNOWN"), said
            again = {"client_id": "f" * 32, "expires": 9}
            answers[:] = [rate, Answer(201, Done(), True)]
            assert (await mine.cancel_all(**again)).duplicate
            answers[:] = [rate]
            with pytest.raises(ApiError, match="RATE"):
                await mine.cancel_all(**again, again=False)
    run(test)


def test_a_no_on_the_next_connection_says_nothing_of_what_was_sent_on_the_last():
    async def test():
        port = free_port()

        async def silent(name, body, client_id):
            await asyncio.sleep(60)

        async with served(port) as (_, _, house, url):
            house.does = silent
            mine = client(url)
            await mine.start()
            call = asyncio.create_task(mine.cancel_all())
            await until(lambda: house.began)
        async with served(port) as (_, _, house, _):
            answers = [failure(429, "RATE", "too much"), Answer(200, Done(), True)]

            async def does(name, body, client_id):
                return answers.pop(0)

            house.does = does
            assert (await call).duplicate
            await mine.close()
    run(test)


def test_what_was_sent_and_not_answered_is_unknown_when_the_client_ends():
    async def test():
        async with served() as (_, _, house, url):
            async def silent(name, body, client_id):
                await asyncio.sleep(60)

            house.does = silent
            mine = client(url)
            await mine.start()
            order, read = (asyncio.create_task(mine.call(name)) for name in ("order.cancel_all", "order.list"))
            await until(lambda: len(house.began) == 2)
            await mine.close()
            told = await asyncio.gather(order, read, return_exceptions=True)
            assert isinstance(told[0], OutcomeUnknown) and told[0].client_id == house.began[0] and "closed" in told[0].message
            assert told[1].code == "CLOSED"
            with pytest.raises(ApiError) as no:         # never sent
                await mine.cancel_all()
            assert no.value.code == "CLOSED"
            with pytest.raises(OutcomeUnknown):         # sent before
                await mine.cancel_all(client_id=told[0].client_id, expires=told[0].expires)
    run(test)


def test_when_no_answer_came_the_outcome_is_unknown_and_can_be_asked_for():
    async def test():
        async with served() as (_, _, house, url), client(url) as mine:
            async def silent(name, body, client_id):
                await asyncio.sleep(60)

            kept, house.does = house.does, silent
            with pytest.raises(OutcomeUnknown) as unknown:
                await mine.cancel_all(timeout=0.2)
            with pytest.raises(ApiError) as no:
                await mine.call("order.list", timeout=0.2)
            assert no.value.code == "UNAVAILABLE"
            house.does = kept
            again = await mine.cancel_all(client_id=unknown.value.client_id, expires=unknown.value.expires)
            assert again.client_id == house.began[0] == house.began[-1]
    run(test)


def test_events_go_on_over_a_lost_connection_without_a_gap():
    async def test():
        port = free_port()
        async with served(port) as (_, link, _, url):
            link.tell(5)
            mine = client(url)
            await mine.start()
            events = mine.events(3)
            assert [(await anext(events))["cursor"] for _ in range(3)] == [3, 4, 5]
        async with served(port) as (_, link, _, _):
            link.tell(9)
            told = [await anext(events) for _ in range(4)]
            assert [event["cursor"] for event in told] == [6, 7, 8, 9] and told[0]["event"] == "order_cancelled"
            with pytest.raises(RuntimeError):
                await anext(mine.events())
            await events.aclose()
            later = mine.events()
            waiting = asyncio.create_task(anext(later))
            await asyncio.sleep(0.1)
            link.tell(1)
            link.push()
            assert (await waiting)["cursor"] == 10
            await later.aclose()
            with pytest.raises(ApiError, match="BAD_CURSOR"):
                await anext(mine.events(99))
            await mine.close()
    run(test)


def test_a_reader_of_events_that_is_slow_keeps_little_and_loses_nothing(monkeypatch):
    monkeypatch.setattr(shell, "MAX_KEPT", 50)

    async def test():
        async with served() as (_, link, _, url), client(url) as mine:
            link.tell(400)
            events = mine.events(1)
            seen = []
            for _ in range(400):
                seen.append((await anext(events))["cursor"])
                if len(seen) % 40 == 0:
                    await asyncio.sleep(0.02)
                assert len(mine._events.rows) <= 50
            assert seen == list(range(1, 401))
    run(test)


def test_a_book_is_live_mends_itself_and_comes_back():
    async def test():
        port = free_port()
        async with served(port) as (_, link, _, url):
            link.level(0, 128_000, 5)
            link.push()
            mine = AsyncClient(url)
            await mine.start()
            book = await mine.book("BTC-USD")
            assert mine.book("BTC-USD") is book
            await until(lambda: book.bids)
            book.sequence -= 1                          # as if an update had been lost
            link.level(0, 128_001, 5)
            link.push()
            await until(lambda: len(book.bids) == 2 and book.live)
            link.level(0, 128_002, 5)
            link.push()
            await book.changed()
            assert len(book.bids) == 3
            with pytest.raises(ApiError) as no:
                await mine.cancel_all()
            assert no.value.code == "NO_KEY"
        await until(lambda: not book.live)
        async with served(port) as (_, link, _, _):
            link.level(1, 128_009, 5)
            link.push()
            await until(lambda: book.live and book.asks)
            assert book.bids == []
            mine.drop_book("BTC-USD")
            with pytest.raises(ApiError, match="UNKNOWN_INSTRUMENT"):
                await mine.book("DOGE-USD")
            await mine.close()
    run(test)


def test_sessions_come_at_once_and_when_they_change():
    async def test():
        async with served() as (server, link, _, url), AsyncClient(url) as mine:
            await until(lambda: server.market.data.floors[BTC].live)
            told = mine.sessions("BTC-USD")
            assert (await anext(told))["session"] == "continuous"
            link.session(3, price=128_000)
            link.push()
            while (said := await anext(told))["indicative"] is None:
                pass
            assert (said["session"], said["indicative"]["quantity"], said["next_session"]) == ("volatility", "1.00000000", "continuous")
            await told.aclose()
            await until(lambda: not server._floors.get(BTC))
    run(test)


def test_trades_come_to_every_reader():
    async def test():
        async with served() as (server, link, _, url), AsyncClient(url) as mine:
            readers = [mine.trades("BTC-USD"), mine.trades("BTC-USD")]
            waiting = [asyncio.create_task(anext(reader)) for reader in readers]
            await until(lambda: server._tapes.get(BTC))
            link.trade(7)
            link.push()
            first, second = await asyncio.gather(*waiting)
            assert first == second and first["match"].startswith("mat_")
            with pytest.raises(ApiError, match="UNKNOWN_INSTRUMENT"):
                await anext(mine.trades("DOGE-USD"))
            for reader in readers:
                await reader.aclose()
            await until(lambda: not server._tapes.get(BTC))
    run(test)


def test_closing_wakes_everyone_who_waits():
    async def test():
        async with served() as (_, _, house, url):
            async def silent(name, body, client_id):
                await asyncio.sleep(60)

            house.does = silent
            mine = client(url)
            await mine.start()
            waiting = [asyncio.create_task(mine.orders()), asyncio.create_task(anext(mine.events())), asyncio.create_task(anext(mine.trades("BTC-USD")))]
            await until(lambda: house.began)
            await mine.close()
            told = await asyncio.gather(*waiting, return_exceptions=True)
            assert [one.code for one in told] == ["CLOSED"] * 3
    run(test)
