"""Each operation from its request to the house's answer: what it becomes, what it says, and what is wrong with a request before it is sent."""
import asyncio
import itertools
import re
import time

import msgspec
import pytest

from cambist.configure import numbered
from cambist.design import read_design
from cambist.dictionary import Dictionary, Wrong
from cambist.door.protocol import Unreadable
from cambist.gateways import api, house_shell, order_api, replies
from cambist.gateways.auth import AuthError
from cambist.gateways.fields import Known
from cambist.gateways.operations import MAX_BODY, OPERATIONS, ROWS, Session, build, convert, id_after, read_json, records, statuses
from cambist.gateways.reasons import REASONS, Case, refusal
from cambist.gateways.throttle import Limits, Rate
from cambist.messages import AccountKind, Kind, Reason, named
from cambist.opaque import Opaque

from tests.gateways.house_fixture import SECOND, design_text, in_a_world

DESIGN = read_design(design_text())
NAMES = numbered(DESIGN)
WORDS = Dictionary(DESIGN, NAMES, Opaque(bytes(16)))
ACME = Session("acme-bot", NAMES["actors"]["acme-bot"], NAMES["accounts"]["acme"], "acme", AccountKind.CLIENT, frozenset(["read", "trade"]))
KNOWN = Known(WORDS, lambda id: {7: 1, 8: 2, 9: 1}.get(id, 0), lambda number: {1: 640_000, 2: 50_000}.get(number, 0))


def made(name, **fields):
    [(_, told)] = build(name, read_json(msgspec.json.encode(fields), OPERATIONS[name].request), ACME, KNOWN)
    return told


def wrong(name, **fields):
    with pytest.raises(Wrong) as raised:
        made(name, **fields)
    return raised.value.code, raised.value.path


ORDER = {"instrument": "BTC-USD", "side": "buy", "price": "64000.5", "quantity": "0.25"}


# ------------------------------------------------------------------------------------------------------------------------------- the table
def test_names_paths_and_kinds_are_each_given_once():
    assert len({row.name for row in ROWS}) == len({(row.method, row.path) for row in ROWS}) == len(ROWS)
    kinds = [kind for row in ROWS if row.name != "list.new" for kind in row.kinds if kind is not None]       # a list is of orders
    assert len(set(kinds)) == len(kinds)
    for row in ROWS:
        assert row.changes == (row.method != "GET") and (row.body is None) == (row.method in ("GET", "DELETE"))
        assert row.or_kind is None or row.kind is not None
        assert re.findall(r"{(\w+)}", row.path) == ([row.named] if row.named else [])
        assert set(row.scopes) <= {"read", "trade", "cancel", "quote", "transfer", "kill"}
        assert row.status not in statuses(row)


def test_every_field_of_a_body_is_one_of_the_request():
    for row in ROWS:
        if row.body is not None:
            assert set(row.body.__struct_fields__) | ({row.named} if row.named else set()) == set(row.request.__struct_fields__)


# -------------------------------------------------------------------------------------------------------------------------------- commands
def test_an_order_becomes_a_record():
    fields = made("order.new", **ORDER, post_only="reject", self_trade="decrement")
    told = named(records([(Kind.NEW_ORDER, fields)], -1, 5, 9, 8))
    assert {name: told[name] for name in ("kind", "account", "actor", "instrument", "side", "price", "quantity", "post_only", "self_trade", "order_type",
                                          "time_in_force", "id_hi", "id_lo", "expires", "received", "flags")} == {
        "kind": Kind.NEW_ORDER, "account": ACME.account, "actor": ACME.actor, "instrument": 1, "side": 0, "price": 640_005, "quantity": 25_000_000,
        "post_only": 1, "self_trade": 3, "order_type": 0, "time_in_force": 0, "id_hi": -1, "id_lo": 5, "expires": 9, "received": 8, "flags": 0}


def test_the_other_commands():
    order, request, quote = WORDS.opaque.text("order", 7), WORDS.opaque.text("request", 9), WORDS.opaque.text("quote", 11)
    who = {"account": ACME.account, "actor": ACME.actor}
    assert made("order.amend", order=order, price="64000.0", quantity="1") == who | {"order": 7, "price": 640_000, "quantity": 10**8}
    assert made("order.cancel", order=order) == who | {"order": 7}
    assert made("order.cancel_all") == made("kill.new") == who
    assert made("order.cancel_all", side="sell") == who | {"instrument": 0, "side": 1}
    assert made("order.cancel_all", instrument="BTC-USD") == who | {"instrument": 1, "side": 2}
    assert made("dead_man.set", ttl_ms=5) == who | {"ttl": 5_000_000} and made("protection.reset", instrument="XRP-USD") == who | {"instrument": 2}
    assert made("request.new", instrument="BTC/USD", side="two_way", quantity="2", ttl_ms=1) == who | {
        "instrument": 1, "side": 2, "quantity": 2 * 10**8, "ttl": 1_000_000}
    assert made("request.cancel", request=request) == who | {"request": 9}
    assert made("request.accept", request=request, side="sell", limit_price="63999.9", quote=quote) == who | {
        "request": 9, "side": 1, "limit_price": 639_999, "quote": 11}
    assert made("request.accept", request=request, side="buy", limit_price="1")["quote"] == 0
    assert made("quote.new", request=request, bid="1", ttl_ms=2) == who | {"request": 9, "bid": 10, "ask": 0, "ttl": 2_000_000}
    assert made("quote.withdraw", quote=quote) == who | {"quote": 11}
    assert made("transfer.new", to="borea", asset="USD", amount="0.5") == who | {"to": NAMES["accounts"]["borea"], "asset": 2, "amount": 500_000}


