"""Recorded market data, read as if it were live.

Decides how recorded lines become `BookUpdate`s, and when a recording is not to be believed. It must not open files, know a
clock, or guess: what is torn, out of order, crossed or not a whole number of increments is an error that says what is wrong,
where, and what would be right. `recorded_shell.py` opens the files and hands the lines in.

Three shapes are read: Bybit order books as the venue sent them (a snapshot, then deltas), one-minute bars as CSV, and best
quotes as CSV or rows. A recording's own times are kept; they may stand still but never run backwards.
"""

from __future__ import annotations

import csv
import heapq
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import Annotated, Literal, NamedTuple

import msgspec

from cambist.venues.venue import BOOK_DEPTH_MAX, BookUpdate, DecimalError, Grid, Terms

LINE_BYTES_MAX = 1 << 20  # a 500-level snapshot is about 20 KB
SIDE_LEVELS_MAX = 10_000  # levels a recorded book may hold, a side
NS_PER_MS = 1_000_000
NS_PER_SECOND = 1_000_000_000

BAR_COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
QUOTE_COLUMNS = ("timestamp", "symbol", "ask_size", "ask", "bid_size", "bid")


class RecordedError(ValueError):
    """A recording that can not be believed. `code` is stable; `line` counts from 1; `offset` is the line's first byte."""

    def __init__(self, code: str, file: str, line: int, wrong: str, right: str, offset: int | None = None) -> None:
        where = file if not line else f"{file}, line {line}" + ("" if offset is None else f" (byte {offset})")
        super().__init__(f"{where}: {code}: {wrong}; {right}")
        self.code, self.file, self.line, self.offset, self.wrong, self.right = code, file, line, offset, wrong, right


class Place(NamedTuple):
    """Where in a recording we are."""

    file: str
    line: int
    offset: int | None

    def error(self, code: str, wrong: str, right: str) -> RecordedError:
        return RecordedError(code, self.file, self.line, wrong, right, self.offset)


class QuoteRow(NamedTuple):
    """One recorded best quote, still as text. Parquet rows come in this shape too, with the row number for the line."""

    place: Place
    timestamp: str
    symbol: str
    ask_size: str
    ask: str
    bid_size: str
    bid: str


class BarPath(msgspec.Struct, frozen=True, kw_only=True):
    """How a bar becomes quotes: four mids (open, then low and high, nearer end last, then close), each with this spread and size.

    A rising bar goes open, low, high, close; a falling one open, high, low, close; a quarter of a minute apart.
    """

    spread: int  # in price increments
    size: int  # in base-asset units, on both sides
    stamped: Literal["open", "close"] = "open"  # which end of the minute the timestamp names
    minute_ns: int = 60 * NS_PER_SECOND


# -- Bybit order books ------------------------------------------------------------------------------------------------

_Whole = Annotated[int, msgspec.Meta(ge=0)]


class _BybitData(msgspec.Struct):
    s: str
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]
    u: _Whole
    seq: _Whole = 0


class _BybitMessage(msgspec.Struct):
    topic: str
    type: Literal["snapshot", "delta"]
    ts: _Whole
    data: _BybitData
    cts: _Whole | None = None


def bybit_books(
    lines: Iterable[bytes], terms: Terms, *, file: str, symbol: str | None = None, round_to_tick: bool = False
) -> Iterator[BookUpdate]:
    """Bybit `orderbook.*` messages, one JSON object a line; the best levels of the book after each."""
    decode = msgspec.json.Decoder(_BybitMessage).decode
    book = _RecordedBook(terms, round_to_tick)
    last_u = last_time = -1
    for place, text, ended in _placed(lines, file):
        message = _message(decode, place, text, ended)
        symbol = _checked_topic(message, symbol, place)
        u = message.data.u
        if message.type == "snapshot":
            book.clear()
        elif last_u < 0:
            raise place.error("no_snapshot", "a delta comes before any snapshot", "begin the recording with a snapshot")
        elif u != last_u + 1:
            raise place.error("gap", f"u is {u} after {last_u}", f"the next delta must be u {last_u + 1}, or a new snapshot")
        now = (message.ts if message.cts is None else message.cts) * NS_PER_MS
        _check_order(now, last_time, place)
        book.change(message.data, message.type == "snapshot", place)
        last_u, last_time = u, now
        yield BookUpdate(terms.number, now, *book.best(place))


