"""Market data: a book kept by level events equals the truth however it was read; its messages keep a client's book equal; each trade is told once."""
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cambist.client import OrderBook
from cambist.configure import configure
from cambist.design import read_design
from cambist.dictionary import Dictionary
from cambist.gateways import market_data
from cambist.gateways.market_data import MAX_RECENT, MAX_TRADES, MarketData, checksum
from cambist.messages import EVENT, Event, Liquidity, Reason, Session, Side
from cambist.opaque import Opaque

from tests.feeds.obvious import to_public

DESIGN = read_design((Path(__file__).parents[2] / "desks" / "demo.toml").read_text())
WORDS = Dictionary(DESIGN, configure(DESIGN).names, Opaque(bytes(16)))
BTC, XRP = WORDS.listed("BTC-USD").number, WORDS.listed("XRP-USD").number
Truth = dict[tuple[int, int], tuple[int, int]]          # side, price -> quantity, orders

changes = st.tuples(st.sampled_from([0, 1]), st.integers(1, 12), st.integers(0, 4), st.integers(1, 3))
logs = st.lists(changes, max_size=60)


def events(first: int, rows: list[tuple[int, int, int, int]], instrument: int = BTC) -> np.ndarray:
    made = np.zeros(len(rows), EVENT)
    made["kind"], made["instrument"], made["sequence"] = Event.LEVEL, instrument, np.arange(first, first + len(rows))
    for row, (side, price, quantity, orders) in zip(made, rows, strict=True):
        row["side"], row["price"], row["quantity"], row["leaves"] = side, 100_000 + price, quantity * 1_000, orders if quantity else 0
    return made


def times(count: int, first: int = 1_000) -> np.ndarray:
    return np.arange(first, first + count, dtype=np.int64)


def truth(rows: list[tuple[int, int, int, int]]) -> Truth:
    kept: Truth = {}
    for side, price, quantity, orders in rows:
        kept.pop((side, 100_000 + price), None)
        if quantity:
            kept[side, 100_000 + price] = (quantity * 1_000, orders)
    return kept


def view(kept: Truth) -> dict[str, list[list[int]]]:
    """As the house tells a book."""
    return {name: [[price, *kept[s, price]] for s, price in sorted(kept, key=lambda k: -k[1] if k[0] == 0 else k[1]) if s == side]
            for side, name in ((0, "bids"), (1, "asks"))}


def shown(kept: Truth) -> tuple[list, list]:
    listed = WORDS.listed_by_number(BTC)
    told = view(kept)
    return tuple([(WORDS.price_out(p, listed), WORDS.quantity_out(q, listed)) for p, q, _ in told[name]] for name in ("bids", "asks"))


def fresh(rows=()) -> MarketData:
    data = MarketData(WORDS, "e")
    data.load(BTC, len(rows), view(truth(list(rows))))
    return data


def of_the_floor(*rows):
    """Public events of BTC-USD: kind and what it says."""
    made = np.zeros(len(rows), EVENT)
    made["instrument"] = BTC
    for row, (kind, fields) in zip(made, rows, strict=True):
        row["kind"] = kind
        for name, value in fields.items():
            row[name] = value
    return made


def test_a_session_is_told_whole_and_an_auction_with_its_price():
    data = MarketData(WORDS, "e")
    floor = data.floors[BTC]
    data.load_floors([{"instrument": BTC, "session": Session.CLOSED}], 5)
    assert floor.live and floor.told() == {"session": "closed", "next_session": None, "auction_ends": None, "indicative": None} and data.changed() == [BTC]
    auction, price = (Event.SESSION_CHANGED, {"id": Session.VOLATILITY, "amount": 99, "reason": Reason.BAND}), (Event.INDICATIVE, {
        "price": 640_005, "quantity": 10**8, "amount": -5 * 10**7})
    data.hear_floors(of_the_floor(auction, price), times(2))
    assert msgspec.json.decode(floor.message()) == {
        "op": "session", "instrument": "BTC-USD", "session": "volatility", "next_session": "continuous", "auction_ends": 99, "reason": "BAND",
        "indicative": {"price": "64000.5", "quantity": "1.00000000", "surplus": "-0.50000000"}, "uncrossed": None, "time": 1_001}
    data.load_floors([{"instrument": BTC, "session": Session.CONTINUOUS}], 7)
    assert floor.session is Session.VOLATILITY, "what was read before is older than what was heard"
    data.hear_floors(of_the_floor((Event.UNCROSSED, price[1]), (Event.SESSION_CHANGED, {"id": Session.CONTINUOUS})), times(2, 2_000))
    told = msgspec.json.decode(floor.message())
    assert told["session"] == "continuous" and told["indicative"] is None and told["uncrossed"]["price"] == "64000.5" and told["next_session"] is None
    data.lose()
    assert not floor.live and BTC not in data.changed()


