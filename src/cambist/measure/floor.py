"""What the machine can do at best, measured in the same run: a write made durable, an echo through a socket."""
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

PREALLOCATED = 64 << 20


class RawFile:
    """A preallocated, zeroed file: write and fdatasync, nothing else."""

    def __init__(self, path: Path, size: int = PREALLOCATED):
        self.fd, self.size, self.at = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), size, 0
        for start in range(0, size, 1 << 20):
            os.pwrite(self.fd, bytes(1 << 20), start)
        os.fdatasync(self.fd)

    def write(self, data: bytes | memoryview) -> int:
        """Nanoseconds until the bytes are durable."""
        if self.at + len(data) > self.size:
            self.at = 0
        began = time.perf_counter_ns()
        os.pwrite(self.fd, data, self.at)
        os.fdatasync(self.fd)
        self.at += len(data)
        return time.perf_counter_ns() - began

    def close(self) -> None:
        os.close(self.fd)


def paced_syncs(path: Path, data: bytes, per_second: float, count: int, together: int = 1) -> np.ndarray:
    """Latencies of `together` writes, each made durable, issued open-loop at a rate: from when each was due."""
    raw, out = RawFile(path, 8 << 20), np.zeros(count, np.int64)
    began = time.perf_counter_ns()
    for i in range(count):
        due = began + int(i * 1e9 / per_second)
        while (left := due - time.perf_counter_ns()) > 0:
            if left > 200_000:
                time.sleep((left - 100_000) / 1e9)
        for _ in range(together):
            raw.write(data)
        out[i] = time.perf_counter_ns() - due
    raw.close()
    return out


def echo_seconds(path: Path, chunk: bytes, count: int) -> float:
    """Seconds to send `count` chunks through a Unix socket, one in flight, and get each back whole: loopback without any work."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(path))
    server.listen(1)

    def serve() -> None:
        peer, _ = server.accept()
        room = bytearray(1 << 20)
        while got := peer.recv_into(room):
            peer.sendall(memoryview(room)[:got])
        peer.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect(str(path))
    room = bytearray(1 << 20)
    began = time.perf_counter()
    with ThreadPoolExecutor(1) as sender:                   # a chunk larger than the socket's buffers is read while it is sent
        for _ in range(count):
            sending, left = sender.submit(client.sendall, chunk), len(chunk)
            while left:
                left -= client.recv_into(room)
            sending.result()
    seconds = time.perf_counter() - began
    client.close()
    thread.join()
    server.close()
    return seconds
