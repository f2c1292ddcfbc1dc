"""Epochs: houses of past releases still verify, an older layout is migrated, and a new epoch begins where the old one ends, wholly or not at all."""
import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from cambist.core.cell import Cell
from cambist.core.tables import COLUMNS, VERSION
from cambist.epochs import FIRST, MIGRATIONS, RULES, Epoch, WrongRelease, begin, check_release, current, migrate, newest_state, stamped
from cambist.feeds.streams import ALL
from cambist.follower import Follower
from cambist.inspection import replay, walk
from cambist.log.decisions import NewEpoch, decisions
from cambist.log.journal import verify
from cambist.log.replay import Replay
from cambist.log.results import ResultsReader, seal_results, verify_results
from cambist.log.segment import Position
from cambist.log.snapshot import load, save, snapshot_names, state_hash
from cambist.messages import EVENT, Event, Kind
from cambist.node import Broken, Node, close_node, open_node, run
from cambist.run import ticker
from cambist.simulation.invariants import invariants

from tests.golden.house import FOLDER, OLDER, from_older, golden, to_older
from tests.log.crash_disk import Crash, CrashDisk
from tests.process.house_on_disk import ACCOUNT, ASSET, DESIGN, SEGMENT_BYTES, SIZES, HouseOnDisk, whole_stream

K = Kind
RENEW = "until the first release is out: python -m tools.make_golden; after it, this release has changed what an older one decided"
NEXT = RULES + 1


class OlderCell(Cell):
    """The core of a release that had the made older layout."""
    def tables(self, names=()) -> dict[str, Any]:
        found = super().tables(names)
        return to_older(found) if not names else found

    @classmethod
    def load(cls, rows: Mapping[str, Any], wanted: Mapping[str, int] | None = None) -> "OlderCell":
        return super().load(from_older(dict(rows)), wanted)     # type: ignore[return-value]


def opened(disk: CrashDisk, rules: int = RULES, cell: type[Cell] = Cell, **more: Any) -> Node:
    return open_node(disk, "house", number=DESIGN.cell.number, epoch=1, rules=rules, fresh=lambda: cell(SIZES), load=lambda tables: cell.load(tables, SIZES),
                     ticker=ticker(DESIGN), segment_bytes=SEGMENT_BYTES, **more)


def house(cell: type[Cell] = Cell, deposits: int = 3) -> CrashDisk:
    """A house that the release of these rules has left: closed, with a snapshot at the very end."""
    made = HouseOnDisk()
    for _ in range(deposits):
        made.do(K.DEPOSIT, "custodian", "acme", custody=ACCOUNT["btc-wallet"], asset=ASSET["BTC"], amount=5)
    close_node(made.node)
    ready(made.disk, cell)
    return made.disk


def ready(disk: CrashDisk, cell: type[Cell] = Cell, rules: int = RULES) -> None:
    node = opened(disk, rules, cell)
    save(disk, "house/snapshots", node.cell.tables(), position=node.log.position, cell=DESIGN.cell.number, results_hash=node.results.position.hash,
         fingerprint=node.cell.fingerprint)
    close_node(node)


def upgraded(disk: CrashDisk, rules: int = NEXT, migrations=None, **more: Any):
    return begin(disk, "house", number=DESIGN.cell.number, load=lambda tables: Cell.load(tables, SIZES), broken=lambda tables: list(invariants(tables)),
                 ticker=ticker(DESIGN), release="0.2.0", by="ann", why="a test", layout=VERSION, rules=rules, migrations=migrations or MIGRATIONS,
                 segment_bytes=SEGMENT_BYTES, **more)


def follower(disk: CrashDisk, rules: int) -> Follower:
    return Follower(disk, "house", number=DESIGN.cell.number, fresh=lambda: Cell(SIZES), load=lambda tables: Cell.load(tables, SIZES), rules=rules)


