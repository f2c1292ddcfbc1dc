"""A client's side of the WebSocket, over as many connections as it takes: what to send after each logon, and what every message means.

Decides that a call without an answer is sent again, byte for byte, on the next connection, and that every subscription goes on where it stopped. It must
not know a socket, a clock or chance. Raises nothing at a broken book: it asks for a new one.
"""
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from cambist.client.calls import ApiError, Told, fault
from cambist.client.order_book import BookBroken, OrderBook

FATAL = frozenset({"BAD_SIGNATURE", "UNKNOWN_KEY", "DISABLED_KEY", "NO_KEY", "NO_ACCOUNT"})     # ends of a logon that would end the same way again


class Answered(NamedTuple):
    client_id: str
    told: Told | ApiError


class Private(NamedTuple):
    cursor: int
    body: dict[str, Any]


class Trades(NamedTuple):
    instrument: str
    trades: list[dict[str, Any]]


class Session(NamedTuple):
    """What is traded now in an instrument, and how; the newest is all there is to know."""
    instrument: str
    told: dict[str, Any]


class Changed(NamedTuple):
    """A book changed, broke or came back."""
    book: OrderBook


class Ready(NamedTuple):
    """Logged on, or, without a key, connected."""
    welcome: dict[str, Any]


class Over(NamedTuple):
    """The house ends this connection; `fatal`: the next one would end the same way."""
    fault: ApiError
    fatal: bool


class Complaint(NamedTuple):
    """An error that answers no call, and the subscription it is about, which is wanted no more."""
    fault: ApiError
    channel: str | None
    instrument: str
    book: OrderBook | None


Happening = Answered | Private | Trades | Session | Changed | Ready | Over | Complaint


