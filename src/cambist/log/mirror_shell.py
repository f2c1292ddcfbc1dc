"""The journal's mirror on a real machine: both sides are synced at the same time, the second by a thread of its own.

Decides only that overlap, and where a directory's mirror is noted. What the two sides mean is `mirror.py`.
"""
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cambist.log.disk import DiskError, DiskMissing
from cambist.log.disk_shell import RealDisk
from cambist.log.mirror import Compared, heal
from cambist.log.pair import Copy
from cambist.log.results import ResultsReader, results_names
from cambist.log.segment import Damaged
from cambist.log.snapshot import snapshot_names
from cambist.log.witness import known

NOTE = "mirror-of-the-log"                     # a line of text in the house's directory: where the mirror was when the node last ran


class AtOnce:
    """Runs two calls at the same time; raises what the first raised, or else the second, when both are over."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "mirror")

    def __call__(self, first: Callable[[], None], second: Callable[[], None]) -> None:
        running = self._pool.submit(second)
        try:
            first()
        finally:
            failed = running.exception()        # also waits
        if failed is not None:
            raise failed


def mirror_copy(path: str) -> Copy | None:
    """The second place, or None for no mirror."""
    return Copy(RealDisk(), path) if path else None


def on_one_device(directory: str, mirror: str) -> bool:
    """Whether both are on the same device, so that they may be lost together. Neither has to be there yet."""
    return os.stat(_there(directory)).st_dev == os.stat(_there(mirror)).st_dev


def _there(path: str) -> Path:
    found = Path(path).absolute()
    while not found.exists():
        found = found.parent
    return found


def note_mirror(directory: Path, mirror: str) -> None:
    """Keeps where the mirror is, for those who look at a directory whose log cannot be read; an empty path takes the note away."""
    note = directory / NOTE
    if mirror:
        note.write_text(f"{mirror}\n")
    else:
        note.unlink(missing_ok=True)


def noted_mirror(directory: Path) -> str:
    """Where the mirror was when the node last ran; empty for none."""
    note = directory / NOTE
    return note.read_text().strip() if note.exists() else ""


class NoMirror(DiskError):
    """Nothing to heal from."""
    def __init__(self, directory: str):
        super().__init__(f"{directory} has no mirror that is known here; say where it is with --mirror, or restore the log from a replica")


def heal_directory(directory: Path, mirror: str) -> Compared:
    """Log and mirror made equal, every byte of both read. `mirror` empty: where it was when the node last ran. Raises NoMirror, DiskLocked, Damaged."""
    there = mirror_copy(mirror or noted_mirror(directory))
    if there is None:
        raise NoMirror(str(directory))
    disk = RealDisk()
    names = snapshot_names(disk, f"{directory}/snapshots")
    witness = known(disk, str(directory), snapshot=int(names[-1][-20:]) if names else 0, results=_results_reach(disk, str(directory)))
    return heal(Copy(disk, f"{directory}/log"), there, witness)


def _results_reach(disk: RealDisk, directory: str) -> int:
    """The last sequence that whole results tell of."""
    reached = 0
    try:
        for kept in ResultsReader(disk, f"{directory}/results").read(last_begun(disk, f"{directory}/results")):
            reached = kept.last_sequence
    except (Damaged, DiskMissing):
        return reached
    return reached


def last_begun(disk: RealDisk, directory: str) -> int:
    """The first sequence of the newest results file."""
    names = results_names(disk, directory)
    return int(names[-1][8:28]) if names else 1
