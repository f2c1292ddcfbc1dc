"""Recordings: real ones read whole, small ones broken in each way a recording can be."""

from __future__ import annotations

import json
import sys
from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from cambist.venues import recorded
from cambist.venues.recorded import BarPath, Place, QuoteRow, RecordedError, bars, bybit_books, quote_rows, quotes
from cambist.venues.recorded_shell import detect_format, open_recording
from cambist.venues.venue import BookUpdate, DecimalError, Grid, Terms, book_fault

XRP = Terms("XRP/USDT", 3, "0.0001", "1", book_tick=1, quote_tick=1, lot=1, amount_num=1, amount_den=1, min_price=1, max_price=10**9)
BTC = Terms("BTC/USDT", 4, "0.01", "0.000001", book_tick=1, quote_tick=1, lot=1, amount_num=1, amount_den=1, min_price=1, max_price=10**9)
PERP = Terms("BTC/USD", 5, "0.25", "0.0001", book_tick=2, quote_tick=1, lot=1, amount_num=1, amount_den=1, min_price=1, max_price=10**9)
PATH = BarPath(spread=4, size=10_000)
DAY = 1_733_011_200_000


# -- the real recordings ----------------------------------------------------------------------------------------------


def test_the_bybit_recording_is_read_whole(shared_data):
    books = list(open_recording(shared_data / "bybit-xrpusdt-ob500-2024-12-01.jsonl", XRP))
    assert len(books) == 50
    assert books[0].bids[0] == (19531, 6203) and books[0].time == 1733011200589 * 10**6
    assert books[1].bids[0] == (19531, 6198) and books[1].asks[0] == (19532, books[1].asks[0][1])
    assert all(book_fault(book) is None and len(book.bids) == len(book.asks) == 50 for book in books)
    assert [book.time for book in books] == sorted(book.time for book in books)


def test_the_bybit_recording_needs_its_own_increments(shared_data):
    coarse = Terms("XRP/USDT", 3, "0.01", "1", 1, 1, 1, 1, 1, 1, 10**9)
    with pytest.raises(RecordedError, match=r"off_grid: bid price: 1\.9531 is not a multiple of 0\.01"):
        list(open_recording(shared_data / "bybit-xrpusdt-ob500-2024-12-01.jsonl", coarse))


def test_a_month_of_bars_is_read_whole(shared_data):
    path = shared_data / "btcusd-perp-1m-2022-01.csv"
    count = low = high = last = 0
    for book in open_recording(path, PERP, path_of_bars=PATH, round_to_tick=True):
        bid, ask = book.bids[0][0], book.asks[0][0]
        assert ask - bid == PATH.spread and book.time > last
        low, high, last, count = min(low or bid, bid), max(high, ask), book.time, count + 1
    assert count == 4 * 45_031 and 32_000 * 4 < low < 33_500 * 4 and 47_000 * 4 < high < 49_000 * 4


def test_a_bar_off_the_grid_is_named_by_line_and_byte(shared_data):
    with pytest.raises(RecordedError, match=r"csv, line 17524 \(byte 1252811\): off_grid: close: 43613\.875 is not a multiple of 0\.25"):
        list(open_recording(shared_data / "btcusd-perp-1m-2022-01.csv", PERP, path_of_bars=PATH))


def test_bars_are_not_read_without_a_declared_path(shared_data):
    with pytest.raises(RecordedError, match="bars say no spread and no size"):
        open_recording(shared_data / "btcusd-perp-1m-2022-01.csv", PERP)


def test_the_parquet_quotes_are_read_whole(shared_data):
    pytest.importorskip("duckdb", reason="the reports extra (duckdb) is not installed")
    books = list(open_recording(shared_data / "binance-btcusdt-quotes-2021-01-08.parquet", BTC))
    assert len(books) == 451
    assert books[0] == BookUpdate(4, 1_610_064_001_076_000_000, ((3943299, 3100),), ((3943362, 66851),))
    assert books[3].bids == ((3943071, 31035),)  # stored as 0.031035000000000004