# --- past releases -----------------------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("rules-*.zip")))
def test_a_golden_log_still_verifies_and_its_results_are_the_same_entry_by_entry(name):
    disk, facts = golden(name)
    log, (entries, told, faults) = verify(disk, "house/log"), verify_results(disk, "house/results")
    assert log.findings == () and faults == [] and (log.entries, entries) == (facts["entries"],) * 2
    assert (log.last.hash.hex(), told.hash.hex(), log.last.sequence) == (facts["log"], facts["results"], facts["sequence"])
    if facts["rules"] != RULES:
        return                                          # applied again by the release that made it, and by no other
    cell, hashed, kept = Cell(facts["sizes"]), Position().hash, ResultsReader(disk, "house/results").read(1)
    for chunk in Replay(disk, "house/log").chunks():
        for entry in chunk:
            _, hashed = seal_results(entry.cell, entry.first_sequence, entry.last_sequence, entry.time, hashed, run(cell, entry))
            assert hashed == next(kept).own_hash, f"the results of sequence {entry.first_sequence} are others now; {RENEW}"
    assert facts["layout"] == VERSION and state_hash(cell.tables()).hex() == facts["state"], RENEW


def test_the_golden_snapshot_of_a_made_older_layout_is_migrated():
    disk, facts = golden(OLDER)
    (name,) = snapshot_names(disk, "house/snapshots")
    old = load(disk, f"house/snapshots/{name}")
    assert {table.version for table in old.tables.values()} == {0} and "rate_den" not in old.tables["assets"].columns
    with pytest.raises(ValueError, match="migrate it first"):
        Cell.load(old.tables, SIZES)
    with pytest.raises(WrongRelease, match="a state of layout 0 cannot be brought to 1: this release migrates from none"):
        migrate(old.tables, VERSION)
    made = migrate(old.tables, VERSION, {0: from_older})
    cell = Cell.load(made, facts["sizes"])
    tables = cell.tables()
    assert invariants(tables) == [] and {name: rows.tolist() for name, (_, _, rows) in tables.items()} == {n: t.rows.tolist() for n, t in made.items()}
    for name, (_, columns, rows) in old.tables.items():
        at = [COLUMNS[name].index(column) for column in columns]
        assert np.array_equal(tables[name][2][:, at], rows), f"{name} lost something"
    assert (tables["assets"][2][:, -1] == 0).all()


def test_a_step_that_is_missing_or_does_nothing_is_refused():
    tables = stamped(from_older({}), 3)
    with pytest.raises(WrongRelease, match="a state of layout 3 cannot be brought to 5: this release migrates from 4"):
        migrate(tables, 5, {4: lambda t: stamped(t, 5)})
    with pytest.raises(WrongRelease, match="did not give every table version 4"):
        migrate(tables, 5, {3: lambda t: t, 4: lambda t: stamped(t, 5)})
    with pytest.raises(WrongRelease, match="cannot be brought to 2"):
        migrate(tables, 2, {3: lambda t: stamped(t, 4)})
    assert {t.version for t in migrate(tables, 5, {3: lambda t: stamped(t, 4), 4: lambda t: stamped(t, 5)}).values()} == {5}


# --- a new epoch -------------------------------------------------------------------------------------------------------------------------------------

def test_it_begins_where_the_old_one_ends_and_nothing_is_lost():
    disk = house()
    before = golden_state(disk)
    done = upgraded(disk)
    assert (done.epoch, done.rules) == (2, NEXT) and done.state_before == done.state_after == before
    assert current(disk, "house")[:2] == (2, NEXT)
    node = opened(disk, NEXT)
    assert node.epoch == 2 and node.cell.sequence == done.sequence == node.streams.position
    assert len(whole_stream(node, ALL)) > 0 and node.results.position.sequence == done.sequence
    (found,) = decisions(disk, "house/log")
    assert isinstance(found.decision, NewEpoch) and found.decision.by == "ann" and found.decision.release == "0.2.0"
    close_node(node)
    again = replay(disk, "house", Cell(SIZES), lambda: 0, NEXT)
    assert again.broken == () and again.sequence == done.sequence and again.results_hash == again.told_hash
    beside = follower(disk, NEXT)
    beside.step(0)
    assert beside.checked == done.sequence and beside.save(0).epoch == 2
    assert opened(disk, NEXT).cell.sequence == done.sequence       # from the follower's snapshot now


def golden_state(disk: CrashDisk) -> str:
    return load(disk, f"house/snapshots/{snapshot_names(disk, 'house/snapshots')[-1]}").manifest.state_hash


