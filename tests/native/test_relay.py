"""Order, wholeness and bounds of what goes between the sessions and the node."""
import numpy as np
from hypothesis import given, strategies as st

from cambist.door.protocol import MAX_RECORDS, Code
from cambist.messages import Kind, command
from cambist.native.relay import GATHERED, Gathering

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


# ---------------------------------------------------------------------------------------------------------------- a full disk
def cancels(count, first=1):
    rows = orders(count, first)
    rows["kind"] = Kind.CANCEL_ALL
    return rows


def test_a_full_disk_refuses_orders_and_not_the_cancels_beside_them():
    gathering = Gathering()
    mixed = np.concatenate([orders(1, 31), cancels(1, 32)])
    for request, rows in enumerate((orders(2, 1), cancels(3, 11), orders(1, 21), mixed, cancels(1, 41)), 1):
        assert gathering.put("me", request, rows, ME, 0) is None
    assert gathering.frame()["id_lo"].tolist() == [1, 2, 11, 12, 13, 21, 31, 32, 41]
    assert [each.request for each in gathering.unstopped()] == [1, 3, 4]                # what has some of both is refused whole
    assert gathering.frame()["id_lo"].tolist() == [11, 12, 13, 41] and set(gathering.frame()["kind"].tolist()) == {Kind.CANCEL_ALL}
    assert [each.request for each in gathering.done()] == [2, 5] and gathering.frame() is None


def test_what_is_all_of_one_sort_is_refused_as_it_is():
    for rows in (orders(2), cancels(2)):
        gathering = Gathering()
        assert gathering.put("me", 1, rows, ME, 0) is None and gathering.put("you", 2, rows, ME, 0) is None
        assert len(gathering.frame()) == 4 and [tuple(each) for each in gathering.unstopped()] == [("me", 1, 2), ("you", 2, 2)]
        assert gathering.frame() is None


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([1, 3, 1500]), st.booleans(), st.booleans()), max_size=12))
def test_a_full_disk_loses_nothing_and_keeps_the_order_of_what_goes_on(submits):
    gathering, kept, refused, wanted, number = Gathering(), [], [], {True: [], False: []}, 0

    def answer():
        frame = gathering.frame()
        if (frame["kind"] == Kind.CANCEL_ALL).all():
            kept.extend(frame["id_lo"].tolist())
            gathering.done()
        else:
            refused.extend(gathering.unstopped())
    for i, (who, count, cancel, now) in enumerate(submits):
        rows = (cancels if cancel else orders)(count, number + 1)
        assert gathering.put(who, i, rows, ME, 0) is None
        wanted[cancel].append((who, i, count, number + 1))
        number += count
        if now and gathering.frame() is not None:
            answer()
    while gathering.frame() is not None:
        answer()
    assert kept == [n for _, _, count, first in wanted[True] for n in range(first, first + count)]
    assert [tuple(each) for each in refused] == [each[:3] for each in wanted[False]]