def test_parquet_trades_are_not_quotes(shared_data):
    pytest.importorskip("duckdb", reason="the reports extra (duckdb) is not installed")
    with pytest.raises(RecordedError, match="missing_column: column symbol is missing; found timestamp, trade_id"):
        list(open_recording(shared_data / "binance-btcusdt-trades-2021-01-08.parquet", BTC))


def test_a_cut_parquet_file_is_refused(shared_data, tmp_path):
    whole = (shared_data / "binance-btcusdt-quotes-2021-01-08.parquet").read_bytes()
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RecordedError, match="cut: the Parquet file has no end"):
        open_recording(cut, BTC)
    cut.write_bytes(whole[:2000] + b"\0" * 3000 + whole[5000:])
    pytest.importorskip("duckdb", reason="the reports extra (duckdb) is not installed")
    with pytest.raises(RecordedError, match="not_parquet"):
        list(open_recording(cut, BTC))


def test_any_cut_of_the_bybit_recording_is_refused_or_a_whole_number_of_lines(shared_data, tmp_path):
    whole = (shared_data / "bybit-xrpusdt-ob500-2024-12-01.jsonl").read_bytes()[:30_000]
    for size in range(1, len(whole), 977):
        piece = whole[:size]
        lines = piece.splitlines(keepends=True)
        if piece.endswith((b"\n", b"}")) and not piece.endswith(b"]}"):
            assert len(list(bybit_books(lines, XRP, file="x"))) == len(lines)
        else:
            with pytest.raises(RecordedError) as caught:
                list(bybit_books(lines, XRP, file="x"))
            assert (caught.value.code, caught.value.line) == ("cut", len(lines))


# -- Bybit order books ------------------------------------------------------------------------------------------------


def message(number: int, bids=(), asks=(), kind="delta", at=None, **changed) -> bytes:
    data = {"s": "XRPUSDT", "b": [list(one) for one in bids], "a": [list(one) for one in asks], "u": number, "seq": number}
    whole = {"topic": "orderbook.500.XRPUSDT", "type": kind, "ts": DAY + number, "cts": (DAY + number) if at is None else at, "data": data}
    whole["data"] |= {key: value for key, value in changed.items() if key in data}
    whole |= {key: value for key, value in changed.items() if key in whole}
    return json.dumps(whole).encode() + b"\n"


SNAPSHOT = message(1, [("1.9", "5"), ("1.8", "6")], [("2.0", "7"), ("2.1", "8")], "snapshot")


def read(*lines: bytes, **options):
    return list(bybit_books(lines, XRP, file="book.jsonl", **options))


def refused(code: str, *lines: bytes, line: int | None = None, read=read, **options) -> RecordedError:
    with pytest.raises(RecordedError) as caught:
        read(*lines, **options)
    error = caught.value
    assert error.code == code, str(error)
    assert error.wrong and error.right and error.file in str(error)
    if line is not None:
        assert error.line == line
        assert error.offset == sum(len(one) for one in lines[: line - 1])
    return error


def test_a_delta_replaces_adds_and_removes_levels():
    books = read(SNAPSHOT, message(2, [("1.9", "0"), ("1.85", "3")], [("2.0", "1")]))
    assert books[0].bids == ((19000, 5), (18000, 6)) and books[0].asks == ((20000, 7), (21000, 8))
    assert books[1].bids == ((18500, 3), (18000, 6)) and books[1].asks == ((20000, 1), (21000, 8))
    assert books[1].time == (DAY + 2) * 10**6


def test_a_later_snapshot_begins_again_with_any_u():
    books = read(SNAPSHOT, message(9, [("1.5", "1")], [("1.6", "1")], "snapshot"), message(10, [("1.51", "1")]))
    assert books[1].bids == ((15000, 1),) and books[2].bids == ((15100, 1), (15000, 1))


