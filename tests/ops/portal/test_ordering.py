"""Orders: forms read, lives told, open orders listed."""
import pytest

from cambist.dictionary import Wrong
from cambist.messages import Event, Liquidity, OrderType, Reason, Side, TimeInForce
from cambist.ops.portal import ordering
from cambist.ops.portal.ordering import FIELDS, facts, life, open_orders, trimmed

from tests.ops.portal.words_of_demo import ACME, BTC_USD, WORDS, row

FORM = {"instrument": "BTC-USD", "side": "buy", "type": "limit", "quantity": "0.05", "price": "62,500.5"}
BTC, NOW = 10**8, 1_800_000_000 * 10**9


def read_order(fields, words):
    return ordering.read_order(dict.fromkeys(FIELDS, "") | fields, words, NOW)


def test_a_form_is_a_command_and_its_words():
    order = read_order(FORM, WORDS)
    assert {name: value for name, value in order.fields.items() if value} == {"instrument": BTC_USD, "price": 625_005, "quantity": 5_000_000}
    assert order.words == "Buy 0.05 BTC at 62,500.5, gtc"
    market = read_order(FORM | {"type": "market", "price": "", "side": "sell"}, WORDS)
    assert (market.fields["order_type"], market.fields["price"], market.words) == (OrderType.MARKET, 0, "Sell 0.05 BTC at the market, gtc")
    assert [read_order(FORM | {"lasts": name}, WORDS).fields["time_in_force"] for name in ("ioc", "fok")] == [TimeInForce.IOC, TimeInForce.FOK]


@pytest.mark.parametrize("said, becomes, words", [
    ({"type": "market", "price": "", "trigger": "stop", "trigger_price": "62,000", "trigger_on": "mark"},
     {"trigger": 1, "trigger_price": 620_000, "trigger_on": 2}, "Buy 0.05 BTC at the market stop 62,000.0 on mark, gtc"),
    ({"type": "market", "price": "", "trigger": "trailing", "trigger_price": "500"}, {"trigger": 3, "trigger_price": 5_000, "trigger_on": 0},
     "trailing 500.0 on last"),
    ({"type": "midpoint", "offset": "1"}, {"order_type": 4, "offset": 10}, "pegged to the midpoint 1.0 away, at worst 62,500.5"),
    ({"post_only": "slide", "display": "0.01", "reduce_only": "1"}, {"post_only": 2, "display": 10**6, "options": 1},
     "post only, sliding, reduce only, display 0.01 BTC"),
    ({"lasts": "gtd", "minutes": "5"}, {"time_in_force": 4, "good_till": NOW + 300 * 10**9}, "gtd 2027-01-15 08:05:00.000"),
    ({"lasts": "ioc", "minimum": "0.02"}, {"minimum": 2 * 10**6, "time_in_force": 1}, "minimum 0.02 BTC, ioc"),
    ({"type": "market", "price": "", "size_in": "quote", "quantity": "45,000"}, {"options": 2, "quantity": 45_000 * 10**6, "order_type": 1},
     "Buy 45,000.00 USD at the market"),
    ({"lasts": "at_open"}, {"time_in_force": 6}, "at open")])
def test_what_else_a_form_can_say(said, becomes, words):
    order = read_order(FORM | said, WORDS)
    assert {name: order.fields[name] for name in becomes} == becomes and words in order.words


