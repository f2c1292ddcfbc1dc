"""What was sent and what became of it, also over a restart."""
import pytest

from cambist.messages import Event, Kind, Reason
from cambist.ops.portal.sending import ANSWERED, KEPT_NS, NEVER, SENT, UNSENT, Sent, became, looked_up
from cambist.ops.portal.sent_shell import SentBook

from tests.ops.portal.words_of_demo import WORDS, row

ONE = Sent(7, 1, 2, int(Kind.NEW_ORDER), "Buy <b>1</b>", 100, 200, SENT)


@pytest.mark.parametrize("known, log_time, state", [(True, 150, ANSWERED), (True, 500, ANSWERED), (False, 200, SENT), (False, 201, NEVER)])
def test_what_the_house_does_not_know_is_never_done_once_its_time_is_over(known, log_time, state):
    assert looked_up(ONE, known, log_time) == state


def test_what_has_an_outcome_keeps_it():
    assert looked_up(ONE._replace(state=ANSWERED), False, 10**9) == ANSWERED


@pytest.mark.parametrize("state, events, tone, code", [
    (SENT, [], "warn", "UNKNOWN"), (NEVER, [], "warn", "NEVER"), (ANSWERED, [row(Event.REFUSED, reason=Reason.COLLAR)], "bad", "COLLAR"),
    (ANSWERED, [row(Event.REFUSED, reason=9999)], "bad", "REASON_9999"), (ANSWERED, [row(Event.HELD)], "warn", "HELD"),
    (ANSWERED, [row(Event.ORDER_ACCEPTED)], "good", "")])
def test_what_a_person_is_told(state, events, tone, code):
    told = became(ONE._replace(state=state), events, WORDS)
    assert (told.tone, told.code) == (tone, code) and told.headline and "Buy" in told.words


def test_what_was_sent_once_is_not_sent_again_after_a_restart(tmp_path):
    book = SentBook(tmp_path / "sent.db")
    assert book.add(ONE) is None
    again = SentBook(tmp_path / "sent.db")              # the first was not closed: its process was killed
    assert again.add(ONE._replace(at=101)) == ONE
    assert again.unknown() == [ONE] and again.unknown(8) == []
    again.close_with(ONE, ANSWERED)
    assert again.add(ONE).state == ANSWERED and again.unknown() == []


def test_what_the_door_did_not_take_may_go_again(tmp_path):
    book = SentBook(tmp_path / "sent.db")
    book.add(ONE)
    book.close_with(ONE, UNSENT)
    assert book.add(ONE) is None


def test_the_same_id_of_another_account_is_another(tmp_path):
    book = SentBook(tmp_path / "sent.db")
    book.add(ONE)
    assert book.add(ONE._replace(account=8)) is None


def test_old_ones_are_forgotten(tmp_path):
    book = SentBook(tmp_path / "sent.db")
    book.add(ONE)
    book.add(ONE._replace(id_lo=3, at=101 + KEPT_NS))
    assert book.find(7, 1, 2) is None and book.find(7, 1, 3) is not None
