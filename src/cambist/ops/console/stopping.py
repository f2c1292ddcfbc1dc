"""Control: the kill switch for all and for one account, halting an instrument, and starting again.

Decides which stop is meant and what must be typed before it is sent. A stop asks for the password again and for its name in full, because a hurried click must
not stop a market, and a stopped one must not start by itself. It must not decide who may: the design's roles and the core do.
"""
from typing import NamedTuple

from cambist.dictionary import Dictionary
from cambist.messages import Kind
from cambist.ops.console.frame import Drawn, Frame, Page
from cambist.ops.console.signers import Signer, signer, waits_for_second
from cambist.ops.web.guards import Ask, Fault, Reply, only
from cambist.ops.web.sign_in_shell import need_fresh

EVERYTHING = "EVERYTHING"


class Stop(NamedTuple):
    """An act of this page: its command, its name in full and on a button, what it does, and what kind of name it takes."""
    kind: Kind
    verb: str
    short: str
    does: str
    on: str                                     # all, account or instrument


_AGAIN = "Orders, requests and quotes are taken again. Cancelled orders do not come back."
STOPS: dict[str, Stop] = {
    "kill-all": Stop(Kind.KILL_ALL, "Stop all trading", "Stop all trading", "Every order is cancelled, and nothing with risk is taken from anyone.", "all"),
    "revive-all": Stop(Kind.REVIVE_ALL, "Let all trade again", "Let all trade again", _AGAIN, "all"),
    "kill": Stop(Kind.KILL, "Stop an account", "Stop", "Its orders are cancelled, and nothing that carries risk is taken from it.", "account"),
    "revive": Stop(Kind.REVIVE, "Let an account trade again", "Let trade again", _AGAIN, "account"),
    "halt": Stop(Kind.HALT, "Halt an instrument", "Halt", "Every order in it is cancelled, and none is taken.", "instrument"),
    "resume": Stop(Kind.RESUME, "Resume an instrument", "Resume", _AGAIN, "instrument")}


class Choice(NamedTuple):
    """One button: an act on a name, where it is asked for, whether it is stopped now, and the key that may, or why none."""
    act: str
    name: str
    path: str
    stopped: bool
    signer: Signer
    second: bool


class Stopping:
    """The pages, made for one frame."""

    def __init__(self, frame: Frame) -> None:
        self._frame, self._watch = frame, frame.watch
        self.control = Page("/control", "control.html", frozenset({"beat"}), self._control)
        self.confirm = Page("/control", "confirm.html", frozenset(), self._nothing)

    async def _control(self, ask: Ask, words: Dictionary) -> Drawn:
        latched = {(one.what, one.name) for one in await self._watch.latches()}
        person = ask.signed_in.person
        accounts = [words.account_name(number) for number in self._watch.trading()]

        def choice(stop: str, start: str, what: str, name: str) -> Choice:
            act = start if (what, name) in latched else stop
            return self._choice(words, person, act, name, act == start)
        return {"control": self._frame.draw("control_part.html", ask, stops=STOPS, everything=choice("kill-all", "revive-all", "all", ""),
                                            accounts=[choice("kill", "revive", "account", name) for name in accounts],
                                            instruments=[choice("halt", "resume", "instrument", one.name) for one in words.instruments])}

    @staticmethod
    def _choice(words: Dictionary, person: str, act: str, name: str, stopped: bool) -> Choice:
        stop = STOPS[act]
        chosen = signer(words.design, person, stop.kind, name if stop.on == "account" else "")
        at = name.replace("/", "-") if stop.on == "instrument" else name or EVERYTHING.lower()
        return Choice(act, name, f"/control/{act}/{at}", stopped, chosen, bool(chosen.key) and waits_for_second(words.design, chosen.key, stop.kind))

    async def _nothing(self, ask: Ask, words: Dictionary) -> Drawn:
        return {}

    async def question(self, ask: Ask) -> Reply:
        """The act in full, after the password: its name is to be typed."""
        words, (act, name) = self._frame.words(), self._meant(ask.values["act"], ask.values["name"])
        if again := need_fresh(ask, ask.path):
            return again
        chosen = self._choice(words, ask.signed_in.person, act, name, False)
        if not chosen.signer.key:
            raise Fault(403, "NOT_ALLOWED", f"{chosen.signer.why}.")
        return await self._frame.show(self.confirm, ask, stop=STOPS[act], choice=chosen, typed=EVERYTHING if STOPS[act].on == "all" else name, wrong="",
                                      id=self._frame.form_id(ask, "control", act, name, ask.now))

    async def act(self, ask: Ask) -> Reply:
        """Sends it, when the password is fresh and the name typed is the name meant."""
        f = only(ask.form, "typed", "id")
        words, (act, name) = self._frame.words(), self._meant(ask.values["act"], ask.values["name"])
        stop, wanted = STOPS[act], EVERYTHING if STOPS[act].on == "all" else name
        if again := need_fresh(ask, ask.path):
            return again
        if f["typed"].strip() != wanted:
            chosen = self._choice(words, ask.signed_in.person, act, name, False)
            return await self._frame.show(self.confirm, ask, 422, stop=stop, choice=chosen, typed=wanted, id=f["id"],
                                          wrong=f"You typed {f['typed'][:40]!r}; it is {wanted}. Nothing was sent.")
        fields = {"instrument": words.listed(name).number} if stop.on == "instrument" else {}
        fields |= {"cancel": 1} if stop.kind is Kind.HALT else {}
        subject = f"{stop.verb}: {name}" if name else stop.verb
        told = await self._frame.acts.send(ask, words, stop.kind, name if stop.on == "account" else "", f["id"], subject, **fields)
        self._watch.forget("status", "instruments", "account", "held")
        self._frame.hub.tell("state")
        return self._frame.see(ask, "/control", f["id"], told)

    def _meant(self, act: str, name: str) -> tuple[str, str]:
        """The act and the name, both known: an account's, an instrument's by its symbol, "" for all. Raises Fault."""
        words = self._frame.words()
        if act not in STOPS:
            raise Fault(404, "NOT_FOUND", "There is no such act.")
        if STOPS[act].on == "instrument":
            name = next((one.name for one in words.instruments if one.symbol == name), "")
        known = name in words.names["accounts"] if STOPS[act].on == "account" else bool(name) if STOPS[act].on == "instrument" else name == EVERYTHING.lower()
        if not known:
            raise Fault(404, "UNKNOWN_NAME", f"There is no {STOPS[act].on} of that name.")
        return act, "" if STOPS[act].on == "all" else name
