"""The logical state: which rows and columns are hashed and kept (docs/rules.md section 11), and how a state is rebuilt from them.

Decides nothing about business. Free lists, indexes, queues, bitmaps and timers are derived: they are not written down and are made again here.
"""
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cambist.core.accounts import ACCOUNT_MASK
from cambist.core.rebuild import fill
from cambist.core.layout import CAUSES, KINDS, MAX_SOURCES, PLACES, REGISTERS_HASHED
from cambist.messages import NUMBER_WINDOW, ORDINAL_BITS

if TYPE_CHECKING:
    from cambist.core.cell import Cell

VERSION = 1
COLUMNS: dict[str, tuple[str, ...]] = {
    "cell": (*REGISTERS_HASHED, "ordinal"),
    "assets": ("asset", "digits", "approval_above", "enabled", "quote_approval_above"),
    "accounts": ("account", "kind", "entity", "dealer", "rate_limit", "max_open", "answer_quota", "enabled", "killed", "ordinal", "dying_below", "sweep",
                 "sweep_reason", "rate_second", "rate_count", "failed", "cycle"),
    "dealers": ("place", "account"),
    "actors": ("actor", "account", "person", "role", "enabled", "highest"),
    "numbers": ("actor", "number", "sequence"),
    "authority": ("role", "command", "scope", "second_person"),
    "instruments": ("instrument", "base", "quote", "lot", "book_tick", "quote_tick", "min_price", "max_price", "amount_num", "amount_den", "settlement",
                    "max_quantity", "max_notional", "collar_ppm", "max_position", "min_sources", "max_age", "maker_ppm", "taker_ppm", "rfq_ppm", "halted",
                    "sweep", "last", "reference"),
    "sources": ("instrument", "source", "enabled", "price", "posted_at"),
    "venues": ("venue", "account", "enabled"),
    "stops": ("venue", "instrument"),
    "balances": ("account", "asset", "available", "held", "unsettled", "due", "short_limit"),
    "positions": ("account", "instrument", "net", "open_buy", "open_sell", "limit"),
    "credit": ("giver", "taker", "asset", "limit", "quoting_limit", "reserved", "traded", "netted", "quoted"),
    "orders": ("instrument", "side", "price", "place", "id", "account", "quantity", "leaves", "held", "fee_ppm", "self_trade", "post_only"),
    "requests": ("id", "account", "instrument", "side", "quantity", "state", "expires"),
    "quotes": ("id", "request", "place", "account", "bid", "ask", "expires", "reserve"),
    "children": ("id", "account", "instrument", "venue", "side", "time_in_force", "price", "quantity", "filled", "held", "state", "cum", "parent", "ends"),
    "obligations": ("id", "account", "asset", "amount", "cycle"),
    "held": ("id", "account", "sequence", "person", "lapse", *(f"w{i}" for i in range(16))),
    "answers": ("account", "id_hi", "id_lo", "sequence", "accepted_at"),
    "facts": ("source", "id_hi", "id_lo", "sequence", "accepted_at"),
    "flows": ("asset", "cause", "amount"),
}
Matrix = np.ndarray


def export(cell: "Cell", names: Iterable[str] = ()) -> dict[str, tuple[int, tuple[str, ...], Matrix]]:
    """The named logical tables, or every one; rows ascending."""
    return {name: (VERSION, COLUMNS[name], _sorted(_READ[name](cell), len(COLUMNS[name]))) for name in names or COLUMNS}


def _sorted(columns: list[Any], width: int) -> Matrix:
    rows = np.column_stack([np.asarray(c, np.int64) for c in columns]) if columns else np.zeros((0, width), np.int64)
    return np.ascontiguousarray(rows[np.lexsort(rows.T[::-1])] if len(rows) else rows.reshape(0, width))


def _fields(rows: np.ndarray, *names: str) -> list[np.ndarray]:
    return [rows[n] for n in names]


def _head(cell: "Cell", name: str) -> int:
    return int(cell.state[name][0])


def _cell(cell: "Cell") -> list[Any]:
    return [*([_head(cell, n)] for n in REGISTERS_HASHED), [int(cell.table["accounts"]["ordinal"][0])]]


def _queue(cell: "Cell", table: str, first: str) -> np.ndarray:
    """Place in a queue of sweeps, from 1, by row."""
    places, i, place = np.zeros(len(cell.table[table]), np.int64), _head(cell, first), 1
    while i:
        places[i] = place
        i, place = int(cell.table[table]["sweep_next"][i]), place + 1
    return places


