"""Streams: what each recipient is told, as functions of the results and of nothing else.

Decides which events belong to a stream, what of them is shown, and their numbers: contiguous from 1 in every stream, the same after a restart. It must
not know who listens, how fast, or how results are kept; it is handed a function that reads them back.

    all           every event with its log sequence, for the house
    account n     the events of that account; the log sequence is taken out, because it would tell each how busy the others are
    public        references, levels, sessions, auctions and changed terms (account 0), and trades: of each trade one event, with price, quantity, instrument,
                  side and match only, and AUCTION where it is of an auction, which has no taker and so no side

Every event comes with the log time of its entry.

Memory: a ring of recent blocks, and marks (number -> sequence of a block) close enough that finding any number reads at most MARK_BLOCKS blocks. A block
is the events of one entry.
"""
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from cambist.door.protocol import Unreadable
from cambist.feeds.sorting import ALL, INDEX, PUBLIC, deal, give, show, survey
from cambist.messages import EVENT
from cambist.rows import copied, joined

MARK_EVENTS, MARK_BLOCKS = 1024, 256                    # a stream gets a mark at least this often, wherever it has events
RING_EVENTS, RING_BLOCKS = 1 << 17, 4096                # recent results kept in memory: 12 MiB and their index
MAX_BATCH = 1 << 13                                     # events in one read
LAYOUT = 1                                              # of the tables that a snapshot of the numbering has
KEPT = ("count", "mark_number", "mark_ordinal", "newest_number", "newest_ordinal")
NOTHING = np.empty(0, EVENT)
NO_TIMES = np.empty(0, np.int64)

Results = Callable[[int], Iterable[tuple[int, int, int, np.ndarray]]]    # sequence -> (first, last, time, events) of its entry and every later one


def account_row(account: int) -> int:
    """The stream of an account, which is 1 or more."""
    if account < 1:
        raise ValueError(f"account {account} has no stream; accounts are numbered from 1")
    return account + 1


class Batch(NamedTuple):
    first: int                                          # number of the first event; of the next one when there is none
    position: int                                       # the stream is complete up to this log sequence
    events: np.ndarray
    times: np.ndarray                                   # int64, ns: the log time of each event
    more: bool                                          # the last event's entry goes on in the next batch


class Block:
    """The events of one entry: what is public of them, and by account where they are."""
    __slots__ = ("first", "last", "time", "events", "public", "rows", "_starts", "_order")

    def __init__(self, first: int, last: int, time: int, events: np.ndarray, public: np.ndarray, rows: np.ndarray, starts: np.ndarray, order: np.ndarray):
        self.first, self.last, self.time, self.events, self.public = first, last, time, events, public
        self.rows, self._starts, self._order = rows, starts, order

    def of(self, row: int) -> np.ndarray:
        """What this block gives to a stream."""
        if row == ALL:
            return self.events
        if row == PUBLIC:
            return self.public
        start, end = self._run(row)
        if start == end:
            return NOTHING
        mine = self._order[start:end]
        told = np.empty(len(mine), EVENT)
        give(self.events, mine, told)
        return told

    def count(self, row: int) -> int:
        """How many events of a stream it has."""
        if row in (ALL, PUBLIC):
            return len(self.events) if row == ALL else len(self.public)
        start, end = self._run(row)
        return end - start

    def _run(self, row: int) -> tuple[int, int]:
        """From where to where in the order an account's events are."""
        at = int(self.rows.searchsorted(row))
        if at == len(self.rows) or self.rows[at] != row:
            return 0, 0
        return int(self._starts[at]), int(self._starts[at + 1])


