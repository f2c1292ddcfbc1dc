"""The settlement clerk: which obligations are settled now, which wait, and when the cut-off comes.

Decides the order (payers before receivers) and when a refused one is tried again. It must not know a bank or a chain, or judge whether an amount is right:
the core does, and says why not. A service of the house, it reads the whole stream; its key acts for no account.

Rounds: everything that could be settled is sent once; when all is answered, what was refused for want of money is sent again, but only if something was
settled, or came in, since. So the number of commands is bounded by what changes.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import msgspec
import numpy as np

from cambist.desk.quoting import Sender
from cambist.messages import Event, Kind, Reason

DAY_NS = 86_400_000_000_000
BATCH_MOST = 512                                # SETTLEs under way at once
ATTEMPTS_MOST = 1_000                           # of one obligation, before a person is called and it is left alone
WAITS = {Reason.INSUFFICIENT, Reason.UNCOVERED, Reason.HOUSE_UNCOVERED, Reason.UNPAID, Reason.EXPIRED}     # something else comes first, or nothing is wrong
# What may leave an account with more to pay with: money came, or is held no more.
MONEY_CAME = {Event.DEPOSITED, Event.TRANSFERRED, Event.CHILD_FILL, Event.FILLED, Event.ORDER_CANCELLED, Event.ORDER_REDUCED, Event.ORDER_AMENDED,
              Event.BOOK_QUOTED}
LEARNED = MONEY_CAME | {Event.OBLIGATION, Event.SETTLED, Event.REFUSED, Event.HELD}
Told: TypeAlias = np.void | Mapping[str, Any]


class Unsettled(msgspec.Struct, frozen=True):
    """A person is called: this obligation is not tried any more."""
    obligation: int
    account: int
    reason: Reason


class _Due:
    """An open obligation. `state`: ready, sent, waiting or stuck."""
    __slots__ = ("account", "amount", "asked", "asked_until", "attempts", "number", "state")

    def __init__(self, row: Told) -> None:
        self.number, self.account, self.amount = int(row["id"]), int(row["account"]), int(row["amount"])
        self.state, self.attempts, self.asked_until = "ready", 0, 0
        self.asked: tuple[int, int] = (0, 0)


class SettlementClerk:
    """`step` takes an event of the whole stream, or None for time alone, and answers (commands, effects). `cut_offs`: nanoseconds after midnight UTC."""

    def __init__(self, sender: Sender, cut_offs: Iterable[int] = ()) -> None:
        self._sender, self._cut_offs = sender, tuple(sorted(cut_offs))
        self._due: dict[int, _Due] = {}
        self._changed = False
        self._last = 0                                  # when time was last looked at
        self._net_wanted = False

    @property
    def open(self) -> list[int]:
        return list(self._due)

    def step(self, event: Told | None, now: int) -> tuple[list[np.ndarray], list[Unsettled]]:
        effects: list[Unsettled] = []
        if event is not None:
            self.learn(event, effects)
        out = self._net(now) + self._settle(now)
        return out, effects

    def net(self, now: int) -> list[np.ndarray]:
        """The cut-off, on request."""
        return [self._sender.command(Kind.NET, now)]

    def learn(self, row: Told, effects: list[Unsettled] | None = None) -> None:
        """What an event says, without acting on it (a clerk that starts again reads the stream so)."""
        kind = int(row["kind"])
        if kind not in LEARNED:
            return
        number = int(row["id"])
        if kind == Event.OBLIGATION:
            self._due.setdefault(number, _Due(row))
        elif kind == Event.SETTLED:
            self._changed = self._due.pop(number, None) is not None or self._changed
        elif kind in MONEY_CAME:
            self._money_came(int(row["account"]))
        elif kind == Event.REFUSED and row["command"] == Kind.SETTLE and number in self._due:
            self._refused(self._due[number], row, effects if effects is not None else [])
        elif kind == Event.REFUSED and row["command"] == Kind.NET and row["reason"] == Reason.NETTING and int(row["id_hi"]) == self._sender.session:
            self._net_wanted = True                     # the last cut-off is still being worked off: again with the next step of time
        elif kind == Event.HELD and row["command"] == Kind.SETTLE:
            for due in self._due.values():              # a second person decides; their word settles it, or nothing does
                if due.asked == (int(row["id_hi"]), int(row["id_lo"])):
                    due.state, due.asked_until = "waiting", 0

    def _money_came(self, account: int) -> None:
        for due in self._due.values():
            if due.account == account and due.state in ("waiting", "stuck"):
                due.state, due.attempts = "ready", 0

    def _refused(self, due: _Due, row: Told, effects: list[Unsettled]) -> None:
        reason = Reason(int(row["reason"]))
        if due.asked != (int(row["id_hi"]), int(row["id_lo"])):
            return
        if reason == Reason.UNKNOWN_OBLIGATION:
            del self._due[due.number]                   # settled by another
        elif reason in WAITS and due.attempts < ATTEMPTS_MOST:
            due.state = "waiting"
        else:
            due.state = "stuck"
            effects.append(Unsettled(due.number, due.account, reason))

    def _settle(self, now: int) -> list[np.ndarray]:
        if not self._due:
            self._changed = False
            return []
        for due in self._due.values():
            if due.state == "sent" and now >= due.asked_until:      # never answered: it can no longer be accepted under that id
                due.state = "ready"
        out = self._send([due for due in self._due.values() if due.amount < 0], now)
        if any(due.state in ("ready", "sent") for due in self._due.values() if due.amount < 0):
            return out                                  # receivers after the payers
        out += self._send([due for due in self._due.values() if due.amount > 0], now)
        # the next round
        if not out and self._changed and not any(due.state in ("ready", "sent") for due in self._due.values()):
            self._changed = False
            for due in self._due.values():
                if due.state == "waiting":
                    due.state = "ready"
            return self._settle(now)
        return out

    def _send(self, some: list[_Due], now: int) -> list[np.ndarray]:
        out = []
        room = BATCH_MOST - sum(due.state == "sent" for due in self._due.values())
        for due in [due for due in some if due.state == "ready"][:max(room, 0)]:
            record = self._sender.command(Kind.SETTLE, now, obligation=due.number)
            due.state, due.attempts, due.asked_until = "sent", due.attempts + 1, int(record["expires"][0])
            due.asked = int(record["id_hi"][0]), int(record["id_lo"][0])
            out.append(record)
        return out

    def _net(self, now: int) -> list[np.ndarray]:
        """NET once for each moment of the day that has come since time was last looked at; the first look only starts the clock."""
        last, self._last = self._last, max(now, self._last)
        came = last and any(last < day * DAY_NS + cut <= now for day in {last // DAY_NS, now // DAY_NS} for cut in self._cut_offs)
        if now > last and (came or self._net_wanted):
            self._net_wanted = False
            return self.net(now)
        return []
