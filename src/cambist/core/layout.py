"""The state, field by field: what is kept of everything the cell decided. Row layouts are code, the number of rows is data.

One block of memory: a header (STATE) that says where each table starts and how many rows it has, then the tables. Rows of pools are numbered from 1; 0
means none. All fields are signed, so that compiled and Python arithmetic agree. Units: amounts in the asset's unit, quantities in units of the base
asset, prices in price increments, times in nanoseconds. Knows no behaviour.
"""
import numpy as np

from cambist.core.memory import any_bits, reinterpret, row_count, table, told_apart
from cambist.messages import COMMAND as WIRE
from cambist.messages import EVENT, LAYOUT, MAX_GROUP, NUMBER_WINDOW, TIERS, Kind

I, H, S, B = "<i8", "<i4", "<i2", "i1"
MAX_ASSETS, MAX_DEALERS, MAX_SOURCES, KINDS, ROLES, CAUSES = 64, 16, 8, 128, 16, 8
MIN_EVENTS = 2048                               # the smallest legal event buffer
AIMS = 16                                       # commands that are looked at ahead: a power of two
ROOM = 256                                      # a sweep goes on only with this much of it left
SLOTS = 8                                       # of an instrument's schedule
MAX_INSTRUMENTS = 1 << 18                       # what three levels of a bitmap tree know
LINES = 4                                       # of section 10 that move the market, 9 to 12

ASSET = np.dtype([("digits", I), ("approval_above", I), ("quote_approval_above", I), ("enabled", I), ("rate_num", I), ("rate_den", I),
                  ("obligations", I), ("bases", I), ("first_base", I)])        # open ones; instruments that it is the base of, and their list
# Rows that every order reads are whole cache lines (64 bytes), what is read most in the first. What a plain order never reads is in a second table with the
# same row numbers (orders, accounts, instruments, positions, levels), and a flag in the first row says that there is something to read.
ACCOUNT = np.dtype([("kind", B), ("enabled", B), ("killed", B), ("dealer", B), ("rate_limit", H), ("rate_second", I), ("rate_count", H), ("max_open", H),
                    ("open_orders", H), ("first_order", H), ("last_order", H), ("flags", H), ("ordinal", I), ("dying_below", I), ("entity", I),
                    ("cycle", I), ("listed", B), ("reserves", B), ("sweep_reason", S), ("sweeping", S), ("spare3", S), ("answer_quota", H), ("answers", H),
                    ("failed", H), ("open_requests", H), ("sweep_next", H), ("owing", H), ("obligations", H), ("spare4", H), ("spare5", I, 2)])
# How an account differs from one whose orders the hot path may take; each bit is set by whoever configures or begins it.
TRADES_SPECIALLY, WATCHED, PARTIAL_SWEEP, RESTRICTED_ACCOUNT = 1, 2, 4, 8     # CONFIGURE_TRADING; EXPOSURE; CANCEL_SOME is worked off; RESTRICTION
ACCOUNT_EXTRA = np.dtype([
    ("trade_group", H), ("max_waiting", H), ("cancel_reserve", H), ("max_executions", H), ("self_trade_scope", B), ("tier", B), ("some_side", B),
    ("dup_side", B), ("fee_instrument", H), ("rate_cancels", H), ("executed", H), ("execution_window", I), ("executed_window", I), ("duplicate_window", I),
    ("dup_price", I), ("dup_quantity", I), ("dup_at", I), ("dead_man", I), ("dup_instrument", H), ("dead_man_timer", H),
    ("some_below", I), ("some_cursor", I), ("some_instrument", H), ("some_row", H), ("some_next", H), ("spare", H)])     # some_row: the order looked at next
EXPOSURE = np.dtype([("gross_limit", I), ("net_limit", I), ("loss_limit", I), ("gross", I), ("net", I), ("open", I), ("cash", I), ("day", I), ("base", I),
                     ("given", I)])              # of the account with the same row number
ACTOR = np.dtype([("account", H), ("person", H), ("role", H), ("enabled", B), ("killed", B), ("sweeping", S), ("highest", I), ("sweep_next", H),
                  ("roams", H)])                # roams: it has sent an order for another account than its own
