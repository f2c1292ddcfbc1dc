"""Sessions on disk: found again by another process, rotated, bounded, private."""
import sqlite3
import stat

from cambist.ops.web import sessions_shell
from cambist.ops.web.sessions import IDLE_NS, LIFE_NS, TOUCH_NS
from cambist.ops.web.sessions_shell import Sessions

NOW = 10**18


def test_a_session_outlives_the_process(tmp_path):
    first = Sessions(tmp_path / "read" / "s.db")
    token, session = first.start("ada", NOW)
    key = first.key                                     # not closed: a killed process closes nothing
    again = Sessions(tmp_path / "read" / "s.db")
    assert again.find(token, NOW + 1) == session and again.key == key


def test_the_file_holds_no_token_and_is_its_owners_alone(tmp_path):
    sessions = Sessions(tmp_path / "s.db")
    token, _ = sessions.start("ada", NOW)
    sessions.close()
    assert token.encode() not in (tmp_path / "s.db").read_bytes()
    assert stat.S_IMODE((tmp_path / "s.db").stat().st_mode) == 0o600


def test_an_unknown_a_foreign_and_an_ended_token_are_one(tmp_path):
    mine, theirs = Sessions(tmp_path / "a.db"), Sessions(tmp_path / "b.db")
    token, _ = theirs.start("ada", NOW)
    assert mine.find(token, NOW) is None and mine.find("", NOW) is None and mine.find("x' or 1=1 --", NOW) is None
    assert theirs.find(token, NOW + IDLE_NS) is None
    assert theirs.find(token, NOW) is None              # it is gone, not only hidden


def test_use_is_written_now_and_then_and_a_stream_is_no_use(tmp_path):
    sessions = Sessions(tmp_path / "s.db")
    token, session = sessions.start("ada", NOW)
    assert sessions.find(token, NOW + TOUCH_NS).seen == NOW
    assert sessions.find(token, NOW + TOUCH_NS + 1, touch=False).seen == NOW
    assert sessions.find(token, NOW + TOUCH_NS + 1).seen == NOW + TOUCH_NS + 1
    assert sessions.living(session, NOW + IDLE_NS) and not sessions.living(session, NOW + LIFE_NS)


def test_the_password_again_makes_the_old_token_void(tmp_path):
    sessions = Sessions(tmp_path / "s.db")
    token, session = sessions.start("ada", NOW)
    renewed, after = sessions.prove(session, NOW + 5)
    assert sessions.find(token, NOW + 6) is None
    assert sessions.find(renewed, NOW + 6) == after and after.began == NOW and after.proved == NOW + 5


def test_signing_out_ends_it(tmp_path):
    sessions = Sessions(tmp_path / "s.db")
    token, session = sessions.start("ada", NOW)
    sessions.end(session)
    assert sessions.find(token, NOW) is None and not sessions.living(session, NOW)


def test_there_are_never_more_than_the_most(tmp_path, monkeypatch):
    monkeypatch.setattr(sessions_shell, "MAX_SESSIONS", 5)
    sessions = Sessions(tmp_path / "s.db")
    tokens = [sessions.start("ada", NOW + n)[0] for n in range(8)]
    assert [sessions.find(token, NOW + 9) is not None for token in tokens] == [False] * 3 + [True] * 5
    with sqlite3.connect(tmp_path / "s.db") as db:
        assert db.execute("select count(*) from sessions").fetchone() == (5,)
