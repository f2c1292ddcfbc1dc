"""What a design becomes: numbers given once, records in an order that can be applied, and changes as the records that differ."""
import copy
import tomllib
from pathlib import Path

import numpy as np
import pytest

from cambist.configure import TABLES, configure, configure_diff, names_attachment, numbered, read_names
from cambist.design import DesignError, build_design, read_design
from cambist.messages import COMMAND, CONFIGURE, AccountKind, Event, Kind, Scope, named

TEXT = (Path(__file__).parents[1] / "desks" / "demo.toml").read_text()
DEMO = read_design(TEXT, "demo")
CLEO = {"entity": "acme", "max_open": 5, "answer_quota": 10}
UNSAID = {Kind.CONFIGURE_RESTRICTION}           # optional, and the demo says nothing of it
STAMP = {"actor": 13, "id_hi": 7, "id_lo": 100, "expires": 10**18}


def changed(*changes):
    """The demo with places changed: (steps, value); a value of None takes the key away."""
    data = tomllib.loads(TEXT)
    for at, value in changes:
        table = data
        for key in at[:-1]:
            table = table[key]
        if value is None:
            del table[at[-1]]
        else:
            table[at[-1]] = copy.deepcopy(value)
    return build_design(data)


def diff(new, running=DEMO):
    return configure_diff(numbered(running), running, new, **STAMP)


def faults(new) -> dict[str, str]:
    with pytest.raises(DesignError) as told:
        diff(new)
    return dict(told.value.faults)


def told(records):
    return [(Kind(n["kind"]), n) for n in map(named, records)]


# ------------------------------------------------------------------------------------------------------------ genesis
def test_genesis_is_configuration_and_then_start():
    records, names = configure(DEMO)
    kinds = [k for k, _ in told(records)]
    assert all(r.shape == (1,) and r.dtype == COMMAND for r in records)
    assert kinds[0] is Kind.CONFIGURE_CELL and kinds[-1] is Kind.START and set(kinds[:-1]) == CONFIGURE - UNSAID
    assert tuple(names) == TABLES
    assert list(names["accounts"]) == ["house", "fees", "suspense", "deficit", "desk", "acme", "borea", "b2", "c3", "btc-wallet", "xrp-wallet", "usd-bank",
                                       "at-kestrel", "at-osprey"]


def test_every_number_is_known_or_the_next_where_it_is_used():
    """The order rules.md section 3 needs: what a record names was configured before it."""
    seen = {"asset": 0, "account": 0, "instrument": 0, "actor": 0, "venue": 0}
    own = {Kind.CONFIGURE_ASSET: ("asset", "asset"), Kind.CONFIGURE_ACCOUNT: ("account", "account"), Kind.CONFIGURE_INSTRUMENT: ("instrument", "instrument"),
           Kind.CONFIGURE_ACTOR: ("actor", "number"), Kind.CONFIGURE_VENUE: ("venue", "venue")}
    for kind, row in told(configure(DEMO).records):
        if kind in own:
            table, field = own[kind]
            assert row[field] == seen[table] + 1
            seen[table] += 1
        assert row["account"] <= seen["account"] and row["instrument"] <= seen["instrument"] and row.get("asset", 0) <= seen["asset"]
        assert max(row.get("base", 0), row.get("quote", 0)) <= seen["asset"]


def test_the_values_of_the_demo():
    rows = told(configure(DEMO).records)
    of = lambda kind: [r for k, r in rows if k is kind]
    assert [r["quote_approval_above"] for r in of(Kind.CONFIGURE_ASSET)] == [-1, 1_000_000 * 10**6, -1]
    assert [(r["digits"], r["approval_above"]) for r in of(Kind.CONFIGURE_ASSET)] == [(8, 500_000_000), (6, 250_000 * 10**6), (6, 100_000 * 10**6)]
    assert [AccountKind(r["account_kind"]).name for r in of(Kind.CONFIGURE_ACCOUNT)][:6] == ["HOUSE", "FEES", "SUSPENSE", "DEFICIT", "DESK", "CLIENT"]
    assert [r["account"] for r in of(Kind.CONFIGURE_ACCOUNT) if r["dealer"]] == [5, 8, 9]
    assert [r["settlement"] for r in of(Kind.CONFIGURE_INSTRUMENT)] == [1, 1, 0]
    assert {r["scope"] for r in of(Kind.CONFIGURE_AUTHORITY)} == {Scope.OWN, Scope.ALL}
    gated = {Kind(r["command"]) for r in of(Kind.CONFIGURE_AUTHORITY) if r["second_person"]}
    assert gated == CONFIGURE | {Kind.RESUME, Kind.REVIVE, Kind.REVIVE_TRADER, Kind.REVIVE_ALL, Kind.MANUAL_CREDIT, Kind.CHANGE_TERMS, Kind.CHANGE_DIGITS}
    credit = {r["account"]: (r["limit"], r["quoting_limit"]) for r in of(Kind.CONFIGURE_CREDIT)}
    assert credit[6] == (10_000_000 * 10**6, 0) and credit[8] == (25_000_000 * 10**6,) * 2
    assert [r["limit"] for r in of(Kind.CONFIGURE_SHORT)] == [100 * 10**8, 10_000_000 * 10**6, 5_000_000 * 10**6]
    assert of(Kind.CONFIGURE_LIMITS)[0]["max_age"] == 5 * 10**9


