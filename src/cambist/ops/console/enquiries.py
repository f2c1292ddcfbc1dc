"""The requests that are open now, and what was quoted to each: the dealers' queue, as the stream of the house tells it.

Decides which requests are in the queue and what is known of them. It must not know a price's parts, a page or a clock: events come in, rows go out. Bounded: a
request ends by its event or is forgotten once it lapsed, and there are never more than OPEN_MOST.
"""
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from cambist.messages import Event, Liquidity

OPEN_MOST = 2_000
KEPT_NS = 30 * 10**9                            # how long a request that is over stays in sight
OVER_MOST = 200
KINDS = tuple(int(e) for e in (Event.REQUEST_OPENED, Event.QUOTED, Event.QUOTE_ENDED, Event.REQUEST_ENDED, Event.FILLED))
Row = Mapping[str, Any]


class Quote(NamedTuple):
    """A quote of one account for a request. Prices in increments, 0: not given; `lapses` in ns of log time. `sequence`: of the command that gave it."""
    number: int
    account: int
    bid: int
    ask: int
    lapses: int
    sequence: int


class Enquiry(NamedTuple):
    """A request as the queue shows it. `quotes` by account. `ended`: when and how it was over, (0, 0, 0) while it is open: time, reason, winning account."""
    number: int
    account: int
    instrument: int
    side: int
    quantity: int
    opened: int
    lapses: int
    sequence: int
    quotes: Mapping[int, Quote]
    ended: tuple[int, int, int] = (0, 0, 0)


class Enquiries:
    """`learn` every event of the house in order; what it is not about changes nothing."""

    def __init__(self) -> None:
        self._open: dict[int, Enquiry] = {}
        self._over: dict[int, Enquiry] = {}
        self._request_of: dict[int, int] = {}   # quote -> request

    def learn(self, row: Row) -> bool:
        """Whether the queue changed. `row`: an event by the names of EVENT, and `time`."""
        match row["kind"]:
            case Event.REQUEST_OPENED: self._opened(row)
            case Event.QUOTED if row["other"] in self._open: self._quoted(row)
            case Event.QUOTE_ENDED if row["id"] in self._request_of: self._quote_ended(row)
            case Event.REQUEST_ENDED if (one := self._open.get(row["id"])) and one.account == row["account"]: self._ended(one, row["time"], row["reason"])
            case Event.FILLED if row["liquidity"] == Liquidity.QUOTE and not row["command"] and row["id"] in self._request_of: self._won(row)
            case _: return False
        return True

    def open(self, now: int) -> list[Enquiry]:
        """Open requests, the one that lapses first at the top."""
        for number in [n for n, one in self._open.items() if one.lapses + KEPT_NS < now]:       # its end was never heard: a gap in what this page was told
            self._forget(self._open.pop(number))
        return sorted((one for one in self._open.values() if one.lapses > now), key=lambda one: one.lapses)

    def over(self, now: int) -> list[Enquiry]:
        """Those that ended lately, newest first."""
        return sorted((one for one in self._over.values() if now - one.ended[0] < KEPT_NS), key=lambda one: -one.ended[0])

    def find(self, number: int) -> Enquiry | None:
        return self._open.get(number) or self._over.get(number)

    # ------------------------------------------------------------------------------------------------------------------- events
    def _opened(self, row: Row) -> None:
        if len(self._open) >= OPEN_MOST:
            self._forget(self._open.pop(next(iter(self._open))))
        self._open[row["id"]] = Enquiry(row["id"], row["account"], row["instrument"], row["side"], row["quantity"], row["time"], row["other"],
                                        row["sequence"], {})

    def _quoted(self, row: Row) -> None:
        one = self._open[row["other"]]
        quote = Quote(row["id"], row["account"], row["price"], row["amount"], row["leaves"], row["sequence"])
        if old := one.quotes.get(quote.account):
            self._request_of.pop(old.number, None)
        self._request_of[quote.number] = one.number
        self._open[one.number] = one._replace(quotes={**one.quotes, quote.account: quote})

    def _quote_ended(self, row: Row) -> None:
        one = self._open.get(self._request_of.pop(row["id"]))
        if one:
            self._open[one.number] = one._replace(quotes={account: q for account, q in one.quotes.items() if q.number != row["id"]})

    def _won(self, row: Row) -> None:
        one = self._open.get(self._request_of[row["id"]])
        if one:
            self._open[one.number] = one._replace(ended=(0, 0, row["account"]))

    def _ended(self, one: Enquiry, time: int, reason: int) -> None:
        del self._open[one.number]
        self._forget(one)
        self._over[one.number] = one._replace(ended=(time, reason, one.ended[2]))
        while len(self._over) > OVER_MOST:
            del self._over[next(iter(self._over))]

    def _forget(self, one: Enquiry) -> None:
        for quote in one.quotes.values():
            self._request_of.pop(quote.number, None)


def remembered(rows: Iterable[Row]) -> Enquiries:
    """The queue after these events, oldest first."""
    made = Enquiries()
    for row in rows:
        made.learn(row)
    return made
