"""What each process of the house is handed: where things are, when to stop, and whom to tell that it serves.

Decides the shape every part shares, and nothing of what a part does. It imports no part: gateways, pages, the desk and the world all import this.

Architecture invariant: a part can start before the node is there, lives on while the node is gone, and ends within STOP_SECONDS of `stop`.
"""
import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

STOP_SECONDS = 5.0                              # how long a part may take to end; then it is killed
ADDRESSES = ("rest", "websocket", "portal", "console", "venues", "native")        # the keys of [listen], in the order --base-port counts them


class DesignChanged(Exception):
    """The node runs by another design than this part does: it ends, and is started again with the new one. That is no death."""


class Part(NamedTuple):
    """`ready(address)` is called once, when the part serves; `say(text)` sets its line of status, for a person."""
    directory: Path
    socket: str                                 # the node's door
    address: dict[str, tuple[str, int]]         # of every part, by the keys of [listen]
    tls: tuple[Path, Path] | None               # certificate and private key
    stop: asyncio.Event
    ready: Callable[[str], None]
    say: Callable[[str], None]
    design: Path = Path()                       # the file a new house begins with; afterwards the log's own is in force (view `design`)
    feed: Path | None = None                    # recorded market data for the simulated venues
    origin: str = ""                            # what the log is called where its first head is signed

    def url(self, key: str, scheme: str = "http", path: str = "") -> str:
        """Where a part is reached: `http` and `ws` become `https` and `wss` with TLS."""
        host, port = self.address[key]
        return f"{scheme}{'s' if self.tls else ''}://{f'[{host}]' if ':' in host else host}:{port}{path}"

    def server_tls(self) -> ssl.SSLContext | None:
        """TLS 1.3 for a listener, or None on loopback without a certificate."""
        if self.tls is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(*self.tls)
        return context

    def client_tls(self) -> ssl.SSLContext | None:
        """What a program of this house trusts when it calls another part of it: the house's own certificate besides the machine's authorities."""
        if self.tls is None:
            return None
        context = ssl.create_default_context()
        context.load_verify_locations(self.tls[0])
        return context
