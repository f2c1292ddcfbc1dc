"""The outside dealer: what it answers to whom, and how it keeps its book with few messages."""
from pathlib import Path

import pytest

from cambist.configure import configure
from cambist.design import read_design
from cambist.desk.quoting import desk_terms
from cambist.world.dealers import MS, SECOND, DealerSettings, OutsideMaker
from cambist.world.tradables import Ask, Mids, heard_from, tradables

DESIGN = read_design((Path(__file__).resolve().parents[2] / "desks" / "demo.toml").read_text(), "demo")
TRADABLES = tradables(DESIGN, desk_terms(DESIGN, configure(DESIGN).names))
NOW, BOOK = 1_700_000_000 * SECOND, "BTC-USD-PF"
EMPTY = {"positions": []}


class Dealer:
    """A dealer at work, with a house that takes whatever it asks."""

    def __init__(self, account=EMPTY, mid: int = 600_000, **settings) -> None:
        self.mids = Mids({"BTC-USD": mid, BOOK: mid})
        self.mind = OutsideMaker(TRADABLES, self.mids, DealerSettings(books=(BOOK,), **({"levels": 2} | settings)))
        self.now, self.orders = NOW, 0
        self.done = self.mind.begin(account, self.now)
        self.refuse: str | None = None

    def run(self, ms: int, *events) -> list[Ask]:
        """Time, and events at its beginning; what was asked, each answered at once."""
        asked, events = [], list(events)
        until = self.now + ms * MS
        todo, self.done = self.done, []
        while self.now <= until:
            for event in (events or [None]):
                todo += self.mind.step(event, self.now)
            events = []
            while todo:
                ask = todo.pop(0)
                asked.append(ask)
                todo += self._answer(ask)
            self.now += 100 * MS
        return asked

    def _answer(self, ask: Ask) -> list[Ask]:
        if self.refuse:
            return self.mind.answered(ask, None, self.refuse, self.now)
        self.orders += ask.operation == "order.new"
        body = {"order": f"ord_{self.orders}", "status": "open"} if ask.operation == "order.new" else {}
        return self.mind.answered(ask, body, "", self.now)


def names(asks: list[Ask]) -> list[str]:
    return [ask.operation for ask in asks]


def invited(side: str = "buy", quantity: str = "1.00000000", request: str = "req_1", ttl: int = 10 * SECOND) -> dict:
    return {"event": "request_invited", "time": NOW, "instrument": "BTC-USD", "side": side, "request": request, "quantity": quantity, "expires": NOW + ttl}


def test_it_begins_with_nothing_open_and_fills_its_book_at_its_pace():
    dealer = Dealer()
    asked = dealer.run(3_000)
    assert names(asked) == ["order.cancel_all"] + ["order.new"] * 4
    best = {ask.body["side"]: ask.body for ask in reversed(asked) if ask.operation == "order.new"}
    assert best["buy"] == {"instrument": BOOK, "side": "buy", "quantity": "0.41660000", "price": "59964.0", "post_only": "reject"}
    assert best["sell"]["price"] == "60036.0"
    assert {float(ask.body["price"]) for ask in asked[1:]} == {59_964.0, 59_946.0, 60_036.0, 60_054.0}
    assert dealer.run(5_000) == []                      # and then nothing, while nothing moves


def test_it_moves_what_is_furthest_and_no_faster_than_its_pace():
    dealer = Dealer()
    dealer.run(3_000)
    dealer.mids[BOOK] = 600_300                         # 500 ppm
    asked = dealer.run(2_000)
    assert names(asked) == ["order.amend"] * 4 and len({ask.body["order"] for ask in asked}) == 4
    dealer.mids[BOOK] = 600_330                         # 50 ppm: left alone
    assert dealer.run(2_000) == []
    dealer.mids[BOOK] = 606_000
    assert len(dealer.run(900)) == 3                    # in 0.9 s: at 0, 0.4 and 0.8


def test_a_filled_or_cancelled_order_is_replaced():
    dealer = Dealer()
    dealer.run(3_000)
    filled = {"event": "filled", "instrument": BOOK, "side": "buy", "order": "ord_1", "quantity": "0.40000000", "leaves": "0.00000000"}
    assert names(dealer.run(500, filled))[:1] == ["order.new"]
    assert names(dealer.run(1_000, {"event": "order_cancelled", "instrument": BOOK, "order": "ord_2", "reason": "KILLED"}))[:1] == ["order.new"]
    part = {**filled, "order": "ord_3", "leaves": "0.00000001"}
    assert "order.new" not in names(dealer.run(1_000, part))


