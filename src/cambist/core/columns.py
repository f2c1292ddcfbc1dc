"""Which columns each logical table has (docs/rules.md section 11): what is hashed and kept in snapshots, by name. Knows no rows."""
from cambist.core.layout import REGISTERS_HASHED

VERSION = 1
TRADING = ("rate_cancels", "trade_group", "self_trade_scope", "max_waiting", "cancel_reserve", "max_executions", "execution_window", "duplicate_window",
           "tier", "fee_instrument", "executed_window", "executed", "dup_instrument", "dup_side", "dup_price", "dup_quantity", "dup_at", "dead_man")
SOME = ("some_instrument", "some_side", "some_below", "some_cursor")
SESSION = ("session", "next_session", "auction_ends", "indicative_at", "ending", "uncross")
BAND = ("band_ppm", "band_window", "auction", "indicative", "anchor", "anchor_window", "book_last")
RANGES = ("last_low", "last_high", "index_low", "index_high", "mark_low", "mark_high")
PEG = ("peg_bid", "peg_ask", "peg_work", "peg_cursor")
EXTRA = ("display", "shown", "prevented", "fee_min", "options", "trigger", "trigger_on", "trigger_price", "distance", "offset", "good_till", "link")
EXPOSURE = ("gross_limit", "net_limit", "loss_limit", "gross", "net", "open", "cash", "day", "base")
COLUMNS: dict[str, tuple[str, ...]] = {
    "cell": (*REGISTERS_HASHED, "ordinal"),
    "assets": ("asset", "digits", "approval_above", "enabled", "quote_approval_above", "rate_num", "rate_den"),
    "accounts": ("account", "kind", "entity", "dealer", "rate_limit", "max_open", "answer_quota", "enabled", "killed", "ordinal", "dying_below", "sweep",
                 "sweep_reason", "rate_second", "rate_count", "failed", "cycle", *TRADING, "some_place", *SOME),
    "dealers": ("place", "account"),
    "actors": ("actor", "account", "person", "role", "enabled", "highest", "killed", "sweep", "roams"),
    "numbers": ("actor", "number", "sequence"),
    "authority": ("role", "command", "scope", "second_person"),
    "instruments": ("instrument", "base", "quote", "lot", "book_tick", "quote_tick", "min_price", "max_price", "amount_num", "amount_den", "settlement",
                    "max_quantity", "max_notional", "collar_ppm", "max_position", "min_sources", "max_age", "maker_ppm", "taker_ppm", "rfq_ppm", "halted",
                    "sweep", "last", "reference", *SESSION, "over", *BAND, *RANGES, *PEG),
    "sources": ("instrument", "source", "enabled", "price", "posted_at"),
    "venues": ("venue", "account", "enabled"),
    "stops": ("venue", "instrument"),
    "balances": ("account", "asset", "available", "held", "unsettled", "due", "short_limit"),
    "positions": ("account", "instrument", "net", "open_buy", "open_sell", "limit", "value"),
    "credit": ("giver", "taker", "asset", "limit", "quoting_limit", "reserved", "traded", "netted", "quoted"),
    "orders": ("instrument", "side", "price", "place", "id", "account", "quantity", "leaves", "held", "fee_ppm", "self_trade", "post_only",
               "state", "order_type", "time_in_force", "actor", "sequence", "worst", *EXTRA, "mate", "parent", "quoted", "value"),
    "requests": ("id", "account", "instrument", "side", "quantity", "state", "expires"),
    "quotes": ("id", "request", "place", "account", "bid", "ask", "expires", "reserve"),
    "children": ("id", "account", "instrument", "venue", "side", "time_in_force", "price", "quantity", "filled", "held", "state", "cum", "parent", "ends"),
    "obligations": ("id", "account", "asset", "amount", "cycle"),
    "held": ("id", "account", "sequence", "person", "lapse", *(f"w{i}" for i in range(16))),
    "answers": ("account", "id_hi", "id_lo", "sequence", "accepted_at"),
    "facts": ("source", "id_hi", "id_lo", "sequence", "accepted_at"),
    "flows": ("asset", "cause", "amount"),
    "tiers": ("instrument", "tier", "maker_ppm", "taker_ppm", "rfq_ppm", "minimum"),
    "schedules": ("instrument", "slot", "offset", "period", "session", "next", "duration", "enabled", "due"),
    "protections": ("account", "instrument", "quantity", "delta", "window", "frozen", "bucket", *(f"b{i}" for i in range(8)), *(f"s{i}" for i in range(8))),
    "exposures": ("account", *EXPOSURE),
    "restrictions": ("account", "actor", "instrument"),
}