class Conversation:
    """`logon(challenge)` gives the signed logon, None: public channels only. `outgoing` is what must be sent on the connection that is up."""
    def __init__(self, logon: Callable[[str], dict[str, str]] | None = None):
        self.ready, self.welcome = False, dict[str, Any]()
        self.calls: dict[str, bytes] = {}               # client id -> the frame, in the order they were made
        self.tries: Counter[str] = Counter()            # client id -> how often it went out
        self.books: dict[str, OrderBook] = {}
        self.tapes: set[str] = set()
        self.floors: set[str] = set()
        self.cursor: int | None = None                  # next number of the private stream; None: not wanted
        self.private = self._asked = False              # it is told on this connection; it was asked for
        self._logon, self._out = logon, list[bytes]()

    def outgoing(self) -> list[bytes]:
        out, self._out = self._out, []
        return out

    # ------------------------------------------------------------------------------------------------------------------------------ wanted
    def call(self, client_id: str, frame: bytes) -> None:
        self.calls[client_id] = frame
        self.again(client_id)

    def again(self, client_id: str) -> None:
        """The same bytes once more, after an answer that says nothing about the outcome; on the next connection they go out anyway."""
        if self.ready and client_id in self.calls:
            self.tries[client_id] += 1
            self._out.append(self.calls[client_id])

    def forget(self, client_id: str) -> None:
        self.calls.pop(client_id, None)
        self.tries.pop(client_id, None)

    def want_book(self, book: OrderBook) -> None:
        self.books[book.instrument] = book
        self._say(op="subscribe", channel="book", instrument=book.instrument)

    def drop_book(self, instrument: str) -> None:
        if self.books.pop(instrument, None) is not None:
            self._say(op="unsubscribe", channel="book", instrument=instrument)

    def want_trades(self, instrument: str) -> None:
        if instrument not in self.tapes:
            self.tapes.add(instrument)
            self._say(op="subscribe", channel="trades", instrument=instrument)

    def drop_trades(self, instrument: str) -> None:
        if instrument in self.tapes:
            self.tapes.discard(instrument)
            self._say(op="unsubscribe", channel="trades", instrument=instrument)

    def want_session(self, instrument: str) -> None:
        if instrument not in self.floors:
            self.floors.add(instrument)
            self._say(op="subscribe", channel="session", instrument=instrument)

    def drop_session(self, instrument: str) -> None:
        if instrument in self.floors:
            self.floors.discard(instrument)
            self._say(op="unsubscribe", channel="session", instrument=instrument)

    def want_private(self, cursor: int) -> None:
        """From this number on; 0: from now."""
        self.cursor = cursor
        self._subscribe_private()

    def pause_private(self) -> None:
        """No more for now; `want_private(cursor)` goes on."""
        if self._asked:
            self.private = self._asked = False
            self._say(op="unsubscribe", channel="private")

    def drop_private(self) -> None:
        self.pause_private()
        self.cursor = None

    # ------------------------------------------------------------------------------------------------------------------------------- heard
    def disconnected(self) -> list[Changed]:
        """Everything stays wanted; no book is live."""
        self.ready = self.private = self._asked = False
        self._out.clear()
        for book in self.books.values():
            book.live = False
        return [Changed(book) for book in self.books.values()]

    def heard(self, data: bytes) -> Iterator[Happening]:
        """One message. Ones of a later release, whose `op` is not known here, are left out."""
        told = msgspec.json.decode(data)
        match told.get("op"):
            case "challenge": yield from self._challenged(told)
            case "welcome": yield from self._welcomed(told)
            case "answer": yield from self._answered(told)
            case "event": yield from self._event(told)
            case "subscribed" if told.get("channel") == "private": self._following(told)
            case "book": yield from self._book(told)
            case "trades": yield Trades(told["instrument"], told["trades"])
            case "session": yield Session(told["instrument"], told)
            case "error": yield from self._error(told)
            case "bye": yield Over(ApiError(told["code"], told["message"]), told["code"] in FATAL)

    def _challenged(self, told: dict[str, Any]) -> Iterator[Happening]:
        if self._logon is None:
            yield from self._welcomed({})
        else:
            self._out.append(msgspec.json.encode({"op": "logon", **self._logon(told["challenge"])}))

    def _welcomed(self, told: dict[str, Any]) -> Iterator[Happening]:
        self.ready, self.welcome = True, told
        for client_id in self.calls:
            self.again(client_id)
        for book in self.books.values():
            self._say(op="subscribe", channel="book", instrument=book.instrument)
        for instrument in sorted(self.tapes):
            self._say(op="subscribe", channel="trades", instrument=instrument)
        for instrument in sorted(self.floors):
            self._say(op="subscribe", channel="session", instrument=instrument)
        self._subscribe_private()
        yield Ready(told)

    def _answered(self, told: dict[str, Any]) -> Iterator[Happening]:
        client_id, status, body = told["id"], told["status"], told["body"]
        if client_id in self.calls:
            yield Answered(client_id, Told(body, status, client_id, told["duplicate"]) if 200 <= status < 300 else
                           fault(status, body, told.get("retry_after", 0), told["duplicate"]))

    def _following(self, told: dict[str, Any]) -> None:
        if self.cursor is not None and self._asked:
            self.cursor, self.private = told["cursor"], True

    def _event(self, told: dict[str, Any]) -> Iterator[Happening]:
        if self.cursor is None or not self.private:
            return                                      # sent before our unsubscribe was heard
        if told["cursor"] != self.cursor:
            if told["cursor"] > self.cursor:            # one is missing: go back to it
                self.pause_private()
                self._subscribe_private()
            return
        self.cursor = told["cursor"] + 1
        yield Private(told["cursor"], told["body"])

    def _book(self, told: dict[str, Any]) -> Iterator[Happening]:
        book = self.books.get(told["instrument"])
        if book is None:
            return
        try:
            book.take(told)
        except BookBroken:
            self._say(op="unsubscribe", channel="book", instrument=book.instrument)
            self._say(op="subscribe", channel="book", instrument=book.instrument)
        yield Changed(book)

    def _error(self, told: dict[str, Any]) -> Iterator[Happening]:
        said = fault(400, told)
        if told.get("id") in self.calls:
            yield Answered(told["id"], said)
        else:
            channel, instrument = told.get("channel"), told.get("instrument", "")
            if channel == "private":
                self.cursor, self.private, self._asked = None, False, False
            elif channel == "trades":
                self.tapes.discard(instrument)
            elif channel == "session":
                self.floors.discard(instrument)
            yield Complaint(said, channel, instrument, self.books.pop(instrument, None) if channel == "book" else None)

    def _subscribe_private(self) -> None:
        if self.ready and self.cursor is not None and not self._asked:
            self._asked = True
            self._say(op="subscribe", channel="private", cursor=self.cursor)

    def _say(self, **message: Any) -> None:
        if self.ready:
            self._out.append(msgspec.json.encode(message))
