"""`cambist apply` at a running node: asks for the difference through the door, and approves what waits. Holds the socket and the clock, decides nothing."""
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from cambist.changes import Running, approval, key_number, plan, running_design, send
from cambist.door.client_shell import Client
from cambist.log.disk_shell import RealDisk

SOCKET = "door.sock"
EXPIRES_NS = 30_000_000_000
WAIT_SECONDS = 10.0


def _running(directory: Path) -> Running:
    found = running_design(RealDisk(), str(directory))
    if found is None:
        raise FileNotFoundError(f"{directory} holds no log that was started; run `cambist run --directory {directory}` first")
    return found


def _new_id() -> int:
    return secrets.randbits(62) + 1


def ask_for(directory: Path, file: Path, key: str, say: Callable[[str], None]) -> int:
    """Send the difference; 0 when every command is done or waits for a second person."""
    running = _running(directory)
    records, side = plan(running, file.read_text(), str(file), key=key, first_id=_new_id(), expires=time.time_ns() + EXPIRES_NS)
    if not records:
        say("nothing to change: this design runs")
        return 0
    with Client(str(directory / SOCKET)) as client:
        changes = send(records, side, lambda record, attachments: client.submit_and_wait(record, WAIT_SECONDS, attachments).events)
    for change in changes:
        say(f"{change.kind}: {change.outcome}")
    bad = [c for c in changes if not c.outcome.startswith(("done", "held"))]
    if bad and len(changes) < len(records):
        say(f"stopped there; {len(records) - len(changes)} commands were not sent")
    return 1 if bad else 0


def approve_held(directory: Path, key: str, say: Callable[[str], None]) -> int:
    """Approve every held command another person asked for, showing each; 0 when none was refused."""
    actor = key_number(_running(directory), key)
    refused = 0
    with Client(str(directory / SOCKET)) as client:
        waiting = client.read("held")[1]["held"]
        if not waiting:
            say("nothing waits for a second person")
        for row in waiting:
            record = approval(int(row["id"]), bytes.fromhex(row["record"]), actor=actor, id_hi=_new_id(), id_lo=1, expires=time.time_ns() + EXPIRES_NS)
            changes = send([record], b"", lambda r, attachments: client.submit_and_wait(r, WAIT_SECONDS, attachments).events)
            say(f"{row['id']} {row.get('kind', '')}: {changes[0].outcome}")
            refused += not changes[0].outcome.startswith("done")
    return 1 if refused else 0
