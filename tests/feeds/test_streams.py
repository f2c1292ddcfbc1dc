"""Streams against the obvious: filter the whole history and count."""
import numpy as np
import pytest
from hypothesis import given, strategies as st

from cambist.door.protocol import Unreadable
from cambist.feeds import streams
from cambist.feeds.sorting import OF_NOBODY, PUBLIC_KINDS
from cambist.feeds.streams import ALL, PUBLIC, Streams, account_row
from cambist.messages import EVENT, Event, Liquidity

from tests.feeds.obvious import to_account, to_public

ACCOUNTS = 6
NOBODYS = [Event.REFERENCE, Event.SESSION_CHANGED]


def event(kind=Event.ORDER_ACCEPTED, **fields):
    row = np.zeros(1, EVENT)
    row["kind"] = kind
    for name, value in fields.items():
        row[name] = value
    return row


class Journal:
    """What the results journal does for a stream: gives back the entries from a sequence on. Counts what it had to read."""
    def __init__(self):
        self.entries, self.read = [], 0

    def __call__(self, sequence):
        for first, last, time, events in self.entries:
            if last >= sequence:
                self.read += 1
                yield first, last, time, events

    def append(self, count, events):
        first = self.entries[-1][1] + 1 if self.entries else 1
        self.entries.append((first, first + count - 1, 1000 * first, events))
        return self.entries[-1]


def fill(journal, seed, entries, accounts=ACCOUNTS, most=8):
    chance = np.random.default_rng(seed)
    for _ in range(entries):
        events = np.zeros(int(chance.integers(0, most)), EVENT)
        events["kind"] = chance.choice([Event.ORDER_ACCEPTED, Event.FILLED, *NOBODYS, Event.DUPLICATE], len(events))
        events["account"] = np.where(np.isin(events["kind"], NOBODYS), 0, chance.integers(1, accounts + 1, len(events)))
        events["liquidity"] = np.where(events["kind"] == Event.FILLED, chance.integers(1, 6, len(events)), 0)
        events["id_lo"] = chance.integers(1, 1 << 60, len(events))
        events["other"] = np.arange(1, len(events) + 1)
        events["amount"], events["id"], events["reason"] = (chance.integers(1, 100, len(events)) for _ in range(3))
        first = journal.entries[-1][1] + 1 if journal.entries else 1
        events["sequence"] = first
        journal.append(int(chance.integers(1, 4)), events)


def started(journal, **sizes):
    told = Streams(journal, **sizes)
    for block in journal.entries:
        told.add(*block)
    return told


def drained(told, row, start=1, limit=3):
    parts, number = [streams.NOTHING], start
    while number <= told.last_number(row):
        batch = told.read(row, number, limit)
        assert batch.first == number and 0 < len(batch.events) == len(batch.times) <= limit
        if row == ALL:
            assert batch.times.tolist() == (1000 * batch.events["sequence"]).tolist()
        parts.append(batch.events)
        number += len(batch.events)
    return np.concatenate(parts)


def expected(journal, row):
    whole = np.concatenate([streams.NOTHING, *(events for *_, events in journal.entries)])
    if row == ALL:
        return whole
    if row == PUBLIC:
        return np.concatenate([streams.NOTHING, *(to_public(events) for *_, events in journal.entries)])
    return to_account(whole[whole["account"] == row - 1])


@given(st.integers(0, 2**32), st.integers(0, 60), st.integers(1, 9), st.sampled_from([(1 << 17, 4096), (20, 4096), (1 << 17, 3), (1, 1)]))
def test_every_stream_is_the_filtered_history_whatever_the_ring_holds(seed, entries, limit, ring):
    journal = Journal()
    fill(journal, seed, entries)
    told = started(journal, ring_events=ring[0], ring_blocks=ring[1])
    for row in (ALL, PUBLIC, *map(account_row, range(1, ACCOUNTS + 1))):
        right = expected(journal, row)
        assert told.last_number(row) == len(right)
        assert drained(told, row, limit=limit).tobytes() == right.tobytes()


@given(st.integers(0, 2**32), st.data())
def test_a_stream_goes_on_anywhere_after_a_restart(seed, data):
    journal = Journal()
    fill(journal, seed, 30)
    told = started(journal, ring_events=16)
    row = data.draw(st.sampled_from([ALL, PUBLIC, 2, 3]))
    cut = data.draw(st.integers(1, told.last_number(row) + 1))
    fill(journal, seed + 1, 10)
    again = started(journal, ring_events=16)
    assert drained(again, row, cut).tobytes() == expected(journal, row)[cut - 1:].tobytes()


