"""REST over real sockets: how requests are read and answers written, what strangers and sluggards get, and that the server ends when it should."""
import asyncio
import contextlib
import json
import re
import ssl
import time
from pathlib import Path

import httpx
import msgspec
import pytest

from cambist.gateways import guard_shell
from cambist.gateways.openapi import document, example
from cambist.gateways.operations import MAX_BODY, PUBLIC, ROWS, statuses
from cambist.gateways.rest_shell import OPENAPI, allowed, names_of, serving_rest
from cambist.gateways.throttle import Limits, Rate
from cambist.messages import Kind
from cambist.part_shell import Part

from tests.gateways.house_fixture import in_a_world

ORDER = {"instrument": "BTC-USD", "side": "buy", "price": "63000", "quantity": "0.25"}


def code(response):
    return response.status_code, response.json()["error"]["code"]


async def raw(world, data, seconds=20.0, then=b""):
    """Everything that comes back for these bytes until the server closes, and how long that took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    begun = time.monotonic()
    writer.write(data)
    with contextlib.suppress(ConnectionError):
        await writer.drain()
        if then:
            writer.write(then)
        answer = await asyncio.wait_for(reader.read(1 << 20), seconds)
        while more := await asyncio.wait_for(reader.read(1 << 20), seconds):
            answer += more
    writer.close()
    return answer, time.monotonic() - begun


async def _from_key_to_fill(world):
    async with world.client() as client:
        placed = await world.call(client, "acme-bot", "POST", "/v1/orders", ORDER)
        assert placed.status_code == 201 and placed.json()["status"] == "open"
        order = placed.json()["order"]
        assert (await world.call(client, "acme-bot", "GET", f"/v1/orders/{order}")).json()["leaves"] == "0.25000000"
        assert (await world.call(client, "acme-bot", "PATCH", f"/v1/orders/{order}", {"price": "63001", "quantity": "0.5"})).json()["leaves"] == "0.50000000"
        taken = await world.call(client, "borea-bot", "POST", "/v1/orders", ORDER | {"side": "sell"})
        assert taken.status_code == 201 and taken.json()["status"] == "filled"
        assert (await world.call(client, "acme-bot", "DELETE", f"/v1/orders/{order}")).json() == {"order": order, "cancelled": "0.25000000"}
        events = (await world.call(client, "acme-bot", "GET", "/v1/events?cursor=3&limit=1000")).json()["events"]
        assert [event["event"] for event in events] == ["order_accepted", "order_amended", "filled", "order_cancelled"]
        account = (await world.call(client, "acme-bot", "GET", "/v1/account")).json()
        assert account["positions"][0] == {"instrument": "BTC-USD", "net": "0.25000000", "open_buy": "0.00000000", "open_sell": "0.00000000"}


async def _a_request_for_quotes(world):
    async with world.client() as client:
        opened = (await world.call(client, "acme-bot", "POST", "/v1/requests", {"instrument": "BTC-USD", "side": "buy", "quantity": "1"})).json()["request"]
        assert [row["request"] for row in (await world.call(client, "b2", "GET", "/v1/invitations")).json()["invitations"]] == [opened]
        quoted = await world.call(client, "b2", "POST", f"/v1/invitations/{opened}/quotes", {"ask": "64010", "ttl_ms": 20_000})
        assert quoted.status_code == 201
        shown = (await world.call(client, "acme-bot", "GET", f"/v1/requests/{opened}")).json()
        assert [quote["quote"] for quote in shown["quotes"]] == [quoted.json()["quote"]]
        traded = await world.call(client, "acme-bot", "POST", f"/v1/requests/{opened}/accept",
                                  {"side": "buy", "limit_price": "64010", "quote": quoted.json()["quote"]})
        assert traded.status_code == 200 and traded.json()["price"] == "64010.0"


async def _a_retry_gets_the_first_answer_and_says_so(world):
    async with world.client() as client:
        first = await world.call(client, "acme-bot", "POST", "/v1/orders", ORDER, "7" * 32)
        again = await world.call(client, "acme-bot", "POST", "/v1/orders", ORDER, "7" * 32)
        assert "cambist-duplicate" not in first.headers and again.headers["cambist-duplicate"] == "true"
        assert (again.status_code, again.json()) == (first.status_code, first.json())
        assert len((await world.call(client, "acme-bot", "GET", "/v1/orders")).json()["orders"]) == 1


async def _what_is_public(world):
    await world.perform("order.new", "acme-bot", ORDER)
    await world.perform("order.new", "borea-bot", ORDER | {"side": "sell", "quantity": "0.1"})
    async with world.client() as client:
        status = (await client.get("/v1/status")).json()
        assert status["status"] == "open" and status["halted"] == [] and abs(status["time"] - time.time_ns()) < 60 * 10**9
        listed = (await client.get("/v1/instruments")).json()["instruments"]
        assert [one["symbol"] for one in listed] == ["BTC-USD", "XRP-USD", "BTC-USD-PF"]
        one = (await client.get("/v1/instruments/BTC-USD")).json()
        assert one == listed[0] and (one["reference"], one["last"], one["book_tick"], one["max_quantity"]) == ("64000.0", "63000.0", "0.5", "100")
        trades = (await client.get("/v1/instruments/BTC-USD/trades?limit=5")).json()["trades"]
        assert [(trade["side"], trade["price"], trade["quantity"]) for trade in trades] == [("sell", "63000.0", "0.10000000")]
        assert code(await client.get("/v1/instruments/DOGE-USD")) == (404, "UNKNOWN_INSTRUMENT")
        assert code(await client.get("/v1/instruments/BTC-USD/trades?limit=0")) == (422, "BAD_FIELD")
        assert code(await client.get("/v1/instruments/BTC-USD/trades?instrument=XRP-USD")) == (422, "UNKNOWN_FIELD")
        assert code(await client.get("/v1/instruments?x=1")) == (422, "UNKNOWN_FIELD")
        assert code(await client.request("GET", "/v1/status", content=b"{}")) == (400, "UNEXPECTED_BODY")
    world.inside.do(Kind.HALT, "ines", instrument=1, cancel=0)
    world.inside.do(Kind.KILL_ALL, "ines")
    await asyncio.sleep(0.3)
    async with world.client() as client:
        status = (await client.get("/v1/status")).json()
        assert (status["status"], status["halted"]) == ("halted", ["BTC-USD"])


async def _the_book_is_told(world):
    async with world.client() as client:
        async with asyncio.timeout(10):
            while (await client.get("/v1/instruments/BTC-USD/book")).status_code == 503:
                await asyncio.sleep(0.05)
        await world.perform("order.new", "acme-bot", ORDER)
        await world.perform("order.new", "acme-bot", ORDER | {"price": "62000"})
        await world.perform("order.new", "borea-bot", ORDER | {"side": "sell", "price": "65000"})
        async with asyncio.timeout(10):
            while len((book := (await client.get("/v1/instruments/BTC-USD/book?depth=1")).json())["asks"]) < 1:
                await asyncio.sleep(0.01)
        assert (book["bids"], book["asks"]) == ([["63000.0", "0.25000000"]], [["65000.0", "0.25000000"]])
        assert code(await client.get("/v1/instruments/BTC-USD/book?depth=0")) == (422, "BAD_FIELD")


async def _the_document_says_what_is_served(world):
    async with world.client() as client:
        told = await client.get(OPENAPI)
        assert told.status_code == 200 and told.headers["content-type"] == "application/json"
        assert told.json() == json.loads(json.dumps(document("0"))) and "://" not in told.text.replace("https://json-schema.org/draft/2020-12/schema", "")


def test_every_operation_is_described_with_examples_that_fit():
    told = document("1")
    for row in (*PUBLIC, *ROWS):
        described = told["paths"][row.path][getattr(row, "method", "GET").lower()]
        assert described["operationId"] == row.name
        assert {int(status) for status in described["responses"]} >= set(statuses(row))
        for struct in (row.answer, getattr(row, "body", None)):
            if struct is not None:
                assert json.loads(msgspec.json.encode(msgspec.convert(example(struct), struct))) == json.loads(json.dumps(example(struct)))
    for name, schema in told["components"]["schemas"].items():
        assert schema["title"] == name and schema.get("description"), f"{name} says nothing of itself"
    bodies = {row.body.__name__ for row in ROWS if row.body is not None}
    assert all(told["components"]["schemas"][name]["additionalProperties"] is False for name in bodies)
    assert set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(told))) <= set(told["components"]["schemas"])


async def _every_answer_is_ours(world):
    """Paths and methods that are not there, headers on everything, and no word of the framework's."""
    async with world.client() as client:
        answers = [await client.request(method, path) for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW")
                   for path in ("/", "/v1", "/v1/orders", "/v1/orders/x/y", "/v2/orders", "/v1/status", "/schema", "/docs", "/favicon.ico", "/%00",
                                "/v1/orders/%ff")]
        for answer in answers:
            assert answer.status_code < 500 and "Traceback" not in answer.text
            if answer.request.method not in ("HEAD", "OPTIONS"):
                assert answer.headers["x-content-type-options"] == "nosniff" or answer.headers["content-type"] == "application/json"
                assert "error" in answer.json() or answer.request.url.path == "/v1/status"
            assert "server" not in answer.headers and "access-control-allow-origin" not in answer.headers
        refused = await client.put("/v1/orders")
        assert code(refused) == (405, "METHOD_NOT_ALLOWED") and refused.headers["allow"] == "DELETE, GET, POST"
        assert code(await client.get("/v1/nothing")) == (404, "NOT_FOUND")


