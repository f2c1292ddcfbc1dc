"""Orders: forms read, lives told, open orders listed."""
import pytest

from cambist.dictionary import Wrong
from cambist.messages import Event, OrderType, Reason, Side, TimeInForce
from cambist.ops.portal.ordering import TYPES, life, open_orders, read_order, trimmed

from tests.ops.portal.words_of_demo import ACME, BTC_USD, WORDS, row

FORM = {"instrument": "BTC-USD", "side": "buy", "type": "limit", "quantity": "0.05", "price": "62,500.5"}
BTC = 10**8


def test_a_form_is_a_command_and_its_words():
    order = read_order(FORM, WORDS)
    assert order.fields == {"instrument": BTC_USD, "side": Side.BUY, "order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC, "post_only": 0,
                            "price": 625_005, "quantity": 5_000_000}
    assert order.words == "Buy 0.05 BTC at 62500.5 USD, limit"
    market = read_order(FORM | {"type": "market", "price": "", "side": "sell"}, WORDS)
    assert (market.fields["order_type"], market.fields["price"], market.words) == (OrderType.MARKET, 0, "Sell 0.05 BTC at market")
    assert [read_order(FORM | {"type": name}, WORDS).fields["time_in_force"] for name in ("ioc", "fok")] == [TimeInForce.IOC, TimeInForce.FOK]
    assert read_order(FORM | {"type": "post_only"}, WORDS).fields["post_only"] == 1 and len(TYPES) == 5


@pytest.mark.parametrize("changed, code, path", [
    ({"instrument": "x"}, "UNKNOWN_INSTRUMENT", "instrument"), ({"side": "both"}, "BAD_SIDE", "side"), ({"type": "stop"}, "BAD_TYPE", "type"),
    ({"quantity": ""}, "BAD_QUANTITY", "quantity"), ({"quantity": "0"}, "BAD_QUANTITY", "quantity"), ({"quantity": "0.00001"}, "OFF_LOT", "quantity"),
    ({"quantity": "<b>1</b>"}, "BAD_QUANTITY", "quantity"), ({"price": ""}, "BAD_PRICE", "price"), ({"price": "62500.3"}, "OFF_TICK", "price"),
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


def test_another_accounts_order_has_no_life_here():
    assert life([accepted()], WORDS, ACME + 1) is None and life([], WORDS, ACME) is None
    assert life([accepted(), {**filled(BTC, 0), "id": 6}], WORDS, ACME).filled == 0


def test_open_orders_are_newest_first_and_in_decimals():
    rows = [{"id": n, "instrument": BTC_USD, "side": 0, "price": 625_000, "quantity": BTC, "leaves": BTC // 4, "post_only": 0} for n in (1, 2)]
    listed = open_orders({"orders": rows}, WORDS)
    assert [each["number"] for each in listed] == [2, 1] and (listed[0]["price"], listed[0]["filled"]) == ("62500.0", "0.75000000")


@pytest.mark.parametrize("text, short", [("1.500", "1.5"), ("100", "100"), ("0.00", "0"), ("10.0", "10")])
def test_zeros_that_say_nothing_go(text, short):
    assert trimmed(text) == short
