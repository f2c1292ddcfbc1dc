"""Configuration is state: assets, accounts, keys, authority, instruments, limits, fees, venues, lines. Each kind is checked whole, then changed.

Numbers are given once and never reused; what may not change once given is refused IMMUTABLE. docs/rules.md section 3.
"""
from cambist.core import layout as at
from cambist.core.accounts import balance, position_of
from cambist.core.arithmetic import MILLION, fee_up, multiply_divide
from cambist.core.authority import KNOWN, TRAITS
from cambist.core.emit import done
from cambist.core.layout import COMMAND, KINDS, MAX_DEALERS, MAX_SOURCES, PLACES, STATE, L, seen_as
from cambist.core.memory import cold, hot
from cambist.core.pools import CREDIT_TAG, find, remember, room_credit, take_credit
from cambist.core.routing import stop_row
from cambist.core.terms import bad_terms, list_base, open_book, words_for
from cambist.core.trading_configuration import change_trading_configuration, check_trading_configuration, rebate_too_high
from cambist.messages import MAX_AMOUNT, MAX_KIND, MAX_ROLE, AccountKind, Kind, Reason, Scope, Settlement

LONGEST = 10**18                                # nanoseconds: no window is longer, so that times add up in 63 bits
HOUSE_QUOTA = 4096                              # answers kept for those who act for no account
MAX_COUNT = (1 << 31) - 1
ACCOUNTS_AT, ACTORS_AT, ANSWERS_AT, ASSETS_AT, INSTRUMENTS_AT, VENUES_AT, WORDS_AT = (
    PLACES[name] for name in ("accounts", "actors", "answers", "assets", "instruments", "venues", "words"))

CELL, ASSET, ACCOUNT, ACTOR, AUTHORITY, INSTRUMENT, LIMITS, FEES, VENUE, CREDIT, POSITION, SHORT, SOURCE = (L[Kind(k)] for k in range(10, 23))
as_cell, as_asset, as_account, as_actor, as_authority, as_instrument, as_limits, as_fees, as_venue, as_credit, as_position, as_short, as_source = (
    seen_as(Kind(k)) for k in range(10, 23))


@hot
def _within(x: int, low: int, high: int):
    return low <= x <= high


@hot
def _is_flag(x: int):
    return x == 0 or x == 1


@cold
def _fits(state: STATE, number: int, count: int, table: int):
    """A number is known, or the next with room for it."""
    if number < 1 or number > count + 1:
        return Reason.BAD_NUMBER
    return Reason.CAPACITY if number >= state.capacity[table] else Reason.NONE


# ----------------------------------------------------------------------------------------------------------- check each
@cold
def _check_cell(state: STATE, c: CELL):
    if not _within(c.cell, 0, 255) or not _within(c.max_ttl, 1, LONGEST):
        return Reason.BAD_VALUE
    if not (_within(c.answer_window, 1, LONGEST) and _within(c.fact_window, 1, LONGEST) and _within(c.rfq_window, 1, LONGEST)
            and _within(c.approval_window, 1, LONGEST)):
        return Reason.BAD_VALUE
    return Reason.IMMUTABLE if state.started and c.cell != state.cell else Reason.NONE


@cold
def _check_asset(state: STATE, c: ASSET):
    reason = _fits(state, c.asset, state.asset_count, ASSETS_AT)
    if reason == Reason.BAD_NUMBER:
        return reason
    if not _within(c.digits, 0, 18) or not _within(c.approval_above, -1, MAX_AMOUNT) or not _is_flag(c.enabled):
        return Reason.BAD_VALUE
    if not _within(c.quote_approval_above, -1, MAX_AMOUNT):
        return Reason.BAD_VALUE
    if (c.rate_num or c.rate_den) and not (_within(c.rate_num, 1, MAX_AMOUNT) and _within(c.rate_den, 1, MAX_AMOUNT)):
        return Reason.BAD_VALUE
    if c.asset <= state.asset_count and at.asset(state, c.asset).digits != c.digits:
        return Reason.IMMUTABLE
    return reason


@cold
def _single(state: STATE, kind: int):
    """The one account of a single kind, 0 when there is none yet; -1 for the other kinds."""
    if kind == AccountKind.HOUSE:
        return state.house + 0
    if kind == AccountKind.FEES:
        return state.fees + 0
    if kind == AccountKind.SUSPENSE:
        return state.suspense + 0
    if kind == AccountKind.DEFICIT:
        return state.deficit + 0
    return -1


