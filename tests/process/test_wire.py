"""A running node and everything that is not a client: garbage, halves, lies about lengths, undefined bits. It goes on, and a good client notices nothing."""
import contextlib
import random
import socket
import struct
from collections.abc import Iterator

import numpy as np
import pytest

from cambist.door.client_shell import Client, RefusedByDoor
from cambist.door.protocol import HEAD, MAX_FRAME, Hello, Pull, Read, Role, StreamKind, Submit, Subscribe, Verb, encode
from cambist.messages import COMMAND, LAYOUT, RECORD_BYTES, Event, Kind, command

from tests.process.node_process import ACCOUNT, ASSET, KEY, NodeProcess, cambist, seed_of_this_run

pytestmark = pytest.mark.process
K = Kind
HELLO = encode(Hello(Role.GATEWAY))


@pytest.fixture(scope="module")
def node(tmp_path_factory) -> Iterator[NodeProcess]:
    """One node for all that follows; at the end its books are still whole."""
    directory = tmp_path_factory.mktemp("wire") / "house"
    with NodeProcess(directory).wait_open() as running:
        yield running
        assert running.stop() == 0, running.output()
    looked = cambist("verify", directory)
    assert looked.returncode == 0 and looked.stdout.endswith("whole\n"), looked.stdout + looked.stderr


COUNT = iter(range(1, 1 << 30))


def still_good(node: NodeProcess) -> None:
    """A client that behaves is answered as ever."""
    number = next(COUNT)
    with Client(node.door) as client:
        record = command(K.DEPOSIT, actor=KEY["custodian"], account=ACCOUNT["borea"], custody=ACCOUNT["usd-bank"], asset=ASSET["USD"], amount=7, id_hi=9,
                         id_lo=number)
        events = client.submit_and_wait(record, 20.0).events
        assert events is not None and events["kind"].tolist() == [Event.DEPOSITED]
        status = client.read("status")[1]
        assert status["stopped"] == "" and not status["full"]


def said_to(node: NodeProcess, data: bytes, seconds: float = 2.0) -> bytes:
    """What the node answers before it ends the connection or falls silent."""
    heard = b""
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(seconds)
        raw.connect(node.door)
        with contextlib.suppress(OSError):              # it may hang up while we talk
            raw.sendall(data)
            raw.shutdown(socket.SHUT_WR)
            while part := raw.recv(1 << 16):
                heard += part
    return heard


def frame(verb: int, body: bytes = b"", request: int = 1, length: int | None = None, flags: int = 0, reserved: int = 0) -> bytes:
    return HEAD.pack(HEAD.size + len(body) if length is None else length, verb, flags, reserved, request) + body


