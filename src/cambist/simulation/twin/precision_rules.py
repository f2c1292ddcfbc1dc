"""Section 15 of the rules: what one price increment and one unit of an asset are, changed at one sequence and exactly."""
import copy
from math import gcd

from cambist.messages import MAX_AMOUNT, ChildState, Event, Kind, Reason
from cambist.simulation.twin.configuration_rules import terms_reason
from cambist.simulation.twin.model import Command, Instrument, State, fee_up

R = Reason
MAX_FACTOR = 10**9
MAX_BASES = 64                                  # instruments that an asset may be the base of when its digits change
LOOK_AT_INSTRUMENTS, LOOK_AT_ACCOUNTS, CHANGE_INSTRUMENTS, CHANGE_ACCOUNTS = 1, 2, 3, 4
OF_AN_INSTRUMENT = {Kind.CONFIGURE_LIMITS, Kind.CONFIGURE_TIER, Kind.CONFIGURE_POSITION, Kind.CONFIGURE_PROTECTION, Kind.RESUME, Kind.CHANGE_TERMS}
PRICES = ("last", "book_last", "reference", "anchor")


def in_use(t: State, instruments: set[int]) -> bool:
    """Whether an order, a request or a living child concerns one of them."""
    return (any(o.instrument in instruments for o in t.orders.values()) or any(r.instrument in instruments for r in t.requests.values())
            or any(c.instrument in instruments and c.state != ChildState.DONE for c in t.children.values()))


def reduce(ins: Instrument) -> None:
    common = gcd(ins.amount_num, ins.amount_den)
    ins.amount_num, ins.amount_den = ins.amount_num // common, ins.amount_den // common


# -------------------------------------------------------------------------------------------------------------- CHANGE_TERMS
def changed_terms(t: State, c: Command) -> Instrument:
    """The instrument as it would be."""
    ins = copy.copy(t.instruments[c.instrument])
    for name in ("lot", "book_tick", "quote_tick", "min_price", "max_price"):
        setattr(ins, name, c[name])
    for name in PRICES:
        setattr(ins, name, getattr(ins, name) * c["price_factor"])
    ins.amount_den *= c["price_factor"]
    reduce(ins)
    ins.peg_bid = ins.peg_ask = ins.last_low = ins.last_high = ins.index_low = ins.index_high = ins.mark_low = ins.mark_high = 0
    return ins


def check_terms(t: State, c: Command) -> Reason:
    ins = t.instruments.get(c.instrument)
    if ins is None:
        return R.UNKNOWN_INSTRUMENT
    if not ins.halted:
        return R.NOT_HALTED
    if ins.number in t.instrument_sweeps:
        return R.SWEEPING
    if in_use(t, {ins.number}):
        return R.IN_USE
    if not 1 <= c["price_factor"] <= MAX_FACTOR or terms_reason(c["lot"], c["book_tick"], c["quote_tick"], c["min_price"], c["max_price"]):
        return R.BAD_VALUE
    new = changed_terms(t, c)
    sources = [s.price * c["price_factor"] for (number, _), s in t.sources.items() if number == ins.number]
    worst = new.amount_up(new.max_quantity, new.max_price)
    sizes = [new.amount_den, new.max_price * new.amount_num, worst + fee_up(worst, 1_000_000), *sources, *(getattr(new, name) for name in PRICES)]
    return R.OVERFLOW if max(sizes) > MAX_AMOUNT else R.NONE


def change_terms(t: State, c: Command) -> None:
    t.instruments[c.instrument] = changed_terms(t, c)
    for (number, _), source in t.sources.items():
        if number == c.instrument:
            source.price *= c["price_factor"]
    t.emit(Event.TERMS_CHANGED, 0, instrument=c.instrument, id=c["price_factor"], quantity=c["lot"], price=c["book_tick"], other=c["quote_tick"])
    t.done(c, c.instrument)