@cold
def _check_account(state: STATE, c: ACCOUNT):
    number = c.account + 0
    reason = _fits(state, number, state.account_count, ACCOUNTS_AT)
    if reason == Reason.BAD_NUMBER:
        return reason
    if not _within(c.account_kind, 1, 8) or not _within(c.entity, 0, (1 << 32) - 1) or not _is_flag(c.dealer) or not _is_flag(c.enabled):
        return Reason.BAD_VALUE
    if not _within(c.rate_limit, 0, MAX_COUNT) or not _within(c.max_open, 0, MAX_COUNT) or not _within(c.answer_quota, 0, MAX_COUNT):
        return Reason.BAD_VALUE
    if c.dealer and c.account_kind != AccountKind.DEALER and c.account_kind != AccountKind.DESK:
        return Reason.BAD_VALUE
    single = _single(state, c.account_kind)
    if single > 0 and single != number:
        return Reason.BAD_VALUE
    known = number <= state.account_count
    if known and at.account(state, number).kind != c.account_kind:
        return Reason.IMMUTABLE
    before = at.account(state, number).answer_quota if known else 0
    if HOUSE_QUOTA + state.quota_sum - before + c.answer_quota > state.capacity[ANSWERS_AT] - 1:
        return Reason.CAPACITY
    listed = known and at.account(state, number).listed
    if c.dealer and not listed and state.dealer_count >= MAX_DEALERS:
        return Reason.CAPACITY
    return reason


@cold
def _check_actor(state: STATE, c: ACTOR):
    if c.account > state.account_count:
        return Reason.UNKNOWN_ACCOUNT
    reason = _fits(state, c.number, state.actor_count, ACTORS_AT)
    if reason == Reason.BAD_NUMBER:
        return reason
    if not _within(c.person, 0, MAX_COUNT) or not _within(c.role, 0, MAX_ROLE) or not _is_flag(c.enabled):
        return Reason.BAD_VALUE
    return reason


@cold
def _check_authority(c: AUTHORITY):
    if not _within(c.role, 0, MAX_ROLE) or not _within(c.command, 0, MAX_KIND) or not _within(c.scope, 0, Scope.ALL) or not _is_flag(c.second_person):
        return Reason.BAD_VALUE
    return Reason.NONE if TRAITS[c.command] & KNOWN else Reason.BAD_VALUE


@cold
def _bad_instrument(c: INSTRUMENT):
    """Values outside their ranges."""
    if c.base == c.quote or bad_terms(c.lot, c.book_tick, c.quote_tick, c.min_price, c.max_price) or c.amount_num < 1 or c.amount_den < 1:
        return 1
    if c.amount_num > MAX_AMOUNT or c.amount_den > MAX_AMOUNT:
        return 1
    return 0 if _within(c.settlement, Settlement.PREFUNDED, Settlement.ON_CREDIT) else 1


@cold
def _check_instrument(state: STATE, c: INSTRUMENT):
    number = c.instrument + 0
    reason = _fits(state, number, state.instrument_count, INSTRUMENTS_AT)
    if reason == Reason.BAD_NUMBER:
        return reason
    if c.base < 1 or c.base > state.asset_count or c.quote < 1 or c.quote > state.asset_count:
        return Reason.UNKNOWN_ASSET
    if _bad_instrument(c):
        return Reason.BAD_VALUE
    if c.max_price > MAX_AMOUNT // c.amount_num:
        return Reason.OVERFLOW
    if number <= state.instrument_count:
        b = at.instrument(state, number)
        same = (b.base == c.base and b.quote == c.quote and b.lot == c.lot and b.book_tick == c.book_tick and b.quote_tick == c.quote_tick
                and b.min_price == c.min_price and b.max_price == c.max_price and b.amount_num == c.amount_num and b.amount_den == c.amount_den
                and b.settlement == c.settlement)
        return Reason.NONE if same else Reason.IMMUTABLE
    ticks = (c.max_price - c.min_price) // c.book_tick + 1
    if state.word_count + words_for(ticks) > state.capacity[WORDS_AT]:
        return Reason.CAPACITY
    return reason


@hot
def _is_instrument(state: STATE, number: int):
    return 1 <= number <= state.instrument_count


