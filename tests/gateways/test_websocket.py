"""One WebSocket connection, without a socket: what is answered to everything a client may send, and when a connection ends."""
import json
from typing import NamedTuple

import msgspec
import pytest

from cambist.dictionary import Wrong
from cambist.gateways import websocket as ws
from cambist.gateways.api import Answer, Done, failure
from cambist.gateways.market_data import Update

S = ws.SECOND
CHALLENGE = "ab" * 32
ID = "0123456789abcdef0123456789abcdef"


class Session(NamedTuple):
    key: str = "acme-bot"
    account: int = 7
    account_name: str = "acme"
    scopes: frozenset[str] = frozenset({"read", "trade"})


def check(key, signature, challenge):
    if key == "blind":
        return Session(key, scopes=frozenset({"trade"}))
    if key != "acme-bot" or signature != f"signed {challenge}":
        raise Wrong("BAD_SIGNATURE", "$.signature", "this signature is not of that key and challenge")
    return Session()


def find(word):
    if word not in ("BTC-USD", "XRP-USD"):
        raise Wrong("UNKNOWN_INSTRUMENT", "$.instrument", f"no instrument {word}")
    return {"BTC-USD": 1, "XRP-USD": 2}[word]


def fresh(seats=None, challenge=CHALLENGE):
    return ws.Connection(challenge, 0, check=check, find=find, names=("order.new", "order.list"), seats=seats or ws.Seats())


def said(effects):
    """What was sent, as objects; other effects as they are."""
    return [json.loads(effect.data) if isinstance(effect, ws.Send) else effect for effect in effects]


def tell(connection, now=S, **message):
    return said(connection.heard(json.dumps(message).encode(), now))


def logged_on(key="acme-bot", seats=None):
    connection = fresh(seats)
    assert tell(connection, op="logon", key=key, signature=f"signed {CHALLENGE}") == [ws.Welcome()]
    list(connection.welcomed("acme", 12, 5))
    return connection


# ------------------------------------------------------------------------------------------------------------------------------------------- logon
def test_the_challenge_comes_first_and_its_signature_opens():
    connection = fresh()
    assert said(connection.opened()) == [{"op": "challenge", "challenge": CHALLENGE}]
    assert tell(connection, op="logon", key="acme-bot", signature=f"signed {CHALLENGE}") == [ws.Welcome()]
    assert said(connection.welcomed("acme", 12, 5)) == [
        {"op": "welcome", "key": "acme-bot", "account": "acme", "scopes": ["read", "trade"], "cursor": 12, "time": 5}]
    assert tell(connection, op="logon", key="acme-bot", signature=f"signed {CHALLENGE}")[0]["error"]["code"] == "LOGGED_ON"


@pytest.mark.parametrize("key, signature", [("acme-bot", "signed " + "cd" * 32), ("someone", f"signed {CHALLENGE}"), ("acme-bot", ""), ("", "")])
def test_a_wrong_key_or_the_challenge_of_another_connection_ends_it(key, signature):
    connection = fresh()
    bye, close = tell(connection, op="logon", key=key, signature=signature)
    assert bye["op"] == "bye" and bye["code"] == "BAD_SIGNATURE" and close == ws.Close(ws.Ended.LOGON_FAILED, "BAD_SIGNATURE")
    assert tell(connection, op="logon", key="acme-bot", signature=f"signed {CHALLENGE}") == []


def test_a_stranger_who_does_nothing_is_ended_and_a_reader_of_books_is_not():
    idle, reader = fresh(), fresh()
    tell(reader, op="subscribe", channel="book", instrument="BTC-USD")
    assert list(idle.tick(ws.LOGON_WITHIN, 0, 0)) == []
    bye, close = said(idle.tick(ws.LOGON_WITHIN + 1, 0, 0))
    assert bye["code"] == "LOGON_TIMEOUT" and close.code is ws.Ended.LOGON_TIMEOUT
    assert list(reader.tick(ws.LOGON_WITHIN + 1, 0, 0)) == []


def test_a_key_has_so_many_connections_and_the_house_so_many_in_all():
    seats = ws.Seats(most=3, most_per_key=2)
    assert [seats.enter() for _ in range(4)] == [True, True, True, False]
    logged_on(seats=seats)
    logged_on(seats=seats)
    third = fresh(seats)
    bye, close = tell(third, op="logon", key="acme-bot", signature=f"signed {CHALLENGE}")
    assert bye["code"] == "TOO_MANY_CONNECTIONS" and close.code is ws.Ended.TOO_MANY
    seats.leave("acme-bot")
    assert seats.enter() and seats.of_key == {"acme-bot": 1}
    logged_on(seats=seats)
    for key in ("acme-bot", "acme-bot", None):
        seats.leave(key)
    assert seats.of_key == {} and seats.taken == 0


