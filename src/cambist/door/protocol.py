"""The native record protocol, without IO: bytes in, messages out; messages in, bytes out.

Decides what a frame is, which frame may come when, and the largest of everything. It must not know a socket, a clock, what a command means or what
became of it: a SUBMIT is answered before anything is decided, and every outcome is an event of a stream.

A frame is little-endian: length u4 (all of it, head included), verb u1, flags u1 (zero), reserved u2 (zero), request u4, body. Answers echo `request`;
for a subscription it is its name. A frame that breaks a rule of this file is a ProtocolFault: the connection ends and nothing of that frame was done.
"""
import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, NamedTuple, TypeVar

import numpy as np

from cambist.door.checking import looked_at
from cambist.log.entry import SideSection
from cambist.messages import COMMAND, EVENT, EVENT_BYTES, MAX_GROUP, RECORD_BYTES
from cambist.rows import copied, raw

VERSION = 2                                             # 2: EVENTS carry the log time of each event, and whether an entry goes on
HEAD = struct.Struct("<IBBHI")
MAX_FRAME = 1 << 20
MAX_RECORDS = (MAX_FRAME - 16) // RECORD_BYTES          # 8,191 in one SUBMIT
TIME_BYTES = 8
MAX_EVENTS = (MAX_FRAME - 40) // (EVENT_BYTES + TIME_BYTES)      # 10,082 in one EVENTS
MAX_ATTACHMENTS = 1 << 16                               # bytes of attachments in one SUBMIT
MAX_ATTACHED_RECORDS = 1024                             # a SUBMIT with attachments goes whole into one entry, so it must fit one
MAX_CREDIT = 1 << 16                                    # events asked for and not yet sent, of one subscription
MAX_SUBSCRIPTIONS = 4096                                # of one connection
MAX_STRANGER = 1 << 10                                  # bytes of a frame before a session is open
MAX_KEY = 64                                            # bytes of the name of a key
MAX_NAME, MAX_ARGUMENT, MAX_TEXT = 32, 1 << 12, 512     # bytes: a view's name, its argument, the words of a refusal or a BYE
SOCKET_BYTES = 1 << 20                                  # what a Unix socket holds in each direction: a frame, so that one read brings as much as has come
BUFFER_START = 1 << 16                                  # what a quiet connection costs


class Verb(IntEnum):
    HELLO = 1                                           # client: version, role
    WELCOME = 2                                         # server: where the cell stands, and its limits
    SUBMIT = 3                                          # client: n records of 128 bytes, attachments
    RECEIVED = 4                                        # server: n records are queued for the log; no word about their outcome
    REFUSED = 5                                         # server: nothing of this request was done, and why
    SUBSCRIBE = 6                                       # client: stream, first number wanted, credit
    PULL = 7                                            # client: more credit
    UNSUBSCRIBE = 8
    EVENTS = 9                                          # server: a batch with the log time of each event, never more than the credit
    READ = 10                                           # client: a view, no older than a position
    VIEW = 11                                           # server: position and JSON
    PING = 12                                           # either: answered by a PONG of the same token
    PONG = 13
    BYE = 14                                            # either: the last frame of a side, with a code and words
    CHALLENGE = 15                                      # server, outside: 32 bytes to be signed
    LOGON = 16                                          # client, outside: its key's name, and the signature
    ADMITTED = 17                                       # server, outside: whom this connection speaks for, and where its numbers stand