def test_at_most_fifty_levels_are_shown_and_deeper_ones_come_up():
    bids = [(f"1.{index:04}", "1") for index in range(1, 61)]
    books = read(message(1, bids, [("2", "1")], "snapshot"), message(2, [(price, "0") for price, _ in bids[-20:]]))
    assert [len(book.bids) for book in books] == [50, 40] and books[1].bids[-1] == (10001, 1)


def test_a_whole_last_line_needs_no_newline():
    assert len(read(SNAPSHOT, message(2).rstrip(b"\n"))) == 2
    refused("cut", SNAPSHOT, message(2)[:-5], line=2)


BAD_BYBIT = [
    ("gap", message(3)),
    ("gap", message(1)),
    ("crossed", message(2, [("2.0", "1")])),
    ("crossed", message(2, [("2.5", "1")])),
    ("cut_book", message(2, [("1.9", "0"), ("1.8", "0")])),
    ("time_backwards", message(2, at=DAY)),
    ("unknown_topic", message(2, topic="tickers.XRPUSDT")),
    ("unknown_topic", message(2, topic="publicTrade.XRPUSDT")),
    ("mixed_symbols", message(2, s="BTCUSDT")),
    ("mixed_symbols", message(2, s="BTCUSDT", topic="orderbook.500.BTCUSDT")),
    ("not_json", b"hello\n"),
    ("not_json", message(2)[:-9] + b"\n"),
    ("wrong_type", message(2, u="2")),
    ("wrong_type", message(2, u=2.5)),
    ("wrong_type", message(2, u=-2)),
    ("wrong_type", message(2, b=[["1.9"]])),
    ("wrong_type", message(2, b=[[1.9, 5]])),
    ("wrong_type", message(2, b=None)),
    ("wrong_type", message(2, kind="update")),
    ("wrong_type", b"[]\n"),
    ("not_finite", message(2, [("NaN", "1")])),
    ("not_finite", message(2, [("1.9", "Infinity")])),
    ("not_a_number", message(2, [("1,9", "1")])),
    ("not_a_number", message(2, [("", "1")])),
    ("negative", message(2, [("-1.9", "1")])),
    ("negative", message(2, [("1.9", "-1")])),
    ("not_positive", message(2, [("0", "1")])),
    ("off_grid", message(2, [("1.90001", "1")])),
    ("off_grid", message(2, [("1.9", "1.5")])),
    ("repeated_price", message(2, [("1.9", "1"), ("1.90", "2")])),
    ("empty_line", b"\n"),
]


@pytest.mark.parametrize(("code", "line"), BAD_BYBIT)
def test_a_message_that_can_not_be_believed_is_refused(code, line):
    refused(code, SNAPSHOT, line, line=2)


def test_a_recording_begins_with_a_whole_snapshot():
    refused("no_snapshot", message(2), line=1)
    refused("empty_level", message(1, [("1.9", "0")], [("2.0", "7")], "snapshot"), line=1)
    refused("cut_book", message(1, [], [("2.0", "7")], "snapshot"), line=1)
    refused("empty", read=lambda: read())


def test_quantities_may_be_rounded_down_but_prices_of_a_book_may_not():
    books = read(SNAPSHOT, message(2, [("1.85", "3.9"), ("1.9", "0.4")]), round_to_tick=True)
    assert books[1].bids == ((18500, 3), (18000, 6))
    refused("off_grid", SNAPSHOT, message(2, [("1.90001", "1")]), line=2, round_to_tick=True)


def test_a_declared_symbol_is_held_to():
    assert len(read(SNAPSHOT, symbol="XRPUSDT")) == 1
    refused("mixed_symbols", SNAPSHOT, line=1, symbol="BTCUSDT")


