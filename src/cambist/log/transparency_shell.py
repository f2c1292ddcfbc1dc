"""Where the log's key comes from, and what `cambist prove` writes: the files and the cryptography around `transparency.py`.

Decides where the key lies (DIRECTORY/secrets/log-key, for its owner alone) and makes it for a log that has signed nothing. It must not decide what is signed.
"""
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key

from cambist.log.disk import DiskMissing
from cambist.log.disk_shell import RealDisk
from cambist.log.heads import NAME, Heads, Log
from cambist.log.transparency import FOLDER, Publisher, TransparencyError, prove

SECRETS, LOG_KEY = "secrets", "log-key"


def verify_signature(public: bytes, signature: bytes, message: bytes) -> bool:
    """Ed25519, RFC 8032."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return False
    return True


def open_publisher(directory: Path, cell: int, origin: str = "") -> Publisher:
    """The directory's publisher with its key. `origin` names the log to the world; once heads are signed it stays, and need not be said again."""
    disk, kept = RealDisk(), _kept(directory)
    key = read_key(directory, may_make=kept is None)
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return Publisher(disk, str(directory), Log(cell, origin or (kept.origin if kept else f"cambist.local/cell-{cell}"), public), key.sign)


def read_key(directory: Path, *, may_make: bool) -> Ed25519PrivateKey:
    """The log's key. Made when missing, but never in place of one that has signed."""
    path = directory / SECRETS / LOG_KEY
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        if not may_make:
            raise TransparencyError(f"{path} is missing, and {directory / FOLDER} holds heads it has signed; restore it") from None
        key = Ed25519PrivateKey.generate()
        _keep(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return key
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise TransparencyError(f"{path} holds no Ed25519 private key in PEM (PKCS #8) without a passphrase; restore it")
    return key


def write_proof(directory: Path, sequence: int, since: str, out: Path | None, say: Callable[[str], None], remark: Callable[[str], object]) -> int:
    """Write the proof to `out`, or say it; `remark` tells the house what it is of. `since`: a size, or a file with a signed head."""
    older = int(since) if since.isascii() and since.isdigit() else Path(since).read_text() if since else 0
    found = prove(RealDisk(), str(directory), sequence, verify_signature, since=older)
    text = msgspec.json.format(msgspec.json.encode(found.proof)).decode()
    if out:
        out.write_text(f"{text}\n")
    else:
        say(text)
    remark(f"leaf {found.proof.index} is the entry of sequences {found.first_sequence} to {found.last_sequence}")
    return 0


def _kept(directory: Path) -> Log | None:
    """Whose heads are there; None if there are none."""
    if not (directory / FOLDER / NAME).exists():
        return None
    try:
        heads = Heads.open(RealDisk(), str(directory / FOLDER))
    except DiskMissing:
        return None
    heads.close()
    return heads.log


def _keep(path: Path, data: bytes) -> None:
    """Whole or not at all, durable, and for its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    handle, fresh = tempfile.mkstemp(dir=path.parent)       # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(fresh).replace(path)
    except BaseException:
        Path(fresh).unlink()
        raise
    RealDisk().sync_directory(str(path.parent))