def _assets(cell: "Cell") -> list[Any]:
    n = _head(cell, "asset_count") + 1
    return [np.arange(1, n), *_fields(cell.table["assets"][1:n], *COLUMNS["assets"][1:])]


def _accounts(cell: "Cell") -> list[Any]:
    n = _head(cell, "account_count") + 1
    a = cell.table["accounts"][1:n]
    return [np.arange(1, n), *_fields(a, "kind", "entity", "dealer", "rate_limit", "max_open", "answer_quota", "enabled", "killed", "ordinal", "dying_below"),
            _queue(cell, "accounts", "sweep_first")[1:n], *_fields(a, "sweep_reason", "rate_second", "rate_count", "failed", "cycle")]


def _dealers(cell: "Cell") -> list[Any]:
    n = _head(cell, "dealer_count") + 1
    return [np.arange(1, n), cell.table["dealers"]["account"][1:n]]


def _actors(cell: "Cell") -> list[Any]:
    n = _head(cell, "actor_count") + 1
    return [np.arange(1, n), *_fields(cell.table["actors"][1:n], "account", "person", "role", "enabled", "highest")]


def _numbers(cell: "Cell") -> list[Any]:
    highest = cell.table["actors"]["highest"][:_head(cell, "actor_count") + 1]
    spoke = np.nonzero(highest)[0]
    last = highest[spoke, None] - np.arange(NUMBER_WINDOW)              # a key's numbers have no gap
    k, back = np.nonzero(last > 0)
    actor, number = spoke[k], last[k, back]
    return [actor, number, cell.table["numbers"]["sequence"][actor * NUMBER_WINDOW + number % NUMBER_WINDOW]]


def _authority(cell: "Cell") -> list[Any]:
    a = cell.table["authority"].reshape(-1, KINDS)
    role, kind = np.nonzero((a["scope"] != 0) | (a["second_person"] != 0))
    return [role, kind, a["scope"][role, kind], a["second_person"][role, kind]]


def _instruments(cell: "Cell") -> list[Any]:
    n = _head(cell, "instrument_count") + 1
    b = cell.table["instruments"][1:n]
    return [np.arange(1, n), *_fields(b, *COLUMNS["instruments"][1:21]), _queue(cell, "instruments", "book_sweep_first")[1:n], b["last"], b["emitted"]]


def _sources(cell: "Cell") -> list[Any]:
    s = cell.table["sources"].reshape(-1, MAX_SOURCES + 1)
    i, k = np.nonzero(s["known"])
    return [i, k, *(s[f][i, k] for f in ("enabled", "price", "posted_at"))]


def _venues(cell: "Cell") -> list[Any]:
    n = _head(cell, "venue_count") + 1
    return [np.arange(1, n), *_fields(cell.table["venues"][1:n], "account", "enabled")]


def _stops(cell: "Cell") -> list[Any]:
    return list(np.nonzero(cell.table["stops"]["stopped"].reshape(len(cell.table["venues"]), -1)))


def _balances(cell: "Cell") -> list[Any]:
    n = _head(cell, "account_count") + 1
    x = cell.table["balances"].reshape(len(cell.table["accounts"]), -1)[:n]
    names = COLUMNS["balances"][2:]
    account, asset = np.nonzero(np.logical_or.reduce([x[f] != 0 for f in names]))
    return [account, asset, *(x[f][account, asset] for f in names)]


def _positions(cell: "Cell") -> list[Any]:
    p = cell.table["positions"][1:_used(cell, "positions")]
    p = p[np.logical_or.reduce([p[f] != 0 for f in ("net", "open_buy", "open_sell", "limit")])]
    return _fields(p, *COLUMNS["positions"])


def _used(cell: "Cell", name: str) -> int:
    return int(cell.state["used"][0][PLACES[name]]) + 1


def _living(cell: "Cell", name: str, link: str = "next") -> np.ndarray:
    """Row numbers of a pool that are not on its free list."""
    alive = np.ones(_used(cell, name), bool)
    alive[0] = False
    i = int(cell.state["free"][0][PLACES[name]])
    while i:
        alive[i] = False
        i = int(cell.table[name][link][i])
    return np.nonzero(alive)[0]


