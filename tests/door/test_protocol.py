"""The wire itself: golden bytes, every byte boundary, every maximum, and whatever a stranger may send."""
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from cambist.door.protocol import (
    BUFFER_START, HEAD, MAX_ARGUMENT, MAX_ATTACHED_RECORDS, MAX_ATTACHMENTS, MAX_EVENTS, MAX_FRAME, MAX_NAME, MAX_RECORDS, MAX_STRANGER, MAX_TEXT, MOVES,
    Admitted, Bye,
    Challenge, Code, End, Events, Hello, Logon, Ping, Pong, ProtocolFault, Pull, Read, Received, Refused, Role, Session, State, StreamKind, Submit, Subscribe,
    Unsubscribe, Verb, View, Welcome, attach, encode, fit_to_seal,
)
from cambist.messages import COMMAND, EVENT, GROUP_MORE, MAX_GROUP, Kind, command

GOLDEN = {
    "hello": (Hello(Role.GATEWAY), "1400000001000000000000000200010000000000"),
    "welcome": (Welcome(7, 2, 513, bytes(range(32))), "5c0000000200000000000000020007000000000002000000000000000102000000000000"
                + bytes(range(32)).hex() + "00001000ff1f000000000100622700000000010000100000"),
    "received": (Received(9, 3), "10000000040000000900000003000000"),
    "refused": (Refused(9, Code.OVERLOAD, 3, "full"), "1800000005000000090000000100000003000000" + b"full".hex()),
    "subscribe": (Subscribe(4, StreamKind.ACCOUNT, 12, 1, 100), "240000000600000004000000020000000c000000010000000000000064000000" + "00000000"),
    "pull": (Pull(4, 50), "10000000070000000400000032000000"),
    "unsubscribe": (Unsubscribe(4), "0c0000000800000004000000"),
    "read": (Read(5, "held", 8, b"{}"), "1e0000000a0000000500000008000000000000000400000068656c647b7d"),
    "view": (View(5, 8, b"[]"), "160000000b0000000500000008000000000000005b5d"),
    "ping": (Ping(1), "140000000c000000000000000100000000000000"),
    "pong": (Pong(-1), "140000000d00000000000000ffffffffffffffff"),
    "bye": (Bye(Code.SLOW, "no"), "120000000e0000000000000028000000" + "6e6f"),
    "challenge": (Challenge(bytes(range(32))), "2c0000000f00000000000000" + bytes(range(32)).hex()),
    "logon": (Logon("acme", bytes(range(64))), "500000001000000000000000" + bytes(range(64)).hex() + b"acme".hex()),
    "admitted": (Admitted(6, 14, 7, 9, 1 << 40), "440000001100000000000000060000000e00000007000000000000000900000000000000" + "0000000000010000"
                 + "00001000ff1f000000000100622700000000010000100000"),
}


def cancel(**fields):
    return command(Kind.CANCEL_ORDER, account=1, actor=2, id_lo=3, **fields)


def opened(end=End.SERVER):
    session = Session(end)
    first = {End.SERVER: (Hello(Role.GATEWAY),), End.CLIENT: (Welcome(1, 1, 0, bytes(32)),), End.GUARD: (Hello(Role.CLIENT), Logon("key", bytes(64))),
             End.STRANGER: (Challenge(bytes(32)), Admitted(1, 2, 3, 4, 5))}[end]
    for message in first:
        list(session.feed(encode(message)))
    if end is End.GUARD:
        session.admit()
    assert session.state is State.OPEN
    return session


def comes_to(message):
    return End.SERVER if type(message) in (Hello, Submit, Subscribe, Pull, Unsubscribe, Read) else End.CLIENT