@cold
def _check_limits(state: STATE, c: LIMITS):
    if not _is_instrument(state, c.instrument):
        return Reason.UNKNOWN_INSTRUMENT
    if not (_within(c.max_quantity, 0, MAX_AMOUNT) and _within(c.max_notional, 0, MAX_AMOUNT) and _within(c.max_position, 0, MAX_AMOUNT)):
        return Reason.BAD_VALUE
    if not _within(c.collar_ppm, 0, MILLION) or not _within(c.min_sources, 0, MAX_SOURCES) or not _within(c.max_age, 0, LONGEST):
        return Reason.BAD_VALUE
    b = at.instrument(state, c.instrument)
    most = multiply_divide(c.max_quantity, b.max_price * b.amount_num, b.amount_den, 1)
    if most < 0 or most + fee_up(most, MILLION) > MAX_AMOUNT:
        return Reason.OVERFLOW
    return Reason.NONE


@cold
def _check_fees(state: STATE, c: FEES):
    if not _is_instrument(state, c.instrument):
        return Reason.UNKNOWN_INSTRUMENT
    if not (_within(c.maker_ppm, 0, MILLION) and _within(c.taker_ppm, 0, MILLION) and _within(c.rfq_ppm, 0, MILLION)):
        return Reason.BAD_VALUE
    return Reason.BAD_VALUE if rebate_too_high(state, c.instrument, 0, c.maker_ppm, c.taker_ppm) else Reason.NONE


@hot
def _is_account(state: STATE, number: int):
    return 1 <= number <= state.account_count


@cold
def _check_venue(state: STATE, c: VENUE):
    if not _is_account(state, c.account):
        return Reason.UNKNOWN_ACCOUNT
    if at.account(state, c.account).kind != AccountKind.CUSTODY:
        return Reason.NOT_CUSTODY
    reason = _fits(state, c.venue, state.venue_count, VENUES_AT)
    if reason == Reason.BAD_NUMBER:
        return reason
    if not _is_flag(c.enabled):
        return Reason.BAD_VALUE
    if c.venue <= state.venue_count and at.venue(state, c.venue).account != c.account:
        return Reason.IMMUTABLE
    return reason


@cold
def _check_line(state: STATE, c: CREDIT):
    if not _is_account(state, c.account):
        return Reason.UNKNOWN_ACCOUNT
    if c.giver != state.house or state.house == 0:
        return Reason.BAD_VALUE
    if not _within(c.asset, 1, state.asset_count):
        return Reason.UNKNOWN_ASSET
    if not _within(c.limit, 0, MAX_AMOUNT) or not _within(c.quoting_limit, 0, MAX_AMOUNT):
        return Reason.BAD_VALUE
    known = find(state, CREDIT_TAG, (c.account << 32) | c.asset)
    return Reason.NONE if known or room_credit(state) else Reason.CAPACITY


@cold
def _check_position_limit(state: STATE, c: POSITION):
    if not _is_account(state, c.account):
        return Reason.UNKNOWN_ACCOUNT
    if not _is_instrument(state, c.instrument):
        return Reason.UNKNOWN_INSTRUMENT
    if not _within(c.limit, 0, MAX_AMOUNT):
        return Reason.BAD_VALUE
    return Reason.NONE if position_of(state, c.account, c.instrument) else Reason.CAPACITY


@cold
def _check_short(state: STATE, c: SHORT):
    if not _is_account(state, c.account):
        return Reason.UNKNOWN_ACCOUNT
    if at.account(state, c.account).kind != AccountKind.DESK:
        return Reason.BAD_VALUE
    if not _within(c.asset, 1, state.asset_count):
        return Reason.UNKNOWN_ASSET
    return Reason.NONE if _within(c.limit, 0, MAX_AMOUNT) else Reason.BAD_VALUE


@cold
def _check_source(state: STATE, c: SOURCE):
    if not _is_instrument(state, c.instrument):
        return Reason.UNKNOWN_INSTRUMENT
    return Reason.NONE if _within(c.source, 1, MAX_SOURCES) and _is_flag(c.enabled) else Reason.BAD_VALUE


