"""Each finding has a design that earns it and nothing else of its kind; a sound design earns none."""
import copy
import tomllib
from pathlib import Path

import pytest

from cambist.configure import numbered
from cambist.design import build_design, read_design
from cambist.findings import CODES, MOMENTS, check, draw

DEMO = read_design((Path(__file__).parents[1] / "desks" / "demo.toml").read_text(), "demo")
MINIMAL = tomllib.loads("""
[cell]
number = 0
answer_window = "60s"
fact_window = "1h"
rfq_window = "1s"
approval_window = "15m"
max_ttl = "30s"
[assets]
A = { digits = 8, transfers_above = "1", chain = "ledger" , finality = "final" }
B = { digits = 6, bank = "bank" }
[instruments."A/B"]
base = "A"
quote = "B"
lot = "0.01"
book_tick = "0.1"
quote_tick = "0.1"
min_price = "0.1"
max_price = "1000"
settlement = "on_credit"
sources = ["one", "two"]
limits = { max_quantity = "10", max_notional = "1000", collar_ppm = 50000, max_position = "10", min_sources = 2, max_age = "5s" }
[sources]
one = { kind = "dealer" }
two = { kind = "recorded" }
[legal_entities]
us = { name = "Us" }
[people]
ann = { roles = ["risk"] }
bob = { roles = ["risk", "engineer"] }
[roles]
client = { own = ["new_order", "transfer"] }
dealer = { own = ["quote"] }
risk = { all = ["approve", "deny", "halt", "resume"], second_person = ["resume"] }
engineer = { all = ["configure_*"], second_person = ["configure_*"] }
[keys]
ann = { role = "risk", person = "ann" }
bob = { role = "risk", person = "bob" }
bob-config = { role = "engineer", person = "bob" }
carl = { role = "client", service = "carl", account = "carl" }
dora = { role = "dealer", service = "dora", account = "dora" }
[house]
entity = "us"
[house.custody]
wallet = { kind = "wallet", at = "ledger", assets = ["A"] }
account = { kind = "bank", at = "bank", assets = ["B"] }
[clients.carl]
entity = "us"
max_open = 1
answer_quota = 16
credit = { B = "1000" }
[dealers.dora]
entity = "us"
max_open = 1
answer_quota = 16
credit = { B = "1000" }
quoting = { B = "1000" }
[chains.ledger]
kind = "simulated"
finality = ["final"]
[banks.bank]
kind = "simulated"
[[stages]]
name = "quoted"
starts = "received"
ends = "quote_shown"
who = "engine"
budget = "10ms"
fallback = "none"
[[stages]]
name = "accepted"
starts = "quote_shown"
ends = "accept_quote"
who = "person"
role = "client"
budget = "5s"
fallback = "lapses"
[targets.end_to_end]
first = "quoted"
last = "accepted"
budget = "6s"
""")
AB = ("instruments", "A/B")
DESK = (("house", "desks"), {"desk": {"entity": "us", "max_open": 1, "answer_quota": 16, "credit": {"B": "1"}, "quoting": {"B": "1"}}})
AUTOMATIC, GATE = ("pricing", "auto_quote_max_notional"), ("oversight", "quotes_above")


def changed(*changes):
    """The minimal design with places changed: (steps, value); a value of None takes the key away."""
    data = copy.deepcopy(MINIMAL)
    for at, value in changes:
        table = data
        for key in at[:-1]:
            table = table.setdefault(key, {}) if isinstance(table, dict) else table[key]
        if value is None:
            del table[at[-1]]
        else:
            table[at[-1]] = value
    return build_design(data)


