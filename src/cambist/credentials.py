"""Who may come in from outside: passwords of people, public keys of programs.

Decides how a password is kept and compared, and how a key pair is written. It must not know where they are kept, nor draw a number of its own: salts and
private keys are handed in (`credentials_shell.py`). Nothing here is part of the log, and no text of an error repeats a secret.
"""
import hashlib
import hmac
from typing import Annotated

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key

SALT_BYTES, HASH_BYTES = 16, 32
LEAST_PASSWORD, MOST_PASSWORD = 12, 256         # characters; the upper bound so that nobody makes us hash a megabyte
Cost = Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]


class CredentialError(ValueError):
    """A password or key that cannot be used: says why, and never what it was."""


class PasswordRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept of a password: scrypt (RFC 7914) with its own salt and cost, so that the cost can grow later."""
    salt: str                                   # hex
    hash: str                                   # hex
    n: Cost = 1 << 15                           # with r = 8: 32 MiB and about 0.1 s
    r: Cost = 8
    p: Cost = 1


def hash_password(password: str, salt: bytes) -> PasswordRecord:
    """Raises CredentialError for one that is too short or too long."""
    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
        raise CredentialError(f"a password has {LEAST_PASSWORD} to {MOST_PASSWORD} characters, not {len(password)}")
    if len(salt) != SALT_BYTES:
        raise CredentialError(f"a salt has {SALT_BYTES} bytes, not {len(salt)}")
    kept = PasswordRecord(salt.hex(), "")
    return msgspec.structs.replace(kept, hash=_scrypt(password, kept).hex())


def check_password(password: str, kept: PasswordRecord) -> bool:
    """Takes as long for a wrong one as for the right one."""
    return len(password) <= MOST_PASSWORD and hmac.compare_digest(_scrypt(password, kept), bytes.fromhex(kept.hash))


def _scrypt(password: str, kept: PasswordRecord) -> bytes:
    return hashlib.scrypt(password.encode(), salt=bytes.fromhex(kept.salt), n=kept.n, r=kept.r, p=kept.p, dklen=HASH_BYTES, maxmem=256 << 20)


NOBODY = PasswordRecord("00" * SALT_BYTES, "00" * HASH_BYTES)    # compared for a person who is not there, so that the answer takes as long


def public_key(text: str) -> Ed25519PublicKey:
    """Of 64 hex digits. Raises CredentialError."""
    try:
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))
    except (ValueError, UnsupportedAlgorithm):
        raise CredentialError("a public key is an Ed25519 key of 32 bytes, written as 64 hex digits") from None


def public_text(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def private_pem(key: Ed25519PrivateKey) -> bytes:
    """PKCS #8, not encrypted: for a file that nobody else can read."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def read_private_key(pem: bytes) -> Ed25519PrivateKey:
    """Raises CredentialError."""
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CredentialError("this is no private key: right would be an Ed25519 key in PEM (PKCS #8) without a passphrase") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise CredentialError("this private key is of another kind: right would be Ed25519")
    return key
