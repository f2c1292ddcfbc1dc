"""A real process appends and is killed, again and again: what it printed as acknowledged is in the journal."""
import random
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from cambist.log.disk_shell import RealDisk
from cambist.log.journal import Journal, verify
from cambist.log.replay import Replay

from tests.log.entries import CELL

ROOT = Path(__file__).resolve().parents[2]
APPEND = """
import sys
from cambist.log.disk_shell import RealDisk
from cambist.log.journal import Journal
from tests.log.entries import CELL, entry_after
journal = Journal.open(RealDisk(), sys.argv[1], cell=CELL, segment_bytes=65536)
while True:
    batch, position = [], journal.position
    for count in (3, 40, 1):
        batch.append(entry_after(position, count, committed=journal.committed()))
        position = position.after(batch[-1])
    journal.append_many(batch)
    print(journal.committed(), flush=True)
"""


@pytest.mark.process
def test_what_a_killed_process_acknowledged_is_there(tmp_path):
    acknowledged, rng, directory = 0, random.Random(3), str(tmp_path / "log")
    for _ in range(12):
        child = subprocess.Popen([sys.executable, "-c", APPEND, directory], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        first = child.stdout.readline()
        time.sleep(rng.random() * 0.3)
        child.kill()
        lines = [first, *child.communicate()[0].splitlines(keepends=True)]
        acknowledged = max([acknowledged, *(int(line) for line in lines if line.endswith("\n"))])
        found = verify(RealDisk(), directory)
        assert not [finding for finding in found.findings if not finding.torn]
        journal = Journal.open(RealDisk(), directory, cell=CELL, segment_bytes=65536)
        assert journal.committed() >= acknowledged > 0
        if rng.random() < 0.5:
            journal.close()
        else:
            journal._release()
    sequences = [(entry.first_sequence, entry.last_sequence) for chunk in Replay(RealDisk(), directory, unproven=True).chunks() for entry in chunk]
    assert sequences[0][0] == 1 and all(a[1] + 1 == b[0] for a, b in pairwise(sequences))
