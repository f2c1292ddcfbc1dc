"""The desk as a process: its steps, over the door's Unix socket, by the machine's clock.

Decides when to listen, when to let time pass, and when the same bytes are sent again. It must not decide what is quoted or hedged: those are the steps.

A desk that starts again reads its account's stream from the beginning, without acting, up to where the node stood when it connected; then it acts. A command
counts as unanswered until an event echoes its id: after a broken connection the same bytes go again, and the core answers each id once.
"""
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cambist.desk.execution import Elapsed
from cambist.desk.hedging import Hedger, hedger_settings
from cambist.desk.quoting import Heard, Outgoing, Quoter, Sender, desk_aims, desk_sources, desk_terms, parcels, pricing_settings, quoter_settings
from cambist.desk.settling import SettlementClerk
from cambist.door.client import Code, ProtocolFault, Role, StreamKind, Subscription
from cambist.door.client_shell import Client, DoorClosed, RefusedByDoor
from cambist.messages import Event
from cambist.sections import Design

PAUSE_SECONDS = 0.005                           # between two looks at the streams and the books
LAPSE_SECONDS = 0.05                            # how often time alone is a step
AGAIN_SECONDS = 0.2                             # after a broken connection or an overload
UNANSWERED_MOST = 10_000
Names = Mapping[str, Mapping[str, int]]
Feed = Callable[[], list[Heard]]                # every book that came since the last call; never waits


class Line:
    """A connection that comes back, and the commands not yet answered. What waited longest is let go of when there are too many: its id has lapsed."""

    def __init__(self, path: str, streams: tuple[tuple[StreamKind, int], ...], stop: threading.Event) -> None:
        self._path, self._streams, self._stop = path, streams, stop
        self._cursors = {stream: 1 for stream in streams}
        self._unanswered: dict[tuple[int, int], Outgoing] = {}
        self._client: Client | None = None
        self._subscriptions: dict[tuple[StreamKind, int], Subscription] = {}
        self.caught_up_at = 0                           # the log's sequence when the first connection was made

    def send(self, outgoing: list[Outgoing]) -> None:
        for one in outgoing:
            self._unanswered[int(one.record["id_hi"][0]), int(one.record["id_lo"][0])] = one
            if len(self._unanswered) > UNANSWERED_MOST:
                del self._unanswered[next(iter(self._unanswered))]
        self._put(outgoing)

    def _put(self, outgoing: list[Outgoing]) -> None:
        for records, attachments in parcels(outgoing):
            while not self._stop.is_set():
                client = self._connected()
                if client is None:
                    return                              # all of it is unanswered, and goes again with the new connection
                try:
                    client.submit(records, attachments)
                    break
                except RefusedByDoor as refused:
                    if refused.code not in (Code.OVERLOAD, Code.NOT_YET):
                        raise
                    self._stop.wait(AGAIN_SECONDS)
                except (OSError, ProtocolFault):
                    self._lost()
                    return

    def hear(self) -> list[tuple[tuple[StreamKind, int], np.void, int]]:
        """(stream, event, position) of what came; empty when nothing did, or while there is no connection."""
        if (client := self._connected()) is None:
            return []
        heard = []
        try:
            for stream, subscription in self._subscriptions.items():
                for batch in client.batches(subscription, timeout=0.001):
                    self._cursors[stream] = batch.first + len(batch.events)
                    heard += [(stream, row, batch.position) for row in batch.events]
        except (OSError, ProtocolFault):
            self._lost()
        for _, row, _ in heard:
            self._unanswered.pop((int(row["id_hi"]), int(row["id_lo"])), None)
        return heard

    def _connected(self) -> Client | None:
        if self._client is not None:
            return self._client
        try:
            client = Client(self._path, Role.HOUSE if hasattr(Role, "HOUSE") else Role.GATEWAY)
            self._subscriptions = {stream: client.subscribe(*stream, cursor=self._cursors[stream]) for stream in self._streams}
        except (OSError, RefusedByDoor, ProtocolFault):
            self._stop.wait(AGAIN_SECONDS)
            return None
        self._client = client
        if not self.caught_up_at:
            self.caught_up_at = max(client.read("status")[0], 1)
        again = list(self._unanswered.values())
        if again:
            self._put(again)
        return self._client

    def _lost(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = None

    def close(self) -> None:
        self._lost()


def run_desk(path: str, design: Design, names: Names, key: str, feed: Feed, stop: threading.Event, tell: Callable[[Any], None] = lambda effect: None) -> None:
    """The desk of `key` until `stop` is set. `tell` hears what a person should know. `feed` gives the venues' books."""
    named = design.keys[key]
    account, sources = names["accounts"][named.account], desk_sources(design, names)
    sender = Sender(names["actors"][key], account, time.time_ns(), design.cell.answer_window // 2)
    terms, aims = desk_terms(design, names), desk_aims(design, names, named.account)
    quoter = Quoter(sender, terms, sources, aims, quoter_settings(design, names))
    most = max((len(some) for some in sources.values()), default=2)
    hedger = Hedger(sender, terms, sources, aims, hedger_settings(design, names, pricing_settings(design, most)))
    line = Line(path, ((StreamKind.ACCOUNT, account), (StreamKind.PUBLIC, 0)), stop)
    acting, clock = False, _Clock()
    lapsed = 0
    while not stop.is_set():
        now, out = clock.now(), []
        events: list[Any] = []
        for (kind, _), row, position in line.hear():
            if kind is StreamKind.PUBLIC and row["kind"] != Event.REFERENCE:
                continue
            if acting or position > line.caught_up_at:
                events.append(row)
            else:
                hedger.learn(row, now)
                if kind is StreamKind.ACCOUNT:
                    quoter.learn(row, now=now)
        acting = acting or (line.caught_up_at > 0 and not events and not line.behind) if hasattr(line, "behind") else line.caught_up_at > 0
        events += feed()
        if now - lapsed >= LAPSE_SECONDS * 1e9:
            events.append(Elapsed())
            lapsed = now
        for event in events:
            quotes, effects = quoter.step(event, now)
            hedges, unhedged = hedger.step(event, now)
            out += [*quotes, *(Outgoing(record) for record in hedges)]
            for effect in (*effects, *unhedged):
                tell(effect)
        if acting and out:
            line.send(out)
        stop.wait(PAUSE_SECONDS)
    line.close()