DEALER = np.dtype([("account", H)])
AUTHORITY = np.dtype([("scope", B), ("second_person", B)])
# What an instrument has that the hot path must know. Orders leave the hot path where one of SLOW is set; at a band only who would trade beyond its edge does.
# Where one of LOOKED is set, somebody waits for its prices: they are looked at afterwards.
WAITS, PEGS, SESSION_STANDS, HAS_BAND, HAS_RESTRICTION = 1, 2, 4, 8, 16        # triggers; pegs; not CONTINUOUS, or ending; a band; somebody is barred from it
SLOW, LOOKED = SESSION_STANDS | HAS_RESTRICTION, WAITS | PEGS | SESSION_STANDS
INSTRUMENT = np.dtype([
    ("bid", I), ("ask", I), ("min_price", I), ("max_price", I), ("book_tick", I), ("lot", I), ("max_quantity", I), ("l0", I),       # best ticks
    ("amount_num", I), ("amount_den", I), ("max_notional", I), ("max_position", I), ("highest_buy", I), ("lowest_sell", I), ("reference_until", I),
    ("base", H), ("quote", H),
    ("settlement", B), ("halted", B), ("sweeping", B), ("flags", B), ("highest_ppm", H), ("maker_ppm", H), ("taker_ppm", H), ("last", I), ("book_last", I),
    ("tick_inverse", I), ("lot_inverse", I), ("den_inverse", I), ("ticks", I),
    ("l1", I), ("l2", I), ("l3", I), ("reference", I),                                      # l0..l3: where the bitmap trees start in `words`
    ("quote_tick", I), ("collar_ppm", I), ("min_sources", I), ("max_age", I), ("emitted", I), ("rfq_ppm", H), ("sweep_next", H), ("unit", I), ("spare2", I, 5)])
SESSION_LISTS = 6                               # DAY; AUCTION; AT_OPEN and AT_CLOSE in the book; AT_OPEN and AT_CLOSE waiting: each in order of arrival
DAY_LIST, AUCTION_LIST, OPEN_LIST, CLOSE_LIST, OPEN_WAITS, CLOSE_WAITS = range(SESSION_LISTS)
INSTRUMENT_EXTRA = np.dtype([
    ("session", B), ("next_session", B), ("ending", B), ("peg_work", B), ("over", B), ("looked", B), ("spare", S), ("over_next", H), ("look_next", H),
    ("auction_ends", I), ("indicative_at", I), ("uncross", I), ("band_ppm", I), ("band_window", I), ("auction", I), ("indicative", I), ("anchor", I),
    ("anchor_window", I), ("low", I, 3), ("high", I, 3), ("peg_bid", I), ("peg_ask", I), ("peg_cursor", I),    # low, high: the range of LAST, INDEX, MARK
    ("ends_timer", H), ("indicative_timer", H), ("queue_first", H), ("queue_last", H), ("outside_first", H), ("outside_last", H), ("float_first", H),
    ("float_last", H), ("floating", H), ("pegs", H), ("restrictions", H), ("requests", H),
    ("rising", H, 3), ("falling", H, 3), ("waiting", H, 3), ("children", H),                  # roots of the trees of triggers; how many wait on each source
    ("session_first", H, SESSION_LISTS), ("session_last", H, SESSION_LISTS),
    ("next_base", H), ("seen_next", H)])           # requests, children: those that live here; next_base: of the instruments of one base asset
TIER = np.dtype([("maker_ppm", H), ("taker_ppm", H), ("rfq_ppm", H), ("given", H), ("minimum", I)])            # dense: instrument * TIERS + tier
SCHEDULE = np.dtype([("offset", I), ("period", I), ("duration", I), ("due", I), ("session", B), ("next", B), ("enabled", B), ("given", B),
                     ("timer", H)])              # dense: instrument * SLOTS + slot
PROTECTION = np.dtype([("quantity", I), ("delta", I), ("window", I), ("bucket", I), ("bought", I, 8), ("sold", I, 8), ("account", H), ("instrument", H),
                       ("frozen", H), ("next", H)])
RESTRICTION = np.dtype([("account", H), ("actor", H), ("instrument", H), ("next", H)])
SOURCE = np.dtype([("enabled", I), ("known", I), ("price", I), ("posted_at", I)])
VENUE = np.dtype([("account", H), ("enabled", H)])
STOP = np.dtype([("stopped", B)])
BALANCE = np.dtype([("available", I), ("held", I), ("unsettled", I), ("due", I), ("short_limit", I), ("pending_in", I), ("pending_out", I),
                    ("unit", I)])               # unit: of an asset whose digits are being changed, which change the row has seen
