"""The staff console as a process: its pages behind its own port and cookie, kept up to date from the node.

Decides how the parts are wired and when they end. It starts before the node is there, says so on every page, and serves on when the node is gone.
"""
import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from cambist.credentials_shell import Secrets
from cambist.design import DesignError, read_design
from cambist.ops.console.acts import Acts
from cambist.ops.console.dealing import Dealing
from cambist.ops.console.frame import MENU, Frame, Page
from cambist.ops.console.looking import Looking, took
from cambist.ops.console.signers import staff
from cambist.ops.console.stopping import Stopping
from cambist.ops.console.watch_shell import Watch
from cambist.ops.web.application_shell import Route, Site, application, bind, own_hosts, serve_site
from cambist.ops.web.assets_shell import Assets
from cambist.ops.web.guards import Ask, Reply
from cambist.ops.web.live_shell import Hub
from cambist.ops.web.pages import Pages
from cambist.ops.web.sessions_shell import Sessions
from cambist.ops.web.sign_in_shell import SignIn
from cambist.part_shell import Part
from cambist.picture import STYLE, svg

BEAT_SECONDS = 1.0                              # how often ages and measures are drawn anew


async def serve(part: Part) -> None:
    """Serves until `part.stop`. Raises OSError where the port is taken, NoAssets where `make setup` was not run."""
    host, port = part.address["console"]
    secrets, listening = Secrets(part.directory), bind(host, port)
    sessions = Sessions(part.directory / "read" / "console-sessions.db")
    hub = Hub(lambda ask: ask.session is not None and sessions.living(ask.session, time.time_ns()))
    watch = Watch(part.socket, part.directory, lambda: secrets.ids_key, hub.tell, part.say)
    assets = Assets(Path(__file__).parent / "static")
    pages = Pages("console", "cambist console", "cambist.ops.console", MENU, assets.address, {"took": took})
    sign_in = SignIn("cambist_console", sessions, pages, secrets.check_password, lambda person: _admitted(person, watch, part.design))
    hosts = own_hosts(host, port, part.tls[0] if part.tls else None)
    site = Site("console", sessions, sign_in, pages, assets, secure=bool(part.tls), hosts=hosts, say=part.say)
    frame = Frame(pages, watch, Acts(watch.link), hub, sessions.key, time.time_ns)
    gate = application(site, routes(frame, lambda: _file(part.design)))
    working = [asyncio.create_task(watch.run(), name="watch"), asyncio.create_task(_beat(hub), name="beat")]
    serving = asyncio.create_task(serve_site(gate, listening, part.tls, part.stop, part.ready, closing=hub.close), name="serve")
    try:
        done, _ = await asyncio.wait({serving, *working}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await task                          # a task that ended by an error ends the part with it
    finally:
        for task in (*working, serving):
            task.cancel()
        await asyncio.gather(*working, serving, return_exceptions=True)
        sign_in.close()
        await watch.close()
        sessions.close()


def routes(frame: Frame, file: Callable[[], tuple[str, str]]) -> list[Route]:
    """Every page of the console."""
    dealing, looking, stopping = Dealing(frame), Looking(frame, file, lambda design: svg(design, alone=False)), Stopping(frame)

    def whole(page: Page) -> Route:
        async def show(ask: Ask) -> Reply:
            return await frame.show(page, ask)
        return Route("GET", page.path, show)

    def live(page: Page) -> Route:
        return Route("GET", f"/live{page.path.rstrip('/') or '/queue'}", frame.stream(page))

    async def picture_style(ask: Ask) -> Reply:
        return Reply(STYLE, media_type="text/css")
    pages = [dealing.queue, dealing.approvals, looking.positions, looking.unknown, looking.latency, looking.design, stopping.control]
    return [*map(whole, pages), *map(live, [*pages, looking.blotter, looking.told]),
            Route("GET", "/blotter", looking.show_blotter), Route("GET", "/story", looking.find), Route("GET", "/story/{id:str}", looking.story),
            Route("GET", "/approvals/{id:str}", dealing.one_held), Route("POST", "/approve", dealing.approve), Route("POST", "/deny", dealing.deny),
            Route("POST", "/price", dealing.price), Route("POST", "/withdraw", dealing.withdraw),
            Route("GET", "/control/{act:str}/{name:str}", stopping.question),
            Route("POST", "/control/{act:str}/{name:str}", stopping.act), Route("GET", "/picture.css", picture_style)]


async def _beat(hub: Hub) -> None:
    while True:
        await asyncio.sleep(BEAT_SECONDS)
        hub.tell("beat")


def _admitted(person: str, watch: Watch, file: Path) -> bool:
    """Staff of the running design; of the file beside the house while the node was never reached: then they may come in, and see that it is away."""
    if watch.words is not None:
        return staff(watch.words.design, person)
    try:
        return staff(read_design(*_file(file)), person)
    except DesignError:
        return False


def _file(path: Path) -> tuple[str, str]:
    """The design file beside the house, and its name; "" where it cannot be read."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return path.read_text(), path.name
    return "", path.name
