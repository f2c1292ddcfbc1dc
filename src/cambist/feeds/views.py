"""Read views: what can be asked about a state, answered from its tables and from the results.

Decides the names of the views, their arguments and their answers, as plain dicts of integers, strings and lists. It must not know the core: it reads the
tables of docs/rules.md section 11, and who may ask which view is decided by whoever passes the question on.
"""
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from cambist.messages import COMMAND, EVENT, AccountKind, Event, Kind, OrderState, Side, named

MAX_ROWS = 10_000                                       # in one list of an answer; `more` says that there are more
MAX_LEVELS = 2000                                       # of each side of a book
MAX_ANSWER = 1 << 19                                    # bytes of JSON

Tables = Mapping[str, tuple[int, tuple[str, ...], np.ndarray]]
Results = Callable[[int], Iterable[tuple[int, int, int, np.ndarray]]]


class BadArgument(ValueError):
    """The argument is not what the view takes; says what it takes."""


class UnknownView(ValueError):
    """No such view; says which there are."""


class Question(NamedTuple):
    """Everything a view may look at. `results(sequence)` gives (first, last, time, events) of its entry and later ones; `facts` are the node's own words."""
    tables: Tables
    argument: dict[str, Any]
    results: Results
    facts: Mapping[str, Any]


def answer(view: str, argument: bytes, tables: Tables, results: Results = lambda sequence: (), facts: Mapping[str, Any] | None = None) -> bytes:
    """The JSON of one view of the state. `argument` is a JSON object or empty. Raises UnknownView, BadArgument."""
    given = read_argument(view, argument)
    if view not in VIEWS:
        raise UnknownView(f"{view} is a view of the log, and there is none here")
    return encoded(view, VIEWS[view].tell(Question(tables, given, results, facts or {})))


def read_argument(view: str, argument: bytes) -> dict[str, int]:
    """The whole numbers that are asked with. Raises UnknownView, BadArgument."""
    if view not in VIEWS and view not in LOG_VIEWS:
        raise UnknownView(f"no view {view!r}; there are {', '.join((*VIEWS, *LOG_VIEWS))}")
    try:
        told = msgspec.json.decode(argument, type=dict[str, Any]) if argument else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise BadArgument(f"the argument is a JSON object: {fault}") from None
    takes = VIEWS[view].takes if view in VIEWS else LOG_VIEWS[view]
    if wrong := [name for name, value in told.items() if name not in takes or type(value) is not int]:
        raise BadArgument(f"{view} takes whole numbers {', '.join(takes) or '(none)'}, not {', '.join(wrong)}")
    return told


def encoded(view: str, told: dict) -> bytes:
    body = msgspec.json.encode(told)
    if len(body) > MAX_ANSWER:
        raise BadArgument(f"{view}: the answer has {len(body):,} bytes, of {MAX_ANSWER:,}; ask for less")
    return body


# ------------------------------------------------------------------------------------------------------------------------------------ tables
def column(tables: Tables, table: str, name: str) -> np.ndarray:
    _, columns, rows = tables[table]
    return rows[:, columns.index(name)]


def rows_where(tables: Tables, table: str, **equal: int) -> np.ndarray:
    """The rows whose named columns have these values, in key order."""
    _, _, rows = tables[table]
    keep = np.ones(len(rows), bool)
    for name, value in equal.items():
        keep &= column(tables, table, name) == value
    return rows[keep]


def listed(tables: Tables, table: str, **equal: int) -> list[dict[str, int]]:
    """The same as dicts, at most MAX_ROWS."""
    columns = tables[table][1]
    return [dict(zip(columns, row, strict=True)) for row in rows_where(tables, table, **equal)[:MAX_ROWS].tolist()]


def one(tables: Tables, table: str, **equal: int) -> dict[str, int] | None:
    return next(iter(listed(tables, table, **equal)), None)


def _given(asked: Question, *names: str) -> list[int]:
    if missing := [name for name in names if name not in asked.argument]:
        raise BadArgument(f"it also takes {', '.join(missing)}")
    return [asked.argument[name] for name in names]


