"""Section 3 of the rules: what each CONFIGURE_* and START checks and sets."""
from cambist.messages import MAX_AMOUNT, SINGLE_ACCOUNTS, AccountKind, Kind, Reason
from cambist.simulation.twin.model import Account, Actor, Asset, Command, Credit, Instrument, Source, State, Venue, fee_up
from cambist.simulation.twin.preamble_rules import ACCOUNT_ZERO_QUOTA, KINDS

K, R = Kind, Reason
BILLION_BILLION = 10**18
MAX_DEALERS = 16
MAX_LEVELS = 1 << 24
MADE = ("base", "quote", "lot", "book_tick", "quote_tick", "min_price", "max_price", "amount_num", "amount_den", "settlement")
LIMITS = ("max_quantity", "max_notional", "collar_ppm", "max_position", "min_sources", "max_age")
FEES = ("maker_ppm", "taker_ppm", "rfq_ppm")


def boolean(value: int) -> bool:
    return value in (0, 1)


def number_ok(table: dict, number: int) -> bool:
    return number in table or number == len(table) + 1


def check_cell(t: State, c: Command) -> Reason:
    windows = (c["answer_window"], c["fact_window"], c["rfq_window"], c["approval_window"], c["max_ttl"])
    if not 0 <= c["cell"] <= 255 or not all(1 <= w <= BILLION_BILLION for w in windows):
        return R.BAD_VALUE
    if t.cell.started and c["cell"] != t.cell.cell:
        return R.IMMUTABLE
    return R.NONE


def set_cell(t: State, c: Command) -> None:
    for name in ("cell", "answer_window", "fact_window", "rfq_window", "approval_window", "max_ttl"):
        setattr(t.cell, name, c[name])
    t.done(c, c["cell"])


def check_asset(t: State, c: Command) -> Reason:
    if not number_ok(t.assets, c["asset"]):
        return R.BAD_NUMBER
    above = c["approval_above"], c["quote_approval_above"]
    if not 0 <= c["digits"] <= 18 or not all(-1 <= a <= MAX_AMOUNT for a in above) or not boolean(c["enabled"]):
        return R.BAD_VALUE
    rate = c["rate_num"], c["rate_den"]
    if rate != (0, 0) and not all(1 <= r <= MAX_AMOUNT for r in rate):
        return R.BAD_VALUE
    if c["asset"] in t.assets and t.assets[c["asset"]].digits != c["digits"]:
        return R.IMMUTABLE
    return R.NONE


def set_asset(t: State, c: Command) -> None:
    t.assets[c["asset"]] = Asset(c["digits"], c["approval_above"], c["enabled"], c["quote_approval_above"], c["rate_num"], c["rate_den"])
    t.done(c, c["asset"])


def check_account(t: State, c: Command) -> Reason:
    number, kind = c.account, c["account_kind"]
    if not number_ok(t.accounts, number):
        return R.BAD_NUMBER
    if not 1 <= kind <= 8 or not 0 <= c["entity"] < 1 << 32 or not boolean(c["dealer"]) or not boolean(c["enabled"]):
        return R.BAD_VALUE
    if c["dealer"] and kind not in (AccountKind.DEALER, AccountKind.DESK):
        return R.BAD_VALUE
    if not all(0 <= c[name] < 1 << 31 for name in ("rate_limit", "max_open", "answer_quota")):
        return R.BAD_VALUE
    if kind in SINGLE_ACCOUNTS and t.single(kind) not in (0, number):
        return R.BAD_VALUE
    if number in t.accounts and t.accounts[number].kind != kind:
        return R.IMMUTABLE
    quotas = ACCOUNT_ZERO_QUOTA + sum(a.answer_quota for a in t.accounts.values() if a.number != number) + c["answer_quota"]
    if quotas > t.answer_capacity:
        return R.CAPACITY
    if c["dealer"] and number not in t.dealers and len(t.dealers) == MAX_DEALERS:
        return R.CAPACITY
    return R.NONE


def set_account(t: State, c: Command) -> None:
    account = t.accounts.setdefault(c.account, Account(c.account, c["account_kind"], t.cell.cycle))
    for name in ("entity", "dealer", "rate_limit", "max_open", "answer_quota", "enabled"):
        setattr(account, name, c[name])
    if account.dealer and account.number not in t.dealers:
        t.dealers.append(account.number)
    t.done(c, c.account)


