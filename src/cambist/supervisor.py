"""Which processes make the house, and what to do when one of them starts, serves, dies or is to end.

Decides when a part is started, how long to wait before it is started again, when a person is told loudly, and in which order all end. It must not know a
process, a pipe or a clock: `step` is told what happened and the time, in monotonic nanoseconds, and answers with what to do.

    waiting -> starting -> ready -> (died) -> paused -> starting ...        any -> ending -> ended
                           ready -> (design changed) -> starting ...

The first part is the node. The others wait for it once, at the beginning; later they live through its death.
"""
from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

MS, SECOND = 1_000_000, 1_000_000_000
PAUSE_LEAST_NS, PAUSE_MOST_NS = 100 * MS, 5 * SECOND    # before a part is started again: doubled with each death, begun anew after it was healthy
HEALTHY_NS = 30 * SECOND                        # ready for so long
DESIGN_CHANGED_EXIT = 3                         # exit code of a part that ended because the design it runs by is no longer the node's
DEATHS_MOST = 10                                # in a row; then a person is told loudly, once
END_NS = 5 * SECOND                             # a part may take to end; then it is killed


class PartRow(NamedTuple):
    """A process of the house: what it runs, named as text so that only the process itself imports it, and the addresses it listens at."""
    name: str
    module: str
    function: str
    listens: tuple[str, ...] = ()


PARTS = (
    PartRow("node", "cambist.run", "serve_node"),
    PartRow("follower", "cambist.run", "serve_follower"),
    PartRow("gateway", "cambist.gateways.gateway_shell", "serve", ("rest", "websocket")),
    PartRow("native", "cambist.native.native_shell", "serve", ("native",)),
    PartRow("portal", "cambist.ops.portal.portal_shell", "serve", ("portal",)),
    PartRow("console", "cambist.ops.console.console_shell", "serve", ("console",)),
    PartRow("desk", "cambist.desk_part_shell", "serve"),
    PartRow("world", "cambist.world.world_shell", "serve", ("venues",)),
)


class NotStarted(Exception):
    """The house cannot start here: says what is in the way, whose it is if that is known, and what to do."""


class PartState(enum.StrEnum):
    WAITING = "waiting"                         # for the node, at the beginning
    STARTING = "starting"
    READY = "ready"
    PAUSED = "paused"                           # it died and will be started again
    ENDING = "ending"
    ENDED = "ended"


# ---------------------------------------------------------------------------------------------------------- what it hears
class Started(NamedTuple):
    name: str
    pid: int


class Ready(NamedTuple):
    name: str
    address: str


class Told(NamedTuple):
    """What a part reports of itself: its line of status, its memory in bytes, or why it is about to fail."""
    name: str
    line: str | None = None
    memory: int | None = None
    fault: str | None = None


class Died(NamedTuple):
    name: str
    why: str                                    # "exit 1", "signal 9"


class Outdated(NamedTuple):
    """It ended so that it is started again by the new design."""
    name: str


class StopAsked(NamedTuple):
    by: str


Happened: TypeAlias = Started | Ready | Told | Died | Outdated | StopAsked


def ended(name: str, code: int) -> Died | Outdated:
    """What the end of a part's process means. `code`: its exit code, or minus the signal that ended it."""
    if code == DESIGN_CHANGED_EXIT:
        return Outdated(name)
    return Died(name, f"signal {-code}" if code < 0 else f"exit {code}")


# -------------------------------------------------------------------------------------------------------- what it answers
class Start(NamedTuple):
    name: str


class End(NamedTuple):
    """Ask a part to end, or make it."""
    name: str
    by_force: bool


class Say(NamedTuple):
    """A line for whoever watches. Loud: a person must look."""
    text: str
    loud: bool = False


class Over(NamedTuple):
    """Everything has ended; clean when nothing had to be forced."""
    clean: bool


Effect: TypeAlias = Start | End | Say | Over


class Shown(NamedTuple):
    """One line of the status table. `since`: monotonic ns at which it became ready, 0 while it is not."""
    name: str
    state: PartState
    pid: int
    restarts: int
    since: int
    memory: int
    address: str
    line: str


class _Process:
    __slots__ = ("address", "deaths", "due", "fault", "line", "memory", "name", "pid", "restarts", "since", "state")

    def __init__(self, name: str) -> None:
        self.name, self.state = name, PartState.WAITING
        self.pid = self.restarts = self.deaths = self.since = self.memory = self.due = 0
        self.address = self.line = self.fault = ""


