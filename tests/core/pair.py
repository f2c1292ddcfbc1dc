"""Kernel and twin side by side: the same entries to both, and what they say and hold compared byte by byte. Counts what was met."""
from collections import Counter

import numpy as np

from cambist.core.cell import Cell
from cambist.messages import Event, Kind, Reason, named
from cambist.simulation.invariants import PublicBook, invariants
from cambist.simulation.twin import Twin
from tests.core.engines import BOTH_COMPLETE
from tests.core.flows import Flow, Tables
from tests.core.world import SIZES, early_records, world_records
from tests.scenarios import SECOND

BEGIN = 1_000 * SECOND


class Seen:
    """What every pair of a run has met."""

    def __init__(self) -> None:
        self.commands = 0
        self.accepted: Counter[int] = Counter()
        self.refused: Counter[int] = Counter()
        self.events: Counter[int] = Counter()
        self.refusals: Counter[int] = Counter()         # reasons of REFUSED
        self.reasons: Counter[int] = Counter()          # reasons of anything

    def note(self, records: np.ndarray, events: np.ndarray, before: int) -> None:
        self.commands += len(records)
        no = np.unique(events["sequence"][(events["kind"] == Event.REFUSED) | (events["kind"] == Event.DUPLICATE)]) - before - 1
        mask = np.zeros(len(records), bool)
        mask[no] = True
        self.refused.update(records["kind"][mask].tolist())
        self.accepted.update(records["kind"][~mask].tolist())
        self.events.update(events["kind"].tolist())
        self.refusals.update(events["reason"][events["kind"] == Event.REFUSED].tolist())
        self.reasons.update(events["reason"].tolist())

    def table(self) -> str:
        lines = [f"{self.commands:,} commands, {sum(self.accepted.values()) / max(1, self.commands):.0%} accepted",
                 f"{'kind':<24}{'accepted':>9}{'refused':>9}"]
        lines += [f"{k.name:<24}{self.accepted[k]:>9,}{self.refused[k]:>9,}" for k in Kind]
        lines += ["events: " + ", ".join(f"{e.name} {self.events[e]:,}" for e in Event)]
        lines += ["reasons: " + ", ".join(f"{r.name} {self.reasons[r]:,}" for r in Reason)]
        return "\n".join(lines)


SEEN = Seen()


def told(event: np.void | None) -> dict[str, object]:
    """An event in words, for a failure's message."""
    if event is None:
        return {}
    row: dict[str, object] = {name: int(event[name]) for name in event.dtype.names if event[name]}
    row["kind"] = Event(int(event["kind"])).name
    if event["reason"]:
        row["reason"] = Reason(int(event["reason"])).name
    return row


def event_difference(kernel: np.ndarray, twin: np.ndarray, records: np.ndarray, before: int) -> str:
    """The first event that differs and the command it belongs to; empty when there is none."""
    if kernel.tobytes() == twin.tobytes():
        return ""
    for i in range(max(len(kernel), len(twin))):
        a, b = (side[i] if i < len(side) else None for side in (kernel, twin))
        if a is None or b is None or a.tobytes() != b.tobytes():
            at = int((b if a is None else a)["sequence"]) - before - 1
            fields = {n: v for n, v in named(records[at:at + 1]).items() if v} if 0 <= at < len(records) else {}
            return f"event {i}\n  kernel {told(a)}\n  twin   {told(b)}\n  at command {at} of the entry: {fields}"
    return "the events differ in their padding"


def of_columns(table: tuple[int, tuple[str, ...], np.ndarray], columns: tuple[str, ...]) -> np.ndarray:
    """The rows of a table as far as these columns say; in ascending order."""
    matrix = table[2][:, [table[1].index(column) for column in columns]]
    return matrix[np.lexsort(matrix.T[::-1])] if len(matrix) else matrix


def table_difference(one: Tables, other: Tables) -> str:
    """The first table that differs; empty when there is none. Until both engines are complete the first says which tables and columns are looked at."""
    for name, (version, columns, matrix) in one.items():
        if BOTH_COMPLETE and (version, columns) != other[name][:2]:
            return f"table {name}: version or columns differ"
        if not np.array_equal(matrix, of_columns(other[name], columns)):
            a, b = ({tuple(row) for row in m.tolist()} for m in (matrix, of_columns(other[name], columns)))
            return f"table {name} {columns}\n  first  {sorted(a - b)[:3]}\n  second {sorted(b - a)[:3]}"
    return "" if not BOTH_COMPLETE or list(one) == list(other) else "the tables are not in the same order"


class Pair:
    """A started world on both engines."""

    def __init__(self) -> None:
        self.kernel, self.twin, self.now = Cell(SIZES), Twin(answer_capacity=SIZES["answers"]), BEGIN
        self.source, self.public = Flow(0), PublicBook()
        self.submit(np.concatenate(early_records()))
        self.submit(np.concatenate(world_records()))

    def submit(self, records: np.ndarray) -> None:
        """One entry to both; everything must agree, and the auditor must be content."""
        before = self.kernel.sequence
        kernel, twin = self.kernel.apply(records, self.now), self.twin.apply(records, self.now)
        if found := event_difference(kernel, twin, records, before):
            raise AssertionError(found)
        self.tables = self.kernel.tables()
        if found := table_difference(self.tables, self.twin.tables()):
            raise AssertionError(found)
        # fills and reversals may take a desk anywhere, so its short limit is not looked at
        assert invariants(self.tables, desk_forced=True) == []
        assert [*self.public.hear(kernel), *self.public.differs(self.tables)] == []
        SEEN.note(records, kernel, before)

    def flow(self, seed: int, weights: dict[str, float], count: int, jump: int = 0) -> None:
        self.now += jump
        self.source.random.seed(seed)
        self.submit(self.source.entry(weights, count, self.now, self.tables))

    def restart(self) -> None:
        """The kernel goes on from its snapshot."""
        self.kernel = Cell.load(self.tables, SIZES)
        if found := table_difference(self.tables, self.kernel.tables()):
            raise AssertionError(f"after a restart: {found}")
