"""Ports that a test may listen at."""
import os
import socket

from cambist.part_shell import ADDRESSES

FIRST, END = 20_000, 32_000                             # below those that a system hands out by itself


def free_ports() -> int:
    """The first of as many ports in a row as a house needs. Tests run in several processes: each begins to look at a place of its own."""
    slots = (END - FIRST) // len(ADDRESSES)
    for i in range(slots):
        base = FIRST + (os.getpid() + i) % slots * len(ADDRESSES)
        try:
            for port in range(base, base + len(ADDRESSES)):
                with socket.socket() as trial:
                    trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    trial.bind(("127.0.0.1", port))
        except OSError:
            continue
        return base
    raise AssertionError(f"no {len(ADDRESSES)} free ports in a row from {FIRST} to {END}")
