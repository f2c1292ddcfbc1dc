"""One desk's engine as one step: what was heard and which books came lead to commands, in their order; and which commands are still without an answer.

Decides what is learned without acting, what is a step of both quoter and hedger, and what goes again after a lost connection. It must not know a socket, a
thread or a clock: `desk_shell.py` has them, and the simulator has others.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from cambist.desk.execution import Elapsed
from cambist.desk.hedging import Hedger, hedger_settings
from cambist.desk.quoting import Heard, Outgoing, Quoter, Sender, desk_aims, desk_sources, desk_terms, pricing_settings, quoter_settings
from cambist.sections import Design

LAPSE_NS = 50_000_000                           # how often time alone is a step
UNANSWERED_MOST = 10_000
Names = Mapping[str, Mapping[str, int]]


class Unanswered:
    """Commands that nothing echoed yet. What waited longest is let go of when there are too many: its id has lapsed."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[int, int], Outgoing] = {}

    def sent(self, outgoing: Iterable[Outgoing]) -> None:
        for one in outgoing:
            self._waiting[int(one.record["id_hi"][0]), int(one.record["id_lo"][0])] = one
            if len(self._waiting) > UNANSWERED_MOST:
                del self._waiting[next(iter(self._waiting))]

    def heard(self, rows: Iterable[np.void]) -> None:
        for row in rows:
            self._waiting.pop((int(row["id_hi"]), int(row["id_lo"])), None)

    def all(self) -> list[Outgoing]:
        """In the order they were sent."""
        return list(self._waiting.values())


class Engine:
    """Quoter and hedger of the desk that `key` acts for. `session`: another number in every life."""

    def __init__(self, design: Design, names: Names, key: str, session: int) -> None:
        named, sources = design.keys[key], desk_sources(design, names)
        self.account, terms, aims = names["accounts"][named.account], desk_terms(design, names), desk_aims(design, names, named.account)
        sender = Sender(names["actors"][key], self.account, session, design.cell.answer_window // 2)
        self.quoter = Quoter(sender, terms, sources, aims, quoter_settings(design, names))
        self.hedger = Hedger(sender, terms, sources, aims, hedger_settings(design, names, pricing_settings(design, max(map(len, sources.values()), default=2))))
        self._lapsed = 0

    def learn(self, rows: Iterable[np.void], now: int) -> None:
        """What was told before this life began: nothing is done about it."""
        for row in rows:
            self.quoter.learn(row, now=now)
            self.hedger.learn(row, now)

    def turn(self, rows: Iterable[np.void], books: Iterable[Heard], now: int) -> tuple[list[Outgoing], list[Any]]:
        """Commands to send, and what a person should know."""
        events: list[Any] = [*rows, *books]
        if now - self._lapsed >= LAPSE_NS:
            self._lapsed = now
            events.append(Elapsed())
        out: list[Outgoing] = []
        effects: list[Any] = []
        for event in events:
            quotes, asked = self.quoter.step(event, now)
            hedges, unhedged = self.hedger.step(event, now)
            out += [*quotes, *(Outgoing(record) for record in hedges)]
            effects += [*asked, *unhedged]
        return out, effects
