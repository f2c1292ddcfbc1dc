"""A core that dies in some commands, and the trial that finds which: what `trial_shell.py` does with a child process, in one thread.

Decides that a command whose decider is POISON is one the core does not survive, unless a decision left it out. It must not know who sends it.
"""
from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from cambist.core.cell import Cell
from cambist.log.entry import Entry
from cambist.messages import NUMBERED, SKIPPED
from cambist.poison import Died, commands_of
from cambist.simulation.faults import POISON


class Poisoned(Exception):
    """The core died in a command: the one at `at` of its entry."""
    def __init__(self, at: int, count: int) -> None:
        super().__init__(f"the core died in command {at + 1} of {count}")
        self.at = at


class Brittle:
    """A cell that dies before it applies a poisoned entry."""
    def __init__(self, cell: Any) -> None:
        self._cell = cell

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cell, name)

    def run(self, records: np.ndarray, time: int) -> Iterable[np.ndarray]:
        if (at := first_poison(self._cell, records)) >= 0:
            raise Poisoned(at, len(records))
        return self._cell.run(records, time)


def first_poison(cell: Any, records: np.ndarray) -> int:
    """Which of them the cell as it stands dies in, -1 for none. The same number again is answered before the core comes to where it dies."""
    poisoned = (records["decider"] == POISON) & (records["flags"] & SKIPPED == 0)
    if not poisoned.any():
        return -1
    _, columns, rows = cell.tables(("actors",))["actors"]
    highest = dict(rows[:, [columns.index("actor"), columns.index("highest")]].tolist())
    for i in np.flatnonzero(records["flags"] & NUMBERED):
        actor, number = int(records["actor"][i]), int(records["id_lo"][i])
        if number == highest.get(actor, -2) + 1:
            if poisoned[i]:
                return int(i)
            highest[actor] = number
    return -1


def try_entries(cell: Any, entries: Sequence[Entry], skipped: Collection[int]) -> Died | None:
    """Where the core would die, nothing applied: a copy of it tries."""
    if not any((commands_of(entry, skipped)["decider"] == POISON).any() for entry in entries):
        return None
    copy = Brittle(Cell.load(cell.tables(), cell.sizes))
    for entry in entries:
        try:
            for _ in copy.run(commands_of(entry, skipped), entry.time):
                pass
        except Poisoned as death:
            return Died(entry.first_sequence + death.at, "it dies in this command each time")
    return None


def brittle(makers: dict[str, Any]) -> dict[str, Any]:
    """Makers of cells that are brittle."""
    return {name: lambda *given, make=make: Brittle(make(*given)) for name, make in makers.items()}
