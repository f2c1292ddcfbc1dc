"""The demo's client: it asks, waits, takes the best quote or none, and trades back towards nothing."""
import itertools
from collections import Counter

from cambist.world.clients import MS, SECOND, ClientSettings, DemoClient
from cambist.world.tradables import Ask, Mids

from tests.world.test_dealers import NOW, TRADABLES

MIDS = Mids({"BTC-USD": 600_000, "BTC-USD-PF": 600_000, "XRP-USD": 50_000})
SETTINGS = {"requests": ("BTC-USD", "XRP-USD"), "orders": ("BTC-USD-PF",)}
EMPTY = {"positions": []}


def client(seed: int = 1, account=EMPTY, **settings) -> DemoClient:
    made = DemoClient(TRADABLES, MIDS, ClientSettings(**(SETTINGS | settings)), seed)
    made.begin(account, NOW)
    return made


def asked(it: DemoClient, now: int = NOW) -> tuple[Ask, int]:
    """What it wants first, and when."""
    while True:
        now = max(now + 1, it.next_due(now))
        if asks := it.step(None, now):
            return asks[0], now


def requesting(seed: int = 1, side: str = "buy", **settings) -> tuple[DemoClient, int]:
    """With a request of this side open, and a house that opened it."""
    it = client(seed, order_ppm=0, two_way_ppm=0, **settings)
    ask, now = asked(it)
    while ask.body["side"] != side:
        it.answered(ask, None, "RATE", now)
        ask, now = asked(it, now)
    it.answered(ask, {"request": "req_1", "side": side, "expires": now + 10 * SECOND}, "", now)
    return it, now


def quote(name: str, now: int, ttl: int = 5 * SECOND, **prices: str) -> dict:
    return {"event": "quote_shown", "request": "req_1", "quote": name, "instrument": "BTC-USD", "expires": now + ttl, **prices}


def test_it_does_one_thing_at_a_time_with_pauses_between():
    it, now, times = client(), NOW, []
    for _ in range(200):
        ask, now = asked(it, now)
        assert it.step(None, now + SECOND) == []        # until it is answered
        it.answered(ask, None, "HALTED", now)
        times.append(now)
    pauses = [(after - before) / SECOND for before, after in itertools.pairwise(times)]
    assert 5 <= min(pauses) < 6 and 14 < max(pauses) <= 15


def test_it_asks_for_everything_it_may_and_nothing_else():
    it, now, seen = client(), NOW, Counter()
    for _ in range(400):
        ask, now = asked(it, now)
        it.answered(ask, None, "HALTED", now)
        seen[ask.operation, ask.body["instrument"], ask.body["side"], "quote_quantity" in ask.body] += 1
    assert {(op, what) for op, what, _, _ in seen} == {("request.new", "BTC-USD"), ("request.new", "XRP-USD"), ("order.new", "BTC-USD-PF")}
    assert {side for _, _, side, _ in seen} == {"buy", "sell", "two_way"} and any(in_quote for *_, in_quote in seen)
    assert 80 < sum(n for (op, *_), n in seen.items() if op == "order.new") < 160      # 30 %


def test_the_same_seed_asks_the_same():
    assert asked(client(5)) == asked(client(5)) and asked(client(5)) != asked(client(6))


def test_it_takes_the_best_quote_after_thinking():
    for side, name, prices, best in (("buy", "ask", ("9999.5", "10000.5", "10001.0"), "9999.5"), ("sell", "bid", ("9999.5", "10000.5", "10001.0"), "10001.0")):
        it, now = requesting(3, side, declines_ppm=0)
        for i, price in enumerate(prices):
            assert it.step(quote(f"quo_{i}", now, **{name: price}), now) == []
        taken, = it.step(None, now + 1_200 * MS)
        assert (taken.operation, taken.body) == ("request.accept", {"request": "req_1", "side": side, "limit_price": best,
                                                                    "quote": f"quo_{prices.index(best)}"})


def test_quotes_that_ended_or_lapsed_are_not_taken():
    it, now = requesting(3, declines_ppm=0)
    it.step(quote("quo_1", now, ask="10.0"), now)
    it.step(quote("quo_2", now, ttl=SECOND, ask="11.0"), now)
    it.step(quote("quo_3", now, ask="12.0"), now)
    it.step({"event": "quote_ended", "quote": "quo_1", "request": "req_1", "reason": "WITHDRAWN"}, now)
    taken, = it.step(None, now + 1_200 * MS)
    assert taken.body["quote"] == "quo_3"
    it.answered(taken, None, "NO_QUOTE", now + 1_300 * MS)
    it.step(quote("quo_4", now, ask="13.0"), now + 1_300 * MS)
    it.step({"event": "quote_ended", "quote": "quo_3", "request": "req_1", "reason": "EXPIRED"}, now + 1_300 * MS)
    again, = it.step(None, now + 2_600 * MS)
    assert again.body["quote"] == "quo_4"


def test_quotes_told_before_the_answer_count():
    it = client(3, order_ppm=0, two_way_ppm=0, declines_ppm=0)
    ask, now = asked(it)
    name = "ask" if ask.body["side"] == "buy" else "bid"
    it.step(quote("quo_1", now, **{name: "10.0"}), now)
    it.answered(ask, {"request": "req_1", "side": ask.body["side"], "expires": now + 10 * SECOND}, "", now)
    assert it.step(None, now + 1_200 * MS)[0].body["quote"] == "quo_1"


def test_without_a_quote_it_waits_until_its_request_is_over():
    it, now = requesting(3)
    assert it.step(None, now + 9 * SECOND) == []
    it.step({"event": "request_ended", "request": "req_1", "reason": "EXPIRED"}, now + 10 * SECOND)
    assert 5 * SECOND <= it.next_due(now + 10 * SECOND) - now - 10 * SECOND <= 15 * SECOND
    it, now = requesting(3)
    assert it.step(None, now + 10 * SECOND) == []       # and also if it never hears of the end
    assert it.next_due(now + 10 * SECOND) >= now + 15 * SECOND


def test_it_declines_now_and_then():
    it, now = requesting(3, declines_ppm=1_000_000)
    it.step(quote("quo_1", now, ask="10.0"), now)
    declined, = it.step(None, now + 1_200 * MS)
    assert declined.operation == "request.cancel"


def test_it_trades_back_what_it_holds():
    for net, side in (("200.00000000", "sell"), ("-200.00000000", "buy")):
        it, now, seen = client(2, {"positions": [{"instrument": "BTC-USD", "net": net}]}, order_ppm=0, two_way_ppm=0, requests=("BTC-USD",)), NOW, set()
        for _ in range(20):
            ask, now = asked(it, now)
            it.answered(ask, None, "HALTED", now)
            seen.add(ask.body["side"])
        assert seen == {side}
    it = client(2)
    it.step({"event": "filled", "instrument": "BTC-USD", "side": "buy", "quantity": "1.50000000"}, NOW)
    it.step({"event": "filled", "instrument": "BTC-USD", "side": "sell", "quantity": "0.50000000"}, NOW)
    assert it._net == {"BTC-USD": 10**8}


def test_without_a_market_it_waits():
    it = DemoClient(TRADABLES, Mids(), ClientSettings(**SETTINGS), 1)
    it.begin(EMPTY, NOW)
    assert all(it.step(None, NOW + n * 20 * SECOND) == [] for n in range(5))
