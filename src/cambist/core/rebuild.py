"""A state from its logical rows: NumPy fills the rows, `relink` makes again what is derived (indexes, queues, levels, bitmaps, timers, counts)."""
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numba import types

from cambist.core import layout as at
from cambist.core.configuration import HOUSE_QUOTA, open_book
from cambist.core.layout import CAUSES, KINDS, MAX_SOURCES, PLACES, REGISTERS_HASHED, STATE
from cambist.core.accounts import account_of, position_of
from cambist.core.authority import SECOND
from cambist.core.matching import list_order
from cambist.core.risk import asset_of
from cambist.core.book import rest
from cambist.core.memory import COMPILED, Several, cold, entry
from cambist.core.pools import (
    CHILD_TAG,
    CREDIT_TAG,
    HELD_TAG,
    OBLIGATION_TAG,
    POSITION_TAG,
    QUOTE_TAG,
    REQUEST_TAG,
    index_answer,
    index_fact,
    remember,
)
from cambist.core.timers import CHILD_FORGOTTEN, HELD_LAPSES, QUOTE_ENDS, REQUEST_ENDS, start_timer
from cambist.messages import NUMBER_WINDOW, AccountKind, ChildState, RequestState

if TYPE_CHECKING:
    from cambist.core.cell import Cell

USED = {name: PLACES[name] for name in ("positions", "credit", "orders", "requests", "quotes", "children", "obligations", "held")}
POSITIONS, CREDIT, ORDERS, REQUESTS, QUOTES, CHILDREN, OBLIGATIONS, HELD = USED.values()
INTS = Several(np.dtype(np.int64))
SINGLE = {AccountKind.HOUSE: "house", AccountKind.FEES: "fees", AccountKind.SUSPENSE: "suspense", AccountKind.DEFICIT: "deficit"}


# ------------------------------------------------------------------------------------------------------------- derived
@cold
def _relink_book(state: STATE, ticks: INTS, instruments: INTS, by_id: INTS):
    for number in range(1, state.instrument_count + 1):
        open_book(state, number)
    for i in range(1, state.used[ORDERS] + 1):
        o = at.order(state, i)
        o.position = position_of(state, account_of(o), instruments[i])
        o.asset = asset_of(at.instrument(state, instruments[i]), o.side)
        rest(state, at.instrument(state, instruments[i]), instruments[i], i, o, ticks[i])
    for k in range(len(by_id)):
        list_order(state, by_id[k], at.order(state, by_id[k]))


@cold
def _relink_quotes(state: STATE):
    for i in range(1, state.used[REQUESTS] + 1):
        r = at.request(state, i)
        remember(state, REQUEST_TAG, r.id, i)
        r.timer = start_timer(state, r.expires, r.id, REQUEST_ENDS, i)
        if r.state == RequestState.OPEN:
            owner = at.account(state, r.account)
            owner.open_requests = owner.open_requests + 1
    for i in range(1, state.used[QUOTES] + 1):          # they come in the order of their arrival at each request
        q = at.quote(state, i)
        r = at.request(state, q.request)
        remember(state, QUOTE_TAG, q.id, i)
        if r.state == RequestState.OPEN:
            q.timer = start_timer(state, q.expires, q.id, QUOTE_ENDS, i)
        q.prev = r.last
        if r.last:
            at.quote(state, r.last).next = i
        else:
            r.first = i
        r.last = i


@cold
def _relink_rest(state: STATE):
    for i in range(1, state.used[POSITIONS] + 1):
        p = at.position_row(state, i)
        remember(state, POSITION_TAG, (p.account << 32) | p.instrument, i)
    for i in range(1, state.used[CREDIT] + 1):
        c = at.credit_row(state, i)
        remember(state, CREDIT_TAG, (c.taker << 32) | c.asset, i)
    for i in range(1, state.used[CHILDREN] + 1):
        h = at.child(state, i)
        remember(state, CHILD_TAG, h.id, i)
        if h.state == ChildState.DONE:
            h.timer = start_timer(state, h.ends, h.id, CHILD_FORGOTTEN, i)
    for i in range(1, state.used[OBLIGATIONS] + 1):
        b = at.obligation(state, i)
        remember(state, OBLIGATION_TAG, b.id, i)
        owner = at.account(state, b.account)
        owner.obligations = owner.obligations + 1
        if b.amount < 0:
            owner.owing = owner.owing + 1
    for i in range(1, state.used[HELD] + 1):
        w = at.held(state, i)
        remember(state, HELD_TAG, w.id, i)
        w.timer = start_timer(state, w.lapse, w.id, HELD_LAPSES, i)
    for i in range(1, state.answers_next + 1):
        index_answer(state, i)
        owner = at.account(state, at.answer(state, i).account)
        owner.answers = owner.answers + 1
    for i in range(1, state.facts_next + 1):
        index_fact(state, i)