def _message(decode: Callable[[bytes], _BybitMessage], place: Place, text: bytes, ended: bool) -> _BybitMessage:
    try:
        return decode(text)
    except msgspec.ValidationError as wrong:
        raise place.error("wrong_type", str(wrong), "a Bybit message has topic, type, ts and data with s, b, a, u") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        if not ended:
            raise place.error("cut", "the file ends in the middle of this line", "copy the whole file, or drop the line") from None
        raise place.error("not_json", str(wrong), "each line is one JSON object") from None


def _checked_topic(message: _BybitMessage, symbol: str | None, place: Place) -> str:
    found = re.fullmatch(r"orderbook\.\d{1,4}\.([A-Z0-9-]{1,40})", message.topic, re.ASCII)
    if found is None:
        raise place.error("unknown_topic", f"topic is {message.topic!r}", "only orderbook.<depth>.<symbol> can be read")
    if message.data.s != found[1]:
        raise place.error("mixed_symbols", f"the topic names {found[1]} and the data {message.data.s!r}", "both must name one symbol")
    if symbol is not None and found[1] != symbol:
        raise place.error("mixed_symbols", f"this line is of {found[1]}", f"a recording of {symbol} holds only that symbol")
    return found[1]


class _RecordedBook:
    """Price levels in increments and units. Deltas replace a level's quantity; zero removes it.

    Rounding reaches quantities only: two prices rounded into one level could never be told apart by a later delta.
    """

    __slots__ = ("_asks", "_bids", "_price", "_quantity", "_round")

    def __init__(self, terms: Terms, round_to_tick: bool) -> None:
        self._price, self._quantity = Grid(terms.price_increment), Grid(terms.base_unit)
        self._round = round_to_tick
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}

    def clear(self) -> None:
        self._bids.clear()
        self._asks.clear()

    def change(self, data: _BybitData, snapshot: bool, place: Place) -> None:
        for word, side, levels in (("bid", self._bids, data.b), ("ask", self._asks, data.a)):
            seen = set()
            for price_text, quantity_text in levels:
                price = _counted(self._price, price_text, f"{word} price", place, None, above_zero=True)
                quantity = _counted(self._quantity, quantity_text, f"{word} quantity", place, -1 if self._round else None)
                if price in seen:
                    raise place.error("repeated_price", f"{word} {price_text} stands twice in one message", "name each price once")
                if snapshot and quantity == 0 and not self._round:
                    raise place.error("empty_level", f"{word} {price_text} has quantity 0 in a snapshot", "leave empty levels out")
                seen.add(price)
                if quantity:
                    side[price] = quantity
                else:
                    side.pop(price, None)
            if len(side) > SIDE_LEVELS_MAX:
                raise place.error("too_deep", f"the book has {len(side)} {word} levels", f"at most {SIDE_LEVELS_MAX} can be held")

    def best(self, place: Place) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
        if not self._bids or not self._asks:
            word = "bids" if not self._bids else "asks"
            raise place.error("cut_book", f"no {word} are left", "a recorded book has both sides after every message")
        bids = heapq.nlargest(BOOK_DEPTH_MAX, self._bids)
        asks = heapq.nsmallest(BOOK_DEPTH_MAX, self._asks)
        if bids[0] >= asks[0]:
            bid, ask = self._price.text(bids[0]), self._price.text(asks[0])
            raise place.error("crossed", f"best bid {bid} is not below best ask {ask}", "a message was lost or altered: record again")
        return tuple((price, self._bids[price]) for price in bids), tuple((price, self._asks[price]) for price in asks)


# -- one-minute bars --------------------------------------------------------------------------------------------------


