"""History: spans read, lines told, and CSV that no spreadsheet runs."""
import csv as reader
import io

import pytest

from cambist.dictionary import Wrong
from cambist.messages import Event, Kind, Liquidity, Reason, Side
from cambist.ops.portal.lookback import LISTINGS, csv, lines, read_span

from tests.ops.portal.words_of_demo import BTC_USD, WORDS, row
from tests.process.house_on_disk import ACCOUNT, ASSET

DAY = 86_400 * 10**9


def test_a_span_of_days_takes_the_last_one_whole():
    span = read_span("2026-01-31", "2026-01-31")
    assert span.until - span.since == DAY and span.since == 1_769_817_600 * 10**9
    minutes = read_span("2026-01-31T00:01", "2026-01-31T00:01")
    assert minutes.since == span.since + 60 * 10**9 and minutes.until - minutes.since == 60 * 10**9
    assert read_span("", "")[:2] == (None, None)


@pytest.mark.parametrize("text", ["x", "2026-13-01", "2026-01-31T10:00+05:00", "1500-01-01", "<script>", "9" * 400])
def test_a_span_that_is_none_is_refused(text):
    with pytest.raises(Wrong, match="2026-01-31"):
        read_span(text, "")


def fill() -> dict[str, int]:
    return row(Event.FILLED, 1_769_817_600_123_456_789, 9, id=5, other=77, side=Side.SELL, price=631_205, quantity=10**7, amount=6_312_050_000, fee=315_602,
               liquidity=Liquidity.QUOTE, instrument=BTC_USD)


def test_lines_of_every_list_have_every_column():
    events = {
        "fills": fill(), "orders": row(Event.ORDER_CANCELLED, 1, 2, id=5, quantity=10**8, price=1, reason=Reason.USER),
        "requests": row(Event.REQUEST_ENDED, 1, 2, id=5, reason=Reason.EXPIRED),
        "refusals": row(Event.REFUSED, 1, 2, id=5, command=Kind.CANCEL_ORDER, reason=Reason.UNKNOWN_ORDER),
        "transfers": row(Event.TRANSFERRED, 1, 2, id=ACCOUNT["borea"], other=ASSET["USD"], amount=-5_000_000, instrument=0)}
    assert events.keys() == LISTINGS.keys()
    for name, event in events.items():
        assert event["kind"] in LISTINGS[name].kinds
        line, = lines([event], WORDS)
        for _, key, _ in LISTINGS[name].columns:
            assert line.get(key, None) is not None or key in ("with",), (name, key)
    line, = lines([events["transfers"]], WORDS)
    assert (line["amount"], line["with"], line["asset"]) == ("-5.000000", "borea", "USD")
    line, = lines([events["fills"]], WORDS)
    assert (line["price"], line["amount"], line["fee"], line["how"]) == ("63120.5", "6312.050000", "0.315602", "by quote") and line["of"].startswith("quo_")


def test_csv_is_read_back_as_it_was():
    text = csv(LISTINGS["fills"], lines([fill()], WORDS))
    heading, first = list(reader.reader(io.StringIO(text)))
    assert heading[:3] == ["Time", "Instrument", "Side"] and first[0] == "2026-01-31T00:00:00.123456789Z" and first[3] == "0.10000000"


@pytest.mark.parametrize("typed, cell", [("=1+1", "'=1+1"), ("@SUM(A1)", "'@SUM(A1)"), ("+x", "'+x"), ("-cmd", "'-cmd"), ("-5.25", "-5.25"), ('a"b', 'a"b')])
def test_no_cell_is_a_formula(typed, cell):
    text = csv(LISTINGS["transfers"], [{"time": 1, "what": typed}])
    assert list(reader.reader(io.StringIO(text)))[1][1] == cell
