"""What an open page is sent: only what changed, notes once, never a queue of old states."""
import asyncio

import msgspec
import pytest

from cambist.ops.web import live_shell
from cambist.ops.web.guards import Ask, Fault
from cambist.ops.web.live import MAX_LISTENERS, MAX_NOTES, MAX_OF_SESSION, Listener, Note, beat
from cambist.ops.web.live_shell import Hub
from cambist.ops.web.sessions import Session

ASK = Ask("GET", "/live", {}, {}, {}, {}, {}, "127.0.0.1", 0, Session("d", "ada", 0, 0, 0), "p")


def told(data: bytes) -> list[tuple[str, dict]]:
    """(event, body) of a stream's bytes."""
    found = []
    for block in data.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "event" in fields:
            found.append((fields["event"], msgspec.json.decode(fields["data"])))
    return found


def test_the_first_turn_sends_all_and_later_ones_what_changed():
    page = Listener(frozenset({"a"}))
    assert told(page.turn({"x": "1", "y": "2"}, 5)) == [("fragments", {"now": 5, "html": {"x": "1", "y": "2"}})]
    assert page.turn({"x": "1", "y": "2"}, 6) == b""
    assert told(page.turn({"x": "1", "y": "3"}, 7)) == [("fragments", {"now": 7, "html": {"y": "3"}})]


def test_only_its_topics_wake_it_and_once_until_its_turn():
    page = Listener(frozenset({"account:7"}))
    page.turn({}, 0)
    assert not page.hear(frozenset({"account:8"}))
    assert page.hear(frozenset({"account:7", "account:8"})) and not page.hear(frozenset({"account:7"})) and page.waiting


def test_line_breaks_and_markup_in_a_fragment_stay_inside_its_event():
    page = Listener(frozenset())
    data = page.turn({"x": "a\n\nevent: reload\ndata: {}\n\n"}, 0)
    assert [name for name, _ in told(data)] == ["fragments"]


def test_too_many_notes_are_an_order_to_load_again():
    page = Listener(frozenset({"a"}))
    for n in range(MAX_NOTES):
        page.note(Note(n + 1, "good", "words"))
    assert len(told(page.turn({}, 0))) == MAX_NOTES
    for n in range(MAX_NOTES + 5):
        page.note(Note(100 + n, "good", "words"))
    assert told(page.turn({"x": "1"}, 0)) == [("reload", {})]


def test_notes_heard_before_are_not_told_again():
    page = Listener(frozenset({"a"}), after=5)
    for n in (4, 5, 6):
        page.note(Note(n, "bad", f"{n}", "/x"))
    assert [body["number"] for name, body in told(page.turn({}, 0)) if name == "note"] == [6]
    assert b"id: 6\n" not in page.turn({}, 0)


def test_a_beat_tells_the_time():
    assert told(beat(9)) == [("beat", {"now": 9})]


# ------------------------------------------------------------------------------------------------------------------------------------- the hub
class Page:
    """Reads a stream like a browser."""

    def __init__(self, hub: Hub, state: dict[str, str], topics: frozenset[str] = frozenset({"a"}), ask: Ask = ASK) -> None:
        async def render():
            return dict(state)
        self.stream = hub.open(ask, topics, render).stream

    async def next(self) -> list[tuple[str, dict]]:
        while not (found := told(await asyncio.wait_for(anext(self.stream), 5))):
            pass
        return found


def test_a_page_hears_what_it_is_about(monkeypatch):
    monkeypatch.setattr(live_shell, "GAP_SECONDS", 0.01)

    async def main():
        hub, state = Hub(), {"x": "1"}
        page = Page(hub, state)
        assert (await page.next())[0][1]["html"] == {"x": "1"}
        state["x"] = "2"
        hub.tell("b", "a")
        assert (await page.next())[0][1]["html"] == {"x": "2"}
        hub.note("a", "good", "done", "/there")
        name, body = (await page.next())[0]
        assert name == "note" and (body["words"], body["link"]) == ("done", "/there")
        back = Page(hub, state, ask=ASK._replace(headers={"last-event-id": str(body["number"] - 1)}))
        assert [name for name, _ in await back.next()] == ["fragments", "note"]
        hub.close()
        with pytest.raises(StopAsyncIteration):
            while True:
                await page.next()
        await back.stream.aclose()
        assert not hub._listeners and not hub._of
    asyncio.run(main())


def test_a_quiet_line_beats(monkeypatch):
    monkeypatch.setattr(live_shell, "GAP_SECONDS", 0.01)
    monkeypatch.setattr(live_shell, "BEAT_SECONDS", 0.05)

    async def main():
        page = Page(Hub(), {"x": "1"})
        await page.next()
        assert (await page.next())[0][0] == "beat"
    asyncio.run(main())


def test_a_stream_ends_with_its_session(monkeypatch):
    monkeypatch.setattr(live_shell, "GAP_SECONDS", 0.01)
    monkeypatch.setattr(live_shell, "BEAT_SECONDS", 0.05)

    async def main():
        living = [True]
        page = Page(Hub(lambda ask: living[0]), {"x": "1"})
        await page.next()
        living[0] = False
        names = []
        with pytest.raises(StopAsyncIteration):
            while True:
                names += [name for name, _ in await page.next()]
        assert names[-1] == "reload"
    asyncio.run(main())


def test_open_pages_are_counted_and_bounded():
    async def main():
        hub = Hub()
        pages = [Page(hub, {}) for _ in range(MAX_OF_SESSION)]
        for page in pages:
            await anext(page.stream)
        with pytest.raises(Fault, match="TOO_MANY_PAGES"):
            Page(hub, {})
        other = ASK._replace(session=Session("other", "bo", 0, 0, 0))
        await anext(Page(hub, {}, ask=other).stream)
        await pages[0].stream.aclose()
        Page(hub, {})
        assert MAX_LISTENERS > MAX_OF_SESSION
    asyncio.run(main())
