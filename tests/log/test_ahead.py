"""Reading ahead: the same items, the same errors, and no more made than is asked for."""
import threading
import time

import pytest

from cambist.log.ahead_shell import DEPTH, ahead


def test_the_items_come_in_their_order_and_from_another_thread():
    made = []

    def items():
        for item in range(100):
            made.append(threading.current_thread().name)
            yield item

    assert list(ahead(items())) == list(range(100))
    assert set(made) != {threading.current_thread().name}


def test_nothing_gives_nothing():
    assert list(ahead([])) == []


def test_an_error_comes_where_it_would_have_come():
    def items():
        yield 1
        yield 2
        raise ValueError("damaged")

    taken = []
    with pytest.raises(ValueError, match="damaged"):
        for item in ahead(items()):
            taken.append(item)
    assert taken == [1, 2]


def test_no_more_is_made_than_the_depth_beyond_what_was_taken():
    made = []
    source = ahead((made.append(item) or item for item in range(100)), depth=3)
    for taken in range(1, 20):
        next(source)
        time.sleep(0.001)
        assert len(made) <= taken + 3 + 1
    source.close()
    assert len(made) < 100 and DEPTH >= 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]
