"""Stories in words: every command field by field, every event in a sentence, every refusal with its check; a story's bounds."""
import time as clocks
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cambist.configure import numbered
from cambist.design import read_design
from cambist.dictionary import Dictionary
from cambist.messages import EVENT, FIELDS, Event, Kind, Reason
from cambist.opaque import Opaque
from cambist.ops.refusals import CHECKS, why
from cambist.ops.story import EVENTS_MOST, STEPS_MOST, Find, Read, Record, Subject, tell_from
from cambist.ops.wording import command_says, event_says, fields_in_words, grouped, moment, money, span, trimmed

DESIGN = read_design((Path(__file__).resolve().parents[2] / "desks" / "demo.toml").read_text())
NAMES = numbered(DESIGN)
WORDS = Dictionary(DESIGN, NAMES, Opaque(bytes(range(16))))
BTC = WORDS.listed("BTC/USD")
NOW = 1_800_000_000 * 10**9


def row(kind, **fields):
    return dict.fromkeys(EVENT.names, 0) | {"kind": int(kind), "time": NOW} | fields


# -------------------------------------------------------------------------------------------------------------------- words
@pytest.mark.parametrize("kind", list(Kind))
def test_every_field_of_every_command_has_words(kind):
    fields = dict.fromkeys(FIELDS[kind], 1) | {"kind": int(kind)}
    said = fields_in_words(kind, fields, WORDS, BTC)
    assert [f.name for f in said] == list(FIELDS[kind]) and all(f.words for f in said)
    assert command_says(kind, fields, WORDS, BTC)
    assert command_says(kind, fields | {"instrument": 0}, WORDS)        # an instrument nobody knows is no reason to fail


@pytest.mark.parametrize("event", list(Event))
def test_every_event_has_a_sentence_and_its_tone(event):
    said = event_says(row(event, account=6, instrument=1, id=1 << 40, other=1, price=600000, quantity=10**8, amount=10**6, command=int(Kind.QUOTE)), WORDS)
    assert said.text and said.tone in ("plain", "good", "bad", "alert") and "{" not in said.text


def test_a_kind_of_event_nobody_knows_is_told_by_its_number():
    assert event_says(row(999), WORDS).text == "event 999"


def test_what_was_traded_reads_as_a_person_would_say_it():
    said = event_says(row(Event.FILLED, account=6, instrument=1, id=1 << 40, other=3, price=600005, quantity=150_000_000, amount=90_000_750_000, fee=4_500_037,
                          side=0, liquidity=3), WORDS)
    assert said.text == "acme bought 1.5 BTC at 60,000.5 (quote), fee 4.500037 USD" and said.tone == "good"


@given(st.integers(0, 4_000_000_000))
def test_a_moment_is_the_calendars(seconds):
    assert moment(seconds * 10**9) == datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S") + ".000"
    assert clocks.gmtime(seconds).tm_year == int(moment(seconds * 10**9)[:4])


def test_spans_and_numbers_are_for_people():
    assert [span(n) for n in (0, 999, 1_500, 1_250_000, 3_210_000_000, 150 * 10**9, 2 * 3600 * 10**9 + 5 * 60 * 10**9, -2_000_000)] == \
        ["0 ns", "999 ns", "1.500 us", "1.25 ms", "3.21 s", "2 m 30 s", "2 h 5 m", "-2.00 ms"]
    assert grouped("-1234567.50") == "-1,234,567.50" and trimmed("2.00000000") == "2" and trimmed("100") == "100"
    assert money(-1_250_500_000, NAMES["assets"]["USD"], WORDS) == "-1,250.50 USD"


# ----------------------------------------------------------------------------------------------------------------- refusals
def test_every_reason_a_request_can_be_refused_for_has_words():
    never_refuse = {Reason.NONE, Reason.IMMEDIATE, Reason.SELF_TRADE, Reason.USER, Reason.CANCEL_ALL, Reason.DYING, Reason.REPLACED, Reason.WITHDRAWN,
                    Reason.LOST, Reason.FILLED, Reason.OVERFILL, Reason.UNMATCHED, Reason.FACT_REPEATED_LATE, Reason.DENIED, Reason.DAILY_LOSS,
                    Reason.EXECUTIONS, Reason.BAND, Reason.LINKED, Reason.AUCTION_OVER, Reason.DEAD_MAN, Reason.PROTECTED}
    assert set(Reason) - set(CHECKS) == never_refuse