def check_actor(t: State, c: Command) -> Reason:
    if c.account != 0 and c.account not in t.accounts:
        return R.UNKNOWN_ACCOUNT
    if not number_ok(t.actors, c["number"]):
        return R.BAD_NUMBER
    if not 0 <= c["person"] < 1 << 31 or not 0 <= c["role"] <= 15 or not boolean(c["enabled"]):
        return R.BAD_VALUE
    return R.NONE


def set_actor(t: State, c: Command) -> None:
    actor = t.actors.setdefault(c["number"], Actor(c.account))
    actor.roams |= int(actor.account != c.account)
    actor.account = c.account
    for name in ("person", "role", "enabled"):
        setattr(actor, name, c[name])
    t.done(c, c["number"])


def check_authority(t: State, c: Command) -> Reason:
    if not 0 <= c["role"] <= 15 or c["command"] not in KINDS or not 0 <= c["scope"] <= 3 or not boolean(c["second_person"]):
        return R.BAD_VALUE
    return R.NONE


def set_authority(t: State, c: Command) -> None:
    t.authority[c["role"], c["command"]] = (c["scope"], c["second_person"])
    t.done(c, c["role"])


def terms_reason(lot: int, book_tick: int, quote_tick: int, min_price: int, max_price: int) -> Reason:
    if not 1 <= lot <= MAX_AMOUNT or book_tick < 1 or quote_tick < 1 or book_tick % quote_tick:
        return R.BAD_VALUE
    if not 1 <= min_price <= max_price <= MAX_AMOUNT or min_price % book_tick or (max_price - min_price) // book_tick >= MAX_LEVELS:
        return R.BAD_VALUE
    return R.NONE


def check_instrument(t: State, c: Command) -> Reason:
    if not number_ok(t.instruments, c.instrument):
        return R.BAD_NUMBER
    if c["base"] not in t.assets or c["quote"] not in t.assets:
        return R.UNKNOWN_ASSET
    if c["base"] == c["quote"] or terms_reason(c["lot"], c["book_tick"], c["quote_tick"], c["min_price"], c["max_price"]):
        return R.BAD_VALUE
    if not all(1 <= c[name] <= MAX_AMOUNT for name in ("amount_num", "amount_den")) or c["settlement"] not in (0, 1):
        return R.BAD_VALUE
    if c["max_price"] * c["amount_num"] > MAX_AMOUNT:
        return R.OVERFLOW
    if c.instrument in t.instruments and any(getattr(t.instruments[c.instrument], name) != c[name] for name in MADE):
        return R.IMMUTABLE
    return R.NONE


def set_instrument(t: State, c: Command) -> None:
    if c.instrument not in t.instruments:
        t.instruments[c.instrument] = Instrument(c.instrument, **{name: c[name] for name in MADE})
    t.done(c, c.instrument)


def check_limits(t: State, c: Command) -> Reason:
    if c.instrument not in t.instruments:
        return R.UNKNOWN_INSTRUMENT
    if not all(0 <= c[name] <= MAX_AMOUNT for name in ("max_quantity", "max_notional", "max_position")):
        return R.BAD_VALUE
    if not 0 <= c["collar_ppm"] <= 1_000_000 or not 0 <= c["min_sources"] <= 8 or not 0 <= c["max_age"] <= BILLION_BILLION:
        return R.BAD_VALUE
    ins = t.instruments[c.instrument]
    worst = ins.amount_up(c["max_quantity"], ins.max_price)
    if worst + fee_up(worst, 1_000_000) > MAX_AMOUNT:
        return R.OVERFLOW
    return R.NONE


def set_limits(t: State, c: Command) -> None:
    for name in LIMITS:
        setattr(t.instruments[c.instrument], name, c[name])
    t.done(c, c.instrument)


def check_fees(t: State, c: Command) -> Reason:
    if c.instrument not in t.instruments:
        return R.UNKNOWN_INSTRUMENT
    if not all(0 <= c[name] <= 1_000_000 for name in FEES) or rebate_too_high(t, c.instrument, 0, c):
        return R.BAD_VALUE
    return R.NONE


def rebate_too_high(t: State, instrument: int, tier: int, c: Command) -> bool:
    """Whether, with this tier as the command says, some maker would be given more than some taker pays."""
    ins = t.instruments[instrument]
    others = [(ins.maker_ppm, ins.taker_ppm)] if tier else []
    others += [(row.maker_ppm, row.taker_ppm) for (number, its), row in t.tiers.items() if number == instrument and its != tier]
    all_ = [*others, (c["maker_ppm"], c["taker_ppm"])]
    return max(-maker for maker, _ in all_) > min(taker for _, taker in all_)


