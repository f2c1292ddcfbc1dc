"""Makes tests/golden/*.zip: once for each release, when its rules are final (`python -m tools.make_golden` from the checkout, uncompiled or not).

A golden house of a release is never made again by a later one. Until the first release is out, that of the present rules is renewed with each change of them.
"""
import os

os.environ.setdefault("NUMBA_DISABLE_JIT", "1")

from cambist.core.tables import VERSION
from cambist.epochs import RULES
from cambist.follower import Follower
from cambist.inspection import replay
from cambist.log.snapshot import save
from cambist.node import close_node

from tests.golden.house import OLDER, keep_golden, to_older
from tests.log.crash_disk import CrashDisk
from tests.process.house_on_disk import DESIGN, SIZES, begun, fresh_cell
from tests.test_node_crash import day

STEPS = 9


def main() -> None:
    disk = CrashDisk()
    node = begun(disk)
    for step in day()[:STEPS]:
        if node.submit(step.records):
            raise RuntimeError("the house refused its own day")
        node.step(step.now)
    close_node(node)
    follower = Follower(disk, "house", number=DESIGN.cell.number, fresh=fresh_cell, load=lambda tables: type(fresh_cell()).load(tables, SIZES))
    follower.step(0)
    found = replay(disk, "house", fresh_cell(), lambda: 0)
    facts = {"rules": RULES, "layout": VERSION, "sizes": SIZES, "state": found.state_hash, "results": found.results_hash, "log": found.log_hash,
             "sequence": found.sequence, "entries": found.entries}
    print(keep_golden(f"rules-{RULES}", disk, facts))
    older = CrashDisk()
    save(older, "house/snapshots", to_older(node.cell.tables()), position=node.log.position, cell=DESIGN.cell.number,
         results_hash=node.results.position.hash, fingerprint=node.cell.fingerprint)
    print(keep_golden(OLDER, older, facts | {"layout": 0}))


if __name__ == "__main__":
    main()
