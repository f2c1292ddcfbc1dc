"""The secrets of a house on disk: DIRECTORY/secrets, for its owner alone.

Decides where each secret lies, and makes the first ones of a new house. It must not decide what a secret opens. A house is given passwords for its people
and key pairs for the clients' and dealers' programs whose public key its design does not name; `first-logins.txt` tells them, until someone removes it.
"""
import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cambist.credentials import (
    NOBODY, SALT_BYTES, CredentialError, PasswordRecord, check_password, hash_password, private_pem, public_key, public_text, read_private_key,
)
from cambist.opaque import KEY_BYTES
from cambist.sections import Design

FOLDER, FIRST_LOGINS, PASSWORDS, PUBLIC_KEYS, IDS_KEY, PRIVATE = "secrets", "first-logins.txt", "passwords.json", "public-keys.json", "ids.key", "private"
WORDS = ("amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "haven", "inlet", "juniper", "kelp", "linden", "maple", "north", "olive", "pearl",
         "quartz", "ridge", "saffron", "tidal", "umber", "vale", "willow", "yarrow")


class Secrets:
    """Reads when asked, so that a changed password or key counts at once. Raises CredentialError where a file is missing or unreadable."""

    def __init__(self, directory: Path) -> None:
        self.folder = Path(directory) / FOLDER

    @classmethod
    def create(cls, directory: Path, design: Design) -> "Secrets":
        """The secrets of a new house; those that are there stay. A person or key the design gained since is given one too."""
        made = cls(directory)
        for folder in (made.folder, made.folder / PRIVATE):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
        if not (made.folder / IDS_KEY).exists():
            _write(made.folder / IDS_KEY, secrets.token_bytes(KEY_BYTES).hex().encode())
        lines = made._first_passwords(design) + made._first_keys(design)
        if lines:
            told = made.folder / FIRST_LOGINS
            _write(told, ("".join(f"{line}\n" for line in lines) if not told.exists() else told.read_text() + "".join(f"{line}\n" for line in lines)).encode())
        return made

    def _first_passwords(self, design: Design) -> list[str]:
        kept = dict(self._passwords()) if (self.folder / PASSWORDS).exists() else {}
        fresh = {person: _new_password() for person in design.people if person not in kept}
        if fresh or not (self.folder / PASSWORDS).exists():
            kept |= {person: hash_password(password, secrets.token_bytes(SALT_BYTES)) for person, password in fresh.items()}
            _write(self.folder / PASSWORDS, msgspec.json.format(msgspec.json.encode(kept)))
        return [f"password  {person:<12} {password}" for person, password in fresh.items()]

    def _first_keys(self, design: Design) -> list[str]:
        known = dict(self._public_texts()) if (self.folder / PUBLIC_KEYS).exists() else {}
        outside = {*design.clients, *design.dealers}    # programs of the house are not let in through a gateway, and people come with a password
        fresh = [name for name, key in design.keys.items() if key.service and key.account in outside and not key.public_key and name not in known]
        for name in fresh:
            key = Ed25519PrivateKey.generate()
            _write(self._private_path(name), private_pem(key))
            known[name] = public_text(key)
        if fresh or not (self.folder / PUBLIC_KEYS).exists():
            _write(self.folder / PUBLIC_KEYS, msgspec.json.format(msgspec.json.encode(known)))
        return [f"key       {name:<16} {self._private_path(name)}" for name in fresh]

    # ------------------------------------------------------------------------------------------------------------------- reading
    @property
    def ids_key(self) -> bytes:
        """What hides ids outside."""
        return bytes.fromhex(self._read(IDS_KEY).decode().strip())

    def first_logins(self) -> str:
        """What a new house was given, or nothing once the file is removed."""
        told = self.folder / FIRST_LOGINS
        return told.read_text() if told.exists() else ""

    def check_password(self, person: str, password: str) -> bool:
        """Slow on purpose, also for a person who is not there: call it in a thread."""
        kept = self._passwords().get(person)
        return check_password(password, kept or NOBODY) and kept is not None

    def set_password(self, person: str, password: str) -> None:
        kept = {**self._passwords(), person: hash_password(password, secrets.token_bytes(SALT_BYTES))}
        _write(self.folder / PASSWORDS, msgspec.json.format(msgspec.json.encode(kept)))

    def public_keys(self, design: Design) -> dict[str, Ed25519PublicKey]:
        """Of every enabled key that has one: the design's word first, else the one the house made."""
        made = self._public_texts()
        texts = {name: key.public_key or made.get(name, "") for name, key in design.keys.items() if key.enabled}
        return {name: public_key(text) for name, text in texts.items() if text}

    def private_key(self, name: str) -> Ed25519PrivateKey:
        return read_private_key(self._read(f"{PRIVATE}/{name}.pem"))

    def _private_path(self, name: str) -> Path:
        return self.folder / PRIVATE / f"{name.replace('/', '_')}.pem"

    def _passwords(self) -> Mapping[str, PasswordRecord]:
        return self._decoded(PASSWORDS, dict[str, PasswordRecord])

    def _public_texts(self) -> Mapping[str, str]:
        return self._decoded(PUBLIC_KEYS, dict[str, str])

    def _decoded(self, name: str, wanted: type) -> Mapping:
        try:
            return msgspec.json.decode(self._read(name), type=wanted)
        except msgspec.MsgspecError as fault:
            raise CredentialError(f"{self.folder / name} is damaged: {fault}") from None

    def _read(self, name: str) -> bytes:
        try:
            return (self.folder / name).read_bytes()
        except OSError as fault:
            raise CredentialError(f"{self.folder / name}: {fault.strerror or fault}; `cambist run` makes the secrets of a new house") from None


def _new_password() -> str:
    """Five words and a number of 24 words and 10,000: 36 bits, behind scrypt and a back-off."""
    return "-".join([*(secrets.choice(WORDS) for _ in range(5)), f"{secrets.randbelow(10_000):04}"])


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, and for its owner alone."""
    handle, temporary = tempfile.mkstemp(dir=path.parent)       # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise
