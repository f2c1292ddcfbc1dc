"""`cambist explain`: the story of a trade, a refusal and a price, from the files of a house and nothing else."""
import io
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from cambist.demo_shell import trade
from cambist.explain_shell import WIDTH, LogSource, PlainIds, dictionary_of, explain, measured, show, show_stages
from cambist.inspection import NoLog
from cambist.log.disk_shell import RealDisk
from cambist.log.results import ResultsReader
from cambist.messages import EVENT, Event, Kind, Reason
from cambist.opaque import BadId
from cambist.ops.story import Find, Read, Subject, UnknownSubject, Window, answer, read_subject, tell_from

import numpy as np

DEMO = Path(__file__).resolve().parents[1] / "desks" / "demo.toml"


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A whole trade, from request to settlement, in closed files."""
    folder = tmp_path_factory.mktemp("explained")
    assert all(trade(DEMO, None, 1, folder).checks.values())
    return folder


@pytest.fixture(scope="module")
def events(kept):
    return np.concatenate([np.frombuffer(one.events, EVENT) for one in ResultsReader(RealDisk(), f"{kept}/results").read(1)])


@pytest.fixture(scope="module")
def words(kept):
    return dictionary_of(RealDisk(), kept)


@pytest.fixture(scope="module")
def source(kept):
    return LogSource(RealDisk(), str(kept))


def first(events, kind, **where):
    mask = events["kind"] == kind
    for name, value in where.items():
        mask &= events[name] == value
    return events[mask][0]


def told(story) -> str:
    return "\n".join([step.who + " " + step.text + "\n" + "\n".join(line.text for line in step.lines) for step in story.steps])


@pytest.mark.parametrize("from_what", ["request", "quote", "match", "place"])
def test_a_trade_is_told_whole_whatever_of_it_is_named(events, words, source, from_what):
    request = int(first(events, Event.REQUEST_OPENED)["id"])
    filled = first(events, Event.FILLED)
    subject = {"request": Subject("number", request), "quote": Subject("number", int(filled["id"])), "match": Subject("match", int(filled["other"])),
               "place": Subject("sequence", int(filled["sequence"]))}[from_what]
    text = told(tell_from(subject, words, source))
    for part in ("asks for a quote for acme: buy 200,000 XRP", "desk invited to quote", "quotes for desk: ask", "accepts for acme", "acme bought 200,000 XRP",
                 "sends a child order to kestrel", "hedged at kestrel", "cut-off 1", "acme owes", "settled: acme paid"):
        assert part in text, part


def test_the_parts_of_each_price_of_the_desk_are_told_and_sum_to_it(events, words, source):
    story = tell_from(Subject("number", int(first(events, Event.REQUEST_OPENED)["id"])), words, source)
    priced = [step for step in story.steps if step.parts]
    assert priced and all("pricing and hedging" in step.who for step in priced)
    parts = priced[0].parts
    total = sum(round(float(part.ask.replace(",", "")) * 10**7) for part in parts.parts)
    assert abs(total - round(float(parts.ask) * 10**7)) <= len(parts.parts)         # each line is rounded to what is shown
    assert [one.source for one in parts.inputs] == ["kestrel", "osprey"]


def test_a_refusal_says_which_check_and_why(events, words, source):
    refused = first(events, Event.REFUSED, command=Kind.SETTLE)
    story = tell_from(Subject("sequence", int(refused["sequence"])), words, source)
    step = next(s for s in story.steps if s.sequence == refused["sequence"])
    assert step.tone == "bad" and step.why[0] in ("the receiver still owes", "the house has not yet received what it must deliver")
    assert Reason(int(refused["reason"])).name.lower() in step.lines[0].text.lower().replace(" ", "_")


def test_stages_without_stamps_are_unmeasured_and_never_nothing(events, words, source):
    stages, reached = measured(tell_from(Subject("number", int(first(events, Event.REQUEST_OPENED)["id"])), words, source), words)
    by = {s.stage: s for s in stages}
    assert by["logged"].ns is None and "not kept" in by["logged"].why
    assert by["accepted"].ns is not None and by["accepted"].clock == "log time" and by["hedged"].ns is not None
    assert next(t for t in reached if t.name == "first-quote").ns is None


def test_unknown_things_are_said_to_be_unknown(kept, words):
    said = []
    assert explain(kept, "9223372036854775807", as_json=True, say=said.append) == 1
    assert msgspec.json.decode(said[0])["steps"] == []
    for text in ("", "ord_", "ord_!!", "@", "@-1", "99999999999999999999", "hello", "req_" + "a" * 26):
        with pytest.raises(UnknownSubject, match="no id of this house"):
            read_subject(text, words)


def test_a_directory_without_a_log_is_refused(tmp_path):
    with pytest.raises(NoLog):
        explain(tmp_path, "@1", as_json=False, say=print)


def test_plain_numbers_stand_for_ids_where_no_secret_hides_them():
    ids = PlainIds()
    assert ids.text("order", 7) == "7" and ids.read("ord_x") is None
    with pytest.raises(BadId):
        ids.number("order", "7")


def test_json_and_text_tell_the_same(kept, events, words, source):
    request = int(first(events, Event.REQUEST_OPENED)["id"])
    said = []
    assert explain(kept, str(request), as_json=True, say=said.append) == 0
    data = msgspec.json.decode(said[0])
    out = io.StringIO()
    story = tell_from(Subject("number", request), words, source)
    show(Console(file=out, width=200), story)
    show_stages(Console(file=out, width=200), *measured(story, words))
    assert len(data["steps"]) == len(story.steps) and data["stages"][0]["stage"] == "received"
    assert all(step["text"] in out.getvalue() for step in data["steps"])


def test_a_story_is_plain_lines_of_any_length_from_the_left(events, words, source):
    story = tell_from(Subject("number", int(first(events, Event.REQUEST_OPENED)["id"])), words, source)
    long = [step._replace(text=f"{step.text} [{'x' * 150}]") for step in story.steps]        # longer than the console is wide, and in brackets
    out = io.StringIO()
    show(Console(file=out, width=WIDTH, highlight=False), story._replace(subject="req_" + "a" * 150, steps=long))
    lines = out.getvalue().splitlines()
    for step in long:
        assert f"  {step.who} {step.text}" in lines
    assert f"req_{'a' * 150}: {story.title}" in lines and all(note in lines for note in story.notes)
    assert [line for line in lines if line.startswith("sources: kestrel")] and [line for line in lines if line.startswith("position then")]


def test_the_files_answer_each_question(events, words, source):
    opened = first(events, Event.CHILD_OPENED)
    found = answer(Find((int(opened["id"]),), (int(Event.CHILD_FILL),)), source)
    assert found and {row["kind"] for row in found} == {Event.CHILD_FILL}
    record = answer(Read((int(opened["sequence"]), 10**9)), source)
    assert [r.sequence for r in record] == [opened["sequence"]] and record[0].kind == Kind.NEW_CHILD
    rows = answer(Window(record[0].time, None, (int(Event.SETTLED),), int(opened["account"])), source)
    assert rows and all(row["account"] == opened["account"] and row["time"] >= record[0].time for row in rows)
    assert answer(Window(0, 1, (int(Event.SETTLED),)), source) == []
    reference = first(events, Event.REFERENCE, instrument=opened["instrument"])
    assert source.reference(int(opened["instrument"]), int(reference["sequence"])) is None
    assert source.reference(int(opened["instrument"]), int(reference["sequence"]) + 1) == reference["price"]