@pytest.mark.parametrize("changed, code, path", [
    ({"instrument": "x"}, "UNKNOWN_INSTRUMENT", "instrument"), ({"side": "both"}, "BAD_SIDE", "side"), ({"type": "stop"}, "BAD_TYPE", "type"),
    ({"trigger": "stop"}, "BAD_TRIGGER", "trigger_price"), ({"trigger_price": "5"}, "BAD_TRIGGER", "trigger"), ({"offset": "5"}, "BAD_PRICE", "offset"),
    ({"lasts": "gtd"}, "BAD_TTL", "minutes"), ({"lasts": "gtd", "minutes": "1.5"}, "BAD_TTL", "minutes"), ({"minutes": "5"}, "BAD_TTL", "minutes"),
    ({"lasts": "forever"}, "BAD_TIME_IN_FORCE", "lasts"), ({"post_only": "x"}, "BAD_VALUE", "post_only"), ({"display": "0.00001"}, "OFF_LOT", "display"),
    ({"trigger": "stop", "trigger_price": "x"}, "BAD_PRICE", "trigger_price"), ({"type": "primary", "price": ""}, "BAD_PRICE", "price"),
    ({"quantity": ""}, "BAD_QUANTITY", "quantity"), ({"quantity": "0"}, "BAD_QUANTITY", "quantity"), ({"quantity": "0.00001"}, "OFF_LOT", "quantity"),
    ({"quantity": "<b>1</b>"}, "BAD_QUANTITY", "quantity"), ({"price": ""}, "BAD_PRICE", "price"), ({"price": "62500.3"}, "OFF_TICK", "price"),
    ({"size_in": "quote"}, "BAD_VALUE", "size_in"), ({"size_in": "quote", "type": "market", "price": "", "lasts": "fok"}, "BAD_VALUE", "size_in"),
    ({"size_in": "quote", "type": "market", "price": "", "reduce_only": "1"}, "BAD_VALUE", "size_in"),
    ({"size_in": "quote", "type": "market", "price": "", "trigger": "stop", "trigger_price": "62000"}, "BAD_VALUE", "size_in"),
    ({"size_in": "quote", "type": "market", "price": "", "quantity": "0"}, "BAD_QUANTITY", "quantity"),
    ({"price": "inf"}, "BAD_PRICE", "price"), ({"type": "market"}, "BAD_PRICE", "price")])
def test_what_cannot_be_sent_is_refused_by_field(changed, code, path):
    with pytest.raises(Wrong) as wrong:
        read_order(FORM | changed, WORDS)
    assert (wrong.value.code, wrong.value.path) == (code, path)


def test_the_refusal_of_a_price_off_the_tick_names_two_that_are_on_it():
    with pytest.raises(Wrong, match=r"62500\.0 or 62500\.5"):
        read_order(FORM | {"price": "62500.3"}, WORDS)


def accepted(quantity: int = BTC) -> dict[str, int]:
    return row(Event.ORDER_ACCEPTED, 1, id=5, side=Side.BUY, price=625_000, quantity=quantity, leaves=quantity)


def filled(quantity: int, leaves: int) -> dict[str, int]:
    return row(Event.FILLED, 2, id=5, other=9, side=Side.BUY, price=625_000, quantity=quantity, leaves=leaves, amount=quantity * 625, fee=3)


