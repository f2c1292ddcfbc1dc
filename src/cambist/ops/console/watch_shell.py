"""What the console knows: the running node through one link, the stream of the house in a read model, views kept for a moment.

Decides what is asked of the node and how often, whatever the number of open pages. It must not draw anything. It starts before the node is there and lives on
when it is gone: `words` is None until the design was read once, and `connected` says whether what is shown is of now.
"""
import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cambist.design import read_design
from cambist.dictionary import Dictionary
from cambist.door.client import Code, DoorClosed, Events, RefusedByDoor, Role, StreamKind
from cambist.door.link_shell import Link
from cambist.messages import CONFIGURE, EVENT, Event, Kind, Liquidity
from cambist.opaque import Opaque
from cambist.ops import budgets
from cambist.ops.console.enquiries import KEPT_NS, KINDS, Enquiries, remembered
from cambist.ops.history_shell import History
from cambist.ops.oversight import Held, Latch, held_shown, latches
from cambist.ops.story import Find, Question, Read, Record, Reference, Row, Story, Subject, Window, tell

RECORDS_MOST = 1_024                            # commands kept as read; they never change
TRADES_MOST = 200                               # measured for the page of latencies
WATCHED_NS = 15 * 60 * 10**9                    # how long a trade's later stages are waited for
MEASURE_SECONDS, SETTLE_NS = 1.0, 2 * 10**9     # how often trades are measured, and how long after a trade for the first time
# Seconds a view is kept.
FRESH = {"status": 1.0, "instruments": 1.0, "held": 2.0, "children": 1.0, "account": 2.0, "controls": 2.0, "design": 30.0, "custody": 3.0, "obligations": 2.0}
TOPICS = {int(Event.REQUEST_OPENED): "queue", int(Event.QUOTED): "queue", int(Event.QUOTE_ENDED): "queue", int(Event.REQUEST_ENDED): "queue",
          int(Event.HELD): "held", int(Event.APPROVED): "held", int(Event.DENIED): "held", int(Event.HELD_EXPIRED): "held", int(Event.ALERT): "doubts",
          int(Event.CHILD_CHANGED): "doubts", int(Event.SESSION_CHANGED): "state", int(Event.PROTECTED): "state", int(Event.SWEPT): "state"}
LATCHING = frozenset({Kind.HALT, Kind.RESUME, Kind.KILL, Kind.REVIVE, Kind.KILL_ALL, Kind.REVIVE_ALL, Kind.KILL_TRADER, Kind.REVIVE_TRADER, Kind.SESSION,
                      Kind.RESET_PROTECTION, Kind.APPROVE})
GONE = (DoorClosed, RefusedByDoor, OSError)
BACK_MOST = 1_000                               # events read back when the console starts again


