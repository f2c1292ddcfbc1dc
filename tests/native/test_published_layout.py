"""A program in another language has nothing but the pages: every record that may be sent from outside is built here from docs/wire.md alone."""
import re
import struct
from pathlib import Path

import pytest

from cambist.messages import ARGUMENTS, NUMBERED, RECORD_BYTES, Kind, command
from cambist.native.admission import KINDS

DOCS = Path(__file__).parents[2] / "docs"
WIRE = (DOCS / "wire.md").read_text()
CELLS = [[cell.strip(" `") for cell in line.strip().strip("|").split("|")] for line in WIRE.splitlines() if line.startswith("|")]
NUMBERS = {cells[1]: int(cells[0]) for cells in CELLS if len(cells) == 6 and cells[0].isdigit() and re.fullmatch(r"[A-Z_]+", cells[1])}
PLACES = [(kind, name, int(offset), code) for kind, name, offset, _, code in (cells for cells in CELLS if len(cells) == 5)
          if kind in NUMBERS and offset.isdigit()]
HEAD = {name: (int(offset), code) for offset, _, code, name, _ in (cells for cells in CELLS[:20] if len(cells) == 5) if offset.isdigit()}
PACKED = {"u1": "<B", "<u2": "<H", "<u4": "<I", "<i8": "<q"}
SENT = sorted(set().union(*KINDS.values()))


def built(kind: str, head: dict[str, int], arguments: dict[str, int]) -> bytes:
    row = bytearray(RECORD_BYTES)
    for name, value in ({"kind": NUMBERS[kind]} | head).items():
        offset, code = HEAD[name]
        struct.pack_into(PACKED[code], row, offset, value)
    for at, name, offset, code in PLACES:
        if at == kind:
            struct.pack_into(PACKED[code], row, offset, arguments[name])
    return bytes(row)


@pytest.mark.parametrize("kind", SENT, ids=lambda kind: kind.name)
def test_every_record_from_outside_can_be_built_from_the_page(kind):
    arguments = {name: (1 if code == "u1" else -3) + i for i, (name, code) in enumerate(ARGUMENTS[kind])}
    assert {name for at, name, _, _ in PLACES if at == kind.name} == set(arguments)
    head = {"flags": NUMBERED, "instrument": 5, "account": 7, "actor": 9, "id_lo": 11, "expires": 13}
    assert built(kind.name, head, arguments) == command(kind, **head, **arguments).tobytes()


def test_the_page_lists_what_each_scope_lets_through():
    rows = re.findall(r"^\| `(\w+)` \| ([A-Z_, ]+) \|$", (DOCS / "native.md").read_text(), re.M)
    assert {scope: {Kind[name] for name in names.split(", ")} for scope, names in rows} == KINDS
