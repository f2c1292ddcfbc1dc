"""The words of a design: every event can be told, every decimal comes back, every wrong text says what would be right."""
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cambist.configure import configure
from cambist.design import read_design
from cambist.dictionary import NAMED, TOLD, Dictionary, Wrong, client_id, read_client_id
from cambist.event_fields import EVENT_FIELDS
from cambist.messages import EVENT, Event, Kind, Liquidity, Reason, Side
from cambist.opaque import Opaque

DESIGN = read_design((Path(__file__).parents[1] / "desks" / "demo.toml").read_text())
WORDS = Dictionary(DESIGN, configure(DESIGN).names, Opaque(bytes(16)))
BTC = WORDS.listed("BTC-USD")


def row(kind, **fields):
    made = np.zeros(1, EVENT)
    made["kind"] = kind
    for name, value in fields.items():
        made[name] = value
    return made[0]


def test_an_instrument_has_a_name_and_a_symbol():
    assert (BTC.name, BTC.symbol, WORDS.listed("BTC/USD")) == ("BTC/USD", "BTC-USD", BTC)
    assert WORDS.listed_by_number(BTC.number) is BTC and WORDS.listed_by_number(99) is None
    with pytest.raises(Wrong) as wrong:
        WORDS.listed("DOGE-USD", "$.instrument")
    assert (wrong.value.code, wrong.value.path) == ("UNKNOWN_INSTRUMENT", "$.instrument") and "BTC-USD" in wrong.value.message


@given(st.integers(0, 10**12))
def test_numbers_come_back(number):
    assert WORDS.price_in(WORDS.price_out(number, BTC), BTC) == number
    assert WORDS.quantity_in(WORDS.quantity_out(number, BTC), BTC) == number
    assert WORDS.amount_in(WORDS.amount_out(number, BTC.quote), BTC.quote) == number


@pytest.mark.parametrize("text", ["", "NaN", "Infinity", "-1", "1e3", "0x10", "1,5", " 1", "1.23456789012", "9" * 40])
def test_what_is_no_price_says_why(text):
    with pytest.raises(Wrong) as wrong:
        WORDS.price_in(text, BTC, "$.limit")
    assert wrong.value.code == "BAD_PRICE" and wrong.value.path == "$.limit" and len(wrong.value.message) > 10


def test_a_size_in_quote_is_rounded_down_to_the_lot():
    quantity = WORDS.quantity_for(WORDS.amount_in("1000000", BTC.quote), WORDS.price_in("60000", BTC), BTC)
    assert WORDS.quantity_out(quantity, BTC) == "16.66660000"
    assert WORDS.amount_of(quantity, WORDS.price_in("60000", BTC), BTC) <= WORDS.amount_in("1000000", BTC.quote)
    assert WORDS.quantity_for(1, WORDS.price_in("60000", BTC), BTC) == 0 == WORDS.quantity_for(10**12, 0, BTC)


@pytest.mark.parametrize("event", list(Event))
def test_every_event_can_be_told_and_names_only_fields_that_mean_something(event):
    told = WORDS.told(row(event, instrument=BTC.number, command=Kind.NEW_ORDER, id_lo=5, id=1, other=1, price=600000, quantity=1, leaves=1, amount=1, fee=1,
                          reason=Reason.RATE, liquidity=Liquidity.TAKER), 17)
    assert told["event"] == event.name.lower() and told["time"] == 17 and told["client_id"] == f"{5:032x}" and told["instrument"] == "BTC-USD"
    assert {field for _, field, _ in TOLD[event]} <= {*EVENT_FIELDS[event], "reason"}
    assert all(type(value) in (str, int) for value in told.values())


def test_a_fill_in_words():
    told = WORDS.told(row(Event.FILLED, instrument=BTC.number, side=Side.SELL, id=9, other=3, price=600001, quantity=150000000, amount=90000150000, fee=4500008,
                          liquidity=Liquidity.QUOTE, command=Kind.ACCEPT_QUOTE, id_hi=1, id_lo=-1), 5)
    assert told == {"event": "filled", "time": 5, "command": "accept_quote", "client_id": "0000000000000001ffffffffffffffff", "instrument": "BTC-USD",
                    "side": "sell", "quote": WORDS.opaque.text("quote", 9), "match": WORDS.opaque.text("match", 3), "price": "60000.1",
                    "quantity": "1.50000000", "leaves": "0.00000000", "amount": "90000.150000", "fee": "4.500008", "liquidity": "quote"}
    staff = WORDS.told_to_staff(row(Event.FILLED, instrument=BTC.number, account=WORDS.names["accounts"]["acme"], sequence=12), 5)
    assert (staff["account"], staff["sequence"]) == ("acme", 12)