def test_an_asset_without_a_threshold_never_waits():
    rows = told(configure(changed((("assets", "XRP", "transfers_above"), None))).records)
    assert [r["approval_above"] for k, r in rows if k is Kind.CONFIGURE_ASSET][2] == -1


def twin():
    return pytest.importorskip("cambist.simulation.twin.twin", reason="The twin is not here yet, so the genesis was not applied.").Twin(DEMO.capacity.answers)


def applied(state, records, time):
    events = state.apply(np.concatenate(records), time)
    return [e for e in events if e["kind"] == Event.REFUSED], events


def test_genesis_is_refused_nothing():
    records = configure(DEMO).records
    refused, events = applied(twin(), records, 10**9)
    assert not len(refused), refused
    assert [int(e["kind"]) for e in events] == [Event.DONE] * len(records)


def test_a_change_is_held_for_a_second_person_and_nothing_else_is_wrong_with_it():
    state = twin()
    applied(state, configure(DEMO).records, 10**9)
    new = changed((("clients", "cleo"), CLEO), (("clients", "acme", "max_open"), 7), (("assets", "EUR"), {"digits": 2}))
    records = configure_diff(numbered(DEMO), DEMO, new, **{**STAMP, "expires": 31 * 10**9}).records
    refused, events = applied(state, records, 2 * 10**9)
    assert not len(refused), refused
    assert [int(e["kind"]) for e in events] == [Event.HELD] * len(records) and len(records) == 3


# ------------------------------------------------------------------------------------------------------------ changes
def test_no_difference_is_no_record():
    records, names = diff(DEMO)
    assert records == [] and names == numbered(DEMO)


def test_a_changed_limit_is_one_record_with_the_stamp_of_its_sender():
    records, _ = diff(changed((("clients", "acme", "max_open"), 7)))
    [(kind, row)] = told(records)
    assert kind is Kind.CONFIGURE_ACCOUNT and row["account"] == 6 and row["max_open"] == 7
    assert (row["actor"], row["id_hi"], row["id_lo"], row["expires"]) == (13, 7, 100, 10**18)


def test_new_names_are_appended_wherever_they_stand_and_known_ones_keep_their_numbers():
    data = tomllib.loads(TEXT)
    data["clients"] = {"aaron": {"entity": "zeta", "max_open": 1, "answer_quota": 1, "credit": {"USD": "5"}}, **data["clients"]}
    data["legal_entities"] = {"zeta": {"name": "Zeta"}, **data["legal_entities"]}
    data["keys"] = {"aaron": {"role": "client", "service": "x", "account": "aaron"}, **data["keys"]}
    records, names = diff(build_design(data))
    assert {t: {n: names[t][n] for n in known} for t, known in numbered(DEMO).items()} == numbered(DEMO)
    assert names["accounts"]["aaron"] == 15 and names["actors"]["aaron"] == 20 and names["legal_entities"]["zeta"] == 6
    assert [k for k, _ in told(records)] == [Kind.CONFIGURE_ACCOUNT, Kind.CONFIGURE_ACTOR, Kind.CONFIGURE_CREDIT]
    assert [r["id_lo"] for _, r in told(records)] == [100, 101, 102]


def test_what_is_taken_away_becomes_nothing_and_keeps_its_row():
    new = changed((("clients", "acme", "credit"), {}), (("clients", "acme", "positions"), None), (("house", "desks", "desk", "shorts", "XRP"), None),
                  (("instruments", "BTC/USD", "sources"), ["kestrel", "osprey"]), (("roles", "desk", "all"), ["halt", "approve"]))
    rows = told(diff(new).records)
    assert [(k.name, r.get("limit", r.get("scope", r.get("enabled")))) for k, r in rows] == [
        ("CONFIGURE_CREDIT", 0), ("CONFIGURE_POSITION", 0), ("CONFIGURE_POSITION", 0), ("CONFIGURE_SHORT", 0), ("CONFIGURE_SOURCE", 0),
        ("CONFIGURE_AUTHORITY", 0)]


def test_the_size_from_which_quotes_wait_is_a_change_of_their_asset():
    for value, above in (("5", 5 * 10**6), (None, -1)):
        [(kind, row)] = told(diff(changed((("oversight", "quotes_above", "USD"), value))).records)
        assert (kind, row["asset"], row["approval_above"], row["quote_approval_above"]) == (Kind.CONFIGURE_ASSET, 2, 250_000 * 10**6, above)


def test_authority_changes_last_and_the_right_to_change_it_very_last():
    new = changed((("oversight", "second_person"), []), (("keys", "ada", "enabled"), False), (("roles", "engineer", "second_person"), ["configure_venue"]))
    kinds = told(diff(new).records)
    assert kinds[0][0] is Kind.CONFIGURE_ACTOR and all(k is Kind.CONFIGURE_AUTHORITY for k, _ in kinds[1:])
    assert kinds[-1][1]["command"] == Kind.CONFIGURE_AUTHORITY and len(kinds) == 22