@pytest.mark.parametrize("events, state, done, leaves", [
    ([], "open", 0, BTC), ([filled(BTC, 0)], "filled", BTC, 0), ([filled(BTC // 4, BTC - BTC // 4)], "open", BTC // 4, BTC - BTC // 4),
    ([row(Event.ORDER_CANCELLED, 3, id=5, quantity=BTC, reason=Reason.USER)], "cancelled", 0, 0),
    ([filled(BTC // 4, 3 * BTC // 4), row(Event.ORDER_CANCELLED, 3, id=5, quantity=3 * BTC // 4, reason=Reason.IMMEDIATE)], "part filled", BTC // 4, 0),
    ([row(Event.ORDER_AMENDED, 3, id=5, price=626_000, quantity=2 * BTC, leaves=2 * BTC)], "open", 0, 2 * BTC),
    ([row(Event.ORDER_REDUCED, 3, id=5, quantity=BTC // 2, leaves=BTC // 2)], "open", 0, BTC // 2)])
def test_a_life(events, state, done, leaves):
    one = life([accepted(), *events], WORDS, ACME)
    assert (one.state, one.filled, one.leaves) == (state, done, leaves)
    assert one.average == (625_000 if done else 0)


def test_a_waiting_order_is_triggered_and_a_peg_moves():
    waiting = {**accepted(), "other": 620_000}
    assert life([waiting], WORDS, ACME).state == "waiting" and life([waiting], WORDS, ACME).leaves == BTC
    assert life([waiting, row(Event.ORDER_TRIGGERED, 2, id=5, price=624_000, leaves=BTC)], WORDS, ACME).state == "open"
    assert life([accepted(), row(Event.ORDER_MOVED, 2, id=5, price=624_500)], WORDS, ACME).price == 624_500


def test_an_order_by_quote_is_sized_in_the_quote_asset_and_leaves_nothing():
    spent = {**accepted(45_000 * 10**6), "liquidity": Liquidity.TAKER_BY_QUOTE}
    one = life([spent, {**filled(BTC // 2, 13_750 * 10**6), "liquidity": Liquidity.TAKER_BY_QUOTE}], WORDS, ACME)
    assert (one.by_quote, one.quantity, one.filled, one.leaves) == (True, 45_000 * 10**6, BTC // 2, 0) and one.average == 625_000
    assert not life([accepted()], WORDS, ACME).by_quote


def test_another_accounts_order_has_no_life_here():
    assert life([accepted()], WORDS, ACME + 1) is None and life([], WORDS, ACME) is None
    assert life([accepted(), {**filled(BTC, 0), "id": 6}], WORDS, ACME).filled == 0


def test_open_orders_are_newest_first_and_in_decimals():
    rows = [{"id": n, "instrument": BTC_USD, "side": 0, "price": 625_000, "quantity": BTC, "leaves": BTC // 4, "post_only": 0} for n in (1, 2)]
    listed = open_orders({"orders": rows}, WORDS)
    assert [each["number"] for each in listed] == [2, 1] and (listed[0]["price"], listed[0]["filled"]) == ("62500.0", "0.75000000")
    stop = rows[0] | {"price": 0, "worst": 590_000, "state": 1, "order_type": 1, "time_in_force": 3, "trigger": 1, "trigger_on": 2, "trigger_price": 620_000,
                      "options": 1, "display": 10**7, "link": 1}
    [told] = open_orders({"orders": [stop]}, WORDS)
    assert (told["state"], told["type"], told["trigger"], told["price"]) == ("waiting", "market, day", "stop 62,000.0 on mark", "59000.0")
    assert told["marks"] == ["reduce only", "one of two", "shows 0.1"]


def test_everything_a_standing_order_says_is_among_its_facts():
    plain = {"id": 3, "instrument": BTC_USD, "side": 0, "price": 625_000, "quantity": BTC, "leaves": BTC, "post_only": 0}
    assert facts(plain, WORDS) == [("Type", "limit", "")]
    peg = plain | {"order_type": 4, "offset": 10, "worst": 630_000, "time_in_force": 4, "good_till": NOW, "post_only": 2, "options": 1, "prevented": BTC // 4}
    assert facts(peg, WORDS) == [
        ("Type", "peg, middle, gtd", ""), ("Lasts until", "2027-01-15 08:00:00 UTC", ""), ("Worst price", "63,000.0 USD", ""),
        ("Away from the peg", "1.0 USD", ""), ("Post only", "or slides", ""), ("Reduce only", "yes", ""), ("Prevented", "0.25 BTC", "")]
    child = plain | {"order_type": 1, "trigger": 3, "trigger_on": 0, "trigger_price": 620_000, "distance": 5_000, "display": BTC // 10, "shown": BTC // 20,
                     "link": 3, "parent": 2}
    assert facts(child, WORDS) == [
        ("Type", "market", ""), ("Trigger", "trailing 62,000.0 on last, 500 behind", ""), ("Shows", "0.1 BTC at a time, 0.05 now", ""),
        ("Group", "child: sleeps until its parent has ended", WORDS.opaque.text("order", 2))]


@pytest.mark.parametrize("text, short", [("1.500", "1.5"), ("100", "100"), ("0.00", "0"), ("10.0", "10")])
def test_zeros_that_say_nothing_go(text, short):
    assert trimmed(text) == short