@cold
def check_configure(state: STATE, c: COMMAND):
    """Why a CONFIGURE_* or START is refused."""
    kind = c.kind
    if kind == Kind.CONFIGURE_CELL:
        return _check_cell(state, as_cell(c))
    if kind == Kind.CONFIGURE_ASSET:
        return _check_asset(state, as_asset(c))
    if kind == Kind.CONFIGURE_ACCOUNT:
        return _check_account(state, as_account(c))
    if kind == Kind.CONFIGURE_ACTOR:
        return _check_actor(state, as_actor(c))
    if kind == Kind.CONFIGURE_AUTHORITY:
        return _check_authority(as_authority(c))
    if kind == Kind.CONFIGURE_INSTRUMENT:
        return _check_instrument(state, as_instrument(c))
    if kind == Kind.CONFIGURE_LIMITS:
        return _check_limits(state, as_limits(c))
    if kind == Kind.CONFIGURE_FEES:
        return _check_fees(state, as_fees(c))
    if kind == Kind.CONFIGURE_VENUE:
        return _check_venue(state, as_venue(c))
    if kind == Kind.CONFIGURE_CREDIT:
        return _check_line(state, as_credit(c))
    if kind == Kind.CONFIGURE_POSITION:
        return _check_position_limit(state, as_position(c))
    if kind == Kind.CONFIGURE_SHORT:
        return _check_short(state, as_short(c))
    if kind == Kind.CONFIGURE_SOURCE:
        return _check_source(state, as_source(c))
    if kind != Kind.START:
        return check_trading_configuration(state, c)
    complete = state.configured and state.house and state.fees and state.suspense and state.deficit
    return Reason.NONE if complete else Reason.BAD_VALUE


# ---------------------------------------------------------------------------------------------------------- change each
@cold
def _change_cell(state: STATE, c: CELL):
    state.configured = 1
    state.cell = c.cell
    state.answer_window = c.answer_window
    state.fact_window = c.fact_window
    state.rfq_window = c.rfq_window
    state.approval_window = c.approval_window
    state.max_ttl = c.max_ttl
    state.dropped_at = -1
    at.account(state, 0).answer_quota = HOUSE_QUOTA
    return c.cell + 0


@cold
def _change_asset(state: STATE, c: ASSET):
    x = at.asset(state, c.asset)
    x.digits = c.digits
    x.approval_above = c.approval_above
    x.quote_approval_above = c.quote_approval_above
    x.enabled = c.enabled
    x.rate_num = c.rate_num
    x.rate_den = c.rate_den
    state.asset_count = max(state.asset_count, c.asset)
    return c.asset + 0


@cold
def _change_account(state: STATE, c: ACCOUNT):
    number = c.account + 0
    x = at.account(state, number)
    state.quota_sum = state.quota_sum + c.answer_quota - x.answer_quota
    if number > state.account_count:
        state.account_count = number
        x.cycle = state.cycle
        if c.account_kind == AccountKind.HOUSE:
            state.house = number
        elif c.account_kind == AccountKind.FEES:
            state.fees = number
        elif c.account_kind == AccountKind.SUSPENSE:
            state.suspense = number
        elif c.account_kind == AccountKind.DEFICIT:
            state.deficit = number
    x.kind = c.account_kind
    x.entity = c.entity
    x.dealer = c.dealer
    x.rate_limit = c.rate_limit
    x.max_open = c.max_open
    x.answer_quota = c.answer_quota
    x.enabled = c.enabled
    if c.dealer and not x.listed:
        x.listed = 1
        state.dealer_count = state.dealer_count + 1
        at.dealer(state, state.dealer_count).account = number
    return number


@cold
def _change_actor(state: STATE, c: ACTOR):
    x = at.actor(state, c.number)
    if c.number <= state.actor_count and x.account != c.account:
        x.roams = 1
    x.account = c.account
    x.person = c.person
    x.role = c.role
    x.enabled = c.enabled
    state.actor_count = max(state.actor_count, c.number)
    return c.number + 0


@cold
def _change_authority(state: STATE, c: AUTHORITY):
    x = at.authority(state, c.role * KINDS + c.command)
    x.scope = c.scope
    x.second_person = c.second_person
    return c.role + 0


