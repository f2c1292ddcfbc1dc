"""The rules speak of everything on the wire, and every event says only what the wire promises."""
import random
import re
from pathlib import Path

import numpy as np
import pytest

from cambist.core.cell import Cell
from cambist.event_fields import EVENT_FIELDS
from cambist.messages import CONFIGURE, EVENT, Event, Kind, Reason
from tests.core.flows import FLOWS, Flow
from tests.core.world import SIZES, world_records
from tests.scenarios import SECOND

RULES = (Path(__file__).parents[2] / "docs" / "rules.md").read_text()
COMMON = {"kind", "account", "instrument", "sequence", "command", "id_hi", "id_lo", "side"}


def spoken_of(name: str) -> bool:
    return re.search(rf"\b{name}\b", RULES) is not None


@pytest.mark.parametrize("reason", list(Reason), ids=lambda r: r.name)
def test_every_reason_is_in_the_rules(reason):
    assert spoken_of(reason.name)


@pytest.mark.parametrize("event", list(Event), ids=lambda e: e.name)
def test_every_event_is_in_the_rules(event):
    assert spoken_of(event.name)


@pytest.mark.parametrize("kind", list(Kind), ids=lambda k: k.name)
def test_every_kind_is_in_the_rules(kind):
    short = kind.name.removeprefix("CONFIGURE_")
    assert spoken_of(kind.name) or (kind in CONFIGURE and re.search(rf"^\| {short} \|", RULES, re.MULTILINE))


def test_events_use_only_the_fields_their_kind_has():
    cell, flow, chance, now, used = Cell(SIZES), Flow(3), random.Random(3), 1_000 * SECOND, {}
    records = np.concatenate(world_records())
    for _ in range(30):
        events = cell.apply(records, now)
        for kind in np.unique(events["kind"]).tolist():
            rows = events[events["kind"] == kind]
            used.setdefault(Event(kind), set()).update(n for n in EVENT.names if rows[n].any())
        now += chance.choice((0, SECOND // 10, SECOND, 8 * SECOND))
        records = flow.entry(chance.choice(list(FLOWS.values())), 60, now, cell.tables())
    assert len(used) > 20
    assert {e.name: sorted(n - COMMON - set(EVENT_FIELDS[e])) for e, n in used.items()} == {e.name: [] for e in used}
