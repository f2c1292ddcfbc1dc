"""Trying entries in a process that may die: a child made of this one applies them to its own copy of the state, and only where it died comes back.

Decides how a death is seen and what counts as one. It must not know what a command means, nor what follows.
"""
import faulthandler
import mmap
import os
import resource
import signal
import struct
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from cambist.log.entry import Entry
from cambist.poison import CannotSkip, Died, commands_of, one_by_one

PATIENCE_SECONDS = 3.0                          # for one step of a child: a command takes microseconds, an entry milliseconds
POLL_SECONDS = 0.002
RAISED = 70                                     # exit code of a child in which the core raised something
_MARK = struct.Struct("<qH")                    # sequence, bytes of text
MARK_BYTES = 4096


def try_out(cell: Any, entries: Sequence[Entry], skipped: Collection[int] = ()) -> Died | None:
    """Where the core dies in these entries; None where it does not. `cell` is not changed. Raises CannotSkip where no one command is to blame."""
    def whole(mark: Callable[[int], None]) -> None:
        for entry in entries:
            mark(entry.first_sequence)
            for _ in cell.run(commands_of(entry, skipped), entry.time):
                pass

    def singly(mark: Callable[[int], None]) -> None:
        for entry in entries:
            one_by_one(cell, entry, skipped, mark)

    first = in_child(whole)
    if first is None:
        return None
    died, again = in_child(singly), in_child(singly)
    if died is None or again is None or died.sequence != again.sequence:
        places = ", ".join(str(each.sequence) if each else "nowhere" for each in (first, died, again))
        raise CannotSkip(f"the core dies in the entry of sequence {first.sequence} ({first.how}), but not at one command each time (tried: {places}); "
                         "a person must look")
    return Died(died.sequence, f"{died.how}, in each of three trials")


def in_child(work: Callable[[Callable[[int], None]], None]) -> Died | None:
    """Runs `work` in a child; where its last mark was if it died, raised something, or made no step for too long."""
    shared = mmap.mmap(-1, MARK_BYTES)
    child = os.fork()
    if child == 0:
        _be_child(work, shared)
    try:
        how = _outcome(child, shared)
        sequence, length = _MARK.unpack_from(shared)
        text = shared[_MARK.size:_MARK.size + length].decode(errors="replace")
    finally:
        shared.close()
    return Died(sequence, text or how) if how else None


def _be_child(work: Callable[[Callable[[int], None]], None], shared: mmap.mmap) -> None:
    """Never returns, and touches nothing that the parent has."""
    code = RAISED
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        faulthandler.disable()
        work(lambda sequence: _MARK.pack_into(shared, 0, sequence, 0))
        code = 0
    except BaseException as fault:  # noqa: BLE001  whatever it is, it is what is looked for
        text = f"{type(fault).__name__}: {fault}".encode()[:MARK_BYTES - _MARK.size]
        sequence, _ = _MARK.unpack_from(shared)
        _MARK.pack_into(shared, 0, sequence, len(text))
        shared[_MARK.size:_MARK.size + len(text)] = text
    finally:
        os._exit(code)


def _outcome(child: int, shared: mmap.mmap) -> str:
    """How the child ended; empty for well. Raises CannotSkip when somebody else ended it."""
    seen, since = -1, time.monotonic()
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        if (now := shared[:8]) != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > PATIENCE_SECONDS:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return f"the core did not end within {PATIENCE_SECONDS:.0f} s"
        time.sleep(POLL_SECONDS)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
            raise CannotSkip(f"the trial was ended from outside ({signal.Signals(number).name}): memory may be short; start again")
        return f"the core died of {signal.Signals(number).name}"
    return f"the core ended with {os.WEXITSTATUS(status)}" if os.WEXITSTATUS(status) else ""
