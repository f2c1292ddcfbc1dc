"""A little app on the shared web: a page, a form that changes something, a dangerous act, a live page, an error. Served in process or on a real socket."""
import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from cambist.ops.web.application_shell import Gate, Route, Site, application, bind, own_hosts, serve_site
from cambist.ops.web.assets_shell import Assets
from cambist.ops.web.guards import Ask, Fault, Reply, only, see_other
from cambist.ops.web.live_shell import Hub
from cambist.ops.web.pages import Pages, Place
from cambist.ops.web.sessions_shell import Sessions
from cambist.ops.web.sign_in_shell import SignIn, need_fresh

PASSWORDS = {"ada": "amber-basil-1", "ines": "cedar-delta-2"}
HOST = "127.0.0.1:8602"
ORIGIN = f"http://{HOST}"
MARKUP = '<script>alert(1)</script>"\'><img src=x onerror=alert(1)>{{ 7 * 7 }}'


class Little:
    """`said` is what forms changed, `faults` what the operator was told, `checked` every password that was looked at."""

    def __init__(self, folder: Path, name: str = "portal", admitted: frozenset[str] = frozenset({"ada"}), clock: list[int] | None = None) -> None:
        self.said: list[str] = []
        self.faults: list[str] = []
        self.checked: list[tuple[str, str]] = []
        self.name, self.clock = name, clock
        self.sessions = Sessions(folder / "read" / f"{name}-sessions.db")
        self.assets = Assets()
        self.pages = Pages(name, "Little app", "cambist.ops.web", (Place("/", "Home", "h"), Place("/say", "Say", "s")), self.assets.address)
        self.sign_in = SignIn(f"cambist_{name}", self.sessions, self.pages, self._check, admitted.__contains__)
        self.hub = Hub(lambda ask: ask.session is not None and self.sessions.living(ask.session, self.now(ask.now)))
        self.site = Site(name, self.sessions, self.sign_in, self.pages, self.assets, False, own_hosts("127.0.0.1", 8602, None), self.faults.append)

    def now(self, otherwise: int) -> int:
        return self.clock[0] if self.clock else otherwise

    def _check(self, person: str, password: str) -> bool:
        self.checked.append((person, password))
        return PASSWORDS.get(person) == password

    def gate(self, site: Site | None = None) -> Gate:
        gate = application(site or self.site, (
            Route("GET", "/", self.home), Route("POST", "/say", self.say), Route("POST", "/danger", self.danger), Route("GET", "/broken", self.broken),
            Route("GET", "/live", self.live), Route("GET", "/things/{id:str}", self.thing)))
        if self.clock:
            gate._clock = lambda: self.clock[0]  # type: ignore[index]
        return gate

    async def home(self, ask: Ask) -> Reply:
        return Reply(self.pages.draw("fault.html", ask, fault=Fault(200, "SAID", " ".join(self.said) or "nothing")))

    async def say(self, ask: Ask) -> Reply:
        self.said.append(only(ask.form, "words")["words"])
        return see_other("/")

    async def danger(self, ask: Ask) -> Reply:
        if again := need_fresh(ask, "/things/danger"):
            return again
        self.said.append("danger")
        return see_other("/")

    async def broken(self, ask: Ask) -> Reply:
        raise RuntimeError("a secret of the program")

    async def thing(self, ask: Ask) -> Reply:
        raise Fault(404, "UNKNOWN_THING", f"There is no thing {ask.values['id']}.")

    async def live(self, ask: Ask) -> Reply:
        async def render() -> dict[str, str]:
            return {"said": self.pages.draw("fault_part.html", ask, fault=Fault(200, "SAID", " ".join(self.said)))}
        return self.hub.open(ask, frozenset({"said"}), render)

    def client(self, gate: Gate | None = None, **headers: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(gate or self.gate()), base_url=ORIGIN, headers={"Origin": ORIGIN, **headers})

    def close(self) -> None:
        self.sign_in.close()
        self.sessions.close()


def proof_of(page: httpx.Response) -> str:
    found = re.search(r'name="proof" value="([0-9a-f]{64})"', page.text)
    assert found, page.text[:400]
    return found[1]


async def sign_in(client: httpx.AsyncClient, person: str = "ada", password: str | None = None, where: str = "/") -> httpx.Response:
    proof = proof_of(await client.get("/login"))
    return await client.post("/login", data={"proof": proof, "person": person, "password": PASSWORDS.get(person, "") if password is None else password,
                                             "next": where})


async def proof(client: httpx.AsyncClient) -> str:
    return proof_of(await client.get("/"))


@contextlib.asynccontextmanager
async def served(little: Little) -> AsyncIterator[str]:
    """The little app on a real socket; the address without its scheme."""
    stop, opened = asyncio.Event(), asyncio.get_running_loop().create_future()
    listening = bind("127.0.0.1", 0)
    port = listening.getsockname()[1]
    site = little.site._replace(hosts=own_hosts("127.0.0.1", port, None))
    serving = asyncio.create_task(serve_site(little.gate(site), listening, None, stop, opened.set_result, little.hub.close))
    try:
        address = await asyncio.wait_for(opened, 5)
        yield address.removeprefix("http://")
    finally:
        stop.set()
        await asyncio.wait_for(serving, 5)