def test_an_order_by_quote_quantity_is_told_in_the_quote_asset():
    sizes = {"instrument": BTC.number, "id": 9, "quantity": 45_000_000_000, "leaves": 15_000_000_000}
    told = WORDS.told(row(Event.ORDER_ACCEPTED, **sizes, liquidity=Liquidity.TAKER_BY_QUOTE), 5)
    assert (told["quote_quantity"], told["quote_leaves"]) == ("45000.000000", "15000.000000") and not {"quantity", "leaves", "liquidity"} & set(told)
    told = WORDS.told(row(Event.FILLED, **sizes | {"quantity": 10**8}, liquidity=Liquidity.TAKER_BY_QUOTE), 5)
    assert (told["quantity"], told["quote_leaves"], told["liquidity"]) == ("1.00000000", "15000.000000", "taker") and "leaves" not in told
    told = WORDS.told(row(Event.ORDER_CANCELLED, **sizes, reason=Reason.IMMEDIATE, liquidity=Liquidity.TAKER_BY_QUOTE), 5)
    assert told["quote_cancelled"] == "45000.000000" and "cancelled" not in told
    plain = WORDS.told(row(Event.ORDER_ACCEPTED, **sizes), 5)
    assert plain["quantity"] == "450.00000000" and "quote_quantity" not in plain


def test_a_fee_in_a_chosen_asset_says_of_what_and_how_it_traded():
    told = WORDS.told(row(Event.FEE_CHARGED, instrument=BTC.number, id=9, other=BTC.quote, amount=3_000_000, liquidity=Liquidity.QUOTE), 5)
    assert told["quote"] == WORDS.opaque.text("quote", 9) and (told["amount"], told["liquidity"]) == ("3.000000", "quote")
    assert WORDS.told(row(Event.FEE_CHARGED, instrument=BTC.number, id=9, liquidity=Liquidity.TAKER_BY_QUOTE), 5)["order"] == WORDS.opaque.text("order", 9)


def test_what_is_of_an_instrument_in_words():
    told = WORDS.told(row(Event.SESSION_CHANGED, instrument=BTC.number, id=3, price=600_000, amount=9, reason=Reason.BAND), 5)
    assert told == {"event": "session_changed", "time": 5, "instrument": "BTC-USD", "session": "volatility", "next": "continuous", "anchor": "60000.0",
                    "ends": 9, "reason": "BAND"}
    told = WORDS.told(row(Event.INDICATIVE, instrument=BTC.number, price=600_005, quantity=10**8, amount=-5 * 10**7), 5)
    assert (told["price"], told["quantity"], told["surplus"]) == ("60000.5", "1.00000000", "-0.50000000")
    assert "price" not in WORDS.told(row(Event.INDICATIVE, instrument=BTC.number), 5)
    assert "ends" not in WORDS.told(row(Event.SESSION_CHANGED, instrument=BTC.number, id=5), 5)


def test_a_mass_action_says_what_it_was_about():
    assert WORDS.told(row(Event.SWEPT, id=5, other=WORDS.names["actors"]["bo"]), 1) == {"event": "swept", "time": 1, "swept": "trader", "trader": "bo"}
    assert WORDS.told(row(Event.SWEPT, id=6, other=2), 1) == {"event": "swept", "time": 1, "swept": "digits", "asset": "USD"}
    assert WORDS.told(row(Event.SWEPT, id=3), 1)["swept"] == "session" and WORDS.told(row(Event.SWEPT, id=9), 1)["swept"] == "#9"


def test_both_orders_of_a_quote_in_the_book_and_a_rebate():
    told = WORDS.told(row(Event.BOOK_QUOTED, instrument=BTC.number, id=4, price=600_000, quantity=10**8), 1)
    assert told["bid_order"] == WORDS.opaque.text("order", 4) and "ask_order" not in told and "ask" not in told
    assert WORDS.told(row(Event.FILLED, instrument=BTC.number, fee=-5_000_000, liquidity=Liquidity.AUCTION), 1)["fee"] == "-5.000000"


def test_a_refusal_names_what_was_named_by_the_kind_of_the_command():
    for kind, named in NAMED.items():
        told = WORDS.told(row(Event.REFUSED, command=kind, id=4, reason=Reason.KILLED), 1)
        assert told["reason"] == "KILLED" and WORDS.opaque.number(named, told[named]) == 4
    assert "named" not in WORDS.told(row(Event.REFUSED, command=Kind.TRANSFER, id=4, reason=Reason.KILLED), 1)


def test_numbers_the_design_no_longer_has_are_told_as_numbers():
    assert WORDS.account_name(999) == "#999" and WORDS.told(row(200), 3) == {"event": "#200", "time": 3}
    assert WORDS.told(row(Event.REFUSED, reason=999, command=999), 1)["reason"] == "#999"


@given(st.integers(-(1 << 63), (1 << 63) - 1), st.integers(-(1 << 63), (1 << 63) - 1))
def test_client_ids_come_back(hi, lo):
    if hi or lo:
        assert read_client_id(client_id(hi, lo)) == (hi, lo)


@pytest.mark.parametrize("text", ["", "0" * 32, "F" * 32, "g" * 32, "1" * 31, "1" * 33, "٣" * 32])
def test_what_is_no_client_id(text):
    with pytest.raises(Wrong, match="32 hex digits") as wrong:
        read_client_id(text)
    assert wrong.value.code == "BAD_ID"


def test_an_id_of_another_kind_is_unknown():
    with pytest.raises(Wrong) as wrong:
        WORDS.id_in("order", WORDS.opaque.text("quote", 1), "$.id")
    assert wrong.value.code == "UNKNOWN_ORDER"
