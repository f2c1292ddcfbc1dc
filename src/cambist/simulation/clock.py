"""The virtual clock: one number that only the simulator moves, and a wall clock that may be wrong about it.

Decides nothing. Time passes when the loop has nothing left to do at this moment, or while a storage call takes its time: then everything else is late, as it
would be on one thread.
"""

START_NS = 1_700_000_000 * 1_000_000_000
SECOND = 1_000_000_000


class VirtualClock:
    """`now` is monotonic, ns; `wall()` is what programs believe the time to be."""
    def __init__(self, start: int = START_NS) -> None:
        self.now = 0
        self.offset = start

    def monotonic(self) -> int:
        return self.now

    def wall(self) -> int:
        return self.now + self.offset

    def advance(self, ns: int) -> None:
        """Something took so long."""
        self.now += ns

    def reach(self, at: int) -> None:
        self.now = max(self.now, at)

    def jump(self, ns: int) -> None:
        """The wall clock is set, forwards or back."""
        self.offset += ns
