"""The scrub: everything of the log that is no longer written is read again, a file at a time, so that rot is found while the other copy is still good.

Decides which file is next, how long to wait before it, and what is healed. Must not know a clock (times are handed in) nor who is told. A closed segment is
never written again by the node, so it may be healed while the node runs; the open one is compared at each start.
"""
from collections import deque

from cambist.log.disk import Disk, DiskError
from cambist.log.journal import Finding, segment_names
from cambist.log.mirror import mend
from cambist.log.pair import Copy
from cambist.log.results import check_results_file, results_names
from cambist.log.segment import Damaged, Position, examine

EVERY_NS = 24 * 3_600_000_000_000              # a round begins so often
BYTES_PER_SECOND = 32 << 20                    # read of all copies together
NS_PER_SECOND = 1_000_000_000


class Scrub:
    """Rounds over the closed segments of a log, of its mirror, and over the closed results. `step` it now and then; one file in each step."""

    def __init__(self, disk: Disk, directory: str, mirror: Copy | None = None, *, cell: int | None = None, every_ns: int = EVERY_NS,
                 bytes_per_second: int = BYTES_PER_SECOND):
        self._log, self._results, self._mirror, self._cell = Copy(disk, f"{directory}/log"), f"{directory}/results", mirror, cell
        self._every_ns, self._speed = every_ns, bytes_per_second
        self._waiting: deque[tuple[bool, str]] = deque()        # whether it is a segment of the log, and its name
        self._began = self._due = -1
        self._number: int | None = None
        self._before: Position | None = None
        self.rounds = self.files = 0                            # ended; read

    def step(self, now: int) -> list[Finding]:
        """Reads the next file if it is time, and gives what was wrong with it, healed or not. `now` in ns of a clock that never goes back."""
        if not self._waiting:
            if self._began >= 0 and now - self._began < self._every_ns:
                return []
            self._began, self._number, self._before = now, None, None
            self._waiting.extend((True, name) for name in self._closed(segment_names(self._log.disk, self._log.directory)))
            self._waiting.extend((False, name) for name in self._closed(results_names(self._log.disk, self._results)))
            if not self._waiting:
                return []
        if now < self._due:
            return []
        of_log, name = self._waiting.popleft()
        self.files, self.rounds = self.files + 1, self.rounds + (not self._waiting)
        path = f"{self._log.directory if of_log else self._results}/{name}"
        try:
            nbytes, findings = self._segment(path) if of_log else self._kept(path)
        except (Damaged, DiskError) as fault:
            self._number = self._before = None
            nbytes, findings = 0, [fault_found(path, fault)]
        self._due = now + nbytes * NS_PER_SECOND // self._speed
        return findings

    @property
    def heals(self) -> bool:
        """Whether there is a mirror to heal from."""
        return self._mirror is not None

    def at_once(self, now: int) -> list[Finding]:
        """A round without waiting, or the rest of one: for who cannot go on before it is healed."""
        found, rounds, self._began = [], self.rounds, -1 if not self._waiting else self._began
        while True:
            self._due = now
            found += self.step(now)
            if self.rounds > rounds or not self._waiting:
                return found

    def _segment(self, path: str) -> tuple[int, list[Finding]]:
        if self._mirror:
            merged, nbytes = mend(self._log, self._mirror, path.rpartition("/")[2], cell=self._cell, number=self._number, before=self._before)
            header, after, findings = merged.header, merged.after, list(merged.findings)
        else:
            file = self._log.disk.open(path)
            try:
                nbytes = file.size()
                found = examine(file, path, cell=self._cell, number=self._number, before=self._before, last=False)
                header, after, findings = found.header, found.after, []
            finally:
                file.close()
        self._number, self._before = header.number + 1, after
        return nbytes, findings

    def _kept(self, path: str) -> tuple[int, list[Finding]]:
        return check_results_file(self._log.disk, path, cell=self._cell), []

    @staticmethod
    def _closed(names: list[str]) -> list[str]:
        return names[:-1]


def fault_found(path: str, fault: Damaged | DiskError) -> Finding:
    """A finding that was not healed."""
    if isinstance(fault, Damaged):
        return Finding(fault.file, fault.offset, fault.sequence, fault.what)
    return Finding(path, 0, int(path[-24:-4]), str(fault))
