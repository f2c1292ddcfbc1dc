"""A plain blocking client of the native protocol over TCP: for programs outside that send much, and for tests and benchmarks of the house.

Decides nothing but how bytes are awaited. It must not know what a command means. Not for several threads at once, but one may send while another receives.
"""
import socket
import ssl
import time
from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cambist.door.client import DoorClosed
from cambist.door.protocol import (
    Admitted, Bye, Challenge, End, Events, Hello, Logon, Message, Ping, Pong, Pull, Role, Session, StreamKind, Submit, Subscribe, encode, logon_text,
)

PATIENCE_SECONDS = 10.0
_Kind = TypeVar("_Kind")


class NativeClient:
    """`with NativeClient(("127.0.0.1", 8605), "acme", key) as client:` ... `admitted` says where its numbers stand. Raises DoorClosed, TimeoutError."""
    def __init__(self, place: tuple[str, int], key: str, private_key: Ed25519PrivateKey, *, tls: ssl.SSLContext | None = None,
                 timeout: float = PATIENCE_SECONDS):
        raw = socket.create_connection(place, timeout)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = tls.wrap_socket(raw, server_hostname=place[0]) if tls else raw
        self.session, self._requests, self._heard = Session(End.STRANGER), 0, list[Message]()
        try:
            self.say(Hello(Role.CLIENT))
            challenge = self._expect(Challenge)
            self.say(Logon(key, private_key.sign(logon_text(challenge.challenge, key))))
            self.admitted = self._expect(Admitted)
        except BaseException:
            self.socket.close()
            raise

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> "NativeClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def say(self, *messages: Message) -> None:
        self.socket.sendall(b"".join(map(encode, messages)))

    def request(self) -> int:
        self._requests += 1
        return self._requests

    def submit(self, records: np.ndarray) -> int:
        """Sends them and waits for nothing: the number of the request, which RECEIVED or REFUSED will have. Blocks while the house does not read."""
        request = self.request()
        self.say(Submit(request, records))
        return request

    def subscribe(self, stream: StreamKind, cursor: int = 0, credit: int = 1 << 14) -> int:
        request = self.request()
        self.say(Subscribe(request, stream, 0, cursor, credit))
        return request

    def messages(self, timeout: float | None = None) -> Iterator[Message]:
        """What comes, until nothing does for so long. Events have arrays of their own. PINGs are answered. Raises DoorClosed after the last one."""
        while True:
            self.socket.settimeout(timeout)
            try:
                count = self.socket.recv_into(self.session.room())
            except TimeoutError:
                return
            if not count:
                raise DoorClosed("the house closed the connection")
            self.session.filled(count)
            for message in self.session.messages():
                if isinstance(message, Ping):
                    self.say(Pong(message.token))
                elif isinstance(message, Bye):
                    raise DoorClosed(f"{message.code.name}: {message.text}")
                else:
                    yield message.kept() if isinstance(message, Events) else message

    def pull(self, request: int, credit: int) -> None:
        """More events of a subscription, once as many were heard."""
        self.say(Pull(request, credit))

    def _expect(self, kind: type[_Kind]) -> _Kind:
        deadline = time.monotonic() + PATIENCE_SECONDS
        for message in self.messages(PATIENCE_SECONDS):
            if isinstance(message, kind):
                return message
            if time.monotonic() > deadline:
                break
        raise TimeoutError(f"no {kind.__name__} within {PATIENCE_SECONDS:g} s")
