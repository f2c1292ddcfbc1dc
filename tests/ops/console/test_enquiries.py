"""The queue as the events tell it; who may sign what; how designs differ; oversight's lists."""
from pathlib import Path

import msgspec
import pytest

from cambist.configure import numbered
from cambist.design import read_design
from cambist.dictionary import Dictionary
from cambist.messages import EVENT, ChildState, Event, Kind, Liquidity, Reason
from cambist.opaque import Opaque
from cambist.ops.console.differences import MOST, differences
from cambist.ops.console.enquiries import KEPT_NS, OPEN_MOST, Enquiries
from cambist.ops.console.looking import bar
from cambist.ops.console.signers import signer, staff, waits_for_second
from cambist.ops.oversight import child_doubts, digest_words, fact_doubts, hex_rows, latches, price_doubts, stop_doubts

DESIGN = read_design((Path(__file__).resolve().parents[3] / "desks" / "demo.toml").read_text())
WORDS = Dictionary(DESIGN, numbered(DESIGN), Opaque(bytes(16)))
NOW, SECOND = 1_800_000_000 * 10**9, 10**9
ACME, DESK, B2 = 6, 5, 8


def row(kind, **fields):
    return dict.fromkeys(EVENT.names, 0) | {"kind": int(kind), "time": NOW} | fields


def opened(number=100, lapses=NOW + 10 * SECOND):
    return row(Event.REQUEST_OPENED, id=number, account=ACME, instrument=1, quantity=10**8, other=lapses, sequence=7)


def quoted(account, number, request=100):
    return row(Event.QUOTED, id=number, account=account, other=request, price=0, amount=600_000, leaves=NOW + SECOND, sequence=8)


# ---------------------------------------------------------------------------------------------------------------- enquiries
def test_a_request_is_in_the_queue_with_its_quotes_until_it_ends():
    queue = Enquiries()
    for one in (opened(), quoted(DESK, 1), quoted(B2, 2), quoted(DESK, 3)):
        assert queue.learn(one)
    assert {a: q.number for a, q in queue.open(NOW)[0].quotes.items()} == {DESK: 3, B2: 2}
    assert not queue.learn(row(Event.QUOTE_ENDED, id=1, account=DESK, other=100, reason=int(Reason.REPLACED)))       # the one it replaced: already forgotten
    queue.learn(row(Event.FILLED, id=3, account=DESK, liquidity=int(Liquidity.QUOTE), quantity=10**8))
    queue.learn(row(Event.REQUEST_ENDED, id=100, account=DESK, reason=int(Reason.FILLED)))                           # told to a dealer: not the end yet
    assert queue.open(NOW)
    queue.learn(row(Event.REQUEST_ENDED, id=100, account=ACME, reason=int(Reason.FILLED)))
    assert not queue.open(NOW) and queue.over(NOW)[0].ended == (NOW, int(Reason.FILLED), DESK) and not queue.over(NOW + KEPT_NS)


def test_a_request_whose_end_was_never_heard_is_forgotten():
    queue = Enquiries()
    queue.learn(opened())
    assert not queue.open(NOW + 11 * SECOND) and queue.find(100)
    queue.open(NOW + 11 * SECOND + KEPT_NS)
    assert queue.find(100) is None


def test_the_queue_is_bounded_and_what_it_is_not_about_changes_nothing():
    queue = Enquiries()
    for number in range(OPEN_MOST + 10):
        queue.learn(opened(number))
    assert len(queue.open(NOW)) == OPEN_MOST and queue.find(3) is None
    assert not queue.learn(row(Event.REFERENCE)) and not queue.learn(quoted(DESK, 9, request=10**9))


# ------------------------------------------------------------------------------------------------------------------ signers
@pytest.mark.parametrize(("person", "kind", "account", "key"), [
    ("rhea", Kind.QUOTE, "desk", "rhea"), ("rhea", Kind.QUOTE, "acme", ""), ("rhea", Kind.HALT, "", "rhea"), ("rhea", Kind.KILL_ALL, "", ""),
    ("ines", Kind.KILL, "acme", "ines"), ("ines", Kind.QUOTE, "desk", ""), ("mara", Kind.NET, "", "mara"), ("mara", Kind.CONFIGURE_ASSET, "", "mara-config"),
    ("ada", Kind.KILL, "acme", "ada"), ("ada", Kind.KILL, "borea", ""), ("nobody", Kind.HALT, "", "")])
def test_the_key_is_the_one_whose_role_may(person, kind, account, key):
    found = signer(DESIGN, person, kind, account)
    assert found.key == key and bool(found.why) is not bool(key)


def test_the_console_is_for_staff():
    assert {p for p in DESIGN.people if staff(DESIGN, p)} == {"rhea", "tomas", "ines", "oskar", "mara"}
    assert not staff(DESIGN, "nobody")
    assert waits_for_second(DESIGN, "ines", Kind.RESUME) and not waits_for_second(DESIGN, "ines", Kind.KILL)