@pytest.mark.parametrize("said, becomes", [
    ({"type": "market", "price": None}, {"order_type": 1, "price": 0}),
    ({"type": "market", "price": None, "quantity": None, "quote_quantity": "5000"}, {"order_type": 1, "quantity": 5_000_000_000, "options": 2}),
    ({"type": "midpoint", "offset": "0.5"}, {"order_type": 4, "offset": 5, "price": 640_005}),
    ({"type": "market", "price": None, "trigger": "stop", "trigger_price": "63000", "trigger_on": "mark"},
     {"trigger": 1, "trigger_price": 630_000, "trigger_on": 2}),
    ({"type": "market", "price": None, "trigger": "trailing", "distance": "500"}, {"trigger": 3, "trigger_price": 5_000, "trigger_on": 0}),
    ({"trigger": "take_profit", "trigger_price": "65000", "reduce_only": True}, {"trigger": 2, "trigger_price": 650_000, "options": 1}),
    ({"time_in_force": "gtd", "good_till": 99}, {"time_in_force": 4, "good_till": 99}), ({"time_in_force": "at_open"}, {"time_in_force": 6}),
    ({"post_only": "slide", "display": "0.1"}, {"post_only": 2, "display": 10**7}), ({"minimum": "0.2"}, {"minimum": 2 * 10**7}),
])
def test_what_else_an_order_can_say(said, becomes):
    told = made("order.new", **{name: value for name, value in (ORDER | said).items() if value is not None})
    assert {name: told.get(name, 0) for name in becomes} == becomes


@pytest.mark.parametrize("said, code, path", [
    ({"quote_quantity": "5"}, "BAD_QUANTITY", "$.quantity"), ({"quantity": None, "quote_quantity": "5"}, "BAD_QUANTITY", "$.quote_quantity"),
    ({"quantity": None}, "BAD_QUANTITY", "$.quantity"), ({"trigger": "stop"}, "BAD_TRIGGER", "$.trigger_price"),
    ({"trigger_price": "5"}, "BAD_TRIGGER", "$.trigger_price"), ({"trigger": "trailing", "trigger_price": "5"}, "BAD_TRIGGER", "$.distance"),
    ({"distance": "5"}, "BAD_TRIGGER", "$.distance"), ({"trigger_on": "mark"}, "BAD_TRIGGER", "$.trigger_on"),
    ({"time_in_force": "gtd"}, "BAD_TTL", "$.good_till"), ({"good_till": 5}, "BAD_TTL", "$.good_till"),
    ({"type": "primary", "price": None}, "BAD_PRICE", "$.price"),
    ({"display": "0"}, "BAD_QUANTITY", "$.display"), ({"minimum": "0.0"}, "BAD_QUANTITY", "$.minimum"), ({"offset": "x"}, "BAD_PRICE", "$.offset"),
    ({"post_only": True}, "BAD_FIELD", "$.post_only"), ({"trigger": "none"}, "BAD_FIELD", "$.trigger"),
    ({"time_in_force": "GTC"}, "BAD_FIELD", "$.time_in_force"),
])
def test_what_would_be_lost_on_the_way_is_refused_here(said, code, path):
    assert wrong("order.new", **{name: value for name, value in (ORDER | said).items() if value is not None}) == (code, path)


def test_a_list_becomes_a_group_whose_children_stand_on_the_other_side():
    body = {"instrument": "BTC-USD", "kind": "bracket", "side": "buy", "quantity": "0.5", "orders": [
        {"price": "64000"}, {"price": "66000"}, {"type": "market", "trigger": "stop", "trigger_price": "62000"}]}
    commands = build("list.new", read_json(msgspec.json.encode(body), order_api.ListNew), ACME, KNOWN)
    group = [named(record) for record in records(commands, 1, 2, 9, 8)]
    assert [(one["side"], one["link"], one["quantity"], one["flags"]) for one in group] == [(0, 2, 5 * 10**7, 2), (1, 3, 5 * 10**7, 2), (1, 3, 5 * 10**7, 0)]
    assert [(one["id_hi"], one["id_lo"]) for one in group] == [id_after(1, 2, place) for place in range(3)] and id_after(1, 2, 0) == (1, 2)
    assert len({(one["id_hi"], one["id_lo"]) for one in group}) == 3
    assert wrong_list(body | {"kind": "oco"}) == ("BAD_LINK", "$.orders") and wrong_list(body | {"orders": [{}, {}, {}]}) == ("BAD_PRICE", "$.orders[0].price")
    assert wrong_list(body | {"orders": [{"price": "1"}]}) == ("BAD_FIELD", "$.orders")


def wrong_list(body, name="list.new"):
    with pytest.raises(Wrong) as raised:
        build(name, read_json(msgspec.json.encode(body), OPERATIONS[name].request), ACME, KNOWN)
    return raised.value.code, raised.value.path


