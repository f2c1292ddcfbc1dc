"""An asyncio event loop whose time, sockets and processes are made up, so that the production shells run in it unchanged, in one thread, the same every time.

Decides in which order things happen: what is ready first in, first out, as asyncio has it; what is due later by time; what is on its way in a socket by a
network that a seed makes slow, cuts or stops (`Network`). It must not know what runs in it.

A **process** is a context variable: every callback, task and timer made while it is set belongs to it. When a process dies nothing of it runs any more, and
its sockets break, as an operating system does it; no `finally` of it counts.
"""
from __future__ import annotations

import asyncio
import contextvars
import errno
import heapq
import socket
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent import futures
from typing import Any, Protocol

from cambist.simulation.clock import SECOND, VirtualClock

CHUNK = 1 << 16                                         # bytes handed over at once
HIGH_BYTES = 1 << 16                                    # in flight before a writer is asked to pause, unless it says otherwise
FOR_EVER = 1 << 62
STEPS_MOST = 1 << 21                                    # callbacks at one moment of virtual time: more is a quarrel without end, and our bug


class Process:
    """A domain of failure. `died` is called once, outside of it."""
    def __init__(self, name: str) -> None:
        self.name, self.alive = name, True
        self.transports: dict[VirtualTransport, None] = {}
        self.died: Callable[[], None] = lambda: None

    def __repr__(self) -> str:
        return f"<{self.name}{'' if self.alive else ', dead'}>"


OUTSIDE = Process("outside")                            # the world itself: never dies
PROCESS: contextvars.ContextVar[Process] = contextvars.ContextVar("process", default=OUTSIDE)


class Wires(Protocol):
    """Who decides how a connection behaves. All times in ns."""
    def latency(self) -> int: ...
    def split(self, nbytes: int) -> int:
        """How many of these bytes arrive together."""
        ...


class Quarrel(RuntimeError):
    """Callbacks answered one another without end at one moment."""


class Turn(asyncio.TimerHandle):
    """One callback of a process: asyncio's handle, without what only a debugger asks for."""
    __slots__ = ("process",)

    def __init__(self, at: int, callback: Callable[..., Any], args: tuple[Any, ...], context: contextvars.Context | None) -> None:
        self._context: contextvars.Context = context or contextvars.copy_context()
        self._when, self._callback, self._args, self._cancelled = at / SECOND, callback, args, False
        self.process: Process = self._context.get(PROCESS, OUTSIDE)

    def cancel(self) -> None:
        """It stays where it waits until its time comes."""
        self._cancelled = True

    def __repr__(self) -> str:
        return f"<{self._callback!r} of {self.process!r}>"


