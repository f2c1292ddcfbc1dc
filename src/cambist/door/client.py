"""A client's side of the door, without IO: requests in, bytes out; bytes in, what they mean out.

Decides how requests are numbered, how credit is kept up, and what counts as an answer to a command. It must not know a socket, a clock, or what an order
is. Silence is not a no: a command without an answer is *unknown* until the same bytes, asked again, bring the first answer or a new one.
"""
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from cambist.door.protocol import (
    MAX_CREDIT, Bye, Code, End, Events, Hello, Message, Ping, Pong, ProtocolFault, Pull, Read, Received, Refused, Role, Session, State, StreamKind,
    Submit, Subscribe, Unsubscribe, Verb, View, Welcome, attach, encode,
)
from cambist.messages import COMMAND, COUNTED_ONCE, EVENT, NUMBERED, Event

__all__ = ["MAX_CREDIT", "Asked", "Bye", "ClientSession", "Code", "DoorClosed", "Events", "Message", "Outcome", "ProtocolFault", "Received", "Refused",
           "RefusedByDoor", "Role", "State", "StreamKind", "Subscription", "Verb", "View", "Welcome", "attach"]

CREDIT = 1 << 13                                        # events a subscription asks for ahead, refilled at half


class RefusedByDoor(Exception):
    """Nothing of the request was done."""
    def __init__(self, refused: Refused):
        super().__init__(f"{refused.code.name}{': ' if refused.text else ''}{refused.text}")
        self.code = refused.code


class DoorClosed(ConnectionError):
    """The connection has ended; what was asked last and not answered is unknown."""


class Outcome(NamedTuple):
    """What became of one command. `events` is None while that is unknown: ask again with the same bytes."""
    events: np.ndarray | None
    asked: int                                          # how often it was sent
    time: int = 0                                       # log time of the answer, ns
    position: int = 0                                   # log sequence of which at least everything was told when the answer was heard


class Subscription:
    """One stream as this client hears it: the next number, and the credit still out."""
    def __init__(self, request: int, stream: StreamKind, account: int, cursor: int, credit: int):
        self.request, self.stream, self.account, self.number, self.credit, self.out = request, stream, account, cursor, credit, credit
        self.position = 0

    def take(self, batch: Events) -> None:
        if self.number and batch.first != self.number:
            raise ProtocolFault(Code.UNEXPECTED, f"number {batch.first} of a stream where {self.number} is next")
        if len(batch.events) > self.out:
            raise ProtocolFault(Code.BAD_CREDIT, f"{len(batch.events)} events on a credit of {self.out}")
        self.number, self.position, self.out = batch.first + len(batch.events), batch.position, self.out - len(batch.events)


class ClientSession:
    """`outgoing()` is what must be sent; `room`, `filled` and `messages` (or `feed`) bring what came. Answers carry the number that the request got."""
    def __init__(self, role: Role = Role.GATEWAY):
        self.welcome: Welcome | None = None
        self.subscriptions: dict[int, Subscription] = {}
        self._session = Session(End.CLIENT)
        self._out = [encode(Hello(role))]
        self._request = 0
        self.room, self.filled = self._session.room, self._session.filled

    @property
    def state(self) -> State:
        return self._session.state

    def outgoing(self) -> bytes:
        """Everything to be sent since the last call."""
        out, self._out = b"".join(self._out), []
        return out

    # ----------------------------------------------------------------------------------------------------------------------------- requests
    def submit(self, records: np.ndarray, attachments: bytes = b"") -> int:
        """Answered by Received or Refused; what became of the commands is told in streams."""
        return self._ask(Submit(self._next(), records, attachments))

    def subscribe(self, stream: StreamKind, account: int = 0, cursor: int = 1, credit: int = CREDIT) -> Subscription:
        """From number `cursor` on; 0: from now on. Answered by Events, an empty batch first where there is nothing yet, or by Refused."""
        subscription = Subscription(self._next(), stream, account, cursor, credit)
        self.subscriptions[self._ask(Subscribe(subscription.request, stream, account, cursor, credit))] = subscription
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        if self.subscriptions.pop(subscription.request, None):
            self._ask(Unsubscribe(subscription.request))

    def refill(self, subscription: Subscription) -> None:
        """Asks for more when half of the credit is used. Whoever is slow to handle events calls it late: that is the back-pressure."""
        used = subscription.credit - subscription.out
        if used * 2 >= subscription.credit and subscription.request in self.subscriptions:
            subscription.out += used
            self._ask(Pull(subscription.request, used))

    def read(self, view: str, at_least: int = 0, **argument: int) -> int:
        """Answered by View or Refused."""
        return self._ask(Read(self._next(), view, at_least, msgspec.json.encode(argument) if argument else b""))

    def ping(self, token: int = 0) -> None:
        self._out.append(encode(Ping(token)))

    def bye(self, text: str = "") -> None:
        self._out.append(encode(Bye(Code.NONE, text)))

    # ------------------------------------------------------------------------------------------------------------------------------ answers
    def messages(self) -> Iterator[Message]:
        """What has arrived whole and concerns the caller; a PING is answered here. Raises ProtocolFault."""
        return self._heard(self._session.messages())

    def feed(self, data: bytes) -> Iterator[Message]:
        return self._heard(self._session.feed(data))

    def _heard(self, messages: Iterator[Message]) -> Iterator[Message]:
        for message in messages:
            if isinstance(message, Ping):
                self._out.append(encode(Pong(message.token)))
                continue
            if isinstance(message, Welcome):
                self.welcome = message
            elif isinstance(message, Events):
                subscription = self.subscriptions.get(message.request)
                if subscription is None:
                    continue                            # sent before our UNSUBSCRIBE was heard
                subscription.take(message)
            elif isinstance(message, Refused):
                self.subscriptions.pop(message.request, None)
            yield message

    def _next(self) -> int:
        self._request = self._request % 0xFFFF_FFFF + 1
        return self._request

    def _ask(self, message: Any) -> int:
        self._out.append(encode(message))
        return message.request