def test_changed_terms_are_noticed():
    data = MarketData(WORDS, "e")
    data.hear_floors(of_the_floor((Event.REFERENCE, {})), times(1))
    assert not data.terms_changed
    data.hear_floors(of_the_floor((Event.DIGITS_CHANGED, {})), times(1))
    assert data.terms_changed


def test_a_trade_of_an_auction_has_no_side():
    data, rows = MarketData(WORDS, "e"), np.zeros(2, EVENT)
    rows["kind"], rows["instrument"], rows["price"], rows["quantity"] = Event.FILLED, BTC, 640_000, 10**8
    rows["liquidity"] = [0, Liquidity.AUCTION]
    data.hear_trades(rows, times(2))
    assert [trade["side"] for trade in data.tapes[BTC].recent] == ["buy", None]


@given(logs, st.data())
def test_a_book_read_at_any_position_becomes_the_truth(rows, draw):
    """Read at `read_at` while events up to `asked_at` were heard before the answer came: nothing is lost, nothing counts twice."""
    read_at = draw.draw(st.integers(0, len(rows)))
    began, asked_at = draw.draw(st.integers(0, read_at)), draw.draw(st.integers(0, len(rows)))
    data = MarketData(WORDS, "e")
    heard = rows[began:max(asked_at, began)]
    data.hear_levels(events(began + 1, heard), times(len(heard)))
    data.load(BTC, read_at, view(truth(rows[:read_at])))
    rest = rows[max(asked_at, began):]
    data.hear_levels(events(max(asked_at, began) + 1, rest), times(len(rest)))
    assert data.books[BTC].levels() == shown(truth(rows))


@given(logs, logs, st.lists(st.integers(1, 7), max_size=30))
def test_a_clients_book_follows(before, after, cuts):
    data, mine = fresh(before), OrderBook("BTC-USD")
    book = data.books[BTC]
    mine.take(msgspec.json.decode(book.snapshot()))
    at = 0
    for cut in [*cuts, len(after)]:
        rows = after[at:at + cut]
        data.hear_levels(events(len(before) + at + 1, rows), times(len(rows), 5_000 + at))
        at += len(rows)
        if (told := book.update()) is not None:
            message = msgspec.json.decode(told.data)
            assert len({(side, price) for side in ("bids", "asks") for price, _ in message[side]}) == len(message["bids"]) + len(message["asks"])
            mine.take(message)
        assert (mine.sequence, mine.checksum(), mine.live) == (book.sequence, book.checksum(), True)
    late = OrderBook("BTC-USD")
    late.take(msgspec.json.decode(book.snapshot(conflated=True)))
    assert late.conflated and (late.bids, late.asks, late.sequence) == (mine.bids, mine.asks, mine.sequence)


