"""Section 15 of the rules: what one price increment and one unit of an asset are, changed at one sequence and exactly."""
import copy
from math import gcd

from cambist.messages import MAX_AMOUNT, ChildState, Event, Kind, Reason
from cambist.simulation.twin.configuration_rules import terms_reason
from cambist.simulation.twin.model import Command, Instrument, State, fee_up

R = Reason
MAX_FACTOR = 10**9
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
    concerned = instruments_of(t, c["asset"])
    if asset.enabled or t.held or in_use(t, {ins.number for ins in concerned}):
        return R.IN_USE
    if not all(ins.halted for ins in concerned):
        return R.NOT_HALTED
    return R.OVERFLOW if max(abs(amount) for amount in rescale(copy.deepcopy(t), c)) > MAX_AMOUNT else R.NONE


def change_digits(t: State, c: Command) -> None:
    rescale(t, c)
    t.emit(Event.DIGITS_CHANGED, 0, id=c["asset"], other=c["digits"])
    t.done(c, c["asset"])


def grow(row: object, names: str, f: int, results: list[int]) -> None:
    for name in names.split():
        value = getattr(row, name)
        setattr(row, name, value if value < 0 and name.endswith("_above") else value * f)
        results.append(getattr(row, name))


def rescale(t: State, c: Command) -> list[int]:
    """Every amount of the asset times the factor; all results."""
    number, asset, out = c["asset"], t.assets[c["asset"]], [0]
    f = 10 ** (c["digits"] - asset.digits)
    asset.digits = c["digits"]
    grow(asset, "approval_above quote_approval_above rate_den", f, out)
    for (_, owned), balance in t.balances.items():
        if owned == number:
            grow(balance, "available held unsettled due short_limit", f, out)
    for (_, _, lent), credit in t.credits.items():
        if lent == number:
            grow(credit, "limit quoting_limit reserved traded netted quoted", f, out)
    for obligation in t.obligations.values():
        if obligation.asset == number:
            grow(obligation, "amount", f, out)
    for key in t.flows:
        if key[0] == number:
            t.flows[key] *= f
            out.append(t.flows[key])
    for ins in instruments_of(t, number):
        rescale_instrument(t, ins, number, f, out)
    return out


def rescale_instrument(t: State, ins: Instrument, asset: int, f: int, out: list[int]) -> None:
    if ins.base == asset:
        grow(ins, "lot max_quantity max_position amount_den", f, out)
        for (_, number), position in t.positions.items():
            if number == ins.number:
                grow(position, "net limit", f, out)
        for (_, number), row in t.protections.items():
            if number == ins.number:
                grow(row, "quantity delta", f, out)
                row.bought, row.sold = [x * f for x in row.bought], [x * f for x in row.sold]
        for child in t.children.values():
            if child.instrument == ins.number:
                grow(child, "quantity filled held cum", f, out)
    else:
        grow(ins, "max_notional amount_num", f, out)
        for (number, _), tier in t.tiers.items():
            if number == ins.number:
                grow(tier, "minimum", f, out)
    reduce(ins)
    out += [ins.amount_num, ins.amount_den, ins.max_price * ins.amount_num]


HANDLERS = {Kind.CHANGE_TERMS: (check_terms, change_terms), Kind.CHANGE_DIGITS: (check_digits, change_digits)}
