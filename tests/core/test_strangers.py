"""Whom the ids of a request are told to: docs/rules.md section 2. The auditor looks for the same after every step of every flow. On every engine."""
import pytest

from cambist.messages import Event, Kind, Reason
from tests.core.engines import ENGINES
from tests.scenarios import ACME, BOLT, BUY, ONE_USD, ONE_XRP, SELL, USD, XRP_PRICE, XRPUSD, Scenario, scenario

K, E, R = Kind, Event, Reason
MILLION_USD = 1_000_000 * ONE_USD


@pytest.fixture(params=sorted(ENGINES))
def s(request) -> Scenario:
    return scenario(ENGINES[request.param])


def ids(event):
    return event["id_hi"], event["id_lo"], event["command"]


def test_a_transfer_tells_its_ids_to_its_sender_only(s):
    s.transfer(ACME, BOLT, USD, 10, id_hi=5, id_lo=7)
    assert ids(s.one(E.TRANSFERRED, ACME)) == (5, 7, K.TRANSFER) and ids(s.one(E.TRANSFERRED, BOLT)) == (0, 0, 0)
    s.transfer(ACME, BOLT, USD, 2 * MILLION_USD, id_hi=5, id_lo=8)
    assert ids(s.one(E.REFUSED, ACME)) == (5, 8, K.TRANSFER)


def test_a_settlement_tells_its_ids_to_the_house_only(s):
    """SETTLED goes to a client, the request came from the house: DONE answers it."""
    s.order(ACME, SELL, 10 * ONE_XRP, XRP_PRICE, XRPUSD), s.order(BOLT, BUY, 10 * ONE_XRP, XRP_PRICE, XRPUSD)
    s.net()
    s.tick()
    owed = next(r for r in s.rows("obligations", account=BOLT) if r["amount"] < 0)
    s.settle(owed["id"], id_hi=5, id_lo=7)
    assert ids(s.one(E.SETTLED, BOLT)) == (0, 0, 0)
    assert ids(s.one(E.DONE, 0)) == (5, 7, K.SETTLE) and s.one(E.DONE)["id"] == owed["id"] and s.kinds() == [E.SETTLED, E.DONE]
    s.settle(owed["id"], id_hi=5, id_lo=8)
    assert s.refused() == R.UNKNOWN_OBLIGATION and s.kinds() == [E.REFUSED]
