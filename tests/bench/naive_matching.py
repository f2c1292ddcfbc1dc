"""The harness' contract in dicts and lists, one obvious step at a time: what the adapters are compared with. Nothing of the harness or of the core is in it."""
from dataclasses import dataclass

from bench.matching.contract import (
    CANCEL,
    CANCEL_ACK,
    CANCEL_REJECT,
    MODIFY_ACK,
    MODIFY_REJECT,
    NEW,
    NO_ASK,
    NO_BID,
    ORDER_ACK,
    TRADE,
)

BUY, SELL = 0, 1


@dataclass
class Resting:
    order: int
    side: int
    price: int
    leaves: int


class NaiveBook:
    """Orders at rest in the order in which they came; `reports` are tuples in the order of REPORT's fields."""

    def __init__(self) -> None:
        self.resting: list[Resting] = []
        self.reports: list[tuple[int, ...]] = []

    def hear(self, type: int, order: int, sequence: int, price: int, quantity: int, side: int, ioc: int) -> None:
        there = next((r for r in self.resting if r.order == order), None)
        if type == NEW:
            self.reports.append((ORDER_ACK, side, sequence, order, price, quantity, 0, 0))
            self.enter(order, sequence, price, quantity, side, ioc)
        elif there is None:
            self.reports.append((CANCEL_REJECT if type == CANCEL else MODIFY_REJECT, 0, sequence, order, 0, 0, 0, 0))
        elif type == CANCEL:
            self.resting.remove(there)
            self.reports.append((CANCEL_ACK, there.side, sequence, order, there.price, 0, 0, 0))
        else:
            self.resting.remove(there)
            self.reports.append((MODIFY_ACK, side, sequence, order, price, quantity, 0, 0))
            self.enter(order, sequence, price, quantity, side, 0)

    def enter(self, order: int, sequence: int, price: int, quantity: int, side: int, ioc: int) -> None:
        while quantity and (maker := self.best(1 - side)) and (maker.price <= price if side == BUY else maker.price >= price):
            x = min(quantity, maker.leaves)
            self.reports.append((TRADE, 0, sequence, order, maker.price, x, maker.order, order))
            quantity -= x
            maker.leaves -= x
            if not maker.leaves:
                self.resting.remove(maker)
        if quantity and ioc:
            self.reports.append((CANCEL_ACK, side, sequence, order, price, 0, 0, 0))
        elif quantity:
            self.resting.append(Resting(order, side, price, quantity))

    def best(self, side: int) -> Resting | None:
        """The first of the best price, since min and max give the first of equals."""
        mine = [r for r in self.resting if r.side == side]
        return (max if side == BUY else min)(mine, key=lambda r: r.price, default=None)

    def state(self, price: int) -> tuple[int, int, int, int]:
        """Best bid, best ask, and what rests at a price to buy and to sell."""
        bid, ask = self.best(BUY), self.best(SELL)
        depth = [sum(r.leaves for r in self.resting if r.side == side and r.price == price) for side in (BUY, SELL)]
        return (bid.price if bid else NO_BID, ask.price if ask else NO_ASK, *depth)
