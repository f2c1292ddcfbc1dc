"""A state from its logical rows: NumPy fills the rows, `relink` makes again what is derived (indexes, queues, levels, bitmaps, timers, counts)."""
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numba import types

from cambist.core import layout as at
from cambist.core.columns import BAND, COLUMNS, EXPOSURE, EXTRA, PEG, SESSION, SOME, TRADING
from cambist.core.configuration import HOUSE_QUOTA
from cambist.core.flags import flag_account, flag_instrument
from cambist.core.layout import CAUSES, KINDS, MAX_SOURCES, PLACES, REGISTERS_HASHED, SLOTS, STATE
from cambist.core.accounts import account_of, position_of
from cambist.core.authority import SECOND
from cambist.core.agenda import look_later, review
from cambist.core.triggers import next_to_fire
from cambist.core.mass_actions import find_partial, watch_dead_man
from cambist.core.order_rows import list_order
from cambist.core.traders import find_trader
from cambist.core.order_standing import relist
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
    RESTRICTED_ACCOUNT_TAG,
    RESTRICTED_ACTOR_TAG,
    index_answer,
    index_fact,
    remember,
)
from cambist.core.terms import list_base, open_book
from cambist.core.schedules import start_slot
from cambist.core.market_sessions import set_timers
from cambist.core.timers import CHILD_FORGOTTEN, HELD_LAPSES, QUOTE_ENDS, REQUEST_ENDS, start_timer
from cambist.messages import NUMBER_WINDOW, TIERS, AccountKind, ChildState, OrderState, RequestState

if TYPE_CHECKING:
    from cambist.core.cell import Cell

USED = {name: PLACES[name] for name in ("positions", "credit", "orders", "requests", "quotes", "children", "obligations", "held", "protections",
                                        "restrictions")}
POSITIONS, CREDIT, ORDERS, REQUESTS, QUOTES, CHILDREN, OBLIGATIONS, HELD, PROTECTIONS, RESTRICTIONS = USED.values()
SPECIAL = ("post_only", "state", "order_type", "time_in_force", *EXTRA, "worst", "mate", "parent", "quoted", "value")      # what marks an order
FILLED_TOGETHER = 2048                          # orders
INTS = Several(np.dtype(np.int64))
SINGLE = {AccountKind.HOUSE: "house", AccountKind.FEES: "fees", AccountKind.SUSPENSE: "suspense", AccountKind.DEFICIT: "deficit"}


# ------------------------------------------------------------------------------------------------------------- derived
@cold
def _relink_book(state: STATE, ticks: INTS, instruments: INTS, by_id: INTS, by_arrival: INTS):
    for number in range(1, state.instrument_count + 1):
        open_book(state, number)
        list_base(state, number)
    for i in range(1, state.used[ORDERS] + 1):
        o = at.order(state, i)
        o.position = position_of(state, account_of(o), instruments[i])
        o.asset = asset_of(at.instrument(state, instruments[i]), o.side)
        if ticks[i] >= 0:
            rest(state, at.instrument(state, instruments[i]), instruments[i], i, o, ticks[i])
    for k in range(len(by_id)):
        list_order(state, by_id[k], at.order(state, by_id[k]))
    for k in range(len(by_arrival)):
        relist(state, by_arrival[k])
    for number in range(1, state.account_count + 1):
        flag_account(state, number)
        find_partial(state, number)
        watch_dead_man(state, number)
    find_trader(state)
    for number in range(1, state.instrument_count + 1):
        flag_instrument(state, number)
        set_timers(state, number)
    for row in range(SLOTS, (state.instrument_count + 1) * SLOTS):
        start_slot(state, row)


@cold
def _relink_controls(state: STATE):
    for i in range(1, state.used[PROTECTIONS] + 1):
        p = at.protection(state, i)
        at.position_extra(state, position_of(state, p.account, p.instrument)).protection = i
    for i in range(1, state.used[RESTRICTIONS] + 1):
        r = at.restriction(state, i)
        remember(state, RESTRICTED_ACCOUNT_TAG if r.account else RESTRICTED_ACTOR_TAG, (r.account | r.actor) << 32 | r.instrument, i)
        x = at.instrument_extra(state, r.instrument)
        x.restrictions = x.restrictions + 1


@cold
def _relink_quotes(state: STATE):
    for i in range(1, state.used[REQUESTS] + 1):
        r = at.request(state, i)
        remember(state, REQUEST_TAG, r.id, i)
        x = at.instrument_extra(state, r.instrument)
        x.requests = x.requests + 1
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
        else:
            x = at.instrument_extra(state, h.instrument)
            x.children = x.children + 1
    for i in range(1, state.used[OBLIGATIONS] + 1):
        b = at.obligation(state, i)
        remember(state, OBLIGATION_TAG, b.id, i)
        owner = at.account(state, b.account)
        owner.obligations = owner.obligations + 1
        a = at.asset(state, b.asset)
        a.obligations = a.obligations + 1
        if b.amount < 0:
            owner.owing = owner.owing + 1
    state.held_count = state.used[HELD]
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


