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
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from cambist.messages import EVENT, Event, Liquidity

MARK_EVENTS, MARK_BLOCKS = 1024, 256                    # a stream gets a mark at least this often, wherever it has events
RING_EVENTS, RING_BLOCKS = 1 << 17, 4096                # recent results kept in memory: 12 MiB and their index
MAX_BATCH = 1 << 13                                     # events in one read
ALL, PUBLIC = 0, 1                                      # rows of the index; account n is row n + 1, so account 0 has no stream of its own
NOTHING = np.empty(0, EVENT)
NO_TIMES = np.empty(0, np.int64)
# What of each public kind is shown: field by field, so that nothing is public because it was forgotten. A trade's account is taken out, the others have none.
PUBLIC_KINDS = {
    Event.REFERENCE: ("other", "price"), Event.LEVEL: ("side", "price", "quantity", "leaves"), Event.FILLED: ("side", "other", "price", "quantity"),
    Event.SESSION_CHANGED: ("id", "other", "price", "amount", "reason"), Event.INDICATIVE: ("price", "quantity", "amount"),
    Event.UNCROSSED: ("price", "quantity", "amount"), Event.TERMS_CHANGED: ("id", "price", "quantity", "other"), Event.DIGITS_CHANGED: ("id", "other")}
OF_NOBODY = np.zeros(1 << 8 * EVENT["kind"].itemsize, bool)     # by kind: public where no account is told
OF_NOBODY[[kind for kind in PUBLIC_KINDS if kind is not Event.FILLED]] = True

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
    """The events of one entry, and by account where they are."""
    __slots__ = ("first", "last", "time", "events", "public", "_accounts", "_order", "_starts")

    def __init__(self, first: int, last: int, time: int, events: np.ndarray):
        self.first, self.last, self.time, self.events = first, last, time, events
        self.public = to_public(events)
        self._accounts = None

    def by_account(self) -> tuple[np.ndarray, np.ndarray]:
        """The accounts it concerns but 0, ascending, and how many events each has."""
        named = self.events["account"]
        self._order = np.argsort(named, kind="stable")
        self._accounts, starts = np.unique(named[self._order], return_index=True)
        self._starts = np.append(starts, len(named))
        sizes, real = np.diff(self._starts), self._accounts > 0
        return self._accounts[real].astype(np.int64), sizes[real]

    def of(self, row: int) -> np.ndarray:
        """What this block gives to a stream."""
        if row == ALL:
            return self.events
        if row == PUBLIC:
            return self.public
        if self._accounts is None:
            return to_account(self.events[self.events["account"] == row - 1])
        at = int(np.searchsorted(self._accounts, row - 1))
        if at == len(self._accounts) or self._accounts[at] != row - 1:
            return NOTHING
        return to_account(self.events[self._order[self._starts[at]:self._starts[at + 1]]])


def to_account(mine: np.ndarray) -> np.ndarray:
    """An own copy of one account's events without the log's sequence, which DUPLICATE carries in `other` too: the view `answer` tells the rest."""
    mine = mine.copy()
    mine["sequence"] = 0
    mine["other"][mine["kind"] == Event.DUPLICATE] = 0
    return mine


def to_public(events: np.ndarray) -> np.ndarray:
    """What is of nobody as it is but for the sequence; of every trade the taker's or the asking client's side, without a trace of who it was."""
    kind = events["kind"]
    filled = kind == Event.FILLED
    seen = OF_NOBODY[kind] & (events["account"] == 0)
    if filled.any():
        # A quote's trade is told to the client first and to the dealer after, an auction's to the buyer first: the first of each match is told.
        paired = filled & ((events["liquidity"] == Liquidity.QUOTE) | (events["liquidity"] == Liquidity.AUCTION))
        again = np.zeros(len(events), bool)
        again[1:] = paired[1:] & paired[:-1] & (events["other"][1:] == events["other"][:-1])
        seen |= filled & (events["liquidity"] == Liquidity.TAKER) | paired & ~again
    if not seen.any():
        return NOTHING
    shown = events[seen]
    told = np.zeros(len(shown), EVENT)
    for field in ("kind", "instrument"):
        told[field] = shown[field]
    for public, fields in PUBLIC_KINDS.items():
        its = shown["kind"] == public
        for field in fields:
            told[field][its] = shown[field][its]
    of_auction = (shown["kind"] == Event.FILLED) & (shown["liquidity"] == Liquidity.AUCTION)
    told["liquidity"][of_auction] = Liquidity.AUCTION
    told["side"][of_auction] = 0
    return told


