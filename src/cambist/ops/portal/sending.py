"""What a person sent and what became of it. Without IO.

Decides when something sent counts as answered, as unknown, or as never done, and what a person is told about each. It must not send anything: what was sent
once is never sent again from here, so a form that comes twice trades once.
"""
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cambist.dictionary import Dictionary, client_id
from cambist.messages import Event, Kind, Reason
from cambist.ops.refusals import CHECKS

SENT, ANSWERED, NEVER, UNSENT = "sent", "answered", "never", "unsent"
VALID_NS = 10 * 10**9                                   # a command counts for this long: later it can do nothing any more
KEPT_NS = 24 * 3600 * 10**9                             # how long what was sent is remembered, far beyond any answer window


class Sent(NamedTuple):
    """One command of a person. `state` is SENT until its outcome is known."""
    account: int
    id_hi: int
    id_lo: int
    kind: int
    words: str                                          # what it was, for a person
    at: int
    expires: int
    state: str

    @property
    def id(self) -> str:
        return client_id(self.id_hi, self.id_lo)


class Became(NamedTuple):
    """What a person is told: a tone (good, bad, warn), a headline, words, and the stable code of a refusal or ""."""
    tone: str
    headline: str
    words: str
    code: str = ""


def looked_up(sent: Sent, known: bool, log_time: int) -> str:
    """The state after the house was asked. What the house does not know once its time is past `expires` was never done, and never will be."""
    if sent.state != SENT:
        return sent.state
    return ANSWERED if known else NEVER if log_time > sent.expires else SENT


def reason_words(reason: int) -> tuple[str, str]:
    """(code, words) of a reason."""
    if reason not in Reason._value2member_map_:
        return f"REASON_{reason}", "the house refused it"
    named = Reason(reason)
    return named.name, CHECKS.get(named, named.name.replace("_", " ").lower())


def became(sent: Sent, events: Sequence[Mapping[str, int]], words: Dictionary) -> Became:
    """`events`: those that echo its id, in order, or none."""
    if sent.state == NEVER:
        return Became("warn", "It was not done", f"{sent.words}: the house never took it, and its time is over. Nothing happened.", "NEVER")
    if not events:
        return Became("warn", "Unknown", f"{sent.words}: the house has not answered. It may have been done. It is being looked up.", "UNKNOWN")
    first = events[0]
    if first["kind"] == Event.REFUSED:
        code, why = reason_words(int(first["reason"]))
        return Became("bad", "Refused", f"{sent.words}: {why}.", code)
    if first["kind"] == Event.HELD:
        return Became("warn", "Waiting", f"{sent.words}: it waits for a second person of the house.", "HELD")
    return Became("good", DONE_WORDS.get(Kind(sent.kind), "Done") if sent.kind in Kind._value2member_map_ else "Done", f"{sent.words}.")


DONE_WORDS = {Kind.NEW_ORDER: "Order accepted", Kind.CANCEL_ORDER: "Cancelled", Kind.CANCEL_ALL: "All are being cancelled", Kind.AMEND_ORDER: "Amended",
              Kind.REQUEST_QUOTE: "Request opened", Kind.CANCEL_REQUEST: "Request cancelled", Kind.ACCEPT_QUOTE: "Traded", Kind.KILL: "Trading is stopped",
              Kind.TRANSFER: "Transferred"}
