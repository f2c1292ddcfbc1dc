"""What staff do: one command, sent as the person's own key, and what became of it in words.

Decides which key signs for whom, how long a command counts, and how its answer is told. It must not decide whether an act is allowed: the core does, and its
refusal is shown as it is. Silence is told as unknown, with the way to find out; the same form sent again gets the first answer.
"""
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from cambist.dictionary import Dictionary, Wrong, read_client_id
from cambist.door.client import DoorClosed, RefusedByDoor
from cambist.messages import EVENT, NAMES_ACCOUNT, Event, Kind, Reason, command
from cambist.ops.console.signers import signer
from cambist.ops.refusals import CHECKS
from cambist.ops.web.guards import Ask, Fault

LIFE_NS = 20 * 10**9                            # how long a command counts; the form's id is answered anew after that
ANSWER_SECONDS = 8.0
SAID_MOST = 512                                 # outcomes kept for the page that follows


class Asks(Protocol):
    """The part of the link that sends."""
    async def ask(self, record: np.ndarray, timeout: float = 5.0, attachments: bytes = b"") -> Any: ...


class Told(NamedTuple):
    """What became of an act: good, bad, waits or unknown; a code, words, and a path that shows more. `held`: the held command, 0 when none."""
    tone: str
    code: str
    words: str
    link: str = ""
    held: int = 0


class Acts:
    """`link`: what sends. Outcomes are kept for the page after the form, by an id that only its person may read."""

    def __init__(self, link: Asks) -> None:
        self._link = link
        self._said: dict[str, tuple[str, Told]] = {}

    async def send(self, ask: Ask, words: Dictionary, kind: Kind, account: str, client_id: str, subject: str, /, **fields: int) -> Told:
        """One command, as the key of the person that may send it. Raises Fault where none may. `subject`: what it is about, for the words."""
        person = ask.signed_in.person
        chosen = signer(words.design, person, kind, account)
        if not chosen.key:
            raise Fault(403, "NOT_ALLOWED", f"{chosen.why}.")
        try:
            hi, lo = read_client_id(client_id, "$.id")
        except Wrong as wrong:
            raise Fault(422, wrong.code, f"{wrong.message}. Nothing was sent.") from None
        named = {"account": words.names["accounts"][account]} if account and kind in NAMES_ACCOUNT else {}
        record = command(kind, actor=words.names["actors"][chosen.key], decider=words.names["people"][person], id_hi=hi, id_lo=lo, received=ask.now,
                         expires=ask.now + min(LIFE_NS, words.design.cell.answer_window), **named, **fields)
        try:
            outcome = await self._link.ask(record, ANSWER_SECONDS)
        except RefusedByDoor as fault:
            return Told("bad", fault.code.name, f"The house did not take it: {fault}. Nothing was done.")
        except DoorClosed:
            return _unknown(subject)
        return _unknown(subject) if outcome.events is None else outcome_told(outcome.events, words, subject)

    def keep(self, ask: Ask, client_id: str, told: Told) -> str:
        """Keeps an outcome for the next page; what to put after `said=`."""
        self._said.pop(client_id, None)
        self._said[client_id] = (ask.signed_in.person, told)
        while len(self._said) > SAID_MOST:
            del self._said[next(iter(self._said))]
        return client_id

    def unheard(self) -> list[tuple[str, Told]]:
        """Acts of anyone that were never answered, newest first."""
        return [(person, told) for person, told in reversed(self._said.values()) if told.tone == "unknown"]

    def said(self, ask: Ask) -> Told | None:
        """What `said` in the address names, if it is this person's."""
        person, told = self._said.get(ask.query.get("said", ""), ("", None))
        return told if told and ask.session and person == ask.session.person else None


def _unknown(subject: str) -> Told:
    return Told("unknown", "UNKNOWN", f"{subject}: no answer came in time, so what became of it is unknown. Look at its story, or send the same form again: "
                "if it was done, you get the first answer.")


def outcome_told(events: np.ndarray, words: Dictionary, subject: str) -> Told:
    """The answer to one command in words."""
    rows: list[dict[str, int]] = [dict(zip(EVENT.names or (), row, strict=True)) for row in events.tolist()]
    for row in rows:
        if row["kind"] == Event.REFUSED:
            reason = Reason(row["reason"]) if row["reason"] in Reason._value2member_map_ else Reason.NONE
            return Told("bad", reason.name, f"{subject}: refused, {CHECKS.get(reason, 'as its code says')}.", _place(row))
        if row["kind"] == Event.HELD:
            told = words.opaque.text("held", row["id"])
            return Told("waits", "HELD", f"{subject}: it waits for a second person.", f"/approvals/{told}", row["id"])
    return Told("good", "DONE", f"{subject}: done.", next((_place(row) for row in rows if row["sequence"]), ""))


def _place(row: Mapping[str, int]) -> str:
    """Where more is told; an account's own stream does not say at which sequence."""
    return f"/story/@{row['sequence']}" if row["sequence"] else "/blotter?kind=refusals" if row["kind"] == Event.REFUSED else ""
