"""One WebSocket connection's side of the conversation: challenge, logon, operations, subscriptions, and what happens to a reader that is too slow.

Decides what is answered to every message and when a connection is paused or ended. It must not know a socket, a clock, a key's bytes or what an operation
does: a shell hands in what came, the monotonic time and how much waits to be read by the other side, and does what the effects say, in their order.
"""
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from enum import Enum
from typing import Any, Literal, NamedTuple

import msgspec

from cambist.dictionary import Wrong
from cambist.gateways.api import Answer, failure
from cambist.gateways.market_data import Update
from cambist.gateways.operations import Session

MAX_MESSAGE = 1 << 16                                   # bytes of a message from a client
MAX_IN_FLIGHT = 256                                     # operations of a connection that wait for their answers
MAX_WAITING = 1 << 20                                   # bytes a reader may leave unread before it is ended
HIGH, LOW = 1 << 16, 1 << 14                            # unread bytes at which increments and private events stop, and go on again
MAX_CONNECTIONS, MAX_PER_KEY = 4096, 32
TALK_BURST, TALK_PER_SECOND = 200, 50                   # messages that are no operations, and mistakes
SECOND = 1_000_000_000
LOGON_WITHIN, PING_EVERY, SILENT_FOR, STUCK_FOR = 10 * SECOND, 15 * SECOND, 45 * SECOND, 10 * SECOND


class Ended(int, Enum):
    """Close codes: those of RFC 6455 section 7.4.1 where one fits, else of its private range."""
    GOING_AWAY = 1001
    NOT_TEXT = 1003
    TOO_BIG = 1009
    TRY_LATER = 1013
    RATE = 4000
    LOGON_FAILED = 4001
    LOGON_TIMEOUT = 4002
    SILENT = 4003
    SLOW = 4008
    TOO_MANY = 4009


