"""The design a node runs by, as a process beside it reads it: through the door, and again to see that it has not changed.

Decides how long to ask. It must not decide what a design means.
"""
import asyncio
import contextlib
import time
from typing import NamedTuple

from cambist.design import Design, kinds, read_design
from cambist.desk.quoting import desk_terms
from cambist.door.client_shell import Client, RefusedByDoor
from cambist.door.protocol import Code, ProtocolFault, Role
from cambist.messages import Kind
from cambist.part_shell import DesignChanged, Part
from cambist.venues.venue import Terms

AGAIN_SECONDS, CHANGE_SECONDS = 0.5, 30.0
LATER = (Code.NOT_YET, Code.OVERLOAD, Code.CLOSING, Code.BAD_ARGUMENT)         # BAD_ARGUMENT: nothing was started yet, so there is no design


class RunningDesign(NamedTuple):
    """What a process runs by. `sequence`: of the command that brought this design."""
    design: Design
    names: dict[str, dict[str, int]]
    sequence: int
    terms: dict[int, Terms]


async def await_design(part: Part) -> RunningDesign | None:
    """As soon as the node tells it; None when it is time to stop first."""
    while not part.stop.is_set():
        try:
            return await asyncio.to_thread(ask_design, part.socket)
        except RefusedByDoor as refused:
            if refused.code not in LATER:
                raise
        except (OSError, ProtocolFault):
            pass                                        # it is not there yet, or went away: again
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(part.stop.wait(), AGAIN_SECONDS)
    return None


def ask_design(socket: str) -> RunningDesign:
    with Client(socket, Role.SERVICE) as client:
        told = client.read("design")[1]
    design = read_design(told["text"], "the running design")
    return RunningDesign(design, told["names"], told["sequence"], desk_terms(design, told["names"]))


class DesignWatch:
    """`look` now and then: raises DesignChanged, so that the process is started again with the new one."""

    def __init__(self, part: Part, running: RunningDesign) -> None:
        self._socket, self._sequence, self._looked = part.socket, running.sequence, time.monotonic()

    async def look(self) -> None:
        if time.monotonic() - self._looked < CHANGE_SECONDS:
            return
        self._looked = time.monotonic()
        try:
            now = await asyncio.to_thread(ask_design, self._socket)
        except (OSError, ProtocolFault, RefusedByDoor):
            return                                      # asked again later
        if now.sequence != self._sequence:
            raise DesignChanged(f"the design changed with sequence {now.sequence}; starting again with it")


def service_key(design: Design, kind: Kind, account: str = "", near: str = "") -> str | None:
    """A program's key whose role may send this kind, for the account or for none; the one named after `near` before others."""
    roles = design.roles
    able = [name for name, key in design.keys.items() if key.account == account and key.service and key.enabled
            and any(kind in kinds(words) for words in (roles[key.role].own, roles[key.role].entity, roles[key.role].all))]
    return next((name for name in able if near and near in name), able[0] if able else None)
