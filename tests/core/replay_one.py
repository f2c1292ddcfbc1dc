"""One recorded flow applied in a process of its own: `python -m tests.core.replay_one <folder> <batch> <events>` prints two hashes and how often it parked."""
import hashlib
import sys
from pathlib import Path

import numpy as np

from cambist.core.cell import Cell
from cambist.log.snapshot import state_hash
from cambist.messages import COMMAND
from cambist.warm import warm
from tests.core.world import SIZES


def apply_all(folder: Path, batch: int, events: int) -> tuple[str, str, int]:
    """Hash of the state, hash of every event's bytes, and how often a taker was parked for want of room."""
    cell, results, parked = Cell({**SIZES, "events": events}), hashlib.sha256(), 0
    times = np.load(folder / "times.npy")
    for i, time in enumerate(times.tolist()):
        for part in cell.run(np.load(folder / f"{i}.npy").view(COMMAND), time, batch):
            results.update(part.tobytes())
            parked += int(cell.table["taker"]["active"][0])
    return state_hash(cell.tables()).hex(), results.hexdigest(), parked


if __name__ == "__main__":
    warm()
    print(*apply_all(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
