"""Who may speak the native protocol from outside, for which account, and how much.

Decides whether a LOGON proves a key, which kinds of command its scopes let through, and when a key or all together send too much. It must not know a socket
or a clock, nor where keys are kept: `now` and the public keys are handed in. What a key may do in the house is decided there once more, by its role.
"""
import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cambist.design import Design
from cambist.door.protocol import Logon, logon_text
from cambist.messages import MAX_KIND, Kind

SECOND = 1_000_000_000
# What each scope lets through; a kind that stands nowhere here is the house's own.
KINDS: dict[str, frozenset[Kind]] = {
    "trade": frozenset({Kind.NEW_ORDER, Kind.AMEND_ORDER, Kind.CANCEL_ORDER, Kind.CANCEL_ALL, Kind.CANCEL_SOME, Kind.DEAD_MAN, Kind.REQUEST_QUOTE,
                        Kind.ACCEPT_QUOTE, Kind.CANCEL_REQUEST}),
    "cancel": frozenset({Kind.CANCEL_ORDER, Kind.CANCEL_ALL, Kind.CANCEL_SOME, Kind.DEAD_MAN, Kind.CANCEL_REQUEST, Kind.WITHDRAW_QUOTE}),
    "quote": frozenset({Kind.QUOTE, Kind.WITHDRAW_QUOTE, Kind.MASS_QUOTE, Kind.RESET_PROTECTION}),
    "transfer": frozenset({Kind.TRANSFER}),
    "kill": frozenset({Kind.KILL}),
}
VIEWS = frozenset({"account", "book", "instruments", "numbers", "answer"})      # that may be asked with the scope `read`; the first and last of one's own


class Admission(NamedTuple):
    """Whom a session speaks for."""
    key: str
    actor: int
    account: int
    scopes: frozenset[str]
    allowed: np.ndarray                                 # by kind: 1 where a scope lets it through
    public: Ed25519PublicKey


class Keys:
    """The enabled keys of one design that act for an account and have a public key."""
    def __init__(self, design: Design, names: Mapping[str, Mapping[str, int]], public: Mapping[str, Ed25519PublicKey]):
        self._rows = {name: Admission(name, names["actors"][name], names["accounts"][key.account], frozenset(key.scopes), allowed_by(key.scopes), public[name])
                      for name, key in design.keys.items()
                      if key.enabled and name in public and name in names["actors"] and key.account in names["accounts"]}

    def find(self, name: str) -> Admission | None:
        return self._rows.get(name)

    def still(self, one: Admission) -> bool:
        """Whether what was admitted would be again."""
        now = self._rows.get(one.key)
        return now is not None and (now.actor, now.account, now.scopes, now.public) == (one.actor, one.account, one.scopes, one.public)


def allowed_by(scopes: tuple[str, ...]) -> np.ndarray:
    """By kind: 1 where one of these scopes lets it through."""
    by_kind = np.zeros(MAX_KIND + 1, np.int64)
    by_kind[[int(kind) for scope in scopes for kind in KINDS.get(scope, ())]] = 1
    return by_kind


_NOBODY = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"a key nobody has").digest()).public_key()


def admitted(logon: Logon, challenge: bytes, keys: Keys) -> Admission | None:
    """Whose key signed this challenge. A signature is checked for every name, so that the time it takes does not tell which names are keys."""
    found = keys.find(logon.key)
    try:
        (found.public if found else _NOBODY).verify(logon.signature, logon_text(challenge, logon.key))
    except InvalidSignature:
        return None
    return found


class Rate(NamedTuple):
    """So many records a second on the average, so many at once."""
    per_second: int
    burst: int


class Bucket:
    """Tokens of one rate, in billionths. It may go into debt: a frame is let in whole, and what it owes is waited for before the next one is read."""
    def __init__(self, rate: Rate):
        self._rate, self._tokens, self._then = rate, rate.burst * SECOND, 0

    def spend(self, count: int, now: int) -> int:
        """ns until there is something again; 0 when there is."""
        self._tokens = min(self._rate.burst * SECOND, self._tokens + max(now - self._then, 0) * self._rate.per_second) - count * SECOND
        self._then = max(now, self._then)
        return 0 if self._tokens >= 0 else -(self._tokens // self._rate.per_second)


class Throttle:
    """A bucket for each key that was ever admitted, and one for all of them."""
    def __init__(self, key: Rate, together: Rate):
        self._key, self._keys, self._all = key, dict[str, Bucket](), Bucket(together)

    def spend(self, key: str, count: int, now: int) -> int:
        """How long, in ns, nothing more is to be read from this key's connection."""
        if key not in self._keys:
            self._keys[key] = Bucket(self._key)
        return max(self._keys[key].spend(count, now), self._all.spend(count, now))
