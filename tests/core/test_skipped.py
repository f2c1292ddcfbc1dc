"""A command that a decision of the log leaves out (rules.md, line 2a): refused, remembered, and nothing else; kernel and twin alike for every kind."""
import pytest

from cambist.core.cell import Cell
from cambist.log.snapshot import state_hash
from cambist.messages import COUNTED_ONCE, FACTS, GROUP_MORE, NUMBERED, SKIPPED, Event, Kind, Reason, command
from cambist.simulation.twin import Twin

from tests.scenarios import (
    ACME, ACME_KEY, ADMIN, BOLT, BTCUSD, BUY, CUSTODIAN, ONE_BTC, ONE_USD, OPERATIONS, PRICE, USD, WALLET, Scenario, scenario,
)

K, E, R = Kind, Event, Reason
ENGINES = {"kernel": Cell, "twin": Twin}


@pytest.fixture(params=sorted(ENGINES))
def s(request) -> Scenario:
    return scenario(ENGINES[request.param])


@pytest.mark.parametrize("kind", [*K, 7, 127], ids=lambda kind: getattr(kind, "name", str(kind)))
def test_kernel_and_twin_say_the_same_of_every_kind(kind):
    for started in (True, False):
        told, states = [], []
        for make in ENGINES.values():
            s = scenario(make) if started else Scenario(make())
            for actor in (ADMIN, ACME_KEY, OPERATIONS, CUSTODIAN, 0, 999):
                for account in (0, ACME, BOLT, 77):
                    s.ids += 1
                    fact = kind in FACTS or kind == K.TICK
                    record = command(K.TICK, actor=actor, account=account, flags=SKIPPED, id_lo=s.ids if not fact or kind in COUNTED_ONCE else 0,
                                     expires=0 if fact else s.now + 1_000_000_000)
                    record["kind"] = kind
                    told.append(s.apply(record))
            states.append(state_hash(s.engine.tables()))
        half = len(told) // 2
        assert told[:half] == told[half:] and states[0] == states[1]
        assert all(len(events) == 1 and events[0]["kind"] == E.REFUSED for events in told)
        assert started or {events[0]["reason"] for events in told} <= {R.SKIPPED, R.UNKNOWN_KIND}


def test_a_request_is_remembered_and_changes_nothing(s):
    before = {name: rows.tobytes() for name, (_, _, rows) in s.engine.tables().items() if name not in ("cell", "answers")}
    order = s.build(K.NEW_ORDER, ACME_KEY, account=ACME, instrument=BTCUSD, side=BUY, price=PRICE, quantity=ONE_BTC, flags=SKIPPED)
    s.apply(order)
    refused = s.one(E.REFUSED, ACME)
    assert (refused["reason"], refused["command"], refused["id_lo"]) == (R.SKIPPED, K.NEW_ORDER, int(order["id_lo"][0]))
    assert before == {name: rows.tobytes() for name, (_, _, rows) in s.engine.tables().items() if name not in ("cell", "answers")}
    order["flags"] = 0
    s.apply(order)
    assert s.one(E.DUPLICATE, ACME)["other"] == refused["sequence"]


def test_a_number_is_used_up(s):
    for number, flags in ((1, 0), (2, SKIPPED), (3, 0)):
        s.do(K.CANCEL_ORDER, ACME_KEY, account=ACME, order=5, flags=NUMBERED | flags, id_lo=number)
        assert s.refused() == (R.SKIPPED if flags else R.UNKNOWN_ORDER)
    s.do(K.CANCEL_ORDER, ACME_KEY, account=ACME, order=5, flags=NUMBERED, id_lo=2)
    s.one(E.DUPLICATE)


def test_a_fact_is_not_counted_and_may_come_again(s):
    before = s.balance(ACME, USD, "available")
    for flags in (SKIPPED, 0):
        s.do(K.DEPOSIT, CUSTODIAN, account=ACME, custody=WALLET, asset=USD, amount=ONE_USD, id_lo=777, flags=flags)
    assert s.balance(ACME, USD, "available") == before + ONE_USD


def test_a_group_falls_whole(s):
    rows = [s.build(K.TRANSFER, OPERATIONS, account=BOLT, to=ACME, asset=USD, amount=1, flags=SKIPPED | (GROUP_MORE if i < 2 else 0)) for i in range(3)]
    s.apply(*rows)
    assert [e["reason"] for e in s.find(E.REFUSED)] == [R.SKIPPED] * 3