def same(a, b):
    return type(a) is type(b) and all(np.array_equal(x, y) if isinstance(x, np.ndarray) else x == y for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_bytes_and_back(name):
    message, golden = GOLDEN[name]
    assert encode(message).hex() == golden
    end = comes_to(message)
    session = Session(end) if isinstance(message, Hello | Welcome) else opened(end)
    if isinstance(message, Challenge | Logon | Admitted):
        session = Session(End.GUARD if isinstance(message, Logon) else End.STRANGER)
        for before in {Challenge: (), Logon: (Hello(Role.CLIENT),), Admitted: (Challenge(bytes(32)),)}[type(message)]:
            list(session.feed(encode(before)))
    assert list(session.feed(bytes.fromhex(golden))) == [message]


def test_submit_is_head_count_records_attachments():
    records = np.concatenate([cancel(), cancel()])
    frame = encode(Submit(6, records, b"xyz"))
    assert frame.hex() == "13010000" "03000000" "06000000" "02000000" + records.tobytes().hex() + b"xyz".hex()
    [message] = opened().feed(frame)
    assert same(message, Submit(6, records, b"xyz"))


def test_events_are_head_events_at_a_multiple_of_eight_and_their_times():
    events = np.zeros(2, EVENT)
    events["id"] = 5, 6
    times = np.array([7, 1 << 60], np.int64)
    frame = encode(Events(3, StreamKind.ALL, 0, 10, 99, events, times, True))
    assert frame[40:] == events.tobytes() + times.tobytes() and frame[:12].hex() == "f8000000" "09000000" "03000000"
    [message] = opened(End.CLIENT).feed(frame)
    assert same(message, Events(3, StreamKind.ALL, 0, 10, 99, events, times, True)) and frame[12:16].hex() == "01010000" and same(message.kept(), message)
    assert not message.events.flags.owndata and message.kept().times.flags.owndata


def test_an_empty_batch_says_where_the_stream_stands():
    [message] = opened(End.CLIENT).feed(encode(Events(3, StreamKind.PUBLIC, 0, 1, 40, np.empty(0, EVENT), np.empty(0, np.int64))))
    assert (message.first, message.position, len(message.events), len(message.times)) == (1, 40, 0, 0)


def test_byte_at_a_time_gives_the_same_messages():
    said = [Hello(Role.SERVICE), Submit(1, np.concatenate([cancel()] * 3), b"abc"), Ping(5), Read(2, "status"), Bye()]
    session, heard = Session(End.SERVER), []
    for byte in b"".join(map(encode, said)):
        for message in session.feed(bytes([byte])):
            heard.append(message._replace(records=message.records.copy()) if isinstance(message, Submit) else message)
    assert all(same(a, b) for a, b in zip(said, heard, strict=True)) and session.state is State.ENDED


@given(st.lists(st.integers(1, 300), min_size=1, max_size=30), st.integers(0, 2**32))
def test_any_cutting_gives_the_same_messages(cuts, seed):
    rows = np.random.default_rng(seed).integers(1, 900, 12)
    frames = b"".join(encode(Submit(i, np.repeat(cancel(order=i), n))) for i, n in enumerate(rows.tolist()))
    session, heard, at = opened(), [], 0
    while at < len(frames):
        step = cuts[len(heard) % len(cuts)] * 97
        for message in session.feed(frames[at:at + step]):
            heard.append((message.request, len(message.records), set(message.records["a0"].tolist())))
        at += step
    assert heard == [(i, n, {i}) for i, n in enumerate(rows.tolist())]


def test_received_into_its_own_room_it_needs_no_copy():
    session = opened()
    frame = encode(Submit(1, np.repeat(cancel(), MAX_RECORDS)))
    sent = 0
    messages = []
    while sent < len(frame):
        room = session.room()
        n = min(len(room), 100_000, len(frame) - sent)
        room[:n] = frame[sent:sent + n]
        session.filled(n)
        sent += n
        messages += session.messages()
    assert len(messages) == 1 and len(messages[0].records) == MAX_RECORDS and not messages[0].records.flags.owndata


@pytest.mark.parametrize("cut", [0, 3, 17])
def test_who_sends_more_than_there_is_room_for_is_given_more_and_loses_nothing(cut):
    session, small = opened(), Session(End.GUARD)
    frames, tokens, at = b"".join(encode(Ping(i)) for i in range(60_000)), [], 0
    assert len(session.room()) == BUFFER_START
    while at < len(frames):
        room = session.room()
        n = min(len(room), len(frames) - at) - (cut if at == 0 else 0)
        room[:n] = frames[at:at + n]
        session.filled(n)
        at += n
        tokens += [message.token for message in session.messages()]
        assert len(session.room()) <= MAX_FRAME
    assert tokens == list(range(60_000)) and len(session._buffer) == MAX_FRAME
    small.filled(len(small.room()))
    with pytest.raises(ProtocolFault):                      # a stranger is given nothing
        list(small.messages())
    assert len(small.room()) == BUFFER_START


# ------------------------------------------------------------------------------------------------------------------------------------ faults
def fault_of(session, data):
    with pytest.raises(ProtocolFault) as caught:
        list(session.feed(data))
    with pytest.raises(ProtocolFault):                      # and it stays closed
        list(session.messages())
    return caught.value.code


def head(size, verb, flags=0, reserved=0, request=0):
    return HEAD.pack(size, verb, flags, reserved, request)


@pytest.mark.parametrize(("data", "code"), [
    (head(11, Verb.PING), Code.BAD_LENGTH),
    (head(MAX_FRAME + 1, Verb.SUBMIT), Code.TOO_LARGE),
    (head(0xFFFFFFFF, Verb.SUBMIT), Code.TOO_LARGE),
    (head(12, 0), Code.UNKNOWN_VERB),
    (head(12, 18), Code.UNKNOWN_VERB),
    (head(12, Verb.LOGON), Code.UNEXPECTED),
    (head(12, Verb.UNSUBSCRIBE, flags=1), Code.UNDEFINED_BITS),
    (head(12, Verb.UNSUBSCRIBE, reserved=1), Code.UNDEFINED_BITS),
    (head(13, Verb.UNSUBSCRIBE) + b"x", Code.BAD_LENGTH),
    (head(12, Verb.PULL), Code.BAD_LENGTH),
    (head(16, Verb.SUBMIT) + bytes(4), Code.BAD_LENGTH),
    (head(16, Verb.SUBMIT) + b"\1\0\0\0", Code.BAD_LENGTH),
    (head(16, Verb.SUBMIT) + b"\xff" * 4, Code.BAD_LENGTH),
    (encode(Hello(Role.GATEWAY)), Code.UNEXPECTED),
    (encode(Received(1, 1)), Code.UNEXPECTED),
    (encode(Subscribe(1, 9, 0, 1, 1)), Code.UNKNOWN_STREAM),
    (encode(Read(1, "x" * (MAX_NAME + 1))), Code.TOO_LARGE),
    (encode(Read(1, "x", 0, bytes(MAX_ARGUMENT + 1))), Code.TOO_LARGE),
    (head(25, Verb.READ) + bytes(8) + b"\1\0\0\0" + b"\xff", Code.MALFORMED),
    (head(24, Verb.READ) + bytes(8) + b"\1\0\0\0", Code.BAD_LENGTH),
    (head(16, Verb.BYE) + b"\xff\xff\0\0", Code.MALFORMED),
    (head(20, Verb.PING, request=1) + bytes(8), Code.UNDEFINED_BITS),
])
def test_a_malformed_frame_is_a_fault_with_a_code(data, code):
    assert fault_of(opened(), data) is code


def test_messages_before_the_fault_are_given_first():
    session, heard = opened(), []
    with pytest.raises(ProtocolFault):
        for message in session.feed(encode(Ping(1)) + encode(Ping(2)) + head(12, 99)):
            heard.append(message)
    assert heard == [Ping(1), Ping(2)]


def test_nothing_comes_before_hello():
    assert fault_of(Session(End.SERVER), encode(Submit(1, cancel()))) is Code.UNEXPECTED


def test_another_version_and_another_role_are_faults():
    assert fault_of(Session(End.SERVER), encode(Hello(Role.GATEWAY, 1))) is Code.BAD_VERSION
    assert fault_of(Session(End.SERVER), encode(Hello(9))) is Code.BAD_ROLE


def test_what_follows_a_bye_is_not_read():
    session = opened()
    assert list(session.feed(encode(Bye()) + b"\xff" * 100)) == [Bye()]
    assert list(session.feed(b"\xff" * 100)) == []


def test_each_verb_comes_to_one_end_only_but_those_of_both():
    both = {Verb.PING, Verb.PONG, Verb.BYE}
    for verb in Verb:
        for inner, outer in ((End.SERVER, End.CLIENT), (End.GUARD, End.STRANGER)):
            ends = {end for end, _, v in MOVES if v is verb and end in (inner, outer)}
            only_inside, only_outside = verb is Verb.WELCOME, verb in (Verb.CHALLENGE, Verb.LOGON, Verb.ADMITTED)
            absent = only_outside if inner is End.SERVER else only_inside
            assert len(ends) == (0 if absent else 2 if verb in both else 1), verb


@settings(max_examples=300)
@given(st.booleans(), st.lists(st.binary(max_size=300), max_size=5))
def test_arbitrary_bytes_raise_nothing_but_a_fault(fresh, pieces):
    session = Session(End.SERVER) if fresh else opened()
    try:
        for piece in pieces:
            list(session.feed(piece))
    except ProtocolFault as fault:
        assert fault.code in Code and fault.text


@settings(max_examples=300)
@given(st.sampled_from(list(End)), st.lists(st.tuples(st.integers(0, 16), st.integers(0, 3), st.binary(max_size=200)), max_size=5))
def test_arbitrary_bodies_under_a_right_head_raise_nothing_but_a_fault(end, frames):
    session = opened(end)
    try:
        for verb, request, body in frames:
            list(session.feed(head(12 + len(body), verb, request=request) + body))
    except ProtocolFault as fault:
        assert fault.code in Code and fault.text


@pytest.mark.parametrize("end", [End.GUARD, End.STRANGER])
def test_nothing_but_the_next_frame_of_a_logon_may_come_before_it(end):
    order = {End.GUARD: [Hello(Role.CLIENT), Logon("k", bytes(64))], End.STRANGER: [Challenge(bytes(32)), Admitted(1, 2, 3, 4, 5)]}[end]
    for done in range(2):
        for name, (message, golden) in GOLDEN.items():
            if name == "bye" or (type(message) is type(order[done])):
                continue
            session = Session(end)
            for before in order[:done]:
                list(session.feed(encode(before)))
            with pytest.raises(ProtocolFault, match="UNEXPECTED"):
                list(session.feed(bytes.fromhex(golden)))


def test_before_a_session_is_open_no_large_frame_is_waited_for():
    for end in End:
        with pytest.raises(ProtocolFault, match="TOO_LARGE"):
            list(Session(end).feed(head(MAX_STRANGER + 1, Verb.SUBMIT)))


def test_nobody_is_admitted_who_was_not_asked():
    with pytest.raises(ProtocolFault, match="UNEXPECTED"):
        Session(End.GUARD).admit()


# ------------------------------------------------------------------------------------------------------------------------------------ maxima
def test_the_largest_submit_fits_and_one_more_does_not():
    [message] = opened().feed(encode(Submit(1, np.repeat(cancel(), MAX_RECORDS))))
    assert len(message.records) == MAX_RECORDS
    with pytest.raises(ProtocolFault, match="TOO_LARGE"):
        encode(Submit(1, np.repeat(cancel(), MAX_RECORDS + 1)))


def test_the_largest_batch_of_events_fits_and_one_more_does_not():
    [message] = opened(End.CLIENT).feed(encode(Events(1, StreamKind.ALL, 0, 1, 1, np.zeros(MAX_EVENTS, EVENT), np.zeros(MAX_EVENTS, np.int64))))
    assert len(message.events) == len(message.times) == MAX_EVENTS
    with pytest.raises(ProtocolFault, match="TOO_LARGE"):
        encode(Events(1, StreamKind.ALL, 0, 1, 1, np.zeros(MAX_EVENTS + 1, EVENT), np.zeros(MAX_EVENTS + 1, np.int64)))


def test_words_are_cut_at_their_maximum_without_breaking_a_letter():
    [message] = opened(End.CLIENT).feed(encode(Refused(1, Code.MALFORMED, 0, "é" * MAX_TEXT)))
    assert message.text == "é" * (MAX_TEXT // 2)


def test_the_largest_argument_and_name_fit():
    read = Read(1, "x" * MAX_NAME, 0, bytes(MAX_ARGUMENT))
    assert list(opened().feed(encode(read))) == [read]


# ------------------------------------------------------------------------------------------------------------------------- what may be sealed
def transfers(*more):
    return np.concatenate([command(Kind.TRANSFER, account=1, actor=1, id_lo=i + 1, flags=GROUP_MORE * m) for i, m in enumerate(more)])


def test_whole_groups_may_be_sealed():
    assert fit_to_seal(transfers(0, 1, 1, 0, 1, 0)) is Code.NONE
    assert fit_to_seal(transfers(*[1] * (MAX_GROUP - 1), 0)) is Code.NONE


def test_a_group_left_open_or_too_long_is_malformed():
    assert fit_to_seal(transfers(0, 1)) is Code.MALFORMED
    assert fit_to_seal(transfers(*[1] * MAX_GROUP, 0)) is Code.MALFORMED


def test_attachments_are_named_by_records():
    section, named = attach([b"memo", b"", b"address"])
    assert named == [1, 2, 3] and len(section) == 32
    assert fit_to_seal(np.concatenate([cancel(attachment=n) for n in [*named, 0, 1]]), section) is Code.NONE


@pytest.mark.parametrize("attachment", [2, 3, 9, 2**32 - 1])
def test_a_record_may_not_name_what_is_not_there(attachment):
    assert fit_to_seal(cancel(attachment=attachment), attach([b"longer than eight"])[0]) is Code.MALFORMED
    assert fit_to_seal(cancel(attachment=attachment)) is Code.MALFORMED


@pytest.mark.parametrize("section", [b"\xff\0\0\0abcd", b"\1\0\0\0a", b"\1\0\0\0abcd"[:8], b"\0\0\0", b"\1\0\0\0a\0\0\1"])
def test_a_section_that_is_not_whole_padded_items_is_malformed(section):
    assert fit_to_seal(cancel(), section) is Code.MALFORMED


def test_attachments_have_a_maximum():
    records = np.repeat(cancel(), MAX_ATTACHED_RECORDS)
    assert fit_to_seal(records, attach([bytes(MAX_ATTACHMENTS - 4)])[0]) is Code.NONE
    assert fit_to_seal(records, attach([bytes(MAX_ATTACHMENTS - 3)])[0]) is Code.TOO_LARGE
    assert fit_to_seal(np.repeat(cancel(), MAX_ATTACHED_RECORDS + 1), b"x") is Code.TOO_LARGE


def test_a_record_is_what_messages_says():
    assert COMMAND.itemsize == 128 and EVENT.itemsize == 96