# ------------------------------------------------------------------------------------------------------------------ designs
def test_designs_differ_key_by_key():
    other = msgspec.structs.replace(DESIGN, cell=msgspec.structs.replace(DESIGN.cell, rfq_window=5), dealers={})
    found = {d.path: (d.running, d.file) for d in differences(DESIGN, other)}
    assert found["$.cell.rfq_window"] == ("1000000000", "5") and found["$.dealers.b2"][1] == ""
    assert differences(DESIGN, DESIGN) == []
    crowd = {f"p{i}": next(iter(DESIGN.people.values())) for i in range(MOST + 9)}
    assert len(differences(DESIGN, msgspec.structs.replace(DESIGN, people=crowd))) == MOST


# ---------------------------------------------------------------------------------------------------------------- oversight
def test_what_is_stopped_is_told_with_the_widest_first():
    found = latches({"killed_all": 1}, [{"instrument": 1, "halted": 1}, {"instrument": 2, "halted": 0}], [{"account": ACME, "killed": 1}], WORDS)
    assert [(one.what, one.name) for one in found] == [("all", ""), ("account", "acme"), ("instrument", "BTC/USD")]
    assert latches(None, [], [], WORDS) == []


def test_a_child_order_nobody_answered_for_is_doubtful():
    child = {"id": 9, "instrument": 1, "venue": 1, "quantity": 10**8, "filled": 4 * 10**7, "state": int(ChildState.UNKNOWN)}
    late, working = child | {"state": int(ChildState.PENDING), "id": 10}, child | {"state": int(ChildState.WORKING)}
    found = child_doubts([child, late, working], {9: NOW, 10: NOW - 6 * SECOND}, NOW, WORDS)
    assert [d.subject for d in found] == ["kestrel: 0.6 BTC open"] * 2 and found[0].link == WORDS.opaque.text("child", 9)
    assert child_doubts([child | {"state": int(ChildState.PENDING)}], {}, NOW, WORDS) == []


def test_stale_sources_and_missing_references_are_told():
    instruments = [{"instrument": 1, "max_age": 5 * SECOND, "min_sources": 2}]
    sources = [{"instrument": 1, "source": n, "enabled": n < 4, "price": p, "posted_at": at} for n, p, at in
               ((1, 600_000, NOW), (2, 600_000, NOW - 6 * SECOND), (3, 0, 0), (4, 0, 0))]
    found = price_doubts(instruments, sources, NOW, WORDS)
    assert [d.kind for d in found] == ["reference", "source", "source"] and "1 of 2 sources are fresh" in found[0].text
    assert "6.00 s ago" in found[1].text and found[2].text == "has never posted a price"


@pytest.mark.parametrize(("fields", "kind", "text"), [
    ({"reason": int(Reason.OVERFILL), "instrument": 1, "id": 1 << 40, "other": 1, "amount": 10**8}, "fact", "1 BTC lie in suspense"),
    ({"reason": int(Reason.UNMATCHED), "instrument": 1, "id": 1 << 40, "other": 1, "amount": 10**8}, "fact", "matches no child order of ours; 1 BTC"),
    ({"reason": int(Reason.UNMATCHED), "instrument": 1, "id": 1 << 40, "other": 1}, "answer", "never came"),
    ({"reason": int(Reason.UNMATCHED), "id": ACME, "other": 2, "amount": 10**6}, "fact", "1.00 USD came for an account that cannot take it"),
    ({"reason": int(Reason.INSUFFICIENT), "other": 2, "amount": 10**6}, "fact", "1.00 USD are missing"),
    ({"reason": int(Reason.CAPACITY), "id": ACME}, "fact", "not netted yet"), ({"reason": int(Reason.FACT_REPEATED_LATE)}, "fact", "make it larger")])
def test_every_call_for_a_person_has_words(fields, kind, text):
    found = fact_doubts([row(Event.ALERT, sequence=5, **fields)], WORDS)[0]
    assert found.kind == kind and text in found.text
    assert stop_doubts(2)[0].subject == "2 stopped" and stop_doubts(0) == []


def test_bytes_and_digests_are_shown_as_they_are():
    assert [at for at, _ in hex_rows("00" * 128)] == ["000", "016", "032", "048", "064", "080", "096", "112"]
    assert digest_words("ff" * 8 + "00" * 24) == {"digest0": -1, "digest1": 0, "digest2": 0, "digest3": 0}
    for wrong in ("", "ff", "zz" * 32, "ff" * 33):
        with pytest.raises(ValueError, match=r"digest|hexadecimal"):
            digest_words(wrong)


def test_a_share_of_a_limit_says_how_near_it_is():
    assert [bar(n, 100)[:2] for n in (0, 5, 79, 80, 100, 250)] == [(0, ""), (10, ""), (80, ""), (80, "warn"), (100, "bad"), (100, "bad")]
    assert bar(5, 0).text == ""
