"""A cell that follows the whole of docs/rules.md, for tests of what stands around it: the kernel, uncompiled, once it is complete; until then the twin."""
from cambist.core.cell import Cell
from cambist.simulation.twin import Twin

from tests.core.engines import BOTH_COMPLETE


class TwinCell:
    """The twin as a node holds a cell."""
    fingerprint = Cell.fingerprint

    def __init__(self, wanted=None):
        self.twin = Twin(answer_capacity=(wanted or {}).get("answers", 1 << 20))

    @property
    def sequence(self):
        return self.twin.sequence

    @property
    def time(self):
        return self.twin.time

    def apply(self, records, time):
        return self.twin.apply(records, time)

    def tables(self, names=()):
        whole = self.twin.tables()
        return {name: whole[name] for name in names or whole}


def complete_cell(wanted=None):
    return Cell(wanted) if BOTH_COMPLETE else TwinCell(wanted)
