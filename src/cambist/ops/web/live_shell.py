"""Open pages: who listens, and the stream each gets as server-sent events.

Decides when a listener has its turn: soon after something of its topics changed, never more often than GAP_SECONDS, at least every BEAT_SECONDS. What it is
then sent is `live.py`; what the fragments hold is the page's.
"""
import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from cambist.ops.web.guards import Ask, Fault, Reply
from cambist.ops.web.live import MAX_LISTENERS, MAX_OF_SESSION, Listener, Note, beat, event

BEAT_SECONDS, GAP_SECONDS = 10.0, 0.1
RECENT_NOTES = 64                                       # kept for browsers that come back
Render = Callable[[], Awaitable[Mapping[str, str]]]


class Hub:
    """All open pages of one app. `living(session)`: whether a session still stands; a stream ends with it."""

    def __init__(self, living: Callable[[Ask], bool] = lambda ask: True) -> None:
        self._living = living
        self._listeners: dict[Listener, asyncio.Event] = {}
        self._of: Counter[str] = Counter()
        self._recent: list[tuple[frozenset[str], Note]] = []
        self._closed = False

    def tell(self, *topics: str) -> None:
        """Something of these topics changed: pages that show it are drawn again."""
        about = frozenset(topics)
        for listener, wake in self._listeners.items():
            if listener.hear(about):
                wake.set()

    def note(self, topic: str, tone: str, words: str, link: str = "") -> None:
        """A passing message to every page of a topic."""
        note = Note(time.time_ns() // 1000, tone, words, link)
        self._recent = [*self._recent[1 - RECENT_NOTES:], (frozenset((topic,)), note)]
        for listener, wake in self._listeners.items():
            if topic in listener.topics:
                listener.note(note)
                wake.set()

    def close(self) -> None:
        """Ends every stream; browsers come back by themselves when there is a server again."""
        self._closed = True
        for wake in self._listeners.values():
            wake.set()

    def open(self, ask: Ask, topics: frozenset[str], render: Render) -> Reply:
        """The stream of one page. Raises Fault TOO_MANY_PAGES."""
        whose = ask.session.digest if ask.session else ask.address
        if len(self._listeners) >= MAX_LISTENERS or self._of[whose] >= MAX_OF_SESSION:
            raise Fault(503, "TOO_MANY_PAGES", "Too many pages are open; close one.", again=5)
        last = ask.headers.get("last-event-id") or ask.query.get("after", "")
        after = int(last) if last.isascii() and last.isdigit() and len(last) < 20 else 0
        listener = Listener(topics, after)
        if after:
            for about, note in self._recent:
                if about & topics:
                    listener.note(note)
        return Reply(media_type="text/event-stream", stream=self._stream(ask, whose, listener, render))

    async def _stream(self, ask: Ask, whose: str, listener: Listener, render: Render) -> AsyncIterator[bytes]:
        wake = asyncio.Event()
        self._listeners[listener] = wake
        self._of[whose] += 1
        beaten = 0.0
        try:
            yield b"retry: 1000\n\n"
            while not self._closed and self._living(ask):
                if listener.waiting:
                    wake.clear()
                    out = listener.turn(await render() if listener.dirty else {}, time.time_ns())
                    if out:
                        beaten = time.monotonic()
                        yield out
                    if listener.lost:
                        return
                if time.monotonic() - beaten >= BEAT_SECONDS:
                    beaten = time.monotonic()
                    yield beat(time.time_ns())
                await asyncio.sleep(GAP_SECONDS)
                try:
                    async with asyncio.timeout(max(0.0, BEAT_SECONDS - (time.monotonic() - beaten))):
                        await wake.wait()
                except TimeoutError:
                    continue                            # nothing happened: a beat is due
            yield event("reload", {}) if not self._closed else b""
        finally:
            del self._listeners[listener]
            self._of[whose] -= 1
            if not self._of[whose]:
                del self._of[whose]
