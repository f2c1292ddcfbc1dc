"""Whatever is sent over REST: a clear error with a code, nothing changed, and the gateway goes on."""
import asyncio
import time

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cambist.gateways.operations import OPERATIONS, ROWS, statuses
from cambist.gateways.throttle import Limits, Rate

from tests.gateways.house_fixture import SECOND, in_a_world

ORDER = {"instrument": "BTC-USD", "side": "buy", "price": "63000", "quantity": "0.25"}
FREE = Limits(*[Rate(1_000_000, 1_000_000)] * len(Limits._fields))
MARKUP = ("<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'; DROP TABLE orders; --", "{{7*7}}", "${jndi:ldap://x}", "../../etc/passwd",
          "\u202eevil", "a\x00b", "\ud83d\ude00", "%s%n", "x" * 200)


def code(answer):
    assert answer.headers["content-type"] == "application/json" and answer.headers["x-content-type-options"] == "nosniff"
    told = answer.json()["error"]
    assert set(told) == {"code", "message", "path"} and told["message"]
    return answer.status_code, told["code"]


class Untouched:
    """The log stands where it stood, and the gateway answers."""
    def __init__(self, world, client):
        self.world, self.client = world, client

    async def __aenter__(self):
        self.sequence = self.world.behind.node.cell.sequence

    async def __aexit__(self, kind, *_):
        if kind is None:
            assert self.world.behind.node.cell.sequence == self.sequence, "something entered the log"
            assert (await self.world.call(self.client, "acme-bot", "GET", "/v1/account")).status_code == 200


async def _bodies_that_are_no_request(world):
    whole = msgspec.json.encode(ORDER)
    async with world.client() as client, Untouched(world, client):
        for body, said in (
                (b"{", "MALFORMED"), (whole[:-1], "MALFORMED"), (whole + b"x", "MALFORMED"), (b"\xff\xff", "MALFORMED"),
                (whole.replace(b'"63000"', b"NaN"), "MALFORMED"), (whole.replace(b'"63000"', b"-Infinity"), "MALFORMED"),
                (whole.replace(b'"63000"', b"1e999"), "BAD_FIELD"), (b"[]", "BAD_FIELD"),
                (b"null", "BAD_FIELD"), (b"1", "BAD_FIELD"), (b"{}", "MISSING_FIELD"), (b'{"order":"x"}', "UNKNOWN_FIELD"), (b"[" * 65_000, "BAD_FIELD"),
                (whole.replace(b'"63000"', b"63000.0"), "BAD_FIELD"), (whole.replace(b'"0.25"', b"1"), "BAD_FIELD"),
                (whole.replace(b'"0.25"', b"true"), "BAD_FIELD"), (whole.replace(b'"0.25"', b'"NaN"'), "BAD_QUANTITY"),
                (whole.replace(b'"0.25"', b'"1e5"'), "BAD_QUANTITY"),
                (whole.replace(b'"0.25"', b'"-1"'), "BAD_QUANTITY"), (whole.replace(b"buy", b"BUY"), "BAD_FIELD"),
                (whole[:-1] + b',"account":"borea"}', "UNKNOWN_FIELD"), (whole[:-1] + b',"time_in_force":"good"}', "BAD_FIELD")):
            status, told = code(await world.call(client, "acme-bot", "POST", "/v1/orders", body))
            assert told == said and status in (400, 422), (body[:60], told)


