"""A client's book: right while every message comes once and in order, and broken aloud as soon as one does not."""
import copy
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cambist.client import BookBroken, OrderBook
from cambist.client.order_book import checksum

changes = st.lists(st.tuples(st.sampled_from(["bids", "asks"]), st.integers(1, 15), st.integers(0, 3)), min_size=1, max_size=6)


def snapshot(**more):
    told = {"op": "book", "type": "snapshot", "instrument": "BTC-USD", "epoch": "a", "sequence": 1, "time": 5,
            "bids": [["99.5", "1"], ["99", "2"]], "asks": [["100", "3"]]} | more
    return told | {"checksum": checksum(told["bids"], told["asks"])}


def stream(batches):
    """A snapshot and an update for each batch of changes, with right checksums: a house written the slow way."""
    sides = {"bids": {}, "asks": {}}
    told = [snapshot(bids=[], asks=[])]
    for number, batch in enumerate(batches, 2):
        message = {"op": "book", "type": "update", "instrument": "BTC-USD", "epoch": "a", "sequence": number, "previous_sequence": number - 1, "time": number,
                   "bids": [], "asks": []}
        for side, price, quantity in {(side, price): (side, price, quantity) for side, price, quantity in batch}.values():
            sides[side].pop(price, None)
            if quantity:
                sides[side][price] = quantity
            message[side].append([str(price), str(quantity)])
        bids, asks = ([(str(p), str(sides[s][p])) for p in sorted(sides[s], reverse=s == "bids")] for s in ("bids", "asks"))
        told.append(message | {"checksum": checksum(bids, asks)})
    return told, sides


def test_a_snapshot_is_shown_best_first():
    book = OrderBook("BTC-USD")
    assert not book.live and book.best_bid is None and book.best_ask is None
    book.take(snapshot())
    assert book.live and [level.price for level in book.bids] == [Decimal("99.5"), Decimal("99")]
    assert book.best_bid == (Decimal("99.5"), Decimal(1)) and book.best_ask == (Decimal(100), Decimal(3)) and book.depth(1) == (book.bids[:1], book.asks)
    assert book.depth(0) == ([], [])


def test_the_checksum_is_the_published_one():
    assert checksum([("64250.5", "1.25"), ("64250.0", "0.5")], [("64251.0", "2")]) == 2_286_339_742
    assert checksum([], []) == 0


def test_the_checksum_covers_ten_levels_of_each_side():
    bids = [(str(100 - n), "1") for n in range(12)]
    assert checksum(bids, []) == checksum(bids[:10], []) != checksum(bids[:9], [])


@given(st.lists(changes, max_size=12))
def test_every_update_in_order_gives_the_truth(batches):
    told, sides = stream(batches)
    book = OrderBook("BTC-USD")
    for message in told:
        book.take(message)
    assert [(int(level.price), int(level.quantity)) for level in book.bids] == sorted(sides["bids"].items(), reverse=True)
    assert [(int(level.price), int(level.quantity)) for level in book.asks] == sorted(sides["asks"].items())


@given(st.lists(changes, min_size=3, max_size=8), st.data())
def test_what_is_lost_repeated_or_out_of_order_is_noticed(batches, draw):
    told, _ = stream(batches)
    at = draw.draw(st.integers(1, len(told) - 2))
    fault = draw.draw(st.sampled_from(["lost", "repeated", "swapped"]))
    if fault == "lost":
        del told[at]
    elif fault == "repeated":
        told.insert(at, told[at])
    else:
        told[at], told[at + 1] = told[at + 1], told[at]
    book = OrderBook("BTC-USD")
    with pytest.raises(BookBroken):
        for message in told:
            book.take(message)
    assert not book.live
    book.take(snapshot())
    assert book.live and len(book.bids) == 2


@given(st.lists(changes, min_size=1, max_size=6), st.data())
def test_a_changed_quantity_is_noticed(batches, draw):
    """Within the levels that are checked: 15 prices may stand on a side, so only a change of the ten best must be seen; here it is the best."""
    told, sides = stream(batches)
    best = max(sides["bids"], default=None)
    last = told[-1]
    if best is None or [str(best), str(sides["bids"][best])] not in last["bids"]:
        return
    last = copy.deepcopy(last)
    last["bids"][last["bids"].index([str(best), str(sides["bids"][best])])][1] = str(sides["bids"][best] + draw.draw(st.integers(1, 9)))
    book = OrderBook("BTC-USD")
    for message in told[:-1]:
        book.take(message)
    with pytest.raises(BookBroken, match="checksum"):
        book.take(last)


@pytest.mark.parametrize("message", [{"type": "update", "epoch": "b", "sequence": 2, "previous_sequence": 1}, {"instrument": "XRP-USD"}, {"type": "other"},
                                     {"type": "update", "sequence": 1, "previous_sequence": 1}, {"type": "snapshot", "checksum": 1}])
def test_a_message_of_another_stream_breaks_the_book(message):
    book = OrderBook("BTC-USD")
    book.take(snapshot())
    with pytest.raises(BookBroken):
        book.take(snapshot() | message)
    assert not book.live


def test_stale_is_not_live_and_updates_before_a_snapshot_say_nothing():
    book = OrderBook("BTC-USD")
    told, _ = stream([[("bids", 1, 1)]])
    book.take(told[1])
    assert not book.live and book.bids == []
    book.take(told[0])
    book.take({"type": "stale", "instrument": "BTC-USD", "epoch": "a"})
    assert not book.live
    book.take(told[1])
    assert not book.live


def test_a_price_written_two_ways_is_one_level():
    book = OrderBook("BTC-USD")
    book.take(snapshot())
    bids = [("99.50", "4"), ("99", "2")]
    book.take({"type": "update", "instrument": "BTC-USD", "epoch": "a", "sequence": 2, "previous_sequence": 1, "time": 6,
               "bids": [["99.50", "4"]], "asks": [["100.0", "0"]], "checksum": checksum(bids, [])})
    assert book.asks == [] and book.best_bid == (Decimal("99.5"), Decimal(4))
