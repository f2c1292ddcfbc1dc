"""The node as a process: threads, clocks, signals and the socket around `Node`.

Decides what overlaps with what. One thread seals and makes durable, one applies and keeps results, the loop receives and tells: while one batch is on its
way to the disk the next one gathers, which is the whole of group commit, and the batch before it is applied. Another reads files for who asks about the
log. It must not know what a command means.
"""
import asyncio
import contextlib
import queue
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import structlog

from cambist.door.protocol import Code, Read, Refused, StreamKind, View, Welcome
from cambist.door.server_shell import Door
from cambist.feeds.streams import ALL, PUBLIC, Batch, account_row
from cambist.feeds.views import LOG_VIEWS, BadArgument, UnknownView
from cambist.log.disk_shell import RealDisk
from cambist.log.entry import Entry
from cambist.log.times import Row, Times
from cambist.node import Broken, Cell, Node, Told, close_node, open_node

MAX_TO_APPLY = 32                                       # durable entries waiting for the core: then the log waits
MAX_TO_TELL = 256                                       # applied entries waiting for the loop: then the core waits
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


def stream_of(row: int) -> tuple[StreamKind, int]:
    return (StreamKind.ALL, 0) if row == ALL else (StreamKind.PUBLIC, 0) if row == PUBLIC else (StreamKind.ACCOUNT, row - 1)