@pytest.mark.parametrize(("reason", "fields", "wanted"), [
    (Reason.COLLAR, {"price": 700_000}, ["limit: 5 % either side of the reference", "reference then: 60,000.0, so 57,000.0 to 63,000.0", "asked: 70,000.0"]),
    (Reason.MAX_QUANTITY, {"quantity": 200 * 10**8}, ["limit: 100 BTC", "asked: 200 BTC"]),
    (Reason.MAX_NOTIONAL, {"quantity": 200 * 10**8, "price": 600_000}, ["limit: 6000000 USD", "asked: 200 BTC at 60,000.0 is 12,000,000.00 USD"]),
    (Reason.POSITION, {"quantity": 10**8}, ["limit: 150 BTC either way for acme", "only the state knew"]),
    (Reason.CREDIT, {}, ["credit line of acme: 10000000 USD"]),
    (Reason.RATE, {}, ["limit: 500 a second for acme"]),
    (Reason.OPEN_ORDERS, {}, ["limit: 500 open for acme"]),
    (Reason.OFF_TICK, {"price": 600_001}, ["ticks: 0.5 in the book, 0.1 for quotes", "asked: 60,000.1"]),
    (Reason.NO_REFERENCE, {}, ["needed: 2 of kestrel, osprey, recorded"]),
    (Reason.EXPIRED, {"expires": NOW - 10**9}, ["it was to count until 2027-01-15 07:59:59.000, and log time was 2027-01-15 08:00:00.000"]),
    (Reason.NOT_ALLOWED, {}, ["role client may not send new order"]),
])
def test_a_refusal_names_its_limit_beside_what_was_asked(reason, fields, wanted):
    base = {"kind": int(Kind.NEW_ORDER), "instrument": 1, "account": NAMES["accounts"]["acme"], "actor": NAMES["actors"]["acme-bot"]}
    lines = why(reason, Kind.NEW_ORDER, base | fields, WORDS, NOW, reference=600_000)
    assert lines[0] == CHECKS[reason]
    for text in wanted:
        assert any(text in line for line in lines), (text, lines)


def test_where_the_reference_is_not_kept_it_is_not_made_up():
    lines = why(Reason.COLLAR, Kind.NEW_ORDER, {"instrument": 1, "price": 700_000}, WORDS, NOW)
    assert "the reference then is not kept here: `cambist explain` reads it from the log" in lines


@given(st.sampled_from(list(Reason)), st.sampled_from(list(Kind)), st.integers(-1 << 62, 1 << 62))
def test_no_refusal_of_whatever_values_fails_to_be_told(reason, kind, value):
    assert why(reason, kind, dict.fromkeys(FIELDS[kind], value), WORDS, NOW, BTC, 600_000)


# ------------------------------------------------------------------------------------------------------------------- bounds
class Many:
    """A source in which one order was touched by more commands than a story tells, each with more events than a step tells."""
    NUMBER = (1 << 56) + (6 << 32) + 1

    def find(self, ids, kinds):
        if self.NUMBER not in ids:
            return []
        return [row(Event.ORDER_ACCEPTED if n == 1 else Event.ORDER_AMENDED, id=self.NUMBER, account=6, instrument=1, sequence=n)
                for n in range(1, STEPS_MOST + 50)]

    def window(self, asked):
        return []

    def records(self, sequences):
        fields = dict.fromkeys(FIELDS[Kind.AMEND_ORDER], 1) | {"kind": int(Kind.AMEND_ORDER), "order": self.NUMBER}
        event = row(Event.ORDER_AMENDED, id=self.NUMBER, account=6, instrument=1)
        return [Record(n, NOW + n, Kind.AMEND_ORDER, fields, None, None, [event] * (EVENTS_MOST + 7)) for n in sequences]

    def reference(self, instrument, sequence):
        return None


def test_a_story_has_an_end():
    story = tell_from(Subject("order", Many.NUMBER), WORDS, Many())
    assert len(story.steps) == STEPS_MOST and len(story.steps[0].lines) == EVENTS_MOST and story.steps[0].more == 7
    assert any(f"the first {STEPS_MOST} are told" in note for note in story.notes)


def test_nothing_known_is_a_story_that_says_so():
    story = tell_from(Subject("order", 5), WORDS, Many())
    assert not story.steps and "no command or event names it" in story.notes[0]
    assert Find((5,)) == Find((5,), ()) and Read(()) == Read(())
