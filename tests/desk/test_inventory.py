"""What the desk holds, and how far that is from what it wants."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from cambist.desk.inventory import Aim, Holding, Inventory, Traded
from cambist.messages import Side
from cambist.venues.venue import Terms

BTC = Terms("BTC/USD", 1, "0.01", "0.00000001", 1, 1, 1, amount_num=1, amount_den=10**6, min_price=1, max_price=10**9)
BUY, SELL = Side.BUY, Side.SELL


def desk(target: int = 0, limit: int = 100) -> Inventory:
    return Inventory([Aim(1, target, limit)])


def test_buying_adds_and_selling_takes_away():
    inventory = desk()
    assert inventory.step(Traded(1, 1, BUY, 30, 1000), 0) == Holding(1, 30, 0, 100, 30_000)
    assert inventory.step(Traded(2, 1, SELL, 50, 1010), 0) == Holding(1, -20, 0, 100, 30_000 - 50_500)


def test_a_trade_already_booked_changes_nothing():
    inventory = desk()
    inventory.step(Traded(5, 1, BUY, 30, 1000), 0)
    assert inventory.step(Traded(5, 1, BUY, 30, 1000), 0) is None and inventory.step(Traded(4, 1, BUY, 9, 1000), 0) is None
    assert inventory.of(1).position == 30 and inventory.sequence == 5


def test_a_trade_without_quantity_or_side_is_refused_and_not_booked():
    inventory = desk()
    for trade in (Traded(1, 1, BUY, 0, 1000), Traded(1, 1, BUY, -5, 1000), Traded(1, 1, Side.TWO_WAY, 5, 1000)):
        with pytest.raises(ValueError):
            inventory.step(trade, 0)
    assert inventory.of(1).position == 0 and inventory.sequence == 0


def test_an_instrument_without_an_aim_is_not_the_desks():
    inventory = desk()
    with pytest.raises(ValueError, match="no aim in instrument 2; it has aims in 1"):
        inventory.step(Traded(1, 2, BUY, 5, 1000), 0)
    assert inventory.sequence == 0
    inventory.steer(Aim(2, 0, 10))
    assert [holding.instrument for holding in inventory.all()] == [1, 2]


def test_a_new_aim_keeps_the_position():
    inventory = desk()
    inventory.step(Traded(1, 1, BUY, 30, 1000), 0)
    inventory.steer(Aim(1, 10, 40))
    assert inventory.of(1) == Holding(1, 30, 10, 40, 30_000)
    with pytest.raises(ValueError, match="must be above zero"):
        Aim(1, 10, 0)


# position, target, limit -> excess, deviation in ppm, room to buy, room to sell
HOLDINGS = [
    (0, 0, 100, 0, 0, 100, 100),
    (50, 0, 100, 50, 500_000, 50, 150),
    (-50, 0, 100, -50, -500_000, 150, 50),
    (50, 50, 100, 0, 0, 100, 100),
    (0, 50, 100, -50, -500_000, 150, 50),
    (300, 0, 100, 300, 1_000_000, 0, 400),
    (-300, 0, 100, -300, -1_000_000, 400, 0),
]


@pytest.mark.parametrize(("position", "target", "limit", "excess", "deviation", "buy", "sell"), HOLDINGS)
def test_a_holding_knows_its_excess_its_pull_and_its_room(position, target, limit, excess, deviation, buy, sell):
    holding = Holding(1, position, target, limit)
    assert (holding.excess, holding.deviation_ppm, holding.room(BUY), holding.room(SELL)) == (excess, deviation, buy, sell)


@given(st.lists(st.tuples(st.sampled_from([BUY, SELL]), st.integers(1, 1000), st.integers(1, 10**6)), max_size=30), st.integers(1, 10**6))
def test_profit_is_what_was_sold_for_less_what_was_paid_with_the_rest_at_the_mark(trades, mark):
    inventory, cash = desk(), 0
    for number, (side, quantity, price) in enumerate(trades, 1):
        inventory.step(Traded(number, 1, side, quantity, price), 0)
        cash += quantity * price * (-1 if side == BUY else 1)
    holding = inventory.of(1)
    assert holding.profit(BTC, mark) == (cash + holding.position * mark) // 10**6
    for side in (BUY, SELL):
        if room := holding.room(side):
            after = inventory.step(Traded(100, 1, side, room, mark), 0)
            assert abs(after.excess) == after.limit
            return