IN_TEST_TRADING_DESIGN = {"CB026", "CB027", "CB028", "CB029", "CB030", "CB031"}      # of tiers, bands, sessions and exposure
BROKEN = [
    ("CB001", "error", "limits", [((*AB, "limits"), None)]),
    ("CB002", "error", "collar_ppm", [((*AB, "limits", "collar_ppm"), 0)]),
    ("CB003", "error", "sources", [((*AB, "sources"), [])]),
    ("CB004", "error", "sources", [((*AB, "sources"), ["one"])]),
    ("CB004", "error", "sources", [(("pricing", "min_sources"), 3)]),
    ("CB005", "error", "end_to_end.budget", [(("targets", "end_to_end", "budget"), "5s")]),
    ("CB006", "error", "$.roles.", [(("keys", "ann"), None)]),
    ("CB006", "error", "$.roles.", [(("roles", "risk", "all"), ["halt", "resume"])]),
    ("CB007", "error", "people.bob", [(("keys", "ann", "enabled"), False)]),
    ("CB008", "error", "roles.engineer", [(("roles", "engineer", "second_person"), ["configure_limits"])]),
    ("CB009", "error", "assets.B", [(("house", "custody", "account"), None)]),
    ("CB009", "error", "assets.A", [(("house", "custody", "wallet", "enabled"), False)]),
    ("CB009", "error", "assets.B", [(("assets", "B", "bank"), None)]),
    ("CB010", "error", "max_quantity", [((*AB, "limits", "max_quantity"), "40000000000")]),
    ("CB010", "error", "max_quantity", [((*AB, "limits", "max_quantity"), "4000000000")]),
    ("CB011", "error", "failure_domains",
     [(("redundancy", "replicas"), 3), (("redundancy", "log"), "jetstream"), (("redundancy", "failure_domains"), ["x", "y", "x"])]),
    ("CB012", "error", "redundancy.log", [(("redundancy", "replicas"), 2), (("redundancy", "failure_domains"), ["x", "y"])]),
    ("CB013", "error", "stages[0].starts", [(("stages", 0, "starts"), "someday")]),
    ("CB013", "error", "stages[1].ends", [(("stages", 1, "ends"), "")]),
    ("CB014", "warning", "roles.idle", [(("roles", "idle"), {})]),
    ("CB015", "warning", "people.eve", [(("people", "eve"), {"roles": ["client"]})]),
    ("CB016", "warning", "clients.carl", [(("keys", "carl", "enabled"), False)]),
    ("CB017", "warning", "lot", [((*AB, "lot"), "0.000001")]),
    ("CB018", "error", "capacity.answers", [(("clients", "carl", "answer_quota"), 200_000)]),
    ("CB018", "error", "capacity.accounts", [(("capacity", "accounts"), 7)]),
    ("CB018", "warning", "capacity.orders", [(("capacity", "orders"), 1)]),
    ("CB019", "error", "dealers.dora.quoting", [(("dealers", "dora", "quoting"), {})]),
    ("CB019", "error", "dealers.dora.quoting", [(("dealers", "dora", "quoting"), {"A": "5", "B": "0"})]),
    ("CB020", "error", "clients.carl.credit", [(("clients", "carl", "credit"), None)]),
    ("CB021", "error", "banks.bank.about", [(("banks", "bank", "about"), "password: hunter2")]),
    ("CB021", "error", "keys.carl.service", [(("keys", "carl", "service"), "0x" + "ab" * 32)]),
    ("CB022", "warning", "max_position", [((*AB, "limits", "max_position"), "0")]),
    ("CB023", "warning", "stages[0].fallback", [(("stages", 0, "fallback"), None)]),
    ("CB024", "warning", "oversight.quotes_above.B", [DESK]),
    ("CB024", "warning", "oversight.quotes_above.B", [DESK, (AUTOMATIC, {"B": "5"}), (GATE, {"B": "5.5"})]),
    ("CB032", "error", "redundancy.mirror", [(("redundancy", "mirror"), "elsewhere/log")]),
    ("CB025", "warning", "auto_quote_max_notional.B", [DESK, (AUTOMATIC, {"B": "6"}), (GATE, {"B": "5.5"})]),
]


