"""What one account has been told lately: its newest events, its requests with their quotes, its invitations, what each id is of and was sent with.

Decides what of an account's stream is remembered, and for how long: enough to answer a client without asking the house, never the truth about money or
orders, which the view `account` tells. It must not know a socket or a clock; a stream is handed in batch by batch, and `now` with each question. Whoever
makes it reads the stream back far enough that every request still open is heard.
"""
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np

from cambist.messages import EVENT, Event, Reason

RING_EVENTS = 2048                                      # newest events kept whole; older ones are read from the house
MAX_IDS = 1 << 15                                       # ids of orders and requests whose instrument is remembered
MAX_ENDED = 512                                         # requests that are over and still told
MAX_INVITATIONS = 4096
FIELDS = tuple(EVENT.names or ())
E = Event
_OPENS = (E.ORDER_ACCEPTED, E.REQUEST_OPENED, E.REQUEST_INVITED)
_REMEMBERED = np.zeros(1 << 16, bool)
_REMEMBERED[[*_OPENS, E.BOOK_QUOTED, E.QUOTED, E.QUOTE_SHOWN, E.QUOTE_ENDED, E.REQUEST_ENDED]] = True


class Quote(msgspec.Struct):
    """Prices in increments, 0 where a side is missing; `expires` in log time, ns."""
    id: int
    bid: int
    ask: int
    quantity: int
    expires: int


class Asked(msgspec.Struct, kw_only=True):
    """A request for quotes, as its client or one of its dealers sees it."""
    id: int
    instrument: int
    side: int
    quantity: int
    expires: int
    ended: int = 0                                      # a Reason once it is over
    quotes: dict[int, Quote] = {}                       # a client: what is shown; a dealer: its own


class Page(NamedTuple):
    """Events from number `first` on, with the log time of each."""
    first: int
    events: np.ndarray
    times: np.ndarray


class Hearing:
    """One account's stream from number `start` on. `hear` every batch, in order."""
    def __init__(self, start: int):
        self.next = start                               # the number of the next event
        self.oldest = 0                                 # log time of the first event heard; 0: none yet
        self.requests: dict[int, Asked] = {}
        self.invitations: dict[int, Asked] = {}
        self._ring: deque[Page] = deque()
        self._ring_events = 0
        self._instruments: OrderedDict[int, int] = OrderedDict()
        self._sent: OrderedDict[tuple[int, int], int] = OrderedDict()       # client id -> its order
        self._ended: OrderedDict[int, None] = OrderedDict()

    def hear(self, first: int, events: np.ndarray, times: np.ndarray) -> None:
        """A batch that is the hearer's to keep."""
        if not len(events):
            return
        self.oldest = self.oldest or int(times[0])
        self.next = first + len(events)
        self._ring.append(Page(first, events, times))
        self._ring_events += len(events)
        while len(self._ring) > 1 and self._ring_events - len(self._ring[0].events) >= RING_EVENTS:
            self._ring_events -= len(self._ring.popleft().events)
        mine = _REMEMBERED[events["kind"]]
        if mine.any():
            for row in rows(events[mine]):
                self._remember(row)

    # ----------------------------------------------------------------------------------------------------------------------------- questions
    def page(self, cursor: int, limit: int) -> Page | None:
        """At most `limit` events from number `cursor` on, empty at the end; None when they are not kept any more."""
        if cursor >= self.next:
            return Page(cursor, np.zeros(0, EVENT), np.zeros(0, np.int64))
        if not self._ring or cursor < self._ring[0].first:
            return None
        parts, taken = [], 0
        for page in self._ring:
            skip = max(cursor - page.first, 0)
            if skip < len(page.events) and taken < limit:
                parts.append((page.events[skip:skip + limit - taken], page.times[skip:skip + limit - taken]))
                taken += len(parts[-1][0])
        return Page(cursor, np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]))

    def instrument_of(self, id: int) -> int:
        """The instrument of an order or request; 0 when it is not known here."""
        found = self._instruments.get(id, 0)
        if found:
            self._instruments.move_to_end(id)
        return found

    def order_of(self, id_hi: int, id_lo: int) -> int:
        """The order that was sent with a client id; 0 when it is not known here."""
        return self._sent.get((id_hi, id_lo), 0)

    def learn(self, id: int, instrument: int) -> None:
        """What the house said otherwise of an id."""
        self._instruments[id] = instrument
        if len(self._instruments) > MAX_IDS:
            self._instruments.popitem(last=False)

    def open_requests(self, now: int) -> list[Asked]:
        return [each for each in self.requests.values() if not each.ended and each.expires > now]

    def open_invitations(self, now: int) -> list[Asked]:
        return [each for each in self.invitations.values() if each.expires > now]

    # -------------------------------------------------------------------------------------------------------------------------------- inside
    def _remember(self, row: dict[str, int]) -> None:
        kind, id, other = row["kind"], row["id"], row["other"]
        if kind in _OPENS:
            self.learn(id, row["instrument"])
            if kind == E.ORDER_ACCEPTED:
                self._sent[row["id_hi"], row["id_lo"]] = id
                if len(self._sent) > MAX_IDS:
                    self._sent.popitem(last=False)
            else:
                opened = Asked(id=id, instrument=row["instrument"], side=row["side"], quantity=row["quantity"], expires=other, quotes={})
                (self.requests if kind == E.REQUEST_OPENED else self.invitations)[id] = opened
                if len(self.invitations) > MAX_INVITATIONS:     # one whose end is not told: the account is no dealer any more
                    del self.invitations[next(iter(self.invitations))]
        elif kind == E.BOOK_QUOTED:
            for order in (id, other):
                self.learn(order, row["instrument"])
        elif kind == E.REQUEST_ENDED:
            self._end(id, row["reason"])
        elif kind == E.QUOTE_ENDED:
            for book in (self.requests, self.invitations):
                if other in book:
                    book[other].quotes.pop(id, None)
        else:
            asked = (self.requests if kind == E.QUOTE_SHOWN else self.invitations).get(other)
            if asked is not None:
                asked.quotes[id] = Quote(id, row["price"], row["amount"], row["quantity"], row["leaves"])

    def _end(self, id: int, reason: int) -> None:
        """The client's own request is told a while longer; an invitation is over."""
        self.invitations.pop(id, None)
        asked = self.requests.get(id)
        if asked is not None:
            asked.ended = reason or Reason.FILLED
            asked.quotes.clear()
            self._ended[id] = None
            if len(self._ended) > MAX_ENDED:
                self.requests.pop(self._ended.popitem(last=False)[0], None)


def rows(events: np.ndarray) -> Iterator[dict[str, Any]]:
    """Events as dicts by the names of their fields."""
    return (dict(zip(FIELDS, row, strict=True)) for row in events.tolist())
