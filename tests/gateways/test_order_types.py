"""Every kind of order, lists, quotes in the book and what protects them: from the request to the house's answer, and what is told afterwards."""
import time

from cambist.dictionary import read_client_id
from cambist.gateways.operations import id_after
from cambist.messages import Kind, Session

from tests.gateways.house_fixture import SECOND, in_a_world

BTC = {"instrument": "BTC-USD"}


def order(side="buy", quantity="0.25", **said):
    return BTC | {"side": side, "quantity": quantity} | said


async def sent(world, key, **said):
    status, told, _ = await world.perform("order.new", key, order(**said))
    assert status == 201, told
    return told


async def no(world, key, name, body):
    status, told, _ = await world.perform(name, key, body)
    assert status >= 400, told
    return status, told["error"]["code"], told["error"]["path"]


async def shown(world, key, order):
    return (await world.perform("order.get", key, {"order": order}))[1]


def pass_time(world):
    world.inside.do(Kind.TICK, "clock")


def session(world, which, following=0, duration=0):
    world.inside.do(Kind.SESSION, "ines", instrument=1, session=which, next=following, duration=duration)


async def _each_kind_of_order_is_shown_as_it_was_sent(world):
    peg = await sent(world, "acme-bot", type="primary", price="63500", offset="1", quantity="0.1")
    under = await sent(world, "borea-bot", price="63000")
    pass_time(world)
    assert peg["status"] == "open" and (await shown(world, "acme-bot", peg["order"]))["price"] == "62999.0"
    told = await shown(world, "acme-bot", peg["order"])
    assert (told["type"], told["limit"], told["offset"], told["state"]) == ("primary", "63500.0", "1.0", "book")
    iceberg = await sent(world, "acme-bot", price="63000", display="0.05")
    assert (await shown(world, "acme-bot", iceberg["order"]))["display"] == "0.05000000"
    slid = await sent(world, "borea-bot", side="sell", price="63000", post_only="slide")
    assert slid["price"] == "63000.5" and (await shown(world, "borea-bot", slid["order"]))["post_only"] == "slide"
    stop = await sent(world, "acme-bot", side="sell", type="market", trigger="stop", trigger_price="62000", trigger_on="index")
    assert (stop["status"], stop["trigger_price"]) == ("waiting", "62000.0")
    told = await shown(world, "acme-bot", stop["order"])
    assert (told["state"], told["trigger"], told["trigger_on"], told["trigger_price"], told["price"]) == ("waiting", "stop", "index", "62000.0", "58900.0")
    until = time.time_ns() + 30 * SECOND
    dated = await sent(world, "acme-bot", price="61000", time_in_force="gtd", good_till=until)
    assert (await shown(world, "acme-bot", dated["order"]))["good_till"] == until
    opening = await sent(world, "acme-bot", price="61000", time_in_force="at_open")
    assert opening["status"] == "waiting"
    listed = (await world.perform("order.list", "acme-bot", BTC))[1]["orders"]
    assert {each["order"] for each in listed} == {each["order"] for each in (peg, iceberg, stop, dated, opening)}
    assert under["status"] == "open"


async def _a_size_in_quote_is_spent(world):
    await sent(world, "borea-bot", side="sell", price="64000", quantity="1")
    status, told, _ = await world.perform("order.new", "acme-bot", BTC | {"side": "buy", "type": "market", "quote_quantity": "32000"})
    assert status == 201 and told["quantity"] is None and told["quote_quantity"] == "32000"
    assert [fill["quantity"] for fill in told["fills"]] == ["0.50000000"] and told["status"] == "filled"