# -------------------------------------------------------------------------------------------------------------------------------------- operations
def test_an_operation_is_performed_and_its_answer_carries_its_id():
    connection = logged_on()
    effect, = tell(connection, op="order.new", id=ID, expires=9, body={"price": "1"})
    assert (effect.call.op, effect.call.id, effect.call.expires, bytes(effect.call.body)) == ("order.new", ID, 9, b'{"price": "1"}')
    told, = said(connection.answered(effect.call, Answer(200, Done(), True)))
    assert told == {"op": "answer", "to": "order.new", "id": ID, "status": 200, "duplicate": True, "body": {"done": True}}


def test_an_operation_before_logon_is_refused_and_the_connection_goes_on():
    told, = tell(fresh(), op="order.new", id=ID, body={})
    assert (told["op"], told["status"], told["body"]["error"]["code"], told["id"]) == ("answer", 401, "NOT_LOGGED_ON", ID)


def test_more_operations_than_may_be_on_their_way_are_refused_by_name():
    connection = logged_on()
    effects = [tell(connection, op="order.list", id=f"{n:032x}")[0] for n in range(ws.MAX_IN_FLIGHT)]
    assert all(isinstance(effect, ws.Perform) for effect in effects)
    told, = tell(connection, op="order.list", id=ID)
    assert (told["status"], told["body"]["error"]["code"], told["retry_after"]) == (429, "OVERLOAD", 1)
    list(connection.answered(effects[0].call, failure(404, "X", "y")))
    assert isinstance(tell(connection, op="order.list", id=ID)[0], ws.Perform)


def test_an_answer_after_the_end_is_not_sent():
    connection = logged_on()
    effect, = tell(connection, op="order.list", id=ID)
    list(connection.slow())
    assert list(connection.answered(effect.call, Answer(200, Done()))) == [] and connection.in_flight == 0


@pytest.mark.parametrize("data, code, path", [
    (b"", "MALFORMED", "$"), (b"{", "MALFORMED", "$"), (b"\xff\xfe", "MALFORMED", "$"), (b"[]", "BAD_MESSAGE", "$"), (b"{}", "BAD_MESSAGE", "$"),
    (b'{"op":1}', "BAD_MESSAGE", "$.op"), (b'{"op":"order.steal"}', "UNKNOWN_OP", "$.op"), (b'{"op":"order.new","id":5}', "BAD_MESSAGE", "$.id"),
    (b'{"op":"order.new","expires":1.5}', "BAD_MESSAGE", "$.expires"), (b'{"op":"order.new","expires":NaN}', "MALFORMED", "$"),
    (b'{"op":"order.new","expires":1e999}', None, None), (b'{"op":"order.new","account":"borea"}', "BAD_MESSAGE", "$"),
    (b'{"op":"logon","key":"acme-bot"}', "BAD_MESSAGE", "$"), (b'{"op":"logon","key":"a","signature":"b","c":1}', "BAD_MESSAGE", "$"),
    (b'{"op":"subscribe","channel":"everything"}', "BAD_MESSAGE", "$.channel"), (b'{"op":"subscribe","channel":"book"}', "MISSING_FIELD", "$.instrument"),
    (b'{"op":"subscribe","channel":"book","instrument":"DOGE-USD"}', "UNKNOWN_INSTRUMENT", "$.instrument"),
    (b'{"op":"subscribe","channel":"book","instrument":"BTC-USD","cursor":1}', "BAD_CURSOR", "$.cursor"),
    (b'{"op":"subscribe","channel":"private"}', "NOT_LOGGED_ON", "$.channel"),
    (b'{"op":"unsubscribe","channel":"trades","instrument":"BTC-USD"}', "NOT_SUBSCRIBED", "$.instrument"),
    (b'{"op":"unsubscribe","channel":"private"}', "NOT_SUBSCRIBED", "$.channel"), (b"[" * 20_000, "BAD_MESSAGE", "$"),
    (b'{"op":"order.new","body":' + b"[" * 20_000, "MALFORMED", "$"),
])
def test_what_cannot_be_used_is_said_by_code_and_path_and_the_connection_goes_on(data, code, path):
    connection = fresh()
    told, = said(connection.heard(data, S))
    assert told["op"] == "error" and told["error"]["message"]
    assert code is None or (told["error"]["code"], told["error"]["path"]) == (code, path)
    assert connection.phase is ws.Phase.STRANGER