@given(st.lists(changes, min_size=20, max_size=80), logs)
def test_of_a_deep_book_the_best_levels_are_right_until_it_is_read_again(before, after):
    """Here four levels are read; what is shown is right as deep as it goes, and never runs dry while there is more behind it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(market_data, "SHOWN", 4)
        data, sequence = fresh(before), len(before)
        for at in range(len(after)):
            data.hear_levels(events(sequence + 1, [after[at]]), times(1))
            sequence += 1
            now = truth([*before, *after[:at + 1]])
            if data.due():
                data.load(BTC, sequence, view(now))
            for mine, whole in zip(data.books[BTC].levels(), shown(now), strict=True):
                assert mine == whole[:len(mine)] and (len(mine) >= min(2, len(whole)))
    assert data.books[BTC].epoch.startswith("e-")


def test_a_snapshot_taken_between_a_change_and_its_update_holds():
    data, mine = fresh([(0, 1, 1, 1)]), OrderBook("BTC-USD")
    book = data.books[BTC]
    data.hear_levels(events(2, [(0, 2, 3, 1)]), times(1))
    mine.take(msgspec.json.decode(book.snapshot()))
    data.hear_levels(events(3, [(0, 2, 0, 0)]), times(1))
    mine.take(msgspec.json.decode(book.update().data))
    assert [str(level.price) for level in mine.bids] == [WORDS.price_out(100_001, BTC_LISTED)]


BTC_LISTED = WORDS.listed_by_number(BTC)


def test_one_batch_is_one_update_with_the_last_state_of_each_level():
    data = fresh()
    data.hear_levels(events(1, [(0, 1, 1, 1), (0, 1, 2, 2), (1, 5, 1, 1), (1, 5, 0, 0)]), times(4))
    told = msgspec.json.decode(data.books[BTC].update().data)
    price, gone = WORDS.price_out(100_001, BTC_LISTED), WORDS.price_out(100_005, BTC_LISTED)
    assert told["bids"] == [[price, "0.00002000"]] and told["asks"] == [[gone, "0.00000000"]]
    assert (told["previous_sequence"], told["sequence"], told["time"], told["epoch"]) == (1, 2, 1_003, "e-0")
    assert told["checksum"] == checksum([(price, "0.00002000")], []) and data.books[BTC].update() is None


def test_more_orders_at_a_level_is_no_news():
    data = fresh()
    data.hear_levels(events(1, [(0, 1, 2, 1)]), times(1))
    assert data.books[BTC].update() and data.changed() == []
    data.hear_levels(events(2, [(0, 1, 2, 2)]), times(1))
    assert data.changed() == []


def test_no_sequence_of_the_log_is_told():
    data = MarketData(WORDS, "e")
    data.load(BTC, 123_456_789, view({}))
    data.hear_levels(events(123_456_790, [(0, 1, 1, 1)]), times(1))
    assert data.newest == 123_456_790 and b"12345679" not in data.books[BTC].update().data + data.books[BTC].snapshot()


def test_after_the_house_was_out_of_sight_a_book_has_a_new_epoch_and_needs_reading():
    data, mine = fresh([(0, 1, 1, 1)]), OrderBook("BTC-USD")
    book = data.books[BTC]
    mine.take(msgspec.json.decode(book.snapshot()))
    assert data.lose() == [BTC] and data.lose() == [] and not book.live
    mine.take(msgspec.json.decode(book.stale()))
    assert not mine.live
    data.hear_levels(events(2, [(0, 2, 1, 1)]), times(1))
    assert book.update() is None
    data.load(BTC, 1, view(truth([(0, 1, 1, 1)])))
    mine.take(msgspec.json.decode(book.snapshot()))
    assert mine.live and mine.epoch == "e-2" and len(mine.bids) == 2


def test_a_snapshot_is_made_once():
    book = fresh([(0, 1, 1, 1)]).books[BTC]
    assert book.snapshot() is book.snapshot() and book.snapshot(True) is not book.snapshot()


def test_instruments_do_not_mix_and_unknown_ones_are_left_out():
    data = fresh()
    data.hear_levels(events(1, [(0, 1, 1, 1)], XRP), times(1))
    data.hear_levels(events(2, [(0, 1, 1, 1)], 77), times(1))
    assert data.changed() == [] and data.books[BTC].levels() == ([], [])
    data.load(XRP, 0, view({}))
    assert data.books[XRP].levels()[0] != []


# ---------------------------------------------------------------------------------------------------------------------------------------- trades
def fill(**fields):
    made = np.zeros(1, EVENT)
    made["kind"], made["instrument"] = Event.FILLED, BTC
    for name, value in fields.items():
        made[name] = value
    return made


def test_each_trade_is_told_once_with_the_takers_side():
    both = np.concatenate([fill(liquidity=Liquidity.MAKER, side=Side.BUY, other=7, price=128_000, quantity=5, account=1),
                           fill(liquidity=Liquidity.TAKER, side=Side.SELL, other=7, price=128_000, quantity=5, account=2),
                           fill(liquidity=Liquidity.QUOTE, side=Side.BUY, other=8, price=128_010, quantity=9, account=1),
                           fill(liquidity=Liquidity.QUOTE, side=Side.SELL, other=8, price=128_010, quantity=9, account=3)])
    data = fresh()
    public = to_public(both)
    data.hear_trades(public, times(len(public)))
    told = msgspec.json.decode(data.tapes[BTC].message())
    assert (told["op"], told["instrument"], [(t["side"], t["time"]) for t in told["trades"]]) == ("trades", "BTC-USD", [("sell", 1_000), ("buy", 1_001)])
    assert told["trades"][0]["match"] == WORDS.opaque.text("match", 7) and told["trades"][0]["quantity"] == "0.00000005"
    assert set(told["trades"][0]) == {"match", "time", "side", "price", "quantity"} and data.tapes[BTC].message() is None


def test_trades_of_the_past_are_kept_and_not_told():
    data = fresh()
    data.hear_trades(np.concatenate([fill(other=n + 1, price=1, quantity=1) for n in range(3)]), times(3), tell=False)
    assert len(data.tapes[BTC].recent) == 3 and data.changed() == []


def test_a_message_and_the_memory_of_trades_have_an_end():
    data = fresh()
    many = np.concatenate([fill(other=n + 1, price=1, quantity=1) for n in range(MAX_RECENT + 10)])
    data.hear_trades(many, times(len(many)))
    sizes = []
    while (told := data.tapes[BTC].message()) is not None:
        sizes.append(len(msgspec.json.decode(told)["trades"]))
    assert sizes == [MAX_TRADES, MAX_TRADES, 10] and len(data.tapes[BTC].recent) == MAX_RECENT
