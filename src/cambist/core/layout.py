"""The state, field by field: what is kept of everything the cell decided. Row layouts are code, the number of rows is data.

One block of memory: a header (STATE) that says where each table starts and how many rows it has, then the tables. Rows of pools are numbered from 1; 0
means none. All fields are signed, so that compiled and Python arithmetic agree. Units: amounts in the asset's unit, quantities in units of the base
asset, prices in price increments, times in nanoseconds. Knows no behaviour.
"""
import numpy as np

from cambist.core.memory import any_bits, reinterpret, row_count, table, told_apart
from cambist.messages import COMMAND as WIRE
from cambist.messages import EVENT, LAYOUT, MAX_GROUP, NUMBER_WINDOW, Kind

I, H, S, B = "<i8", "<i4", "<i2", "i1"
MAX_ASSETS, MAX_DEALERS, MAX_SOURCES, KINDS, ROLES, CAUSES = 64, 16, 8, 128, 16, 8
MIN_EVENTS = 2048                               # the smallest legal event buffer
AIMS = 16                                       # commands that are looked at ahead: a power of two
ROOM = 256                                      # a sweep goes on only with this much of it left

ASSET = np.dtype([("digits", I), ("approval_above", I), ("quote_approval_above", I), ("enabled", I)])
# Rows that every order reads are whole cache lines (64 bytes), what is read most in the first.
ACCOUNT = np.dtype([("kind", B), ("enabled", B), ("killed", B), ("dealer", B), ("rate_limit", H), ("rate_second", I), ("rate_count", H), ("max_open", H),
                    ("open_orders", H), ("first_order", H), ("last_order", H), ("spare", H), ("ordinal", I), ("dying_below", I), ("entity", I),
                    ("cycle", I), ("listed", B), ("spare2", B), ("sweep_reason", S), ("sweeping", S), ("spare3", S), ("answer_quota", H), ("answers", H),
                    ("failed", H), ("open_requests", H), ("sweep_next", H), ("owing", H), ("obligations", H), ("spare4", H), ("spare5", I, 2)])
ACTOR = np.dtype([("account", H), ("person", H), ("role", H), ("enabled", H), ("highest", I), ("spare", I)])
DEALER = np.dtype([("account", H)])
AUTHORITY = np.dtype([("scope", B), ("second_person", B)])
INSTRUMENT = np.dtype([
    ("bid", I), ("ask", I), ("min_price", I), ("max_price", I), ("book_tick", I), ("lot", I), ("max_quantity", I), ("l0", I),       # best ticks
    ("amount_num", I), ("amount_den", I), ("max_notional", I), ("max_position", I), ("highest_buy", I), ("lowest_sell", I), ("reference_until", I),
    ("base", H), ("quote", H),
    ("settlement", B), ("halted", B), ("sweeping", B), ("spare", B), ("highest_ppm", H), ("maker_ppm", H), ("taker_ppm", H), ("last", I),
    ("tick_inverse", I), ("lot_inverse", I), ("den_inverse", I), ("ticks", I), ("reference", I),
    ("l1", I), ("l2", I), ("l3", I),                                                        # l0..l3: where the bitmap tree starts in `words`
    ("quote_tick", I), ("collar_ppm", I), ("min_sources", I), ("max_age", I), ("emitted", I), ("rfq_ppm", H), ("sweep_next", H), ("spare2", I, 7)])
SOURCE = np.dtype([("enabled", I), ("known", I), ("price", I), ("posted_at", I)])
VENUE = np.dtype([("account", H), ("enabled", H)])
STOP = np.dtype([("stopped", B)])
BALANCE = np.dtype([("available", I), ("held", I), ("unsettled", I), ("due", I), ("short_limit", I), ("pending_in", I), ("pending_out", I), ("spare", I)])
POSITION = np.dtype([("net", I), ("open_buy", I), ("open_sell", I), ("limit", I), ("account", H), ("instrument", H),
                     ("next", H), ("line", H), ("spare", I, 2)])          # line: its account's credit row in the quote asset, once known
CREDIT = np.dtype([("limit", I), ("quoting_limit", I), ("reserved", I), ("traded", I), ("netted", I), ("quoted", I), ("giver", H), ("taker", H),
                   ("asset", H), ("next", H)])
ORDER = np.dtype([("id", I), ("leaves", I), ("quantity", I), ("held", I), ("level", H), ("next", H), ("prev", H), ("after", H), ("before", H),
                  ("position", H), ("fee_ppm", H), ("side", B), ("self_trade", B), ("post_only", B),
                  ("asset", B)])                # asset: what it holds of, or on whose line