class Code(IntEnum):
    """Why a request was refused or a connection ended. Stable numbers."""
    NONE = 0
    OVERLOAD = 1                                        # staging is full: send again later
    DISK_FULL = 2
    TOO_LARGE = 3
    MALFORMED = 4
    CLOSING = 5                                         # the node is going down
    STOPPED = 6                                         # the node seals nothing until a person looks: its clock stepped or an invariant broke
    NOT_ALLOWED = 7                                     # this role of connection, or this key, may not
    FOREIGN = 8                                         # a record names another account or key than the one that logged on
    UNKNOWN_VIEW = 10
    BAD_ARGUMENT = 11
    NOT_YET = 12                                        # the position asked for was not reached in time
    UNKNOWN_STREAM = 20
    BAD_CURSOR = 21                                     # beyond the next number of the stream
    TOO_MANY = 22
    BAD_CREDIT = 23
    UNKNOWN_SUBSCRIPTION = 24
    UNREADABLE = 25                                     # what comes next was told once and cannot be read back: the house's files are damaged there
    BAD_LENGTH = 30                                     # from here on: why a connection ended
    UNKNOWN_VERB = 31
    UNDEFINED_BITS = 32
    UNEXPECTED = 33                                     # this frame may not come now
    BAD_VERSION = 34
    BAD_ROLE = 35
    BAD_LOGON = 36                                      # no such key, or its signature does not fit
    SLOW = 40                                           # did not read what it asked for
    SILENT = 41                                         # half open: answered no PING


class Role(IntEnum):
    """What a connection is for. Who may command what is checked in the core, never here."""
    GATEWAY = 1
    SERVICE = 2                                         # desk, venues, chain
    OPERATOR = 3
    OBSERVER = 4                                        # reads and subscribes; may not submit
    CLIENT = 5                                          # from outside: must log on


class StreamKind(IntEnum):
    ALL = 1                                             # every event with its log sequence: for the house, never for a client
    ACCOUNT = 2
    PUBLIC = 3
    KEPT = 4                                            # no events, only positions: up to where results can be read from their files


class End(IntEnum):
    SERVER = 1
    CLIENT = 2
    GUARD = 3                                           # a server to whom strangers speak
    STRANGER = 4                                        # a client who must log on


class State(IntEnum):
    FRESH = 1                                           # nothing said yet
    OPEN = 2
    ENDED = 3                                           # a BYE was received: what follows it is not read
    ASKED = 4                                           # outside: who it is was asked, and not yet answered
    ANSWERED = 5                                        # outside: a LOGON was sent or is being looked at


class Unreadable(Exception):
    """Events that were told cannot be read back now: says where the damage is. Only who asked for them is concerned."""


class ProtocolFault(Exception):
    """The other side broke the protocol. The connection ends with `code`; nothing of the faulty frame was done."""
    def __init__(self, code: Code, text: str):
        super().__init__(f"{code.name}: {text}")
        self.code, self.text = code, text


# The state machine: (who receives, state, verb) -> state. What is not here is refused as UNEXPECTED.
_S, _C, _V = End.SERVER, End.CLIENT, Verb
MOVES: dict[tuple[End, State, Verb], State] = {
    (_S, State.FRESH, _V.HELLO): State.OPEN,
    (_S, State.OPEN, _V.SUBMIT): State.OPEN,
    (_S, State.OPEN, _V.SUBSCRIBE): State.OPEN,
    (_S, State.OPEN, _V.PULL): State.OPEN,
    (_S, State.OPEN, _V.UNSUBSCRIBE): State.OPEN,
    (_S, State.OPEN, _V.READ): State.OPEN,
    (_S, State.OPEN, _V.PING): State.OPEN,
    (_S, State.OPEN, _V.PONG): State.OPEN,
    (_S, State.FRESH, _V.BYE): State.ENDED,
    (_S, State.OPEN, _V.BYE): State.ENDED,
    (_C, State.FRESH, _V.WELCOME): State.OPEN,
    (_C, State.OPEN, _V.RECEIVED): State.OPEN,
    (_C, State.OPEN, _V.REFUSED): State.OPEN,
    (_C, State.OPEN, _V.EVENTS): State.OPEN,
    (_C, State.OPEN, _V.VIEW): State.OPEN,
    (_C, State.OPEN, _V.PING): State.OPEN,
    (_C, State.OPEN, _V.PONG): State.OPEN,
    (_C, State.FRESH, _V.BYE): State.ENDED,             # refused before a WELCOME: too many connections, another version
    (_C, State.OPEN, _V.BYE): State.ENDED,
}
# Outside, four frames come first; what a session may say after them is the same.
_G, _O = End.GUARD, End.STRANGER
MOVES |= {(_G, state, verb): after for (end, state, verb), after in MOVES.items() if end is _S and verb is not _V.HELLO}
MOVES |= {(_O, state, verb): after for (end, state, verb), after in MOVES.items() if end is _C and verb is not _V.WELCOME}
MOVES |= {
    (_G, State.FRESH, _V.HELLO): State.ASKED,
    (_G, State.ASKED, _V.LOGON): State.ANSWERED,        # OPEN when it was admitted: Session.admit
    (_G, State.ASKED, _V.BYE): State.ENDED,
    (_G, State.ANSWERED, _V.BYE): State.ENDED,
    (_O, State.FRESH, _V.CHALLENGE): State.ASKED,
    (_O, State.ASKED, _V.ADMITTED): State.OPEN,
    (_O, State.ASKED, _V.BYE): State.ENDED,
}


