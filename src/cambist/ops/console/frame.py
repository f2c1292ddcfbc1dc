"""What every page of the console has: the banner of what is stopped, what waits, the search, and what became of the last act.

Decides how a page is put together from its parts and kept up to date, and what is shown while the node cannot be reached: the last that was known, under a
banner that says so. It must not know what a page is about.
"""
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from markupsafe import Markup

from cambist.dictionary import Dictionary
from cambist.ops.console.acts import Acts, Told
from cambist.ops.console.watch_shell import GONE, Watch
from cambist.ops.web.guards import Ask, Fault, Reply
from cambist.ops.web.live_shell import Hub
from cambist.ops.web.pages import Pages, Place
from cambist.ops.web.sessions import command_id

MENU = (Place("/", "Queue", "q"), Place("/approvals", "Approvals", "a"), Place("/blotter", "Blotter", "b"), Place("/positions", "Positions", "p"),
        Place("/unknown", "Unknown", "u"), Place("/latency", "Latency", "l"), Place("/control", "Control", "k"), Place("/design", "Design", "d"))
Drawn = dict[str, str]                          # element id -> html


class Page(NamedTuple):
    """A live page: its template, the topics that draw it anew, and its parts. `parts` raises DoorClosed or RefusedByDoor where the node does not answer."""
    path: str
    template: str
    topics: frozenset[str]
    parts: Callable[[Ask, Dictionary], Awaitable[Drawn]]


class Frame:
    """`clock`: wall time in ns."""

    def __init__(self, pages: Pages, watch: Watch, acts: Acts, hub: Hub, key: bytes, clock: Callable[[], int]) -> None:
        self.pages, self.watch, self.acts, self.hub, self.clock = pages, watch, acts, hub, clock
        self._key = key

    # ------------------------------------------------------------------------------------------------------------------- pages
    async def show(self, page: Page, ask: Ask, status: int = 200, told: Told | None = None, **values: Any) -> Reply:
        """The whole page. `told`: what to say at its top; else what the address names."""
        ask = ask if "drawn" in ask.query else ask._replace(query={**ask.query, "drawn": str(ask.now)})
        parts = await self.parts(page, ask)
        query = "&".join(f"{name}={value}" for name, value in ask.query.items() if name != "said" and _plain(value))
        live = f"/live{page.path.rstrip('/') or '/queue'}?{query}"
        drawn = _Parts((name, Markup(html)) for name, html in parts.items())
        return Reply(self.draw(page.template, ask, parts=drawn, told=told or self.acts.said(ask), live=live, connected=self.watch.connected,
                               **values), status)

    def stream(self, page: Page) -> Callable[[Ask], Awaitable[Reply]]:
        """What answers the live path of a page."""
        async def live(ask: Ask) -> Reply:
            async def render() -> Drawn:
                return await self.parts(page, ask._replace(now=self.clock(), path=page.path))
            return self.hub.open(ask, page.topics | {"state"}, render)
        return live

    async def parts(self, page: Page, ask: Ask) -> Drawn:
        """The page's parts, and the banner of every page. While the node is away there is only the banner, and what is shown stays."""
        drawn = {"banner": await self.banner(ask), "waiting": await self.waiting(ask)}
        if self.watch.words is None or not self.watch.connected:
            return drawn
        try:
            return drawn | await page.parts(ask, self.watch.words)
        except GONE:
            return drawn

    def draw(self, template: str, ask: Ask, **values: Any) -> str:
        return self.pages.draw(template, ask, **values)

    async def banner(self, ask: Ask) -> str:
        try:
            latches = await self.watch.latches() if self.watch.connected else []
            away = "" if self.watch.connected else self.watch.link.why or "the design was not read yet"
        except GONE as fault:
            latches, away = [], str(fault)
        return self.draw("banner.html", ask, latches=latches, away=away)

    async def waiting(self, ask: Ask) -> str:
        try:
            count = len(await self.watch.held()) if self.watch.connected else 0
        except GONE:
            count = 0
        return self.draw("waiting.html", ask, count=count)

    # -------------------------------------------------------------------------------------------------------------------- acts
    def words(self) -> Dictionary:
        """Raises Fault AWAY while the node was never reached."""
        if self.watch.words is None:
            raise Fault(503, "AWAY", "The node cannot be reached, so nothing can be done here now. Nothing was sent.", again=2)
        return self.watch.words

    def form_id(self, ask: Ask, *about: object) -> str:
        """The client id of a form: the same for the same form, another for another drawing of the page."""
        return command_id(self._key, ask.signed_in.digest, *about)

    def see(self, ask: Ask, path: str, client_id: str, told: Told) -> Reply:
        """On to a page that says what became of it."""
        mark = self.acts.keep(ask, client_id, told)
        return Reply(status=303, headers={"Location": f"{path}{'&' if '?' in path else '?'}said={mark}"})


class _Parts(dict[str, Markup]):
    """What could not be read is an empty place: it is filled as soon as the node answers."""
    def __missing__(self, key: str) -> Markup:
        return Markup()


def _plain(value: str) -> bool:
    return len(value) <= 80 and all(c.isalnum() or c in "_-@./" for c in value)