@pytest.mark.parametrize(("code", "then"), [
    ("UNKNOWN_ORDER", ["order.amend", "order.new"]), ("BAD_QUANTITY", ["order.amend", "order.cancel", "order.new"]),
    ("UNKNOWN", ["order.amend", "order.cancel_all"]), ("HALTED", ["order.amend"]),
])
def test_an_order_that_could_not_be_moved(code, then):
    dealer = Dealer(levels=1)
    dealer.run(3_000)
    dealer.mids[BOOK] = 600_300
    ask, = dealer.mind.step(None, dealer.now)
    dealer.done = dealer.mind.answered(ask, None, code, dealer.now)
    dealer.mids[BOOK] = 600_000                         # where the other order still stands
    seen = ["order.amend", *names(dealer.run(5_000))]
    assert [name for name in seen if name in then][:len(then)] == then


def test_it_waits_when_the_house_says_no_and_begins_again():
    dealer = Dealer()
    dealer.refuse = "RATE"
    assert names(dealer.run(10_000)) == ["order.cancel_all"] * 4       # at 0, 3, 6 and 9 s
    dealer.refuse = None
    assert names(dealer.run(4_000))[:2] == ["order.cancel_all", "order.new"]


@pytest.mark.parametrize(("side", "sides"), [("buy", {"ask"}), ("sell", {"bid"}), ("two_way", {"bid", "ask"})])
def test_it_quotes_the_sides_that_are_asked_for_around_the_mid(side, sides):
    dealer = Dealer(levels=0)
    quote, = [ask for ask in dealer.run(200, invited(side)) if ask.operation == "quote.new"]
    assert set(quote.body) == {"request", "ttl_ms"} | sides and quote.body["ttl_ms"] == 5_000
    assert quote.body.get("bid", "59976.0") == "59976.0" and quote.body.get("ask", "60024.0") == "60024.0"


def test_it_quotes_anew_when_the_market_moves_or_the_quote_lapses_and_not_after_the_end():
    dealer = Dealer(levels=0)
    dealer.run(100, invited())
    dealer.mids["BTC-USD"] = 600_060                    # 100 ppm: still good
    assert dealer.run(300) == []
    dealer.mids["BTC-USD"] = 600_120
    assert names(dealer.run(300)) == ["quote.new"]
    assert names(dealer.run(100, {"event": "quote_ended", "request": "req_1", "quote": "quo_1", "reason": "REPLACED"})) == []
    assert names(dealer.run(100, {"event": "quote_ended", "request": "req_1", "quote": "quo_2", "reason": "EXPIRED"})) == ["quote.new"]
    assert names(dealer.run(300, {"event": "quote_ended", "request": "req_1", "quote": "quo_3", "reason": "LOST"},
                            {"event": "request_ended", "request": "req_1", "reason": "LOST"})) == []
    assert names(dealer.run(20_000)) == []


def test_a_request_that_was_over_before_it_answered_is_let_go_of():
    dealer = Dealer(levels=0)
    dealer.run(100)
    dealer.refuse = "REQUEST_CLOSED"
    assert names(dealer.run(9_000, invited())) == ["quote.new"]


def test_it_lets_go_of_a_request_at_its_end_and_leaves_a_large_one_to_others():
    dealer = Dealer(levels=0)
    assert names(dealer.run(15_000, invited())) == ["order.cancel_all", "quote.new", "quote.new"]         # at 0 and 5 s, and it ends at 10
    assert dealer.run(500, {**invited(quantity="40.00000000", request="req_2"), "expires": dealer.now + SECOND}) == []


def test_what_it_holds_moves_its_prices():
    long = Dealer({"positions": [{"instrument": "BTC-USD", "net": "20.00000000"}]}, levels=0)
    short = Dealer({"positions": [{"instrument": "BTC-USD", "net": "-20.00000000"}]}, levels=0)
    asks = [next(a.body["ask"] for a in each.run(100, invited()) if a.operation == "quote.new") for each in (long, short)]
    assert float(asks[0]) < 60_024 < float(asks[1])


def test_each_market_speaks_for_the_instruments_of_its_assets():
    assert heard_from(DESIGN, "BTC/USD") == ["BTC-USD", "BTC-USD-PF"] and heard_from(DESIGN, "XRP/USD") == ["XRP-USD"]


def test_money_and_quantity():
    xrp = TRADABLES["XRP-USD"]
    assert xrp.quantity_out(xrp.quantity_for(25_000, 50_000)) == "50000.000000" and xrp.worth(50_000 * 10**6, 50_000) == 25_000
    assert xrp.worth(-50_000 * 10**6, 50_000) == -25_000 and xrp.quantity_for(0, 50_000) == xrp.terms.lot