def test_an_error_names_the_message_it_answers():
    told, = tell(fresh(), op="subscribe", channel="book", instrument="DOGE-USD")
    assert (told["to"], told["channel"], told["instrument"]) == ("subscribe", "book", "DOGE-USD")
    told, = tell(logged_on(), op="order.new", id=ID, what=1)
    assert (told["to"], told["id"]) == ("order.new", ID)


def test_binary_and_too_much_end_a_connection_with_their_own_codes():
    assert said(fresh().heard_binary())[-1] == ws.Close(ws.Ended.NOT_TEXT, "NOT_TEXT")
    assert said(fresh().heard_too_much())[-1] == ws.Close(ws.Ended.TOO_BIG, "TOO_BIG")


def test_too_much_talk_ends_a_connection():
    connection = fresh()
    replies = [tell(connection, op="nonsense") for _ in range(ws.TALK_BURST)]
    ended = [i for i, reply in enumerate(replies) if reply and isinstance(reply[-1], ws.Close)]
    assert ended and replies[ended[0]][0]["code"] == "RATE" and replies[ended[0]][-1].code is ws.Ended.RATE
    calm = fresh()
    for second in range(ws.TALK_BURST):
        assert tell(calm, now=second * S, op="nonsense")[0]["op"] == "error"


# ---------------------------------------------------------------------------------------------------------------------------------------- channels
def test_public_channels_need_no_logon():
    connection = fresh()
    assert tell(connection, op="subscribe", channel="book", instrument="BTC-USD") == [
        {"op": "subscribed", "channel": "book", "instrument": "BTC-USD"}, ws.Join("book", 1)]
    assert tell(connection, op="subscribe", channel="book", instrument="BTC-USD")[0]["error"]["code"] == "SUBSCRIBED"
    assert tell(connection, op="subscribe", channel="trades", instrument="XRP-USD")[1] == ws.Join("trades", 2)
    assert tell(connection, op="unsubscribe", channel="book", instrument="BTC-USD")[0] == ws.Leave("book", 1)
    assert tell(connection, op="unsubscribe", channel="trades", instrument="XRP-USD")[0] == ws.Leave("trades", 2)
    assert tell(connection, op="subscribe", channel="session", instrument="XRP-USD")[1] == ws.Join("session", 2)
    assert tell(connection, op="subscribe", channel="session", instrument="XRP-USD")[0]["error"]["code"] == "SUBSCRIBED"
    assert tell(connection, op="unsubscribe", channel="session", instrument="XRP-USD")[0] == ws.Leave("session", 2)


def update(sequence, epoch="e"):
    return Update(epoch, sequence - 1, sequence, b"{}")


def test_an_update_is_taken_only_on_what_it_follows():
    connection = fresh()
    tell(connection, op="subscribe", channel="book", instrument="BTC-USD")
    assert not connection.takes(2, update(5)) and not connection.takes(1, update(5))
    connection.shown(1, "e", 5)
    assert not connection.takes(1, update(5)) and connection.takes(1, update(6)) and connection.takes(1, update(7))
    assert connection.behind(lambda number: ("e", 7)) == []
    assert not connection.takes(1, update(9)) and connection.behind(lambda number: ("e", 9)) == [1]
    connection.shown(1, "e", 9)
    assert not connection.takes(1, update(10, "f")) and connection.behind(lambda number: ("f", 10)) == [1]


def test_a_paused_reader_gets_no_increment_and_then_a_snapshot():
    connection = fresh()
    tell(connection, op="subscribe", channel="book", instrument="BTC-USD")
    connection.shown(1, "e", 5)
    connection.pause()
    assert not connection.takes(1, update(6)) and connection.behind(lambda number: ("e", 6)) == []
    assert list(connection.resume()) == [] and connection.behind(lambda number: ("e", 6)) == [1]


def test_private_events_go_on_from_a_cursor():
    connection = logged_on()
    assert tell(connection, op="subscribe", channel="private", cursor=5) == [ws.Follow(5)]
    assert said(connection.followed(5)) == [{"op": "subscribed", "channel": "private", "cursor": 5}] and list(connection.followed(5)) == []
    told = said(connection.told(4, [{"event": "a"}, {"event": "b"}, {"event": "c"}], lambda: 0))
    assert told == [{"op": "event", "cursor": 5, "body": {"event": "b"}}, {"op": "event", "cursor": 6, "body": {"event": "c"}}]
    assert tell(connection, op="subscribe", channel="private", cursor=5)[0]["error"]["code"] == "SUBSCRIBED"
    assert tell(connection, op="unsubscribe", channel="private") == [{"op": "unsubscribed", "channel": "private", "cursor": 7}, ws.Unfollow()]
    assert tell(connection, op="subscribe", channel="private") == [ws.Follow(0)]
    assert said(connection.followed(9))[0]["cursor"] == 9


