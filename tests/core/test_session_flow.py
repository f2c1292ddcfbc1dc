"""The market around its auctions, at random: the engines of `engines.ENGINES` agree, and a kernel that is restarted after every entry agrees with them."""
from collections import Counter

import pytest

from tests.core.engines import ENGINES
from tests.core.reloading import Reloading
from tests.core.session_flow import SessionFlow, drive
from tests.core.trading_flow import TradingFlow

WANTED = {"SESSION_CHANGED", "INDICATIVE", "UNCROSSED", "FILLED", "AUCTION_OVER", "SESSION", "BAND", "SELF_TRADE", "REDUCE_ONLY", "SWEPT", "BAD_SESSION"}
SEEN: dict[int, Counter] = {}                   # by seed, of those that this process has run


@pytest.mark.parametrize("seed", range(4))
def test_random_auctions(seed):
    SEEN[seed] = Counter(drive(seed, 200))


def test_random_auctions_met_what_there_is():
    seen = sum((SEEN.get(seed) or Counter(drive(seed, 200)) for seed in range(4)), Counter())
    assert {what for what in WANTED if not seen[what]} == set()


@pytest.mark.parametrize("flow", [SessionFlow, TradingFlow])
def test_a_kernel_that_is_restarted_after_every_entry(flow):
    """Whatever is not in the tables is derived: it comes out of a snapshot as it was."""
    trading = flow(7, also=(Reloading,))
    for _ in range(60):
        trading.step()
    assert len(trading.m.engine.engines) == len(ENGINES) + 1


@pytest.mark.hunt
def test_hunt_for_an_auction_that_goes_wrong():
    for seed in range(2_000, 2_100):
        drive(seed, 600)