def test_a_mass_quote_is_sent_in_the_order_of_the_instruments():
    xrp = {"instrument": "XRP-USD", "bid": "0.5", "bid_quantity": "100"}
    btc = {"instrument": "BTC-USD", "bid": "64000", "bid_quantity": "1", "ask": "64001", "ask_quantity": "2"}
    commands = build("quote.mass", read_json(msgspec.json.encode({"quotes": [xrp, btc]}), order_api.MassQuote), ACME, KNOWN)
    assert [(kind, one["instrument"], one["bid"], one["ask"], one["ask_quantity"]) for kind, one in commands] == [
        (Kind.MASS_QUOTE, 1, 640_000, 640_010, 2 * 10**8), (Kind.MASS_QUOTE, 2, 50_000, 0, 0)]
    assert wrong_list({"quotes": [btc, btc]}, "quote.mass") == ("BAD_GROUP", "$.quotes[1].instrument")
    assert wrong_list({"quotes": [xrp | {"ask": "1"}]}, "quote.mass") == ("BAD_QUANTITY", "$.quotes[0].ask_quantity")
    assert wrong_list({"quotes": []}, "quote.mass")[0] == "BAD_FIELD"


def test_an_order_goes_by_its_client_id_too():
    known = KNOWN._replace(order_of=lambda hi, lo: 7 if (hi, lo) == (0, 5) else 0)
    assert build("order.cancel", order_api.OrderNamed(order=f"{5:032x}"), ACME, known)[0][1]["order"] == 7
    for text in (f"{6:032x}", "5" * 31, "0" * 32):
        with pytest.raises(Wrong) as raised:
            build("order.cancel", order_api.OrderNamed(order=text), ACME, known)
        assert raised.value.code == "UNKNOWN_ORDER"


def test_a_price_is_read_in_the_increments_of_its_own_instrument():
    """The same words at another instrument are another number: a wrong guess would be a wrong order."""
    xrp = WORDS.opaque.text("order", 8)
    assert made("order.amend", order=xrp, price="0.5", quantity="1")["price"] == 50_000
    assert wrong("order.amend", order=WORDS.opaque.text("order", 10), price="0.5", quantity="1") == ("UNKNOWN_ORDER", "$.order")


def test_a_size_in_quote_becomes_whole_lots_at_the_reference():
    assert made("request.new", instrument="BTC-USD", side="buy", quote_quantity="25000")["quantity"] == 39_060_000
    assert wrong("request.new", instrument="BTC-USD", side="buy", quote_quantity="6") == ("BAD_QUANTITY", "$.quote_quantity")
    assert wrong("request.new", instrument="BTC-USD-PF", side="buy", quote_quantity="25000") == ("NO_REFERENCE", "$.quote_quantity")
    assert wrong("request.new", instrument="BTC-USD", side="buy", quote_quantity="25000", quantity="1") == ("BAD_QUANTITY", "$.quantity")
    assert wrong("request.new", instrument="BTC-USD", side="buy") == ("BAD_QUANTITY", "$.quantity")


@pytest.mark.parametrize("changed, code, path", [
    ({"instrument": "BTC"}, "UNKNOWN_INSTRUMENT", "$.instrument"), ({"price": "-1"}, "BAD_PRICE", "$.price"), ({"price": "NaN"}, "BAD_PRICE", "$.price"),
    ({"price": "1e3"}, "BAD_PRICE", "$.price"), ({"price": "64000.55"}, "BAD_PRICE", "$.price"), ({"price": None}, "BAD_PRICE", "$.price"),
    ({"price": "1" * 65}, "BAD_PRICE", "$.price"), ({"type": "market"}, "BAD_PRICE", "$.price"), ({"quantity": "Infinity"}, "BAD_QUANTITY", "$.quantity"),
    ({"quantity": "0.000000001"}, "BAD_QUANTITY", "$.quantity"), ({"quantity": ""}, "BAD_QUANTITY", "$.quantity"),
    ({"quantity": "١"}, "BAD_QUANTITY", "$.quantity"), ({"quantity": "9" * 30}, "BAD_QUANTITY", "$.quantity"),
    ({"quantity": 1}, "BAD_FIELD", "$.quantity"), ({"price": 64000.5}, "BAD_FIELD", "$.price"), ({"side": "Buy"}, "BAD_FIELD", "$.side"),
    ({"side": 0}, "BAD_FIELD", "$.side"), ({"post_only": 1}, "BAD_FIELD", "$.post_only"), ({"post_only": "true"}, "BAD_FIELD", "$.post_only"),
    ({"colour": "red"}, "UNKNOWN_FIELD", "$.colour"), ({"instrument": "<script>" * 20}, "BAD_FIELD", "$.instrument"),
])
def test_what_does_not_fit_is_named_with_its_path(changed, code, path):
    assert wrong("order.new", **(ORDER | changed)) == (code, path)


@pytest.mark.parametrize("body, code", [
    (b"{", "MALFORMED"), (b"[]", "BAD_FIELD"), (b"null", "BAD_FIELD"), (b'"x"', "BAD_FIELD"), (b"\xff\xfe", "MALFORMED"), (b'{"price":NaN}', "MALFORMED"),
    (b'{"price":Infinity}', "MALFORMED"), (msgspec.json.encode(ORDER) + b" {}", "MALFORMED"), (b'{"side":"\xc3"}', "MALFORMED"),
    (b'{"side":"\\ud800"}', "MALFORMED"), (b"[" * 60_000, "BAD_FIELD"), (b'{"a":' * 10_000, "UNKNOWN_FIELD"), (b'{"side":' + b"[" * 60_000, "BAD_FIELD"),
    (b" " * (MAX_BODY + 1), "TOO_LARGE"), (b"", "MISSING_FIELD"), (b"{}", "MISSING_FIELD"),
])
def test_a_body_that_is_no_request(body, code):
    with pytest.raises(Wrong) as raised:
        read_json(body, order_api.OrderNew)
    assert raised.value.code == code and len(raised.value.message) < 400


