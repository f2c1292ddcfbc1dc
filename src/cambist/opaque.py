"""Identifiers as they leave the house: text that says nothing, and that nobody can make up.

Decides how a 64-bit id inside becomes text outside and back. An id inside carries its account and a count; shown as it is, it would tell each dealer who
asks and how much the others do. One AES block over (kind, id) hides both; half of the block is fixed, so a guessed text is a BadId but for one in 2^64.
It must not know who asks, nor keep a table: the same key always gives the same text, so ids survive every restart.
"""
import base64
import struct
from typing import Literal, get_args

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

KEY_BYTES = 16
IdKind = Literal["order", "request", "quote", "match", "child", "obligation", "held"]
PREFIXES: dict[IdKind, str] = {"order": "ord", "request": "req", "quote": "quo", "match": "mat", "child": "chd", "obligation": "obl", "held": "hld"}
KIND_OF: dict[str, IdKind] = {prefix: kind for kind, prefix in PREFIXES.items()}
_BLOCK = struct.Struct(">4s4xq")                        # kind, four zero bytes, id
_TEXT = 26                                              # base32 characters of 16 bytes


class BadId(ValueError):
    """A text that is no id of this house, or one of another kind: says which kind was wanted."""


class Opaque:
    """One house's ids. `key`: 16 secret bytes, the same in every gateway of the house."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key of {len(key)} bytes; right would be {KEY_BYTES}")
        cipher = Cipher(algorithms.AES(key), modes.ECB())        # each block stands alone: a permutation of ids, not a message
        self._hide, self._show = cipher.encryptor(), cipher.decryptor()

    def text(self, kind: IdKind, number: int) -> str:
        """`ord_...` for an order, and so on: 30 characters."""
        prefix = PREFIXES[kind]
        return f"{prefix}_{base64.b32encode(self._hide.update(_BLOCK.pack(prefix.encode(), number)))[:_TEXT].decode().lower()}"

    def number(self, kind: IdKind, text: str) -> int:
        """The id inside. Raises BadId."""
        found = self.read(text)
        if found is None or found[0] != kind:
            raise BadId(f"{text[:40]!r} is no {kind} id: one looks like {PREFIXES[kind]}_ and {_TEXT} letters and digits, as this house gave it")
        return found[1]

    def read(self, text: str) -> tuple[IdKind, int] | None:
        """Kind and id of any text this house gave; None for another."""
        prefix, _, rest = text.partition("_")
        if prefix not in KIND_OF or len(rest) != _TEXT or not rest.isascii():
            return None
        try:
            tag, number = _BLOCK.unpack(self._show.update(base64.b32decode(f"{rest.upper()}======")))
        except ValueError:
            return None
        kind = KIND_OF[prefix]
        whole = tag == prefix.encode().ljust(4, b"\0") and self.text(kind, number) == text      # the last character has bits to spare, and zeros are checked
        return (kind, number) if whole else None


assert set(PREFIXES) == set(get_args(IdKind))
