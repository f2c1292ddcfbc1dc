"""What one price increment and one unit of an asset are, changed at one sequence and exactly. docs/rules.md section 15.

CHANGE_TERMS renames the prices of one quiet instrument. CHANGE_DIGITS is worked off: a pass over instruments and accounts looks whether all amounts may
grow, the asset's own row grows with the last of them, and a second pass multiplies the rows. A row that a fact of custody touches before it is reached is
multiplied there (`ripen`): its `unit` says which change it has seen.
"""
from cambist.core import layout as at
from cambist.core.accounts import balance, credit_of
from cambist.core.arithmetic import MILLION, fee_up, gcd, multiply_divide
from cambist.core.emit import alert, done, put
from cambist.core.layout import BALANCE, CAUSES, INSTRUMENT, INSTRUMENT_EXTRA, MAX_SOURCES, PLACES, STATE, L
from cambist.core.memory import cold, hot
from cambist.core.pools import POSITION_TAG, find
from cambist.core.protection import EIGHTHS
from cambist.core.terms import bad_terms, open_book, words_for
from cambist.messages import MAX_AMOUNT, TIERS, Event, Kind, Reason

TERMS, DIGITS = L[Kind.CHANGE_TERMS], L[Kind.CHANGE_DIGITS]
WORDS_AT = PLACES["words"]
MAX_FACTOR = 10**9
MAX_DIGITS = 18
MAX_BASES = 64                                  # instruments that an asset may be the base of when its digits change
LOOK_AT_INSTRUMENTS, LOOK_AT_ACCOUNTS, CHANGE_INSTRUMENTS, CHANGE_ACCOUNTS = 1, 2, 3, 4


@hot
def _grown(x: int, most: int):
    """Whether an amount is beyond what may be multiplied."""
    return x > most or x < -most


# ---------------------------------------------------------------------------------------------------------- the quotient
@cold
def _finer(state: STATE, num: int, den: int, f: int):
    """num / (den * f) in lowest terms, in the first two words of `scratch`; 1 when the denominator is too large."""
    common = gcd(num, den)
    num, den = num // common, den // common
    common = gcd(num, f)
    num, f = num // common, f // common
    if den > MAX_AMOUNT // f:
        return 1
    state.scratch[0] = num
    state.scratch[1] = den * f
    return 0


@cold
def is_used(b: INSTRUMENT, x: INSTRUMENT_EXTRA):
    """Whether an order stands in an instrument, or a request or a living child concerns it."""
    return 1 if b.bid >= 0 or b.ask < b.ticks or x.outside_first or x.requests or x.children else 0


# ---------------------------------------------------------------------------------------------------------------- terms
@cold
def _fits_terms(state: STATE, b: INSTRUMENT, c: TERMS):
    """Whether every price and every product stays in the range of money."""
    if _finer(state, b.amount_num, b.amount_den, c.price_factor):
        return 0
    num, den = state.scratch[0] + 0, state.scratch[1] + 0
    if c.max_price > MAX_AMOUNT // num:
        return 0
    most = multiply_divide(b.max_quantity, c.max_price * num, den, 1)
    if most < 0 or most + fee_up(most, MILLION) > MAX_AMOUNT:
        return 0
    highest = max(b.last, b.book_last, b.emitted, at.instrument_extra(state, c.instrument).anchor)
    for s in range(1, MAX_SOURCES + 1):
        highest = max(highest, at.source(state, c.instrument * (MAX_SOURCES + 1) + s).price)
    return 1 if highest <= MAX_AMOUNT // c.price_factor else 0