LEVEL = np.dtype([("head", H), ("tail", H), ("quantity", I), ("tick", H), ("instrument", H), ("orders", H), ("spare", H)])
WORD = np.dtype([("bits", I), ("page", H), ("spare", H)])    # 64 ticks: which have orders, and the page of their levels
PAGE = np.dtype([("next", H)])
TAKER = np.dtype([("active", I), ("order", I), ("instrument", I), ("price", I), ("tick", I), ("immediate", I), ("touched", I), ("known", I), ("hold", I),
                  ("spare", I, 7)])         # what an order at work is besides its row; touched: the level it met is to be told; known: it rested before
REQUEST = np.dtype([("id", I), ("quantity", I), ("expires", I), ("account", H), ("instrument", H), ("side", B), ("state", B), ("spare", S), ("first", H),
                    ("last", H), ("timer", H), ("next", H), ("spare2", H)])
QUOTE = np.dtype([("id", I), ("bid", I), ("ask", I), ("expires", I), ("reserve", I), ("account", H), ("request", H), ("next", H), ("prev", H),
                  ("timer", H), ("failure", H)])
CHILD = np.dtype([("id", I), ("price", I), ("quantity", I), ("filled", I), ("held", I), ("cum", I), ("parent", I), ("ends", I), ("account", H),
                  ("instrument", H), ("venue", H), ("timer", H), ("next", H), ("side", B), ("time_in_force", B), ("state", B), ("spare", B)])
OBLIGATION = np.dtype([("id", I), ("amount", I), ("cycle", I), ("account", H), ("asset", H), ("next", H), ("spare", H)])
HELD = np.dtype([("words", I, 16), ("id", I), ("sequence", I), ("lapse", I), ("account", H), ("person", H), ("timer", H), ("next", H)])
ANSWER = np.dtype([("id_hi", I), ("id_lo", I), ("sequence", I), ("accepted_at", I), ("account", H), ("living", H)])
NUMBER = np.dtype([("sequence", I)])             # a key's numbers have no gap: the place says which of the last ones it is
FLOW = np.dtype([("amount", I)])
SLOT = np.dtype([("key", I), ("row", H), ("tag", H)])
ORDER_SLOT = np.dtype([("word", I)])              # an order's mark (31 bits of its id, mixed) and its row
TIMER = np.dtype([("time", I), ("id", I), ("kind", H), ("row", H), ("place", H), ("next", H)])
PLACE = np.dtype([("timer", H)])

# Where the rows of a command to come will be: a guess, never the state.
AIM = np.dtype([("position", I), ("order", I), ("row", I), ("word", I), ("tick", I), ("spare", I, 3)])

SHAPE = np.dtype([("words", I, 16)])              # of a kind: the bits of a record that are not its own

TABLES = {"assets": ASSET, "accounts": ACCOUNT, "actors": ACTOR, "dealers": DEALER, "authority": AUTHORITY, "instruments": INSTRUMENT, "sources": SOURCE,
          "venues": VENUE, "stops": STOP, "balances": BALANCE, "positions": POSITION, "credit": CREDIT, "orders": ORDER, "levels": LEVEL, "words": WORD,
          "pages": PAGE, "taker": TAKER, "requests": REQUEST, "quotes": QUOTE, "children": CHILD, "obligations": OBLIGATION, "held": HELD,
          "answers": ANSWER, "facts": ANSWER, "numbers": NUMBER, "flows": FLOW, "slots": SLOT, "order_slots": ORDER_SLOT, "timers": TIMER, "heap": PLACE,
          "events": EVENT, "aims": AIM, "shapes": SHAPE}
PLACES = {name: i for i, name in enumerate(TABLES)}

STATE = np.dtype([
    ("at", I, len(TABLES)), ("capacity", I, len(TABLES)), ("free", I, len(TABLES)), ("used", I, len(TABLES)),
    ("time", I), ("sequence", I), ("started", I), ("configured", I), ("cell", I), ("answer_window", I), ("fact_window", I), ("rfq_window", I),
    ("approval_window", I), ("max_ttl", I), ("cycle", I), ("killed_all", I), ("kill_sweep", I), ("cut_off", I), ("matches", I),
    ("asset_count", I), ("account_count", I), ("actor_count", I), ("instrument_count", I), ("venue_count", I), ("dealer_count", I), ("word_count", I),
    ("quota_sum", I), ("house", I), ("fees", I), ("suspense", I), ("deficit", I),
    ("sweep_first", I), ("sweep_last", I), ("book_sweep_first", I), ("book_sweep_last", I),
    ("answers_first", I), ("answers_next", I), ("facts_first", I), ("facts_next", I), ("slot_mask", I), ("slot_shift", I), ("order_mask", I), ("mark_shift", I),
    ("timer_count", I),
    ("second", I), ("dropped_at", I),                        # the time in seconds; when what was past its window was last dropped
    ("scratch", I, MAX_SOURCES),
    ("schedule", I, 64), ("chain", I, 8), ("bad_group", I), ("group_reason", I, MAX_GROUP), ("group_account", I, MAX_GROUP), ("group_other", I, MAX_GROUP),
    ("written", I), ("releasing", I),                        # events in the buffer; when the held command that is run would have lapsed, else 0
    ("e_command", I), ("e_id_hi", I), ("e_id_lo", I), ("e_instrument", I), ("told", I), ("told_other", I)])   # what events of the command at work echo

