"""Kernel and twin side by side: the same entries to both, and what they say and hold compared byte by byte."""
import numpy as np

from cambist.core.cell import Cell
from cambist.messages import Event, Reason, named
from cambist.simulation.invariants import PublicBook, invariants, strangers
from cambist.simulation.twin import Twin
from tests.core.flows import Flow, Tables
from tests.core.seen import Seen
from tests.core.world import SIZES, early_records, world_records
from tests.scenarios import SECOND

BEGIN = 1_000 * SECOND


SEEN = Seen()                                   # of every pair of this process


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


def table_difference(one: Tables, other: Tables) -> str:
    """The first table that differs; empty when there is none."""
    for name, (version, columns, matrix) in one.items():
        if (version, columns) != other[name][:2]:
            return f"table {name}: version or columns differ"
        if not np.array_equal(matrix, other[name][2]):
            a, b = ({tuple(row) for row in m.tolist()} for m in (matrix, other[name][2]))
            return f"table {name} {columns}\n  first  {sorted(a - b)[:3]}\n  second {sorted(b - a)[:3]}"
    return "" if list(one) == list(other) else "the tables are not in the same order"


class Pair:
    """A started world on both engines."""

    def __init__(self) -> None:
        self.kernel, self.twin, self.now = Cell(SIZES), Twin(answer_capacity=SIZES["answers"]), BEGIN
        self.source, self.public, self.tables = Flow(0), PublicBook(), self.kernel.tables()
        self.submit(np.concatenate(early_records()))
        self.submit(np.concatenate(world_records()))

    def submit(self, records: np.ndarray) -> None:
        """One entry to both; everything must agree, and the auditor must be content."""
        before = self.kernel.sequence
        kernel, twin = self.kernel.apply(records, self.now), self.twin.apply(records, self.now)
        self.last = kernel
        if found := event_difference(kernel, twin, records, before):
            raise AssertionError(found)
        last, self.tables = self.tables, self.kernel.tables()
        if found := table_difference(self.tables, self.twin.tables()):
            raise AssertionError(found)
        # fills and reversals may take a desk anywhere, so its short limit is not looked at
        found = [*invariants(self.tables, desk_forced=True), *strangers(self.tables, records, kernel, last)]
        assert found == [], found
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
