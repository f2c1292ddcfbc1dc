"""What changed copies of the core have shown that no other test would notice (tools/mutate.py). Both engines."""
import pytest

from cambist.messages import Event, Kind
from tests.core.engines import ENGINES
from tests.scenarios import ACME, ADMIN, BOLT, ONE_USD, USD, Scenario, scenario

K, E = Kind, Event


@pytest.fixture(params=sorted(ENGINES))
def s(request) -> Scenario:
    return scenario(ENGINES[request.param])


def test_a_threshold_of_nothing_asks_a_second_person_about_everything(s):
    """Zero is a threshold; only below zero there is none."""
    for above, wanted in ((0, [E.HELD]), (-1, [E.TRANSFERRED] * 2)):
        s.do(K.CONFIGURE_ASSET, ADMIN, asset=USD, digits=6, approval_above=above, quote_approval_above=-1, enabled=1)
        s.transfer(ACME, BOLT, USD, 1)
        assert s.kinds() == wanted, s.told()


def test_the_threshold_itself_needs_nobody(s):
    s.do(K.CONFIGURE_ASSET, ADMIN, asset=USD, digits=6, approval_above=ONE_USD, quote_approval_above=-1, enabled=1)
    s.transfer(ACME, BOLT, USD, ONE_USD)
    assert s.kinds() == [E.TRANSFERRED] * 2
    s.transfer(ACME, BOLT, USD, ONE_USD + 1)
    assert s.kinds() == [E.HELD]
