"""The asyncio client and a real house: an order, a request for quotes and a book live their lives over the WebSocket, and the two doors are one house."""
import asyncio
from decimal import Decimal

import pytest

from cambist.client import ApiError, AsyncClient, Client
from tests.client.house_and_both_doors import in_both_doors
from tests.gateways.stand_in import Raw, until


def test_an_order_and_a_request_live_over_the_websocket(tmp_path):
    async def test(opened):
        world = opened.world
        async with AsyncClient(opened.websocket, "acme-bot", opened.pem("acme-bot")) as acme, \
                AsyncClient(opened.websocket, "b2", opened.pem("b2")) as dealer:
            order = await acme.new_order("BTC-USD", "buy", "0.5", "63000")
            again = await acme.new_order("BTC-USD", "buy", "0.5", "63000", client_id=order.client_id)
            assert order["status"] == "open" and again == order and again.duplicate and not order.duplicate
            assert [row["order"] for row in (await acme.orders())["orders"]] == [order["order"]]
            with pytest.raises(ApiError) as no:
                await dealer.cancel(order["order"])
            assert (no.value.code, no.value.status) == ("UNKNOWN_ORDER", 404)
            invited = dealer.events()
            hears = asyncio.create_task(anext(invited))
            await until(lambda: dealer._talk.private)
            asked = await acme.request_quote("BTC-USD", "two_way", "0.25", ttl_ms=5_000)
            event = await hears
            assert event["event"] == "request_invited" and event["quantity"] == asked["quantity"]
            await dealer.quote(event["request"], bid="63990.0", ask="64010.0", ttl_ms=4_000)
            quote, = (await acme.request(asked["request"]))["quotes"]
            trade = await acme.accept(asked["request"], "sell", "63990.0", quote=quote["quote"])
            assert (trade["price"], trade["side"]) == ("63990.0", "sell")
            assert (await anext(invited))["event"] == "quoted"
            await invited.aclose()
            kinds = []
            async for told in acme.events(1):
                kinds.append(told["event"])
                if told["event"] == "filled":
                    assert told["match"] == trade["match"]
                    break
            assert "order_accepted" in kinds and "quote_shown" in kinds
            world.inside.price("BTC-USD", "64000")
            assert (await acme.cancel_all())["done"]
    in_both_doors(tmp_path, test)


def test_many_orders_at_once_keep_their_order(tmp_path):
    async def test(opened):
        async with AsyncClient(opened.websocket, "acme-bot", opened.pem("acme-bot")) as acme:
            prices = [f"{63_000 + n}.0" for n in range(100)]
            told = await asyncio.gather(*(acme.new_order("BTC-USD", "buy", "0.001", price) for price in prices), acme.cancel_all(),
                                        acme.new_order("BTC-USD", "buy", "0.001", "62000"))
            assert told[-1]["status"] == "open"
            mine = {one.client_id for one in told}
            events = [event for event in (await acme.read_events(1, limit=1000))["events"] if event.get("client_id") in mine]
            assert [event["client_id"] for event in events] == [one.client_id for one in told], "the cancel stands where it was sent"
            assert [event["event"] for event in events] == ["order_accepted"] * 100 + ["done", "order_accepted"]
    in_both_doors(tmp_path, test)


def test_a_book_and_its_trades_are_those_of_the_house(tmp_path):
    async def test(opened):
        async with AsyncClient(opened.websocket) as public, AsyncClient(opened.websocket, "acme-bot", opened.pem("acme-bot")) as acme, \
                AsyncClient(opened.websocket, "borea-bot", opened.pem("borea-bot")) as borea:
            await acme.new_order("BTC-USD", "buy", "0.5", "63000")
            book = await public.book("BTC-USD")
            await until(lambda: len(book.bids) == 1)
            await acme.new_order("BTC-USD", "buy", "0.25", "63000")
            await until(lambda: book.bids[0].quantity == Decimal("0.75"))
            trades = public.trades("BTC-USD")
            waiting = asyncio.create_task(anext(trades))
            await until(lambda: any(opened.server._tapes.values()))
            sold = await borea.new_order("BTC-USD", "sell", "0.6", "63000", time_in_force="ioc")
            assert sold["status"] == "filled"
            await until(lambda: book.bids[0].quantity == Decimal("0.15"))
            trade = await waiting
            assert (trade["side"], trade["price"], trade["match"]) == ("sell", "63000.0", sold["fills"][0]["match"])
            await trades.aclose()
            await acme.cancel_all()
            opened.world.inside.price("BTC-USD", "64000")       # a cancel-all is worked off by whatever comes next
            await until(lambda: book.bids == [])

            def over_rest():
                with Client(opened.rest) as plain:
                    return plain.book("BTC-USD"), plain.trades("BTC-USD")
            shown, tape = await asyncio.to_thread(over_rest)
            assert (shown["epoch"], shown["sequence"], shown["checksum"]) == (book.epoch, book.sequence, book.checksum())
            assert tape["trades"][-1]["match"] == trade["match"] or tape["trades"][0]["match"]
    in_both_doors(tmp_path, test)


@pytest.mark.parametrize("body, code", [
    ({"instrument": "BTC-USD", "side": "buy", "quantity": 0.5, "price": "63000"}, "BAD_FIELD"),
    ({"instrument": "BTC-USD", "side": "buy", "quantity": "0.5", "price": "NaN"}, "BAD_PRICE"),
    ({"instrument": "BTC-USD", "side": "buy", "quantity": "0.5", "price": "63000", "account": "borea"}, "UNKNOWN_FIELD"),
    ({"instrument": "<script>", "side": "buy", "quantity": "0.5", "price": "63000"}, "UNKNOWN_INSTRUMENT"), ([], "BAD_FIELD"), (None, "BAD_FIELD")])
def test_bad_bodies_are_refused_and_change_nothing(tmp_path, body, code):
    async def test(opened):
        raw, _ = await Raw.open(opened.websocket)
        assert (await raw.log_on(private_key=opened.world.secrets["acme-bot"]))["op"] == "welcome"
        before = opened.world.behind.node.cell.sequence
        raw.say(op="order.new", id="f" * 32, body=body)
        said = await raw.message()
        assert said["body"]["error"]["code"] == code and said["status"] in (404, 422) and opened.world.behind.node.cell.sequence == before
    in_both_doors(tmp_path, test)


def test_the_scope_of_a_key_is_kept(tmp_path):
    async def test(opened):
        async with AsyncClient(opened.websocket, "acme-reader", opened.pem("acme-reader")) as reader, \
                AsyncClient(opened.websocket, "acme-trader", opened.pem("acme-trader")) as trader:
            with pytest.raises(ApiError) as no:
                await reader.new_order("BTC-USD", "buy", "0.5", "63000")
            assert (no.value.code, no.value.status) == ("SCOPE", 403)
            with pytest.raises(ApiError, match="SCOPE"):
                await anext(trader.events())
            assert trader.welcome["cursor"] is None and reader.welcome["cursor"] >= 1
        with pytest.raises(ApiError, match="DISABLED_KEY"):
            async with AsyncClient(opened.websocket, "acme-off", opened.pem("acme-off")):
                raise AssertionError("a key that is switched off was let in")
    in_both_doors(tmp_path, test)
