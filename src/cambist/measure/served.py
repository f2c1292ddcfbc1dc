"""A real node process for a benchmark: started on a temporary directory, filled by the bench desk's opening, stopped at the end."""
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cambist.door.client_shell import Client
from cambist.measure.flow import Desk, bench_desk, opening
from cambist.measure.gateway_parts import free_ports

START_SECONDS = 60.0
RUN = ("import sys; from cambist.measure.served import serve; sys.exit(serve(sys.argv[1], sys.argv[2]))")

RUN_OUTSIDE = ("import sys; from cambist.measure.served import serve_outside; serve_outside(*sys.argv[1:])")
KEY_OF_ALL = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def seconds_until_ready(*, compiled: bool = True) -> float:
    """From starting a process to its kernel being ready: from the cache, or with an empty one, so that all of it is compiled."""
    folder = tempfile.mkdtemp(prefix="cambist-bench-")
    try:
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", "from cambist.warm import warm; warm()"], check=True,
                       env=dict(os.environ) if compiled else {**os.environ, "CAMBIST_CACHE": folder})
        return round(time.monotonic() - began, 2)
    finally:
        shutil.rmtree(folder)


def serve(design_file: str, directory: str) -> int:
    """In the child: the node exactly as `cambist node` starts it, with the bench desk's design."""
    import logging

    import structlog

    from cambist.node_shell import run_node
    from cambist.run import EPOCH, SOCKET, makers, ticker
    from cambist.warm import warm
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    warm()
    desk = bench_desk(Path(design_file))
    return run_node(directory, f"{directory}/{SOCKET}", number=desk.design.cell.number, genesis=desk.records, epoch=EPOCH, ticker=ticker(desk.design),
                    **makers(desk.design))


def serve_outside(design_file: str, directory: str, port: str) -> None:
    """In another child: the native protocol over TCP as `cambist run` serves it, with the bench desk's keys and without throttles that would show."""
    import asyncio
    import logging

    import structlog
    import uvloop

    from cambist.native.admission import Keys, Rate
    from cambist.native.native_shell import Native, serve_native
    from cambist.part_shell import Part
    from cambist.warm import warm_batches
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    warm_batches()
    desk, freely = bench_desk(Path(design_file)), Rate(1 << 40, 1 << 40)

    class Bench(Native):
        async def look_at_design(self) -> None:
            public = KEY_OF_ALL.public_key()
            self.keys = Keys(desk.design, desk.names, {name: public for name in desk.design.keys})

    async def main() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        part = Part(Path(directory), f"{directory}/door.sock", {"native": ("127.0.0.1", int(port))}, None, stop, lambda address: print("ready", flush=True),
                    lambda text: None)
        await serve_native(Bench(part, key=freely, together=freely))

    uvloop.run(main())


@contextlib.contextmanager
def served_outside(design_file: Path, path: str) -> Iterator[tuple[str, int]]:
    """(host, port) at which the node behind `path` is reached over TCP."""
    port = free_ports(1)[0]
    process = subprocess.Popen([sys.executable, "-c", RUN_OUTSIDE, str(design_file), str(Path(path).parent), str(port)], env=os.environ, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != b"ready":
            raise RuntimeError("the native listener did not start")
        yield "127.0.0.1", port
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def served(design_file: Path) -> Iterator[tuple[Desk, str]]:
    """(desk, socket path) of a running, funded node in a process of its own."""
    directory = tempfile.mkdtemp(prefix="cambist-bench-")
    process = subprocess.Popen([sys.executable, "-c", RUN, str(design_file), directory], env=os.environ)
    path, desk = f"{directory}/door.sock", bench_desk(design_file)
    try:
        client = connected(path, process)
        client.submit(opening(desk))
        await_sequence(client, len(desk.records) + len(opening(desk)))
        client.close()
        yield desk, path
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        if process.poll() is None:
            process.kill()
            process.wait()
        shutil.rmtree(directory)


def connected(path: str, process: subprocess.Popen[Any]) -> Client:
    """A client of a node that may still be starting. Raises DoorClosed when it ended or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return Client(path)
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def await_sequence(client: Client, sequence: int) -> None:
    """Until the node has applied that far."""
    deadline = time.monotonic() + START_SECONDS
    while client.read("status")[1]["applied"] < sequence:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the node did not reach sequence {sequence}")
        time.sleep(0.002)


def in_parts(records: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(records), size):
        yield records[start:start + size]
