"""The mixed flow over a house of a size: orders that rest, trades, cancels, amends, requests for quotes and transfers, while as many orders rest as before.

Every id is known when the flow is made: a maker stands alone inside the spread for the taker that follows it, so what rests far away is never traded.
"""
import numpy as np

from cambist.measure.bench_house import DEALERS, FIRST_CLIENT, FIRST_DEALER, HOMES, LOT, REFERENCE, TICK, BenchHouse, rows
from cambist.messages import LAYOUT, Kind, SelfTrade, Side, TimeInForce

K = Kind
SPREAD, DEPTH = 40, 400                                 # ticks from the middle to the nearest and to the furthest of what rests
SHARES = {"rest": 0.42, "leave": 0.42, "amend": 0.06, "trade": 0.025, "rfq": 0.01, "transfer": 0.01}      # a trade is two commands, a request four


class Mix:
    """What rests, and the commands to come."""

    def __init__(self, house: BenchHouse, seed: int):
        self.house, self.noise = house, np.random.default_rng(seed)
        self.ids, self.prices = np.zeros(0, np.int64), np.zeros(0, np.int64)
        while len(self.ids) < house.size.resting:
            self._fill(min(1 << 19, house.size.resting - len(self.ids)))

    def _resting(self, count: int) -> np.ndarray:
        """New orders away from the middle."""
        h, noise = self.house, self.noise
        who = FIRST_CLIENT + noise.integers(0, h.size.accounts, count)
        side = noise.integers(0, 2, count)
        price = REFERENCE + np.where(side == Side.BUY, -1, 1) * noise.integers(SPREAD, DEPTH, count) * TICK
        return rows(K.NEW_ORDER, count, account=who, instrument=h.home(who, noise.integers(0, HOMES, count)), side=side, price=price,
                    quantity=LOT * noise.integers(2, 101, count), self_trade=SelfTrade.CANCEL_OLDEST)

    def _fill(self, count: int) -> None:
        orders = self._resting(count)
        self.ids = np.concatenate([self.ids, self.house.ids(orders["account"])])
        self.prices = np.concatenate([self.prices, orders.view(LAYOUT[K.NEW_ORDER])["price"]])
        self.house.send(self.house.numbered(orders))

    def flow(self, count: int) -> np.ndarray:
        """About `count` commands, in the shares above; so few at a time that what leaves was there when its part began."""
        part = min(count, max(200, len(self.ids)))
        return np.concatenate([self._part(part) for _ in range(count // part)])

    def _part(self, count: int) -> np.ndarray:
        noise = self.noise
        n = {name: int(count * share) for name, share in SHARES.items()}
        n["leave"] = n["rest"] = min(n["rest"], len(self.ids) // 2)
        gone = noise.permutation(len(self.ids))[:n["leave"] + n["amend"]] if len(self.ids) < 1 << 22 else np.unique(
            noise.integers(0, len(self.ids), n["leave"] + n["amend"]))
        noise.shuffle(gone)
        left, changed = gone[:n["leave"]], gone[n["leave"]:]
        cancels = rows(K.CANCEL_ORDER, len(left), account=self.ids[left] >> 32 & 0xFFFFFF, order=self.ids[left])
        amends = rows(K.AMEND_ORDER, len(changed), account=self.ids[changed] >> 32 & 0xFFFFFF, order=self.ids[changed], quantity=LOT * 101,
                      price=self.prices[changed])
        units = [[c] for c in (cancels, amends)]
        keep = np.ones(len(self.ids), bool)
        keep[left] = False
        self.ids, self.prices = self.ids[keep], self.prices[keep]
        units += [[self._resting(n["rest"])], self._trades(n["trade"]), self._requests(n["rfq"]), [self._transfers(n["transfer"])]]
        return self._laid_out(units)

    def _trades(self, count: int) -> list[np.ndarray]:
        h, noise = self.house, self.noise
        maker = FIRST_CLIENT + noise.integers(0, h.size.accounts, count)
        taker = FIRST_CLIENT + (maker - FIRST_CLIENT + h.size.instruments) % h.size.accounts         # one that trades the same instruments
        side, quantity = noise.integers(0, 2, count), LOT * noise.integers(1, 101, count)
        common = {"instrument": h.home(maker, noise.integers(0, HOMES, count)), "price": REFERENCE, "quantity": quantity,
                  "self_trade": SelfTrade.CANCEL_OLDEST}
        return [rows(K.NEW_ORDER, count, account=maker, side=side, **common),
                rows(K.NEW_ORDER, count, account=taker, side=1 - side, time_in_force=TimeInForce.IOC, **common)]

    def _requests(self, count: int) -> list[np.ndarray]:
        """Requests, a quote of each dealer, and the accept; ids are filled in once the order of everything is known."""
        h, noise = self.house, self.noise
        who = FIRST_CLIENT + noise.integers(0, h.size.accounts, count)
        ask = rows(K.REQUEST_QUOTE, count, account=who, instrument=h.home(who, noise.integers(0, HOMES, count)), side=Side.BUY, quantity=10 * LOT, ttl=10**10)
        quotes = [rows(K.QUOTE, count, account=FIRST_DEALER + d, ask=REFERENCE + 5 + d, ttl=10**10) for d in range(DEALERS)]
        return [ask, *quotes, rows(K.ACCEPT_QUOTE, count, account=who, side=Side.BUY, limit_price=REFERENCE + 100)]

    def _transfers(self, count: int) -> np.ndarray:
        h, noise = self.house, self.noise
        who = FIRST_CLIENT + noise.integers(0, h.size.accounts, count)
        return rows(K.TRANSFER, count, account=who, to=FIRST_CLIENT + (who - FIRST_CLIENT + 1) % h.size.accounts, asset=1, amount=1)

    def _laid_out(self, units: list[list[np.ndarray]]) -> np.ndarray:
        """All units in an order of chance, the commands of one unit together; then ids, keys and numbers."""
        h, noise = self.house, self.noise
        length = np.concatenate([np.full(len(unit[0]), len(unit)) for unit in units])
        place = noise.permutation(len(length))                          # which unit comes when
        start = np.r_[0, np.cumsum(length[place])[:-1]]
        at = np.empty(len(length), np.int64)
        at[place] = start
        out, rests, done = rows(K.TICK, int(length.sum())), np.zeros(int(length.sum()), bool), 0
        for k, unit in enumerate(units):
            first = at[done:done + len(unit[0])]
            done += len(unit[0])
            for step, part in enumerate(unit):
                out[first + step] = part
            if k == 2:
                rests[first] = True
        makes = np.isin(out["kind"], (K.NEW_ORDER, K.REQUEST_QUOTE, K.QUOTE))
        ids = np.zeros(len(out), np.int64)
        ids[makes] = h.ids(out["account"][makes])
        self.ids = np.concatenate([self.ids, ids[rests]])
        self.prices = np.concatenate([self.prices, out.view(LAYOUT[K.NEW_ORDER])["price"][rests]])
        asked = np.nonzero(out["kind"] == K.REQUEST_QUOTE)[0]
        for d in range(DEALERS):
            out.view(LAYOUT[K.QUOTE])["request"][asked + 1 + d] = ids[asked]
        out.view(LAYOUT[K.ACCEPT_QUOTE])["request"][asked + 1 + DEALERS] = ids[asked]
        return h.numbered(out)
