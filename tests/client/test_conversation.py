"""The client's side without a socket: calls survive a lost connection with the same bytes, subscriptions go on, broken books are asked for anew."""
import msgspec
import pytest

from cambist.client.calls import ApiError, Told, frame
from cambist.client.conversation import Answered, Changed, Complaint, Conversation, Over, Private, Ready, Session, Trades
from cambist.client.order_book import OrderBook, checksum

ID = "f" * 32


def logon(challenge):
    return {"key": "acme-bot", "signature": f"signed {challenge}"}


def say(talk, **message):
    return list(talk.heard(msgspec.json.encode(message)))


def out(talk):
    return [msgspec.json.decode(data) for data in talk.outgoing()]


def up(talk):
    say(talk, op="challenge", challenge="c1")
    logon = out(talk)
    assert say(talk, op="welcome", account="acme", cursor=3)[0] == Ready({"op": "welcome", "account": "acme", "cursor": 3})
    return logon


def snapshot(sequence=1, bids=(("99", "1"),)):
    bids = [list(level) for level in bids]
    return {"op": "book", "type": "snapshot", "instrument": "BTC-USD", "epoch": "a", "sequence": sequence, "time": 1, "bids": bids, "asks": [],
            "checksum": checksum(bids, [])}


def test_logon_signs_the_challenge_and_nothing_goes_out_before_the_welcome():
    talk = Conversation(logon)
    talk.call(ID, frame("order.new", {}, ID, 9))
    talk.want_trades("BTC-USD")
    assert out(talk) == []
    assert up(talk) == [{"op": "logon", "key": "acme-bot", "signature": "signed c1"}]
    assert [message["op"] for message in out(talk)] == ["order.new", "subscribe"]


def test_without_a_key_the_challenge_is_enough():
    talk = Conversation()
    talk.want_trades("BTC-USD")
    assert say(talk, op="challenge", challenge="c") == [Ready({})] and out(talk)[0]["channel"] == "trades"


def test_a_call_without_an_answer_goes_out_again_byte_for_byte():
    talk = Conversation(logon)
    up(talk)
    sent = frame("order.new", {"price": "1"}, ID, 9)
    talk.call(ID, sent)
    assert talk.outgoing() == [sent] and talk.tries[ID] == 1
    talk.disconnected()
    up(talk)
    assert talk.outgoing() == [sent] and talk.tries[ID] == 2
    answered, = say(talk, op="answer", to="order.new", id=ID, status=201, duplicate=True, body={"order": "ord_1"})
    assert isinstance(answered.told, Told) and answered.told == {"order": "ord_1"} and answered.told.duplicate and answered.told.status == 201
    talk.forget(ID)
    assert not talk.tries
    talk.disconnected()
    up(talk)
    assert talk.outgoing() == [] and say(talk, op="answer", to="order.new", id=ID, status=200, duplicate=True, body={}) == []


def test_a_no_is_an_error_with_its_code():
    talk = Conversation(logon)
    up(talk)
    talk.call(ID, b"{}")
    error = {"code": "OFF_TICK", "message": "m", "path": "$.price"}
    (_, said), = say(talk, op="answer", to="order.new", id=ID, status=422, duplicate=False, body={"error": error})
    assert isinstance(said, ApiError) and (said.code, said.path, said.status, said.duplicate) == ("OFF_TICK", "$.price", 422, False)
    (_, said), = say(talk, op="answer", to="order.new", id=ID, status=429, duplicate=True, retry_after=1, body={"error": {**error, "code": "RATE"}})
    assert (said.code, said.retry_after, said.duplicate) == ("RATE", 1, True)
    said, = say(talk, op="error", to="order.new", id=ID, error={"code": "BAD_MESSAGE", "message": "m", "path": "$.id"})
    assert isinstance(said, Answered) and said.told.code == "BAD_MESSAGE"


def test_private_events_go_on_from_the_next_cursor():
    talk = Conversation(logon)
    up(talk)
    talk.want_private(0)
    assert out(talk) == [{"op": "subscribe", "channel": "private", "cursor": 0}]
    assert say(talk, op="event", cursor=9, body={}) == []
    say(talk, op="subscribed", channel="private", cursor=10)
    assert say(talk, op="event", cursor=10, body={"event": "x"}) == [Private(10, {"event": "x"})]
    assert say(talk, op="event", cursor=10, body={"event": "x"}) == []
    talk.disconnected()
    up(talk)
    assert out(talk) == [{"op": "subscribe", "channel": "private", "cursor": 11}]


