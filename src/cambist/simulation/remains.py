"""What is left of the log on virtual disks, read by one who knows how they lied: what a start must find again, and what nobody can.

Decides which end of the log a start may give up without breaking a promise. It only reads. It must not know what a house does with what it finds.
"""
from __future__ import annotations

from collections.abc import Sequence

from cambist.log import snapshot
from cambist.log.disk import DiskError
from cambist.log.entry import HEADER, MAGIC, Entry
from cambist.log.mirror import InMemory
from cambist.log.replay import Replay
from cambist.log.results import ResultsReader
from cambist.log.segment import Walk, read_header
from cambist.node import Node
from cambist.simulation.virtual_disk import VirtualDisk


def stored(disk: VirtualDisk, directory: str, node: Node) -> tuple[list[Entry], list[tuple[int, int, bytes]]]:
    """All of the log, and of the results (first and last sequence, events), as they are stored. Raises Damaged."""
    replay = Replay(disk, f"{directory}/log", cell=node.number, unproven=True)
    try:
        entries = [entry for chunk in replay.chunks() for entry in chunk]
    finally:
        replay.close()
    return entries, [(kept.first_sequence, kept.last_sequence, bytes(kept.events)) for kept in node.results.read(1)]


def newest_snapshot(disk: VirtualDisk, directory: str) -> int:
    """Its sequence, 0 for none: no log may end before it."""
    try:
        return max((int(name[-20:]) for name in snapshot.snapshot_names(disk, f"{directory}/snapshots")), default=0)
    except DiskError:
        return 0


def lost_by_all(disk: VirtualDisk, directory: str, mirrors: Sequence[tuple[VirtualDisk, str]]) -> int:
    """The first sequence of the log that every copy had acknowledged and lost, and nobody could tell; 0 for none."""
    copies = ((disk, f"{directory}/log"), *mirrors)
    results = ResultsReader(disk, f"{directory}/results")
    gone = [min((_first_sequence(lie.right) for lie in copy.wrong(where, "lost")), default=0) or _rotten_from(copy, where, results)
            for copy, where in copies]
    return max(gone) if all(gone) else 0


def _rotten_from(disk: VirtualDisk, where: str, results: ResultsReader) -> int:
    """From which sequence on every entry of this copy's last segment is not what was written (a bit turned, another write came to lie on it), and no results
    are left that know of one: as good as torn."""
    names = [name for name in disk.names if name.startswith(f"{where}/journal-0")]
    rot = [lie for lie in disk.wrong(where) if lie.what != "lost" and lie.inode is disk.names[max(names)]] if names else []
    if not rot:
        return 0
    right = bytearray(rot[0].inode.live)
    for lie in reversed(rot):
        right[lie.offset:lie.offset + len(lie.right)] = lie.right
    file = InMemory(bytes(right))
    entries = list(Walk(file, read_header(file, max(names))))
    first, end = 0, entries[-1][0] + len(entries[-1][1].data) if entries else 0
    for offset, entry in reversed(entries):
        if not any(lie.offset < end and lie.offset + len(lie.right) > offset for lie in rot):
            break
        first, end = entry.first_sequence, offset
    if not first:
        return 0
    known = [kept.last_sequence for kept in results.read(1)]
    return 0 if known and known[-1] >= first else first


def _first_sequence(written: bytes) -> int:
    """Of entries that were written; what is no entry may concern every sequence."""
    return HEADER.unpack_from(written)[7] if written[:4] == MAGIC and len(written) >= HEADER.size else 1