def bars(lines: Iterable[bytes], terms: Terms, path: BarPath, *, file: str, round_to_tick: bool = False) -> Iterator[BookUpdate]:
    """Bars as CSV (timestamp, open, high, low, close, volume): four quotes a bar, along `path`."""
    if path.spread < terms.book_tick or path.spread % terms.book_tick or path.size < 1:
        wrong = f"the declared spread is {path.spread} and size {path.size}"
        raise RecordedError("bad_path", file, 0, wrong, f"the spread is a multiple of {terms.book_tick} and the size 1 or more")
    grid, volumes = Grid(terms.price_increment), Grid("0.00000001")
    rounding = 0 if round_to_tick else None
    last = -1
    for place, cells in _cells(lines, BAR_COLUMNS, file):
        start = _nanoseconds(cells[0], place) - (path.minute_ns if path.stamped == "close" else 0)
        _check_order(start, last, place, standing_still=False)
        last = start
        opened, high, low, closed = (
            _counted(grid, text, word, place, rounding, above_zero=True) for word, text in zip(BAR_COLUMNS[1:5], cells[1:5], strict=True)
        )
        _counted(volumes, cells[5], "volume", place, 0)
        if low > min(opened, closed) or high < max(opened, closed):
            wrong = f"open {cells[1]}, high {cells[2]}, low {cells[3]}, close {cells[4]} contradict one another"
            raise place.error("bar_contradicts", wrong, "low is the least and high the greatest of the four")
        between = (low, high) if closed >= opened else (high, low)
        for quarter, mid in enumerate((opened, *between, closed)):
            yield _around(mid, start + quarter * path.minute_ns // 4, terms, path)


def _around(mid: int, at: int, terms: Terms, path: BarPath) -> BookUpdate:
    bid = (mid - path.spread // 2) // terms.book_tick * terms.book_tick
    return BookUpdate(terms.number, at, ((bid, path.size),), ((bid + path.spread, path.size),))


# -- best quotes ------------------------------------------------------------------------------------------------------


def quote_rows(lines: Iterable[bytes], *, file: str) -> Iterator[QuoteRow]:
    """Quotes as CSV (timestamp, symbol, ask_size, ask, bid_size, bid), the columns in any order."""
    for place, cells in _cells(lines, QUOTE_COLUMNS, file):
        yield QuoteRow(place, *cells)


def quotes(rows: Iterable[QuoteRow], terms: Terms, *, symbol: str | None = None, round_to_tick: bool = False) -> Iterator[BookUpdate]:
    """Best quotes of one symbol. A file of several is refused, unless `symbol` says which is meant; then the others are passed over."""
    grid, units = Grid(terms.price_increment), Grid(terms.base_unit)
    down, up = (-1, 1) if round_to_tick else (None, None)
    only, last = symbol, -1
    for row in rows:
        place = row.place
        if row.symbol != only:
            if only is not None and symbol is not None:
                continue
            if only is not None:
                raise place.error("mixed_symbols", f"this quote is of {row.symbol!r}, those before of {only!r}", "say which symbol is meant")
            only = row.symbol
        now = _nanoseconds(row.timestamp, place)
        _check_order(now, last, place)
        last = now
        bid, ask = _counted(grid, row.bid, "bid", place, down, above_zero=True), _counted(grid, row.ask, "ask", place, up, above_zero=True)
        if bid >= ask:
            raise place.error("crossed", f"bid {row.bid} is not below ask {row.ask}", "a quote's bid is below its ask")
        bid_size, ask_size = _counted(units, row.bid_size, "bid_size", place, down), _counted(units, row.ask_size, "ask_size", place, down)
        yield BookUpdate(terms.number, now, ((bid, bid_size),) if bid_size else (), ((ask, ask_size),) if ask_size else ())


# -- lines, cells, numbers, times -------------------------------------------------------------------------------------


def _placed(lines: Iterable[bytes], file: str) -> Iterator[tuple[Place, bytes, bool]]:
    """Each line with its place, and whether it ended. A recording without a line is refused."""
    offset = number = 0
    for number, line in enumerate(lines, 1):
        place = Place(file, number, offset)
        offset += len(line)
        if len(line) > LINE_BYTES_MAX:
            raise place.error("too_long", f"the line has over {LINE_BYTES_MAX} bytes", "is this a recording with one message a line?")
        text = line.rstrip(b"\r\n")
        if not text:
            raise place.error("empty_line", "the line is empty", "leave no empty lines in a recording")
        yield place, text, line.endswith(b"\n")
    if not number:
        raise RecordedError("empty", file, 0, "the file is empty", "a recording has at least one line")


def _cells(lines: Iterable[bytes], columns: tuple[str, ...], file: str) -> Iterator[tuple[Place, list[str]]]:
    """Rows of a CSV with these columns, in this order of columns. A last line without an end may lack digits, so it is refused."""
    order: list[int] = []
    width = 0
    for place, line, ended in _placed(lines, file):
        if not ended:
            raise place.error("cut", "the file ends in the middle of this line", "copy the whole file; the last line ends with a newline")
        try:
            (cells,) = csv.reader([line.decode("utf-8")], strict=True)
        except (UnicodeDecodeError, ValueError, csv.Error) as wrong:
            raise place.error("not_csv", f"the line is not one CSV row ({wrong})", f"rows have the columns {', '.join(columns)}") from None
        if not order:
            cells = [cell.strip().lstrip("\ufeff") for cell in cells]
            if missing := [column for column in columns if column not in cells]:
                wrong = f"column {', '.join(missing)} is missing; found {', '.join(cells)}"
                raise place.error("missing_column", wrong, f"the first line names {', '.join(columns)}")
            order, width = [cells.index(column) for column in columns], len(cells)
            continue
        if len(cells) != width:
            raise place.error("wrong_width", f"{len(cells)} values stand under {width} columns", "every row has one value a column")
        yield place, [cells[index] for index in order]


def _counted(grid: Grid, text: str, word: str, place: Place, rounding: int | None, *, above_zero: bool = False) -> int:
    try:
        count = grid.count(text, rounding)
    except DecimalError as error:
        right = f"{error.right} (round_to_tick=True, where the recording may be rounded)" if error.code == "off_grid" else error.right
        raise place.error(error.code, f"{word}: {error.wrong}", right) from None
    if count < 0 or text.startswith("-"):
        raise place.error("negative", f"{word} is {text}", f"a recorded {word} is not negative")
    if above_zero and count == 0:
        raise place.error("not_positive", f"{word} is {text}", f"a recorded {word} is above zero")
    return count


def _check_order(now: int, last: int, place: Place, *, standing_still: bool = True) -> None:
    if now < last or (now == last and not standing_still):
        raise place.error("time_backwards", f"time {now} ns comes after {last} ns", "sort the recording, and let each bar stand once")


_TIMESTAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):?(\d\d)|([+-])(\d\d))?", re.ASCII)