class Asked:
    """One command that waits for its answer: known by its client id among the events of a stream that tells its account. Of a group the first is known so;
    the others are answered with it."""
    def __init__(self, record: np.ndarray):
        self.record = np.ascontiguousarray(record).reshape(-1).view(COMMAND).copy()
        row = self.record[0]
        self.account, self.actor, self.kind = int(row["account"]), int(row["actor"]), int(row["kind"])
        self.id_hi, self.id_lo = int(row["id_hi"]), int(row["id_lo"])
        self.numbered = bool(row["flags"] & NUMBERED)
        self.duplicate = False                          # answered, but these events are not surely the whole answer: `question` finds it
        self.answer: np.ndarray | None = None
        self.time = self.position = 0

    def stream(self) -> tuple[StreamKind, int]:
        """Where its answer is told. A command that names no account is answered to the actor's own or to none: only the whole stream is sure to tell."""
        return (StreamKind.ACCOUNT, self.account) if self.account else (StreamKind.ALL, 0)

    def hear(self, batch: Events) -> bool:
        """True once it is answered: by events that echo its id, or by a DUPLICATE."""
        events = batch.events
        return self.take(batch, np.flatnonzero((events["id_hi"] == self.id_hi) & (events["id_lo"] == self.id_lo) & (events["command"] == self.kind)))

    def take(self, batch: Events, at: Sequence[int] | np.ndarray) -> bool:
        """The same for who knows already which events of the batch echo its id and kind."""
        if not len(at):
            return False
        mine = batch.events[at]
        # Numbers are an actor's own, and an event names no actor: what looks like the answer only says that it is time to ask for it.
        # A fact counts once and is never refused: that it was heard before is the whole answer, and no view keeps another.
        unsure = bool(mine["kind"][0] == Event.DUPLICATE) or (batch.more and int(at[-1]) == len(batch.events) - 1)
        self.duplicate = self.numbered or (unsure and self.kind not in COUNTED_ONCE)
        self.answer = None if self.duplicate else mine.copy()
        self.time, self.position = int(batch.times[at[0]]), batch.position
        return True

    def question(self) -> dict[str, int]:
        """The argument of the view `answer` that finds the first answer."""
        if self.numbered:
            return {"actor": self.actor, "number": self.id_lo}
        return {"account": self.account, "id_hi": self.id_hi, "id_lo": self.id_lo}

    def found(self, view: dict[str, Any]) -> np.ndarray | None:
        """The events of that view's answer, or None if the house does not know it."""
        if not view["known"]:
            return None
        self.time = view["time"]
        events = np.zeros(len(view["events"]), EVENT)
        for row, told in zip(events, view["events"], strict=True):
            for name in EVENT.names or ():
                row[name] = told[name]
        return events