def test_a_sound_design_has_no_finding():
    assert check(changed()) == []


def test_the_demo_has_no_finding():
    assert check(DEMO) == []


def test_every_code_has_a_design_that_earns_it():
    assert {code for code, *_ in BROKEN} == set(CODES) - IN_TEST_TRADING_DESIGN


@pytest.mark.parametrize(("code", "severity", "path", "changes"), BROKEN, ids=[f"{code}-{path}" for code, _, path, _ in BROKEN])
def test_a_broken_design_is_found(code, severity, path, changes):
    found = [f for f in check(changed(*changes)) if f.code == code]
    assert found and all(f.severity == severity and path in f.path and f.text for f in found), found


def test_a_prefunded_market_beside_makes_missing_credit_a_warning():
    prefunded = {**MINIMAL["instruments"]["A/B"], "settlement": "prefunded"}
    found = check(changed((("instruments", "A/B-PF"), prefunded), (("clients", "carl", "credit"), None)))
    assert [(f.code, f.severity) for f in found] == [("CB020", "warning")]


def test_a_secret_is_not_repeated_and_a_public_key_is_none():
    assert all("hunter2" not in f.text for f in check(changed((("banks", "bank", "about"), "password: hunter2"))))
    assert check(changed((("keys", "carl", "public_key"), "ab" * 32))) == []


def test_second_persons_may_be_asked_for_by_role_or_for_the_whole_cell():
    by_cell = changed((("roles", "engineer", "second_person"), []), (("oversight", "second_person"), ["configure_*"]))
    assert check(by_cell) == []


def test_quotes_that_wait_are_a_gate_that_needs_two_people():
    desk = [DESK, (GATE, {"B": "1"}), (AUTOMATIC, {"B": "1"}), (("keys", "engine"), {"role": "dealer", "service": "engine", "account": "desk"})]
    assert check(changed(*desk)) == []
    found = check(changed(*desk, (("roles", "risk", "all"), ["halt", "resume"])))
    assert {f.code for f in found} == {"CB006"} and any(f.path == "$.roles.dealer" and "quote waits" in f.text for f in found)


def test_moments_are_no_names_of_events_or_commands():
    assert len(set(MOMENTS)) == len(MOMENTS) and len(numbered(DEMO)) == 9


# ------------------------------------------------------------------------------------------------------------ drawing
def test_the_drawing_has_its_shape():
    assert draw(changed()) == """flowchart LR
  subgraph workflow["what happens"]
    s0["quoted<br/>engine, 10ms"]:::engine
    s1{{"accepted<br/>client, 5s"}}:::person
    s0 -->|quote_shown| s1
  end
  subgraph clients
    clients_0["carl"]
  end
  subgraph dealers
    dealers_0["dora"]
  end
  subgraph custody
    custody_0["wallet"]
    custody_1["account"]
  end
  clients --> s0
  dealers --> s0
  gate0{{"second person<br/>client: transfer"}}:::person
  gate1{{"second person<br/>risk: resume"}}:::person
  gate2{{"second person<br/>engineer: configure_restriction, configure_cell, configure_asset and 17 more"}}:::person
  classDef person stroke-width:3px
"""


def test_the_drawing_of_the_demo_shows_every_stage_venue_and_gate():
    drawn = draw(DEMO)
    assert [drawn.count(f'"{s.name}<br/>') for s in DEMO.stages] == [1] * len(DEMO.stages)
    assert drawn.count("subgraph") == drawn.count("\n  end") == 5 and all(f'"{name}"' in drawn for name in (*DEMO.venues, *DEMO.house.custody, *DEMO.clients))
    assert drawn.count("gate") == 6 and "s7 <--> venues" in drawn


def test_a_quote_in_a_name_does_not_end_a_label():
    assert 'x #quot; y #124; z' in draw(changed((("stages", 1, "starts"), 'x " y | z')))
