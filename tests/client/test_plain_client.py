"""The blocking client: every retry is the same request, a no ends it at once, and against a real house an order lives its life."""
import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest

from cambist.client import ApiError, Client, OutcomeUnknown
from tests.client.house_and_both_doors import in_both_doors
from tests.gateways.stand_in import KEY


class Flaky:
    """A server that does what `plan` says, one row a request: "drop", or (status, body), "first" after it for the first answer of long ago. Keeps what it was
    sent."""
    def __init__(self, *plan):
        self.plan, self.heard = list(plan), []
        flaky = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                return

            def do(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                flaky.heard.append((self.command, self.path, body, {name: self.headers[name] for name in self.headers if name.startswith("Cambist-")}))
                row = flaky.plan.pop(0)
                if row == "drop":
                    self.close_connection = True
                    self.connection.shutdown(2)
                    return
                status, told, *first = row
                data = told if isinstance(told, bytes) else msgspec.json.encode(told)
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                if status == 201 or first:
                    self.send_header("Cambist-Duplicate", "true")
                if status == 429:
                    self.send_header("Retry-After", "3")
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = do_PATCH = do

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def error(code):
    return {"error": {"code": code, "message": "m", "path": None}}


def test_what_brought_no_answer_is_sent_again_byte_for_byte():
    with Flaky("drop", (503, error("UNREACHABLE")), (504, error("UNKNOWN")), (502, b"<html>"), (500, error("INTERNAL")), (201, {"order": "ord_1"})) as flaky, \
            Client(flaky.url, "acme-bot", KEY) as mine:
        told = mine.new_order("BTC-USD", "buy", "1", "2")
        assert told == {"order": "ord_1"} and told.duplicate and told.status == 201
        assert len(flaky.heard) == 6 and all(heard == flaky.heard[0] for heard in flaky.heard)
        assert flaky.heard[0][3]["Cambist-Id"] == told.client_id


@pytest.mark.parametrize("status, code", [(422, "OFF_TICK"), (401, "EXPIRED"), (429, "RATE"), (503, "DISK_FULL")])
def test_a_no_is_raised_at_once(status, code):
    with Flaky((status, error(code))) as flaky, Client(flaky.url, "acme-bot", KEY) as mine:
        with pytest.raises(ApiError) as no:
            mine.cancel_all()
        assert (no.value.code, no.value.status, no.value.retry_after, len(flaky.heard)) == (code, status, 3 if status == 429 else 0, 1)


@pytest.mark.parametrize("status, code", [(429, "RATE"), (429, "OVERLOAD"), (401, "EXPIRED"), (403, "DISABLED_KEY"), (503, "DISK_FULL"), (409, "NO_REFERENCE")])
def test_a_no_to_a_retry_says_nothing_of_the_try_before_it(status, code):
    """It may have been done: only the first answer, or a no that the house gives after it looked for the id, tells."""
    no = status, error(code)
    with Flaky("drop", no, no, (201, {"order": "ord_1"})) as flaky, Client(flaky.url, "acme-bot", KEY) as mine:
        assert mine.new_order("BTC-USD", "buy", "1", "2").duplicate and len(flaky.heard) == 4
    with Flaky((504, error("UNKNOWN")), no, (*no, "first")) as flaky, Client(flaky.url, "acme-bot", KEY) as mine:
        with pytest.raises(ApiError) as raised:
            mine.cancel_all()
        assert (raised.value.code, len(flaky.heard)) == (code, 3)
    with Flaky("drop", *[no] * 30) as flaky, Client(flaky.url, "acme-bot", KEY, timeout=0.3) as mine:
        with pytest.raises(OutcomeUnknown):
            mine.cancel_all()


def test_a_no_that_is_about_the_request_itself_is_one_to_a_retry_too():
    with Flaky("drop", (422, error("OFF_TICK"))) as flaky, Client(flaky.url, "acme-bot", KEY) as mine:
        with pytest.raises(ApiError, match="OFF_TICK"):
            mine.cancel_all()
    with Flaky("drop", (429, error("RATE"))) as flaky, Client(flaky.url, "acme-bot", KEY) as mine:
        with pytest.raises(ApiError, match="RATE"):     # a read changes nothing: there is no outcome to know
            mine.account()


def test_whoever_asks_again_says_so_by_the_expiry_it_had():
    with Flaky((429, error("RATE")), (200, {"done": True}), (429, error("RATE"))) as flaky, Client(flaky.url, "acme-bot", KEY) as mine:
        asked = {"client_id": "f" * 32, "expires": 9}
        assert mine.cancel_all(**asked) == {"done": True} and len(flaky.heard) == 2
        with pytest.raises(ApiError, match="RATE"):     # chosen beforehand, and never sent yet
            mine.cancel_all(**asked, again=False)


def test_when_time_is_up_the_outcome_is_unknown_and_can_be_asked_for_again():
    with Flaky(*["drop"] * 20) as flaky, Client(flaky.url, "acme-bot", KEY, timeout=0.3) as mine:
        with pytest.raises(OutcomeUnknown) as unknown:
            mine.cancel_all()
        with pytest.raises(ApiError) as no:
            mine.account()
        assert no.value.code == "UNAVAILABLE" and not isinstance(no.value, OutcomeUnknown)
        flaky.plan[:] = [(200, {"done": True})]
        before = flaky.heard[0]
        assert mine.cancel_all(client_id=unknown.value.client_id, expires=unknown.value.expires) == {"done": True}
        assert flaky.heard[-1] == before


def test_reads_are_signed_without_an_id_and_public_reads_not_at_all():
    with Flaky((200, {}), (200, {}), (200, b"no json"), (200, {"a": 1})) as flaky, Client(flaky.url, "acme-bot", KEY) as mine:
        mine.account()
        mine.status()
        assert mine.instruments() == {"a": 1}
        assert set(flaky.heard[0][3]) == {"Cambist-Key", "Cambist-Expires", "Cambist-Signature"} and flaky.heard[1][3] == {}
    with pytest.raises(ApiError, match="NO_KEY"):
        Client("http://127.0.0.1:1").account()


def test_pages_of_events_are_one_stream():
    pages = [(200, {"events": [{"cursor": 5, "event": "a"}, {"cursor": 6, "event": "b"}], "cursor": 7}), (200, {"events": [], "cursor": 7}),
             (200, {"events": [{"cursor": 7, "event": "c"}], "cursor": 8})]
    with Flaky(*pages) as flaky, Client(flaky.url, "acme-bot", KEY) as mine:
        events = mine.events(5)
        assert [next(events)["cursor"] for _ in range(3)] == [5, 6, 7]
        assert [path.split("?")[1].split("&")[0] for _, path, _, _ in flaky.heard] == ["cursor=5", "cursor=7", "cursor=7"]
    with Flaky((200, {"events": [], "cursor": 9}), (200, {"events": [{"cursor": 9}], "cursor": 10})) as flaky, Client(flaky.url, "acme-bot", KEY) as mine:
        assert next(mine.events(0)) == {"cursor": 9}


def test_a_life_over_rest(tmp_path):
    def life(rest, pem):
        with Client(rest, "acme-bot", pem) as mine:
            assert mine.account()["account"] == "acme" and mine.status()["status"] == "open"
            first = mine.new_order("BTC-USD", "buy", "0.5", "63000")
            again = mine.new_order("BTC-USD", "buy", "0.5", "63000", client_id=first.client_id)
            assert again == first and again.duplicate and not first.duplicate
            assert mine.orders()["orders"][0]["order"] == mine.order(first["order"])["order"] == first["order"]
            assert mine.amend(first["order"], "63000.5", "0.6")["leaves"] == "0.60000000"
            with pytest.raises(ApiError) as no:
                mine.new_order("BTC-USD", "buy", "0.5", "63000.3")
            assert (no.value.code, no.value.path) == ("OFF_TICK", "$.price")
            assert mine.cancel(first["order"])["cancelled"] == "0.60000000"
            kinds = [event["event"] for event in mine.read_events(1)["events"]]
            assert kinds[-3:] == ["order_accepted", "order_amended", "order_cancelled"] or "order_cancelled" in kinds
            assert len(kinds) == sum(1 for _, event in zip(kinds, mine.events(1), strict=False) if event["event"])

    async def test(opened):
        await asyncio.to_thread(life, opened.rest, opened.pem("acme-bot"))
    in_both_doors(tmp_path, test)