@pytest.mark.parametrize(("at", "path", "instead"), [
    (("people", "tomas"), "$.people.tomas", "disable their keys"),
    (("keys", "acme-bot"), "$.keys.acme-bot", "enabled = false"),
    (("instruments", "BTC/USD-PF"), '$.instruments."BTC/USD-PF"', "max_quantity"),
    (("house", "custody", "btc-wallet"), "$.house.custody.btc-wallet", "enabled = false"),
    (("roles", "clock"), "$.roles.clock", "empty its lists"),
])
def test_a_known_name_is_never_removed(at, path, instead):
    also = {"tomas": [(("keys", "tomas"), None)], "clock": [(("keys", "clock"), None)],
            "BTC/USD-PF": [(("house", "desks", "desk", "positions", "BTC/USD-PF"), None)]}
    found = faults(changed(*also.get(at[-1], []), (at, None)))
    assert instead in found[path]


@pytest.mark.parametrize(("at", "value"), [
    (("cell", "number"), 2), (("assets", "BTC", "digits"), 7), (("instruments", "BTC/USD", "settlement"), "prefunded"),
    (("venues", "kestrel", "account"), "at-osprey"),
])
def test_what_was_given_once_does_not_change(at, value):
    found = faults(changed((at, value)))
    assert any(path.replace('"', "").endswith(".".join(at)) and "cannot change" in text for path, text in found.items()), found


@pytest.mark.parametrize(("at", "value", "becomes"), [
    (("lot",), "0.001", {"price_factor": 1, "lot": 100_000, "book_tick": 5}), (("max_price",), "200000", {"price_factor": 1, "max_price": 2_000_000}),
    (("quote_tick",), "0.05", {"price_factor": 2, "quote_tick": 1, "book_tick": 10, "max_price": 5_000_000, "lot": 10_000}),
    (("price_increment",), "0.01", {"price_factor": 10, "quote_tick": 10, "book_tick": 50}),
])
def test_other_ticks_and_lots_are_a_command_of_their_own(at, value, becomes):
    [row] = diffed(changed((("instruments", "BTC/USD", *at), value)))
    assert row["kind"] == Kind.CHANGE_TERMS and row["instrument"] == 1 and {name: row[name] for name in becomes} == becomes


def test_prices_are_never_named_more_coarsely():
    assert "no whole number of 0.5" in faults(changed((("instruments", "BTC/USD", "quote_tick"), "0.5")))['$.instruments."BTC/USD".price_increment']


def test_more_digits_are_a_command_of_their_own_and_need_the_asset_disabled():
    asset = ("assets", "BTC")
    assert "enabled = false" in faults(changed(((*asset, "digits"), 9)))["$.assets.BTC.digits"]
    disabled = changed(((*asset, "enabled"), False))
    [row] = diffed(changed(((*asset, "enabled"), False), ((*asset, "digits"), 10)), disabled)
    assert row["kind"] == Kind.CHANGE_DIGITS and row["digits"] == 10, "every amount the design names is what it was, in the new unit"
    with pytest.raises(DesignError, match="digits change alone"):
        diffed(changed(((*asset, "enabled"), True), ((*asset, "digits"), 10)), disabled)


def diffed(new, running=None):
    """The commands from the running design to another, by the names of their fields."""
    running = running or build_design(tomllib.loads(TEXT))
    return [named(record) for record in configure_diff(numbered(running), running, new, actor=1, id_hi=0, id_lo=1, expires=1).records]


def test_a_client_does_not_become_a_dealer():
    row = {"entity": "acme", "max_open": 1, "answer_quota": 1}
    found = faults(changed((("clients", "acme"), None), (("dealers", "acme"), row)))
    assert "another kind of account" in found["$.dealers.acme"]


def test_limits_cannot_be_taken_away():
    assert "max_quantity" in faults(changed((("instruments", "BTC/USD", "limits"), None)))['$.instruments."BTC/USD".limits']


def test_a_design_that_is_not_the_running_one_is_said_so():
    with pytest.raises(DesignError, match="not the design this cell runs"):
        configure_diff(numbered(changed((("clients", "cleo"), CLEO))), DEMO, DEMO, **STAMP)


# -------------------------------------------------------------------------------------------------------------- names
def test_names_survive_their_attachment():
    names = configure(DEMO).names
    assert read_names(names_attachment(names)) == names and names_attachment(names) == names_attachment(configure(DEMO).names)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"assets":{"A":1}}', b'{"assets":{"A":"1"}}', b"\xff"])
def test_a_torn_attachment_is_refused(data):
    with pytest.raises(DesignError):
        read_names(data)


@pytest.mark.parametrize("numbers", [{"A": 2}, {"A": 1, "B": 1}, {"A": 0}, {"B": 2, "A": 1}])
def test_numbers_out_of_order_are_refused(numbers):
    with pytest.raises(DesignError, match="given once"):
        read_names(names_attachment({**configure(DEMO).names, "venues": numbers}))
