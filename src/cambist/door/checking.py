"""One look at every record of a SUBMIT, before it is let near an entry. Knows the head of a record, and of what commands mean only which of them a full disk
does not stop."""
import numpy as np

from cambist.loops import loop
from cambist.messages import COMMAND, Kind
from cambist.messages import GROUP_MORE as MORE

# What is let in while the disk is full: what only takes risk away, and what happened outside to orders that are out there already.
ESSENTIAL = np.zeros(1 << 8 * COMMAND["kind"].itemsize, bool)
ESSENTIAL[[Kind.CANCEL_ORDER, Kind.CANCEL_ALL, Kind.CANCEL_SOME, Kind.CANCEL_REQUEST, Kind.WITHDRAW_QUOTE, Kind.CANCEL_CHILD, Kind.HALT, Kind.KILL,
           Kind.KILL_ALL, Kind.KILL_TRADER, Kind.CHILD_ACKED, Kind.CHILD_FILLED, Kind.CHILD_CLOSED, Kind.CHILD_UNKNOWN]] = True
INT = np.dtype(np.int64)
GROUP_MORE = int(MORE)


@loop(COMMAND, INT)
def look(records, found):
    """`found`: the length of the longest group, 0 when the last one is left open; whether any record names an attachment."""
    longest, run, attached = 0, 0, 0
    for i in range(len(records)):
        run += 1
        if not records[i]["flags"] & GROUP_MORE:
            longest = max(longest, run)
            run = 0
        if records[i]["attachment"]:
            attached = 1
    found[0], found[1] = 0 if run else longest, attached


@loop(COMMAND, INT, INT, COMMAND, int, int, int, int)
def take(records, allowed, found, rows, at, account, actor, received):
    """Copies what a session may send to `rows[at:]`, each with the time it was received. `found`: the first record that names another account or actor, and
    the first of a kind that is not `allowed`, or -1."""
    found[0], found[1] = -1, -1
    for i in range(len(records)):
        r = records[i]
        if found[0] < 0 and (r["actor"] != actor or r["account"] != account):
            found[0] = i
        if found[1] < 0 and (r["kind"] >= len(allowed) or not allowed[r["kind"]]):
            found[1] = i
        rows[at + i] = r
        rows[at + i]["received"] = received


def is_essential(records: np.ndarray) -> bool:
    """Whether a full disk stops none of them."""
    return bool(ESSENTIAL[records["kind"]].all())


def looked_at(records: np.ndarray) -> tuple[int, int]:
    """What `look` finds."""
    if not records.flags.writeable or not records.flags.c_contiguous:
        records = np.array(records)                     # one version of the loop is compiled
    found = np.empty(2, np.int64)
    look(records, found)
    longest, attached = found.tolist()
    return longest, attached
