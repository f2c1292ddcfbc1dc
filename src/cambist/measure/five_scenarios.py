"""The public workload of five scenarios (repository flash1-dev/matching-engine-benchmark, docs/METHODOLOGY.md), made anew from its published method.

A mid price by geometric Brownian motion, buys priced along its first half and sells along its second, shuffled; distance by a power law with a hump; 15 %
immediate-or-cancel, 20 % of the rest modified, 95 % cancelled, 2 % of that sent twice. Shape and shares are theirs; the bytes are not: another generator of
chance. Every message becomes a numbered command of one of many accounts, with every check on.
"""
import numpy as np

from cambist.measure.bench_house import FIRST_CLIENT, LOT, MOST_TICKS, TICK, BenchHouse, rows
from cambist.messages import Kind, SelfTrade, Side, TimeInForce

# volatility, swing
SCENARIOS = {"static": (0.0, 0.0), "normal": (0.15, 0.02), "swing-25": (0.50, 0.25), "swing-40": (0.50, 0.40), "flash-crash": (0.50, 0.60)}
START_TICKS, ALPHA, HUMP, HUMP_AT, HUMP_WIDTH, DEEPEST = 33_504, 2.23, 5.0, 8.0, 3.0, 200
IOC, MODIFIED, REPRICED, CANCELLED, TWICE = 0.15, 0.20, 0.80, 0.95, 0.02
STEPS = 10_000                                          # of the path, so that a seed has one shape whatever the count
SPACING, MEDIAN_LIFE = 23_400.0, 431.0                  # microseconds between new orders (a million in a day of 6.5 hours), and that half of them live


def _mid(noise: np.random.Generator, count: int, volatility: float, swing: float) -> np.ndarray:
    if volatility == 0:
        return np.full(count, START_TICKS, np.int64)
    step = (swing / volatility) ** 2 / STEPS
    coarse = np.cumsum(-0.5 * volatility**2 * step + volatility * np.sqrt(step) * noise.standard_normal(STEPS))
    path = np.interp(np.arange(count) / count, np.arange(STEPS) / STEPS, coarse)
    return np.clip(START_TICKS * np.exp(path), START_TICKS * 0.05, min(START_TICKS * 1.9, MOST_TICKS - DEEPEST - 2)).astype(np.int64)


def _distance(noise: np.random.Generator, count: int) -> np.ndarray:
    """Ticks from the mid: a power law, and more about HUMP_AT."""
    d = np.arange(1, DEEPEST + 1)
    weight = d**-ALPHA + HUMP * np.exp(-0.5 * ((d - HUMP_AT) / HUMP_WIDTH) ** 2)
    return 1 + np.searchsorted(np.cumsum(weight / weight.sum()), noise.random(count)).clip(0, DEEPEST - 1)


def five_flow(house: BenchHouse, scenario: str, count: int, seed: int) -> np.ndarray:
    """About two messages for each of `count` new orders."""
    noise = np.random.default_rng(seed)
    mid, away = _mid(noise, count, *SCENARIOS[scenario]), _distance(noise, count)
    side = np.where(np.arange(count) < count // 2, Side.BUY, Side.SELL)
    ticks, shuffled = np.where(side == Side.BUY, mid - away, mid + away), noise.permutation(count)
    side, ticks, away = side[shuffled], ticks[shuffled], away[shuffled]
    who, quantity = FIRST_CLIENT + noise.integers(0, house.size.accounts, count), noise.integers(1, 101, count)
    ioc = noise.random(count) < IOC
    born = np.arange(count) * SPACING
    dies = born + noise.exponential(MEDIAN_LIFE / np.log(2), count) * (1 + away / HUMP_AT) / 2
    changed = born + (dies - born) * noise.random(count)
    cancelled, modified = ~ioc & (noise.random(count) < CANCELLED), ~ioc & (noise.random(count) < MODIFIED)
    moved = np.where(noise.random(count) < REPRICED, np.where(side == Side.BUY, 1, -1), 0)
    again, stale = cancelled & (noise.random(count) < TWICE), cancelled & modified & (noise.random(count) < TWICE)
    ids = house.ids(who)
    price = TICK * ticks
    new = rows(Kind.NEW_ORDER, count, account=who, instrument=1, side=side, price=price, quantity=LOT * quantity, self_trade=SelfTrade.CANCEL_OLDEST,
               time_in_force=np.where(ioc, TimeInForce.IOC, TimeInForce.GTC))
    amend = rows(Kind.AMEND_ORDER, count, account=who, order=ids, price=price + TICK * moved, quantity=LOT * (quantity + 1))
    cancel = rows(Kind.CANCEL_ORDER, count, account=who, order=ids)
    parts = [(new, born, np.ones(count, bool)), (amend, changed, modified), (cancel, dies, cancelled), (cancel, dies + 1, again), (amend, dies + 2, stale)]
    every = np.concatenate([records[chosen] for records, _, chosen in parts])
    when = np.concatenate([time[chosen] for _, time, chosen in parts])
    return house.numbered(every[np.argsort(when, kind="stable")])
