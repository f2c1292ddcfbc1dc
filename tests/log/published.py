"""A log on a disk in memory and its publisher, for the tests of what is published; and the published folder on a real disk."""
from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cambist.log.checkpoint import verifier_key
from cambist.log.entry import Entry
from cambist.log.heads import Head, Log
from cambist.log.journal import Journal
from cambist.log.segment import Position
from cambist.log.transparency import Publisher
from cambist.log.transparency_shell import verify_signature

from tests.log.crash_disk import CrashDisk
from tests.log.entries import CELL, entry_after

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
LOG = Log(CELL, "exchange.example/log", KEY.public_key().public_bytes_raw())
VKEY = verifier_key(LOG.origin, LOG.public)
HOUSE, PUBLIC = "house", "house/transparency/public"
SEGMENT_BYTES = 1 << 16
verified = lru_cache(maxsize=None)(verify_signature)            # tests ask the same again and again


def batches(sizes: list[int], count: int = 1) -> list[list[Entry]]:
    """One chain in batches; each entry calls the batch before its own committed, as a busy node's do."""
    position, made = Position(), []
    for size in sizes:
        before, batch = position.sequence, []
        for _ in range(size):
            batch.append(entry_after(position, count, committed=before))
            position = position.after(batch[-1])
        made.append(batch)
    return made


def journal(disk: CrashDisk) -> Journal:
    return Journal.open(disk, f"{HOUSE}/log", cell=CELL, segment_bytes=SEGMENT_BYTES)


def publisher(disk: CrashDisk, log: Log = LOG, key: Ed25519PrivateKey = KEY) -> Publisher:
    return Publisher(disk, HOUSE, log, key.sign, every_ns=0)


def heads_over(disk: CrashDisk, written: list[list[Entry]]) -> list[Head]:
    """Writes the batches and lets a publisher sign after each; the last head covers all, because the log is closed."""
    heads, log = [], journal(disk)
    publishing = publisher(disk)
    for now, batch in enumerate(written):
        log.append_many(batch)
        heads.append(publishing.step(now).head)
    log.close()
    heads.append(publishing.step(len(written)).head)
    publishing.close()
    return [head for head in heads if head]


def tiles(disk: CrashDisk) -> dict[str, bytes]:
    return {name.removeprefix(f"{PUBLIC}/"): bytes(inode.live) for name, inode in disk.names.items() if inode and name.startswith(f"{PUBLIC}/tile/")}


def saved(disk: CrashDisk, folder: Path) -> Path:
    """What is published, as files."""
    for name, inode in disk.names.items():
        if inode is not None and name.startswith(f"{PUBLIC}/"):
            path = folder / name.removeprefix(f"{PUBLIC}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(inode.live)
    return folder