class Streams:
    """Every stream of one cell. `add` each block once, in order; `read` any number of any stream."""
    def __init__(self, results: Results, ring_events: int = RING_EVENTS, ring_blocks: int = RING_BLOCKS):
        self.position = 0                               # the log sequence that has been added
        self._results, self._most_events, self._most_blocks = results, ring_events, ring_blocks
        self._ring: list[Block] = []
        self._ring_events = 0
        self._ordinal = 0                               # blocks with events so far; that of the newest
        self._marks: dict[int, tuple[array, array]] = {}    # row -> numbers, sequences
        self._count, self._mark_number, self._mark_ordinal, self._newest_number, self._newest_ordinal = (np.zeros(64, np.int64) for _ in range(5))

    def add(self, first: int, last: int, time: int, events: np.ndarray) -> np.ndarray:
        """Takes the events of the entry `first`..`last`; returns the rows of the streams that grew."""
        if first != self.position + 1:
            raise ValueError(f"results from sequence {first} after {self.position}: a gap")
        self.position = last
        if not len(events):
            return np.empty(0, np.int64)
        block = Block(first, last, time, events)
        accounts, sizes = block.by_account()
        head = [ALL, PUBLIC] if len(block.public) else [ALL]
        rows = np.concatenate((np.array(head, np.int64), accounts + 1))
        self._number(block, rows, np.concatenate(([len(events), len(block.public)][:len(head)], sizes)))
        self._remember(block)
        return rows

    def last_number(self, row: int) -> int:
        return int(self._count[row]) if row < len(self._count) else 0

    def read(self, row: int, number: int, limit: int = MAX_BATCH) -> Batch:
        """From `number` on, at most `limit` events; empty at the stream's end. Raises ValueError for a number that is not yet the next."""
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
        complete = self.position if number + taken > last else block.last
        return _batch(number, complete, parts, stamps, more=False)

    # ------------------------------------------------------------------------------------------------------------------------------- inside
    def _number(self, block: Block, rows: np.ndarray, sizes: np.ndarray) -> None:
        if rows[-1] >= len(self._count):
            for name in ("_count", "_mark_number", "_mark_ordinal", "_newest_number", "_newest_ordinal"):
                old = getattr(self, name)
                grown = np.zeros(max(2 * len(old), int(rows[-1]) + 1), np.int64)
                grown[:len(old)] = old
                setattr(self, name, grown)
        self._ordinal += 1
        number = self._count[rows] + 1
        due = (number == 1) | (number - self._mark_number[rows] >= MARK_EVENTS) | (self._ordinal - self._mark_ordinal[rows] >= MARK_BLOCKS)
        for row, at in zip(rows[due].tolist(), number[due].tolist(), strict=True):
            numbers, sequences = self._marks.setdefault(row, (array("q"), array("q")))
            numbers.append(at)
            sequences.append(block.first)
        self._mark_number[rows[due]], self._mark_ordinal[rows[due]] = number[due], self._ordinal
        self._newest_number[rows], self._newest_ordinal[rows] = number, self._ordinal
        self._count[rows] += sizes

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
        newest = len(self._ring) - 1 - (self._ordinal - int(self._newest_ordinal[row]))
        if number >= self._newest_number[row] and newest >= 0:      # the usual case: a reader that keeps up
            return int(self._newest_number[row]), self._ring[newest:]
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
                yield Block(first, last, time, events)


def _batch(number: int, position: int, parts: list[np.ndarray], stamps: list[int], more: bool) -> Batch:
    """Parts of blocks, and the time of each block."""
    events = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return Batch(number, position, events, np.repeat(np.array(stamps, np.int64), [len(part) for part in parts]), more)
