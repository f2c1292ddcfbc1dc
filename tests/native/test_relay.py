"""Order, wholeness and bounds of what goes between the sessions and the node."""
import numpy as np
from hypothesis import given, strategies as st

from cambist.door.protocol import MAX_RECORDS, Code, Events, StreamKind
from cambist.feeds import streams
from cambist.feeds.streams import Streams, account_row
from cambist.messages import EVENT, Kind, command
from cambist.native.relay import GATHERED, Blocks, Gathering

from tests.native.test_admission import KEYS, KEY

ME = KEYS.find(KEY)


def orders(count, first=1, **fields):
    rows = np.repeat(command(Kind.NEW_ORDER, **({"account": ME.account, "actor": ME.actor} | fields)), count)
    rows["id_lo"] = first + np.arange(count)
    return rows


def test_what_names_another_account_or_key_is_refused_whole_and_says_which():
    gathering = Gathering()
    for wrong in ({"account": ME.account + 1}, {"actor": ME.actor + 1}, {"account": 0}):
        rows = orders(3)
        rows[2:] = orders(1, **wrong)
        refusal = gathering.put("me", 1, rows, ME, 5)
        assert refusal and refusal.code is Code.FOREIGN and "record 2" in refusal.text and gathering.frame() is None
    refusal = gathering.put("me", 1, np.concatenate([orders(1), np.repeat(command(Kind.KILL_ALL, account=ME.account, actor=ME.actor), 1)]), ME, 5)
    assert refusal and refusal.code is Code.NOT_ALLOWED and "record 1" in refusal.text
    high = orders(1)
    high["kind"] = 0xFFFF
    assert gathering.put("me", 1, high, ME, 5).code is Code.NOT_ALLOWED


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([1, 2, 500, 4000, MAX_RECORDS]), st.booleans()), max_size=40))
def test_frames_keep_the_order_and_split_nothing(submits):
    gathering, sent, answered, taken, number = Gathering(), [], [], [], 0
    for i, (who, count, answer) in enumerate(submits):
        if not gathering.full:
            assert gathering.put(who, i, orders(count, number + 1), ME, 7) is None
            taken.append((who, i, count))
            number += count
        if answer and (frame := gathering.frame()) is not None:
            assert len(frame) <= MAX_RECORDS and gathering.frame() is not None and np.array_equal(gathering.frame(), frame)
            sent += frame["id_lo"].tolist()
            answered += [tuple(each) for each in gathering.done()]
    while (frame := gathering.frame()) is not None:
        assert (frame["received"] == 7).all()
        sent += frame["id_lo"].tolist()
        answered += [tuple(each) for each in gathering.done()]
    assert sent == list(range(1, number + 1)) and answered == taken


def test_it_takes_no_more_than_it_has_room_for():
    gathering = Gathering()
    while not gathering.full:
        assert gathering.put(1, 1, orders(MAX_RECORDS), ME, 0) is None
    for _ in range(5):
        assert gathering.put(1, 1, orders(MAX_RECORDS), ME, 0) is None or gathering._count <= GATHERED
    assert gathering.put(1, 1, orders(MAX_RECORDS), ME, 0).code is Code.OVERLOAD


def test_blocks_end_where_entries_end():
    def batch(sequences, times, position, more):
        events = np.zeros(len(sequences), EVENT)
        events["sequence"] = sequences
        return Events(1, StreamKind.ALL, 0, 1, position, events, np.array(times, np.int64), more)

    blocks = Blocks(10)
    assert list(blocks.take(batch([11, 12], [5, 5], 10, True))) == []           # the entry goes on
    (first, last, time, events), (first2, last2, *_) = blocks.take(batch([12, 15], [5, 6], 16, False))
    assert (first, last, time, events["sequence"].tolist()) == (11, 12, 5, [11, 12, 12]) and (first2, last2) == (13, 16)
    assert blocks.position == 16 and list(blocks.take(batch([], [], 20, False))) == []
    assert [(a, b) for a, b, *_ in blocks.take(batch([21], [9], 21, False))] == [(17, 21)]


def test_a_stream_of_blocks_is_read_back_from_entries_that_end_in_commands_without_events(monkeypatch):
    monkeypatch.setattr(streams, "MARK_EVENTS", 1)
    entries = []
    for i in range(40):                                 # 3 commands each, of which the last one says nothing
        events = np.zeros(2, EVENT)
        events["kind"], events["account"], events["sequence"], events["id"] = 1, 1, (3 * i + 1, 3 * i + 2), (2 * i + 1, 2 * i + 2)
        entries.append((3 * i + 1, 3 * i + 3, 1000 + i, events))
    told = Streams(lambda sequence: (entry for entry in entries if entry[1] >= sequence), ring_blocks=1)
    blocks, numbers = Blocks(0), np.arange(1, 81)
    for at in range(0, 40, 8):                          # the house sends several entries at once
        together, whole = np.concatenate([entry[3] for entry in entries[at:at + 8]]), entries[at + 7]
        times = np.repeat([entry[2] for entry in entries[at:at + 8]], 2)
        for block in blocks.take(Events(1, StreamKind.ALL, 0, 2 * at + 1, whole[1], together, times)):
            told.add(*block)
    for number in (1, 2, 3, 4, 17, 18, 40, 79):
        assert told.read(account_row(1), number, 5).events["id"].tolist() == numbers[number - 1:number + 4].tolist()
