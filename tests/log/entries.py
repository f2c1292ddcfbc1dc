"""Entries and chains for the tests of the log: small, deterministic, and honest about what is committed."""
import random

from cambist.log.entry import GENESIS, Entry, SideSection, seal
from cambist.log.segment import Position
from cambist.messages import RECORD_BYTES

CELL = 7
FINGERPRINT, RESULTS = bytes(range(32)), bytes(range(32, 64))


def entry_after(position: Position, count: int = 1, *, side: bytes = b"", fill: bytes = b"", cell: int = CELL, committed: int | None = None,
                epoch: int | None = None, time: int | None = None) -> Entry:
    first = position.sequence + 1
    records = fill or random.Random(first).randbytes(count * RECORD_BYTES)
    return seal(cell=cell, epoch=position.epoch if epoch is None else epoch, first_sequence=first, time=position.time + 1000 if time is None else time,
                committed=position.sequence if committed is None else committed, previous_hash=position.hash, fingerprint=FINGERPRINT,
                results_hash=RESULTS, records=records, side=side)


def chain(length: int, *, seed: int = 0, position: Position | None = None, max_count: int = 5, committed: int | None = None) -> list[Entry]:
    rng, position, entries = random.Random(seed), position or Position(), []
    for _ in range(length):
        section = SideSection()
        for _ in range(rng.randrange(3)):
            section.add(rng.randbytes(rng.randrange(40)))
        entries.append(entry_after(position, rng.randint(1, max_count), side=bytes(section), committed=committed))
        position = position.after(entries[-1])
    return entries


__all__ = ["CELL", "FINGERPRINT", "GENESIS", "RESULTS", "chain", "entry_after"]