def test_methods_of_a_path():
    assert allowed("/v1/orders") == ["DELETE", "GET", "POST"] and allowed("/v1/orders/abc") == ["DELETE", "GET", "PATCH"]
    assert allowed("/v1/instruments/BTC-USD/book") == ["GET"] and allowed("/v1/nothing") == []


async def _a_bug_is_told_to_us_alone(world):
    async def broken(*given):
        raise ZeroDivisionError("a secret of ours")
    world.house.status = broken
    async with world.client() as client:
        answer = await client.get("/v1/status")
        assert code(answer) == (500, "INTERNAL") and "secret" not in answer.text and "Zero" not in answer.text
        assert (await client.get("/v1/instruments")).status_code == 200


# ------------------------------------------------------------------------------------------------------------------------------- strangers
async def _other_names_and_other_sites_are_refused(world):
    async with world.client() as client:
        port = world.port
        for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}", f"[::1]:{port}"):
            assert (await client.get("/v1/status", headers={"Host": host})).status_code == 200
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}", f"127.0.0.1:{port}.evil.example", ""):
            assert code(await client.get("/v1/status", headers={"Host": host})) == (421, "WRONG_HOST")
        for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": f"https://127.0.0.1:{port}"}, {"Sec-Fetch-Site": "cross-site"}):
            assert code(await client.get("/v1/status", headers=headers)) == (403, "CROSS_SITE")
        for headers in ({"Origin": f"http://127.0.0.1:{port}"}, {"Sec-Fetch-Site": "none"}):
            assert (await client.get("/v1/status", headers=headers)).status_code == 200