def test_whole_numbers_of_a_query_are_digits():
    assert convert({"limit": "5", "cursor": "0"}, api.EventsRead) == api.EventsRead(cursor=0, limit=5)
    for given in ({"limit": "0"}, {"limit": "1001"}, {"limit": "5.5"}, {"limit": "x"}, {"cursor": "-1"}, {"wait_ms": "30001"}, {"limit": ""}, {"limit": "1_0"},
                  {"more": "1"}, {"cursor": "9" * 40}):
        with pytest.raises(Wrong):
            convert(given, api.EventsRead)


# ---------------------------------------------------------------------------------------------------------------------------------- words
def test_every_reason_that_an_operation_can_meet_has_words():
    order = order_api.OrderNew(instrument="BTC-USD", side="buy", quantity="1", price="1")
    request = api.RequestNew(instrument="BTC-USD", side="buy", quantity="1")
    stop = order_api.OrderNew(instrument="BTC-USD", side="buy", quantity="1", type="market", trigger="stop", trigger_price="1")
    for reason in REASONS:
        for name, asked in itertools.product(OPERATIONS, (order, request, stop)):
            status, code, message, path = refusal(reason, Case(OPERATIONS[name], asked, ACME, WORDS, WORDS.listed("BTC-USD")))
            assert code == reason.name and status in statuses(OPERATIONS["order.new"]) and "{" not in message
            assert path is None or path.removeprefix("$.") in asked.__struct_fields__


def test_words_name_the_limit():
    def said(reason, name="order.new", instrument="BTC-USD"):
        return refusal(reason, Case(OPERATIONS[name], order_api.OrderNew(**ORDER), ACME, WORDS, WORDS.listed(instrument)))[2]
    assert "100 BTC" in said(Reason.MAX_QUANTITY) and "6000000 USD" in said(Reason.MAX_NOTIONAL) and "5 %" in said(Reason.COLLAR)
    assert "0.5 USD" in said(Reason.OFF_TICK) and "0.1 USD" in said(Reason.OFF_TICK, "quote.new") and "0.00010000 BTC" in said(Reason.OFF_LOT)
    assert "500 open" in said(Reason.OPEN_ORDERS) and "good_till" in said(Reason.BAD_TTL)
    request = api.RequestNew(instrument="BTC-USD", side="buy", quantity="1")
    lasting = refusal(Reason.BAD_TTL, Case(OPERATIONS["request.new"], request, ACME, WORDS, WORDS.listed("BTC-USD")))
    assert f"{DESIGN.cell.max_ttl // 10**6} ms" in lasting[2] and lasting[3] == "$.ttl_ms"


def test_a_reason_without_words_still_has_its_name():
    for number, code in ((Reason.NETTING, "NETTING"), (9999, "REASON_9999")):
        status, name, message, _ = refusal(number, Case(OPERATIONS["kill.new"], api.Nothing(), ACME, WORDS, None))
        assert (status, name) == (409, code) and message


def test_what_is_not_done_is_told_and_a_bug_is_not_hidden():
    assert replies.not_done(AuthError("SCOPE", "no", 403)).status == 403
    assert replies.not_done(Wrong("UNKNOWN_ORDER", "$.order", "no")).status == 404
    assert replies.not_done(Wrong("UNKNOWN_FIELD", "$.x", "no")).status == 422
    with pytest.raises(ZeroDivisionError):
        replies.not_done(ZeroDivisionError())


# ------------------------------------------------------------------------------------------------------------------------- against a house
async def _orders_answer_with_what_they_did(world):
    resting = await world.perform("order.new", "acme-bot", {**ORDER, "price": "63000"})
    assert resting[0] == 201 and (resting[1]["status"], resting[1]["leaves"], resting[1]["fills"]) == ("open", "0.25000000", [])
    status, taken, _ = await world.perform("order.new", "borea-bot", {**ORDER, "side": "sell", "price": "63000", "quantity": "0.1"})
    assert status == 201 and taken["status"] == "filled" and taken["fills"][0] | {"match": ""} == {
        "match": "", "price": "63000.0", "quantity": "0.10000000", "amount": "6300.000000", "fee": "1.260000", "fee_asset": "USD", "liquidity": "taker"}
    status, rest, _ = await world.perform("order.new", "borea-bot", {"instrument": "BTC-USD", "side": "sell", "type": "market", "quantity": "1"})
    assert (rest["status"], rest["reason"], rest["leaves"], len(rest["fills"])) == ("cancelled", "IMMEDIATE", "0.00000000", 1)
    gone = await world.perform("order.get", "acme-bot", {"order": resting[1]["order"]})
    assert gone[0] == 404 and gone[1]["error"]["code"] == "UNKNOWN_ORDER"


