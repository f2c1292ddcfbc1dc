"""The desk as a process: its steps, over the door's Unix socket, by the machine's clock.

Decides when to listen, when to let time pass, and when the same bytes are sent again. It must not decide what is quoted or hedged: those are the steps.

A desk that starts again reads its account's stream from the beginning, without acting, up to where the node stood when it connected; then it acts. A command
counts as unanswered until an event echoes its id: after a broken connection the same bytes go again, and the core answers each id once.
"""
import threading
import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import numpy as np

from cambist.desk.engine import Engine, Unanswered
from cambist.desk.quoting import Heard, Outgoing, Sender, parcels
from cambist.desk.settling import SettlementClerk
from cambist.door.client import Code, ProtocolFault, Role, StreamKind, Subscription
from cambist.door.client_shell import Client, RefusedByDoor
from cambist.messages import Event
from cambist.sections import Design

PAUSE_SECONDS = 0.005                           # between two looks at the streams and the books
BATCHES_MOST = 64                               # read of one stream before the others have their turn
AGAIN_SECONDS = 0.2                             # after a broken connection or an overload
Names = Mapping[str, Mapping[str, int]]
Feed = Callable[[], list[Heard]]                # every book that came since the last call; never waits
Tell = Callable[[Any], None]


class Line:
    """A connection that comes back, and the commands not yet answered."""

    def __init__(self, path: str, streams: tuple[tuple[StreamKind, int], ...], stop: threading.Event) -> None:
        self._path, self._streams, self._stop = path, streams, stop
        self._cursors = {stream: 1 for stream in streams}
        self._unanswered = Unanswered()
        self._client: Client | None = None
        self._subscriptions: dict[tuple[StreamKind, int], Subscription] = {}
        self._complete = {stream: 0 for stream in streams}      # up to which log sequence each stream was read
        self._reached = 0                               # where the log stood when the first connection was made

    def send(self, outgoing: list[Outgoing]) -> None:
        self._unanswered.sent(outgoing)
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

    def hear(self) -> list[tuple[StreamKind, np.void]]:
        """What came, by stream; empty when nothing did, or while there is no connection."""
        if (client := self._connected()) is None:
            return []
        heard = []
        try:
            for stream, subscription in self._subscriptions.items():
                for batch in islice(client.batches(subscription, timeout=0.001), BATCHES_MOST):
                    self._cursors[stream] = batch.first + len(batch.events)
                    self._complete[stream] = batch.position
                    heard += [(stream[0], row) for row in batch.events]
        except (OSError, ProtocolFault):
            self._lost()
        self._unanswered.heard(row for _, row in heard)
        return heard

    @property
    def behind(self) -> bool:
        """Whether something that was in the log when we first connected is still to be read."""
        return not self._reached or any(position < self._reached for position in self._complete.values())

    def _connected(self) -> Client | None:
        if self._client is not None:
            return self._client
        try:
            client = Client(self._path, Role.SERVICE)
            stood = client.read("status")[0]            # before subscribing: every stream tells at least this much
            self._subscriptions = {stream: client.subscribe(*stream, cursor=self._cursors[stream]) for stream in self._streams}
        except (OSError, RefusedByDoor, ProtocolFault):
            self._stop.wait(AGAIN_SECONDS)
            return None
        for stream, subscription in self._subscriptions.items():
            if subscription.number == self._cursors[stream]:       # nothing in it that we have not heard
                self._complete[stream] = subscription.position
        self._client, self._reached = client, self._reached or max(stood, 1)
        self._put(self._unanswered.all())
        return self._client

    def _lost(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = None

    def close(self) -> None:
        self._lost()


def run_desk(path: str, design: Design, names: Names, key: str, feed: Feed, stop: threading.Event, tell: Tell = lambda effect: None) -> None:
    """The desk of `key` until `stop` is set. `feed` gives the venues' books; `tell` hears what a person should know."""
    engine = Engine(design, names, key, time.time_ns())
    line = Line(path, ((StreamKind.ACCOUNT, engine.account), (StreamKind.PUBLIC, 0)), stop)
    acting, now = False, 0
    while not stop.is_set():
        now = max(now, time.time_ns())
        heard = [row for kind, row in line.hear() if kind is StreamKind.ACCOUNT or row["kind"] == Event.REFERENCE]
        if not acting:
            engine.learn(heard, now)
            acting = not line.behind
            continue
        out, effects = engine.turn(heard, feed(), now)
        for effect in effects:
            tell(effect)
        line.send(out)
        stop.wait(PAUSE_SECONDS)
    line.close()


def run_settlement(path: str, design: Design, names: Names, key: str, stop: threading.Event, cut_offs: tuple[int, ...] = (), tell: Tell = lambda effect: None,
                   net_now: threading.Event | None = None) -> None:
    """The settlement clerk until `stop` is set; `net_now`, when set by another, is a cut-off on request."""
    clerk = SettlementClerk(Sender(names["actors"][key], 0, time.time_ns(), design.cell.answer_window // 2), cut_offs)
    line = Line(path, ((StreamKind.ALL, 0),), stop)
    acting, now = False, 0
    while not stop.is_set():
        now = max(now, time.time_ns())
        heard: list[Any] = [row for _, row in line.hear()]
        if not acting:
            for row in heard:
                clerk.learn(row)
            acting = not line.behind
            continue
        out: list[np.ndarray] = []
        for event in [*heard, None]:
            records, effects = clerk.step(event, now)
            out += records
            for effect in effects:
                tell(effect)
        if net_now is not None and net_now.is_set():
            net_now.clear()
            out += clerk.net(now)
        line.send([Outgoing(record) for record in out])
        stop.wait(PAUSE_SECONDS)
    line.close()