# ------------------------------------------------------------------------------------------------------------------------------------- views
def status(asked: Question) -> dict:
    """The cell's row, how many rows the tables of the design have, and what the node says of itself. It is asked often, so it looks at nothing large."""
    return {"cell": one(asked.tables, "cell"), "rows": {name: len(asked.tables[name][2]) for name in OF_DESIGN}, **asked.facts}


def every_row(asked: Question) -> dict:
    """How many rows each table has: this one looks at all of them."""
    return {"rows": {name: len(rows) for name, (_, _, rows) in asked.tables.items()}}


def account(asked: Question) -> dict:
    """Everything of one account: its row, balances, positions, credit, open orders, requests, quotes, children, obligations, and what limits it."""
    number, = _given(asked, "account")
    row = one(asked.tables, "accounts", account=number)
    if row is None:
        raise BadArgument(f"no account {number}")
    told: dict[str, Any] = {"account": row, "credit": listed(asked.tables, "credit", taker=number)}
    for table in OF_ACCOUNT:
        told[table] = listed(asked.tables, table, account=number)
    told["more"] = any(len(part) == MAX_ROWS for part in told.values() if isinstance(part, list))
    return told


def book(asked: Question) -> dict:
    """The levels of one book, best first: price, what is shown there, number of orders. What waits outside the book is not in it."""
    number, = _given(asked, "instrument")
    if one(asked.tables, "instruments", instrument=number) is None:
        raise BadArgument(f"no instrument {number}")
    return {"bids": _levels(asked.tables, number, Side.BUY)[::-1][:MAX_LEVELS], "asks": _levels(asked.tables, number, Side.SELL)[:MAX_LEVELS]}


def _levels(tables: Tables, instrument: int, side: int) -> list[list[int]]:
    """Lowest price first."""
    columns, rows = tables["orders"][1], rows_where(tables, "orders", instrument=instrument, side=side, state=OrderState.BOOK)
    prices, at, orders = np.unique(rows[:, columns.index("price")], return_inverse=True, return_counts=True)
    quantities = np.zeros(len(prices), np.int64)
    np.add.at(quantities, at, rows[:, columns.index("shown")])
    return [list(level) for level in zip(prices.tolist(), quantities.tolist(), orders.tolist(), strict=True)]


def instruments(asked: Question) -> dict:
    return {"assets": listed(asked.tables, "assets"), "instruments": listed(asked.tables, "instruments"), "sources": listed(asked.tables, "sources")}


def controls(asked: Question) -> dict:
    """Who is stopped, frozen, barred or near a limit: every key, and the rows of protections, exposures and restrictions."""
    return {"actors": listed(asked.tables, "actors"), **{name: listed(asked.tables, name) for name in OF_CONTROL}}


def held(asked: Question) -> dict:
    """Commands that wait for a second person, each with the bytes to be shown and the digest to be signed."""
    return {"held": [_held_row(row) for row in listed(asked.tables, "held")]}


