"""The logical state: which rows and columns are hashed and kept (docs/rules.md section 11), and how a state is rebuilt from them.

Decides nothing about business. Free lists, indexes, queues, bitmaps and timers are derived: they are not written down and are made again here.
"""
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cambist.core.accounts import ACCOUNT_MASK
from cambist.core.columns import BAND, COLUMNS, EXPOSURE, EXTRA, PEG, SESSION, SOME, TRADING, VERSION
from cambist.core.rebuild import fill
from cambist.core.layout import CAUSES, KINDS, MAX_SOURCES, PLACES, REGISTERS_HASHED, SLOTS
from cambist.messages import NUMBER_WINDOW, ORDINAL_BITS, TIERS
from cambist.core.unripe import Growth

if TYPE_CHECKING:
    from cambist.core.cell import Cell

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


def _queue(cell: "Cell", table: str, first: str, link: str = "sweep_next") -> np.ndarray:
    """Place in a queue of sweeps, from 1, by row."""
    places, i, place = np.zeros(len(cell.table[table]), np.int64), _head(cell, first), 1
    while i:
        places[i] = place
        i, place = int(cell.table[table][link][i]), place + 1
    return places


def _assets(cell: "Cell") -> list[Any]:
    n = _head(cell, "asset_count") + 1
    return [np.arange(1, n), *_fields(cell.table["assets"][1:n], *COLUMNS["assets"][1:])]


def _accounts(cell: "Cell") -> list[Any]:
    n = _head(cell, "account_count") + 1
    a = cell.table["accounts"][1:n]
    return [np.arange(1, n), *_fields(a, "kind", "entity", "dealer", "rate_limit", "max_open", "answer_quota", "enabled", "killed", "ordinal", "dying_below"),
            _queue(cell, "accounts", "sweep_first")[1:n], *_fields(a, "sweep_reason", "rate_second", "rate_count", "failed", "cycle"),
            *_fields(cell.table["account_extras"][1:n], *TRADING), _queue(cell, "account_extras", "some_first", "some_next")[1:n],
            *_fields(cell.table["account_extras"][1:n], *SOME)]


def _dealers(cell: "Cell") -> list[Any]:
    n = _head(cell, "dealer_count") + 1
    return [np.arange(1, n), cell.table["dealers"]["account"][1:n]]


def _actors(cell: "Cell") -> list[Any]:
    n = _head(cell, "actor_count") + 1
    return [np.arange(1, n), *_fields(cell.table["actors"][1:n], "account", "person", "role", "enabled", "highest", "killed"),
            _queue(cell, "actors", "trader_first")[1:n], cell.table["actors"]["roams"][1:n]]


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
    b = Growth(cell).of_instruments(cell.table["instruments"][1:n])
    x = cell.table["instrument_extras"][1:n]
    ranges = [x[edge][:, source] for source in range(3) for edge in ("low", "high")]
    return [np.arange(1, n), *_fields(b, *COLUMNS["instruments"][1:21]), _queue(cell, "instruments", "book_sweep_first")[1:n], b["last"], b["emitted"],
            *_fields(x, *SESSION), _queue(cell, "instrument_extras", "over_first", "over_next")[1:n], *_fields(x, *BAND[:-1]), b["book_last"], *ranges,
            *_fields(x, *PEG)]


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
    more = Growth(cell).of_accounts(account, asset)
    return [account, asset, *(x[f][account, asset] * more for f in names)]


def _positions(cell: "Cell") -> list[Any]:
    p = cell.table["positions"][1:_used(cell, "positions")]
    p = p[np.logical_or.reduce([p[f] != 0 for f in COLUMNS["positions"][2:]])]
    more = Growth(cell).of_positions(p["account"], p["instrument"])
    return [*_fields(p, "account", "instrument"), p["net"] * more, *_fields(p, "open_buy", "open_sell"), p["limit"] * more, p["value"]]


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
    c = cell.table["credit"][1:_used(cell, "credit")]
    more = Growth(cell).of_accounts(c["taker"], c["asset"])
    return [*_fields(c, "giver", "taker", "asset"), *(c[f] * more for f in COLUMNS["credit"][3:])]


def _places(cell: "Cell") -> np.ndarray:
    """Of every order's row: its place in its level, from 0, or in its instrument's queue to enter, from 1."""
    place, following = np.zeros(len(cell.table["orders"]), np.int64), cell.table["orders"]["next"]
    levels = np.unique(cell.table["orders"]["level"][1:_used(cell, "orders")])
    for at_place, first in ((0, cell.table["levels"]["head"][levels]), (1, cell.table["instrument_extras"]["queue_first"])):
        while len(first := first[first > 0]):           # the first of every level, then all the second ones, ...
            place[first] = at_place
            first, at_place = following[first], at_place + 1
    return place


