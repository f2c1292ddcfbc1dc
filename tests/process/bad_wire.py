"""A TCP proxy that treats what passes badly: it delays, drops, halves, resets and corrupts, by seeded chance."""
import random
import socket
import threading
import time

CHUNK = 4096


class BadWire:
    """`with BadWire(place, seed, reset=0.01) as wire:` then connect to `wire.place`. Each fault is a chance per piece of up to 4 KiB, either way.

    delay: it waits; halve: only a part of it is sent now, the rest later; drop: it and everything after it on this connection is swallowed until a reset;
    reset: the connection ends at once, both ways; corrupt: one bit of it turns."""

    def __init__(self, place, seed, *, delay=0.0, halve=0.0, drop=0.0, reset=0.0, corrupt=0.0):
        self.target, self.rates, self.chance = place, {"delay": delay, "halve": halve, "drop": drop, "reset": reset, "corrupt": corrupt}, random.Random(seed)
        self.count = dict.fromkeys(self.rates, 0)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.place = self._listening.getsockname()
        self._lock, self._open, self._ending = threading.Lock(), set(), False
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ending = True
        self._listening.close()
        for one in list(self._open):
            self._break(one)

    def quiet(self):
        """From here on it is a good wire."""
        with self._lock:
            self.rates = dict.fromkeys(self.rates, 0.0)

    def _accept(self):
        while not self._ending:
            try:
                near, _ = self._listening.accept()
                far = socket.create_connection(self.target, 10)
                far.settimeout(None)
            except OSError:
                time.sleep(0.01)
                continue
            self._open |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _hits(self, name):
        with self._lock:
            if self.chance.random() >= self.rates[name]:
                return False
            self.count[name] += 1
            return True

    def _carry(self, source, sink):
        swallowing = 0.0
        try:
            while data := source.recv(CHUNK):
                if self._hits("reset") or (swallowing and time.monotonic() > swallowing):
                    break
                if self._hits("drop") and not swallowing:
                    swallowing = time.monotonic() + 0.5             # an end sees silence first, then the end of the connection
                if swallowing:
                    continue
                if self._hits("delay"):
                    time.sleep(self.chance.random() * 0.2)
                if self._hits("corrupt"):
                    at = self.chance.randrange(len(data))
                    data = data[:at] + bytes([data[at] ^ 1 << self.chance.randrange(8)]) + data[at + 1:]
                if self._hits("halve"):
                    at = self.chance.randrange(len(data))
                    sink.sendall(data[:at])
                    time.sleep(0.01)
                    data = data[at:]
                sink.sendall(data)
        except OSError:
            pass                                        # the other direction broke it
        self._break(source)
        self._break(sink)

    def _break(self, one):
        self._open.discard(one)
        try:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")       # RST, as a machine that is gone
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass                                        # it was broken already
        one.close()
