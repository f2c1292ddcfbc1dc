"""A checkpoint: how many leaves a log has and their root, as a signed note (C2SP tlog-checkpoint and signed-note, Ed25519).

Decides the text of a note, and whether a text is one. Must not know a key's secret half, nor a way to sign or to verify: both are handed in.

    <origin>          the log's name, which is also the name of its key
    <size>            leaves, decimal
    <root>            base64
                      an empty line, not signed
    — <name> <key id and signature, base64>
"""
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

from cambist.log.merkle import HASH_BYTES

ED25519 = b"\1"                                  # the signature type of signed-note
KEY_BYTES, SIGNATURE_BYTES, ID_BYTES = 32, 64, 4
MAX_ORIGIN_BYTES = 128
MAX_NOTE_BYTES = 64 << 10                        # the log's signature and those of many witnesses
Sign = Callable[[bytes], bytes]
Verify = Callable[[bytes, bytes, bytes], bool]   # (public key, signature, message)


class NoteError(ValueError):
    """A text that is no checkpoint, or not one of this log."""


class Checkpoint(NamedTuple):
    """What a log says of itself at one moment."""
    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


def check_origin(origin: str) -> str:
    """The origin, or NoteError: it names a key too, so it has no space, no control character and no plus."""
    if not origin or len(origin.encode()) > MAX_ORIGIN_BYTES or "+" in origin or any(c.isspace() or ord(c) < 32 for c in origin):
        raise NoteError(f"origin {origin!r}; right would be 1 to {MAX_ORIGIN_BYTES} bytes without space or plus, such as exchange.example/log")
    return origin


def key_id(name: str, public: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + ED25519 + public).digest()[:ID_BYTES]


def verifier_key(name: str, public: bytes) -> str:
    """What is given to those who verify: name+id+key, as other tools of this format read it."""
    return f"{name}+{key_id(name, public).hex()}+{b64encode(ED25519 + public).decode()}"


def note(checkpoint: Checkpoint, public: bytes, signature: bytes) -> str:
    """The signed note out of its parts."""
    return f"{checkpoint.text}\n— {checkpoint.origin} {b64encode(key_id(checkpoint.origin, public) + signature).decode()}\n"


def open_note(text: str, origin: str, public: bytes, verify: Verify) -> Checkpoint:
    """The checkpoint in a note that this log's key signed, or NoteError. Signatures of others (witnesses) are not looked at."""
    body, gap, signatures = text.rpartition("\n\n")
    if not gap or not signatures.endswith("\n") or len(text.encode()) > MAX_NOTE_BYTES or any(ord(c) < 32 and c != "\n" for c in text):
        raise NoteError("this is no signed note: right would be three lines or more, an empty line, and signature lines")
    body += "\n"
    ours = [found for line in signatures[:-1].split("\n") if (found := _signature(line, origin, public)) is not None]
    if not ours:
        raise NoteError(f"the note has no signature of {verifier_key(origin, public)}")
    if not all(verify(public, each, body.encode()) for each in ours):
        raise NoteError(f"the signature of {origin} in the note is not one of its key over this text")
    return read_checkpoint(body, origin)


def read_checkpoint(body: str, origin: str) -> Checkpoint:
    """The checkpoint that a note's text is, or NoteError."""
    lines = body.split("\n")
    if len(lines) < 4 or not all(lines[:-1]) or lines[-1]:
        raise NoteError("a checkpoint has three lines or more, none of them empty")
    name, size, root = lines[:3]
    if name != origin:
        raise NoteError(f"the checkpoint is of {name!r}; right would be {origin!r}")
    if not (size.isascii() and size.isdigit()) or (size[0] == "0" and size != "0") or int(size) >= 1 << 63:
        raise NoteError(f"the checkpoint's size is {size!r}; right would be a decimal number")
    return Checkpoint(name, int(size), _base64(root, HASH_BYTES))


def _signature(line: str, origin: str, public: bytes) -> bytes | None:
    """The signature in this line if it names the log's key; None for another's."""
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    if dash != "—" or not name or not encoded:
        raise NoteError(f"{line[:80]!r} is no signature line")
    if name != origin:
        return None
    raw = _base64(encoded, None)
    return raw[ID_BYTES:] if raw[:ID_BYTES] == key_id(origin, public) else None


def _base64(text: str, length: int | None) -> bytes:
    """Its one way of writing and no other, so that no note can be changed and stay valid."""
    try:
        data = b64decode(text, validate=True)
    except (Base64Error, ValueError):
        data = b""
    if not data or b64encode(data).decode() != text or length not in (None, len(data)):
        raise NoteError(f"{text[:80]!r} is not {length or 'some'} bytes in base64")
    return data