@cold
def _change_instrument(state: STATE, c: INSTRUMENT):
    number = c.instrument + 0
    if number <= state.instrument_count:
        return number
    state.instrument_count = number
    b = at.instrument(state, number)
    b.base = c.base
    b.quote = c.quote
    b.lot = c.lot
    b.book_tick = c.book_tick
    b.quote_tick = c.quote_tick
    b.min_price = c.min_price
    b.max_price = c.max_price
    b.amount_num = c.amount_num
    b.amount_den = c.amount_den
    b.settlement = c.settlement
    open_book(state, number)
    list_base(state, number)
    return number


@cold
def _change_limits(state: STATE, c: LIMITS):
    b = at.instrument(state, c.instrument)
    b.max_quantity = c.max_quantity
    b.max_notional = c.max_notional
    b.collar_ppm = c.collar_ppm
    b.max_position = c.max_position
    b.min_sources = c.min_sources
    b.max_age = c.max_age
    b.reference_until = -1
    return c.instrument + 0


@cold
def _change_fees(state: STATE, c: FEES):
    b = at.instrument(state, c.instrument)
    b.maker_ppm = c.maker_ppm
    b.taker_ppm = c.taker_ppm
    b.rfq_ppm = c.rfq_ppm
    b.highest_ppm = max(b.maker_ppm, b.taker_ppm)
    return c.instrument + 0


@cold
def _change_venue(state: STATE, c: VENUE):
    x = at.venue(state, c.venue)
    x.account = c.account
    x.enabled = c.enabled
    state.venue_count = max(state.venue_count, c.venue)
    if c.enabled:
        for instrument in range(1, state.instrument_count + 1):
            at.stop(state, stop_row(state, c.venue, instrument)).stopped = 0
    return c.venue + 0


@cold
def _change_line(state: STATE, c: CREDIT):
    key = (c.account << 32) | c.asset
    i = find(state, CREDIT_TAG, key)
    if i == 0:
        i = take_credit(state)
        x = at.credit_row(state, i)
        x.giver = c.giver
        x.taker = c.account
        x.asset = c.asset
        remember(state, CREDIT_TAG, key, i)
    x = at.credit_row(state, i)
    x.limit = c.limit
    x.quoting_limit = c.quoting_limit
    return c.account + 0


@cold
def _change_source(state: STATE, c: SOURCE):
    x = at.source(state, c.instrument * (MAX_SOURCES + 1) + c.source)
    x.known = 1
    x.enabled = c.enabled
    at.instrument(state, c.instrument).reference_until = -1
    return c.source + 0


@cold
def _change_narrow(state: STATE, c: COMMAND):
    """Limits of one account."""
    if c.kind == Kind.CONFIGURE_CREDIT:
        return _change_line(state, as_credit(c))
    if c.kind == Kind.CONFIGURE_POSITION:
        p = as_position(c)
        at.position_row(state, position_of(state, p.account, p.instrument)).limit = p.limit
        return p.account + 0
    s = as_short(c)
    balance(state, s.account, s.asset).short_limit = s.limit
    return s.account + 0


@cold
def change_configure(state: STATE, c: COMMAND):
    """Do what was checked, and say which number it concerned."""
    kind = c.kind
    number = 0
    if kind == Kind.CONFIGURE_CELL:
        number = _change_cell(state, as_cell(c))
    elif kind == Kind.CONFIGURE_ASSET:
        number = _change_asset(state, as_asset(c))
    elif kind == Kind.CONFIGURE_ACCOUNT:
        number = _change_account(state, as_account(c))
    elif kind == Kind.CONFIGURE_ACTOR:
        number = _change_actor(state, as_actor(c))
    elif kind == Kind.CONFIGURE_AUTHORITY:
        number = _change_authority(state, as_authority(c))
    elif kind == Kind.CONFIGURE_INSTRUMENT:
        number = _change_instrument(state, as_instrument(c))
    elif kind == Kind.CONFIGURE_LIMITS:
        number = _change_limits(state, as_limits(c))
    elif kind == Kind.CONFIGURE_FEES:
        number = _change_fees(state, as_fees(c))
    elif kind == Kind.CONFIGURE_VENUE:
        number = _change_venue(state, as_venue(c))
    elif kind == Kind.CONFIGURE_SOURCE:
        number = _change_source(state, as_source(c))
    elif kind == Kind.START:
        state.started = 1
    elif kind == Kind.CONFIGURE_RESTRICTION or kind > Kind.CONFIGURE_SOURCE:
        number = change_trading_configuration(state, c)
    else:
        number = _change_narrow(state, c)
    done(state, 0, number)