# ------------------------------------------------------------------------------------------------------------- CHANGE_DIGITS
def instruments_of(t: State, asset: int) -> list[Instrument]:
    return [ins for ins in t.instruments.values() if asset in (ins.base, ins.quote)]


def check_digits(t: State, c: Command) -> Reason:
    asset = t.assets.get(c["asset"])
    if asset is None:
        return R.UNKNOWN_ASSET
    if not asset.digits < c["digits"] <= 18:
        return R.BAD_VALUE
    if t.cell.cut_off:
        return R.NETTING
    if asset.enabled or t.held or any(o.asset == c["asset"] for o in t.obligations.values()):
        return R.IN_USE
    if sum(ins.base == c["asset"] for ins in t.instruments.values()) > MAX_BASES:
        return R.CAPACITY
    f = 10 ** (c["digits"] - asset.digits)
    return R.OVERFLOW if max(abs(amount) for amount in own_amounts(t, c["asset"], f)) > MAX_AMOUNT else R.NONE


def held_off(t: State, c: Command) -> bool:
    """Whether a change of digits that is being worked off keeps a command out: what speaks of amounts of the asset, or lets its instruments trade."""
    asset = t.cell.change_asset
    if asset == 0:
        return False
    if c.kind in (Kind.NET, Kind.CHANGE_DIGITS):
        return True
    if c.kind in (Kind.CONFIGURE_ASSET, Kind.CONFIGURE_CREDIT, Kind.CONFIGURE_SHORT):
        return c["asset"] == asset
    if c.kind == Kind.CONFIGURE_INSTRUMENT:
        return asset in (c["base"], c["quote"])
    return c.kind in OF_AN_INSTRUMENT and asset in (t.instruments[c.instrument].base, t.instruments[c.instrument].quote)


def own_amounts(t: State, number: int, f: int) -> list[int]:
    """What the asset's own row and the sums of what the house received of it would be."""
    asset = t.assets[number]
    return [x * f for x in (asset.approval_above, asset.quote_approval_above, asset.rate_den, *(v for k, v in t.flows.items() if k[0] == number))]


def begin_change(t: State, c: Command) -> None:
    t.cell.change_asset, t.cell.change_digits, t.cell.change_stage, t.cell.change_next = c["asset"], c["digits"], LOOK_AT_INSTRUMENTS, 1
    t.done(c, c["asset"])


def change_unit(t: State) -> None:
    """The next instrument or account: looked at, and after all of them the amounts are others; then passed once more."""
    cell = t.cell
    stage, number = cell.change_stage, cell.change_next
    if stage == LOOK_AT_INSTRUMENTS and number in t.instruments and (reason := wrong_instrument(t, t.instruments[number])):
        give_up(t, reason, instrument=number)
    elif stage == LOOK_AT_ACCOUNTS and number in t.accounts and too_much_in(t, number):
        give_up(t, R.OVERFLOW, id=number)
    else:
        move_on(t, len(t.instruments if stage in (LOOK_AT_INSTRUMENTS, CHANGE_INSTRUMENTS) else t.accounts))


def move_on(t: State, last: int) -> None:
    cell = t.cell
    if cell.change_next < last:
        cell.change_next += 1
        return
    if cell.change_stage == LOOK_AT_ACCOUNTS:
        if max(abs(amount) for amount in own_amounts(t, cell.change_asset, factor(t))) > MAX_AMOUNT:
            give_up(t, R.OVERFLOW)
            return
        rescale(t, cell.change_asset, cell.change_digits)
        t.emit(Event.DIGITS_CHANGED, 0, id=cell.change_asset, other=cell.change_digits)
    if cell.change_stage == CHANGE_ACCOUNTS:
        t.emit(Event.SWEPT, 0, id=6, other=cell.change_asset)
        end_change(t)
    else:
        cell.change_stage, cell.change_next = cell.change_stage + 1, 1


def give_up(t: State, reason: Reason, **fields: int) -> None:
    t.alert(reason, other=t.cell.change_asset, **fields)
    end_change(t)


