"""What happened, to be searched: a read model of the stream of the whole house in one SQLite file.

Decides how events are kept and found again by account, instrument, kind and id. It must not be believed: it is a copy, made again from the stream whenever it
is missing or belongs to another log. One process writes one file; times are log time.
"""
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cambist.door.client import Events
from cambist.messages import EVENT, Event

VERSION = 1
COLUMNS = ("number", "time", *(EVENT.names or ()))
SPAN_MOST = 1_000                                       # rows of one answer
QUIET = frozenset({Event.REFERENCE, Event.DUPLICATE, Event.LEVEL, Event.INDICATIVE})     # too many, and nobody's history
_SCHEMA = f"""
create table if not exists about (name text primary key, value) without rowid;
create table if not exists events ({', '.join(f'{name} integer' + (' primary key' if name == 'number' else ' not null') for name in COLUMNS)});
create index if not exists by_account on events (account, number);
create index if not exists by_id on events (id, number) where id != 0;
create index if not exists by_other on events (other, number) where other != 0;
create index if not exists by_client_id on events (id_hi, id_lo) where id_lo != 0;
create index if not exists by_kind on events (kind, number);
create index if not exists by_sequence on events (sequence);
"""


class History:
    """`identity` names the log it is a copy of (cell, epoch); a file of another one is emptied."""

    def __init__(self, path: Path, identity: str = "") -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.executescript("pragma journal_mode = wal; pragma synchronous = normal; pragma cache_size = -2000;")
        self._db.row_factory = sqlite3.Row
        if self._about("version") != VERSION or self._about("identity") not in (None, identity):
            self.clear()
        self._db.executescript(_SCHEMA)
        self._tell("version", VERSION)
        self._tell("identity", identity)
        self.cursor: int = self._about("cursor") or 1   # number of the next event wanted of the stream
        path.chmod(0o600)

    def _about(self, name: str) -> Any:
        try:
            found = self._db.execute("select value from about where name = ?", (name,)).fetchone()
        except sqlite3.OperationalError:                # a new file
            return None
        return found["value"] if found else None

    def _tell(self, name: str, value: Any) -> None:
        self._db.execute("insert or replace into about values (?, ?)", (name, value))

    def clear(self) -> None:
        """Forgets all: the stream is read again from its beginning."""
        self._db.executescript("drop table if exists events; drop table if exists about;" + _SCHEMA)
        self._tell("version", VERSION)
        self.cursor = 1

    def add(self, batch: Events) -> None:
        """A batch of the stream ALL. One that was added before changes nothing; a gap is refused with ValueError."""
        if batch.first > self.cursor:
            raise ValueError(f"events begin at number {batch.first}; right would be {self.cursor}")
        rows = [(batch.first + i, time, *event) for i, (time, event) in enumerate(zip(batch.times.tolist(), batch.events.tolist(), strict=True))
                if batch.first + i >= self.cursor and event[0] not in QUIET]
        self.cursor = max(self.cursor, batch.first + len(batch.events))
        self._db.execute("begin")
        self._db.executemany(f"insert or ignore into events values ({', '.join('?' * len(COLUMNS))})", rows)
        self._tell("cursor", self.cursor)
        self._db.execute("commit")

    def events(self, *, account: int | None = None, kinds: Iterable[int] = (), instrument: int | None = None, id: int | None = None, before: int | None = None,
               since: int | None = None, until: int | None = None, limit: int = 100) -> list[dict[str, int]]:
        """Newest first. `before`: only numbers below it, for the next page; `since` and `until`: log time in ns, the second not included."""
        wanted: list[tuple[str, Sequence[int]]] = [(f"{name} {how} ?", (value,)) for name, how, value in (
            ("account", "=", account), ("instrument", "=", instrument), ("id", "=", id), ("number", "<", before), ("time", ">=", since), ("time", "<", until))
            if value is not None]
        if chosen := sorted({int(kind) for kind in kinds}):
            wanted.append((f"kind in ({', '.join('?' * len(chosen))})", chosen))
        where = f"where {' and '.join(text for text, _ in wanted)}" if wanted else ""
        return self._rows(f"select * from events {where} order by number desc limit ?", [*(v for _, values in wanted for v in values), min(limit, SPAN_MOST)])

    def about(self, id: int, limit: int = SPAN_MOST) -> list[dict[str, int]]:
        """Every event that names this id as what it is about or as the other, oldest first."""
        return self._rows("select * from events where number in (select number from events where id = ? union select number from events where other = ?) "
                          "order by number limit ?", [id, id, min(limit, SPAN_MOST)])

    def of_sequence(self, sequence: int) -> list[dict[str, int]]:
        return self._rows("select * from events where sequence = ? order by number limit ?", [sequence, SPAN_MOST])

    def of_client_id(self, account: int, id_hi: int, id_lo: int) -> list[dict[str, int]]:
        return self._rows("select * from events where id_hi = ? and id_lo = ? and account = ? order by number limit ?", [id_hi, id_lo, account, SPAN_MOST])

    def fees(self, account: int, since: int, until: int) -> list[dict[str, int]]:
        """Fees of fills by instrument: [{"instrument", "fee", "count"}]."""
        return self._rows("select instrument, sum(fee) as fee, count(*) as count from events where account = ? and kind = ? and time >= ? and time < ? "
                          "group by instrument order by instrument", [account, int(Event.FILLED), since, until])

    def _rows(self, statement: str, values: Sequence[Any]) -> list[dict[str, int]]:
        return [dict(row) for row in self._db.execute(statement, values)]

    def close(self) -> None:
        self._db.close()
