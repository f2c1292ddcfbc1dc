"""The auditor's gate: who may, whether it was asked before, and what is latched (rules, section 2)."""
from __future__ import annotations

from collections import deque

from cambist.messages import CONFIGURE, COUNTED_ONCE, FACTS, NAMES_ACCOUNT, NUMBER_WINDOW, NUMBERED, RATED, RATED_CANCELS, RISKY, Kind, Reason, Scope
from cambist.simulation.audit.figures import Figures, Row

R, K = Reason, Kind
DUPLICATE = -1
STILL_TO = {K.CANCEL_ORDER, K.CANCEL_ALL, K.CANCEL_SOME, K.DEAD_MAN, K.CANCEL_REQUEST, K.WITHDRAW_QUOTE, K.CANCEL_CHILD, K.KILL,
            K.REVIVE}                           # of a disabled account


class Gate:
    """`passes` once for each command, in order: 0, DUPLICATE, or the reason; it remembers what must be remembered."""

    def __init__(self, figures: Figures) -> None:
        self.figures = figures
        self._answers: dict[tuple[int, int, int], int] = {}             # (account, id) -> when it was accepted
        self._facts: dict[tuple[int, int, int], int] = {}
        self._by_age: tuple[deque[tuple[int, tuple[int, int, int]]], ...] = deque(), deque()       # of facts, of answers: when each is let go of
        self.numbers: dict[int, int] = {}               # actor -> highest

    def belongs(self, c: Row) -> int:
        actor = self.figures.actors.get(c.actor)
        own = actor.account if actor else 0
        return own if c.kind in CONFIGURE or c.kind not in NAMES_ACCOUNT else c.account

    def who(self, c: Row) -> int:
        """Lines 4 to 8: of the actor as it is now."""
        f, actor = self.figures, self.figures.actors.get(c.actor)
        if actor is None:
            return R.UNKNOWN_ACTOR
        if not actor.enabled:
            return R.ACTOR_DISABLED
        scope = f.authority.get((actor.role, c.kind), (0, 0))[0]
        if c.kind != K.TICK and (scope == Scope.NONE or (c.kind in CONFIGURE and scope != Scope.ALL)):
            return R.NOT_ALLOWED
        if c.kind not in NAMES_ACCOUNT or c.kind in CONFIGURE:
            return 0
        row = f.accounts.get(c.account)
        if row is None:
            return R.UNKNOWN_ACCOUNT
        if scope == Scope.OWN and c.account != actor.account:
            return R.FOREIGN_ACCOUNT
        if scope == Scope.ENTITY and (not actor.account or row.entity != f.accounts[actor.account].entity):
            return R.FOREIGN_ACCOUNT
        return R.ACCOUNT_DISABLED if not row.enabled and c.kind not in FACTS and c.kind not in STILL_TO else 0

    def passes(self, c: Row, now: int, skipped: bool = False) -> int:
        """`skipped`: a decision of the log says that it is not applied."""
        if c.kind in CONFIGURE and not self.figures.cell.get("started"):
            return 0
        if why := self.who(c):
            return why
        if c.kind in FACTS or c.kind == K.TICK:
            return R.SKIPPED if skipped else self._fact(c, now)
        if why := self._again(c, now):
            return why
        return R.SKIPPED if skipped else self._latches(c, now)

    def _fact(self, c: Row, now: int) -> int:
        self._forget(now)
        if c.kind not in COUNTED_ONCE:
            return 0
        return DUPLICATE if self.source(c) in self._facts else 0

    def source(self, c: Row) -> tuple[int, int, int]:
        venue = self.figures.venues.get(c.venue) if c.kind == K.CHILD_FILLED else None
        source = (venue.account if venue else 0) if c.kind == K.CHILD_FILLED else c.account if c.kind == K.MOVE_CUSTODY else c.custody
        return source, c.id_hi, c.id_lo

    def count(self, c: Row, now: int) -> None:
        """A fact passed its checks: it counts, once."""
        if c.kind in COUNTED_ONCE:
            self._facts[self.source(c)] = now
            self._by_age[0].append((now + self.figures.cell["fact_window"], self.source(c)))

    def _again(self, c: Row, now: int) -> int:
        self._forget(now)
        if c.flags & NUMBERED:
            if c.id_hi or c.id_lo < 1:
                return R.NO_ID
            highest = self.numbers.get(c.actor, 0)
            if c.id_lo <= highest - NUMBER_WINDOW:
                return R.NUMBER_OLD
            if c.id_lo <= highest:
                return DUPLICATE
            if c.id_lo > highest + 1:
                return R.NUMBER_GAP
            if c.expires and c.expires <= now:
                return R.EXPIRED
            self.numbers[c.actor] = c.id_lo
            return 0
        key = self.belongs(c), c.id_hi, c.id_lo
        if not (c.id_hi or c.id_lo):
            return R.NO_ID
        if key in self._answers:
            return DUPLICATE
        window = self.figures.cell["answer_window"]
        if c.expires <= now:
            return R.EXPIRED
        if c.expires > now + window:
            return R.EXPIRY_TOO_FAR
        self._answers[key] = now
        self._by_age[1].append((now + window, key))
        return 0

    def _forget(self, now: int) -> None:
        """What is past its window."""
        for by_age, known in zip(self._by_age, (self._facts, self._answers), strict=True):
            while by_age and by_age[0][0] <= now:
                known.pop(by_age.popleft()[1], None)

    def _latches(self, c: Row, now: int) -> int:
        f = self.figures
        row = f.accounts.get(self.belongs(c))
        cancels = c.kind in RATED_CANCELS and row is not None and row.cancel_reserve > 0
        if (c.kind in RATED or cancels) and row is not None and row.rate_limit:
            second = now // 1_000_000_000
            if row.rate_second != second:
                row.rate_second, row.rate_count, row.rate_cancels = second, 0, 0
            if (row.rate_cancels >= row.rate_limit + row.cancel_reserve) if cancels else row.rate_count >= row.rate_limit:
                return R.RATE
            row.rate_count, row.rate_cancels = row.rate_count + (not cancels), row.rate_cancels + cancels
        return self.killed(c)

    def killed(self, c: Row) -> int:
        """Line 12."""
        if c.kind not in RISKY:
            return 0
        row = self.figures.accounts.get(self.belongs(c))
        return R.KILLED_ALL if self.figures.cell.get("killed_all") else R.KILLED if row is not None and row.killed else \
            R.TRADER_KILLED if self.figures.actors[c.actor].killed else 0
