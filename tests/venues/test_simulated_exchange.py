"""Who may order at the simulated venue, what it shows, and what it remembers: message by message, without a socket."""
import msgspec
import pytest

from cambist.venues.simulated import SimulatedSettings, SimulatedVenue
from cambist.venues.simulated_exchange import REMEMBERED_MOST, Hang, Keep, Send, SimulatedExchange, Symbols

from tests.venues.test_conformance import START, TERMS, book_at

MS = 1_000_000
SYMBOLS = Symbols({TERMS.number: TERMS}, {"XRPUSD": TERMS.number}, {TERMS.number: "0.01"})


class Talk:
    """An exchange, its connections, and its time."""

    def __init__(self, lines=(), trading: bool = True, **settings: int) -> None:
        self.market = SimulatedVenue("sim", [TERMS], SimulatedSettings(**({"latency_jitter_ns": 0, "fee_ppm": 150, "levels": 8} | settings)), 3)
        self.exchange = SimulatedExchange("sim", self.market, SYMBOLS, trading=trading)
        self.now, self.kept = START, list(self.exchange.remember(lines, START))
        self.exchange.follow(book_at(self.now, 0))
        self.wait()

    def _words(self, out) -> list[tuple[int, dict]]:
        self.kept += [each.line for each in out if isinstance(each, Keep)]
        return [(each.connection, msgspec.json.decode(each.text) if isinstance(each, Send) else {"op": "hang", "why": each.why})
                for each in out if isinstance(each, Send | Hang)]

    def say(self, connection: int, op: str, **fields) -> list[tuple[int, dict]]:
        return self._words(self.exchange.hear(connection, msgspec.json.encode({"op": op, **fields}), self.now))

    def wait(self, ms: int = 10) -> list[tuple[int, dict]]:
        self.now += ms * MS
        return self._words(self.exchange.step(self.now))

    def enter(self, connection: int, session: int) -> "Talk":
        self.exchange.connect(connection, self.now)
        assert self.say(connection, "logon", session=session)[0] == (connection, {"op": "logged_on", "session": session})
        return self

    def order(self, connection: int, number: int, tif: str = "ioc", price: str = "1010.00", quantity: str = "0.0020", symbol: str = "XRPUSD"):
        return self.say(connection, "order.new", client_order_id=str(number), symbol=symbol, side="buy", quantity=quantity, price=price, time_in_force=tif)


def test_an_order_is_told_in_the_venues_own_decimals():
    talk = Talk().enter(1, 5)
    assert talk.order(1, 77) == []                      # it is on its way
    ack, fill, closed = (word for _, word in talk.wait())
    assert ack == {"op": "order", "client_order_id": "77", "status": "new", "time": ack["time"], "symbol": "XRPUSD", "order_id": "sim-O1"}
    assert fill == {"op": "fill", "client_order_id": "77", "symbol": "XRPUSD", "execution_id": "sim-E1", "quantity": "0.0020", "price": "1000.10",
                    "fee": fill["fee"], "liquidity": "taker", "time": ack["time"]}
    assert SYMBOLS.money_in(TERMS.number, fill["fee"]) == TERMS.fee(20, 100_010, 150)
    assert (closed["status"], closed["reason"], closed["filled_quantity"]) == ("closed", "filled", "0.0020")


def test_what_is_said_is_kept_first_and_once():
    talk = Talk().enter(1, 5)
    talk.order(1, 77)
    out = talk.exchange.step(talk.now + 10 * MS)
    assert [type(each) for each in out] == [Keep, Send] * 3 and all(keep.line == send.text + b"\n" for keep, send in zip(out[::2], out[1::2], strict=True))
    talk.now += 10 * MS
    talk.say(1, "order.query", client_order_id="77")
    again = talk.exchange.step(talk.now + 10 * MS)
    assert [type(each) for each in again] == [Send] * 3


def test_nobody_orders_before_logging_on_or_with_an_old_session():
    talk = Talk()
    talk.exchange.connect(1, talk.now)
    assert talk.order(1, 1)[0][1]["code"] == "NOT_LOGGED_ON"
    talk.enter(1, 5)
    assert [word["op"] for _, word in talk.order(1, 1)] == []
    talk.exchange.connect(2, talk.now)
    assert [word.get("code", word["op"]) for _, word in talk.say(2, "logon", session=5)] == ["OLD_SESSION", "hang"]
    assert talk.order(2, 2)[0][1]["code"] == "NOT_LOGGED_ON"