@hot
def _words_wanted(c: TERMS):
    return words_for((c.max_price - c.min_price) // c.book_tick + 1)


@cold
def check_terms(state: STATE, c: TERMS):
    if c.instrument < 1 or c.instrument > state.instrument_count:
        return Reason.UNKNOWN_INSTRUMENT
    b = at.instrument(state, c.instrument)
    if not b.halted:
        return Reason.NOT_HALTED
    if b.sweeping:
        return Reason.SWEEPING
    if is_used(b, at.instrument_extra(state, c.instrument)):
        return Reason.IN_USE
    if c.price_factor < 1 or c.price_factor > MAX_FACTOR or bad_terms(c.lot, c.book_tick, c.quote_tick, c.min_price, c.max_price):
        return Reason.BAD_VALUE
    if not _fits_terms(state, b, c):
        return Reason.OVERFLOW
    inside = _words_wanted(c) <= words_for(b.ticks)
    return Reason.NONE if inside or state.word_count + _words_wanted(c) <= state.capacity[WORDS_AT] else Reason.CAPACITY


@cold
def _rename_prices(state: STATE, b: INSTRUMENT, instrument: int, f: int):
    """Every price that is kept, in the new increment; what is derived from prices begins anew."""
    b.last = b.last * f
    b.book_last = b.book_last * f
    b.emitted = b.emitted * f
    for s in range(1, MAX_SOURCES + 1):
        x = at.source(state, instrument * (MAX_SOURCES + 1) + s)
        x.price = x.price * f
    y = at.instrument_extra(state, instrument)
    y.anchor = y.anchor * f
    y.peg_bid = 0
    y.peg_ask = 0
    for k in range(3):
        y.low[k] = 0
        y.high[k] = 0


@cold
def change_terms(state: STATE, c: TERMS):
    # book
    b = at.instrument(state, c.instrument)
    _finer(state, b.amount_num, b.amount_den, c.price_factor)
    b.amount_num, b.amount_den = state.scratch[0], state.scratch[1]
    inside, end = _words_wanted(c) <= words_for(b.ticks), state.word_count + 0
    if inside:                                  # the empty book's place is laid out anew
        state.word_count = b.l0
    b.lot = c.lot
    b.book_tick = c.book_tick
    b.quote_tick = c.quote_tick
    b.min_price = c.min_price
    b.max_price = c.max_price
    open_book(state, c.instrument)
    if inside:
        state.word_count = end
    _rename_prices(state, b, c.instrument, c.price_factor)
    # emit
    e = at.event(state, put(state, Event.TERMS_CHANGED, 0, c.instrument, c.price_factor, c.quote_tick))
    e.quantity = c.lot
    e.price = c.book_tick
    done(state, 0, c.instrument)


# --------------------------------------------------------------------------------------------------------------- digits
@hot
def _power(digits: int):
    f = 1
    for _ in range(digits):
        f *= 10
    return f


@hot
def _factor(state: STATE):
    """How many of the new unit one of the old is, while it is being looked whether all may grow."""
    return _power(state.change_digits - at.asset(state, state.change_asset).digits)


@cold
def _own_too_large(state: STATE, asset: int, f: int):
    """Whether the asset's own amounts, or the sums of what the house received of it, leave the range."""
    a = at.asset(state, asset)
    most = MAX_AMOUNT // f
    if _grown(a.approval_above, most) or _grown(a.quote_approval_above, most) or _grown(a.rate_den, most):
        return 1
    for cause in range(CAUSES):
        if _grown(at.flow(state, asset * CAUSES + cause).amount, most):
            return 1
    return 0


@cold
def check_digits(state: STATE, c: DIGITS):
    if c.asset < 1 or c.asset > state.asset_count:
        return Reason.UNKNOWN_ASSET
    a = at.asset(state, c.asset)
    if c.digits <= a.digits or c.digits > MAX_DIGITS:
        return Reason.BAD_VALUE
    if state.cut_off:
        return Reason.NETTING
    if a.enabled or state.held_count or a.obligations:
        return Reason.IN_USE
    if a.bases > MAX_BASES:
        return Reason.CAPACITY
    return Reason.OVERFLOW if _own_too_large(state, c.asset, _power(c.digits - a.digits)) else Reason.NONE


@cold
def begin_change(state: STATE, c: DIGITS):
    """Latch: from now on nothing speaks of amounts of the asset but facts of custody."""
    state.change_asset = c.asset
    state.quiet_until = 0
    state.change_digits = c.digits
    state.change_stage = LOOK_AT_INSTRUMENTS
    state.change_next = 1
    done(state, 0, c.asset)


@cold
def _end_change(state: STATE):
    state.change_asset = 0
    state.change_digits = 0
    state.change_stage = 0
    state.change_next = 0


@cold
def give_up(state: STATE, reason: int, instrument: int, account: int):
    """Nothing has changed, and a person is called."""
    alert(state, reason, instrument, account, state.change_asset, 0)
    _end_change(state)


@hot
def most_of(state: STATE, asset: int):
    """The range of money of an asset: narrower while it is being looked whether its amounts may grow."""
    if asset != state.change_asset or state.change_stage > LOOK_AT_ACCOUNTS:
        return MAX_AMOUNT
    return MAX_AMOUNT // _factor(state)


@cold
def surprise(state: STATE, instrument: int):
    """A fill at a venue, in an instrument of the asset that is being looked at: the change is given up."""
    b = at.instrument(state, instrument)
    if 1 <= state.change_stage <= LOOK_AT_ACCOUNTS and (b.base == state.change_asset or b.quote == state.change_asset):
        give_up(state, Reason.IN_USE, instrument, 0)


# ---------------------------------------------------------------------------------------------------- digits: look first
@cold
def _tiers_too_large(state: STATE, instrument: int, most: int):
    for k in range(1, TIERS):
        if at.tier(state, instrument * TIERS + k).minimum > most:
            return 1
    return 0


@cold
def _look_at_instrument(state: STATE, number: int):
    """Why the digits of one of its assets cannot change."""
    b = at.instrument(state, number)
    if b.base != state.change_asset and b.quote != state.change_asset:
        return Reason.NONE
    if not b.halted:
        return Reason.NOT_HALTED
    if is_used(b, at.instrument_extra(state, number)):
        return Reason.IN_USE
    f = _factor(state)
    most = MAX_AMOUNT // f
    if b.base == state.change_asset:
        if b.lot > most or b.max_quantity > most or b.max_position > most or _finer(state, b.amount_num, b.amount_den, f):
            return Reason.OVERFLOW
        return Reason.OVERFLOW if b.max_price > MAX_AMOUNT // state.scratch[0] else Reason.NONE
    if b.max_notional > most or _tiers_too_large(state, number, most) or _finer(state, b.amount_den, b.amount_num, f):
        return Reason.OVERFLOW
    return Reason.OVERFLOW if b.max_price > MAX_AMOUNT // state.scratch[1] else Reason.NONE


@hot
def _balance_too_large(x: BALANCE, most: int):
    return (_grown(x.available, most) or _grown(x.held, most) or _grown(x.unsettled, most) or _grown(x.due, most) or _grown(x.short_limit, most))


@cold
def _line_too_large(state: STATE, account: int, asset: int, most: int):
    c = at.credit_row(state, credit_of(state, account, asset))
    return 1 if (_grown(c.limit, most) or _grown(c.quoting_limit, most) or _grown(c.reserved, most) or _grown(c.traded, most) or _grown(c.netted, most)
                 or _grown(c.quoted, most)) else 0


@cold
def _position_too_large(state: STATE, i: int, most: int):
    p = at.position_row(state, i)
    if _grown(p.net, most) or _grown(p.limit, most):
        return 1
    r = at.protection(state, at.position_extra(state, i).protection)
    if _grown(r.quantity, most) or _grown(r.delta, most):
        return 1
    for k in range(EIGHTHS):
        if _grown(r.bought[k], most) or _grown(r.sold[k], most):
            return 1
    return 0


@cold
def _account_too_large(state: STATE, account: int):
    asset = state.change_asset + 0
    most = MAX_AMOUNT // _factor(state)
    if _balance_too_large(balance(state, account, asset), most) or _line_too_large(state, account, asset, most):
        return 1
    number = at.asset(state, asset).first_base + 0
    while number:
        i = find(state, POSITION_TAG, (account << 32) | number)
        if i and _position_too_large(state, i, most):
            return 1
        number = at.instrument_extra(state, number).next_base + 0
    return 0


# ------------------------------------------------------------------------------------------------------- digits: change
@cold
def _change_asset(state: STATE):
    """At this sequence the unit is another one: the asset's own amounts are multiplied, the others when they are reached or touched."""
    f = _factor(state)
    a = at.asset(state, state.change_asset)
    a.digits = state.change_digits
    a.approval_above = a.approval_above * f if a.approval_above > 0 else a.approval_above
    a.quote_approval_above = a.quote_approval_above * f if a.quote_approval_above > 0 else a.quote_approval_above
    a.rate_den = a.rate_den * f
    for cause in range(CAUSES):
        x = at.flow(state, state.change_asset * CAUSES + cause)
        x.amount = x.amount * f
    state.change_factor = f
    state.change_unit = state.change_unit + 1
    put(state, Event.DIGITS_CHANGED, 0, 0, state.change_asset, state.change_digits)


@hot
def _is_changing(state: STATE, asset: int):
    return asset == state.change_asset and state.change_stage > LOOK_AT_ACCOUNTS


@cold
def ripen_instrument(state: STATE, number: int):
    """The amounts of an instrument in the unit that is in force."""
    b = at.instrument(state, number)
    if not (_is_changing(state, b.base) or _is_changing(state, b.quote)) or b.unit == state.change_unit:
        return
    b.unit = state.change_unit
    f = state.change_factor + 0
    if b.base == state.change_asset:
        b.lot = b.lot * f
        b.max_quantity = b.max_quantity * f
        b.max_position = b.max_position * f
        _finer(state, b.amount_num, b.amount_den, f)
        b.amount_num, b.amount_den = state.scratch[0], state.scratch[1]
    else:
        b.max_notional = b.max_notional * f
        for k in range(1, TIERS):
            r = at.tier(state, number * TIERS + k)
            r.minimum = r.minimum * f
        _finer(state, b.amount_den, b.amount_num, f)
        b.amount_den, b.amount_num = state.scratch[0], state.scratch[1]
    end = state.word_count + 0
    state.word_count = b.l0
    open_book(state, number)                    # what is made from its terms; the empty book stays where it is
    state.word_count = end


@cold
def ripen(state: STATE, account: int, asset: int):
    """The amounts of an account in the unit of an asset that is in force."""
    x = balance(state, account, asset)
    if not _is_changing(state, asset) or x.unit == state.change_unit:
        return
    x.unit = state.change_unit
    f = state.change_factor + 0
    x.available = x.available * f
    x.held = x.held * f
    x.unsettled = x.unsettled * f
    x.due = x.due * f
    x.short_limit = x.short_limit * f
    i = credit_of(state, account, asset)
    if i:
        c = at.credit_row(state, i)
        c.limit = c.limit * f
        c.quoting_limit = c.quoting_limit * f
        c.reserved = c.reserved * f
        c.traded = c.traded * f
        c.netted = c.netted * f
        c.quoted = c.quoted * f
    number = at.asset(state, asset).first_base + 0
    while number:
        _ripen_position(state, find(state, POSITION_TAG, (account << 32) | number), f)
        number = at.instrument_extra(state, number).next_base + 0


@cold
def _ripen_position(state: STATE, i: int, f: int):
    if i == 0:
        return
    p = at.position_row(state, i)
    p.net = p.net * f
    p.limit = p.limit * f
    k = at.position_extra(state, i).protection + 0
    if k == 0:
        return
    r = at.protection(state, k)
    r.quantity = r.quantity * f
    r.delta = r.delta * f
    for eighth in range(EIGHTHS):
        r.bought[eighth] = r.bought[eighth] * f
        r.sold[eighth] = r.sold[eighth] * f


# ----------------------------------------------------------------------------------------------------------------- work
@cold
def change_unit(state: STATE):
    """The next instrument or account: looked at, or, once all were, multiplied."""
    stage, number = state.change_stage + 0, state.change_next + 0
    if stage == LOOK_AT_INSTRUMENTS and number <= state.instrument_count:
        reason = _look_at_instrument(state, number)
        if reason:
            give_up(state, reason, number, 0)
            return
    elif stage == LOOK_AT_ACCOUNTS and number <= state.account_count and _account_too_large(state, number):
        give_up(state, Reason.OVERFLOW, 0, number)
        return
    elif stage == CHANGE_INSTRUMENTS and number <= state.instrument_count:
        ripen_instrument(state, number)
    elif stage == CHANGE_ACCOUNTS and number <= state.account_count:
        ripen(state, number, state.change_asset)
    last = state.instrument_count if stage == LOOK_AT_INSTRUMENTS or stage == CHANGE_INSTRUMENTS else state.account_count
    if number < last:
        state.change_next = number + 1
    else:
        _next_stage(state, stage)


@cold
def _next_stage(state: STATE, stage: int):
    if stage == LOOK_AT_ACCOUNTS:
        if _own_too_large(state, state.change_asset, _factor(state)):
            give_up(state, Reason.OVERFLOW, 0, 0)
            return
        _change_asset(state)
    if stage == CHANGE_ACCOUNTS:
        put(state, Event.SWEPT, 0, 0, 6, state.change_asset)
        _end_change(state)
        return
    state.change_stage = stage + 1
    state.change_next = 1
