"""A core that dies in one command, planted where only a test reaches: a cell of a class of its own, in the test's process or in a node that a test starts."""
import os
import signal
from collections.abc import Iterator

import numpy as np

from cambist.core.cell import Cell
from cambist.messages import SKIPPED

POISON = 0x7EA5_DEAD                            # the lower half of the id of a command in which it dies


class Dead(RuntimeError):
    """It died, where the test's own process must not."""


class PoisonedCell(Cell):
    """Applies what comes before the command, half of what it means, and dies. A command that is skipped is harmless."""
    still_dies_when_skipped = False

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)

    def run(self, records: np.ndarray, time: int, batch: int = 1 << 30) -> Iterator[np.ndarray]:
        poison = records["id_lo"] == POISON
        if not self.still_dies_when_skipped:
            poison &= records["flags"] & SKIPPED == 0
        if poison.any():                                # asked again it is a duplicate, and no core dies of those
            answered = self.tables(("answers",))["answers"][2][:, 1:3].tolist()
            poison &= [[hi, lo] not in answered for hi, lo in zip(records["id_hi"].tolist(), records["id_lo"].tolist(), strict=True)]
        if poison.any():
            first = int(poison.argmax())
            if first:
                yield from super().run(records[:first], time, batch)
            self.state["matches"][0] += 1
            self.die()
        yield from super().run(records, time, batch)


class RaisingCell(PoisonedCell):
    """The same, as an exception."""
    def die(self) -> None:
        raise Dead("half of it was done")


class StubbornCell(RaisingCell):
    still_dies_when_skipped = True


class HangingCell(PoisonedCell):
    def die(self) -> None:
        while True:
            signal.pause()