POSITION = np.dtype([("net", I), ("open_buy", I), ("open_sell", I), ("limit", I), ("account", H), ("instrument", H),
                     ("next", H), ("line", H), ("value", I), ("spare", I)])          # line: its account's credit row in the quote asset, once known
POSITION_EXTRA = np.dtype([("reducing_buy", I), ("reducing_sell", I), ("waiting", H), ("bid", H), ("ask", H), ("protection", H)])
# reducing: leaves of REDUCE_ONLY orders that count; waiting: orders outside the book but pegs; bid, ask: the rows of its MASS_QUOTE's orders
CREDIT = np.dtype([("limit", I), ("quoting_limit", I), ("reserved", I), ("traded", I), ("netted", I), ("quoted", I), ("giver", H), ("taker", H),
                   ("asset", H), ("next", H)])
ORDER = np.dtype([("id", I), ("leaves", I), ("quantity", I), ("held", I), ("level", H), ("next", H), ("prev", H), ("after", H), ("before", H),
                  ("position", H), ("fee_ppm", H), ("side", B), ("self_trade", B), ("special", B),
                  ("asset", B)])                # asset: what it holds of, or on whose line
# level: 0 outside the book, where next and prev are the queue to enter
ORIGIN = np.dtype([("sequence", I), ("actor", H), ("spare", H)])             # of every order: its place in the order of arrival, and who sent it
ORDER_EXTRA = np.dtype([                        # of an order that is marked special; of others everything here is 0, `worst` its price, `shown` its leaves
    ("state", B), ("order_type", B), ("time_in_force", B), ("post_only", B), ("options", B), ("trigger", B), ("trigger_on", B), ("link", B),
    ("quoted", B), ("session_list", B), ("waits", B), ("stands", B), ("instrument", H),     # session_list: from 1; waits: in a tree; stands: it is known
    ("worst", I), ("display", I), ("shown", I), ("prevented", I), ("fee_min", I), ("trigger_price", I),
    ("distance", I), ("offset", I), ("good_till", I), ("value", I), ("mate", H), ("parent", H), ("first_child", H), ("second_child", H),
    ("timer", H), ("outside_next", H), ("outside_prev", H), ("session_next", H), ("session_prev", H), ("float_next", H), ("float_prev", H),
    ("left", H), ("right", H), ("up", H), ("outside", B), ("floats", B), ("spare", S), ("spare2", H),
    ("counted", I), ("reduces", I), ("spare3", I, 2)])                       # counted: of its leaves, in the position's open quantity; reduces: in reducing_*
LEVEL = np.dtype([("head", H), ("tail", H), ("quantity", I), ("tick", H), ("instrument", H), ("orders", H), ("pegs", H)])     # quantity: what is shown
HIDDEN = np.dtype([("quantity", I)])            # of the level with the same row number: what its orders do not show
WORD = np.dtype([("bits", I), ("page", H), ("spare", H)])    # 64 ticks of a side: which have orders, and the page of their levels
PAGE = np.dtype([("next", H)])
TAKER = np.dtype([("active", I), ("order", I), ("instrument", I), ("price", I), ("tick", I), ("immediate", I), ("touched", I), ("known", I), ("hold", I),
                  ("sequence", I), ("from_queue", I), ("complete", I), ("matches", I), ("counts", I), ("broken", I), ("met_quantity", I),
                  ("met_orders", I), ("spare", I, 7)])
# What an order at work is besides its row. touched: the level it met is to be told; known: its account's list has it; sequence: its events'; from_queue: it was
# TRIGGERED; complete: nothing may be left out; matches: the number before it; counts: as an execution of its account; broken: the band stopped it;
# met_*: what the level was when the taker came to it.
OUTCOME = np.dtype([("price", I), ("quantity", I), ("surplus", I), ("demand", I), ("supply", I), ("lowest", I), ("volume", I), ("size", I), ("away", I),
                    ("first", I), ("first_surplus", I), ("last", I), ("last_surplus", I), ("near", I), ("near_surplus", I), ("spare", I)])
# What an auction would be now, while it is looked for: of the best candidates the first, the last and the nearest to the centre. Never the state.
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
DRAFT = np.dtype([("worst", I), ("tick", I), ("trigger_price", I), ("base", I), ("amount", I), ("hold", I), ("position", I), ("fee_ppm", I), ("fee_min", I),
                  ("mate", I), ("parent", I), ("sequence", I)])              # what a special order would be, while it is checked