def test_a_state_of_an_older_layout_is_migrated_on_the_way():
    disk = house(OlderCell)
    done = upgraded(disk, migrations={0: from_older})
    assert done.state_before != done.state_after
    node = opened(disk, NEXT)
    assert state_hash(node.cell.tables()).hex() != done.state_after      # the entry that decides moved the sequence
    fresh, _ = newest_state(disk, "house", current(disk, "house"))
    assert fresh and fresh.manifest.state_hash == done.state_after and {t.version for t in fresh.tables.values()} == {VERSION}


def test_an_epoch_after_an_epoch():
    disk = house()
    upgraded(disk)
    ready(disk, rules=NEXT)
    assert upgraded(disk, NEXT + 1).epoch == 3 and current(disk, "house").number == 3
    node = opened(disk, NEXT + 1)
    assert node.epoch == 3 and replay(disk, "house", Cell(SIZES), lambda: 0, NEXT + 1).broken == ()
    close_node(node)
    assert walk_findings(disk) == ()


def walk_findings(disk: CrashDisk) -> tuple[str, ...]:
    return walk(disk, "house", None, lambda: 0).findings


def test_each_release_applies_its_own_epoch_and_no_other():
    disk = house()
    with pytest.raises(WrongRelease, match="`cambist upgrade` begins a new epoch"):
        opened(disk, NEXT)
    with pytest.raises(WrongRelease, match="`cambist upgrade` begins"):
        follower(disk, NEXT)
    with pytest.raises(WrongRelease, match="nothing to upgrade"):
        upgraded(disk, RULES)
    upgraded(disk)
    for again in (lambda: opened(disk), lambda: follower(disk, RULES), lambda: replay(disk, "house", Cell(SIZES), lambda: 0)):
        with pytest.raises(WrongRelease, match=f"by rules {NEXT} since epoch 2, and this release has rules {RULES}"):
            again()
    assert not disk.locks
    check_release(Epoch(5, 3, ""), 3)


def test_a_follower_of_the_old_release_stops_at_the_new_epoch():
    disk = house()
    beside = follower(disk, RULES)
    upgraded(disk)
    close_node(opened(disk, NEXT))
    with pytest.raises(Broken, match="epoch 2 begins at sequence"):
        beside.step(0)


def test_without_a_snapshot_at_the_very_end_it_does_not_begin():
    disk = house()
    node = opened(disk)
    node.tick_if_idle(node.clockwork.last + 2 * 10**9)
    node.step(node.clockwork.last + 2 * 10**9)
    close_node(node)
    with pytest.raises(WrongRelease, match="run `cambist upgrade` by the release of rules 1 first"):
        upgraded(disk)
    ready(disk)
    assert upgraded(disk).epoch == 2


def test_a_migration_that_breaks_the_books_does_not_begin():
    disk = house(OlderCell)

    def steals(tables):
        made = from_older(tables)
        made["balances"].rows[0, 2] += 1
        return made
    with pytest.raises(WrongRelease, match="breaks 1 invariants"):
        upgraded(disk, migrations={0: steals})
    assert current(disk, "house") == FIRST and not disk.locks


def test_after_a_crash_at_any_call_it_has_begun_or_it_has_not():
    whole = house()
    reference = whole.after_kill()
    upgraded(reference)
    begun = 0
    for crash_at in range(1, reference.calls + 1):
        disk = whole.after_kill()
        disk.crash_at = crash_at
        with contextlib.suppress(Crash):
            upgraded(disk)
        for after in (disk.after_power_loss(crash_at), disk.after_kill()):
            if current(after, "house").number == 2:
                begun += 1
            else:
                close_node(opened(after))               # the old release goes on as if nothing had been tried
                ready(after)
                upgraded(after)
            node = opened(after, NEXT)
            assert node.epoch == 2 and int((whole_stream(node, ALL)["kind"] == Event.DEPOSITED).sum()) == 3
            close_node(node)
    assert 0 < begun < 2 * reference.calls


def test_what_an_older_epoch_told_is_never_cut():
    disk = house()
    told = np.concatenate([np.frombuffer(kept.events, EVENT) for kept in ResultsReader(disk, "house/results").read(1)])
    upgraded(disk)
    files = sorted(name for name in disk.names if name.endswith(".cbr"))
    assert len(files) == 2
    node = opened(disk, NEXT)
    close_node(node)
    disk.flip(files[0], len(disk.names[files[0]].live) - 40)
    with pytest.raises(Exception, match="results"):
        opened(disk, NEXT)
        list(ResultsReader(disk, "house/results").read(1))
    assert len(told) > 0
