"""Everything the market knows at once, at random: the engines of `engines.ENGINES` agree, and what must always hold does."""
from collections import Counter

import pytest

from tests.core.trading_flow import drive

WANTED = {"ORDER_ACCEPTED", "FILLED", "ORDER_REDUCED", "ORDER_MOVED", "ORDER_TRIGGERED", "BOOK_QUOTED", "FEE_CHARGED", "SESSION_CHANGED", "UNCROSSED", "BAND",
          "LINKED", "AUCTION_OVER", "REDUCE_ONLY", "EXPIRED", "SWEPT"}
SEEN: dict[int, Counter] = {}                   # by seed, of those that this process has run


@pytest.mark.parametrize("seed", range(6))
def test_random_trading(seed):
    SEEN[seed] = Counter(drive(seed, 250))


def test_random_trading_met_what_there_is():
    seen = sum((SEEN.get(seed) or Counter(drive(seed, 250)) for seed in range(6)), Counter())
    assert {what for what in WANTED if not seen[what]} == set()


@pytest.mark.hunt
def test_hunt_for_what_must_not_be():
    for seed in range(1_000, 1_200):
        drive(seed, 1_000)
