"""One look at every record of a SUBMIT, before it is let near an entry. Knows the head of a record and nothing of what any command means."""
import numpy as np

from cambist.loops import loop
from cambist.messages import COMMAND
from cambist.messages import GROUP_MORE as MORE

INT = np.dtype(np.int64)
GROUP_MORE = int(MORE)


@loop(COMMAND, int, int, INT)
def look(records, account, actor, found):
    """`found`: the length of the longest group, 0 when the last one is left open; whether any record names an attachment; the first record that is not of
    this account and actor (0: of any), or -1. A record that names no account is of any."""
    longest, run, attached, foreign = 0, 0, 0, -1
    for i in range(len(records)):
        r = records[i]
        run += 1
        if not r["flags"] & GROUP_MORE:
            longest = max(longest, run)
            run = 0
        if r["attachment"]:
            attached = 1
        if actor and foreign < 0 and (r["actor"] != actor or (r["account"] != account and r["account"] != 0)):
            foreign = i
    found[0] = 0 if run else longest
    found[1] = attached
    found[2] = foreign


def looked_at(records: np.ndarray, account: int = 0, actor: int = 0) -> tuple[int, int, int]:
    """What `look` finds."""
    if not records.flags.writeable or not records.flags.c_contiguous:
        records = np.array(records)                     # one version of the loop is compiled
    found = np.empty(3, np.int64)
    look(records, account, actor, found)
    longest, attached, foreign = found.tolist()
    return longest, attached, foreign