def test_marks_bound_what_is_read_back_for_a_quiet_account(monkeypatch):
    monkeypatch.setattr(streams, "MARK_BLOCKS", 8)
    journal = Journal()
    for i in range(1, 401):
        journal.append(1, event(account=1 if i % 100 else 2, sequence=i, id=i))
    told = started(journal, ring_blocks=4)
    for number, sequence in ((1, 100), (2, 200), (3, 300)):
        journal.read = 0
        assert told.read(account_row(2), number, 1).events["id"].tolist() == [sequence]
        assert journal.read <= 9


def test_the_position_says_up_to_where_a_stream_is_complete():
    journal = Journal()
    journal.append(2, np.concatenate([event(account=1), event(account=2), event(account=1)]))
    journal.append(3, event(account=2))
    journal.append(1, event(account=1))
    told = started(journal)
    assert told.read(account_row(1), 1, 1)[1::3] == (0, True)   # more of the first entry is left
    assert told.read(account_row(1), 1, 2)[1::3] == (2, False)
    assert told.read(account_row(1), 1).position == 6
    assert told.read(account_row(2), 3) .position == 6
    assert told.read(account_row(9), 1).position == 6           # an account nobody has heard of


def test_an_account_never_sees_the_log_sequence():
    mine = to_account(np.concatenate([event(Event.DUPLICATE, account=1, sequence=9, other=4), event(Event.FILLED, sequence=9, other=4)]))
    assert mine["sequence"].tolist() == [0, 0] and mine["other"].tolist() == [0, 4]


def test_public_trades_name_nobody():
    trade = dict(price=7, quantity=3, instrument=1, other=55, sequence=8, id=1 << 40, id_hi=1, id_lo=2, leaves=4, amount=21, fee=1, command=30)
    events = np.concatenate([
        event(Event.FILLED, account=1, liquidity=Liquidity.MAKER, side=1, **trade), event(Event.FILLED, account=2, liquidity=Liquidity.TAKER, side=0, **trade),
        event(Event.FILLED, account=3, liquidity=Liquidity.QUOTE, side=1, **trade | {"other": 56}),
        event(Event.FILLED, account=4, liquidity=Liquidity.QUOTE, side=0, **trade | {"other": 56}),
        event(Event.REFERENCE, instrument=1, price=8, other=3, sequence=8), event(Event.REFERENCE, account=5), event(Event.ALERT)])
    told = to_public(events)
    assert [(e["kind"], e["side"], e["other"], e["price"], e["quantity"], e["instrument"]) for e in told] == \
        [(Event.FILLED, 0, 55, 7, 3, 1), (Event.FILLED, 1, 56, 7, 3, 1), (Event.REFERENCE, 0, 3, 8, 0, 1)]
    for hidden in ("account", "sequence", "id", "id_hi", "id_lo", "leaves", "amount", "fee", "command", "liquidity"):
        assert not told[hidden].any(), hidden


def test_a_trade_of_an_auction_is_told_once_and_has_no_side():
    def fill(account, side, match):
        return event(Event.FILLED, account=account, liquidity=Liquidity.AUCTION, side=side, price=7, quantity=3, instrument=1, other=match)
    fee = event(Event.FEE_CHARGED, account=1, instrument=1, other=2, amount=5)
    told = to_public(np.concatenate([fill(1, 0, 5), fill(2, 1, 5), fee, fill(1, 0, 6), fill(3, 1, 6)]))
    assert [(e["other"], e["side"], e["liquidity"], e["quantity"]) for e in told] == [(5, 0, Liquidity.AUCTION, 3), (6, 0, Liquidity.AUCTION, 3)]
    assert not told["account"].any()


@pytest.mark.parametrize("kind", np.flatnonzero(OF_NOBODY).tolist())
def test_what_is_of_nobody_is_public_without_a_trace_of_who_caused_it(kind):
    row = event(kind, side=1, leaves=2, **{name: 7 for name in EVENT.names if name not in ("kind", "account", "side", "leaves")})
    [told] = to_public(row)
    shown = ("kind", "instrument", *PUBLIC_KINDS[Event(kind)])
    for name in EVENT.names:
        assert told[name] == (row[name][0] if name in shown else 0), name
    row["account"] = 5
    assert len(to_public(row)) == 0


