"""Questions about the log and not about the state: the running design, one record with its answer, when entries passed each point.

Decides where each is looked up. It must not know the cell nor a thread: it reads files beside their writer, so whoever applies entries never waits for it.
Only `applied` and `stamps.add` may be called from other threads than the one that asks.
"""
from typing import Any

import numpy as np

from cambist.changes import Designs
from cambist.feeds.views import BadArgument, encoded, read_argument, told
from cambist.log.disk import Disk
from cambist.log.entry import Entry, EntryError, side_item
from cambist.log.lookup import Lookup
from cambist.log.results import ResultsReader
from cambist.log.times import Stamps, find_times
from cambist.messages import COMMAND, CONFIGURE, Kind, named

MAX_TIMES = 4000                                        # rows of one answer
MAX_EVENTS = 1000                                       # of one record; `more` says that there are more
CHANGES_DESIGN = np.zeros(1 << 8 * COMMAND["kind"].itemsize, bool)      # by kind
CHANGES_DESIGN[[kind for kind in Kind if kind in CONFIGURE or kind in (Kind.START, Kind.APPROVE)]] = True


class Archive:
    """What a directory's files tell about its log up to a sequence that was applied."""
    def __init__(self, disk: Disk, directory: str, *, cell: int, known: ResultsReader | None = None):
        self._disk, self._directory = disk, directory
        self._lookup = Lookup(disk, f"{directory}/log", cell=cell)
        self._results = ResultsReader(disk, f"{directory}/results", cell=cell, known=known)
        self._designs, self._design, self._fresh = Designs(disk, directory), b"", False
        self.stamps = Stamps()

    def applied(self, entry: Entry) -> None:
        """An entry whose events are kept: it may have changed the design."""
        if CHANGES_DESIGN[np.frombuffer(entry.records, COMMAND)["kind"]].any():
            self._fresh = False

    def view(self, name: str, argument: bytes, position: int) -> bytes:
        """The JSON of one of feeds.views.LOG_VIEWS; of records up to `position` alone. Raises UnknownView, BadArgument, Damaged, DiskError."""
        given = read_argument(name, argument)
        return self._running() if name == "design" else encoded(name, self._record(given, position) if name == "record" else self._times(given))

    def close(self) -> None:
        self._designs.close()

    def _running(self) -> bytes:
        if not self._fresh:
            self._fresh = True                          # before reading, so that what is applied meanwhile is read next time
            running = self._designs.running()
            self._design = encoded("design", {"text": running.text, "names": running.names, "sequence": running.sequence} if running
                                   else {"text": "", "names": {}, "sequence": 0})
        return self._design

    def _record(self, given: dict[str, Any], position: int) -> dict:
        if "sequence" not in given:
            raise BadArgument("record takes sequence")
        sequence = given["sequence"]
        entry = self._lookup.find(sequence) if 1 <= sequence <= position else None
        if entry is None:
            return {"known": False, "sequence": sequence, "time": 0, "kind": "", "fields": {}, "attachment": None, "attachment_hex": None, "stamps": None,
                    "events": [], "more": False}
        record = np.frombuffer(entry.records, COMMAND)[sequence - entry.first_sequence:][:1]
        events, number = self._results.events_of(sequence), int(record["kind"][0])
        return {"known": True, "sequence": sequence, "time": entry.time, "kind": Kind(number).name if number in Kind._value2member_map_ else str(number),
                "fields": named(record), **_attachment(entry, int(record["attachment"][0])), "stamps": self._stamps_of(sequence),
                "events": [told(event) for event in events[:MAX_EVENTS]], "more": len(events) > MAX_EVENTS}

    def _stamps_of(self, sequence: int) -> dict[str, int] | None:
        for row in self._rows(sequence, 1):
            if row["first_sequence"] <= sequence < row["first_sequence"] + row["count"]:
                return {name: int(row[name]) for name in ("sealed", "durable", "applied", "told")}
        return None

    def _times(self, given: dict[str, Any]) -> dict:
        """Rows of TIMES from the entry on that holds `first`; the newest ones without it."""
        count = given.get("count", MAX_TIMES)
        if not 1 <= count <= MAX_TIMES:
            raise BadArgument(f"times: count {count}; right would be 1 to {MAX_TIMES}")
        rows = self._rows(given["first"], count) if "first" in given else self.stamps.newest(count)
        return {"times": [list(row) for row in rows.tolist()]}

    def _rows(self, sequence: int, count: int) -> np.ndarray:
        rows = self.stamps.since(sequence, count)
        return find_times(self._disk, self._directory, sequence, count) if rows is None else rows


def _attachment(entry: Entry, number: int) -> dict[str, str | None]:
    """As text where it is UTF-8, else as hexadecimal digits."""
    if not number:
        return {"attachment": None, "attachment_hex": None}
    try:
        data = side_item(entry, number)
    except EntryError:                                  # the number is whatever the sender wrote, in a record of an older door
        return {"attachment": None, "attachment_hex": None}
    try:
        return {"attachment": data.decode(), "attachment_hex": None}
    except UnicodeDecodeError:
        return {"attachment": None, "attachment_hex": data.hex()}