BROKEN = {
    "garbage": bytes(range(256)) * 8,
    "zeros": bytes(4096),
    "ones": b"\xff" * 4096,
    "length 0": HELLO + frame(Verb.PING, bytes(8), 0, length=0),
    "length below a head": HELLO + frame(Verb.PING, bytes(8), 0, length=HEAD.size - 1),
    "length of a head for a ping": HELLO + frame(Verb.PING, b"", 0),
    "length above the most": HELLO + frame(Verb.SUBMIT, bytes(64), length=MAX_FRAME + 1),
    "the longest length": HELLO + frame(Verb.SUBMIT, bytes(64), length=0xFFFF_FFFF),
    "half a frame": HELLO + frame(Verb.SUBMIT, bytes(64), length=MAX_FRAME),
    "half a head": HELLO + b"\x10\x00\x00",
    "unknown verb": HELLO + frame(0) + frame(99) + frame(255),
    "flags": HELLO + frame(Verb.READ, bytes(12), flags=1),
    "reserved": HELLO + frame(Verb.READ, bytes(12), reserved=1),
    "a server's verb": HELLO + frame(Verb.WELCOME, bytes(72), 0),
    "hello again": HELLO + HELLO,
    "no hello": encode(Submit(1, command(K.NET))),
    "another version": encode(Hello(Role.GATEWAY, 9)),
    "another role": frame(Verb.HELLO, struct.pack("<HHI", 1, 77, 0), 0),
    "more records than there are": HELLO + frame(Verb.SUBMIT, struct.pack("<I", 4000) + bytes(RECORD_BYTES)),
    "the most records": HELLO + frame(Verb.SUBMIT, struct.pack("<I", 0xFFFF_FFFF) + bytes(RECORD_BYTES)),
    "no records": HELLO + frame(Verb.SUBMIT, struct.pack("<I", 0)),
    "part of a record": HELLO + frame(Verb.SUBMIT, struct.pack("<I", 1) + bytes(RECORD_BYTES - 1)),
    "a stream of nobody": HELLO + frame(Verb.SUBSCRIBE, struct.pack("<BBHIqII", 77, 0, 0, 0, 1, 10, 0)),
    "a cursor before the first": HELLO + encode(Subscribe(1, StreamKind.ALL, 0, -5, 10)),
    "a cursor of another world": HELLO + encode(Subscribe(1, StreamKind.ACCOUNT, 0xFFFF_FFFF, (1 << 63) - 1, 10)),
    "no credit": HELLO + encode(Subscribe(1, StreamKind.ALL, 0, 1, 0)) + encode(Pull(1, 0xFFFF_FFFF)),
    "a view that is no text": HELLO + frame(Verb.READ, struct.pack("<qHH", 0, 4, 0) + b"\xff\xfe\xfd\xfc"),
    "an argument that is no object": HELLO + encode(Read(1, "answer", 0, b"[[[[")),
    "an argument that is no text": HELLO + encode(Read(1, "answer", 0, b'{"\xef": 1}')),
    "an argument out of every range": HELLO + encode(Read(1, "answer", 0, b'{"sequence": 99999999999999999999999999}')),
    "a position from the far side": HELLO + encode(Read(1, "status", -(1 << 63))),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_connection_is_only_its_own(node, what):
    said_to(node, BROKEN[what])
    still_good(node)


def test_connections_that_say_nothing_or_stop_half_way_hold_up_nobody(node):
    with contextlib.ExitStack() as open_ones:
        for i in range(60):
            raw = open_ones.enter_context(socket.socket(socket.AF_UNIX))
            raw.connect(node.door)
            if i % 3:
                raw.sendall((HELLO + encode(Submit(1, np.repeat(command(K.NET), 50))))[:i * 40])
        still_good(node)
    still_good(node)


def test_one_who_asks_for_everything_and_never_reads_holds_up_nobody(node):
    with socket.socket(socket.AF_UNIX) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.settimeout(1.0)
        raw.connect(node.door)
        raw.sendall(HELLO + b"".join(encode(Subscribe(i, StreamKind.ALL, 0, 1, 60_000)) for i in range(1, 200)))
        with contextlib.suppress(OSError):
            for i in range(2000):
                raw.sendall(encode(Read(1000 + i, "instruments")))
        still_good(node)
    still_good(node)


def test_flipped_bits_in_a_good_conversation(node):
    rng = random.Random(seed_of_this_run())
    good = HELLO + encode(Subscribe(1, StreamKind.ACCOUNT, ACCOUNT["acme"], 1, 100)) + encode(Submit(2, np.repeat(command(K.NET), 3))) \
        + encode(Read(3, "account", 0, b'{"account": 6}')) + encode(Pull(1, 50))
    for round_ in range(150):
        data = bytearray(good)
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(len(HELLO) if rng.random() < 0.9 else 0, len(data))] ^= 1 << rng.randrange(8)
        said_to(node, bytes(data[:rng.randint(1, len(data))] if rng.random() < 0.3 else data))
        if round_ % 25 == 0:
            still_good(node)
    still_good(node)


# ------------------------------------------------------------------------------------------------------- whole frames, records that mean nothing
def submit_all(node: NodeProcess, records: np.ndarray) -> int:
    """How many were let in; those that make a group which is none are refused by the door."""
    let_in = 0
    with Client(node.door) as client:
        for at in range(0, len(records), 100):
            with contextlib.suppress(RefusedByDoor):
                let_in += client.submit(records[at:at + 100])
    return let_in


def test_records_of_random_bytes_are_refused_one_by_one(node):
    rng = np.random.default_rng(seed_of_this_run())
    records = np.frombuffer(rng.bytes(2000 * RECORD_BYTES), COMMAND).copy()
    assert submit_all(node, records) == 0               # attachments that are not there
    records["attachment"] = 0
    records["flags"] &= 0xFFFD                          # no groups
    assert submit_all(node, records) == 2000
    still_good(node)


def test_records_with_undefined_bits_and_wild_arguments_are_refused_or_mean_something(node):
    """Known kinds by real keys, with every argument somewhere it should not be."""
    rng = random.Random(seed_of_this_run())
    wild = (0, 1, 2, 3, 5, 255, 10_000, 600_000, 1 << 31, 1 << 62, (1 << 63) - 1, -1, -(1 << 63))
    keys, records = list(KEY.values()), []
    kinds = [kind for kind in LAYOUT if kind not in (K.KILL_ALL, K.HALT, K.KILL) and not 10 <= kind <= 29]
    for _ in range(6000):
        record = np.zeros(1, COMMAND)
        record["kind"], record["actor"] = rng.choice(kinds), rng.choice(keys)
        record["account"], record["instrument"] = rng.choice((0, 1, *ACCOUNT.values(), 99)), rng.choice((0, 1, 2, 3, 4, 0xFFFF_FFFF))
        record["id_hi"], record["id_lo"] = rng.choice((0, 0, 77)), rng.randint(0, 1 << 20)
        record["flags"] = rng.choice((0, 0, 0, 1, 4, 0x8000))
        row = record.view(LAYOUT[Kind(int(record["kind"][0]))]) if rng.random() < 0.7 else record
        for name in row.dtype.names[11:]:
            info = np.iinfo(row.dtype[name])
            row[name] = min(max(rng.choice(wild), info.min), info.max)
        records.append(record)
    assert submit_all(node, np.concatenate(records)) == 6000
    still_good(node)