def test_a_gap_in_private_events_is_asked_for_again_once():
    talk = Conversation(logon)
    up(talk)
    talk.want_private(5)
    say(talk, op="subscribed", channel="private", cursor=5)
    out(talk)
    for late in (7, 8, 9):
        assert say(talk, op="event", cursor=late, body={}) == []
    assert [(message["op"], message.get("cursor")) for message in out(talk)] == [("unsubscribe", None), ("subscribe", 5)]
    say(talk, op="subscribed", channel="private", cursor=5)
    assert say(talk, op="event", cursor=5, body={}) == [Private(5, {})]


def test_a_reader_that_is_full_stops_the_stream_and_goes_on():
    talk = Conversation(logon)
    up(talk)
    talk.want_private(5)
    say(talk, op="subscribed", channel="private", cursor=5)
    say(talk, op="event", cursor=5, body={})
    out(talk)
    talk.pause_private()
    assert say(talk, op="event", cursor=6, body={}) == [] and talk.cursor == 6
    talk.want_private(6)
    assert [message["op"] for message in out(talk)] == ["unsubscribe", "subscribe"]
    talk.drop_private()
    talk.disconnected()
    up(talk)
    assert out(talk) == []


def test_a_broken_book_is_asked_for_anew_once_and_lives_again():
    talk, book = Conversation(), OrderBook("BTC-USD")
    say(talk, op="challenge", challenge="c")
    talk.want_book(book)
    out(talk)
    assert say(talk, **snapshot()) == [Changed(book)] and book.live
    broken = {**snapshot(), "type": "update", "sequence": 9, "previous_sequence": 8}
    assert say(talk, **broken) == [Changed(book)] and not book.live
    assert [message["op"] for message in out(talk)] == ["unsubscribe", "subscribe"]
    say(talk, **broken)
    assert out(talk) == [] and not book.live
    say(talk, **snapshot(12))
    assert book.live and book.sequence == 12
    talk.disconnected()
    assert not book.live
    say(talk, op="challenge", challenge="c")
    assert out(talk)[0]["channel"] == "book"
    talk.drop_book("BTC-USD")
    assert say(talk, **snapshot(13)) == [] and out(talk)[0]["op"] == "unsubscribe"


@pytest.mark.parametrize("code, fatal", [("BAD_SIGNATURE", True), ("UNKNOWN_KEY", True), ("SLOW", False), ("GOING_AWAY", False), ("LOGON_TIMEOUT", False)])
def test_a_bye_is_for_good_only_where_the_next_logon_would_end_alike(code, fatal):
    over, = say(Conversation(), op="bye", code=code, message="m", cursor=None)
    assert isinstance(over, Over) and over.fatal is fatal and over.fault.code == code


def test_a_refused_subscription_is_said_and_not_tried_again():
    talk, book = Conversation(), OrderBook("DOGE-USD")
    say(talk, op="challenge", challenge="c")
    talk.want_book(book)
    talk.want_trades("DOGE-USD")
    talk.want_session("DOGE-USD")
    error = {"code": "UNKNOWN_INSTRUMENT", "message": "m", "path": "$.instrument"}
    for channel in ("book", "trades", "session"):
        said, = say(talk, op="error", to="subscribe", channel=channel, instrument="DOGE-USD", error=error)
        assert isinstance(said, Complaint) and said.fault.code == "UNKNOWN_INSTRUMENT" and said.book is (book if channel == "book" else None)
    out(talk)
    talk.disconnected()
    say(talk, op="challenge", challenge="c")
    assert out(talk) == []


def test_a_session_is_wanted_on_every_connection_until_it_is_dropped():
    talk = Conversation()
    talk.want_session("BTC-USD")
    for _ in range(2):
        say(talk, op="challenge", challenge="c")
        assert out(talk) == [{"op": "subscribe", "channel": "session", "instrument": "BTC-USD"}]
        talk.disconnected()
    told = {"op": "session", "instrument": "BTC-USD", "session": "closed"}
    assert say(talk, **told) == [Session("BTC-USD", told)]
    say(talk, op="challenge", challenge="c")
    out(talk)
    talk.drop_session("BTC-USD")
    talk.drop_session("BTC-USD")
    assert out(talk) == [{"op": "unsubscribe", "channel": "session", "instrument": "BTC-USD"}]


def test_trades_and_words_of_a_later_release():
    talk = Conversation()
    assert say(talk, op="trades", instrument="BTC-USD", trades=[{"price": "1"}]) == [Trades("BTC-USD", [{"price": "1"}])]
    assert say(talk, op="weather", rain=True) == []