def _relink(states, ticks, instruments, by_id, by_arrival):
    state = states[0]
    state.second = state.time // SECOND
    _relink_rest(state)
    _relink_controls(state)
    _relink_book(state, ticks, instruments, by_id, by_arrival)
    _relink_quotes(state)
    for number in range(state.instrument_count, 0, -1):
        flags = at.instrument(state, number).flags
        if flags:
            look_later(state, number)           # after the next command, or its first unit; what work there is already is known at once
        if flags or at.instrument_extra(state, number).peg_work:        # work that its last peg has left behind
            review(state, number, 1 if next_to_fire(state, number) else 0)


if COMPILED:
    from numba.np.numpy_support import from_dtype

    SIGNATURE = (types.Array(from_dtype(STATE), 1, "C"), *[types.Array(types.int64, 1, "C")] * 4)
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
    m = rows["protections"]
    part = _use(cell, "protections", len(m))
    _columns(cell, "protections", part, m, COLUMNS["protections"][:7], 0)
    cell.table["protections"]["bought"][part], cell.table["protections"]["sold"][part] = m[:, 7:15], m[:, 15:23]
    _columns(cell, "restrictions", _use(cell, "restrictions", len(rows["restrictions"])), rows["restrictions"], COLUMNS["restrictions"], 0)
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


def _chain(cell: "Cell", table: str, numbers: np.ndarray, places: np.ndarray, first: str, last: str, link: str = "sweep_next", mark: str = "") -> None:
    """A queue of sweeps from the places in it."""
    queue = numbers[np.argsort(places, kind="stable")][np.sort(places) > 0].tolist()
    for i, following in zip(queue, [*queue, 0][1:], strict=True):
        cell.table[table][link][i] = following
        if mark:
            cell.table[table][mark][i] = 1
    cell.state[first], cell.state[last] = (queue[0], queue[-1]) if queue else (0, 0)


def _fill_configuration(cell: "Cell", rows: Mapping[str, np.ndarray]) -> None:
    m = rows["assets"]
    _columns(cell, "assets", m[:, 0], m, COLUMNS["assets"][1:], 1)
    m = rows["accounts"]
    _columns(cell, "accounts", m[:, 0], m, ("kind", "entity", "dealer", "rate_limit", "max_open", "answer_quota", "enabled", "killed", "ordinal",
                                            "dying_below"), 1)
    _columns(cell, "accounts", m[:, 0], m, ("sweep_reason", "rate_second", "rate_count", "failed", "cycle"), 12)
    _chain(cell, "accounts", m[:, 0], m[:, 11], "sweep_first", "sweep_last", mark="sweeping")
    _columns(cell, "account_extras", m[:, 0], m, TRADING, 17)
    _columns(cell, "account_extras", m[:, 0], m, SOME, 18 + len(TRADING))
    _chain(cell, "account_extras", m[:, 0], m[:, 17 + len(TRADING)], "some_first", "some_last", "some_next")
    cell.state["quota_sum"] = m[:, 6].sum()
    for number, kind in m[:, :2].tolist():
        if kind in SINGLE:
            cell.state[SINGLE[kind]] = number
    m = rows["dealers"]
    cell.table["dealers"]["account"][m[:, 0]] = m[:, 1]
    cell.table["accounts"]["listed"][m[:, 1]] = 1
    m = rows["actors"]
    _columns(cell, "actors", m[:, 0], m, ("account", "person", "role", "enabled", "highest", "killed"), 1)
    _columns(cell, "actors", m[:, 0], m, ("roams",), 8)
    _chain(cell, "actors", m[:, 0], m[:, 7], "trader_first", "trader_last", "sweep_next", "sweeping")
    cell.state["traders_killed"] = m[:, 6].sum()
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
    _chain(cell, "instruments", m[:, 0], m[:, 21], "book_sweep_first", "book_sweep_last", mark="sweeping")
    _columns(cell, "instrument_extras", m[:, 0], m, SESSION, 24)
    _chain(cell, "instrument_extras", m[:, 0], m[:, 30], "over_first", "over_last", "over_next", "over")
    _columns(cell, "instrument_extras", m[:, 0], m, BAND[:-1], 31)
    cell.table["instruments"]["book_last"][m[:, 0]] = m[:, 37]
    for source in range(3):
        cell.table["instrument_extras"]["low"][m[:, 0], source] = m[:, 38 + 2 * source]
        cell.table["instrument_extras"]["high"][m[:, 0], source] = m[:, 39 + 2 * source]
    _columns(cell, "instrument_extras", m[:, 0], m, PEG, 44)
    m = rows["tiers"]
    _columns(cell, "tiers", m[:, 0] * TIERS + m[:, 1], m, COLUMNS["tiers"][2:], 2)
    cell.table["tiers"]["given"][m[:, 0] * TIERS + m[:, 1]] = 1
    m = rows["schedules"]
    _columns(cell, "schedules", m[:, 0] * SLOTS + m[:, 1], m, COLUMNS["schedules"][2:], 2)
    cell.table["schedules"]["given"][m[:, 0] * SLOTS + m[:, 1]] = 1
    m = rows["exposures"]
    _columns(cell, "exposures", m[:, 0], m, EXPOSURE, 1)
    cell.table["exposures"]["given"][m[:, 0]] = 1
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
    _columns(cell, "positions", _use(cell, "positions", len(m)), m, COLUMNS["positions"], 0)
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


