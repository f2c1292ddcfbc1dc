"""Section 8 of the rules: child orders at outside venues, the facts about them, and posted prices."""
from cambist.messages import MAX_AMOUNT, AccountKind, Cause, ChildState, Event, Kind, Reason, Side, TimeInForce
from cambist.simulation.twin.control_rules import restricted
from cambist.simulation.twin.model import Child, Command, Instrument, State
from cambist.simulation.twin.preamble_rules import count_fact
from cambist.simulation.twin.precision_rules import surprise
from cambist.simulation.twin.shape_rules import lots
from cambist.simulation.twin.standing_rules import hold_asset

K, R, S = Kind, Reason, ChildState
REASONS = {int(r) for r in R}


def child_hold(ins: Instrument, side: int, quantity: int, price: int) -> int:
    return ins.amount_up(quantity, price) if side == Side.BUY else quantity


def set_child_hold(t: State, child: Child, hold: int) -> None:
    ins = t.instruments[child.instrument]
    row = t.balance(t.venues[child.venue].account, hold_asset(ins, child.side))
    row.available -= hold - child.held
    row.held += hold - child.held
    child.held = hold


# ------------------------------------------------------------------------------------------------------------------- requests
def check_new_child(t: State, c: Command) -> Reason:
    ins = t.instruments.get(c.instrument)
    if ins is None:
        return R.UNKNOWN_INSTRUMENT
    if t.kind_of(c.account) != AccountKind.DESK:
        return R.NOT_ALLOWED
    venue = t.venues.get(c["venue"])
    if venue is None or not venue.enabled:
        return R.UNKNOWN_VENUE
    if (c["venue"], ins.number) in t.stops:
        return R.VENUE_STOPPED
    if ins.halted:
        return R.HALTED
    if restricted(t, c.account, c["actor"], ins.number):
        return R.RESTRICTED
    if c["side"] not in (Side.BUY, Side.SELL):
        return R.BAD_SIDE
    if c["time_in_force"] > TimeInForce.FOK:
        return R.BAD_TIME_IN_FORCE
    side, price, quantity = c["side"], c["price"], c["quantity"]
    if not 1 <= price <= ins.max_price:
        return R.BAD_PRICE
    if reason := lots(ins, quantity) or t.collar(ins, side, price):
        return reason
    if ins.amount_up(quantity, price) > MAX_AMOUNT:
        return R.OVERFLOW
    if ins.amount_up(quantity, price) > ins.max_notional:
        return R.MAX_NOTIONAL
    if t.breaks_position(c.account, ins, side, quantity):
        return R.POSITION
    if t.balance(venue.account, hold_asset(ins, side)).available < child_hold(ins, side, quantity, price):
        return R.VENUE_FUNDS
    return R.NONE


def new_child(t: State, c: Command) -> None:
    ins = t.instruments[c.instrument]
    child = Child(t.new_id(c.account), c.account, ins.number, c["venue"], c["side"], c["time_in_force"], c["price"], c["quantity"], c["parent"])
    t.children[child.id] = child
    set_child_hold(t, child, child_hold(ins, child.side, child.quantity, child.price))
    t.position(child.account, ins.number).grow_open(child.side, child.quantity)
    t.echo(c, Event.CHILD_OPENED, child.account, id=child.id, other=child.venue, instrument=ins.number, side=child.side, price=child.price,
           quantity=child.quantity, amount=child.parent)


def check_cancel_child(t: State, c: Command) -> Reason:
    child = t.children.get(c["child"])
    if child is None or child.account != c.account:
        return R.UNKNOWN_CHILD
    return R.CHILD_OVER if child.state in (S.CLOSING, S.DONE) else R.NONE


def cancel_child(t: State, c: Command) -> None:
    child = t.children[c["child"]]
    t.echo(c, Event.CHILD_CANCEL_ASKED, child.account, id=child.id, other=child.venue, instrument=child.instrument)


# ---------------------------------------------------------------------------------------------------------------- venue facts
def changed(t: State, child: Child, reason: int = 0) -> None:
    t.emit(Event.CHILD_CHANGED, child.account, id=child.id, other=child.state, instrument=child.instrument, side=child.side, leaves=child.open, reason=reason)


def finish(t: State, child: Child, reason: int = 0) -> None:
    """Hold and open freed; DONE, and kept for the window of facts."""
    set_child_hold(t, child, 0)
    t.position(child.account, child.instrument).grow_open(child.side, -child.open)
    child.state, child.ends = S.DONE, t.time + t.cell.fact_window
    changed(t, child, reason)


def child_at(t: State, c: Command) -> Child | None:
    """The child the fact names, if the fact's venue is the child's."""
    child = t.children.get(c["child"])
    return child if child is not None and child.venue == c["venue"] else None


def check_venue_fact(t: State, c: Command) -> Reason:
    return R.NONE if c["venue"] in t.venues else R.UNKNOWN_VENUE


def unmatched(t: State, c: Command) -> None:
    t.alert(R.UNMATCHED, id=c["child"], other=c["venue"])


def child_acked(t: State, c: Command) -> None:
    child = child_at(t, c)
    if child is None:
        unmatched(t, c)
    elif child.state in (S.PENDING, S.UNKNOWN):
        child.state = S.WORKING
        changed(t, child)


def child_unknown(t: State, c: Command) -> None:
    child = child_at(t, c)
    if child is None:
        unmatched(t, c)
    elif child.state in (S.PENDING, S.WORKING):
        child.state = S.UNKNOWN
        changed(t, child)
        t.alert(R.UNMATCHED, id=child.id, other=child.venue, instrument=child.instrument)