def test_a_newer_session_takes_over_and_what_the_older_one_still_sends_is_nothing():
    talk = Talk().enter(1, 5)
    talk.exchange.connect(2, talk.now)
    assert talk.say(2, "logon", session=6) == [(2, {"op": "logged_on", "session": 6}), (1, {"op": "hang", "why": "a newer session has logged on"})]
    assert talk.order(1, 9) == []                       # was on its way when the line broke
    talk.say(2, "order.query", client_order_id="9")
    assert [(at, word["status"]) for at, word in talk.wait()] == [(2, "unknown")]
    assert talk.wait() == []                            # and it stays unknown


def test_reports_with_nobody_there_are_kept_and_told_when_asked():
    talk = Talk().enter(1, 5)
    talk.order(1, 9)
    talk.exchange.disconnect(1)
    assert talk.wait() == [] and len(talk.kept) == 3
    talk.enter(2, 6)
    talk.say(2, "order.query", client_order_id="9")
    assert [word.get("status", "fill") for _, word in talk.wait()] == ["new", "fill", "closed"]


@pytest.mark.parametrize(("fields", "status"), [
    ({"symbol": "NOPE"}, "unknown_instrument"), ({"quantity": "0"}, "quantity_not_positive"), ({"quantity": "0.0001"}, "quantity_off_lot"),
    ({"price": "1010.01"}, "price_off_tick"), ({"price": "99999999"}, "price_out_of_range"), ({"tif": "fok"}, "unsupported"),
])
def test_an_order_it_cannot_take_is_rejected_by_name(fields, status):
    talk = Talk().enter(1, 5)
    talk.order(1, 3, **fields)
    assert [(word["status"], word["reason"]) for _, word in talk.wait()] == [("rejected", status)]


@pytest.mark.parametrize("fields", [{"quantity": "0.00001"}, {"price": "1010.001"}, {"price": "nan"}, {"quantity": "-"}])
def test_a_number_that_is_none_is_an_error_and_no_order(fields):
    talk = Talk().enter(1, 5)
    assert [word["code"] for _, word in talk.order(1, 3, **fields)] == ["BAD_NUMBER"]
    talk.say(1, "order.query", client_order_id="3")
    assert [word["status"] for _, word in talk.wait()] == ["unknown"]


def test_a_book_is_a_snapshot_and_then_what_changed():
    talk = Talk().enter(1, 5)
    (_, first), = talk.say(1, "subscribe", symbols=["XRPUSD"])
    assert (first["type"], first["sequence"], first["bids"][0], len(first["asks"])) == ("snapshot", 1, ["999.90", "0.0040"], 8)
    talk.exchange.follow(book_at(talk.now, 5))          # a tick up
    (_, moved), = talk.wait()
    assert (moved["type"], moved["previous_sequence"], moved["sequence"]) == ("update", 1, 2)
    assert ["999.95", "0.0040"] in moved["bids"] and ["1000.10", "0"] in moved["asks"] and ["999.55", "0"] in moved["bids"]
    assert talk.exchange.caught_up(1)[0].book and b'"snapshot"' in talk.exchange.caught_up(1)[0].text


def test_what_only_shows_prices_takes_no_orders():
    talk = Talk(trading=False).enter(1, 5)
    assert talk.order(1, 3)[0][1]["code"] == "NO_TRADING"


def test_it_remembers_what_it_said_and_closes_what_was_open():
    talk = Talk().enter(1, 5)
    talk.order(1, 1)
    talk.order(1, 2, tif="gtc", price="999.95")
    said = [word for _, word in talk.wait()]
    later = Talk(lines=[*talk.kept, b'{"op":"order","client_or']).enter(1, 6)       # the last line was torn, so it was said to nobody
    later.say(1, "order.query", client_order_id="1")
    assert later.say(1, "order.query", client_order_id="1") == [(1, word) for word in said if word["client_order_id"] == "1"]
    assert [word.get("reason") for _, word in later.say(1, "order.query", client_order_id="2")] == [None, "by_venue"]
    assert [word["reason"] for _, word in later.say(1, "order.cancel", client_order_id="2")] == ["by_venue"]
    assert len(later.order(1, 1)) == 3 and later.wait() == []                       # placed again, it acts once
    assert Talk(lines=later.kept).kept == later.kept                                # nothing is closed twice


def test_it_lets_go_of_the_oldest_orders_only():
    lines = [msgspec.json.encode({"op": "order", "client_order_id": str(n), "status": "rejected", "time": 1, "reason": "busy"})
             for n in range(1, REMEMBERED_MOST + 11)]
    talk = Talk(lines=lines).enter(1, 5)
    assert len(talk.kept) == REMEMBERED_MOST
    assert talk.say(1, "order.query", client_order_id="11")[0][1]["status"] == "rejected"
    talk.say(1, "order.query", client_order_id="10")
    assert [word["status"] for _, word in talk.wait()] == ["unknown"]
