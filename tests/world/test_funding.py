"""Opening deposits: who gets what where, and that nobody gets it twice."""
from pathlib import Path

import msgspec
import numpy as np

from cambist.configure import configure
from cambist.core.cell import Cell
from cambist.design import read_design
from cambist.messages import LAYOUT, Event, Kind
from cambist.run import sizes
from cambist.world.funding import opening_deposits, simulated_custody

DESIGN = read_design((Path(__file__).resolve().parents[2] / "desks" / "demo.toml").read_text(), "demo")
MADE = configure(DESIGN)
NAMES, ACTOR = MADE.names, MADE.names["actors"]["custodian"]
START = 1_700_000_000_000_000_000


def rows(records: list[np.ndarray]) -> list[tuple[str, str, str, int]]:
    """Who, what, where, how much."""
    account, asset = ({number: name for name, number in NAMES[table].items()} for table in ("accounts", "assets"))
    told = [record.view(LAYOUT[Kind.DEPOSIT])[0] for record in records]
    return [(account[int(r["account"])], asset[int(r["asset"])], account[int(r["custody"])], int(r["amount"])) for r in told]


def test_clients_and_dealers_are_funded_at_home_and_the_desk_at_its_venues():
    made = rows(opening_deposits(DESIGN, NAMES, ACTOR, set()))
    assert ("acme", "BTC", "btc-wallet", 200 * 10**8) in made and ("c3", "USD", "usd-bank", 20_000_000 * 10**6) in made
    assert {(who, where) for who, _, where, _ in made if where.startswith("at-")} == {("desk", "at-kestrel"), ("desk", "at-osprey")}
    assert len(made) == 4 * 3 + 2 * 3


def test_the_core_counts_them_once_and_nothing_is_left_to_send():
    cell = Cell(sizes(DESIGN))
    cell.apply(np.concatenate(MADE.records), START)
    records = np.concatenate(opening_deposits(DESIGN, NAMES, ACTOR, set()))
    assert set(cell.apply(records, START)["kind"]) == {Event.DEPOSITED}
    assert set(cell.apply(records, START)["kind"]) == {Event.DUPLICATE}         # sent again after a fall, within the window
    _, columns, balances = cell.tables()["balances"]
    touched = {(int(row[columns.index("account")]), int(row[columns.index("asset")])) for row in balances}
    assert opening_deposits(DESIGN, NAMES, ACTOR, touched) == []                # and afterwards none is sent


def test_who_joined_later_is_funded_alone():
    everyone = {(number, asset) for number in NAMES["accounts"].values() for asset in NAMES["assets"].values()}
    borea = NAMES["accounts"]["borea"]
    made = rows(opening_deposits(DESIGN, NAMES, ACTOR, {one for one in everyone if one[0] != borea}))
    assert made == [("borea", "BTC", "btc-wallet", 200 * 10**8), ("borea", "USD", "usd-bank", 20_000_000 * 10**6),
                    ("borea", "XRP", "xrp-wallet", 8_000_000 * 10**6)]


def test_what_is_not_simulated_is_left_to_its_own_watchers():
    bank = msgspec.structs.replace(DESIGN.banks["firth"], kind="statement")
    real = msgspec.structs.replace(DESIGN, banks={"firth": bank})
    assert "usd-bank" not in simulated_custody(real) and "usd-bank" in simulated_custody(DESIGN)
    made = rows(opening_deposits(real, NAMES, ACTOR, set()))
    assert all(where != "usd-bank" for _, _, where, _ in made) and ("acme", "BTC", "btc-wallet", 200 * 10**8) in made
