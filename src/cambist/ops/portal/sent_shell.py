"""What people sent, kept on disk before it goes out, so that no restart makes a form go twice or an unknown outcome be forgotten.

Decides how it is written and found. What became of it is `sending.py`.
"""
import os
import sqlite3
from pathlib import Path

from cambist.ops.portal.sending import KEPT_NS, SENT, UNSENT, Sent

SCHEMA = """create table if not exists sent (account integer, id_hi integer, id_lo integer, kind integer, words text, at integer, expires integer, state text,
            primary key (account, id_hi, id_lo)) without rowid"""
COLUMNS = ", ".join(Sent._fields)


class SentBook:
    """`path`: a file of its own, for its owner only."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("pragma journal_mode=wal")
        self._db.execute("pragma synchronous=full")     # it must be there after a power cut: it is what keeps a form from trading twice
        self._db.execute(SCHEMA)

    def add(self, sent: Sent) -> Sent | None:
        """Written down before it is sent; None. If this id was here before, what is known of it instead: it is not to be sent again."""
        if (before := self.find(sent.account, sent.id_hi, sent.id_lo)) is not None and before.state != UNSENT:
            return before
        self._db.execute("delete from sent where at < ?", (sent.at - KEPT_NS,))
        self._db.execute(f"insert or replace into sent ({COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?)", sent)
        return None

    def find(self, account: int, id_hi: int, id_lo: int) -> Sent | None:
        row = self._db.execute(f"select {COLUMNS} from sent where account = ? and id_hi = ? and id_lo = ?", (account, id_hi, id_lo)).fetchone()
        return Sent(*row) if row else None

    def close_with(self, sent: Sent, state: str) -> Sent:
        self._db.execute("update sent set state = ? where account = ? and id_hi = ? and id_lo = ?", (state, sent.account, sent.id_hi, sent.id_lo))
        return sent._replace(state=state)

    def unknown(self, account: int | None = None) -> list[Sent]:
        """Those without an outcome, oldest first; of one account or of all."""
        where, values = ("and account = ?", (account,)) if account is not None else ("", ())
        return [Sent(*row) for row in self._db.execute(f"select {COLUMNS} from sent where state = '{SENT}' {where} order by at", values)]

    def close(self) -> None:
        self._db.close()
