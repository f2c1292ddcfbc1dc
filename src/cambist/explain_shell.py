"""`cambist explain DIR ID`: the story of a quote, a trade, a refusal or any id, read from the log and its results on disk. No node is needed.

Decides how the questions of `ops/story.py` are answered from files, and how a story is printed. It writes nothing and takes no lock: beside a running node it
tells what was there when it looked. Results are scanned once for each question; memory is that of one entry.
"""
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from cambist.changes import running_design
from cambist.credentials import CredentialError
from cambist.credentials_shell import Secrets
from cambist.design import read_design
from cambist.dictionary import Dictionary
from cambist.inspection import NoLog
from cambist.log.disk import Disk
from cambist.log.disk_shell import RealDisk
from cambist.log.entry import Entry, side_item
from cambist.log.lookup import Lookup
from cambist.log.results import ResultsReader
from cambist.log.times import find_times
from cambist.messages import COMMAND, EVENT, Event, named
from cambist.opaque import BadId, IdKind, Opaque
from cambist.ops import budgets
from cambist.ops.price_parts import PriceParts
from cambist.ops.story import WINDOW_MOST, Record, Row, Story, Window, in_plain_data, read_subject, tell_from
from cambist.ops.wording import moment, span

WIDTH = 118                                     # of a table; lines are as long as they are, so that an id is never broken
STAMPS = ("sealed", "durable", "applied", "told")
TONES = {"alert": "bold magenta", "bad": "bold red", "good": "green", "plain": ""}


class PlainIds(Opaque):
    """Ids of a directory that has no key to hide them: the numbers themselves."""

    def __init__(self) -> None:
        super().__init__(bytes(16))

    def text(self, kind: IdKind, number: int) -> str:
        return str(number)

    def number(self, kind: IdKind, text: str) -> int:
        raise BadId(f"{text[:40]!r} cannot be read: this directory has no secrets, so its ids are plain numbers")

    def read(self, text: str) -> None:
        return None


def explain(directory: Path, text: str, *, as_json: bool, say: Callable[[str], None]) -> int:
    """Prints the story; 0, or 1 when nothing is known of it. Raises UnknownSubject, NoLog, DesignError, Damaged, DiskError."""
    words = dictionary_of(RealDisk(), directory)
    source = LogSource(RealDisk(), str(directory))
    story = tell_from(read_subject(text, words), words, source)
    stages, reached = measured(story, words)
    if as_json:
        say(msgspec.json.encode({**in_plain_data(story), **(budgets.in_plain_data(stages, reached) if stages else {})}).decode())
    else:
        console = Console(width=WIDTH, highlight=False)
        show(console, story)
        if stages:
            show_stages(console, stages, reached)
    return 0 if story.steps else 1


def dictionary_of(disk: Disk, directory: Path) -> Dictionary:
    """The words of the directory's running design. Raises NoLog where nothing was started."""
    running = running_design(disk, str(directory))
    if running is None:
        raise NoLog(str(directory))
    try:
        ids = Opaque(Secrets(directory).ids_key)
    except CredentialError:                     # `cambist demo --keep` makes no secrets
        ids = PlainIds()
    return Dictionary(read_design(running.text, "the running design"), running.names, ids)


def measured(story: Story, words: Dictionary) -> tuple[list[budgets.Measured], list[budgets.Target]]:
    """The stages of a request's story beside their budgets; nothing for other stories."""
    trip = budgets.trip_of(story, (words.names["accounts"][name] for name in words.design.house.desks))
    if trip.request is None:
        return [], []
    stages = budgets.waterfall(trip, words.design)
    return stages, budgets.targets(stages, words.design)


