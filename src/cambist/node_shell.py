"""The node as a process: clocks, signals, threads and the socket around `Node`.

Decides what happens in which order, and what overlaps with what. One thread, the loop, does everything: what has gathered is sealed, made durable, applied,
told, and its events are kept, in one turn; while it is at it the next batch gathers in the sockets, which is the whole of group commit. So a small batch
is handed from thread to thread nowhere. Only a batch of OVERLAP_RECORDS or more is written by a thread of its own: it is on its way to the disk while the one
before it is applied, and of its entries one is kept while the next one is applied. Another thread reads files for who asks about the log. It must not know
what a command means.

Architecture invariant: between two turns everything that was told is also kept, so whoever asks after an event finds it in the results.
"""
import asyncio
import queue
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import structlog

from cambist.door.protocol import Code, Read, Refused, StreamKind, View, Welcome
from cambist.door.server_shell import Door
from cambist.feeds.streams import ALL, PUBLIC, Batch, account_row
from cambist.feeds.views import LOG_VIEWS, BadArgument, UnknownView
from cambist.log.disk import DiskFull
from cambist.log.disk_shell import RealDisk
from cambist.log.entry import Entry
from cambist.log.times import Row, Times
from cambist.loops import settle
from cambist.node import Broken, Cell, Node, Told, close_node, open_node

OVERLAP_RECORDS = 2048                                  # so many in one batch, and it is worth two changes of thread to apply another meanwhile
MAX_WAITING = 256                                       # questions that wait for a position
WAIT_SECONDS = 2.0                                      # how long they may
STATUS_SECONDS = 10.0
QUIET_SECONDS = 0.02                                   # so long without a command before room is made ahead, a slice at a time
NO_ROOM_SECONDS = 0.5                                  # how often a full disk is asked again
STAMPS_TOGETHER = 256                                   # stage times written at once
GENESIS_TOGETHER = 1024                                 # commands of the design in one entry
SWITCH_SECONDS = 0.00005                               # Python's own 5 ms between threads would be many times what a sync takes

log = structlog.get_logger("node")
monotonic_ns = (lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME)) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic_ns   # runs on while asleep


def row_of(stream: StreamKind, account: int) -> int:
    return account_row(account) if stream is StreamKind.ACCOUNT else ALL if stream is StreamKind.ALL else PUBLIC


class Beside(Protocol):
    """Where work is done that shall not keep the loop: one piece after the other, each `guarded`."""
    def put(self, *work: Any) -> None: ...
    def waiting(self) -> int: ...
    def end(self) -> None:
        """What was put is still done."""
        ...
    def over(self) -> bool: ...


class OwnThread:
    """A thread that does it. `put(function, *arguments)`."""
    def __init__(self, name: str, guarded: Callable[..., bool]):
        self._queue: queue.SimpleQueue[tuple[Any, ...] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._go_on, args=(guarded,), name=name, daemon=True)
        self._thread.start()

    def put(self, *work: Any) -> None:
        self._queue.put(work)

    def waiting(self) -> int:
        return self._queue.qsize()

    def end(self) -> None:
        self._queue.put(None)

    def over(self) -> bool:
        return not self._thread.is_alive()

    def _go_on(self, guarded: Callable[..., bool]) -> None:
        while (work := self._queue.get()) is not None and guarded(*work):
            pass