# ----------------------------------------------------------------------------------------------------------------------------------- messages
class Hello(NamedTuple):
    role: Role
    version: int = VERSION


class Limits(NamedTuple):
    frame: int = MAX_FRAME
    records: int = MAX_RECORDS
    attachments: int = MAX_ATTACHMENTS
    events: int = MAX_EVENTS
    credit: int = MAX_CREDIT
    subscriptions: int = MAX_SUBSCRIPTIONS


class Welcome(NamedTuple):
    cell: int
    epoch: int
    sequence: int                                       # applied so far
    fingerprint: bytes                                  # of the kernel, 32 bytes
    limits: Limits = Limits()
    version: int = VERSION


class Submit(NamedTuple):
    request: int
    records: np.ndarray                                 # COMMAND, a view of the receive buffer: copy it before the next one is read
    attachments: bytes = b""                            # laid out as an entry's side section: `attach` makes it


class Received(NamedTuple):
    request: int
    count: int


class Refused(NamedTuple):
    request: int
    code: Code
    count: int = 0                                      # records of the SUBMIT that are not queued
    text: str = ""


class Subscribe(NamedTuple):
    request: int
    stream: StreamKind
    account: int                                        # 0 but for ACCOUNT
    cursor: int                                         # first number wanted, from 1; 0: only what comes from now on
    credit: int


class Pull(NamedTuple):
    request: int
    credit: int


class Unsubscribe(NamedTuple):
    request: int


class Events(NamedTuple):
    request: int
    stream: StreamKind
    account: int
    first: int                                          # number of the first event; of the next one when count is 0
    position: int                                       # log sequence up to which the stream is complete
    events: np.ndarray                                  # EVENT, a view of the receive buffer
    times: np.ndarray                                   # int64, ns: the log time of each event; a view of the same
    more: bool = False                                  # the last event's entry goes on in the next batch, and so may the answer that it belongs to

    def kept(self) -> "Events":
        """The same with arrays of its own, which outlive the receive buffer."""
        return self._replace(events=copied(self.events), times=self.times.copy())


class Read(NamedTuple):
    request: int
    view: str
    at_least: int = 0
    argument: bytes = b""                               # JSON


class View(NamedTuple):
    request: int
    position: int
    body: bytes                                         # JSON


class Ping(NamedTuple):
    token: int = 0


class Pong(NamedTuple):
    token: int = 0


class Bye(NamedTuple):
    code: Code = Code.NONE
    text: str = ""


class Challenge(NamedTuple):
    challenge: bytes                                    # 32 bytes, of this connection alone


class Logon(NamedTuple):
    key: str
    signature: bytes                                    # Ed25519, 64 bytes, over `logon_text`


class Admitted(NamedTuple):
    account: int                                        # that every record names, or 0
    actor: int                                          # the number of the key, that every record names
    highest: int                                        # of this key's numbered requests that were applied: the next one is one more
    events: int                                         # number of the account's last event
    time: int                                           # of the house, ns since 1970
    limits: Limits = Limits()


Outside = Challenge | Logon | Admitted
Message = Outside | Hello | Welcome | Submit | Received | Refused | Subscribe | Pull | Unsubscribe | Events | Read | View | Ping | Pong | Bye