def test_names_beyond_loopback_are_the_host_alone():
    assert names_of("house.example", 443, True) == (frozenset({"house.example", "house.example:443"}), frozenset({"https://house.example", "https://house.example:443"}))
    hosts, _ = names_of("127.0.0.1", 8600, False, ("house.example",))
    assert hosts == {"127.0.0.1:8600", "localhost:8600", "[::1]:8600", "house.example:8600"}


async def _too_much_waits(world):
    async with world.client() as client:
        answers = [await client.get("/v1/status") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429] and answers[3].headers["retry-after"] == "1"
        assert code(answers[3]) == (429, "RATE")
        answers = [await world.call(client, "acme-bot", "GET", "/v1/requests") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429] and answers[2].headers["retry-after"] == "1"
        answers = [await client.get("/v1/account") for _ in range(30)]
        assert {answer.status_code for answer in answers} == {401, 429}


# ------------------------------------------------------------------------------------------------------------------------------- sluggards
async def _what_is_too_long_is_not_read(world):
    head = f"POST /v1/orders HTTP/1.1\r\nHost: 127.0.0.1:{world.port}\r\nContent-Type: application/json\r\n"
    answer, took = await raw(world, f"{head}Content-Length: {1 << 30}\r\n\r\n{{".encode())
    assert b" 413 " in answer and b"TOO_LARGE" in answer and took < 2
    chunk = b"1000\r\n" + b"a" * 4096 + b"\r\n"
    answer, took = await raw(world, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * (MAX_BODY // 4096 + 2))
    assert b" 413 " in answer and b"TOO_LARGE" in answer and took < 2
    async with world.client() as client:
        assert code(await world.call(client, "acme-bot", "POST", "/v1/orders", b" " * (MAX_BODY + 1))) == (413, "TOO_LARGE")
        assert code(await world.call(client, "acme-bot", "POST", "/v1/orders", b" " * MAX_BODY)) == (400, "MALFORMED")


async def _endless_headers_are_cut(world):
    host = f"Host: 127.0.0.1:{world.port}\r\n"
    for data in (b"GET /" + b"a" * 300_000, f"GET / HTTP/1.1\r\n{host}X: ".encode() + b"a" * 300_000,
                 f"GET / HTTP/1.1\r\n{host}".encode() + b"X: y\r\n" * 60_000):
        answer, took = await raw(world, data)
        assert (b" 431 " in answer or answer == b"") and took < 3


async def _slow_heads_and_bodies_are_ended(world):
    head = f"POST /v1/orders HTTP/1.1\r\nHost: 127.0.0.1:{world.port}\r\nContent-Type: application/json\r\nContent-Length: 10\r\n"
    for data, word in ((b"", b"SLOW_HEAD"), (b"GE", b"SLOW_HEAD"), (head.encode(), b"SLOW_HEAD"), (f"{head}\r\n{{".encode(), b"SLOW_BODY")):
        answer, took = await raw(world, data)
        assert b" 408 " in answer and word in answer and 0.2 < took < 5, (data, answer)


async def _a_head_that_trickles_is_ended(world):
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    begun = time.monotonic()
    for byte in b"GET /v1/status HTTP/1.1\r\nHost: x" * 100:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.02)
        if reader.at_eof() or writer.is_closing() or reader._buffer:
            break
    assert b"SLOW_HEAD" in await reader.read(4096) and 0.2 < time.monotonic() - begun < 5
    writer.close()


async def _a_reader_that_does_not_read_is_left(world):
    """Many answers asked for and none read: the server gives up on it, and others are served meanwhile."""
    _, writer = await asyncio.open_connection("127.0.0.1", world.port, limit=1)
    asking = f"GET {OPENAPI} HTTP/1.1\r\nHost: 127.0.0.1:{world.port}\r\n\r\n".encode()
    begun = time.monotonic()
    with contextlib.suppress(ConnectionError):
        for _ in range(200):
            writer.write(asking)
        async with asyncio.timeout(20):
            while not writer.transport.is_closing():
                await asyncio.sleep(0.05)
                async with world.client() as client:
                    assert (await client.get("/v1/instruments")).status_code == 200
                if time.monotonic() - begun > 1.5:
                    writer.write(b"x" * 65536)
    assert time.monotonic() - begun < 15
    writer.close()


async def _connections_are_counted(world):
    held = [await asyncio.open_connection("127.0.0.1", world.port) for _ in range(8)]
    async with world.client() as client:
        answer, _ = await raw(world, b"")
        assert b" 503 " in answer and b"TOO_MANY_CONNECTIONS" in answer
        for _, writer in held:
            writer.close()
        await asyncio.sleep(0.1)
        assert (await client.get("/v1/status")).status_code == 200


async def _requests_of_one_connection_are_answered_in_order(world):
    head = f"Host: 127.0.0.1:{world.port}\r\n\r\n"
    paths = ["/v1/instruments/BTC-USD", "/v1/nothing", "/v1/instruments/XRP-USD", "/v1/status"] * 5
    answer, _ = await raw(world, "".join(f"GET {path} HTTP/1.1\r\n{head}" for path in paths[:-1]).encode()
                          + f"GET {paths[-1]} HTTP/1.1\r\nConnection: close\r\n{head}".encode())
    seen = re.findall(rb'"symbol":"([\w-]+)"|"code":"(NOT_FOUND)"|"status":"(open)"', answer)
    assert [b"".join(each) for each in seen] == [b"BTC-USD", b"NOT_FOUND", b"XRP-USD", b"open"] * 5


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00\x01\x00", b"HELO house\r\n\r\n", b"\x00" * 100, b"GET / HTTP/9.9\r\n\r\n", b"GET  HTTP/1.1\r\n\r\n",
                                  b"POST /v1/orders HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                                  b"POST /v1/orders HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                                  b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
def test_what_is_no_http_gets_an_error_and_the_server_goes_on(data, tmp_path):
    async def test(world):
        answer, took = await raw(world, data)
        assert took < 5 and (answer == b"" or b" 400 " in answer or b" 421 " in answer), answer
        async with world.client() as client:
            assert (await client.get("/v1/status")).status_code == 200
    in_a_world(test, rest=True)(tmp_path)


# ------------------------------------------------------------------------------------------------------------------------------ begin and end
async def _beyond_this_machine_only_with_tls(world):
    part = Part(Path(), "", {"rest": ("0.0.0.0", 0)}, None, asyncio.Event(), print, print)
    with pytest.raises(ValueError, match="TLS"):
        async with serving_rest(part, world.house, world.market, "0"):
            pass


async def _an_address_that_is_taken_is_an_error(world):
    part = Part(Path(), "", {"rest": ("127.0.0.1", world.port)}, None, asyncio.Event(), print, print)
    with pytest.raises(OSError, match="address"):
        async with serving_rest(part, world.house, world.market, "0"):
            pass


async def _it_ends_soon_though_someone_waits(world):
    part = Part(Path(), "", {"rest": ("127.0.0.1", 0)}, None, asyncio.Event(), print, print)
    async with serving_rest(part, world.house, world.market, "0") as server:
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            waiting = asyncio.create_task(world.call(client, "acme-bot", "GET", "/v1/events?cursor=3&wait_ms=30000"))
            idle = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.sleep(0.2)
            begun = time.monotonic()
            server.should_exit = True
            with contextlib.suppress(httpx.HTTPError):
                await waiting
            idle[1].close()
    assert time.monotonic() - begun < 5


def test_tls_1_3_alone(tmp_path):
    certificate, private_key = self_signed(tmp_path)

    async def test(world):
        part = Part(tmp_path, "", {"rest": ("127.0.0.1", 0)}, (certificate, private_key), asyncio.Event(), print, print)
        async with serving_rest(part, world.house, world.market, "0") as server:
            port = server.servers[0].sockets[0].getsockname()[1]
            trusting = ssl.create_default_context(cafile=str(certificate))
            async with httpx.AsyncClient(verify=trusting) as client:
                answer = await client.get(f"https://127.0.0.1:{port}/v1/status")
                assert answer.status_code == 200
            trusting.maximum_version = ssl.TLSVersion.TLSv1_2
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
            with contextlib.suppress(ConnectionError):
                assert not (await plain(port, b"GET /v1/status HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")
    in_a_world(test)(tmp_path)


async def plain(port, data):
    """What a port says to bytes that are not encrypted."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    answer = await asyncio.wait_for(reader.read(1 << 16), 10)
    writer.close()
    return answer


def self_signed(folder):
    """A certificate for 127.0.0.1 and its key, as files."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "house")])
    now = datetime.datetime.now(datetime.UTC)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
            .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False).sign(key, hashes.SHA256()))
    (folder / "c.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "k.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return folder / "c.pem", folder / "k.pem"


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(guard_shell, "HEAD_SECONDS", 0.4)
    monkeypatch.setattr(guard_shell, "BODY_SECONDS", 0.4)
    monkeypatch.setattr(guard_shell, "SEND_SECONDS", 0.4)


def test_slow_heads_and_bodies_are_ended(impatient, tmp_path):
    in_a_world(_slow_heads_and_bodies_are_ended, rest=True)(tmp_path)


def test_a_head_that_trickles_is_ended(impatient, tmp_path):
    in_a_world(_a_head_that_trickles_is_ended, rest=True)(tmp_path)


def test_a_reader_that_does_not_read_is_left(impatient, tmp_path):
    in_a_world(_a_reader_that_does_not_read_is_left, rest=True)(tmp_path)


def test_connections_are_counted(monkeypatch, tmp_path):
    monkeypatch.setattr(guard_shell, "MAX_CONNECTIONS", 8)
    in_a_world(_connections_are_counted, rest=True)(tmp_path)


test_from_key_to_fill = in_a_world(_from_key_to_fill, rest=True)
test_a_request_for_quotes = in_a_world(_a_request_for_quotes, rest=True)
test_a_retry_gets_the_first_answer_and_says_so = in_a_world(_a_retry_gets_the_first_answer_and_says_so, rest=True)
test_what_is_public = in_a_world(_what_is_public, rest=True)
test_the_book_is_told = in_a_world(_the_book_is_told, rest=True)
test_the_document_says_what_is_served = in_a_world(_the_document_says_what_is_served, rest=True)
test_every_answer_is_ours = in_a_world(_every_answer_is_ours, rest=True)
test_a_bug_is_told_to_us_alone = in_a_world(_a_bug_is_told_to_us_alone, rest=True)
test_other_names_and_other_sites_are_refused = in_a_world(_other_names_and_other_sites_are_refused, rest=True)
test_too_much_waits = in_a_world(_too_much_waits, rest=True, limits=Limits(public=Rate(1, 3), reads=Rate(1, 2), unproven=Rate(1, 20)))
test_what_is_too_long_is_not_read = in_a_world(_what_is_too_long_is_not_read, rest=True)
test_endless_headers_are_cut = in_a_world(_endless_headers_are_cut, rest=True)
test_requests_of_one_connection_are_answered_in_order = in_a_world(_requests_of_one_connection_are_answered_in_order, rest=True)
test_beyond_this_machine_only_with_tls = in_a_world(_beyond_this_machine_only_with_tls)
test_an_address_that_is_taken_is_an_error = in_a_world(_an_address_that_is_taken_is_an_error, rest=True)
test_it_ends_soon_though_someone_waits = in_a_world(_it_ends_soon_though_someone_waits)