def test_each_event_of_a_batch_has_the_time_of_its_entry():
    journal = Journal()
    journal.append(2, np.concatenate([event(account=1), event(account=2), event(account=1)]))
    journal.append(3, event(account=2))
    journal.append(1, event(account=1))
    told = started(journal)
    assert told.read(ALL, 1).times.tolist() == [1000, 1000, 1000, 3000, 6000]
    assert told.read(account_row(1), 2).times.tolist() == [1000, 6000] and told.read(account_row(1), 1, 1).times.tolist() == [1000]
    assert told.read(account_row(1), 4).times.tolist() == []


def test_a_gap_and_a_number_not_yet_given_are_refused():
    told = Streams(Journal())
    with pytest.raises(ValueError, match="gap"):
        told.add(2, 2, 0, streams.NOTHING)
    with pytest.raises(ValueError, match="stands at 0"):
        told.read(ALL, 2)
    with pytest.raises(ValueError, match="no stream"):
        account_row(0)


def test_what_was_told_and_is_in_the_results_no_more_is_unreadable():
    journal = Journal()
    fill(journal, 1, 60)
    told = started(journal, ring_events=1, ring_blocks=1)
    last = told.last_number(ALL)
    del journal.entries[30:]                            # as a reader sees them whose bytes rotted in the file that is open
    there = sum(len(events) for _, _, _, events in journal.entries)
    number = 1
    while number <= there:
        batch = told.read(ALL, number)
        number += len(batch.events)
        assert len(batch.events) and not batch.more
    assert number == there + 1 < last
    with pytest.raises(Unreadable, match=f"from number {number} on"):
        told.read(ALL, number)


def test_the_ring_has_a_maximum():
    journal = Journal()
    fill(journal, 1, 400)
    told = started(journal, ring_events=100, ring_blocks=1000)
    assert sum(len(b.events) for b in told._ring) <= 100 and told._ring_events <= 100
    assert len(started(journal, ring_blocks=7)._ring) == 7


def test_a_batch_has_a_maximum(monkeypatch):
    monkeypatch.setattr(streams, "MAX_BATCH", 5)
    journal = Journal()
    fill(journal, 2, 40)
    assert len(started(journal).read(ALL, 1, 1000).events) == 5


def test_what_the_journal_has_and_was_not_yet_told_is_not_read_ahead():
    journal = Journal()
    fill(journal, 3, 20)
    told = Streams(journal, ring_blocks=1)
    for block in journal.entries[:10]:
        told.add(*block)
    assert drained(told, ALL).tobytes() == np.concatenate([e for *_, e in journal.entries[:10]]).tobytes()


def test_added_blocks_say_which_streams_grew():
    told = Streams(Journal())
    assert told.add(1, 1, 5, np.concatenate([event(account=4), event(account=2), event(account=4)])).tolist() == [ALL, account_row(2), account_row(4)]
    assert told.add(2, 2, 5, event(Event.REFERENCE)).tolist() == [ALL, PUBLIC]
    assert told.add(3, 5, 6, streams.NOTHING).tolist() == []


def test_numbers_that_were_kept_go_on_as_if_everything_had_been_read_again():
    for cut_at in (0, 1, 40, 399, 400):
        entries = [(i + 1, i + 1, i, random_events(i)) for i in range(400)]

        def results(sequence, entries=entries):
            return iter(entries[sequence - 1:])
        whole, first = Streams(results), Streams(results)
        whole.read_on()
        first.read_on(cut_at)
        assert first.position == cut_at
        second = Streams(results)
        second.resume(first.tables())
        second.read_on()
        assert second.position == whole.position == 400
        for row in range(8):
            assert second.last_number(row) == whole.last_number(row)
            for number in range(1, whole.last_number(row) + 2, 97):
                assert from_number(second, row, number) == from_number(whole, row, number)
        for one, other in zip(second.tables().values(), whole.tables().values(), strict=True):
            assert one[:2] == other[:2] and one[2].tolist() == other[2].tolist()
    with pytest.raises(ValueError, match="streams table 'place'"):
        Streams(results).resume({})


def from_number(told: Streams, row: int, number: int) -> tuple[bytes, list[int]]:
    """Everything from there on; how much comes at once depends on what is in memory."""
    data, times = b"", []
    while number <= told.last_number(row):
        batch = told.read(row, number, 50)
        data, times, number = data + batch.events.tobytes(), [*times, *batch.times.tolist()], number + len(batch.events)
    return data, times


def random_events(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    events = np.zeros(int(rng.integers(0, 9)), EVENT)
    events["kind"], events["account"], events["sequence"] = Event.DONE, rng.integers(0, 6, len(events)), seed + 1
    return events