_HELLO = struct.Struct("<HHI")
_WELCOME = struct.Struct("<HHIqq32s6I")
_COUNT = struct.Struct("<I")
_REFUSED = struct.Struct("<HHI")
_SUBSCRIBE = struct.Struct("<BBHIqII")
_EVENTS = struct.Struct("<BBHIqqI")                     # 28 bytes, so that events start at a multiple of 8 in the frame
_READ = struct.Struct("<qHH")
_POSITION = struct.Struct("<q")
_BYE = struct.Struct("<HH")
_CHALLENGE = struct.Struct("<32s")
_LOGON = struct.Struct("<64s")
_ADMITTED = struct.Struct("<IIqqq6I")
_LENGTH = struct.Struct("<I")


# ---------------------------------------------------------------------------------------------------------------------------------- writing
def encode(message: Message) -> bytes:
    """One whole frame. Raises ProtocolFault TOO_LARGE if it would not fit one."""
    verb, request, *parts = _WRITE[type(message)](message)
    size = HEAD.size + sum(map(len, parts))
    if size > MAX_FRAME:
        raise ProtocolFault(Code.TOO_LARGE, f"{verb.name} of {size} bytes; a frame holds {MAX_FRAME}")
    return b"".join((HEAD.pack(size, verb, 0, 0, request), *parts))


def _raw(rows: np.ndarray) -> memoryview:
    return raw(np.ascontiguousarray(rows))


def _words(text: str) -> bytes:
    return text.encode()[:MAX_TEXT].decode(errors="ignore").encode()


_WRITE = {
    Hello: lambda m: (Verb.HELLO, 0, _HELLO.pack(m.version, m.role, 0)),
    Welcome: lambda m: (Verb.WELCOME, 0, _WELCOME.pack(m.version, m.cell, 0, m.epoch, m.sequence, m.fingerprint, *m.limits)),
    Submit: lambda m: (Verb.SUBMIT, m.request, _COUNT.pack(len(m.records)), _raw(m.records), m.attachments),
    Received: lambda m: (Verb.RECEIVED, m.request, _COUNT.pack(m.count)),
    Refused: lambda m: (Verb.REFUSED, m.request, _REFUSED.pack(m.code, 0, m.count), _words(m.text)),
    Subscribe: lambda m: (Verb.SUBSCRIBE, m.request, _SUBSCRIBE.pack(m.stream, 0, 0, m.account, m.cursor, m.credit, 0)),
    Pull: lambda m: (Verb.PULL, m.request, _COUNT.pack(m.credit)),
    Unsubscribe: lambda m: (Verb.UNSUBSCRIBE, m.request),
    Events: lambda m: (Verb.EVENTS, m.request, _EVENTS.pack(m.stream, m.more, 0, m.account, m.first, m.position, len(m.events)), _raw(m.events), _raw(m.times)),
    Read: lambda m: (Verb.READ, m.request, _READ.pack(m.at_least, len(m.view), 0), m.view.encode(), m.argument),
    View: lambda m: (Verb.VIEW, m.request, _POSITION.pack(m.position), m.body),
    Ping: lambda m: (Verb.PING, 0, _POSITION.pack(m.token)),
    Pong: lambda m: (Verb.PONG, 0, _POSITION.pack(m.token)),
    Bye: lambda m: (Verb.BYE, 0, _BYE.pack(m.code, 0), _words(m.text)),
    Challenge: lambda m: (Verb.CHALLENGE, 0, _CHALLENGE.pack(m.challenge)),
    Logon: lambda m: (Verb.LOGON, 0, _LOGON.pack(m.signature), m.key.encode()),
    Admitted: lambda m: (Verb.ADMITTED, 0, _ADMITTED.pack(m.account, m.actor, m.highest, m.events, m.time, *m.limits)),
}


def logon_text(challenge: bytes, key: str) -> bytes:
    """What a LOGON's signature is over: the challenge of this one connection, so that it opens no other."""
    return f"cambist-native-1\n{challenge.hex()}\n{key}\n".encode()


