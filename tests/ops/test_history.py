"""The read model of the house's stream: what went in is found again, by whatever is asked, and a copy of another log is begun anew."""
import numpy as np
import pytest

from cambist.door.protocol import Events, StreamKind
from cambist.messages import EVENT, Event
from cambist.ops.history_shell import COLUMNS, History

T = 1_700_000_000_000_000_000


def batch(first, *rows):
    """Events at a second each, numbered from `first`."""
    events = np.zeros(len(rows), EVENT)
    for event, row in zip(events, rows, strict=True):
        for name, value in row.items():
            event[name] = value
    return Events(1, StreamKind.ALL, 0, first, 10, events, T + np.arange(first, first + len(rows)) * 10**9)


FILL = dict(kind=Event.FILLED, account=3, instrument=1, id=50, other=7, fee=11, sequence=4, id_hi=9, id_lo=8)


@pytest.fixture
def history(tmp_path):
    made = History(tmp_path / "read" / "x.db", "cell 1")
    yield made
    made.close()


def test_it_goes_on_where_it_stopped(tmp_path, history):
    history.add(batch(1, FILL, dict(kind=Event.REQUEST_OPENED, account=4, id=60)))
    history.close()
    again = History(tmp_path / "read" / "x.db", "cell 1")
    assert again.cursor == 3 and [row["id"] for row in again.events()] == [60, 50]
    again.add(batch(1, FILL, dict(kind=Event.REQUEST_OPENED, account=4, id=60), FILL | dict(id=51)))     # told twice: counted once
    assert again.cursor == 4 and [row["number"] for row in again.events()] == [3, 2, 1]
    again.close()


def test_a_gap_is_refused_and_nothing_is_added(history):
    with pytest.raises(ValueError, match="right would be 1"):
        history.add(batch(2, FILL))
    assert history.cursor == 1 and not history.events()


def test_another_log_begins_anew(tmp_path, history):
    history.add(batch(1, FILL))
    history.close()
    other = History(tmp_path / "read" / "x.db", "cell 2")
    assert other.cursor == 1 and not other.events()
    other.close()


def test_rows_have_every_field_and_the_time(history):
    history.add(batch(1, FILL))
    row, = history.events()
    assert tuple(row) == COLUMNS and row["time"] == T + 10**9 and all(row[name] == value for name, value in FILL.items())


def test_what_is_no_history_takes_no_room(history):
    history.add(batch(1, dict(kind=Event.REFERENCE, price=5), FILL, dict(kind=Event.DUPLICATE, account=3)))
    assert history.cursor == 4 and [row["kind"] for row in history.events()] == [Event.FILLED]


@pytest.mark.parametrize(("asked", "numbers"), [
    ({"account": 3}, [4, 1]), ({"kinds": [Event.QUOTED, Event.REQUEST_OPENED]}, [3, 2]), ({"instrument": 2}, [4, 3]), ({"id": 50}, [4, 1]),
    ({"before": 3}, [2, 1]), ({"limit": 2}, [4, 3]), ({"since": T + 2 * 10**9, "until": T + 4 * 10**9}, [3, 2]), ({"account": 3, "instrument": 2}, [4]),
    ({"account": 99}, []),
])
def test_found_by(history, asked, numbers):
    history.add(batch(1, FILL, dict(kind=Event.REQUEST_OPENED, account=4, id=60, instrument=1),
                      dict(kind=Event.QUOTED, account=5, id=70, other=60, instrument=2), FILL | dict(instrument=2, other=8)))
    assert [row["number"] for row in history.events(**asked)] == numbers


def test_all_that_names_an_id_is_about_it(history):
    history.add(batch(1, dict(kind=Event.REQUEST_OPENED, account=4, id=60), dict(kind=Event.QUOTED, account=5, id=70, other=60), FILL))
    assert [row["number"] for row in history.about(60)] == [1, 2]
    assert [row["number"] for row in history.of_client_id(3, 9, 8)] == [3] == [row["number"] for row in history.of_sequence(4)]


def test_fees_are_summed_by_instrument(history):
    history.add(batch(1, FILL, FILL, FILL | dict(instrument=2, fee=-3), FILL | dict(account=4)))
    assert history.fees(3, T, T + 10**12) == [{"instrument": 1, "fee": 22, "count": 2}, {"instrument": 2, "fee": -3, "count": 1}]
    assert history.fees(3, T + 2 * 10**9, T + 3 * 10**9) == [{"instrument": 1, "fee": 11, "count": 1}]