def test_lines_and_books_have_a_greatest_size(monkeypatch):
    monkeypatch.setattr(recorded, "LINE_BYTES_MAX", 600)
    refused("too_long", SNAPSHOT, message(2, s="X" * 600), line=2)
    monkeypatch.setattr(recorded, "SIDE_LEVELS_MAX", 2)
    refused("too_deep", SNAPSHOT, message(2, [("1.7", "1")]), line=2)


# -- bars -------------------------------------------------------------------------------------------------------------

BAR_HEAD = b"timestamp,open,high,low,close,volume\n"
RISING = b"2021-12-31 23:01:00.000000,100.00,101.00,99.00,100.50,5.5\n"
FALLING = b"2021-12-31 23:02:00.000000,100.50,101.00,99.00,100.00,0\n"
NOON = 1_640_991_660 * 10**9


def read_bars(*lines: bytes, path=PATH, **options):
    return list(bars(lines, PERP, path, file="bars.csv", **options))


def mids(books):
    return [(book.time, (book.bids[0][0] + book.asks[0][0]) / 8) for book in books]


def test_a_rising_bar_goes_by_its_low_and_a_falling_one_by_its_high():
    quarter = 15 * 10**9
    assert mids(read_bars(BAR_HEAD, RISING)) == [(NOON, 100.0), (NOON + quarter, 99.0), (NOON + 2 * quarter, 101.0), (NOON + 3 * quarter, 100.5)]
    assert [mid for _, mid in mids(read_bars(BAR_HEAD, FALLING))] == [100.5, 101.0, 99.0, 100.0]


def test_a_bar_stamped_at_its_close_began_a_minute_before():
    assert read_bars(BAR_HEAD, RISING, path=BarPath(spread=4, size=1, stamped="close"))[0].time == NOON - 60 * 10**9


def test_bars_in_another_order_of_columns_with_others_between_are_the_same():
    other = [b"volume,close,low,note,high,open,timestamp\r\n", b"5.5,100.50,99.00,\"a, b\",101.00,100.00,2021-12-31T23:01:00Z\r\n"]
    assert read_bars(*other) == read_bars(BAR_HEAD, RISING)


def test_an_odd_price_keeps_its_spread_and_its_tick():
    (book, *_) = read_bars(BAR_HEAD, b"2021-12-31 23:01:00,100.25,100.25,100.25,100.25,1\n")
    assert book.bids == ((398, 10_000),) and book.asks == ((402, 10_000),)  # 401 increments, ticks of 2


TIMES = [
    (b"2021-12-31 23:01:00", NOON), (b"2021-12-31T23:01:00.000000001", NOON + 1), (b"2022-01-01 00:01:00+01:00", NOON),
    (b"2021-12-31 18:31:00-0430", NOON), (b"2022-01-01 04:01:00+05", NOON), (b"1640991660000000000", NOON),
]


@pytest.mark.parametrize(("text", "now"), TIMES)
def test_timestamps_are_exact(text, now):
    assert read_bars(BAR_HEAD, RISING.replace(b"2021-12-31 23:01:00.000000", text))[0].time == now


BAD_BARS = [
    ("wrong_type", RISING.replace(b"2021-12-31", b"31.12.2021")),
    ("wrong_type", RISING.replace(b"2021-12-31", b"2021-02-30")),
    ("wrong_type", RISING.replace(b"23:01", b"24:01")),
    ("wrong_type", RISING.replace(b"2021", b"1921")),
    ("not_a_number", RISING.replace(b"101.00", b"high")),
    ("not_a_number", RISING.replace(b"101.00", b"")),
    ("not_finite", RISING.replace(b"101.00", b"inf")),
    ("not_finite", RISING.replace(b"5.5", b"nan")),
    ("negative", RISING.replace(b"99.00", b"-99.00")),
    ("negative", RISING.replace(b"5.5", b"-5.5")),
    ("not_positive", RISING.replace(b"99.00", b"0")),
    ("off_grid", RISING.replace(b"99.00", b"99.10")),
    ("bar_contradicts", RISING.replace(b"99.00", b"100.25")),
    ("bar_contradicts", RISING.replace(b"101.00", b"100.25")),
    ("wrong_width", RISING.replace(b",5.5", b"")),
    ("wrong_width", RISING.replace(b",5.5", b",5.5,6")),
    ("cut", RISING.rstrip(b"\n")),
    ("cut", RISING[:40]),
    ("not_csv", b'2021-12-31 23:01:00,"100\n'),
    ("not_csv", b"\xff" + RISING),
    ("empty_line", b"\r\n"),
]