class Sorter:
    """Makes blocks, and keeps what is known of every stream. The arrays it works in are its own and grow with the largest entry."""
    def __init__(self) -> None:
        self.index = np.zeros(64, INDEX)
        self._found, self._touched, self._public, self._due = np.zeros(3, np.int64), *(np.zeros(0, np.int64) for _ in range(3))

    def block(self, first: int, last: int, time: int, events: np.ndarray, ordinal: int = 0) -> tuple[Block, np.ndarray]:
        """The block, and for each of its rows the number at which a mark is due, or 0."""
        count = len(events)
        if count + 2 > len(self._touched):
            self._touched, self._public, self._due = (np.zeros(2 * count + 2, np.int64) for _ in range(3))
        if not events.flags.writeable or not events.flags.c_contiguous:
            events = copied(np.ascontiguousarray(events))       # one version of each loop is compiled
        survey(events, self.index, self._touched, self._public, self._found)
        touched, shown, beyond = self._found.tolist()
        if beyond:
            self._forget(touched)
            self.grow(beyond)
            return self.block(first, last, time, events, ordinal)
        rows = self._touched[:touched].copy()
        rows.sort()
        starts, order, public = np.empty(touched + 1, np.int64), np.empty(count, np.int64), NOTHING
        due = self._due[:touched]
        deal(events, self.index, rows, starts, order, due, ordinal, MARK_EVENTS, MARK_BLOCKS)
        if shown:
            public = np.zeros(shown, EVENT)
            show(events, self._public[:shown], public)
        return Block(first, last, time, events, public, rows, starts, order), due

    def grow(self, row: int) -> None:
        grown = np.zeros(max(2 * len(self.index), row + 1), INDEX)
        grown[:len(self.index)] = self.index
        self.index = grown

    def _forget(self, touched: int) -> None:
        self.index["tally"][self._touched[:touched]] = 0