def set_fees(t: State, c: Command) -> None:
    for name in FEES:
        setattr(t.instruments[c.instrument], name, c[name])
    t.done(c, c.instrument)


def check_venue(t: State, c: Command) -> Reason:
    if c.account not in t.accounts:
        return R.UNKNOWN_ACCOUNT
    if t.accounts[c.account].kind != AccountKind.CUSTODY:
        return R.NOT_CUSTODY
    if not number_ok(t.venues, c["venue"]):
        return R.BAD_NUMBER
    if not boolean(c["enabled"]):
        return R.BAD_VALUE
    if c["venue"] in t.venues and t.venues[c["venue"]].account != c.account:
        return R.IMMUTABLE
    return R.NONE


def set_venue(t: State, c: Command) -> None:
    t.venues[c["venue"]] = Venue(c.account, c["enabled"])
    if c["enabled"]:
        t.stops = {stop for stop in t.stops if stop[0] != c["venue"]}
    t.done(c, c["venue"])


def check_credit(t: State, c: Command) -> Reason:
    if c.account not in t.accounts:
        return R.UNKNOWN_ACCOUNT
    if c["giver"] not in t.accounts or t.accounts[c["giver"]].kind != AccountKind.HOUSE:
        return R.BAD_VALUE
    if c["asset"] not in t.assets:
        return R.UNKNOWN_ASSET
    if not 0 <= c["limit"] <= MAX_AMOUNT or not 0 <= c["quoting_limit"] <= MAX_AMOUNT:
        return R.BAD_VALUE
    return R.NONE


def set_credit(t: State, c: Command) -> None:
    row = t.credits.setdefault((c["giver"], c.account, c["asset"]), Credit())
    row.limit, row.quoting_limit = c["limit"], c["quoting_limit"]
    t.done(c, c.account)


def check_position(t: State, c: Command) -> Reason:
    if c.account not in t.accounts:
        return R.UNKNOWN_ACCOUNT
    if c.instrument not in t.instruments:
        return R.UNKNOWN_INSTRUMENT
    if not 0 <= c["limit"] <= MAX_AMOUNT:
        return R.BAD_VALUE
    return R.NONE


def set_position(t: State, c: Command) -> None:
    t.position(c.account, c.instrument).limit = c["limit"]
    t.done(c, c.account)


def check_short(t: State, c: Command) -> Reason:
    if c.account not in t.accounts:
        return R.UNKNOWN_ACCOUNT
    if t.accounts[c.account].kind != AccountKind.DESK:
        return R.BAD_VALUE
    if c["asset"] not in t.assets:
        return R.UNKNOWN_ASSET
    if not 0 <= c["limit"] <= MAX_AMOUNT:
        return R.BAD_VALUE
    return R.NONE


def set_short(t: State, c: Command) -> None:
    t.balance(c.account, c["asset"]).short_limit = c["limit"]
    t.done(c, c.account)


def check_source(t: State, c: Command) -> Reason:
    if c.instrument not in t.instruments:
        return R.UNKNOWN_INSTRUMENT
    if not 1 <= c["source"] <= 8 or not boolean(c["enabled"]):
        return R.BAD_VALUE
    return R.NONE


def set_source(t: State, c: Command) -> None:
    t.sources.setdefault((c.instrument, c["source"]), Source()).enabled = c["enabled"]
    t.done(c, c["source"])


def check_start(t: State, c: Command) -> Reason:
    if t.cell.answer_window == 0 or any(t.single(kind) == 0 for kind in SINGLE_ACCOUNTS):
        return R.BAD_VALUE
    return R.NONE


def set_start(t: State, c: Command) -> None:
    t.cell.started = 1
    t.done(c)


HANDLERS = {
    K.CONFIGURE_CELL: (check_cell, set_cell), K.CONFIGURE_ASSET: (check_asset, set_asset), K.CONFIGURE_ACCOUNT: (check_account, set_account),
    K.CONFIGURE_ACTOR: (check_actor, set_actor), K.CONFIGURE_AUTHORITY: (check_authority, set_authority),
    K.CONFIGURE_INSTRUMENT: (check_instrument, set_instrument), K.CONFIGURE_LIMITS: (check_limits, set_limits), K.CONFIGURE_FEES: (check_fees, set_fees),
    K.CONFIGURE_VENUE: (check_venue, set_venue), K.CONFIGURE_CREDIT: (check_credit, set_credit), K.CONFIGURE_POSITION: (check_position, set_position),
    K.CONFIGURE_SHORT: (check_short, set_short), K.CONFIGURE_SOURCE: (check_source, set_source), K.START: (check_start, set_start),
}
