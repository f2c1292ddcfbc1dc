"""`cambist bench gateway`: orders through the gateway of a real house, over REST and over the WebSocket, open-loop, each beside an echo of the same server;
and the same orders while a thousand readers of market data are connected that hardly read.

Node, gateway, echo, readers and the sender are processes of their own. Latency runs from when a request was due to when its answer was read.
"""
import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cambist.client import Client as PlainClient
from cambist.client.calls import frame, http_request
from cambist.client.signing import logon_text, read_private_key, request_headers, signed
from cambist.configure import configure
from cambist.credentials_shell import PRIVATE, Secrets
from cambist.design import read_design
from cambist.measure.flow import Desk, opening
from cambist.measure.gateway_parts import READY, free_ports
from cambist.measure.served import START_SECONDS, await_sequence, connected
from cambist.measure.spread import median_of, percentiles
from cambist.warm import warm

KEY, INSTRUMENT = "acme-bot", "BTC-USD"
LOWEST, LEVELS, TICK = 45_000, 200, 0.5                 # where orders rest: below the price, so that none trades
SLOW_READERS = 1_000
CONNECTIONS = 16                                        # of the sender over REST
WINDOW = 50_000_000_000                                 # ns, until a request expires
LATE_SECONDS = 10.0                                     # for the last answers
LIFTED = (("rate_limit = 500", "rate_limit = 0"), ("rate_limit = 2000", "rate_limit = 0"), ('max_age = "5s"', 'max_age = "1h"'),
          ("answer_quota = 8192", "answer_quota = 24000"))
SWEEP_SECONDS = 0.2                                     # between two looks whether a cancel-all is worked off


class Request(NamedTuple):
    """One request of the flow: an operation and its fields."""
    name: str
    body: dict[str, Any]


class Flow:
    """New orders at ever other levels, and after each the cancel of one that was answered a while ago."""
    def __init__(self) -> None:
        self._made, self._resting = 0, list[str]()

    def next(self) -> Request:
        self._made += 1
        if self._made % 2 == 0 and len(self._resting) > 50:
            return Request("order.cancel", {"order": self._resting.pop(0)})
        price = LOWEST + (self._made * 7 % LEVELS) * TICK
        return Request("order.new", {"instrument": INSTRUMENT, "side": "buy", "quantity": "0.001", "price": f"{price}"})

    def answered(self, body: Any) -> None:
        if isinstance(body, dict) and body.get("status") == "open":
            self._resting.append(body["order"])


class Latencies:
    """When each request was due, and when its answer came."""
    def __init__(self, count: int):
        self.due, self.came, self.refused = np.zeros(count, np.int64), np.zeros(count, np.int64), 0

    def told(self) -> dict[str, float]:
        heard = self.came > 0
        return percentiles((self.came - self.due)[heard]) | {"not_heard": int((~heard).sum()), "refused": self.refused}


async def paced(count: int, rate: int, send: Callable[[int], None], kept: Latencies) -> None:
    """Calls `send` for each request when it is due, however late the answers are; then waits for the last ones."""
    began = time.perf_counter_ns() + 50_000_000
    for i in range(count):
        kept.due[i] = began + i * 10**9 // rate
        while (left := int(kept.due[i]) - time.perf_counter_ns()) > 0:
            await asyncio.sleep(left / 1e9 if left > 200_000 else 0)
        send(i)
    deadline = time.monotonic() + LATE_SECONDS
    while not kept.came.all() and time.monotonic() < deadline:
        await asyncio.sleep(0.02)


# ------------------------------------------------------------------------------------------------------------------------------------- websocket
class _Answer(msgspec.Struct):
    id: str
    status: int = 0
    body: msgspec.Raw = msgspec.Raw(b"null")