MASS = np.dtype([("given", I), ("tick", I), ("worth", I), ("hold", I), ("value", I), ("old_tick", I), ("old_quantity", I), ("old_orders", I),
                 ("new_quantity", I), ("new_orders", I)])                     # a side of a MASS_QUOTE at work, and its levels before it
AGENDA = np.dtype([("bits", I)])                # which instruments have work of lines 9 to 12 of section 10: a bitmap tree for each of them

# Where the rows of a command to come will be: a guess, never the state.
AIM = np.dtype([("position", I), ("order", I), ("row", I), ("word", I), ("tick", I), ("spare", I, 3)])

SHAPE = np.dtype([("words", I, 16)])              # of a kind: the bits of a record that are not its own

TABLES = {"assets": ASSET, "accounts": ACCOUNT, "actors": ACTOR, "dealers": DEALER, "authority": AUTHORITY, "instruments": INSTRUMENT, "sources": SOURCE,
          "venues": VENUE, "stops": STOP, "balances": BALANCE, "positions": POSITION, "credit": CREDIT, "orders": ORDER, "levels": LEVEL, "words": WORD,
          "account_extras": ACCOUNT_EXTRA, "exposures": EXPOSURE, "instrument_extras": INSTRUMENT_EXTRA, "position_extras": POSITION_EXTRA,
          "origins": ORIGIN, "order_extras": ORDER_EXTRA, "hidden": HIDDEN, "tiers": TIER, "schedules": SCHEDULE, "protections": PROTECTION,
          "restrictions": RESTRICTION, "agenda": AGENDA, "draft": DRAFT, "mass": MASS,
          "pages": PAGE, "taker": TAKER, "outcome": OUTCOME, "requests": REQUEST, "quotes": QUOTE, "children": CHILD, "obligations": OBLIGATION, "held": HELD,
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
    ("some_first", I), ("some_last", I), ("trader_first", I), ("trader_last", I), ("trader_account", I), ("trader_cursor", I), ("trader_row", I),
    ("traders_killed", I),
    ("over_first", I), ("over_last", I),                     # queues of partial, traders' and sessions' sweeps
    ("change_asset", I), ("change_digits", I), ("change_stage", I), ("change_next", I), ("change_factor", I), ("change_unit", I), ("held_count", I),
    ("look_first", I), ("agenda", I), ("units", I), ("begun", I),    # instruments to look at; lines with work (bits); units left; a command's work has begun
    ("quiet_until", I),                                      # before this time no work can be due; whoever begins some says 0, a timer its time
    ("answers_first", I), ("answers_next", I), ("facts_first", I), ("facts_next", I), ("slot_mask", I), ("slot_shift", I), ("order_mask", I), ("mark_shift", I),
    ("timer_count", I),
    ("second", I), ("dropped_at", I),                        # the time in seconds; when what was past its window was last dropped
    ("scratch", I, MAX_SOURCES),
    ("schedule", I, 64), ("chain", I, 8), ("bad_group", I), ("group_reason", I, MAX_GROUP), ("group_account", I, MAX_GROUP), ("group_other", I, MAX_GROUP),
    ("list_rows", I, 3), ("list_reason", I),
    ("written", I), ("releasing", I),                        # events in the buffer; when the held command that is run would have lapsed, else 0
    ("e_command", I), ("e_id_hi", I), ("e_id_lo", I), ("e_instrument", I), ("told", I), ("told_other", I)])   # what events of the command at work echo

REGISTERS_HASHED = ("time", "sequence", "started", "cell", "answer_window", "fact_window", "rfq_window", "approval_window", "max_ttl", "cycle",
                    "killed_all", "kill_sweep", "cut_off", "matches", "trader_account", "trader_cursor", "change_asset", "change_digits", "change_stage",
                    "change_next")

SEEN = {"events": "event", "order_extras": "order extra"}                       # rows that are seen in more than one layout
(asset, account, actor, dealer, authority, instrument, source, venue, stop, balance_row, position_row, credit_row, order, level, word, account_extra,
 exposure, instrument_extra, position_extra, origin, order_extra, hidden, tier, schedule, protection, restriction, agenda, draft, mass, page, taker, outcome,
 request, quote, child, obligation, held, answer, fact, number, flow, slot, order_slot, timer, heap, event, aim,
 shape) = (table(PLACES[n], d, STATE, SEEN.get(n, "")) for n, d in TABLES.items())

