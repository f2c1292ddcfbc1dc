"""Signing in, again before a dangerous act, and out: the pages every app has.

Decides in which order a name and a password are looked at, and that a wrong name, a wrong password and a person of the other app get one answer after one
time. What a password must be is handed in as `check`, who may come in as `admitted`; waiting times are `sessions.Attempts`.
"""
import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from cambist.ops.web.guards import Ask, Fault, Reply, only, own_path, see_other
from cambist.ops.web.pages import Pages
from cambist.ops.web.sessions import SECOND, Attempts, fresh
from cambist.ops.web.sessions_shell import Sessions

AT_ONCE, WAITING_MOST = 2, 16                           # password checks are slow and eat memory on purpose
MAX_NAME, MAX_PASSWORD = 64, 256


class SignIn:
    """The door of one app. `cookie`: its name."""

    def __init__(self, cookie: str, sessions: Sessions, pages: Pages, check: Callable[[str, str], bool], admitted: Callable[[str], bool]) -> None:
        self.cookie, self.sessions, self._pages, self._check, self._admitted = cookie, sessions, pages, check, admitted
        self._attempts, self._waiting = Attempts(), 0
        self._workers = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="password")

    def close(self) -> None:
        self._workers.shutdown(wait=False, cancel_futures=True)

    async def form(self, ask: Ask) -> Reply:
        if ask.session is not None:
            return see_other("/")
        return self._page(ask, "login.html", own_path(ask.query.get("next", "/")))

    async def enter(self, ask: Ask) -> Reply:
        fields = only(ask.form, "person", "password", "next")
        where = own_path(fields["next"])
        if wrong := await self._wrong(fields["person"].strip(), fields["password"], ask):
            return self._page(ask, "login.html", where, wrong, fields["person"][:MAX_NAME])
        if ask.session is not None:
            self.sessions.end(ask.session)
        token, _ = self.sessions.start(fields["person"].strip(), ask.now)
        return see_other(where, {self.cookie: token})

    async def again_form(self, ask: Ask) -> Reply:
        return self._page(ask, "again.html", own_path(ask.query.get("next", "/")))

    async def again(self, ask: Ask) -> Reply:
        """The password once more: from here the session counts as fresh, under a new token."""
        fields = only(ask.form, "password", "next")
        where = own_path(fields["next"])
        if wrong := await self._wrong(ask.signed_in.person, fields["password"], ask):
            return self._page(ask, "again.html", where, wrong)
        token, _ = self.sessions.prove(ask.signed_in, ask.now)
        return see_other(where, {self.cookie: token})

    async def leave(self, ask: Ask) -> Reply:
        if ask.session is not None:
            self.sessions.end(ask.session)
        return see_other("/login", {self.cookie: None})

    async def _wrong(self, person: str, password: str, ask: Ask) -> Fault | None:
        """None when it is right. The same fault, after the same work, whatever of it is not."""
        if wait := self._attempts.wait(person, ask.address, ask.now):
            seconds = -(-wait // SECOND)
            return Fault(429, "WAIT", f"Too many attempts failed. Try again in {seconds} s.", again=seconds)
        if self._waiting >= WAITING_MOST:
            return Fault(503, "BUSY", "Too many people sign in at this moment. Try again in a few seconds.", again=3)
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            right = await loop.run_in_executor(self._workers, self._check, person[:MAX_NAME], password[:MAX_PASSWORD])
        finally:
            self._waiting -= 1
        if right and len(password) <= MAX_PASSWORD and self._admitted(person):
            self._attempts.worked(person, ask.address)
            return None
        self._attempts.failed(person, ask.address, ask.now)
        return Fault(401, "WRONG_LOGIN", "This name and password do not open this app.")

    def _page(self, ask: Ask, template: str, where: str, wrong: Fault | None = None, person: str = "") -> Reply:
        body = self._pages.draw(template, ask, next=where, wrong=wrong, person=person)
        again = {"Retry-After": str(wrong.again)} if wrong and wrong.again else {}
        return Reply(body, wrong.status if wrong else 200, again)


def need_fresh(ask: Ask, back: str) -> Reply | None:
    """None when the password was given within the last 5 minutes; else the way to give it, which leads on to `back`: a page to look at, not the act itself."""
    return None if fresh(ask.signed_in, ask.now) else see_other(f"/again?next={own_path(back)}")
