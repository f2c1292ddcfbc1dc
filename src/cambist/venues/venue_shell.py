"""One venue's executor as a process: its step, over the door's Unix socket, by the machine's clock.

Decides when to listen and when to begin anew. It must not decide what is sent to a venue: that is `executor.py`.

After every broken connection the executor is made again from the core's open children: what was told to a node that fell before it was logged is asked of the
venue once more, and the core counts each execution once. Nothing is ever placed twice, because what stands in the core is asked for and not sent.
"""
import threading
import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import numpy as np

from cambist.door.client import Code, ProtocolFault, Role, StreamKind
from cambist.door.client_shell import Client, RefusedByDoor
from cambist.messages import AccountKind
from cambist.sections import Design
from cambist.venues.executor import VenueExecutor, posting
from cambist.venues.venue import BookUpdate, Report, Terms, Venue

PAUSE_SECONDS = 0.005
AGAIN_SECONDS = 0.2
BATCHES_MOST = 64
Names = Mapping[str, Mapping[str, int]]
Follow = Callable[[], None]                     # lets a simulated or recorded market move to now; a real one needs none


def run_venue(path: str, design: Design, names: Names, name: str, key: str, terms: Mapping[int, Terms], market: Venue, stop: threading.Event,
              follow: Follow = lambda: None, show: Callable[[str, BookUpdate], None] = lambda venue, book: None,
              tell: Callable[[str], None] = lambda call: None) -> None:
    """The executor of venue `name` until `stop` is set. `show` is given every book (the desk's feed), `tell` what a person should know."""
    source = next((source for source, row in design.sources.items() if row.kind == "venue" and row.venue == name), None)
    posts = posting(design, names, source) if source is not None else None
    while not stop.is_set():
        try:
            with Client(path, Role.SERVICE) as client:
                executor = VenueExecutor(names["venues"][name], market.capabilities, terms, names["actors"][key], posts)
                _serve(client, executor, market, stop, follow, lambda book: show(name, book), tell)
        except RefusedByDoor as refused:
            if refused.code not in (Code.OVERLOAD, Code.NOT_YET, Code.CLOSING):
                raise
            stop.wait(AGAIN_SECONDS)
        except (OSError, ProtocolFault):
            stop.wait(AGAIN_SECONDS)


def _serve(client: Client, executor: VenueExecutor, market: Venue, stop: threading.Event, follow: Follow, show: Callable[[BookUpdate], None],
           tell: Callable[[str], None]) -> None:
    """One connection. Events up to where the open children were read are already in them."""
    stream = client.subscribe(StreamKind.ALL, cursor=0)
    now = time.time_ns()
    known = _open_children(client, executor, now, tell)
    intents: list[Any] = []
    while not stop.is_set():
        now = max(now, time.time_ns())
        follow()
        reports: list[Report] = market.step(now, intents)
        events: list[Any] = [None, *reports]
        for batch in islice(client.batches(stream, timeout=0.001), BATCHES_MOST):
            events += [row for row in batch.events if row["sequence"] > known]
        for report in reports:
            if isinstance(report, BookUpdate):
                show(report)
        facts, intents, calls = executor.turn(events, now)
        for call in calls:
            tell(call)
        if facts:
            _put(client, np.concatenate(facts), stop)
        if not intents:
            stop.wait(PAUSE_SECONDS)


def _open_children(client: Client, executor: VenueExecutor, now: int, tell: Callable[[str], None]) -> int:
    """Hands the core's open children to the executor; the log sequence up to which they are whole, for every desk."""
    position, status = client.read("status")
    whole = [position]
    for account in range(1, status["rows"]["accounts"] + 1):
        at, told = client.read("account", at_least=position, account=account)
        if told["account"]["kind"] == AccountKind.DESK:
            if told["more"]:
                tell(f"account {account} has more children than one answer holds: those left out are not asked for")
            executor.resume(told["children"], now)
            whole.append(at)
    return min(whole[1:], default=position)


def _put(client: Client, facts: np.ndarray, stop: threading.Event) -> None:
    """A fact is never let go of: while the node has no room, the same bytes go again."""
    while not stop.is_set():
        try:
            client.submit(facts)
            return
        except RefusedByDoor as refused:
            if refused.code is not Code.OVERLOAD:
                raise
            stop.wait(AGAIN_SECONDS)