@pytest.mark.parametrize(("code", "line"), BAD_BARS)
def test_a_bar_that_can_not_be_believed_is_refused(code, line):
    refused(code, BAR_HEAD, line, line=2, read=read_bars)


def test_bars_stand_once_and_in_order():
    assert len(read_bars(BAR_HEAD, RISING, FALLING)) == 8
    refused("time_backwards", BAR_HEAD, FALLING, RISING, line=3, read=read_bars)
    refused("time_backwards", BAR_HEAD, RISING, RISING, line=3, read=read_bars)


def test_a_missing_column_is_named():
    error = refused("missing_column", BAR_HEAD.replace(b",low", b""), RISING, line=1, read=read_bars)
    assert "low" in error.wrong
    refused("empty", read=read_bars)


def test_bars_off_the_grid_may_be_rounded_when_asked():
    assert mids(read_bars(BAR_HEAD, RISING.replace(b"99.00", b"99.10"), round_to_tick=True))[1][1] == 99.0


@pytest.mark.parametrize("path", [BarPath(spread=0, size=1), BarPath(spread=3, size=1), BarPath(spread=4, size=0)])
def test_a_path_off_the_tick_or_without_size_is_refused(path):
    with pytest.raises(RecordedError, match="bad_path"):
        read_bars(BAR_HEAD, RISING, path=path)


# -- quotes -----------------------------------------------------------------------------------------------------------

QUOTE_HEAD = b"timestamp,symbol,ask_size,ask,bid_size,bid\n"
QUOTE = b"2021-01-08 00:00:01.076000,BTC/USDT,0.066851,39433.62,0.0031,39432.99\n"
LATER = QUOTE.replace(b"01.076", b"01.157")


def read_quotes(*lines: bytes, **options):
    return list(quotes(quote_rows(lines, file="quotes.csv"), BTC, **options))


def test_a_quote_is_a_book_of_one_level():
    assert read_quotes(QUOTE_HEAD, QUOTE) == [BookUpdate(4, 1_610_064_001_076_000_000, ((3943299, 3100),), ((3943362, 66851),))]


def test_a_side_without_size_is_empty():
    assert read_quotes(QUOTE_HEAD, QUOTE.replace(b"0.0031", b"0"))[0].bids == ()


def test_a_file_of_several_symbols_is_read_only_for_the_one_named():
    other = LATER.replace(b"BTC/", b"ETH/")
    assert len(read_quotes(QUOTE_HEAD, QUOTE, other, LATER, symbol="BTC/USDT")) == 2
    refused("mixed_symbols", QUOTE_HEAD, QUOTE, other, line=3, read=read_quotes)


def test_quotes_are_rounded_outward_and_sizes_down_when_asked():
    off = QUOTE.replace(b"39433.62", b"39433.621").replace(b"39432.99", b"39432.999").replace(b"0.0031", b"3.1e-03")
    refused("off_grid", QUOTE_HEAD, off, line=2, read=read_quotes)
    (book,) = read_quotes(QUOTE_HEAD, off.replace(b"0.066851", b"0.0668519"), round_to_tick=True)
    assert book.bids == ((3943299, 3100),) and book.asks == ((3943363, 66851),)