class Running:
    """A node at work: the `House` behind the door. `start` in the loop it shall tell; `stop` lets everything staged through first."""
    def __init__(self, node: Node, times: Times | None = None, wall: Callable[[], int] = time.time_ns, monotonic: Callable[[], int] = monotonic_ns):
        self.node, self.times, self.wall, self.monotonic = node, times, wall, monotonic
        self.door: Door | None = None
        self.failure: BaseException | None = None
        self.failed = asyncio.Event()
        self._staged, self._stopping = threading.Event(), False
        self._to_apply: queue.Queue[tuple[Entry, int, int] | None] = queue.Queue(MAX_TO_APPLY)
        self._questions: deque[tuple[Read, Callable[[View | Refused], None]]] = deque()
        self._to_tell: deque[tuple[Told, int, int, int]] = deque()       # sealed, durable, applied
        self._room_to_tell = threading.Semaphore(MAX_TO_TELL)
        self._telling = False
        self._stamps: deque[Row] = deque()              # told, and not yet written: fewer than STAMPS_TOGETHER and what waits to be told
        self._to_recall: queue.SimpleQueue[tuple[Read, Callable[[View | Refused], None]] | None] = queue.SimpleQueue()
        self._waiting: list[tuple[float, Read, Callable[[View | Refused], None]]] = []
        self._threads = [threading.Thread(target=self._guarded, args=(work,), name=name, daemon=True)
                         for name, work in (("seal", self._seal_on), ("apply", self._apply_on), ("recall", self._recall_on))]

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        for thread in self._threads:
            thread.start()

    async def stop(self) -> None:
        """No new business; what is staged becomes durable, is applied and told; then the threads end."""
        self.node.closing, self._stopping = True, True
        self._staged.set()
        self._to_recall.put(None)
        for thread in self._threads:
            while thread.is_alive():
                await asyncio.sleep(0.002)
        self._tell()
        self._write_times()

    # ------------------------------------------------------------------------------------------------------------------ the house, in the loop
    def welcome(self) -> Welcome:
        return self.node.welcome()

    def submit(self, records: np.ndarray, attachments: bytes) -> Code:
        code = self.node.submit(records, attachments)
        if not code:
            self._staged.set()
        return code

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
        if question.view in LOG_VIEWS:
            if self._to_recall.qsize() < MAX_WAITING:
                self._to_recall.put((question, answer))
            else:
                self._loop.call_soon(answer, Refused(question.request, Code.OVERLOAD))
            return
        self._questions.append((question, answer))
        with contextlib.suppress(queue.Full):           # then it is at work, and looks at the questions after each entry
            self._to_apply.put_nowait(None)

    def tick(self) -> None:
        """Called now and then: moves log time when nothing else does, and gives up on what waits for too long."""
        if self.node.tick_if_idle(self.wall()):
            self._staged.set()
        now, waiting = self._loop.time(), self._waiting
        self._waiting = [each for each in waiting if each[0] > now]
        for until, question, answer in waiting:
            if until <= now:
                answer(Refused(question.request, Code.NOT_YET, 0, f"the cell stands at {self.node.streams.position}"))

    def _tell(self) -> None:
        self._telling = False                           # before looking, so that what comes while we look is looked at again
        grown: set[tuple[StreamKind, int]] = set()
        passed: list[tuple[Told, int, int, int]] = []
        while self._to_tell:
            passed.append(self._to_tell.popleft())
            rows = self.node.tell(passed[-1][0])
            self._room_to_tell.release()
            if self.door is not None:
                grown.update(key for row in rows.tolist() if (key := stream_of(row)) in self.door.listeners)
        if self.door is not None:
            self.door.told(sorted(grown))
        self._stamp(passed)
        if self._waiting:
            position, waiting = self.node.streams.position, self._waiting
            self._waiting = [each for each in waiting if each[1].at_least > position]
            for _, question, answer in waiting:
                if question.at_least <= position:
                    self._question(question, answer)

    def _stamp(self, passed: list[tuple[Told, int, int, int]]) -> None:
        """What was told by now: each entry's log time, and when it passed each point."""
        now = self.monotonic()
        for told, sealed, durable, applied in passed:
            row = told.first, told.last - told.first + 1, told.time, sealed, durable, applied, now
            self._stamps.append(row)
            if self.node.archive is not None:
                self.node.archive.stamps.add(row)

    # --------------------------------------------------------------------------------------------------------------------------- the threads
    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as fault:  # noqa: BLE001  the loop ends the process: nothing may be applied or told after this
            self.failure = self.failure or fault
            self.node.stopped = self.node.stopped or str(fault)
            self._stopping = True
            self._staged.set()
            with contextlib.suppress(queue.Full):
                self._to_apply.put_nowait(None)
            self._loop.call_soon_threadsafe(self.failed.set)

    def _seal_on(self) -> None:
        pause = QUIET_SECONDS
        while not (self._stopping and (self.failure or not self.node.staged)):
            if not self._staged.wait(pause):
                pause = QUIET_SECONDS if self.node.prepare() else NO_ROOM_SECONDS
                continue
            self._staged.clear()
            pause = QUIET_SECONDS
            try:
                entries = self.node.seal(self.wall(), self.monotonic())
            except Broken as fault:                     # the clock: reads go on, nothing is sealed until a person looks
                log.critical("sealing stopped", why=str(fault))
                break
            if entries:
                sealed = self.monotonic()
                self.node.commit(entries)
                durable = self.monotonic()
                for entry in entries:
                    self._hand_over((entry, sealed, durable))
        while not self._stopping:
            self._staged.wait(0.1)
        self._hand_over(None)

    def _hand_over(self, work: tuple[Entry, int, int] | None) -> None:
        """Waits for the core while it lives."""
        while not self.failure:
            try:
                self._to_apply.put(work, timeout=0.1)
                return
            except queue.Full:
                continue

    def _apply_on(self) -> None:
        while not self.failure:
            work = self._to_apply.get()
            if work is not None:
                passed = self._applied(*work)
                while not self._room_to_tell.acquire(timeout=0.1):
                    if self._stopping:
                        break                           # the loop tells the rest when we have ended
                self._to_tell.append(passed)
                if not self._telling:
                    self._telling = True
                    self._loop.call_soon_threadsafe(self._tell)
            while self._questions:
                question, answer = self._questions.popleft()
                self._loop.call_soon_threadsafe(answer, self._answer(question, self.node.view))
            if work is None and self._stopping and self._to_apply.empty():      # only then: a wake-up for each wake-up would never come to an end
                if not self._threads[0].is_alive():
                    return
                self._wake_later()

    def _applied(self, entry: Entry, sealed: int, durable: int) -> tuple[Told, int, int, int]:
        events = self.node.run(entry)
        applied = self.monotonic()
        told = self.node.keep(entry, events)
        if len(self._stamps) >= STAMPS_TOGETHER:
            self._write_times()
        return told, sealed, durable, applied

    def _write_times(self) -> None:
        rows = [self._stamps.popleft() for _ in range(len(self._stamps))]        # the loop goes on adding
        if self.times is not None:
            self.times.append(rows)

    def _wake_later(self) -> None:
        time.sleep(0.001)
        with contextlib.suppress(queue.Full):
            self._to_apply.put_nowait(None)

    def _recall_on(self) -> None:
        """Questions about the log, one after the other, while entries go on being applied."""
        while not self.failure and (waiting := self._to_recall.get()) is not None:
            question, answer = waiting
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
    running.start()
    if genesis is not None and not _started(node):      # also when a crash left only a part of it: configuring a thing again changes nothing
        for start in range(0, len(genesis), GENESIS_TOGETHER):
            last = start + GENESIS_TOGETHER >= len(genesis)         # only START, the last of all, has an attachment
            if code := running.submit(genesis[start:start + GENESIS_TOGETHER], genesis_attachments if last else b""):
                raise Broken(f"the design's commands were refused: {code.name}")
    door = running.door = Door(running, socket_path)
    await door.open()
    log.info("open", socket=socket_path, **_plain(node))
    stop = stop or asyncio.Event()
    ended = [asyncio.ensure_future(each.wait()) for each in (stop, running.failed)]
    ticking = asyncio.ensure_future(_look_after(running))
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


def _started(node: Node) -> bool:
    _, columns, rows = node.cell.tables()["cell"]
    return bool(rows[0, columns.index("started")])


async def _look_after(running: Running) -> None:
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