class Streams:
    """Every stream of one cell. `add` each block once, in order; `read` any number of any stream."""
    def __init__(self, results: Results, ring_events: int = RING_EVENTS, ring_blocks: int = RING_BLOCKS):
        self.position = 0                               # the log sequence that has been added
        self._results, self._most_events, self._most_blocks = results, ring_events, ring_blocks
        self._ring: list[Block] = []
        self._ring_events = 0
        self._ordinal = 0                               # blocks with events so far; that of the newest
        self._marks: dict[int, tuple[array, array]] = {}    # row -> numbers, sequences
        self._sorter, self._aside = Sorter(), Sorter()  # of what is added; of what is read back, whose numbers nobody asks for

    def add(self, first: int, last: int, time: int, events: np.ndarray) -> np.ndarray:
        """Takes the events of the entry `first`..`last`; returns the rows of the streams that grew."""
        if first != self.position + 1:
            raise ValueError(f"results from sequence {first} after {self.position}: a gap")
        self.position = last
        if not len(events):
            return np.empty(0, np.int64)
        self._ordinal += 1
        block, due = self._sorter.block(first, last, time, events, self._ordinal)
        for at in due.nonzero()[0].tolist():
            self._mark(int(block.rows[at]), int(due[at]), first)
        self._remember(block)
        return block.rows

    def read_on(self, reach: int | None = None) -> None:
        """Adds what the results have more, up to their end or to sequence `reach`: every stream gets the numbers it had."""
        for first, last, time, events in self._results(self.position + 1):
            if reach is not None and last > reach:
                return
            self.add(first, last, time, copied(events))         # a copy, for a view would keep the whole of what was read

    def tables(self) -> dict[str, tuple[int, tuple[str, ...], np.ndarray]]:
        """What must be known to go on numbering, as tables of a snapshot: the place, every stream, every mark. Not what is in the ring."""
        index = self._sorter.index
        rows = np.nonzero(index["count"])[0]
        marks = [np.stack([np.full(len(numbers), row), np.array(numbers), np.array(sequences)], axis=1)
                 for row, (numbers, sequences) in sorted(self._marks.items())]
        return {"place": (LAYOUT, ("position", "ordinal"), np.array([[self.position, self._ordinal]], np.int64)),
                "streams": (LAYOUT, ("row", *KEPT), np.stack([rows, *(index[name][rows] for name in KEPT)], axis=1)),
                "marks": (LAYOUT, ("row", "number", "sequence"), np.concatenate([np.zeros((0, 3), np.int64), *marks]))}

    def resume(self, tables: Mapping[str, tuple[int, tuple[str, ...], np.ndarray]]) -> None:
        """Goes on where another stood when it gave these; only before anything was added. Raises ValueError for tables of another layout."""
        for name, (version, columns, _) in self.tables().items():
            if name not in tables or tables[name][:2] != (version, columns):
                raise ValueError(f"streams table {name!r} is not of version {version} with columns {', '.join(columns)}")
        (self.position, self._ordinal), = tables["place"][2].tolist()
        rows = tables["streams"][2]
        if len(rows):
            self._sorter.grow(int(rows[-1, 0]))
        for i, name in enumerate(KEPT, 1):
            self._sorter.index[name][rows[:, 0]] = rows[:, i]
        for row, number, sequence in tables["marks"][2].tolist():
            self._mark(row, number, sequence)

    def last_number(self, row: int) -> int:
        index = self._sorter.index
        return int(index["count"][row]) if row < len(index) else 0

    def read(self, row: int, number: int, limit: int = MAX_BATCH) -> Batch:
        """From `number` on, at most `limit` events; empty at the stream's end. Raises ValueError for a number that is not yet the next, Unreadable where the
        results are damaged."""
        last = self.last_number(row)
        if not 1 <= number <= last + 1:
            raise ValueError(f"number {number} of a stream that stands at {last}")
        if number == last + 1:
            return Batch(number, self.position, NOTHING, NO_TIMES, False)
        limit = min(limit, MAX_BATCH)
        parts, stamps, taken = [], [], 0
        at, blocks = self._from(row, number)
        for walked, block in enumerate(blocks, 1):
            part = block.of(row)
            fresh = part[max(number - at, 0):]
            at += len(part)
            if taken + len(fresh) > limit:
                parts.append(fresh[:limit - taken])
                stamps.append(block.time)
                return _batch(number, block.first - 1, parts, stamps, more=True)
            if len(fresh):
                parts.append(fresh)
                stamps.append(block.time)
                taken += len(fresh)
            if taken and (walked >= MARK_BLOCKS or taken == limit):
                break
        if not parts:
            raise Unreadable(f"events from number {number} on were told and are in the results no more")
        complete = self.position if number + taken > last else block.last
        return _batch(number, complete, parts, stamps, more=False)

    # ------------------------------------------------------------------------------------------------------------------------------- inside
    def _mark(self, row: int, number: int, sequence: int) -> None:
        numbers, sequences = self._marks.setdefault(row, (array("q"), array("q")))
        numbers.append(number)
        sequences.append(sequence)

    def _remember(self, block: Block) -> None:
        self._ring.append(block)
        self._ring_events += len(block.events)
        drop = 0
        while len(self._ring) - drop > 1 and (self._ring_events > self._most_events or len(self._ring) - drop > self._most_blocks):
            self._ring_events -= len(self._ring[drop].events)
            drop += 1
        del self._ring[:drop]

    def _from(self, row: int, number: int) -> tuple[int, Iterable[Block]]:
        """Blocks from one at or before the one that holds `number`, and the number its first event of this stream has."""
        known = self._sorter.index[row]
        at, first = len(self._ring) - 1 - (self._ordinal - int(known["newest_ordinal"])), int(known["newest_number"])
        for _ in range(min(at, MARK_BLOCKS)):           # the usual case: a reader that keeps up, or nearly
            if number >= first:
                break
            at -= 1
            first -= self._ring[at].count(row)
        if number >= first and at >= 0:
            return first, self._ring[at:]
        numbers, sequences = self._marks[row]
        mark = bisect_right(numbers, number) - 1
        return numbers[mark], self._blocks(sequences[mark])

    def _blocks(self, sequence: int) -> Iterator[Block]:
        """From the block that holds `sequence` on: out of the ring if it reaches back that far, else read back."""
        if self._ring and self._ring[0].first <= sequence:
            yield from self._ring[bisect_right(self._ring, sequence, key=lambda block: block.first) - 1:]
            return
        for first, last, time, events in self._results(sequence):
            if first > self.position:                   # already in the journal, not yet told
                return
            if len(events):
                yield self._aside.block(first, last, time, events)[0]


def _batch(number: int, position: int, parts: list[np.ndarray], stamps: list[int], more: bool) -> Batch:
    """Parts of blocks, and the time of each block."""
    events = parts[0] if len(parts) == 1 else joined(parts, EVENT)
    return Batch(number, position, events, np.repeat(np.array(stamps, np.int64), [len(part) for part in parts]), more)
