"""Epochs: a release that changes rules or layouts goes on with an old house's log by a new epoch, which begins with the old state in the new layout.

Decides which epoch a directory is in, which snapshots may be its beginning, how a state of an older layout is migrated, and when a new epoch may begin. Must
not know what a table means, nor a process.

    log:  ... entries of epoch 1 ... | entry that decides: epoch 2, rules, hashes of the state before and after | entries of epoch 2 ...
    epochs/0000000002/snapshot-S     the migrated state at the last entry of epoch 1; never removed

Entries of older epochs are verified by their chains, and applied again only by the release that made them. What was told in them is never told otherwise.
"""
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cambist.log import snapshot
from cambist.log.decisions import NewEpoch, decision_of
from cambist.log.disk import Disk, DiskMissing
from cambist.log.journal import SEGMENT_BYTES, Journal
from cambist.log.lookup import Lookup
from cambist.log.results import Results
from cambist.log.snapshot import Snapshot, SnapshotDamaged, Table, state_hash
from cambist.poison import decided

RULES = 1                                       # version of docs/rules.md that this release applies: each release that changes an outcome adds one
FOLDER = "epochs"
Tables = Mapping[str, Any]
Migration = Callable[[dict[str, Table]], dict[str, Table]]
MIGRATIONS: dict[int, Migration] = {}           # layout version -> what makes all tables of it those of the next; one for each that a release ever had


class WrongRelease(Exception):
    """The log is another release's to apply, or cannot be brought to this one. Nothing was changed; says what to do."""


class Epoch(NamedTuple):
    """Where a directory is. `base`: the snapshot that the epoch begins with; none for the first."""
    number: int
    rules: int
    base: str


FIRST = Epoch(1, 1, "")


def current(disk: Disk, directory: str) -> Epoch:
    """The epoch that the log's last decision about epochs began. A base without its decision is what a crash left of an upgrade."""
    folder = f"{directory}/{FOLDER}"
    try:
        numbers = sorted((int(name) for name in disk.list_directory(folder) if name.isdigit()), reverse=True)
    except DiskMissing:
        return FIRST
    lookup = Lookup(disk, f"{directory}/log")
    for number in numbers:
        place = f"{folder}/{number:010d}"
        for name in snapshot.snapshot_names(disk, place):
            entry = lookup.find(int(name[-20:]) + 1)
            decision = decision_of(entry) if entry else None
            if isinstance(decision, NewEpoch) and decision.epoch == number:
                return Epoch(number, decision.rules, f"{place}/{name}")
    return FIRST


def check_release(epoch: Epoch, rules: int = RULES) -> None:
    """WrongRelease unless this release applies the epoch's rules."""
    if epoch.rules > rules:
        raise WrongRelease(f"the log is applied by rules {epoch.rules} since epoch {epoch.number}, and this release has rules {rules}: take the release that "
                           "began the epoch, or a later one")
    if epoch.rules < rules:
        raise WrongRelease(f"the log is applied by rules {epoch.rules} in epoch {epoch.number}, and this release has rules {rules}: `cambist upgrade` begins "
                           "a new epoch with them")


def newest_state(disk: Disk, directory: str, epoch: Epoch, within: int | None = None) -> tuple[Snapshot | None, list[SnapshotDamaged]]:
    """The newest snapshot of this epoch that verifies, not beyond sequence `within`, or its base; and what is wrong with those newer than it."""
    folder, problems = f"{directory}/snapshots", []
    for name in reversed(snapshot.snapshot_names(disk, folder)):
        path = f"{folder}/{name}"
        if within is not None and int(name[-20:]) > within:
            continue
        try:
            if snapshot.read_manifest(disk, path).epoch == epoch.number:
                return snapshot.load(disk, path), problems
        except SnapshotDamaged as damaged:
            problems.append(damaged)
    if not epoch.base:
        return None, problems
    return snapshot.load(disk, epoch.base), problems            # damaged, nothing can be applied: it is raised