class Watch:
    """`changed(topics)` is called when something of these topics happened."""

    def __init__(self, socket: str, directory: Path, ids: Callable[[], bytes], changed: Callable[..., None], say: Callable[[str], None]) -> None:
        self.link = Link(socket, Role.GATEWAY)
        self.link.on_change.append(lambda up: changed("state"))
        self.words: Dictionary | None = None
        self.text = ""                          # of the running design
        self.design_sequence = 0
        self.history: History | None = None
        self.queue = Enquiries()
        self.measured: OrderedDict[int, tuple[int, list[budgets.Measured]]] = OrderedDict()     # quote -> (log time of the trade, its stages)
        self.trades = 0                         # seen since this process started
        self._ids, self._changed, self._say, self._path = ids, changed, say, directory / "read" / "console.db"
        self._kept: dict[tuple, tuple[float, Any]] = {}
        self._asked: dict[tuple, asyncio.Future] = {}
        self._records: OrderedDict[int, Record] = OrderedDict()
        self._unmeasured: deque[tuple[int, int]] = deque(maxlen=TRADES_MOST)    # (quote, log time)
        self._stale_design = asyncio.Event()
        self._caught_up = False

    @property
    def connected(self) -> bool:
        return self.link.connected and self.words is not None

    async def run(self) -> None:
        """Until it is cancelled."""
        await self.link.start(None)
        await self._design()
        while self.words is None:
            await asyncio.sleep(0.5)
            await self._design()
        self._follow()
        await asyncio.gather(self._keep_design(), self._keep_measuring())

    async def close(self) -> None:
        await self.link.close()
        if self.history is not None:
            self.history.close()

    # ------------------------------------------------------------------------------------------------------------------ the stream
    def _follow(self) -> None:
        welcome = self.link.welcome
        identity = f"cell {welcome.cell}, epoch {welcome.epoch}" if welcome else ""
        self.history = History(self._path, identity)
        since = time.time_ns() - self._words.design.cell.max_ttl - KEPT_NS
        self.queue = remembered(reversed(self.history.events(kinds=KINDS, since=since, limit=BACK_MOST)))
        for row in reversed(self.history.events(kinds=(Event.FILLED,), limit=BACK_MOST)):
            self._traded(row)
        self.link.follow(StreamKind.ALL, 0, self.history.cursor, self._heard, self._lost, patient=True)

    def _lost(self, code: Code) -> None:
        """Another log than the one this read model is of: it is made anew."""
        self._say(f"the stream of the house cannot be followed from here ({code.name}): its copy is made again")
        if self.history is not None and code is Code.BAD_CURSOR:
            self.history.clear()
            self.queue = Enquiries()
            self._records.clear()
            self.link.follow(StreamKind.ALL, 0, 1, self._heard, self._lost, patient=True)

    def _heard(self, batch: Events) -> None:
        assert self.history is not None
        self.history.add(batch)
        topics = set()
        for event, at in zip(batch.events.tolist(), batch.times.tolist(), strict=True):
            row = dict(zip(EVENT.names or (), event, strict=True)) | {"time": at}
            self.queue.learn(row)
            self._traded(row)
            if topic := TOPICS.get(row["kind"]):
                topics.add(topic)
            if row["kind"] == Event.DONE:
                self._done(row)
                topics.add("state")
            elif row["kind"] in (Event.TERMS_CHANGED, Event.DIGITS_CHANGED):
                self._stale_design.set()
            elif row["kind"] not in (Event.REFERENCE, Event.DUPLICATE, Event.INDICATIVE) and not _is_level(row["kind"]):
                topics.add("events")
        if "held" in topics or "state" in topics:
            self.forget("held")
        if "doubts" in topics:
            self.forget("children", "status", "account", "controls")
        if "state" in topics:
            self.forget("instruments", "controls")
        if topics:
            self._changed(*topics)

    def _traded(self, row: Row) -> None:
        if row["kind"] == Event.FILLED and row["liquidity"] == Liquidity.QUOTE and row["command"] == Kind.ACCEPT_QUOTE:
            self.trades += 1
            self._unmeasured.append((row["id"], row["time"]))

    def _done(self, row: Row) -> None:
        if row["command"] in CONFIGURE:
            self._stale_design.set()
        if row["command"] in LATCHING:
            self.forget("status", "instruments", "account", "controls")

    # ------------------------------------------------------------------------------------------------------------------- the design
    @property
    def _words(self) -> Dictionary:
        assert self.words is not None
        return self.words

    async def _design(self) -> None:
        try:
            _, told = await self.link.read("design")
        except GONE as fault:
            self._say(f"the design could not be read: {fault}")
            return
        if told["text"] != self.text:
            self.words = Dictionary(read_design(told["text"], "the running design"), told["names"], Opaque(self._ids()))
            self.text, self.design_sequence = told["text"], told["sequence"]
            self._changed("state")

    async def _keep_design(self) -> None:
        while True:
            try:
                async with asyncio.timeout(FRESH["design"]):
                    await self._stale_design.wait()
            except TimeoutError:
                pass                            # looked at now and then in any case
            self._stale_design.clear()
            await self._design()

    # ------------------------------------------------------------------------------------------------------------------------ views
    async def view(self, name: str, **argument: int) -> dict[str, Any]:
        """A view as it is now or was a moment ago. Raises DoorClosed, RefusedByDoor. Asked once for all who want it at the same time."""
        key = (name, *sorted(argument.items()))
        now = asyncio.get_running_loop().time()
        if key in self._kept and now - self._kept[key][0] < FRESH.get(name, 1.0):
            return self._kept[key][1]
        if key not in self._asked:
            self._asked[key] = asyncio.ensure_future(self._read(key, name, argument))
        return await asyncio.shield(self._asked[key])

    async def _read(self, key: tuple, name: str, argument: dict[str, int]) -> dict[str, Any]:
        try:
            if not self.link.connected:
                raise DoorClosed("the node is not reachable")
            _, told = await self.link.read(name, **argument)
            if self._asked.get(key) is asyncio.current_task():
                self._kept[key] = (asyncio.get_running_loop().time(), told)
            return told
        finally:
            if self._asked.get(key) is asyncio.current_task():
                del self._asked[key]

    def forget(self, *names: str) -> None:
        """These views are read again when they are wanted. An answer that is still under way may be of before: who waits for it gets it, nobody after them."""
        for answers in (self._kept, self._asked):
            for key in [key for key in answers if key[0] in names]:
                del answers[key]

    async def accounts(self) -> list[dict[str, Any]]:
        """The view of every account that trades."""
        return [await self.view("account", account=number) for number in self.trading()]

    def trading(self) -> list[int]:
        """Numbers of clients, dealers and desks."""
        design = self._words.design
        trading = {*design.clients, *design.dealers, *design.house.desks}
        return [number for name, number in self._words.names["accounts"].items() if name in trading]

    async def latches(self) -> list[Latch]:
        """What is stopped now. Raises DoorClosed, RefusedByDoor."""
        status, listed = await self.view("status"), await self.view("instruments")
        rows = [told["account"] for told in await self.accounts()]
        return latches(status["cell"], listed["instruments"], rows, self._words, await self.view("controls"))

    async def held(self) -> list[Held]:
        """What waits for a second person, the one that lapses first at the top."""
        rows = (await self.view("held"))["held"]
        kept = {record.sequence: record for record in await self.records(tuple(row["sequence"] for row in rows))}
        shown = []
        for row in rows:
            record = kept.get(row["sequence"])
            enquiry = self.queue.find(int(row["fields"].get("request", 0)))
            listed = self._words.listed_by_number(enquiry.instrument) if enquiry else None
            shown.append(held_shown(row, record.attachment if record else None, self._words, listed))
        return sorted(shown, key=lambda one: one.lapses)

    async def records(self, sequences: tuple[int, ...]) -> list[Record]:
        """Commands as they were recorded, in order; those that are not there are left out."""
        found = []
        for sequence in sequences:
            record = self._records.get(sequence) or await self._record(sequence)
            if record is not None:
                found.append(record)
        return found

    async def given(self, sequence: int) -> Record | None:
        """The command that what this one did was asked with: of an approval, the command that waited for it."""
        record = next(iter(await self.records((sequence,))), None)
        if record is None or record.kind != Kind.APPROVE or self.history is None:
            return record
        held = self.history.events(kinds=(Event.HELD,), id=record.fields["held"], limit=1)
        return next(iter(await self.records(tuple(row["sequence"] for row in held))), None)

    async def _record(self, sequence: int) -> Record | None:
        _, told = await self.link.read("record", sequence=sequence)
        if not told["known"]:
            return None
        fields, events = told["fields"], [{**row, "time": told["time"]} for row in told["events"]]
        record = Record(sequence, told["time"], int(fields["kind"]), fields, told["attachment"], told["stamps"], events)
        if told["stamps"]:                      # what has none yet may get them
            self._records[sequence] = record
            while len(self._records) > RECORDS_MOST:
                self._records.popitem(last=False)
        return record

    # ---------------------------------------------------------------------------------------------------------------------- stories
    async def story(self, subject: Subject) -> Story:
        """From the read model and the node. Raises DoorClosed, RefusedByDoor."""
        telling = tell(subject, self._words)
        question = next(telling)
        while True:
            try:
                question = telling.send(await self._answer(question))
            except StopIteration as done:
                return done.value

    async def _answer(self, question: Question) -> Any:
        assert self.history is not None
        match question:
            case Find(ids, kinds):
                rows = [row for number in ids for row in (self.history.about(number) if not kinds else self._of_kinds(number, kinds))]
                return sorted({row["number"]: row for row in rows}.values(), key=lambda row: row["number"])
            case Window(since, until, kinds, account, instrument):
                rows = self.history.events(kinds=kinds, account=account or None, instrument=instrument or None, since=since, until=until, limit=BACK_MOST)
                return rows[::-1]
            case Read(sequences): return await self.records(sequences)
            case Reference(): return None       # the read model leaves references out: there are too many

    def _of_kinds(self, number: int, kinds: Iterable[int]) -> list[Row]:
        assert self.history is not None
        return [row for row in self.history.about(number) if row["kind"] in kinds]

    # --------------------------------------------------------------------------------------------------------------------- latencies
    async def _keep_measuring(self) -> None:
        while True:
            await asyncio.sleep(MEASURE_SECONDS)
            try:
                await self._measure()
            except GONE as fault:
                self._say(f"trades are not measured while the node is away: {fault}")

    async def _measure(self) -> None:
        """The newest trade that is due; the others have their turn later. One at a time, so that measuring never is the load."""
        now = time.time_ns()
        waiting = [one for one in self._unmeasured if now - one[1] >= SETTLE_NS]
        if not waiting:
            waiting = [(quote, at) for quote, (at, stages) in self.measured.items() if now - at < WATCHED_NS and _unfinished(stages)][-1:]
        if not waiting:
            return
        quote, at = waiting[-1]
        stages = self.stages_of(await self.story(Subject("quote", quote)))
        if (quote, at) in self._unmeasured:
            self._unmeasured.remove((quote, at))
        self.measured[quote] = (at, stages)
        for old in sorted(self.measured, key=lambda n: self.measured[n][0])[:-TRADES_MOST]:
            del self.measured[old]
        self._changed("latency")

    def stages_of(self, story: Story) -> list[budgets.Measured]:
        desks = [self._words.names["accounts"][name] for name in self._words.design.house.desks]
        return budgets.waterfall(budgets.trip_of(story, desks), self._words.design)


def _is_level(kind: int) -> bool:
    return kind in Event._value2member_map_ and Event(kind).name == "LEVEL"


def _unfinished(stages: list[budgets.Measured]) -> bool:
    return any(one.ns is None and one.stage in ("hedged", "netted", "settled") for one in stages)