class Running:
    """A node at work: the `House` behind the door. `start` in the loop it shall work in; `stop` lets everything staged through first. The clocks and what
    works beside the loop are handed in, so that a simulator can run it in one thread."""
    def __init__(self, node: Node, times: Times | None = None, wall: Callable[[], int] = time.time_ns, monotonic: Callable[[], int] = monotonic_ns,
                 beside: Callable[[str, Callable[..., bool]], Beside] = OwnThread, keeper: Executor | None = None, overlap: int = OVERLAP_RECORDS):
        self.node, self.times, self.wall, self.monotonic, self._beside, self._overlap = node, times, wall, monotonic, beside, overlap
        self.door: Door | None = None
        self.failure: BaseException | None = None
        self.failed = asyncio.Event()
        self._due = self._writing = self._stopping = False          # a turn is; a batch is on its way to the disk; the end is near
        self._turns = 0
        self._questions: deque[tuple[Read, Callable[[View | Refused], None]]] = deque()
        self._stamps: list[Row] = []                    # told, and not yet written: fewer than STAMPS_TOGETHER and one batch
        self._waiting: list[tuple[float, Read, Callable[[View | Refused], None]]] = []
        self._writer: Beside
        self._recaller: Beside
        self._keeper = keeper or ThreadPoolExecutor(1, "keep")     # has work only within a turn
        self._quiet: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._writer, self._recaller = (self._beside(name, self._guarded) for name in ("write", "recall"))
        self._quiet = self._loop.call_later(QUIET_SECONDS, self._guarded, self._use_quiet, 0)

    async def stop(self) -> None:
        """No new business; what is staged becomes durable, is applied and told; then the threads end."""
        self.node.closing, self._stopping = True, True
        if self._quiet:
            self._quiet.cancel()
        while not self.failure and (self._writing or (self.node.staged and not self.node.stopped)):
            self._wake()
            await asyncio.sleep(0.002)
        for beside in (self._writer, self._recaller):
            beside.end()
        while not (self._writer.over() and self._recaller.over()):
            await asyncio.sleep(0.002)
        self._keeper.shutdown()
        while self._questions and not self.failure:
            self._answer_next()
        self._write_times()

    # ------------------------------------------------------------------------------------------------------------------ the house, in the loop
    def welcome(self) -> Welcome:
        return self.node.welcome()

    def submit(self, records: np.ndarray, attachments: bytes) -> Code:
        code = self.node.submit(records, attachments)
        if not code:
            self._wake()
        return code

    def turns_at_once(self) -> bool:
        return self._due and not self._writing and self.node.staged < self._overlap

    def kept(self) -> int:
        return self.node.results.position.sequence

    def last_number(self, stream: StreamKind, account: int) -> int:
        return self.node.streams.last_number(row_of(stream, account))

    def events(self, stream: StreamKind, account: int, number: int, limit: int) -> Batch:
        return self.node.streams.read(row_of(stream, account), number, limit)

    def ask(self, question: Read, answer: Callable[[View | Refused], None]) -> None:
        if question.at_least <= self.node.streams.position:
            self._question(question, answer)
        elif len(self._waiting) >= MAX_WAITING:
            self._loop.call_soon(answer, Refused(question.request, Code.OVERLOAD))
        else:
            self._waiting.append((self._loop.time() + WAIT_SECONDS, question, answer))

    def _question(self, question: Read, answer: Callable[[View | Refused], None]) -> None:
        if question.view not in LOG_VIEWS:
            self._questions.append((question, answer))
            if len(self._questions) == 1:
                self._loop.call_soon(self._answer_next)
        elif self._recaller.waiting() < MAX_WAITING:
            self._recaller.put(self._recall, question, answer)
        else:
            self._loop.call_soon(answer, Refused(question.request, Code.OVERLOAD))

    def _answer_next(self) -> None:
        """One question; the next one in another turn of the loop, so that many of them never keep an order waiting for more than one."""
        if self._questions:
            question, answer = self._questions.popleft()
            if self._questions:
                self._loop.call_soon(self._answer_next)
            answer(self._answer(question, self.node.view))

    def tick(self) -> None:
        """Called now and then: moves log time when nothing else does, and gives up on what waits for too long."""
        if not self._writing and self.node.tick_if_idle(self.wall()):
            self._wake()
        now, waiting = self._loop.time(), self._waiting
        self._waiting = [each for each in waiting if each[0] > now]
        for until, question, answer in waiting:
            if until <= now:
                answer(Refused(question.request, Code.NOT_YET, 0, f"the cell stands at {self.node.streams.position}"))

    # ------------------------------------------------------------------------------------------------------------------------------- a turn
    def _wake(self) -> None:
        """A turn, once whatever can be read now has been read."""
        if not self._due:
            self._due = True
            self._loop.call_soon(self._guarded, self._turn)

    def _turn(self) -> None:
        self._due = False
        if not self._writing and not self.failure and (entries := self._sealed()):      # whoever ends the writing looks at what was staged
            sealed = self.monotonic()
            if entries[-1].last_sequence - entries[0].first_sequence >= self._overlap:
                self._write_beside(entries, sealed)
            else:
                self.node.commit(entries)
                self._through(entries, sealed, self.monotonic())
        if self.door is not None:
            self.door.flush()

    def _sealed(self) -> list[Entry]:
        self._turns += 1
        try:
            return self.node.seal(self.wall(), self.monotonic()) if not self.node.stopped else []
        except Broken as fault:                         # the clock: reads go on, nothing is sealed until a person looks
            log.critical("sealing stopped", why=str(fault))
            return []

    def _write_beside(self, entries: list[Entry], sealed: int) -> None:
        self._writing = True
        self._writer.put(self._write, entries, sealed)

    def _written(self, entries: list[Entry], sealed: int, durable: int) -> None:
        """They are durable. If enough has gathered meanwhile it goes to the disk while they are applied."""
        self._writing = False
        if self.failure:
            return
        if self.node.staged >= self._overlap and (following := self._sealed()):
            self._write_beside(following, self.monotonic())
        self._through(entries, sealed, durable)
        if self.node.staged:
            self._wake()

    def _through(self, entries: list[Entry], sealed: int, durable: int) -> None:
        """Durable entries: each is applied and told at once, and its events are kept when it was; of several, while the next one is applied."""
        keeping: Future[Told] | None = None
        for entry in entries:
            events = self.node.run(entry)
            done = self.monotonic()
            rows = self.node.tell(Told(entry.first_sequence, entry.last_sequence, entry.time, events))
            if self.door is not None:
                self.door.grown(row_of, rows)
            self._stamp((entry.first_sequence, entry.count, entry.time, sealed, durable, done, self.monotonic()))
            if keeping is not None:
                keeping.result()
                self._kept()
            if entry is entries[-1]:
                self.node.keep(entry, events)
                self._kept()
            else:
                keeping = self._keeper.submit(self.node.keep, entry, events)
        if len(self._stamps) >= STAMPS_TOGETHER:
            self._write_times()
        if self._waiting:
            self._reached()

    def _kept(self) -> None:
        if self.door is not None:
            self.door.kept()

    def _reached(self) -> None:
        position, waiting = self.node.streams.position, self._waiting
        self._waiting = [each for each in waiting if each[1].at_least > position]
        for _, question, answer in waiting:
            if question.at_least <= position:
                self._question(question, answer)

    def _stamp(self, row: Row) -> None:
        """When an entry passed each point."""
        self._stamps.append(row)
        if self.node.archive is not None:
            self.node.archive.stamps.add(row)

    def _write_times(self) -> None:
        rows, self._stamps = self._stamps, []
        if self.times is not None:
            self.times.append(rows)

    def _use_quiet(self, turns: int) -> None:
        """Room is made ahead, a slice at a time, when there was no turn for a while."""
        pause = QUIET_SECONDS
        if turns == self._turns and not self._writing and not self.node.staged and not self.node.prepare():
            pause = NO_ROOM_SECONDS
        self._quiet = self._loop.call_later(pause, self._guarded, self._use_quiet, self._turns)

    # ----------------------------------------------------------------------------------------------------------------------- beside the loop
    def _guarded(self, work: Callable[..., None], *given: Any) -> bool:
        """Whether what comes after it may be done."""
        if self.failure:
            return False
        try:
            work(*given)
        except BaseException as fault:  # noqa: BLE001  the loop ends the process: nothing may be applied or told after this
            self.failure = self.failure or fault
            self.node.stopped = self.node.stopped or str(fault)
            self._stopping = True
            self._loop.call_soon_threadsafe(self.failed.set)
        return not self.failure

    def _write(self, entries: list[Entry], sealed: int) -> None:
        """Batches one after the other; while one is on its way no other is sealed."""
        self.node.commit(entries)
        self._loop.call_soon_threadsafe(self._guarded, self._written, entries, sealed, self.monotonic())

    def _recall(self, question: Read, answer: Callable[[View | Refused], None]) -> None:
        """Questions about the log, one after the other, while entries go on being applied."""
        told = Refused(question.request, Code.CLOSING) if self._stopping else self._answer(question, self.node.recall)
        self._loop.call_soon_threadsafe(answer, told)

    def _answer(self, question: Read, look: Callable[[str, bytes], tuple[int, bytes]]) -> View | Refused:
        try:
            position, body = look(question.view, question.argument)
        except UnknownView as fault:
            return Refused(question.request, Code.UNKNOWN_VIEW, 0, str(fault))
        except BadArgument as fault:
            return Refused(question.request, Code.BAD_ARGUMENT, 0, str(fault))
        except Exception as fault:  # noqa: BLE001  our bug, but a question changes nothing, so whoever asks must not be able to stop the house
            log.error("a view failed", view=question.view, why=str(fault), kind=type(fault).__name__)
            return Refused(question.request, Code.BAD_ARGUMENT, 0, f"{question.view}: {type(fault).__name__}: {fault}")
        return View(question.request, position, body)


