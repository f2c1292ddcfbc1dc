"""Our side of the venue's API: integers to decimals and back, books that are whole or asked for again, words that cannot be read."""
from pathlib import Path

import msgspec
import pytest

from cambist.design import read_design
from cambist.messages import Side, TimeInForce
from cambist.venues.remote_venue import RemoteVenue, declared
from cambist.venues.simulated_exchange import Symbols
from cambist.venues.venue import (
    Acked, AskChild, BookUpdate, CancelChild, Capabilities, Closed, CloseReason, Filled, Liquidity, Missing, PlaceChild, Rejected, RejectReason,
)

from tests.venues.test_conformance import TERMS

SYMBOLS = Symbols({TERMS.number: TERMS}, {"XRPUSD": TERMS.number}, {TERMS.number: "0.01"})
DEMO = Path(__file__).resolve().parents[2] / "desks" / "demo.toml"


def venue(open_: bool = True, **more) -> RemoteVenue:
    made = RemoteVenue(Capabilities(venue="sim"), SYMBOLS, **more)
    if open_:
        made.connected(1)
        say(made, "logged_on", session=1)
        made.outgoing()
    return made


def say(to: RemoteVenue, op: str, **fields):
    to.hear(msgspec.json.encode({"op": op, **fields}))
    return to.step(0, ())


def sent(by: RemoteVenue) -> list[dict]:
    return [msgspec.json.decode(each) for each in by.outgoing()]


def test_intents_are_written_in_the_venues_words():
    it = venue()
    it.step(0, [PlaceChild(5, 7, Side.SELL, 20, 100_010, TimeInForce.IOC), CancelChild(6), AskChild(-3), PlaceChild(8, 99, Side.BUY, 10, 5, TimeInForce.GTC)])
    assert sent(it) == [
        {"op": "order.new", "client_order_id": "5", "symbol": "XRPUSD", "side": "sell", "quantity": "0.0020", "price": "1000.10", "time_in_force": "ioc"},
        {"op": "order.cancel", "client_order_id": "6"}, {"op": "order.query", "client_order_id": "-3"},
        {"op": "order.new", "client_order_id": "8", "symbol": "#99", "side": "buy", "quantity": "0", "price": "0", "time_in_force": "ioc"}]


@pytest.mark.parametrize(("op", "fields", "report"), [
    ("order", {"status": "new", "order_id": "O1"}, Acked(5, "O1", 9)),
    ("order", {"status": "rejected", "reason": "busy"}, Rejected(5, RejectReason.BUSY, 9)),
    ("order", {"status": "rejected", "reason": "a new one"}, Rejected(5, RejectReason.OTHER, 9)),
    ("order", {"status": "closed", "symbol": "XRPUSD", "reason": "remainder", "filled_quantity": "0.0010"}, Closed(5, CloseReason.REMAINDER, 10, 9)),
    ("order", {"status": "unknown"}, Missing(5, 9)),
    ("fill", {"symbol": "XRPUSD", "execution_id": "E1", "quantity": "0.0010", "price": "1000.10", "fee": "0.07", "liquidity": "maker"},
     Filled(5, "E1", 10, 100_010, 7, Liquidity.ADDED, 9)),
])
def test_the_venues_words_become_reports(op, fields, report):
    assert say(venue(), op, client_order_id="5", time=9, **fields) == [report]


def test_a_connection_logs_on_and_asks_for_books_before_anything_else():
    it = venue(open_=False)
    assert it.step(0, [AskChild(1)]) == [] and it.outgoing() == []          # nobody is there: silence
    it.connected(42)
    it.step(0, [AskChild(1)])                           # not yet logged on
    assert sent(it) == [{"op": "logon", "session": 42}, {"op": "subscribe", "symbols": ["XRPUSD"]}]
    say(it, "logged_on", session=42)
    it.step(0, [AskChild(1)])
    assert len(sent(it)) == 1
    it.step(0, [AskChild(1)])
    it.lost()
    assert it.outgoing() == [] and not it.open
    quiet = venue(open_=False, trading=False)
    quiet.connected(1)
    assert [each["op"] for each in sent(quiet)] == ["subscribe"]


def book(kind: str, sequence: int, bids, asks, **more) -> dict:
    return {"type": kind, "symbol": "XRPUSD", "sequence": sequence, "time": 4, "bids": bids, "asks": asks, **more}


def test_updates_are_put_on_the_snapshot_they_follow():
    it = venue()
    assert say(it, "book", **book("snapshot", 3, [["10.00", "0.0010"]], [["10.10", "0.0020"], ["10.15", "0.0010"]])) == [
        BookUpdate(7, 4, ((1000, 10),), ((1010, 20), (1015, 10)))]
    assert say(it, "book", **book("update", 4, [["10.05", "0.0030"]], [["10.10", "0"]], previous_sequence=3)) == [
        BookUpdate(7, 4, ((1005, 30), (1000, 10)), ((1015, 10),))]


@pytest.mark.parametrize("wrong", [
    book("update", 6, [], [["10.10", "0"]], previous_sequence=5),               # one is missing
    book("update", 4, [["10.10", "0.0010"]], [], previous_sequence=3),          # crossed
])
def test_a_book_that_cannot_be_is_asked_for_once_and_not_shown(wrong):
    it = venue()
    say(it, "book", **book("snapshot", 3, [["10.00", "0.0010"]], [["10.10", "0.0020"]]))
    assert say(it, "book", **wrong) == [] and sent(it) == [{"op": "subscribe", "symbols": ["XRPUSD"]}]
    assert say(it, "book", **wrong) == [] and sent(it) == []
    assert say(it, "book", **book("snapshot", 9, [["10.00", "0.0010"]], [["10.10", "0.0020"]])) != []


@pytest.mark.parametrize("text", [
    b"{", b"\xff", b'{"op":"strange"}', b'{"op":"order","client_order_id":"x","status":"new","time":1}',
    b'{"op":"order","client_order_id":"5","status":"closed","symbol":"XRPUSD","reason":"eaten","filled_quantity":"0","time":1}',
    b'{"op":"fill","client_order_id":"5","symbol":"OTHER","execution_id":"E","quantity":"1","price":"1","fee":"0","liquidity":"maker","time":1}',
    b'{"op":"fill","client_order_id":"5","symbol":"XRPUSD","execution_id":"E","quantity":"0.00001","price":"1","fee":"0","liquidity":"maker","time":1}',
    b'{"op":"book","type":"snapshot","symbol":"XRPUSD","sequence":1,"time":1,"bids":[["1","x"]],"asks":[]}',
    b'{"op":"error","code":"OLD_SESSION","message":"too old"}',
])
def test_words_that_cannot_be_used_are_told_to_a_person(text):
    it = venue()
    it.hear(text)
    assert it.step(0, ()) == [] and len(it.calls) == 1 and it.calls[0].startswith("sim ")


def test_capabilities_are_those_of_the_design():
    osprey = read_design(DEMO.read_text(), "demo").venues["osprey"]
    made = declared("osprey", osprey)
    assert (made.venue, made.times_in_force, made.ask_after_ns, made.taker_fee_ppm, made.maker_fee_ppm) == (
        "osprey", (TimeInForce.IOC,), 2_000_000_000, 150, 60)
