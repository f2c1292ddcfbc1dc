"""Sessions in a small SQLite file, so that a killed process signs nobody out.

Decides how sessions are written and found. When one has ended is `sessions.py`; one file per app, so a cookie of the other app is simply unknown here.
"""
import os
import secrets
import sqlite3
from pathlib import Path

from cambist.ops.web.sessions import IDLE_NS, LIFE_NS, MAX_SESSIONS, TOKEN_BYTES, TOUCH_NS, Session, alive, digest

SCHEMA = """create table if not exists sessions (digest text primary key, person text not null, began integer not null, seen integer not null,
            proved integer not null) without rowid;
            create table if not exists secret (number integer primary key, key blob not null)"""
KEY_BYTES = 32


class Sessions:
    """The sessions of one app. `path`: its own file, made readable to its owner only. Times in ns of the wall clock."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("pragma journal_mode=wal")
        self._db.execute("pragma synchronous=normal")
        self._db.executescript(SCHEMA)
        self._db.execute("insert or ignore into secret values (1, ?)", (secrets.token_bytes(KEY_BYTES),))
        self.key: bytes = self._db.execute("select key from secret").fetchone()[0]      # what proves forms: as lasting and as private as the sessions

    def start(self, person: str, now: int) -> tuple[str, Session]:
        """(token for the cookie, session). Old ones are cleared away on the occasion."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        session = Session(digest(token), person, now, now, now)
        with self._db:
            self._db.execute("delete from sessions where seen < ? or began < ?", (now - IDLE_NS, now - LIFE_NS))
            self._db.execute("insert into sessions values (?, ?, ?, ?, ?)", session)
            self._db.execute("delete from sessions where digest in (select digest from sessions order by seen desc limit -1 offset ?)", (MAX_SESSIONS,))
        return token, session

    def find(self, token: str, now: int, touch: bool = True) -> Session | None:
        """The living session of a token; `touch` counts as use. None for one that is unknown or has ended."""
        row = self._db.execute("select digest, person, began, seen, proved from sessions where digest = ?", (digest(token),)).fetchone()
        session = Session(*row) if row else None
        if session is None or not alive(session, now):
            if session is not None:
                self.end(session)
            return None
        if touch and now - session.seen > TOUCH_NS:
            session = session._replace(seen=now)
            self._db.execute("update sessions set seen = ? where digest = ?", (now, session.digest))
        return session

    def prove(self, session: Session, now: int) -> tuple[str, Session]:
        """The password was given again: a new token for the same session; the old one is void from here on."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        renewed = session._replace(digest=digest(token), seen=now, proved=now)
        self._db.execute("update sessions set digest = ?, seen = ?, proved = ? where digest = ?", (renewed.digest, now, now, session.digest))
        return token, renewed

    def end(self, session: Session) -> None:
        self._db.execute("delete from sessions where digest = ?", (session.digest,))

    def living(self, session: Session, now: int) -> bool:
        """Whether a session found earlier still stands, as a stream that stays open must ask again and again."""
        row = self._db.execute("select digest, person, began, seen, proved from sessions where digest = ?", (session.digest,)).fetchone()
        return row is not None and alive(Session(*row), now)

    def close(self) -> None:
        self._db.close()
