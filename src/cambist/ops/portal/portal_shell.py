"""The client portal as a process: its pages on one port, the house behind one link, its own files in DIRECTORY/read.

Decides what is wired to what, and that people come in who have a client's key in the running design. It starts before the node is there and lives on while
the node is gone; it ends when told to.
"""
import asyncio
import contextlib
import time
from pathlib import Path

from cambist.credentials_shell import Secrets
from cambist.door.link_shell import Link
from cambist.opaque import Opaque
from cambist.ops.history_shell import History
from cambist.ops.portal.account_pages_shell import AccountPages
from cambist.ops.portal.lobby_shell import Lobby
from cambist.ops.portal.order_pages_shell import OrderPages
from cambist.ops.portal.reach_shell import LinkLike, Reach
from cambist.ops.portal.request_pages_shell import RequestPages
from cambist.ops.portal.sent_shell import SentBook
from cambist.ops.web.application_shell import Site, application, bind, own_hosts, serve_site
from cambist.ops.web.assets_shell import Assets
from cambist.ops.web.live_shell import Hub
from cambist.ops.web.pages import Pages, Place
from cambist.ops.web.sessions_shell import Sessions
from cambist.ops.web.sign_in_shell import SignIn
from cambist.part_shell import Part

NAME = "portal"
MENU = (Place("/", "Home", "h"), Place("/request", "Request", "r"), Place("/orders", "Orders", "o"), Place("/history", "History", "y"),
        Place("/statement", "Statement", "s"))


async def serve(part: Part) -> None:
    """The part `portal`, until `part.stop`. Raises NoAssets, OSError, CredentialError when it cannot start."""
    await serve_with(part, Link(part.socket))


async def serve_with(part: Part, link: LinkLike) -> None:
    """The same with a link that is handed in."""
    read, secrets = Path(part.directory) / "read", Secrets(Path(part.directory))
    host, port = part.address[NAME]
    sessions, sent = Sessions(read / f"{NAME}-sessions.db"), SentBook(read / f"{NAME}-sent.db")
    hub = Hub(lambda ask: ask.session is not None and sessions.living(ask.session, time.time_ns()))
    assets = Assets()
    pages = Pages(NAME, "Cambist client portal", "cambist.ops.portal", MENU, assets.address)
    reach = Reach(link, Opaque(secrets.ids_key), lambda identity: History(read / f"{NAME}.db", identity), sent, hub, part.say)
    sign_in = SignIn(f"cambist_{NAME}", sessions, pages, secrets.check_password, lambda person: reach.trader(person) is not None)
    listening = bind(host, port)
    site = Site(NAME, sessions, sign_in, pages, assets, part.tls is not None, own_hosts(host, listening.getsockname()[1], part.tls[0] if part.tls else None),
                part.say)
    lobby = Lobby(reach, pages, hub, sessions.key)
    gate = application(site, (*AccountPages(lobby).routes(), *RequestPages(lobby).routes(), *OrderPages(lobby).routes()))
    reaching = asyncio.create_task(reach.run())
    reaching.add_done_callback(lambda task: part.stop.set() if not task.cancelled() and task.exception() else None)
    try:
        await serve_site(gate, listening, part.tls, part.stop, part.ready, hub.close)
    finally:
        reaching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reaching
        await reach.close()
        sign_in.close()
        sent.close()
        sessions.close()