def _orders(cell: "Cell") -> list[Any]:
    rows = _living(cell, "orders")
    o, special = cell.table["orders"][rows], cell.table["orders"]["special"][rows] != 0
    x, origin = cell.table["order_extras"][rows], cell.table["origins"][rows]

    def own(field: str, otherwise: Any = 0) -> np.ndarray:
        return np.where(special, x[field], otherwise)

    level = cell.table["levels"][o["level"]]
    instrument = cell.table["positions"]["instrument"][o["position"]].astype(np.int64)
    b = cell.table["instruments"]                       # by field: a row of it is large
    price = b["min_price"][instrument] + level["tick"].astype(np.int64) * b["book_tick"][instrument]
    extra = [own(name, o["leaves"]) if name == "shown" else own(name) for name in EXTRA]
    linked = [cell.table["orders"]["id"][own(name)] * (own(name) > 0) for name in ("mate", "parent")]
    return [instrument, o["side"], np.where(o["level"] > 0, price, own("worst")), _places(cell)[rows], o["id"], (o["id"] >> ORDINAL_BITS) & ACCOUNT_MASK,
            *_fields(o, "quantity", "leaves", "held", "fee_ppm", "self_trade"), own("post_only"), own("state"), own("order_type"), own("time_in_force"),
            origin["actor"], origin["sequence"], own("worst", price), *extra, *linked, own("quoted"), own("value")]


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


def _tiers(cell: "Cell") -> list[Any]:
    t = cell.table["tiers"].reshape(-1, TIERS)
    instrument, tier = np.nonzero(t["given"])
    rates = (t[f][instrument, tier] for f in ("maker_ppm", "taker_ppm", "rfq_ppm"))
    return [instrument, tier, *rates, t["minimum"][instrument, tier] * Growth(cell).of_minimums(instrument)]


def _schedules(cell: "Cell") -> list[Any]:
    t = cell.table["schedules"].reshape(-1, SLOTS)
    instrument, slot = np.nonzero(t["given"])
    return [instrument, slot, *(t[f][instrument, slot] for f in COLUMNS["schedules"][2:])]


def _protections(cell: "Cell") -> list[Any]:
    p = cell.table["protections"][1:_used(cell, "protections")]
    more = Growth(cell).of_positions(p["account"], p["instrument"])
    return [*_fields(p, "account", "instrument"), p["quantity"] * more, p["delta"] * more, *_fields(p, "window", "frozen", "bucket"),
            *(p[f][:, i] * more for f in ("bought", "sold") for i in range(8))]


def _exposures(cell: "Cell") -> list[Any]:
    account = np.nonzero(cell.table["exposures"]["given"])[0]
    return [account, *_fields(cell.table["exposures"][account], *EXPOSURE)]


def _restrictions(cell: "Cell") -> list[Any]:
    return _fields(cell.table["restrictions"][_living(cell, "restrictions")], *COLUMNS["restrictions"])


_READ: dict[str, Callable[["Cell"], list[Any]]] = {
    "cell": _cell, "assets": _assets, "accounts": _accounts, "dealers": _dealers, "actors": _actors, "numbers": _numbers, "authority": _authority,
    "instruments": _instruments, "sources": _sources, "venues": _venues, "stops": _stops, "balances": _balances, "positions": _positions,
    "credit": _credit, "orders": _orders, "requests": _requests, "quotes": _quotes, "children": _children, "obligations": _obligations, "held": _held,
    "answers": lambda cell: _ring(cell, "answers", "answer_window"), "facts": lambda cell: _ring(cell, "facts", "fact_window"), "flows": _flows,
    "tiers": _tiers, "schedules": _schedules, "protections": _protections, "exposures": _exposures, "restrictions": _restrictions}


def restore(cell: "Cell", rows: Mapping[str, tuple[int, tuple[str, ...], Matrix]]) -> None:
    """Fill an empty cell from logical rows. Raises ValueError naming the table whose version or columns are not this release's."""
    for name, columns in COLUMNS.items():
        if name not in rows or rows[name][0] != VERSION or tuple(rows[name][1]) != columns:
            raise ValueError(f"snapshot table {name!r} is not of version {VERSION} with columns {', '.join(columns)}: migrate it first")
    fill(cell, {name: rows[name][2] for name in COLUMNS})
