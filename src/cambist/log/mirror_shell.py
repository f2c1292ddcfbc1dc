"""The journal's mirror on a real machine: both sides are synced at the same time, the second by a thread of its own.

Decides only that overlap, and where a directory's mirror is noted. What the two sides mean is `mirror.py`.
"""
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cambist.log.disk_shell import RealDisk
from cambist.log.pair import Copy

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