async def _what_is_not_json_by_name(world):
    async with world.client() as client, Untouched(world, client):
        body = msgspec.json.encode(ORDER)
        for kind in ("", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "multipart/form-data", "application/jsonp"):
            headers = world.sign("acme-bot", "POST", "/v1/orders", body, world.new_id()) | ({"Content-Type": kind} if kind else {})
            assert code(await client.post("/v1/orders", content=body, headers=headers)) == (415, "NOT_JSON"), kind
        headers = world.sign("acme-bot", "POST", "/v1/orders", body, world.new_id()) | {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        assert code(await client.post("/v1/orders", content=body, headers=headers)) == (415, "NOT_JSON")


async def _a_charset_that_says_utf_8_is_let_in(world):
    async with world.client() as client:
        body = msgspec.json.encode(ORDER)
        headers = world.sign("acme-bot", "POST", "/v1/orders", body, world.new_id()) | {"Content-Type": 'application/json; charset="UTF-8"'}
        assert (await client.post("/v1/orders", content=body, headers=headers)).status_code == 201


async def _bodies_and_queries_where_none_belong(world):
    async with world.client() as client, Untouched(world, client):
        for method, target in (("GET", "/v1/account"), ("DELETE", "/v1/orders"), ("GET", "/v1/orders")):
            assert code(await world.call(client, "acme-bot", method, target, {"x": 1})) == (400, "UNEXPECTED_BODY")
        for method, target, said in (("GET", "/v1/account?x=1", "UNKNOWN_FIELD"), ("POST", "/v1/orders?x=1", "UNKNOWN_FIELD"),
                                     ("GET", "/v1/events?limit=1&limit=2", "BAD_FIELD"), ("GET", "/v1/events?limit=1.5", "BAD_FIELD"),
                                     ("GET", "/v1/events?limit=NaN", "BAD_FIELD"), ("GET", "/v1/events?cursor=-1", "BAD_FIELD"),
                                     ("GET", "/v1/events?wait_ms=99999", "BAD_FIELD"), ("GET", "/v1/orders/x?order=y", "UNKNOWN_FIELD"),
                                     ("GET", "/v1/events?" + "&".join(f"a{i}=1" for i in range(30)), "BAD_FIELD")):
            body = ORDER if method == "POST" else None
            assert code(await world.call(client, "acme-bot", method, target, body)) == (422, said), target


async def _signatures_expired_tampered_and_replayed(world):
    async with world.client() as client:
        body = msgspec.json.encode(ORDER)
        async with Untouched(world, client):
            now = time.time_ns()
            for expires, said in ((now - SECOND, "EXPIRED"), (now, "EXPIRED"), (now + 61 * SECOND, "EXPIRES_TOO_LATE"), (0, "EXPIRED"),
                                  (2**63 - 1, "EXPIRES_TOO_LATE")):
                headers = world.sign("acme-bot", "POST", "/v1/orders", body, world.new_id(), expires) | {"Content-Type": "application/json"}
                assert code(await client.post("/v1/orders", content=body, headers=headers)) == (401, said)
            headers = world.sign("acme-bot", "POST", "/v1/orders", body, world.new_id()) | {"Content-Type": "application/json"}
            assert code(await client.post("/v1/orders", content=body.replace(b"buy", b"sell"), headers=headers)) == (401, "BAD_SIGNATURE")
            assert code(await client.post("/v1/orders?x=1", content=body, headers=headers)) == (401, "BAD_SIGNATURE")
            assert code(await client.post("/v1/requests", content=body, headers=headers)) == (401, "BAD_SIGNATURE")
            assert code(await client.post("/v1/orders", content=body, headers=headers | {"Cambist-Id": "f" * 32})) == (401, "BAD_SIGNATURE")
            assert code(await client.post("/v1/orders", content=body, headers=headers | {"Cambist-Key": "borea-bot"})) == (401, "BAD_SIGNATURE")
            unnamed = world.sign("acme-bot", "POST", "/v1/orders", body, "") | {"Content-Type": "application/json"}
            assert code(await client.post("/v1/orders", content=body, headers=unnamed)) == (400, "NO_ID")
        answers = [await client.post("/v1/orders", content=body, headers=headers) for _ in range(5)]
        assert {answer.json()["order"] for answer in answers} == {answers[0].json()["order"]} and {answer.status_code for answer in answers} == {201}
        assert [answer.headers.get("cambist-duplicate") for answer in answers] == [None, *["true"] * 4], "a copy of a request counts once"
        assert len((await world.call(client, "acme-bot", "GET", "/v1/orders")).json()["orders"]) == 1


async def _a_request_that_expires_on_its_way_counts_not(world):
    """The gateway lets it in, and it reaches the log after its expiry: nothing was done, and the answer says so."""
    await world.perform("order.list", "acme-bot")
    await world.house._ear(world.session("acme-bot").account)
    before, world.house._expires = world.house._expires, lambda expires, now, window: time.time_ns() - 1
    answer = await world.perform("order.new", "acme-bot", ORDER)
    assert (answer[0], answer[1]["error"]["code"]) == (401, "EXPIRED")
    world.house._expires = before
    assert (await world.perform("order.list", "acme-bot"))[1]["orders"] == []


async def _markup_in_every_text_field(world):
    """It comes back as JSON and nothing else, and it names nothing."""
    async with world.client() as client:
        for text in MARKUP:
            for target, body in (("/v1/orders", ORDER | {"instrument": text}), ("/v1/orders", ORDER | {"price": text}),
                                 ("/v1/orders", ORDER | {"quantity": text}), ("/v1/orders", ORDER | {"side": text}), ("/v1/orders", ORDER | {text: text}),
                                 ("/v1/transfers", {"to": text, "asset": "USD", "amount": "1"}),
                                 ("/v1/transfers", {"to": "borea", "asset": text, "amount": "1"}),
                                 ("/v1/requests", {"instrument": text, "side": "buy", "quantity": "1"})):
                async with Untouched(world, client):
                    data = msgspec.json.encode(body) if "\ud83d" not in text else str(body).replace("'", '"').encode("utf-8", "surrogatepass")
                    status, said = code(await world.call(client, "acme-bot", "POST", target, data))
                    assert status in (400, 404, 422), (target, text, said)
            path = httpx.URL("http://x/v1/orders/" + "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "replace"))).raw_path.decode()
            answer = await world.call(client, "acme-bot", "GET", path)
            assert code(answer)[0] in (404, 422)
            public = await client.get(path.replace("orders", "instruments"))
            assert code(public)[0] in (404, 422)


async def _foreign_things_are_not_there(world):
    _, placed, _ = await world.perform("order.new", "acme-bot", ORDER)
    _, asked, _ = await world.perform("request.new", "acme-bot", {"instrument": "BTC-USD", "side": "buy", "quantity": "1"})
    async with world.client() as client:
        for method, target, body in (("GET", f"/v1/orders/{placed['order']}", None), ("DELETE", f"/v1/orders/{placed['order']}", None),
                                     ("PATCH", f"/v1/orders/{placed['order']}", {"price": "1", "quantity": "1"}),
                                     ("GET", f"/v1/requests/{asked['request']}", None), ("DELETE", f"/v1/requests/{asked['request']}", None),
                                     ("POST", f"/v1/requests/{asked['request']}/accept", {"side": "buy", "limit_price": "65000"})):
            status, said = code(await world.call(client, "borea-bot", method, target, body))
            assert status == 404 and said in ("UNKNOWN_ORDER", "UNKNOWN_REQUEST")
        assert (await world.call(client, "borea-bot", "DELETE", "/v1/orders")).status_code == 200
        assert len((await world.call(client, "acme-bot", "GET", "/v1/orders")).json()["orders"]) == 1
        events = (await world.call(client, "borea-bot", "GET", "/v1/events?cursor=3")).json()["events"]
        assert {event["event"] for event in events} == {"refused", "done"}, "only what it named itself and was refused"


# --------------------------------------------------------------------------------------------------------------------------------- chance
JUNK = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
                    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4), max_leaves=12)
