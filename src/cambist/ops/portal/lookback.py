"""History as a client sees it: fills, requests, orders and transfers in a span of time, a page at a time, and as CSV. Without IO.

Decides what each list shows, how a filter is read, and how a cell of CSV is written so that no spreadsheet takes it for a formula.
"""
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from cambist.dictionary import Dictionary, Wrong
from cambist.messages import Event
from cambist.ops.portal.sending import reason_words

SECOND = 10**9
PAGE, CSV_MOST = 50, 50_000
Row = Mapping[str, int]


class Listing(NamedTuple):
    """One list: its events and its columns, (heading, key, class)."""
    name: str
    kinds: tuple[Event, ...]
    columns: tuple[tuple[str, str, str], ...]


_WHEN = ("Time", "time", "")
_WHAT = (("Instrument", "instrument", ""), ("Side", "side", ""))
LISTINGS: dict[str, Listing] = {
    "fills": Listing("Fills", (Event.FILLED,),
                     (_WHEN, *_WHAT, ("Quantity", "quantity", "num"), ("Price", "price", "num"), ("Amount", "amount", "num"), ("Fee", "fee", "num"),
                      ("Asset", "asset", ""), ("How", "how", ""), ("Trade", "match", "id"), ("Of", "of", "id"))),
    "requests": Listing("Requests", (Event.REQUEST_OPENED, Event.REQUEST_ENDED),
                        (_WHEN, ("What", "what", ""), *_WHAT, ("Quantity", "quantity", "num"), ("Reason", "reason", ""), ("Request", "of", "id"))),
    "orders": Listing("Orders", (Event.ORDER_ACCEPTED, Event.ORDER_CANCELLED, Event.ORDER_AMENDED, Event.ORDER_REDUCED),
                      (_WHEN, ("What", "what", ""), *_WHAT, ("Quantity", "quantity", "num"), ("Price", "price", "num"), ("Reason", "reason", ""),
                       ("Order", "of", "id"))),
    "refusals": Listing("Refusals", (Event.REFUSED,), (_WHEN, ("Command", "what", ""), ("Instrument", "instrument", ""), ("Why", "words", "words"),
                                                       ("Code", "reason", ""), ("Of", "of", "id"))),
    "transfers": Listing("Transfers and payments", (Event.TRANSFERRED, Event.DEPOSITED, Event.DEPOSIT_REVERSED, Event.SETTLED),
                         (_WHEN, ("What", "what", ""), ("Asset", "asset", ""), ("Amount", "amount", "num"), ("With", "with", "words"))),
}


class Span(NamedTuple):
    """From `since` to before `until`, ns; None: open. The texts are those of the form."""
    since: int | None
    until: int | None
    since_text: str
    until_text: str


def read_span(since: str, until: str) -> Span:
    """Days or minutes in UTC, as a browser's date fields write them ("2026-01-31", "2026-01-31T14:05"); `until` is meant whole. Raises Wrong."""
    return Span(_moment(since, "since", False), _moment(until, "until", True), since, until)


def _moment(text: str, path: str, whole: bool) -> int | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None or not 2000 <= at.year < 2200:
            raise ValueError
    except ValueError:
        raise Wrong("BAD_TIME", path, "a day such as 2026-01-31, or a minute such as 2026-01-31T14:05, in UTC") from None
    if whole:
        at += timedelta(days=1) if len(text) <= 10 else timedelta(minutes=1)
    return int((at.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * SECOND


def lines(rows: Iterable[Row], words: Dictionary) -> list[dict[str, Any]]:
    """Events as the lists show them; each has `number`, by which the next page begins."""
    return [_line(row, words) for row in rows]


def _line(row: Row, words: Dictionary) -> dict[str, Any]:
    told = words.told(row, row["time"])
    made: dict[str, Any] = {"number": row["number"], "time": row["time"], "what": told["event"], "side": told.get("side", ""),
                            "instrument": told.get("instrument", "").replace("-", "/", 1), "reason": told.get("reason", ""), "asset": told.get("asset", "")}
    for key in ("quantity", "price", "amount", "fee", "match"):
        made[key] = told.get(key, "")
    made["of"] = next((told[key] for key in ("order", "request", "quote", "obligation") if told.get(key)), "")
    if (spent := told.get("quote_quantity") or told.get("quote_cancelled")) and (listed := words.listed_by_number(row["instrument"])):
        made["quantity"] = f"{spent} {words.asset_name(listed.quote)}"
    match row["kind"]:
        case Event.FILLED:
            listed = words.listed_by_number(row["instrument"])
            made |= {"how": {"quote": "by quote", "maker": "order, maker", "taker": "order, taker"}.get(told["liquidity"], told["liquidity"]),
                     "asset": words.asset_name(listed.quote) if listed else ""}
        case Event.ORDER_CANCELLED:
            made["quantity"] = told.get("cancelled", made["quantity"])
        case Event.ORDER_REDUCED:
            made["quantity"] = told["prevented"]
        case Event.REFUSED:
            made |= {"what": told.get("command", ""), "words": reason_words(row["reason"])[1]}
        case Event.TRANSFERRED | Event.DEPOSITED | Event.DEPOSIT_REVERSED:
            taken = row["kind"] == Event.DEPOSIT_REVERSED
            made |= {"amount": f"-{made['amount']}" if taken else made["amount"], "with": told.get("with") or told.get("custody", "")}
        case Event.SETTLED:
            made["with"] = "the house, settlement"
    return made


def csv(listing: Listing, rows: Iterable[Mapping[str, Any]]) -> str:
    """All columns, times in ISO 8601 UTC with nine decimals."""
    out = [",".join(_cell(heading) for heading, _, _ in listing.columns)]
    out += [",".join(_cell(_iso(row["time"]) if key == "time" else str(row.get(key, ""))) for _, key, _ in listing.columns) for row in rows]
    return "\r\n".join(out) + "\r\n"


def _iso(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // SECOND, UTC):%Y-%m-%dT%H:%M:%S}.{ns % SECOND:09d}Z"


def _cell(text: str) -> str:
    """Quoted; what a spreadsheet would run as a formula gets an apostrophe, a negative number does not."""
    if text[:1] in ("=", "+", "-", "@", "\t", "\r") and not text[1:].replace(".", "", 1).isdigit():
        text = "'" + text
    return '"' + text.replace('"', '""') + '"'