@pytest.mark.parametrize(("code", "lines", "line"), [
    ("crossed", [QUOTE.replace(b"39432.99", b"39433.62")], 2),
    ("time_backwards", [LATER, QUOTE], 3),
    ("negative", [QUOTE.replace(b"0.0031", b"-0.0031")], 2),
    ("not_finite", [QUOTE.replace(b"39432.99", b"nan")], 2),
    ("cut", [QUOTE[:-3]], 2),
    ("wrong_width", [b"2021-01-08 00:00:01.076000,BTC/USDT\n"], 2),
])
def test_a_quote_that_can_not_be_believed_is_refused(code, lines, line):
    refused(code, QUOTE_HEAD, *lines, line=line, read=read_quotes)


def test_rows_of_a_parquet_file_are_named_by_number():
    row = QuoteRow(Place("q.parquet", 12, None), "2021-01-08", "BTC/USDT", "1", "2", "1", "1")
    with pytest.raises(RecordedError, match=r"q\.parquet, line 12: wrong_type: timestamp is '2021-01-08'"):
        list(quotes([row], BTC))


# -- opening ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("content", "found"), [
    (SNAPSHOT, "bybit"), (BAR_HEAD + RISING, "bars"), (QUOTE_HEAD + QUOTE, "quotes"), (b"PAR1....PAR1", "parquet"),
    (BAR_HEAD.replace(b",low", b""), "bars"),
])
def test_a_format_is_known_by_its_first_bytes(tmp_path, content, found):
    file = tmp_path / "recording"
    file.write_bytes(content)
    assert detect_format(file) == found


@pytest.mark.parametrize(("content", "code"), [(b"", "empty"), (b"hello world\n", "unknown_format"), (b"PAR1....", "cut")])
def test_a_file_of_no_known_format_is_refused(tmp_path, content, code):
    file = tmp_path / "recording"
    file.write_bytes(content)
    with pytest.raises(RecordedError) as caught:
        open_recording(file, BTC)
    assert caught.value.code == code


def test_opening_reads_each_format_and_names_the_file(tmp_path):
    for content, terms, count in ((SNAPSHOT, XRP, 1), (BAR_HEAD + RISING, PERP, 4), (QUOTE_HEAD + QUOTE, BTC, 1)):
        file = tmp_path / "recording"
        file.write_bytes(content)
        assert len(list(open_recording(file, terms, path_of_bars=PATH))) == count
    with pytest.raises(RecordedError, match=r"absent\.csv: no_file"):
        open_recording(tmp_path / "absent.csv", BTC)
    with pytest.raises(RecordedError, match="format 'xml' is not known"):
        open_recording(file, BTC, format="xml")


def test_a_line_without_end_is_not_read_into_memory(tmp_path, monkeypatch):
    file = tmp_path / "recording"
    file.write_bytes(b"{" + b" " * (2 << 20))
    with pytest.raises(RecordedError, match="too_long"):
        list(open_recording(file, XRP))


def test_without_duckdb_the_error_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    file = tmp_path / "quotes.parquet"
    file.write_bytes(b"PAR1....PAR1")
    with pytest.raises(RecordedError, match=r"cambist\[reports\]"):
        list(open_recording(file, BTC))


def parquet(tmp_path, select: str):
    duckdb = pytest.importorskip("duckdb", reason="the reports extra (duckdb) is not installed")
    file = tmp_path / "made.parquet"
    duckdb.connect().execute(f"COPY (SELECT {select}) TO '{file}' (FORMAT parquet)")
    return file


GOOD_COLUMNS = "TIMESTAMP '2021-01-08 00:00:01.076' AS timestamp, 'BTC/USDT' AS symbol, " \
    "0.5 AS ask_size, 39433.62 AS ask, '0.0031' AS bid_size, 39432::BIGINT AS bid"


