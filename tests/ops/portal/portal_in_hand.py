"""The portal served on a socket of its own against a house in hand, and a client that behaves as a browser does."""
import asyncio
import contextlib
import functools
import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec

from cambist.credentials import hash_password
from cambist.credentials_shell import Secrets
from cambist.ops.portal.portal_shell import serve_with
from cambist.part_shell import Part

from tests.ops.portal.house_in_hand import HouseInHand
from tests.process.house_on_disk import DESIGN

PASSWORD = "amber-basil-cedar-1234"
HIDDEN = re.compile(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">')


@functools.cache
def first_secrets() -> dict[str, bytes]:
    """The files of a new house's secrets, everyone with the same password: made once, as every password costs its time."""
    with tempfile.TemporaryDirectory() as made:
        secrets = Secrets.create(Path(made), DESIGN)
        kept = hash_password(PASSWORD, bytes(16))
        (secrets.folder / "passwords.json").write_bytes(msgspec.json.encode(dict.fromkeys(DESIGN.people, kept)))
        return {str(path.relative_to(made)): path.read_bytes() for path in Path(made).rglob("*") if path.is_file()}


def with_password(directory: Path) -> None:
    for name, data in first_secrets().items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@contextlib.asynccontextmanager
async def portal(directory: Path, house: HouseInHand, said: list[str] | None = None, port: int = 0) -> AsyncIterator[str]:
    """The address of a served portal, http://127.0.0.1:port."""
    stop, opened = asyncio.Event(), asyncio.get_running_loop().create_future()
    part = Part(directory, "", {"portal": ("127.0.0.1", port)}, None, stop, opened.set_result, (said if said is not None else []).append)
    serving = asyncio.create_task(serve_with(part, house))
    try:
        await asyncio.wait({serving, opened}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
        for _ in range(500):
            if house.followings or not house.connected:
                break
            await asyncio.sleep(0.01)
        yield opened.result()
    finally:
        stop.set()
        await asyncio.wait_for(serving, 10)


class Browser:
    """Follows forms as they are drawn: hidden fields and all."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.http = httpx.AsyncClient(base_url=address, headers={"Origin": address, "Sec-Fetch-Site": "same-origin"}, timeout=20)

    async def __aenter__(self) -> "Browser":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.http.get(path, **more)

    async def follow(self, answer: httpx.Response) -> httpx.Response:
        while answer.status_code == 303:
            answer = await self.http.get(answer.headers["location"])
        return answer

    async def send(self, page: httpx.Response, action: str, pick: int = 0, **fields: str) -> httpx.Response:
        """Fills in and sends the pick-th form of a page with this action."""
        return await self.http.post(action, data=form(page, action, pick) | fields)

    async def sign_in(self, person: str = "ada", password: str = PASSWORD) -> httpx.Response:
        return await self.send(await self.get("/login"), "/login", person=person, password=password)


def form(page: httpx.Response, action: str, pick: int = 0) -> dict[str, str]:
    """The hidden fields of a form."""
    forms = re.findall(rf'<form[^>]*action="{re.escape(action)}"[^>]*>(.*?)</form>', page.text, re.S)
    assert len(forms) > pick, f"no form {pick} for {action} in:\n{page.text}"
    return dict(HIDDEN.findall(forms[pick]))
