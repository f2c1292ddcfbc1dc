"""The auditor sees what is broken: a sound world is silent, and each damage to its tables is named."""
import numpy as np
import pytest

from cambist.messages import Event, Kind
from cambist.simulation.invariants import invariants, strangers
from cambist.simulation.twin import Twin
from tests.scenarios import ACME, BOLT, BUY, DEALER_A, ONE_BTC, ONE_XRP, OPERATIONS, PRICE, SELL, USD, XRP_PRICE, XRPUSD, scenario


@pytest.fixture(scope="module")
def tables():
    s = scenario(Twin)
    s.order(ACME, BUY, ONE_BTC, PRICE), s.order(BOLT, SELL, ONE_BTC, PRICE + 100)
    s.order(ACME, SELL, 100 * ONE_XRP, XRP_PRICE, XRPUSD), s.order(BOLT, BUY, 150 * ONE_XRP, XRP_PRICE, XRPUSD)
    s.quote(DEALER_A, s.request(ACME, BUY, ONE_BTC), ask=PRICE)
    s.child(BUY, ONE_BTC, PRICE)
    s.net(), s.tick()
    return s.engine.tables()


@pytest.mark.parametrize("table, column, change, said", [
    ("balances", "available", 1, "custody less ownership"), ("balances", "unsettled", 1, "sum of unsettled"), ("balances", "due", 1, "due"),
    ("balances", "held", 1, "is not the sum of its reasons"), ("balances", "available", -2**61, "is below"), ("balances", "held", -2**61, "is negative"),
    ("obligations", "amount", 1, "is not its obligations"), ("orders", "held", 1, "is not the sum of its reasons"), ("orders", "leaves", -10**12, "leaves"),
    ("orders", "leaves", 1, "open_"), ("orders", "price", 10**9, "the book is crossed"),
    ("quotes", "reserve", 1, "quoted"), ("quotes", "request", 1, "is gone"),
    ("children", "held", 1, "is not the sum of its reasons"), ("children", "filled", -1, "filled -1"), ("positions", "open_buy", 1, "open_buy"),
    ("positions", "open_sell", 1, "open_sell"), ("credit", "reserved", 1, "reserved"), ("credit", "traded", -10**12, "negative"),
])
def test_each_damage_is_named(tables, table, column, change, said):
    assert invariants(tables) == []
    version, columns, matrix = tables[table]
    found = []
    for row in range(len(matrix)):
        damaged = np.array(matrix)
        damaged[row, columns.index(column)] += change
        found += invariants({**tables, table: (version, columns, damaged)})
    assert any(said in words for words in found), found[:5]


def test_ids_told_to_a_stranger_are_named():
    s = scenario(Twin)
    record = s.build(Kind.TRANSFER, OPERATIONS, account=ACME, to=BOLT, asset=USD, amount=5)
    events = s.engine.apply(record, s.now)
    assert events["account"].tolist() == [ACME, BOLT] and [*strangers(s.engine.tables(), record, events)] == []
    leaky = events.copy()
    leaky["id_lo"] = record["id_lo"][0]
    assert [*strangers(s.engine.tables(), record, leaky)] == [f"{Event.TRANSFERRED.name} tells account {BOLT} the ids of a TRANSFER of [0, {ACME}]"]