def _nanoseconds(text: str, place: Place) -> int:
    """ISO 8601 (UTC where it names no zone) or whole nanoseconds since 1970, as ns since 1970, exactly."""
    if re.fullmatch(r"\d{18,19}", text, re.ASCII):
        return int(text)
    found = _TIMESTAMP.fullmatch(text)
    right = "write 2021-12-31 23:01:00.000000 (UTC), with Z or an offset, or nanoseconds since 1970"
    if found is None:
        raise place.error("wrong_type", f"timestamp is {text!r}", right)
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    try:
        days = date(year, month, day).toordinal() - date(1970, 1, 1).toordinal()
    except ValueError as wrong:
        raise place.error("wrong_type", f"timestamp is {text!r} ({wrong})", right) from None
    if hour > 23 or minute > 59 or second > 59:
        raise place.error("wrong_type", f"timestamp is {text!r}, which no clock shows", right)
    sign, ahead_hours, ahead_minutes = found[8] or found[11], int(found[9] or found[12] or 0), int(found[10] or 0)
    ahead = (ahead_hours * 60 + ahead_minutes) * (-1 if sign == "-" else 1)
    seconds = ((days * 24 + hour) * 60 + minute - ahead) * 60 + second
    if seconds < 0:
        raise place.error("wrong_type", f"timestamp is {text!r}, before 1970", right)
    return seconds * NS_PER_SECOND + int((found[7] or "").ljust(9, "0"))