def _relink(states, ticks, instruments, by_id):
    state = states[0]
    state.second = state.time // SECOND
    _relink_rest(state)
    _relink_book(state, ticks, instruments, by_id)
    _relink_quotes(state)


if COMPILED:
    from numba.np.numpy_support import from_dtype

    SIGNATURE = (types.Array(from_dtype(STATE), 1, "C"), *[types.Array(types.int64, 1, "C")] * 3)
else:
    SIGNATURE = ()
relink = entry(_relink)


# ---------------------------------------------------------------------------------------------------------------- rows
def fill(cell: "Cell", rows: Mapping[str, np.ndarray]) -> None:
    """Write the rows of every table into an empty cell, then relink. Raises ValueError when a table of this cell is too small."""
    _fill_head(cell, rows)
    _fill_configuration(cell, rows)
    _fill_pools(cell, rows)
    for name, window in (("answers", "answers_next"), ("facts", "facts_next")):
        m = rows[name]
        m = m[np.lexsort((m[:, 3], m[:, 4]))]               # the ring is in the order of acceptance
        a = cell.table[name][1:1 + _room(cell, name, len(m))]
        for k, field in enumerate(("account", "id_hi", "id_lo", "sequence", "accepted_at")):
            a[field] = m[:, k]
        a["living"] = 1
        cell.state[window] = len(m)
    derived = _fill_orders(cell, rows["orders"])
    relink(cell._states, *(derived if COMPILED else (a.tolist() for a in derived)))


def _room(cell: "Cell", name: str, wanted: int) -> int:
    if wanted >= len(cell.table[name]):
        raise ValueError(f"table {name!r} has room for {len(cell.table[name]) - 1} rows, the snapshot has {wanted}: give it a larger size")
    return wanted


def _fill_head(cell: "Cell", rows: Mapping[str, np.ndarray]) -> None:
    values = rows["cell"][0]
    for name, value in zip(REGISTERS_HASHED, values[:-1], strict=True):
        cell.state[name] = value
    cell.table["accounts"]["ordinal"][0] = values[-1]
    cell.table["accounts"]["answer_quota"][0] = HOUSE_QUOTA
    cell.state["configured"] = 1 if cell.state["answer_window"][0] else 0
    for name, count in (("assets", "asset_count"), ("accounts", "account_count"), ("actors", "actor_count"), ("instruments", "instrument_count"),
                        ("venues", "venue_count"), ("dealers", "dealer_count")):
        cell.state[count] = _room(cell, name, len(rows[name]))


def _columns(cell: "Cell", table: str, at_rows, matrix: np.ndarray, fields: tuple[str, ...], first: int) -> None:
    for k, field in enumerate(fields):
        cell.table[table][field][at_rows] = matrix[:, first + k]


def _chain(cell: "Cell", table: str, numbers: np.ndarray, places: np.ndarray, first: str, last: str) -> None:
    """A queue of sweeps from the places in it."""
    queue = numbers[np.argsort(places, kind="stable")][np.sort(places) > 0].tolist()
    for i, following in zip(queue, [*queue, 0][1:], strict=True):
        cell.table[table]["sweep_next"][i] = following
        cell.table[table]["sweeping"][i] = 1
    cell.state[first], cell.state[last] = (queue[0], queue[-1]) if queue else (0, 0)


