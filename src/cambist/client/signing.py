"""What a client signs, byte for byte, so that any language can do the same.

Decides the text under a signature and the form of ids. It must not know a clock, chance or a file: the caller hands in what is signed and when it
expires.
"""
import hashlib
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

SEED_BYTES = 32


def request_text(method: str, target: str, body: bytes, expires: int, identifier: str = "") -> str:
    """The text of a REST request. `target` is the path and query exactly as sent; `expires` ns since 1970; `identifier` the 128-bit id in hex, or empty."""
    return f"cambist-request-1\n{method}\n{target}\n{hashlib.sha256(body).hexdigest()}\n{expires}\n{identifier}\n"


def logon_text(challenge: str, key: str) -> str:
    """The text of a WebSocket logon: the server's challenge of this very connection, and the name of the key."""
    return f"cambist-logon-1\n{challenge}\n{key}\n"


def signed(private_key: Ed25519PrivateKey, text: str) -> str:
    """The Ed25519 signature (RFC 8032) in lower hex, 128 characters."""
    return private_key.sign(text.encode()).hex()


def request_headers(private_key: Ed25519PrivateKey, key: str, method: str, target: str, body: bytes, expires: int, identifier: str = "") -> dict[str, str]:
    """The headers of a signed request; without `identifier` no Cambist-Id."""
    told = {"Cambist-Key": key, "Cambist-Expires": str(expires),
            "Cambist-Signature": signed(private_key, request_text(method, target, body, expires, identifier))}
    return told | {"Cambist-Id": identifier} if identifier else told


def read_private_key(given: Any) -> Ed25519PrivateKey:
    """An Ed25519 key from itself, from PEM, or from its 32 raw bytes. Raises ValueError for anything else; the message never holds the key."""
    if isinstance(given, Ed25519PrivateKey):
        return given
    if not isinstance(given, bytes):
        raise ValueError(f"a private key is an Ed25519PrivateKey, PEM or {SEED_BYTES} raw bytes, not {type(given).__name__}")
    if len(given) == SEED_BYTES:
        return Ed25519PrivateKey.from_private_bytes(given)
    try:
        key = load_pem_private_key(given, None)
    except (ValueError, TypeError):
        raise ValueError("this is no unencrypted private key in PEM") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("this private key is not an Ed25519 key")
    return key
