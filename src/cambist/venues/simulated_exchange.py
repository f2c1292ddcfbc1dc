"""The venue's side of its WebSocket API: requests in, words out, around a simulated market.

Decides who may order, what each connection is told, and what the venue remembers of its orders when it starts again. It must not know a socket, a file or a
clock: connections are numbers, time is handed in, and what is to be kept is told (`Keep`) before it is said to anyone.

A venue that starts again has a new market, but keeps its word: each order it ever spoke of is answered as before, and one that was still open is closed by
the venue. What it did and told to nobody did not happen.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

import msgspec

from cambist.messages import Side, TimeInForce
from cambist.sections import Design
from cambist.venues.simulated import SimulatedVenue
from cambist.venues.simulated_api import (
    BookWord, CancelOrder, Fault, FillWord, Hello, Level, LoggedOn, Logon, NewOrder, OrderWord, PingVenue, Pong, QueryOrder, Request, SubscribeBook, encode,
    read_request, read_word,
)
from cambist.venues.venue import (
    Acked, AskChild, BookUpdate, CancelChild, ChildReport, Closed, CloseReason, DecimalError, Filled, Grid, Intent, Liquidity, Missing, PlaceChild, Rejected,
    Terms,
)

REMEMBERED_MOST = 20_000                        # orders of earlier lives; the oldest are let go of when the venue starts
TIMES = {"gtc": TimeInForce.GTC, "ioc": TimeInForce.IOC, "fok": TimeInForce.FOK}
UNLISTED = 0                                    # no instrument has this number


class Send(NamedTuple):
    """A book may be left out for a connection that is slow; everything else may not."""
    connection: int
    text: bytes
    book: bool = False


class Hang(NamedTuple):
    """Close a connection, saying why."""
    connection: int
    why: str


class Keep(NamedTuple):
    """Bytes to be on file before what follows is said."""
    line: bytes


Out: TypeAlias = Send | Hang | Keep


class Symbols:
    """A venue's names for our instruments, and its decimals for our integers. `money`: the smallest unit of each instrument's quote asset, as a decimal."""

    def __init__(self, terms: Mapping[int, Terms], symbols: Mapping[str, int], money: Mapping[int, str]) -> None:
        self.number = dict(symbols)
        self.symbol = {number: symbol for symbol, number in symbols.items()}
        self._price = {number: Grid(terms[number].price_increment) for number in self.symbol}
        self._quantity = {number: Grid(terms[number].base_unit) for number in self.symbol}
        self._money = {number: Grid(money[number]) for number in self.symbol}

    def price_in(self, number: int, text: str) -> int:
        """Raises DecimalError for what is not a whole number of increments."""
        return self._price[number].count(text)

    def price_out(self, number: int, price: int) -> str:
        return self._price[number].text(price)

    def quantity_in(self, number: int, text: str) -> int:
        return self._quantity[number].count(text)

    def quantity_out(self, number: int, quantity: int) -> str:
        return self._quantity[number].text(quantity)

    def money_in(self, number: int, text: str) -> int:
        return self._money[number].count(text)

    def money_out(self, number: int, amount: int) -> str:
        return self._money[number].text(amount)

    def levels_out(self, number: int, levels: Iterable[tuple[int, int]]) -> list[Level]:
        return [(self.price_out(number, price), self.quantity_out(number, quantity)) for price, quantity in levels]

    def levels_in(self, number: int, levels: Iterable[Level]) -> list[tuple[int, int]]:
        return [(self.price_in(number, price), self.quantity_in(number, quantity)) for price, quantity in levels]


def venue_symbols(design: Design, names: Mapping[str, Mapping[str, int]], terms: Mapping[int, Terms], listed: Mapping[str, str]) -> Symbols:
    """The symbols a venue has for our instruments: `listed` by our names, as in the design."""
    numbers = names["instruments"]
    digits = {numbers[name]: design.assets[design.instruments[name].quote].digits for name in listed}
    money = {number: format(10 ** -places, f".{places}f") if places else "1" for number, places in digits.items()}
    return Symbols(terms, {symbol: numbers[name] for name, symbol in listed.items()}, money)


class SimulatedExchange:
    """`hear` takes a message, `step` lets time pass; both answer with what is to be sent and kept. Without `trading` it only shows prices."""

    def __init__(self, name: str, market: SimulatedVenue, symbols: Symbols, *, trading: bool = True) -> None:
        self.name, self.market, self._symbols, self._trading = name, market, symbols, trading
        self._said: dict[int, list[OrderWord | FillWord]] = {}
        self._placed: dict[int, int] = {}               # instrument by order
        self._earlier: set[int] = set()                 # orders of lives before this one
        self._intents: list[Intent] = []
        self._books: dict[int, BookWord] = {}
        self._readers: dict[int, set[int]] = {}         # instruments by connection
        self._session = self._trader = 0                # the newest session, and its connection

    # ---------------------------------------------------------------------------------------------------------------- memory
    def remember(self, lines: Iterable[bytes], now: int) -> list[bytes]:
        """What earlier lives said, oldest first; the lines to go on with. A torn last line was said to nobody."""
        for line in lines:
            try:
                word = read_word(line)
            except msgspec.MsgspecError:
                continue
            if isinstance(word, OrderWord | FillWord):
                self._said.setdefault(int(word.client_order_id), []).append(word)
        for number in list(self._said)[:-REMEMBERED_MOST]:
            del self._said[number]
        for number, words in self._said.items():
            last = words[-1]
            if isinstance(last, FillWord) or last.status == "new":
                words.append(self._closed_by_restart(number, words, now))
            self._earlier.add(number)
        return [encode(word) + b"\n" for words in self._said.values() for word in words]

    def _closed_by_restart(self, number: int, words: list[OrderWord | FillWord], now: int) -> OrderWord:
        fills = [word for word in words if isinstance(word, FillWord)]
        symbol = next((word.symbol for word in words if word.symbol), "")
        instrument = self._symbols.number.get(symbol, UNLISTED)
        filled = sum(self._symbols.quantity_in(instrument, fill.quantity) for fill in fills) if instrument else 0
        return OrderWord(str(number), "closed", now, symbol, reason=CloseReason.BY_VENUE.value,
                         filled_quantity=self._symbols.quantity_out(instrument, filled) if instrument else "0")

    # ----------------------------------------------------------------------------------------------------------- connections
    def connect(self, connection: int, now: int) -> list[Out]:
        self._readers[connection] = set()
        return [Send(connection, encode(Hello(self.name, list(self._symbols.number), now)))]

    def disconnect(self, connection: int) -> None:
        self._readers.pop(connection, None)
        if self._trader == connection:
            self._trader = 0

    def caught_up(self, connection: int) -> list[Out]:
        """A slow connection has read all it was sent: books as they are now."""
        return [Send(connection, encode(self._books[number]), book=True) for number in sorted(self._readers.get(connection, ())) if number in self._books]

    def hear(self, connection: int, text: bytes, now: int) -> list[Out]:
        if connection not in self._readers:
            return []                                   # it was told to go
        try:
            request = read_request(text)
        except msgspec.MsgspecError as wrong:
            return [self._fault(connection, "BAD_MESSAGE", str(wrong))]
        match request:
            case Logon(session=session):
                return self._log_on(connection, session)
            case SubscribeBook(symbols=wanted):
                return self._subscribe(connection, wanted)
            case PingVenue(id=number):
                return [Send(connection, encode(Pong(number, now)))]
        return self._order(connection, request) + self.step(now)

    def _log_on(self, connection: int, session: int) -> list[Out]:
        if session <= self._session and connection != self._trader:
            return [self._fault(connection, "OLD_SESSION", f"session {session} is not above {self._session}, the newest"), Hang(connection, "old session")]
        before, self._session, self._trader = self._trader, session, connection
        out: list[Out] = [Send(connection, encode(LoggedOn(session)))]
        if before and before != connection:
            del self._readers[before]
            out.append(Hang(before, "a newer session has logged on"))
        return out

    def _subscribe(self, connection: int, wanted: list[str]) -> list[Out]:
        if unknown := [symbol for symbol in wanted if symbol not in self._symbols.number]:
            return [self._fault(connection, "UNKNOWN_SYMBOL", f"no symbol {unknown[0]!r}; there are {', '.join(self._symbols.number)}")]
        numbers = [self._symbols.number[symbol] for symbol in wanted]
        self._readers[connection].update(numbers)
        return [Send(connection, encode(self._books[number]), book=True) for number in numbers if number in self._books]

    def _fault(self, connection: int, code: str, message: str, order: str = "") -> Send:
        return Send(connection, encode(Fault(code, message, order)))            # type: ignore[arg-type]

    # ---------------------------------------------------------------------------------------------------------------- orders
    def _order(self, connection: int, request: Request) -> list[Out]:
        assert isinstance(request, NewOrder | CancelOrder | QueryOrder)
        named = request.client_order_id
        if connection != self._trader:
            return [self._fault(connection, "NOT_LOGGED_ON", "log on with a session number before ordering", named)]
        if not self._trading:
            return [self._fault(connection, "NO_TRADING", f"{self.name} shows prices and takes no orders", named)]
        number = int(named)
        if number in self._earlier:
            words = self._said[number] if not isinstance(request, CancelOrder) else self._said[number][-1:]
            return [Send(connection, encode(word)) for word in words]
        if isinstance(request, NewOrder):
            try:
                self._intents.append(self._placing(number, request))
            except DecimalError as wrong:
                return [self._fault(connection, "BAD_NUMBER", str(wrong), named)]
        else:
            self._intents.append(CancelChild(number) if isinstance(request, CancelOrder) else AskChild(number))
        return []

    def _placing(self, number: int, request: NewOrder) -> PlaceChild:
        instrument = self._symbols.number.get(request.symbol, UNLISTED)
        quantity, price = (self._symbols.quantity_in(instrument, request.quantity), self._symbols.price_in(instrument, request.price)) if instrument else (0, 0)
        self._placed.setdefault(number, instrument)
        return PlaceChild(number, instrument, Side.BUY if request.side == "buy" else Side.SELL, quantity, price, TIMES[request.time_in_force])

    # ------------------------------------------------------------------------------------------------------------------ time
    def follow(self, update: BookUpdate) -> None:
        """The world's market moved."""
        self.market.follow(update)

    def next_event(self, now: int) -> int | None:
        return self.market.next_event(now)

    def step(self, now: int) -> list[Out]:
        intents, self._intents = self._intents, []
        out: list[Out] = []
        for report in self.market.step(now, intents):
            if isinstance(report, BookUpdate):
                out += self._publish(report)
                continue
            word = self._worded(report)
            said = self._said.setdefault(report.child_id, [])
            if word not in said and not isinstance(report, Missing):
                said.append(word)
                out.append(Keep(encode(word) + b"\n"))
            if not said:
                del self._said[report.child_id]
            if self._trader:
                out.append(Send(self._trader, encode(word)))
        return out

    def _publish(self, update: BookUpdate) -> list[Out]:
        number = update.instrument
        before = self._books.get(number)
        bids, asks = (self._symbols.levels_out(number, side) for side in (update.bids, update.asks))
        sequence = before.sequence + 1 if before else 1
        self._books[number] = BookWord("snapshot", self._symbols.symbol[number], sequence, update.time, bids, asks)
        if before is None:
            word = self._books[number]
        else:
            word = BookWord("update", before.symbol, sequence, update.time, _changes(before.bids, bids), _changes(before.asks, asks), before.sequence)
        text = encode(word)
        return [Send(connection, text, book=True) for connection, numbers in self._readers.items() if number in numbers]

    def _worded(self, report: ChildReport) -> OrderWord | FillWord:
        named, instrument = str(report.child_id), self._placed.get(report.child_id, UNLISTED)
        symbol, at = self._symbols.symbol.get(instrument, ""), report.time
        match report:
            case Acked():
                return OrderWord(named, "new", at, symbol, order_id=report.venue_order_id)
            case Filled():
                return FillWord(named, symbol, report.execution_id, self._symbols.quantity_out(instrument, report.quantity),
                                self._symbols.price_out(instrument, report.price), self._symbols.money_out(instrument, report.fee),
                                "maker" if report.liquidity is Liquidity.ADDED else "taker", at)
            case Closed():
                return OrderWord(named, "closed", at, symbol, reason=report.reason.value,
                                 filled_quantity=self._symbols.quantity_out(instrument, report.cum_quantity))
            case Rejected():
                return OrderWord(named, "rejected", at, symbol, reason=report.reason.value)
        return OrderWord(named, "unknown", at)


def _changes(before: list[Level], after: list[Level]) -> list[Level]:
    """Levels of `after` that are new or changed, and those that are gone, with "0"."""
    old, new = dict(before), dict(after)
    return [(price, quantity) for price, quantity in after if old.get(price) != quantity] + [(price, "0") for price, _ in before if price not in new]
