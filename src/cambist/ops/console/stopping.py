"""Control: the kill switch for all, for an account and for a key, halting an instrument, its sessions and auctions, protections, and starting again.

Decides which act is meant and what must be typed before it is sent. Each asks for the password again and for its name in full, because a hurried click must
not stop a market, and a stopped one must not start by itself. It must not decide who may: the design's roles and the core do.
"""
from collections.abc import Mapping
from typing import NamedTuple

from cambist.dictionary import Dictionary
from cambist.messages import SESSION_MOVES, Kind, Session
from cambist.ops.console.frame import Drawn, Frame, Page
from cambist.ops.console.signers import Signer, signer, waits_for_second
from cambist.ops.oversight import protection_name, session_words
from cambist.ops.web.guards import Ask, Fault, Reply, only
from cambist.ops.web.sign_in_shell import need_fresh

EVERYTHING = "EVERYTHING"
MINUTE = 60 * 10**9


class Stop(NamedTuple):
    """An act of this page: its command, its name in full and on a button, what it does, and what kind of name it takes."""
    kind: Kind
    verb: str
    short: str
    does: str
    on: str                                     # all, account, key, instrument or protection
    session: Session | None = None              # the session it calls


_AGAIN = "Orders, requests and quotes are taken again. Cancelled orders do not come back."
STOPS: dict[str, Stop] = {
    "kill-all": Stop(Kind.KILL_ALL, "Stop all trading", "Stop all trading", "Every order is cancelled, and nothing with risk is taken from anyone.", "all"),
    "revive-all": Stop(Kind.REVIVE_ALL, "Let all trade again", "Let all trade again", _AGAIN, "all"),
    "kill": Stop(Kind.KILL, "Stop an account", "Stop", "Its orders are cancelled, and nothing that carries risk is taken from it.", "account"),
    "revive": Stop(Kind.REVIVE, "Let an account trade again", "Let trade again", _AGAIN, "account"),
    "halt": Stop(Kind.HALT, "Halt an instrument", "Halt", "Every order in it is cancelled, and none is taken.", "instrument"),
    "resume": Stop(Kind.RESUME, "Resume an instrument", "Resume", _AGAIN, "instrument"),
    "kill-key": Stop(Kind.KILL_TRADER, "Stop a key", "Stop", "The orders it sent are cancelled, and nothing that carries risk is taken from it.", "key"),
    "revive-key": Stop(Kind.REVIVE_TRADER, "Let a key trade again", "Let trade again", _AGAIN, "key"),
    "reset": Stop(Kind.RESET_PROTECTION, "Let an account quote again", "Reset", "What was counted is forgotten, and its quotes in the book are taken again.",
                  "protection"),
    "auction": Stop(Kind.SESSION, "Call an auction", "Auction", "Orders gather and nothing trades until it ends, all in one price; then it trades on.",
                    "instrument", Session.AUCTION),
    "pre-open": Stop(Kind.SESSION, "Call the pre-open", "Pre-open", "Orders gather and nothing trades.", "instrument", Session.PRE_OPEN),
    "continuous": Stop(Kind.SESSION, "End the auction", "End the auction", "It ends now, in one price, and then trades on.", "instrument", Session.CONTINUOUS),
    "cancel-only": Stop(Kind.SESSION, "Take cancels only", "Cancels only", "Nothing is taken but cancels. Orders stand.", "instrument", Session.CANCEL_ONLY),
    "close": Stop(Kind.SESSION, "Close an instrument", "Close", "Nothing is taken but cancels, and orders of the day end.", "instrument", Session.CLOSED)}
MOST_MINUTES = 24 * 60


class Choice(NamedTuple):
    """One button: an act on a name, where it is asked for, whether it is stopped now, and the key that may, or why none."""
    act: str
    name: str
    path: str
    stopped: bool
    signer: Signer
    second: bool


class Floor(NamedTuple):
    """An instrument's session in words, and the sessions that may follow."""
    name: str
    words: str
    trading: bool
    moves: list[Choice]