# ---------------------------------------------------------------------------------------------------------------------------------- reading
_Enum = TypeVar("_Enum", bound=IntEnum)


def _need(holds: object, code: Code, text: str) -> None:
    if not holds:
        raise ProtocolFault(code, text)


def _exactly(layout: struct.Struct, body: memoryview) -> tuple:
    _need(len(body) == layout.size, Code.BAD_LENGTH, f"a body of {len(body)} bytes where {layout.size} belong")
    return layout.unpack(body)


def _opening(layout: struct.Struct, body: memoryview) -> tuple:
    _need(len(body) >= layout.size, Code.BAD_LENGTH, f"a body of {len(body)} bytes where at least {layout.size} belong")
    return layout.unpack_from(body)


def _zero(*reserved: int) -> None:
    _need(not any(reserved), Code.UNDEFINED_BITS, "a reserved field is not zero")


def _one_of(kind: type[_Enum], value: int, code: Code) -> _Enum:
    _need(value in kind._value2member_map_, code, f"{value} is no {kind.__name__}")
    return kind(value)


def _text(body: memoryview, most: int) -> str:
    _need(len(body) <= most, Code.TOO_LARGE, f"text of {len(body)} bytes; {most} fit")
    try:
        return str(body, "utf-8")
    except UnicodeDecodeError:
        raise ProtocolFault(Code.MALFORMED, "text is not UTF-8") from None


def _read_hello(request: int, body: memoryview) -> Hello:
    version, role, reserved = _exactly(_HELLO, body)
    _zero(reserved, request)
    _need(version == VERSION, Code.BAD_VERSION, f"version {version}; this side speaks {VERSION}")
    return Hello(_one_of(Role, role, Code.BAD_ROLE), version)


def _read_welcome(request: int, body: memoryview) -> Welcome:
    version, cell, reserved, epoch, sequence, fingerprint, *limits = _exactly(_WELCOME, body)
    _zero(reserved, request)
    _need(version == VERSION, Code.BAD_VERSION, f"version {version}; this side speaks {VERSION}")
    return Welcome(cell, epoch, sequence, fingerprint, Limits(*limits), version)


def _read_submit(request: int, body: memoryview) -> Submit:
    count, = _opening(_COUNT, body)
    end = _COUNT.size + count * RECORD_BYTES
    _need(count and end <= len(body), Code.BAD_LENGTH, f"{count} records in a body of {len(body)} bytes")
    return Submit(request, np.frombuffer(body, COMMAND, count, _COUNT.size), bytes(body[end:]) if end < len(body) else b"")


def _read_refused(request: int, body: memoryview) -> Refused:
    code, reserved, count = _opening(_REFUSED, body)
    _zero(reserved)
    return Refused(request, _one_of(Code, code, Code.MALFORMED), count, _text(body[_REFUSED.size:], MAX_TEXT))


def _read_subscribe(request: int, body: memoryview) -> Subscribe:
    stream, r0, r1, account, cursor, credit, r2 = _exactly(_SUBSCRIBE, body)
    _zero(r0, r1, r2)
    return Subscribe(request, _one_of(StreamKind, stream, Code.UNKNOWN_STREAM), account, cursor, credit)


def _read_events(request: int, body: memoryview) -> Events:
    stream, more, reserved, account, first, position, count = _opening(_EVENTS, body)
    _zero(reserved, more > 1)
    times_at = _EVENTS.size + count * EVENT_BYTES
    _need(times_at + count * TIME_BYTES == len(body), Code.BAD_LENGTH, f"{count} events in a body of {len(body)} bytes")
    events = np.frombuffer(body, EVENT, count, _EVENTS.size) if count else np.empty(0, EVENT)
    times = np.frombuffer(body, np.int64, count, times_at) if count else np.empty(0, np.int64)
    return Events(request, _one_of(StreamKind, stream, Code.UNKNOWN_STREAM), account, first, position, events, times, bool(more))