class VirtualLoop(asyncio.AbstractEventLoop):
    """`run(coroutine)` until it is done; `spawn` in a process."""

    def __init__(self, clock: VirtualClock, wires: Wires) -> None:
        self.clock, self.wires = clock, wires
        self.failures: list[str] = []                   # what nobody caught: a bug of ours, or of the simulator
        self.halt: BaseException | None = None          # set by whoever wants everything to end here, whatever catches exceptions on the way
        self.listening: dict[str, tuple[Callable[[], Any], contextvars.Context, Process]] = {}
        self.connections: dict[VirtualTransport, None] = {}         # the sides that connected, in order
        self._ready: deque[Turn] = deque()
        self._timers: list[tuple[int, int, Turn]] = []
        self._tie = 0
        self._dead: list[Process] = []

    # ------------------------------------------------------------------------------------------------------------ what asyncio asks
    def time(self) -> float:
        return self.clock.now / SECOND

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None) -> asyncio.Handle:
        handle = Turn(self.clock.now, callback, args, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None) -> asyncio.TimerHandle:
        return self.call_at_ns(self.clock.now + max(0, round(delay * SECOND)), callback, *args, context=context)

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None) -> asyncio.TimerHandle:
        return self.call_at_ns(round(when * SECOND), callback, *args, context=context)

    def call_at_ns(self, at: int, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None) -> asyncio.TimerHandle:
        handle = Turn(at, callback, args, context)
        self._tie += 1
        heapq.heappush(self._timers, (at, self._tie, handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: contextvars.Context | None = None) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Threads there are none: it is done in a turn of its own."""
        future = self.create_future()

        def work() -> None:
            try:
                result = func(*args)
            except Exception as fault:  # noqa: BLE001  whoever waits for it hears it
                if not future.cancelled():
                    future.set_exception(fault)
            else:
                if not future.cancelled():
                    future.set_result(result)
        self.call_soon(work)
        return future

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        task, fault = context.get("task") or context.get("future"), context.get("exception")
        if fault is not None and not (task is not None and task.get_loop() is not self):
            self.failures.append(f"{context.get('message')}: {fault!r}")

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)

    # ------------------------------------------------------------------------------------------------------------------- running
    def spawn(self, process: Process, coro: Coroutine[Any, Any, Any], name: str = "") -> asyncio.Task[Any]:
        """A task that belongs to a process."""
        task = self.create_task(coro, name=name or process.name, context=within(process))

        def ended(task: asyncio.Task[Any]) -> None:
            if process.alive and not task.cancelled() and isinstance(fault := task.exception(), Exception):
                self.halt = self.halt or fault          # the first of a process must not end unheard
        task.add_done_callback(ended, context=within(OUTSIDE))
        return task

    def kill(self, process: Process, silent: bool = False) -> None:
        """It stops here. `silent`: the machine lost power, so nobody is told that its sockets are gone."""
        if not process.alive:
            return
        process.alive = False
        for path in [path for path, (_, _, owner) in self.listening.items() if owner is process]:
            del self.listening[path]
        for transport in list(process.transports):
            transport.break_off(silent)
        self._dead.append(process)

    def run(self, task: asyncio.Task[Any], until: int | None = None) -> bool:
        """Until the task is done (True), or virtual time has come so far."""
        events._set_running_loop(self)
        try:
            steps = 0
            while not task.done():
                if self.halt is not None:
                    raise self.halt
                if self._dead:
                    dead, self._dead = self._dead, []
                    for process in dead:
                        process.died()
                if self._ready:
                    steps += 1
                    if steps > STEPS_MOST:
                        raise Quarrel(f"{STEPS_MOST} callbacks at {self.clock.now} ns, the last one {self._ready[0]!r}")
                    self._step(self._ready.popleft())
                    continue
                steps = 0
                if not self._due(until):
                    return False
            return True
        finally:
            events._set_running_loop(None)

    def _due(self, until: int | None) -> bool:
        """Whatever is due next becomes ready; False when it is after `until`, or nothing is due at all."""
        timers, now = self._timers, self.clock.now
        while timers and (timers[0][2]._cancelled or not timers[0][2].process.alive):
            heapq.heappop(timers)
        if not timers:
            raise Quarrel(f"nothing is due any more at {now} ns, and somebody waits")
        if until is not None and timers[0][0] > until:
            return False
        self.clock.reach(timers[0][0])
        now = self.clock.now
        while timers and timers[0][0] <= now:
            self._ready.append(heapq.heappop(timers)[2])
        return True

    def _step(self, turn: Turn) -> None:
        if turn._cancelled or not turn.process.alive:
            return
        try:
            turn._context.run(turn._callback, *turn._args)
        except Exception as fault:  # noqa: BLE001  nobody caught it: the run ends
            self.halt = self.halt or fault

    # ------------------------------------------------------------------------------------------------------------------- sockets
    async def create_unix_server(self, protocol_factory: Any, path: Any = None, **_: Any) -> Any:
        self.listening[path] = protocol_factory, contextvars.copy_context(), PROCESS.get()
        return _Server(self, path)

    async def create_unix_connection(self, protocol_factory: Any, path: Any = None, **_: Any) -> Any:
        await asyncio.sleep(self.wires.latency() / SECOND)
        if path not in self.listening:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        accept, context, owner = self.listening[path]
        near = VirtualTransport(self, protocol_factory(), PROCESS.get(), contextvars.copy_context())
        far = VirtualTransport(self, context.run(accept), owner, context)
        near.peer, far.peer = far, near
        self.connections[near] = None
        near.protocol.connection_made(near)
        self.call_soon(far.begin, context=context)
        return near, near.protocol


def within(process: Process) -> contextvars.Context:
    """The context of a process that begins here."""
    context = contextvars.Context()
    context.run(PROCESS.set, process)
    return context


class Inline:
    """Work beside the loop: each piece in a turn of its own, a little later."""
    def __init__(self, name: str, guarded: Callable[..., bool]) -> None:
        self._guarded, self._count = guarded, 0

    def put(self, *work: Any) -> None:
        self._count += 1
        asyncio.get_running_loop().call_later(0.0002, self._do, work)

    def _do(self, work: tuple[Any, ...]) -> None:
        self._count -= 1
        self._guarded(*work)

    def waiting(self) -> int:
        return self._count

    def end(self) -> None:
        """What was put is still done."""

    def over(self) -> bool:
        return not self._count


class AtOnce(futures.Executor):
    """What a thread would do while something else is done, done before it."""
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> futures.Future[Any]:
        future = futures.Future[Any]()
        future.set_result(fn(*args, **kwargs))
        return future


class _Server:
    def __init__(self, loop: VirtualLoop, path: str) -> None:
        self._loop, self._path = loop, path

    def close(self) -> None:
        self._loop.listening.pop(self._path, None)


class VirtualSocket:
    """What a protocol asks of the socket under it. Its room is the wire's, so options change nothing."""
    family = socket.AF_UNIX

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """Nothing."""


class VirtualTransport(asyncio.Transport):
    """One end of a connection. What is written arrives later, in order, whole or in pieces, or never."""

    def __init__(self, loop: VirtualLoop, protocol: Any, process: Process, context: contextvars.Context) -> None:
        super().__init__({"socket": VirtualSocket()})
        self.loop, self.protocol, self.process, self._made_in = loop, protocol, process, context
        self.peer: VirtualTransport
        self.stopped_until = 0                          # nothing arrives here before: the wire is dead for so long
        self.open = True
        self._closing = self._paused = self._full = self._gone = False
        self._high, self._low = HIGH_BYTES, HIGH_BYTES // 4
        self._inbox: deque[bytes] = deque()             # arrived, not yet read
        self._flying = 0                                # written here, not yet read there
        self._last = 0                                  # when the last of it arrives
        process.transports[self] = None

    def begin(self) -> None:
        if self.open:
            self.protocol.connection_made(self)

    # ------------------------------------------------------------------------------------------------------------ what protocols ask
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = HIGH_BYTES if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        return max(0, self._flying - CHUNK)

    def is_closing(self) -> bool:
        return self._closing or not self.open

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            if self._inbox and self.open:
                self.loop.call_soon(self._read, context=self._made_in)

    def write(self, data: Any) -> None:
        if self.is_closing() or not self.process.alive or not data:
            return
        data, wires = bytes(data), self.loop.wires
        self._flying += len(data)
        if self.peer.stopped_until >= FOR_EVER:
            return
        self._last = max(self._last, self.loop.clock.now + wires.latency(), self.peer.stopped_until)
        self.loop.call_at_ns(self._last, self.peer.arrive, data, context=self.peer._made_in)
        if self._flying > self._high and not self._full:
            self._full = True
            self.loop.call_soon(self._pause, context=self._made_in)

    def close(self) -> None:
        """What was written still arrives, then the end of it."""
        if not self._closing and self.open:
            self._closing = True
            self._last = max(self._last, self.loop.clock.now + self.loop.wires.latency(), self.peer.stopped_until)
            self.loop.call_at_ns(self._last, self.peer.hung_up, context=self.peer._made_in)
            self.loop.call_soon(self._lost, None, context=self._made_in)

    def abort(self) -> None:
        self.break_off()

    # -------------------------------------------------------------------------------------------------------------------- the wire
    def break_off(self, silent: bool = False) -> None:
        """Both ends lose it, and what was on its way is lost; `silent`: the other end is not told."""
        if self._gone:
            return
        self._gone = True
        self.loop.connections.pop(self, None)
        self.loop.connections.pop(self.peer, None)
        reset = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        self.loop.call_soon(self._lost, reset, context=self._made_in)
        self.peer._deaf()
        if not silent:
            self.peer._gone = True
            self.loop.call_at_ns(self.loop.clock.now + self.loop.wires.latency(), self.peer._lost, reset, context=self.peer._made_in)

    def _deaf(self) -> None:
        """Nothing reaches it any more."""
        self._inbox.clear()
        self.stopped_until = FOR_EVER

    def arrive(self, data: bytes) -> None:
        if not self.open or self.stopped_until > self.loop.clock.now:
            return
        self._inbox.append(data)
        if len(self._inbox) == 1 and not self._paused:
            self._read()

    def hung_up(self) -> None:
        if self.open and self.stopped_until <= self.loop.clock.now:
            self._closing = True
            self._lost(None)

    def _read(self) -> None:
        while self._inbox and self.open and not self._paused:
            data = self._inbox.popleft()
            take = min(len(data), CHUNK, self.loop.wires.split(len(data)))
            if take < len(data):
                self._inbox.appendleft(data[take:])
            self._hand_over(data[:take])
            self.peer.landed(take)

    def _hand_over(self, data: bytes) -> None:
        at = 0
        while at < len(data) and self.open:
            room = self.protocol.get_buffer(len(data) - at)
            size = min(len(room), len(data) - at)
            room[:size] = data[at:at + size]
            self.protocol.buffer_updated(size)
            at += size

    def landed(self, nbytes: int) -> None:
        self._flying -= nbytes
        if self._full and self._flying <= self._low:
            self._full = False
            self.loop.call_soon(self._resume, context=self._made_in)

    def _pause(self) -> None:
        if self.open and self._full:
            self.protocol.pause_writing()

    def _resume(self) -> None:
        if self.open and not self._full:
            self.protocol.resume_writing()

    def _lost(self, why: Exception | None) -> None:
        if not self.open:
            return
        self.open, self._closing = False, True
        self.process.transports.pop(self, None)
        self.loop.connections.pop(self, None)
        if self.process.alive:
            self.protocol.connection_lost(why)