class Stopping:
    """The pages, made for one frame."""

    def __init__(self, frame: Frame) -> None:
        self._frame, self._watch = frame, frame.watch
        self.control = Page("/control", "control.html", frozenset({"beat"}), self._control)
        self.confirm = Page("/control", "confirm.html", frozenset(), self._nothing)

    async def _control(self, ask: Ask, words: Dictionary) -> Drawn:
        latched = {(one.what, one.name) for one in await self._watch.latches()}
        listed, controls = await self._watch.view("instruments"), await self._watch.view("controls")
        person = ask.signed_in.person
        accounts = [words.account_name(number) for number in self._watch.trading()]
        keys = [name for name, key in words.design.keys.items() if key.enabled and key.account in accounts and name in words.names["actors"]]

        def choice(stop: str, start: str, what: str, name: str) -> Choice:
            act = start if (what, name) in latched else stop
            return self._choice(words, person, act, name, act == start)
        return {"control": self._frame.draw(
            "control_part.html", ask, stops=STOPS, everything=choice("kill-all", "revive-all", "all", ""),
            accounts=[choice("kill", "revive", "account", name) for name in accounts], keys=[choice("kill-key", "revive-key", "key", name) for name in keys],
            instruments=[choice("halt", "resume", "instrument", one.name) for one in words.instruments],
            floors=[self._floor(row, words, person) for row in listed["instruments"] if words.listed_by_number(row["instrument"])],
            protections=[self._choice(words, person, "reset", protection_name(row, words), bool(row["frozen"])) for row in controls["protections"]])}

    def _floor(self, row: Mapping[str, int], words: Dictionary, person: str) -> Floor:
        """The moves the rules allow from the session there is; an auction leads only to what it was called for."""
        one, session = words.listed_by_number(row["instrument"]), Session(row.get("session", Session.CONTINUOUS))
        assert one is not None, "only listed instruments are shown"
        closing = session is Session.AUCTION and row.get("next_session") == Session.CLOSED
        allowed = SESSION_MOVES[session] - ({Session.CONTINUOUS} if closing else {Session.CLOSED} if session is Session.AUCTION else set())
        moves = [self._choice(words, person, act, one.name, False) for act, stop in STOPS.items() if stop.session in allowed]
        return Floor(one.name, session_words(row), session is Session.CONTINUOUS, moves)

    @staticmethod
    def _choice(words: Dictionary, person: str, act: str, name: str, stopped: bool) -> Choice:
        stop = STOPS[act]
        chosen = signer(words.design, person, stop.kind, name if stop.on == "account" else name.partition(" ")[0] if stop.on == "protection" else "")
        at = name.replace("/", "-").replace(" ", "@") if stop.on in ("instrument", "protection") else name or EVERYTHING.lower()
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
        f = only(ask.form, "typed", "id", "minutes")
        words, (act, name) = self._frame.words(), self._meant(ask.values["act"], ask.values["name"])
        stop, wanted = STOPS[act], EVERYTHING if STOPS[act].on == "all" else name
        if again := need_fresh(ask, ask.path):
            return again
        if f["typed"].strip() != wanted:
            chosen = self._choice(words, ask.signed_in.person, act, name, False)
            return await self._frame.show(self.confirm, ask, 422, stop=stop, choice=chosen, typed=wanted, id=f["id"],
                                          wrong=f"You typed {f['typed'][:40]!r}; it is {wanted}. Nothing was sent.")
        minutes = f["minutes"].strip()
        if minutes and not (minutes.isascii() and minutes.isdigit() and int(minutes) <= MOST_MINUTES):
            raise Fault(422, "BAD_MINUTES", f"An auction lasts whole minutes, at most {MOST_MINUTES:,}, or until somebody ends it. Nothing was sent.")
        account, fields = _fields(stop, name, int(minutes or 0), words)
        subject = f"{stop.verb}: {name}" if name else stop.verb
        told = await self._frame.acts.send(ask, words, stop.kind, account, f["id"], subject, **fields)
        self._watch.forget("status", "instruments", "account", "controls", "held")
        self._frame.hub.tell("state")
        return self._frame.see(ask, "/control", f["id"], told)

    def _meant(self, act: str, name: str) -> tuple[str, str]:
        """The act and the name, both known: an account's, an instrument's by its symbol, "" for all. Raises Fault."""
        words = self._frame.words()
        if act not in STOPS:
            raise Fault(404, "NOT_FOUND", "There is no such act.")
        on, listed = STOPS[act].on, {one.symbol: one.name for one in words.instruments}
        match on:
            case "instrument": found = listed.get(name, "")
            case "account": found = name if name in words.names["accounts"] else ""
            case "key": found = name if name in words.names["actors"] else ""
            case "protection":
                account, _, symbol = name.partition("@")
                found = f"{account} {listed[symbol]}" if account in words.names["accounts"] and symbol in listed else ""
            case _: found = EVERYTHING if name == EVERYTHING.lower() else ""
        if not found:
            raise Fault(404, "UNKNOWN_NAME", f"There is no {on} of that name.")
        return act, "" if on == "all" else found


def _fields(stop: Stop, name: str, minutes: int, words: Dictionary) -> tuple[str, dict[str, int]]:
    """The account an act names, if it names one, and its other fields."""
    if stop.on == "protection":
        account, _, instrument = name.partition(" ")
        return account, {"instrument": words.listed(instrument).number}
    fields = {"instrument": words.listed(name).number} if stop.on == "instrument" else {"number": words.names["actors"][name]} if stop.on == "key" else {}
    if stop.session is not None:
        fields |= {"session": stop.session, "duration": minutes * MINUTE if stop.session is Session.AUCTION else 0}     # next 0: it trades on
    return name if stop.on == "account" else "", fields | ({"cancel": 1} if stop.kind is Kind.HALT else {})