event_room = row_count(PLACES["events"], STATE)
asset_rows = row_count(PLACES["assets"], STATE)
instrument_rows = row_count(PLACES["instruments"], STATE)

told_apart(STATE, "state")
COMMAND = WIRE
WORDS = np.dtype([("words", I, 16)])
as_words = reinterpret(WORDS, COMMAND, "command")
strays = any_bits(COMMAND, SHAPE, 16)           # whether a record has bits that are not its kind's
WIDE = np.dtype([("what", I), ("who", I), *((name, I) for name in EVENT.names[7:])])       # an event in whole words
as_wide = reinterpret(WIDE, EVENT, "event")
EXTRA_WORDS = np.dtype([("words", I, ORDER_EXTRA.itemsize // 8)])
as_extra_words = reinterpret(EXTRA_WORDS, ORDER_EXTRA, "order extra")
as_command = reinterpret(COMMAND, HELD, "command")         # a held command's record is the first field of its row
L = LAYOUT
K = Kind


def seen_as(kind: Kind):
    """The command record with its kind's named arguments."""
    return reinterpret(LAYOUT[kind], COMMAND, "command")


CAPACITY = {"assets": 16, "accounts": 256, "actors": 256, "dealers": MAX_DEALERS, "instruments": 16, "venues": 16, "positions": 4096, "credit": 1024,
            "orders": 1 << 16, "pages": 1 << 13, "words": 1 << 17, "requests": 4096, "quotes": 1 << 14, "children": 4096, "obligations": 4096,
            "held": 1024, "answers": 1 << 17, "facts": 1 << 14, "protections": 256, "restrictions": 256, "events": 1 << 14}


def agenda_words(instruments: int) -> tuple[int, int]:
    """Words of the two lower levels of the agenda's trees."""
    words = (instruments + 63) >> 6
    return words, (words + 63) >> 6


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
    if chosen["instruments"] >= MAX_INSTRUMENTS:
        raise ValueError(f"instruments = {chosen['instruments']}: at most {MAX_INSTRUMENTS - 1}")
    if chosen["assets"] > MAX_ASSETS or chosen["dealers"] > MAX_DEALERS:
        raise ValueError(f"at most {MAX_ASSETS} assets and {MAX_DEALERS} dealers")
    rows = {name: chosen.get(name, 0) + 1 for name in TABLES}           # row 0 means none
    rows.update(events=chosen["events"], taker=1, draft=1, mass=2, outcome=1, aims=AIMS, words=2 * chosen["words"],
                answers=chosen["answers"] + 1, facts=chosen["facts"] + 1)
    rows["authority"] = ROLES * KINDS
    rows["shapes"] = KINDS
    rows["sources"] = rows["instruments"] * (MAX_SOURCES + 1)
    rows["stops"] = rows["venues"] * rows["instruments"]
    rows["balances"] = rows["accounts"] * rows["assets"]
    rows["levels"] = rows["pages"] * 64
    rows["numbers"] = rows["actors"] * NUMBER_WINDOW
    rows["flows"] = rows["assets"] * CAUSES
    for name, same in (("account_extras", "accounts"), ("exposures", "accounts"), ("instrument_extras", "instruments"), ("position_extras", "positions"),
                       ("origins", "orders"), ("order_extras", "orders"), ("hidden", "levels")):
        rows[name] = rows[same]
    rows["tiers"], rows["schedules"] = rows["instruments"] * TIERS, rows["instruments"] * SLOTS
    words, over = agenda_words(rows["instruments"])
    rows["agenda"] = LINES * (words + over + 1)
    rows["timers"] = rows["heap"] = (rows["requests"] + rows["quotes"] + rows["held"] + rows["children"] + rows["orders"] + rows["accounts"]
                                     + (2 + SLOTS) * rows["instruments"])
    keys = sum(rows[n] for n in ("positions", "credit", "requests", "quotes", "children", "obligations", "held", "answers", "facts", "restrictions"))
    rows["slots"] = 1 << (2 * keys - 1).bit_length()
    rows["order_slots"] = 1 << (2 * rows["orders"] - 1).bit_length()
    return rows