async def _own_orders_do_not_meet(world):
    await world.perform("order.new", "acme-bot", {**ORDER, "price": "63000"})
    sell = {**ORDER, "price": "63000", "side": "sell", "quantity": "0.1"}
    status, told, _ = await world.perform("order.new", "acme-bot", sell)
    assert (status, told["status"], told["reason"]) == (201, "cancelled", "SELF_TRADE")
    status, told, _ = await world.perform("order.new", "acme-bot", {**sell, "self_trade": "decrement"})
    assert (told["status"], told["reason"], told["fills"]) == ("cancelled", "SELF_TRADE", [])
    status, told, _ = await world.perform("order.new", "acme-bot", {**sell, "self_trade": "cancel_oldest"})
    assert (told["status"], told["leaves"]) == ("open", "0.10000000")


async def _an_amended_order_may_trade(world):
    _, resting, _ = await world.perform("order.new", "acme-bot", {**ORDER, "price": "63000"})
    await world.perform("order.new", "borea-bot", {**ORDER, "side": "sell", "price": "63500"})
    status, told, _ = await world.perform("order.amend", "acme-bot", {"order": resting["order"], "price": "63500", "quantity": "0.3"})
    assert status == 200 and told["status"] == "open" and [fill["quantity"] for fill in told["fills"]] == ["0.25000000"] and told["leaves"] == "0.05000000"
    listed = (await world.perform("order.list", "acme-bot", {"instrument": "BTC-USD"}))[1]["orders"]
    assert [(row["order"], row["filled"], row["leaves"]) for row in listed] == [(resting["order"], "0.25000000", "0.05000000")]
    assert (await world.perform("order.list", "acme-bot", {"instrument": "XRP-USD"}))[1]["orders"] == []


async def _an_order_of_before_this_gateway_can_be_amended(world):
    _, resting, _ = await world.perform("order.new", "acme-bot", {**ORDER, "price": "63000"})
    ear = await world.house._ear(world.session("acme-bot").account)
    ear.hearing._instruments.clear()                    # as after many other orders
    assert (await world.perform("order.amend", "acme-bot", {"order": resting["order"], "price": "63001", "quantity": "0.25"}))[0] == 200


async def _the_same_id_gets_the_first_answer(world):
    first = await world.perform("order.new", "acme-bot", {**ORDER, "price": "63000"}, "a" * 32)
    await world.perform("order.new", "borea-bot", {**ORDER, "side": "sell", "price": "63000"})
    again = await world.perform("order.new", "acme-bot", {**ORDER, "price": "63000"}, "a" * 32)
    assert first[2] is False and again == (201, first[1], True)
    other = await world.perform("order.cancel_all", "acme-bot", {}, "a" * 32)
    assert (other[0], other[1]["error"]["code"]) == (409, "ID_USED")
    refused = await world.perform("order.new", "acme-bot", {**ORDER, "price": "63000.3"}, "b" * 32)
    assert refused[0] == 422 and await world.perform("order.new", "acme-bot", {**ORDER, "price": "63000.3"}, "b" * 32) == (*refused[:2], True)
    taker = await world.perform("order.new", "borea-bot", {**ORDER, "price": "62000", "quantity": "1"}, "c" * 32)
    filled = await world.perform("order.new", "acme-bot", {**ORDER, "side": "sell", "price": "62000"}, "d" * 32)
    assert taker[0] == 201 and len(filled[1]["fills"]) == 1
    assert await world.perform("order.new", "acme-bot", {**ORDER, "side": "sell", "price": "62000"}, "d" * 32) == (201, filled[1], True)


async def _a_retry_is_answered_though_its_order_or_price_is_gone(world):
    """What is needed to build the command may be gone by then; the first answer is not."""
    _, resting, _ = await world.perform("order.new", "acme-bot", {**ORDER, "price": "63000"})
    amend = {"order": resting["order"], "price": "63001", "quantity": "0.25"}
    amended = await world.perform("order.amend", "acme-bot", amend, "a" * 32)
    sized = {"instrument": "BTC-USD", "side": "buy", "quote_quantity": "64000"}
    asked = await world.perform("request.new", "acme-bot", sized, "b" * 32)
    assert (amended[0], asked[0]) == (200, 201)
    await world.perform("order.cancel", "acme-bot", {"order": resting["order"]})
    await world.settled()
    (await world.house._ear(world.session("acme-bot").account)).hearing._instruments.clear()    # as in a gateway that was started meanwhile
    world.house._last = world.house._last._replace(at=time.monotonic() + 60, instruments={})    # no reference any more
    assert await world.perform("order.amend", "acme-bot", amend, "a" * 32) == (200, amended[1], True)
    assert await world.perform("request.new", "acme-bot", sized, "b" * 32) == (201, asked[1], True)
    for name, body, code in (("order.amend", amend, "UNKNOWN_ORDER"), ("request.new", sized, "NO_REFERENCE")):
        fresh = await world.perform(name, "acme-bot", body)
        assert (fresh[1]["error"]["code"], fresh[2]) == (code, False)
    other = await world.perform("order.amend", "acme-bot", amend, "b" * 32)
    assert (other[0], other[1]["error"]["code"]) == (409, "ID_USED")


async def _many_at_once_with_one_id_count_once(world):
    answers = await asyncio.gather(*(world.perform("order.new", "acme-bot", {**ORDER, "price": "63000"}, "e" * 32) for _ in range(20)))
    assert len({answer[1]["order"] for answer in answers}) == 1
    assert len((await world.perform("order.list", "acme-bot"))[1]["orders"]) == 1