def _fill_orders(cell: "Cell", m: np.ndarray) -> tuple[np.ndarray, ...]:
    """Rows in book order; ticks (-1: outside the book) and instruments by row number, and the row numbers in the order of ids and of arrival (of special
    ones alone, for nothing is derived of the others)."""
    first = _use(cell, "orders", len(m)).start
    ticks, special = np.zeros(len(m) + 1, np.int64), np.zeros(len(m) + 1, np.bool_)
    for start in range(0, len(m), FILLED_TOGETHER):         # a snapshot's row is long: this many of them are near enough to be looked at column by column
        rows = m[start:start + FILLED_TOGETHER]
        part = slice(first + start, first + start + len(rows))
        _fill_some_orders(cell, rows, part, ticks[part], special[part])
    column = {name: m[:, COLUMNS["orders"].index(name)] for name in ("id", "place", "sequence", "instrument")}
    ids, instruments = column["id"].copy(), np.concatenate((np.zeros(1, np.int64), column["instrument"]))
    by_id, arrived = 1 + np.argsort(ids, kind="stable"), np.nonzero(special)[0]
    _fill_special(cell, m[arrived - 1], arrived, ids, by_id)
    arrived = arrived[np.lexsort([column[name][arrived - 1] for name in ("place", "id", "sequence")])]
    return ticks, instruments, by_id, arrived


def _fill_some_orders(cell: "Cell", m: np.ndarray, part: slice, ticks: np.ndarray, special: np.ndarray) -> None:
    """What every order has; `ticks` and `special` are written too."""
    column = {name: m[:, k] for k, name in enumerate(COLUMNS["orders"])}
    b = cell.table["instruments"]                           # by field: a row of it is large
    lowest, tick = b["min_price"][m[:, 0]], np.maximum(b["book_tick"][m[:, 0]], 1)
    ticks[:] = np.where(column["state"] == OrderState.BOOK, (m[:, 2] - lowest) // tick, -1)
    for name in ("side", "id", "quantity", "leaves", "held", "fee_ppm", "self_trade"):
        cell.table["orders"][name][part] = column[name]
    for name in ("actor", "sequence"):
        cell.table["origins"][name][part] = column[name]
    plain = {**dict.fromkeys(SPECIAL, 0), "worst": m[:, 2], "shown": column["leaves"]}
    special[:] = np.logical_or.reduce([column[name] != plain[name] for name in plain])
    cell.table["orders"]["special"][part] = special


def _fill_special(cell: "Cell", m: np.ndarray, rows: np.ndarray, ids: np.ndarray, by_id: np.ndarray) -> None:
    """What only special orders have: in `rows`, of which `m` are the snapshot's."""
    column, x = {name: m[:, k] for k, name in enumerate(COLUMNS["orders"])}, cell.table["order_extras"]
    for name in (*SPECIAL, "worst", "shown"):
        x[name][rows] = _rows_of(column[name], ids, by_id) if name in ("mate", "parent") else column[name]
    x["instrument"][rows] = m[:, 0]
    _fill_queues(cell, rows, m[:, 0], np.where(column["state"] == OrderState.TRIGGERED, column["place"], 0))


def _rows_of(wanted: np.ndarray, ids: np.ndarray, by_id: np.ndarray) -> np.ndarray:
    """The rows of orders by their ids; 0 of 0."""
    rows, named = np.zeros(len(wanted), np.int64), wanted > 0
    rows[named] = by_id[np.searchsorted(ids, wanted[named], sorter=by_id - 1)]
    return rows


def _fill_queues(cell: "Cell", rows: np.ndarray, instruments: np.ndarray, places: np.ndarray) -> None:
    """The queues of orders that are to enter, from their places (0: in none)."""
    x, o = cell.table["instrument_extras"], cell.table["orders"]
    order = np.lexsort((places, instruments))
    for k in order[places[order] > 0].tolist():
        instrument, row = int(instruments[k]), int(rows[k])
        before = int(x["queue_last"][instrument])
        o["prev"][row] = before
        if before:
            o["next"][before] = row
        else:
            x["queue_first"][instrument] = row
        x["queue_last"][instrument] = row
