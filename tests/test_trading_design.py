"""What a design says of how it trades: the records it becomes, what cannot be said, and what `cambist check` finds. A cell takes all of it."""
import copy
import tomllib
from pathlib import Path

import numpy as np
import pytest

from cambist.configure import configure, configure_diff, numbered
from cambist.design import DesignError, build_design
from cambist.findings import check
from cambist.messages import Event, Kind, Reason, named
from cambist.simulation.twin import Twin

K = Kind
TEXT = (Path(__file__).parents[1] / "desks" / "demo.toml").read_text()
BTC = ("instruments", "BTC/USD")
SAID = (
    (("assets", "USD", "rate"), "1"), ((*BTC, "tiers"), {"1": {"maker_ppm": -50, "taker_ppm": 150, "rfq_ppm": 25, "minimum": "0.01"}}),
    ((*BTC, "band"), {"band_ppm": 20_000, "window": "5m", "auction": "30s", "indicative": "1s"}),
    ((*BTC, "schedule"), [{"at": "22h", "session": "closed"}, {"at": "23h", "session": "pre_open"},
                          {"at": "1410m", "session": "auction", "next": "continuous", "duration": "60s"}]),
    (("clients", "acme", "trade_group"), 7), (("clients", "acme", "self_trade"), "group"), (("clients", "acme", "tier"), 1),
    (("clients", "acme", "fee_instrument"), "XRP/USD"), (("clients", "acme", "max_executions"), 100), (("clients", "acme", "execution_window"), "1s"),
    (("clients", "acme", "duplicate_window"), "100ms"), (("clients", "acme", "exposure"), {"gross": "5000000", "net": "2000000.50", "loss": "100000"}),
    (("clients", "acme", "restricted"), ["BTC/USD-PF"]), (("keys", "bo", "restricted"), ["XRP/USD"]),
    (("dealers", "b2", "protection"), {"BTC/USD": {"quantity": "5", "delta": "2", "window": "4s"}}),
)


def plain():
    """The demo without what it says of trading."""
    data = tomllib.loads(TEXT)
    tables = [*data["assets"].values(), *data["instruments"].values(), *data["clients"].values(), *data["dealers"].values(), *data["house"]["desks"].values()]
    for table in tables:
        for key in ("rate", "tiers", "band", "schedule", "trade_group", "self_trade", "max_waiting", "cancel_reserve", "exposure", "protection", "tier"):
            table.pop(key, None)
    return data


def said(*changes):
    data = plain()
    for at, value in (*SAID, *changes):
        table = data
        for key in at[:-1]:
            table = table[key]
        if value is None:
            del table[at[-1]]
        else:
            table[at[-1]] = copy.deepcopy(value)
    return build_design(data)


def rows(records, kind):
    return [fields for fields in map(named, records) if fields["kind"] == kind]


def test_the_records_say_what_the_design_says():
    records, names = configure(said())
    acme, btc = names["accounts"]["acme"], names["instruments"]["BTC/USD"]
    assert [(r["rate_num"], r["rate_den"]) for r in rows(records, K.CONFIGURE_ASSET)][1] == (1, 10_000)        # a dollar of 6 digits is 100 cents
    tier, = rows(records, K.CONFIGURE_TIER)
    assert (tier["instrument"], tier["tier"], tier["maker_ppm"], tier["taker_ppm"], tier["minimum"]) == (btc, 1, -50, 150, 10_000)
    band, = rows(records, K.CONFIGURE_BAND)
    assert (band["band_ppm"], band["window"], band["auction"], band["indicative"]) == (20_000, 300 * 10**9, 30 * 10**9, 10**9)
    assert [(r["slot"], r["session"], r["next"], r["duration"]) for r in rows(records, K.CONFIGURE_SCHEDULE)] == [
        (0, 5, 0, 0), (1, 1, 0, 0), (2, 2, 0, 60 * 10**9)]
    trading, = rows(records, K.CONFIGURE_TRADING)
    assert (trading["account"], trading["trade_group"], trading["self_trade_scope"], trading["tier"], trading["fee_instrument"]) == \
        (acme, 7, 1, 1, names["instruments"]["XRP/USD"])
    exposure, = rows(records, K.CONFIGURE_EXPOSURE)
    assert (exposure["gross"], exposure["net"], exposure["loss"]) == (500_000_000, 200_000_050, 10_000_000)
    assert [(r["account"], r["number"], r["instrument"]) for r in rows(records, K.CONFIGURE_RESTRICTION)] == \
        [(acme, 0, names["instruments"]["BTC/USD-PF"]), (0, names["actors"]["bo"], names["instruments"]["XRP/USD"])]
    protection, = rows(records, K.CONFIGURE_PROTECTION)
    assert (protection["quantity"], protection["delta"], protection["window"]) == (5 * 10**8, 2 * 10**8, 4 * 10**9)


