"""A core that dies in some commands, and the trial that finds which: what `trial_shell.py` does with a child process, in one thread.

Decides that a command whose decider is POISON is one the core does not survive, unless a decision left it out. It must not know who sends it.
"""
from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from cambist.log.entry import Entry
from cambist.messages import NUMBERED, SKIPPED
from cambist.poison import Died, commands_of
from cambist.simulation.faults import POISON


class Poisoned(Exception):
    """The core died in a command."""


class Brittle:
    """A cell that dies before it applies a poisoned entry."""
    def __init__(self, cell: Any) -> None:
        self._cell = cell

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cell, name)

    def run(self, records: np.ndarray, time: int) -> Iterable[np.ndarray]:
        if (at := Numbers(self._cell).first_poison(records)) >= 0:
            raise Poisoned(f"the core died in command {at + 1} of {len(records)}")
        return self._cell.run(records, time)


class Numbers:
    """How far each key has numbered its requests: the same number again is answered before the core comes to where it dies."""
    def __init__(self, cell: Any) -> None:
        self._cell, self._highest = cell, dict[int, int]()

    def look(self) -> Numbers:
        """As the cell has them now."""
        _, columns, rows = self._cell.tables(("actors",))["actors"]
        self._highest = dict(rows[:, [columns.index("actor"), columns.index("highest")]].tolist())
        return self

    def first_poison(self, records: np.ndarray) -> int:
        """Which of them it dies in, -1 for none. Those before it count as applied."""
        poisoned = (records["decider"] == POISON) & (records["flags"] & SKIPPED == 0)
        if not self._highest:
            if not poisoned.any():
                return -1
            self.look()
        for i in np.flatnonzero(records["flags"] & NUMBERED):
            actor, number = int(records["actor"][i]), int(records["id_lo"][i])
            if number == self._highest.get(actor, -2) + 1:
                if poisoned[i]:
                    return int(i)
                self._highest[actor] = number
        return -1


def try_entries(cell: Any, entries: Sequence[Entry], skipped: Collection[int]) -> Died | None:
    """Where the core would die, nothing applied."""
    if not any((commands_of(entry, skipped)["decider"] == POISON).any() for entry in entries):
        return None
    numbers = Numbers(cell).look()
    for entry in entries:
        if (at := numbers.first_poison(commands_of(entry, skipped))) >= 0:
            return Died(entry.first_sequence + at, "it dies in this command each time")
    return None


def brittle(makers: dict[str, Any]) -> dict[str, Any]:
    """Makers of cells that are brittle."""
    return {name: lambda *given, make=make: Brittle(make(*given)) for name, make in makers.items()}
