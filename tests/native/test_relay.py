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