@pytest.mark.parametrize("cursor", [-1, 1 << 62])
def test_a_cursor_outside_its_range_is_refused(cursor):
    assert tell(logged_on(), op="subscribe", channel="private", cursor=cursor)[0]["error"]["code"] == "BAD_CURSOR"


def test_a_key_that_may_not_read_hears_nothing_private():
    assert tell(logged_on("blind"), op="subscribe", channel="private")[0]["error"]["code"] == "SCOPE"


def test_a_slow_private_reader_is_not_pulled_for_and_goes_on_where_it_stopped():
    connection, waiting = logged_on(), [0]
    tell(connection, op="subscribe", channel="private", cursor=1)
    list(connection.followed(1))
    sent = []

    def bodies():
        for n in range(10):
            waiting[0] = ws.HIGH + 1 if n >= 4 else 0
            yield {"event": str(n)}

    for effect in connection.told(1, bodies(), lambda: waiting[0]):
        sent.append(effect)
    assert len(sent) == 5 and sent[-1] == ws.Unfollow() and connection.cursor == 5
    assert list(connection.told(11, [{"event": "late"}], lambda: 0)) == []
    connection.pause()
    assert list(connection.resume()) == [ws.Follow(5)]
    assert said(connection.told(5, [{"event": "4"}], lambda: 0))[0]["cursor"] == 5


def test_a_stream_that_the_house_refuses_is_said_and_may_be_asked_for_again():
    connection = logged_on()
    tell(connection, op="subscribe", channel="private", cursor=10**9)
    told, = said(connection.not_followed(Wrong("BAD_CURSOR", "$.cursor", "too far")))
    assert told["op"] == "error" and told["channel"] == "private" and told["error"]["code"] == "BAD_CURSOR"
    assert tell(connection, op="subscribe", channel="private", cursor=1) == [ws.Follow(1)]


# --------------------------------------------------------------------------------------------------------------------------------- slow, silent, gone
def test_a_stuck_private_reader_is_ended_and_told_its_cursor():
    connection = logged_on()
    tell(connection, op="subscribe", channel="private", cursor=3)
    list(connection.followed(3))
    assert list(connection.tick(2 * S, 100, 50)) == []
    assert list(connection.tick(11 * S, 100, 51)) == []                      # it reads, if slowly
    assert list(connection.tick(11 * S + ws.STUCK_FOR, 100, 51)) == []
    bye, close = said(connection.tick(11 * S + ws.STUCK_FOR + 1, 100, 51))
    assert (bye["op"], bye["code"], bye["cursor"], close.code) == ("bye", "SLOW", 3, 4008)
    assert list(connection.tick(60 * S, 100, 51)) == []


def test_whoever_leaves_a_mebibyte_unread_is_ended_at_once():
    connection = logged_on()
    assert said(connection.tick(S, ws.MAX_WAITING + 1, 0))[0]["code"] == "SLOW"


def test_a_slow_reader_of_books_alone_stays_as_long_as_it_reads():
    connection = fresh()
    tell(connection, op="subscribe", channel="book", instrument="BTC-USD")
    for second in range(1, 300):
        assert all(isinstance(effect, ws.Ping) for effect in connection.tick(second * S, 1000, second)), second


def test_the_silent_are_asked_and_then_ended():
    connection = fresh()
    tell(connection, now=0, op="subscribe", channel="book", instrument="BTC-USD")
    seen = {}
    for second in range(1, 60):
        for effect in connection.tick(second * S, 0, second * 1000):       # what is sent goes out, and nothing ever comes back
            seen.setdefault(type(effect).__name__, []).append(second)
    assert seen["Ping"] == [16, 32] and seen["Close"] == [46]
    alive = fresh()
    tell(alive, now=0, op="subscribe", channel="book", instrument="BTC-USD")
    for second in range(1, 120):
        for effect in alive.tick(second * S, 0, 0):
            assert effect == ws.Ping()
            alive.alive(second * S + 1)


def test_every_message_of_the_server_is_json_in_one_object():
    connection = logged_on()
    for effect in [*fresh().opened(), *connection.slow()]:
        if isinstance(effect, ws.Send):
            assert isinstance(msgspec.json.decode(effect.data), dict)