DECIMALS = st.one_of(st.decimals(allow_nan=True, allow_infinity=True).map(str), st.integers(-10**30, 10**30).map(str),
                     st.text(alphabet="0123456789.-eE+ ", max_size=30), st.sampled_from(["0", "63000", "0.25", "00.1", "1.", ".5", "0.0001", "6" * 60]))
FIELDS = {"instrument": st.sampled_from(["BTC-USD", "XRP/USD", "BTC-USD-PF", "btc-usd", ""]), "side": st.sampled_from(["buy", "sell", "two_way", ""]),
          "type": st.sampled_from(["limit", "market"]), "time_in_force": st.sampled_from(["gtc", "ioc", "fok", "day"]), "post_only": st.booleans(),
          "self_trade": st.sampled_from(["cancel_newest", "cancel_oldest", "cancel_both", "decrement"]),
          "ttl_ms": st.integers(-1, 2**64), "cursor": st.integers(-1, 2**64), "limit": st.integers(-1, 2000), "wait_ms": st.integers(-1, 2),
          "to": st.sampled_from(["borea", "acme", "house", "nobody"]), "asset": st.sampled_from(["BTC", "USD", "EUR"])}
IDS = st.one_of(st.none(), st.text(max_size=40), st.integers(1, 2**128 - 1).map(lambda number: f"{number:032x}"))
NEAR = {name: st.fixed_dictionaries({}, optional={field: st.one_of(FIELDS.get(field, DECIMALS), JUNK if i == 0 else FIELDS.get(field, DECIMALS))
                                                 for i, field in enumerate(OPERATIONS[name].request.__struct_fields__)}) for name in OPERATIONS}