# -------------------------------------------------------------------------------------------------------------------------------- what a client says
class _Said(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    op: str


class Logon(_Said):
    key: str
    signature: str


class Subscribe(_Said):
    channel: Literal["private", "book", "trades", "session"]
    instrument: str | None = None
    cursor: int | None = None


class Unsubscribe(_Said):
    channel: Literal["private", "book", "trades", "session"]
    instrument: str | None = None


class Call(_Said):
    """`id` is the 128-bit client id of what changes state, and what an answer is known by."""
    id: str | None = None
    expires: int | None = None
    body: msgspec.Raw = msgspec.Raw(b"{}")


class _Op(msgspec.Struct):
    op: str
    id: Any = None
    channel: Any = None
    instrument: Any = None

    def named(self) -> dict[str, Any]:
        """What an error says about the message it answers."""
        words = {"to": self.op, "id": self.id, "channel": self.channel, "instrument": self.instrument}
        return {name: word[:64] for name, word in words.items() if isinstance(word, str)}


# ------------------------------------------------------------------------------------------------------------------------------------------ effects
class Send(NamedTuple):
    data: bytes


class Perform(NamedTuple):
    call: Call


class Welcome(NamedTuple):
    """Find out where the account's stream stands and call `welcomed`."""


class Follow(NamedTuple):
    """The account's stream from this number on, 0: from now; `followed`, then `told` for each batch."""
    cursor: int


class Unfollow(NamedTuple):
    pass


class Join(NamedTuple):
    """Of the channels book, trades and session."""
    channel: str
    number: int


class Leave(NamedTuple):
    channel: str
    number: int


class Ping(NamedTuple):
    pass


class Close(NamedTuple):
    """Nothing more is sent, and nothing that still comes is heard."""
    code: Ended
    reason: str


Effect = Send | Perform | Welcome | Follow | Unfollow | Join | Leave | Ping | Close
Effects = Iterator[Effect]


class Phase(Enum):
    STRANGER = "stranger"
    MEMBER = "member"
    ENDED = "ended"


class Seats:
    """How many connections there are, in all and of each key."""
    def __init__(self, most: int = MAX_CONNECTIONS, most_per_key: int = MAX_PER_KEY):
        self.taken, self.of_key = 0, dict[str, int]()
        self._most, self._most_per_key = most, most_per_key

    def enter(self) -> bool:
        if self.taken >= self._most:
            return False
        self.taken += 1
        return True

    def claim(self, key: str) -> bool:
        if self.of_key.get(key, 0) >= self._most_per_key:
            return False
        self.of_key[key] = self.of_key.get(key, 0) + 1
        return True

    def leave(self, key: str | None) -> None:
        self.taken -= 1
        if key is not None:
            self.of_key[key] -= 1
            if not self.of_key[key]:
                del self.of_key[key]


class Connection:
    """`check(key, signature, challenge)` gives who logged on or raises Wrong; `find(word)` the number of an instrument or raises Wrong; `names` are the
    operations there are. Times are monotonic ns."""
    def __init__(self, challenge: str, now: int, *, check: Callable[[str, str, str], Session], find: Callable[[str], int], names: Iterable[str], seats: Seats):
        self.phase, self.paused = Phase.STRANGER, False
        self.member: Session | None = None
        self.in_flight = 0
        self.books: dict[int, tuple[str, int]] = {}     # number -> epoch and sequence of what was sent last; ("", 0): a snapshot is due
        self.trades: set[int] = set()
        self.sessions: set[int] = set()
        self.cursor: int | None = None                  # next number of the private stream; None: not subscribed
        self._following = self._announced = False       # it is being followed; the client was told from where
        self._challenge, self._check, self._find, self._names, self._seats = challenge, check, find, frozenset(names), seats
        self._opened = self._alive = self._pinged = self._moved = now
        self._gone, self._talk, self._talked = 0, float(TALK_BURST), now

    # ------------------------------------------------------------------------------------------------------------------------------------ in
    def opened(self) -> Effects:
        yield _send({"op": "challenge", "challenge": self._challenge})

    def heard(self, data: bytes, now: int) -> Effects:
        """One whole text message."""
        self._alive = now
        if self.phase is Phase.ENDED:
            return
        try:
            yield from self._dispatch(data, now)
        except Wrong as wrong:
            yield from self._mistake(wrong, data, now)

    def heard_binary(self) -> Effects:
        yield from self.end(Ended.NOT_TEXT, "NOT_TEXT", "messages are JSON in text frames")

    def heard_too_much(self) -> Effects:
        yield from self.end(Ended.TOO_BIG, "TOO_BIG", f"a message holds at most {MAX_MESSAGE} bytes")

    def alive(self, now: int) -> None:
        """A pong, or any other sign."""
        self._alive = now

    def _dispatch(self, data: bytes, now: int) -> Effects:
        op = _decoded(data, _Op).op
        if op in self._names:
            yield from self._operation(_decoded(data, Call))
            return
        self._speak(now)
        if op == "logon":
            yield from self._logon(_decoded(data, Logon))
        elif op == "subscribe":
            yield from self._subscribe(_decoded(data, Subscribe))
        elif op == "unsubscribe":
            yield from self._unsubscribe(_decoded(data, Unsubscribe))
        else:
            raise Wrong("UNKNOWN_OP", "$.op", f"no operation {op[:40]!r}; there are logon, subscribe, unsubscribe, {', '.join(sorted(self._names))}")

    def _logon(self, said: Logon) -> Effects:
        if self.phase is Phase.MEMBER:
            raise Wrong("LOGGED_ON", "$.op", "this connection has logged on; open another for another key")
        try:
            member = self._check(said.key, said.signature, self._challenge)
        except Wrong as wrong:
            yield from self.end(Ended.TRY_LATER if wrong.code == "UNREACHABLE" else Ended.LOGON_FAILED, wrong.code, wrong.message)
            return
        if not self._seats.claim(member.key):
            yield from self.end(Ended.TOO_MANY, "TOO_MANY_CONNECTIONS", f"key {member.key} has {MAX_PER_KEY} connections; close one first")
            return
        self.phase, self.member = Phase.MEMBER, member
        yield Welcome()

    def welcomed(self, account: str, cursor: int | None, time: int) -> Effects:
        """`cursor` None: the house could not be asked, or the key may not read."""
        if self.member is not None and self.phase is Phase.MEMBER:
            yield _send({"op": "welcome", "key": self.member.key, "account": account, "scopes": sorted(self.member.scopes), "cursor": cursor, "time": time})

    def _operation(self, said: Call) -> Effects:
        if self.phase is not Phase.MEMBER:
            yield self._answer(said, failure(401, "NOT_LOGGED_ON", "log on first: sign the challenge of this connection"))
        elif self.in_flight >= MAX_IN_FLIGHT:
            yield self._answer(said, failure(429, "OVERLOAD", f"{MAX_IN_FLIGHT} operations of this connection wait for their answers", retry_after=1))
        else:
            self.in_flight += 1
            yield Perform(said)

    def answered(self, said: Call, answer: Answer) -> Effects:
        self.in_flight -= 1
        if self.phase is not Phase.ENDED:
            yield self._answer(said, answer)

    def _answer(self, said: Call, answer: Answer) -> Send:
        told: dict[str, Any] = {"op": "answer", "to": said.op, "id": said.id, "status": answer.status, "duplicate": answer.duplicate}
        return _send(told | ({"retry_after": answer.retry_after} if answer.retry_after else {}) | {"body": answer.body})

    # ------------------------------------------------------------------------------------------------------------------------------ channels
    def _subscribe(self, said: Subscribe) -> Effects:
        if said.channel == "private":
            yield from self._subscribe_private(said)
            return
        if said.cursor is not None:
            raise Wrong("BAD_CURSOR", "$.cursor", "only the private channel goes on from a cursor")
        number = self._instrument(said.instrument)
        if number in self._joined(said.channel):
            raise Wrong("SUBSCRIBED", "$.instrument", f"{said.channel} of {said.instrument} is subscribed already")
        if said.channel == "book":
            self.books[number] = ("", 0)
        else:
            (self.trades if said.channel == "trades" else self.sessions).add(number)
        yield _send({"op": "subscribed", "channel": said.channel, "instrument": said.instrument})
        yield Join(said.channel, number)

    def _subscribe_private(self, said: Subscribe) -> Effects:
        if self.member is None:
            raise Wrong("NOT_LOGGED_ON", "$.channel", "log on first: the private channel is of an account")
        if "read" not in self.member.scopes:
            raise Wrong("SCOPE", "$.channel", f"key {self.member.key} lacks the scope read")
        if said.instrument is not None:
            raise Wrong("UNKNOWN_FIELD", "$.instrument", "the private channel tells everything of the account")
        if self.cursor is not None:
            raise Wrong("SUBSCRIBED", "$.channel", "private is subscribed already")
        self.cursor = said.cursor or 0
        if not 0 <= self.cursor < 1 << 62:
            self.cursor = None
            raise Wrong("BAD_CURSOR", "$.cursor", "a cursor is a number from 1 on, or 0: from now")
        self._following, self._announced = True, False
        yield Follow(self.cursor)

    def followed(self, cursor: int) -> Effects:
        """The stream is followed, and its next number is `cursor`. Said to the client once, not again after a pause."""
        if self.cursor is not None and not self._announced:
            self._announced, self.cursor = True, cursor
            yield _send({"op": "subscribed", "channel": "private", "cursor": cursor})

    def not_followed(self, wrong: Wrong) -> Effects:
        """The house refused."""
        self.cursor, self._following = None, False
        yield _send({"op": "error", "to": "subscribe", "channel": "private", "error": _error(wrong)})

    def told(self, first: int, bodies: Iterable[Mapping[str, Any]], waiting: Callable[[], int]) -> Effects:
        """Private events from number `first` on, as long as what waits unread is little; the rest is asked for again when it has been read."""
        if self.cursor is None or not self._following:
            return
        for number, body in enumerate(bodies, first):
            if number < self.cursor:
                continue
            if waiting() > HIGH:
                self._following = False
                yield Unfollow()
                return
            self.cursor = number + 1
            yield _send({"op": "event", "cursor": number, "body": body})

    def _unsubscribe(self, said: Unsubscribe) -> Effects:
        if said.channel == "private":
            if self.cursor is None:
                raise Wrong("NOT_SUBSCRIBED", "$.channel", "private is not subscribed")
            yield _send({"op": "unsubscribed", "channel": "private", "cursor": self.cursor})
            self.cursor, following, self._following = None, self._following, False
            if following:
                yield Unfollow()
            return
        number = self._instrument(said.instrument)
        if number not in self._joined(said.channel):
            raise Wrong("NOT_SUBSCRIBED", "$.instrument", f"{said.channel} of {said.instrument} is not subscribed")
        if said.channel == "book":
            del self.books[number]
        else:
            (self.trades if said.channel == "trades" else self.sessions).discard(number)
        yield Leave(said.channel, number)
        yield _send({"op": "unsubscribed", "channel": said.channel, "instrument": said.instrument})

    def _joined(self, channel: str) -> Collection[int]:
        return self.books if channel == "book" else self.trades if channel == "trades" else self.sessions

    def _instrument(self, word: str | None) -> int:
        if word is None:
            raise Wrong("MISSING_FIELD", "$.instrument", "which instrument's?")
        return self._find(word)

    # ------------------------------------------------------------------------------------------------------------------------------- reading
    def takes(self, number: int, update: Update) -> bool:
        """Whether this update of a book is sent. One that is not sent makes a snapshot due, unless a later snapshot has told it already."""
        epoch, sequence = self.books.get(number, ("", -1))
        if sequence < 0 or (epoch == update.epoch and sequence >= update.sequence):
            return False
        if self.paused or (epoch, sequence) != (update.epoch, update.previous):
            self.books[number] = ("", 0)
            return False
        self.books[number] = (epoch, update.sequence)
        return True

    def shown(self, number: int, epoch: str, sequence: int) -> None:
        """A snapshot was sent."""
        if number in self.books:
            self.books[number] = (epoch, sequence)

    def behind(self, stands: Callable[[int], tuple[str, int]]) -> list[int]:
        """Books of which something was not sent, so that a snapshot is due; `stands` gives epoch and sequence of a book now."""
        return [] if self.paused or self.phase is Phase.ENDED else [number for number, sent in self.books.items() if sent != stands(number)]

    def pause(self) -> None:
        """More than HIGH waits unread."""
        self.paused = True

    def resume(self) -> Effects:
        """Less than LOW waits unread. The snapshots of the books that are `behind` are the shell's to send."""
        self.paused = False
        if self.cursor is not None and not self._following and self.phase is Phase.MEMBER:
            self._following = True
            yield Follow(self.cursor)

    def tick(self, now: int, waiting: int, gone: int) -> Effects:
        """About every second; `waiting` bytes are unread, `gone` bytes ever went out. Ends what is silent, stuck, or never logged on."""
        if self.phase is Phase.ENDED:
            return
        if waiting and gone > self._gone:               # the other side takes what waits
            self._moved = self._alive = now
        elif not waiting:
            self._moved = now
        self._gone = gone
        if waiting > MAX_WAITING or (now - self._moved > STUCK_FOR and (self.cursor is not None or self.trades or self.sessions or self.in_flight)):
            yield from self.slow()
        elif self.phase is Phase.STRANGER and not (self.books or self.trades or self.sessions) and now - self._opened > LOGON_WITHIN:
            yield from self.end(Ended.LOGON_TIMEOUT, "LOGON_TIMEOUT", f"no logon and no subscription within {LOGON_WITHIN // SECOND} s")
        elif now - self._alive > SILENT_FOR:
            yield from self.end(Ended.SILENT, "SILENT", f"not a sign of life in {SILENT_FOR // SECOND} s")
        elif now - max(self._alive, self._pinged) > PING_EVERY:
            self._pinged = now
            yield Ping()

    def slow(self) -> Effects:
        """Too much waits unread: the reader is ended, and told where to go on."""
        yield from self.end(Ended.SLOW, "SLOW", "this connection is not read fast enough", self.cursor)

    def end(self, code: Ended, name: str, message: str, cursor: int | None = None) -> Effects:
        if self.phase is not Phase.ENDED:
            self.phase = Phase.ENDED
            yield _send({"op": "bye", "code": name, "message": message, "cursor": cursor})
            yield Close(code, name)

    # ------------------------------------------------------------------------------------------------------------------------------ mistakes
    def _speak(self, now: int) -> None:
        """Raises Wrong RATE when a connection says too much that is no operation."""
        self._talk = min(float(TALK_BURST), self._talk + (now - self._talked) * TALK_PER_SECOND / SECOND)
        self._talked = now
        if self._talk < 1:
            raise Wrong("RATE", "$.op", f"more than {TALK_PER_SECOND} messages a second that are no operations")
        self._talk -= 1

    def _mistake(self, wrong: Wrong, data: bytes, now: int) -> Effects:
        """An error, as often as a connection may speak; then the end."""
        try:
            if wrong.code == "RATE":
                raise wrong
            self._speak(now)
        except Wrong as rate:
            yield from self.end(Ended.RATE, rate.code, rate.message)
            return
        try:
            named = _decoded(data, _Op).named()
        except Wrong:
            named = {}
        yield _send({"op": "error"} | named | {"error": _error(wrong)})


def _decoded(data: bytes, wanted: Any) -> Any:
    """Raises Wrong with the path of what does not fit."""
    try:
        return msgspec.json.decode(data, type=wanted)
    except msgspec.ValidationError as fault:
        text, _, path = str(fault).partition(" - at `")
        raise Wrong("BAD_MESSAGE", path.rstrip("`") or "$", text) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise Wrong("MALFORMED", "$", f"not JSON: {fault}") from None


def _error(wrong: Wrong) -> dict[str, Any]:
    return {"code": wrong.code, "message": wrong.message, "path": wrong.path}


def _send(told: Mapping[str, Any]) -> Send:
    return Send(msgspec.json.encode(told))