async def serve(node: Node, socket_path: str, *, genesis: np.ndarray | None = None, genesis_attachments: bytes = b"", times: Times | None = None,
                stop: asyncio.Event | None = None) -> None:
    """Runs the node behind its door until `stop` is set or it fails. `genesis`: the design's commands, sealed first where nothing was started."""
    running = Running(node, times)
    settle()
    running.start()
    try:
        if genesis is not None:
            begin(running, genesis, genesis_attachments)
    except (Broken, DiskFull):
        await running.stop()
        raise
    door = running.door = Door(running, socket_path)
    await door.open()
    log.info("open", socket=socket_path, **_plain(node))
    stop = stop or asyncio.Event()
    ended = [asyncio.ensure_future(each.wait()) for each in (stop, running.failed)]
    ticking = asyncio.ensure_future(look_after(running))
    try:
        await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (ticking, *ended):
            task.cancel()
        await running.stop()
        if running.failure:
            await door.close(Code.STOPPED, str(running.failure))
        else:
            await door.close()
        log.info("closed", **_plain(node))
    if running.failure:
        raise running.failure


def begin(running: Running, genesis: np.ndarray, attachments: bytes) -> None:
    """Submits the design's commands where nothing was started; also when a crash left only a part of them: configuring a thing again changes nothing. Raises
    DiskFull, Broken."""
    if _started(running.node):
        return
    for start in range(0, len(genesis), GENESIS_TOGETHER):
        last = start + GENESIS_TOGETHER >= len(genesis)         # only START, the last of all, has an attachment
        if code := running.submit(genesis[start:start + GENESIS_TOGETHER], attachments if last else b""):
            raise (code is Code.DISK_FULL and running.node.full) or Broken(f"the design's commands were refused: {code.name}")


