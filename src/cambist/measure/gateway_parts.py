"""The processes of `cambist bench gateway` beside node and sender: the gateway as `cambist run` serves it, an echo of its servers, and readers that hardly
read. `python -m cambist.measure.gateway_parts WHAT ...`; each prints READY when it serves.
"""
import asyncio
import contextlib
import logging
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

READY = "ready"
SIP, SIP_SECONDS = 2_048, 1.0                           # what a slow reader takes, and how often
RECEIVE_BYTES = 4_096                                   # its kernel's buffer
TOGETHER = 20
ALIVE_SECONDS = 10.0                                    # it answers pings unasked, so that it is slow and not dead


def free_ports(count: int) -> list[int]:
    """Ports of loopback that were free a moment ago."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _ready() -> None:
    print(READY, flush=True)


def _until_stopped(serving: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    import structlog
    import uvloop
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))

    async def main() -> None:
        stop = asyncio.Event()
        for each in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(each, stop.set)
        await serving(stop)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def gateway(directory: Path, rest: int, websocket: int) -> None:
    from cambist.gateways.gateway_shell import serve
    from cambist.part_shell import Part

    async def serving(stop: asyncio.Event) -> None:
        def serves(address: str) -> None:
            asyncio.get_running_loop().call_later(1.0, _ready)     # by then it has heard the house
        await serve(Part(directory, f"{directory}/door.sock", {"rest": ("127.0.0.1", rest), "websocket": ("127.0.0.1", websocket)}, None, stop, serves,
                         lambda text: None))
    _until_stopped(serving)


async def _echo_app(scope: Any, receive: Any, send: Any) -> None:
    """The body as it came."""
    message = await receive()
    body = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


def echo(rest: int, websocket: int) -> None:
    """The servers of the gateway with its settings, and nothing behind them."""
    import uvicorn
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

    from cambist.gateways.guard_shell import IDLE_SECONDS, Guarded
    from cambist.gateways.rest_shell import Server
    from cambist.gateways.websocket import MAX_MESSAGE

    class Back(WSListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type == WSMsgType.TEXT:
                transport.send(WSMsgType.TEXT, frame.get_payload_as_bytes())
            elif frame.msg_type == WSMsgType.CLOSE:
                transport.disconnect()

    async def serving(stop: asyncio.Event) -> None:
        config = uvicorn.Config(_echo_app, host="127.0.0.1", port=rest, http=Guarded, ws="none", lifespan="off", log_config=None,  # type: ignore[arg-type]
                                log_level="critical", access_log=False, server_header=False, timeout_keep_alive=IDLE_SECONDS)
        server = Server(config)
        running = asyncio.create_task(server.serve())
        listening = await ws_create_server(lambda request: Back(), "127.0.0.1", websocket, max_frame_size=MAX_MESSAGE, backlog=1024)
        while not server.started:
            await asyncio.sleep(0.01)
        _ready()
        await stop.wait()
        server.should_exit = True
        listening.close()
        await running
    _until_stopped(serving)


def slow(websocket: int, count: int) -> None:
    """`count` readers of one book; each takes SIP bytes every SIP_SECONDS, and says that it lives."""
    peers = []
    handshake = (f"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1:{websocket}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n").encode()
    ask = b'{"op":"subscribe","channel":"book","instrument":"BTC-USD"}'
    for _ in range(count):
        peer = socket.socket()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        peer.connect(("127.0.0.1", websocket))
        peer.sendall(handshake)
        head = b""
        while b"\r\n\r\n" not in head:
            head += peer.recv(1024)
        peer.sendall(bytes([0x81, 0x80 | len(ask), 0, 0, 0, 0]) + ask)      # masked with zeros
        peer.setblocking(False)
        peers.append(peer)
    _ready()
    pong, alive = bytes([0x8A, 0x80, 0, 0, 0, 0]), time.monotonic()
    while True:
        began = time.monotonic()
        lives = began - alive > ALIVE_SECONDS
        for at, peer in enumerate(peers):
            with contextlib.suppress(BlockingIOError):
                if peer.recv(SIP) == b"":
                    raise SystemExit(f"reader {at} was ended")
            if lives:
                peer.send(pong)
            if at % TOGETHER == 0:
                time.sleep(SIP_SECONDS / (count / TOGETHER) / 2)        # spread over the second
        alive = began if lives else alive
        time.sleep(max(0.0, SIP_SECONDS - (time.monotonic() - began)))


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    if what == "gateway":
        gateway(Path(words[0]), int(words[1]), int(words[2]))
    elif what == "echo":
        echo(int(words[0]), int(words[1]))
    else:
        slow(int(words[0]), int(words[1]))
