"""Who asks: a request's headers, or a socket's logon, against the keys of the running design.

Decides whether a signature proves a key, whether it is young enough, and what the key may do. It must not know a socket, a clock or where keys are kept:
`now` and the table of keys are handed in. What a key may do in the house is decided there once more, by the role of its actor.

A signed request proves its key until it expires, so whoever could copy one may send it again until then: a read is answered again, and a command counts
once, because its id does. A connection should therefore be encrypted, and an expiry near.
"""
import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cambist.design import accounts
from cambist.dictionary import Dictionary, Wrong, read_client_id
from cambist.gateways.operations import Operation, Session
from cambist.messages import AccountKind
from cambist.sections import Client, Custody, Dealer, Desk

KEY, EXPIRES, ID, SIGNATURE = "Cambist-Key", "Cambist-Expires", "Cambist-Id", "Cambist-Signature"
SIGNATURE_HEX = 128
MAX_KEY_NAME = 64
SECOND = 1_000_000_000
UNSIGNED, FORBIDDEN = 401, 403
NO_ID = (0, 0)


class AuthError(Wrong):
    """Why a request is not let in: `status` 401 when it is not proven who asks, 403 when that is known and not enough."""
    def __init__(self, code: str, message: str, status: int = UNSIGNED) -> None:
        super().__init__(code, "$", message)
        self.status = status


class Key(NamedTuple):
    """A key of the design; without a public one nobody can prove it."""
    session: Session
    public: Ed25519PublicKey | None
    enabled: bool


class Keys:
    """The keys of one design."""
    def __init__(self, words: Dictionary, public: Mapping[str, Ed25519PublicKey]):
        kinds = {name: _kind(row) for name, (_, row) in accounts(words.design).items()}
        self._rows = {name: Key(Session(name, words.names["actors"][name], words.names["accounts"].get(key.account, 0), key.account,
                                        kinds.get(key.account, AccountKind.HOUSE), frozenset(key.scopes)), public.get(name), key.enabled)
                      for name, key in words.design.keys.items() if name in words.names["actors"]}

    def find(self, name: str) -> Key | None:
        return self._rows.get(name)


def _kind(row: object) -> AccountKind:
    return next(kind for made, kind in ((Custody, AccountKind.CUSTODY), (Desk, AccountKind.DESK), (Dealer, AccountKind.DEALER), (Client, AccountKind.CLIENT))
                if isinstance(row, made))


class Signed(NamedTuple):
    """A proven request. `client_id` is (0, 0) where none was sent; `expires` in ns since 1970."""
    session: Session
    client_id: tuple[int, int]
    expires: int


# ---------------------------------------------------------------------------------------------------------------------------------- requests
def request_text(method: str, target: str, body: bytes, expires: int, client_id: str) -> bytes:
    """What a request's signature is over; `target` is path and query exactly as sent."""
    return f"cambist-request-1\n{method}\n{target}\n{hashlib.sha256(body).hexdigest()}\n{expires}\n{client_id}\n".encode()


def verify(method: str, target: str, headers: Mapping[str, str], body: bytes, now: int, keys: Keys, window: int) -> Signed:
    """Who sent this request. Header names are lower case; `now` and `window` in ns. Raises AuthError."""
    name, expires_text, id_text, signature = (headers.get(header.lower(), "") for header in (KEY, EXPIRES, ID, SIGNATURE))
    if not name:
        raise AuthError("NO_KEY", f"a private operation is signed: the headers {KEY}, {EXPIRES} and {SIGNATURE} are missing")
    expires = _expires(expires_text, now, window)
    try:
        client_id = read_client_id(id_text) if id_text else NO_ID
    except Wrong as wrong:
        raise AuthError("BAD_ID", f"{ID}: {wrong.message}", 400) from None
    return Signed(_proven(name, signature, request_text(method, target, body, expires, id_text), keys), client_id, expires)


def _expires(text: str, now: int, window: int) -> int:
    """Digits alone, after now and within the window in which the house remembers answers."""
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise AuthError("BAD_EXPIRES", f"{EXPIRES} is a whole number of nanoseconds since 1970, as in {now + 10 * SECOND}")
    expires = int(text)
    if expires <= now:
        raise AuthError("EXPIRED", f"{EXPIRES} is {_seconds(now - expires)} in the past by the clock of the house ({now}); sign it anew")
    if expires > now + window:
        raise AuthError("EXPIRES_TOO_LATE", f"{EXPIRES} is {_seconds(expires - now)} ahead; at most {_seconds(window)} is let through")
    return expires


def _seconds(ns: int) -> str:
    return f"{ns // SECOND}.{ns % SECOND // 1_000_000:03} s"


# ----------------------------------------------------------------------------------------------------------------------------------- sockets
def logon_text(challenge: str, key: str) -> bytes:
    """What a logon's signature is over: the challenge of this one connection, so that it opens no other."""
    return f"cambist-logon-1\n{challenge}\n{key}\n".encode()


def verify_logon(key: str, signature: str, challenge: str, keys: Keys) -> Session:
    """Raises AuthError."""
    if not key:
        raise AuthError("NO_KEY", "a logon names a key")
    return _proven(key, signature, logon_text(challenge, key), keys)


# ------------------------------------------------------------------------------------------------------------------------------------ proofs
_NOBODY = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"a key nobody has").digest()).public_key()


def _proven(name: str, signature: str, text: bytes, keys: Keys) -> Session:
    """A signature is checked for every name, also one that is no key, so that the time it takes does not tell which names are."""
    key = keys.find(name) if len(name) <= MAX_KEY_NAME else None
    public = key.public if key is not None and key.public is not None else None
    if len(signature) != SIGNATURE_HEX or signature.strip("0123456789abcdef"):
        raise AuthError("BAD_SIGNATURE", f"{SIGNATURE} is an Ed25519 signature of 64 bytes, written as {SIGNATURE_HEX} hex digits 0-9a-f")
    try:
        (public or _NOBODY).verify(bytes.fromhex(signature), text)
        good = public is not None
    except InvalidSignature:
        good = False
    if key is None or public is None:
        raise AuthError("UNKNOWN_KEY", f"no key {name[:MAX_KEY_NAME]!r} whose public key this house knows")
    if not good:
        raise AuthError("BAD_SIGNATURE", "the signature does not fit the key and what was sent; it is over method, path with query, SHA-256 of the body, "
                                         "expiry and id, each exactly as sent")
    if not key.enabled:
        raise AuthError("DISABLED_KEY", f"key {name} is switched off", FORBIDDEN)
    return key.session


def may(session: Session, operation: Operation) -> None:
    """Raises AuthError where the key lacks the scope, or acts for no account."""
    if not session.scopes.intersection(operation.scopes):
        raise AuthError("SCOPE", f"{operation.name} takes a key with the scope {' or '.join(operation.scopes)}; {session.key} has "
                                 f"{', '.join(sorted(session.scopes)) or 'none'}", FORBIDDEN)
    if not session.account:
        raise AuthError("NO_ACCOUNT", f"key {session.key} acts for no account, and every operation is an account's own", FORBIDDEN)
