"""The REST gateway against its own OpenAPI document: schemathesis makes requests that fit and requests that do not, and every answer is as described."""
import asyncio
import threading

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from cambist.gateways.openapi import document
from cambist.gateways.operations import PUBLIC, ROWS
from cambist.gateways.throttle import Limits, Rate

from tests.gateways.house_fixture import a_world

FREE = Limits(*[Rate(1_000_000, 1_000_000)] * len(Limits._fields))
EXAMPLES = 12                                           # of each operation and mode: enough for every field to be wrong once, in a minute for all
KEYS = {"quote.new": "b2", "quote.withdraw": "b2", "invitation.list": "b2", "kill.new": "acme-killer"}
PLAIN = settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.explicit, Phase.generate],
                 suppress_health_check=list(HealthCheck))
# A limit, a balance or a state may refuse what fits the document, so that what fits is let in is not asked for. What does not fit is refused.
NOT_ASKED = ("positive_data_acceptance",)


class Signed(requests.auth.AuthBase):
    """Signs what goes out, as it goes out."""
    def __init__(self, world, key):
        self.world, self.key = world, key

    def __call__(self, request):
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        client_id = "" if request.method == "GET" else self.world.new_id()
        for name in [name for name in request.headers if name.lower().startswith("cambist-")]:
            del request.headers[name]
        request.headers.update(self.world.sign(self.key, request.method, request.path_url, body, client_id))
        return request


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A house with REST, in a loop of its own thread, for all of these tests."""
    ready, loop, end = threading.Event(), asyncio.new_event_loop(), asyncio.Event()
    found = []

    async def serve():
        async with a_world(tmp_path_factory.mktemp("house"), limits=FREE, rest=True) as world:
            for account, price in (("acme-bot", "62000"), ("borea-bot", "61000")):
                assert (await world.perform("order.new", account, {"instrument": "BTC-USD", "side": "buy", "price": price, "quantity": "1"}))[0] == 201
            found.append(world)
            ready.set()
            await end.wait()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), name="house")
    thread.start()
    assert ready.wait(60)
    yield found[0]
    loop.call_soon_threadsafe(end.set)
    thread.join(30)
    loop.close()
    assert not thread.is_alive()


def described_at(served, row, secured):
    """The row's operation; not `secured`: as if it needed no signature, because that is added to whatever is made, wrong headers or none."""
    told = document("0")
    for path in told["paths"].values():
        for each in path.values():
            if not secured:
                each.pop("security", None)
    schema = schemathesis.openapi.from_dict(told)
    schema.config.update(base_url=f"http://127.0.0.1:{served.port}")
    return schema[row.path][getattr(row, "method", "GET")]


def modes():
    """What has no field can only be asked for as it is; a path with whatever in it is still a path."""
    for row in (*PUBLIC, *ROWS):
        yield row.name, GenerationMode.POSITIVE
        if row.request.__struct_fields__ or getattr(row, "body", None) is not None:
            yield row.name, GenerationMode.NEGATIVE


@pytest.mark.parametrize("name, mode", list(modes()), ids=lambda each: getattr(each, "value", each))
def test_every_answer_is_as_described(name, mode, served):
    load_all_checks()
    wanted = [check for check in CHECKS.get_all() if check.__name__ not in NOT_ASKED]
    row = next(row for row in (*PUBLIC, *ROWS) if row.name == name)
    operation = described_at(served, row, secured=False)
    auth = Signed(served, KEYS.get(name, "acme-bot")) if row in ROWS else None
    statuses = set()

    @given(case=operation.as_strategy(generation_mode=mode))
    @PLAIN
    def described(case):
        response = case.call(auth=auth, timeout=30)
        statuses.add(response.status_code)
        case.validate_response(response, checks=wanted, transport_kwargs={"auth": auth, "timeout": 30})
    described()
    assert statuses and max(statuses) < 500
    assert requests.get(f"http://127.0.0.1:{served.port}/v1/status", timeout=30).json()["status"] == "open"


@pytest.mark.parametrize("name", [row.name for row in ROWS])
def test_without_a_signature_or_with_a_made_up_one_nobody_is_let_in(name, served):
    load_all_checks()
    operation = described_at(served, next(row for row in ROWS if row.name == name), secured=True)

    @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    @settings(PLAIN, max_examples=5)
    def refused(case):
        response = case.call(timeout=30)
        assert response.status_code in (400, 401), response.text
        case.validate_response(response, checks=[check for check in CHECKS.get_all() if check.__name__ not in (*NOT_ASKED, "ignored_auth")])
    refused()