async def _a_trigger_fires_and_the_events_tell_it(world):
    await sent(world, "borea-bot", price="63000", quantity="1")
    stop = await sent(world, "acme-bot", side="sell", type="market", trigger="stop", trigger_price="63500", trigger_on="index", quantity="0.1")
    world.inside.price("BTC-USD", "63400")
    pass_time(world)
    await world.settled()
    events = (await world.perform("events.read", "acme-bot", {"cursor": 1, "limit": 1000}))[1]["events"]
    mine = [event["event"] for event in events if event.get("order") == stop["order"]]
    assert mine == ["order_accepted", "order_triggered", "filled"]
    assert await no(world, "acme-bot", "order.new", order("sell", type="market", trigger="stop", trigger_price="64500", trigger_on="index")) == \
        (422, "BAD_TRIGGER", "$.trigger_price")


async def _what_does_not_go_together_names_its_field(world):
    for said, expected in [
        ({"price": "63000", "time_in_force": "auction"}, (409, "SESSION", "$.instrument")),
        ({"price": "63000", "display": "0.5"}, (422, "BAD_DISPLAY", "$.display")),
        ({"type": "market", "trigger": "trailing", "distance": "1000000000"}, (422, "BAD_TRIGGER", "$.distance")),
        ({"price": "63000", "time_in_force": "gtd", "good_till": 5}, (422, "BAD_TTL", "$.good_till")),
        ({"price": "63000", "minimum": "0.1"}, (409, "UNFILLABLE", "$.quantity")),
        ({"price": "63000", "reduce_only": True}, (409, "REDUCE_ONLY", "$.quantity")),
        ({"price": "63000", "post_only": "slide", "time_in_force": "ioc"}, (422, "BAD_VALUE", None)),
        ({"type": "midpoint", "price": "63000", "time_in_force": "fok"}, (422, "BAD_TIME_IN_FORCE", "$.time_in_force"))]:
        assert await no(world, "acme-bot", "order.new", order(**said)) == expected, said
    peg = await sent(world, "acme-bot", type="primary", price="63500")
    assert await no(world, "acme-bot", "order.amend", {"order": peg["order"], "price": "63000", "quantity": "0.1"}) == (409, "UNAMENDABLE", "$.order")


BRACKET = BTC | {"kind": "bracket", "side": "buy", "quantity": "0.2", "orders": [
    {"price": "64000"}, {"price": "66000"}, {"type": "market", "trigger": "stop", "trigger_price": "62000", "trigger_on": "index"}]}


async def _a_bracket_is_accepted_whole_and_its_exits_wake(world):
    client_id = world.new_id()
    status, told, duplicate = await world.perform("list.new", "acme-bot", BRACKET, client_id)
    assert status == 201 and not duplicate and [each["status"] for each in told["orders"]] == ["open", "waiting", "waiting"]
    assert [each["side"] for each in told["orders"]] == ["buy", "sell", "sell"]
    again = await world.perform("list.new", "acme-bot", BRACKET, client_id)
    assert again == (201, told, True)
    entry, target, guard = (each["order"] for each in told["orders"])
    told = await shown(world, "acme-bot", guard)
    assert (told["link"], told["linked_to"], told["state"]) == ("child", target, "asleep")
    third = "{:016x}{:016x}".format(*(part & (1 << 64) - 1 for part in id_after(*read_client_id(client_id), 2)))
    assert (await shown(world, "acme-bot", third))["order"] == guard, "an order of a list goes by its own client id"
    await sent(world, "borea-bot", side="sell", price="64000", quantity="0.2")
    pass_time(world)
    assert (await shown(world, "acme-bot", target))["state"] == "book" and (await shown(world, "acme-bot", guard))["state"] == "waiting"
    assert (await world.perform("order.get", "acme-bot", {"order": entry}))[0] == 404
    status, told, _ = await world.perform("order.cancel", "acme-bot", {"order": target})
    assert status == 200 and (await world.perform("order.list", "acme-bot", BTC))[1]["orders"] == []