def _started(node: Node) -> bool:
    _, columns, rows = node.cell.tables(("cell",))["cell"]
    return bool(rows[0, columns.index("started")])


async def look_after(running: Running) -> None:
    """Ticks and status lines, off the path of commands."""
    told, pause = time.monotonic(), running.node.tick_period / 4e9
    while True:
        await asyncio.sleep(pause)
        running.tick()
        if time.monotonic() - told >= STATUS_SECONDS:
            told = time.monotonic()
            log.info("status", connections=len(running.door.connections) if running.door else 0, **_plain(running.node))


def _plain(node: Node) -> dict[str, Any]:
    return {name: value for name, value in node.facts().items() if name != "fingerprint"}


def run_node(directory: str, socket_path: str, *, number: int, fresh: Callable[[], Cell], load: Callable[[Any], Cell], genesis: np.ndarray | None = None,
             genesis_attachments: bytes = b"", opened: Callable[[], None] = lambda: None, **settings: Any) -> int:
    """The node of a directory behind a socket, until SIGTERM or SIGINT: 0. 1 when it had to stop, after it has said why. Raises what `open_node` does;
    `opened` is called when it is open, before it serves."""
    sys.setswitchinterval(SWITCH_SECONDS)
    disk = RealDisk()

    async def main(node: Node, times: Times) -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, stop.set)
        await serve(node, socket_path, genesis=genesis, genesis_attachments=genesis_attachments, times=times, stop=stop)

    node = open_node(disk, directory, number=number, fresh=fresh, load=load, lock=threading.Lock(), **settings)
    try:
        opened()
        times = Times(disk, directory)
        try:
            asyncio.run(main(node, times))
        finally:
            times.close()
            close_node(node)
    except Exception as fault:  # noqa: BLE001  whatever it was, a person must be able to read it
        log.critical("stopped", why=str(fault), kind=type(fault).__name__)
        return 1
    return 0
