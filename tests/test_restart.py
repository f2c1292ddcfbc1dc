"""A killed node goes on from a snapshot and the log behind it: with every order, the same state, every answer. How fast, `cambist bench restart` says."""
from pathlib import Path

import numpy as np
import pytest

from cambist.core.cell import Cell
from cambist.inspection import replay
from cambist.log.snapshot import state_hash
from cambist.measure.flow import CLIENTS, opening
from cambist.measure.restart_bench import House, Restarted, answered, filled, large_desk, resting
from cambist.messages import Event, Kind

DESIGN = Path(__file__).resolve().parents[1] / "desks" / "demo.toml"
SENT = 50


def killed_and_killed_again(directory: Path, orders: int, tail: int) -> None:
    """A house of so many orders at rest is killed, comes back as a process, takes orders, is killed again; then everything is looked at."""
    large, design = large_desk(DESIGN, orders), directory.with_name("design.toml")
    design.write_text(large.text)
    directory.mkdir()
    before, desk = filled(str(directory), large, orders, tail), large.desk
    assert before.at_rest > orders
    there = House(str(directory), desk).open()                  # from the snapshot and what came after it
    there.log._lock.release()
    assert (there.cell.sequence, state_hash(there.cell.tables())) == (before.sequence, before.state)
    del there
    told, runs, mine, facts = [], [], np.arange(CLIENTS * SENT).reshape(SENT, CLIENTS)[:, 0], opening(desk)
    for _ in range(2):
        runs.append(node := Restarted(design, directory))
        with node.wait() as client:
            client.submit(facts[facts["kind"] == Kind.SOURCE_PRICE])            # the house was down for years: its prices are old
            told.append(answered(client, desk, resting(desk, CLIENTS * SENT, before.numbers)[mine]))
            node.kill()
    accepted = np.concatenate(told)
    accepted = accepted["id"][accepted["kind"] == Event.ORDER_ACCEPTED]
    assert len(accepted) == 2 * SENT
    house = House(str(directory), desk)
    after = house.open()
    after.log._lock.release()
    tables = after.cell.tables()
    _, columns, rows = tables["orders"]
    ids = rows[:, columns.index("id")]
    assert len(ids) == before.at_rest + 2 * SENT and np.isin(before.ids, ids).all() and np.isin(accepted, ids).all()
    again = replay(house.disk, str(directory), Cell(house._sizes), lambda: 0)       # and from the first entry on
    assert (again.state_hash, again.sequence) == (state_hash(tables).hex(), after.cell.sequence)
    assert again.results_hash == again.told_hash and again.broken == ()
    print([(run.ready_s, run.parts) for run in runs])


@pytest.mark.compiled
@pytest.mark.process
def test_no_order_is_lost_of_twenty_thousand_at_rest(tmp_path):
    killed_and_killed_again(tmp_path / "house", 20_000, 4_000)


@pytest.mark.compiled
@pytest.mark.process
@pytest.mark.hunt
def test_no_order_is_lost_of_a_million_at_rest(tmp_path):
    killed_and_killed_again(tmp_path / "house", 1_000_000, 200_000)