def _read_read(request: int, body: memoryview) -> Read:
    at_least, size, reserved = _opening(_READ, body)
    _zero(reserved)
    rest = body[_READ.size:]
    _need(size <= len(rest), Code.BAD_LENGTH, f"a name of {size} bytes in {len(rest)}")
    _need(len(rest) - size <= MAX_ARGUMENT, Code.TOO_LARGE, f"an argument of {len(rest) - size} bytes; {MAX_ARGUMENT} fit")
    return Read(request, _text(rest[:size], MAX_NAME), at_least, bytes(rest[size:]))


def _read_bye(request: int, body: memoryview) -> Bye:
    code, reserved = _opening(_BYE, body)
    _zero(reserved, request)
    return Bye(_one_of(Code, code, Code.MALFORMED), _text(body[_BYE.size:], MAX_TEXT))


def _read_unsubscribe(request: int, body: memoryview) -> Unsubscribe:
    _need(not len(body), Code.BAD_LENGTH, "UNSUBSCRIBE has no body")
    return Unsubscribe(request)


def _read_logon(request: int, body: memoryview) -> Logon:
    signature, = _opening(_LOGON, body)
    _zero(request)
    return Logon(_text(body[_LOGON.size:], MAX_KEY), signature)


def _read_admitted(request: int, body: memoryview) -> Admitted:
    account, actor, highest, events, time, *limits = _exactly(_ADMITTED, body)
    _zero(request)
    return Admitted(account, actor, highest, events, time, Limits(*limits))


def _read_token(kind: Any, request: int, body: memoryview) -> Message:
    _zero(request)
    return kind(*_exactly(_POSITION, body))


_READERS: dict[Verb, Any] = {
    Verb.HELLO: _read_hello,
    Verb.WELCOME: _read_welcome,
    Verb.SUBMIT: _read_submit,
    Verb.RECEIVED: lambda request, body: Received(request, *_exactly(_COUNT, body)),
    Verb.REFUSED: _read_refused,
    Verb.SUBSCRIBE: _read_subscribe,
    Verb.PULL: lambda request, body: Pull(request, *_exactly(_COUNT, body)),
    Verb.UNSUBSCRIBE: _read_unsubscribe,
    Verb.EVENTS: _read_events,
    Verb.READ: _read_read,
    Verb.VIEW: lambda request, body: View(request, _opening(_POSITION, body)[0], bytes(body[_POSITION.size:])),
    Verb.PING: lambda request, body: _read_token(Ping, request, body),
    Verb.PONG: lambda request, body: _read_token(Pong, request, body),
    Verb.BYE: _read_bye,
    Verb.CHALLENGE: lambda request, body: Challenge(*_exactly(_CHALLENGE, body)),
    Verb.LOGON: _read_logon,
    Verb.ADMITTED: _read_admitted,
}


