"""What goes from the sessions outside to the node: their records as frames.

Decides which session's records go into which frame, and in which order. It must not know a socket: who sent something is an object that is handed back with
the answer.
"""
from typing import Any, NamedTuple

import numpy as np

from cambist.door.checking import is_essential, take
from cambist.door.protocol import MAX_RECORDS, Code
from cambist.messages import COMMAND
from cambist.native.admission import Admission

GATHERED = 4 * MAX_RECORDS                              # records that wait to be sent: 4 MiB, and as much again on its way


class Sent(NamedTuple):
    """One SUBMIT of a session."""
    sender: Any
    request: int
    count: int


class Refusal(NamedTuple):
    code: Code
    text: str


class Gathering:
    """Records in the order they came, and whose they are. One frame is on its way to the node at a time, so that what it refuses for the moment is sent again
    before anything that came later: order within a session never changes."""
    def __init__(self) -> None:
        self._rows, self._spare = np.zeros(GATHERED, COMMAND), np.zeros(GATHERED, COMMAND)
        self._count, self._sent, self._on_way = 0, list[Sent](), list[Sent]()
        self._start = self._end = self._next = 0        # of the frame on its way in `_spare`, and whose SUBMIT comes after it
        self._found = np.zeros(2, np.int64)

    @property
    def full(self) -> bool:
        """Nothing may be put: whoever sends is not read from."""
        return self._count + MAX_RECORDS > GATHERED

    def put(self, sender: Any, request: int, records: np.ndarray, whose: Admission, now: int) -> Refusal | None:
        """Takes one SUBMIT whole, or says why nothing of it. `now`: ns, when it was received."""
        if self._count + len(records) > GATHERED:
            return Refusal(Code.OVERLOAD, "")
        take(records, whose.allowed, self._found, self._rows, self._count, whose.account, whose.actor, now)
        foreign, other = self._found.tolist()
        if foreign >= 0:
            r = records[foreign]
            return Refusal(Code.FOREIGN, f"record {foreign} names account {r['account']} and key {r['actor']}; this session speaks for account {whose.account} "
                                         f"and key {whose.actor}")
        if other >= 0:
            return Refusal(Code.NOT_ALLOWED, f"record {other} is of kind {records[other]['kind']}; the scopes of {whose.key} are "
                                             f"{', '.join(sorted(whose.scopes)) or 'none'}")
        self._count += len(records)
        self._sent.append(Sent(sender, request, len(records)))
        return None

    def frame(self) -> np.ndarray | None:
        """The next one to be sent; the same again until `done`. None: nothing waits."""
        if self._start == self._end and not self._more():
            return None
        return self._spare[self._start:self._end]

    def _more(self) -> bool:
        if self._next == len(self._on_way):
            if not self._count:
                return False
            self._rows, self._spare = self._spare, self._rows
            self._on_way, self._sent = self._sent, []
            self._count = self._start = self._end = self._next = 0
        first = self._next
        while self._next < len(self._on_way) and self._end - self._start + self._on_way[self._next].count <= MAX_RECORDS:
            self._end += self._on_way[self._next].count
            self._next += 1
        self._first = first
        return True

    def unstopped(self) -> list[Sent]:
        """The frame was refused because the disk is full: whose it was that a full disk stops. The others are the next frame, or, when all are alike, nobody's
        is: so nobody's cancel is refused for the orders that stood beside it."""
        whose, rows = self._on_way[self._first:self._next], self._spare[self._start:self._end]
        ends = np.cumsum([each.count for each in whose])
        parts = [rows[end - each.count:end] for each, end in zip(whose, ends, strict=True)]
        free = [is_essential(part) for part in parts]
        if all(free) or not any(free):
            return self.done()
        kept = np.concatenate([part for part, is_free in zip(parts, free, strict=True) if is_free])
        self._start = self._end - len(kept)
        self._spare[self._start:self._end] = kept
        stopped, going = ([each for each, is_free in zip(whose, free, strict=True) if is_free is wanted] for wanted in (False, True))
        self._on_way[self._first:self._next] = stopped + going
        self._first += len(stopped)
        return stopped

    def done(self) -> list[Sent]:
        """The frame was answered: whose it was."""
        self._start = self._end
        return self._on_way[self._first:self._next]
