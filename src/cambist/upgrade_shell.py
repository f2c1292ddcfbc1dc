"""`cambist upgrade`: the directory of a house brought to this release, or made ready for the next one.

Decides which of the two it is, and from which parts a cell and a log are made. When a new epoch may begin is `epochs.py`.
"""
import getpass
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cambist.changes import running_design
from cambist.core.tables import VERSION
from cambist.design import read_design
from cambist.epochs import MIGRATIONS, RULES, Migration, WrongRelease, begin, current
from cambist.log import snapshot
from cambist.log.disk_shell import RealDisk
from cambist.log.mirror_shell import AtOnce, mirror_copy, noted_mirror
from cambist.log.pair import Copy, PairDisk
from cambist.node import close_node, open_node
from cambist.run import makers, storing, ticker
from cambist.simulation.invariants import invariants
from cambist.warm import warm


def upgrade(directory: Path, release: str, say: Callable[[str], None], *, rules: int = RULES, migrations: Mapping[int, Migration] = MIGRATIONS) -> int:
    """0 when the directory is as it should be afterwards. Raises WrongRelease, Damaged, DiskError, DiskLocked (a node runs)."""
    disk, place = RealDisk(), str(directory)
    running = running_design(disk, place)
    if running is None:
        raise WrongRelease(f"{directory} holds no log that was started; there is nothing to upgrade")
    design, now = read_design(running.text, "the running design"), current(disk, place)
    warm(say)
    if now.rules == rules:
        sequence = settle(disk, place, say, number=design.cell.number, ticker=ticker(design), rules=rules, mirror=noted_mirror(directory), **makers(design))
        say(f"epoch {now.number}, rules {rules}: log, results and a snapshot meet at sequence {sequence}; a later release can begin its epoch there")
        return 0

    def broken(tables: Any) -> list[str]:
        return list(invariants(tables))

    mirror, load = mirror_copy(noted_mirror(directory)), makers(design)["load"]
    done = begin(disk, place, number=design.cell.number, load=load, broken=broken, ticker=ticker(design), release=release,
                 by=getpass.getuser(), why=f"rules {now.rules} to {rules}", layout=VERSION, rules=rules, migrations=migrations,
                 log_disk=PairDisk(Copy(disk, f"{place}/log"), mirror, AtOnce()) if mirror else None)
    say(f"epoch {done.epoch} begins at sequence {done.sequence} with rules {done.rules}; state {done.state_before[:16]} became {done.state_after[:16]}")
    return 0


def settle(disk: RealDisk, directory: str, say: Callable[[str], None], *, number: int, ticker: int, rules: int, mirror: str, fresh: Callable[[], Any],
           load: Callable[[Any], Any]) -> int:
    """Opens the node, which applies all there is, and saves the state at the very end of the log. The sequence."""
    node = open_node(disk, directory, number=number, ticker=ticker, rules=rules, say=say, fresh=fresh, load=load, **storing(mirror))
    try:
        snapshot.save(disk, f"{directory}/snapshots", node.cell.tables(), position=node.log.position, cell=number, results_hash=node.results.position.hash,
                      fingerprint=node.cell.fingerprint)
        return node.cell.sequence
    finally:
        close_node(node)
