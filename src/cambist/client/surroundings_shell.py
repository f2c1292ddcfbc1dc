"""What a client needs of the machine: the time, ids by chance, a key from a file, waiting.

Decides only how each is got. Whatever uses them is handed the values.
"""
import os
import random
import secrets
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cambist.client.signing import read_private_key

EXPIRES_AFTER = 50_000_000_000                          # ns; the house takes up to its answer window of 60 s, and clocks differ


def expiry() -> int:
    """When a request made now expires, ns since 1970."""
    return time.time_ns() + EXPIRES_AFTER


def new_client_id() -> str:
    """128 bits of chance in hex: unique without asking anyone."""
    return secrets.token_hex(16)


def private_key_of(given: Ed25519PrivateKey | bytes | str | os.PathLike[str]) -> Ed25519PrivateKey:
    """The key itself, its PEM or raw bytes, or the path of its PEM file. Raises ValueError, OSError."""
    return read_private_key(Path(given).read_bytes() if isinstance(given, str | os.PathLike) else given)


def pause_before(attempt: int, most: float = 2.0) -> float:
    """Seconds to wait before the next attempt, doubled each time, and by chance so that not everyone comes back at once."""
    return min(most, 0.05 * 2 ** min(attempt, 10)) * random.uniform(0.5, 1.0)