def _fill_configuration(cell: "Cell", rows: Mapping[str, np.ndarray]) -> None:
    m = rows["assets"]
    _columns(cell, "assets", m[:, 0], m, ("digits", "approval_above", "enabled", "quote_approval_above"), 1)
    m = rows["accounts"]
    _columns(cell, "accounts", m[:, 0], m, ("kind", "entity", "dealer", "rate_limit", "max_open", "answer_quota", "enabled", "killed", "ordinal",
                                            "dying_below"), 1)
    _columns(cell, "accounts", m[:, 0], m, ("sweep_reason", "rate_second", "rate_count", "failed", "cycle"), 12)
    _chain(cell, "accounts", m[:, 0], m[:, 11], "sweep_first", "sweep_last")
    cell.state["quota_sum"] = m[:, 6].sum()
    for number, kind in m[:, :2].tolist():
        if kind in SINGLE:
            cell.state[SINGLE[kind]] = number
    m = rows["dealers"]
    cell.table["dealers"]["account"][m[:, 0]] = m[:, 1]
    cell.table["accounts"]["listed"][m[:, 1]] = 1
    m = rows["actors"]
    _columns(cell, "actors", m[:, 0], m, ("account", "person", "role", "enabled", "highest"), 1)
    m = rows["numbers"]
    place = m[:, 0] * NUMBER_WINDOW + m[:, 1] % NUMBER_WINDOW
    _columns(cell, "numbers", place, m[:, 2:], ("sequence",), 0)
    m = rows["authority"]
    _columns(cell, "authority", m[:, 0] * KINDS + m[:, 1], m, ("scope", "second_person"), 2)
    m = rows["instruments"]
    fields = ("base", "quote", "lot", "book_tick", "quote_tick", "min_price", "max_price", "amount_num", "amount_den", "settlement", "max_quantity",
              "max_notional", "collar_ppm", "max_position", "min_sources", "max_age", "maker_ppm", "taker_ppm", "rfq_ppm", "halted")
    _columns(cell, "instruments", m[:, 0], m, fields, 1)
    _columns(cell, "instruments", m[:, 0], m, ("last", "emitted"), 22)
    _chain(cell, "instruments", m[:, 0], m[:, 21], "book_sweep_first", "book_sweep_last")
    m = rows["sources"]
    _columns(cell, "sources", m[:, 0] * (MAX_SOURCES + 1) + m[:, 1], m, ("enabled", "price", "posted_at"), 2)
    cell.table["sources"]["known"][m[:, 0] * (MAX_SOURCES + 1) + m[:, 1]] = 1
    m = rows["venues"]
    _columns(cell, "venues", m[:, 0], m, ("account", "enabled"), 1)
    m = rows["stops"]
    cell.table["stops"]["stopped"][m[:, 0] * len(cell.table["instruments"]) + m[:, 1]] = 1
    m = rows["balances"]
    _columns(cell, "balances", m[:, 0] * len(cell.table["assets"]) + m[:, 1], m, ("available", "held", "unsettled", "due", "short_limit"), 2)
    m = rows["flows"]
    cell.table["flows"]["amount"][m[:, 0] * CAUSES + m[:, 1]] = m[:, 2]


def _use(cell: "Cell", name: str, count: int) -> slice:
    cell.state["used"][0][PLACES[name]] = _room(cell, name, count)
    return slice(1, count + 1)


def _fill_pools(cell: "Cell", rows: Mapping[str, np.ndarray]) -> None:
    m = rows["positions"]
    _columns(cell, "positions", _use(cell, "positions", len(m)), m, ("account", "instrument", "net", "open_buy", "open_sell", "limit"), 0)
    m = rows["credit"]
    _columns(cell, "credit", _use(cell, "credit", len(m)), m, ("giver", "taker", "asset", "limit", "quoting_limit", "reserved", "traded", "netted",
                                                                 "quoted"), 0)
    m = rows["requests"]
    _columns(cell, "requests", _use(cell, "requests", len(m)), m, ("id", "account", "instrument", "side", "quantity", "state", "expires"), 0)
    request = {int(i): row for row, i in enumerate(m[:, 0], 1)}
    m = rows["quotes"]
    m = m[np.lexsort((m[:, 2], m[:, 1]))]
    part = _use(cell, "quotes", len(m))
    cell.table["quotes"]["id"][part] = m[:, 0]
    cell.table["quotes"]["request"][part] = [request[int(i)] for i in m[:, 1]]
    _columns(cell, "quotes", part, m, ("account", "bid", "ask", "expires", "reserve"), 3)
    m = rows["children"]
    _columns(cell, "children", _use(cell, "children", len(m)), m, ("id", "account", "instrument", "venue", "side", "time_in_force", "price", "quantity",
                                                                    "filled", "held", "state", "cum", "parent", "ends"), 0)
    m = rows["obligations"]
    _columns(cell, "obligations", _use(cell, "obligations", len(m)), m, ("id", "account", "asset", "amount", "cycle"), 0)
    m = rows["held"]
    part = _use(cell, "held", len(m))
    _columns(cell, "held", part, m, ("id", "account", "sequence", "person", "lapse"), 0)
    cell.table["held"]["words"][part] = m[:, 5:]


def _fill_orders(cell: "Cell", m: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows in book order; ticks and instruments by row number, and the row numbers in the order of ids."""
    part = _use(cell, "orders", len(m))
    b = cell.table["instruments"][m[:, 0]]
    ticks, instruments = np.zeros(len(m) + 1, np.int64), np.zeros(len(m) + 1, np.int64)
    ticks[1:] = (m[:, 2] - b["min_price"]) // np.maximum(b["book_tick"], 1)
    instruments[1:] = m[:, 0]
    cell.table["orders"]["side"][part], cell.table["orders"]["id"][part] = m[:, 1], m[:, 4]
    _columns(cell, "orders", part, m, ("quantity", "leaves", "held", "fee_ppm", "self_trade", "post_only"), 6)
    return ticks, instruments, 1 + np.argsort(m[:, 4], kind="stable")
