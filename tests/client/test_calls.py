"""Operations as requests: the same names, addresses and fields as the gateway's table, decimals as text, and errors with their codes."""
from decimal import Decimal

import msgspec
import pytest

from cambist.client.calls import ROUTES, ApiError, Operations, fault, frame, http_request, leg
from cambist.gateways.operations import OPERATIONS


class Heard(Operations[tuple]):
    """Says what would be called."""
    def call(self, name, body=None, **options):
        return name, dict(body or {}), options


EVERY = [
    ("account", (), {}), ("orders", ("BTC-USD",), {}), ("order", ("ord_1",), {}), ("new_order", ("BTC-USD", "buy", "1", "2"), {"post_only": True}),
    ("amend", ("ord_1", "5", "6"), {}), ("cancel", ("ord_1",), {}), ("cancel_all", (), {}), ("cancel_all", ("BTC-USD", "sell"), {}),
    ("new_order", ("BTC-USD", "sell"), {"quote_quantity": "5", "trigger_on": "mark"}), ("new_order", ("BTC-USD", "buy", "1", "2"), {
        "display": "0.1", "minimum": "0.2", "offset": "1", "type": "midpoint", "good_till": 5, "trigger": "stop", "trigger_price": "3", "reduce_only": True}),
    ("new_list", ("oco", "BTC-USD", "sell", "1", [leg("2"), leg(trigger="trailing", distance="1")]), {}), ("dead_man", (5_000,), {}),
    ("quote_in_books", ([{"instrument": "BTC-USD", "bid": 1, "bid_quantity": "2"}],), {"self_trade": "decrement"}), ("reset_protection", ("BTC-USD",), {}),
    ("request_quote", ("BTC-USD", "two_way", "1"), {"ttl_ms": 500}),
    ("requests", (), {}), ("request", ("req_1",), {}), ("cancel_request", ("req_1",), {}), ("accept", ("req_1", "buy", "7"), {"quote": "quo_1"}),
    ("invitations", (), {}), ("quote", ("req_1",), {"bid": "1", "ask": "2", "ttl_ms": 900}), ("withdraw", ("quo_1",), {}),
    ("transfer", ("borea", "USD", "5"), {}), ("kill", (), {}), ("read_events", (5,), {"limit": 3, "wait_ms": 4}),
]


def test_the_routes_are_the_gateways():
    assert {name: (route.method, route.path, route.changes) for name, route in ROUTES.items()} == {
        name: (operation.method, operation.path, operation.changes) for name, operation in OPERATIONS.items()}


@pytest.mark.parametrize("method, args, options", EVERY, ids=lambda value: value if isinstance(value, str) else "")
def test_every_operation_has_a_method_whose_fields_the_gateway_takes(method, args, options):
    name, body, _ = getattr(Heard(), method)(*args, **options)
    asked = msgspec.convert({key: value.replace("_1", "_" + "a" * 26) if isinstance(value, str) else value for key, value in body.items()},
                            OPERATIONS[name].request)
    assert within({key: value.replace("_1", "_" + "a" * 26) if isinstance(value, str) else value for key, value in body.items()}, msgspec.to_builtins(asked))


def within(part, whole):
    """Whether all that is said in one is said in the other, however deep."""
    if isinstance(part, dict):
        return all(key in whole and within(value, whole[key]) for key, value in part.items())
    if isinstance(part, list):
        return len(part) == len(whole) and all(map(within, part, whole))
    return part == whole


def test_post_only_is_a_word_or_yes():
    assert leg("1", post_only=True)["post_only"] == "reject" and leg("1", post_only="slide")["post_only"] == "slide"
    assert "post_only" not in leg("1", post_only=False)


def test_no_operation_is_without_a_method():
    assert {getattr(Heard(), method)(*args, **options)[0] for method, args, options in EVERY} == set(ROUTES)


def test_fields_go_into_the_path_the_query_or_the_body():
    assert http_request("order.amend", {"order": "ord_1", "price": "5", "quantity": "6"}) == ("PATCH", "/v1/orders/ord_1", b'{"price":"5","quantity":"6"}')
    assert http_request("events.read", {"cursor": 5, "limit": 2}) == ("GET", "/v1/events?cursor=5&limit=2", b"")
    assert http_request("order.cancel", {"order": "a/../b?c"}) == ("DELETE", "/v1/orders/a%2F..%2Fb%3Fc", b"")
    assert http_request("kill.new", {}) == ("POST", "/v1/kill", b"{}") and http_request("order.list", {}) == ("GET", "/v1/orders", b"")
    with pytest.raises(ValueError, match="'order'"):
        http_request("order.get", {})
    with pytest.raises(ValueError, match="no operation"):
        http_request("order.steal", {})


def test_a_frame_has_the_id_and_an_expiry_where_something_changes():
    assert msgspec.json.decode(frame("order.new", {"a": "b"}, "f" * 32, 9)) == {"op": "order.new", "id": "f" * 32, "expires": 9, "body": {"a": "b"}}
    assert msgspec.json.decode(frame("order.list", {}, "f" * 32, 9)) == {"op": "order.list", "id": "f" * 32, "body": {}}


@pytest.mark.parametrize("value, text", [("1.50", "1.50"), (Decimal("1E-8"), "0.00000001"), (Decimal("1E3"), "1000"), (7, "7")])
def test_decimals_are_text(value, text):
    assert Heard().new_order("BTC-USD", "buy", value, value)[1]["price"] == text


@pytest.mark.parametrize("value", [1.5, True, float("nan"), 1j])
def test_a_float_is_refused_before_it_costs_money(value):
    with pytest.raises(TypeError, match="a float loses money"):
        Heard().new_order("BTC-USD", "buy", value, "1")


def test_without_a_price_it_is_a_market_order():
    assert Heard().new_order("BTC-USD", "buy", "1")[1] == {"instrument": "BTC-USD", "side": "buy", "quantity": "1", "type": "market"}


@pytest.mark.parametrize("status, body, code", [
    (422, {"error": {"code": "OFF_TICK", "message": "m", "path": "$.price"}}, "OFF_TICK"), (502, None, "UNAVAILABLE"),
    (418, {"error": "tea"}, "BAD_ANSWER"), (503, "<html>", "UNAVAILABLE")])
def test_every_answer_that_is_no_success_is_an_error_with_a_code(status, body, code):
    said = fault(status, body, 2)
    assert isinstance(said, ApiError) and (said.code, said.status, said.retry_after) == (code, status, 2)
