"""Clients outside, many of them in one process: sessions of the native protocol over TCP that send a flow and note when each part was answered.

Decides when what is sent and what counts as answered: the event that echoes the last number of a part. It prices nothing and remembers no order.
"""
import selectors
import socket
import time
from collections import deque
from collections.abc import Sequence

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cambist.door.client import Bye, Events, Refused, StreamKind
from cambist.door.native_client_shell import NativeClient
from cambist.door.protocol import MAX_CREDIT, Ping, Pong, Pull, Submit, encode

LATE_SECONDS = 20.0
WINDOW = 32_768                                         # commands sent and not yet answered, of all sessions together, when flat out


class _Sender:
    """One session: parts that wait to be sent, parts that wait for their answer."""
    def __init__(self, place: tuple[str, int], key: str, private_key: Ed25519PrivateKey):
        self.client = NativeClient(place, key, private_key)
        self.subscription, self.credit = self.client.subscribe(StreamKind.ACCOUNT, 0, MAX_CREDIT), MAX_CREDIT
        for _ in self.client.messages(5.0):
            break                                       # it is subscribed, and what comes is of now on
        self.socket: socket.socket = self.client.socket
        self.socket.setblocking(False)
        self.out, self.waiting, self.events, self.refused = bytearray(), deque[tuple[int, int]](), 0, 0

    def put(self, part: np.ndarray, place: int) -> None:
        self.out += encode(Submit(self.client.request(), part))
        self.waiting.append((int(part["id_lo"][-1]), place))

    def send(self) -> None:
        try:
            while self.out:
                del self.out[:self.socket.send(memoryview(self.out)[:1 << 18])]
        except BlockingIOError:
            return

    def receive(self, came: np.ndarray) -> int:
        """How many parts were answered whole by what has come."""
        done = 0
        try:
            while (count := self.socket.recv_into(self.client.session.room())):
                self.client.session.filled(count)
                for message in self.client.session.messages():
                    done += self._heard(message, came)
        except BlockingIOError:
            return done
        raise ConnectionError("the house closed a session of the benchmark")

    def _heard(self, message: object, came: np.ndarray) -> int:
        done = 0
        if isinstance(message, Events) and len(message.events):
            self.events += len(message.events)
            self.credit -= len(message.events)
            if self.credit < MAX_CREDIT // 2:
                self.out += encode(Pull(self.subscription, MAX_CREDIT - self.credit))
                self.credit = MAX_CREDIT
            highest = int(message.events["id_lo"][message.events["command"] > 0].max(initial=0))
            while self.waiting and self.waiting[0][0] <= highest:
                came[self.waiting.popleft()[1]] = time.perf_counter_ns()
                done += 1
        elif isinstance(message, Ping):
            self.out += encode(Pong(message.token))
        elif isinstance(message, Bye):
            raise ConnectionError(f"{message.code.name}: {message.text}")
        elif isinstance(message, Refused):
            self.refused += message.count
        return done


class Crowd:
    """Sessions of several keys, driven by one thread."""
    def __init__(self, place: tuple[str, int], keys: Sequence[str], private_key: Ed25519PrivateKey):
        self.senders = [_Sender(place, key, private_key) for key in keys]
        self._selector = selectors.SelectSelector()           # an epoll waits whole milliseconds
        for each in self.senders:
            self._selector.register(each.socket, selectors.EVENT_READ, each)

    def run(self, parts: Sequence[np.ndarray], whose: Sequence[int], due: np.ndarray | None) -> np.ndarray:
        """When each part was answered whole, 0 where it was not; `due`: ns at which each is to be sent, in order; None: as fast as it is taken."""
        came, left, place, deadline = np.zeros(len(parts), np.int64), len(parts), 0, time.perf_counter_ns() + 10**18
        at_most = max(1, WINDOW // len(parts[0]))
        while left and time.perf_counter_ns() < deadline:
            while place < len(parts) and (due is None or due[place] <= time.perf_counter_ns()):
                sender = self.senders[whose[place]]
                if due is None and place - (len(parts) - left) >= at_most:
                    break
                sender.put(parts[place], place)
                place += 1
                if due is not None:
                    sender.send()
            if place == len(parts) and deadline > 10**18:
                deadline = time.perf_counter_ns() + int(LATE_SECONDS * 1e9)
            left -= self._turn(0.0 if place == len(parts) or due is None else max(0.0, (int(due[place]) - time.perf_counter_ns()) / 1e9), came)
        return came

    def _turn(self, pause: float, came: np.ndarray) -> int:
        full = [each for each in self.senders if each.out]
        for each in full:
            each.send()
        if not full and not pause:
            pause = 0.001
        return sum(key.data.receive(came) for key, _ in self._selector.select(min(pause, 0.001)))

    @property
    def refused(self) -> int:
        return sum(each.refused for each in self.senders)

    def close(self) -> None:
        for each in self.senders:
            each.client.close()
        self._selector.close()