def migrate(tables: Tables, version: int, migrations: Mapping[int, Migration] = MIGRATIONS) -> dict[str, Table]:
    """The tables in layout `version`, step by step. Raises WrongRelease where a step is missing or does not do what it must."""
    made = {name: Table(*table) for name, table in tables.items()}
    while (versions := {table.version for table in made.values()}) != {version}:
        if len(versions) != 1 or (old := versions.pop()) not in migrations or old >= version:
            had, known = ({t.version for t in made.values()}, set(migrations))
            raise WrongRelease(f"a state of layout {_listed(had)} cannot be brought to {version}: this release migrates from {_listed(known) or 'none'}")
        made = migrations[old](made)
        if {table.version for table in made.values()} != {old + 1}:
            raise WrongRelease(f"the migration from layout {old} did not give every table version {old + 1}")
    return made


def _listed(numbers: set[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))


def stamped(tables: Mapping[str, Table], version: int) -> dict[str, Table]:
    """The same rows, called of another layout: for migrations that leave most tables as they are."""
    return {name: table._replace(version=version) for name, table in tables.items()}


class Upgraded(NamedTuple):
    """What `begin` did."""
    epoch: int
    rules: int
    sequence: int                               # of the entry that decides
    state_before: str
    state_after: str


def begin(disk: Disk, directory: str, *, number: int, load: Callable[[Tables], Any], broken: Callable[[Tables], list[str]], ticker: int, release: str, by: str,
          why: str, layout: int, rules: int = RULES, migrations: Mapping[int, Migration] = MIGRATIONS, segment_bytes: int = SEGMENT_BYTES,
          log_disk: Disk | None = None) -> Upgraded:
    """Begins a new epoch with `rules` where the log ends. There must be a snapshot at its very end, made by the release that applied it. `load` makes a cell
    of migrated tables, `broken` names invariants that do not hold in it. Raises WrongRelease, Damaged, DiskError; nothing of it counts before the entry that
    decides is durable."""
    old = current(disk, directory)
    if old.rules >= rules:
        raise WrongRelease(f"the log is applied by rules {old.rules} already, and this release has {rules}: there is nothing to upgrade")
    log = Journal.open(log_disk or disk, f"{directory}/log", cell=number, segment_bytes=segment_bytes)
    try:
        results = Results.open(disk, f"{directory}/results", cell=number)
        end = log.position
        found, _ = newest_state(disk, directory, old)
        if found is None or found.manifest.sequence != end.sequence or results.position.sequence != end.sequence:
            raise WrongRelease(f"the log ends at sequence {end.sequence}, its results at {results.position.sequence}, its newest snapshot at "
                               f"{found.manifest.sequence if found else 0}: run `cambist upgrade` by the release of rules {old.rules} first, so that they meet")
        cell = load(migrate(found.tables, layout, migrations))
        tables = cell.tables()
        if faults := broken(tables):
            raise WrongRelease(f"the migrated state breaks {len(faults)} invariants, the first: {faults[0]}")
        after = state_hash(tables).hex()
        place = f"{directory}/{FOLDER}/{old.number + 1:010d}"
        snapshot.save(disk, place, tables, position=end, cell=number, results_hash=results.position.hash, fingerprint=cell.fingerprint)
        snapshot.load(disk, f"{place}/snapshot-{end.sequence:020d}")
        decision = NewEpoch(epoch=old.number + 1, rules=rules, release=release, state_before=found.manifest.state_hash, state_after=after, by=by, why=why)
        results.roll()                          # what was told in older epochs is in files of its own, which are never cut
        log.append_many((decided(decision, cell=number, epoch=old.number + 1, position=end, results_hash=results.position.hash,
                                 fingerprint=cell.fingerprint, ticker=ticker),), essential=True)
        results.close()
    finally:
        log.close()
    return Upgraded(old.number + 1, rules, end.sequence + 1, decision.state_before, after)