class Supervisor:
    """`step(event, now)` with what happened, or None for time alone."""

    def __init__(self, names: Iterable[str]) -> None:
        self._parts = {name: _Process(name) for name in names}
        self._opened = self._stopping = self._over = self._forced = False

    def step(self, event: Happened | None, now: int) -> list[Effect]:
        out: list[Effect] = []
        match event:
            case Started(name, pid):
                self._parts[name].pid = pid
                out.append(Say(f"{name}: started, process {pid}"))
            case Ready(name, address):
                self._ready(self._parts[name], address, now, out)
            case Told():
                self._told(self._parts[event.name], event)
            case Died(name, why):
                self._died(self._parts[name], why, now, out)
            case Outdated(name):
                self._outdated(self._parts[name], now, out)
            case StopAsked(by):
                self._stop(by, now, out)
        if self._stopping:
            self._end_next(now, out)
        else:
            self._start_due(now, out)
        return out

    def next_due(self, now: int) -> int | None:
        """When time alone will change something."""
        dues = [one.due for one in self._parts.values() if one.state in (PartState.PAUSED, PartState.ENDING)]
        return max(now, min(dues)) if dues else None

    def shown(self) -> list[Shown]:
        return [Shown(one.name, one.state, one.pid, one.restarts, one.since, one.memory, one.address, one.line) for one in self._parts.values()]

    @property
    def all_ready(self) -> bool:
        return all(one.state is PartState.READY for one in self._parts.values())

    # ---------------------------------------------------------------------------------------------------------------- living
    def _ready(self, one: _Process, address: str, now: int, out: list[Effect]) -> None:
        one.address, one.since, one.fault = address, now, ""
        if one.state is PartState.STARTING:
            one.state = PartState.READY
            out.append(Say(f"{one.name}: ready at {address}, process {one.pid}"))
        self._opened = self._opened or one is self._first

    def _told(self, one: _Process, told: Told) -> None:
        one.line = one.line if told.line is None else told.line
        one.memory = one.memory if told.memory is None else told.memory
        one.fault = one.fault if told.fault is None else told.fault

    @property
    def _first(self) -> _Process:
        return next(iter(self._parts.values()))

    def _start_due(self, now: int, out: list[Effect]) -> None:
        for one in self._parts.values():
            may = self._opened or one is self._first if one.state is PartState.WAITING else one.state is PartState.PAUSED and now >= one.due
            if may:
                one.restarts += one.state is PartState.PAUSED
                one.state, one.fault = PartState.STARTING, ""
                out.append(Start(one.name))

    def _died(self, one: _Process, why: str, now: int, out: list[Effect]) -> None:
        healthy = one.since and now - one.since >= HEALTHY_NS
        one.pid = one.since = one.memory = 0
        if self._stopping:
            one.state, one.line = PartState.ENDED, ""
            out.append(Say(f"{one.name}: ended"))
            return
        one.deaths = 1 if healthy else one.deaths + 1
        pause = min(PAUSE_LEAST_NS << min(one.deaths - 1, DEATHS_MOST), PAUSE_MOST_NS)
        one.state, one.due = PartState.PAUSED, now + pause
        said = f"{one.name}: died ({why}{f'; {one.fault}' if one.fault else ''})"
        out.append(Say(f"{said}; started again in {pause / SECOND:g} s"))
        one.line = f"died: {one.fault or why}"
        if one.deaths == DEATHS_MOST:
            out.append(Say(f"{said} {DEATHS_MOST} times in a row. It is tried again every {PAUSE_MOST_NS // SECOND} s; its log says more", loud=True))

    def _outdated(self, one: _Process, now: int, out: list[Effect]) -> None:
        if self._stopping or not one.since:             # who never served did not end for that
            self._died(one, f"exit {DESIGN_CHANGED_EXIT}", now, out)
            return
        one.pid = one.since = one.memory = 0
        one.state, one.line = PartState.WAITING, "design changed"
        out.append(Say(f"{one.name}: design changed; started again at once"))

    # ---------------------------------------------------------------------------------------------------------------- ending
    def _stop(self, by: str, now: int, out: list[Effect]) -> None:
        if self._stopping:
            out.append(Say(f"{by} again: everything ends at once"))
            self._forced = True
            out += [End(one.name, by_force=True) for one in self._parts.values() if one.pid]
            return
        self._stopping = True
        out.append(Say(f"{by}: ending, the node last"))
        for one in self._parts.values():
            if not one.pid:
                one.state = PartState.ENDED

    def _end_next(self, now: int, out: list[Effect]) -> None:
        """One after another from the last to the first, so that whoever has something to tell the node still can."""
        if self._over:
            return
        for one in reversed(self._parts.values()):
            if one.state is PartState.ENDED:
                continue
            if one.state is not PartState.ENDING:
                one.state, one.due = PartState.ENDING, now + END_NS
                out.append(End(one.name, by_force=False))
            elif now >= one.due:
                one.due, self._forced = now + END_NS, True
                out += [Say(f"{one.name}: did not end within {END_NS // SECOND} s and is killed", loud=True), End(one.name, by_force=True)]
            return
        self._over = True
        out.append(Over(clean=not self._forced))
