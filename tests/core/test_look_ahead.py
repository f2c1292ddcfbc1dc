"""What the compiled kernel asks of the commands to come, uncompiled: every row it looks at is there, and nothing it does is another outcome."""
import random

import pytest

from cambist.core import kernel
from cambist.core.memory import COMPILED
from tests.core.flows import CONTROLS, MARKET, MIXED, QUOTES, RARE, SHAPE, TRADE
from tests.core.pair import Pair
from tests.scenarios import SECOND

if COMPILED:
    pytest.skip("The compiled kernel always looks ahead.", allow_module_level=True)


@pytest.mark.parametrize("few", [True, False], ids=["few", "many"])
def test_looking_ahead_decides_nothing(few, monkeypatch):
    """Kernel and twin agree as they do without; over many books and positions it looks at more."""
    monkeypatch.setattr(kernel, "COMPILED", True)
    if not few:
        monkeypatch.setattr(kernel, "FEW", 0), monkeypatch.setattr(kernel, "MANY", 0)
    pair, chance = Pair(), random.Random(int(few))
    for weights in (TRADE, SHAPE, MIXED, MARKET, QUOTES, CONTROLS, RARE):
        pair.flow(chance.getrandbits(32), weights, 60, SECOND // 2)