def end_change(t: State) -> None:
    t.cell.change_asset = t.cell.change_digits = t.cell.change_stage = t.cell.change_next = 0


def surprise(t: State, ins: Instrument) -> None:
    """A fill at a venue, in an instrument of the asset that is being looked at: the change is given up."""
    if t.cell.change_stage in (LOOK_AT_INSTRUMENTS, LOOK_AT_ACCOUNTS) and t.cell.change_asset in (ins.base, ins.quote):
        give_up(t, R.IN_USE, instrument=ins.number)


def factor(t: State) -> int:
    return 10 ** (t.cell.change_digits - t.assets[t.cell.change_asset].digits)


def wrong_instrument(t: State, ins: Instrument) -> Reason:
    """Why the digits of one of its assets cannot change."""
    if t.cell.change_asset not in (ins.base, ins.quote):
        return R.NONE
    if not ins.halted:
        return R.NOT_HALTED
    if in_use(t, {ins.number}):
        return R.IN_USE
    out: list[int] = [0]
    rescale_instrument(t, copy.copy(ins), t.cell.change_asset, factor(t), out)
    tiers = [row.minimum * factor(t) for (number, _), row in t.tiers.items() if number == ins.number and ins.quote == t.cell.change_asset]
    return R.OVERFLOW if max(out + tiers) > MAX_AMOUNT else R.NONE


def too_much_in(t: State, account: int) -> bool:
    return any(abs(amount) * factor(t) > MAX_AMOUNT for row, names in rows_of(t, account, t.cell.change_asset) for amount in amounts(row, names))


BALANCE = "available held unsettled due short_limit"
CREDIT = "limit quoting_limit reserved traded netted quoted"


def rows_of(t: State, account: int, asset: int) -> list[tuple[object, str]]:
    """The account's rows with amounts of the asset, and the names of these."""
    bases = {ins.number for ins in t.instruments.values() if ins.base == asset}
    out: list[tuple[object, str]] = [(row, BALANCE) for key, row in t.balances.items() if key == (account, asset)]
    out += [(row, CREDIT) for (_, taker, lent), row in t.credits.items() if (taker, lent) == (account, asset)]
    out += [(row, "net limit") for (owner, number), row in t.positions.items() if owner == account and number in bases]
    return out + [(row, "quantity delta bought sold") for (owner, number), row in t.protections.items() if owner == account and number in bases]


def amounts(row: object, names: str) -> list[int]:
    out = []
    for name in names.split():
        value = getattr(row, name)
        out += value if isinstance(value, list) else [value]
    return out


def grow(row: object, names: str, f: int) -> None:
    for name in names.split():
        value = getattr(row, name)
        setattr(row, name, [x * f for x in value] if isinstance(value, list) else value if value < 0 and name.endswith("_above") else value * f)


def rescale(t: State, number: int, digits: int) -> None:
    """Every amount of the asset times the factor."""
    asset = t.assets[number]
    f = 10 ** (digits - asset.digits)
    asset.digits = digits
    grow(asset, "approval_above quote_approval_above rate_den", f)
    for key in t.flows:
        if key[0] == number:
            t.flows[key] *= f
    for ins in instruments_of(t, number):
        rescale_instrument(t, ins, number, f, [])
        for (its, _), tier in t.tiers.items():
            if its == ins.number and ins.quote == number:
                tier.minimum *= f
    for account in t.accounts:
        for row, names in rows_of(t, account, number):
            grow(row, names, f)


def rescale_instrument(t: State, ins: Instrument, asset: int, f: int, out: list[int]) -> None:
    """Its own amounts; all results."""
    names = "lot max_quantity max_position amount_den" if ins.base == asset else "max_notional amount_num"
    grow(ins, names, f)
    reduce(ins)
    out += [*amounts(ins, names), ins.max_price * ins.amount_num]


HANDLERS = {Kind.CHANGE_TERMS: (check_terms, change_terms), Kind.CHANGE_DIGITS: (check_digits, begin_change)}