async def _a_request_lives_its_life(world):
    status, opened, _ = await world.perform("request.new", "acme-bot", {"instrument": "BTC-USD", "side": "two_way", "quote_quantity": "64000"})
    assert status == 201 and opened["quantity"] == "1.00000000" and opened["quote_quantity"] == "64000"
    asked = opened["request"]
    invited = (await world.perform("invitation.list", "b2"))[1]["invitations"]
    assert [(row["request"], row["side"], row["quote"]) for row in invited] == [(asked, "two_way", None)]
    status, quoted, _ = await world.perform("quote.new", "b2", {"request": asked, "bid": "63990", "ask": "64010", "ttl_ms": 20_000})
    assert status == 201 and (quoted["bid"], quoted["ask"]) == ("63990.0", "64010.0")
    world.inside.quote("c3", "c3", asked, "63980", "64020")
    await world.settled()
    shown = (await world.perform("request.get", "acme-bot", {"request": asked}))[1]
    assert shown["status"] == "open" and [(q["bid"], q["ask"]) for q in shown["quotes"]] == [("63990.0", "64010.0"), ("63980.0", "64020.0")]
    better = (await world.perform("quote.new", "b2", {"request": asked, "bid": "63995", "ask": "64005", "ttl_ms": 20_000}))[1]
    shown = (await world.perform("request.get", "acme-bot", {"request": asked}))[1]
    assert sorted(q["ask"] for q in shown["quotes"]) == ["64005.0", "64020.0"], "a replaced quote is shown no more"
    assert (await world.perform("invitation.list", "b2"))[1]["invitations"][0]["quote"] == better
    assert (await world.perform("quote.withdraw", "c3", {"quote": shown["quotes"][0]["quote"]}))[0] in (200, 404)
    status, traded, _ = await world.perform("request.accept", "acme-bot", {"request": asked, "side": "buy", "limit_price": "64005", "quote": better["quote"]})
    assert status == 200 and traded["price"] == "64005.0" and traded["request"] == asked and traded["amount"] == "64005.000000"
    assert (await world.perform("request.get", "acme-bot", {"request": asked}))[1]["status"] == "filled"
    assert (await world.perform("request.list", "acme-bot"))[1]["requests"] == []
    late = await world.perform("request.accept", "acme-bot", {"request": asked, "side": "buy", "limit_price": "64005"})
    assert late[0] == 409 and late[1]["error"]["code"] == "REQUEST_CLOSED"


async def _requests_end(world):
    opened = (await world.perform("request.new", "acme-bot", {"instrument": "BTC-USD", "side": "sell", "quantity": "1"}))[1]["request"]
    short = (await world.perform("request.new", "acme-bot", {"instrument": "BTC-USD", "side": "sell", "quantity": "1", "ttl_ms": 1}))[1]["request"]
    assert (await world.perform("request.cancel", "acme-bot", {"request": opened}))[:2] == (200, {"request": opened})
    assert (await world.perform("request.get", "acme-bot", {"request": opened}))[1]["status"] == "cancelled"
    await asyncio.sleep(0.01)
    assert (await world.perform("request.get", "acme-bot", {"request": short}))[1]["status"] == "expired"
    assert (await world.perform("request.accept", "acme-bot", {"request": opened, "side": "sell", "limit_price": "1"}))[0] in (404, 409)
    assert (await world.perform("invitation.list", "b2"))[1]["invitations"] == []


async def _after_a_restart_of_the_gateway_quotes_are_there_again(world):
    asked = (await world.perform("request.new", "acme-bot", {"instrument": "BTC-USD", "side": "buy", "quantity": "1", "ttl_ms": 30_000}))[1]["request"]
    world.inside.quote("b2", "b2", asked, ask="64010")
    await world.settled()
    for number in range(30):                            # many events since
        await world.perform("order.new", "acme-bot", {**ORDER, "price": f"{60900 + number}"})
    house_shell.LOOK_BACK_EVENTS, before = 4, house_shell.LOOK_BACK_EVENTS
    try:
        again = house_shell.House(world.link, bytes(range(16)), lambda design: {})
        await again.start()
        answer = await again.perform("request.get", world.session("acme-bot"), msgspec.json.encode({"request": asked}))
        assert [quote.ask for quote in answer.body.quotes] == ["64010.0"]
        invited = await again.perform("invitation.list", world.session("b2"), b"")
        assert invited.body.invitations[0].quote.ask == "64010.0"
        await again.close()
    finally:
        house_shell.LOOK_BACK_EVENTS = before


async def _money_moves_and_large_amounts_wait(world):
    status, told, _ = await world.perform("transfer.new", "acme-bot", {"to": "borea", "asset": "USD", "amount": "1.5"})
    assert (status, told) == (201, {"to": "borea", "asset": "USD", "amount": "1.500000"})
    status, told, _ = await world.perform("transfer.new", "acme-bot", {"to": "borea", "asset": "USD", "amount": "250001"}, "f" * 32)
    assert status == 202 and told["held"].startswith("hld_") and told["lapses"] > time.time_ns()
    assert await world.perform("transfer.new", "acme-bot", {"to": "borea", "asset": "USD", "amount": "250001"}, "f" * 32) == (202, told, True)
    account = (await world.perform("account.get", "acme-bot"))[1]
    assert {row["asset"]: row["available"] for row in account["balances"]}["USD"] == "1999998.500000"