def test_a_cell_takes_all_of_it():
    events = Twin(answer_capacity=1 << 20).apply(np.concatenate(configure(said()).records), 10**18)
    assert {Event(int(e["kind"])) for e in events} == {Event.DONE}, [Reason(int(e["reason"])).name for e in events if e["reason"]]


def test_what_is_not_said_any_more_is_taken_back():
    running, nothing = said(), build_design(plain())
    with pytest.raises(DesignError, match="cannot be taken away"):
        configure_diff(numbered(running), running, nothing, actor=1, id_hi=0, id_lo=1, expires=1)
    kept = said(*((at, None) for at, _ in SAID if at[-1] not in ("tiers", "rate")))
    records, _ = configure_diff(numbered(running), running, kept, actor=1, id_hi=0, id_lo=1, expires=1)
    back = {K(r["kind"]) for r in map(named, records)}
    assert back == {K.CONFIGURE_TRADING, K.CONFIGURE_BAND, K.CONFIGURE_SCHEDULE, K.CONFIGURE_PROTECTION, K.CONFIGURE_EXPOSURE, K.CONFIGURE_RESTRICTION}
    assert {r["enabled"] for r in rows(records, K.CONFIGURE_SCHEDULE)} == {r["barred"] for r in rows(records, K.CONFIGURE_RESTRICTION)} == {0}
    assert named(records[-1])["kind"] == K.CONFIGURE_RESTRICTION                # after what it names


@pytest.mark.parametrize(("at", "value", "path"), [
    ((*BTC, "tiers"), {"16": {}}, "tiers"), ((*BTC, "tiers"), {"gold": {}}, "tiers"), ((*BTC, "tiers", "1", "minimum"), "0.0000001", "minimum"),
    ((*BTC, "band", "auction"), "0s", "band"), ((*BTC, "schedule", 0, "at"), "25h", "schedule[0].at"),
    ((*BTC, "schedule", 0, "next"), "closed", "schedule[0].next"),
    ((*BTC, "schedule", 2, "next"), "", "schedule[2].next"), ((*BTC, "schedule"), [{"at": "1h", "session": "pre_open"}] * 9, "schedule"),
    (("clients", "acme", "restricted"), ["DOGE/USD"], "restricted[0]"), (("clients", "acme", "fee_instrument"), "DOGE/USD", "fee_instrument"),
    (("clients", "acme", "execution_window"), "0s", "execution_window"), (("clients", "acme", "exposure", "gross"), "0.001", "exposure.gross"),
    (("dealers", "b2", "protection"), {"DOGE/USD": {"window": "1s"}}, "DOGE/USD"), (("dealers", "b2", "protection", "BTC/USD", "window"), "0s", "window"),
    (("keys", "bo", "restricted"), ["DOGE/USD"], "restricted[0]"), (("clients", "acme", "tier"), 16, "tier"),
])
def test_what_cannot_be_said(at, value, path):
    with pytest.raises(DesignError) as told:
        said((at, value))
    assert any(path in where for where, _ in told.value.faults), told.value.faults


@pytest.mark.parametrize(("code", "changes"), [
    ("CB026", [((*BTC, "tiers", "1", "maker_ppm"), -151)]), ("CB027", [((*BTC, "band", "band_ppm"), 50_000)]),
    ("CB028", [(("assets", "USD", "rate"), None)]),
    ("CB029", [((*BTC, "schedule"), [{"at": "22h", "session": "closed"}])]),
    ("CB030", [(("people", "mara", "roles"), ["operations", "engineer", "custodian"]), (("keys", "mara", "role"), "custodian")]),
    ("CB031", [(("clients", "acme", "trade_group"), 0)]),
])
def test_what_check_finds(code, changes):
    assert code not in {f.code for f in check(said())}
    assert code in {f.code for f in check(said(*changes))}