async def _a_list_is_refused_whole_and_says_which_of_it(world):
    wrong = BRACKET | {"orders": [*BRACKET["orders"][:2], BRACKET["orders"][2] | {"trigger_price": "62000.1"}]}
    sequence = world.behind.node.cell.sequence
    assert await no(world, "acme-bot", "list.new", wrong | {"orders": [{"price": "64000.5"}, {"price": "66000.3"}, wrong["orders"][2]]}) == \
        (422, "OFF_TICK", "$.orders[1].price")
    both_rest = BTC | {"kind": "oco", "side": "sell", "quantity": "0.2", "orders": [{"price": "65000"}, {"price": "66000"}]}
    assert await no(world, "acme-bot", "list.new", both_rest) == (422, "BAD_LINK", "$.orders")
    assert (await world.perform("order.list", "acme-bot", {}))[1]["orders"] == [] and world.behind.node.cell.sequence > sequence
    client_id = world.new_id()
    await world.perform("order.new", "acme-bot", order(price="61000"), client_id)
    assert (await world.perform("list.new", "acme-bot", BRACKET, client_id))[1]["error"]["code"] == "ID_USED"


async def _a_list_that_trades_at_once_tells_its_fills(world):
    await sent(world, "borea-bot", side="sell", price="64000", quantity="0.05")
    status, told, _ = await world.perform("list.new", "acme-bot", BRACKET)
    assert status == 201 and told["orders"][0]["status"] == "open" and [fill["quantity"] for fill in told["orders"][0]["fills"]] == ["0.05000000"]
    assert told["orders"][0]["leaves"] == "0.15000000" and told["orders"][1]["fills"] == []


async def _cancels_by_client_id_by_instrument_and_by_side(world):
    client_id = world.new_id()
    _, first, _ = await world.perform("order.new", "acme-bot", order(price="61000"), client_id)
    await sent(world, "acme-bot", price="61500")
    await sent(world, "acme-bot", side="sell", price="65500")
    _, xrp, _ = await world.perform("order.new", "acme-bot", {"instrument": "XRP-USD", "side": "buy", "price": "0.49", "quantity": "10"})
    status, told, _ = await world.perform("order.cancel", "acme-bot", {"order": client_id})
    assert status == 200 and told["order"] == first["order"]
    assert (await world.perform("order.cancel", "acme-bot", {"order": world.new_id()}))[0] == 404
    assert (await world.perform("order.cancel", "borea-bot", {"order": client_id}))[0] == 404, "a client id is of its account"
    assert (await world.perform("order.cancel_all", "acme-bot", {"side": "sell"}))[:2] == (200, {"done": True})
    pass_time(world)
    assert {each["side"] for each in (await world.perform("order.list", "acme-bot", {}))[1]["orders"]} == {"buy"}
    assert (await world.perform("order.cancel_all", "acme-bot", BTC))[0] == 200
    pass_time(world)
    assert [each["order"] for each in (await world.perform("order.list", "acme-bot", {}))[1]["orders"]] == [xrp["order"]]


async def _a_dead_man_is_set_shown_and_taken_back(world):
    assert (await world.perform("dead_man.set", "acme-bot", {"ttl_ms": 20_000}))[:2] == (200, {"cancels_after_ms": 20_000})
    at = (await world.perform("account.get", "acme-bot"))[1]["dead_man"]
    assert abs(at - time.time_ns() - 20 * SECOND) < 10 * SECOND
    await world.perform("dead_man.set", "acme-bot", {"ttl_ms": 0})
    assert (await world.perform("account.get", "acme-bot"))[1]["dead_man"] is None


QUOTE = {"instrument": "BTC-USD", "bid": "63990", "bid_quantity": "5", "ask": "64010", "ask_quantity": "5"}