def test_parquet_columns_may_be_decimals_text_or_whole_numbers(tmp_path):
    (book,) = open_recording(parquet(tmp_path, GOOD_COLUMNS), BTC)
    assert book == BookUpdate(4, 1_610_064_001_076_000_000, ((3943200, 3100),), ((3943362, 500_000),))


@pytest.mark.parametrize(("was", "now", "code"), [
    ("39433.62 AS ask", "39433.62::FLOAT AS ask", "wrong_type"),
    ("39433.62 AS ask", "NULL::DOUBLE AS ask", "wrong_type"),
    ("39433.62 AS ask", "'nan'::DOUBLE AS ask", "not_finite"),
    ("'BTC/USDT'", "7", "wrong_type"),
    ("TIMESTAMP '2021-01-08 00:00:01.076'", "DATE '2021-01-08'", "wrong_type"),
    ("0.5 AS ask_size, ", "", "missing_column"),
    ("39432::BIGINT AS bid", "39432::BIGINT AS bid WHERE 1 = 0", "empty"),
])
def test_parquet_columns_of_another_type_are_refused(tmp_path, was, now, code):
    file = parquet(tmp_path, GOOD_COLUMNS.replace(was, now))
    with pytest.raises(RecordedError) as caught:
        list(open_recording(file, BTC))
    assert caught.value.code == code, str(caught.value)


# -- decimal text and terms -------------------------------------------------------------------------------------------


@given(st.integers(-(10**18), 10**18), st.sampled_from(["1", "0.01", "0.25", "0.00000001", "5", "1e-3"]))
def test_increments_go_to_text_and_back(count, increment):
    grid = Grid(increment)
    assert grid.count(grid.text(count)) == count
    assert Decimal(grid.text(count)) == count * Decimal(increment)


@given(st.decimals(-1000, 1000, places=4), st.sampled_from(["0.01", "0.25", "5"]))
def test_roundings_stand_on_either_side_of_the_text(value, increment):
    grid, text = Grid(increment), format(value, "f")
    down, near, up = (grid.count(text, rounding) for rounding in (-1, 0, 1))
    assert down * Decimal(increment) <= value <= up * Decimal(increment) and up - down <= 1 and near in (down, up)
    assert abs(near * Decimal(increment) - value) * 2 <= Decimal(increment)


@pytest.mark.parametrize(("text", "code"), [
    ("", "not_a_number"), ("1.2.3", "not_a_number"), ("0x10", "not_a_number"), ("1_000", "not_a_number"), ("٣", "not_a_number"), (" 1", "not_a_number"),
    ("1e999", "not_a_number"), ("9" * 41, "not_a_number"), ("NaN", "not_finite"), ("-Infinity", "not_finite"), ("1.005", "off_grid"),
])
def test_text_that_is_no_whole_number_of_increments_is_refused(text, code):
    with pytest.raises(DecimalError) as caught:
        Grid("0.01").count(text)
    assert caught.value.code == code and caught.value.right


def test_terms_turn_trades_into_amounts_and_fees():
    terms = Terms("A/B", 1, "0.01", "0.1", 1, 1, 1, amount_num=3, amount_den=2, min_price=-10, max_price=10)
    assert terms.amount(5, 3) == 22 and terms.amount(5, -3) == -23
    assert terms.fee(5, 3, 1_000_000) == 23 and terms.fee(5, -3, 1) == 1 and terms.fee(5, 3, 0) == 0


@pytest.mark.parametrize("changed", [
    {"lot": 0}, {"book_tick": 0}, {"quote_tick": -1}, {"amount_den": 0}, {"min_price": 11}, {"price_increment": "0"}, {"base_unit": "one"},
])
def test_terms_that_can_not_be_are_refused(changed):
    good = {field: 1 for field in Terms.__struct_fields__} | {"name": "A", "price_increment": "0.01", "base_unit": "0.1", "max_price": 10}
    Terms(**good)
    with pytest.raises(ValueError):
        Terms(**(good | changed))
