"""An engine behind the door, in one thread: every command goes through the protocol's bytes into a real node, every event comes back as bytes.

Decides nothing: it is the wire between actors and a node where there is no socket. The clocks are handed in: log time with each entry, stamps by `clock`.
"""
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from cambist.door.client import ClientSession, Events, Message, Received, Refused, StreamKind
from cambist.door.protocol import End, Hello, Pull, Session, Submit, Subscribe, encode
from cambist.feeds.streams import ALL
from cambist.messages import EVENT
from cambist.node import Node

TOGETHER = 1024                                 # records of one SUBMIT: with attachments no more are allowed
EVENTS_TOGETHER = 4096


class Stamp(NamedTuple):
    """When one entry passed each point, by the clock that was handed in."""
    first: int
    count: int
    arrived: int
    sealed: int
    durable: int
    applied: int
    told: int


class ThroughDoor:
    """apply(records, time) -> every event of them, as the door's stream of the house tells it; tables() reads the node's cell."""

    def __init__(self, node: Node, clock: Callable[[], int]):
        self.node, self.clock, self.stamps = node, clock, []
        self._client, self._server = ClientSession(), Session(End.SERVER)
        self._refused: Refused | None = None
        self._heard: list[np.ndarray] = []
        self._subscribe: Subscribe | None = None
        self._number = 1
        self._exchange()
        self._client.subscribe(StreamKind.ALL, 0, 1)
        self._exchange()

    def tables(self) -> dict[str, tuple[int, tuple[str, ...], np.ndarray]]:
        return dict(self.node.cell.tables())

    def apply(self, records: np.ndarray, time: int) -> np.ndarray:
        return self.apply_with(records, time, b"")

    def apply_with(self, records: np.ndarray, time: int, side: bytes) -> np.ndarray:
        """One entry (or several, when there are many records) through the door. Raises RuntimeError when the door refused it."""
        heard = [np.zeros(0, EVENT)]
        for start in range(0, len(records), TOGETHER):
            self._client.submit(records[start:start + TOGETHER], side)
            arrived = self.clock()
            self._exchange()
            if self._refused is not None:
                raise RuntimeError(f"the door refused {self._refused.count} commands: {self._refused.code.name} {self._refused.text}")
            self._step(time, arrived)
            heard += self._hear()
        return np.concatenate(heard)

    def _step(self, time: int, arrived: int) -> None:
        """The node's step, each point stamped."""
        for entry in self.node.seal(time):
            sealed = self.clock()
            self.node.commit([entry])
            durable = self.clock()
            events = self.node.run(entry)
            applied = self.clock()
            self.node.tell(self.node.keep(entry, events))
            self.stamps.append(Stamp(entry.first_sequence, entry.count, arrived, sealed, durable, applied, self.clock()))

    def _hear(self) -> list[np.ndarray]:
        """What the stream of the house has more, through bytes."""
        self._heard = []
        while (asked := self._subscribe) and self.node.streams.last_number(ALL) >= self._number:
            first, position, events, times, more = self.node.streams.read(ALL, self._number, EVENTS_TOGETHER)
            self._number = first + len(events)
            self._to_client(encode(Events(asked.request, asked.stream, asked.account, first, position, events, times, more)))
            for subscription in self._client.subscriptions.values():
                self._client.refill(subscription)
            self._exchange()
        return self._heard

    # --------------------------------------------------------------------------------------------------------------- bytes
    def _exchange(self) -> None:
        """What the client has to say, and the door's answers."""
        answers = [self._answer(message) for message in self._server.feed(self._client.outgoing())]
        for data in answers:
            self._to_client(data)

    def _answer(self, message: Message) -> bytes:
        if isinstance(message, Hello):
            return encode(self.node.welcome())
        if isinstance(message, Submit):
            code = self.node.submit(message.records, message.attachments)
            return encode(Refused(message.request, code, len(message.records)) if code else Received(message.request, len(message.records)))
        if isinstance(message, Subscribe):
            self._subscribe = message
            return encode(Events(message.request, message.stream, message.account, 1, 0, np.zeros(0, EVENT), np.zeros(0, np.int64)))
        if isinstance(message, Pull):
            return b""
        raise RuntimeError(f"no actor sends {type(message).__name__} here")

    def _to_client(self, data: bytes) -> None:
        for message in self._messages(data):
            if isinstance(message, Events) and len(message.events):
                self._heard.append(message.events.copy())
            elif isinstance(message, Refused):
                self._refused = message

    def _messages(self, data: bytes) -> Iterator[Message]:
        return self._client.feed(data) if data else iter(())