def encoded(value):
    """JSON as others write it: NaN and all."""
    import json
    return json.dumps(value).encode("utf-8", "replace")


@pytest.mark.parametrize("name", [row.name for row in ROWS])
def test_chance_finds_no_way_to_break_an_operation(name, tmp_path):
    async def test(world):
        loop, row = asyncio.get_running_loop(), OPERATIONS[name]
        keys = {"kill.new": "acme-killer", "quote.new": "b2", "quote.withdraw": "b2", "invitation.list": "b2"}
        session = world.session(keys.get(name, "acme-bot"))

        @given(st.one_of(NEAR[name].map(encoded), JUNK.map(encoded), st.binary(max_size=100)), IDS, st.one_of(st.none(), st.integers(-2**70, 2**70)))
        @settings(max_examples=40)
        def whatever(body, client_id, expires):
            answer = asyncio.run_coroutine_threadsafe(world.house.perform(name, session, body, client_id, expires), loop).result(30)
            assert answer.status in (row.status, 202, *statuses(row)) and answer.status < 500, (answer, body)
            msgspec.json.encode(answer.body)
        await asyncio.to_thread(whatever)
        assert (await world.perform("account.get", "acme-bot"))[0] == 200
        assert not world.behind.node.stopped
    in_a_world(test, limits=FREE)(tmp_path)


async def _chance_finds_no_way_to_break_a_connection(world):
    loop = asyncio.get_running_loop()
    host = f"Host: 127.0.0.1:{world.port}\r\n".encode()

    async def send(data):
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(data)
        writer.write_eof()
        try:
            return await asyncio.wait_for(reader.read(1 << 16), 10)
        except ConnectionError:
            return b""
        finally:
            writer.close()

    parts = st.tuples(st.sampled_from([b"GET", b"POST", b"DELETE", b"get", b"\xc3"]), *[st.binary(max_size=60)] * 3)

    @given(st.binary(max_size=300) | parts.map(lambda part: b"%b /v1/%b HTTP/1.1\r\n%b%b\r\n\r\n%b" % (*part[:2], host, *part[2:])))
    @settings(max_examples=100)
    def whatever(data):
        answer = asyncio.run_coroutine_threadsafe(send(data), loop).result(20)
        assert answer == b"" or (answer.startswith(b"HTTP/1.1 ") and not answer.startswith(b"HTTP/1.1 5") and b"Traceback" not in answer), answer
    await asyncio.to_thread(whatever)
    async with world.client() as client:
        assert (await client.get("/v1/status")).status_code == 200


test_bodies_that_are_no_request = in_a_world(_bodies_that_are_no_request, rest=True)
test_what_is_not_json_by_name = in_a_world(_what_is_not_json_by_name, rest=True)
test_a_charset_that_says_utf_8_is_let_in = in_a_world(_a_charset_that_says_utf_8_is_let_in, rest=True)
test_bodies_and_queries_where_none_belong = in_a_world(_bodies_and_queries_where_none_belong, rest=True)
test_signatures_expired_tampered_and_replayed = in_a_world(_signatures_expired_tampered_and_replayed, rest=True)
test_a_request_that_expires_on_its_way_counts_not = in_a_world(_a_request_that_expires_on_its_way_counts_not)
test_markup_in_every_text_field = in_a_world(_markup_in_every_text_field, rest=True, limits=FREE)
test_foreign_things_are_not_there = in_a_world(_foreign_things_are_not_there, rest=True)
test_chance_finds_no_way_to_break_a_connection = in_a_world(_chance_finds_no_way_to_break_a_connection, rest=True, limits=FREE)