async def _a_killed_account_takes_nothing_new(world):
    await world.perform("order.new", "acme-bot", {**ORDER, "price": "63000"})
    assert (await world.perform("kill.new", "acme-killer"))[:2] == (200, {"account": "acme", "killed": True})
    refused = await world.perform("order.new", "acme-bot", {**ORDER, "price": "63000"})
    assert (refused[0], refused[1]["error"]["code"]) == (403, "KILLED")
    assert (await world.perform("order.cancel_all", "acme-bot"))[0] == 200
    assert (await world.perform("account.get", "acme-bot"))[1]["killed"] is True


async def _halts_are_told(world):
    from cambist.messages import Kind
    world.inside.do(Kind.HALT, "ines", instrument=1, cancel=0)
    await asyncio.sleep(0.3)
    assert (await world.house.status()).halted == ["BTC-USD"]
    refused = await world.perform("order.new", "acme-bot", ORDER)
    assert (refused[0], refused[1]["error"]["code"], refused[1]["error"]["path"]) == (409, "HALTED", "$.instrument")


async def _events_are_read_by_cursor(world):
    for number in range(10):
        await world.perform("order.new", "acme-bot", {**ORDER, "price": f"{63000 + number}"})
    first = (await world.perform("events.read", "acme-bot", {"cursor": 1, "limit": 4}))[1]
    assert [event["cursor"] for event in first["events"]] == [1, 2, 3, 4] and first["cursor"] == 5 and first["more"]
    rest = (await world.perform("events.read", "acme-bot", {"cursor": 5}))[1]
    assert [event["event"] for event in rest["events"][-8:]] == ["order_accepted"] * 8 and not rest["more"]
    now = (await world.perform("events.read", "acme-bot", {"cursor": 0}))[1]
    assert now == {"events": [], "cursor": rest["cursor"], "more": False}
    ahead = await world.perform("events.read", "acme-bot", {"cursor": rest["cursor"] + 1})
    assert (ahead[0], ahead[1]["error"]["code"]) == (422, "BAD_CURSOR")


async def _a_question_waits_for_the_next_event(world):
    cursor = (await world.perform("events.read", "acme-bot", {"cursor": 0}))[1]["cursor"]
    begun = time.monotonic()
    assert (await world.perform("events.read", "acme-bot", {"cursor": cursor, "wait_ms": 50}))[1]["events"] == []
    assert 0.04 < time.monotonic() - begun < 5
    waiting = asyncio.create_task(world.perform("events.read", "acme-bot", {"cursor": cursor, "wait_ms": 20_000}))
    await asyncio.sleep(0.02)
    await world.perform("order.new", "acme-bot", {**ORDER, "price": "63000"})
    assert [event["event"] for event in (await waiting)[1]["events"]] == ["order_accepted"]


async def _old_events_are_read_from_the_house(world):
    from cambist.gateways import hearing
    hearing.RING_EVENTS, before = 8, hearing.RING_EVENTS
    try:
        for number in range(40):
            await world.perform("order.new", "acme-bot", {**ORDER, "price": f"{63000 + number}"})
        page = (await world.perform("events.read", "acme-bot", {"cursor": 1, "limit": 7}))[1]
        assert [event["cursor"] for event in page["events"]] == list(range(1, len(page["events"]) + 1)) and page["more"]
        cursor, seen = 1, []
        while True:
            page = (await world.perform("events.read", "acme-bot", {"cursor": cursor, "limit": 7}))[1]
            seen += [event["cursor"] for event in page["events"]]
            cursor = page["cursor"]
            if not page["more"]:
                break
        assert seen == list(range(1, 43))
        read, healthy = world.behind.events, (await world.perform("events.read", "acme-bot", {"cursor": 9, "limit": 7}))

        def damaged(stream, account, number, limit):
            if number == 9:
                raise Unreadable("house/results/x is damaged")
            return read(stream, account, number, limit)
        world.behind.events = damaged
        status, refused = (await world.perform("events.read", "acme-bot", {"cursor": 9, "limit": 7}))[:2]
        assert (status, refused["error"]["code"], refused["error"]["path"]) == (503, "UNREADABLE", "$.cursor") and "results" not in refused["error"]["message"]
        assert (await world.perform("events.read", "acme-bot", {"cursor": 10, "limit": 7}))[0] == 200
        world.behind.events = read
        assert await world.perform("events.read", "acme-bot", {"cursor": 9, "limit": 7}) == healthy
    finally:
        hearing.RING_EVENTS = before


async def _silence_is_unknown_and_asking_again_tells(world):
    await world.perform("order.list", "acme-bot")
    await world.house._ear(world.session("acme-bot").account)
    house_shell.ASK_SECONDS, before = 0.3, house_shell.ASK_SECONDS
    try:
        world.behind.deaf = True
        silent = await world.perform("order.new", "acme-bot", {**ORDER, "price": "63000"}, "9" * 32)
        assert (silent[0], silent[1]["error"]["code"]) == (504, "UNKNOWN")
        world.behind.deaf = False
        assert (await world.perform("order.new", "acme-bot", {**ORDER, "price": "63000"}, "9" * 32))[0] == 201
    finally:
        house_shell.ASK_SECONDS = before


