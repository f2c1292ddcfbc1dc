"""The market as it is heard: references, the ladder, trades."""
import numpy as np

from cambist.messages import EVENT, Event, Liquidity, Side
from cambist.ops.portal.market import SERIES, TRADES, Market

SECOND = 10**9


def heard(*rows: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    events = np.zeros(len(rows), EVENT)
    for at, row in zip(events, rows, strict=True):
        for name, value in row.items():
            if name != "time":
                at[name] = value
    return events, np.array([row.get("time", 0) for row in rows], np.int64)


def level(side: Side, price: int, quantity: int, sequence: int, orders: int = 1) -> dict[str, int]:
    return {"kind": Event.LEVEL, "instrument": 1, "side": side, "price": price, "quantity": quantity, "leaves": orders, "sequence": sequence}


def trade(match: int, liquidity: Liquidity, side: Side, account: int) -> dict[str, int]:
    return {"kind": Event.FILLED, "instrument": 1, "other": match, "liquidity": liquidity, "side": side, "price": 100, "quantity": match, "account": account}


def test_the_chart_has_a_point_a_second_and_an_end():
    market = Market()
    for n in range(2 * SERIES):
        market.hear(*heard({"kind": Event.REFERENCE, "instrument": 1, "price": 100 + n, "other": 3, "time": n * SECOND // 2}))
    tape = market.tape(1)
    assert (tape.reference, tape.sources) == (100 + 2 * SERIES - 1, 3)
    assert list(tape.series)[-1] == (SERIES - 1, 100 + 2 * SERIES - 1) and len(tape.series) == SERIES
    market.hear(*heard({"kind": Event.REFERENCE, "instrument": 1, "price": 0, "time": 10**15}))
    assert tape.reference == 0 and tape.series[-1][1] != 0


def test_a_book_is_what_was_read_and_what_came_after():
    market = Market()
    market.put_books({1: (10, {"bids": [[99, 5, 1], [98, 7, 2]], "asks": [[101, 3, 1]]})})
    assert market.hear(*heard(level(Side.BUY, 99, 0, 9), level(Side.BUY, 99, 6, 11, 2), level(Side.SELL, 101, 0, 12), level(Side.SELL, 102, 4, 13))) == {1}
    bids, asks = market.tape(1).ladder()
    assert [(each.price, each.quantity, each.orders, each.total) for each in bids] == [(99, 6, 2, 6), (98, 7, 2, 13)]
    assert [(each.price, each.share) for each in asks] == [(102, 4)] and bids[-1].share == 10
    assert market.tape(1).best == (99, 102) and market.tape(2).best == (0, 0) and market.tape(2).ladder() == ([], [])


def test_a_ladder_is_ten_levels_of_each_side():
    market = Market()
    market.hear(*heard(*(level(Side.BUY, 100 - n, 1, n + 1) for n in range(30)), *(level(Side.SELL, 200 + n, 1, n + 1) for n in range(30))))
    bids, asks = market.tape(1).ladder()
    assert [each.price for each in bids] == list(range(100, 90, -1)) and [each.price for each in asks] == list(range(200, 210))


def test_a_trade_is_shown_once_with_the_takers_side():
    market = Market()
    market.hear(*heard(trade(1, Liquidity.MAKER, Side.BUY, 7), trade(1, Liquidity.TAKER, Side.SELL, 8),
                       trade(2, Liquidity.QUOTE, Side.BUY, 7), trade(2, Liquidity.QUOTE, Side.SELL, 9)))
    assert [(each.quantity, each.side) for each in market.tape(1).trades] == [(2, Side.BUY), (1, Side.SELL)]
    market.hear(*heard(*(trade(n, Liquidity.TAKER, Side.BUY, 8) for n in range(3, 3 + 2 * TRADES))))
    assert len(market.tape(1).trades) == TRADES


def test_trades_of_before_a_restart_are_remembered_once():
    market = Market()
    rows = [trade(2, Liquidity.TAKER, Side.BUY, 8) | {"time": 2}, trade(1, Liquidity.TAKER, Side.SELL, 8) | {"time": 1}]
    market.tape(1).remember(rows)
    market.hear(*heard(rows[0], trade(3, Liquidity.TAKER, Side.BUY, 8)))
    assert [each.quantity for each in market.tape(1).trades] == [3, 2, 1]


def test_other_events_change_nothing():
    assert Market().hear(*heard({"kind": Event.ORDER_ACCEPTED, "instrument": 1})) == set()
