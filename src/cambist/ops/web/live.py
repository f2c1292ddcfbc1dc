"""What a page that stays open is told: fragments that changed, notes that pass by, and a beat. Without IO.

Decides what is sent to one listener and what is left out. It must not know a socket, or what a fragment shows. A slow listener costs nothing: fragments are
states, so it gets the newest and never a queue of old ones; notes are few, and when too many wait unread it is told to load the page again.
"""
from collections import deque
from collections.abc import Mapping
from hashlib import blake2b
from typing import NamedTuple

import msgspec

MAX_NOTES = 32                                          # that wait for one listener
MAX_LISTENERS, MAX_OF_SESSION = 400, 12


class Note(NamedTuple):
    """A passing message. `tone`: good, bad or plain; the words say it too. `number` grows, so that a browser that comes back asks from there."""
    number: int
    tone: str
    words: str
    link: str = ""


class Listener:
    """One open page: which topics it is about, what it was last sent, which notes wait."""

    def __init__(self, topics: frozenset[str], after: int = 0) -> None:
        self.topics, self.after = topics, after
        self.dirty = True                               # its first turn sends every fragment
        self.lost = False
        self._notes: deque[Note] = deque()
        self._sent: dict[str, bytes] = {}

    def hear(self, topics: frozenset[str]) -> bool:
        """Whether these topics concern it, and it was not about to look anyway."""
        if self.dirty or self.topics.isdisjoint(topics):
            return False
        self.dirty = True
        return True

    def note(self, note: Note) -> None:
        if len(self._notes) >= MAX_NOTES:
            self._notes.clear()
            self.lost = True
        elif not self.lost and note.number > self.after:
            self._notes.append(note)

    @property
    def waiting(self) -> bool:
        return self.dirty or self.lost or bool(self._notes)

    def turn(self, fragments: Mapping[str, str], now: int) -> bytes:
        """Everything to be sent now: changed fragments by element id, notes, or the order to load again."""
        self.dirty = False
        if self.lost:
            return event("reload", {})
        out = []
        changed = {name: html for name, html in fragments.items() if self._new(name, html)}
        if changed:
            out.append(event("fragments", {"now": now, "html": changed}))
        while self._notes:
            note = self._notes.popleft()
            self.after = note.number
            out.append(event("note", note._asdict(), note.number))
        return b"".join(out)

    def _new(self, name: str, html: str) -> bool:
        mark = blake2b(html.encode(), digest_size=16).digest()
        if self._sent.get(name) == mark:
            return False
        self._sent[name] = mark
        return True


def event(name: str, body: object, number: int = 0) -> bytes:
    """One server-sent event; JSON has no line breaks of its own."""
    return b"".join((f"id: {number}\n".encode() if number else b"", f"event: {name}\ndata: ".encode(), msgspec.json.encode(body), b"\n\n"))


def beat(now: int) -> bytes:
    """Said when nothing else is: it keeps the line open, tells the time, and its absence tells that the line is dead."""
    return event("beat", {"now": now})
