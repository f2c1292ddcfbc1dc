"""How much is let in: token buckets for each key, for each address, and for all together.

Decides whether one more is let in now, and how long to wait otherwise. It must not know a clock: monotonic ns are handed in. Cancels have buckets of their
own, in each key and in all, so that business never keeps anyone from getting out; reads have too, as they cost the house and not the log. Memory is
bounded: whoever was not seen for longest is forgotten, and one who comes again finds a full bucket.
"""
from collections import OrderedDict
from typing import NamedTuple

SECOND = 1_000_000_000
MAX_KEYS, MAX_PEERS = 4096, 16_384


class Rate(NamedTuple):
    """So many a second on the average, so many at once."""
    per_second: int
    burst: int


class Limits(NamedTuple):
    """The account's own rate_limit is the house's and comes on top."""
    business: Rate = Rate(1_000, 2_000)                 # of a key: what changes state, but for cancels
    cancels: Rate = Rate(1_000, 2_000)
    reads: Rate = Rate(200, 400)
    all_business: Rate = Rate(20_000, 20_000)
    all_cancels: Rate = Rate(20_000, 20_000)
    all_reads: Rate = Rate(2_000, 4_000)
    unproven: Rate = Rate(2_000, 4_000)                 # of an address: signatures to be checked, before it is known whose they are
    public: Rate = Rate(100, 200)                       # of an address: public reads
    all_public: Rate = Rate(2_000, 4_000)


USUAL = Limits()


class Buckets:
    """One rate, a bucket for each name."""
    def __init__(self, rate: Rate, most: int):
        self._rate, self._most = rate, most
        self._full = rate.burst * SECOND                # tokens are counted in billionths, so that nothing is lost between two calls
        self._rows: OrderedDict[str, tuple[int, int]] = OrderedDict()   # name -> tokens, when that was

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, name: str, now: int) -> int:
        """0: let in. Else ns until there is a token again, and nothing was taken."""
        tokens, then = self._rows.get(name, (self._full, now))
        tokens = min(self._full, tokens + max(now - then, 0) * self._rate.per_second)
        if tokens < SECOND:
            self._rows[name] = (tokens, now)
            self._rows.move_to_end(name)
            return -(-(SECOND - tokens) // self._rate.per_second)
        self._rows[name] = (tokens - SECOND, now)
        self._rows.move_to_end(name)
        if len(self._rows) > self._most:
            self._rows.popitem(last=False)
        return 0

    def give_back(self, name: str) -> None:
        """One that was taken and not used."""
        if name in self._rows:
            tokens, then = self._rows[name]
            self._rows[name] = (min(self._full, tokens + SECOND), then)


class Throttle:
    """`business`, `cancel`, `read` by key; `unproven` and `public` by address. Each says 0, or ns to wait."""
    def __init__(self, limits: Limits = USUAL):
        self._own = {kind: Buckets(getattr(limits, kind), MAX_KEYS) for kind in ("business", "cancels", "reads")}
        self._own |= {kind: Buckets(getattr(limits, kind), MAX_PEERS) for kind in ("unproven", "public")}
        self._all = {kind: Buckets(rate, 1) for kind, rate in (("business", limits.all_business), ("cancels", limits.all_cancels),
                                                              ("reads", limits.all_reads), ("public", limits.all_public))}

    def business(self, key: str, now: int) -> int:
        return self._take("business", key, now)

    def cancel(self, key: str, now: int) -> int:
        return self._take("cancels", key, now)

    def read(self, key: str, now: int) -> int:
        return self._take("reads", key, now)

    def unproven(self, address: str, now: int) -> int:
        return self._take("unproven", address, now)

    def public(self, address: str, now: int) -> int:
        return self._take("public", address, now)

    def _take(self, kind: str, name: str, now: int) -> int:
        """Its own bucket first, so that one who sends too much takes nothing from the others."""
        wait = self._own[kind].take(name, now)
        if wait or kind not in self._all:
            return wait
        wait = self._all[kind].take("", now)
        if wait:
            self._own[kind].give_back(name)
        return wait


def retry_after(wait: int) -> int:
    """Whole seconds for the header of that name, at least 1."""
    return max(1, -(-wait // SECOND))