class Session:
    """One end of one connection: `room()` to receive into, `filled(n)`, then `messages()`. Or `feed(data)` and `messages()`.

    A message's arrays are views of the receive buffer and hold until the next `room()` or `feed()`.
    """
    def __init__(self, end: End):
        self.end, self.state = end, State.FRESH
        self.fault: ProtocolFault | None = None
        self._buffer = bytearray(BUFFER_START)
        self._start = self._stop = 0

    def room(self) -> memoryview:
        """Where the next bytes may be written; never empty. What is whole must have been taken from `messages()` before."""
        full = self._stop == len(self._buffer)          # more came than there was room for: whoever sends so much gets more, and is read less often
        if self._start == self._stop or self.fault is not None or self.state is State.ENDED:
            self._start = self._stop = 0
        size = self._pending()
        if self._start + size > len(self._buffer) or full:              # the frame begun does not fit behind where it starts
            rest = bytes(memoryview(self._buffer)[self._start:self._stop])
            if len(self._buffer) < MAX_FRAME and (full or size > len(self._buffer)) and self.state is State.OPEN:
                self._buffer = bytearray(MAX_FRAME)
            self._buffer[:len(rest)] = rest
            self._start, self._stop = 0, len(rest)
        return memoryview(self._buffer)[self._stop:]

    def filled(self, count: int) -> None:
        self._stop += count

    def feed(self, data: bytes | bytearray | memoryview) -> Iterator[Message]:
        """All messages of `data` and what was left before it, in order. For tests and blocking clients: it copies."""
        view = memoryview(data)
        while len(view) and self.state is not State.ENDED:
            room = self.room()
            take = min(len(room), len(view))
            room[:take] = view[:take]
            self.filled(take)
            view = view[take:]
            yield from self.messages()

    def messages(self) -> Iterator[Message]:
        """What has arrived whole. Raises ProtocolFault at the first frame that breaks the protocol, and again at every later call."""
        if self.fault is not None:
            raise self.fault
        while self.state is not State.ENDED and self._stop - self._start >= HEAD.size:
            try:
                size = self._pending()
                if self._stop - self._start < size:
                    return
                message = self._take(size)
            except ProtocolFault as fault:
                self.fault = fault
                raise
            yield message

    def _pending(self) -> int:
        """Bytes of the frame begun, 0 when its length is not here yet. Checks the length, so that no one waits for a frame that cannot come."""
        if self._stop - self._start < 4:
            return 0
        size = int.from_bytes(self._buffer[self._start:self._start + 4], "little")
        _need(size >= HEAD.size, Code.BAD_LENGTH, f"a frame of {size} bytes; the head alone has {HEAD.size}")
        most = MAX_FRAME if self.state is State.OPEN else MAX_STRANGER
        _need(size <= most, Code.TOO_LARGE, f"a frame of {size} bytes; {most} fit")
        return size

    def admit(self) -> None:
        """Who was asked has proven who it is."""
        _need(self.state is State.ANSWERED, Code.UNEXPECTED, "nobody has logged on")
        self.state = State.OPEN

    def _take(self, size: int) -> Message:
        _, verb, flags, reserved, request = HEAD.unpack_from(self._buffer, self._start)
        _need(verb in _READERS, Code.UNKNOWN_VERB, f"no verb {verb}")
        _zero(flags, reserved)
        if not (after := MOVES.get((self.end, self.state, verb))):
            raise ProtocolFault(Code.UNEXPECTED, f"{Verb(verb).name} may not come to the {self.end.name.lower()} while {self.state.name}")
        message = _READERS[verb](request, memoryview(self._buffer)[self._start + HEAD.size:self._start + size])
        self._start += size
        self.state = after
        return message


# ------------------------------------------------------------------------------------------------------------------- what may enter the log
def fit_to_seal(records: np.ndarray, attachments: bytes = b"") -> Code:
    """NONE, or why a SUBMIT is refused before anything of it is queued. Looks at nothing but what could harm its neighbours in an entry."""
    if attachments and (len(attachments) > MAX_ATTACHMENTS or len(records) > MAX_ATTACHED_RECORDS):
        return Code.TOO_LARGE
    longest, attached = looked_at(records)
    if not 0 < longest <= MAX_GROUP:                    # one left open would swallow the next connection's command
        return Code.MALFORMED
    if attachments or attached:
        return _attached(records["attachment"], attachments)
    return Code.NONE


def _attached(named: np.ndarray, attachments: bytes) -> Code:
    """Whether the section is whole items, and each number in `named` one of them."""
    at, items = 0, {0}
    while at < len(attachments):
        if at + _LENGTH.size > len(attachments):
            return Code.MALFORMED
        items.add(1 + at // 8)
        end = at + _LENGTH.size + _LENGTH.unpack_from(attachments, at)[0]
        at = end + -end % 8
        if at > len(attachments) or any(attachments[end:at]):
            return Code.MALFORMED
    return Code.NONE if items.issuperset(named.tolist()) else Code.MALFORMED


def attach(items: list[bytes]) -> tuple[bytes, list[int]]:
    """An attachments section of these items, and what a record's `attachment` must be to name each."""
    section = SideSection()
    named = [section.add(item) for item in items]
    return bytes(section), named
