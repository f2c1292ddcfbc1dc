"""One look at every record of a SUBMIT, before it is let near an entry. Knows the head of a record and nothing of what any command means."""
import numpy as np

from cambist.loops import loop
from cambist.messages import COMMAND
from cambist.messages import GROUP_MORE as MORE

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


def looked_at(records: np.ndarray) -> tuple[int, int]:
    """What `look` finds."""
    if not records.flags.writeable or not records.flags.c_contiguous:
        records = np.array(records)                     # one version of the loop is compiled
    found = np.empty(2, np.int64)
    look(records, found)
    longest, attached = found.tolist()
    return longest, attached