def _held_row(row: dict[str, int]) -> dict:
    record = np.array([[row.pop(f"w{i}") for i in range(COMMAND.itemsize // 8)]], np.int64).tobytes()
    kind = int(np.frombuffer(record, COMMAND)["kind"][0])
    digest = hashlib.sha256(record).digest()
    return row | {"kind": Kind(kind).name if kind in Kind._value2member_map_ else str(kind),
                  "fields": named(np.frombuffer(record, COMMAND)), "record": record.hex(),
                  "sha256": digest.hex(), "digest": [int.from_bytes(digest[i:i + 8], "big", signed=True) for i in range(0, 32, 8)]}


def obligations(asked: Question) -> dict:
    return {"obligations": listed(asked.tables, "obligations", **asked.argument)}


def children(asked: Question) -> dict:
    return {"children": listed(asked.tables, "children", **asked.argument)}


def custody(asked: Question) -> dict:
    """The proof: per asset what custody holds, what its owners have, and whether unsettled and due come to nothing."""
    accounts, kinds = column(asked.tables, "accounts", "account"), column(asked.tables, "accounts", "kind")
    asset = column(asked.tables, "balances", "asset")
    part = {name: column(asked.tables, "balances", name) for name in ("available", "held", "unsettled", "due")}
    outside = np.isin(column(asked.tables, "balances", "account"), accounts[kinds == AccountKind.CUSTODY])
    lines = []
    for number in column(asked.tables, "assets", "asset").tolist():
        its = asset == number
        in_custody, owned = (_exact_sum(part["available"][its & side]) + _exact_sum(part["held"][its & side]) for side in (outside, ~outside))
        unsettled, due = _exact_sum(part["unsettled"][its]), _exact_sum(part["due"][its])
        lines.append({"asset": number, "custody": in_custody, "ownership": owned, "unsettled": unsettled, "due": due,
                      "holds": in_custody == owned and unsettled == 0 and due == 0})
    return {"assets": lines, "holds": all(line["holds"] for line in lines)}


def _exact_sum(values: np.ndarray) -> int:
    """A sum of int64 may not fit one: halves are added apart."""
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())


def numbers(asked: Question) -> dict:
    """The highest request number of an actor: where a numbered session goes on."""
    actor, = _given(asked, "actor")
    row = one(asked.tables, "actors", actor=actor)
    if row is None:
        raise BadArgument(f"no actor {actor}")
    return {"actor": actor, "highest": row["highest"]}


def first_answer(asked: Question) -> dict:
    """The events a command was answered with: by `sequence`, by `actor` and `number`, or by `account`, `id_hi` and `id_lo` within the answer window.

    With `account` only the events of that account are told, and no log sequence. `time` is the log time of the answer.
    """
    given = set(asked.argument)
    mine = asked.argument.get("account")
    if given - {"account"} == {"sequence"}:
        sequence = asked.argument["sequence"]
    elif given == {"account", "id_hi", "id_lo"}:
        found = one(asked.tables, "answers", **asked.argument)
        sequence = found["sequence"] if found else 0
    elif given - {"account"} == {"actor", "number"}:
        found = one(asked.tables, "numbers", actor=asked.argument["actor"], number=asked.argument["number"])
        sequence = found["sequence"] if found else 0
    else:
        raise BadArgument("answer takes sequence, or actor and number, or account, id_hi and id_lo")
    time, events = _events_of(asked.results, sequence) if sequence > 0 else (0, np.empty(0, EVENT))
    if mine is None:
        return {"known": sequence > 0, "sequence": sequence, "time": time, "events": [told(event) for event in events[:MAX_ROWS]]}
    return {"known": sequence > 0, "time": time, "events": [told(event) | {"sequence": 0} for event in events[events["account"] == mine][:MAX_ROWS]]}


def _events_of(results: Results, sequence: int) -> tuple[int, np.ndarray]:
    """The log time of a command, and the events it was answered with."""
    for first, last, time, events in results(sequence):
        if first <= sequence <= last:
            return time, events[events["sequence"] == sequence]
        break
    return 0, np.empty(0, EVENT)


def told(event: np.void) -> dict:
    """One event by the names of its fields; its kind by name."""
    row = dict(zip(EVENT.names or (), event.tolist(), strict=True))
    return row | {"event": Event(row["kind"]).name if row["kind"] in Event._value2member_map_ else str(row["kind"])}


class Shown(NamedTuple):
    """A view of the state: the whole numbers it takes, and how it is told."""
    takes: tuple[str, ...]
    tell: Callable[[Question], dict]


OF_CONTROL = ("protections", "exposures", "restrictions")
OF_ACCOUNT = ("balances", "positions", "orders", "requests", "quotes", "children", "obligations", *OF_CONTROL)
OF_DESIGN = ("assets", "accounts", "dealers", "actors", "instruments", "venues")
VIEWS: dict[str, Shown] = {
    "status": Shown((), status),
    "rows": Shown((), every_row),
    "account": Shown(("account",), account),
    "book": Shown(("instrument",), book),
    "instruments": Shown((), instruments),
    "controls": Shown((), controls),
    "held": Shown((), held),
    "obligations": Shown(("account",), obligations),
    "children": Shown(("account",), children),
    "custody": Shown((), custody),
    "numbers": Shown(("actor",), numbers),
    "answer": Shown(("sequence", "actor", "number", "account", "id_hi", "id_lo"), first_answer),
}
# Views of the log (cambist.archive): what each takes. They look at no table, so they are answered beside the core.
LOG_VIEWS: dict[str, tuple[str, ...]] = {"design": (), "record": ("sequence",), "times": ("first", "count")}