async def _a_mass_quote_stands_as_a_unit_and_protection_withdraws_it(world):
    xrp = {"instrument": "XRP-USD", "bid": "0.49", "bid_quantity": "100"}
    status, told, _ = await world.perform("quote.mass", "b2", {"quotes": [xrp, QUOTE]})
    assert status == 201 and [each["instrument"] for each in told["quotes"]] == ["BTC-USD", "XRP-USD"] and told["quotes"][1]["ask_order"] is None
    assert (await shown(world, "b2", told["quotes"][0]["bid_order"]))["quoted"] is True
    assert await no(world, "b2", "quote.mass", {"quotes": [xrp, QUOTE | {"ask": "64010.3"}]}) == (422, "OFF_TICK", "$.quotes[1]")
    await sent(world, "acme-bot", price="64010", quantity="5")
    assert await no(world, "b2", "quote.mass", {"quotes": [QUOTE]}) == (409, "FROZEN", "$.quotes[0].instrument")
    told = (await world.perform("account.get", "b2"))[1]["protections"]
    assert told[0] == {"instrument": "BTC-USD", "quantity": "5.00000000", "delta": None, "window_ms": 4_000, "frozen": True} and not told[1]["frozen"]
    assert (await world.perform("protection.reset", "b2", BTC))[:2] == (200, {"done": True})
    assert await no(world, "b2", "protection.reset", {"instrument": "BTC-USD-PF"}) == (422, "BAD_VALUE", None)
    assert (await world.perform("quote.mass", "b2", {"quotes": [QUOTE]}))[0] == 201


async def _sessions_and_auctions_are_public(world):
    async with world.client() as client:
        async def told():
            world.house._last = world.house._last._replace(at=-1.0)
            return (await client.get("/v1/instruments/BTC-USD")).json()
        assert (await told())["session"] == "continuous" and (await told())["band_ppm"] == 40_000
        session(world, Session.AUCTION, Session.CONTINUOUS)
        one = await told()
        assert (one["session"], one["next_session"], one["auction_ends"], one["indicative"]) == ("auction", "continuous", None, None)
        await sent(world, "acme-bot", price="64100", quantity="0.3")
        await sent(world, "borea-bot", side="sell", price="63900", quantity="0.1")
        assert await no(world, "acme-bot", "order.new", order(price="64000", time_in_force="ioc")) == (409, "SESSION", "$.instrument")
        session(world, Session.CONTINUOUS)
        pass_time(world)
        await world.settled()
        assert (await told())["session"] == "continuous"
        trades = (await client.get("/v1/instruments/BTC-USD/trades")).json()["trades"]
        assert [(each["side"], each["quantity"]) for each in trades] == [(None, "0.10000000")]
        events = (await world.perform("events.read", "acme-bot", {"cursor": 1, "limit": 1000}))[1]["events"]
        assert [event["liquidity"] for event in events if event["event"] == "filled"] == ["auction"]
        session(world, Session.CLOSED)
        assert (await told())["session"] == "closed"
        assert await no(world, "acme-bot", "order.new", order(price="64000")) == (409, "SESSION", "$.instrument")


test_each_kind_of_order_is_shown_as_it_was_sent = in_a_world(_each_kind_of_order_is_shown_as_it_was_sent)
test_a_size_in_quote_is_spent = in_a_world(_a_size_in_quote_is_spent)
test_a_trigger_fires_and_the_events_tell_it = in_a_world(_a_trigger_fires_and_the_events_tell_it)
test_what_does_not_go_together_names_its_field = in_a_world(_what_does_not_go_together_names_its_field)
test_a_bracket_is_accepted_whole_and_its_exits_wake = in_a_world(_a_bracket_is_accepted_whole_and_its_exits_wake)
test_a_list_is_refused_whole_and_says_which_of_it = in_a_world(_a_list_is_refused_whole_and_says_which_of_it)
test_a_list_that_trades_at_once_tells_its_fills = in_a_world(_a_list_that_trades_at_once_tells_its_fills)
test_cancels_by_client_id_by_instrument_and_by_side = in_a_world(_cancels_by_client_id_by_instrument_and_by_side)
test_a_dead_man_is_set_shown_and_taken_back = in_a_world(_a_dead_man_is_set_shown_and_taken_back)
test_a_mass_quote_stands_as_a_unit_and_protection_withdraws_it = in_a_world(_a_mass_quote_stands_as_a_unit_and_protection_withdraws_it)
test_sessions_and_auctions_are_public = in_a_world(_sessions_and_auctions_are_public, rest=True)
