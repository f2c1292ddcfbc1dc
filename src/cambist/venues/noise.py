"""Noise: a seeded stream of draws for simulated venues.

Decides which number comes next after a seed, and nothing else. It must not know a clock, an entropy source, or what the
draws are for: the same seed gives the same venue on every machine and every release.

The generator is splitmix64 (Steele, Lea, Flood 2014), written out here so that no library's change can move a golden log.
"""

from __future__ import annotations

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15
PPM = 1_000_000


class Noise:
    """A stream of draws. Streams branched under different labels do not disturb one another."""

    __slots__ = ("_seed", "_state")

    def __init__(self, seed: int) -> None:
        self._seed = seed & _MASK
        self._state = self._seed

    def word(self) -> int:
        """The next 64 bits."""
        self._state = (self._state + _GAMMA) & _MASK
        return _mixed(self._state)

    def below(self, bound: int) -> int:
        """A draw from 0 to bound - 1, by multiply-and-shift: its bias is under bound / 2**64, which no test can see."""
        if bound <= 0:
            raise ValueError(f"a draw below {bound} does not exist: the bound must be 1 or more")
        return (self.word() * bound) >> 64

    def between(self, low: int, high: int) -> int:
        """A draw from low to high, both included."""
        if high < low:
            raise ValueError(f"a draw between {low} and {high} does not exist: the second must not be below the first")
        return low + self.below(high - low + 1)

    def happens(self, ppm: int) -> bool:
        """True in `ppm` of a million draws. It always draws, so that a changed rate does not shift later draws."""
        return self.below(PPM) < ppm

    def branch(self, label: int) -> Noise:
        """A stream of its own, fixed by this stream's seed and the label, whatever was drawn here before."""
        return Noise(_mixed(self._seed ^ _mixed((label + 1) * _GAMMA & _MASK)))


def _mixed(word: int) -> int:
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _MASK
    return word ^ (word >> 31)