def _credit(cell: "Cell") -> list[Any]:
    return _fields(cell.table["credit"][1:_used(cell, "credit")], *COLUMNS["credit"])


def _orders(cell: "Cell") -> list[Any]:
    rows = _living(cell, "orders")
    o = cell.table["orders"][rows]
    level = cell.table["levels"][o["level"]]
    instrument = level["instrument"].astype(np.int64)
    b = cell.table["instruments"]                       # by field: a row of it is large
    price = b["min_price"][instrument] + level["tick"].astype(np.int64) * b["book_tick"][instrument]
    place = np.zeros(len(cell.table["orders"]) if len(rows) else 1, np.int64)
    at_place, following = 0, cell.table["orders"]["next"]
    standing = np.unique(level["head"])                 # the first of every level, then all the second ones, ...
    while len(standing := standing[standing > 0]):
        place[standing] = at_place
        standing, at_place = following[standing], at_place + 1
    return [instrument, o["side"], price, place[rows], o["id"], (o["id"] >> ORDINAL_BITS) & ACCOUNT_MASK,
            *_fields(o, "quantity", "leaves", "held", "fee_ppm", "self_trade", "post_only")]


def _requests(cell: "Cell") -> list[Any]:
    return _fields(cell.table["requests"][_living(cell, "requests")], *COLUMNS["requests"])


def _quotes(cell: "Cell") -> list[Any]:
    rows = _living(cell, "quotes")
    q, r = cell.table["quotes"][rows], cell.table["requests"]
    place = {}
    for request in np.unique(q["request"]).tolist():
        i, at_place = int(r["first"][request]), 0
        while i:
            place[i] = at_place
            i, at_place = int(cell.table["quotes"]["next"][i]), at_place + 1
    return [q["id"], r["id"][q["request"]], [place[i] for i in rows.tolist()], *_fields(q, "account", "bid", "ask", "expires", "reserve")]


def _children(cell: "Cell") -> list[Any]:
    return _fields(cell.table["children"][_living(cell, "children")], *COLUMNS["children"])


def _obligations(cell: "Cell") -> list[Any]:
    return _fields(cell.table["obligations"][_living(cell, "obligations")], *COLUMNS["obligations"])


def _held(cell: "Cell") -> list[Any]:
    h = cell.table["held"][_living(cell, "held")]
    return [*_fields(h, "id", "account", "sequence", "person", "lapse"), *(h["words"][:, i] for i in range(16))]


def _ring(cell: "Cell", name: str, window: str) -> list[Any]:
    first, last, capacity = _head(cell, f"{name}_first"), _head(cell, f"{name}_next"), len(cell.table[name]) - 1
    a = cell.table[name][1 + np.arange(first, last) % capacity]
    a = a[a["accepted_at"] + _head(cell, window) > cell.time]
    return _fields(a, "account", "id_hi", "id_lo", "sequence", "accepted_at")


def _flows(cell: "Cell") -> list[Any]:
    f = cell.table["flows"]["amount"].reshape(-1, CAUSES)
    asset, cause = np.nonzero(f)
    return [asset, cause, f[asset, cause]]


_READ: dict[str, Callable[["Cell"], list[Any]]] = {
    "cell": _cell, "assets": _assets, "accounts": _accounts, "dealers": _dealers, "actors": _actors, "numbers": _numbers, "authority": _authority,
    "instruments": _instruments, "sources": _sources, "venues": _venues, "stops": _stops, "balances": _balances, "positions": _positions,
    "credit": _credit, "orders": _orders, "requests": _requests, "quotes": _quotes, "children": _children, "obligations": _obligations, "held": _held,
    "answers": lambda cell: _ring(cell, "answers", "answer_window"), "facts": lambda cell: _ring(cell, "facts", "fact_window"), "flows": _flows}


def restore(cell: "Cell", rows: Mapping[str, tuple[int, tuple[str, ...], Matrix]]) -> None:
    """Fill an empty cell from logical rows. Raises ValueError naming the table whose version or columns are not this release's."""
    for name, columns in COLUMNS.items():
        if name not in rows or rows[name][0] != VERSION or tuple(rows[name][1]) != columns:
            raise ValueError(f"snapshot table {name!r} is not of version {VERSION} with columns {', '.join(columns)}: migrate it first")
    fill(cell, {name: rows[name][2] for name in COLUMNS})