async def _without_the_house_nothing_is_done_and_then_it_goes_on(world):
    await world.perform("order.new", "acme-bot", {**ORDER, "price": "63000"})
    await world.behind.door.close()
    for name, body in (("order.new", ORDER), ("account.get", {}), ("request.list", {})):
        answer = await world.perform(name, "acme-bot", body)
        assert (answer[0], answer[1]["error"]["code"]) == (503, "UNREACHABLE")
    await world.behind.door.open()
    async with asyncio.timeout(10):
        while not world.link.connected:
            await asyncio.sleep(0.01)
    assert (await world.perform("order.new", "acme-bot", {**ORDER, "price": "63001"}))[0] == 201
    assert len((await world.perform("order.list", "acme-bot"))[1]["orders"]) == 2
    events = (await world.perform("events.read", "acme-bot", {"cursor": 1}))[1]["events"]
    assert [event["cursor"] for event in events] == list(range(1, 5))


async def _a_throttled_key_can_still_cancel(world):
    answers = [await world.perform("order.new", "acme-bot", {**ORDER, "price": "63000"}) for _ in range(3)]
    assert [answer[0] for answer in answers] == [201, 201, 429] and answers[2][1]["error"]["code"] == "RATE"
    assert (await world.perform("order.cancel_all", "acme-bot"))[0] == 200
    assert (await world.perform("order.new", "borea-bot", {**ORDER, "price": "63000"}))[0] == 201


async def _ids_and_expiries_of_a_socket_are_checked(world):
    for client_id, expires, status, code in ((None, None, 400, "NO_ID"), ("x", None, 400, "BAD_ID"), ("0" * 32, None, 400, "BAD_ID"),
                                             ("1" * 32, time.time_ns() - 1, 401, "EXPIRED"), ("1" * 32, time.time_ns() + 61 * SECOND, 401, "EXPIRES_TOO_LATE")):
        answer = await world.house.perform("order.new", world.session("acme-bot"), msgspec.json.encode(ORDER), client_id, expires)
        assert (answer.status, answer.body.error.code) == (status, code)
    assert (await world.perform("order.list", "acme-bot"))[1]["orders"] == []


async def _a_size_beyond_a_record_is_refused(world):
    world.inside.price("XRP-USD", "0.0001")
    answer = await world.perform("request.new", "acme-bot", {"instrument": "XRP-USD", "side": "buy", "quote_quantity": "4000000000000"})
    assert (answer[0], answer[1]["error"]["code"]) == (422, "OVERFLOW")
    answer = await world.perform("request.new", "acme-bot", {"instrument": "XRP-USD", "side": "buy", "quote_quantity": "100000000"})
    assert (answer[0], answer[1]["error"]["code"], answer[1]["error"]["path"]) == (422, "MAX_QUANTITY", "$.quote_quantity")


async def _a_changed_design_counts_from_its_sequence_on(world):
    heard = []
    world.house.on_design.append(heard.append)
    await world.house._look()
    assert heard == [], "the same design is not news"
    world.house.running = world.house.running._replace(sequence=-1)
    await world.house._look()
    assert len(heard) == 1 and world.house.dictionary is heard[0]


test_orders_answer_with_what_they_did = in_a_world(_orders_answer_with_what_they_did)
test_own_orders_do_not_meet = in_a_world(_own_orders_do_not_meet)
test_an_amended_order_may_trade = in_a_world(_an_amended_order_may_trade)
test_an_order_of_before_this_gateway_can_be_amended = in_a_world(_an_order_of_before_this_gateway_can_be_amended)
test_the_same_id_gets_the_first_answer = in_a_world(_the_same_id_gets_the_first_answer)
test_a_retry_is_answered_though_its_order_or_price_is_gone = in_a_world(_a_retry_is_answered_though_its_order_or_price_is_gone)
test_many_at_once_with_one_id_count_once = in_a_world(_many_at_once_with_one_id_count_once)
test_a_request_lives_its_life = in_a_world(_a_request_lives_its_life)
test_requests_end = in_a_world(_requests_end)
test_after_a_restart_of_the_gateway_quotes_are_there_again = in_a_world(_after_a_restart_of_the_gateway_quotes_are_there_again)
test_money_moves_and_large_amounts_wait = in_a_world(_money_moves_and_large_amounts_wait)
test_a_killed_account_takes_nothing_new = in_a_world(_a_killed_account_takes_nothing_new)
test_halts_are_told = in_a_world(_halts_are_told)
test_events_are_read_by_cursor = in_a_world(_events_are_read_by_cursor)
test_a_question_waits_for_the_next_event = in_a_world(_a_question_waits_for_the_next_event)
test_old_events_are_read_from_the_house = in_a_world(_old_events_are_read_from_the_house)
test_silence_is_unknown_and_asking_again_tells = in_a_world(_silence_is_unknown_and_asking_again_tells)
test_without_the_house_nothing_is_done_and_then_it_goes_on = in_a_world(_without_the_house_nothing_is_done_and_then_it_goes_on)
test_a_throttled_key_can_still_cancel = in_a_world(_a_throttled_key_can_still_cancel, limits=Limits(business=Rate(1, 2)))
test_ids_and_expiries_of_a_socket_are_checked = in_a_world(_ids_and_expiries_of_a_socket_are_checked)
test_a_size_beyond_a_record_is_refused = in_a_world(_a_size_beyond_a_record_is_refused)
test_a_changed_design_counts_from_its_sequence_on = in_a_world(_a_changed_design_counts_from_its_sequence_on)