# ------------------------------------------------------------------------------------------------------------------- reading
class LogSource:
    """Answers from DIRECTORY/log, DIRECTORY/results and the stage times beside them."""

    def __init__(self, disk: Disk, directory: str) -> None:
        self._disk, self._directory = disk, directory
        self._results = ResultsReader(disk, f"{directory}/results")
        self._log = Lookup(disk, f"{directory}/log")

    def find(self, ids: tuple[int, ...], kinds: tuple[int, ...]) -> list[Row]:
        wanted = np.array(ids, np.int64)
        found = self._scan(lambda rows, _: (np.isin(rows["id"], wanted) | np.isin(rows["other"], wanted)) & (np.isin(rows["kind"], kinds) if kinds else True))
        return list(found)

    def window(self, asked: Window) -> list[Row]:
        def within(rows: np.ndarray, time: int) -> Any:
            if time < asked.since or (asked.until is not None and time >= asked.until):
                return np.zeros(len(rows), bool)
            keep = np.isin(rows["kind"], asked.kinds)
            for name, value in (("account", asked.account), ("instrument", asked.instrument)):
                keep &= (rows[name] == value) if value else True
            return keep
        found = []
        for row in self._scan(within):
            found.append(row)
            if len(found) == WINDOW_MOST:
                break
        return found

    def reference(self, instrument: int, sequence: int) -> int | None:
        last = None
        for row in self._scan(lambda rows, _: (rows["kind"] == Event.REFERENCE) & (rows["instrument"] == instrument) & (rows["account"] == 0)):
            if row["sequence"] >= sequence:
                break
            last = row["price"]
        return last

    def _scan(self, keep: Callable[[np.ndarray, int], Any]) -> Iterator[Row]:
        for kept in self._results.read(1):
            rows = np.frombuffer(kept.events, EVENT)
            for row in rows[keep(rows, kept.time)]:
                yield _row(row, kept.time)

    # -- commands
    def records(self, sequences: tuple[int, ...]) -> list[Record]:
        """Those that are there, in order. One without results yet was not told to anyone, and is left out."""
        found = []
        for sequence in sorted(set(sequences)):
            kept, entry = self._results.find(sequence), self._log.find(sequence)
            if kept is not None and kept.first_sequence <= sequence <= kept.last_sequence and entry is not None:
                rows = np.frombuffer(kept.events, EVENT)
                found.append(self._record(entry, sequence, [_row(row, kept.time) for row in rows[rows["sequence"] == sequence]]))
        return found

    def _record(self, entry: Entry, sequence: int, events: list[Row]) -> Record:
        at = sequence - entry.first_sequence
        row = np.frombuffer(entry.records, COMMAND)[at:at + 1]
        side = int(row["attachment"][0])
        attached = side_item(entry, side).decode(errors="replace") if side else None
        return Record(sequence, entry.time, int(row["kind"][0]), named(row), attached, self._stamps(sequence), events)

    def _stamps(self, sequence: int) -> dict[str, int] | None:
        for row in find_times(self._disk, self._directory, sequence, 1):
            if row["first_sequence"] <= sequence < row["first_sequence"] + row["count"]:
                return {name: int(row[name]) for name in STAMPS}
        return None


def _row(event: np.void, time: int) -> Row:
    return {**dict(zip(EVENT.names or (), event.tolist(), strict=True)), "time": time}


# ------------------------------------------------------------------------------------------------------------------ printing
def show(console: Console, story: Story) -> None:
    """A story as a person reads it: each command with what followed, the parts of each price, and why what was refused was."""
    console.out(f"{story.subject}: {story.title}", style="bold")
    for step in story.steps:
        console.out(f"\n{moment(step.time)}  @{step.sequence}{f'  +{span(step.after)}' if step.after else ''}", style="dim")
        console.out(f"  {step.who} {step.text}")
        for line in step.lines:
            console.out(f"    {'!' if line.tone in ('bad', 'alert') else '-'} {line.text}{_ids(line.facts)}", style=TONES[line.tone])
        if step.more:
            console.out(f"    and {step.more} more")
        for text in step.why:
            console.out(f"      {text}", style=TONES["bad"])
        if step.parts:
            show_parts(console, step.parts)
    for note in story.notes:
        console.out(f"\n{note}", style="italic")


def _ids(facts: tuple[tuple[str, str], ...]) -> str:
    named = [f"{name} {text}" for name, text in facts if name in ("order", "request", "quote", "child", "obligation", "held", "match")]
    return f"  ({', '.join(named)})" if named else ""


def show_parts(console: Console, parts: PriceParts) -> None:
    """The sum of a price, and below it what it was made from."""
    mode = ": ".join(text for text in (parts.mode, ", ".join(parts.reasons)) if text)
    table = Table(title=f"the price's parts (rule {parts.version}, {mode})", title_justify="left")
    for name, justify in (("part", "left"), ("bid", "right"), ("bp", "right"), ("ask", "right"), ("bp", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for part in parts.parts:
        table.add_row(part.label, part.bid, part.bid_points, part.ask, part.ask_points)
    table.add_row("price", parts.bid, "", parts.ask, "", style="bold")
    used = "; ".join(f"{one.source} {one.price} ({one.use}, {one.age} old)" for one in parts.inputs)
    console.print(table)
    console.out(f"sources: {used}")
    console.out(f"position then {parts.position}, volatility {parts.volatility}, standing {parts.stands}")


def show_stages(console: Console, stages: list[budgets.Measured], reached: list[budgets.Target]) -> None:
    """Each stage beside its budget; one that was not measured says why."""
    table = Table(title="stages beside their budgets", title_justify="left")
    for name, justify in (("stage", "left"), ("took", "right"), ("budget", "right"), ("", "left"), ("at", "right"), ("clock", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for s in stages:
        took = span(s.ns) if s.ns is not None else "unmeasured"
        table.add_row(s.stage, took, span(s.budget), "OVER" if s.over else "" if s.ns is not None else s.why, f"@{s.sequence}" if s.sequence else "", s.clock)
    for t in reached:
        table.add_row(f"{t.name}: {t.first} to {t.last}", span(t.ns) if t.ns is not None else "unmeasured", span(t.budget), "OVER" if t.over else "", "", "")
    console.print(table)
