"""The market behind the simulated venues, in real time: made up, or recorded and played again.

Decides which book comes when. It must not know a clock or a file: a start is handed in, and each book carries the time at which it is due.
"""
import itertools
import statistics
from collections.abc import Callable, Iterator

from msgspec.structs import replace

from cambist.simulation.house import wandering
from cambist.venues.venue import BookUpdate, Terms

MS, SECOND = 1_000_000, 1_000_000_000
MADE_EVERY_NS = 250 * MS
SLOWEST_NS = 250 * MS                           # a recording with longer gaps is played faster, so that its prices are never stale
LOOKED_AT = 64                                  # books whose gaps say how slow a recording is
AGAIN_NS = 1 * SECOND                           # between the end of a recording and its beginning


def made(terms: Terms, mid: int, seed: int, start: int) -> Iterator[BookUpdate]:
    """Without end: a market that wanders from `mid`."""
    return wandering(terms, mid // terms.book_tick * terms.book_tick, seed, start, every_ns=MADE_EVERY_NS)


def played(record: Callable[[], Iterator[BookUpdate]], start: int) -> Iterator[BookUpdate]:
    """Without end: a recording from its beginning, again and again, shifted to `start`, at its own pace unless that is slower than SLOWEST_NS."""
    while True:
        books = record()
        first = list(itertools.islice(books, LOOKED_AT))
        if len(first) < 2:
            raise ValueError(f"a recording of {len(first)} books is none: 2 at least")
        gap = statistics.median(after.time - before.time for before, after in itertools.pairwise(first))
        speed = max(1.0, gap / SLOWEST_NS)
        origin, at = first[0].time, start
        for book in itertools.chain(first, books):
            at = start + int((book.time - origin) / speed)
            yield replace(book, time=at)
        start = at + AGAIN_NS


def middle(book: BookUpdate) -> int:
    """In price increments; 0 where a side is empty."""
    return (book.bids[0][0] + book.asks[0][0]) // 2 if book.bids and book.asks else 0
