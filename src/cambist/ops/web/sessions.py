"""Who is signed in: how long a session holds, what proves a form, and how long one who guesses must wait. Without IO: time and chance are handed in.

Decides when a session has ended, when its password counts as given just now, and the proof that a form came from our own page. It must not know a cookie's
name, a database or a page. The token in the cookie is never kept: only its SHA-256, so who reads the file of sessions cannot sign in with it.
"""
import hashlib
import hmac
from typing import NamedTuple

SECOND = 10**9
TOKEN_BYTES = 32
IDLE_NS, LIFE_NS, FRESH_NS = 30 * 60 * SECOND, 10 * 3600 * SECOND, 5 * 60 * SECOND
TOUCH_NS = 20 * SECOND                                  # `seen` is written at most this often: a page view is not a disk write
MAX_SESSIONS = 10_000                                   # of one app; the ones unused longest go first
MAX_REMEMBERED = 10_000                                 # names and addresses whose failures are counted


class Session(NamedTuple):
    """One browser signed in. Times in ns: when it began, when it was last used, when the password was last given."""
    digest: str
    person: str
    began: int
    seen: int
    proved: int


def digest(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def alive(session: Session, now: int) -> bool:
    """Neither idle for 30 minutes nor older than 10 hours; a clock set back ends nothing."""
    return now - session.seen < IDLE_NS and now - session.began < LIFE_NS


def ends(session: Session) -> int:
    """When it will have ended if nothing more is done with it, in ns."""
    return min(session.seen + IDLE_NS, session.began + LIFE_NS)


def fresh(session: Session, now: int) -> bool:
    """Whether the password was given within the last 5 minutes, as a dangerous act asks for."""
    return now - session.proved < FRESH_NS


def form_proof(key: bytes, of: str) -> str:
    """What each form of our pages carries. `of`: the session's digest, or the visitor's nonce before sign-in."""
    return hmac.new(key, b"form\n" + of.encode(), hashlib.sha256).hexdigest()


def proves(key: bytes, of: str, told: str) -> bool:
    return hmac.compare_digest(form_proof(key, of).encode(), told.encode(errors="replace"))


def command_id(key: bytes, *parts: object) -> str:
    """A client id of 32 hex digits that is the same for the same parts: a form drawn twice carries one id, and trades once."""
    return hmac.new(key, "\n".join(("command", *map(str, parts))).encode(), hashlib.sha256).hexdigest()[:32]


class Attempts:
    """Failures to sign in, by person and by address; each past the free ones doubles the wait. They are forgotten after the longest wait."""
    FREE = {"person": 8, "address": 5}
    MOST = {"person": 60 * SECOND, "address": 900 * SECOND}     # short for a name, or anyone could lock anyone out

    def __init__(self) -> None:
        self._failed: dict[tuple[str, str], tuple[int, int]] = {}       # (what, name) -> failures, when the wait is over

    def wait(self, person: str, address: str, now: int) -> int:
        """ns until the next attempt is looked at; 0: now."""
        return max(0, *(self._failed.get(key, (0, 0))[1] - now for key in self._keys(person, address)))

    def failed(self, person: str, address: str, now: int) -> None:
        for key in self._keys(person, address):
            count, until = self._failed.pop(key, (0, 0))
            count = 1 if until and now - until > self.MOST[key[0]] else count + 1
            over = count - self.FREE[key[0]]
            self._failed[key] = count, now + (min(SECOND << min(over, 20), self.MOST[key[0]]) if over > 0 else 0)
        while len(self._failed) > MAX_REMEMBERED:
            del self._failed[next(iter(self._failed))]

    def worked(self, person: str, address: str) -> None:
        for key in self._keys(person, address):
            self._failed.pop(key, None)

    @staticmethod
    def _keys(person: str, address: str) -> tuple[tuple[str, str], tuple[str, str]]:
        return ("person", person[:64]), ("address", address)
