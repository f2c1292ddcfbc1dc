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


def order_said(**fields):
    fields = dict.fromkeys(FIELDS[Kind.NEW_ORDER], 0) | {"account": NAMES["accounts"]["acme"], "instrument": 1, "quantity": 2 * 10**8} | fields
    return command_says(Kind.NEW_ORDER, fields, WORDS)


@pytest.mark.parametrize(("fields", "said"), [
    ({"price": 600_000}, "buy 2 BTC at 60,000.0, gtc in BTC/USD"),
    ({"side": 1, "order_type": 1, "trigger": 1, "trigger_on": 2, "trigger_price": 595_000}, "sell 2 BTC at the market stop 59,500.0 on mark, gtc in BTC/USD"),
    ({"order_type": 4, "offset": 5, "price": 600_000, "time_in_force": 3},
     "buy 2 BTC pegged to the midpoint 0.5 away, at worst 60,000.0, day in BTC/USD"),
    ({"order_type": 1, "options": 2, "quantity": 500_000_000, "time_in_force": 1}, "buy 500.00 USD at the market, ioc in BTC/USD"),
    ({"price": 600_000, "post_only": 2, "display": 10**7, "options": 1, "time_in_force": 4, "good_till": NOW, "link": 1},
     f"buy 2 BTC at 60,000.0, post only, sliding, reduce only, display 0.1 BTC, gtd {moment(NOW)}, oco of a list in BTC/USD"),
])
def test_an_order_reads_as_its_sender_would_say_it(fields, said):
    assert order_said(**fields) == f"orders for acme: {said}"


def test_other_acts_read_as_a_person_would_say_them():
    def says(kind, **fields):
        return command_says(kind, dict.fromkeys(FIELDS[kind], 0) | {"instrument": 1, "account": NAMES["accounts"]["acme"]} | fields, WORDS)
    assert says(Kind.SESSION, session=2, next=0, duration=60 * 10**9) == "calls auction in BTC/USD, for continuous, for 60.00 s"
    assert says(Kind.SESSION, session=5) == "calls closed in BTC/USD"
    assert says(Kind.CANCEL_SOME, side=1) == "cancels all that sell in BTC/USD for acme" and says(Kind.DEAD_MAN, ttl=5 * 10**9).endswith("within 5.00 s")
    assert says(Kind.KILL_TRADER, number=NAMES["actors"]["bo"]) == "stops the key bo"
    assert says(Kind.MASS_QUOTE, bid=600_000, bid_quantity=10**8) == "quotes in the book of BTC/USD for acme: bid 1 BTC at 60,000.0"
    alert = row(Event.ALERT, reason=int(Reason.DAILY_LOSS), id=NAMES["accounts"]["acme"], amount=5)
    assert event_says(alert, WORDS).text == "a person is called: daily loss of acme, which is stopped"


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


# -------------------------------------------------------------------------------------------------------------------- lists
class Told:
    """A source of these events, each of a command of its own."""
    def __init__(self, *rows):
        self.rows = [one | {"sequence": one["sequence"] or n, "time": NOW + n // 10} for n, one in enumerate(rows, 1)]

    def find(self, ids, kinds):
        return [one for one in self.rows if {one["id"], one["other"]} & set(ids) and (not kinds or one["kind"] in kinds)]

    def window(self, asked):
        return [one for one in self.rows if one["kind"] in asked.kinds and one["time"] >= asked.since and (asked.until is None or one["time"] < asked.until)
                and asked.account in (0, one["account"]) and asked.instrument in (0, one["instrument"])]

    def records(self, sequences):
        fields = dict.fromkeys(FIELDS[Kind.TICK], 0) | {"kind": int(Kind.TICK)}
        return [Record(n, NOW + n // 10, Kind.TICK, fields, None, None, [one for one in self.rows if one["sequence"] == n]) for n in sequences]

    def reference(self, instrument, sequence):
        return None


def test_the_story_of_one_of_a_list_is_that_of_all_and_of_the_sessions_it_waited_through():
    base = (1 << 56) + (6 << 32)
    entry, target, guard, other = (base + n for n in (1, 2, 3, 9))
    about = {"account": 6, "instrument": 1, "quantity": 10**8, "leaves": 10**8, "price": 600_000}
    source = Told(row(Event.ORDER_ACCEPTED, id=entry, **about), row(Event.ORDER_ACCEPTED, id=target, amount=entry, **about),
                  row(Event.ORDER_ACCEPTED, id=guard, amount=target, other=590_000, **about), row(Event.ORDER_ACCEPTED, id=other, **about),
                  row(Event.SESSION_CHANGED, instrument=1, id=3, reason=int(Reason.BAND)), row(Event.SESSION_CHANGED, instrument=2, id=3),
                  row(Event.ORDER_TRIGGERED, id=guard, other=590_000, **about), row(Event.ORDER_CANCELLED, id=target, reason=int(Reason.LINKED), **about))
    story = tell_from(Subject("order", guard), WORDS, source)
    assert {WORDS.opaque.text("order", n) for n in (entry, target, guard)} == {text for _, text in story.ids}
    assert [line.text for step in story.steps for line in step.lines][3:] == [
        "session is now volatility", "order of acme triggered: 1 BTC at 60,000.0 or better", "order of acme cancelled (linked): 1 BTC left"]
    assert "It is one of a list of 3 orders." in story.notes


def test_both_orders_of_a_quote_in_the_book_have_a_story():
    bid, ask = (1 << 56) + (6 << 32) + 1, (1 << 56) + (6 << 32) + 2
    source = Told(row(Event.BOOK_QUOTED, id=bid, other=ask, account=6, instrument=1, price=600_000, amount=600_010, quantity=10**8, leaves=10**8))
    assert tell_from(Subject("number", ask), WORDS, source).title == "acme quotes in the book: bid 60,000.0 / ask 60,001.0"