def child_closed(t: State, c: Command) -> None:
    child = child_at(t, c)
    if child is None:
        unmatched(t, c)
        return
    if child.state == S.DONE:
        return
    cum = c["cum_quantity"]
    if cum < child.filled or cum > child.quantity:
        t.alert(R.OVERFILL, id=child.id, other=child.venue, instrument=child.instrument)
        cum = child.filled
    why = c["why"] if c["why"] in REASONS else 0
    child.cum = cum
    if cum == child.filled:
        finish(t, child, why)
    else:
        child.state = S.CLOSING
        changed(t, child, why)


def check_child_filled(t: State, c: Command) -> Reason:
    if c["venue"] not in t.venues:
        return R.UNKNOWN_VENUE
    ins = t.instruments.get(c.instrument)
    if ins is None:
        return R.UNKNOWN_INSTRUMENT
    if c["side"] not in (Side.BUY, Side.SELL):
        return R.BAD_SIDE
    if not 1 <= c["price"] <= MAX_AMOUNT:
        return R.BAD_PRICE
    if not 1 <= c["quantity"] <= MAX_AMOUNT:
        return R.BAD_QUANTITY
    if not 0 <= c["fee"] <= MAX_AMOUNT:
        return R.BAD_AMOUNT
    if c["price"] * ins.amount_num > MAX_AMOUNT or ins.amount(c["quantity"], c["price"]) > MAX_AMOUNT:
        return R.OVERFLOW
    return R.NONE


def post_fill(t: State, ins: Instrument, owner: int, custody: int, side: int, quantity: int, amount: int, fee: int, causes: tuple[int, int]) -> None:
    """The owner's base and quote, and the same at the venue; the causes of the trade and of its fee."""
    sign = 1 if side == Side.BUY else -1
    for account in (owner, custody):
        t.balance(account, ins.base).available += sign * quantity
        t.balance(account, ins.quote).available -= sign * amount + fee
    t.flow(ins.base, causes[0], sign * quantity)
    t.flow(ins.quote, causes[0], -sign * amount)
    t.flow(ins.quote, causes[1], -fee)


def child_filled(t: State, c: Command) -> None:
    count_fact(t, c)
    ins, side, price, quantity, charged = t.instruments[c.instrument], c["side"], c["price"], c["quantity"], c["fee"]
    custody = t.venues[c["venue"]].account
    child = child_at(t, c)
    if child is not None and (child.instrument != ins.number or child.side != side):
        child = None
    x = min(quantity, child.open) if child is not None else 0
    over, amount = quantity - x, ins.amount(x, price)
    if x > 0:
        t.position(child.account, ins.number).grow_open(side, -x)
        t.position(child.account, ins.number).net += x if side == Side.BUY else -x
        child.filled += x
        set_child_hold(t, child, child_hold(ins, side, child.open, child.price))
        post_fill(t, ins, child.account, custody, side, x, amount, charged, (Cause.HEDGE, Cause.HEDGE_FEE))
        t.echo(c, Event.CHILD_FILL, child.account, id=child.id, other=child.venue, instrument=ins.number, side=side, price=price, quantity=x,
               leaves=child.open, amount=amount, fee=charged)
    if over > 0:
        suspense = t.single(AccountKind.SUSPENSE)
        post_fill(t, ins, suspense, custody, side, over, ins.amount(quantity, price) - amount, 0 if x > 0 else charged, (Cause.SUSPENSE, Cause.SUSPENSE))
        t.stops.add((c["venue"], ins.number))
        t.alert(R.OVERFILL if child is not None else R.UNMATCHED, id=c["child"], other=c["venue"], instrument=ins.number, amount=over)
    if x > 0:
        after_fill(t, child)
    surprise(t, ins)


def after_fill(t: State, child: Child) -> None:
    if child.open == 0 or (child.state == S.CLOSING and child.filled >= child.cum):
        finish(t, child)
    elif child.state in (S.PENDING, S.UNKNOWN):
        child.state = S.WORKING
        changed(t, child)


# --------------------------------------------------------------------------------------------------------------------- prices
def check_source_price(t: State, c: Command) -> Reason:
    ins = t.instruments.get(c.instrument)
    if ins is None:
        return R.UNKNOWN_INSTRUMENT
    source = t.sources.get((ins.number, c["source"]))
    if source is None or not source.enabled:
        return R.UNKNOWN_SOURCE
    return R.NONE if 1 <= c["price"] <= ins.max_price else R.BAD_PRICE


def source_price(t: State, c: Command) -> None:
    ins = t.instruments[c.instrument]
    source = t.sources[ins.number, c["source"]]
    source.price, source.posted_at = c["price"], t.time
    reference = t.reference(ins.number)
    if reference != ins.reference:
        ins.reference = reference
        t.emit(Event.REFERENCE, 0, instrument=ins.number, price=reference, other=len(t.fresh_prices(ins.number)))


HANDLERS = {
    K.NEW_CHILD: (check_new_child, new_child), K.CANCEL_CHILD: (check_cancel_child, cancel_child), K.CHILD_ACKED: (check_venue_fact, child_acked),
    K.CHILD_FILLED: (check_child_filled, child_filled), K.CHILD_CLOSED: (check_venue_fact, child_closed),
    K.CHILD_UNKNOWN: (check_venue_fact, child_unknown), K.SOURCE_PRICE: (check_source_price, source_price),
}
