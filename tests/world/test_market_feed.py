"""The market behind the venues: made without end, or a recording played again and again in real time."""
import itertools

import pytest

from cambist.venues.venue import BookUpdate, book_fault
from cambist.world.market_feed import AGAIN_NS, MADE_EVERY_NS, SLOWEST_NS, made, middle, played

from tests.venues.test_conformance import TERMS

START, SECOND = 1_700_000_000_000_000_000, 1_000_000_000


def recording(gap: int, count: int = 5):
    return lambda: iter([BookUpdate(7, 5 * SECOND + i * gap, ((100 + i, 1),), ((105 + i, 1),)) for i in range(count)])


def test_a_made_market_goes_on_from_where_it_stood():
    books = list(itertools.islice(made(TERMS, 123_457, 3, START), 500))
    assert all(book_fault(book) is None for book in books) and abs(middle(books[0]) - 123_457) < 20
    assert {after.time - before.time for before, after in itertools.pairwise(books)} == {MADE_EVERY_NS} and books[0].time == START + MADE_EVERY_NS
    assert books == list(itertools.islice(made(TERMS, 123_457, 3, START), 500))


def test_a_recording_keeps_its_pace_and_begins_again():
    books = list(itertools.islice(played(recording(SLOWEST_NS // 2), START), 7))
    assert [book.time - START for book in books[:5]] == [i * SLOWEST_NS // 2 for i in range(5)]
    assert books[5].time == books[4].time + AGAIN_NS and books[5].bids == books[0].bids


def test_a_slow_recording_is_played_faster():
    books = list(itertools.islice(played(recording(60 * SECOND), START), 5))
    assert [book.time - START for book in books] == [i * SLOWEST_NS for i in range(5)]


def test_a_recording_of_nothing_is_refused():
    with pytest.raises(ValueError, match="recording of 1 books"):
        next(played(recording(1, 1), START))


def test_the_middle_of_a_book():
    assert middle(BookUpdate(7, 1, ((100, 1),), ((105, 1),))) == 102 and middle(BookUpdate(7, 1, (), ((105, 1),))) == 0
