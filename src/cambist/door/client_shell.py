"""A plain blocking client of the door over a Unix socket.

Decides when to wait and when to give up waiting. It must not decide what an answer means: that is `client.py`. One thread at a time.
"""
import socket
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from cambist.door.client import (
    CREDIT, Asked, ClientSession, Code, DoorClosed, Events, Message, Outcome, ProtocolFault, Received, Refused, RefusedByDoor, Role, State, StreamKind,
    Subscription,
)
from cambist.door.protocol import SOCKET_BYTES, Bye, View

MAX_BUFFERED = 1 << 10                                  # batches kept for subscriptions that nobody reads at the moment; their credit bounds them first
RECEIVE_SECONDS = 10.0                                  # how long an answer of the door itself may take
AGAIN_SECONDS = 0.5                                     # without an answer for so long, the same bytes are sent again; doubled each time


class Client:
    """`with Client(path) as client:` ..."""
    def __init__(self, path: str, role: Role = Role.GATEWAY, timeout: float = RECEIVE_SECONDS):
        self.path, self.role, self.timeout = path, role, timeout
        self.connect()

    def connect(self) -> None:
        """A new connection. Subscriptions of the last one have ended."""
        self.session = ClientSession(self.role)
        self._waiting: dict[int, deque[Events]] = {}
        self._private: dict[tuple[StreamKind, int], Subscription] = {}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
        self._socket.settimeout(self.timeout)
        try:
            self._socket.connect(self.path)
        except OSError as fault:
            self._socket.close()
            raise DoorClosed(f"no node answers at {self.path} ({fault.strerror or fault}); `cambist run` starts one") from fault
        self._send()
        deadline = time.monotonic() + self.timeout
        while self.session.welcome is None:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"no WELCOME within {self.timeout:g} s")
            self._receive(deadline)
        self.welcome = self.session.welcome

    def close(self) -> None:
        try:
            self.session.bye()
            self._send()
        except OSError:
            pass                                        # it is closed already
        self._socket.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------------------------------------------ requests
    def submit(self, records: np.ndarray, attachments: bytes = b"") -> int:
        """How many records are queued for the log: all. Raises RefusedByDoor when none is. Their outcomes are events."""
        answer = self._answer(self.session.submit(records, attachments))
        assert isinstance(answer, Received)
        return answer.count

    def read(self, view: str, at_least: int = 0, **argument: int) -> tuple[int, dict[str, Any]]:
        """(position, answer) of a view no older than `at_least`. Raises RefusedByDoor."""
        answer = self._answer(self.session.read(view, at_least, **argument))
        assert isinstance(answer, View)
        return answer.position, msgspec.json.decode(answer.body)

    def subscribe(self, stream: StreamKind, account: int = 0, cursor: int = 1, credit: int = CREDIT) -> Subscription:
        """From number `cursor` (0: from now on); read it with `batches`. Raises RefusedByDoor."""
        subscription = self.session.subscribe(stream, account, cursor, credit)
        self._waiting[subscription.request] = deque()
        first = self._answer(subscription.request)
        assert isinstance(first, Events)
        self._waiting[subscription.request].appendleft(first)
        return subscription

    def batches(self, subscription: Subscription, timeout: float | None = None) -> Iterator[Events]:
        """Batches as they come, without end; ends when nothing came for `timeout` seconds."""
        waiting = self._waiting[subscription.request]
        while True:
            deadline = None if timeout is None else time.monotonic() + timeout
            while not waiting:
                if deadline is not None and time.monotonic() >= deadline:
                    return
                self._receive(deadline)
            batch = waiting.popleft()
            self.session.refill(subscription)
            self._send()
            if len(batch.events):
                yield batch

    def submit_and_wait(self, record: np.ndarray, timeout: float = RECEIVE_SECONDS, attachments: bytes = b"") -> Outcome:
        """Sends one command and waits for its answer; hearing none, sends the same bytes again. Unknown when `timeout` has passed."""
        asked, sent, deadline, pause = Asked(record), 0, time.monotonic() + timeout, AGAIN_SECONDS
        while time.monotonic() < deadline:
            try:
                stream = self._private_stream(*asked.stream())
                self.submit(asked.record, attachments)
                sent += 1
                for batch in self.batches(stream, min(pause, max(deadline - time.monotonic(), 0))):
                    if asked.hear(batch) and (events := self._settled(asked)) is not None:
                        return Outcome(events, sent, asked.time, asked.position)
                    if time.monotonic() > deadline:
                        break
            except RefusedByDoor as refused:
                if refused.code not in (Code.OVERLOAD, Code.NOT_YET):
                    raise
                time.sleep(min(pause, max(deadline - time.monotonic(), 0)))
            except (OSError, ProtocolFault):            # the connection broke: whether it was heard is unknown
                self._reconnect(deadline)
            pause *= 2
        return Outcome(None, sent)

    def _settled(self, asked: Asked) -> np.ndarray | None:
        if asked.duplicate:
            asked.position, told = self.read("answer", **asked.question())
            return asked.found(told)
        return asked.answer

    def _private_stream(self, stream: StreamKind, account: int) -> Subscription:
        if (stream, account) not in self._private:
            self._private[stream, account] = self.subscribe(stream, account, 0)
        return self._private[stream, account]

    def _reconnect(self, deadline: float) -> None:
        self._socket.close()
        while time.monotonic() < deadline:
            try:
                self.connect()
                return
            except OSError:
                time.sleep(min(0.05, max(deadline - time.monotonic(), 0)))

    # --------------------------------------------------------------------------------------------------------------------------------- bytes
    def _answer(self, request: int) -> Message:
        """Waits for the answer to one request; what comes for others is kept for them."""
        self._send()
        deadline = time.monotonic() + self.timeout
        while True:
            found = self._receive(deadline, request)
            if isinstance(found, Refused):
                self._waiting.pop(request, None)
                raise RefusedByDoor(found)
            if found is not None:
                return found

    def _receive(self, deadline: float | None, request: int = 0) -> Message | None:
        """One read of the socket. Raises TimeoutError, DoorClosed."""
        if deadline is not None and request and time.monotonic() >= deadline:
            raise TimeoutError(f"no answer within {self.timeout:g} s")
        self._socket.settimeout(None if deadline is None else max(deadline - time.monotonic(), 0.001))
        try:
            count = self._socket.recv_into(self.session.room())
        except TimeoutError:
            if request:
                raise
            return None
        if not count:
            raise DoorClosed("the door closed the connection")
        self.session.filled(count)
        found = None
        for message in self.session.messages():
            if isinstance(message, Bye):
                raise DoorClosed(f"{message.code.name}: {message.text}")
            if isinstance(message, Events):
                message = message.kept()
                if message.request != request or found is not None:
                    waiting = self._waiting.setdefault(message.request, deque())
                    if len(waiting) >= MAX_BUFFERED:
                        raise ProtocolFault(Code.SLOW, f"{MAX_BUFFERED} batches of one subscription wait unread")
                    waiting.append(message)
                    continue
            if getattr(message, "request", 0) == request and request:
                found = message
        self._send()
        return found

    def _send(self) -> None:
        data = self.session.outgoing()
        if data and self.session.state is not State.ENDED:
            self._socket.settimeout(self.timeout)
            self._socket.sendall(data)