REGISTERS_HASHED = ("time", "sequence", "started", "cell", "answer_window", "fact_window", "rfq_window", "approval_window", "max_ttl", "cycle",
                    "killed_all", "kill_sweep", "cut_off", "matches")

SEEN = {"events": "event"}                       # rows that are seen in more than one layout
(asset, account, actor, dealer, authority, instrument, source, venue, stop, balance_row, position_row, credit_row, order, level, word, page, taker, request,
 quote, child, obligation, held, answer, fact, number, flow, slot, order_slot, timer, heap, event, aim,
 shape) = (table(PLACES[n], d, STATE, SEEN.get(n, "")) for n, d in TABLES.items())

event_room = row_count(PLACES["events"], STATE)
asset_rows = row_count(PLACES["assets"], STATE)

told_apart(STATE, "state")
COMMAND = WIRE
WORDS = np.dtype([("words", I, 16)])
as_words = reinterpret(WORDS, COMMAND, "command")
strays = any_bits(COMMAND, SHAPE, 16)           # whether a record has bits that are not its kind's
WIDE = np.dtype([("what", I), ("who", I), *((name, I) for name in EVENT.names[7:])])       # an event in whole words
as_wide = reinterpret(WIDE, EVENT, "event")
as_command = reinterpret(COMMAND, HELD, "command")         # a held command's record is the first field of its row
L = LAYOUT
K = Kind


def seen_as(kind: Kind):
    """The command record with its kind's named arguments."""
    return reinterpret(LAYOUT[kind], COMMAND, "command")


CAPACITY = {"assets": 16, "accounts": 256, "actors": 256, "dealers": MAX_DEALERS, "instruments": 16, "venues": 16, "positions": 4096, "credit": 1024,
            "orders": 1 << 16, "pages": 1 << 13, "words": 1 << 17, "requests": 4096, "quotes": 1 << 14, "children": 4096, "obligations": 4096,
            "held": 1024, "answers": 1 << 17, "facts": 1 << 14, "events": 1 << 14}


def sizes(**wanted: int) -> dict[str, int]:
    """Rows of every table from the few that are chosen (CAPACITY has the names and the demo's numbers). Raises ValueError naming what is wrong."""
    for name, rows in wanted.items():
        if name not in CAPACITY:
            raise ValueError(f"no table {name!r} has a size; choose from {', '.join(CAPACITY)}")
        if rows < 1:
            raise ValueError(f"{name} = {rows}: at least 1 row")
    chosen = {**CAPACITY, **wanted}
    if chosen["events"] < MIN_EVENTS:
        raise ValueError(f"events = {chosen['events']}: the event buffer needs at least {MIN_EVENTS}")
    if chosen["assets"] > MAX_ASSETS or chosen["dealers"] > MAX_DEALERS:
        raise ValueError(f"at most {MAX_ASSETS} assets and {MAX_DEALERS} dealers")
    rows = {name: chosen.get(name, 0) + 1 for name in TABLES}           # row 0 means none
    rows.update(events=chosen["events"], taker=1, aims=AIMS, words=chosen["words"], answers=chosen["answers"] + 1, facts=chosen["facts"] + 1)
    rows["authority"] = ROLES * KINDS
    rows["shapes"] = KINDS
    rows["sources"] = rows["instruments"] * (MAX_SOURCES + 1)
    rows["stops"] = rows["venues"] * rows["instruments"]
    rows["balances"] = rows["accounts"] * rows["assets"]
    rows["levels"] = rows["pages"] * 64
    rows["numbers"] = rows["actors"] * NUMBER_WINDOW
    rows["flows"] = rows["assets"] * CAUSES
    rows["timers"] = rows["heap"] = rows["requests"] + rows["quotes"] + rows["held"] + rows["children"]
    keys = sum(rows[n] for n in ("positions", "credit", "requests", "quotes", "children", "obligations", "held", "answers", "facts"))
    rows["slots"] = 1 << (2 * keys - 1).bit_length()
    rows["order_slots"] = 1 << (2 * rows["orders"] - 1).bit_length()
    return rows