async def over_websocket(port: int, private_key: Ed25519PrivateKey | None, count: int, rate: int) -> dict[str, float]:
    """`private_key` None: an echo, which needs no logon."""
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
    kept, flow, ready, prefix = Latencies(count), Flow(), asyncio.Event(), os.urandom(8).hex()

    class Listener(WSListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type != WSMsgType.TEXT:
                return
            now, data = time.perf_counter_ns(), frame.get_payload_as_bytes()
            if b'"challenge"' in data[:30] and private_key is not None:
                challenge = msgspec.json.decode(data)["challenge"]
                transport.send(WSMsgType.TEXT, msgspec.json.encode({"op": "logon", "key": KEY, "signature": signed(private_key, logon_text(challenge, KEY))}))
            elif b'"welcome"' in data[:20]:
                ready.set()
            else:
                answer = msgspec.json.decode(data, type=_Answer)
                kept.came[int(answer.id[16:], 16) - 1] = now
                kept.refused += answer.status >= 300
                flow.answered(msgspec.json.decode(answer.body) if answer.status else None)

    transport, _ = await ws_connect(Listener, f"ws://127.0.0.1:{port}/v1/ws")
    if private_key is not None:
        await asyncio.wait_for(ready.wait(), START_SECONDS)

    def send(i: int) -> None:
        request = flow.next()
        transport.send(WSMsgType.TEXT, frame(request.name, request.body, f"{prefix}{i + 1:016x}", time.time_ns() + WINDOW))

    await paced(count, rate, send, kept)
    transport.disconnect()
    return kept.told()


# ------------------------------------------------------------------------------------------------------------------------------------------ rest
async def over_rest(port: int, private_key: Ed25519PrivateKey, count: int, rate: int) -> dict[str, float]:
    """One request at a time on each of CONNECTIONS kept open; a request for which none is free waits, and that counts."""
    kept, flow, prefix = Latencies(count), Flow(), os.urandom(8).hex()
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    running = set[asyncio.Task[None]]()

    async def one(i: int) -> None:
        request = flow.next()
        method, target, body = http_request(request.name, request.body)
        headers = request_headers(private_key, KEY, method, target, body, time.time_ns() + WINDOW, f"{prefix}{i + 1:016x}")
        lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{port}", *(f"{name}: {value}" for name, value in headers.items()),
                 *(["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []), "", ""]
        reader, writer = await free.get()
        writer.write("\r\n".join(lines).encode() + body)
        status, answer = await _response(reader)
        kept.came[i] = time.perf_counter_ns()
        free.put_nowait((reader, writer))
        kept.refused += status >= 300
        flow.answered(msgspec.json.decode(answer) if answer else None)

    def send(i: int) -> None:
        task = asyncio.get_running_loop().create_task(one(i))
        running.add(task)
        task.add_done_callback(running.discard)

    await paced(count, rate, send, kept)
    for task in running:
        task.cancel()
    while not free.empty():
        free.get_nowait()[1].close()
    return kept.told()


async def _response(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    size = next((int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("content-length:")), 0)
    return int(head.split(" ", 2)[1]), await reader.readexactly(size)


# ----------------------------------------------------------------------------------------------------------------------------------- the processes
class House(NamedTuple):
    """A running house with its door, and an echo beside it."""
    desk: Desk
    door: str
    rest: int
    websocket: int
    echo_rest: int
    echo_websocket: int
    private_key: Ed25519PrivateKey


@contextlib.contextmanager
def started(*words: object) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process, ended at the end."""
    process = subprocess.Popen([sys.executable, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        if process.poll() is None:
            process.kill()
            process.wait()


@contextlib.contextmanager
def part(what: str, *words: object) -> Iterator[subprocess.Popen[bytes]]:
    """One part of `gateway_parts`, once it has said that it is ready."""
    with started("-m", "cambist.measure.gateway_parts", what, *words) as process:
        assert process.stdout is not None
        if process.stdout.readline().strip() != READY.encode():
            raise RuntimeError(f"{what} did not start")
        yield process


@contextlib.contextmanager
def house(design_file: Path) -> Iterator[House]:
    """Node and gateway of the demo desk without limits on rates, funded and priced, and the echo."""
    folder = Path(tempfile.mkdtemp(prefix="cambist-bench-"))
    text = design_file.read_text()
    for found, lifted in LIFTED:
        text = text.replace(found, lifted)
    (folder / "desk.toml").write_text(text)
    design = read_design(text, "the bench desk")
    records, names = configure(design)
    desk = Desk(design, np.concatenate(records), np.array([names["accounts"]["acme"]]), np.array([names["actors"][KEY]]), names,
                names["instruments"]["BTC/USD"])
    Secrets.create(folder / "house", design)
    ports = free_ports(4)
    try:
        with started("-m", "cambist", "node", "--design", folder / "desk.toml", "--directory", folder / "house") as node:
            _open(str(folder / "house" / "door.sock"), node, desk)
            with part("gateway", folder / "house", ports[0], ports[1]), part("echo", ports[2], ports[3]):
                private = folder / "house" / "secrets" / PRIVATE / f"{KEY}.pem"
                yield House(desk, str(folder / "house" / "door.sock"), ports[0], ports[1], ports[2], ports[3], read_private_key(private.read_bytes()))
    finally:
        shutil.rmtree(folder)


def _open(path: str, process: subprocess.Popen[bytes], desk: Desk) -> None:
    """Waits for the node, pays in and posts prices."""
    with connected(path, process) as client:
        client.submit(opening(desk))
        await_sequence(client, len(desk.records) + len(opening(desk)))


def _run(at: House, measure: Callable[[], Awaitable[dict[str, float]]]) -> dict[str, float]:
    """One run, and nothing of it left in the book."""
    import uvloop

    async def main() -> dict[str, float]:
        return await measure()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        told = runner.run(main())
    with PlainClient(f"http://127.0.0.1:{at.rest}", KEY, at.private_key) as client:
        client.cancel_all()
        while client.orders()["orders"]:
            time.sleep(SWEEP_SECONDS)
    return told


# ----------------------------------------------------------------------------------------------------------------------------------------- the bench
def _beside(ours: list[dict[str, float]], echo: list[dict[str, float]], rate: int) -> dict[str, Any]:
    mine, floor = median_of(ours), median_of(echo)
    return {"rate_per_s": rate, "latency": mine, "echo": floor, "p50_over_echo": round(mine["p50_us"] / floor["p50_us"], 1),
            "p99_over_echo": round(mine["p99_us"] / floor["p99_us"], 1)}


def bench_gateway(design_file: Path, quick: bool) -> dict[str, Any]:
    """Medians over runs. The runs with and without slow readers alternate, so that both meet the machine in the same moods."""
    warm()
    runs, seconds, rest_rate, rate = 3, 2 if quick else 10, 100, 250
    readers = 200 if quick else SLOW_READERS
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in ("rest", "rest_echo", "websocket", "websocket_echo", "none", "slow")}
    with house(design_file) as at:
        _run(at, lambda: over_websocket(at.websocket, at.private_key, rate, rate))     # the first requests of a process are not its usual ones
        _run(at, lambda: over_rest(at.rest, at.private_key, rest_rate, rest_rate))
        for _ in range(runs):
            rows["rest"].append(_run(at, lambda: over_rest(at.rest, at.private_key, rest_rate * seconds, rest_rate)))
            rows["rest_echo"].append(_run(at, lambda: over_rest(at.echo_rest, at.private_key, rest_rate * seconds, rest_rate)))
            rows["websocket"].append(_run(at, lambda: over_websocket(at.websocket, at.private_key, rate * seconds, rate)))
            rows["websocket_echo"].append(_run(at, lambda: over_websocket(at.echo_websocket, None, rate * seconds, rate)))
        for _ in range(runs):
            rows["none"].append(_run(at, lambda: over_websocket(at.websocket, at.private_key, rate * seconds, rate)))
            with part("slow", at.websocket, readers):
                rows["slow"].append(_run(at, lambda: over_websocket(at.websocket, at.private_key, rate * seconds, rate)))
    none, slow = median_of(rows["none"]), median_of(rows["slow"])
    return {"bench": "gateway", "runs": runs, "seconds": seconds, "echo_is": "the same server and settings, giving back what it got",
            "rest": _beside(rows["rest"], rows["rest_echo"], rest_rate), "websocket": _beside(rows["websocket"], rows["websocket_echo"], rate),
            "slow_readers": {"readers": readers, "rate_per_s": rate, "without": none, "with": slow,
                             "p50_ratio": round(slow["p50_us"] / none["p50_us"], 2), "p99_ratio": round(slow["p99_us"] / none["p99_us"], 2)}}


def run(quick: bool, design_file: Path = Path("desks/demo.toml")) -> dict[str, Any]:
    """What `cambist bench gateway` prints."""
    return bench_gateway(design_file, quick)
