"""Opens recordings of market data: which file, in which format, as which lines.

Decides by a file's first bytes how it is to be read. It must not judge what the lines say: that is `recorded.py`. Parquet needs
duckdb, which comes with the `reports` extra; where it is absent the error says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cambist.venues.recorded import (
    BAR_COLUMNS,
    LINE_BYTES_MAX,
    QUOTE_COLUMNS,
    BarPath,
    Place,
    QuoteRow,
    RecordedError,
    bars,
    bybit_books,
    quote_rows,
    quotes,
)
from cambist.venues.venue import BookUpdate, Terms

FORMATS = ("bybit", "bars", "quotes", "parquet")
_ROWS_AT_ONCE = 1000


def open_recording(
    path: str | Path, terms: Terms, *, format: str | None = None, symbol: str | None = None, path_of_bars: BarPath | None = None,
    round_to_tick: bool = False,
) -> Iterator[BookUpdate]:
    """The recording as book updates, read as they are taken; faults of the file itself are raised at once.

    `format` is one of FORMATS, or None to look. Bars need `path_of_bars`. Raises RecordedError.
    """
    path = Path(path)
    found = detect_format(path) if format is None else format
    if found == "bybit":
        return bybit_books(_lines(path), terms, file=path.name, symbol=symbol, round_to_tick=round_to_tick)
    if found == "bars":
        if path_of_bars is None:
            raise RecordedError("no_path", path.name, 0, "bars say no spread and no size", "give path_of_bars=BarPath(spread=…, size=…)")
        return bars(_lines(path), terms, path_of_bars, file=path.name, round_to_tick=round_to_tick)
    if found == "quotes":
        return quotes(quote_rows(_lines(path), file=path.name), terms, symbol=symbol, round_to_tick=round_to_tick)
    if found == "parquet":
        return quotes(_parquet_rows(path), terms, symbol=symbol, round_to_tick=round_to_tick)
    raise RecordedError("unknown_format", path.name, 0, f"format {found!r} is not known", f"say one of {', '.join(FORMATS)}")


def detect_format(path: str | Path) -> str:
    """Which of FORMATS a file is, by its first bytes."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            first = file.readline(LINE_BYTES_MAX)
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 4))
            last = file.read(4)
    except OSError as error:
        raise RecordedError("no_file", path.name, 0, error.strerror or "it can not be opened", "name a file that can be read") from None
    if not first:
        raise RecordedError("empty", path.name, 0, "the file is empty", "a recording has at least one line")
    if first[:4] == b"PAR1":
        if last != b"PAR1":
            raise RecordedError("cut", path.name, 0, "the Parquet file has no end", "copy the whole file")
        return "parquet"
    if first[:1] == b"{":
        return "bybit"
    named = {name.strip() for name in first.decode("utf-8", "replace").lstrip("\ufeff").split(",")}
    for format, columns in (("bars", BAR_COLUMNS), ("quotes", QUOTE_COLUMNS)):
        if len(named & set(columns)) > len(columns) // 2:
            return format
    right = f"it begins with a Bybit message, PAR1, or a line naming {', '.join(BAR_COLUMNS)} or {', '.join(QUOTE_COLUMNS)}"
    raise RecordedError("unknown_format", path.name, 1, f"the file begins with {first[:60]!r}", right, 0)


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while line := file.readline(LINE_BYTES_MAX + 1):
            yield line


def _duckdb(file: str) -> Any:
    try:
        import duckdb
    except ImportError:
        right = "install it with: pip install 'cambist[reports]'"
        raise RecordedError("no_duckdb", file, 0, "reading Parquet needs duckdb, which is not installed", right) from None
    return duckdb


def _parquet_rows(path: Path) -> Iterator[QuoteRow]:
    """The quotes of a Parquet file as text, in the order they were written."""
    duckdb = _duckdb(path.name)
    return _rows(duckdb, duckdb.connect(config={"autoinstall_known_extensions": False}), path)


def _rows(duckdb: Any, connection: Any, path: Path) -> Iterator[QuoteRow]:
    number = 0
    try:
        if set(str(path)) & set("*?["):
            raise RecordedError("no_file", path.name, 0, "the name holds one of * ? [", "rename the file: duckdb would read it as a pattern")
        source = "read_parquet('" + str(path).replace("'", "''") + "')"
        types = {str(row[0]): str(row[1]) for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
        connection.execute(f"SELECT {', '.join(_column(name, types, path.name) for name in QUOTE_COLUMNS)} FROM {source}")
        while rows := connection.fetchmany(_ROWS_AT_ONCE):
            for row in rows:
                number += 1
                place = Place(path.name, number, None)
                for name, value in zip(QUOTE_COLUMNS, row, strict=True):
                    if value is None:
                        raise place.error("wrong_type", f"{name} has no value", "every quote has all its values")
                yield QuoteRow(place, *(_text(value) for value in row))
    except duckdb.Error as error:
        wrong = str(error).splitlines()[0]
        raise RecordedError("not_parquet", path.name, number, wrong, "give a whole Parquet file of quotes") from None
    finally:
        connection.close()
    if not number:
        raise RecordedError("empty", path.name, 0, "the file has no rows", "a recording has at least one quote")


def _column(name: str, types: dict[str, str], file: str) -> str:
    """The expression that reads a column as text or number; times as whole nanoseconds."""
    if name not in types:
        wrong = f"column {name} is missing; found {', '.join(types)}"
        raise RecordedError("missing_column", file, 0, wrong, f"a Parquet file of quotes has {', '.join(QUOTE_COLUMNS)}")
    kind = types[name]
    if name == "timestamp":
        if kind.startswith("TIMESTAMP"):
            return f"epoch_ns({name})"
        right = "timestamp is a TIMESTAMP, text, or whole nanoseconds"
        good = ("VARCHAR", "BIGINT", "UBIGINT", "HUGEINT")
    elif name == "symbol":
        right, good = "symbol is text", ("VARCHAR",)
    else:
        right, good = f"{name} is a DOUBLE, a DECIMAL or decimal text", ("DOUBLE", "DECIMAL", "VARCHAR", "BIGINT", "INTEGER")
    if not kind.startswith(good):
        raise RecordedError("wrong_type", file, 0, f"column {name} is {kind}", right)
    return f"CAST({name} AS VARCHAR)" if kind.startswith("DECIMAL") else name


def _text(value: object) -> str:
    """A binary float means the decimal it was written from, and 15 digits are all it can promise (IEEE 754)."""
    return format(value, ".15g") if isinstance(value, float) else str(value)
